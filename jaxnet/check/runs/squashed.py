"""A softmax or a sigmoid where none belongs: before a loss that has its own, or over the rows."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxnet.check.replay import Operation
from jaxnet.check.report import Finding
from jaxnet.check.runs.lab import Lab
from jaxnet.check.runs.look import INPUTS, PARAMS, Look

KEEPS = {
    *("sub", "add", "max", "neg", "abs", "stop_gradient", "reduce_max", "broadcast_in_dim"),
    *("reshape", "squeeze", "convert_element_type", "select_n", "transpose", "expand_dims"),
    *("slice", "copy", "concatenate", "is_finite"),
}
"""What stands between predictions and the exponential of a loss that takes logits."""


class Squash(NamedTuple):
    """A softmax, a sigmoid or a softplus.

    takes is the value that goes into its exponential; gives is the value of its probabilities, None
    for their logarithms. axes are those that a softmax sums over.
    """

    kind: str
    takes: int
    gives: int | None
    axes: tuple[int, ...]
    where: str | None


def squashed_twice(lab: Lab) -> Finding | None:
    """Probabilities given to a loss that takes logits."""
    seen = lab.here
    if seen is None:
        return None
    found = squashes(seen)
    for first in found:
        if first.gives is None:
            continue
        after = _carried(seen, first.gives)
        second = next((s for s in found if s.takes in after), None)
        if second is None:
            continue
        known = second.kind.replace("softplus", "sigmoid")
        return Finding(
            "label_mismatch", (),
            f"The predictions are squashed twice: a {first.kind} gives probabilities, and the loss "
            f"applies its own {known} to them as if they were logits. Probabilities between 0 "
            "and 1 cannot become certain that way, and the gradient shrinks.",
            f"Give the loss the logits: leave out the {first.kind}, or take the logarithm of its "
            "probabilities as the loss.",
            {"loss": lab.start[0]}, first.where or second.where,
        )  # fmt: skip
    return None


def wrong_axis(lab: Lab) -> Finding | None:
    """A softmax over the rows of the batch at the output."""
    seen = lab.here
    if seen is None or len(seen.rows) < 2:
        return None
    for squash in squashes(seen):
        shape = np.shape(seen.replay.values[squash.takes])
        over_rows = squash.axes == (0,) and len(shape) == 2 and shape[0] == len(seen.rows)
        if not over_rows or shape[1] in (1, shape[0]) or _multiplied_later(seen, squash.takes):
            continue
        return Finding(
            "label_mismatch", (),
            f"The softmax is taken over axis 0, the {lab.rows} rows, instead of over the "
            f"{shape[1]} outputs of a row: the probabilities of a class add up to 1 over the "
            "examples, which compete with each other.",
            "Take it over the classes: softmax(z, axis=-1).",
            {"axis": 0.0, "outputs": float(shape[1])}, squash.where,
        )  # fmt: skip
    return None


def squashes(seen: Look) -> list[Squash]:
    """All of them that depend on parameters and inputs, and not on targets."""
    users: dict[int, list[Operation]] = {}
    for op in seen.replay.operations:
        for i in op.inputs:
            users.setdefault(i, []).append(op)
    found: list[Squash] = []
    for op in seen.replay.operations:
        if seen.depends[op.outputs[0]] == PARAMS | INPUTS:
            found += _squashes_by(op, users)
    return found


def _squashes_by(op: Operation, users: dict[int, list[Operation]]) -> Iterator[Squash]:
    """What an exponential is part of, or a sigmoid."""
    where = op.frames[0] if op.frames else None
    if op.name == "logistic":
        yield Squash("sigmoid", op.inputs[0], op.outputs[0], (), where)
    if op.name != "exp":
        return
    for user in users.get(op.outputs[0], ()):
        if user.name == "log1p":
            yield Squash("softplus", op.inputs[0], None, (), where)
        if user.name == "reduce_sum":
            softmax = _softmax(op, user, users)
            if softmax is not None:
                yield softmax


def _softmax(op: Operation, user: Operation, users: dict[int, list[Operation]]) -> Squash | None:
    """The softmax of an exponential and its sum, if they are divided or a logarithm follows."""
    e, sums = op.outputs[0], _in_other_shapes(user.outputs[0], users)
    gives = next(
        (
            by.outputs[0]
            for by in users[e]
            if by.name == "div" and by.inputs[0] == e and by.inputs[1] in sums
        ),
        None,
    )
    if gives is None and not any(by.name == "log" for i in sums for by in users.get(i, ())):
        return None
    where = op.frames[0] if op.frames else None
    return Squash("softmax", op.inputs[0], gives, tuple(user.params["axes"]), where)


def _in_other_shapes(value: int, users: dict[int, list[Operation]]) -> set[int]:
    """A value, and the same reshaped or broadcast."""
    same = [value]
    for i in same:
        same += [
            by.outputs[0]
            for by in users.get(i, ())
            if by.name in ("broadcast_in_dim", "reshape") and by.outputs[0] not in same
        ]
    return set(same)


def _carried(seen: Look, value: int) -> set[int]:
    """What is made of a value by shifts, reductions to a maximum and changes of shape alone."""
    carried = {value}
    for op in seen.replay.operations:
        if op.name not in KEEPS or not carried & set(op.inputs):
            continue
        others = (i for i in op.inputs if i not in carried)
        if not any(seen.depends[i] & PARAMS for i in others):
            carried |= set(op.outputs)
    return carried


def _multiplied_later(seen: Look, value: int) -> bool:
    """Whether the value goes on into a matrix product, as attention does."""
    after = {value}
    for op in seen.replay.operations:
        if after & set(op.inputs):
            if op.name in ("dot_general", "conv_general_dilated"):
                return True
            after |= set(op.outputs)
    return False
