"""The compiled loop of a run: what it carries, one step, one evaluation, and its chunks."""

import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnet.data.batches import Sampler
from jaxnet.layers.layer import Params
from jaxnet.models import Batch, Model
from jaxnet.optim.states import eval_params, unmasked
from jaxnet.train.accuracy import accuracy
from jaxnet.train.importance import weighted_gradient
from jaxnet.train.progress import Report
from jaxnet.train.statistics import hidden, with_statistics

CHUNK_SECONDS = 0.2
"""How long the compiled loop runs before Python looks in to show the progress."""


class Best(NamedTuple):
    """The parameters of the lowest validation loss so far."""

    params: Params
    loss: Array
    step: Array  # how many steps had been done
    stale: Array  # how many evaluations ago


class Run(NamedTuple):
    """Everything that changes in a run: what the loop carries from step to step."""

    params: Params
    state: Any  # of the optimizer
    sampler: Any
    step: Array  # how many steps are done
    going: Array  # whether to go on: False once patience is lost
    history: dict[str, Array]
    best: Best | None


class Inputs(NamedTuple):
    """Everything that a run reads and never changes."""

    data: Batch
    validation: Batch | None
    key: Array


Step = Callable[[Run, Inputs], Run]


def start(
    model: Model,
    optimizer: optax.GradientTransformation,
    sampler: Sampler | None,
    params: Params,
    inputs: Inputs,
    key: Array,
    steps: int,
    evaluations: int,
    early_stopping: bool,
) -> Run:
    """The run before its first step."""
    loss = jax.eval_shape(model.loss, params, inputs.data)
    history = {"loss": jnp.asarray(np.full(steps, np.nan, loss.dtype))}
    if inputs.validation is not None:
        history["validation_loss"] = jnp.asarray(np.full(evaluations, np.nan, loss.dtype))
        if model.classify is not None:
            history["validation_accuracy"] = jnp.full(evaluations, jnp.nan)
            history["train_accuracy"] = jnp.full(evaluations, jnp.nan)
    zero = jnp.zeros([], jnp.int32)
    best = Best(params, jnp.full([], jnp.inf, loss.dtype), step=zero, stale=zero)
    run = Run(
        params=params,
        state=optimizer.init(params),
        sampler=sampler.init(key) if sampler else None,
        step=zero,
        going=jnp.ones([], bool),
        history=history,
        best=best if early_stopping else None,
    )
    return copy(run)


def copy(run: Run) -> Run:
    """Give every leaf a buffer of its own, so that the loop may overwrite it."""
    copied: Run = _copy(run)
    return copied


_copy = jax.jit(lambda run: jax.tree.map(jnp.copy, run))


def training_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    sampler: Sampler | None,
    gradient: Literal["hand", "auto"],
) -> Step:
    """One step: a batch, its loss and gradient, and the optimizer's update."""
    value_and_grad = model.value_and_grad if gradient == "hand" else jax.value_and_grad(model.loss)
    optimizer = optax.with_extra_args_support(optimizer)

    def step(run: Run, inputs: Inputs) -> Run:
        batch, rows_state, weights = inputs.data, run.sampler, None
        if sampler is not None:
            rows, weights, rows_state = sampler.sample(run.sampler, run.step, run.state)
            batch = jax.tree.map(lambda a: a.at[rows].get(mode="promise_in_bounds"), inputs.data)
        key = jax.random.fold_in(inputs.key, run.step)

        def value_fn(params: Params) -> Array:  # for rules that search along a line
            return model.loss(unmasked(params, run.params), batch, key)

        drawn = {}
        if weights is None:
            value, grads = value_and_grad(run.params, batch, key)
        else:
            value, grads, squared_norms = weighted_gradient(
                value_and_grad, run.params, batch, weights, key
            )
            drawn = {"rows": rows, "squared_norms": squared_norms}
        # Data of a wider type make wider gradients; the optimizer's state has the parameters' type.
        grads = jax.tree.map(lambda g, p: g.astype(p.dtype), grads, run.params)
        updates, state = optimizer.update(
            grads,
            run.state,
            run.params,
            value=value,
            grad=hidden(grads),
            value_fn=value_fn,
            **drawn,
        )
        params = optax.apply_updates(run.params, updates)
        if model.observe is not None:
            params = with_statistics(params, model.observe(run.params, batch[0], key))
        return run._replace(
            params=params,
            state=state,
            sampler=rows_state,
            step=run.step + 1,
            history=run.history | {"loss": _set(run.history["loss"], run.step, value)},
        )

    return step


