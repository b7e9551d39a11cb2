"""Shampoo and SOAP: rules that precondition every axis of a leaf by a matrix."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.adam import check_adam
from jaxnet.optim.leafwise import Mask, leafwise
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_count,
    check_decay,
    check_number,
    check_positive,
)

Matrices = tuple[Array, ...]


class ShampooLeaf(NamedTuple):
    """One leaf's state of `shampoo`: for every axis H and its root (or diagonals), and v."""

    h: Matrices
    root: Matrices
    v: Array


class SoapLeaf(NamedTuple):
    """One leaf's state of `soap`: Adam's averages, and for every preconditioned axis H and Q."""

    m: Array
    v: Array
    h: Matrices
    q: Matrices


def shampoo(
    learning_rate: LearningRate,
    eps: Hyper = 1e-4,
    momentum: Hyper = 0.0,
    decay: Hyper = 1.0,
    update_interval: int = 1,
    max_dim: int = 1024,
) -> optax.GradientTransformationExtraArgs:
    """Shampoo.

    For a matrix x, from L = R = 0 and v = 0,

        L := L + g g^T
        R := R + g^T g
        v := mu v + (L + eps I)^(-1/4) g (R + eps I)^(-1/4)
        x := x - lr v

    In general a leaf of k axes has a matrix H_a for each, the sum of the products of the gradient
    with itself over the other axes, and (H_a + eps I)^(-1/(2k)) multiplies that axis. A vector
    (and a number, which counts as one of length 1) has (H + eps I)^(-1/2): AdaGrad with a full
    matrix. Of an axis longer than max_dim only the diagonal of H_a is kept; for a vector this is
    AdaGrad.

    Differs from: the paper starts from L = R = eps I, which is the same while nothing decays, and
    has no momentum in its algorithm, but 0.9 in its experiments. Versions for large networks
    average (`decay` below 1: H := decay H + (1 - decay) g g^T), refresh the roots in every n-th
    step (`update_interval`), and give the step the length of another rule's, which this one does
    not. PyTorch and optax have no Shampoo.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        eps: Keeps the roots from infinity, positive.
        momentum: mu, in [0, 1).
        decay: Of the matrices, in [0, 1]; 1 is for sums.
        update_interval: The roots are computed in every so many steps, from the first on.
        max_dim: The longest axis that gets a matrix.

    Returns:
        An optax gradient transformation; its state holds v, one times the parameters, and two
        matrices an axis: 2 (1 + n/m + m/n) or so times the parameters of an n by m matrix.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Gupta, Koren & Singer (2018), Algorithms 1 and 2.
    """
    check_positive("shampoo", "eps", eps)
    check_decay("shampoo", "momentum", momentum)
    check_number("shampoo", "decay", decay, lambda v: 0 <= v <= 1, "in [0, 1]")
    check_count("shampoo", "update_interval", update_interval)
    check_count("shampoo", "max_dim", max_dim)
    # The weight of the new product: 1 of a sum, 1 - decay of an average.
    new = jnp.where(jnp.asarray(decay) == 1, 1.0, 1.0 - decay)

    def init(x: Array) -> ShampooLeaf:
        h = tuple(jnp.zeros_like(p) for p in products(x, max_dim))
        return ShampooLeaf(h, tuple(map(jnp.array, h)), jnp.zeros_like(x))

    def step(g: Array, s: ShampooLeaf, x: Array, lr: Array, t: Array) -> tuple[Array, ShampooLeaf]:
        weight = new.astype(x.dtype)
        pairs = zip(s.h, products(g, max_dim), strict=True)
        hs = tuple((decay * h + weight * p).astype(x.dtype) for h, p in pairs)
        exponent = -1 / (2 * max(x.ndim, 1))
        root = jax.lax.cond(
            (t - 1) % update_interval == 0,
            lambda: tuple(power(h, exponent, eps).astype(x.dtype) for h in hs),
            lambda: s.root,
        )
        v = momentum * s.v + along_axes(g, root)
        return -lr * v, ShampooLeaf(hs, root, v)

    return leafwise("shampoo", learning_rate, init, step)


