"""Simulated annealing against its rule in NumPy, and among many minima."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet.optim import eval_params, minimize, simulated_annealing


def rastrigin(x: Array) -> Any:
    """A minimum at about every point of whole numbers, the lowest at 0."""
    return 10 * x.size + jnp.sum(x**2 - 10 * jnp.cos(2 * jnp.pi * x))


def test_it_finds_the_lowest_of_many_minima() -> None:
    keys = jax.random.split(jax.random.key(0), 20)
    starts = jax.random.uniform(jax.random.key(1), (20, 2), minval=-5.12, maxval=5.12)
    cooling = optax.exponential_decay(10.0, transition_steps=1, decay_rate=0.998)

    @jax.jit
    @jax.vmap
    def search(key: Array, x: Array) -> Any:
        return minimize(
            rastrigin,
            x,
            "simulated_annealing",
            max_steps=4000,
            learning_rate=0.5,
            temperature=cooling,
            key=key,
        )

    found = search(keys, starts)
    in_basin = np.abs(found.x).max(axis=1) < 0.5
    assert in_basin.sum() >= 18
    assert (np.abs(starts).max(axis=1) > 0.5).sum() >= 18  # few began there
    np.testing.assert_allclose(found.fun, jax.vmap(rastrigin)(found.x))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 50.0])
def test_steps_are_metropolis_s(temperature: float) -> None:
    start = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}

    def loss(p: Any) -> Any:
        return jnp.sum(p["a"] ** 2) + jnp.cos(3 * p["b"]) + p["b"] ** 2

    def rate(step: Any) -> Any:
        return 0.3 / (1 + 0.1 * step)

    rule = simulated_annealing(rate, temperature, key=jax.random.key(3))
    step = jax.jit(
        lambda x, state: rule.update(x, state, x, value=loss(x), value_fn=loss),
    )
    f = jax.jit(loss)
    x, state, lowest, taken = start, rule.init(start), np.inf, 0
    for k in range(60):
        key, proposal, acceptance = jax.random.split(state.key, 3)
        n = [
            jax.random.normal(jax.random.fold_in(proposal, i), s) for i, s in enumerate([(2,), ()])
        ]
        expected = {"a": x["a"] + rate(k) * n[0], "b": x["b"] + rate(k) * n[1]}
        before, after = float(f(x)), float(f(expected))
        uphill = temperature > 0 and float(jax.random.uniform(acceptance)) < np.exp(
            -(after - before) / temperature
        )
        accepted = after <= before or uphill
        u, state = step(x, state)
        x = optax.apply_updates(x, u)
        for leaf, want in zip(
            jax.tree.leaves(u),
            jax.tree.leaves([rate(k) * m for m in n] if accepted else [0 * m for m in n]),
            strict=True,
        ):
            np.testing.assert_allclose(leaf, want, rtol=1e-12)
        taken += accepted
        lowest = min(lowest, before, after)
        np.testing.assert_allclose(state.best_value, lowest, rtol=1e-12)
        np.testing.assert_allclose(f(eval_params(state, x)), lowest, rtol=1e-12)
        assert (jax.random.key_data(state.key) == jax.random.key_data(key)).all()
    assert 0 < taken < 60 or temperature == 50.0


def test_the_same_key_gives_the_same_run_and_another_one_another() -> None:
    def end(seed: int) -> np.ndarray:
        found = minimize(
            rastrigin,
            np.asarray([3.0, 2.0]),
            "simulated_annealing",
            max_steps=50,
            learning_rate=0.5,
            key=jax.random.key(seed),
        )
        assert found.status == 1
        return np.asarray(found.x)

    np.testing.assert_array_equal(end(1), end(1))
    assert (end(1) != end(2)).any()


def test_what_is_no_number_is_never_taken() -> None:
    def loss(x: Array) -> Any:
        return jnp.log(x)  # nan below 0, where it would be lowest

    rule = simulated_annealing(1.0, 100.0, key=jax.random.key(0))
    step = jax.jit(lambda x, state: rule.update(x, state, x, value=loss(x), value_fn=loss))
    x = jnp.asarray(0.5)
    state = rule.init(x)
    for _ in range(30):
        u, state = step(x, state)
        x = x + u
        assert x > 0
    assert np.isfinite(state.best_value)


def test_messages() -> None:
    key, x = jax.random.key(0), jnp.ones(2)
    with pytest.raises(ValueError, match=r"simulated_annealing: temperature must be .*, got -1"):
        simulated_annealing(0.1, -1.0, key=key)
    with pytest.raises(ValueError, match=r"simulated_annealing: learning_rate must .*, got -0.1"):
        simulated_annealing(-0.1, key=key)
    rule = simulated_annealing(0.1, key=key)
    with pytest.raises(ValueError, match="update needs the loss: value=value, value_fn=value_fn"):
        rule.update(x, rule.init(x), x)
