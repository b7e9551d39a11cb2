"""Every rule inside optax's wrappers, which must not change what the rule does.

They are all in one stack, as they are in use: compiling every rule is what takes the time.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim import ZOO, Entry, gd, learning_rate

RATE = 0.01
LIMIT = 5.0
SHARE = 0.25


def start() -> Any:
    """A part for the rule that is looked at, one for another rule, and one for none."""
    own = {"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "b": jnp.zeros(3)}
    return {"own": own, "other": jnp.asarray([0.5, 2.0]), "free": jnp.asarray(1.125)}


@pytest.fixture(scope="module")
def run(bowl: Any, one_step: Any) -> Callable[..., Any]:
    """`run(rule, params, factors)` -> (the last params, state and average), all iterates.

    The gradient of step i is multiplied with factors[i], and clipped before, unless told not to.
    The loss is that of the part "own" if there is one. The average is one of the parameters.
    """
    value_and_grad = jax.jit(jax.value_and_grad(bowl))  # traced once for all rules

    def run(rule: Any, params: Any, factors: list[float], clipped: bool = True) -> Any:
        def step(carry: Any, factor: Any) -> Any:
            params, state, average = carry
            value, grads = bowl(params.get("own", params)), value_and_grad(params)[1]
            if clipped:
                grads = jax.tree.map(lambda g: jnp.clip(g, -LIMIT, LIMIT), grads)
            grads = jax.tree.map(lambda g: factor * g, grads)
            params, state = one_step(rule, params, state, grads, value)
            return (params, state, optax.incremental_update(params, average, SHARE)), params

        return jax.lax.scan(step, (params, rule.init(params), params), jnp.asarray(factors))

    return run


@pytest.fixture(scope="module")
def others(run: Any) -> Any:
    """Where the parts end that are not the rule's: with `gd`, and with the gradient itself."""
    parts = start()
    (other, *_), _ = run(gd(2 * RATE), {"other": parts["other"]}, [1.0, 1.0])
    (free, *_), _ = run(optax.identity(), {"free": parts["free"]}, [1.0, 1.0])
    return other | free


def injected(entry: Entry, given: dict[str, Any]) -> Any:
    """The rule with its numbers in the state, where a learning rate is set after `init`.

    What is not a number has to be named as static; whole numbers are structure.
    """
    parameters = inspect.signature(entry.factory).parameters.values()
    numbers = {p.name for p in parameters if isinstance(given.get(p.name, p.default), float)}
    static = {p.name for p in parameters} - numbers
    late = "learning_rate" in given and entry.takes == "schedule"
    rule = optax.inject_hyperparams(entry.factory, static_args=static)(
        **given | ({"learning_rate": RATE / 2} if late else {})
    )

    def init(params: Any) -> Any:
        state = rule.init(params)
        assert state.hyperparams.keys() == numbers
        if late:
            state.hyperparams["learning_rate"] = jnp.asarray(RATE)
        return state

    return optax.GradientTransformationExtraArgs(init, rule.update)


def wrapped(rule: Any) -> Any:
    """The rule for one group of leaves, `gd` for another, the last behind a mask, in wrappers.

    A step has the mean of two gradients, clipped; a gradient that is not finite is left out by
    `jax.lax.cond`. `MultiSteps` passes extra arguments on; what its `gradient_transformation()`
    gives does not.
    """
    rules = {"first": rule, "second": gd(2 * RATE)}
    groups = optax.partition(rules, {"own": "first", "other": "second", "free": "second"})
    masked = optax.masked(groups, {"own": True, "other": True, "free": False})
    steps = optax.MultiSteps(
        optax.chain(optax.clip(LIMIT), masked), 2, accumulator_dtype=jnp.float64
    )
    return optax.apply_if_finite(optax.GradientTransformationExtraArgs(steps.init, steps.update), 3)


@pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))
def test_in_wrappers_a_rule_takes_the_steps_that_it_takes_alone(
    entry: Entry, run: Any, others: Any, arguments: Any, agree: Any
) -> None:
    rule = optax.with_extra_args_support(entry.make(RATE))
    stack = wrapped(injected(entry, arguments(entry)))

    @jax.jit
    def runs(params: Any) -> Any:
        alone = run(rule, params["own"], [1.0, 1.0])
        return alone, run(stack, params, [0.5, 1.5, np.nan, 1.5, 0.5], clipped=False)[0]

    alone, inside = jax.device_get(runs(start()))
    (reached, state, average), iterates = alone
    own = start()["own"]
    assert (reached["w"] != own["w"]).any()
    agree(inside[0], {"own": reached} | others, 1e-12)
    if entry.takes == "schedule":
        assert learning_rate(state) == learning_rate(inside[1]) == RATE
    agree(average, jax.tree.map(averaged, own, iterates), 1e-12, what="average")


def averaged(start: Any, iterates: Any) -> Any:
    """The moving average of two iterates."""
    first = (1 - SHARE) * start + SHARE * iterates[0]
    return (1 - SHARE) * first + SHARE * iterates[1]
