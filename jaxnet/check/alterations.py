"""The mistakes that people make in a backward pass, as altered reverse rules of a replay.

An alteration gives some operations of a replay another rule than their own. If the gradient that
comes out is the user's, the alteration is what the user did.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxnet.check.primitives import UNARY
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
    rank: int = 5


Made = tuple[str, Rule, str, str, int]
"""code, rule, does, needs, rank: an alteration of one operation, not yet applied to its runs."""


def alterations(replay: Replay) -> Iterator[Alteration]:
    """All alterations of a loss, each for a whole group of operations and for single runs in it."""
    groups: dict[tuple[Any, ...], list[Operation]] = {}
    for op in replay.operations:
        if carries(op, replay):
            groups.setdefault((op.group, op.name), []).append(op)
    for ops in groups.values():
        for code, rule, does, needs, rank in of_operation(ops[0], replay):
            yield Alteration(code, ops[0].where, {op.index: rule for op in ops}, does, needs, rank)
        if 1 < len(ops) <= 32:
            yield from _single_runs(ops, replay)
    yield from composites(replay)


def carries(op: Operation, replay: Replay) -> bool:
    """Whether a cotangent passes through an operation."""
    floats = any(is_float(replay.values[i]) for i in op.inputs)
    return floats and is_float(replay.values[op.outputs[0]])


def _single_runs(ops: list[Operation], replay: Replay) -> Iterator[Alteration]:
    """One time step of a loop whose contribution is lost."""
    if ops[0].name not in ("dot_general", "add", "add_any", "mul"):
        return
    for run, op in enumerate(ops):
        for i in range(len(op.inputs)):
            if is_float(replay.values[op.inputs[i]]):
                yield Alteration(
                    "dropped_path",
                    op.where,
                    {op.index: _without(i)},
                    f"leaves out step {run} of the loop",
                    "a sum over all steps",
                    6,
                )


def of_operation(op: Operation, replay: Replay) -> Iterator[Made]:
    """The alterations of one operation."""
    name = op.name
    if name in UNARY or name == "integer_pow":
        yield from _of_unary(op, replay)
    elif name in ("mul", "div", "pow"):
        yield from _of_product(op, replay)
    elif name in ("add", "add_any", "sub", "max", "min", "concatenate", "stack"):
        yield from _of_paths(op, replay)
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
    if name in ("max", "min"):
        yield from _of_rectifier(op, replay)
    if name in UNARY or name in ("mul", "div", "sub", "dot_general", "neg"):
        does = f"has the sign of {_said(op)} the other way round"
        yield "sign", _times(-1.0), does, "its sign", 6


# Rules.


def _times(factor: float) -> Rule:
    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        return [None if ct is None else factor * ct for ct in right_rule(op, replay, dy)]

    return rule


def _without(i: int, factor: float = 0.0) -> Rule:
    """The rule with the cotangent of input i multiplied, 0 by default."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        cts[i] = None if cts[i] is None else factor * cts[i]
        return cts

    return rule


