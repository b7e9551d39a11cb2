"""What the loss asks of the predictions: the best constant one, and the best there is.

Both are found by minimising the loss over the predictions themselves, whatever the model is. A
run is judged by where its loss lies between the two: a constant prediction explains 0 of what
there is to explain, the best predictions 1.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.runs.look import Look

STEEP = 0.05
"""Where the slope at the lowest point found is still this share of that at zero, no bottom is."""


class Ideal(NamedTuple):
    """The lowest losses.

    constant is that of the best constant prediction, best that of the best predictions. spread is
    how far these differ from row to row, against how far they lie from the start; moves says that
    predictions change the loss at all. bounded and mirrored say whether the loss and its negative
    have a bottom; negated that only the negative has, or that the loss lies below zero, as an error
    with a wrong sign. idle is the share of the rows whose own prediction never matters.
    """

    constant: float
    best: float
    bounded: bool
    mirrored: bool
    negated: bool
    moves: bool
    idle: float

    def explained(self, loss: float) -> float:
        """Where a loss lies between the constant prediction, 0, and the best, 1."""
        span = self.constant - self.best
        return float((self.constant - loss) / span) if span > 0 else 0.0


def ideal(here: Look) -> Ideal | None:
    """Minimise the loss over the predictions; None where there are none or they are integers."""
    start = here.predictions
    if start is None:
        return None
    value_and_grad = here.tail()
    shape, rng = start.shape, np.random.default_rng(0)

    def of_all(z: np.ndarray, sign: float = 1.0) -> tuple[float, np.ndarray]:
        value, grad = value_and_grad(z.reshape(shape).astype(start.dtype))
        value, grad = float(value), np.asarray(grad, np.float64).ravel()
        if not (np.isfinite(value) and np.isfinite(grad).all()):
            return 1e300, np.zeros_like(grad)
        return sign * value, sign * grad

    def of_constant(c: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = of_all(np.broadcast_to(c.reshape(shape[1:]), shape).ravel())
        return value, grad.reshape(shape).sum(axis=0).ravel()

    # Not from zero, where |z| and max(z, 0) inside a stable formula have no slope of their own.
    near = 0.1 * rng.normal(size=start.size)
    # Nor from there alone: where half the rows are below zero, a ReLU after them is dead.
    one = int(np.prod(shape[1:]))
    constant = min(_lowest(of_constant, z[:one])[0] for z in (near, 1 + near))
    given = np.asarray(start, np.float64).ravel()
    best, bounded = min((_lowest(of_all, z) for z in (near, 1 + near, given)), key=lambda b: b[0])
    highest, mirrored = _lowest(lambda z: of_all(z, -1.0), near)
    values = [of_all(rng.normal(size=start.size) * s)[0] for s in (0.1, 1.0, 3.0)]
    scale = max(float(np.abs(values).max()), 1e-30)
    below = max(values) <= 0 and -1e-6 * scale <= highest <= 0.05 * scale
    slopes = [np.abs(of_all(np.full(start.size, v))[1]).reshape(len(start), -1).max(axis=1)
              for v in (-0.5, 0.1, 0.5)]  # fmt: skip
    reach = np.max(slopes, axis=0)
    return Ideal(
        constant, min(best, constant), bounded, mirrored, mirrored and (not bounded or below),
        bool(np.ptp(values) > 1e-6 * scale), float((reach <= 1e-7 * reach.max(initial=0)).mean()),
    )  # fmt: skip


def _lowest(f: Any, z: np.ndarray) -> tuple[float, bool]:
    """The lowest value that L-BFGS finds, and whether it is a bottom: the slope ends there."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # JAX brings SciPy

    first = float(np.abs(f(z)[1]).max(initial=0))
    lowest = [f(z)[0], first]

    def seen(v: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = f(v)
        if value < lowest[0]:
            lowest[:] = value, float(np.abs(grad).max(initial=0))
        return value / (first or 1.0), grad / (first or 1.0)  # steps of order one at first

    options = {"maxiter": 300, "maxfun": 400, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-9}
    minimize(seen, z, jac=True, method="L-BFGS-B", options=options)
    far = lowest[0] <= -10 * abs(f(z)[0]) - 1e-9  # as of a loss without a bottom, or a likelihood
    return lowest[0], lowest[1] <= (STEEP / 50 if far else STEEP) * first
