from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.check import central_differences

POINT = np.array([-1.5, 0.0, 0.3, 2.0])

FUNCTIONS: list[tuple[Callable[[Array], Array], Callable[[np.ndarray], np.ndarray]]] = [
    (lambda v: jnp.sum(v**3 - 2 * v), lambda v: 3 * v**2 - 2),
    (lambda v: jnp.sum(v[:-1] * v[1:]), lambda v: np.append(v[1:], 0) + np.append(0, v[:-1])),
    (lambda v: jnp.sum(jnp.exp(v / 10)), lambda v: np.exp(v / 10) / 10),
    (lambda v: jnp.sum(jnp.sin(v)), np.cos),
]


@pytest.mark.parametrize(("f", "derivative"), FUNCTIONS, ids=["cubic", "products", "exp", "sin"])
def test_derivatives_that_are_known(
    f: Callable[[Array], Array], derivative: Callable[[np.ndarray], np.ndarray]
) -> None:
    numeric = central_differences(f, jnp.asarray(POINT))
    np.testing.assert_allclose(numeric, derivative(POINT), rtol=1e-9, atol=1e-9)


def test_the_step_grows_with_the_entry() -> None:
    # With a step of 1e-3 rounding would leave 1e-3 relative error.
    numeric = central_differences(lambda v: jnp.sum(v**2), jnp.asarray([1e6, -1e6]))
    np.testing.assert_allclose(numeric, [2e6, -2e6], rtol=1e-9)


def test_polynomials_to_the_fourth_degree_have_no_remainder_even_for_a_large_step() -> None:
    point = jnp.asarray([0.5, 3.0])
    numeric = central_differences(lambda v: jnp.sum(v**4), point, step=0.1)
    np.testing.assert_allclose(numeric, 4 * point**3, rtol=1e-12)


def test_entries_are_chosen_by_number() -> None:
    f, derivative = FUNCTIONS[0]
    numeric = central_differences(f, jnp.asarray(POINT), np.array([3, 0]))
    np.testing.assert_allclose(numeric, derivative(POINT)[[3, 0]], rtol=1e-9)


def test_inside_a_compiled_program() -> None:
    f, derivative = FUNCTIONS[2]
    numeric = jax.jit(lambda v: central_differences(f, v))(jnp.asarray(POINT))
    np.testing.assert_allclose(numeric, derivative(POINT), rtol=1e-9)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32])
def test_fewer_digits_than_float64_are_refused(dtype: type) -> None:
    with pytest.raises(TypeError, match=r"^central_differences: x must be float64, got"):
        central_differences(jnp.sum, jnp.ones(2, dtype))
