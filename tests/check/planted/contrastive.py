"""Losses of pairs: InfoNCE, triplets, siamese distances, cosine similarity."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Fault, Problem


def draw(random: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    return jnp.asarray(scale * random.normal(size=shape), jnp.float32)


# Two encoders on the unit sphere; each side is to find the other one, at a learned temperature.


def infonce_loss(params: Any, x: Any, y: Any) -> Any:
    u, v = x @ params["left"], y @ params["right"]
    u = u / jnp.linalg.norm(u, axis=1, keepdims=True)  # @infonce_left
    v = v / jnp.linalg.norm(v, axis=1, keepdims=True)  # @infonce_right
    sharpness = jnp.exp(params["log_sharpness"])  # @infonce_sharpness
    logits = sharpness * (u @ v.T)  # @infonce_logits
    find_right = jax.nn.log_softmax(logits, axis=1)
    find_left = jax.nn.log_softmax(logits, axis=0)  # @infonce_columns
    return -0.5 * jnp.mean(jnp.diagonal(find_right) + jnp.diagonal(find_left))


def infonce_grad(params: Any, x: Any, y: Any) -> Any:
    n = len(x)
    u, v = x @ params["left"], y @ params["right"]
    u_norm = jnp.linalg.norm(u, axis=1, keepdims=True)
    v_norm = jnp.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / u_norm, v / v_norm
    cosines = u @ v.T
    sharpness = jnp.exp(params["log_sharpness"])
    logits = sharpness * cosines
    eye = jnp.eye(n, dtype=x.dtype)
    d_logits = jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits + jax.nn.softmax(logits, axis=0) - eye
    d_logits = d_logits / (2 * n)
    d_sharpness = jnp.sum(d_logits * cosines)
    d_cosines = d_logits * sharpness
    d_u = d_cosines @ v
    d_v = d_cosines.T @ u
    d_u = (d_u - u * jnp.sum(u * d_u, axis=1, keepdims=True)) / u_norm
    d_v = (d_v - v * jnp.sum(v * d_v, axis=1, keepdims=True)) / v_norm
    return {"left": x.T @ d_u, "right": y.T @ d_v, "log_sharpness": d_sharpness * sharpness}


def infonce_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, left, right, size = 7, 5, 6, 4
    params = {
        "left": draw(random, left, size),
        "right": draw(random, right, size),
        "log_sharpness": jnp.float32(random.uniform(0.4, 1.0)),
    }
    return params, (draw(random, batch, left), draw(random, batch, right))


def infonce_untransposed(params: Any, x: Any, y: Any) -> Any:
    """The logits are as wide as high."""
    n = len(x)
    u, v = x @ params["left"], y @ params["right"]
    u_norm = jnp.linalg.norm(u, axis=1, keepdims=True)
    v_norm = jnp.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / u_norm, v / v_norm
    cosines = u @ v.T
    sharpness = jnp.exp(params["log_sharpness"])
    logits = sharpness * cosines
    eye = jnp.eye(n, dtype=x.dtype)
    d_logits = jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits + jax.nn.softmax(logits, axis=0) - eye
    d_logits = d_logits / (2 * n)
    d_sharpness = jnp.sum(d_logits * cosines)
    d_cosines = d_logits * sharpness
    d_u = d_cosines @ v
    d_v = d_cosines @ u
    d_u = (d_u - u * jnp.sum(u * d_u, axis=1, keepdims=True)) / u_norm
    d_v = (d_v - v * jnp.sum(v * d_v, axis=1, keepdims=True)) / v_norm
    return {"left": x.T @ d_u, "right": y.T @ d_v, "log_sharpness": d_sharpness * sharpness}


def infonce_norm_fixed(params: Any, x: Any, y: Any) -> Any:
    """The norm taken for a constant."""
    n = len(x)
    u, v = x @ params["left"], y @ params["right"]
    u_norm = jnp.linalg.norm(u, axis=1, keepdims=True)
    v_norm = jnp.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / u_norm, v / v_norm
    cosines = u @ v.T
    sharpness = jnp.exp(params["log_sharpness"])
    logits = sharpness * cosines
    eye = jnp.eye(n, dtype=x.dtype)
    d_logits = jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits + jax.nn.softmax(logits, axis=0) - eye
    d_logits = d_logits / (2 * n)
    d_sharpness = jnp.sum(d_logits * cosines)
    d_cosines = d_logits * sharpness
    d_u = d_cosines @ v
    d_v = d_cosines.T @ u
    d_u = d_u / u_norm
    d_v = (d_v - v * jnp.sum(v * d_v, axis=1, keepdims=True)) / v_norm
    return {"left": x.T @ d_u, "right": y.T @ d_v, "log_sharpness": d_sharpness * sharpness}


def infonce_not_divided(params: Any, x: Any, y: Any) -> Any:
    """Projected on the sphere, not divided by the norm."""
    n = len(x)
    u, v = x @ params["left"], y @ params["right"]
    u_norm = jnp.linalg.norm(u, axis=1, keepdims=True)
    v_norm = jnp.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / u_norm, v / v_norm
    cosines = u @ v.T
    sharpness = jnp.exp(params["log_sharpness"])
    logits = sharpness * cosines
    eye = jnp.eye(n, dtype=x.dtype)
    d_logits = jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits + jax.nn.softmax(logits, axis=0) - eye
    d_logits = d_logits / (2 * n)
    d_sharpness = jnp.sum(d_logits * cosines)
    d_cosines = d_logits * sharpness
    d_u = d_cosines @ v
    d_v = d_cosines.T @ u
    d_u = (d_u - u * jnp.sum(u * d_u, axis=1, keepdims=True)) / u_norm
    d_v = d_v - v * jnp.sum(v * d_v, axis=1, keepdims=True)
    return {"left": x.T @ d_u, "right": y.T @ d_v, "log_sharpness": d_sharpness * sharpness}


def infonce_one_direction(params: Any, x: Any, y: Any) -> Any:
    """Only the left side searches."""
    n = len(x)
    u, v = x @ params["left"], y @ params["right"]
    u_norm = jnp.linalg.norm(u, axis=1, keepdims=True)
    v_norm = jnp.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / u_norm, v / v_norm
    cosines = u @ v.T
    sharpness = jnp.exp(params["log_sharpness"])
    logits = sharpness * cosines
    eye = jnp.eye(n, dtype=x.dtype)
    d_logits = jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits / (2 * n)
    d_sharpness = jnp.sum(d_logits * cosines)
    d_cosines = d_logits * sharpness
    d_u = d_cosines @ v
    d_v = d_cosines.T @ u
    d_u = (d_u - u * jnp.sum(u * d_u, axis=1, keepdims=True)) / u_norm
    d_v = (d_v - v * jnp.sum(v * d_v, axis=1, keepdims=True)) / v_norm
    return {"left": x.T @ d_u, "right": y.T @ d_v, "log_sharpness": d_sharpness * sharpness}


def infonce_rows_twice(params: Any, x: Any, y: Any) -> Any:
    """Copied for the other direction, its axis not changed."""
    n = len(x)
    u, v = x @ params["left"], y @ params["right"]
    u_norm = jnp.linalg.norm(u, axis=1, keepdims=True)
    v_norm = jnp.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / u_norm, v / v_norm
    cosines = u @ v.T
    sharpness = jnp.exp(params["log_sharpness"])
    logits = sharpness * cosines
    eye = jnp.eye(n, dtype=x.dtype)
    d_logits = jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits + jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits / (2 * n)
    d_sharpness = jnp.sum(d_logits * cosines)
    d_cosines = d_logits * sharpness
    d_u = d_cosines @ v
    d_v = d_cosines.T @ u
    d_u = (d_u - u * jnp.sum(u * d_u, axis=1, keepdims=True)) / u_norm
    d_v = (d_v - v * jnp.sum(v * d_v, axis=1, keepdims=True)) / v_norm
    return {"left": x.T @ d_u, "right": y.T @ d_v, "log_sharpness": d_sharpness * sharpness}


def infonce_exp_forgotten(params: Any, x: Any, y: Any) -> Any:
    """The gradient of the sharpness for that of its logarithm."""
    n = len(x)
    u, v = x @ params["left"], y @ params["right"]
    u_norm = jnp.linalg.norm(u, axis=1, keepdims=True)
    v_norm = jnp.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / u_norm, v / v_norm
    cosines = u @ v.T
    sharpness = jnp.exp(params["log_sharpness"])
    logits = sharpness * cosines
    eye = jnp.eye(n, dtype=x.dtype)
    d_logits = jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits + jax.nn.softmax(logits, axis=0) - eye
    d_logits = d_logits / (2 * n)
    d_sharpness = jnp.sum(d_logits * cosines)
    d_cosines = d_logits * sharpness
    d_u = d_cosines @ v
    d_v = d_cosines.T @ u
    d_u = (d_u - u * jnp.sum(u * d_u, axis=1, keepdims=True)) / u_norm
    d_v = (d_v - v * jnp.sum(v * d_v, axis=1, keepdims=True)) / v_norm
    return {"left": x.T @ d_u, "right": y.T @ d_v, "log_sharpness": d_sharpness}


def infonce_as_blunt(params: Any, x: Any, y: Any) -> Any:
    """The sharpness forgotten on the way to the cosines."""
    n = len(x)
    u, v = x @ params["left"], y @ params["right"]
    u_norm = jnp.linalg.norm(u, axis=1, keepdims=True)
    v_norm = jnp.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / u_norm, v / v_norm
    cosines = u @ v.T
    sharpness = jnp.exp(params["log_sharpness"])
    logits = sharpness * cosines
    eye = jnp.eye(n, dtype=x.dtype)
    d_logits = jax.nn.softmax(logits, axis=1) - eye
    d_logits = d_logits + jax.nn.softmax(logits, axis=0) - eye
    d_logits = d_logits / (2 * n)
    d_sharpness = jnp.sum(d_logits * cosines)
    d_u = d_logits @ v
    d_v = d_logits.T @ u
    d_u = (d_u - u * jnp.sum(u * d_u, axis=1, keepdims=True)) / u_norm
    d_v = (d_v - v * jnp.sum(v * d_v, axis=1, keepdims=True)) / v_norm
    return {"left": x.T @ d_u, "right": y.T @ d_v, "log_sharpness": d_sharpness * sharpness}


# The positive is to be nearer to the anchor than the negative, by a margin.


def triplet_loss(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    w, b = params
    a, p, n = (jnp.tanh(t @ w + b) for t in (anchor, positive, negative))  # @triplet_embed
    near = jnp.sum((a - p) ** 2, axis=1)  # @triplet_near
    far = jnp.sum((a - n) ** 2, axis=1)  # @triplet_far
    return jnp.mean(jnp.maximum(near - far + 1.0, 0))  # @triplet_hinge


def triplet_grad(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    w, b = (np.asarray(leaf) for leaf in params)
    inputs = [np.asarray(t) for t in (anchor, positive, negative)]
    a, p, n = (np.tanh(t @ w + b) for t in inputs)
    violation = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1) + 1
    weight = (violation > 0).astype(a.dtype) / len(a)
    weight = weight[:, None]
    d_a = weight * 2 * (a - p) - weight * 2 * (a - n)
    d_p = -weight * 2 * (a - p)
    d_n = weight * 2 * (a - n)
    d_w, d_b = np.zeros_like(w), np.zeros_like(b)
    for t, e, d_e in zip(inputs, (a, p, n), (d_a, d_p, d_n), strict=True):
        d_z = d_e * (1 - e**2)
        d_w += t.T @ d_z
        d_b += d_z.sum(axis=0)
    return d_w, d_b


def triplet_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, size = 9, 5, 4
    params = draw(random, features, size, scale=0.5), draw(random, size, scale=0.5)
    anchor = draw(random, batch, features)
    positive = anchor + draw(random, batch, features, scale=0.7)
    negative = draw(random, batch, features)
    # Whatever the draw: one near negative, one far one, one within the margin only.
    negative = negative.at[0].set(anchor[0] + 0.1).at[1].set(-anchor[1] - 2 * jnp.sign(anchor[1]))
    positive = positive.at[1:3].set(anchor[1:3] + 0.05)
    negative = negative.at[2].set(anchor[2] - 0.3)
    return params, (anchor, positive, negative)


def triplet_all_violate(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    """The hinge taken for a straight line."""
    w, b = (np.asarray(leaf) for leaf in params)
    inputs = [np.asarray(t) for t in (anchor, positive, negative)]
    a, p, n = (np.tanh(t @ w + b) for t in inputs)
    weight = 1 / len(a)
    d_a = weight * 2 * (a - p) - weight * 2 * (a - n)
    d_p = -weight * 2 * (a - p)
    d_n = weight * 2 * (a - n)
    d_w, d_b = np.zeros_like(w), np.zeros_like(b)
    for t, e, d_e in zip(inputs, (a, p, n), (d_a, d_p, d_n), strict=True):
        d_z = d_e * (1 - e**2)
        d_w += t.T @ d_z
        d_b += d_z.sum(axis=0)
    return d_w, d_b


def triplet_margin_forgotten(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    """The hinge's step taken without the margin."""
    w, b = (np.asarray(leaf) for leaf in params)
    inputs = [np.asarray(t) for t in (anchor, positive, negative)]
    a, p, n = (np.tanh(t @ w + b) for t in inputs)
    violation = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1)
    weight = (violation > 0).astype(a.dtype) / len(a)
    weight = weight[:, None]
    d_a = weight * 2 * (a - p) - weight * 2 * (a - n)
    d_p = -weight * 2 * (a - p)
    d_n = weight * 2 * (a - n)
    d_w, d_b = np.zeros_like(w), np.zeros_like(b)
    for t, e, d_e in zip(inputs, (a, p, n), (d_a, d_p, d_n), strict=True):
        d_z = d_e * (1 - e**2)
        d_w += t.T @ d_z
        d_b += d_z.sum(axis=0)
    return d_w, d_b


