"""Targets that do not belong to the inputs, the loss or the shape of the predictions."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.check.report import Finding
from jaxnet.check.runs import scaling
from jaxnet.check.runs.history import runner
from jaxnet.check.runs.lab import Lab
from jaxnet.check.runs.look import INPUTS, PARAMS, TARGETS, Look
from jaxnet.check.runs.probe import CLEAR, as_rows, class_numbers, probe
from jaxnet.check.witness import compiled


def _finding(
    message: str, fix: str, evidence: dict[str, float], where: str | None = None
) -> Finding:
    return Finding("label_mismatch", (), message, fix, evidence, where)


def out_of_range(lab: Lab) -> Finding | None:
    """Class numbers for which there is no output."""
    seen = lab.here
    leaves = jax.tree.leaves(lab.trial.t)
    if seen is None or seen.predictions is None or len(leaves) != 1:
        return None
    t, z = np.asarray(leaves[0]), seen.predictions
    outputs = z.shape[-1]
    whole = np.issubdtype(t.dtype, np.integer)
    if not whole or z.ndim != t.ndim + 1 or outputs < 2:
        return None
    low, high = int(t.min()), int(t.max())
    if (low >= 0 and high < outputs) or not _picks_outputs(seen, outputs):
        return None
    return _finding(
        f"The classes run from {low} to {high}, but {outputs} outputs stand for classes 0 to "
        f"{outputs - 1}.",
        "Count the classes from 0." if low > 0 else "Give the network an output for every class.",
        {"lowest": float(low), "highest": float(high), "outputs": float(outputs)},
    )


def _picks_outputs(seen: Look, outputs: int) -> bool:
    """Whether the loss takes the targets for numbers of outputs: an index, or one-hot rows."""
    for op in seen.replay.operations:
        kinds = [seen.depends[i] for i in op.inputs]
        if op.name == "gather" and kinds[0] & PARAMS and any(k & TARGETS for k in kinds[1:]):
            return True
        shape = np.shape(seen.replay.values[op.outputs[0]])
        one_hot = op.name == "eq" and seen.depends[op.outputs[0]] == TARGETS
        if one_hot and len(shape) > 1 and shape[-1] == outputs:
            return True
    return False


def unused(lab: Lab) -> Finding | None:
    """A loss that never looks at its targets."""
    seen = lab.here
    leaves = jax.tree.leaves(lab.trial.t)
    if seen is None or seen.depends[seen.replay.result] & TARGETS:
        return None
    if not any(np.ptp(np.asarray(t), axis=0).any() for t in leaves):
        return None
    for op in seen.replay.operations:
        kinds = {seen.depends[i] for i in op.inputs}
        error = op.name == "sub" and INPUTS in kinds and PARAMS in kinds  # from a centre
        if error or (op.name in ("sub", "mul", "gather") and {INPUTS, PARAMS | INPUTS} <= kinds):
            lab.notes.append("the loss compares with the inputs, and never uses the targets")
            return None
    return _finding(
        "The loss never uses the targets: it is the same whatever they are, so nothing is learned "
        "from them.",
        "Compare the predictions with t in the loss (a loss that needs no targets can be given "
        "constant ones).", {"loss": lab.start[0]},
    )  # fmt: skip


def broadcast(lab: Lab) -> Finding | None:
    """Predictions and targets that were broadcast against each other, each row with every row."""
    seen, trial = lab.elsewhere, lab.trial
    if seen is None or len(seen.rows) < 3:
        return None
    n, depends, values = len(seen.rows), seen.depends, seen.replay.values
    for op in seen.replay.operations:
        kinds = [depends[i] for i in op.inputs]
        shape = np.shape(values[op.outputs[0]])
        if not any(k & TARGETS and not k & PARAMS for k in kinds) or shape.count(n) < 2:
            continue
        if not any(k & PARAMS and k & INPUTS for k in kinds):
            continue
        one, other = _losses_in_two_orders(lab)
        if abs(one - other) <= 1e-4 * max(abs(one), abs(other)):
            z, rows = seen.predictions, lab.rows
            of = "" if z is None else f"{_with_rows(z.shape, n, rows)} "
            t_shape = (rows, *np.shape(jax.tree.leaves(trial.t)[0])[1:])
            whole = _with_rows(shape, n, rows)
            return _finding(
                f"The predictions {of}and the targets {t_shape} are broadcast to {whole}: every "
                "prediction is compared with every target, so the loss is the same for targets in "
                "any order.",
                "Give both the same shape, for instance t[:, None] or predictions[:, 0].",
                {"loss": one, "loss_of_shuffled_targets": other},
                op.frames[0] if op.frames else None,
            )
    return None


def _with_rows(shape: tuple[int, ...], seen: int, rows: int) -> tuple[int, ...]:
    """A shape as it is on all rows, not on those that were looked at."""
    return tuple(rows if n == seen else n for n in shape)


def _losses_in_two_orders(lab: Lab) -> tuple[float, float]:
    """The loss at random parameters with the targets as they are, and in another order."""
    trial, params = lab.trial, lab.anywhere(1)
    order = np.random.default_rng(0).permutation(trial.rows)
    mixed = jax.tree.map(lambda a: a[order], trial.t)
    loss = compiled(trial.loss)
    return float(loss(params, trial.x, trial.t)), float(loss(params, trial.x, mixed))


def encoding(lab: Lab) -> Finding | None:
    """Targets in an encoding that the loss is not for, seen in what it asks of predictions."""
    ideal, seen = lab.ideal, lab.here
    if ideal is None or seen is None or not ideal.moves:
        return None
    classes = class_numbers(lab.trial.t)
    t = np.asarray(jax.tree.leaves(lab.trial.t)[0], np.float64)
    evidence = {"lowest": float(t.min()), "highest": float(t.max())}
    if classes is not None and not ideal.bounded and not ideal.mirrored:
        return _finding(
            f"The loss has no lower bound: targets from {t.min():g} to {t.max():g} lie outside "
            "what it is for.",
            "Encode the targets as the loss expects (0 and 1 for a cross-entropy).", evidence,
        )  # fmt: skip
    if classes is None:
        beyond = _beyond(lab, t, evidence)
        if beyond is not None:
            return beyond
    span, size = ideal.constant - ideal.best, abs(ideal.constant)
    if span <= 1e-3 * size and _varies(t):
        if classes is None:
            return scaling.out_of_reach(lab)
        return _finding(
            "No predictions do better in this loss than one and the same for every row, "
            f"{ideal.constant:.4g}: the targets, from {t.min():g} to {t.max():g}, are not in the "
            "encoding that it is for.",
            "Encode the targets as the loss expects (class numbers, one-hot rows, 0 and 1, or "
            "-1 and 1).", evidence | {"best_loss": ideal.best, "constant_loss": ideal.constant},
        )  # fmt: skip
    if classes is not None and ideal.idle > 0.02:
        return _finding(
            f"For {100 * ideal.idle:.0f} % of the rows the loss does not depend on the prediction: "
            f"the targets, from {t.min():g} to {t.max():g}, are not in the encoding it is for.",
            "Encode the targets as the loss expects.", evidence | {"idle_rows": ideal.idle},
        )  # fmt: skip
    if classes is not None and ideal.best > 0.3 * abs(ideal.constant) and ideal.bounded:
        return _unreachable(lab, t, evidence)
    return None


def _varies(t: np.ndarray) -> bool:
    return bool(np.ptp(t.reshape(len(t), -1), axis=0).any())


def _unreachable(lab: Lab, t: np.ndarray, evidence: dict[str, float]) -> Finding | None:
    """Targets that the best predictions stay away from: beyond a sigmoid, say."""
    ideal = lab.ideal
    assert ideal is not None
    if t.min() >= 0 and t.max() <= 1:
        return None
    return _finding(
        f"The best predictions there are leave a loss of {ideal.best:.4g}, the best constant one "
        f"{ideal.constant:.4g}: the outputs cannot reach the targets, from {t.min():g} to "
        f"{t.max():g}.",
        "Encode the targets in the range of the outputs, or change the output.",
        evidence | {"best_loss": ideal.best, "constant_loss": ideal.constant},
    )


RANGES = {"relu": (0.0, np.inf), "logistic": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""What the activations can give."""


