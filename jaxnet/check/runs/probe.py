"""What can be learned from the data at all: two closed-form fits, tested on rows held out.

A linear fit and a smooth nonlinear one (ridge regression, plain and with a Gaussian kernel) to the
targets. They tell problems that no linear model can solve from runs that merely went wrong. Whether
the targets have anything to do with the inputs is a permutation test: do the fits take more of
them than of the same targets in random order? It sees a signal that is far too weak to predict by.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

ROWS = 600
"""Rows that are used for a fit with a kernel."""

MANY = 5000
"""Rows that are used for a linear fit in the permutation test."""

SPLITS = 3
"""How often the rows are halved."""

CLEAR = 3.0
"""Standard deviations of the fits to permuted targets, above which a relation is taken for one."""


class Probe(NamedTuple):
    """Errors on held-out rows, as a share of those of a constant prediction; 1 is as bad.

    classes is how many there are, 0 for numbers; for classes the errors are misclassified rows.
    relation says by how many standard deviations the fits take more of the targets than of the same
    in random order.
    """

    linear: float
    nonlinear: float
    classes: int
    relation: float
    table: bool

    @property
    def best(self) -> float:
        """The lower error."""
        return min(self.linear, self.nonlinear)


class Split(NamedTuple):
    """Rows in random order, with columns of mean 0 and variance 1, and the numbers of two halves.

    Each half is a test of the fit to the other.
    """

    rows: np.ndarray
    targets: np.ndarray
    halves: tuple[tuple[np.ndarray, np.ndarray], ...]


def as_rows(x: Any) -> np.ndarray | None:
    """An array as a matrix of numbers, one row for each example, or None."""
    leaves = jax.tree.leaves(x)
    if len(leaves) != 1:
        return None
    a = np.asarray(leaves[0], np.float64)
    flat: np.ndarray = a.reshape(len(a), -1)
    usable = 0 < flat.shape[1] <= 4000 and bool(np.isfinite(flat).all())
    return flat if usable else None


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
    classes: np.ndarray = numbers
    return classes if 2 <= len(names) <= max(2, min(100, len(a) // 3)) else None


def as_targets(t: Any) -> np.ndarray | None:
    """The targets as a matrix of numbers, classes as one-hot rows, or None."""
    classes = class_numbers(t)
    if classes is not None:
        one_hot: np.ndarray = np.eye(classes.max() + 1)[classes]
        return one_hot
    return as_rows(t)


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
    splits = [_split(rows, targets, rng) for _ in range(SPLITS)]
    kernels = [_kernels(split.rows) for split in splits]
    errors = [
        [_kernel_error(kernel, split, classes) for kernel in both]
        for both, split in zip(kernels, splits, strict=True)
    ]
    lines, curves = np.mean(errors, axis=0).tolist()
    if classes and curves < 0.8 * lines:
        lines = min(lines, float(np.mean([_logistic_error(split) for split in splits])))
    relation = max(
        _relation_to_columns(rows, targets, classes),
        _relation_to_kernel(kernels[0][1], splits[0].targets, classes),
    )
    return Probe(lines, curves, classes, relation, False)


def _split(rows: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> Split:
    order = rng.permutation(len(rows))[:ROWS]
    first, second = np.array_split(np.arange(len(order)), 2)
    return Split(_standardised(rows[order]), targets[order], ((first, second), (second, first)))


def _kernel_error(kernel: np.ndarray, split: Split, classes: int) -> float:
    """The error of a fit with a kernel, the mean over both halves."""
    errors = []
    for fit, test in split.halves:
        predicted = _ridge(kernel[np.ix_(fit, fit)], kernel[np.ix_(test, fit)], split.targets[fit])
        errors.append(_error(predicted, split.targets[test], classes))
    return float(np.mean(errors))


def _relation_to_columns(rows: np.ndarray, targets: np.ndarray, classes: int) -> float:
    """How much more of the targets a linear fit takes than of permuted ones."""
    # The first rows may be all of one kind, so some are drawn.
    some = np.sort(np.random.default_rng(0).permutation(len(rows))[:MANY])
    rows, targets = _standardised(rows[some]), targets[some]
    if not 0 < rows.shape[1] <= len(rows) // 4:
        return 0.0
    basis = np.linalg.qr(rows)[0]
    return _beyond_chance(lambda t: np.square(basis.T @ t), _ranked(targets, classes))


def _relation_to_kernel(kernel: np.ndarray, targets: np.ndarray, classes: int) -> float:
    """The same of a fit with a kernel."""
    hat = np.linalg.solve(kernel + 0.03 * np.eye(len(kernel)), kernel)
    return _beyond_chance(lambda t: t * (hat @ t), _ranked(targets, classes))


def _beyond_chance(taken: Callable[[np.ndarray], np.ndarray], targets: np.ndarray) -> float:
    """Standard deviations between what is taken of the targets and of 60 permutations.

    0 if as much is taken of all of them, up to rounding: then there is nothing to compare.
    """
    rng, width = np.random.default_rng(1), targets.shape[1]
    mixed = [targets[rng.permutation(len(targets))] for _ in range(60)]
    columns = taken(np.concatenate([targets, *mixed], axis=1)).sum(axis=0)
    own, *by_chance = columns.reshape(-1, width).sum(axis=1)
    mean, spread = float(np.mean(by_chance)), float(np.std(by_chance))
    if spread <= 1e-9 * max(abs(own), abs(mean)):
        return 0.0
    return float((own - mean) / spread)


def _ranked(targets: np.ndarray, classes: int) -> np.ndarray:
    """Targets of mean 0; numbers by their ranks, so that a few large ones do not decide.

    Equal numbers have one rank: their order among the rows must not count.
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # JAX brings SciPy

    if not classes:
        targets = rankdata(targets, axis=0) / len(targets)
    centred: np.ndarray = targets - targets.mean(axis=0)
    return centred


