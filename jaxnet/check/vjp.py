"""The gradient doctor for hand-written pull-backs: of functions, `jax.custom_vjp` and layers."""

import contextlib
import functools
import inspect
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnet.check.gradient import gradient
from jaxnet.check.judgement import RIGHT
from jaxnet.check.linearity import not_linear, precision
from jaxnet.check.record import frames_of
from jaxnet.check.report import Finding, Report
from jaxnet.check.witness import align, floats, is_float, named, wide, with_floats
from jaxnet.layers.layer import Layer, Params

Moving: TypeAlias = "OrderedDict[str, Any]"
"""The arguments that hold floating-point numbers, by name."""

Pair: TypeAlias = Callable[..., Any]
"""f_vjp(*args) -> (y, pull), as `functools.partial(jax.vjp, f)` is."""

Run: TypeAlias = Callable[[Moving, Any], tuple[Any, Any, Moving]]
"""(arguments, dy) -> f's output, that of the user's forward pass, the user's cotangents."""

JITTED = type(jax.jit(lambda: None))

SEED = 2718
"""Of the random cotangents."""


def vjp(f: Callable[..., Any], f_vjp: Callable[..., Any], *args: Any) -> Report:
    """Say whether a hand-written vector-Jacobian product is right; if not, why, and where.

    With y = f(*args) and its Jacobian J, the pull-back takes a cotangent dy, a tree like y, to
    J^T dy, a cotangent for each argument. That is the gradient of

        L(*args) = sum(dy * f(*args))        summed over all outputs

    and as such `check.gradient` examines it, for a dy of random numbers. Besides, the pull-back
    must be linear in dy: pull(0) = 0, pull(2 a) = 2 pull(a), pull(a + b) = pull(a) + pull(b).

    Args:
        f: f(*args) -> y, a tree of arrays; in JAX or in NumPy. Of a `jax.custom_vjp` function the
            plain function under it is taken, not its rule.
        f_vjp: One of

            - f_vjp(*args, dy) -> the cotangents of args, a tuple; a single one may be bare. That
              of an argument without floating-point numbers may be None or left out.
            - f_vjp(*args) -> (y, pull) with pull(dy) -> the cotangents, such as
              `functools.partial(jax.vjp, g)` for a g with custom rules inside and an f without.
            - A `jax.custom_vjp` function, which may be f itself: its rule is examined.

        *args: Where to look; best generic ones, not all zero. Those that hold floating-point
            numbers are differentiated; all others are held fixed, and so are the
            `nondiff_argnums`. Bind a number that is not to be differentiated with
            `functools.partial`.

    Returns:
        A report like that of `check.gradient`; its leaves are named after the parameters of f.

    Raises:
        TypeError: f_vjp is none of the three, or its answer does not fit the arguments; or the
            arguments or the outputs hold no floating-point numbers.
        ValueError: f is not finite there.
    """
    with jax.enable_x64(True):
        s = _subject(f, f_vjp, args)
        run = _compiled(s)
        point = _point(s, run)
        y, own, _ = run(point, s.dy)
        if not all(np.isfinite(out).all() for out in jax.tree.leaves(y) if is_float(out)):
            raise ValueError("check.vjp: the output of f is not finite here; give other arguments")
        examined = gradient(_loss(s), lambda p, held, dy: run(p, dy)[2], s.given, s.held, s.dy)
        places = _places(s)
        findings = [
            *_other_value(y, own, places),
            *_not_linear(s, run, point, examined, places[0]),
        ]
        return _joined(s, _in_f(s, run, point, examined, places), findings)


def assert_vjp(f: Callable[..., Any], f_vjp: Callable[..., Any], *args: Any) -> None:
    """Raise an AssertionError with the report of `vjp` if the pull-back is not right."""
    report = vjp(f, f_vjp, *args)
    if not report.ok:
        raise AssertionError(str(report))


