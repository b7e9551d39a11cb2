"""Experiments: the run as it is, and again with one thing repaired."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet.check.runs.columns import Scales, scales, standardised
from jaxnet.check.runs.curvature import Curvature, curvature
from jaxnet.check.runs.history import CHECKS, Course, Runner, row_numbers, runner
from jaxnet.check.runs.ideal import Ideal, ideal
from jaxnet.check.runs.look import Look, look
from jaxnet.check.runs.probe import Probe, class_numbers, probe
from jaxnet.check.runs.trial import Loss, Trial
from jaxnet.check.runs.work import work
from jaxnet.check.witness import compiled

SMALLER = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
LARGER = (1e2, 1e4, 1e3, 1e1, 1e6, 1e5, 1e8, 1e7)
"""Step sizes that are tried, as multiples of the user's."""

OF_A_RUN = 3e10
OF_ALL_RUNS = 5e11
OF_FURTHER_RUNS = 1e10
"""Floating-point operations of one experiment, of all of them, and of all those with a run that is
repaired already. Longer runs are shortened, and beyond the others of two step sizes and more only
the first is tried. Counted and not timed, so that the verdict is the same on every machine.
"""


@dataclass
class Lab:
    """A trial with all that is measured about it, each when it is first asked for.

    A run is judged by `explained`: 0 for the loss of the best constant prediction, 1 for the best
    loss there is, below 0 for worse than constant; -1 if the loss was lost.
    """

    trial: Trial
    tell: Callable[[str], None]
    rows: int  # of the user's data, of which the trial may have a part
    budget: float = field(default_factory=lambda: OF_ALL_RUNS)  # operations of the experiments
    spent: float = 0.0  # operations of the experiments so far
    notes: list[str] = field(default_factory=list)
    cut_short: bool = False  # whether experiments were left out
    _courses: dict[Any, Course] = field(default_factory=dict)

    # ------------------------------------------------------------------ what is measured

    @cached_property
    def run(self) -> Runner:
        """The user's run."""
        return runner(self.trial)

    @cached_property
    def work_of_a_step(self) -> float:
        """Floating-point operations of a step: the loss, its gradient, and the loss of all rows."""
        trial = self.trial
        whole = work(trial.loss, trial.params, trial.x, trial.t)
        size = trial.rows if trial.batch_size is None else trial.batch_size
        looks = 1.0 if trial.batch_size is None else min(1.0, CHECKS / trial.steps)
        return whole * (3 * size / trial.rows + looks) + 10 * trial.size

    @cached_property
    def steps(self) -> int:
        """Steps of an experiment: the user's, or as many as are affordable."""
        return max(5, min(self.trial.steps, int(OF_A_RUN / self.work_of_a_step)))

    @cached_property
    def base(self) -> Course:
        """The run as the user has it."""
        steps = self.steps
        self.tell(f"training {steps} steps")
        return self.course()

    @cached_property
    def value_and_grad(self) -> Any:
        """The loss and its gradient, compiled."""
        return compiled(jax.value_and_grad(self.trial.loss))

    @cached_property
    def start(self) -> tuple[float, Any]:
        """The loss and the gradient at the start, of all rows."""
        value, grads = self.value_and_grad(self.trial.params, self.trial.x, self.trial.t)
        return float(value), jax.device_get(grads)

    @cached_property
    def first_gradient(self) -> Any:
        """The gradient that the first step sees."""
        t = self.trial
        if t.batch_size is None:
            return self.start[1]
        rows = row_numbers(t.rows, t.batch_size, 1, t.shuffle)[0]
        batch = jax.tree.map(lambda a: a[rows], (t.x, t.t))
        return jax.device_get(self.value_and_grad(t.params, *batch)[1])

    @cached_property
    def here(self) -> Look | None:
        """The loss at the start, looked into."""
        self.tell("looking into the loss")
        return look(self.trial, self.trial.params)

    @cached_property
    def there(self) -> Look | None:
        """The loss at the end of the run, looked into."""
        return look(self.trial, self.base.params)

    @cached_property
    def elsewhere(self) -> Look | None:
        """The same at random parameters, where nothing is symmetric, dead or zero."""
        return look(self.trial, self.anywhere(1))

    @cached_property
    def ideal(self) -> Ideal | None:
        """What the loss asks of the predictions."""
        return None if self.here is None else _quiet_ideal(self.here)

    @property
    def has_penalty(self) -> bool:
        """Whether the loss has terms of parameters alone, by which a run is not judged."""
        return self.here is not None and bool(self.here.penalties)

    @cached_property
    def penalty(self) -> Callable[[Any], float]:
        """These terms at some parameters; 0 where there are none."""
        if self.here is None or not self.has_penalty:
            return lambda params: 0.0
        penalty = compiled(self.here.penalty())
        return lambda params: float(penalty(params))

    @cached_property
    def probe(self) -> Probe | None:
        """What can be learned from the data."""
        return probe(self.trial.x, self.trial.t)

    @cached_property
    def curvature(self) -> Curvature:
        """The curvature at the start."""
        self.tell("measuring the curvature")
        return curvature(self.trial.loss, self.trial.params, self.trial.x, self.trial.t)

    @cached_property
    def inputs(self) -> Scales | None:
        """The scales of the input columns."""
        return scales(self.trial.x)

    @cached_property
    def targets(self) -> Scales | None:
        """The scales of the targets; None for classes."""
        return None if self.has_classes else scales(self.trial.t)

    @property
    def has_classes(self) -> bool:
        """Whether the targets are classes."""
        return class_numbers(self.trial.t) is not None

    # ------------------------------------------------------------------ experiments

    @property
    def shortened(self) -> float:
        """How many times fewer steps are made than the user makes."""
        return self.trial.steps / self.steps

    def affordable(self, steps: int = 0) -> bool:
        """Whether further experiments, of so many steps in all, may be made."""
        enough = self.spent + steps * self.work_of_a_step < self.budget
        self.cut_short |= not enough
        return enough

    def course(
        self, x: str = "", t: str = "", start: str = "", scale: float = 1.0,
        shuffle: bool | None = None, steps: int | None = None,
    ) -> Course:  # fmt: skip
        """The run with inputs or targets "standardised", or with the start "redrawn"."""
        key = (x, t, start, scale, shuffle, steps)
        if key not in self._courses:
            trial, held_out = self.trial, self.trial.validation
            if held_out is not None:
                held_out = tuple(
                    standardised(new, by) if done else new
                    for new, by, done in zip(held_out, (trial.x, trial.t), (x, t), strict=True)
                )
            self._courses[key] = self.counted(
                self.run,
                self.redrawn(int(start[-1])) if start else trial.params,
                standardised(trial.x) if x else trial.x,
                standardised(trial.t) if t else trial.t,
                scale, self.steps if steps is None else steps, shuffle, held_out,
            )  # fmt: skip
        return self._courses[key]

    def counted(self, run: Runner, *args: Any, **options: Any) -> Course:
        """A run, also of another model or other rows, counted as one of the experiments."""
        course = run(*args, **options)
        self.spent += len(course.losses) * self.work_of_a_step
        return course

    @property
    def lowest(self) -> float:
        """The lowest loss there is: of the best predictions, or lower if the run went lower."""
        assert self.ideal is not None
        seen = self.base.whole[np.isfinite(self.base.whole)]
        seen = seen - self.penalty(self.base.params) if self.has_penalty else seen
        return min(self.ideal.best, float(seen.min(initial=np.inf)))

    @property
    def courses(self) -> tuple[Course, ...]:
        """All runs so far on the data as they are, that as the user has it among them."""
        return tuple(c for (x, t, *_), c in self._courses.items() if not t)

    def explained(self, course: Course, of: Ideal | None = None, penalised: bool = True) -> float:
        """How much of what there is to learn a run learned; penalised if of the user's loss."""
        if of is None and self.ideal is not None:
            of = self.ideal._replace(best=self.lowest)
        end = course.end
        if not np.isfinite(end):
            return -1.0
        if of is not None and of.constant > of.best and of.bounded:
            penalty = self.penalty(course.params) if penalised else 0.0
            return float(np.clip(of.explained(end - penalty), -1, 1))
        # No predictions were found: between the start and the lowest loss seen anywhere.
        top = self.base.whole[0]
        low = min(float(np.nanmin(c.whole)) for c in self._courses.values())
        return float(np.clip((top - end) / (top - low), -1, 1)) if low < top else 0.0

    def best(self, scales: tuple[float, ...], **repair: Any) -> tuple[float, float]:
        """The best run over step sizes: (explained, multiple of the user's step)."""
        found = [(-1.0, scales[0])]
        for scale in scales:
            if len(found) == 1 or self.affordable():
                found.append((self.explained(self.course(scale=scale, **repair)), scale))
        return max(found)

    def redrawn(self, seed: int) -> Any:
        """Other parameters: matrices from N(0, 2 / (n_in + n_out)), vectors 0, those of ones 1."""
        rng = np.random.default_rng(seed)

        def draw(leaf: Any) -> Any:
            if leaf.ndim < 2:
                ones = leaf.size > 0 and bool((np.asarray(leaf) == 1).all())
                return jnp.ones_like(leaf) if ones else jnp.zeros_like(leaf)
            return jnp.asarray(rng.normal(size=leaf.shape) * usual(leaf.shape), leaf.dtype)

        return jax.tree.map(draw, self.trial.params)

    def anywhere(self, seed: int, size: float = 1.0) -> Any:
        """Random parameters where nothing is zero, this many times the usual size."""
        rng = np.random.default_rng(seed)

        def draw(leaf: Any) -> Any:
            std = size * (usual(leaf.shape) if leaf.ndim > 1 else 0.3)
            return jnp.asarray(rng.normal(size=leaf.shape) * std, leaf.dtype)

        return jax.tree.map(draw, self.trial.params)

    def reference(self, loss: Loss | None = None, learning_rate: float = 0.03) -> Runner:
        """A run with a rule that seldom fails (Adam), for what the model can do."""
        rule = optax.adam(learning_rate)
        return runner(self.trial.with_rule(rule, learning_rate), loss)


def usual(shape: tuple[int, ...]) -> float:
    """The usual standard deviation of weights of this shape (Glorot)."""
    field = int(np.prod(shape[:-2]))
    return float(np.sqrt(2 / (field * (shape[-2] + shape[-1]))))


def _quiet_ideal(here: Look) -> Ideal | None:
    with np.errstate(all="ignore"):
        return ideal(here)
