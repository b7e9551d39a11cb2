"""Linear regression on squared features, or a step beyond the largest stable one.

x = 1, ..., 5 and y = x^2 are fitted with the features [1, x, x^2], all weights from 1/2, by plain
gradient descent on the mean squared error. The answer, weights 0, 0, 1, is within reach: yet at a
step of 0.01 the loss is 25.45, then 2e11 after ten iterations, and 2e21 after twenty.

The loss is a quadratic, L = 1/n |X w - y|^2, with the Hessian H = 2/n X^T X. Along an eigenvector
of H with the eigenvalue lambda a step multiplies the error by 1 - step lambda, so descent needs

    step < 2 / lambda_max,    and takes about  cond(H) = lambda_max / lambda_min  iterations.

The fault: features of very different sizes. x^2 goes up to 25, lambda_max is near 400, and the
largest stable step near 0.005: half of the step that was taken.

The cure: standardise the features x and x^2 and the target (sample standard deviation, n - 1),
with a bias of its own. lambda_max falls to about 3, and descent is stable up to a step of 0.6.
What is left of the condition number is the correlation of x and x^2.

A warning about the numbers of the cure: the report gives them for a step of 0.02, but they belong
to 0.03. At 0.03 they are met to float32's digits, here and by plain NumPy in float32, which has
0.07994868 at iteration 10; at 0.02 it has 0.118. So the step here is 0.03.
"""

import sys
from functools import partial
from typing import Any

import jax
import numpy as np
import study

from jaxnet import check, data, models, plot

RAW = {0: 25.45, 10: 2.104e11, 20: 1.782e21}
CURED = {0: 0.25755801796913147, 10: 0.07994867861270905, 20: 0.028329044580459595}
WEIGHTS = {0: (0.49954653, 0.5004535), 10: (0.49503425, 0.5049657), 20: (0.49056274, 0.50943726)}


def descend(model: models.Model, x: Any, y: Any, step: float, steps: int) -> Any:
    """Gradient descent: the loss before every step, and the parameters after it."""

    def one(params: Any) -> Any:
        loss, grads = model.value_and_grad(params, (x, y))
        params = study.stepped(params, grads, step)
        return params, (loss, params[0])

    return study.descend(one, model.init(jax.random.key(0)), steps)[1]


def curvatures(features: Any) -> Any:
    """Eigenvalues of the loss's Hessian, from the largest down; a bias is a feature of ones."""
    return np.linalg.eigvalsh(2 / len(features) * features.T @ features)[::-1]


def run(quick: bool) -> study.Study:
    """Diverge, standardise, and converge."""
    x = np.arange(1.0, 6.0)[:, None]
    features, y = np.hstack([x, x**2]), x**2
    scaled, target = (data.standardizer(a, ddof=1)(a) for a in (features, y))
    half = np.float32(0.5)
    model = models.linear_regression(2, w_init=np.full((2, 1), half), b_init=np.full(1, half))
    long = 300 if quick else 3000
    wild, wild_params = descend(model, features, y, 0.01, 21)
    calm, calm_params = descend(model, scaled, target, 0.03, long)
    ones = np.ones((len(x), 1))
    # The doctor standardises as jaxnet does if nothing is said, by n and not by n - 1.
    by_n = data.standardizer(features)(features)
    before, after, repaired = (curvatures(np.hstack([ones, f])) for f in (features, scaled, by_n))

    start, loss = model.init(jax.random.key(0)), study.loss_of(model)
    sick = check.training(loss, start, (features, y), learning_rate=0.01)
    cure = partial(check.training, learning_rate=0.03, steps=300)
    told = sick.findings[0].evidence
    first = [wild_params["b"][0, 0], *wild_params["w"][0, :, 0]]
    conditions = before[0] / before[-1], after[0] / after[-1]
    numbers = []
    for how, v in (("", before), ("_standardised", repaired)):
        names = ("lambda_max", "largest_stable_step", "condition_number")
        for name, known in zip(names, (v[0], 2 / v[0], v[0] / v[-1]), strict=True):
            numbers.append(study.close(f"the doctor's {name}{how}", known, told[name + how], 1e-6))
    numbers += [
        study.at_most("raw: largest stable step 2 / lambda_max", 0.01, 2 / before[0]),
        study.at_least("cured: largest stable step", 0.03, 2 / after[0]),
        study.at_least("condition number, raw over cured", 10, conditions[0] / conditions[1]),
    ]
    numbers += [study.close(f"raw: loss at {i}", known, wild[i], 2e-4) for i, known in RAW.items()]
    numbers += study.all_near("raw: weight of x^{} after step 0", (0.57, 0.81, 1.898), first, 1e-6)
    for i, known in CURED.items():
        what, weights = f"cured, step 0.03: weight {{}} after step {i}", calm_params["w"][i, :, 0]
        numbers.append(study.close(f"cured, step 0.03: loss at {i}", known, calm[i], 3e-7))
        numbers += study.all_near(what, WEIGHTS[i], weights, 6e-8)
    both = {
        "raw features, step 0.01": {"loss": wild},
        "standardised, step 0.03": {"loss": calm[:21]},
    }
    w = np.linspace(-0.3, 1.3, 81)

    def without_bias(weights: Any) -> Any:
        return ((weights @ scaled.T - target[:, 0]) ** 2).mean(axis=-1)

    path = np.asarray(calm_params["w"][..., 0])
    path = np.column_stack([path, without_bias(path)])
    pictures = {
        "The same descent on raw and on standardised features.": plot.curves(
            both, title="x^2 out of 1, x and x^2", x_label="iteration", log_y=True
        ),
        "The valley that is left: x and x^2 are nearly the same feature.": plot.surface(
            w, w, without_bias(np.stack(np.meshgrid(w, w), axis=-1)), path,
            title="The loss at bias 0, after standardising",
            x_label="weight of x", y_label="weight of x^2",
        ),
    }  # fmt: skip
    doctors: study.Doctors = {
        "the run on raw features": ("unscaled_inputs", lambda: sick),
        "the run on standardised ones": ("ok", partial(cure, loss, start, (scaled, target))),
    }
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run, double=False))
