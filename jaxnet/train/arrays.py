"""Checks of the data that a run is given."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxnet.layers.layer import Params
from jaxnet.models import Batch, Model


def as_batch(name: str, data: tuple[ArrayLike, ArrayLike]) -> Batch:
    """Turn (x, t) into JAX arrays, x of a floating-point type.

    Raises:
        ValueError: They are not a pair, have no rows or different numbers of rows, or hold a
            value that is not finite; the message names its row and column.
        TypeError: They hold something other than numbers.
    """
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"{name}: a pair (x, t) is due, got {type(data).__name__}")
    x, t = (_numbers(f"{name} {part}", array) for part, array in zip("xt", data, strict=True))
    if x.ndim == 0 or t.ndim == 0 or x.shape[0] != t.shape[0] or x.shape[0] == 0:
        raise ValueError(
            f"{name}: x and t need the same number of rows, at least one; "
            f"got shapes {x.shape} and {t.shape}"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    for part, array in (("x", x), ("t", t)):
        _check_finite(f"{name} {part}", array)
    return x, t


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
    try:
        return jnp.asarray(array)
    except (TypeError, ValueError) as error:
        kind = np.asarray(array).dtype
        raise TypeError(f"{name}: an array of numbers is due, got {kind}: {error}") from None


def _check_finite(name: str, array: Array) -> None:
    if not jnp.issubdtype(array.dtype, jnp.floating) or bool(np.isfinite(np.asarray(array)).all()):
        return
    bad = np.argwhere(~np.isfinite(np.asarray(array)))
    place = ", column ".join(str(i) for i in bad[0])
    raise ValueError(
        f"{name} holds {len(bad)} value(s) that are not finite, the first at row {place} "
        f"({np.asarray(array)[tuple(bad[0])]}); remove or replace them"
    )
