"""A second set of failures, written before the doctor's inside was read."""

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


# ---------------------------------------------------------------- steps


@CASES.add("step_too_large")
def summed_cross_entropy_with_momentum() -> Any:
    x, t = raw("digits", 500)

    def loss(p: Any, x: Any, t: Any) -> Any:
        logits = forward(p, x, relu)
        return optax.softmax_cross_entropy_with_integer_labels(logits, t).sum()

    rule = optax.sgd(0.1, momentum=0.9)
    return loss, dense(3, 64, 32, 10), (x / 16, t), {"optimizer": rule, "batch_size": 50}


@CASES.add("step_too_large")
def diabetes_line_at_one() -> Any:
    x, t = scaled("diabetes")
    params = {"w": jnp.zeros(10), "b": jnp.zeros(())}

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ p["w"] + p["b"] - t) ** 2)

    return loss, params, (x, standard(t)), {"learning_rate": 1.0}


@CASES.add("step_too_large")
def warms_up_too_far() -> Any:
    x, t = scaled("wine")
    rate = optax.warmup_cosine_decay_schedule(0.0, 100.0, 10, 100)
    return classify(), dense(4, 13, 16, 3), (x, t), {"optimizer": optax.sgd(rate)}


@CASES.add("step_too_large")
def digits_adam_three() -> Any:
    x, t = scaled("digits", 500)
    return classify(), dense(4, 64, 64, 64, 10), (x, t), {"optimizer": optax.adam(3.0)}


@CASES.add("step_too_small")
def sine_by_small_sgd() -> Any:
    x = np.random.default_rng(2).uniform(-3, 3, (200, 1)).astype(np.float32)
    t = np.sin(x[:, 0])
    return regress(), dense(4, 1, 32, 1), (x, t), {"learning_rate": 1e-5, "steps": 200}


@CASES.add("step_too_small")
def clipped_to_a_thousandth() -> Any:
    x, t = scaled("digits", 400)
    rule = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(0.1))
    return classify(relu), dense(4, 64, 32, 10), (x, t), {"optimizer": rule}


@CASES.add("step_too_small")
def adagrad_as_if_adam() -> Any:
    x, t = scaled("iris")
    return classify(), dense(4, 4, 16, 3), (x, t), {"optimizer": optax.adagrad(1e-4)}


@CASES.add("step_too_small")
def rows_and_outputs_averaged() -> Any:
    """A loss that is divided by the number of rows twice."""
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        z = forward(p, x)[:, 0]
        return jnp.mean(optax.sigmoid_binary_cross_entropy(z, t)) / len(x)

    return loss, dense(4, 30, 8, 1), (x, t.astype(np.float32)), {"learning_rate": 0.1}


@CASES.add("ascent")
def update_with_a_plus() -> Any:
    """By hand: params = params + learning_rate * grads."""
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        z = x @ p["w"] + p["b"]
        return jnp.mean(jnp.logaddexp(0, z) - t * z)

    options = {"learning_rate": 0.1, "direction": lambda grads: jax.tree.map(jnp.asarray, grads)}
    return loss, {"w": jnp.zeros(30), "b": jnp.zeros(())}, (x, t.astype(np.float32)), options


@CASES.add("ascent")
def minus_forgotten_in_front_of_the_mean() -> Any:
    x, t = scaled("wine")

    def loss(p: Any, x: Any, t: Any) -> Any:
        logp = jax.nn.log_softmax(forward(p, x, relu))
        return jnp.mean(jnp.sum(jax.nn.one_hot(t, 3) * logp, axis=1))

    return loss, dense(4, 13, 16, 3), (x, t), {"optimizer": optax.adam(0.01)}


@CASES.add("ascent")
def momentum_chain_of_the_wrong_sign() -> Any:
    x, t = scaled("diabetes")
    rule = optax.chain(optax.trace(0.9), optax.scale(0.005))
    return regress(), dense(4, 10, 8, 1), (x, standard(t)), {"optimizer": rule}


# ---------------------------------------------------------------- scales


