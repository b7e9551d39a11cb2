"""What a run gives: its result, or the error of a loss that was lost, with the result so far."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxnet.layers.layer import Params
from jaxnet.optim.states import learning_rate


@dataclass(frozen=True)
class FitResult:
    """What a run gave.

    Attributes:
        params: The parameters to use: under early stopping those of the lowest validation loss,
            else the last ones, at the point where the optimizer says to evaluate.
        history: Arrays by name. "loss" (steps,): the training loss that each step saw, before its
            update. With validation data also, an entry an evaluation, "step" (how many steps were
            done), "validation_loss" and, for a classifier, "validation_accuracy" and
            "train_accuracy" (over all training data).
        state: The optimizer's last state.
        steps: How many steps were done.
        best_step: After how many steps the validation loss was lowest; None without early
            stopping.
        seconds: Time in the compiled loop.
        compile_seconds: Time to compile it.
        report: What the training doctor said about a run that failed; None if it was not asked.
    """

    params: Params
    history: dict[str, np.ndarray]
    state: Any
    steps: int
    best_step: int | None
    seconds: float
    compile_seconds: float
    report: Any = None


class NonFiniteError(FloatingPointError):
    """A run's loss or parameters became infinite or NaN.

    `result` is the `FitResult` up to there. Its `params` are those at which the loss was last
    finite (for a rule that looks ahead, the point to evaluate that belongs to them). `report` is
    the training doctor's, if it was asked.
    """

    def __init__(self, message: str, result: FitResult) -> None:
        super().__init__(message)
        self.result = result
        self.add_note("The last finite parameters are kept: result.params of this error.")

    @property
    def report(self) -> Any:
        """The training doctor's report, if `fit` was to ask it; None otherwise."""
        return self.result.report

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.result)


def nonfinite_error(
    result: FitResult, last_finite: Params, steps: int, clipped: bool
) -> NonFiniteError:
    """Say what happened to the loss, at which step and learning rate, and what to try.

    Args:
        result: The run up to the failure.
        last_finite: The parameters to keep.
        steps: How many steps the run was to have.
        clipped: Whether the gradient's norm was limited already.
    """
    losses, last = result.history["loss"], result.steps - 1
    rate = learning_rate(result.state)
    if rate is None:
        told = "learning rate unknown: wrap the rule in optax.inject_hyperparams to see it"
        smaller = "a smaller learning rate"
    else:
        told = f"learning rate {float(rate):.4g}"
        smaller = f"a smaller learning rate, for instance {float(rate) / 10:.4g}"
    lost = not np.isfinite(losses[-1])
    what = f"the loss became {losses[-1]}" if lost else "the update made parameters not finite"
    message = f"{what} at step {last} of {steps} (counted from 0; {told}). "
    if lost and last == 0:
        message += (
            "It was not finite to begin with: look at the initial parameters and at the scale of "
            "the data (standardise the inputs)."
        )
    else:
        before = f" and {losses[last - lost]:.4g} just before" if last > 0 else ""
        clip = "" if clipped else ", or a limit on the gradient's norm (clip_norm=1.0)"
        message += (
            f"The loss was {losses[0]:.4g} at step 0{before}. "
            f"Try {smaller}, standardised inputs{clip}."
        )
    return NonFiniteError(message, dataclasses.replace(result, params=last_finite, best_step=None))
