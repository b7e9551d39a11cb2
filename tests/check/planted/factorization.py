"""Products of unknowns: ratings from factors, an autoencoder with tied weights, a bilinear form."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Fault, Problem


def draw(random: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    return jnp.asarray(scale * random.normal(size=shape), jnp.float32)


# Ratings from factors and biases, over those that are known, with a penalty for the factors only.

RATINGS_PENALTY = 0.05


def ratings_loss(params: Any, ratings: Any, known: Any) -> Any:
    users, items = params["users"], params["items"]
    predicted = users @ items.T + params["user_bias"][:, None] + params["item_bias"]
    predicted = predicted + params["mean"]
    error = jnp.where(known, predicted - ratings, 0.0)  # @ratings_known
    fit = jnp.sum(error**2) / known.sum()
    penalty = RATINGS_PENALTY * (jnp.sum(users**2) + jnp.sum(items**2))  # @ratings_penalty
    return fit + penalty


def ratings_grad(params: Any, ratings: Any, known: Any) -> Any:
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    users, items = params["users"], params["items"]
    error = users @ items.T + params["user_bias"][:, None] + params["item_bias"]
    error = error + params["mean"] - np.asarray(ratings)
    error = np.where(known, error, 0)
    delta = 2 * error / float(known.sum())
    return {
        "users": delta @ items + 2 * RATINGS_PENALTY * users,
        "items": delta.T @ users + 2 * RATINGS_PENALTY * items,
        "user_bias": delta.sum(axis=1),
        "item_bias": delta.sum(axis=0),
        "mean": delta.sum(),
    }


def ratings_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    users, items, size = 7, 5, 3
    params = {
        "users": draw(random, users, size, scale=0.7),
        "items": draw(random, items, size, scale=0.7),
        "user_bias": draw(random, users, scale=0.5),
        "item_bias": draw(random, items, scale=0.5),
        "mean": jnp.float32(2.0 + random.normal()),
    }
    known = random.random((users, items)) < 0.6
    known[np.arange(users), np.arange(users) % items] = True
    known[0, 1] = False
    return params, (draw(random, users, items) + 3, jnp.asarray(known))


def ratings_items_free(params: Any, ratings: Any, known: Any) -> Any:
    """The items' penalty forgotten."""
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    users, items = params["users"], params["items"]
    error = users @ items.T + params["user_bias"][:, None] + params["item_bias"]
    error = error + params["mean"] - np.asarray(ratings)
    error = np.where(known, error, 0)
    delta = 2 * error / float(known.sum())
    return {
        "users": delta @ items + 2 * RATINGS_PENALTY * users,
        "items": delta.T @ users,
        "user_bias": delta.sum(axis=1),
        "item_bias": delta.sum(axis=0),
        "mean": delta.sum(),
    }


def ratings_half_penalty(params: Any, ratings: Any, known: Any) -> Any:
    """The penalty's 2 forgotten."""
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    users, items = params["users"], params["items"]
    error = users @ items.T + params["user_bias"][:, None] + params["item_bias"]
    error = error + params["mean"] - np.asarray(ratings)
    error = np.where(known, error, 0)
    delta = 2 * error / float(known.sum())
    return {
        "users": delta @ items + RATINGS_PENALTY * users,
        "items": delta.T @ users + RATINGS_PENALTY * items,
        "user_bias": delta.sum(axis=1),
        "item_bias": delta.sum(axis=0),
        "mean": delta.sum(),
    }


def ratings_biases_penalised(params: Any, ratings: Any, known: Any) -> Any:
    """A penalty for the biases, which the loss leaves free."""
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    users, items = params["users"], params["items"]
    error = users @ items.T + params["user_bias"][:, None] + params["item_bias"]
    error = error + params["mean"] - np.asarray(ratings)
    error = np.where(known, error, 0)
    delta = 2 * error / float(known.sum())
    return {
        "users": delta @ items + 2 * RATINGS_PENALTY * users,
        "items": delta.T @ users + 2 * RATINGS_PENALTY * items,
        "user_bias": delta.sum(axis=1) + 2 * RATINGS_PENALTY * params["user_bias"],
        "item_bias": delta.sum(axis=0) + 2 * RATINGS_PENALTY * params["item_bias"],
        "mean": delta.sum(),
    }


