"""Losses: each value with its hand-derived gradient under it, and the penalties on weights.

A loss takes the network's output y (n, k) and the targets t. Values are means over the n rows and
sums over the k outputs; gradients are dL/dy, of the shape of y, and so carry the 1/n.

Targets are numbers of the shape of y, or, where it says "or classes", integer class numbers of
shape (n,). Shapes that would only fit by broadcasting are refused.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxnet.layers.activations import exp_minus_abs, relu
from jaxnet.layers.layer import Params
from jaxnet.layers.leaves import is_weight


class Loss(NamedTuple):
    """A loss: `value(y, t)` -> scalar, `gradient(y, t)` -> dL/dy.

    `threshold` is the value of a single output above which it says "class 1", or None if the loss
    does not make its outputs class scores. With several outputs the largest one decides.
    """

    value: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]
    threshold: float | None = None


def softmax_cross_entropy(y: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    """L = -1/n sum_ij t_ij log s_ij, s = softmax(y): y are logits, t is one-hot or classes.

    With m_i = max_j y_ij and S_i = sum_j exp(y_ij - m_i), log s_ij = y_ij - m_i - log S_i, which
    neither overflows nor takes the logarithm of zero. Label smoothing e puts
    t~ = (1 - e) t + e / k in the place of t (Szegedy et al., 2016).
    """
    m = jax.lax.stop_gradient(jnp.max(y, axis=-1, keepdims=True))  # any m gives the same value
    log_sum = jnp.log(jnp.sum(jnp.exp(y - m), axis=-1))  # (n,)
    if _are_classes(y, t):
        picked = jnp.take_along_axis(y, t[:, None], axis=-1)[:, 0]  # (n,)
        cost = log_sum + (1 - label_smoothing) * (m[:, 0] - picked)
        if not is_zero(label_smoothing):
            cost = cost + label_smoothing * (m[:, 0] - jnp.mean(y, axis=-1))
    else:
        t = _smoothed(t, label_smoothing, y.shape[-1])
        cost = jnp.sum(t, axis=-1) * log_sum + jnp.sum(t * (m - y), axis=-1)
    return jnp.mean(cost)


def softmax_cross_entropy_gradient(y: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    """dL/dy_ij = (s_ij sum_k t_ik - t_ij) / n, which is (s - t) / n as the targets sum to 1.

    From d log s_ij / dy_ik = [j = k] - s_ik. One pass finds the row's m and S, one writes the
    gradient: neither s nor a one-hot matrix is kept.
    """
    _check_rows(y)
    n, k = y.shape
    m = jnp.max(y, axis=-1, keepdims=True)
    e = jnp.exp(y - m)
    total = jnp.sum(e, axis=-1, keepdims=True)
    if _are_classes(y, t):
        share = e * (1 / (n * total))  # s / n
        is_target = jax.lax.broadcasted_iota(jnp.int32, y.shape, 1) == t[:, None]
        dy = jnp.where(is_target, share - (1 - label_smoothing) / n, share)
        return dy if is_zero(label_smoothing) else dy - label_smoothing / (k * n)
    t = _smoothed(t, label_smoothing, k)
    return (e * (jnp.sum(t, axis=-1, keepdims=True) / total) - t) / n


def sigmoid_cross_entropy(y: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    """L = -1/n sum_ij t_ij log s_ij + (1 - t_ij) log(1 - s_ij), s = sigma(y), y logits.

    As log s = y - softplus(y) and log(1 - s) = -softplus(y), each term is

        softplus(y) - t y = max(y, 0) - t y + log(1 + exp(-|y|)).

    t is 0 or 1 (or a probability) for every output, or classes: one-hot for several outputs, the
    number itself for one. Label smoothing e puts t~ = (1 - e) t + e / 2 in the place of t.
    """
    t = _smoothed(_indicators(y, t), label_smoothing, 2)
    return _mean_of_rows(relu(y) - t * y + jnp.log1p(exp_minus_abs(y)))


def sigmoid_cross_entropy_gradient(y: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    """dL/dy = (sigma(y) - t) / n, as softplus' = sigma."""
    t = _smoothed(_indicators(y, t), label_smoothing, 2)
    return (jax.lax.logistic(y) - t) / y.shape[0]


