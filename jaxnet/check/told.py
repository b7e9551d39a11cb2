"""The report on a gradient: its table, its findings and its notes."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.causes import Cause
from jaxnet.check.causes.cause import said_name
from jaxnet.check.evidence import Evidence, Places, difference_at, worst_entry
from jaxnet.check.judgement import AGREE, AUTODIFF, DIFFERENCES, SINGLE, excess, is_clear
from jaxnet.check.report import Finding, Report
from jaxnet.check.truth import DIRECTIONS
from jaxnet.check.witness import Subject

TYPES = {SINGLE: "float32", 2.0**-7: "bfloat16", 2.0**-10: "float16"}
"""By their precision."""


class Leaf(NamedTuple):
    """A row of the table. error and detects are in units of the leaf's largest true entry."""

    leaf: str
    shape: tuple[int, ...]
    error: float | None
    detects: float
    place: tuple[int, ...] | None
    yours: float | None
    autodiff: float | None
    differences: float | None
    verdict: str


def told(s: Subject, e: Evidence, causes: list[Cause], notes: list[str]) -> Report:
    """The report."""
    wrong = {k for cause in causes for k in cause.leaves}
    leaves = [_leaf(s, e, k, causes) for k in range(len(s.names))]
    # The wrong leaves first, the worst on top.
    order = sorted(
        range(len(leaves)), key=lambda k: (k not in wrong, -(leaves[k].error or 0) * (k in wrong))
    )
    traced = s.closed is not None
    header = ["leaf", "shape", "rel. error", "detects", "at", "yours"]
    header += ["jax.grad"] * traced + ["differences", "verdict"]
    return Report(
        title=_title(wrong, len(leaves)),
        header=tuple(header),
        rows=tuple(_row(leaves[k], traced) for k in order),
        findings=tuple(_finding(s, cause) for cause in causes),
        notes=tuple(notes),
        data={
            "leaves": [leaves[k]._asdict() for k in order],
            "points": [{"seed": x.seed, "loss": x.value} for x in e.samples],
        },
    )


def told_alone(s: Subject, causes: list[Cause]) -> Report:
    """The report on a gradient that cannot be compared at all."""
    wrong = {k for cause in causes for k in cause.leaves}
    findings = tuple(_finding(s, cause) for cause in causes)
    return Report(_title(wrong, len(s.names)), (), (), findings, s.notes)


def unsteady(s: Subject) -> Report:
    """The report on a loss or a gradient that gives different numbers for the same input."""
    finding = Finding(
        code="mismatch",
        leaves=tuple(s.names),
        message=f"{s.unsteady} gives different numbers for the same input.",
        fix="Draw random numbers from a key or a seed that is an argument and stays the same "
        "(dropout, noise, shuffling), and keep nothing between two calls.",
    )
    title = f"{s.unsteady} gives different numbers for the same input: nothing to compare"
    return Report(title, (), (), (finding,), s.notes)


def changing(s: Subject) -> Report:
    """The report on a loss or a gradient that writes into the arrays it is given."""
    what = ", ".join(s.changed)
    finding = Finding(
        code="mismatch",
        leaves=(),
        message=f"loss or grad changes {what} in place, so later calls see other numbers.",
        fix="Work on a copy: x = x - y makes a new array, x -= y writes into the old one.",
    )
    title = "loss or grad changes the arrays that it is given: nothing to compare"
    return Report(title, (), (), (finding,), s.notes)


def _title(wrong: set[int], count: int) -> str:
    if count == 1:
        return f"the gradient is {'wrong' if wrong else 'right'}"
    if not wrong:
        return f"the gradient is right in all {count} leaves"
    return f"the gradient is wrong in {len(wrong)} of {count} leaves"


def _leaf(s: Subject, e: Evidence, k: int, causes: list[Cause]) -> Leaf:
    first = e.samples[0]
    size = float(np.abs(first.true[k]).max(initial=0)) or 1.0
    shape = first.true[k].shape if e.places is None else e.places.shapes[k]
    detects = float(e.allowed[0][k].max(initial=0)) / size
    verdict = _verdict(e, k, causes)
    ratio = excess(first.given[k], first.true[k], e.allowed[0][k])
    if ratio is None or not ratio.size:
        return Leaf(s.names[k], shape, None, detects, None, None, None, None, verdict)
    worst = worst_entry(e, k)
    x = e.samples[worst.point]
    error = float(np.abs(np.asarray(x.given[k]) - x.true[k]).max())
    return Leaf(
        leaf=s.names[k],
        shape=shape,
        error=error / (float(np.abs(x.true[k]).max()) or 1.0),
        detects=detects,
        place=worst.place,
        yours=worst.given,
        autodiff=None if s.closed is None else worst.true,
        differences=difference_at(s, e, k, worst),
        verdict=verdict,
    )


def _verdict(e: Evidence, k: int, causes: list[Cause]) -> str:
    """Wrong, with the numbers of the findings; or right, or right with a reservation."""
    numbers = [str(i + 1) for i, cause in enumerate(causes) if k in cause.leaves]
    if numbers:
        return f"wrong ({', '.join(numbers)})"
    if k in e.kinks:
        return "kink"
    return "right" if e.standing.get(k, AGREE) == AGREE else "right, see note"


