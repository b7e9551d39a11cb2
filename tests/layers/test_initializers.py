from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.layers import INITIALIZERS, dense, initial, normal, uniform

N_IN, N_OUT = 150, 250

# Mean, variance, and the bound that no entry passes (None: a normal distribution has none).
MOMENTS: dict[str, tuple[float, float, float | None]] = {
    "normal": (0.0, 1.0, None),
    "uniform": (0.5, 1 / 12, 1.0),
    "zeros": (0.0, 0.0, 0.0),
    "glorot_normal": (0.0, 2 / (N_IN + N_OUT), None),
    "glorot_uniform": (0.0, 2 / (N_IN + N_OUT), np.sqrt(6 / (N_IN + N_OUT))),
    "he_normal": (0.0, 2 / N_IN, None),
    "he_uniform": (0.0, 2 / N_IN, np.sqrt(6 / N_IN)),
    "lecun_normal": (0.0, 1 / N_IN, None),
    "lecun_uniform": (0.0, 1 / N_IN, np.sqrt(3 / N_IN)),
}


def check_moments(array: Array, mean: float, variance: float, bound: float | None) -> None:
    """Mean and variance within five standard errors; the fourth moment is at most 3 variance^2."""
    assert float(array.mean()) == pytest.approx(mean, abs=5 * np.sqrt(variance / array.size))
    assert float(array.var()) == pytest.approx(variance, rel=5 * np.sqrt(2 / array.size))
    if bound is not None:
        assert np.abs(array).max() <= bound


def test_every_initialiser_has_its_moments_listed() -> None:
    assert set(MOMENTS) == set(INITIALIZERS)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_draws_have_the_moments_of_the_formula(name: str, key: Array) -> None:
    array = initial(name, key, (N_IN, N_OUT))
    assert array.shape == (N_IN, N_OUT)
    check_moments(array, *MOMENTS[name])


def test_normal_and_uniform_take_their_parameters(key: Array) -> None:
    check_moments(normal(0.1, 2.0)(key, (N_IN, N_OUT)), 2.0, 0.01, None)
    drawn = uniform(-3.0, -1.0)(key, (N_IN, N_OUT))
    check_moments(drawn, -2.0, 4 / 12, 3.0)
    assert drawn.max() <= -1.0


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"zeros"}))
def test_the_key_decides_the_draw(name: str, key: Array) -> None:
    shape = (4, 3)
    first, again = initial(name, key, shape), initial(name, key, shape)
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == initial(name, jax.random.fold_in(key, 1), shape))


def test_weights_and_biases_are_drawn_apart(key: Array) -> None:
    params = dense(1, 4, w_init="normal", b_init="normal").init(key)
    assert not np.any(params["w"][0] == params["b"])


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16])
def test_an_explicit_array_is_returned_exactly(dtype: Any, key: Array) -> None:
    given = np.array([[0.1, -0.2], [1e-30, 3.0]]).astype(dtype)
    array = initial(given, key, (2, 2))
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, given)


@pytest.mark.parametrize("given", [[[1, 2]], np.array([[1, 2]], np.int8), [[True, 2]]])
def test_explicit_integers_become_floating(given: Any, key: Array) -> None:
    array = initial(given, key, (1, 2))
    assert array.dtype == jnp.float64  # the default of the tests
    np.testing.assert_array_equal(array, [[1.0, 2.0]])


def test_a_function_is_called_with_the_key_and_the_shape(key: Array) -> None:
    array = initial(lambda k, shape: jax.random.normal(k, shape) + 5, key, (2, 3))
    np.testing.assert_array_equal(array, jax.random.normal(key, (2, 3)) + 5)


def test_an_unknown_name_is_refused_with_the_known_ones(key: Array) -> None:
    with pytest.raises(ValueError, match=r"unknown initialiser 'xavier'; .*glorot_uniform"):
        initial("xavier", key, (2, 2))


@pytest.mark.parametrize("given", [np.ones((3, 2)), np.ones(2), np.ones((1, 2)), 0.0])
def test_an_array_of_another_shape_is_refused(given: Any, key: Array) -> None:
    with pytest.raises(ValueError, match=r"an initial array of shape \(2, 2\) is due here, got"):
        initial(given, key, (2, 2))
