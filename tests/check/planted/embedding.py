"""Embeddings: a bag of words, weights tied between input and output, skip-gram."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from .problem import Fault, Problem


def draw(random: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    return jnp.asarray(scale * random.normal(size=shape), jnp.float32)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


# A text is the mean of its words; yes or no.


def bag_loss(params: Any, ids: Any, y: Any) -> Any:
    words = params["table"][ids]  # @bag_lookup
    mean = words.mean(axis=1)  # @bag_mean
    h = jnp.tanh(mean)  # @bag_tanh
    z = h @ params["w"] + params["b"]
    return jnp.mean(jnp.logaddexp(0, z) - y * z)  # @bag_loss


def bag_grad(params: Any, ids: Any, y: Any) -> Any:
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    n, length = ids.shape
    mean = table[ids].mean(axis=1)
    h = np.tanh(mean)
    p = sigmoid(h @ w + b)
    d_z = (p - y) / n
    d_h = np.outer(d_z, w)
    d_mean = d_h * (1 - h**2)
    d_words = np.repeat(d_mean[:, None] / length, length, axis=1)
    d_table = np.zeros_like(table)
    np.add.at(d_table, ids, d_words)
    return {"table": d_table, "w": h.T @ d_z, "b": d_z.sum()}


def bag_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, length, words, size = 7, 5, 11, 4
    params = {
        "table": draw(random, words, size),
        "w": draw(random, size),
        "b": draw(random, scale=0.5),
    }
    ids = jnp.asarray(random.integers(words, size=(batch, length)))
    return params, (ids, jnp.asarray(random.integers(2, size=batch), jnp.float32))


def bag_overwritten(params: Any, ids: Any, y: Any) -> Any:
    """+= keeps only the last of the words that occur more than once."""
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    n, length = ids.shape
    mean = table[ids].mean(axis=1)
    h = np.tanh(mean)
    p = sigmoid(h @ w + b)
    d_z = (p - y) / n
    d_h = np.outer(d_z, w)
    d_mean = d_h * (1 - h**2)
    d_words = np.repeat(d_mean[:, None] / length, length, axis=1)
    d_table = np.zeros_like(table)
    d_table[ids] += d_words
    return {"table": d_table, "w": h.T @ d_z, "b": d_z.sum()}


def bag_summed(params: Any, ids: Any, y: Any) -> Any:
    """The words summed where the loss takes their mean."""
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    n, length = ids.shape
    mean = table[ids].mean(axis=1)
    h = np.tanh(mean)
    p = sigmoid(h @ w + b)
    d_z = (p - y) / n
    d_h = np.outer(d_z, w)
    d_mean = d_h * (1 - h**2)
    d_words = np.repeat(d_mean[:, None], length, axis=1)
    d_table = np.zeros_like(table)
    np.add.at(d_table, ids, d_words)
    return {"table": d_table, "w": h.T @ d_z, "b": d_z.sum()}


def bag_linear(params: Any, ids: Any, y: Any) -> Any:
    """Straight through the tanh."""
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    n, length = ids.shape
    mean = table[ids].mean(axis=1)
    h = np.tanh(mean)
    p = sigmoid(h @ w + b)
    d_z = (p - y) / n
    d_h = np.outer(d_z, w)
    d_words = np.repeat(d_h[:, None] / length, length, axis=1)
    d_table = np.zeros_like(table)
    np.add.at(d_table, ids, d_words)
    return {"table": d_table, "w": h.T @ d_z, "b": d_z.sum()}


def bag_squared_error(params: Any, ids: Any, y: Any) -> Any:
    """The sigmoid's derivative, which squared error would have."""
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    n, length = ids.shape
    mean = table[ids].mean(axis=1)
    h = np.tanh(mean)
    p = sigmoid(h @ w + b)
    d_z = (p - y) * p * (1 - p) / n
    d_h = np.outer(d_z, w)
    d_mean = d_h * (1 - h**2)
    d_words = np.repeat(d_mean[:, None] / length, length, axis=1)
    d_table = np.zeros_like(table)
    np.add.at(d_table, ids, d_words)
    return {"table": d_table, "w": h.T @ d_z, "b": d_z.sum()}


