"""An alteration of a replay: a mistake at one place, as other rules for some operations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.alterations.places import Places
from jaxnet.check.replay import Operation, Replay, Rule, right_rule


@dataclass(frozen=True)
class Alteration:
    """A mistake at one place.

    rules has the altered rules by the numbers of the operations, where the place in the source.
    does says what the gradient does, needs what the loss needs. rank orders alterations that come
    to the same gradient: the lower, the likelier. path names what is lost, if something is. runs
    is the number of runs of a loop of which one is altered, or all but one.
    """

    code: str
    where: str
    rules: Mapping[int, Rule]
    does: str
    needs: str
    rank: float = 5
    path: str = ""
    runs: int = 0


class Made(NamedTuple):
    """An alteration of one operation, not yet applied to its runs.

    source is the operation to point at, if it is another one.
    """

    code: str
    rule: Rule
    does: str
    needs: str
    rank: float
    path: str = ""
    source: Operation | None = None


def lost_path(rule: Rule, path: str, needs: str, rank: float) -> Made:
    """The alteration that loses one of several contributions."""
    return Made("dropped_path", rule, f"loses {path}", needs, rank, path)


def applied(
    made: Made, ops: Sequence[Operation], places: Places, rules: Mapping[int, Rule]
) -> Alteration:
    """An alteration of one operation applied to these, each by its own rule."""
    rank = made.rank + 1.4 * ops[0].library  # people rarely take JAX's own functions apart
    where = places.of([made.source] if made.source is not None else ops)
    return Alteration(made.code, where, rules, made.does, made.needs, rank, made.path)


def weighted(a: Alteration, weight: float) -> Alteration:
    """The alteration that counts with this weight what another one loses."""

    def of(lost: Rule) -> Rule:
        def rule(op: Operation, replay: Replay, dy: Any) -> Any:
            return [
                None if right is None else weight * right + (1 - weight) * (0 if ct is None else ct)
                for right, ct in zip(right_rule(op, replay, dy), lost(op, replay, dy), strict=True)
            ]

        return rule

    code, does, rank = "wrong_derivative", f"counts {a.path} {weight:.6g} times", 6.0
    needs = "it once"
    if abs(weight - 2) < 1e-4:
        code, does, rank = "double_counted", f"counts {a.path} twice", 4.0
    if abs(weight + 1) < 1e-4:
        code, does, rank = "sign", f"has the sign of {a.path} the other way round", 4.0
        needs = "it with its own sign"
    return replace(
        a,
        code=code,
        rules={index: of(rule) for index, rule in a.rules.items()},
        does=does,
        needs=needs,
        rank=rank + a.rank - 2,
    )


def times(factor: float) -> Rule:
    """The rule with all cotangents multiplied."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        return [None if ct is None else factor * ct for ct in right_rule(op, replay, dy)]

    return rule


def lost(op: Operation, replay: Replay, dy: Any) -> Any:
    """The rule that passes nothing on."""
    return [None] * len(op.inputs)


def without(i: int, factor: float = 0.0) -> Rule:
    """The rule with the cotangent of input i multiplied, 0 by default."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        cts[i] = None if cts[i] is None else factor * cts[i]
        return cts

    return rule


def with_operand(i: int, other: int, of: Callable[[Any], Any] = np.asarray) -> Rule:
    """The rule with (a function of) another value for operand i, in the other one's gradient."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        inputs = replay.inputs_of(op)
        inputs[i] = of(replay.values[other])
        cts[1 - i] = right_rule(op, replay, dy, inputs)[1 - i]
        return cts

    return rule


def input_of(op: Operation, replay: Replay) -> Any:
    """The first value that went into an operation."""
    return replay.values[op.inputs[0]]


def output_of(op: Operation, replay: Replay) -> Any:
    """The value that came out of an operation."""
    return replay.values[op.outputs[0]]


def said_operation(op: Operation) -> str:
    """An operation in words."""
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


def row_means(x: Any) -> Any:
    """Every row replaced by the mean over the rows."""
    return np.broadcast_to(np.mean(x, axis=0), np.shape(x))
