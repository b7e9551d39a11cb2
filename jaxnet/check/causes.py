"""The search for the cause of a wrong gradient: relations first, then the replay."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxnet.check.replay import (
    Operation,
    Replay,
    Rule,
    altered_gradient,
    backward,
    right_rule,
)
from jaxnet.check.search import Explained, Search, common_factor, moving_leaves, replays_of, same
from jaxnet.check.witness import Sample, Subject, floats, is_float, named, with_floats

CLOSE = 1e-5
"""Relative error up to which a cause is said to reproduce the user's float64 gradient."""


@dataclass(frozen=True)
class Cause:
    """Why some leaves are wrong. leaves are their numbers."""

    code: str
    leaves: tuple[int, ...]
    message: str
    fix: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    where: str | None = None


def diagnose(
    s: Subject, samples: list[Sample], wrong: list[int], limits: list[float]
) -> list[Cause]:
    """The causes that together explain all wrong leaves, the most specific first."""
    close = max(CLOSE, 300 * s.rounding)
    causes = list(_unusable(s, samples, wrong))
    left = [k for k in wrong if not any(k in cause.leaves for cause in causes)]
    if not left:
        return causes
    whole = _whole(s, samples, left, close)
    replays = replays_of(s, samples)
    search = None if replays is None else Search(samples, limits, close, replays)
    if whole is not None:
        return [*causes, *(_placed(cause, search) for cause in whole)]
    found, likely = ([], 0.0) if search is None else _by_one(s, search, left)
    if not found or likely >= UNLIKELY:
        found = _of_the_whole(s, samples, left, close, replays) or found
    if not found and search is not None:
        found = _by_several(s, search, left)
    if found:
        return [*causes, *found]
    for k in left:
        causes.append(_alone(s, samples, k, close) or _mismatch(s, samples, k))
    return _merged(causes)


# Gradients that cannot be compared at all.


def _unusable(s: Subject, samples: list[Sample], wrong: list[int]) -> Iterator[Cause]:
    for k in wrong:
        name = said_name(s, k)
        given, true = samples[0].given[k], samples[0].true[k]
        if given is None:
            yield Cause(
                "missing",
                (k,),
                f"The gradient has no leaf {name}; the loss depends on it.",
                f"Return a gradient for {name}, of shape {true.shape}.",
            )
        elif given.shape != true.shape:
            yield _of_shape(name, k, given, true)
        elif not all(np.isfinite(np.asarray(x.given[k])).all() for x in samples):
            bad = ~np.isfinite(given)
            yield Cause(
                "nonfinite",
                (k,),
                f"The gradient of {name} is infinite or NaN in {int(bad.sum())} of {bad.size} "
                "entries; the true one is finite.",
                "Look for a division by 0, a logarithm or root at 0, or an overflow of exp.",
                {"entries": float(bad.sum())},
            )


def _of_shape(name: str, k: int, given: np.ndarray, true: np.ndarray) -> Cause:
    said = f"The gradient of {name} has shape {given.shape}; {name} has {true.shape}."
    if (
        given.size == true.size
        and given.ndim == true.ndim
        and np.allclose(given.T, true, rtol=1e-4)
    ):
        return Cause("transpose", (k,), f"{said} It is transposed.", "Return its transpose.")
    if given.ndim > true.ndim:
        extra = tuple(range(given.ndim - true.ndim))
        if given.shape[len(extra) :] == true.shape and np.allclose(
            given.sum(extra), true, rtol=1e-4, atol=1e-6 * np.abs(true).max(initial=0)
        ):
            return Cause(
                "shape",
                (k,),
                f"{said} It is not summed over the batch: its sum over the first axis is right.",
                f"Sum it over the first axis, of {given.shape[0]} rows: every row adds to {name}.",
                {"rows": float(given.shape[0])},
            )
    return Cause("shape", (k,), said, f"Return an array of shape {true.shape}.")


def _placed(cause: Cause, search: Search | None) -> Cause:
    """A cause with the line it belongs to, if one operation stands behind it."""
    if search is None or cause.where is not None:
        return cause
    if cause.code == "regularization":
        return replace(cause, where=_penalty_place(search.replays[0], cause.leaves))
    if cause.code == "transpose":
        return replace(cause, where=_used_at(search.replays[0], cause.leaves[0]))
    if cause.code not in ("scale", "sign", "missing", "partial_entries"):
        return cause
    found = [
        e for e in search.explaining(list(cause.leaves), whole=True) if abs(e.factor - 1) < 1e-4
    ]
    return replace(cause, where=min(found, key=_order).alteration.where) if found else cause


