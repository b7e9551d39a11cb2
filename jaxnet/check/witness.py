"""What the gradient doctor compares: the true gradient and the user's, at several points."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

SPREAD = 0.15
"""The points lie this far from the one given, in units of each leaf's root mean square."""


class Sample(NamedTuple):
    """One point: the parameters, the loss, its true gradient and the user's, leaf by leaf.

    error is the size of the true gradient's own error. given has None where the user's gradient
    has no such leaf.
    """

    params: Any
    value: float
    true: list[np.ndarray]
    error: list[float]
    given: list[np.ndarray | None]


class Subject(NamedTuple):
    """A loss and a gradient under examination, as functions of the parameters alone, in float64.

    names are those of the leaves of floating-point numbers; closed is the traced loss, or None if
    JAX cannot trace it. rounding is the relative precision that the user's gradient comes in.
    """

    loss: Callable[[Any], Any]
    grad: Callable[[Any], Any]
    params: Any
    args: tuple[Any, ...]
    names: list[str]
    closed: core.ClosedJaxpr | None
    rounding: float
    notes: tuple[str, ...]


def subject(
    loss: Callable[..., Any], grad: Callable[..., Any], params: Any, args: tuple[Any, ...]
) -> Subject:
    """Prepare an examination; called under `jax.enable_x64`."""
    params64, args64 = wide(params), tuple(wide(arg) for arg in args)
    names = [name for name, leaf in named(params64) if is_float(leaf)]
    if not names:
        raise TypeError(
            "check.gradient: params must hold floating-point numbers, got "
            f"{[str(np.asarray(leaf).dtype) for _, leaf in named(params)]}"
        )
    notes = []
    skipped = [name for name, leaf in named(params64) if not is_float(leaf)]
    if skipped:
        notes.append(f"not floating-point numbers, left out: {', '.join(skipped)}")
    closed = traced(lambda p: loss(p, *args64), params64)
    wide_grad: Callable[[Any], Any] = lambda p: grad(p, *args64)  # noqa: E731
    if closed is not None and _traceable(wide_grad, params64):
        wide_grad = jax.jit(wide_grad)
    try:
        answer = wide_grad(params64)
    except Exception as error:  # a function of other people may refuse float64 in any way
        wide_grad = lambda p: grad(_like(p, params), *args)  # noqa: E731
        answer = wide_grad(params64)
        notes.append(f"grad does not take float64 ({type(error).__name__}); it got the types given")
    return Subject(
        loss=lambda p: loss(p, *args64),
        grad=wide_grad,
        params=params64,
        args=args64,
        names=names,
        closed=closed,
        rounding=_rounding(answer),
        notes=tuple(notes),
    )


def _rounding(answer: Any) -> float:
    """The precision of the coarsest leaf of the user's gradient."""
    types = [np.asarray(leaf).dtype for leaf in jax.tree.leaves(answer)]
    floats = [t for t in types if jnp.issubdtype(t, jnp.floating)]
    epsilons = [float(jnp.finfo(t).eps) for t in floats]  # type: ignore[no-untyped-call]
    return max(epsilons, default=float(np.finfo(float).eps))


def traced(loss: Callable[[Any], Any], params: Any) -> core.ClosedJaxpr | None:
    """The loss as JAX traces it, or None if it is none that JAX can trace."""
    try:
        closed, shape = jax.make_jaxpr(loss, return_shape=True)(_in_jax(params))
    except Exception:  # NumPy and Python code refuse tracers in many ways
        return None
    if not hasattr(shape, "shape") or shape.shape != ():
        raise ValueError(
            "check.gradient: loss must give one number, got "
            f"{jax.tree.map(lambda s: s.shape, shape)}"
        )
    result: core.ClosedJaxpr = closed
    return result


def _traceable(grad: Callable[[Any], Any], params: Any) -> bool:
    """Whether JAX can trace the gradient: one compiled program is faster than its operations."""
    try:
        jax.eval_shape(grad, _in_jax(params))
    except Exception:  # NumPy and Python code refuse tracers in many ways
        return False
    return True


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
    """Floating-point arrays and numbers in float64, NumPy's as NumPy's; all else as it is."""

    def widened(leaf: Any) -> Any:
        if isinstance(leaf, float):
            return np.float64(leaf)
        if not isinstance(leaf, np.ndarray | np.generic | jax.Array) or not is_float(leaf):
            return leaf
        if isinstance(leaf, jax.Array):
            return jnp.asarray(leaf, np.float64)
        return np.asarray(leaf, np.float64)

    return jax.tree.map(widened, tree)


def _like(tree: Any, old: Any) -> Any:
    def narrowed(leaf: Any, o: Any) -> Any:
        if isinstance(o, float | int):
            return type(o)(leaf)
        return leaf.astype(o.dtype) if is_float(o) else leaf

    return jax.tree.map(narrowed, tree, old)


def nearby(params: Any, seed: int) -> Any:
    """Parameters near the given ones: the same for the same seed."""
    rng = np.random.default_rng(seed)

    def moved(leaf: Any) -> Any:
        if not is_float(leaf):
            return leaf
        array = np.asarray(leaf)
        size = float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0
        step = SPREAD * (size or 1.0) * rng.standard_normal(array.shape)
        new = array + step
        return jnp.asarray(new) if isinstance(leaf, jax.Array) else new

    return jax.tree.map(moved, params)


def align(answer: Any, params: Any) -> list[Any]:
    """The user's gradient leaf by leaf in the order of the parameters; None where one is missing.

    Raises:
        TypeError: It has other leaves than the parameters.
    """
    floats = [name for name, leaf in named(params) if is_float(leaf)]
    own: Any = jax.tree.structure(params)
    if jax.tree.structure(answer) == own:
        by_name: dict[str, Any] = dict(named(answer))
        return [by_name[name] for name in floats]
    by_name = dict(named(answer))
    unknown = sorted(set(by_name) - {name for name, _ in named(params)})
    leaves = jax.tree.leaves(answer)
    if unknown and len(leaves) == len(floats):  # a list for a tuple, or the like
        return leaves
    if unknown:
        hint = ""
        if isinstance(answer, tuple) and len(answer) == 2 and np.ndim(leaves[0]) == 0:
            hint = "; it looks like (value, gradient): return the gradient alone"
        raise TypeError(
            "check.gradient: grad must give a tree like params, with the leaves "
            f"{', '.join(floats)}, got {', '.join(by_name)}{hint}"
        )
    return [by_name.get(name) for name in floats]
