"""The gradient of another loss."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jaxnet.check.alterations.alteration import Alteration
from jaxnet.check.alterations.functions import sigmoid
from jaxnet.check.alterations.places import Places
from jaxnet.check.alterations.vectors import softmax
from jaxnet.check.replay import Operation, Replay, right_rule

OUTPUTS = 64
"""Values, the nearest to the loss, that another loss may compare with targets."""


def of_other_losses(replay: Replay, places: Places) -> Iterator[Alteration]:
    """The gradient that another loss of the same outputs and targets would send back."""
    head = head_place(replay)
    last = max((op.outputs[0] for op in replay.operations if op.name in PRODUCTS), default=0)
    outputs = [
        number
        for number in sorted(replay.moving, reverse=True)
        if np.ndim(replay.values[number]) and number in replay.made_by and number in replay.users
    ]
    own = _own_forms(replay, outputs[:OUTPUTS])
    for number in outputs:
        value, op = replay.values[number], replay.made_by[number]
        compared = number in outputs[:OUTPUTS]
        for said, target, slope in _forms(replay, op, value) if compared else ():
            if _is_this_loss(replay, number, slope):
                continue
            same = [o.value for o in own if (o.said, o.target) == (said, target)]
            elsewhere = same and not any(np.array_equal(v, np.ravel(value)) for v in same)
            with np.errstate(all="ignore"):
                sent = np.ravel(slope(replay))
                misplaced = any(number > o.number and _collinear(sent, o.slope) for o in own)
            for rows in sorted({1, len(value), np.size(value)}):

                def rule(
                    op: Operation, replay: Replay, dy: Any, slope: Any = slope, rows: int = rows
                ) -> Any:
                    return right_rule(op, replay, slope(replay) / rows)

                code, does = "wrong_loss", f"starts from {said}, the derivative of another loss"
                if elsewhere or said.startswith(TWICE):
                    code, does = "wrong_point", f"starts from {said}, at another value"
                rank = 3.5 + 1.5 * said.startswith(("the sign", "the cube", "the fourth"))
                rank += 1.1 * misplaced  # a factor that is forgotten is likelier
                needs = "the derivative of this loss"
                yield Alteration(code, head, {op.index: rule}, does, needs, rank)
        for said, times in _further_slopes(number):

            def further(op: Operation, replay: Replay, dy: Any, times: Any = times) -> Any:
                return right_rule(op, replay, times(replay, dy))

            code = "wrong_loss" if number >= last else "wrong_derivative"
            where = head if number >= last else places.of([op])
            does = f"multiplies by {said}, which the loss does not have there"
            yield Alteration(code, where, {op.index: further}, does, "no such factor", 8.5)


class Own(NamedTuple):
    """A form that this loss has at a value: what it says, its target, and what is sent back."""

    number: int
    said: str
    target: bytes
    value: np.ndarray
    slope: np.ndarray


def _own_forms(replay: Replay, outputs: list[int]) -> list[Own]:
    """The forms that this loss has at its outputs."""
    own = []
    for number in outputs:
        value = np.asarray(replay.values[number])
        for said, target, slope in _forms(replay, replay.made_by[number], value):
            if _is_this_loss(replay, number, slope):
                own.append(Own(number, said, target, np.ravel(value), np.ravel(slope(replay))))
    return own


def _collinear(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two vectors are the same up to a factor."""
    return a.size == b.size and bool(abs(a @ b) ** 2 >= (1 - 1e-9) * (a @ a) * (b @ b))


def _is_this_loss(replay: Replay, number: int, slope: Callable[[Replay], Any]) -> bool:
    """Whether it is what this loss sends back, up to a factor."""
    with np.errstate(all="ignore"):
        base = np.ravel(replay.base.values.get(number, 0.0))
        return _collinear(base, np.ravel(slope(replay)))


PRODUCTS = ("dot_general", "conv_general_dilated", "gather")


