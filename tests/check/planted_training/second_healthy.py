"""A second set of healthy runs that look odd, written before the doctor's inside was read."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from .case import Cases
from .data import moons, raw, scaled, standard
from .nets import classify, cross_entropy, dense, forward, regress, relu, sigmoid

CASES = Cases()


def _linear(p: Any, x: Any) -> Any:
    return x @ p["w"] + p["b"]


def _logistic(p: Any, x: Any, t: Any) -> Any:
    z = _linear(p, x)
    return jnp.mean(jnp.logaddexp(0, z) - t * z)


@CASES.add(None)
def one_row_at_a_time() -> Any:
    x, t = scaled("diabetes")
    options = {"learning_rate": 0.005, "batch_size": 1, "steps": 900}
    return regress(), dense(4, 10, 1), (x, standard(t)), options


@CASES.add(None)
def nearly_unstable_line() -> Any:
    """The loss swings up and down and falls all the same: 1.96 / lambda_max."""
    x = np.linspace(-1.7, 1.7, 50).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((p["a"] * x + p["b"] - t) ** 2)

    return loss, {"a": jnp.zeros(()), "b": jnp.zeros(())}, (x, 2 * x + 1), {"learning_rate": 0.94}


@CASES.add(None)
def weak_signal() -> Any:
    """Two per cent of the variance can be explained, and are."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 3)).astype(np.float32)
    t = standard(0.15 * x[:, 0] + rng.normal(size=2000))

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((_linear(p, x) - t) ** 2)

    return loss, {"w": jnp.zeros(3), "b": jnp.zeros(())}, (x, t), {"learning_rate": 0.1}


@CASES.add(None)
def sorted_rows_full_batch() -> Any:
    x, t = scaled("breast_cancer")
    order = np.argsort(t, kind="stable")
    params = {"w": jnp.zeros(30), "b": jnp.zeros(())}
    return _logistic, params, (x[order], t[order].astype(np.float32)), {"learning_rate": 0.2}


@CASES.add(None)
def huber_with_outliers() -> Any:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    t = (2 * x[:, 0] - x[:, 1] + 1).astype(np.float32)
    t[:10] += 500

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean(optax.huber_loss(_linear(p, x), t))

    params = {"w": jnp.zeros(2), "b": jnp.zeros(())}
    return loss, params, (x, t), {"learning_rate": 0.3, "steps": 150}


@CASES.add(None)
def poisson_counts() -> Any:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    t = rng.poisson(np.exp(2 + 0.5 * x[:, 0] - 0.3 * x[:, 1])).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        eta = _linear(p, x)
        return jnp.mean(jnp.exp(eta) - t * eta)

    params = {"w": jnp.zeros(3), "b": jnp.zeros(())}
    return loss, params, (x, t), {"optimizer": optax.adam(0.05), "steps": 200}


@CASES.add(None)
def ninth_decile() -> Any:
    """The pinball loss of a quantile."""
    x, t = scaled("diabetes")

    def loss(p: Any, x: Any, t: Any) -> Any:
        error = t - _linear(p, x)
        return jnp.mean(jnp.maximum(0.9 * error, -0.1 * error))

    params = {"w": jnp.zeros(10), "b": jnp.zeros(())}
    return loss, params, (x, standard(t)), {"optimizer": optax.adam(0.05), "steps": 200}


@CASES.add(None)
def celsius_of_a_summer() -> Any:
    """Raw targets of a scale that the rule can follow."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    t = (21 + 4 * x[:, 0] - 2 * x[:, 1] + rng.normal(size=200)).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((_linear(p, x) - t) ** 2)

    params = {"w": jnp.zeros(2), "b": jnp.zeros(())}
    return loss, params, (x, t), {"learning_rate": 0.1}


@CASES.add(None)
def frozen_features() -> Any:
    x, t = scaled("digits", 500)
    rule = optax.multi_transform(
        {"head": optax.adam(0.02), "body": optax.set_to_zero()}, ["body", "head"]
    )
    return classify(relu), dense(4, 64, 128, 10), (x, t), {"optimizer": rule}


@CASES.add(None)
def residual_blocks_that_start_at_nothing() -> Any:
    x, t = scaled("wine")
    params = [*dense(4, 13, 16), *dense(5, 16, 16), *dense(6, 16, 16), *dense(7, 16, 3)]
    for layer in params[1:3]:
        layer["w"] = jnp.zeros((16, 16))

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = _linear(p[0], x)
        for layer in p[1:-1]:
            h = h + jnp.tanh(_linear(layer, h))
        return cross_entropy(_linear(p[-1], h), t)

    return loss, params, (x, t), {"optimizer": optax.adam(0.01)}


@CASES.add(None)
def factors_of_a_matrix() -> Any:
    """Inputs that are indices."""
    rng = np.random.default_rng(5)
    left, right = rng.normal(size=(20, 3)), rng.normal(size=(15, 3))
    x = np.stack(np.meshgrid(np.arange(20), np.arange(15)), axis=-1).reshape(-1, 2)
    t = np.sum(left[x[:, 0]] * right[x[:, 1]], axis=1).astype(np.float32)
    params = {
        "users": 0.3 * rng.normal(size=(20, 3)).astype(np.float32),
        "items": 0.3 * rng.normal(size=(15, 3)).astype(np.float32),
    }

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((jnp.sum(p["users"][x[:, 0]] * p["items"][x[:, 1]], axis=1) - t) ** 2)

    return loss, params, (x, t), {"optimizer": optax.adam(0.05), "steps": 200}


@CASES.add(None)
def lasso() -> Any:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(120, 40)).astype(np.float32)
    t = standard(3 * x[:, 0] - 2 * x[:, 1] + 0.3 * rng.normal(size=120))

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((_linear(p, x) - t) ** 2) + 0.1 * jnp.sum(jnp.abs(p["w"]))

    return loss, {"w": jnp.zeros(40), "b": jnp.zeros(())}, (x, t), {"learning_rate": 0.05}


@CASES.add(None)
def several_labels_a_row() -> Any:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(250, 8)).astype(np.float32)
    t = (x @ rng.normal(size=(8, 5)) > 1).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean(jnp.sum(optax.sigmoid_binary_cross_entropy(forward(p, x), t), axis=1))

    return loss, dense(4, 8, 16, 5), (x, t), {"learning_rate": 0.3}


@CASES.add(None)
def ends_at_a_rate_of_zero() -> Any:
    x, t = scaled("digits", 500)
    rule = optax.sgd(optax.cosine_decay_schedule(0.02, 120), momentum=0.9)
    options = {"optimizer": rule, "batch_size": 25, "steps": 150}
    return classify(relu), dense(4, 64, 32, 10), (x, t), options


@CASES.add(None)
def reconstruction_without_targets() -> Any:
    """An autoencoder: the loss takes no targets, and those given say nothing."""
    x, _ = raw("digits", 200)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((sigmoid(forward(p, x, relu)) - x) ** 2)

    data = (x / 16, np.zeros(len(x), np.float32))
    return loss, dense(4, 64, 16, 64), data, {"optimizer": optax.adam(0.01), "steps": 300}


@CASES.add(None)
def smoothed_labels() -> Any:
    x, t = moons(noise=0.25)
    t = 0.8 * np.eye(2, dtype=np.float32)[t] + 0.1

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean(optax.softmax_cross_entropy(forward(p, x, relu), t))

    return loss, dense(4, 2, 32, 2), (x, t), {"optimizer": optax.adam(0.02), "steps": 150}
