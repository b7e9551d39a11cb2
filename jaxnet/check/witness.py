"""What the gradient doctor compares: the true gradient and the user's, at several points."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

EPS = float(np.finfo(np.float64).eps)

SPREAD = 0.15
"""The points lie this far from the one given, in units of each leaf's root mean square."""


class Sample(NamedTuple):
    """One point: the parameters, the loss, its true gradient and the user's, leaf by leaf.

    error is the true gradient's own error, entry by entry. given has None where the user's gradient
    has no such leaf. kink says which entries of a NumPy loss have a kink there. seed is what
    `nearby` made the point with; 0 is the one given.
    """

    params: Any
    value: float
    true: list[np.ndarray]
    error: list[np.ndarray]
    given: list[np.ndarray | None]
    kink: list[np.ndarray]
    seed: int


class Subject(NamedTuple):
    """A loss and a gradient under examination, as functions of the parameters alone, in float64.

    names are those of the leaves of floating-point numbers; closed is the traced loss, or None if
    JAX cannot trace it. rounding is the relative precision that the user's gradient comes in.
    traced says whether JAX can trace the gradient; own_grad and own_loss are the user's functions
    of the parameters and all arguments.
    unsteady names the function that gives different numbers for the same input, if one does.
    """

    loss: Callable[[Any], Any]
    grad: Callable[[Any], Any]
    params: Any
    args: tuple[Any, ...]
    names: list[str]
    closed: core.ClosedJaxpr | None
    rounding: float
    notes: tuple[str, ...]
    traced: bool
    own_grad: Callable[..., Any]
    own_loss: Callable[..., Any]
    unsteady: str
    changed: tuple[str, ...]


def subject(
    loss: Callable[..., Any], grad: Callable[..., Any], params: Any, args: tuple[Any, ...]
) -> Subject:
    """Prepare an examination; called under `jax.enable_x64`."""
    if not all(map(callable, (loss, grad))):
        kinds = f"{type(loss).__name__} and {type(grad).__name__}"
        raise TypeError(f"check.gradient: loss and grad must be functions, got {kinds}")
    for leaf in jax.tree.leaves((params, args)):
        if type(leaf).__module__.startswith(("torch", "tensorflow")):
            raise TypeError(
                "check.gradient: params and data must be arrays of NumPy or JAX, got "
                f"{type(leaf).__module__}.{type(leaf).__name__}; convert them by numpy.asarray"
            )
    params64, args64 = wide(params), tuple(wide(arg) for arg in args)
    names = [name for name, leaf in named(params64) if is_float(leaf)]
    _refuse_other_params(params64, names)
    notes = []
    skipped = [f"{name} ({_type(leaf)})" for name, leaf in named(params64) if not is_float(leaf)]
    if skipped:
        notes.append(f"not floating-point numbers, left out: {', '.join(skipped)}")
    loss_of: Callable[[Any], Any] = lambda p: loss(p, *args64)  # noqa: E731
    closed = traced(loss_of, params64)
    if closed is None:
        _refuse_no_number(_called("loss", loss_of, params64, args))
    grad_of: Callable[[Any], Any] = lambda p: grad(p, *args64)  # noqa: E731
    program = _trace(grad_of, params64)
    if program is not None:
        grad_of = compiled(grad_of)
    try:
        answer = grad_of(params64)
    except Exception as error:  # a function of other people may refuse float64 in any way
        grad_of = lambda p: grad(_like(p, params), *args)  # noqa: E731
        answer = _called("grad", grad_of, params64, args)
        notes.append(f"grad does not take float64 ({type(error).__name__}); it got the types given")
    changed = _changed((params64, args64), (wide(params), tuple(wide(arg) for arg in args)))
    unsteady = ""
    if changed:
        params64, args64 = wide(params), tuple(wide(arg) for arg in args)
    elif not _steady(loss_of, params64, closed):
        unsteady = "loss"
    elif not _steady(grad_of if program is None else lambda p: grad(p, *args64), params64, program):
        unsteady = "grad"
    return Subject(
        loss=loss_of,
        grad=grad_of,
        params=params64,
        args=args64,
        names=names,
        closed=closed,
        rounding=_rounding(answer),
        notes=tuple(notes),
        traced=program is not None,
        own_grad=grad,
        own_loss=loss,
        unsteady=unsteady,
        changed=changed,
    )


def _called(name: str, f: Callable[[Any], Any], params: Any, args: tuple[Any, ...]) -> Any:
    """What a function of the user's gives; its errors say how it was called."""
    try:
        return f(params)
    except Exception as error:
        types = ", ".join(type(a).__name__ for a in (params, *args))
        error.add_note(f"check.gradient called {name}(params, *args) with: {types}")
        raise