def _logistic_error(split: Split) -> float:
    """The error of softmax regression: least squares overlooks a class between two others."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # JAX brings SciPy

    targets = split.targets
    design = np.concatenate([split.rows, np.ones((len(targets), 1))], axis=1)
    shape = (design.shape[1], targets.shape[1])

    def loss(flat: np.ndarray, x: np.ndarray, t: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ flat.reshape(shape)
        z -= z.max(axis=1, keepdims=True)
        sums = np.exp(z).sum(axis=1, keepdims=True)
        value = float((np.log(sums[:, 0]) - (z * t).sum(axis=1)).mean())
        grad = x.T @ (np.exp(z) / sums - t) / len(x)
        return value + 1e-3 * float(flat @ flat), grad.ravel() + 2e-3 * flat

    errors = []
    for fit, test in split.halves:
        start = np.zeros(shape[0] * shape[1])
        data = (design[fit], targets[fit])
        w = minimize(
            loss, start, data, jac=True, method="L-BFGS-B", options={"maxiter": 100}
        ).x  # fmt: skip
        errors.append(_error(design[test] @ w.reshape(shape), targets[test], 1))
    return float(np.mean(errors))


def _standardised(rows: np.ndarray) -> np.ndarray:
    std = rows.std(axis=0)
    standardised: np.ndarray = (rows - rows.mean(axis=0))[:, std > 0] / std[std > 0]
    return standardised


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
        constant = 1 - float(np.bincount(truth).max()) / len(truth)
        wrong = float((predicted.argmax(axis=1) != truth).mean())
        return wrong / max(constant, 1 / len(truth))
    spread = float(((due - due.mean(axis=0)) ** 2).sum())
    return float(((predicted - due) ** 2).sum()) / max(spread, 1e-300)


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
    return Probe(linear, saturated, classes, np.inf, True)
