"""Twenty-three losses, and faults in their gradients, made before the doctor saw them.

Each gradient takes `bug`, the name of the one mistake a person made in it; without, it is right.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .problem import Fault, Problem


def draw(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def integers(rng: np.random.Generator, high: int, *shape: int) -> Any:
    return jnp.asarray(rng.integers(0, high, size=shape), jnp.int32)


def bugged(grad: Callable[..., Any], bug: str) -> Callable[..., Any]:
    def wrong(params: Any, *args: Any) -> Any:
        return grad(params, *args, bug=bug)

    wrong.__name__ = grad.__name__ + "_" + bug
    return wrong


def np_sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def np_softmax(a: Any) -> Any:
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def to_numpy(tree: Any) -> Any:
    return jax.tree_util.tree_map(np.asarray, tree)


# 1. Linear regression, the weights and the bias in a tuple.


def line_loss(params: Any, x: Any, y: Any) -> Any:
    w, b = params
    pred = jnp.dot(x, w) + b  # @line_pred
    return jnp.sum((pred - y) ** 2) / (2 * len(y))


def line_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return (draw(rng, 4), draw(rng)), (draw(rng, 9, 4), draw(rng, 9))


def line_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    if bug == "forward_difference":
        h = 0.3
        w, b = params
        base = line_loss(params, x, y)
        grad_w = [(line_loss((w.at[i].add(h), b), x, y) - base) / h for i in range(len(w))]
        return jnp.stack(grad_w), (line_loss((w, b + h), x, y) - base) / h
    w, b = to_numpy(params)
    x, y = to_numpy((x, y))
    n = len(y)
    error = x.dot(w) + b - y
    if bug == "sum":
        return x.T.dot(error), error.sum()
    if bug == "averages":
        return x.mean(axis=0) * error.mean(), error.mean()
    grad_w = x.T.dot(error) / n
    if bug == "updated_first":
        w = w - 0.1 * grad_w
        error = x.dot(w) + b - y
    return grad_w, error.sum() / n


LINE = Problem(
    "linear_regression",
    line_loss,
    line_grad,
    line_data,
    (
        Fault("scale", bugged(line_grad, "sum"), ("0", "1")),
        Fault("numeric_step", bugged(line_grad, "forward_difference"), ("0", "1")),
        Fault("stale", bugged(line_grad, "updated_first"), ("1",)),
        Fault("premature_average", bugged(line_grad, "averages"), ("0",), "line_pred"),
    ),
)


# 2. Logistic regression, one flat array whose last entry is the intercept.


def logit_loss(theta: Any, x: Any, y: Any) -> Any:
    z = x @ theta[:-1] + theta[-1]
    p = 1 / (1 + jnp.exp(-z))
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))  # @logit_entropy


def logit_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    x = draw(rng, 11, 4)
    y = jnp.asarray(rng.permutation(11) % 2, jnp.float32)
    return draw(rng, 5), (x, y)


def logit_grad(theta: Any, x: Any, y: Any, bug: Any = None) -> Any:
    theta, x, y = to_numpy((theta, x, y))
    n = len(y)
    grad = np.zeros_like(theta)
    p = np_sigmoid(x @ theta[:-1] + theta[-1])
    dz = (p - y) / n
    if bug == "ascent":
        dz = (y - p) / n
    if bug == "squared_error":
        dz = (p - y) * p * (1 - p) / n
    if bug == "log_of_one_minus_p":
        dz = -(y / p + (1 - y) / (1 - p)) * p * (1 - p) / n
    grad[:-1] = x.T @ dz
    if bug != "no_intercept":
        grad[-1] = dz.sum()
    if bug == "ridge":
        grad += 0.1 * theta
    return grad


LOGIT = Problem(
    "logistic_regression",
    logit_loss,
    logit_grad,
    logit_data,
    (
        Fault("sign", bugged(logit_grad, "ascent"), ("",)),
        Fault("wrong_loss", bugged(logit_grad, "squared_error"), ("",), accept=("double_counted",)),
        Fault(
            "wrong_derivative",
            bugged(logit_grad, "log_of_one_minus_p"),
            ("",),
            "logit_entropy",
            accept=("sign", "dropped_derivative"),
        ),
        Fault("partial_entries", bugged(logit_grad, "no_intercept"), ("",)),
        Fault("regularization", bugged(logit_grad, "ridge"), ("",)),
    ),
)


# 3. Softmax regression with an L2 penalty, as in cs231n.

REG = 0.2


def softmax_loss(params: Any, x: Any, y: Any) -> Any:
    scores = x @ params["W"] + params["b"]
    scores = scores - jnp.max(scores, axis=1, keepdims=True)
    exp_scores = jnp.exp(scores)
    probs = exp_scores / jnp.sum(exp_scores, axis=1, keepdims=True)  # @softmax_probs
    data_loss = -jnp.mean(jnp.log(probs[jnp.arange(len(y)), y]))
    reg_loss = 0.5 * REG * jnp.sum(params["W"] * params["W"])  # @softmax_penalty
    return data_loss + reg_loss


def softmax_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return {"W": draw(rng, 5, 3), "b": draw(rng, 3)}, (draw(rng, 8, 5), integers(rng, 3, 8))


def softmax_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    params, x, y = to_numpy((params, x, y))
    W, b = params["W"], params["b"]
    n = len(y)
    dscores = np_softmax(x @ W + b)
    if bug != "no_one_hot":
        dscores[range(n), y] -= 1
    if bug != "no_mean":
        dscores /= n
    dW = x.T @ dscores
    db = dscores.sum(axis=0)
    if bug == "two_lambda":
        dW += 2 * REG * W
    elif bug != "no_penalty":
        dW += REG * W
    if bug == "penalty_on_bias":
        db += REG * b
    return {"W": dW, "b": db}


SOFTMAX = Problem(
    "softmax_regression",
    softmax_loss,
    softmax_grad,
    softmax_data,
    (
        Fault("regularization", bugged(softmax_grad, "no_penalty"), ("W",), "softmax_penalty"),
        Fault("regularization", bugged(softmax_grad, "penalty_on_bias"), ("b",)),
        Fault(
            "dropped_path",
            bugged(softmax_grad, "no_one_hot"),
            ("W", "b"),
            "softmax_probs",
            accept=("wrong_derivative",),
        ),
        Fault("scale", bugged(softmax_grad, "no_mean"), ("W", "b"), accept=("dropped_derivative",)),
    ),
)


# 4. A perceptron with a sigmoid and the squared error, an example at a time.


def neuron_loss(params: Any, x: Any, y: Any) -> Any:
    w, b = params

    def example(xi: Any, yi: Any) -> Any:
        net = jnp.dot(w, xi) + b
        out = jax.nn.sigmoid(net)  # @neuron_sigmoid
        return (yi - out) ** 2

    return jnp.sum(jax.vmap(example)(x, y))


def neuron_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    y = jnp.asarray(rng.uniform(size=7), jnp.float32)
    return [draw(rng, 4), draw(rng)], (draw(rng, 7, 4), y)


def neuron_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    w, b = to_numpy(params)
    x, y = to_numpy((x, y))
    dw, db = np.zeros_like(w), np.zeros_like(b)
    for xi, yi in zip(x, y, strict=True):
        out = np_sigmoid(w @ xi + b)
        slope = out * (1 - out)
        if bug == "no_slope":
            slope = 1.0
        if bug == "slope_at_output":
            slope = np_sigmoid(out) * (1 - np_sigmoid(out))
        delta = -2 * (yi - out) * slope
        if bug == "last_example":
            dw, db = delta * xi, delta
        else:
            dw = dw + delta * xi
            db = db + delta
    if bug == "no_bias":
        db = np.zeros_like(b)
    return [dw, db]


NEURON = Problem(
    "perceptron",
    neuron_loss,
    neuron_grad,
    neuron_data,
    (
        Fault("dropped_derivative", bugged(neuron_grad, "no_slope"), ("0", "1"), "neuron_sigmoid"),
        Fault("wrong_point", bugged(neuron_grad, "slope_at_output"), ("0", "1"), "neuron_sigmoid"),
        Fault("partial_batch", bugged(neuron_grad, "last_example"), ("0", "1")),
        Fault("missing", bugged(neuron_grad, "no_bias"), ("1",)),
    ),
)


# 5. A two-layer network: relu, then softmax and the cross-entropy.


def mlp_loss(params: Any, x: Any, y: Any) -> Any:
    z1 = x @ params["W1"] + params["b1"]
    a1 = jnp.maximum(z1, 0)  # @mlp_relu
    logits = a1 @ params["W2"] + params["b2"]
    log_probs = jax.nn.log_softmax(logits)
    targets = jax.nn.one_hot(y, 3)
    return -(targets * log_probs).sum(axis=1).mean()


def mlp_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"W1": draw(rng, 4, 6), "b1": draw(rng, 6), "W2": draw(rng, 6, 3), "b2": draw(rng, 3)}
    return params, (draw(rng, 8, 4), integers(rng, 3, 8))


def mlp_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    p, x, y = to_numpy((params, x, y))
    n = len(x)
    z1 = x @ p["W1"] + p["b1"]
    a1 = np.maximum(z1, 0)
    probs = np_softmax(a1 @ p["W2"] + p["b2"])
    dz2 = (probs - np.eye(3)[y]) / n
    if bug == "softmax_again":
        dz2 = dz2 * probs * (1 - probs)
    dW2 = a1.T @ dz2
    db2 = dz2.sum(axis=0)
    if bug == "bias_mean":
        db2 = dz2.mean(axis=0)
    if bug == "last_class_not_filled":
        dW2 = np.zeros_like(p["W2"])
        for k in range(p["W2"].shape[1] - 1):
            dW2[:, k] = a1.T @ dz2[:, k]
    da1 = dz2 @ p["W2"].T
    if bug == "no_mask":
        dz1 = da1
    elif bug == "mask_of_the_gradient":
        dz1 = da1 * (da1 > 0)
    else:
        dz1 = da1 * (z1 > 0)
    return {"W1": x.T @ dz1, "b1": dz1.sum(axis=0), "W2": dW2, "b2": db2}


MLP = Problem(
    "mlp_relu_softmax",
    mlp_loss,
    mlp_grad,
    mlp_data,
    (
        Fault("dropped_derivative", bugged(mlp_grad, "no_mask"), ("W1", "b1"), "mlp_relu"),
        Fault("wrong_point", bugged(mlp_grad, "mask_of_the_gradient"), ("W1", "b1"), "mlp_relu"),
        Fault("scale", bugged(mlp_grad, "bias_mean"), ("b2",)),
        Fault(
            "double_counted",
            bugged(mlp_grad, "softmax_again"),
            ("W1", "W2", "b1", "b2"),
            accept=("wrong_loss",),
        ),
        Fault("partial_entries", bugged(mlp_grad, "last_class_not_filled"), ("W2",)),
    ),
)


# 6. Nielsen's network: column vectors, a sigmoid in every layer, the quadratic cost.


def sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + jnp.exp(-z))  # @nielsen_sigmoid


def nielsen_loss(params: Any, x: Any, y: Any) -> Any:
    a = x
    for w, b in params:
        a = sigmoid(jnp.dot(w, a) + b)  # @nielsen_layer
    return 0.5 * jnp.sum((a - y) ** 2) / x.shape[1]


def nielsen_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = [(draw(rng, 5, 5), draw(rng, 5, 1)) for _ in range(3)]
    return params, (draw(rng, 5, 7), jnp.asarray(rng.uniform(size=(5, 7)), jnp.float32))


def nielsen_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    params, x, y = to_numpy((params, x, y))
    m = x.shape[1]
    activation, activations, zs = x, [x], []
    for w, b in params:
        z = np.dot(w, activation) + b
        zs.append(z)
        activation = np_sigmoid(z)
        activations.append(activation)

    def prime(layer: Any) -> Any:
        z = activations[layer + 1] if bug == "prime_of_activation" else zs[layer]
        return np_sigmoid(z) * (1 - np_sigmoid(z))

    last = len(params) - 1
    delta = activations[-1] - y
    if bug != "cross_entropy_delta":
        delta = delta * prime(last)
    grads: list[Any] = [None] * len(params)
    for layer in range(last, -1, -1):
        if layer < last:
            w = params[layer + 1][0]
            if bug == "this_layers_weights":
                w = params[layer][0]
            delta = np.dot(w if bug == "not_transposed" else w.T, delta) * prime(layer)
        nabla_w = np.dot(delta, activations[layer].T) / m
        nabla_b = delta.sum(axis=1, keepdims=True) / m
        grads[layer] = (nabla_w, nabla_b)
    return grads


LAYERS = ("0.0", "0.1", "1.0", "1.1", "2.0", "2.1")
NIELSEN = Problem(
    "nielsen_columns",
    nielsen_loss,
    nielsen_grad,
    nielsen_data,
    (
        Fault(
            "dropped_derivative",
            bugged(nielsen_grad, "cross_entropy_delta"),
            LAYERS,
            "nielsen_sigmoid",
            accept=("wrong_loss",),
        ),
        Fault(
            "wrong_point",
            bugged(nielsen_grad, "prime_of_activation"),
            LAYERS,
            "nielsen_sigmoid",
        ),
        Fault("transpose", bugged(nielsen_grad, "not_transposed"), LAYERS[:4], "nielsen_layer"),
        Fault(
            "wrong_point",
            bugged(nielsen_grad, "this_layers_weights"),
            LAYERS[:4],
            "nielsen_layer",
            accept=("swapped",),
        ),
    ),
)


# 7. An autoencoder with tied weights.


def tied_loss(params: Any, x: Any) -> Any:
    hidden = jnp.tanh(x @ params["W"] + params["b"])  # @tied_encode
    reconstruction = hidden @ params["W"].T + params["c"]  # @tied_decode
    return jnp.mean(jnp.sum((reconstruction - x) ** 2, axis=1))


def tied_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"W": 0.6 * draw(rng, 5, 3), "b": draw(rng, 3), "c": draw(rng, 5)}
    return params, (draw(rng, 7, 5),)


def tied_grad(params: Any, x: Any, bug: Any = None) -> Any:
    p, x = to_numpy((params, x))
    h = np.tanh(x @ p["W"] + p["b"])
    r = h @ p["W"].T + p["c"]
    dr = 2 * (r - x) / len(x)
    dh = dr @ p["W"]
    slope = 1 - h**2
    if bug == "no_tanh":
        slope = 1.0
    if bug == "sigmoid_slope":
        slope = h * (1 - h)
    da = dh * slope
    encoder = x.T @ da
    decoder = dr.T @ h
    dW = encoder + decoder
    if bug == "decoder_only":
        dW = decoder
    if bug == "encoder_only":
        dW = encoder
    if bug == "decoder_twice":
        dW = encoder + decoder + decoder
    return {"W": dW, "b": da.sum(axis=0), "c": dr.sum(axis=0)}


TIED = Problem(
    "tied_autoencoder",
    tied_loss,
    tied_grad,
    tied_data,
    (
        Fault("dropped_path", bugged(tied_grad, "encoder_only"), ("W",), "tied_decode"),
        Fault("dropped_derivative", bugged(tied_grad, "no_tanh"), ("W", "b"), "tied_encode"),
        Fault("wrong_derivative", bugged(tied_grad, "sigmoid_slope"), ("W", "b"), "tied_encode"),
        Fault("double_counted", bugged(tied_grad, "decoder_twice"), ("W",), "tied_decode"),
    ),
)


# 8. A character model: a recurrent network in a scan, after Karpathy.


def char_loss(p: Any, inputs: Any, targets: Any) -> Any:
    def step(h: Any, pair: Any) -> Any:
        i, target = pair
        pre = p["Wxh"][:, i] + p["Whh"] @ h + p["bh"]  # @char_recurrence
        h = jnp.tanh(pre)  # @char_tanh
        logits = p["Why"] @ h + p["by"]
        return h, jax.nn.logsumexp(logits) - logits[target]

    _, losses = lax.scan(step, jnp.zeros_like(p["bh"]), (inputs, targets))
    return jnp.sum(losses)


def char_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "Wxh": 0.7 * draw(rng, 5, 7),
        "Whh": 0.5 * draw(rng, 5, 5),
        "Why": 0.7 * draw(rng, 7, 5),
        "bh": 0.3 * draw(rng, 5),
        "by": 0.3 * draw(rng, 7),
    }
    text = integers(rng, 7, 10)
    return params, (text[:-1], text[1:])


def char_grad(params: Any, inputs: Any, targets: Any, bug: Any = None) -> Any:
    p, inputs, targets = to_numpy((params, inputs, targets))
    hs, ps = {-1: np.zeros_like(p["bh"])}, {}
    for t in range(len(inputs)):
        hs[t] = np.tanh(p["Wxh"][:, inputs[t]] + p["Whh"] @ hs[t - 1] + p["bh"])
        y = p["Why"] @ hs[t] + p["by"]
        ps[t] = np.exp(y) / np.sum(np.exp(y))
    g = {name: np.zeros_like(value) for name, value in p.items()}
    dhnext = np.zeros_like(p["bh"])
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        g["Why"] += np.outer(dy, hs[t])
        g["by"] += dy
        dh = p["Why"].T @ dy + dhnext
        dhraw = (1 - hs[t] ** 2) * dh
        if bug == "no_tanh":
            dhraw = dh
        g["bh"] += dhraw
        g["Wxh"][:, inputs[t]] += dhraw
        g["Whh"] += np.outer(dhraw, hs[t] if bug == "present_state" else hs[t - 1])
        dhnext = p["Whh"].T @ dhraw
        if bug == "not_transposed":
            dhnext = p["Whh"] @ dhraw
        if bug == "not_through_time":
            dhnext = np.zeros_like(dhnext)
    return g


HIDDEN = ("Whh", "Wxh", "bh")
CHAR = Problem(
    "character_rnn",
    char_loss,
    char_grad,
    char_data,
    (
        Fault("dropped_path", bugged(char_grad, "not_through_time"), HIDDEN, "char_recurrence"),
        Fault("transpose", bugged(char_grad, "not_transposed"), HIDDEN, "char_recurrence"),
        Fault("dropped_derivative", bugged(char_grad, "no_tanh"), HIDDEN, "char_tanh"),
        Fault("wrong_point", bugged(char_grad, "present_state"), ("Whh",), "char_recurrence"),
    ),
)


# 9. An LSTM unrolled in a Python loop, read at its last step.


def lstm_cell(p: Any, h: Any, c: Any, x: Any) -> Any:
    hx = jnp.concatenate([h, x], axis=1)
    f = jax.nn.sigmoid(hx @ p["Wf"] + p["bf"])
    i = jax.nn.sigmoid(hx @ p["Wi"] + p["bi"])
    o = jax.nn.sigmoid(hx @ p["Wo"] + p["bo"])
    g = jnp.tanh(hx @ p["Wg"] + p["bg"])  # @lstm_candidate
    c = f * c + i * g  # @lstm_cell_state
    h = o * jnp.tanh(c)  # @lstm_hidden
    return h, c


def lstm_loss(params: Any, xs: Any, y: Any) -> Any:
    h = jnp.zeros_like(y)
    c = jnp.zeros_like(y)
    for t in range(xs.shape[0]):
        h, c = lstm_cell(params, h, c, xs[t])
    return 0.5 * jnp.sum((h - y) ** 2) / y.shape[0]


def lstm_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"W" + gate: draw(rng, 6, 4) for gate in "fiog"}
    params |= {"b" + gate: draw(rng, 4) for gate in "fiog"}
    return params, (draw(rng, 3, 7, 2), draw(rng, 7, 4))


def lstm_grad(params: Any, xs: Any, y: Any, bug: Any = None) -> Any:
    p, xs, y = to_numpy((params, xs, y))
    h, c = np.zeros_like(y), np.zeros_like(y)
    cache = []
    for x in xs:
        hx = np.concatenate([h, x], axis=1)
        f = np_sigmoid(hx @ p["Wf"] + p["bf"])
        i = np_sigmoid(hx @ p["Wi"] + p["bi"])
        o = np_sigmoid(hx @ p["Wo"] + p["bo"])
        g = np.tanh(hx @ p["Wg"] + p["bg"])
        c_old = c
        c = f * c + i * g
        h = o * np.tanh(c)
        cache.append((hx, f, i, o, g, c_old, c))
    grads = {name: np.zeros_like(value) for name, value in p.items()}
    dh, dc_next = (h - y) / len(y), np.zeros_like(y)
    for hx, f, i, o, g, c_old, c in reversed(cache):
        do = dh * np.tanh(c)
        slope = 1 - np.tanh(c) ** 2
        if bug == "no_tanh_of_cell":
            slope = 1.0
        if bug == "tanh_slope_of_cell":
            slope = 1 - c**2
        dc = dh * o * slope
        if bug != "no_cell_carry":
            dc = dc + dc_next
        df, di, dg = dc * c_old, dc * g, dc * i
        pre = {
            "f": df * f * (1 - f),
            "i": di * i * (1 - i),
            "o": do * o * (1 - o),
            "g": dg * (g * (1 - g) if bug == "candidate_as_sigmoid" else 1 - g**2),
        }
        dhx = np.zeros_like(hx)
        for gate, d in pre.items():
            grads["W" + gate] += hx.T @ d
            grads["b" + gate] += d.sum(axis=0)
            dhx = dhx + d @ p["W" + gate].T
        dh = dhx[:, : y.shape[1]]
        dc_next = dc * f
    return grads


LSTM_S = ("Wf", "Wg", "Wi", "Wo", "bf", "bg", "bi", "bo")
LSTM = Problem(
    "lstm",
    lstm_loss,
    lstm_grad,
    lstm_data,
    (
        Fault("dropped_path", bugged(lstm_grad, "no_cell_carry"), LSTM_S, "lstm_cell_state"),
        Fault(
            "wrong_derivative",
            bugged(lstm_grad, "candidate_as_sigmoid"),
            LSTM_S,
            "lstm_candidate",
        ),
        Fault(
            "wrong_point",
            bugged(lstm_grad, "tanh_slope_of_cell"),
            LSTM_S,
            "lstm_hidden",
            accept=("wrong_derivative",),
        ),
        Fault("dropped_derivative", bugged(lstm_grad, "no_tanh_of_cell"), LSTM_S, "lstm_hidden"),
    ),
)


# 10. A convolution over time, relu, mean pooling, and a linear readout.


def conv_loss(params: Any, x: Any, y: Any) -> Any:
    kernel, b, v, c = params
    width = kernel.shape[0]
    steps = x.shape[1] - width + 1
    total: Any = 0.0
    for t in range(steps):
        window = x[:, t : t + width]
        total = total + jax.nn.relu(jnp.einsum("bkc,kco->bo", window, kernel) + b)  # @conv_relu
    pooled = total / steps  # @conv_pool
    out = pooled @ v + c
    return jnp.mean((out - y) ** 2)


def conv_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = (draw(rng, 3, 2, 4), draw(rng, 4), draw(rng, 4), draw(rng))
    return params, (draw(rng, 6, 9, 2), draw(rng, 6))


def conv_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    kernel, b, v, c = to_numpy(params)
    x, y = to_numpy((x, y))
    width = kernel.shape[0]
    steps = x.shape[1] - width + 1
    z = np.stack(
        [np.einsum("bkc,kco->bo", x[:, t : t + width], kernel) + b for t in range(steps)], axis=1
    )
    pooled = np.maximum(z, 0).mean(axis=1)
    dout = 2 * (pooled @ v + c - y) / len(y)
    dpooled = np.outer(dout, v)
    da = dpooled if bug == "pool_not_averaged" else dpooled / steps
    dkernel = np.zeros_like(kernel)
    db = np.zeros((len(y), len(b))) if bug == "bias_per_example" else np.zeros_like(b)
    for t in range(steps - 1 if bug == "last_window_lost" else steps):
        dz = da * (z[:, t] > 0)
        window = x[:, t : t + width]
        if bug == "flipped":
            window = window[:, ::-1]
        dkernel += np.einsum("bkc,bo->kco", window, dz)
        db += dz if bug == "bias_per_example" else dz.sum(axis=0)
    return dkernel, db, pooled.T @ dout, dout.sum()


CONV = Problem(
    "conv_mean_pool",
    conv_loss,
    conv_grad,
    conv_data,
    (
        Fault(
            "dropped_derivative",
            bugged(conv_grad, "pool_not_averaged"),
            ("0", "1"),
            "conv_pool",
            accept=("scale",),
        ),
        Fault("dropped_path", bugged(conv_grad, "last_window_lost"), ("0", "1"), "conv_relu"),
        Fault(
            "wrong_derivative",
            bugged(conv_grad, "flipped"),
            ("0",),
            "conv_relu",
            accept=("transpose", "wrong_point", "mismatch"),
        ),
        Fault("shape", bugged(conv_grad, "bias_per_example"), ("1",)),
    ),
)


# 11. One head of attention.


def attention_loss(params: Any, x: Any, y: Any) -> Any:
    q = x @ params["Wq"]
    k = x @ params["Wk"]
    v = x @ params["Wv"]
    scores = q @ k.T / jnp.sqrt(q.shape[1])  # @attention_scores
    weights = jax.nn.softmax(scores, axis=1)  # @attention_softmax
    return 0.5 * jnp.sum((weights @ v - y) ** 2)


def attention_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"Wq": 0.6 * draw(rng, 4, 3), "Wk": 0.6 * draw(rng, 4, 3), "Wv": draw(rng, 4, 5)}
    return params, (draw(rng, 6, 4), draw(rng, 6, 5))


def attention_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    p, x, y = to_numpy((params, x, y))
    q, k, v = x @ p["Wq"], x @ p["Wk"], x @ p["Wv"]
    root = np.sqrt(q.shape[1])
    a = np_softmax(q @ k.T / root)
    dout = a @ v - y
    dv = a.T @ dout
    da = dout @ v.T
    if bug == "diagonal_only":
        ds = da * a * (1 - a)
    else:
        ds = a * (da - (da * a).sum(axis=1, keepdims=True))
    if bug != "no_root":
        ds = ds / root
    dq = ds @ k
    dk = ds @ q if bug == "not_transposed" else ds.T @ q
    grads = {"Wq": x.T @ dq, "Wk": x.T @ dk, "Wv": x.T @ dv}
    if bug == "queries_for_keys":
        grads["Wq"], grads["Wk"] = grads["Wk"], grads["Wq"]
    return grads


ATTENTION = Problem(
    "attention_head",
    attention_loss,
    attention_grad,
    attention_data,
    (
        Fault(
            "wrong_derivative",
            bugged(attention_grad, "diagonal_only"),
            ("Wk", "Wq"),
            "attention_softmax",
            accept=("dropped_path",),
        ),
        Fault(
            "dropped_derivative",
            bugged(attention_grad, "no_root"),
            ("Wk", "Wq"),
            "attention_scores",
            accept=("scale",),
        ),
        Fault("transpose", bugged(attention_grad, "not_transposed"), ("Wk",), "attention_scores"),
        Fault("swapped", bugged(attention_grad, "queries_for_keys"), ("Wk", "Wq")),
    ),
)


# 12. Batch normalisation with a scale and a shift, relu, a linear readout.

BN_EPS = 1e-3


def batchnorm_loss(params: Any, x: Any, t: Any) -> Any:
    h = x @ params["W"]
    mu = jnp.mean(h, axis=0)
    xhat = (h - mu) / jnp.sqrt(jnp.var(h, axis=0) + BN_EPS)  # @batchnorm_divide
    y = params["gamma"] * xhat + params["beta"]  # @batchnorm_scale
    out = jnp.maximum(y, 0) @ params["v"]
    return 0.5 * jnp.mean((out - t) ** 2)


def batchnorm_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"W": draw(rng, 3, 4), "gamma": 1 + 0.4 * draw(rng, 4), "beta": 0.5 * draw(rng, 4)}
    return params | {"v": draw(rng, 4)}, (draw(rng, 9, 3), draw(rng, 9))


def batchnorm_grad(params: Any, x: Any, t: Any, bug: Any = None) -> Any:
    p, x, t = to_numpy((params, x, t))
    n = len(x)
    h = x @ p["W"]
    mu, var = h.mean(axis=0), h.var(axis=0)
    std = np.sqrt(var + BN_EPS)
    xhat = (h - mu) / std
    y = p["gamma"] * xhat + p["beta"]
    r = np.maximum(y, 0)
    dout = (r @ p["v"] - t) / n
    dy = np.outer(dout, p["v"]) * (y > 0)
    dgamma = np.sum(dy * (h if bug == "gamma_of_unnormalised" else xhat), axis=0)
    dxhat = dy if bug == "no_gamma" else dy * p["gamma"]
    power = -0.5 if bug == "power" else -1.5
    dvar = np.sum(dxhat * (h - mu) * -0.5 * (var + BN_EPS) ** power, axis=0)
    if bug == "constant_variance":
        dvar = 0 * dvar
    dmu = np.sum(-dxhat / std, axis=0)
    dh = dxhat / std + dvar * 2 * (h - mu) / n + dmu / n
    return {"W": x.T @ dh, "gamma": dgamma, "beta": dy.sum(axis=0), "v": r.T @ dout}


BATCHNORM = Problem(
    "batch_norm",
    batchnorm_loss,
    batchnorm_grad,
    batchnorm_data,
    (
        Fault(
            "dropped_path", bugged(batchnorm_grad, "constant_variance"), ("W",), "batchnorm_divide"
        ),
        Fault(
            "wrong_derivative",
            bugged(batchnorm_grad, "power"),
            ("W",),
            "batchnorm_divide",
            accept=("dropped_derivative",),
        ),
        Fault(
            "wrong_point",
            bugged(batchnorm_grad, "gamma_of_unnormalised"),
            ("gamma",),
            "batchnorm_scale",
        ),
        Fault("dropped_derivative", bugged(batchnorm_grad, "no_gamma"), ("W",), "batchnorm_scale"),
    ),
)


# 13. Layer normalisation of a linear map, a row at a time.


def layernorm_row(params: Any, x: Any) -> Any:
    z = x @ params["U"]
    normal = (z - jnp.mean(z)) / jnp.sqrt(jnp.var(z) + 1e-5)  # @layernorm_divide
    return params["gain"] * normal + params["bias"]  # @layernorm_gain


def layernorm_loss(params: Any, x: Any, y: Any) -> Any:
    out = jax.vmap(functools.partial(layernorm_row, params))(x)
    return jnp.mean(jnp.sum(jnp.square(out - y), axis=-1))


def layernorm_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"U": draw(rng, 3, 5), "gain": 1 + 0.4 * draw(rng, 5), "bias": draw(rng, 5)}
    return params, (draw(rng, 8, 3), draw(rng, 8, 5))


def layernorm_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    p, x, y = to_numpy((params, x, y))
    z = x @ p["U"]
    std = np.sqrt(z.var(axis=1, keepdims=True) + 1e-5)
    normal = (z - z.mean(axis=1, keepdims=True)) / std
    dout = 2 * (p["gain"] * normal + p["bias"] - y) / len(x)
    dnormal = dout * p["gain"]
    dz = (
        dnormal
        - dnormal.mean(axis=1, keepdims=True)
        - normal * (dnormal * normal).mean(axis=1, keepdims=True)
    )
    if bug != "not_over_std":
        dz = dz / std
    dgain = np.sum(dout * normal, axis=0)
    if bug == "gain_not_summed":
        dgain = dout * normal
    if bug == "gain_of_averages":
        dgain = dout.sum(axis=0) * normal.mean(axis=0)
    dbias = np.zeros_like(p["bias"])
    if bug != "no_bias":
        dbias += dout.sum(axis=0)
    return {"U": x.T @ dz, "gain": dgain, "bias": dbias}


LAYERNORM = Problem(
    "layer_norm",
    layernorm_loss,
    layernorm_grad,
    layernorm_data,
    (
        Fault(
            "dropped_derivative", bugged(layernorm_grad, "not_over_std"), ("U",), "layernorm_divide"
        ),
        Fault("shape", bugged(layernorm_grad, "gain_not_summed"), ("gain",)),
        Fault(
            "premature_average",
            bugged(layernorm_grad, "gain_of_averages"),
            ("gain",),
            "layernorm_gain",
        ),
        Fault("missing", bugged(layernorm_grad, "no_bias"), ("bias",)),
    ),
)


# 14. A bag of embeddings, and a softmax over its mean.


def bag_loss(params: Any, ids: Any, labels: Any) -> Any:
    h = jnp.mean(params["E"][ids], axis=1)  # @bag_mean
    logits = h @ params["W"] + params["b"]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])


def bag_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"E": draw(rng, 10, 5), "W": draw(rng, 5, 3), "b": draw(rng, 3)}
    return params, (integers(rng, 10, 8, 4), integers(rng, 3, 8))


def bag_grad(params: Any, ids: Any, labels: Any, bug: Any = None) -> Any:
    p, ids, labels = to_numpy((params, ids, labels))
    n, words = ids.shape
    E, W, b = p["E"], p["W"], p["b"]
    onehot = np.eye(len(b))[labels]
    if bug == "first_example":
        gE, gW, gb = np.zeros_like(E), np.zeros_like(W), np.zeros_like(b)
        for i in range(n):
            h = E[ids[i]].mean(axis=0)
            d = (np_softmax((h @ W + b)[None])[0] - onehot[i]) / n
            gW += np.outer(h, d)
            gb += d
            np.add.at(gE, ids[i], W @ d / words)
            return {"E": gE, "W": gW, "b": gb}
    h = E[ids].mean(axis=1)
    logits = h @ W + b
    dlogits = (np_softmax(logits) - onehot) / n
    if bug == "binary_cross_entropy":
        dlogits = (np_sigmoid(logits) - onehot) / n
    dh = dlogits @ W.T
    dwords = np.repeat(dh[:, None, :], words, axis=1)
    if bug != "sum_for_mean":
        dwords = dwords / words
    dE = np.zeros_like(E)
    if bug == "buffered_add":
        dE[ids] += dwords
    else:
        np.add.at(dE, ids, dwords)
    return {"E": dE, "W": h.T @ dlogits, "b": dlogits.sum(axis=0)}


BAG = Problem(
    "embedding_bag",
    bag_loss,
    bag_grad,
    bag_data,
    (
        Fault(
            "dropped_path",
            bugged(bag_grad, "buffered_add"),
            ("E",),
            "bag_mean",
            accept=("partial_entries", "partial_batch"),
        ),
        Fault("scale", bugged(bag_grad, "sum_for_mean"), ("E",), accept=("dropped_derivative",)),
        Fault("wrong_loss", bugged(bag_grad, "binary_cross_entropy"), ("E", "W", "b")),
        Fault("partial_batch", bugged(bag_grad, "first_example"), ("E", "W", "b")),
    ),
)


# 15. Matrix factorisation with a penalty; as many items as users.


def factor_loss(params: Any, ratings: Any) -> Any:
    users, items = params
    predicted = users @ items.T  # @factor_product
    penalty = 0.8 * (jnp.sum(users**2) + jnp.sum(items**2))  # @factor_penalty
    return jnp.sum((ratings - predicted) ** 2) + penalty


def factor_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return (draw(rng, 7, 3), draw(rng, 7, 3)), (draw(rng, 7, 7),)


def factor_grad(params: Any, ratings: Any, bug: Any = None) -> Any:
    users, items = to_numpy(params)
    lam = 0.8
    error = np.asarray(ratings) - users @ items.T
    if bug == "error_reversed":
        error = -error
    shrink = lam if bug == "half_penalty" else 2 * lam
    grad_users = -2 * error @ items + shrink * users
    if bug == "updated_first":
        users = users - 0.02 * grad_users
        error = np.asarray(ratings) - users @ items.T
    grad_items = -2 * (error if bug == "not_transposed" else error.T) @ users + shrink * items
    return grad_users, grad_items


FACTOR = Problem(
    "matrix_factorisation",
    factor_loss,
    factor_grad,
    factor_data,
    (
        Fault("regularization", bugged(factor_grad, "half_penalty"), ("0", "1"), "factor_penalty"),
        Fault("stale", bugged(factor_grad, "updated_first"), ("1",)),
        Fault("transpose", bugged(factor_grad, "not_transposed"), ("1",), "factor_product"),
        Fault("sign", bugged(factor_grad, "error_reversed"), ("0", "1")),
    ),
)


# 16. Collaborative filtering: factors, biases, and a mask of the known ratings.


def ratings_loss(p: Any, ratings: Any, known: Any) -> Any:
    pred = jnp.einsum("uf,if->ui", p["P"], p["Q"])  # @ratings_product
    pred = pred + p["user"][:, None] + p["item"][None, :] + p["mean"]
    squares = known * (pred - ratings) ** 2  # @ratings_mask
    return jnp.sum(squares) / jnp.sum(known)


def ratings_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"P": draw(rng, 6, 2), "Q": draw(rng, 6, 2), "user": draw(rng, 6)}
    params |= {"item": draw(rng, 6), "mean": draw(rng)}
    known: Any = np.ones(36)
    known[rng.permutation(36)[:14]] = 0
    known = jnp.asarray(known.reshape(6, 6), jnp.float32)
    return params, (draw(rng, 6, 6) * known, known)


def ratings_grad(params: Any, ratings: Any, known: Any, bug: Any = None) -> Any:
    p, ratings, known = to_numpy((params, ratings, known))
    pred = p["P"] @ p["Q"].T + p["user"][:, None] + p["item"] + p["mean"]
    count = ratings.size if bug == "over_all_ratings" else known.sum()
    d = 2 * (pred - ratings) / count
    if bug != "unknown_too":
        d = d * known
    dP = d @ p["Q"]
    if bug == "average_item":
        dP = np.outer(d.sum(axis=1), p["Q"].mean(axis=0))
    du, di = d.sum(axis=1), d.sum(axis=0)
    if bug == "axes":
        du, di = d.sum(axis=0), d.sum(axis=1)
    return {"P": dP, "Q": d.T @ p["P"], "user": du, "item": di, "mean": d.sum()}


RATINGS_ALL = ("P", "Q", "item", "mean", "user")
RATINGS = Problem(
    "collaborative_filtering",
    ratings_loss,
    ratings_grad,
    ratings_data,
    (
        Fault(
            "dropped_derivative",
            bugged(ratings_grad, "unknown_too"),
            RATINGS_ALL,
            "ratings_mask",
            accept=("wrong_loss",),
        ),
        Fault("scale", bugged(ratings_grad, "over_all_ratings"), RATINGS_ALL),
        Fault("swapped", bugged(ratings_grad, "axes"), ("item", "user")),
        Fault("premature_average", bugged(ratings_grad, "average_item"), ("P",), "ratings_product"),
    ),
)


# 17. A Gaussian likelihood with an unknown noise: the weights, then log sigma, in one array.


def gauss_loss(theta: Any, x: Any, y: Any) -> Any:
    mu = x @ theta[:-1]
    sigma = jnp.exp(theta[-1])  # @gauss_sigma
    z = (y - mu) / sigma
    return jnp.sum(0.5 * z**2 + jnp.log(sigma))  # @gauss_likelihood


def gauss_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    theta = draw(rng, 4).at[-1].set(0.4 + 0.2 * rng.normal())
    return theta, (draw(rng, 10, 3), draw(rng, 10))


def gauss_grad(theta: Any, x: Any, y: Any, bug: Any = None) -> Any:
    theta, x, y = to_numpy((theta, x, y))
    sigma = np.exp(theta[-1])
    z = (y - x @ theta[:-1]) / sigma
    grad = np.zeros_like(theta)
    if bug == "absolute":
        grad[:-1] = -(x.T @ np.sign(z)) / sigma
        grad[-1] = len(y) - np.sum(np.abs(z))
        return grad
    grad[:-1] = -(x.T @ z) / sigma
    if bug == "of_sigma":
        grad[-1] = np.sum(1 / sigma - z**2 / sigma)
    elif bug == "no_log_sigma":
        grad[-1] = -np.sum(z**2)
    elif bug != "weights_only":
        grad[-1] = np.sum(1 - z**2)
    return grad


GAUSS = Problem(
    "gaussian_likelihood",
    gauss_loss,
    gauss_grad,
    gauss_data,
    (
        Fault("dropped_derivative", bugged(gauss_grad, "of_sigma"), ("",), "gauss_sigma"),
        Fault("dropped_path", bugged(gauss_grad, "no_log_sigma"), ("",), "gauss_likelihood"),
        Fault("partial_entries", bugged(gauss_grad, "weights_only"), ("",)),
        Fault("wrong_loss", bugged(gauss_grad, "absolute"), ("",)),
    ),
)


# 18. Poisson regression with exposures.


def poisson_loss(params: Any, x: Any, exposure: Any, counts: Any) -> Any:
    rate = exposure * jnp.exp(x @ params["w"] + params["b"])  # @poisson_rate
    return jnp.mean(rate - counts * jnp.log(rate))


def poisson_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"w": 0.6 * draw(rng, 4), "b": 0.6 * draw(rng)}
    exposure = jnp.asarray(rng.uniform(0.5, 3, size=9), jnp.float32)
    counts = jnp.asarray(rng.poisson(2.0, size=9), jnp.float32)
    return params, (draw(rng, 9, 4), exposure, counts)


def poisson_grad(params: Any, x: Any, exposure: Any, counts: Any, bug: Any = None) -> Any:
    if bug == "wide_central_difference":
        h = 0.5

        def loss(w: Any, b: Any) -> Any:
            return poisson_loss({"w": w, "b": b}, x, exposure, counts)

        w, b = params["w"], params["b"]
        steps = [h * np.eye(len(w))[i] for i in range(len(w))]
        gw = np.array([(loss(w + s, b) - loss(w - s, b)) / (2 * h) for s in steps])
        return {"w": gw, "b": (loss(w, b + h) - loss(w, b - h)) / (2 * h)}
    p, x, exposure, counts = to_numpy((params, x, exposure, counts))
    rate = exposure * np.exp(x @ p["w"] + p["b"])
    d = rate - counts
    if bug == "least_squares":
        d = (rate - counts) * rate
    if bug == "no_exponential":
        d = 1 - counts / rate
    if bug == "no_exposure":
        d = rate / exposure - counts
    d = d / len(counts)
    return {"w": x.T @ d, "b": d.sum()}


POISSON = Problem(
    "poisson_regression",
    poisson_loss,
    poisson_grad,
    poisson_data,
    (
        Fault(
            "dropped_derivative", bugged(poisson_grad, "no_exponential"), ("b", "w"), "poisson_rate"
        ),
        Fault(
            "wrong_loss",
            bugged(poisson_grad, "least_squares"),
            ("b", "w"),
            accept=("double_counted",),
        ),
        Fault("numeric_step", bugged(poisson_grad, "wide_central_difference"), ("b", "w")),
        Fault(
            "wrong_loss",
            bugged(poisson_grad, "no_exposure"),
            ("b", "w"),
            accept=("wrong_point", "dropped_derivative"),
        ),
    ),
)


# 19. An ordered logit: three thresholds, four grades.


def grade_cdf(z: Any) -> Any:
    return 1 / (1 + jnp.exp(-z))  # @grade_cdf


def grade_loss(params: Any, x: Any, grade: Any) -> Any:
    score = x @ params["w"]
    below = grade_cdf(params["cuts"][None, :] - score[:, None])
    n = len(grade)
    below = jnp.concatenate([jnp.zeros((n, 1)), below, jnp.ones((n, 1))], axis=1)
    probs = below[:, 1:] - below[:, :-1]  # @grade_difference
    return -jnp.mean(jnp.log(probs[jnp.arange(n), grade]))


def grade_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    cuts = jnp.asarray(np.array([-1.1, 0.3, 1.6]) + rng.uniform(-0.2, 0.2, size=3), jnp.float32)
    grade = jnp.asarray(rng.permutation(12) % 4, jnp.int32)
    return {"w": draw(rng, 5), "cuts": cuts}, (draw(rng, 12, 5), grade)


def grade_grad(params: Any, x: Any, grade: Any, bug: Any = None) -> Any:
    p, x, grade = to_numpy((params, x, grade))
    n = len(grade)
    z = p["cuts"] - (x @ p["w"])[:, None]
    s = np_sigmoid(z)
    below = np.concatenate([np.zeros((n, 1)), s, np.ones((n, 1))], axis=1)
    prob = below[range(n), grade + 1] - below[range(n), grade]
    dbelow = np.zeros_like(below)
    dbelow[range(n), grade + 1] = -1 / (n * prob)
    if bug != "upper_threshold_only":
        dbelow[range(n), grade] = 1 / (n * prob)
    pdf = s * (1 - s)
    if bug == "density_of_p":
        pdf = np_sigmoid(s) * (1 - np_sigmoid(s))
    if bug == "normal_density":
        pdf = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    d = dbelow[:, 1:-1] * pdf
    dscore = d.sum(axis=1) if bug == "score_sign" else -d.sum(axis=1)
    return {"w": x.T @ dscore, "cuts": d.sum(axis=0)}


GRADE = Problem(
    "ordered_logit",
    grade_loss,
    grade_grad,
    grade_data,
    (
        Fault(
            "dropped_path",
            bugged(grade_grad, "upper_threshold_only"),
            ("cuts", "w"),
            "grade_difference",
        ),
        Fault("sign", bugged(grade_grad, "score_sign"), ("w",)),
        Fault("wrong_point", bugged(grade_grad, "density_of_p"), ("cuts", "w"), "grade_cdf"),
        Fault("wrong_derivative", bugged(grade_grad, "normal_density"), ("cuts", "w"), "grade_cdf"),
    ),
)


# 20. A contrastive margin loss on pairs; one pair holds the same input twice.


def embed(params: Any, x: Any) -> Any:
    return jnp.tanh(x @ params["W"] + params["b"])


def pair_loss(params: Any, left: Any, right: Any, same: Any) -> Any:
    difference = embed(params, left) - embed(params, right)  # @pair_difference
    squared = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(squared + 1e-6)
    hinge = jnp.maximum(0, 3.0 - distance)
    return jnp.mean(same * squared + (1 - same) * hinge**2) / 2


def pair_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    left, right = draw(rng, 10, 4), draw(rng, 10, 4)
    right = right.at[2].set(left[2])
    same = np.zeros(10)
    same[:5] = 1
    params = {"W": 0.6 * draw(rng, 4, 3), "b": 0.4 * draw(rng, 3)}
    return params, (left, right, jnp.asarray(same, jnp.float32))


def pair_grad(params: Any, left: Any, right: Any, same: Any, bug: Any = None) -> Any:
    p, left, right, same = to_numpy((params, left, right, same))
    one, two = np.tanh(left @ p["W"] + p["b"]), np.tanh(right @ p["W"] + p["b"])
    e = one - two
    eps = 0.0 if bug == "no_epsilon" else 1e-6
    distance = np.sqrt(np.sum(e**2, axis=1) + eps)
    hinge = np.maximum(0, 3.0 - distance)
    push = hinge
    if bug == "hinge_not_squared":
        push = 0.5 * (hinge > 0)
    with np.errstate(all="ignore"):
        pull = same - (1 - same) * push / distance
    de = pull[:, None] * e / len(same)
    d_one = de * (1 - one**2)
    d_two = -de * (1 - two**2)
    if bug == "plus_for_minus":
        d_two = -d_two
    if bug == "left_tower_only":
        d_two = 0 * d_two
    return {"W": left.T @ d_one + right.T @ d_two, "b": (d_one + d_two).sum(axis=0)}


PAIR = Problem(
    "contrastive_margin",
    pair_loss,
    pair_grad,
    pair_data,
    (
        Fault("dropped_path", bugged(pair_grad, "left_tower_only"), ("W", "b"), "pair_difference"),
        Fault(
            "sign",
            bugged(pair_grad, "plus_for_minus"),
            ("W", "b"),
            "pair_difference",
            accept=("wrong_derivative",),
        ),
        Fault(
            "wrong_loss",
            bugged(pair_grad, "hinge_not_squared"),
            ("W", "b"),
            accept=("dropped_derivative", "wrong_derivative"),
        ),
        Fault("nonfinite", bugged(pair_grad, "no_epsilon"), ("W", "b")),
    ),
)


# 21. Two towers compared by the cosine of their outputs.


def unit(a: Any) -> Any:
    return a / jnp.sqrt(jnp.sum(a**2, axis=1, keepdims=True))  # @cosine_unit


def cosine_loss(params: Any, query: Any, document: Any, target: Any) -> Any:
    u = jnp.matmul(query, params["A"])  # @cosine_query
    v = jnp.matmul(document, params["B"])
    similarity = jnp.sum(unit(u) * unit(v), axis=1)
    return jnp.mean((similarity - target) ** 2)


def cosine_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    target = jnp.asarray(rng.uniform(-1, 1, size=8), jnp.float32)
    params = {"A": draw(rng, 4, 3), "B": draw(rng, 4, 3)}
    return params, (draw(rng, 8, 4), draw(rng, 8, 4), target)


def cosine_grad(params: Any, query: Any, document: Any, target: Any, bug: Any = None) -> Any:
    p, query, document, target = to_numpy((params, query, document, target))
    u, v = query @ p["A"], document @ p["B"]
    nu = np.linalg.norm(u, axis=1, keepdims=True)
    nv = np.linalg.norm(v, axis=1, keepdims=True)
    un, vn = u / nu, v / nv
    similarity = np.sum(un * vn, axis=1, keepdims=True)
    ds = 2 * (similarity - target[:, None]) / len(target)
    if bug == "constant_norms":
        du, dv = ds * vn / nu, ds * un / nv
    elif bug == "norm_once":
        du, dv = ds * (vn / nu - similarity * un), ds * (un / nv - similarity * vn)
    else:
        du, dv = ds * (vn - similarity * un) / nu, ds * (un - similarity * vn) / nv
    dA, dB = query.T @ du, document.T @ dv
    if bug == "average_query":
        dA = np.outer(query.mean(axis=0), du.sum(axis=0))
    if bug == "towers":
        dA, dB = dB, dA
    return {"A": dA, "B": dB}


COSINE = Problem(
    "cosine_towers",
    cosine_loss,
    cosine_grad,
    cosine_data,
    (
        Fault("dropped_path", bugged(cosine_grad, "constant_norms"), ("A", "B"), "cosine_unit"),
        Fault(
            "wrong_derivative",
            bugged(cosine_grad, "norm_once"),
            ("A", "B"),
            "cosine_unit",
            accept=("dropped_derivative",),
        ),
        Fault("swapped", bugged(cosine_grad, "towers"), ("A", "B")),
        Fault("premature_average", bugged(cosine_grad, "average_query"), ("A",), "cosine_query"),
    ),
)


# 22. A sum of stretched exponentials fitted to a decay measured from time zero.


def decay_loss(p: Any, t: Any, y: Any) -> Any:
    ratio = t[:, None] / p["tau"]  # @decay_ratio
    power = ratio ** p["beta"]  # @decay_power
    model = jnp.sum(p["amplitude"] * jnp.exp(-power), axis=1)
    return jnp.mean((model - y) ** 2)


def decay_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "amplitude": 1 + 0.5 * draw(rng, 3),
        "tau": jnp.asarray(np.array([0.6, 1.5, 3.0]) * rng.uniform(0.8, 1.2, size=3), jnp.float32),
        "beta": jnp.asarray(rng.uniform(1.4, 2.2, size=3), jnp.float32),
    }
    return params, (jnp.linspace(0, 4, 11, dtype=jnp.float32), draw(rng, 11))


def decay_grad(params: Any, t: Any, y: Any, bug: Any = None) -> Any:
    p, t, y = to_numpy((params, t, y))
    a, tau, beta = p["amplitude"], p["tau"], p["beta"]
    u = t[:, None] / tau
    power = u**beta
    e = np.exp(-power)
    r = 2 * ((a * e).sum(axis=1) - y) / len(t)
    if bug == "no_two":
        r = r / 2
    dpower = -r[:, None] * a * e
    du = dpower * beta * u ** (beta - 1)
    dtau = np.sum(du if bug == "no_inner" else du * -t[:, None] / tau**2, axis=0)
    if bug == "log_of_zero":
        with np.errstate(all="ignore"):
            slope = power * np.log(u)
    elif bug == "power_rule":
        slope = beta * u ** (beta - 1)
    else:
        slope = power * np.log(np.where(u > 0, u, 1))
    dbeta = np.sum(dpower * slope, axis=0)
    return {"amplitude": (r[:, None] * e).sum(axis=0), "tau": dtau, "beta": dbeta}


DECAY = Problem(
    "stretched_decay",
    decay_loss,
    decay_grad,
    decay_data,
    (
        Fault("nonfinite", bugged(decay_grad, "log_of_zero"), ("beta",)),
        Fault("wrong_derivative", bugged(decay_grad, "power_rule"), ("beta",), "decay_power"),
        Fault("dropped_derivative", bugged(decay_grad, "no_inner"), ("tau",), "decay_ratio"),
        Fault("scale", bugged(decay_grad, "no_two"), ("amplitude", "beta", "tau")),
    ),
)


# 23. A gated unit (SwiGLU) with a given dropout mask; as many outputs as hidden units.

KEEP = 0.75


def gated_loss(params: Any, x: Any, y: Any, mask: Any) -> Any:
    gate, up, down = params
    opened = jax.nn.silu(x @ gate)  # @gated_silu
    h = opened * (x @ up)
    h = h * mask / KEEP  # @gated_dropout
    out = h @ down  # @gated_down
    return 0.5 * jnp.sum((out - y) ** 2) / len(x)


def gated_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    mask = np.ones(48)
    mask[rng.permutation(48)[:12]] = 0
    params = [draw(rng, 4, 6), draw(rng, 4, 6), draw(rng, 6, 6)]
    return params, (draw(rng, 8, 4), draw(rng, 8, 6), jnp.asarray(mask.reshape(8, 6), jnp.float32))


def gated_grad(params: Any, x: Any, y: Any, mask: Any, bug: Any = None) -> Any:
    gate, up, down = to_numpy(params)
    x, y, mask = to_numpy((x, y, mask))
    g, u = x @ gate, x @ up
    s = np_sigmoid(g)
    opened = g * s
    h = opened * u * mask / KEEP
    dout = (h @ down - y) / len(x)
    dh = dout @ (down if bug == "not_transposed" else down.T)
    if bug != "no_dropout_backwards":
        dh = dh * mask / KEEP
    if bug == "dropout_twice":
        dh = dh * mask / KEEP
    slope = s + g * s * (1 - s)
    if bug == "sigmoid_only":
        slope = s
    if bug == "slope_at_output":
        s2 = np_sigmoid(opened)
        slope = s2 + opened * s2 * (1 - s2)
    return [x.T @ (dh * u * slope), x.T @ (dh * opened), h.T @ dout]


GATED = Problem(
    "gated_unit_dropout",
    gated_loss,
    gated_grad,
    gated_data,
    (
        Fault("wrong_point", bugged(gated_grad, "slope_at_output"), ("0",), "gated_silu"),
        Fault(
            "dropped_path",
            bugged(gated_grad, "sigmoid_only"),
            ("0",),
            "gated_silu",
            accept=("wrong_derivative",),
        ),
        Fault(
            "dropped_derivative",
            bugged(gated_grad, "no_dropout_backwards"),
            ("0", "1"),
            "gated_dropout",
        ),
        Fault("transpose", bugged(gated_grad, "not_transposed"), ("0", "1"), "gated_down"),
        Fault(
            "double_counted",
            bugged(gated_grad, "dropout_twice"),
            ("0", "1"),
            "gated_dropout",
            accept=("scale",),
        ),
    ),
)


PROBLEMS = (
    LINE,
    LOGIT,
    SOFTMAX,
    NEURON,
    MLP,
    NIELSEN,
    TIED,
    CHAR,
    LSTM,
    CONV,
    ATTENTION,
    BATCHNORM,
    LAYERNORM,
    BAG,
    FACTOR,
    RATINGS,
    GAUSS,
    POISSON,
    GRADE,
    PAIR,
    COSINE,
    DECAY,
    GATED,
)
