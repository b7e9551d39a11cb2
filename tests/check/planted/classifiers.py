"""Classifiers: logistic, softmax, hinge, and networks of two and three layers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Fault, Problem


def draw(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def draw_labels(rng: np.random.Generator, size: int, classes: int) -> Any:
    """Every class at least once."""
    return jnp.asarray(rng.permutation(np.arange(size) % classes), jnp.int32)


# Logistic regression, the likelihood written out.


def logistic_loss(params: Any, x: Any, y: Any) -> Any:
    z = x @ params["w"] + params["b"]
    p = jax.nn.sigmoid(z)  # @logistic_sigmoid
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))  # @logistic_likelihood


def logistic_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {"w": 0.6 * draw(rng, 5), "b": draw(rng)}
    y = jnp.asarray(rng.permutation(np.arange(8) < 3), jnp.float32)
    return params, (draw(rng, 8, 5), y)


def logistic_grad(params: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + jnp.exp(-(x @ params["w"] + params["b"])))
    delta = (p - y) / len(y)
    return {"w": x.T @ delta, "b": delta.sum()}


def logistic_log_not_differentiated(params: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + jnp.exp(-(x @ params["w"] + params["b"])))
    dp = -(y - (1 - y)) / len(y)
    delta = dp * p * (1 - p)
    return {"w": x.T @ delta, "b": delta.sum()}


def logistic_sigmoid_not_differentiated(params: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + jnp.exp(-(x @ params["w"] + params["b"])))
    delta = (p - y) / (p * (1 - p)) / len(y)
    return {"w": x.T @ delta, "b": delta.sum()}


def logistic_sigmoid_twice(params: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + jnp.exp(-(x @ params["w"] + params["b"])))
    dp = (p - y) / (p * (1 - p)) / len(y)
    s = 1 / (1 + jnp.exp(-p))
    delta = dp * s * (1 - s)
    return {"w": x.T @ delta, "b": delta.sum()}


def logistic_positives_only(params: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + jnp.exp(-(x @ params["w"] + params["b"])))
    delta = -(y / p) * p * (1 - p) / len(y)
    return {"w": x.T @ delta, "b": delta.sum()}


def logistic_squared_error(params: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + jnp.exp(-(x @ params["w"] + params["b"])))
    delta = 2 * (p - y) * p * (1 - p) / len(y)
    return {"w": x.T @ delta, "b": delta.sum()}


def logistic_summed(params: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + jnp.exp(-(x @ params["w"] + params["b"])))
    delta = p - y
    return {"w": x.T @ delta, "b": delta.sum()}


def logistic_summed_ascent(params: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + jnp.exp(-(x @ params["w"] + params["b"])))
    return {"w": x.T @ (y - p), "b": jnp.sum(y - p)}


def logistic_wide_step(params: Any, x: Any, y: Any) -> Any:
    def value(w: Any, b: Any) -> Any:
        p = 1 / (1 + np.exp(-(x @ w + b)))
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    w, b, x, y = np.array(params["w"]), np.array(params["b"]), np.asarray(x), np.asarray(y)
    step = 1.0
    grad_w = np.zeros_like(w)
    for i in range(len(w)):
        up, down = w.copy(), w.copy()
        up[i] += step
        down[i] -= step
        grad_w[i] = (value(up, b) - value(down, b)) / (2 * step)
    grad_b = (value(w, b + step) - value(w, b - step)) / (2 * step)
    return {"w": grad_w, "b": np.asarray(grad_b, b.dtype)}


# Two layers with relu, labels as integers, weight decay: params is a list of dicts.


def dense(layer: Any, x: Any) -> Any:
    return x @ layer["w"] + layer["b"]  # @relu_dense


def relu_loss(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    hidden, output = params
    h = jax.nn.relu(dense(hidden, x))  # @relu_hidden
    log_p = jax.nn.log_softmax(dense(output, h))  # @relu_softmax
    nll = -jnp.mean(log_p[jnp.arange(len(labels)), labels])
    penalty = 0.5 * decay * sum(jnp.sum(layer["w"] ** 2) for layer in params)  # @relu_penalty
    return nll + penalty


def relu_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = [{"w": draw(rng, 4, 6), "b": draw(rng, 6)}, {"w": draw(rng, 6, 3), "b": draw(rng, 3)}]
    return params, (draw(rng, 9, 4), draw_labels(rng, 9, 3), 0.1)


def relu_forward(params: Any, x: Any) -> Any:
    z = x @ params[0]["w"] + params[0]["b"]
    h = jnp.maximum(z, 0)
    return z, h, jax.nn.softmax(h @ params[1]["w"] + params[1]["b"])


def relu_grad(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    z, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = (d2 @ w2.T) * (z > 0)
    return [
        {"w": x.T @ d1 + decay * w1, "b": d1.sum(0)},
        {"w": h.T @ d2 + decay * w2, "b": d2.sum(0)},
    ]


def relu_mask_of_gradient(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    _, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = d2 @ w2.T
    d1 = d1 * (d1 > 0)
    return [
        {"w": x.T @ d1 + decay * w1, "b": d1.sum(0)},
        {"w": h.T @ d2 + decay * w2, "b": d2.sum(0)},
    ]


def relu_without_mask(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    _, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = d2 @ w2.T
    return [
        {"w": x.T @ d1 + decay * w1, "b": d1.sum(0)},
        {"w": h.T @ d2 + decay * w2, "b": d2.sum(0)},
    ]


def relu_reshaped_weights(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    z, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = (d2 @ w2.reshape(p.shape[1], h.shape[1])) * (z > 0)
    return [
        {"w": x.T @ d1 + decay * w1, "b": d1.sum(0)},
        {"w": h.T @ d2 + decay * w2, "b": d2.sum(0)},
    ]


def relu_mean_hidden(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    z, h, p = relu_forward(params, x)
    error = p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)
    d1 = (error @ w2.T) * (z > 0) / len(x)
    grad_b2 = error.mean(0)
    return [
        {"w": x.T @ d1 + decay * w1, "b": d1.sum(0)},
        {"w": jnp.outer(h.mean(0), grad_b2) + decay * w2, "b": grad_b2},
    ]


def relu_decay_on_biases(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w2 = params[1]["w"]
    z, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = (d2 @ w2.T) * (z > 0)
    grads = [{"w": x.T @ d1, "b": d1.sum(0)}, {"w": h.T @ d2, "b": d2.sum(0)}]
    return jax.tree.map(lambda g, leaf: g + decay * leaf, grads, params)


def relu_decay_doubled(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    z, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = (d2 @ w2.T) * (z > 0)
    return [
        {"w": x.T @ d1 + 2 * decay * w1, "b": d1.sum(0)},
        {"w": h.T @ d2 + 2 * decay * w2, "b": d2.sum(0)},
    ]


def relu_hidden_without_decay(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w2 = params[1]["w"]
    z, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = (d2 @ w2.T) * (z > 0)
    return [
        {"w": x.T @ d1, "b": d1.sum(0)},
        {"w": h.T @ d2 + decay * w2, "b": d2.sum(0)},
    ]


def relu_without_normaliser(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    z, h, p = relu_forward(params, x)
    d2 = -jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype) / len(x)
    d1 = (d2 @ w2.T) * (z > 0)
    return [
        {"w": x.T @ d1 + decay * w1, "b": d1.sum(0)},
        {"w": h.T @ d2 + decay * w2, "b": d2.sum(0)},
    ]


def relu_bias_not_summed(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    z, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = (d2 @ w2.T) * (z > 0)
    return [
        {"w": x.T @ d1 + decay * w1, "b": d1.sum(0)},
        {"w": h.T @ d2 + decay * w2, "b": d2},
    ]


def relu_no_mask_no_decay(params: Any, x: Any, labels: Any, decay: Any) -> Any:
    w1, w2 = params[0]["w"], params[1]["w"]
    _, h, p = relu_forward(params, x)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    d1 = d2 @ w2.T
    return [
        {"w": x.T @ d1 + decay * w1, "b": d1.sum(0)},
        {"w": h.T @ d2, "b": d2.sum(0)},
    ]


# Three layers with tanh, the second square: params is a tuple of pairs.


def tanh_loss(params: Any, x: Any, labels: Any) -> Any:
    (w1, b1), (w2, b2), (w3, b3) = params
    h1 = jnp.tanh(x @ w1 + b1)  # @tanh_first
    z2 = h1 @ w2 + b2  # @tanh_square_product
    h2 = jnp.tanh(z2)  # @tanh_second
    logits = h2 @ w3 + b3
    chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]  # @tanh_chosen
    normaliser = jnp.log(jnp.sum(jnp.exp(logits), axis=1))  # @tanh_normaliser
    return jnp.mean(normaliser - chosen)


def tanh_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = (
        (0.5 * draw(rng, 3, 5), 0.5 * draw(rng, 5)),
        (0.5 * draw(rng, 5, 5), 0.5 * draw(rng, 5)),
        (draw(rng, 5, 4), draw(rng, 4)),
    )
    return params, (draw(rng, 6, 3), draw_labels(rng, 6, 4))


def tanh_forward(params: Any, x: Any, labels: Any) -> Any:
    (w1, b1), (w2, b2), (w3, b3) = jax.tree.map(np.asarray, params)
    x, labels = np.asarray(x), np.asarray(labels)
    h1 = np.tanh(x @ w1 + b1)
    h2 = np.tanh(h1 @ w2 + b2)
    e = np.exp(h2 @ w3 + b3)
    return x, labels, w2, w3, h1, h2, e / e.sum(1, keepdims=True)


def tanh_grad(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h1**2)
    return (x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_missing_transpose(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2) * (1 - h1**2)
    return (x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_product_transposed(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h1**2)
    return (x.T @ d1, d1.sum(0)), (d2.T @ h1, d2.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_without_square(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h1)
    return (x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_slope_at_input(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    z2 = h1 @ w2 + np.asarray(params[1][1])
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - z2**2)
    d1 = (d2 @ w2.T) * (1 - h1**2)
    return (x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_slope_of_other_layer(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h2**2)
    return (x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_without_chosen(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    d3 = p / len(x)
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h1**2)
    return (x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_sum_not_divided(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, _ = tanh_forward(params, x, labels)
    n = len(x)
    d3 = np.exp(h2 @ w3 + np.asarray(params[2][1]))
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h1**2)
    return (x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_output_already_updated(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    grad_w3 = h2.T @ d3
    w3 = w3 - 0.5 * grad_w3
    d2 = (d3 @ w3.T) * (1 - h2**2)
    grad_w2 = h1.T @ d2
    w2 = w2 - 0.5 * grad_w2
    d1 = (d2 @ w2.T) * (1 - h1**2)
    return (x.T @ d1, d1.sum(0)), (grad_w2, d2.sum(0)), (grad_w3, d3.sum(0))


def tanh_biases_exchanged(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h1**2)
    return (x.T @ d1, d2.sum(0)), (h1.T @ d2, d1.sum(0)), (h2.T @ d3, d3.sum(0))


def tanh_first_bias_forgotten(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    grads = [np.zeros_like(leaf) for leaf in jax.tree.leaves(params)]
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    grads[4] += h2.T @ d3
    grads[5] += d3.sum(0)
    d2 = (d3 @ w3.T) * (1 - h2**2)
    grads[2] += h1.T @ d2
    grads[3] += d2.sum(0)
    d1 = (d2 @ w2.T) * (1 - h1**2)
    grads[0] += x.T @ d1
    return tuple(grads[:2]), tuple(grads[2:4]), tuple(grads[4:])


def tanh_two_slips(params: Any, x: Any, labels: Any) -> Any:
    x, labels, w2, w3, h1, h2, p = tanh_forward(params, x, labels)
    n = len(x)
    d3 = p.copy()
    d3[np.arange(n), labels] -= 1
    d3 /= n
    d2 = (d3 @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h1)
    return (x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, -d3.sum(0))


# Several labels at once: softplus units, sigmoid cross-entropy in its stable form.


def multilabel_loss(params: Any, x: Any, y: Any) -> Any:
    z = x @ params["hidden"]["kernel"] + params["hidden"]["bias"]
    h = jax.nn.softplus(z)  # @multilabel_softplus
    logits = h @ params["out"]["kernel"] + params["out"]["bias"]
    tail = jnp.log1p(jnp.exp(-jnp.abs(logits)))  # @multilabel_tail
    losses = jnp.maximum(logits, 0) - y * logits + tail  # @multilabel_losses
    return jnp.mean(jnp.sum(losses, axis=1))


def multilabel_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "hidden": {"kernel": draw(rng, 3, 5), "bias": draw(rng, 5)},
        "out": {"kernel": 0.5 * draw(rng, 5, 4), "bias": draw(rng, 4)},
    }
    y = jnp.asarray(rng.integers(2, size=(7, 4)), jnp.float32)
    return params, (draw(rng, 7, 3), y)


def multilabel_forward(params: Any, x: Any) -> Any:
    z = x @ params["hidden"]["kernel"] + params["hidden"]["bias"]
    h = jnp.log1p(jnp.exp(z))
    return z, h, h @ params["out"]["kernel"] + params["out"]["bias"]


def multilabel_grad(params: Any, x: Any, y: Any) -> Any:
    z, h, logits = multilabel_forward(params, x)
    d2 = (1 / (1 + jnp.exp(-logits)) - y) / len(x)
    d1 = (d2 @ params["out"]["kernel"].T) / (1 + jnp.exp(-z))
    return {
        "hidden": {"kernel": x.T @ d1, "bias": d1.sum(0)},
        "out": {"kernel": h.T @ d2, "bias": d2.sum(0)},
    }


def multilabel_sigmoid_slope(params: Any, x: Any, y: Any) -> Any:
    z, h, logits = multilabel_forward(params, x)
    d2 = (1 / (1 + jnp.exp(-logits)) - y) / len(x)
    s = 1 / (1 + jnp.exp(-z))
    d1 = (d2 @ params["out"]["kernel"].T) * s * (1 - s)
    return {
        "hidden": {"kernel": x.T @ d1, "bias": d1.sum(0)},
        "out": {"kernel": h.T @ d2, "bias": d2.sum(0)},
    }


def multilabel_slope_at_output(params: Any, x: Any, y: Any) -> Any:
    _, h, logits = multilabel_forward(params, x)
    d2 = (1 / (1 + jnp.exp(-logits)) - y) / len(x)
    d1 = (d2 @ params["out"]["kernel"].T) / (1 + jnp.exp(-h))
    return {
        "hidden": {"kernel": x.T @ d1, "bias": d1.sum(0)},
        "out": {"kernel": h.T @ d2, "bias": d2.sum(0)},
    }


def multilabel_mean_over_labels(params: Any, x: Any, y: Any) -> Any:
    z, h, logits = multilabel_forward(params, x)
    d2 = (1 / (1 + jnp.exp(-logits)) - y) / y.size
    d1 = (d2 @ params["out"]["kernel"].T) / (1 + jnp.exp(-z))
    return {
        "hidden": {"kernel": x.T @ d1, "bias": d1.sum(0)},
        "out": {"kernel": h.T @ d2, "bias": d2.sum(0)},
    }


def multilabel_without_tail(params: Any, x: Any, y: Any) -> Any:
    z, h, logits = multilabel_forward(params, x)
    d2 = ((logits > 0) - y) / len(x)
    d1 = (d2 @ params["out"]["kernel"].T) / (1 + jnp.exp(-z))
    return {
        "hidden": {"kernel": x.T @ d1, "bias": d1.sum(0)},
        "out": {"kernel": h.T @ d2, "bias": d2.sum(0)},
    }


def multilabel_abs_not_differentiated(params: Any, x: Any, y: Any) -> Any:
    z, h, logits = multilabel_forward(params, x)
    small = jnp.exp(-jnp.abs(logits))
    d2 = ((logits > 0) - y - small / (1 + small)) / len(x)
    d1 = (d2 @ params["out"]["kernel"].T) / (1 + jnp.exp(-z))
    return {
        "hidden": {"kernel": x.T @ d1, "bias": d1.sum(0)},
        "out": {"kernel": h.T @ d2, "bias": d2.sum(0)},
    }


def multilabel_without_labels(params: Any, x: Any, y: Any) -> Any:
    z, h, logits = multilabel_forward(params, x)
    d2 = 1 / (1 + jnp.exp(-logits)) / len(x)
    d1 = (d2 @ params["out"]["kernel"].T) / (1 + jnp.exp(-z))
    return {
        "hidden": {"kernel": x.T @ d1, "bias": d1.sum(0)},
        "out": {"kernel": h.T @ d2, "bias": d2.sum(0)},
    }


# gelu units and smoothed labels.


def smoothing_loss(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    first, second = params["first"], params["second"]
    a = jax.nn.gelu(x @ first["w"] + first["b"])  # @smoothing_gelu
    p = jax.nn.softmax(a @ second["w"] + second["b"], axis=-1)  # @smoothing_softmax
    classes = p.shape[-1]
    hard = jax.nn.one_hot(labels, classes, dtype=p.dtype)
    soft = (1 - smoothing) * hard + smoothing / classes
    return -jnp.mean(jnp.sum(soft * jnp.log(p), axis=-1))  # @smoothing_likelihood


def smoothing_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "first": {"w": draw(rng, 6, 4), "b": draw(rng, 4)},
        "second": {"w": draw(rng, 4, 3), "b": draw(rng, 3)},
    }
    return params, (0.7 * draw(rng, 8, 6), draw_labels(rng, 8, 3), 0.2)


def smoothing_forward(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    z = x @ params["first"]["w"] + params["first"]["b"]
    t = jnp.tanh(np.sqrt(2 / np.pi).item() * (z + 0.044715 * z**3))
    a = 0.5 * z * (1 + t)
    p = jax.nn.softmax(a @ params["second"]["w"] + params["second"]["b"])
    k = p.shape[1]
    soft = (1 - smoothing) * jax.nn.one_hot(labels, k, dtype=p.dtype) + smoothing / k
    return z, t, a, p, soft


def smoothing_grad(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    z, t, a, p, soft = smoothing_forward(params, x, labels, smoothing)
    d2 = (p - soft) / len(x)
    inner = np.sqrt(2 / np.pi).item() * (1 + 3 * 0.044715 * z**2)
    d1 = (d2 @ params["second"]["w"].T) * (0.5 * (1 + t) + 0.5 * z * (1 - t**2) * inner)
    return {
        "first": {"w": x.T @ d1, "b": d1.sum(0)},
        "second": {"w": a.T @ d2, "b": d2.sum(0)},
    }


def smoothing_hard_labels(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    z, t, a, p, _ = smoothing_forward(params, x, labels, smoothing)
    d2 = (p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)) / len(x)
    inner = np.sqrt(2 / np.pi).item() * (1 + 3 * 0.044715 * z**2)
    d1 = (d2 @ params["second"]["w"].T) * (0.5 * (1 + t) + 0.5 * z * (1 - t**2) * inner)
    return {
        "first": {"w": x.T @ d1, "b": d1.sum(0)},
        "second": {"w": a.T @ d2, "b": d2.sum(0)},
    }


def smoothing_diagonal_softmax(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    z, t, a, p, soft = smoothing_forward(params, x, labels, smoothing)
    dp = -soft / p / len(x)
    d2 = dp * p * (1 - p)
    inner = np.sqrt(2 / np.pi).item() * (1 + 3 * 0.044715 * z**2)
    d1 = (d2 @ params["second"]["w"].T) * (0.5 * (1 + t) + 0.5 * z * (1 - t**2) * inner)
    return {
        "first": {"w": x.T @ d1, "b": d1.sum(0)},
        "second": {"w": a.T @ d2, "b": d2.sum(0)},
    }


def smoothing_log_not_differentiated(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    z, t, a, p, soft = smoothing_forward(params, x, labels, smoothing)
    dp = -soft / len(x)
    d2 = p * (dp - (dp * p).sum(1, keepdims=True))
    inner = np.sqrt(2 / np.pi).item() * (1 + 3 * 0.044715 * z**2)
    d1 = (d2 @ params["second"]["w"].T) * (0.5 * (1 + t) + 0.5 * z * (1 - t**2) * inner)
    return {
        "first": {"w": x.T @ d1, "b": d1.sum(0)},
        "second": {"w": a.T @ d2, "b": d2.sum(0)},
    }


def smoothing_gate_only(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    _, t, a, p, soft = smoothing_forward(params, x, labels, smoothing)
    d2 = (p - soft) / len(x)
    d1 = (d2 @ params["second"]["w"].T) * 0.5 * (1 + t)
    return {
        "first": {"w": x.T @ d1, "b": d1.sum(0)},
        "second": {"w": a.T @ d2, "b": d2.sum(0)},
    }


def smoothing_gelu_as_relu(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    z, _, a, p, soft = smoothing_forward(params, x, labels, smoothing)
    d2 = (p - soft) / len(x)
    d1 = (d2 @ params["second"]["w"].T) * (z > 0)
    return {
        "first": {"w": x.T @ d1, "b": d1.sum(0)},
        "second": {"w": a.T @ d2, "b": d2.sum(0)},
    }


def smoothing_last_class_skipped(params: Any, x: Any, labels: Any, smoothing: Any) -> Any:
    z, t, a, p, soft = smoothing_forward(params, x, labels, smoothing)
    d2 = (p - soft) / len(x)
    grad_w2 = jnp.zeros_like(params["second"]["w"])
    grad_b2 = jnp.zeros_like(params["second"]["b"])
    for c in range(p.shape[1] - 1):
        grad_w2 = grad_w2.at[:, c].set(a.T @ d2[:, c])
        grad_b2 = grad_b2.at[c].set(d2[:, c].sum())
    inner = np.sqrt(2 / np.pi).item() * (1 + 3 * 0.044715 * z**2)
    d1 = (d2 @ params["second"]["w"].T) * (0.5 * (1 + t) + 0.5 * z * (1 - t**2) * inner)
    return {
        "first": {"w": x.T @ d1, "b": d1.sum(0)},
        "second": {"w": grad_w2, "b": grad_b2},
    }


# The hinge loss of several classes: params is one matrix, a row for each class.


def hinge_loss(w: Any, x: Any, labels: Any, decay: Any) -> Any:
    scores = x @ w.T
    rows = jnp.arange(len(labels))
    margins = scores - scores[rows, labels][:, None] + 1.0  # @hinge_margins
    violations = jnp.maximum(margins, 0).at[rows, labels].set(0)  # @hinge_maximum
    penalty = decay * jnp.sum(w * w)  # @hinge_penalty
    return jnp.mean(violations.sum(axis=1)) + penalty


def hinge_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return draw(rng, 4, 5), (draw(rng, 9, 5), draw_labels(rng, 9, 4), 0.2)


def hinge_grad(w: Any, x: Any, labels: Any, decay: Any) -> Any:
    w, x, labels = np.asarray(w), np.asarray(x), np.asarray(labels)
    grad = np.zeros_like(w)
    for i in range(len(x)):
        scores = w @ x[i]
        for j in range(len(w)):
            if j != labels[i] and scores[j] - scores[labels[i]] + 1 > 0:
                grad[j] += x[i]
                grad[labels[i]] -= x[i]
    return grad / len(x) + 2 * decay * w


def hinge_right_class_forgotten(w: Any, x: Any, labels: Any, decay: Any) -> Any:
    w, x, labels = np.asarray(w), np.asarray(x), np.asarray(labels)
    grad = np.zeros_like(w)
    for i in range(len(x)):
        scores = w @ x[i]
        for j in range(len(w)):
            if j != labels[i] and scores[j] - scores[labels[i]] + 1 > 0:
                grad[j] += x[i]
    return grad / len(x) + 2 * decay * w


def hinge_right_class_added(w: Any, x: Any, labels: Any, decay: Any) -> Any:
    w, x, labels = np.asarray(w), np.asarray(x), np.asarray(labels)
    grad = np.zeros_like(w)
    for i in range(len(x)):
        scores = w @ x[i]
        for j in range(len(w)):
            if j != labels[i] and scores[j] - scores[labels[i]] + 1 > 0:
                grad[j] += x[i]
                grad[labels[i]] += x[i]
    return grad / len(x) + 2 * decay * w


def hinge_mask_of_scores(w: Any, x: Any, labels: Any, decay: Any) -> Any:
    w, x, labels = np.asarray(w), np.asarray(x), np.asarray(labels)
    scores = x @ w.T
    rows = np.arange(len(x))
    mask = (scores > 0).astype(w.dtype)
    mask[rows, labels] = 0
    mask[rows, labels] = -mask.sum(1)
    return mask.T @ x / len(x) + 2 * decay * w


def hinge_half_decay(w: Any, x: Any, labels: Any, decay: Any) -> Any:
    w, x, labels = np.asarray(w), np.asarray(x), np.asarray(labels)
    scores = x @ w.T
    rows = np.arange(len(x))
    mask = (scores - scores[rows, labels][:, None] + 1 > 0).astype(w.dtype)
    mask[rows, labels] = 0
    mask[rows, labels] = -mask.sum(1)
    return mask.T @ x / len(x) + decay * w


def hinge_last_example_skipped(w: Any, x: Any, labels: Any, decay: Any) -> Any:
    w, x, labels = np.asarray(w), np.asarray(x), np.asarray(labels)
    grad = np.zeros_like(w)
    for i in range(len(x) - 1):
        scores = w @ x[i]
        for j in range(len(w)):
            if j != labels[i] and scores[j] - scores[labels[i]] + 1 > 0:
                grad[j] += x[i]
                grad[labels[i]] -= x[i]
    return grad / len(x) + 2 * decay * w


def hinge_last_class_skipped(w: Any, x: Any, labels: Any, decay: Any) -> Any:
    w, x, labels = np.asarray(w), np.asarray(x), np.asarray(labels)
    scores = x @ w.T
    rows = np.arange(len(x))
    mask = (scores - scores[rows, labels][:, None] + 1 > 0).astype(w.dtype)
    mask[rows, labels] = 0
    mask[rows, labels] = -mask.sum(1)
    grad = np.zeros_like(w)
    for c in range(len(w) - 1):
        grad[c] = mask[:, c] @ x / len(x) + 2 * decay * w[c]
    return grad


# Two layers of sigmoids under a squared error, the textbook's network.


def sigmoids_loss(params: Any, x: Any, y: Any) -> Any:
    a1 = jax.nn.sigmoid(x @ params["W1"] + params["b1"])  # @sigmoids_first
    z2 = a1 @ params["W2"] + params["b2"]  # @sigmoids_product
    a2 = jax.nn.sigmoid(z2)  # @sigmoids_second
    return jnp.mean(0.5 * jnp.sum((a2 - y) ** 2, axis=1))  # @sigmoids_square


def sigmoids_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "W1": draw(rng, 3, 7),
        "b1": draw(rng, 7),
        "W2": draw(rng, 7, 4),
        "b2": draw(rng, 4),
    }
    y = jnp.eye(4, dtype=jnp.float32)[draw_labels(rng, 5, 4)]
    return params, (draw(rng, 5, 3), y)


def logistic_unit(z: Any) -> Any:
    return 1.0 / (1.0 + jnp.exp(-z))


def sigmoids_grad(params: Any, x: Any, y: Any) -> Any:
    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    a2 = logistic_unit(a1 @ params["W2"] + params["b2"])
    d2 = (a2 - y) * a2 * (1 - a2) / len(x)
    d1 = (d2 @ params["W2"].T) * a1 * (1 - a1)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0)}


def sigmoids_output_without_slope(params: Any, x: Any, y: Any) -> Any:
    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    a2 = logistic_unit(a1 @ params["W2"] + params["b2"])
    d2 = (a2 - y) / len(x)
    d1 = (d2 @ params["W2"].T) * a1 * (1 - a1)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0)}


def sigmoids_hidden_without_slope(params: Any, x: Any, y: Any) -> Any:
    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    a2 = logistic_unit(a1 @ params["W2"] + params["b2"])
    d2 = (a2 - y) * a2 * (1 - a2) / len(x)
    d1 = d2 @ params["W2"].T
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0)}


def sigmoids_slope_at_activation(params: Any, x: Any, y: Any) -> Any:
    def slope(z: Any) -> Any:
        return logistic_unit(z) * (1 - logistic_unit(z))

    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    z2 = a1 @ params["W2"] + params["b2"]
    d2 = (logistic_unit(z2) - y) * slope(z2) / len(x)
    d1 = (d2 @ params["W2"].T) * slope(a1)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0)}


def sigmoids_slope_at_gradient(params: Any, x: Any, y: Any) -> Any:
    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    a2 = logistic_unit(a1 @ params["W2"] + params["b2"])
    d2 = (a2 - y) * a2 * (1 - a2) / len(x)
    hidden_error = d2 @ params["W2"].T
    d1 = hidden_error * hidden_error * (1 - hidden_error)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0)}


def sigmoids_means_multiplied(params: Any, x: Any, y: Any) -> Any:
    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    a2 = logistic_unit(a1 @ params["W2"] + params["b2"])
    d2 = (a2 - y) * a2 * (1 - a2)
    d1 = (d2 @ params["W2"].T) * a1 * (1 - a1)
    return {
        "W1": x.T @ d1 / len(x),
        "b1": d1.mean(0),
        "W2": jnp.outer(a1.mean(0), d2.mean(0)),
        "b2": d2.mean(0),
    }


def sigmoids_mean_error_times_mean_slope(params: Any, x: Any, y: Any) -> Any:
    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    a2 = logistic_unit(a1 @ params["W2"] + params["b2"])
    d2 = (a2 - y) * a2 * (1 - a2) / len(x)
    d1 = (d2 @ params["W2"].T) * a1 * (1 - a1)
    grad_b2 = (a2 - y).mean(0) * (a2 * (1 - a2)).mean(0)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": grad_b2}


def sigmoids_squared_error_back(params: Any, x: Any, y: Any) -> Any:
    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    a2 = logistic_unit(a1 @ params["W2"] + params["b2"])
    d2 = 0.5 * (a2 - y) ** 2 * a2 * (1 - a2) / len(x)
    d1 = (d2 @ params["W2"].T) * a1 * (1 - a1)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0)}


def sigmoids_reshaped_weights(params: Any, x: Any, y: Any) -> Any:
    a1 = logistic_unit(x @ params["W1"] + params["b1"])
    a2 = logistic_unit(a1 @ params["W2"] + params["b2"])
    d2 = (a2 - y) * a2 * (1 - a2) / len(x)
    d1 = (d2 @ params["W2"].reshape(4, 7)) * a1 * (1 - a1)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0)}


# Softmax regression, one example at a time by vmap; a log-prior shifts the scores, some by much.


def example_loss(w: Any, b: Any, x: Any, label: Any, log_prior: Any) -> Any:
    scores = w @ x + b + log_prior  # @prior_scores
    return jax.nn.logsumexp(scores) - scores[label]  # @prior_likelihood


def prior_loss(params: Any, x: Any, labels: Any, log_prior: Any) -> Any:
    w, b = params
    losses = jax.vmap(example_loss, in_axes=(None, None, 0, 0, 0))(w, b, x, labels, log_prior)
    return jnp.mean(losses)


def prior_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    log_prior = draw(rng, 6, 3)
    log_prior = log_prior.at[rng.integers(6)].add(800.0)
    return (draw(rng, 3, 4), draw(rng, 3)), (draw(rng, 6, 4), draw_labels(rng, 6, 3), log_prior)


def prior_grad(params: Any, x: Any, labels: Any, log_prior: Any) -> Any:
    w, b = params
    scores = x @ w.T + b + log_prior
    e = jnp.exp(scores - scores.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    d = p.at[jnp.arange(len(x)), labels].add(-1) / len(x)
    return d.T @ x, d.sum(0)


def prior_overflow(params: Any, x: Any, labels: Any, log_prior: Any) -> Any:
    w, b = params
    e = jnp.exp(x @ w.T + b + log_prior)
    p = e / e.sum(1, keepdims=True)
    d = p.at[jnp.arange(len(x)), labels].add(-1) / len(x)
    return d.T @ x, d.sum(0)


def prior_transposed(params: Any, x: Any, labels: Any, log_prior: Any) -> Any:
    w, b = params
    scores = x @ w.T + b + log_prior
    e = jnp.exp(scores - scores.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    d = p.at[jnp.arange(len(x)), labels].add(-1) / len(x)
    return x.T @ d, d.sum(0)


def prior_not_added(params: Any, x: Any, labels: Any, log_prior: Any) -> Any:
    w, b = params
    scores = x @ w.T + b
    e = jnp.exp(scores - scores.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    d = p.at[jnp.arange(len(x)), labels].add(-1) / len(x)
    return d.T @ x, d.sum(0)


def prior_one_example(params: Any, x: Any, labels: Any, log_prior: Any) -> Any:
    w, b = params
    scores = w @ x[0] + b + log_prior[0]
    e = jnp.exp(scores - scores.max())
    d = (e / e.sum()).at[labels[0]].add(-1)
    return jnp.outer(d, x[0]), d


def prior_means_multiplied(params: Any, x: Any, labels: Any, log_prior: Any) -> Any:
    w, b = params
    scores = x @ w.T + b + log_prior
    e = jnp.exp(scores - scores.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    d = p.at[jnp.arange(len(x)), labels].add(-1).mean(0)
    return jnp.outer(d, x.mean(0)), d


RELU_ALL = ("0.b", "0.w", "1.b", "1.w")
TANH_ALL = ("0.0", "0.1", "1.0", "1.1", "2.0", "2.1")
MULTILABEL_ALL = ("hidden.bias", "hidden.kernel", "out.bias", "out.kernel")
SMOOTHING_ALL = ("first.b", "first.w", "second.b", "second.w")
SIGMOIDS_ALL = ("W1", "W2", "b1", "b2")

PROBLEMS = (
    Problem(
        "logistic",
        logistic_loss,
        logistic_grad,
        logistic_data,
        (
            Fault(
                "dropped_derivative",
                logistic_log_not_differentiated,
                ("b", "w"),
                "logistic_likelihood",
            ),
            Fault(
                "dropped_derivative",
                logistic_sigmoid_not_differentiated,
                ("b", "w"),
                "logistic_sigmoid",
            ),
            Fault("wrong_point", logistic_sigmoid_twice, ("b", "w"), "logistic_sigmoid"),
            Fault("dropped_path", logistic_positives_only, ("b", "w"), "logistic_likelihood"),
            Fault("wrong_loss", logistic_squared_error, ("b", "w"), "logistic_likelihood"),
            Fault("scale", logistic_summed, ("b", "w")),
            Fault("scale", logistic_summed_ascent, ("b", "w"), also=("sign",), accept=("sign",)),
            Fault("numeric_step", logistic_wide_step, ("b", "w")),
        ),
    ),
    Problem(
        "relu",
        relu_loss,
        relu_grad,
        relu_data,
        (
            Fault("wrong_point", relu_mask_of_gradient, ("0.b", "0.w"), "relu_hidden"),
            Fault("dropped_derivative", relu_without_mask, ("0.b", "0.w"), "relu_hidden"),
            Fault("transpose", relu_reshaped_weights, ("0.b", "0.w"), "relu_dense"),
            Fault("premature_average", relu_mean_hidden, ("1.w",), "relu_dense"),
            Fault("regularization", relu_decay_on_biases, ("0.b", "1.b"), "relu_penalty"),
            Fault("regularization", relu_decay_doubled, ("0.w", "1.w"), "relu_penalty"),
            Fault("regularization", relu_hidden_without_decay, ("0.w",), "relu_penalty"),
            Fault("dropped_path", relu_without_normaliser, RELU_ALL, "relu_softmax"),
            Fault("shape", relu_bias_not_summed, ("1.b",)),
            Fault(
                "dropped_derivative",
                relu_no_mask_no_decay,
                ("0.b", "0.w", "1.w"),
                "relu_hidden",
                also=("regularization",),
                accept=("regularization",),
            ),
        ),
    ),
    Problem(
        "tanh",
        tanh_loss,
        tanh_grad,
        tanh_data,
        (
            Fault("transpose", tanh_missing_transpose, ("0.0", "0.1"), "tanh_square_product"),
            Fault("transpose", tanh_product_transposed, ("1.0",), "tanh_square_product"),
            Fault("wrong_derivative", tanh_without_square, ("0.0", "0.1"), "tanh_first"),
            Fault("wrong_point", tanh_slope_at_input, TANH_ALL[:4], "tanh_second"),
            Fault("wrong_point", tanh_slope_of_other_layer, ("0.0", "0.1"), "tanh_first"),
            Fault("dropped_path", tanh_without_chosen, TANH_ALL, "tanh_chosen"),
            Fault("dropped_derivative", tanh_sum_not_divided, TANH_ALL, "tanh_normaliser"),
            Fault("stale", tanh_output_already_updated, TANH_ALL[:4]),
            Fault("swapped", tanh_biases_exchanged, ("0.1", "1.1")),
            Fault("missing", tanh_first_bias_forgotten, ("0.1",)),
            Fault(
                "wrong_derivative",
                tanh_two_slips,
                ("0.0", "0.1", "2.1"),
                "tanh_first",
                also=("sign",),
                accept=("sign",),
            ),
        ),
    ),
    Problem(
        "multilabel",
        multilabel_loss,
        multilabel_grad,
        multilabel_data,
        (
            Fault(
                "wrong_derivative",
                multilabel_sigmoid_slope,
                ("hidden.bias", "hidden.kernel"),
                "multilabel_softplus",
            ),
            Fault(
                "wrong_point",
                multilabel_slope_at_output,
                ("hidden.bias", "hidden.kernel"),
                "multilabel_softplus",
            ),
            Fault("scale", multilabel_mean_over_labels, MULTILABEL_ALL),
            Fault("dropped_path", multilabel_without_tail, MULTILABEL_ALL, "multilabel_tail"),
            Fault(
                "dropped_derivative",
                multilabel_abs_not_differentiated,
                MULTILABEL_ALL,
                "multilabel_tail",
                accept=("wrong_derivative",),
            ),
            Fault("dropped_path", multilabel_without_labels, MULTILABEL_ALL, "multilabel_losses"),
        ),
    ),
    Problem(
        "smoothing",
        smoothing_loss,
        smoothing_grad,
        smoothing_data,
        (
            Fault(
                "wrong_loss",
                smoothing_hard_labels,
                SMOOTHING_ALL,
                "smoothing_likelihood",
                accept=("dropped_path",),
            ),
            Fault(
                "wrong_derivative", smoothing_diagonal_softmax, SMOOTHING_ALL, "smoothing_softmax"
            ),
            Fault(
                "dropped_derivative",
                smoothing_log_not_differentiated,
                SMOOTHING_ALL,
                "smoothing_likelihood",
            ),
            Fault(
                "dropped_path",
                smoothing_gate_only,
                ("first.b", "first.w"),
                "smoothing_gelu",
                accept=("wrong_derivative",),
            ),
            Fault(
                "wrong_derivative",
                smoothing_gelu_as_relu,
                ("first.b", "first.w"),
                "smoothing_gelu",
            ),
            Fault("partial_entries", smoothing_last_class_skipped, ("second.b", "second.w")),
        ),
    ),
    Problem(
        "hinge",
        hinge_loss,
        hinge_grad,
        hinge_data,
        (
            Fault("dropped_path", hinge_right_class_forgotten, ("",), "hinge_margins"),
            Fault(
                "mismatch",
                hinge_right_class_added,
                ("",),
                "hinge_margins",
                accept=("wrong_derivative",),
            ),
            Fault("wrong_point", hinge_mask_of_scores, ("",), "hinge_maximum"),
            Fault("regularization", hinge_half_decay, ("",), "hinge_penalty"),
            Fault("partial_batch", hinge_last_example_skipped, ("",)),
            Fault("partial_entries", hinge_last_class_skipped, ("",)),
        ),
    ),
    Problem(
        "sigmoids",
        sigmoids_loss,
        sigmoids_grad,
        sigmoids_data,
        (
            # With a half before the square, p - y is also the gradient of the cross-entropy.
            Fault(
                "dropped_derivative",
                sigmoids_output_without_slope,
                SIGMOIDS_ALL,
                "sigmoids_second",
                accept=("wrong_loss",),
            ),
            Fault(
                "dropped_derivative", sigmoids_hidden_without_slope, ("W1", "b1"), "sigmoids_first"
            ),
            Fault("wrong_point", sigmoids_slope_at_activation, ("W1", "b1"), "sigmoids_first"),
            Fault("wrong_point", sigmoids_slope_at_gradient, ("W1", "b1"), "sigmoids_first"),
            Fault("premature_average", sigmoids_means_multiplied, ("W2",), "sigmoids_product"),
            Fault(
                "premature_average",
                sigmoids_mean_error_times_mean_slope,
                ("b2",),
                "sigmoids_second",
            ),
            Fault("wrong_loss", sigmoids_squared_error_back, SIGMOIDS_ALL, "sigmoids_square"),
            Fault("transpose", sigmoids_reshaped_weights, ("W1", "b1"), "sigmoids_product"),
        ),
    ),
    Problem(
        "prior",
        prior_loss,
        prior_grad,
        prior_data,
        (
            Fault("nonfinite", prior_overflow, ("0", "1"), "prior_likelihood"),
            Fault("transpose", prior_transposed, ("0",), "prior_scores", accept=("shape",)),
            Fault("wrong_point", prior_not_added, ("0", "1"), "prior_likelihood"),
            Fault("partial_batch", prior_one_example, ("0", "1")),
            Fault("premature_average", prior_means_multiplied, ("0",), "prior_scores"),
        ),
    ),
)
