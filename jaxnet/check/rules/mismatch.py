"""What can be said of a rule that none of the known faults explains."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxnet.check.report import Finding
from jaxnet.check.rules.case import Case

LENGTH = 1e-3
"""From here a factor on the step is told as such; below, something else is wrong."""


@dataclass(frozen=True, eq=False)
class Parting:
    """Where the user's path parts from the due one.

    Attributes:
        case: What was searched.
        k: The first problem that goes wrong.
        first: The first step of it that is wrong.
        evidence: The numbers of the finding.
        leaves: The leaves that are wrong.
    """

    case: Case
    k: int
    first: int
    evidence: dict[str, float]
    leaves: tuple[str, ...]

    @cached_property
    def mine(self) -> np.ndarray:
        """The steps of the user's rule, (steps, entries)."""
        return np.diff(self.case.paths[self.k], axis=0)

    @cached_property
    def due(self) -> np.ndarray:
        """The steps that are due."""
        return np.diff(self.case.due[self.k], axis=0)

    @cached_property
    def factors(self) -> list[float]:
        """The factor of every step; empty if not every one has the due direction."""
        found = [one_factor(m, d) for m, d in zip(self.mine, self.due, strict=True)]
        known = [c for c in found if c is not None]
        return known if len(known) == len(found) else []

    def told(self, code: str, message: str, fix: str, **numbers: float) -> Finding:
        """A finding, with numbers besides the evidence."""
        return Finding(code, self.leaves, message, fix, {**self.evidence, **numbers})


def mismatch(parting: Parting) -> Finding:
    """What can be said of the first step that is wrong."""
    for suspect in (_unmoved, _turned, _leaf_lengths, _lengths, _lost):
        finding = suspect(parting)
        if finding is not None:
            return finding
    return _unknown(parting)


def _unmoved(p: Parting) -> Finding | None:
    if p.mine.any() or not p.due.any():
        return None
    return p.told(
        "scale",
        "The parameters never move: every step is 0.",
        "Return the new parameters, not those that came in.",
        factor=0.0,
    )


def _turned(p: Parting) -> Finding | None:
    """Some steps go the other way."""
    if {round(c, 5) for c in p.factors} != {1.0, -1.0}:
        return None
    return p.told(
        "sign",
        f"{sum(c < 0 for c in p.factors)} of {len(p.factors)} steps go the other way. The update "
        "is subtracted, x := x - lr d.",
        "Turn the sign of the update in the branch that has it wrong.",
        factor=-1.0,
    )


def _leaf_lengths(p: Parting) -> Finding | None:
    """The steps of every leaf have a length of their own."""
    uneven = _leaf_factors(p)
    if not uneven:
        return None
    said = ", ".join(f"{c:.4g} in {leaf}" for leaf, c in uneven.items())
    return p.told(
        "scale",
        f"Every leaf's step has the right direction and another length: {said} times what is "
        "due. The rule's length is the same in all leaves.",
        "Leave out what depends on the leaf, such as its size.",
        factor=next(iter(uneven.values())),
    )


def _leaf_factors(p: Parting) -> dict[str, float]:
    """The factor of each leaf's steps, if each has one that never changes; else nothing."""
    ends = np.cumsum(p.case.sizes)[:-1]
    parts = (np.split(steps, ends, axis=1) for steps in (p.mine, p.due))
    found = {
        leaf: one_factor(m.ravel(), d.ravel())
        for leaf, m, d in zip(p.case.leaves, *parts, strict=True)
    }
    factors = {leaf: c for leaf, c in found.items() if c}
    told = len(factors) == len(found) and max(abs(c - 1) for c in factors.values()) > LENGTH
    return factors if told else {}


def _lengths(p: Parting) -> Finding | None:
    """Every step has a length of its own."""
    if max((abs(c - 1) for c in p.factors), default=0.0) <= LENGTH:
        return None
    first, last = p.factors[0], p.factors[-1]
    return p.told(
        "scale",
        f"Every step has the right direction and another length: {first:.6g} times what is due at "
        f"first, {last:.6g} times at the end. The factor depends on the step alone.",
        "Look for a schedule, or a correction, that the rule does not have.",
        factor=first,
        last_factor=last,
    )


def _lost(p: Parting) -> Finding | None:
    """Parameters that are not finite."""
    if np.isfinite(p.case.paths[p.k][p.first]).all():
        return None
    return Finding(
        "mismatch",
        p.leaves,
        f"The parameters are not finite from step {p.first} of "
        f'"{p.case.problems[p.k].name}" on: something is divided by 0, or overflows.',
        "Keep denominators from 0 with the rule's eps.",
        {"first_step": float(p.first)},
    )


def _unknown(p: Parting) -> Finding:
    """The length and the direction of the first step that is wrong."""
    move, wanted = p.mine[p.first - 1], p.due[p.first - 1]
    mine, due = float(np.linalg.norm(move)), float(np.linalg.norm(wanted))
    said = f"the step there is {mine:.4g} long, {due:.4g} is due"
    numbers = {}
    if min(mine, due) > 0:
        numbers = {"length": mine / due, "cosine": float(move @ wanted) / mine / due}
        said = (
            f"the step there is {mine / due:.4g} times as long as due, the cosine between the two "
            f"is {numbers['cosine']:.4g}"
        )
    name = p.case.reference.entry.name
    return p.told(
        "mismatch",
        f'The rule parts from {name} in step {p.first} of "{p.case.problems[p.k].name}", and no '
        f"known fault explains it: {said}.",
        f"Compare with the equations, line by line: jaxnet zoo {name}.",
        **numbers,
    )


def one_factor(mine: np.ndarray, due: np.ndarray) -> float | None:
    """C if mine is c times what is due, entry by entry."""
    some = np.abs(due) > 1e-3 * np.abs(due).max(initial=0)
    if not some.any() or not np.isfinite(mine).all():
        return None
    c = float(np.median(mine[some] / due[some]))
    return c if np.allclose(mine, c * due, rtol=1e-5, atol=1e-5 * np.abs(mine).max()) else None
