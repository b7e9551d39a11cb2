"""What the witnesses say about every leaf of a gradient."""

from typing import NamedTuple

import numpy as np

from jaxnet.check.judgement import (
    AUTODIFF,
    Allowed,
    Kink,
    excess,
    is_choice,
    is_clear,
    kink_of,
    precisions,
    standing,
    tolerances,
    wrong_leaves,
)
from jaxnet.check.truth import Lines, Slope, TruthAt, loss_precision
from jaxnet.check.witness import Sample, Subject, program_text


class Places(NamedTuple):
    """Where the entries that are examined lie in leaves of these shapes, counted row by row."""

    shapes: list[tuple[int, ...]]
    entries: list[np.ndarray]


class Evidence(NamedTuple):
    """What the witnesses say.

    eps is the precision of each leaf, loss_eps that of the loss. wrong are the leaves that are
    wrong, kinks those that differ from the true gradient by a choice at a kink, kinked all that
    lie on one. slopes and standing are of a loss in JAX; places, of a large one in NumPy.
    """

    samples: list[Sample]
    true: TruthAt
    eps: list[float]
    loss_eps: float
    allowed: Allowed
    wrong: list[int]
    kinks: dict[int, Kink]
    kinked: list[int]
    slopes: dict[int, list[Slope]]
    standing: dict[int, str]
    places: Places | None = None


def evidence(s: Subject, samples: list[Sample], true: TruthAt) -> Evidence:
    """Compare the witnesses."""
    program = "" if s.closed is None else program_text(s.closed)
    loss_eps = loss_precision(program)
    eps = [max(e, loss_eps) for e in precisions(s, samples[-1])]
    allowed = [tolerances(s, x, true, eps) for x in samples]
    wrong = wrong_leaves(samples, allowed, slice(None))
    kinks = _kinks(s, samples, allowed, wrong, true)
    slopes, kinked = _slopes(s, samples, allowed, true, loss_eps)
    stands = {k: standing(x) for k, x in slopes.items()}
    stopped = "stop_gradient" in program and "custom_vjp_call" not in program
    excused = {k for k, said in stands.items() if said == AUTODIFF and not stopped}
    return Evidence(
        samples=samples,
        true=true,
        eps=eps,
        loss_eps=loss_eps,
        allowed=allowed,
        wrong=[k for k in wrong if k not in kinks and k not in excused],
        kinks=kinks,
        kinked=sorted({*kinks, *kinked}),
        slopes=slopes,
        standing=stands,
    )


def _kinks(
    s: Subject, samples: list[Sample], allowed: Allowed, wrong: list[int], true: TruthAt
) -> dict[int, Kink]:
    """The leaves that are right everywhere but at a kink, and there by a choice."""
    first, elsewhere = samples[0], wrong_leaves(samples, allowed, slice(1, None))
    found = {}
    for k in range(len(s.names)):
        if len(samples) < 2 or k in elsewhere:
            continue
        if s.closed is not None and k not in wrong:
            continue
        kink = kink_of(s, first, true, k, allowed[0][k])
        if kink is not None and is_choice(first, k, kink, allowed[0][k]):
            found[k] = kink
    return found


def _slopes(
    s: Subject, samples: list[Sample], allowed: Allowed, true: TruthAt, loss_eps: float
) -> tuple[dict[int, list[Slope]], list[int]]:
    """The slopes of a loss in JAX along random directions, and the leaves with a kink there.

    Where there is one, or the gradient is too small to tell, the slopes are those at the last
    point.
    """
    if s.closed is None:
        return {}, [k for k, at in enumerate(samples[0].kink) if at.any()]
    here, near = (Lines(samples[i], true, loss_eps) for i in (0, -1))
    slopes, kinked = {}, []
    for k in range(len(s.names)):
        slopes[k] = here.slopes(k, allowed[0][k])
        if any(x.kink for x in slopes[k]):
            kinked.append(k)
        if not all(is_clear(x) for x in slopes[k]):
            slopes[k] = near.slopes(k, allowed[-1][k])
    return slopes, kinked


class Worst(NamedTuple):
    """The worst entry of a leaf, at the first point where the leaf is wrong."""

    point: int
    entry: int  # counted row by row in what is examined of the leaf
    place: tuple[int, ...]  # in the whole leaf
    given: float
    true: float


def worst_entry(e: Evidence, k: int) -> Worst:
    """The worst entry of a leaf of the right shape, in units of what is allowed."""
    ratios = [
        excess(x.given[k], x.true[k], a[k]) for x, a in zip(e.samples, e.allowed, strict=True)
    ]
    point = next((i for i, r in enumerate(ratios) if r is not None and (r > 1).any()), 0)
    ratio, x = ratios[point], e.samples[point]
    assert ratio is not None
    entry = int(np.argmax(ratio))
    number, shape = entry, ratio.shape
    if e.places is not None:
        number, shape = int(e.places.entries[k][entry]), e.places.shapes[k]
    place = tuple(int(i) for i in np.unravel_index(number, shape))
    return Worst(
        point,
        entry,
        place,
        float(np.asarray(x.given[k]).ravel()[entry]),
        float(x.true[k].ravel()[entry]),
    )


def difference_at(s: Subject, e: Evidence, k: int, worst: Worst) -> float:
    """The partial derivative by differences at an entry."""
    if s.closed is None:
        return worst.true
    return Lines(e.samples[worst.point], e.true, e.loss_eps).partial(k, worst.entry)