def triplet_anchor_from_afar(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    """The anchor pushed from the negative but not drawn to the positive."""
    w, b = (np.asarray(leaf) for leaf in params)
    inputs = [np.asarray(t) for t in (anchor, positive, negative)]
    a, p, n = (np.tanh(t @ w + b) for t in inputs)
    violation = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1) + 1
    weight = (violation > 0).astype(a.dtype) / len(a)
    weight = weight[:, None]
    d_a = -weight * 2 * (a - n)
    d_p = -weight * 2 * (a - p)
    d_n = weight * 2 * (a - n)
    d_w, d_b = np.zeros_like(w), np.zeros_like(b)
    for t, e, d_e in zip(inputs, (a, p, n), (d_a, d_p, d_n), strict=True):
        d_z = d_e * (1 - e**2)
        d_w += t.T @ d_z
        d_b += d_z.sum(axis=0)
    return d_w, d_b


def triplet_negative_fixed(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    """The negative taken for a constant."""
    w, b = (np.asarray(leaf) for leaf in params)
    inputs = [np.asarray(t) for t in (anchor, positive, negative)]
    a, p, n = (np.tanh(t @ w + b) for t in inputs)
    violation = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1) + 1
    weight = (violation > 0).astype(a.dtype) / len(a)
    weight = weight[:, None]
    d_a = weight * 2 * (a - p) - weight * 2 * (a - n)
    d_p = -weight * 2 * (a - p)
    d_n = np.zeros_like(n)
    d_w, d_b = np.zeros_like(w), np.zeros_like(b)
    for t, e, d_e in zip(inputs, (a, p, n), (d_a, d_p, d_n), strict=True):
        d_z = d_e * (1 - e**2)
        d_w += t.T @ d_z
        d_b += d_z.sum(axis=0)
    return d_w, d_b


