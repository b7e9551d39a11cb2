"""A traced loss run once, with everything kept: calls and loops are unrolled."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.extend.source_info_util import summarize

from jaxnet.check.primitives import PRIMITIVES
from jaxnet.check.replay import EXTREMA, Operation, Replay, as_array, backward, in_jax, is_float

LONGEST = 20_000
"""Operations that a replay may have, loops unrolled."""

JAX_FOLDER = str(Path(jax.__file__).parent)
OWN_FRAME = str(Path(__file__).with_name("witness.py"))
"""Where the doctor itself calls the loss."""


class TooLong(Exception):
    """The loss runs more operations than a replay can hold."""


def record(closed: core.ClosedJaxpr, arguments: Sequence[Any], parameters: int) -> Replay:
    """Run a traced loss and keep everything.

    Args:
        closed: The loss as traced in float64.
        arguments: Its flat arguments.
        parameters: How many of them, from the front, are parameters; those of floating-point
            numbers are differentiated.

    Raises:
        TooLong: It runs too many operations.
    """
    replay = Replay()
    numbers = [replay.add(as_array(a)) for a in arguments]
    replay.parameters = tuple(i for i in numbers[:parameters] if is_float(replay.values[i]))
    (replay.result,) = _run(replay, closed.jaxpr, closed.consts, numbers, None)
    replay.constant = _shifts(replay)
    return replay


def _shifts(replay: Replay) -> frozenset[int]:
    """The maxima on which the loss does not depend, such as the one that a softmax subtracts.

    What comes back to them adds up to 0, and people rightly leave it out. It does not add up to 0
    in a gradient that is wrong further on, which would then look like two faults.
    """
    maxima = [op for op in replay.operations if op.name in EXTREMA]
    if not maxima:
        return frozenset()
    cts = backward(replay).values
    return frozenset(
        op.index
        for op in maxima
        if op.outputs[0] in cts
        and np.abs(cts[op.outputs[0]]).max(initial=0)
        <= 1e-12 * np.abs(cts[op.inputs[0]]).max(initial=0)
    )


def frames_of(eqn: Any) -> tuple[str, ...]:
    """The places in the user's source that led to an equation, the innermost first."""
    frames = str(summarize(eqn.source_info, num_frames=8)).split("\n")
    return tuple(frame for frame in reversed(frames) if OWN_FRAME not in frame)


