"""The search for the alteration of a rule that goes the same path as the user's."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.rules.alteration import Equations, Options, run
from jaxnet.check.rules.catalogue import Named, named_alteration, rank
from jaxnet.check.rules.comparison import by_leaf, gap
from jaxnet.check.rules.dialects import DIALECTS, Dialect
from jaxnet.check.rules.equations import EQUATIONS
from jaxnet.check.rules.other_rules import other_rules
from jaxnet.check.rules.problems import Problem
from jaxnet.check.rules.reference import Reference

PATIENCE = 2.5
"""Seconds of computing that a search may take."""


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
        hyper = dict(a.hyper) if a.rule else {**self.reference.hyper, **a.hyper}
        rate = hyper.get("learning_rate")
        if callable(rate):
            hyper["lr_at"] = lambda t, rate=rate: np.float64(rate(np.int32(t - 1)))
            hyper["learning_rate"] = 1.0
        return Options(hyper, frozenset(a.on), remember)

    def wrong_leaves(self, k: int, path: np.ndarray | None, steps: int | None = None) -> np.ndarray:
        """For every leaf, whether the user's path on problem k is another than this one."""
        if path is None:
            return np.ones(len(self.sizes), bool)
        mine = self.paths[k] if steps is None else self.paths[k][: steps + 1]
        return by_leaf(gap(mine, path, self.tolerance, self.unit).wrong, self.sizes)


def dialect(case: Case) -> Dialect | None:
    """The dialect of another library that goes the user's path everywhere."""
    for d in DIALECTS.get(case.reference.entry.name, ()):
        if set(d.hyper) & set(case.reference.given):
            continue
        a = Alteration(d.on, d.hyper)
        if all(not case.wrong_leaves(k, case.run(a, k)).any() for k in range(len(case.problems))):
            return d
    return None


def search(
    case: Case, tell: Callable[[str], None], small: bool
) -> tuple[Alteration, list[int]] | None:
    """The alteration, or two, that goes the user's path, and the leaves that it concerns.

    A path that parts by no more than a factor in float32 does (`small`) gets no fits and no pairs:
    two alterations can undo one another but for so little.
    """
    stop = time.process_time() + PATIENCE
    wrong = [case.wrong_leaves(k, case.due[k]) for k in range(len(case.problems))]
    k = next(i for i, w in enumerate(wrong) if w.any())
    first = gap(case.paths[k], case.due[k], case.tolerance, case.unit).wrong.any(axis=1).argmax()
    steps = min(len(case.problems[k].grads), int(first) + 4)
    screen = _Screen(case, k, int(first), steps, np.any(wrong, axis=0))
    singles = list(_singles(case))
    for a in singles:
        if screen(a):
            return a, screen.leaves
    if not small:
        tell("fitting the length of the step")
        # A step that goes the wrong way and is fitted would be the right one.
        others = [a for a in singles if a.named[0].code != "sign"]
        for a in _scaled(case, screen, [Alteration(), *others]):
            if screen(a):
                return a, screen.leaves
    for a in chain(_other_values(case), _decays(case, k)):
        if screen(a):
            return a, screen.leaves
    if small:
        return None
    tell("comparing with other rules")
    # Some of other libraries keep a factor in float32, whatever the parameters are.
    case = case._replace(tolerance=max(case.tolerance, 1e-6))
    whole = _Screen(case, k, int(first), steps, np.any(wrong, axis=0))
    for other in other_rules(case.reference):
        a = Alteration(other.on, other.hyper, (other.named,), {}, other.rule)
        if whole(a):
            return a, whole.leaves
    tell("trying two alterations at a time")
    return _pair(screen, singles, stop)


