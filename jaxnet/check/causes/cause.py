"""Why leaves of a gradient are wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from jaxnet.check.witness import Sample, Subject


@dataclass(frozen=True)
class Cause:
    """Why some leaves are wrong. leaves are their numbers."""

    code: str
    leaves: tuple[int, ...]
    message: str
    fix: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    where: str | None = None


def said_name(s: Subject, k: int) -> str:
    """The name of a leaf in a sentence; params that are one array have none."""
    return s.names[k] or "params"


def at_points(samples: list[Sample], k: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The gradients of a leaf at all points: the user's and the true ones."""
    given = [np.asarray(sample.given[k]) for sample in samples]
    return given, [sample.true[k] for sample in samples]


def merged(causes: list[Cause]) -> list[Cause]:
    """One cause for the leaves that have the same one."""
    merged: list[Cause] = []
    for cause in causes:
        for i, other in enumerate(merged):
            if _alike(cause, other):
                leaves = tuple(sorted({*other.leaves, *cause.leaves}))
                merged[i] = replace(other, leaves=leaves)
                break
        else:
            merged.append(cause)
    return merged


def _alike(a: Cause, b: Cause) -> bool:
    if a.code != b.code or a.code in ("partial_entries", "mismatch", "nonfinite", "shape"):
        return False
    if a.code == "swapped":
        return a.leaves == b.leaves
    factors = [cause.evidence.get("factor", 1.0) for cause in (a, b)]
    return abs(factors[0] / factors[1] - 1) < 1e-4


def mismatch(s: Subject, samples: list[Sample], k: int) -> Cause:
    """The last resort: wrong, and in no way that is known."""
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
