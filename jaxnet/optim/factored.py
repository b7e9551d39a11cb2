"""Rules that keep a few numbers an axis in place of one an entry."""

from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import Mask, leafwise, with_decay
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_count,
    check_decay,
    check_nonnegative,
    check_positive,
)


class Factored(NamedTuple):
    """Averages of the squared gradient over the columns and over the rows."""

    r: Array
    c: Array


class Whole(NamedTuple):
    """The average of the squared gradient of a leaf that is not factored."""

    v: Array


class AdafactorLeaf(NamedTuple):
    """One leaf's state of `adafactor`; m is () without momentum."""

    v: Factored | Whole
    m: Any


class Sm3Leaf(NamedTuple):
    """One leaf's state of `sm3`: the momentum, and one array an axis."""

    m: Array
    mu: tuple[Array, ...]


Axes: TypeAlias = tuple[int, int]


def adafactor(
    learning_rate: LearningRate | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Hyper = 0.8,
    decay_offset: Hyper = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Hyper | None = 1.0,
    momentum: Hyper | None = None,
    weight_decay_rate: Hyper | None = None,
    eps: Hyper = 1e-30,
    factored: bool = True,
    weight_decay_mask: Mask = None,
    min_scale: Hyper = 1e-3,
) -> optax.GradientTransformationExtraArgs:
    """Adafactor: RMSProp with the squared gradients of a matrix kept as row and column means.

    From R = C = 0, for t = 1, 2, ... and a matrix x,

        b_t := 1 - (t - offset)^-c
        R := b_t R + (1 - b_t) mean over each row of (g^2 + eps)
        C := b_t C + (1 - b_t) mean over each column of (g^2 + eps)
        V := R C^T / mean(R)
        U := g / sqrt(V)
        U := U / max(1, rms(U) / d)
        x := x - rho_t max(eps2, rms(x)) U

    rms is the root of the mean square over a leaf. b_1 = 0, so no average needs a correction.
    Leaves that are not factored have V := b_t V + (1 - b_t) (g^2 + eps). Of a leaf with more than
    two axes the two largest are the rows and columns, and the others are kept.

    The paper's rho_t = min(0.01, 1 / sqrt(t)) is taken if no learning rate is given, and the
    learning rate if there is one.

    Differs from: optax multiplies by nothing if no learning rate is given, and computes b_t in
    float32 also for float64 leaves. PyTorch takes min(lr, 1 / sqrt(t)), which is this rule with
    that schedule, factors every matrix (min_dim_size_to_factor=1), bounds V from below in place
    of eps, and multiplies its decay by lr. Keras applies the bound 1 / sqrt(t) even if told not
    to. The weight decay here, as in optax, is not multiplied by lr.

    Args:
        learning_rate: A number, an array or an optax schedule in the place of rho_t; None for the
            paper's.
        min_dim_size_to_factor: Factor a leaf if two of its axes are at least this long.
        decay_rate: c, not negative.
        decay_offset: The step at which fine-tuning began.
        multiply_by_parameter_scale: Whether max(eps2, rms(x)) is a factor of the step.
        clipping_threshold: d, positive; None for no clipping.
        momentum: beta of m := beta m + (1 - beta) (the step), which then is the step; None for
            no momentum.
        weight_decay_rate: wd of x := x - wd x beside the step; None for none.
        eps: Keeps V from 0.
        factored: Whether to factor at all.
        weight_decay_mask: Which leaves decay: a tree of bools, or a function from the parameters
            to one.
        min_scale: eps2, which lets leaves of zeros move.

    Returns:
        An optax gradient transformation; its state holds R and C, rows + columns numbers a matrix;
        one times the parameters for leaves that are not factored, and one more with momentum.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Shazeer & Stern (2018), Algorithms 4 and 5.
    """
    check_count("adafactor", "min_dim_size_to_factor", min_dim_size_to_factor)
    check_nonnegative("adafactor", "decay_rate", decay_rate)
    check_nonnegative("adafactor", "decay_offset", decay_offset)
    if clipping_threshold is not None:
        check_positive("adafactor", "clipping_threshold", clipping_threshold)
    if momentum is not None:
        check_decay("adafactor", "momentum", momentum)
    if weight_decay_rate is not None:
        check_nonnegative("adafactor", "weight_decay_rate", weight_decay_rate)
    check_nonnegative("adafactor", "eps", eps)
    check_nonnegative("adafactor", "min_scale", min_scale)

    def axes_of(x: Array) -> Axes | None:
        return factored_axes(x.shape, min_dim_size_to_factor) if factored else None

    def init(x: Array) -> AdafactorLeaf:
        m = () if momentum is None else jnp.zeros_like(x)
        axes = axes_of(x)
        if axes is None:
            return AdafactorLeaf(Whole(jnp.zeros_like(x)), m)
        r, c = (jnp.zeros_like(x, shape=without(x.shape, axis)) for axis in reversed(axes))
        return AdafactorLeaf(Factored(r, c), m)

    def step(
        g: Array, s: AdafactorLeaf, x: Array, lr: Array, t: Array, decays: bool
    ) -> tuple[Array, AdafactorLeaf]:
        b = 1 - (t - decay_offset) ** -decay_rate
        u, v = scaled(g, s.v, b, eps, axes_of(x))
        if clipping_threshold is not None:
            u = u / jnp.maximum(1, rms(u) / clipping_threshold)
        u = lr * u
        if multiply_by_parameter_scale:
            u = jnp.maximum(min_scale, rms(x)) * u
        m: Any = ()
        if momentum is not None:
            m = u = momentum * s.m + (1 - momentum) * u
        if weight_decay_rate is not None and decays:
            u = with_decay(u, weight_decay_rate, x)
        return -u, AdafactorLeaf(v, m)

    rate = paper_rate if learning_rate is None else learning_rate
    return leafwise("adafactor", rate, init, step, masks=(weight_decay_mask,))