def _pair(
    screen: "_Screen", singles: list[Alteration], stop: float
) -> tuple[Alteration, list[int]] | None:
    """Two alterations at a time, the likely first, until the process has computed to `stop`."""
    plain = [a for a in singles if a.on]
    swaps = [a for a in (*singles, *_other_values(screen.case)) if a.hyper]
    pairs = sorted(combinations(range(len(plain)), 2), key=sum)
    for a, b in chain(
        ((plain[i], plain[j]) for i, j in pairs), ((a, b) for b in swaps for a in plain)
    ):
        if time.process_time() > stop:
            return None
        both = _joined(a, b)
        if screen(both):
            return both, screen.leaves
    return None


def _joined(a: Alteration, b: Alteration) -> Alteration:
    # Where eps stands matters less than what else is wrong; a name that says little comes last.
    named = sorted(
        a.named + b.named, key=lambda n: (n.code == "mismatch", n.code.startswith("eps"))
    )
    return Alteration(
        a.on + b.on, {**a.hyper, **b.hyper}, tuple(named), {**a.evidence, **b.evidence}
    )


class _Screen:
    """Whether an alteration goes the user's path: first on a few steps, then everywhere."""

    def __init__(self, case: Case, k: int, wrong_step: int, steps: int, wrong: np.ndarray) -> None:
        self.case, self.k, self.steps, self.wrong = case, k, steps, wrong
        self.leaves: list[int] = []
        self.on_k = case.wrong_leaves(k, case.due[k])
        i = min(map(int, np.flatnonzero(self.on_k)), key=lambda leaf: case.sizes[leaf])
        first = sum(case.sizes[:i])
        part = case.paths[k][:, first : first + case.sizes[i]]
        lengths = sorted({min(wrong_step, steps), steps} - {0})
        self.small = [
            (case.problems[k].cut(n).leaf(i), part[: n + 1])
            for n in lengths
            if not case.equations.tree
        ]

    def unlike(self, a: Alteration) -> bool:
        """Whether it parts from the user's path on one leaf, which is soon seen."""
        tree = a.rule and EQUATIONS[a.rule].tree
        if tree or any(name.startswith("share") for name in a.on):
            return False
        for problem, part in self.small:
            path = self.case.tried(a, problem)
            if path is None or gap(part, path, self.case.tolerance, self.case.unit).any:
                return True
        return False

    def __call__(self, a: Alteration) -> bool:
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
        self.leaves = [i for i in range(len(case.sizes)) if self.wrong[i]]
        return True


def _singles(case: Case) -> Iterator[Alteration]:
    """All alterations that the equations know, the likely first."""
    rule = case.reference.entry.name
    options = case.options(Alteration(), remember=True)
    # Some are asked only where a gradient or a leaf is 0.
    for problem in case.problems:
        run(case.equations, options, problem.cut(6))
    asked = dict(options.asked or {})
    # Some are asked only where another is on, and parts of a state are known once it is run.
    for part in _parts(case):
        asked |= {f"reset:{part}": None, f"share:{part}": None}
    names = sorted(asked, key=rank)
    for name in names:
        yield Alteration((name,), {}, (named_alteration(name, rule),))
        if (
            rank(name)
            <= rank("betas_swapped")
            < rank(names[min(names.index(name) + 1, len(names) - 1)])
        ):
            yield from _swaps(case)
    if not any(rank(name) > rank("betas_swapped") for name in names):
        yield from _swaps(case)


def _parts(case: Case) -> list[str]:
    """The names of what the state holds."""
    o = case.options(Alteration())
    kept: list[dict[str, Any]] = []
    step = case.equations.step

    def watched(g: Any, x: Any, s: Any, *rest: Any) -> Any:
        kept.append(s)
        return step(g, x, s, *rest)

    equations = Equations(
        watched, case.equations.tree, case.equations.decay, case.equations.decay_name
    )
    run(equations, o, case.problems[0].cut(2))
    return list(dict.fromkeys(name for s in kept for name in s))


