from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.layers import layer_norm

X = jnp.asarray(np.random.default_rng(5).normal(3.0, 2.0, size=(2, 4, 6)))


def test_every_row_has_mean_0_and_variance_1(key: Array) -> None:
    layer = layer_norm(6, eps=1e-12)
    params = layer.init(key)
    assert list(params) == ["scale", "shift"]
    y, _ = layer.forward(params, X)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=1e-10)
    np.testing.assert_array_equal(layer.forward(params, X, key)[0], y)  # the same in training


def test_scale_shift_and_eps_are_where_the_definition_has_them() -> None:
    scale, shift = np.linspace(-1, 1, 6), np.linspace(0, 5, 6)
    params = {"scale": jnp.asarray(scale), "shift": jnp.asarray(shift)}
    x = np.asarray(X)
    centred = x - x.mean(axis=-1, keepdims=True)
    expected = centred / np.sqrt(x.var(axis=-1, keepdims=True) + 0.5) * scale + shift
    np.testing.assert_allclose(layer_norm(6, eps=0.5).forward(params, X)[0], expected, rtol=1e-13)


@pytest.mark.parametrize("n", [0, 2.0, True])
def test_a_number_of_features_that_is_no_positive_integer_is_refused(n: Any) -> None:
    with pytest.raises(ValueError, match="layer_norm: n must be a positive integer, got"):
        layer_norm(n)


@pytest.mark.parametrize("eps", [0.0, -1.0, float("nan")])
def test_an_eps_that_is_not_positive_is_refused(eps: float) -> None:
    with pytest.raises(ValueError, match="layer_norm: eps must be positive, got"):
        layer_norm(3, eps=eps)


@pytest.mark.parametrize("shape", [(6, 4), (6, 1), ()])
def test_inputs_of_another_width_are_refused(shape: tuple[int, ...], key: Array) -> None:
    layer = layer_norm(6)
    with pytest.raises(ValueError, match=r"layer_norm\(6\): x has shape .* must hold 6 features"):
        layer.forward(layer.init(key), jnp.ones(shape))
