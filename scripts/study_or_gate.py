"""A perceptron for OR, three updates that are no gradient.

Two weights without a bias, W (2, 1), learn the truth table of OR from all four rows at once:

    y = sigma(X W),   L = 1/2 sum_i (t_i - y_i)^2,   dL/dW = X^T ((y - t) y (1 - y))

W is drawn from NumPy's RandomState(0).uniform. Without a bias y is 1/2 for the row 0 0 whatever
the weights, so "1 if y > 1/2" is right on every row once both weights are positive.

The faults, with e = (t - y)^2 where the error t - y belongs:

    (a)  W -= lr X^T e                     the squared error itself, which has no sign
    (b)  W -= lr X^T (2 e e y (1 - y))     the squared error as the error, twice
    (c)  W += lr X^T (d d (1 - d))         d = t - y: the sigmoid's slope at the error, not at y

With (a) and (b) weights can only fall: the net breaks if it is trained for long enough.

(c), the published answer, is right on OR by luck, and the doctor rightly silent on it there: where
t is 1, d = 1 - y, and so d (1 - d) = y (1 - y); the only row with t = 0 has no inputs. The luck is
gone with d = y - t and W -= lr X^T (d d (1 - d)), or with XOR, which has a 0 beside an input.

The cure is the gradient above, at a learning rate of 0.1.
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study

from jaxnet import check, data, plot


def loss(w: Any, x: Any, t: Any) -> Any:
    """Half the squared error, summed over the rows."""
    y = jax.nn.sigmoid(x @ w)
    return jnp.sum((t - y) ** 2) / 2


DELTAS: dict[str, Any] = {
    "(a) squared error": lambda y, t: (t - y) ** 2,
    "(b) squared error twice": lambda y, t: 2 * (t - y) ** 2 * (t - y) ** 2 * y * (1 - y),
    "(c) slope at the error": lambda y, t: -(t - y) * (t - y) * (1 - (t - y)),
    "(c) with d = y - t": lambda y, t: (y - t) * (y - t) * (1 - (y - t)),
    "the gradient": lambda y, t: (y - t) * y * (1 - y),
}
"""What stands behind X^T in each update, for W -= lr X^T delta."""


def update(name: str, w: Any, x: Any, t: Any) -> Any:
    """What is taken for the gradient."""
    return x.T @ DELTAS[name](jax.nn.sigmoid(x @ w), t)


def descend(name: str, rate: float, w: Any, x: Any, t: Any) -> Any:
    """The weights, mean |t - y| and share of rows decided rightly before every epoch."""

    def epoch(w: Any) -> Any:
        y = jax.nn.sigmoid(x @ w)
        decided = ((y > 0.5) == (t > 0.5)).mean()
        return w - rate * update(name, w, x, t), (w, jnp.abs(t - y).mean(), decided)

    return study.descend(epoch, w, length=3000)[1]


def run(quick: bool) -> study.Study:
    """Run every update from good and from bad weights, and show all of them to the doctor."""
    x = data.truth_table("or").x
    t_or, t_xor = (data.truth_table(gate).t[:, None].astype(float) for gate in ("or", "xor"))
    good = "from W = RandomState(0).uniform"
    bad = "from W = [[-1], [1]]"
    starts = {good: np.random.RandomState(0).uniform(size=(2, 1)), bad: np.array([[-1.0], [1.0]])}
    a, b, c, turned, gradient = DELTAS
    cure = "the gradient, lr 0.1"

    numbers, errors, decisions = [], {}, {}
    for side, start in starts.items():
        walks = {name: descend(name, 0.03, start, x, t_or) for name in (a, b, c, gradient)}
        walks[cure] = descend(gradient, 0.1, start, x, t_or)
        errors[side] = {name: error for name, (_, error, _) in walks.items()}
        decisions[side] = {name: decided for name, (_, _, decided) in walks.items()}
        for name, rows in ((a, 1), (b, 1), (c, 4), (gradient, 4)):
            what = f"{name}, {side}: rows right at the end"
            numbers.append(study.same(what, rows, int(4 * decisions[side][name][-1])))
        for name in (a, b):
            rise = np.diff(walks[name][0], axis=0).max()
            numbers.append(study.at_most(f"{name}, {side}: largest rise of a weight", 0.0, rise))
    for name, rate, rows in ((gradient, 0.03, 3), (cure, 0.1, 4)):
        what = f"lr {rate}, bad weights: rows right after 50 epochs"
        numbers.append(study.same(what, rows, int(4 * decisions[bad][name][50])))

    ask = partial(check.gradient, loss)
    doctors = {
        f"{name}, for {gate}": (code, partial(ask, partial(update, name), starts[good], x, t))
        for name, gate, code, t in (
            (a, "OR", "wrong_loss", t_or),
            (b, "OR", "wrong_loss", t_or),
            (c, "OR, right there by luck", "ok", t_or),
            (turned, "OR", "wrong_point", t_or),
            (c, "XOR", "wrong_point", t_xor),
            (gradient, "OR", "ok", t_or),
        )
    }
    options: dict[str, Any] = {"title": "A perceptron for OR", "x_label": "epoch", "log_x": True}
    pictures = {
        "Mean error over epochs. (c) lies on the gradient: for OR they are the same.": plot.curves(
            errors, y_label="mean |t - y|", **options
        ),
        "What the perceptron decides: (a) and (b) end by saying 0 to every row.": plot.curves(
            decisions, y_label="share of rows right", **options
        ),
    }
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
