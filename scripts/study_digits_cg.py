"""Digits by conjugate gradients, from weights that all have one sign.

400 inputs (20x20 digits), 25 hidden units, 10 outputs, sigma in both layers, with biases. The cost
is the logistic cross-entropy, summed over the outputs, with a penalty on the weights (r = 1):

    J = -1/m sum_i sum_k [t_ik log y_ik + (1 - t_ik) log(1 - y_ik)] + r/(2m) sum of w^2

It is minimized by nonlinear conjugate gradients over the flattened parameters.

The fault: the weights were drawn as rand * (2 eps - eps), uniform on (0, eps), where rand * 2 eps -
eps, uniform on (-eps, eps), was meant; eps = 0.12. The sum over 400 inputs that are never negative
is then large in every hidden unit: all give 0.999 for every digit, their slope is 0.001, and all
outputs are near 1. In the report the cost crept from 15.4412 to 15.4412 and the optimizer gave up.
Here the first line search settles the outputs' biases, and then the cost stays at 3.27, that of
saying "one in ten" to every digit, for ten iterations.

A second trap: the labels keep the digit 0 as class 10, one too far for classes counted from 0.

The cure: the brackets. Then jaxnet's conjugate gradients and SciPy's, from the same start, go the
same way down, on 20x20 digits (the bundled 8x8 ones, enlarged) and on 8x8 ones.
"""

import sys
from functools import partial
from typing import Any

import jax
import numpy as np
import study
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize  # type: ignore[import-untyped]

from jaxnet import check, data, layers, models, optim, plot, train

EPS, R = 0.12, 1.0


def digits(size: int) -> tuple[Any, Any]:
    """Training and held-out part of the bundled digits, enlarged to size x size pixels."""
    parts = []
    for part in data.split(data.digits(), 0.25, seed=0):
        pixels = part.x.reshape(-1, 8, 8) / 16
        x = jax.image.resize(pixels, (len(pixels), size, size), "bilinear")
        parts.append((x.reshape(len(x), -1), data.one_hot(part.t, 10).astype(float)))
    return parts[0], parts[1]


def network(n_in: int, m: int, low: float) -> models.Model:
    """The network for m rows, its parameters uniform on (low, 0.12)."""
    init = layers.uniform(low, EPS)
    return models.mlp(
        [n_in, 25, 10], "sigmoid", "sigmoid_cross_entropy", l2=R / (2 * m), w_init=init, b_init=init
    )


def by_scipy(model: models.Model, params: Any, batch: Any, steps: int) -> tuple[Any, Any]:
    """SciPy's conjugate gradients with the gradient by hand: cost per iteration, parameters."""
    flat, tree = ravel_pytree(params)

    @jax.jit
    def value_and_grad(flat: Any) -> Any:
        value, grads = model.value_and_grad(tree(flat), batch)
        return value, ravel_pytree(grads)[0]

    options = {"maxiter": steps, "return_all": True}
    found = minimize(value_and_grad, flat, jac=True, method="CG", options=options)
    return np.array([value_and_grad(x)[0] for x in found.allvecs]), tree(found.x)


def run(quick: bool) -> study.Study:
    """Both implementations from the faulty start, from the right one, and on small digits."""
    steps = 35 if quick else 50
    faulty, cured = "20x20, weights on (0, 0.12)", "20x20, weights on (-0.12, 0.12)"
    cases = {faulty: (20, 0.0), cured: (20, -EPS)}
    if not quick:
        cases["8x8, weights on (-0.12, 0.12)"] = (8, -EPS)
    rule = optim.conjugate_gradient(c2=0.4)
    costs, slopes, doctors, numbers = {}, {}, {}, []
    for case, (size, low) in cases.items():
        (x, t), held_out = digits(size)
        model = network(size**2, len(x), low)
        start = jax.jit(model.init)(jax.random.key(0))
        hidden = jax.nn.sigmoid(x @ start[0]["w"] + start[0]["b"])
        slopes[case] = (hidden * (1 - hidden)).mean()
        ours = train.fit(model, rule, (x, t), steps=steps, params=start, progress=False)
        theirs, scipy_end = by_scipy(model, start, (x, t), steps)
        ratios = ours.history["loss"] / theirs[:-1]
        costs[case] = {"jaxnet": ours.history["loss"], "SciPy": theirs}
        few = x[:300], t[:300]  # enough for the doctor, which makes the run many times
        ask = partial(check.training, study.loss_of(model), start, few, optimizer=rule, steps=10)
        doctors[f"ten iterations on {case}"] = "bad_init" if case == faulty else "ok", ask
        if case == faulty:
            continue
        for name, end in (("jaxnet", ours.params), ("SciPy", scipy_end)):
            accuracy = train.accuracy(model, end, held_out)
            numbers.append(study.at_least(f"{name}, {case}: held-out accuracy", 0.95, accuracy))
        off = np.abs(ratios - 1)[1:6].max()
        numbers.append(study.at_most(f"{case}: costs 1 to 5 off SciPy's", 0.02, off))
        numbers.append(study.at_most(f"{case}: last cost over SciPy's", 1.2, ratios[-1]))
        if case == cured:
            looks = np.asarray(ours.params[0]["w"]).T.reshape(25, 20, 20)
    until = {case: int(np.argmax(costs[case]["jaxnet"] < 3.2)) for case in (faulty, cured)}
    numbers += [
        study.near("cost at the start, on other digits", 15.4412, costs[faulty]["jaxnet"][0], 1),
        study.at_most("mean slope of the hidden units at the faulty start", 0.01, slopes[faulty]),
        study.at_least("and at the right one (at most 0.25)", 0.2, slopes[cured]),
        study.at_least("iterations until the cost is below 3.2, faulty start", 10, until[faulty]),
        study.at_most("the same, right start", 6, until[cured]),
    ]
    zeros = [{"w": np.zeros((x.shape[1], 10)), "b": np.zeros(10)}]
    ask = partial(check.training, study.loss_of(models.softmax_regression(x.shape[1], 10)), zeros)
    for shown, zero, code in (("0 as 10", 10, "label_mismatch"), ("0 as 0", 0, "ok")):
        labels = np.where(few[1][:, 0] == 1, zero, few[1].argmax(axis=1))
        doctors[f"labels with {shown}"] = code, partial(ask, (few[0], labels), learning_rate=0.1)
    pictures = {
        "Cost per iteration, jaxnet beside SciPy from the same starts.": plot.curves(
            costs, x_label="iteration", y_label="cost J", log_y=True
        ),
        "What the hidden units of the cured 20x20 network look for.": plot.images(looks, columns=9),
    }
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