def _refuse_no_number(value: Any) -> None:
    """Complain about a loss that gives something else than a number."""
    if np.ndim(value) or np.asarray(value).dtype.kind not in "fiub":
        kind = f"an array of shape {np.shape(value)}" if np.ndim(value) else type(value).__name__
        raise TypeError(
            f"check.gradient: loss must give one number, got {kind}; the arguments are loss, grad, "
            "params and then the data, in this order"
        )


def _changed(after: tuple[Any, Any], before: tuple[Any, Any]) -> tuple[str, ...]:
    """The arrays that loss and grad have written into, by name."""
    names = [f"params {name}".strip() for name, _ in named(after[0])]
    names += [f"argument {name}" for name, _ in named(after[1])]
    pairs = zip(names, jax.tree.leaves(after), jax.tree.leaves(before), strict=True)
    return tuple(
        name for name, a, b in pairs if isinstance(a, np.ndarray) and not _same_numbers(a, b)
    )


def _refuse_other_params(params: Any, names: list[str]) -> None:
    """Complain about parameters that have no gradient, or a complex one."""
    types = {name: _type(leaf) for name, leaf in named(params)}
    if not names:
        raise TypeError(
            "check.gradient: params must hold floating-point numbers, got "
            f"{list(types.values())}; convert what is to be differentiated to float"
        )
    complex_leaves = [name for name, dtype in types.items() if dtype.startswith("complex")]
    if complex_leaves:
        raise TypeError(
            "check.gradient: params must be real, but complex numbers are in "
            f"{', '.join(complex_leaves)}; give the real and the imaginary part as two leaves"
        )


def _type(leaf: Any) -> str:
    return str(leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype)


def _rounding(answer: Any) -> float:
    """The precision of the coarsest leaf of the user's gradient."""
    return max((precision(leaf) for leaf in jax.tree.leaves(answer)), default=EPS)


def precision(leaf: Any) -> float:
    """Distance from 1 to the next number of a leaf's type; of float64 if it is not floating."""
    if not is_float(leaf):
        return EPS
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return max(EPS, float(jnp.finfo(dtype).eps))  # type: ignore[no-untyped-call]


