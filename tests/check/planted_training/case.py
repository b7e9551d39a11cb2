"""A training run, what is wrong with it, and small things that the runs share."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sklearn.datasets


@dataclass(frozen=True)
class Case:
    """A run: make() -> (loss, params, (x, t), options of check.training).

    code is what the doctor should say first, None if the run is healthy; accept are codes as right
    as that, where a person could say either.
    """

    code: str | None
    make: Callable[[], tuple[Any, Any, tuple[Any, Any], dict[str, Any]]]
    accept: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.make.__name__


class Cases(list[Case]):
    """Runs, registered as they are written."""

    def add(self, code: str | None, *accept: str) -> Callable[[Any], Any]:
        """Register a function as the make of a case."""

        def register(make: Any) -> Any:
            self.append(Case(code, make, accept))
            return make

        return register


@cache
def _read(name: str) -> tuple[np.ndarray, np.ndarray]:
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    return bunch.data[order], bunch.target[order]


def raw(name: str, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A bundled data set as scikit-learn has it, its rows in random order."""
    x, t = _read(name)
    return x[:rows].astype(np.float32), t[:rows]


def scaled(name: str, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The same with standardised columns."""
    x, t = raw(name, rows)
    std = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(std > 0, std, 1), t


def moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two half moons."""
    x, t = sklearn.datasets.make_moons(n, noise=noise, random_state=seed)
    return x.astype(np.float32), t


def circles(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two circles, one in the other."""
    x, t = sklearn.datasets.make_circles(n, noise=0.05, factor=0.4, random_state=seed)
    return x.astype(np.float32), t


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
        for a, b in zip(sizes, sizes[1:], strict=False)
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
