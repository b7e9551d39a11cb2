"""The gradient doctor on mistakes that people brought to forums, courses and reports.

Each loss is written as a person would write it, each gradient as it was in the wild. The line that
a fault belongs to ends in a comment "# @tag".
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import check


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def place(loss: Callable[..., Any], tag: str) -> str:
    """What `where` looks like for the line of a loss that ends in "# @tag"."""
    lines, first = inspect.getsourcelines(loss)
    (offset,) = (i for i, line in enumerate(lines) if line.rstrip().endswith(f"# @{tag}"))
    return rf".*test_check_studies\.py:{first + offset}:\d+ \({loss.__name__}\)"


# One neuron, its batch averaged before the product.


def neuron_loss(p: Any, x: Any, t: Any) -> Any:
    y = jax.nn.sigmoid(x @ p["a"] + p["b"])  # @unit
    return jnp.mean((t - y) ** 2)


def neuron_grad(p: Any, x: Any, t: Any) -> Any:
    y = sigmoid(x @ p["a"] + p["b"])
    delta = -2 * (t - y) * y * (1 - y)
    return {"a": (delta[:, None] * x).mean(axis=0), "b": delta.mean()}


def neuron_averaged(p: Any, x: Any, t: Any) -> Any:
    """Three means multiplied, and the 2 left out."""
    y = sigmoid(x @ p["a"] + p["b"])
    delta = -np.mean(t - y) * np.mean(y * (1 - y))
    return {"a": delta * x.mean(axis=0), "b": delta}


def neuron_point() -> Any:
    rng = np.random.default_rng(0)
    t = rng.integers(2, size=8)
    x = rng.normal(t[:, None] * 1.5, 1 + 0.5 * t[:, None], size=(8, 3))
    return {"a": rng.uniform(size=3), "b": rng.uniform()}, x / x.max(), t.astype(float)


# A perceptron of two inputs, without a bias.


def gate_loss(w: Any, x: Any, t: Any) -> Any:
    y = jax.nn.sigmoid(x @ w)  # @output
    return jnp.sum((t - y) ** 2) / 2  # @error


def gate_grad(w: Any, x: Any, t: Any) -> Any:
    y = sigmoid(x @ w)
    return x.T @ ((y - t) * y * (1 - y))


def gate_squared_error(w: Any, x: Any, t: Any) -> Any:
    """The squared error itself sent back: weights can only fall."""
    return x.T @ (t - sigmoid(x @ w)) ** 2


def gate_error_twice(w: Any, x: Any, t: Any) -> Any:
    """The squared error taken for the error, in both factors."""
    y = sigmoid(x @ w)
    e = (t - y) ** 2
    return x.T @ (e * 2 * e * y * (1 - y))


def gate_slope_at_error(w: Any, x: Any, t: Any) -> Any:
    e = t - sigmoid(x @ w)
    return -x.T @ (e * e * (1 - e))


def gate_slope_at_error_turned(w: Any, x: Any, t: Any) -> Any:
    e = sigmoid(x @ w) - t
    return x.T @ (e * e * (1 - e))


def gate_slope_at_squared_error(w: Any, x: Any, t: Any) -> Any:
    e = (t - sigmoid(x @ w)) ** 2
    return x.T @ (e * e * (1 - e))


def gate_point(name: str = "or") -> Any:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    targets = {"or": [0, 1, 1, 1], "xor": [0, 1, 1, 0]}
    w = np.random.RandomState(0).uniform(size=(2, 1))
    return w, x, np.array(targets[name])[:, None]


# The two-layer net of a course.


def course_loss(p: Any, x: Any, y: Any, reg: float) -> Any:
    hidden = jnp.maximum(0, x @ p["W1"] + p["b1"])
    scores = hidden @ p["W2"] + p["b2"]
    scores = scores - jnp.max(scores, axis=1, keepdims=True)
    probs = jnp.exp(scores) / jnp.sum(jnp.exp(scores), axis=1, keepdims=True)
    data_loss = jnp.mean(-jnp.log(probs[jnp.arange(len(y)), y]))  # @mean
    return data_loss + reg * (jnp.sum(p["W1"] ** 2) + jnp.sum(p["W2"] ** 2))


def course_grad(p: Any, x: Any, y: Any, reg: float, n: int | None = None) -> Any:
    hidden = np.maximum(0, x @ p["W1"] + p["b1"])
    scores = hidden @ p["W2"] + p["b2"]
    probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    probs[np.arange(len(y)), y] -= 1
    dscores = probs / (n or len(y))
    dhidden = (dscores @ p["W2"].T) * (hidden > 0)
    return {
        "W1": x.T @ dhidden + 2 * reg * p["W1"],
        "b1": dhidden.sum(axis=0),
        "W2": hidden.T @ dscores + 2 * reg * p["W2"],
        "b2": dscores.sum(axis=0),
    }


def course_unaveraged(p: Any, x: Any, y: Any, reg: float) -> Any:
    return course_grad(p, x, y, reg, n=1)


def course_point(reg: float = 0.1, std: float = 1e-4) -> Any:
    rng = np.random.default_rng(0)
    p = {
        "W1": std * rng.normal(size=(4, 10)),
        "b1": np.zeros(10),
        "W2": std * rng.normal(size=(10, 3)),
        "b2": np.zeros(3),
    }
    return p, 10 * rng.normal(size=(5, 4)), np.array([0, 1, 2, 2, 1]), reg


# Digits with the logistic cost.


def digits_loss(p: Any, x: Any, t: Any, r: float) -> Any:
    m = len(x)
    a = jax.nn.sigmoid(x @ p["W1"] + p["b1"])
    h = jax.nn.sigmoid(a @ p["W2"] + p["b2"])
    cost = jnp.sum(-t * jnp.log(h) - (1 - t) * jnp.log(1 - h)) / m
    return cost + r / (2 * m) * (jnp.sum(p["W1"] ** 2) + jnp.sum(p["W2"] ** 2))  # @penalty


def digits_grad(p: Any, x: Any, t: Any, r: float) -> Any:
    m = len(x)
    a = sigmoid(x @ p["W1"] + p["b1"])
    h = sigmoid(a @ p["W2"] + p["b2"])
    d2 = h - t
    d1 = d2 @ p["W2"].T * a * (1 - a)
    return {
        "W1": x.T @ d1 / m + r / m * p["W1"],
        "b1": d1.sum(axis=0) / m,
        "W2": a.T @ d2 / m + r / m * p["W2"],
        "b2": d2.sum(axis=0) / m,
    }


def digits_penalty_on_biases(p: Any, x: Any, t: Any, r: float) -> Any:
    g = digits_grad(p, x, t, r)
    return g | {b: g[b] + r / len(x) * p[b] for b in ("b1", "b2")}


def digits_point() -> Any:
    rng = np.random.default_rng(0)
    shapes = {"W1": (8, 5), "b1": (5,), "W2": (5, 4), "b2": (4,)}
    p = {name: rng.uniform(-0.12, 0.12, shape) for name, shape in shapes.items()}
    return p, rng.uniform(size=(9, 8)), np.eye(4)[rng.integers(4, size=9)], 1.0


# Two matrices without biases.


def matrices_loss(p: Any, x: Any, y: Any) -> Any:
    h = jnp.maximum(x @ p["w1"], 0)
    return jnp.sum((h @ p["w2"] - y) ** 2)


def matrices_grad(p: Any, x: Any, y: Any) -> Any:
    h = x @ p["w1"]
    relu = np.maximum(h, 0)
    grad_y = 2 * (relu @ p["w2"] - y)
    grad_h = grad_y @ p["w2"].T
    grad_h[h < 0] = 0
    return {"w1": x.T @ grad_h, "w2": relu.T @ grad_y}


def matrices_point() -> Any:
    rng = np.random.default_rng(0)
    p = {"w1": rng.normal(size=(20, 10)), "w2": rng.normal(size=(10, 4))}
    return p, rng.normal(size=(8, 20)), rng.normal(size=(8, 4))


# Backpropagation in matrices, rows are examples.


def mnist_loss(p: Any, x: Any, y: Any) -> Any:
    a = x
    for w, b in p:
        a = jax.nn.sigmoid(a @ w.T + b)  # @layer
    return jnp.mean(jnp.sum((a - y) ** 2, axis=1)) / 2


def mnist_grad(p: Any, x: Any, y: Any) -> Any:
    (w1, b1), (w2, b2) = p
    a1 = sigmoid(x @ w1.T + b1)
    a2 = sigmoid(a1 @ w2.T + b2)
    delta2 = (a2 - y) / len(x) * a2 * (1 - a2)
    delta1 = (delta2 @ w2) * a1 * (1 - a1)
    return [(delta1.T @ x, delta1.sum(axis=0)), (delta2.T @ a1, delta2.sum(axis=0))]


def mnist_transposed(p: Any, x: Any, y: Any) -> Any:
    """delta^T goes back through the weights; it fits a batch as long as the output."""
    (w1, b1), (w2, b2) = p
    a1 = sigmoid(x @ w1.T + b1)
    a2 = sigmoid(a1 @ w2.T + b2)
    delta2 = (a2 - y) / len(x) * a2 * (1 - a2)
    delta1 = (delta2.T @ w2) * a1 * (1 - a1)
    return [(delta1.T @ x, delta1.sum(axis=0)), (delta2.T @ a1, delta2.sum(axis=0))]


def mnist_transposed_twice(p: Any, x: Any, y: Any) -> Any:
    """delta^T in the weights' gradient as well."""
    (w1, b1), (w2, b2) = p
    a1 = sigmoid(x @ w1.T + b1)
    a2 = sigmoid(a1 @ w2.T + b2)
    delta2 = (a2 - y) / len(x) * a2 * (1 - a2)
    delta1 = (delta2.T @ w2) * a1 * (1 - a1)
    return [(delta1.T @ x, delta1.sum(axis=0)), (delta2 @ a1, delta2.sum(axis=0))]


