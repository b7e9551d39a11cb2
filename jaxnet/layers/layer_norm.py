"""Layer normalisation."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxnet.arguments import positive_int
from jaxnet.layers.layer import Layer, Params, Residuals, check_features


def layer_norm(n: int, *, eps: float = 1e-5) -> Layer:
    """Normalise every row over its features: y = scale * x^ + shift.

    Forward, for each row, all means over its n features:

        mean = mean_j(x_j)      var = mean_j((x_j - mean)^2)      r = 1 / sqrt(var + eps)
        x^_j = (x_j - mean) r   y_j = scale_j x^_j + shift_j

    Backward, given dy, with dx^ = scale * dy. As in batch normalisation x_j meets the loss
    directly, through the mean and through the variance; the three paths add up to

        dx_j   = r (dx^_j - mean_k(dx^_k) - x^_j mean_k(dx^_k x^_k))
        dscale = sum over rows of dy * x^
        dshift = sum over rows of dy

    Kept for the backward are x and two numbers a row, mean and r. x^ costs one subtraction and
    one product to recompute and a whole array to keep, so every sum recomputes it: without the
    barriers below the compiler would see one common x^ and dx^, and write them to memory.

    Args:
        n: Number of features, the length of x's last axis.
        eps: Added to the variance, positive.

    Returns:
        The layer; its parameters are {"scale": (n,), "shift": (n,)}. Training and evaluation are
        the same.

    Raises:
        ValueError: `eps` is not positive.

    Reference: Ba, Kiros & Hinton (2016).
    """
    n = positive_int("layer_norm: n", n)
    if not eps > 0:
        raise ValueError(f"layer_norm: eps must be positive, got {eps!r}")

    def init(key: Array) -> Params:
        return {"scale": jnp.ones(n), "shift": jnp.zeros(n)}

    def forward(params: Params, x: Array, key: Array | None = None) -> tuple[Array, Residuals]:
        check_features(f"layer_norm({n})", x, n)
        mean = jnp.mean(x, axis=-1, keepdims=True)  # (..., 1)
        variance = jnp.mean((x - mean) ** 2, axis=-1, keepdims=True)  # (..., 1)
        r = jax.lax.rsqrt(variance + eps)
        return (x - mean) * r * params["scale"] + params["shift"], (x, mean, r)

    def backward(params: Params, residuals: Residuals, dy: Array) -> tuple[Params, Array]:
        scale = params["scale"]
        x, mean, r = _barrier(residuals)
        rows = tuple(range(x.ndim - 1))
        dscale = jnp.sum(dy * ((x - mean) * r), axis=rows)  # (n,)
        dshift = jnp.sum(dy, axis=rows)  # (n,)

        x, mean, r, dy = _barrier((x, mean, r, dy))
        mean_d = (dy @ scale)[..., None] / n  # mean_k(dx^_k), (..., 1)
        mean_dx = jnp.mean(dy * scale * ((x - mean) * r), axis=-1, keepdims=True)  # (..., 1)
        dx = r * (dy * scale - mean_d - (x - mean) * r * mean_dx)
        return {"scale": dscale, "shift": dshift}, dx

    return Layer(init, forward, backward)


def _barrier(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return the arrays as values that the compiler does not trace back to where they came from."""
    return tuple(jax.lax.optimization_barrier(arrays))  # type: ignore[no-untyped-call]
