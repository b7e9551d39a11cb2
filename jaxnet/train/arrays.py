"""Checks of the data that a run is given."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxnet.layers.layer import Params
from jaxnet.layers.leaves import named_leaves
from jaxnet.models import Batch, Model


def as_batch(name: str, data: Any) -> Batch:
    """Turn (x, t) into JAX arrays, x of a floating-point type.

    Raises:
        ValueError: They are not a pair, have no rows or different numbers of rows, or hold a
            value that is not finite; the message names its row and column.
        TypeError: They hold something other than numbers.
    """
    if not isinstance(data, tuple | list) or len(data) != 2:
        got = f"{type(data).__name__} of length {len(data)}" if hasattr(data, "__len__") else data
        hint = "; pass (data.x, data.t)" if hasattr(data, "x") and hasattr(data, "t") else ""
        raise ValueError(f"{name}: a pair (x, t) is due, got {got}{hint}")
    x, t = (_numbers(f"{name} {part}", array) for part, array in zip("xt", data, strict=True))
    if x.ndim == 0 or t.ndim == 0 or x.shape[0] != t.shape[0] or x.shape[0] == 0:
        raise ValueError(
            f"{name}: x and t need the same number of rows, at least one; "
            f"got shapes {x.shape} and {t.shape}"
        )
    return _floating(x), t


def as_params(model: Model, params: Params) -> Params:
    """Turn given parameters into JAX arrays of a floating-point type.

    Raises:
        ValueError: They have not the structure or a shape that the model's own parameters have.
    """
    due = jax.eval_shape(model.init, jax.random.key(0))
    expected, got = str(jax.tree.structure(due)), str(jax.tree.structure(params))
    if expected != got:
        raise ValueError(f"params: the model has the structure {expected}, got {got}")
    params = jax.tree.map(lambda leaf: _floating(jnp.asarray(leaf)), params)
    for (name, leaf), shape in zip(
        named_leaves(params).items(), (d.shape for d in jax.tree.leaves(due)), strict=True
    ):
        if leaf.shape != shape:
            raise ValueError(f"params: {name} must have shape {shape}, got {leaf.shape}")
    return params


def check_targets(name: str, model: Model, params: Params, batch: Batch) -> None:
    """Raise a ValueError unless the model's loss takes the batch and its classes exist."""
    x, t = batch
    try:
        y = jax.eval_shape(model.apply, params, x)
        jax.eval_shape(model.loss, params, batch)
    except ValueError as error:
        raise ValueError(f"{name} does not fit the model: {error}") from None
    if t.ndim == 1 and jnp.issubdtype(t.dtype, jnp.integer):
        classes = max(y.shape[-1], 2)
        low, high = int(np.min(t)), int(np.max(t))
        if low < 0 or high >= classes:
            raise ValueError(
                f"{name}: the model has {y.shape[-1]} output(s), so classes must be 0 to "
                f"{classes - 1}; t holds {low} to {high}"
            )


def _numbers(name: str, array: ArrayLike) -> Array:
    given = np.asarray(array)
    if given.dtype.kind not in "biuf" and not jnp.issubdtype(given.dtype, jnp.floating):
        raise TypeError(f"{name}: an array of numbers is due, got the type {given.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is reported below
        taken = jnp.asarray(array)
    bad = np.argwhere(~np.isfinite(np.asarray(taken)))
    if len(bad):
        place = ", column ".join(str(i) for i in bad[0])
        raise ValueError(
            f"{name} holds {len(bad)} value(s) that are not finite in {taken.dtype}, the first at "
            f"row {place}: {given[tuple(bad[0])]}; remove, replace or rescale them"
        )
    return taken


def _floating(array: Array) -> Array:
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    return jnp.asarray(array, jnp.result_type(float))
