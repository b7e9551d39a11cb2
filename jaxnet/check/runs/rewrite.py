"""The loss with its program altered: stopped gradients let through, biases added."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core

Hook = Callable[[Any, Sequence[Any], Sequence[bool]], Any]
"""(equation, inputs, which of them depend on the parameters) -> its output, or None for its own."""


def rewritten(loss: Callable[..., Any], hook: Hook) -> Callable[..., Any]:
    """loss(params, x, t) with a hook asked at every equation.

    Calls are looked into; loops, and functions with derivatives of their own, are not.
    """

    def new(params: Any, x: Any, t: Any) -> Any:
        closed = jax.make_jaxpr(loss)(params, x, t)
        leaves = jax.tree.leaves((params, x, t))
        count = len(jax.tree.leaves(params))
        known = [i < count for i in range(len(leaves))]
        outputs, _ = _run(closed.jaxpr, closed.consts, leaves, known, hook)
        return outputs[0]

    return new


def _run(jaxpr: Any, consts: Any, inputs: Any, known: list[bool], hook: Hook) -> Any:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    depends = dict.fromkeys(jaxpr.constvars, False)
    values |= zip(jaxpr.invars, inputs, strict=True)
    depends |= zip(jaxpr.invars, known, strict=True)

    def read(atom: Any) -> tuple[Any, bool]:
        if isinstance(atom, core.Literal):
            return atom.val, False
        return values[atom], depends[atom]

    for eqn in jaxpr.eqns:
        ins, flags = zip(*map(read, eqn.invars), strict=True) if eqn.invars else ((), ())
        own = hook(eqn, ins, flags)
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        plain = eqn.primitive.name in ("jit", "closed_call", "checkpoint")
        if own is not None:
            outs, moved = [own], [any(flags)]
        elif inner is not None and plain:
            body = getattr(inner, "jaxpr", inner)
            outs, moved = _run(body, getattr(inner, "consts", ()), ins, list(flags), hook)
        else:
            outs = _alone(eqn, ins, jaxpr.debug_info) if inner is not None else _bound(eqn, ins)
            moved = [any(flags)] * len(outs)
        values |= zip(eqn.outvars, outs, strict=True)
        depends |= zip(eqn.outvars, moved, strict=True)
    pairs = [read(atom) for atom in jaxpr.outvars]
    return [value for value, _ in pairs], [flag for _, flag in pairs]


def _bound(eqn: Any, ins: Sequence[Any]) -> Any:
    outs = eqn.primitive.bind(*ins, **eqn.params)
    return outs if eqn.primitive.multiple_results else [outs]


def _alone(eqn: Any, ins: Sequence[Any], debug_info: Any) -> Any:
    """The outputs of one equation as JAX itself runs it, with its own derivative if it has one."""
    pairs = zip(eqn.invars, ins, strict=True)
    given = {var: value for var, value in pairs if not isinstance(var, core.Literal)}
    program = core.Jaxpr((), list(given), eqn.outvars, [eqn], eqn.effects, debug_info)
    return core.jaxpr_as_fun(core.ClosedJaxpr(program, ()))(*given.values())


def unstopped(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss without its stop_gradients."""
    return rewritten(
        loss, lambda eqn, ins, _: ins[0] if eqn.primitive.name == "stop_gradient" else None
    )


def biased(loss: Callable[..., Any]) -> Callable[..., Any]:
    """loss((params, biases), x, t): with a bias added to every product of inputs and parameters."""

    def new(both: Any, x: Any, t: Any) -> Any:
        params, biases = both
        rest = iter(biases)

        def hook(eqn: Any, ins: Any, flags: Any) -> Any:
            if not _is_product(eqn, flags):
                return None
            product = eqn.primitive.bind(*ins, **eqn.params)
            return product + next(rest).astype(product.dtype)

        return rewritten(loss, hook)(params, x, t)

    return new


def bias_shapes(loss: Callable[..., Any], params: Any, x: Any, t: Any) -> list[tuple[int, ...]]:
    """The shapes of the biases that `biased` takes."""
    shapes = []

    def hook(eqn: Any, ins: Any, flags: Any) -> None:
        if _is_product(eqn, flags):
            shapes.append(eqn.outvars[0].aval.shape[1:])

    jax.eval_shape(rewritten(loss, hook), params, x, t)
    return shapes


def _is_product(eqn: Any, flags: Sequence[bool]) -> bool:
    """A matrix product with parameters that gives a row for each example."""
    if eqn.primitive.name != "dot_general" or not any(flags):
        return False
    out, first = eqn.outvars[0].aval, eqn.invars[0].aval
    rows = out.shape[0] if out.ndim else 0
    every_pair = out.shape[1:] == (rows,)  # of rows: a bias would stand for a row, not for a unit
    return bool(rows and first.ndim >= 2 and rows == first.shape[0] and not every_pair)
