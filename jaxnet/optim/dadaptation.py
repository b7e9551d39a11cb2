"""Adam with a learning rate from an estimate of the distance to the solution: D-Adaptation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_decay,
    check_nonnegative,
    check_positive,
)
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import computed, copied, dot, quotient, total, zeros


class ProdigyState(NamedTuple):
    """State of `prodigy`.

    The number of steps done, the last learning rate (without d), the estimate d, its numerator r,
    the starting point x0, and the averages m, v and s in the structure of the parameters.
    """

    step: Array
    learning_rate: Array
    d: Array
    r: Array
    x0: Any
    m: Any
    v: Any
    s: Any


class DAdaptState(NamedTuple):
    """State of `dadapt_adamw`.

    The number of steps done, the last learning rate (without d), the estimate d, its numerator r,
    and the averages m, v and s in the structure of the parameters.
    """

    step: Array
    learning_rate: Array
    m: Any
    v: Any
    s: Any
    d: Array
    r: Array


def prodigy(
    learning_rate: LearningRate = 1.0,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    beta3: Hyper | None = None,
    eps: Hyper = 1e-8,
    estim_lr0: Hyper = 1e-6,
    estim_lr_coef: Hyper = 1.0,
    weight_decay: Hyper = 0.0,
    safeguard_warmup: bool = False,
    use_bias_correction: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Prodigy: AdamW whose learning rate is an estimate d of the distance to the solution.

    From m = v = s = 0, r = 0 and d = d0, for t = 1, 2, ..., with sums over all leaves,

        l  = d lr sqrt(1 - b2^t) / (1 - b1^t)
        r := b3 r + (d / d0) l <g, x0 - x>
        s := b3 s + (d / d0) l g
        m := b1 m + (1 - b1) d g
        v := b2 v + (1 - b2) d^2 g^2
        d := max(d, coef r / |s|_1)
        x := x - l (m / (sqrt(v) + d eps) + wd x)

    where l is made of the old d and the last line has the new one. (b1, b2) are `betas`, b3 is
    `beta3`, d0 `estim_lr0` and coef `estim_lr_coef`. While |s|_1 = 0, d stays as it is.

    Differs from: optax divides 0 by 0 if the first gradients are 0, and d is NaN from there on.
    The authors' code corrects the bias only on request: `use_bias_correction=False` is its
    default and lets l = d lr; it also can bound the growth of d from step to step. The factor
    1 / d0 in r and s, which cancels, keeps them from underflow, as in the authors' code.

    Args:
        learning_rate: lr, a factor on d: a number, an array or an optax schedule that starts at
            about 1.
        betas: b1 and b2, decays of the averages of the gradient and of its square, in [0, 1).
        beta3: b3, decay of the sums that d is estimated from, in [0, 1); None for sqrt(b2).
        eps: Keeps the denominator from 0.
        estim_lr0: d0, the first estimate, positive and smaller than the distance.
        estim_lr_coef: coef, a factor on the estimates, not negative; the one to tune.
        weight_decay: wd, not negative.
        safeguard_warmup: Whether s takes d instead of l, so that a warm-up of lr cannot make d
            too large.
        use_bias_correction: Whether l has Adam's correction.

    Returns:
        An optax gradient transformation; its state holds x0, m, v and s, four times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Mishchenko & Defazio (2023).
    """
    b1, b2 = betas
    d0 = estim_lr0
    _check("prodigy", b1, b2, eps, d0, weight_decay)
    b3 = b2**0.5 if beta3 is None else beta3
    check_decay("prodigy", "beta3", b3)
    check_nonnegative("prodigy", "estim_lr_coef", estim_lr_coef)

    def init(step: Array, lr: Array, params: Any) -> ProdigyState:
        return ProdigyState(
            step,
            lr,
            d=jnp.array(d0, lr.dtype),
            r=jnp.zeros_like(lr),
            x0=copied(params),
            m=zeros(params),
            v=zeros(params),
            s=zeros(params),
        )

    def step(
        grads: Any, state: ProdigyState, params: Any, lr: Array, **extra: Any
    ) -> tuple[Any, ProdigyState]:
        t = (state.step + 1).astype(lr.dtype)
        g, x, x0 = computed(grads), computed(params), computed(state.x0)
        d = state.d
        rate = d * lr * _correction(b1, b2, t) if use_bias_correction else d * lr
        in_s = d if safeguard_warmup else rate

        way = jax.tree.map(jnp.subtract, x0, x)
        r = b3 * state.r + d / d0 * rate * dot(g, way)
        s = jax.tree.map(lambda s, g: b3 * s + d / d0 * in_s * g, state.s, g)
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * d * g, state.m, g)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * d**2 * g**2, state.v, g)
        d_new = jnp.maximum(d, quotient(estim_lr_coef * r, total(jax.tree.map(jnp.abs, s))))
        u = jax.tree.map(
            lambda m, v, x: -rate * (m / (jnp.sqrt(v) + d_new * eps) + weight_decay * x), m, v, x
        )
        return u, state._replace(d=d_new, r=r, m=m, v=v, s=s)

    return treewise("prodigy", learning_rate, init, step)


