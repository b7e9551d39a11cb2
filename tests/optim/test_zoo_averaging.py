"""The schedule-free rules and MADGRAD against optax and against their papers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import optim
from jaxnet.optim.averaging import madgrad, schedule_free_adamw, schedule_free_sgd


def paper_schedule_free(
    x: np.ndarray,
    learning_rate: Any,
    b1: float,
    weight_decay: float,
    weight_lr_power: float,
    b2: float | None = None,
    eps: float = 0.0,
    warmup_steps: int | None = None,
) -> Callable[..., np.ndarray]:
    """The three sequences x, y, z; of the parameters it is given, y, it uses the decay alone."""
    z, v = x.copy(), np.zeros_like(x)
    largest = weights = 0.0

    def step(g: np.ndarray, y: np.ndarray, t: int) -> np.ndarray:
        nonlocal x, z, v, largest, weights
        rate = learning_rate(t - 1) if callable(learning_rate) else learning_rate
        if warmup_steps is not None:
            rate *= min(1, t / warmup_steps)
        largest = max(largest, rate)
        weights += largest**weight_lr_power
        c = largest**weight_lr_power / weights if weights > 0 else 0.0
        if b2 is not None:
            v = b2 * v + (1 - b2) * g**2
            g = g / (np.sqrt(v / (1 - b2**t)) + eps)
        z = z - rate * (g + weight_decay * y)
        x = (1 - c) * x + c * z
        update: np.ndarray = (1 - b1) * z + b1 * x - y
        return update

    return step


def curve(x: Any) -> Any:
    return jnp.sum(jnp.logspace(-1, 1, 4) * (x - 1) ** 2) / 2 + jnp.sum(jnp.cos(x))


def check(
    ours: Callable[..., Any],
    settings: list[dict[str, float]],
    witness: Callable[..., Any],
    paper: Callable[..., Any],
) -> None:
    """200 steps of a rule by itself; its paper and optax answer to the same parameters.

    The update is a difference of new and old parameters, and its rounding that of the parameters,
    so these are compared: to 1e-12, and, as a single step amplifies nothing, to 1e-5 in float32.
    """
    hypers = {name: jnp.asarray([s[name] for s in settings]) for name in settings[0]}

    def run(hypers: dict[str, Any], x0: Any) -> Any:
        rules = [ours(**hypers), witness(**hypers)]

        def step(carry: Any, _: None) -> Any:
            x, states = carry
            g = jax.grad(curve)(x)
            answers = [r.update(g, s, x) for r, s in zip(rules, states, strict=True)]
            u, their_u = (u for u, _ in answers)
            return ((x + u).astype(x.dtype), [s for _, s in answers]), (x, g, u, their_u)

        return jax.lax.scan(step, (x0, [r.init(x0) for r in rules]), None, 200)[1]

    start = jnp.linspace(-1.0, 2.0, 4)
    runs = jax.jit(jax.vmap(run, in_axes=(0, None)))
    x, g, u, theirs = jax.device_get(runs(hypers, start))
    np.testing.assert_allclose(x + u, x + theirs, rtol=1e-12, atol=1e-12)
    for i, setting in enumerate(settings):
        step = paper(x[i, 0], **setting)
        expected = np.stack([step(g[i, t], x[i, t], t + 1) for t in range(200)])
        np.testing.assert_allclose(x[i] + u[i], x[i] + expected, rtol=1e-12, atol=1e-12)
    single = {name: h.astype(np.float32) for name, h in hypers.items()}
    x, _, u, theirs = jax.device_get(runs(single, start.astype(np.float32)))
    assert u.dtype == np.float32
    np.testing.assert_allclose(x + u, x + theirs, rtol=1e-5, atol=1e-5)


def test_schedule_free_sgd() -> None:
    settings = [
        {"learning_rate": 0.1, "b1": 0.9, "weight_decay": 0.0, "weight_lr_power": 2.0},
        {"learning_rate": 0.02, "b1": 0.6, "weight_decay": 1e-2, "weight_lr_power": 0.5},
    ]
    check(schedule_free_sgd, settings, optax.contrib.schedule_free_sgd, paper_schedule_free)


ADAMW = [
    {
        "learning_rate": 0.0025,
        "b1": 0.9,
        "b2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "weight_lr_power": 2.0,
    },
    {
        "learning_rate": 0.02,
        "b1": 0.6,
        "b2": 0.9,
        "eps": 1e-3,
        "weight_decay": 1e-2,
        "weight_lr_power": 0.5,
    },
]


def test_schedule_free_adamw() -> None:
    check(schedule_free_adamw, ADAMW, optax.contrib.schedule_free_adamw, paper_schedule_free)


def run(rule: Any, steps: int) -> Any:
    """The parameters, gradients and updates of a run, the last state, and the point to evaluate."""

    def step(carry: Any, _: None) -> Any:
        x, state = carry
        g = jax.grad(curve)(x)
        u, state = rule.update(g, state, x)
        return (x + u, state), (x, g, u)

    x0 = jnp.linspace(-1.0, 2.0, 4)

    def all_steps() -> Any:
        return jax.lax.scan(step, (x0, rule.init(x0)), None, steps)

    (x, state), seen = jax.jit(all_steps)()
    return jax.device_get(seen), state, optim.eval_params(state, x)


@pytest.mark.parametrize("setting", [0, 1])
@pytest.mark.parametrize("how", ["warmup", "schedule", "schedule from 0"])
def test_the_rate_and_its_weight_are_of_the_same_step(how: str, setting: int) -> None:
    hypers: dict[str, Any] = dict(ADAMW[setting])
    if how == "warmup":
        hypers["warmup_steps"] = 7
    else:
        first = 0.0 if how == "schedule from 0" else 0.1
        hypers["learning_rate"] = lambda step: first + 0.01 * step / (1 + 0.1 * step)
    (x, g, u), state, _ = run(schedule_free_adamw(**hypers), 30)
    step = paper_schedule_free(x[0], **hypers)
    expected = np.stack([step(g[t], x[t], t + 1) for t in range(30)])
    np.testing.assert_allclose(u, expected, rtol=1e-10, atol=1e-13)
    assert (np.abs(u[0]).max() > 1e-12) == (how != "schedule from 0")
    if how == "warmup":  # optax: the first step has the rate 0
        first = run(optax.contrib.schedule_free_adamw(**hypers), 1)[0][2]
        assert np.abs(first).max() < 1e-12
        assert state.learning_rate == hypers["learning_rate"]


@pytest.mark.parametrize("rule", [schedule_free_sgd, schedule_free_adamw])
def test_eval_params_are_the_average(rule: Callable[..., Any]) -> None:
    """With b1 = 1 params are x; else x is what optax and a sum of all z say."""
    (_, _, _), _, x = run(rule(0.05, b1=0.7), 60)
    witness: Any = getattr(optax.contrib, rule.__name__)(0.05, b1=0.7)

    def step(carry: Any, _: None) -> Any:
        y, state = carry
        u, state = witness.update(jax.grad(curve)(y), state, y)
        return (y + u, state), state.z

    y0 = jnp.linspace(-1.0, 2.0, 4)
    (y, state), z = jax.lax.scan(step, (y0, witness.init(y0)), None, 60)
    np.testing.assert_allclose(
        x, optax.contrib.schedule_free_eval_params(state, y), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(x, z.mean(axis=0), rtol=1e-9, atol=1e-12)
    (_, _, _), state, x = run(rule(0.05, b1=1.0), 5)
    assert jnp.isfinite(x).all()


def test_madgrad() -> None:
    def paper(
        x0: np.ndarray, learning_rate: float, momentum: float, weight_decay: float, eps: float
    ) -> Callable[..., np.ndarray]:
        s, v = np.zeros_like(x0), np.zeros_like(x0)

        def step(g: np.ndarray, x: np.ndarray, t: int) -> np.ndarray:
            nonlocal s, v
            g = g + weight_decay * x
            rate = (learning_rate + eps) * np.sqrt(t)
            s = s + rate * g
            v = v + rate * g * g
            z = x0 - s / (np.cbrt(v) + eps)
            update: np.ndarray = momentum * x + (1 - momentum) * z - x
            return update

        return step

    def witness(learning_rate: Any, momentum: Any, weight_decay: Any, eps: Any) -> Any:
        """Optax's rule has sqrt(t) in float32; a schedule makes up for that."""

        def schedule(count: Any) -> Any:
            exact = jnp.sqrt((count + 1).astype(eps.dtype))
            return (learning_rate + eps) * exact / jnp.sqrt(count + 1) - eps

        return optax.contrib.madgrad(schedule, momentum, weight_decay, eps)

    settings = [
        {"learning_rate": 1e-2, "momentum": 0.9, "weight_decay": 0.0, "eps": 1e-6},
        {"learning_rate": 3e-2, "momentum": 0.5, "weight_decay": 1e-2, "eps": 1e-2},
    ]
    check(madgrad, settings, witness, paper)


