"""Batch normalisation's statistics: the batch's, the running ones and how they move."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.layers import Statistics, batch_norm, chain, dense, dropconnect, residual

RANDOM = np.random.default_rng(4)
X = jnp.asarray(RANDOM.normal(3.0, 2.0, size=(40, 3)))


def params(**changes: Any) -> dict[str, Any]:
    start = {
        "scale": jnp.ones(3),
        "shift": jnp.zeros(3),
        "statistics": Statistics(jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([0.5, 1.0, 2.0])),
    }
    return start | changes


def test_init_is_the_identity_in_evaluation(key: Array) -> None:
    layer = batch_norm(3, eps=1e-30)
    start = layer.init(key)
    assert list(start) == ["scale", "shift", "statistics"]
    np.testing.assert_allclose(layer.forward(start, X)[0], X, rtol=1e-15)


@pytest.mark.parametrize("shape", [(40, 3), (5, 8, 3)])
def test_in_training_every_feature_has_mean_0_and_variance_1(
    shape: tuple[int, ...], key: Array
) -> None:
    y = batch_norm(3, eps=1e-12).forward(params(), X.reshape(shape), key)[0].reshape(40, 3)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-10)


def test_scale_and_shift_come_after_the_normalisation(key: Array) -> None:
    layer = batch_norm(3)
    scale, shift = jnp.asarray([2.0, -1.0, 0.5]), jnp.asarray([1.0, 0.0, -3.0])
    plain = layer.forward(params(), X, key)[0]
    np.testing.assert_allclose(
        layer.forward(params(scale=scale, shift=shift), X, key)[0], scale * plain + shift
    )


def test_evaluation_uses_the_running_statistics_and_rows_do_not_meet() -> None:
    layer, start = batch_norm(3, eps=1e-3), params()
    mean, variance = start["statistics"]
    expected = (X - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(layer.forward(start, X)[0], expected, rtol=1e-13)
    np.testing.assert_allclose(layer.forward(start, X[:1])[0], expected[:1], rtol=1e-13)


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_observe_moves_the_statistics_by_the_decay(decay: float, key: Array) -> None:
    layer, start = batch_norm(3, decay=decay), params()
    moved = layer.observe(start, layer.forward(start, X, key)[1])
    mean, variance = start["statistics"]
    np.testing.assert_allclose(
        moved["statistics"].mean, decay * mean + (1 - decay) * np.mean(X, axis=0)
    )
    np.testing.assert_allclose(  # the batch's variance with m - 1
        moved["statistics"].variance, decay * variance + (1 - decay) * np.var(X, axis=0, ddof=1)
    )
    assert moved["scale"] is start["scale"]
    assert moved["shift"] is start["shift"]


def test_the_statistics_converge_to_those_of_the_data(key: Array) -> None:
    layer = batch_norm(3, decay=0.5)
    start = layer.init(key)
    for _ in range(60):
        start = layer.observe(start, layer.forward(start, X, key)[1])
    np.testing.assert_allclose(start["statistics"].mean, np.mean(X, axis=0), rtol=1e-12)
    np.testing.assert_allclose(start["statistics"].variance, np.var(X, axis=0, ddof=1), rtol=1e-12)


def test_observe_of_one_row_is_finite(key: Array) -> None:
    layer, start = batch_norm(3, decay=0.5), params()
    moved = layer.observe(start, layer.forward(start, X[:1], key)[1])
    np.testing.assert_allclose(moved["statistics"].variance, start["statistics"].variance / 2)


def test_observe_leaves_the_parameters_alone_in_evaluation() -> None:
    layer, start = batch_norm(3), params()
    assert layer.observe(start, layer.forward(start, X)[1]) is start


def test_the_statistics_have_no_gradient_in_training_and_one_in_evaluation(key: Array) -> None:
    layer, start = batch_norm(3), params()
    dy = jnp.asarray(RANDOM.normal(size=X.shape))
    for training in (True, False):
        residuals = layer.forward(start, X, key if training else None)[1]
        statistics = layer.backward(start, residuals, dy)[0]["statistics"]
        assert isinstance(statistics, Statistics)
        for gradient in statistics:
            assert bool(jnp.all(gradient == 0)) == training


def test_statistics_are_observed_inside_every_combination(key: Array) -> None:
    norm = batch_norm(3, decay=0.0)
    layer = chain(
        norm,
        residual(chain(norm)),
        dropconnect(chain(norm, dense(3, 2)), 0.0),
    )
    start = layer.init(key)
    moved = layer.observe(start, layer.forward(start, X, key)[1])
    places = [moved[0], moved[1][0], moved[2][0]]
    inputs = [X, *([None] * 2)]
    normalised = norm.forward(norm.init(key), X, key)[0]
    inputs[1], inputs[2] = normalised, normalised + norm.forward(norm.init(key), normalised, key)[0]
    for place, x in zip(places, inputs, strict=True):
        assert x is not None
        np.testing.assert_allclose(place["statistics"].mean, jnp.mean(x, axis=0), atol=1e-14)
        np.testing.assert_allclose(place["statistics"].variance, jnp.var(x, axis=0, ddof=1))
    assert jax.tree.map(jnp.shape, moved) == jax.tree.map(jnp.shape, start)
    assert moved[2][1] is start[2][1]


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"batch_norm: decay must be in \[0, 1\], got"):
        batch_norm(3, decay=decay)


@pytest.mark.parametrize("n", [0, 2.0, True])
def test_a_number_of_features_that_is_no_positive_integer_is_refused(n: Any) -> None:
    with pytest.raises(ValueError, match="batch_norm: n must be a positive integer, got"):
        batch_norm(n)


@pytest.mark.parametrize("eps", [0.0, -1e-5, float("nan")])
def test_an_eps_out_of_range_is_refused(eps: float) -> None:
    with pytest.raises(ValueError, match="batch_norm: eps must be positive, got"):
        batch_norm(3, eps=eps)


def test_inputs_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_norm\(3\): x has shape \(5, 1\), but .* 3 feat"):
        batch_norm(3).forward(params(), jnp.ones((5, 1)))
