"""Checks of arguments that many functions share."""

from typing import Any

import numpy as np


def positive_int(name: str, value: Any) -> int:
    """Return `value` as an int.

    Raises:
        ValueError: It is not an integer (NumPy's count, booleans do not) or not positive.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(value)
