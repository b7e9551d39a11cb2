"""Wrong derivatives of functions of one number, whether called or written out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from jaxnet.check.alterations.alteration import Alteration, row_means, said_operation
from jaxnet.check.alterations.functions import Function, power, recognised
from jaxnet.check.alterations.losses import head_place
from jaxnet.check.alterations.places import Counterparts, Places, runs, same_line
from jaxnet.check.primitives import UNARY
from jaxnet.check.replay import Local, Operation, Replay, Rule, is_float, right_rule


@dataclass(frozen=True)
class Applied:
    """A function taken entry by entry: from the value x to the value y, which op gave.

    composite says that several operations make it.
    """

    function: Function
    x: int
    y: int
    op: Operation
    composite: bool = False


def of_functions(replay: Replay, places: Places) -> Iterator[Alteration]:
    """The alterations of all functions of one number, whether called or written out."""
    parts = Counterparts(replay)
    found = applied_functions(replay)
    by_op = {(a.op.index, a.function.name): a for a in found}
    for ops in (*runs(replay.operations), *same_line([a.op for a in found])):
        for name in dict.fromkeys(n for op in ops for n in _names(by_op, op)):
            group = [by_op[op.index, name] for op in ops if (op.index, name) in by_op]
            yield from _of_other_step(group, replay, places, parts)
            yield from _bypassed(group, replay, places)
            for made in _of_function(group, replay, parts):
                code, rule_of, does, needs, rank = made
                rank += 1.4 * (group[0].op.library and not group[0].composite)
                rules = {a.op.index: rule_of(a) for a in group}
                where = places.of([a.op for a in group])
                if code == "wrong_loss":
                    where = head_place(replay)
                yield Alteration(code, where, rules, does, needs, rank)
                if code == "wrong_point" or not 1 < len(group) <= FEW:
                    continue
                for run, a in enumerate(group):
                    said = f"{does} in run {run + 1} of {len(group)}"
                    rule = {a.op.index: rules[a.op.index]}
                    yield Alteration(code, places.of([a.op]), rule, said, needs, rank + 1)


def with_slope(a: Applied, slope: Callable[[Any, Any], Any]) -> Local:
    """The rule with another derivative, a function of input and output."""

    def rule(op: Operation, replay: Replay, dy: Any) -> dict[int, Any]:
        x, y = replay.values[a.x], replay.values[a.y]
        return {a.x: dy * slope(np.asarray(x, float), np.asarray(y, float))}

    return rule


FEW = 16
"""Runs up to which each one is altered by itself, too."""


def _of_other_step(
    group: list[Applied], replay: Replay, places: Places, parts: Counterparts
) -> Iterator[Alteration]:
    """A function in a loop whose derivative is taken at the step before or after."""
    f = group[0].function
    if len(group) < 2 or f.name.startswith("the power"):
        return
    first = parts.before_first(group[0].y, len(group))
    of_y = f.of_y or f.of_x
    before = [group[0].y if first is None else first, *(a.y for a in group[:-1])]
    for said, numbers in (("before", before), ("after", [*(a.y for a in group[1:]), group[-1].y])):
        rules = {
            a.op.index: slope_at(a, number, of_y) for a, number in zip(group, numbers, strict=True)
        }
        does = f"takes the derivative of {f.name} at the step {said}"
        needs = f"its derivative, {f.due}, at the same step"
        yield Alteration("wrong_point", places.of([a.op for a in group]), rules, does, needs, 4)


def slope_at(a: Applied, number: int, slope: Callable[[Any], Any]) -> Rule:
    """The rule with the derivative taken at another value."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        return {a.x: dy * slope(replay.values[number])}

    return rule


def _bypassed(group: list[Applied], replay: Replay, places: Places) -> Iterator[Alteration]:
    """A function of several uses, of which one goes back as if the function were not there."""
    uses = [replay.users.get(a.y, []) for a in group]
    if len({len(users) for users in uses}) > 1 or len(uses[0]) < 2:
        return
    f = group[0].function
    for users in zip(*uses, strict=True):
        rules: dict[int, Rule] = {
            user.index: _past(a) for a, user in zip(group, users, strict=True)
        }
        if len(rules) < len(group):  # one that takes them all
            continue
        does = f"goes past {f.name} on the way back through {said_operation(users[0])}"
        needs = f"its derivative, {f.due}, there too"
        where = places.of([a.op for a in group])
        yield Alteration("dropped_derivative", where, rules, does, needs, 4.5)


