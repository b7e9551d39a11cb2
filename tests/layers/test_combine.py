"""Chains and residuals, and the way of a hand-derived gradient into other JAX programs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.layers import (
    Layer,
    batch_norm,
    chain,
    dense,
    dropconnect,
    dropout,
    residual,
    with_custom_vjp,
)

X = jnp.asarray(np.random.default_rng(7).normal(size=(4, 3)))


def test_an_empty_chain_is_the_identity(key: Array) -> None:
    layer = chain()
    params = layer.init(key)
    assert params == []
    for k in (None, key):
        y, residuals = layer.forward(params, X, k)
        assert y is X
        dparams, dx = layer.backward(params, residuals, X)
        assert dparams == []
        assert dx is X
        assert layer.observe(params, residuals) == []


def test_a_chain_is_the_composition_in_order(key: Array) -> None:
    first, second = dense(3, 2, "tanh"), dense(2, 5, "relu")
    layer = chain(first, second)
    params = layer.init(key)
    assert [p["w"].shape for p in params] == [(3, 2), (2, 5)]
    y, _ = layer.forward(params, X)
    inner, _ = first.forward(params[0], X)
    np.testing.assert_array_equal(y, second.forward(params[1], inner)[0])


def test_the_layers_of_a_chain_start_apart(key: Array) -> None:
    one, other = chain(dense(3, 3), dense(3, 3)).init(key)
    assert not np.any(one["w"] == other["w"])


def test_a_residual_adds_its_input(key: Array) -> None:
    inner = dense(3, 3, "tanh")
    layer = residual(inner)
    params = layer.init(key)
    np.testing.assert_array_equal(layer.forward(params, X)[0], X + inner.forward(params, X)[0])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_chain_with_the_wrong_number_of_parameters_is_refused(count: int, key: Array) -> None:
    layer = chain(dense(3, 3), dropout(0.5))
    params = [*layer.init(key), {}][:count]
    with pytest.raises(ValueError, match=rf"chain: 2 layers need a list of 2 .* got {count}$"):
        layer.forward(params, X)


@pytest.mark.parametrize("n_out", [1, 2])
def test_a_residual_around_another_shape_is_refused(n_out: int, key: Array) -> None:
    layer = residual(dense(3, n_out))  # (4, 1) would broadcast
    with pytest.raises(ValueError, match=rf"residual: .* \(4, 3\) into \(4, {n_out}\), but"):
        layer.forward(layer.init(key), X)


STOCHASTIC = chain(dense(3, 4, "tanh"), batch_norm(4), dropout(0.3), dropconnect(dense(4, 2), 0.4))


@pytest.mark.parametrize("training", [True, False], ids=["trained", "evaluated"])
def test_custom_vjp_gives_jax_the_gradient_of_backward(
    training: bool,
    key: Array,
    agree: Callable[..., None],
    random_params: Callable[..., Any],
    jit: Callable[..., Any],
) -> None:
    params = random_params(STOCHASTIC.init, 0)
    apply = with_custom_vjp(STOCHASTIC)

    def loss(params: Any, x: Array, key: Array | None) -> Array:
        return jnp.sum(jnp.sin(apply(params, x, key)))

    def by_hand(params: Any, x: Array, key: Array | None) -> tuple[Array, tuple[Any, Array]]:
        y, residuals = STOCHASTIC.forward(params, x, key)
        return jnp.sum(jnp.sin(y)), STOCHASTIC.backward(params, residuals, jnp.cos(y))

    # One gradient for each of two inputs, each with a key of its own.
    xs = jnp.stack([X, 2 * X])
    keys = jax.random.split(key, 2) if training else None
    axes = (None, 0, 0 if training else None)
    mapped = jit(jax.vmap(jax.value_and_grad(loss, (0, 1)), axes))(params, xs, keys)
    direct = jit(by_hand)
    for i in range(2):
        actual = jax.tree.map(lambda leaf, i=i: leaf[i], mapped)
        agree(actual, direct(params, xs[i], keys if keys is None else keys[i]), 1e-12, floor=1e-3)


def test_custom_vjp_works_without_a_key_argument_and_without_jit() -> None:
    apply = with_custom_vjp(dense(3, 1, w_init="zeros"))
    dx = jax.grad(lambda x: jnp.sum(apply({"w": jnp.ones((3, 1)), "b": jnp.zeros(1)}, x)))(X)
    np.testing.assert_array_equal(dx, np.ones_like(X))


def test_custom_vjp_asks_backward_and_nothing_else() -> None:
    """A layer whose backward is wrong on purpose shows whose gradient JAX has used."""
    wrong = Layer(
        lambda key: {"w": jnp.ones(())},
        lambda params, x, key=None: (params["w"] * x, x),
        lambda params, x, dy: ({"w": jnp.asarray(11.0)}, 13 * dy),
    )
    apply = with_custom_vjp(wrong)
    dparams, dx = jax.grad(lambda p, x: apply(p, x), (0, 1))({"w": jnp.asarray(2.0)}, 3.0)
    assert (float(dparams["w"]), float(dx)) == (11.0, 13.0)
