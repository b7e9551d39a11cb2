"""Two matrices without a bias, in NumPy, by hand and by jax.grad.

The classic exercise: x (64, 1000), y (64, 10), 100 hidden units, everything from N(0, 1),

    h = x w1,   y_pred = max(h, 0) w2,   L = sum (y_pred - y)^2,

500 steps at a learning rate of 1e-6. Backwards, from the loss to the inputs,

    dy  = 2 (y_pred - y)
    dw2 = max(h, 0)^T dy
    dh  = dy w2^T, and 0 where h < 0
    dw1 = x^T dh

The fault that is easily made: to leave out the mask. The loss falls as well as it should, here even
a little lower, so its curve tells nothing: only a look at the gradient does.

The cure is the mask. Then NumPy, jaxnet's gradient by hand and jax.grad take the same 500 steps,
to the last few bits of float64. The gradients agree as closely while the loss is large. When
y_pred comes near y, leading digits cancel: a residual 1e4 times shorter than y lacks 4 digits.
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study

from jaxnet import check, models, plot

RATE, EPS = 1e-6, np.finfo(np.float64).eps


def loss(p: Any, x: Any, y: Any) -> Any:
    """The sum of squares."""
    return jnp.sum((jnp.maximum(x @ p["w1"], 0) @ p["w2"] - y) ** 2)


def backward(p: Any, x: Any, y: Any, masked: bool = True) -> tuple[Any, Any]:
    """The loss and its gradient, as in the exercise, for NumPy and for JAX."""
    h = x @ p["w1"]
    relu = h * (h > 0)
    dy = 2 * (relu @ p["w2"] - y)
    dh = dy @ p["w2"].T
    if masked:
        dh = dh * (h > 0)
    return (dy**2).sum() / 4, {"w1": x.T @ dh, "w2": relu.T @ dy}


unmasked = partial(backward, masked=False)
"""The same with the fault."""


def by_hand(model: models.Model, p: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The same from jaxnet's model, whose loss is the mean over the rows."""
    value, (first, second) = model.value_and_grad([{"w": p["w1"]}, {"w": p["w2"]}], (x, y))
    return len(x) * value, {"w1": len(x) * first["w"], "w2": len(x) * second["w"]}


def point(n: int, n_in: int, hidden: int, n_out: int) -> Any:
    """Parameters, inputs and targets from N(0, 1)."""
    draw = np.random.default_rng(0).standard_normal
    p = {"w1": draw((n_in, hidden)), "w2": draw((hidden, n_out))}
    return p, draw((n, n_in)), draw((n, n_out))


def apart(a: Any, b: Any) -> float:
    """The largest difference of two trees, in units of the last bit of a leaf's largest entry."""
    off = (np.abs(a[k] - b[k]).max() / np.abs(b[k]).max() for k in b)
    return float(max(off) / EPS)


def stepped(p: Any, g: Any) -> Any:
    """The parameters after a step of gradient descent."""
    return {k: p[k] - RATE * g[k] for k in p}


def descend(f: Any, p: Any, steps: int) -> tuple[Any, Any]:
    """A run in one compiled program: the last parameters, and the loss before every step."""
    return study.descend(lambda p: (stepped(p, f(p)[1]), f(p)[0]), p, steps)


def run(quick: bool) -> study.Study:
    """Three runs side by side, and a fourth without the mask."""
    steps = 100 if quick else 500
    start, x, y = point(64, 1000, 100, 10)
    model = models.mlp([1000, 100, 10], "relu", "squared_error", bias=False)
    witnesses = {
        "jaxnet by hand": lambda p: by_hand(model, p, x, y),
        "jax.grad": jax.value_and_grad(lambda p: loss(p, x, y)),
    }
    gradients = {name: np.zeros(steps) for name in witnesses}
    weights = {name: np.zeros(steps) for name in witnesses}
    losses, p = {"NumPy": np.zeros(steps)}, start
    compiled = {name: jax.jit(f) for name, f in witnesses.items()}
    for i in range(steps):
        losses["NumPy"][i], g = backward(p, x, y)
        for name, witness in compiled.items():
            g_other = jax.device_get(witness(p)[1])
            gradients[name][i] = apart(g_other, g)
            weights[name][i] = apart(stepped(p, g_other), stepped(p, g))
        p = stepped(p, g)

    numbers = []
    for name, value_and_grad in witnesses.items():
        end, losses[name] = descend(value_and_grad, start, steps)
        # Lengths of the residual, as far as the predictions, which are of the size of y, tell it.
        lengths = np.abs(np.sqrt(losses[name]) - np.sqrt(losses["NumPy"])) / np.linalg.norm(y)
        first, most, end_off = gradients[name][0], weights[name].max(), apart(end, p) * EPS
        numbers += [
            study.at_most(f"{name}: first gradient off NumPy's, last bits", 32, first),
            study.at_most(f"{name}: any of {steps} steps off, last bits", 4, most),
            study.at_most(f"{name}: weights after a whole run, relative", 1e-12, end_off),
            study.at_most(f"{name}: |y_pred - y| / |y| in it, relative", 1e-12, lengths.max()),
        ]
    _, wrong = descend(lambda p: unmasked(p, x, y), start, steps)
    fall = wrong[-1] / wrong[0]
    numbers.append(study.at_most("without the mask: last loss over the first", 1e-4, fall))
    small = point(8, 20, 10, 4)

    def ask(f: Any) -> check.Report:
        return check.gradient(loss, lambda *at: f(*at)[1], *small)

    doctors = {
        "the gradient without the mask": ("dropped_derivative", lambda: ask(unmasked)),
        "the gradient": ("ok", lambda: ask(backward)),
    }
    pictures = {
        "Three of the curves are one; the faulty fourth looks no worse.": plot.curves(
            {"": {**losses, "without the mask": wrong}}, title="Two matrices", log_y=True
        ),
        "Gradients off NumPy's. They lose digits as the residual does.": plot.curves(
            {"": gradients | {"|y| / |y_pred - y|": np.linalg.norm(y) / np.sqrt(losses["NumPy"])}},
            title="Difference over the gradient's largest entry", y_label="last bits", log_y=True,
        ),
    }  # fmt: skip
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
