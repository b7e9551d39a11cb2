"""Attention: one head, causal self-attention with a residual branch, two heads."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from .problem import Fault, Problem


def draw(random: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    return jnp.asarray(scale * random.normal(size=shape), jnp.float32)


# One head over the tokens of one text, with a bias behind it.


def head_loss(params: Any, x: Any, y: Any) -> Any:
    q = x @ params["q"]
    k = x @ params["k"]
    v = x @ params["v"]
    scores = q @ k.T / q.shape[1] ** 0.5  # @head_scores
    weights = jax.nn.softmax(scores, axis=-1)  # @head_softmax
    out = weights @ v + params["b"]  # @head_mix
    return jnp.mean(jnp.sum((out - y) ** 2, axis=-1))


def head_forward(params: Any, x: Any) -> Any:
    q, k, v = (np.asarray(x @ params[name]) for name in "qkv")
    scores = q @ k.T / q.shape[1] ** 0.5
    exps = np.exp(scores - scores.max(axis=1, keepdims=True))
    a = exps / exps.sum(axis=1, keepdims=True)
    return q, k, v, a, a @ v + np.asarray(params["b"])


def head_grad(params: Any, x: Any, y: Any) -> Any:
    q, k, v, a, out = head_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    d_out = 2 * (out - y) / len(x)
    d_v = a.T @ d_out
    d_a = d_out @ v.T
    d_s = a * (d_a - np.sum(a * d_a, axis=1, keepdims=True))
    d_s = d_s / q.shape[1] ** 0.5
    d_q = d_s @ k
    d_k = d_s.T @ q
    return {"q": x.T @ d_q, "k": x.T @ d_k, "v": x.T @ d_v, "b": d_out.sum(axis=0)}


def head_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    tokens, size, inner, out = 7, 5, 4, 3
    params = {
        "q": draw(random, size, inner, scale=0.6),
        "k": draw(random, size, inner, scale=0.6),
        "v": draw(random, size, out, scale=0.6),
        "b": draw(random, out, scale=0.3),
    }
    return params, (draw(random, tokens, size), draw(random, tokens, out))


def head_softmax_diagonal(params: Any, x: Any, y: Any) -> Any:
    """The softmax differentiated entry by entry, as a sigmoid."""
    q, k, v, a, out = head_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    d_out = 2 * (out - y) / len(x)
    d_v = a.T @ d_out
    d_a = d_out @ v.T
    d_s = a * (1 - a) * d_a
    d_s = d_s / q.shape[1] ** 0.5
    d_q = d_s @ k
    d_k = d_s.T @ q
    return {"q": x.T @ d_q, "k": x.T @ d_k, "v": x.T @ d_v, "b": d_out.sum(axis=0)}


def head_untempered(params: Any, x: Any, y: Any) -> Any:
    """The square root that divides the scores forgotten."""
    q, k, v, a, out = head_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    d_out = 2 * (out - y) / len(x)
    d_v = a.T @ d_out
    d_a = d_out @ v.T
    d_s = a * (d_a - np.sum(a * d_a, axis=1, keepdims=True))
    d_q = d_s @ k
    d_k = d_s.T @ q
    return {"q": x.T @ d_q, "k": x.T @ d_k, "v": x.T @ d_v, "b": d_out.sum(axis=0)}


def head_weights_untransposed(params: Any, x: Any, y: Any) -> Any:
    """The weights are square, so that nobody notices."""
    q, k, v, a, out = head_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    d_out = 2 * (out - y) / len(x)
    d_v = a @ d_out
    d_a = d_out @ v.T
    d_s = a * (d_a - np.sum(a * d_a, axis=1, keepdims=True))
    d_s = d_s / q.shape[1] ** 0.5
    d_q = d_s @ k
    d_k = d_s.T @ q
    return {"q": x.T @ d_q, "k": x.T @ d_k, "v": x.T @ d_v, "b": d_out.sum(axis=0)}


def head_scores_untransposed(params: Any, x: Any, y: Any) -> Any:
    """The scores are square as well."""
    q, k, v, a, out = head_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    d_out = 2 * (out - y) / len(x)
    d_v = a.T @ d_out
    d_a = d_out @ v.T
    d_s = a * (d_a - np.sum(a * d_a, axis=1, keepdims=True))
    d_s = d_s / q.shape[1] ** 0.5
    d_q = d_s @ k
    d_k = d_s @ q
    return {"q": x.T @ d_q, "k": x.T @ d_k, "v": x.T @ d_v, "b": d_out.sum(axis=0)}


def head_exchanged(params: Any, x: Any, y: Any) -> Any:
    """The queries' gradient for the keys'."""
    q, k, v, a, out = head_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    d_out = 2 * (out - y) / len(x)
    d_v = a.T @ d_out
    d_a = d_out @ v.T
    d_s = a * (d_a - np.sum(a * d_a, axis=1, keepdims=True))
    d_s = d_s / q.shape[1] ** 0.5
    d_q = d_s @ k
    d_k = d_s.T @ q
    d_wk, d_wq, d_wv = (x.T @ d for d in (d_q, d_k, d_v))
    return {"q": d_wq, "k": d_wk, "v": d_wv, "b": d_out.sum(axis=0)}


def head_keys_left(params: Any, x: Any, y: Any) -> Any:
    """The keys taken for constants."""
    q, k, v, a, out = head_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    d_out = 2 * (out - y) / len(x)
    d_v = a.T @ d_out
    d_a = d_out @ v.T
    d_s = a * (d_a - np.sum(a * d_a, axis=1, keepdims=True))
    d_s = d_s / q.shape[1] ** 0.5
    d_q = d_s @ k
    grads = {name: np.zeros(np.shape(w), x.dtype) for name, w in params.items()}
    grads["q"] += x.T @ d_q
    grads["v"] += x.T @ d_v
    grads["b"] += d_out.sum(axis=0)
    return grads


def head_mean_of_entries(params: Any, x: Any, y: Any) -> Any:
    """np.mean over all entries where the loss sums those of a token."""
    q, k, v, a, out = head_forward(params, x)
    x, y = np.asarray(x), np.asarray(y)
    d_out = 2 * (out - y) / y.size
    d_v = a.T @ d_out
    d_a = d_out @ v.T
    d_s = a * (d_a - np.sum(a * d_a, axis=1, keepdims=True))
    d_s = d_s / q.shape[1] ** 0.5
    d_q = d_s @ k
    d_k = d_s.T @ q
    return {"q": x.T @ d_q, "k": x.T @ d_k, "v": x.T @ d_v, "b": d_out.sum(axis=0)}


# Self-attention that looks back only, one projection for queries and keys, a residual branch around
# it, and a classifier of the mean of the tokens.


def causal_loss(params: Any, x: Any, labels: Any) -> Any:
    embed, share, value, out = params
    length = x.shape[1]
    e = jnp.tanh(x @ embed["w"] + embed["b"])  # @causal_embed
    h = e @ share
    scores = jnp.einsum("btk,bsk->bts", h, h)  # @causal_scores
    scores = jnp.where(jnp.tri(length, dtype=bool), scores, -1e30)  # @causal_mask
    weights = jax.nn.softmax(scores)
    v = e @ value  # @causal_value
    mixed = jnp.einsum("bts,bsd->btd", weights, v)
    pooled = jnp.mean(e + mixed, axis=1)  # @causal_residual
    logp = jax.nn.log_softmax(pooled @ out)
    return -jnp.mean(jnp.take_along_axis(logp, labels[:, None], axis=1))


def causal_grad(params: Any, x: Any, labels: Any) -> Any:
    embed, share, value, out = params
    n, length = x.shape[:2]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -1e30))
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h + d_scores.swapaxes(1, 2) @ h
    d_e = d_sum + d_v @ value.T + d_h @ share.T
    d_a = d_e * (1 - e**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=(0, 1))}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


def causal_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, length, features, size, inner, classes = 8, 7, 5, 6, 4, 3
    params = (
        {"w": draw(random, features, size, scale=0.5), "b": draw(random, size, scale=0.5)},
        draw(random, size, inner, scale=0.6),
        draw(random, size, size, scale=0.6),
        draw(random, size, classes),
    )
    labels = jnp.asarray(random.integers(classes, size=batch))
    return params, (draw(random, batch, length, features), labels)


def causal_no_residual(params: Any, x: Any, labels: Any) -> Any:
    """What reaches the embedding around the attention forgotten."""
    embed, share, value, out = params
    n, length = x.shape[:2]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -1e30))
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h + d_scores.swapaxes(1, 2) @ h
    d_e = d_v @ value.T + d_h @ share.T
    d_a = d_e * (1 - e**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=(0, 1))}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


def causal_residual_twice(params: Any, x: Any, labels: Any) -> Any:
    """Added when the sum is split, and again when the branches meet."""
    embed, share, value, out = params
    n, length = x.shape[:2]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -1e30))
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h + d_scores.swapaxes(1, 2) @ h
    d_e = d_sum
    d_e = d_e + d_v @ value.T
    d_e = d_e + d_h @ share.T
    d_e = d_e + d_sum
    d_a = d_e * (1 - e**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=(0, 1))}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


def causal_queries_only(params: Any, x: Any, labels: Any) -> Any:
    """The projection makes the keys too."""
    embed, share, value, out = params
    n, length = x.shape[:2]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -1e30))
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h
    d_e = d_sum + d_v @ value.T + d_h @ share.T
    d_a = d_e * (1 - e**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=(0, 1))}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


def causal_tanh_of_sum(params: Any, x: Any, labels: Any) -> Any:
    """The derivative of tanh at its argument."""
    embed, share, value, out = params
    n, length = x.shape[:2]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -1e30))
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h + d_scores.swapaxes(1, 2) @ h
    d_e = d_sum + d_v @ value.T + d_h @ share.T
    d_a = d_e * (1 - a**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=(0, 1))}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


def causal_value_untransposed(params: Any, x: Any, labels: Any) -> Any:
    """The square matrix of the values used as it stands."""
    embed, share, value, out = params
    n, length = x.shape[:2]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -1e30))
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h + d_scores.swapaxes(1, 2) @ h
    d_e = d_sum + d_v @ value + d_h @ share.T
    d_a = d_e * (1 - e**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=(0, 1))}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


def causal_first_half(params: Any, x: Any, labels: Any) -> Any:
    """A gradient of the first half of the batch, left from when it did not fit the memory."""
    embed, share, value, out = params
    n, length = len(x) // 2, x.shape[1]
    x, labels = x[:n], labels[:n]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -1e30))
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h + d_scores.swapaxes(1, 2) @ h
    d_e = d_sum + d_v @ value.T + d_h @ share.T
    d_a = d_e * (1 - e**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=(0, 1))}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


def causal_bias_of_tokens(params: Any, x: Any, labels: Any) -> Any:
    """The bias summed over the batch, not over the tokens."""
    embed, share, value, out = params
    n, length = x.shape[:2]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -1e30))
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h + d_scores.swapaxes(1, 2) @ h
    d_e = d_sum + d_v @ value.T + d_h @ share.T
    d_a = d_e * (1 - e**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=0)}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


def causal_unmasked(params: Any, x: Any, labels: Any) -> Any:
    """The forward pass repeated without the mask."""
    embed, share, value, out = params
    n, length = x.shape[:2]
    a = x @ embed["w"] + embed["b"]
    e = jnp.tanh(a)
    h = e @ share
    v = e @ value
    scores = h @ h.swapaxes(1, 2)
    weights = jax.nn.softmax(scores)
    pooled = jnp.mean(e + weights @ v, axis=1)
    d_logits = jax.nn.softmax(pooled @ out)
    d_logits = d_logits.at[jnp.arange(n), labels].add(-1) / n
    d_out = pooled.T @ d_logits
    d_sum = jnp.repeat((d_logits @ out.T / length)[:, None], length, axis=1)
    d_v = weights.swapaxes(1, 2) @ d_sum
    d_weights = d_sum @ v.swapaxes(1, 2)
    d_scores = weights * (d_weights - jnp.sum(d_weights * weights, axis=2, keepdims=True))
    d_h = d_scores @ h + d_scores.swapaxes(1, 2) @ h
    d_e = d_sum + d_v @ value.T + d_h @ share.T
    d_a = d_e * (1 - e**2)
    d_embed = {"w": jnp.einsum("bti,btd->id", x, d_a), "b": d_a.sum(axis=(0, 1))}
    d_share = jnp.einsum("btd,btk->dk", e, d_h)
    d_value = jnp.einsum("btd,bte->de", e, d_v)
    return d_embed, d_share, d_value, d_out


# Two heads that read a sequence from its last token, log-cosh error.


def heads_loss(params: Any, x: Any, y: Any) -> Any:
    q = jnp.einsum("bd,hdk->bhk", x[:, -1], params["q"])
    k = jnp.einsum("btd,hdk->bhtk", x, params["k"])
    v = jnp.einsum("btd,hdk->bhtk", x, params["v"])
    s = jnp.einsum("bhk,bhtk->bht", q, k) / q.shape[-1] ** 0.5
    a = jnp.exp(s - jax.scipy.special.logsumexp(s, axis=-1, keepdims=True))  # @heads_normalise
    o = jnp.einsum("bht,bhtk->bhk", a, v).reshape(len(x), -1)  # @heads_merge
    error = o @ params["out"] + params["bias"] - y
    return jnp.mean(jnp.log(jnp.cosh(error)))  # @heads_error


def heads_forward(params: Any, x: Any) -> Any:
    q = jnp.einsum("bd,hdk->bhk", x[:, -1], params["q"])
    k = jnp.einsum("btd,hdk->bhtk", x, params["k"])
    v = jnp.einsum("btd,hdk->bhtk", x, params["v"])
    a = jax.nn.softmax(jnp.einsum("bhk,bhtk->bht", q, k) / q.shape[-1] ** 0.5)
    o = jnp.einsum("bht,bhtk->bhk", a, v).reshape(len(x), -1)
    return q, k, v, a, o


def heads_grad(params: Any, x: Any, y: Any) -> Any:
    q, k, v, a, o = heads_forward(params, x)
    n, heads, size = q.shape
    delta = jnp.tanh(o @ params["out"] + params["bias"] - y) / n
    d_out = o.T @ delta
    d_o = jnp.outer(delta, params["out"])
    d_o = d_o.reshape(n, heads, size)
    d_v = jnp.einsum("bht,bhk->bhtk", a, d_o)
    d_a = jnp.einsum("bhk,bhtk->bht", d_o, v)
    d_s = a * (d_a - jnp.sum(a * d_a, axis=-1, keepdims=True)) / size**0.5
    d_q = jnp.einsum("bht,bhtk->bhk", d_s, k)
    d_k = jnp.einsum("bht,bhk->bhtk", d_s, q)
    return {
        "q": jnp.einsum("bd,bhk->hdk", x[:, -1], d_q),
        "k": jnp.einsum("btd,bhtk->hdk", x, d_k),
        "v": jnp.einsum("btd,bhtk->hdk", x, d_v),
        "out": d_out,
        "bias": delta.sum(),
    }


def heads_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, length, features, heads, size = 9, 6, 5, 2, 4
    params = {
        "q": draw(random, heads, features, size, scale=0.6),
        "k": draw(random, heads, features, size, scale=0.6),
        "v": draw(random, heads, features, size, scale=0.6),
        "out": draw(random, heads * size, scale=0.7),
        "bias": draw(random, scale=0.5),
    }
    x = draw(random, batch, length, features)
    return params, (x, x[:, 1, 2] + x[:, -1, 0] + draw(random, batch, scale=0.3))


def heads_split_otherwise(params: Any, x: Any, y: Any) -> Any:
    """The heads split with the axes in the other order than they were merged in."""
    q, k, v, a, o = heads_forward(params, x)
    n, heads, size = q.shape
    delta = jnp.tanh(o @ params["out"] + params["bias"] - y) / n
    d_out = o.T @ delta
    d_o = jnp.outer(delta, params["out"])
    d_o = d_o.reshape(n, size, heads).swapaxes(1, 2)
    d_v = jnp.einsum("bht,bhk->bhtk", a, d_o)
    d_a = jnp.einsum("bhk,bhtk->bht", d_o, v)
    d_s = a * (d_a - jnp.sum(a * d_a, axis=-1, keepdims=True)) / size**0.5
    d_q = jnp.einsum("bht,bhtk->bhk", d_s, k)
    d_k = jnp.einsum("bht,bhk->bhtk", d_s, q)
    return {
        "q": jnp.einsum("bd,bhk->hdk", x[:, -1], d_q),
        "k": jnp.einsum("btd,bhtk->hdk", x, d_k),
        "v": jnp.einsum("btd,bhtk->hdk", x, d_v),
        "out": d_out,
        "bias": delta.sum(),
    }


def heads_first_head(params: Any, x: Any, y: Any) -> Any:
    """The loop over the heads left after the first."""
    q, k, v, a, o = heads_forward(params, x)
    n, heads, size = q.shape
    delta = jnp.tanh(o @ params["out"] + params["bias"] - y) / n
    d_o = jnp.outer(delta, params["out"]).reshape(n, heads, size)
    grads = {name: np.zeros_like(params[name]) for name in ("q", "k", "v")}
    for head in range(heads):
        d_a = jnp.einsum("bk,btk->bt", d_o[:, head], v[:, head])
        p = a[:, head]
        d_s = p * (d_a - jnp.sum(p * d_a, axis=-1, keepdims=True)) / size**0.5
        grads["q"][head] = jnp.einsum("bd,bt,btk->dk", x[:, -1], d_s, k[:, head])
        grads["k"][head] = jnp.einsum("btd,bt,bk->dk", x, d_s, q[:, head])
        grads["v"][head] = jnp.einsum("btd,bt,bk->dk", x, p, d_o[:, head])
        break
    return {**grads, "out": o.T @ delta, "bias": delta.sum()}


def heads_squares(params: Any, x: Any, y: Any) -> Any:
    """The error itself, as if it were squared."""
    q, k, v, a, o = heads_forward(params, x)
    n, heads, size = q.shape
    delta = (o @ params["out"] + params["bias"] - y) / n
    d_out = o.T @ delta
    d_o = jnp.outer(delta, params["out"])
    d_o = d_o.reshape(n, heads, size)
    d_v = jnp.einsum("bht,bhk->bhtk", a, d_o)
    d_a = jnp.einsum("bhk,bhtk->bht", d_o, v)
    d_s = a * (d_a - jnp.sum(a * d_a, axis=-1, keepdims=True)) / size**0.5
    d_q = jnp.einsum("bht,bhtk->bhk", d_s, k)
    d_k = jnp.einsum("bht,bhk->bhtk", d_s, q)
    return {
        "q": jnp.einsum("bd,bhk->hdk", x[:, -1], d_q),
        "k": jnp.einsum("btd,bhtk->hdk", x, d_k),
        "v": jnp.einsum("btd,bhtk->hdk", x, d_v),
        "out": d_out,
        "bias": delta.sum(),
    }


def heads_means(params: Any, x: Any, y: Any) -> Any:
    """The mean of the outputs times the mean of the errors."""
    q, k, v, a, o = heads_forward(params, x)
    n, heads, size = q.shape
    delta = jnp.tanh(o @ params["out"] + params["bias"] - y) / n
    d_out = o.mean(axis=0) * delta.sum()
    d_o = jnp.outer(delta, params["out"])
    d_o = d_o.reshape(n, heads, size)
    d_v = jnp.einsum("bht,bhk->bhtk", a, d_o)
    d_a = jnp.einsum("bhk,bhtk->bht", d_o, v)
    d_s = a * (d_a - jnp.sum(a * d_a, axis=-1, keepdims=True)) / size**0.5
    d_q = jnp.einsum("bht,bhtk->bhk", d_s, k)
    d_k = jnp.einsum("bht,bhk->bhtk", d_s, q)
    return {
        "q": jnp.einsum("bd,bhk->hdk", x[:, -1], d_q),
        "k": jnp.einsum("btd,bhtk->hdk", x, d_k),
        "v": jnp.einsum("btd,bhtk->hdk", x, d_v),
        "out": d_out,
        "bias": delta.sum(),
    }


def heads_no_normaliser(params: Any, x: Any, y: Any) -> Any:
    """The exponential differentiated, its normaliser taken for a constant."""
    q, k, v, a, o = heads_forward(params, x)
    n, heads, size = q.shape
    delta = jnp.tanh(o @ params["out"] + params["bias"] - y) / n
    d_out = o.T @ delta
    d_o = jnp.outer(delta, params["out"])
    d_o = d_o.reshape(n, heads, size)
    d_v = jnp.einsum("bht,bhk->bhtk", a, d_o)
    d_a = jnp.einsum("bhk,bhtk->bht", d_o, v)
    d_s = a * d_a / size**0.5
    d_q = jnp.einsum("bht,bhtk->bhk", d_s, k)
    d_k = jnp.einsum("bht,bhk->bhtk", d_s, q)
    return {
        "q": jnp.einsum("bd,bhk->hdk", x[:, -1], d_q),
        "k": jnp.einsum("btd,bhtk->hdk", x, d_k),
        "v": jnp.einsum("btd,bhtk->hdk", x, d_v),
        "out": d_out,
        "bias": delta.sum(),
    }


def heads_step_of_one(params: Any, x: Any, y: Any) -> Any:
    """Forward differences with a step of 1."""
    flat, unravel = ravel_pytree(params)
    here = heads_loss(params, x, y)
    steps = jnp.eye(flat.size, dtype=flat.dtype)
    return unravel(jax.vmap(lambda step: heads_loss(unravel(flat + step), x, y) - here)(steps))


def heads_without_cosh(params: Any, x: Any, y: Any) -> Any:
    """The sinh of log cosh without the 1 / cosh of the logarithm."""
    q, k, v, a, o = heads_forward(params, x)
    n, heads, size = q.shape
    delta = jnp.sinh(o @ params["out"] + params["bias"] - y) / n
    d_out = o.T @ delta
    d_o = jnp.outer(delta, params["out"])
    d_o = d_o.reshape(n, heads, size)
    d_v = jnp.einsum("bht,bhk->bhtk", a, d_o)
    d_a = jnp.einsum("bhk,bhtk->bht", d_o, v)
    d_s = a * (d_a - jnp.sum(a * d_a, axis=-1, keepdims=True)) / size**0.5
    d_q = jnp.einsum("bht,bhtk->bhk", d_s, k)
    d_k = jnp.einsum("bht,bhk->bhtk", d_s, q)
    return {
        "q": jnp.einsum("bd,bhk->hdk", x[:, -1], d_q),
        "k": jnp.einsum("btd,bhtk->hdk", x, d_k),
        "v": jnp.einsum("btd,bhtk->hdk", x, d_v),
        "out": d_out,
        "bias": delta.sum(),
    }


PROBLEMS = (
    Problem(
        "head",
        head_loss,
        head_grad,
        head_make,
        (
            Fault("wrong_derivative", head_softmax_diagonal, ("q", "k"), line="head_softmax"),
            Fault(
                "scale",
                head_untempered,
                ("q", "k"),
                line="head_scores",
                accept=("dropped_derivative",),
            ),
            Fault("transpose", head_weights_untransposed, ("v",), line="head_mix"),
            Fault("transpose", head_scores_untransposed, ("k",), line="head_scores"),
            Fault("swapped", head_exchanged, ("q", "k")),
            Fault("missing", head_keys_left, ("k",)),
            Fault("scale", head_mean_of_entries, ("q", "k", "v", "b")),
        ),
    ),
    Problem(
        "causal",
        causal_loss,
        causal_grad,
        causal_make,
        (
            Fault("dropped_path", causal_no_residual, ("0.w", "0.b"), line="causal_residual"),
            Fault("double_counted", causal_residual_twice, ("0.w", "0.b"), line="causal_residual"),
            Fault("dropped_path", causal_queries_only, ("0.w", "0.b", "1"), line="causal_scores"),
            Fault("wrong_point", causal_tanh_of_sum, ("0.w", "0.b"), line="causal_embed"),
            Fault("transpose", causal_value_untransposed, ("0.w", "0.b"), line="causal_value"),
            Fault("partial_batch", causal_first_half, ("0.w", "0.b", "1", "2", "3")),
            Fault("shape", causal_bias_of_tokens, ("0.b",)),
            Fault(
                "mismatch",
                causal_unmasked,
                ("0.w", "0.b", "1", "2", "3"),
                line="causal_mask",
                accept=("wrong_point", "wrong_derivative", "wrong_loss"),
            ),
        ),
    ),
    Problem(
        "heads",
        heads_loss,
        heads_grad,
        heads_make,
        (
            Fault("transpose", heads_split_otherwise, ("q", "k", "v"), line="heads_merge"),
            Fault("partial_entries", heads_first_head, ("q", "k", "v")),
            Fault("wrong_loss", heads_squares, ("q", "k", "v", "out", "bias"), line="heads_error"),
            Fault("premature_average", heads_means, ("out",)),
            Fault(
                "dropped_path",
                heads_no_normaliser,
                ("q", "k"),
                line="heads_normalise",
                accept=("wrong_derivative",),
            ),
            Fault("numeric_step", heads_step_of_one, ("q", "k", "v", "out", "bias")),
            Fault(
                "dropped_derivative",
                heads_without_cosh,
                ("q", "k", "v", "out", "bias"),
                line="heads_error",
                accept=("wrong_derivative", "wrong_loss"),
            ),
        ),
    ),
)
