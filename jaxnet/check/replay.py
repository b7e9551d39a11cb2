"""A loss replayed operation by operation, backwards under altered rules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from jaxnet.check.primitives import PRIMITIVES

Cotangents: TypeAlias = Sequence[Any]
Rule: TypeAlias = Callable[["Operation", "Replay", Any], Cotangents | dict[int, Any]]
"""(operation, replay, cotangent of its output) -> the cotangents of its inputs; or a dict, with
the cotangents of any earlier values instead of them."""

Local: TypeAlias = Callable[["Operation", "Replay", Any], dict[int, Any]]
"""A rule of the second kind."""


@dataclass(frozen=True)
class Operation:
    """One primitive as it ran.

    inputs and outputs are numbers of values. frames are the places in the user's source that led
    to it, "file.py:12:7 (loss)", the innermost first. library says that it lies inside one of
    JAX's own functions.
    """

    index: int
    name: str
    params: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    frames: tuple[str, ...]
    library: bool
    bind: Callable[..., Any]


LINEAR_IN_LOSS = {
    *("reduce_sum", "mul", "div", "neg", "add", "add_any", "sub", "reshape", "copy"),
    *("convert_element_type", "broadcast_in_dim", "squeeze", "select_n", "transpose"),
}


@dataclass
class Replay:
    """A loss as it ran at one point: its operations, and every value between them.

    values has the arrays in the order they came to be; parameters are the numbers of those that
    the gradient is taken with respect to, result is that of the loss. carried has, for each scan,
    the values that its steps hand to the next. constant has the operations that pass nothing back:
    see `_shifts`. ties says what a tied maximum over an axis gives to each entry:
    see `shares`.
    """

    operations: list[Operation] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    parameters: tuple[int, ...] = ()
    carried: list[list[int]] = field(default_factory=list)
    result: int = 0
    constant: frozenset[int] = frozenset()
    ties: str = "shared"
    _pulls: dict[int, Any] = field(default_factory=dict)

    def add(self, value: Any) -> int:
        """Keep a value; gives its number."""
        self.values.append(value)
        return len(self.values) - 1

    def inputs_of(self, op: Operation) -> list[Any]:
        """The values that went into an operation."""
        return [self.values[i] for i in op.inputs]

    @cached_property
    def made_by(self) -> dict[int, Operation]:
        """The operation that gave each value, by the value's number."""
        return {o: op for op in self.operations for o in op.outputs}

    @cached_property
    def users(self) -> dict[int, list[Operation]]:
        """The operations that take each value, by the value's number."""
        users: dict[int, list[Operation]] = {}
        for op in self.operations:
            for i in dict.fromkeys(op.inputs):
                users.setdefault(i, []).append(op)
        return users

    @cached_property
    def moving(self) -> set[int]:
        """The numbers of the values that depend on the parameters."""
        moving = set(self.parameters)
        for op in self.operations:
            if any(i in moving for i in op.inputs):
                moving.update(o for o in op.outputs if is_float(self.values[o]))
        return moving

    @cached_property
    def base(self) -> "Backward":
        """The backward pass by the right rules."""
        return backward(self)

    @cached_property
    def passing(self) -> dict[int, tuple[bool, ...]]:
        """Which inputs of each operation a cotangent of its output reaches, by their rules."""
        return {op.index: _reached(op, self) for op in self.operations}

    @cached_property
    def distinct(self) -> dict[tuple[int, ...], list[int]]:
        """The numbers of the floating-point values by shape; equal arrays are there once."""
        found: dict[tuple[int, ...], dict[bytes, int]] = {}
        for i, value in enumerate(self.values):
            if is_float(value):
                data = np.asarray(value).tobytes()
                found.setdefault(np.shape(value), {}).setdefault(data, i)
        return {shape: list(numbers.values()) for shape, numbers in found.items()}

    @cached_property
    def heads(self) -> set[int]:
        """The numbers of the values that go into the loss by sums and constant factors alone."""
        heads = {self.result}
        for op in reversed(self.operations):
            if op.outputs[0] in heads and self.is_linear(op):
                heads.update(op.inputs)
        return heads

    def is_linear(self, op: Operation) -> bool:
        """Whether an operation is a sum, a copy, a choice, or a product with a constant."""
        several = sum(i in self.moving for i in op.inputs) > 1
        return op.name in LINEAR_IN_LOSS and not (several and op.name in ("mul", "div"))

    def pull_in_jax(self, op: Operation, dy: Any) -> Cotangents:
        """The cotangents of the inputs of an operation that is not in `PRIMITIVES`."""
        inputs = self.inputs_of(op)
        floating = [is_float(x) for x in inputs]
        if op.index not in self._pulls:

            def f(*moving: Any) -> Any:
                rest = iter(moving)
                return op.bind(
                    *(next(rest) if m else x for m, x in zip(floating, inputs, strict=True))
                )

            moving = [x for m, x in zip(floating, inputs, strict=True) if m]
            outputs, pull = jax.vjp(f, *moving)
            self._pulls[op.index] = (outputs, jax.jit(pull) if len(self.values) < 2000 else pull)
        outputs, pull = self._pulls[op.index]
        several = len(op.outputs) > 1
        shaped = jax.tree.map(
            lambda y, d: _cotangent(y, d), list(outputs) if several else outputs,
            list(dy) if several else dy, is_leaf=lambda d: d is None,
        )  # fmt: skip
        cts = iter(np.asarray(ct) for ct in pull(type(outputs)(shaped) if several else shaped))
        return [next(cts) if m else None for m in floating]


