"""How a rule is proved: against optax, and against its paper's equations in plain NumPy.

At the end is what the tests of all rules together have in common.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet import models
from jaxnet.optim import Entry, gd

STEPS = 200
RATE = 0.01

OPTIMIZED = {
    "xla_backend_optimization_level": 3,
    "xla_cpu_use_fusion_emitters": True,
    "xla_cpu_parallel_codegen_split_count": 32,
}
"""As users compile. The tests compile with less, which rounds otherwise; where a rule amplifies
rounding, the bounds hold for what users run."""

Tree = Any
Hypers = dict[str, float]


class Rule(Protocol):
    """A rule in NumPy for one leaf: `rule(x0, **hypers)` gives `step(g, x, t) -> u`."""

    def __call__(self, x: np.ndarray, **hypers: Any) -> Callable[..., np.ndarray]: ...


class Recorded(NamedTuple):
    """A run: what the rule was given at every step, and what it answered."""

    x: Tree
    g: Tree
    u: Tree


def quadratic(x: Array) -> Array:
    """1/2 x^T a x with eigenvalues from 1 to 1000, the axes turned away from the coordinates."""
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    a = axes @ np.diag(np.logspace(0, 3, 6)) @ axes.T
    return 0.5 * x @ jnp.asarray(a, x.dtype) @ x / 1000


def rosenbrock(x: Array) -> Array:
    return ((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2) / 100


NETWORK = models.mlp([3, 5, 2], "tanh")


def loss(params: Tree) -> Array:
    """Three problems at once; each has its own leaves, so leafwise rules keep them apart."""
    x = jnp.asarray(np.random.default_rng(4).normal(size=(12, 3)), params["quadratic"].dtype)
    network = NETWORK.loss(params["network"], (x, jnp.arange(12) % 2))
    return quadratic(params["quadratic"]) + rosenbrock(params["rosenbrock"]) + network


def start() -> Tree:
    return {
        "quadratic": jnp.linspace(-1.0, 2.0, 6),
        "rosenbrock": jnp.asarray([-1.2, 1.0]),
        "network": NETWORK.init(jax.random.key(0)),
    }


# Traced once for all rules.
value_and_gradient = jax.jit(jax.value_and_grad(loss))


def cast(tree: Tree, dtype: Any) -> Tree:
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def run_and_replay(
    rule: optax.GradientTransformationExtraArgs,
    followers: Sequence[tuple[optax.GradientTransformationExtraArgs, Any]] = (),
) -> tuple[Recorded, list[Tree]]:
    """The run of a rule by itself, and what followers answer to its parameters and gradients.

    A follower is a rule and the type of float that it is given. All are steps of one loop: the
    fewer loops, the sooner it is compiled.
    """

    def step(carry: Any, _: None) -> Any:
        (x, state), states = carry
        value, g = value_and_gradient(x)
        u, state = rule.update(g, state, x, value=value)
        answers = []
        for (follower, dtype), own in zip(followers, states, strict=True):
            v, at, slopes = cast((value, x, g), dtype)
            answers.append(follower.update(slopes, own, at, value=v))
        after = (optax.apply_updates(x, u), state), [own for _, own in answers]
        return after, (Recorded(x, g, u), [u for u, _ in answers])

    x = start()
    states = [follower.init(cast(x, dtype)) for follower, dtype in followers]
    carry = (x, rule.init(x)), states
    seen: tuple[Recorded, list[Tree]] = jax.lax.scan(step, carry, None, STEPS)[1]
    return seen


def stacked(settings: list[Hypers]) -> dict[str, Array]:
    """One array a hyperparameter, for vmap; every setting names the same ones."""
    return {name: jnp.asarray([s[name] for s in settings]) for name in settings[0]}


def error(actual: Tree, expected: Tree) -> float:
    """The largest error over leaves, settings and steps, relative to the step's largest entry."""
    worst = 0.0
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        a, b = (np.asarray(leaf, np.float64).reshape(*leaf.shape[:2], -1) for leaf in (a, b))
        assert np.isfinite(a).all()
        assert np.isfinite(b).all()
        scale = np.maximum(np.abs(b).max(axis=-1), np.finfo(np.float64).tiny)
        worst = max(worst, float((np.abs(a - b).max(axis=-1) / scale).max()))
    return worst


class Prove(Protocol):
    def __call__(
        self,
        ours: Callable[..., Any],
        settings: list[Hypers],
        *,
        witness: Callable[..., Any] | None = None,
        numpy: Rule | None = None,
        static: Mapping[str, Any] = {},
        tolerance: float = 1e-12,
        free_tolerance: float | None = 1e-9,
        optimized: bool = False,
    ) -> None: ...


