"""Rules that set the length of a leaf's step by the norms of the leaf and of its gradient."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.adam import check_adam
from jaxnet.optim.leafwise import Accumulator, Mask, Moments, leafwise, norm, with_decay, zeros_of
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_choice,
    check_decay,
    check_nonnegative,
)


class NovogradLeaf(NamedTuple):
    """One leaf's state of `novograd`: an array, and a scalar for the whole leaf."""

    m: Array
    v: Array


def lars(
    learning_rate: LearningRate,
    weight_decay: Hyper = 0.0,
    weight_decay_mask: Mask = None,
    trust_coefficient: Hyper = 0.001,
    eps: Hyper = 0.0,
    trust_ratio_mask: Mask = None,
    momentum: Hyper = 0.9,
    nesterov: bool = False,
    dialect: Literal["optax", "paper"] = "optax",
) -> optax.GradientTransformationExtraArgs:
    """Layer-wise adaptive rate scaling.

    From v = 0, for every leaf x with gradient g,

        u := g + wd x
        lambda := eta |x| / (|u| + eps)
        v := mu v + lr lambda u
        x := x - v,  or with Nesterov momentum  x := x - (lr lambda u + mu v)

    |.| is the Euclidean norm of the leaf, and lambda is 1 where |x| or the denominator is 0.

    Differs from: the paper has lambda = eta |x| / (|g| + wd |x|), which `dialect="paper"` gives;
    the two are the same without weight decay. NVIDIA's LARC bounds lambda by 1. lr is inside the
    velocity, as in the paper and in optax; under a schedule that is another path than with lr
    outside.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        weight_decay: wd of an L2 term, not negative.
        weight_decay_mask: Which leaves decay: a tree of bools, or a function from the parameters
            to one.
        trust_coefficient: eta, not negative.
        eps: Keeps the denominator from 0.
        trust_ratio_mask: Which leaves have a lambda; it is 1 for the others. Biases and the
            parameters of normalisation are often left out.
        momentum: mu, in [0, 1).
        nesterov: Whether the momentum is Nesterov's.
        dialect: "optax" for the norm of the sum, "paper" for the sum of the norms.

    Returns:
        An optax gradient transformation; its state holds v, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range, or the dialect is unknown.

    Reference: You, Gitman & Ginsburg (2017), Algorithm 1.
    """
    check_nonnegative("lars", "weight_decay", weight_decay)
    check_nonnegative("lars", "trust_coefficient", trust_coefficient)
    check_nonnegative("lars", "eps", eps)
    check_decay("lars", "momentum", momentum)
    check_choice("lars", "dialect", dialect, ("optax", "paper"))

    def step(
        g: Array, s: Accumulator, x: Array, lr: Array, t: Array, decays: bool, scaled: bool
    ) -> tuple[Array, Accumulator]:
        wd = weight_decay if decays else 0.0
        u = with_decay(g, wd, x)
        length = norm(u) if dialect == "optax" else norm(g) + wd * norm(x)
        trust = ratio(trust_coefficient * norm(x), length, eps) if scaled else 1
        v = momentum * s.v + lr * trust * u
        return -(lr * trust * u + momentum * v) if nesterov else -v, Accumulator(v)

    masks = (weight_decay_mask, trust_ratio_mask)
    return leafwise("lars", learning_rate, zeros_of(Accumulator), step, masks=masks)


