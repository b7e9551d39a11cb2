"""Sign descent, Lion and Rprop against optax, PyTorch and their papers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim.sign import lion, rprop, sign_sgd, signum

Step = Callable[[np.ndarray, np.ndarray, int], np.ndarray]

# No rule here is compared in a run of its own: where a sign turns on the last bit, runs part.


def test_sign_sgd(prove: Any) -> None:
    def paper(x: np.ndarray, learning_rate: float) -> Step:
        return lambda g, x, t: -learning_rate * np.sign(g)

    settings = [{"learning_rate": 1e-3}, {"learning_rate": 3e-2}]
    prove(sign_sgd, settings, witness=optax.sign_sgd, numpy=paper, free_tolerance=None)


def test_signum(prove: Any) -> None:
    def paper(x: np.ndarray, learning_rate: float, beta: float) -> Step:
        m = np.zeros_like(x)

        def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
            nonlocal m
            m = beta * m + (1 - beta) * g
            return -learning_rate * np.sign(m)

        return step

    settings = [{"learning_rate": 1e-3, "beta": 0.9}, {"learning_rate": 3e-2, "beta": 0.5}]
    prove(signum, settings, witness=optax.signum, numpy=paper, free_tolerance=None)


def lion_paper(
    x: np.ndarray, learning_rate: float, b1: float, b2: float, weight_decay: float
) -> Step:
    m = np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m
        c = b1 * m + (1 - b1) * g
        m = b2 * m + (1 - b2) * g
        return -learning_rate * (np.sign(c) + weight_decay * x)

    return step


def test_lion(prove: Any) -> None:
    settings = [
        {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.99, "weight_decay": 1e-3},
        {"learning_rate": 1e-2, "b1": 0.5, "b2": 0.8, "weight_decay": 0.1},
    ]
    prove(lion, settings, witness=optax.lion, numpy=lion_paper, free_tolerance=None)


def test_lion_decays_where_the_mask_says() -> None:
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    mask = {"a": True, "b": False}
    rule = lion(0.1, weight_decay=0.5, mask=mask)
    u, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
    np.testing.assert_allclose(u["a"], -0.05, rtol=1e-12)
    np.testing.assert_array_equal(u["b"], 0)


def rprop_paper(
    x: np.ndarray,
    learning_rate: float,
    eta_minus: float,
    eta_plus: float,
    min_step_size: float,
    max_step_size: float,
) -> Step:
    """iRprop-, entry by entry as Igel & Huesken write it."""
    size, last = np.full(x.size, learning_rate), np.zeros(x.size)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        u = np.zeros(x.size)
        for i, slope in enumerate(g.ravel()):
            agree = np.sign(last[i]) * np.sign(slope)  # of some gradients the product is too small
            if agree > 0:
                size[i] = min(size[i] * eta_plus, max_step_size)
            elif agree < 0:
                size[i] = max(size[i] * eta_minus, min_step_size)
                slope = 0.0
            u[i] = -np.sign(slope) * size[i]
            last[i] = slope
        return u.reshape(x.shape)

    return step


RPROP = [
    {
        "learning_rate": 1e-2,
        "eta_minus": 0.5,
        "eta_plus": 1.2,
        "min_step_size": 1e-6,
        "max_step_size": 50.0,
    },
    {  # limits that are reached
        "learning_rate": 3e-2,
        "eta_minus": 0.7,
        "eta_plus": 1.5,
        "min_step_size": 1e-2,
        "max_step_size": 5e-2,
    },
]


def test_rprop(prove: Any) -> None:
    prove(rprop, RPROP, numpy=rprop_paper, free_tolerance=None)


def gradients() -> np.ndarray:
    """Some that change their signs now and then, and some that are 0."""
    g = np.random.default_rng(5).normal(size=(60, 40)) + np.linspace(-2, 2, 40)
    g[::7, ::5] = 0
    return g


def moves(rule: optax.GradientTransformationExtraArgs, g: np.ndarray) -> np.ndarray:
    x = jnp.zeros(g.shape[1])

    def step(state: Any, g: Any) -> Any:
        u, state = rule.update(g, state, x)
        return state, u

    return np.asarray(jax.lax.scan(step, rule.init(x), jnp.asarray(g))[1])


def test_rprop_of_optax_is_one_step_late() -> None:
    g = gradients()
    ours, late = moves(rprop(1e-2), g), moves(optax.rprop(1e-2), g)
    assert not late[0].any()
    assert ours[0].any()
    turned = ours[1:] * g[1:] == 0  # optax stays there as well; elsewhere it makes our last move
    np.testing.assert_allclose(late[1:][~turned], ours[:-1][~turned], rtol=1e-12)
    assert not np.allclose(late, ours)


def test_rprop_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    x = torch.zeros(40, dtype=torch.float64)
    theirs = torch.optim.Rprop([x], lr=1e-2, etas=(0.6, 1.3), step_sizes=(1e-3, 0.1))
    expected = []
    for g in gradients():
        before = x.clone()
        x.grad = torch.tensor(g)
        theirs.step()
        expected.append((x - before).numpy())
    ours = moves(rprop(1e-2, 0.6, 1.3, 1e-3, 0.1), gradients())
    np.testing.assert_allclose(ours, np.stack(expected), atol=1e-12)


def test_rprop_sees_the_signs_of_tiny_gradients() -> None:
    x = jnp.zeros(1, jnp.float32)
    rule = rprop(0.5)
    g = jnp.full(1, 1e-30, jnp.float32)  # the square is 0 in float32
    _, state = rule.update(g, rule.init(x), x)
    u, _ = rule.update(g, state, x)
    np.testing.assert_allclose(u, -0.6, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_zero_gradients_do_not_move(dtype: Any) -> None:
    x = jnp.ones(3, dtype)
    for rule in (sign_sgd(0.1), signum(0.1), lion(0.1, weight_decay=0.0), rprop(0.1)):
        u, _ = rule.update(jnp.zeros_like(x), rule.init(x), x)
        assert u.dtype == dtype
        assert (u == 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sign_sgd(-1.0), "sign_sgd: learning_rate must be a finite number >= 0, got -1.0"),
        (lambda: signum(0.1, 1.0), r"signum: beta must be in \[0, 1\), got 1.0"),
        (lambda: lion(0.1, b1=1.0), "lion: b1 must be"),
        (lambda: lion(0.1, b2=-0.1), "lion: b2 must be"),
        (lambda: lion(0.1, weight_decay=-1), "lion: weight_decay must be"),
        (lambda: rprop(-1.0), "rprop: learning_rate must be"),
        (lambda: rprop(0.1, eta_minus=1.0), r"rprop: eta_minus must be in \(0, 1\), got 1.0"),
        (lambda: rprop(0.1, eta_plus=1.0), "rprop: eta_plus must be a finite number > 1, got 1.0"),
        (lambda: rprop(0.1, min_step_size=-1.0), "rprop: min_step_size must be"),
        (lambda: rprop(0.1, max_step_size=-1.0), "rprop: max_step_size must be"),
        (lambda: rprop(0.1, 0.5, 1.2, 2.0, 1.0), "at least min_step_size = 2.0, got 1.0"),
    ],
)
def test_messages(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_rprop_refuses_a_schedule() -> None:
    schedule: Any = optax.constant_schedule(0.1)
    with pytest.raises(TypeError, match="rprop: learning_rate is the first step size"):
        rprop(schedule)