def _beyond(lab: Lab, t: np.ndarray, evidence: dict[str, float]) -> Finding | None:
    """Numbers as targets that the activation at the output cannot give."""
    ideal, seen = lab.ideal, lab.here
    assert ideal is not None
    assert seen is not None
    last = [u for u in seen.units if u.output]
    if not last or not ideal.bounded or ideal.best < 0.05 * abs(ideal.constant):
        return None
    low, high = RANGES[last[-1].kind]
    share = float(((t < low) | (t > high)).mean())
    if share < 0.02:
        return None
    return _finding(
        f"The outputs cannot reach the targets: they end in {last[-1].kind}, which gives {low:g} "
        f"to {high:g}, and {100 * share:.0f} % of the targets, from {t.min():g} to {t.max():g}, "
        f"lie outside. The best predictions there are leave a loss of {ideal.best:.4g}, the best "
        f"constant one {ideal.constant:.4g}.",
        f"Take the {last[-1].kind} off the output, or scale the targets into its range.",
        evidence | {"outside": share, "best_loss": ideal.best, "constant_loss": ideal.constant},
        last[-1].where,
    )


def unrelated(lab: Lab) -> Finding | None:
    """Targets that have nothing to do with the inputs, or with those of a neighbouring row."""
    p, trial = lab.probe, lab.trial
    if p is None or p.table or trial.rows < 60 or p.relation > CLEAR:
        return None
    rows = as_rows(trial.x)
    assert rows is not None
    if trial.rows < 3 * rows.shape[1] or _learned(lab) or _generalises(lab):
        return None
    shifts = {}
    for shift in (-1, 1):
        rolled = jax.tree.map(partial(jnp.roll, shift=shift, axis=0), trial.t)
        moved = probe(trial.x, rolled)
        if moved is not None:
            shifts[shift] = moved.best
    evidence = {"held_out_error": p.best, "beyond_chance": p.relation}
    near = min(shifts, key=lambda k: shifts[k])
    if shifts[near] < 0.7 * p.best:
        return _finding(
            f"The targets fit the inputs of the row {'before' if near < 0 else 'after'}: there two "
            f"closed-form fits err {shifts[near]:.2f} times as much as a constant, here "
            f"{p.best:.2f} times.",
            "Shift the targets by a row.", evidence | {"shift": float(near)},
        )  # fmt: skip
    return _finding(
        "The targets seem to have nothing to do with the inputs: a linear and a smooth fit take no "
        f"more of them than of the same targets in random order ({p.relation:.1f} standard "
        f"deviations), and on rows held out err {p.best:.2f} times as much as a constant.",
        "See that inputs and targets were shuffled and sorted together.", evidence,
    )  # fmt: skip