def mnist_transposed_at_once(p: Any, x: Any, y: Any) -> Any:
    """delta^T from the output on, in the bias's gradient, too."""
    (w1, b1), (w2, b2) = p
    a1 = sigmoid(x @ w1.T + b1)
    a2 = sigmoid(a1 @ w2.T + b2)
    delta2 = ((a2 - y) / len(x) * a2 * (1 - a2)).T
    delta1 = (delta2 @ w2) * a1 * (1 - a1)
    return [(delta1.T @ x, delta1.sum(axis=0)), (delta2.T @ a1, delta2.sum(axis=0))]


def mnist_point(hidden: int = 6) -> Any:
    rng = np.random.default_rng(0)
    shapes = (hidden, 12), (6, hidden)
    p = [(rng.normal(size=s), rng.normal(size=s[0])) for s in shapes]
    return p, rng.uniform(size=(6, 12)), np.eye(6)[rng.integers(6, size=6)]


# Iris.


def iris_loss(p: Any, x: Any, t: Any) -> Any:
    z1 = x @ p["W0"].T + p["b0"]
    s = jax.nn.softmax(jax.nn.softplus(z1) @ p["W1"].T + p["b1"])
    return -jnp.mean(jnp.sum(t * jnp.log(s), axis=1))


def iris_grad(p: Any, x: Any, t: Any) -> Any:
    z1 = x @ p["W0"].T + p["b0"]
    a1 = np.logaddexp(0, z1)
    e = np.exp(a1 @ p["W1"].T + p["b1"])
    e2 = (e / e.sum(axis=1, keepdims=True) - t) / len(x)
    e1 = e2 @ p["W1"] * sigmoid(z1)
    return {"W0": e1.T @ x, "b0": e1.sum(axis=0), "W1": e2.T @ a1, "b1": e2.sum(axis=0)}


