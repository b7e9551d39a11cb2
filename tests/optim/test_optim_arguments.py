from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import optim

RULES: list[Any] = [optim.gd, optim.momentum, optim.nesterov, optim.nag]


@pytest.mark.parametrize("rate", [0, 0.1, np.float32(0.1), jnp.asarray(0.1), lambda step: 0.1])
@pytest.mark.parametrize("rule", RULES)
def test_every_form_of_learning_rate_works(rule: Any, rate: Any) -> None:
    params = jnp.asarray([2.0])
    optimizer = rule(rate)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    # From a standing start the step is lr g, and lr (1 + mu) g for nesterov.
    size = 0 if isinstance(rate, int) else 0.1 * (1.9 if rule is optim.nesterov else 1)
    np.testing.assert_allclose(updates, -size * params, rtol=1e-6)
