"""Curvature of a loss: the largest and the smallest eigenvalues of its Hessian, by Lanczos.

A step of gradient descent multiplies the error along an eigenvector with curvature lambda by
1 - learning_rate lambda: it is stable below 2 / lambda_max, and needs about
log(10) / (learning_rate lambda) steps to bring the error there to a tenth.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxnet.check.witness import compiled, wide

LARGE = 50_000
"""Parameters from which on the vectors are not kept: only the largest curvature is sure then."""


class Curvature(NamedTuple):
    """Eigenvalues of the Hessian.

    largest and smallest are the extreme ones, weakest is the smallest positive one that was seen
    (all are, up to 60 parameters; beyond, it is an upper bound).
    """

    largest: float
    smallest: float
    weakest: float

    @property
    def size(self) -> float:
        """The largest in absolute value."""
        return max(abs(self.largest), abs(self.smallest))

    @property
    def largest_stable_step(self) -> float:
        """2 / lambda_max: beyond, gradient descent grows along the sharpest direction."""
        return 2 / self.largest if self.largest > 0 else np.inf

    @property
    def condition_number(self) -> float:
        """Largest over smallest positive curvature."""
        return self.largest / self.weakest if self.weakest > 0 else np.inf

    def steps_to_converge(self, learning_rate: float) -> float:
        """Steps to bring the error along the flattest direction to a tenth."""
        kept = abs(1 - learning_rate * self.weakest)
        return float(np.log(0.1) / np.log(kept)) if 0 < kept < 1 else np.inf


def curvature(loss: Any, params: Any, x: Any, t: Any) -> Curvature:
    """The curvature of loss(params, x, t), in float64 unless there are very many parameters."""
    n = sum(leaf.size for leaf in jax.tree.leaves(params))
    if n > LARGE:
        return _of(loss, params, x, t, 16, False)
    with jax.enable_x64(True):
        return _of(loss, wide(params), wide(x), wide(t), min(n, 60), True)


def _of(loss: Any, params: Any, x: Any, t: Any, steps: int, keep: bool) -> Curvature:
    start = np.random.default_rng(0).normal(size=sum(p.size for p in jax.tree.leaves(params)))
    start = (start / np.linalg.norm(start)).astype(np.float32)
    program = partial(lanczos, loss, steps, keep)
    # A small problem takes longer to compile well than to run.
    run = compiled(program) if keep else jax.jit(program)
    a, b = jax.device_get(run(params, x, t, start))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Curvature(np.nan, np.nan, np.nan)
    tiny = 1e-9 * float(np.abs(a).max(initial=0))
    end = next((i + 1 for i in range(len(b)) if b[i] <= tiny), len(a))
    values = np.linalg.eigvalsh(
        np.diag(a[:end]) + np.diag(b[: end - 1], 1) + np.diag(b[: end - 1], -1)
    )
    noise = (1e-12 if keep else 1e-5) * float(np.abs(values).max())
    positive = values[values > noise]
    return Curvature(
        float(values.max()), float(values.min()), float(positive.min()) if len(positive) else 0.0
    )


def lanczos(loss: Any, steps: int, keep: bool, params: Any, x: Any, t: Any, start: Any) -> Any:
    """The tridiagonal matrix that the Hessian has in the space of g, Hg, HHg, ..., g random.

    alpha_j = q_j H q_j and beta_j = |H q_j - alpha_j q_j - beta_(j-1) q_(j-1)|. With `keep` every
    new vector is made orthogonal to all before it, which rounding would undo.
    """
    flat, unflatten = ravel_pytree(params)

    def product(v: Any) -> Any:
        slope = jax.grad(lambda p: loss(unflatten(p), x, t))
        return jax.jvp(slope, (flat,), (v,))[1]

    def body(j: Any, carry: Any) -> Any:
        q, before, beta, basis, a, b = carry
        if keep:
            basis = basis.at[j].set(q)
        w = product(q)
        alpha = q @ w
        w = w - alpha * q - beta * before
        if keep:
            w = w - basis.T @ (basis @ w)
            w = w - basis.T @ (basis @ w)
        beta = jnp.sqrt(w @ w)
        return (
            w / jnp.where(beta > 0, beta, 1),
            q,
            beta,
            basis,
            a.at[j].set(alpha),
            b.at[j].set(beta),
        )

    q = start.astype(flat.dtype)
    basis = jnp.zeros((steps if keep else 0, flat.size), flat.dtype)
    zeros = jnp.zeros(steps, flat.dtype)
    carry = (q, jnp.zeros_like(q), jnp.zeros([], flat.dtype), basis, zeros, zeros)
    *_, a, b = jax.lax.fori_loop(0, steps, body, carry)
    return a, b
