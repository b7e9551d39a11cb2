"""From measurements to a verdict: the suspects, in the order in which they are heard."""

from collections.abc import Callable

from jaxnet.check.report import Finding
from jaxnet.check.runs import labels, model, nonfinite, order, scaling, starts, step
from jaxnet.check.runs.lab import Lab

Suspect = Callable[[Lab], Finding | None]

GOOD = 0.8
"""A run that explains this much of what there is to learn is not searched for faults of its own."""

ALWAYS: tuple[Suspect, ...] = (
    labels.out_of_range, nonfinite.nonfinite, labels.broadcast, model.detached, step.uphill,
    model.constant_output, labels.encoding, order.batch_order,
)  # fmt: skip
"""What is a fault by itself."""

OF_A_FAILED_RUN: tuple[Suspect, ...] = (
    labels.unrelated, starts.redrawing_helps, scaling.same_step, step.too_large, step.too_small,
    scaling.other_step, starts.redrawing_helps_all_steps,
)  # fmt: skip
"""What a failed run is tried again without."""

OF_THE_MODEL: tuple[Suspect, ...] = (model.missing_bias, model.linear_model)
"""What even a good run cannot do."""


def findings(lab: Lab) -> tuple[Finding, ...]:
    """The faults, the headline first; empty for a healthy run."""
    found = _first(lab, ALWAYS)
    if found is None and failed(lab):
        found = _first(lab, OF_A_FAILED_RUN)
    if found is None and lab.explained(lab.base) < 0.97:
        found = _first(lab, OF_THE_MODEL)
    if found is None and lab.explained(lab.base) < 0.1:
        found = _first(lab, (starts.unconfirmed, model.ends_constant))
    if found is None:
        found = order.overfitting(lab)
    return () if found is None else (found,)


def failed(lab: Lab) -> bool:
    """Whether the run learned clearly less than it could have."""
    now = lab.explained(lab.base)
    return now < GOOD


def _first(lab: Lab, suspects: tuple[Suspect, ...]) -> Finding | None:
    for suspect in suspects:
        lab.tell(f"suspecting {suspect.__name__.replace('_', ' ')}")
        found = suspect(lab)
        if found is not None:
            return found
    return None
