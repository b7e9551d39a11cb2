"""Which rows of the data a step sees, as pure functions that run inside a compiled loop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Sampler(NamedTuple):
    """Rows for every step of a run.

    - `init(key) -> state`
    - `sample(state, step, optimizer_state) -> (rows, weights, state)` with rows (batch_size,), the
      numbers of the rows that the step uses, and the weights (batch_size,) of their gradients, or
      None if all count alike. Steps are counted from 0 and sampled in order. optimizer_state is
      for samplers that an optimizer teaches.
    """

    init: Callable[[Array], Any]
    sample: Callable[[Any, Array, Any], tuple[Array, Array | None, Any]]


def shuffled(n: int, batch_size: int) -> Sampler:
    """Every epoch a new random order of the n rows, cut into batches.

    An epoch has n // batch_size steps. If batch_size does not divide n, the rows that are left
    over sit the epoch out; as every epoch has its own order, they are other rows each time.
    """
    per_epoch = n // batch_size

    def init(key: Array) -> tuple[Array, Array]:
        return key, jnp.zeros(n, jnp.int32)

    def sample(
        state: tuple[Array, Array], step: Array, optimizer_state: Any
    ) -> tuple[Array, None, tuple[Array, Array]]:
        key, order = state
        epoch, batch = step // per_epoch, step % per_epoch

        def shuffle(order: Array) -> Array:
            return jax.random.permutation(jax.random.fold_in(key, epoch), n).astype(order.dtype)

        order = jax.lax.cond(batch == 0, shuffle, lambda order: order, order)
        rows = jax.lax.dynamic_slice_in_dim(order, batch * batch_size, batch_size)
        return rows, None, (key, order)

    return Sampler(init, sample)


def with_replacement(n: int, batch_size: int) -> Sampler:
    """Every row of every batch drawn anew, uniformly from all n."""

    def init(key: Array) -> Array:
        return key

    def sample(state: Array, step: Array, optimizer_state: Any) -> tuple[Array, None, Array]:
        rows = jax.random.randint(jax.random.fold_in(state, step), (batch_size,), 0, n)
        return rows, None, state

    return Sampler(init, sample)
