"""Adam and the rules that change one thing in it."""

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import Mask, Moments, leafwise
from jaxnet.optim.rates import Hyper, LearningRate, check_decay, check_nonnegative


def adam(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Adam.

    From m = v = 0, for t = 1, 2, ...

        m := b1 m + (1 - b1) g
        v := b2 v + (1 - b2) g^2
        x := x - lr m^ / (sqrt(v^ + eps_root) + eps)
        m^ = m / (1 - b1^t),  v^ = v / (1 - b2^t)

    Differs from: Keras and TensorFlow add eps to the uncorrected root, which is this rule with an
    eps of eps / sqrt(1 - b2^t). PyTorch's is the same as this one; its `weight_decay` is an L2
    term, `optax.chain(optax.add_decayed_weights(wd), adam(lr))`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.

    Returns:
        An optax gradient transformation; its state holds m and v, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Kingma & Ba (2015), Algorithm 1.
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, weight_decay=0.0)


def adamw(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 1e-4,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam with decoupled weight decay.

    With m^ and v^ as in `adam`,

        x := x - lr (m^ / (sqrt(v^ + eps_root) + eps) + wd x)

    Differs from: the paper multiplies wd by the schedule alone, not by the base rate; optax,
    PyTorch and Keras multiply it by the learning rate, as here. PyTorch's default wd is 1e-2,
    Keras's 4e-3.

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

    Reference: Loshchilov & Hutter (2019), Algorithm 2.
    """
    check_adam("adamw", b1, b2, eps, eps_root)

    def step(g: Array, s: Moments, x: Array, lr: Array, t: Array) -> tuple[Array, Moments]:
        m = b1 * s.m + (1 - b1) * g
        v = b2 * s.v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        return -lr * m_hat / (jnp.sqrt(v_hat + eps_root) + eps), Moments(m, v)

    return leafwise(
        "adamw", learning_rate, zero_moments, step, weight_decay=weight_decay, mask=mask
    )


def zero_moments(x: Array) -> Moments:
    """M = v = 0."""
    return Moments(jnp.zeros_like(x), jnp.zeros_like(x))


def check_adam(rule: str, b1: Hyper, b2: Hyper, eps: Hyper, eps_root: Hyper = 0.0) -> None:
    """Refuse hyperparameters that are Python numbers out of range."""
    check_decay(rule, "b1", b1)
    check_decay(rule, "b2", b2)
    check_nonnegative(rule, "eps", eps)
    check_nonnegative(rule, "eps_root", eps_root)
