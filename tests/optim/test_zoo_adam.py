"""Adam and its kin against optax and against their papers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import optax

from jaxnet import optim


def test_adam(prove: Any) -> None:
    def paper(
        x: np.ndarray, learning_rate: float, b1: float, b2: float, eps: float, eps_root: float
    ) -> Callable[..., np.ndarray]:
        m, v = np.zeros_like(x), np.zeros_like(x)

        def step(g: np.ndarray, x: np.ndarray, t: int) -> np.ndarray:
            nonlocal m, v
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            root = np.sqrt(v / (1 - b2**t) + eps_root)
            return -learning_rate * (m / (1 - b1**t)) / (root + eps)

        return step

    settings = [
        {"learning_rate": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "eps_root": 0.0},
        {"learning_rate": 3e-2, "b1": 0.5, "b2": 0.9, "eps": 1e-3, "eps_root": 1e-4},
    ]
    prove(optim.adam, settings, witness=optax.adam, numpy=paper, free_tolerance=1e-5)