def _swaps(case: Case) -> Iterator[Alteration]:
    """Two decays exchanged, or the weights of one."""
    hyper = case.reference.hyper
    named = named_alteration("betas_swapped", case.reference.entry.name)
    decays = [k for k, v in hyper.items() if isinstance(v, float) and 0 < v < 1 and _is_decay(k)]
    for a, b in combinations(decays, 2):
        if hyper[a] != hyper[b]:
            told = named
            if {a, b} != {"b1", "b2"}:
                told = Named(named.code, f"{a} and {b} are exchanged.", named.fix)
            yield Alteration((), {a: hyper[b], b: hyper[a]}, (told,), {a: hyper[b], b: hyper[a]})
    for a in decays:
        if hyper[a] == 0.5:
            continue
        message = (
            f"The weights of the average are exchanged: {a} multiplies the new value and "
            f"1 - {a} the old one. The decay belongs to the old one."
        )
        yield Alteration(
            (),
            {a: 1 - hyper[a]},
            (Named("betas_swapped", message, "Exchange the two weights."),),
            {a: 1 - hyper[a]},
        )
    betas = hyper.get("betas")
    if isinstance(betas, tuple) and betas[0] != betas[1]:
        yield Alteration((), {"betas": betas[::-1]}, (named,))


def _is_decay(name: str) -> bool:
    return name in ("b1", "b2", "b3", "beta", "rho", "decay", "momentum", "adam_b1", "adam_b2")


def _scaled(case: Case, screen: _Screen, singles: list[Alteration]) -> Iterator[Alteration]:
    """Alterations whose step is as long as the user's first one."""
    k = screen.k
    mine = np.diff(case.paths[k][: screen.steps + 1], axis=0)
    for a in singles:
        path = case.run(a, k, screen.steps)
        if path is None:
            continue
        c = _factor(mine, np.diff(path, axis=0))
        if c is None or abs(c - 1) < 1e-6:
            continue
        named = Named(
            "scale" if c > 0 else "sign",
            f"The step is {c:.6g} times as long as due{_known(case, c)}. The rule's own length is "
            "lr times its direction.",
            f"Divide the step by {c:.6g}.",
        )
        evidence = {"factor": c}
        # A sign is worse than what stands beside it, a length is not.
        told = (*a.named, named) if c > 0 else (named, *a.named)
        yield Alteration(a.on, {**a.hyper, "factor": c}, told, evidence)
        rate = case.reference.hyper.get("learning_rate")
        if isinstance(rate, float) and c > 0:
            yield Alteration(
                a.on, {**a.hyper, "learning_rate": rate * c}, (*a.named, named), evidence
            )


def _factor(mine: np.ndarray, due: np.ndarray) -> float | None:
    """The one factor between the first moves, or None."""
    with np.errstate(all="ignore"):
        for m, d in zip(mine, due, strict=True):
            if np.isfinite(m).all() and np.isfinite(d).all() and (d != 0).any():
                some = np.abs(d) > 0.1 * np.abs(d).max()
                ratios = m[some] / d[some]
                c = float(np.median(ratios))
                return c if c != 0 and np.allclose(ratios, c, rtol=1e-3) else None
    return None


def _known(case: Case, c: float) -> str:
    """Where a factor may come from."""
    hyper = case.reference.hyper
    for name, value in hyper.items():
        if not isinstance(value, float) or value in (0.0, 1.0):
            continue
        for words, number in (
            (name, value),
            (f"1 / {name}", 1 / value),
            (f"1 - {name}", 1 - value),
            (f"1 / (1 - {name})", 1 / (1 - value)),
            (f"1 + {name}", 1 + value),
        ):
            if abs(c / number - 1) < 1e-5:
                return f", which is {words}"
    return ""


def _other_values(case: Case) -> Iterator[Alteration]:
    """One hyperparameter of another value."""
    for name, value in case.reference.hyper.items():
        for other in _candidates(name, value):
            yield Alteration(
                (), {name: other}, (_named_value(name, value, other),), _number(name, other)
            )


