"""Rules that are pairs of functions: how they are called, and how they might be meant."""

import inspect
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.check.rules.comparison import RELATIVE, UNIT, same
from jaxnet.check.rules.forms import Broken, Form, Order, Ran, Stepper, extra_of, row
from jaxnet.check.rules.problems import MIXED, Problem

GRADS = frozenset({"grads", "grad", "gradients", "gradient", "g", "dparams", "updates"})
PARAMS = frozenset({"params", "param", "parameters", "p", "x", "w", "weights", "theta"})
DUE = (0, 1, 2)
ORDERS = (
    Order("params, grads, state", DUE),
    Order("grads, params, state", (1, 0, 2)),
    Order("grads, state, params", (1, 2, 0)),
    Order("state, params, grads", (2, 0, 1)),
    Order("state, grads, params", (2, 1, 0)),
)
"""How a step may take its arguments; the first is how it must, and may return them turned."""

EXCHANGED = (Order("params, state, grads", (0, 2, 1)),)
"""Gradients and state exchanged: that may also be the two weights of an average."""


def pair(init: Any, step: Any, form: Form, wrap: Callable[[Any], Any]) -> Stepper:
    """How an (init, step) pair is run on parameters of one form."""
    names = inspect.signature(step).parameters

    def answer(result: Any, params: Any, state: Any) -> tuple[Any, Any]:
        if result is None:  # params and state were changed in place
            return params, state
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Broken(f"step must return (params, state), got {type(result).__name__}")
        trees = (params, state, result, *result)
        structures: list[Any] = [jax.tree.structure(tree) for tree in trees]
        before, kept, whole, one, two = structures
        if whole == kept != two:
            raise Broken("step returned the state alone: it must return (params, state)")
        if two == before != kept == one:
            raise Broken("step returned (state, params): it must return (params, state)")
        return result[0], result[1]

    def call(problem: Problem) -> Ran:
        leaves = [wrap(x) for x in problem.start]
        state = init(form.tree([wrap(x) for x in problem.start]))
        path = [row(leaves)]
        for t in range(1, len(problem.grads) + 1):
            xs = [np.asarray(x, np.float64) for x in leaves]
            params = form.tree([wrap(x) for x in leaves])
            grads = form.tree([wrap(g) for g in problem.gradient(t, xs)])
            extra = {k: v for k, v in extra_of(problem, t, xs, form).items() if k in names}
            result = step(params, grads, state, **extra)
            params, state = answer(result, params, state)
            leaves = form.leaves(params)
            path.append(row(leaves))
        if result is None and (np.array(path) == path[0]).all():
            raise Broken(
                "step returned None and left the parameters as they are: it must return "
                "(params, state)"
            )
        library = "JAX" if any(isinstance(x, jax.Array) for x in leaves) else "NumPy"
        dtype = np.result_type(*(np.asarray(x).dtype for x in leaves))
        return Ran(np.array(path), dtype, library)

    return Stepper(call, otherwise=partial(called_otherwise, init, step, form))


def own_names(init: Any, step: Any) -> dict[str, tuple[int, ...]]:
    """The leaves that a rule asks for by names of its own, with shapes; empty if it does not."""
    found: dict[str, tuple[int, ...]] = {}
    shapes = list(MIXED.values())
    while len(found) < 20:
        params = {k: np.ones(shape) for k, shape in found.items()}
        try:
            step(params, {k: p.copy() for k, p in params.items()}, init(params))
        except KeyError as error:
            name = error.args[0] if error.args else None
            if not isinstance(name, str) or name in found:
                return {}
            found[name] = shapes[len(found) % len(shapes)]
        except Exception:  # what else is wrong with it is told where it is run
            return {}
        else:
            return found
    return {}


def turned_names(rule: Any) -> str:
    """What to say of a step whose arguments are named in another order; else nothing."""
    step = rule[1] if isinstance(rule, tuple | list) and len(rule) == 2 else None
    names = list(inspect.signature(step).parameters)[:2] if callable(step) else []
    if len(names) == 2 and names[0] in GRADS and names[1] in PARAMS:
        return (
            f"step takes ({names[0]}, {names[1]}, ...): it is called as step(params, grads, "
            "state). Exchange its arguments, or pass (init, lambda p, g, s: step(g, p, s))"
        )
    return ""


def called_otherwise(
    init: Any, step: Any, form: Form, problem: Problem, due: np.ndarray, orders: tuple[Order, ...]
) -> str:
    """What to say of a pair that goes the path that is due if it is called in another way."""
    ways = product(orders, ("params, state", "state, params"), (np.array, jnp.array))
    for order, answer, wrap in ways:
        if order.places == DUE and answer == "params, state":
            continue
        turned = _turned(step, order, answer)
        try:
            path = pair(init, turned, form, wrap)(problem).path
        except Exception:  # it does not take them so
            continue
        if same(path, due, RELATIVE, UNIT):
            return (
                f"the rule is right as step({order.words}) -> ({answer}). It is called as "
                "step(params, grads, state) and must return (params, state): exchange "
                "what stands in another place"
            )
    return ""


def _turned(step: Any, order: Order, answer: str) -> Callable[..., Any]:
    """The step with its arguments, and what it returns, taken in another order."""

    def turned(*three: Any) -> Any:
        result = step(*(three[i] for i in order.places))
        return result if answer == "params, state" else result[::-1]

    return turned
