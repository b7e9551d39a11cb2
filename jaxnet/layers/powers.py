"""The powers of every input, as features for polynomial regression."""

import jax.numpy as jnp
from jax import Array

from jaxnet.arguments import positive_int
from jaxnet.layers.layer import Layer, Params, Residuals


def powers(degree: int) -> Layer:
    """Raise the inputs to the powers 1 to `degree`: y = [x, x^2, ..., x^degree].

    Backward: dx = sum_p p x^(p-1) dy_p, where dy_p belongs to the columns of x^p.

    Args:
        degree: The highest power, at least 1.

    Returns:
        A layer without parameters from (n, n_in) to (n, degree n_in): first the columns of x,
        then those of x^2, and so on. No products of different columns are made.

    Raises:
        ValueError: `degree` is not a positive integer.
    """
    degree = positive_int("powers: degree", degree)

    def init(key: Array) -> Params:
        return {}

    def forward(params: Params, x: Array, key: Array | None = None) -> tuple[Array, Residuals]:
        return jnp.concatenate([x**p for p in range(1, degree + 1)], axis=-1), x

    def backward(params: Params, residuals: Residuals, dy: Array) -> tuple[Params, Array]:
        x = residuals
        by_power = jnp.split(dy, degree, axis=-1)  # degree arrays of the shape of x
        terms = [p * x ** (p - 1) * dp for p, dp in enumerate(by_power, start=1)]
        return {}, sum(terms[1:], terms[0])

    return Layer(init, forward, backward)
