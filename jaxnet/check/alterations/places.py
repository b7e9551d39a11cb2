"""Where an operation stands in the source, and what plays the same part in every run of a loop."""

from collections.abc import Iterator, Sequence
from typing import Any

from jaxnet.check.replay import Operation, Replay


class Places:
    """Which line of the source to point at."""

    def __init__(self, replay: Replay) -> None:
        """Sort the chains of calls by where they end."""
        self._chains: dict[str, set[tuple[str, ...]]] = {}
        for op in replay.operations:
            for frame in op.frames:
                self._chains.setdefault(frame, set()).add(op.frames)

    def of(self, ops: Sequence[Operation]) -> str:
        """The innermost place that only these operations have gone through.

        Inside a function that is called several times it is the call, if the others are right.
        """
        chains = {op.frames for op in ops}
        for frame in ops[0].frames:
            inside = {c for c in self._chains[frame] if c[0] == ops[0].frames[0] or frame != c[0]}
            if {c[c.index(frame) :] for c in inside} <= {
                c[c.index(frame) :] for c in chains if frame in c
            }:
                return frame
        return ops[0].frames[0] if ops[0].frames else ""


def runs(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """Operations that are the same code run again: in a loop of Python's or of JAX's.

    First by the chain of calls that led there; what a chain ran is cut where it repeats.
    """
    by_chain: dict[tuple[str, ...], list[Operation]] = {}
    for op in operations:
        by_chain.setdefault(op.frames, []).append(op)
    for ops in by_chain.values():
        period = _period([(op.name, len(op.inputs), str(op.params.get("y", ""))) for op in ops])
        for i in range(period):
            yield ops[i::period]
        if period < len(ops) and not _loops(ops, period):
            yield from ([op] for op in ops)


def together(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """Operations that a person writes as one: the runs of a loop, and all calls of a function."""
    by_place: dict[tuple[str, str, int], list[list[Operation]]] = {}
    for ops in runs(operations):
        yield ops
        if ops[0].frames:
            key = (ops[0].frames[0], ops[0].name, len(ops))
            by_place.setdefault(key, []).append(ops)
    for calls in by_place.values():
        if len({ops[0].frames for ops in calls}) > 1:
            yield [op for ops in calls for op in ops]


def same_line(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """Operations of the same line of source at several places in it."""
    by_line: dict[str, dict[int, Operation]] = {}
    for op in operations:
        if op.frames:
            line = op.frames[0].rsplit(":", 1)[0]
            by_line.setdefault(line, {})[op.index] = op
    for ops in by_line.values():
        if len({op.frames for op in ops.values()}) > 1:
            yield list(ops.values())


def _loops(ops: Sequence[Operation], period: int) -> bool:
    """Whether the repetitions lie apart, with other operations between them."""
    return any(ops[i].index - ops[i - 1].index > 1 for i in range(period, len(ops), period))


class Counterparts:
    """What plays the same part in every run of a loop."""

    def __init__(self, replay: Replay) -> None:
        """Line up the outputs of the operations that are runs of the same code."""
        self._rows: dict[int, list[int]] = {}
        self._entries: dict[tuple[int, int], int] = {}
        self._columns: dict[tuple[int, int], list[int]] = {}
        for ops in runs(replay.operations):
            for row in zip(*(op.outputs for op in ops), strict=True):
                for number in row:
                    self._rows.setdefault(number, list(row))
            for i in range(len(ops[0].inputs)):
                column = [op.inputs[i] for op in ops]
                if len(column) > 1:
                    self._entries[column[1], len(column)] = column[0]
                if len(set(column)) == len(column) > 1:
                    self._columns[column[0], len(column)] = column

    def row(self, number: int, count: int) -> list[int]:
        """The values of all runs that correspond to this one of the first; itself if none do."""
        row = self._rows.get(number, [])
        if len(row) == count and row[0] == number:
            return row
        return self._columns.get((number, count), [number] * count)

    def before_first(self, number: int, count: int) -> int | None:
        """What stood, before the first run, for a value that each run hands to the next."""
        return self._entries.get((number, count))


Signature = tuple[Any, ...]


def _period(names: Sequence[Signature]) -> int:
    """The length of the shortest beginning that a sequence is made of."""
    n = len(names)
    for period in range(1, n):
        if n % period == 0 and all(names[i] == names[i % period] for i in range(n)):
            return period
    return n


def made_through_copies(replay: Replay, number: int) -> Operation | None:
    """The operation that made a value, behind copies of it."""
    op = replay.made_by.get(number)
    while op is not None and op.name in (
        "broadcast_in_dim", "reshape", "convert_element_type", "expand_dims", "squeeze", "copy",
    ):  # fmt: skip
        op = replay.made_by.get(op.inputs[0])
    return op
