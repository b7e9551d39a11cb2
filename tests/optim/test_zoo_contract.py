"""What every rule of the zoo promises, whatever its equations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet.optim import ZOO, Entry

RATE = 0.01


def entries(*takes: str) -> pytest.MarkDecorator:
    """The entries whose learning rate is one of `takes`, or all of them, as pytest parameters."""
    chosen = [e for e in ZOO.values() if not takes or e.takes in takes]
    return pytest.mark.parametrize("entry", chosen, ids=[e.name for e in chosen])


def mixed_params(dtype: Any = np.float64) -> Any:
    """Nested, with a matrix, a vector, a scalar and an empty leaf."""
    tree = {
        "layers": [{"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "b": jnp.zeros(3)}],
        "scale": jnp.asarray(0.5),
        "empty": jnp.zeros((0, 2)),
    }
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def make(entry: Entry, learning_rate: Any = RATE) -> optax.GradientTransformationExtraArgs:
    return optax.with_extra_args_support(entry.make(learning_rate))


def run(one_step: Any, rule: Any, params: Any, steps: int = 5) -> Any:
    def step(carry: Any, _: None) -> Any:
        return one_step(rule, *carry), None

    return jax.lax.scan(step, (params, rule.init(params)), None, steps)[0][0]


def kinds(tree: Any) -> list[Any]:
    return [
        (leaf.shape, leaf.dtype, leaf.weak_type) for leaf in map(jax.typeof, jax.tree.leaves(tree))
    ]


def finite(tree: Any) -> bool:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)


@entries()
def test_a_step_keeps_the_kinds_of_state_and_parameters(entry: Entry, one_step: Any) -> None:
    # The second step then finds its program compiled, and scan and cond accept the rule.
    rate, params = jnp.asarray(RATE), mixed_params()
    rule = make(entry, rate)
    state = rule.init(params)
    traces = 0

    def step(params: Any, state: Any) -> Any:
        nonlocal traces
        traces += 1
        return one_step(rule, params, state)

    compiled = jax.jit(step, donate_argnums=(0, 1))
    expected = kinds(state), kinds(params), jax.tree.structure(state)
    donated = jax.tree.map(jnp.array, params)
    for _ in range(3):
        donated, state = compiled(donated, state)  # params and fresh state share no buffer
        assert (kinds(state), kinds(donated), jax.tree.structure(state)) == expected
        assert finite(donated)
    assert traces == 1
    assert not rate.is_deleted()
    moved = jax.tree.map(lambda new, old: bool((new != old).any()), donated, params)
    assert moved == jax.tree.map(lambda leaf: leaf.size > 0, params)


@entries()
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_other_types_stay_and_zero_gradients_are_harmless(
    entry: Entry, dtype: Any, bowl: Any, one_step: Any
) -> None:
    rule, params = make(entry), mixed_params(dtype)

    @jax.jit
    def iterates(params: Any) -> Any:
        def step(carry: Any, factor: Array) -> Any:
            slopes = jax.grad(bowl)(carry[0])
            grads = jax.tree.map(lambda g: factor.astype(g.dtype) * g, slopes)
            params, state = one_step(rule, *carry, grads)
            return (params, state), params

        return jax.lax.scan(step, (params, rule.init(params)), jnp.asarray([0.0, 0.0, 1.0]))[1]

    seen = iterates(params)
    still, moved = (jax.tree.map(lambda leaf, i=i: leaf[i], seen) for i in (1, 2))
    assert kinds(moved) == kinds(still) == kinds(params)
    assert finite(still)


@entries("schedule")
def test_a_constant_schedule_is_the_number_and_vmap_takes_rates(
    entry: Entry, one_step: Any
) -> None:
    params = mixed_params()

    def schedule(step: Array) -> Array:
        """Constant in the five steps that are made, from step 0 on."""
        return jnp.where((step >= 0) & (step < 5), RATE, jnp.nan)

    @jax.jit
    def moved(params: Any) -> Any:
        rates = jnp.asarray([RATE, RATE / 2])
        swept = jax.vmap(lambda rate: run(one_step, make(entry, rate), params))(rates)
        number, scheduled = (run(one_step, make(entry, rate), params) for rate in (RATE, schedule))
        return jax.tree.map(lambda leaf: leaf[0], swept), number, scheduled

    swept, number, scheduled = moved(params)
    for other in (swept, scheduled):
        for a, b in zip(jax.tree.leaves(number), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@entries()
def test_an_empty_tree_is_fine(entry: Entry, one_step: Any) -> None:
    rule = make(entry)
    updates, _ = one_step(rule, {}, rule.init({}))
    assert updates == {}


@entries()
def test_complex_parameters_are_refused(entry: Entry) -> None:
    params = {"layers": [{"real": jnp.ones(2), "turning": jnp.ones(2, complex)}]}
    with pytest.raises(TypeError, match=rf"^{entry.name}: .*complex") as error:
        make(entry).init(params)
    assert "turning" in str(error.value)
