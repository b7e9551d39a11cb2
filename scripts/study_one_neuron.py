"""One neuron, averaged too early.

One sigmoid unit with m inputs and one bias learns to tell two Gaussians apart by the squared
error,

    y = sigma(x . a + b),   L = 1/n sum_i (t_i - y_i)^2

from batches of 8 rows: a fair coin draws the class of a row, and one of its samples is picked with
replacement. A batch is divided by its largest entry. a and b start uniform in (0, 1).

The fault: the update multiplies three means over the batch, and leaves out the 2,

    mean(t - y) * mean(y (1 - y)) * mean(x_j).

A product of means is not the mean of products: it forgets which x belongs to which error. Once the
errors are 0 on average, all that is left is how the means of a batch of n rows vary together by
chance, which is 1/n of the gradient. So the neuron seems to learn, far too slowly.

The cure is the chain rule for every row first, and the mean last:

    dL/da_j = -2/n sum_i (t_i - y_i) y_i (1 - y_i) x_ij
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study

from jaxnet import check, data, models, optim, plot, train

M, BATCH, RATE = 4, 8, 1e-3
RULES = {
    "SGD": optim.gd(RATE),
    "SGD+ (momentum 0.9)": optim.momentum(RATE, 0.9),
    "Adam": optim.adam(RATE),
}


def loss(params: Any, x: Any, t: Any) -> Any:
    """The neuron's mean squared error."""
    y = jax.nn.sigmoid(x @ params[0]["w"] + params[0]["b"])
    return jnp.mean((t - y) ** 2)


def averaged_too_early(params: Any, x: Any, t: Any) -> Any:
    """The faulty gradient: three means multiplied."""
    y = jax.nn.sigmoid(x @ params[0]["w"] + params[0]["b"])
    delta = -jnp.mean(t - y) * jnp.mean(y * (1 - y))
    return [{"w": delta * jnp.mean(x, axis=0)[:, None], "b": delta[None]}]


def of_batches_divided(model: models.Model, gradient: Any) -> models.Model:
    """The model on batches divided by their largest entry, with this gradient."""

    def value_and_grad(params: Any, batch: Any, key: Any = None) -> Any:
        x, t = batch
        x = x / jnp.max(x)
        return model.loss(params, (x, t)), gradient(params, x, t)

    return model._replace(value_and_grad=value_and_grad)


def run(quick: bool) -> study.Study:
    """Train with both gradients and three rules, and show both gradients to the doctor."""
    means = (np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    pool = data.two_gaussians(jax.random.key(3), 400, M, means=means, stds=(0.5, 1.0))
    # As many rows of each class, so that drawing a row is tossing a fair coin for the class.
    rows = np.concatenate([np.flatnonzero(pool.t == k)[:150] for k in (0, 1)])
    x, t = pool.x[rows], pool.t[rows, None].astype(float)
    model = models.one_neuron(M, w_init="uniform", b_init="uniform")

    def right(params: Any, x: Any, t: Any) -> Any:
        return model.value_and_grad(params, (x, t))[1]

    steps, every = (8_000 if quick else 40_000), 100
    start = model.init(jax.random.key(0))
    sides = {"averaged too early": averaged_too_early, "the mean of the products": right}
    rules = dict(list(RULES.items())[:1]) if quick else RULES
    losses: dict[str, dict[str, Any]] = {side: {} for side in sides}
    for side, gradient in sides.items():
        for rule, optimizer in rules.items():
            result = train.fit(
                of_batches_divided(model, gradient), optimizer, (x, t), steps=steps,
                batch_size=BATCH, sampling="with_replacement", key=jax.random.key(1),
                params=start, progress=False,
            )  # fmt: skip
            shown = result.history["loss"].reshape(-1, every).mean(axis=1)
            losses[side][rule] = (np.arange(1, 1 + len(shown)) * every, shown)

    wrong, cured = sides
    batch = x[::40][:BATCH], t[::40][:BATCH]
    x, t = batch[0] / batch[0].max(), batch[1]
    numbers = []
    for rule in rules:
        final = {side: np.mean(losses[side][rule][1][-10:]) for side in sides}
        ratio = final[cured] / final[wrong]
        numbers.append(study.at_most(f"{rule}: last loss, right over faulty", 0.95, ratio))
    figure = plot.curves(losses, title="One neuron on two Gaussians", x_label="iteration")
    pictures = {"Mean loss of every 100 iterations: the faulty update beside the gradient.": figure}
    doctors = {
        "the product of three means": (
            "premature_average", partial(check.gradient, loss, averaged_too_early, start, x, t)
        ),
        "the mean of the products": ("ok", partial(check.gradient, loss, right, start, x, t)),
    }  # fmt: skip
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
