"""The search for the alteration of a rule that goes the same path as the user's."""

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from jaxnet.check.rules.case import Alteration, Case, Screen
from jaxnet.check.rules.comparison import gap
from jaxnet.check.rules.dialects import DIALECTS, Dialect
from jaxnet.check.rules.fits import decays, fitted, moved_decays, scaled
from jaxnet.check.rules.named import Named
from jaxnet.check.rules.other_rules import other_rules
from jaxnet.check.rules.singles import singles
from jaxnet.check.rules.values import other_values

PAIRS, CLOSE = 5_000, 12
"""How many pairs of alterations are tried, and how many alterations with every other one.

Numbers, not a time: the answer is always the same.
"""


class Found(NamedTuple):
    """What explains the user's path.

    Attributes:
        alteration: The alteration, or two; None if there is none.
        leaves: The leaves that it concerns.
        base: The dialect that is altered, None for the rule itself.
        complete: Whether all that is known was tried.
    """

    alteration: Alteration | None
    leaves: list[int]
    base: Dialect | None = None
    complete: bool = True


def dialect(case: Case) -> Dialect | None:
    """The dialect of another library that goes the user's path everywhere."""
    for d in _dialects(case):
        a = Alteration(d.on, d.hyper)
        if all(not case.wrong_leaves(k, case.run(a, k)).any() for k in range(len(case.problems))):
            return d
    return None


def _dialects(case: Case) -> Iterator[Dialect]:
    for d in DIALECTS.get(case.reference.entry.name, ()):
        if not set(d.hyper) & set(case.reference.given):
            yield d


def search(case: Case, tell: Callable[[str], None], small: bool) -> Found:
    """The alteration, or two, that goes the user's path, and the leaves that it concerns.

    A path that parts by no more than a factor in float32 does (`small`) gets no fits and no pairs:
    two alterations can undo one another but for so little.
    """
    screen, known = _screen(case), list(singles(case))
    found = _first(screen, _one(case, screen, known, tell, small))
    if found is not None:
        return found
    if small:
        return Found(None, [])
    tell("altering what other libraries do")
    for d in _dialects(case):
        altered = _based(case, d)
        if altered is None:
            continue
        inner = _screen(altered)
        one = _one(altered, inner, list(singles(altered)), lambda phase: None, small)
        found = _first(inner, one)
        if found is not None:
            return found._replace(base=d)
    tell("fitting the numbers of the rule")
    names = [name for a in known for name in a.on]
    found = _first(screen, fitted(case, screen, names))
    if found is not None:
        return found
    tell("comparing with other rules")
    # Some of other libraries keep a factor in float32, whatever the parameters are.
    whole = _screen(case._replace(tolerance=max(case.tolerance, 1e-6)))
    others = (
        Alteration(other.on, other.hyper, (other.named,), {}, other.rule)
        for other in other_rules(case.reference)
    )
    found = _first(whole, others)
    if found is not None:
        return found
    tell("trying two alterations at a time")
    return _pair(screen, known)


def _first(screen: Screen, alterations: Iterable[Alteration]) -> Found | None:
    """The first alteration that goes the user's path."""
    for a in alterations:
        if screen(a):
            return Found(a, screen.leaves)
    return None


def _based(case: Case, d: Dialect) -> Case | None:
    """The same with the dialect for the rule; None if it cannot be run, or is the user's."""
    altered = case._replace(base=Alteration(d.on, d.hyper))
    paths = [altered.run(Alteration(), k) for k in range(len(case.problems))]
    due = [path for path in paths if path is not None]
    if len(due) < len(paths):
        return None
    altered = altered._replace(due=due)
    wrong = any(altered.wrong_leaves(k, path).any() for k, path in enumerate(due))
    return altered if wrong else None


def _screen(case: Case) -> Screen:
    """What an alteration is tried on: the first problem that goes wrong, up to some steps more."""
    wrong = [case.wrong_leaves(k, case.due[k]) for k in range(len(case.problems))]
    k = next(i for i, w in enumerate(wrong) if w.any())
    first = int(gap(case.paths[k], case.due[k], case.tolerance, case.unit).wrong.any(1).argmax())
    steps = min(len(case.problems[k].grads), first + 4)
    return Screen(case, k, first, steps, np.any(wrong, axis=0))