def squared_error(y: Array, t: Array) -> Array:
    """L = 1/n sum_ij (y_ij - t_ij)^2."""
    _check_same_shape(y, t)
    return _mean_of_rows((y - t) ** 2)


def squared_error_gradient(y: Array, t: Array) -> Array:
    """dL/dy = 2 (y - t) / n."""
    _check_same_shape(y, t)
    return (y - t) * (2 / y.shape[0])


def half_squared_error(y: Array, t: Array) -> Array:
    """L = 1/(2n) sum_ij (y_ij - t_ij)^2."""
    return 0.5 * squared_error(y, t)


def half_squared_error_gradient(y: Array, t: Array) -> Array:
    """dL/dy = (y - t) / n."""
    _check_same_shape(y, t)
    return (y - t) / y.shape[0]


def absolute_error(y: Array, t: Array) -> Array:
    """L = 1/n sum_ij |y_ij - t_ij|."""
    _check_same_shape(y, t)
    return _mean_of_rows(_size(y - t))


def absolute_error_gradient(y: Array, t: Array) -> Array:
    """dL/dy = sign(y - t) / n, 0 where y = t."""
    _check_same_shape(y, t)
    return jnp.sign(y - t) / y.shape[0]


def huber(y: Array, t: Array, delta: float = 1.0) -> Array:
    """L = 1/n sum_ij h(y_ij - t_ij); h(e) = e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2).

    Huber (1964). With c = min(|e|, delta), both cases are h = c (|e| - c / 2).
    """
    _check_same_shape(y, t)
    size = jnp.abs(y - t)
    clipped = jnp.where(size > delta, delta, size)
    return _mean_of_rows(clipped * (size - 0.5 * clipped))


def huber_gradient(y: Array, t: Array, delta: float = 1.0) -> Array:
    """dL/dy = clip(y - t, -delta, delta) / n."""
    _check_same_shape(y, t)
    return jnp.clip(y - t, -delta, delta) / y.shape[0]


def hinge(y: Array, t: Array) -> Array:
    """L = 1/n sum_ij max(0, 1 - t_ij y_ij) with t_ij = +-1, or classes, each against the rest."""
    margin = 1 - _signs(y, t) * y
    return _mean_of_rows(jnp.where(margin > 0, margin, 0))


def hinge_gradient(y: Array, t: Array) -> Array:
    """dL/dy = -t / n where 1 - t y > 0, else 0."""
    t = _signs(y, t)
    return jnp.where(1 - t * y > 0, -t, jnp.zeros_like(y)) / y.shape[0]


LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": Loss(softmax_cross_entropy, softmax_cross_entropy_gradient, 0.0),
    "sigmoid_cross_entropy": Loss(sigmoid_cross_entropy, sigmoid_cross_entropy_gradient, 0.0),
    "squared_error": Loss(squared_error, squared_error_gradient),
    "half_squared_error": Loss(half_squared_error, half_squared_error_gradient),
    "absolute_error": Loss(absolute_error, absolute_error_gradient),
    "huber": Loss(huber, huber_gradient),
    "hinge": Loss(hinge, hinge_gradient, 0.0),
}
"""The losses by name."""


def loss(name: str | Loss, **options: Any) -> Loss:
    """Look a loss up by its name and fix its options.

    Args:
        name: A key of `LOSSES`, or a `Loss` of your own.
        **options: Arguments of the loss beyond y and t, such as `label_smoothing` or `delta`.

    Returns:
        The loss.

    Raises:
        ValueError: There is no loss of that name.
    """
    if isinstance(name, str):
        if name not in LOSSES:
            raise ValueError(
                f"unknown loss {name!r}; expected one of {', '.join(LOSSES)}, or a Loss of your own"
            )
        name = LOSSES[name]
    if not options:
        return name
    return Loss(partial(name.value, **options), partial(name.gradient, **options), name.threshold)


