"""What every test can rely on: float64 on, and helpers to compare trees leaf by leaf."""

import jax
import pytest
from jax import Array

jax.config.update("jax_enable_x64", True)


@pytest.fixture
def key() -> Array:
    """The key that a test draws from; it is the same in every run."""
    return jax.random.key(20)
