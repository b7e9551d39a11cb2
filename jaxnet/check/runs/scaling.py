"""Inputs and targets whose scale spoils the run."""

import numpy as np

from jaxnet.check.report import Finding
from jaxnet.check.runs.columns import standardised
from jaxnet.check.runs.curvature import curvature
from jaxnet.check.runs.ideal import Ideal, ideal
from jaxnet.check.runs.lab import LARGER, SMALLER, Lab
from jaxnet.check.runs.look import look
from jaxnet.check.runs.model import absent_biases, bias_for_the_mean

CLEAR = 0.25
"""By how much more a repaired run must explain."""


def same_step(lab: Lab) -> Finding | None:
    """A run that works at the same step once the inputs, or the targets, are standardised."""
    now = lab.explained(lab.base)
    if lab.inputs is not None and lab.inputs.bad:
        e = lab.explained(lab.course(x="standardised"))
        if e > now + CLEAR and e > 0.35:
            return inputs(lab, 1.0)
    if lab.targets is not None and lab.targets.bad:
        of = ideal_of_standardised(lab)
        for x in ("", "standardised") if lab.inputs is not None else ("",):
            e = lab.explained(lab.course(x=x, t="standardised"), of)
            alone = lab.explained(lab.course(x=x)) if x else now
            if e > max(now, alone) + CLEAR and e > 0.25:
                if x and _only_the_inputs_diverge(lab):
                    return inputs(lab, 1.0)
                return bias_for_the_mean(lab) or targets(lab, e, x)
    return None


def _only_the_inputs_diverge(lab: Lab) -> bool:
    """Whether the loss is lost with raw inputs, whatever the targets are, and not without."""
    raw = [lab.base, lab.course(t="standardised")]
    return all(c.end > c.whole[0] for c in raw) and lab.course(x="standardised").end < np.inf


def out_of_reach(lab: Lab) -> Finding | None:
    """Targets that no predictions come near to, as they can once standardised."""
    of = ideal_of_standardised(lab)
    if of is None or of.constant - of.best < 0.05 * abs(of.constant):
        return None
    return targets(lab, lab.explained(lab.course(t="standardised"), of), "")


def other_step(lab: Lab) -> Finding | None:
    """A run that no step size saves, unless the inputs are standardised."""
    if lab.inputs is None or not lab.inputs.bad:
        return None
    e, _ = lab.best((1.0, *SMALLER, *LARGER))
    new, scale = lab.best((1.0, *SMALLER, *LARGER), x="standardised")
    return inputs(lab, scale) if new > max(0, e) + 0.2 else None


def ideal_of_standardised(lab: Lab) -> Ideal | None:
    """What the loss asks of predictions of standardised targets."""
    seen = look(lab.trial, lab.trial.params, t=standardised(lab.trial.t))
    with np.errstate(all="ignore"):
        return None if seen is None else ideal(seen)


def inputs(lab: Lab, scale: float) -> Finding:
    """Say it in numbers: curvature, largest stable step and condition number before and after."""
    s, trial = lab.inputs, lab.trial
    assert s is not None
    before = lab.curvature
    after = curvature(trial.loss, trial.params, standardised(trial.x), trial.t)
    repaired = lab.course(x="standardised", scale=scale)
    evidence = {
        "lambda_max": before.largest,
        "largest_stable_step": before.largest_stable_step,
        "condition_number": before.condition_number,
        "lambda_max_standardised": after.largest,
        "largest_stable_step_standardised": after.largest_stable_step,
        "condition_number_standardised": after.condition_number,
        "loss": _end(lab),
        "loss_standardised": float(repaired.whole[-1]),
    }
    if scale != 1:
        evidence["multiple"] = scale
    also = ""
    if lab.targets is not None and lab.targets.bad:
        both = float(lab.course(x="standardised", t="standardised", scale=scale).whole[-1])
        evidence["loss_targets_standardised"] = both
        also = f" With the targets standardised too they end at {both:.4g}."
    times = "" if scale == 1 else f" and a step {scale:g} times as large"
    return Finding(
        "unscaled_inputs", (),
        f"The input columns have standard deviations from {s.narrowest:.3g} to {s.widest:.3g} and "
        f"means up to {s.offset:.3g} of these from 0. The largest curvature is "
        f"{before.largest:.4g}, so steps above {before.largest_stable_step:.3g} diverge, and the "
        f"condition number {before.condition_number:.3g}; with inputs standardised they are "
        f"{after.largest:.4g}, {after.largest_stable_step:.3g} and {after.condition_number:.3g}, "
        f"and with that{times} the same {lab.steps} steps end at a loss of "
        f"{repaired.whole[-1]:.4g} instead of {_end(lab):.4g}.{also}",
        "Standardise the inputs: subtract each column's mean and divide by its standard deviation.",
        evidence,
    )  # fmt: skip


def targets(lab: Lab, explained: float, x: str) -> Finding:
    """Say how the run goes with targets standardised."""
    s = lab.targets
    assert s is not None
    also = " and inputs" if x else ""
    now = lab.explained(lab.base)
    bias = ""
    if s.offset > 1 and absent_biases(lab):
        bias = " The model has no bias, so it cannot give their mean by itself: add one, too."
    return Finding(
        "unscaled_targets", (),
        f"The targets have root mean square {s.largest:.4g} and standard deviation {s.widest:.4g}: "
        f"the predictions have a long way to go. With targets{also} standardised the same "
        f"{lab.steps} steps explain {100 * explained:.0f} % of their variation in the loss instead "
        f"of {'nothing' if now <= 0 else f'{100 * now:.0f} %'}.{bias}",
        f"Standardise the targets{also}, and undo it in the predictions.",
        {"rms": s.largest, "std": s.widest, "explained": now, "explained_standardised": explained},
    )  # fmt: skip


def _end(lab: Lab) -> float:
    """The last loss, or the last finite one of a run that was lost."""
    finite = lab.base.whole[np.isfinite(lab.base.whole)]
    end = float(lab.base.whole[-1])
    return end if np.isfinite(end) else float(finite[-1]) if len(finite) else np.inf