def _cotangent(y: Any, dy: Any) -> Any:
    if not jax.numpy.issubdtype(y.dtype, np.inexact):
        return np.zeros(y.shape, jax.dtypes.float0)
    return jax.numpy.zeros_like(y) if dy is None else jax.numpy.asarray(dy, y.dtype)


class Backward(NamedTuple):
    """A backward pass: the cotangent of every value, and of the inputs of every operation."""

    values: dict[int, Any]
    inputs: dict[int, Cotangents]


def is_float(x: Any) -> bool:
    """Whether a value can carry a cotangent."""
    return bool(jax.numpy.issubdtype(x.dtype, np.floating))


def as_array(x: Any) -> Any:
    """As a NumPy array, unless it is of a type that only JAX has, such as a key."""
    if isinstance(x, jax.Array) and jax.numpy.issubdtype(x.dtype, jax.dtypes.extended):
        return x
    return np.asarray(x)


def in_jax(x: Any) -> Any:
    """As a JAX array, if it is one of NumPy."""
    return jax.numpy.asarray(x) if isinstance(x, np.ndarray) else x


def right_rule(
    op: Operation, replay: Replay, dy: Any, inputs: Sequence[Any] | None = None
) -> Cotangents:
    """The operation's own reverse rule; at other inputs than its own, if they are given."""
    if op.index in replay.constant:
        return [None] * len(op.inputs)
    if op.name in EXTREMA and replay.ties != "shared":
        axes = tuple(op.params["axes"])
        return (np.expand_dims(dy, axes) * shares(op, replay),)
    if op.name in PRIMITIVES:
        output = replay.values[op.outputs[0]]
        reverse = PRIMITIVES[op.name].reverse
        return reverse(op.params, replay.inputs_of(op) if inputs is None else inputs, output, dy)
    return replay.pull_in_jax(op, dy)


def _reached(op: Operation, replay: Replay) -> tuple[bool, ...]:
    outputs = [replay.values[o] for o in op.outputs]
    if not any(map(is_float, outputs)):
        return (False,) * len(op.inputs)
    ones = [np.ones_like(y) if is_float(y) else None for y in outputs]
    cts = right_rule(op, replay, ones[0] if len(ones) == 1 else ones)
    return tuple(
        ct is not None and is_float(replay.values[i]) for i, ct in zip(op.inputs, cts, strict=True)
    )


