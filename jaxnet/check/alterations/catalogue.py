"""All alterations of a loss."""

from collections.abc import Iterator

from jaxnet.check.alterations.alteration import Alteration, applied, with_operand
from jaxnet.check.alterations.averages import of_averages
from jaxnet.check.alterations.losses import of_other_losses
from jaxnet.check.alterations.operations import of_operation
from jaxnet.check.alterations.places import Places, carries, dependent, runs
from jaxnet.check.alterations.slopes import of_functions
from jaxnet.check.alterations.softmax import of_softmax
from jaxnet.check.replay import Operation, Replay


def alterations(replay: Replay) -> Iterator[Alteration]:
    """All alterations of a loss, each for all runs of a place in the source and for single runs."""
    places = Places(replay)
    moving = dependent(replay)
    for ops in runs(replay.operations):
        ops = [op for op in ops if carries(op, replay, moving)]
        if not ops:
            continue
        for made in of_operation(ops[0], replay):
            yield applied(made, ops, places)
            if 1 < len(ops) <= 16 and made.code in ("dropped_path", "transpose", "scale"):
                for run, op in enumerate(ops):
                    said = f" in run {run + 1} of {len(ops)}"
                    single = made._replace(does=made.does + said, rank=made.rank + 1)
                    yield applied(single, [op], places)
            if 1 < len(ops) <= 64 and made.code == "dropped_path":
                for said, kept in (("first", ops[0]), ("last", ops[-1])):
                    does = f"keeps the {said} of {len(ops)} runs only"
                    others = [op for op in ops if op is not kept]
                    yield applied(made._replace(does=does, path=""), others, places)
        yield from _shifted(ops, replay, places)
    yield from of_functions(replay, moving, places)
    yield from composites(replay, places, moving)


def _shifted(ops: list[Operation], replay: Replay, places: "Places") -> Iterator[Alteration]:
    """A product in a loop whose gradient takes the operand of the step before or after."""
    if len(ops) < 2 or ops[0].name not in ("dot_general", "mul"):
        return
    made_by = {o: op for op in replay.operations for o in op.outputs}
    for i in range(2):
        numbers = [op.inputs[i] for op in ops]
        if len(set(numbers)) < len(numbers):
            continue
        after, before = numbers[1:], numbers[:-1]
        maker = made_by.get(numbers[-1])
        same = [
            op
            for op in replay.operations
            if maker is not None and (op.frames, op.name) == (maker.frames, maker.name)
        ]
        last = same[-1].outputs[0] if same else numbers[-1]
        for said, others in (("after", [*after, last]), ("before", [numbers[0], *before])):
            rules = {
                op.index: with_operand(i, other) for op, other in zip(ops, others, strict=True)
            }
            yield Alteration(
                "wrong_point",
                places.of(ops),
                rules,
                f"takes the factor of the step {said}",
                "that of the same step",
                4,
            )


def composites(replay: Replay, places: Places, moving: set[int]) -> Iterator[Alteration]:
    """Mistakes that span several operations."""
    yield from of_softmax(replay, places)
    yield from of_averages(replay, places, moving)
    yield from of_other_losses(replay, places, moving)
