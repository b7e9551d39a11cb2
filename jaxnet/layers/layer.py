"""What a layer is: three pure functions and, where it observes its data, a fourth."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax

Params: TypeAlias = Any
"""A pytree of arrays: a dict for one layer, a list of them for a chain."""

Residuals: TypeAlias = Any
"""What a layer's backward needs from its forward, as a pytree of arrays."""


class Statistics(NamedTuple):
    """Values that a layer observes in its data; they are carried with the parameters, not learned.

    They stand among a layer's parameters so that one value holds all that evaluation needs, and
    their type sets them apart: `train.fit` keeps them away from the optimizer and renews them
    with `Layer.observe`.
    """

    mean: jax.Array
    variance: jax.Array


def keep(params: Params, residuals: Residuals) -> Params:
    """Return `params` unchanged: the `observe` of a layer that observes nothing."""
    return params


class Layer(NamedTuple):
    """A layer: pure functions of explicit parameters.

    - `init(key) -> params`
    - `forward(params, x, key=None) -> (y, residuals)`. A key means training (dropout draws from
      it, batch normalisation uses the batch's own statistics); no key means evaluation.
    - `backward(params, residuals, dy) -> (dparams, dx)`, derived by hand: given dy = dL/dy, the
      gradients dL/dparams (with the structure of `params`) and dL/dx.
    - `observe(params, residuals) -> params` with the running `Statistics` moved by what one
      forward pass in training saw; `keep` for a layer without any.

    A chain or any other combination of layers is a `Layer` again.
    """

    init: Callable[[jax.Array], Params]
    forward: Callable[..., tuple[jax.Array, Residuals]]
    backward: Callable[[Params, Residuals, jax.Array], tuple[Params, jax.Array]]
    observe: Callable[[Params, Residuals], Params] = keep


def check_features(layer: str, x: jax.Array, n: int) -> None:
    """Raise a ValueError unless the last axis of `x` has the `n` features that `layer` takes."""
    if x.ndim == 0 or x.shape[-1] != n:
        raise ValueError(
            f"{layer}: x has shape {x.shape}, but its last axis must hold {n} features"
        )