def ratings_all_known(params: Any, ratings: Any, known: Any) -> Any:
    """Unknown ratings taken for zeros that count."""
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    users, items = params["users"], params["items"]
    error = users @ items.T + params["user_bias"][:, None] + params["item_bias"]
    error = error + params["mean"] - np.asarray(ratings)
    delta = 2 * error / float(known.sum())
    return {
        "users": delta @ items + 2 * RATINGS_PENALTY * users,
        "items": delta.T @ users + 2 * RATINGS_PENALTY * items,
        "user_bias": delta.sum(axis=1),
        "item_bias": delta.sum(axis=0),
        "mean": delta.sum(),
    }


def ratings_last_user(params: Any, ratings: Any, known: Any) -> Any:
    """A loop over the users that ends one early."""
    users, items = params["users"], params["items"]
    error = users @ items.T + params["user_bias"][:, None] + params["item_bias"] + params["mean"]
    delta = jnp.where(known, 2 * (error - ratings), 0) / known.sum()
    d_users = jnp.zeros_like(users)
    for user in range(len(users) - 1):
        row = delta[user] @ items + 2 * RATINGS_PENALTY * users[user]
        d_users = d_users.at[user].set(row)
    d_items = delta.T @ users + 2 * RATINGS_PENALTY * items
    biases = {"user_bias": delta.sum(axis=1), "item_bias": delta.sum(axis=0), "mean": delta.sum()}
    return {"users": d_users, "items": d_items} | biases


def ratings_offset_down(params: Any, ratings: Any, known: Any) -> Any:
    """The mean subtracted from the ratings in one's mind, and so negated."""
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    users, items = params["users"], params["items"]
    error = users @ items.T + params["user_bias"][:, None] + params["item_bias"]
    error = error + params["mean"] - np.asarray(ratings)
    error = np.where(known, error, 0)
    delta = 2 * error / float(known.sum())
    return {
        "users": delta @ items + 2 * RATINGS_PENALTY * users,
        "items": delta.T @ users + 2 * RATINGS_PENALTY * items,
        "user_bias": delta.sum(axis=1),
        "item_bias": delta.sum(axis=0),
        "mean": -delta.sum(),
    }


def ratings_items_not_summed(params: Any, ratings: Any, known: Any) -> Any:
    """Broadcast in the forward pass, not summed in the backward."""
    params = {name: np.asarray(leaf) for name, leaf in params.items()}
    users, items = params["users"], params["items"]
    error = users @ items.T + params["user_bias"][:, None] + params["item_bias"]
    error = error + params["mean"] - np.asarray(ratings)
    error = np.where(known, error, 0)
    delta = 2 * error / float(known.sum())
    return {
        "users": delta @ items + 2 * RATINGS_PENALTY * users,
        "items": delta.T @ users + 2 * RATINGS_PENALTY * items,
        "user_bias": delta.sum(axis=1),
        "item_bias": delta,
        "mean": delta.sum(),
    }


# An autoencoder that decodes with the transpose of its encoder and keeps its code small.


def tied_code_loss(params: Any, x: Any) -> Any:
    encoder, decoder = params
    h = jax.nn.sigmoid(x @ encoder["w"] + encoder["b"])  # @tied_code_encode
    back = h @ encoder["w"].T + decoder["b"]  # @tied_code_decode
    errors = 0.5 * jnp.sum((back - x) ** 2, axis=1)
    activity = 0.2 * jnp.sum(h**2, axis=1)  # @tied_code_activity
    return jnp.mean(errors + activity)


def tied_code_grad(params: Any, x: Any) -> Any:
    encoder, decoder = params
    w = encoder["w"]
    n = len(x)
    z = x @ w + encoder["b"]
    h = 1 / (1 + jnp.exp(-z))
    d_back = (h @ w.T + decoder["b"] - x) / n
    d_h = d_back @ w
    d_h = d_h + 0.4 * h / n
    d_z = d_h * h * (1 - h)
    d_w = x.T @ d_z
    d_w = d_w + d_back.T @ h
    return [{"w": d_w, "b": d_z.sum(axis=0)}, {"b": d_back.sum(axis=0)}]


def tied_code_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, features, hidden = 9, 6, 4
    params = [
        {"w": draw(random, features, hidden, scale=0.7), "b": draw(random, hidden, scale=0.5)},
        {"b": draw(random, features, scale=0.5)},
    ]
    return params, (draw(random, batch, features),)


