"""The search for alterations of a replay that come to the user's gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxnet.check.alterations import Alteration, alterations
from jaxnet.check.replay import Replay, Rule, TooLong, altered_gradient, record
from jaxnet.check.witness import Sample, Subject, is_float


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


def moving_leaves(sample: Sample) -> list[int]:
    """The places of the leaves of floating-point numbers among all leaves."""
    return [j for j, leaf in enumerate(jax.tree.leaves(sample.params)) if is_float(leaf)]


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
        self, samples: list[Sample], limits: list[float], close: float, replays: list[Replay]
    ) -> None:
        """Lay out all alterations, and what each makes of the gradient at the first point."""
        self.samples, self.limits, self.close, self.replays = samples, limits, close, replays
        self.candidates = list(alterations(replays[0]))
        self._moving = moving_leaves(samples[0])
        self._first: dict[int, list[np.ndarray] | None] = {}

    def run(self, rules: Mapping[int, Rule], point: int) -> list[np.ndarray]:
        """The gradient under altered rules, leaf by leaf."""
        with np.errstate(all="ignore"):
            leaves = altered_gradient(self.replays[point], rules)
        return [leaves[j] for j in self._moving]

    def _at_first_point(self, number: int, base: Mapping[int, Rule]) -> list[np.ndarray] | None:
        """The gradient under a candidate; None if it does not fit the shapes of its place."""
        if base or number not in self._first:
            try:
                leaves = self.run({**base, **self.candidates[number].rules}, 0)
            except (ValueError, IndexError, TypeError, NotImplementedError):
                leaves = None
            if base:
                return leaves
            self._first[number] = leaves
        return self._first[number]

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
        samples = self.samples
        before = self.run(base, 0) if base else samples[0].true
        found = []
        for number, a in enumerate(self.candidates):
            if any(i in base for i in a.rules):
                continue
            altered = self._at_first_point(number, base)
            if altered is None:
                continue
            changed = [
                k
                for k, g in enumerate(altered)
                if float(np.abs(g - before[k]).max(initial=0)) > self.limits[k]
            ]
            if only_here and not set(changed) <= set(left):
                continue
            changed = [k for k in changed if k in left]
            if not changed or (whole and len(changed) < len(left)):
                continue
            factors = {k: _factor_of(samples[0].given[k], altered[k], self.close) for k in changed}
            known = [(k, c) for k, c in factors.items() if c]
            if not known:
                continue
            factor = known[0][1]
            explained = [k for k, c in known if abs(c / factor - 1) < 1e-3]
            if len(explained) < len(left if whole else changed) and (
                whole or abs(factor - 1) > 1e-4
            ):
                continue
            if self._holds({**base, **a.rules}, explained, factor):
                found.append(Explained(a, tuple(explained), factor))
        return found

    def pairs(self, left: list[int]) -> list[tuple[Explained, Explained]]:
        """Two alterations side by side that together give all of `left`.

        What they make of the gradient adds up; so pairs are found by the changes alone.
        """
        numbers = [n for n, leaves in self._first.items() if leaves is not None]
        true, given = self.samples[0].true, self.samples[0].given
        right = [k for k in range(len(true)) if k not in left]

        def flat(leaves: Sequence[Any], chosen: list[int]) -> np.ndarray:
            return np.concatenate([np.zeros(0), *(np.ravel(leaves[k] - true[k]) for k in chosen)])

        due = flat(given, left)
        if not due.size:
            return []
        changes, kept = [], []
        for n in numbers:
            leaves = self._first[n] or []
            change = flat(leaves, left)
            stray = flat(leaves, right)
            if np.isfinite(change).all() and change.any() and not _large(stray, due):
                changes.append(change)
                kept.append(n)
        if len(kept) < 2:
            return []
        a = np.stack(changes)
        gram, along = a @ a.T, a @ due
        squares = np.diag(gram)
        miss = (due @ due) + squares[:, None] + squares[None, :] + 2 * gram
        miss -= 2 * (along[:, None] + along[None, :])
        order = np.argwhere((miss <= 1e-9 * (due @ due)) & np.triu(np.ones_like(miss, bool), 1))
        pairs = []
        for i, j in order[:200]:
            first, second = (self.candidates[kept[m]] for m in (i, j))
            rules = {**first.rules, **second.rules}
            fits = not set(first.rules) & set(second.rules)
            if fits and self._holds(rules, left, 1.0):
                pairs.append(
                    (Explained(first, tuple(left), 1.0), Explained(second, tuple(left), 1.0))
                )
        return pairs

    def _holds(self, rules: Mapping[int, Rule], leaves: list[int], factor: float) -> bool:
        """Whether an alteration reproduces the leaves at the other points too."""
        for i, sample in enumerate(self.samples[1:], start=1):
            altered = self.run(rules, i)
            for k in leaves:
                if not same(np.asarray(sample.given[k]), factor * altered[k], self.close):
                    return False
        return True


def _large(stray: np.ndarray, due: np.ndarray) -> bool:
    """Whether an alteration changes leaves that are right."""
    return bool(np.abs(stray).max(initial=0) > 1e-6 * np.abs(due).max())


def _factor_of(given: Any, altered: np.ndarray, close: float) -> float | None:
    if given is None or given.shape != altered.shape or not np.isfinite(altered).all():
        return None
    if not altered.any():
        return 1.0 if not given.any() else None
    return common_factor([given], [altered], close)