def soap(
    learning_rate: LearningRate,
    b1: Hyper = 0.95,
    b2: Hyper = 0.95,
    shampoo_beta: Hyper | None = None,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.01,
    mask: Mask = None,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10000,
    precondition_1d: bool = False,
    skip_first: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """SOAP: Adam in the eigenvectors of Shampoo's matrices.

    The first gradient g_0 does not move x. It sets, for a matrix x,

        L := (1 - b) g g^T,  Q_L := eigenvectors of L
        R := (1 - b) g^T g,  Q_R := eigenvectors of R

    From m = v = 0, for t = 1, 2, ... and the next gradients,

        m := b1 m + (1 - b1) g
        v := b2 v + (1 - b2) (Q_L^T g Q_R)^2
        n := Q_L^T m Q_R / (sqrt(v) + eps)
        x := x - lr (sqrt(1 - b2^t) / (1 - b1^t) Q_L n Q_R^T + wd x)
        L := b L + (1 - b) g g^T,  R := b R + (1 - b) g^T g
        if f divides t:  Q_L := qr(L Q_L),  Q_R := qr(R Q_R)

    where qr is the orthogonal factor. Before it, the columns of L Q_L are put into the falling
    order of their estimated eigenvalues, the diagonal of Q_L^T L Q_L, and v with them. A leaf of
    more axes has an L for each. Vectors and numbers have none, and neither have axes longer than
    max_precond_dim: without any Q the rule is Adam.

    With `skip_first=False` the first gradient also makes the step t = 1, in its own eigenvectors.
    There it is diagonal, and what v has beside the diagonal is rounding.

    Differs from: the authors' code multiplies x by 1 - lr wd after the step and not in the first
    one; here the decay is beside the step, in every step. eps stands beside the uncorrected root,
    as in the code and in Keras's Adam. PyTorch and optax have no SOAP.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        shampoo_beta: b, the decay of L and R, in [0, 1); None for b2.
        eps: Keeps the denominator from 0.
        weight_decay: wd, not negative.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.
        precondition_frequency: f, the steps from one refreshment of Q to the next.
        max_precond_dim: The longest axis that gets a matrix.
        precondition_1d: Whether vectors have a matrix too.
        skip_first: Whether the first gradient only sets L, R and their eigenvectors.

    Returns:
        An optax gradient transformation; its state holds m and v, two times the parameters, and two
        matrices an axis: 2 (1 + n/m + m/n) or so times the parameters of an n by m matrix.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Vyas, Morwani, Zhao, Shapira, Brandfonbrener, Janson & Kakade (2024), Algorithm 3.
    """
    check_adam("soap", b1, b2, eps)
    if shampoo_beta is not None:
        check_decay("soap", "shampoo_beta", shampoo_beta)
    check_count("soap", "precondition_frequency", precondition_frequency)
    check_count("soap", "max_precond_dim", max_precond_dim)
    beta = b2 if shampoo_beta is None else shampoo_beta

    def axes_of(x: Array) -> list[int]:
        if x.size == 0 or x.ndim == 0 or (x.ndim == 1 and not precondition_1d):
            return []
        return [axis for axis, n in enumerate(x.shape) if n <= max_precond_dim]

    def init(x: Array) -> SoapLeaf:
        h = tuple(jnp.zeros((x.shape[a], x.shape[a]), x.dtype) for a in axes_of(x))
        q = tuple(jnp.eye(len(matrix), dtype=x.dtype) for matrix in h)
        return SoapLeaf(jnp.zeros_like(x), jnp.zeros_like(x), h, q)

    def step(g: Array, s: SoapLeaf, x: Array, lr: Array, t: Array) -> tuple[Array, SoapLeaf]:
        axes = axes_of(x)
        grams = [product(g, a) for a in axes]
        hs = tuple(
            (beta * h + (1 - beta) * p).astype(x.dtype) for h, p in zip(s.h, grams, strict=True)
        )
        first = t == 1
        q = jax.lax.cond(first, lambda: tuple(eigenvectors(h) for h in hs), lambda: s.q)
        t = t - 1 if skip_first else t  # the number of the move
        m = (b1 * s.m + (1 - b1) * g).astype(x.dtype)
        v = (b2 * s.v + (1 - b2) * rotated(g, q, axes) ** 2).astype(x.dtype)
        n = rotated(m, q, axes) / (jnp.sqrt(v) + eps)
        u = -lr * jnp.sqrt(1 - b2**t) / (1 - b1**t) * rotated_back(n, q, axes)
        if skip_first:
            u, m, v = (jnp.where(first, 0, a) for a in (u, m, v))
        v, q = jax.lax.cond(
            (t > 0) & (t % precondition_frequency == 0),
            lambda: refreshed(v, hs, q, axes),
            lambda: (v, q),
        )
        return u, SoapLeaf(m, v, hs, q)

    return leafwise("soap", learning_rate, init, step, weight_decay=weight_decay, mask=mask)


def product(g: Array, axis: int) -> Array:
    """The product of g with itself over all axes but one: g g^T for a matrix's first axis."""
    rows = jnp.moveaxis(g, axis, 0).reshape(g.shape[axis], g.size // max(g.shape[axis], 1))
    return rows @ rows.T


def products(g: Array, max_dim: int) -> Matrices:
    """`product` for every axis, or its diagonal for axes longer than max_dim."""
    if g.ndim == 0:
        return ((g**2).reshape(1, 1),)
    return tuple(
        product(g, a) if n <= max_dim else jnp.sum(g**2, tuple(b for b in range(g.ndim) if b != a))
        for a, n in enumerate(g.shape)
    )


def power(h: Array, exponent: float, eps: Hyper) -> Array:
    """(h + eps I)^exponent of a positive semidefinite matrix, or of a diagonal."""
    if h.ndim == 1:
        diagonal: Array = (h + eps) ** exponent
        return diagonal
    if h.size == 0:
        return h
    s, q = jnp.linalg.eigh(h)
    # Rounding makes the zeros of a singular matrix negative.
    powers = (jnp.maximum(s, 0) + eps) ** exponent
    raised: Array = (q * powers) @ q.T
    return raised


def along_axes(g: Array, roots: Matrices) -> Array:
    """Every axis of g multiplied by its (symmetric) matrix or diagonal."""
    if g.ndim == 0:
        return g * roots[0][0, 0]
    for axis, root in enumerate(roots):
        if root.ndim == 1:
            g = g * jnp.expand_dims(root, tuple(b for b in range(g.ndim) if b != axis))
        else:
            g = multiplied(g, root, axis)
    return g


def multiplied(g: Array, matrix: Array, axis: int) -> Array:
    """`matrix @ g` along an axis of g."""
    return jnp.moveaxis(jnp.tensordot(matrix, g, (1, axis)), 0, axis)


def rotated(g: Array, q: Matrices, axes: list[int]) -> Array:
    """Q_L^T g Q_R: g in the coordinates of the eigenvectors."""
    for matrix, axis in zip(q, axes, strict=True):
        g = multiplied(g, matrix.T, axis)
    return g


def rotated_back(g: Array, q: Matrices, axes: list[int]) -> Array:
    """Q_L g Q_R^T: the inverse of `rotated`."""
    for matrix, axis in zip(q, axes, strict=True):
        g = multiplied(g, matrix, axis)
    return g


def eigenvectors(h: Array) -> Array:
    """The eigenvectors of a symmetric matrix as columns, those of the largest eigenvalue first."""
    q: Array = jnp.linalg.eigh(h)[1]
    return q[:, ::-1]


def refreshed(v: Array, hs: Matrices, q: Matrices, axes: list[int]) -> tuple[Array, Matrices]:
    """One power iteration for every axis, with v in the new order of the eigenvectors."""
    new = []
    for h, old, axis in zip(hs, q, axes, strict=True):
        moved = h @ old
        order = jnp.argsort(-jnp.sum(old * moved, 0))
        new.append(jnp.linalg.qr(moved[:, order])[0])
        v = jnp.take(v, order, axis)
    return v, tuple(new)
