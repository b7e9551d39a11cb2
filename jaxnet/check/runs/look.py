"""A look inside the loss at one point: where the predictions are, its units, its layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet.check.record import TooLong, record
from jaxnet.check.replay import Operation, Replay
from jaxnet.check.runs.trial import Trial
from jaxnet.check.runs.work import entries
from jaxnet.check.witness import compiled

PARAMS, INPUTS, TARGETS = 1, 2, 4
"""What a value depends on, as bits."""

LARGEST = 3e6
"""Numbers that a loss may make on its way for all rows to be looked at; else part of them is, drawn
at random."""

ROWS = 256
"""Rows that are looked at at least, if there are so many."""

SATURATED = 0.05
"""An entry is saturated where the slope is below this share of the largest."""


class Layer(NamedTuple):
    """A product with parameters: the root mean square of its output and of the gradient there."""

    value: int
    size: float
    gradient: float
    where: str | None


class Units(NamedTuple):
    """The units of an activation: which share is dead, and of its entries, saturated.

    output says that they are the predictions. each has, for every unit, the share of the rows where
    it is zero (relu) or saturated.
    """

    kind: str
    units: int
    dead: float
    saturated: float
    output: bool
    where: str | None
    each: tuple[float, ...]


@dataclass(frozen=True)
class Look:
    """The loss as it ran on some rows, and what each of its values depends on.

    output is the number of the value that holds the predictions, as the last parameters leave them
    (the logits, if a sigmoid or a softmax follows); None if there is no such value.
    """

    replay: Replay
    rows: np.ndarray
    depends: tuple[int, ...]
    output: int | None

    @property
    def predictions(self) -> np.ndarray | None:
        """The predictions of the rows."""
        return None if self.output is None else np.asarray(self.replay.values[self.output])

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The products of something that depends on the inputs with parameters, in order."""
        cts, found = self.replay.base.values, []
        for op in self.replay.operations:
            kinds = {self.depends[i] for i in op.inputs}
            if op.name not in ("dot_general", "conv_general_dilated") or TARGETS & max(kinds):
                continue
            if PARAMS in kinds and any(k & INPUTS for k in kinds):
                y = op.outputs[0]
                dy = cts.get(y)
                size, slope = _rms(self.replay.values[y]), 0.0 if dy is None else _rms(dy)
                found.append(Layer(y, size, slope, _where(op)))
        return tuple(found)

    @cached_property
    def units(self) -> tuple[Units, ...]:
        """The activations that can die or saturate."""
        found = []
        for op in self.replay.operations:
            if self.depends[op.outputs[0]] != PARAMS | INPUTS:
                continue
            y = np.asarray(self.replay.values[op.outputs[0]])
            if y.ndim < 1:
                continue
            kind = self._kind(op)
            if kind is None or y.shape[0] != len(self.rows):
                continue
            flat = y.reshape(-1, y.shape[-1] if y.ndim > 1 else 1)
            dead = saturated = 0.0
            if kind == "relu":
                each = (flat <= 0).mean(axis=0)
                dead = float((each == 1).mean())
            else:
                slope = 1 - flat**2 if kind == "tanh" else 4 * flat * (1 - flat)
                each = (slope < SATURATED).mean(axis=0)
                saturated = float(each.mean())
            last = self.output is not None and op.outputs[0] > self.output
            shares = tuple(map(float, each))
            found.append(Units(kind, flat.shape[1], dead, saturated, last, _where(op), shares))
        return tuple(found)

    def _kind(self, op: Operation) -> str | None:
        values = [np.asarray(self.replay.values[i]) for i in op.inputs]
        if op.name in ("tanh", "logistic"):
            gate = any(
                op.outputs[0] in other.inputs and op.inputs[0] in other.inputs
                for other in self.replay.operations
                if other.name == "mul"
            )
            return None if gate else op.name  # x sigmoid(x) does not saturate
        zero = [
            self.depends[i] == 0 and not v.any() for i, v in zip(op.inputs, values, strict=True)
        ]
        if (op.name == "max" and any(zero)) or (op.name == "select_n" and any(zero[1:])):
            return "relu"
        one_over = op.name == "div" and self.depends[op.inputs[0]] == 0 and (values[0] == 1).all()
        if one_over and (values[1] >= 1).all():
            return "logistic"
        return None

    def reached(self) -> list[bool]:
        """Which leaves the gradient gets to: those that no stop or step function cuts off."""
        return [i in self.replay.base.values for i in self.replay.parameters]

    @cached_property
    def penalties(self) -> frozenset[tuple[int, int]]:
        """The terms of the loss of parameters alone: (sum, value that goes into it) by number.

        None are told apart where parameters come in elsewhere after the predictions, as a standard
        deviation does that both divides the errors and has a term of its own.
        """
        terms = set()
        for op in self.replay.operations:
            head = op.name in ("add", "sub", "add_any") and op.outputs[0] in self.replay.heads
            if head and any(self.depends[i] & TARGETS for i in op.inputs):
                terms |= {(op.index, i) for i in op.inputs if self.depends[i] == PARAMS}
        made = self.replay.made_by
        known = {i: bits for i, bits in enumerate(self.depends) if i not in made}
        left = _dependence(self.replay, known, cut=self.output, without=frozenset(terms))
        return frozenset() if left[self.replay.result] & PARAMS else frozenset(terms)

    def penalty(self) -> Any:
        """The terms of the loss of parameters alone, as a function: params -> scalar."""
        replay, ops = self.replay, self.replay.operations
        needed = [op for op in ops if self.depends[op.outputs[0]] == PARAMS]
        factors = [
            (i, replay.base.inputs[number][ops[number].inputs.index(i)])
            for number, i in sorted(self.penalties)
        ]

        def penalty(params: Any) -> Any:
            leaves = jax.tree.leaves(params)
            new = self._run(needed, dict(zip(replay.parameters, leaves, strict=True)))
            # The loss is linear in each term, so its slope there is all that comes after.
            return sum(jax.numpy.sum(new.get(i, replay.values[i]) * slope) for i, slope in factors)

        return penalty

    def tail(self) -> Any:
        """The loss as a function of the predictions alone, without its penalties: z -> scalar."""
        assert self.output is not None
        replay, output = self.replay, self.output
        moved, needed = {output}, []
        for op in replay.operations:
            if moved & set(op.inputs) and output not in op.outputs:
                needed.append(op)
                moved |= set(op.outputs)

        def loss(z: Any) -> Any:
            return self._run(needed, {output: z}, self.penalties)[replay.result]

        return compiled(jax.value_and_grad(loss))

    def _run(
        self,
        operations: Sequence[Operation],
        new: dict[int, Any],
        without: frozenset[tuple[int, int]] = frozenset(),
    ) -> dict[int, Any]:
        """Some operations with new values, and 0 for the terms `without`; all else as it is."""
        new = dict(new)
        for op in operations:
            inputs = [new.get(i, self.replay.values[i]) for i in op.inputs]
            inputs = [
                0 * x if (op.index, i) in without else x
                for i, x in zip(op.inputs, inputs, strict=True)
            ]
            if op.name == "loop_row":
                new[op.outputs[0]] = inputs[0][op.params["row"]]
            elif op.name == "loop_stack":
                new[op.outputs[0]] = jax.numpy.stack(inputs)
            else:
                out = op.bind(*map(_array, inputs))
                new |= zip(op.outputs, out if isinstance(out, list | tuple) else [out], strict=True)
        return new


