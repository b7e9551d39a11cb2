"""The rules inside JAX's and optax's transformations."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet import optim

RULES: dict[str, Callable[..., optax.GradientTransformation]] = {
    "gd": optim.gd,
    "momentum": optim.momentum,
    "nesterov": optim.nesterov,
    "nag": optim.nag,
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))


def start(dtype: type = np.float64) -> dict[str, Array]:
    return {"a": jnp.asarray([1.0, -2.0], dtype), "b": jnp.asarray([[0.5], [3.0]], dtype)}


def gradient(params: Any) -> Any:
    """Of 1/2 sum of x^2 + cos x: it differs from the parameters, whatever their structure."""
    return jax.tree.map(lambda p: p - jnp.sin(p), params)


def take_steps(
    optimizer: optax.GradientTransformation, params: Any, steps: int = 4
) -> tuple[Any, Any]:
    state = optimizer.init(params)
    for _ in range(steps):
        updates, state = optimizer.update(gradient(params), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@every_rule
def test_learning_rates_side_by_side_under_vmap_jit_and_scan(rule: Any, agree: Any) -> None:
    @jax.jit
    @jax.vmap
    def final(rate: Array) -> Any:
        optimizer = rule(rate)

        def step(carry: Any, _: None) -> Any:
            params, state = carry
            updates, state = optimizer.update(gradient(params), state, params)
            return (optax.apply_updates(params, updates), state), None

        carry, _ = jax.lax.scan(step, (start(), optimizer.init(start())), length=4)
        return carry[0]

    rates = [0.01, 0.1, 0.3]
    together = final(jnp.asarray(rates))
    for i, rate in enumerate(rates):
        alone, _ = take_steps(rule(rate), start())
        agree(jax.tree.map(lambda a, i=i: a[i], together), alone, 1e-12)


@every_rule
def test_params_and_state_may_both_be_donated(rule: Any, agree: Any) -> None:
    params = start()
    rate = jnp.asarray(0.1)
    optimizer = rule(rate)
    state = optimizer.init(params)
    leaves = [rate, *jax.tree.leaves((params, state))]
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)

    @jax.jit
    def updated(params: Any, state: Any) -> Any:
        updates, state = optimizer.update(gradient(params), state, params)
        return optax.apply_updates(params, updates), state

    donating = jax.jit(updated, donate_argnums=(0, 1))
    for _ in range(4):
        params, state = donating(params, state)
    assert not rate.is_deleted()
    agree(params, take_steps(optimizer, start())[0], 1e-12)


@every_rule
@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float32, np.float64])
def test_params_updates_and_state_keep_their_types_and_compile_once(rule: Any, dtype: Any) -> None:
    params = start(dtype) | {"scalar": jnp.asarray(2.0, dtype), "empty": jnp.zeros((0, 3), dtype)}
    for optimizer in (rule(0.1), rule(optax.cosine_decay_schedule(0.1, 10))):
        traces: list[None] = []

        @jax.jit
        def step(params: Any, state: Any, optimizer: Any = optimizer, traces: Any = traces) -> Any:
            traces.append(None)
            updates, state = optimizer.update(gradient(params), state, params)
            assert {u.dtype for u in jax.tree.leaves(updates)} == {np.dtype(dtype)}
            return optax.apply_updates(params, updates), state

        before = (params, optimizer.init(params))
        after = step(*before)
        after = step(*after)
        assert len(traces) == 1
        # jax.typeof: shape, dtype and weak type.
        assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, before)
        moved = jax.tree.map(lambda a, b: bool((a != b).all()), after[0], params)
        assert moved == {"a": True, "b": True, "scalar": True, "empty": True}


@every_rule
def test_an_empty_tree_has_an_empty_update(rule: Any) -> None:
    assert take_steps(rule(0.1), {})[0] == {}


@every_rule
def test_a_schedule_is_asked_from_step_zero_on(rule: Any) -> None:
    rates = jnp.asarray([0.1, 0.0, 0.3])
    optimizer = rule(lambda step: rates[step])
    _, state = take_steps(optimizer, start(), steps=1)
    assert float(state.learning_rate) == 0.1
    _, state = take_steps(optimizer, start(), steps=3)
    assert (int(state.step), float(state.learning_rate)) == (3, 0.3)


@every_rule
def test_in_a_chain_the_rule_gets_what_comes_before_it(rule: Any, agree: Any) -> None:
    params = start()
    chained, _ = take_steps(optax.chain(optax.scale(0.5), rule(0.2)), params)
    # gd, momentum and nesterov are linear in lr * g at a constant rate, nag in lr * g as well.
    agree(chained, take_steps(rule(0.1), params)[0], 1e-12)


@every_rule
def test_under_a_mask_the_rule_sees_its_part_alone(rule: Any) -> None:
    params, state = start(), None
    optimizer = optax.masked(rule(0.1), {"a": True, "b": False})
    updates, state = optimizer.update(gradient(params), optimizer.init(params), params)
    np.testing.assert_array_equal(updates["b"], gradient(params)["b"])  # passed through
    alone, _ = take_steps(rule(0.1), {"a": params["a"]}, steps=1)
    np.testing.assert_allclose(params["a"] + updates["a"], alone["a"], rtol=1e-12)
    assert all(leaf.shape in ((), (2,)) for leaf in jax.tree.leaves(state))


@every_rule
def test_multi_steps_feeds_the_mean_of_its_gradients(rule: Any, agree: Any) -> None:
    params = start()
    optimizer = optax.MultiSteps(rule(0.1), every_k_schedule=2).gradient_transformation()
    state = optimizer.init(params)

    @jax.jit
    def step(params: Any, state: Any, factor: float) -> Any:
        grads = jax.tree.map(lambda g: factor * g, gradient(params))
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for factor in (0.5, 1.5, 0.5, 1.5):  # mean 1
        params, state = step(params, state, factor)
    # optax accumulates with float32 factors.
    agree(params, take_steps(rule(0.1), start(), steps=2)[0], 1e-6)


@every_rule
def test_inject_hyperparams_sets_the_learning_rate(rule: Any, agree: Any) -> None:
    params = start()
    optimizer = optax.inject_hyperparams(rule)(learning_rate=0.1)
    injected, state = take_steps(optimizer, params)
    agree(injected, take_steps(rule(0.1), params)[0], 1e-6)
    assert optim.learning_rate(state) == pytest.approx(0.1)
    state.hyperparams["learning_rate"] = jnp.asarray(0.05)
    _, state = optimizer.update(gradient(params), state, params)
    assert optim.learning_rate(state) == pytest.approx(0.05)
