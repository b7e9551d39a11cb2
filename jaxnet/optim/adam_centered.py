"""Rules that divide by the deviation of the gradient from its average."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.adam import check_adam, corrected_mean
from jaxnet.optim.leafwise import Mask, leafwise, zeros_of
from jaxnet.optim.rates import Hyper, LearningRate


class Belief(NamedTuple):
    """One leaf's state of a rule that centers: averages of g and of its squared deviation."""

    m: Array
    s: Array


def adabelief(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-16,
    eps_root: Hyper = 1e-16,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """AdaBelief: long steps where the gradient is as expected.

    From m = s = 0, for t = 1, 2, ...

        m := b1 m + (1 - b1) g
        s := b2 s + (1 - b2) (g - m)^2 + eps_root
        x := x - lr m^ / (sqrt(s^) + eps)
        m^ = m / (1 - b1^t),  s^ = s / (1 - b2^t)

    eps_root stays in s and accumulates.

    Differs from: the paper has one eps for both, as optax's defaults do. optax before November 2024
    took the deviation from the m of the step before.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared deviation, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, added to s at every step.
        nesterov: Whether m^ is that of `nadam` with its constant momentum.

    Returns:
        An optax gradient transformation; its state holds m and s, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris & Duncan (2020), Algorithm 2.
    """
    check_adam("adabelief", b1, b2, eps, eps_root)

    def step(g: Array, state: Belief, x: Array, lr: Array, t: Array) -> tuple[Array, Belief]:
        m = b1 * state.m + (1 - b1) * g
        s = b2 * state.s + (1 - b2) * (g - m) ** 2 + eps_root
        m_hat, s_hat = corrected_mean(b1, m, g, t, nesterov), s / (1 - b2**t)
        return -lr * m_hat / (jnp.sqrt(s_hat) + eps), Belief(m, s)

    return leafwise("adabelief", learning_rate, zeros_of(Belief), step)


def acprop(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-16,
    eps_root: Hyper = 1e-16,
    weight_decay: Hyper = 0.0,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """ACProp: the gradient over AdaBelief's denominator of the step before.

    From m = s = 0, for t = 1, 2, ...

        x := x - lr (g / (sqrt(s / (1 - b2^(t-1))) + eps) + wd x)
        m := b1 m + (1 - b1) g
        s := b2 s + (1 - b2) (g - m)^2 + eps_root

    where the first step, which has no s yet, has g alone in the place of the quotient.

    Differs from: optax 0.2.8 takes the deviation from the m of the step before and not, as the
    paper and the authors' code do, from the new one. Its first step divides by 1 + eps.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared deviation, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, added to s at every step.
        weight_decay: wd, not negative.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation; its state holds m and s, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Zhuang, Ding, Tang, Dvornek, Tatikonda & Duncan (2021).
    """
    check_adam("acprop", b1, b2, eps, eps_root)

    def step(g: Array, state: Belief, x: Array, lr: Array, t: Array) -> tuple[Array, Belief]:
        first = t == 1
        s_hat = state.s / jnp.where(first, 1, 1 - b2 ** (t - 1))
        u = -lr * g / jnp.where(first, 1, jnp.sqrt(s_hat) + eps)
        m = b1 * state.m + (1 - b1) * g
        s = b2 * state.s + (1 - b2) * (g - m) ** 2 + eps_root
        return u, Belief(m, s)

    return leafwise(
        "acprop", learning_rate, zeros_of(Belief), step, weight_decay=weight_decay, mask=mask
    )