def _set(array: Array, entry: Array, value: Array) -> Array:
    # Not array.at[entry].set(value), which is a scatter: several times slower inside a loop.
    written: Array = jax.lax.dynamic_update_index_in_dim(array, value.astype(array.dtype), entry, 0)
    return written


def evaluation(model: Model, every: int, steps: int, patience: int | None) -> Step:
    """After every `every`-th step and the last one: losses and accuracies, and early stopping."""

    def evaluate(run: Run, inputs: Inputs) -> Run:
        assert inputs.validation is not None
        params = eval_params(run.state, run.params)
        measured = {"validation_loss": model.loss(params, inputs.validation)}
        if model.classify is not None:
            measured["validation_accuracy"] = accuracy(model, params, inputs.validation)
            measured["train_accuracy"] = accuracy(model, params, inputs.data)
        entry = (run.step - 1) // every
        history = {k: _set(run.history[k], entry, v) for k, v in measured.items()}
        run = run._replace(history=run.history | history)
        if run.best is None or patience is None:
            return run
        best = _better(run.best, params, measured["validation_loss"], run.step)
        return run._replace(best=best, going=run.going & (best.stale < patience))

    def evaluate_when_due(run: Run, inputs: Inputs) -> Run:
        due = (run.step % every == 0) | (run.step == steps)
        after: Run = jax.lax.cond(due & run.going, evaluate, lambda run, _: run, run, inputs)
        return after

    return evaluate_when_due


def _better(best: Best, params: Params, loss: Array, step: Array) -> Best:
    improved = loss < best.loss
    new = Best(params, loss, step, jnp.zeros_like(best.stale))
    old = best._replace(stale=best.stale + 1)
    better: Best = jax.tree.map(lambda n, o: jnp.where(improved, n, o), new, old)
    return better


def compile_loop(step: Step, evaluate: Step | None, run: Run, inputs: Inputs) -> Any:
    """Compile `advance(run, inputs, stop)`: steps until `stop` of them are done or it must end.

    `stop` is an argument of the compiled program and not a constant in it, so that one program
    serves every chunk, whatever its length; that is why this is a while loop and not a scan.
    """

    def advance(run: Run, inputs: Inputs, stop: Array) -> Run:
        def body(run: Run) -> Run:
            run = step(run, inputs)
            return run if evaluate is None else evaluate(run, inputs)

        return jax.lax.while_loop(lambda run: run.going & (run.step < stop), body, run)

    return jax.jit(advance, donate_argnums=0).lower(run, inputs, np.int32(0)).compile()


def run_in_chunks(
    advance: Any, run: Run, inputs: Inputs, steps: int, report: Report
) -> tuple[Run, int | None, Run]:
    """Run to the end in chunks of about `CHUNK_SECONDS`, looking at the losses after each.

    The loop itself does not look: a test in every step would cost more than the few steps that a
    lost run goes on to the end of its chunk.

    Returns:
        The last run; the step at which the loss was first not finite, or None; and the run at the
        start of the chunk before the last one, from which any later moment can be had again.
    """
    chunk, done = 1, 0
    earlier = latest = copy(run)
    while done < steps and bool(run.going):
        began, first = time.perf_counter(), done
        earlier, latest = latest, copy(run)
        run = advance(run, inputs, np.int32(min(done + chunk, steps)))
        done = int(run.step)
        losses = np.asarray(run.history["loss"])[first:done]
        report(done, float(losses[-1]))
        if not np.isfinite(losses).all():
            return run, first + int(np.argmin(np.isfinite(losses))), earlier
        seconds = time.perf_counter() - began
        chunk = max(1, min(10 * chunk, int(chunk * CHUNK_SECONDS / seconds)))
    return run, None, earlier
