"""Learning rates: numbers, traced arrays or schedules; and the checks of hyperparameters."""

import math
from collections.abc import Callable, Sequence
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

    A schedule is called with 0 at the first step. An array is copied: the state that holds it may
    be donated.
    """
    rate = learning_rate(step) if callable(learning_rate) else learning_rate
    return jnp.array(rate, dtype=jnp.result_type(float))


def times(rate: ArrayLike, leaf: Array) -> Array:
    """`rate * leaf` in the type of `leaf`, so that a float32 rate leaves bfloat16 as it is."""
    return jnp.asarray(rate, dtype=leaf.dtype) * leaf


def check_learning_rate(rule: str, learning_rate: Any, name: str = "learning_rate") -> None:
    """Refuse a learning rate that is no number, array or schedule, or a plain negative number."""
    if callable(learning_rate):
        return
    if not hasattr(learning_rate, "__float__"):
        raise TypeError(
            f"{rule}: {name} must be a number, an array or a schedule, got {learning_rate!r}"
        )
    check_nonnegative(rule, name, learning_rate)


def check_number(
    rule: str, name: str, value: Any, holds: Callable[[Any], bool], wanted: str
) -> None:
    """Refuse a hyperparameter that cannot be one.

    Arrays may be traced: their values are not looked at.

    Args:
        rule: The rule's name, for the message.
        name: The argument's name.
        value: What was given for it.
        holds: Whether a plain number is in range.
        wanted: What the number must be, in words.

    Raises:
        TypeError: The value is no number and no array.
        ValueError: It is a plain number out of range.
    """
    if not hasattr(value, "__float__"):
        raise TypeError(f"{rule}: {name} must be a number or an array, got {value!r}")
    if isinstance(value, int | float | np.number) and not holds(value):
        raise ValueError(f"{rule}: {name} must be {wanted}, got {value!r}")


def check_nonnegative(rule: str, name: str, value: Any) -> None:
    """Refuse a plain number that is negative or not finite; see `check_number`."""
    check_number(rule, name, value, lambda v: 0 <= v < math.inf, "a finite number >= 0")


def check_positive(rule: str, name: str, value: Any) -> None:
    """Refuse a plain number that is not positive or not finite; see `check_number`."""
    check_number(rule, name, value, lambda v: 0 < v < math.inf, "a finite number > 0")


def check_decay(rule: str, name: str, value: Any) -> None:
    """Refuse a decay rate that is a plain number outside [0, 1); see `check_number`."""
    check_number(rule, name, value, lambda v: 0 <= v < 1, "in [0, 1)")


def check_count(rule: str, name: str, value: Any, least: int = 1) -> None:
    """Raise a ValueError for a number of things that is no whole number, or less than `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{rule}: {name} must be a whole number >= {least}, got {value!r}")


def check_choice(rule: str, name: str, value: Any, choices: Sequence[str | None]) -> None:
    """Raise a ValueError for a value that is none of the choices."""
    if value not in choices:
        raise ValueError(f"{rule}: {name} must be {' or '.join(map(repr, choices))}, got {value!r}")
