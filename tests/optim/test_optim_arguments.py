from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import optim

RULES: list[Any] = [optim.gd, optim.momentum, optim.nesterov, optim.nag]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (-0.1, ValueError, r"learning_rate must be a finite number >= 0, got -0\.1"),
        (-1, ValueError, r"learning_rate must be a finite number >= 0, got -1"),
        (float("nan"), ValueError, "learning_rate must be a finite number >= 0, got nan"),
        (float("inf"), ValueError, "learning_rate must be a finite number >= 0, got inf"),
        ("0.1", TypeError, r"learning_rate must be a number, an array or a schedule, got '0\.1'"),
        (None, TypeError, "learning_rate must be a number, an array or a schedule, got None"),
        ([0.1], TypeError, r"learning_rate must be a number, an array or a schedule, got \[0\.1\]"),
    ],
)
def test_a_learning_rate_that_cannot_be_one_is_refused(
    rule: Any, rate: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{rule.__name__}: {message}$"):
        rule(rate)


@pytest.mark.parametrize("rate", [0, 0.1, np.float32(0.1), jnp.asarray(0.1), lambda step: 0.1])
@pytest.mark.parametrize("rule", RULES)
def test_every_form_of_learning_rate_works(rule: Any, rate: Any) -> None:
    params = jnp.asarray([2.0])
    optimizer = rule(rate)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    # From a standing start the step is lr g, and lr (1 + mu) g for nesterov.
    size = 0 if isinstance(rate, int) else 0.1 * (1.9 if rule is optim.nesterov else 1)
    np.testing.assert_allclose(updates, -size * params, rtol=1e-6)


@pytest.mark.parametrize("rule", [optim.momentum, optim.nesterov])
@pytest.mark.parametrize("momentum", [1.0, -0.1, 2, float("nan"), float("inf")])
def test_a_momentum_outside_its_range_is_refused(rule: Any, momentum: float) -> None:
    with pytest.raises(
        ValueError, match=rf"^{rule.__name__}: momentum must be in \[0, 1\), got {momentum}$"
    ):
        rule(0.1, momentum)


def test_nag_without_params_says_how_to_call_it() -> None:
    optimizer = optim.nag(0.1)
    state = optimizer.init(jnp.ones(2))
    with pytest.raises(ValueError, match=r"^nag: .*update\(grads, state, params\)$"):
        optimizer.update(jnp.ones(2), state)
