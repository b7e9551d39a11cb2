"""Wrong reverse rules of matrix products: transposes, factors and averages."""

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import numpy as np

from jaxnet.check.alterations.alteration import Made, output_of
from jaxnet.check.replay import Operation, Replay, Rule, is_float, right_rule


def of_matrix_product(op: Operation, replay: Replay) -> Iterator[Made]:
    """A transpose too few or too many, where the shapes allow it; factors left out; averages."""
    for i in (0, 1):
        x, other = (replay.values[op.inputs[j]] for j in (i, 1 - i))
        if is_float(x):
            yield from _of_own_gradient(op, replay, i)
        if is_float(other):
            yield from _of_factor(op, replay, i)
    y = output_of(op, replay)
    if np.ndim(y) >= 2 and y.shape[-1] == y.shape[-2]:
        does = "multiplies by the incoming gradient where its transpose belongs"
        for i in (0, 1):
            rule = _with_error(i, lambda dy: np.swapaxes(dy, -1, -2))
            yield Made("transpose", rule, does, "its transpose, or none", 4)
        both = _with_errors(lambda dy: np.swapaxes(dy, -1, -2))
        yield Made("transpose", both, f"{does}, in both gradients", "its transpose, or none", 4)


def _of_own_gradient(op: Operation, replay: Replay, i: int) -> Iterator[Made]:
    """What may be wrong in the layout of an operand's gradient."""
    x, y = replay.values[op.inputs[i]], output_of(op, replay)
    if np.ndim(x) == 2 and x.shape[0] == x.shape[1]:
        turned = _own(i, lambda ct: ct.T)
        yield Made("transpose", turned, "has this matrix's gradient transposed", "its transpose", 4)
    elif np.ndim(x) in (2, 3):
        needs = "the axes in the order of the forward pass"
        for order in list(permutations(range(np.ndim(x))))[1:]:
            does = f"has this array's gradient with its axes in the order {order}, then reshaped"
            rule = _own(i, _reordered(order))
            yield Made("transpose", rule, does, needs, 4)
    if np.shape(x) == np.shape(y):
        does = "does not multiply by the matrix of the product"
        rule = _passed_on(i)
        yield Made("dropped_derivative", rule, does, "the matrix as a factor", 4)


def _of_factor(op: Operation, replay: Replay, i: int) -> Iterator[Made]:
    """What may be wrong in operand i, as a factor of the other one's gradient."""
    x = replay.values[op.inputs[i]]
    if np.ndim(x) == 2:
        needs = "the transpose that the forward pass did not have"
        if x.shape[0] == x.shape[1]:
            does = "multiplies by the matrix where its transpose belongs, or the other way round"
            yield Made("transpose", _with_factor(i, lambda x: x.T), does, needs, 3)
        else:
            does = "reshapes the matrix to the shape of its transpose"
            rule = _with_factor(i, lambda x: x.reshape(x.shape[::-1]).T)
            yield Made("transpose", rule, does, needs, 4)
    source = next((o for o in replay.operations if op.inputs[i] in o.outputs), None)
    if source is not None and source.name == "reshape":
        before = np.shape(replay.values[source.inputs[0]])
        if len(before) in (3, 4):
            for order in list(permutations(range(1, len(before))))[1:]:
                does = f"flattens the factor with its axes in the order {(0, *order)}"
                rule = _with_factor(i, _flattened(before, (0, *order)))
                needs = "the order of the forward pass"
                yield Made("transpose", rule, does, needs, 4, source=source)
    does = "does not multiply by the other factor of the matrix product"
    rule = _with_factor(i, np.ones_like)
    yield Made("dropped_derivative", rule, does, "the other factor", 4)
    free = _free_axes(op, replay, i)
    if free:
        does = "multiplies the mean of the inputs over the batch by the mean of the errors"
        needs = "the mean of their products, x^T dy"
        rule = _with_factor(i, lambda x: _mean(x, free))
        yield Made("premature_average", rule, does, needs, 1)
        if len(free) > 1:
            rule = _with_factor(i, lambda x: _mean(x, free[:1]))
            yield Made("premature_average", rule, f"{does}, over the first axis", needs, 1.5)


def _reordered(order: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda ct: np.transpose(ct, order).reshape(ct.shape)


def _flattened(before: tuple[int, ...], order: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda x: np.transpose(np.reshape(x, before), order).reshape(np.shape(x))


def _free_axes(op: Operation, replay: Replay, i: int) -> tuple[int, ...]:
    """The axes of operand i that the other one's gradient sums over, if they are a batch's."""
    contract, batch = (axes[i] for axes in op.params["dimension_numbers"])
    x = replay.values[op.inputs[i]]
    return tuple(j for j in range(np.ndim(x)) if j not in contract and j not in batch)


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    return np.broadcast_to(np.mean(x, axis=axes, keepdims=True), np.shape(x))


def _with_factor(i: int, f: Callable[[Any], Any]) -> Rule:
    """The rule with f of operand i in the other one's gradient."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        inputs = replay.inputs_of(op)
        inputs[i] = f(inputs[i])
        cts[1 - i] = right_rule(op, replay, dy, inputs)[1 - i]
        return cts

    return rule


def _with_error(i: int, f: Callable[[Any], Any]) -> Rule:
    """The rule with f of the incoming gradient for operand i."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        cts[i] = right_rule(op, replay, f(dy))[i]
        return cts

    return rule


def _with_errors(f: Callable[[Any], Any]) -> Rule:
    return lambda op, replay, dy: right_rule(op, replay, f(dy))


def _own(i: int, f: Callable[[Any], Any]) -> Rule:
    """The rule with f of operand i's gradient."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        cts[i] = f(cts[i])
        return cts

    return rule


def _passed_on(i: int) -> Rule:
    """The rule with the incoming gradient for operand i's."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        cts[i] = dy
        return cts

    return rule