def iris_point() -> Any:
    rng = np.random.default_rng(0)
    shapes = {"W0": (16, 4), "b0": (16,), "W1": (3, 16), "b1": (3,)}
    p = {name: rng.normal(0, 0.1, size=shape) for name, shape in shapes.items()}
    return p, rng.normal(size=(12, 4)), np.eye(3)[rng.integers(3, size=12)]


# Central differences.


def rows_loss(p: Any, x: Any, t: Any) -> Any:
    hidden = jax.nn.relu(x @ p["W1"] + p["b1"])
    y = jax.nn.softmax(hidden @ p["W2"] + p["b2"])
    return -jnp.sum(t * jnp.log(y + 1e-7))


def rows_value(p: Any, x: Any, t: Any) -> Any:
    e = np.exp(np.maximum(x @ p["W1"] + p["b1"], 0) @ p["W2"] + p["b2"])
    return -np.sum(t * np.log(e / e.sum(axis=1, keepdims=True) + 1e-7))


def rows_grad(p: Any, x: Any, t: Any, rate: float = 0.0) -> Any:
    """Differences, entry by entry; with a rate every entry is changed at once."""
    p = {name: np.array(leaf) for name, leaf in p.items()}
    grads = {name: np.zeros_like(leaf) for name, leaf in p.items()}
    for name, leaf in p.items():
        for index in np.ndindex(leaf.shape):
            old, h = leaf[index], 1e-7
            leaf[index] = old + h
            ahead = rows_value(p, x, t)
            leaf[index] = old - h
            behind = rows_value(p, x, t)
            grads[name][index] = (ahead - behind) / (2 * h)
            leaf[index] = old - rate * grads[name][index]
    return grads


def rows_swapped(p: Any, x: Any, t: Any) -> Any:
    return {name: -leaf for name, leaf in rows_grad(p, x, t).items()}


def rows_changed_entry_by_entry(p: Any, x: Any, t: Any) -> Any:
    return rows_grad(p, x, t, rate=0.5)


def rows_changed_leaf_by_leaf(p: Any, x: Any, t: Any) -> Any:
    grads = {}
    for name in p:
        grads[name] = rows_grad(p, x, t)[name]
        p = p | {name: p[name] - 0.5 * grads[name]}
    return grads


