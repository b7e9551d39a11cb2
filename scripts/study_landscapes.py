"""Landscapes: a surface, a hundred balls, and hundreds of starts.

A net of two weights, y = sigma(X s) with X = [[0, 1], [0, 1], [1, 0], [1, 0]] and the targets 0,
0, 1, 1, has a loss that can be drawn, 1/2 sum (y - t)^2 over both weights from -10 to 10, with the
way that gradient descent at alpha = 1 takes from 2 rand - 1 in 10,000 iterations. There is one
valley, and it is flat: the sigmas saturate and the way gets slow, not wrong.

The fault: to trust one start. A ball that rolls down a curve ends in the minimum whose basin it
starts in; x^2 / 20 + sin 3x has nine of them between -9 and 9, and only one is the lowest. The
3-4-1 network for XOR looks harmless: gradient descent at alpha = 10 solves it from every one of
hundreds of starts. BFGS and L-BFGS, so much faster, solve it from about seven in ten: first
long steps carry the others to where sigmas are saturated, and a row is at 1/2 for good.

The cure is more starts, or another method.
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study
from thirteen_lines import X, Y

from jaxnet import layers, models, optim, plot


def two_weights() -> Any:
    """The path of the two weights with the loss on it, and the outputs in the last iteration."""
    x, t = np.array([[0.0, 1], [0, 1], [1, 0], [1, 0]]), np.array([[0.0], [0], [1], [1]])

    def step(s: Any) -> tuple[Any, Any]:
        y = jax.nn.sigmoid(x @ s)
        loss = ((y - t) ** 2).sum() / 2
        return s - x.T @ ((y - t) * y * (1 - y)), (jnp.append(s[:, 0], loss), y[:, 0])

    start = 2 * np.random.RandomState(1).random_sample((2, 1)) - 1
    return study.descend(step, start, length=10_000)[1]


def surface(a: Any, b: Any) -> Any:
    """The same loss, for arrays of weights."""
    first, last = jax.nn.sigmoid(b), jax.nn.sigmoid(a)  # of rows [0, 1] and of rows [1, 0]
    return first**2 + (1 - last) ** 2


def curve(x: Any) -> Any:
    """A curve with many minima."""
    return x**2 / 20 + jnp.sin(3 * x)


def balls(starts: Any) -> Any:
    """Where gradient descent ends, from each of the starts; f' = x / 10 + 3 cos 3x."""
    return jax.lax.fori_loop(0, 5000, lambda _, x: x - 0.01 * (x / 10 + 3 * jnp.cos(3 * x)), starts)


def many_starts(count: int, most: int) -> Any:
    """Mean |y - t| of the H = 4 network after training from each of `count` starts, by method."""
    model = models.mlp(
        [3, 4, 1], "sigmoid", "half_squared_error", output="sigmoid", bias=False,
        w_init=layers.uniform(-1.0, 1.0),
    )  # fmt: skip

    starts = jax.jit(jax.vmap(model.init))(jax.random.split(jax.random.key(0), count))
    # The loss is the mean over the rows, and alpha = 10 belongs to the sum.
    ways = {
        "gradient descent": (optim.gd(10.0 * len(X)), most),
        "BFGS": (optim.bfgs(), 500),
        "L-BFGS": (optim.lbfgs(), 500),
    }

    def error(rule: Any, steps: int, start: Any) -> Any:
        end = optim.minimize(
            lambda p: model.loss(p, (X, Y)), start, rule, tolerance=1e-9, max_steps=steps
        ).x
        return jnp.abs(model.apply(end, X) - Y).mean()

    return {
        name: jax.device_get(jax.jit(jax.vmap(partial(error, *way)))(starts))
        for name, way in ways.items()
    }


def run(quick: bool) -> study.Study:
    """All landscapes."""
    path, outputs = two_weights()
    starts = np.sort(np.random.default_rng(0).uniform(-8, 8, 100))
    ends = np.asarray(balls(starts))
    slopes = np.abs(ends / 10 + 3 * np.cos(3 * ends)).max()
    errors = many_starts(100 if quick else 500, 3_000 if quick else 10_000)
    solved = {name: float((e < 0.05).mean()) for name, e in errors.items()}

    known = (0.00505119, 0.00505119, 0.99494905, 0.99494905)
    numbers = [
        *study.all_near("two weights: output of row {}", known, outputs[-1], 5e-9),
        study.at_most("balls: steepest slope where they end", 1e-9, slopes),
        study.same("balls: minima they end in", 9, len(np.unique(np.round(ends, 2)))),
        study.at_least("starts solved by gradient descent", 0.99, solved["gradient descent"]),
        study.at_most("starts solved by BFGS", 0.9, solved["BFGS"]),
        study.at_most("starts solved by L-BFGS", 0.9, solved["L-BFGS"]),
    ]
    x, w = np.linspace(-9, 9, 600), np.linspace(-10, 10, 81)
    count = len(errors["BFGS"])
    shares = np.arange(count) / count
    pictures = {
        "Every loss on the way of the two weights, from above and in space.": plot.surface(
            w, w, surface(*np.meshgrid(w, w)), path,
            x_label="weight of input 1", y_label="weight of input 2",
        ),
        "A hundred balls: each in the colour of the minimum that it finds.": plot.basins(
            x, curve(x), starts, ends, title="x^2 / 20 + sin 3x"
        ),
        f"Errors of {count} networks in rising order (at least 1e-6).": plot.curves(
            {"": {n: (shares, np.sort(np.maximum(e, 1e-6))) for n, e in errors.items()}},
            x_label="share of the starts", y_label="mean |y - t|", log_y=True,
        ),
    }  # fmt: skip
    return study.Study(numbers, {}, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
