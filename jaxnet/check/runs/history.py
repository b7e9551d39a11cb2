"""A run, compiled once: the user's rule on the user's loss, with the loss of every step kept."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.check.runs.trial import Loss, Trial
from jaxnet.check.witness import compiled as compiled_quickly
from jaxnet.optim.states import eval_params

CHECKS = 25
"""How often a run of minibatches looks at the loss of all rows."""

QUICK_BELOW = 1e9
"""Parameters times rows times steps below which compiling takes longer than running."""


class Course(NamedTuple):
    """How a run went.

    losses are those that the steps saw, before their updates; whole those of all rows, and held_out
    those of the validation data, at the steps `at`. gradients are the norms. params are those
    at the end.
    """

    params: Any
    losses: np.ndarray
    gradients: np.ndarray
    at: np.ndarray
    whole: np.ndarray
    held_out: np.ndarray

    @property
    def end(self) -> float:
        """The loss at the end: the median of the last tenth; infinite if it was lost."""
        last = self.whole[-max(1, len(self.whole) // 10) :]
        return float(np.median(last)) if np.isfinite(self.whole).all() else np.inf

    @property
    def lost(self) -> int | None:
        """The first step whose loss is not finite."""
        bad = ~np.isfinite(self.losses)
        return int(np.argmax(bad)) if bad.any() else None


Runner = Callable[..., Course]


def program(trial: Trial, loss: Loss) -> Callable[..., Any]:
    """A run as one program: (params, x, t, held_out, scale, stop, rows) -> steps, params, figures.

    scale multiplies every update; rows (steps, size) are those of the minibatches, or None.
    """
    length, every = trial.steps, _every(trial)
    value_and_grad = jax.value_and_grad(loss)
    nothing = jnp.full(length + 1, jnp.nan)

    def whole(params: Any, x: Any, t: Any, held_out: Any, scale: Any, stop: Any, rows: Any) -> Any:
        def look(params: Any, batch: Any) -> Any:
            return jnp.asarray(loss(params, *batch), nothing.dtype)

        def measured(h: Any, i: Any, state: Any, params: Any) -> Any:
            at = eval_params(state, params)
            h = h | {"whole": h["whole"].at[i].set(look(at, (x, t)))}
            if held_out is not None:
                h = h | {"held_out": h["held_out"].at[i].set(look(at, held_out))}
            return h

        def body(carry: Any) -> Any:
            i, params, state, h = carry
            batch = (x, t)
            if rows is not None:
                batch = jax.tree.map(lambda a: a[rows[i]], batch)
            value, grads = value_and_grad(params, *batch)
            updates, state = trial.rule.update(
                grads, state, params, value=value, grad=grads,
                value_fn=lambda p: loss(p, *batch),
            )  # fmt: skip
            params = jax.tree.map(lambda p, u: (p + scale * u).astype(p.dtype), params, updates)
            norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(grads)))
            h = h | {
                "losses": h["losses"].at[i].set(value.astype(nothing.dtype)),
                "gradients": h["gradients"].at[i].set(norm.astype(nothing.dtype)),
            }
            due = ((i + 1) % every == 0) | (i + 1 == stop)
            h = jax.lax.cond(due, lambda h: measured(h, i + 1, state, params), lambda h: h, h)
            return i + 1, params, state, h

        def going(carry: Any) -> Any:
            i, _, _, h = carry
            return (i < stop) & ((i == 0) | jnp.isfinite(h["losses"][i - 1]))

        state = trial.rule.init(params)
        h = dict.fromkeys(("losses", "gradients", "whole", "held_out"), nothing)
        carry = (jnp.zeros([], jnp.int32), params, state, measured(h, 0, state, params))
        i, params, state, h = jax.lax.while_loop(going, body, carry)
        return i, eval_params(state, params), h

    return whole


def _every(trial: Trial) -> int:
    """Steps between two looks at the loss of all rows."""
    return 1 if trial.batch_size is None else max(1, trial.steps // CHECKS)


def runner(trial: Trial, loss: Loss | None = None) -> Runner:
    """Compile a run: `run(params, x, t, scale=1.0, steps=None, shuffle=None)`.

    The rows of the minibatches are drawn by NumPy, seeded.
    """
    n, size, length, every = trial.rows, trial.batch_size, trial.steps, _every(trial)
    whole = program(trial, loss or trial.loss)
    quick = trial.size * n * length < QUICK_BELOW
    compiled = compiled_quickly(whole) if quick else jax.jit(whole)

    def run(
        params: Any, x: Any, t: Any, scale: float = 1.0, steps: int | None = None,
        shuffle: bool | None = None, held_out: Any = trial.validation,
    ) -> Course:  # fmt: skip
        stop = length if steps is None else min(steps, length)
        rows = None
        if size is not None:
            rows = row_numbers(n, size, length, trial.shuffle if shuffle is None else shuffle)
        done, params, h = jax.device_get(
            compiled(params, x, t, held_out, jnp.float32(scale), np.int32(stop), rows)
        )
        at = np.unique([0, *(k for k in range(1, done + 1) if k % every == 0 or k == stop)])
        return Course(
            params, h["losses"][:done], h["gradients"][:done], at, h["whole"][at],
            h["held_out"][at],
        )  # fmt: skip

    return run


def row_numbers(n: int, size: int, steps: int, shuffle: bool) -> np.ndarray:
    """The rows of every step, (steps, size): epochs of whole batches, in a new order each."""
    rng = np.random.default_rng(0)
    per_epoch = n // size
    epochs = [
        (rng.permutation(n) if shuffle else np.arange(n))[: per_epoch * size]
        for _ in range(-(-steps // per_epoch))
    ]
    return np.concatenate(epochs).reshape(-1, size)[:steps].astype(np.int32)
