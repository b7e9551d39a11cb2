"""Where a NaN or an infinity comes from: the first operation that makes one."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet.check.replay import Replay
from jaxnet.check.report import Finding
from jaxnet.check.runs.lab import Lab
from jaxnet.check.runs.look import look


class Origin(NamedTuple):
    """An operation whose output, or whose gradient, is the first that is not finite."""

    operation: str
    where: str | None
    backwards: bool
    value: float


def origin(replay: Replay) -> Origin | None:
    """The first operation that makes a NaN or an infinity out of finite numbers."""
    for op in replay.operations:
        ins, outs = ([replay.values[i] for i in ids] for ids in (op.inputs, op.outputs))
        if all(map(_finite, ins)) and not all(map(_finite, outs)):
            bad = np.asarray(next(a for a in outs if not _finite(a)))
            frame = op.frames[0] if op.frames else None
            return Origin(op.name, frame, False, float(bad[~np.isfinite(bad)].ravel()[0]))
    with np.errstate(all="ignore"):
        back = replay.base
    for op in reversed(replay.operations):
        coming = [back.values[i] for i in op.outputs if i in back.values]
        going = [ct for ct in back.inputs.get(op.index, ()) if ct is not None]
        if coming and all(map(_finite, coming)) and not all(map(_finite, going)):
            frame = op.frames[0] if op.frames else None
            return Origin(op.name, frame, True, float("nan"))
    return None


def _finite(a: Any) -> bool:
    if isinstance(a, jax.Array) and jax.numpy.issubdtype(a.dtype, jax.dtypes.extended):
        return True  # a key
    a = np.asarray(a)
    return a.dtype.kind != "f" or bool(np.isfinite(a).all())


def nonfinite(lab: Lab) -> Finding | None:
    """NaN or infinity in the data, at the start, or in a run that was going well."""
    trial = lab.trial
    for name, part in (("x", trial.x), ("t", trial.t), ("params", trial.params)):
        if not all(_finite(leaf) for leaf in jax.tree.leaves(part)):
            count = sum(int((~np.isfinite(a)).sum()) for a in jax.tree.leaves(part))
            where, fix = "", "Remove or replace them."
            if name != "params":
                where, constant = _columns(part)
                fix += constant
            return Finding(
                "nonfinite", (), f"{name} holds {count} entries that are NaN or infinite{where}.",
                fix, {"entries": float(count)},
            )  # fmt: skip
    value, grads = lab.start
    if not (np.isfinite(value) and all(map(_finite, jax.tree.leaves(grads)))):
        return told(lab, 0, trial.params)
    lost = lab.base.lost
    if lost is None and np.isfinite(lab.base.whole).all():
        return None
    lost = len(lab.base.losses) if lost is None else lost
    before = lab.course(steps=max(lost, 1))
    for back in range(3):  # the last parameters whose loss was finite
        before = lab.course(steps=max(lost - back, 0))
        if all(map(_finite, jax.tree.leaves(before.params))):
            break
    finite = before.losses[np.isfinite(before.losses)]
    low, top = float(finite.min(initial=np.inf)), abs(float(lab.base.losses[0]))
    moved = [np.abs(np.asarray(leaf)).max(initial=0) for leaf in jax.tree.leaves(before.params)]
    size = [np.abs(np.asarray(leaf)).max(initial=0) for leaf in jax.tree.leaves(trial.params)]
    if max(moved) > 100 * (1 + max(size)):
        return None  # the parameters ran away
    grown = np.abs(finite[-3:]).max(initial=0) > 3 * top + 1e-9
    progress = len(finite) > 2 and low < value - 0.3 * abs(value)
    smaller, _ = lab.best((1e-1, 1e-2, 1e-3)) if not progress else (-1.0, 1.0)
    if grown or (smaller > 0.1 and not progress):
        return None  # it blew up: the step, the scale or the start, not an operation
    return told(lab, lost, before.params)


def _columns(part: Any) -> tuple[str, str]:
    """The columns that hold NaN or infinity, and what a column without a number comes from."""
    leaves = jax.tree.leaves(part)
    if len(leaves) != 1 or np.ndim(leaves[0]) != 2:
        return "", ""
    bad = ~np.isfinite(np.asarray(leaves[0]))
    columns = [int(i) for i in np.flatnonzero(bad.any(axis=0))]
    shown = ", ".join(map(str, columns[:5])) + (", ..." if len(columns) > 5 else "")
    constant = ""
    if bad.all(axis=0).any():
        constant = (
            " A column without a single number is usually a constant one that was divided by its "
            "standard deviation, 0: leave it out."
        )
    return f", in column{'s' if len(columns) > 1 else ''} {shown} (counted from 0)", constant


def told(lab: Lab, step: int, params: Any) -> Finding:
    """The operation that makes the first NaN or infinity at these parameters."""
    seen = look(lab.trial, params)
    found = None if seen is None else origin(seen.replay)
    when = "at the start" if step == 0 else f"after {step} steps"
    if found is None:
        made, where = "the loss or its gradient is", None
    elif found.backwards:
        made, where = f"the derivative of {found.operation} is", found.where
    else:
        made, where = f"{found.operation} gives {found.value:g}: the loss is", found.where
    return Finding(
        "nonfinite", (),
        f"NaN or infinity {when}: {made} not finite, although the step is not too large.",
        "Keep the argument inside the function's domain, or use a stable form (log_softmax, "
        "log_sigmoid, a small constant under a root, a safe argument inside jnp.where).",
        {"step": float(step)}, where,
    )  # fmt: skip