def triplet_tanh_of_anchor(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    """The anchor's tanh for all three."""
    w, b = (np.asarray(leaf) for leaf in params)
    inputs = [np.asarray(t) for t in (anchor, positive, negative)]
    a, p, n = (np.tanh(t @ w + b) for t in inputs)
    violation = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1) + 1
    weight = (violation > 0).astype(a.dtype) / len(a)
    weight = weight[:, None]
    d_a = weight * 2 * (a - p) - weight * 2 * (a - n)
    d_p = -weight * 2 * (a - p)
    d_n = weight * 2 * (a - n)
    d_w, d_b = np.zeros_like(w), np.zeros_like(b)
    for t, d_e in zip(inputs, (d_a, d_p, d_n), strict=True):
        d_z = d_e * (1 - a**2)
        d_w += t.T @ d_z
        d_b += d_z.sum(axis=0)
    return d_w, d_b


def triplet_per_violation(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    """A mean over the triplets that violate the margin."""
    w, b = (np.asarray(leaf) for leaf in params)
    inputs = [np.asarray(t) for t in (anchor, positive, negative)]
    a, p, n = (np.tanh(t @ w + b) for t in inputs)
    violation = np.sum((a - p) ** 2, axis=1) - np.sum((a - n) ** 2, axis=1) + 1
    weight = (violation > 0).astype(a.dtype) / float(np.sum(violation > 0))
    weight = weight[:, None]
    d_a = weight * 2 * (a - p) - weight * 2 * (a - n)
    d_p = -weight * 2 * (a - p)
    d_n = weight * 2 * (a - n)
    d_w, d_b = np.zeros_like(w), np.zeros_like(b)
    for t, e, d_e in zip(inputs, (a, p, n), (d_a, d_p, d_n), strict=True):
        d_z = d_e * (1 - e**2)
        d_w += t.T @ d_z
        d_b += d_z.sum(axis=0)
    return d_w, d_b


def triplet_hardest(params: Any, anchor: Any, positive: Any, negative: Any) -> Any:
    """Only the triplet that violates the margin most."""
    w, b = params
    inputs = jnp.stack([anchor, positive, negative])
    a, p, n = jnp.tanh(inputs @ w + b)
    worst = jnp.argmax(jnp.sum((a - p) ** 2, axis=1) - jnp.sum((a - n) ** 2, axis=1))
    inputs, a, p, n = inputs[:, worst], a[worst], p[worst], n[worst]
    d_e = 2 * jnp.stack([n - p, p - a, a - n])
    d_z = d_e * (1 - jnp.stack([a, p, n]) ** 2)
    return inputs.T @ d_z, d_z.sum(axis=0)


# Pairs of a kind together, others apart; one of the pairs is twice the same example.


def siamese_encode(params: Any, x: Any) -> Any:
    first, second = params
    h = jax.nn.relu(x @ first["w"] + first["b"])  # @siamese_relu
    return h @ second["w"]


def siamese_loss(params: Any, left: Any, right: Any, alike: Any) -> Any:
    e_left = siamese_encode(params, left)
    e_right = siamese_encode(params, right)  # @siamese_right
    square = jnp.sum((e_left - e_right) ** 2, axis=1)
    apart = square > 0
    distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)  # @siamese_root
    gap = jnp.maximum(3.0 - distance, 0)
    return jnp.mean(alike * square + (1 - alike) * gap**2)  # @siamese_contrast


