"""What a search works on: the user's path, the altered rule's, and whether they are the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.rules.alteration import Equations, Options, run
from jaxnet.check.rules.comparison import by_leaf, gap
from jaxnet.check.rules.equations import EQUATIONS
from jaxnet.check.rules.named import Named
from jaxnet.check.rules.problems import Problem
from jaxnet.check.rules.reference import Reference


class Alteration(NamedTuple):
    """One thing else than due: alterations that are on, and hyperparameters of another value.

    With `rule` it is another rule altogether, and `hyper` are its hyperparameters.
    """

    on: tuple[str, ...] = ()
    hyper: Mapping[str, Any] = {}
    named: tuple[Named, ...] = ()
    evidence: Mapping[str, float] = {}
    rule: str = ""


class Case(NamedTuple):
    """What the search works on.

    Attributes:
        reference: The rule that is due.
        equations: The same as equations.
        problems: All problems.
        paths: The user's path on each.
        due: The path that is due on each.
        leaves: The names of the leaves.
        sizes: Entries of each leaf.
        tolerance: See `comparison.gap`.
        unit: See `comparison.gap`.
        base: What is on besides every alteration: a dialect of the rule.
    """

    reference: Reference
    equations: Equations
    problems: list[Problem]
    paths: list[np.ndarray]
    due: list[np.ndarray]
    leaves: list[str]
    sizes: list[int]
    tolerance: float
    unit: float
    base: Alteration = Alteration()

    def run(self, a: Alteration, k: int, steps: int | None = None) -> np.ndarray | None:
        """The path of the altered rule on problem k; None if it cannot be run."""
        return self.tried(a, self.problems[k] if steps is None else self.problems[k].cut(steps))

    def tried(self, a: Alteration, problem: Problem) -> np.ndarray | None:
        """The path of the altered rule on a problem; None if it cannot be run."""
        try:
            equations = EQUATIONS[a.rule] if a.rule else self.equations
            return run(equations, self.options(a), problem)
        except (ValueError, ArithmeticError, TypeError, KeyError, np.linalg.LinAlgError):
            return None

    def options(self, a: Alteration, remember: bool = False) -> Options:
        """The options of an alteration."""
        hyper = {**self.reference.hyper, **self.base.hyper, **a.hyper}
        on = frozenset((*self.base.on, *a.on))
        if a.rule:
            hyper, on = dict(a.hyper), frozenset(a.on)
        rate = hyper.get("learning_rate")
        if callable(rate):
            hyper["lr_at"] = lambda t, rate=rate: np.float64(rate(np.int32(t - 1)))
            hyper["learning_rate"] = 1.0
        return Options(hyper, on, remember)

    def wrong_leaves(self, k: int, path: np.ndarray | None, steps: int | None = None) -> np.ndarray:
        """For every leaf, whether the user's path on problem k is another than this one."""
        if path is None:
            return np.ones(len(self.sizes), bool)
        mine = self.paths[k] if steps is None else self.paths[k][: steps + 1]
        return by_leaf(gap(mine, path, self.tolerance, self.unit).wrong, self.sizes)


@dataclass(frozen=True, eq=False)
class Screen:
    """Whether an alteration goes the user's path: first on a few steps, then everywhere.

    Attributes:
        case: What the search works on.
        k: The problem that is looked at first.
        first: The first step of it that is wrong.
        steps: How many steps of it are made.
        wrong: For every leaf, whether it is wrong on any problem.
    """

    case: Case
    k: int
    first: int
    steps: int
    wrong: np.ndarray

    @property
    def leaves(self) -> list[int]:
        """The numbers of the leaves that an alteration concerns if it goes the user's path."""
        return np.flatnonzero(self.wrong).tolist()

    @cached_property
    def on_k(self) -> np.ndarray:
        """For every leaf, whether it is wrong on problem k."""
        return self.case.wrong_leaves(self.k, self.case.due[self.k])

    @cached_property
    def small(self) -> list[tuple[Problem, np.ndarray]]:
        """Problem k on its smallest leaf that is wrong, up to some steps, and the user's path."""
        case, k = self.case, self.k
        if case.equations.tree:
            return []
        i = min(np.flatnonzero(self.on_k).tolist(), key=lambda leaf: case.sizes[leaf])
        start = sum(case.sizes[:i])
        part = case.paths[k][:, start : start + case.sizes[i]]
        lengths = sorted({self.first, self.steps} - {0})
        return [(case.problems[k].cut(n).leaf(i), part[: n + 1]) for n in lengths]

    def unlike(self, a: Alteration) -> bool:
        """Whether it parts from the user's path on one leaf, which is soon seen."""
        tree = a.rule and EQUATIONS[a.rule].tree
        whole = any(name.startswith("clip_norm") for name in a.hyper)
        if tree or whole or any(name.startswith("share") for name in a.on):
            return False
        for problem, part in self.small:
            path = self.case.tried(a, problem)
            if path is None or _far(part, path):
                return True
            if gap(part, path, self.case.tolerance, self.case.unit).any:
                return True
        return False

    def __call__(self, a: Alteration) -> bool:
        """Whether it goes the user's path on all problems."""
        case, k = self.case, self.k
        if self.unlike(a):
            return False
        path = case.run(a, k, self.steps)
        if (case.wrong_leaves(k, path, self.steps) & self.on_k).any():
            return False
        off = np.zeros(len(case.sizes), bool)
        for j in range(len(case.problems)):
            off |= case.wrong_leaves(j, case.run(a, j))
            # A leaf that does not follow the alteration must be right as it is.
            if (off & self.wrong).any():
                return False
        return True


def _far(path: np.ndarray, due: np.ndarray) -> bool:
    """Whether two paths end so far apart that no tolerance matters; quicker than `gap`."""
    apart = np.abs(path[-1] - due[-1]).max()
    return bool(apart > 0.1 * np.abs(due[1:] - due[:-1]).sum(axis=0).max())
