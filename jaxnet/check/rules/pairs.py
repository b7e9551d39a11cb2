"""Rules that are pairs of functions: how they are called, and how they might be meant."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.check.rules.comparison import RELATIVE, UNIT, same
from jaxnet.check.rules.forms import Broken, Form, Stepper, extra_of, row
from jaxnet.check.rules.problems import MIXED, Problem

GRADS = frozenset({"grads", "grad", "gradients", "gradient", "g", "dparams", "updates"})
PARAMS = frozenset({"params", "param", "parameters", "p", "x", "w", "weights", "theta"})
ORDERS = (
    ("params, grads, state", (0, 1, 2)),
    ("grads, params, state", (1, 0, 2)),
    ("grads, state, params", (1, 2, 0)),
    ("params, state, grads", (0, 2, 1)),
    ("state, params, grads", (2, 0, 1)),
    ("state, grads, params", (2, 1, 0)),
)
"""How a step may take its arguments, the first is how it must."""


def _alike(tree: Any) -> Any:
    return jax.tree.structure(tree)


def pair(init: Any, step: Any, form: Form, wrap: Callable[[Any], Any]) -> Stepper:
    """How an (init, step) pair is run on parameters of one form."""
    names = inspect.signature(step).parameters
    traced: list[bool] = []

    def answer(result: Any, params: Any, state: Any) -> tuple[Any, Any]:
        if result is None:  # params and state were changed in place
            return params, state
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Broken(f"step must return (params, state), got {type(result).__name__}")
        if _alike(result) == _alike(state) != _alike(result[1]):
            raise Broken("step returned the state alone: it must return (params, state)")
        if _alike(result[1]) == _alike(params) != _alike(state) == _alike(result[0]):
            raise Broken("step returned (state, params): it must return (params, state)")
        return result[0], result[1]

    def call(problem: Problem) -> tuple[np.ndarray, Any]:
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
        traced.append(any(isinstance(x, jax.Array) for x in leaves))
        return np.array(path), np.result_type(*(np.asarray(x).dtype for x in leaves))

    def otherwise(problem: Problem, due: np.ndarray, sure: bool) -> str:
        return called_otherwise(init, step, form, problem, due, sure)

    return Stepper(call, otherwise=otherwise, traced=lambda: any(traced))


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
    init: Any, step: Any, form: Form, problem: Problem, due: np.ndarray, sure: bool
) -> str:
    """What to say of a pair that goes the path that is due if it is called in another way.

    Gradients and state exchanged can also be the two weights of an average, so with `sure` that is
    not tried.
    """
    for words, order in ORDERS:
        for answer in ("params, state", "state, params"):
            as_it_is = order == (0, 1, 2) and answer == "params, state"
            if as_it_is or (sure and order == (0, 2, 1)):
                continue

            def turned(*three: Any, order: Any = order, answer: str = answer) -> Any:
                result = step(*(three[i] for i in order))
                return result if answer == "params, state" else result[::-1]

            for wrap in (np.array, jnp.array):
                try:
                    path = pair(init, turned, form, wrap)(problem)[0]
                except Exception:  # it does not take them so
                    continue
                if same(path, due, RELATIVE, UNIT):
                    return (
                        f"the rule is right as step({words}) -> ({answer}). It is called as "
                        "step(params, grads, state) and must return (params, state): exchange "
                        "what stands in another place"
                    )
    return ""
