"""The alterations that a rule's equations know, the likely first."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from jaxnet.check.rules.alteration import Equations, run
from jaxnet.check.rules.case import Alteration, Case
from jaxnet.check.rules.catalogue import named_alteration, rank
from jaxnet.check.rules.named import Named

STARTS = (0.0, 1.0, 0.1, 1e-6, 1e-8)
"""What parts of a state are started at that should start elsewhere."""


def singles(case: Case) -> Iterator[Alteration]:
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
        asked |= {f"started_{start}:{part}": None for start in STARTS}
    names = sorted(asked, key=rank)
    early = [name for name in names if rank(name) <= rank("betas_swapped")]
    for name in early:
        yield Alteration((name,), {}, (named_alteration(name, rule),))
    yield from _swaps(case)
    for name in names[len(early) :]:
        yield Alteration((name,), {}, (named_alteration(name, rule),))


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
    decays = [k for k, v in hyper.items() if isinstance(v, float) and 0 < v < 1 and is_decay(k)]
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


def is_decay(name: str) -> bool:
    """Whether the hyperparameter is how much an average keeps."""
    return name in ("b1", "b2", "b3", "beta", "rho", "decay", "momentum", "adam_b1", "adam_b2")
