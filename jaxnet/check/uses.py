"""Whether a right gradient stays right where it will be used: under vmap, with another batch."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet.check.causes.cause import Cause, said_name
from jaxnet.check.causes.relations import batch_size
from jaxnet.check.judgement import Allowed, is_off, tolerances
from jaxnet.check.truth import MANY, Truth, TruthAt, given_at, truth_of
from jaxnet.check.witness import Sample, Subject, align, compiled, floats, with_floats


def uses(
    s: Subject, samples: list[Sample], allowed: Allowed, eps: list[float]
) -> tuple[list[Cause], list[str]]:
    """What goes wrong in other uses, and notes on what was seen."""
    if len(samples) < 2:
        return [], []
    outcomes = [_vmapped(s, samples, allowed), _with_fewer_rows(s, samples[1], eps)]
    held = ["compiled by jax.jit"] * s.traced + [x.held for x in outcomes if x.held]
    notes = [f"the gradient holds {', '.join(held)}"] if held else []
    return (
        [x.cause for x in outcomes if x.cause is not None],
        [*notes, *(x.note for x in outcomes if x.note)],
    )


class Outcome(NamedTuple):
    """What became of another use: where the gradient holds, what to note, or what is wrong."""

    held: str = ""
    note: str = ""
    cause: Cause | None = None


def _vmapped(s: Subject, samples: list[Sample], allowed: Allowed) -> Outcome:
    if not s.traced:
        return Outcome()
    samples, allowed = samples[1:], allowed[1:]  # the point given may be a kink
    stacked = [
        np.stack(leaves) for leaves in zip(*(floats(x.params) for x in samples), strict=True)
    ]

    def grad(moving: Any) -> Any:
        return align(s.own_grad(with_floats(s.params, moving), *s.args), s.params)

    try:
        answers = compiled(jax.vmap(grad))(stacked)
    except Exception as error:  # of other people's code
        return Outcome(note=f"grad does not run under jax.vmap: {_said(error)}")
    off = set()
    for i, (x, limits) in enumerate(zip(samples, allowed, strict=True)):
        leaves = [None if a is None else np.asarray(a[i], np.float64) for a in answers]
        off |= _off(leaves, x.true, limits)
    if not off:
        return Outcome(held="under jax.vmap")
    fix = "Compute it with operations that keep the examples of a batch apart."
    return Outcome(cause=_cause(s, off, "under jax.vmap", fix))


def _with_fewer_rows(s: Subject, near: Sample, eps: list[float]) -> Outcome:
    """The gradient with the first half of the rows of the batch, where the loss takes those."""
    n, count = batch_size(s), sum(np.size(leaf) for leaf in floats(s.params))
    if n < 2 or (s.closed is None and count > MANY):
        return Outcome()
    m = n // 2
    args = tuple(jax.tree.map(lambda a: _first(a, n, m), arg) for arg in s.args)
    fewer = s._replace(
        loss=lambda p: s.own_loss(p, *args), grad=lambda p: s.own_grad(p, *args), args=args
    )
    true = truth_of(fewer)
    there = _tried(true, near.params)
    if there is None:
        return Outcome()
    if s.traced:
        fewer = fewer._replace(grad=compiled(fewer.grad))
    rows = f"with {m} of the {n} rows"
    try:
        given = given_at(fewer, near.params)
        sample = Sample(near.params, *there[:3], given, there.kink, near.seed)
        off = _off(given, there.leaves, tolerances(fewer, sample, true, eps))
    except Exception as error:  # of other people's code
        return Outcome(note=f"grad does not run {rows}: {_said(error)}")
    if not off:
        return Outcome(held=rows)
    return Outcome(cause=_cause(s, off, rows, "Take the number of rows from the data."))


def _tried(true: TruthAt, params: Any) -> Truth | None:
    """The truth, or None where the loss refuses or is not finite: the first axis is no batch."""
    try:
        there = true.at(params)
    except Exception:  # of other people's code
        return None
    finite = np.isfinite(there.value) and all(np.isfinite(x).all() for x in there.leaves)
    return there if finite else None


def _first(a: Any, n: int, m: int) -> Any:
    return a[:m] if np.ndim(a) and np.shape(a)[0] == n else a


def _off(leaves: list[Any], true: list[np.ndarray], limits: list[np.ndarray]) -> set[int]:
    triples = enumerate(zip(leaves, true, limits, strict=True))
    return {k for k, (g, t, limit) in triples if is_off(g, t, limit)}


def _cause(s: Subject, off: set[int], where: str, fix: str) -> Cause:
    names = ", ".join(said_name(s, k) for k in sorted(off))
    return Cause(
        "mismatch",
        tuple(sorted(off)),
        f"The gradient is right as it was called, but wrong {where}: in {names}.",
        fix,
    )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
