"""What every rule promises as an optax gradient transformation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax


def transformation(
    rule: str, init: Callable[[Any], Any], update: Callable[..., tuple[Any, Any]]
) -> optax.GradientTransformationExtraArgs:
    """Make an optax gradient transformation that refuses parameters it cannot update.

    Args:
        rule: The rule's name, for messages.
        init: params -> state.
        update: (grads, state, params, **extra) -> (updates, state).

    Returns:
        The transformation. Its `init` raises a TypeError for parameters that are not real, and its
        `update` a ValueError if it gets none.
    """

    def checked_init(params: Any) -> Any:
        check_real(rule, params)
        return init(params)

    def checked_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        if params is None:
            raise ValueError(f"{rule}: update needs the parameters: update(grads, state, params)")
        return update(grads, state, params, **extra)

    return optax.GradientTransformationExtraArgs(checked_init, checked_update)


def check_real(rule: str, params: Any) -> None:
    """Raise a TypeError that names a leaf of the parameters that is complex or not floating."""
    for path, leaf in jax.tree.leaves_with_path(params):
        dtype = jnp.result_type(leaf)
        if jnp.issubdtype(dtype, jnp.floating):
            continue
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        where = f"leaf {name!r} is {dtype}" if path else f"they are {dtype}"
        if jnp.issubdtype(dtype, jnp.complexfloating):
            raise TypeError(
                f"{rule}: parameters must be real, but {where}; "
                "optimize its real and imaginary parts as two leaves"
            )
        raise TypeError(f"{rule}: parameters must be floating-point numbers, but {where}")
