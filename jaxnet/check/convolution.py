"""Convolutions in NumPy: the value and the reverse rule of JAX's `conv_general_dilated`.

In the plain case, of one dimension, batch n, channels c, filters o and kernel positions k,

    y[n, o, i] = sum_{c, k} x[n, c, s i + d k] w[o, c, k]

with stride s and dilation d, on an x that was padded and dilated before. So for each position k the
windows x[:, :, s i + d k] take part in a matrix product, and in reverse

    dw[o, c, k]         = sum_{n, i} dy[n, o, i] x[n, c, s i + d k]
    dx[n, c, s i + d k] += sum_o dy[n, o, i] w[o, c, k].

Groups g of features, or of the batch, are convolved each by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Layout(NamedTuple):
    """Arrays with their axes in order: x (g, n, c, ...), w (g, o, c, ...), y (g, n, o, ...)."""

    x: np.ndarray
    w: np.ndarray
    spatial: tuple[int, ...]


def convolution(params: Mapping[str, Any], x: Any, w: Any) -> Any:
    """The value of `conv_general_dilated`."""
    xs, ws, spatial = _laid_out(params, x, w)
    y = 0.0
    for k, window in windows(params, ws.shape[3:], spatial):
        y = y + _at(ws, k)[:, None] @ _flat(xs[window])
    return _output_back(params, np.reshape(y, (*xs.shape[:2], ws.shape[1], *spatial)))


def convolution_reverse(params: Mapping[str, Any], inputs: Sequence[Any], y: Any, dy: Any) -> Any:
    """The cotangents of input and kernel."""
    x, w = inputs
    return (
        input_cotangent(params, x, w, dy),
        kernel_cotangent(params, x, w, dy),
    )


def input_cotangent(
    params: Mapping[str, Any], x: Any, w: Any, dy: Any, overwrite: bool = False
) -> Any:
    """The cotangent dx; each window may overwrite what the ones before it gave."""
    xs, ws, spatial = _laid_out(params, x, w)
    dys = _flat(_output_in(params, dy))
    dx = np.zeros(xs.shape, np.result_type(xs, dys))
    for k, window in windows(params, ws.shape[3:], spatial):
        part = np.swapaxes(_at(ws, k), 1, 2)[:, None] @ dys
        before = 0.0 if overwrite else dx[window]
        dx[window] = before + part.reshape(dx[window].shape)
    return _input_back(params, dx, np.shape(x))


def kernel_cotangent(
    params: Mapping[str, Any],
    x: Any,
    w: Any,
    dy: Any,
    strides: Sequence[int] | None = None,
    shift: int = 0,
) -> Any:
    """The cotangent dw; with other strides, or from windows that are shifted, if asked for."""
    xs, ws, spatial = _laid_out(params, x, w)
    dys = _flat(_output_in(params, dy))
    dw = np.zeros(ws.shape, np.result_type(xs, dys))
    if shift:
        xs = np.roll(xs, shift, axis=tuple(range(3, xs.ndim)))
    for k, window in windows(params, ws.shape[3:], spatial, strides):
        _at(dw, k)[...] = np.sum(dys @ np.swapaxes(_flat(xs[window]), 2, 3), axis=1)
    merged = dw.reshape(-1, *dw.shape[2:])
    return np.transpose(merged, np.argsort(params["dimension_numbers"].rhs_spec))


def windows(
    params: Mapping[str, Any],
    kernel: Sequence[int],
    spatial: Sequence[int],
    strides: Sequence[int] | None = None,
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each position of the kernel, with the part of x that meets it."""
    strides = strides or params["window_strides"]
    for k in np.ndindex(*kernel):
        starts = [i * d for i, d in zip(k, params["rhs_dilation"], strict=True)]
        parts = (
            slice(a, a + s * (n - 1) + 1, s)
            for a, s, n in zip(starts, strides, spatial, strict=True)
        )
        yield k, (slice(None), slice(None), slice(None), *parts)


