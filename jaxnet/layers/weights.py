"""Which leaves of a parameter tree are weights."""

from typing import Any

import jax


def is_weight(path: tuple[Any, ...]) -> bool:
    """Whether a leaf is a weight, that is, stands under the key "w".

    Penalties and DropConnect act on weights alone: biases ("b"), the scale and shift of a
    normalisation and its statistics have other names.

    Args:
        path: The leaf's path, as `jax.tree_util` gives it.
    """
    return bool(path) and jax.tree_util.keystr(path[-1:], simple=True) == "w"
