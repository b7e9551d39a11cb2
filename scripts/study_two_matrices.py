"""Two matrices without a bias, in NumPy, by hand and by jax.grad.

The classic exercise: x (64, 1000), y (64, 10), 100 hidden units, everything from N(0, 1),

    h = x w1,   y_pred = max(h, 0) w2,   L = sum (y_pred - y)^2,

500 steps at a learning rate of 1e-6. Backwards, from the loss to the inputs,

    dy  = 2 (y_pred - y)
    dw2 = max(h, 0)^T dy
    dh  = dy w2^T, and 0 where h < 0
    dw1 = x^T dh

The fault, easily made: no mask. The loss falls as well as it should, so its curve tells nothing.

The cure is the mask. Then NumPy, jaxnet's gradient by hand and jax.grad take the same 500 steps,
to the last few bits of float64. The gradients agree as closely while the loss is large. When
y_pred comes near y, leading digits cancel: a residual 1e4 times shorter than y lacks 4 digits.
"""

import sys
from functools import partial
from typing import Any

import jax
import numpy as np
import study

from jaxnet import check, models, plot

RATE, EPS = 1e-6, np.finfo(np.float64).eps


def loss(p: Any, x: Any, y: Any) -> Any:
    """The sum of squares, for NumPy and for JAX."""
    h = x @ p["w1"]
    return (((h * (h > 0)) @ p["w2"] - y) ** 2).sum()


def backward(p: Any, x: Any, y: Any, masked: bool = True) -> Any:
    """The gradient as in the exercise, for NumPy and for JAX."""
    h = x @ p["w1"]
    relu = h * (h > 0)
    dy = 2 * (relu @ p["w2"] - y)
    dh = dy @ p["w2"].T
    return {"w1": x.T @ (dh * (h > 0) if masked else dh), "w2": relu.T @ dy}


unmasked = partial(backward, masked=False)
"""The same with the fault."""


def by_hand(model: models.Model, x: Any, y: Any, p: Any) -> Any:
    """The gradient from jaxnet's model, whose loss is the mean over the rows."""
    _, (first, second) = model.value_and_grad([{"w": p["w1"]}, {"w": p["w2"]}], (x, y))
    return {"w1": len(x) * first["w"], "w2": len(x) * second["w"]}


def point(n: int, n_in: int, hidden: int, n_out: int) -> Any:
    """Parameters, inputs and targets from N(0, 1)."""
    draw = np.random.default_rng(0).standard_normal
    p = {"w1": draw((n_in, hidden)), "w2": draw((hidden, n_out))}
    return p, draw((n, n_in)), draw((n, n_out))


def apart(a: Any, b: Any) -> float:
    """The largest difference of two trees, in units of the last bit of a leaf's largest entry."""
    off = (np.abs(a[k] - b[k]).max() / np.abs(b[k]).max() for k in b)
    return float(max(off) / EPS)


def run(quick: bool) -> study.Study:
    """Three runs side by side, and a fourth without the mask."""
    steps = 100 if quick else 500
    start, x, y = point(64, 1000, 100, 10)
    model = models.mlp([1000, 100, 10], "relu", "squared_error", bias=False)
    here = partial(loss, x=x, y=y)
    witnesses = {
        "jaxnet by hand": jax.jit(partial(by_hand, model, x, y)),
        "jax.grad": jax.jit(jax.grad(here)),
    }
    losses, p = {"NumPy": np.zeros(steps)}, start
    off = {name: np.zeros((steps, 2)) for name in witnesses}
    for i in range(steps):
        losses["NumPy"][i], g = here(p), backward(p, x, y)
        after = study.stepped(p, g, RATE)
        for name, gradient in witnesses.items():
            other = jax.device_get(gradient(p))
            off[name][i] = apart(other, g), apart(study.stepped(p, other, RATE), after)
        p = after

    wrong = study.descent(here, lambda p: unmasked(p, x, y), start, RATE, steps)[1]
    size = (y**2).sum()
    numbers = [study.at_most("no mask: last loss over the first", 1e-4, wrong[-1] / wrong[0])]
    for name, gradient in witnesses.items():
        end, losses[name] = study.descent(here, gradient, start, RATE, steps)
        # Lengths of the residual, as far as the predictions, which are of the size of y, tell it.
        lengths = np.abs(np.sqrt(losses[name] / size) - np.sqrt(losses["NumPy"] / size))
        first, most, end_off = off[name][0, 0], off[name][:, 1].max(), apart(end, p) * EPS
        numbers += [
            study.at_most(f"{name}: first gradient off NumPy's, last bits", 32, first),
            study.at_most(f"{name}: any of {steps} steps off, last bits", 4, most),
            study.at_most(f"{name}: weights after a whole run, relative", 1e-12, end_off),
            study.at_most(f"{name}: |y_pred - y| / |y| in it, relative", 1e-12, lengths.max()),
        ]
    ask, small = partial(check.gradient, loss), point(8, 20, 10, 4)
    shrinking = np.sqrt(size / losses["NumPy"])
    doctors = {
        "the gradient without the mask": ("dropped_derivative", partial(ask, unmasked, *small)),
        "the gradient": ("ok", partial(ask, backward, *small)),
    }
    pictures = {
        "Three of the curves are one; the faulty fourth looks no worse.": plot.curves(
            {"": {**losses, "without the mask": wrong}}, title="Two matrices", log_y=True
        ),
        "Gradients off NumPy's. They lose digits as the residual does.": plot.curves(
            {"": {name: o[:, 0] for name, o in off.items()} | {"|y| / |y_pred - y|": shrinking}},
            title="Difference over the gradient's largest entry", y_label="last bits", log_y=True,
        ),
    }  # fmt: skip
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
