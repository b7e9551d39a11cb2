"""The search for the cause of a wrong gradient: relations first, then the replay."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from jaxnet.check.alterations import Alteration, alterations
from jaxnet.check.replay import Replay, TooLong, altered_gradient, backward, record
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
    if whole is not None:
        return [*causes, *whole]
    replays = _replays(s, samples)
    if replays is not None:
        found = _by_replay(s, samples, left, limits, close, replays)
        if found:
            return [*causes, *found]
    quotient = _difference_quotient(s, samples, left, close)
    if quotient is not None:
        return [*causes, quotient]
    for k in left:
        causes.append(_alone(s, samples, k, close) or _mismatch(s, samples, k))
    return _merged(causes)


# Gradients that cannot be compared at all.


def _unusable(s: Subject, samples: list[Sample], wrong: list[int]) -> Iterator[Cause]:
    for k in wrong:
        name = s.names[k]
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
        elif not all(np.isfinite(sample.given[k]).all() for sample in samples):
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
    for relation in (_partial_batch, _stale):
        whole = relation(s, samples, left, close)
        if whole is not None:
            return [whole]
    return None


def _alone(s: Subject, samples: list[Sample], k: int, close: float) -> Cause | None:
    """What a leaf's gradient is to the true one, if it is something simple."""
    name = s.names[k]
    given, true = _leaf(samples, k)
    if all(not g.any() for g in given):
        return Cause(
            "missing",
            (k,),
            f"The gradient of {name} is 0; the true one is not.",
            f"Derive the gradient of {name} and return it.",
        )
    factor = _factor(given, true, close)
    if factor is not None and factor != 0:
        return _of_factor(s, k, factor)
    for said, turned in _layouts(true[0].shape):
        if all(same(g, turned(t), close) for g, t in zip(given, true, strict=True)):
            return Cause(
                "transpose", (k,), f"The gradient of {name} is {said}.", "Put its axes in order."
            )
    return _entries(s, k, given, true, close)


