"""Iris by gradient descent and by Nesterov's method.

4 inputs, 16 softplus units, 3 softmax outputs, cross-entropy, parameters from N(0, 0.1^2), all
rows in every step, a step of 0.01 and 350 epochs. For one row x with the target y, from the
outputs back,

    z1 = W0 x + b0,  a1 = log(1 + exp z1),  s = softmax(W1 a1 + b1),  L = -sum_k y_k log s_k
    e2 = s - y                     the softmax's Jacobian, diag(s) - s s^T, times -y / s
    dW1 = e2 a1^T,  db1 = e2       e1 = W1^T e2 * sigma(z1),  as sigma is the softplus's slope
    dW0 = e1 x^T,   db0 = e1

averaged over the rows. softplus(1000) must be 1000: log(1 + exp z) = max(z, 0) + log(1 + exp
-|z|). Nesterov's method, from t_1 = 1, looks ahead to q before it takes the gradient:

    t_(k+1) = (1 + sqrt(1 + 4 t_k^2)) / 2
    q = p_k + (t_k - 1) / t_(k+1) (p_k - p_(k-1)),   p_(k+1) = q - step grad(q)

The fault: grad(p_k) for grad(q). At this step it hardly shows in the loss; the next study looks
for the steps at which it does.

The cure is the gradient at q. In as many epochs it gets where gradient descent does not.
"""

import sys
from functools import partial
from typing import Any

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
SPEC = {"sizes": [4, 16, 3], "activation": "softplus", "loss": "softmax_cross_entropy"}
MODEL = models.mlp(
    [4, 16, 3], "softplus", "softmax_cross_entropy", w_init=normal(0.1), b_init=normal(0.1)
)
RULES = {"gradient descent": optim.gd(STEP), "Nesterov": optim.nag(STEP)}


def descend(rule: Any, start: Any, batch: Any) -> tuple[Any, Any]:
    """EPOCHS steps: the last parameters, and the loss after each."""

    def step(carry: Any, _: Any) -> Any:
        p, state = carry
        updates, state = rule.update(MODEL.value_and_grad(p, batch)[1], state, p)
        p = optax.apply_updates(p, updates)
        return (p, state), MODEL.loss(optim.eval_params(state, p), batch)

    (p, state), losses = jax.lax.scan(step, (start, rule.init(start)), length=EPOCHS)
    return optim.eval_params(state, p), losses


def many_splits(count: int) -> dict[str, Any]:
    """Mean training and test accuracy of both methods over many splits and starts at once."""
    splits = [data.split(data.iris(), 0.2, seed=seed) for seed in range(count)]
    arrays = [np.stack([getattr(s[i], a) for s in splits]) for i in (0, 1) for a in "xt"]

    def of(rule: Any, key: Any, x: Any, t: Any, x_test: Any, t_test: Any) -> Any:
        p, _ = descend(rule, MODEL.init(key), (x, t))
        return train.accuracy(MODEL, p, (x, t)), train.accuracy(MODEL, p, (x_test, t_test))

    keys = jax.random.split(jax.random.key(0), count)
    means = {}
    for name, rule in RULES.items():
        shares = jax.jit(jax.vmap(partial(of, rule)))(keys, *arrays)
        means[name] = [float(share.mean()) for share in shares]
    return means


def gradient_checks(params: Any, one: Any) -> list[study.Number]:
    """The gradient by hand on one row against SciPy's differences and central ones."""
    flat, tree = ravel_pytree(params)
    value = jax.jit(lambda v: MODEL.loss(tree(v), one))
    hand = np.asarray(ravel_pytree(jax.jit(MODEL.value_and_grad)(params, one)[1])[0])
    forward = np.abs(hand - approx_fprime(np.asarray(flat), value)).max()
    central = np.abs(hand - check.central_differences(value, flat)).max()
    return [
        study.at_most("gradient of one row off approx_fprime's", 1e-4, forward),
        study.at_most("gradient of one row off central differences", 1e-9, central),
        study.same("softplus(1000)", 1000.0, ACTIVATIONS["softplus"].value(jnp.array(1000.0))),
    ]


def run(quick: bool) -> study.Study:
    """Check the gradient, and train with both methods."""
    part, held_out = data.split(data.iris(), 0.2, seed=0)
    batch, test = (part.x, part.t), (held_out.x, held_out.t)
    start = jax.jit(MODEL.init)(jax.random.key(0))
    numbers = gradient_checks(start, (part.x[:1], part.t[:1]))
    means = many_splits(10 if quick else 40)
    pictures, kept = {}, {}
    for name, known in (("gradient descent", (0.81, 0.83)), ("Nesterov", (0.993, 1.0))):
        result = train.fit(
            MODEL, RULES[name], batch, steps=EPOCHS, params=start, validation=test,
            progress=False,
        )  # fmt: skip
        accuracy = result.history["validation_accuracy"][-1]
        numbers += [
            study.near(
                f"{name}: training accuracy, mean of splits", known[0], means[name][0], 0.05
            ),
            study.near(f"{name}: test accuracy, mean of splits", known[1], means[name][1], 0.05),
            study.near(f"{name}: test accuracy, first split", known[1], accuracy, 0.02),
        ]
        pictures[f"{name.capitalize()} at a step of 0.01."] = plot.training_curves(
            {name: result.history}, title="Iris, 4-16-3", held_out="test"
        )
        kept[name.replace(" ", "_")] = saved.SavedModel(
            SPEC, result.params, None, None, part.features, part.target, part.classes
        )
    return study.Study(numbers, {}, pictures, kept)


if __name__ == "__main__":
    sys.exit(study.main(run))
