from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import optim
from jaxnet.optim.nag import NagState

START = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(3.0)}
RATE = 0.1


def after_steps(optimizer: optax.GradientTransformation, steps: int = 4) -> tuple[Any, Any]:
    params, state = START, optimizer.init(START)
    for _ in range(steps):
        updates, state = optimizer.update(params, state, params)  # the gradient of 1/2 x^2
        params = optax.apply_updates(params, updates)
    return params, state


def plain_iterates(rate: float = RATE) -> Any:
    _, state = after_steps(optim.nag(rate))
    assert isinstance(state, NagState)
    return state.x


def test_what_nag_evaluates_is_not_what_it_differentiates() -> None:
    params, state = after_steps(optim.nag(RATE))
    for x, y in zip(
        jax.tree.leaves(optim.eval_params(state, params)), jax.tree.leaves(params), strict=True
    ):
        assert (np.abs(x - y) > 1e-3).all()


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "alone": lambda rule: rule(RATE),
    "chain": lambda rule: optax.chain(optax.clip(100.0), rule(RATE)),
    "nested": lambda rule: optax.chain(optax.chain(optax.masked(rule(RATE), True))),
    "inject": lambda rule: optax.inject_hyperparams(rule)(learning_rate=RATE),
    "multi_steps": lambda rule: optax.MultiSteps(rule(RATE), 1).gradient_transformation(),
    "groups": lambda rule: optax.multi_transform(
        {"first": rule(RATE), "second": rule(RATE)}, {"a": "first", "b": "second"}
    ),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=list(WRAPPERS))
def test_the_point_to_evaluate_and_the_rate_are_found_in_wrappers(wrap: Any, agree: Any) -> None:
    params, state = after_steps(wrap(optim.nag))
    agree(optim.eval_params(state, params), plain_iterates(), 1e-6)
    rate = optim.learning_rate(state)
    assert rate is not None
    assert float(rate) == pytest.approx(RATE)


def test_a_masked_part_is_evaluated_where_it_is() -> None:
    params, state = after_steps(optax.masked(optim.nag(RATE), {"a": True, "b": False}))
    answer = optim.eval_params(state, params)
    np.testing.assert_allclose(answer["a"], plain_iterates()["a"], rtol=1e-12)
    np.testing.assert_array_equal(answer["b"], params["b"])


@pytest.mark.parametrize(
    "optimizer", [optim.gd(RATE), optim.momentum(RATE), optim.nesterov(RATE), optax.adam(RATE)]
)
def test_other_rules_are_evaluated_at_their_params(optimizer: Any) -> None:
    params, state = after_steps(optimizer)
    assert optim.eval_params(state, params) is params


def test_the_learning_rate_is_that_of_the_last_step() -> None:
    _, state = after_steps(optim.gd(optax.linear_schedule(1.0, 0.0, 4)), steps=2)
    assert optim.learning_rate(state) == 0.75  # the rate of step 1; step 2 is yet to come


@pytest.mark.parametrize("optimizer", [optax.sgd(RATE), optax.adam(RATE), optax.identity()])
def test_a_state_that_does_not_tell_its_learning_rate(optimizer: Any) -> None:
    assert optim.learning_rate(after_steps(optimizer)[1]) is None


@pytest.mark.parametrize("rule", [optim.schedule_free_sgd, optim.schedule_free_adamw])
def test_schedule_free_rules_are_evaluated_in_masks_and_groups(rule: Any, agree: Any) -> None:
    params, state = after_steps(rule(RATE))
    alone = optim.eval_params(state, params)
    _, state = after_steps(optax.masked(rule(RATE), {"a": True, "b": False}))
    agree(optim.eval_params(state, params)["a"], alone["a"], 1e-12)
    groups = optax.partition({"x": rule(RATE), "y": rule(RATE)}, {"a": "x", "b": "y"})
    params, state = after_steps(groups)
    agree(optim.eval_params(state, params)["b"], alone["b"], 1e-12)
