"""Thirteen lines of backpropagation, and the size of the step.

XOR with a third input that is always 1, four rows, no biases, sigma twice, H hidden units, from 2
rand - 1 of NumPy's legacy generator seeded 1, all rows in each of 60,000 iterations:

    l1 = sigma(X s0),  l2 = sigma(l1 s1),  d2 = (l2 - y) l2 (1 - l2),  d1 = d2 s1^T * l1 (1 - l1)
    s1 -= alpha l1^T d2,   s0 -= alpha X^T d1

The fault: the wrong alpha. At 0.001 nothing is learned in 60,000 iterations. At 100 the network
loses a row and stays there, at 1000 all sigmas are saturated, their slopes 0, and the error is 1/2
for good. In between lies a factor of a thousand that works, and more hidden units make it narrower
above.

The table is met digit by digit where descent is calm. For H = 4 and alpha = 100 it agrees to 1e-8,
for H = 32 and alpha = 10 only to 1 %: the first iterations amplify the rounding of a sum in another
order. How often the update of each weight turned back says how rough the way was.

The cure: an alpha at which the error falls fast and the weights do not yet swing, here 1; 10 gets
lower still, on a rough way.
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study
from thirteen_lines import ALPHAS, ERRORS, TURNS, X, Y, drawn

from jaxnet import check, plot


def thirteen_lines(weights: Any, alpha: Any) -> tuple[Any, Any, Any]:
    """One iteration: the weights after it, the updates, and the mean error before it."""
    s0, s1 = weights
    l1 = jax.nn.sigmoid(X @ s0)
    l2 = jax.nn.sigmoid(l1 @ s1)
    d2 = (l2 - Y) * l2 * (1 - l2)
    d1 = (d2 @ s1.T) * l1 * (1 - l1)
    updates = X.T @ d1, l1.T @ d2
    after = jax.tree.map(lambda s, u: s - alpha * u, weights, updates)
    return after, updates, jnp.abs(l2 - Y).mean()


@partial(jax.jit, static_argnums=(1, 2))
@partial(jax.vmap, in_axes=(0, None, None))
def table(alpha: Any, hidden: int, chunks: int) -> tuple[Any, Any]:
    """The error every 10,000 iterations, and how often each update changed its sign."""

    def one(carry: Any, i: Any) -> tuple[Any, Any]:
        weights, ups, turns = carry
        weights, updates, error = thirteen_lines(weights, alpha)
        before, ups = ups, jax.tree.map(lambda u: u > 0, updates)
        turns = jax.tree.map(lambda n, a, b: n + ((a != b) & (i > 0)), turns, before, ups)
        return (weights, ups, turns), error

    def chunk(carry: Any, k: Any) -> tuple[Any, Any]:
        carry, errors = jax.lax.scan(one, carry, k * 10_000 + jnp.arange(10_000))
        return carry, errors[0]

    start = drawn((3, hidden), (hidden, 1))
    ups, turns = (jax.tree.map(lambda s, t=t: jnp.zeros(s.shape, t), start) for t in (bool, int))
    (_, _, turns), errors = jax.lax.scan(chunk, (start, ups, turns), jnp.arange(chunks))
    return errors, turns


def loss(weights: Any, x: Any, y: Any) -> Any:
    """The loss whose gradient the thirteen lines go down."""
    return ((jax.nn.sigmoid(jax.nn.sigmoid(x @ weights[0]) @ weights[1]) - y) ** 2).sum() / 2


def printed(hidden: int, alpha: float, iteration: int, known: str, error: Any) -> study.Number:
    """A number of the table against its printed digits, or as near as it can be."""
    what = f"H = {hidden}, alpha = {alpha:g}, iteration {iteration:,}"
    if iteration and alpha >= 100:
        return study.near(what, float(known), error, 1e-8)
    if iteration and (hidden, alpha) == (32, 10):
        return study.close(what, float(known), error, 1e-2)
    return study.same(what, known, f"{error:.12g}")


def run(quick: bool) -> study.Study:
    """Both tables, all step sizes of each in one program."""
    chunks = 2 if quick else 6
    numbers, errors, changes = [], {}, []
    for hidden, (first, known) in ERRORS.items():
        measured, turns = jax.device_get(table(jnp.array(ALPHAS), hidden, chunks))
        errors[f"{hidden} hidden units"] = measured
        rows = np.array(known.split()).reshape(len(ALPHAS), 5)
        rows = np.insert(rows, 0, first, axis=1)[:, :chunks]
        for (i, k), digits in np.ndenumerate(rows):
            numbers.append(printed(hidden, ALPHAS[i], 10_000 * k, digits, measured[i, k]))
        changes.append(np.hstack([t.reshape(len(ALPHAS), -1) for t in turns]))
    if not quick:
        for alpha, known, counts in zip(ALPHAS, TURNS, changes[0], strict=True):
            counted = " / ".join(" ".join(map(str, part)) for part in (counts[:12], counts[12:]))
            numbers.append(study.same(f"H = 4, alpha = {alpha:g}: turns", known, counted))
    doctors = {}
    for alpha, code in ((1000, "step_too_large"), (0.001, "step_too_small"), (1, "ok")):
        shown = f"H = 4, alpha = {alpha:g}"
        start = drawn((3, 4), (4, 1))
        ask = partial(check.training, loss, start, (X, Y), learning_rate=alpha, steps=10_000)
        doctors[shown] = code, ask
    alphas = [f"{alpha:g}" for alpha in ALPHAS]
    iterations = [f"{k}0k" if k else "0" for k in range(chunks)]
    weights = [f"{s}{i}" for s, size in (("a", 12), ("b", 4)) for i in range(size)]
    pictures = {
        "Step size against time. 32 units at alpha = 10 agree to 1 % only.": plot.heat_map(
            errors, alphas, iterations,
            title="XOR", row_label="alpha", column_label="iteration", value_label="mean |l2 - y|",
        ),
        "How often each weight of synapse 0 (a) and 1 (b) turned back.": plot.heat_map(
            {"4 hidden units": changes[0]}, alphas, weights,
            title="XOR", row_label="alpha", column_label="weight", value_label="changes of sign",
        ),
    }  # fmt: skip
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
