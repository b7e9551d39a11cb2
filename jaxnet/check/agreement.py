"""How well a model's hand-derived gradient agrees with `jax.grad` and with differences."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxnet.check.differences import STEP, central_differences
from jaxnet.layers.layer import Params
from jaxnet.layers.leaves import named_leaves
from jaxnet.models import Batch, Model

ENTRIES_PER_LEAF = 256
"""Larger leaves are compared with differences at this many entries, drawn at random."""


class Agreement(NamedTuple):
    """One leaf of a gradient under three witnesses.

    The errors are max |a - b| / max(|a|, |b|, floor) over the leaf: a small leaf cannot hide
    behind a large one. The floor, 1e9 times the rounding error of a difference, keeps a gradient
    that is right and (nearly) zero from being judged by its own noise.
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
        key: As in the model's own functions: a key compares the gradient in training (with
            dropout, and batch statistics), none in evaluation.

    Returns:
        An `Agreement` for every leaf, in the order of the leaves.
    """
    with jax.enable_x64(True):
        params, batch = _float64(params), _float64(batch)
        leaves = named_leaves(params)
        entries = [_entries(leaf.size) for leaf in leaves.values()]

        @jax.jit
        def witnesses(params: Params, batch: Batch, entries: Array) -> tuple[Any, ...]:
            flat, unflatten = ravel_pytree(params)
            value, hand = model.value_and_grad(params, batch, key)
            auto = jax.grad(model.loss)(params, batch, key)
            numeric = central_differences(
                lambda flat: model.loss(unflatten(flat), batch, key), flat, entries
            )
            return value, hand, auto, numeric

        first = np.cumsum([0, *(leaf.size for leaf in leaves.values())])  # of each leaf, flattened
        flat_entries = np.concatenate([f + e for f, e in zip(first[:-1], entries, strict=True)])
        value, hand, auto, numeric = jax.device_get(witnesses(params, batch, flat_entries))
    floor = 1e9 * np.finfo(np.float64).eps * max(1.0, abs(value)) / STEP
    by_leaf = np.split(numeric, np.cumsum([len(e) for e in entries])[:-1])
    return tuple(
        Agreement(
            leaf=name,
            shape=h.shape,
            hand_auto=_error(h, a, floor),
            hand_differences=_error(h.reshape(-1)[chosen], d, floor),
            compared=len(chosen),
        )
        for (name, h), a, chosen, d in zip(
            named_leaves(hand).items(), jax.tree.leaves(auto), entries, by_leaf, strict=True
        )
    )


def _float64(tree: Any) -> Any:
    def convert(leaf: Array) -> Array:
        array = np.asarray(leaf)
        floating = jnp.issubdtype(array.dtype, jnp.floating)
        return jnp.asarray(array, dtype=np.float64 if floating else array.dtype)

    return jax.tree.map(convert, tree)


def _entries(size: int) -> np.ndarray:
    """The numbers of a leaf's entries that are compared with differences."""
    if size <= ENTRIES_PER_LEAF:
        return np.arange(size)
    return np.random.default_rng(0).choice(size, ENTRIES_PER_LEAF, replace=False)


def _error(a: np.ndarray, b: np.ndarray, floor: float) -> float:
    if a.size == 0:
        return 0.0
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), floor))
