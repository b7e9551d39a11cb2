"""Optimistic rules, which take the last change of the gradient for the next one; for games."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.adam import check_adam, corrected_mean
from jaxnet.optim.leafwise import leafwise, zeros_of
from jaxnet.optim.rates import Hyper, LearningRate, check_nonnegative


class Previous(NamedTuple):
    """One leaf's state of `optimistic_gradient_descent`: the previous gradient."""

    g: Array


class OptimisticAdamLeaf(NamedTuple):
    """One leaf's state of `optimistic_adam`: Adam's averages, and its previous direction."""

    m: Array
    v: Array
    r: Array


def optimistic_gradient_descent(
    learning_rate: LearningRate, alpha: Hyper = 1.0, beta: Hyper = 1.0
) -> optax.GradientTransformationExtraArgs:
    """Optimistic gradient descent.

    With g_0 = g_1, for t = 1, 2, ...

        x := x - lr ((alpha + beta) g_t - beta g_{t-1})

    On a saddle such as f(x, y) = x y, where gradient descent in x and ascent in y spiral outwards,
    this converges.

    Differs from: with g_0 = 0, as some implementations have it, the first step is twice as long.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        alpha: The weight of the gradient, not negative.
        beta: The weight of its last change, not negative; 0 gives gradient descent.

    Returns:
        An optax gradient transformation; its state holds g, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Rakhlin & Sridharan (2013); with alpha and beta, Mokhtari, Ozdaglar & Pattathil
    (2020).
    """
    rule = "optimistic_gradient_descent"
    check_nonnegative(rule, "alpha", alpha)
    check_nonnegative(rule, "beta", beta)

    def step(g: Array, s: Previous, x: Array, lr: Array, t: Array) -> tuple[Array, Previous]:
        g_last = jnp.where(t == 1, g, s.g)
        return -lr * ((alpha + beta) * g - beta * g_last), Previous(g)

    return leafwise(rule, learning_rate, zeros_of(Previous), step)


def optimistic_adam(
    learning_rate: LearningRate,
    *,
    alpha: Hyper = 1.0,
    beta: Hyper = 1.0,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    nesterov: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Adam's direction in optimistic gradient descent.

    From m = v = 0 and with r_0 = r_1, for t = 1, 2, ...

        m := b1 m + (1 - b1) g
        v := b2 v + (1 - b2) g^2
        m^ = m / (1 - b1^t)
        m^ = b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t)      nesterov
        v^ = v / (1 - b2^t)
        r_t = m^ / (sqrt(v^ + eps_root) + eps)
        x := x - lr ((alpha + beta) r_t - beta r_{t-1})

    Differs from: the paper has no nesterov, r_0 = 0 and alpha = beta = 1. The arguments are those
    of `optax.optimistic_adam_v2`; the deprecated `optax.optimistic_adam(lr, optimism)` is
    `optimistic_adam(lr, beta=optimism / lr)`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        alpha: The weight of the direction, not negative.
        beta: The weight of its last change, not negative.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        nesterov: Whether Adam's direction is Nadam's.

    Returns:
        An optax gradient transformation; its state holds m, v and r, three times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Daskalakis, Ilyas, Syrgkanis & Zeng (2018), Algorithm 1.
    """
    check_adam("optimistic_adam", b1, b2, eps, eps_root)
    check_nonnegative("optimistic_adam", "alpha", alpha)
    check_nonnegative("optimistic_adam", "beta", beta)

    def step(
        g: Array, s: OptimisticAdamLeaf, x: Array, lr: Array, t: Array
    ) -> tuple[Array, OptimisticAdamLeaf]:
        m = b1 * s.m + (1 - b1) * g
        v = b2 * s.v + (1 - b2) * g**2
        m_hat, v_hat = corrected_mean(b1, m, g, t, nesterov), v / (1 - b2**t)
        r = m_hat / (jnp.sqrt(v_hat + eps_root) + eps)
        r_last = jnp.where(t == 1, r, s.r)
        return -lr * ((alpha + beta) * r - beta * r_last), OptimisticAdamLeaf(m, v, r)

    return leafwise("optimistic_adam", learning_rate, zeros_of(OptimisticAdamLeaf), step)
