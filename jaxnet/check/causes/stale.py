"""Gradients at parameters that have moved already."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxnet.check.causes.cause import Cause
from jaxnet.check.replay import Operation, Replay, Rule, altered_gradient, right_rule
from jaxnet.check.witness import Sample, Subject, floats, with_floats

Stale: TypeAlias = Callable[[int, float], list[np.ndarray]]
"""(number of the point, step) -> the gradient at parameters that have moved by that step."""


def of_stale(
    s: Subject,
    samples: list[Sample],
    left: list[int],
    close: float,
    replays: list[Replay] | None,
) -> Cause | None:
    """The gradient at parameters that a step has already changed, some or all of them."""
    if s.closed is None or replays is None:
        return None
    size = max(float(np.abs(samples[0].true[k]).max(initial=0)) for k in left)

    def miss(at: Stale, point: int, rate: float) -> np.ndarray:
        leaves, given = at(point, rate), samples[point].given
        return np.concatenate([(leaves[k] - np.asarray(given[k])).ravel() for k in left])

    for said, (stage, at) in _stale_ways(s, samples, replays, left).items():
        if stage is not None and not _right(samples[0], stage == stage.min(), close * size):
            continue  # what is computed first is computed at the parameters given
        for start in (1e-3, 1e-1, 0.5):
            rate = _refined(lambda r, at=at: miss(at, 0, r), start)  # type: ignore[misc]
            if rate is None or abs(rate) < 1e-9:
                continue
            points = range(len(samples))
            if all(np.abs(miss(at, i, rate)).max() <= 10 * close * size for i in points):
                return Cause(
                    "stale",
                    tuple(left),
                    f"The gradient is that at parameters already moved by a step of {rate:.4g}: "
                    f"{said}.",
                    "Compute all gradients before any parameter is changed.",
                    {"step": rate},
                )
    return None


def _right(sample: Sample, entries: np.ndarray, allowed: float) -> bool:
    """Whether entries of the flat gradient are right; all that is missing counts as wrong."""
    given = [
        np.full(true.shape, np.nan) if g is None or np.shape(g) != true.shape else np.asarray(g)
        for g, true in zip(sample.given, sample.true, strict=True)
    ]
    off = np.concatenate([(g - t).ravel() for g, t in zip(given, sample.true, strict=True)])
    return bool((np.abs(off[entries]) <= 10 * allowed).all())


MOST_STAGES = 400
"""Numbers among the parameters up to which changing them one by one is tried."""


MOST_LEAVES = 8
"""Right leaves that may, each by itself, have been changed before the others' gradients."""


def _stale_ways(
    s: Subject, samples: list[Sample], replays: list[Replay], left: list[int]
) -> dict[str, tuple[np.ndarray | None, Stale]]:
    """In which order the parameters may have been changed: the stage of each entry, if any."""
    sizes = [sample.size for sample in samples[0].true]
    leaf = np.repeat(np.arange(len(sizes)), sizes)
    entry = np.arange(sum(sizes))
    in_stages = _in_stages(s, samples)

    def step_ahead(point: int, rate: float) -> list[np.ndarray]:
        return in_stages(point, rate, None, samples[point].true)

    def one_by_one(stage: np.ndarray) -> tuple[np.ndarray, Stale]:
        return stage, lambda point, rate: in_stages(point, rate, stage, samples[point].given)

    def on_the_way_back(moved: list[int]) -> tuple[None, Stale]:
        def at(point: int, rate: float) -> list[np.ndarray]:
            rules = _with_moved_weights(replays[point], samples[point], rate, moved)
            return altered_gradient(replays[point], rules)

        return None, at

    ways: dict[str, tuple[np.ndarray | None, Stale]] = {
        "all of them were changed before": (None, step_ahead),
        "the backward pass used weights that were changed on the way": on_the_way_back(
            list(range(len(sizes)))
        ),
        "each leaf was changed before the next one's gradient": one_by_one(leaf),
        "each leaf was changed before the gradient of the one in front of it": one_by_one(
            leaf.max() - leaf
        ),
    }
    for k in [k for k in range(len(sizes)) if k not in left][:MOST_LEAVES]:
        ways[f"the backward pass used {s.names[k]} after it was changed"] = on_the_way_back([k])
    if len(entry) <= MOST_STAGES:
        ways["each number was changed before the next one's gradient"] = one_by_one(entry)
    return ways


def _in_stages(s: Subject, samples: list[Sample]) -> Callable[..., list[np.ndarray]]:
    """(point, rate, stage, direction) -> the gradient, of which each entry has its own stage.

    An entry of stage j is taken where the parameters of all earlier stages have moved by
    -rate * direction; without stages, where all of them have.
    """
    shapes = [leaf.shape for leaf in samples[0].true]
    ends = np.cumsum([leaf.size for leaf in samples[0].true])[:-1]

    def split(flat: Any) -> list[Any]:
        pieces = jax.numpy.split(flat, ends)
        return [x.reshape(shape) for x, shape in zip(pieces, shapes, strict=True)]

    @jax.jit
    def gradients_at(params: Any, moved: Any) -> Any:
        return jax.vmap(jax.grad(lambda flat: s.loss(with_floats(params, split(flat)))))(moved)

    def at(
        point: int, rate: float, stage: np.ndarray | None, direction: list[np.ndarray | None]
    ) -> list[np.ndarray]:
        sample = samples[point]
        own = np.concatenate([np.ravel(p) for p in floats(sample.params)])
        along = [
            np.ravel(d) if d is not None and d.shape == shape else np.zeros(int(np.prod(shape)))
            for d, shape in zip(direction, shapes, strict=True)
        ]
        if stage is None:
            moved = own - rate * np.concatenate(along)
            flat = np.asarray(gradients_at(sample.params, moved[None]))[0]
            return [x.reshape(n) for x, n in zip(np.split(flat, ends), shapes, strict=True)]
        stages = np.unique(stage)
        earlier = stage[None, :] < stages[:, None]
        moved = own - rate * np.concatenate(along) * earlier
        found = np.asarray(gradients_at(sample.params, moved))
        flat = found[np.searchsorted(stages, stage), np.arange(len(own))]
        return [x.reshape(n) for x, n in zip(np.split(flat, ends), shapes, strict=True)]

    return at


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
