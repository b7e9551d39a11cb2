"""Levenberg-Marquardt, for sums of squares."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnet.optim.descent import Counts, flat, unflat
from jaxnet.optim.rates import Hyper, check_count, check_positive
from jaxnet.optim.transformation import transformation


class MarquardtState(NamedTuple):
    """State of `levenberg_marquardt`.

    damping is lambda, growth the factor nu by which the next rejection raises it, and scale the
    diagonal of D. cosine is the largest one between r and a column of J where the last step began:
    at a minimum r is orthogonal to all of them. converged says that F can fall no further there, up
    to rounding, stalled that no damping that was tried led to a lower point though one should be.
    evaluations counts residuals (nfev) and Jacobians (njev).
    """

    step: Array
    damping: Array
    growth: Array
    scale: Array
    cosine: Array
    converged: Array
    stalled: Array
    evaluations: Counts


class Search(NamedTuple):
    """The search for a damping whose step goes down, and the last step that it tried.

    lower says that F is lower there, hopeless that it is not and the step was negligible.
    """

    delta: Array
    damping: Array
    growth: Array
    lower: Array
    hopeless: Array
    tried: Array


def levenberg_marquardt(
    damping: Hyper = 1e-3,
    max_evaluations: int = 20,
) -> optax.GradientTransformationExtraArgs:
    """Levenberg-Marquardt: Gauss-Newton steps for a sum of squares, damped until they go down.

    For F(x) = 1/2 r(x)^T r(x) with m residuals r and their Jacobian J = dr/dx, g = J^T r,

        (J^T J + lambda D^2) delta = -g,   x := x + delta

    where D is diagonal with the largest norms so far of the columns of J, so that no unit of
    measurement counts. The decrease is compared with that of the linear model,

        rho = (F(x) - F(x + delta)) / (1/2 delta^T (lambda D^2 delta - g))
        rho > 0:  lambda := lambda max(1/3, 1 - (2 rho - 1)^3),  nu := 2
        else:     lambda := lambda nu,  nu := 2 nu, and delta is computed anew.

    delta is taken from a QR decomposition of J D^-1 over sqrt(lambda) I, never from J^T J, which
    would square the condition number.

    Differs from: MINPACK, and with it SciPy, chooses lambda such that |D delta| keeps to a trust
    region. Levenberg (1944) has D = I.

    Args:
        damping: The first lambda; the smaller, the nearer the first step is to Gauss-Newton's.
        max_evaluations: Dampings that one step may try.

    Returns:
        An optax gradient transformation whose `update` needs `residual_fn`, params -> residuals,
        one array of any shape or a tree of them, and looks at no gradient; its state holds D, once
        the parameters, and a step needs J, m times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Levenberg (1944); Marquardt (1963); More (1978) for D; Nielsen (1999) for lambda.
    """
    check_positive("levenberg_marquardt", "damping", damping)
    check_count("levenberg_marquardt", "max_evaluations", max_evaluations)

    def init(params: Any) -> MarquardtState:
        x = flat(params)
        return MarquardtState(
            step=jnp.zeros([], jnp.int32),
            damping=jnp.array(damping, x.dtype),
            growth=jnp.full([], 2, x.dtype),
            scale=jnp.zeros_like(x),
            cosine=jnp.full([], jnp.inf, x.dtype),
            converged=jnp.zeros([], bool),
            stalled=jnp.zeros([], bool),
            evaluations=Counts(*jnp.zeros(3, jnp.int32)),
        )

    def update(
        grads: Any,
        state: MarquardtState,
        params: Any,
        *,
        residual_fn: Callable[[Any], Any] | None = None,
        **extra: Any,
    ) -> tuple[Any, MarquardtState]:
        if residual_fn is None:
            raise ValueError(
                "levenberg_marquardt: update needs the residuals: residual_fn=residual_fn"
            )
        x = flat(params)

        def residuals(x: Array) -> Array:
            return flat(residual_fn(unflat(x, params))).astype(x.dtype)

        r = residuals(x)
        jacobian = (jax.jacfwd if x.size <= r.size else jax.jacrev)(residuals)(x)
        columns = jnp.linalg.norm(jacobian, axis=0)
        scale = jnp.maximum(state.scale, columns)
        d = jnp.where(scale > 0, scale, 1)

        def half_square_after(delta: Array) -> Array:
            r = residuals(x + delta / d)
            return 0.5 * (r @ r)

        lengths = jnp.linalg.norm(r) * columns
        cosines = jnp.where(lengths > 0, jnp.abs(r @ jacobian) / lengths, 0)
        s = search(half_square_after, d * x, r, jacobian / d, state, max_evaluations)
        n = state.evaluations
        new_state = MarquardtState(
            step=optax.safe_increment(state.step),
            damping=s.damping,
            growth=s.growth,
            scale=scale,
            cosine=jnp.max(cosines, initial=0),
            converged=s.hopeless,
            stalled=~s.lower & ~s.hopeless,
            evaluations=Counts(n.nfev + 1 + s.tried, n.njev + 1, n.nhev),
        )
        return unflat(jnp.where(s.lower, s.delta / d, 0), params), new_state

    return transformation("levenberg_marquardt", init, update)


def search(
    half_square_after: Callable[[Array], Array],
    x: Array,
    r: Array,
    j: Array,
    state: MarquardtState,
    max_evaluations: int,
) -> Search:
    """Raise the damping until the step goes down.

    All of it in units in which D is I.

    Args:
        half_square_after: delta -> F after that step.
        x: Where the step begins.
        r: The residuals there.
        j: Their Jacobian.
        state: The damping to begin with.
        max_evaluations: Dampings to try at most.
    """
    before, g = 0.5 * (r @ r), r @ j
    eps = np.finfo(r.dtype).eps

    def attempt(s: Search) -> Search:
        delta = damped_step(j, r, s.damping)
        foreseen = 0.5 * (delta @ (s.damping * delta - g))
        rho = (before - half_square_after(delta)) / foreseen
        lower = (rho > 0) & (foreseen > 0)
        negligible = (foreseen <= eps * before) | (
            jnp.linalg.norm(delta) <= eps * jnp.linalg.norm(x)
        )
        eased = s.damping * jnp.maximum(1 / 3, 1 - (2 * rho - 1) ** 3)
        return Search(
            delta=delta,
            damping=jnp.where(lower, eased, s.damping * s.growth),
            growth=jnp.where(lower, 2, 2 * s.growth),
            lower=lower,
            hopeless=~lower & negligible,
            tried=s.tried + 1,
        )

    def going(s: Search) -> Array:
        return ~s.lower & ~s.hopeless & (s.tried < max_evaluations)

    no, zero = jnp.zeros([], bool), jnp.zeros([], jnp.int32)
    start = Search(jnp.zeros_like(g), state.damping, state.growth, no, no, zero)
    return jax.lax.while_loop(going, attempt, start)


def damped_step(j: Array, r: Array, damping: Array) -> Array:
    """The least-squares solution delta of j delta = -r, sqrt(damping) delta = 0."""
    n = j.shape[1]
    q, upper = jnp.linalg.qr(jnp.concatenate([j, jnp.sqrt(damping) * jnp.eye(n, dtype=j.dtype)]))
    delta: Array = jax.scipy.linalg.solve_triangular(upper, -(r @ q[: r.size]))
    return delta