@pytest.fixture(scope="session")
def prove() -> Prove:
    """Prove a rule, for several settings of its hyperparameters in one program.

    ours and witness are factories; every setting is a dict of float hyperparameters, all with the
    same names, static are arguments that are no floats. Both see the same parameters and
    gradients, those of the witness's own run (of our own, where there is no witness), for 200
    steps; every update must agree to `tolerance`, and to 1e-5 in float32. The runs of both by
    themselves must agree to `free_tolerance`, unless that is None because the rule amplifies
    rounding. Without a witness float32 has to stay finite. numpy is the rule as its paper writes
    it, for one leaf. With optimized both are compiled as users compile.
    """

    def prove(
        ours: Callable[..., Any],
        settings: list[Hypers],
        *,
        witness: Callable[..., Any] | None = None,
        numpy: Rule | None = None,
        static: Mapping[str, Any] = {},
        tolerance: float = 1e-12,
        free_tolerance: float | None = 1e-9,
        optimized: bool = False,
    ) -> None:
        assert witness or numpy
        hypers = stacked(settings)
        leader = witness or ours

        @partial(jax.jit, compiler_options=OPTIMIZED if optimized else None)
        @jax.vmap
        def run(hypers: dict[str, Array]) -> tuple[Recorded, list[Tree], Recorded | None]:
            def made(factory: Callable[..., Any], dtype: Any) -> Any:
                return optax.with_extra_args_support(factory(**cast(hypers, dtype), **static))

            double, single = np.float64, np.float32
            followers: list[tuple[Any, Any]] = [(made(ours, single), single)]
            if witness is not None:
                followers += [(made(ours, double), double), (made(witness, single), single)]
            led, answers = run_and_replay(made(leader, double), followers)
            if witness is None or free_tolerance is None:
                return led, answers, None
            return led, answers, run_and_replay(made(ours, double))[0]

        led, answers, own = jax.device_get(run(hypers))
        answered = answers[1] if witness else led.u
        assert error(answered, led.u) <= tolerance, error(answered, led.u)
        assert error(answers[0], answers[-1]) <= 1e-5, error(answers[0], answers[-1])
        if own is not None and free_tolerance is not None:
            assert error(own.x, led.x) <= free_tolerance, error(own.x, led.x)
        if numpy is not None:
            expected = transcribed(numpy, led, settings, static)
            assert error(answered, expected) <= tolerance, error(answered, expected)

    return prove


def transcribed(
    rule: Rule, run: Recorded, settings: list[Hypers], static: Mapping[str, Any]
) -> Tree:
    """What a NumPy rule answers to a recorded run, setting by setting and leaf by leaf."""

    def leaf(x: np.ndarray, g: np.ndarray) -> np.ndarray:  # (settings, steps, ...)
        answers = np.empty_like(x)
        for i, hypers in enumerate(settings):
            step = rule(x[i, 0], **hypers, **static)
            for t in range(x.shape[1]):
                answers[i, t] = step(g[i, t], x[i, t], t + 1)
        return answers

    return jax.tree.map(leaf, run.x, run.g)


def bowl(params: Tree) -> Array:
    """A quadratic loss of a tree of any structure, with another curvature in every entry."""
    total = jnp.zeros(())
    for leaf in jax.tree.leaves(params):
        total += jnp.sum((leaf - 1) ** 2 * (1 + jnp.arange(leaf.size).reshape(leaf.shape)))
    return total


bowl_and_slopes = jax.jit(jax.value_and_grad(bowl))


def residuals(params: Tree) -> Tree:
    """What the bowl is half the squares of."""
    return jax.tree.map(
        lambda leaf: (leaf - 1) * jnp.sqrt(2 + 2 * jnp.arange(leaf.size).reshape(leaf.shape)),
        params,
    )


@pytest.fixture(scope="session", name="bowl")
def _bowl() -> Callable[[Tree], Array]:
    """`bowl(params)` -> loss: what every rule of the zoo can be run on."""
    return bowl


@pytest.fixture(scope="session")
def one_step() -> Callable[..., tuple[Tree, Tree]]:
    """`one_step(rule, params, state, grads=None, value=None)` -> the new params and state.

    A step down the bowl of any rule of the zoo: it is passed all that a rule may need. Its
    gradients and its loss are the bowl's, if no others are given.
    """

    def one_step(
        rule: optax.GradientTransformation,
        params: Tree,
        state: Tree,
        grads: Tree = None,
        value: Array | None = None,
    ) -> tuple[Tree, Tree]:
        if grads is None or value is None:
            loss, slopes = bowl_and_slopes(params)
            grads, value = slopes if grads is None else grads, loss if value is None else value
        updates, state = optax.with_extra_args_support(rule).update(
            grads,
            state,
            params,
            value=value,
            value_fn=bowl,
            grad_fn=jax.grad(bowl),
            residual_fn=residuals,
        )
        return optax.apply_updates(params, updates), state

    return one_step


@pytest.fixture(scope="session")
def arguments() -> Callable[[Entry], dict[str, Any]]:
    """`arguments(entry)`: what a factory of the zoo is given where it has no default."""

    def arguments(entry: Entry) -> dict[str, Any]:
        given = {
            "learning_rate": RATE,
            "max_learning_rate": RATE,
            "optimizer": gd(RATE),
            "key": jax.random.key(0),
            "examples": 8,
        }
        names = inspect.signature(entry.factory).parameters
        return {name: value for name, value in given.items() if name in names}

    return arguments