def _array(x: Any) -> Any:
    return jax.numpy.asarray(x) if isinstance(x, np.ndarray | np.generic) else x


def look(trial: Trial, params: Any, x: Any = None, t: Any = None) -> Look | None:
    """Run the loss on some rows operation by operation; None if it has too many operations."""
    n = trial.rows
    x, t = trial.x if x is None else x, trial.t if t is None else t
    closed = jax.make_jaxpr(trial.loss)(params, x, t)
    most = max(ROWS, int(n * LARGEST / max(1.0, entries(closed.jaxpr))))
    rows = np.arange(n)
    if n > most:
        rows = np.sort(np.random.default_rng(0).choice(n, most, replace=False))
    x, t = jax.tree.map(lambda a: np.asarray(a)[rows], (x, t))
    if n > most:
        closed = jax.make_jaxpr(trial.loss)(params, x, t)
    leaves = [jax.tree.leaves(part) for part in (params, x, t)]
    try:
        replay = record(closed, [leaf for part in leaves for leaf in part], len(leaves[0]))
    except TooLong:
        return None
    bits = [bit for bit, part in zip((PARAMS, INPUTS, TARGETS), leaves, strict=True) for _ in part]
    depends = _dependence(replay, dict(enumerate(bits)))
    return Look(replay, rows, depends, _output(replay, depends, bits, len(rows)))


def _dependence(
    replay: Replay,
    sources: dict[int, int],
    cut: int | None = None,
    without: frozenset[tuple[int, int]] = frozenset(),
) -> tuple[int, ...]:
    """What every value depends on, if `cut` and the inputs `without` depend on nothing."""
    bits = [0] * len(replay.values)
    for number, bit in sources.items():
        bits[number] = bit
    for op in replay.operations:
        known = 0
        for i in op.inputs:
            known |= 0 if (op.index, i) in without else bits[i]
        for i in op.outputs:
            bits[i] = 0 if i == cut else known
    return tuple(bits)


def _output(replay: Replay, depends: Sequence[int], bits: list[int], rows: int) -> int | None:
    """The first value after which no parameters come in before the targets do."""
    both = PARAMS | INPUTS
    meeting = {
        i
        for op in replay.operations
        if any(depends[o] & TARGETS for o in op.outputs)
        for i in op.inputs
        if depends[i] == both
    }
    if not meeting:
        return None
    candidates = [
        o
        for op in replay.operations
        for o in op.outputs
        if depends[o] == both and o <= max(meeting) and np.ndim(replay.values[o]) > 0
    ]
    for value in candidates[-300:]:
        if np.shape(replay.values[value])[0] != rows:
            continue
        left = _dependence(replay, dict(enumerate(bits)), cut=value)
        if not any(left[i] & PARAMS for i in meeting):
            return value
    return None


def _rms(a: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.mean(np.square(np.asarray(a, np.float64)))))


def _where(op: Operation) -> str | None:
    return op.frames[0] if op.frames else None
