"""Noisy gradient descent and Polyak's step size against optax and their equations."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim.gradient_descent import gd
from jaxnet.optim.stochastic import noisy_sgd, polyak_sgd

UNKNOWN: Any = "SPS"

NOISY = [
    {"learning_rate": 1e-2, "eta": 0.01, "gamma": 0.55},
    {"learning_rate": 3e-2, "eta": 0.5, "gamma": 1.3},
]


def test_noisy_sgd_draws_the_noise_of_optax(prove: Any, key: jax.Array) -> None:
    prove(noisy_sgd, NOISY, witness=optax.noisy_sgd, static={"key": key})


def test_noisy_sgd_without_noise_is_gradient_descent(prove: Any, key: jax.Array) -> None:
    def plain(learning_rate: Any, eta: Any, gamma: Any, **static: Any) -> Any:
        return gd(learning_rate)

    settings = [{**setting, "eta": 0.0} for setting in NOISY]
    prove(noisy_sgd, settings, witness=plain, static={"key": key})


def test_noise_is_normal_with_the_variance_of_the_paper(key: jax.Array) -> None:
    eta, gamma, lr = 0.3, 0.8, 0.5
    rule = noisy_sgd(lr, eta, gamma, key=key)
    x = {"a": jnp.zeros((50, 200)), "b": jnp.zeros(10_000)}

    def step(state: Any, _: None) -> Any:
        u, state = rule.update(x, state, x)
        return state, u

    state, u = jax.lax.scan(step, rule.init(x), None, 30)
    noise = np.stack([np.asarray(leaf).reshape(30, -1) / -lr for leaf in (u["a"], u["b"])])
    deviations = np.sqrt(eta / (1 + np.arange(30)) ** gamma)
    z = noise / deviations[:, None]
    # 10,000 draws: the variance is known to sqrt(2 / 10,000) = 1.4%.
    np.testing.assert_allclose(z.var(axis=-1), 1, rtol=0.07)
    np.testing.assert_allclose(z.mean(axis=-1), 0, atol=0.05)
    np.testing.assert_allclose((z**4).mean(), 3, rtol=0.02)
    # Neither leaves nor steps share their noise.
    rows = z.reshape(60, -1)
    assert np.abs(np.corrcoef(rows) - np.eye(60)).max() < 0.06
    assert (jax.random.key_data(state.key) != jax.random.key_data(key)).any()


def test_noisy_sgd_leaves_the_key_of_the_caller_alone(key: jax.Array) -> None:
    rule = noisy_sgd(0.1, key=key)
    x = jnp.ones(3)
    jax.jit(rule.update, donate_argnums=1)(x, rule.init(x), x)
    jax.random.key_data(key)  # raises if the buffer was donated


POLYAK = [
    {"max_learning_rate": 1.0, "scaling": 1.0, "f_min": 0.0, "eps": 0.0},
    {"max_learning_rate": 0.3, "scaling": 0.8, "f_min": -0.4, "eps": 1e-2},
    # A loss below this bound: a negative step, or none.
    {"max_learning_rate": 0.7, "scaling": 0.5, "f_min": 10.0, "eps": 1e-1},
]


def test_polyak_sgd(prove: Any) -> None:
    # The gap is a difference, and the norm a sum over all leaves in another order than optax's.
    # scaling is 1 in both: of another one optax takes the square into the norm.
    settings = [POLYAK[0], {**POLYAK[1], "scaling": 1.0}]
    witness = optax.polyak_sgd
    prove(polyak_sgd, settings, witness=witness, tolerance=1e-11, free_tolerance=None)


def test_polyak_sgd_doubles_its_step_with_its_scaling_where_optax_halves_it() -> None:
    x = jnp.ones(3)

    def update(make: Any, scaling: float) -> Any:
        rule = make(scaling=scaling, max_learning_rate=100.0)
        return rule.update(x, rule.init(x), x, value=3.0)[0]

    np.testing.assert_allclose(update(polyak_sgd, 2.0), 2 * update(polyak_sgd, 1.0), rtol=1e-12)
    doubled, plain = (update(optax.polyak_sgd, s) for s in (2.0, 1.0))
    np.testing.assert_allclose(doubled, plain / 2, rtol=1e-12)


@pytest.mark.parametrize("variant", ["sps", "sps+"])
@pytest.mark.parametrize("setting", POLYAK)
def test_polyak_sgd_in_numpy(setting: dict[str, float], variant: Any) -> None:
    scales = {"a": np.asarray([1.0, 4.0, 9.0]), "b": np.asarray([[2.0], [0.5]])}
    start = {"a": np.asarray([1.0, -1.0, 0.5]), "b": np.asarray([[2.0], [-1.0]])}
    rule = polyak_sgd(**setting, variant=variant)

    def loss(x: Any) -> Any:
        return sum(0.5 * (scales[name] * x[name] ** 2).sum() for name in scales)

    def step(carry: Any, _: None) -> Any:
        x, state = carry
        value, g = jax.value_and_grad(loss)(x)
        u, state = rule.update(g, state, x, value=value)
        x = optax.apply_updates(x, u)
        return (x, state), (x, state.learning_rate)

    first = jax.tree.map(jnp.asarray, start)
    _, (path, rates) = jax.lax.scan(step, (first, rule.init(first)), None, 40)
    x, positive = start, variant == "sps+"
    for t in range(40):
        g = {name: scales[name] * x[name] for name in x}
        gap = loss(x) - setting["f_min"]
        norm2 = sum((leaf**2).sum() for leaf in g.values())
        a = (max(gap, 0) if positive else gap) / (norm2 + setting["eps"])
        lr = setting["scaling"] * min(a, setting["max_learning_rate"])
        x = {name: x[name] - lr * g[name] for name in x}
        np.testing.assert_allclose(rates[t], lr, rtol=1e-9, atol=1e-12)
        for name in x:
            np.testing.assert_allclose(path[name][t], x[name], rtol=1e-9, atol=1e-12)


def test_polyak_sgd_goes_on_where_optax_stops() -> None:
    x = jnp.full(3, 1e-9)  # f = |x|^2 / 2, with |g|^2 = 3e-18
    updates = []
    for rule in (polyak_sgd(), optax.polyak_sgd()):
        updates.append(rule.update(x, rule.init(x), x, value=(x**2).sum() / 2)[0])
    np.testing.assert_allclose(updates[0], -x / 2, rtol=1e-12)
    np.testing.assert_array_equal(updates[1], 0)


def test_polyak_sgd_takes_a_schedule(jit: Any) -> None:
    rule = polyak_sgd(scaling=optax.linear_schedule(1.0, 0.0, 2))
    x, update = jnp.ones(2), jit(rule.update)
    u, state = update(x, rule.init(x), x, value=1.0)
    np.testing.assert_allclose(u, -0.5, rtol=1e-6)
    u, state = update(x, state, x, value=1.0)
    np.testing.assert_allclose(u, -0.25, rtol=1e-6)
    assert int(state.step) == 2


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_trees_and_types(dtype: Any, key: jax.Array) -> None:
    x = {"a": jnp.ones((), dtype), "b": jnp.ones((0,), dtype), "c": jnp.ones(2, dtype)}
    for tree in (x, {}):
        for rule in (noisy_sgd(0.1, eta=0.0, key=key), polyak_sgd()):
            zeros = jax.tree.map(jnp.zeros_like, tree)
            u, state = rule.update(zeros, rule.init(tree), tree, value=1.0)
            assert all((leaf == 0).all() for leaf in jax.tree.leaves(u))
            assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(u))
            assert np.isfinite(state.learning_rate)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda k: noisy_sgd(-1.0, key=k), "noisy_sgd: learning_rate must be"),
        (lambda k: noisy_sgd(0.1, eta=-1.0, key=k), "noisy_sgd: eta must be .* got -1.0"),
        (lambda k: noisy_sgd(0.1, gamma=-1.0, key=k), "noisy_sgd: gamma must be"),
        (lambda k: noisy_sgd(0.1, key=k).update(1.0, None), "noisy_sgd: update needs the param"),
        (lambda k: polyak_sgd(-1.0), "polyak_sgd: max_learning_rate must be"),
        (lambda k: polyak_sgd(scaling=-1.0), "polyak_sgd: scaling must be"),
        (lambda k: polyak_sgd(f_min=float("-inf")), "polyak_sgd: f_min must be a finite number"),
        (lambda k: polyak_sgd(eps=-1.0), "polyak_sgd: eps must be"),
        (lambda k: polyak_sgd(variant=UNKNOWN), r"variant must be 'sps' or 'sps\+', got 'SPS'"),
        (lambda k: polyak_sgd().update(1.0, None, value=1.0), "polyak_sgd: update needs the par"),
        (lambda k: polyak_sgd().update(1.0, None, 1.0), "polyak_sgd: update needs the loss"),
    ],
)
def test_messages(make: Callable[[Any], Any], message: str, key: jax.Array) -> None:
    with pytest.raises(ValueError, match=message):
        make(key)
