"""Numbers that are fitted to the user's path: lengths, weights, decays, bounds."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.rules.case import Alteration, Case, Screen
from jaxnet.check.rules.catalogue import named_alteration
from jaxnet.check.rules.named import Named
from jaxnet.check.rules.singles import is_decay
from jaxnet.check.rules.values import named_value


def scaled(case: Case, screen: Screen, alterations: list[Alteration]) -> Iterator[Alteration]:
    """Alterations whose step is as long as the user's first one."""
    k = screen.k
    mine = np.diff(case.paths[k][: screen.steps + 1], axis=0)
    for a in alterations:
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
    rate = hyper.get("learning_rate")
    rated = f", as with learning_rate = {rate * c:.6g}" if isinstance(rate, float) and c > 0 else ""
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
                return f", which is {words}{rated.replace(', as', ', and')}"
    return rated


def decays(case: Case, k: int) -> Iterator[Alteration]:
    """A weight decay where none is due."""
    if case.equations.decay and case.reference.hyper.get(case.equations.decay_name):
        return
    rate = case.reference.hyper.get("learning_rate", 1.0)
    rate = rate(0) if callable(rate) else rate
    x, mine, due = case.due[k][0], case.paths[k][1], case.due[k][1]
    fitted = float(-(mine - due) @ x / (x @ x) / (rate or 1.0))
    if not np.isfinite(fitted):
        return
    for kind, where in (
        ("coupled", "The weights decay by a term wd x in the gradient"),
        ("decoupled", "The weights decay beside the step, by lr wd x"),
    ):
        closest = _closest(case, k, 4, f"decay_extra_{kind}", np.logspace(-5, 0, 11))
        for c in (fitted, closest, 1e-4, 1e-3, 1e-2, 0.1, 5e-4, 5e-3, 0.05):
            named = Named(
                f"{kind}_weight_decay",
                f"{where}, with wd = {c:.6g}. The rule that is due has no weight decay.",
                "Leave the decay out, or compare with a rule that has one, such as adamw.",
            )
            yield Alteration((), {f"decay_extra_{kind}": c}, (named,), {"weight_decay": c})


def moved_decays(case: Case) -> Iterator[Alteration]:
    """The weight decay elsewhere, for rules that are not written as equations."""
    name = next((k for k in case.reference.floats if k.startswith("weight_decay")), "")
    rate = case.reference.floats.get("learning_rate", 0.0)
    if case.equations.decay or not name or not rate:
        return
    wd = case.reference.floats[name]
    for kind, hyper in (
        ("coupled", {"decay_extra_coupled": wd}),
        ("decoupled", {"decay_extra_decoupled": wd}),
        ("unscaled", {"decay_extra_decoupled": wd / rate}),
        ("grows", {"decay_extra_decoupled": -wd}),
        ("absent", {}),
    ):
        named = named_alteration(f"decay_{kind}", case.reference.entry.name)
        yield Alteration((), {name: 0.0, **hyper}, (named,), {"weight_decay": wd})


class _Knob(NamedTuple):
    """A number of the rule: what it is called, where to look for it, and what it means."""

    name: str
    grid: Any
    named: Callable[[float], Named]


def fitted(case: Case, screen: Screen, names: list[str]) -> Iterator[Alteration]:
    """One number of the rule, with the value that comes closest to the user's path.

    Args:
        case: What the search works on.
        screen: Which problem and how many steps of it to look at.
        names: The alterations that the rule has.
    """
    for knob in _knobs(case, names):
        c = _closest(case, screen.k, screen.steps, knob.name, knob.grid)
        if np.isfinite(c):
            # Most numbers that people write have few digits.
            for value in dict.fromkeys((float(f"{c:.6g}"), c)):
                evidence = {knob.name.replace(":", "_"): value}
                yield Alteration((), {knob.name: value}, (knob.named(value),), evidence)


def _knobs(case: Case, names: list[str]) -> Iterator[_Knob]:
    rule = case.reference.entry.name
    for kind, of in (
        ("clip_value", "every entry"),
        ("clip_leaf_norm", "the norm of every leaf"),
        ("clip_norm", "the norm of all leaves together"),
        ("clip_norm_eps", "the norm of all leaves together"),
    ):
        yield _Knob(kind, np.logspace(-3, 2, 11), _clipped(of))
    if "dampened" in names:
        yield _Knob("taken_later", _WEIGHTS, _dampened)
    for name in names:
        kind, _, part = name.partition(":")
        if kind == "undamped":
            yield _Knob(f"weight:{part}", _WEIGHTS, _weighted(part, rule))
    for name, value in case.reference.hyper.items():
        if isinstance(value, float) and name != "learning_rate":
            grid = np.array([0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999])
            if not is_decay(name):
                size = abs(value) or 1e-3
                grid = (
                    size * np.logspace(-6, 6, 13)
                    if name.startswith("eps")
                    else (size * np.array([-2.0, -0.5, 0.05, 0.3, 0.7, 1.5, 3.0, 8.0, 30.0]))
                )

            def named(c: float, name: str = name, value: float = value) -> Named:
                return named_value(case, name, value, c)

            yield _Knob(name, grid, named)


_WEIGHTS = np.array([-1.0, 0.001, 0.02, 0.1, 0.3, 0.6, 0.9, 1.5, 4.0])


def _clipped(of: str) -> Callable[[float], Named]:
    def named(c: float) -> Named:
        return Named(
            "mismatch",
            f"The gradients are clipped before the step: {of} is at most {c:.6g}. The rule takes "
            "them as they are.",
            "Leave the clipping out for the comparison, or put it around the rule, not into it.",
        )

    return named


def _dampened(c: float) -> Named:
    return Named(
        "dampening" if c > 0 else "momentum_sign",
        f"From the second step on the velocity takes {c:.6g} g, a dampening of {1 - c:.6g} as "
        "torch.optim.SGD counts it. It takes the whole of g.",
        "Set the dampening to 0.",
    )


def _weighted(part: str, rule: str) -> Callable[[float], Named]:
    def named(c: float) -> Named:
        code = named_alteration(f"undamped:{part}", rule).code
        return Named(
            code if c > 0 else "momentum_sign",
            f"The average {part} takes {c:.6g} times the new value. It takes one minus its decay.",
            "Multiply the new value by one minus the decay.",
        )

    return named


def _closest(case: Case, k: int, steps: int, name: str, grid: Any) -> float:
    """The value of a number whose path is the closest to the user's: the best of some, then Newton.

    nan if no value comes close.
    """
    mine = case.paths[k][: steps + 1]

    def apart(c: float) -> np.ndarray:
        path = case.run(Alteration((), {name: float(c)}), k, steps)
        return np.full_like(mine, np.inf) if path is None else path - mine

    def size(c: float) -> float:
        total = float(np.sum(apart(c) ** 2))
        return total if np.isfinite(total) else np.inf

    with np.errstate(all="ignore"):
        c = float(min(grid, key=size))
        first = size(c)
        for i in range(12):
            here = apart(c)
            slope = (apart(c * (1 + 1e-6)) - here) / (1e-6 * c)
            change = float((here * slope).sum() / (slope * slope).sum())
            c = c - change
            if not np.isfinite(c) or (i == 5 and size(c) > 1e-2 * first):
                return float("nan")
            if abs(change) < 1e-14 * abs(c):
                break
    return c
