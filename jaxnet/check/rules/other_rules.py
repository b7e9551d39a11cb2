"""Whether the user's rule is another one of the zoo."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jaxnet.check.rules.dialects import DIALECTS
from jaxnet.check.rules.equations import EQUATIONS
from jaxnet.check.rules.named import Named
from jaxnet.check.rules.reference import Reference
from jaxnet.optim.zoo import named

SYNONYMS = (
    {"b1", "momentum", "beta"},
    {"b2", "decay", "rho"},
    {"weight_decay", "weight_decay_rate"},
)
"""Hyperparameters that mean the same in different rules."""

LOOKING_AHEAD = frozenset({"nesterov", "nag", "nadam", "nadamw"})
FAMILIES = (
    frozenset({"gd", "momentum", "nesterov", "nag"}),
    frozenset({"adam", "adamw", "nadam", "nadamw"}),
)
STATELESS = frozenset({"gd", "noisy_sgd", "sign_sgd", "fromage", "polyak_sgd"})


class Other(NamedTuple):
    """Another rule, or a dialect of it: its hyperparameters, and alterations that are on."""

    rule: str
    hyper: Mapping[str, Any]
    on: tuple[str, ...]
    named: Named


def other_rules(due: Reference) -> Iterator[Other]:
    """All other rules, with the same hyperparameters and with their own."""
    mine = due.entry.name
    rate = {k: due.hyper[k] for k in ("learning_rate",) if k in due.hyper}
    for rule in EQUATIONS:
        if rule == mine:
            continue
        parameters = inspect.signature(named(rule).factory).parameters
        own = {k: p.default for k, p in parameters.items() if p.default is not p.empty} | rate
        same = own | {k: v for k, v in due.hyper.items() if k in parameters}
        for hyper in (same, same | _synonyms(due.hyper, own), own):
            yield Other(rule, hyper, (), _named(mine, rule))
            for d in DIALECTS.get(rule, ()):
                yield Other(rule, {**hyper, **d.hyper}, d.on, _named(mine, rule))


def _synonyms(hyper: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that are due under the names that the other rule has for them."""
    found = {}
    for names in SYNONYMS:
        here, there = names & set(hyper), names & set(own)
        # What the other rule has off by default, such as rmsprop's momentum, stays off.
        if here and there and None not in (hyper[min(here)], own[min(there)]):
            found[min(there)] = hyper[min(here)]
    return found


def _named(mine: str, rule: str) -> Named:
    code = "wrong_accumulator"
    if {mine, rule} & STATELESS:
        code = "mismatch"
    if any({mine, rule} <= family for family in FAMILIES) and (
        (mine in LOOKING_AHEAD) != (rule in LOOKING_AHEAD)
    ):
        code = "nesterov_point"
    return Named(
        code,
        f"The rule is {rule}, not {mine}.",
        f'Compare with {mine}\'s equations, or pass "{rule}" if that rule is meant.',
    )
