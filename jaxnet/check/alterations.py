"""The mistakes that people make in a backward pass, as altered reverse rules of a replay.

An alteration gives some operations of a replay another rule than their own. If the gradient that
comes out is the user's, the alteration is what the user did.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from jaxnet.check.functions import Function, power, recognised
from jaxnet.check.primitives import reduced
from jaxnet.check.replay import Operation, Replay, Rule, is_float, right_rule


@dataclass(frozen=True)
class Alteration:
    """A mistake at one place.

    rules has the altered rules by the numbers of the operations, where the place in the source.
    does says what the gradient does, needs what the loss needs. rank orders alterations that come
    to the same gradient: the lower, the likelier.
    """

    code: str
    where: str
    rules: Mapping[int, Rule]
    does: str
    needs: str
    rank: float = 5


Made = tuple[str, Rule, str, str, float]
"""code, rule, does, needs, rank: an alteration of one operation, not yet applied to its runs."""

Signature = tuple[Any, ...]


def alterations(replay: Replay) -> Iterator[Alteration]:
    """All alterations of a loss, each for all runs of a place in the source and for single runs."""
    places = Places(replay)
    moving = dependent(replay)
    for ops in runs(replay.operations):
        ops = [op for op in ops if carries(op, replay, moving)]
        if not ops:
            continue
        for made in of_operation(ops[0], replay):
            yield _applied(made, ops, places)
            if 1 < len(ops) <= 16 and made[0] in ("dropped_path", "sign", "transpose", "scale"):
                for run, op in enumerate(ops):
                    single = _applied(made, [op], places)
                    said = f" in run {run + 1} of {len(ops)}"
                    yield Alteration(
                        single.code, single.where, single.rules, single.does + said, single.needs,
                        single.rank + 1,
                    )  # fmt: skip
            if 1 < len(ops) <= 64 and made[0] == "dropped_path":
                for said, kept in (("first", ops[0]), ("last", ops[-1])):
                    yield _applied(
                        (*made[:2], f"keeps the {said} of {len(ops)} runs only", *made[3:]),
                        [op for op in ops if op is not kept],
                        places,
                    )
        yield from _shifted(ops, replay, places)
    yield from of_functions(replay, moving, places)
    yield from composites(replay, places, moving)


def _shifted(ops: list[Operation], replay: Replay, places: "Places") -> Iterator[Alteration]:
    """A product in a loop whose gradient takes the operand of the step before or after."""
    if len(ops) < 2 or ops[0].name not in ("dot_general", "mul"):
        return
    made_by = {o: op for op in replay.operations for o in op.outputs}
    for i in range(2):
        numbers = [op.inputs[i] for op in ops]
        if len(set(numbers)) < len(numbers):
            continue
        after, before = numbers[1:], numbers[:-1]
        maker = made_by.get(numbers[-1])
        same = [
            op
            for op in replay.operations
            if maker is not None and (op.frames, op.name) == (maker.frames, maker.name)
        ]
        last = same[-1].outputs[0] if same else numbers[-1]
        for said, others in (("after", [*after, last]), ("before", [numbers[0], *before])):
            rules = {
                op.index: _with_operand(i, other) for op, other in zip(ops, others, strict=True)
            }
            yield Alteration(
                "wrong_point",
                places.of(ops),
                rules,
                f"takes the factor of the step {said}",
                "that of the same step",
                4,
            )


def _with_operand(i: int, other: int) -> Rule:
    """The rule with another value for operand i, in the gradient of the other operand."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        inputs = replay.inputs_of(op)
        inputs[i] = replay.values[other]
        cts[1 - i] = right_rule(op, replay, dy, inputs)[1 - i]
        return cts

    return rule


def _applied(made: Made, ops: Sequence[Operation], places: "Places") -> Alteration:
    code, rule, does, needs, rank = made
    rank += 1.4 * ops[0].library  # people rarely take JAX's own functions apart
    return Alteration(code, places.of(ops), {op.index: rule for op in ops}, does, needs, rank)


