"""Runs that look odd and are healthy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import models, optim

from .case import Cases
from .data import circles, moons, raw, scaled, standard
from .nets import classify, cross_entropy, dense, forward, regress, relu, sigmoid

CASES = Cases()


@CASES.add(None)
def above_the_stable_step() -> Any:
    """2 / lambda_max is passed at the start, where the curvature is largest."""
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        z = x @ p["w"] + p["b"]
        return jnp.mean(jnp.logaddexp(0, z) - t * z)

    params = {"w": jnp.zeros(30), "b": jnp.zeros(())}
    return loss, params, (x, t.astype(np.float32)), {"learning_rate": 1.5}


@CASES.add(None)
def saturated_but_recovers() -> Any:
    x, t = scaled("iris")
    return classify(), dense(0, 4, 16, 3, std=2.0), (x, t), {"optimizer": optax.adam(0.05)}


@CASES.add(None)
def half_of_the_units_dead() -> Any:
    x, t = scaled("wine")
    params = dense(0, 13, 64, 3)
    params[0]["b"] = jnp.where(jnp.arange(64) < 30, -20.0, 0.0)
    return classify(relu), params, (x, t), {"learning_rate": 0.3}


@CASES.add(None)
def negative_loss() -> Any:
    """The negative log-likelihood of a normal distribution with a small width."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    t = (x @ np.array([0.5, -0.2, 0.1]) + 0.02 * rng.normal(size=200)).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        error = x @ p["w"] - t
        return jnp.mean(0.5 * (error / jnp.exp(p["log_s"])) ** 2 + p["log_s"])

    params = {"w": jnp.zeros(3), "log_s": jnp.zeros(())}
    return loss, params, (x, t), {"optimizer": optax.adam(0.05), "steps": 300}


@CASES.add(None)
def zeros_in_a_convex_problem() -> Any:
    x, t = scaled("digits", 400)
    params = jax.tree.map(jnp.zeros_like, dense(0, 64, 10))
    return classify(), params, (x, t), {"learning_rate": 0.1}


@CASES.add(None)
def noisy_minibatches() -> Any:
    x, t = scaled("digits", 600)
    return classify(relu), dense(0, 64, 32, 10), (x, t), {"learning_rate": 0.1, "batch_size": 8,
                                                         "steps": 300}  # fmt: skip


@CASES.add(None)
def a_third_of_the_labels_wrong() -> Any:
    x, t = scaled("breast_cancer")
    flip = np.random.default_rng(0).uniform(size=len(t)) < 0.3
    return classify(), dense(0, 30, 2), (x, np.where(flip, 1 - t, t)), {"learning_rate": 0.1}


@CASES.add(None)
def diabetes_is_hard() -> Any:
    x, t = scaled("diabetes")
    return regress(), dense(0, 10, 1), (x, standard(t)), {"learning_rate": 0.05}


@CASES.add(None)
def raw_digits_with_adam() -> Any:
    x, t = raw("digits", 500)
    return classify(relu), dense(0, 64, 32, 10), (x, t), {"optimizer": optax.adam(0.003)}


@CASES.add(None)
def tiny_loss_huge_step() -> Any:
    x, t = scaled("wine")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return 1e-6 * cross_entropy(forward(p, x), t)

    return loss, dense(0, 13, 8, 3), (x, t), {"learning_rate": 3e5}


@CASES.add(None)
def summed_loss_tiny_step() -> Any:
    x, t = scaled("iris")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return 150 * cross_entropy(forward(p, x), t)

    return loss, dense(0, 4, 8, 3), (x, t), {"learning_rate": 2e-3}


@CASES.add(None)
def no_bias_none_needed() -> Any:
    x, t = scaled("diabetes")

    def loss(w: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ w - t) ** 2)

    return loss, jnp.zeros(10), (x, standard(t)), {"learning_rate": 0.05}


@CASES.add(None)
def linear_and_enough() -> Any:
    x, t = raw("digits", 600)
    return classify(), dense(0, 64, 10), (x / 16, t), {"learning_rate": 1.0}


@CASES.add(None)
def trained_already() -> Any:
    x, t = scaled("iris")
    params, loss = dense(0, 4, 8, 3), classify()
    grad = jax.jit(jax.grad(loss))
    for _ in range(200):
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, grad(params, x, t))
    return loss, params, (x, t), {"learning_rate": 0.01}


@CASES.add(None)
def momentum_overshoots() -> Any:
    x, t = scaled("wine")
    return classify(), dense(0, 13, 3), (x, t), {"optimizer": optax.sgd(0.3, momentum=0.95)}


@CASES.add(None)
def one_class_in_twenty() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    t = (np.arange(400) < 20).astype(int)
    x[:20] += 2.5
    return classify(), dense(0, 3, 8, 2), (x, t), {"optimizer": optax.adam(0.05)}


@CASES.add(None)
def validation_a_little_worse() -> Any:
    x, t = scaled("digits", 800)
    data = (x[:400], t[:400])
    options = {"optimizer": optax.adam(0.01), "validation": (x[400:], t[400:])}
    return classify(relu), dense(0, 64, 32, 10), data, options


@CASES.add(None)
def rows_in_order_but_mixed() -> Any:
    x, t = scaled("wine")
    return classify(), dense(0, 13, 3), (x, t), {"learning_rate": 0.1, "batch_size": 16,
                                                 "shuffle": False}  # fmt: skip


