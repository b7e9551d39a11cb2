"""Difference quotients with a bad step."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from jaxnet.check.causes.cause import Cause
from jaxnet.check.truth import TruthAt
from jaxnet.check.witness import Sample, floats

ENTRIES = 12
"""Entries that are looked at, spread over all wrong leaves."""


def of_quotient(
    samples: list[Sample], true: TruthAt, left: list[int], close: float, rounding: float
) -> Cause | None:
    """A difference quotient with a step that is too long or too short, or with a wrong divisor."""
    said = _long_step(samples, true, left, close) or _short_step(samples[0], left, rounding)
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
    samples: list[Sample], true: TruthAt, left: list[int], close: float
) -> tuple[str, float] | None:
    """What kind of difference quotient gives the user's gradient, and its step."""
    entries = _entries(samples[0], left)
    given, due = _of_entries(samples[0], entries)
    if not given.any():
        return None
    worst = int(np.argmax(np.abs(given - due)))
    value = cache(_at_entries(samples[0], true, [entries[worst]]))
    here = value(0.0)[0]
    # A loss that stops a gradient: the one given is that of all paths.
    if all(_is(_central, 1e-5, sample, true, entries, close) for sample in samples[:2]):
        return None
    for said, quotient in _QUOTIENTS.items():

        def off(h: float, quotient: Quotient = quotient) -> float:
            return float(quotient(value(h)[0], here, value(-h)[0], h) - given[worst])

        # Of one number, some step makes anything: it must be the same one at another point.
        for h in _steps(off, lambda h: _allowed(due, here, h, close)):
            if all(_is(quotient, h, sample, true, entries, close) for sample in samples[:2]):
                return said.format(h=f"{h:.3g}"), h
    return None


def _allowed(true: np.ndarray, here: Any, h: float, close: float) -> float:
    """What a quotient with the step h may be off by."""
    noise = 8 * float(np.spacing(np.abs(here).max())) / h
    return close * float(np.abs(true).max()) + noise


def _is(
    quotient: "Quotient",
    h: float,
    sample: Sample,
    true: TruthAt,
    entries: list[tuple[int, tuple[Any, ...]]],
    close: float,
) -> bool:
    """Whether a quotient gives the user's gradient, and not the true one."""
    given, due = _of_entries(sample, entries)
    value = _at_entries(sample, true, entries)
    here = value(0.0)
    found = quotient(value(h), here, value(-h), h)
    allowed = _allowed(due, here, h, close)
    fits = np.abs(found - given).max() <= allowed
    return bool(fits and np.abs(found - due).max() > 100 * allowed)


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


def _steps(off: Callable[[float], float], allowed: Callable[[float], float]) -> list[float]:
    """The steps, of those that people take and others, that give one entry of the gradient."""
    usual = [m * 10.0**-e for e in range(9) for m in (1, 0.5, 0.2)]
    values = [off(h) for h in usual]
    fitting = [h for h, x in zip(usual, values, strict=True) if abs(x) <= allowed(h)]
    crossings = [
        _crossing(off, a, b)
        for (a, b), (x, y) in zip(pairwise(usual), pairwise(values), strict=True)
        if x * y < 0 and b > 1e-5
    ]
    return fitting + crossings


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
    sample: Sample, true: TruthAt, entries: list[tuple[int, tuple[Any, ...]]]
) -> Callable[[float], np.ndarray]:
    """(step) -> the loss with each of the entries moved by the step, one at a time."""
    leaves = [np.asarray(p) for p in floats(sample.params)]
    start = np.cumsum([0, *(leaf.size for leaf in leaves)])
    places = [start[k] + int(np.ravel_multi_index(i, leaves[k].shape)) for k, i in entries]
    flat = np.concatenate([leaf.ravel() for leaf in leaves])

    def value(h: float) -> np.ndarray:
        return np.asarray([true.value(flat + h * _unit(flat.size, i)) for i in places])

    return value


def _unit(n: int, i: int) -> np.ndarray:
    e = np.zeros(n)
    e[i] = 1.0
    return e


def _short_step(sample: Sample, left: list[int], rounding: float) -> tuple[str, float] | None:
    """A quotient of rounding errors: its values lie on a grid, of spacing(loss) / (2 step).

    Compiled, f(x + h) and f(x) may round apart, and the grid need not have a point at 0.
    """
    given = np.concatenate([np.asarray(sample.given[k]).ravel() for k in left])
    true = np.concatenate([sample.true[k].ravel() for k in left])
    if given.size < 4 or not np.isfinite(given).all() or (given == np.round(given)).all():
        return None
    error = np.abs(given - true).max(initial=0)
    levels = np.unique(given)
    for origin in (0.0, levels[0]):
        off = np.abs(levels - origin)
        off = off[off > 4 * rounding * np.abs(given).max()]
        if len(off) < 3:
            continue
        for parts in range(1, 65):
            grid = float(off.min()) / parts
            counts = off / grid
            near = np.minimum(np.maximum(1e-6, 4 * rounding * counts), 0.02)
            if (np.abs(counts - np.round(counts)) < near).all():
                break
        else:
            continue
        h = float(np.spacing(abs(sample.value))) / (2 * grid)
        # Numbers that were rounded or cut are off by one of them at most.
        if 1e-18 < h < 1e-9 and 1.01 * grid < error < 64 * grid:
            what = f"difference quotient with a step near {h:.0e}, which is too short: its "
            return f"{what}values are whole numbers of rounding errors", h
    return None
