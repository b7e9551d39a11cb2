"""BFGS and L-BFGS: Newton's method with a Hessian learned from the gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnet.optim.descent import Direction, descent, pick
from jaxnet.optim.line_search import ValueAndGrad
from jaxnet.optim.rates import Hyper, check_count


class Pairs(NamedTuple):
    """The last m steps s and changes of the gradient y, newest last; rho = 1/s^T y, 0 if unused."""

    s: Array
    y: Array
    rho: Array


class InverseHessian(NamedTuple):
    """BFGS's approximation H of the inverse Hessian, and whether it has seen a step."""

    h: Array
    seen: Array


def lbfgs(
    memory_size: int = 10,
    scale_init_precond: bool = True,
    c1: Hyper = 1e-4,
    c2: Hyper = 0.9,
    max_evaluations: int = 20,
) -> optax.GradientTransformationExtraArgs:
    """Limited-memory BFGS with a line search for the strong Wolfe conditions.

    From the last m steps s_i = x_{i+1} - x_i and changes y_i = g_{i+1} - g_i, with
    rho_i = 1 / s_i^T y_i,

        q := g
        for i from the newest to the oldest:  alpha_i = rho_i s_i^T q,  q := q - alpha_i y_i
        r := gamma q,  gamma = s^T y / y^T y of the newest
        for i from the oldest to the newest:  r := r + (alpha_i - rho_i y_i^T r) s_i
        d = -r,  x := x + a d

    and the step a from `line_search`, which tries 1 first, and 1/|g| at the first step.

    Differs from: optax takes `min(1, 1/|g|)` for gamma at the first step and keeps every pair;
    here a pair without positive curvature s^T y is not kept. SciPy's L-BFGS-B takes
    the search's constants as c1 = 1e-3, c2 = 0.9; PyTorch's LBFGS has no search by default.
    There is no learning rate: the search takes its place.

    Args:
        memory_size: m, the number of pairs to keep.
        scale_init_precond: Whether gamma is as above; False leaves it at 1.
        c1: Share of the decrease foreseen by the slope that a step must bring.
        c2: Share of the slope that it may leave, c1 < c2 < 1.
        max_evaluations: Points that one search may try.

    Returns:
        An optax gradient transformation whose `update` needs `value` and `value_fn`; its state
        holds the pairs and a gradient, 2 m + 1 times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Nocedal (1980); Liu & Nocedal (1989); Nocedal & Wright (2006), Algorithm 7.4.
    """
    check_count("lbfgs", "memory_size", memory_size)

    def init(x: Array) -> Pairs:
        shape = (memory_size, x.size)
        return Pairs(*(jnp.zeros(n, x.dtype) for n in (shape, shape, memory_size)))

    def direction(p: Pairs, x: Array, g: Array, value_and_grad: ValueAndGrad) -> Direction:
        def newest_first(q: Array, pair: Pairs) -> tuple[Array, Array]:
            alpha = pair.rho * (pair.s @ q)
            return q - alpha * pair.y, alpha

        def oldest_first(r: Array, entry: tuple[Pairs, Array]) -> tuple[Array, None]:
            pair, alpha = entry
            return r + (alpha - pair.rho * (pair.y @ r)) * pair.s, None

        q, alphas = jax.lax.scan(newest_first, g, p, reverse=True)
        r, _ = jax.lax.scan(oldest_first, gamma(p) * q, (p, alphas))
        return Direction(-r, p)

    def gamma(p: Pairs) -> Array:
        used = (p.rho[-1] > 0) & scale_init_precond
        return jnp.where(used, 1 / (p.rho[-1] * (p.y[-1] @ p.y[-1])), 1)

    def remember(p: Pairs, g: Array, d: Array, s: Array, y: Array) -> Pairs:
        entry = Pairs(s, y, 1 / (s @ y))
        after = jax.tree.map(lambda all, new: jnp.roll(all, -1, axis=0).at[-1].set(new), p, entry)
        kept: Pairs = pick(curved(s, y), after, p)
        return kept

    return descent(
        "lbfgs",
        init,
        direction,
        remember,
        unit_step="later",
        c1=c1,
        c2=c2,
        max_evaluations=max_evaluations,
    )


def bfgs(
    scale_init_precond: bool = False,
    c1: Hyper = 1e-4,
    c2: Hyper = 0.9,
    max_evaluations: int = 20,
) -> optax.GradientTransformationExtraArgs:
    """BFGS with a line search for the strong Wolfe conditions.

    From H = I, with s = x_{k+1} - x_k, y = g_{k+1} - g_k and rho = 1 / s^T y,

        d = -H g,  x := x + a d
        H := (I - rho s y^T) H (I - rho y s^T) + rho s s^T

    and the step a from `line_search`, which tries 1/|g| at the first step, and later the length
    that brings the last step's decrease again, 1 at most.

    Differs from: Nocedal & Wright set H to (s^T y / y^T y) I before its first change, as
    scale_init_precond=True does, and try a step of 1; it saves evaluations on some problems and
    costs as many on others. Steps without positive curvature s^T y do not change H.

    Args:
        scale_init_precond: Whether H is set to that multiple of I before its first change.
        c1: Share of the decrease foreseen by the slope that a step must bring.
        c2: Share of the slope that it may leave, c1 < c2 < 1.
        max_evaluations: Points that one search may try.

    Returns:
        An optax gradient transformation whose `update` needs `value` and `value_fn`; its state
        holds H and a gradient, n + 1 times the n parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Broyden (1970), Fletcher (1970), Goldfarb (1970), Shanno (1970); Nocedal & Wright
    (2006), Algorithm 6.1.
    """

    def init(x: Array) -> InverseHessian:
        return InverseHessian(jnp.eye(x.size, dtype=x.dtype), jnp.zeros([], bool))

    def direction(m: InverseHessian, x: Array, g: Array, value_and_grad: ValueAndGrad) -> Direction:
        return Direction(-(m.h @ g), m)

    def remember(m: InverseHessian, g: Array, d: Array, s: Array, y: Array) -> InverseHessian:
        rho = 1 / (s @ y)
        scale = jnp.where(m.seen | (not scale_init_precond), 1, (s @ y) / (y @ y))
        h = scale * m.h
        # (I - rho s y^T) H (I - rho y s^T) multiplied out, which needs no product of matrices.
        hy = h @ y
        h = (
            h
            - rho * (jnp.outer(s, hy) + jnp.outer(hy, s))
            + rho * (1 + rho * (y @ hy)) * (jnp.outer(s, s))
        )
        return InverseHessian(jnp.where(curved(s, y), h, m.h), m.seen | curved(s, y))

    return descent(
        "bfgs",
        init,
        direction,
        remember,
        unit_step="never",
        c1=c1,
        c2=c2,
        max_evaluations=max_evaluations,
    )


def curved(s: Array, y: Array) -> Array:
    """Whether the loss curves upwards along s, by more than rounding."""
    upwards: Array = s @ y > np.finfo(s.dtype).eps * (y @ y)
    return upwards
