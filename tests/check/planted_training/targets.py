"""Targets that do not fit, models that cannot, parameters left out, rows in order, overfitting."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import models

from .case import Cases
from .data import circles, moons, raw, scaled, standard
from .nets import classify, cross_entropy, dense, forward, regress, relu, sigmoid

CASES = Cases()


# ---------------------------------------------------------------- targets


@CASES.add("label_mismatch")
def iris_shuffled() -> Any:
    x, t = scaled("iris")
    t = np.random.default_rng(3).permutation(t)
    return classify(), dense(0, 4, 8, 3), (x, t), {"learning_rate": 0.3}


@CASES.add("label_mismatch")
def diabetes_sorted_apart() -> Any:
    x, t = scaled("diabetes")
    return regress(), dense(0, 10, 8, 1), (x, standard(np.sort(t))), {"learning_rate": 0.05}


@CASES.add("label_mismatch")
def digits_shuffled_minibatches() -> Any:
    x, t = scaled("digits", 600)
    t = np.random.default_rng(0).permutation(t)
    return classify(), dense(0, 64, 10), (x, t), {"learning_rate": 0.1, "batch_size": 50}


@CASES.add("label_mismatch")
def wine_counted_from_one() -> Any:
    x, t = scaled("wine")
    return classify(), dense(0, 13, 3), (x, t + 1), {"learning_rate": 0.3}


@CASES.add("label_mismatch")
def one_hot_counted_from_one() -> Any:
    x, t = scaled("iris")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return -jnp.mean(jnp.sum(jax.nn.one_hot(t, 3) * jax.nn.log_softmax(forward(p, x)), axis=1))

    return loss, dense(0, 4, 8, 3), (x, t + 1), {"learning_rate": 0.3}


@CASES.add("label_mismatch")
def shifted_by_a_row() -> Any:
    x, t = scaled("wine")
    return classify(), dense(0, 13, 8, 3), (x, np.roll(t, 1)), {"learning_rate": 0.3}


@CASES.add("label_mismatch")
def column_against_row() -> Any:
    x, t = scaled("diabetes")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((forward(p, x) - t) ** 2)

    return loss, dense(0, 10, 8, 1), (x, standard(t)), {"learning_rate": 0.05}


@CASES.add("label_mismatch")
def line_column_against_row() -> Any:
    x = np.linspace(-1, 1, 40, dtype=np.float32)
    t = 3 * x + 0.5

    def loss(p: Any, x: Any, t: Any) -> Any:
        return ((x[:, None] * p["w"] + p["b"] - t) ** 2).mean()

    return loss, {"w": jnp.ones(1), "b": jnp.zeros(1)}, (x, t), {"learning_rate": 0.1}


@CASES.add("label_mismatch")
def signs_in_a_cross_entropy() -> Any:
    x, t = moons()

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(forward(p, x)[:, 0], t))

    return loss, dense(0, 2, 8, 1), (x, 2.0 * t - 1), {"learning_rate": 0.1}


@CASES.add("label_mismatch")
def zero_and_one_in_a_hinge() -> Any:
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean(jnp.maximum(0, 1 - t * (x @ p["w"] + p["b"])))

    params = {"w": jnp.zeros(30), "b": jnp.zeros(())}
    return loss, params, (x, t.astype(np.float32)), {"learning_rate": 0.1}


@CASES.add("label_mismatch")
def integers_as_one_hot() -> Any:
    x, t = scaled("iris")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return -jnp.mean(jnp.sum(t[:, None] * jax.nn.log_softmax(forward(p, x)), axis=1))

    return loss, dense(0, 4, 8, 3), (x, t), {"learning_rate": 0.1}


@CASES.add("label_mismatch")
def signs_from_a_sigmoid() -> Any:
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((sigmoid(x @ p["w"] + p["b"]) - t) ** 2)

    params = {"w": jnp.zeros(30), "b": jnp.zeros(())}
    return loss, params, (x, 2.0 * t.astype(np.float32) - 1), {"learning_rate": 0.1}


@CASES.add("label_mismatch")
def classes_from_a_sigmoid() -> Any:
    x, t = scaled("iris")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((sigmoid(forward(p, x)[:, 0]) - t) ** 2)

    return loss, dense(0, 4, 8, 1), (x, t.astype(np.float32)), {"learning_rate": 0.2}


@CASES.add("label_mismatch")
def jaxnet_model_on_shuffled() -> Any:
    x, t = scaled("wine")
    model = models.mlp([13, 8, 3], activation="tanh", loss="softmax_cross_entropy")
    t = np.random.default_rng(5).permutation(t)
    params = model.init(jax.random.key(0))
    return lambda p, x, t: model.loss(p, (x, t)), params, (x, t), {"optimizer": optax.adam(0.01)}


# ---------------------------------------------------------------- models


@CASES.add("missing_bias", "step_too_small")
def perceptron_for_or() -> Any:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    t = np.array([[0], [1], [1], [1]], np.float32)
    w = np.random.RandomState(0).rand(2, 1).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((sigmoid(x @ p["w"]) - t) ** 2)

    return loss, {"w": w}, (x, t), {"learning_rate": 5.0, "steps": 500}


@CASES.add("missing_bias")
def line_through_the_origin() -> Any:
    x = np.random.default_rng(0).normal(size=(80, 1)).astype(np.float32)
    t = (2 * x[:, 0] + 5).astype(np.float32)
    return (
        lambda p, x, t: jnp.mean((x @ p["w"] - t) ** 2),
        {"w": jnp.zeros(1)},
        (x, t),
        {"learning_rate": 0.1},
    )


@CASES.add("missing_bias")
def nand_logistic() -> Any:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    t = np.array([1, 1, 1, 0], np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(x @ p, t))

    return loss, jnp.zeros(2), (x, t), {"learning_rate": 1.0, "steps": 300}


@CASES.add("missing_bias")
def diabetes_centred_inputs_only() -> Any:
    x, t = scaled("diabetes")
    model = models.mlp([10, 1], loss="squared_error", bias=False)
    t = (standard(t) + 3)[:, None]
    params = model.init(jax.random.key(0))
    return lambda p, x, t: model.loss(p, (x, t)), params, (x, t), {"learning_rate": 0.05}


@CASES.add("missing_bias")
def ring_without_biases() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    t = (x[:, 0] > 0.8).astype(int)
    params = [layer["w"] for layer in dense(0, 2, 2)]
    return lambda p, x, t: cross_entropy(x @ p[0], t), params, (x, t), {"learning_rate": 1.0}


@CASES.add("linear_model")
def xor_logistic() -> Any:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    t = np.array([0, 1, 1, 0], np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(x @ p["w"] + p["b"], t))

    params = {"w": jnp.array([0.1, -0.2]), "b": jnp.zeros(())}
    return loss, params, (x, t), {"learning_rate": 0.5, "steps": 300}


@CASES.add("linear_model")
def circles_without_activation() -> Any:
    x, t = circles()
    return classify(lambda z: z), dense(0, 2, 16, 2), (x, t), {"learning_rate": 0.2}


@CASES.add("linear_model")
def sine_by_a_line() -> Any:
    x = np.random.default_rng(0).uniform(-3, 3, (150, 1)).astype(np.float32)
    t = np.sin(2 * x[:, 0]).astype(np.float32)
    return regress(), dense(0, 1, 1), (x, t), {"learning_rate": 0.1}


@CASES.add("linear_model")
def checkerboard_softmax() -> Any:
    x = np.random.default_rng(0).uniform(-1, 1, (300, 2)).astype(np.float32)
    t = (x[:, 0] * x[:, 1] > 0).astype(int)
    model = models.softmax_regression(2, 2)
    params = model.init(jax.random.key(0))
    return lambda p, x, t: model.loss(p, (x, t)), params, (x, t), {"learning_rate": 0.5}


@CASES.add("constant_output")
def softmax_of_one_output() -> Any:
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((jax.nn.softmax(forward(p, x), axis=1)[:, 0] - t) ** 2)

    return loss, dense(0, 30, 8, 1), (x, t.astype(np.float32)), {"learning_rate": 0.1}


@CASES.add("constant_output")
def inputs_averaged_away() -> Any:
    x, t = scaled("iris")

    def loss(p: Any, x: Any, t: Any) -> Any:
        x = jnp.broadcast_to(x.mean(axis=0), x.shape)
        return cross_entropy(forward(p, x), t)

    return loss, dense(0, 4, 8, 3), (x, t), {"learning_rate": 0.3}


@CASES.add("constant_output")
def normalised_over_one_feature() -> Any:
    """Layer normalisation over an axis of length 1 gives its shift, whatever comes in."""
    x, t = moons()

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = x @ p["w"]
        h = (h - h.mean(axis=1, keepdims=True)) / jnp.sqrt(h.var(axis=1, keepdims=True) + 1e-5)
        z = (h * p["scale"] + p["shift"])[:, 0]
        return jnp.mean(optax.sigmoid_binary_cross_entropy(z, t))

    params = {"w": jnp.array([[0.5], [-0.3]]), "scale": jnp.ones(1), "shift": jnp.zeros(1)}
    return loss, params, (x, t.astype(np.float32)), {"learning_rate": 0.3}


@CASES.add("detached")
def hidden_layer_stopped() -> Any:
    x, t = circles()

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = jax.lax.stop_gradient(jnp.tanh(x @ p["w1"] + p["b1"]))
        return cross_entropy(h @ p["w2"] + p["b2"], t)

    a, b = dense(0, 2, 4, 2)
    params = {"w1": a["w"], "b1": a["b"], "w2": b["w"], "b2": b["b"]}
    return loss, params, (x, t), {"optimizer": optax.adam(0.05), "steps": 300}


@CASES.add("detached")
def error_rate_as_loss() -> Any:
    x, t = scaled("iris")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((jnp.argmax(forward(p, x), axis=1) != t).astype(jnp.float32))

    return loss, dense(0, 4, 8, 3), (x, t), {"learning_rate": 0.1}


@CASES.add("detached")
def predictions_rounded() -> Any:
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((jnp.round(sigmoid(x @ p["w"] + p["b"])) - t) ** 2)

    params = {"w": jnp.full(30, 0.01), "b": jnp.zeros(())}
    return loss, params, (x, t.astype(np.float32)), {"learning_rate": 0.1}


@CASES.add("detached")
def weights_not_given_to_the_rule() -> Any:
    x, t = scaled("digits", 400)
    rule = optax.multi_transform(
        {"train": optax.sgd(0.1), "leave": optax.set_to_zero()},
        [{"w": "leave", "b": "train"}],
    )
    params = jax.tree.map(jnp.zeros_like, dense(0, 64, 10))
    return classify(), params, (x, t), {"optimizer": rule}


@CASES.add("detached")
def last_layer_stopped() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6)).astype(np.float32)
    t = (x @ rng.normal(size=6)).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        y = x @ jax.lax.stop_gradient(p["w"]) + p["b"]
        return jnp.mean((y - t) ** 2)

    return loss, {"w": jnp.zeros(6), "b": jnp.zeros(())}, (x, t), {"learning_rate": 0.1}


# ---------------------------------------------------------------- course


@CASES.add("batch_order")
def digits_sorted_by_class() -> Any:
    x, t = raw("digits", 500)
    order = np.argsort(t, kind="stable")
    options = {"learning_rate": 0.5, "batch_size": 10, "shuffle": False, "steps": 200}
    return classify(), dense(0, 64, 10), (x[order] / 16, t[order]), options


@CASES.add("batch_order")
def digits_net_class_by_class() -> Any:
    x, t = raw("digits", 600)
    order = np.argsort(t, kind="stable")
    options = {"optimizer": optax.adam(0.01), "batch_size": 60, "shuffle": False, "steps": 150}
    return classify(relu), dense(0, 64, 32, 10), (x[order] / 16, t[order]), options


@CASES.add("batch_order")
def diabetes_sorted_by_target() -> Any:
    x, t = scaled("diabetes")
    order = np.argsort(t)
    options = {"learning_rate": 0.05, "batch_size": 16, "shuffle": False, "steps": 200}
    return regress(), dense(0, 10, 1), (x[order], standard(t)[order]), options


@CASES.add("overfitting")
def polynomial_of_degree_twelve() -> Any:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (60, 1)).astype(np.float32)
    t = (np.sin(3 * x[:, 0]) + 0.4 * rng.normal(size=60)).astype(np.float32)
    options = {"optimizer": optax.adam(0.02), "steps": 3000, "validation": (x[20:], t[20:])}
    return regress(), dense(0, 1, 64, 64, 1, std=1.0), (x[:20], t[:20]), options


@CASES.add("overfitting")
def few_noisy_rows() -> Any:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(150, 20)).astype(np.float32)
    t = ((x[:, 0] + 1.5 * rng.normal(size=150)) > 0).astype(int)
    options = {"optimizer": optax.adam(0.02), "steps": 400, "validation": (x[50:], t[50:])}
    return classify(relu), dense(0, 20, 64, 2), (x[:50], t[:50]), options


@CASES.add("overfitting")
def diabetes_by_heart() -> Any:
    x, t = scaled("diabetes")
    t = standard(t)
    options = {"optimizer": optax.adam(0.01), "steps": 800, "validation": (x[100:], t[100:])}
    return regress(), dense(0, 10, 64, 1), (x[:100], t[:100]), options
