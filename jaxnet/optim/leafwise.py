"""The shape that most rules share: every leaf of the parameters is updated by itself."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnet.optim.rates import Hyper, LearningRate, check_nonnegative
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import computed

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
    step: Callable[..., tuple[Array, Any]],
    *,
    weight_decay: Hyper = 0.0,
    mask: Mask = None,
    masks: Sequence[Mask] = (),
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
        masks: Others that `step` asks for: after t it gets what each says of the leaf, a bool.

    Returns:
        An optax gradient transformation.
    """
    check_nonnegative(rule, "weight_decay", weight_decay)
    if _is_zero(weight_decay):
        mask = False

    def init_tree(count: Array, lr: Array, params: Any) -> LeafwiseState:
        return LeafwiseState(count, lr, jax.tree.map(lambda x: init(computed(x)), params))

    def step_tree(
        grads: Any, state: LeafwiseState, params: Any, lr: Array, **extra: Any
    ) -> tuple[Any, LeafwiseState]:
        def leaf(g: Array, x: Array, s: Any, decays: bool, *flags: bool) -> tuple[Array, Any]:
            rate, t = lr.astype(x.dtype), (state.step + 1).astype(x.dtype)
            u, s = step(g, s, x, rate, t, *flags)
            return u - rate * weight_decay * x if decays else u, s

        flags = [spread(m, params) for m in (mask, *masks)]
        pairs = jax.tree.map(leaf, computed(grads), computed(params), state.leaves, *flags)
        updates = jax.tree.map(lambda _, pair: pair[0], grads, pairs)
        leaves = jax.tree.map(lambda _, pair: pair[1], grads, pairs)
        return updates, state._replace(leaves=leaves)

    return treewise(rule, learning_rate, init_tree, step_tree)


def zeros_of(kind: Any) -> Callable[[Array], Any]:
    """The `init` of a leaf's state whose arrays all are as large as the leaf and start at 0."""
    return lambda x: kind(*(jnp.zeros_like(x) for _ in kind._fields))


def with_decay(g: Array, weight_decay: Hyper, x: Array) -> Array:
    """G + wd x. Where wd is the number 0 it does not read x: XLA cannot leave out 0 x by itself."""
    return g if _is_zero(weight_decay) else g + weight_decay * x


def spread(mask: Mask, params: Any) -> Any:
    """A bool for every leaf of the parameters: whether the mask says so, True without a mask."""
    tree = mask(params) if callable(mask) else mask
    if tree is None:
        tree = True

    def checked(m: Any) -> bool:
        if not isinstance(m, bool | np.bool_):
            raise TypeError(f"a mask must be made of bools, True where a leaf decays, got {m!r}")
        return bool(m)

    return jax.tree.map(lambda m, part: jax.tree.map(lambda _: checked(m), part), tree, params)


def norm(x: Array) -> Array:
    """The Euclidean norm of all entries of a leaf."""
    return jnp.sqrt(jnp.sum(x**2))


def _is_zero(value: Hyper) -> bool:
    return isinstance(value, int | float) and value == 0