class Places:
    """Which line of the source to point at."""

    def __init__(self, replay: Replay) -> None:
        """Sort the chains of calls by where they end."""
        self._chains: dict[str, set[tuple[str, ...]]] = {}
        for op in replay.operations:
            for frame in op.frames:
                self._chains.setdefault(frame, set()).add(op.frames)

    def of(self, ops: Sequence[Operation]) -> str:
        """The innermost place that only these operations have gone through.

        Inside a function that is called several times it is the call, if the others are right.
        """
        chains = {op.frames for op in ops}
        for frame in ops[0].frames:
            inside = {c for c in self._chains[frame] if c[0] == ops[0].frames[0] or frame != c[0]}
            if {c[c.index(frame) :] for c in inside} <= {
                c[c.index(frame) :] for c in chains if frame in c
            }:
                return frame
        return ops[0].frames[0] if ops[0].frames else ""


def runs(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """Operations that are the same code run again: in a loop of Python's or of JAX's.

    First by the chain of calls that led there; what a chain ran is cut where it repeats.
    """
    by_chain: dict[tuple[str, ...], list[Operation]] = {}
    for op in operations:
        by_chain.setdefault(op.frames, []).append(op)
    for ops in by_chain.values():
        period = _period([(op.name, len(op.inputs), str(op.params.get("y", ""))) for op in ops])
        for i in range(period):
            yield ops[i::period]
        if period < len(ops) and not _loops(ops, period):
            yield from ([op] for op in ops)


def _loops(ops: Sequence[Operation], period: int) -> bool:
    """Whether the repetitions lie apart, with other operations between them."""
    return any(ops[i].index - ops[i - 1].index > 1 for i in range(period, len(ops), period))


class Counterparts:
    """What plays the same part in every run of a loop."""

    def __init__(self, replay: Replay) -> None:
        """Line up the outputs of the operations that are runs of the same code."""
        self._rows: dict[int, list[int]] = {}
        self._entries: dict[tuple[int, int], int] = {}
        for ops in runs(replay.operations):
            for row in zip(*(op.outputs for op in ops), strict=True):
                for number in row:
                    self._rows.setdefault(number, list(row))
            for i in range(len(ops[0].inputs)):
                column = [op.inputs[i] for op in ops]
                if len(column) > 1:
                    self._entries[column[1], len(column)] = column[0]

    def row(self, number: int, count: int) -> list[int]:
        """The values of all runs that correspond to this one of the first; itself if none do."""
        row = self._rows.get(number, [])
        return row if len(row) == count and row[0] == number else [number] * count

    def before_first(self, number: int, count: int) -> int | None:
        """What stood, before the first run, for a value that each run hands to the next."""
        return self._entries.get((number, count))


def _period(names: Sequence[Signature]) -> int:
    """The length of the shortest beginning that a sequence is made of."""
    n = len(names)
    for period in range(1, n):
        if n % period == 0 and all(names[i] == names[i % period] for i in range(n)):
            return period
    return n


def dependent(replay: Replay) -> set[int]:
    """The numbers of the values that depend on the parameters."""
    moving = {i for i in replay.parameters if is_float(replay.values[i])}
    for op in replay.operations:
        if any(i in moving for i in op.inputs):
            moving.update(o for o in op.outputs if is_float(replay.values[o]))
    return moving


def carries(op: Operation, replay: Replay, moving: set[int]) -> bool:
    """Whether a cotangent passes through an operation to a parameter."""
    return op.outputs[0] in moving and op.name != "stop_gradient"


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
    elif name == "conv_general_dilated":
        yield from _of_paths(op, replay)
    elif name in ("loop_row", "slice", "dynamic_slice", "rev", "cumsum"):
        yield "dropped_path", _without(0), f"loses the path through {_said(op)}", "it too", 5
    yield "dropped_path", _lost, f"loses the path through {_said(op)}", "its contribution too", 2
    if name in ("mul", "div", "dot_general", "neg"):
        does = f"has the sign of {_said(op)} the other way round"
        yield "sign", _times(-1.0), does, "its sign", 6


# Functions of one number.


@dataclass(frozen=True)
class Applied:
    """A function taken entry by entry: from the value x to the value y, which op gave."""

    function: Function
    x: int
    y: int
    op: Operation


def of_functions(replay: Replay, moving: set[int], places: Places) -> Iterator[Alteration]:
    """The alterations of all functions of one number, whether called or written out."""
    parts = Counterparts(replay)
    found = applied_functions(replay, moving)
    by_op = {(a.op.index, a.function.name): a for a in found}
    for ops in (*runs(replay.operations), *_same_line([a.op for a in found])):
        for name in dict.fromkeys(n for op in ops for n in _names(by_op, op)):
            group = [by_op[op.index, name] for op in ops if (op.index, name) in by_op]
            yield from _of_other_step(group, replay, places, parts)
            for made in _of_function(group, replay, parts):
                code, rule_of, does, needs, rank = made
                rules = {a.op.index: rule_of(a) for a in group}
                yield Alteration(code, places.of([a.op for a in group]), rules, does, needs, rank)


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
            a.op.index: _slope_at(a, number, of_y) for a, number in zip(group, numbers, strict=True)
        }
        does = f"takes the derivative of {f.name} at the step {said}"
        needs = f"its derivative, {f.due}, at the same step"
        yield Alteration("wrong_point", places.of([a.op for a in group]), rules, does, needs, 4)


