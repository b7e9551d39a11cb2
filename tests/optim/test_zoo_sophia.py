"""Sophia against optax and against its paper."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxnet.optim.sophia import hutchinson, sophia

Step = Callable[..., Any]

DEFAULTS = {
    "learning_rate": 1e-2,
    "b1": 0.965,
    "b2": 0.99,
    "eps": 1e-8,
    "weight_decay": 1e-4,
    "gamma": 0.01,
    "clip_threshold": 1.0,
}
OTHERS = {
    "learning_rate": 3e-2,
    "b1": 0.8,
    "b2": 0.7,
    "eps": 1e-3,
    "weight_decay": 0.1,
    "gamma": 0.3,
    "clip_threshold": 0.4,
}


def coupled(params: Any) -> Array:
    """A function whose Hessian is not diagonal, over any tree."""
    leaves = jax.tree.leaves(params)
    total = sum(jnp.sum(leaf) for leaf in leaves)
    return sum((jnp.sum(leaf**4 - leaf**3) for leaf in leaves), jnp.sin(total))


def separable(params: Any) -> Array:
    """A function whose Hessian is diagonal, so that one estimate is exact."""
    return sum((jnp.sum(x**4 / 4 - x**3) for x in jax.tree.leaves(params)), jnp.zeros(()))


def knowing(
    factory: Callable[..., Any], obj_fn: Callable[[Any], Array]
) -> Callable[..., optax.GradientTransformationExtraArgs]:
    """The rule of a factory, with the function to estimate passed to `update`."""

    def made(**settings: Any) -> optax.GradientTransformationExtraArgs:
        rule = factory(**settings)

        def update(g: Any, state: Any, x: Any = None, **extra: Any) -> Any:
            return rule.update(g, state, x, obj_fn=obj_fn)

        return optax.GradientTransformationExtraArgs(rule.init, update)

    return made


def paper(
    x: np.ndarray,
    learning_rate: float,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    gamma: float,
    clip_threshold: float | None,
    update_interval: int = 10,
    dialect: str = "optax",
) -> Step:
    m, h = np.zeros_like(x), np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m, h
        before = h
        if t % update_interval == 1 % update_interval:
            h = b2 * h + (1 - b2) * (3 * x**2 - 6 * x)
        m = b1 * m + (1 - b1) * g
        used, average = (h, m) if dialect == "paper" else (before, m / (1 - b1**t))
        u = average / np.maximum(gamma * used, eps)
        if clip_threshold is not None:
            u = np.clip(u, -clip_threshold, clip_threshold)
        moved = x - learning_rate * weight_decay * x
        return (moved - learning_rate * u) - x

    return step


# The paper's x - lr wd x - lr u loses digits of small steps; a clipped rule goes by signs.
CLOSE = {"tolerance": 1e-11, "free_tolerance": None}


def test_sophia_in_both_dialects(prove: Any) -> None:
    settings = [DEFAULTS, OTHERS]
    ours, witness = knowing(sophia, separable), knowing(optax.contrib.sophia, separable)
    prove(ours, settings, witness=witness, numpy=paper, static={"update_interval": 3}, **CLOSE)
    prove(ours, settings, numpy=paper, static={"dialect": "paper"}, **CLOSE)


def test_sophia_draws_optax_s_signs(prove: Any) -> None:
    settings = [DEFAULTS, OTHERS]
    ours, witness = knowing(sophia, coupled), knowing(optax.contrib.sophia, coupled)
    prove(ours, settings, witness=witness, **CLOSE)


def test_sophia_takes_another_estimator_no_clipping_and_a_mask() -> None:
    params = {"w": jnp.ones(3), "b": jnp.ones(2)}
    grads = {"w": jnp.asarray([1.0, -2.0, 0.5]), "b": jnp.ones(2)}
    key = jax.random.key(7)
    estimator = optax.contrib.hutchinson_estimator_diag_hessian(key)
    shared: dict[str, Any] = {
        "weight_decay": 0.5,
        "weight_decay_mask": {"w": True, "b": False},
        "clip_threshold": None,
        "eps": 1e-2,
        "update_interval": 1,
    }
    answers = []
    for rule in (
        sophia(0.1, key=key, **shared),
        sophia(0.1, hessian_diagonal_fn=estimator, **shared),
        optax.contrib.sophia(0.1, hessian_diagonal_fn=estimator, **shared),
    ):
        state, updates = rule.init(params), {}
        for _ in range(3):
            updates, state = rule.update(grads, state, params, obj_fn=coupled)
        answers.append(updates)
    for other in answers[1:]:
        for a, b in zip(jax.tree.leaves(answers[0]), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_hutchinson_is_right_on_average_and_takes_any_function() -> None:
    params = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.asarray(0.25)}
    flat, unflatten = ravel_pytree(params)
    exact = jnp.diagonal(jax.hessian(lambda v: coupled(unflatten(v)))(flat))

    def estimate(key: Array, **functions: Any) -> Any:
        rule = hutchinson(key)
        d = rule.update(params, rule.init(params), params, **functions)[0]
        return ravel_pytree(d)[0]

    keys = jax.random.split(jax.random.key(1), 4000)
    mean = jax.jit(jax.vmap(lambda key: estimate(key, value_fn=coupled)))(keys).mean(0)
    np.testing.assert_allclose(mean, exact, atol=0.1)  # four deviations of the mean
    one, same = [
        estimate(keys[0], **functions)
        for functions in ({"obj_fn": coupled}, {"grad_fn": jax.grad(coupled)})
    ]
    np.testing.assert_array_equal(one, same)


def test_the_promises_of_every_rule() -> None:
    key = jax.random.key(3)
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        params = {
            "w": jnp.ones((2, 3), dtype),
            "s": jnp.ones((), dtype),
            "e": jnp.ones((0,), dtype),
        }
        rule = sophia(optax.constant_schedule(0.1), key=key)
        state = rule.init(params)
        zeros = jax.tree.map(jnp.zeros_like, params)
        step = jax.jit(
            lambda g, s, x, rule=rule: rule.update(g, s, x, value_fn=separable, value=0.0),
            donate_argnums=1,
        )
        kinds = jax.tree.map(jax.typeof, state)
        for _ in range(2):
            updates, state = step(zeros, state, params)
            assert jax.tree.map(jax.typeof, state) == kinds
        assert all(bool(jnp.isfinite(u).all()) for u in jax.tree.leaves(updates))
        assert jax.tree.map(jax.typeof, updates) == jax.tree.map(jax.typeof, params)
    assert jax.random.key_data(key).shape == (2,)  # not donated
    assert sophia(0.1).update({}, sophia(0.1).init({}), {}, value_fn=separable)[0] == {}


def test_what_is_missing_is_named() -> None:
    x = jnp.ones(2)
    rule = sophia(0.1)
    with pytest.raises(ValueError, match="needs grad_fn, value_fn or obj_fn"):
        rule.update(x, rule.init(x), x)
    with pytest.raises(ValueError, match="sophia: update needs the parameters"):
        rule.update(x, rule.init(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sophia(-0.1), "sophia: learning_rate must"),
        (lambda: sophia(0.1, b1=1.0), r"sophia: b1 must be in \[0, 1\), got 1.0"),
        (lambda: sophia(0.1, b2=-0.1), "sophia: b2 must"),
        (lambda: sophia(0.1, eps=-1.0), "sophia: eps must"),
        (lambda: sophia(0.1, weight_decay=-1.0), "sophia: weight_decay must"),
        (lambda: sophia(0.1, gamma=-1.0), "sophia: gamma must"),
        (lambda: sophia(0.1, clip_threshold=0.0), "sophia: clip_threshold must be .* > 0"),
        (lambda: sophia(0.1, update_interval=0), "sophia: update_interval must"),
        (lambda: sophia(0.1, dialect="other"), "sophia: dialect must be 'optax' or 'paper'"),  # type: ignore[arg-type]
    ],
)
def test_hyperparameters_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
