"""Hand-written second derivatives against automatic and numeric ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxnet.check.differences import (
    EPS,
    LEVELS,
    Point,
    Scalar,
    extrapolate,
    point_of,
    richardson,
    scalar,
    traceable,
    values,
)
from jaxnet.layers.leaves import named_leaves

SYMMETRIC = 1e-10
"""How far a symmetric matrix may be from its transpose, relative to its largest entry."""


class HessianAgreement(NamedTuple):
    """A hand-written Hessian, or its product with a vector, under a second witness.

    The error is max (|a - b| - u) / max(|a|, |b|) over a leaf with u what the witness itself may be
    wrong by, and the largest of the leaves. It is near 0 for a right Hessian, and for a wrong one
    unless the uncertainty, max u / max(|a|, |b|), hides it.
    """

    error: float  # inf where one of the two is not finite
    uncertainty: float  # of the witness, relative as the error; 0 for automatic differentiation
    symmetric: bool  # H = H^T; of a product, u^T H v = v^T H u for one random u
    worst: str  # the entry that is furthest off: "[1, 2]", or "0.w[3, 4]" of a product
    hand: float  # what was written has there
    reference: float  # what the witness has there


def hessian(
    f: Callable[[Any], Any],
    hand: Callable[[Any], Any],
    x: Any,
    grad: Callable[[Any], Any] | None = None,
) -> HessianAgreement:
    """Compare a hand-written Hessian with a second witness, in float64.

        H_ij = d^2 f / dx_i dx_j

    The witness is the first of these that there is:

        jax.hessian                              where JAX can differentiate f twice
        H_ij ~ (g_j(x + h e_i) - g_j(x - h e_i)) / (2 h)         given the gradient g
        H_ij ~ (f(x + h e_i + k e_j) - f(x + h e_i - k e_j)
                - f(x - h e_i + k e_j) + f(x - h e_i - k e_j)) / (4 h k)

    The differences are extrapolated from three steps as in `estimates`; they take 6 n values of g
    or 6 n (n + 1) of f. Those of f find H to about 1e-10 |f| / (s_i s_j), with s the scale of the
    entries, those of g to 1e-12 |g_j| / s_i. Where f has a hand-written backward pass
    (`jax.custom_vjp`), jax.hessian differentiates that.

    Args:
        f: Function of one array; a scalar. It and the other functions get JAX arrays if JAX can
            trace them, else NumPy arrays.
        hand: The Hessian to be checked, `hand(x)`: (n, n), or the shape of x twice.
        x: Where to compare: one floating-point array of n entries, or a number.
        grad: The gradient of f, `grad(x)`, for an f that JAX cannot differentiate.

    Returns:
        The `HessianAgreement`.

    Raises:
        TypeError: x is not one floating-point array, or f does not return a number.
        ValueError: A function's result has another shape, or x is not finite.

    References: Abramowitz & Stegun (1964), 25.3.26; Richardson (1911).
    """
    name = "hessian"
    if not jax.tree_util.all_leaves([x]):
        raise TypeError(
            f"{name}: x must be one array, got {type(x).__name__}; "
            "hessian_product takes trees, and numpy.asarray makes one array of a list"
        )
    with jax.enable_x64(True):
        point = point_of(name, x)
        function = scalar(name, lambda v: f(point.tree(v)), point.flat)
        n, shape = point.flat.size, np.shape(x) * 2
        written = np.asarray(_called(lambda v: hand(point.tree(v)), point.flat)(point.flat))
        if written.shape not in ((n, n), shape):
            raise ValueError(
                f"{name}: hand must return shape {(n, n)} for x of {n} entries, got {written.shape}"
            )
        written = written.reshape(n, n).astype(np.float64)
        twice = jax.hessian(function.call)
        if function.traced and traceable(twice, point.flat):
            reference, unsure = np.asarray(jax.jit(twice)(point.flat)), np.zeros((n, n))
        elif grad is not None:
            slopes = _called_flat(f"{name}: grad", grad, point, 1)
            reference, unsure = _along(slopes, point.flat, np.eye(n), point.scale)
        else:
            i, j = np.triu_indices(n)
            reference, unsure = np.zeros((2, n, n))
            reference[i, j], unsure[i, j] = _mixed(function, point.flat, point.scale, i, j)
            reference[j, i], unsure[j, i] = reference[i, j], unsure[i, j]
        with np.errstate(invalid="ignore"):
            close = np.abs(written - written.T) <= SYMMETRIC * np.abs(written).max(initial=0.0)
    leaf = "", written.reshape(shape), reference.reshape(shape), unsure.reshape(shape)
    return _agreement([leaf], bool(close.all()))


def hessian_product(
    f: Callable[[Any], Any],
    hand: Callable[[Any, Any], Any],
    x: Any,
    v: Any,
    grad: Callable[[Any], Any] | None = None,
) -> HessianAgreement:
    """Compare a hand-written product of the Hessian and a vector with a second witness, in float64.

        H v = d/dt grad f(x + t v)  at t = 0

    The witness is the first of these that there is; the differences are extrapolated as in
    `hessian` and take 6 values of g or 12 n of f:

        d/dt of jax.grad, in forward mode        where JAX can differentiate f twice
        H v ~ (g(x + t v) - g(x - t v)) / (2 t)                  given the gradient g
        (H v)_i ~ (f(x + h e_i + t v) - f(x + h e_i - t v)
                   - f(x - h e_i + t v) + f(x - h e_i - t v)) / (4 h t)

    Args:
        f: Function of a tree; a scalar. It and the other functions get JAX arrays if JAX can
            trace them, else NumPy arrays.
        hand: The product to be checked, `hand(x, v)`: a tree with the structure of x.
        x: Where to compare: a tree of floating-point arrays; leaves of other types stay as they
            are, in v too, and what `hand` and `grad` return may have anything there, None too.
        v: A tree of the structure and the shapes of x.
        grad: The gradient of f, `grad(x)`, for an f that JAX cannot differentiate.

    Returns:
        The `HessianAgreement`; it compares each leaf by itself.

    Raises:
        TypeError: x has no floating-point leaf, or f does not return a number.
        ValueError: v or a function's result does not fit x, or x is not finite.

    References: Pearlmutter (1994).
    """
    name = "hessian_product"
    with jax.enable_x64(True):
        point = point_of(name, x)
        function = scalar(name, lambda v: f(point.tree(v)), point.flat)
        direction = point.vector(f"{name}: v", v)
        product = _called_flat(f"{name}: hand", hand, point, 2)
        written = product(point.flat, direction)
        other = np.random.default_rng(0).normal(size=point.flat.size) * point.scale
        terms = np.stack([other * written, direction * product(point.flat, other)])
        with np.errstate(invalid="ignore"):
            close = np.abs(terms[0].sum() - terms[1].sum()) <= SYMMETRIC * np.abs(terms).sum()

        def forward(flat: Array, v: Array) -> Array:
            along: Array = jax.jvp(jax.grad(function.call), (flat,), (v,))[1]
            return along

        n = point.flat.size
        fastest = np.max(np.abs(direction) / point.scale, initial=0.0)
        if function.traced and traceable(forward, point.flat, direction):
            reference = np.asarray(jax.jit(forward)(point.flat, direction))
            unsure = np.zeros(n)
        elif fastest == 0:
            reference, unsure = np.zeros((2, n))
        elif grad is not None:
            slopes = _called_flat(f"{name}: grad", grad, point, 1)
            found = _along(slopes, point.flat, direction[None], np.ones(1) / fastest)
            reference, unsure = (part[0] for part in found)
        else:
            # The slope along e_i of the slope along v: t is one more entry.
            line = function._replace(call=lambda z: function.call(z[:n] + z[n] * direction))
            flat, scale = np.append(point.flat, 0.0), np.append(point.scale, 1 / fastest)
            reference, unsure = _mixed(line, flat, scale, np.arange(n), np.full(n, n))
    leaves = (named_leaves(point.parts(part)) for part in (written, reference, unsure))
    hands, references, uncertainties = leaves
    return _agreement(
        [(leaf, hands[leaf], references[leaf], uncertainties[leaf]) for leaf in hands], bool(close)
    )


def _called(function: Callable[..., Any], *vectors: np.ndarray) -> Callable[..., Any]:
    """The function compiled, if JAX can trace it; else with NumPy arrays that it may write to."""
    if traceable(function, *vectors):
        return jax.jit(function)
    return lambda *given: function(*(vector.copy() for vector in given))


def _called_flat(
    what: str, function: Callable[..., Any], point: Point, arguments: int
) -> Callable[..., np.ndarray]:
    """A function from trees to a tree as one from vectors to a vector."""
    called = _called(
        lambda *vectors: function(*map(point.tree, vectors)), *[point.flat] * arguments
    )
    return lambda *vectors: point.vector(what, called(*vectors))


def _along(
    slopes: Callable[[np.ndarray], np.ndarray],
    flat: np.ndarray,
    directions: np.ndarray,
    size: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The derivatives of n slopes along m directions, (m, n), and what they may be off by."""
    if len(directions) == 0:
        return np.zeros_like(directions), np.zeros_like(directions)
    h = EPS ** (1 / 5) * size
    up, down = (
        np.array(
            [
                [slopes(flat + side * s * t * d) for t, d in zip(h, directions, strict=True)]
                for s in LEVELS
            ]
        )
        for side in (1, -1)
    )
    found = richardson(up, down, slopes(flat), np.zeros((len(h), 1)), h[:, None], EPS)
    return found.value, found.error