def lamb(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-6,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """Layer-wise adaptive moments: Adam's direction, as long as the leaf.

    With m^ and v^ as in `adam`, for every leaf x,

        r := m^ / (sqrt(v^ + eps_root) + eps)
        u := r + wd x
        x := x - lr |x| / |u| u

    |.| is the Euclidean norm of the leaf; the ratio is 1 where one of the norms is 0.

    Differs from: the paper has phi(|x|) for |x|, with phi some bounded function; phi is the
    identity here and in optax. Keras decays outside the ratio. Several ports leave out the bias
    correction.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        weight_decay: wd, not negative.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation; its state holds m and v, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer & Hsieh (2020),
    Algorithm 2.
    """
    check_adam("lamb", b1, b2, eps, eps_root)
    check_nonnegative("lamb", "weight_decay", weight_decay)

    def step(
        g: Array, s: Moments, x: Array, lr: Array, t: Array, decays: bool
    ) -> tuple[Array, Moments]:
        m = b1 * s.m + (1 - b1) * g
        v = b2 * s.v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        r = m_hat / (jnp.sqrt(v_hat + eps_root) + eps)
        u = with_decay(r, weight_decay if decays else 0.0, x)
        return -lr * ratio(norm(x), norm(u)) * u, Moments(m, v)

    return leafwise("lamb", learning_rate, zeros_of(Moments), step, masks=(mask,))


def novograd(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.25,
    eps: Hyper = 1e-6,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """NovoGrad: the gradient divided by a running norm of the leaf, with momentum.

    From v = |g|^2 of the first gradient and m = 0, for every leaf x,

        v := b2 v + (1 - b2) |g|^2,  from the second step on
        m := b1 m + (g / (sqrt(v + eps_root) + eps) + wd x)
        x := x - lr m

    |.| is the Euclidean norm of the leaf, so v is one number a leaf.

    Differs from: the paper has b1 = 0.95 and b2 = 0.98; the defaults are optax's. Versions that
    average the gradient have (1 - b1) before the bracket, which is this rule with the learning
    rate (1 - b1) lr.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: mu of the momentum, in [0, 1).
        b2: Decay of the average of the squared norm, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        weight_decay: wd, not negative.

    Returns:
        An optax gradient transformation; its state holds m, one times the parameters, and v.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Ginsburg, Castonguay, Hrinchuk, Kuchaiev, Lavrukhin, Leary, Li, Nguyen, Zhang &
    Cohen (2019), Algorithm 1.
    """
    check_adam("novograd", b1, b2, eps, eps_root)
    check_nonnegative("novograd", "weight_decay", weight_decay)

    def init(x: Array) -> NovogradLeaf:
        return NovogradLeaf(jnp.zeros_like(x), jnp.zeros([], x.dtype))

    def step(
        g: Array, s: NovogradLeaf, x: Array, lr: Array, t: Array
    ) -> tuple[Array, NovogradLeaf]:
        square = jnp.sum(g**2)
        v = jnp.where(t == 1, square, b2 * s.v + (1 - b2) * square)
        m = b1 * s.m + with_decay(g / (jnp.sqrt(v + eps_root) + eps), weight_decay, x)
        return -lr * m, NovogradLeaf(m, v)

    return leafwise("novograd", learning_rate, init, step)


def fromage(
    learning_rate: LearningRate, min_norm: Hyper = 1e-6
) -> optax.GradientTransformationExtraArgs:
    """Fromage: a step as long as lr times the leaf, shortened so that leaves do not grow.

        x := (x - lr |x| / |g| g) / sqrt(1 + lr^2)

    |.| is the Euclidean norm of the leaf, but at least min_norm.

    Differs from: the authors' code takes a plain gradient step where a norm is 0; with min_norm,
    which is optax's, such a leaf takes a step of length lr min_norm, and a leaf without gradient
    only shrinks.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        min_norm: The least that a norm counts for; if it is 0, the ratio is 1 where a norm is 0.

    Returns:
        An optax gradient transformation without state.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Bernstein, Vahdat, Yue & Liu (2020), Algorithm 1.
    """
    check_nonnegative("fromage", "min_norm", min_norm)

    def step(g: Array, s: tuple[()], x: Array, lr: Array, t: Array) -> tuple[Array, tuple[()]]:
        trust = ratio(jnp.maximum(norm(x), min_norm), jnp.maximum(norm(g), min_norm))
        root = jnp.sqrt(1 + lr**2)
        # 1 / root - 1, without losing the digits of a small lr.
        shrink = -(lr**2) / (root * (1 + root))
        return -lr / root * trust * g + shrink * x, ()

    return leafwise("fromage", learning_rate, lambda x: (), step)


def ratio(above: Array, below: Array, eps: Hyper = 0.0) -> Array:
    """`above / (below + eps)`, or 1 where one of the two norms is 0."""
    positive = (above > 0) & (below > 0)
    return jnp.where(positive, above / (jnp.where(positive, below, 1) + eps), 1)