def layer(layer: Layer, params: Params, x: Any, key: Array | None = None) -> Report:
    """Say whether a layer's hand-derived backward pass is right; if not, what is wrong, and where.

    It is `vjp` of (params, x) -> y, the layer's forward pass, with the layer's backward.

    Args:
        layer: The layer.
        params: Its parameters, where to look; best generic ones: not zero, not all the same.
        x: Its input.
        key: As in the layer's own functions: a key means training, with the same random draws
            at all points, none means evaluation.

    Returns:
        A report as `vjp` gives it, with the leaves "params...." and "x".

    Raises:
        TypeError: layer is no `Layer`, or backward does not give (dparams, dx).
        ValueError: forward is not finite there.
    """
    report = vjp(*_as_vjp(layer, key), params, x)
    return replace(report, title=report.title.replace("the VJP", "the layer's backward"))


def assert_layer(layer: Layer, params: Params, x: Any, key: Array | None = None) -> None:
    """Raise an AssertionError with the report of `layer` if its backward pass is not right."""
    assert_vjp(*_as_vjp(layer, key), params, x)


def _as_vjp(layer: Layer, key: Array | None) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A layer's forward pass as f(params, x), and f_vjp(params, x) -> (y, its backward pass)."""
    if not isinstance(layer, Layer):
        raise TypeError(
            f"check.layer: layer must be a jaxnet.layers.Layer, got {type(layer).__name__}"
        )

    def f(params: Params, x: Any) -> Any:
        return layer.forward(params, x, key)[0]

    def f_vjp(params: Params, x: Any) -> Any:
        y, residuals = layer.forward(params, x, key)
        return y, lambda dy: layer.backward(params, residuals, dy)

    return f, f_vjp


class _Subject(NamedTuple):
    """A function and its pull-back under examination.

    names are those of all arguments; moving has those that are differentiated, in float64, given
    the same in their own types, held the others. y is the output of f, or its shapes and types if
    JAX can trace f, to jaxpr then. dy and other are two cotangents of it.
    """

    f: Callable[..., Any]
    pair: Pair
    names: list[str]
    moving: Moving
    given: Moving
    held: dict[str, Any]
    jaxpr: Any
    y: Any
    dy: Any
    other: Any
    notes: tuple[str, ...]


def _subject(f: Callable[..., Any], f_vjp: Callable[..., Any], args: tuple[Any, ...]) -> _Subject:
    f, rule = getattr(_custom(f), "__wrapped__", f), _custom(f_vjp)
    names = _names(f, len(args))
    fixed = [] if rule is None else [names[i] for i in rule.nondiff_argnums]
    given = OrderedDict(
        (name, arg)
        for name, arg in zip(names, args, strict=True)
        if name not in fixed and any(is_float(leaf) for leaf in jax.tree.leaves(arg))
    )
    if not given:
        raise TypeError(
            "check.vjp: the arguments must hold floating-point numbers to differentiate, got "
            f"{[type(arg).__name__ for arg in args]}"
        )
    moving: Moving = wide(given)
    held = {n: wide(arg) for n, arg in zip(names, args, strict=True) if n not in given}
    jaxpr, y = _traced(lambda moving: f(*_arguments(names, moving, held)), moving)
    dy, other = (_cotangents(y, seed, jax.tree.leaves(args)) for seed in (0, 1))
    notes = [f"the gradient is that of sum(dy * f), dy random (NumPy, seed {SEED})"]
    if any(jax.tree.leaves(arg) for arg in held.values()):
        notes.append(f"held fixed: {', '.join(n for n, arg in held.items() if arg is not None)}")
    if _has_rule(jaxpr):
        notes.append("f calls a jax.custom_vjp function, whose rule the true gradient trusts")
    pair = _pair(f, f_vjp, rule, args, names, list(moving))
    return _Subject(f, pair, names, moving, given, held, jaxpr, y, dy, other, tuple(notes))


def _custom(f: Any) -> Any:
    """The `jax.custom_vjp` function that f is, perhaps under `jax.jit`; None if it is none."""
    inner = inspect.unwrap(f, stop=lambda g: not isinstance(g, JITTED))
    return inner if isinstance(inner, jax.custom_vjp) else None