def tied_code_encoder_only(params: Any, x: Any) -> Any:
    """The weights' gradient as an encoder's only."""
    encoder, decoder = params
    w = encoder["w"]
    n = len(x)
    z = x @ w + encoder["b"]
    h = 1 / (1 + jnp.exp(-z))
    d_back = (h @ w.T + decoder["b"] - x) / n
    d_h = d_back @ w
    d_h = d_h + 0.4 * h / n
    d_z = d_h * h * (1 - h)
    d_w = x.T @ d_z
    return [{"w": d_w, "b": d_z.sum(axis=0)}, {"b": d_back.sum(axis=0)}]


def tied_code_decoder_only(params: Any, x: Any) -> Any:
    """The weights' gradient overwritten with the decoder's."""
    encoder, decoder = params
    w = encoder["w"]
    n = len(x)
    z = x @ w + encoder["b"]
    h = 1 / (1 + jnp.exp(-z))
    d_back = (h @ w.T + decoder["b"] - x) / n
    d_h = d_back @ w
    d_h = d_h + 0.4 * h / n
    d_z = d_h * h * (1 - h)
    d_w = d_back.T @ h
    return [{"w": d_w, "b": d_z.sum(axis=0)}, {"b": d_back.sum(axis=0)}]


def tied_code_sigmoid_of_sum(params: Any, x: Any) -> Any:
    """z (1 - z) with the sum before the sigmoid for z."""
    encoder, decoder = params
    w = encoder["w"]
    n = len(x)
    z = x @ w + encoder["b"]
    h = 1 / (1 + jnp.exp(-z))
    d_back = (h @ w.T + decoder["b"] - x) / n
    d_h = d_back @ w
    d_h = d_h + 0.4 * h / n
    d_z = d_h * z * (1 - z)
    d_w = x.T @ d_z
    d_w = d_w + d_back.T @ h
    return [{"w": d_w, "b": d_z.sum(axis=0)}, {"b": d_back.sum(axis=0)}]


def tied_code_tanh_for_sigmoid(params: Any, x: Any) -> Any:
    """The derivative that tanh would have."""
    encoder, decoder = params
    w = encoder["w"]
    n = len(x)
    z = x @ w + encoder["b"]
    h = 1 / (1 + jnp.exp(-z))
    d_back = (h @ w.T + decoder["b"] - x) / n
    d_h = d_back @ w
    d_h = d_h + 0.4 * h / n
    d_z = d_h * (1 - h**2)
    d_w = x.T @ d_z
    d_w = d_w + d_back.T @ h
    return [{"w": d_w, "b": d_z.sum(axis=0)}, {"b": d_back.sum(axis=0)}]


def tied_code_activity_forgotten(params: Any, x: Any) -> Any:
    """The code's penalty left out."""
    encoder, decoder = params
    w = encoder["w"]
    n = len(x)
    z = x @ w + encoder["b"]
    h = 1 / (1 + jnp.exp(-z))
    d_back = (h @ w.T + decoder["b"] - x) / n
    d_h = d_back @ w
    d_z = d_h * h * (1 - h)
    d_w = x.T @ d_z
    d_w = d_w + d_back.T @ h
    return [{"w": d_w, "b": d_z.sum(axis=0)}, {"b": d_back.sum(axis=0)}]


def tied_code_first_example(params: Any, x: Any) -> Any:
    """One example for the batch, as in stochastic descent."""
    encoder, decoder = params
    w = encoder["w"]
    x = x[:1]
    n = 1
    z = x @ w + encoder["b"]
    h = 1 / (1 + jnp.exp(-z))
    d_back = (h @ w.T + decoder["b"] - x) / n
    d_h = d_back @ w
    d_h = d_h + 0.4 * h / n
    d_z = d_h * h * (1 - h)
    d_w = x.T @ d_z
    d_w = d_w + d_back.T @ h
    return [{"w": d_w, "b": d_z.sum(axis=0)}, {"b": d_back.sum(axis=0)}]


