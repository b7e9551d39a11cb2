"""Gradients that cannot be compared at all: missing, of another shape, not finite."""

from collections.abc import Iterator

import numpy as np

from jaxnet.check.alterations.places import made_through_copies
from jaxnet.check.causes.cause import Cause, said_name
from jaxnet.check.replay import Operation, Replay, is_float
from jaxnet.check.witness import Sample, Subject


def unusable(s: Subject, samples: list[Sample], wrong: list[int]) -> Iterator[Cause]:
    """The causes that are plain without a comparison."""
    for k in wrong:
        name = said_name(s, k)
        given, true = samples[0].given[k], samples[0].true[k]
        if given is None:
            yield Cause(
                "missing",
                (k,),
                f"The gradient has no leaf {name}; the loss depends on it.",
                f"Return a gradient for {name}, of shape {true.shape}.",
            )
        elif given.shape != true.shape:
            yield _of_shape(name, k, given, true)
        elif not all(np.isfinite(np.asarray(x.given[k])).all() for x in samples):
            bad = np.any([~np.isfinite(np.asarray(x.given[k])) for x in samples], axis=0)
            yield Cause(
                "nonfinite",
                (k,),
                f"The gradient of {name} is infinite or NaN in {int(bad.sum())} of {bad.size} "
                "entries; the true one is finite.",
                "Look for a division by 0, a logarithm or root at 0, or an overflow of exp.",
                {"entries": float(bad.sum())},
            )


def _of_shape(name: str, k: int, given: np.ndarray, true: np.ndarray) -> Cause:
    said = f"The gradient of {name} has shape {given.shape}; {name} has {true.shape}."

    def close(a: np.ndarray) -> bool:
        return np.allclose(a, true, rtol=1e-4, atol=1e-6 * np.abs(true).max(initial=0))

    if given.T.shape == true.shape and close(given.T):
        return Cause("transpose", (k,), f"{said} It is transposed.", "Return its transpose.")
    if given.size == true.size and close(given.reshape(true.shape)):
        fix = f"Give it the shape {true.shape}."
        if [n for n in given.shape if n != 1] == [n for n in true.shape if n != 1]:
            fix = f"{fix} Perhaps keepdims, or an index, has left an axis of length 1."
        return Cause("shape", (k,), f"{said} Its numbers are right.", fix)
    if given.ndim > true.ndim:
        extra = tuple(range(given.ndim - true.ndim))
        if given.shape[len(extra) :] == true.shape and close(given.sum(extra)):
            return Cause(
                "shape",
                (k,),
                f"{said} It is not summed over the batch: its sum over the first axis is right.",
                f"Sum it over the first axis, of {given.shape[0]} rows: every row adds to {name}.",
                {"rows": float(given.shape[0])},
            )
    return Cause("shape", (k,), said, f"Return an array of shape {true.shape}.")


SINGULAR = {"sqrt": 0, "rsqrt": 0, "log": 0, "log1p": 0, "pow": 0, "div": 1}
"""Operations with a derivative that is infinite at 0, and which of their inputs that is."""

EXPONENTIAL = ("exp", "expm1", "logistic", "tanh", "reduce_max")
"""Operations that overflow where exponentials are written out, or the maximum is not subtracted."""

OVERFLOW = 80.0
"""Exponents near which exp is too large in float32."""


def singular_place(replay: Replay, k: int) -> str | None:
    """Where the loss is singular but for a guard, or would overflow, on the way from a leaf."""
    reached = {replay.parameters[k]}
    overflowing = None
    for op in replay.operations:
        if not reached & set(op.inputs):
            continue
        reached.update(op.outputs)
        if op.frames and op.name in SINGULAR and _guarded(op, replay, reached):
            return op.frames[0]
        x = np.asarray(replay.values[op.inputs[0]])
        large = op.name in EXPONENTIAL and np.abs(x[np.isfinite(x)]).max(initial=0) > OVERFLOW
        if large and overflowing is None and op.frames:
            overflowing = op.frames[0]
    return overflowing


def _guarded(op: Operation, replay: Replay, reached: set[int]) -> bool:
    """Whether the argument is at its singularity, or would be without a sum, choice or bound."""
    number = op.inputs[SINGULAR[op.name]]
    if not (np.asarray(replay.values[number]) > 0).all() and op.name != "div":
        return True
    guard = made_through_copies(replay, number)
    if guard is None or guard.name not in ("add", "max", "select_n", "clamp"):
        return not np.asarray(replay.values[number]).all()
    return any(
        i in reached and (np.asarray(replay.values[i]) <= 0).any()
        for i in guard.inputs
        if is_float(replay.values[i])
    )
