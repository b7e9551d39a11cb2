"""What dropout and DropConnect draw, keep and pass back."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.layers import Layer, Statistics, batch_norm, chain, dense, dropconnect, dropout

X = jnp.asarray(np.random.default_rng(6).uniform(1.0, 2.0, size=(200, 50)))  # nowhere 0


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float, key: Array) -> None:
    layer = dropout(rate)
    assert layer.init(key) == {}
    y, _ = layer.forward({}, X, key)
    kept = np.asarray(y != 0)
    # Five standard deviations of the share of that many draws.
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / X.size)
    np.testing.assert_allclose(y, np.where(kept, X / (1 - rate), 0), rtol=1e-15)
    assert float(y.mean()) == pytest.approx(float(X.mean()), rel=5 * np.sqrt(rate / X.size) * 4)


def test_the_key_decides_the_mask(key: Array) -> None:
    layer = dropout(0.5)
    first, again, other = (
        layer.forward({}, X, k)[0] for k in (key, key, jax.random.fold_in(key, 1))
    )
    np.testing.assert_array_equal(first, again)
    assert np.mean((first != 0) != (other != 0)) == pytest.approx(0.5, abs=0.05)


def test_every_dropout_of_a_chain_draws_its_own_mask(key: Array) -> None:
    layer = chain(dropout(0.5), dropout(0.5))
    y, _ = layer.forward(layer.init(key), X, key)
    assert np.mean(y != 0) == pytest.approx(0.25, abs=0.02)  # 0.5 if the masks were one


def test_the_mask_of_the_forward_pass_meets_the_gradient(key: Array) -> None:
    layer = dropout(0.3)
    y, residuals = layer.forward({}, X, key)
    dparams, dx = layer.backward({}, residuals, jnp.full_like(X, 7.0))
    assert dparams == {}
    np.testing.assert_allclose(dx, np.where(y != 0, 7.0 / 0.7, 0), rtol=1e-15)


def test_without_a_key_dropout_is_the_identity() -> None:
    layer = dropout(0.9)
    y, residuals = layer.forward({}, X)
    assert y is X
    assert layer.backward({}, residuals, X)[1] is X


def spy(layer: Layer, seen: list[Any]) -> Layer:
    """The layer, with the parameters of each forward and backward pass put into `seen`."""

    def forward(params: Any, x: Array, key: Array | None = None) -> Any:
        seen.append(params)
        return layer.forward(params, x, key)

    def backward(params: Any, residuals: Any, dy: Array) -> Any:
        seen.append(params)
        return layer.backward(params, residuals, dy)

    return layer._replace(forward=forward, backward=backward)


def test_dropconnect_masks_the_weights_alone(key: Array, random_params: Callable[..., Any]) -> None:
    seen: list[Any] = []
    inner = chain(dense(50, 50), batch_norm(50), dense(50, 50))
    layer = dropconnect(spy(inner, seen), 0.4)
    params = jax.tree.map(jnp.asarray, random_params(layer.init, 0))
    y, residuals = layer.forward(params, X, key)
    dparams, _ = layer.backward(params, residuals, jnp.ones_like(y))
    forward, backward = seen
    for masked in (forward, backward):
        assert jax.tree.map(jnp.shape, masked) == jax.tree.map(jnp.shape, params)
    for i in (0, 2):
        kept = np.asarray(forward[i]["w"] != 0)
        assert kept.mean() == pytest.approx(0.6, abs=0.05)
        np.testing.assert_allclose(
            forward[i]["w"], np.where(kept, params[i]["w"] / 0.6, 0), rtol=1e-15
        )
        np.testing.assert_array_equal(backward[i]["w"], forward[i]["w"])
        assert not np.any(np.asarray(dparams[i]["w"])[~kept])
        assert forward[i]["b"] is params[i]["b"]
        assert np.any(dparams[i]["b"])
    for name in ("scale", "shift"):
        assert forward[1][name] is params[1][name]
    statistics = forward[1]["statistics"], params[1]["statistics"]
    assert isinstance(statistics[0], Statistics)
    assert all(a is b for a, b in zip(*statistics, strict=True))
    assert not np.array_equal(forward[0]["w"] == 0, forward[2]["w"] == 0)


def test_dropconnect_draws_by_its_key_and_gives_the_layer_another(key: Array) -> None:
    inner = chain(dense(50, 50, w_init=np.ones((50, 50)), bias=False), dropout(0.5))
    layer = dropconnect(inner, 0.5)
    params = layer.init(key)
    first, again, other = (
        layer.forward(params, X, k)[0] for k in (key, key, jax.random.fold_in(key, 1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.mean(first != 0) == pytest.approx(0.5, abs=0.05)  # the inner dropout still drops


def test_dropconnect_without_a_key_is_the_layer(key: Array) -> None:
    inner = dense(50, 50, "tanh")
    layer = dropconnect(inner, 0.5)
    params = layer.init(key)
    (y, residuals), (expected, inner_residuals) = (f.forward(params, X) for f in (layer, inner))
    np.testing.assert_array_equal(y, expected)
    for actual, wanted in zip(
        jax.tree.leaves(layer.backward(params, residuals, y)),
        jax.tree.leaves(inner.backward(params, inner_residuals, y)),
        strict=True,
    ):
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
@pytest.mark.parametrize(
    ("make", "name"),
    [(dropout, "dropout"), (lambda rate: dropconnect(dense(2, 2), rate), "dropconnect")],
    ids=["dropout", "dropconnect"],
)
def test_a_rate_out_of_range_is_refused(
    make: Callable[[float], Layer], name: str, rate: float
) -> None:
    with pytest.raises(ValueError, match=rf"{name}: rate must be in \[0, 1\), got"):
        make(rate)
