"""Landscapes: a surface, many starts, and other ways down.

A net of two weights, y = sigma(X s) with X = [[0, 1], [0, 1], [1, 0], [1, 0]] and the targets
0, 0, 1, 1, has a loss that can be drawn, 1/2 sum (y - t)^2 over both weights from -10 to 10, with the
way that gradient descent at alpha = 1 takes from 2 rand - 1 in 10,000 iterations. There is one valley,
and it is flat: the sigmas saturate and the way gets slow, not wrong.

The fault to look for on other landscapes: to trust one start. A ball that rolls down a curve ends in
the minimum whose basin it starts in: f(x) = x^2 / 20 + sin 3x has seven, and only one is the lowest.
Is the 3-4-1 network for XOR like that? Hundreds of its starts are trained at once to see: nearly all
of them solve it, so there it is enough to wait.

The cure, where it is needed, is more starts, or another method. All that the tutorial of the thirteen
lines names and leaves to the reader are in the zoo, and run here from its start. Its list of future
work, bias units, minibatches, clipping, other sizes, regularisation, dropout, DropConnect, momentum
and batch normalisation, is one network at the end; a GPU is used where JAX finds one.
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
    return jax.device_get(jax.jit(lambda s: jax.lax.scan(step, s, length=10_000)[1])(start))


def surface(a: Any, b: Any) -> Any:
    """The same loss, for arrays of weights."""
    first, last = jax.nn.sigmoid(b), jax.nn.sigmoid(a)  # of rows [0, 1] and of rows [1, 0]
    return first**2 + (1 - last) ** 2


def curve(x: Any) -> Any:
    """A curve with many minima."""
    return x**2 / 20 + jnp.sin(3 * x)


def balls(starts: Any) -> Any:
    """Where gradient descent ends, from each of the starts; f' = x / 10 + 3 cos 3x."""
    slope = lambda x: x / 10 + 3 * jnp.cos(3 * x)  # noqa: E731
    return jax.lax.fori_loop(0, 5000, lambda _, x: x - 0.01 * slope(x), starts)


def many_starts(count: int, steps: int) -> Any:
    """Mean |y - t| of the H = 4 network after training from each of `count` starts."""
    model = network(4, w_init=layers.uniform(-1.0, 1.0))

    def one(key: Any) -> Any:
        def step(p: Any, _: Any) -> tuple[Any, None]:
            grads = model.value_and_grad(p, (X, Y))[1]
            return jax.tree.map(lambda p, g: p - 10 * len(X) * g, p, grads), None

        p, _ = jax.lax.scan(step, model.init(key), length=steps)
        return jnp.abs(model.apply(p, X) - Y).mean()

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), count))


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
    return float(train.accuracy(model, result.params, (X, Y)))


def run(quick: bool) -> study.Study:
    """All landscapes."""
    path, outputs = two_weights()
    starts = np.sort(np.random.default_rng(0).uniform(-8, 8, 100))
    ends = np.asarray(balls(starts))
    slopes = np.abs(ends / 10 + 3 * np.cos(3 * ends)).max()
    lowest = ends[np.argmin(curve(ends))]
    errors = np.asarray(many_starts(100 if quick else 500, 2_000 if quick else 10_000))
    runs = methods(300 if quick else 2000)
    worst = {n: r for n, r in runs.items()}
    for n, r in runs.items(): print(n, r.history["loss"][0], r.history["loss"][-1])
    print(outputs[-1], slopes, lowest, (errors<.05).mean(), (errors>.1).sum(), np.mean(np.abs(ends-lowest)<.01), len(np.unique(np.round(ends,2))), np.unique(np.round(ends,2)))
    print(future_work(500))
    return study.Study([],{},{})


if __name__ == "__main__":
    sys.exit(study.main(run))