def _houses(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    income, rooms = rng.gamma(3, 1.2, n), rng.normal(5.4, 1, n)
    population, age = rng.gamma(1.5, 950, n), rng.uniform(1, 52, n)
    price = 0.45 * income + 0.1 * rooms - 0.0002 * population + 0.01 * age
    x = np.stack([income, rooms, population, age], axis=1)
    return x.astype(np.float32), (price + 0.3 * rng.normal(size=n)).astype(np.float32)


@CASES.add("unscaled_inputs", "step_too_small")
def houses_at_a_step_that_holds() -> Any:
    """The step had to be made tiny, so nothing but the population is learned."""
    x, t = _houses()
    params = {"w": jnp.zeros(4), "b": jnp.zeros(())}

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ p["w"] + p["b"] - t) ** 2)

    return loss, params, (x, t), {"learning_rate": 1e-7, "steps": 500}


@CASES.add("unscaled_inputs", "saturated_units")
def seconds_since_1970() -> Any:
    rng = np.random.default_rng(3)
    when = 1.6e9 + 1e6 * rng.uniform(-1, 1, 200)
    other = rng.normal(size=200)
    x = np.stack([when, other], axis=1).astype(np.float32)
    t = (other > 0).astype(int)
    return classify(), dense(4, 2, 16, 2), (x, t), {"learning_rate": 0.05}


@CASES.add("unscaled_inputs")
def powers_of_zero_to_ten() -> Any:
    x = np.linspace(0, 10, 80)
    t = (0.3 * x**2 - x + 2).astype(np.float32)
    features = np.stack([x**k for k in range(1, 5)], axis=1).astype(np.float32)
    params = {"w": jnp.zeros(4), "b": jnp.zeros(())}

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ p["w"] + p["b"] - t) ** 2)

    return loss, params, (features, t), {"learning_rate": 1e-3}


@CASES.add("unscaled_inputs", "dead_units")
def houses_by_a_relu_net() -> Any:
    x, t = _houses()
    return regress(relu), dense(4, 4, 32, 1), (x, t), {"learning_rate": 0.01, "batch_size": 32}


@CASES.add("unscaled_targets")
def salaries() -> Any:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(250, 6)).astype(np.float32)
    t = (52000 + 9000 * x[:, 0] + 4000 * np.abs(x[:, 1])).astype(np.float32)
    options = {"optimizer": optax.adam(1e-3), "steps": 300}
    return regress(relu), dense(4, 6, 32, 32, 1), (x, t), options


@CASES.add("unscaled_targets")
def microamperes() -> Any:
    """Targets of 1e-6: every prediction near zero has a loss near zero."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    t = (1e-6 * (1 + np.sin(x[:, 0]) + 0.5 * x[:, 1])).astype(np.float32)
    return regress(), dense(4, 3, 16, 1), (x, t), {"optimizer": optax.adam(0.01), "steps": 200}


# ---------------------------------------------------------------- starts


@CASES.add("saturated_units", "bad_init")
def digits_sigmoids_of_ten() -> Any:
    x, t = scaled("digits", 400)
    rule = optax.adam(1e-3)
    return classify(sigmoid), dense(4, 64, 32, 10, std=10.0), (x, t), {"optimizer": rule}


@CASES.add("saturated_units", "bad_init", "vanishing_gradient")
def sigmoid_output_saturated() -> Any:
    """Squares of a sigmoid whose bias starts at thirty."""
    x, t = scaled("breast_cancer")
    params = dense(4, 30, 8, 1)
    params[-1]["b"] = jnp.full(1, 30.0)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((sigmoid(forward(p, x)[:, 0]) - t) ** 2)

    return loss, params, (x, t.astype(np.float32)), {"learning_rate": 0.1}


@CASES.add("dead_units")
def biases_far_below() -> Any:
    x, t = scaled("wine")
    params = dense(4, 13, 24, 24, 3)
    params[0]["b"] = jnp.full(24, -8.0)
    return classify(relu), params, (x, t), {"optimizer": optax.adam(0.003)}


@CASES.add("dead_units", "constant_output", "label_mismatch")
def relu_on_the_outputs_too() -> Any:
    """The last layer's ReLU starts at zero for every row."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(150, 4)).astype(np.float32)
    t = (5 + x[:, 0] + x[:, 1] ** 2).astype(np.float32)
    params = dense(4, 4, 16, 1)
    params[-1]["b"] = jnp.full(1, -6.0)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((relu(forward(p, x, relu)[:, 0]) - t) ** 2)

    return loss, params, (x, t), {"learning_rate": 0.02}


