"""The comparison that the gradient tests rest on can fail, and says where."""

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

NAN, INF = float("nan"), float("inf")


def tree(b: Any = 2.0) -> list[Any]:
    return [{"w": np.array([1.0, 1e6]), "b": np.asarray(b)}]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (tree(2.1), r"leaf \[0\]\['b'\]: differs by 4.76e-02 of its scale"),
        (tree(NAN), r"leaf \[0\]\['b'\]: not finite"),
        (tree(INF), r"leaf \[0\]\['b'\]: not finite"),
        (tree([2.0]), r"leaf \[0\]\['b'\]: shapes differ"),
        ([{"w": np.array([1.0, 1e6])}], "structures differ"),
        ([{"w": np.array([1.0, 1e6]), "b": None}], "structures differ"),
    ],
)
def test_a_difference_is_found_and_its_leaf_named(
    other: Any, message: str, agree: Callable[..., None]
) -> None:
    agree(tree(), tree(), 0)
    for pair in ((other, tree()), (tree(), other)):
        with pytest.raises(AssertionError, match=message):
            agree(*pair, 1e-3)


@pytest.mark.parametrize("number", [NAN, INF])
def test_nan_and_infinity_do_not_agree_with_themselves(
    number: float, agree: Callable[..., None]
) -> None:
    with pytest.raises(AssertionError, match="not finite"):
        agree(tree(number), tree(number), 1.0)


def test_the_scale_is_the_leaf_and_at_least_the_floor(agree: Callable[..., None]) -> None:
    noise = tree(1e-18), tree(-1e-18)
    with pytest.raises(AssertionError, match=r"\['b'\]"):
        agree(*noise, 1e-12)
    agree(*noise, 1e-12, floor=1.0)
    agree([np.zeros(2), np.zeros((0, 3))], [np.zeros(2), np.zeros((0, 3))], 0)


@pytest.mark.parametrize(
    ("hand", "message"),
    [
        (lambda x, _: 2.02 * x, "float64, hand and jax.grad: leaf"),
        (lambda x, _: 2 * x[:, :1], "shapes differ"),
        (lambda x, _: (2 * x).astype(jnp.float32), "gradient has .*float32.* for float64"),
        (lambda x, _: 2 * x * jnp.where(x.dtype == jnp.bfloat16, 1.2, 1), "has|bfloat16 and"),
        (lambda x, _: {"x": 2 * x}, "structures differ"),
    ],
)
def test_a_wrong_gradient_is_found(
    hand: Callable[[Array, Any], Any], message: str, check_gradient: Callable[..., None]
) -> None:
    x = np.array([[0.5, -1.0]])
    check_gradient(lambda x, _: jnp.sum(x * x), lambda x, _: 2 * x, x)
    with pytest.raises(AssertionError, match=re.compile(message)):
        check_gradient(lambda x, _: jnp.sum(x * x), hand, x)


def test_a_derivative_that_jax_has_wrong_is_found(check_gradient: Callable[..., None]) -> None:
    """Differences are a witness of their own: here hand and `jax.grad` agree on a wrong number."""
    with pytest.raises(AssertionError, match="hand and differences"):
        check_gradient(
            lambda x, _: jnp.sum(jnp.round(x) * x + 0 * x),
            lambda x, _: jnp.round(x) * jnp.where(jnp.abs(x) > 0.499, 1, 1) + 0,
            np.array([0.5, 2.0]),  # 0.5 is at a jump of round, whose derivative JAX has as 0
        )
