"""The rule examined: an optax transformation, an (init, step) pair or a class of torch.optim."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet.check.rules.forms import (
    Broken,
    Form,
    Otherwise,
    Ran,
    Stepper,
    extra_of,
    no_other,
    row,
    told,
)
from jaxnet.check.rules.pairs import own_names, pair, turned_names
from jaxnet.check.rules.problems import MATRIX, SAME, VECTOR, Problem, problems
from jaxnet.check.rules.torch_classes import of_torch


@dataclass(frozen=True)
class Subject:
    """A rule that can be run.

    Attributes:
        path: The parameters before the first step and after each, as rows of all entries.
        shapes: Of the leaves that it is run on, by name.
        unit: The rounding unit of its parameters: 1.1e-16 in float64, 6.0e-8 in float32.
        varied: Whether its learning rate can be varied from step to step.
        form: How it takes its parameters, in words.
        otherwise: What to say of a rule that goes the path that is due if it is called in
            another way; "" if it does not.
    """

    path: Callable[[Problem], np.ndarray]
    shapes: Mapping[str, tuple[int, ...]]
    unit: float
    varied: bool
    form: str
    otherwise: Otherwise = no_other


def subject(
    rule: Any,
    hyper: Mapping[str, Any],
    asked: Mapping[str, Any],
    mixed: Mapping[str, tuple[int, ...]],
    closed: bool,
) -> Subject:
    """Find out what the rule is and which form of parameters it takes.

    Args:
        rule: An optax transformation, an (init, step) pair, an object with init and step, a class
            of torch.optim, or a function from parameters to an optimizer of torch.
        hyper: The hyperparameters, for a class that is to be constructed.
        asked: Those that the user gave; a class of torch must know them.
        mixed: The shapes of leaves to try first.
        closed: Whether the gradients come from the quadratic of the closed problem.

    Raises:
        TypeError: The rule is none of these.
        ValueError: It fails on every form of parameters; the first error is told.
    """
    errors: dict[str, str] = {}
    broken: list[str] = []
    for form, shapes, stepper in _runs(rule, hyper, asked, mixed):
        probe = problems(shapes, 0.0)[0].cut(2)
        if closed:
            probe = Problem(probe.name, probe.start, probe.grads, probe.values, closed=True)
        try:
            ran = stepper(probe)
        except Exception as error:  # the user's own code: whatever it raises is told
            # The same error on another form says nothing new.
            errors.setdefault(told(error), form)
            # What it does with names of its own is a guess, and no reason.
            if isinstance(error, Broken) and shapes in (mixed, SAME, MATRIX, VECTOR):
                broken.append(told(error))
            continue
        form = form.format(library=ran.library) + stepper.words
        unit = float(jnp.finfo(ran.dtype).eps) / 2  # type: ignore[no-untyped-call]
        varied = stepper.varied

        def path(problem: Problem, stepper: Any = stepper) -> np.ndarray:
            try:
                rows: np.ndarray = stepper(problem).path
            except Exception as error:
                raise ValueError(
                    f'the rule failed on the problem "{problem.name}": {told(error)}'
                ) from error
            return rows

        return Subject(path, shapes, unit, varied, form, stepper.otherwise)
    turned = turned_names(rule)
    if turned:
        raise TypeError(turned)
    if broken:
        raise ValueError(f"the rule could not be run: {broken[0]}")
    called = (
        "Its step is called as step(params, grads, state) and must return (params, state) with "
        "params of the structure given: a dict, a list or one array, whatever its names and "
        "shapes are"
    )
    if callable(rule):
        called = (
            "It is made as rule(params, ...), a class or function of torch; its step() is called "
            "with p.grad set and must change every p in place, under torch.no_grad()"
        )
    first = [f"{form.split(',')[0]}: {error}" for error, form in errors.items()][:3]
    raise ValueError(
        f"the rule could not be run. {called}. It was tried on\n  " + "\n  ".join(first)
    )


def _runs(
    rule: Any,
    hyper: Mapping[str, Any],
    asked: Mapping[str, Any],
    mixed: Mapping[str, tuple[int, ...]],
) -> Iterator[tuple[str, Any, Stepper]]:
    """The forms of parameters to try, with their shapes, and how the rule is run on each."""
    if hasattr(rule, "init") and hasattr(rule, "update"):
        words = f"a dict of arrays {tuple(mixed.values())}"
        yield words, mixed, _optax(rule, Form("dict", mixed))
        yield "one array", MATRIX, _optax(rule, Form("array", MATRIX))
        return
    both = rule
    if hasattr(rule, "init") and hasattr(rule, "step") and not isinstance(rule, type):
        both = (rule.init, rule.step)
    if isinstance(both, tuple | list) and len(both) == 2 and all(map(callable, both)):
        forms: list[tuple[str, Any, str]] = [
            ("a dict of arrays of different shapes", mixed, "dict"),
            ("a list of arrays of different shapes", mixed, "list"),
            ("a dict of arrays of one shape", SAME, "dict"),
            ("a list of arrays of one shape", SAME, "list"),
            ("one matrix", MATRIX, "array"),
            ("one vector", VECTOR, "array"),
        ]
        for words, shapes, kind in forms:
            for wrap in (np.array, jnp.array):
                stepper = pair(both[0], both[1], Form(kind, shapes), wrap)
                yield f"{words}, of {{library}}", shapes, stepper
        named = own_names(both[0], both[1])
        if named:
            stepper = pair(both[0], both[1], Form("dict", named), np.array)
            yield f"a dict of {', '.join(named)}, of {{library}}", named, stepper
        return
    _refuse(rule)
    if callable(rule) and "torch" in sys.modules:
        run = of_torch(rule, hyper, asked)
        yield "parameters of different shapes", mixed, run
        yield "parameters of one shape", SAME, run
        return
    raise TypeError(
        "rule must be an optax transformation, a pair (init, step) with init(params) -> state and "
        "step(params, grads, state) -> (params, state), or a class of torch.optim (with torch "
        f"imported), got {rule!r}"
    )


def _refuse(rule: Any) -> None:
    """Raise a TypeError that says what to pass for what is nearly a rule."""
    name = getattr(rule, "__name__", "rule")
    if hasattr(rule, "param_groups") and not isinstance(rule, type):
        name = type(rule).__name__
        raise TypeError(
            f"rule is an instance of {name}, which has its parameters already: pass the class, "
            f"{name}, or a function that makes one, lambda params: {name}(params, ...)"
        )
    if getattr(rule, "__module__", "").partition(".")[0] == "optax":
        raise TypeError(
            f"rule is the function {name} of optax: call it, optax.{name}(...) with your "
            "hyperparameters, and pass what it returns"
        )
    plain = inspect.unwrap(rule) if callable(rule) else rule
    if not (inspect.isfunction(plain) or inspect.ismethod(plain)):
        return
    parameters = inspect.signature(plain).parameters.values()
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len([p for p in places if p.default is p.empty]) > 1:
        raise TypeError(
            f"rule is one function, {name}: pass a pair, (init, {name}), with init(params) -> "
            f"state and {name}(params, grads, state) -> (params, state). A rule that remembers "
            "nothing has init = lambda params: (). One that makes an optimizer of torch takes the "
            "parameters alone"
        )


def _optax(rule: Any, form: Form) -> Stepper:
    names = inspect.signature(rule.update).parameters
    takes_all = any(p.kind == p.VAR_KEYWORD for p in names.values())

    def step(grads: Any, state: Any, params: Any, extra: dict[str, Any]) -> Any:
        updates, state = rule.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), updates, state

    compiled = jax.jit(step)

    def follow(problem: Problem, step: Callable[..., Any]) -> Ran:
        params = form.tree([jnp.asarray(x) for x in problem.start])
        state = rule.init(params)
        path = [row(form.leaves(params))]
        for t in range(1, len(problem.grads) + 1):
            xs = [np.asarray(x, np.float64) for x in form.leaves(params)]
            grads = form.tree([jnp.asarray(g) for g in problem.gradient(t, xs)])
            extra = {**extra_of(problem, t, xs, form), "grad": grads}
            given = {k: v for k, v in extra.items() if takes_all or k in names}
            params, updates, state = step(grads, state, params, given)
            path.append(row(form.leaves(params)))
        # apply_updates returns the parameters' type: the updates tell what was computed in.
        dtype = np.result_type(*(u.dtype for u in jax.tree.leaves(updates)))
        return Ran(np.array(path), dtype, "JAX")

    def compilable(problem: Problem) -> bool:
        """Whether the rule goes the same path when it is compiled: it need not be pure."""
        try:
            return bool(np.allclose(follow(problem, step).path, follow(problem, compiled).path))
        except Exception:  # whatever the user's code raises under jit, it may run without
            return False

    pure: list[bool] = []

    def call(problem: Problem) -> Ran:
        if problem.closed:
            return follow(problem, step)
        if not pure:
            pure.append(compilable(problem))
        return follow(problem, compiled if pure[0] else step)

    return Stepper(call)