def bag_sigmoid_twice(params: Any, ids: Any, y: Any) -> Any:
    """A sigmoid of what a helper had returned as a probability."""
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    n, length = ids.shape
    mean = table[ids].mean(axis=1)
    h = np.tanh(mean)
    p = sigmoid(h @ w + b)
    d_z = (sigmoid(p) - y) / n
    d_h = np.outer(d_z, w)
    d_mean = d_h * (1 - h**2)
    d_words = np.repeat(d_mean[:, None] / length, length, axis=1)
    d_table = np.zeros_like(table)
    np.add.at(d_table, ids, d_words)
    return {"table": d_table, "w": h.T @ d_z, "b": d_z.sum()}


def bag_all_but_last(params: Any, ids: Any, y: Any) -> Any:
    """A loop over the examples that stops one short."""
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    n, length = ids.shape
    d_table, d_w, d_b = np.zeros_like(table), np.zeros_like(w), np.zeros_like(b)
    for i in range(n - 1):
        h = np.tanh(table[ids[i]].mean(axis=0))
        d_z = (sigmoid(h @ w + b) - y[i]) / n
        d_w += d_z * h
        d_b += d_z
        for word in ids[i]:
            d_table[word] += d_z * w * (1 - h**2) / length
    return {"table": d_table, "w": d_w, "b": d_b}


def bag_tanh_by_one_minus(params: Any, ids: Any, y: Any) -> Any:
    """One minus tanh for its derivative, and the error with the sign of y - p."""
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    n, length = ids.shape
    mean = table[ids].mean(axis=1)
    h = np.tanh(mean)
    p = sigmoid(h @ w + b)
    d_z = (y - p) / n
    d_h = np.outer(d_z, w)
    d_mean = d_h * (1 - h)
    d_words = np.repeat(d_mean[:, None] / length, length, axis=1)
    d_table = np.zeros_like(table)
    np.add.at(d_table, ids, d_words)
    return {"table": d_table, "w": h.T @ d_z, "b": d_z.sum()}


def bag_without_mean(params: Any, ids: Any, y: Any) -> Any:
    """Summed over the batch."""
    table, w, b, ids, y = map(np.asarray, (params["table"], params["w"], params["b"], ids, y))
    length = ids.shape[1]
    mean = table[ids].mean(axis=1)
    h = np.tanh(mean)
    p = sigmoid(h @ w + b)
    d_z = p - y
    d_h = np.outer(d_z, w)
    d_mean = d_h * (1 - h**2)
    d_words = np.repeat(d_mean[:, None] / length, length, axis=1)
    d_table = np.zeros_like(table)
    np.add.at(d_table, ids, d_words)
    return {"table": d_table, "w": h.T @ d_z, "b": d_z.sum()}


# The next word from the two before it; the embeddings are the weights of the output as well.


@jax.jit
def tied_hidden(table: Any, mix: Any, ids: Any) -> Any:
    e = table[ids].sum(axis=1)  # @tied_lookup
    return jnp.tanh(e @ mix)  # @tied_hidden


def tied_loss(params: Any, ids: Any, target: Any) -> Any:
    table, mix, bias = params
    h = tied_hidden(table, mix, ids)
    logits = h @ table.T + bias  # @tied_logits
    normaliser = jax.nn.logsumexp(logits, axis=1)  # @tied_normaliser
    picked = jnp.take_along_axis(logits, target[:, None], axis=1)[:, 0]  # @tied_pick
    return jnp.mean(normaliser - picked)


def tied_grad(params: Any, ids: Any, target: Any) -> Any:
    table, mix, bias = params
    n = len(target)
    e = table[ids].sum(axis=1)
    h = jnp.tanh(e @ mix)
    p = jax.nn.softmax(h @ table.T + bias)
    d_logits = p.at[jnp.arange(n), target].add(-1) / n
    d_h = d_logits @ table
    d_a = d_h * (1 - h**2)
    d_mix = e.T @ d_a
    d_e = d_a @ mix.T
    d_table = d_logits.T @ h
    d_table = d_table.at[ids].add(d_e[:, None])
    return d_table, d_mix, d_logits.sum(axis=0)


def tied_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, words, size = 8, 9, 5
    params = (
        draw(random, words, size, scale=0.7),
        draw(random, size, size, scale=0.6),
        draw(random, words, scale=0.5),
    )
    ids = jnp.asarray(random.integers(words, size=(batch, 2)))
    return params, (ids, jnp.asarray(random.integers(words, size=batch)))