def is_zero(coefficient: float | Array) -> bool:
    """Whether a coefficient is the plain number 0, so that its term can be left out."""
    return isinstance(coefficient, int | float) and coefficient == 0


def l2_penalty(params: Params, coefficient: float | Array) -> Array:
    """P = coefficient * sum of squared weights. Only leaves called "w" count, never biases."""
    return coefficient * _total([jnp.sum(w * w) for w in _weights(params)])


def l2_penalty_gradient(params: Params, coefficient: float | Array) -> Params:
    """dP/dw = 2 * coefficient * w for weights, 0 for every other leaf."""
    return _over_weights(lambda w: (2 * coefficient) * w, params)


def l1_penalty(params: Params, coefficient: float | Array) -> Array:
    """P = coefficient * sum of |w|. Only leaves called "w" count, never biases."""
    return coefficient * _total([jnp.sum(_size(w)) for w in _weights(params)])


def l1_penalty_gradient(params: Params, coefficient: float | Array) -> Params:
    """dP/dw = coefficient * sign(w) for weights, 0 at w = 0 and for every other leaf."""
    return _over_weights(lambda w: coefficient * jnp.sign(w), params)


def _weights(params: Params) -> list[Array]:
    return [leaf for path, leaf in jax.tree.leaves_with_path(params) if is_weight(path)]


def _size(e: Array) -> Array:
    # |e| with the derivative sign(e), 0 at e = 0; JAX gives jnp.abs the derivative 1 there.
    return jnp.sign(e) * e


def _total(terms: list[Array]) -> Array:
    # Not from jnp.zeros(()): its type would promote a sum of bfloat16 weights.
    return sum(terms[1:], terms[0]) if terms else jnp.zeros(())


def _over_weights(gradient: Callable[[Array], Array], params: Params) -> Params:
    def at(path: tuple[Any, ...], leaf: Array) -> Array:
        return gradient(leaf).astype(leaf.dtype) if is_weight(path) else jnp.zeros_like(leaf)

    return jax.tree.map_with_path(at, params)


def _mean_of_rows(cost: Array) -> Array:
    return jnp.sum(cost) / cost.shape[0]


def _smoothed(t: Array, label_smoothing: float, k: int) -> Array:
    return t if is_zero(label_smoothing) else (1 - label_smoothing) * t + label_smoothing / k


def _are_classes(y: Array, t: Array) -> bool:
    """Tell class numbers (n,) from numbers for every output (n, k); refuse anything else."""
    _check_rows(y)
    if t.shape == y.shape[:1] and jnp.issubdtype(t.dtype, jnp.integer):
        return True
    if t.shape != y.shape:
        raise ValueError(
            f"the output y has shape {y.shape}; targets must be integer classes of shape "
            f"{y.shape[:1]} or numbers of shape {y.shape}, got {t.dtype} of shape {t.shape}"
        )
    return False


def _indicators(y: Array, t: Array) -> Array:
    """Return targets of the shape of y, 1 for an output's own class and 0 for the others."""
    if not _are_classes(y, t):
        return t
    if y.shape[-1] == 1:
        return t[:, None].astype(y.dtype)
    return jax.nn.one_hot(t, y.shape[-1], dtype=y.dtype)


def _signs(y: Array, t: Array) -> Array:
    return 2 * _indicators(y, t) - 1 if _are_classes(y, t) else t.astype(y.dtype)


def _check_same_shape(y: Array, t: Array) -> None:
    _check_rows(y)
    if t.shape != y.shape:
        raise ValueError(
            f"the output y has shape {y.shape}, so the targets must have that shape too, got "
            f"{t.shape}; for class numbers use one-hot rows (jax.nn.one_hot), for a single output "
            "t[:, None]"
        )


def _check_rows(y: Array) -> None:
    if y.ndim != 2 or y.shape[0] == 0:
        raise ValueError(f"the output y must be (n, k) with at least one row, got {y.shape}")
