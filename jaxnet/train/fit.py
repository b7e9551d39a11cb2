"""One training run as one compiled program."""

import dataclasses
import time
import warnings
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.arguments import positive_int
from jaxnet.data.batches import Sampler, shuffled, with_replacement
from jaxnet.layers.layer import Params
from jaxnet.models import Model
from jaxnet.optim.aw_sgd import sampling_probabilities
from jaxnet.optim.states import eval_params
from jaxnet.train.arrays import as_batch, as_params, check_targets
from jaxnet.train.importance import learned_sampler
from jaxnet.train.loop import (
    Inputs,
    Run,
    compile_loop,
    copy,
    evaluation,
    run_in_chunks,
    start,
    training_step,
)
from jaxnet.train.progress import progress as show_progress
from jaxnet.train.result import FitResult, nonfinite_error
from jaxnet.train.statistics import learned


def fit(
    model: Model,
    optimizer: optax.GradientTransformation,
    data: tuple[ArrayLike, ArrayLike],
    *,
    steps: int,
    batch_size: int | None = None,
    sampling: Literal["shuffled", "with_replacement", "learned"] = "shuffled",
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
    doctor: bool = False,
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
            batch sit the epoch out), each drawn anew ("with_replacement"), or drawn and weighted as
            `optim.aw_sgd` has learned ("learned").
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
        doctor: Ask `check.training` about a run whose loss or parameters were lost, and put its
            report into the error (`error.report`, and its notes); or about one whose loss ends
            less than a hundredth below where it began, and put it into the result, with a warning.
            It is not asked about a loss that fell, however little was learned: call
            `check.training` for that.

    Returns:
        A `FitResult`.

    Raises:
        NonFiniteError: The loss or the parameters became infinite or NaN; the message says at
            which step and learning rate and what to try, `result` keeps the last finite
            parameters.
        ValueError: Bad arguments, or data that do not fit the model.
    """
    steps = positive_int("fit: steps", steps)
    if patience is not None:
        patience = positive_int("fit: patience", patience)
        if validation is None:
            raise ValueError("fit: patience watches the validation loss; give validation=(x, t)")
    if gradient not in ("hand", "auto"):
        raise ValueError(f'fit: gradient must be "hand" or "auto", got {gradient!r}')
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            "fit: optimizer must be an optax gradient transformation, such as "
            f"jaxnet.optim.gd(0.01), got {optimizer!r}"
        )
    if isinstance(key, int):
        raise TypeError(f"fit: key must be a JAX key, such as jax.random.key({key}), got {key!r}")
    if doctor and sampling == "learned":
        raise ValueError('fit: doctor=True cannot judge sampling="learned"; leave one of them out')
    train = as_batch("data", data)
    held_out = None if validation is None else as_batch("validation", validation)
    n = train[0].shape[0]
    sampler = _sampler(n, batch_size, sampling)
    every = 1 if batch_size is None else n // batch_size
    if evaluate_every is not None:
        every = positive_int("fit: evaluate_every", evaluate_every)

    key_init, key_rows, key_steps = jax.random.split(jax.random.key(0) if key is None else key, 3)
    params = jax.jit(model.init)(key_init) if params is None else as_params(model, params)
    for name, batch in (("data", train), ("validation", held_out)):
        if batch is not None:
            check_targets(name, model, params, batch)
    optimizer = _with_clipping(optimizer, clip_value, clip_norm)
    if model.observe is not None:  # running statistics are not for the optimizer
        optimizer = optax.masked(optimizer, learned)

    _check_sampling(model, optimizer, params, sampling, batch_size, n)
    inputs = Inputs(train, held_out, key_steps)
    run = start(
        model, optimizer, sampler, params, inputs, key_rows, steps,
        evaluations=-(-steps // every), early_stopping=patience is not None,
    )  # fmt: skip
    step = training_step(model, optimizer, sampler, gradient)
    evaluate = None if held_out is None else evaluation(model, every, steps, patience)

    began = time.perf_counter()
    advance = compile_loop(step, evaluate, run, inputs)
    compiled = time.perf_counter()
    with show_progress(steps, title, progress) as report:
        run, lost, earlier = run_in_chunks(advance, run, inputs, steps, report)
    seconds = (time.perf_counter() - compiled, compiled - began)

    def diagnosis() -> Any:
        settings = {"optimizer": optimizer, "steps": steps, "batch_size": batch_size}
        settings |= {"validation": held_out}
        try:
            return _diagnosis(model, params, train, key_steps, settings)
        except Exception as trouble:  # whatever it is, what befell the run comes first
            return f"the training doctor failed: {type(trouble).__name__}: {trouble}"

    if lost is None and _all_finite(run.params):
        result = _result(run, every, *seconds)
        if doctor and not _learned(result.history["loss"]):
            said = diagnosis()
            result = dataclasses.replace(result, report=None if isinstance(said, str) else said)
            warnings.warn(f"the loss did not fall:\n{said}", RuntimeWarning, stacklevel=2)
        return result
    # Go there again: up to the step that failed, for the history and the learning rate; and for
    # the parameters at which the loss was last finite. A lost loss was last finite one step
    # earlier, at the parameters of that moment, which are those after the steps before it.
    failed = int(run.step) - 1 if lost is None else lost
    sound = failed if lost is None else max(lost - 1, 0)
    last_finite = advance(copy(earlier), inputs, np.int32(sound))
    kept = eval_params(last_finite.state, last_finite.params)
    result = _result(advance(earlier, inputs, np.int32(failed + 1)), every, *seconds)
    error = nonfinite_error(result, kept, steps, clipped=clip_norm is not None)
    if doctor:
        said = diagnosis()
        if not isinstance(said, str):
            error.result = dataclasses.replace(error.result, report=said)
        error.add_note(str(said))
    raise error


def _diagnosis(
    model: Model, params: Params, data: Any, key: Array, settings: dict[str, Any]
) -> Any:
    """The report of the training doctor on the loss as it is trained: with a key."""
    # Here and not above: imports point from check to train, and only a failed run goes back.
    from jaxnet.check import training

    def loss(params: Params, x: Array, t: Array) -> Array:
        return model.loss(params, (x, t), key)

    report = training(loss, params, data, **settings)
    note = "the loss was examined as in training, with one random key for all steps"
    return dataclasses.replace(report, notes=(*report.notes, note))


def _learned(losses: np.ndarray) -> bool:
    """Whether the last tenth of the losses is lower than the first one, by a hundredth at least."""
    last = losses[-max(1, len(losses) // 10) :].mean()
    return bool(last < losses[0] - 0.01 * abs(losses[0]))


def _all_finite(params: Params) -> bool:
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(params))


def _result(run: Run, every: int, seconds: float, compile_seconds: float) -> FitResult:
    done = int(run.step)
    history = {"loss": np.asarray(run.history["loss"])[:done]}
    evaluations = {k: np.asarray(v) for k, v in run.history.items() if k != "loss"}
    if evaluations:
        total = len(run.history["loss"])
        at = np.minimum(np.arange(1, len(evaluations["validation_loss"]) + 1) * every, total)
        lost = int(not np.isfinite(history["loss"][-1]))  # a lost step is not evaluated
        history["step"] = at[at <= done - lost]
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


def _sampler(n: int, batch_size: int | None, sampling: str) -> Sampler | None:
    samplers: dict[str, Callable[[int, int], Sampler]] = {
        "shuffled": shuffled,
        "with_replacement": with_replacement,
        "learned": lambda n, batch_size: learned_sampler(batch_size),
    }
    if sampling not in samplers:
        raise ValueError(f"fit: sampling must be one of {list(samplers)}, got {sampling!r}")
    if batch_size is None:
        return None
    if positive_int("fit: batch_size", batch_size) > n:
        raise ValueError(f"fit: batch_size must be 1 to {n}, the rows of data, got {batch_size!r}")
    return samplers[sampling](n, int(batch_size))


def _check_sampling(
    model: Model,
    optimizer: optax.GradientTransformation,
    params: Params,
    sampling: str,
    batch_size: int | None,
    n: int,
) -> None:
    """Refuse a rule that learns what to sample without its sampler, and the other way round."""
    q = jax.eval_shape(lambda p: sampling_probabilities(optimizer.init(p)), params)
    if q is None and sampling != "learned":
        return
    if q is None or sampling != "learned" or batch_size is None:
        raise ValueError(
            'fit: optim.aw_sgd, sampling="learned" and a batch_size belong together, got '
            f"sampling={sampling!r}, batch_size={batch_size} and an optimizer that learns "
            f"{'no' if q is None else 'its'} sampling"
        )
    if q.size != n:
        raise ValueError(f"fit: aw_sgd was made for examples={q.size}, but data have {n} rows")
    if model.observe is not None:
        raise ValueError(
            'fit: sampling="learned" needs the gradient of every row by itself, but batch '
            "normalisation ties the rows of a batch together"
        )


def _with_clipping(
    optimizer: optax.GradientTransformation, clip_value: float | None, clip_norm: float | None
) -> optax.GradientTransformation:
    for name, limit in (("clip_value", clip_value), ("clip_norm", clip_norm)):
        if limit is not None and not limit > 0:
            raise ValueError(f"fit: {name} must be positive, got {limit!r}")
    before = []
    if clip_value is not None:
        before.append(optax.clip(clip_value))
    if clip_norm is not None:
        before.append(optax.clip_by_global_norm(clip_norm))
    return optax.chain(*before, optimizer) if before else optimizer
