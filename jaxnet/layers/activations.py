"""Activations: each value f(z) with its derivative f'(z) under it.

Every function is written so that it neither overflows nor loses its sign at z = +-1e4, in value
and in derivative, in float32, float64 and bfloat16. Derivatives are given z and the value
a = f(z), so that each can use whichever is cheaper; the one that is not used is not kept, because
XLA drops it from the compiled program.

At a kink the derivative is the one from the left: relu'(0) = 0, leaky_relu'(0) = slope.

Notation: sigma(z) = 1 / (1 + exp(-z)); Phi and phi are the distribution function and the density
of the standard normal distribution.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Activation(NamedTuple):
    """An activation a = f(z) and its backward pass.

    - `value(z) -> a`, of the same shape as z.
    - `backward(z, a, da) -> dz` = J_f(z)^T da, where J_f is the Jacobian of f. For elementwise
      activations that is f'(z) * da.
    """

    value: Callable[[Array], Array]
    backward: Callable[[Array, Array, Array], Array]


def elementwise(
    value: Callable[[Array], Array], derivative: Callable[[Array, Array], Array]
) -> Activation:
    """Make an activation of a function of one number and its derivative.

    Args:
        value: z -> f(z), applied to each entry.
        derivative: (z, a) -> f'(z) where a = f(z).

    Returns:
        The activation with dz = f'(z) * da.
    """

    def backward(z: Array, a: Array, da: Array) -> Array:
        return derivative(z, a) * da

    return Activation(value, backward)


def identity(z: Array) -> Array:
    """f(z) = z."""
    return z


def identity_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1."""
    return jnp.ones_like(a)


def sigmoid(z: Array) -> Array:
    """f(z) = sigma(z) = 1 / (1 + exp(-z))."""
    return jax.lax.logistic(z)


def sigmoid_derivative(z: Array, a: Array) -> Array:
    """f'(z) = a (1 - a)."""
    return a * (1 - a)


def tanh(z: Array) -> Array:
    """f(z) = tanh(z)."""
    return jnp.tanh(z)


def tanh_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1 - a^2."""
    return 1 - a * a


def relu(z: Array) -> Array:
    """f(z) = max(z, 0) (Nair & Hinton, 2010)."""
    return jnp.where(z > 0, z, 0)


def relu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1 where z > 0, else 0."""
    return jnp.where(a > 0, 1, jnp.zeros_like(a))


def leaky_relu(z: Array, slope: float = 0.01) -> Array:
    """f(z) = z where z > 0, else slope z (Maas, Hannun & Ng, 2013)."""
    return jnp.where(z > 0, z, slope * z)


def leaky_relu_derivative(z: Array, a: Array, slope: float = 0.01) -> Array:
    """f'(z) = 1 where z > 0, else slope."""
    return jnp.where(z > 0, 1, jnp.full_like(z, slope))


def elu(z: Array, alpha: float = 1.0) -> Array:
    """f(z) = z where z > 0, else alpha (exp(z) - 1) (Clevert, Unterthiner & Hochreiter, 2016)."""
    negative = jnp.where(z > 0, 0, z)  # exp never sees a large positive z
    return jnp.where(z > 0, z, alpha * jnp.expm1(negative))


def elu_derivative(z: Array, a: Array, alpha: float = 1.0) -> Array:
    """f'(z) = 1 where z > 0, else alpha exp(z) = a + alpha."""
    return jnp.where(z > 0, 1, a + alpha)


SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(z: Array) -> Array:
    """f(z) = lambda elu(z, alpha) with the self-normalising lambda = 1.0507, alpha = 1.6733.

    Klambauer, Unterthiner, Mayr & Hochreiter (2017).
    """
    return SELU_SCALE * elu(z, SELU_ALPHA)


def selu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = lambda where z > 0, else lambda alpha exp(z) = a + lambda alpha."""
    return jnp.where(z > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA)


def gelu(z: Array) -> Array:
    """f(z) = z Phi(z), exactly (Hendrycks & Gimpel, 2016)."""
    return z * _normal_cdf(z)


def gelu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = Phi(z) + z phi(z)."""
    phi = jnp.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return _normal_cdf(z) + z * phi


def _normal_cdf(z: Array) -> Array:
    # erfc keeps its relative accuracy where 1 + erf would cancel, at large negative z.
    return 0.5 * jax.lax.erfc(-z * math.sqrt(0.5))


GELU_TANH_SCALE = math.sqrt(2 / math.pi)
GELU_TANH_CUBIC = 0.044715


def gelu_tanh(z: Array) -> Array:
    """f(z) = z (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (z + 0.044715 z^3), near gelu."""
    return 0.5 * z * (1 + _gelu_tanh_inner(z))


