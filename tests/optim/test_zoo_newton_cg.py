"""Newton-CG's directions against its algorithm in NumPy, and its minima against SciPy's."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize  # type: ignore[import-untyped]
from jax import Array

from jaxnet.optim import minimize, newton_cg


def loss(x: Array) -> Any:
    """Bends down between its two valleys: near 0 the first entry's curvature is negative."""
    return (x[0] ** 2 - 1) ** 2 + jnp.sum(jnp.arange(1.0, x.size + 1) * (x - x[0] / 4) ** 4) + x[1]


def direction(hessian: np.ndarray, g: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Nocedal & Wright, Algorithm 7.1, with a matrix."""
    norm = np.linalg.norm(g)
    enough = min(0.5, np.sqrt(norm)) * norm
    z, r, p = np.zeros_like(g), g, -g
    for count in range(1, most + 1):
        curvature = p @ hessian @ p
        if curvature <= 0:
            return (-g if count == 1 else z), count
        alpha = r @ r / curvature
        z = z + alpha * p
        r_new = r + alpha * hessian @ p
        if np.linalg.norm(r_new) <= enough:
            return z, count
        p = -r_new + (r_new @ r_new) / (r @ r) * p
        r = r_new
    return z, most


@pytest.mark.parametrize("max_products", [None, 2])
def test_directions_are_the_algorithm_s(max_products: int | None) -> None:
    rule = newton_cg(max_products)

    @jax.jit
    def step(x: Array, state: Any) -> Any:
        value, g = jax.value_and_grad(loss)(x)
        u, state = rule.update(g, state, x, value=value, value_fn=loss)
        return u, state, g, jax.hessian(loss)(x)

    counts = []
    for start in (0.1 * np.ones(5), np.linspace(-3, 2, 5)):
        x, state, products = jnp.asarray(start), rule.init(jnp.asarray(start)), 0
        for _ in range(8):
            u, state, g, hessian = step(x, state)
            d, count = direction(np.asarray(hessian), np.asarray(g), max_products or 100)
            products += count
            counts.append(count)
            assert state.evaluations.nhev == products
            np.testing.assert_allclose(u, state.learning_rate * d, rtol=1e-9, atol=1e-12)
            x = optax.apply_updates(x, u)
    assert min(counts) == 1  # a first direction bends down
    assert max(counts) == (max_products or 3)


def test_a_quadratic_takes_steps_of_length_one() -> None:
    scales = jnp.logspace(0, 2, 6)
    found = minimize(lambda x: 0.5 * jnp.sum(scales * (x - 1) ** 2), np.zeros(6), "newton_cg")
    assert found.success
    assert found.nfev == found.nit + 1  # each step is the first that is tried
    np.testing.assert_allclose(found.x, 1, atol=1e-6)


def test_it_ends_where_scipy_does_with_as_few_evaluations() -> None:
    def rosenbrock(x: Array) -> Any:
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    x0 = np.tile([-1.2, 1.0], 5)
    value_and_grad = jax.jit(jax.value_and_grad(rosenbrock))
    hessian = jax.jit(jax.hessian(rosenbrock))
    expected = scipy.optimize.minimize(
        lambda x: jax.device_get(value_and_grad(x)),
        x0,
        jac=True,
        hess=lambda x: np.asarray(hessian(x)),
        method="Newton-CG",
    )
    found = minimize(rosenbrock, x0, "newton_cg")
    assert found.success
    np.testing.assert_allclose(found.x, 1, atol=1e-6)
    np.testing.assert_allclose(found.x, expected.x, atol=1e-3)
    assert found.nfev <= 1.25 * expected.nfev
    assert found.nhev > found.nit


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"newton_cg: max_products must be .* >= 1, got 0"):
        newton_cg(max_products=0)
    with pytest.raises(ValueError, match=r"newton_cg: c1 must be in \(0, 1\), got 2.0"):
        newton_cg(c1=2.0)