def rows_point(first: int = 1) -> Any:
    """Ten rows, the numbers from `first` on in binary; 0 would put all units at their kink."""
    rng = np.random.default_rng(0)
    x = (np.arange(first, first + 10)[:, None] >> np.arange(5)) & 1
    weights = {"W1": rng.uniform(size=(5, 20)), "W2": rng.uniform(size=(20, 10))}
    return weights | {"b1": np.zeros(20), "b2": np.zeros(10)}, x, np.eye(10)


@pytest.mark.parametrize(
    ("loss", "grad", "point"),
    [
        (neuron_loss, neuron_grad, neuron_point()),
        (gate_loss, gate_grad, gate_point()),
        # With targets of 1, e = 1 - y, so e (1 - e) is y (1 - y); the row of the 0 has no inputs.
        (gate_loss, gate_slope_at_error, gate_point()),
        (course_loss, course_grad, course_point()),
        (digits_loss, digits_grad, digits_point()),
        (matrices_loss, matrices_grad, matrices_point()),
        (mnist_loss, mnist_grad, mnist_point()),
        (iris_loss, iris_grad, iris_point()),
        (rows_loss, rows_grad, rows_point()),
        (rows_loss, rows_grad, rows_point(first=0)),
    ],
)  # fmt: skip
def test_silence_on_right_gradients(loss: Any, grad: Any, point: Any) -> None:
    report = check.gradient(loss, grad, *point)
    assert report.ok, report


ALL = ("W1", "W2", "b1", "b2")


@pytest.mark.parametrize(
    ("loss", "grad", "point", "codes", "leaves", "tag"),
    [
        (neuron_loss, neuron_averaged, neuron_point(), "premature_average", ("a", "b"), "unit"),
        (gate_loss, gate_squared_error, gate_point("xor"), "wrong_loss", ("",), "error"),
        (gate_loss, gate_squared_error, gate_point(), "wrong_loss", ("",), "error"),
        (gate_loss, gate_error_twice, gate_point(), "wrong_loss wrong_point", ("",), None),
        (gate_loss, gate_slope_at_error, gate_point("xor"), "wrong_point", ("",), "output"),
        (gate_loss, gate_slope_at_error_turned, gate_point(), "wrong_point", ("",), "output"),
        (
            gate_loss, gate_slope_at_squared_error, gate_point(), "wrong_point wrong_loss", ("",),
            None,
        ),
        (course_loss, course_unaveraged, course_point(), "scale dropped_derivative", ALL, "mean"),
        (course_loss, course_unaveraged, course_point(reg=0.0), "scale", ALL, "mean"),
        (digits_loss, digits_penalty_on_biases, digits_point(), "regularization", ALL[2:],
         "penalty"),
        (mnist_loss, mnist_transposed, mnist_point(), "transpose", ("0.0", "0.1"), "layer"),
        (mnist_loss, mnist_transposed, mnist_point(hidden=5), "transpose", ("0.0", "0.1"), "layer"),
        (
            mnist_loss, mnist_transposed_twice, mnist_point(), "transpose", ("0.0", "0.1", "1.0"),
            "layer",
        ),
        (
            mnist_loss, mnist_transposed_at_once, mnist_point(), "transpose",
            ("0.0", "0.1", "1.0", "1.1"), "layer",
        ),
        (rows_loss, rows_swapped, rows_point(), "sign", ALL, None),
        (rows_loss, rows_changed_leaf_by_leaf, rows_point(), "stale", ALL[1:], None),
        (rows_loss, rows_changed_entry_by_entry, rows_point(), "stale", ALL, None),
    ],
)  # fmt: skip
def test_faults_are_named(
    loss: Any, grad: Any, point: Any, codes: str, leaves: tuple[str, ...], tag: str | None
) -> None:
    report = check.gradient(loss, grad, *point)
    headline = report.findings[0]
    assert headline.code in codes.split(), report
    assert {leaf for f in report.findings for leaf in f.leaves} == set(leaves), report
    if tag is not None:
        assert re.fullmatch(place(loss, tag), str(headline.where)), report


@pytest.mark.parametrize(
    ("loss", "grad", "point", "number", "evidence"),
    [
        (neuron_loss, neuron_averaged, neuron_point(), -1, {"factor": 0.5}),
        (course_loss, course_unaveraged, course_point(reg=0.0), 0, {"factor": 5.0}),
        (digits_loss, digits_penalty_on_biases, digits_point(), 0, {"found": 1 / 18, "due": 0.0}),
    ],
)
def test_the_numbers_behind_a_fault(
    loss: Any, grad: Any, point: Any, number: int, evidence: dict[str, float]
) -> None:
    finding = check.gradient(loss, grad, *point).findings[number]
    assert finding.evidence == pytest.approx(evidence)
