"""The scales of input columns and of targets."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Scales(NamedTuple):
    """The columns of an array, constant ones left out.

    largest is the largest root mean square; widest, middle and narrowest are standard deviations
    (middle is their median); offset is the largest |mean| / standard deviation.
    """

    largest: float
    widest: float
    middle: float
    narrowest: float
    offset: float

    @property
    def bad(self) -> bool:
        """Whether the columns are far from mean 0 and standard deviation 1, or from one another."""
        uneven = self.widest > 20 * self.middle
        return self.largest > 8 or self.largest < 0.1 or uneven or self.offset > 15


def scales(a: Any) -> Scales | None:
    """The scales of the columns of an array of floating-point numbers; None for others."""
    leaves = jax.tree.leaves(a)
    if len(leaves) != 1 or not jnp.issubdtype(leaves[0].dtype, np.floating):
        return None
    flat = np.asarray(leaves[0], np.float64)
    flat = flat.reshape(len(flat), -1)
    std = flat.std(axis=0)
    moving = std > 1e-12 * np.abs(flat).max(initial=0)
    if not moving.any() or not np.isfinite(flat).all():
        return None
    std, mean = std[moving], flat.mean(axis=0)[moving]
    rms = np.sqrt(std**2 + mean**2)
    return Scales(
        float(rms.max()), float(std.max()), float(np.median(std)), float(std.min()),
        float((np.abs(mean) / std).max()),
    )  # fmt: skip


def column_figures(x: Any) -> dict[str, float]:
    """The widest and the narrowest column of the inputs and the one furthest from 0, by number."""
    if scales(x) is None:
        return {}
    flat = np.asarray(jax.tree.leaves(x)[0], np.float64)
    flat = flat.reshape(len(flat), -1)
    std, size = flat.std(axis=0), np.abs(flat.mean(axis=0))
    moving = std > 1e-12 * np.abs(flat).max(initial=0)
    offset = np.where(moving, size / np.where(moving, std, 1), 0)
    wide, narrow = int(std.argmax()), int(np.where(moving, std, np.inf).argmin())
    far = int(offset.argmax())
    return {
        f"largest_std_(column_{wide})": float(std[wide]),
        f"smallest_std_(column_{narrow})": float(std[narrow]),
        f"largest_offset_(column_{far})": float(offset[far]),
    }


def standardised(a: Any, by: Any = None) -> Any:
    """The columns with mean 0 and standard deviation 1 (those of `by`); constant ones stay."""

    def of(a: Any, by: Any) -> Any:
        by = np.asarray(by, np.float64)
        mean, std = by.mean(axis=0), by.std(axis=0)
        moving = std > 1e-12 * np.abs(by).max(initial=0)
        new = (np.asarray(a, np.float64) - np.where(moving, mean, 0)) / np.where(moving, std, 1)
        return jnp.asarray(new, a.dtype)

    return jax.tree.map(of, a, a if by is None else by)
