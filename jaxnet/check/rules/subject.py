"""The rule examined: an optax transformation, an (init, step) pair or a class of torch.optim."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet.check.rules.problems import (
    MATRIX,
    MIXED,
    SAME,
    VECTOR,
    Leaves,
    Problem,
    bowl,
    problems,
)

TORCH_NAMES = {
    "learning_rate": ("lr", "learning_rate"),
    "b1": ("b1", "beta1"),
    "b2": ("b2", "beta2"),
    "decay": ("alpha", "decay", "rho"),
    "momentum": ("momentum", "mu"),
    "max_learning_rate": ("max_lr", "max_learning_rate", "lr"),
}
"""How classes of torch.optim call what the zoo calls otherwise."""

TORCH_NUMBERS = ("learning_rate", "momentum", "b1", "b2", "decay", "rho", "eps", "weight_decay")
"""Hyperparameters that a class of torch must know if they are asked for."""


@dataclass(frozen=True)
class Subject:
    """A rule that can be run.

    Attributes:
        path: The parameters before the first step and after each, as rows of all entries.
        shapes: Of the leaves that it is run on, by name.
        unit: The rounding unit of its parameters: 1.1e-16 in float64, 6.0e-8 in float32.
        varied: Whether its learning rate can be varied from step to step.
        form: How it takes its parameters, in words.
        otherwise: What to say of a rule that goes the path that is due if it is called in
            another way, (problem, path due) -> words; "" if it does not.
    """

    path: Callable[[Problem], np.ndarray]
    shapes: Mapping[str, tuple[int, ...]]
    unit: float
    varied: bool
    form: str
    otherwise: Callable[[Problem, np.ndarray], str] = lambda problem, due: ""


class _Broken(Exception):
    """The rule cannot be run on parameters of this form."""

    def __str__(self) -> str:
        return str(self.args[0])


def _told(error: Exception) -> str:
    """An error in words; of the doctor's own only the words."""
    if isinstance(error, _Broken):
        return str(error)
    return f"{type(error).__name__}: {error}"


def subject(rule: Any, hyper: Mapping[str, Any], asked: Mapping[str, Any], closed: bool) -> Subject:
    """Find out what the rule is and which form of parameters it takes.

    Args:
        rule: An optax transformation, an (init, step) pair, an object with init and step, a class
            of torch.optim, or a function from parameters to an optimizer of torch.
        hyper: The hyperparameters, for a class that is to be constructed.
        asked: Those that the user gave; a class of torch must know them.
        closed: Whether the gradients come from the quadratic of the closed problem.

    Raises:
        TypeError: The rule is none of these.
        ValueError: It fails on every form of parameters; the first error is told.
    """
    errors: dict[str, str] = {}
    broken: list[str] = []
    for form, shapes, stepper in _runs(rule, hyper, asked):
        probe = problems(shapes, 0.0)[0].cut(2)
        if closed:
            probe = Problem(probe.name, probe.start, probe.grads, probe.values, closed=True)
        try:
            _, dtype = stepper(probe)
        except Exception as error:  # the user's own code: whatever it raises is told
            # The same error on another form says nothing new.
            errors.setdefault(_told(error), form)
            broken += [_told(error)] if isinstance(error, _Broken) else []
            continue
        form = form.format(library="JAX" if stepper.traced() else "NumPy")
        unit = float(jnp.finfo(dtype).eps) / 2  # type: ignore[no-untyped-call]
        varied = stepper.varied

        def path(problem: Problem, stepper: Any = stepper) -> np.ndarray:
            try:
                rows: np.ndarray = stepper(problem)[0]
            except Exception as error:
                raise ValueError(
                    f'the rule failed on the problem "{problem.name}": {_told(error)}'
                ) from error
            return rows

        return Subject(path, shapes, unit, varied, form, stepper.otherwise)
    turned = _turned_names(rule)
    if turned:
        raise TypeError(turned)
    if broken:
        raise ValueError(f"the rule could not be run: {broken[0]}")
    first = [f"{form.split(',')[0]}: {error}" for error, form in errors.items()][:3]
    raise ValueError(
        "the rule could not be run. Its step is called as step(params, grads, state) and must "
        "return (params, state) with params of the structure given: a dict, a list or one array, "
        "whatever its names and shapes are. It was tried on\n  " + "\n  ".join(first)
    )


