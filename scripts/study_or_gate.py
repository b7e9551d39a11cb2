"""A perceptron for OR, three updates that are no gradient.

Two weights without a bias, W (2, 1), learn the truth table of OR from all four rows at once:

    y = sigma(X W),   L = 1/2 sum_i (t_i - y_i)^2,   dL/dW = X^T ((y - t) y (1 - y))

W is drawn from NumPy's RandomState(0).uniform. Without a bias y is 1/2 for the row 0 0 whatever
the weights, so "1 if y > 1/2" is right on every row once both weights are positive.

The faults, with e = (t - y)^2 where the error t - y belongs:

    (a)  W -= lr X^T e                     the squared error itself, which has no sign
    (b)  W -= lr X^T (2 e e y (1 - y))     the squared error as the error, twice
    (c)  W += lr X^T (d d (1 - d))         d = t - y: the sigmoid's slope at the error, not at y

With (a) and (b) weights can only fall: the net breaks if it is trained for long enough. (c), the
answer that was published, is the right gradient here by luck: where t is 1, d = 1 - y, and so d (1
- d) = y (1 - y); the only row with t = 0 has no inputs. With XOR, or any table with a 0 beside an
input, the luck is gone.

The cure is the gradient above, at a learning rate of 0.1.
"""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study

from jaxnet import check, data, plot

Gradient = Callable[[Any, Any, Any], Any]


def loss(w: Any, x: Any, t: Any) -> Any:
    """Half the squared error, summed over the rows."""
    y = jax.nn.sigmoid(x @ w)
    return jnp.sum((t - y) ** 2) / 2


def right(w: Any, x: Any, t: Any) -> Any:
    """The gradient."""
    y = jax.nn.sigmoid(x @ w)
    return x.T @ ((y - t) * y * (1 - y))


def squared_error(w: Any, x: Any, t: Any) -> Any:
    """(a): the squared error itself."""
    return x.T @ (t - jax.nn.sigmoid(x @ w)) ** 2


def error_twice(w: Any, x: Any, t: Any) -> Any:
    """(b): the squared error for the error, in both factors."""
    y = jax.nn.sigmoid(x @ w)
    e = (t - y) ** 2
    return x.T @ (2 * e * e * y * (1 - y))


def slope_at_error(w: Any, x: Any, t: Any) -> Any:
    """(c): the sigmoid's slope at the error."""
    d = t - jax.nn.sigmoid(x @ w)
    return -x.T @ (d * d * (1 - d))


UPDATES: dict[str, tuple[Gradient, float]] = {
    "(a) squared error": (squared_error, 0.03),
    "(b) squared error twice": (error_twice, 0.03),
    "(c) slope at the error": (slope_at_error, 0.03),
    "the gradient": (right, 0.03),
    "the gradient, lr 0.1": (right, 0.1),
}


def descend(gradient: Gradient, rate: float, w: Any, x: Any, t: Any, epochs: int) -> Any:
    """The weights, mean |t - y| and share of rows decided rightly before every epoch."""

    def epoch(w: Any, _: Any) -> Any:
        y = jax.nn.sigmoid(x @ w)
        decided = ((y > 0.5) == (t > 0.5)).mean()
        return w - rate * gradient(w, x, t), (w, jnp.abs(t - y).mean(), decided)

    return jax.lax.scan(epoch, w, length=epochs)[1]


def run(quick: bool) -> study.Study:
    """Run every update from good and from bad weights, and show all of them to the doctor."""
    targets = {gate: data.truth_table(gate).t[:, None].astype(float) for gate in ("or", "xor")}
    x, t = data.truth_table("or").x, targets["or"]
    sides = "from W = RandomState(0).uniform", "from W = [[-1], [1]]"
    starts = np.array([np.random.RandomState(0).uniform(size=(2, 1)), [[-1.0], [1.0]]])

    @jax.jit
    def walk(starts: Any) -> Any:
        return {
            name: jax.vmap(lambda w, g=g, r=r: descend(g, r, w, x, t, epochs=3000))(starts)
            for name, (g, r) in UPDATES.items()
        }

    walks = walk(starts)
    weights, errors, decisions = (
        {side: {name: walks[name][part][i] for name in walks} for i, side in enumerate(sides)}
        for part in range(3)
    )
    a, b, c, gradient, cure = UPDATES
    doctors = {
        f"{name}, for {gate.upper()}": check.gradient(
            loss, UPDATES[name][0], starts[0], x, targets[gate]
        )
        for name, gate in ((a, "xor"), (b, "xor"), (c, "xor"), (c, "or"), (gradient, "or"))
    }
    codes = ("wrong_loss", "wrong_loss", "wrong_point", "ok", "ok")
    bad = sides[1]
    numbers = [
        study.named(shown, code, doctors[shown]) for shown, code in zip(doctors, codes, strict=True)
    ]
    for name in (a, b):
        rises = np.diff(weights[bad][name], axis=0).max()
        numbers.append(study.at_most(f"{name}: largest rise of a weight", 0.0, rises))
    for side in sides:
        numbers += [
            study.same(
                f"{name}, {side}: rows right at the end", rows, 4 * decisions[side][name][-1]
            )
            for name, rows in ((a, 1), (b, 1), (c, 4), (gradient, 4))
        ]
    numbers += [
        study.same(
            "lr 0.03, bad weights: rows right after 50 epochs", 3, 4 * decisions[bad][gradient][50]
        ),
        study.same(
            "lr 0.1, bad weights: rows right after 50 epochs", 4, 4 * decisions[bad][cure][50]
        ),
    ]
    pictures = {
        "Mean error over epochs. (c) lies on the gradient: for OR they are the same.": plot.curves(
            errors, title="A perceptron for OR", x_label="epoch", y_label="mean |t - y|", log_x=True
        ),
        "What the perceptron decides: (a) and (b) end by saying 0 to every row.": plot.curves(
            decisions, title="A perceptron for OR", x_label="epoch", y_label="share of rows right",
            log_x=True,
        ),
    }  # fmt: skip
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
