from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.layers import powers


def test_the_columns_are_grouped_by_power(key: Array) -> None:
    layer = powers(3)
    assert layer.init(key) == {}
    y, _ = layer.forward({}, jnp.asarray([[2.0, -1.0], [0.0, 3.0]]))
    np.testing.assert_array_equal(y, [[2, -1, 4, 1, 8, -1], [0, 3, 0, 9, 0, 27]])


def test_the_derivative_at_zero_is_that_of_the_first_power() -> None:
    layer = powers(3)
    x = jnp.zeros((1, 1))
    _, dx = layer.backward({}, layer.forward({}, x)[1], jnp.asarray([[5.0, 7.0, 11.0]]))
    np.testing.assert_array_equal(dx, [[5.0]])


@pytest.mark.parametrize("degree", [0, -1, 2.0, "2"])
def test_a_degree_that_is_no_positive_integer_is_refused(degree: Any) -> None:
    with pytest.raises(ValueError, match="powers: degree must be a positive integer, got"):
        powers(degree)
