"""Trees of arrays: the types they are computed in, copies, and sums over all entries."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


def computed(tree: Any) -> Any:
    """Every leaf in the type it is computed in: its own, or float32 for half precision."""

    def widened(x: ArrayLike) -> Array:
        x = jnp.asarray(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))

    return jax.tree.map(widened, tree)


def like(tree: Any, old: Any) -> Any:
    """The leaves in the types of the leaves of `old`."""
    return jax.tree.map(lambda x, o: jnp.asarray(x, dtype=jnp.result_type(o)), tree, old)


def zeros(tree: Any) -> Any:
    """Zeros in the types that the leaves are computed in, a buffer of its own each."""
    return jax.tree.map(jnp.zeros_like, computed(tree))


def copied(tree: Any) -> Any:
    """The leaves in new buffers: parameters and a state that starts with them may be donated."""
    return jax.tree.map(jnp.array, tree)


def total(tree: Any) -> Array:
    """The sum of all entries of all leaves, in the default floating-point type; 0 if none."""
    zero = jnp.zeros([], jnp.result_type(float))
    return sum((jnp.sum(leaf).astype(zero.dtype) for leaf in jax.tree.leaves(tree)), start=zero)


def dot(a: Any, b: Any) -> Array:
    """<a, b>, the sum of the products of all entries."""
    return total(jax.tree.map(jnp.multiply, a, b))


def global_norm(tree: Any) -> Array:
    """The Euclidean norm of all entries of all leaves together."""
    return jnp.sqrt(dot(tree, tree))


def quotient(numerator: ArrayLike, denominator: Array) -> Array:
    """The quotient, and 0 where the denominator, which is not negative, is 0."""
    some = denominator > 0
    return jnp.where(some, numerator / jnp.where(some, denominator, 1.0), 0.0)
