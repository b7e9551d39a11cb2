"""JAX's primitives in NumPy: the value of each, and its reverse rule derived by hand.

For an operation y = f(a, b, ...) with the cotangent dy of its output, a reverse rule gives the
cotangents of its inputs, da = dy df/da and so on. The replay of a loss runs on these, as they can
be altered one at a time and need no compilation. Primitives that are not here run in JAX.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from jaxnet.check.convolution import convolution, convolution_reverse

Params: TypeAlias = Mapping[str, Any]
Reverse: TypeAlias = Callable[..., Sequence[Any]]


class Primitive(NamedTuple):
    """One primitive.

    - `value(params, *inputs) -> output`
    - `reverse(params, inputs, output, dy) -> cotangents of the inputs`, None where there is none
    """

    value: Callable[..., Any]
    reverse: Reverse


class Unary(NamedTuple):
    """A function of one number, taken entry by entry: its value and derivative.

    The derivative may be written in terms of the input x or of the output y; people use both.
    """

    value: Callable[[Any], Any]
    of_x: Callable[[Any], Any]
    of_y: Callable[[Any], Any] | None = None


def _logistic(x: Any) -> Any:
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), 1 - 1 / (1 + np.exp(-np.abs(x))))


def _loop_row_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    dx = np.zeros_like(inputs[0])
    dx[params["row"]] = dy
    return (dx,)


def _erf(x: Any) -> Any:
    return np.asarray(jax.lax.erf(x))


def _log_gamma(x: Any) -> Any:
    return np.asarray(jax.lax.lgamma(x))


def _digamma(x: Any) -> Any:
    return np.asarray(jax.lax.digamma(x))


UNARY: dict[str, Unary] = {
    "exp": Unary(np.exp, np.exp, lambda y: y),
    "log": Unary(np.log, lambda x: 1 / x, lambda y: np.exp(-y)),
    "log1p": Unary(np.log1p, lambda x: 1 / (1 + x), lambda y: np.exp(-y)),
    "expm1": Unary(np.expm1, np.exp, lambda y: y + 1),
    "tanh": Unary(np.tanh, lambda x: 1 - np.tanh(x) ** 2, lambda y: 1 - y**2),
    "logistic": Unary(
        _logistic, lambda x: _logistic(x) * (1 - _logistic(x)), lambda y: y * (1 - y)
    ),
    "sqrt": Unary(np.sqrt, lambda x: 0.5 / np.sqrt(x), lambda y: 0.5 / y),
    "rsqrt": Unary(lambda x: x**-0.5, lambda x: -0.5 * x**-1.5, lambda y: -0.5 * y**3),
    "square": Unary(np.square, lambda x: 2 * x),
    "sin": Unary(np.sin, np.cos),
    "cos": Unary(np.cos, lambda x: -np.sin(x)),
    "tan": Unary(np.tan, lambda x: 1 / np.cos(x) ** 2, lambda y: 1 + y**2),
    "atan": Unary(np.arctan, lambda x: 1 / (1 + x**2), lambda y: np.cos(y) ** 2),
    "sinh": Unary(np.sinh, np.cosh),
    "cosh": Unary(np.cosh, np.sinh),
    "cbrt": Unary(np.cbrt, lambda x: np.cbrt(x) / (3 * x), lambda y: 1 / (3 * y**2)),
    "abs": Unary(np.abs, np.sign),
    "erf": Unary(_erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2))),
    "erfc": Unary(lambda x: 1 - _erf(x), lambda x: -2 / np.sqrt(np.pi) * np.exp(-(x**2))),
    "lgamma": Unary(_log_gamma, _digamma),
}
"""The functions of one number."""


def reduced(ct: Any, shape: tuple[int, ...]) -> Any:
    """The cotangent of an input that was broadcast from `shape`: the sum over the copies."""
    ct = np.asarray(ct)
    if ct.shape == shape:
        return ct
    ct = ct.sum(axis=tuple(range(ct.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and ct.shape[i] != 1)
    return ct.sum(axis=axes, keepdims=True)


def _binary(value: Callable[..., Any], da: Callable[..., Any], db: Callable[..., Any]) -> Primitive:
    def reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
        a, b = inputs
        return reduced(da(a, b, dy), np.shape(a)), reduced(db(a, b, dy), np.shape(b))

    return Primitive(lambda params, a, b: value(a, b), reverse)


def _unary(f: Unary) -> Primitive:
    return Primitive(
        lambda params, x: f.value(x), lambda params, inputs, y, dy: (dy * f.of_x(inputs[0]),)
    )


def _linear(value: Callable[..., Any], transpose: Callable[..., Any]) -> Primitive:
    return Primitive(
        value, lambda params, inputs, y, dy: (transpose(params, np.shape(inputs[0]), dy),)
    )


def _flat(value: Callable[..., Any]) -> Primitive:
    """A primitive without derivative."""
    return Primitive(
        lambda params, *inputs: value(*inputs),
        lambda params, inputs, y, dy: (None,) * len(inputs),
    )


def _keep_axes(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _spread(params: Params, shape: tuple[int, ...], dy: Any) -> Any:
    return np.broadcast_to(np.reshape(dy, _keep_axes(shape, params["axes"])), shape)


def _extremum(value: Callable[..., Any]) -> Primitive:
    def reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
        shape = np.shape(inputs[0])
        reached = inputs[0] == np.reshape(y, _keep_axes(shape, params["axes"]))
        share = reached / reached.sum(axis=tuple(params["axes"]), keepdims=True)
        return (share * _spread(params, shape, dy),)

    return Primitive(lambda params, x: value(x, axis=tuple(params["axes"])), reverse)


def broadcast_in_dim(params: Params, x: Any) -> Any:
    """The operand with its axes put where broadcast_dimensions says, and repeated."""
    shape = [1] * len(params["shape"])
    for i, d in enumerate(params["broadcast_dimensions"]):
        shape[d] = np.shape(x)[i]
    return np.broadcast_to(np.reshape(x, shape), params["shape"])


def _broadcast_transpose(params: Params, shape: tuple[int, ...], dy: Any) -> Any:
    dims = params["broadcast_dimensions"]
    added = tuple(i for i in range(dy.ndim) if i not in dims)
    dy = dy.sum(axis=added)
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and dy.shape[i] != 1)
    return dy.sum(axis=axes, keepdims=True)


def _axes(params: Params, a: Any, b: Any) -> tuple[list[int], ...]:
    """The axes of a and b: batch, free and contracted ones of each."""
    (contract_a, contract_b), (batch_a, batch_b) = params["dimension_numbers"]
    free_a = [i for i in range(np.ndim(a)) if i not in contract_a and i not in batch_a]
    free_b = [j for j in range(np.ndim(b)) if j not in contract_b and j not in batch_b]
    return list(batch_a), free_a, list(contract_a), list(batch_b), free_b, list(contract_b)


def _as_matrices(x: Any, batch: list[int], rows: list[int], columns: list[int]) -> Any:
    """X with its axes in this order, gathered to (batch, rows, columns)."""
    shape = np.shape(x)
    sizes = [math.prod(shape[i] for i in axes) for axes in (batch, rows, columns)]
    return np.transpose(x, (*batch, *rows, *columns)).reshape(sizes)


def _from_matrices(
    m: Any, shape: tuple[int, ...], batch: list[int], rows: list[int], columns: list[int]
) -> Any:
    """The inverse of `_as_matrices` for an array of this shape."""
    order = (*batch, *rows, *columns)
    return np.transpose(m.reshape([shape[i] for i in order]), np.argsort(order))


def _dot(params: Params, a: Any, b: Any) -> Any:
    batch_a, free_a, contract_a, batch_b, free_b, contract_b = _axes(params, a, b)
    y = _as_matrices(a, batch_a, free_a, contract_a) @ _as_matrices(b, batch_b, contract_b, free_b)
    shape = [np.shape(a)[i] for i in (*batch_a, *free_a)] + [np.shape(b)[j] for j in free_b]
    return y.reshape(shape)


def _dot_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    """For y = a b of matrices da = dy b^T and db = a^T dy."""
    a, b = inputs
    batch_a, free_a, contract_a, batch_b, free_b, contract_b = _axes(params, a, b)
    rows_a, rows_b = (
        _as_matrices(a, batch_a, free_a, contract_a),
        _as_matrices(b, batch_b, contract_b, free_b),
    )
    dy = np.reshape(dy, (rows_a.shape[0], rows_a.shape[1], rows_b.shape[2]))
    return (
        _from_matrices(dy @ np.swapaxes(rows_b, 1, 2), np.shape(a), batch_a, free_a, contract_a),
        _from_matrices(np.swapaxes(rows_a, 1, 2) @ dy, np.shape(b), batch_b, contract_b, free_b),
    )


def _select_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    which, *cases = inputs
    return None, *(reduced(np.where(which == i, dy, 0), np.shape(c)) for i, c in enumerate(cases))


def _concatenate_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    axis = params["dimension"]
    ends = np.cumsum([np.shape(x)[axis] for x in inputs])[:-1]
    return np.split(dy, ends, axis=axis)


def _slices(params: Params) -> tuple[slice, ...]:
    steps = params["strides"] or (1,) * len(params["start_indices"])
    return tuple(
        slice(i, j, k)
        for i, j, k in zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    )


def _slice_transpose(params: Params, shape: tuple[int, ...], dy: Any) -> Any:
    dx = np.zeros(shape, dy.dtype)
    dx[_slices(params)] = dy
    return dx


def _power(params: Params, x: Any) -> Any:
    return np.asarray(x, np.result_type(x)) ** float(params["y"])


def _integer_power_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    n = params["y"]
    return (dy * n * _power({"y": n - 1}, inputs[0]),)


def _cast(params: Params, x: Any) -> Any:
    return np.asarray(x).astype(params["new_dtype"])


def _cumsum_transpose(params: Params, shape: tuple[int, ...], dy: Any) -> Any:
    return _cumsum({**params, "reverse": not params["reverse"]}, dy)


def _cumsum(params: Params, x: Any) -> Any:
    axis = params["axis"]
    if params["reverse"]:
        return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)
    return np.cumsum(x, axis=axis)


def _pow_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    a, b = inputs
    with np.errstate(all="ignore"):
        db = dy * np.where(a > 0, np.log(np.where(a > 0, a, 1)) * y, 0)
        if np.issubdtype(np.result_type(b), np.integer):
            return reduced(dy * b * a ** (b - 1.0), np.shape(a)), None
        return reduced(dy * b * a ** (b - 1), np.shape(a)), reduced(db, np.shape(b))


def _tied(a: Any, b: Any, wins: Any) -> Any:
    """JAX's share of the cotangent of max or min: half for each where they tie."""
    return np.where(a == b, 0.5, np.where(wins, 1.0, 0.0))