@dataclass(frozen=True)
class _Stepper:
    """A function from a problem to its path and the type of its parameters."""

    call: Callable[[Problem], tuple[np.ndarray, Any]]
    varied: bool = False
    otherwise: Callable[[Problem, np.ndarray], str] = lambda problem, due: ""
    traced: Callable[[], bool] = lambda: False

    def __call__(self, problem: Problem) -> tuple[np.ndarray, Any]:
        with np.errstate(all="ignore"):
            return self.call(problem)


def _runs(
    rule: Any, hyper: Mapping[str, Any], asked: Mapping[str, Any]
) -> Iterator[tuple[str, Any, _Stepper]]:
    """The forms of parameters to try, with their shapes, and how the rule is run on each."""
    if hasattr(rule, "init") and hasattr(rule, "update"):
        words = f"a dict of arrays {tuple(MIXED.values())}"
        yield words, MIXED, _optax(rule, Form("dict", MIXED))
        yield "one array", MATRIX, _optax(rule, Form("array", MATRIX))
        return
    pair = rule
    if hasattr(rule, "init") and hasattr(rule, "step") and not isinstance(rule, type):
        pair = (rule.init, rule.step)
    if isinstance(pair, tuple | list) and len(pair) == 2 and all(map(callable, pair)):
        forms: list[tuple[str, Any, str]] = [
            ("a dict of arrays of different shapes", MIXED, "dict"),
            ("a list of arrays of different shapes", MIXED, "list"),
            ("a dict of arrays of one shape", SAME, "dict"),
            ("a list of arrays of one shape", SAME, "list"),
            ("one matrix", MATRIX, "array"),
            ("one vector", VECTOR, "array"),
        ]
        for words, shapes, kind in forms:
            for wrap in (np.array, jnp.array):
                stepper = _pair(pair[0], pair[1], Form(kind, shapes), wrap)
                yield f"{words}, of {{library}}", shapes, stepper
        named = _own_names(pair[0], pair[1])
        if named:
            stepper = _pair(pair[0], pair[1], Form("dict", named), np.array)
            yield f"a dict of {', '.join(named)}, of {{library}}", named, stepper
        return
    if callable(rule) and "torch" in sys.modules:
        run = _torch(rule, hyper, asked)
        yield "parameters of different shapes", MIXED, run
        yield "parameters of one shape", SAME, run
        return
    raise TypeError(
        "rule must be an optax transformation, a pair (init, step) with init(params) -> state and "
        "step(params, grads, state) -> (params, state), or a class of torch.optim (with torch "
        f"imported), got {rule!r}"
    )


@dataclass(frozen=True)
class Form:
    """How leaves are handed to the rule, and taken back."""

    kind: str
    shapes: Mapping[str, tuple[int, ...]]

    def tree(self, leaves: list[Any]) -> Any:
        """The leaves as the rule takes them."""
        if self.kind == "dict":
            return dict(zip(self.shapes, leaves, strict=True))
        return list(leaves) if self.kind == "list" else leaves[0]

    def leaves(self, tree: Any) -> list[Any]:
        """The leaves of what the rule returned; an error if it is of another form."""
        if self.kind == "array":
            found = [tree]
        elif self.kind == "list":
            if not isinstance(tree, list | tuple):
                raise _Broken(f"step returned params of type {type(tree).__name__}, not a list")
            found = list(tree)
        else:
            if not isinstance(tree, Mapping) or set(tree) != set(self.shapes):
                raise _Broken("step returned params that are no dict with the keys given")
            found = [tree[name] for name in self.shapes]
        wanted = list(self.shapes.values())
        shapes = [np.shape(leaf) for leaf in found]
        if shapes != wanted:
            raise _Broken(f"step returned params of the shapes {shapes}, given were {wanted}")
        return found


def extra_of(problem: Problem, t: int, xs: Leaves, form: Form) -> dict[str, Any]:
    """What rules may ask for besides gradients: the loss, and functions of the parameters."""
    extra: dict[str, Any] = {"value": problem.value(t, xs)}
    if problem.closed:
        extra |= {
            "value_fn": lambda p: _value(form.leaves(p)),
            "grad_fn": lambda p: form.tree(
                [a * x - b for a, x, b in zip(*bowl(form.leaves(p)), strict=True)]
            ),
            "residual_fn": lambda p: [
                (a * x - b) / a**0.5 for a, x, b in zip(*bowl(form.leaves(p)), strict=True)
            ],
        }
    return extra


def _value(leaves: list[Any]) -> Any:
    terms = [jnp.sum(a * x**2 / 2 - b * x) for a, x, b in zip(*bowl(leaves), strict=True)]
    return sum(terms) + 50.0