def tied_as_input_only(params: Any, ids: Any, target: Any) -> Any:
    """What the words collect as inputs forgotten."""
    table, mix, bias = params
    n = len(target)
    e = table[ids].sum(axis=1)
    h = jnp.tanh(e @ mix)
    p = jax.nn.softmax(h @ table.T + bias)
    d_logits = p.at[jnp.arange(n), target].add(-1) / n
    d_h = d_logits @ table
    d_a = d_h * (1 - h**2)
    d_mix = e.T @ d_a
    d_table = d_logits.T @ h
    return d_table, d_mix, d_logits.sum(axis=0)


def tied_as_output_dropped(params: Any, ids: Any, target: Any) -> Any:
    """What the words collect as outputs forgotten."""
    table, mix, bias = params
    n = len(target)
    e = table[ids].sum(axis=1)
    h = jnp.tanh(e @ mix)
    p = jax.nn.softmax(h @ table.T + bias)
    d_logits = p.at[jnp.arange(n), target].add(-1) / n
    d_h = d_logits @ table
    d_a = d_h * (1 - h**2)
    d_mix = e.T @ d_a
    d_e = d_a @ mix.T
    d_table = jnp.zeros_like(table).at[ids].add(d_e[:, None])
    return d_table, d_mix, d_logits.sum(axis=0)


def tied_output_twice(params: Any, ids: Any, target: Any) -> Any:
    """A sum of the two gradients, one of which holds the other already."""
    table, mix, bias = params
    n = len(target)
    e = table[ids].sum(axis=1)
    h = jnp.tanh(e @ mix)
    p = jax.nn.softmax(h @ table.T + bias)
    d_logits = p.at[jnp.arange(n), target].add(-1) / n
    d_h = d_logits @ table
    d_a = d_h * (1 - h**2)
    d_mix = e.T @ d_a
    d_e = d_a @ mix.T
    d_table = d_logits.T @ h
    d_input = d_table.at[ids].add(d_e[:, None])
    return d_input + d_table, d_mix, d_logits.sum(axis=0)


def tied_no_normaliser(params: Any, ids: Any, target: Any) -> Any:
    """Only the logit of the right word pulled up."""
    table, mix, bias = params
    n = len(target)
    e = table[ids].sum(axis=1)
    h = jnp.tanh(e @ mix)
    d_logits = jnp.zeros((n, len(bias)), h.dtype).at[jnp.arange(n), target].set(-1 / n)
    d_h = d_logits @ table
    d_a = d_h * (1 - h**2)
    d_mix = e.T @ d_a
    d_e = d_a @ mix.T
    d_table = d_logits.T @ h
    d_table = d_table.at[ids].add(d_e[:, None])
    return d_table, d_mix, d_logits.sum(axis=0)


def tied_mix_untransposed(params: Any, ids: Any, target: Any) -> Any:
    """The square matrix used as in the forward pass."""
    table, mix, bias = params
    n = len(target)
    e = table[ids].sum(axis=1)
    h = jnp.tanh(e @ mix)
    p = jax.nn.softmax(h @ table.T + bias)
    d_logits = p.at[jnp.arange(n), target].add(-1) / n
    d_h = d_logits @ table
    d_a = d_h * (1 - h**2)
    d_mix = e.T @ d_a
    d_e = d_a @ mix
    d_table = d_logits.T @ h
    d_table = d_table.at[ids].add(d_e[:, None])
    return d_table, d_mix, d_logits.sum(axis=0)


def tied_all_targets(params: Any, ids: Any, target: Any) -> Any:
    """One subtracted in the columns of all targets, in every row."""
    table, mix, bias, ids, target = map(np.asarray, (*params, ids, target))
    e = table[ids].sum(axis=1)
    h = np.tanh(e @ mix)
    d_logits = np.array(jax.nn.softmax(h @ table.T + bias))
    d_logits[:, target] -= 1
    d_logits /= len(target)
    d_a = d_logits @ table * (1 - h**2)
    d_table = d_logits.T @ h
    for word in range(2):
        np.add.at(d_table, ids[:, word], d_a @ mix.T)
    return d_table, e.T @ d_a, d_logits.sum(axis=0)


