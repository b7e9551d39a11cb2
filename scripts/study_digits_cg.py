"""Digits by conjugate gradients, from weights that all have one sign.

400 inputs (20x20 digits), 25 hidden units, 10 outputs, sigma in both layers, with biases. The cost
is the logistic cross-entropy, summed over the outputs, with a penalty on the weights (r = 1):

    J = -1/m sum_i sum_k [t_ik log y_ik + (1 - t_ik) log(1 - y_ik)] + r/(2m) sum of w^2

It is minimized by nonlinear conjugate gradients over the flattened parameters: along directions

    d_0 = -g_0,   d_{k+1} = -g_{k+1} + max(0, g_{k+1}^T (g_{k+1} - g_k) / g_k^T g_k) d_k

The fault: the weights were drawn as rand * (2 eps - eps), which is uniform on (0, eps), where rand
* 2 eps - eps, uniform on (-eps, eps), was meant; eps = 0.12. A pair of brackets. The sum over 400
inputs that are never negative is then large in every hidden unit: all of them give 0.999 for every
digit, their slope is 0.001, and all outputs are near 1. In the report the cost crept from 15.4412
to 15.4412 and the optimizer gave up. Here the first line search settles the outputs' biases, and
then the cost stays at 3.27, that of saying "one in ten" to every digit.

A second trap of the same exercise: its labels keep the digit 0 as class 10, an index one too far
for rows that are counted from 0.

The cure: the brackets. Then jaxnet's conjugate gradients and SciPy's, from the same start, go the
same way down, on 20x20 digits (here the bundled 8x8 ones, enlarged) and on 8x8 ones.
"""

import sys
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


def loss_of(model: models.Model) -> Any:
    """The model's loss as the doctor takes it."""
    return lambda params, x, t: model.loss(params, (x, t))


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
    cases = {
        "20x20, weights on (0, 0.12)": (20, 0.0),
        "20x20, weights on (-0.12, 0.12)": (20, -EPS),
        "8x8, weights on (-0.12, 0.12)": (8, -EPS),
    }
    faulty, cured, small = cases
    costs: dict[str, dict[str, Any]] = {}
    accuracies: dict[str, float] = {}
    starts, ends = {}, {}
    for case, (size, low) in cases.items():
        batch, held_out = digits(size)
        model = network(size**2, len(batch[0]), low)
        starts[case] = model.init(jax.random.key(0))
        ours = train.fit(
            model, optim.conjugate_gradient(c2=0.4), batch, steps=steps, params=starts[case],
            validation=held_out, progress=False,
        )  # fmt: skip
        theirs, scipy_params = by_scipy(model, starts[case], batch, steps)
        last = model.loss(ours.params, batch)
        costs[case] = {"jaxnet": np.array([*ours.history["loss"], last]), "SciPy": theirs}
        accuracies[f"jaxnet, {case}"] = ours.history["validation_accuracy"][-1]
        accuracies[f"SciPy, {case}"] = float(train.accuracy(model, scipy_params, held_out))
        ends[case] = ours.params

    batch, _ = digits(20)
    doctors = {
        "the run from the faulty start": check.training(
            loss_of(network(400, len(batch[0]), 0.0)), starts[faulty], batch,
            optimizer=optim.conjugate_gradient(c2=0.4), steps=10,
        ),
        "labels that keep 0 as 10": check.training(
            loss_of(models.softmax_regression(400, 10)),
            [{"w": np.zeros((400, 10)), "b": np.zeros(10)}],
            (batch[0], np.where(batch[1][:, 0] == 1, 10, batch[1].argmax(axis=1))),
            learning_rate=0.1,
        ),
    }  # fmt: skip
    x = batch[0]
    hidden = {c: jax.nn.sigmoid(x @ starts[c][0]["w"] + starts[c][0]["b"]) for c in (faulty, cured)}
    slopes = {case: float((a * (1 - a)).mean()) for case, a in hidden.items()}
    plateau = {c: int(np.argmax(costs[c]["jaxnet"] < 3.2)) for c in (faulty, cured)}
    numbers = [
        study.named(shown, code, report)
        for (shown, report), code in zip(
            doctors.items(), ("bad_init", "label_mismatch"), strict=True
        )
    ]
    numbers += [
        study.near(
            "cost at the faulty start (15.4412 on other digits)",
            15.4412,
            costs[faulty]["jaxnet"][0],
            1,
        ),
        study.at_most("mean slope of the hidden units at the faulty start", 0.01, slopes[faulty]),
        study.at_least("and at the right one (at most 0.25)", 0.2, slopes[cured]),
        study.at_least("iterations until the cost is below 3.2, faulty start", 10, plateau[faulty]),
        study.at_most("the same, right start", 6, plateau[cured]),
    ]
    for case in (cured, small):
        ours, theirs = costs[case].values()
        numbers += [
            study.at_most(
                f"{case}: costs 1 to 5 off SciPy's",
                0.02,
                np.abs(ours / theirs[: len(ours)] - 1)[1:6].max(),
            ),
            study.at_most(f"{case}: last cost over SciPy's", 1.2, ours[-1] / theirs[-1]),
        ]
    numbers += [
        study.at_least(f"{case}: held-out accuracy", 0.95, accuracy)
        for case, accuracy in accuracies.items()
        if faulty not in case
    ]
    pictures = {
        "Cost per iteration, jaxnet beside SciPy from the same starts.": plot.curves(
            costs,
            title="Digits by conjugate gradients",
            x_label="iteration",
            y_label="cost J",
            log_y=True,
        ),
        "What the 25 hidden units of the cured 20x20 network look for.": plot.images(
            np.asarray(ends[cured][0]["w"]).T.reshape(25, 20, 20), columns=9
        ),
    }
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
