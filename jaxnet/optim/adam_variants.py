"""Rules of Adam's shape that take other moments than Adam."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.optim.adam import check_adam
from jaxnet.optim.leafwise import Mask, Moments, leafwise, zeros_of
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_count,
    check_decay,
    check_nonnegative,
)

Scheduled: TypeAlias = Hyper | Callable[[Array], ArrayLike]
"""A hyperparameter or a schedule of it, which is called with 0 at the first step."""


class AdanLeaf(NamedTuple):
    """One leaf's state of `adan`: averages of g, of its change and square, and the last g."""

    m: Array
    v: Array
    n: Array
    g: Array


class AdemamixLeaf(NamedTuple):
    """One leaf's state of `ademamix`: a fast and a slow average of g, and that of its square."""

    m1: Array
    m2: Array
    v: Array


def yogi(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-3,
    *,
    initial_accumulator_value: Hyper = 1e-6,
    bias_correction: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Yogi: Adam whose squares change by an amount that does not depend on their size.

    From m = v = a, for t = 1, 2, ...

        m := b1 m + (1 - b1) g
        v := v - (1 - b2) sign(v - g^2) g^2
        x := x - lr m^ / (sqrt(v^) + eps)
        m^ = m / (1 - b1^t),  v^ = v / (1 - b2^t)

    with a the initial accumulator value.

    Differs from: the paper corrects neither m nor v, starts m at 0 and takes the first v from a
    large batch: `bias_correction=False`, with a the first v. optax and TensorFlow Addons have the
    rule above.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: 1 - b2 is the rate at which v moves; in [0, 1).
        eps: Keeps the denominator from 0.
        initial_accumulator_value: a, not negative.
        bias_correction: Whether the rule is the one above or the paper's.

    Returns:
        An optax gradient transformation; its state holds m and v, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Zaheer, Reddi, Sachan, Kale & Kumar (2018), Algorithm 2.
    """
    check_adam("yogi", b1, b2, eps)
    check_nonnegative("yogi", "initial_accumulator_value", initial_accumulator_value)

    def init(x: Array) -> Moments:
        v = jnp.full_like(x, initial_accumulator_value)
        return Moments(jnp.array(v) if bias_correction else jnp.zeros_like(x), v)

    def step(g: Array, s: Moments, x: Array, lr: Array, t: Array) -> tuple[Array, Moments]:
        m = b1 * s.m + (1 - b1) * g
        v = s.v - (1 - b2) * jnp.sign(s.v - g**2) * g**2
        m_hat, v_hat = (m / (1 - b1**t), v / (1 - b2**t)) if bias_correction else (m, v)
        return -lr * m_hat / (jnp.sqrt(v_hat) + eps), Moments(m, v)

    return leafwise("yogi", learning_rate, init, step)


def adan(
    learning_rate: LearningRate,
    b1: Hyper = 0.98,
    b2: Hyper = 0.92,
    b3: Hyper = 0.99,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """Adan: Adam with Nesterov's momentum built from the change of the gradient.

    From m = v = n = 0 and d = 0, for t = 1, 2, ...

        d := g - g_{t-1}   from the second step on
        m := b1 m + (1 - b1) g
        v := b2 v + (1 - b2) d
        n := b3 n + (1 - b3) (g + b2 d)^2
        x := x - lr ((m^ + b2 v^) / (sqrt(n^ + eps_root) + eps) + wd x)
        m^ = m / (1 - b1^t),  v^ = v / (1 - b2^t),  n^ = n / (1 - b3^t)

    Differs from: the paper writes 1 - b for b, so that its factors 1 - b2 of d and v^ are b2 here,
    as in the authors' code; optax 0.2.8 has 1 - b2 in both, another rule from the second step on.
    The paper has no eps_root, and its decay is proximal: x := (x - lr ...) / (1 + lr wd), which is
    this rule at the learning rate lr / (1 + lr wd).

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of its change, in [0, 1).
        b3: Decay of the average of the square, in [0, 1).
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        weight_decay: wd, not negative.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation; its state holds m, v, n and the last gradient, four times
        the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Xie, Zhou, Li, Lin & Yan (2022), Algorithm 1.
    """
    check_adam("adan", b1, b2, eps, eps_root)
    check_decay("adan", "b3", b3)

    def step(g: Array, s: AdanLeaf, x: Array, lr: Array, t: Array) -> tuple[Array, AdanLeaf]:
        d = jnp.where(t == 1, 0, g - s.g)
        m = b1 * s.m + (1 - b1) * g
        v = b2 * s.v + (1 - b2) * d
        n = b3 * s.n + (1 - b3) * (g + b2 * d) ** 2
        m_hat, v_hat, n_hat = m / (1 - b1**t), v / (1 - b2**t), n / (1 - b3**t)
        direction = (m_hat + b2 * v_hat) / (jnp.sqrt(n_hat + eps_root) + eps)
        return -lr * direction, AdanLeaf(m, v, n, g)

    return leafwise(
        "adan", learning_rate, zeros_of(AdanLeaf), step, weight_decay=weight_decay, mask=mask
    )


def ademamix(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    b3: Scheduled = 0.9999,
    alpha: Scheduled = 5.0,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    mask: Mask = None,
    *,
    warmup_steps: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """AdEMAMix: AdamW with a second, much slower average of the gradient.

    From m1 = m2 = v = 0, for t = 1, 2, ...

        m1 := b1 m1 + (1 - b1) g
        m2 := b3_t m2 + (1 - b3_t) g
        v  := b2 v + (1 - b2) g^2
        x  := x - lr ((m1^ + alpha_t m2) / (sqrt(v^ + eps_root) + eps) + wd x)
        m1^ = m1 / (1 - b1^t),  v^ = v / (1 - b2^t)

    m2 is not corrected. For a warm-up over T steps, with w = min(t / T, 1),

        alpha_t = w alpha
        ln b3_t = ln b1 ln b3 / ((1 - w) ln b3 + w ln b1)

    which takes 1 / ln b3_t from 1 / ln b1 to 1 / ln b3; otherwise they are alpha and b3.

    Differs from: the paper always warms up; optax does not, but takes schedules, as here.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the fast average of the gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        b3: Decay of the slow average of the gradient, in [0, 1), or a schedule of it.
        alpha: Weight of the slow average, not negative, or a schedule of it.
        eps: Keeps the denominator from 0.
        eps_root: The same, inside the root.
        weight_decay: wd, not negative.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.
        warmup_steps: T; 0 for no warm-up. With a warm-up b1 and b3 must be above 0.

    Returns:
        An optax gradient transformation; its state holds m1, m2 and v, three times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Pagliardini, Ablin & Grangier (2024), Algorithm 1.
    """
    check_adam("ademamix", b1, b2, eps, eps_root)
    if not callable(b3):
        check_decay("ademamix", "b3", b3)
    if not callable(alpha):
        check_nonnegative("ademamix", "alpha", alpha)
    check_count("ademamix", "warmup_steps", warmup_steps, least=0)
    for name, value in ("b1", b1), ("b3", b3):
        if warmup_steps and isinstance(value, int | float) and value == 0:
            raise ValueError(f"ademamix: {name} must be above 0 for a warm-up, got {value!r}")

    def mixing(x: Array, t: Array) -> tuple[Array, Array]:
        """b3_t and alpha_t."""
        slow, weight = (
            jnp.asarray(value(t.astype(jnp.int32) - 1) if callable(value) else value, x.dtype)
            for value in (b3, alpha)
        )
        if not warmup_steps:
            return slow, weight
        w = jnp.minimum(t / warmup_steps, 1)
        log_b1, log_b3 = jnp.log(jnp.asarray(b1, x.dtype)), jnp.log(slow)
        return jnp.exp(log_b1 * log_b3 / ((1 - w) * log_b3 + w * log_b1)), w * weight

    def step(
        g: Array, s: AdemamixLeaf, x: Array, lr: Array, t: Array
    ) -> tuple[Array, AdemamixLeaf]:
        b3_t, alpha_t = mixing(x, t)
        m1 = b1 * s.m1 + (1 - b1) * g
        m2 = b3_t * s.m2 + (1 - b3_t) * g
        v = b2 * s.v + (1 - b2) * g**2
        m1_hat, v_hat = m1 / (1 - b1**t), v / (1 - b2**t)
        direction = (m1_hat + alpha_t * m2) / (jnp.sqrt(v_hat + eps_root) + eps)
        return -lr * direction, AdemamixLeaf(m1, m2, v)

    return leafwise(
        "ademamix",
        learning_rate,
        zeros_of(AdemamixLeaf),
        step,
        weight_decay=weight_decay,
        mask=mask,
    )


def adopt(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.9999,
    eps: Hyper = 1e-6,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Array], Array] = lambda k: k**0.25,
) -> optax.GradientTransformationExtraArgs:
    """ADOPT: Adam that divides by the squares before the present one, and averages after that.

    The first step only sets v = g^2. From m = 0, for k = 1, 2, ... afterwards

        c := g / max(sqrt(v), eps), clipped to [-k^(1/4), k^(1/4)]
        m := b1 m + (1 - b1) c
        v := b2 v + (1 - b2) g^2
        x := x - lr m

    With nesterov, x := x - lr (b1 m + (1 - b1) c).

    Differs from: the paper's first version does not clip, `use_clipping=False`. There is no bias
    correction anywhere, in no implementation.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the scaled gradient, in [0, 1).
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        nesterov: Whether the momentum is Nesterov's.
        use_clipping: Whether c is clipped.
        clip_value_fn: The bound, from k as a floating-point number.

    Returns:
        An optax gradient transformation; its state holds m and v, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Taniguchi, Harada, Minegishi, Oshima, Jeong, Nagahara, Iiyama, Suzuki, Iwasawa &
    Matsuo (2024), Algorithm 2.
    """
    check_adam("adopt", b1, b2, eps)

    def step(g: Array, s: Moments, x: Array, lr: Array, t: Array) -> tuple[Array, Moments]:
        k = t - 1
        first = k == 0
        c = g / jnp.maximum(jnp.sqrt(s.v), eps)
        if use_clipping:
            bound = clip_value_fn(k)
            c = jnp.clip(c, -bound, bound)
        c = jnp.where(first, 0, c)  # and with it m and u
        m = b1 * s.m + (1 - b1) * c
        v = jnp.where(first, g**2, b2 * s.v + (1 - b2) * g**2)
        return -lr * (b1 * m + (1 - b1) * c if nesterov else m), Moments(m, v)

    return leafwise("adopt", learning_rate, zeros_of(Moments), step)
