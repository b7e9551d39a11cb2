"""The run once a finding is mended, to see what else is wrong with it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import optax

from jaxnet.check.report import Finding
from jaxnet.check.runs.columns import standardised
from jaxnet.check.runs.lab import OF_FURTHER_RUNS, Lab
from jaxnet.check.runs.rewrite import unstopped
from jaxnet.check.runs.trial import Trial

STARTS = ("symmetric_init", "dead_units", "saturated_units", "bad_init")
"""What another start mends, even if something else keeps the run from learning."""


def mended(lab: Lab, finding: Finding) -> Lab | None:
    """The run without what a finding is about; None where no repair is known."""
    trial = _mended(lab, finding)
    return None if trial is None else Lab(trial, lab.tell, lab.rows, budget=OF_FURTHER_RUNS)


def _mended(lab: Lab, finding: Finding) -> Trial | None:
    trial, evidence = lab.trial, finding.evidence
    match finding.code:
        case "step_too_large" | "step_too_small" if "multiple" in evidence:
            return _stepping(trial, evidence["multiple"])
        case "ascent" if "cosine" in evidence:
            return _stepping(trial, -1.0, finding.leaves)
        case "ascent":
            return replace(trial, loss=lambda p, x, t: -trial.loss(p, x, t))
        case "unscaled_inputs":
            return _stepping(_standardised(trial, inputs=True), evidence.get("multiple", 1.0))
        case "unscaled_targets":
            return _standardised(trial, targets=True)
        case "batch_order":
            return replace(trial, shuffle=True)
        case "detached" if "explained_without_stop" in evidence:
            return replace(trial, loss=unstopped(trial.loss))
        case "label_mismatch" if "loss_of_shuffled_targets" in evidence:
            return _of_one_shape(lab)
        case _ if "explained_from_other_start" in evidence or finding.code in STARTS:
            seed = min((1, 2), key=lambda seed: lab.course(start=f"redrawn {seed}").end)
            return replace(trial, params=lab.redrawn(seed))
    return None


def _stepping(trial: Trial, multiple: float, leaves: Sequence[str] = ()) -> Trial:
    """The run with its updates multiplied, those of all leaves or of some."""
    if multiple == 1:
        return trial
    of = [multiple if not leaves or name in leaves else 1.0 for name in trial.names]

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        updates, state = trial.rule.update(grads, state, params, **extra)
        flat, tree = jax.tree.flatten(updates)
        scaled = [m * u for m, u in zip(of, flat, strict=True)]
        return jax.tree.unflatten(tree, scaled), state

    rate = trial.learning_rate
    rate = None if rate is None or leaves else rate * multiple
    rule = optax.GradientTransformationExtraArgs(trial.rule.init, update)
    return replace(trial, rule=rule, learning_rate=rate, plain=trial.plain and rate is not None)


def _standardised(trial: Trial, *, inputs: bool = False, targets: bool = False) -> Trial:
    x = standardised(trial.x) if inputs else trial.x
    t = standardised(trial.t) if targets else trial.t
    held_out = trial.validation
    if held_out is not None:
        held_out = (
            standardised(held_out[0], trial.x) if inputs else held_out[0],
            standardised(held_out[1], trial.t) if targets else held_out[1],
        )
    return replace(trial, x=x, t=t, validation=held_out)


def _of_one_shape(lab: Lab) -> Trial | None:
    """The targets in the shape of the predictions."""
    seen, trial = lab.elsewhere, lab.trial
    leaves = jax.tree.leaves(trial.t)
    if seen is None or seen.predictions is None or len(leaves) != 1:
        return None
    shape = seen.predictions.shape[1:]
    if int(np.prod(shape)) != int(np.prod(leaves[0].shape[1:])):
        return None
    t = jax.tree.map(lambda a: a.reshape(len(a), *shape), trial.t)
    held_out = trial.validation
    if held_out is not None:
        x, of = held_out
        held_out = (x, jax.tree.map(lambda a: a.reshape(len(a), *shape), of))
    return replace(trial, t=t, validation=held_out)
