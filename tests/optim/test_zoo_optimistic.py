"""Optimistic gradient descent and optimistic Adam against optax and their papers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim.gradient_descent import gd
from jaxnet.optim.optimistic import optimistic_adam, optimistic_gradient_descent

Step = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def test_optimistic_gradient_descent(prove: Any) -> None:
    def paper(x: np.ndarray, learning_rate: float, alpha: float, beta: float) -> Step:
        last = np.zeros_like(x)

        def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
            nonlocal last
            before, last = (g if t == 1 else last), g
            return -learning_rate * (alpha * g + beta * (g - before))

        return step

    settings = [
        {"learning_rate": 1e-2, "alpha": 1.0, "beta": 1.0},
        {"learning_rate": 3e-2, "alpha": 0.7, "beta": 0.4},
    ]
    witness = optax.optimistic_gradient_descent
    prove(optimistic_gradient_descent, settings, witness=witness, numpy=paper)


def optimistic_adam_paper(
    x: np.ndarray,
    learning_rate: float,
    alpha: float,
    beta: float,
    b1: float,
    b2: float,
    eps: float,
    eps_root: float,
    nesterov: bool,
) -> Step:
    m, v, last = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m, v, last
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        ahead = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        m_hat = ahead if nesterov else m / (1 - b1**t)
        r = m_hat / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        before, last = (r if t == 1 else last), r
        return -learning_rate * (alpha * r + beta * (r - before))

    return step


OPTIMISTIC_ADAM = [
    {
        "learning_rate": 1e-2,
        "alpha": 1.0,
        "beta": 1.0,
        "b1": 0.9,
        "b2": 0.999,
        "eps": 1e-8,
        "eps_root": 0.0,
    },
    {
        "learning_rate": 3e-2,
        "alpha": 0.7,
        "beta": 0.4,
        "b1": 0.5,
        "b2": 0.9,
        "eps": 1e-3,
        "eps_root": 1e-4,
    },
]


def test_optimistic_adam(prove: Any) -> None:
    prove(
        optimistic_adam,
        OPTIMISTIC_ADAM,
        witness=optax.optimistic_adam_v2,
        numpy=optimistic_adam_paper,
        static={"nesterov": True},
        free_tolerance=1e-5,
    )


def test_optimistic_adam_without_nesterov(prove: Any) -> None:
    static = {"nesterov": False}
    prove(optimistic_adam, OPTIMISTIC_ADAM, numpy=optimistic_adam_paper, static=static)


@pytest.mark.filterwarnings("ignore:`optimistic_adam` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("ahead", [False, True])
def test_optimistic_adam_in_the_deprecated_arguments(ahead: bool) -> None:
    rules = [
        optimistic_adam(0.03, beta=0.01 / 0.03, b1=0.7, b2=0.9, eps=1e-3, nesterov=ahead),
        optax.optimistic_adam(0.03, 0.01, b1=0.7, b2=0.9, eps=1e-3, nesterov=ahead),
    ]
    x = jnp.zeros(5)

    def step(states: Any, g: Any) -> Any:
        answers = [rule.update(g, s, x) for rule, s in zip(rules, states, strict=True)]
        return [state for _, state in answers], [u for u, _ in answers]

    g = jnp.asarray(np.random.default_rng(6).normal(size=(50, 5)))
    _, (ours, theirs) = jax.lax.scan(step, [rule.init(x) for rule in rules], g)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)


def test_optimism_converges_on_a_saddle_where_gradient_descent_spirals_outwards() -> None:
    def distance(rule: optax.GradientTransformationExtraArgs) -> float:
        def step(carry: Any, _: None) -> Any:
            (x, y), state = carry
            u, state = rule.update((y, -x), state, (x, y))  # down in x, up in y, of x y
            return (optax.apply_updates((x, y), u), state), None

        start = (jnp.ones([]), jnp.ones([]))
        ((x, y), _), _ = jax.lax.scan(step, (start, rule.init(start)), None, 500)
        return float(jnp.hypot(x, y))

    assert distance(gd(0.2)) > 10
    assert distance(optimistic_gradient_descent(0.2)) < 1e-3


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_zero_gradients_do_not_move(dtype: Any) -> None:
    x = jnp.ones(3, dtype)
    for rule in (optimistic_gradient_descent(0.1), optimistic_adam(0.1)):
        u, _ = rule.update(jnp.zeros_like(x), rule.init(x), x)
        assert u.dtype == dtype
        assert (u == 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimistic_gradient_descent(-1.0), "descent: learning_rate must be a finite"),
        (lambda: optimistic_gradient_descent(0.1, -1.0), "descent: alpha must be .* got -1.0"),
        (lambda: optimistic_gradient_descent(0.1, beta=-1.0), "descent: beta must be"),
        (lambda: optimistic_adam(-1.0), "optimistic_adam: learning_rate must be"),
        (lambda: optimistic_adam(0.1, alpha=-1.0), "optimistic_adam: alpha must be"),
        (lambda: optimistic_adam(0.1, beta=-1.0), "optimistic_adam: beta must be"),
        (lambda: optimistic_adam(0.1, b1=1.0), r"optimistic_adam: b1 must be in \[0, 1\)"),
        (lambda: optimistic_adam(0.1, b2=1.0), "optimistic_adam: b2 must be"),
        (lambda: optimistic_adam(0.1, eps=-1.0), "optimistic_adam: eps must be"),
        (lambda: optimistic_adam(0.1, eps_root=-1.0), "optimistic_adam: eps_root must be"),
    ],
)
def test_messages(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
