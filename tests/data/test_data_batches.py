"""Which rows the steps of a run see."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.data.batches import Sampler, shuffled, with_replacement


def rows_of(sampler: Sampler, steps: int, key: Array) -> np.ndarray:
    """The rows of the first steps, (steps, batch_size)."""

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def draw(key: Array) -> Array:
        def step(state: Any, k: Array) -> Any:
            rows, _, state = sampler.sample(state, k, None)
            return state, rows

        rows: Array
        _, rows = jax.lax.scan(step, sampler.init(key), jnp.arange(steps))
        return rows

    return np.asarray(draw(key))


@pytest.mark.parametrize("batch_size", [1, 4, 12])
def test_an_epoch_has_every_row_once_and_an_order_of_its_own(batch_size: int, key: Array) -> None:
    epochs = rows_of(shuffled(12, batch_size), 5 * 12 // batch_size, key).reshape(5, 12)
    for order in epochs:
        assert sorted(order) == list(range(12))
    assert len(np.unique(epochs, axis=0)) == 5
    assert not (epochs[0] == np.arange(12)).all()


def test_rows_that_fill_no_batch_sit_an_epoch_out_in_turn(key: Array) -> None:
    epochs = rows_of(shuffled(11, 4), 2 * 20, key).reshape(20, 8)
    assert all(len(set(order)) == 8 for order in epochs)
    assert set(epochs.ravel()) == set(range(11))
    left_out = {frozenset(set(range(11)) - set(order)) for order in epochs}
    assert len(left_out) > 10


def test_every_row_comes_at_every_place_equally_often(key: Array) -> None:
    epochs = rows_of(shuffled(5, 5), 2000, key)
    counts = np.stack([np.bincount(column, minlength=5) for column in epochs.T])
    # 400 each with a standard deviation of sqrt(2000 * 0.2 * 0.8) = 18.
    assert np.abs(counts - 400).max() < 5 * 18


def test_with_replacement_every_row_is_equally_likely_and_may_come_again(key: Array) -> None:
    rows = rows_of(with_replacement(5, 8), 1000, key)
    assert rows.shape == (1000, 8)
    counts = np.bincount(rows.ravel(), minlength=5)
    assert len(counts) == 5  # none beyond the last row
    # 1600 each with a standard deviation of sqrt(8000 * 0.2 * 0.8) = 36.
    assert np.abs(counts - 1600).max() < 5 * 36
    assert len(np.unique(rows, axis=0)) > 980  # of 5^8 kinds of batches
    # Neighbours are independent: a row is followed by itself in a fifth of the cases.
    same = np.mean(rows[:, 1:] == rows[:, :-1])
    assert same == pytest.approx(0.2, abs=5 * np.sqrt(0.16 / 7000))


@pytest.mark.parametrize("sampler", [shuffled(6, 2), with_replacement(6, 2)])
def test_the_key_decides(sampler: Sampler) -> None:
    first, again, other = (rows_of(sampler, 6, jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("sampler", [shuffled(6, 2), with_replacement(6, 2)])
def test_rows_and_state_have_fixed_types(sampler: Sampler, key: Array) -> None:
    state = sampler.init(key)
    rows, weights, after = jax.eval_shape(sampler.sample, state, jnp.int32(0), None)
    assert weights is None
    assert rows.shape == (2,)
    assert jnp.issubdtype(rows.dtype, jnp.integer)
    assert jax.tree.map(jax.typeof, state) == jax.tree.map(jax.typeof, after)