def rerun(
    replay: Replay,
    changed: Mapping[int, Any],
    instead: Mapping[int, Callable[[Sequence[Any], Any], Any]] | None = None,
) -> dict[int, Any]:
    """The values that change when some are others, by their numbers; the operations stay.

    A change goes only where a cotangent would come back: not through a stop_gradient or a
    comparison. With `instead`, (inputs, output) -> output by the numbers of operations that give
    another value, it goes everywhere.
    """
    new = dict(changed)
    for op in replay.operations:
        back = replay.passing[op.index] if instead is None else (True,) * len(op.inputs)
        moved = {i for i, passes in zip(op.inputs, back, strict=True) if passes and i in new}
        inputs = [new[i] if i in moved else replay.values[i] for i in op.inputs]
        if instead is not None and op.index in instead:
            new[op.outputs[0]] = instead[op.index](inputs, replay.values[op.outputs[0]])
        elif moved and instead is None and op.name in CORNERED:
            new[op.outputs[0]] = _along_its_side(op, replay, inputs)
        elif moved:
            new |= zip(op.outputs, _outputs(op, inputs), strict=True)
    return new


CORNERED = ("max", "min", "abs", "reduce_max", "reduce_min")
"""Operations with kinks; for small changes their derivative at the point counts, as in reverse."""


def _along_its_side(op: Operation, replay: Replay, inputs: Sequence[Any]) -> Any:
    """The output of an operation with kinks for inputs near its own, on the same side of them."""
    old, y = replay.inputs_of(op), replay.values[op.outputs[0]]
    if op.name in ("max", "min"):
        (a, b), (new_a, new_b) = old, inputs
        wins = np.where(a == b, 0.5, (a > b) == (op.name == "max"))
        return y + wins * (new_a - a) + (1 - wins) * (new_b - b)
    if op.name == "abs":
        return y + np.sign(old[0]) * (inputs[0] - old[0])
    axes = tuple(op.params["axes"])
    return y + np.sum(shares(op, replay) * (inputs[0] - old[0]), axis=axes)


EXTREMA = ("reduce_max", "reduce_min")


def shares(op: Operation, replay: Replay) -> Any:
    """The derivative of a maximum over axes by its entries, of which several may be the largest.

    They share it ("shared", as in JAX), or each has all of it ("all", the mask x == max), or the
    first one has it ("first", as argmax says). The derivative is not defined there; where nothing
    depends on it, every choice is right.
    """
    axes = tuple(op.params["axes"])
    x, y = replay.values[op.inputs[0]], replay.values[op.outputs[0]]
    reached = x == np.expand_dims(y, axes)
    if replay.ties == "first":
        last = np.moveaxis(reached, axes, range(-len(axes), 0))
        flat = last.reshape(*last.shape[: last.ndim - len(axes)], -1)
        first = np.cumsum(flat, axis=-1) * flat == 1
        return np.moveaxis(first.reshape(last.shape), range(-len(axes), 0), axes) * 1.0
    return (
        reached * 1.0 if replay.ties == "all" else reached / reached.sum(axis=axes, keepdims=True)
    )


def tied(replay: Replay) -> bool:
    """Whether a maximum over axes has several largest entries, and lets a gradient through."""
    return any(
        op.name in EXTREMA and op.index in replay.base.inputs and (shares(op, replay) % 1).any()
        for op in replay.operations
        if op.index not in replay.constant
    )


