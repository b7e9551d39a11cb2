"""Gradients at parameters that have moved already."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.causes.cause import Cause
from jaxnet.check.replay import Operation, Replay, Rule, altered_gradient, right_rule
from jaxnet.check.truth import TruthAt
from jaxnet.check.witness import Sample, Subject, floats, with_floats

MOST_STAGES = 400
"""Numbers among the parameters up to which changing them one by one is tried."""

MOST_LEAVES = 8
"""Right leaves that may, each by itself, have been changed before the others' gradients."""

MOST_BY_DIFFERENCES = 60
"""The same for a loss that JAX cannot trace."""

LAST = 4
"""Stages that the step is found by: the last ones, where most has moved."""


class Way(NamedTuple):
    """An order in which the parameters may have been changed.

    all(point, rate) is the flat gradient that comes of it, where the parameters move by that step;
    last has the entries by which the step is found, and NaN elsewhere. unmoved are the entries that
    are computed first, at the parameters given.
    """

    all: Callable[[int, float], np.ndarray]
    last: Callable[[int, float], np.ndarray]
    unmoved: np.ndarray


def of_stale(
    s: Subject,
    samples: list[Sample],
    true: TruthAt,
    left: list[int],
    close: float,
    replays: list[Replay] | None,
) -> Cause | None:
    """The gradient at parameters that a step has already changed, some or all of them."""
    count = sum(leaf.size for leaf in samples[0].true)
    if s.closed is None and count > MOST_BY_DIFFERENCES:
        return None
    size = max(float(np.abs(samples[0].true[k]).max(initial=0)) for k in left)
    sizes = [leaf.size for leaf in samples[0].true]
    wrong = np.isin(np.repeat(np.arange(len(sizes)), sizes), left)
    given = [_flat_given(sample) for sample in samples]

    def miss(at: Callable[[int, float], np.ndarray], point: int, rate: float) -> np.ndarray:
        gradient = at(point, rate)
        off: np.ndarray = (gradient - given[point])[wrong & ~np.isnan(gradient)]
        return off if off.size else np.full(1, np.inf)  # outside of where the loss is defined

    first = np.abs(given[0] - _flat(samples[0].true))
    for said, way in _ways(s, samples, true, replays, left).items():
        if not (first[way.unmoved] <= 10 * close * size).all():
            continue
        for start in (1e-3, 1e-1, 0.5):
            rate = _refined(lambda r, last=way.last: miss(last, 0, r), start)  # type: ignore[misc]
            if rate is None or abs(rate) < 1e-9:
                continue
            points = range(len(samples))
            if all(np.abs(miss(way.all, i, rate)).max() <= 10 * close * size for i in points):
                return Cause(
                    "stale",
                    tuple(left),
                    f"The gradient is that at parameters already moved by a step of {rate:.4g}: "
                    f"{said}.",
                    "Compute all gradients before any parameter is changed.",
                    {"step": rate},
                )
    return None


def _flat(leaves: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in leaves])


def _flat_given(sample: Sample) -> np.ndarray:
    """The user's gradient in one vector; NaN for what is missing or of another shape."""
    return _flat(
        [
            np.full(true.shape, np.nan) if g is None or np.shape(g) != true.shape else g
            for g, true in zip(sample.given, sample.true, strict=True)
        ]
    )