def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` for what runs a few times: on a CPU, compiling would take most of the time."""
    fast = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
    return jax.jit(f, compiler_options=fast if jax.default_backend() == "cpu" else None)


def traced(loss: Callable[[Any], Any], params: Any) -> core.ClosedJaxpr | None:
    """The loss as JAX traces it, or None if it is none that JAX can trace."""
    closed = _trace(loss, params)
    if closed is not None and [aval.shape for aval in closed.out_avals] != [()]:
        shapes = [aval.shape for aval in closed.out_avals]
        got, fix = f"an array of shape {shapes[0]}" if shapes else "None", "return its sum or mean"
        if not shapes:
            fix = "has it no return?"
        if len(shapes) > 1:
            got, fix = f"{len(shapes)} arrays", "return the loss alone"
        raise ValueError(f"check.gradient: loss must give one number, got {got}; {fix}")
    return closed


def _trace(f: Callable[[Any], Any], params: Any) -> core.ClosedJaxpr | None:
    try:
        closed: core.ClosedJaxpr = jax.make_jaxpr(f)(_in_jax(params))
    except Exception:  # NumPy and Python code refuse tracers in many ways
        return None
    return closed


def _steady(f: Callable[[Any], Any], params: Any, closed: core.ClosedJaxpr | None) -> bool:
    """Whether a function gives the same twice: traced twice, or called twice.

    A number that Python draws anew is a constant of the traced program, and so another one in the
    second program.
    """
    if closed is None:
        return _same_numbers(f(params), f(params))
    again = _trace(lambda p: f(p), params)  # JAX would remember the trace of f itself
    if again is None or program_text(closed) != program_text(again):
        return again is not None and _same_numbers(
            *(compiled(core.jaxpr_as_fun(c))(*jax.tree.leaves(params)) for c in (closed, again))
        )
    return _same_numbers(closed.consts, again.consts)


def _same_numbers(a: Any, b: Any) -> bool:
    """Whether two answers are the same but for rounding; here NaN is the same as NaN."""
    leaves, others = jax.tree.leaves(a), jax.tree.leaves(b)
    if len(leaves) != len(others):
        return False
    for x, y in zip(leaves, others, strict=True):
        if is_float(x) and is_float(y):
            u, v = np.asarray(x, np.float64), np.asarray(y, np.float64)
            near = 64 * precision(x) * float(np.abs(u[np.isfinite(u)]).max(initial=0))
            same = u.shape == v.shape and np.allclose(u, v, rtol=0, atol=near, equal_nan=True)
        else:
            same = _is_opaque(x) or _is_opaque(y) or np.array_equal(x, y)
        if not same:
            return False
    return True


def _is_opaque(leaf: Any) -> bool:
    """Whether a leaf is a key, or a gradient that is none, and has no numbers to compare."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and (
        dtype == jax.dtypes.float0 or bool(jnp.issubdtype(dtype, jax.dtypes.extended))
    )


def program_text(closed: core.ClosedJaxpr) -> str:
    """A traced program in words, without addresses in memory."""
    return re.sub(r"0x[0-9a-f]+", "", str(closed))


def _in_jax(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)


def named(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a tree with their names."""
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    ]


def is_float(leaf: Any) -> bool:
    """Whether a leaf holds floating-point numbers."""
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return bool(jnp.issubdtype(dtype, jnp.floating))


def floats(params: Any) -> list[Any]:
    """The leaves of floating-point numbers."""
    return [leaf for leaf in jax.tree.leaves(params) if is_float(leaf)]


def with_floats(params: Any, moving: Sequence[Any]) -> Any:
    """The parameters with other leaves of floating-point numbers."""
    leaves = jax.tree.leaves(params)
    structure: Any = jax.tree.structure(params)
    rest = iter(moving)
    return structure.unflatten([next(rest) if is_float(leaf) else leaf for leaf in leaves])


def wide(tree: Any) -> Any:
    """A copy with floating-point numbers in float64, NumPy's as NumPy's; all else as it is."""

    def widened(leaf: Any) -> Any:
        if isinstance(leaf, float):
            return np.float64(leaf)
        if not isinstance(leaf, np.ndarray | np.generic | jax.Array) or not is_float(leaf):
            return leaf.copy() if isinstance(leaf, np.ndarray) else leaf
        if isinstance(leaf, jax.Array):
            return jnp.asarray(leaf, np.float64)
        return np.array(leaf, np.float64)

    return jax.tree.map(widened, tree)


def _like(tree: Any, old: Any) -> Any:
    def narrowed(leaf: Any, o: Any) -> Any:
        if isinstance(o, float | int):
            return type(o)(leaf)
        return leaf.astype(o.dtype) if is_float(o) else leaf

    return jax.tree.map(narrowed, tree, old)


def nearby(params: Any, seed: int, spread: float = SPREAD) -> Any:
    """Parameters near the given ones: the same for the same seed.

    Entries move by `spread` times the root mean square of their leaf, or times 1 if that is 0.
    """
    rng = np.random.default_rng(seed)

    def moved(leaf: Any) -> Any:
        if not is_float(leaf):
            return leaf
        array = np.asarray(leaf)
        new = array + spread * root_mean_square(array) * rng.standard_normal(array.shape)
        return jnp.asarray(new) if isinstance(leaf, jax.Array) else new

    return jax.tree.map(moved, params)


def rounded(tree: Any, eps: float) -> Any:
    """The numbers of a tree as a floating-point type of this precision holds them, in float64."""
    dtype = {2.0**-7: jnp.bfloat16, 2.0**-10: np.float16}.get(eps, np.float32)

    def cast(leaf: Any) -> Any:
        return leaf.astype(dtype).astype(np.float64) if is_float(leaf) else leaf

    return jax.tree.map(cast, tree)


def root_mean_square(array: np.ndarray) -> float:
    """The typical size of an array's entries; 1 if all are 0."""
    largest = float(np.abs(array).max(initial=0))
    if largest == 0:  # or empty
        return 1.0
    return largest * float(np.sqrt(np.mean(np.square(array / largest))))


def align(answer: Any, params: Any) -> list[Any]:
    """The user's gradient leaf by leaf in the order of the parameters; None where one is missing.

    Raises:
        TypeError: It has other leaves than the parameters.
    """
    floats = [name for name, leaf in named(params) if is_float(leaf)]
    by_name: dict[str, Any] = dict(named(answer))
    structure: Any = jax.tree.structure(params)
    if jax.tree.structure(answer) == structure:
        return [by_name[name] for name in floats]
    unknown = sorted(set(by_name) - {name for name, _ in named(params)})
    leaves = jax.tree.leaves(answer)
    plain = isinstance(answer, tuple | list) and not isinstance(params, dict)
    if unknown and plain and len(leaves) == len(floats):  # a tuple for a record, or the like
        return leaves
    if unknown:
        hint = ""
        if isinstance(answer, tuple) and len(answer) == 2 and np.ndim(leaves[0]) == 0:
            hint = "; it looks like (value, gradient): return the gradient alone"
        raise TypeError(
            "check.gradient: grad must give a tree like params, with the leaves "
            f"{', '.join(map(repr, floats))}, got {type(answer).__name__} with "
            f"{', '.join(map(repr, by_name))}{hint}"
        )
    return [by_name.get(name) for name in floats]
