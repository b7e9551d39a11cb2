"""The activations at ordinary points, at their kinks and where exp and its kin overflow."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.layers import ACTIVATIONS, Activation, activation, elementwise
from jaxnet.layers.activations import (
    elu,
    elu_derivative,
    leaky_relu,
    leaky_relu_derivative,
)

OTHERS: dict[str, Callable[[Array], Array]] = {
    "identity": jax.nn.identity,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jax.nn.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "mish": jax.nn.mish,
    "softmax": jax.nn.softmax,
}

# f(-1e4), f(0), f(1e4) and f'(-1e4), f'(0), f'(1e4), for the elementwise ones.
LARGE = 1e4
SELU = 1.0507009873554805, 1.7580993408473766  # lambda and lambda alpha
LIMITS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "identity": ((-LARGE, 0, LARGE), (1, 1, 1)),
    "sigmoid": ((0, 0.5, 1), (0, 0.25, 0)),
    "tanh": ((-1, 0, 1), (0, 1, 0)),
    "relu": ((0, 0, LARGE), (0, 0, 1)),
    "leaky_relu": ((-0.01 * LARGE, 0, LARGE), (0.01, 0.01, 1)),
    "elu": ((-1, 0, LARGE), (0, 1, 1)),
    "selu": ((-SELU[1], 0, SELU[0] * LARGE), (0, SELU[1], SELU[0])),
    "gelu": ((0, 0, LARGE), (0, 0.5, 1)),
    "gelu_tanh": ((0, 0, LARGE), (0, 0.5, 1)),
    "silu": ((0, 0, LARGE), (0, 0.5, 1)),
    "softplus": ((0, np.log(2), LARGE), (0, 0.5, 1)),
    "mish": ((0, 0, LARGE), (0, 0.6, 1)),  # tanh(log 2) = (4 - 1) / (4 + 1)
}

DTYPES = [jnp.float64, jnp.float32, jnp.bfloat16]
EPS = {dtype: float(jnp.finfo(dtype).eps) for dtype in DTYPES}  # type: ignore[no-untyped-call]


def test_every_activation_has_a_counterpart_and_limits() -> None:
    assert set(OTHERS) == set(ACTIVATIONS)
    assert set(LIMITS) == set(ACTIVATIONS) - {"softmax"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gradient_is_right(name: str, check_gradient: Callable[..., None]) -> None:
    f = ACTIVATIONS[name]
    random = np.random.default_rng(3)
    check_gradient(
        lambda z, da: jnp.sum(f.value(z) * da),
        lambda z, da: f.backward(z, f.value(z), da),
        # On both sides of 0 and at the size of logits.
        np.concatenate(
            [random.normal(size=(4, 5)), random.uniform(2, 8, size=(2, 5)) * [[1], [-1]]]
        ),
        random.normal(size=(6, 5)),
    )


@pytest.mark.usefixtures("without_autodiff")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gradient_needs_no_automatic_differentiation(name: str) -> None:
    f = ACTIVATIONS[name]
    z = np.linspace(-2, 2, 6).reshape(2, 3)
    dz = jax.eval_shape(lambda z: f.backward(z, f.value(z), jnp.ones_like(z)), z)
    assert (dz.shape, dz.dtype) == (z.shape, z.dtype)


def on_a_grid(name: str, dtype: Any, jit: Callable[..., Any]) -> tuple[np.ndarray, ...]:
    """Value, derivative, `jax.grad` of the value, and jax.nn's value at 0, +-1e4 and between.

    All are computed in `dtype` and returned in float64. The cotangent is 1, but for softmax, where
    it weighs the columns.
    """
    f, other = ACTIVATIONS[name], OTHERS[name]
    z = np.array([-LARGE, 0.0, LARGE, *np.linspace(-6, 6, 21)])
    if name == "softmax":  # the same numbers, in rows with 0 and +-1e4 next to one another
        z = z.reshape(8, 3)

    @jit
    def all_at_once(z: Array) -> Any:
        da = jnp.arange(1, 4, dtype=dtype) if name == "softmax" else jnp.ones_like(z)
        a = f.value(z)
        automatic = jax.grad(lambda z: jnp.sum(f.value(z) * da))(z)
        return a, f.backward(z, a, da), automatic, other(z)

    arrays = jax.device_get(all_at_once(z.astype(dtype)))
    assert all(array.dtype == dtype for array in arrays)
    return tuple(array.astype(np.float64) for array in arrays)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_derivative_hold_at_the_edges(
    name: str, dtype: Any, jit: Callable[..., Any]
) -> None:
    value, derivative, automatic, other = on_a_grid(name, dtype, jit)
    assert np.isfinite(value).all()
    assert np.isfinite(derivative).all()
    if dtype != jnp.bfloat16:
        np.testing.assert_allclose(value, other, rtol=1e-6, atol=1e-6)
        # Rounding in 1 - a^2 and its kin is relative to 1 and to a large z, not to the result.
        np.testing.assert_allclose(derivative, automatic, rtol=1e-5, atol=20 * EPS[dtype])
    if name == "softmax":
        np.testing.assert_allclose(value[0], [0, 0, 1])
        np.testing.assert_array_equal(derivative[0], [0, 0, 0])
        np.testing.assert_allclose(value.sum(axis=-1), 1, rtol=4 * EPS[dtype])
    else:
        values, derivatives = LIMITS[name]
        tolerance = 4 * EPS[dtype]
        np.testing.assert_allclose(value[:3], values, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(derivative[:3], derivatives, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(derivative[:3], automatic[:3], rtol=tolerance, atol=tolerance)


def test_softplus_is_its_argument_where_exp_would_overflow() -> None:
    value = ACTIVATIONS["softplus"].value
    assert float(value(jnp.asarray(1e3))) == 1000
    assert float(value(jnp.asarray(-1e3))) == 0


def test_softmax_is_the_same_for_shifted_rows_and_is_uniform_for_equal_ones() -> None:
    value = ACTIVATIONS["softmax"].value
    z = jnp.asarray([[0.3, -1.0, 2.0], [5.0, 5.0, 5.0]])
    np.testing.assert_allclose(value(z), value(z + 1e4), rtol=1e-10)
    np.testing.assert_allclose(value(z)[1], [1 / 3] * 3, rtol=1e-15)


def test_softmax_backward_is_the_full_jacobian() -> None:
    a = np.array([0.2, 0.5, 0.3])
    da = np.array([1.0, -2.0, 0.5])
    jacobian = np.diag(a) - np.outer(a, a)
    dz = ACTIVATIONS["softmax"].backward(jnp.log(a), jnp.asarray(a), jnp.asarray(da))
    np.testing.assert_allclose(dz, jacobian.T @ da, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "at_zero"),
    [("relu", 0.0), ("leaky_relu", 0.01)],
)
def test_the_derivative_at_a_kink_is_the_one_from_the_left(name: str, at_zero: float) -> None:
    f = ACTIVATIONS[name]
    z = jnp.asarray([0.0, -0.0])
    np.testing.assert_array_equal(f.backward(z, f.value(z), jnp.ones(2)), [at_zero] * 2)


def test_the_parameters_of_an_activation_reach_value_and_derivative(
    check_gradient: Callable[..., None],
) -> None:
    for f in (
        elementwise(partial(leaky_relu, slope=0.2), partial(leaky_relu_derivative, slope=0.2)),
        elementwise(partial(elu, alpha=0.5), partial(elu_derivative, alpha=0.5)),
    ):
        check_gradient(
            lambda z, _, f=f: jnp.sum(f.value(z)),
            lambda z, _, f=f: f.backward(z, f.value(z), jnp.ones_like(z)),
            np.array([-2.0, -0.5, 0.5, 2.0]),
        )
    np.testing.assert_allclose(leaky_relu(jnp.asarray(-3.0), 0.2), -0.6)
    np.testing.assert_allclose(elu(jnp.asarray(-1.0), 0.5), 0.5 * (np.exp(-1) - 1))


def test_an_activation_of_your_own_is_used_as_it_is(check_gradient: Callable[..., None]) -> None:
    own = elementwise(jnp.sin, lambda z, a: jnp.cos(z))
    assert activation(own) is own
    assert isinstance(own, Activation)
    check_gradient(
        lambda z, da: jnp.sum(own.value(z) * da),
        lambda z, da: own.backward(z, own.value(z), da),
        np.array([0.1, 0.7]),
        np.array([2.0, -1.0]),
    )


def test_an_unknown_activation_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown activation 'rleu'; expected one of .*relu"):
        activation("rleu")
