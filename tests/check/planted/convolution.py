"""Convolutions in one and two dimensions, pooled by mean or maximum and flattened."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Fault, Problem


def draw(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


# One channel, slices for windows, averaged over the positions, one output.


def slices_loss(params: Any, x: Any, y: Any) -> Any:
    taps = params["kernel"].shape[0]
    positions = x.shape[1] - taps + 1
    windows = jnp.stack([x[:, i : i + positions] for i in range(taps)], axis=-1)
    z = windows @ params["kernel"] + params["bias"]  # @slices_convolution
    a = jnp.tanh(z)  # @slices_tanh
    pooled = a.mean(axis=1)  # @slices_pool
    output = pooled @ params["head"] + params["offset"]  # @slices_head
    return jnp.mean((output - y) ** 2)  # @slices_square


def slices_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "kernel": 0.7 * draw(rng, 3, 4),
        "bias": 0.5 * draw(rng, 4),
        "head": draw(rng, 4),
        "offset": draw(rng),
    }
    return params, (draw(rng, 7, 8), draw(rng, 7))


def slices_forward(params: Any, x: Any) -> Any:
    kernel, x = np.asarray(params["kernel"]), np.asarray(x)
    windows = np.lib.stride_tricks.sliding_window_view(x, len(kernel), axis=1)
    a = np.tanh(windows @ kernel + np.asarray(params["bias"]))
    head = np.asarray(params["head"])
    return windows, a, head, a.mean(1) @ head + np.asarray(params["offset"])


def slices_grad(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    n, positions = a.shape[:2]
    d = 2 * (output - np.asarray(y)) / n
    dz = d[:, None, None] * head / positions * (1 - a**2)
    return {
        "kernel": np.einsum("npk,npc->kc", windows, dz),
        "bias": dz.sum((0, 1)),
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


def slices_pool_not_averaged(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    d = 2 * (output - np.asarray(y)) / len(a)
    dz = d[:, None, None] * head * (1 - a**2)
    return {
        "kernel": np.einsum("npk,npc->kc", windows, dz),
        "bias": dz.sum((0, 1)),
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


def slices_flipped(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    n, positions = a.shape[:2]
    d = 2 * (output - np.asarray(y)) / n
    dz = d[:, None, None] * head / positions * (1 - a**2)
    return {
        "kernel": np.einsum("npk,npc->kc", windows[..., ::-1], dz),
        "bias": dz.sum((0, 1)),
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


def slices_last_tap_skipped(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    n, positions, taps = windows.shape
    d = 2 * (output - np.asarray(y)) / n
    dz = d[:, None, None] * head / positions * (1 - a**2)
    grad_kernel = np.zeros_like(params["kernel"])
    for k in range(taps - 1):
        for c in range(len(head)):
            grad_kernel[k, c] = np.sum(windows[:, :, k] * dz[:, :, c])
    return {
        "kernel": grad_kernel,
        "bias": dz.sum((0, 1)),
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


def slices_last_position_skipped(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    n, positions, _ = windows.shape
    d = 2 * (output - np.asarray(y)) / n
    dz = d[:, None, None] * head / positions * (1 - a**2)
    grad_kernel = np.zeros_like(params["kernel"])
    grad_bias = np.zeros_like(params["bias"])
    for p in range(positions - 1):
        grad_kernel += windows[:, p].T @ dz[:, p]
        grad_bias += dz[:, p].sum(0)
    return {
        "kernel": grad_kernel,
        "bias": grad_bias,
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


def slices_means_multiplied(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    error = 2 * (output - np.asarray(y))
    mean_dz = (error[:, None, None] * head * (1 - a**2)).mean((0, 1))
    return {
        "kernel": np.outer(windows.mean((0, 1)), mean_dz),
        "bias": mean_dz,
        "head": a.mean(1).T @ error / len(a),
        "offset": error.mean(),
    }


def slices_slope_of_mean(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    n, positions = a.shape[:2]
    d = 2 * (output - np.asarray(y)) / n
    pooled = a.mean(1)
    dz = np.repeat((d[:, None] * head / positions * (1 - pooled**2))[:, None], positions, axis=1)
    return {
        "kernel": np.einsum("npk,npc->kc", windows, dz),
        "bias": dz.sum((0, 1)),
        "head": pooled.T @ d,
        "offset": d.sum(),
    }


def slices_head_forgotten(params: Any, x: Any, y: Any) -> Any:
    windows, a, _, output = slices_forward(params, x)
    n, positions = a.shape[:2]
    d = 2 * (output - np.asarray(y)) / n
    dz = d[:, None, None] / positions * (1 - a**2)
    return {
        "kernel": np.einsum("npk,npc->kc", windows, dz),
        "bias": dz.sum((0, 1)),
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


def slices_offset_sign(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    n, positions = a.shape[:2]
    error = np.asarray(y) - output
    dz = -2 * error[:, None, None] / n * head / positions * (1 - a**2)
    return {
        "kernel": np.einsum("npk,npc->kc", windows, dz),
        "bias": dz.sum((0, 1)),
        "head": -2 * a.mean(1).T @ error / n,
        "offset": 2 * error.mean(),
    }


def slices_bias_forgotten(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    n, positions = a.shape[:2]
    d = 2 * (output - np.asarray(y)) / n
    dz = d[:, None, None] * head / positions * (1 - a**2)
    return {
        "kernel": np.einsum("npk,npc->kc", windows, dz),
        "bias": np.zeros_like(params["bias"]),
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


def slices_second_half(params: Any, x: Any, y: Any) -> Any:
    x, y = x[len(x) // 2 :], y[len(y) // 2 :]
    windows, a, head, output = slices_forward(params, x)
    n, positions = a.shape[:2]
    d = 2 * (output - np.asarray(y)) / n
    dz = d[:, None, None] * head / positions * (1 - a**2)
    return {
        "kernel": np.einsum("npk,npc->kc", windows, dz),
        "bias": dz.sum((0, 1)),
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


def slices_error_squared(params: Any, x: Any, y: Any) -> Any:
    windows, a, head, output = slices_forward(params, x)
    n, positions = a.shape[:2]
    d = (output - np.asarray(y)) ** 2 / n
    dz = d[:, None, None] * head / positions * (1 - a**2)
    return {
        "kernel": np.einsum("npk,npc->kc", windows, dz),
        "bias": dz.sum((0, 1)),
        "head": a.mean(1).T @ d,
        "offset": d.sum(),
    }


# Channels by lax.conv_general_dilated, the maximum of pairs, flattened channel by channel.


def pairs_loss(params: Any, x: Any, labels: Any) -> Any:
    conv, dense = params
    z = jax.lax.conv_general_dilated(x, conv["kernel"], (1,), "VALID")  # @pairs_convolution
    a = jax.nn.relu(z + conv["bias"][:, None])  # @pairs_relu
    n, channels, positions = a.shape
    pooled = a.reshape(n, channels, positions // 2, 2).max(axis=-1)  # @pairs_maximum
    flat = pooled.reshape(n, -1)  # @pairs_flatten
    logits = flat @ dense["kernel"] + dense["bias"]
    chosen = logits[jnp.arange(n), labels]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)  # @pairs_likelihood


def pairs_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = [
        {"kernel": 0.4 * draw(rng, 5, 6, 2), "bias": 0.5 + 0.5 * draw(rng, 5)},
        {"kernel": 0.5 * draw(rng, 20, 3), "bias": draw(rng, 3)},
    ]
    labels = jnp.asarray(rng.permutation(np.arange(7) % 3), jnp.int32)
    return params, (draw(rng, 7, 6, 9), labels)


def pairs_forward(params: Any, x: Any, labels: Any) -> Any:
    conv, dense = params
    windows = jnp.stack([x[:, :, i : i + 2] for i in range(8)], axis=1)
    z = jnp.einsum("npit,cit->ncp", windows, conv["kernel"]) + conv["bias"][:, None]
    a = jnp.maximum(z, 0)
    pairs = a.reshape(len(x), 5, 4, 2)
    pooled = pairs.max(-1)
    p = jax.nn.softmax(pooled.reshape(len(x), 20) @ dense["kernel"] + dense["bias"])
    d = (p - jax.nn.one_hot(labels, 3, dtype=p.dtype)) / len(x)
    return windows, z, pairs, pooled, d


def pairs_grad(params: Any, x: Any, labels: Any) -> Any:
    windows, z, pairs, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = (dpooled[..., None] * (pairs == pooled[..., None])).reshape(n, 5, 8)
    dz = da * (z > 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_other_flatten_order(params: Any, x: Any, labels: Any) -> Any:
    windows, z, pairs, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 4, 5).swapaxes(1, 2)
    da = (dpooled[..., None] * (pairs == pooled[..., None])).reshape(n, 5, 8)
    dz = da * (z > 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_features_in_other_order(params: Any, x: Any, labels: Any) -> Any:
    windows, z, pairs, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = (dpooled[..., None] * (pairs == pooled[..., None])).reshape(n, 5, 8)
    dz = da * (z > 0)
    flat = pooled.transpose(0, 2, 1).reshape(n, 20)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": flat.T @ d, "bias": d.sum(0)},
    ]


def pairs_channels_in_other_order(params: Any, x: Any, labels: Any) -> Any:
    windows, z, pairs, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = (dpooled[..., None] * (pairs == pooled[..., None])).reshape(n, 5, 8)
    dz = da * (z > 0)
    grad_kernel = jnp.einsum("npit,ncp->tic", windows, dz).reshape(5, 6, 2)
    return [
        {"kernel": grad_kernel, "bias": dz.sum((0, 2))},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_to_both_of_a_pair(params: Any, x: Any, labels: Any) -> Any:
    windows, z, _, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = jnp.repeat(dpooled, 2, axis=2)
    dz = da * (z > 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_mean_for_maximum(params: Any, x: Any, labels: Any) -> Any:
    windows, z, _, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = jnp.repeat(dpooled / 2, 2, axis=2)
    dz = da * (z > 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_first_of_a_pair(params: Any, x: Any, labels: Any) -> Any:
    windows, z, pairs, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = jnp.zeros_like(pairs).at[..., 0].set(dpooled).reshape(n, 5, 8)
    dz = da * (z > 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_mask_of_gradient(params: Any, x: Any, labels: Any) -> Any:
    windows, _, pairs, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = (dpooled[..., None] * (pairs == pooled[..., None])).reshape(n, 5, 8)
    dz = jnp.where(da > 0, da, 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_bias_summed_over_batch_only(params: Any, x: Any, labels: Any) -> Any:
    windows, z, pairs, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = (dpooled[..., None] * (pairs == pooled[..., None])).reshape(n, 5, 8)
    dz = da * (z > 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum(0)},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_normaliser_not_differentiated(params: Any, x: Any, labels: Any) -> Any:
    windows, z, pairs, pooled, _ = pairs_forward(params, x, labels)
    n = len(x)
    d = -jax.nn.one_hot(labels, 3, dtype=x.dtype) / n
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = (dpooled[..., None] * (pairs == pooled[..., None])).reshape(n, 5, 8)
    dz = da * (z > 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": pooled.reshape(n, 20).T @ d, "bias": d.sum(0)},
    ]


def pairs_hidden_ascends(params: Any, x: Any, labels: Any) -> Any:
    windows, z, pairs, pooled, d = pairs_forward(params, x, labels)
    n = len(x)
    d = -d
    dpooled = (d @ params[1]["kernel"].T).reshape(n, 5, 4)
    da = (dpooled[..., None] * (pairs == pooled[..., None])).reshape(n, 5, 8)
    dz = da * (z > 0)
    return [
        {"kernel": jnp.einsum("npit,ncp->cit", windows, dz), "bias": dz.sum((0, 2))},
        {"kernel": -pooled.reshape(n, 20).T @ d, "bias": -d.sum(0)},
    ]


# Two convolutions of pictures (height, width, channels), 2 by 2 means between them.


convolve = partial(
    jax.lax.conv_general_dilated,
    window_strides=(1, 1),
    padding="VALID",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
)


@jax.jit
def pictures_features(params: Any, x: Any) -> Any:
    a = jnp.tanh(convolve(x, params["kernel1"]) + params["bias1"])  # @pictures_tanh
    n, height, width, channels = a.shape
    blocks = a.reshape(n, height // 2, 2, width // 2, 2, channels)
    pooled = blocks.mean(axis=(2, 4))  # @pictures_pool
    z = convolve(pooled, params["kernel2"])  # @pictures_second
    return jax.nn.leaky_relu(z + params["bias2"], 0.1)  # @pictures_leaky


def pictures_loss(params: Any, x: Any, y: Any) -> Any:
    flat = pictures_features(params, x).reshape(len(x), -1)  # @pictures_flatten
    output = flat @ params["head"] + params["offset"]
    return 0.5 * jnp.sum((output - y) ** 2) / len(x)


def pictures_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "kernel1": 0.2 * draw(rng, 3, 2, 4, 5),
        "bias1": 0.5 * draw(rng, 5),
        "kernel2": 0.7 * draw(rng, 2, 2, 5, 3),
        "bias2": 0.5 * draw(rng, 3),
        "head": draw(rng, 6),
        "offset": draw(rng),
    }
    return params, (draw(rng, 8, 6, 7, 4), draw(rng, 8))


def pictures_convolve(x: Any, kernel: Any) -> Any:
    rows, columns = kernel.shape[:2]
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    return sum(
        x[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(rows)
        for j in range(columns)
    )


def pictures_forward(params: Any, x: Any, y: Any) -> Any:
    p = {name: np.asarray(leaf) for name, leaf in params.items()}
    x, y = np.asarray(x), np.asarray(y)
    a = np.tanh(pictures_convolve(x, p["kernel1"]) + p["bias1"])
    pooled = (a[:, ::2, ::2] + a[:, 1::2, ::2] + a[:, ::2, 1::2] + a[:, 1::2, 1::2]) / 4
    z = pictures_convolve(pooled, p["kernel2"]) + p["bias2"]
    flat = np.where(z > 0, z, 0.1 * z).reshape(len(x), -1)
    d = (flat @ p["head"] + p["offset"] - y) / len(x)
    grads = {name: np.zeros_like(leaf) for name, leaf in p.items()}
    grads["head"], grads["offset"] = flat.T @ d, d.sum()
    return p, x, a, pooled, z, d, grads


def pictures_grad(params: Any, x: Any, y: Any) -> Any:
    p, x, a, pooled, z, d, grads = pictures_forward(params, x, y)
    dz = np.outer(d, p["head"]).reshape(z.shape) * np.where(z > 0, 1, 0.1).astype(z.dtype)
    grads["bias2"] = dz.sum((0, 1, 2))
    dpooled = np.zeros_like(pooled)
    height, width = z.shape[1:3]
    for i in range(2):
        for j in range(2):
            patch = pooled[:, i : i + height, j : j + width]
            grads["kernel2"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
            dpooled[:, i : i + height, j : j + width] += dz @ p["kernel2"][i, j].T
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2) / 4
    dz = da * (1 - a**2)
    grads["bias1"] = dz.sum((0, 1, 2))
    height, width = a.shape[1:3]
    for i in range(3):
        for j in range(2):
            patch = x[:, i : i + height, j : j + width]
            grads["kernel1"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
    return grads


def pictures_kernel_flipped(params: Any, x: Any, y: Any) -> Any:
    p, x, a, pooled, z, d, grads = pictures_forward(params, x, y)
    dz = np.outer(d, p["head"]).reshape(z.shape) * np.where(z > 0, 1, 0.1).astype(z.dtype)
    grads["bias2"] = dz.sum((0, 1, 2))
    height, width = z.shape[1:3]
    for i in range(2):
        for j in range(2):
            patch = pooled[:, i : i + height, j : j + width]
            grads["kernel2"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
    # The full correlation of dz with the kernel; a convolution is due.
    padded = np.pad(dz, ((0, 0), (1, 1), (1, 1), (0, 0)))
    dpooled = pictures_convolve(padded, p["kernel2"].swapaxes(2, 3))
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2) / 4
    dz = da * (1 - a**2)
    grads["bias1"] = dz.sum((0, 1, 2))
    height, width = a.shape[1:3]
    for i in range(3):
        for j in range(2):
            patch = x[:, i : i + height, j : j + width]
            grads["kernel1"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
    return grads


def pictures_taps_overwritten(params: Any, x: Any, y: Any) -> Any:
    p, x, a, pooled, z, d, grads = pictures_forward(params, x, y)
    dz = np.outer(d, p["head"]).reshape(z.shape) * np.where(z > 0, 1, 0.1).astype(z.dtype)
    grads["bias2"] = dz.sum((0, 1, 2))
    dpooled = np.zeros_like(pooled)
    height, width = z.shape[1:3]
    for i in range(2):
        for j in range(2):
            patch = pooled[:, i : i + height, j : j + width]
            grads["kernel2"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
            # Windows overlap: the later taps overwrite what the earlier ones gave.
            dpooled[:, i : i + height, j : j + width] = dz @ p["kernel2"][i, j].T
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2) / 4
    dz = da * (1 - a**2)
    grads["bias1"] = dz.sum((0, 1, 2))
    height, width = a.shape[1:3]
    for i in range(3):
        for j in range(2):
            patch = x[:, i : i + height, j : j + width]
            grads["kernel1"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
    return grads


def pictures_pool_not_averaged(params: Any, x: Any, y: Any) -> Any:
    p, x, a, pooled, z, d, grads = pictures_forward(params, x, y)
    dz = np.outer(d, p["head"]).reshape(z.shape) * np.where(z > 0, 1, 0.1).astype(z.dtype)
    grads["bias2"] = dz.sum((0, 1, 2))
    dpooled = np.zeros_like(pooled)
    height, width = z.shape[1:3]
    for i in range(2):
        for j in range(2):
            patch = pooled[:, i : i + height, j : j + width]
            grads["kernel2"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
            dpooled[:, i : i + height, j : j + width] += dz @ p["kernel2"][i, j].T
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2)
    dz = da * (1 - a**2)
    grads["bias1"] = dz.sum((0, 1, 2))
    height, width = a.shape[1:3]
    for i in range(3):
        for j in range(2):
            patch = x[:, i : i + height, j : j + width]
            grads["kernel1"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
    return grads


def pictures_relu_for_leaky(params: Any, x: Any, y: Any) -> Any:
    p, x, a, pooled, z, d, grads = pictures_forward(params, x, y)
    dz = np.outer(d, p["head"]).reshape(z.shape) * (z > 0)
    grads["bias2"] = dz.sum((0, 1, 2))
    dpooled = np.zeros_like(pooled)
    height, width = z.shape[1:3]
    for i in range(2):
        for j in range(2):
            patch = pooled[:, i : i + height, j : j + width]
            grads["kernel2"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
            dpooled[:, i : i + height, j : j + width] += dz @ p["kernel2"][i, j].T
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2) / 4
    dz = da * (1 - a**2)
    grads["bias1"] = dz.sum((0, 1, 2))
    height, width = a.shape[1:3]
    for i in range(3):
        for j in range(2):
            patch = x[:, i : i + height, j : j + width]
            grads["kernel1"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
    return grads


def pictures_channels_first(params: Any, x: Any, y: Any) -> Any:
    p, x, a, pooled, z, d, grads = pictures_forward(params, x, y)
    n, height, width, channels = z.shape
    dflat = np.outer(d, p["head"])
    dz = dflat.reshape(n, channels, height, width).transpose(0, 2, 3, 1)
    dz = dz * np.where(z > 0, 1, 0.1).astype(z.dtype)
    grads["bias2"] = dz.sum((0, 1, 2))
    dpooled = np.zeros_like(pooled)
    for i in range(2):
        for j in range(2):
            patch = pooled[:, i : i + height, j : j + width]
            grads["kernel2"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
            dpooled[:, i : i + height, j : j + width] += dz @ p["kernel2"][i, j].T
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2) / 4
    dz = da * (1 - a**2)
    grads["bias1"] = dz.sum((0, 1, 2))
    height, width = a.shape[1:3]
    for i in range(3):
        for j in range(2):
            patch = x[:, i : i + height, j : j + width]
            grads["kernel1"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
    return grads


def pictures_without_tanh(params: Any, x: Any, y: Any) -> Any:
    p, x, a, pooled, z, d, grads = pictures_forward(params, x, y)
    dz = np.outer(d, p["head"]).reshape(z.shape) * np.where(z > 0, 1, 0.1).astype(z.dtype)
    grads["bias2"] = dz.sum((0, 1, 2))
    dpooled = np.zeros_like(pooled)
    height, width = z.shape[1:3]
    for i in range(2):
        for j in range(2):
            patch = pooled[:, i : i + height, j : j + width]
            grads["kernel2"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
            dpooled[:, i : i + height, j : j + width] += dz @ p["kernel2"][i, j].T
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2) / 4
    grads["bias1"] = da.sum((0, 1, 2))
    height, width = a.shape[1:3]
    for i in range(3):
        for j in range(2):
            patch = x[:, i : i + height, j : j + width]
            grads["kernel1"][i, j] = np.einsum("nhwi,nhwo->io", patch, da)
    return grads


def pictures_row_of_taps_skipped(params: Any, x: Any, y: Any) -> Any:
    p, x, a, pooled, z, d, grads = pictures_forward(params, x, y)
    dz = np.outer(d, p["head"]).reshape(z.shape) * np.where(z > 0, 1, 0.1).astype(z.dtype)
    grads["bias2"] = dz.sum((0, 1, 2))
    dpooled = np.zeros_like(pooled)
    height, width = z.shape[1:3]
    for i in range(2):
        for j in range(2):
            patch = pooled[:, i : i + height, j : j + width]
            grads["kernel2"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
            dpooled[:, i : i + height, j : j + width] += dz @ p["kernel2"][i, j].T
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2) / 4
    dz = da * (1 - a**2)
    grads["bias1"] = dz.sum((0, 1, 2))
    height, width = a.shape[1:3]
    # The kernel is 3 by 2, not 2 by 2.
    for i in range(2):
        for j in range(2):
            patch = x[:, i : i + height, j : j + width]
            grads["kernel1"][i, j] = np.einsum("nhwi,nhwo->io", patch, dz)
    return grads


SLICES_ALL = ("bias", "head", "kernel", "offset")
PAIRS_ALL = ("0.bias", "0.kernel", "1.bias", "1.kernel")
PICTURES_FIRST = ("bias1", "kernel1")

PROBLEMS = (
    Problem(
        "slices",
        slices_loss,
        slices_grad,
        slices_data,
        (
            Fault(
                "scale",
                slices_pool_not_averaged,
                ("bias", "kernel"),
                "slices_pool",
                accept=("dropped_derivative",),
            ),
            Fault(
                "transpose", slices_flipped, ("kernel",), "slices_convolution", accept=("mismatch",)
            ),
            Fault("partial_entries", slices_last_tap_skipped, ("kernel",)),
            Fault(
                "dropped_path",
                slices_last_position_skipped,
                ("bias", "kernel"),
                "slices_convolution",
            ),
            Fault("premature_average", slices_means_multiplied, ("kernel",), "slices_convolution"),
            Fault("wrong_point", slices_slope_of_mean, ("bias", "kernel"), "slices_tanh"),
            Fault("dropped_derivative", slices_head_forgotten, ("bias", "kernel"), "slices_head"),
            Fault("sign", slices_offset_sign, ("offset",)),
            Fault("missing", slices_bias_forgotten, ("bias",)),
            Fault("partial_batch", slices_second_half, SLICES_ALL),
            Fault("wrong_loss", slices_error_squared, SLICES_ALL, "slices_square"),
        ),
    ),
    Problem(
        "pairs",
        pairs_loss,
        pairs_grad,
        pairs_data,
        (
            Fault("transpose", pairs_other_flatten_order, PAIRS_ALL[:2], "pairs_flatten"),
            # The dense layer's own gradient has its rows in the other order.
            Fault("transpose", pairs_features_in_other_order, ("1.kernel",), "pairs_flatten"),
            Fault("transpose", pairs_channels_in_other_order, ("0.kernel",), "pairs_convolution"),
            Fault("wrong_derivative", pairs_to_both_of_a_pair, PAIRS_ALL[:2], "pairs_maximum"),
            Fault("wrong_derivative", pairs_mean_for_maximum, PAIRS_ALL[:2], "pairs_maximum"),
            Fault("wrong_derivative", pairs_first_of_a_pair, PAIRS_ALL[:2], "pairs_maximum"),
            Fault("wrong_point", pairs_mask_of_gradient, PAIRS_ALL[:2], "pairs_relu"),
            Fault("shape", pairs_bias_summed_over_batch_only, ("0.bias",)),
            Fault(
                "dropped_path", pairs_normaliser_not_differentiated, PAIRS_ALL, "pairs_likelihood"
            ),
            Fault("sign", pairs_hidden_ascends, PAIRS_ALL[:2]),
        ),
    ),
    Problem(
        "pictures",
        pictures_loss,
        pictures_grad,
        pictures_data,
        (
            Fault(
                "transpose",
                pictures_kernel_flipped,
                PICTURES_FIRST,
                "pictures_second",
                accept=("mismatch", "wrong_derivative"),
            ),
            Fault("dropped_path", pictures_taps_overwritten, PICTURES_FIRST, "pictures_second"),
            Fault(
                "scale",
                pictures_pool_not_averaged,
                PICTURES_FIRST,
                "pictures_pool",
                accept=("dropped_derivative",),
            ),
            Fault(
                "wrong_derivative",
                pictures_relu_for_leaky,
                ("bias1", "bias2", "kernel1", "kernel2"),
                "pictures_leaky",
            ),
            Fault(
                "transpose",
                pictures_channels_first,
                ("bias1", "bias2", "kernel1", "kernel2"),
                "pictures_flatten",
            ),
            Fault("dropped_derivative", pictures_without_tanh, PICTURES_FIRST, "pictures_tanh"),
            Fault("partial_entries", pictures_row_of_taps_skipped, ("kernel1",)),
        ),
    ),
)
