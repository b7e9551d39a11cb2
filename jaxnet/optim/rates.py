"""Learning rates: numbers, traced arrays or schedules; and the checks of hyperparameters."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

LearningRate: TypeAlias = ArrayLike | Callable[[Array], ArrayLike]
"""A number, an array (also a traced one), or an optax schedule: step number -> number."""

Hyper: TypeAlias = float | Array
"""A hyperparameter: a number, or an array (also a traced one, so that a sweep can vmap over it)."""


def rate_at(learning_rate: LearningRate, step: Array) -> Array:
    """The learning rate of step number `step`, in the default floating-point type.

    A schedule is called with 0 at the first step.
    """
    rate = learning_rate(step) if callable(learning_rate) else learning_rate
    return jnp.asarray(rate, dtype=jnp.result_type(float))


def times(rate: ArrayLike, leaf: Array) -> Array:
    """`rate * leaf` in the type of `leaf`, so that a float32 rate leaves bfloat16 as it is."""
    return jnp.asarray(rate, dtype=leaf.dtype) * leaf


def check_learning_rate(rule: str, learning_rate: LearningRate) -> None:
    """Refuse a learning rate that cannot be one.

    Arrays may be traced and schedules are functions: their values are not looked at.

    Raises:
        TypeError: It is not a number, an array or a function.
        ValueError: It is a plain number, and negative or not finite.
    """
    if not callable(learning_rate) and not hasattr(learning_rate, "__float__"):
        raise TypeError(
            f"{rule}: learning_rate must be a number, an array or a schedule, got {learning_rate!r}"
        )
    check_nonnegative(rule, "learning_rate", learning_rate)


def check_nonnegative(rule: str, name: str, value: Any) -> None:
    """Raise a ValueError for a hyperparameter that is a plain number and negative or infinite."""
    if isinstance(value, int | float | np.number) and not 0 <= value < float("inf"):
        raise ValueError(f"{rule}: {name} must be a finite number >= 0, got {value!r}")


def check_decay(rule: str, name: str, value: Any) -> None:
    """Raise an error for a decay rate that is no number, or a plain one outside [0, 1)."""
    if not hasattr(value, "__float__"):
        raise TypeError(f"{rule}: {name} must be a number or an array, got {value!r}")
    if isinstance(value, int | float | np.number) and not 0 <= value < 1:
        raise ValueError(f"{rule}: {name} must be in [0, 1), got {value!r}")
