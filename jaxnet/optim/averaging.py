"""Rules that answer with an average of iterates, and dual averaging."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import leafwise, with_decay
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_count,
    check_decay,
    check_learning_rate,
    check_nonnegative,
    check_number,
    rate_at,
)
from jaxnet.optim.states import masked_like
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import computed, copied, like, quotient, zeros


class ScheduleFreeState(NamedTuple):
    """State of the schedule-free rules.

    The number of steps done, the last learning rate, the largest one, the sum of the weights, b1,
    and in the structure of the parameters the iterate z and the average v of the squared gradient;
    v is () for SGD.
    """

    step: Array
    learning_rate: Array
    largest_rate: Array
    weight_sum: Array
    b1: Array
    z: Any
    v: Any

    def eval_params(self, params: Any) -> Any:
        """The point to evaluate: the average x, not y, where the gradient is due."""
        own = masked_like(params, self.z)
        return like(_average(computed(own), self.z, self.b1), own)


class MadgradLeaf(NamedTuple):
    """One leaf's state of `madgrad`: the starting point and the weighted sums."""

    x0: Array
    s: Array
    v: Array


def schedule_free_sgd(
    learning_rate: LearningRate = 1.0,
    warmup_steps: int | None = None,
    b1: Hyper = 0.9,
    weight_decay: Hyper | None = None,
    weight_lr_power: Hyper = 2.0,
) -> optax.GradientTransformationExtraArgs:
    """Schedule-free gradient descent.

    From x = y = z and W = 0, for t = 1, 2, ..., with g the gradient at y,

        l  = lr min(1, t / warmup_steps)
        w  = (largest l so far)^weight_lr_power
        W := W + w
        z := z - l (g + wd y)
        x := (1 - w / W) x + w / W z
        y := (1 - b1) z + b1 x

    `params` are y throughout: take the gradient at `params` as with any other rule, and evaluate
    at `optim.eval_params(state, params)`, which is x. The state holds z; x is made of y and z.

    Differs from: optax, with warmup_steps or another schedule, has l one step behind w, so that
    its first step does nothing; l and w are those of the same step here, as in the authors' code.
    That code can also weigh by a power of t, and Keras weighs all steps equally.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        warmup_steps: Steps over which the rate grows from 0; None for none.
        b1: Share of the average in y, in (0, 1].
        weight_decay: wd, not negative; None for none.
        weight_lr_power: Power of the rate in the weights of the average, not negative.

    Returns:
        An optax gradient transformation; its state holds z, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky (2024).
    """
    return _schedule_free(
        "schedule_free_sgd",
        learning_rate,
        warmup_steps,
        b1,
        0.0 if weight_decay is None else weight_decay,
        weight_lr_power,
        lambda params: (),
        lambda g, v, t: (g, v),
    )


def schedule_free_adamw(
    learning_rate: LearningRate = 0.0025,
    warmup_steps: int | None = None,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    weight_lr_power: Hyper = 2.0,
) -> optax.GradientTransformationExtraArgs:
    """Schedule-free AdamW.

    As `schedule_free_sgd`, with v = 0 at first and the step of z

        v := b2 v + (1 - b2) g^2
        z := z - l (g / (sqrt(v / (1 - b2^t)) + eps) + wd y)

    The average x does what b1 does in Adam.

    Differs from: optax, with warmup_steps or another schedule, has l one step behind w, so that
    its first step does nothing. The authors' first code has sqrt(1 - b2^t) in l, and so in the
    weights, and divides by sqrt(v) + eps; later ones and optax correct v, as here.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        warmup_steps: Steps over which the rate grows from 0; None for none.
        b1: Share of the average in y, in (0, 1].
        b2: Decay of the average of the squared gradient, in [0, 1).
        eps: Keeps the denominator from 0.
        weight_decay: wd, not negative.
        weight_lr_power: Power of the rate in the weights of the average, not negative.

    Returns:
        An optax gradient transformation; its state holds z and v, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky (2024), Algorithm 1.
    """
    check_decay("schedule_free_adamw", "b2", b2)
    check_nonnegative("schedule_free_adamw", "eps", eps)

    def direction(g: Any, v: Any, t: Array) -> tuple[Any, Any]:
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, v, g)
        return jax.tree.map(lambda g, v: g / (jnp.sqrt(v / (1 - b2**t)) + eps), g, v), v

    return _schedule_free(
        "schedule_free_adamw",
        learning_rate,
        warmup_steps,
        b1,
        weight_decay,
        weight_lr_power,
        zeros,
        direction,
    )


