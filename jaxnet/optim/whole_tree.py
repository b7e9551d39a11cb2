"""What the rules need that look at all leaves at once: sums over a tree, and types."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxnet.optim.leafwise import Mask, _decaying, computed, with_decay
from jaxnet.optim.rates import Hyper


def computed_tree(tree: Any) -> Any:
    """Every leaf in the type it is computed in: its own, or float32 for half precision."""
    return jax.tree.map(computed, tree)


def zeros(tree: Any) -> Any:
    """Zeros in the types that the leaves are computed in, a buffer of its own each."""
    return jax.tree.map(lambda x: jnp.zeros_like(computed(x)), tree)


def total(tree: Any) -> Array:
    """The sum of all entries of all leaves, in the default floating-point type; 0 if none."""
    zero = jnp.zeros([], jnp.result_type(float))
    return sum((jnp.sum(leaf).astype(zero.dtype) for leaf in jax.tree.leaves(tree)), start=zero)


def dot(a: Any, b: Any) -> Array:
    """<a, b>, the sum of the products of all entries."""
    return total(jax.tree.map(jnp.multiply, a, b))


def norm(tree: Any) -> Array:
    """The Euclidean norm of all entries together."""
    return jnp.sqrt(dot(tree, tree))


def like(tree: Any, old: Any) -> Any:
    """The leaves in the types of the leaves of `old`."""
    return jax.tree.map(lambda leaf, o: jnp.asarray(leaf, dtype=o.dtype), tree, old)


def with_l2(grads: Any, params: Any, weight_decay: Hyper | None, mask: Mask) -> Any:
    """G + wd x on the leaves that decay: the gradient with an L2 term, in computed types."""
    g, x = computed_tree(grads), computed_tree(params)
    if weight_decay is None:
        return g
    leaves, structure = jax.tree.flatten(g)
    decayed = [
        with_decay(g, weight_decay, x) if decays else g
        for g, x, decays in zip(leaves, jax.tree.leaves(x), _decaying(mask, params), strict=True)
    ]
    return jax.tree.unflatten(structure, decayed)


def check_positive(rule: str, name: str, value: Any) -> None:
    """Raise a ValueError for a hyperparameter that is a Python number and not positive."""
    if isinstance(value, int | float) and not 0 < value < float("inf"):
        raise ValueError(f"{rule}: {name} must be a finite number > 0, got {value!r}")
