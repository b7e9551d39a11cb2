"""Gradients at parameters that have moved already."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxnet.check.causes.cause import Cause
from jaxnet.check.replay import Operation, Replay, Rule, altered_gradient, right_rule
from jaxnet.check.search import moving_leaves
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

    for said, at in _stale_ways(s, samples, replays).items():
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


def _stale_ways(s: Subject, samples: list[Sample], replays: list[Replay]) -> dict[str, Stale]:
    """In which order the parameters may have been changed."""
    loss, count = s.loss, len(s.names)

    @jax.jit
    def gradient_at(params: Any, moving: list[Any]) -> Any:
        return jax.grad(lambda moving: loss(with_floats(params, moving)))(moving)

    def own(sample: Sample) -> list[np.ndarray]:
        return [np.asarray(p) for p in floats(sample.params)]

    def step_ahead(point: int, rate: float) -> list[np.ndarray]:
        sample = samples[point]
        moved = [p - rate * t for p, t in zip(own(sample), sample.true, strict=True)]
        return [np.asarray(g) for g in gradient_at(sample.params, moved)]

    def one_by_one(backwards: bool) -> Stale:
        def at(point: int, rate: float) -> list[np.ndarray]:
            sample = samples[point]
            moved, leaves = own(sample), [np.zeros(0)] * count
            for k in reversed(range(count)) if backwards else range(count):
                leaves[k] = np.asarray(gradient_at(sample.params, moved)[k])
                moved[k] = moved[k] - rate * np.asarray(sample.given[k])
            return leaves

        return at

    def on_the_way_back(point: int, rate: float) -> list[np.ndarray]:
        rules = _with_moved_weights(replays[point], samples[point], rate)
        leaves = altered_gradient(replays[point], rules)
        return [leaves[j] for j in moving_leaves(samples[point])]

    return {
        "all of them were changed before": step_ahead,
        "the backward pass used weights that were changed on the way": on_the_way_back,
        "each leaf was changed before the next one's gradient": one_by_one(backwards=False),
        "each leaf was changed before the gradient of the one in front of it": one_by_one(
            backwards=True
        ),
    }


def _with_moved_weights(replay: Replay, sample: Sample, rate: float) -> dict[int, Rule]:
    """Products whose other factor gets its gradient with weights that have moved already."""
    places = {replay.parameters[j]: k for k, j in enumerate(moving_leaves(sample))}

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
    for _ in range(12):
        e, h = error(x), 1e-6 * max(abs(x), 1e-6)
        slope = (error(x + h) - e) / h
        if not np.isfinite(slope).all() or not slope.any():
            return None
        step = float(slope @ e / (slope @ slope))
        x -= step
        if abs(step) < 1e-12 * abs(x):
            break
    return x if np.isfinite(x) else None