def siamese_grad(params: Any, left: Any, right: Any, alike: Any) -> Any:
    first, second = params
    z_left, z_right = left @ first["w"] + first["b"], right @ first["w"] + first["b"]
    h_left, h_right = jnp.maximum(z_left, 0), jnp.maximum(z_right, 0)
    difference = (h_left - h_right) @ second["w"]
    square = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(square)
    d_distance = -(1 - alike) * 2 * jnp.maximum(3.0 - distance, 0) / len(alike)
    d_root = jnp.where(square > 0, 0.5 * d_distance / jnp.where(square > 0, distance, 1), 0)
    d_square = alike / len(alike) + d_root
    d_e = 2 * d_square[:, None] * difference
    d_left = d_e @ second["w"].T
    d_right = -d_left
    d_left = d_left * (z_left > 0)
    d_right = d_right * (z_right > 0)
    return [
        {"w": left.T @ d_left + right.T @ d_right, "b": (d_left + d_right).sum(axis=0)},
        {"w": (h_left - h_right).T @ d_e},
    ]


def siamese_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, hidden, size = 8, 4, 6, 3
    params = [
        {"w": draw(random, features, hidden, scale=0.6), "b": draw(random, hidden, scale=0.5)},
        {"w": draw(random, hidden, size, scale=0.4)},
    ]
    left, right = draw(random, batch, features), draw(random, batch, features)
    alike = jnp.asarray([0, 1, 0, 1, 0, 1, 0, 0], jnp.float32)
    return params, (left, right.at[0].set(left[0]), alike)


