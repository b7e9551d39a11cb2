"""Initialisers: functions `(key, shape) -> array` for a layer's weights and biases.

Weights have the shape (n_in, n_out). The scaled ones come from `jax.nn.initializers`; here they
get their short names and stand next to the plain normal and uniform ones.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

Initializer: TypeAlias = Callable[[Array, Sequence[int]], Array]


def normal(std: float = 1.0, mean: float = 0.0) -> Initializer:
    """Draw from the normal distribution N(mean, std^2)."""
    return lambda key, shape: mean + std * jax.random.normal(key, shape)


def uniform(low: float, high: float) -> Initializer:
    """Draw from the uniform distribution on [low, high)."""
    return lambda key, shape: jax.random.uniform(key, shape, minval=low, maxval=high)


def zeros(key: Array, shape: Sequence[int]) -> Array:
    """Return zeros: the usual start for biases."""
    return jnp.zeros(shape)


INITIALIZERS: dict[str, Initializer] = {
    "normal": normal(),
    "uniform": uniform(0.0, 1.0),
    "zeros": zeros,
    "glorot_normal": jax.nn.initializers.glorot_normal(),
    "glorot_uniform": jax.nn.initializers.glorot_uniform(),
    "he_normal": jax.nn.initializers.he_normal(),
    "he_uniform": jax.nn.initializers.he_uniform(),
    "lecun_normal": jax.nn.initializers.lecun_normal(),
    "lecun_uniform": jax.nn.initializers.lecun_uniform(),
}
"""The initialisers by name.

`normal` is N(0, 1) and `uniform` is on [0, 1). The others have the variance

- glorot: 2 / (n_in + n_out), Glorot & Bengio (2010), for tanh and sigmoid;
- he: 2 / n_in, He, Zhang, Ren & Sun (2015), for relu and its kin;
- lecun: 1 / n_in, LeCun, Bottou, Orr & Mueller (1998), for selu.
"""


def initial(spec: str | Initializer | ArrayLike, key: Array, shape: Sequence[int]) -> Array:
    """Make one initial array.

    Args:
        spec: A name out of `INITIALIZERS`, a function `(key, shape) -> array`, or the array
            itself, so that a published example can be repeated exactly.
        key: The key to draw from; not used for an explicit array.
        shape: The shape that the layer needs.

    Returns:
        An array of that shape; an explicit one keeps its floating-point type.

    Raises:
        ValueError: The name is unknown or the array has another shape.
    """
    if isinstance(spec, str):
        if spec not in INITIALIZERS:
            raise ValueError(
                f"unknown initialiser {spec!r}; expected one of {', '.join(INITIALIZERS)}, "
                "a function (key, shape) -> array, or an array"
            )
        return INITIALIZERS[spec](key, shape)
    if callable(spec):
        return spec(key, shape)
    array = jnp.asarray(spec)
    if array.shape != tuple(shape):
        raise ValueError(f"an initial array of shape {tuple(shape)} is due here, got {array.shape}")
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return array if floating else array.astype(jnp.result_type(float))
