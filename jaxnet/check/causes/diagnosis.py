"""The search for the cause of a wrong gradient: relations first, then the replay."""

from collections.abc import Callable
from dataclasses import replace

from jaxnet.check.alterations.losses import head_place
from jaxnet.check.causes.batch import of_each_row, of_partial_batch
from jaxnet.check.causes.cause import Cause, merged
from jaxnet.check.causes.penalty import penalty_place
from jaxnet.check.causes.quotient import of_quotient
from jaxnet.check.causes.relations import (
    batch_size,
    by_other_leaf,
    by_relations,
    factor_meaning,
    of_factor,
    relation,
    used_at,
)
from jaxnet.check.causes.stale import of_stale
from jaxnet.check.causes.unexplained import mismatch, of_located
from jaxnet.check.causes.unusable import singular_place, unusable
from jaxnet.check.located import located
from jaxnet.check.replay import Replay, tied
from jaxnet.check.search import Explained, Search, replays_of
from jaxnet.check.truth import TruthAt
from jaxnet.check.witness import Sample, Subject

CLOSE = 1e-5
"""Relative error up to which a cause is said to reproduce the user's float64 gradient."""


def diagnose(
    s: Subject,
    samples: list[Sample],
    true: TruthAt,
    wrong: list[int],
    limits: list[float],
    tell: Callable[[str], None],
) -> list[Cause]:
    """The causes that together explain all wrong leaves, the most specific first."""
    close = max(CLOSE, 300 * s.rounding)
    tell("replaying the loss")
    replays = replays_of(s, samples)
    causes = [_lined(cause, replays) for cause in unusable(s, samples, wrong)]
    left = [k for k in wrong if not any(k in cause.leaves for cause in causes)]
    if not left:
        return causes
    whole = by_relations(s, samples, left, close)

    def search(replays: list[Replay]) -> Search:
        tell("altering one rule of the backward pass at a time")
        return Search(samples, limits, close, replays, wrong, left)

    first = search(replays) if replays is not None else None
    if whole is not None:
        better = _of_entries(s, whole, first, left)
        return [*causes, *(better or (_placed(cause, first) for cause in whole))]
    found = _searched(s, left, first, samples, true, close, tell)
    for ties in ("all", "first"):
        if not found and replays is not None and any(map(tied, replays)):
            others = [replace(replay, ties=ties) for replay in replays]
            best = _by_one(search(others), left)
            found = [] if best is None else _causes_of(s, best)
    if not found:
        tell("looking for where the error enters")
        rest = _leaf_by_leaf(s, samples, true, left, close, replays[0] if replays else None)
        return merged([*causes, *rest])
    filled = (_never_filled(s, samples, cause, close) or [cause] for cause in found)
    told = [cause for several in filled for cause in several]
    # A path with several operations is lost at each of them, but its entries are missing once.
    entries = {c.leaves: c for c in told if c.code == "partial_entries"}
    return [*causes, *(c for c in told if entries.get(c.leaves, c) is c)]


def _of_entries(
    s: Subject, whole: list[Cause], search: Search | None, left: list[int]
) -> list[Cause]:
    """What makes some entries wrong, if it is a likely alteration; entries that are 0 are lost."""
    wrong = all(c.code == "partial_entries" and not c.evidence["zero"] for c in whole)
    if search is None or not wrong:
        return []
    best = _by_one(search, left)
    return [] if best is None or _order(best)[0] >= UNLIKELY else _causes_of(s, best)


def _leaf_by_leaf(
    s: Subject,
    samples: list[Sample],
    true: TruthAt,
    left: list[int],
    close: float,
    replay: Replay | None,
) -> list[Cause]:
    """What can be said of leaves that nothing explains together."""
    found = {
        k: relation(s, samples, k, close) or by_other_leaf(s, samples, k, close, replay)
        for k in left
    }
    if any(found.values()):
        return [found[k] or mismatch(s, samples, k) for k in left]
    of_rows = of_each_row(s, samples, true, left, close)
    if of_rows is not None:
        return [replace(of_rows, where=None if replay is None else head_place(replay))]
    if replay is not None:
        op = located(replay, samples[0], left, close)
        if op is not None:
            return [of_located(tuple(left), op.frames[0])]
    return [mismatch(s, samples, k) for k in left]


def _searched(
    s: Subject,
    left: list[int],
    search: Search | None,
    samples: list[Sample],
    true: TruthAt,
    close: float,
    tell: Callable[[str], None],
) -> list[Cause]:
    """The causes by alterations, one or several, and by relations of the whole gradient."""
    best = None if search is None else _by_one(search, left)
    found = [] if best is None else _causes_of(s, best)
    # One run of a loop over the batch is one of its rows.
    of_row = best is not None and best.alteration.runs == batch_size(s)
    if best is None or _order(best)[0] >= UNLIKELY or of_row:
        tell("trying other batches, parameters that moved, and difference quotients")
        replays = None if search is None else search.replays
        found = _of_the_whole(s, samples, true, left, close, replays) or found
    if not found and search is not None:
        tell("altering two rules of the backward pass at a time")
        found = _by_several(s, search, left)
    return found


def _never_filled(s: Subject, samples: list[Sample], cause: Cause, close: float) -> list[Cause]:
    """A path that was lost, if it is all that some entries of the leaves have."""
    if cause.code != "dropped_path":
        return []
    entries = [relation(s, samples, k, close) for k in cause.leaves]
    filled = [replace(e, where=cause.where) for e in entries if e is not None]
    zero = all(e.code == "partial_entries" and e.evidence["zero"] for e in filled)
    return filled if zero and len(filled) == len(entries) else []


