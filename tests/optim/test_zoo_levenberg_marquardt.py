"""Levenberg-Marquardt against its equations in NumPy, and on curve fits with certified answers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet.optim import levenberg_marquardt, minimize


class CurveFit(NamedTuple):
    """A data set of NIST's Statistical Reference Datasets, nonlinear regression.

    starts are NIST's, far and near; b and rss the certified parameters and sum of squares.
    """

    curve: Callable[[Array, Any], Array]
    x: Sequence[float]
    y: Sequence[float]
    starts: Sequence[Sequence[float]]
    b: Sequence[float]
    rss: float


MISRA_X = [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1]
MISRA_X += [689.1, 760.0]
MISRA_Y = [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40]
MISRA_Y += [75.47, 81.78]

THURBER_X = [-3.067, -2.981, -2.921, -2.912, -2.840, -2.797, -2.702, -2.699, -2.633, -2.481]
THURBER_X += [-2.363, -2.322, -1.501, -1.460, -1.274, -1.212, -1.100, -1.046, -0.915, -0.714]
THURBER_X += [-0.566, -0.545, -0.400, -0.309, -0.109, -0.103, 0.010, 0.119, 0.377, 0.790]
THURBER_X += [0.963, 1.006, 1.115, 1.572, 1.841, 2.047, 2.200]
THURBER_Y = [80.574, 84.248, 87.264, 87.195, 89.076, 89.608, 89.868, 90.101, 92.405, 95.854]
THURBER_Y += [100.696, 101.060, 401.672, 390.724, 567.534, 635.316, 733.054, 759.087, 894.206]
THURBER_Y += [990.785, 1090.109, 1080.914, 1122.643, 1178.351, 1260.531, 1273.514, 1288.339]
THURBER_Y += [1327.543, 1353.863, 1414.509, 1425.208, 1421.384, 1442.962, 1464.350, 1468.705]
THURBER_Y += [1447.894, 1457.628]
THURBER_B = [1.2881396800e03, 1.4910792535e03, 5.8323836877e02, 7.5416644291e01]
THURBER_B += [9.6629502864e-01, 3.9797285797e-01, 4.9727297349e-02]
RAT43_Y = [16.08, 33.83, 65.80, 97.20, 191.55, 326.20, 386.87, 520.53, 590.03, 651.92, 724.93]
RAT43_Y += [699.56, 689.96, 637.56, 717.41]
MEYER_Y = [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147]
MEYER_Y += [4427, 3820, 3307, 2872]

FITS = {
    "Misra1a": CurveFit(
        lambda b, x: b[0] * (1 - jnp.exp(-b[1] * x)),
        MISRA_X,
        MISRA_Y,
        [[500, 1e-4], [250, 5e-4]],
        [2.3894212918e02, 5.5015643181e-04],
        1.2455138894e-01,
    ),
    "Misra1b": CurveFit(
        lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
        MISRA_X,
        MISRA_Y,
        [[500, 1e-4], [300, 2e-4]],
        [3.3799746163e02, 3.9039091287e-04],
        7.5464681533e-02,
    ),
    "Misra1c": CurveFit(
        lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
        MISRA_X,
        MISRA_Y,
        [[500, 1e-4], [600, 2e-4]],
        [6.3642725809e02, 2.0813627256e-04],
        4.0966836971e-02,
    ),
    "Misra1d": CurveFit(
        lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
        MISRA_X,
        MISRA_Y,
        [[500, 1e-4], [450, 3e-4]],
        [4.3736970754e02, 3.0227324449e-04],
        5.6419295283e-02,
    ),
    "MGH09": CurveFit(
        lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
        [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625],
        [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246],
        [[25, 39, 41.5, 39], [0.25, 0.39, 0.415, 0.39]],
        [1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01],
        3.0750560385e-04,
    ),
    "MGH10": CurveFit(  # from NIST's far start it takes more steps than anyone would wait for
        lambda b, x: b[0] * jnp.exp(b[1] / (x + b[2])),
        [50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100, 105, 110, 115, 120, 125],
        MEYER_Y,
        [[0.02, 4000, 250]],
        [5.6096364710e-03, 6.1813463463e03, 3.4522363462e02],
        8.7945855171e01,
    ),
    "BoxBOD": CurveFit(  # from NIST's far start MINPACK too ends elsewhere, where the curve is flat
        lambda b, x: b[0] * (1 - jnp.exp(-b[1] * x)),
        [1, 2, 3, 5, 7, 10],
        [109, 149, 149, 191, 213, 224],
        [[100, 0.75]],
        [2.1380940889e02, 5.4723748542e-01],
        1.1680088766e03,
    ),
    "Rat42": CurveFit(
        lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)),
        [9, 14, 21, 28, 42, 57, 63, 70, 79],
        [8.93, 10.8, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08],
        [[100, 1, 0.1], [75, 2.5, 0.07]],
        [7.2462237576e01, 2.6180768402e00, 6.7359200066e-02],
        8.0565229338e00,
    ),
    "Rat43": CurveFit(
        lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)) ** (1 / b[3]),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        RAT43_Y,
        [[100, 10, 1, 1], [700, 5, 0.75, 1.3]],
        [6.9964151270e02, 5.2771253025e00, 7.5962938329e-01, 1.2792483859e00],
        8.7864049080e03,
    ),
    "Thurber": CurveFit(
        lambda b, x: (
            (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3)
            / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)
        ),
        THURBER_X,
        THURBER_Y,
        [[1000, 1000, 400, 40, 0.7, 0.3, 0.03], [1300, 1500, 500, 75, 1, 0.4, 0.05]],
        THURBER_B,
        5.6427082397e03,
    ),
}


@pytest.mark.parametrize("fit", FITS.values(), ids=list(FITS))
def test_certified_curve_fits(fit: CurveFit) -> None:
    x, y = np.asarray(fit.x), np.asarray(fit.y)

    def residuals(b: Array) -> Array:
        return fit.curve(b, x) - y

    for start in fit.starts:
        found = minimize(residuals, np.asarray(start), "levenberg_marquardt", tolerance=1e-7)
        assert found.success, found
        np.testing.assert_allclose(found.x, fit.b, rtol=1e-6)
        np.testing.assert_allclose(2 * found.fun, fit.rss, rtol=1e-9)


def steps_in_numpy(
    residuals: Any, jacobian: Any, x: np.ndarray, damping: float, steps: int
) -> tuple[list[np.ndarray], int]:
    """The iteration with its normal equations, and how many dampings it tried."""
    nu, scale, tried, points = 2.0, np.zeros_like(x), 0, []
    for _ in range(steps):
        r, j = residuals(x), jacobian(x)
        scale = np.maximum(scale, np.sqrt(np.sum(j**2, axis=0)))
        d2, g = np.diag(scale**2), j.T @ r
        while True:
            tried += 1
            delta = -np.linalg.solve(j.T @ j + damping * d2, g)
            r_new = residuals(x + delta)
            rho = 0.5 * (r @ r - r_new @ r_new) / (0.5 * delta @ (damping * d2 @ delta - g))
            if rho > 0:
                damping, nu = damping * max(1 / 3, 1 - (2 * rho - 1) ** 3), 2.0
                break
            damping, nu = damping * nu, 2 * nu
        x = x + delta
        points.append(x)
    return points, tried


@pytest.mark.parametrize("damping", [1e-3, 10.0])
def test_steps_are_those_of_the_equations(damping: float) -> None:
    def residuals(x: Array) -> Array:  # Rosenbrock's function, with a residual more
        return jnp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0], 0.1 * jnp.sin(x[0] * x[1])])

    r, jacobian = jax.jit(residuals), jax.jit(jax.jacrev(residuals))
    start = np.asarray([-1.2, 1.0])
    expected, tried = steps_in_numpy(
        lambda x: np.asarray(r(x)), lambda x: np.asarray(jacobian(x)), start, damping, 12
    )
    rule = levenberg_marquardt(damping)
    step = jax.jit(lambda x, state: rule.update(x, state, x, residual_fn=residuals))
    x, state = jnp.asarray(start), rule.init(jnp.asarray(start))
    for point in expected:
        u, state = step(x, state)
        x = optax.apply_updates(x, u)
        np.testing.assert_allclose(x, point, rtol=1e-9)
    assert state.evaluations.nfev == tried + 12
    assert tried > 12  # some dampings were too small


def test_trees_fewer_residuals_than_parameters_and_units() -> None:
    def residuals(p: Any) -> Any:
        return {"a": p["w"] @ jnp.ones(3) - 1, "b": jnp.exp(p["s"]) - 2}

    p = {"w": jnp.ones((1, 3)), "s": jnp.zeros([]), "empty": jnp.zeros(0)}
    found = minimize(residuals, p, "levenberg_marquardt")
    assert found.success
    np.testing.assert_allclose(found.x["s"], np.log(2), rtol=1e-7)
    np.testing.assert_allclose(found.x["w"].sum(), 1, rtol=1e-7)

    def counts(unit: float) -> tuple[int, int]:
        fit = FITS["Misra1a"]
        x, y = np.asarray(fit.x), np.asarray(fit.y)
        b0 = np.asarray(fit.starts[0]) / [1, unit]
        found = minimize(
            lambda b: fit.curve(b * jnp.asarray([1, unit]), x) - y, b0, "levenberg_marquardt"
        )
        return int(found.nit), int(found.nfev)

    assert counts(1.0) == counts(2.0**20)


def test_exact_fits_and_tolerances_finer_than_rounding() -> None:
    def exact(x: Array) -> Array:
        return jnp.stack([x[0] - 1, 3 * (x[1] + 2), x[0] * x[1] + 2])

    def inexact(x: Array) -> Array:
        return jnp.stack([x[0] - 1, x[0] + 1, jnp.sin(x[1]) - 2])

    for fun, answer in ((exact, [1, -2]), (inexact, [0, np.pi / 2])):
        found = minimize(fun, np.asarray([0.5, 0.7]), "levenberg_marquardt", tolerance=0.0)
        assert found.success
        assert found.status in (0, 4)
        np.testing.assert_allclose(found.x, answer, atol=1e-6)


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"levenberg_marquardt: damping must be .* > 0, got 0"):
        levenberg_marquardt(damping=0.0)
    with pytest.raises(ValueError, match=r"max_evaluations must be a whole number >= 1, got 1.5"):
        levenberg_marquardt(max_evaluations=1.5)  # type: ignore[arg-type]
    rule, x = levenberg_marquardt(), jnp.ones(2)
    with pytest.raises(ValueError, match="update needs the residuals"):
        rule.update(x, rule.init(x), x)
    with pytest.raises(ValueError, match="needs residuals, but fun gives a single number"):
        minimize(lambda x: jnp.sum(x**2), np.ones(2), "levenberg_marquardt")
    with pytest.raises(ValueError, match=r"fun must give one number, got shapes \[\(2,\)\]"):
        minimize(lambda x: x**2, np.ones(2), "bfgs")
