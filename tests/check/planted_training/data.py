"""The data that the runs share: scikit-learn's, and points in the plane."""

from functools import cache
from typing import Any

import numpy as np
import sklearn.datasets


@cache
def _read(name: str) -> tuple[np.ndarray, np.ndarray]:
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    return bunch.data[order], bunch.target[order]


def raw(name: str, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A bundled data set as scikit-learn has it, its rows in random order."""
    x, t = _read(name)
    return x[:rows].astype(np.float32), t[:rows]


def scaled(name: str, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The same with standardised columns."""
    x, t = raw(name, rows)
    std = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(std > 0, std, 1), t


def moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two half moons."""
    x, t = sklearn.datasets.make_moons(n, noise=noise, random_state=seed)
    return x.astype(np.float32), t


def circles(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two circles, one in the other."""
    x, t = sklearn.datasets.make_circles(n, noise=0.05, factor=0.4, random_state=seed)
    return x.astype(np.float32), t


def standard(t: Any) -> Any:
    """Targets of mean 0 and standard deviation 1."""
    return ((t - t.mean()) / t.std()).astype(np.float32)