def siamese_zero_by_zero(params: Any, left: Any, right: Any, alike: Any) -> Any:
    """0 / 0 for the pair without a distance."""
    first, second = params
    z_left, z_right = left @ first["w"] + first["b"], right @ first["w"] + first["b"]
    h_left, h_right = jnp.maximum(z_left, 0), jnp.maximum(z_right, 0)
    difference = (h_left - h_right) @ second["w"]
    square = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(square)
    d_distance = -(1 - alike) * 2 * jnp.maximum(3.0 - distance, 0) / len(alike)
    d_root = 0.5 * d_distance / distance
    d_square = alike / len(alike) + d_root
    d_e = 2 * d_square[:, None] * difference
    d_left = d_e @ second["w"].T
    d_right = -d_left
    d_left = d_left * (z_left > 0)
    d_right = d_right * (z_right > 0)
    return [
        {"w": left.T @ d_left + right.T @ d_right, "b": (d_left + d_right).sum(axis=0)},
        {"w": (h_left - h_right).T @ d_e},
    ]


def siamese_root_without_half(params: Any, left: Any, right: Any, alike: Any) -> Any:
    """1 / sqrt for the derivative of sqrt."""
    first, second = params
    z_left, z_right = left @ first["w"] + first["b"], right @ first["w"] + first["b"]
    h_left, h_right = jnp.maximum(z_left, 0), jnp.maximum(z_right, 0)
    difference = (h_left - h_right) @ second["w"]
    square = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(square)
    d_distance = -(1 - alike) * 2 * jnp.maximum(3.0 - distance, 0) / len(alike)
    d_root = jnp.where(square > 0, d_distance / jnp.where(square > 0, distance, 1), 0)
    d_square = alike / len(alike) + d_root
    d_e = 2 * d_square[:, None] * difference
    d_left = d_e @ second["w"].T
    d_right = -d_left
    d_left = d_left * (z_left > 0)
    d_right = d_right * (z_right > 0)
    return [
        {"w": left.T @ d_left + right.T @ d_right, "b": (d_left + d_right).sum(axis=0)},
        {"w": (h_left - h_right).T @ d_e},
    ]


def siamese_not_divided(params: Any, left: Any, right: Any, alike: Any) -> Any:
    """The gradient of the distance taken for that of its square."""
    first, second = params
    z_left, z_right = left @ first["w"] + first["b"], right @ first["w"] + first["b"]
    h_left, h_right = jnp.maximum(z_left, 0), jnp.maximum(z_right, 0)
    difference = (h_left - h_right) @ second["w"]
    square = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(square)
    d_distance = -(1 - alike) * 2 * jnp.maximum(3.0 - distance, 0) / len(alike)
    d_square = alike / len(alike) + d_distance
    d_e = 2 * d_square[:, None] * difference
    d_left = d_e @ second["w"].T
    d_right = -d_left
    d_left = d_left * (z_left > 0)
    d_right = d_right * (z_right > 0)
    return [
        {"w": left.T @ d_left + right.T @ d_right, "b": (d_left + d_right).sum(axis=0)},
        {"w": (h_left - h_right).T @ d_e},
    ]


