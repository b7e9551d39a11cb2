"""Gradients of a part of the batch."""

from itertools import combinations
from typing import Any

import jax
import numpy as np

from jaxnet.check.causes.cause import Cause
from jaxnet.check.causes.relations import batch_size
from jaxnet.check.replay import Operation, Replay, Rule, altered_gradient, right_rule
from jaxnet.check.search import same
from jaxnet.check.truth import TruthAt, given_at
from jaxnet.check.witness import Sample, Subject

MOST = 2000
"""Rows times parameters up to which a loss is differentiated with every row by itself."""


def of_partial_batch(
    s: Subject,
    samples: list[Sample],
    true: TruthAt,
    left: list[int],
    close: float,
    replays: list[Replay] | None,
) -> Cause | None:
    """The gradient of some rows of the batch only: the weights of the rows, by least squares."""
    n = batch_size(s)
    if not 2 <= n <= 64:
        return None
    columns, target = [], []
    for i, sample in enumerate(samples):
        rows = None if replays is None else row_gradients(replays[i], n)
        rows = rows or rows_alone(s, sample, true, n)
        if rows is None:
            return None
        flat = [np.concatenate([row[k].ravel() for k in left]) for row in rows]
        columns.append(np.stack(flat, axis=1))
        target.append(np.concatenate([np.asarray(sample.given[k]).ravel() for k in left]))
    a, b = np.concatenate(columns), np.concatenate(target)
    weights = _of_a_range(a, b, close)
    if weights is None:
        weights = _of_any_rows(a, b, close)
    if weights is None:
        return None
    used = weights != 0
    rows_used = np.flatnonzero(used)
    said = (
        f"row {rows_used[0]}"
        if len(rows_used) == 1
        else f"rows {rows_used[0]} to {rows_used[-1]}"
        if len(rows_used) == rows_used[-1] - rows_used[0] + 1
        else f"{len(rows_used)} rows"
    )
    weight = float(weights[used][0])
    return Cause(
        "partial_batch",
        tuple(left),
        f"The gradient is that of {said} of the {n} rows of the batch only, times {weight:.4g}.",
        "Go over all rows.",
        {"rows": float(len(rows_used)), "of": float(n), "weight": weight},
    )


def _of_a_range(a: np.ndarray, b: np.ndarray, close: float) -> np.ndarray | None:
    """The weights of the rows, if they are the same in a range of them and 0 elsewhere.

    The last column of a is what belongs to no row.
    """
    n, rest = a.shape[1] - 1, b - a[:, -1]
    sums = np.cumsum(np.column_stack([np.zeros(len(a)), a[:, :-1]]), axis=1)
    for i, j in combinations(range(n + 1), 2):
        rows = sums[:, j] - sums[:, i]
        if j - i == n or not rows.any():
            continue
        c = float(rest @ rows / (rows @ rows))
        if c and same(c * rows + a[:, -1], b, 10 * close):
            return np.where((np.arange(n) >= i) & (np.arange(n) < j), c, 0.0)
    return None


def _of_any_rows(a: np.ndarray, b: np.ndarray, close: float) -> np.ndarray | None:
    """The same for rows that do not stand together, by least squares."""
    n = a.shape[1] - 1
    if a.shape[0] < n + 1:
        return None
    # Without a penalty its column is 0, and so is its weight.
    weights = np.linalg.lstsq(a, b, rcond=1e-10)[0]
    if not same(a @ weights, b, 10 * close):
        return None
    weights = weights[:n]
    used = np.abs(weights) > 1e-3 * np.abs(weights).max()
    if used.all() or not np.allclose(weights[used], weights[used][0], rtol=1e-2):
        return None
    return np.where(used, weights, 0.0)


def rows_alone(s: Subject, sample: Sample, true: TruthAt, n: int) -> list[list[np.ndarray]] | None:
    """The gradient with each row of the batch by itself, and what is not the mean of these.

    None if the loss does not take single rows, or if it takes too long.
    """
    if n * sum(leaf.size for leaf in sample.true) > MOST:
        return None
    rows = []
    for i in range(n):
        try:
            rows.append(true.at(sample.params, _row_of(s, n, i)).leaves)
        except Exception:  # of other people's code: the first axis is no batch
            return None
    means = [np.mean(leaves, axis=0) for leaves in zip(*rows, strict=True)]
    return [*rows, [t - m for t, m in zip(sample.true, means, strict=True)]]