def _past(a: Applied) -> Rule:
    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        passed: dict[int, Any] = {}
        for number, ct in zip(op.inputs, right_rule(op, replay, dy), strict=True):
            if ct is not None and is_float(replay.values[number]):
                to = a.x if number == a.y else number
                passed[to] = passed.get(to, 0.0) + ct
        return passed

    return rule


STRETCH = 4
"""Operations that a stretch may have."""


def of_stretches(replay: Replay, places: Places) -> Iterator[Alteration]:
    """Several operations in a row, entry by entry, whose derivatives are left out together."""
    behind = {
        op.outputs[0]: inputs[0]
        for op in replay.operations
        if op.outputs[0] in replay.moving
        and op.name in ELEMENTWISE
        and len(inputs := [i for i in dict.fromkeys(op.inputs) if i in replay.moving]) == 1
        and np.shape(replay.values[inputs[0]]) == np.shape(replay.values[op.outputs[0]])
    }
    names = {op.outputs[0]: op.name for op in replay.operations}
    for ops in runs(replay.operations):
        chains = [_chain(op.outputs[0], behind) for op in ops]
        for n in range(2, min(map(len, chains))):
            passed = {tuple(names[i] for i in chain[:n]) for chain in chains}
            if len(passed) > 1 or not set(*passed) - CONSTANT_SLOPE:
                continue
            rules: dict[int, Rule] = {
                op.index: _untouched(chain[n]) for op, chain in zip(ops, chains, strict=True)
            }
            does = f"passes through {n} operations in a row as if their derivatives were 1"
            needs = "their derivatives"
            yield Alteration("dropped_derivative", places.of(ops), rules, does, needs, 4.5)


def _chain(y: int, behind: Mapping[int, int]) -> list[int]:
    """The values that lead to one, the last first."""
    chain = [y]
    while chain[-1] in behind and len(chain) <= STRETCH:
        chain.append(behind[chain[-1]])
    return chain


def _untouched(x: int) -> Rule:
    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        return {x: dy}

    return rule


def _names(by_op: Mapping[tuple[int, str], Applied], op: Operation) -> list[str]:
    return [name for index, name in by_op if index == op.index]


def applied_functions(replay: Replay) -> list[Applied]:
    """Where a loss applies a function of one number, found by its values."""
    roots: dict[int, list[int]] = {}
    found = []
    for op in replay.operations:
        y = op.outputs[0]
        if y not in replay.moving or not _entry_by_entry(op, replay):
            continue
        inputs = [i for i in dict.fromkeys(op.inputs) if i in replay.moving]
        own = [[i, *roots.get(i, [])] for i in inputs]
        roots[y] = [r for r in own[0] if all(r in other for other in own[1:])][:12]
        value = replay.values[y]
        if op.name in ("integer_pow", "square"):
            found.append(Applied(power(op.params.get("y", 2)), op.inputs[0], y, op))
        exponent = _exponent(op, replay)
        if exponent is not None:
            found.append(Applied(power(exponent), op.inputs[0], y, op))
        if op.name == "mul" and op.inputs[0] == op.inputs[1]:
            found.append(Applied(power(2), op.inputs[0], y, op))
        for x in roots[y]:
            function = recognised(replay.values[x], value)
            if function is not None:
                found.append(Applied(function, x, y, op, inputs != [x]))
    return found


def _exponent(op: Operation, replay: Replay) -> float | None:
    """The exponent of a power x^n with one constant n, other than 0 and 1."""
    if op.name != "pow" or op.inputs[1] in replay.moving:
        return None
    n = np.unique(np.asarray(replay.values[op.inputs[1]]))
    return float(n[0]) if n.size == 1 and n[0] not in (0, 1) else None


LINEAR = {"mul", "add", "add_any", "sub", "div", "neg", "convert_element_type", "copy"}


CONSTANT_SLOPE = LINEAR - {"mul", "div"}


ELEMENTWISE = LINEAR | set(UNARY) | {"integer_pow", "pow", "max", "min", "select_n"}


def _entry_by_entry(op: Operation, replay: Replay) -> bool:
    return op.name in ELEMENTWISE and np.shape(replay.values[op.outputs[0]]) == max(
        (np.shape(replay.values[i]) for i in op.inputs), key=len
    )


MadeFunction = tuple[str, Callable[[Applied], Rule], str, str, float]


