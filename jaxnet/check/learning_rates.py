"""The learning-rate range test: one run whose step grows until the loss is lost."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet.check.runs.curvature import curvature
from jaxnet.check.runs.history import row_numbers
from jaxnet.check.runs.trial import trial


class LearningRateRange(NamedTuple):
    """What a learning-rate range test saw.

    Attributes:
        learning_rates: The step of every update (n,), growing by a constant factor.
        losses: The loss before every update (n,).
        smoothed: The losses as a moving average, corrected for its start, as fastai has it.
        suggestions: Learning rates by name: "steepest", where the smoothed loss falls fastest;
            "valley", two thirds along the longest fall; "minimum", a tenth of the one with the
            lowest loss. Empty if the loss never fell. `MEANING` says the same in words.
        largest_stable_step: 2 / lambda_max at the start: the largest stable step of plain gradient
            descent. Momentum and optimizers that scale the gradient have other limits.
        ended: "diverged" if the loss was lost or rose far above where it began, so that the test
            saw the end of the range; "reached the end" if the last step was still stable; "not
            enough data" if the loss never fell, so that nothing can be said.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestions: dict[str, float]
    largest_stable_step: float
    ended: str

    def __str__(self) -> str:
        """The suggestions with their meaning, and how the test ended."""
        lines = [f"learning-rate range test: {ENDED[self.ended]}"]
        if len(self.learning_rates):
            first, last = self.learning_rates[0], self.learning_rates[-1]
            lines.append(
                f"{len(self.losses)} steps from {first:.3g} to {last:.3g}; the loss went from "
                f"{self.losses[0]:.4g} to {self.smoothed.min():.4g} at its lowest"
            )
        for name, rate in self.suggestions.items():
            lines.append(f"  {name:<9} {rate:<9.3g} {MEANING[name]}")
        lines.append(
            f"  {'stable':<9} {self.largest_stable_step:<9.3g} 2 / lambda_max at the start, the "
            "largest stable step of plain gradient descent"
        )
        if self.suggestions:
            lines.append("start with valley, and halve it if the loss is unsteady")
        return "\n".join(lines)


MEANING = {
    "steepest": "where the loss falls fastest",
    "valley": "two thirds along the longest fall: large, with room to the end of it",
    "minimum": "a tenth of the rate with the lowest loss, to stay clear of where it rises",
}
"""What the suggestions are."""

ENDED = {
    "diverged": "the loss rose in the end, so the range has its upper limit inside",
    "reached the end": "the loss was not lost up to the last rate; try a larger end",
    "not enough data": "the loss never fell, so nothing can be said; try other rates or more steps",
}
"""What the three ends mean."""

KEPT = 0.8
"""Share of the moving average that a step of minibatches keeps; full batches have no noise."""


