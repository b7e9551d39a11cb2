"""Penalties on the weights that are forgotten, halved, doubled, or not due."""

from collections.abc import Sequence

import numpy as np

from jaxnet.check.causes.cause import Cause, at_points, said_name
from jaxnet.check.replay import Replay
from jaxnet.check.search import common_factor, replays_of
from jaxnet.check.witness import Sample, Subject, floats


def of_penalty(s: Subject, samples: list[Sample], k: int, close: float) -> Cause | None:
    """The difference is a multiple of the parameters: a penalty on squared weights."""
    given, true = at_points(samples, k)
    own = [np.asarray(floats(sample.params)[k]) for sample in samples]
    excess = [g - t for g, t in zip(given, true, strict=True)]
    for said, of, power in (("squared", lambda x: x, 2.0), ("absolute", np.sign, 1.0)):
        base = [of(x) for x in own]
        if power == 1.0 and len(np.unique(np.concatenate([b.ravel() for b in base]))) < 2:
            continue  # a constant, which may be anything
        c = common_factor(excess, base, 10 * close)
        if c is None or abs(c) < 1e-12:
            continue
        due = _penalty_due(s, samples, k) if power == 2.0 else 0.0
        found = due + c / power
        if abs(found) < 1e-3 * abs(due):
            found = 0.0
        if not due and found < 0:  # one that is written in a way that is not recognised
            due, found = -found, 0.0
        name = said_name(s, k)
        what = (
            f"lacks a penalty on {name}, or has one with the wrong coefficient or none due"
            if s.closed is None
            else f"has no penalty on {name}, which the loss has"
            if due and not found
            else f"has a penalty on {name} that the loss does not have"
            if not due
            else f"has the penalty on {name} with the coefficient {found:.6g}, not {due:.6g}"
        )
        return Cause(
            "regularization",
            (k,),
            f"The gradient {what}: it is off by {c:.6g} times "
            f"{'the parameters' if power == 2.0 else 'their signs'}.",
            f"{'Subtract' if c > 0 else 'Add'} {abs(c):.6g} times "
            f"{'the parameters' if power == 2.0 else 'their signs'}; "
            f"for a penalty of c times the {said} weights the gradient is "
            f"{'2 c w' if power == 2.0 else 'c sign(w)'}.",
            {"difference": c / power} if s.closed is None else {"found": found, "due": due},
        )
    return _at_each_use(s, k, excess, own, close)


def _at_each_use(
    s: Subject, k: int, excess: list[np.ndarray], own: list[np.ndarray], close: float
) -> Cause | None:
    """A penalty added wherever a row of a table is used: each row has its own coefficient."""
    if own[0].ndim < 2 or own[0].shape[0] < 2 or own[0][0].size < 2:
        return None
    size = max(float(np.abs(e).max(initial=0)) for e in excess)
    rows = []
    for i in range(len(own[0])):
        off = [e[i] for e in excess]
        c = common_factor(off, [x[i] for x in own], 10 * close)
        if c is None:
            return None
        rows.append(0.0 if all((np.abs(e) <= 10 * close * size).all() for e in off) else c)
    return Cause(
        "regularization",
        (k,),
        f"The gradient is off by a multiple of the parameters that is another one in each row of "
        f"{said_name(s, k)}, from {min(rows):.6g} to {max(rows):.6g}: a penalty that is added at "
        "each use of a row.",
        "Add the penalty once, after the sum over the uses.",
        {"smallest": min(rows), "largest": max(rows)},
    )


def _penalty_due(s: Subject, samples: list[Sample], k: int) -> float:
    """C of a term c * sum of squares of a leaf in the loss, read off its replay."""
    replays = replays_of(s, samples[:1])
    if replays is None:
        return 0.0
    replay = replays[0]
    base = replay.base
    own = through_copies(replay, k)
    due = 0.0
    for op in replay.operations:
        if op.index not in base.inputs or op.name not in ("integer_pow", "square", "mul"):
            continue
        if not all(i in own for i in op.inputs):
            continue
        ct = sum(c for c in base.inputs[op.index] if c is not None)
        w = replay.values[op.inputs[0]]
        if np.shape(ct) == np.shape(w) and np.any(w):
            due += float(np.sum(ct * w) / np.sum(2 * w * w))
    return due


def penalty_place(replay: Replay, leaves: Sequence[int]) -> str | None:
    """Where the loss has a penalty on these leaves, or on any."""
    for k in (*leaves, *range(len(replay.parameters))):
        own = through_copies(replay, k)
        for op in replay.operations:
            of_penalty = op.outputs[0] in replay.heads and set(op.inputs) <= own
            if op.name in ("integer_pow", "square", "mul", "abs") and of_penalty:
                return op.frames[0] if op.frames else None
    return None


def through_copies(replay: Replay, k: int) -> set[int]:
    """The numbers of the values that are the k-th parameter, reshaped or copied."""
    own = {replay.parameters[k]}
    for op in replay.operations:
        if op.name in ("reshape", "transpose", "copy", "squeeze") and op.inputs[0] in own:
            own.add(op.outputs[0])
    return own