def dadapt_adamw(
    learning_rate: LearningRate = 1.0,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    estim_lr0: Hyper = 1e-6,
    weight_decay: Hyper = 0.0,
    use_bias_correction: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """AdamW by D-Adaptation: its learning rate is an estimate d of the distance to the solution.

    From m = v = s = 0, r = 0 and d = d0, for t = 1, 2, ..., with sums over all leaves,

        l  = d lr sqrt(1 - b2^t) / (1 - b1^t)
        r := b3 r + (1 - b3) l <g, s / (sqrt(v) + eps)>
        s := b3 s + (1 - b3) l g
        m := b1 m + (1 - b1) l g
        v := b2 v + (1 - b2) g^2
        d := max(d, r / ((1 - b3) |s|_1))
        x := x - m / (sqrt(v) + eps) - l wd x

    where r is made of the old s and v. (b1, b2) are `betas`, b3 = sqrt(b2) and d0 is `estim_lr0`.
    While |s|_1 = 0, d stays as it is.

    Differs from: optax divides 0 by 0 if the first gradients are 0, and d is NaN from there on.
    The authors correct no bias by default, which is `use_bias_correction=False`, l = d lr. Their
    first code estimates d from |s|^2 and the sum of |g|^2 in the place of r.

    Args:
        learning_rate: lr, a factor on d: a number, an array or an optax schedule that starts at
            about 1.
        betas: b1 and b2, decays of the averages of the gradient and of its square, in [0, 1).
        eps: Keeps the denominators from 0.
        estim_lr0: d0, the first estimate, positive and smaller than the distance.
        weight_decay: wd, not negative.
        use_bias_correction: Whether l has Adam's correction.

    Returns:
        An optax gradient transformation; its state holds m, v and s, three times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Defazio & Mishchenko (2023).
    """
    b1, b2 = betas
    _check("dadapt_adamw", b1, b2, eps, estim_lr0, weight_decay)
    b3 = b2**0.5

    def init(step: Array, lr: Array, params: Any) -> DAdaptState:
        return DAdaptState(
            step,
            lr,
            d=jnp.array(estim_lr0, lr.dtype),
            r=jnp.zeros_like(lr),
            m=zeros(params),
            v=zeros(params),
            s=zeros(params),
        )

    def step(
        grads: Any, state: DAdaptState, params: Any, lr: Array, **extra: Any
    ) -> tuple[Any, DAdaptState]:
        t = (state.step + 1).astype(lr.dtype)
        g, x = computed(grads), computed(params)
        d = state.d
        rate = d * lr * _correction(b1, b2, t) if use_bias_correction else d * lr

        way = jax.tree.map(lambda s, v: s / (jnp.sqrt(v) + eps), state.s, state.v)
        r = b3 * state.r + (1 - b3) * rate * dot(g, way)
        s = jax.tree.map(lambda s, g: b3 * s + (1 - b3) * rate * g, state.s, g)
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * rate * g, state.m, g)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.v, g)
        d_new = jnp.maximum(d, quotient(r, (1 - b3) * total(jax.tree.map(jnp.abs, s))))
        u = jax.tree.map(
            lambda m, v, x: -m / (jnp.sqrt(v) + eps) - rate * weight_decay * x, m, v, x
        )
        return u, state._replace(d=d_new, r=r, m=m, v=v, s=s)

    return treewise("dadapt_adamw", learning_rate, init, step)


def _correction(b1: Hyper, b2: Hyper, t: Array) -> Array:
    """What Adam's two bias corrections come to outside of the averages."""
    return jnp.sqrt(1 - b2**t) / (1 - b1**t)


def _check(
    rule: str, b1: Hyper, b2: Hyper, eps: Hyper, estim_lr0: Hyper, weight_decay: Hyper
) -> None:
    """Refuse hyperparameters that are plain numbers out of range."""
    check_decay(rule, "betas[0]", b1)
    check_decay(rule, "betas[1]", b2)
    check_nonnegative(rule, "eps", eps)
    check_positive(rule, "estim_lr0", estim_lr0)
    check_nonnegative(rule, "weight_decay", weight_decay)
