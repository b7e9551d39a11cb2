"""Adam, Adamax and Nadam, with and without decoupled weight decay."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import Mask, Moments, leafwise, zeros_of
from jaxnet.optim.rates import Hyper, LearningRate, check_decay, check_nonnegative


class AdamaxLeaf(NamedTuple):
    """One leaf's state of `adamax`: the average gradient and the decayed maximum of its size."""

    m: Array
    u: Array


class NadamLeaf(NamedTuple):
    """One leaf's state of `nadam`: Adam's, and mu_1 ... mu_t, but () of a constant momentum."""

    m: Array
    v: Array
    product: Any


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
    return _adam("adam", learning_rate, b1, b2, eps, eps_root, 0.0, None)


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
    return _adam("adamw", learning_rate, b1, b2, eps, eps_root, weight_decay, mask)


def _adam(
    rule: str,
    learning_rate: LearningRate,
    b1: Hyper,
    b2: Hyper,
    eps: Hyper,
    eps_root: Hyper,
    weight_decay: Hyper,
    mask: Mask,
) -> optax.GradientTransformationExtraArgs:
    """`adam` and `adamw`, named `rule` in messages."""
    check_adam(rule, b1, b2, eps, eps_root)

    def step(g: Array, s: Moments, x: Array, lr: Array, t: Array) -> tuple[Array, Moments]:
        m = b1 * s.m + (1 - b1) * g
        v = b2 * s.v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        return -lr * m_hat / (jnp.sqrt(v_hat + eps_root) + eps), Moments(m, v)

    return leafwise(
        rule, learning_rate, zeros_of(Moments), step, weight_decay=weight_decay, mask=mask
    )


