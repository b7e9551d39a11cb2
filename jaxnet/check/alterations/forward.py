"""Mistakes in the forward pass that a gradient rests on: the right gradient of another loss.

A person who forgets a temperature, a mask or a bias when they compute what their gradient needs
differentiates another function, and rightly. Here an operation of the forward pass gives another
value, all that follow are computed anew, and the backward pass keeps its rules.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.alterations.alteration import said_operation
from jaxnet.check.alterations.places import Places, runs
from jaxnet.check.primitives import reduced
from jaxnet.check.replay import Operation, Replay, backward, gradient, rerun

MOST = 600
"""Other forward passes that are tried."""


class LeftOut(NamedTuple):
    """An operation that is left out: its operand i stands for it, as a sign or an inverse of it."""

    i: int
    sign: float = 1.0
    inverse: bool = False

    def value(self, inputs: Sequence[Any], like: Any) -> Any:
        """What stands for the output, in its shape and type."""
        x = self.sign * np.asarray(inputs[self.i], float)
        x = 1 / x if self.inverse else x
        if x.size not in (1, like.size):
            raise ValueError(f"operand of shape {x.shape} for {like.shape}")
        return np.asarray(np.broadcast_to(x, like.shape) if x.size == 1 else x.reshape(like.shape))

    def rule(self, op: Operation, replay: Replay, dy: Any) -> Any:
        """The cotangents of the inputs."""
        x = np.asarray(replay.values[op.inputs[self.i]])
        slope = -1 / x**2 if self.inverse else self.sign
        cts: list[Any] = [None] * len(op.inputs)
        ct = np.asarray(dy) * slope
        cts[self.i] = reduced(ct, x.shape) if x.size == 1 else ct.reshape(x.shape)
        return cts


@dataclass(frozen=True)
class OtherForward:
    """A loss that lacks operations, by their numbers.

    Without an operation on the parameters the gradient is taken at the wrong point; without one on
    the data alone, it is that of another loss.
    """

    code: str
    where: str
    does: str
    left_out: Mapping[int, LeftOut]


def other_forwards(replay: Replay) -> Iterator[OtherForward]:
    """Losses that lack one operation, in all runs of its place in the source."""
    places = Places(replay)
    found = (
        OtherForward(
            "wrong_point" if ops[0].outputs[0] in replay.moving else "wrong_loss",
            places.of(ops),
            f"leaves {said} out",
            {op.index: left_out for op in ops},
        )
        for ops in reversed(list(runs(replay.operations)))
        for said, left_out in _left_out(ops[0], replay)
    )
    return islice(found, MOST)


def _left_out(op: Operation, replay: Replay) -> Iterator[tuple[str, LeftOut]]:
    """The ways to leave an operation out."""
    said = said_operation(op)
    if not np.issubdtype(np.asarray(replay.values[op.outputs[0]]).dtype, np.floating):
        return
    if op.name in ("add", "mul", "max", "min", "pow"):
        yield from ((said, LeftOut(i)) for i in (0, 1))
    elif op.name == "sub":
        yield from ((said, LeftOut(0)), (said, LeftOut(1, sign=-1.0)))
    elif op.name == "div":
        yield from ((said, LeftOut(0)), (said, LeftOut(1, inverse=True)))
    elif op.name == "select_n":
        yield from (("the choice", LeftOut(i)) for i in range(1, len(op.inputs)))
    elif op.name == "dot_general":
        yield from ((said, LeftOut(i)) for i in (0, 1))
    elif len(op.inputs) == 1 and op.name not in SAME:
        yield said, LeftOut(0)


SAME = ("neg", "stop_gradient", "transpose", "reshape", "squeeze", "copy", "convert_element_type")


def gradient_of(replay: Replay, other: OtherForward) -> list[np.ndarray]:
    """The right gradient of the other loss.

    Raises:
        ValueError: What stands for an operation does not fit its shape.
    """
    new = rerun(replay, {}, instead={n: out.value for n, out in other.left_out.items()})
    values = [new.get(i, x) for i, x in enumerate(replay.values)]
    altered = Replay(replay.operations, values, replay.parameters, replay.carried, replay.result)
    rules = {n: out.rule for n, out in other.left_out.items()}
    return gradient(altered, backward(altered, rules).values)