def _generalises(lab: Lab) -> bool:
    """Whether the run on half of the rows does better on the others than a constant."""
    trial, of = lab.trial, lab.ideal
    if of is None or not lab.affordable(lab.steps):
        return False
    order = np.random.default_rng(0).permutation(trial.rows)

    def of_rows(rows: np.ndarray) -> tuple[Any, Any]:
        return jax.tree.map(lambda a: a[rows], trial.x), jax.tree.map(lambda a: a[rows], trial.t)

    (x, t), others = map(of_rows, np.array_split(order, 2))
    size = None if trial.batch_size is None else min(trial.batch_size, trial.rows // 2)
    half = replace(trial, x=x, t=t, validation=others, batch_size=size)
    course = lab.counted(runner(half), half.params, x, t, steps=lab.steps)
    low = float(np.nanmin(course.held_out, initial=np.inf)) - lab.penalty(course.params)
    return low < of.constant - 0.1 * (of.constant - lab.lowest)


def _learned(lab: Lab) -> bool:
    """Whether the run did learn something that holds on the validation data, or fits well."""
    held_out = lab.base.held_out
    if np.isfinite(held_out).all() and len(held_out):
        return bool(held_out.min() < 0.8 * held_out[0]) and lab.explained(lab.base) > 0.3
    return lab.explained(lab.base) > 0.9
