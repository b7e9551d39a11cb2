"""AW-SGD against its equations, by enumeration, and what it does to the gradient's variance."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet import models, train
from jaxnet.optim import aw_sgd, gd, sampling_probabilities
from jaxnet.optim.aw_sgd import draw

N = 6


def q_of(tau: Any, uniform: float) -> Any:
    return (1 - uniform) * jax.nn.softmax(tau) + uniform / N


@pytest.mark.parametrize("uniform", [0.0, 0.1, 1.0])
def test_the_sampler_descends_the_variance(uniform: float) -> None:
    """The mean step of tau over all draws is minus the derivative of E |d|^2, by jax.grad."""
    squares = jnp.linspace(0.5, 4, N)  # |grad f_i|^2
    tau = jnp.linspace(-1, 1, N)
    q = q_of(tau, uniform)
    rule = aw_sgd(0.1, N, sampler_rate=0.3, uniform=uniform)
    x = jnp.zeros(2)
    state = rule.init(x)._replace(tau=tau, probabilities=q)

    @jax.jit
    @jax.vmap
    def step(i: Array) -> Array:
        seen = {"rows": i[None], "squared_norms": (squares[i] / (N * q[i]) ** 2)[None]}
        moved: Array = rule.update(x, state, x, **seen)[1].tau - tau
        return moved

    mean = q @ step(jnp.arange(N))
    second_moment = jax.grad(lambda tau: jnp.sum(squares / (N**2 * q_of(tau, uniform))))(tau)
    np.testing.assert_allclose(mean, -0.3 * second_moment, rtol=1e-12, atol=1e-15)


def test_a_batch_takes_the_mean_of_its_draws() -> None:
    rule = aw_sgd(0.1, N)
    x = {"w": jnp.ones(2)}
    g = {"w": jnp.asarray([1.0, -3.0])}
    state = rule.init(x)
    rows, norms = jnp.asarray([4, 0, 4]), jnp.asarray([1.0, 2.0, 5.0])
    single = [
        rule.update(g, state, x, rows=rows[i : i + 1], squared_norms=norms[i : i + 1])[1].tau
        for i in range(3)
    ]
    u, after = jax.jit(rule.update)(g, state, x, rows=rows, squared_norms=norms)
    np.testing.assert_allclose(after.tau, np.mean(single, axis=0), rtol=1e-12)
    np.testing.assert_allclose(after.probabilities, q_of(after.tau, 0.1), rtol=1e-12)
    np.testing.assert_allclose(u["w"], [-0.1, 0.3])
    u, still = rule.update(g, state, x)  # without draws it is gradient descent
    np.testing.assert_allclose(u["w"], gd(0.1).update(g, gd(0.1).init(x), x)[0]["w"], rtol=1e-12)
    np.testing.assert_array_equal(still.tau, state.tau)


def test_draws_follow_the_distribution_and_weights_make_up_for_it() -> None:
    rule = optax.chain(optax.clip(1.0), aw_sgd(0.1, N))
    state = rule.init(jnp.zeros(1))
    q = jnp.asarray([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    state = (state[0], state[1]._replace(probabilities=q))
    rows, weights = jax.jit(draw, static_argnums=2)(state, jax.random.key(0), 20_000)
    np.testing.assert_allclose(np.bincount(rows, minlength=N) / 20_000, q, atol=0.012)
    np.testing.assert_allclose(weights, 1 / (N * q[rows]), rtol=1e-12)


def imbalanced() -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping classes; the second has 10 of 500 examples."""
    rng = np.random.default_rng(0)
    t = np.arange(500) >= 490
    return rng.normal(size=(500, 5)) + 1.5 * t[:, None], t.astype(int)


