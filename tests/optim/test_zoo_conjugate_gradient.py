"""Nonlinear conjugate gradients: linear ones on a quadratic, their formulas elsewhere."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet.optim.conjugate_gradient import FORMULAS, conjugate_gradient


def matrix(n: int) -> np.ndarray:
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(n, n)))[0]
    return axes @ np.diag(np.linspace(1, 20, n)) @ axes.T  # type: ignore[no-any-return]


A, B = matrix(6), np.linspace(-1, 2, 6)


def quadratic(x: Array) -> Array:
    return 0.5 * x @ jnp.asarray(A) @ x - jnp.asarray(B) @ x


def rosenbrock(x: Array) -> Array:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def recorded(rule: Any, loss: Any, x: np.ndarray, steps: int) -> list[np.ndarray]:
    """A run's parameters, gradients, updates and step lengths."""

    def step(carry: Any, _: None) -> Any:
        x, state = carry
        value, g = jax.value_and_grad(loss)(x)
        u, state = rule.update(g, state, x, value=value, grad=g, value_fn=loss)
        return (optax.apply_updates(x, u), state), (x, g, u, state.learning_rate)

    run = jax.jit(lambda x: jax.lax.scan(step, (x, rule.init(x)), None, steps)[1])
    return [np.asarray(part) for part in run(jnp.asarray(x))]


@pytest.mark.parametrize("formula", FORMULAS)
def test_on_a_quadratic_it_is_linear_conjugate_gradients(formula: str) -> None:
    x, *_ = recorded(conjugate_gradient(formula, 1e-10, 1e-9), quadratic, np.zeros(6), 7)
    expected = np.zeros(6)
    r = d = B - A @ expected
    for k in range(7):
        np.testing.assert_allclose(x[k], expected, atol=1e-7)
        if k < 6:
            a = (r @ r) / (d @ A @ d)
            expected = expected + a * d
            r, old = r - a * A @ d, r
            d = r + (r @ r) / (old @ old) * d
    np.testing.assert_allclose(x[6], np.linalg.solve(A, B), atol=1e-7)


@pytest.mark.parametrize("formula", FORMULAS)
def test_directions_are_those_of_the_formula(formula: str) -> None:
    start = np.tile([-1.2, 1.0], 3)
    _, g, u, a = recorded(conjugate_gradient(formula), rosenbrock, start, 40)
    d = u / a[:, None]

    def norm(v: np.ndarray) -> float:
        return float(np.linalg.norm(v))

    restarts = 0
    np.testing.assert_allclose(d[0], -g[0])
    for k in range(39):
        new, old, last = g[k + 1], g[k], d[k]
        y = new - old
        hz = (y - 2 * last * (y @ y) / (last @ y)) @ new / (last @ y)
        factor = {
            "fletcher_reeves": norm(new) ** 2 / norm(old) ** 2,
            "polak_ribiere": max(0.0, float(new @ y) / norm(old) ** 2),
            "hestenes_stiefel": new @ y / (last @ y),
            "dai_yuan": norm(new) ** 2 / (last @ y),
            "hager_zhang": max(float(hz), -1 / (norm(last) * min(0.01, norm(old)))),
        }[formula]
        expected = -new + factor * last
        if new @ expected > -0.01 * new @ new:
            expected, restarts = -new, restarts + 1
        np.testing.assert_allclose(d[k + 1], expected, rtol=0, atol=1e-8 * norm(expected))
    assert restarts < 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: conjugate_gradient("powell"),
            "conjugate_gradient: formula must be 'fletcher_reeves' or .*, got 'powell'",
        ),
        (lambda: conjugate_gradient(c2=2.0), r"conjugate_gradient: c2 must be in \(0, 1\)"),
    ],
)
def test_messages(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
