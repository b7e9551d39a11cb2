"""LARS, LAMB, NovoGrad and Fromage against optax and against their papers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet.optim.layerwise import fromage, lamb, lars, novograd

Step = Callable[..., Any]


def length(x: np.ndarray) -> float:
    return float(np.sqrt((x * x).sum()))


def test_lars(prove: Any) -> None:
    def paper(
        x: np.ndarray,
        learning_rate: float,
        weight_decay: float,
        trust_coefficient: float,
        eps: float,
        momentum: float,
        nesterov: bool = False,
        dialect: str = "optax",
    ) -> Step:
        v = np.zeros_like(x)

        def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
            nonlocal v
            u = g + weight_decay * x
            below = {"optax": length(u), "paper": length(g) + weight_decay * length(x)}[dialect]
            trust = trust_coefficient * length(x) / (below + eps) if length(x) and below else 1.0
            v = momentum * v + learning_rate * trust * u
            return -(learning_rate * trust * u + momentum * v) if nesterov else -v

        return step

    def setting(lr: float, wd: float, eta: float, eps: float, mu: float) -> dict[str, float]:
        return {
            "learning_rate": lr,
            "weight_decay": wd,
            "trust_coefficient": eta,
            "eps": eps,
            "momentum": mu,
        }

    settings = [setting(1.0, 0.0, 1e-3, 0.0, 0.9), setting(0.5, 0.02, 1e-2, 1e-3, 0.6)]
    # A step as long as the leaf keeps turning near the end, and amplifies rounding.
    prove(lars, settings, witness=optax.lars, numpy=paper, free_tolerance=None)
    prove(
        lars,
        settings,
        witness=optax.lars,
        numpy=paper,
        static={"nesterov": True},
        free_tolerance=None,
    )
    prove(lars, settings, numpy=paper, static={"dialect": "paper"}, free_tolerance=None)


def test_lamb(prove: Any) -> None:
    def paper(
        x: np.ndarray,
        learning_rate: float,
        b1: float,
        b2: float,
        eps: float,
        eps_root: float,
        weight_decay: float,
    ) -> Step:
        m, v = np.zeros_like(x), np.zeros_like(x)

        def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
            nonlocal m, v
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            r = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
            u = r + weight_decay * x
            trust = length(x) / length(u) if length(x) and length(u) else 1.0
            return -learning_rate * trust * u

        return step

    defaults = {"b1": 0.9, "b2": 0.999, "eps": 1e-6, "eps_root": 0.0, "weight_decay": 0.0}
    other = {"b1": 0.5, "b2": 0.9, "eps": 1e-3, "eps_root": 1e-4, "weight_decay": 0.1}
    settings = [{"learning_rate": 1e-2} | defaults, {"learning_rate": 3e-3} | other]
    prove(lamb, settings, witness=optax.lamb, numpy=paper, free_tolerance=1e-5)


def test_novograd(prove: Any) -> None:
    def paper(
        x: np.ndarray,
        learning_rate: float,
        b1: float,
        b2: float,
        eps: float,
        eps_root: float,
        weight_decay: float,
    ) -> Step:
        m, v = np.zeros_like(x), 0.0

        def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
            nonlocal m, v
            v = length(g) ** 2 if t == 1 else b2 * v + (1 - b2) * length(g) ** 2
            m = b1 * m + (g / (np.sqrt(v + eps_root) + eps) + weight_decay * x)
            return -learning_rate * m

        return step

    defaults = {"b1": 0.9, "b2": 0.25, "eps": 1e-6, "eps_root": 0.0, "weight_decay": 0.0}
    other = {"b1": 0.95, "b2": 0.98, "eps": 1e-3, "eps_root": 1e-4, "weight_decay": 0.01}
    # Small steps: at a larger rate m passes through 0, where float32 has few digits left.
    settings = [{"learning_rate": 1e-3} | defaults, {"learning_rate": 3e-4} | other]
    prove(
        novograd, settings, witness=optax.novograd, numpy=paper, free_tolerance=1e-5, optimized=True
    )


def test_fromage(prove: Any) -> None:
    def paper(x: np.ndarray, learning_rate: float, min_norm: float) -> Step:
        def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
            trust = max(length(x), min_norm) / max(length(g), min_norm)
            return (x - learning_rate * trust * g) / np.sqrt(1 + learning_rate**2) - x

        return step

    settings = [
        {"learning_rate": 1e-2, "min_norm": 1e-6},
        {"learning_rate": 0.1, "min_norm": 0.5},
    ]

    def witness(learning_rate: Array, min_norm: Array) -> optax.GradientTransformation:
        """`optax.fromage` of its parts; its own 1 / root - 1 has 3 digits in float32."""
        shrink = jnp.expm1(-0.5 * jnp.log1p(learning_rate**2))
        return optax.chain(
            optax.scale_by_trust_ratio(min_norm),
            optax.scale_by_learning_rate(learning_rate * (1 + shrink)),
            optax.add_decayed_weights(shrink),
        )

    # The paper's difference of two leaves loses digits of a small step, and steps as long as the
    # leaf keep turning near the end, which amplifies rounding.
    prove(fromage, settings, witness=witness, numpy=paper, tolerance=1e-11, free_tolerance=None)
    x, g = jnp.asarray([1.0, -2.0, 0.5]), jnp.asarray([0.3, 0.2, -0.1])
    ours, theirs = (f(0.1).update(g, f(0.1).init(x), x)[0] for f in (fromage, optax.fromage))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_masks_choose_the_leaves() -> None:
    params = {"w": jnp.linspace(-1.0, 2.0, 6).reshape(2, 3), "b": jnp.asarray([0.3, 0.1, -0.2])}
    grads = {"w": jnp.ones((2, 3)), "b": jnp.asarray([1.0, -2.0, 0.5])}
    matrices, vectors = {"w": True, "b": False}, {"w": False, "b": True}

    def of_matrices(params: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.ndim == 2, params)

    def two(rule: Any) -> Any:
        state = rule.init(params)
        first, state = rule.update(grads, state, params)
        return first, rule.update(grads, state, params)[0]

    pairs: list[tuple[Any, Any]] = [
        (partial(f, 0.1, weight_decay=0.3, weight_decay_mask=mask, trust_ratio_mask=other), None)
        for f in (lars, optax.lars)
        for mask, other in ((matrices, vectors), (matrices, of_matrices))
    ]
    answers = [two(make()) for make, _ in pairs]
    answers += [two(f(0.1, weight_decay=0.3, mask=matrices)) for f in (lamb, optax.lamb)]
    for ours, witness in ((0, 2), (1, 3), (4, 5)):
        for a, b in zip(*map(jax.tree.leaves, (answers[ours], answers[witness])), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("rule", [lars, lamb])
def test_a_leaf_or_gradient_of_zeros_has_the_ratio_one(rule: Any) -> None:
    params = {"zero": jnp.zeros(2), "still": jnp.ones(2)}
    grads = {"zero": jnp.asarray([1.0, -1.0]), "still": jnp.zeros(2)}
    made = rule(0.1)
    updates, _ = made.update(grads, made.init(params), params)
    np.testing.assert_allclose(updates["zero"], [-0.1, 0.1], rtol=1e-5)
    np.testing.assert_array_equal(updates["still"], 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lars(0.1, weight_decay=-1.0), "lars: weight_decay must be .* got -1.0"),
        (lambda: lars(0.1, trust_coefficient=-1.0), "lars: trust_coefficient must"),
        (lambda: lars(0.1, eps=-1.0), "lars: eps must"),
        (lambda: lars(0.1, momentum=1.0), r"lars: momentum must be in \[0, 1\), got 1.0"),
        (lambda: lars(0.1, dialect="other"), "lars: dialect must be 'optax' or 'paper'"),  # type: ignore[arg-type]
        (lambda: lamb(-0.1), "lamb: learning_rate must"),
        (lambda: lamb(0.1, b1=1.0), "lamb: b1 must"),
        (lambda: lamb(0.1, weight_decay=-1.0), "lamb: weight_decay must"),
        (lambda: novograd(0.1, b2=-0.1), "novograd: b2 must"),
        (lambda: novograd(0.1, weight_decay=-0.1), "novograd: weight_decay must"),
        (lambda: fromage(0.1, min_norm=-1.0), "fromage: min_norm must"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