def _used_at(replay: Replay, k: int) -> str | None:
    """Where a leaf is first used in a product."""
    own = _through_copies(replay, k)
    for op in replay.operations:
        if op.name in ("dot_general", "conv_general_dilated", "mul") and own & set(op.inputs):
            return op.frames[0] if op.frames else None
    return None


def _penalty_place(replay: Replay, leaves: Sequence[int]) -> str | None:
    """Where the loss has a penalty on these leaves, or on any."""
    count = sum(is_float(replay.values[i]) for i in replay.parameters)
    for k in (*leaves, *range(count)):
        own = _through_copies(replay, k)
        for op in replay.operations:
            if op.name in ("integer_pow", "square", "mul", "abs") and set(op.inputs) <= own:
                return op.frames[0] if op.frames else None
    return None


# Relations of whole gradients that need no trace.


def _whole(s: Subject, samples: list[Sample], left: list[int], close: float) -> list[Cause] | None:
    """Causes by simple relations, if they explain all leaves that are left."""
    found = []
    for k in left:
        cause = _alone(s, samples, k, close)
        if cause is None or cause.code == "partial_entries":
            cause = _swapped(s, samples, left, k, close)
        if cause is None:
            cause = _penalty(s, samples, k, close)
        if cause is None:
            break
        found.append(cause)
    if len(found) == len(left):
        return _merged(found)
    return None


def _of_the_whole(
    s: Subject,
    samples: list[Sample],
    left: list[int],
    close: float,
    replays: list[Replay] | None,
) -> list[Cause]:
    """Relations of all wrong leaves together."""
    whole = (
        _partial_batch(s, samples, left, close)
        or _stale(s, samples, left, close, replays)
        or _difference_quotient(s, samples, left, close)
    )
    return [whole] if whole is not None else []


def _alone(s: Subject, samples: list[Sample], k: int, close: float) -> Cause | None:
    """What a leaf's gradient is to the true one, if it is something simple."""
    name = said_name(s, k)
    given, true = _leaf(samples, k)
    if all(not g.any() for g in given):
        return Cause(
            "missing",
            (k,),
            f"The gradient of {name} is 0; the true one is not.",
            f"Derive the gradient of {name} and return it.",
        )
    factor = common_factor(given, true, close)
    if factor is not None and factor != 0:
        return _of_factor(s, k, factor)
    for said, turned in _layouts(true[0].shape):
        if all(same(g, turned(t), close) for g, t in zip(given, true, strict=True)):
            return Cause(
                "transpose", (k,), f"The gradient of {name} is {said}.", "Put its axes in order."
            )
    return _entries(s, k, given, true, close)


def said_name(s: Subject, k: int) -> str:
    """The name of a leaf in a sentence; params that are one array have none."""
    return s.names[k] or "params"


