"""Gradient descent, and gradient descent with momentum."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.optim.rates import (
    LearningRate,
    check_decay,
    check_learning_rate,
    rate_at,
    times,
    zeros_like,
)


class GdState(NamedTuple):
    """State of `gd`: the step number and the learning rate that the last step used."""

    step: Array
    learning_rate: Array


def gd(learning_rate: LearningRate) -> optax.GradientTransformation:
    """Gradient descent: x := x - lr g, with g the gradient at x.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.

    Returns:
        An optax gradient transformation.

    Raises:
        ValueError: The learning rate is negative or not finite.

    References: Cauchy (1847); with random batches, Robbins & Monro (1951).
    """
    check_learning_rate("gd", learning_rate)

    def init(params: Any) -> GdState:
        step = jnp.zeros([], jnp.int32)
        return GdState(step, rate_at(learning_rate, step))

    def update(grads: Any, state: GdState, params: Any = None) -> tuple[Any, GdState]:
        lr = rate_at(learning_rate, state.step)
        updates = jax.tree.map(lambda g: -times(lr, g), grads)
        return updates, GdState(optax.safe_increment(state.step), lr)

    return optax.GradientTransformation(init, update)


class MomentumState(NamedTuple):
    """State of `momentum` and `nesterov`: step number, last learning rate, and velocity."""

    step: Array
    learning_rate: Array
    velocity: Any


def momentum(
    learning_rate: LearningRate, momentum: ArrayLike = 0.9
) -> optax.GradientTransformation:
    """Heavy-ball momentum: v := mu v + g, x := x - lr v, from v = 0.

    At a constant learning rate this is Polyak's x_{k+1} = x_k - lr g_k + mu (x_k - x_{k-1}). The
    learning rate stands outside the velocity, as in optax and PyTorch; with a schedule, rules that
    keep lr * g inside it (Sutskever et al.; Keras) take another path.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        momentum: mu, in [0, 1).

    Returns:
        An optax gradient transformation; its state holds v, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Polyak (1964).
    """
    return _with_velocity("momentum", learning_rate, momentum, lambda mu, g, v: v)


def nesterov(
    learning_rate: LearningRate, momentum: ArrayLike = 0.9
) -> optax.GradientTransformation:
    """Nesterov momentum: v := mu v + g, x := x - lr (g + mu v), from v = 0.

    x here is the look-ahead point theta + (-lr) mu v of Sutskever's form

        v := mu v + g(theta - lr mu v),   theta := theta - lr v,

    so the gradient is taken where it is due without a second evaluation. This is optax's
    `sgd(nesterov=True)` and PyTorch's `SGD(nesterov=True)`. For the sequence of momenta that
    Nesterov's convergence rate needs, see `nag`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        momentum: mu, in [0, 1).

    Returns:
        An optax gradient transformation; its state holds v, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Nesterov (1983); Sutskever, Martens, Dahl & Hinton (2013).
    """
    return _with_velocity("nesterov", learning_rate, momentum, lambda mu, g, v: g + times(mu, v))


def _with_velocity(
    rule: str, learning_rate: LearningRate, momentum: ArrayLike, direction: Any
) -> optax.GradientTransformation:
    """V := mu v + g, x := x - lr direction(mu, g, v)."""
    check_learning_rate(rule, learning_rate)
    check_decay(rule, "momentum", momentum)
    mu = momentum

    def init(params: Any) -> MomentumState:
        step = jnp.zeros([], jnp.int32)
        return MomentumState(step, rate_at(learning_rate, step), zeros_like(params))

    def update(grads: Any, state: MomentumState, params: Any = None) -> tuple[Any, MomentumState]:
        lr = rate_at(learning_rate, state.step)
        velocity = jax.tree.map(lambda v, g: times(mu, v) + g, state.velocity, grads)
        updates = jax.tree.map(lambda g, v: -times(lr, direction(mu, g, v)), grads, velocity)
        return updates, MomentumState(optax.safe_increment(state.step), lr, velocity)

    return optax.GradientTransformation(init, update)