def _leaf(samples: list[Sample], k: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    given = [np.asarray(sample.given[k]) for sample in samples]
    return given, [sample.true[k] for sample in samples]


def same(a: np.ndarray, b: np.ndarray, close: float) -> bool:
    """Whether two gradients are the same up to `close` times the largest entry."""
    size = max(float(np.abs(b).max(initial=0)), float(np.finfo(float).tiny))
    return bool(np.abs(a - b).max(initial=0) <= close * size)


def _factor(given: list[np.ndarray], true: list[np.ndarray], close: float) -> float | None:
    """C if the gradients are c times the true ones at all points."""
    a, b = np.concatenate([g.ravel() for g in given]), np.concatenate([t.ravel() for t in true])
    if not b.any():
        return None
    c = float(a @ b / (b @ b))
    whole = all(same(g, c * t, close) for g, t in zip(given, true, strict=True))
    return c if whole else None


def _of_factor(s: Subject, k: int, factor: float) -> Cause:
    name = s.names[k]
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
        f"The gradient of {s.names[k]} is {what} in {where}; the other entries are right.",
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
        c = _factor(excess, base, 1e3 * close)
        if c is None or abs(c) < 1e-12:
            continue
        due = _penalty_due(s, samples, k) if power == 2.0 else 0.0
        found = due + c / power
        if abs(found) < 1e-3 * abs(due):
            found = 0.0
        name = s.names[k]
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
    replays = _replays(s, samples[:1])
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


def _stale(s: Subject, samples: list[Sample], left: list[int], close: float) -> Cause | None:
    """The gradient at parameters that a step has already changed."""
    if s.closed is None or len(samples) < 2:
        return None
    loss = s.loss

    @jax.jit
    def true_at(params: Any) -> Any:
        return jax.grad(lambda moving: loss(with_floats(params, moving)))(floats(params))

    def moved(sample: Sample, rate: float) -> Any:
        step = [np.asarray(p) - rate * t for p, t in zip(floats(sample.params), sample.true)]
        return with_floats(sample.params, step)

    def miss(sample: Sample, rate: float) -> tuple[float, np.ndarray]:
        at = true_at(moved(sample, rate))
        error = np.concatenate([(np.asarray(at[k]) - sample.given[k]).ravel() for k in left])
        return float(np.linalg.norm(error)), error

    first = samples[0]
    size = float(np.sqrt(sum(np.sum(np.square(first.true[k])) for k in left)))
    rates = np.logspace(-5, 0.5, 23)
    misses = [miss(first, rate)[0] for rate in rates]
    best = int(np.argmin(misses))
    rate = _refined(lambda r: miss(first, r)[1], float(rates[best]))
    if rate is None or abs(rate) < 1e-9:
        return None
    for sample in samples:
        if miss(sample, rate)[0] > 100 * close * size:
            return None
    return Cause(
        "stale",
        tuple(left),
        f"The gradient is that at parameters already moved by a step of {rate:.4g} against it.",
        "Compute all gradients before any parameter is changed.",
        {"step": rate},
    )


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
    replays = _replays(s, samples)
    if replays is None:
        return None
    fits = []
    for replay, sample in zip(replays, samples, strict=True):
        rows = row_gradients(replay, n)
        if rows is None:
            return None
        columns = np.stack([np.concatenate([row[k].ravel() for k in left]) for row in rows], 1)
        target = np.concatenate([np.asarray(sample.given[k]).ravel() for k in left])
        if columns.shape[0] < n:
            return None
        weights = np.linalg.lstsq(columns, target, rcond=1e-10)[0]
        if not same(columns @ weights, target, close):
            return None
        fits.append(weights)
    weights = fits[0]
    if not all(np.allclose(w, weights, atol=1e-3 * np.abs(weights).max()) for w in fits):
        return None
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
    """The part of the gradient that each row of the batch contributes, if the loss is a sum over rows.

    The last sum over an axis of n entries is opened: its cotangent is passed on for one row at a time.
    """
    base = backward(replay)
    for op in reversed(replay.operations):
        if op.name != "reduce_sum" or op.index not in base.inputs:
            continue
        shape = np.shape(replay.values[op.inputs[0]])
        axes = [i for i in op.params["axes"] if shape[i] == n]
        if not axes:
            continue
        axis = axes[0]

        def only(row: int, axis: int = axis) -> Any:
            def rule(op: Any, replay: Replay, dy: Any) -> Any:
                (ct,) = base.inputs[op.index]
                kept = np.zeros_like(ct)
                index = (slice(None),) * axis + (row,)
                kept[index] = ct[index]
                return (kept,)

            return rule

        rows = [altered_gradient(replay, {op.index: only(row)}) for row in range(n)]
        whole = altered_gradient(replay, {op.index: lambda op, replay, dy: (None,)})
        if any(np.abs(w).max(initial=0) > 0 for w in whole):
            # What does not pass through the sum, such as a penalty, belongs to all rows alike.
            rows = [[g - w + w / n for g, w in zip(row, whole, strict=True)] for row in rows]
        return rows
    return None


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
    entries = [np.unravel_index(i, shape) for i in range(min(3, sample.true[k].size))]
    given, true = (np.asarray([leaf[e] for e in entries]) for leaf in (sample.given[k], sample.true[k]))
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
            if off <= 1e-2 * error + noise and error > max(100 * noise, close * np.abs(true).max()):
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
                if whole and 1 <= np.abs(counts).min() and np.abs(counts).max() < 1e5:
                    return "", h
    return None


# The replay.


def _replays(s: Subject, samples: list[Sample]) -> list[Replay] | None:
    """The loss replayed at every point, if JAX can trace it."""
    if s.closed is None:
        return None
    try:
        return [_recorded(s, sample) for sample in samples]
    except TooLong:
        return None


def _recorded(s: Subject, sample: Sample) -> Replay:
    leaves = jax.tree.leaves(sample.params)
    return record(s.closed, leaves, len(leaves))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Explained:
    """An alteration and the wrong leaves that it explains, up to a factor."""

    alteration: Alteration
    leaves: tuple[int, ...]
    factor: float


def _by_replay(
    s: Subject,
    samples: list[Sample],
    left: list[int],
    limits: list[float],
    close: float,
    replays: list[Replay],
) -> list[Cause]:
    """Causes that one alteration, or two, or one and relations, make plain."""
    moving = [j for j, leaf in enumerate(jax.tree.leaves(samples[0].params)) if is_float(leaf)]

    def run(rules: Mapping[int, Any], point: int) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            leaves = altered_gradient(replays[point], rules)
        return [leaves[j] for j in moving]

    candidates = [a for a in alterations(replays[0])]
    found = _explaining(candidates, {}, samples, left, limits, close, run)
    complete = [e for e in found if len(e.leaves) == len(left)]
    if complete:
        return _causes_of(s, min(complete, key=_order))
    # Two faults: the alteration that explains most leaves, and what explains the rest with it.
    for first in sorted(found, key=lambda e: (-len(e.leaves), _order(e)))[:12]:
        rest = [k for k in left if k not in first.leaves]
        base = dict(first.alteration.rules)
        second = [
            e
            for e in _explaining(candidates, base, samples, rest, limits, close, run)
            if len(e.leaves) == len(rest)
        ]
        if second:
            return _causes_of(s, first) + _causes_of(s, min(second, key=_order))
        relations = [_alone(s, _replaced(samples, run, base), k, close) for k in rest]
        if all(relations):
            return _causes_of(s, first) + _merged([r for r in relations if r is not None])
    by_relation = {k: cause for k in left if (cause := _alone(s, samples, k, close)) is not None}
    for first in sorted(found, key=_order):
        rest = [k for k in left if k not in first.leaves]
        if all(k in by_relation for k in rest):
            return _causes_of(s, first) + _merged([by_relation[k] for k in rest])
    return []


def _replaced(samples: list[Sample], run: Callable[..., Any], rules: Any) -> list[Sample]:
    """The samples with the gradient under an alteration for the true one."""
    return [sample._replace(true=run(rules, i)) for i, sample in enumerate(samples)]


def _order(e: Explained) -> tuple[float, ...]:
    exact = 0 if abs(e.factor - 1) < 1e-4 else 3
    return (exact + e.alteration.rank, len(e.alteration.rules))


def _explaining(
    candidates: list[Alteration],
    base: Mapping[int, Any],
    samples: list[Sample],
    left: list[int],
    limits: list[float],
    close: float,
    run: Callable[[Mapping[int, Any], int], list[np.ndarray]],
) -> list[Explained]:
    """The alterations that, on top of others, give the user's gradient in some of the leaves.

    A leaf that is right, or explained already, must stay as it is.
    """
    before = [run(base, i) if base else sample.true for i, sample in enumerate(samples)]
    found = []
    for a in candidates:
        if any(i in base for i in a.rules):
            continue
        rules = {**base, **a.rules}
        try:
            altered = run(rules, 0)
        except (ValueError, IndexError, FloatingPointError, NotImplementedError, TypeError):
            continue  # an alteration that does not fit these shapes is none that was made
        changed = [
            k for k, g in enumerate(altered) if np.abs(g - before[0][k]).max(initial=0) > limits[k]
        ]
        if not changed or not set(changed) <= set(left):
            continue
        factors = {k: _factor_of(samples[0].given[k], altered[k], close) for k in changed}
        explained = [k for k in changed if factors[k] is not None]
        if not explained:
            continue
        factor = factors[explained[0]]
        assert factor is not None
        explained = [k for k in explained if abs(factors[k] / factor - 1) < 1e-3]  # type: ignore[operator]
        if len(explained) < len(changed) and abs(factor - 1) > 1e-4:
            continue
        if _holds(samples, rules, explained, factor, close, run):
            found.append(Explained(a, tuple(explained), factor))
    return found


def _factor_of(given: Any, altered: np.ndarray, close: float) -> float | None:
    if given is None or given.shape != altered.shape or not np.isfinite(altered).all():
        return None
    if not altered.any():
        return 1.0 if not given.any() else None
    return _factor([given], [altered], close)


def _holds(
    samples: list[Sample],
    rules: Mapping[int, Any],
    leaves: list[int],
    factor: float,
    close: float,
    run: Callable[[Mapping[int, Any], int], list[np.ndarray]],
) -> bool:
    """Whether an alteration reproduces the leaves at the other points too."""
    for i in range(1, len(samples)):
        altered = run(rules, i)
        if not all(
            same(np.asarray(samples[i].given[k]), factor * altered[k], close) for k in leaves
        ):
            return False
    return True


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
    cosine = float(
        np.vdot(given[0], true[0])
        / max(np.linalg.norm(given[0]) * np.linalg.norm(true[0]), np.finfo(float).tiny)
    )
    return Cause(
        "mismatch",
        (k,),
        f"The gradient of {s.names[k]} is wrong in no way that is known here; the worst entry, "
        f"{tuple(map(int, worst))}, is {given[0][worst]:.6g} where {true[0][worst]:.6g} is due.",
        "Compare it with the derivation, term by term.",
        {"cosine": cosine},
    )
