"""A rule as equations in NumPy, with named alterations, and how it is run on a problem."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxnet.check.rules.gradients import altered
from jaxnet.check.rules.problems import Leaves, Problem


class State(dict[str, Any]):
    """What a rule remembers of a leaf, by name; `starts` has values that parts start at instead."""

    def __init__(self, starts: Mapping[str, float]) -> None:
        super().__init__()
        self.starts = starts

    def get(self, name: str, default: Any = None) -> Any:
        """A part, or what it starts at."""
        if name in self or name not in self.starts or default is None:
            return super().get(name, default)
        start = self.starts[name]
        if isinstance(default, list):
            return [np.zeros_like(d) + start for d in default]
        return np.zeros_like(default) + start


class Options:
    """The hyperparameters of a run, as attributes, and which alterations it has.

    An alteration is named "kind" or "kind:part"; `options("kind", "part")` says whether it is on.
    With `remember` what is asked is kept: that is how the search knows which alterations a rule
    has.
    """

    def __init__(
        self, hyper: Mapping[str, Any], on: frozenset[str] = frozenset(), remember: bool = False
    ) -> None:
        self.hyper = dict(hyper)
        self.on = on
        self.kinds = frozenset(name.partition(":")[0] for name in on)
        self.asked: dict[str, None] | None = {} if remember else None

    def __getattr__(self, name: str) -> Any:
        try:
            return self.hyper[name]
        except KeyError:
            raise AttributeError(name) from None

    def __call__(self, kind: str, part: str = "") -> bool:
        """Whether the alteration "kind", or "kind:part", is on."""
        if kind not in self.kinds and self.asked is None:
            return False
        name = f"{kind}:{part}" if part else kind
        if self.asked is not None:
            self.asked[name] = None
        return name in self.on

    def get(self, name: str, default: Any) -> Any:
        """A hyperparameter that not every rule has."""
        value = self.hyper.get(name, default)
        return default if value is None else value


@dataclass(frozen=True)
class Equations:
    """A rule.

    Attributes:
        step: (g, x, s, t, lr, o) -> u for one leaf, x := x + u; s is the leaf's state, a dict that
            is empty at first, and o the options. For a rule that sees the whole tree, g and x are
            lists of leaves, and so is u.
        tree: Whether it sees the whole tree.
        decay: How the weights decay: "" if they do not, "decoupled" for -lr wd x beside u,
            "unscaled" for -wd x, "coupled" for g + wd x, "inside" if step does it by itself.
        decay_name: Its hyperparameter.
        static: Hyperparameters that are no numbers to alter.
    """

    step: Callable[..., Any]
    tree: bool = False
    decay: str = ""
    decay_name: str = "weight_decay"
    static: Mapping[str, Any] = field(default_factory=dict)


def run(equations: Equations, o: Options, problem: Problem) -> np.ndarray:
    """The parameters before the first step and after every one, as rows of all entries."""
    xs = [x.copy() for x in problem.start]
    memory = Memory(equations, o, xs)
    path = [flat(xs)]
    late, before = [np.zeros_like(x) for x in xs], [np.zeros_like(x) for x in xs]
    shift = o.get("rate_shift", 0)
    with np.errstate(all="ignore"):
        for t in range(1, len(problem.grads) + 1):
            grads, before = altered(o, problem.gradient(t, xs), before)
            rate = o.get("lr_at", None)
            lr = o.get("learning_rate", 1.0) if rate is None else rate(max(t + shift, 1))
            lr = np.float64(lr) * problem.rate(t)
            o.hyper["value"] = problem.value(t, xs)
            clock = memory.clock(t)
            us = _updates(equations, o, memory, clock, grads, xs, lr)
            if o("late"):
                us, late = late, us
            if o("update_returned"):
                xs = us
            elif o("minus_update_returned"):
                xs = [-u for u in us]
            else:
                xs = [x + u for x, u in zip(xs, us, strict=True)]
            if o("decay_after"):
                xs = [x - lr * o.get("decay_due", 0.0) * x for x in xs]
            path.append(flat(xs))
    return np.array(path)


def flat(leaves: Leaves) -> np.ndarray:
    """All entries of all leaves."""
    return np.concatenate([np.ravel(x) for x in leaves])


class Memory:
    """The states of all leaves, also reset or shared where an alteration says so."""

    def __init__(self, equations: Equations, o: Options, xs: Leaves) -> None:
        self.one = equations.tree
        self.o = o
        self.starts = {
            name.split(":", 1)[1]: float(name.split(":", 1)[0].removeprefix("started_"))
            for name in o.on
            if name.startswith("started_")
        }
        self.count = 1 if self.one else len(xs)
        self.kept = [State(self.starts) for _ in range(self.count)]
        self.since = 0
        self.resets = [name.split(":", 1)[1] for name in o.on if name.startswith("reset:")]
        self.shares = [name.split(":", 1)[1] for name in o.on if name.startswith("share:")]
        self.by_shape: dict[Any, State] = {}
        self.common: dict[Any, Any] = {}
        self.last: dict[Any, State] = {}

    def clock(self, t: int) -> int:
        """The number of step t, after the state was made anew where an alteration says so."""
        every, phase = self.o.get("reset_every", (0, 0))
        if every and t > 1 and t % every == phase:
            self.kept = [State(self.starts) for _ in range(self.count)]
            if self.o("reset_clock_with_state"):
                self.since = t - 1
        return t - self.since

    def of(self, i: int, x: Any) -> State:
        """The state of leaf i at the start of its step."""
        o, s = self.o, self.kept[i]
        if o("reset") or o("reset_both"):
            s.clear()
        for name in self.resets:
            s.pop(name, None)
        if self.one:
            return s
        if o("share_last"):
            s = State(self.starts)
            s.update(self.by_shape.get(x.shape, {}))
            return s
        if o("share"):
            return self.by_shape.setdefault(x.shape, State(self.starts))
        for name in self.shares:
            for shape in (x.shape, ()):
                if (name, shape) in self.common:
                    s[name] = self.common[name, shape]
        return s

    def after(self, i: int, x: Any, s: State) -> None:
        """Hand on what the leaf's step has written and others share."""
        self.last[x.shape] = s
        for name in self.shares:
            if not self.one and name in self.kept[i]:
                value = self.kept[i][name]
                self.common[name, np.shape(value)] = value

    def end(self) -> None:
        """A step of all leaves is done."""
        if self.o("share_last"):
            self.by_shape = dict(self.last)


