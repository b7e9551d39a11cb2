"""The training doctor: why a run fails, and what to change."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from jaxnet.check.report import Finding, Report
from jaxnet.check.runs.columns import column_figures
from jaxnet.check.runs.lab import Lab
from jaxnet.check.runs.trial import trial
from jaxnet.check.runs.verdict import POOR, findings, title


def training(
    loss: Callable[[Any, Any, Any], Any],
    params: Any,
    batch: tuple[Any, Any],
    predict: Callable[[Any, Any], Any] | None = None,
    learning_rate: float | None = None,
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

    Args:
        loss: loss(params, x, t), a scalar, in JAX.
        params: The initial parameters, any tree of arrays.
        batch: (x, t): inputs and targets, a row for each example.
        predict: predict(params, x) -> predictions; None finds them in the loss.
        learning_rate: The step of gradient descent, or of the direction; None with no optimizer
            takes 1 / the curvature that is largest in absolute value at the start.
        optimizer: An optax gradient transformation instead.
        direction: direction(grads) instead: the step is params + learning_rate * direction(grads).
        steps: Number of steps.
        batch_size: Rows a step; None for all.
        shuffle: Whether the rows are put into a new order in every epoch.
        validation: (x, t) that are not trained on.
        progress: Called with what is being done, at the start of each part.

    Returns:
        A report; `report.findings` holds the faults, none if the run is healthy, `report.data`
        the figures.

    Raises:
        TypeError: params hold no floating-point numbers, the optimizer is none, or the loss or the
            direction is not written in JAX.
        ValueError: Arguments that do not fit together, or a loss that is no scalar.
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
        return _report(lab, findings(lab), whole.rows)


def assert_trains(
    loss: Callable[[Any, Any, Any], Any], params: Any, batch: tuple[Any, Any], **options: Any
) -> None:
    """Raise an AssertionError with the report of `training` if the run is not sound.

    Takes the arguments of `training`.
    """
    report = training(loss, params, batch, **options)
    if not report.ok:
        raise AssertionError(str(report))


def _report(lab: Lab, found: tuple[Finding, ...], rows: int) -> Report:
    base = lab.base
    explained = lab.explained(base)
    first, last = float(base.whole[0]), float(base.whole[-1])
    figures: dict[str, Any] = {
        "steps": len(base.losses),
        "first_loss": first,
        "last_loss": last,
        "explained": explained,
        "parameters": lab.trial.size,
    }
    if (np.isfinite(first) and "curvature" in lab.__dict__) or not found:
        c = lab.curvature
        figures |= {
            "lambda_max": c.largest,
            "lambda_min": c.smallest,
            "largest_stable_step": c.largest_stable_step,
            "condition_number": c.condition_number,
        }
        rate = lab.trial.learning_rate
        if lab.trial.plain and rate is not None:
            figures |= {
                "step_over_largest_stable": rate / c.largest_stable_step,
                "steps_to_converge": c.steps_to_converge(rate),
            }
    if lab.trial.validation is not None:
        figures["validation_loss"] = float(base.held_out[-1])
    figures |= column_figures(lab.trial.x)
    if lab.ideal is not None:
        figures |= {"constant_loss": lab.ideal.constant, "lowest_loss": lab.lowest}
    if lab.here is not None and lab.here.units:
        figures |= {
            "dead_fraction": max(u.dead for u in lab.here.units),
            "saturated_fraction": max(u.saturated for u in lab.here.units),
        }
    table = tuple((name.replace("_", " "), f"{value:.6g}") for name, value in figures.items())
    notes = ["explained is 0 for the best constant prediction and 1 for the lowest loss there is"]
    if not found and lab.explained(base) < POOR:
        tried = max(lab.explained(course) for course in lab.courses)
        notes.append(
            f"of {len(lab.courses)} runs, each with one thing repaired, the best explains "
            f"{100 * max(0, tried):.0f} %: perhaps the data have no more to give"
        )
    notes += lab.notes
    if lab.cut_short:
        notes.append("not all suspects were heard in full: the model is large, and work is limited")
    if lab.steps < lab.trial.steps:
        notes.append(f"only {lab.steps} of {lab.trial.steps} steps were made, to save time")
    if lab.trial.rows < rows:
        notes.append(f"made with {lab.trial.rows} of {rows} rows, to save time")
    data = figures | {"losses": [float(v) for v in base.losses]}
    return Report(
        title(lab, found), ("", "measured"), table, found, tuple(notes), jax.device_get(data)
    )
