"""The models and losses that the runs share."""

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

relu, sigmoid = jax.nn.relu, jax.nn.sigmoid


def dense(seed: int, *sizes: int, std: float | None = None) -> list[dict[str, Any]]:
    """Weights N(0, 1 / n_in), or N(0, std^2), and biases 0."""
    rng = np.random.default_rng(seed)
    return [
        {
            "w": jnp.asarray(
                rng.normal(size=(a, b)) * (a**-0.5 if std is None else std), jnp.float32
            ),
            "b": jnp.zeros(b, jnp.float32),
        }
        for a, b in pairwise(sizes)
    ]


def forward(params: Any, x: Any, activation: Any = jnp.tanh) -> Any:
    """The outputs of a dense network."""
    for layer in params[:-1]:
        x = activation(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def cross_entropy(logits: Any, t: Any) -> Any:
    """The mean cross-entropy of integer classes."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), t[:, None], axis=1))


def classify(activation: Any = jnp.tanh) -> Any:
    """The loss of a dense classifier."""
    return lambda params, x, t: cross_entropy(forward(params, x, activation), t)


def regress(activation: Any = jnp.tanh) -> Any:
    """The loss of a dense network of one output."""
    return lambda params, x, t: jnp.mean((forward(params, x, activation)[:, 0] - t) ** 2)
