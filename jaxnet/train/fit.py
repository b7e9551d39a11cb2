"""One training run as one compiled program."""

import dataclasses
import time
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.data.batches import Sampler, shuffled, with_replacement
from jaxnet.layers import Statistics
from jaxnet.layers.layer import Params
from jaxnet.models import Model
from jaxnet.optim.states import eval_params, learning_rate
from jaxnet.train.arrays import as_batch, check_targets
from jaxnet.train.loop import (
    Inputs,
    Run,
    compile_loop,
    evaluation,
    run_in_chunks,
    start,
    training_step,
    watch,
)
from jaxnet.train.progress import progress as show_progress


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
    """

    params: Params
    history: dict[str, np.ndarray]
    state: Any
    steps: int
    best_step: int | None
    seconds: float
    compile_seconds: float


class NonFiniteError(FloatingPointError):
    """A run's loss became infinite or NaN.

    `result` is the `FitResult` up to there, with the parameters at which the loss was last finite.
    """

    def __init__(self, message: str, result: FitResult) -> None:
        super().__init__(message)
        self.result = result


def fit(
    model: Model,
    optimizer: optax.GradientTransformation,
    data: tuple[ArrayLike, ArrayLike],
    *,
    steps: int,
    batch_size: int | None = None,
    sampling: Literal["shuffled", "with_replacement"] = "shuffled",
    key: Array | None = None,
    params: Params | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    evaluate_every: int | None = None,
    patience: int | None = None,
    gradient: Literal["hand", "auto"] = "hand",
    clip_value: float | None = None,
    clip_norm: float | None = None,
    progress: bool | None = None,
    title: str = "training",
) -> FitResult:
    """Train a model.

    Every step takes a batch, its loss and gradient, and the optimizer's update. The loop is
    compiled once, before the first step; Python looks in a few times a second to show the
    progress, which has no influence on the numbers: the same key gives the same run.

    Args:
        model: The model.
        optimizer: Any optax gradient transformation, from `jaxnet.optim` or elsewhere; rules that
            search along a line get the loss as optax's `value_fn`.
        data: (x, t), inputs (n, n_in) and targets: (n,) classes or (n, n_out) numbers.
        steps: Number of steps.
        batch_size: Rows a step; None for all of them.
        sampling: Rows in a new order in every epoch ("shuffled"; those that do not fill a last
            batch sit the epoch out), or each drawn anew ("with_replacement").
        key: Key for the initial parameters, the batches and dropout; None stands for
            `jax.random.key(0)`.
        params: Parameters to start from; None draws them with `model.init`.
        validation: (x, t) of data that are not trained on.
        evaluate_every: Steps between evaluations on the validation data; None for once an epoch,
            which is every step if batch_size is None. The last step is always evaluated.
        patience: Early stopping: end after this many evaluations in a row without a lower
            validation loss, and give back the parameters of the lowest. None never stops.
        gradient: "hand" for the hand-derived gradient, "auto" for `jax.grad` of the loss.
        clip_value: Clip every entry of the gradient to [-clip_value, clip_value].
        clip_norm: Scale the gradient down to at most this global norm (after `clip_value`).
        progress: True to show it, False not to, None to show it on a terminal.
        title: What the progress calls the run.

    Returns:
        A `FitResult`.

    Raises:
        NonFiniteError: The loss became infinite or NaN; the message says at which step and
            learning rate and what to try, `result` keeps the last finite parameters.
        ValueError: Bad arguments, or data that do not fit the model.
    """
    _check_arguments(
        steps=steps, evaluate_every=evaluate_every, patience=patience,
        clip_value=clip_value, clip_norm=clip_norm,
    )  # fmt: skip
    if gradient not in ("hand", "auto"):
        raise ValueError(f'fit: gradient must be "hand" or "auto", got {gradient!r}')
    if patience is not None and validation is None:
        raise ValueError("fit: patience watches the validation loss; give validation=(x, t)")
    train = as_batch("data", data)
    held_out = None if validation is None else as_batch("validation", validation)
    n = train[0].shape[0]
    sampler = _sampler(n, batch_size, sampling)
    every = evaluate_every or (1 if batch_size is None else n // batch_size)

    key_init, key_rows, key_steps = jax.random.split(jax.random.key(0) if key is None else key, 3)
    params = jax.jit(model.init)(key_init) if params is None else params
    for name, batch in (("data", train), ("validation", held_out)):
        if batch is not None:
            check_targets(name, model, params, batch)
    optimizer = _with_clipping(optimizer, clip_value, clip_norm)
    if model.observe is not None:  # running statistics are not for the optimizer
        optimizer = optax.masked(optimizer, _learned)

    inputs = Inputs(train, held_out, key_steps)
    run = start(model, optimizer, sampler, params, inputs, key_rows, steps, -(-steps // every))
    if patience is not None:
        run = watch(run)
    step = training_step(model, optimizer, sampler, gradient)
    evaluate = None if held_out is None else evaluation(model, every, steps, patience)

    began = time.perf_counter()
    advance = compile_loop(step, evaluate, run, inputs)
    compiled = time.perf_counter()
    with show_progress(steps, title, progress) as report:
        run, safe = run_in_chunks(advance, run, inputs, steps, report)
    result = _result(run, every, compiled - began, time.perf_counter() - compiled)
    if np.isfinite(result.history["loss"][-1]):
        return result
    # The loss was last finite one step earlier; that step's parameters are those after the steps
    # before it.
    last_finite = advance(safe, inputs, np.int32(max(result.steps - 2, 0)))
    raise _nonfinite(result, eval_params(last_finite.state, last_finite.params), steps)


def _result(run: Run, every: int, compile_seconds: float, seconds: float) -> FitResult:
    done = int(run.step)
    history = {"loss": np.asarray(run.history["loss"])[:done]}
    evaluations = {k: np.asarray(v) for k, v in run.history.items() if k != "loss"}
    if evaluations:
        total = len(run.history["loss"])
        at = np.minimum(np.arange(1, len(evaluations["validation_loss"]) + 1) * every, total)
        history["step"] = at[at <= done]
        history |= {k: v[: len(history["step"])] for k, v in evaluations.items()}
    best = run.best
    return FitResult(
        params=eval_params(run.state, run.params) if best is None else best.params,
        history=history,
        state=run.state,
        steps=done,
        best_step=None if best is None else int(best.step),
        seconds=seconds,
        compile_seconds=compile_seconds,
    )


def _nonfinite(result: FitResult, params: Params, steps: int) -> NonFiniteError:
    """Say what happened to the loss and what to try."""
    losses, failed = result.history["loss"], result.steps - 1
    rate = learning_rate(result.state)
    if rate is None:
        told = "learning rate unknown: wrap the rule in optax.inject_hyperparams to see it"
    else:
        told = f"learning rate {float(rate):.4g}"
    message = f"the loss became {losses[-1]} at step {failed} of {steps} (counted from 0; {told})."
    if failed == 0:
        message += (
            " It was not finite to begin with: look at the initial parameters and at the scale "
            "of the data (standardise the inputs)."
        )
    else:
        smaller = "" if rate is None else f", for instance {float(rate) / 10:.4g}"
        message += (
            f" It was {losses[0]:.4g} at step 0 and {losses[-2]:.4g} just before. Try a smaller "
            f"learning rate{smaller}, standardised inputs, or a limit on the gradient's norm "
            "(clip_norm=1.0)."
        )
    error = NonFiniteError(message, dataclasses.replace(result, params=params))
    error.add_note("The parameters at which the loss was last finite: result.params of this error.")
    return error


def _sampler(n: int, batch_size: int | None, sampling: str) -> Sampler | None:
    samplers = {"shuffled": shuffled, "with_replacement": with_replacement}
    if sampling not in samplers:
        raise ValueError(f"fit: sampling must be one of {list(samplers)}, got {sampling!r}")
    if batch_size is None:
        return None
    if not isinstance(batch_size, int) or not 1 <= batch_size <= n:
        raise ValueError(f"fit: batch_size must be 1 to {n}, the rows of data, got {batch_size!r}")
    return samplers[sampling](n, batch_size)


def _with_clipping(
    optimizer: optax.GradientTransformation, clip_value: float | None, clip_norm: float | None
) -> optax.GradientTransformation:
    before = []
    if clip_value is not None:
        before.append(optax.clip(clip_value))
    if clip_norm is not None:
        before.append(optax.clip_by_global_norm(clip_norm))
    return optax.chain(*before, optimizer) if before else optimizer


def _learned(params: Params) -> Any:
    """The mask of what the optimizer may see: everything but running statistics."""

    def is_statistics(node: Any) -> bool:
        return isinstance(node, Statistics)

    return jax.tree.map(lambda node: not is_statistics(node), params, is_leaf=is_statistics)


def _check_arguments(
    *,
    steps: int,
    evaluate_every: int | None,
    patience: int | None,
    clip_value: float | None,
    clip_norm: float | None,
) -> None:
    counts = {"steps": steps, "evaluate_every": evaluate_every, "patience": patience}
    for name, count in counts.items():
        if (name == "steps" or count is not None) and not (isinstance(count, int) and count >= 1):
            raise ValueError(f"fit: {name} must be a positive integer, got {count!r}")
    for name, limit in (("clip_value", clip_value), ("clip_norm", clip_norm)):
        if limit is not None and not limit > 0:
            raise ValueError(f"fit: {name} must be positive, got {limit!r}")