@lru_cache(maxsize=512)
def _positions(shape: tuple[int, ...], indices: bytes, like: tuple[Any, ...], how: Any) -> Any:
    """Which entry of a flattened array each entry of a gather is; negative where it is none."""
    dimension_numbers, slice_sizes, mode = how
    flat = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    return np.asarray(
        jax.lax.gather(
            flat, np.frombuffer(indices, like[0]).reshape(like[1]), dimension_numbers, slice_sizes,
            mode=mode, fill_value=-1,
        )
    )  # fmt: skip


def gathered(params: Params, x: Any, indices: Any) -> Any:
    """The place in the flat x of each entry that a gather takes; -1 outside."""
    how = params["dimension_numbers"], params["slice_sizes"], params["mode"]
    like = np.asarray(indices).dtype, np.shape(indices)
    return _positions(np.shape(x), np.asarray(indices).tobytes(), like, how)


def _gather(params: Params, x: Any, indices: Any) -> Any:
    at = gathered(params, x, indices)
    if (at >= 0).all():
        return np.ravel(x)[at]
    fill = np.nan if params["fill_value"] is None else params["fill_value"]
    return np.where(at >= 0, np.ravel(x)[at], fill)


def _gather_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    x, indices = inputs
    at = gathered(params, x, indices)
    dx = np.zeros(np.size(x))
    np.add.at(dx, at[at >= 0], np.asarray(dy)[at >= 0])
    return dx.reshape(np.shape(x)), None


