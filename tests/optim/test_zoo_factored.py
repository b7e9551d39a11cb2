"""Adafactor and SM3 against optax and against their papers."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet.optim.factored import adafactor, factored_axes, sm3

Step = Callable[..., Any]


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x * x).mean()))


def adafactor_paper(
    x: np.ndarray,
    learning_rate: float,
    decay_rate: float,
    decay_offset: float,
    eps: float,
    clipping_threshold: float = 1.0,
    momentum: float | None = None,
    weight_decay_rate: float = 0.0,
    min_dim_size_to_factor: int = 128,
    factored: bool = True,
    multiply_by_parameter_scale: bool = True,
) -> Step:
    v, r, c, m = np.zeros_like(x), 0.0, 0.0, np.zeros_like(x)
    matrix = factored and x.ndim == 2 and min(x.shape) >= min_dim_size_to_factor

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal v, r, c, m
        b = 1 - (t - decay_offset) ** -decay_rate
        square = g * g + eps
        if matrix:  # the paper's sums, not means
            r = b * r + (1 - b) * square.sum(1)
            c = b * c + (1 - b) * square.sum(0)
            v = np.outer(r, c) / np.sum(r)
        else:
            v = b * v + (1 - b) * square
        u = g / np.sqrt(v)
        u = learning_rate * u / max(1.0, rms(u) / clipping_threshold)
        if multiply_by_parameter_scale:
            u = max(1e-3, rms(x)) * u
        if momentum is not None:
            m = momentum * m + (1 - momentum) * u
            u = m
        return -u - weight_decay_rate * x

    return step


def adafactor_of_optax(
    learning_rate: Array,
    decay_rate: Array,
    decay_offset: Array,
    eps: Array,
    clipping_threshold: Any = 1.0,
    momentum: Array | None = None,
    weight_decay_rate: Array | None = None,
    min_dim_size_to_factor: int = 128,
    factored: bool = True,
    multiply_by_parameter_scale: bool = True,
) -> optax.GradientTransformation:
    """`optax.adafactor` of its parts, with its decay rate in the type of the setting."""

    def rate(step: Array, c: Array) -> Array:
        return 1 - (step + 1).astype(c.dtype) ** -c

    parts = [
        optax.scale_by_factored_rms(
            factored, decay_rate, decay_offset, min_dim_size_to_factor, eps, rate
        ),
        optax.clip_by_block_rms(clipping_threshold),
        optax.scale_by_learning_rate(learning_rate, flip_sign=False),
    ]
    if multiply_by_parameter_scale:
        parts.append(optax.scale_by_param_block_rms())
    if momentum is not None:
        parts.append(optax.ema(momentum, debias=False))
    if weight_decay_rate is not None:
        parts.append(optax.add_decayed_weights(weight_decay_rate))
    return optax.chain(*parts, optax.scale(-1))


def test_adafactor(prove: Any) -> None:
    plain = [
        {"learning_rate": 1e-2, "decay_rate": 0.8, "decay_offset": 0.0, "eps": 1e-30},
        {"learning_rate": 3e-2, "decay_rate": 0.6, "decay_offset": -3.0, "eps": 1e-6},
    ]
    more = [{"clipping_threshold": 1.0, "momentum": 0.9, "weight_decay_rate": 0.0},
            {"clipping_threshold": 0.5, "momentum": 0.5, "weight_decay_rate": 0.01}]  # fmt: skip
    every = [a | b for a, b in zip(plain, more, strict=True)]
    runs: list[tuple[Any, dict[str, Any]]] = [
        (plain, {}),
        (every, {"min_dim_size_to_factor": 2}),
        (plain, {"min_dim_size_to_factor": 3, "multiply_by_parameter_scale": False}),
    ]
    for settings, static in runs:
        prove(
            adafactor,
            settings,
            witness=adafactor_of_optax,
            numpy=adafactor_paper,
            static=static,
            free_tolerance=None,  # a step as long as the leaf keeps turning near the end
        )


def one_run(rule: Any, grads: Any, x: Any) -> list[Any]:
    state, updates = rule.init(x), []
    for g in grads:
        u, state = rule.update(g, state, x)
        updates.append(u)
    return updates


def test_adafactor_is_optax_s_but_for_its_float32_decay() -> None:
    # Three axes: the two largest are factored.
    grads = jnp.asarray(np.random.default_rng(1).normal(size=(5, 4, 3, 6)))
    x = jnp.full((4, 3, 6), 0.1)
    for static in ({"min_dim_size_to_factor": 4}, {"factored": False, "clipping_threshold": None}):
        ours, theirs = [one_run(f(0.1, **static), grads, x) for f in (adafactor, optax.adafactor)]
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert factored_axes((4, 3, 6), 4) == (0, 2)
    assert factored_axes((4, 3, 6), 5) is None
    assert adafactor(0.1, 4).init(x).leaves.v.r.shape == (4, 3)


def test_adafactor_without_a_learning_rate_takes_the_paper_s() -> None:
    grads = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4, 3)))
    x = jnp.full((4, 3), 0.1)
    answers = one_run(adafactor(), grads, x)
    expected = one_run(adafactor(lambda step: min(0.01, float(step + 1) ** -0.5)), grads, x)
    np.testing.assert_allclose(answers, expected, rtol=1e-12)
    late = adafactor()
    state = late.init(x)._replace(step=jnp.asarray(40_000 - 1))
    np.testing.assert_allclose(late.update(x, state, x)[1].learning_rate, 1 / 200, rtol=1e-6)


def test_adafactor_s_mask() -> None:
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    grads = {"w": jnp.zeros((2, 2)), "b": jnp.zeros(2)}
    rule = adafactor(0.1, weight_decay_rate=0.25, weight_decay_mask={"w": True, "b": False})
    updates, _ = rule.update(grads, rule.init(params), params)
    np.testing.assert_array_equal(updates["w"], -0.25)
    np.testing.assert_array_equal(updates["b"], 0.0)


def test_sm3(prove: Any) -> None:
    def paper(x: np.ndarray, learning_rate: float, momentum: float, eps: float) -> Step:
        mu = [np.zeros(n) for n in x.shape]
        m = np.zeros_like(x)

        def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
            nonlocal mu, m
            nu, new = np.zeros_like(x), [np.zeros(n) for n in x.shape]
            for i in np.ndindex(*x.shape):
                nu[i] = min(mu[a][j] for a, j in enumerate(i)) + g[i] ** 2
                for a, j in enumerate(i):
                    new[a][j] = max(new[a][j], nu[i])
            mu = new
            m = momentum * m + (1 - momentum) * g / np.sqrt(nu + eps)
            return -learning_rate * m

        return step

    def witness(learning_rate: Array, momentum: Array, eps: Array) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_sm3(momentum, eps=eps), optax.scale(-learning_rate))

    settings = [
        {"learning_rate": 0.1, "momentum": 0.9, "eps": 1e-8},
        {"learning_rate": 0.3, "momentum": 0.5, "eps": 1e-2},
    ]
    prove(sm3, settings, witness=witness, numpy=paper)


def test_sm3_of_three_axes_is_optax_s_and_of_a_number_adagrad() -> None:
    grads = np.random.default_rng(1).normal(size=(5, 2, 3, 4))
    x = jnp.zeros((2, 3, 4))
    ours, theirs = [one_run(f(0.1), jnp.asarray(grads), x) for f in (sm3, optax.sm3)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    number = one_run(
        sm3(0.1, momentum=0.0, eps=0.0), jnp.asarray([3.0, 4.0, 0.0]), jnp.asarray(1.0)
    )
    np.testing.assert_allclose(number, [-0.1, -0.08, 0.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: adafactor(-0.1), "adafactor: learning_rate must"),
        (lambda: adafactor(decay_rate=-1.0), "adafactor: decay_rate must be .* got -1.0"),
        (lambda: adafactor(eps=-1.0), "adafactor: eps must"),
        (lambda: adafactor(min_scale=-1.0), "adafactor: min_scale must"),
        (lambda: adafactor(clipping_threshold=0.0), "clipping_threshold must be a finite number >"),
        (lambda: adafactor(momentum=1.0), r"adafactor: momentum must be in \[0, 1\), got 1.0"),
        (lambda: adafactor(weight_decay_rate=-1.0), "adafactor: weight_decay_rate must"),
        (lambda: sm3(0.1, momentum=1.0), "sm3: momentum must"),
        (lambda: sm3(0.1, eps=-1.0), "sm3: eps must"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
