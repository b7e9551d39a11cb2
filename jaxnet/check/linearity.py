"""Whether a pull-back is linear in its cotangent, and if not, in which way."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxnet.check.judgement import RIGHT
from jaxnet.check.report import Finding
from jaxnet.check.witness import is_float


class Slip(NamedTuple):
    """How a pull-back is not linear. number names the evidence."""

    code: str
    message: str
    fix: str
    number: str


FORGETS = Slip(
    "dropped_derivative",
    "The pull-back does not use its cotangent: for every dy it gives the same.",
    "Multiply by the cotangent dy, as the chain rule has it.",
    "at_zero",
)
ADDS = Slip(
    "mismatch",
    "The pull-back adds something that does not depend on the cotangent: pull(0) is not 0.",
    "Multiply every term by the cotangent dy, and add nothing that f does not have.",
    "at_zero",
)
NOT_LINEAR = Slip(
    "mismatch",
    "The pull-back is not linear in the cotangent: pull(a + b) is not pull(a) + pull(b).",
    "Use the cotangent dy once, as a factor, in every term: no power, size or limit of it.",
    "relative_error",
)


def _of_degree(c: float) -> Slip:
    said = f"The pull-back is not linear in the cotangent: twice dy gives {c:.6g} times pull(dy)."
    return Slip("mismatch", said, NOT_LINEAR.fix, "factor")


def not_linear(
    pull: Callable[[float, float], list[Any]],
    names: list[str],
    penalized: set[str],
    place: str | None,
) -> list[Finding]:
    """The leaves of a pull-back that are not linear in the cotangent.

    Args:
        pull: pull(s, t) -> the leaves for the cotangent s a + t b; None for one that is missing.
        names: Those of the leaves.
        penalized: Leaves with a penalty on the parameters, which `check.gradient` has told of: that
            is not linear either, and it knows more about it.
        place: The place to point at where the cotangent is forgotten.

    Returns:
        A finding for every way in which they are not.
    """
    answers = [pull(*st) for st in ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1))]
    leaves = [leaf for answer in answers for leaf in answer if leaf is not None and np.size(leaf)]
    eps = precision(leaves)
    noise = 1e3 * eps * max((float(np.max(np.abs(leaf))) for leaf in leaves), default=0.0)
    found: dict[Slip, dict[str, float]] = {}
    for name, *of_leaf in zip(names, *answers, strict=True):
        if any(leaf is None or not np.size(leaf) for leaf in of_leaf):
            continue
        arrays = [np.asarray(leaf, np.float64) for leaf in of_leaf]
        for slip, number in _slips(arrays, max(RIGHT, 300 * eps), noise):
            if not (slip is ADDS and name in penalized):
                found.setdefault(slip, {})[name] = number
    return [_finding(slip, of, place) for slip, of in found.items()]


def precision(leaves: Sequence[Any]) -> float:
    """The relative precision of the coarsest array of floating-point numbers."""
    types = [np.asarray(leaf).dtype for leaf in leaves if is_float(leaf)]
    return max((float(jnp.finfo(t).eps) for t in types), default=0.0)  # type: ignore[no-untyped-call]


def _finding(slip: Slip, numbers: dict[str, float], place: str | None) -> Finding:
    return Finding(
        slip.code,
        tuple(numbers),
        slip.message,
        slip.fix,
        {slip.number: max(numbers.values())},
        place if slip is FORGETS else None,
    )


def _slips(
    answers: Sequence[np.ndarray], relative: float, noise: float
) -> Iterator[tuple[Slip, float]]:
    """How a leaf of the pull-back is not linear, by its values at 0, a, 2 a, b and a + b.

    At most one slip, with its number: pull(0) and errors in units of the largest entry.
    """
    if not all(np.isfinite(answer).all() for answer in answers):
        return
    size = max(float(np.abs(answer).max()) for answer in answers)
    limit = max(relative * size, noise)

    def same(x: np.ndarray, y: np.ndarray) -> bool:
        return bool(np.abs(x - y).max() <= limit)

    zero, one, two, other, both = answers
    offset, excess = float(np.abs(zero).max()), float(np.abs(both - one - other).max())
    if all(same(x, zero) for x in (one, two, other)):
        if offset > limit:
            yield FORGETS, offset / size
    elif same(two + zero, 2 * one) and same(both + zero, one + other):
        if offset > limit:
            yield ADDS, offset / size
    else:
        c = float(np.vdot(one, two) / np.vdot(one, one)) if one.any() else 2.0
        power = same(two, c * one) and not same(two, 2 * one)
        yield (_of_degree(round(c, 6)), c) if power else (NOT_LINEAR, excess / size)