def _optax(rule: Any, form: Form) -> _Stepper:
    names = inspect.signature(rule.update).parameters
    takes_all = any(p.kind == p.VAR_KEYWORD for p in names.values())

    def step(grads: Any, state: Any, params: Any, extra: dict[str, Any]) -> Any:
        updates, state = rule.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), updates, state

    compiled = jax.jit(step)

    def follow(problem: Problem, step: Callable[..., Any]) -> tuple[np.ndarray, Any]:
        params = form.tree([jnp.asarray(x) for x in problem.start])
        state = rule.init(params)
        path = [_row(form.leaves(params))]
        for t in range(1, len(problem.grads) + 1):
            xs = [np.asarray(x, np.float64) for x in form.leaves(params)]
            grads = form.tree([jnp.asarray(g) for g in problem.gradient(t, xs)])
            extra = {**extra_of(problem, t, xs, form), "grad": grads}
            given = {k: v for k, v in extra.items() if takes_all or k in names}
            params, updates, state = step(grads, state, params, given)
            path.append(_row(form.leaves(params)))
        # apply_updates returns the parameters' type: the updates tell what was computed in.
        return np.array(path), np.result_type(*(u.dtype for u in jax.tree.leaves(updates)))

    def compilable(problem: Problem) -> bool:
        """Whether the rule goes the same path when it is compiled: it need not be pure."""
        try:
            return bool(np.allclose(follow(problem, step)[0], follow(problem, compiled)[0]))
        except Exception:  # whatever the user's code raises under jit, it may run without
            return False

    pure: list[bool] = []

    def call(problem: Problem) -> tuple[np.ndarray, Any]:
        if problem.closed:
            return follow(problem, step)
        if not pure:
            pure.append(compilable(problem))
        return follow(problem, compiled if pure[0] else step)

    return _Stepper(call)


def _own_names(init: Any, step: Any) -> dict[str, tuple[int, ...]]:
    """The leaves that a rule asks for by names of its own, with shapes; empty if it does not."""
    found: dict[str, tuple[int, ...]] = {}
    shapes = list(MIXED.values())
    while len(found) < 20:
        params = {k: np.ones(shape) for k, shape in found.items()}
        try:
            step(params, {k: p.copy() for k, p in params.items()}, init(params))
        except KeyError as error:
            name = error.args[0] if error.args else None
            if not isinstance(name, str) or name in found:
                return {}
            found[name] = shapes[len(found) % len(shapes)]
        except Exception:  # what else is wrong with it is told where it is run
            return {}
        else:
            return found
    return {}


def _turned_names(rule: Any) -> str:
    """What to say of a step whose arguments are named in another order; else nothing."""
    step = rule[1] if isinstance(rule, tuple | list) and len(rule) == 2 else None
    names = list(inspect.signature(step).parameters)[:2] if callable(step) else []
    if len(names) == 2 and names[0] in GRADS and names[1] in PARAMS:
        return (
            f"step takes ({names[0]}, {names[1]}, ...): it is called as step(params, grads, "
            "state). Exchange its arguments, or pass (init, lambda p, g, s: step(g, p, s))"
        )
    return ""


GRADS = frozenset({"grads", "grad", "gradients", "gradient", "g", "dparams", "updates"})
PARAMS = frozenset({"params", "param", "parameters", "p", "x", "w", "weights", "theta"})
ORDERS = (
    ("params, grads, state", (0, 1, 2)),
    ("grads, params, state", (1, 0, 2)),
    ("grads, state, params", (1, 2, 0)),
    ("params, state, grads", (0, 2, 1)),
    ("state, params, grads", (2, 0, 1)),
    ("state, grads, params", (2, 1, 0)),
)
"""How a step may take its arguments, the first is how it must."""


def called_otherwise(init: Any, step: Any, form: Form, problem: Problem, due: np.ndarray) -> str:
    """What to say of a pair that goes the path that is due if it is called in another way."""
    for words, order in ORDERS:
        for answer in ("params, state", "state, params"):

            def turned(*three: Any, order: Any = order, answer: str = answer) -> Any:
                result = step(*(three[i] for i in order))
                return result if answer == "params, state" else result[::-1]

            for wrap in (np.array, jnp.array):
                try:
                    path = _pair(init, turned, form, wrap)(problem)[0]
                except Exception:  # it does not take them so
                    continue
                if np.allclose(path, due, rtol=1e-6, atol=1e-12):
                    return (
                        f"the rule is right as step({words}) -> ({answer}). It is called as "
                        "step(params, grads, state) and must return (params, state): exchange "
                        "what stands in another place"
                    )
    return ""


def _alike(tree: Any) -> Any:
    return jax.tree.structure(tree)


