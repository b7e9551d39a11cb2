"""Whether a leaf's gradient is right: what rounding may do to it, and what the witnesses say."""

from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.truth import Slope, TruthAt, given_at
from jaxnet.check.witness import (
    EPS,
    Sample,
    Subject,
    align,
    floats,
    nearby,
    precision,
    root_mean_square,
    rounded,
)

RIGHT = 1e-6
"""Relative error of an entry up to which a float64 gradient counts as right."""

SMALL = 1e-7
"""The same in units of the leaf's largest entry, for entries that are nearly 0."""

SINGLE = float(np.finfo(np.float32).eps)

Allowed = list[list[np.ndarray]]
"""What each entry may be off by: for every point, leaf by leaf."""


def precisions(s: Subject, near: Sample) -> list[float]:
    """The precision in which each leaf of the user's gradient was computed.

    That of its type; float32 also for a leaf of float64 that comes out of float32. Such a leaf
    betrays itself when the parameters move by 1e-5 and by 1e-10 in the same direction: a smooth
    float64 gradient changes by amounts whose ratio is 1e-5, one that rounds to float32 on the way
    changes not at all, or by far too much.

    Args:
        s: The subject.
        near: A generic point, where no kink is to be expected.
    """
    types = [precision(leaf) if leaf is not None else EPS for leaf in _answer(s, near.params)]
    rounding = _of_the_loss(near)
    far, close = (given_at(s, nearby(near.params, near.seed + 50, h)) for h in (1e-5, 1e-10))
    return [
        max(eps, SINGLE) if _rounds(near.given[k], far[k], close[k], rounding[k]) else eps
        for k, eps in enumerate(types)
    ]


def _answer(s: Subject, params: Any) -> list[Any]:
    return align(s.grad(params), params)


def _rounds(here: Any, far: Any, close: Any, rounding: float) -> bool:
    if here is None or far is None or close is None or not here.shape == far.shape == close.shape:
        return False
    if not here.size or not np.isfinite(here).all():
        return False
    by_far, by_close = float(np.median(np.abs(far - here))), float(np.median(np.abs(close - here)))
    if by_far <= max(1e-8 * float(np.abs(here).max()), 1e6 * rounding):
        return False  # too little to see a hundred-thousandth of it
    return not 1e-6 < by_close / by_far < 1e-4


def tolerances(s: Subject, sample: Sample, true: TruthAt, eps: list[float]) -> list[np.ndarray]:
    """What each entry of a leaf may be off by at a point and still be right.

    Let g be the true gradient, u the user's and e = u - g its error. With eps the precision that
    the leaf comes in, and d, d' small random moves of the parameters (sqrt(eps) of their size),

        |e_i| <= (1e-6 + 16 eps) |g_i| + 1e-7 max |g| + 10 (b + c) + 3 E_i + 16 eps64 |f| / |p|
        b = max_i (|e_i(p + d) - e_i(p + d')| - 4 eps |g_i|)+
        c = max_i |g_i(data rounded) - g_i(data)|

    The first two terms are the promise: what is right to six digits, or to all those of its
    type, is right. b is noise as measured: a move redraws all rounding errors, those of the
    true gradient too, and hardly changes a wrong formula's error. Both points are moved, so
    that a choice at a kink is no noise. For a gradient that is tiny because large terms cancel,
    b is what counts. (For a loss in NumPy the true gradient is not taken anew, so the moves are
    of 2 eps.) c is what data in the leaf's precision do to the true gradient, 0 in float64: the
    same in every call, so that b has no part of it. b + c is held below 1e-5 of the largest
    entry (1e-3 in float32) and a thousand roundings of f: a gradient that jumps by more is no
    work of rounding. E_i is the error of differences (0 for `jax.grad`). The last term, f the
    loss and |p| the typical parameter of the leaf, is the rounding of f itself, for leaves that
    have no effect but for rounding. Nothing in it grows with the number of entries, and all of
    it scales with the loss.
    """
    rounding = _of_the_loss(sample)
    most = [
        (1e-5 if eps[k] <= EPS else 1e-3) * np.abs(t).max(initial=0) + 1e3 * r * eps[k] / EPS
        for k, (t, r) in enumerate(zip(sample.true, rounding, strict=True))
    ]
    noise = [min(b, m) for b, m in zip(_noise(s, sample, true, eps), most, strict=True)]
    return [
        (RIGHT + 16 * eps[k]) * np.abs(t)
        + SMALL * np.abs(t).max(initial=0)
        + 10 * noise[k]
        + 3 * sample.error[k]
        + rounding[k]
        for k, t in enumerate(sample.true)
    ]


def _noise(s: Subject, sample: Sample, true: TruthAt, eps: list[float]) -> list[float]:
    """The sum b + c of `tolerances`, leaf by leaf."""
    noise = [0.0] * len(eps)
    coarsest = max(eps)
    move = 2 * coarsest
    if s.closed is not None:
        move = max(move, min(1e-3, coarsest**0.5))
    first, *others = (
        _errors(s, nearby(sample.params, seed, move), sample, true) for seed in (101, 102, 103)
    )
    for k, t in enumerate(sample.true):
        for other in others:
            e, before = other[k], first[k]
            if e is None or before is None:
                continue
            change = np.abs(e - before) - 4 * eps[k] * np.abs(t)
            if np.isfinite(change).all():
                noise[k] = max(noise[k], float(change.max(initial=0)))
    if coarsest > EPS:
        coarse = true.at(sample.params, rounded(s.args, coarsest)).leaves
        for k, (t, there) in enumerate(zip(sample.true, coarse, strict=True)):
            if eps[k] > EPS and np.isfinite(there).all():
                noise[k] += float(np.abs(there - t).max(initial=0))
    return noise


