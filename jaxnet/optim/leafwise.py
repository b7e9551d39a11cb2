"""The shape that most rules share: every leaf of the parameters is updated by itself."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.optim.rates import Hyper, LearningRate, check_learning_rate, check_nonnegative, rate_at

Mask: TypeAlias = Any
"""Which leaves decay: a tree of bools in the structure of the parameters (or a prefix of it), or a
function from the parameters to one. None is all of them."""


class LeafwiseState(NamedTuple):
    """State of a leafwise rule.

    step is the number of steps done, learning_rate the one that the last step used. leaves has the
    structure of the parameters with the rule's own NamedTuple, or (), in the place of every leaf.
    """

    step: Array
    learning_rate: Array
    leaves: Any


class Accumulator(NamedTuple):
    """One leaf's state of a rule that keeps a single array: a velocity, a sum, an average."""

    v: Array


class Moments(NamedTuple):
    """One leaf's state of a rule that keeps averages of the gradient and of its square."""

    m: Array
    v: Array


def leafwise(
    rule: str,
    learning_rate: LearningRate,
    init: Callable[[Array], Any],
    step: Callable[[Array, Any, Array, Array, Array], tuple[Array, Any]],
    *,
    weight_decay: Hyper = 0.0,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """Make an optimizer of a rule for one leaf.

    Leaves of half precision are computed in float32, and so is their state: in float16 an eps of
    1e-8 is 0, and in bfloat16 a decay of 0.999 is 1. The update comes back in the leaf's own type.

    Args:
        rule: The rule's name, for messages.
        learning_rate: lr, a number, an array or a schedule.
        init: x -> s, the leaf's state before the first step.
        step: (g, s, x, lr, t) -> (u, s): from the gradient g, the state s, the parameter x, the
            learning rate and the number of the step t = 1, 2, ... to the update, x := x + u, and
            the new state.
        weight_decay: wd of decoupled weight decay, which adds -lr wd x to u.
        mask: Which leaves decay.

    Returns:
        An optax gradient transformation whose `update` needs `params`.
    """
    check_learning_rate(rule, learning_rate)
    check_nonnegative(rule, "weight_decay", weight_decay)

    def init_tree(params: Any) -> LeafwiseState:
        zero = jnp.zeros([], jnp.int32)
        leaves = jax.tree.map(lambda x: init(computed(x)), params)
        return LeafwiseState(zero, rate_at(learning_rate, zero), leaves)

    def update(
        grads: Any, state: LeafwiseState, params: Any = None, **extra: Any
    ) -> tuple[Any, LeafwiseState]:
        check_params(rule, params)
        lr = rate_at(learning_rate, state.step)
        structure: Any = jax.tree.structure(grads)
        decays = _decaying(mask, params)
        updates, leaves = [], []
        for g, s, x, decay in zip(
            jax.tree.leaves(grads),
            structure.flatten_up_to(state.leaves),
            structure.flatten_up_to(params),
            decays,
            strict=True,
        ):
            g, x = computed(g), computed(x)
            t = (state.step + 1).astype(x.dtype)
            u, s_new = step(g, s, x, lr.astype(x.dtype), t)
            if decay and not _is_zero(weight_decay):
                u = u - lr.astype(x.dtype) * weight_decay * x
            updates.append(u)
            leaves.append(jax.tree.map(lambda new, old: new.astype(old.dtype), s_new, s))
        like = structure.flatten_up_to(params)
        updates = [u.astype(x.dtype) for u, x in zip(updates, like, strict=True)]
        new_state = LeafwiseState(
            optax.safe_increment(state.step), lr, jax.tree.unflatten(structure, leaves)
        )
        return jax.tree.unflatten(structure, updates), new_state

    return optax.GradientTransformationExtraArgs(init_tree, update)


def computed(x: ArrayLike) -> Array:
    """A leaf in the type it is computed in: its own, or float32 for half precision."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def with_decay(g: Array, weight_decay: Hyper, x: Array) -> Array:
    """G + wd x. Where wd is the number 0 it does not read x: XLA cannot leave out 0 x by itself."""
    return g if _is_zero(weight_decay) else g + weight_decay * x


def check_params(rule: str, params: Any) -> None:
    """Raise a ValueError if `update` was called without the parameters."""
    if params is None:
        raise ValueError(f"{rule}: update needs the parameters: update(grads, state, params)")


def _decaying(mask: Mask, params: Any) -> list[bool]:
    """Whether each leaf decays, in the order of the leaves."""
    tree = mask(params) if callable(mask) else mask
    if tree is None:
        return [True] * len(jax.tree.leaves(params))
    spread = jax.tree.map(lambda m, part: jax.tree.map(lambda _: bool(m), part), tree, params)
    return jax.tree.leaves(spread)


def _is_zero(value: Hyper) -> bool:
    return isinstance(value, int | float) and value == 0