def _names(f: Callable[..., Any], n: int) -> list[str]:
    """The names of the first n positional parameters of f; numbers where there are none."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # some functions written in C have none
        parameters = {}.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in positional][:n]
    return names + [str(i) for i in range(len(names), n)]


def _arguments(names: list[str], moving: Moving, held: dict[str, Any]) -> list[Any]:
    return [moving[name] if name in moving else held[name] for name in names]


def _traced(f: Callable[[Moving], Any], moving: Moving) -> tuple[Any, Any]:
    """The jaxpr of f and the shapes and types of its outputs; None and the outputs themselves."""
    jaxpr = y = None
    with contextlib.suppress(Exception):  # NumPy and Python code refuse tracers in many ways
        closed, y = jax.make_jaxpr(f, return_shape=True)(moving)
        jaxpr = closed.jaxpr
    y = f(moving) if jaxpr is None else y
    types = [str(_dtype(leaf)) for leaf in jax.tree.leaves(y)]
    if not any("float" in t for t in types) or any("complex" in t for t in types):
        raise TypeError(f"check.vjp: f must give real floating-point numbers, got {types}")
    return jaxpr, y


def _has_rule(jaxpr: Any) -> bool:
    """Whether a `jax.custom_vjp` function is called."""
    inner = [
        getattr(value, "jaxpr", value)
        for eqn in getattr(jaxpr, "eqns", ())
        for param in eqn.params.values()
        for value in (param if isinstance(param, tuple) else (param,))
    ]
    own = any(eqn.primitive.name == "custom_vjp_call" for eqn in getattr(jaxpr, "eqns", ()))
    return own or any(_has_rule(value) for value in inner)


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _cotangents(y: Any, seed: int, like: list[Any]) -> Any:
    """Random numbers like y, none near 0; arrays of JAX if there are any among the arguments."""
    # Not the normal numbers of seed 0: the user's own are often those, and dy = x hides faults.
    rng = np.random.default_rng(SEED + seed)
    array: Any = jnp.asarray if any(isinstance(a, jax.Array) for a in like) else np.asarray

    def draw(leaf: Any) -> Any:
        shape = np.shape(leaf)
        return array(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))

    return jax.tree.map(draw, y)


def _pair(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    rule: Any,
    args: tuple[Any, ...],
    names: list[str],
    moving: list[str],
) -> Pair:
    """The user's pull-back in the form f_vjp(*args) -> (y, pull)."""
    if rule is not None:

        def by_rule(*args: Any) -> Any:
            by_name = dict(zip(names, args, strict=True))

            def of_moving(*floats: Any) -> Any:
                full = by_name | dict(zip(moving, floats, strict=True))
                return f_vjp(*full.values())

            return jax.vjp(of_moving, *(by_name[name] for name in moving))

        return by_rule
    with_dy, alone = (_takes(f_vjp, len(args) + extra) for extra in (1, 0))
    if with_dy and alone:
        try:
            with_dy = not _is_pair(f_vjp(*args))
        except Exception:  # so it needs dy
            with_dy = True
    if with_dy:
        return lambda *args: (f(*args), lambda dy: f_vjp(*args, dy))
    if alone:
        return f_vjp
    raise TypeError(
        f"check.vjp: f_vjp must take the arguments of f ({', '.join(names)}) and the cotangent of "
        f"its output, or the arguments alone and give a pair (y, pull), got {f_vjp!r}"
    )


def _takes(f: Callable[..., Any], n: int) -> bool:
    try:
        inspect.signature(f).bind(*range(n))
    except TypeError:
        return False
    except ValueError:  # there is no signature to read
        return True
    return True


def _is_pair(answer: Any) -> bool:
    return isinstance(answer, tuple) and len(answer) == 2 and callable(answer[1])


def _loss(s: _Subject) -> Callable[..., Any]:
    f, names = s.f, s.names

    def loss(moving: Moving, held: dict[str, Any], dy: Any) -> Any:
        y = f(*_arguments(names, moving, held))
        pairs = zip(jax.tree.leaves(dy), jax.tree.leaves(y), strict=True)
        return functools.reduce(
            operator.add, [(d * out).sum() for d, out in pairs if is_float(out)]
        )

    return loss