def adamax(
    learning_rate: LearningRate, b1: Hyper = 0.9, b2: Hyper = 0.999, eps: Hyper = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Adamax: Adam with the largest gradient in the place of the root of the average square.

    From m = u = 0, for t = 1, 2, ...

        m := b1 m + (1 - b1) g
        u := max(b2 u, |g| + eps)
        x := x - lr / (1 - b1^t) m / u

    Differs from: the paper has no eps. optax and PyTorch have it here; Keras adds it to u instead.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the maximum, in [0, 1).
        eps: Keeps the denominator from 0.

    Returns:
        An optax gradient transformation; its state holds m and u, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Kingma & Ba (2015), Algorithm 2.
    """
    return _adamax("adamax", learning_rate, b1, b2, eps, 0.0, None)


def adamaxw(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 1e-4,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """Adamax with decoupled weight decay.

    With m and u as in `adamax`,

        x := x - lr (m / ((1 - b1^t) u) + wd x)

    Differs from: PyTorch's Adamax has an L2 term instead,
    `optax.chain(optax.add_decayed_weights(wd), adamax(lr))`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the maximum, in [0, 1).
        eps: Keeps the denominator from 0.
        weight_decay: wd, not negative.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation; its state holds m and u, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Kingma & Ba (2015), Algorithm 2; Loshchilov & Hutter (2019) for the decay.
    """
    return _adamax("adamaxw", learning_rate, b1, b2, eps, weight_decay, mask)


def _adamax(
    rule: str,
    learning_rate: LearningRate,
    b1: Hyper,
    b2: Hyper,
    eps: Hyper,
    weight_decay: Hyper,
    mask: Mask,
) -> optax.GradientTransformationExtraArgs:
    """`adamax` and `adamaxw`, named `rule` in messages."""
    check_adam(rule, b1, b2, eps)

    def step(g: Array, s: AdamaxLeaf, x: Array, lr: Array, t: Array) -> tuple[Array, AdamaxLeaf]:
        m = b1 * s.m + (1 - b1) * g
        u = jnp.maximum(b2 * s.u, jnp.abs(g) + eps)
        return -lr / (1 - b1**t) * m / u, AdamaxLeaf(m, u)

    return leafwise(
        rule, learning_rate, zeros_of(AdamaxLeaf), step, weight_decay=weight_decay, mask=mask
    )


def nadam(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    *,
    momentum_decay: Hyper | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam with Nesterov's momentum.

    From m = v = 0 and p = 1, for t = 1, 2, ...

        m := b1 m + (1 - b1) g
        v := b2 v + (1 - b2) g^2
        p := p mu_t
        x := x - lr m^ / (sqrt(v^ + eps_root) + eps)
        m^ = mu_{t+1} m / (1 - p mu_{t+1}) + (1 - mu_t) g / (1 - p),  v^ = v / (1 - b2^t)

    with mu_t = b1, or, if momentum_decay is given as psi, mu_t = b1 (1 - 0.96^(psi t) / 2).

    Differs from: the paper and PyTorch have psi = 0.004, Keras has psi = 1, and optax has mu_t = b1
    as here. The paper's first text also multiplies v^ by b2, which none of them does.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        momentum_decay: psi, not negative; None for a constant momentum.

    Returns:
        An optax gradient transformation; its state holds m and v, two times the parameters, and
        with a momentum_decay p.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Dozat (2016).
    """
    return _nadam("nadam", learning_rate, b1, b2, eps, eps_root, 0.0, None, momentum_decay)


def nadamw(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 1e-4,
    mask: Mask = None,
    *,
    momentum_decay: Hyper | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam with Nesterov's momentum and decoupled weight decay.

    With m^ and v^ as in `nadam`,

        x := x - lr (m^ / (sqrt(v^ + eps_root) + eps) + wd x)

    Differs from: PyTorch's NAdam has an L2 term unless `decoupled_weight_decay` is set; for its
    psi see `nadam`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        weight_decay: wd, not negative.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.
        momentum_decay: psi, not negative; None for a constant momentum.

    Returns:
        An optax gradient transformation; its state holds m and v, two times the parameters, and
        with a momentum_decay p.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Dozat (2016); Loshchilov & Hutter (2019) for the decay.
    """
    return _nadam(
        "nadamw", learning_rate, b1, b2, eps, eps_root, weight_decay, mask, momentum_decay
    )


def _nadam(
    rule: str,
    learning_rate: LearningRate,
    b1: Hyper,
    b2: Hyper,
    eps: Hyper,
    eps_root: Hyper,
    weight_decay: Hyper,
    mask: Mask,
    momentum_decay: Hyper | None,
) -> optax.GradientTransformationExtraArgs:
    """`nadam` and `nadamw`, named `rule` in messages."""
    check_adam(rule, b1, b2, eps, eps_root)
    if momentum_decay is not None:
        check_nonnegative(rule, "momentum_decay", momentum_decay)

    def init(x: Array) -> NadamLeaf:
        product = () if momentum_decay is None else jnp.ones([], x.dtype)
        return NadamLeaf(jnp.zeros_like(x), jnp.zeros_like(x), product)

    def step(g: Array, s: NadamLeaf, x: Array, lr: Array, t: Array) -> tuple[Array, NadamLeaf]:
        m = b1 * s.m + (1 - b1) * g
        v = b2 * s.v + (1 - b2) * g**2
        if momentum_decay is None:
            p: Any = ()
            m_hat = corrected_mean(b1, m, g, t, True)
        else:
            mu, mu_next = (b1 * (1 - 0.96 ** (momentum_decay * k) / 2) for k in (t, t + 1))
            p = s.product * mu
            m_hat = mu_next * m / (1 - p * mu_next) + (1 - mu) * g / (1 - p)
        v_hat = v / (1 - b2**t)
        return -lr * m_hat / (jnp.sqrt(v_hat + eps_root) + eps), NadamLeaf(m, v, p)

    return leafwise(rule, learning_rate, init, step, weight_decay=weight_decay, mask=mask)


def check_adam(rule: str, b1: Hyper, b2: Hyper, eps: Hyper, eps_root: Hyper = 0.0) -> None:
    """Refuse hyperparameters that are Python numbers out of range."""
    check_decay(rule, "b1", b1)
    check_decay(rule, "b2", b2)
    check_nonnegative(rule, "eps", eps)
    check_nonnegative(rule, "eps_root", eps_root)


def corrected_mean(b1: Hyper, m: Array, g: Array, t: Array, nesterov: bool) -> Array:
    """m^ of `adam`, or of `nadam` with a constant momentum."""
    if nesterov:
        return b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
    return m / (1 - b1**t)
