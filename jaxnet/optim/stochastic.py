"""Gradient descent with noise on the gradient, and with Polyak's step size."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_choice,
    check_learning_rate,
    check_nonnegative,
    check_number,
    rate_at,
    times,
)
from jaxnet.optim.transformation import transformation
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import computed, dot, like, quotient


class NoisyState(NamedTuple):
    """State of `noisy_sgd`: the steps done, the last learning rate, and the next noise's key."""

    step: Array
    learning_rate: Array
    key: Array


class PolyakState(NamedTuple):
    """State of `polyak_sgd`: the steps done, and the last learning rate."""

    step: Array
    learning_rate: Array


def noisy_sgd(
    learning_rate: LearningRate,
    eta: Hyper = 0.01,
    gamma: Hyper = 0.55,
    *,
    key: Array,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent with normal noise on the gradient.

    For t = 0, 1, ...

        x := x - lr (g + n),   n ~ N(0, s_t^2),   s_t^2 = eta / (1 + t)^gamma

    with a noise of its own for every entry. eta is a variance, not a standard deviation. The noise
    is drawn from `key`, which the state carries on: the same key gives the same run.

    Differs from: optax draws the same noise from the same key, but in the leaf's own type where
    that is half precision.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        eta: The first step's variance, not negative; 0 gives gradient descent.
        gamma: How fast the variance falls, not negative.
        key: A key of `jax.random`.

    Returns:
        An optax gradient transformation; its state holds the key, and no parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Neelakantan et al. (2015).
    """
    check_nonnegative("noisy_sgd", "eta", eta)
    check_nonnegative("noisy_sgd", "gamma", gamma)

    def init(step: Array, lr: Array, params: Any) -> NoisyState:
        # A copy: the state may be donated, and the key is the caller's.
        return NoisyState(step, lr, jnp.copy(key))

    def step(
        grads: Any, state: NoisyState, params: Any, lr: Array, **extra: Any
    ) -> tuple[Any, NoisyState]:
        g = computed(grads)
        s = jnp.sqrt(eta / (1 + state.step.astype(lr.dtype)) ** gamma)
        next_key, drawn = jax.random.split(state.key)
        u = jax.tree.map(lambda g, n: times(-lr, g + times(s, n)), g, _noise_like(drawn, g))
        return u, state._replace(key=next_key)

    return treewise("noisy_sgd", learning_rate, init, step)


def polyak_sgd(
    max_learning_rate: Hyper = 1.0,
    scaling: LearningRate = 1.0,
    f_min: Hyper = 0.0,
    eps: Hyper = 0.0,
    variant: Literal["sps", "sps+"] = "sps",
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent with Polyak's step size, for losses whose least value is known.

        a  = (f(x) - f*) / (|g|^2 + eps)                sps
        a  = max(f(x) - f*, 0) / (|g|^2 + eps)          sps+
        lr = scaling min(a, max_learning_rate)
        x := x - lr g

    |g| is the norm of the gradient of all parameters together, and lr is 0 where the denominator
    is. `update` needs the loss as `value`.

    Differs from: the paper divides by c |g|^2, and c = 1/2 is a `scaling` of 2 with half the
    `max_learning_rate`. optax takes the norm of scaling g, so that a scaling of 2 halves its step,
    and stops already where |g|^2 + eps is below 2e-16. With "sps" a loss below f* gives a negative
    step, as in optax; "sps+" does not move there.

    Args:
        max_learning_rate: The largest step size before scaling, not negative.
        scaling: A factor on the step size: a number, an array or an optax schedule.
        f_min: f*, a lower bound of the loss; about 0 for models that can fit their data.
        eps: Keeps the denominator from 0.
        variant: "sps" or "sps+".

    Returns:
        An optax gradient transformation whose `update` needs `value`; its state holds no
        parameters.

    Raises:
        ValueError: A hyperparameter is out of range, the variant is unknown, or `update` got no
            value.

    References: Polyak (1987); with random batches Loizou, Vaswani, Laradji & Lacoste-Julien (2021);
    "sps+" Garrigos, Gower & Schaipp (2023).
    """
    check_nonnegative("polyak_sgd", "max_learning_rate", max_learning_rate)
    check_learning_rate("polyak_sgd", scaling, "scaling")
    check_number("polyak_sgd", "f_min", f_min, math.isfinite, "a finite number")
    check_nonnegative("polyak_sgd", "eps", eps)
    check_choice("polyak_sgd", "variant", variant, ("sps", "sps+"))

    def init(params: Any) -> PolyakState:
        zero = jnp.zeros([], jnp.int32)
        return PolyakState(zero, jnp.zeros_like(rate_at(scaling, zero)))

    def update(
        grads: Any,
        state: PolyakState,
        params: Any,
        *,
        value: ArrayLike | None = None,
        **extra: Any,
    ) -> tuple[Any, PolyakState]:
        if value is None:
            raise ValueError("polyak_sgd: update needs the loss: update(..., value=loss)")
        scale = rate_at(scaling, state.step)
        gap = jnp.asarray(value, scale.dtype) - f_min
        if variant == "sps+":
            gap = jnp.maximum(gap, 0)
        g = computed(grads)
        a = quotient(gap, dot(g, g) + eps)
        lr = (scale * jnp.minimum(a, max_learning_rate)).astype(scale.dtype)
        u = jax.tree.map(lambda g: times(-lr, g), g)
        return like(u, params), PolyakState(optax.safe_increment(state.step), lr)

    return transformation("polyak_sgd", init, update)


def _noise_like(key: Array, tree: Any) -> Any:
    """Standard normal noise in the shape and type of every leaf."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    noise = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, noise)
