"""Models: a layer and a loss as pure functions of the parameters."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxnet import losses
from jaxnet.layers import (
    ACTIVATIONS,
    Activation,
    Initializer,
    Layer,
    activation as find_activation,
    chain,
    dense,
    normal,
    powers,
)
from jaxnet.layers.layer import Params, keep
from jaxnet.losses import Loss

Batch = tuple[Array, Array]
"""Inputs x (n, n_in) and targets t: (n,) classes or (n, n_out) numbers."""

InitSpec = str | Initializer | ArrayLike | Sequence[str | Initializer | ArrayLike]


class Model(NamedTuple):
    """A model: pure functions of explicit parameters. A key means training, none evaluation.

    - `init(key) -> params`
    - `apply(params, x, key=None) -> y`, the network's output
    - `loss(params, (x, t), key=None)` -> scalar: the loss's mean over the batch plus penalties
    - `value_and_grad(params, (x, t), key=None) -> (value, grads)` with the hand-derived gradient,
      in the structure of params
    - `classify(params, x) -> (n,)` class numbers; None if the outputs are not class scores
    - `observe(params, x, key) -> params` with running statistics moved by one batch; None if the
      layers observe none
    """

    init: Callable[[Array], Params]
    apply: Callable[..., Array]
    loss: Callable[..., Array]
    value_and_grad: Callable[..., tuple[Array, Params]]
    classify: Callable[[Params, Array], Array] | None
    observe: Callable[[Params, Array, Array], Params] | None


def from_layer(
    layer: Layer,
    loss: str | Loss,
    *,
    l2: float | Array = 0.0,
    l1: float | Array = 0.0,
    threshold: float | None = None,
) -> Model:
    """Make a model out of a layer and a loss.

        y = layer(params, x)      L = loss(y, t) + l2 * sum of w^2 + l1 * sum of |w|

    The gradient is the chain rule once: dy = dloss/dy goes into the layer's hand-derived backward
    pass, whose dparams get the penalties' gradients added.

    Args:
        layer: Any layer, such as a `chain`.
        loss: A name out of `jaxnet.losses.LOSSES` or a `Loss`.
        l2: Coefficient of the sum of squared weights; biases are never penalised.
        l1: Coefficient of the sum of absolute weights, likewise.
        threshold: The value of a single output above which it says "class 1", for a loss that
            does not know (squared errors on a sigmoid output: 0.5). With several outputs the
            largest decides. None leaves it to the loss.

    Returns:
        The model.

    Raises:
        ValueError: Unknown loss.
    """
    loss = losses.loss(loss)
    cut = loss.threshold if threshold is None else threshold
    penalties = [
        (coefficient, penalty, gradient)
        for coefficient, penalty, gradient in (
            (l2, losses.l2_penalty, losses.l2_penalty_gradient),
            (l1, losses.l1_penalty, losses.l1_penalty_gradient),
        )
        if not losses.is_zero(coefficient)
    ]

    def apply(params: Params, x: Array, key: Array | None = None) -> Array:
        return layer.forward(params, x, key)[0]

    def value(params: Params, batch: Batch, key: Array | None = None) -> Array:
        x, t = batch
        return with_penalties(loss.value(apply(params, x, key), t), params)

    def value_and_grad(
        params: Params, batch: Batch, key: Array | None = None
    ) -> tuple[Array, Params]:
        x, t = batch
        y, residuals = layer.forward(params, x, key)
        dparams, _ = layer.backward(params, residuals, loss.gradient(y, t))
        # A layer of one's own may have forgotten to sum a bias's gradient over the batch.
        chex.assert_trees_all_equal_shapes(
            dparams,
            params,
            custom_message="a layer's backward must return dparams like its params (first tree: "
            "dparams, second tree: params)",
        )
        for coefficient, _, gradient in penalties:
            dparams = jax.tree.map(jnp.add, dparams, gradient(params, coefficient))
        return with_penalties(loss.value(y, t), params), dparams

    def with_penalties(value: Array, params: Params) -> Array:
        for coefficient, penalty, _ in penalties:
            value = value + penalty(params, coefficient)
        return value

    def classify(params: Params, x: Array) -> Array:
        assert cut is not None
        return classes_of(apply(params, x), cut)

    def observe(params: Params, x: Array, key: Array) -> Params:
        return layer.observe(params, layer.forward(params, x, key)[1])

    return Model(
        layer.init,
        apply,
        value,
        value_and_grad,
        None if cut is None else classify,
        None if layer.observe is keep else observe,
    )


def classes_of(y: Array, threshold: float = 0.5) -> Array:
    """Class numbers (n,) out of scores or one-hot rows (n, k), or classes (n,) as they are.

    The largest of several columns decides; a single one says "class 1" above the threshold.
    """
    if y.ndim == 1:
        return y
    if y.shape[-1] == 1:
        return (y[:, 0] > threshold).astype(jnp.int32)
    return jnp.argmax(y, axis=-1).astype(jnp.int32)


def mlp(
    sizes: Sequence[int],
    activation: str | Activation = "relu",
    loss: str | Loss = "softmax_cross_entropy",
    *,
    l2: float | Array = 0.0,
    l1: float | Array = 0.0,
    bias: bool = True,
    output: str | Activation = "identity",
    w_init: InitSpec = "glorot_uniform",
    b_init: InitSpec = "zeros",
) -> Model:
    """Multilayer perceptron: affine layers with one activation between them, another at the end.

        a_0 = x,   a_l = f(a_{l-1} w_l + b_l),   y = g(a_{L-1} w_L + b_L)

    Args:
        sizes: Widths from the inputs to the outputs, such as [4, 16, 3].
        activation: f, of the hidden layers.
        loss: The loss. The cross-entropies take logits, so leave `output` at identity for them.
        l2: Coefficient of the sum of squared weights (never biases).
        l1: Coefficient of the sum of absolute weights (never biases).
        bias: Whether the layers have biases.
        output: g, of the last layer. "sigmoid" or "softmax" make the model a classifier under
            any loss.
        w_init: Initialiser of the weights: a name, a function `(key, shape) -> array`, or an
            array; a list or tuple gives one for every layer.
        b_init: Initialiser of the biases, likewise.

    Returns:
        The model. Its parameters are a list with one {"w": (n_in, n_out), "b": (n_out,)} per
        affine layer, without "b" if bias is False.

    Raises:
        ValueError: Fewer than two sizes, an unknown name, a list of initialisers of the wrong
            length, or a cross-entropy on logits over a "sigmoid" or "softmax" output.
    """
    if len(sizes) < 2:
        raise ValueError(f"mlp: sizes must name inputs and outputs at least, got {list(sizes)}")
    loss, output = losses.loss(loss), find_activation(output)
    probabilities = output in (ACTIVATIONS["sigmoid"], ACTIVATIONS["softmax"])
    takes_logits = [losses.LOSSES[f"{name}_cross_entropy"] for name in ("softmax", "sigmoid")]
    if probabilities and loss in takes_logits:
        raise ValueError(
            "mlp: the cross-entropies take logits and apply the softmax or sigmoid themselves; "
            'leave output at "identity"'
        )
    count = len(sizes) - 1
    w_inits, b_inits = _one_each("w_init", w_init, count), _one_each("b_init", b_init, count)
    layers = [
        dense(
            sizes[i],
            sizes[i + 1],
            output if i == count - 1 else activation,
            bias=bias,
            w_init=w_inits[i],
            b_init=b_inits[i],
        )
        for i in range(count)
    ]
    return from_layer(chain(*layers), loss, l2=l2, l1=l1, threshold=0.5 if probabilities else None)


def one_neuron(n_in: int, **options: Any) -> Model:
    """One neuron: y = sigma(x . w + b), squared error; `options` as in `mlp`."""
    defaults: dict[str, Any] = {"output": "sigmoid", "loss": "squared_error"}
    return mlp([n_in, 1], **defaults | options)


def perceptron(n_in: int, n_out: int = 1, **options: Any) -> Model:
    """A layer of sigmoid units without biases, squared error; `options` as in `mlp`.

    The differentiable successor of Rosenblatt's (1958) threshold unit.
    """
    defaults: dict[str, Any] = {"output": "sigmoid", "loss": "squared_error", "bias": False}
    return mlp([n_in, n_out], **defaults | options)


def linear_regression(n_in: int, n_out: int = 1, **options: Any) -> Model:
    """Linear regression: y = x w + b, squared error, from zeros; `options` as in `mlp`."""
    defaults: dict[str, Any] = {"loss": "squared_error", "w_init": "zeros"}
    return mlp([n_in, n_out], **defaults | options)


def polynomial_regression(
    degree: int, n_in: int = 1, *, l2: float | Array = 0.0, l1: float | Array = 0.0
) -> Model:
    """Polynomial regression: y = [x, x^2, ..., x^degree] w + b, squared error, from zeros.

    Args:
        degree: The highest power.
        n_in: Number of inputs; each has its own powers, and there are no products between them.
        l2: Coefficient of the sum of squared weights (never the bias).
        l1: Coefficient of the sum of absolute weights (never the bias).

    Returns:
        The model; its parameters are [{}, {"w": (degree n_in, 1), "b": (1,)}], as the powers have
        none. Rows of w belong to x first, then x^2, and so on. Standardise x for degrees beyond
        two: the powers' scales part quickly and the largest stable step falls with them.
    """
    layer = chain(powers(degree), dense(degree * n_in, 1, w_init="zeros"))
    return from_layer(layer, "squared_error", l2=l2, l1=l1)


def softmax_regression(n_in: int, n_classes: int, **options: Any) -> Model:
    """Softmax regression: logits y = x w + b, cross-entropy, from zeros; `options` as in `mlp`."""
    defaults: dict[str, Any] = {"w_init": "zeros"}
    return mlp([n_in, n_classes], **defaults | options)


def two_layer_net(n_in: int, n_hidden: int, n_classes: int, **options: Any) -> Model:
    """Affine, ReLU, affine, softmax cross-entropy; weights from N(0, 1e-4^2), biases 0.

    Options as in `mlp`; `l2` is the coefficient of the sum of squared weights, with the gradient
    2 l2 w.

    Why the second layer's gradient is dw2 = a1^T dscores / n: row i of the batch adds the outer
    product of its own activation a1_i and its own score error s_i - t_i; the sum over the rows is
    the matrix product; and the mean in the loss is the 1 / n.
    """
    defaults: dict[str, Any] = {"activation": "relu", "w_init": normal(1e-4)}
    return mlp([n_in, n_hidden, n_classes], **defaults | options)


def _one_each(name: str, spec: InitSpec, count: int) -> Sequence[Any]:
    if not isinstance(spec, list | tuple):
        return [spec] * count
    if len(spec) != count:
        raise ValueError(
            f"mlp: {name} lists {len(spec)} initialisers for {count} layers; give one a layer, "
            "or a single one for all"
        )
    return spec
