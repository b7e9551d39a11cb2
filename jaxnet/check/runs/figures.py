"""The figures of a report: what was run, how it went, and sizes through the depth of the model."""

from typing import Any

import jax
import numpy as np

from jaxnet.check.runs.columns import column_figures, scales
from jaxnet.check.runs.lab import Lab
from jaxnet.check.runs.look import Layer, Units

SHOWN = 12
"""Layers of the table; a deeper model shows its first and its last ones."""

LISTED = 4096
"""Units and columns that are listed one by one in the data."""

Rows = tuple[tuple[str, str], ...]


def figures_of(lab: Lab, curvature: bool) -> dict[str, Any]:
    """The numbers of the report; the curvature only where that was asked for."""
    base, trial = lab.base, lab.trial
    first = float(base.whole[0])
    figures: dict[str, Any] = {
        "steps": len(base.losses),
        "learning_rate": trial.learning_rate,
        "batch_size": trial.rows if trial.batch_size is None else trial.batch_size,
        "first_loss": first,
        "last_loss": float(base.whole[-1]),
        "explained": lab.explained(base),
        "parameters": trial.size,
    }
    if np.isfinite(first) and curvature:
        c = lab.curvature
        figures |= {
            "lambda_max": c.largest,
            "lambda_min": c.smallest,
            "largest_stable_step": c.largest_stable_step,
            "condition_number": c.condition_number,
        }
        if trial.plain and trial.learning_rate is not None:
            figures |= {
                "step_over_largest_stable": trial.learning_rate / c.largest_stable_step,
                "steps_to_converge": c.steps_to_converge(trial.learning_rate),
            }
    if trial.validation is not None:
        figures["validation_loss"] = float(base.held_out[-1])
    figures |= column_figures(trial.x)
    if lab.ideal is not None:
        figures |= {"constant_loss": lab.ideal.constant, "lowest_loss": lab.lowest + 0.0}
    if lab.here is not None and lab.here.units:
        figures |= {
            "dead_fraction": max(u.dead for u in lab.here.units),
            "saturated_fraction": max(u.saturated for u in lab.here.units),
        }
    return figures


def settings(lab: Lab) -> Rows:
    """What was run, in words."""
    trial, base = lab.trial, lab.base
    rows = f"{trial.rows}" if trial.rows == lab.rows else f"{trial.rows} of {lab.rows}"
    if trial.batch_size is None:
        batch = f"all {rows} rows"
    else:
        order = "shuffled" if trial.shuffle else "in their order"
        batch = f"{trial.batch_size} of {rows} rows, {order}"
    made = len(base.losses)
    steps = f"{made}" if made == trial.steps else f"{made} of {trial.steps}"
    return (("rule", trial.rule_name), ("batch", batch), ("steps", steps))


def table(figures: dict[str, Any]) -> Rows:
    """The numbers, as a table shows them; what was run is told by `settings`."""
    told = ("steps", "learning_rate", "batch_size")
    return tuple(
        (name.replace("_", " "), f"{value:.6g}")
        for name, value in figures.items()
        if name not in told
    )


def depth(lab: Lab) -> Rows:
    """Layers and activations at the start, in the order in which they run."""
    if lab.here is None:
        return ()
    layers = [_layer(i, layer) for i, layer in enumerate(lab.here.layers, 1)]
    units = [_units(i, u) for i, u in enumerate(lab.here.units, 1)]
    return (*_ends(layers), *_ends(units))


def _layer(number: int, layer: Layer) -> tuple[str, str]:
    return (
        f"layer {number}",
        f"outputs {layer.size:.3g}, gradient there {layer.gradient:.3g} (rms)",
    )


def _units(number: int, units: Units) -> tuple[str, str]:
    name = f"activation {number}: {units.units} {units.kind}"
    if units.kind == "relu":
        silent = 100 * float(np.mean(units.each))
        return name, f"{100 * units.dead:.3g} % dead, silent on {silent:.3g} % of the rows"
    return name, f"{100 * units.saturated:.3g} % saturated"


def _ends(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first and the last ones of many."""
    if len(rows) <= SHOWN:
        return rows
    half = SHOWN // 2
    return [*rows[:half], ("...", f"{len(rows) - SHOWN} more"), *rows[-half:]]


def inside(lab: Lab) -> dict[str, Any]:
    """Every layer, unit and column, for programs."""
    data: dict[str, Any] = {"rule": lab.trial.rule_name}
    if lab.here is not None:
        data["layers"] = [
            {"output": layer.size, "gradient": layer.gradient, "where": layer.where}
            for layer in lab.here.layers
        ]
        data["units"] = [
            {
                "kind": u.kind, "dead_fraction": u.dead, "saturated_fraction": u.saturated,
                "each": list(u.each[:LISTED]), "where": u.where,
            }
            for u in lab.here.units
        ]  # fmt: skip
    if scales(lab.trial.x) is not None:
        flat = np.asarray(jax.tree.leaves(lab.trial.x)[0], np.float64)
        flat = flat.reshape(len(flat), -1)[:, :LISTED]
        data["columns"] = {
            "mean": flat.mean(axis=0).tolist(),
            "standard_deviation": flat.std(axis=0).tolist(),
        }
    return data
