"""The two-layer net of a course, and why dW2 = a1^T dscores / N.

CS231n's first assignment: (N, D) -> affine -> ReLU -> affine -> (N, C), softmax cross-entropy,

    a1 = max(0, X W1 + b1),   scores = a1 W2 + b2,   p = softmax(scores - row maximum)
    L  = -1/N sum_i log p_(i, y_i) + reg (sum W1^2 + sum W2^2)

trained on minibatches of 200 drawn with replacement, at a learning rate that is multiplied by 0.95
after every epoch of max(N / 200, 1) iterations; W ~ std N(0, 1), b = 0, predict = argmax.

The question was where dW2 = a1^T dscores / N + 2 reg W2 comes from:

    row i of the batch adds the outer product of its activation a1_i and its score error p_i - 1_i;
    the sum of N outer products is a matrix product, the transposed a1 times the score errors;
    and the mean in the loss is the 1 / N.

The fault that follows when the third line is forgotten: a gradient N times too large, against
which the penalty hardly counts. The cure is dscores / N once, at the top of the backward pass.

The numbers known are the course's, for its toy data; the picture shows the bundled digits. With 7
iterations an epoch, for CIFAR-10's 245, the course's rate of 0.001 has shrunk too soon for them.
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import study

from jaxnet import check, data, models, optim, plot, train

SCORES = [
    [-0.81233741, -1.27654624, -0.70335995],
    [-0.17129677, -1.18803311, -0.47310444],
    [-0.51590475, -1.01354314, -0.85042150],
    [-0.15419291, -0.48629638, -0.52901952],
    [-0.00618733, -0.12435261, -0.15226949],
]
"""The course's scores for its toy net and data."""


def loss(params: Any, x: Any, y: Any, reg: float) -> Any:
    """The loss as the course writes it."""
    first, second = params
    scores = jnp.maximum(0, x @ first["w"] + first["b"]) @ second["w"] + second["b"]
    log_p = jax.nn.log_softmax(scores, axis=1)
    data_loss = -jnp.mean(log_p[jnp.arange(len(y)), y])
    return data_loss + reg * (jnp.sum(first["w"] ** 2) + jnp.sum(second["w"] ** 2))


def backward(params: Any, x: Any, y: Any, reg: float, n: int | None = None) -> Any:
    """The gradient by hand; n = 1 forgets to divide by the number of rows."""
    first, second = params
    a1 = jnp.maximum(0, x @ first["w"] + first["b"])
    p = jax.nn.softmax(a1 @ second["w"] + second["b"], axis=1)
    dscores = (p - jax.nn.one_hot(y, p.shape[1])) / (n or len(y))
    da1 = (dscores @ second["w"].T) * (a1 > 0)
    return [
        {"w": x.T @ da1 + 2 * reg * first["w"], "b": da1.sum(axis=0)},
        {"w": a1.T @ dscores + 2 * reg * second["w"], "b": dscores.sum(axis=0)},
    ]


def toy() -> tuple[Any, Any, Any]:
    """The course's toy net and data, from NumPy's legacy generators."""
    draw = np.random.RandomState(0)
    w1, w2 = (0.1 * draw.randn(*shape) for shape in ((4, 10), (10, 3)))
    params = [{"w": w1, "b": np.zeros(10)}, {"w": w2, "b": np.zeros(3)}]
    return params, 10 * np.random.RandomState(1).randn(5, 4), np.array([0, 1, 2, 2, 1])


def on_digits(rate: float, epochs: int) -> dict[str, np.ndarray]:
    """The history of a run on the bundled digits, pixels from 0 to 255 less their means."""
    part, held_out = data.split(data.digits(), 0.2, seed=0)
    mean = part.x.mean(axis=0)
    batch, validation = ((16 * (d.x - mean), d.t) for d in (part, held_out))
    per_epoch = max(len(part.x) // 200, 1)
    rule = optim.gd(optax.exponential_decay(rate, per_epoch, 0.95, staircase=True))
    return train.fit(
        models.two_layer_net(64, 50, 10, l2=0.1), rule, batch, steps=epochs * per_epoch,
        batch_size=200, sampling="with_replacement", validation=validation,
        evaluate_every=per_epoch, progress=False,
    ).history  # fmt: skip


def run(quick: bool) -> study.Study:
    """Check the course's numbers, answer its question, and train on digits."""
    params, x, y = toy()
    model = models.two_layer_net(4, 10, 3, l2=0.05)
    value, grads = jax.jit(model.value_and_grad)(params, (x, y))
    scores = model.apply(params, x)
    a1 = np.maximum(0, x @ params[0]["w"])
    errors = jax.nn.softmax(scores) - np.eye(3)[y]
    outer = sum(np.outer(a, e) for a, e in zip(a1, errors, strict=True)) / len(x)
    off = np.abs(grads[1]["w"] - 2 * 0.05 * params[1]["w"] - outer).max()
    ask = partial(check.gradient, loss)
    sick = ask(partial(backward, n=1), params, x, y, 0.0)
    off_differences = max(leaf.hand_differences for leaf in check.agreement(model, params, (x, y)))
    rates, epochs = ((1e-2,), 20) if quick else ((1e-2, 1e-3), 100)
    histories = {f"rate {rate:g}": on_digits(rate, epochs) for rate in rates}
    ours, *course = (history["validation_accuracy"][-1] for history in histories.values())
    numbers = [
        *study.all_near("score of row {}, class {}", SCORES, scores, 1e-8),
        study.near("loss with reg 0.05", 1.30378789133, value, 1e-11),
        study.at_most("dW2 less its penalty, off the sum of outer products", 1e-15, off),
        study.near("the doctor's factor, N", 5, sick.findings[0].evidence["factor"], 1e-6),
        study.at_most("gradient off differences, relative", 1e-8, off_differences),
        study.at_least("held-out accuracy on digits, rate 0.01", 0.95, ours),
        *(study.at_most("held-out accuracy on digits, rate 0.001", 0.9, rate) for rate in course),
    ]
    doctors: study.Doctors = {
        "the gradient without 1 / N, reg = 0": ("scale", lambda: sick),
        "the right gradient, reg = 0.05": ("ok", partial(ask, backward, params, x, y, 0.05)),
    }
    caption = "Training begins on a plateau; a rate of 0.001 shrinks too soon to leave it."
    figure = plot.training_curves(histories, title="The bundled digits, 64-50-10")
    return study.Study(numbers, doctors, {caption: figure})


if __name__ == "__main__":
    sys.exit(study.main(run))