def gelu_tanh_derivative(z: Array, a: Array) -> Array:
    """f'(z) = (1 + t) / 2 + z (1 - t^2) u' / 2, t = tanh(u), u' = sqrt(2/pi) (1 + 0.134145 z^2)."""
    t = _gelu_tanh_inner(z)
    du = GELU_TANH_SCALE * (1 + 3 * GELU_TANH_CUBIC * z * z)
    return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * du


def _gelu_tanh_inner(z: Array) -> Array:
    return jnp.tanh(GELU_TANH_SCALE * (z + GELU_TANH_CUBIC * z * z * z))


def silu(z: Array) -> Array:
    """f(z) = z sigma(z), also called swish (Elfwing, Uchibe & Doya, 2018)."""
    return z * sigmoid(z)


def silu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = sigma(z) + z sigma(z) (1 - sigma(z)) = sigma(z) + a (1 - sigma(z))."""
    s = sigmoid(z)
    return s + a * (1 - s)


def softplus(z: Array) -> Array:
    """f(z) = log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), which never overflows.

    Dugas, Bengio, Belisle, Nadeau & Garcia (2001).
    """
    return relu(z) + jnp.log1p(exp_minus_abs(z))


def softplus_derivative(z: Array, a: Array) -> Array:
    """f'(z) = sigma(z), from the exp(-|z|) that the value has computed already."""
    return _sigmoid_of(z, exp_minus_abs(z))


def exp_minus_abs(z: Array) -> Array:
    """exp(-|z|), which cannot overflow; at 0 with the derivative of exp(z), as jnp.abs has not."""
    return jnp.exp(jnp.where(z > 0, -z, z))


def _sigmoid_of(z: Array, u: Array) -> Array:
    """sigma(z) from u = exp(-|z|): 1 / (1 + u) where z > 0, else u / (1 + u)."""
    return jnp.where(z > 0, 1, u) / (1 + u)


def mish(z: Array) -> Array:
    """f(z) = z tanh(softplus(z)) (Misra, 2020).

    As tanh(log y) = (y^2 - 1) / (y^2 + 1), with y = 1 + exp(z) a single exponential is enough:
    t = tanh(softplus(z)) = (e^2 + 2 e) / (e^2 + 2 e + 2), e = exp(z).
    """
    return z * _mish_tanh(z, exp_minus_abs(z))


def mish_derivative(z: Array, a: Array) -> Array:
    """f'(z) = t + z (1 - t^2) sigma(z) with t = tanh(softplus(z))."""
    u = exp_minus_abs(z)
    t = _mish_tanh(z, u)
    return t + z * (1 - t * t) * _sigmoid_of(z, u)


def _mish_tanh(z: Array, u: Array) -> Array:
    """Return t from u = exp(-|z|); for z > 0 both sides of the fraction are divided by e^2."""
    numerator = jnp.where(z > 0, 1 + 2 * u, u * (u + 2))
    return numerator / (numerator + jnp.where(z > 0, 2 * u * u, 2))


def softmax(z: Array) -> Array:
    """f(z)_i = exp(z_i) / sum_j exp(z_j) over the last axis.

    The row's maximum is subtracted first: the value is the same and exp cannot overflow.
    """
    e = jnp.exp(z - jax.lax.stop_gradient(jnp.max(z, axis=-1, keepdims=True)))
    return e / jnp.sum(e, axis=-1, keepdims=True)


def softmax_backward(z: Array, a: Array, da: Array) -> Array:
    """Dz = J^T da with the full Jacobian J = diag(a) - a a^T of each row.

    J^T da = a * da - a (a . da) = a * (da - a . da): the k x k matrix is never formed.
    """
    return a * (da - jnp.sum(a * da, axis=-1, keepdims=True))


ACTIVATIONS: dict[str, Activation] = {
    "identity": elementwise(identity, identity_derivative),
    "sigmoid": elementwise(sigmoid, sigmoid_derivative),
    "tanh": elementwise(tanh, tanh_derivative),
    "relu": elementwise(relu, relu_derivative),
    "leaky_relu": elementwise(leaky_relu, leaky_relu_derivative),
    "elu": elementwise(elu, elu_derivative),
    "selu": elementwise(selu, selu_derivative),
    "gelu": elementwise(gelu, gelu_derivative),
    "gelu_tanh": elementwise(gelu_tanh, gelu_tanh_derivative),
    "silu": elementwise(silu, silu_derivative),
    "softplus": elementwise(softplus, softplus_derivative),
    "mish": elementwise(mish, mish_derivative),
    "softmax": Activation(softmax, softmax_backward),
}
"""The activations by name."""


def activation(name: str | Activation) -> Activation:
    """Look an activation up by its name; an `Activation` of your own is returned as it is.

    Raises:
        ValueError: There is no activation of that name.
    """
    if isinstance(name, Activation):
        return name
    if name not in ACTIVATIONS:
        raise ValueError(
            f"unknown activation {name!r}; expected one of {', '.join(ACTIVATIONS)}, "
            "or an Activation of your own (see jaxnet.layers.elementwise)"
        )
    return ACTIVATIONS[name]
