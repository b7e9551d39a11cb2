"""Numerical gradients, turned round and changed too soon.

Ten rows of five binary digits, one class a row: 5 -> 20 ReLU -> 10 softmax, the cross-entropy
summed over the rows with 1e-7 inside the logarithm, W uniform in (0, 1), b = 0. The gradient is
measured, entry by entry, by central differences with h = 1e-7,

    g_j = (f(x + h e_j) - f(x - h e_j)) / 2h,   x := x - 0.5 g,   100 iterations.

The first fault: (f(x - h e_j) - f(x + h e_j)) / 2h, so the loss climbs.

The second fault: every parameter is changed as soon as its own difference is known, while the
others are still to be measured. What comes out is no gradient at any point. It is a descent of its
own kind, along one axis after the other, and hides a third fault: here it learns, where the
gradient does not.

For W uniform in (0, 1) is a bad start, and 0.5 too large a step for a sum over ten rows. With all
entries measured first the first step overshoots, hidden units die, and the loss ends at 10 log 10
= 23.03, every class at 1/10.

The cure: the difference the right way round, all of them before any change, and the mean over the
rows, which is a step of 0.05 for the sum. jax.grad then goes the same way, within the 1 % to which
the seven digits of such differences grow in a hundred iterations.
"""

import math
import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study
from jax.flatten_util import ravel_pytree

from jaxnet import check, plot

H, STEP, ITERATIONS = 1e-7, 0.5, 100
ROWS = ((np.arange(10)[:, None] >> np.arange(5)) & 1).astype(float)


def cross_entropy(p: Any, x: Any, t: Any) -> Any:
    """Summed over the rows."""
    hidden = jax.nn.relu(x @ p["W1"] + p["b1"])
    y = jax.nn.softmax(hidden @ p["W2"] + p["b2"])
    return -jnp.sum(t * jnp.log(y + 1e-7))


def loss(p: Any) -> Any:
    """The cross-entropy of the ten rows, each of which is its own class."""
    return cross_entropy(p, ROWS, np.eye(10))


def point() -> Any:
    """Where it starts."""
    uniform = np.random.default_rng(0).uniform
    weights = {"W1": uniform(size=(5, 20)), "W2": uniform(size=(20, 10))}
    return weights | {"b1": np.zeros(20), "b2": np.zeros(10)}


def difference(f: Any, x: Any, e: Any) -> Any:
    """The central difference along e."""
    return (f(x + H * e) - f(x - H * e)) / (2 * H)


def at_once(p: Any) -> Any:
    """The gradient by differences, all of them at the same point."""
    x, tree = ravel_pytree(p)
    return tree(jax.vmap(lambda e: difference(lambda x: loss(tree(x)), x, e))(jnp.eye(x.size)))


def turned_round(p: Any) -> Any:
    """The first fault."""
    return jax.tree.map(jnp.negative, at_once(p))


def one_by_one(p: Any) -> Any:
    """The second fault: what the parameters were changed by in all, over the step."""
    x, tree = ravel_pytree(p)

    def change(i: Any, x: Any) -> Any:
        e = jnp.arange(x.size) == i
        return x - STEP * difference(lambda x: loss(tree(x)), x, e) * e

    return tree((x - jax.lax.fori_loop(0, x.size, change, x)) / STEP)


def run(quick: bool) -> study.Study:
    """Both faults and the cure."""
    faults = {"turned round": turned_round, "one by one": one_by_one, "at once": at_once}
    cures = {"at once": at_once, "jax.grad": jax.grad(loss)}
    start = point()
    at_half, cured = (
        {name: study.descent(loss, g, start, rate, ITERATIONS)[1] for name, g in gradients.items()}
        for gradients, rate in ((faults, STEP), (cures, STEP / 10))
    )
    # Off the kink of ReLU, on which the row of zeros puts all hidden units.
    p = start | {"b1": start["b1"] + 0.1}
    doctors = {
        f"differences {name}": (code, partial(check.gradient, loss, gradient, p))
        for (name, gradient), code in zip(faults.items(), ("sign", "stale", "ok"), strict=True)
    }
    train = partial(check.training, cross_entropy, start, (ROWS, np.eye(10)), steps=ITERATIONS)
    doctors |= {
        "a run along +g, as the turned differences make it": (
            "ascent", partial(train, learning_rate=STEP, direction=lambda g: g)
        ),
        "a run at step 0.5, all at once": ("bad_init", partial(train, learning_rate=STEP)),
        "a run at step 0.05": ("ok", partial(train, learning_rate=STEP / 10)),
    }  # fmt: skip
    off = np.abs(cured["at once"] / cured["jax.grad"] - 1).max()
    numbers = [
        study.at_least("turned round: last loss", 100, at_half["turned round"][-1]),
        study.near("at once, step 0.5: last loss", 10 * math.log(10), at_half["at once"][-1], 1e-3),
        study.at_most("one by one, step 0.5: last loss", 0.1, at_half["one by one"][-1]),
        study.at_most("at once, step 0.05: last loss", 1, cured["at once"][-1]),
        study.at_most("its losses off those with jax.grad", 1e-2, off),
    ]
    panels = {"step 0.5 for the sum over ten rows": at_half, "step 0.05, their mean": cured}
    figure = plot.curves(panels, title="Differences with h = 1e-7", x_label="iteration", log_y=True)
    return study.Study(numbers, doctors, {"The faults and the cure.": figure})


if __name__ == "__main__":
    sys.exit(study.main(run))