def test_fit_learns_a_sampling_of_lower_variance() -> None:
    model, (x, t) = models.softmax_regression(5, 2), imbalanced()
    result = train.fit(
        model,
        aw_sgd(0.1, examples=500, sampler_rate=1.0),
        (x, t),
        steps=1500,
        batch_size=16,
        sampling="learned",
        progress=False,
    )
    q = np.asarray(sampling_probabilities(result.state))
    grads = jax.vmap(lambda x, t: model.value_and_grad(result.params, (x[None], t[None]))[1])(x, t)
    g = np.concatenate([leaf.reshape(500, -1) for leaf in jax.tree.leaves(grads)], axis=1)
    mean = np.sum(g.mean(axis=0) ** 2)

    def variance(q: np.ndarray) -> float:
        """The trace of the covariance of g_i / (n q_i), i drawn from q: exact, by enumeration."""
        return float(np.sum(g**2 / (500**2 * q[:, None])) - mean)

    uniform = np.full(500, 1 / 500)
    assert variance(q) < variance(uniform) / 5  # an eighth, when this was written
    least = np.linalg.norm(g, axis=1)
    assert variance(least / least.sum()) < variance(q)
    assert q[t == 1].mean() > 10 * q[t == 0].mean()
    by_gd = train.fit(model, gd(0.1), (x, t), steps=1500, progress=False)
    assert abs(model.loss(result.params, (x, t)) - model.loss(by_gd.params, (x, t))) < 0.01


@pytest.mark.parametrize("gradient", ["hand", "auto"])
def test_a_step_of_fit_is_the_weighted_gradient_s(gradient: Any) -> None:
    model, rule = models.mlp([3, 4, 2], "tanh", l2=0.01), aw_sgd(0.5, examples=7)
    x, t = np.random.default_rng(1).normal(size=(7, 3)), np.arange(7) % 2
    params = model.init(jax.random.key(0))
    result = train.fit(
        model,
        rule,
        (x, t),
        steps=1,
        batch_size=4,
        sampling="learned",
        params=params,
        gradient=gradient,
        progress=False,
    )
    # At the first step the sampling is uniform and all weights are 1.
    moved = jax.tree.map(lambda new, old: (old - new) / 0.5, result.params, params)
    tau = np.asarray(result.state.tau)
    grads = [model.value_and_grad(params, (x[i : i + 1], t[i : i + 1]))[1] for i in range(7)]
    squares = [sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(g)) for g in grads]
    # tau_i = eta (1 - u) (c_i - mean c) with c_i = (times drawn) |d_i|^2 / 4: find the times.
    times = (tau - tau.min()) / (0.1 * 0.9) * 4 / squares
    np.testing.assert_allclose(times, np.round(times), atol=1e-6)
    assert round(times.sum()) == 4
    expected = jax.tree.map(
        lambda *g: sum(n * a for n, a in zip(times, g, strict=True)) / 4, *grads
    )
    for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_messages() -> None:
    for arguments, message in (
        ({"examples": 0}, "aw_sgd: examples must be a whole number >= 1, got 0"),
        ({"examples": 3, "uniform": 1.5}, r"aw_sgd: uniform must be in \[0, 1\], got 1.5"),
        ({"examples": 3, "sampler_rate": -1.0}, r"aw_sgd: sampler_rate must be .* >= 0, got -1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            aw_sgd(0.1, **arguments)
    with pytest.raises(ValueError, match="not one of aw_sgd's"):
        draw(gd(0.1).init(jnp.ones(1)), jax.random.key(0), 2)
    x, t = np.ones((6, 3)), np.arange(6) % 2
    model = models.mlp([3, 2])

    def fit(rule: Any, model: Any = model, **arguments: Any) -> None:
        train.fit(model, rule, (x, t), steps=1, progress=False, **arguments)

    learned = {"batch_size": 2, "sampling": "learned"}
    with pytest.raises(ValueError, match=r"belong together, .* learns no sampling"):
        fit(gd(0.1), **learned)
    for incomplete in ({}, {"batch_size": 2}, {"sampling": "learned"}):
        with pytest.raises(ValueError, match=r"belong together, .* learns its sampling"):
            fit(aw_sgd(0.1, 6), **incomplete)
    with pytest.raises(ValueError, match="aw_sgd was made for examples=5, but data have 6 rows"):
        fit(aw_sgd(0.1, 5), **learned)
