"""Wrong reverse rules of convolutions."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxnet.check.alterations.alteration import Made
from jaxnet.check.convolution import input_cotangent, kernel_cotangent
from jaxnet.check.replay import Operation, Replay, Rule, right_rule

KERNEL, INPUT = "the sum over windows of input times error", "the error spread by the kernel"


def of_convolution(op: Operation, replay: Replay) -> Iterator[Made]:
    """Mistakes in dw and in dx."""
    spec = op.params["dimension_numbers"].rhs_spec
    spatial = tuple(spec[2:])
    w = replay.values[op.inputs[1]]
    strides = op.params["window_strides"]
    turned = f"turns the kernel round in the gradient of {'{}'}"

    def flipped(a: Any) -> Any:
        return np.flip(a, spatial)

    yield _of_kernel(turned.format("the kernel"), lambda op, x, w, dy: flipped(_dw(op, x, w, dy)))
    yield _of_input(turned.format("the input"), lambda op, x, w, dy: _dx(op, x, flipped(w), dy))
    does = "lets windows that overlap overwrite each other in the gradient of the input"
    yield Made("dropped_path", _with(0, _overwritten), does, "the sum over all windows", 2)
    if set(strides) != {1}:
        does = "takes the windows side by side, without the stride,"
        one = (1,) * len(strides)
        yield _of_kernel(
            does, lambda op, x, w, dy: kernel_cotangent(op.params, x, w, dy, strides=one)
        )
    for shift in (1, -1):
        yield _of_kernel(
            "takes windows that are off by one",
            lambda op, x, w, dy, shift=shift: kernel_cotangent(op.params, x, w, dy, shift=shift),
        )
    if len(spatial) > 1 and len({np.shape(w)[i] for i in spatial}) == 1:
        a, b = spatial[:2]
        does = "exchanges the kernel's axes in the gradient of "
        yield _of_kernel(
            f"{does}the kernel", lambda op, x, w, dy: np.swapaxes(_dw(op, x, w, dy), a, b)
        )
        yield _of_input(
            f"{does}the input", lambda op, x, w, dy: _dx(op, x, np.swapaxes(w, a, b), dy)
        )
    if np.shape(w)[spec[0]] == np.shape(w)[spec[1]]:
        does = "exchanges the channels that go in and come out in the gradient of "
        yield _of_kernel(
            f"{does}the kernel",
            lambda op, x, w, dy: np.swapaxes(_dw(op, x, w, dy), spec[0], spec[1]),
        )
        yield _of_input(
            f"{does}the input",
            lambda op, x, w, dy: _dx(op, x, np.swapaxes(w, spec[0], spec[1]), dy),
        )


def _dw(op: Operation, x: Any, w: Any, dy: Any) -> Any:
    return kernel_cotangent(op.params, x, w, dy)


def _dx(op: Operation, x: Any, w: Any, dy: Any) -> Any:
    return input_cotangent(op.params, x, w, dy)


def _overwritten(op: Operation, x: Any, w: Any, dy: Any) -> Any:
    return input_cotangent(op.params, x, w, dy, overwrite=True)


Wrong = Callable[..., Any]


def _of_kernel(does: str, wrong: Wrong) -> Made:
    return Made("wrong_derivative", _with(1, wrong), does, KERNEL, 3)


def _of_input(does: str, wrong: Wrong) -> Made:
    return Made("wrong_derivative", _with(0, wrong), does, INPUT, 3)


def _with(i: int, wrong: Wrong) -> Rule:
    """The rule with another cotangent for input i."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        cts[i] = wrong(op, *replay.inputs_of(op), dy)
        return cts

    return rule
