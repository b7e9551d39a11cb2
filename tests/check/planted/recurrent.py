"""Recurrent networks: a loop over time, a scan, a gated cell, a leaky integrator."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Fault, Problem


def draw(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


# A tanh network unrolled in a loop; the last state is read out. x is batch, time, features.


def unrolled_loss(params: Any, x: Any, y: Any) -> Any:
    wx, wh, bh = params["wx"], params["wh"], params["bh"]
    h = jnp.zeros((x.shape[0], wh.shape[0]), x.dtype)
    for t in range(x.shape[1]):
        z = x[:, t] @ wx + h @ wh + bh  # @unrolled_drive
        h = jnp.tanh(z)  # @unrolled_tanh
    out = h @ params["wo"] + params["bo"]
    return jnp.mean(jnp.sum((out - y) ** 2, axis=1))


def unrolled_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "wx": 0.6 * draw(rng, 3, 5),
        "wh": 0.5 * draw(rng, 5, 5),
        "bh": 0.3 * draw(rng, 5),
        "wo": draw(rng, 5, 2),
        "bo": draw(rng, 2),
    }
    return params, (draw(rng, 6, 4, 3), draw(rng, 6, 2))


def unrolled_forward(params: Any, x: Any, y: Any) -> Any:
    p = {name: np.asarray(leaf) for name, leaf in params.items()}
    x, y = np.asarray(x), np.asarray(y)
    states = [np.zeros((len(x), len(p["wh"])), x.dtype)]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] @ p["wx"] + states[-1] @ p["wh"] + p["bh"]))
    d_out = 2 * (states[-1] @ p["wo"] + p["bo"] - y) / len(x)
    grads = {name: np.zeros_like(leaf) for name, leaf in p.items()}
    return p, x, states, d_out, grads


def unrolled_grad(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dh = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - states[t + 1] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += states[t].T @ dz
        grads["bh"] += dz.sum(0)
        dh = dz @ p["wh"].T
    return grads


def unrolled_last_step_only(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dz = (d_out @ p["wo"].T) * (1 - states[-1] ** 2)
    grads["wx"] = x[:, -1].T @ dz
    grads["wh"] = states[-2].T @ dz
    grads["bh"] = dz.sum(0)
    return grads


def unrolled_missing_transpose(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dh = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - states[t + 1] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += states[t].T @ dz
        grads["bh"] += dz.sum(0)
        dh = dz @ p["wh"]
    return grads


def unrolled_product_transposed(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dh = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - states[t + 1] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += dz.T @ states[t]
        grads["bh"] += dz.sum(0)
        dh = dz @ p["wh"].T
    return grads


def unrolled_slope_of_earlier_state(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dh = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - states[t] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += states[t].T @ dz
        grads["bh"] += dz.sum(0)
        dh = dz @ p["wh"].T
    return grads


def unrolled_state_after_the_step(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dh = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - states[t + 1] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += states[t + 1].T @ dz
        grads["bh"] += dz.sum(0)
        dh = dz @ p["wh"].T
    return grads


def unrolled_without_slope(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dz = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += states[t].T @ dz
        grads["bh"] += dz.sum(0)
        dz = dz @ p["wh"].T
    return grads


def unrolled_first_step_skipped(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dh = d_out @ p["wo"].T
    for t in range(x.shape[1] - 1, 0, -1):
        dz = dh * (1 - states[t + 1] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += states[t].T @ dz
        grads["bh"] += dz.sum(0)
        dh = dz @ p["wh"].T
    return grads


def unrolled_bias_overwritten(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dh = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - states[t + 1] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += states[t].T @ dz
        grads["bh"] = dz.sum(0)
        dh = dz @ p["wh"].T
    return grads


def unrolled_without_two(params: Any, x: Any, y: Any) -> Any:
    p, x, states, _, grads = unrolled_forward(params, x, y)
    d_out = (states[-1] @ p["wo"] + p["bo"] - np.asarray(y)) / len(x)
    grads["wo"], grads["bo"] = states[-1].T @ d_out, d_out.sum(0)
    dh = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - states[t + 1] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += states[t].T @ dz
        grads["bh"] += dz.sum(0)
        dh = dz @ p["wh"].T
    return grads


def unrolled_two_slips(params: Any, x: Any, y: Any) -> Any:
    p, x, states, d_out, grads = unrolled_forward(params, x, y)
    grads["wo"] = states[-1].T @ d_out
    dh = d_out @ p["wo"].T
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - states[t + 1] ** 2)
        grads["wx"] += x[:, t].T @ dz
        grads["wh"] += dz.T @ states[t]
        grads["bh"] += dz.sum(0)
        dh = dz @ p["wh"].T
    return grads


# The same cell by lax.scan, one sequence at a time by vmap, a label to be told at every step.


def scan_loss(params: Any, xs: Any, labels: Any) -> Any:
    cell, readout = params["cell"], params["readout"]

    def step(h: Any, inputs: Any) -> Any:
        x, label = inputs
        h = jnp.tanh(cell["u"] @ x + cell["w"] @ h + cell["b"])  # @scan_cell
        logits = readout["v"] @ h + readout["c"]  # @scan_logits
        return h, -jax.nn.log_softmax(logits)[label]  # @scan_likelihood

    def sequence(x: Any, label: Any) -> Any:
        _, losses = jax.lax.scan(step, jnp.zeros_like(cell["b"]), (x, label))
        return losses.sum()

    return jnp.mean(jax.vmap(sequence)(xs, labels))


def scan_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "cell": {"u": 0.6 * draw(rng, 6, 4), "w": 0.5 * draw(rng, 6, 6), "b": 0.5 * draw(rng, 6)},
        "readout": {"v": draw(rng, 3, 6), "c": draw(rng, 3)},
    }
    labels = jnp.asarray(rng.integers(3, size=(7, 5)), jnp.int32)
    return params, (draw(rng, 7, 5, 4), labels)


def scan_forward(params: Any, xs: Any, labels: Any) -> Any:
    cell, readout = params["cell"], params["readout"]
    h = jnp.zeros((len(xs), len(cell["b"])), xs.dtype)
    before, after, errors = [], [], []
    for t in range(xs.shape[1]):
        before.append(h)
        h = jnp.tanh(xs[:, t] @ cell["u"].T + h @ cell["w"].T + cell["b"])
        after.append(h)
        p = jax.nn.softmax(h @ readout["v"].T + readout["c"])
        errors.append(p.at[jnp.arange(len(xs)), labels[:, t]].add(-1) / len(xs))
    return before, after, errors


def scan_grad(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    later = jnp.zeros_like(before[0])
    for t in reversed(range(xs.shape[1])):
        dv += errors[t].T @ after[t]
        dc += errors[t].sum(0)
        dz = (errors[t] @ v + later) * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
        later = dz @ w
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_leaves(params: Any) -> Any:
    cell, readout = params["cell"], params["readout"]
    return cell["u"], cell["w"], cell["b"], readout["v"], readout["c"]


def scan_later_forgotten(params: Any, xs: Any, labels: Any) -> Any:
    v = params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    for t in range(xs.shape[1]):
        dv += errors[t].T @ after[t]
        dc += errors[t].sum(0)
        dz = (errors[t] @ v) * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_last_label_only(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db = (jnp.zeros_like(leaf) for leaf in scan_leaves(params)[:3])
    dv, dc = errors[-1].T @ after[-1], errors[-1].sum(0)
    dh = errors[-1] @ v
    for t in reversed(range(xs.shape[1])):
        dz = dh * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
        dh = dz @ w
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_without_square(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    later = jnp.zeros_like(before[0])
    for t in reversed(range(xs.shape[1])):
        dv += errors[t].T @ after[t]
        dc += errors[t].sum(0)
        dz = (errors[t] @ v + later) * (1 - after[t])
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
        later = dz @ w
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_later_twice(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    later = jnp.zeros_like(before[0])
    for t in reversed(range(xs.shape[1])):
        dv += errors[t].T @ after[t]
        dc += errors[t].sum(0)
        dh = errors[t] @ v + later
        dh += later
        dz = dh * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
        later = dz @ w
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_superfluous_transpose(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    later = jnp.zeros_like(before[0])
    for t in reversed(range(xs.shape[1])):
        dv += errors[t].T @ after[t]
        dc += errors[t].sum(0)
        dz = (errors[t] @ v + later) * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
        later = dz @ w.T
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_mean_over_time(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    later = jnp.zeros_like(before[0])
    for t in reversed(range(xs.shape[1])):
        error = errors[t] / xs.shape[1]
        dv += error.T @ after[t]
        dc += error.sum(0)
        dz = (error @ v + later) * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
        later = dz @ w
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_state_before_the_step(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    later = jnp.zeros_like(before[0])
    for t in reversed(range(xs.shape[1])):
        dv += errors[t].T @ before[t]
        dc += errors[t].sum(0)
        dz = (errors[t] @ v + later) * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
        later = dz @ w
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_bias_forgotten(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    later = jnp.zeros_like(before[0])
    for t in reversed(range(xs.shape[1])):
        dv += errors[t].T @ after[t]
        dc += errors[t].sum(0)
        dz = (errors[t] @ v + later) * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        later = dz @ w
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


def scan_first_sequences(params: Any, xs: Any, labels: Any) -> Any:
    w, v = params["cell"]["w"], params["readout"]["v"]
    xs, labels = xs[:4], labels[:4]
    before, after, errors = scan_forward(params, xs, labels)
    du, dw, db, dv, dc = (jnp.zeros_like(leaf) for leaf in scan_leaves(params))
    later = jnp.zeros_like(before[0])
    for t in reversed(range(xs.shape[1])):
        dv += errors[t].T @ after[t]
        dc += errors[t].sum(0)
        dz = (errors[t] @ v + later) * (1 - after[t] ** 2)
        du += dz.T @ xs[:, t]
        dw += dz.T @ before[t]
        db += dz.sum(0)
        later = dz @ w
    return {"cell": {"u": du, "w": dw, "b": db}, "readout": {"v": dv, "c": dc}}


# A gated cell: the gate both forgets and says how much of the state the candidate sees.


def gated_loss(params: Any, x: Any, y: Any) -> Any:
    h = jnp.zeros((x.shape[1], params["bf"].shape[0]), x.dtype)
    for xt in x:
        f = jax.nn.sigmoid(xt @ params["wf"] + h @ params["uf"] + params["bf"])  # @gated_gate
        seen = f * h  # @gated_seen
        c = jnp.tanh(xt @ params["wc"] + seen @ params["uc"] + params["bc"])  # @gated_candidate
        h = (1 - f) * h + f * c  # @gated_blend
    return 0.5 * jnp.mean(jnp.sum((h - y) ** 2, axis=-1))  # @gated_square


def gated_data(seed: int) -> Any:
    """x is time, batch, features."""
    rng = np.random.default_rng(seed)
    params = {
        "wf": draw(rng, 3, 4),
        "uf": draw(rng, 4, 4),
        "bf": draw(rng, 4),
        "wc": draw(rng, 3, 4),
        "uc": draw(rng, 4, 4),
        "bc": draw(rng, 4),
    }
    return params, (0.7 * draw(rng, 5, 6, 3), draw(rng, 6, 4))


def gated_forward(params: Any, x: Any) -> Any:
    h = jnp.zeros((x.shape[1], params["bf"].shape[0]), x.dtype)
    steps = []
    for xt in x:
        f = 1 / (1 + jnp.exp(-(xt @ params["wf"] + h @ params["uf"] + params["bf"])))
        c = jnp.tanh(xt @ params["wc"] + (f * h) @ params["uc"] + params["bc"])
        steps.append((xt, h, f, c))
        h = (1 - f) * h + f * c
    return h, steps, {name: jnp.zeros_like(leaf) for name, leaf in params.items()}


def gated_add(grads: Any, xt: Any, h: Any, f: Any, dzf: Any, dzc: Any) -> Any:
    return {
        "wf": grads["wf"] + xt.T @ dzf,
        "uf": grads["uf"] + h.T @ dzf,
        "bf": grads["bf"] + dzf.sum(0),
        "wc": grads["wc"] + xt.T @ dzc,
        "uc": grads["uc"] + (f * h).T @ dzc,
        "bc": grads["bc"] + dzc.sum(0),
    }


def gated_grad(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        df = dh * (c - h) + dseen * h
        dzf = df * f * (1 - f)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dh = dh * (1 - f) + dseen * f + dzf @ params["uf"].T
    return grads


def gated_carry_dropped(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        df = dh * (c - h) + dseen * h
        dzf = df * f * (1 - f)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dh = dseen * f + dzf @ params["uf"].T
    return grads


def gated_seen_dropped(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        df = dh * (c - h)
        dzf = df * f * (1 - f)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dh = dh * (1 - f) + dseen * f + dzf @ params["uf"].T
    return grads


def gated_kept_part_dropped(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        df = dh * c + dseen * h
        dzf = df * f * (1 - f)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dh = dh * (1 - f) + dseen * f + dzf @ params["uf"].T
    return grads


def gated_gate_sees_no_state(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        df = dh * (c - h) + dseen * h
        dzf = df * f * (1 - f)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dh = dh * (1 - f) + dseen * f
    return grads


def gated_slope_at_candidate(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        df = dh * (c - h) + dseen * h
        dzf = df * c * (1 - c)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dh = dh * (1 - f) + dseen * f + dzf @ params["uf"].T
    return grads


def gated_candidate_counted_twice(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        dprevious = dseen * f
        df = dh * (c - h) + dseen * h
        dzf = df * f * (1 - f)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dprevious += dzf @ params["uf"].T + dh * (1 - f)
        dh = dprevious + dseen * f
    return grads


def gated_candidate_without_slope(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f
        dseen = dzc @ params["uc"].T
        df = dh * (c - h) + dseen * h
        dzf = df * f * (1 - f)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dh = dh * (1 - f) + dseen * f + dzf @ params["uf"].T
    return grads


def gated_inputs_exchanged(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = (last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        df = dh * (c - h) + dseen * h
        dzf = df * f * (1 - f)
        grads["wf"] += xt.T @ dzc
        grads["uf"] += h.T @ dzf
        grads["bf"] += dzf.sum(0)
        grads["wc"] += xt.T @ dzf
        grads["uc"] += (f * h).T @ dzc
        grads["bc"] += dzc.sum(0)
        dh = dh * (1 - f) + dseen * f + dzf @ params["uf"].T
    return grads


def gated_absolute_error(params: Any, x: Any, y: Any) -> Any:
    last, steps, grads = gated_forward(params, x)
    dh = jnp.sign(last - y) / len(y)
    for xt, h, f, c in reversed(steps):
        dzc = dh * f * (1 - c**2)
        dseen = dzc @ params["uc"].T
        df = dh * (c - h) + dseen * h
        dzf = df * f * (1 - f)
        grads = gated_add(grads, xt, h, f, dzf, dzc)
        dh = dh * (1 - f) + dseen * f + dzf @ params["uf"].T
    return grads


# A leaky integrator whose leaks are learnt; every step is read out.


class Leaky(NamedTuple):
    w_in: Any
    w_rec: Any
    leak: Any
    readout: Any


def leaky_loss(params: Any, x: Any, y: Any) -> Any:
    rate = jax.nn.sigmoid(params.leak)  # @leaky_rate

    def step(h: Any, xt: Any) -> Any:
        drive = jax.nn.silu(params.w_in @ xt + params.w_rec @ h)  # @leaky_silu
        h = (1 - rate) * h + rate * drive  # @leaky_update
        return h, params.readout @ h

    start = jnp.zeros((x.shape[0], params.leak.shape[0]), x.dtype)
    _, outputs = jax.vmap(lambda h, xs: jax.lax.scan(step, h, xs))(start, x)
    return jnp.mean((outputs - y) ** 2)


def leaky_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = Leaky(draw(rng, 5, 3), 0.6 * draw(rng, 5, 5), draw(rng, 5), draw(rng, 2, 5))
    return params, (draw(rng, 7, 4, 3), draw(rng, 7, 4, 2))


def leaky_forward(params: Any, x: Any, y: Any) -> Any:
    w_in, w_rec, leak, readout = (np.asarray(leaf) for leaf in params)
    x, y = np.asarray(x), np.asarray(y)
    rate = 1 / (1 + np.exp(-leak))
    h = np.zeros((len(x), len(leak)), x.dtype)
    before, z, after = [], [], []
    for t in range(x.shape[1]):
        before.append(h)
        z.append(x[:, t] @ w_in.T + h @ w_rec.T)
        h = (1 - rate) * h + rate * z[t] / (1 + np.exp(-z[t]))
        after.append(h)
    errors = [2 * (after[t] @ readout.T - y[:, t]) / y.size for t in range(x.shape[1])]
    return x, w_rec, readout, rate, before, z, after, errors


def leaky_grad(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, errors = leaky_forward(params, x, y)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        g.readout[...] += errors[t].T @ after[t]
        dh = dh + errors[t] @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * (s + z[t] * s * (1 - s))
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        g.leak[...] += (dh * (z[t] * s - before[t])).sum(0) * rate * (1 - rate)
        dh = dh * (1 - rate) + dz @ w_rec
    return g


def leaky_fixed_leak(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, errors = leaky_forward(params, x, y)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        g.readout[...] += errors[t].T @ after[t]
        dh = dh + errors[t] @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * (s + z[t] * s * (1 - s))
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        dh = dh * (1 - rate) + dz @ w_rec
    return g


def leaky_rate_for_leak(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, errors = leaky_forward(params, x, y)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        g.readout[...] += errors[t].T @ after[t]
        dh = dh + errors[t] @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * (s + z[t] * s * (1 - s))
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        g.leak[...] += (dh * (z[t] * s - before[t])).sum(0)
        dh = dh * (1 - rate) + dz @ w_rec
    return g


def leaky_slope_at_leak(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, errors = leaky_forward(params, x, y)
    leak = np.asarray(params.leak)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        g.readout[...] += errors[t].T @ after[t]
        dh = dh + errors[t] @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * (s + z[t] * s * (1 - s))
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        g.leak[...] += (dh * (z[t] * s - before[t])).sum(0) * leak * (1 - leak)
        dh = dh * (1 - rate) + dz @ w_rec
    return g


def leaky_carry_dropped(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, errors = leaky_forward(params, x, y)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        g.readout[...] += errors[t].T @ after[t]
        dh = dh + errors[t] @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * (s + z[t] * s * (1 - s))
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        g.leak[...] += (dh * (z[t] * s - before[t])).sum(0) * rate * (1 - rate)
        dh = dz @ w_rec
    return g


def leaky_drive_only(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, errors = leaky_forward(params, x, y)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        g.readout[...] += errors[t].T @ after[t]
        dh = dh + errors[t] @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * (s + z[t] * s * (1 - s))
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        g.leak[...] += (dh * z[t] * s).sum(0) * rate * (1 - rate)
        dh = dh * (1 - rate) + dz @ w_rec
    return g


def leaky_silu_as_sigmoid(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, errors = leaky_forward(params, x, y)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        g.readout[...] += errors[t].T @ after[t]
        dh = dh + errors[t] @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * s * (1 - s)
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        g.leak[...] += (dh * (z[t] * s - before[t])).sum(0) * rate * (1 - rate)
        dh = dh * (1 - rate) + dz @ w_rec
    return g


def leaky_mean_over_batch_only(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, _ = leaky_forward(params, x, y)
    y = np.asarray(y)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        error = 2 * (after[t] @ readout.T - y[:, t]) / len(y)
        g.readout[...] += error.T @ after[t]
        dh = dh + error @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * (s + z[t] * s * (1 - s))
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        g.leak[...] += (dh * (z[t] * s - before[t])).sum(0) * rate * (1 - rate)
        dh = dh * (1 - rate) + dz @ w_rec
    return g


def leaky_means_multiplied(params: Any, x: Any, y: Any) -> Any:
    x, w_rec, readout, rate, before, z, after, errors = leaky_forward(params, x, y)
    g = Leaky(*(np.zeros_like(leaf) for leaf in params))
    dh = np.zeros_like(before[0])
    for t in reversed(range(x.shape[1])):
        g.readout[...] += errors[t].T @ after[t]
        dh = dh + errors[t] @ readout
        s = 1 / (1 + np.exp(-z[t]))
        dz = dh * rate * (s + z[t] * s * (1 - s))
        g.w_in[...] += dz.T @ x[:, t]
        g.w_rec[...] += dz.T @ before[t]
        g.leak[...] += dh.sum(0) * (z[t] * s - before[t]).mean(0) * rate * (1 - rate)
        dh = dh * (1 - rate) + dz @ w_rec
    return g


UNROLLED_CELL = ("bh", "wh", "wx")
SCAN_CELL = ("cell.b", "cell.u", "cell.w")
SCAN_ALL = (*SCAN_CELL, "readout.c", "readout.v")
GATED_ALL = ("bc", "bf", "uc", "uf", "wc", "wf")
LEAKY_CELL = ("leak", "w_in", "w_rec")

PROBLEMS = (
    Problem(
        "unrolled",
        unrolled_loss,
        unrolled_grad,
        unrolled_data,
        (
            Fault("dropped_path", unrolled_last_step_only, UNROLLED_CELL, "unrolled_drive"),
            Fault("transpose", unrolled_missing_transpose, UNROLLED_CELL, "unrolled_drive"),
            Fault("transpose", unrolled_product_transposed, ("wh",), "unrolled_drive"),
            Fault("wrong_point", unrolled_slope_of_earlier_state, UNROLLED_CELL, "unrolled_tanh"),
            Fault("wrong_point", unrolled_state_after_the_step, ("wh",), "unrolled_drive"),
            Fault("dropped_derivative", unrolled_without_slope, UNROLLED_CELL, "unrolled_tanh"),
            # The state before the first step is zero, so wh has nothing to lose there.
            Fault("dropped_path", unrolled_first_step_skipped, ("bh", "wx"), "unrolled_drive"),
            Fault("dropped_path", unrolled_bias_overwritten, ("bh",), "unrolled_drive"),
            Fault("scale", unrolled_without_two, ("bh", "bo", "wh", "wo", "wx")),
            Fault(
                "transpose",
                unrolled_two_slips,
                ("bo", "wh"),
                "unrolled_drive",
                also=("missing",),
                accept=("missing",),
            ),
        ),
    ),
    Problem(
        "scan",
        scan_loss,
        scan_grad,
        scan_data,
        (
            Fault("dropped_path", scan_later_forgotten, SCAN_CELL, "scan_cell"),
            Fault(
                "dropped_path",
                scan_last_label_only,
                SCAN_ALL,
                "scan_likelihood",
                accept=("wrong_loss",),
            ),
            Fault("wrong_derivative", scan_without_square, SCAN_CELL, "scan_cell"),
            Fault("double_counted", scan_later_twice, SCAN_CELL, "scan_cell"),
            Fault("transpose", scan_superfluous_transpose, SCAN_CELL, "scan_cell"),
            Fault("scale", scan_mean_over_time, SCAN_ALL),
            Fault("wrong_point", scan_state_before_the_step, ("readout.v",), "scan_logits"),
            Fault("missing", scan_bias_forgotten, ("cell.b",)),
            Fault("partial_batch", scan_first_sequences, SCAN_ALL),
        ),
    ),
    Problem(
        "gated",
        gated_loss,
        gated_grad,
        gated_data,
        (
            Fault("dropped_path", gated_carry_dropped, GATED_ALL, "gated_blend"),
            Fault("dropped_path", gated_seen_dropped, GATED_ALL, "gated_seen"),
            Fault("dropped_path", gated_kept_part_dropped, GATED_ALL, "gated_blend"),
            Fault("dropped_path", gated_gate_sees_no_state, GATED_ALL, "gated_gate"),
            Fault("wrong_point", gated_slope_at_candidate, GATED_ALL, "gated_gate"),
            Fault("double_counted", gated_candidate_counted_twice, GATED_ALL, "gated_seen"),
            Fault(
                "dropped_derivative", gated_candidate_without_slope, GATED_ALL, "gated_candidate"
            ),
            Fault("swapped", gated_inputs_exchanged, ("wc", "wf")),
            Fault("wrong_loss", gated_absolute_error, GATED_ALL, "gated_square"),
        ),
    ),
    Problem(
        "leaky",
        leaky_loss,
        leaky_grad,
        leaky_data,
        (
            Fault("missing", leaky_fixed_leak, ("leak",)),
            Fault("dropped_derivative", leaky_rate_for_leak, ("leak",), "leaky_rate"),
            Fault("wrong_point", leaky_slope_at_leak, ("leak",), "leaky_rate"),
            Fault("dropped_path", leaky_carry_dropped, LEAKY_CELL, "leaky_update"),
            Fault("dropped_path", leaky_drive_only, ("leak",), "leaky_update"),
            Fault("wrong_derivative", leaky_silu_as_sigmoid, LEAKY_CELL, "leaky_silu"),
            Fault("scale", leaky_mean_over_batch_only, (*LEAKY_CELL, "readout")),
            Fault("premature_average", leaky_means_multiplied, ("leak",), "leaky_update"),
        ),
    ),
)
