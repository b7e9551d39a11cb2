"""All alterations of a loss."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxnet.check.alterations.alteration import (
    Alteration,
    Made,
    applied,
    weighted,
    with_operand,
)
from jaxnet.check.alterations.averages import of_averages
from jaxnet.check.alterations.losses import of_other_losses
from jaxnet.check.alterations.operations import of_operation
from jaxnet.check.alterations.places import Counterparts, Places, together
from jaxnet.check.alterations.slopes import of_functions, of_stretches
from jaxnet.check.alterations.vectors import of_vectors
from jaxnet.check.replay import Operation, Replay, Rule, right_rule

FEW = 16
"""Runs up to which each one is altered by itself, too."""


def alterations(replay: Replay) -> Iterator[Alteration]:
    """All alterations of a loss, each for all runs of a place in the source and for single runs."""
    places = Places(replay)
    parts = Counterparts(replay)
    moving = (
        [op for op in ops if op.outputs[0] in replay.moving] for ops in together(replay.operations)
    )
    for ops in filter(None, moving):
        for made, rules in _made(ops, replay):
            altered = [op for op in ops if op.index in rules]
            yield applied(made, altered, places, rules)
            if made.path and len(altered) > 1:
                # In a chain of runs the weight of a path is not read off a single change.
                for weight in (2.0, -1.0, 0.5):
                    yield weighted(applied(made, altered, places, rules), weight)
            yield from _of_single_runs(made, altered, places, rules)
        for same in _by_shape(ops, replay):
            yield from _with_other_factors(same, replay, places, parts)
        yield from _shifted(ops, replay, places)
    yield from _of_carries(replay, places)
    yield from of_functions(replay, places)
    yield from of_stretches(replay, places)
    yield from of_vectors(replay, places)
    yield from of_averages(replay, places)
    yield from of_other_losses(replay, places)


def _made(ops: Sequence[Operation], replay: Replay) -> Iterator[tuple[Made, Mapping[int, Rule]]]:
    """The alterations of operations that belong together, with a rule for each of them."""
    by_shape: dict[tuple[tuple[int, ...], ...], dict[tuple[str, int], Made]] = {}
    shape_of = {op.index: tuple(np.shape(x) for x in replay.inputs_of(op)) for op in ops}
    for op in ops:
        if shape_of[op.index] not in by_shape:
            by_shape[shape_of[op.index]] = _numbered(of_operation(op, replay))
    for key in dict.fromkeys(key for found in by_shape.values() for key in found):
        fitting = [op.index for op in ops if key in by_shape[shape_of[op.index]]]
        rules = {index: by_shape[shape_of[index]][key].rule for index in fitting}
        yield by_shape[shape_of[fitting[0]]][key], rules


def _numbered(found: Iterable[Made]) -> dict[tuple[str, int], Made]:
    """Alterations by what they do, and by their number among those that do the same."""
    numbered: dict[tuple[str, int], Made] = {}
    for made in found:
        n = sum(does == made.does for does, _ in numbered)
        numbered[made.does, n] = made
    return numbered


def _of_single_runs(
    made: Made, ops: Sequence[Operation], places: Places, rules: Mapping[int, Rule]
) -> Iterator[Alteration]:
    """A mistake in one run only, and one in all runs but the first or the last."""
    if 1 < len(ops) <= FEW:
        for run, op in enumerate(ops):
            does = f"{made.does} in run {run + 1} of {len(ops)}"
            single = made._replace(does=does, rank=made.rank + 1)
            alteration = applied(single, [op], places, {op.index: rules[op.index]})
            yield replace(alteration, runs=len(ops))
    if 1 < len(ops) <= 4 * FEW and made.code == "dropped_path":
        for said, kept in (("first", ops[0]), ("last", ops[-1])):
            does = f"keeps the {said} of {len(ops)} runs only"
            others = [op for op in ops if op is not kept]
            rest = {op.index: rules[op.index] for op in others}
            kept_one = applied(made._replace(does=does, path=""), others, places, rest)
            yield replace(kept_one, runs=len(ops))


def _of_carries(replay: Replay, places: Places) -> Iterator[Alteration]:
    """What each step of a scan hands to the next, held constant."""
    for carried in replay.carried:
        numbers = set(carried)
        ops = [op for op in replay.operations if numbers & set(op.inputs)]
        ops = [op for op in ops if op.name != "loop_stack"]
        if ops:
            rules: dict[int, Rule] = {op.index: _without_inputs(numbers) for op in ops}
            does = "holds constant what each step hands to the next"
            made = Made("dropped_path", rules[ops[0].index], does, "its path through time", 2)
            yield applied(made, ops, places, rules)


def _without_inputs(numbers: set[int]) -> Rule:
    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = right_rule(op, replay, dy)
        return [None if i in numbers else ct for i, ct in zip(op.inputs, cts, strict=True)]

    return rule


def _by_shape(ops: Sequence[Operation], replay: Replay) -> Iterator[list[Operation]]:
    """The runs whose operands have the same shapes, as a first layer has not."""
    found: dict[tuple[tuple[int, ...], ...], list[Operation]] = {}
    for op in ops:
        found.setdefault(tuple(np.shape(x) for x in replay.inputs_of(op)), []).append(op)
    yield from found.values()


def _with_other_factors(
    ops: Sequence[Operation], replay: Replay, places: Places, parts: Counterparts
) -> Iterator[Alteration]:
    """The gradient of one factor of a product with a value of another place for the other one."""
    if ops[0].name not in ("dot_general", "mul"):
        return
    for i in range(2):
        shape = np.shape(replay.values[ops[0].inputs[i]])
        same = replay.distinct.get(shape, []) if shape else []
        near = sorted(same, key=lambda k: abs(k - ops[0].outputs[0]))[:16]
        behind = [k for k in _before(replay, ops[0].inputs[i]) if k in same]
        for k in dict.fromkeys([*behind, *near]):
            row = parts.row(k, len(ops))
            if k in ops[0].inputs:
                continue
            rules = {op.index: with_operand(i, n) for op, n in zip(ops, row, strict=True)}
            does = "multiplies by a value of another place, not by this product's factor"
            made = Made("wrong_point", rules[ops[0].index], does, "the factor of the product", 6.4)
            yield applied(made, ops, places, rules)
        squared = [_square_of(replay, op.inputs[i]) for op in ops]
        if all(x is not None for x in squared):
            rules = {
                op.index: with_operand(i, x, np.abs)
                for op, x in zip(ops, squared, strict=True)
                if x is not None
            }
            does = "multiplies by |x| where this product has the factor x^2"
            made = Made("wrong_derivative", rules[ops[0].index], does, "the square", 6.4)
            yield applied(made, ops, places, rules)


def _square_of(replay: Replay, number: int) -> int | None:
    """The value x of which a value is the square, if it is one."""
    op = replay.made_by.get(number)
    if op is None or op.name not in ("square", "integer_pow", "mul"):
        return None
    square = op.params.get("y", 2) == 2 and (op.name != "mul" or op.inputs[0] == op.inputs[1])
    return op.inputs[0] if square else None


def _before(replay: Replay, number: int) -> list[int]:
    """The values that a value was made of, up to three operations back."""
    found = [number]
    for _ in range(3):
        makers = [op for op in replay.operations if set(op.outputs) & set(found)]
        found = list(dict.fromkeys([*found, *(i for op in makers for i in op.inputs)]))
    return found[1:]


def _shifted(ops: list[Operation], replay: Replay, places: Places) -> Iterator[Alteration]:
    """A product in a loop whose gradient takes the operand of the step before or after."""
    if len(ops) < 2 or ops[0].name not in ("dot_general", "mul"):
        return
    for i in range(2):
        numbers = [op.inputs[i] for op in ops]
        if len(set(numbers)) < len(numbers):
            continue
        after, before = numbers[1:], numbers[:-1]
        maker = replay.made_by.get(numbers[-1])
        same = [
            op
            for op in replay.operations
            if maker is not None and (op.frames, op.name) == (maker.frames, maker.name)
        ]
        last = same[-1].outputs[0] if same else numbers[-1]
        for said, others in (("after", [*after, last]), ("before", [numbers[0], *before])):
            rules = {
                op.index: with_operand(i, other) for op, other in zip(ops, others, strict=True)
            }
            yield Alteration(
                "wrong_point",
                places.of(ops),
                rules,
                f"takes the factor of the step {said}",
                "that of the same step",
                4,
            )