def _local(derivative: Callable[[Operation, Replay], Any]) -> Rule:
    """The rule dx = dy * derivative, for a function taken entry by entry."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        return (dy * derivative(op, replay),)

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


# One number in, one out.


def _of_unary(op: Operation, replay: Replay) -> Iterator[Made]:
    said = _said(op)
    yield (
        "dropped_derivative",
        _local(lambda op, replay: 1.0),
        f"passes through {said} as if its derivative were 1",
        f"the derivative of {said}",
        1,
    )
    for code, derivative, formula, rank in _formulas(op):
        yield (
            code,
            _local(derivative),
            f"takes {formula} for the derivative of {said}",
            f"{_derivative_said(op)}",
            rank,
        )
    yield from _elsewhere(op, replay)
    yield (
        "wrong_derivative",
        _squared(),
        f"multiplies by the derivative of {said} twice",
        "it once",
        7,
    )


def _squared() -> Rule:
    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        return right_rule(op, replay, right_rule(op, replay, dy)[0])

    return rule


def _derivative_said(op: Operation) -> str:
    said = {
        "tanh": "1 - tanh(x)^2",
        "logistic": "s (1 - s) at s = sigmoid(x)",
        "exp": "exp(x)",
        "log": "1/x",
        "sqrt": "1 / (2 sqrt(x))",
        "rsqrt": "-x^(-3/2) / 2",
        "square": "2 x",
        "abs": "the sign of x",
        "integer_pow": f"{op.params.get('y')} x^{op.params.get('y', 1) - 1}",
    }
    return said.get(op.name, f"the derivative of {_said(op)}")


Formula = tuple[str, Callable[[Operation, Replay], Any], str, int]


def _formulas(op: Operation) -> Iterator[Formula]:
    """Wrong formulas and wrong points of the functions that people differentiate by hand."""
    x, y = _input, _output

    def wrong(f: Callable[[Any], Any], of: Callable[..., Any], said: str, rank: int = 3) -> Formula:
        return "wrong_derivative", lambda op, replay: f(of(op, replay)), said, rank

    def point(f: Callable[[Any], Any], of: Callable[..., Any], said: str, rank: int = 2) -> Formula:
        return "wrong_point", lambda op, replay: f(of(op, replay)), said, rank

    if op.name == "logistic":
        yield point(lambda x: x * (1 - x), x, "s (1 - s) at the input, not at the output")
        yield point(UNARY["logistic"].of_x, y, "sigmoid' at the output, which is a sigmoid already")
        yield wrong(lambda s: 1 - s, y, "1 - s")
        yield wrong(lambda s: s, y, "s")
        yield wrong(lambda s: 1 - s**2, y, "1 - s^2")
        yield wrong(lambda s: s * (1 + s), y, "s (1 + s)")
    elif op.name == "tanh":
        yield point(lambda x: 1 - x**2, x, "1 - a^2 at the input, not at the output")
        yield point(UNARY["tanh"].of_x, y, "tanh' at the output, which is a tanh already")
        yield wrong(lambda a: 1 - a, y, "1 - a")
        yield wrong(lambda a: 1 + a**2, y, "1 + a^2")
        yield wrong(lambda a: a * (1 - a), y, "a (1 - a), the sigmoid's,")
        yield wrong(lambda a: a, y, "a")
        yield wrong(lambda a: (1 - a) ** 2, y, "(1 - a)^2")
        yield wrong(lambda a: 1 - np.abs(a), y, "1 - |a|")
    elif op.name == "exp":
        yield point(lambda x: x, x, "exp(x) at the logarithm: x itself,")
        yield point(np.exp, y, "exp at the output")
    elif op.name == "log":
        yield point(lambda y: 1 / y, y, "1/x at the output")
        yield wrong(lambda x: 1 / x**2, x, "1 / x^2")
        yield wrong(lambda x: x, x, "x")
    elif op.name == "sqrt":
        yield wrong(lambda r: 1 / r, y, "1 / sqrt(x), without the half,")
        yield wrong(lambda r: 2 * r, y, "2 sqrt(x)")
        yield wrong(lambda r: 0.5 * r, y, "sqrt(x) / 2")
        yield point(lambda x: 0.5 / x, x, "1 / (2 x)")
    elif op.name == "rsqrt":
        yield wrong(lambda r: -(r**3), y, "-x^(-3/2), without the half,")
        yield wrong(lambda r: 0.5 * r**3, y, "x^(-3/2) / 2, without the minus,")
        yield wrong(lambda r: -0.5 * r, y, "-x^(-1/2) / 2")
        yield wrong(lambda r: -0.5 * r**2, y, "-1 / (2 x)")
    elif op.name in ("integer_pow", "square"):
        n = op.params.get("y", 2)
        for power, factor in ((n - 1, 1), (n, n), (n, 1), (n, n - 1), (n - 2, n), (n - 1, n - 1)):
            if (power, factor) not in ((n - 1, n), (0, 1)):
                yield wrong(
                    lambda x, p=power, f=factor: f * np.asarray(x, float) ** p,
                    x,
                    f"{factor} x^{power}",
                )
        yield wrong(lambda x: n * np.abs(x) ** (n - 1), x, f"{n} |x|^{n - 1}", 4)
        yield point(lambda y: n * y ** (n - 1.0), y, f"{n} x^{n - 1} at the power itself")
    elif op.name == "log1p":
        yield wrong(lambda x: 1 / x, x, "1/x")
    elif op.name == "abs":
        yield wrong(lambda x: x, x, "x")
        yield wrong(lambda x: x > 0, x, "1 where x > 0 and 0 elsewhere")
    elif op.name == "sin":
        yield wrong(lambda x: -np.cos(x), x, "-cos(x)")
        yield wrong(np.sin, x, "sin(x)")
    elif op.name == "cos":
        yield wrong(np.sin, x, "sin(x), without the minus,")
        yield wrong(np.cos, x, "cos(x)")
    elif op.name == "erf":
        yield wrong(lambda x: np.exp(-(x**2)), x, "exp(-x^2)")


def _elsewhere(op: Operation, replay: Replay) -> Iterator[Made]:
    """The right derivative at a value of another place."""
    function = UNARY.get(op.name)
    if function is None:
        return
    shape = np.shape(_output(op, replay))
    if not shape:
        return
    near = sorted(_same_shape(replay, shape), key=lambda i: abs(i - op.outputs[0]))[:40]
    for i in near:
        if i in (op.inputs[0], op.outputs[0]):
            continue
        for derivative in filter(None, (function.of_y, function.of_x)):
            yield (
                "wrong_point",
                _local(lambda op, replay, i=i, f=derivative: f(replay.values[i])),
                f"takes the derivative of {_said(op)} at a value of another place",
                f"it at the input of {_said(op)}",
                8,
            )


def _same_shape(replay: Replay, shape: tuple[int, ...]) -> Iterator[int]:
    seen: set[bytes] = set()
    for i, value in enumerate(replay.values):
        if np.shape(value) == shape and is_float(value):
            data = np.asarray(value).tobytes()
            if data not in seen:
                seen.add(data)
                yield i


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
    if op.name == "div":
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


def _of_rectifier(op: Operation, replay: Replay) -> Iterator[Made]:
    """max(x, c): the slope of relu."""
    floats = [i for i in range(2) if np.ndim(replay.values[op.inputs[i]])]
    if len(floats) != 1:
        return
    i = floats[0]
    other = replay.values[op.inputs[1 - i]]
    shape = np.shape(_output(op, replay))

    def slope(of: Callable[[Operation, Replay], Any]) -> Rule:
        def rule(op: Operation, replay: Replay, dy: Any) -> Any:
            cts: list[Any] = [None, None]
            cts[i] = dy * of(op, replay)
            return cts

        return rule

    def x(op: Operation, replay: Replay) -> Any:
        return replay.values[op.inputs[i]]

    yield (
        "dropped_derivative",
        slope(lambda op, replay: 1.0),
        "passes through relu as if its derivative were 1",
        "0 where the input is not positive",
        1,
    )
    for of, said in (
        (lambda x: np.where(x > other, 1.0, 0.01), "a leaky relu's slope of 0.01"),
        (lambda x: np.where(x > other, 1.0, 0.1), "a leaky relu's slope of 0.1"),
        (lambda x: np.where(x > other, 1.0, 0.2), "a leaky relu's slope of 0.2"),
        (lambda x: (x <= other) * 1.0, "the mask the other way round"),
        (lambda x: np.maximum(x, other), "the output for the slope"),
        (np.sign, "the sign for the slope"),
        (lambda x: x, "the input for the slope"),
    ):
        yield (
            "wrong_derivative",
            slope(lambda op, replay, f=of: f(x(op, replay))),
            f"takes {said}",
            "1 where the input is positive, else 0",
            3,
        )

    def by_error(op: Operation, replay: Replay, dy: Any) -> Any:
        cts: list[Any] = [None, None]
        cts[i] = dy * (dy > 0)
        return cts

    yield (
        "wrong_point",
        by_error,
        "masks where the incoming gradient is not positive",
        "the mask where the input is not positive",
        3,
    )
    for k in sorted(_same_shape(replay, shape), key=lambda k: abs(k - op.outputs[0]))[:40]:
        if k not in (op.inputs[i], op.outputs[0]):
            yield (
                "wrong_point",
                slope(lambda op, replay, k=k: (replay.values[k] > 0) * 1.0),
                "takes relu's mask from a value of another place",
                "the mask of this layer's own input",
                8,
            )


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


def composites(replay: Replay) -> Iterator[Alteration]:
    """Mistakes that span several operations."""
    yield from _softmax(replay)
    yield from _averages(replay)
    yield from _other_losses(replay)


def _softmax(replay: Replay) -> Iterator[Alteration]:
    """The diagonal of softmax's Jacobian for all of it."""
    made_by = {o: op for op in replay.operations for o in op.outputs}
    for op in replay.operations:
        if op.name != "div":
            continue
        top, bottom = (_through_copies(made_by, i) for i in op.inputs)
        if top is None or bottom is None or top.name != "exp" or bottom.name != "reduce_sum":
            continue
        if _through_copies(made_by, bottom.inputs[0]) is not top:
            continue

        def diagonal(op: Operation, replay: Replay, dy: Any) -> Any:
            y = _output(op, replay)
            return [dy * y * (1 - y) / replay.values[op.inputs[0]], None]

        yield Alteration(
            "wrong_derivative",
            op.where,
            {op.index: diagonal},
            "takes only the diagonal s (1 - s) of softmax's Jacobian",
            "diag(s) - s s^T: every output depends on every input",
            1,
        )