def _further_slopes(number: int) -> Iterator[tuple[str, Callable[[Replay, Any], Any]]]:
    """Derivatives by which people multiply once too often, at a value v."""

    def of(slope: Callable[[Any], Any]) -> Callable[[Replay, Any], Any]:
        return lambda replay, dy: dy * slope(replay.values[number])

    def jacobian(replay: Replay, dy: Any) -> Any:
        s = softmax(replay.values[number])
        return s * (dy - np.sum(dy * s, axis=-1, keepdims=True))

    yield "the sigmoid's derivative", of(lambda v: sigmoid(v) * sigmoid(-v))
    yield "v (1 - v)", of(lambda v: v * (1 - v))
    yield "tanh's derivative", of(lambda v: 1 - np.tanh(v) ** 2)
    yield "1 - v^2", of(lambda v: 1 - v**2)
    yield "relu's mask", of(lambda v: (v > 0) * 1.0)
    yield "softmax's Jacobian", jacobian
    yield "the diagonal of softmax's Jacobian", of(lambda v: softmax(v) * (1 - softmax(v)))


def head_place(replay: Replay) -> str:
    """Where the loss is formed: its last operation that is no sum and no constant factor."""
    for op in reversed(replay.operations):
        joins = sum(i in replay.moving for i in op.inputs) > 1
        formed = joins or not replay.is_linear(op)
        if op.outputs[0] in replay.moving and formed and op.frames:
            return op.frames[0]
    return replay.operations[-1].frames[0] if replay.operations else ""


class Form(NamedTuple):
    """What a loss sends back to its outputs, in words; the data of its targets; and the array."""

    said: str
    target: bytes
    slope: Callable[[Replay], Any]


def _forms(replay: Replay, op: Operation, value: Any) -> Iterator[Form]:
    """Derivatives of the common losses by a value, given the arrays it may be compared with."""
    number = op.outputs[0]

    def own(replay: Replay) -> Any:
        return replay.values[number]

    if op.name == "sub":
        yield Form("the error itself", b"", own)
        yield Form("the squared error", b"", lambda replay: own(replay) ** 2)
        yield Form("the size of the error", b"", lambda replay: np.abs(own(replay)))
        yield Form("the sign of the error", b"", lambda replay: np.sign(own(replay)))
        yield Form("the cubed error", b"", lambda replay: own(replay) ** 3)
        yield Form("one", b"", lambda replay: np.ones_like(own(replay)))
    for target in _targets(replay, np.shape(value)):
        yield from _differences(own, target)


Outputs: TypeAlias = Callable[[Replay], Any]


def _differences(own: Outputs, target: Any) -> Iterator[Form]:
    """What losses that compare outputs with targets send back: the difference, its square, sign."""
    data = target.tobytes()

    def of(f: Callable[[Any], Any], after: Callable[[Any], Any]) -> Outputs:
        return lambda replay: after(f(own(replay)) - target)

    for said, f in (
        ("prediction minus target", np.asarray),
        ("sigmoid(output) - target", sigmoid),
        ("softmax(output) - target", softmax),
        ("exp(output) - target", np.exp),
        ("tanh(output) - target", np.tanh),
        ("(output > 0) - target", lambda x: (x > 0) * 1.0),
        (f"{TWICE} sigmoid - target", lambda x: sigmoid(sigmoid(x))),
        (f"{TWICE} softmax - target", lambda x: softmax(softmax(x))),
    ):
        for power, after in AFTER.items():
            yield Form(power.format(said), data, of(f, after))
    yield Form("minus the target", data, lambda replay: -target)
    yield Form("minus target / prediction", data, lambda replay: -target / own(replay))


TWICE = "twice the"
"""How the forms begin that squash the output twice."""

AFTER: dict[str, Callable[[Any], Any]] = {
    "{}": np.asarray,
    "the square of {}": np.square,
    "the sign of {}": np.sign,
    "the cube of {}": lambda e: e**3,
    "the fourth power of {}": lambda e: e**4,
}


def _targets(replay: Replay, shape: tuple[int, ...]) -> Iterator[Any]:
    """Constant arrays that a value of this shape may be compared with, classes as one-hot rows."""
    seen: set[bytes] = set()
    for i, array in enumerate(replay.values):
        if i in replay.moving or np.size(array) < 2 or isinstance(array, np.generic):
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
