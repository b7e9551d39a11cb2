"""Landscapes: a surface, many starts, and other ways down.

A net of two weights, y = sigma(X s) with X = [[0, 1], [0, 1], [1, 0], [1, 0]] and the targets 0,
0, 1, 1, has a loss that can be drawn, 1/2 sum (y - t)^2 over both weights from -10 to 10, with the
way that gradient descent at alpha = 1 takes from 2 rand - 1 in 10,000 iterations. There is one
valley, and it is flat: the sigmas saturate and the way gets slow, not wrong.

The fault: to trust one start. A ball that rolls down a curve ends in the minimum whose basin it
starts in; x^2 / 20 + sin 3x has nine of them between -9 and 9, and only one is the lowest. The
3-4-1 network for XOR looks harmless: gradient descent at alpha = 10 solves it from every one of
hundreds of starts, trained at once. BFGS and L-BFGS, so much faster, solve it from two starts in
three. Their first long steps carry the others to where sigmas are saturated and one row stays at
1/2 for good; the start of the thirteen lines is one of those.

The cure is more starts, or another method. All methods that the tutorial of the thirteen lines
names and leaves to the reader are in the zoo, and run here from its start. Its list of future
work, bias units, minibatches, clipping, other sizes, regularisation, dropout, DropConnect,
momentum and batch normalisation, is one network here; and a GPU is used where JAX finds one.
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study

from jaxnet import layers, models, optim, plot, train

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "annealing": (optim.simulated_annealing(0.3, key=jax.random.key(5)), {}),
    "stochastic gradient descent": (optim.gd(2.0), {"batch_size": 1}),
    "AW-SGD": (optim.aw_sgd(2.0, examples=4), {"batch_size": 1, "sampling": "learned"}),
    "momentum": (optim.momentum(2.0, 0.9), {}),
    "Nesterov momentum": (optim.nesterov(2.0, 0.9), {}),
    "AdaGrad": (optim.adagrad(0.5), {}),
    "AdaDelta": (optim.adadelta(10.0), {}),
    "Adam": (optim.adam(0.05), {}),
    "BFGS": (optim.bfgs(), {}),
    "L-BFGS": (optim.lbfgs(), {}),
}
"""What the tutorial lists and leaves to the reader."""


def network(hidden: int, **options: Any) -> models.Model:
    """The 3-H-1 network of the thirteen lines; its loss is a mean over the four rows."""
    return models.mlp(
        [3, hidden, 1], "sigmoid", "half_squared_error", output="sigmoid", bias=False, **options
    )


def two_weights() -> tuple[Any, Any]:
    """The path of the two weights with the loss on it, and the outputs in the last iteration."""
    x, t = np.array([[0.0, 1], [0, 1], [1, 0], [1, 0]]), np.array([[0.0], [0], [1], [1]])

    def step(s: Any, _: Any) -> tuple[Any, Any]:
        y = jax.nn.sigmoid(x @ s)
        loss = ((y - t) ** 2).sum() / 2
        return s - x.T @ ((y - t) * y * (1 - y)), (jnp.append(s[:, 0], loss), y[:, 0])

    start = 2 * np.random.RandomState(1).random_sample((2, 1)) - 1
    path, outputs = jax.jit(lambda s: jax.lax.scan(step, s, length=10_000)[1])(start)
    return np.asarray(path), np.asarray(outputs)


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


def many_starts(count: int, steps: int) -> dict[str, Any]:
    """Mean |y - t| of the H = 4 network after training from each of `count` starts, by method."""
    model = network(4, w_init=layers.uniform(-1.0, 1.0))

    def descend(start: Any) -> Any:
        def step(p: Any, _: Any) -> tuple[Any, None]:
            grads = model.value_and_grad(p, (X, Y))[1]
            return jax.tree.map(lambda p, g: p - 10 * len(X) * g, p, grads), None

        return jax.lax.scan(step, start, length=steps)[0]

    def loss(p: Any) -> Any:
        return model.loss(p, (X, Y))

    ways = {
        "gradient descent": descend,
        "BFGS": lambda p: optim.minimize(loss, p, "bfgs", tolerance=1e-9, max_steps=500).x,
        "L-BFGS": lambda p: optim.minimize(loss, p, "lbfgs", tolerance=1e-9, max_steps=500).x,
    }
    starts = jax.vmap(model.init)(jax.random.split(jax.random.key(0), count))
    ends = {name: jax.jit(jax.vmap(way))(starts) for name, way in ways.items()}
    return {
        name: np.asarray(jnp.abs(jax.vmap(lambda p: model.apply(p, X))(p) - Y).mean(axis=(1, 2)))
        for name, p in ends.items()
    }


def methods(steps: int) -> dict[str, Any]:
    """The loss of every method from the start of the thirteen lines."""
    draw = np.random.RandomState(1)
    start = [2 * draw.random_sample(shape) - 1 for shape in ((3, 4), (4, 1))]
    model = network(4, w_init=start)
    return {
        name: train.fit(model, rule, (X, Y), steps=steps, progress=False, **options)
        for name, (rule, options) in METHODS.items()
    }


def future_work(steps: int) -> float:
    """The accuracy of a network with everything that the tutorial leaves for later."""
    net = layers.chain(
        layers.dropconnect(layers.dense(3, 32), 0.1),
        layers.batch_norm(32),
        layers.residual(layers.dense(32, 32, "tanh")),
        layers.dropout(0.1),
        layers.dense(32, 1),
    )
    model = models.from_layer(net, "sigmoid_cross_entropy", l2=1e-4)
    rows = np.tile(X, (16, 1)), np.tile(Y, (16, 1))
    result = train.fit(
        model, optim.momentum(0.05, 0.9), rows, steps=steps, batch_size=16, clip_norm=1.0,
        progress=False,
    )  # fmt: skip
    return float(train.accuracy(model, result.params, (jnp.asarray(X), jnp.asarray(Y))))


def run(quick: bool) -> study.Study:
    """All landscapes."""
    path, outputs = two_weights()
    starts = np.sort(np.random.default_rng(0).uniform(-8, 8, 100))
    ends = np.asarray(balls(starts))
    slopes = np.abs(ends / 10 + 3 * np.cos(3 * ends)).max()
    errors = many_starts(100 if quick else 500, 3_000 if quick else 10_000)
    solved = {name: float((e < 0.05).mean()) for name, e in errors.items()}
    runs = methods(300 if quick else 2000)

    lowest = {name: np.minimum.accumulate(r.history["loss"]) for name, r in runs.items()}
    known = (0.00505119, 0.00505119, 0.99494905, 0.99494905)
    numbers = [
        study.near(f"two weights: output of row {i}", k, y, 5e-9)
        for i, (k, y) in enumerate(zip(known, outputs[-1], strict=True))
    ]
    numbers += [
        study.at_most("balls: steepest slope where they end", 1e-9, slopes),
        study.same("balls: minima they end in", 9, len(np.unique(np.round(ends, 2)))),
        study.at_least("starts solved by gradient descent", 0.99, solved["gradient descent"]),
        study.at_most("starts solved by BFGS", 0.9, solved["BFGS"]),
        study.at_most("starts solved by L-BFGS", 0.9, solved["L-BFGS"]),
        study.same("accuracy with all of the future work", 1.0, future_work(500)),
    ]
    numbers += [
        study.at_most(f"{name}: lowest loss over the first", 0.999, losses[-1] / losses[0])
        for name, losses in lowest.items()
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
        "From the start of the thirteen lines: BFGS and L-BFGS lose a row.": plot.curves(
            {"": lowest},
            title="XOR by every method", y_label="lowest loss so far", log_x=True, log_y=True,
        ),
    }  # fmt: skip
    return study.Study(numbers, {}, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