def _through_copies(made_by: Mapping[int, Operation], number: int) -> Operation | None:
    op = made_by.get(number)
    while op is not None and op.name in (
        "broadcast_in_dim", "reshape", "convert_element_type", "expand_dims", "squeeze", "copy",
    ):  # fmt: skip
        op = made_by.get(op.inputs[0])
    return op


def _averages(replay: Replay) -> Iterator[Alteration]:
    """Every factor averaged over the batch before it is multiplied."""
    sizes = [np.shape(replay.values[i])[:1] for op in replay.operations for i in op.outputs]
    counted = [s[0] for s in sizes if s and s[0] > 1]
    for n in sorted(set(counted), key=counted.count, reverse=True)[:2]:

        def rule(op: Operation, replay: Replay, dy: Any, n: int = n) -> Any:
            return _with_means(op, replay, dy, n)

        ops = [op for op in replay.operations if carries(op, replay)]
        first = next((op for op in ops if op.name == "dot_general"), ops[0] if ops else None)
        if first is not None:
            yield Alteration(
                "premature_average",
                first.where,
                {op.index: rule for op in ops},
                f"averages every factor over the {n} rows of the batch before multiplying",
                "the mean of the products, row by row",
                2,
            )


def _with_means(op: Operation, replay: Replay, dy: Any, n: int) -> Any:
    """The rule with the inputs, the local derivative and dy averaged over rows."""

    def mean(x: Any) -> Any:
        if is_float(x) and np.ndim(x) and np.shape(x)[0] == n:
            return _row_means(x)
        return x

    if op.name in ("row", "stack") or isinstance(dy, list):
        return right_rule(op, replay, dy)
    if len(op.inputs) == 1 or op.name in ("max", "min", "select_n"):
        local = right_rule(op, replay, np.ones_like(dy))
        if all(ct is None or np.shape(ct) == np.shape(dy) for ct in local):
            return [None if ct is None else mean(dy) * mean(ct) for ct in local]
    inputs = replay.inputs_of(op)
    if op.name in ("mul", "div", "dot_general"):
        inputs = [mean(x) for x in inputs]
    return right_rule(op, replay, mean(dy), inputs)


def _other_losses(replay: Replay) -> Iterator[Alteration]:
    """The error, its size or its square, for the derivative of what the loss makes of it."""
    others: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("the error itself", lambda e: e),
        ("the squared error", lambda e: e**2),
        ("the size of the error", np.abs),
        ("the sign of the error", np.sign),
        ("the cubed error", lambda e: e**3),
        ("one", np.ones_like),
    )
    uses: dict[int, list[Operation]] = {}
    for op in replay.operations:
        for i in op.inputs:
            uses.setdefault(i, []).append(op)
    for op in replay.operations:
        if op.name != "sub" or not np.ndim(_output(op, replay)):
            continue
        after = uses.get(op.outputs[0], [])
        if not after:
            continue
        where = after[0].where
        for said, f in others:

            def rule(op: Operation, replay: Replay, dy: Any, f: Any = f) -> Any:
                size = np.size(_output(op, replay))
                return right_rule(op, replay, f(_output(op, replay)) / size)

            yield Alteration(
                "wrong_loss",
                where,
                {op.index: rule},
                f"starts from {said}, the derivative of another loss",
                "the derivative of this loss by its error",
                4,
            )