@CASES.add("symmetric_init")
def constants_of_a_tenth() -> Any:
    x, t = raw("digits", 400)
    params = [{"w": jnp.full(s, 0.1), "b": jnp.zeros(s[1])} for s in ((64, 32), (32, 32), (32, 10))]
    return classify(), params, (x / 16, t), {"optimizer": optax.adam(0.01), "steps": 150}


@CASES.add("symmetric_init", "dead_units")
def relu_and_zeros() -> Any:
    x, t = moons()
    params = jax.tree.map(jnp.zeros_like, dense(0, 2, 32, 2))
    return classify(relu), params, (x, t), {"optimizer": optax.adam(0.02), "steps": 200}


@CASES.add("bad_init", "exploding_gradient", "saturated_units")
def numpy_random_rand() -> Any:
    """np.random.rand for the weights: all of them positive."""
    x, t = raw("digits", 400)
    rng = np.random.RandomState(0)
    params = [
        {"w": rng.rand(a, b).astype(np.float32), "b": np.zeros(b, np.float32)}
        for a, b in ((64, 64), (64, 64), (64, 10))
    ]
    return classify(), params, (x / 16, t), {"learning_rate": 0.05}


@CASES.add("bad_init")
def last_layer_of_hundreds() -> Any:
    x, t = scaled("digits", 400)
    params = dense(4, 64, 16, 10)
    params[-1]["w"] = params[-1]["w"] * 1000
    return classify(), params, (x, t), {"learning_rate": 0.01}


