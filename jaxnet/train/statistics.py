"""Keeping running statistics, which stand among the parameters, away from the optimizer."""

from typing import Any

import jax
import optax

from jaxnet.layers import Statistics
from jaxnet.layers.layer import Params


def is_statistics(node: Any) -> bool:
    """Whether a node of a parameter tree holds running statistics."""
    return isinstance(node, Statistics)


def learned(params: Params) -> Any:
    """The mask for `optax.masked`: what the optimizer may see, everything but statistics."""
    return jax.tree.map(lambda node: not is_statistics(node), params, is_leaf=is_statistics)


def hidden(tree: Params) -> Params:
    """A tree as `optax.masked` shows it to its rule, with the statistics taken out."""
    return jax.tree.map(
        lambda node: optax.MaskedNode() if is_statistics(node) else node,
        tree,
        is_leaf=is_statistics,
    )


def with_statistics(params: Params, observed: Params) -> Params:
    """The parameters of `params` with the running statistics of `observed`."""
    return jax.tree.map(
        lambda new, seen: seen if is_statistics(seen) else new,
        params,
        observed,
        is_leaf=is_statistics,
    )
