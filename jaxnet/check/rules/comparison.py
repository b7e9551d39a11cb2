"""Whether two paths of parameters are the same, up to rounding."""

from typing import NamedTuple

import numpy as np

RELATIVE = 1e-9
"""How far paths may part, relative to the way gone, in float64."""

UNIT = float(np.finfo(np.float64).eps) / 2
"""The rounding unit of float64."""

HALF_SINGLE = 1e-5
"""Up to here a difference that no fault explains is that of a factor computed in float32."""

SINGLE = 2e-3
"""The same for rules that compute in float32."""

LOOSE = {"shampoo": 1e-4, "soap": 1e-4, "lbfgs": 1e-4, "bfgs": 1e-4, "conjugate_gradient": 1e-4,
         "newton_cg": 1e-4, "levenberg_marquardt": 1e-4, "muon": 1e-5}  # fmt: skip
"""Rules that amplify rounding."""


class Gap(NamedTuple):
    """How two paths differ.

    Attributes:
        wrong: (steps + 1, entries), where they differ by more than rounding.
        relative: The same shape, the difference relative to the way gone by the leaf.
    """

    wrong: np.ndarray
    relative: np.ndarray

    @property
    def any(self) -> bool:
        """Whether they differ."""
        return bool(self.wrong.any())


def gap(path: np.ndarray, due: np.ndarray, tolerance: float, unit: float) -> Gap:
    """Compare a path with the one that is due.

    A difference counts from `tolerance` times the way that the entry has gone so far, plus the
    rounding of the parameters themselves, 8 unit |x| a step.
    """
    with np.errstate(all="ignore"):
        moved = np.cumsum(np.abs(np.diff(due, axis=0, prepend=due[:1])), axis=0)
        steps = np.arange(len(due))[:, None]
        size = np.maximum.accumulate(np.abs(due), axis=0)
        allowed = tolerance * moved + 8 * unit * steps * (size + moved)
        apart = np.abs(path - due)
        both = (np.isnan(path) & np.isnan(due)) | (path == due)
        lost = ~(np.isfinite(path) & np.isfinite(due)) & ~both
        apart = np.where(both, 0.0, np.where(lost, np.inf, apart))
        wrong = lost | (~(apart <= allowed) & ~both)
        relative = np.where(apart > 0, apart / np.maximum(moved, 1e-300), 0.0)
    return Gap(wrong, relative)


def by_leaf(wrong: np.ndarray, sizes: list[int]) -> np.ndarray:
    """For every leaf, whether one of its entries is wrong."""
    ends = np.cumsum(sizes)[:-1]
    return np.array([part.any() for part in np.split(wrong, ends, axis=1)])


def same(path: np.ndarray, due: np.ndarray, tolerance: float, unit: float) -> bool:
    """Whether the paths are the same."""
    return not gap(path, due, tolerance, unit).any
