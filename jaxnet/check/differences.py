"""Numeric differences: the witness that needs no derivative."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array
from jax.typing import ArrayLike

from jaxnet.layers.leaves import leaf_name

STEP = 1e-3
"""Relative step: large for a difference, as the extrapolation removes the error that grows with
it, and what remains is rounding, which falls with it."""

EPS = float(np.finfo(np.float64).eps)

METHODS = ("central", "richardson", "complex_step")
"""How `finite_difference` can differentiate."""

LEVELS = np.array([1.0, 0.5, 0.25])
"""The shares of a step at which extrapolated differences are taken."""

BATCH = 64
"""How many values of a traced function are computed at once."""


class Estimate(NamedTuple):
    """Derivatives with what is known about them; in a tree, with its structure and shapes.

    The error holds where the function is smooth in the step's reach. At a kink it reaches from the
    value, which is the mean of the slopes to the right and to the left, to either of them.
    """

    value: Any  # the derivative
    error: Any  # its distance from the true one is hardly ever larger
    kink: Any  # whether the slopes to the right and to the left differ


class Point(NamedTuple):
    """The floating-point numbers of a tree as one vector of n entries."""

    flat: np.ndarray  # (n,), float64
    scale: np.ndarray  # (n,): the magnitude of an entry, and no less than is typical of its leaf
    tree: Callable[[Any], Any]  # from such a vector to the tree; its other leaves as they were
    parts: Callable[[Any], Any]  # the same with None for the other leaves
    vector: Callable[[str, Any], np.ndarray]  # back, from a tree as `parts` makes it


class Scalar(NamedTuple):
    """A real function of a vector, and how it can be called."""

    call: Callable[[Any], Any]
    traced: bool  # whether JAX can trace it; else it takes NumPy arrays
    eps: float  # distance from 1 to the next number of the type that it returns
    here: float | None  # its value at the point, if it had to be called


def finite_difference(
    f: Callable[[Any], Any],
    x: Any,
    method: str = "richardson",
    step: float | None = None,
    entries: npt.ArrayLike | None = None,
) -> Any:
    """Gradient of a scalar function of a tree by differences, in float64.

    With h the step of the entry j, e_j its unit vector and D(h) the central difference,

        central        D(h) = (f(x + h e_j) - f(x - h e_j)) / (2 h) = f_j + a h^2 + b h^4 + ...
        richardson     R(h) = (4 D(h / 2) - D(h)) / 3,  f_j ~ (16 R(h / 2) - R(h)) / 15
        complex_step   f_j ~ Im f(x + i h e_j) / h

    take 2, 6 and 1 values of f an entry. The complex step subtracts nothing and is right to the
    last digits, but f must be analytic and take complex numbers. Its result is compared with an
    extrapolated difference in one random direction, because functions that are not analytic often
    return a complex number all the same, and a wrong one.

    The step is h = step * max(|x_j|, m) with m the mean magnitude of the nonzero entries of the
    same leaf (1 if there are none), so that leaves of 1e-6 and of 1e6 are both differentiated well.
    With eps the distance from 1 to the next number of the type that f returns, the step defaults to

        central        eps^(1/3), where the error of order h^2 and the rounding, eps / h, balance
        richardson     eps^(1/5), where those of R do, of order h^4 and eps / h
        complex_step   1e-20

    A function that `jax.eval_shape` can trace is compiled and mapped over the entries. Any other,
    one that raises whatever exception when traced, is called in Python, an entry at a time, with
    NumPy arrays of its own. To keep a loop over thousands of entries from being compiled, let f
    call `np.asarray` on what it is given.

    Args:
        f: Function of the tree; a scalar.
        x: Where to differentiate it: a tree of floating-point arrays or numbers, which f gets as
            float64 arrays. Leaves of other types (integers, keys) stay as they are.
        method: "central", "richardson" or "complex_step".
        step: Relative step; None for the one above.
        entries: The entries to differentiate with respect to, counted through the floating-point
            leaves in their order; None for all of them.

    Returns:
        The gradient as float64 NumPy arrays, with the structure of x and None for leaves of other
        types; with `entries`, a vector of as many partial derivatives. NaN where f is not finite.

    Raises:
        TypeError: x has no floating-point leaf, or a complex one; f does not return a number.
        ValueError: The method, the step or an entry does not exist; x is not finite; f returns an
            array or a complex number, or, for the complex step, is not analytic.

    References: Richardson (1911); Squire & Trapp (1998), the complex step; Press et al. (2007),
    section 5.7, the steps.
    """
    name = "finite_difference"
    if method not in METHODS:
        raise ValueError(f"{name}: method must be one of {', '.join(METHODS)}, got {method!r}")
    if method == "richardson":
        return _estimates(name, f, x, step, entries).value
    with jax.enable_x64(True):
        point = point_of(name, x)
        chosen = _chosen(name, entries, point)
        function = scalar(name, lambda v: f(point.tree(v)), point.flat)
        if method == "central":
            h = checked_step(name, step, function.eps ** (1 / 3)) * point.scale[chosen]
            _, up, down = _sides(function, point.flat, chosen, h[None])
            moved = point.flat[chosen]
            with np.errstate(invalid="ignore", over="ignore"):
                value = (up - down)[0] / ((moved + h) - (moved - h))
        else:
            value = _complex_step(
                name, function, point, chosen, checked_step(name, step, 1e-20, 0.0)
            )
    return point.parts(value) if entries is None else value


def estimates(
    f: Callable[[Any], Any],
    x: Any,
    step: float | None = None,
    entries: npt.ArrayLike | None = None,
) -> Estimate:
    """Partial derivatives by extrapolated differences, how far to trust them, and kinks.

    With D(h), R(h) and h as in `finite_difference` and J(h) the difference of the slopes to the
    right and to the left, which for a smooth f is f'' h and odd in h,

        J(h)  = (f(x + h e_j) - f(x)) / h - (f(x) - f(x - h e_j)) / h
        value = (16 R(h / 2) - R(h)) / 15
        jump  = |16 J(h / 4) - 10 J(h / 2) + J(h)| / 7                            -> |J(0)|
        noise = max(16 eps max |f|, 3 median_j |R(h / 2) - R(h)| h)
        error = |R(h / 2) - R(h)| + noise / h + jump / 2

    The change of R is far above the truncation error of the value and, by its median over the
    entries, shows noise in f beyond the rounding of its last digit. A kink is a jump that is no
    smaller than a third of J(h), where a smooth function's is a small part of it, and more than ten
    times the rest of the error. It is seen if it lies within about h / 50 of x.

    Args:
        f: As in `finite_difference`.
        x: As in `finite_difference`.
        step: Relative step; None for eps^(1/5).
        entries: As in `finite_difference`.

    Returns:
        The value, the error and the kink of every entry, each in a tree or, with `entries`, a
        vector as `finite_difference` returns.

    Raises:
        TypeError: As `finite_difference`.
        ValueError: As `finite_difference`.
    """
    return _estimates("estimates", f, x, step, entries)


def kinks(
    f: Callable[[Any], Any],
    x: Any,
    step: float | None = None,
    entries: npt.ArrayLike | None = None,
) -> Any:
    """Whether a function has a kink at x along every entry: |x| and ReLU at 0, a tie of max.

    There one-sided slopes differ, differences give their mean, and a gradient is a matter of
    choice. See `estimates`, which finds the derivatives at the same time, for how a kink is told
    from a bend; a joint of two pieces with the same slope, as the Huber loss has, is none.

    Args:
        f: As in `finite_difference`.
        x: As in `finite_difference`.
        step: Relative step; a larger one sees kinks further away.
        entries: As in `finite_difference`.

    Returns:
        Booleans, in a tree or a vector as `finite_difference` returns.

    Raises:
        TypeError: As `finite_difference`.
        ValueError: As `finite_difference`.
    """
    kink: Any = _estimates("kinks", f, x, step, entries).kink
    return kink


def directional_difference(
    f: Callable[[Any], Any], x: Any, direction: Any, step: float | None = None
) -> Estimate:
    """Slope of a scalar function along a direction, by extrapolated differences in float64.

        d/dt f(x + t d)  at t = 0

    as `estimates` takes a partial derivative, in 6 values of f whatever the size of x, besides that
    at x. The step in t moves no entry by more than its own step, and one of them by as much.

    Args:
        f: As in `finite_difference`.
        x: As in `finite_difference`.
        direction: d, a tree of the structure and the shapes of x; where x has leaves of other types
            than floating-point it may have anything, None too.
        step: Relative step; None for eps^(1/5).

    Returns:
        The slope, its error and whether it has a kink, as scalars.

    Raises:
        TypeError: As `finite_difference`.
        ValueError: As `finite_difference`, or the direction does not fit x.
    """
    name = "directional_difference"
    with jax.enable_x64(True):
        point = point_of(name, x)
        function = scalar(name, lambda v: f(point.tree(v)), point.flat)
        return line_slope(
            name, function, point, point.vector(f"{name}: direction", direction), step
        )


def central_differences(
    f: Callable[[Array], Array], x: Array, entries: ArrayLike | None = None, step: float = STEP
) -> Array:
    """Partial derivatives by extrapolated central differences, inside a compiled program.

    `finite_difference` is for all other uses. With h = step * max(1, |x_j|) for the entry j and
    e_j its unit vector,

        D(h) = (f(x + h e_j) - f(x - h e_j)) / (2 h) = f_j + c h^2 + O(h^4)
        f_j ~ (4 D(h / 2) - D(h)) / 3                            (Richardson, 1911)

    In float64 the error is near 1e-12 for a function of ordinary size and curvature; within h of
    a kink (ReLU at 0) it is the kink's.

    Args:
        f: Function of a vector; a scalar.
        x: Where to differentiate it, (n,), float64.
        entries: The entries to differentiate with respect to, integers; None for all of them.
        step: Relative step.

    Returns:
        The partial derivatives, one an entry.

    Raises:
        TypeError: x is not float64, in which differences have the digits they need.
    """
    if x.dtype != np.float64:
        raise TypeError(
            f"central_differences: x must be float64, got {x.dtype}; "
            "call it under jax.enable_x64(True) with a float64 array"
        )

    chosen = jnp.arange(x.size) if entries is None else jnp.asarray(entries)
    h = step * jnp.maximum(1.0, jnp.abs(x[chosen]))
    moves = jnp.stack([h, -h, h / 2, -h / 2])
    up, down, half_up, half_down = mapped(f, x, chosen[:, None], moves[:, :, None])
    derivatives: Array = (4 * (half_up - half_down) / h - (up - down) / (2 * h)) / 3
    return derivatives


def point_of(name: str, x: Any) -> Point:
    """The point of a tree; `name` is who asks, for the errors."""
    named = jax.tree.leaves_with_path(x)
    structure: Any = jax.tree.structure(x)
    leaves = [leaf for _, leaf in named]
    types = [leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype for leaf in leaves]
    floating = [bool(jnp.issubdtype(dtype, np.floating)) for dtype in types]
    labels = [f"leaf {leaf_name(path)}" if path else "x" for path, _ in named]
    for label, dtype in zip(labels, types, strict=True):
        if jnp.issubdtype(dtype, np.complexfloating):
            raise TypeError(
                f"{name}: {label} is {dtype}, but derivatives are with respect to real numbers; "
                "give the real and the imaginary part as two leaves"
            )
    if leaves and not any(floating):
        raise TypeError(
            f"{name}: x must have a floating-point leaf, got {', '.join(map(str, types))}; "
            "convert what is to be differentiated to float"
        )
    arrays = {i: np.asarray(leaves[i]).astype(np.float64) for i in np.flatnonzero(floating)}
    for i, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: {labels[i]} is not finite, so there are no derivatives")
    ends = np.cumsum([array.size for array in arrays.values()])
    slices = [
        slice(end - array.size, end) for end, array in zip(ends, arrays.values(), strict=True)
    ]

    def build(vector: Any, others: list[Any]) -> Any:
        filled = list(others)
        for (i, array), part in zip(arrays.items(), slices, strict=True):
            filled[i] = vector[part].reshape(array.shape)
        return jax.tree.unflatten(structure, filled)

    def vector(what: str, tree: Any) -> np.ndarray:
        try:
            given = structure.flatten_up_to(tree)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{what} must have the structure of x, {structure}: {error}") from None
        flat = [np.zeros(0)]
        for i, array in arrays.items():
            if given[i] is None:
                raise ValueError(f"{what} has None for {labels[i]}, which is floating-point")
            if np.shape(given[i]) != array.shape:
                raise ValueError(
                    f"{what} must have the shapes of x: for {labels[i]} it is "
                    f"{np.shape(given[i])} in place of {array.shape}"
                )
            flat.append(np.asarray(given[i], dtype=np.float64).reshape(-1))
        return np.concatenate(flat)

    return Point(
        flat=np.concatenate([np.zeros(0), *(array.reshape(-1) for array in arrays.values())]),
        scale=np.concatenate([np.zeros(0), *map(_scale, arrays.values())]),
        tree=lambda v: build(v, leaves),
        parts=lambda v: build(v, [None] * len(leaves)),
        vector=vector,
    )


def traceable(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether JAX can trace a function: no exception of any kind comes of it."""
    try:
        jax.eval_shape(function, *arguments)
    except Exception:
        return False
    return True