def siamese_left_mask(params: Any, left: Any, right: Any, alike: Any) -> Any:
    """The left side's relu for both."""
    first, second = params
    z_left, z_right = left @ first["w"] + first["b"], right @ first["w"] + first["b"]
    h_left, h_right = jnp.maximum(z_left, 0), jnp.maximum(z_right, 0)
    difference = (h_left - h_right) @ second["w"]
    square = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(square)
    d_distance = -(1 - alike) * 2 * jnp.maximum(3.0 - distance, 0) / len(alike)
    d_root = jnp.where(square > 0, 0.5 * d_distance / jnp.where(square > 0, distance, 1), 0)
    d_square = alike / len(alike) + d_root
    d_e = 2 * d_square[:, None] * difference
    d_left = d_e @ second["w"].T
    d_right = -d_left
    d_left = d_left * (z_left > 0)
    d_right = d_right * (z_left > 0)
    return [
        {"w": left.T @ d_left + right.T @ d_right, "b": (d_left + d_right).sum(axis=0)},
        {"w": (h_left - h_right).T @ d_e},
    ]


def siamese_right_fixed(params: Any, left: Any, right: Any, alike: Any) -> Any:
    """The right side taken for a target."""
    first, second = params
    z_left, z_right = left @ first["w"] + first["b"], right @ first["w"] + first["b"]
    h_left, h_right = jnp.maximum(z_left, 0), jnp.maximum(z_right, 0)
    difference = (h_left - h_right) @ second["w"]
    square = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(square)
    d_distance = -(1 - alike) * 2 * jnp.maximum(3.0 - distance, 0) / len(alike)
    d_root = jnp.where(square > 0, 0.5 * d_distance / jnp.where(square > 0, distance, 1), 0)
    d_square = alike / len(alike) + d_root
    d_e = 2 * d_square[:, None] * difference
    d_left = d_e @ second["w"].T
    d_left = d_left * (z_left > 0)
    return [
        {"w": left.T @ d_left, "b": d_left.sum(axis=0)},
        {"w": h_left.T @ d_e},
    ]


def siamese_hinge_not_squared(params: Any, left: Any, right: Any, alike: Any) -> Any:
    """Others pushed with the same force at every distance."""
    first, second = params
    z_left, z_right = left @ first["w"] + first["b"], right @ first["w"] + first["b"]
    h_left, h_right = jnp.maximum(z_left, 0), jnp.maximum(z_right, 0)
    difference = (h_left - h_right) @ second["w"]
    square = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(square)
    d_distance = -(1 - alike) * (distance < 3.0) / len(alike)
    d_root = jnp.where(square > 0, 0.5 * d_distance / jnp.where(square > 0, distance, 1), 0)
    d_square = alike / len(alike) + d_root
    d_e = 2 * d_square[:, None] * difference
    d_left = d_e @ second["w"].T
    d_right = -d_left
    d_left = d_left * (z_left > 0)
    d_right = d_right * (z_right > 0)
    return [
        {"w": left.T @ d_left + right.T @ d_right, "b": (d_left + d_right).sum(axis=0)},
        {"w": (h_left - h_right).T @ d_e},
    ]


def siamese_layers_one_by_one(params: Any, left: Any, right: Any, alike: Any) -> Any:
    """The last layer updated before its weights carry the error back."""
    first, second = params
    z_left, z_right = left @ first["w"] + first["b"], right @ first["w"] + first["b"]
    h_left, h_right = jnp.maximum(z_left, 0), jnp.maximum(z_right, 0)
    difference = (h_left - h_right) @ second["w"]
    square = jnp.sum(difference**2, axis=1)
    distance = jnp.sqrt(square)
    d_distance = -(1 - alike) * 2 * jnp.maximum(3.0 - distance, 0) / len(alike)
    d_root = jnp.where(square > 0, 0.5 * d_distance / jnp.where(square > 0, distance, 1), 0)
    d_square = alike / len(alike) + d_root
    d_e = 2 * d_square[:, None] * difference
    updated = second["w"] - 0.1 * (h_left - h_right).T @ d_e
    d_left = d_e @ updated.T
    d_right = -d_left
    d_left = d_left * (z_left > 0)
    d_right = d_right * (z_right > 0)
    return [
        {"w": left.T @ d_left + right.T @ d_right, "b": (d_left + d_right).sum(axis=0)},
        {"w": (h_left - h_right).T @ d_e},
    ]


# Graded similarity by the cosine of two images under one matrix, which is all the parameters.