def _compiled(s: _Subject) -> Run:
    """The function and its pull-back, compiled if JAX can trace them."""

    def run(moving: Moving, dy: Any) -> tuple[Any, Any, Moving]:
        args = _arguments(s.names, moving, s.held)
        y, pair = s.f(*args), s.pair(*args)
        if not _is_pair(pair):
            raise TypeError(
                "check.vjp: f_vjp takes the arguments of f alone, so it must give a pair (y, pull) "
                f"with a function pull(dy), got {_said(pair)}; or let it take the cotangent, too"
            )
        own, pull = pair
        shapes = [jax.tree.map(np.shape, tree) for tree in (own, y)]
        if shapes[0] != shapes[1]:
            raise TypeError(
                f"check.vjp: the y of f_vjp must be like f's, of shape {shapes[1]}, got {shapes[0]}"
            )
        return y, own, _by_name(s, pull(jax.tree.map(_typed, own, dy)))

    try:
        jax.eval_shape(run, s.moving, s.dy)
    except Exception:  # NumPy and Python code refuse tracers in many ways
        return run
    compiled = jax.jit(run)

    def on_arrays(moving: Moving, dy: Any) -> tuple[Any, Any, Moving]:
        # Refuses tracers: within another program it would be compiled once more.
        return compiled(with_floats(moving, [np.asarray(x) for x in floats(moving)]), dy)  # type: ignore[no-any-return]

    return on_arrays


def _typed(y: Any, dy: Any) -> Any:
    """The cotangent in the type that JAX asks for; a copy, as code in NumPy may write into it."""
    return dy.astype(_dtype(y)) if is_float(y) else np.zeros(np.shape(y), jax.dtypes.float0)


def _said(answer: Any) -> str:
    if isinstance(answer, tuple | list):
        return f"a {type(answer).__name__} of {len(answer)}"
    shape = f" of shape {answer.shape}" if hasattr(answer, "shape") else ""
    return f"{type(answer).__name__}{shape}"


def _by_name(s: _Subject, answer: Any) -> Moving:
    """The user's cotangents of the moving arguments, by name."""
    moving = list(s.moving)
    parts = answer
    if len(moving) == 1 and _is_bare(answer, s.moving[moving[0]]):
        parts = (answer,)
    if not isinstance(parts, tuple | list) or len(parts) not in (len(s.names), len(moving)):
        raise TypeError(
            f"check.vjp: the pull-back must give a tuple of {len(s.names)} cotangents, for "
            f"{', '.join(s.names)} (None for one that is held fixed), got {_said(answer)}"
        )
    by_name = dict(zip(s.names if len(parts) == len(s.names) else moving, parts, strict=True))
    for name in moving:
        _check_leaves(name, by_name[name], s.moving[name])
    return OrderedDict((name, jax.tree.map(_without_float0, by_name[name])) for name in moving)


def _is_bare(answer: Any, arg: Any) -> bool:
    """Whether the answer is the one cotangent itself rather than a tuple with it."""
    structures: Any = jax.tree.structure(answer), jax.tree.structure(arg)
    return not isinstance(answer, tuple) or bool(structures[0] == structures[1])


def _check_leaves(name: str, cotangent: Any, arg: Any) -> None:
    own, got = ([leaf for leaf, _ in named(tree)] for tree in (arg, cotangent))
    if set(got) - set(own):
        raise TypeError(
            f"check.vjp: the cotangent of {name} must be a tree like {name}, with the leaves "
            f"{own}, got {got}"
        )


def _without_float0(leaf: Any) -> Any:
    return None if _dtype(leaf) == jax.dtypes.float0 else leaf


def _point(s: _Subject, run: Run) -> Moving:
    """The arguments in float64, or in their own types if the pull-back takes no others."""
    try:
        run(s.moving, s.dy)
    except Exception:  # a function of other people may refuse float64 in any way
        return s.given
    return s.moving


def _other_value(y: Any, own: Any, places: list[str | None]) -> Iterator[Finding]:
    """The user's forward pass gives another output than f: the one that is off most."""
    limit, worst = max(RIGHT, 300 * precision(jax.tree.leaves(own))), (0.0, places[0])
    pairs = zip(jax.tree.leaves(y), jax.tree.leaves(own), strict=True)
    for (a, b), place in zip((pair for pair in pairs if is_float(pair[0])), places, strict=True):
        size = max(float(np.max(np.abs(a), initial=0)), float(np.finfo(float).tiny))
        error = float(np.max(np.abs(np.asarray(b) - np.asarray(a)), initial=0)) / size
        worst = max(worst, (error, place), key=lambda w: w[0])
    if not worst[0] <= limit:
        yield Finding(
            "wrong_loss",
            (),
            "The forward pass that comes with the pull-back gives another output than f.",
            "Compute in it what f computes.",
            {"relative_error": worst[0]},
            worst[1],
        )


