"""The line search against MINPACK's, and where there is little to find."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy.optimize._dcsrch import DCSRCH  # type: ignore[import-untyped]

from jaxnet.optim.line_search import Searched, line_search


def log_like(a: Array) -> Any:
    return -a / (a**2 + 2)


def quintic(a: Array) -> Any:
    return (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4


def kinked(a: Array) -> Any:
    """Yanai, Ozawa & Kaneko's function with the steep ends that More & Thuente take."""
    b1, b2 = 0.001, 0.01
    g1, g2 = np.sqrt(1 + b1**2) - b1, np.sqrt(1 + b2**2) - b2
    return g1 * jnp.sqrt((1 - a) ** 2 + b2**2) + g2 * jnp.sqrt(a**2 + b1**2)


FIRST = [1e-3, 1e-1, 1.0, 10.0, 1e3]


def search(f: Callable[[Array], Array], first: Any, **constants: Any) -> Searched:
    """Search along f itself: from 0, in direction 1."""
    fun = jax.value_and_grad(lambda x: f(x[0]))
    x = jnp.zeros(1)
    return line_search(fun, x, jnp.ones(1), *fun(x), first, **constants)


@pytest.mark.parametrize(
    ("f", "c1", "c2"),
    [(log_like, 1e-3, 0.1), (quintic, 0.1, 0.1), (kinked, 1e-3, 1e-3), (log_like, 1e-4, 0.9)],
)
def test_it_takes_the_trial_steps_of_minpack(f: Any, c1: float, c2: float) -> None:
    found = jax.jit(jax.vmap(lambda first: search(f, first, c1=c1, c2=c2, max_evaluations=40)))(
        jnp.asarray(FIRST)
    )
    slope = jax.jit(jax.grad(f))
    value = jax.jit(f)
    for i, first in enumerate(FIRST):
        counted: list[float] = []

        def phi(a: float, counted: list[float] = counted) -> float:
            counted.append(a)
            return float(value(a))

        minpack = DCSRCH(phi, lambda a: float(slope(a)), c1, c2, 1e-14, 1e-100, 1e100)
        step, *_ = minpack(first, phi0=float(value(0.0)), derphi0=float(slope(0.0)), maxiter=40)
        assert found.success[i]
        np.testing.assert_allclose(found.step[i], step, rtol=1e-9)
        assert found.evaluations[i] == len(counted)
        np.testing.assert_allclose(found.value[i], value(step), rtol=1e-9)
        np.testing.assert_allclose(found.grad[i, 0], slope(found.step[i]), rtol=1e-9)


def test_a_step_out_of_the_domain_is_a_limit() -> None:
    # The minimum is at a = 0.9; beyond a = 1 the function is not a number.
    found = search(lambda a: -jnp.log(1 - a) - 10 * a, 50.0, c2=0.01, max_evaluations=40)
    assert found.success
    np.testing.assert_allclose(found.step, 0.9, atol=1e-2)


@pytest.mark.parametrize("slope", [0.0, 1.0, np.nan])
def test_no_step_where_the_line_does_not_descend(slope: float) -> None:
    found = search(lambda a: slope * a, 1.0)
    assert not found.success
    assert found.step == found.evaluations == 0


def test_the_best_of_too_few_trials_is_kept() -> None:
    found = search(lambda a: -a, 1.0, max_evaluations=3)
    assert not found.success
    assert found.evaluations == 3
    np.testing.assert_allclose(found.value, -found.step)
    assert found.step > 1


def test_the_conditions_hold_up_to_rounding_next_to_a_minimum() -> None:
    # All values on this line are 1: only slopes tell where its minimum is.
    found = search(lambda a: 1 + 1e-9 * (1e-4 - a) ** 2, 1e-5, c2=0.1)
    assert found.success
    np.testing.assert_allclose(found.step, 1e-4, rtol=0.1)