def tied_code_step_before(params: Any, x: Any) -> Any:
    """Called after the step that it was to serve."""
    x = np.asarray(x)
    w, b, c = (np.array(leaf) for leaf in (params[0]["w"], params[0]["b"], params[1]["b"]))
    for _ in range(2):
        h = 1 / (1 + np.exp(-(x @ w + b)))
        d_back = (h @ w.T + c - x) / len(x)
        d_z = (d_back @ w + 0.4 * h / len(x)) * h * (1 - h)
        d_w, d_b, d_c = x.T @ d_z + d_back.T @ h, d_z.sum(axis=0), d_back.sum(axis=0)
        w -= 0.1 * d_w
        b -= 0.1 * d_b
        c -= 0.1 * d_c
    return [{"w": d_w, "b": d_b}, {"b": d_c}]


# Do the two belong together? A bilinear form of them, logistic loss, targets of -1 and 1.


def bilinear_loss(params: Any, left: Any, right: Any, target: Any) -> Any:
    def score(a: Any, b: Any) -> Any:
        return a @ params["form"] @ b + params["line"] @ a + params["offset"]  # @bilinear_score

    margin = target * jax.vmap(score)(left, right)  # @bilinear_margin
    return jnp.sum(jax.nn.softplus(-margin))  # @bilinear_softplus


def bilinear_grad(params: Any, left: Any, right: Any, target: Any) -> Any:
    score = jnp.einsum("bi,ij,bj->b", left, params["form"], right)
    margin = target * (score + left @ params["line"] + params["offset"])
    d_margin = -1 / (1 + jnp.exp(margin))
    d_score = d_margin * target
    return {
        "form": jnp.einsum("b,bi,bj->ij", d_score, left, right),
        "line": d_score @ left,
        "offset": d_score.sum(),
    }


def bilinear_make(seed: int) -> Any:
    random = np.random.default_rng(seed)
    batch, size = 8, 5
    params = {
        "form": draw(random, size, size, scale=0.5),
        "line": draw(random, size, scale=0.5),
        "offset": draw(random, scale=0.5),
    }
    target = jnp.asarray(random.permutation([-1, -1, -1, 1, 1, 1, 1, 1]), jnp.float32)
    return params, (draw(random, batch, size) + 0.5, draw(random, batch, size) - 0.5, target)


def bilinear_other_way(params: Any, left: Any, right: Any, target: Any) -> Any:
    """The outer products of the right with the left."""
    score = jnp.einsum("bi,ij,bj->b", left, params["form"], right)
    margin = target * (score + left @ params["line"] + params["offset"])
    d_margin = -1 / (1 + jnp.exp(margin))
    d_score = d_margin * target
    return {
        "form": jnp.einsum("b,bi,bj->ji", d_score, left, right),
        "line": d_score @ left,
        "offset": d_score.sum(),
    }


def bilinear_means(params: Any, left: Any, right: Any, target: Any) -> Any:
    """The sum of the weighted left times the mean of the right."""
    score = jnp.einsum("bi,ij,bj->b", left, params["form"], right)
    margin = target * (score + left @ params["line"] + params["offset"])
    d_margin = -1 / (1 + jnp.exp(margin))
    d_score = d_margin * target
    return {
        "form": jnp.outer(d_score @ left, right.mean(axis=0)),
        "line": d_score @ left,
        "offset": d_score.sum(),
    }


def bilinear_target_forgotten(params: Any, left: Any, right: Any, target: Any) -> Any:
    """The derivative of the margin by the score left out."""
    score = jnp.einsum("bi,ij,bj->b", left, params["form"], right)
    margin = target * (score + left @ params["line"] + params["offset"])
    d_margin = -1 / (1 + jnp.exp(margin))
    d_score = d_margin
    return {
        "form": jnp.einsum("b,bi,bj->ij", d_score, left, right),
        "line": d_score @ left,
        "offset": d_score.sum(),
    }


def bilinear_perceptron(params: Any, left: Any, right: Any, target: Any) -> Any:
    """A correction for what is misclassified, as a perceptron makes it."""
    score = jnp.einsum("bi,ij,bj->b", left, params["form"], right)
    margin = target * (score + left @ params["line"] + params["offset"])
    d_margin = -(margin < 0).astype(left.dtype)
    d_score = d_margin * target
    return {
        "form": jnp.einsum("b,bi,bj->ij", d_score, left, right),
        "line": d_score @ left,
        "offset": d_score.sum(),
    }


