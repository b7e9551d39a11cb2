"""Iris by gradient descent and by Nesterov's method, and the point of the gradient.

4 inputs, 16 softplus units, 3 softmax outputs, cross-entropy, parameters from N(0, 0.1^2), all
rows in every step, a step of 0.01 and 350 epochs. For one row x with the target y, from the
outputs back,

    z1 = W0 x + b0,  a1 = log(1 + exp z1),  s = softmax(W1 a1 + b1),  L = -sum_k y_k log s_k
    e2 = s - y                     the softmax's Jacobian, diag(s) - s s^T, times -y / s
    dW1 = e2 a1^T,  db1 = e2       e1 = W1^T e2 * sigma(z1),  as sigma is the softplus's slope
    dW0 = e1 x^T,   db0 = e1

averaged over the rows. softplus(1000) must be 1000: log(1 + exp z) = max(z, 0) + log(1 + exp
-|z|).

Nesterov's method, from t_1 = 1, looks ahead to q before it takes the gradient:

    t_(k+1) = (1 + sqrt(1 + 4 t_k^2)) / 2
    q = p_k + (t_k - 1) / t_(k+1) (p_k - p_(k-1)),   p_(k+1) = q - step grad(q)

The fault: grad(p_k) for grad(q). What remains is gradient descent with a momentum that grows to 1.

Where it matters: at the step of 0.01 the two are hardly apart. Along a direction of curvature
lambda, with a momentum near 1, the right method is stable for step * lambda < 4/3, plain gradient
descent for < 2, the faulty one for < 4. So they part near 4/3 of 1 / lambda_max, and there it is
the right one that leaves first; what the look-ahead buys below is damping: a direction with step *
lambda = 1 is settled at once, where the faulty method swings about it.
"""

import sys
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import study
from jax.flatten_util import ravel_pytree
from scipy.optimize import approx_fprime  # type: ignore[import-untyped]

from jaxnet import check, data, models, optim, plot, saved, train
from jaxnet.layers import ACTIVATIONS, normal

STEP, EPOCHS = 0.01, 350
SPEC: dict[str, Any] = {
    "sizes": [4, 16, 3], "activation": "softplus", "loss": "softmax_cross_entropy"
}  # fmt: skip
MODEL = models.mlp(**SPEC, w_init=normal(0.1), b_init=normal(0.1))


class LastTwo(NamedTuple):
    """State of the faulty method: the parameters before, and t_k."""

    before: Any
    t: Any


def not_ahead(step: Any) -> tuple[Any, Any]:
    """Nesterov's method with the fault, as (init, step)."""

    def init(p: Any) -> LastTwo:
        return LastTwo(p, jnp.ones(()))

    def advance(p: Any, grads: Any, state: LastTwo) -> tuple[Any, LastTwo]:
        t = (1 + jnp.sqrt(1 + 4 * state.t**2)) / 2
        beta = (state.t - 1) / t
        new = jax.tree.map(lambda p, b, g: p + beta * (p - b) - step * g, p, state.before, grads)
        return new, LastTwo(p, t)

    return init, advance


def descend(rule: Any, start: Any, batch: Any) -> tuple[Any, Any]:
    """EPOCHS steps with (init, step) or a transformation: the last parameters, and all losses."""
    init = rule[0]

    def step(carry: Any, _: Any) -> Any:
        p, state = carry
        grads = MODEL.value_and_grad(p, batch)[1]
        if hasattr(rule, "update"):
            updates, state = rule.update(grads, state, p)
            p = optax.apply_updates(p, updates)
        else:
            p, state = rule[1](p, grads, state)
        return (p, state), MODEL.loss(optim.eval_params(state, p), batch)

    (p, state), losses = jax.lax.scan(step, (start, init(start)), length=EPOCHS)
    return optim.eval_params(state, p), losses


RULES = {
    "gradient descent": optim.gd,
    "Nesterov": optim.nag,
    "Nesterov, gradient at p": not_ahead,
}


def many_splits(count: int) -> dict[str, Any]:
    """Mean training and test accuracy of both methods over many splits and starts at once."""
    splits = [data.split(data.iris(), 0.2, seed=seed) for seed in range(count)]
    arrays = [np.stack([getattr(s[i], a) for s in splits]) for i in (0, 1) for a in "xt"]

    def of(rule: Any, key: Any, x: Any, t: Any, x_test: Any, t_test: Any) -> Any:
        p, _ = descend(rule, MODEL.init(key), (x, t))
        return train.accuracy(MODEL, p, (x, t)), train.accuracy(MODEL, p, (x_test, t_test))

    keys = jax.random.split(jax.random.key(0), count)
    means = {}
    for name in ("gradient descent", "Nesterov"):
        shares = jax.jit(jax.vmap(partial(of, RULES[name](STEP))))(keys, *arrays)
        means[name] = [float(share.mean()) for share in shares]
    return means


