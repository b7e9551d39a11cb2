"""What every rule does with parameters that it cannot update, and with none at hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import optim
from jaxnet.optim import ZOO, Entry

every_entry = pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))

PARAMS = {"layers": [{"w": jnp.ones((2, 3)), "b": jnp.ones(3)}], "scale": jnp.zeros(())}


def with_leaf(leaf: Any) -> Any:
    return PARAMS | {"layers": [{"w": leaf, "b": jnp.ones(3)}]}


@every_entry
def test_parameters_that_are_not_real_are_refused(entry: Entry) -> None:
    rule = entry.make(0.1)
    with pytest.raises(TypeError, match=rf"^{entry.name}: .* leaf 'layers\.0\.w' is complex64; op"):
        rule.init(with_leaf(jnp.ones((2, 3), np.complex64)))
    with pytest.raises(TypeError, match=rf"^{entry.name}: .* leaf 'layers\.0\.w' is int32$"):
        rule.init(with_leaf(jnp.ones((2, 3), np.int32)))


def test_a_single_array_has_no_name_in_the_message() -> None:
    with pytest.raises(TypeError, match=r"^gd: parameters must be real, but they are complex128; "):
        optim.gd(0.1).init(jnp.ones(3, np.complex128))


@every_entry
def test_a_masked_leaf_may_be_of_any_type(entry: Entry) -> None:
    params = with_leaf(jnp.ones((2, 3), np.complex64))
    mask = {"layers": [{"w": False, "b": True}], "scale": True}
    optax.masked(entry.make(0.1), mask).init(params)


@every_entry
def test_a_state_has_a_shape_without_arrays(entry: Entry) -> None:
    init = entry.make(0.1).init
    shapes = jax.eval_shape(lambda: PARAMS)
    assert jax.eval_shape(init, shapes) == jax.eval_shape(lambda: init(PARAMS))


def test_an_array_given_as_learning_rate_is_not_in_the_state() -> None:
    rate = jnp.asarray(0.1, jnp.float64)
    state: Any = optim.gd(rate).init(PARAMS)
    assert state.learning_rate.unsafe_buffer_pointer() != rate.unsafe_buffer_pointer()
