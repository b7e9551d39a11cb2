"""Where the error of a gradient enters, if no alteration that is known explains it.

Let J be the derivatives of a value v of a replay by all parameters, and e the error of the user's
gradient. If what comes back to v is wrong by d, and all that lies before v is right,

    e = J^T d

for some d. If v has fewer numbers than there are wrong parameters, hardly any e is of that form;
one that is must have come through v.
"""

import numpy as np

from jaxnet.check.alterations.slopes import CONSTANT_SLOPE
from jaxnet.check.replay import Operation, Replay
from jaxnet.check.screen import LARGEST, tangents
from jaxnet.check.witness import Sample

MOST = 400
"""Parameters up to which the derivatives of all values are taken, one by one."""

SPARE = 3
"""So many dimensions, of those of the wrong entries, a value must not reach to tell anything."""

PASSED_OVER = CONSTANT_SLOPE | {
    *("reduce_sum", "broadcast_in_dim", "reshape", "squeeze", "transpose", "loop_row", "stack"),
    *(
        "dot_general",
        "conv_general_dilated",
        "loop_stack",
        "slice",
        "concatenate",
        "select_n",
        "gather",
        "dynamic_slice",
        "expand_dims",
    ),
}
"""Operations that people hardly derive wrongly."""


def located(replay: Replay, sample: Sample, left: list[int], close: float) -> Operation | None:
    """The operation through which all of the error comes back, the nearest to the loss.

    Sums, copies and choices are passed over. None, too, for losses that are too large.
    """
    count = sum(true.size for true in sample.true)
    size = sum(np.size(value) for value in replay.values)
    fits = all(
        g is not None and g.shape == t.shape for g, t in zip(sample.given, sample.true, strict=True)
    )
    if count > MOST or count * size > LARGEST or not fits:
        return None
    error = np.concatenate(
        [np.ravel(g - t) for g, t in zip(sample.given, sample.true, strict=True)]
    )
    leaf = np.repeat(np.arange(len(sample.true)), [true.size for true in sample.true])
    wrong = np.isin(leaf, left)
    derivatives = tangents(replay, _units([true.size for true in sample.true]))
    for op in reversed(replay.operations):
        if op.name in PASSED_OVER or op.index not in replay.base.inputs or not op.frames:
            continue
        if any(_through(derivatives.get(i), error, wrong, close) for i in set(op.inputs)):
            return op
    return None


def _units(sizes: list[int]) -> list[list[np.ndarray]]:
    """The direction of every single parameter."""
    return [np.split(row, np.cumsum(sizes)[:-1]) for row in np.eye(sum(sizes))]


def _through(
    derivatives: np.ndarray | None, error: np.ndarray, wrong: np.ndarray, close: float
) -> bool:
    """Whether an error of the wrong entries comes through a value, and not by chance."""
    if derivatives is None:
        return False
    span = _basis(derivatives)
    # What of it leaves the right entries as they are.
    _, s, rows = np.linalg.svd(span[~wrong])
    held = rows[int((s > 1e-7).sum()) :].T
    span = _basis(span[wrong] @ held)
    if span.shape[1] + SPARE > wrong.sum():
        return False
    off = error[wrong] - span @ (span.T @ error[wrong])
    return bool(np.abs(off).max() <= 10 * close * np.abs(error).max())


def _basis(a: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what the columns span."""
    u, s, _ = np.linalg.svd(a, full_matrices=False)
    basis: np.ndarray = u[:, s > 1e-7 * s.max(initial=0.0)]
    return basis
