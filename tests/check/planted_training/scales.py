"""Inputs and targets of a bad scale, and initial parameters that lead nowhere."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import optim

from .case import Cases
from .data import moons, raw, scaled
from .nets import classify, dense, forward, regress, relu, sigmoid

CASES = Cases()


@CASES.add("unscaled_inputs")
def squares_of_one_to_five() -> Any:
    x = jnp.arange(1.0, 6.0)

    def loss(w: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ w - t) ** 2)

    features = jnp.stack([x**0, x, x**2], axis=1)
    return loss, jnp.full(3, 0.5), (features, x**2), {"learning_rate": 0.01}


@CASES.add("unscaled_inputs")
def wine_as_it_is() -> Any:
    x, t = raw("wine")
    return classify(), dense(0, 13, 3), (x, t), {"learning_rate": 0.1}


@CASES.add("unscaled_inputs", "saturated_units")
def breast_cancer_tanh_net() -> Any:
    x, t = raw("breast_cancer")
    return classify(), dense(0, 30, 16, 2), (x, t), {"learning_rate": 0.1}


@CASES.add("unscaled_inputs")
def breast_cancer_logistic() -> Any:
    x, t = raw("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        z = x @ p["w"] + p["b"]
        return jnp.mean(jnp.logaddexp(0, z) - t * z)

    params = {"w": jnp.zeros(30), "b": jnp.zeros(())}
    return loss, params, (x, t.astype(np.float32)), {"learning_rate": 0.05, "steps": 200}


@CASES.add("unscaled_inputs")
def years() -> Any:
    rng = np.random.default_rng(0)
    year = rng.uniform(1980, 2020, 120).astype(np.float32)
    t = (0.05 * (year - 2000) + 0.1 * rng.normal(size=120)).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x * p["slope"] + p["offset"] - t) ** 2)

    return (
        loss,
        {"slope": jnp.zeros(()), "offset": jnp.zeros(())},
        (year, t),
        {"learning_rate": 0.01},
    )


@CASES.add("unscaled_inputs")
def wine_relu_minibatches() -> Any:
    x, t = raw("wine")
    return classify(relu), dense(0, 13, 32, 3), (x, t), {"learning_rate": 0.05, "batch_size": 16}


@CASES.add("unscaled_inputs")
def pixels_to_255() -> Any:
    x, t = raw("digits", 400)
    return classify(relu), dense(0, 64, 32, 10), (x * 255 / 16, t), {"learning_rate": 0.1}


@CASES.add("unscaled_targets")
def diabetes_progression() -> Any:
    x, t = scaled("diabetes")
    rule = optax.adam(0.01)
    return regress(), dense(0, 10, 16, 1), (x, t.astype(np.float32)), {"optimizer": rule}


@CASES.add("unscaled_targets")
def prices() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 4)).astype(np.float32)
    t = (3e5 + 8e4 * np.sin(x[:, 0]) + 4e4 * x[:, 1]).astype(np.float32)
    return regress(relu), dense(0, 4, 32, 1), (x, t), {"optimizer": optax.adam(0.01), "steps": 200}


@CASES.add("unscaled_targets")
def diabetes_relu_diverges() -> Any:
    x, t = scaled("diabetes")
    return regress(relu), dense(0, 10, 32, 1), (x, t.astype(np.float32)), {"learning_rate": 0.02}


@CASES.add("unscaled_targets", "label_mismatch")
def temperatures_from_a_sigmoid() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    t = (290 + 10 * np.tanh(x[:, 0])).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((sigmoid(forward(p, x)[:, 0]) - t) ** 2)

    return loss, dense(0, 3, 8, 1), (x, t), {"learning_rate": 0.1}


# ---------------------------------------------------------------- starts


@CASES.add("saturated_units")
def iris_sigmoids_with_large_weights() -> Any:
    x, t = scaled("iris")
    return classify(sigmoid), dense(0, 4, 16, 3, std=30.0), (x, t), {"learning_rate": 0.1}


@CASES.add("saturated_units")
def digits_tanh_ones() -> Any:
    x, t = scaled("digits", 400)
    return classify(), dense(0, 64, 32, 32, 10, std=3.0), (x, t), {"learning_rate": 0.05}


@CASES.add("saturated_units")
def wine_biases_of_twenty() -> Any:
    x, t = scaled("wine")
    params = dense(0, 13, 16, 3)
    params[0]["b"] = jnp.full(16, 20.0)
    return classify(), params, (x, t), {"learning_rate": 0.1}


@CASES.add("dead_units")
def digits_relu_far_below_zero() -> Any:
    x, t = raw("digits", 400)
    params = dense(0, 64, 32, 10)
    params[0]["b"] = jnp.full(32, -20.0)
    return classify(relu), params, (x / 16, t), {"learning_rate": 0.1}


@CASES.add("dead_units")
def moons_relu_bias_minus_ten() -> Any:
    x, t = moons()
    params = dense(0, 2, 16, 16, 2)
    params[1]["b"] = jnp.full(16, -10.0)
    return classify(relu), params, (x, t), {"learning_rate": 0.2, "steps": 300}


@CASES.add("dead_units")
def pixels_and_negative_weights() -> Any:
    x, t = raw("digits", 300)
    params = dense(0, 64, 32, 10)
    params[0]["w"] = -jnp.abs(params[0]["w"])

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = jnp.maximum(0, x @ p[0]["w"] + p[0]["b"])
        return optax.softmax_cross_entropy_with_integer_labels(h @ p[1]["w"] + p[1]["b"], t).mean()

    return loss, params, (x / 16, t), {"learning_rate": 0.2}


@CASES.add("symmetric_init")
def zeros_everywhere() -> Any:
    x, t = scaled("iris")
    params = jax.tree.map(jnp.zeros_like, dense(0, 4, 16, 3))
    return classify(), params, (x, t), {"learning_rate": 0.5}


@CASES.add("symmetric_init")
def ones_for_circles() -> Any:
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (200, 2)).astype(np.float32)
    t = (x[:, 0] * x[:, 1] > 0).astype(int)
    params = jax.tree.map(lambda a: jnp.full_like(a, 0.5), dense(0, 2, 16, 2))
    return classify(), params, (x, t), {"optimizer": optax.adam(0.03), "steps": 300}


@CASES.add("symmetric_init")
def same_columns() -> Any:
    x, t = moons(noise=0.05)
    column = np.random.default_rng(0).normal(size=(2, 1)).astype(np.float32)
    params = {
        "w1": np.repeat(column, 16, axis=1), "b1": np.zeros(16, np.float32),
        "w2": np.full((16, 1), 0.1, np.float32), "b2": np.zeros(1, np.float32),
    }  # fmt: skip

    def loss(p: Any, x: Any, t: Any) -> Any:
        z = (jnp.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])[:, 0]
        return jnp.mean(optax.sigmoid_binary_cross_entropy(z, t))

    return loss, params, (x, t), {"optimizer": optax.adam(0.05), "steps": 300}


@CASES.add("bad_init")
def digits_all_positive() -> Any:
    """Weights uniform on (0, eps) instead of (-eps, eps), and sigmoids."""
    x, t = raw("digits", 500)
    rng = np.random.default_rng(0)
    w1, w2 = (0.12 * rng.uniform(size=s).astype(np.float32) for s in ((25, 65), (10, 26)))

    def loss(p: Any, x: Any, t: Any) -> Any:
        ones = jnp.ones((len(x), 1), x.dtype)
        a = sigmoid(jnp.concatenate([ones, x], axis=1) @ p["w1"].T)
        y = sigmoid(jnp.concatenate([ones, a], axis=1) @ p["w2"].T)
        onehot = jax.nn.one_hot(t, 10)
        cost = -onehot * jnp.log(y) - (1 - onehot) * jnp.log(1 - y)
        penalty = jnp.sum(p["w1"][:, 1:] ** 2) + jnp.sum(p["w2"][:, 1:] ** 2)
        return jnp.mean(jnp.sum(cost, axis=1)) + penalty / (2 * len(x))

    return loss, {"w1": w1, "w2": w2}, (x, t), {"learning_rate": 0.3}


@CASES.add("bad_init")
def digits_all_positive_by_conjugate_gradients() -> Any:
    loss, params, data, _ = digits_all_positive()
    return loss, params, data, {"optimizer": optim.conjugate_gradient(), "steps": 20}


@CASES.add("bad_init")
def weights_of_a_millionth() -> Any:
    x, t = scaled("wine")
    return classify(), dense(0, 13, 16, 3, std=1e-6), (x, t), {"learning_rate": 0.1}


@CASES.add("bad_init")
def softmax_from_far_away() -> Any:
    x, t = scaled("digits", 400)
    return classify(), dense(0, 64, 10, std=100.0), (x, t), {"learning_rate": 0.1}


@CASES.add("vanishing_gradient")
def ten_sigmoid_layers() -> Any:
    x, t = scaled("iris")
    return classify(sigmoid), dense(0, 4, *[16] * 10, 3), (x, t), {"learning_rate": 0.5}


@CASES.add("vanishing_gradient", "bad_init")
def eight_tanh_layers_small() -> Any:
    x, t = scaled("wine")
    return classify(), dense(0, 13, *[16] * 8, 3, std=0.02), (x, t), {"learning_rate": 0.3}


@CASES.add("vanishing_gradient")
def fifteen_sigmoid_layers_adam() -> Any:
    x, t = moons()
    return classify(sigmoid), dense(0, 2, *[8] * 15, 2), (x, t), {"optimizer": optax.adam(1e-3)}


@CASES.add("exploding_gradient")
def eight_relu_layers_of_ones() -> Any:
    x, t = scaled("digits", 300)
    return classify(relu), dense(0, 64, *[32] * 7, 10, std=1.0), (x, t), {"learning_rate": 0.01}


@CASES.add("exploding_gradient")
def recurrent_of_radius_three() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 25, 2)).astype(np.float32)
    t = x[:, -1, 0] + x[:, -2, 1]
    params = {
        "wx": rng.normal(size=(2, 12)).astype(np.float32),
        "wh": (3 * np.linalg.qr(rng.normal(size=(12, 12)))[0]).astype(np.float32),
        "v": rng.normal(size=(12,)).astype(np.float32) / 4,
    }

    def loss(p: Any, x: Any, t: Any) -> Any:
        def step(h: Any, row: Any) -> Any:
            return row @ p["wx"] + h @ p["wh"], None

        h, _ = jax.lax.scan(step, jnp.zeros((len(x), 12), x.dtype), jnp.swapaxes(x, 0, 1))
        return jnp.mean((h @ p["v"] - t) ** 2)

    return loss, params, (x, t), {"learning_rate": 0.001}


@CASES.add("exploding_gradient")
def deep_linear_net() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 8)).astype(np.float32)
    params = [rng.normal(size=(8, 8)).astype(np.float32) for _ in range(8)]

    def loss(p: Any, x: Any, t: Any) -> Any:
        for w in p:
            x = x @ w
        return jnp.mean((x[:, 0] - t) ** 2)

    return loss, params, (x, x @ rng.normal(size=8).astype(np.float32)), {"learning_rate": 0.01}


@CASES.add("saturated_units")
def xor_with_huge_weights() -> Any:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    t = np.array([0, 1, 1, 0])
    params = dense(0, 2, 8, 2)
    params[0]["b"] = jnp.full(8, 15.0)
    return classify(), params, (x, t), {"learning_rate": 0.5, "steps": 300}
