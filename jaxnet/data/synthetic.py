"""Data made from nothing but a random key, or from nothing at all."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxnet.data.dataset import Dataset

_TRUTH = {"or": (0, 1, 1, 1), "and": (0, 0, 0, 1), "xor": (0, 1, 1, 0)}


def two_gaussians(
    key: Array,
    n: int,
    m: int,
    *,
    means: tuple[ArrayLike, ArrayLike] = (-1.0, 1.0),
    stds: tuple[ArrayLike, ArrayLike] = (0.5, 1.0),
) -> Dataset:
    """Draw two classes from two Gaussians with different means and variances.

    t_i ~ Bernoulli(1/2) and x_i | t_i = k ~ N(means[k], diag(stds[k]^2)).

    Args:
        key: Random key; the same key gives the same numbers.
        n: Number of examples.
        m: Number of features.
        means: Mean of each class, a scalar for all features or an array of shape (m,).
        stds: Standard deviation of each class, likewise.

    Returns:
        Classification with x of shape (n, m), in JAX's default float type.

    Raises:
        ValueError: n or m is below 1, a mean or standard deviation has another shape or is not
            finite, or a standard deviation is not positive.
    """
    if n < 1 or m < 1:
        raise ValueError(f"n = {n} examples of m = {m} features; expected at least 1 of each")
    mean = _per_class("means", means, m)
    std = _per_class("stds", stds, m)
    if not (std > 0).all():
        raise ValueError(f"stds are {stds}; expected positive numbers")
    key_t, key_x = jax.random.split(key)
    t = jax.random.bernoulli(key_t, 0.5, (n,)).astype(jnp.int32)
    x = mean[t] + std[t] * jax.random.normal(key_x, (n, m))
    return Dataset(
        # np.array copies: np.asarray would hand over read-only views of JAX's buffers.
        x=np.array(x),
        t=np.array(t),
        features=tuple(f"x{j + 1}" for j in range(m)),
        classes=("0", "1"),
    )


def truth_table(name: Literal["or", "and", "xor"]) -> Dataset:
    """Make the truth table of a logical function of two inputs.

    Args:
        name: "or", "and" or "xor".

    Returns:
        Classification with the four rows 00, 01, 10, 11 as x, and the values 0 or 1 as t.

    Raises:
        ValueError: There is no such function.
    """
    if name not in _TRUTH:
        raise ValueError(f"no truth table is called {name!r}; expected one of {', '.join(_TRUTH)}")
    return Dataset(
        x=np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64),
        t=np.array(_TRUTH[name], dtype=np.int32),
        features=("x1", "x2"),
        classes=("0", "1"),
    )


def _per_class(name: str, pair: tuple[ArrayLike, ArrayLike], m: int) -> Array:
    """Bring a value for each class to shape (2, m)."""
    if len(pair) != 2:
        raise ValueError(f"{name} has {len(pair)} entries; expected 2, one for each class")
    rows = []
    for k, value in enumerate(pair):
        row = jnp.asarray(value, dtype=float)
        if row.shape not in ((), (m,)):
            raise ValueError(f"{name}[{k}] has shape {row.shape}; expected a scalar or ({m},)")
        if not jnp.isfinite(row).all():
            raise ValueError(f"{name}[{k}] is {value}; expected finite numbers")
        rows.append(jnp.broadcast_to(row, (m,)))
    return jnp.stack(rows)
