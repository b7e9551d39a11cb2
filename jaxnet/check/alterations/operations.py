"""Wrong reverse rules of single operations."""

from collections.abc import Iterator
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
from jaxnet.check.primitives import reduced
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
    elif name == "dot_general":
        yield from _of_paths(op, replay)
        yield from _of_matrix_product(op, replay)
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
    elif name in ("loop_row", "slice", "dynamic_slice", "rev", "cumsum"):
        yield lost_path(without(0), f"the path through {said_operation(op)}", "it too", 5)
    yield lost_path(lost, f"the path through {said_operation(op)}", "its contribution too", 2)


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


def _summed_to(ct: Any, like: Any) -> Any:
    return reduced(ct, np.shape(like))


def _ordinal(i: int) -> str:
    return "the first" if i == 0 else "the second" if i == 1 else f"number {i + 1}"


def _of_product(op: Operation, replay: Replay) -> Iterator[Made]:
    a, b = op.inputs
    yield from _of_paths(op, replay)
    for i in (0, 1):
        if not is_float(replay.values[op.inputs[i]]):
            continue

        def unscaled(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
            cts = list(right_rule(op, replay, dy))
            sign = -1.0 if op.name == "div" and i == 1 else 1.0
            cts[i] = _fit(sign * dy, replay.values[op.inputs[i]])
            return cts

        yield Made(
            "dropped_derivative",
            unscaled,
            f"does not multiply by the other factor of {said_operation(op)}",
            f"d{said_operation(op)[4:]} = the other factor",
            4,
        )
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
                cts[1] = _fit(-dy * x / y**power, y)
                return cts

            if is_float(replay.values[b]):
                yield Made(
                    "wrong_derivative",
                    other,
                    f"takes {said} for d(a/b)/db",
                    "-a / b^2",
                    5,
                )


def _fit(ct: Any, like: Any) -> Any:
    return np.broadcast_to(ct, np.shape(like)) if np.shape(ct) != np.shape(like) else ct


def _of_matrix_product(op: Operation, replay: Replay) -> Iterator[Made]:
    """A transpose too few or too many, where the shapes allow it; means multiplied."""
    a, b = (replay.values[i] for i in op.inputs)
    for i, x in enumerate((a, b)):
        if not is_float(x) or np.ndim(x) != 2 or x.shape[0] != x.shape[1]:
            continue

        def transposed(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
            cts = list(right_rule(op, replay, dy))
            inputs = replay.inputs_of(op)
            inputs[i] = inputs[i].T
            cts[1 - i] = right_rule(op, replay, dy, inputs)[1 - i]
            return cts

        if is_float(replay.values[op.inputs[1 - i]]):
            yield Made(
                "transpose",
                transposed,
                "multiplies by the matrix where its transpose belongs, or the other way round",
                "the transpose that the forward pass did not have",
                3,
            )

        def turned(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
            cts = list(right_rule(op, replay, dy))
            cts[i] = cts[i].T
            return cts

        yield Made("transpose", turned, "has this matrix's gradient transposed", "its transpose", 4)

    for i, x in enumerate((a, b)):
        if (
            np.ndim(x) == 2
            and x.shape[0] != x.shape[1]
            and is_float(replay.values[op.inputs[1 - i]])
        ):

            def reshaped(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
                cts = list(right_rule(op, replay, dy))
                inputs = replay.inputs_of(op)
                inputs[i] = inputs[i].reshape(inputs[i].shape[::-1]).T
                cts[1 - i] = right_rule(op, replay, dy, inputs)[1 - i]
                return cts

            does = "reshapes the matrix to the shape of its transpose"
            yield Made("transpose", reshaped, does, "its transpose", 4)
    y = output_of(op, replay)
    for i in range(2):
        if np.shape(replay.values[op.inputs[i]]) == np.shape(y):

            def undone(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
                cts = list(right_rule(op, replay, dy))
                cts[i] = dy
                return cts

            if is_float(replay.values[op.inputs[i]]):
                does = "does not multiply by the matrix of the product"
                yield Made("dropped_derivative", undone, does, "the matrix as a factor", 4)
    if np.ndim(y) >= 2 and y.shape[-1] == y.shape[-2]:
        for i in range(2):

            def error_turned(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
                cts = list(right_rule(op, replay, dy))
                cts[i] = right_rule(op, replay, np.swapaxes(dy, -1, -2))[i]
                return cts

            does = "multiplies by the incoming gradient where its transpose belongs"
            yield Made("transpose", error_turned, does, "its transpose, or none", 4)
    for i in range(2):
        if np.ndim(replay.values[op.inputs[i]]) == 1 and is_float(replay.values[op.inputs[1 - i]]):

            def without_vector(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
                cts = list(right_rule(op, replay, dy))
                inputs = replay.inputs_of(op)
                inputs[i] = np.ones_like(inputs[i])
                cts[1 - i] = right_rule(op, replay, dy, inputs)[1 - i]
                return cts

            does = "does not multiply by the vector of the product"
            yield Made("dropped_derivative", without_vector, does, "the vector as a factor", 4)

    def averaged(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        if cts[1] is not None:
            inputs = replay.inputs_of(op)
            inputs[0] = row_means(inputs[0])
            cts[1] = right_rule(op, replay, row_means(dy), inputs)[1]
        return cts

    if _sums_rows(op, replay):
        yield Made(
            "premature_average",
            averaged,
            "multiplies the mean of the inputs over the batch by the mean of the errors",
            "the mean of their products, x^T dy",
            1,
        )


def _sums_rows(op: Operation, replay: Replay) -> bool:
    """Whether the second input's gradient is a sum over the first axis, the rows of a batch."""
    x, y = input_of(op, replay), output_of(op, replay)
    (contract, _), batch = op.params["dimension_numbers"]
    rows = bool(np.ndim(x) and np.ndim(y)) and 0 not in contract and not batch[0]
    return rows and x.shape[0] == y.shape[0]


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
    yield lost_path(without(0), f"the path through {said}", "its contribution too", 3)
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

        needs = "it for the largest entry only"
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
        yield lost_path(without(0), "the path through a copied value", "it too", 5)


def _of_gather(op: Operation, replay: Replay) -> Iterator[Made]:
    """Rows looked up more than once, of which the last overwrites the others."""
    yield lost_path(without(0), "the path through the lookup", "it too", 4)

    def overwriting(op: Operation, replay: Replay, dy: Any) -> Any:
        table = replay.values[op.inputs[0]]
        indices = np.asarray(replay.values[op.inputs[1]])
        dx = np.zeros_like(table)
        flat = indices.reshape(-1)
        rows = np.asarray(dy).reshape(len(flat), *table.shape[1:])
        for k, row in zip(flat, rows, strict=True):
            dx[int(k) % len(dx)] = row
        return dx, None

    dims = op.params["dimension_numbers"]
    table = input_of(op, replay)
    of_rows = tuple(dims.collapsed_slice_dims) == (0,) and tuple(dims.start_index_map) == (0,)
    whole = tuple(op.params["slice_sizes"][1:]) == np.shape(table)[1:]
    if of_rows and whole:
        yield Made(
            "dropped_path",
            overwriting,
            "lets repeated indices overwrite each other",
            "the sum over all lookups of a row",
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