def run(quick: bool) -> study.Study:
    """Check the gradient, train with both methods, and look for the steps where the fault shows."""
    part, held_out = data.split(data.iris(), 0.2, seed=0)
    batch, test = (part.x, part.t), (held_out.x, held_out.t)
    start = MODEL.init(jax.random.key(0))

    flat, tree = ravel_pytree(start)
    one = part.x[:1], part.t[:1]
    value = jax.jit(lambda v: MODEL.loss(tree(v), one))
    hand = np.asarray(ravel_pytree(MODEL.value_and_grad(start, one)[1])[0])
    forward = np.abs(hand - approx_fprime(np.asarray(flat), value)).max()
    central = np.abs(hand - check.central_differences(value, flat)).max()

    runs = {
        name: train.fit(
            MODEL, RULES[name](STEP), batch, steps=EPOCHS, params=start, validation=test,
            progress=False,
        )
        for name in ("gradient descent", "Nesterov")
    }  # fmt: skip
    means = many_splits(10 if quick else 40)

    # The three methods at many steps, each from the same start.
    steps = np.geomspace(STEP, 0.2, 13 if quick else 25)
    losses = {
        name: np.asarray(jax.jit(jax.vmap(lambda s, r=r: descend(r(s), start, batch)[1]))(steps))
        for name, r in RULES.items()
    }
    _, right, wrong = losses
    at_end = ravel_pytree(runs["Nesterov"].params)[0]
    hessian = jax.jit(jax.hessian(lambda v: MODEL.loss(tree(v), batch)))(at_end)
    curvature = float(jnp.linalg.eigvalsh(hessian)[-1])
    apart = np.abs(losses[wrong] / losses[right] - 1).max(axis=1)
    parting = steps[np.argmax(apart > 0.2)]
    late = {name: values[:, 100:] for name, values in losses.items()}
    rises = {n: (v / np.minimum.accumulate(v, axis=1)).max(axis=1) for n, v in late.items()}
    swinging = steps[np.argmax(rises[wrong] > 2)]

    doctors = {
        "the method with grad(p_k)": check.optimizer(
            not_ahead(STEP), reference="nag", learning_rate=STEP
        ),
        "jaxnet's": check.optimizer(optim.nag(STEP), reference="nag", learning_rate=STEP),
    }
    sick, healthy = doctors.values()
    numbers = [
        study.named("Nesterov with grad(p_k)", "nesterov_point", sick),
        study.named("Nesterov with grad(q)", "ok", healthy),
        study.at_most("gradient of one row off approx_fprime's", 1e-4, forward),
        study.at_most("gradient of one row off central differences", 1e-9, central),
        study.same(
            "softplus(1000)", 1000.0, float(ACTIVATIONS["softplus"].value(jnp.array(1000.0)))
        ),
    ]
    for name, known in (("gradient descent", (0.81, 0.83)), ("Nesterov", (0.993, 1.0))):
        for part_name, k, mean in zip(("training", "test"), known, means[name], strict=True):
            numbers.append(
                study.near(f"{name}: {part_name} accuracy, mean of splits", k, mean, 0.05)
            )
        accuracy = runs[name].history["validation_accuracy"][-1]
        numbers.append(study.near(f"{name}: test accuracy, first split", known[1], accuracy, 0.02))
    numbers += [
        study.at_most(
            "step 0.01: largest relative difference of the two Nesterovs", 0.05, apart[0]
        ),
        study.near("step * lambda_max at which they part", 4 / 3, parting * curvature, 0.3),
        study.near("step * lambda_max at which the faulty one swings", 4, swinging * curvature, 1),
    ]
    marks = {f"{c} / lambda_max": v / curvature for c, v in (("4/3", 4 / 3), ("2", 2), ("4", 4))}
    shown = [0, int(np.argmax(steps > 0.8 * parting)), int(np.argmax(steps > 1.3 * parting))]
    pictures = {
        f"{name.capitalize()} at a step of 0.01.": plot.training_curves(
            {name: result.history}, title="Iris, 4-16-3", held_out="test"
        )
        for name, result in runs.items()
    } | {
        "Below the parting, near it and beyond.": plot.curves(
            {
                f"step {steps[i]:.3g}": {name: losses[name][i] for name in (right, wrong)}
                for i in shown
            },
            title="Nesterov's method with the gradient at q and at p", x_label="epoch", log_y=True,
        ),
        "How far the loss rises again after epoch 100, by the step.": plot.curves(
            {"": {name: (steps, rise) for name, rise in rises.items()}},
            x_label="step", y_label="rise of the loss, as a factor", log_x=True, log_y=True,
            marks=marks,
        ),
    }  # fmt: skip
    kept = {
        name.replace(" ", "_"): saved.SavedModel(
            SPEC, r.params, None, None, part.features, part.target, part.classes
        )
        for name, r in runs.items()
    }
    return study.Study(numbers, doctors, pictures, kept)


if __name__ == "__main__":
    sys.exit(study.main(run))