def _not_linear(
    s: _Subject, run: Run, point: Moving, examined: Report, place: str | None
) -> list[Finding]:
    def pull(a: float, b: float) -> list[Any]:
        dy = jax.tree.map(lambda x, y: a * x + b * y, s.dy, s.other)
        return align(run(point, dy)[2], point)

    penalized = {leaf for f in examined.findings if f.code == "regularization" for leaf in f.leaves}
    names = [name for name, leaf in named(point) if is_float(leaf)]
    return not_linear(pull, names, penalized, place)


def _in_f(
    s: _Subject, run: Run, point: Moving, examined: Report, places: list[str | None]
) -> Report:
    """The report of `check.gradient` with no place in this file, where f is multiplied by dy.

    What is found there is an output's: of the one whose cotangent is ignored, or of the first.
    """
    ignored = _ignored(s, run, point)

    def moved(finding: Finding) -> Finding:
        if __file__ not in (finding.where or ""):
            return finding
        if ignored is None or finding.code != "dropped_path":
            return replace(finding, where=places[0])
        number, name = ignored
        return replace(
            finding,
            message=f"The pull-back does not use the cotangent of the output {name}.",
            fix="Add what each output contributes.",
            where=places[number],
        )

    return replace(examined, findings=tuple(map(moved, examined.findings)))


def _ignored(s: _Subject, run: Run, point: Moving) -> tuple[int, str] | None:
    """Which of several outputs the pull-back ignores the cotangent of: its number and name."""
    leaves = jax.tree.leaves(s.dy)
    structure: Any = jax.tree.structure(s.dy)
    before = jax.tree.leaves(run(point, s.dy)[2])
    for number, k in enumerate(_floating(s)):
        dy = structure.unflatten([*leaves[:k], 0 * leaves[k], *leaves[k + 1 :]])
        after = jax.tree.leaves(run(point, dy)[2])
        if all(np.array_equal(a, b) for a, b in zip(after, before, strict=True)):
            return number, named(s.dy)[k][0]
    return None


def _floating(s: _Subject) -> list[int]:
    """The numbers of the outputs that hold floating-point numbers."""
    return [k for k, y in enumerate(jax.tree.leaves(s.y)) if is_float(y)]


def _places(s: _Subject) -> list[str | None]:
    """The line of f that makes each output of floating-point numbers, if JAX can trace f."""
    return [None if s.jaxpr is None else _maker(s.jaxpr, k) for k in _floating(s)]


def _maker(jaxpr: Any, output: int) -> str | None:
    """The place of the operation that makes an output; None if it is an argument or constant."""
    for eqn in jaxpr.eqns:
        if jaxpr.outvars[output] in eqn.outvars:
            frames = [frame for frame in frames_of(eqn) if __file__ not in frame]
            inner = eqn.params.get("jaxpr")  # of a function under jax.jit
            if frames or inner is None:
                return frames[0] if frames else None
            k = eqn.outvars.index(jaxpr.outvars[output])
            return _maker(getattr(inner, "jaxpr", inner), k)
    return None


def _joined(s: _Subject, examined: Report, first: list[Finding]) -> Report:
    """The report of `check.gradient` with the findings that belong in front of its own."""
    known = {leaf: f.code for f in first for leaf in f.leaves}
    findings = list(first)
    for f in examined.findings:
        left = tuple(leaf for leaf in f.leaves if leaf not in known)
        if left:
            findings.append(replace(f, leaves=left))
    rows = tuple((*row[:-1], known.get(row[0], row[-1])) for row in examined.rows)
    wrong = sum(row[-1] != "right" for row in rows)
    title = (
        f"the VJP is wrong in {wrong} of {len(rows)} leaves"
        if wrong
        else "the VJP is right, but its forward pass is not"
        if findings
        else f"the VJP is right in all {len(rows)} leaves"
    )
    return Report(title, examined.header, rows, tuple(findings), (*examined.notes, *s.notes))
