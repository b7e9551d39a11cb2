"""Steps too large, too small and uphill; losses that are lost."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import models

from .case import Cases
from .data import circles, moons, raw, scaled
from .nets import classify, cross_entropy, dense, forward, regress, relu

CASES = Cases()


# ---------------------------------------------------------------- too large


@CASES.add("step_too_large")
def iris_softmax_huge_step() -> Any:
    x, t = scaled("iris")
    return classify(), dense(0, 4, 3), (x, t), {"learning_rate": 1e4, "batch_size": 10}


@CASES.add("step_too_large")
def line_just_too_fast() -> Any:
    x = np.linspace(-1.7, 1.7, 50).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((p["a"] * x + p["b"] - t) ** 2)

    return loss, {"a": jnp.zeros(()), "b": jnp.zeros(())}, (x, 2 * x + 1), {"learning_rate": 1.2}


@CASES.add("step_too_large")
def digits_relu_momentum() -> Any:
    x, t = raw("digits", 400)
    rule = optax.sgd(5.0, momentum=0.9)
    return classify(relu), dense(0, 64, 32, 10), (x / 16, t), {"optimizer": rule}


@CASES.add("step_too_large")
def wine_adam_of_ten() -> Any:
    x, t = scaled("wine")
    return classify(), dense(0, 13, 16, 3), (x, t), {"optimizer": optax.adam(30.0)}


@CASES.add("step_too_large")
def diabetes_net_diverges() -> Any:
    x, t = scaled("diabetes")
    t = ((t - t.mean()) / t.std()).astype(np.float32)
    return regress(relu), dense(0, 10, 32, 1), (x, t), {"learning_rate": 2.0}


@CASES.add("step_too_large")
def thirteen_lines_alpha_1000() -> Any:
    rng = np.random.RandomState(1)
    x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1.0]])
    t = np.array([[0, 1, 1, 0.0]]).T
    params = {"s0": 2 * rng.rand(3, 4) - 1, "s1": 2 * rng.rand(4, 1) - 1}

    def loss(p: Any, x: Any, t: Any) -> Any:
        l1 = 1 / (1 + jnp.exp(-(x @ p["s0"])))
        l2 = 1 / (1 + jnp.exp(-(l1 @ p["s1"])))
        return 0.5 * jnp.sum((l2 - t) ** 2)

    return loss, params, (x, t), {"learning_rate": 1000.0, "steps": 1000}


@CASES.add("step_too_large")
def summed_loss() -> Any:
    """The sum over the rows, with a step that is meant for the mean."""
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.sum((x @ p["w"] + p["b"] - t) ** 2)

    return (
        loss,
        {"w": jnp.zeros(30), "b": jnp.zeros(())},
        (x, t.astype(np.float32)),
        {"learning_rate": 0.01},
    )


# ---------------------------------------------------------------- too small


@CASES.add("step_too_small")
def iris_net_tiny_step() -> Any:
    x, t = scaled("iris")
    return classify(), dense(0, 4, 16, 3), (x, t), {"learning_rate": 1e-5}


@CASES.add("step_too_small")
def digits_tiny_step() -> Any:
    x, t = raw("digits", 400)
    return classify(), dense(1, 64, 10), (x / 16, t), {"learning_rate": 1e-4, "batch_size": 40}


@CASES.add("step_too_small")
def moons_adam_too_careful() -> Any:
    x, t = moons()
    return classify(relu), dense(0, 2, 16, 2), (x, t), {"optimizer": optax.adam(1e-6), "steps": 200}


@CASES.add("step_too_small")
def thirteen_lines_alpha_0001() -> Any:
    loss, params, data, _ = thirteen_lines_alpha_1000()
    return loss, params, data, {"learning_rate": 0.001, "steps": 1000}


@CASES.add("step_too_small")
def diabetes_linear_slow() -> Any:
    x, t = scaled("diabetes")
    t = ((t - t.mean()) / t.std()).astype(np.float32)
    model = models.linear_regression(10)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return model.loss(p, (x, t))

    return loss, model.init(jax.random.key(0)), (x, t[:, None]), {"learning_rate": 1e-5}


@CASES.add("step_too_small")
def decays_at_once() -> Any:
    """A schedule that ends before anything is learned."""
    x, t = scaled("wine")
    rule = optax.sgd(optax.exponential_decay(1e-3, 1, 0.5))
    return classify(), dense(0, 13, 16, 3), (x, t), {"optimizer": rule}


# ---------------------------------------------------------------- uphill


@CASES.add("ascent")
def adds_the_gradient() -> Any:
    x, t = scaled("iris")
    return classify(), dense(0, 4, 8, 3), (x, t), {"learning_rate": 0.1, "direction": lambda g: g}


@CASES.add("ascent")
def adds_the_gradient_of_biases() -> Any:
    x, t = scaled("wine")

    def direction(grads: Any) -> Any:
        return [{"w": -layer["w"], "b": layer["b"]} for layer in grads]

    params = dense(0, 13, 3)
    return classify(), params, (x, t), {"learning_rate": 1.0, "direction": direction, "steps": 200}


@CASES.add("ascent")
def chain_without_minus() -> Any:
    x, t = moons()
    rule = optax.chain(optax.scale_by_adam(), optax.scale(0.05))
    return classify(), dense(0, 2, 16, 2), (x, t), {"optimizer": rule}


@CASES.add("ascent")
def log_likelihood_minimised() -> Any:
    x, t = scaled("iris")

    def loss(params: Any, x: Any, t: Any) -> Any:
        return -cross_entropy(forward(params, x), t)

    return loss, dense(0, 4, 16, 3), (x, t), {"learning_rate": 0.1}


@CASES.add("ascent")
def negative_squares() -> Any:
    x, t = scaled("diabetes")
    t = ((t - t.mean()) / t.std()).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((t - x @ p["w"]) ** 2) * -1

    return loss, {"w": jnp.full(10, 0.01)}, (x, t), {"learning_rate": 0.01}


@CASES.add("ascent")
def swapped_difference() -> Any:
    """A difference quotient (f(x - h) - f(x + h)) / 2h, subtracted."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (10, 5)).astype(np.float32)
    t = np.eye(10, dtype=np.float32)
    params = {
        "w1": rng.uniform(size=(5, 20)).astype(np.float32), "b1": np.zeros(20, np.float32),
        "w2": rng.uniform(size=(20, 10)).astype(np.float32), "b2": np.zeros(10, np.float32),
    }  # fmt: skip

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = jnp.maximum(x @ p["w1"] + p["b1"], 0)
        y = jax.nn.softmax(h @ p["w2"] + p["b2"])
        return -jnp.sum(t * jnp.log(y + 1e-7))

    def direction(grads: Any) -> Any:
        return jax.tree.map(lambda g: 1.0 * g, grads)

    return loss, params, (x, t), {"learning_rate": 0.5, "direction": direction}