def of_each_row(
    s: Subject, samples: list[Sample], true: TruthAt, left: list[int], close: float
) -> Cause | None:
    """The gradient of another loss of one output: a multiple of the true one, row by row.

    The gradient of a row is the derivative of its loss by its output times that of the output, and
    only the first factor is wrong.
    """
    n, factors = batch_size(s), []
    if n < 3:
        return None
    for sample in samples[:2]:
        rows = rows_alone(s, sample, true, n)
        if rows is None:
            return None
        for i, row in enumerate(rows[:n]):
            args = _row_of(s, n, i)
            alone = s._replace(grad=lambda p, args=args: s.own_grad(p, *args))  # type: ignore[misc]
            try:
                given = given_at(alone, sample.params)
            except Exception:  # of other people's code: it takes no single rows
                return None
            factor = _multiple(given, row, left, close)
            if factor is None:
                return None
            factors.append(factor)
    if np.allclose(factors, factors[0], rtol=1e-3):
        return None
    finite = [c for c in factors if np.isfinite(c)]
    smallest, largest = min(finite, default=np.nan), max(finite, default=np.nan)
    elsewhere = ", and not 0 in rows where the true one is" if len(finite) < len(factors) else ""
    return Cause(
        "wrong_loss",
        tuple(left),
        "Row by row the gradient is a multiple of the true one, but not the same in all rows: "
        f"from {smallest:.4g} to {largest:.4g} times{elsewhere}. It is that of another loss of the "
        "same output.",
        "Derive the derivative of the loss by its output again; all behind it is right.",
        {"smallest": smallest, "largest": largest},
    )


def _multiple(
    given: list[np.ndarray | None], true: list[np.ndarray], left: list[int], close: float
) -> float | None:
    """How many times the true gradient of a row is given; infinite where that is 0."""
    if any(g is None or g.shape != t.shape for g, t in zip(given, true, strict=True)):
        return None
    a = np.concatenate([np.ravel(np.asarray(given[k])) for k in left])
    b = np.concatenate([np.ravel(true[k]) for k in left])
    if not b.any():
        return np.inf if a.any() else 1.0
    c = float(a @ b / (b @ b))
    return c if np.count_nonzero(b) > 2 and same(a, c * b, 10 * close) else None


def _row_of(s: Subject, n: int, i: int) -> tuple[Any, ...]:
    return tuple(jax.tree.map(lambda a: _row(a, n, i), arg) for arg in s.args)


def _row(a: Any, n: int, i: int) -> Any:
    return a[i : i + 1] if np.ndim(a) and np.shape(a)[0] == n else a


def row_gradients(replay: Replay, n: int) -> list[list[np.ndarray]] | None:
    """What each row of the batch contributes to the gradient, and what belongs to no row.

    The last sum over an axis of n entries is opened: its cotangent goes on for one row at a time.
    None if there is no such sum.
    """
    base = replay.base
    for op in reversed(replay.operations):
        if op.name != "reduce_sum" or op.index not in base.inputs:
            continue
        shape = np.shape(replay.values[op.inputs[0]])
        axes = [i for i in op.params["axes"] if shape[i] == n]
        if not axes:
            continue
        rows = [altered_gradient(replay, {op.index: _only(row, axes[0])}) for row in range(n)]
        # What does not pass through the sum, such as a penalty.
        rest = altered_gradient(replay, {op.index: lambda op, replay, dy: (None,)})
        return [*([g - r for g, r in zip(row, rest, strict=True)] for row in rows), rest]
    return None


def _only(row: int, axis: int) -> Rule:
    """The rule that passes the cotangent on for one entry of an axis."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        (ct,) = right_rule(op, replay, dy)
        kept = np.zeros_like(ct)
        index = (slice(None),) * axis + (row,)
        kept[index] = ct[index]
        return (kept,)

    return rule
