"""Batch normalisation, with its running statistics as explicit values."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from jaxnet.arguments import positive_int
from jaxnet.layers.layer import Layer, Params, Residuals, Statistics, check_features


def batch_norm(n: int, *, decay: float = 0.99, eps: float = 1e-5) -> Layer:
    """Normalise every feature over the batch: y = scale * x^ + shift.

    Forward in training (with a key), for m rows and each feature j, all sums over the rows:

        mean_j = 1/m sum_i x_ij
        var_j  = 1/m sum_i (x_ij - mean_j)^2
        r_j    = 1 / sqrt(var_j + eps)
        x^_ij  = (x_ij - mean_j) r_j
        y_ij   = scale_j x^_ij + shift_j

    Backward, given dy, with dx^ = scale * dy. x_ij meets the loss on three paths: directly, through
    the mean and through the variance.

        dscale = sum_i dy_i x^_i          dshift = sum_i dy_i
        dvar   = sum_i dx^_i (x_i - mean) * (-1/2) r^3
        dmean  = sum_i dx^_i * (-r)        (the path mean -> var -> L adds sum_i (x_i - mean) = 0)
        dx_i   = r dx^_i + dvar * 2 (x_i - mean) / m + dmean / m
               = r scale (dy_i - dshift / m - x^_i dscale / m)

    so both detours cost no sums beyond dscale and dshift.

    In evaluation (no key) the running mean and variance take the batch's place. They do not depend
    on x then, so dx = r scale dy, and as inputs of their own

        dmean = -r scale dshift            dvar = -1/2 r^2 scale dscale

    `observe` moves the running values: new = decay * old + (1 - decay) * batch, the batch's
    variance taken with m - 1. In training the output does not depend on them and their gradient
    is zero.

    Args:
        n: Number of features, the length of x's last axis; all other axes are rows.
        decay: How much of the old running statistics is kept at every step, in [0, 1].
        eps: Added to the variance, positive.

    Returns:
        The layer; its parameters are {"scale": (n,), "shift": (n,), "statistics":
        Statistics(mean (n,), variance (n,))}.

    Raises:
        ValueError: `decay` or `eps` is out of range.

    Reference: Ioffe & Szegedy (2015).
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"batch_norm: decay must be in [0, 1], got {decay!r}")
    n = positive_int("batch_norm: n", n)
    if not eps > 0:
        raise ValueError(f"batch_norm: eps must be positive, got {eps!r}")

    def init(key: Array) -> Params:
        return {
            "scale": jnp.ones(n),
            "shift": jnp.zeros(n),
            "statistics": Statistics(jnp.zeros(n), jnp.ones(n)),
        }

    def forward(params: Params, x: Array, key: Array | None = None) -> tuple[Array, Residuals]:
        check_features(f"batch_norm({n})", x, n)
        rows = tuple(range(x.ndim - 1))
        if key is None:
            batch, (mean, variance) = None, params["statistics"]
        else:
            mean = jnp.mean(x, axis=rows)  # (n,)
            variance = jnp.mean((x - mean) ** 2, axis=rows)  # (n,)
            batch = Statistics(mean, variance)
        r = jax.lax.rsqrt(variance + eps)
        y = (x - mean) * r * params["scale"] + params["shift"]
        return y, (x, batch)

    def backward(params: Params, residuals: Residuals, dy: Array) -> tuple[Params, Array]:
        x, batch = residuals
        scale, statistics = params["scale"], params["statistics"]
        mean, variance = statistics if batch is None else batch
        rows = tuple(range(x.ndim - 1))
        m = _rows(x)
        r = jax.lax.rsqrt(variance + eps)
        normalised = (x - mean) * r
        dscale = jnp.sum(dy * normalised, axis=rows)  # (n,)
        dshift = jnp.sum(dy, axis=rows)  # (n,)
        if batch is None:
            dx = r * scale * dy
            dstatistics = Statistics(-r * scale * dshift, -0.5 * r * r * scale * dscale)
        else:
            dx = r * scale * (dy - dshift / m - normalised * (dscale / m))
            dstatistics = jax.tree.map(jnp.zeros_like, statistics)
        return {"scale": dscale, "shift": dshift, "statistics": dstatistics}, dx

    def observe(params: Params, residuals: Residuals) -> Params:
        x, batch = residuals
        if batch is None:
            return params
        m = _rows(x)
        seen = Statistics(batch.mean, batch.variance * (m / max(m - 1, 1)))
        moved = jax.tree.map(
            lambda old, new: decay * old + (1 - decay) * new, params["statistics"], seen
        )
        return params | {"statistics": moved}

    return Layer(init, forward, backward, observe)


def _rows(x: Array) -> int:
    return math.prod(x.shape[:-1])