def paper_rate(step: Array) -> Array:
    """Adafactor's rho_t = min(0.01, 1 / sqrt(t)) for step t - 1."""
    return jnp.minimum(0.01, 1 / jnp.sqrt((step + 1).astype(jnp.result_type(float))))


def factored_axes(shape: tuple[int, ...], least: int) -> Axes | None:
    """The second largest and the largest axis, or None if one is shorter than `least`."""
    if len(shape) < 2:
        return None
    second, first = sorted(range(len(shape)), key=lambda axis: shape[axis])[-2:]
    return (second, first) if shape[second] >= least else None


def scaled(
    g: Array, s: Factored | Whole, b: Array, eps: Hyper, axes: Axes | None
) -> tuple[Array, Factored | Whole]:
    """The U = g / sqrt(V) of `adafactor`, and the new averages."""
    square = g**2 + eps
    if isinstance(s, Whole) or axes is None:
        v = b * s[0] + (1 - b) * square
        return g / jnp.sqrt(v), Whole(v)
    rows, columns = axes
    r = b * s.r + (1 - b) * jnp.mean(square, columns)
    c = b * s.c + (1 - b) * jnp.mean(square, rows)
    # The factors of V apart: in float32 the product of two that are as small as eps would be 0.
    row = jnp.expand_dims(r, columns)
    row = row / jnp.mean(row, rows, keepdims=True)
    return g / jnp.sqrt(row) / jnp.sqrt(jnp.expand_dims(c, rows)), Factored(r, c)


def sm3(
    learning_rate: LearningRate, momentum: Hyper = 0.9, eps: Hyper = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """SM3-II: AdaGrad's sums, bounded by one number an index of an axis.

    From mu_1 = ... = mu_k = 0 for the k axes of a leaf, and m = 0,

        nu(i) := min over the axes a of mu_a(i_a) + g(i)^2
        mu_a(j) := max of nu(i) over the entries i with i_a = j
        m := beta m + (1 - beta) g / sqrt(nu + eps)
        x := x - lr m

    with 0/0 = 0. nu is never less than the sum of the squared gradients. For a vector (and a
    number, which counts as a vector of length 1) it is that sum, so the rule is AdaGrad.

    Differs from: the paper has no eps; eps and where it stands are optax's. Other ports have no
    momentum by default.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        momentum: beta, in [0, 1).
        eps: Keeps the root from 0.

    Returns:
        An optax gradient transformation; its state holds m, one times the parameters, and one
        number for every index of every axis.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Anil, Gupta, Koren & Singer (2019), SM3-II.
    """
    check_decay("sm3", "momentum", momentum)
    check_nonnegative("sm3", "eps", eps)

    def others(ndim: int) -> list[tuple[int, ...]]:
        """For every axis the other ones; a number has one axis that is not there."""
        return [tuple(b for b in range(ndim) if b != a) for a in range(max(ndim, 1))]

    def init(x: Array) -> Sm3Leaf:
        mu = tuple(jnp.zeros_like(x).max(rest, keepdims=True, initial=0) for rest in others(x.ndim))
        return Sm3Leaf(jnp.zeros_like(x), mu)

    def step(g: Array, s: Sm3Leaf, x: Array, lr: Array, t: Array) -> tuple[Array, Sm3Leaf]:
        least = s.mu[0]
        for mu in s.mu[1:]:
            least = jnp.minimum(least, mu)
        nu = least + g**2
        mus = tuple(nu.max(rest, keepdims=True, initial=0) for rest in others(x.ndim))
        scaled = jnp.where(nu > 0, g / jnp.sqrt(jnp.where(nu > 0, nu, 1) + eps), 0)
        m = momentum * s.m + (1 - momentum) * scaled
        return -lr * m, Sm3Leaf(m, mus)

    return leafwise("sm3", learning_rate, init, step)


def rms(x: Array) -> Array:
    """The root of the mean square; 0 of a leaf without entries."""
    return jnp.sqrt(jnp.sum(x**2) / max(x.size, 1))


def without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """A shape with one axis taken out."""
    return shape[:axis] + shape[axis + 1 :]