def tied_one_by_one(params: Any, ids: Any, target: Any) -> Any:
    """Every leaf updated before the next one's gradient is computed."""
    table, mix, bias = params
    new = [table, mix, bias]
    grads = []
    for leaf in range(3):
        table, mix, bias = new
        e = table[ids].sum(axis=1)
        h = jnp.tanh(e @ mix)
        p = jax.nn.softmax(h @ table.T + bias)
        d_logits = p.at[jnp.arange(len(target)), target].add(-1) / len(target)
        d_a = d_logits @ table * (1 - h**2)
        if leaf == 0:
            d_e = d_a @ mix.T
            grads.append((d_logits.T @ h).at[ids].add(d_e[:, None]))
        elif leaf == 1:
            grads.append(e.T @ d_a)
        else:
            grads.append(d_logits.sum(axis=0))
        new[leaf] = new[leaf] - 0.5 * grads[leaf]
    return tuple(grads)


# Skip-gram with negative samples.


def skip_loss(params: Any, center: Any, context: Any, noise: Any) -> Any:
    v = params["in"][center]  # @skip_center
    u = params["out"][context]  # @skip_context
    others = params["out"][noise]
    good = jax.nn.log_sigmoid(jnp.sum(u * v, axis=1))  # @skip_good
    bad = jax.nn.log_sigmoid(-jnp.einsum("bkd,bd->bk", others, v))  # @skip_bad
    return -jnp.mean(good + bad.sum(axis=1))


def skip_grad(params: Any, center: Any, context: Any, noise: Any) -> Any:
    table_in, table_out = np.asarray(params["in"]), np.asarray(params["out"])
    center, context, noise = map(np.asarray, (center, context, noise))
    n = len(center)
    v, u, others = table_in[center], table_out[context], table_out[noise]
    right = sigmoid(np.sum(u * v, axis=1))
    wrong = sigmoid(np.einsum("bkd,bd->bk", others, v))
    d_right = (right - 1) / n
    d_wrong = wrong / n
    d_v = d_right[:, None] * u + np.einsum("bk,bkd->bd", d_wrong, others)
    d_in, d_out = np.zeros_like(table_in), np.zeros_like(table_out)
    np.add.at(d_in, center, d_v)
    np.add.at(d_out, context, d_right[:, None] * v)
    np.add.at(d_out, noise, d_wrong[:, :, None] * v[:, None])
    return {"in": d_in, "out": d_out}


def skip_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, words, samples, size = 7, 10, 4, 3
    params = {"in": draw(random, words, size), "out": draw(random, words, size)}
    center, context = random.integers(words, size=(2, batch))
    noise = random.integers(words, size=(batch, samples))
    center[-1] = center[0]
    return params, (jnp.asarray(center), jnp.asarray(context), jnp.asarray(noise))


def skip_noise_ignored(params: Any, center: Any, context: Any, noise: Any) -> Any:
    """The centre pulled to its context but not pushed from the noise."""
    table_in, table_out = np.asarray(params["in"]), np.asarray(params["out"])
    center, context, noise = map(np.asarray, (center, context, noise))
    n = len(center)
    v, u, others = table_in[center], table_out[context], table_out[noise]
    right = sigmoid(np.sum(u * v, axis=1))
    wrong = sigmoid(np.einsum("bkd,bd->bk", others, v))
    d_right = (right - 1) / n
    d_wrong = wrong / n
    d_v = d_right[:, None] * u
    d_in, d_out = np.zeros_like(table_in), np.zeros_like(table_out)
    np.add.at(d_in, center, d_v)
    np.add.at(d_out, context, d_right[:, None] * v)
    np.add.at(d_out, noise, d_wrong[:, :, None] * v[:, None])
    return {"in": d_in, "out": d_out}


def skip_context_ignored(params: Any, center: Any, context: Any, noise: Any) -> Any:
    """Only the noise scattered into the table of outputs."""
    table_in, table_out = np.asarray(params["in"]), np.asarray(params["out"])
    center, context, noise = map(np.asarray, (center, context, noise))
    n = len(center)
    v, u, others = table_in[center], table_out[context], table_out[noise]
    right = sigmoid(np.sum(u * v, axis=1))
    wrong = sigmoid(np.einsum("bkd,bd->bk", others, v))
    d_right = (right - 1) / n
    d_wrong = wrong / n
    d_v = d_right[:, None] * u + np.einsum("bk,bkd->bd", d_wrong, others)
    d_in, d_out = np.zeros_like(table_in), np.zeros_like(table_out)
    np.add.at(d_in, center, d_v)
    np.add.at(d_out, noise, d_wrong[:, :, None] * v[:, None])
    return {"in": d_in, "out": d_out}