def _at(w: np.ndarray, k: tuple[int, ...]) -> np.ndarray:
    """A kernel (g, o, c, ...) at one of its positions."""
    index: Any = (slice(None), slice(None), slice(None), *k)
    at: np.ndarray = w[index]
    return at


def _flat(x: np.ndarray) -> np.ndarray:
    """(g, n, c, ...) as (g, n, c, positions)."""
    return x.reshape(*x.shape[:3], -1)


def _laid_out(params: Mapping[str, Any], x: Any, w: Any) -> Layout:
    """X padded and dilated and w, both in groups, and the output's spatial shape."""
    numbers = params["dimension_numbers"]
    x = _dilated(np.transpose(x, numbers.lhs_spec), params["lhs_dilation"])
    for axis, (low, high) in enumerate(params["padding"], start=2):
        x = _padded(x, axis, low, high)
    w = np.transpose(w, numbers.rhs_spec)
    spatial = tuple(
        max(0, (size - d * (k - 1) - 1) // s + 1)
        for size, k, s, d in zip(
            x.shape[2:], w.shape[2:], params["window_strides"], params["rhs_dilation"], strict=True
        )
    )
    groups, batches = params["feature_group_count"], params["batch_group_count"]
    x = x.reshape(batches, x.shape[0] // batches, groups, x.shape[1] // groups, *x.shape[2:])
    x = x[:, :, 0] if batches > 1 else np.moveaxis(x[0], 1, 0)
    g = max(groups, batches)
    return Layout(x, w.reshape(g, w.shape[0] // g, *w.shape[1:]), spatial)


def _output_in(params: Mapping[str, Any], dy: Any) -> Any:
    """The output's cotangent as (g, n, o, ...)."""
    dy = np.transpose(dy, params["dimension_numbers"].out_spec)
    g = max(params["feature_group_count"], params["batch_group_count"])
    return np.moveaxis(dy.reshape(dy.shape[0], g, dy.shape[1] // g, *dy.shape[2:]), 1, 0)


def _output_back(params: Mapping[str, Any], y: Any) -> Any:
    y = np.moveaxis(y, 0, 1)
    y = y.reshape(y.shape[0], -1, *y.shape[3:])
    return np.transpose(y, np.argsort(params["dimension_numbers"].out_spec))


def _input_back(params: Mapping[str, Any], dx: Any, shape: Sequence[int]) -> Any:
    """The cotangent of x from that of the padded and dilated x in groups."""
    if params["batch_group_count"] > 1:
        dx = dx.reshape(-1, *dx.shape[2:])
    else:
        dx = np.moveaxis(dx, 0, 1)
        dx = dx.reshape(dx.shape[0], -1, *dx.shape[3:])
    for axis, (low, high) in enumerate(params["padding"], start=2):
        dx = _padded(dx, axis, -low, -high)
    dilation = (slice(None), slice(None), *(slice(None, None, d) for d in params["lhs_dilation"]))
    return np.transpose(dx[dilation], np.argsort(params["dimension_numbers"].lhs_spec)).reshape(
        shape
    )


def _dilated(x: Any, dilation: Sequence[int]) -> Any:
    """X with zeros between its entries."""
    if set(dilation) == {1}:
        return x
    sizes = ((n - 1) * d + 1 for n, d in zip(x.shape[2:], dilation, strict=True))
    wide = np.zeros((*x.shape[:2], *sizes), x.dtype)
    wide[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = x
    return wide


def _padded(x: Any, axis: int, low: int, high: int) -> Any:
    """X with zeros before and after along an axis; cut where a number is negative."""
    cut = [slice(None)] * x.ndim
    cut[axis] = slice(max(0, -low), x.shape[axis] - max(0, -high))
    widths = [(0, 0)] * x.ndim
    widths[axis] = (max(0, low), max(0, high))
    return np.pad(x[tuple(cut)], widths)