def learning_rate_range(
    loss: Callable[[Any, Any, Any], Any],
    params: Any,
    batch: tuple[Any, Any],
    *,
    optimizer: Callable[[Any], optax.GradientTransformation] = optax.sgd,
    start: float = 1e-7,
    end: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
) -> LearningRateRange:
    """Train with a step that grows from `start` to `end`, and say which steps are good.

    Step i of n has the learning rate start (end / start)^(i / (n - 1)). The run is one compiled
    program; params stay as they are.

    Args:
        loss: loss(params, x, t), a scalar, in JAX.
        params: The initial parameters, any tree of arrays.
        batch: (x, t), a row for each example.
        optimizer: learning_rate -> optax transformation; it must take a schedule.
        start: The first learning rate.
        end: The last one.
        steps: Number of steps.
        batch_size: Rows a step, in a new random order every epoch; None for all.

    Returns:
        A `LearningRateRange`; `jaxnet.plot.learning_rate_range` draws it.

    Raises:
        TypeError: optimizer is no function of the learning rate, or what `check.training` refuses.
        ValueError: Not 0 < start < end, or fewer than 10 steps, or a loss that is not finite at the
            start, or what `check.training` refuses.

    Source: Smith 2017, Cyclical learning rates; the suggestions follow fastai.
    """
    if not 0 < start < end < np.inf:
        raise ValueError(
            f"learning_rate_range: expected 0 < start < end, got start={start!r}, end={end!r}"
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 10:
        raise ValueError(f"learning_rate_range: steps must be an integer >= 10, got {steps!r}")
    rates = np.geomspace(start, end, steps)
    schedule = jnp.asarray(rates)
    if not callable(optimizer) or hasattr(optimizer, "update"):
        raise TypeError(
            "learning_rate_range: optimizer must be a function of the learning rate, such as "
            f"optax.adam without its brackets, got {optimizer!r}"
        )
    rule = optimizer(lambda count: schedule[count])
    whole = trial(
        loss, params, batch, None, None, rule, None, steps, batch_size, True, None,
        who="learning_rate_range",
    )  # fmt: skip
    rows = None
    if whole.batch_size is not None:
        rows = row_numbers(whole.rows, whole.batch_size, steps, shuffle=True)

    def step(carry: Any, at: Any) -> Any:
        params, state = carry
        part = (whole.x, whole.t)
        if at is not None:
            part = jax.tree.map(lambda a: a[at], part)
        value, grads = jax.value_and_grad(whole.loss)(params, *part)
        updates, state = whole.rule.update(
            grads, state, params, value=value, grad=grads,
            value_fn=lambda p: whole.loss(p, *part),
        )  # fmt: skip
        return (optax.apply_updates(params, updates), state), value

    @jax.jit
    def sweep(params: Any) -> Any:
        return jax.lax.scan(step, (params, whole.rule.init(params)), rows, length=steps)[1]

    losses = np.asarray(sweep(whole.params), np.float64)
    if not np.isfinite(losses[0]):
        raise ValueError(
            f"learning_rate_range: the loss is not finite at the start, {losses[0]:g}, before any "
            "step; `check.training` says where that comes from"
        )
    stable = curvature(whole.loss, whole.params, whole.x, whole.t).largest_stable_step
    return _read(rates, losses, stable, 0.0 if rows is None else KEPT)


def _read(rates: np.ndarray, losses: np.ndarray, stable: float, kept: float) -> LearningRateRange:
    """Cut the run where it diverged, and read the suggestions off the rest."""
    lost = ~np.isfinite(losses)
    seen = int(np.argmax(lost)) if lost.any() else len(losses)
    losses = losses[:seen]
    average, smoothed = 0.0, np.zeros(seen)
    for i, value in enumerate(losses):
        average = kept * average + (1 - kept) * value
        smoothed[i] = average / (1 - kept ** (i + 1))
    ended = "diverged" if lost.any() else "reached the end"
    if seen:
        fallen = smoothed[0] - np.minimum.accumulate(smoothed)
        far = smoothed > smoothed[0] + np.maximum(fallen, 0.5 * abs(smoothed[0]))
        if far.any():
            seen, ended = int(np.argmax(far)), "diverged"
    rates, losses, smoothed = rates[:seen], losses[:seen], smoothed[:seen]
    good = _suggestions(rates, smoothed)
    if not good and ended != "diverged":
        ended = "not enough data"
    return LearningRateRange(rates, losses, smoothed, good, stable, ended)


def _suggestions(rates: np.ndarray, smoothed: np.ndarray) -> dict[str, float]:
    """Learning rates by the shape of the curve."""
    if len(smoothed) < 3 or smoothed.min() > smoothed[0] - 1e-3 * abs(smoothed[0]):
        return {}
    lowest, early = int(smoothed.argmin()), len(smoothed) // 10  # the average begins with noise
    slopes = np.gradient(smoothed, np.log(rates))
    falling = slopes < 0.02 * slopes.min()
    runs, length = np.zeros(len(falling), int), 0
    for i, down in enumerate(falling):
        length = length + 1 if down else 0
        runs[i] = length
    last = int(runs.argmax())
    first = last - int(runs[last]) + 1
    return {
        "steepest": float(rates[early + slopes[early : max(lowest, early) + 1].argmin()]),
        "valley": float(rates[first + (2 * (last - first)) // 3]),
        "minimum": float(rates[lowest] / 10),
    }
