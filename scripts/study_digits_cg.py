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
saying "one in ten" to every digit.

A second trap: the labels keep the digit 0 as class 10, one too far for classes counted from 0.

The cure: the brackets. Then jaxnet's conjugate gradients and SciPy's, from the same start, go the
same way down, on 20x20 digits (the bundled 8x8 ones, enlarged) and on 8x8 ones.
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize  # type: ignore[import-untyped]

from jaxnet import check, data, models, optim, plot, train
from jaxnet.layers import uniform

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
    init = uniform(low, EPS)
    return models.mlp(
        [n_in, 25, 10], "sigmoid", "sigmoid_cross_entropy", l2=R / (2 * m), w_init=init, b_init=init
    )


def trained(model: models.Model, start: Any, batch: Any, **how: Any) -> check.Report:
    """What the training doctor says of a model."""
    return check.training(lambda p, x, t: model.loss(p, (x, t)), start, batch, **how)


def by_scipy(model: models.Model, params: Any, batch: Any, steps: int) -> tuple[Any, Any]:
    """SciPy's conjugate gradients with the gradient by hand: cost per iteration, parameters."""
    flat, tree = ravel_pytree(params)

    @jax.jit
    def value_and_grad(flat: Any) -> Any:
        value, grads = model.value_and_grad(tree(flat), batch)
        return value, ravel_pytree(grads)[0]

    costs = [float(value_and_grad(flat)[0])]
    found = minimize(
        value_and_grad, flat, jac=True, method="CG", options={"maxiter": steps},
        callback=lambda intermediate_result: costs.append(float(intermediate_result.fun)),
    )  # fmt: skip
    return np.array(costs), tree(jnp.asarray(found.x))


def run(quick: bool) -> study.Study:
    """Both implementations from the faulty start, from the right one, and on small digits."""
    steps = 35 if quick else 50
    faulty, cured = "20x20, weights on (0, 0.12)", "20x20, weights on (-0.12, 0.12)"
    cases = {faulty: (20, 0.0), cured: (20, -EPS)}
    if not quick:
        cases["8x8, weights on (-0.12, 0.12)"] = (8, -EPS)
    rule = optim.conjugate_gradient(c2=0.4)
    starts, slopes, costs, ends, numbers = {}, {}, {}, {}, []
    for case, (size, low) in cases.items():
        (x, t), held_out = digits(size)
        model = network(size**2, len(x), low)
        starts[case] = jax.jit(model.init)(jax.random.key(0))
        hidden = jax.nn.sigmoid(x @ starts[case][0]["w"] + starts[case][0]["b"])
        slopes[case] = (hidden * (1 - hidden)).mean()
        how: dict[str, Any] = {"params": starts[case], "validation": held_out, "progress": False}
        ours = train.fit(model, rule, (x, t), steps=steps, **how)
        theirs, scipy_end = by_scipy(model, starts[case], (x, t), steps)
        costs[case] = {"jaxnet": ours.history["loss"], "SciPy": theirs}
        ends[case] = ours.params
        if case == faulty:
            continue
        off = np.abs(ours.history["loss"][1:6] / theirs[1:6] - 1).max()
        last = ours.history["loss"][-1] / theirs[-1]
        accuracy = ours.history["validation_accuracy"][-1]
        scipy_accuracy = train.accuracy(model, scipy_end, held_out)
        numbers += [
            study.at_most(f"{case}: costs 1 to 5 off SciPy's", 0.02, off),
            study.at_most(f"{case}: last cost over SciPy's", 1.2, last),
            study.at_least(f"jaxnet, {case}: held-out accuracy", 0.95, accuracy),
            study.at_least(f"SciPy, {case}: held-out accuracy", 0.95, scipy_accuracy),
        ]

    first = costs[faulty]["jaxnet"][0]
    until = {case: int(np.argmax(costs[case]["jaxnet"] < 3.2)) for case in (faulty, cured)}
    numbers += [
        study.near("cost at the faulty start (15.4412 on other digits)", 15.4412, first, 1),
        study.at_most("mean slope of the hidden units at the faulty start", 0.01, slopes[faulty]),
        study.at_least("and at the right one (at most 0.25)", 0.2, slopes[cured]),
        study.at_least("iterations until the cost is below 3.2, faulty start", 10, until[faulty]),
        study.at_most("the same, right start", 6, until[cured]),
    ]
    (x, t), _ = digits(20)
    model, softmax = network(400, len(x), 0.0), models.softmax_regression(400, 10)
    kept = np.where(t[:, 0] == 1, 10, t.argmax(axis=1))
    ask = partial(trained, model, starts[faulty], (x, t), optimizer=rule, steps=10)
    zeros = [{"w": np.zeros((400, 10)), "b": np.zeros(10)}]
    ask_labels = partial(trained, softmax, zeros, (x, kept), learning_rate=0.1)
    doctors = {
        "the run from the faulty start": ("bad_init", ask),
        "labels that keep 0 as 10": ("label_mismatch", ask_labels),
    }
    looks = np.asarray(ends[cured][0]["w"]).T.reshape(25, 20, 20)
    pictures = {
        "Cost per iteration, jaxnet beside SciPy from the same starts.": plot.curves(
            costs, title="Digits by conjugate gradients", x_label="iteration", y_label="cost J",
            log_y=True,
        ),
        "What the hidden units of the cured 20x20 network look for.": plot.images(looks, columns=9),
    }  # fmt: skip
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