def test_optax_rounds_the_root_in_madgrad() -> None:
    (_, _, ours), _, _ = run(madgrad(1e-2), 20)
    (_, _, theirs), _, _ = run(optax.contrib.madgrad(1e-2), 20)
    assert 1e-12 < np.abs(ours - theirs).max() < 1e-5


RULES: list[Callable[[], Any]] = [
    lambda: schedule_free_sgd(0.1, warmup_steps=3, weight_decay=0.1),
    schedule_free_adamw,
    lambda: schedule_free_adamw(0.0),
    lambda: madgrad(0.1),
]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("rule", RULES)
def test_zero_gradients_and_odd_leaves(rule: Callable[[], Any], dtype: Any) -> None:
    x = {"scalar": jnp.ones([], dtype), "none": jnp.ones((0,), dtype), "some": jnp.ones(3, dtype)}
    zero = jax.tree.map(jnp.zeros_like, x)
    made = rule()
    update = jax.jit(made.update)
    state = made.init(x)
    types = jax.tree.map(lambda a: (a.dtype, a.weak_type), state)
    for g in (zero, zero, x, zero):
        u, state = update(g, state, x)
        assert jax.tree.map(lambda a: a.dtype, u) == jax.tree.map(lambda a: a.dtype, x)
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((u, state)))
    assert jax.tree.map(lambda a: (a.dtype, a.weak_type), state) == types
    answer = optim.eval_params(state, x)
    assert jax.tree.map(lambda a: a.dtype, answer) == jax.tree.map(lambda a: a.dtype, x)
    assert made.update({}, made.init({}), {})[0] == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedule_free_sgd(-1.0), "schedule_free_sgd: learning_rate must be .* >= 0"),
        (lambda: schedule_free_sgd(b1=0.0), r"schedule_free_sgd: b1 must be in \(0, 1\], got 0.0"),
        (lambda: schedule_free_sgd(b1=1.5), r"schedule_free_sgd: b1 must be in \(0, 1\], got 1.5"),
        (
            lambda: schedule_free_sgd(warmup_steps=0),
            "warmup_steps must be a whole number >= 1, got 0",
        ),
        (lambda: schedule_free_sgd(weight_decay=-1.0), "schedule_free_sgd: weight_decay must be"),
        (lambda: schedule_free_sgd(weight_lr_power=-1.0), "weight_lr_power must be .* got -1.0"),
        (lambda: schedule_free_adamw(b2=1.0), r"schedule_free_adamw: b2 must be in \[0, 1\)"),
        (lambda: schedule_free_adamw(eps=-1.0), "schedule_free_adamw: eps must be .* got -1.0"),
        (lambda: schedule_free_adamw(b1=-0.5), r"schedule_free_adamw: b1 must be in \(0, 1\]"),
        (lambda: madgrad(0.1, momentum=1.0), r"madgrad: momentum must be in \[0, 1\), got 1.0"),
        (lambda: madgrad(0.1, weight_decay=-1.0), "madgrad: weight_decay must be .* got -1.0"),
        (lambda: madgrad(0.1, eps=-1.0), "madgrad: eps must be a finite number >= 0, got -1.0"),
        (lambda: madgrad(-0.1), "madgrad: learning_rate must be .* got -0.1"),
        (lambda: _without_params(schedule_free_sgd()), "schedule_free_sgd: update needs"),
        (lambda: _without_params(madgrad(0.1)), "madgrad: update needs the parameters"),
    ],
)
def test_errors(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def _without_params(rule: Any) -> Any:
    x = jnp.ones(2)
    return rule.update(x, rule.init(x))