def _run(
    replay: Replay,
    jaxpr: Any,
    consts: Sequence[Any],
    arguments: Sequence[int],
    outer: tuple[str, ...] | None,
    own: bool = False,
) -> list[int]:
    """Run a jaxpr, called from `outer`; own says that it is one of JAX's own functions.

    Those are traced once and keep the places of their first caller, which mean nothing here.
    """
    number: dict[Any, int] = {}
    for var, const in zip(jaxpr.constvars, consts, strict=True):
        number[var] = replay.add(as_array(const))
    number |= zip(jaxpr.invars, arguments, strict=True)

    def read(atom: Any) -> int:
        return replay.add(np.asarray(atom.val)) if isinstance(atom, core.Literal) else number[atom]

    for eqn in jaxpr.eqns:
        inner = () if own else frames_of(eqn)
        inputs = [read(atom) for atom in eqn.invars]
        outputs = _equation(replay, eqn, inputs, (*inner, *(outer or ())), own)
        number |= zip(eqn.outvars, outputs, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _equation(
    replay: Replay, eqn: Any, inputs: list[int], frames: tuple[str, ...], library: bool
) -> list[int]:
    """Run one equation; calls and loops are run through."""
    name, params = eqn.primitive.name, eqn.params
    if name == "scan":
        return _scan(replay, params, inputs, frames)
    if name == "cond":
        branch = params["branches"][int(replay.values[inputs[0]])]
        return _call(replay, branch, inputs[1:], frames, library)
    if name == "while":
        return _while(replay, params, inputs, frames)
    inner = params.get("jaxpr", params.get("call_jaxpr"))
    if inner is not None and name not in ("custom_linear_solve",):
        return _call(replay, inner, inputs, frames, library)
    if len(replay.operations) >= LONGEST:
        raise TooLong(f"more than {LONGEST} operations")
    operands = [replay.values[i] for i in inputs]

    def bind(*xs: Any) -> Any:
        return eqn.primitive.bind(*xs, **params)

    keys = any(isinstance(x, jax.Array) for x in operands)  # these NumPy does not have
    if name in PRIMITIVES and not keys:
        with np.errstate(all="ignore"):
            results = [np.asarray(PRIMITIVES[name].value(params, *operands))]
        results[0] = results[0].astype(eqn.outvars[0].aval.dtype, copy=False)
    else:
        out = bind(*(in_jax(x) for x in operands))
        results = [as_array(y) for y in (out if eqn.primitive.multiple_results else [out])]
    outputs = tuple(replay.add(y) for y in results)
    replay.operations.append(
        Operation(
            len(replay.operations), name, params, tuple(inputs), outputs, frames, library, bind
        )
    )
    return list(outputs)


def _call(
    replay: Replay,
    inner: Any,
    inputs: Sequence[int],
    frames: tuple[str, ...],
    library: bool = False,
) -> list[int]:
    jaxpr = getattr(inner, "jaxpr", inner)
    consts = getattr(inner, "consts", ())
    source = jaxpr.debug_info.func_src_info if jaxpr.debug_info else ""
    return _run(replay, jaxpr, consts, inputs, frames, own=library or JAX_FOLDER in str(source))


def _scan(replay: Replay, params: Any, inputs: list[int], frames: tuple[str, ...]) -> list[int]:
    n_consts, n_carry, length = params["num_consts"], params["num_carry"], params["length"]
    consts, carry = inputs[:n_consts], inputs[n_consts : n_consts + n_carry]
    stacked = inputs[n_consts + n_carry :]
    steps = range(length)[::-1] if params["reverse"] else range(length)
    results: dict[int, list[int]] = {}
    handed: list[int] = []
    for step, t in enumerate(steps):
        handed += carry if step else []
        rows = [_row(replay, xs, t, frames) for xs in stacked]
        outputs = _call(replay, params["jaxpr"], [*consts, *carry, *rows], frames)
        carry, results[t] = outputs[:n_carry], outputs[n_carry:]
    replay.carried.append(handed)
    if length == 0:
        empty = params["jaxpr"].out_avals[n_carry:]
        return [*carry, *(replay.add(np.zeros((0, *a.shape), a.dtype)) for a in empty)]
    columns = zip(*(results[t] for t in range(length)), strict=True)
    return [*carry, *(_stack(replay, column, frames) for column in columns)]


def _row(replay: Replay, xs: int, t: int, frames: tuple[str, ...]) -> int:
    return _structural(replay, "loop_row", {"row": t}, [xs], frames)


def _stack(replay: Replay, rows: Sequence[int], frames: tuple[str, ...]) -> int:
    return _structural(replay, "loop_stack", {}, rows, frames)


def _structural(
    replay: Replay,
    name: str,
    params: dict[str, Any],
    inputs: Sequence[int],
    frames: tuple[str, ...],
) -> int:
    """Run an operation that only the unrolled loop has."""
    bind = partial(PRIMITIVES[name].value, params)
    output = replay.add(bind(*(replay.values[i] for i in inputs)))
    op = Operation(
        len(replay.operations), name, params, tuple(inputs), (output,), frames, False, bind
    )
    replay.operations.append(op)
    return output


def _while(replay: Replay, params: Any, inputs: list[int], frames: tuple[str, ...]) -> list[int]:
    n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
    cond_consts, body_consts = inputs[:n_cond], inputs[n_cond : n_cond + n_body]
    carry = inputs[n_cond + n_body :]
    while True:
        (go,) = _call(replay, params["cond_jaxpr"], [*cond_consts, *carry], frames)
        if not bool(replay.values[go]):
            return carry
        carry = _call(replay, params["body_jaxpr"], [*body_consts, *carry], frames)
