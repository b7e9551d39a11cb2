from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet import layers, models
from jaxnet.check import Agreement, agreement
from jaxnet.check.agreement import ENTRIES_PER_LEAF
from jaxnet.models import Batch, Model

MODEL = models.mlp([30, 10, 3], "tanh", l2=0.01)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return jnp.asarray(np.random.default_rng(1).normal(size=(7, 30))), jnp.arange(7) % 3


def wrong(model: Model) -> Model:
    """The model with two faults: the rows of 1.w turned round, and one entry of 0.w a bit off."""

    def value_and_grad(params: Any, batch: Batch, key: Array | None = None) -> tuple[Array, Any]:
        value, grads = model.value_and_grad(params, batch, key)
        grads[0]["w"] = grads[0]["w"].at[3, 4].add(1e-3)
        grads[1]["w"] = grads[1]["w"][::-1]
        return value, grads

    return model._replace(value_and_grad=value_and_grad)


def test_a_right_gradient_agrees_and_a_wrong_one_is_named(batch: Batch) -> None:
    params = MODEL.init(jax.random.key(0))
    right = agreement(MODEL, params, batch)
    assert [(row.leaf, row.shape) for row in right] == [
        ("0.b", (10,)), ("0.w", (30, 10)), ("1.b", (3,)), ("1.w", (10, 3)),
    ]  # fmt: skip
    assert [row.compared for row in right] == [10, ENTRIES_PER_LEAF, 3, 30]
    for row in right:
        assert row.hand_auto <= 1e-12
        assert row.hand_differences <= 1e-7
    first_b, first_w, second_b, second_w = agreement(wrong(MODEL), params, batch)
    assert (first_b, second_b) == (right[0], right[2])
    assert first_w.hand_auto > 1e-4  # a single entry, which only jax.grad is sure to look at
    assert second_w.hand_auto > 0.1
    assert second_w.hand_differences > 0.1


def test_float32_and_x64_turned_off_make_no_difference(batch: Batch) -> None:
    model = models.mlp([4, 3, 1], "sigmoid", "half_squared_error")
    with jax.enable_x64(False):
        params = model.init(jax.random.key(0))
        x = jnp.asarray(np.random.default_rng(1).normal(size=(5, 4)))
        assert x.dtype == np.float32
        rows = agreement(model, params, (x, x[:, :1]))
        assert jnp.asarray(0.5).dtype == np.float32  # and off it stays
    assert len(rows) == 4
    assert all(row.hand_auto <= 1e-12 and row.hand_differences <= 1e-7 for row in rows)


def test_a_key_compares_the_gradient_in_training(batch: Batch) -> None:
    x, t = batch
    net = layers.chain(
        layers.dense(30, 4, "tanh"), layers.batch_norm(4), layers.dropout(0.5), layers.dense(4, 3)
    )
    model = models.from_layer(net, "softmax_cross_entropy")

    def value_and_grad(params: Any, batch: Batch, key: Array | None = None) -> tuple[Array, Any]:
        return model.value_and_grad(params, batch)  # in evaluation, whatever is asked

    params = model.init(jax.random.key(0))
    right = agreement(model, params, (x, t), key=jax.random.key(3))
    assert all(row.hand_auto <= 1e-12 and row.hand_differences <= 1e-6 for row in right)
    fault = model._replace(value_and_grad=value_and_grad)
    assert (
        max(row.hand_auto for row in agreement(fault, params, (x, t), key=jax.random.key(3))) > 0.1
    )


def test_leaves_without_entries_or_gradient_count_as_agreeing() -> None:
    still = layers.Layer(
        lambda key: {"empty": jnp.zeros((0, 2)), "unused": jnp.ones(3)},
        lambda params, x, key=None: (x, None),
        lambda params, residuals, dy: (jax.tree.map(jnp.zeros_like, params), dy),
    )
    model = models.from_layer(still, "squared_error")
    rows = agreement(model, model.init(jax.random.key(0)), (jnp.ones((2, 1)), jnp.zeros((2, 1))))
    assert rows == (
        Agreement("empty", (0, 2), 0.0, 0.0, 0),
        Agreement("unused", (3,), 0.0, 0.0, 3),
    )
