"""Where Nesterov's method looks ahead, and where it matters.

Nesterov's method takes its gradient at q, the point that it looks ahead to,

    t_(k+1) = (1 + sqrt(1 + 4 t_k^2)) / 2,   beta_k = (t_k - 1) / t_(k+1)
    q = p_k + beta_k (p_k - p_(k-1)),        p_(k+1) = q - step grad(q)

The fault: grad(p_k) for grad(q). What remains is gradient descent with a momentum that grows to 1.

At the step of the last study, 0.01, the two are hardly apart. Along a direction of curvature c,
with a = step * c and a momentum near 1, the errors of the two are

    e_(k+1) = (1 - a) (2 e_k - e_(k-1))      stable for a < 4/3, oscillations damped by sqrt(1 - a)
    e_(k+1) = (2 - a) e_k - e_(k-1)          stable for a < 4, oscillations not damped

where plain gradient descent is stable for a < 2. So they part near 4/3 of 1 / lambda_max, and
there it is the right one that leaves first. What the look-ahead buys below is damping: a direction
with a = 1 is settled at once, where the faulty method swings about it.

The cure is the gradient at q, and a step below 4/3 of 1 / lambda_max.
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
from study_iris_nesterov import MODEL, STEP, descend

from jaxnet import check, data, optim, plot


def not_ahead(step: Any) -> optax.GradientTransformation:
    """Nesterov's method with the fault; its state: the parameters before, and t_k."""

    def update(grads: Any, state: Any, p: Any = None) -> Any:
        before, t_old = state
        t = (1 + jnp.sqrt(1 + 4 * t_old**2)) / 2
        beta = (t_old - 1) / t
        return jax.tree.map(lambda p, b, g: beta * (p - b) - step * g, p, before, grads), (p, t)

    return optax.GradientTransformation(lambda p: (p, jnp.ones(())), update)


METHODS = {
    "gradient descent": optim.gd,
    "Nesterov": optim.nag,
    "Nesterov, gradient at p": not_ahead,
}
LIMITS = {"4/3": 4 / 3, "2": 2, "4": 4}
"""Largest stable step * lambda_max of Nesterov's method, of descent, and of the faulty method."""


def run(quick: bool) -> study.Study:
    """Three methods at many steps, each from the same start."""
    part, _ = data.split(data.iris(), 0.2, seed=0)
    batch = part.x, part.t
    start = jax.jit(MODEL.init)(jax.random.key(0))
    steps = np.geomspace(STEP, 0.2, 13 if quick else 25)
    losses = {
        name: np.asarray(jax.jit(jax.vmap(lambda s, r=r: descend(r(s), start, batch)[1]))(steps))
        for name, r in METHODS.items()
    }
    _, right, wrong = losses
    end, _ = jax.jit(lambda start: descend(optim.nag(STEP), start, batch))(start)
    flat, tree = ravel_pytree(end)
    hessian = jax.jit(jax.hessian(lambda v: MODEL.loss(tree(v), batch)))(flat)
    curvature = float(np.linalg.eigvalsh(hessian)[-1])
    apart = np.abs(losses[wrong] / losses[right] - 1).max(axis=1)
    parting = steps[np.argmax(apart > 0.2)]
    late = {name: values[:, 100:] for name, values in losses.items()}
    rises = {n: (v / np.minimum.accumulate(v, axis=1)).max(axis=1) for n, v in late.items()}
    swings = steps[np.argmax(rises[wrong] > 2)] * curvature
    numbers = [
        study.at_most("step 0.01: largest relative difference of the Nesterovs", 0.05, apart[0]),
        study.near("step * lambda_max at which they part", 4 / 3, parting * curvature, 0.3),
        study.near("step * lambda_max at which the faulty one swings", 4, swings, 1),
    ]
    ask = partial(check.optimizer, reference="nag", learning_rate=STEP)
    doctors = {
        "the method with grad(p_k)": ("nesterov_point", partial(ask, not_ahead(STEP))),
        "the method with grad(q)": ("ok", partial(ask, optim.nag(STEP))),
    }
    shown = [0, int(np.argmax(steps > 0.8 * parting)), int(np.argmax(steps > 1.3 * parting))]
    pictures = {
        "Below the parting, near it and beyond.": plot.curves(
            {f"step {steps[i]:.3g}": {n: losses[n][i] for n in (right, wrong)} for i in shown},
            title="Nesterov's method with the gradient at q and at p", x_label="epoch", log_y=True,
        ),
        "How far the loss rises again after epoch 100, by the step. lambda_max is that at the end "
        "of Nesterov's run at the step of 0.01.": plot.curves(
            {"": {name: (steps, rise) for name, rise in rises.items()}},
            x_label="step", y_label="rise of the loss, as a factor", log_x=True, log_y=True,
            marks={f"{c} / lambda_max": limit / curvature for c, limit in LIMITS.items()},
        ),
    }  # fmt: skip
    return study.Study(numbers, doctors, pictures)


if __name__ == "__main__":
    sys.exit(study.main(run))
