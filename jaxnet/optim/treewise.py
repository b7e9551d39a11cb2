"""The shape of the rules that see all leaves at once."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.rates import LearningRate, check_learning_rate, rate_at
from jaxnet.optim.transformation import transformation
from jaxnet.optim.whole_tree import like


def treewise(
    rule: str,
    learning_rate: LearningRate,
    init: Callable[[Array, Array, Any], Any],
    step: Callable[..., tuple[Any, Any]],
) -> optax.GradientTransformationExtraArgs:
    """Make an optimizer of a rule for the whole tree of the parameters.

    The updates come back in the types of the parameters and the state in its own, in whatever
    types `step` computes.

    Args:
        rule: The rule's name, for messages.
        learning_rate: lr, a number, an array or a schedule.
        init: (step, learning_rate, params) -> the state, a NamedTuple that has both as fields.
        step: (grads, state, params, lr, **extra) -> (updates, state); it need not set the state's
            step and learning_rate.

    Returns:
        An optax gradient transformation.
    """
    check_learning_rate(rule, learning_rate)

    def init_tree(params: Any) -> Any:
        zero = jnp.zeros([], jnp.int32)
        return init(zero, rate_at(learning_rate, zero), params)

    def update(grads: Any, state: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
        lr = rate_at(learning_rate, state.step)
        updates, new = step(grads, state, params, lr, **extra)
        new = new._replace(step=optax.safe_increment(state.step), learning_rate=lr)
        return like(updates, params), like(new, state)

    return transformation(rule, init_tree, update)