def _decays(case: Case, k: int) -> Iterator[Alteration]:
    """A weight decay where none is due."""
    if case.equations.decay and case.reference.hyper.get(case.equations.decay_name):
        return
    rate = case.reference.hyper.get("learning_rate", 1.0)
    rate = rate(0) if callable(rate) else rate
    x, mine, due = case.due[k][0], case.paths[k][1], case.due[k][1]
    fitted = float(-(mine - due) @ x / (x @ x) / (rate or 1.0))
    if not np.isfinite(fitted):
        return
    for kind in ("coupled", "decoupled"):
        closest = _closest_decay(case, f"decay_extra_{kind}", k)
        for c in (fitted, closest, 1e-4, 1e-3, 1e-2, 0.1, 5e-4, 5e-3, 0.05):
            where = {
                "coupled": "The weights decay by a term wd x in the gradient",
                "decoupled": "The weights decay beside the step, by lr wd x",
            }[kind]
            named = Named(
                f"{kind}_weight_decay",
                f"{where}, with wd = {c:.6g}. The rule that is due has no weight decay.",
                "Leave the decay out, or compare with a rule that has one, such as adamw.",
            )
            yield Alteration((), {f"decay_extra_{kind}": c}, (named,), {"weight_decay": c})


def _closest_decay(case: Case, name: str, k: int) -> float:
    """The coefficient whose path is the closest to the user's: the best of some, then Newton."""
    steps = 4
    mine = case.paths[k][: steps + 1]

    def apart(c: float) -> np.ndarray:
        path = case.run(Alteration((), {name: c}), k, steps)
        return np.full_like(mine, np.inf) if path is None else path - mine

    c = min(np.logspace(-5, 0, 11), key=lambda c: float(np.sum(apart(c) ** 2)))
    with np.errstate(all="ignore"):
        for _ in range(12):
            here = apart(c)
            slope = (apart(c * (1 + 1e-6)) - here) / (1e-6 * c)
            c = c - float((here * slope).sum() / (slope * slope).sum())
    return float(c)


def _number(name: str, value: Any) -> dict[str, float]:
    return {name: float(value)} if isinstance(value, int | float) else {}


def _candidates(name: str, value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if name == "max_of":
        return []
    if not isinstance(value, float) or name == "learning_rate":
        return []
    if _is_decay(name):
        found = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, value**0.5, value**2]
    elif name.startswith("eps"):
        found = [value * 10.0**k for k in range(-8, 9) if k]
        found += [0.0, value**0.5, value**2, 1e-8, 1e-7, 1e-6, 1e-5, 1e-10, 1e-12, 1e-3, 1e-15]
    elif name.startswith("initial"):
        found = [0.0, 1.0, 0.1, 0.01, 1e-3, 1e-6, 1e-7, 1e-8, 1e-10]
    else:
        found = [0.0, 1.0, -value]
        found += [value * k for k in (2, 0.5, 10, 0.1, 100, 0.01, 3, 1 / 3, 4, 0.25, 5, 0.2)]
    return [v for v in dict.fromkeys(found) if v != value]


def _named_value(name: str, value: Any, other: Any) -> Named:
    code = "mismatch"
    if name.startswith("initial"):
        code = "initial_accumulator"
    elif name in ("trust_coefficient", "max_learning_rate", "scaling"):
        code = "scale"
    elif name == "nesterov":
        code = "nesterov_point"
    elif name.startswith("bias_correction"):
        code = "no_bias_correction"
    elif name == "eps_in_sqrt":
        code = "eps_outside_sqrt" if value else "eps_inside_sqrt"
    elif name.startswith("eps") and other == 0:
        code = "eps_placement"
    said = f"{other:.6g}" if isinstance(other, float) else repr(other)
    due = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return Named(
        code,
        f"The rule is the one that is due with {name} = {said}. It should be {due}.",
        f"Set {name} to {due}, or pass {name}={said} if that is meant.",
    )