def _mixed(
    f: Scalar, flat: np.ndarray, scale: np.ndarray, i: np.ndarray, j: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The second derivatives of f with respect to m pairs of entries; what they may be off by."""
    if len(i) == 0:
        return np.zeros(0), np.zeros(0)
    # Where the error of order h^6 and the rounding, eps / h^2, balance.
    h = f.eps ** (1 / 8) * scale
    signs = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    pairs = np.stack([i, j], axis=-1)
    moves = LEVELS[:, None, None, None] * signs[:, None] * h[pairs]  # (3, 4, m, 2)
    found = values(f, flat, pairs, moves.reshape(12, -1, 2)).reshape(moves.shape[:3])
    area = h[i] * h[j]
    with np.errstate(invalid="ignore", over="ignore"):
        quotients = np.tensordot(found, signs.prod(axis=1), (1, 0))
        quotients /= 4 * np.multiply.outer(LEVELS**2, area)
        return extrapolate(quotients, 32 * f.eps * np.abs(found).max(axis=(0, 1)), area)


def _agreement(
    leaves: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]], symmetric: bool
) -> HessianAgreement:
    rows = [_leaf(*leaf, symmetric) for leaf in leaves if leaf[1].size]
    nothing = HessianAgreement(0.0, 0.0, symmetric, "", 0.0, 0.0)
    return max(rows, key=lambda row: row.error, default=nothing)


def _leaf(
    leaf: str, hand: np.ndarray, reference: np.ndarray, unsure: np.ndarray, symmetric: bool
) -> HessianAgreement:
    finite = np.isfinite(hand) & np.isfinite(reference)
    size = np.where(finite, np.maximum(np.abs(hand), np.abs(reference)), 0.0).max()
    with np.errstate(invalid="ignore"):
        excess = np.where(finite, np.abs(hand - reference) - unsure, np.inf)
    index = np.unravel_index(excess.argmax(), excess.shape)
    most = max(0.0, float(excess[index]))
    return HessianAgreement(
        error=float(most / size) if size > 0 else most,
        uncertainty=float(unsure.max() / size) if size > 0 else 0.0,
        symmetric=symmetric,
        worst=f"{leaf}[{', '.join(map(str, index))}]" if index else leaf,
        hand=float(hand[index]),
        reference=float(reference[index]),
    )
