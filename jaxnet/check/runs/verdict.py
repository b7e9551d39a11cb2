"""From measurements to a verdict: the suspects, in the order in which they are heard."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from jaxnet.check.report import Finding
from jaxnet.check.runs import (
    labels,
    model,
    nonfinite,
    order,
    repairs,
    scaling,
    squashed,
    starts,
    step,
)
from jaxnet.check.runs.lab import Lab

Suspect = Callable[[Lab], Finding | None]

ALWAYS = np.inf
"""What is a fault by itself, however much the run learned."""

FAILED = 0.8
"""A run that explains this much of what there is to learn is not searched for faults of its own."""

IMPERFECT = 0.97
"""What even a good run cannot do shows below this."""

POOR = 0.1
"""A run that explains less than this learned next to nothing."""

SUSPECTS: tuple[tuple[Suspect, float], ...] = (
    (labels.out_of_range, ALWAYS),
    (nonfinite.nonfinite, ALWAYS),
    (labels.unused, ALWAYS),
    (labels.broadcast, ALWAYS),
    (squashed.squashed_twice, ALWAYS),
    (squashed.wrong_axis, ALWAYS),
    (model.detached, ALWAYS),
    (step.unmoved, ALWAYS),
    (step.uphill, ALWAYS),
    (model.constant_output, ALWAYS),
    (labels.encoding, ALWAYS),
    (order.batch_order, ALWAYS),
    (labels.unrelated, FAILED),
    (starts.redrawing_helps, FAILED),
    (starts.exploding, FAILED),
    (scaling.same_step, FAILED),
    (scaling.other_step, FAILED),
    (step.too_large, FAILED),
    (step.too_small, FAILED),
    (starts.redrawing_helps_all_steps, FAILED),
    (model.missing_bias, IMPERFECT),
    (model.linear_model, IMPERFECT),
    (model.penalised, POOR),
    (starts.unconfirmed, POOR),
    (model.ends_constant, POOR),
    (order.overfitting, ALWAYS),
    (step.unexplained, POOR),
)
"""Each is heard if the run explains less than the number beside it; the last one is the last
resort, so that a run whose loss was lost or rose never goes without a finding.
"""


FIRST_ONLY = (
    starts.unconfirmed, model.ends_constant, step.unexplained,
    starts.redrawing_helps_all_steps, model.missing_bias,
)  # fmt: skip
"""Suspects that no repair proves, or whose proof takes many runs: not for a second finding."""

MOST = 3
"""Findings that are reported."""

STEPS = ("step_too_large", "step_too_small")
"""Once the step is mended the one that was tried says nothing of the other."""


def findings(lab: Lab) -> tuple[Finding, ...]:
    """The faults, that which explains the failure first; empty if there are none.

    Each is looked for in the run as it is once those before are mended, so that what merely follows
    from the first fault is not told again.
    """
    found: list[Finding] = []
    while (finding := _first(lab, [f.code for f in found])) is not None:
        if found:
            message = f"With {_listed(f.code for f in found)} mended: {finding.message}"
            finding = replace(finding, message=message)
        found.append(finding)
        if len(found) == MOST:
            break
        after = repairs.mended(lab, finding)
        if after is None or not after.affordable(3 * after.steps):
            break
        if after.explained(after.base) >= FAILED and after.trial.validation is None:
            break
        lab = after
    return tuple(found)


def _first(lab: Lab, mended: list[str]) -> Finding | None:
    """The first suspect that is guilty; after a repair only what another repair proves."""
    for suspect, below in SUSPECTS:
        if mended and suspect in FIRST_ONLY:
            continue
        if below < ALWAYS and lab.explained(lab.base) >= below:
            continue
        lab.tell(f"suspecting {suspect.__name__.replace('_', ' ')}")
        found = suspect(lab)
        if found is not None:
            again = found.code in mended or (found.code in STEPS and set(STEPS) & set(mended))
            return None if again else found
    return None


def title(lab: Lab, found: tuple[Finding, ...]) -> str:
    """The verdict in a line; a run is healthy if it learned, or if all that could be wrong is not.

    A run without a finding may still have learned little: the data may have no more to give.
    """
    explained = lab.explained(lab.base)
    if found:
        return f"the run fails: {_listed(f.code for f in found)}"
    if explained < POOR:
        return "the run learns little, and no fault was found"
    if explained < FAILED and lab.cut_short:
        return "no fault was found, but not every suspect was heard in full"
    return "the run is healthy"


def _listed(codes: Iterable[str]) -> str:
    *rest, last = codes
    return f"{', '.join(rest)} and {last}" if rest else last