def _of_the_loss(sample: Sample) -> list[float]:
    """How far a leaf's gradient is off if the loss is off by a few roundings."""
    rounding = 16 * EPS * abs(sample.value)
    return [rounding / root_mean_square(np.asarray(leaf)) for leaf in floats(sample.params)]


def _errors(s: Subject, params: Any, sample: Sample, true: TruthAt) -> list[np.ndarray | None]:
    """The errors of the user's gradient; a NumPy loss has the true one at the samples only."""
    there = true.at(params).leaves if s.closed is not None else sample.true
    return [
        g - t if g is not None and g.shape == t.shape else None
        for g, t in zip(given_at(s, params), there, strict=True)
    ]


def excess(given: np.ndarray | None, true: np.ndarray, allowed: np.ndarray) -> np.ndarray | None:
    """The error of each entry in units of what is allowed; None if there is none to speak of."""
    if given is None or given.shape != true.shape:
        return None
    error = np.abs(given - true)
    ratio = np.divide(error, allowed, out=np.zeros_like(error), where=error > 0)
    return np.where(np.isnan(error), np.inf, ratio)


def is_off(given: np.ndarray | None, true: np.ndarray, allowed: np.ndarray) -> bool:
    """Whether a leaf is missing, of a wrong shape, not finite or too far off."""
    if given is None:
        return bool((np.abs(true) > allowed).any())
    ratio = excess(given, true, allowed)
    return ratio is None or bool((ratio > 1).any())


def wrong_leaves(samples: list[Sample], allowed: Allowed, points: slice) -> list[int]:
    """The leaves that are off at any of these points."""
    count = len(samples[0].true)
    pairs = list(zip(samples, allowed, strict=True))[points]
    return [k for k in range(count) if any(is_off(x.given[k], x.true[k], a[k]) for x, a in pairs)]


class Kink(NamedTuple):
    """A leaf that lies on a kink: the entry where the gradient jumps most, and by how much."""

    place: tuple[int, ...]
    jump: float
    entries: int


def kink_of(s: Subject, sample: Sample, true: TruthAt, k: int, allowed: np.ndarray) -> Kink | None:
    """Whether the true gradient of a leaf jumps at a point, and where.

    Right beside the point, along random moves by 1e-7 and by 1e-6 of the parameters' size, a
    smooth gradient's change falls with the move, to a tenth; at a kink it stays.
    """
    if s.closed is None:
        at = sample.kink[k]
        jumps = np.where(at, 2 * sample.error[k], 0.0)
        return _largest(jumps, np.zeros_like(jumps)) if at.any() else None
    jumps, changes = (
        np.max([np.abs(true.at(nearby(sample.params, seed, h)).leaves[k] - sample.true[k])
                for seed in range(200, 206)], axis=0)
        for h in (1e-7, 1e-6)
    )  # fmt: skip
    stays = (jumps > 0.3 * changes) & (jumps > 10 * allowed)
    return _largest(np.where(stays, jumps, 0.0), allowed) if stays.any() else None


def _largest(jumps: np.ndarray, above: np.ndarray) -> Kink:
    index = np.unravel_index(int(np.argmax(jumps)), jumps.shape)
    place = tuple(int(i) for i in index)
    return Kink(place, float(jumps[place]), int((jumps > above).sum()))


def is_choice(sample: Sample, k: int, kink: Kink, allowed: np.ndarray) -> bool:
    """Whether a leaf on a kink differs by a matter of choice: no further than twice the jump."""
    given = sample.given[k]
    if given is None or given.shape != sample.true[k].shape:
        return False
    return bool((np.abs(given - sample.true[k]) <= allowed + 2 * kink.jump).all())


AGREE, AUTODIFF, DIFFERENCES, NONE = "all agree", "autodiff", "differences", "no two agree"


def standing(slopes: list[Slope]) -> str:
    """Which of three witnesses stands alone: the user's gradient, `jax.grad`, or differences.

    What follows for the user's gradient:

        all agree                   right
        the user's alone            wrong
        differences alone           right: it is what JAX would train with. The loss stops a
                                    gradient or replaces it by a rule of its own; a note says so
        jax.grad alone              the user's is the derivative of what the loss computes. If the
                                    loss has a custom rule, that rule is wrong (or meant to be
                                    another one): right, and a note says so. If it has a
                                    stop_gradient and no custom rule, the loss says that this path
                                    has no gradient: wrong, it follows a path that is stopped
        no two agree                wrong

    A direction counts if the differences along it are exact enough to tell, and at no kink.
    """
    clear = [x for x in slopes if is_clear(x)]
    parted = [x for x in clear if _part(x.autodiff, x.differences, x)]
    if not parted:
        return AGREE
    if all(not _part(x.hand, x.autodiff, x) for x in clear):
        return DIFFERENCES
    if all(not _part(x.hand, x.differences, x) for x in clear):
        return AUTODIFF
    return NONE


def is_clear(slope: Slope) -> bool:
    """Whether differences are exact enough along a direction to tell, and at no kink."""
    size = max(slope.size, abs(slope.differences))
    return not slope.kink and slope.error <= 1e-2 * size


def _part(a: float, b: float, slope: Slope) -> bool:
    return not abs(a - b) <= 3 * slope.error + slope.allowed
