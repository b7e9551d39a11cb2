"""The rules against optax and against their equations in NumPy, step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxnet import models, optim
from jaxnet.optim.leafwise import Accumulator, LeafwiseState
from jaxnet.optim.nag import NagState

STEPS = 300


class Problem(NamedTuple):
    gradient: Callable[[Any], Any]
    start: Any
    rate: float  # stable for every rule


def quadratic(x: Array) -> Array:
    """1/2 x^T a x with eigenvalues from 1 to 1000, the axes turned away from the coordinates."""
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(8, 8)))[0]
    a = axes @ np.diag(np.logspace(0, 3, 8)) @ axes.T
    return 0.5 * x @ jnp.asarray(a, x.dtype) @ x


def rosenbrock(p: dict[str, Array]) -> Array:
    return (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2


def small_mlp() -> Problem:
    x = jnp.asarray(np.random.default_rng(4).normal(size=(12, 3)))
    model = models.mlp([3, 5, 2], "tanh")
    return Problem(
        lambda p: model.value_and_grad(p, (x, jnp.arange(12) % 2))[1],
        model.init(jax.random.key(0)),
        rate=0.1,
    )


PROBLEMS = {
    "quadratic": Problem(jax.grad(quadratic), jnp.linspace(-1.0, 2.0, 8), rate=5e-4),
    "rosenbrock": Problem(
        jax.grad(rosenbrock), {"x": jnp.asarray(-1.2), "y": jnp.asarray(1.0)}, rate=5e-5
    ),
    "mlp": small_mlp(),
}

# What stands for the learning rate of a problem.
RATES: dict[str, Callable[[float], Any]] = {
    "constant": lambda rate: rate,
    "cosine": lambda rate: optax.cosine_decay_schedule(1.5 * rate, 2 * STEPS),
    "exponential": lambda rate: optax.exponential_decay(rate, 40, 0.5),
}


def flat(tree: Any) -> np.ndarray:
    """The leaves side by side; a leading axis of steps stays."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """Every step's error relative to that step's largest entry."""
    a, b = flat(actual), flat(expected)
    assert a.shape == b.shape
    scale = np.abs(b).max(axis=1)
    assert (scale > 0).all()
    assert (np.abs(a - b).max(axis=1) / scale).max() < tolerance


def free_run(
    optimizer: optax.GradientTransformation, problem: Problem, steps: int = STEPS
) -> tuple[Any, Any]:
    """The parameters and the points to evaluate after every step."""

    @jax.jit
    def run(start: Any) -> tuple[Any, Any]:
        def step(carry: Any, _: None) -> Any:
            params, state = carry
            updates, state = optimizer.update(problem.gradient(params), state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), (params, optim.eval_params(state, params))

        _, visited = jax.lax.scan(step, (start, optimizer.init(start)), length=steps)
        visited_pair: tuple[Any, Any] = visited
        return visited_pair

    both: tuple[Any, Any] = run(problem.start)
    return both


class Comparison(NamedTuple):
    """Two rules side by side, a row a step."""

    updates: tuple[Any, Any]  # of both, each from one and the same state on the reference's path
    params: tuple[Any, Any]  # of both, each on its own path


def compare(
    ours: optax.GradientTransformation,
    reference: optax.GradientTransformation,
    state_of: Callable[[Any, Array, Any], Any],
    problem: Problem,
) -> Comparison:
    @jax.jit
    def run(start: Any) -> Comparison:
        def step(carry: Any, k: Array) -> Any:
            (own_params, own_state), (params, state) = carry
            grads = problem.gradient(params)
            mine, _ = ours.update(grads, state_of(state, k, params), params)
            due, state = reference.update(grads, state, params)
            own, own_state = ours.update(problem.gradient(own_params), own_state, own_params)
            visited = optax.apply_updates(own_params, own), optax.apply_updates(params, due)
            carry = (visited[0], own_state), (visited[1], state)
            return carry, Comparison((mine, due), visited)

        carry = (start, ours.init(start)), (start, reference.init(start))
        compared: Comparison
        _, compared = jax.lax.scan(step, carry, jnp.arange(STEPS, dtype=jnp.int32))
        return compared

    done: Comparison = run(problem.start)
    return done


UNUSED = jnp.nan  # the learning rate in a state reports the last step and must not be used


def gd_state(state: Any, k: Array, params: Any) -> LeafwiseState:
    return LeafwiseState(k, jnp.asarray(UNUSED), jax.tree.map(lambda x: (), params))


def momentum_state(state: Any, k: Array, params: Any) -> LeafwiseState:
    velocity = optax.tree_utils.tree_get(state, "trace")
    return LeafwiseState(k, jnp.asarray(UNUSED), jax.tree.map(Accumulator, velocity))


# rule, its hyperparameters, optax.sgd's hyperparameters, the state that corresponds to optax's
SGD_FAMILY: list[tuple[Any, dict[str, Any], dict[str, Any], Any, str]] = [
    (optim.gd, {}, {}, gd_state, "cosine"),
    (optim.momentum, {}, {"momentum": 0.9}, momentum_state, "constant"),
    (optim.momentum, {"momentum": 0.5}, {"momentum": 0.5}, momentum_state, "exponential"),
    (optim.nesterov, {}, {"momentum": 0.9, "nesterov": True}, momentum_state, "exponential"),
    (
        optim.nesterov,
        {"momentum": 0.8},
        {"momentum": 0.8, "nesterov": True},
        momentum_state,
        "constant",
    ),
]


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    ("rule", "own", "theirs", "state_of", "rate"),
    SGD_FAMILY,
    ids=[f"{case[0].__name__}-{case[4]}" for case in SGD_FAMILY],
)
def test_the_sgd_family_takes_the_steps_of_optax(
    rule: Any, own: dict[str, Any], theirs: dict[str, Any], state_of: Any, rate: str, name: str
) -> None:
    problem = PROBLEMS[name]
    learning_rate = RATES[rate](problem.rate)
    ours, reference = rule(learning_rate, **own), optax.sgd(learning_rate, **theirs)
    compared = compare(ours, reference, state_of, problem)
    assert_close(*compared.updates, 1e-12)
    assert_close(*compared.params, 1e-12)


class Recursion(NamedTuple):
    """Nesterov's accelerated gradient in NumPy, row k after k steps; t_0 stands for t_1 = 1."""

    q: np.ndarray  # the look-ahead points, q_0 the start
    p: np.ndarray  # the plain iterates
    t: np.ndarray