def cosine_loss(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    u = left @ w  # @cosine_left
    v = right @ w  # @cosine_right
    dot = jnp.sum(u * v, axis=1)
    norms = jnp.sqrt(jnp.sum(u**2, axis=1) * jnp.sum(v**2, axis=1))  # @cosine_norms
    error = dot / norms - similarity
    return jnp.mean(error**2)  # @cosine_square


def cosine_grad(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    u, v = left @ w, right @ w
    u_norm = jnp.sqrt(jnp.sum(u**2, axis=1, keepdims=True))
    v_norm = jnp.sqrt(jnp.sum(v**2, axis=1, keepdims=True))
    cosine = jnp.sum(u * v, axis=1, keepdims=True) / (u_norm * v_norm)
    error = cosine - similarity[:, None]
    d_cosine = 2 * error / len(error)
    d_u = d_cosine * (v / v_norm - cosine * u / u_norm) / u_norm
    d_v = d_cosine * (u / u_norm - cosine * v / v_norm) / v_norm
    return left.T @ d_u + right.T @ d_v


def cosine_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, size = 9, 6, 4
    similarity = jnp.asarray(random.uniform(-1, 1, batch), jnp.float32)
    pairs = draw(random, 2, batch, features)
    return draw(random, features, size), (pairs[0], pairs[1], similarity)


def cosine_norms_fixed(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    """The norms taken for constants."""
    u, v = left @ w, right @ w
    u_norm = jnp.sqrt(jnp.sum(u**2, axis=1, keepdims=True))
    v_norm = jnp.sqrt(jnp.sum(v**2, axis=1, keepdims=True))
    cosine = jnp.sum(u * v, axis=1, keepdims=True) / (u_norm * v_norm)
    error = cosine - similarity[:, None]
    d_cosine = 2 * error / len(error)
    d_u = d_cosine * v / v_norm / u_norm
    d_v = d_cosine * u / u_norm / v_norm
    return left.T @ d_u + right.T @ d_v


def cosine_right_fixed(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    """The matrix differentiated where it meets the left side only."""
    u, v = left @ w, right @ w
    u_norm = jnp.sqrt(jnp.sum(u**2, axis=1, keepdims=True))
    v_norm = jnp.sqrt(jnp.sum(v**2, axis=1, keepdims=True))
    cosine = jnp.sum(u * v, axis=1, keepdims=True) / (u_norm * v_norm)
    error = cosine - similarity[:, None]
    d_cosine = 2 * error / len(error)
    d_u = d_cosine * (v / v_norm - cosine * u / u_norm) / u_norm
    return left.T @ d_u


def cosine_absolute(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    """The sign of the error, as if its absolute value were the loss."""
    u, v = left @ w, right @ w
    u_norm = jnp.sqrt(jnp.sum(u**2, axis=1, keepdims=True))
    v_norm = jnp.sqrt(jnp.sum(v**2, axis=1, keepdims=True))
    cosine = jnp.sum(u * v, axis=1, keepdims=True) / (u_norm * v_norm)
    error = cosine - similarity[:, None]
    d_cosine = jnp.sign(error) / len(error)
    d_u = d_cosine * (v / v_norm - cosine * u / u_norm) / u_norm
    d_v = d_cosine * (u / u_norm - cosine * v / v_norm) / v_norm
    return left.T @ d_u + right.T @ d_v


def cosine_square_itself(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    """The squared error passed back for its derivative."""
    u, v = left @ w, right @ w
    u_norm = jnp.sqrt(jnp.sum(u**2, axis=1, keepdims=True))
    v_norm = jnp.sqrt(jnp.sum(v**2, axis=1, keepdims=True))
    cosine = jnp.sum(u * v, axis=1, keepdims=True) / (u_norm * v_norm)
    error = cosine - similarity[:, None]
    d_cosine = error**2 / len(error)
    d_u = d_cosine * (v / v_norm - cosine * u / u_norm) / u_norm
    d_v = d_cosine * (u / u_norm - cosine * v / v_norm) / v_norm
    return left.T @ d_u + right.T @ d_v


def cosine_two_forgotten(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    """The square's 2 forgotten."""
    u, v = left @ w, right @ w
    u_norm = jnp.sqrt(jnp.sum(u**2, axis=1, keepdims=True))
    v_norm = jnp.sqrt(jnp.sum(v**2, axis=1, keepdims=True))
    cosine = jnp.sum(u * v, axis=1, keepdims=True) / (u_norm * v_norm)
    error = cosine - similarity[:, None]
    d_cosine = error / len(error)
    d_u = d_cosine * (v / v_norm - cosine * u / u_norm) / u_norm
    d_v = d_cosine * (u / u_norm - cosine * v / v_norm) / v_norm
    return left.T @ d_u + right.T @ d_v


def cosine_left_twice(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    """The sum over both sides that holds the left one already."""
    u, v = left @ w, right @ w
    u_norm = jnp.sqrt(jnp.sum(u**2, axis=1, keepdims=True))
    v_norm = jnp.sqrt(jnp.sum(v**2, axis=1, keepdims=True))
    cosine = jnp.sum(u * v, axis=1, keepdims=True) / (u_norm * v_norm)
    error = cosine - similarity[:, None]
    d_cosine = 2 * error / len(error)
    d_u = d_cosine * (v / v_norm - cosine * u / u_norm) / u_norm
    d_v = d_cosine * (u / u_norm - cosine * v / v_norm) / v_norm
    grad = left.T @ d_u
    for x, d in ((left, d_u), (right, d_v)):
        grad = grad + x.T @ d
    return grad


def cosine_second_half(w: Any, left: Any, right: Any, similarity: Any) -> Any:
    """The last batch of two, divided by the size of both."""
    u, v = left @ w, right @ w
    u_norm = jnp.sqrt(jnp.sum(u**2, axis=1, keepdims=True))
    v_norm = jnp.sqrt(jnp.sum(v**2, axis=1, keepdims=True))
    cosine = jnp.sum(u * v, axis=1, keepdims=True) / (u_norm * v_norm)
    error = cosine - similarity[:, None]
    d_cosine = 2 * error / len(error)
    d_u = d_cosine * (v / v_norm - cosine * u / u_norm) / u_norm
    d_v = d_cosine * (u / u_norm - cosine * v / v_norm) / v_norm
    half = len(error) // 2
    return left[half:].T @ d_u[half:] + right[half:].T @ d_v[half:]


PROBLEMS = (
    Problem(
        "infonce",
        infonce_loss,
        infonce_grad,
        infonce_make,
        (
            Fault("transpose", infonce_untransposed, ("right",), line="infonce_logits"),
            Fault("dropped_path", infonce_norm_fixed, ("left",), line="infonce_left"),
            Fault(
                "dropped_derivative",
                infonce_not_divided,
                ("right",),
                line="infonce_right",
                accept=("wrong_derivative",),
            ),
            Fault(
                "dropped_path",
                infonce_one_direction,
                ("left", "right", "log_sharpness"),
                line="infonce_columns",
            ),
            Fault(
                "dropped_path",
                infonce_rows_twice,
                ("left", "right", "log_sharpness"),
                line="infonce_columns",
                also=("double_counted",),
                accept=("double_counted", "wrong_derivative", "wrong_point"),
            ),
            Fault(
                "dropped_derivative",
                infonce_exp_forgotten,
                ("log_sharpness",),
                line="infonce_sharpness",
                accept=("scale",),
            ),
            Fault(
                "scale",
                infonce_as_blunt,
                ("left", "right"),
                line="infonce_logits",
                accept=("dropped_derivative",),
            ),
        ),
    ),
    Problem(
        "triplet",
        triplet_loss,
        triplet_grad,
        triplet_make,
        (
            Fault("dropped_derivative", triplet_all_violate, ("0", "1"), line="triplet_hinge"),
            Fault("wrong_point", triplet_margin_forgotten, ("0", "1"), line="triplet_hinge"),
            Fault("dropped_path", triplet_anchor_from_afar, ("0", "1"), line="triplet_near"),
            Fault("dropped_path", triplet_negative_fixed, ("0", "1"), line="triplet_far"),
            Fault("wrong_point", triplet_tanh_of_anchor, ("0", "1"), line="triplet_embed"),
            Fault("scale", triplet_per_violation, ("0", "1")),
            Fault("partial_batch", triplet_hardest, ("0", "1")),
        ),
    ),
    Problem(
        "siamese",
        siamese_loss,
        siamese_grad,
        siamese_make,
        (
            Fault("nonfinite", siamese_zero_by_zero, ("0.w", "0.b", "1.w"), line="siamese_root"),
            Fault(
                "wrong_derivative",
                siamese_root_without_half,
                ("0.w", "0.b", "1.w"),
                line="siamese_root",
            ),
            Fault(
                "dropped_derivative",
                siamese_not_divided,
                ("0.w", "0.b", "1.w"),
                line="siamese_root",
            ),
            Fault("wrong_point", siamese_left_mask, ("0.w", "0.b"), line="siamese_relu"),
            Fault("dropped_path", siamese_right_fixed, ("0.w", "0.b", "1.w"), line="siamese_right"),
            Fault(
                "wrong_loss",
                siamese_hinge_not_squared,
                ("0.w", "0.b", "1.w"),
                line="siamese_contrast",
                accept=("dropped_derivative", "wrong_derivative"),
            ),
            Fault("stale", siamese_layers_one_by_one, ("0.w", "0.b")),
        ),
    ),
    Problem(
        "cosine",
        cosine_loss,
        cosine_grad,
        cosine_make,
        (
            Fault("dropped_path", cosine_norms_fixed, ("",), line="cosine_norms"),
            Fault("dropped_path", cosine_right_fixed, ("",), line="cosine_right"),
            Fault("wrong_loss", cosine_absolute, ("",), line="cosine_square"),
            Fault("wrong_loss", cosine_square_itself, ("",), line="cosine_square"),
            Fault("scale", cosine_two_forgotten, ("",)),
            Fault("double_counted", cosine_left_twice, ("",), line="cosine_left"),
            Fault("partial_batch", cosine_second_half, ("",)),
        ),
    ),
)