@CASES.add(None)
def random_features() -> Any:
    """A wide hidden layer that is meant to stay as it is."""
    x, t = moons()

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = jnp.tanh(x @ jax.lax.stop_gradient(p["features"]) + 0.3)
        return cross_entropy(h @ p["w"] + p["b"], t)

    rng = np.random.default_rng(0)
    params = {
        "features": 2 * rng.normal(size=(2, 128)).astype(np.float32),
        "w": np.zeros((128, 2), np.float32), "b": np.zeros(2, np.float32),
    }  # fmt: skip
    return loss, params, (x, t), {"optimizer": optax.adam(0.05), "steps": 200}


@CASES.add(None)
def strong_penalty() -> Any:
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return cross_entropy(forward(p, x), t) + 0.05 * jnp.sum(p[0]["w"] ** 2)

    return loss, dense(0, 30, 2), (x, t), {"learning_rate": 0.2}


@CASES.add(None)
def six_relu_layers() -> Any:
    x, t = scaled("digits", 400)
    return (
        classify(relu),
        dense(0, 64, *[32] * 6, 10, std=0.25),
        (x, t),
        {"optimizer": optax.adam(0.005)},
    )


@CASES.add(None)
def xor_with_a_plateau() -> Any:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    t = np.array([0, 1, 1, 0], np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((sigmoid(forward(p, x, sigmoid)[:, 0]) - t) ** 2)

    return loss, dense(0, 2, 8, 1, std=2.0), (x, t), {"learning_rate": 5.0, "steps": 1000}


@CASES.add(None)
def iris_by_nesterov() -> Any:
    x, t = scaled("iris")
    model = models.mlp([4, 16, 3], activation="softplus", loss="softmax_cross_entropy")
    params = model.init(jax.random.key(0))
    return lambda p, x, t: model.loss(p, (x, t)), params, (x, t), {"optimizer": optim.nag(0.01),
                                                                  "steps": 350}  # fmt: skip


@CASES.add(None)
def two_matrices() -> Any:
    """64 random rows of 1000 inputs, learned by heart; the sum of squares."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(64, 1000)), rng.normal(size=(64, 10))
    params = [rng.normal(size=(1000, 100)), rng.normal(size=(100, 10))]
    params = [w.astype(np.float32) for w in params]

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.sum((jnp.maximum(x @ p[0], 0) @ p[1] - t) ** 2)

    return loss, params, (x.astype(np.float32), t.astype(np.float32)), {"learning_rate": 1e-6,
                                                                      "steps": 500}  # fmt: skip


@CASES.add(None)
def huge_first_loss() -> Any:
    x, t = scaled("diabetes")
    params = dense(0, 10, 1)
    params[0]["b"] = jnp.full(1, 100.0)
    return regress(), params, (x, standard(t)), {"learning_rate": 0.1}


@CASES.add(None)
def images_through_a_convolution() -> Any:
    x, t = raw("digits", 200)
    rng = np.random.default_rng(0)
    params = {
        "k": 0.3 * rng.normal(size=(8, 1, 3, 3)).astype(np.float32),
        "w": 0.1 * rng.normal(size=(8 * 36, 10)).astype(np.float32), "b": np.zeros(10, np.float32),
    }  # fmt: skip

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = relu(jax.lax.conv(x, p["k"], (1, 1), "VALID"))
        return cross_entropy(h.reshape(len(x), -1) @ p["w"] + p["b"], t)

    return loss, params, ((x / 16).reshape(-1, 1, 8, 8), t), {"optimizer": optax.adam(0.01)}


@CASES.add(None)
def recurrent_network() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 2)).astype(np.float32)
    t = (x[:, -1, 0] + x[:, -2, 0] > 0).astype(int)
    params = {
        "wx": rng.normal(size=(2, 16)).astype(np.float32) * 0.5,
        "wh": rng.normal(size=(16, 16)).astype(np.float32) * 0.2,
        "v": rng.normal(size=(16, 2)).astype(np.float32) * 0.2,
    }

    def loss(p: Any, x: Any, t: Any) -> Any:
        def step(h: Any, row: Any) -> Any:
            return jnp.tanh(row @ p["wx"] + h @ p["wh"]), None

        h, _ = jax.lax.scan(step, jnp.zeros((len(x), 16), x.dtype), jnp.swapaxes(x, 0, 1))
        return cross_entropy(h @ p["v"], t)

    return loss, params, (x, t), {"optimizer": optax.adam(0.02)}


@CASES.add(None)
def slow_and_steady() -> Any:
    x, t = scaled("iris")
    return classify(), dense(0, 4, 16, 3), (x, t), {"learning_rate": 0.02, "steps": 300}


@CASES.add(None)
def autoencoder() -> Any:
    x, _ = raw("digits", 200)
    x = x / 16
    return (
        lambda p, x, t: jnp.mean((sigmoid(forward(p, x, relu)) - t) ** 2),
        dense(0, 64, 16, 64),
        (x, x),
        {"optimizer": optax.adam(0.01), "steps": 300},
    )


@CASES.add(None)
def circles_with_few_units() -> Any:
    x, t = circles()
    return classify(), dense(0, 2, 6, 2), (x, t), {"optimizer": optax.adam(0.05), "steps": 300}