def nag_in_numpy(
    problem: Problem, rate: Callable[[int], float], *, gradient_at_p: bool = False
) -> Recursion:
    first, unflatten = ravel_pytree(problem.start)
    gradient = jax.jit(lambda v: ravel_pytree(problem.gradient(unflatten(v)))[0])
    q = p = np.asarray(first)
    t = 1.0
    path = [(q, p, t)]
    for k in range(STEPS):
        new_p = q - rate(k) * np.asarray(gradient(p if gradient_at_p else q))
        new_t = (1 + np.sqrt(1 + 4 * t**2)) / 2
        q = new_p + (t - 1) / new_t * (new_p - p)
        p, t = new_p, new_t
        path.append((q, p, t))
    return Recursion(*(np.stack(column) for column in zip(*path, strict=True)))


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("quadratic", "constant"),
        ("quadratic", "cosine"),
        ("rosenbrock", "constant"),
        ("mlp", "constant"),
    ],
)
def test_nag_is_the_recursion_with_the_gradient_at_the_look_ahead_point(
    name: str, rate: str
) -> None:
    problem = PROBLEMS[name]
    learning_rate = RATES[rate](problem.rate)
    due = nag_in_numpy(
        problem, lambda k: float(learning_rate(k)) if callable(learning_rate) else learning_rate
    )
    rule = optim.nag(learning_rate)
    params, answers = free_run(rule, problem)
    assert_close(params, due.q[1:], 1e-12)
    assert_close(answers, due.p[1:], 1e-12)

    _, unflatten = ravel_pytree(problem.start)

    def one_step(q: Array, p: Array, t: Array, k: Array) -> tuple[Array, Array]:
        params = unflatten(q)
        state = NagState(k, jnp.asarray(UNUSED), t, unflatten(p))
        updates, state = rule.update(problem.gradient(params), state, params)
        moved = optax.apply_updates(params, updates)
        return ravel_pytree(moved)[0], ravel_pytree(optim.eval_params(state, moved))[0]

    q, p = jax.jit(jax.vmap(one_step))(due.q[:-1], due.p[:-1], due.t[:-1], np.arange(STEPS))
    assert_close(q, due.q[1:], 1e-12)
    assert_close(p, due.p[1:], 1e-12)


def test_a_gradient_at_the_plain_iterate_would_be_another_method() -> None:
    problem = PROBLEMS["quadratic"]
    wrong = nag_in_numpy(problem, lambda k: problem.rate, gradient_at_p=True)
    params, _ = free_run(optim.nag(problem.rate), problem)
    # The first two steps are the same: t_1 - 1 = 0, so that q and p part at the third.
    np.testing.assert_allclose(np.asarray(params)[0], wrong.q[1], rtol=1e-12)
    assert np.abs(np.asarray(params)[2:] - wrong.q[3:]).max() > 0.01


def test_nag_keeps_its_promised_rate_and_leaves_gd_behind() -> None:
    problem = PROBLEMS["quadratic"]._replace(rate=1e-3)  # 1 / L
    values = {
        rule: np.asarray(jax.vmap(quadratic)(free_run(rule(problem.rate), problem)[1]))
        for rule in (optim.gd, optim.nag)
    }
    k = np.arange(1, STEPS + 1)
    distance = float(problem.start @ problem.start)
    assert (values[optim.nag] <= 2 * distance / (problem.rate * (k + 1) ** 2)).all()
    assert values[optim.nag][-1] < values[optim.gd][-1] / 100


@pytest.mark.parametrize(
    ("rule", "reference"),
    [
        (optim.gd, optax.sgd),
        (optim.momentum, lambda rate: optax.sgd(rate, 0.9)),
        (optim.nesterov, lambda rate: optax.sgd(rate, 0.9, nesterov=True)),
        (optim.nag, optim.nag),  # whose float64 is held to the recursion above
    ],
)
def test_float32_follows_float64_to_its_own_precision(rule: Any, reference: Any) -> None:
    problem = PROBLEMS["quadratic"]
    single = problem._replace(start=problem.start.astype(np.float32))
    params, _ = free_run(rule(problem.rate), single)
    assert params.dtype == np.float32
    due, _ = free_run(reference(problem.rate), problem)
    np.testing.assert_allclose(params, due, rtol=0, atol=1e-5)  # the path begins at 2