def _lined(cause: Cause, replays: list[Replay] | None) -> Cause:
    """The cause for a gradient that cannot be compared, with its line."""
    if replays is None or cause.code not in ("nonfinite", "transpose"):
        return cause
    place = singular_place if cause.code == "nonfinite" else used_at
    return replace(cause, where=place(replays[0], cause.leaves[0]))


def _placed(cause: Cause, search: Search | None) -> Cause:
    """A cause with the line it belongs to, if one operation stands behind it."""
    if search is None or cause.where is not None:
        return cause
    if cause.code == "regularization":
        return replace(cause, where=penalty_place(search.replays[0], cause.leaves))
    if cause.code == "transpose":
        return replace(cause, where=used_at(search.replays[0], cause.leaves[0]))
    if cause.code not in ("scale", "sign", "missing", "partial_entries"):
        return cause
    found = [
        e for e in search.explaining(list(cause.leaves), whole=True) if abs(e.factor - 1) < 1e-4
    ]
    return replace(cause, where=min(found, key=_order).alteration.where) if found else cause


def _of_the_whole(
    s: Subject,
    samples: list[Sample],
    true: TruthAt,
    left: list[int],
    close: float,
    replays: list[Replay] | None,
) -> list[Cause]:
    """Relations of all wrong leaves together."""
    whole = (
        of_partial_batch(s, samples, true, left, close, replays)
        or of_stale(s, samples, true, left, close, replays)
        or of_quotient(samples, true, left, close, s.rounding)
    )
    return [whole] if whole is not None else []


UNLIKELY = 6.5
"""The rank from which on relations of the whole gradient are asked first."""


def _by_one(search: Search, left: list[int]) -> Explained | None:
    """The likeliest alteration that explains all wrong leaves."""
    return min(search.explaining(left, whole=True), key=_order, default=None)


def _by_several(s: Subject, search: Search, left: list[int]) -> list[Cause]:
    """Causes that two alterations, or one and relations, make plain."""
    samples, close = search.samples, search.close
    found = search.explaining(left)
    # Two faults: the alteration that explains most leaves, and what explains the rest with it.
    for first in sorted(found, key=lambda e: (-len(e.leaves), _order(e)))[:8]:
        rest = [k for k in left if k not in first.leaves]
        base = dict(first.alteration.rules)
        second = search.explaining(rest, base, whole=True)
        if second:
            return _causes_of(s, first) + _causes_of(s, min(second, key=_order))
        given_base = [x._replace(true=search.run(base, i)) for i, x in enumerate(samples)]
        relations = [relation(s, given_base, k, close) for k in rest]
        if all(relations):
            return _causes_of(s, first) + merged([r for r in relations if r is not None])
    by_relation = {k: cause for k in left if (cause := relation(s, samples, k, close)) is not None}
    for first in sorted(found, key=_order):
        rest = [k for k in left if k not in first.leaves]
        if all(k in by_relation for k in rest):
            return _causes_of(s, first) + merged([by_relation[k] for k in rest])
    pairs = search.pairs(left)
    if pairs:
        both = min(pairs, key=lambda p: sum(_order(e)[0] for e in p))
        return [cause for e in sorted(both, key=_order) for cause in _causes_of(s, e)]
    formulas = search.formulas(left)
    if formulas:
        return _causes_of(s, min(formulas, key=_order))
    others = search.other_forwards(left)
    if others:
        return _causes_of(s, others[0])
    # A slip in the formula of some leaves only, while the others went the right way there.
    slips = search.explaining(left, only_here=False, whole=True)
    return _causes_of(s, min(slips, key=_order)) if slips else []


def _order(e: Explained) -> tuple[float, ...]:
    # How another loss would be averaged is not known.
    exact = 0 if abs(e.factor - 1) < 1e-4 or e.alteration.code == "wrong_loss" else 3
    # Of operations that a lost path goes through one after the other, the first one is its source.
    return (exact + e.alteration.rank, min(e.alteration.rules), len(e.alteration.rules))


FIXES = {
    "dropped_path": "Add what is missing where the backward pass comes through this line.",
    "double_counted": "Add it once where the backward pass comes through this line.",
    "dropped_derivative": "Put this factor into the backward pass of this line.",
    "wrong_derivative": "Put the right derivative into the backward pass of this line.",
    "wrong_point": "Keep the value that this line had in the forward pass, and use that one.",
    "wrong_loss": "Derive this line of the loss again: the gradient is that of another one.",
    "premature_average": "Multiply example by example first, and average the products.",
    "transpose": "Write down the shapes of the factors at this line, and transpose accordingly.",
    "sign": "Turn the sign of this contribution in the backward pass of this line.",
}
"""What to do about an alteration, by its code."""


def _causes_of(s: Subject, e: Explained) -> list[Cause]:
    a = e.alteration
    leaves = tuple(sorted(e.leaves))
    causes = [
        Cause(
            a.code,
            leaves,
            f"The gradient {a.does}. The loss needs {a.needs}.",
            FIXES.get(a.code, "Correct the backward pass of this line."),
            where=a.where,
        )
    ]
    if abs(e.factor - 1) > 1e-4 and a.code != "wrong_loss":
        scale = of_factor(s, leaves[0], e.factor)
        causes.append(
            replace(
                scale,
                leaves=leaves,
                message=f"Besides, the gradient is off by the factor {e.factor:.6g}"
                f"{factor_meaning(s, abs(e.factor))}.",
            )
        )
    return causes
