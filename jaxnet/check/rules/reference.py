"""The rule that is due: the zoo's own, with the hyperparameters given."""

import difflib
import inspect
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet.check.rules.alteration import Equations, Options, State
from jaxnet.check.rules.forms import Form, extra_of
from jaxnet.check.rules.problems import MIXED, NEARLY_SQUARE, Problem
from jaxnet.check.rules.torch_classes import TORCH_NAMES
from jaxnet.optim.gradient_descent import gd
from jaxnet.optim.zoo import Entry, named

CLOSED = ("value_fn", "grad_fn", "residual_fn")


class Reference:
    """A rule of the zoo.

    Attributes:
        entry: Its entry.
        given: The hyperparameters that were given.
        hyper: All of them, with the defaults of those that were not.
        closed: Whether it evaluates the loss by itself.
    """

    def __init__(self, name: str, hyper: Mapping[str, Any]) -> None:
        self.given = dict(hyper)
        if name == "sgd":  # as `optim.sgd`, which is one of three
            ahead = self.given.pop("nesterov", False)
            name = "gd" if self.given.get("momentum") is None else "momentum"
            name = "nesterov" if ahead and name == "momentum" else name
            if name == "gd":
                self.given.pop("momentum", None)
        self.entry = named(name)
        if name == "sam" and "learning_rate" in self.given and "optimizer" not in self.given:
            self.given["optimizer"] = gd(self.given.pop("learning_rate"))
        if name == "noisy_sgd" and "key" not in self.given and self.given.get("eta") == 0:
            self.given["key"] = jax.random.key(0)
        _check(self.entry, self.given)
        parameters = inspect.signature(self.entry.factory).parameters
        defaults = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
        self.hyper = {**defaults, **self.given}
        self.closed = any(need in self.entry.needs for need in CLOSED)
        floats = [k for k, v in self.given.items() if isinstance(v, float)]
        self.static = {k: v for k, v in self.given.items() if k not in floats}
        self.floats = {k: self.given[k] for k in floats}
        # A rate that was left to its default can be varied, too.
        if isinstance(self.hyper.get("learning_rate"), float):
            self.floats["learning_rate"] = self.hyper["learning_rate"]

    @property
    def eps(self) -> float:
        """What keeps its denominators from 0, as a plain number; 0 if nothing does."""
        values = [self.hyper.get(k) for k in ("eps", "eps_root")]
        return max((float(v) for v in values if isinstance(v, int | float)), default=0.0)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Leaves of different shapes on which it goes one way only."""
        return NEARLY_SQUARE if self.entry.name == "soap" else MIXED

    def path(
        self, problem: Problem, shapes: Mapping[str, tuple[int, ...]], **other: float
    ) -> np.ndarray:
        """Its parameters before the first step and after each; `other` replaces hyperparameters."""
        floats = {**self.floats, **other}
        form = Form("dict", shapes)
        init, step = self.compiled(problem.closed)
        xs = [jnp.asarray(x) for x in problem.start]
        state = init(floats, form.tree(xs))
        path = [np.concatenate([np.ravel(x) for x in problem.start])]
        for t in range(1, len(problem.grads) + 1):
            now = [np.asarray(x) for x in xs]
            grads = form.tree([jnp.asarray(g) for g in problem.gradient(t, now)])
            rated = dict(floats)
            if problem.rates:
                rated["learning_rate"] = floats["learning_rate"] * problem.rate(t)
            value = problem.value(t, now)
            updates, state = step(rated, grads, state, form.tree(xs), value)
            xs = [x + updates[k] for x, k in zip(xs, shapes, strict=True)]
            path.append(np.concatenate([np.ravel(np.asarray(x)) for x in xs]))
        return np.array(path)

    def compiled(self, closed: bool) -> tuple[Any, Any]:
        """Its init and update, compiled, with the hyperparameters as their first argument."""
        static = tuple(sorted(self.static.items()))
        try:
            found: tuple[Any, Any] = _compiled(self.entry.name, static, closed)
        except TypeError:  # an array among them, which cannot be a key of the cache
            found = _compiled.__wrapped__(self.entry.name, static, closed)
        return found

    def equations(self, shapes: Mapping[str, tuple[int, ...]]) -> Equations:
        """The rule itself in the form of equations, for those that are not written as such.

        Only what surrounds the rule can be altered: its sign, its length, its state.
        """
        form = Form("dict", shapes)
        init, step = self.compiled(self.closed)

        def update(gs: Any, xs: Any, s: State, t: int, lr: Any, o: Options) -> list[np.ndarray]:
            floats = {k: float(o.get(k, v)) for k, v in self.floats.items()}
            if "learning_rate" in floats:
                floats["learning_rate"] = float(lr)
            params = form.tree([jnp.asarray(x) for x in xs])
            state = s["state"] if "state" in s else init(floats, params)
            grads = form.tree([jnp.asarray(g) for g in gs])
            updates, s["state"] = step(floats, grads, state, params, o.value)
            return [np.asarray(updates[k]) for k in shapes]

        return Equations(update, tree=True)


@lru_cache(maxsize=64)
def _compiled(name: str, static: tuple[tuple[str, Any], ...], closed: bool) -> tuple[Any, Any]:
    """Init and update of a rule, kept for the next examination."""

    def make(floats: dict[str, Any]) -> Any:
        return optax.with_extra_args_support(named(name).factory(**dict(static), **floats))

    def init(floats: dict[str, Any], params: Any) -> Any:
        return make(floats).init(params)

    def step(floats: dict[str, Any], grads: Any, state: Any, params: Any, value: Any) -> Any:
        extra: dict[str, Any] = {"value": value}
        if closed:
            form = Form("dict", {k: x.shape for k, x in params.items()})
            extra = {**extra_of(Problem("", [], [], closed=True), 1, [], form), **extra}
        return make(floats).update(grads, state, params, **extra)

    return jax.jit(init), jax.jit(step)


def _check(entry: Entry, given: dict[str, Any]) -> None:
    """Refuse hyperparameters that the rule does not have, and rules that cannot be examined."""
    name = entry.name
    if "rows" in entry.needs:
        raise ValueError(
            f"{name} learns which examples to draw, which recorded gradients cannot show. Examine "
            'the rule it steps with against reference="gd"'
        )
    parameters = inspect.signature(entry.factory).parameters
    unknown = sorted(set(given) - set(parameters))
    if unknown:
        raise ValueError(
            f"{name} has no hyperparameter {', '.join(unknown)}{_meant(unknown, parameters)}; it "
            f"has {', '.join(parameters)}"
        )
    missing = [k for k, p in parameters.items() if p.default is p.empty and k not in given]
    if "key" in missing:
        more = ", or eta=0.0 to leave the noise out" if name == "noisy_sgd" else ""
        raise ValueError(
            f"{name} draws random numbers: only a rule that draws the same can be compared. Pass "
            f"the key that it draws from, key=jax.random.key(...){more}"
        )
    if missing:
        ask = ", ".join(f"{k}={'0.01' if k in FLOATS else '...'}" for k in missing)
        raise ValueError(
            f"{name} needs {', '.join(missing)}: pass what your rule uses, "
            f'check.optimizer(rule, "{name}", {ask})'
        )
    for k, value in given.items():
        if isinstance(value, int) and not isinstance(value, bool) and k in FLOATS:
            given[k] = float(value)
        if isinstance(value, np.floating) or (
            isinstance(value, jax.Array) and value.dtype in FLOATING and value.ndim == 0
        ):
            given[k] = float(value)
    entry.factory(**given)


def _meant(unknown: list[str], known: Collection[str]) -> str:
    """Which hyperparameters may be meant by names that the rule does not have."""
    found: list[str] = []
    for name in unknown:
        same = [k for k in known if name in TORCH_NAMES.get(k, ())]
        if name == "betas" and "b1" in known and "b2" in known:
            same = ["b1 and b2"]
        found += same or difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {', '.join(dict.fromkeys(found))}?)" if found else ""


FLOATING = (np.float32, np.float64)

FLOATS = frozenset(
    {
        "learning_rate", "momentum", "b1", "b2", "b3", "eps", "eps_root", "weight_decay", "alpha",
        "beta", "rho", "decay", "eta", "initial_accumulator_value", "initial_scale",
    }
)  # fmt: skip
"""Numbers that a user may write without a decimal point."""