def _one(
    case: Case, screen: Screen, known: list[Alteration], tell: Callable[[str], None], small: bool
) -> Iterator[Alteration]:
    """One thing else than due, the likely first."""
    yield from known
    if not small:
        tell("fitting the length of the step")
        # A step that goes the wrong way and is fitted would be the right one.
        others = [a for a in known if a.named[0].code != "sign"]
        yield from scaled(case, screen, [Alteration(), *others])
    yield from moved_decays(case)
    yield from other_values(case)
    yield from decays(case, screen.k)
    if not small:
        yield from _shifted(case)
        yield from _resets(screen)


def _shifted(case: Case) -> Iterator[Alteration]:
    """The learning rate of another step, where there is a schedule."""
    if not callable(case.reference.hyper.get("learning_rate")):
        return
    for shift, words in ((1, "ahead"), (-1, "behind")):
        named = Named(
            "scale",
            f"The schedule is one step {words}: step t has the rate of step t {shift:+d}. The "
            "first step has the schedule's value at 0.",
            "Call the schedule with the number of steps done so far.",
        )
        yield Alteration((), {"rate_shift": shift}, (named,), {"shift": float(shift)})


def _resets(screen: Screen) -> Iterator[Alteration]:
    """A state that is lost now and then: before every n-th step, or after it."""
    first = screen.first
    for n in dict.fromkeys([first - 1, first, *range(2, 13), 20, 25]):
        if n < 2:
            continue
        named = Named(
            "state_reset",
            f"The state is lost every {n} steps, as where the optimizer is made anew in every "
            "epoch. It must be kept.",
            "Make the state once, before all epochs.",
        )
        for phase in (1, 0):
            for on in ((), ("reset_clock_with_state",)):
                yield Alteration(on, {"reset_every": (n, phase)}, (named,), {"every": float(n)})


def _pair(screen: Screen, known: list[Alteration]) -> Found:
    """Two alterations at a time: the likely first, then those of which one comes close."""
    swaps = [a for a in (*known, *other_values(screen.case)) if a.hyper]
    plain, apart = _different(screen, [a for a in known if a.on])
    n = len(plain)
    pairs = [(i, j) for i, j in combinations(range(n + len(swaps)), 2) if i < n]
    # Numbers are as likely as words, so both are counted from 0.
    pairs.sort(key=lambda pair: pair[0] + (pair[1] if pair[1] < n else pair[1] - n))
    close = set(sorted(range(n), key=lambda i: apart[i])[:CLOSE])
    tried = [*pairs[:PAIRS], *(p for p in pairs[PAIRS:] if close & set(p))]
    both = [*plain, *swaps]
    found = _first(screen, (_joined(both[i], both[j]) for i, j in tried))
    return found or Found(None, [], complete=len(tried) == len(pairs))


def _different(screen: Screen, known: list[Alteration]) -> tuple[list[Alteration], list[float]]:
    """The alterations that do something here, and not the same as an earlier one.

    Beside each how far its path is from the user's.
    """
    case = screen.case
    mine = case.paths[screen.k][: screen.steps + 1]
    path = case.run(Alteration(), screen.k, screen.steps)
    seen = {b"" if path is None else path.round(12).tobytes()}
    found, apart = [], []
    for a in known:
        path = case.run(a, screen.k, screen.steps)
        if path is None:
            continue
        mark = path.round(12).tobytes()
        if mark not in seen:
            found.append(a)
            size = float(np.sum((path - mine) ** 2))
            apart.append(size if np.isfinite(size) else np.inf)
        seen.add(mark)
    return found, apart


def _joined(a: Alteration, b: Alteration) -> Alteration:
    # Where eps stands matters less than what else is wrong; a name that says little comes last.
    named = sorted(
        a.named + b.named, key=lambda n: (n.code == "mismatch", n.code.startswith("eps"))
    )
    return Alteration(
        a.on + b.on, {**a.hyper, **b.hyper}, tuple(named), {**a.evidence, **b.evidence}
    )
