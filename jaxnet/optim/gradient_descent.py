"""Gradient descent, and gradient descent with momentum."""

from collections.abc import Callable

import optax
from jax import Array

from jaxnet.optim.leafwise import Accumulator, leafwise, zeros_of
from jaxnet.optim.rates import Hyper, LearningRate, check_decay


def gd(learning_rate: LearningRate) -> optax.GradientTransformationExtraArgs:
    """Gradient descent.

        x := x - lr g

    with g the gradient at x.

    Differs from: nothing; it is `optax.sgd(lr)`, and PyTorch's `SGD` without momentum.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.

    Returns:
        An optax gradient transformation without state.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Cauchy (1847); with random batches, Robbins & Monro (1951).
    """

    def step(g: Array, s: tuple[()], x: Array, lr: Array, t: Array) -> tuple[Array, tuple[()]]:
        return -lr * g, ()

    return leafwise("gd", learning_rate, lambda x: (), step)


def momentum(
    learning_rate: LearningRate, momentum: Hyper = 0.9
) -> optax.GradientTransformationExtraArgs:
    """Heavy-ball momentum.

    From v = 0,

        v := mu v + g
        x := x - lr v

    At a constant learning rate this is Polyak's x_{k+1} = x_k - lr g_k + mu (x_k - x_{k-1}).

    Differs from: rules that keep lr * g inside the velocity (Sutskever et al., Keras) take another
    path under a schedule; optax and PyTorch have lr outside, as here. An average of gradients,
    v := mu v + (1 - mu) g, is this rule with the learning rate (1 - mu) lr.

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
    learning_rate: LearningRate, momentum: Hyper = 0.9
) -> optax.GradientTransformationExtraArgs:
    """Nesterov momentum.

    From v = 0,

        v := mu v + g
        x := x - lr (g + mu v)

    x here is the look-ahead point theta - lr mu v of Sutskever's form

        v := mu v + g(theta - lr mu v)
        theta := theta - lr v

    so the gradient is taken where it is due without a second evaluation. For the sequence of
    momenta that Nesterov's convergence rate needs, see `nag`.

    Differs from: nothing; optax and PyTorch have this form, and lr outside the velocity, too.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        momentum: mu, in [0, 1).

    Returns:
        An optax gradient transformation; its state holds v, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Nesterov (1983); Sutskever, Martens, Dahl & Hinton (2013).
    """
    return _with_velocity("nesterov", learning_rate, momentum, lambda mu, g, v: g + mu * v)


def sgd(
    learning_rate: LearningRate, momentum: Hyper | None = None, nesterov: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent under the signature of `optax.sgd`: `gd`, `momentum` or `nesterov`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        momentum: mu, in [0, 1); None for plain gradient descent.
        nesterov: Whether the momentum is Nesterov's.

    Returns:
        An optax gradient transformation.

    Raises:
        ValueError: A hyperparameter is out of range.
    """
    if momentum is None:
        return gd(learning_rate)
    with_momentum = {False: _momentum, True: _nesterov}[nesterov]
    return with_momentum(learning_rate, momentum)


# The arguments of `sgd` have the names of these functions.
_momentum, _nesterov = momentum, nesterov


def _with_velocity(
    rule: str,
    learning_rate: LearningRate,
    mu: Hyper,
    direction: Callable[[Hyper, Array, Array], Array],
) -> optax.GradientTransformationExtraArgs:
    """The rule v := mu v + g, x := x - lr direction(mu, g, v)."""
    check_decay(rule, "momentum", mu)

    def step(g: Array, s: Accumulator, x: Array, lr: Array, t: Array) -> tuple[Array, Accumulator]:
        v = mu * s.v + g
        return -lr * direction(mu, g, v), Accumulator(v)

    return leafwise(rule, learning_rate, zeros_of(Accumulator), step)