def madgrad(
    learning_rate: LearningRate,
    momentum: Hyper = 0.9,
    weight_decay: Hyper = 0.0,
    eps: Hyper = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    """MADGRAD: dual averaging with the cube root of the sum of squares, and averaged iterates.

    From s = v = 0, for t = 1, 2, ..., with g := g + wd x,

        l  = (lr + eps) sqrt(t)
        s := s + l g
        v := v + l g^2
        z  = x0 - s / (cbrt(v) + eps)
        x := mu x + (1 - mu) z

    where mu is `momentum`.

    Differs from: optax has sqrt(t) in float32 even where all else is in float64. The authors'
    code has lr = 1e-2 by default, and eps in l and in the denominator, as here.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        momentum: mu, the share of the last iterate, in [0, 1).
        weight_decay: wd of an L2 term, not negative.
        eps: Keeps the denominator from 0, and the rate.

    Returns:
        An optax gradient transformation; its state holds x0, s and v, three times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Defazio & Jelassi (2021), Algorithm 1.
    """
    check_decay("madgrad", "momentum", momentum)
    check_nonnegative("madgrad", "weight_decay", weight_decay)
    check_nonnegative("madgrad", "eps", eps)
    mu = momentum

    def init(x: Array) -> MadgradLeaf:
        # A copy: params and state may both be donated to a compiled step.
        return MadgradLeaf(x0=jnp.array(x), s=jnp.zeros_like(x), v=jnp.zeros_like(x))

    def step(
        g: Array, state: MadgradLeaf, x: Array, lr: Array, t: Array
    ) -> tuple[Array, MadgradLeaf]:
        g = with_decay(g, weight_decay, x)
        rate = (lr + eps) * jnp.sqrt(t)
        s = state.s + rate * g
        v = state.v + rate * g**2
        z = state.x0 - s / (jnp.cbrt(v) + eps)
        x_new = mu * x + (1 - mu) * z
        return x_new - x, MadgradLeaf(state.x0, s, v)

    return leafwise("madgrad", learning_rate, init, step)


def _schedule_free(
    rule: str,
    learning_rate: LearningRate,
    warmup_steps: int | None,
    b1: Hyper,
    weight_decay: Hyper,
    weight_lr_power: Hyper,
    start: Callable[[Any], Any],
    direction: Callable[[Any, Any, Array], tuple[Any, Any]],
) -> optax.GradientTransformationExtraArgs:
    """The schedule-free rule with v = start(params) and z := z - l (direction(g, v, t) + wd y)."""
    check_learning_rate(rule, learning_rate)
    if warmup_steps is not None:
        check_count(rule, "warmup_steps", warmup_steps)
    check_number(rule, "b1", b1, lambda v: 0 < v <= 1, "in (0, 1]")
    check_nonnegative(rule, "weight_decay", weight_decay)
    check_nonnegative(rule, "weight_lr_power", weight_lr_power)

    def warmed_up(step: Array) -> Array:
        rate = rate_at(learning_rate, step)
        if warmup_steps is None:
            return rate
        return rate * jnp.minimum(1, (step + 1).astype(rate.dtype) / warmup_steps)

    def init(step: Array, lr: Array, params: Any) -> ScheduleFreeState:
        return ScheduleFreeState(
            step,
            lr,
            largest_rate=jnp.zeros_like(lr),
            weight_sum=jnp.zeros_like(lr),
            b1=jnp.array(b1, lr.dtype),
            z=copied(computed(params)),
            v=start(params),
        )

    def step(
        grads: Any, state: ScheduleFreeState, params: Any, lr: Array, **extra: Any
    ) -> tuple[Any, ScheduleFreeState]:
        g, y = computed(grads), computed(params)
        largest = jnp.maximum(state.largest_rate, lr)
        w = largest**weight_lr_power
        weight_sum = state.weight_sum + w
        c = quotient(w, weight_sum)

        d, v = direction(g, state.v, (state.step + 1).astype(lr.dtype))
        x = _average(y, state.z, state.b1)
        z = jax.tree.map(lambda z, d, y: z - lr * with_decay(d, weight_decay, y), state.z, d, y)
        x = jax.tree.map(lambda x, z: (1 - c) * x + c * z, x, z)
        u = jax.tree.map(lambda x, z, y: (1 - b1) * z + b1 * x - y, x, z, y)
        return u, state._replace(largest_rate=largest, weight_sum=weight_sum, z=z, v=v)

    return treewise(rule, warmed_up, init, step)


def _average(y: Any, z: Any, b1: Hyper) -> Any:
    """The x of y = (1 - b1) z + b1 x."""
    return jax.tree.map(lambda y, z: (y - (1 - b1) * z) / b1, y, z)
