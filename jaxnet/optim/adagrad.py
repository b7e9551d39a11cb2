"""Rules that divide the gradient by a root of its own past squares: AdaGrad, AdaDelta, RMSProp."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import Accumulator, leafwise, zeros_of
from jaxnet.optim.rates import Hyper, LearningRate, check_decay, check_nonnegative


class AdadeltaLeaf(NamedTuple):
    """One leaf's state of `adadelta`: the averages of the squared gradient and squared step."""

    g2: Array
    d2: Array


class RmspropLeaf(NamedTuple):
    """One leaf's state of `rmsprop`.

    v is the average of the squared gradient, m that of the gradient if centred, velocity that of
    the momentum; what a variant does not use is ().
    """

    v: Array
    m: Any
    velocity: Any


def adagrad(
    learning_rate: LearningRate,
    initial_accumulator_value: Hyper = 0.1,
    eps: Hyper = 1e-7,
    eps_in_sqrt: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """AdaGrad with a diagonal matrix.

    From v = a, for t = 1, 2, ...

        v := v + g^2
        x := x - lr g / sqrt(v + eps)        eps_in_sqrt
        x := x - lr g / (sqrt(v) + eps)      otherwise

    An entry whose denominator is 0 does not move.

    Differs from: the paper has a = 0 and eps outside the root, and so does PyTorch with an eps of
    1e-10, which is `adagrad(lr, 0.0, 1e-10, eps_in_sqrt=False)`; its `lr_decay` is a schedule. The
    defaults are those of optax and Keras.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        initial_accumulator_value: a, where the sum of squares starts, not negative.
        eps: Keeps the denominator from 0.
        eps_in_sqrt: Whether eps is inside the root.

    Returns:
        An optax gradient transformation; its state holds v, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Duchi, Hazan & Singer (2011), Figure 1 with a diagonal matrix.
    """
    check_nonnegative("adagrad", "initial_accumulator_value", initial_accumulator_value)
    check_nonnegative("adagrad", "eps", eps)

    def init(x: Array) -> Accumulator:
        return Accumulator(jnp.full_like(x, initial_accumulator_value))

    def step(g: Array, s: Accumulator, x: Array, lr: Array, t: Array) -> tuple[Array, Accumulator]:
        v = s.v + g**2
        root = _root(v, eps, eps_in_sqrt)
        return -lr * g / jnp.where(root > 0, root, 1), Accumulator(v)

    return leafwise("adagrad", learning_rate, init, step)


def adadelta(
    learning_rate: LearningRate = 1.0, rho: Hyper = 0.9, eps: Hyper = 1e-6
) -> optax.GradientTransformationExtraArgs:
    """AdaDelta, whose steps have the units of the parameters.

    From G = D = 0,

        G := rho G + (1 - rho) g^2
        d  = sqrt(D + eps) / sqrt(G + eps) g
        D := rho D + (1 - rho) d^2
        x := x - lr d

    with G the paper's E[g^2] and D its E[dx^2], which does not see the learning rate.

    Differs from: the paper has no learning rate, which is lr = 1, and a rho of 0.95. optax's
    default learning rate, None, leaves out the minus sign as well, so `optax.adadelta()` climbs;
    here the default is 1. The `weight_decay` of optax and PyTorch is an L2 term,
    `optax.chain(optax.add_decayed_weights(wd, mask), adadelta(lr))`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        rho: Decay of both averages, in [0, 1).
        eps: Starts the first step, and keeps the denominator from 0.

    Returns:
        An optax gradient transformation; its state holds G and D, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Zeiler (2012), Algorithm 1.
    """
    check_decay("adadelta", "rho", rho)
    check_nonnegative("adadelta", "eps", eps)

    def step(
        g: Array, s: AdadeltaLeaf, x: Array, lr: Array, t: Array
    ) -> tuple[Array, AdadeltaLeaf]:
        g2 = rho * s.g2 + (1 - rho) * g**2
        d = jnp.sqrt(s.d2 + eps) / jnp.sqrt(g2 + eps) * g
        d2 = rho * s.d2 + (1 - rho) * d**2
        return -lr * d, AdadeltaLeaf(g2, d2)

    return leafwise("adadelta", learning_rate, zeros_of(AdadeltaLeaf), step)


def rmsprop(
    learning_rate: LearningRate,
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    initial_scale: Hyper = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Hyper | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """RMSProp, plain or centred, with or without momentum.

    From v = a and m = b = 0, for t = 1, 2, ...

        v := rho v + (1 - rho) g^2
        m := rho m + (1 - rho) g
        V  = v,  or v - m^2                      centered
        d  = lr g / sqrt(V + eps)                eps_in_sqrt
        d  = lr g / (sqrt(V) + eps)              otherwise
        x := x - d
        b := mu b + d,  x := x - b               momentum, in place of x - d
        b := mu b + d,  x := x - (d + mu b)      momentum with nesterov

    With bias_correction V is made of v / (1 - rho^t) and m / (1 - rho^t). The first V of the
    centred rule is then 0 but for rounding, so its first step is lr g / sqrt(eps) and needs an eps
    that is not tiny.

    Differs from: in the centred rule rounding can make V negative, which is NaN in optax and
    PyTorch; here V is at least 0. PyTorch is `rmsprop(lr, 0.99, 1e-8, eps_in_sqrt=False)`, and has
    lr outside the momentum, x := x - lr b, which is another path under a schedule. Keras is this
    form with an eps of 1e-7, TensorFlow 1 started v at 1.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        decay: rho, in [0, 1).
        eps: Keeps the denominator from 0.
        initial_scale: a, where v starts, not negative.
        eps_in_sqrt: Whether eps is inside the root.
        centered: Whether to divide by the gradient's standard deviation, not its root mean square.
        momentum: mu, in [0, 1); None for no momentum.
        nesterov: Whether the momentum is Nesterov's.
        bias_correction: Whether v and m are corrected for their start; for a of 0.

    Returns:
        An optax gradient transformation; its state holds v, if centred m, and with momentum b: one
        to three times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Tieleman & Hinton (2012), lecture 6.5; centred and with momentum, Graves (2013),
    equations 38 to 45.
    """
    check_decay("rmsprop", "decay", decay)
    check_nonnegative("rmsprop", "eps", eps)
    check_nonnegative("rmsprop", "initial_scale", initial_scale)
    if momentum is not None:
        check_decay("rmsprop", "momentum", momentum)

    def init(x: Array) -> RmspropLeaf:
        return RmspropLeaf(
            v=jnp.full_like(x, initial_scale),
            m=jnp.zeros_like(x) if centered else (),
            velocity=() if momentum is None else jnp.zeros_like(x),
        )

    def step(g: Array, s: RmspropLeaf, x: Array, lr: Array, t: Array) -> tuple[Array, RmspropLeaf]:
        total = 1 - decay**t if bias_correction else jnp.ones_like(t)
        v = decay * s.v + (1 - decay) * g**2
        m: Any = ()
        variance = v / total
        if centered:
            m = decay * s.m + (1 - decay) * g
            variance = jnp.maximum(variance - (m / total) ** 2, 0)
        d = lr * g / _root(variance, eps, eps_in_sqrt)
        if momentum is None:
            return -d, RmspropLeaf(v, m, ())
        velocity = momentum * s.velocity + d
        move = d + momentum * velocity if nesterov else velocity
        return -move, RmspropLeaf(v, m, velocity)

    return leafwise("rmsprop", learning_rate, init, step)


def _root(v: Array, eps: Hyper, inside: bool) -> Array:
    return jnp.sqrt(v + eps) if inside else jnp.sqrt(v) + eps
