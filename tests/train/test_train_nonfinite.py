"""Runs whose loss becomes infinite or NaN."""

import pickle
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet import models, optim
from jaxnet.train import NonFiniteError, fit


@pytest.fixture(autouse=True)
def float32() -> Iterator[None]:
    """Its numbers end at 3.4e38, which a diverging run reaches soon."""
    with jax.enable_x64(False):
        yield


def parabola(weights: float = 0.5) -> tuple[Any, Any]:
    """X^2 fitted with the features 1, x and x^2 from equal weights: gd with 0.01 diverges."""
    x = np.arange(1.0, 6.0)
    model = models.mlp(
        [3, 1], loss="squared_error", bias=False, w_init=np.full((3, 1), weights, np.float32)
    )
    return model, (np.stack([x**0, x, x**2], axis=1), (x**2)[:, None])


def failure(model: Any, optimizer: Any, data: Any, **options: Any) -> NonFiniteError:
    with pytest.raises(NonFiniteError) as caught:
        fit(model, optimizer, data, **{"steps": 100} | options)
    return caught.value


def loss_at(model: Any, params: Any, data: Any) -> Array:
    loss: Array = model.loss(params, jax.tree.map(jnp.asarray, data))
    return loss


def test_a_diverging_run_ends_with_what_it_had_and_advice(
    chunk_seconds: float, same_bits: Any
) -> None:
    model, data = parabola()
    error = failure(model, optim.gd(0.01), data)
    result = error.result
    losses = result.history["loss"]
    np.testing.assert_allclose(losses[[0, 10, 20]], [25.45, 2.104e11, 1.782e21], rtol=1e-3)
    assert np.isfinite(losses[:-1]).all()
    assert np.isinf(losses[-1])
    failed = len(losses) - 1
    assert result.steps == failed + 1
    # The parameters that gave the last finite loss: those of a run that ends before that step.
    same_bits(result.params, fit(model, optim.gd(0.01), data, steps=failed - 1).params)
    assert loss_at(model, result.params, data) == pytest.approx(float(losses[-2]), rel=1e-5)
    assert str(error) == (
        f"the loss became inf at step {failed} of 100 (counted from 0; learning rate 0.01). "
        "The loss was 25.45 at step 0 and 1.366e+37 just before. Try a smaller learning rate, for "
        "instance 0.001, standardised inputs, or a limit on the gradient's norm (clip_norm=1.0)."
    )
    assert "result.params" in error.__notes__[0]
    # The advice helps.
    fit(model, optim.gd(0.001), data, steps=100)
    fit(model, optim.gd(0.01), data, steps=100, clip_norm=1.0)


# With growing chunks the run pauses after 1, 11 and 111 steps, and one step before each of these.
@pytest.mark.parametrize("failed", [1, 2, 11, 12])
def test_the_last_finite_parameters_do_not_depend_on_the_chunks(
    chunk_seconds: float, same_bits: Any, failed: int
) -> None:
    model, data = parabola()

    def rate(step: Array) -> Array:
        """Small steps, and one from which the next loss overflows."""
        return jnp.where(step == failed - 1, 1e30, 1e-3)

    error = failure(model, optim.nag(rate), data, steps=20)
    assert error.result.steps == failed + 1
    due = model.init(jax.random.key(0)) if failed == 1 else fit(
        model, optim.nag(1e-3), data, steps=failed - 1
    ).params  # fmt: skip
    same_bits(error.result.params, due)
    assert f"at step {failed} of 20" in str(error)


def test_a_loss_that_is_not_finite_to_begin_with(chunk_seconds: float, same_bits: Any) -> None:
    model, data = parabola(weights=1e30)
    error = failure(model, optim.gd(0.01), data)
    assert error.result.steps == 1
    same_bits(error.result.params, model.init(jax.random.key(0)))
    assert "became inf at step 0 of 100" in str(error)
    assert "not finite to begin with: look at the initial parameters" in str(error)
    assert "smaller learning rate" not in str(error)


def test_an_update_that_explodes_at_the_very_end_is_seen(
    chunk_seconds: float, same_bits: Any
) -> None:
    """No step sees the loss of the last update."""
    model, data = parabola()
    error = failure(model, optim.gd(lambda step: jnp.where(step == 11, 1e38, 1e-5)), data, steps=12)
    assert error.result.steps == 12
    assert np.isfinite(error.result.history["loss"]).all()
    same_bits(error.result.params, fit(model, optim.gd(1e-5), data, steps=11).params)
    assert str(error).startswith("the update made parameters not finite at step 11 of 12 (")


def test_the_advice_is_not_what_was_done_already() -> None:
    model, data = parabola()
    message = str(failure(model, optim.gd(1e37), data, clip_norm=10.0))
    assert "Try a smaller learning rate" in message
    assert "clip_norm" not in message


def test_it_can_be_sent_between_processes(same_bits: Any) -> None:
    model, data = parabola()
    error = failure(model, optim.gd(0.01), data)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    same_bits(copy.result.params, error.result.params)


@pytest.mark.parametrize(
    ("optimizer", "told", "advised"),
    [
        (optim.nag(1.0), "learning rate 1)", "for instance 0.1,"),
        (
            optim.gd(optax.linear_schedule(1.0, 2.0, 1000)),
            "learning rate 1.007)",
            "for instance 0.1007,",
        ),
        (optax.inject_hyperparams(optax.sgd)(0.5), "learning rate 0.5)", "for instance 0.05,"),
        (optax.sgd(1.0), "learning rate unknown: wrap the rule in optax.inject_hyperparams", ""),
    ],
    ids=["nag", "schedule", "injected", "unknown"],
)
def test_the_message_tells_the_learning_rate(optimizer: Any, told: str, advised: str) -> None:
    model, data = parabola()
    message = str(failure(model, optimizer, data))
    assert told in message
    assert f"Try a smaller learning rate, {advised}" in message


def test_evaluations_up_to_the_failure_are_kept() -> None:
    model, data = parabola()
    error = failure(model, optim.gd(0.01), data, validation=data, evaluate_every=10, patience=5)
    history = error.result.history
    assert history["step"].tolist() == [10, 20, 30]
    np.testing.assert_allclose(history["validation_loss"], history["loss"][[10, 20, 30]], rtol=1e-5)


def test_it_is_a_floating_point_error() -> None:
    assert issubclass(NonFiniteError, FloatingPointError)
