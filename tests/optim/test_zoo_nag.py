"""Nesterov's accelerated gradient and its restarts, and momentum, against their equations."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim.gradient_descent import gd, momentum, nesterov, sgd
from jaxnet.optim.nag import NagState, nag

Step = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def test_nag(prove: Any) -> None:
    def paper(x: np.ndarray, learning_rate: float) -> Step:
        """The form with a velocity; t_k does not depend on the gradients."""
        t_k, v = 1.0, np.zeros_like(x)
        beta = 0.0

        def step(g: np.ndarray, y: np.ndarray, t: int) -> Any:
            nonlocal t_k, v, beta
            t_next = (1 + np.sqrt(1 + 4 * t_k**2)) / 2
            beta_last, beta, t_k = beta, (t_k - 1) / t_next, t_next
            v_last, v = v, beta_last * v - learning_rate * g
            return -beta_last * v_last + (1 + beta) * v

        return step

    # The update is y_{k+1} - y_k of a state that holds x: it is rounded as x is.
    settings = [{"learning_rate": 1e-2}, {"learning_rate": 5e-2}]
    prove(nag, settings, numpy=paper, tolerance=1e-9)


SCALES = {"a": np.logspace(0, 3, 6), "b": np.asarray([[3.0], [70.0]])}
START = {"a": np.linspace(1.0, 2.0, 6), "b": np.asarray([[-1.0], [2.0]])}
STEPS = 400


def loss(x: Any) -> Any:
    """Strongly convex, and no quadratic: the restarts come at no even distance."""
    return sum((0.5 * SCALES[name] * x[name] ** 2 + 0.1 * x[name] ** 4).sum() for name in SCALES)


def slope(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: SCALES[name] * x[name] + 0.4 * x[name] ** 3 for name in SCALES}


def recursion(lr: float, restart: str | None) -> tuple[list[Any], list[Any], list[int]]:
    """y_2, y_3, ..., x_1, x_2, ... and the steps at which the paper's Algorithm 1 began anew."""
    x = y = START
    t, f, ys, xs, restarts = 1.0, np.inf, [], [], []
    for k in range(STEPS):
        g, f_last, f = slope(y), f, loss(y)
        x_last, x = x, {name: y[name] - lr * g[name] for name in y}
        product = sum((g[name] * (x[name] - x_last[name])).sum() for name in g)
        if (restart == "gradient" and product > 0) or (restart == "function" and f > f_last):
            restarts.append(k)
            x_last, t = x, 1.0  # as at the start: the next point is x, the next t_k is 1
            y = x
        else:
            t_next = (1 + np.sqrt(1 + 4 * t**2)) / 2
            y = {name: x[name] + (t - 1) / t_next * (x[name] - x_last[name]) for name in x}
            t = t_next
        ys.append(y)
        xs.append(x)
    return ys, xs, restarts


@pytest.mark.parametrize("restart", [None, "gradient", "function"])
def test_restarts_are_those_of_the_recursion(restart: Any) -> None:
    @jax.jit
    @jax.vmap
    def run(lr: jax.Array) -> Any:
        rule = nag(lr, restart)

        def step(carry: Any, _: None) -> Any:
            y, state = carry
            value, g = jax.value_and_grad(loss)(y)
            u, state = rule.update(g, state, y, value=value)
            y = optax.apply_updates(y, u)
            return (y, state), (y, state.eval_params(y), state.t)

        y = jax.tree.map(jnp.asarray, START)
        return jax.lax.scan(step, (y, rule.init(y)), None, STEPS)[1]

    rates = [8e-4, 3e-4]
    y, x, t = jax.device_get(run(jnp.asarray(rates)))
    for i, lr in enumerate(rates):
        ys, xs, restarts = recursion(lr, restart)
        assert len(restarts) >= (0 if restart is None else 2)
        if restart is not None:
            assert list(np.flatnonzero(t[i] == 1)) == restarts
        for name in START:
            for ours, papers in ((y, ys), (x, xs)):
                expected = np.stack([point[name] for point in papers])
                np.testing.assert_allclose(ours[name][i], expected, rtol=1e-9, atol=1e-12)


def test_restarts_help_where_the_loss_is_strongly_convex() -> None:
    plain, *restarted = (loss(recursion(8e-4, r)[1][-1]) for r in (None, "gradient", "function"))
    assert max(restarted) < 1e-3 * plain


def test_the_plain_state_is_as_it_was() -> None:
    x = {"a": jnp.ones(3)}
    state = nag(0.1).init(x)
    assert isinstance(state, NagState)
    assert state._fields == ("step", "learning_rate", "t", "x")
    assert isinstance(nag(0.1, "gradient").init(x), NagState)
    assert nag(0.1, "function").init(x)._fields == (*state._fields, "value")


@pytest.mark.parametrize("restart", [None, "gradient", "function"])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_trees_and_types(restart: Any, dtype: Any) -> None:
    x = {"a": jnp.ones((), dtype), "b": jnp.ones((0,), dtype), "c": jnp.ones(2, dtype)}
    rule = nag(0.1, restart)
    for tree in (x, {}):
        state = rule.init(tree)
        types = jax.tree.map(lambda leaf: (leaf.dtype, leaf.shape), state)
        for _ in range(2):
            u, state = rule.update(jax.tree.map(jnp.zeros_like, tree), state, tree, value=1.0)
            assert all((leaf == 0).all() for leaf in jax.tree.leaves(u))
            assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(u))
        assert jax.tree.map(lambda leaf: (leaf.dtype, leaf.shape), state) == types


def velocity(x: np.ndarray, learning_rate: float, momentum: float, nesterov: bool) -> Step:
    v = np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal v
        v = momentum * v + g
        return -learning_rate * (g + momentum * v if nesterov else v)

    return step


MOMENTUM = [
    {"learning_rate": 1e-2, "momentum": 0.9},
    {"learning_rate": 3e-2, "momentum": 0.5},
]


@pytest.mark.parametrize("ahead", [False, True])
def test_momentum(prove: Any, ahead: bool) -> None:
    static = {"nesterov": ahead}
    prove(sgd, MOMENTUM, witness=optax.sgd, numpy=velocity, static=static)


def test_sgd_names_the_other_rules() -> None:
    x, g = jnp.ones(3), jnp.asarray([1.0, 2.0, -3.0])
    for rule, same in [
        (sgd(0.1), gd(0.1)),
        (sgd(0.1, 0.8), momentum(0.1, 0.8)),
        (sgd(0.1, 0.8, True), nesterov(0.1, 0.8)),
    ]:
        a, b = rule.update(g, rule.init(x), x)[0], same.update(g, same.init(x), x)[0]
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(sgd(0.1).update(g, sgd(0.1).init(x), x)[0], -0.1 * g, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nag(-1.0), "nag: learning_rate must be a finite number >= 0, got -1.0"),
        (lambda: nag(0.1, "x"), "restart must be None or 'function' or 'gradient', got 'x'"),  # type: ignore[arg-type]
        (lambda: nag(0.1).update(1.0, None), "nag: update needs the parameters"),
        (lambda: nag(0.1, "function").update(1.0, nag(0.1).init(1.0), 1.0), "needs the loss"),
        (lambda: gd(-1.0), "gd: learning_rate must be"),
        (lambda: momentum(0.1, 1.0), r"momentum: momentum must be in \[0, 1\), got 1.0"),
        (lambda: nesterov(0.1, -0.1), "nesterov: momentum must be"),
    ],
)
def test_messages(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
