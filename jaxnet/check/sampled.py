"""A NumPy loss of many parameters: entries drawn at random, and directions through the rest."""

from typing import Any

import numpy as np

from jaxnet.check.judgement import RIGHT
from jaxnet.check.truth import Lines, given_at, truth_of
from jaxnet.check.witness import EPS, Sample, Subject, floats, with_floats

LARGEST = 3000
"""A NumPy loss of more parameters is differentiated at entries drawn at random."""

SAMPLED = 512
"""So many of them, shared among the leaves."""


def chosen_entries(s: Subject) -> list[np.ndarray] | None:
    """The entries of every leaf that are examined; None if it is all of them."""
    sizes = [int(np.size(leaf)) for leaf in floats(s.params)]
    if s.closed is not None or sum(sizes) <= LARGEST:
        return None
    share = max(16, SAMPLED // len(sizes))
    rng = np.random.default_rng(0)
    return [np.sort(rng.choice(n, min(n, share), replace=False)) for n in sizes]


def restricted(s: Subject, entries: list[np.ndarray]) -> Subject:
    """The same examination with respect to these entries alone, each leaf a vector."""
    whole = [np.asarray(leaf) for leaf in floats(s.params)]

    def lifted(parts: list[Any]) -> Any:
        leaves = [leaf.copy() for leaf in whole]
        for leaf, chosen, part in zip(leaves, entries, parts, strict=True):
            leaf.reshape(-1)[chosen] = part
        return with_floats(s.params, leaves)

    def grad(parts: list[Any]) -> list[np.ndarray]:
        given = given_at(s, lifted(parts))
        return [np.ravel(g)[chosen] for g, chosen in zip(given, entries, strict=True)]  # type: ignore[arg-type]

    return s._replace(
        loss=lambda parts: s.loss(lifted(parts)),
        grad=grad,
        own_loss=lambda parts, *args: s.own_loss(lifted(parts), *args),
        params=[leaf.reshape(-1)[chosen] for leaf, chosen in zip(whole, entries, strict=True)],
    )


def unusable_sample(s: Subject) -> Sample | None:
    """A sample for gradients with a missing leaf, one of a wrong shape or one not finite.

    None if the gradient is usable. Else no true gradient is needed to say so: in place of it there
    is the user's own where it is usable, and 1 elsewhere.
    """
    given = given_at(s, s.params)
    ones = [np.ones(np.shape(leaf)) for leaf in floats(s.params)]
    true = [
        g if g is not None and g.shape == one.shape and np.isfinite(g).all() else one
        for g, one in zip(given, ones, strict=True)
    ]
    if all(g is t for g, t in zip(given, true, strict=True)):
        return None
    zeros = [np.zeros_like(one) for one in ones]
    return Sample(s.params, 0.0, true, zeros, given, [np.zeros(z.shape, bool) for z in zeros], 0)


def off_along_directions(s: Subject, eps: float) -> tuple[list[int], float]:
    """The leaves whose slope along a random direction is wrong, and what one would have missed.

    The second is the error of a single entry, in units of the leaf's root mean square, from which
    on it shows in a direction, in the leaf where it is largest.
    """
    given = [np.zeros(0) if g is None else g for g in given_at(s, s.params)]
    nothing = [np.zeros_like(g) for g in given]
    value = float(s.loss(s.params))
    smooth = [np.zeros(g.shape, bool) for g in given]
    sample = Sample(s.params, value, given, nothing, list(given), smooth, 0)
    lines = Lines(sample, truth_of(s), EPS)
    off, missed = [], 0.0
    for k, g in enumerate(given):
        limit = (RIGHT + 16 * eps) * np.abs(g) + RIGHT * np.abs(g).max(initial=0)
        slopes = [x for x in lines.slopes(k, limit) if not x.kink]
        if any(abs(x.hand - x.differences) > 3 * x.error + x.allowed for x in slopes):
            off.append(k)
        elif slopes:
            seen = min((3 * x.error + x.allowed) / max(x.size, 1e-300) for x in slopes)
            missed = max(missed, seen * float(np.sqrt(g.size)))
    return off, missed