def scalar(name: str, call: Callable[[Any], Any], flat: np.ndarray) -> Scalar:
    """A function of a vector with how to call it, once it is known to return a real number."""
    traced = traceable(call, flat)
    result = jax.eval_shape(call, flat) if traced else call(flat.copy())
    if traced and not isinstance(result, jax.ShapeDtypeStruct):
        raise TypeError(f"{name}: f must return a number, got {type(result).__name__}")
    if not traced:
        result = np.asarray(result)
    if result.shape != ():
        raise ValueError(
            f"{name}: f must return a scalar, got shape {result.shape}; return its sum or an entry"
        )
    real = (np.floating, np.integer, np.bool_)
    if not any(jnp.issubdtype(result.dtype, kind) for kind in (*real, np.complexfloating)):
        raise TypeError(f"{name}: f must return a number, got {result.dtype}")
    if jnp.issubdtype(result.dtype, np.complexfloating):
        raise ValueError(
            f"{name}: f must return a real number, got {result.dtype}; "
            "differentiate its real and its imaginary part"
        )
    here = None if traced else float(result)
    if jnp.issubdtype(result.dtype, np.floating):
        eps = jnp.finfo(result.dtype).eps  # type: ignore[no-untyped-call]
        return Scalar(call, traced, max(EPS, float(eps)), here)
    return Scalar(call, traced, EPS, here)