def _slope_at(a: Applied, number: int, slope: Callable[[Any], Any]) -> Rule:
    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        return {a.x: dy * slope(replay.values[number])}

    return rule


def _same_line(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """Operations of the same line of source at several places in it."""
    by_line: dict[str, dict[int, Operation]] = {}
    for op in operations:
        if op.frames:
            line = op.frames[0].rsplit(":", 1)[0]
            by_line.setdefault(line, {})[op.index] = op
    for ops in by_line.values():
        if len({op.frames for op in ops.values()}) > 1:
            yield list(ops.values())


def _names(by_op: Mapping[tuple[int, str], Applied], op: Operation) -> list[str]:
    return [name for index, name in by_op if index == op.index]


def applied_functions(replay: Replay, moving: set[int]) -> list[Applied]:
    """Where a loss applies a function of one number, found by its values."""
    roots: dict[int, list[int]] = {}
    found = []
    for op in replay.operations:
        y = op.outputs[0]
        if y not in moving or not _entry_by_entry(op, replay):
            continue
        inputs = [i for i in dict.fromkeys(op.inputs) if i in moving]
        own = [[i, *roots.get(i, [])] for i in inputs]
        roots[y] = [r for r in own[0] if all(r in other for other in own[1:])][:12]
        value = replay.values[y]
        if op.name in ("integer_pow", "square"):
            found.append(Applied(power(op.params.get("y", 2)), op.inputs[0], y, op))
        if op.name == "mul" and op.inputs[0] == op.inputs[1]:
            found.append(Applied(power(2), op.inputs[0], y, op))
        for x in roots[y]:
            function = recognised(replay.values[x], value)
            if function is not None:
                found.append(Applied(function, x, y, op))
    return found


LINEAR = {"mul", "add", "add_any", "sub", "div", "neg", "convert_element_type", "copy"}
ELEMENTWISE = LINEAR | {
    *("exp", "log", "log1p", "expm1", "tanh", "logistic", "sqrt", "rsqrt", "square", "sin", "cos"),
    *("abs", "erf", "erfc", "integer_pow", "pow", "max", "min", "select_n", "cbrt", "tan", "atan"),
}


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
    at_head = is_head(replay, a.y)
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
        1,
    )
    for slip in f.slips:

        def slope(a: Applied, replay: Replay, dy: Any, slip: Any = slip) -> Any:
            return slip.f(replay.values[a.y if slip.of_output else a.x])

        code = "wrong_point" if slip.point else "wrong_derivative"
        rank: float = 2 if slip.point else 3
        if a.x not in a.op.inputs:  # several operations: the whole is likelier than its parts
            rank -= 1.3
        if at_head and f.name.startswith(("the power", "the size")):
            code, rank = "wrong_loss", 2
        yield code, local(slope), f"takes {slip.said} for the derivative of {f.name}", needs, rank
    yield (
        "wrong_derivative",
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
    yield from _elsewhere(group, replay, parts)


def _averaged(f: Function, local: Any) -> Iterator[MadeFunction]:
    def of(a: Applied) -> Rule:
        def rule(op: Operation, replay: Replay, dy: Any) -> Any:
            slope = f.of_x(replay.values[a.x])
            return {a.x: _row_means(dy) * _row_means(slope)}

        return rule

    does = f"multiplies the batch means of the error and of the derivative of {f.name}"
    yield "premature_average", of, does, "the mean of their products, row by row", 6


def _elsewhere(group: list[Applied], replay: Replay, parts: Counterparts) -> Iterator[MadeFunction]:
    """The right derivative at a value of another place."""
    a = group[0]
    f, shape = a.function, np.shape(replay.values[a.y])
    if not shape or f.name.startswith(("the power", "exp", "log", "1/x")):
        return
    run_of = {a.op.index: t for t, a in enumerate(group)}
    near = sorted(_same_shape(replay, shape), key=lambda i: abs(i - a.y))[:24]
    for i in near:
        if i in (a.x, a.y):
            continue
        row = parts.row(i, len(group))
        for slope in filter(None, (f.of_y, f.of_x)):

            def of(a: Applied, row: list[int] = row, slope: Any = slope) -> Rule:
                return _slope_at(a, row[run_of[a.op.index]], slope)

            does = f"takes the derivative of {f.name} at a value of another place"
            yield "wrong_point", of, does, f"its derivative, {f.due}, at its own input", 8


def _same_shape(replay: Replay, shape: tuple[int, ...]) -> Iterator[int]:
    seen: set[bytes] = set()
    for i, value in enumerate(replay.values):
        if np.shape(value) == shape and is_float(value):
            data = np.asarray(value).tobytes()
            if data not in seen:
                seen.add(data)
                yield i


LINEAR_IN_LOSS = {
    *("reduce_sum", "mul", "div", "neg", "add", "add_any", "sub", "reshape", "copy"),
    *("convert_element_type", "broadcast_in_dim", "squeeze", "select_n", "transpose"),
}


def is_head(replay: Replay, number: int) -> bool:
    """Whether a value goes into the loss by sums and constant factors alone."""
    if not hasattr(replay, "heads"):
        heads = {replay.result}
        for op in reversed(replay.operations):
            if op.outputs[0] in heads and op.name in LINEAR_IN_LOSS:
                heads.update(op.inputs)
        replay.heads = heads  # type: ignore[attr-defined]
    return number in replay.heads  # type: ignore[attr-defined]


# Rules.


def _times(factor: float) -> Rule:
    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        return [None if ct is None else factor * ct for ct in right_rule(op, replay, dy)]

    return rule


def _lost(op: Operation, replay: Replay, dy: Any) -> Any:
    return [None] * len(op.inputs)


def _without(i: int, factor: float = 0.0) -> Rule:
    """The rule with the cotangent of input i multiplied, 0 by default."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        cts[i] = None if cts[i] is None else factor * cts[i]
        return cts

    return rule


def _input(op: Operation, replay: Replay) -> Any:
    return replay.values[op.inputs[0]]


def _output(op: Operation, replay: Replay) -> Any:
    return replay.values[op.outputs[0]]


def _said(op: Operation) -> str:
    names = {
        "integer_pow": f"the power {op.params.get('y')}",
        "dot_general": "the matrix product",
        "mul": "the product",
        "div": "the quotient",
        "sub": "the difference",
        "add": "the sum",
        "logistic": "the sigmoid",
        "reduce_sum": "the sum",
        "reduce_max": "the maximum",
        "max": "the maximum",
        "neg": "the minus",
    }
    return names.get(op.name, op.name)


# Several inputs.


def _of_paths(op: Operation, replay: Replay) -> Iterator[Made]:
    for i, number in enumerate(op.inputs):
        if not is_float(replay.values[number]):
            continue
        said = f"the path through {_ordinal(i)} operand of {_said(op)}"
        yield "dropped_path", _without(i), f"loses {said}", "its contribution too", 2
        yield "double_counted", _without(i, 2.0), f"counts {said} twice", "it once", 6
        if op.name in ("add", "add_any", "sub", "dot_general"):
            does = f"has the sign of {said} the other way round"
            yield "sign", _without(i, -1.0), does, "its sign", 5


def _of_larger(op: Operation, replay: Replay) -> Iterator[Made]:
    """max(a, b) or min(a, b): which of the two is chosen."""

    def both(op: Operation, replay: Replay, dy: Any) -> Any:
        return [_summed_to(dy, replay.values[i]) for i in op.inputs]

    def turned(op: Operation, replay: Replay, dy: Any) -> Any:
        a, b = right_rule(op, replay, dy)
        a, b = (np.broadcast_to(x, np.shape(dy)) for x in (a, b))
        return [_summed_to(x, replay.values[i]) for x, i in zip((b, a), op.inputs, strict=True)]

    needs = "the derivative of the one that was chosen"
    yield "dropped_derivative", both, f"passes through {_said(op)} to both", needs, 3
    yield "wrong_derivative", turned, f"chooses the other one of {_said(op)}", needs, 3


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

        yield (
            "dropped_derivative",
            unscaled,
            f"does not multiply by the other factor of {_said(op)}",
            f"d{_said(op)[4:]} = the other factor",
            4,
        )
        if op.name == "mul" and np.shape(replay.values[a]) == np.shape(replay.values[b]):

            def itself(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
                cts = list(right_rule(op, replay, dy))
                cts[i] = dy * replay.values[op.inputs[i]]
                return cts

            yield (
                "wrong_point",
                itself,
                "multiplies by the factor itself, not by the other one",
                "the other factor",
                5,
            )
    if op.name == "mul":
        yield from _other_factor(op, replay)
    if op.name == "div":

        def undivided(op: Operation, replay: Replay, dy: Any) -> Any:
            below = replay.values[op.inputs[1]]
            return [None if ct is None else ct * below for ct in right_rule(op, replay, dy)]

        does = "does not divide by the denominator"
        yield "dropped_derivative", undivided, does, "the factor one over the denominator", 4
        for power, said in ((1, "-a/b"), (3, "-a/b^3"), (0, "-a")):

            def other(op: Operation, replay: Replay, dy: Any, power: int = power) -> Any:
                cts = list(right_rule(op, replay, dy))
                x, y = (replay.values[n] for n in op.inputs)
                cts[1] = _fit(-dy * x / y**power, y)
                return cts

            if is_float(replay.values[b]):
                yield (
                    "wrong_derivative",
                    other,
                    f"takes {said} for d(a/b)/db",
                    "-a / b^2",
                    5,
                )
        if is_float(replay.values[b]):
            yield "sign", _without(1, -1.0), "has d(a/b)/db without its minus", "-a / b^2", 5


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
            yield (
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

        yield "transpose", turned, "has this matrix's gradient transposed", "its transpose", 4

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
            yield "transpose", reshaped, does, "its transpose", 4
    y = _output(op, replay)
    if np.ndim(y) >= 2 and y.shape[-1] == y.shape[-2]:
        for i in range(2):

            def error_turned(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
                cts = list(right_rule(op, replay, dy))
                cts[i] = right_rule(op, replay, np.swapaxes(dy, -1, -2))[i]
                return cts

            does = "multiplies by the incoming gradient where its transpose belongs"
            yield "transpose", error_turned, does, "its transpose, or none", 4
    yield from _other_factor(op, replay)
    for i in range(2):
        if np.ndim(replay.values[op.inputs[i]]) == 1 and is_float(replay.values[op.inputs[1 - i]]):

            def without_vector(op: Operation, replay: Replay, dy: Any, i: int = i) -> Any:
                cts = list(right_rule(op, replay, dy))
                inputs = replay.inputs_of(op)
                inputs[i] = np.ones_like(inputs[i])
                cts[1 - i] = right_rule(op, replay, dy, inputs)[1 - i]
                return cts

            does = "does not multiply by the vector of the product"
            yield "dropped_derivative", without_vector, does, "the vector as a factor", 4

    def averaged(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        if cts[1] is not None:
            inputs = replay.inputs_of(op)
            inputs[0] = _row_means(inputs[0])
            cts[1] = right_rule(op, replay, _row_means(dy), inputs)[1]
        return cts

    if _sums_rows(op, replay):
        yield (
            "premature_average",
            averaged,
            "multiplies the mean of the inputs over the batch by the mean of the errors",
            "the mean of their products, x^T dy",
            1,
        )


def _sums_rows(op: Operation, replay: Replay) -> bool:
    """Whether the second input's gradient is a sum over the first axis, the rows of a batch."""
    x, y = _input(op, replay), _output(op, replay)
    (contract, _), batch = op.params["dimension_numbers"]
    rows = bool(np.ndim(x) and np.ndim(y)) and 0 not in contract and not batch[0]
    return rows and x.shape[0] == y.shape[0]


def _other_factor(op: Operation, replay: Replay) -> Iterator[Made]:
    """The gradient of one factor with a value of another place for the other one."""
    for i in range(2):
        shape = np.shape(replay.values[op.inputs[i]])
        near = sorted(_same_shape(replay, shape), key=lambda k: abs(k - op.outputs[0]))[:16]
        for k in near:
            if shape and k not in op.inputs:
                does = "multiplies by a value of another place where this product's factor belongs"
                yield "wrong_point", _with_operand(i, k), does, "the factor of the product", 6.4


def _row_means(x: Any) -> Any:
    return np.broadcast_to(np.mean(x, axis=0), np.shape(x))


def _of_choice(op: Operation, replay: Replay) -> Iterator[Made]:
    """A mask that is left out, or turned round, or another one."""
    cases = [i for i in range(1, len(op.inputs)) if is_float(replay.values[op.inputs[i]])]
    for i in cases:
        yield (
            "dropped_path",
            _without(i),
            f"loses the path through {_ordinal(i - 1)} case of the choice",
            "it where that case was chosen",
            3,
        )

    def unmasked(op: Operation, replay: Replay, dy: Any) -> Any:
        return [dy if i in cases else None for i in range(len(op.inputs))]

    yield (
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

    yield "wrong_derivative", turned, "has the mask the other way round", "1 where it is true", 4


# Sums, copies, layouts.


def _of_reduction(op: Operation, replay: Replay) -> Iterator[Made]:
    said = _said(op)
    yield "dropped_path", _without(0), f"loses the path through {said}", "its contribution too", 3
    yield "double_counted", _without(0, 2.0), f"counts the path through {said} twice", "it once", 7
    shape = np.shape(_input(op, replay))
    n = int(np.prod([shape[i] for i in op.params["axes"]]))
    if op.name == "reduce_sum" and n > 1:
        yield (
            "scale",
            _times(1 / n),
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
        yield "wrong_derivative", spread, f"gives every entry the gradient of {said}", needs, 3
        yield "wrong_derivative", shared, f"shares the gradient of {said} among all", needs, 3


def _of_broadcast(op: Operation, replay: Replay) -> Iterator[Made]:
    x, y = _input(op, replay), _output(op, replay)
    copies = np.size(y) // max(1, np.size(x))
    if copies > 1 and np.size(x):
        yield (
            "scale",
            _times(1 / copies),
            f"takes the mean over the {copies} copies",
            "their sum",
            6,
        )

        def one(which: int) -> Rule:
            def rule(op: Operation, replay: Replay, dy: Any) -> Any:
                shape = np.shape(_input(op, replay))
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
            yield "partial_batch", one(which), f"takes the {said} copy only", "the sum over all", 5
        yield "dropped_path", _without(0), "loses the path through a copied value", "it too", 5


def _of_gather(op: Operation, replay: Replay) -> Iterator[Made]:
    """Rows looked up more than once, of which the last overwrites the others."""
    yield "dropped_path", _without(0), "loses the path through the lookup", "it too", 4

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
    table = _input(op, replay)
    of_rows = tuple(dims.collapsed_slice_dims) == (0,) and tuple(dims.start_index_map) == (0,)
    whole = tuple(op.params["slice_sizes"][1:]) == np.shape(table)[1:]
    if of_rows and whole:
        yield (
            "partial_entries",
            overwriting,
            "lets repeated indices overwrite each other",
            "the sum over all lookups of a row",
            1,
        )


def _of_layout(op: Operation, replay: Replay) -> Iterator[Made]:
    x = _input(op, replay)

    def untouched(op: Operation, replay: Replay, dy: Any) -> Any:
        return (np.reshape(dy, np.shape(x)),)

    def fortran(op: Operation, replay: Replay, dy: Any) -> Any:
        return (np.reshape(dy, np.shape(x), order="F"),)

    if op.name == "transpose":
        yield "transpose", untouched, "does not transpose back", "the inverse transpose", 3
    elif np.ndim(x) > 1 or np.ndim(_output(op, replay)) > 1:
        yield (
            "transpose",
            fortran,
            "reshapes in the wrong order",
            "the order of the forward pass",
            4,
        )


# Mistakes that take several operations.


def composites(replay: Replay, places: Places, moving: set[int]) -> Iterator[Alteration]:
    """Mistakes that span several operations."""
    yield from _softmax(replay, places)
    yield from _averages(replay, places, moving)
    yield from _other_losses(replay, places, moving)


def _softmax(replay: Replay, places: Places) -> Iterator[Alteration]:
    """Softmax's Jacobian, diag(s) - s s^T, replaced by something simpler."""
    made_by = {o: op for op in replay.operations for o in op.outputs}
    found: list[tuple[Operation, Operation]] = []
    for op in replay.operations:
        if op.name != "div":
            continue
        top, bottom = (_through_copies(made_by, i) for i in op.inputs)
        if top is None or bottom is None or top.name != "exp" or bottom.name != "reduce_sum":
            continue
        if _through_copies(made_by, bottom.inputs[0]) is top:
            found.append((op, top))
    needs = "diag(s) - s s^T: every output depends on every input"
    slips: tuple[tuple[str, str, Callable[[Any, Any], Any], int], ...] = (
        ("wrong_derivative", "takes only the diagonal s (1 - s) of softmax's Jacobian",
         lambda y, dy: dy * y * (1 - y), 1),
        ("dropped_derivative", "passes through softmax as if its Jacobian were the identity",
         lambda y, dy: dy * np.ones_like(y), 1),
        ("dropped_path", "takes diag(s) for softmax's Jacobian, without s s^T",
         lambda y, dy: dy * y, 2),
        ("wrong_derivative", "takes s s^T - diag(s), minus softmax's Jacobian,",
         lambda y, dy: y * np.sum(dy * y, axis=-1, keepdims=True) - dy * y, 4),
        ("wrong_derivative", "has softmax's Jacobian as diag(s) - s, without the product,",
         lambda y, dy: y * (dy - np.sum(dy, axis=-1, keepdims=True)), 4),
        ("wrong_derivative", "has the mean for the weighted sum in softmax's Jacobian",
         lambda y, dy: y * (dy - np.mean(dy, axis=-1, keepdims=True)), 4),
        ("wrong_derivative", "leaves out the factor s in softmax's Jacobian",
         lambda y, dy: dy - np.sum(dy * y, axis=-1, keepdims=True), 4),
    )  # fmt: skip
    tops = {op.index: top for op, top in found}
    for ops in runs([op for op, _ in found]):
        for code, does, jacobian, rank in slips:

            def rule(op: Operation, replay: Replay, dy: Any, jacobian: Any = jacobian) -> Any:
                return {tops[op.index].inputs[0]: jacobian(_output(op, replay), dy)}

            yield _applied((code, rule, does, needs, rank), ops, places)


def _through_copies(made_by: Mapping[int, Operation], number: int) -> Operation | None:
    op = made_by.get(number)
    while op is not None and op.name in (
        "broadcast_in_dim", "reshape", "convert_element_type", "expand_dims", "squeeze", "copy",
    ):  # fmt: skip
        op = made_by.get(op.inputs[0])
    return op


def _averages(replay: Replay, places: Places, moving: set[int]) -> Iterator[Alteration]:
    """Every factor averaged over the batch before it is multiplied."""
    sizes = [np.shape(replay.values[i])[:1] for op in replay.operations for i in op.outputs]
    counted = [s[0] for s in sizes if s and s[0] > 1]
    for n in sorted(set(counted), key=counted.count, reverse=True)[:2]:

        def rule(op: Operation, replay: Replay, dy: Any, n: int = n) -> Any:
            return _with_means(op, replay, dy, n)

        ops = [op for op in replay.operations if carries(op, replay, moving)]
        functions = applied_functions(replay, moving)
        rules: dict[int, Rule] = {op.index: rule for op in ops}
        for a in functions:

            def mean_slope(op: Operation, replay: Replay, dy: Any, a: Applied = a) -> Any:
                return {a.x: _row_means(dy) * _row_means(a.function.of_x(replay.values[a.x]))}

            if np.ndim(replay.values[a.y]) and np.shape(replay.values[a.y])[0] == n:
                rules[a.op.index] = mean_slope
        first = next((op for op in ops if op.name == "dot_general"), ops[0] if ops else None)
        if first is not None:
            yield Alteration(
                "premature_average",
                places.of([first]),
                rules,
                f"averages every factor over the {n} rows of the batch before multiplying",
                "the mean of the products, row by row",
                2,
            )


def _with_means(op: Operation, replay: Replay, dy: Any, n: int) -> Any:
    """The rule with its inputs and dy averaged over rows."""

    def mean(x: Any) -> Any:
        if is_float(x) and np.ndim(x) and np.shape(x)[0] == n:
            return _row_means(x)
        return x

    if op.name in ("loop_row", "loop_stack") or isinstance(dy, list):
        return right_rule(op, replay, dy)
    inputs = replay.inputs_of(op)
    if op.name in ("mul", "div", "dot_general"):
        inputs = [mean(x) for x in inputs]
    return right_rule(op, replay, mean(dy), inputs)


def _other_losses(replay: Replay, places: Places, moving: set[int]) -> Iterator[Alteration]:
    """The gradient that another loss of the same outputs and targets would send back."""
    uses: dict[int, list[Operation]] = {}
    for op in replay.operations:
        for i in op.inputs:
            uses.setdefault(i, []).append(op)
    made_by = {o: op for op in replay.operations for o in op.outputs}
    head = head_place(replay, moving)
    for number in sorted(moving, reverse=True):
        value = replay.values[number]
        if np.ndim(value) == 0 or number not in made_by or number not in uses:
            continue
        for said, slope in _errors(replay, made_by[number], value, moving):

            def rule(op: Operation, replay: Replay, dy: Any, slope: Any = slope) -> Any:
                return right_rule(op, replay, slope(replay) / np.size(dy))

            yield Alteration(
                "wrong_loss",
                head,
                {made_by[number].index: rule},
                f"starts from {said}, the derivative of another loss",
                "the derivative of this loss",
                3.5,
            )


def head_place(replay: Replay, moving: set[int]) -> str:
    """Where the loss is formed: its last operation that is no sum and no constant factor."""
    for op in reversed(replay.operations):
        linear = op.name in LINEAR_IN_LOSS and sum(i in moving for i in op.inputs) < 2
        if op.outputs[0] in moving and not linear and op.frames:
            return op.frames[0]
    return replay.operations[-1].frames[0] if replay.operations else ""


def _errors(
    replay: Replay, op: Operation, value: Any, moving: set[int]
) -> Iterator[tuple[str, Callable[[Replay], Any]]]:
    """Derivatives of the common losses by a value, given the arrays it may be compared with."""
    number = op.outputs[0]

    def own(replay: Replay) -> Any:
        return replay.values[number]

    if op.name == "sub":
        yield "the error itself", own
        yield "the squared error", lambda replay: own(replay) ** 2
        yield "the size of the error", lambda replay: np.abs(own(replay))
        yield "the sign of the error", lambda replay: np.sign(own(replay))
        yield "the cubed error", lambda replay: own(replay) ** 3
        yield "one", lambda replay: np.ones_like(own(replay))
    for target in _targets(replay, np.shape(value), moving):
        yield from _differences(own, target)


Outputs: TypeAlias = Callable[[Replay], Any]


def _differences(own: Outputs, target: Any) -> Iterator[tuple[str, Outputs]]:
    """What losses that compare outputs with targets send back: the difference, its square, sign."""

    def of(f: Callable[[Any], Any], after: Callable[[Any], Any]) -> Outputs:
        return lambda replay: after(f(own(replay)) - target)

    for said, f in (
        ("prediction minus target", np.asarray),
        ("sigmoid(output) - target", _sigmoid),
        ("softmax(output) - target", _softmax_of),
        ("exp(output) - target", np.exp),
        ("tanh(output) - target", np.tanh),
    ):
        for after in (np.asarray, np.square, np.sign):
            yield said, of(f, after)
    yield "minus the target", lambda replay: -target
    yield "minus target / prediction", lambda replay: -target / own(replay)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softmax_of(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _targets(replay: Replay, shape: tuple[int, ...], moving: set[int]) -> Iterator[Any]:
    """Constant arrays that a value of this shape may be compared with, classes as one-hot rows."""
    seen: set[bytes] = set()
    for i, array in enumerate(replay.values):
        if i in moving or np.size(array) < 2 or isinstance(array, np.generic):
            continue
        array = np.asarray(array) if isinstance(array, np.ndarray) else None
        if array is None:
            continue
        target = None
        if array.shape == shape and array.dtype.kind in "fiub":
            target = array.astype(float)
        elif array.dtype.kind in "iu" and len(shape) == 2 and array.size == shape[0]:
            classes = array.reshape(-1)
            if classes.min() >= 0 and classes.max() < shape[1]:
                target = np.eye(shape[1])[classes]
        if target is not None and target.tobytes() not in seen:
            seen.add(target.tobytes())
            yield target
        if len(seen) > 4:
            return
