"""Wrong Jacobians of softmax."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxnet.check.alterations.alteration import Alteration, Made, applied, output_of
from jaxnet.check.alterations.places import Places, made_through_copies, runs
from jaxnet.check.replay import Operation, Replay


def of_softmax(replay: Replay, places: Places) -> Iterator[Alteration]:
    """Softmax's Jacobian, diag(s) - s s^T, replaced by something simpler."""
    made_by = {o: op for op in replay.operations for o in op.outputs}
    found: list[tuple[Operation, Operation]] = []
    for op in replay.operations:
        if op.name != "div":
            continue
        top, bottom = (made_through_copies(made_by, i) for i in op.inputs)
        if top is None or bottom is None or top.name != "exp" or bottom.name != "reduce_sum":
            continue
        if made_through_copies(made_by, bottom.inputs[0]) is top:
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
                return {tops[op.index].inputs[0]: jacobian(output_of(op, replay), dy)}

            yield applied(Made(code, rule, does, needs, rank), ops, places)
