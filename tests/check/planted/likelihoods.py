"""Negative log likelihoods: Gaussian, mixture, counts, ordered classes, a VAE's bound."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Fault, Problem


def draw(random: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    return jnp.asarray(scale * random.normal(size=shape), jnp.float32)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


# A mean and a variance for every example, each linear but for the variance's exponential.


def gauss_loss(params: Any, x: Any, y: Any) -> Any:
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])  # @gauss_variance
    surprise = (y - mean) ** 2 / variance  # @gauss_surprise
    return 0.5 * jnp.mean(jnp.log(variance) + surprise)  # @gauss_log


def gauss_grad(params: Any, x: Any, y: Any) -> Any:
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])
    error = mean - y
    n = len(y)
    d_mean = error / variance / n
    d_variance = 0.5 / variance - 0.5 * error**2 / variance**2
    d_log = d_variance * variance / n
    return {
        "mean": {"w": x.T @ d_mean, "b": d_mean.sum()},
        "spread": {"w": x.T @ d_log, "b": d_log.sum()},
    }


def gauss_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features = 9, 5
    params = {
        name: {"w": draw(random, features, scale=0.5), "b": draw(random, scale=0.5)}
        for name in ("mean", "spread")
    }
    return params, (draw(random, batch, features) + 0.3, draw(random, batch, scale=1.5))


def gauss_log_forgotten(params: Any, x: Any, y: Any) -> Any:
    """The normaliser's share forgotten."""
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])
    error = mean - y
    n = len(y)
    d_mean = error / variance / n
    d_variance = -0.5 * error**2 / variance**2
    d_log = d_variance * variance / n
    return {
        "mean": {"w": x.T @ d_mean, "b": d_mean.sum()},
        "spread": {"w": x.T @ d_log, "b": d_log.sum()},
    }


def gauss_exp_forgotten(params: Any, x: Any, y: Any) -> Any:
    """The gradient of the variance taken for that of its logarithm."""
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])
    error = mean - y
    n = len(y)
    d_mean = error / variance / n
    d_variance = 0.5 / variance - 0.5 * error**2 / variance**2
    d_log = d_variance / n
    return {
        "mean": {"w": x.T @ d_mean, "b": d_mean.sum()},
        "spread": {"w": x.T @ d_log, "b": d_log.sum()},
    }


def gauss_inverse_not_squared(params: Any, x: Any, y: Any) -> Any:
    """-1 / v for the derivative of 1 / v."""
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])
    error = mean - y
    n = len(y)
    d_mean = error / variance / n
    d_variance = 0.5 / variance - 0.5 * error**2 / variance
    d_log = d_variance * variance / n
    return {
        "mean": {"w": x.T @ d_mean, "b": d_mean.sum()},
        "spread": {"w": x.T @ d_log, "b": d_log.sum()},
    }


def gauss_unweighted(params: Any, x: Any, y: Any) -> Any:
    """The mean fitted by squared error, as if all variances were one."""
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])
    error = mean - y
    n = len(y)
    d_mean = error / n
    d_variance = 0.5 / variance - 0.5 * error**2 / variance**2
    d_log = d_variance * variance / n
    return {
        "mean": {"w": x.T @ d_mean, "b": d_mean.sum()},
        "spread": {"w": x.T @ d_log, "b": d_log.sum()},
    }


def gauss_target_minus_mean(params: Any, x: Any, y: Any) -> Any:
    """The error the other way round; its square does not care."""
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])
    error = y - mean
    n = len(y)
    d_mean = error / variance / n
    d_variance = 0.5 / variance - 0.5 * error**2 / variance**2
    d_log = d_variance * variance / n
    return {
        "mean": {"w": x.T @ d_mean, "b": d_mean.sum()},
        "spread": {"w": x.T @ d_log, "b": d_log.sum()},
    }


def gauss_heads_exchanged(params: Any, x: Any, y: Any) -> Any:
    """The two heads in the other order."""
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])
    error = mean - y
    n = len(y)
    d_mean = error / variance / n
    d_variance = 0.5 / variance - 0.5 * error**2 / variance**2
    d_log = d_variance * variance / n
    return {
        "mean": {"w": x.T @ d_log, "b": d_log.sum()},
        "spread": {"w": x.T @ d_mean, "b": d_mean.sum()},
    }


def gauss_average_inputs(params: Any, x: Any, y: Any) -> Any:
    """The mean gradient of the outputs times the mean input."""
    mean = x @ params["mean"]["w"] + params["mean"]["b"]
    variance = jnp.exp(x @ params["spread"]["w"] + params["spread"]["b"])
    error = mean - y
    n = len(y)
    d_mean = error / variance / n
    d_variance = 0.5 / variance - 0.5 * error**2 / variance**2
    d_log = d_variance * variance / n
    return {
        "mean": {"w": x.mean(axis=0) * d_mean.sum(), "b": d_mean.sum()},
        "spread": {"w": x.mean(axis=0) * d_log.sum(), "b": d_log.sum()},
    }


# A mixture of round Gaussians.


def mixture_loss(params: Any, x: Any) -> Any:
    share = jax.nn.log_softmax(params["logits"])  # @mixture_share
    apart = x[:, None] - params["means"]
    distance = jnp.sum(apart**2, axis=-1) * jnp.exp(-2 * params["log_scale"])  # @mixture_distance
    log_density = -0.5 * distance - x.shape[1] * params["log_scale"]  # @mixture_density
    return -jnp.mean(jax.nn.logsumexp(share + log_density, axis=1))  # @mixture_sum


