"""Factors averaged over the batch before they are multiplied."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxnet.check.alterations.alteration import Alteration, row_means
from jaxnet.check.alterations.places import Places
from jaxnet.check.alterations.slopes import Applied, applied_functions
from jaxnet.check.replay import Operation, Replay, Rule, is_float, right_rule


def of_averages(replay: Replay, places: Places) -> Iterator[Alteration]:
    """Every factor averaged over the batch before it is multiplied."""
    sizes = [np.shape(replay.values[i])[:1] for op in replay.operations for i in op.outputs]
    counted = [s[0] for s in sizes if s and s[0] > 1]
    for n in sorted(set(counted), key=counted.count, reverse=True)[:2]:

        def rule(op: Operation, replay: Replay, dy: Any, n: int = n) -> Any:
            return _with_means(op, replay, dy, n)

        ops = [op for op in replay.operations if op.outputs[0] in replay.moving]
        functions = applied_functions(replay)
        rules: dict[int, Rule] = {op.index: rule for op in ops}
        for a in functions:

            def mean_slope(op: Operation, replay: Replay, dy: Any, a: Applied = a) -> Any:
                return {a.x: row_means(dy) * row_means(a.function.of_x(replay.values[a.x]))}

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
            return row_means(x)
        return x

    if op.name in ("loop_row", "loop_stack") or isinstance(dy, list):
        return right_rule(op, replay, dy)
    inputs = replay.inputs_of(op)
    if op.name in ("mul", "div", "dot_general"):
        inputs = [mean(x) for x in inputs]
    return right_rule(op, replay, mean(dy), inputs)