def _of_function(
    group: list[Applied], replay: Replay, parts: Counterparts
) -> Iterator[MadeFunction]:
    a = group[0]
    f = a.function
    at_head = a.y in replay.heads
    needs = f"its derivative, {f.due}"

    def local(derivative: Callable[[Applied, Replay, Any], Any]) -> Callable[[Applied], Rule]:
        def of(a: Applied) -> Rule:
            def rule(op: Operation, replay: Replay, dy: Any) -> Any:
                slope = np.asarray(derivative(a, replay, dy), float)
                return {a.x: np.where(dy == 0, 0.0, dy) * slope}

            return rule

        return of

    yield (
        "dropped_derivative",
        local(lambda a, replay, dy: 1.0),
        f"passes through {f.name} as if its derivative were 1",
        needs,
        2.5 if f.name.startswith(("the power", "log gamma")) else 1,
    )
    for slip in f.slips:

        def slope(a: Applied, replay: Replay, dy: Any, slip: Any = slip) -> Any:
            return slip.f(replay.values[a.y if slip.of_output else a.x])

        code = slip.code
        rank: float = 3 if slip.code == "wrong_derivative" else 2
        if slip.of_output and f.name.startswith("the power"):  # a formula in x is likelier
            rank = 3.5
        if a.composite:  # several operations: the whole is likelier than its parts
            rank -= 1.3
        if at_head and f.name.startswith(("the power", "the size")):
            code, rank = "wrong_loss", 2
        yield code, local(slope), f"takes {slip.said} for the derivative of {f.name}", needs, rank
    yield (
        "double_counted",
        local(lambda a, replay, dy: f.of_x(replay.values[a.x]) ** 2),
        f"multiplies by the derivative of {f.name} twice",
        needs,
        7,
    )
    at_error = f.of_y or f.of_x
    yield (
        "wrong_point",
        local(lambda a, replay, dy: at_error(dy)),
        f"takes the derivative of {f.name} at the incoming gradient",
        f"{needs} at the input of {f.name}",
        6,
    )
    yield from _averaged(f, local)
    yield from _at_means(a, replay)
    yield from _elsewhere(group, replay, parts)


def _averaged(f: Function, local: Any) -> Iterator[MadeFunction]:
    def of(a: Applied) -> Rule:
        def rule(op: Operation, replay: Replay, dy: Any) -> Any:
            slope = f.of_x(replay.values[a.x])
            return {a.x: row_means(dy) * row_means(slope)}

        return rule

    does = f"multiplies the batch means of the error and of the derivative of {f.name}"
    yield "premature_average", of, does, "the mean of their products, row by row", 6


def _at_means(a: Applied, replay: Replay) -> Iterator[MadeFunction]:
    """The derivative at the mean of the input, or of the output, over one axis."""
    f, shape = a.function, np.shape(replay.values[a.y])
    if len(shape) < 2 or f.name.startswith("the power"):
        return
    for axis, (said, slope) in product(
        range(len(shape)), (("input", f.of_x), ("output", f.of_y or f.of_x))
    ):

        def of(a: Applied, axis: int = axis, said: str = said, slope: Any = slope) -> Rule:
            def rule(op: Operation, replay: Replay, dy: Any) -> Any:
                value = replay.values[a.x if said == "input" else a.y]
                return {a.x: dy * slope(np.mean(value, axis=axis, keepdims=True))}

            return rule

        does = f"takes the derivative of {f.name} at the mean of its {said} over axis {axis}"
        yield "wrong_point", of, does, f"its derivative, {f.due}, entry by entry", 5


def _elsewhere(group: list[Applied], replay: Replay, parts: Counterparts) -> Iterator[MadeFunction]:
    """The right derivative at a value of another place."""
    a = group[0]
    f, shape = a.function, np.shape(replay.values[a.y])
    if not shape or f.name.startswith(("the power", "log", "1/x")):
        return
    run_of = {a.op.index: t for t, a in enumerate(group)}
    near = sorted(replay.distinct.get(shape, []), key=lambda i: abs(i - a.y))[:24]
    for i in near:
        if i in (a.x, a.y) and len(group) == 1:
            continue
        rows = [parts.row(i, len(group))]
        if i in (group[0].y, group[-1].y):
            rows.append([i] * len(group))
        for row, slope in product(rows, filter(None, (f.of_y, f.of_x))):

            def of(a: Applied, row: list[int] = row, slope: Any = slope) -> Rule:
                return slope_at(a, row[run_of[a.op.index]], slope)

            does = f"takes the derivative of {f.name} at a value of another place"
            yield "wrong_point", of, does, f"its derivative, {f.due}, at its own input", 8
