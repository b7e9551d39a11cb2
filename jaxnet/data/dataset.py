"""The form in which every source of data is handed over: plain numpy arrays with names."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Dataset(NamedTuple):
    """Examples with their targets.

    Attributes:
        x: Inputs, floats of shape (n, n_in).
        t: Targets. For classification the class numbers, int32 of shape (n,), each an index into
            `classes`; for regression floats of shape (n, n_out).
        features: Names of the n_in columns of x.
        classes: Names of the classes; empty for regression.
        target: Name of what t is.
    """

    x: NDArray[np.floating[Any]]
    t: NDArray[Any]
    features: tuple[str, ...]
    classes: tuple[str, ...]
    target: str = "target"

    def __repr__(self) -> str:
        """Shapes and names, not the arrays."""
        kind = f"{len(self.classes)} classes" if self.classes else "numbers"
        return (
            f"Dataset(x {self.x.shape} {self.x.dtype}, t {self.t.shape} {self.t.dtype}, "
            f"{len(self.features)} features, target {self.target!r}: {kind})"
        )


def one_hot(t: ArrayLike, n_classes: int) -> NDArray[np.float32]:
    """Encode class numbers as rows with a single one.

    y_ik = 1 if k = t_i, else 0.

    Args:
        t: Class numbers 0 <= t_i < n_classes, integers of shape (n,).
        n_classes: Number of classes, the length of each row.

    Returns:
        y, float32 of shape (n, n_classes).

    Raises:
        TypeError: The class numbers are not integers.
        ValueError: t is not a vector, or a class number is out of range.
    """
    labels = np.asarray(t)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"class numbers have dtype {labels.dtype}; expected integers, e.g. int32")
    if labels.ndim != 1:
        raise ValueError(f"class numbers have shape {labels.shape}; expected (n,)")
    out_of_range = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if out_of_range.size:
        i = out_of_range[0]
        raise ValueError(
            f"class number {labels[i]} at index {i} is out of range; "
            f"{n_classes} classes are numbered 0 to {n_classes - 1}"
        )
    rows: NDArray[np.float32] = (labels[:, None] == np.arange(n_classes)).astype(np.float32)
    return rows