def skip_noise_attracts(params: Any, center: Any, context: Any, noise: Any) -> Any:
    """The minus of the noise forgotten when it was differentiated."""
    table_in, table_out = np.asarray(params["in"]), np.asarray(params["out"])
    center, context, noise = map(np.asarray, (center, context, noise))
    n = len(center)
    v, u, others = table_in[center], table_out[context], table_out[noise]
    right = sigmoid(np.sum(u * v, axis=1))
    wrong = sigmoid(np.einsum("bkd,bd->bk", others, v))
    d_right = (right - 1) / n
    d_wrong = -wrong / n
    d_v = d_right[:, None] * u + np.einsum("bk,bkd->bd", d_wrong, others)
    d_in, d_out = np.zeros_like(table_in), np.zeros_like(table_out)
    np.add.at(d_in, center, d_v)
    np.add.at(d_out, context, d_right[:, None] * v)
    np.add.at(d_out, noise, d_wrong[:, :, None] * v[:, None])
    return {"in": d_in, "out": d_out}


def skip_noise_of_minus(params: Any, center: Any, context: Any, noise: Any) -> Any:
    """The sigmoid of minus the product, as it stands in the loss."""
    table_in, table_out = np.asarray(params["in"]), np.asarray(params["out"])
    center, context, noise = map(np.asarray, (center, context, noise))
    n = len(center)
    v, u, others = table_in[center], table_out[context], table_out[noise]
    right = sigmoid(np.sum(u * v, axis=1))
    wrong = sigmoid(-np.einsum("bkd,bd->bk", others, v))
    d_right = (right - 1) / n
    d_wrong = wrong / n
    d_v = d_right[:, None] * u + np.einsum("bk,bkd->bd", d_wrong, others)
    d_in, d_out = np.zeros_like(table_in), np.zeros_like(table_out)
    np.add.at(d_in, center, d_v)
    np.add.at(d_out, context, d_right[:, None] * v)
    np.add.at(d_out, noise, d_wrong[:, :, None] * v[:, None])
    return {"in": d_in, "out": d_out}


def skip_without_log(params: Any, center: Any, context: Any, noise: Any) -> Any:
    """The sigmoid differentiated, its logarithm not."""
    table_in, table_out = np.asarray(params["in"]), np.asarray(params["out"])
    center, context, noise = map(np.asarray, (center, context, noise))
    n = len(center)
    v, u, others = table_in[center], table_out[context], table_out[noise]
    right = sigmoid(np.sum(u * v, axis=1))
    wrong = sigmoid(np.einsum("bkd,bd->bk", others, v))
    d_right = -right * (1 - right) / n
    d_wrong = wrong / n
    d_v = d_right[:, None] * u + np.einsum("bk,bkd->bd", d_wrong, others)
    d_in, d_out = np.zeros_like(table_in), np.zeros_like(table_out)
    np.add.at(d_in, center, d_v)
    np.add.at(d_out, context, d_right[:, None] * v)
    np.add.at(d_out, noise, d_wrong[:, :, None] * v[:, None])
    return {"in": d_in, "out": d_out}


def skip_exchanged(params: Any, center: Any, context: Any, noise: Any) -> Any:
    """The tables have one shape."""
    table_in, table_out = np.asarray(params["in"]), np.asarray(params["out"])
    center, context, noise = map(np.asarray, (center, context, noise))
    n = len(center)
    v, u, others = table_in[center], table_out[context], table_out[noise]
    right = sigmoid(np.sum(u * v, axis=1))
    wrong = sigmoid(np.einsum("bkd,bd->bk", others, v))
    d_right = (right - 1) / n
    d_wrong = wrong / n
    d_v = d_right[:, None] * u + np.einsum("bk,bkd->bd", d_wrong, others)
    d_in, d_out = np.zeros_like(table_in), np.zeros_like(table_out)
    np.add.at(d_in, center, d_v)
    np.add.at(d_out, context, d_right[:, None] * v)
    np.add.at(d_out, noise, d_wrong[:, :, None] * v[:, None])
    return {"in": d_out, "out": d_in}


