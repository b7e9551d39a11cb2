"""Adam with a safeguard on its denominator."""

import math
from typing import Literal, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.adam import check_adam, corrected_mean
from jaxnet.optim.leafwise import Moments, leafwise, zeros_of
from jaxnet.optim.rates import Hyper, LearningRate, check_choice, check_number


class AmsgradLeaf(NamedTuple):
    """One leaf's state of `amsgrad`: Adam's, and the largest v so far."""

    m: Array
    v: Array
    v_max: Array


def amsgrad(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    max_of: Literal["corrected", "raw"] = "corrected",
) -> optax.GradientTransformationExtraArgs:
    """AMSGrad: Adam whose denominator never falls.

    From m = v = vmax = 0, for t = 1, 2, ...

        m    := b1 m + (1 - b1) g
        v    := b2 v + (1 - b2) g^2
        vmax := max(vmax, v / (1 - b2^t))
        x    := x - lr m / (1 - b1^t) / (sqrt(vmax + eps_root) + eps)

    Differs from: the paper corrects neither m nor v (`bias_correction_mu=False,
    bias_correction_nu=False`) and has no eps. PyTorch takes the maximum of v itself and corrects it
    afterwards, vmax / (1 - b2^t), which is `max_of="raw"`; Keras does too, with the eps of its
    Adam. optax's default is the rule above, and none of its settings is PyTorch's.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        bias_correction_mu: Whether m is divided by 1 - b1^t.
        bias_correction_nu: Whether v, or its maximum, is divided by 1 - b2^t.
        max_of: "corrected", the maximum of the corrected v, or "raw".

    Returns:
        An optax gradient transformation; its state holds m, v and vmax, three times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range, or max_of is unknown.

    Reference: Reddi, Kale & Kumar (2018), Algorithm 2.
    """
    check_adam("amsgrad", b1, b2, eps, eps_root)
    check_choice("amsgrad", "max_of", max_of, ("corrected", "raw"))

    def step(g: Array, s: AmsgradLeaf, x: Array, lr: Array, t: Array) -> tuple[Array, AmsgradLeaf]:
        m = b1 * s.m + (1 - b1) * g
        v = b2 * s.v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t) if bias_correction_mu else m
        correction = 1 - b2**t if bias_correction_nu else jnp.ones_like(t)
        if max_of == "corrected":
            v_max = v_hat = jnp.maximum(s.v_max, v / correction)
        else:
            v_max = jnp.maximum(s.v_max, v)
            v_hat = v_max / correction
        return -lr * m_hat / (jnp.sqrt(v_hat + eps_root) + eps), AmsgradLeaf(m, v, v_max)

    return leafwise("amsgrad", learning_rate, zeros_of(AmsgradLeaf), step)


def radam(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    threshold: Hyper = 5.0,
    *,
    nesterov: bool = False,
    correct_eps: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Rectified Adam: momentum until the denominator can be trusted, then Adam, at first damped.

    With m^ and v^ as in `adam`, rho_inf = 2 / (1 - b2) - 1, for t = 1, 2, ...

        rho_t = rho_inf - 2 t b2^t / (1 - b2^t)
        r_t   = sqrt((rho_t - 4) (rho_t - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho_t))
        x    := x - lr r_t m^ / (sqrt(v^ + eps_root) + eps)   if rho_t >= threshold
        x    := x - lr m^                                     otherwise

    Differs from: the paper's threshold is 4, the authors' code, optax and PyTorch have 5. PyTorch
    adds eps before the correction, eps / sqrt(1 - b2^t) here, which is `correct_eps=True`. In
    float32 optax computes rho_t with an error that can start the rectification at the wrong step.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        threshold: The rho_t from which the denominator is used, at least 4.
        nesterov: Whether m^ is that of `nadam` with its constant momentum.
        correct_eps: Whether eps is divided by sqrt(1 - b2^t).

    Returns:
        An optax gradient transformation; its state holds m and v, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Liu, Jiang, He, Chen, Liu, Gao & Han (2020), Algorithm 2.
    """
    check_adam("radam", b1, b2, eps, eps_root)
    check_number(
        "radam", "threshold", threshold, lambda v: 4 <= v < math.inf, "a finite number >= 4"
    )

    def step(g: Array, s: Moments, x: Array, lr: Array, t: Array) -> tuple[Array, Moments]:
        m = b1 * s.m + (1 - b1) * g
        v = b2 * s.v + (1 - b2) * g**2
        # rho_t is the small difference of two numbers near 2 / (1 - b2): in float32 it is right
        # only if both see the same b2 and 1 - b2^t is not itself a difference.
        b2_x = jnp.asarray(b2, x.dtype)
        log_power = t * jnp.log1p(b2_x - 1)
        correction = -jnp.expm1(log_power)
        rho_inf = 2 / (1 - b2_x) - 1
        rho = rho_inf - 2 * t * jnp.exp(log_power) / correction
        rectified = rho >= threshold
        r2 = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        r = jnp.sqrt(jnp.where(rectified, r2, 1))

        m_hat = corrected_mean(b1, m, g, t, nesterov)
        eps_t = eps / jnp.sqrt(correction) if correct_eps else eps
        adapted = r * m_hat / (jnp.sqrt(v / correction + eps_root) + eps_t)
        return -lr * jnp.where(rectified, adapted, m_hat), Moments(m, v)

    return leafwise("radam", learning_rate, zeros_of(Moments), step)