def _pair(init: Any, step: Any, form: Form, wrap: Callable[[Any], Any]) -> _Stepper:
    names = inspect.signature(step).parameters
    traced: list[bool] = []

    def answer(result: Any, params: Any, state: Any) -> tuple[Any, Any]:
        if result is None:  # params and state were changed in place
            return params, state
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise _Broken(f"step must return (params, state), got {type(result).__name__}")
        if _alike(result) == _alike(state) != _alike(result[1]):
            raise _Broken("step returned the state alone: it must return (params, state)")
        if _alike(result[1]) == _alike(params) != _alike(state) == _alike(result[0]):
            raise _Broken("step returned (state, params): it must return (params, state)")
        return result[0], result[1]

    def call(problem: Problem) -> tuple[np.ndarray, Any]:
        leaves = [wrap(x) for x in problem.start]
        state = init(form.tree([wrap(x) for x in problem.start]))
        path = [_row(leaves)]
        for t in range(1, len(problem.grads) + 1):
            xs = [np.asarray(x, np.float64) for x in leaves]
            params = form.tree([wrap(x) for x in leaves])
            grads = form.tree([wrap(g) for g in problem.gradient(t, xs)])
            extra = {k: v for k, v in extra_of(problem, t, xs, form).items() if k in names}
            result = step(params, grads, state, **extra)
            params, state = answer(result, params, state)
            leaves = form.leaves(params)
            path.append(_row(leaves))
        if result is None and (np.array(path) == path[0]).all():
            raise _Broken(
                "step returned None and left the parameters as they are: it must return "
                "(params, state)"
            )
        traced.append(any(isinstance(x, jax.Array) for x in leaves))
        return np.array(path), np.result_type(*(np.asarray(x).dtype for x in leaves))

    def otherwise(problem: Problem, due: np.ndarray) -> str:
        return called_otherwise(init, step, form, problem, due)

    return _Stepper(call, otherwise=otherwise, traced=lambda: any(traced))


def _torch(rule: Any, hyper: Mapping[str, Any], asked: Mapping[str, Any]) -> _Stepper:
    torch = sys.modules["torch"]
    given = _torch_arguments(rule, hyper, asked) if isinstance(rule, type) else {}
    schedule = hyper.get("learning_rate")

    def call(problem: Problem) -> tuple[np.ndarray, Any]:
        params = [torch.nn.Parameter(torch.tensor(x)) for x in problem.start]
        optimizer = rule(params, **given)
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(
                f"rule gives {type(optimizer).__name__}, which is no optimizer of torch; if it "
                "makes an optax transformation, call it first: optax.adam(0.01), not optax.adam"
            )
        rates = [group.get("lr") for group in optimizer.param_groups]
        path = [_row([p.detach().numpy().copy() for p in params])]
        for t in range(1, len(problem.grads) + 1):
            xs = [p.detach().numpy().copy() for p in params]
            for p, g in zip(params, problem.gradient(t, xs), strict=True):
                p.grad = torch.tensor(g)
            if callable(schedule):
                for group in optimizer.param_groups:
                    group["lr"] = float(schedule(t - 1))
            elif problem.rates:
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * problem.rate(t)
            optimizer.step()
            path.append(_row([p.detach().numpy().copy() for p in params]))
        return np.array(path), np.float64

    return _Stepper(call, varied=not callable(schedule))


def _torch_arguments(
    rule: type, hyper: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """The hyperparameters in the names that the class's constructor has for them."""
    names = inspect.signature(rule).parameters
    given: dict[str, Any] = {}
    for name, value in hyper.items():
        if value is None or callable(value):
            continue
        for candidate in TORCH_NAMES.get(name, (name,)):
            if candidate in names and candidate not in given:
                given[candidate] = value
                break
    taken = {name for name in hyper if any(n in given for n in TORCH_NAMES.get(name, (name,)))}
    if "betas" in names and "b1" in hyper and "b2" in hyper:
        given["betas"] = (hyper["b1"], hyper["b2"])
        taken |= {"b1", "b2"}
    lost = [k for k in asked if k in TORCH_NUMBERS and k not in taken and asked[k]]
    if lost:
        raise ValueError(
            f"{rule.__name__} has no argument for {', '.join(lost)}: it has {', '.join(names)}. "
            "Make the optimizer yourself, rule=lambda params: torch.optim.SGD(params, ...), or "
            "leave the hyperparameter out"
        )
    return given


def _row(leaves: list[Any]) -> np.ndarray:
    return np.concatenate([np.ravel(np.array(x, np.float64)) for x in leaves])