def _row(leaf: Leaf, traced: bool) -> tuple[str, ...]:
    index = "-" if leaf.place is None else str(leaf.place).replace(" ", "").replace(",)", ")")
    numbers = (leaf.yours, leaf.autodiff, leaf.differences) if traced else (
        leaf.yours, leaf.differences)  # fmt: skip
    return (
        leaf.leaf or "params",
        str(leaf.shape),
        "-" if leaf.error is None else f"{leaf.error:.1e}",
        f"{leaf.detects:.1e}",
        index,
        *("-" if x is None else f"{x:.4g}" for x in numbers),
        leaf.verdict,
    )


def _finding(s: Subject, cause: Cause) -> Finding:
    return Finding(
        code=cause.code,
        leaves=tuple(s.names[k] for k in cause.leaves),
        message=cause.message,
        fix=cause.fix,
        evidence=dict(cause.evidence),
        where=cause.where,
    )


def witness_notes(s: Subject, e: Evidence) -> Iterator[str]:
    """What was compared, what parted, and where there are kinks."""
    yield from s.notes
    yield (
        "errors are in units of the leaf's largest entry; those smaller than what it detects are "
        "not seen"
    )
    yield _compared(s, e)
    for k in s_with(e, AUTODIFF):
        x = _parted(e, k)
        yield (
            f"jax.grad stands alone in {said_name(s, k)}: along a random direction it comes to "
            f"{x.autodiff:.6g}, the gradient given to {x.hand:.6g} and differences to "
            f"{x.differences:.6g}. A derivative rule in the loss (custom_vjp, custom_jvp, "
            "stop_gradient) is wrong, or means another gradient than that of the loss"
        )
    for k in (k for k, said in e.standing.items() if said not in (AGREE, AUTODIFF)):
        x = _parted(e, k)
        alone = "differences stand alone" if e.standing[k] == DIFFERENCES else "no two agree"
        yield (
            f"{alone} in {said_name(s, k)}: along a random direction jax.grad comes to "
            f"{x.autodiff:.6g}, the gradient given to {x.hand:.6g} and differences to "
            f"{x.differences:.6g}. The loss stops a gradient there or has a derivative rule of its "
            "own; the gradient is judged by jax.grad"
        )
    if rest := [said_name(s, k) for k in e.kinked if k not in e.kinks]:
        yield (
            f"the point given is a kink of {', '.join(rest)}: right beside it the gradient is "
            "another one"
        )
    for k, kink in e.kinks.items():
        yield (
            f"the point given is a kink of {said_name(s, k)}, in {kink.entries} of "
            f"{e.samples[0].true[k].size} entries: right beside it the gradient is another one, "
            f"by {kink.jump:.4g} at {kink.place}; the gradient given differs from the true one by "
            "a choice there, and is right elsewhere"
        )
    yield from _precision_notes(s, e)


def s_with(e: Evidence, said: str) -> list[int]:
    """The leaves of which this is said."""
    return [k for k, x in e.standing.items() if x == said]


def _parted(e: Evidence, k: int) -> Any:
    return max(e.slopes[k], key=lambda x: abs(x.autodiff - x.differences))


def _compared(s: Subject, e: Evidence) -> str:
    points = f"{len(e.samples)} points (seeds {', '.join(str(x.seed) for x in e.samples)})"
    if s.closed is None:
        return f"compared with differences at {points}, as JAX cannot trace the loss"
    agreeing = [x for k in s_with(e, AGREE) for x in e.slopes[k] if is_clear(x) and x.size]
    if not agreeing:
        return f"compared with jax.grad in float64 at {points}; differences are too coarse here"
    worst = max(max(abs(x.autodiff - x.differences), x.error) / x.size for x in agreeing)
    confirmed = f"confirmed to {worst:.0e} by differences along {DIRECTIONS} random directions"
    return f"compared with jax.grad in float64 at {points}, {confirmed} of each leaf"


def _precision_notes(s: Subject, e: Evidence) -> Iterator[str]:
    if e.loss_eps in TYPES:
        yield (
            f"the loss computes in {TYPES[e.loss_eps]} even if given float64, so its gradient is "
            "known to that precision only"
        )
        return
    for eps, name in TYPES.items():
        leaves = [said_name(s, k) for k, own in enumerate(e.eps) if own == eps]
        if leaves:
            yield f"computed in {name}, and judged by its precision: {', '.join(leaves)}"


def directions_note(s: Subject, places: Places, missed: float) -> str:
    """What was examined of a large NumPy loss, and what could have been missed."""
    total = sum(int(np.prod(shape)) for shape in places.shapes)
    count = sum(len(chosen) for chosen in places.entries)
    return (
        f"examined: {count} of the {total} parameters, drawn at random in every leaf, and "
        f"{DIRECTIONS} random directions of each leaf, which show an error of one other entry from "
        f"about {missed:.0e} times the leaf's typical entry on; a smaller one can have been missed"
    )