def _moving_slice(params: Params, x: Any, starts: Sequence[Any]) -> tuple[slice, ...]:
    """Where a slice with computed starts lies; moved inwards where it would reach outside."""
    sizes = params["slice_sizes"]
    inside = (
        min(max(int(start), 0), n - size)
        for start, n, size in zip(starts, np.shape(x), sizes, strict=True)
    )
    return tuple(slice(start, start + size) for start, size in zip(inside, sizes, strict=True))


def _dynamic_slice_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    x, *starts = inputs
    dx = np.zeros(np.shape(x))
    dx[_moving_slice(params, x, starts)] = dy
    return dx, *(None for _ in starts)


def _padded(params: Params, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Any, Any]:
    """The shape after padding, and the places of the entries that stay, before and after."""
    before, after, whole = [], [], []
    for n, (low, high, between) in zip(shape, params["padding_config"], strict=True):
        length = low + high + n + max(n - 1, 0) * between
        places = low + np.arange(n) * (between + 1)
        stay = (places >= 0) & (places < length)
        before.append(np.flatnonzero(stay))
        after.append(places[stay])
        whole.append(length)
    return tuple(whole), np.ix_(*before), np.ix_(*after)


def _pad(params: Params, x: Any, fill: Any) -> Any:
    shape, before, after = _padded(params, np.shape(x))
    y = np.full(shape, fill, np.asarray(x).dtype)
    y[after] = np.asarray(x)[before]
    return y


