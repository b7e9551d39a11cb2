"""Muon against optax, and Shampoo and SOAP against their papers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim.muon import QUINTIC, muon
from jaxnet.optim.shampoo import shampoo, soap

Step = Callable[..., Any]


def muon_paper(
    x: np.ndarray,
    learning_rate: float,
    beta: float,
    eps: float,
    weight_decay: float,
    adam_b1: float,
    adam_b2: float,
    adam_eps_root: float,
    adam_weight_decay: float,
    adam_learning_rate: float,
    consistent_rms: float | None = None,
    nesterov: bool = True,
    bias_correction: bool = True,
    ns_steps: int = 5,
) -> Step:
    m, v = np.zeros_like(x), np.zeros_like(x)
    b = beta if x.ndim == 2 else adam_b1

    def ahead(g: np.ndarray, t: int) -> Any:
        correct = bias_correction or x.ndim != 2
        now, later = (1 - b**t, 1 - b ** (t + 1)) if correct else (1.0, 1.0)
        return b * m / later + (1 - b) * g / now if nesterov else m / now

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m, v
        m = b * m + (1 - b) * g
        if x.ndim != 2:
            v = adam_b2 * v + (1 - adam_b2) * g * g
            root = np.sqrt(v / (1 - adam_b2**t) + adam_eps_root)
            return -adam_learning_rate * (ahead(g, t) / (root + eps) + adam_weight_decay * x)
        # By the singular values, which the iteration maps one by one.
        u, s, vt = np.linalg.svd(ahead(g, t), full_matrices=False)
        s = s / (np.sqrt((s * s).sum()) + eps)
        for _ in range(ns_steps):
            s = QUINTIC[0] * s + QUINTIC[1] * s**3 + QUINTIC[2] * s**5
        rows, columns = x.shape
        factor = np.sqrt(max(1.0, columns / rows))
        if consistent_rms is not None:
            factor = consistent_rms * np.sqrt(max(rows, columns))
        return -learning_rate * (factor * (u * s) @ vt + weight_decay * x)

    return step


def test_muon(prove: Any) -> None:
    names = ["learning_rate", "beta", "eps", "weight_decay", "adam_b1", "adam_b2"]
    names += ["adam_eps_root", "adam_weight_decay", "adam_learning_rate"]
    # Small steps: at larger rates averages pass through 0, where float32 has few digits left.
    settings = [
        dict(zip(names, values, strict=True))
        for values in (
            (3e-3, 0.95, 1e-8, 0.0, 0.9, 0.999, 0.0, 0.0, 3e-3),
            (1e-2, 0.8, 1e-2, 0.1, 0.5, 0.9, 1e-4, 0.2, 4e-3),
        )
    ]
    moonlight = [s | {"consistent_rms": r} for s, r in zip(settings, (0.2, 0.5), strict=True)]
    # Singular values of 0 but for rounding grow by 3.4^5 = 480.
    close = {"tolerance": 1e-11, "free_tolerance": None}
    witness = {"witness": optax.contrib.muon, "numpy": muon_paper}
    prove(muon, settings, **witness, **close)
    prove(
        muon,
        moonlight,
        **witness,
        static={"nesterov": False, "ns_steps": 3},
        optimized=True,
        **close,
    )
    prove(muon, settings, numpy=muon_paper, static={"bias_correction": False}, **close)


def test_muon_s_mask_and_leaves_without_a_matrix() -> None:
    params = {
        "w": jnp.eye(2, 3),
        "u": jnp.eye(3, 2),
        "k": jnp.ones((2, 2, 2)),
        "s": jnp.asarray(1.0),
    }
    params |= {"empty": jnp.zeros((0, 2))}
    grads = jax.tree.map(lambda x: x + 0.5, params)
    masks = {"w": True, "u": False, "k": False, "s": False, "empty": False}
    made = [f(0.1, weight_decay=0.3, weight_decay_mask=masks) for f in (muon, optax.contrib.muon)]
    del params["empty"], grads["empty"]
    masks.pop("empty")
    ours, witness = jax.jit(
        lambda grads, params: [rule.update(grads, rule.init(params), params)[0] for rule in made]
    )(grads, params)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(witness), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    empty = {"empty": jnp.zeros((0, 2))}
    rule = muon(0.1)
    assert rule.update(empty, rule.init(empty), empty)[0]["empty"].shape == (0, 2)


def matrix_power(h: np.ndarray, exponent: float) -> Any:
    s, q = np.linalg.eigh(h)
    return q @ np.diag(s**exponent) @ q.T


def shampoo_paper(
    x: np.ndarray,
    learning_rate: float,
    eps: float,
    momentum: float,
    update_interval: int = 1,
) -> Step:
    """Gupta et al., Algorithm 1 for matrices, and full-matrix AdaGrad for vectors."""
    ls, rs = eps * np.eye(len(x)), eps * np.eye(x.shape[-1])
    left, right, v = ls, rs, np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal ls, rs, left, right, v
        due = (t - 1) % update_interval == 0
        if x.ndim == 1:
            ls = ls + np.outer(g, g)
            left = matrix_power(ls, -1 / 2) if due else left
            v = momentum * v + left @ g
        else:
            ls, rs = ls + g @ g.T, rs + g.T @ g
            left = matrix_power(ls, -1 / 4) if due else left
            right = matrix_power(rs, -1 / 4) if due else right
            v = momentum * v + left @ g @ right
        return -learning_rate * v

    return step


def test_shampoo(prove: Any) -> None:
    settings = [
        {"learning_rate": 0.1, "eps": 1e-4, "momentum": 0.0},
        {"learning_rate": 0.03, "eps": 1e-2, "momentum": 0.9},
    ]
    # The small eigenvalues have the absolute errors of the large ones.
    close = {"tolerance": 1e-9, "free_tolerance": None}
    prove(shampoo, settings, numpy=shampoo_paper, **close)
    # An old root is large where no gradient was, so larger steps would diverge.
    slow = [
        {"learning_rate": 1e-4, "eps": 1e-2, "momentum": 0.0},
        {"learning_rate": 3e-4, "eps": 0.1, "momentum": 0.5},
    ]
    prove(shampoo, slow, numpy=shampoo_paper, static={"update_interval": 7}, **close)


def one_run(rule: Any, grads: np.ndarray, x: Any) -> list[np.ndarray]:
    update = jax.jit(rule.update)
    state, updates = rule.init(x), []
    for g in grads:
        u, state = update(jnp.asarray(g), state, x)
        updates.append(np.asarray(u))
    return updates


def test_shampoo_of_three_axes_of_averages_and_of_long_axes() -> None:
    eps, decay = 1e-3, 0.9
    grads = np.random.default_rng(1).normal(size=(4, 2, 3, 4))
    h = [np.zeros((n, n)) for n in (2, 3, 4)]
    expected = []
    for g in grads:
        terms = ("iab,jab->ij", "aib,ajb->ij", "abi,abj->ij")
        h = [decay * a + (1 - decay) * np.einsum(s, g, g) for a, s in zip(h, terms, strict=True)]
        h[2] = np.diag(np.diag(h[2]))  # longer than max_dim
        roots = [matrix_power(a + eps * np.eye(len(a)), -1 / 6) for a in h]
        expected.append(-0.1 * np.einsum("abc,ai,bj,ck->ijk", g, *roots))
    x = jnp.zeros((2, 3, 4))
    answers = one_run(shampoo(0.1, eps, decay=decay, max_dim=3), grads, x)
    np.testing.assert_allclose(answers, expected, rtol=1e-11, atol=1e-13)
    number = one_run(shampoo(0.1, eps=1e-12), np.asarray([3.0, 4.0, 0.0]), jnp.asarray(1.0))
    np.testing.assert_allclose(number, [-0.1, -0.08, 0.0], rtol=1e-10)
    long = one_run(
        shampoo(0.1, 1e-12, max_dim=1), np.asarray([[3.0, 1.0], [4.0, 0.0]]), jnp.ones(2)
    )
    np.testing.assert_allclose(long, [[-0.1, -0.1], [-0.08, 0.0]], rtol=1e-10)


def soap_paper(
    grads: np.ndarray,
    xs: np.ndarray,
    learning_rate: float,
    b1: float,
    b2: float,
    shampoo_beta: float,
    eps: float,
    weight_decay: float,
    precondition_frequency: int,
    skip_first: bool = True,
) -> list[np.ndarray]:
    """SOAP for a matrix, after the authors' code."""
    m, v = np.zeros_like(xs[0]), np.zeros_like(xs[0])
    ls, rs = np.zeros((xs.shape[1],) * 2), np.zeros((xs.shape[2],) * 2)
    ql, qr = ls, rs
    updates, t = [], 0

    def gathered(g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        b = shampoo_beta
        return b * ls + (1 - b) * g @ g.T, b * rs + (1 - b) * g.T @ g

    for i, (g, x) in enumerate(zip(grads, xs, strict=True)):
        if i == 0:
            ls, rs = gathered(g)
            ql, qr = (np.linalg.eigh(a)[1][:, ::-1] for a in (ls, rs))
            if skip_first:
                updates.append(-learning_rate * weight_decay * x)
                continue
        t += 1
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (ql.T @ g @ qr) ** 2
        n = ql.T @ m @ qr / (np.sqrt(v) + eps)
        size = learning_rate * np.sqrt(1 - b2**t) / (1 - b1**t)
        updates.append(-size * ql @ n @ qr.T - learning_rate * weight_decay * x)
        if i > 0:
            ls, rs = gathered(g)
        if t % precondition_frequency == 0:
            orders = [np.argsort(-np.diag(q.T @ a @ q)) for a, q in ((ls, ql), (rs, qr))]
            v = v[orders[0]][:, orders[1]]
            ql = np.linalg.qr((ls @ ql)[:, orders[0]])[0]
            qr = np.linalg.qr((rs @ qr)[:, orders[1]])[0]
    return updates


@pytest.mark.parametrize("skip_first", [True, False])
def test_soap(skip_first: bool) -> None:
    # Square, so that no eigenvalue is 0 twice: of such a plane any two vectors are eigenvectors.
    random = np.random.default_rng(2)
    grads = random.normal(size=(50, 4, 4)) * np.asarray([1.0, 2.0, 3.0, 4.0])
    xs = random.normal(size=(50, 4, 4))
    names = ["learning_rate", "b1", "b2", "shampoo_beta", "eps", "weight_decay"]
    values = jnp.asarray([(3e-3, 0.95, 0.95, 0.95, 1e-8, 0.01), (0.1, 0.8, 0.9, 0.5, 1e-2, 0.3)])

    @jax.jit
    @jax.vmap
    def run(setting: Any) -> Any:
        rule = soap(
            **dict(zip(names, setting, strict=True)),
            precondition_frequency=3,
            skip_first=skip_first,
        )

        def step(state: Any, seen: Any) -> Any:
            u, state = rule.update(seen[0], state, seen[1])
            return state, u

        return jax.lax.scan(step, rule.init(jnp.asarray(xs[0])), (grads, xs))[1]

    for setting, answer in zip(values.tolist(), run(values), strict=True):
        expected = soap_paper(
            grads,
            xs,
            **dict(zip(names, setting, strict=True)),
            precondition_frequency=3,
            skip_first=skip_first,
        )
        # The first gradient is diagonal in its own eigenvectors but for rounding, which eps lifts.
        np.testing.assert_allclose(answer[0], expected[0], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(answer[1:], expected[1:], rtol=1e-9, atol=1e-12)


def test_soap_of_vectors_and_long_axes_is_adam() -> None:
    grads = np.random.default_rng(2).normal(size=(6, 3, 2))
    adam = optax.adam(0.1, 0.9, 0.9, eps=0.0)
    settings: dict[str, Any] = {"b1": 0.9, "b2": 0.9, "eps": 0.0, "weight_decay": 0.0}
    expected = one_run(adam, grads[1:], jnp.zeros((3, 2)))
    answer = one_run(soap(0.1, max_precond_dim=1, **settings), grads, jnp.zeros((3, 2)))
    np.testing.assert_allclose(answer[1:], expected, rtol=1e-12)
    np.testing.assert_array_equal(answer[0], 0.0)
    vector = one_run(soap(0.1, **settings), grads.reshape(6, 6), jnp.zeros(6))
    np.testing.assert_allclose(np.asarray(vector[1:]).reshape(5, 3, 2), expected, rtol=1e-12)


def test_soap_turns_with_the_gradients() -> None:
    # Three axes: steps in the eigenvectors do not depend on the axes of the space.
    random = np.random.default_rng(5)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    grads = random.normal(size=(8, 2, 3, 3))
    rule = soap(0.1, precondition_frequency=2, b1=0.5, eps=1e-3)
    plain, turned = (one_run(rule, g, jnp.zeros((2, 3, 3))) for g in (grads, grads @ turn))
    np.testing.assert_allclose(np.asarray(plain) @ turn, turned, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: muon(-0.1), "muon: learning_rate must"),
        (lambda: muon(0.1, beta=1.0), r"muon: beta must be in \[0, 1\), got 1.0"),
        (lambda: muon(0.1, eps=-1.0), "muon: eps must"),
        (lambda: muon(0.1, ns_steps=0), "muon: ns_steps must be a whole number >= 1, got 0"),
        (lambda: muon(0.1, consistent_rms=-1.0), "muon: consistent_rms must"),
        (lambda: muon(0.1, adam_b2=1.0), "muon: adam_b2 must"),
        (lambda: muon(0.1, adam_weight_decay=-1.0), "muon: adam_weight_decay must"),
        (lambda: shampoo(0.1, eps=0.0), "shampoo: eps must be a finite number > 0, got 0.0"),
        (lambda: shampoo(0.1, momentum=1.0), "shampoo: momentum must"),
        (lambda: shampoo(0.1, decay=1.5), r"shampoo: decay must be in \[0, 1\], got 1.5"),
        (lambda: shampoo(0.1, update_interval=0), "shampoo: update_interval must"),
        (lambda: shampoo(0.1, max_dim=0), "shampoo: max_dim must"),
        (lambda: soap(0.1, b1=1.0), "soap: b1 must"),
        (lambda: soap(0.1, shampoo_beta=-0.1), "soap: shampoo_beta must"),
        (lambda: soap(0.1, precondition_frequency=0), "soap: precondition_frequency must"),
        (lambda: soap(0.1, max_precond_dim=0), "soap: max_precond_dim must"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
