"""Muon: momentum whose singular values are made equal."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import Accumulator, Mask, Moments, leafwise, norm, zeros_of
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_count,
    check_decay,
    check_learning_rate,
    check_nonnegative,
    check_number,
)

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients: the slope at 0 is steep, and [0, 1] goes to about [0.7, 1.2]."""


def muon(
    learning_rate: LearningRate,
    ns_coeffs: tuple[float, float, float] = QUINTIC,
    ns_steps: int = 5,
    beta: Hyper = 0.95,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    weight_decay_mask: Mask = None,
    nesterov: bool = True,
    adam_b1: Hyper = 0.9,
    adam_b2: Hyper = 0.999,
    adam_eps_root: Hyper = 0.0,
    adam_weight_decay: Hyper = 0.0,
    adam_learning_rate: LearningRate | None = None,
    consistent_rms: Hyper | None = None,
    bias_correction: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Muon, momentum orthogonalised by Newton-Schulz iterations.

    From m = 0, for t = 1, 2, ... and a matrix x of shape (in, out),

        m := beta m + (1 - beta) g
        m^ = beta m / (1 - beta^(t+1)) + (1 - beta) g / (1 - beta^t)
        X := m^ / (|m^|_F + eps)
        X := a X + (b A + c A^2) X with A = X X^T,  ns_steps times
        x := x - lr (sqrt(max(1, out / in)) X + wd x)

    Each iteration maps the singular values s of X to a s + b s^3 + c s^5 and keeps its singular
    vectors, so from the SVD m^ = U S V^T comes about U V^T. Without Nesterov momentum m^ is
    m / (1 - beta^t).

    Leaves that are not matrices are updated by Adam with the same form of Nesterov momentum,

        m^ = b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t)
        x := x - lr (m^ / (sqrt(v / (1 - b2^t) + eps_root) + eps) + wd x)

    So are leaves of more than two axes; reshape them to have them orthogonalised. First and last
    layers of a network are usually left to Adam as well: give them another rule.

    Differs from: the author's code and PyTorch's have no bias correction,
    m^ = beta m + (1 - beta) g (`bias_correction=False`), which changes the first steps only; they
    store matrices as (out, in), and compute X in bfloat16. Keras has the velocity m := beta m + g.
    Moonlight's factor 0.2 sqrt(max(in, out)) in the place of sqrt(max(1, out / in)) is
    `consistent_rms=0.2`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        ns_coeffs: a, b and c.
        ns_steps: The number of iterations.
        beta: Decay of the average of the gradient, in [0, 1).
        eps: Keeps the denominators from 0, of matrices and others.
        weight_decay: wd of matrices, not negative.
        weight_decay_mask: Which matrices decay: a tree of bools, or a function from the
            parameters to one.
        nesterov: Whether the momentum of matrices and others is Nesterov's.
        adam_b1: b1 of the other leaves, in [0, 1).
        adam_b2: b2 of the other leaves, in [0, 1).
        adam_eps_root: eps_root of the other leaves.
        adam_weight_decay: wd of the other leaves, not negative.
        adam_learning_rate: lr of the other leaves; None for the same.
        consistent_rms: r of a factor r sqrt(max(in, out)); None for sqrt(max(1, out / in)).
        bias_correction: Whether m^ of matrices is corrected.

    Returns:
        An optax gradient transformation; its state holds m of matrices and m and v of others, one
        to two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Jordan, Jin, Boza, You, Cesista, Newhouse & Bernstein (2024); for the factor of
    consistent_rms, Liu et al. (2025).
    """
    for i, coefficient in enumerate(ns_coeffs):
        check_number("muon", f"ns_coeffs[{i}]", coefficient, math.isfinite, "a finite number")
    check_count("muon", "ns_steps", ns_steps)
    check_decay("muon", "beta", beta)
    check_nonnegative("muon", "eps", eps)
    check_decay("muon", "adam_b1", adam_b1)
    check_decay("muon", "adam_b2", adam_b2)
    check_nonnegative("muon", "adam_eps_root", adam_eps_root)
    check_nonnegative("muon", "adam_weight_decay", adam_weight_decay)
    if adam_learning_rate is not None:
        check_learning_rate("muon", adam_learning_rate, "adam_learning_rate")
    if consistent_rms is not None:
        check_nonnegative("muon", "consistent_rms", consistent_rms)

    def step(g: Array, s: Accumulator, x: Array, lr: Array, t: Array) -> tuple[Array, Accumulator]:
        m = beta * s.v + (1 - beta) * g
        m_hat = looking_ahead(m, g, beta, t, nesterov, bias_correction)
        direction = orthogonalized(m_hat, ns_coeffs, ns_steps, eps)
        return -lr * shape_factor(x, consistent_rms) * direction, Accumulator(m)

    def step_other(g: Array, s: Moments, x: Array, lr: Array, t: Array) -> tuple[Array, Moments]:
        m = adam_b1 * s.m + (1 - adam_b1) * g
        v = adam_b2 * s.v + (1 - adam_b2) * g**2
        m_hat = looking_ahead(m, g, adam_b1, t, nesterov, True)
        v_hat = v / (1 - adam_b2**t)
        return -lr * m_hat / (jnp.sqrt(v_hat + adam_eps_root) + eps), Moments(m, v)

    other_rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    matrix = leafwise(
        "muon",
        learning_rate,
        zeros_of(Accumulator),
        step,
        weight_decay=weight_decay,
        mask=weight_decay_mask,
    )
    other = leafwise(
        "muon", other_rate, zeros_of(Moments), step_other, weight_decay=adam_weight_decay
    )
    return optax.partition({"matrix": matrix, "other": other}, kinds)


def kinds(params: Any) -> Any:
    """Which leaves are orthogonalised: the matrices, but those without entries."""
    return jax.tree.map(
        lambda x: "matrix" if jnp.ndim(x) == 2 and jnp.size(x) > 0 else "other", params
    )


def looking_ahead(
    m: Array, g: Array, b: Hyper, t: Array, nesterov: bool, bias_correction: bool
) -> Array:
    """m^ of the average m after step t, whose last gradient is g."""
    if not bias_correction:
        return b * m + (1 - b) * g if nesterov else m
    if not nesterov:
        return m / (1 - b**t)
    return b * (m / (1 - b ** (t + 1))) + (1 - b) * (g / (1 - b**t))


def orthogonalized(
    x: Array, coefficients: tuple[float, float, float], steps: int, eps: Hyper
) -> Array:
    """About U V^T of a matrix U S V^T."""
    if x.shape[0] > x.shape[1]:  # so that A is the smaller of X X^T and X^T X
        return orthogonalized(x.T, coefficients, steps, eps).T
    a, b, c = coefficients
    x = x / (norm(x) + eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def shape_factor(x: Array, consistent_rms: Hyper | None) -> Hyper:
    """What the orthogonalised matrix is multiplied by, for a matrix of shape (in, out)."""
    rows, columns = x.shape
    if consistent_rms is not None:
        return consistent_rms * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, columns / rows))
