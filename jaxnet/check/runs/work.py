"""How much work a loss is, counted in its traced program: the same number on every machine."""

from typing import Any

import jax
import numpy as np

PER_OPERATION = 1e4
"""What an operation costs besides its arithmetic."""


def work(loss: Any, params: Any, x: Any, t: Any) -> float:
    """Floating-point operations of one evaluation of loss(params, x, t), about."""
    return _of(jax.make_jaxpr(loss)(params, x, t).jaxpr)


def _of(jaxpr: Any) -> float:
    """The sum over all equations; the body of a scan counts once for every round."""
    total = 0.0
    for eqn in jaxpr.eqns:
        inner = [_of(body) for value in eqn.params.values() for body in _bodies(value)]
        if inner:
            total += sum(inner) * eqn.params.get("length", 1)
        else:
            out = sum(float(np.prod(v.aval.shape)) for v in eqn.outvars)
            total += out * _terms(eqn) + PER_OPERATION
    return total


def entries(jaxpr: Any) -> float:
    """Numbers that a traced program makes on its way, loops unrolled."""
    total = 0.0
    for eqn in jaxpr.eqns:
        inner = [entries(body) for value in eqn.params.values() for body in _bodies(value)]
        own = sum(float(np.prod(v.aval.shape)) for v in eqn.outvars)
        total += sum(inner) * eqn.params.get("length", 1) if inner else own
    return total


def _bodies(value: Any) -> list[Any]:
    """The programs among an equation's parameters."""
    values = value if isinstance(value, list | tuple) else [value]
    bodies = [getattr(v, "jaxpr", v) for v in values]
    return [body for body in bodies if hasattr(body, "eqns")]


def _terms(eqn: Any) -> float:
    """Operations for each entry of the output."""
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return 2 * float(np.prod([eqn.invars[0].aval.shape[i] for i in contracted]))
    if eqn.primitive.name == "conv_general_dilated":
        kernel = eqn.invars[1].aval.shape
        out = kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
        return 2 * float(np.prod(kernel)) / float(out)
    return 1.0
