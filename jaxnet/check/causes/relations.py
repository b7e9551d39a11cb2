"""What a leaf of a wrong gradient is to the true one: relations that need no trace."""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

from jaxnet.check.causes.cause import Cause, at_points, merged, said_name
from jaxnet.check.causes.penalty import of_penalty, through_copies
from jaxnet.check.replay import Replay
from jaxnet.check.search import common_factor, same
from jaxnet.check.witness import Sample, Subject, floats, named


def by_relations(
    s: Subject, samples: list[Sample], left: list[int], close: float
) -> list[Cause] | None:
    """Causes by simple relations, if they explain all leaves that are left."""
    found = []
    for k in left:
        cause = relation(s, samples, k, close)
        if cause is None or cause.code == "partial_entries":
            cause = _swapped(s, samples, left, k, close)
        if cause is None:
            cause = of_penalty(s, samples, k, close)
        if cause is None:
            break
        found.append(cause)
    if len(found) == len(left):
        return merged(found)
    return None


def relation(s: Subject, samples: list[Sample], k: int, close: float) -> Cause | None:
    """What a leaf's gradient is to the true one, if it is something simple."""
    name = said_name(s, k)
    given, true = at_points(samples, k)
    if all(not g.any() for g in given):
        return Cause(
            "missing",
            (k,),
            f"The gradient of {name} is 0; the true one is not.",
            f"Derive the gradient of {name} and return it.",
        )
    factor = common_factor(given, true, close)
    if factor is not None and factor != 0:
        return of_factor(s, k, factor)
    for said, turned in _layouts(true[0].shape):
        if all(same(g, turned(t), close) for g, t in zip(given, true, strict=True)):
            reverse = "the reverse" in said
            fix = "Reverse it once more." if reverse else "Put its axes in order."
            return Cause("transpose", (k,), f"The gradient of {name} is {said}.", fix)
    return _entries(s, k, given, true, close)


def used_at(replay: Replay, k: int) -> str | None:
    """Where a leaf is first used in a product."""
    own = through_copies(replay, k)
    for op in replay.operations:
        if op.name == "broadcast_in_dim" and op.inputs[0] in own:
            own.update(op.outputs)
        if op.name in ("dot_general", "conv_general_dilated", "mul") and own & set(op.inputs):
            return op.frames[0] if op.frames else None
    return None


def by_other_leaf(
    s: Subject, samples: list[Sample], k: int, close: float, replay: Replay | None
) -> Cause | None:
    """A leaf's gradient with a factor too few or too many that is another leaf."""
    given, true = at_points(samples, k)
    leaves = [[np.asarray(leaf) for leaf in floats(sample.params)] for sample in samples]
    for j in range(len(leaves[0])):
        if j == k:
            continue
        factors = [_along(at[j], true[0].shape) for at in leaves]
        if any(f is None or np.ptp(f) == 0 for f in factors):
            continue
        triples = list(zip(given, true, factors, strict=True))
        name, other = said_name(s, k), s.names[j]
        if all(same(g * f, t, close) for g, t, f in triples):
            return Cause(
                "dropped_derivative",
                (k,),
                f"The gradient of {name} lacks the factor {other}.",
                f"Multiply it by {other}.",
                where=None if replay is None else used_at(replay, j),
            )
        if all(same(g, t * f, close) for g, t, f in triples):
            return Cause(
                "double_counted",
                (k,),
                f"The gradient of {name} has the factor {other} once too often.",
                f"Divide it by {other}.",
                where=None if replay is None else used_at(replay, j),
            )
    return None


def _along(leaf: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """A leaf beside an array of this shape: along its last axes, or else along its first ones."""
    if leaf.ndim and leaf.shape == shape[len(shape) - leaf.ndim :]:
        return np.broadcast_to(leaf, shape)
    if leaf.ndim and leaf.shape == shape[: leaf.ndim]:
        return np.broadcast_to(leaf.reshape(*leaf.shape, *[1] * (len(shape) - leaf.ndim)), shape)
    return None


def of_factor(s: Subject, k: int, factor: float) -> Cause:
    """The cause when a leaf is a multiple of the true one."""
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
    for m in widths - {0, 1}:
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
    if len(shape) == 1 and shape[0] > 2:
        yield "in the reverse order", np.flip
    if len(shape) < 2:
        return
    yield "transposed", lambda t: t.T.reshape(shape)
    yield "flattened in the wrong order", lambda t: t.ravel(order="F").reshape(shape)
    yield "flattened in the wrong order", lambda t: t.ravel().reshape(shape, order="F")
    for axis in range(len(shape)):
        yield f"in the reverse order along axis {axis}", partial(np.flip, axis=axis)


def _entries(
    s: Subject, k: int, given: list[np.ndarray], true: list[np.ndarray], close: float
) -> Cause | None:
    """Only some entries are wrong: which."""
    if true[0].size < 2:
        return None
    size = max(float(np.abs(t).max(initial=0)) for t in true)
    bad = np.any([np.abs(g - t) > close * size for g, t in zip(given, true, strict=True)], axis=0)
    # Entries whose gradient is 0 are right whatever the fault is.
    telling = np.any([t != 0 for t in true], axis=0)
    zero = all(not g[bad].any() for g in given)
    # Entries that are 0 where others are right tell, however many they are.
    most = telling.sum() - 2 if zero else 0.7 * telling.sum()
    if not bad.any() or bad.sum() > most:
        return None
    where = _said_entries(bad)
    what = "0" if zero else "wrong"
    return Cause(
        "partial_entries",
        (k,),
        f"The gradient of {said_name(s, k)} is {what} in {where}; the other entries are right.",
        f"Compute {where} as the others.",
        {"entries": float(bad.sum()), "of": float(bad.size), "zero": float(zero)},
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
    given, _ = at_points(samples, k)
    for j in left:
        if j == k:
            continue
        of_other, other = at_points(samples, j)
        _, own = at_points(samples, k)
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
