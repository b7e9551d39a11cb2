"""Nonlinear conjugate gradients."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.descent import Direction, descent
from jaxnet.optim.line_search import ValueAndGrad
from jaxnet.optim.rates import Hyper, check_choice

FORMULAS = ("fletcher_reeves", "polak_ribiere", "hestenes_stiefel", "dai_yuan", "hager_zhang")


class Conjugate(NamedTuple):
    """What is added to -g for the next direction: beta d."""

    beta_d: Array


def conjugate_gradient(
    formula: str = "polak_ribiere",
    c1: Hyper = 1e-4,
    c2: Hyper = 0.1,
    max_evaluations: int = 20,
) -> optax.GradientTransformationExtraArgs:
    """Nonlinear conjugate gradients with a line search for the strong Wolfe conditions.

    From d_0 = -g_0,

        x_{k+1} = x_k + a_k d_k
        d_{k+1} = -g_{k+1} + beta_k d_k

    with the step a_k from `line_search` and, for y = g_{k+1} - g_k, beta_k by `formula`:

        "fletcher_reeves"   g_{k+1}^T g_{k+1} / g_k^T g_k
        "polak_ribiere"     max(0, g_{k+1}^T y / g_k^T g_k)
        "hestenes_stiefel"  g_{k+1}^T y / d_k^T y
        "dai_yuan"          g_{k+1}^T g_{k+1} / d_k^T y
        "hager_zhang"       max(b, -1 / (|d_k| min(0.01, |g_k|))),
                            b = (y - 2 d_k y^T y / d_k^T y)^T g_{k+1} / d_k^T y

    On a quadratic with exact searches all of them are linear conjugate gradients.

    A direction with d^T g > -0.01 g^T g is replaced by -g.

    Differs from: SciPy's CG is "polak_ribiere" with c2 = 0.4, and searches on where the next
    direction would not descend enough. jaxopt cuts "hestenes_stiefel" off at 0. optimistix 0.1.0
    has "hestenes_stiefel" and "dai_yuan" with the wrong sign.

    Args:
        formula: The formula for beta.
        c1: Share of the decrease foreseen by the slope that a step must bring.
        c2: Share of the slope that it may leave, c1 < c2 < 1. The searches are to be
            finer than in `bfgs`; "fletcher_reeves" needs c2 < 1/2.
        max_evaluations: Points that one search may try.

    Returns:
        An optax gradient transformation whose `update` needs `value` and `value_fn`; its state
        holds beta d and a gradient, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range, or the formula is unknown.

    References: Fletcher & Reeves (1964); Polak & Ribiere (1969), Gilbert & Nocedal (1992);
    Hestenes & Stiefel (1952); Dai & Yuan (1999); Hager & Zhang (2005).
    """
    check_choice("conjugate_gradient", "formula", formula, FORMULAS)

    def init(x: Array) -> Conjugate:
        return Conjugate(jnp.zeros_like(x))

    def direction(m: Conjugate, x: Array, g: Array, value_and_grad: ValueAndGrad) -> Direction:
        d = -g + m.beta_d
        return Direction(jnp.where(g @ d <= -0.01 * (g @ g), d, -g), m)

    def remember(m: Any, g: Array, d: Array, s: Array, y: Array) -> Conjugate:
        factor = beta(formula, g, g + y, d, y)
        return Conjugate(jnp.where(jnp.isfinite(factor), factor, 0) * d)

    return descent(
        "conjugate_gradient",
        init,
        direction,
        remember,
        unit_step="never",
        c1=c1,
        c2=c2,
        max_evaluations=max_evaluations,
    )


def beta(formula: str, g: Array, g_new: Array, d: Array, y: Array) -> Array:
    """The factor of the last direction d; g and g_new are the gradients before and after it."""
    if formula == "fletcher_reeves":
        return (g_new @ g_new) / (g @ g)
    if formula == "polak_ribiere":
        return jnp.maximum(0, (g_new @ y) / (g @ g))
    if formula == "hestenes_stiefel":
        return (g_new @ y) / (d @ y)
    if formula == "dai_yuan":
        return (g_new @ g_new) / (d @ y)
    b = (y - 2 * d * (y @ y) / (d @ y)) @ g_new / (d @ y)
    norm_d, norm_g = jnp.linalg.norm(d), jnp.linalg.norm(g)
    return jnp.maximum(b, -1 / (norm_d * jnp.minimum(0.01, norm_g)))