def mixture_grad(params: Any, x: Any) -> Any:
    logits, means, log_scale = (np.asarray(params[k]) for k in ("logits", "means", "log_scale"))
    x = np.asarray(x)
    n, size = x.shape
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    precision = np.exp(-2 * log_scale)
    apart = x[:, None] - means
    distance = np.sum(apart**2, axis=-1) * precision
    joint = np.log(pi) - 0.5 * distance - size * log_scale
    r = np.exp(joint - joint.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    r /= n
    return {
        "logits": pi - r.sum(axis=0),
        "means": -np.einsum("nk,nkd->kd", r * precision, apart),
        "log_scale": np.sum(r * (size - distance), axis=0),
    }


def mixture_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, size, parts = 9, 3, 4
    params = {
        "logits": draw(random, parts, scale=0.5),
        "means": draw(random, parts, size),
        "log_scale": draw(random, parts, scale=0.3),
    }
    return params, (draw(random, batch, size, scale=1.5),)


def mixture_winner(params: Any, x: Any) -> Any:
    """Every example for its best part, as k-means has it."""
    logits, means, log_scale = (np.asarray(params[k]) for k in ("logits", "means", "log_scale"))
    x = np.asarray(x)
    n, size = x.shape
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    precision = np.exp(-2 * log_scale)
    apart = x[:, None] - means
    distance = np.sum(apart**2, axis=-1) * precision
    joint = np.log(pi) - 0.5 * distance - size * log_scale
    r = np.eye(len(pi), dtype=x.dtype)[joint.argmax(axis=1)]
    r /= n
    return {
        "logits": pi - r.sum(axis=0),
        "means": -np.einsum("nk,nkd->kd", r * precision, apart),
        "log_scale": np.sum(r * (size - distance), axis=0),
    }


def mixture_shares_unbound(params: Any, x: Any) -> Any:
    """The shares' own normaliser forgotten."""
    logits, means, log_scale = (np.asarray(params[k]) for k in ("logits", "means", "log_scale"))
    x = np.asarray(x)
    n, size = x.shape
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    precision = np.exp(-2 * log_scale)
    apart = x[:, None] - means
    distance = np.sum(apart**2, axis=-1) * precision
    joint = np.log(pi) - 0.5 * distance - size * log_scale
    r = np.exp(joint - joint.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    r /= n
    return {
        "logits": -r.sum(axis=0),
        "means": -np.einsum("nk,nkd->kd", r * precision, apart),
        "log_scale": np.sum(r * (size - distance), axis=0),
    }


def mixture_volume_forgotten(params: Any, x: Any) -> Any:
    """A wide part pays nothing for its width."""
    logits, means, log_scale = (np.asarray(params[k]) for k in ("logits", "means", "log_scale"))
    x = np.asarray(x)
    n, size = x.shape
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    precision = np.exp(-2 * log_scale)
    apart = x[:, None] - means
    distance = np.sum(apart**2, axis=-1) * precision
    joint = np.log(pi) - 0.5 * distance - size * log_scale
    r = np.exp(joint - joint.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    r /= n
    return {
        "logits": pi - r.sum(axis=0),
        "means": -np.einsum("nk,nkd->kd", r * precision, apart),
        "log_scale": -np.sum(r * distance, axis=0),
    }


def mixture_exponent_forgotten(params: Any, x: Any) -> Any:
    """The 2 of the exponent not brought down."""
    logits, means, log_scale = (np.asarray(params[k]) for k in ("logits", "means", "log_scale"))
    x = np.asarray(x)
    n, size = x.shape
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    precision = np.exp(-2 * log_scale)
    apart = x[:, None] - means
    distance = np.sum(apart**2, axis=-1) * precision
    joint = np.log(pi) - 0.5 * distance - size * log_scale
    r = np.exp(joint - joint.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    r /= n
    return {
        "logits": pi - r.sum(axis=0),
        "means": -np.einsum("nk,nkd->kd", r * precision, apart),
        "log_scale": np.sum(r * (size - 0.5 * distance), axis=0),
    }


def mixture_wrong_axis(params: Any, x: Any) -> Any:
    """Responsibilities that sum to one over the examples."""
    logits, means, log_scale = (np.asarray(params[k]) for k in ("logits", "means", "log_scale"))
    x = np.asarray(x)
    n, size = x.shape
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    precision = np.exp(-2 * log_scale)
    apart = x[:, None] - means
    distance = np.sum(apart**2, axis=-1) * precision
    joint = np.log(pi) - 0.5 * distance - size * log_scale
    r = np.exp(joint - joint.max(axis=1, keepdims=True))
    r /= r.sum(axis=0, keepdims=True)
    r /= n
    return {
        "logits": pi - r.sum(axis=0),
        "means": -np.einsum("nk,nkd->kd", r * precision, apart),
        "log_scale": np.sum(r * (size - distance), axis=0),
    }


def mixture_scales_fixed(params: Any, x: Any) -> Any:
    """The scales taken for given."""
    logits, means, log_scale = (np.asarray(params[k]) for k in ("logits", "means", "log_scale"))
    x = np.asarray(x)
    n, size = x.shape
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    precision = np.exp(-2 * log_scale)
    apart = x[:, None] - means
    distance = np.sum(apart**2, axis=-1) * precision
    joint = np.log(pi) - 0.5 * distance - size * log_scale
    r = np.exp(joint - joint.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    r /= n
    return {
        "logits": pi - r.sum(axis=0),
        "means": -np.einsum("nk,nkd->kd", r * precision, apart),
        "log_scale": np.zeros_like(log_scale),
    }


def mixture_away_from_data(params: Any, x: Any) -> Any:
    """The derivative of x - mean by the mean without its minus."""
    logits, means, log_scale = (np.asarray(params[k]) for k in ("logits", "means", "log_scale"))
    x = np.asarray(x)
    n, size = x.shape
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    precision = np.exp(-2 * log_scale)
    apart = x[:, None] - means
    distance = np.sum(apart**2, axis=-1) * precision
    joint = np.log(pi) - 0.5 * distance - size * log_scale
    r = np.exp(joint - joint.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    r /= n
    return {
        "logits": pi - r.sum(axis=0),
        "means": np.einsum("nk,nkd->kd", r * precision, apart),
        "log_scale": np.sum(r * (size - distance), axis=0),
    }


def mixture_last_part(params: Any, x: Any) -> Any:
    """A loop over the parts that begins at 1."""
    logits, means, log_scale = params["logits"], params["means"], params["log_scale"]
    size = x.shape[1]
    apart = x[:, None] - means
    distance = jnp.sum(apart**2, axis=-1) * jnp.exp(-2 * log_scale)
    joint = jax.nn.log_softmax(logits) - 0.5 * distance - size * log_scale
    r = jax.nn.softmax(joint, axis=1)
    d_means = jnp.zeros_like(means)
    for k in range(1, len(means)):
        pull = jnp.mean(r[:, k, None] * apart[:, k], axis=0)
        d_means = d_means.at[k].add(-pull * jnp.exp(-2 * log_scale[k]))
    d_log_scale = jnp.mean(r * (size - distance), axis=0)
    d_logits = jax.nn.softmax(logits) - r.mean(axis=0)
    return {"logits": d_logits, "means": d_means, "log_scale": d_log_scale}


# Counts over known exposures; the parameters are one array.


def poisson_loss(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    rate = exposure * jnp.exp(x @ w)  # @poisson_rate
    return jnp.mean(rate - counts * jnp.log(rate))  # @poisson_likelihood


def poisson_grad(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    rate = exposure * jnp.exp(x @ w)
    return x.T @ (rate - counts) / len(counts)


def poisson_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features = 8, 5
    x = jnp.concatenate([jnp.ones((batch, 1)), draw(random, batch, features - 1)], axis=1)
    exposure = jnp.asarray(random.uniform(0.5, 3.0, batch), jnp.float32)
    counts = jnp.asarray(random.poisson(2.0, batch) + random.integers(2, size=batch), jnp.float32)
    w = draw(random, features, scale=0.5) + 0.2
    return w, (x.astype(jnp.float32), exposure, counts)


def poisson_counts_forgotten(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    """The rate pushed down, the counts not heard."""
    rate = exposure * jnp.exp(x @ w)
    return x.T @ rate / len(counts)


def poisson_squared_error(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    """The gradient of half the squared error of the rate."""
    rate = exposure * jnp.exp(x @ w)
    return x.T @ ((rate - counts) * rate) / len(counts)


def poisson_last_weight(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    """A loop over the weights that ends one early."""
    x, error = np.asarray(x), np.asarray(exposure * jnp.exp(x @ w) - counts)
    grad = np.zeros(w.shape, w.dtype)
    for j in range(len(w) - 1):
        for i in range(len(x)):
            grad[j] += error[i] * x[i, j] / len(x)
    return grad


def poisson_last_example(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    """Assigned in a loop over the examples, not added up."""
    grad = jnp.zeros_like(w)
    for row, t, count in zip(x, exposure, counts, strict=True):
        grad = (t * jnp.exp(row @ w) - count) * row / len(counts)
    return grad


def poisson_average_error(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    """The mean error times the mean input."""
    rate = exposure * jnp.exp(x @ w)
    return jnp.mean(x, axis=0) * jnp.mean(rate - counts)


def poisson_one_over_rate(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    """The gradient of the rate, not multiplied with the rate that exp has for a derivative."""
    rate = exposure * jnp.exp(x @ w)
    return x.T @ (1 - counts / rate) / len(counts)


def poisson_summed_up(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    """Uphill, and the sum of the batch."""
    rate = exposure * jnp.exp(x @ w)
    return x.T @ (counts - rate)


def poisson_one_sided(w: Any, x: Any, exposure: Any, counts: Any) -> Any:
    """A quotient with a step of a half."""
    step = 0.5
    here = poisson_loss(w, x, exposure, counts)
    grad = []
    for j in range(len(w)):
        there = poisson_loss(w.at[j].add(step), x, exposure, counts)
        grad.append((there - here) / step)
    return jnp.stack(grad)


# Ordered classes by cumulative logits; the cuts keep their order by exponentials of the gaps.


def ordinal_loss(params: Any, x: Any, y: Any) -> Any:
    gaps = jnp.exp(params["gaps"])  # @ordinal_gaps
    cuts = params["first"] + jnp.pad(jnp.cumsum(gaps), (1, 0))  # @ordinal_cuts
    below = jax.nn.sigmoid(cuts - (x @ params["w"])[:, None])  # @ordinal_below
    below = jnp.pad(below, ((0, 0), (1, 1)), constant_values=(0, 1))
    rows = jnp.arange(len(y))
    p = below[rows, y + 1] - below[rows, y]  # @ordinal_between
    return -jnp.mean(jnp.log(p))  # @ordinal_log


def ordinal_forward(params: Any, x: Any) -> Any:
    gaps = np.exp(np.asarray(params["gaps"]))
    cuts = np.asarray(params["first"]) + np.append(np.zeros(1, gaps.dtype), np.cumsum(gaps))
    below = sigmoid(cuts - np.asarray(x @ params["w"])[:, None])
    return gaps, np.pad(below, ((0, 0), (1, 1)), constant_values=(0, 1))


def ordinal_grad(params: Any, x: Any, y: Any) -> Any:
    gaps, below = ordinal_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    n = len(y)
    rows = np.arange(n)
    upper, lower = below[rows, y + 1], below[rows, y]
    d_p = -1 / (upper - lower) / n
    d_upper = d_p * upper * (1 - upper)
    d_lower = -d_p * lower * (1 - lower)
    d_w = -x.T @ (d_upper + d_lower)
    d_cuts = np.zeros(len(gaps) + 3, x.dtype)
    np.add.at(d_cuts, y + 1, d_upper)
    np.add.at(d_cuts, y, d_lower)
    d_cuts = d_cuts[1:-1]
    d_gaps = np.cumsum(d_cuts[:0:-1])[::-1]
    return {"w": d_w, "first": d_cuts.sum(), "gaps": d_gaps * gaps}


def ordinal_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, classes = 9, 5, 4
    params = {
        "w": draw(random, features, scale=0.5),
        "first": draw(random, scale=0.3) - 1,
        "gaps": draw(random, classes - 2, scale=0.3) + 0.4,
    }
    y = jnp.asarray(random.permutation([0, 0, 1, 1, 1, 2, 2, 3, 3]))
    return params, (draw(random, batch, features), y)


def ordinal_forward_again(params: Any, x: Any, y: Any) -> Any:
    """The running sum from the front, as in the loss, not from the end."""
    gaps, below = ordinal_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    n = len(y)
    rows = np.arange(n)
    upper, lower = below[rows, y + 1], below[rows, y]
    d_p = -1 / (upper - lower) / n
    d_upper = d_p * upper * (1 - upper)
    d_lower = -d_p * lower * (1 - lower)
    d_w = -x.T @ (d_upper + d_lower)
    d_cuts = np.zeros(len(gaps) + 3, x.dtype)
    np.add.at(d_cuts, y + 1, d_upper)
    np.add.at(d_cuts, y, d_lower)
    d_cuts = d_cuts[1:-1]
    d_gaps = np.cumsum(d_cuts[1:])
    return {"w": d_w, "first": d_cuts.sum(), "gaps": d_gaps * gaps}


def ordinal_exp_forgotten(params: Any, x: Any, y: Any) -> Any:
    """The gradient of the gaps for that of their logarithms."""
    gaps, below = ordinal_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    n = len(y)
    rows = np.arange(n)
    upper, lower = below[rows, y + 1], below[rows, y]
    d_p = -1 / (upper - lower) / n
    d_upper = d_p * upper * (1 - upper)
    d_lower = -d_p * lower * (1 - lower)
    d_w = -x.T @ (d_upper + d_lower)
    d_cuts = np.zeros(len(gaps) + 3, x.dtype)
    np.add.at(d_cuts, y + 1, d_upper)
    np.add.at(d_cuts, y, d_lower)
    d_cuts = d_cuts[1:-1]
    d_gaps = np.cumsum(d_cuts[:0:-1])[::-1]
    return {"w": d_w, "first": d_cuts.sum(), "gaps": d_gaps}


def ordinal_log_forgotten(params: Any, x: Any, y: Any) -> Any:
    """The probability's gradient without the 1 / p of its logarithm."""
    gaps, below = ordinal_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    n = len(y)
    rows = np.arange(n)
    upper, lower = below[rows, y + 1], below[rows, y]
    d_p = -1 / n
    d_upper = d_p * upper * (1 - upper)
    d_lower = -d_p * lower * (1 - lower)
    d_w = -x.T @ (d_upper + d_lower)
    d_cuts = np.zeros(len(gaps) + 3, x.dtype)
    np.add.at(d_cuts, y + 1, d_upper)
    np.add.at(d_cuts, y, d_lower)
    d_cuts = d_cuts[1:-1]
    d_gaps = np.cumsum(d_cuts[:0:-1])[::-1]
    return {"w": d_w, "first": d_cuts.sum(), "gaps": d_gaps * gaps}


def ordinal_lower_forgotten(params: Any, x: Any, y: Any) -> Any:
    """Only the upper cut moves."""
    gaps, below = ordinal_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    n = len(y)
    rows = np.arange(n)
    upper, lower = below[rows, y + 1], below[rows, y]
    d_p = -1 / (upper - lower) / n
    d_upper = d_p * upper * (1 - upper)
    d_lower = 0 * lower
    d_w = -x.T @ (d_upper + d_lower)
    d_cuts = np.zeros(len(gaps) + 3, x.dtype)
    np.add.at(d_cuts, y + 1, d_upper)
    np.add.at(d_cuts, y, d_lower)
    d_cuts = d_cuts[1:-1]
    d_gaps = np.cumsum(d_cuts[:0:-1])[::-1]
    return {"w": d_w, "first": d_cuts.sum(), "gaps": d_gaps * gaps}


def ordinal_sigmoid_of_class(params: Any, x: Any, y: Any) -> Any:
    """p (1 - p) with the probability of the class for that of the cut."""
    gaps, below = ordinal_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    n = len(y)
    rows = np.arange(n)
    upper, lower = below[rows, y + 1], below[rows, y]
    d_p = -1 / (upper - lower) / n
    p = upper - lower
    d_upper = np.where(upper < 1, d_p * p * (1 - p), 0)
    d_lower = np.where(lower > 0, -d_p * p * (1 - p), 0)
    d_w = -x.T @ (d_upper + d_lower)
    d_cuts = np.zeros(len(gaps) + 3, x.dtype)
    np.add.at(d_cuts, y + 1, d_upper)
    np.add.at(d_cuts, y, d_lower)
    d_cuts = d_cuts[1:-1]
    d_gaps = np.cumsum(d_cuts[:0:-1])[::-1]
    return {"w": d_w, "first": d_cuts.sum(), "gaps": d_gaps * gaps}


def ordinal_classes_overwrite(params: Any, x: Any, y: Any) -> Any:
    """+= with the classes for an index counts each class once."""
    gaps, below = ordinal_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    n = len(y)
    rows = np.arange(n)
    upper, lower = below[rows, y + 1], below[rows, y]
    d_p = -1 / (upper - lower) / n
    d_upper = d_p * upper * (1 - upper)
    d_lower = -d_p * lower * (1 - lower)
    d_w = -x.T @ (d_upper + d_lower)
    d_cuts = np.zeros(len(gaps) + 3, x.dtype)
    d_cuts[y + 1] += d_upper
    d_cuts[y] += d_lower
    d_cuts = d_cuts[1:-1]
    d_gaps = np.cumsum(d_cuts[:0:-1])[::-1]
    return {"w": d_w, "first": d_cuts.sum(), "gaps": d_gaps * gaps}


def ordinal_minus_forgotten(params: Any, x: Any, y: Any) -> Any:
    """The score is subtracted from the cuts."""
    gaps, below = ordinal_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    n = len(y)
    rows = np.arange(n)
    upper, lower = below[rows, y + 1], below[rows, y]
    d_p = -1 / (upper - lower) / n
    d_upper = d_p * upper * (1 - upper)
    d_lower = -d_p * lower * (1 - lower)
    d_w = x.T @ (d_upper + d_lower)
    d_cuts = np.zeros(len(gaps) + 3, x.dtype)
    np.add.at(d_cuts, y + 1, d_upper)
    np.add.at(d_cuts, y, d_lower)
    d_cuts = d_cuts[1:-1]
    d_gaps = np.cumsum(d_cuts[:0:-1])[::-1]
    return {"w": d_w, "first": d_cuts.sum(), "gaps": d_gaps * gaps}


# Counts that scatter more than Poisson's; the dispersion is known, a layer of softplus below.


def negative_binomial_loss(params: Any, x: Any, counts: Any, r: Any) -> Any:
    first, second = params
    h = jax.nn.softplus(x @ first["w"] + first["b"])  # @negative_binomial_hidden
    mu = jnp.exp(h @ second["w"] + second["b"])  # @negative_binomial_mean
    loss = (counts + r) * jnp.log1p(mu / r) - counts * jnp.log(mu)  # @negative_binomial_loss
    return jnp.mean(loss)


def negative_binomial_grad(params: Any, x: Any, counts: Any, r: Any) -> Any:
    first, second = params
    n = len(x)
    z = x @ first["w"] + first["b"]
    h = jnp.logaddexp(z, 0)
    mu = jnp.exp(h @ second["w"] + second["b"])
    d_mu = ((counts + r) / (1 + mu / r) / r - counts / mu) / n
    d_eta = d_mu * mu
    d_h = jnp.outer(d_eta, second["w"])
    d_z = d_h / (1 + jnp.exp(-z))
    return [
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": h.T @ d_eta, "b": d_eta.sum()},
    ]


def negative_binomial_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, hidden = 7, 4, 6
    params = [
        {"w": draw(random, features, hidden, scale=0.6), "b": draw(random, hidden, scale=0.5)},
        {"w": draw(random, hidden, scale=0.5), "b": draw(random, scale=0.3)},
    ]
    counts = jnp.asarray(random.negative_binomial(2, 0.4, batch), jnp.float32)
    return params, (draw(random, batch, features), counts, jnp.float32(2.5))


def negative_binomial_sigmoid_of_output(params: Any, x: Any, counts: Any, r: Any) -> Any:
    """The sigmoid, which softplus has for a derivative, at the softplus."""
    first, second = params
    n = len(x)
    z = x @ first["w"] + first["b"]
    h = jnp.logaddexp(z, 0)
    mu = jnp.exp(h @ second["w"] + second["b"])
    d_mu = ((counts + r) / (1 + mu / r) / r - counts / mu) / n
    d_eta = d_mu * mu
    d_h = jnp.outer(d_eta, second["w"])
    d_z = d_h / (1 + jnp.exp(-h))
    return [
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": h.T @ d_eta, "b": d_eta.sum()},
    ]


def negative_binomial_as_relu(params: Any, x: Any, counts: Any, r: Any) -> Any:
    """The derivative of relu, to which softplus comes near."""
    first, second = params
    n = len(x)
    z = x @ first["w"] + first["b"]
    h = jnp.logaddexp(z, 0)
    mu = jnp.exp(h @ second["w"] + second["b"])
    d_mu = ((counts + r) / (1 + mu / r) / r - counts / mu) / n
    d_eta = d_mu * mu
    d_h = jnp.outer(d_eta, second["w"])
    d_z = jnp.where(z > 0, d_h, 0)
    return [
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": h.T @ d_eta, "b": d_eta.sum()},
    ]


def negative_binomial_log_for_log1p(params: Any, x: Any, counts: Any, r: Any) -> Any:
    """The one of log1p forgotten."""
    first, second = params
    n = len(x)
    z = x @ first["w"] + first["b"]
    h = jnp.logaddexp(z, 0)
    mu = jnp.exp(h @ second["w"] + second["b"])
    d_mu = ((counts + r) / (mu / r) / r - counts / mu) / n
    d_eta = d_mu * mu
    d_h = jnp.outer(d_eta, second["w"])
    d_z = d_h / (1 + jnp.exp(-z))
    return [
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": h.T @ d_eta, "b": d_eta.sum()},
    ]


def negative_binomial_inner_forgotten(params: Any, x: Any, counts: Any, r: Any) -> Any:
    """The 1 / r within log1p forgotten."""
    first, second = params
    n = len(x)
    z = x @ first["w"] + first["b"]
    h = jnp.logaddexp(z, 0)
    mu = jnp.exp(h @ second["w"] + second["b"])
    d_mu = ((counts + r) / (1 + mu / r) - counts / mu) / n
    d_eta = d_mu * mu
    d_h = jnp.outer(d_eta, second["w"])
    d_z = d_h / (1 + jnp.exp(-z))
    return [
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": h.T @ d_eta, "b": d_eta.sum()},
    ]


def negative_binomial_exp_forgotten(params: Any, x: Any, counts: Any, r: Any) -> Any:
    """The gradient of the mean for that of its logarithm."""
    first, second = params
    n = len(x)
    z = x @ first["w"] + first["b"]
    h = jnp.logaddexp(z, 0)
    mu = jnp.exp(h @ second["w"] + second["b"])
    d_mu = ((counts + r) / (1 + mu / r) / r - counts / mu) / n
    d_eta = d_mu
    d_h = jnp.outer(d_eta, second["w"])
    d_z = d_h / (1 + jnp.exp(-z))
    return [
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": h.T @ d_eta, "b": d_eta.sum()},
    ]


def negative_binomial_as_poisson(params: Any, x: Any, counts: Any, r: Any) -> Any:
    """The gradient of Poisson's likelihood."""
    first, second = params
    n = len(x)
    z = x @ first["w"] + first["b"]
    h = jnp.logaddexp(z, 0)
    mu = jnp.exp(h @ second["w"] + second["b"])
    d_eta = (mu - counts) / n
    d_h = jnp.outer(d_eta, second["w"])
    d_z = d_h / (1 + jnp.exp(-z))
    return [
        {"w": x.T @ d_z, "b": d_z.sum(axis=0)},
        {"w": h.T @ d_eta, "b": d_eta.sum()},
    ]


# A variational autoencoder of pixels in [0, 1], with the noise given.


def vae_loss(params: Any, x: Any, noise: Any) -> Any:
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])  # @vae_encode
    mu = h @ params["mu"]
    log_var = h @ params["log_var"]  # @vae_log_var
    z = mu + jnp.exp(0.5 * log_var) * noise  # @vae_sample
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    pixels = jnp.sum(jax.nn.softplus(logits) - x * logits, axis=1)
    divergence = 0.5 * jnp.sum(jnp.exp(log_var) + mu**2 - 1 - log_var, axis=1)  # @vae_divergence
    return jnp.mean(pixels + divergence)


def vae_grad(params: Any, x: Any, noise: Any) -> Any:
    n = len(x)
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])
    mu, log_var = h @ params["mu"], h @ params["log_var"]
    sigma = jnp.exp(0.5 * log_var)
    z = mu + sigma * noise
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    d_logits = (jax.nn.sigmoid(logits) - x) / n
    d_z = d_logits @ params["decode"]["w"].T
    d_mu = d_z + mu / n
    d_log_var = d_z * noise * 0.5 * sigma
    d_log_var = d_log_var + 0.5 * (sigma**2 - 1) / n
    d_h = d_mu @ params["mu"].T + d_log_var @ params["log_var"].T
    d_a = d_h * (1 - h**2)
    return {
        "encode": {"w": x.T @ d_a, "b": d_a.sum(axis=0)},
        "mu": h.T @ d_mu,
        "log_var": h.T @ d_log_var,
        "decode": {"w": z.T @ d_logits, "b": d_logits.sum(axis=0)},
    }


def vae_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, pixels, hidden, size = 7, 6, 5, 3
    params = {
        "encode": {"w": draw(random, pixels, hidden), "b": draw(random, hidden, scale=0.5)},
        "mu": draw(random, hidden, size, scale=0.7),
        "log_var": draw(random, hidden, size, scale=0.7),
        "decode": {"w": draw(random, size, pixels), "b": draw(random, pixels, scale=0.5)},
    }
    x = jnp.asarray(random.random((batch, pixels)), jnp.float32)
    return params, (x, draw(random, batch, size))


def vae_mean_unbound(params: Any, x: Any, noise: Any) -> Any:
    """The divergence's share of the mean's gradient forgotten."""
    n = len(x)
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])
    mu, log_var = h @ params["mu"], h @ params["log_var"]
    sigma = jnp.exp(0.5 * log_var)
    z = mu + sigma * noise
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    d_logits = (jax.nn.sigmoid(logits) - x) / n
    d_z = d_logits @ params["decode"]["w"].T
    d_mu = d_z
    d_log_var = d_z * noise * 0.5 * sigma
    d_log_var = d_log_var + 0.5 * (sigma**2 - 1) / n
    d_h = d_mu @ params["mu"].T + d_log_var @ params["log_var"].T
    d_a = d_h * (1 - h**2)
    return {
        "encode": {"w": x.T @ d_a, "b": d_a.sum(axis=0)},
        "mu": h.T @ d_mu,
        "log_var": h.T @ d_log_var,
        "decode": {"w": z.T @ d_logits, "b": d_logits.sum(axis=0)},
    }


def vae_half_forgotten(params: Any, x: Any, noise: Any) -> Any:
    """The half of the exponent not brought down."""
    n = len(x)
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])
    mu, log_var = h @ params["mu"], h @ params["log_var"]
    sigma = jnp.exp(0.5 * log_var)
    z = mu + sigma * noise
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    d_logits = (jax.nn.sigmoid(logits) - x) / n
    d_z = d_logits @ params["decode"]["w"].T
    d_mu = d_z + mu / n
    d_log_var = d_z * noise * sigma
    d_log_var = d_log_var + 0.5 * (sigma**2 - 1) / n
    d_h = d_mu @ params["mu"].T + d_log_var @ params["log_var"].T
    d_a = d_h * (1 - h**2)
    return {
        "encode": {"w": x.T @ d_a, "b": d_a.sum(axis=0)},
        "mu": h.T @ d_mu,
        "log_var": h.T @ d_log_var,
        "decode": {"w": z.T @ d_logits, "b": d_logits.sum(axis=0)},
    }


def vae_sample_fixed(params: Any, x: Any, noise: Any) -> Any:
    """The sample's spread taken for a constant."""
    n = len(x)
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])
    mu, log_var = h @ params["mu"], h @ params["log_var"]
    sigma = jnp.exp(0.5 * log_var)
    z = mu + sigma * noise
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    d_logits = (jax.nn.sigmoid(logits) - x) / n
    d_z = d_logits @ params["decode"]["w"].T
    d_mu = d_z + mu / n
    d_log_var = 0.5 * (sigma**2 - 1) / n
    d_h = d_mu @ params["mu"].T + d_log_var @ params["log_var"].T
    d_a = d_h * (1 - h**2)
    return {
        "encode": {"w": x.T @ d_a, "b": d_a.sum(axis=0)},
        "mu": h.T @ d_mu,
        "log_var": h.T @ d_log_var,
        "decode": {"w": z.T @ d_logits, "b": d_logits.sum(axis=0)},
    }


def vae_divergence_twice(params: Any, x: Any, noise: Any) -> Any:
    """The divergence differentiated with the mean and again with the rest."""
    n = len(x)
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])
    mu, log_var = h @ params["mu"], h @ params["log_var"]
    sigma = jnp.exp(0.5 * log_var)
    z = mu + sigma * noise
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    d_logits = (jax.nn.sigmoid(logits) - x) / n
    d_z = d_logits @ params["decode"]["w"].T
    d_mu = d_z + mu / n + mu / n
    d_log_var = d_z * noise * 0.5 * sigma
    d_log_var = d_log_var + (sigma**2 - 1) / n
    d_h = d_mu @ params["mu"].T + d_log_var @ params["log_var"].T
    d_a = d_h * (1 - h**2)
    return {
        "encode": {"w": x.T @ d_a, "b": d_a.sum(axis=0)},
        "mu": h.T @ d_mu,
        "log_var": h.T @ d_log_var,
        "decode": {"w": z.T @ d_logits, "b": d_logits.sum(axis=0)},
    }


def vae_spread_not_back(params: Any, x: Any, noise: Any) -> Any:
    """The hidden layer hears of the mean only."""
    n = len(x)
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])
    mu, log_var = h @ params["mu"], h @ params["log_var"]
    sigma = jnp.exp(0.5 * log_var)
    z = mu + sigma * noise
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    d_logits = (jax.nn.sigmoid(logits) - x) / n
    d_z = d_logits @ params["decode"]["w"].T
    d_mu = d_z + mu / n
    d_log_var = d_z * noise * 0.5 * sigma
    d_log_var = d_log_var + 0.5 * (sigma**2 - 1) / n
    d_h = d_mu @ params["mu"].T
    d_a = d_h * (1 - h**2)
    return {
        "encode": {"w": x.T @ d_a, "b": d_a.sum(axis=0)},
        "mu": h.T @ d_mu,
        "log_var": h.T @ d_log_var,
        "decode": {"w": z.T @ d_logits, "b": d_logits.sum(axis=0)},
    }


def vae_one_minus_tanh(params: Any, x: Any, noise: Any) -> Any:
    """1 - a for 1 - a^2."""
    n = len(x)
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])
    mu, log_var = h @ params["mu"], h @ params["log_var"]
    sigma = jnp.exp(0.5 * log_var)
    z = mu + sigma * noise
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    d_logits = (jax.nn.sigmoid(logits) - x) / n
    d_z = d_logits @ params["decode"]["w"].T
    d_mu = d_z + mu / n
    d_log_var = d_z * noise * 0.5 * sigma
    d_log_var = d_log_var + 0.5 * (sigma**2 - 1) / n
    d_h = d_mu @ params["mu"].T + d_log_var @ params["log_var"].T
    d_a = d_h * (1 - h)
    return {
        "encode": {"w": x.T @ d_a, "b": d_a.sum(axis=0)},
        "mu": h.T @ d_mu,
        "log_var": h.T @ d_log_var,
        "decode": {"w": z.T @ d_logits, "b": d_logits.sum(axis=0)},
    }


