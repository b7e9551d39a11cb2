"""Sharpness-aware minimisation against optax and against its papers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import optim
from jaxnet.optim.sam import sam

A = np.diag([3.0, 1.0, 0.2]) + 0.1
START = {"a": jnp.asarray([1.0, -2.0, 0.5]), "b": jnp.asarray(0.7)}
STEPS = 100
RHO = [0.05, 0.7]


def loss(params: Any) -> Any:
    a, b = params["a"], params["b"]
    return a @ A @ a / 2 + (b - 2) ** 4 / 4 + b * a[0]


def grad_by_hand(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return A @ a + np.asarray([b, 0.0, 0.0]), (b - 2) ** 3 + a[0]


def run(rule: Any, calls: int = STEPS, **extra: Any) -> Any:
    """The parameters before every call of `update`, and after the last one."""

    def call(carry: Any, _: None) -> Any:
        x, state = carry
        u, state = rule.update(jax.grad(loss)(x), state, x, **extra)
        return (optax.apply_updates(x, u), state), x

    (last, _), path = jax.lax.scan(call, (START, rule.init(START)), None, calls)
    return jax.tree.map(lambda p, x: jnp.concatenate([p, x[None]]), path, last)


def paper(
    a: np.ndarray, b: np.ndarray, rho: float, learning_rate: float, adaptive: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A step of SAM around gradient descent in NumPy."""
    ga, gb = grad_by_hand(a, b)
    ta, tb = (np.abs(a), np.abs(b)) if adaptive else (np.ones(3), np.ones([]))
    length = np.sqrt(np.sum((ta * ga) ** 2) + (tb * gb) ** 2)
    ga, gb = grad_by_hand(a + rho * ta**2 * ga / length, b + rho * tb**2 * gb / length)
    return a - learning_rate * ga, b - learning_rate * gb


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_against_its_paper(adaptive: bool) -> None:
    def ours(rho: Any) -> Any:
        return run(sam(optim.gd(0.05), rho, adaptive), value_fn=loss)

    path = jax.device_get(jax.jit(jax.vmap(ours))(jnp.asarray(RHO)))
    for i, rho in enumerate(RHO):
        for t in range(STEPS):  # step by step: g / |g| amplifies rounding near a minimum
            a, b = paper(path["a"][i, t], path["b"][i, t], rho, 0.05, adaptive)
            np.testing.assert_allclose(path["a"][i, t + 1], a, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(path["b"][i, t + 1], b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("base", "theirs"), [(optim.gd, optax.sgd), (optim.adam, optax.adam)], ids=["gd", "adam"]
)
def test_sam_against_optax(base: Any, theirs: Any) -> None:
    """Around gd and Adam; two calls of optax's rule, or one opaque one, are one step."""

    def both(rho: Any) -> Any:
        ascent = optax.chain(optax.contrib.normalize(), optax.sgd(rho))
        two_calls = optax.contrib.sam(theirs(0.05), ascent)
        opaque = optax.contrib.sam(theirs(0.05), ascent, opaque_mode=True)
        return (
            run(sam(base(0.05), rho), value_fn=loss),
            run(sam(base(0.05), rho), grad_fn=jax.grad(loss)),
            run(opaque, grad_fn=lambda x, i: jax.grad(loss)(x)),
            jax.tree.map(lambda x: x[::2], run(two_calls, 2 * STEPS)),
        )

    by_value, by_grad, opaque, two_calls = jax.jit(jax.vmap(both))(jnp.asarray(RHO))
    for name in START:
        np.testing.assert_array_equal(by_value[name], by_grad[name])
        for witness in (opaque, two_calls):
            np.testing.assert_allclose(by_grad[name], witness[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_no_gradient_and_odd_leaves(adaptive: bool, dtype: Any) -> None:
    x = {"scalar": jnp.zeros([], dtype), "none": jnp.ones((0,), dtype), "some": jnp.ones(3, dtype)}
    zero = jax.tree.map(jnp.zeros_like, x)
    rule = sam(optim.gd(0.1), adaptive=adaptive)
    update = jax.jit(partial(rule.update, grad_fn=lambda x: x))
    state = rule.init(x)
    for g in (zero, x, zero):
        u, state = update(g, state, x)
        assert jax.tree.map(lambda a: a.dtype, u) == jax.tree.map(lambda a: a.dtype, x)
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(u))
    np.testing.assert_array_equal(u["some"], -jnp.asarray(0.1, dtype) * x["some"])
    assert state.step == 3
    assert rule.update({}, rule.init({}), {}, grad_fn=lambda x: x)[0] == {}


def test_optax_divides_by_a_zero_gradient() -> None:
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.1))
    rule = optax.contrib.sam(optax.sgd(0.1), ascent, opaque_mode=True)
    x = jnp.ones(2)
    u, _ = rule.update(jnp.zeros(2), rule.init(x), x, grad_fn=lambda x, i: x)
    assert jnp.isnan(u).all()


def test_sam_tells_what_the_rule_inside_tells() -> None:
    x = {"a": jnp.ones(2)}
    rule = sam(optim.nag(0.25))
    _, state = rule.update(x, rule.init(x), x, grad_fn=lambda x: x)
    assert optim.learning_rate(state) == 0.25
    ahead = optim.eval_params(state, x)["a"]
    np.testing.assert_allclose(ahead, 1 - 0.25 * (1 + 0.05 / np.sqrt(2)), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sam(optim.gd(0.1), rho=-1.0), "sam: rho must be a finite number >= 0, got -1.0"),
        (lambda: _update(None), "sam: update needs the parameters"),
        (lambda: _update(jnp.ones(2)), "sam: update needs the gradient or the loss"),
    ],
)
def test_errors(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def _update(params: Any) -> Any:
    rule = sam(optim.gd(0.1))
    return rule.update(jnp.ones(2), rule.init(jnp.ones(2)), params)