def _ways(
    s: Subject,
    samples: list[Sample],
    true: TruthAt,
    replays: list[Replay] | None,
    left: list[int],
) -> dict[str, Way]:
    """In which order the parameters may have been changed."""
    sizes = [leaf.size for leaf in samples[0].true]
    leaf = np.repeat(np.arange(len(sizes)), sizes)
    entry = np.arange(sum(sizes))
    none = np.zeros(len(entry), bool)

    def step_ahead(point: int, rate: float) -> np.ndarray:
        sample = samples[point]
        moved = _flat(floats(sample.params)) - rate * _flat(sample.true)
        return _gradient_at(true, sample, moved)

    def one_by_one(stage: np.ndarray) -> Way:
        stages = np.unique(stage)
        last = np.unique(stage[np.isin(leaf, left)])[-LAST:]
        return Way(
            partial(_in_stages, true, samples, stage, stages),
            partial(_in_stages, true, samples, stage, last),
            stage == stages[0],
        )

    def moved_before(moved: list[int]) -> Way:
        stage = np.where(np.isin(leaf, moved), 0, 1)
        at = partial(_in_stages, true, samples, stage, np.ones(1, int))
        return Way(at, at, none)

    def on_the_way_back(moved: list[int], replays: list[Replay]) -> Way:
        def at(point: int, rate: float) -> np.ndarray:
            rules = _with_moved_weights(replays[point], samples[point], rate, moved)
            return _flat(altered_gradient(replays[point], rules))

        return Way(at, at, none)

    ways = {
        "all of them were changed before": Way(step_ahead, step_ahead, none),
        "each leaf was changed before the next one's gradient": one_by_one(leaf),
        "each leaf was changed before the gradient of the one in front of it": one_by_one(
            leaf.max() - leaf
        ),
    }
    if replays is not None:
        said = "the backward pass used weights that were changed on the way"
        ways[said] = on_the_way_back(list(range(len(sizes))), replays)
        for k in [k for k in range(len(sizes)) if k not in left][:MOST_LEAVES]:
            said = f"the backward pass used {s.names[k]} after it was changed"
            ways[said] = on_the_way_back([k], replays)
    others = [k for k in range(len(sizes)) if k not in left]
    for moved in [others, *([k] for k in others if len(others) > 1)][: MOST_LEAVES + 1]:
        if moved:
            names = ", ".join(s.names[k] for k in moved)
            said = f"{names} had been changed before the other gradients were computed"
            ways[said] = moved_before(moved)
    if len(entry) <= MOST_STAGES:
        ways["each number was changed before the next one's gradient"] = one_by_one(entry)
    return ways


def _gradient_at(true: TruthAt, sample: Sample, flat: np.ndarray) -> np.ndarray:
    ends = np.cumsum([leaf.size for leaf in sample.true])[:-1]
    parts = zip(np.split(flat, ends), sample.true, strict=True)
    params = with_floats(sample.params, [part.reshape(leaf.shape) for part, leaf in parts])
    return _flat(true.at(params).leaves)


def _in_stages(
    true: TruthAt,
    samples: list[Sample],
    stage: np.ndarray,
    stages: np.ndarray,
    point: int,
    rate: float,
) -> np.ndarray:
    """The gradient, of which the entries of stage j are taken where earlier ones have moved.

    Those of `stages` alone; NaN elsewhere. The others have moved by -rate times their gradient.
    """
    sample = samples[point]
    own, along = _flat(floats(sample.params)), np.nan_to_num(_flat_given(sample))
    found = np.full(len(own), np.nan)
    for j in stages:
        here = stage == j
        found[here] = _gradient_at(true, sample, own - rate * along * (stage < j))[here]
    return found


def _with_moved_weights(
    replay: Replay, sample: Sample, rate: float, moved: list[int]
) -> dict[int, Rule]:
    """Products whose other factor gets its gradient with weights that have moved already."""
    places = {replay.parameters[k]: k for k in moved}

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        inputs = replay.inputs_of(op)
        for i, number in enumerate(op.inputs):
            if number in places:
                inputs[i] = inputs[i] - rate * np.asarray(sample.given[places[number]])
        moved = right_rule(op, replay, dy, inputs)
        return [
            ct if n in places else new for ct, new, n in zip(cts, moved, op.inputs, strict=True)
        ]

    return {
        op.index: rule
        for op in replay.operations
        if op.name in ("dot_general", "mul") and any(i in places for i in op.inputs)
    }


def _refined(error: Callable[[float], np.ndarray], x: float) -> float | None:
    """A number at which a vector of errors is 0, by Gauss-Newton steps with differences."""
    sizes: list[float] = []
    for _ in range(12):
        e, h = error(x), 1e-6 * max(abs(x), 1e-6)
        sizes.append(float(np.linalg.norm(e)))
        if sizes[-1] < 1e-7 * sizes[0]:
            break
        if len(sizes) > 3 and not sizes[-1] < 0.9 * sizes[-2]:
            return None
        slope = (error(x + h) - e) / h
        if not np.isfinite(slope).all() or not slope.any():
            return None
        x -= float(slope @ e / (slope @ slope))
    return x if np.isfinite(x) else None
