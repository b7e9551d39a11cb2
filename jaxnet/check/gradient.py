"""The gradient doctor: what is wrong with a gradient, and on which line."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxnet.check.causes import Cause, diagnose
from jaxnet.check.causes.unexplained import of_direction, of_entries, of_stop
from jaxnet.check.evidence import Evidence, Places, evidence
from jaxnet.check.judgement import AUTODIFF, wrong_leaves
from jaxnet.check.report import Report
from jaxnet.check.sampled import (
    chosen_entries,
    off_along_directions,
    restricted,
    unusable_sample,
)
from jaxnet.check.told import changing, directions_note, told, told_alone, unsteady, witness_notes
from jaxnet.check.truth import sample, truth_of
from jaxnet.check.uses import uses
from jaxnet.check.witness import Subject, floats, subject


def gradient(
    loss: Callable[..., Any],
    grad: Callable[..., Any],
    params: Any,
    *args: Any,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Say whether a hand-written gradient is right; if not, what is wrong, and where.

    Three witnesses are compared leaf by leaf, at the point given and at points near it: the
    gradient given, `jax.grad` in float64, and differences along random directions of every leaf,
    which confirm `jax.grad`. For a loss that JAX cannot trace, in NumPy, there are two: the
    gradient given and extrapolated differences of all parameters (of a random part of them, and
    along random directions, if there are more than 3000).

    A leaf is right if every entry is, up to six digits or those of its own type, and up to noise
    that is measured (`jaxnet.check.judgement.tolerances` has the formula); the report says from
    which error on a leaf counts as wrong. A leaf that differs only where the loss has a kink (ReLU
    or |x| at 0, a tie of max), and there by a choice of slope, is right; the report says where.
    Where `jax.grad` and differences part, because the loss stops a gradient or has a rule of its
    own for one, a note has both numbers; `jaxnet.check.judgement.standing` says what follows.

    For a loss that JAX can trace, the search for the cause replays its backward pass with one rule
    altered at a time, which leads to the line. A right gradient is also tried under `jax.vmap`, if
    JAX can trace it, and with half of the rows that the arrays in args have in common.

    A loss or gradient that gives different numbers for the same input, as dropout without a fixed
    key does, is a finding too (code mismatch): nothing about it can be checked.

    Args:
        loss: loss(params, *args), a scalar; in JAX or in NumPy.
        grad: grad(params, *args), the gradient to examine: a tree like params. Leaves that are no
            floating-point numbers (integers, keys) are not looked at, and may be missing or None.
        params: Where to look, any tree of arrays; best generic ones, not all zero.
        *args: What loss and grad take besides, such as the data. Arrays of floating-point numbers
            are given to both in float64.
        progress: Called with what is being done, at the start of each part.

    Returns:
        A report; `report.ok` says whether the gradient is right, `report.to_dict()` has the
        numbers.

    Raises:
        TypeError: params hold no floating-point numbers, or complex ones, or grad gives other
            leaves than params.
        ValueError: The loss, or its true gradient, is not one finite number there.
    """
    tell = progress or (lambda phase: None)
    # The points near the one given may be beyond what a NumPy loss can compute: no warnings.
    with jax.enable_x64(True), np.errstate(all="ignore"):
        tell("tracing")
        s = subject(loss, grad, params, args)
        if s.changed:
            return changing(s)
        if s.unsteady:
            return unsteady(s)
        entries = chosen_entries(s)
        if entries is not None:
            return _of_many(s, entries, tell)
        return _examined(s, tell)


def assert_gradient(
    loss: Callable[..., Any], grad: Callable[..., Any], params: Any, *args: Any
) -> None:
    """Raise an AssertionError with the report of `gradient` if the gradient is not right."""
    report = gradient(loss, grad, params, *args)
    if not report.ok:
        raise AssertionError(str(report))


def _examined(s: Subject, tell: Callable[[str], None]) -> Report:
    """The examination of all entries."""
    tell("differentiating the loss")
    true = truth_of(s)
    samples = sample(s, true)
    tell("comparing")
    e = evidence(s, samples, true)
    if e.wrong:
        causes, notes = _causes(s, e, tell), list[str]()
    else:
        tell("trying it under vmap and with another batch")
        causes, notes = uses(s, samples, e.allowed, e.eps)
    return told(s, e, causes, [*witness_notes(s, e), *notes])


def _of_many(s: Subject, entries: list[np.ndarray], tell: Callable[[str], None]) -> Report:
    """The examination of a NumPy loss of many parameters: some entries, and directions."""
    unusable = unusable_sample(s)
    if unusable is not None:
        bad = wrong_leaves([unusable], [unusable.error], slice(None))
        return told_alone(
            s, diagnose(s, [unusable], truth_of(s), bad, [0.0 for _ in s.names], tell)
        )
    tell("differentiating the loss at entries drawn at random")
    part = restricted(s, entries)
    true = truth_of(part)
    samples = sample(part, true)
    tell("comparing")
    e = evidence(part, samples, true)
    places = Places([np.shape(leaf) for leaf in floats(s.params)], entries)
    e = e._replace(places=places)
    causes = [
        of_entries(part, e, c.leaves[0]) if c.code == "partial_entries" else c
        for c in (_causes(part, e, tell) if e.wrong else [])
    ]
    tell("comparing along random directions")
    off, missed = off_along_directions(s, max(e.eps))
    causes += [of_direction(s, k) for k in off if k not in e.wrong]
    return told(part, e, causes, [*witness_notes(part, e), directions_note(s, places, missed)])


def _causes(s: Subject, e: Evidence, tell: Callable[[str], None]) -> list[Cause]:
    """Why leaves are wrong."""
    if not e.wrong:
        return []
    limits = [max(float(a[k].max(initial=0)) for a in e.allowed) for k in range(len(s.names))]
    found = diagnose(s, e.samples, e.true, e.wrong, limits, tell)
    stopped = [k for k in e.wrong if e.standing.get(k) == AUTODIFF]
    causes = [
        c
        for c in found
        # A leaf that is nearly right is 1 times the true one, which says nothing.
        if abs(c.evidence.get("factor", 0.0) - 1) > 1e-4
        and not (c.code == "mismatch" and set(c.leaves) <= set(stopped))
    ]
    told = {k for cause in causes for k in cause.leaves}
    causes += [of_stop(s, e, k) for k in stopped if k not in told]
    told |= set(stopped)
    return causes + [of_entries(s, e, k) for k in e.wrong if k not in told]
