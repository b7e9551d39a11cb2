"""The leaves of a parameter tree: their names, and which of them are weights."""

from typing import Any

import jax

from jaxnet.layers.layer import Params


def leaf_name(path: tuple[Any, ...]) -> str:
    """A leaf's path as people write it: "0.w" for `params[0]["w"]`."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def named_leaves(tree: Params) -> dict[str, Any]:
    """The leaves of a tree by name, in their order."""
    return {leaf_name(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def is_weight(path: tuple[Any, ...]) -> bool:
    """Whether a leaf is a weight, that is, stands under the key "w".

    Penalties and DropConnect act on weights alone: biases ("b"), the scale and shift of a
    normalisation and its statistics have other names.

    Args:
        path: The leaf's path, as `jax.tree_util` gives it.
    """
    return bool(path) and leaf_name(path[-1:]) == "w"
