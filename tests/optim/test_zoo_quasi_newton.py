"""BFGS and L-BFGS against optax's directions and against their formulas."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet.optim.quasi_newton import bfgs, lbfgs

STEPS = 30


def loss(p: Any) -> Array:
    """Rosenbrock's function of five numbers in two leaves."""
    x = jnp.concatenate([p["a"].ravel(), p["b"][None]])
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


START = {"a": np.array([[-1.2, 1.0], [-1.2, 1.0]]), "b": np.array(-1.2)}


def recorded(rule: optax.GradientTransformationExtraArgs) -> tuple[Any, Any, Any, Any]:
    """A run's parameters, gradients, updates and step lengths."""

    def step(carry: Any, _: None) -> Any:
        x, state = carry
        value, g = jax.value_and_grad(loss)(x)
        u, state = rule.update(g, state, x, value=value, grad=g, value_fn=loss)
        return (optax.apply_updates(x, u), state), (x, g, u, state.learning_rate)

    x = jax.tree.map(jnp.asarray, START)
    run = jax.jit(lambda x: jax.lax.scan(step, (x, rule.init(x)), None, STEPS)[1])(x)
    return run  # type: ignore[no-any-return]


def vectors(tree: Any) -> np.ndarray:
    return np.concatenate(
        [np.asarray(leaf).reshape(STEPS, -1) for leaf in jax.tree.leaves(tree)], 1
    )


@pytest.mark.parametrize(("memory_size", "scale"), [(10, True), (3, True), (10, False)])
def test_lbfgs_has_the_directions_of_optax(memory_size: int, scale: bool) -> None:
    x, g, u, a = recorded(lbfgs(memory_size, scale, c1=1e-3, c2=0.7))
    witness = optax.lbfgs(1.0, memory_size, scale, linesearch=None)

    def step(state: Any, seen: Any) -> Any:
        d, state = witness.update(seen[1], state, seen[0])
        return state, d

    first = jax.tree.map(lambda leaf: leaf[0], x)
    d = jax.jit(lambda x, g: jax.lax.scan(step, witness.init(first), (x, g))[1])(x, g)
    ours = vectors(u) / np.asarray(a)[:, None]
    # From the second step on: the first direction's length is a matter of the search here.
    error = np.abs(ours - vectors(d))[1:].max(1) / np.abs(vectors(d))[1:].max(1)
    # Differences of nearby parameters, which both form in another way, cost digits.
    assert error.max() <= 1e-9


@pytest.mark.parametrize("scale", [False, True])
def test_bfgs_has_the_directions_of_its_formula(scale: bool) -> None:
    x, g, u, a = (
        np.asarray(t) if hasattr(t, "shape") else vectors(t) for t in recorded(bfgs(scale))
    )
    eye = np.eye(5)
    h = eye
    for k in range(STEPS):
        d = -h @ g[k]
        np.testing.assert_allclose(u[k] / a[k], d, rtol=0, atol=1e-7 * np.abs(d).max())
        if k + 1 < STEPS:
            s, y = x[k + 1] - x[k], g[k + 1] - g[k]
            rho = 1 / (s @ y)
            if k == 0 and scale:
                h = (s @ y) / (y @ y) * eye
            left = eye - rho * np.outer(s, y)
            h = left @ h @ left.T + rho * np.outer(s, s)
            np.testing.assert_allclose(h @ y, s, atol=1e-9)  # the secant equation


@pytest.mark.parametrize("rule", [bfgs, lbfgs])
def test_a_sweep_is_one_program(rule: Any) -> None:
    def last(c2: Array) -> Array:
        optimizer = rule(c2=c2)

        def step(carry: Any, _: None) -> Any:
            x, state = carry
            value, g = jax.value_and_grad(loss)(x)
            u, state = optimizer.update(g, state, x, value=value, value_fn=loss)
            return (optax.apply_updates(x, u), state), None

        x = jax.tree.map(jnp.asarray, START)
        return loss(jax.lax.scan(step, (x, optimizer.init(x)), length=2)[0][0])

    c2 = jnp.asarray([0.1, 0.9])
    swept = jax.jit(jax.vmap(last))(c2)
    np.testing.assert_allclose(swept, [jax.jit(last)(c) for c in c2], rtol=1e-9)
    assert (swept < loss(START)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lbfgs(0), "lbfgs: memory_size must be a whole number >= 1, got 0"),
        (lambda: lbfgs(c1=0.0), r"lbfgs: c1 must be in \(0, 1\), got 0.0"),
        (lambda: bfgs(c2=1.0), r"bfgs: c2 must be in \(0, 1\), got 1.0"),
        (lambda: bfgs(c1=0.9, c2=0.1), "bfgs: c1 must be less than c2, got c1=0.9 and c2=0.1"),
        (lambda: bfgs(max_evaluations=0), "bfgs: max_evaluations must be a whole number"),
        (lambda: bfgs().update(1.0, None), "bfgs: update needs the parameters"),
        (lambda: bfgs().update(1.0, None, 1.0, value=1.0), "bfgs: update needs the loss"),
    ],
)
def test_messages(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
