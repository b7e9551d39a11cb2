"""Difference quotients with a bad step."""

from typing import Any

import jax
import numpy as np

from jaxnet.check.causes.cause import Cause
from jaxnet.check.witness import Sample, Subject, floats, with_floats


def of_quotient(s: Subject, samples: list[Sample], left: list[int], close: float) -> Cause | None:
    """A difference quotient with a step that is too long or too short."""
    step = _long_step(s, samples[0], left, close) or _short_step(samples[0], left)
    if step is None:
        return None
    kind, h = step
    return Cause(
        "numeric_step",
        tuple(left),
        f"The gradient is a {kind}difference quotient with the step {h:g}, "
        f"which is too {'long' if h > 1e-7 else 'short'}.",
        "Use central differences with a step near 1e-5 in float64, "
        "or jaxnet.check.finite_difference.",
        {"step": h},
    )


def _long_step(
    s: Subject, sample: Sample, left: list[int], close: float
) -> tuple[str, float] | None:
    """The kind and step of a difference quotient that gives the user's gradient."""
    k = max(left, key=lambda k: min(sample.true[k].size, 3))
    shape = sample.true[k].shape
    entries = [np.unravel_index(i, shape) for i in range(min(5, sample.true[k].size))]
    given, true = (
        np.asarray([np.asarray(leaf)[e] for e in entries])
        for leaf in (sample.given[k], sample.true[k])
    )
    run = jax.jit(s.loss) if s.closed is not None else s.loss

    def value(entry: Any, h: float) -> float:
        moving = [np.array(p) for p in floats(sample.params)]
        moving[k][entry] += h
        return float(run(with_floats(sample.params, moving)))

    here = float(run(sample.params))
    for h in (m * 10.0**-e for e in range(8) for m in (1, 5, 2)):
        ahead = np.asarray([value(e, h) for e in entries])
        behind = np.asarray([value(e, -h) for e in entries])
        quotients = {
            "forward ": (ahead - here) / h,
            "backward ": (here - behind) / h,
            "central ": (ahead - behind) / (2 * h),
        }
        noise = 8 * float(np.spacing(abs(here))) / h
        for kind, quotient in quotients.items():
            off, error = np.abs(quotient - given).max(), np.abs(quotient - true).max()
            size = np.abs(true).max()
            if off <= close * size + noise and error > 100 * (noise + close * size):
                return kind, h
    return None


def _short_step(sample: Sample, left: list[int]) -> tuple[str, float] | None:
    """The step of a quotient of rounding errors: its values are multiples of spacing / step."""
    given = np.concatenate([np.asarray(sample.given[k]).ravel() for k in left])
    given = given[given != 0]
    if given.size < 4:
        return None
    for dtype in (np.float64, np.float32):
        spacing = float(np.spacing(dtype(abs(sample.value))))
        for h in (10.0**-e for e in range(6, 18)):
            for multiple in (1, 2):
                counts = given * (multiple * h / (spacing / 2))
                whole = np.abs(counts - np.round(counts)).max() < 1e-3
                if whole and np.abs(counts).min() >= 1 and np.abs(counts).max() < 1e5:
                    return "", h
    return None
