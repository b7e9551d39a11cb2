"""The training doctor: why a run fails, and what to change."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from jaxnet.check.report import Finding, Report
from jaxnet.check.runs.figures import depth, figures_of, inside, settings, table
from jaxnet.check.runs.lab import Lab
from jaxnet.check.runs.trial import trial
from jaxnet.check.runs.verdict import POOR, findings, title

EXPLAINED = (
    "explained is 0 for the best constant prediction and 1 for the lowest loss there is, by the "
    "median of the last tenth of the losses; losses are of all rows"
)


def training(
    loss: Callable[[Any, Any, Any], Any],
    params: Any,
    batch: tuple[Any, Any],
    predict: Callable[[Any, Any], Any] | None = None,
    learning_rate: float | Callable[[Any], Any] | None = None,
    optimizer: Any = None,
    direction: Callable[[Any], Any] | None = None,
    steps: int = 100,
    batch_size: int | None = None,
    shuffle: bool = True,
    validation: tuple[Any, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Say whether a training run is sound; if not, what is wrong with it, and what to change.

    The run is made as given, in one compiled program. What it learned is judged by where its loss
    lies between that of the best constant prediction and the lowest there is, both found by
    minimising the loss over the predictions themselves. A run that failed is made again with one
    thing repaired at a time: another step, inputs or targets standardised, other initial
    parameters, shuffled rows, a gradient let through, biases added. The headline is the fault
    whose repair makes it succeed; what no repair mends is looked for in the data and the model.
    Where the mended run still fails, what is wrong with that is found in the same way and comes
    next.

    Args:
        loss: loss(params, x, t), a scalar, in JAX.
        params: The initial parameters, any tree of arrays.
        batch: (x, t): inputs and targets, a row for each example.
        predict: predict(params, x) -> predictions; None finds them in the loss.
        learning_rate: The step of gradient descent, a number or a schedule (step -> number), or
            that of the direction, a number; None with no optimizer takes 1 / the curvature that is
            largest in absolute value at the start.
        optimizer: An optax gradient transformation instead; or a function that makes one of the
            learning rate, such as optax.adam.
        direction: direction(grads) instead: the step is params + learning_rate * direction(grads).
        steps: Number of steps.
        batch_size: Rows a step; None for all.
        shuffle: Whether the rows are put into a new order in every epoch.
        validation: (x, t) that are not trained on.
        progress: Called with what is being done, at the start of each part.

    Returns:
        A report; `report.findings` holds the faults, that which explains the failure first, none if
        the run is healthy; `report.data` the figures: what was run, losses, curvature, scales of
        the columns, sizes and gradients of every layer, and dead or saturated shares of every unit.

    Raises:
        TypeError: params hold no floating-point numbers, the optimizer or the learning rate is
            none, or the loss or the direction is not written in JAX.
        ValueError: Arguments that do not fit together (a learning rate and an optimizer that has
            its own, more rows a step than there are), or a loss that is no scalar.
    """
    whole = trial(
        loss, params, batch, predict, learning_rate, optimizer, direction, steps, batch_size,
        shuffle, validation,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        lab = Lab(whole.in_reach(), progress or (lambda phase: None), whole.rows)
        if whole.plain and learning_rate is None:
            size = lab.curvature.size
            rate = 1 / size if np.isfinite(size) and size > 0 else 0.01
            lab.trial = lab.trial.with_rule(optax.sgd(rate), rate)
        found = findings(lab)
        return _report(lab, found)


def assert_trains(
    loss: Callable[[Any, Any, Any], Any], params: Any, batch: tuple[Any, Any], **options: Any
) -> None:
    """Raise an AssertionError with the report of `training` if the run is not sound.

    Takes the arguments of `training`.
    """
    report = training(loss, params, batch, **options)
    if not report.ok:
        raise AssertionError(str(report))


def _report(lab: Lab, found: tuple[Finding, ...]) -> Report:
    measured = "curvature" in lab.__dict__  # it takes long, so for a failed run it is not measured
    figures = figures_of(lab, measured or not found)
    notes = [EXPLAINED]
    if not found and lab.explained(lab.base) < POOR:
        tried = max(lab.explained(course) for course in lab.courses)
        notes.append(
            f"of {len(lab.courses)} runs, each with one thing repaired, the best explains "
            f"{100 * max(0, tried):.0f} %: perhaps the data have no more to give"
        )
    if lab.has_penalty:
        notes.append(
            f"the loss has terms of the parameters alone, {lab.penalty(lab.trial.params):.4g} at "
            f"the start and {lab.penalty(lab.base.params):.4g} at the end; the run is judged by "
            "the rest, and so are the constant and the lowest loss"
        )
    notes += lab.notes
    if lab.cut_short:
        notes.append("not all suspects were heard in full: the model is large, and work is limited")
    if lab.steps < lab.trial.steps:
        notes.append(f"only {lab.steps} of {lab.trial.steps} steps were made, to save time")
    if lab.trial.rows < lab.rows:
        notes.append(f"made with {lab.trial.rows} of {lab.rows} rows, to save time")
    if lab.here is not None and len(lab.here.rows) < lab.trial.rows:
        notes.append(
            f"units, layers and the constant and the lowest loss are those of {len(lab.here.rows)} "
            f"rows, drawn at random out of {lab.trial.rows}; the run is judged by them"
        )
    data = figures | {"losses": [float(v) for v in lab.base.losses]} | inside(lab)
    rows = (*settings(lab), *table(figures), *depth(lab))
    return Report(
        title(lab, found), ("", "measured"), rows, found, tuple(notes), jax.device_get(data)
    )
