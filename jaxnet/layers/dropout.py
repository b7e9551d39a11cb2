"""Dropout of units and of connections (DropConnect)."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxnet.layers.layer import Layer, Params, Residuals, keep
from jaxnet.layers.leaves import is_weight


def dropout(rate: float) -> Layer:
    """Dropout: y = x * m / (1 - rate), each m_ij 1 with probability 1 - rate, else 0.

    The scale keeps E[y] = x, so evaluation (no key) passes x through. The same m meets the
    gradient on its way back:

        dx = dy * m / (1 - rate)

    Args:
        rate: Probability of dropping an entry, 0 <= rate < 1.

    Returns:
        The layer; it has no parameters. A forward pass with a key draws m from it.

    Raises:
        ValueError: `rate` is outside [0, 1).

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014). The paper scales
    by 1 - rate in evaluation; scaling in training ("inverted" dropout) is the same rule with
    nothing left to do afterwards.
    """
    _check_rate("dropout", rate)

    def init(key: Array) -> Params:
        return {}

    def forward(params: Params, x: Array, key: Array | None = None) -> tuple[Array, Residuals]:
        if key is None:
            return x, None
        mask = jax.random.bernoulli(key, 1 - rate, x.shape)
        return _masked(x, mask, rate), mask

    def backward(params: Params, residuals: Residuals, dy: Array) -> tuple[Params, Array]:
        return {}, dy if residuals is None else _masked(dy, residuals, rate)

    return Layer(init, forward, backward)


def dropconnect(layer: Layer, rate: float) -> Layer:
    """DropConnect: run `layer` with a random part of its weights set to 0.

    With w~ = w * m / (1 - rate), m drawn anew for every forward pass and shared by the batch, the
    layer computes forward(w~, x). By the chain rule

        dw = dw~ * m / (1 - rate)

    while biases, normalisation scales and x are as in `layer`.

    Args:
        layer: Any layer or chain; its weights are the leaves called "w".
        rate: Probability of dropping a connection, 0 <= rate < 1.

    Returns:
        A layer with the parameters of `layer`. Without a key it is `layer` itself.

    Raises:
        ValueError: `rate` is outside [0, 1).

    Reference: Wan, Zeiler, Zhang, LeCun & Fergus (2013). The paper draws a mask for every example
    and evaluates by sampling; one mask for a batch and the scale in training are what practice
    has kept.
    """
    _check_rate("dropconnect", rate)

    def forward(params: Params, x: Array, key: Array | None = None) -> tuple[Array, Residuals]:
        if key is None:
            y, inner = layer.forward(params, x)
            return y, (None, inner)
        key_masks, key_layer = jax.random.split(key)
        masks = _draw_masks(key_masks, params, 1 - rate)
        y, inner = layer.forward(_masked_weights(params, masks, rate), x, key_layer)
        return y, (masks, inner)

    def backward(params: Params, residuals: Residuals, dy: Array) -> tuple[Params, Array]:
        masks, inner = residuals
        if masks is None:
            return layer.backward(params, inner, dy)
        dmasked, dx = layer.backward(_masked_weights(params, masks, rate), inner, dy)
        return _masked_weights(dmasked, masks, rate), dx

    def observe(params: Params, residuals: Residuals) -> Params:
        return layer.observe(params, residuals[1])

    return Layer(layer.init, forward, backward, keep if layer.observe is keep else observe)


def _draw_masks(key: Array, params: Params, keep_probability: float) -> list[Array | None]:
    """Draw one mask for every weight, in the order of the leaves; None for the other leaves."""
    leaves = jax.tree.leaves_with_path(params)
    keys = jax.random.split(key, len(leaves))
    return [
        jax.random.bernoulli(k, keep_probability, leaf.shape) if is_weight(path) else None
        for k, (path, leaf) in zip(keys, leaves, strict=True)
    ]


def _masked_weights(params: Params, masks: list[Array | None], rate: float) -> Params:
    leaves, structure = jax.tree.flatten(params)
    masked = [
        leaf if mask is None else _masked(leaf, mask, rate)
        for leaf, mask in zip(leaves, masks, strict=True)
    ]
    return jax.tree.unflatten(structure, masked)


def _masked(x: Array, mask: Array, rate: float) -> Array:
    return jnp.where(mask, x / (1 - rate), 0)


def _check_rate(layer: str, rate: float) -> None:
    if not 0 <= rate < 1:
        raise ValueError(f"{layer}: rate must be in [0, 1), got {rate!r}")
