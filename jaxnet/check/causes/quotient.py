"""Difference quotients with a bad step."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from jaxnet.check.causes.cause import Cause
from jaxnet.check.witness import Sample, Subject, floats, with_floats

ENTRIES = 12
"""Entries that are looked at, spread over all wrong leaves."""


def of_quotient(s: Subject, samples: list[Sample], left: list[int], close: float) -> Cause | None:
    """A difference quotient with a step that is too long or too short, or with a wrong divisor."""
    said = _long_step(s, samples, left, close) or _short_step(samples[0], left)
    if said is None:
        return None
    what, h = said
    return Cause(
        "numeric_step",
        tuple(left),
        f"The gradient is a {what}.",
        "Use central differences, (f(x + h) - f(x - h)) / (2 h), with a step h near 1e-5 in "
        "float64, or jaxnet.check.finite_difference.",
        {"step": h},
    )


def _long_step(
    s: Subject, samples: list[Sample], left: list[int], close: float
) -> tuple[str, float] | None:
    """What kind of difference quotient gives the user's gradient, and its step."""
    entries = _entries(samples[0], left)
    given, true = _of_entries(samples[0], entries)
    if not given.any():
        return None
    worst = int(np.argmax(np.abs(given - true)))
    value = _at_entries(s, samples[0], [entries[worst]])
    here = value(0.0)[0]
    for said, quotient in _QUOTIENTS.items():

        def off(h: float, quotient: Quotient = quotient) -> float:
            return float(quotient(value(h)[0], here, value(-h)[0], h) - given[worst])

        # Of one number, some step makes anything: it must be the same one at another point.
        for h in _steps(off):
            if all(_is(quotient, h, s, sample, entries, close) for sample in samples[:2]):
                return said.format(h=f"{h:.3g}"), h
    return None


def _is(
    quotient: "Quotient",
    h: float,
    s: Subject,
    sample: Sample,
    entries: list[tuple[int, tuple[Any, ...]]],
    close: float,
) -> bool:
    """Whether a quotient gives the user's gradient, and not the true one."""
    given, true = _of_entries(sample, entries)
    value = _at_entries(s, sample, entries)
    here = value(0.0)
    found = quotient(value(h), here, value(-h), h)
    noise = 8 * float(np.spacing(np.abs(here).max())) / h
    allowed = close * float(np.abs(true).max()) + noise
    fits = np.abs(found - given).max() <= allowed
    return bool(fits and np.abs(found - true).max() > 100 * allowed)


def _of_entries(
    sample: Sample, entries: list[tuple[int, tuple[Any, ...]]]
) -> tuple[np.ndarray, np.ndarray]:
    """Entries of the user's gradient and of the true one."""
    given = [np.asarray(sample.given[k])[e] for k, e in entries]
    return np.asarray(given), np.asarray([sample.true[k][e] for k, e in entries])


Quotient = Callable[[Any, Any, Any, float], Any]


def _forward(ahead: Any, here: Any, behind: Any, h: float) -> Any:
    return (ahead - here) / h


def _backward(ahead: Any, here: Any, behind: Any, h: float) -> Any:
    return (here - behind) / h


def _central(ahead: Any, here: Any, behind: Any, h: float) -> Any:
    return (ahead - behind) / (2 * h)


def _half_forward(ahead: Any, here: Any, behind: Any, h: float) -> Any:
    return (ahead - here) / (2 * h)


def _twice_central(ahead: Any, here: Any, behind: Any, h: float) -> Any:
    return (ahead - behind) / h


_QUOTIENTS: dict[str, Quotient] = {
    "forward difference quotient with the step {h}, which is too long": _forward,
    "backward difference quotient with the step {h}, which is too long": _backward,
    "central difference quotient with the step {h}, which is too long": _central,
    "forward difference with the step {h} divided by twice the step": _half_forward,
    "central difference with the step {h} divided by the step, not by twice it": _twice_central,
}
"""(f(x + h), f(x), f(x - h), h) -> what is taken for the derivative."""


def _steps(off: Callable[[float], float]) -> list[float]:
    """The steps that people take, and those at which a quotient crosses the gradient given."""
    usual = [m * 10.0**-e for e in range(9) for m in (1, 0.5, 0.2)]
    values = [off(h) for h in usual]
    crossings = [
        _crossing(off, a, b)
        for (a, b), (x, y) in zip(pairwise(usual), pairwise(values), strict=True)
        if x * y < 0 and b > 1e-5
    ]
    return usual + crossings


def _crossing(off: Callable[[float], float], a: float, b: float) -> float:
    """Where a function changes its sign between a and b, by bisection."""
    sign = off(a) > 0
    for _ in range(45):
        middle = (a + b) / 2
        a, b = (middle, b) if (off(middle) > 0) == sign else (a, middle)
    return (a + b) / 2


def _entries(sample: Sample, left: list[int]) -> list[tuple[int, tuple[Any, ...]]]:
    """The largest entries of each wrong leaf, as (leaf, index)."""
    each = max(1, ENTRIES // len(left))
    found = []
    for k in left[:ENTRIES]:
        largest = np.argsort(-np.abs(np.ravel(np.asarray(sample.given[k]))), kind="stable")[:each]
        found += [(k, np.unravel_index(i, sample.true[k].shape)) for i in largest]
    return found


def _at_entries(
    s: Subject, sample: Sample, entries: list[tuple[int, tuple[Any, ...]]]
) -> Callable[[float], np.ndarray]:
    """(step) -> the loss with each of the entries moved by the step, one at a time."""
    run = jax.jit(s.loss) if s.closed is not None else s.loss

    def value(h: float) -> np.ndarray:
        values = []
        for k, entry in entries:
            moving = [np.array(p) for p in floats(sample.params)]
            moving[k][entry] += h
            values.append(float(run(with_floats(sample.params, moving))))
        return np.asarray(values)

    return value


def _short_step(sample: Sample, left: list[int]) -> tuple[str, float] | None:
    """A quotient of rounding errors: its values are multiples of one number, spacing / (2 step)."""
    given = np.concatenate([np.asarray(sample.given[k]).ravel() for k in left])
    true = np.concatenate([sample.true[k].ravel() for k in left])
    error = np.abs(given - true).max(initial=0)
    given = np.abs(given[given != 0])
    if given.size < 4 or not np.isfinite(given).all() or (given == np.round(given)).all():
        return None
    for parts in range(1, 65):
        counts = given * (parts / given.min())
        if np.abs(counts - np.round(counts)).max() < 1e-6 and len(set(np.round(counts))) > 2:
            h = float(np.spacing(abs(sample.value))) / (2 * given.min() / parts)
            # Numbers that were rounded or cut are off by one of them at most.
            if 1e-18 < h < 1e-9 and error > 1.01 * given.min() / parts:
                what = f"difference quotient with a step near {h:.0e}, which is too short: its "
                return f"{what}values are multiples of a rounding error", h
            return None
    return None