def _pad_reverse(params: Params, inputs: Any, y: Any, dy: Any) -> Any:
    _, before, after = _padded(params, np.shape(inputs[0]))
    dx = np.zeros(np.shape(inputs[0]))
    dx[before] = np.asarray(dy)[after]
    return dx, np.sum(dy) - np.sum(dx)


PRIMITIVES: dict[str, Primitive] = {
    **{name: _unary(f) for name, f in UNARY.items()},
    "integer_pow": Primitive(_power, _integer_power_reverse),
    "pow": Primitive(lambda params, a, b: a**b, _pow_reverse),
    "add": _binary(lambda a, b: a + b, lambda a, b, dy: dy, lambda a, b, dy: dy),
    "add_any": _binary(lambda a, b: a + b, lambda a, b, dy: dy, lambda a, b, dy: dy),
    "sub": _binary(lambda a, b: a - b, lambda a, b, dy: dy, lambda a, b, dy: -dy),
    "mul": _binary(lambda a, b: a * b, lambda a, b, dy: dy * b, lambda a, b, dy: dy * a),
    "div": _binary(lambda a, b: a / b, lambda a, b, dy: dy / b, lambda a, b, dy: -dy * a / b**2),
    "max": _binary(
        np.maximum,
        lambda a, b, dy: dy * _tied(a, b, a > b),
        lambda a, b, dy: dy * _tied(a, b, b > a),
    ),
    "min": _binary(
        np.minimum,
        lambda a, b, dy: dy * _tied(a, b, a < b),
        lambda a, b, dy: dy * _tied(a, b, b < a),
    ),
    "neg": _linear(lambda params, x: -x, lambda params, shape, dy: -dy),
    "copy": _linear(lambda params, x: x, lambda params, shape, dy: dy),
    "copy_p": _linear(lambda params, x: x, lambda params, shape, dy: dy),
    "convert_element_type": Primitive(
        _cast,
        lambda params, inputs, y, dy: (
            dy if np.issubdtype(np.result_type(inputs[0]), np.floating) else None,
        ),
    ),
    "reduce_sum": _linear(lambda params, x: np.sum(x, axis=tuple(params["axes"])), _spread),
    "reduce_max": _extremum(np.max),
    "reduce_min": _extremum(np.min),
    "broadcast_in_dim": _linear(broadcast_in_dim, _broadcast_transpose),
    "reshape": _linear(
        lambda params, x: np.reshape(x, params["new_sizes"]),
        lambda params, shape, dy: np.reshape(dy, shape),
    ),
    "squeeze": _linear(
        lambda params, x: np.squeeze(x, axis=tuple(params["dimensions"])),
        lambda params, shape, dy: np.reshape(dy, shape),
    ),
    "expand_dims": _linear(
        lambda params, x: np.expand_dims(x, axis=tuple(params["dimensions"])),
        lambda params, shape, dy: np.reshape(dy, shape),
    ),
    "transpose": _linear(
        lambda params, x: np.transpose(x, params["permutation"]),
        lambda params, shape, dy: np.transpose(dy, np.argsort(params["permutation"])),
    ),
    "rev": _linear(
        lambda params, x: np.flip(x, params["dimensions"]),
        lambda params, shape, dy: np.flip(dy, params["dimensions"]),
    ),
    "cumsum": _linear(_cumsum, _cumsum_transpose),
    "slice": _linear(lambda params, x: x[_slices(params)], _slice_transpose),
    "concatenate": Primitive(
        lambda params, *xs: np.concatenate(xs, axis=params["dimension"]), _concatenate_reverse
    ),
    "dot_general": Primitive(_dot, _dot_reverse),
    "gather": Primitive(_gather, _gather_reverse),
    "dynamic_slice": Primitive(
        lambda params, x, *starts: x[_moving_slice(params, x, starts)], _dynamic_slice_reverse
    ),
    "stack": Primitive(
        lambda params, *xs: np.stack(xs, axis=params["axis"]),
        lambda params, inputs, y, dy: list(np.moveaxis(dy, params["axis"], 0)),
    ),
    "pad": Primitive(_pad, _pad_reverse),
    "conv_general_dilated": Primitive(convolution, convolution_reverse),
    "select_n": Primitive(
        lambda params, which, *cases: np.choose(np.asarray(which, int), cases), _select_reverse
    ),
    "stop_gradient": _flat(lambda x: x),
    "sign": _flat(np.sign),
    "floor": _flat(np.floor),
    "ceil": _flat(np.ceil),
    "round": _flat(np.round),
    "is_finite": _flat(np.isfinite),
    "not": _flat(np.logical_not),
    "eq": _flat(np.equal),
    "ne": _flat(np.not_equal),
    "lt": _flat(np.less),
    "le": _flat(np.less_equal),
    "gt": _flat(np.greater),
    "ge": _flat(np.greater_equal),
    "iota": Primitive(
        lambda params: np.broadcast_to(
            np.arange(params["shape"][params["dimension"]], dtype=params["dtype"]).reshape(
                [-1 if i == params["dimension"] else 1 for i in range(len(params["shape"]))]
            ),
            params["shape"],
        ),
        lambda params, inputs, y, dy: (),
    ),
    # What a loop does to its arrays, once it is unrolled.
    "loop_row": Primitive(lambda params, xs: xs[params["row"]], _loop_row_reverse),
    "loop_stack": Primitive(
        lambda params, *rows: np.stack(rows), lambda params, inputs, y, dy: list(dy)
    ),
}
"""The primitives that losses are mostly made of."""