def vae_mean_and_spread_exchanged(params: Any, x: Any, noise: Any) -> Any:
    """Two matrices of one shape."""
    n = len(x)
    h = jnp.tanh(x @ params["encode"]["w"] + params["encode"]["b"])
    mu, log_var = h @ params["mu"], h @ params["log_var"]
    sigma = jnp.exp(0.5 * log_var)
    z = mu + sigma * noise
    logits = z @ params["decode"]["w"] + params["decode"]["b"]
    d_logits = (jax.nn.sigmoid(logits) - x) / n
    d_z = d_logits @ params["decode"]["w"].T
    d_mu = d_z + mu / n
    d_log_var = d_z * noise * 0.5 * sigma
    d_log_var = d_log_var + 0.5 * (sigma**2 - 1) / n
    d_h = d_mu @ params["mu"].T + d_log_var @ params["log_var"].T
    d_a = d_h * (1 - h**2)
    return {
        "encode": {"w": x.T @ d_a, "b": d_a.sum(axis=0)},
        "mu": h.T @ d_log_var,
        "log_var": h.T @ d_mu,
        "decode": {"w": z.T @ d_logits, "b": d_logits.sum(axis=0)},
    }


PROBLEMS = (
    Problem(
        "gauss",
        gauss_loss,
        gauss_grad,
        gauss_make,
        (
            Fault("dropped_path", gauss_log_forgotten, ("spread.w", "spread.b"), line="gauss_log"),
            Fault(
                "dropped_derivative",
                gauss_exp_forgotten,
                ("spread.w", "spread.b"),
                line="gauss_variance",
            ),
            Fault(
                "wrong_derivative",
                gauss_inverse_not_squared,
                ("spread.w", "spread.b"),
                line="gauss_surprise",
            ),
            Fault(
                "dropped_derivative",
                gauss_unweighted,
                ("mean.w", "mean.b"),
                line="gauss_surprise",
                accept=("wrong_loss",),
            ),
            Fault("sign", gauss_target_minus_mean, ("mean.w", "mean.b")),
            Fault("swapped", gauss_heads_exchanged, ("mean.w", "mean.b", "spread.w", "spread.b")),
            Fault("premature_average", gauss_average_inputs, ("mean.w", "spread.w")),
        ),
    ),
    Problem(
        "mixture",
        mixture_loss,
        mixture_grad,
        mixture_make,
        (
            Fault(
                "wrong_derivative",
                mixture_winner,
                ("logits", "means", "log_scale"),
                line="mixture_sum",
                accept=("wrong_loss",),
            ),
            Fault("dropped_path", mixture_shares_unbound, ("logits",), line="mixture_share"),
            Fault("dropped_path", mixture_volume_forgotten, ("log_scale",), line="mixture_density"),
            Fault(
                "dropped_derivative",
                mixture_exponent_forgotten,
                ("log_scale",),
                line="mixture_distance",
                accept=("wrong_derivative",),
            ),
            Fault(
                "wrong_derivative",
                mixture_wrong_axis,
                ("logits", "means", "log_scale"),
                line="mixture_sum",
                accept=("wrong_point",),
            ),
            Fault("missing", mixture_scales_fixed, ("log_scale",)),
            Fault("sign", mixture_away_from_data, ("means",)),
            Fault("partial_entries", mixture_last_part, ("means",)),
        ),
    ),
    Problem(
        "poisson",
        poisson_loss,
        poisson_grad,
        poisson_make,
        (
            Fault("dropped_path", poisson_counts_forgotten, ("",), line="poisson_likelihood"),
            Fault("wrong_loss", poisson_squared_error, ("",), line="poisson_likelihood"),
            Fault("partial_entries", poisson_last_weight, ("",)),
            Fault("partial_batch", poisson_last_example, ("",)),
            Fault("premature_average", poisson_average_error, ("",)),
            Fault("dropped_derivative", poisson_one_over_rate, ("",), line="poisson_rate"),
            Fault("scale", poisson_summed_up, ("",), also=("sign",), accept=("sign",)),
            Fault("numeric_step", poisson_one_sided, ("",)),
        ),
    ),
    Problem(
        "ordinal",
        ordinal_loss,
        ordinal_grad,
        ordinal_make,
        (
            Fault(
                "wrong_derivative",
                ordinal_forward_again,
                ("gaps",),
                line="ordinal_cuts",
                accept=("transpose",),
            ),
            Fault("dropped_derivative", ordinal_exp_forgotten, ("gaps",), line="ordinal_gaps"),
            Fault(
                "dropped_derivative",
                ordinal_log_forgotten,
                ("w", "first", "gaps"),
                line="ordinal_log",
            ),
            Fault(
                "dropped_path",
                ordinal_lower_forgotten,
                ("w", "first", "gaps"),
                line="ordinal_between",
            ),
            Fault(
                "wrong_point",
                ordinal_sigmoid_of_class,
                ("w", "first", "gaps"),
                line="ordinal_below",
            ),
            Fault(
                "partial_entries",
                ordinal_classes_overwrite,
                ("first", "gaps"),
                line="ordinal_between",
            ),
            Fault("sign", ordinal_minus_forgotten, ("w",)),
        ),
    ),
    Problem(
        "negative_binomial",
        negative_binomial_loss,
        negative_binomial_grad,
        negative_binomial_make,
        (
            Fault(
                "wrong_point",
                negative_binomial_sigmoid_of_output,
                ("0.w", "0.b"),
                line="negative_binomial_hidden",
            ),
            Fault(
                "wrong_derivative",
                negative_binomial_as_relu,
                ("0.w", "0.b"),
                line="negative_binomial_hidden",
            ),
            Fault(
                "wrong_derivative",
                negative_binomial_log_for_log1p,
                ("0.w", "0.b", "1.w", "1.b"),
                line="negative_binomial_loss",
                accept=("wrong_point",),
            ),
            Fault(
                "dropped_derivative",
                negative_binomial_inner_forgotten,
                ("0.w", "0.b", "1.w", "1.b"),
                line="negative_binomial_loss",
            ),
            Fault(
                "dropped_derivative",
                negative_binomial_exp_forgotten,
                ("0.w", "0.b", "1.w", "1.b"),
                line="negative_binomial_mean",
            ),
            Fault(
                "wrong_loss",
                negative_binomial_as_poisson,
                ("0.w", "0.b", "1.w", "1.b"),
                line="negative_binomial_loss",
            ),
        ),
    ),
    Problem(
        "vae",
        vae_loss,
        vae_grad,
        vae_make,
        (
            Fault(
                "dropped_path",
                vae_mean_unbound,
                ("encode.w", "encode.b", "mu"),
                line="vae_divergence",
            ),
            Fault(
                "dropped_derivative",
                vae_half_forgotten,
                ("encode.w", "encode.b", "log_var"),
                line="vae_sample",
                accept=("wrong_derivative",),
            ),
            Fault(
                "dropped_path",
                vae_sample_fixed,
                ("encode.w", "encode.b", "log_var"),
                line="vae_sample",
            ),
            Fault(
                "double_counted",
                vae_divergence_twice,
                ("encode.w", "encode.b", "mu", "log_var"),
                line="vae_divergence",
            ),
            Fault(
                "dropped_path", vae_spread_not_back, ("encode.w", "encode.b"), line="vae_log_var"
            ),
            Fault(
                "wrong_derivative", vae_one_minus_tanh, ("encode.w", "encode.b"), line="vae_encode"
            ),
            Fault("swapped", vae_mean_and_spread_exchanged, ("mu", "log_var")),
        ),
    ),
)
