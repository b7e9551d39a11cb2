"""Reading optimizer states, whatever wrappers they lie in."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array


def eval_params(state: Any, params: Any) -> Any:
    """The point at which a model should be evaluated, saved and used.

    Most rules keep it in `params`. A rule that looks ahead keeps `params` at the point where the
    next gradient is due; its state then says, by a method `eval_params(params)`, which point is
    the answer.

    Args:
        state: The optimizer's state, also inside `optax.chain`, `optax.masked` and the like.
        params: The parameters that the optimizer updates.

    Returns:
        Parameters in the structure of `params`.
    """

    def is_answer(node: Any) -> bool:
        return hasattr(node, "eval_params")

    for node in jax.tree.leaves(state, is_leaf=is_answer):
        if is_answer(node):
            params = unmasked(node.eval_params(params), params)  # groups have a rule each
    return params


def learning_rate(state: Any) -> Array | None:
    """The learning rate that an optimizer's last step used, or None if its state does not tell.

    The rules of `jaxnet.optim` and those under `optax.inject_hyperparams` do.
    """

    def tells(node: Any) -> bool:
        return hasattr(node, "learning_rate") or "learning_rate" in getattr(node, "hyperparams", {})

    for node in jax.tree.leaves(state, is_leaf=tells):
        if tells(node):
            own = hasattr(node, "learning_rate")
            return jnp.asarray(node.learning_rate if own else node.hyperparams["learning_rate"])
    return None


def masked_like(params: Any, state: Any) -> Any:
    """The parameters with the places hidden that `optax.masked` hid in the rule's state."""

    def is_masked(node: Any) -> bool:
        return isinstance(node, optax.MaskedNode)

    return jax.tree.map(lambda s, p: s if is_masked(s) else p, state, params, is_leaf=is_masked)


def unmasked(answer: Any, params: Any) -> Any:
    """Fill the places that `optax.masked` hid from the rule with the parameters themselves."""

    def is_masked(node: Any) -> bool:
        return isinstance(node, optax.MaskedNode)

    return jax.tree.map(lambda a, p: p if is_masked(a) else a, answer, params, is_leaf=is_masked)