def _leaf(samples: list[Sample], k: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    given = [np.asarray(sample.given[k]) for sample in samples]
    return given, [sample.true[k] for sample in samples]


def _of_factor(s: Subject, k: int, factor: float) -> Cause:
    name = said_name(s, k)
    if abs(factor + 1) < 1e-4:
        return Cause(
            "sign",
            (k,),
            f"The gradient of {name} has the wrong sign.",
            "Turn its sign round.",
            {"factor": -1.0},
        )
    meaning = factor_meaning(s, abs(factor))
    sign = " and has the wrong sign" if factor < 0 else ""
    return Cause(
        "scale",
        (k,),
        f"The gradient of {name} is {factor:.6g} times the true one{meaning}{sign}.",
        f"Multiply it by {1 / factor:.6g}.",
        {"factor": factor},
    )


def factor_meaning(s: Subject, factor: float) -> str:
    """What a factor may stand for: ", which is 1/N for the N = 12 rows of the batch"."""
    rows = batch_size(s)
    widths = {leaf.shape[-1] for _, leaf in named(s.params) if np.ndim(leaf)}
    numbers: dict[str, float] = {"2": 2.0, "1/2": 0.5, "4": 4.0, "1/4": 0.25}
    if rows:
        numbers |= {f"N, the {rows} rows of the batch": rows, f"1/N for the {rows} rows": 1 / rows}
        numbers |= {f"2N for {rows} rows": 2 * rows, f"2/N for {rows} rows": 2 / rows}
        numbers |= {f"N/2 for {rows} rows": rows / 2, f"1/(2N) for {rows} rows": 1 / (2 * rows)}
    for m in widths:
        numbers |= {f"{m} outputs": float(m), f"1/{m}, one over the outputs": 1 / m}
        if rows:
            numbers |= {f"rows x outputs, {rows} x {m}": float(rows * m)}
            numbers |= {f"1/(rows x outputs), {rows} x {m}": 1 / (rows * m)}
    for said, number in numbers.items():
        if abs(factor / number - 1) < 1e-4:
            return f" ({said})" if said not in ("2", "1/2", "4", "1/4") else ""
    return ""


def batch_size(s: Subject) -> int:
    """The length of the first axis that most arrays among the arguments share; 0 if none."""
    sizes = [np.shape(a)[0] for a in jax.tree.leaves(s.args) if np.ndim(a)]
    return max(set(sizes), key=sizes.count) if sizes else 0


def _layouts(
    shape: tuple[int, ...],
) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Ways to put the entries of an array of this shape in the wrong order."""
    if len(shape) < 2:
        return
    yield "transposed", lambda t: t.T.reshape(shape)
    yield "flattened in the wrong order", lambda t: t.reshape(shape, order="F").reshape(shape)
    yield "flattened in the wrong order", lambda t: t.ravel(order="F").reshape(shape)
    yield "flattened in the wrong order", lambda t: t.ravel().reshape(shape, order="F")


def _entries(
    s: Subject, k: int, given: list[np.ndarray], true: list[np.ndarray], close: float
) -> Cause | None:
    """Only some entries are wrong: which."""
    if true[0].size < 2:
        return None
    size = max(float(np.abs(t).max(initial=0)) for t in true)
    bad = np.any([np.abs(g - t) > close * size for g, t in zip(given, true, strict=True)], axis=0)
    if bad.mean() > 0.7 or not bad.any():
        return None
    where = _said_entries(bad)
    zero = all(not g[bad].any() for g in given)
    what = "0" if zero else "wrong"
    return Cause(
        "partial_entries",
        (k,),
        f"The gradient of {said_name(s, k)} is {what} in {where}; the other entries are right.",
        f"Compute {where} as the others.",
        {"entries": float(bad.sum()), "of": float(bad.size)},
    )


def _said_entries(bad: np.ndarray) -> str:
    """Wrong entries as rows or columns, if they are whole ones."""
    for axis, word in ((0, "row"), (bad.ndim - 1, "column")):
        if bad.ndim < 2:
            break
        others = tuple(i for i in range(bad.ndim) if i != axis)
        whole = bad.all(axis=others)
        if whole.any() and bad.sum() == whole.sum() * (bad.size // bad.shape[axis]):
            numbers = np.flatnonzero(whole)
            return f"{word}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:6]))}"
    indices = [tuple(int(i) for i in index) for index in np.argwhere(bad)[:4]]
    more = ", ..." if bad.sum() > 4 else ""
    return f"{int(bad.sum())} of {bad.size} entries ({', '.join(map(str, indices))}{more})"


def _swapped(
    s: Subject, samples: list[Sample], left: list[int], k: int, close: float
) -> Cause | None:
    given, _ = _leaf(samples, k)
    for j in left:
        if j == k:
            continue
        of_other, other = _leaf(samples, j)
        _, own = _leaf(samples, k)
        if other[0].shape != given[0].shape:
            continue
        if all(same(g, t, close) for g, t in zip(given, other, strict=True)) and all(
            same(g, t, close) for g, t in zip(of_other, own, strict=True)
        ):
            a, b = sorted((k, j))
            return Cause(
                "swapped",
                (a, b),
                f"The gradients of {s.names[a]} and {s.names[b]} are exchanged.",
                "Return each in the other's place.",
            )
    return None


def _penalty(s: Subject, samples: list[Sample], k: int, close: float) -> Cause | None:
    """The difference is a multiple of the parameters: a penalty on squared weights."""
    given, true = _leaf(samples, k)
    own = [np.asarray(floats(sample.params)[k]) for sample in samples]
    excess = [g - t for g, t in zip(given, true, strict=True)]
    for said, of, power in (("squared", lambda x: x, 2.0), ("absolute", np.sign, 1.0)):
        base = [of(x) for x in own]
        c = common_factor(excess, base, 1e3 * close)
        if c is None or abs(c) < 1e-12:
            continue
        due = _penalty_due(s, samples, k) if power == 2.0 else 0.0
        found = due + c / power
        if abs(found) < 1e-3 * abs(due):
            found = 0.0
        name = said_name(s, k)
        what = (
            f"has no penalty on {name}, which the loss has"
            if due and not found
            else f"has a penalty on {name} that the loss does not have"
            if not due
            else f"has the penalty on {name} with the coefficient {found:.6g}, not {due:.6g}"
        )
        return Cause(
            "regularization",
            (k,),
            f"The gradient {what}: it is off by {c:.6g} times "
            f"{'the parameters' if power == 2.0 else 'their signs'}.",
            f"Subtract {c:.6g} times {'the parameters' if power == 2.0 else 'their signs'}; "
            f"for a penalty of c times the {said} weights the gradient is "
            f"{'2 c w' if power == 2.0 else 'c sign(w)'}.",
            {"found": found, "due": due},
        )
    return None


def _penalty_due(s: Subject, samples: list[Sample], k: int) -> float:
    """C of a term c * sum of squares of a leaf in the loss, read off its replay."""
    replays = replays_of(s, samples[:1])
    if replays is None:
        return 0.0
    replay = replays[0]
    base = backward(replay)
    own = _through_copies(replay, k)
    due = 0.0
    for op in replay.operations:
        if op.index not in base.inputs or op.name not in ("integer_pow", "square", "mul"):
            continue
        if not all(i in own for i in op.inputs):
            continue
        ct = sum(c for c in base.inputs[op.index] if c is not None)
        w = replay.values[op.inputs[0]]
        if np.shape(ct) == np.shape(w) and np.any(w):
            due += float(np.sum(ct * w) / np.sum(2 * w * w))
    return due


def _through_copies(replay: Replay, k: int) -> set[int]:
    """The numbers of the values that are the k-th parameter, reshaped or copied."""
    moving = [i for i in replay.parameters if is_float(replay.values[i])]
    own = {moving[k]}
    for op in replay.operations:
        if op.name in ("reshape", "transpose", "copy", "squeeze") and op.inputs[0] in own:
            own.add(op.outputs[0])
    return own


Stale: TypeAlias = Callable[[int, float], list[np.ndarray]]
"""(number of the point, step) -> the gradient at parameters that have moved by that step."""


def _stale(
    s: Subject,
    samples: list[Sample],
    left: list[int],
    close: float,
    replays: list[Replay] | None,
) -> Cause | None:
    """The gradient at parameters that a step has already changed, some or all of them."""
    if s.closed is None or replays is None:
        return None
    size = max(float(np.abs(samples[0].true[k]).max(initial=0)) for k in left)

    def miss(at: Stale, point: int, rate: float) -> np.ndarray:
        leaves, given = at(point, rate), samples[point].given
        return np.concatenate([(leaves[k] - np.asarray(given[k])).ravel() for k in left])

    for said, at in _stale_ways(s, samples, replays).items():
        for start in (1e-3, 1e-1, 0.5):
            rate = _refined(lambda r, at=at: miss(at, 0, r), start)  # type: ignore[misc]
            if rate is None or abs(rate) < 1e-9:
                continue
            points = range(len(samples))
            if all(np.abs(miss(at, i, rate)).max() <= 10 * close * size for i in points):
                return Cause(
                    "stale",
                    tuple(left),
                    f"The gradient is that at parameters already moved by a step of {rate:.4g}: "
                    f"{said}.",
                    "Compute all gradients before any parameter is changed.",
                    {"step": rate},
                )
    return None


def _stale_ways(s: Subject, samples: list[Sample], replays: list[Replay]) -> dict[str, Stale]:
    """In which order the parameters may have been changed."""
    loss, count = s.loss, len(s.names)

    @jax.jit
    def gradient_at(params: Any, moving: list[Any]) -> Any:
        return jax.grad(lambda moving: loss(with_floats(params, moving)))(moving)

    def own(sample: Sample) -> list[np.ndarray]:
        return [np.asarray(p) for p in floats(sample.params)]

    def step_ahead(point: int, rate: float) -> list[np.ndarray]:
        sample = samples[point]
        moved = [p - rate * t for p, t in zip(own(sample), sample.true, strict=True)]
        return [np.asarray(g) for g in gradient_at(sample.params, moved)]

    def one_by_one(backwards: bool) -> Stale:
        def at(point: int, rate: float) -> list[np.ndarray]:
            sample = samples[point]
            moved, leaves = own(sample), [np.zeros(0)] * count
            for k in reversed(range(count)) if backwards else range(count):
                leaves[k] = np.asarray(gradient_at(sample.params, moved)[k])
                moved[k] = moved[k] - rate * np.asarray(sample.given[k])
            return leaves

        return at

    def on_the_way_back(point: int, rate: float) -> list[np.ndarray]:
        rules = _with_moved_weights(replays[point], samples[point], rate)
        leaves = altered_gradient(replays[point], rules)
        return [leaves[j] for j in moving_leaves(samples[point])]

    return {
        "all of them were changed before": step_ahead,
        "the backward pass used weights that were changed on the way": on_the_way_back,
        "each leaf was changed before the next one's gradient": one_by_one(backwards=False),
        "each leaf was changed before the gradient of the one in front of it": one_by_one(
            backwards=True
        ),
    }


def _with_moved_weights(replay: Replay, sample: Sample, rate: float) -> dict[int, Rule]:
    """Products whose other factor gets its gradient with weights that have moved already."""
    places = {replay.parameters[j]: k for k, j in enumerate(moving_leaves(sample))}

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        cts = list(right_rule(op, replay, dy))
        inputs = replay.inputs_of(op)
        for i, number in enumerate(op.inputs):
            if number in places:
                inputs[i] = inputs[i] - rate * np.asarray(sample.given[places[number]])
        moved = right_rule(op, replay, dy, inputs)
        return [
            ct if n in places else new for ct, new, n in zip(cts, moved, op.inputs, strict=True)
        ]

    return {
        op.index: rule
        for op in replay.operations
        if op.name in ("dot_general", "mul") and any(i in places for i in op.inputs)
    }


def _refined(error: Callable[[float], np.ndarray], x: float) -> float | None:
    """A number at which a vector of errors is 0, by Gauss-Newton steps with differences."""
    for _ in range(12):
        e, h = error(x), 1e-6 * max(abs(x), 1e-6)
        slope = (error(x + h) - e) / h
        if not np.isfinite(slope).all() or not slope.any():
            return None
        step = float(slope @ e / (slope @ slope))
        x -= step
        if abs(step) < 1e-12 * abs(x):
            break
    return x if np.isfinite(x) else None


def _partial_batch(
    s: Subject, samples: list[Sample], left: list[int], close: float
) -> Cause | None:
    """The gradient of some rows of the batch only: the weights of the rows, by least squares."""
    n = batch_size(s)
    if s.closed is None or not 2 <= n <= 64:
        return None
    replays = replays_of(s, samples)
    if replays is None:
        return None
    columns, target = [], []
    for replay, sample in zip(replays, samples, strict=True):
        rows = row_gradients(replay, n)
        if rows is None:
            return None
        moving = moving_leaves(sample)
        flat = [np.concatenate([row[moving[k]].ravel() for k in left]) for row in rows]
        columns.append(np.stack(flat, axis=1))
        target.append(np.concatenate([np.asarray(sample.given[k]).ravel() for k in left]))
    a, b = np.concatenate(columns), np.concatenate(target)
    if a.shape[0] < n + 1:
        return None
    # Without a penalty its column is 0, and so is its weight.
    weights = np.linalg.lstsq(a, b, rcond=1e-10)[0]
    if not same(a @ weights, b, 10 * close):
        return None
    weights = weights[:n]
    used = np.abs(weights) > 1e-3 * np.abs(weights).max()
    if used.all() or not np.allclose(weights[used], weights[used][0], rtol=1e-2):
        return None
    rows_used = np.flatnonzero(used)
    said = (
        f"row {rows_used[0]}"
        if len(rows_used) == 1
        else f"rows {rows_used[0]} to {rows_used[-1]}"
        if len(rows_used) == rows_used[-1] - rows_used[0] + 1
        else f"{len(rows_used)} rows"
    )
    return Cause(
        "partial_batch",
        tuple(left),
        f"The gradient is that of {said} of the {n} rows of the batch only, "
        f"times {float(weights[used][0]):.4g}.",
        "Go over all rows.",
        {"rows": float(len(rows_used)), "of": float(n), "weight": float(weights[used][0])},
    )


def row_gradients(replay: Replay, n: int) -> list[list[np.ndarray]] | None:
    """What each row of the batch contributes to the gradient, and what belongs to no row.

    The last sum over an axis of n entries is opened: its cotangent goes on for one row at a time.
    None if there is no such sum.
    """
    base = backward(replay)
    for op in reversed(replay.operations):
        if op.name != "reduce_sum" or op.index not in base.inputs:
            continue
        shape = np.shape(replay.values[op.inputs[0]])
        axes = [i for i in op.params["axes"] if shape[i] == n]
        if not axes:
            continue
        rows = [altered_gradient(replay, {op.index: _only(row, axes[0])}) for row in range(n)]
        # What does not pass through the sum, such as a penalty.
        rest = altered_gradient(replay, {op.index: lambda op, replay, dy: (None,)})
        return [*([g - r for g, r in zip(row, rest, strict=True)] for row in rows), rest]
    return None


def _only(row: int, axis: int) -> Rule:
    """The rule that passes the cotangent on for one entry of an axis."""

    def rule(op: Operation, replay: Replay, dy: Any) -> Any:
        (ct,) = right_rule(op, replay, dy)
        kept = np.zeros_like(ct)
        index = (slice(None),) * axis + (row,)
        kept[index] = ct[index]
        return (kept,)

    return rule


def _difference_quotient(
    s: Subject, samples: list[Sample], left: list[int], close: float
) -> Cause | None:
    """A difference quotient with a step that is too long or too short."""
    step = _long_step(s, samples[0], left, close) or _short_step(samples[0], left)
    if step is None:
        return None
    kind, h = step
    return Cause(
        "numeric_step",
        tuple(left),
        f"The gradient is a {kind}difference quotient with the step {h:g}, "
        f"which is too {'long' if h > 1e-7 else 'short'}.",
        "Use central differences with a step near 1e-5 in float64, "
        "or jaxnet.check.finite_difference.",
        {"step": h},
    )


def _long_step(
    s: Subject, sample: Sample, left: list[int], close: float
) -> tuple[str, float] | None:
    """The kind and step of a difference quotient that gives the user's gradient."""
    k = max(left, key=lambda k: min(sample.true[k].size, 3))
    shape = sample.true[k].shape
    entries = [np.unravel_index(i, shape) for i in range(min(5, sample.true[k].size))]
    given, true = (
        np.asarray([np.asarray(leaf)[e] for e in entries])
        for leaf in (sample.given[k], sample.true[k])
    )
    run = jax.jit(s.loss) if s.closed is not None else s.loss

    def value(entry: Any, h: float) -> float:
        moving = [np.array(p) for p in floats(sample.params)]
        moving[k][entry] += h
        return float(run(with_floats(sample.params, moving)))

    here = float(run(sample.params))
    for h in (m * 10.0**-e for e in range(8) for m in (1, 5, 2)):
        ahead = np.asarray([value(e, h) for e in entries])
        behind = np.asarray([value(e, -h) for e in entries])
        quotients = {
            "forward ": (ahead - here) / h,
            "backward ": (here - behind) / h,
            "central ": (ahead - behind) / (2 * h),
        }
        noise = 8 * float(np.spacing(abs(here))) / h
        for kind, quotient in quotients.items():
            off, error = np.abs(quotient - given).max(), np.abs(quotient - true).max()
            size = np.abs(true).max()
            if off <= close * size + noise and error > 100 * (noise + close * size):
                return kind, h
    return None


def _short_step(sample: Sample, left: list[int]) -> tuple[str, float] | None:
    """The step of a quotient of rounding errors: its values are multiples of spacing / step."""
    given = np.concatenate([np.asarray(sample.given[k]).ravel() for k in left])
    given = given[given != 0]
    if given.size < 4:
        return None
    for dtype in (np.float64, np.float32):
        spacing = float(np.spacing(dtype(abs(sample.value))))
        for h in (10.0**-e for e in range(6, 18)):
            for multiple in (1, 2):
                counts = given * (multiple * h / (spacing / 2))
                whole = np.abs(counts - np.round(counts)).max() < 1e-3
                if whole and np.abs(counts).min() >= 1 and np.abs(counts).max() < 1e5:
                    return "", h
    return None


UNLIKELY = 6.5
"""The rank from which on relations of the whole gradient are asked first."""


def _by_one(s: Subject, search: Search, left: list[int]) -> tuple[list[Cause], float]:
    """The cause, if one alteration explains all wrong leaves, and its rank."""
    complete = search.explaining(left, whole=True)
    if not complete:
        return [], 0.0
    best = min(complete, key=_order)
    return _causes_of(s, best), _order(best)[0]


def _by_several(s: Subject, search: Search, left: list[int]) -> list[Cause]:
    """Causes that two alterations, or one and relations, make plain."""
    samples, close = search.samples, search.close
    found = search.explaining(left)
    # Two faults: the alteration that explains most leaves, and what explains the rest with it.
    for first in sorted(found, key=lambda e: (-len(e.leaves), _order(e)))[:8]:
        rest = [k for k in left if k not in first.leaves]
        base = dict(first.alteration.rules)
        second = search.explaining(rest, base, whole=True)
        if second:
            return _causes_of(s, first) + _causes_of(s, min(second, key=_order))
        given_base = [x._replace(true=search.run(base, i)) for i, x in enumerate(samples)]
        relations = [_alone(s, given_base, k, close) for k in rest]
        if all(relations):
            return _causes_of(s, first) + _merged([r for r in relations if r is not None])
    by_relation = {k: cause for k in left if (cause := _alone(s, samples, k, close)) is not None}
    for first in sorted(found, key=_order):
        rest = [k for k in left if k not in first.leaves]
        if all(k in by_relation for k in rest):
            return _causes_of(s, first) + _merged([by_relation[k] for k in rest])
    pairs = search.pairs(left)
    if pairs:
        both = min(pairs, key=lambda p: sum(_order(e)[0] for e in p))
        return [cause for e in sorted(both, key=_order) for cause in _causes_of(s, e)]
    # A slip in the formula of some leaves only, while the others went the right way there.
    slips = search.explaining(left, only_here=False, whole=True)
    return _causes_of(s, min(slips, key=_order)) if slips else []


def _order(e: Explained) -> tuple[float, ...]:
    exact = 0 if abs(e.factor - 1) < 1e-4 else 3
    # Of operations that a lost path goes through one after the other, the first one is its source.
    return (exact + e.alteration.rank, min(e.alteration.rules), len(e.alteration.rules))


def _causes_of(s: Subject, e: Explained) -> list[Cause]:
    a = e.alteration
    leaves = tuple(sorted(e.leaves))
    causes = [
        Cause(
            a.code,
            leaves,
            f"The gradient {a.does}. The loss needs {a.needs}.",
            "Correct the backward pass of this line.",
            where=a.where,
        )
    ]
    if abs(e.factor - 1) > 1e-4:
        scale = _of_factor(s, leaves[0], e.factor)
        causes.append(
            replace(
                scale,
                leaves=leaves,
                message=f"Besides, the gradient is off by the factor {e.factor:.6g}"
                f"{factor_meaning(s, abs(e.factor))}.",
            )
        )
    return causes


def _merged(causes: list[Cause]) -> list[Cause]:
    """One cause for the leaves that have the same one."""
    merged: list[Cause] = []
    for cause in causes:
        for i, other in enumerate(merged):
            if _alike(cause, other):
                leaves = tuple(sorted({*other.leaves, *cause.leaves}))
                merged[i] = replace(other, leaves=leaves)
                break
        else:
            merged.append(cause)
    return merged


def _alike(a: Cause, b: Cause) -> bool:
    if a.code != b.code or a.code in ("partial_entries", "mismatch", "nonfinite", "shape"):
        return False
    if a.code == "swapped":
        return a.leaves == b.leaves
    factors = [cause.evidence.get("factor", 1.0) for cause in (a, b)]
    return abs(factors[0] / factors[1] - 1) < 1e-4


def _mismatch(s: Subject, samples: list[Sample], k: int) -> Cause:
    given, true = _leaf(samples, k)
    worst = np.unravel_index(np.argmax(np.abs(given[0] - true[0])), true[0].shape)
    place = tuple(map(int, worst))
    cosine = float(
        np.vdot(given[0], true[0])
        / max(np.linalg.norm(given[0]) * np.linalg.norm(true[0]), np.finfo(float).tiny)
    )
    return Cause(
        "mismatch",
        (k,),
        f"The gradient of {said_name(s, k)} is wrong in no way that is known here; its worst "
        f"entry, {place}, is {given[0][worst]:.6g} where {true[0][worst]:.6g} is due.",
        "Compare it with the derivation, term by term.",
        {"cosine": cosine},
    )