@CASES.add("ascent")
def negative_learning_rate() -> Any:
    x, t = circles()
    return classify(), dense(0, 2, 16, 2), (x, t), {"optimizer": optax.sgd(-0.2)}


# ---------------------------------------------------------------- not finite


@CASES.add("nonfinite")
def log_of_a_saturated_sigmoid() -> Any:
    x, t = scaled("iris")
    t = t == 0  # a class that lies apart

    def loss(p: Any, x: Any, t: Any) -> Any:
        y = 1 / (1 + jnp.exp(-(x @ p["w"] + p["b"])))
        return -jnp.mean(t * jnp.log(y) + (1 - t) * jnp.log(1 - y))

    params = {"w": jnp.zeros(4), "b": jnp.zeros(())}
    return loss, params, (x, t.astype(np.float32)), {"learning_rate": 5.0, "steps": 2000}


@CASES.add("nonfinite")
def root_of_zero() -> Any:
    """The norm of an error that starts at zero."""
    x, t = scaled("diabetes")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ p["w"] + p["b"] - t) ** 2) + 0.1 * jnp.sqrt(jnp.sum(p["w"] ** 2))

    t = ((t - t.mean()) / t.std()).astype(np.float32)
    return loss, {"w": jnp.zeros(10), "b": jnp.zeros(())}, (x, t), {"learning_rate": 0.1}


@CASES.add("nonfinite")
def softmax_without_shift() -> Any:
    x, t = raw("digits", 300)

    def loss(p: Any, x: Any, t: Any) -> Any:
        e = jnp.exp(x @ p[0]["w"] + p[0]["b"])
        return -jnp.mean(jnp.log((e / e.sum(axis=1, keepdims=True))[jnp.arange(len(t)), t]))

    return loss, dense(0, 64, 10, std=1.0), (x, t), {"learning_rate": 0.01}


@CASES.add("nonfinite")
def hole_in_the_data() -> Any:
    x, t = scaled("wine")
    x[17, 3] = np.nan
    return classify(), dense(0, 13, 8, 3), (x, t), {"learning_rate": 0.1}


@CASES.add("nonfinite")
def where_does_not_protect() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    x[::8] = 0

    def loss(p: Any, x: Any, t: Any) -> Any:
        z = x @ p["w"]
        norm = jnp.sqrt(jnp.sum(z**2, axis=1))
        y = jnp.where(norm > 0, norm, 0.0)
        return jnp.mean((y - t) ** 2)

    params = {"w": rng.normal(size=(3, 4)).astype(np.float32)}
    return loss, params, (x, np.linalg.norm(x, axis=1)), {"learning_rate": 0.05}


@CASES.add("nonfinite")
def log_of_counts() -> Any:
    rng = np.random.default_rng(0)
    x = rng.poisson(1.0, (100, 4)).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((jnp.log(x) @ p["w"] - t) ** 2)

    return loss, {"w": jnp.zeros(4)}, (x, x.sum(axis=1)), {"learning_rate": 0.01}
