"""Normalised networks: over the batch, over the features, by the root mean square, of weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Fault, Problem


def draw(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


# Batch normalisation between a linear layer and tanh.


def batch_loss(params: Any, x: Any, y: Any) -> Any:
    h = x @ params["w"]
    mean = h.mean(axis=0)  # @batch_mean
    std = jnp.sqrt(jnp.mean((h - mean) ** 2, axis=0) + 1e-3)  # @batch_std
    normal = (h - mean) / std  # @batch_normal
    a = jnp.tanh(params["gamma"] * normal + params["beta"])  # @batch_tanh
    out = a @ params["v"] + params["c"]
    return jnp.mean(jnp.sum((out - y) ** 2, axis=1))


def batch_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "w": draw(rng, 5, 4),
        "gamma": 1 + 0.3 * draw(rng, 4),
        "beta": 0.5 * draw(rng, 4),
        "v": draw(rng, 4, 3),
        "c": draw(rng, 3),
    }
    return params, (draw(rng, 8, 5), draw(rng, 8, 3))


def batch_forward(params: Any, x: Any, y: Any) -> Any:
    h = x @ params["w"]
    centred = h - h.mean(0)
    std = jnp.sqrt((centred**2).mean(0) + 1e-3)
    normal = centred / std
    a = jnp.tanh(params["gamma"] * normal + params["beta"])
    dout = 2 * (a @ params["v"] + params["c"] - y) / len(x)
    return h, centred, std, normal, a, dout


def batch_grad(params: Any, x: Any, y: Any) -> Any:
    _, centred, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dvar = (dnormal * centred).sum(0) * -0.5 * std**-3
    dmean = -dnormal.sum(0) / std
    dh = dnormal / std + (2 * dvar * centred + dmean) / len(x)
    return {
        "w": x.T @ dh,
        "gamma": (dz * normal).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_without_mean(params: Any, x: Any, y: Any) -> Any:
    _, centred, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dvar = (dnormal * centred).sum(0) * -0.5 * std**-3
    dh = dnormal / std + 2 * dvar * centred / len(x)
    return {
        "w": x.T @ dh,
        "gamma": (dz * normal).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_without_variance(params: Any, x: Any, y: Any) -> Any:
    _, _, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dmean = -dnormal.sum(0) / std
    dh = dnormal / std + dmean / len(x)
    return {
        "w": x.T @ dh,
        "gamma": (dz * normal).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_statistics_constant(params: Any, x: Any, y: Any) -> Any:
    _, _, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dh = dz * params["gamma"] / std
    return {
        "w": x.T @ dh,
        "gamma": (dz * normal).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_root_without_half(params: Any, x: Any, y: Any) -> Any:
    _, centred, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dvar = (dnormal * centred).sum(0) * -(std**-3)
    dmean = -dnormal.sum(0) / std
    dh = dnormal / std + (2 * dvar * centred + dmean) / len(x)
    return {
        "w": x.T @ dh,
        "gamma": (dz * normal).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_mean_twice(params: Any, x: Any, y: Any) -> Any:
    _, centred, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dcentred = dnormal / std - centred * (dnormal * centred).mean(0) / std**3
    dcentred -= (dnormal / std).mean(0)
    dmean = -(dnormal / std).sum(0)
    dh = dcentred + dmean / len(x)
    return {
        "w": x.T @ dh,
        "gamma": (dz * normal).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_not_divided(params: Any, x: Any, y: Any) -> Any:
    _, centred, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dvar = (dnormal * centred).sum(0) * -0.5 * std**-3
    dmean = -dnormal.sum(0)
    dh = dnormal + (2 * dvar * centred + dmean) / len(x)
    return {
        "w": x.T @ dh,
        "gamma": (dz * normal).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_gamma_of_raw(params: Any, x: Any, y: Any) -> Any:
    h, centred, std, _, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dvar = (dnormal * centred).sum(0) * -0.5 * std**-3
    dmean = -dnormal.sum(0) / std
    dh = dnormal / std + (2 * dvar * centred + dmean) / len(x)
    return {
        "w": x.T @ dh,
        "gamma": (dz * h).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_affine_exchanged(params: Any, x: Any, y: Any) -> Any:
    _, centred, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dvar = (dnormal * centred).sum(0) * -0.5 * std**-3
    dmean = -dnormal.sum(0) / std
    dh = dnormal / std + (2 * dvar * centred + dmean) / len(x)
    return {
        "w": x.T @ dh,
        "gamma": dz.sum(0),
        "beta": (dz * normal).sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_gamma_not_summed(params: Any, x: Any, y: Any) -> Any:
    _, centred, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dvar = (dnormal * centred).sum(0) * -0.5 * std**-3
    dmean = -dnormal.sum(0) / std
    dh = dnormal / std + (2 * dvar * centred + dmean) / len(x)
    return {
        "w": x.T @ dh,
        "gamma": dz * normal,
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": dout.sum(0),
    }


def batch_two_slips(params: Any, x: Any, y: Any) -> Any:
    _, centred, std, normal, a, dout = batch_forward(params, x, y)
    dz = (dout @ params["v"].T) * (1 - a**2)
    dnormal = dz * params["gamma"]
    dvar = (dnormal * centred).sum(0) * -0.5 * std**-3
    dh = dnormal / std + 2 * dvar * centred / len(x)
    return {
        "w": x.T @ dh,
        "gamma": (dz * normal).sum(0),
        "beta": dz.sum(0),
        "v": a.T @ dout,
        "c": -dout.sum(0),
    }


# Layer normalisation of the hidden units, then a softmax; one example at a time by vmap.


def normalise(h: Any, gamma: Any, beta: Any) -> Any:
    centred = h - jnp.mean(h)  # @layer_centre
    normal = centred / jnp.sqrt(jnp.mean(centred**2) + 1e-2)  # @layer_divide
    return gamma * normal + beta  # @layer_affine


def layer_example(params: Any, x: Any, label: Any) -> Any:
    h = x @ params["dense"]["w"] + params["dense"]["b"]
    a = jax.nn.sigmoid(normalise(h, params["norm"]["gamma"], params["norm"]["beta"]))
    logits = a @ params["head"]["w"] + params["head"]["b"]  # @layer_head
    return -jax.nn.log_softmax(logits)[label]  # @layer_softmax


def layer_loss(params: Any, x: Any, labels: Any) -> Any:
    return jnp.mean(jax.vmap(layer_example, in_axes=(None, 0, 0))(params, x, labels))


def layer_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "dense": {"w": draw(rng, 4, 7), "b": draw(rng, 7)},
        "norm": {"gamma": 1 + 0.4 * draw(rng, 7), "beta": 0.5 * draw(rng, 7)},
        "head": {"w": draw(rng, 7, 3), "b": draw(rng, 3)},
    }
    labels = jnp.asarray(rng.permutation(np.arange(6) % 3), jnp.int32)
    return params, (draw(rng, 6, 4), labels)


def layer_forward(params: Any, x: Any, labels: Any) -> Any:
    p = jax.tree.map(np.asarray, params)
    x, labels = np.asarray(x), np.asarray(labels)
    h = x @ p["dense"]["w"] + p["dense"]["b"]
    centred = h - h.mean(1, keepdims=True)
    std = np.sqrt((centred**2).mean(1, keepdims=True) + h.dtype.type(1e-2))
    normal = centred / std
    a = 1 / (1 + np.exp(-(p["norm"]["gamma"] * normal + p["norm"]["beta"])))
    e = np.exp(a @ p["head"]["w"] + p["head"]["b"])
    d = e / e.sum(1, keepdims=True)
    d[np.arange(len(x)), labels] -= 1
    return p, x, h, std, normal, a, d / len(x)


def layer_grad(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True) - normal * (dn * normal).mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_mean_constant(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - normal * (dn * normal).mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_deviation_constant(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_deviation_twice(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True) - 2 * normal * (dn * normal).mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_without_gamma(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dh = dz - dz.mean(1, keepdims=True) - normal * (dz * normal).mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_not_divided(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, _, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True) - normal * (dn * normal).mean(1, keepdims=True)
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_gamma_of_means(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True) - normal * (dn * normal).mean(1, keepdims=True)
    dh /= std
    grad_beta = dz.sum(0)
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": grad_beta * normal.mean(0), "beta": grad_beta},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_softmax_diagonal(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, _ = layer_forward(params, x, labels)
    e = np.exp(a @ p["head"]["w"] + p["head"]["b"])
    prob = e / e.sum(1, keepdims=True)
    target = np.zeros_like(prob)
    target[np.arange(len(x)), np.asarray(labels)] = 1
    d = -(target / prob) * prob * (1 - prob) / len(x)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True) - normal * (dn * normal).mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_beta_forgotten(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True) - normal * (dn * normal).mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": np.zeros_like(p["norm"]["beta"])},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


def layer_head_of_raw_units(params: Any, x: Any, labels: Any) -> Any:
    p, x, h, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True) - normal * (dn * normal).mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh.sum(0)},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": h.T @ d, "b": d.sum(0)},
    }


def layer_first_row_only(params: Any, x: Any, labels: Any) -> Any:
    p, x, _, std, normal, a, d = layer_forward(params, x, labels)
    dz = (d @ p["head"]["w"].T) * a * (1 - a)
    dn = dz * p["norm"]["gamma"]
    dh = dn - dn.mean(1, keepdims=True) - normal * (dn * normal).mean(1, keepdims=True)
    dh /= std
    return {
        "dense": {"w": x.T @ dh, "b": dh[0]},
        "norm": {"gamma": (dz * normal).sum(0), "beta": dz.sum(0)},
        "head": {"w": a.T @ d, "b": d.sum(0)},
    }


# Normalised by the root mean square, without a bias, so that a padded row of zeros stays zero.


def rms_loss(params: Any, x: Any, y: Any) -> Any:
    w, scale, out = params
    h = x @ w
    rms = jnp.sqrt(jnp.mean(h**2, axis=-1, keepdims=True) + 1e-2)  # @rms_root
    normal = h / rms
    a = jax.nn.softplus(scale * normal)  # @rms_softplus
    prediction = jnp.einsum("nh,h->n", a, out)
    error = prediction - y
    return jnp.mean(jnp.log(jnp.cosh(error)))  # @rms_logcosh


def rms_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    x = draw(rng, 7, 5).at[rng.integers(7)].set(0)
    params = (draw(rng, 5, 6), 1 + 0.4 * draw(rng, 6), draw(rng, 6))
    return params, (x, draw(rng, 7))


def rms_forward(params: Any, x: Any, y: Any) -> Any:
    w, scale, out = params
    h = x @ w
    rms = jnp.sqrt((h**2).mean(-1, keepdims=True) + 1e-2)
    normal = h / rms
    z = scale * normal
    a = jnp.log1p(jnp.exp(z))
    return h, rms, normal, z, a, a @ out - y


def rms_grad(params: Any, x: Any, y: Any) -> Any:
    _, scale, out = params
    _, rms, normal, z, a, error = rms_forward(params, x, y)
    d = jnp.tanh(error) / len(y)
    dz = jnp.outer(d, out) / (1 + jnp.exp(-z))
    dn = dz * scale
    dh = (dn - normal * (dn * normal).mean(-1, keepdims=True)) / rms
    return x.T @ dh, (dz * normal).sum(0), a.T @ d


def rms_constant(params: Any, x: Any, y: Any) -> Any:
    _, scale, out = params
    _, rms, normal, z, a, error = rms_forward(params, x, y)
    d = jnp.tanh(error) / len(y)
    dz = jnp.outer(d, out) / (1 + jnp.exp(-z))
    dh = dz * scale / rms
    return x.T @ dh, (dz * normal).sum(0), a.T @ d


def rms_root_without_half(params: Any, x: Any, y: Any) -> Any:
    _, scale, out = params
    h, rms, normal, z, a, error = rms_forward(params, x, y)
    d = jnp.tanh(error) / len(y)
    dz = jnp.outer(d, out) / (1 + jnp.exp(-z))
    dn = dz * scale
    drms = -(dn * h).sum(-1, keepdims=True) / rms**2
    dmean_square = drms / rms
    dh = dn / rms + dmean_square * 2 * h / h.shape[-1]
    return x.T @ dh, (dz * normal).sum(0), a.T @ d


def rms_square_without_two(params: Any, x: Any, y: Any) -> Any:
    _, scale, out = params
    h, rms, normal, z, a, error = rms_forward(params, x, y)
    d = jnp.tanh(error) / len(y)
    dz = jnp.outer(d, out) / (1 + jnp.exp(-z))
    dn = dz * scale
    drms = -(dn * h).sum(-1, keepdims=True) / rms**2
    dmean_square = 0.5 * drms / rms
    dh = dn / rms + dmean_square * h / h.shape[-1]
    return x.T @ dh, (dz * normal).sum(0), a.T @ d


def rms_without_epsilon(params: Any, x: Any, y: Any) -> Any:
    _, scale, out = params
    h, _, normal, z, a, error = rms_forward(params, x, y)
    d = jnp.tanh(error) / len(y)
    dz = jnp.outer(d, out) / (1 + jnp.exp(-z))
    dn = dz * scale
    root = jnp.sqrt((h**2).mean(-1, keepdims=True))
    unit = h / root
    dh = (dn - unit * (dn * unit).mean(-1, keepdims=True)) / root
    return x.T @ dh, (dz * normal).sum(0), a.T @ d


def rms_slope_at_normal(params: Any, x: Any, y: Any) -> Any:
    _, scale, out = params
    _, rms, normal, _, a, error = rms_forward(params, x, y)
    d = jnp.tanh(error) / len(y)
    dz = jnp.outer(d, out) / (1 + jnp.exp(-normal))
    dn = dz * scale
    dh = (dn - normal * (dn * normal).mean(-1, keepdims=True)) / rms
    return x.T @ dh, (dz * normal).sum(0), a.T @ d


def rms_error_itself(params: Any, x: Any, y: Any) -> Any:
    _, scale, out = params
    _, rms, normal, z, a, error = rms_forward(params, x, y)
    d = error / len(y)
    dz = jnp.outer(d, out) / (1 + jnp.exp(-z))
    dn = dz * scale
    dh = (dn - normal * (dn * normal).mean(-1, keepdims=True)) / rms
    return x.T @ dh, (dz * normal).sum(0), a.T @ d


def rms_leaves_exchanged(params: Any, x: Any, y: Any) -> Any:
    _, scale, out = params
    _, rms, normal, z, a, error = rms_forward(params, x, y)
    d = jnp.tanh(error) / len(y)
    grad_out = a.T @ d
    dz = jnp.outer(d, out) / (1 + jnp.exp(-z))
    grad_scale = (dz * normal).sum(0)
    dn = dz * scale
    dh = (dn - normal * (dn * normal).mean(-1, keepdims=True)) / rms
    return x.T @ dh, grad_out, grad_scale


# Weights as lengths times directions, with a penalty on the lengths.


def lengths_loss(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms = jnp.sqrt(jnp.sum(params["v"] ** 2, axis=0))  # @lengths_norm
    w = params["g"] * params["v"] / norms  # @lengths_weights
    z = x @ w + params["b"]  # @lengths_product
    a = jnp.where(z > 0, z, jnp.expm1(z))  # @lengths_elu
    fit = jnp.mean((a @ params["out"] - y) ** 2)
    return fit + 0.5 * strength * jnp.sum(params["g"] ** 2)  # @lengths_penalty


def lengths_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "v": draw(rng, 6, 4),
        "g": jnp.asarray(rng.uniform(0.5, 2, size=4), jnp.float32),
        "b": draw(rng, 4),
        "out": draw(rng, 4),
    }
    return params, (draw(rng, 9, 6), draw(rng, 9), 0.4)


def lengths_forward(params: Any, x: Any, y: Any) -> Any:
    norms = jnp.linalg.norm(params["v"], axis=0)
    unit = params["v"] / norms
    z = x @ (params["g"] * unit) + params["b"]
    a = jnp.where(z > 0, z, jnp.exp(z) - 1)
    return norms, unit, z, a, 2 * (a @ params["out"] - y) / len(y)


def lengths_grad(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(z))
    dw = x.T @ dz
    along = (dw * unit).sum(0)
    return {
        "v": params["g"] / norms * (dw - along * unit),
        "g": along + strength * params["g"],
        "b": dz.sum(0),
        "out": a.T @ d,
    }


def lengths_not_projected(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(z))
    dw = x.T @ dz
    return {
        "v": params["g"] / norms * dw,
        "g": (dw * unit).sum(0) + strength * params["g"],
        "b": dz.sum(0),
        "out": a.T @ d,
    }


def lengths_directions_without_length(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(z))
    dw = x.T @ dz
    along = (dw * unit).sum(0)
    return {
        "v": (dw - along * unit) / norms,
        "g": along + strength * params["g"],
        "b": dz.sum(0),
        "out": a.T @ d,
    }


def lengths_direction_not_normalised(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(z))
    dw = x.T @ dz
    along = (dw * unit).sum(0)
    return {
        "v": params["g"] / norms * (dw - along * unit),
        "g": (dw * params["v"]).sum(0) + strength * params["g"],
        "b": dz.sum(0),
        "out": a.T @ d,
    }


def lengths_exchanged(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(z))
    dw = x.T @ dz
    along = (dw * unit).sum(0)
    return {
        "v": params["g"] / norms * (dw - along * unit),
        "g": dz.sum(0),
        "b": along + strength * params["g"],
        "out": a.T @ d,
    }


def lengths_penalty_forgotten(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(z))
    dw = x.T @ dz
    along = (dw * unit).sum(0)
    return {
        "v": params["g"] / norms * (dw - along * unit),
        "g": along,
        "b": dz.sum(0),
        "out": a.T @ d,
    }


def lengths_penalty_on_directions(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(z))
    dw = x.T @ dz
    along = (dw * unit).sum(0)
    return {
        "v": params["g"] / norms * (dw - along * unit) + strength * params["v"],
        "g": along + strength * params["g"],
        "b": dz.sum(0),
        "out": a.T @ d,
    }


def lengths_elu_slope_of_output(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(a))
    dw = x.T @ dz
    along = (dw * unit).sum(0)
    return {
        "v": params["g"] / norms * (dw - along * unit),
        "g": along + strength * params["g"],
        "b": dz.sum(0),
        "out": a.T @ d,
    }


def lengths_elu_as_relu(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * (z > 0)
    dw = x.T @ dz
    along = (dw * unit).sum(0)
    return {
        "v": params["g"] / norms * (dw - along * unit),
        "g": along + strength * params["g"],
        "b": dz.sum(0),
        "out": a.T @ d,
    }


def lengths_reshaped(params: Any, x: Any, y: Any, strength: Any) -> Any:
    norms, unit, z, a, d = lengths_forward(params, x, y)
    dz = jnp.outer(d, params["out"]) * jnp.where(z > 0, 1, jnp.exp(z))
    dw = (dz.T @ x).reshape(unit.shape)
    along = (dw * unit).sum(0)
    return {
        "v": params["g"] / norms * (dw - along * unit),
        "g": along + strength * params["g"],
        "b": dz.sum(0),
        "out": a.T @ d,
    }


LAYER_DENSE = ("dense.b", "dense.w")
LAYER_ALL = (*LAYER_DENSE, "head.b", "head.w", "norm.beta", "norm.gamma")

PROBLEMS = (
    Problem(
        "batch",
        batch_loss,
        batch_grad,
        batch_data,
        (
            Fault("dropped_path", batch_without_mean, ("w",), "batch_mean"),
            Fault("dropped_path", batch_without_variance, ("w",), "batch_std"),
            # Neither the mean nor the deviation is differentiated.
            Fault(
                "dropped_path",
                batch_statistics_constant,
                ("w",),
                "batch_std",
                also=("dropped_path",),
            ),
            # As large as the path through the deviation counted twice.
            Fault(
                "wrong_derivative",
                batch_root_without_half,
                ("w",),
                "batch_std",
                accept=("double_counted",),
            ),
            Fault("double_counted", batch_mean_twice, ("w",), "batch_mean"),
            Fault("dropped_derivative", batch_not_divided, ("w",), "batch_normal"),
            Fault("wrong_point", batch_gamma_of_raw, ("gamma",), "batch_tanh"),
            Fault("swapped", batch_affine_exchanged, ("beta", "gamma")),
            Fault("shape", batch_gamma_not_summed, ("gamma",)),
            Fault(
                "dropped_path",
                batch_two_slips,
                ("c", "w"),
                "batch_mean",
                also=("sign",),
                accept=("sign",),
            ),
        ),
    ),
    Problem(
        "layer",
        layer_loss,
        layer_grad,
        layer_data,
        (
            Fault("dropped_path", layer_mean_constant, LAYER_DENSE, "layer_centre"),
            Fault("dropped_path", layer_deviation_constant, LAYER_DENSE, "layer_divide"),
            Fault(
                "double_counted",
                layer_deviation_twice,
                LAYER_DENSE,
                "layer_divide",
                accept=("wrong_derivative",),
            ),
            Fault("dropped_derivative", layer_without_gamma, LAYER_DENSE, "layer_affine"),
            Fault("dropped_derivative", layer_not_divided, LAYER_DENSE, "layer_divide"),
            Fault("premature_average", layer_gamma_of_means, ("norm.gamma",), "layer_affine"),
            Fault("wrong_derivative", layer_softmax_diagonal, LAYER_ALL, "layer_softmax"),
            Fault("missing", layer_beta_forgotten, ("norm.beta",)),
            Fault("wrong_point", layer_head_of_raw_units, ("head.w",), "layer_head"),
            Fault("partial_batch", layer_first_row_only, ("dense.b",)),
        ),
    ),
    Problem(
        "rms",
        rms_loss,
        rms_grad,
        rms_data,
        (
            Fault("dropped_path", rms_constant, ("0",), "rms_root"),
            Fault(
                "wrong_derivative",
                rms_root_without_half,
                ("0",),
                "rms_root",
                accept=("double_counted",),
            ),
            Fault(
                "wrong_derivative",
                rms_square_without_two,
                ("0",),
                "rms_root",
                accept=("dropped_derivative",),
            ),
            Fault("nonfinite", rms_without_epsilon, ("0",), "rms_root"),
            Fault("wrong_point", rms_slope_at_normal, ("0", "1"), "rms_softplus"),
            Fault("wrong_loss", rms_error_itself, ("0", "1", "2"), "rms_logcosh"),
            Fault("swapped", rms_leaves_exchanged, ("1", "2")),
        ),
    ),
    Problem(
        "lengths",
        lengths_loss,
        lengths_grad,
        lengths_data,
        (
            Fault("dropped_path", lengths_not_projected, ("v",), "lengths_norm"),
            Fault(
                "dropped_derivative", lengths_directions_without_length, ("v",), "lengths_weights"
            ),
            Fault(
                "wrong_point",
                lengths_direction_not_normalised,
                ("g",),
                "lengths_weights",
                accept=("dropped_derivative",),
            ),
            Fault("swapped", lengths_exchanged, ("b", "g")),
            Fault("regularization", lengths_penalty_forgotten, ("g",), "lengths_penalty"),
            Fault("regularization", lengths_penalty_on_directions, ("v",), "lengths_penalty"),
            Fault("wrong_point", lengths_elu_slope_of_output, ("b", "g", "v"), "lengths_elu"),
            Fault("wrong_derivative", lengths_elu_as_relu, ("b", "g", "v"), "lengths_elu"),
            Fault("transpose", lengths_reshaped, ("g", "v"), "lengths_product"),
        ),
    ),
)
