"""What a rule refuses, it refuses with the names of the rule and of what is wrong."""

import inspect
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from jaxnet.optim import ZOO, Entry

NAN, INF = math.nan, math.inf

Bad = dict[Any, str]
"""Values that are out of range, and how a message shows them."""


def values(*bad: Any) -> Bad:
    return {value: repr(value) for value in bad}


def each(names: str, bad: Bad) -> dict[str, Bad]:
    return dict.fromkeys(names.split(), bad)


NEGATIVE = values(-0.1, NAN, INF)
NOT_POSITIVE = values(0.0, -0.1, NAN, INF)
NO_DECAY = values(1.0, -0.1, NAN)
NOT_BETWEEN = values(0.0, 1.0, NAN)
NO_COUNT = values(0, -1, 1.5)
UNKNOWN = values("other")

OF_ANY_RULE: dict[str, Bad] = {
    **each("learning_rate max_learning_rate scaling eps eps_root adam_eps_root", NEGATIVE),
    **each("weight_decay adam_weight_decay weight_decay_rate alpha gamma eta", NEGATIVE),
    **each("initial_accumulator_value initial_scale min_norm min_scale decay_rate", NEGATIVE),
    **each("trust_coefficient consistent_rms momentum_decay weight_lr_power", NEGATIVE),
    **each("min_step_size max_step_size estim_lr_coef adam_learning_rate decay_offset", NEGATIVE),
    **each("clip_threshold clipping_threshold estim_lr0 init_estim_sq_dist", NOT_POSITIVE),
    **each("b1 b2 b3 beta beta3 rho momentum decay shampoo_beta adam_b1 adam_b2", NO_DECAY),
    "betas": {(1.0, 0.9): "1.0", (-0.1, 0.9): "-0.1", (0.9, 1.0): "1.0", (0.9, NAN): "nan"},
    **each("c1 c2 eta_minus", NOT_BETWEEN),
    "eta_plus": values(1.0, NAN, INF),
    "threshold": values(3.9, NAN, INF),
    "f_min": values(NAN, INF),
    **each("ns_steps update_interval precondition_frequency max_dim max_precond_dim", NO_COUNT),
    **each("memory_size max_evaluations max_products examples min_dim_size_to_factor", NO_COUNT),
    "ns_coeffs": {(1.0, NAN, 1.0): "nan", (1.0, 1.0, INF): "inf"},
    **each("sampler_rate temperature", NEGATIVE),
    "damping": NOT_POSITIVE,
    "uniform": values(1.5, -0.1, NAN),
    "warmup_steps": NO_COUNT,
    "init_step": {("other", 1.0): "'other'", ("distance", 0.0): "0.0", ("heuristic", NAN): "nan"},
    **each("restart variant max_of dialect formula", UNKNOWN),
}
"""By the name of the argument, if its range is the same everywhere."""

OF_ONE_RULE: dict[tuple[str, str], Bad] = {
    ("optimistic_gradient_descent", "beta"): NEGATIVE,
    ("optimistic_adam", "beta"): NEGATIVE,
    ("ademamix", "warmup_steps"): values(-1, 1.5),
    ("shampoo", "decay"): values(1.5, -0.1, NAN),
    ("shampoo", "eps"): NOT_POSITIVE,
    ("schedule_free_sgd", "b1"): values(0.0, 1.5, NAN),
    ("schedule_free_adamw", "b1"): values(0.0, 1.5, NAN),
    ("dowg", "eps"): NOT_POSITIVE,
    ("cocob", "alpha"): NOT_POSITIVE,
    ("cocob", "eps"): NOT_POSITIVE,
    ("sam", "rho"): NEGATIVE,
}

WITHOUT_RANGE = {
    *("mask", "weight_decay_mask", "trust_ratio_mask", "key", "optimizer"),
    *("clip_value_fn", "hessian_diagonal_fn"),
}


def rows() -> Iterator[Any]:
    """Every argument of every rule with every value out of its range."""
    for entry in ZOO.values():
        for name, parameter in inspect.signature(entry.factory).parameters.items():
            if name in WITHOUT_RANGE or isinstance(parameter.default, bool):
                continue
            # A KeyError says that an argument has no row yet.
            bad = OF_ONE_RULE.get((entry.name, name)) or OF_ANY_RULE[name]
            for value, shown in bad.items():
                yield pytest.param(entry, name, value, shown, id=f"{entry.name}-{name}-{shown}")


@pytest.mark.parametrize(("entry", "name", "value", "shown"), list(rows()))
def test_a_number_out_of_range_is_named(
    entry: Entry, name: str, value: Any, shown: str, arguments: Callable[[Entry], dict[str, Any]]
) -> None:
    message = rf"^{entry.name}: {name}.* must be .*got {re.escape(shown)}$"
    with pytest.raises(ValueError, match=message):
        entry.factory(**arguments(entry) | {name: value})


def wrong_types() -> Iterator[Any]:
    """Every rule that takes a learning rate, with what is none."""
    for entry in ZOO.values():
        parameter = inspect.signature(entry.factory).parameters.get("learning_rate")
        if parameter is not None:
            for rate in ["0.1", [0.1]] + ([] if parameter.default is None else [None]):
                yield pytest.param(entry, rate, id=f"{entry.name}-{rate!r}")


@pytest.mark.parametrize(("entry", "rate"), list(wrong_types()))
def test_a_learning_rate_of_a_wrong_type_is_named(
    entry: Entry, rate: Any, arguments: Callable[[Entry], dict[str, Any]]
) -> None:
    needed = "learning_rate must be a number, an array or a schedule"
    with pytest.raises(TypeError, match=rf"^{entry.name}: {needed}, got {re.escape(repr(rate))}$"):
        entry.factory(**arguments(entry) | {"learning_rate": rate})


@pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))
def test_an_update_without_parameters_says_how_to_call_it(entry: Entry) -> None:
    rule, x = entry.make(0.1), jnp.ones(2)
    message = rf"^{entry.name}: update needs the parameters: update\(grads, state, params\)$"
    with pytest.raises(ValueError, match=message):
        rule.update(x, rule.init(x))


WITH_NEEDS = [entry for entry in ZOO.values() if entry.needs not in ("", "key", "rows")]


@pytest.mark.parametrize("entry", WITH_NEEDS, ids=[entry.name for entry in WITH_NEEDS])
def test_an_update_without_what_the_rule_needs_names_it(entry: Entry) -> None:
    x = jnp.ones(2)
    given = {"value": 1.0, "value_fn": jnp.sum, "grad_fn": jnp.ones_like}
    # This form of MultiSteps drops all that is given.
    steps = optax.MultiSteps(entry.make(0.1), 2).gradient_transformation()
    for rule, extra in (entry.make(0.1), {}), (optax.with_extra_args_support(steps), given):
        needed = entry.needs.removeprefix("key, ")
        with pytest.raises(ValueError, match=rf"^\w+: update needs .*{needed}\b"):
            jax.eval_shape(lambda rule=rule, extra=extra: rule.update(x, rule.init(x), x, **extra))
