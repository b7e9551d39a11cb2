from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.layers import dense

W = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
B = np.array([0.5, -0.5, 0.0])


def test_it_is_affine_in_known_numbers(key: Array) -> None:
    layer = dense(2, 3, w_init=W, b_init=B)
    params = layer.init(key)
    y, residuals = layer.forward(params, jnp.asarray([[1.0, 1.0], [0.0, -1.0]]))
    np.testing.assert_array_equal(y, [[5.5, 6.5, 9.0], [-3.5, -5.5, -6.0]])
    # dw = x^T dz, db = the sum of the rows of dz, dx = dz w^T.
    dparams, dx = layer.backward(params, residuals, jnp.asarray([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]))
    np.testing.assert_array_equal(dparams["w"], [[1, 0, 2], [1, -3, 2]])
    np.testing.assert_array_equal(dparams["b"], [1, 3, 2])
    np.testing.assert_array_equal(dx, [[7, 16], [6, 15]])


def test_without_a_bias_there_is_none(key: Array) -> None:
    layer = dense(2, 3, bias=False, w_init=W)
    params = layer.init(key)
    assert list(params) == ["w"]
    y, residuals = layer.forward(params, jnp.zeros((1, 2)))
    np.testing.assert_array_equal(y, [[0, 0, 0]])
    assert list(layer.backward(params, residuals, y)[0]) == ["w"]


def test_rows_do_not_meet_and_leading_axes_are_rows(key: Array) -> None:
    layer = dense(2, 3, "tanh", w_init=W, b_init=B)
    params = layer.init(key)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 2)))
    y, _ = layer.forward(params, x)
    assert y.shape == (4, 5, 3)
    np.testing.assert_allclose(y[2, 3], layer.forward(params, x[2, 3])[0], rtol=1e-15)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (-1, 3), (3, 2.0), ("3", 2), (True, 2)])
def test_a_size_that_is_no_positive_integer_is_refused(sizes: Any) -> None:
    with pytest.raises(ValueError, match=r"dense: n_(in|out) must be a positive integer, got"):
        dense(*sizes)


def test_a_size_may_be_a_numpy_integer(key: Array) -> None:
    assert dense(np.int64(2), np.int32(3)).init(key)["w"].shape == (2, 3)  # type: ignore[arg-type]


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown activation 'tan'"):
        dense(2, 3, "tan")


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (1,), ()])
def test_inputs_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"dense\(2, 3\): x has shape .* must hold 2 features"):
        dense(2, 3).forward({"w": W, "b": B}, jnp.ones(shape))


@pytest.mark.parametrize("shape", [(2, 1), (1, 3), (3, 2), (2,)])
def test_weights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"dense\(2, 3\): w must have shape \(2, 3\), got"):
        dense(2, 3).forward({"w": jnp.ones(shape), "b": jnp.zeros(3)}, jnp.ones((4, 2)))