def bilinear_ascent(params: Any, left: Any, right: Any, target: Any) -> Any:
    """The gradient of the log likelihood, which is to grow."""
    score = jnp.einsum("bi,ij,bj->b", left, params["form"], right)
    margin = target * (score + left @ params["line"] + params["offset"])
    d_margin = 1 / (1 + jnp.exp(margin))
    d_score = d_margin * target
    return {
        "form": jnp.einsum("b,bi,bj->ij", d_score, left, right),
        "line": d_score @ left,
        "offset": d_score.sum(),
    }


def bilinear_mean_for_sum(params: Any, left: Any, right: Any, target: Any) -> Any:
    """A mean over the batch where the loss has the sum."""
    score = jnp.einsum("bi,ij,bj->b", left, params["form"], right)
    margin = target * (score + left @ params["line"] + params["offset"])
    d_margin = -1 / (1 + jnp.exp(margin))
    d_score = d_margin * target / len(target)
    return {
        "form": jnp.einsum("b,bi,bj->ij", d_score, left, right),
        "line": d_score @ left,
        "offset": d_score.sum(),
    }


def bilinear_sigmoid_of_margin(params: Any, left: Any, right: Any, target: Any) -> Any:
    """The sigmoid at the margin, not at minus the margin."""
    score = jnp.einsum("bi,ij,bj->b", left, params["form"], right)
    margin = target * (score + left @ params["line"] + params["offset"])
    d_margin = -1 / (1 + jnp.exp(-margin))
    d_score = d_margin * target
    return {
        "form": jnp.einsum("b,bi,bj->ij", d_score, left, right),
        "line": d_score @ left,
        "offset": d_score.sum(),
    }


PROBLEMS = (
    Problem(
        "ratings",
        ratings_loss,
        ratings_grad,
        ratings_make,
        (
            Fault("regularization", ratings_items_free, ("items",), line="ratings_penalty"),
            Fault(
                "regularization", ratings_half_penalty, ("users", "items"), line="ratings_penalty"
            ),
            Fault(
                "regularization",
                ratings_biases_penalised,
                ("user_bias", "item_bias"),
                line="ratings_penalty",
            ),
            Fault(
                "dropped_derivative",
                ratings_all_known,
                ("users", "items", "user_bias", "item_bias", "mean"),
                line="ratings_known",
                accept=("wrong_derivative", "wrong_loss"),
            ),
            Fault("partial_entries", ratings_last_user, ("users",)),
            Fault("sign", ratings_offset_down, ("mean",)),
            Fault("shape", ratings_items_not_summed, ("item_bias",)),
        ),
    ),
    Problem(
        "tied_code",
        tied_code_loss,
        tied_code_grad,
        tied_code_make,
        (
            Fault("dropped_path", tied_code_encoder_only, ("0.w",), line="tied_code_decode"),
            Fault("dropped_path", tied_code_decoder_only, ("0.w",), line="tied_code_encode"),
            Fault("wrong_point", tied_code_sigmoid_of_sum, ("0.w", "0.b"), line="tied_code_encode"),
            Fault(
                "wrong_derivative",
                tied_code_tanh_for_sigmoid,
                ("0.w", "0.b"),
                line="tied_code_encode",
            ),
            Fault(
                "regularization",
                tied_code_activity_forgotten,
                ("0.w", "0.b"),
                line="tied_code_activity",
                accept=("dropped_path",),
            ),
            Fault("partial_batch", tied_code_first_example, ("0.w", "0.b", "1.b")),
            Fault("stale", tied_code_step_before, ("0.w", "0.b", "1.b")),
        ),
    ),
    Problem(
        "bilinear",
        bilinear_loss,
        bilinear_grad,
        bilinear_make,
        (
            Fault("transpose", bilinear_other_way, ("form",), line="bilinear_score"),
            Fault("premature_average", bilinear_means, ("form",)),
            Fault(
                "dropped_derivative",
                bilinear_target_forgotten,
                ("form", "line", "offset"),
                line="bilinear_margin",
            ),
            Fault(
                "wrong_loss",
                bilinear_perceptron,
                ("form", "line", "offset"),
                line="bilinear_softplus",
                accept=("wrong_derivative",),
            ),
            Fault("sign", bilinear_ascent, ("form", "line", "offset")),
            Fault("scale", bilinear_mean_for_sum, ("form", "line", "offset")),
            Fault(
                "wrong_point",
                bilinear_sigmoid_of_margin,
                ("form", "line", "offset"),
                line="bilinear_softplus",
            ),
        ),
    ),
)
