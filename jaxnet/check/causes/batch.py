"""Gradients of a part of the batch."""

from typing import Any

import numpy as np

from jaxnet.check.causes.cause import Cause
from jaxnet.check.causes.relations import batch_size
from jaxnet.check.replay import Operation, Replay, Rule, altered_gradient, right_rule
from jaxnet.check.search import replays_of, same
from jaxnet.check.witness import Sample, Subject


def of_partial_batch(
    s: Subject, samples: list[Sample], left: list[int], close: float
) -> Cause | None:
    """The gradient of some rows of the batch only: the weights of the rows, by least squares."""
    n = batch_size(s)
    if s.closed is None or not 2 <= n <= 64:
        return None
    replays = replays_of(s, samples)
    if replays is None:
        return None
    columns, target = [], []
    for replay, sample in zip(replays, samples, strict=True):
        rows = row_gradients(replay, n)
        if rows is None:
            return None
        flat = [np.concatenate([row[k].ravel() for k in left]) for row in rows]
        columns.append(np.stack(flat, axis=1))
        target.append(np.concatenate([np.asarray(sample.given[k]).ravel() for k in left]))
    a, b = np.concatenate(columns), np.concatenate(target)
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
    rows_used = np.flatnonzero(used)
    said = (
        f"row {rows_used[0]}"
        if len(rows_used) == 1
        else f"rows {rows_used[0]} to {rows_used[-1]}"
        if len(rows_used) == rows_used[-1] - rows_used[0] + 1
        else f"{len(rows_used)} rows"
    )
    return Cause(
        "partial_batch",
        tuple(left),
        f"The gradient is that of {said} of the {n} rows of the batch only, "
        f"times {float(weights[used][0]):.4g}.",
        "Go over all rows.",
        {"rows": float(len(rows_used)), "of": float(n), "weight": float(weights[used][0])},
    )


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
