"""Training on rows that the optimizer chooses: importance sampling."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxnet.data.batches import Sampler
from jaxnet.layers.layer import Params
from jaxnet.models import Batch
from jaxnet.optim.aw_sgd import draw


def learned_sampler(batch_size: int) -> Sampler:
    """Rows drawn from the distribution in the state of `aw_sgd`, and their weights."""

    def init(key: Array) -> Array:
        return key

    def sample(state: Array, step: Array, optimizer_state: Any) -> tuple[Array, Array, Array]:
        rows, weights = draw(optimizer_state, jax.random.fold_in(state, step), batch_size)
        return rows, weights, state

    return Sampler(init, sample)


def weighted_gradient(
    value_and_grad: Callable[..., tuple[Array, Params]],
    params: Params,
    batch: Batch,
    weights: Array,
    key: Array,
) -> tuple[Array, Params, Array]:
    """The weighted mean loss and gradient of a batch, and the length of every row's gradient.

    With the weights w_i, the losses f_i of the rows and d_i = w_i grad f_i, gives the means of
    w_i f_i and d_i over the batch, and |d_i|^2 (batch_size,). The gradients of all rows stand
    side by side in memory: batch_size times the parameters.
    """

    def of_row(row: Batch, weight: Array, key: Array) -> tuple[Array, Params]:
        value, grads = value_and_grad(params, jax.tree.map(lambda a: a[None], row), key)
        return weight * value, jax.tree.map(lambda g: (weight * g).astype(g.dtype), grads)

    values, d = jax.vmap(of_row)(batch, weights, jax.random.split(key, weights.size))
    squares = [
        jnp.sum(jnp.square(leaf.reshape(weights.size, -1)), 1) for leaf in jax.tree.leaves(d)
    ]
    mean = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), d)
    return jnp.mean(values), mean, sum(squares, start=jnp.zeros_like(weights))
