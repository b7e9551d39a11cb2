"""What can be learned from the data at all: two closed-form fits, tested on rows held out.

A linear fit and a smooth nonlinear one (ridge regression, plain and with a Gaussian kernel) to the
targets. They tell data whose targets have nothing to do with the inputs, and problems that no
linear model can solve, from runs that merely went wrong.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

ROWS = 600
"""Rows that are used."""


class Probe(NamedTuple):
    """Errors on held-out rows, as a share of those of a constant prediction; 1 is as bad.

    classes is how many there are, 0 for numbers; for classes the errors are misclassified rows.
    chance has the lowest error that any of the two fits reached on targets in random order.
    """

    linear: float
    nonlinear: float
    centred: float
    classes: int
    chance: float
    table: bool

    @property
    def best(self) -> float:
        """The lower error."""
        return min(self.linear, self.nonlinear)


def as_rows(x: Any) -> np.ndarray | None:
    """The inputs as a matrix of numbers, one row each, or None."""
    leaves = jax.tree.leaves(x)
    if len(leaves) != 1:
        return None
    flat = np.asarray(leaves[0], np.float64)
    flat = flat.reshape(len(flat), -1)
    return flat if 0 < flat.shape[1] <= 4000 and np.isfinite(flat).all() else None


def class_numbers(t: Any) -> np.ndarray | None:
    """The targets as classes 0, 1, ...: whole numbers, signs or one-hot rows; None for numbers."""
    leaves = jax.tree.leaves(t)
    if len(leaves) != 1:
        return None
    a = np.asarray(leaves[0], np.float64)
    if a.ndim == 2 and a.shape[1] > 1:
        if not (np.isin(a, (0, 1)).all() and (a.sum(axis=1) <= 1).all()):
            return None
        a = np.where(a.any(axis=1), a.argmax(axis=1), a.shape[1])
    a = a.reshape(len(a), -1)
    if a.shape[1] != 1 or not np.isfinite(a).all() or (a != np.round(a)).any():
        return None
    names, numbers = np.unique(a[:, 0], return_inverse=True)
    return numbers if 2 <= len(names) <= max(2, min(100, len(a) // 3)) else None


def as_targets(t: Any) -> np.ndarray | None:
    """The targets as a matrix of numbers, or None."""
    classes = class_numbers(t)
    if classes is not None:
        return np.eye(classes.max() + 1)[classes]
    leaves = jax.tree.leaves(t)
    a = np.asarray(leaves[0], np.float64)
    a = a.reshape(len(a), -1)
    return a if len(leaves) == 1 and np.isfinite(a).all() else None


def probe(x: Any, t: Any) -> Probe | None:
    """Fit the targets; None if the data are no matrices of numbers or too few rows."""
    rows, targets = as_rows(x), as_targets(t)
    if rows is None or targets is None or not (targets.std(axis=0) > 0).any():
        return None
    numbers = class_numbers(t)
    classes = 0 if numbers is None else int(numbers.max()) + 1
    if len(rows) < 40:
        return _of_table(rows, targets, classes)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(rows))[:ROWS]
    rows, targets = _standardised(rows[order]), targets[order]
    half = len(rows) // 2
    fit, test = slice(0, half), slice(half, None)
    shuffled = [targets[rng.permutation(len(targets))] for _ in range(8)]
    all_targets = np.concatenate([targets, *shuffled], axis=1)
    width = targets.shape[1]
    errors = []
    for kernel in _kernels(rows):
        predicted = _ridge(kernel[fit, fit], kernel[test, fit], all_targets[fit])
        errors.append([
            _error(predicted[:, i : i + width], all_targets[test, i : i + width], classes)
            for i in range(0, all_targets.shape[1], width)
        ])  # fmt: skip
    linear, nonlinear = errors
    return Probe(
        linear[0], nonlinear[0], _no_offset(rows, targets), classes,
        min(*linear[1:], *nonlinear[1:]), False,
    )  # fmt: skip


def _standardised(rows: np.ndarray) -> np.ndarray:
    std = rows.std(axis=0)
    return (rows - rows.mean(axis=0))[:, std > 0] / std[std > 0]


def _kernels(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner products, and Gaussians as wide as a typical distance."""
    inner = rows @ rows.T
    square = np.diag(inner)
    distance = np.maximum(square[:, None] + square[None] - 2 * inner, 0)
    near = np.quantile(distance[np.triu_indices(len(rows), 1)], 0.1)
    return inner / max(1, rows.shape[1]), np.exp(-distance / max(near, 1e-12))


def _ridge(kernel: np.ndarray, cross: np.ndarray, targets: np.ndarray) -> np.ndarray:
    mean = targets.mean(axis=0)
    weights = np.linalg.solve(kernel + 0.03 * np.eye(len(kernel)), targets - mean)
    predicted: np.ndarray = mean + cross @ weights
    return predicted


def _error(predicted: np.ndarray, due: np.ndarray, classes: int) -> float:
    if classes:
        truth = due.argmax(axis=1)
        constant = 1 - np.bincount(truth).max() / len(truth)
        return float((predicted.argmax(axis=1) != truth).mean() / max(constant, 1 / len(truth)))
    return float(
        ((predicted - due) ** 2).sum() / max(((due - due.mean(axis=0)) ** 2).sum(), 1e-300)
    )


def _no_offset(rows: np.ndarray, targets: np.ndarray) -> float:
    return float(
        np.linalg.norm(targets.mean(axis=0)) / max(np.linalg.norm(targets.std(axis=0)), 1e-300)
    )


def _of_table(rows: np.ndarray, targets: np.ndarray, classes: int) -> Probe | None:
    """Few rows with few values, as a truth table: fitted, not tested."""
    if any(len(np.unique(column)) > 3 for column in rows.T):
        return None
    design = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    predicted = design @ np.linalg.lstsq(design, targets, rcond=None)[0]
    _, group = np.unique(rows, axis=0, return_inverse=True)
    group = group.ravel()
    means = np.stack([targets[group == g].mean(axis=0) for g in range(group.max() + 1)])[group]
    spread = ((targets - targets.mean(axis=0)) ** 2).sum()
    linear, saturated = (float(((p - targets) ** 2).sum() / spread) for p in (predicted, means))
    return Probe(linear, saturated, 0.0, classes, 0.0, True)
