"""Leaves that are wrong in no way that is known: what can be said of them all the same."""

import numpy as np

from jaxnet.check.causes.cause import Cause, at_points, said_name
from jaxnet.check.evidence import Evidence, worst_entry
from jaxnet.check.judgement import excess
from jaxnet.check.witness import Sample, Subject


def mismatch(s: Subject, samples: list[Sample], k: int) -> Cause:
    """A leaf that is wrong, and in no way that is known."""
    given, true = at_points(samples, k)
    worst = np.unravel_index(np.argmax(np.abs(given[0] - true[0])), true[0].shape)
    place = tuple(map(int, worst))
    cosine = float(
        np.vdot(given[0], true[0])
        / max(np.linalg.norm(given[0]) * np.linalg.norm(true[0]), np.finfo(float).tiny)
    )
    return Cause(
        "mismatch",
        (k,),
        f"The gradient of {said_name(s, k)} is wrong in no way that is known here; its worst "
        f"entry, {place}, is {given[0][worst]:.6g} where {true[0][worst]:.6g} is due.",
        "Compare it with the derivation, term by term.",
        {"cosine": cosine},
    )


def of_located(left: tuple[int, ...], place: str) -> Cause:
    """Leaves whose error comes back through one operation, which has no known fault."""
    return Cause(
        "wrong_derivative",
        left,
        "All of the error comes back through this line, in no way that is known here: what the "
        "gradient does before it, nearer to the parameters, is right.",
        "Derive the derivative of this line, and of those between it and the loss, again.",
        where=place,
    )


def of_stop(s: Subject, e: Evidence, k: int) -> Cause:
    """A path that the loss stops, and the gradient follows."""
    name, slope = said_name(s, k), e.slopes[k][0]
    return Cause(
        "mismatch",
        (k,),
        f"The gradient of {name} follows a path that the loss stops with stop_gradient: along a "
        f"random direction it comes to {slope.hand:.6g}, as differences do, and jax.grad to "
        f"{slope.autodiff:.6g}.",
        "Leave the stopped path out, or take stop_gradient out of the loss.",
        {"gradient": slope.hand, "autodiff": slope.autodiff, "differences": slope.differences},
    )


def of_entries(s: Subject, e: Evidence, k: int) -> Cause:
    """A leaf that is wrong by little, or in few entries."""
    worst = worst_entry(e, k)
    x = e.samples[worst.point]
    ratio = excess(x.given[k], x.true[k], e.allowed[worst.point][k])
    bad = np.zeros(0, bool) if ratio is None else ratio > 1
    relative = abs(worst.given - worst.true) / max(abs(worst.true), 1e-300)
    name = said_name(s, k)
    said = (
        f"entry {worst.place} is {worst.given:.6g} where {worst.true:.6g} is due, "
        f"off by {100 * relative:.2g} %"
    )
    if bad.mean() < 0.7:
        of = f"of {bad.size}{' examined' if e.places else ''}"
        return Cause(
            "partial_entries",
            (k,),
            f"The gradient of {name} is wrong in {int(bad.sum())} {of} entries; {said}.",
            "Compute these entries as the others.",
            {"entries": float(bad.sum()), "of": float(bad.size)},
        )
    return Cause(
        "mismatch",
        (k,),
        f"The gradient of {name} is nearly right, but off by more than rounding; {said}.",
        "Look for a small term that is missing, a rounded constant, or an epsilon.",
        {"relative_error": relative},
    )


def of_direction(s: Subject, k: int) -> Cause:
    """A leaf that is wrong in entries that were not examined."""
    return Cause(
        "mismatch",
        (k,),
        f"The gradient of {said_name(s, k)} is right in the entries that were examined, but its "
        "slope along a random direction is wrong: some of the other entries are.",
        "Compare it on a smaller problem, where all entries can be examined.",
    )
