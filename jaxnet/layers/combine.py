"""Combinations of layers; each is a layer again."""

from collections.abc import Callable

import jax
from jax import Array

from jaxnet.layers.layer import Layer, Params, Residuals, keep


def chain(*layers: Layer) -> Layer:
    """Layers one after another: y = f_L(... f_2(f_1(x))).

    The backward pass is the chain rule from the last layer to the first: layer l receives
    dL/dy_l, gives dL/dparams_l, and passes dL/dy_{l-1} = dL/dx_l on.

    Args:
        *layers: The layers, in the order of the forward pass. None at all is the identity.

    Returns:
        A layer whose parameters are the list of the layers' parameters, one entry a layer. A key
        is split so that every layer draws its own numbers.
    """

    def init(key: Array) -> Params:
        return [
            layer.init(k)
            for layer, k in zip(layers, jax.random.split(key, len(layers)), strict=True)
        ]

    def forward(params: Params, x: Array, key: Array | None = None) -> tuple[Array, Residuals]:
        if len(params) != len(layers):
            raise ValueError(
                f"chain: {len(layers)} layers need a list of {len(layers)} parameter entries, "
                f"one a layer (an empty one where it has none); got {len(params)}"
            )
        keys = [None] * len(layers) if key is None else jax.random.split(key, len(layers))
        residuals = []
        for layer, p, k in zip(layers, params, keys, strict=True):
            x, r = layer.forward(p, x, k)
            residuals.append(r)
        return x, residuals

    def backward(params: Params, residuals: Residuals, dy: Array) -> tuple[Params, Array]:
        dparams = []
        for layer, p, r in zip(
            reversed(layers), reversed(params), reversed(residuals), strict=True
        ):
            dp, dy = layer.backward(p, r, dy)
            dparams.append(dp)
        return dparams[::-1], dy

    def observe(params: Params, residuals: Residuals) -> Params:
        return [layer.observe(p, r) for layer, p, r in zip(layers, params, residuals, strict=True)]

    observing = any(layer.observe is not keep for layer in layers)
    return Layer(init, forward, backward, observe if observing else keep)


def residual(layer: Layer) -> Layer:
    """Add the input to a layer's output: y = x + f(x).

    Both paths carry the gradient back: dx = dy + J_f^T dy.

    Args:
        layer: A layer whose output has the shape of its input.

    Returns:
        A layer with the parameters of `layer`.

    Raises:
        ValueError: On the forward pass, if f(x) has another shape than x.

    Reference: He, Zhang, Ren & Sun (2016).
    """

    def forward(params: Params, x: Array, key: Array | None = None) -> tuple[Array, Residuals]:
        y, residuals = layer.forward(params, x, key)
        if y.shape != x.shape:
            raise ValueError(
                f"residual: the layer turns shape {x.shape} into {y.shape}, but x + f(x) needs "
                "equal shapes; give the inner layer as many outputs as inputs"
            )
        return x + y, residuals

    def backward(params: Params, residuals: Residuals, dy: Array) -> tuple[Params, Array]:
        dparams, dx = layer.backward(params, residuals, dy)
        return dparams, dy + dx

    return Layer(layer.init, forward, backward, layer.observe)


def with_custom_vjp(layer: Layer) -> Callable[..., Array]:
    """Hand a layer's hand-derived backward pass to any JAX program.

    Args:
        layer: The layer.

    Returns:
        A function `f(params, x, key=None) -> y`; `jax.grad` and `jax.vjp` of whatever it is used
        in call `layer.backward`. As with every `jax.custom_vjp` function, forward-mode
        differentiation (`jax.jvp`) is not available.
    """

    @jax.custom_vjp
    def apply(params: Params, x: Array, key: Array | None) -> Array:
        return layer.forward(params, x, key)[0]

    def apply_forward(
        params: Params, x: Array, key: Array | None
    ) -> tuple[Array, tuple[Params, Residuals]]:
        y, residuals = layer.forward(params, x, key)
        return y, (params, residuals)

    def apply_backward(saved: tuple[Params, Residuals], dy: Array) -> tuple[Params, Array, None]:
        dparams, dx = layer.backward(*saved, dy)
        return dparams, dx, None  # nothing is differentiated with respect to the key

    apply.defvjp(apply_forward, apply_backward)
    return lambda params, x, key=None: apply(params, x, key)
