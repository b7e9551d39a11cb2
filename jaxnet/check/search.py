"""The search for alterations of a replay that come to the user's gradient."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import jax
import numpy as np

from jaxnet.check.alterations import Alteration, alterations, weighted
from jaxnet.check.alterations.formulas import formulas
from jaxnet.check.alterations.forward import gradient_of, other_forwards
from jaxnet.check.record import TooLong, record
from jaxnet.check.replay import Replay, Rule, altered_gradient, backward
from jaxnet.check.screen import screen
from jaxnet.check.witness import Sample, Subject


def same(a: np.ndarray, b: np.ndarray, close: float) -> bool:
    """Whether two gradients are the same up to `close` times the largest entry."""
    size = max(float(np.abs(b).max(initial=0)), float(np.finfo(float).tiny))
    return bool(np.abs(a - b).max(initial=0) <= close * size)


def common_factor(given: list[np.ndarray], true: list[np.ndarray], close: float) -> float | None:
    """C if the gradients are c times the true ones at all points."""
    a, b = np.concatenate([g.ravel() for g in given]), np.concatenate([t.ravel() for t in true])
    if not b.any():
        return None
    c = float(a @ b / (b @ b))
    whole = all(same(g, c * t, close) for g, t in zip(given, true, strict=True))
    return c if whole else None


def replays_of(s: Subject, samples: list[Sample]) -> list[Replay] | None:
    """The loss replayed at every point, if JAX can trace it."""
    if s.closed is None:
        return None
    try:
        return [_recorded(s, sample) for sample in samples]
    except TooLong:
        return None


def _recorded(s: Subject, sample: Sample) -> Replay:
    leaves = jax.tree.leaves(sample.params)
    return record(s.closed, leaves, len(leaves))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Explained:
    """An alteration and the wrong leaves that it explains, up to a factor."""

    alteration: Alteration
    leaves: tuple[int, ...]
    factor: float


class Search:
    """The search for alterations that come to the user's gradient."""

    def __init__(
        self,
        samples: list[Sample],
        limits: list[float],
        close: float,
        replays: list[Replay],
        wrong: list[int],
        left: list[int],
    ) -> None:
        """Lay out all alterations, and what each changes of the gradient at the first point.

        Args:
            samples: The points.
            limits: The error of each leaf up to which it counts as right.
            close: Relative error up to which a gradient is reproduced.
            replays: The loss at the points.
            wrong: The leaves that are wrong.
            left: Those of them that can be compared.
        """
        self.samples, self.limits, self.close, self.replays = samples, limits, close, replays
        self.candidates = list(alterations(replays[0]))
        right = [k for k in range(len(limits)) if k not in wrong]
        self._right = right
        self._screen = screen(replays[0], [right, *([k] for k in left)])
        self._given = self._screen.along(samples[0].given)
        self._true = self._screen.along(samples[0].true)
        self._effects = self._all_effects({}, range(len(self.candidates)))

    def run(self, rules: Mapping[int, Rule], point: int) -> list[np.ndarray]:
        """The gradient under altered rules, leaf by leaf."""
        with np.errstate(all="ignore"):
            return altered_gradient(self.replays[point], rules)

    def _all_effects(self, base: Mapping[int, Rule], numbers: Iterable[int]) -> np.ndarray:
        """What candidates change on top of other alterations; NaN if they do not fit there."""
        effects = np.full((len(self.candidates), len(self._given)), np.nan)
        with np.errstate(all="ignore"):
            backwards = backward(self.replays[0], base) if base else self.replays[0].base
            own = self._screen.effect(base, self.replays[0].base) if base else 0.0
            for number in numbers:
                rules = self.candidates[number].rules
                if any(i in base for i in rules):
                    continue
                try:
                    if not base or max(rules) < min(base):
                        effects[number] = self._screen.effect(rules, backwards)
                    else:
                        both = {**base, **rules}
                        effects[number] = self._screen.effect(both, self.replays[0].base) - own
                except (ValueError, IndexError, TypeError):
                    continue
        return effects

    def explaining(
        self,
        left: list[int],
        base: Mapping[int, Rule] | None = None,
        *,
        only_here: bool = True,
        whole: bool = False,
    ) -> list[Explained]:
        """The alterations that, on top of others, give the user's gradient in some of the leaves.

        Args:
            left: The leaves that are wrong.
            base: Alterations that are made already.
            only_here: Whether all other leaves must stay as they are.
            whole: Whether all of `left` must be explained.
        """
        base = base or {}
        effects, before = self._effects, self._true
        if base:
            before = self._screen.along(self.run(base, 0))
            effects = self._all_effects(base, self._touching(left, whole))
        found = []
        for number in self._promising(effects, before, left, only_here, whole):
            found += self._explained(self.candidates[number], left, base, only_here, whole)
        if whole:
            found += self._partly(effects, before, left, base)
        return found

    def _touching(self, left: list[int], whole: bool) -> list[int]:
        """The candidates that, on their own, change these leaves."""
        changed = np.abs(self._effects[:, self._of(left)]) > 0
        touching = changed.all(axis=1) if whole else changed.any(axis=1)
        return [int(n) for n in np.flatnonzero(touching)]

    def _apart(self, left: list[int]) -> set[int]:
        """The leaves that must stay as they are."""
        comparable = {k for k, u in enumerate(self._screen.directions) if u.any()}
        return (comparable | set(self._right)) - set(left)

    def _of(self, leaves: Sequence[int]) -> np.ndarray:
        """The directions that have entries in these leaves."""
        groups = {
            int(g)
            for k in leaves
            for g in self._screen.group[np.abs(self._screen.directions[k]).any(axis=1)]
        }
        here: np.ndarray = np.isin(self._screen.group, list(groups))
        return here

    def _tolerance(self, before: np.ndarray) -> np.ndarray:
        """How far the inner products with the directions may be off."""
        size = np.abs(self._given) + np.abs(self._true) + np.abs(before)
        slack = np.zeros(len(size))
        for k, u in enumerate(self._screen.directions):
            slack += self.limits[k] * np.abs(u).sum(axis=1)
        tolerance: np.ndarray = 10 * self.close * size + slack
        return tolerance

    def _promising(
        self,
        effects: np.ndarray,
        before: np.ndarray,
        left: list[int],
        only_here: bool,
        whole: bool,
    ) -> list[int]:
        """The candidates that may explain some of the leaves, as far as the directions tell."""
        here, tolerance = self._of(left), self._tolerance(before)
        fits = np.isfinite(effects).all(axis=1)
        if only_here:
            fits &= (np.abs(effects[:, ~here]) <= tolerance[~here]).all(axis=1)
        some, every = np.zeros(len(effects), bool), np.ones(len(effects), bool)
        for g in np.unique(self._screen.group[here]):
            of = self._screen.group == g
            given, altered = self._given[of], before[of] + effects[:, of]
            with np.errstate(all="ignore"):
                factor = np.nan_to_num(altered @ given / (altered**2).sum(axis=1))
            miss = np.abs(given - factor[:, None] * altered)
            explained = (miss <= tolerance[of] * (1 + np.abs(factor[:, None]))).all(axis=1)
            # Of an altered gradient that is rounding, some multiple makes anything.
            rounding = (np.abs(altered) <= tolerance[of]).all(axis=1)
            explained &= ~rounding | (np.abs(given) <= tolerance[of]).all()
            some |= explained & (effects[:, of] != 0).any(axis=1)
            every &= explained
        return [int(n) for n in np.flatnonzero(fits & (every if whole else some))]

    def _explained(
        self,
        a: Alteration,
        left: list[int],
        base: Mapping[int, Rule],
        only_here: bool,
        whole: bool,
    ) -> list[Explained]:
        """Whether a candidate explains leaves, entry by entry and at all points."""
        samples = self.samples
        before = self.run(base, 0) if base else samples[0].true
        altered = self.run({**base, **a.rules}, 0)
        changed = [
            k
            for k, g in enumerate(altered)
            if not float(np.abs(g - before[k]).max(initial=0)) <= self.limits[k]
        ]
        if only_here and set(changed) & self._apart(left):
            return []
        changed = [k for k in changed if k in left]
        if not changed or (whole and len(changed) < len(left)):
            return []
        factors = {
            k: _factor_of(samples[0].given[k], altered[k], self.close, self.limits[k])
            for k in changed
        }
        known = [(k, c) for k, c in factors.items() if c is not None]
        if not known:
            return []
        factor = next((c for _, c in known if c != ANY), 1.0)
        explained = [k for k, c in known if c == ANY or abs(c / factor - 1) < 1e-3]
        if len(explained) < len(left if whole else changed) and (whole or abs(factor - 1) > 1e-4):
            return []
        if not self._holds({**base, **a.rules}, explained, factor):
            return []
        return [Explained(a, tuple(explained), factor)]

    def _partly(
        self, effects: np.ndarray, before: np.ndarray, left: list[int], base: Mapping[int, Rule]
    ) -> list[Explained]:
        """Paths that the gradient has with another weight than 1."""
        here, tolerance = self._of(left), self._tolerance(before)
        due = (self._given - before)[here]
        found = []
        for number in np.flatnonzero(np.isfinite(effects).all(axis=1)):
            a, change = self.candidates[number], effects[number]
            if not a.path or (np.abs(change[~here]) > tolerance[~here]).any():
                continue
            square = float(change[here] @ change[here])
            lost = float(change[here] @ due) / square if square else 0.0
            if abs(lost) < 1e-6 or abs(lost - 1) < 1e-4:
                continue
            if (np.abs(due - lost * change[here]) <= tolerance[here]).all():
                weight = self._weight(a, 1 - lost, left, base)
                found += self._explained(weighted(a, weight), left, base, True, True)
        return found

    def _weight(
        self, a: Alteration, about: float, left: list[int], base: Mapping[int, Rule]
    ) -> float:
        """The weight of a path, by least squares over all entries."""
        before = self.run(base, 0) if base else self.samples[0].true
        lost = self.run({**base, **a.rules}, 0)
        d = np.concatenate([(lost[k] - before[k]).ravel() for k in left])
        due = [np.ravel(np.asarray(self.samples[0].given[k]) - before[k]) for k in left]
        square = float(d @ d)
        return 1 - float(d @ np.concatenate(due)) / square if square else about

    def formulas(self, left: list[int]) -> list[Explained]:
        """Derivatives of functions that are sums of a few of the usual terms."""
        here, tolerance = self._of(left), self._tolerance(self._true)
        replay = self.replays[0]
        found = []
        for formula in formulas(replay):
            lost = self._screen.effect(formula.rules({}), replay.base)
            due = self._given - self._true - lost
            if not lost.any() or (np.abs(due[~here]) > tolerance[~here]).any():
                continue
            with np.errstate(all="ignore"):
                effects = {
                    said: self._screen.effect(formula.rules({said: 1.0}), replay.base) - lost
                    for said in formula.terms
                }
            effects = {said: e[here] for said, e in effects.items() if np.isfinite(e).all()}
            # As many terms as there are directions fit anything.
            for n in range(1, min(formula.most, int(here.sum()) - 1) + 1):
                for chosen in combinations(effects, n):
                    basis = np.stack([effects[said] for said in chosen], axis=1)
                    c = np.linalg.lstsq(basis, due[here], rcond=1e-10)[0]
                    if (np.abs(basis @ c - due[here]) <= tolerance[here]).all():
                        weights = dict(zip(chosen, map(float, c), strict=True))
                        found += self._explained(formula.altered(weights), left, {}, True, True)
                if found:
                    return found
        return found

    def other_forwards(self, left: list[int]) -> list[Explained]:
        """Losses with another forward pass whose right gradient is the user's."""
        found = []
        for other in other_forwards(self.replays[0]):
            factor: float | None = None
            for replay, sample in zip(self.replays, self.samples, strict=True):
                try:
                    with np.errstate(all="ignore"):
                        altered = gradient_of(replay, other)
                except (ValueError, IndexError, TypeError, FloatingPointError):
                    factor = None
                else:
                    factor = self._common(sample, altered, left, factor)
                if factor is None:
                    break
            if factor is not None:
                does = f"{other.does} of the forward pass that it starts from"
                a = Alteration(other.code, other.where, {}, does, "all of the forward pass", 9)
                found.append(Explained(a, tuple(left), factor))
        return found

    def _common(
        self, sample: Sample, altered: list[np.ndarray], left: list[int], factor: float | None
    ) -> float | None:
        """The factor by which leaves are those of another loss, the same as before if any."""
        factors = [
            _factor_of(sample.given[k], altered[k], self.close, self.limits[k]) for k in left
        ]
        known = [c for c in (*factors, factor) if c is not None and c != ANY] or [1.0]
        if None in factors or max(known) - min(known) > 1e-3 * abs(known[0]):
            return None
        true = [same(altered[k], sample.true[k], 10 * self.close) for k in self._right]
        return known[0] if all(true) else None

    def pairs(self, left: list[int]) -> list[tuple[Explained, Explained]]:
        """Two alterations side by side that together give all of `left`.

        What they change adds up; so pairs are found by the changes alone. Paths may count with
        other weights than 0.
        """
        here, tolerance = self._of(left), self._tolerance(self._true)
        due = (self._given - self._true)[here]
        fits = np.isfinite(self._effects).all(axis=1) & self._effects[:, here].any(axis=1)
        fits[fits] &= (np.abs(self._effects[fits][:, ~here]) <= tolerance[~here]).all(axis=1)
        kept = self._likeliest(np.flatnonzero(fits))
        if len(kept) < 2:
            return []
        a = self._effects[kept][:, here]
        i, j = np.nonzero(np.abs(a[:, None, 0] + a[None, :, 0] - due[0]) <= tolerance[here][0])
        i, j = i[i < j], j[i < j]
        fit = (np.abs(a[i] + a[j] - due) <= tolerance[here]).all(axis=1)
        pairs = []
        for m, n in zip(i[fit][:200], j[fit][:200], strict=True):
            pairs += self._pair(self.candidates[kept[m]], self.candidates[kept[n]], left)
        return pairs or self._weighted_pairs(kept, due, here, tolerance[here], left)

    def _weighted_pairs(
        self,
        kept: list[int],
        due: np.ndarray,
        here: np.ndarray,
        tolerance: np.ndarray,
        left: list[int],
    ) -> list[tuple[Explained, Explained]]:
        """Two paths with weights of their own: due = c a + d b by least squares."""
        kept = [n for n in kept if self.candidates[n].path][:800]
        if len(kept) < 2 or len(due) < 3:
            return []
        a = self._effects[kept][:, here]
        gram, along = a @ a.T, a @ due
        squares = np.diag(gram)
        with np.errstate(all="ignore"):
            determinant = squares[:, None] * squares[None, :] - gram**2
            c = (along[:, None] * squares[None, :] - along[None, :] * gram) / determinant
            explained = c * along[:, None] + c.T * along[None, :]
            fits = np.nan_to_num(np.abs(due @ due - explained)) <= 1e-8 * (due @ due)
            fits &= determinant > 1e-9 * squares[:, None] * squares[None, :]
        pairs = []
        for m, n in np.argwhere(np.triu(fits, 1))[:200]:
            lost = c[m, n], c[n, m]
            if np.abs(lost[0] * a[m] + lost[1] * a[n] - due).max() > tolerance.max():
                continue
            both = [
                candidate if abs(x - 1) < 1e-4 else weighted(candidate, _rounded(1 - x))
                for candidate, x in zip(
                    (self.candidates[kept[m]], self.candidates[kept[n]]), lost, strict=True
                )
            ]
            pairs += self._pair(both[0], both[1], left)
        return pairs

    def _pair(
        self, first: Alteration, second: Alteration, left: list[int]
    ) -> list[tuple[Explained, Explained]]:
        rules = {**first.rules, **second.rules}
        if set(first.rules) & set(second.rules) or not self._holds(rules, left, 1.0):
            return []
        return [(Explained(first, tuple(left), 1.0), Explained(second, tuple(left), 1.0))]

    def _likeliest(self, numbers: np.ndarray) -> list[int]:
        """Of candidates that change the same, the likeliest; at most 3000 of them."""
        best: dict[tuple[str, ...], int] = {}
        for n in sorted(numbers.tolist(), key=lambda n: self.candidates[n].rank):
            x = self._effects[n]
            best.setdefault((f"{x.sum():.6e}", f"{np.abs(x).max():.6e}"), n)
        return list(best.values())[:3000]

    def _holds(self, rules: Mapping[int, Rule], leaves: list[int], factor: float) -> bool:
        """Whether an alteration reproduces the leaves at all points."""
        for i, sample in enumerate(self.samples):
            altered = self.run(rules, i)
            for k in leaves:
                given = np.asarray(sample.given[k])
                off = np.abs(given - factor * altered[k]).max(initial=0)
                if not (same(given, factor * altered[k], self.close) or off <= self.limits[k]):
                    return False
        return True


def _rounded(weight: float) -> float:
    """A weight without the noise of its estimate."""
    return float(f"{weight:.6g}")


ANY = 0.0
"""The factor between two gradients that are both 0, up to rounding."""


def _factor_of(given: Any, altered: np.ndarray, close: float, zero: float) -> float | None:
    """C if a leaf's gradient is c times the altered one; numbers up to `zero` are rounding."""
    if given is None or given.shape != altered.shape or not np.isfinite(altered).all():
        return None
    if np.abs(altered).max(initial=0) <= zero:
        return ANY if np.abs(given).max(initial=0) <= zero else None
    return common_factor([given], [altered], close) or None
