"""Hyperparameters of another value than the one that is due."""

from collections.abc import Iterator
from typing import Any

from jaxnet.check.rules.case import Alteration, Case
from jaxnet.check.rules.named import Named
from jaxnet.check.rules.singles import is_decay


def other_values(case: Case) -> Iterator[Alteration]:
    """One hyperparameter of another value."""
    for name, value in case.reference.hyper.items():
        for other in _candidates(case, name, value):
            yield Alteration(
                (), {name: other}, (named_value(case, name, value, other),), _number(name, other)
            )


def _number(name: str, value: Any) -> dict[str, float]:
    return {name: float(value)} if isinstance(value, int | float) else {}


def _candidates(case: Case, name: str, value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if name == "max_of":
        return []
    if not isinstance(value, float) or name == "learning_rate":
        return []
    if is_decay(name):
        found = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, value**0.5, value**2]
    elif name.startswith("eps"):
        found = [value * 10.0**k for k in range(-8, 9) if k]
        found += [0.0, value**0.5, value**2, 1e-8, 1e-7, 1e-6, 1e-5, 1e-10, 1e-12, 1e-3, 1e-15]
    elif name.startswith("initial"):
        found = [0.0, 1.0, 0.1, 0.01, 1e-3, 1e-6, 1e-7, 1e-8, 1e-10]
    else:
        found = [0.0, 1.0, -value]
        found += [value * k for k in (2, 0.5, 10, 0.1, 100, 0.01, 3, 1 / 3, 4, 0.25, 5, 0.2)]
    rate = case.reference.hyper.get("learning_rate")
    if name.startswith("weight_decay") and isinstance(rate, float) and rate:
        found += [value * rate, value / rate]
    return [v for v in dict.fromkeys(found) if v != value]


def named_value(case: Case, name: str, value: Any, other: Any) -> Named:
    """What a hyperparameter of another value is called."""
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
    elif name.startswith("weight_decay"):
        code = "scale" if other else "mismatch"
        rate = case.reference.hyper.get("learning_rate")
        if isinstance(rate, float) and rate and other in (value * rate, value / rate):
            code = "weight_decay_unscaled"
    said = f"{other:.6g}" if isinstance(other, float) else repr(other)
    due = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return Named(
        code,
        f"The rule is the one that is due with {name} = {said}. It should be {due}.",
        f"Set {name} to {due}, or pass {name}={said} if that is meant.",
    )
