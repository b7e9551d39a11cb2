"""Newton's method with the Hessian's inverse taken by conjugate gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.descent import Direction, descent
from jaxnet.optim.line_search import ValueAndGrad
from jaxnet.optim.rates import Hyper, check_count


class InnerSolve(NamedTuple):
    """The conjugate gradients for B z = -g: z, r = B z + g, the next p, and the products taken."""

    z: Array
    r: Array
    p: Array
    going: Array
    products: Array


def newton_cg(
    max_products: int | None = None,
    c1: Hyper = 1e-4,
    c2: Hyper = 0.9,
    max_evaluations: int = 20,
) -> optax.GradientTransformationExtraArgs:
    """Truncated Newton: a line search along an approximate solution of B d = -g.

    B is the Hessian, of which only products with a vector are taken,

        B p = d/de grad f(x + e p)  at e = 0

    exactly, by forward-mode differentiation of the gradient, at two to three times its cost. Linear
    conjugate gradients start from z = 0, r = g, p = -g and go on with

        alpha = r^T r / p^T B p,  z := z + alpha p,  r' = r + alpha B p
        p := -r' + (r'^T r' / r^T r) p

    until |r'| <= min(1/2, sqrt|g|) |g|, which makes the method converge faster than linearly, or
    p^T B p <= 0, where the quadratic model has no minimum. Then d = z, or -g if that was the first
    p, and

        x := x + a d

    with the step a from `line_search`, which tries 1 first.

    Differs from: SciPy's Newton-CG takes the sum of |g_i| for |g|, and differences of gradients
    where it is given no Hessian.

    Args:
        max_products: Products with B that one direction may take; None is 20 n for n parameters.
        c1: Share of the decrease foreseen by the slope that a step must bring.
        c2: Share of the slope that it may leave, c1 < c2 < 1.
        max_evaluations: Points that one search may try.

    Returns:
        An optax gradient transformation whose `update` needs `value` and `value_fn`; its state
        holds a gradient, once the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Dembo & Steihaug (1983); Nocedal & Wright (2006), Algorithm 7.1.
    """
    if max_products is not None:
        check_count("newton_cg", "max_products", max_products)

    def direction(memory: Any, x: Array, g: Array, value_and_grad: ValueAndGrad) -> Direction:
        def product(p: Array) -> Array:
            bp: Array = jax.jvp(lambda x: value_and_grad(x)[1], (x,), (p,))[1]
            return bp

        norm = jnp.linalg.norm(g)
        enough = jnp.minimum(0.5, jnp.sqrt(norm)) * norm
        most = 20 * x.size if max_products is None else max_products

        def step(s: InnerSolve) -> InnerSolve:
            bp = product(s.p)
            curvature = s.p @ bp
            upwards = curvature > 0
            alpha = (s.r @ s.r) / curvature
            r = s.r + alpha * bp
            p = -r + (r @ r) / (s.r @ s.r) * s.p
            # Where the model bends down, z stays; before the first step that means -g.
            z = jnp.where(upwards, s.z + alpha * s.p, jnp.where(s.products == 0, -g, s.z))
            going = upwards & (jnp.linalg.norm(r) > enough)
            return InnerSolve(z, r, p, going, s.products + 1)

        def going(s: InnerSolve) -> Array:
            return s.going & (s.products < most)

        zero = jnp.zeros([], jnp.int32)
        start = InnerSolve(jnp.zeros_like(g), g, -g, norm > 0, zero)
        s = jax.lax.while_loop(going, step, start)
        return Direction(s.z, memory, s.products)

    return descent(
        "newton_cg",
        init=lambda x: (),
        direction=direction,
        remember=lambda memory, g, d, s, y: memory,
        unit_step="always",
        c1=c1,
        c2=c2,
        max_evaluations=max_evaluations,
    )
