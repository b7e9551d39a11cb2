"""Every primitive's value and reverse rule in NumPy against JAX's own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet.check.alterations.functions import FUNCTIONS, power, recognised
from jaxnet.check.primitives import PRIMITIVES
from jaxnet.check.record import record
from jaxnet.check.replay import gradient

X = np.random.default_rng(0).normal(size=(2, 3, 4))
P = np.abs(X) + 0.5
W = np.random.default_rng(1).normal(size=(4, 3))


def conv(**options: Any) -> Any:
    options = {"window_strides": (2,), "padding": "SAME", **options}
    return lambda x, w: jax.lax.conv_general_dilated(x, w, **options)


def normal(*shape: int) -> Any:
    return np.random.default_rng(2).normal(size=shape)


CONVOLUTIONS: tuple[tuple[dict[str, Any], Any, Any], ...] = (
    ({}, normal(2, 3, 7), normal(4, 3, 3)),
    ({"padding": ((2, -1),), "rhs_dilation": (2,)}, normal(2, 3, 9), normal(4, 3, 3)),
    ({"lhs_dilation": (2,), "padding": ((0, 3),)}, normal(2, 3, 5), normal(4, 3, 4)),
    ({"feature_group_count": 2}, normal(2, 6, 7), normal(4, 3, 3)),
    ({"batch_group_count": 2}, normal(4, 3, 7), normal(4, 3, 3)),
    ({"dimension_numbers": ("NWC", "WIO", "NWC")}, normal(2, 7, 3), normal(3, 3, 4)),
    (
        {"window_strides": (1, 2), "dimension_numbers": ("NHWC", "HWIO", "NHWC")},
        normal(2, 5, 6, 3),
        normal(3, 2, 3, 4),
    ),
    ({"window_strides": (3, 2), "padding": "VALID"}, normal(2, 2, 8, 6), normal(3, 2, 3, 3)),
)

CASES: dict[str, tuple[Any, ...]] = {
    **{f.__name__: (f, X) for f in (jnp.exp, jnp.tanh, jnp.sin, jnp.cos, jnp.abs, jnp.expm1)},
    **{f.__name__: (f, P) for f in (jnp.log, jnp.log1p, jnp.sqrt, jax.lax.rsqrt, jnp.square)},
    "logistic": (jax.lax.logistic, X),
    "erf": (jax.lax.erf, X),
    "integer_pow": (lambda x: x**3, X),
    "pow": (lambda a, b: a**b, P, X),
    "add": (lambda a, b: a + b, X, P),
    "sub": (lambda a, b: a - b, X, P),
    "mul": (lambda a, b: a * b, X, P),
    "div": (lambda a, b: a / b, X, P),
    "max": (lambda a, b: jnp.maximum(a, b), X, P - 1),
    "min": (lambda a, b: jnp.minimum(a, b), X, P - 1),
    "ties": (lambda a: jnp.maximum(a, a * 1.0), X),
    "neg": (lambda x: -x, X),
    "sum": (lambda x: jnp.sum(x, axis=(0, 2)), X),
    "reduce_max": (lambda x: jnp.max(x, axis=1), X),
    "reduce_min": (lambda x: jnp.min(x, axis=(0, 2)), X),
    "tied_max": (lambda x: jnp.max(x * 0 + 1, axis=1), X),
    "broadcast": (lambda x: jnp.broadcast_to(x[:, None, :1], (2, 5, 3, 4)), X),
    "reshape": (lambda x: x.reshape(3, 8), X),
    "squeeze": (lambda x: jnp.squeeze(x[:1]), X),
    "transpose": (lambda x: jnp.transpose(x, (2, 0, 1)), X),
    "rev": (lambda x: x[:, ::-1], X),
    "cumsum": (lambda x: jnp.cumsum(x, axis=1) + jax.lax.cumsum(x, axis=2, reverse=True), X),
    "slice": (lambda x: x[:, 1:, ::2], X),
    "concatenate": (lambda a, b: jnp.concatenate([a, b[:, :1]], axis=1), X, P),
    "dot": (lambda a, b: a @ b, X, W),
    "batched_dot": (lambda a, b: jnp.einsum("bij,bkj->bik", a, b), X, P),
    **{
        f"conv_{i}": (conv(**options), *arrays) for i, (options, *arrays) in enumerate(CONVOLUTIONS)
    },
    "select_n": (lambda a, b: jnp.where(a > 0, a, b), X, P),
    **{f.__name__: (f, X) for f in (jnp.tan, jnp.arctan, jnp.sinh, jnp.cosh, jnp.cbrt)},
    "erfc": (jax.lax.erfc, X),
    "lgamma": (jax.lax.lgamma, P),
    "stack": (lambda a, b: jnp.stack([a, b], axis=1), X, P),
    "pad": (lambda x: jax.lax.pad(x, 2.0, ((1, 0, 0), (-1, 2, 0), (0, -1, 1))), X),
    "pad_by": (lambda x, by: jax.lax.pad(x, by, ((0, 2, 0), (0, 0, 0), (1, 0, 2))), X, P[0, 0, 0]),
    "dynamic_slice": (
        lambda x: sum(jax.lax.dynamic_slice(x, (i, 0, 3), (1, 3, 2)) for i in jnp.asarray([1, 9])),
        X,
    ),
    "gather": (lambda x: x[:, jnp.asarray([0, 2, 2])], X),
    "gather_pairs": (lambda x: x[jnp.asarray([0, 1, 1]), jnp.asarray([2, 0, 0])], X),
    "gather_outside": (lambda x: jnp.take(x, jnp.asarray([0, 9, -1]), axis=1, fill_value=2.0), X),
    "gather_clipped": (lambda x: jnp.take(x, jnp.asarray([0, 9, 1]), axis=1, mode="clip"), X),
    "gather_along": (lambda x: jnp.take_along_axis(x, jnp.asarray([[[2]], [[1]]]), axis=1), X),
    "scan": (lambda x: jax.lax.scan(lambda c, r: (c * 0.5 + jnp.tanh(r),) * 2, x[0], x)[1], X),
    "while": (lambda x: jax.lax.fori_loop(0, 3, lambda i, c: jnp.sin(c), x), X),
    "cond": (lambda x: jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), X),
    "relu": (jax.nn.relu, X),
    "softmax": (jax.nn.softmax, X),
    "stop_gradient": (lambda x: x * jax.lax.stop_gradient(x), X),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_values_and_gradients_are_jax_s(case: tuple[Any, ...]) -> None:
    f, *inputs = case

    def loss(*inputs: Any) -> Any:
        y = f(*inputs)
        return jnp.sum(y * jnp.cos(jnp.arange(y.size)).reshape(y.shape))

    closed = jax.make_jaxpr(loss)(*inputs)
    replay = record(closed, inputs, len(inputs))
    value, expected = jax.value_and_grad(loss, argnums=tuple(range(len(inputs))))(*inputs)
    np.testing.assert_allclose(replay.values[replay.result], value, rtol=1e-12)
    for ours, theirs in zip(gradient(replay, replay.base.values), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


POSITIVE = ("log", "sqrt", "1 / sqrt", "log(1 + x)", "log gamma")


@pytest.mark.parametrize("f", [*FUNCTIONS, power(3), power(2)], ids=lambda f: f.name)
def test_derivatives_of_functions(f: Any) -> None:
    x = np.linspace(0.1, 3, 7) if f.name in POSITIVE else X[0, 0]
    h = 1e-6
    numeric = (f.value(x + h) - f.value(x - h)) / (2 * h)
    np.testing.assert_allclose(f.of_x(x), numeric, rtol=1e-6, atol=1e-8)
    if f.of_y is not None:
        np.testing.assert_allclose(f.of_y(f.value(x)), f.of_x(x), rtol=1e-9)
    for slip in f.slips:
        at = f.value(x) if slip.of_output else x
        with np.errstate(all="ignore"):
            assert not np.allclose(slip.f(at), f.of_x(x), rtol=1e-6), slip.said


def test_a_function_is_recognised_by_its_values() -> None:
    x = np.random.default_rng(2).normal(size=9)
    assert recognised(x, 1 / (1 + np.exp(-x))) is FUNCTIONS[0]
    assert recognised(x, x + 1) is None
    assert set(PRIMITIVES) >= {"add", "dot_general", "tanh"}