@CASES.add("vanishing_gradient")
def first_of_sixty_steps() -> Any:
    """A recurrent network with small weights that has to remember its first input."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(100, 60, 1)).astype(np.float32)
    t = (x[:, 0, 0] > 0).astype(int)
    params = {
        "wx": rng.normal(size=(1, 16)).astype(np.float32),
        "wh": 0.08 * rng.normal(size=(16, 16)).astype(np.float32),
        "v": 0.25 * rng.normal(size=(16, 2)).astype(np.float32),
    }

    def loss(p: Any, x: Any, t: Any) -> Any:
        def step(h: Any, row: Any) -> Any:
            return jnp.tanh(row @ p["wx"] + h @ p["wh"]), None

        h, _ = jax.lax.scan(step, jnp.zeros((len(x), 16)), jnp.swapaxes(x, 0, 1))
        return cross_entropy(h @ p["v"], t)

    return loss, params, (x, t), {"optimizer": optax.adam(1e-3), "steps": 150}


@CASES.add("vanishing_gradient")
def twelve_sigmoid_layers_of_jaxnet() -> Any:
    x, t = raw("digits", 300)
    model = models.mlp([64, *[24] * 12, 10], activation="sigmoid", loss="softmax_cross_entropy")
    params = model.init(jax.random.key(1))
    options = {"learning_rate": 0.1, "batch_size": 50, "steps": 150}
    return lambda p, x, t: model.loss(p, (x, t)), params, (x / 16, t), options


@CASES.add("exploding_gradient", "bad_init")
def twelve_layers_of_twice_he() -> Any:
    x, t = scaled("wine")
    params = dense(4, 13, *[32] * 12, 3, std=0.6)
    return classify(relu), params, (x, t), {"learning_rate": 0.01}


# ---------------------------------------------------------------- not finite


@CASES.add("nonfinite")
def divided_by_the_width_of_an_empty_pixel() -> Any:
    x, t = raw("digits", 300)
    with np.errstate(invalid="ignore"):
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    return classify(relu), dense(4, 64, 32, 10), (x, t), {"optimizer": optax.adam(1e-3)}


@CASES.add("nonfinite")
def distances_of_twins() -> Any:
    """The gradient of a Euclidean distance at zero."""
    x, t = raw("iris", 60)

    def loss(p: Any, x: Any, t: Any) -> Any:
        z = x @ p["w"]
        apart = jnp.sqrt(jnp.sum((z[:, None] - z[None]) ** 2, axis=-1))
        same = t[:, None] == t[None]
        return jnp.mean(jnp.where(same, apart, jnp.maximum(0, 1 - apart)))

    return loss, {"w": jnp.asarray(dense(4, 4, 2)[0]["w"])}, (x, t), {"learning_rate": 0.01}


@CASES.add("nonfinite")
def log_of_a_relu() -> Any:
    """A variance that a ReLU makes, and its logarithm."""
    x, t = scaled("diabetes")

    def loss(p: Any, x: Any, t: Any) -> Any:
        out = forward(p, x)
        mean, var = out[:, 0], relu(out[:, 1])
        return jnp.mean(0.5 * jnp.log(var) + 0.5 * (mean - t) ** 2 / var)

    return loss, dense(4, 10, 16, 2), (x, standard(t)), {"optimizer": optax.adam(1e-3)}


# ---------------------------------------------------------------- targets


@CASES.add("label_mismatch")
def inputs_sorted_targets_not() -> Any:
    x, t = scaled("diabetes")
    x = x[np.argsort(x[:, 2])]
    return regress(), dense(4, 10, 16, 1), (x, standard(t)), {"optimizer": optax.adam(0.01)}


@CASES.add("label_mismatch")
def row_against_column_of_targets() -> Any:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    t = (x @ np.array([[1.0], [-2.0], [0.5]])).astype(np.float32)

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ p["w"] + p["b"] - t) ** 2)

    return loss, {"w": jnp.zeros(3), "b": jnp.zeros(())}, (x, t), {"learning_rate": 0.1}


@CASES.add("label_mismatch")
def digits_one_to_ten() -> Any:
    """Ten for the digit zero, as in a well-known course, and one_hot(t, 10)."""
    x, t = raw("digits", 500)

    def loss(p: Any, x: Any, t: Any) -> Any:
        logp = jax.nn.log_softmax(forward(p, x, relu))
        return -jnp.mean(jnp.sum(jax.nn.one_hot(t, 10) * logp, axis=1))

    t = np.where(t == 0, 10, t)
    return loss, dense(4, 64, 32, 10), (x / 16, t), {"optimizer": optax.adam(0.01)}


@CASES.add("label_mismatch")
def one_and_two_in_a_binary_loss() -> Any:
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(forward(p, x)[:, 0], t))

    options = {"optimizer": optax.adam(0.05)}
    return loss, dense(4, 30, 8, 1), (x, t.astype(np.float32) + 1), options


@CASES.add("label_mismatch")
def loss_against_its_own_mean() -> Any:
    """The predictions where the targets were meant."""
    x, t = scaled("diabetes")

    def loss(p: Any, x: Any, t: Any) -> Any:
        y = forward(p, x)[:, 0]
        return jnp.mean((y - y.mean()) ** 2)

    return loss, dense(4, 10, 8, 1), (x, standard(t)), {"learning_rate": 0.05}


@CASES.add("label_mismatch", "constant_output")
def softmax_over_the_batch() -> Any:
    x, t = scaled("iris")

    def loss(p: Any, x: Any, t: Any) -> Any:
        y = jax.nn.softmax(forward(p, x), axis=0)
        return -jnp.mean(jnp.log(y[jnp.arange(len(t)), t]))

    return loss, dense(4, 4, 8, 3), (x, t), {"learning_rate": 0.3}


# ---------------------------------------------------------------- models


@CASES.add("missing_bias")
def celsius_to_fahrenheit() -> Any:
    x = np.random.default_rng(11).normal(size=(100, 1)).astype(np.float32)
    t = (1.8 * x + 32).astype(np.float32)
    return (
        lambda w, x, t: jnp.mean((x @ w - t) ** 2),
        jnp.zeros((1, 1)),
        (x, t),
        {"learning_rate": 0.1},
    )


@CASES.add("missing_bias")
def odd_network_for_a_square() -> Any:
    x = np.random.default_rng(12).uniform(-1, 1, (150, 1)).astype(np.float32)
    model = models.mlp([1, 32, 1], activation="tanh", loss="squared_error", bias=False)
    params = model.init(jax.random.key(2))
    options = {"optimizer": optax.adam(0.02), "steps": 300}
    return lambda p, x, t: model.loss(p, (x, t)), params, (x, 3 * x**2), options


@CASES.add("linear_model")
def spirals_by_three_linear_layers() -> Any:
    rng = np.random.default_rng(13)
    angle = np.sqrt(rng.uniform(size=400)) * 8
    t = np.arange(400) % 2
    turn = angle + np.pi * t
    x = np.stack([angle * np.cos(turn), angle * np.sin(turn)], axis=1).astype(np.float32) / 2
    return classify(lambda z: z), dense(4, 2, 32, 32, 2), (x, t), {"optimizer": optax.adam(0.02)}


@CASES.add("linear_model")
def bowl_by_an_identity_network() -> Any:
    x = np.random.default_rng(14).uniform(-2, 2, (200, 2)).astype(np.float32)
    t = np.sum(x**2, axis=1, keepdims=True).astype(np.float32)
    model = models.mlp([2, 16, 1], activation="identity", loss="squared_error")
    params = model.init(jax.random.key(0))
    return lambda p, x, t: model.loss(p, (x, t)), params, (x, t), {"learning_rate": 0.02}


@CASES.add("constant_output", "label_mismatch", "detached")
def log_softmax_of_one_logit() -> Any:
    x, t = scaled("breast_cancer")

    def loss(p: Any, x: Any, t: Any) -> Any:
        return -jnp.mean(jnp.sum(t[:, None] * jax.nn.log_softmax(forward(p, x)), axis=1))

    return loss, dense(4, 30, 8, 1), (x, t.astype(np.float32)), {"optimizer": optax.adam(0.01)}


@CASES.add("detached")
def step_units() -> Any:
    """Hidden units that are 0 or 1, so no gradient passes them."""
    x, t = circles()

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = (x @ p["w1"] + p["b1"] > 0).astype(jnp.float32)
        return cross_entropy(h @ p["w2"] + p["b2"], t)

    a, b = dense(4, 2, 4, 2)
    params = {"w1": a["w"], "b1": a["b"], "w2": b["w"], "b2": b["b"]}
    return loss, params, (x, t), {"optimizer": optax.adam(0.05), "steps": 200}


@CASES.add("detached")
def old_parameters_from_outside() -> Any:
    """The loss reads the first layer from the surrounding script."""
    x, t = circles()
    first, last = dense(5, 2, 3, 2)
    params = {"first": first, "last": last}

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = jnp.tanh(x @ params["first"]["w"] + params["first"]["b"])
        return cross_entropy(h @ p["last"]["w"] + p["last"]["b"], t)

    return loss, params, (x, t), {"optimizer": optax.adam(0.05), "steps": 200}


# ---------------------------------------------------------------- course


@CASES.add("overfitting")
def two_hundred_columns_of_noise() -> Any:
    rng = np.random.default_rng(15)
    x = rng.normal(size=(140, 200)).astype(np.float32)
    t = (x[:, 0] + 0.5 * rng.normal(size=140) > 0).astype(int)
    options = {"optimizer": optax.adam(0.01), "steps": 300, "validation": (x[40:], t[40:])}
    return classify(relu), dense(4, 200, 64, 2), (x[:40], t[:40]), options


@CASES.add("batch_order")
def moons_one_after_the_other() -> Any:
    x, t = moons()
    order = np.argsort(t, kind="stable")
    options = {"optimizer": optax.adam(0.05), "batch_size": 20, "shuffle": False}
    return classify(), dense(4, 2, 16, 2), (x[order], t[order]), options