def _outputs(op: Operation, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of an operation for other inputs."""
    if op.name in PRIMITIVES:
        return [np.asarray(PRIMITIVES[op.name].value(op.params, *inputs))]
    out = op.bind(*(in_jax(x) for x in inputs))
    return [as_array(y) for y in (out if isinstance(out, list | tuple) else [out])]


def backward(replay: Replay, rules: Mapping[int, Rule] | None = None) -> Backward:
    """The backward pass by the right rules, or with others for some operations."""
    rules = rules or {}
    cts: dict[int, Any] = {replay.result: np.ones_like(replay.values[replay.result])}
    inputs: dict[int, Cotangents] = {}
    for op in reversed(replay.operations):
        dy = _output_cotangent(op, cts)
        if dy is None:
            continue
        new = rules.get(op.index, right_rule)(op, replay, dy)
        if isinstance(new, dict):
            _accumulate(cts, list(new), list(new.values()))
            new = [None] * len(op.inputs)
        inputs[op.index] = [
            ct if is_float(replay.values[i]) else None for i, ct in zip(op.inputs, new, strict=True)
        ]
        _accumulate(cts, op.inputs, inputs[op.index])
    return Backward(cts, inputs)


def _output_cotangent(op: Operation, cts: dict[int, Any]) -> Any:
    found = [cts.get(i) for i in op.outputs]
    if all(ct is None for ct in found):
        return None
    return found[0] if len(found) == 1 else found


def _accumulate(cts: dict[int, Any], numbers: Sequence[int], new: Cotangents) -> None:
    for i, ct in zip(numbers, new, strict=True):
        if ct is not None:
            cts[i] = ct if i not in cts else cts[i] + ct


def gradient(replay: Replay, cts: Mapping[int, Any]) -> list[np.ndarray]:
    """The cotangents of the parameters; zeros where none arrived."""
    return [
        np.asarray(cts[i]) if i in cts else np.zeros_like(replay.values[i])
        for i in replay.parameters
    ]


def altered_gradient(
    replay: Replay, rules: Mapping[int, Rule], base: Backward | None = None
) -> list[np.ndarray]:
    """The gradient with other rules for some operations, on top of a backward pass."""
    base = base or replay.base
    delta = change(replay, rules, base)
    return [
        g + delta[i] if i in delta else g
        for i, g in zip(replay.parameters, gradient(replay, base.values), strict=True)
    ]


def change(
    replay: Replay, rules: Mapping[int, Rule], base: Backward, stop: int = 0
) -> dict[int, Any]:
    """The change of the cotangents that other rules make.

    As all right rules are linear, only the difference that the alteration makes runs back, through
    the operations that it reaches.

    Args:
        replay: The loss as it ran.
        rules: Other rules by the operations' numbers.
        base: The backward pass that is changed; its rules are right from the last altered
            operation on back.
        stop: The number of the operation at which to stop.

    Returns:
        The changes of the values that the operations before `stop` gave.
    """
    delta: dict[int, Any] = {}
    last = max(rules, default=-1)
    for op in reversed(replay.operations[stop : last + 1]):
        change = _output_cotangent(op, delta)
        for i in op.outputs:
            delta.pop(i, None)
        if op.index in rules and op.index in base.inputs:
            dy = _output_cotangent(op, base.values)
            altered = rules[op.index](op, replay, dy if change is None else _sum(dy, change))
            before = base.inputs[op.index]
            if isinstance(altered, dict):
                _accumulate(delta, list(altered), list(altered.values()))
                altered = [None] * len(before)
            changes = [
                None if new is None and old is None else _difference(new, old)
                for new, old in zip(altered, before, strict=True)
            ]
        elif change is not None:
            changes = [
                ct if passes else None
                for ct, passes in zip(
                    right_rule(op, replay, change), replay.passing[op.index], strict=True
                )
            ]
        else:
            continue
        _accumulate(delta, op.inputs, changes)
    return delta


def _sum(dy: Any, change: Any) -> Any:
    if isinstance(dy, list):
        return [
            c if d is None else d if c is None else d + c for d, c in zip(dy, change, strict=True)
        ]
    return dy + change


def _difference(new: Any, old: Any) -> Any:
    if new is None:
        return -old
    return new if old is None else new - old