def values(f: Scalar, flat: np.ndarray, entries: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """The values of f at vectors that differ from `flat` by moves of some entries.

    Args:
        f: The function.
        flat: The vector, (n,).
        entries: Which entries are moved together, (m, r); moves of the same one add up.
        moves: By how much, k times, (k, m, r).

    Returns:
        The values, (k, m), of the type of the moves.
    """
    if f.traced:
        # Whole batches, because a rest would be compiled a second time.
        m = len(entries)
        rest = -m % BATCH if m > BATCH else 0
        entries = np.pad(entries, ((0, rest), (0, 0)))
        moves = np.pad(moves, ((0, 0), (0, rest), (0, 0)))
        computed = jax.jit(partial(mapped, f.call))(flat, entries, moves)
        return np.asarray(computed).astype(moves.dtype)[:, :m]

    def value(j: np.ndarray, move: np.ndarray) -> Any:
        vector = flat.copy()  # f may write to what it is given
        np.add.at(vector, j, move)
        return f.call(vector)

    found = [[value(*row) for row in zip(entries, rows, strict=True)] for rows in moves]
    return np.array(found, moves.dtype).reshape(moves.shape[:2])


def mapped(f: Callable[[Array], Any], flat: Array, entries: Array, moves: Array) -> Array:
    """What `values` computes, as a part of a compiled program.

    All k values of a row have the same place in a batch and are rounded alike, so that differences
    with respect to an entry that f ignores are zero.
    """

    def value(row: tuple[Array, Array]) -> Array:
        return jnp.asarray(f(flat.at[row[0]].add(row[1])))

    computed: Array = jax.lax.map(
        lambda rows: jax.lax.map(value, (entries, rows), batch_size=BATCH), moves
    )
    return computed


def richardson(
    up: np.ndarray, down: np.ndarray, base: Any, x: np.ndarray, h: np.ndarray, eps: float
) -> Estimate:
    """The estimates of `estimates`, from values of f.

    Args:
        up: f(x + h), f(x + h / 2), f(x + h / 4) along the first axis.
        down: The same to the other side.
        base: f(x).
        x: What is moved.
        h: By how much.
        eps: Relative rounding of the values.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        s = np.multiply.outer(LEVELS, h)
        right, left = (x + s) - x, x - (x - s)  # what the moves are after rounding
        slopes = (up - down) / (right + left)
        bends = (up - base) / right - (base - down) / left
        jump = np.abs(16 * bends[2] - 10 * bends[1] + bends[0]) / 7
        largest = np.maximum(np.abs(base), np.maximum(np.abs(up), np.abs(down)).max(axis=0))
        value, unsettled = extrapolate(slopes, 16 * eps * largest, h)
        return Estimate(
            value=value,
            error=unsettled + jump / 2,
            kink=jump > np.maximum(np.abs(bends[0]) / 3, 10 * unsettled),
        )


def extrapolate(
    quotients: np.ndarray, rounding: Any, h: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The limit of quotients whose error is even in h, and what it may be off by.

    Noise is much the same in all the values of a function, but one change of an extrapolation may
    be small by chance: so the median of all of them counts for each.

    Args:
        quotients: At h times `LEVELS`, along the first axis; m entries along the second.
        rounding: How much rounding changes the limit, times h.
        h: What the quotients were divided by, m.
    """
    first = (4 * quotients[1:] - quotients[:-1]) / 3
    change = np.abs(first[1] - first[0])
    noise = np.median(np.where(np.isfinite(change * h), change * h, 0.0), axis=0)
    return (16 * first[1] - first[0]) / 15, change + np.maximum(rounding, 3 * noise) / h


def _estimates(
    name: str, f: Callable[[Any], Any], x: Any, step: float | None, entries: npt.ArrayLike | None
) -> Estimate:
    with jax.enable_x64(True):
        point = point_of(name, x)
        chosen = _chosen(name, entries, point)
        function = scalar(name, lambda v: f(point.tree(v)), point.flat)
        found = _extrapolated(name, function, point.flat, point.scale, chosen, step)
    return Estimate(*map(point.parts, found)) if entries is None else found


def _extrapolated(
    name: str,
    f: Scalar,
    flat: np.ndarray,
    scale: np.ndarray,
    chosen: np.ndarray,
    step: float | None,
) -> Estimate:
    h = checked_step(name, step, f.eps ** (1 / 5)) * scale[chosen]
    if h.size == 0:
        return Estimate(np.zeros(0), np.zeros(0), np.zeros(0, bool))
    base, up, down = _sides(f, flat, chosen, np.multiply.outer(LEVELS, h))
    return richardson(up, down, base, flat[chosen], h, f.eps)


def line_slope(
    name: str, f: Scalar, point: Point, direction: np.ndarray, step: float | None
) -> Estimate:
    """The derivative of f(x + t d) with respect to t."""
    fastest = np.max(np.abs(direction) / point.scale, initial=0.0)
    if fastest == 0:
        return Estimate(np.zeros(()), np.zeros(()), np.zeros((), bool))
    along = f._replace(call=lambda t: f.call(point.flat + t[0] * direction))
    found = _extrapolated(name, along, np.zeros(1), np.ones(1) / fastest, np.zeros(1, int), step)
    return Estimate(*(part[0] for part in found))


def _complex_step(
    name: str, f: Scalar, point: Point, chosen: np.ndarray, step: float
) -> np.ndarray:
    if chosen.size == 0:
        return np.zeros(0)
    instead = "; differentiate it by method='richardson'"
    h = step * point.scale[chosen]
    flat = point.flat.astype(np.complex128)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            result = jax.eval_shape(f.call, flat) if f.traced else np.asarray(f.call(flat.copy()))
            found: np.ndarray = values(f, flat, chosen[:, None], 1j * h[None, :, None])[0].imag / h
    except np.exceptions.ComplexWarning as error:
        raise ValueError(f"{name}: f drops the imaginary part ({error}){instead}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ValueError(f"{name}: f does not take complex numbers ({reason}){instead}") from error
    if not jnp.issubdtype(result.dtype, np.complexfloating):
        raise ValueError(
            f"{name}: f returns {result.dtype} for complex numbers: it drops the imaginary part, "
            f"as abs, real and norms do{instead}"
        )
    # Whether f is analytic: along a direction in which nothing cancels but by chance.
    direction = np.zeros_like(point.flat)
    direction[chosen] = np.random.default_rng(0).uniform(0.5, 1.0, chosen.size)
    direction *= point.scale
    once, first = np.unique(chosen, return_index=True)
    terms = direction[once] * found[first]
    witness = line_slope(name, f, point, direction, None)
    if abs(terms.sum() - witness.value) > 2 * witness.error + 1e-9 * abs(terms).sum():
        raise ValueError(
            f"{name}: f is not analytic: in a random direction the complex step finds a slope of "
            f"{terms.sum():.6g} and differences find {witness.value:.6g}; a part of f may drop the "
            f"imaginary part, as abs, real and conj do{instead}"
        )
    return found


def _sides(
    f: Scalar, flat: np.ndarray, chosen: np.ndarray, moves: np.ndarray
) -> tuple[Any, np.ndarray, np.ndarray]:
    """f(x), and f with each of the m chosen entries moved up and down by k moves, (k, m)."""
    if chosen.size == 0:
        return 0.0, np.zeros_like(moves), np.zeros_like(moves)
    if f.here is not None:
        found = values(f, flat, chosen[:, None], np.concatenate([moves, -moves])[:, :, None])
        up, down = found.reshape(2, *moves.shape)
        return f.here, up, down
    # f(x) as one more column: a program of its own would have to be compiled.
    rows = np.append(chosen, chosen[0])
    moves = np.hstack([moves, np.zeros((len(moves), 1))])
    found = values(f, flat, rows[:, None], np.concatenate([moves, -moves])[:, :, None])
    up, down = found.reshape(2, *moves.shape)
    return up[0, -1], up[:, :-1], down[:, :-1]


def checked_step(name: str, step: float | None, default: float, least: float = 8 * EPS) -> float:
    """The relative step, where it is one."""
    if step is None:
        return default
    if not least < step < np.inf:
        raise ValueError(
            f"{name}: step must be a number above {least:.1e}, relative to x, got {step!r}"
        )
    return float(step)


def _chosen(name: str, entries: npt.ArrayLike | None, point: Point) -> np.ndarray:
    n = point.flat.size
    if entries is None:
        return np.arange(n)
    chosen = np.asarray(entries)
    if chosen.ndim != 1 or not (chosen.size == 0 or np.issubdtype(chosen.dtype, np.integer)):
        raise ValueError(
            f"{name}: entries must be a vector of integers, got {chosen.dtype} of shape "
            f"{chosen.shape}"
        )
    outside = chosen[(chosen < 0) | (chosen >= n)]
    if outside.size:
        raise ValueError(f"{name}: entries must be from 0 to {n - 1}, got {outside[0]}")
    return chosen.astype(int)


def _scale(leaf: np.ndarray) -> np.ndarray:
    """The magnitudes of a leaf's entries, but no less than the mean of those that are not zero."""
    sizes = np.abs(leaf).reshape(-1)
    typical = sizes[sizes > 0].mean() if sizes.any() else 1.0
    scale: np.ndarray = np.maximum(sizes, typical)
    return scale
