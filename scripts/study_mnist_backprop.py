"""Matrix-based backpropagation on MNIST, and a transpose too many.

A [784, 30, 10] network, sigma everywhere, quadratic cost 1/2 |a - y|^2 averaged over minibatches
of 10, W and b from N(0, 1), a learning rate of 3.0, 30 epochs, shuffled in every epoch. The
examples of a minibatch are the rows of one matrix, W_l is (n_l, n_(l-1)), and backwards

    delta_L = (a_L - y) / n * sigma'(z_L)
    delta_l = (delta_(l+1) W_(l+1)) * sigma'(z_l)
    dW_l    = delta_l^T a_(l-1)

The fault: delta^T where delta belongs, when a recursion for columns is rewritten for rows. Shapes
should object, but a minibatch of 10 rows has as many rows as the network has outputs, so delta is
square and delta^T fits as well. The error of example i at output k then goes to example k's
weights of output i; the weights' gradient is mixed, and the accuracy ends at 9 to 10 %, that of
guessing.

The cure is the recursion above. (Another minibatch size, say 8, would have given it away.)

MNIST is read from the folder with its four IDX files that JAXNET_MNIST names. Without it, and in
the quick form, the study takes the bundled 8x8 digits, which show fault and cure as well.
"""

import os
import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import study

from jaxnet import check, data, models, optim, plot, train
from jaxnet.layers import normal

BATCH = 10


def loss(params: Any, x: Any, y: Any) -> Any:
    """The quadratic cost, averaged over the rows."""
    a = x
    for layer in params:
        a = jax.nn.sigmoid(a @ layer["w"] + layer["b"])
    return jnp.mean(jnp.sum((a - y) ** 2, axis=1)) / 2


def backward(params: Any, x: Any, y: Any, turned: bool = False) -> Any:
    """Backpropagation in matrices; `turned` takes delta^T for delta."""
    first, second = params
    a1 = jax.nn.sigmoid(x @ first["w"] + first["b"])
    a2 = jax.nn.sigmoid(a1 @ second["w"] + second["b"])
    delta2 = (a2 - y) / len(x) * a2 * (1 - a2)
    if turned:
        delta2 = delta2.T
    delta1 = delta2 @ second["w"].T * a1 * (1 - a1)
    return [
        {"w": x.T @ delta1, "b": delta1.sum(axis=0)},
        {"w": a1.T @ delta2, "b": delta2.sum(axis=0)},
    ]


def transposed(params: Any, x: Any, y: Any) -> Any:
    """The faulty gradient."""
    return backward(params, x, y, turned=True)


def images(quick: bool) -> tuple[data.Dataset, data.Dataset, str]:
    """MNIST, if there is a folder with it, else the bundled digits: both parts and the name."""
    folder = os.environ.get("JAXNET_MNIST")
    if folder and not quick:
        return *data.mnist(folder), "MNIST"
    part, held_out = data.split(data.digits(), 0.2, seed=0)
    return part._replace(x=part.x / 16), held_out._replace(x=held_out.x / 16), "bundled digits"


def run(quick: bool) -> study.Study:
    """Train with the faulty recursion and with the right one."""
    part, held_out, name = images(quick)
    batches = [(d.x, data.one_hot(d.t, 10)) for d in (part, held_out)]
    sizes = [part.x.shape[1], 30, 10]
    model = models.mlp(
        sizes, "sigmoid", "half_squared_error", output="sigmoid", w_init=normal(), b_init=normal()
    )

    def faulty(params: Any, batch: Any, key: Any = None) -> Any:
        return loss(params, *batch), transposed(params, *batch)

    epochs = 30
    runs = {
        side: train.fit(
            trained, optim.gd(3.0), batches[0], steps=epochs * (len(part.x) // BATCH),
            batch_size=BATCH, key=jax.random.key(1), validation=batches[1], progress=False,
        )
        for side, trained in (("delta^T", model._replace(value_and_grad=faulty)), ("delta", model))
    }  # fmt: skip
    accuracy = {side: result.history["validation_accuracy"] for side, result in runs.items()}
    start = model.init(jax.random.key(0))
    x, y = (array[:BATCH] for array in batches[0])
    numbers = [
        study.near(f"{name}: test accuracy with delta^T", 0.1, accuracy["delta^T"][-1], 0.015),
        study.near(f"{name}: test accuracy with delta", 0.95, accuracy["delta"][-1], 0.015),
    ]
    figure = plot.curves(
        {"": {side: (range(1, 1 + epochs), values) for side, values in accuracy.items()}},
        title=f"{name}, {sizes[0]}-30-10", x_label="epoch", y_label="test accuracy",
    )  # fmt: skip
    doctors = {
        "the recursion with delta^T": (
            "transpose",
            partial(check.gradient, loss, transposed, start, x, y),
        ),
        "the recursion with delta": ("ok", partial(check.gradient, loss, backward, start, x, y)),
    }
    return study.Study(numbers, doctors, {"Test accuracy after every epoch.": figure})


if __name__ == "__main__":
    sys.exit(study.main(run, double=False))