def skip_set_not_added(params: Any, center: Any, context: Any, noise: Any) -> Any:
    """A centre that comes twice keeps the last gradient only."""
    n = len(center)
    v, u, others = params["in"][center], params["out"][context], params["out"][noise]
    right = (jax.nn.sigmoid(jnp.sum(u * v, axis=1)) - 1) / n
    wrong = jax.nn.sigmoid(jnp.einsum("bkd,bd->bk", others, v)) / n
    d_v = right[:, None] * u + jnp.einsum("bk,bkd->bd", wrong, others)
    d_in = jnp.zeros_like(params["in"]).at[center].set(d_v)
    d_out = jnp.zeros_like(params["out"]).at[context].add(right[:, None] * v)
    d_out = d_out.at[noise].add(wrong[:, :, None] * v[:, None])
    return {"in": d_in, "out": d_out}


def skip_tiny_step(params: Any, center: Any, context: Any, noise: Any) -> Any:
    """Differences over a step that drowns in the rounding."""
    flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(leaf, float), params))
    here, step = skip_loss(unravel(flat), center, context, noise), 1e-14

    def difference(direction: Any) -> Any:
        there = skip_loss(unravel(flat + step * direction), center, context, noise)
        return (there - here) / step

    grads = unravel(jax.vmap(difference)(jnp.eye(flat.size, dtype=flat.dtype)))
    return jax.tree.map(lambda g, leaf: g.astype(leaf.dtype), grads, params)


PROBLEMS = (
    Problem(
        "bag",
        bag_loss,
        bag_grad,
        bag_make,
        (
            Fault(
                "partial_entries",
                bag_overwritten,
                ("table",),
                line="bag_lookup",
                accept=("dropped_path",),
            ),
            Fault("scale", bag_summed, ("table",), line="bag_mean", accept=("dropped_derivative",)),
            Fault("dropped_derivative", bag_linear, ("table",), line="bag_tanh"),
            Fault("wrong_loss", bag_squared_error, ("table", "w", "b"), line="bag_loss"),
            Fault("wrong_point", bag_sigmoid_twice, ("table", "w", "b"), line="bag_loss"),
            Fault("partial_batch", bag_all_but_last, ("table", "w", "b")),
            Fault(
                "wrong_derivative",
                bag_tanh_by_one_minus,
                ("table", "w", "b"),
                line="bag_tanh",
                also=("sign",),
                accept=("sign",),
            ),
            Fault("scale", bag_without_mean, ("table", "w", "b")),
        ),
    ),
    Problem(
        "tied",
        tied_loss,
        tied_grad,
        tied_make,
        (
            Fault("dropped_path", tied_as_input_only, ("0",), line="tied_lookup"),
            Fault("dropped_path", tied_as_output_dropped, ("0",), line="tied_logits"),
            Fault("double_counted", tied_output_twice, ("0",), line="tied_logits"),
            Fault("dropped_path", tied_no_normaliser, ("0", "1", "2"), line="tied_normaliser"),
            Fault("transpose", tied_mix_untransposed, ("0",), line="tied_hidden"),
            Fault(
                "mismatch",
                tied_all_targets,
                ("0", "1", "2"),
                line="tied_pick",
                accept=("wrong_derivative",),
            ),
            Fault("stale", tied_one_by_one, ("1", "2")),
        ),
    ),
    Problem(
        "skip",
        skip_loss,
        skip_grad,
        skip_make,
        (
            Fault("dropped_path", skip_noise_ignored, ("in",), line="skip_bad"),
            Fault("dropped_path", skip_context_ignored, ("out",), line="skip_context"),
            Fault(
                "wrong_derivative",
                skip_noise_attracts,
                ("in", "out"),
                line="skip_bad",
                accept=("dropped_derivative",),
            ),
            Fault("wrong_point", skip_noise_of_minus, ("in", "out"), line="skip_bad"),
            Fault(
                "dropped_derivative",
                skip_without_log,
                ("in", "out"),
                line="skip_good",
                accept=("wrong_loss",),
            ),
            Fault("swapped", skip_exchanged, ("in", "out")),
            Fault("partial_entries", skip_set_not_added, ("in",), line="skip_center"),
            Fault("numeric_step", skip_tiny_step, ("in", "out")),
        ),
    ),
)
