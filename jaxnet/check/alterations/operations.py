"""Wrong reverse rules of single operations."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from jaxnet.check.alterations.alteration import (
    Made,
    input_of,
    lost,
    lost_path,
    output_of,
    row_means,
    said_operation,
    times,
    without,
)
from jaxnet.check.alterations.convolutions import of_convolution
from jaxnet.check.alterations.matrix_products import of_matrix_product
from jaxnet.check.primitives import gathered, reduced
from jaxnet.check.replay import Operation, Replay, Rule, is_float, right_rule


def of_operation(op: Operation, replay: Replay) -> Iterator[Made]:
    """The alterations of one operation."""
    name = op.name
    if name in ("mul", "div", "pow"):
        yield from _of_product(op, replay)
    elif name in ("add", "add_any", "sub", "max", "min", "concatenate", "stack", "loop_stack"):
        yield from _of_paths(op, replay)
        if name in ("max", "min"):
            yield from _of_larger(op, replay)
        elif name == "add":
            yield from _of_sum(op, replay)
    elif name == "dot_general":
        yield from _of_paths(op, replay)
        yield from of_matrix_product(op, replay)
    elif name == "select_n":
        yield from _of_choice(op, replay)
    elif name in ("reduce_sum", "reduce_max", "reduce_min"):
        yield from _of_reduction(op, replay)
    elif name == "broadcast_in_dim":
        yield from _of_broadcast(op, replay)
    elif name == "gather":
        yield from _of_gather(op, replay)
    elif name in ("transpose", "reshape"):
        yield from _of_layout(op, replay)
    elif name == "stop_gradient":
        needs = "no gradient there: the loss holds it constant"
        yield Made("wrong_loss", _passing, "passes through stop_gradient", needs, 3)
    elif name == "conv_general_dilated":
        yield from _of_paths(op, replay)
        yield from of_convolution(op, replay)
    elif name == "cumsum":
        does = "sums from the front, as in the forward pass"
        yield Made("wrong_derivative", _summed_forward, does, "the sum from the other end", 3)
    yield lost_path(lost, f"the path through {said_operation(op)}", "its contribution too", 2)
    yield from _of_ends(op, replay)


LOOPED = ("dot_general", "conv_general_dilated", "gather", "reduce_sum", "broadcast_in_dim")
"""Operations that people write as loops over positions."""


def _of_ends(op: Operation, replay: Replay) -> Iterator[Made]:
    """Positions along an axis that are forgotten: the first or last one, or all but that one."""
    shape = np.shape(output_of(op, replay))
    with_bias = op.name == "add" and len({np.shape(x) for x in replay.inputs_of(op)}) > 1
    if len(shape) < 2 or not (op.name in LOOPED or with_bias):
        return
    for axis, which in product(range(len(shape)), (0, -1)):
        if shape[axis] < 2:
            continue

        def rest(
            op: Operation, replay: Replay, dy: Any, axis: int = axis, which: int = which
        ) -> Any:
            kept = np.array(dy, float)
            kept[(slice(None),) * axis + (which,)] = 0
            return right_rule(op, replay, kept)

        def one(
            op: Operation, replay: Replay, dy: Any, axis: int = axis, which: int = which
        ) -> Any:
            kept = np.zeros(np.shape(dy))
            place = (slice(None),) * axis + (which,)
            kept[place] = dy[place]
            return right_rule(op, replay, kept)

        end = "first" if which == 0 else "last"
        of = f"of the {shape[axis]} positions along axis {axis} of {said_operation(op)}"
        yield Made("dropped_path", rest, f"leaves out the {end} {of}", "all of them", 6.6)
        if shape[axis] > 2:
            yield Made("dropped_path", one, f"takes the {end} {of} only", "all of them", 6.6)


def _summed_forward(op: Operation, replay: Replay, dy: Any) -> Any:
    flipped = right_rule(op, replay, np.flip(dy, op.params["axis"]))[0]
    return (np.flip(flipped, op.params["axis"]),)


def _passing(op: Operation, replay: Replay, dy: Any) -> Any:
    return (dy,)


def _of_paths(op: Operation, replay: Replay) -> Iterator[Made]:
    for i, number in enumerate(op.inputs):
        if not is_float(replay.values[number]):
            continue
        said = f"the path through {_ordinal(i)} operand of {said_operation(op)}"
        yield lost_path(without(i), said, "its contribution too", 2)


def _of_larger(op: Operation, replay: Replay) -> Iterator[Made]:
    """max(a, b) or min(a, b): which of the two is chosen."""

    def both(op: Operation, replay: Replay, dy: Any) -> Any:
        return [_summed_to(dy, replay.values[i]) for i in op.inputs]

    def turned(op: Operation, replay: Replay, dy: Any) -> Any:
        a, b = right_rule(op, replay, dy)
        a, b = (np.broadcast_to(x, np.shape(dy)) for x in (a, b))
        return [_summed_to(x, replay.values[i]) for x, i in zip((b, a), op.inputs, strict=True)]

    needs = "the derivative of the one that was chosen"
    yield Made("dropped_derivative", both, f"passes through {said_operation(op)} to both", needs, 3)
    yield Made("wrong_derivative", turned, f"chooses the other of {said_operation(op)}", needs, 3)


def _of_sum(op: Operation, replay: Replay) -> Iterator[Made]:
    """A sum such as x w + b: its incoming gradient transposed, for both operands."""
    shape = np.shape(output_of(op, replay))
    if len(shape) == 2 and shape[0] == shape[1]:

        def turned(op: Operation, replay: Replay, dy: Any) -> Any:
            return right_rule(op, replay, dy.T)

        does = "passes on the transpose of the incoming gradient"
        yield Made("transpose", turned, does, "the incoming gradient as it is", 4)


def _summed_to(ct: Any, like: Any) -> Any:
    return reduced(ct, np.shape(like))


def _ordinal(i: int) -> str:
    return "the first" if i == 0 else "the second" if i == 1 else f"number {i + 1}"


def _constant(replay: Replay, number: int) -> float | None:
    """The one number that a value is, at every point, if it is one."""
    value = np.asarray(replay.values[number])
    same = value.size > 0 and number not in replay.moving and np.ptp(value) == 0
    return float(value.flat[0]) if same else None


def _of_product(op: Operation, replay: Replay) -> Iterator[Made]:
    a, b = op.inputs
    yield from _of_paths(op, replay)
    for i in (0, 1):
        if not is_float(replay.values[op.inputs[i]]):
            continue

        def unscaled(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
            cts = list(right_rule(op, replay, dy))
            sign = -1.0 if op.name == "div" and i == 1 else 1.0
            cts[i] = _summed_to(sign * dy, replay.values[op.inputs[i]])
            return cts

        does = f"does not multiply by the other factor of {said_operation(op)}"
        due = {"div": ("1 / b", "-a / b^2"), "pow": ("b a^(b - 1)", "a^b log(a)")}
        needs = f"the factor {due[op.name][i]}" if op.name in due else "the other factor"
        if op.name in due:
            does = f"passes through {said_operation(op)} as if its derivative were 1"
        number = _constant(replay, op.inputs[1 - i])
        if number is not None and (op.name == "mul" or (op.name == "div" and i == 0)):
            by, over = ("multiply", "") if op.name == "mul" else ("divide", "1/")
            does, needs = f"does not {by} by {number:.6g}", f"the factor {over}{number:.6g}"
        yield Made("dropped_derivative", unscaled, does, needs, 4)
        if op.name == "mul" and np.shape(replay.values[a]) == np.shape(replay.values[b]):

            def itself(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
                cts = list(right_rule(op, replay, dy))
                cts[i] = dy * replay.values[op.inputs[i]]
                return cts

            yield Made(
                "wrong_point",
                itself,
                "multiplies by the factor itself, not by the other one",
                "the other factor",
                5,
            )
    if op.name == "mul" and np.ndim(output_of(op, replay)):
        for i in (0, 1):
            if is_float(replay.values[op.inputs[i]]):
                does = "multiplies the sum of the errors by the mean of the other factor"
                needs = "the sum of their products, row by row"
                yield Made("premature_average", _with_mean_factor(i), does, needs, 5)
    if op.name == "pow" and is_float(replay.values[b]):
        yield from _of_exponent()
    if op.name == "div":

        def undivided(op: Operation, replay: Replay, dy: Any) -> Any:
            below = replay.values[op.inputs[1]]
            return [None if ct is None else ct * below for ct in right_rule(op, replay, dy)]

        does = "does not divide by the denominator"
        yield Made("dropped_derivative", undivided, does, "the factor one over the denominator", 4)
        for power, said in ((1, "-a/b"), (3, "-a/b^3"), (0, "-a")):

            def other(op: Operation, replay: Replay, dy: Any, power: int = power) -> Any:
                cts = list(right_rule(op, replay, dy))
                x, y = (replay.values[n] for n in op.inputs)
                cts[1] = _summed_to(-dy * x / y**power, y)
                return cts

            if is_float(replay.values[b]):
                yield Made(
                    "wrong_derivative",
                    other,
                    f"takes {said} for d(a/b)/db",
                    "-a / b^2",
                    5,
                )


def _with_mean_factor(i: int) -> Rule:
    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        other = np.broadcast_to(replay.values[op.inputs[1 - i]], np.shape(dy))
        cts[i] = reduced(dy * row_means(other), np.shape(replay.values[op.inputs[i]]))
        return cts

    return rule


def _of_exponent() -> Iterator[Made]:
    """Of y = a^b the derivative by b, y log(a)."""

    def with_slope(slope: Callable[[Any, Any, Any], Any]) -> Rule:
        def rule(op: Operation, replay: Replay, dy: Any) -> Any:
            cts = list(right_rule(op, replay, dy))
            (a, b), y = replay.inputs_of(op), output_of(op, replay)
            cts[1] = reduced(dy * np.where(a > 0, slope(a, b, y), 0), np.shape(b))
            return cts

        return rule

    needs = "a^b log(a)"
    without_log = with_slope(lambda a, b, y: y)
    yield Made(
        "dropped_derivative", without_log, "takes a^b for d(a^b)/db, without log(a),", needs, 3
    )
    of_base = with_slope(lambda a, b, y: b * a ** (b - 1.0))
    yield Made("wrong_derivative", of_base, "takes b a^(b - 1) for d(a^b)/db", needs, 3)
    of_log = with_slope(lambda a, b, y: np.log(a))
    yield Made("wrong_derivative", of_log, "takes log(a) for d(a^b)/db", needs, 4)


def _of_choice(op: Operation, replay: Replay) -> Iterator[Made]:
    """A mask that is left out, or turned round, or another one."""
    cases = [i for i in range(1, len(op.inputs)) if is_float(replay.values[op.inputs[i]])]
    for i in cases:
        said = f"the path through {_ordinal(i - 1)} case of the choice"
        yield lost_path(without(i), said, "it where that case was chosen", 3)

    def unmasked(op: Operation, replay: Replay, dy: Any) -> Any:
        return [dy if i in cases else None for i in range(len(op.inputs))]

    yield Made(
        "dropped_derivative",
        unmasked,
        "passes through the choice as if there were no mask",
        "the mask",
        2,
    )

    def turned(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        if len(cts) == 3:
            rest = [dy - ct if ct is not None else None for ct in cts]
            cts = [None, rest[1] if 1 in cases else None, rest[2] if 2 in cases else None]
        return cts

    yield Made(
        "wrong_derivative", turned, "has the mask the other way round", "1 where it is true", 4
    )


def _of_reduction(op: Operation, replay: Replay) -> Iterator[Made]:
    said = said_operation(op)
    shape = np.shape(input_of(op, replay))
    n = int(np.prod([shape[i] for i in op.params["axes"]]))
    if op.name == "reduce_sum" and n > 1:
        yield Made(
            "scale",
            times(1 / n),
            f"divides by the {n} terms of the sum",
            "the sum's derivative, 1 for each term",
            6,
        )
    if op.name in ("reduce_max", "reduce_min"):

        def spread(op: Operation, replay: Replay, dy: Any) -> Any:
            kept = tuple(1 if i in op.params["axes"] else s for i, s in enumerate(shape))
            return (np.broadcast_to(np.reshape(dy, kept), shape) * 1.0,)

        def shared(op: Operation, replay: Replay, dy: Any) -> Any:
            return (spread(op, replay, dy)[0] / n,)

        def at(which: int) -> Rule:
            def rule(op: Operation, replay: Replay, dy: Any) -> Any:
                chosen = np.zeros(shape)
                axes = op.params["axes"]
                chosen[tuple(which if i in axes else slice(None) for i in range(len(shape)))] = 1
                return (spread(op, replay, dy)[0] * chosen,)

            return rule

        needs = "it for the largest entry only"
        for which, name in ((0, "first"), (-1, "last")):
            does = f"gives the gradient of {said} to the {name} entry"
            yield Made("wrong_derivative", at(which), does, needs, 4)
        yield Made(
            "wrong_derivative", spread, f"gives every entry the gradient of {said}", needs, 3
        )
        yield Made("wrong_derivative", shared, f"shares the gradient of {said} among all", needs, 3)


def _of_broadcast(op: Operation, replay: Replay) -> Iterator[Made]:
    x, y = input_of(op, replay), output_of(op, replay)
    copies = np.size(y) // max(1, np.size(x))
    if copies > 1 and np.size(x):
        yield Made(
            "scale",
            times(1 / copies),
            f"takes the mean over the {copies} copies",
            "their sum",
            6,
        )

        def one(which: int) -> Rule:
            def rule(op: Operation, replay: Replay, dy: Any) -> Any:
                shape = np.shape(input_of(op, replay))
                kept = np.zeros(np.shape(dy))
                dims = op.params["broadcast_dimensions"]
                spread = [
                    i
                    for i in range(np.ndim(dy))
                    if i not in dims or (shape[dims.index(i)] == 1 and dy.shape[i] != 1)
                ]
                index = tuple(which if i in spread else slice(None) for i in range(np.ndim(dy)))
                kept[index] = np.asarray(dy)[index]
                return right_rule(op, replay, kept)

            return rule

        for which, said in ((0, "first"), (-1, "last")):
            yield Made(
                "partial_batch", one(which), f"takes the {said} copy only", "the sum over all", 5
            )


def _of_gather(op: Operation, replay: Replay) -> Iterator[Made]:
    """Entries looked up more than once, of which the last overwrites the others."""

    def overwriting(op: Operation, replay: Replay, dy: Any) -> Any:
        table, indices = replay.inputs_of(op)
        at = gathered(op.params, table, indices)
        dx = np.zeros(np.size(table))
        dx[at[at >= 0]] = np.asarray(dy)[at >= 0]
        return dx.reshape(np.shape(table)), None

    yield Made(
        "dropped_path",
        overwriting,
        "lets repeated indices overwrite each other",
        "the sum over all lookups of an entry",
        1,
    )


def _of_layout(op: Operation, replay: Replay) -> Iterator[Made]:
    x = input_of(op, replay)

    def untouched(op: Operation, replay: Replay, dy: Any) -> Any:
        return (np.reshape(dy, np.shape(x)),)

    def fortran(op: Operation, replay: Replay, dy: Any) -> Any:
        return (np.reshape(dy, np.shape(x), order="F"),)

    if op.name == "transpose":
        yield Made("transpose", untouched, "does not transpose back", "the inverse transpose", 3)
    elif np.ndim(x) > 1 or np.ndim(output_of(op, replay)) > 1:
        yield Made(
            "transpose",
            fortran,
            "reshapes in the wrong order",
            "the order of the forward pass",
            4,
        )
