"""How well a model's hand-derived gradient agrees with `jax.grad` and with differences."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxnet.check.differences import central_differences
from jaxnet.layers.layer import Params
from jaxnet.models import Batch, Model

ENTRIES_PER_LEAF = 256
"""Larger leaves are compared with differences at this many entries, drawn at random."""


class Agreement(NamedTuple):
    """One leaf of a gradient under three witnesses.

    The errors are max |a - b| / max(|a|, |b|) over the leaf, 0 where both are zero: a small leaf
    cannot hide behind a large one.
    """

    leaf: str
    shape: tuple[int, ...]
    hand_auto: float  # hand-derived against jax.grad, all entries
    hand_differences: float  # hand-derived against central differences
    compared: int  # how many entries were compared with differences


def agreement(
    model: Model, params: Params, batch: Batch, *, key: Array | None = None
) -> tuple[Agreement, ...]:
    """Compare a model's hand-derived gradient with `jax.grad` and with differences, in float64.

    Args:
        model: The model.
        params: Where to compare.
        batch: (x, t); a few dozen rows tell as much as all of them.
        key: Draws the entries of large leaves; None stands for `jax.random.key(0)`.

    Returns:
        An `Agreement` for every leaf, in the order of the leaves.
    """
    key = jax.random.key(0) if key is None else key
    with jax.enable_x64(True):
        params, batch = _float64(params), _float64(batch)
        leaves = _leaves(params)
        entries = _entries(leaves, key)

        @jax.jit
        def witnesses(params: Params, batch: Batch, entries: Array) -> tuple[Params, Params, Array]:
            flat, unflatten = ravel_pytree(params)
            _, hand = model.value_and_grad(params, batch)
            auto = jax.grad(model.loss)(params, batch)
            numeric = central_differences(lambda v: model.loss(unflatten(v), batch), flat, entries)
            return hand, auto, numeric

        first = np.cumsum([0, *(leaf.size for leaf in leaves.values())])  # of each leaf, flattened
        flat_entries = np.concatenate([f + e for f, e in zip(first[:-1], entries, strict=True)])
        hand, auto, numeric = jax.device_get(witnesses(params, batch, flat_entries))
    by_leaf = np.split(numeric, np.cumsum([len(e) for e in entries])[:-1])
    return tuple(
        Agreement(name, h.shape, _error(h, a), _error(h.reshape(-1)[chosen], d), len(chosen))
        for (name, h), a, chosen, d in zip(
            _leaves(hand).items(), jax.tree.leaves(auto), entries, by_leaf, strict=True
        )
    )


def _leaves(tree: Params) -> dict[str, Any]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _float64(tree: Any) -> Any:
    def convert(leaf: Array) -> Array:
        array = np.asarray(leaf)
        floating = jnp.issubdtype(array.dtype, jnp.floating)
        return jnp.asarray(array, dtype=np.float64 if floating else array.dtype)

    return jax.tree.map(convert, tree)


def _entries(leaves: dict[str, Any], key: Array) -> list[np.ndarray]:
    """For every leaf the numbers of its entries that are compared with differences."""
    keys = jax.random.split(key, len(leaves))
    return [
        np.arange(leaf.size)
        if leaf.size <= ENTRIES_PER_LEAF
        else np.asarray(jax.random.choice(k, leaf.size, (ENTRIES_PER_LEAF,), replace=False))
        for leaf, k in zip(leaves.values(), keys, strict=True)
    ]


def _error(a: np.ndarray, b: np.ndarray) -> float:
    if a.size == 0:
        return 0.0
    scale = max(np.abs(a).max(), np.abs(b).max())
    return float(np.abs(a - b).max() / scale) if scale != 0 else 0.0
