"""Networks: residual, with dropout, gated, of experts, with a layer used again, with skips."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .problem import Fault, Problem


def draw(random: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    return jnp.asarray(scale * random.normal(size=shape), jnp.float32)


def layer(random: np.random.Generator, *shape: int, scale: float = 0.6) -> Any:
    size = random.uniform(0.2, 0.8, shape[1:])  # no bias is near zero
    b = jnp.asarray(size * random.choice([-1, 1], shape[1:]), jnp.float32)
    return {"w": draw(random, *shape, scale=scale), "b": b}


# Two residual blocks, weight decay in the loss.

RESIDUAL_DECAY = 0.2


def residual_loss(params: Any, x: Any, y: Any) -> Any:
    h = x @ params["in"]["w"] + params["in"]["b"]
    for block in params["blocks"]:
        h = h + jnp.tanh(h @ block["w"] + block["b"])  # @residual_block
    predicted = h @ params["out"]["w"] + params["out"]["b"]
    weights = [each["w"] for each in (params["in"], *params["blocks"], params["out"])]
    decay = 0.5 * RESIDUAL_DECAY * sum(jnp.sum(w**2) for w in weights)  # @residual_decay
    return 0.5 * jnp.mean((predicted - y) ** 2) + decay


def residual_forward(params: Any, x: Any) -> Any:
    states = [np.asarray(x @ params["in"]["w"] + params["in"]["b"])]
    branches = []
    for block in params["blocks"]:
        branches.append(np.tanh(states[-1] @ np.asarray(block["w"]) + np.asarray(block["b"])))
        states.append(states[-1] + branches[-1])
    return states, branches, states[-1] @ np.asarray(params["out"]["w"]) + params["out"]["b"]


def residual_grad(params: Any, x: Any, y: Any) -> Any:
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error + RESIDUAL_DECAY * w_out, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h * (1 - branches[i] ** 2)
        d_w = states[i].T @ d_z + RESIDUAL_DECAY * w
        blocks.insert(0, {"w": d_w, "b": d_z.sum(axis=0)})
        d_h = d_h + d_z @ w.T
    first = {"w": x.T @ d_h + RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    return {"in": first, "blocks": blocks, "out": out}


def residual_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, hidden = 7, 4, 6
    params = {
        "in": layer(random, features, hidden),
        "blocks": [layer(random, hidden, hidden, scale=0.4) for _ in range(2)],
        "out": layer(random, hidden),
    }
    return params, (draw(random, batch, features), draw(random, batch))


def residual_branch_only(params: Any, x: Any, y: Any) -> Any:
    """Back through the branch, not around it."""
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error + RESIDUAL_DECAY * w_out, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h * (1 - branches[i] ** 2)
        d_w = states[i].T @ d_z + RESIDUAL_DECAY * w
        blocks.insert(0, {"w": d_w, "b": d_z.sum(axis=0)})
        d_h = d_z @ w.T
    first = {"w": x.T @ d_h + RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    return {"in": first, "blocks": blocks, "out": out}


def residual_around_only(params: Any, x: Any, y: Any) -> Any:
    """Back around the branch, not through it."""
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error + RESIDUAL_DECAY * w_out, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h * (1 - branches[i] ** 2)
        d_w = states[i].T @ d_z + RESIDUAL_DECAY * w
        blocks.insert(0, {"w": d_w, "b": d_z.sum(axis=0)})
    first = {"w": x.T @ d_h + RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    return {"in": first, "blocks": blocks, "out": out}


def residual_untransposed(params: Any, x: Any, y: Any) -> Any:
    """The blocks' matrices are square."""
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error + RESIDUAL_DECAY * w_out, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h * (1 - branches[i] ** 2)
        d_w = states[i].T @ d_z + RESIDUAL_DECAY * w
        blocks.insert(0, {"w": d_w, "b": d_z.sum(axis=0)})
        d_h = d_h + d_z @ w
    first = {"w": x.T @ d_h + RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    return {"in": first, "blocks": blocks, "out": out}


def residual_biases_decay(params: Any, x: Any, y: Any) -> Any:
    """The decay of every parameter, which the loss has of the weights only."""
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error + RESIDUAL_DECAY * w_out, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h * (1 - branches[i] ** 2)
        d_w = states[i].T @ d_z + RESIDUAL_DECAY * w
        blocks.insert(0, {"w": d_w, "b": d_z.sum(axis=0)})
        d_h = d_h + d_z @ w.T
    first = {"w": x.T @ d_h + RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    first["b"] = first["b"] + RESIDUAL_DECAY * params["in"]["b"]
    for d_block, block in zip(blocks, params["blocks"], strict=True):
        d_block["b"] += RESIDUAL_DECAY * block["b"]
    out["b"] = out["b"] + RESIDUAL_DECAY * params["out"]["b"]
    return {"in": first, "blocks": blocks, "out": out}


def residual_double_decay(params: Any, x: Any, y: Any) -> Any:
    """The half before the decay overlooked."""
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error + 2 * RESIDUAL_DECAY * w_out, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h * (1 - branches[i] ** 2)
        d_w = states[i].T @ d_z + 2 * RESIDUAL_DECAY * w
        blocks.insert(0, {"w": d_w, "b": d_z.sum(axis=0)})
        d_h = d_h + d_z @ w.T
    first = {"w": x.T @ d_h + 2 * RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    return {"in": first, "blocks": blocks, "out": out}


def residual_tanh_of_state(params: Any, x: Any, y: Any) -> Any:
    """1 - h^2 with what leaves the block, not what leaves the tanh."""
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error + RESIDUAL_DECAY * w_out, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h * (1 - states[i + 1] ** 2)
        d_w = states[i].T @ d_z + RESIDUAL_DECAY * w
        blocks.insert(0, {"w": d_w, "b": d_z.sum(axis=0)})
        d_h = d_h + d_z @ w.T
    first = {"w": x.T @ d_h + RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    return {"in": first, "blocks": blocks, "out": out}


def residual_blocks_exchanged(params: Any, x: Any, y: Any) -> Any:
    """Collected from the last to the first, returned so."""
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error + RESIDUAL_DECAY * w_out, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h * (1 - branches[i] ** 2)
        d_w = states[i].T @ d_z + RESIDUAL_DECAY * w
        blocks.append({"w": d_w, "b": d_z.sum(axis=0)})
        d_h = d_h + d_z @ w.T
    first = {"w": x.T @ d_h + RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    return {"in": first, "blocks": blocks, "out": out}


def residual_linear_no_decay(params: Any, x: Any, y: Any) -> Any:
    """No derivative of the tanh, and no decay of the last layer."""
    states, branches, predicted = residual_forward(params, x)
    params = jax.tree.map(np.asarray, params)
    x, error = np.asarray(x), np.asarray((predicted - y) / len(y))
    w_out, w_in = params["out"]["w"], params["in"]["w"]
    out = {"w": states[-1].T @ error, "b": error.sum()}
    d_h = np.outer(error, w_out)
    blocks: list[Any] = []
    for i in reversed(range(len(branches))):
        w = params["blocks"][i]["w"]
        d_z = d_h
        d_w = states[i].T @ d_z + RESIDUAL_DECAY * w
        blocks.insert(0, {"w": d_w, "b": d_z.sum(axis=0)})
        d_h = d_h + d_z @ w.T
    first = {"w": x.T @ d_h + RESIDUAL_DECAY * w_in, "b": d_h.sum(axis=0)}
    return {"in": first, "blocks": blocks, "out": out}


# Leaky relu, dropout by a given mask, classes.

DROPOUT_KEEP = 0.75


def dropout_loss(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    (w1, b1), (w2, b2) = params
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z)  # @dropout_leaky
    h = lax.cond(train, lambda h: h * mask / DROPOUT_KEEP, lambda h: h, h)  # @dropout_drop
    logits = h @ w2 + b2  # @dropout_logits
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=1))  # @dropout_classes


def dropout_grad(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) / len(y)
    d_w2 = h.T @ d_logits
    d_b2 = d_logits.sum(axis=0)
    d_h = d_logits @ w2.T
    d_a = d_h * kept
    d_z = jnp.where(z > 0, d_a, 0.1 * d_a)
    return [(x.T @ d_z, d_z.sum(axis=0)), (d_w2, d_b2)]


def dropout_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, hidden, classes = 8, 5, 6, 3
    params = [
        (draw(random, features, hidden, scale=0.6), draw(random, hidden, scale=0.5)),
        (draw(random, hidden, classes), draw(random, classes, scale=0.5)),
    ]
    y = jnp.eye(classes, dtype=jnp.float32)[random.permutation([0, 0, 0, 1, 1, 1, 2, 2])]
    mask = jnp.asarray(random.random((batch, hidden)) < DROPOUT_KEEP, jnp.float32)
    mask = mask.at[0, 1].set(0)
    return params, (draw(random, batch, features), y, mask, jnp.asarray(True))


def dropout_nothing_dropped(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    """The dropped units trained as the others."""
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) / len(y)
    d_w2 = h.T @ d_logits
    d_b2 = d_logits.sum(axis=0)
    d_h = d_logits @ w2.T
    d_z = jnp.where(z > 0, d_h, 0.1 * d_h)
    return [(x.T @ d_z, d_z.sum(axis=0)), (d_w2, d_b2)]


def dropout_keep_forgotten(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    """The mask without what makes up for it."""
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) / len(y)
    d_w2 = h.T @ d_logits
    d_b2 = d_logits.sum(axis=0)
    d_h = d_logits @ w2.T
    d_a = d_h * jnp.where(train, mask, 1)
    d_z = jnp.where(z > 0, d_a, 0.1 * d_a)
    return [(x.T @ d_z, d_z.sum(axis=0)), (d_w2, d_b2)]


def dropout_not_leaky(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    """The derivative of relu."""
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) / len(y)
    d_w2 = h.T @ d_logits
    d_b2 = d_logits.sum(axis=0)
    d_h = d_logits @ w2.T
    d_a = d_h * kept
    d_z = jnp.where(z > 0, d_a, 0)
    return [(x.T @ d_z, d_z.sum(axis=0)), (d_w2, d_b2)]


def dropout_leaky_gradient(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    """The leaky relu of the gradient, where its sign decides."""
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) / len(y)
    d_w2 = h.T @ d_logits
    d_b2 = d_logits.sum(axis=0)
    d_h = d_logits @ w2.T
    d_a = d_h * kept
    d_z = jnp.where(d_a > 0, d_a, 0.1 * d_a)
    return [(x.T @ d_z, d_z.sum(axis=0)), (d_w2, d_b2)]


def dropout_undropped_input(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    """The last layer's weights with the units as they were before they were dropped."""
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) / len(y)
    d_w2 = jnp.where(z > 0, z, 0.1 * z).T @ d_logits
    d_b2 = d_logits.sum(axis=0)
    d_h = d_logits @ w2.T
    d_a = d_h * kept
    d_z = jnp.where(z > 0, d_a, 0.1 * d_a)
    return [(x.T @ d_z, d_z.sum(axis=0)), (d_w2, d_b2)]


def dropout_kept_axis(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    """Sums that keep the axis of the batch."""
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) / len(y)
    d_w2 = h.T @ d_logits
    d_b2 = d_logits.sum(axis=0, keepdims=True)
    d_h = d_logits @ w2.T
    d_a = d_h * kept
    d_z = jnp.where(z > 0, d_a, 0.1 * d_a)
    return [(x.T @ d_z, d_z.sum(axis=0, keepdims=True)), (d_w2, d_b2)]


def dropout_softmax_squared(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    """The derivative of sigmoids behind p - y, as under squared error."""
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) * p * (1 - p) / len(y)
    d_w2 = h.T @ d_logits
    d_b2 = d_logits.sum(axis=0)
    d_h = d_logits @ w2.T
    d_a = d_h * kept
    d_z = jnp.where(z > 0, d_a, 0.1 * d_a)
    return [(x.T @ d_z, d_z.sum(axis=0)), (d_w2, d_b2)]


def dropout_average_layer(params: Any, x: Any, y: Any, mask: Any, train: Any) -> Any:
    """Mean activations times mean errors in both layers."""
    (w1, b1), (w2, b2) = params
    kept = jnp.where(train, mask / DROPOUT_KEEP, 1)
    z = x @ w1 + b1
    h = jnp.where(z > 0, z, 0.1 * z) * kept
    p = jax.nn.softmax(h @ w2 + b2)
    d_logits = (p - y) / len(y)
    d_w2 = jnp.outer(h.mean(axis=0), d_logits.sum(axis=0))
    d_b2 = d_logits.sum(axis=0)
    d_h = d_logits @ w2.T
    d_a = d_h * kept
    d_z = jnp.where(z > 0, d_a, 0.1 * d_a)
    return [(jnp.outer(x.mean(axis=0), d_z.sum(axis=0)), d_z.sum(axis=0)), (d_w2, d_b2)]


# A gated linear unit under Huber's loss, summed over the batch.


@jax.jit
def gated_unit(value: Any, gate: Any, x: Any) -> Any:
    v = x @ value["w"] + value["b"]
    g = jax.nn.sigmoid(x @ gate["w"] + gate["b"])  # @gated_sigmoid
    return v * g  # @gated_product


def gated_loss(params: Any, x: Any, y: Any) -> Any:
    h = gated_unit(params["value"], params["gate"], x)
    error = h @ params["out"]["w"] + params["out"]["b"] - y
    size = jnp.abs(error)
    return jnp.sum(jnp.where(size < 1, 0.5 * error**2, size - 0.5))  # @gated_huber


def gated_grad(params: Any, x: Any, y: Any) -> Any:
    v = x @ params["value"]["w"] + params["value"]["b"]
    s = x @ params["gate"]["w"] + params["gate"]["b"]
    g = jax.nn.sigmoid(s)
    error = (v * g) @ params["out"]["w"] + params["out"]["b"] - y
    d_error = jnp.clip(error, -1, 1)
    d_h = d_error[:, None] * params["out"]["w"]
    d_v = d_h * g
    d_g = d_h * v
    d_s = d_g * g * (1 - g)
    return {
        "value": {"w": x.T @ d_v, "b": d_v.sum(axis=0)},
        "gate": {"w": x.T @ d_s, "b": d_s.sum(axis=0)},
        "out": {"w": (v * g).T @ d_error, "b": d_error.sum()},
    }


def gated_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, hidden = 9, 4, 5
    params = {
        "value": layer(random, features, hidden, scale=0.8),
        "gate": layer(random, features, hidden, scale=0.8),
        "out": layer(random, hidden, scale=0.8),
    }
    y = draw(random, batch).at[0].add(4).at[1].add(-4)
    return params, (draw(random, batch, features), y)


def gated_gate_fixed(params: Any, x: Any, y: Any) -> Any:
    """The gate never learns."""
    v = x @ params["value"]["w"] + params["value"]["b"]
    s = x @ params["gate"]["w"] + params["gate"]["b"]
    g = jax.nn.sigmoid(s)
    error = (v * g) @ params["out"]["w"] + params["out"]["b"] - y
    d_error = jnp.clip(error, -1, 1)
    d_h = d_error[:, None] * params["out"]["w"]
    d_v = d_h * g
    return {
        "value": {"w": x.T @ d_v, "b": d_v.sum(axis=0)},
        "gate": {
            "w": jnp.zeros_like(params["gate"]["w"]),
            "b": jnp.zeros_like(params["gate"]["b"]),
        },
        "out": {"w": (v * g).T @ d_error, "b": d_error.sum()},
    }


def gated_own_factor(params: Any, x: Any, y: Any) -> Any:
    """The product's derivative by a factor is the other one."""
    v = x @ params["value"]["w"] + params["value"]["b"]
    s = x @ params["gate"]["w"] + params["gate"]["b"]
    g = jax.nn.sigmoid(s)
    error = (v * g) @ params["out"]["w"] + params["out"]["b"] - y
    d_error = jnp.clip(error, -1, 1)
    d_h = d_error[:, None] * params["out"]["w"]
    d_v = d_h * g
    d_g = d_h * g
    d_s = d_g * g * (1 - g)
    return {
        "value": {"w": x.T @ d_v, "b": d_v.sum(axis=0)},
        "gate": {"w": x.T @ d_s, "b": d_s.sum(axis=0)},
        "out": {"w": (v * g).T @ d_error, "b": d_error.sum()},
    }


def gated_sigmoid_of_sum(params: Any, x: Any, y: Any) -> Any:
    """s (1 - s) with the sum before the sigmoid."""
    v = x @ params["value"]["w"] + params["value"]["b"]
    s = x @ params["gate"]["w"] + params["gate"]["b"]
    g = jax.nn.sigmoid(s)
    error = (v * g) @ params["out"]["w"] + params["out"]["b"] - y
    d_error = jnp.clip(error, -1, 1)
    d_h = d_error[:, None] * params["out"]["w"]
    d_v = d_h * g
    d_g = d_h * v
    d_s = d_g * s * (1 - s)
    return {
        "value": {"w": x.T @ d_v, "b": d_v.sum(axis=0)},
        "gate": {"w": x.T @ d_s, "b": d_s.sum(axis=0)},
        "out": {"w": (v * g).T @ d_error, "b": d_error.sum()},
    }


def gated_sigmoid_forgotten(params: Any, x: Any, y: Any) -> Any:
    """The gate taken for linear."""
    v = x @ params["value"]["w"] + params["value"]["b"]
    s = x @ params["gate"]["w"] + params["gate"]["b"]
    g = jax.nn.sigmoid(s)
    error = (v * g) @ params["out"]["w"] + params["out"]["b"] - y
    d_error = jnp.clip(error, -1, 1)
    d_h = d_error[:, None] * params["out"]["w"]
    d_v = d_h * g
    d_g = d_h * v
    d_s = d_g
    return {
        "value": {"w": x.T @ d_v, "b": d_v.sum(axis=0)},
        "gate": {"w": x.T @ d_s, "b": d_s.sum(axis=0)},
        "out": {"w": (v * g).T @ d_error, "b": d_error.sum()},
    }


def gated_not_clipped(params: Any, x: Any, y: Any) -> Any:
    """Squared error far away as well."""
    v = x @ params["value"]["w"] + params["value"]["b"]
    s = x @ params["gate"]["w"] + params["gate"]["b"]
    g = jax.nn.sigmoid(s)
    error = (v * g) @ params["out"]["w"] + params["out"]["b"] - y
    d_error = error
    d_h = d_error[:, None] * params["out"]["w"]
    d_v = d_h * g
    d_g = d_h * v
    d_s = d_g * g * (1 - g)
    return {
        "value": {"w": x.T @ d_v, "b": d_v.sum(axis=0)},
        "gate": {"w": x.T @ d_s, "b": d_s.sum(axis=0)},
        "out": {"w": (v * g).T @ d_error, "b": d_error.sum()},
    }


def gated_value_for_gate(params: Any, x: Any, y: Any) -> Any:
    """The value's gradients for the gate's."""
    v = x @ params["value"]["w"] + params["value"]["b"]
    s = x @ params["gate"]["w"] + params["gate"]["b"]
    g = jax.nn.sigmoid(s)
    error = (v * g) @ params["out"]["w"] + params["out"]["b"] - y
    d_error = jnp.clip(error, -1, 1)
    d_h = d_error[:, None] * params["out"]["w"]
    d_v = d_h * g
    d_g = d_h * v
    d_s = d_g * g * (1 - g)
    return {
        "gate": {"w": x.T @ d_v, "b": d_v.sum(axis=0)},
        "value": {"w": x.T @ d_s, "b": d_s.sum(axis=0)},
        "out": {"w": (v * g).T @ d_error, "b": d_error.sum()},
    }


def gated_ungated(params: Any, x: Any, y: Any) -> Any:
    """The value trained as if the gate were open."""
    v = x @ params["value"]["w"] + params["value"]["b"]
    s = x @ params["gate"]["w"] + params["gate"]["b"]
    g = jax.nn.sigmoid(s)
    error = (v * g) @ params["out"]["w"] + params["out"]["b"] - y
    d_error = jnp.clip(error, -1, 1)
    d_h = d_error[:, None] * params["out"]["w"]
    d_v = d_h
    d_g = d_h * v
    d_s = d_g * g * (1 - g)
    return {
        "value": {"w": x.T @ d_v, "b": d_v.sum(axis=0)},
        "gate": {"w": x.T @ d_s, "b": d_s.sum(axis=0)},
        "out": {"w": (v * g).T @ d_error, "b": d_error.sum()},
    }


# A mixture of experts, of which not all are there for every example, and whose gate is to be even.


def experts_loss(params: Any, x: Any, y: Any, there: Any) -> Any:
    def answer(w: Any, b: Any) -> Any:
        return jnp.tanh(x @ w + b)  # @experts_tanh

    scores = x @ params["gate"]["w"] + params["gate"]["b"]
    p = jax.nn.softmax(jnp.where(there, scores, -jnp.inf))  # @experts_gate
    answers = jax.vmap(answer)(params["experts"]["w"], params["experts"]["b"])
    mixed = jnp.einsum("be,ebo->bo", p, answers)  # @experts_mix
    uneven = jnp.sum(p * jnp.log(jnp.where(there, p, 1)), axis=1)  # @experts_uneven
    return jnp.mean(jnp.sum((mixed - y) ** 2, axis=1) + 0.3 * uneven)


def experts_grad(params: Any, x: Any, y: Any, there: Any) -> Any:
    n = len(x)
    scores = x @ params["gate"]["w"] + params["gate"]["b"]
    p = jax.nn.softmax(jnp.where(there, scores, -jnp.inf))
    weights, biases = params["experts"]["w"], params["experts"]["b"]
    answers = jnp.tanh(jnp.einsum("bd,edo->beo", x, weights) + biases)
    d_mixed = 2 * (jnp.einsum("be,beo->bo", p, answers) - y) / n
    d_answers = p[:, :, None] * d_mixed[:, None]
    d_p = jnp.einsum("bo,beo->be", d_mixed, answers)
    d_p = d_p + 0.3 * (jnp.log(jnp.where(there, p, 1)) + 1) / n
    d_scores = p * (d_p - jnp.sum(p * d_p, axis=1, keepdims=True))
    d_sums = d_answers * (1 - answers**2)
    d_weights = jnp.einsum("bd,beo->edo", x, d_sums)
    return {
        "gate": {"w": x.T @ d_scores, "b": d_scores.sum(axis=0)},
        "experts": {"w": d_weights, "b": d_sums.sum(axis=0)},
    }


def experts_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, experts, out = 8, 5, 4, 3
    params = {
        "gate": layer(random, features, experts),
        "experts": {
            "w": draw(random, experts, features, out, scale=0.6),
            "b": draw(random, experts, out, scale=0.5),
        },
    }
    there = np.ones((batch, experts), bool)
    there[np.arange(batch), random.integers(experts, size=batch)] = False
    y = draw(random, batch, out)
    return params, (draw(random, batch, features), y, jnp.asarray(there))


def experts_log_of_zero(params: Any, x: Any, y: Any, there: Any) -> Any:
    """The logarithm of the share of an expert that is not there."""
    n = len(x)
    scores = x @ params["gate"]["w"] + params["gate"]["b"]
    p = jax.nn.softmax(jnp.where(there, scores, -jnp.inf))
    weights, biases = params["experts"]["w"], params["experts"]["b"]
    answers = jnp.tanh(jnp.einsum("bd,edo->beo", x, weights) + biases)
    d_mixed = 2 * (jnp.einsum("be,beo->bo", p, answers) - y) / n
    d_answers = p[:, :, None] * d_mixed[:, None]
    d_p = jnp.einsum("bo,beo->be", d_mixed, answers)
    d_p = d_p + 0.3 * (jnp.log(p) + 1) / n
    d_scores = p * (d_p - jnp.sum(p * d_p, axis=1, keepdims=True))
    d_sums = d_answers * (1 - answers**2)
    d_weights = jnp.einsum("bd,beo->edo", x, d_sums)
    return {
        "gate": {"w": x.T @ d_scores, "b": d_scores.sum(axis=0)},
        "experts": {"w": d_weights, "b": d_sums.sum(axis=0)},
    }


def experts_softmax_diagonal(params: Any, x: Any, y: Any, there: Any) -> Any:
    """The gate differentiated expert by expert."""
    n = len(x)
    scores = x @ params["gate"]["w"] + params["gate"]["b"]
    p = jax.nn.softmax(jnp.where(there, scores, -jnp.inf))
    weights, biases = params["experts"]["w"], params["experts"]["b"]
    answers = jnp.tanh(jnp.einsum("bd,edo->beo", x, weights) + biases)
    d_mixed = 2 * (jnp.einsum("be,beo->bo", p, answers) - y) / n
    d_answers = p[:, :, None] * d_mixed[:, None]
    d_p = jnp.einsum("bo,beo->be", d_mixed, answers)
    d_p = d_p + 0.3 * (jnp.log(jnp.where(there, p, 1)) + 1) / n
    d_scores = p * (1 - p) * d_p
    d_sums = d_answers * (1 - answers**2)
    d_weights = jnp.einsum("bd,beo->edo", x, d_sums)
    return {
        "gate": {"w": x.T @ d_scores, "b": d_scores.sum(axis=0)},
        "experts": {"w": d_weights, "b": d_sums.sum(axis=0)},
    }


def experts_as_uneven(params: Any, x: Any, y: Any, there: Any) -> Any:
    """What keeps the gate even forgotten."""
    n = len(x)
    scores = x @ params["gate"]["w"] + params["gate"]["b"]
    p = jax.nn.softmax(jnp.where(there, scores, -jnp.inf))
    weights, biases = params["experts"]["w"], params["experts"]["b"]
    answers = jnp.tanh(jnp.einsum("bd,edo->beo", x, weights) + biases)
    d_mixed = 2 * (jnp.einsum("be,beo->bo", p, answers) - y) / n
    d_answers = p[:, :, None] * d_mixed[:, None]
    d_p = jnp.einsum("bo,beo->be", d_mixed, answers)
    d_scores = p * (d_p - jnp.sum(p * d_p, axis=1, keepdims=True))
    d_sums = d_answers * (1 - answers**2)
    d_weights = jnp.einsum("bd,beo->edo", x, d_sums)
    return {
        "gate": {"w": x.T @ d_scores, "b": d_scores.sum(axis=0)},
        "experts": {"w": d_weights, "b": d_sums.sum(axis=0)},
    }


def experts_gate_for_evenness(params: Any, x: Any, y: Any, there: Any) -> Any:
    """The gate hears nothing of the error."""
    n = len(x)
    scores = x @ params["gate"]["w"] + params["gate"]["b"]
    p = jax.nn.softmax(jnp.where(there, scores, -jnp.inf))
    weights, biases = params["experts"]["w"], params["experts"]["b"]
    answers = jnp.tanh(jnp.einsum("bd,edo->beo", x, weights) + biases)
    d_mixed = 2 * (jnp.einsum("be,beo->bo", p, answers) - y) / n
    d_answers = p[:, :, None] * d_mixed[:, None]
    d_p = 0.3 * (jnp.log(jnp.where(there, p, 1)) + 1) / n
    d_scores = p * (d_p - jnp.sum(p * d_p, axis=1, keepdims=True))
    d_sums = d_answers * (1 - answers**2)
    d_weights = jnp.einsum("bd,beo->edo", x, d_sums)
    return {
        "gate": {"w": x.T @ d_scores, "b": d_scores.sum(axis=0)},
        "experts": {"w": d_weights, "b": d_sums.sum(axis=0)},
    }


def experts_equal_shares(params: Any, x: Any, y: Any, there: Any) -> Any:
    """Every expert trained as if it answered alone."""
    n = len(x)
    scores = x @ params["gate"]["w"] + params["gate"]["b"]
    p = jax.nn.softmax(jnp.where(there, scores, -jnp.inf))
    weights, biases = params["experts"]["w"], params["experts"]["b"]
    answers = jnp.tanh(jnp.einsum("bd,edo->beo", x, weights) + biases)
    d_mixed = 2 * (jnp.einsum("be,beo->bo", p, answers) - y) / n
    d_answers = jnp.broadcast_to(d_mixed[:, None], answers.shape)
    d_p = jnp.einsum("bo,beo->be", d_mixed, answers)
    d_p = d_p + 0.3 * (jnp.log(jnp.where(there, p, 1)) + 1) / n
    d_scores = p * (d_p - jnp.sum(p * d_p, axis=1, keepdims=True))
    d_sums = d_answers * (1 - answers**2)
    d_weights = jnp.einsum("bd,beo->edo", x, d_sums)
    return {
        "gate": {"w": x.T @ d_scores, "b": d_scores.sum(axis=0)},
        "experts": {"w": d_weights, "b": d_sums.sum(axis=0)},
    }


def experts_reshaped(params: Any, x: Any, y: Any, there: Any) -> Any:
    """One product for all experts, reshaped as if they came before the inputs."""
    n = len(x)
    scores = x @ params["gate"]["w"] + params["gate"]["b"]
    p = jax.nn.softmax(jnp.where(there, scores, -jnp.inf))
    weights, biases = params["experts"]["w"], params["experts"]["b"]
    answers = jnp.tanh(jnp.einsum("bd,edo->beo", x, weights) + biases)
    d_mixed = 2 * (jnp.einsum("be,beo->bo", p, answers) - y) / n
    d_answers = p[:, :, None] * d_mixed[:, None]
    d_p = jnp.einsum("bo,beo->be", d_mixed, answers)
    d_p = d_p + 0.3 * (jnp.log(jnp.where(there, p, 1)) + 1) / n
    d_scores = p * (d_p - jnp.sum(p * d_p, axis=1, keepdims=True))
    d_sums = d_answers * (1 - answers**2)
    d_weights = (x.T @ d_sums.reshape(n, -1)).reshape(weights.shape)
    return {
        "gate": {"w": x.T @ d_scores, "b": d_scores.sum(axis=0)},
        "experts": {"w": d_weights, "b": d_sums.sum(axis=0)},
    }


def experts_last_expert(params: Any, x: Any, y: Any, there: Any) -> Any:
    """A loop over the experts that ends one early."""
    gate, experts = params["gate"], params["experts"]
    n, count = len(x), len(experts["b"])
    p = jax.nn.softmax(jnp.where(there, x @ gate["w"] + gate["b"], -jnp.inf))
    answers = [jnp.tanh(x @ experts["w"][e] + experts["b"][e]) for e in range(count)]
    error = 2 * (sum(p[:, e, None] * answers[e] for e in range(count)) - y) / n
    d_p = jnp.stack([jnp.sum(error * answer, axis=1) for answer in answers], axis=1)
    d_p = d_p + 0.3 * (jnp.log(jnp.where(there, p, 1)) + 1) / n
    d_scores = p * (d_p - jnp.sum(p * d_p, axis=1, keepdims=True))
    d_w, d_b = jnp.zeros_like(experts["w"]), jnp.zeros_like(experts["b"])
    for e in range(count - 1):
        d_sum = error * p[:, e, None] * (1 - answers[e] ** 2)
        d_w = d_w.at[e].set(x.T @ d_sum)
        d_b = d_b.at[e].set(d_sum.sum(axis=0))
    d_gate = {"w": x.T @ d_scores, "b": d_scores.sum(axis=0)}
    return {"gate": d_gate, "experts": {"w": d_w, "b": d_b}}


# One layer three times over, fed with the input each time.


def again_loss(params: Any, x: Any, y: Any) -> Any:
    def step(h: Any, _: Any) -> Any:
        drive = x @ params["u"] + params["b"]
        return jnp.tanh(h @ params["w"] + drive), None  # @again_step

    h = jnp.zeros((len(x), len(params["b"])), x.dtype)
    h, _ = lax.scan(step, h, None, length=3)
    predicted = h @ params["out"]
    return jnp.mean((predicted - y) ** 2)


def again_grad(params: Any, x: Any, y: Any) -> Any:
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    d_h = np.outer(d_predicted, out)
    for t in range(3, 0, -1):
        d_z = d_h * (1 - states[t] ** 2)
        d_w += states[t - 1].T @ d_z
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w.T
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


def again_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, hidden = 8, 3, 5
    params = {
        "w": draw(random, hidden, hidden, scale=0.5),
        "u": draw(random, features, hidden, scale=0.6),
        "b": draw(random, hidden, scale=0.5),
        "out": draw(random, hidden, scale=0.8),
    }
    return params, (draw(random, batch, features), draw(random, batch))


def again_last_step(params: Any, x: Any, y: Any) -> Any:
    """The last of the three steps only."""
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    d_h = np.outer(d_predicted, out)
    for t in range(3, 2, -1):
        d_z = d_h * (1 - states[t] ** 2)
        d_w += states[t - 1].T @ d_z
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w.T
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


def again_first_step(params: Any, x: Any, y: Any) -> Any:
    """The loop ends before the first step."""
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    d_h = np.outer(d_predicted, out)
    for t in range(3, 1, -1):
        d_z = d_h * (1 - states[t] ** 2)
        d_w += states[t - 1].T @ d_z
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w.T
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


def again_last_step_twice(params: Any, x: Any, y: Any) -> Any:
    """The last step before the loop, and in it."""
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    d_h = np.outer(d_predicted, out)
    d_z = d_h * (1 - states[3] ** 2)
    d_w += states[2].T @ d_z
    d_u += x.T @ d_z
    d_b += d_z.sum(axis=0)
    for t in range(3, 0, -1):
        d_z = d_h * (1 - states[t] ** 2)
        d_w += states[t - 1].T @ d_z
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w.T
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


def again_untransposed(params: Any, x: Any, y: Any) -> Any:
    """The square matrix used as in the forward pass."""
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    d_h = np.outer(d_predicted, out)
    for t in range(3, 0, -1):
        d_z = d_h * (1 - states[t] ** 2)
        d_w += states[t - 1].T @ d_z
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


def again_later_state(params: Any, x: Any, y: Any) -> Any:
    """What the layer made for what it was fed."""
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    d_h = np.outer(d_predicted, out)
    for t in range(3, 0, -1):
        d_z = d_h * (1 - states[t] ** 2)
        d_w += states[t].T @ d_z
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w.T
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


def again_last_tanh(params: Any, x: Any, y: Any) -> Any:
    """The last state's tanh in every step."""
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    d_h = np.outer(d_predicted, out)
    for t in range(3, 0, -1):
        d_z = d_h * (1 - states[-1] ** 2)
        d_w += states[t - 1].T @ d_z
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w.T
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


def again_other_way_round(params: Any, x: Any, y: Any) -> Any:
    """The outer products of the errors with the states."""
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    d_h = np.outer(d_predicted, out)
    for t in range(3, 0, -1):
        d_z = d_h * (1 - states[t] ** 2)
        d_w += d_z.T @ states[t - 1]
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w.T
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


def again_out_first(params: Any, x: Any, y: Any) -> Any:
    """The output's weights updated before they carry the error back."""
    w, u, b, out, x, y = (
        np.asarray(a) for a in (*(params[k] for k in ("w", "u", "b", "out")), x, y)
    )
    states = [np.zeros((len(x), len(b)), x.dtype)]
    for _ in range(3):
        states.append(np.tanh(states[-1] @ w + x @ u + b))
    d_predicted = 2 * (states[-1] @ out - y) / len(y)
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    out = out - 0.1 * states[-1].T @ d_predicted
    d_h = np.outer(d_predicted, out)
    for t in range(3, 0, -1):
        d_z = d_h * (1 - states[t] ** 2)
        d_w += states[t - 1].T @ d_z
        d_u += x.T @ d_z
        d_b += d_z.sum(axis=0)
        d_h = d_z @ w.T
    return {"w": d_w, "u": d_u, "b": d_b, "out": states[-1].T @ d_predicted}


# Skip connections by concatenation, swish and elu.


def skips_loss(params: Any, x: Any, y: Any) -> Any:
    first, second, last = params
    z = x @ first["w"] + first["b"]
    low = z * jax.nn.sigmoid(z)  # @skips_swish
    with_input = jnp.concatenate([low, x], axis=1)  # @skips_input
    high = jax.nn.elu(with_input @ second["w"] + second["b"])  # @skips_elu
    both = jnp.hstack([high, low])  # @skips_both
    out = both @ last["w"] + last["b"]
    return jnp.mean(jnp.sum((out - y) ** 2, axis=1)) / 2


def skips_grad(params: Any, x: Any, y: Any) -> Any:
    first, second, last = params
    z = x @ first["w"] + first["b"]
    g = jax.nn.sigmoid(z)
    low = z * g
    with_input = jnp.hstack([low, x])
    s = with_input @ second["w"] + second["b"]
    high = jnp.where(s > 0, s, jnp.expm1(s))
    both = jnp.hstack([high, low])
    d_out = (both @ last["w"] + last["b"] - y) / len(y)
    d_both = d_out @ last["w"].T
    d_high, d_low = d_both[:, : high.shape[1]], d_both[:, high.shape[1] :]
    d_s = d_high * jnp.where(s > 0, 1, high + 1)
    d_low = d_low + (d_s @ second["w"].T)[:, : low.shape[1]]
    d_z = d_low * (g + z * g * (1 - g))
    d_last = both.T @ d_out
    return (
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": with_input.T @ d_s, "b": d_s.sum(axis=0)},
        {"w": d_last, "b": d_out.sum(axis=0)},
    )


def skips_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, low, high, out = 7, 5, 4, 6, 3
    params = (
        layer(random, features, low),
        layer(random, low + features, high),
        layer(random, high + low, out),
    )
    return params, (draw(random, batch, features), draw(random, batch, out))


def skips_no_skip(params: Any, x: Any, y: Any) -> Any:
    """The low layer trained through the high one only."""
    first, second, last = params
    z = x @ first["w"] + first["b"]
    g = jax.nn.sigmoid(z)
    low = z * g
    with_input = jnp.hstack([low, x])
    s = with_input @ second["w"] + second["b"]
    high = jnp.where(s > 0, s, jnp.expm1(s))
    both = jnp.hstack([high, low])
    d_out = (both @ last["w"] + last["b"] - y) / len(y)
    d_both = d_out @ last["w"].T
    d_high = d_both[:, : high.shape[1]]
    d_s = d_high * jnp.where(s > 0, 1, high + 1)
    d_low = (d_s @ second["w"].T)[:, : low.shape[1]]
    d_z = d_low * (g + z * g * (1 - g))
    d_last = both.T @ d_out
    return (
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": with_input.T @ d_s, "b": d_s.sum(axis=0)},
        {"w": d_last, "b": d_out.sum(axis=0)},
    )


def skips_skip_only(params: Any, x: Any, y: Any) -> Any:
    """The low layer trained around the high one only."""
    first, second, last = params
    z = x @ first["w"] + first["b"]
    g = jax.nn.sigmoid(z)
    low = z * g
    with_input = jnp.hstack([low, x])
    s = with_input @ second["w"] + second["b"]
    high = jnp.where(s > 0, s, jnp.expm1(s))
    both = jnp.hstack([high, low])
    d_out = (both @ last["w"] + last["b"] - y) / len(y)
    d_both = d_out @ last["w"].T
    d_high, d_low = d_both[:, : high.shape[1]], d_both[:, high.shape[1] :]
    d_s = d_high * jnp.where(s > 0, 1, high + 1)
    d_z = d_low * (g + z * g * (1 - g))
    d_last = both.T @ d_out
    return (
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": with_input.T @ d_s, "b": d_s.sum(axis=0)},
        {"w": d_last, "b": d_out.sum(axis=0)},
    )


def skips_elu_value(params: Any, x: Any, y: Any) -> Any:
    """The value of elu for its derivative, which is one more."""
    first, second, last = params
    z = x @ first["w"] + first["b"]
    g = jax.nn.sigmoid(z)
    low = z * g
    with_input = jnp.hstack([low, x])
    s = with_input @ second["w"] + second["b"]
    high = jnp.where(s > 0, s, jnp.expm1(s))
    both = jnp.hstack([high, low])
    d_out = (both @ last["w"] + last["b"] - y) / len(y)
    d_both = d_out @ last["w"].T
    d_high, d_low = d_both[:, : high.shape[1]], d_both[:, high.shape[1] :]
    d_s = d_high * jnp.where(s > 0, 1, high)
    d_low = d_low + (d_s @ second["w"].T)[:, : low.shape[1]]
    d_z = d_low * (g + z * g * (1 - g))
    d_last = both.T @ d_out
    return (
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": with_input.T @ d_s, "b": d_s.sum(axis=0)},
        {"w": d_last, "b": d_out.sum(axis=0)},
    )


def skips_swish_gate(params: Any, x: Any, y: Any) -> Any:
    """One half of the product rule."""
    first, second, last = params
    z = x @ first["w"] + first["b"]
    g = jax.nn.sigmoid(z)
    low = z * g
    with_input = jnp.hstack([low, x])
    s = with_input @ second["w"] + second["b"]
    high = jnp.where(s > 0, s, jnp.expm1(s))
    both = jnp.hstack([high, low])
    d_out = (both @ last["w"] + last["b"] - y) / len(y)
    d_both = d_out @ last["w"].T
    d_high, d_low = d_both[:, : high.shape[1]], d_both[:, high.shape[1] :]
    d_s = d_high * jnp.where(s > 0, 1, high + 1)
    d_low = d_low + (d_s @ second["w"].T)[:, : low.shape[1]]
    d_z = d_low * g
    d_last = both.T @ d_out
    return (
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": with_input.T @ d_s, "b": d_s.sum(axis=0)},
        {"w": d_last, "b": d_out.sum(axis=0)},
    )


def skips_rows_not_filled(params: Any, x: Any, y: Any) -> Any:
    """The rows of the skip connection never filled."""
    first, second, last = params
    z = x @ first["w"] + first["b"]
    g = jax.nn.sigmoid(z)
    low = z * g
    with_input = jnp.hstack([low, x])
    s = with_input @ second["w"] + second["b"]
    high = jnp.where(s > 0, s, jnp.expm1(s))
    both = jnp.hstack([high, low])
    d_out = (both @ last["w"] + last["b"] - y) / len(y)
    d_both = d_out @ last["w"].T
    d_high, d_low = d_both[:, : high.shape[1]], d_both[:, high.shape[1] :]
    d_s = d_high * jnp.where(s > 0, 1, high + 1)
    d_low = d_low + (d_s @ second["w"].T)[:, : low.shape[1]]
    d_z = d_low * (g + z * g * (1 - g))
    d_last = jnp.zeros_like(last["w"]).at[: high.shape[1]].set(high.T @ d_out)
    return (
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": with_input.T @ d_s, "b": d_s.sum(axis=0)},
        {"w": d_last, "b": d_out.sum(axis=0)},
    )


def skips_elu_forgotten(params: Any, x: Any, y: Any) -> Any:
    """The high layer taken for linear."""
    first, second, last = params
    z = x @ first["w"] + first["b"]
    g = jax.nn.sigmoid(z)
    low = z * g
    with_input = jnp.hstack([low, x])
    s = with_input @ second["w"] + second["b"]
    high = jnp.where(s > 0, s, jnp.expm1(s))
    both = jnp.hstack([high, low])
    d_out = (both @ last["w"] + last["b"] - y) / len(y)
    d_both = d_out @ last["w"].T
    d_high, d_low = d_both[:, : high.shape[1]], d_both[:, high.shape[1] :]
    d_s = d_high
    d_low = d_low + (d_s @ second["w"].T)[:, : low.shape[1]]
    d_z = d_low * (g + z * g * (1 - g))
    d_last = both.T @ d_out
    return (
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": with_input.T @ d_s, "b": d_s.sum(axis=0)},
        {"w": d_last, "b": d_out.sum(axis=0)},
    )


def skips_per_output(params: Any, x: Any, y: Any) -> Any:
    """Divided by the number of outputs too."""
    first, second, last = params
    z = x @ first["w"] + first["b"]
    g = jax.nn.sigmoid(z)
    low = z * g
    with_input = jnp.hstack([low, x])
    s = with_input @ second["w"] + second["b"]
    high = jnp.where(s > 0, s, jnp.expm1(s))
    both = jnp.hstack([high, low])
    d_out = (both @ last["w"] + last["b"] - y) / y.size
    d_both = d_out @ last["w"].T
    d_high, d_low = d_both[:, : high.shape[1]], d_both[:, high.shape[1] :]
    d_s = d_high * jnp.where(s > 0, 1, high + 1)
    d_low = d_low + (d_s @ second["w"].T)[:, : low.shape[1]]
    d_z = d_low * (g + z * g * (1 - g))
    d_last = both.T @ d_out
    return (
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": with_input.T @ d_s, "b": d_s.sum(axis=0)},
        {"w": d_last, "b": d_out.sum(axis=0)},
    )


PROBLEMS = (
    Problem(
        "residual",
        residual_loss,
        residual_grad,
        residual_make,
        (
            Fault(
                "dropped_path",
                residual_branch_only,
                ("in.w", "in.b", "blocks.0.w", "blocks.0.b"),
                line="residual_block",
            ),
            Fault(
                "dropped_path",
                residual_around_only,
                ("in.w", "in.b", "blocks.0.w", "blocks.0.b"),
                line="residual_block",
            ),
            Fault(
                "transpose",
                residual_untransposed,
                ("in.w", "in.b", "blocks.0.w", "blocks.0.b"),
                line="residual_block",
            ),
            Fault(
                "regularization",
                residual_biases_decay,
                ("in.b", "blocks.0.b", "blocks.1.b", "out.b"),
                line="residual_decay",
            ),
            Fault(
                "regularization",
                residual_double_decay,
                ("in.w", "blocks.0.w", "blocks.1.w", "out.w"),
                line="residual_decay",
            ),
            Fault(
                "wrong_point",
                residual_tanh_of_state,
                ("in.w", "in.b", "blocks.0.w", "blocks.0.b", "blocks.1.w", "blocks.1.b"),
                line="residual_block",
            ),
            Fault(
                "swapped",
                residual_blocks_exchanged,
                ("blocks.0.w", "blocks.0.b", "blocks.1.w", "blocks.1.b"),
            ),
            Fault(
                "dropped_derivative",
                residual_linear_no_decay,
                ("in.w", "in.b", "blocks.0.w", "blocks.0.b", "blocks.1.w", "blocks.1.b", "out.w"),
                line="residual_block",
                also=("regularization",),
                accept=("regularization",),
            ),
        ),
    ),
    Problem(
        "dropout",
        dropout_loss,
        dropout_grad,
        dropout_make,
        (
            Fault(
                "dropped_derivative", dropout_nothing_dropped, ("0.0", "0.1"), line="dropout_drop"
            ),
            Fault(
                "scale",
                dropout_keep_forgotten,
                ("0.0", "0.1"),
                line="dropout_drop",
                accept=("dropped_derivative",),
            ),
            Fault("wrong_derivative", dropout_not_leaky, ("0.0", "0.1"), line="dropout_leaky"),
            Fault("wrong_point", dropout_leaky_gradient, ("0.0", "0.1"), line="dropout_leaky"),
            Fault("wrong_point", dropout_undropped_input, ("1.0",), line="dropout_logits"),
            Fault("shape", dropout_kept_axis, ("0.1", "1.1")),
            Fault(
                "wrong_loss",
                dropout_softmax_squared,
                ("0.0", "0.1", "1.0", "1.1"),
                line="dropout_classes",
                accept=("wrong_derivative",),
            ),
            Fault("premature_average", dropout_average_layer, ("0.0", "1.0")),
        ),
    ),
    Problem(
        "gated",
        gated_loss,
        gated_grad,
        gated_make,
        (
            Fault("missing", gated_gate_fixed, ("gate.w", "gate.b")),
            Fault(
                "wrong_derivative",
                gated_own_factor,
                ("gate.w", "gate.b"),
                line="gated_product",
                accept=("wrong_point",),
            ),
            Fault("wrong_point", gated_sigmoid_of_sum, ("gate.w", "gate.b"), line="gated_sigmoid"),
            Fault(
                "dropped_derivative",
                gated_sigmoid_forgotten,
                ("gate.w", "gate.b"),
                line="gated_sigmoid",
            ),
            Fault(
                "wrong_loss",
                gated_not_clipped,
                ("value.w", "value.b", "gate.w", "gate.b", "out.w", "out.b"),
                line="gated_huber",
            ),
            Fault("swapped", gated_value_for_gate, ("value.w", "value.b", "gate.w", "gate.b")),
            Fault(
                "dropped_derivative", gated_ungated, ("value.w", "value.b"), line="gated_product"
            ),
        ),
    ),
    Problem(
        "experts",
        experts_loss,
        experts_grad,
        experts_make,
        (
            Fault("nonfinite", experts_log_of_zero, ("gate.w", "gate.b"), line="experts_uneven"),
            Fault(
                "wrong_derivative",
                experts_softmax_diagonal,
                ("gate.w", "gate.b"),
                line="experts_gate",
            ),
            Fault(
                "regularization",
                experts_as_uneven,
                ("gate.w", "gate.b"),
                line="experts_uneven",
                accept=("dropped_path",),
            ),
            Fault(
                "dropped_path", experts_gate_for_evenness, ("gate.w", "gate.b"), line="experts_mix"
            ),
            Fault(
                "dropped_derivative",
                experts_equal_shares,
                ("experts.w", "experts.b"),
                line="experts_mix",
            ),
            Fault("transpose", experts_reshaped, ("experts.w",), line="experts_tanh"),
            Fault("partial_entries", experts_last_expert, ("experts.w", "experts.b")),
        ),
    ),
    Problem(
        "again",
        again_loss,
        again_grad,
        again_make,
        (
            Fault("dropped_path", again_last_step, ("w", "u", "b"), line="again_step"),
            Fault("dropped_path", again_first_step, ("u", "b"), line="again_step"),
            Fault("double_counted", again_last_step_twice, ("w", "u", "b"), line="again_step"),
            Fault("transpose", again_untransposed, ("w", "u", "b"), line="again_step"),
            Fault("wrong_point", again_later_state, ("w",), line="again_step"),
            Fault("wrong_point", again_last_tanh, ("w", "u", "b"), line="again_step"),
            Fault("transpose", again_other_way_round, ("w",), line="again_step"),
            Fault("stale", again_out_first, ("w", "u", "b")),
        ),
    ),
    Problem(
        "skips",
        skips_loss,
        skips_grad,
        skips_make,
        (
            Fault("dropped_path", skips_no_skip, ("0.w", "0.b"), line="skips_both"),
            Fault("dropped_path", skips_skip_only, ("0.w", "0.b"), line="skips_input"),
            Fault(
                "wrong_derivative", skips_elu_value, ("0.w", "0.b", "1.w", "1.b"), line="skips_elu"
            ),
            Fault(
                "wrong_derivative",
                skips_swish_gate,
                ("0.w", "0.b"),
                line="skips_swish",
                accept=("dropped_path",),
            ),
            Fault("partial_entries", skips_rows_not_filled, ("2.w",)),
            Fault(
                "dropped_derivative",
                skips_elu_forgotten,
                ("0.w", "0.b", "1.w", "1.b"),
                line="skips_elu",
            ),
            Fault("scale", skips_per_output, ("0.w", "0.b", "1.w", "1.b", "2.w", "2.b")),
        ),
    ),
)