def _updates(
    equations: Equations, o: Options, memory: Memory, t: int, grads: Leaves, xs: Leaves, lr: Any
) -> Leaves:
    step, n = equations.step, len(xs)
    if o("reset_clock") or o("reset_both"):
        t = 1
    if o("clock_late"):
        t = t - 1
    if o("clock_early"):
        t = t + 1
    if o("clock_guarded"):
        t = max(t - 1, 1)
    wd, inside = _decay(equations, o)
    extra = o.get("decay_extra_coupled", 0.0)
    if extra:
        grads = [g + extra * x for g, x in zip(grads, xs, strict=True)]
    if o("sign_of_gradient"):
        grads = [-g for g in grads]
    grads = (
        [g + wd["coupled"] * x for g, x in zip(grads, xs, strict=True)] if wd["coupled"] else grads
    )
    o.hyper["decay_inside"] = inside
    o.hyper["rate_now"] = lr
    o.hyper["square_of_all"] = sum((g**2).sum() for g in grads)
    if equations.tree:
        us = step(grads, xs, memory.of(0, None), t, lr, o)
    else:
        us = []
        for i, (g, x) in enumerate(zip(grads, xs, strict=True)):
            clock = (t - 1) * n + i + 1 if o("share_clock") else t
            clock = (t - 1) * (n + 1) + i + 2 if o("share_clock_both") else clock
            s = memory.of(i, x)
            us.append(step(g, x, s, clock, lr, o))
            memory.after(i, x, s)
        memory.end()
    if o("sign_of_step"):
        us = [-u for u in us]
    factor = o.get("factor", 1.0)
    us = [factor * u for u in us] if factor != 1 else us
    if wd["decoupled"]:
        us = [u - lr * wd["decoupled"] * x for u, x in zip(us, xs, strict=True)]
    wd["unscaled"] += lr * o.get("decay_extra_decoupled", 0.0)
    if wd["unscaled"]:
        us = [u - wd["unscaled"] * x for u, x in zip(us, xs, strict=True)]
    return [-u for u in us] if o("sign") else us


def _decay(equations: Equations, o: Options) -> tuple[dict[str, float], float]:
    """The coefficient of each kind of weight decay, and the one that the rule's step applies."""
    wd = o.get(equations.decay_name, 0.0) if equations.decay else 0.0
    kinds = {"coupled": 0.0, "decoupled": 0.0, "unscaled": 0.0}
    o.hyper["decay_due"] = wd
    if not wd:
        return kinds, 0.0
    due = equations.decay
    given = due
    for kind in kinds:
        if kind != due and o(f"decay_{kind}"):
            given = kind
    if o("decay_absent") or o("decay_after") or {"decay_in_m", "decay_in_quotient"} & o.on:
        return kinds, 0.0
    wd = -wd if o("decay_grows") else wd
    if given == "inside":
        return kinds, wd
    return {**kinds, given: wd}, 0.0
