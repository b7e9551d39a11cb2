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
