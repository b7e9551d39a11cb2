"""`fit` against training by hand, and what must have no influence on it."""

import logging
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet import models, optim
from jaxnet.data.batches import shuffled, with_replacement
from jaxnet.train import fit, loop


@pytest.mark.parametrize(
    ("optimizer", "batch_size", "sampling"),
    [
        (optim.gd(0.1), None, "shuffled"),
        (optim.nag(0.1), None, "shuffled"),
        (optax.adam(optax.exponential_decay(0.1, 5, 0.5)), None, "shuffled"),
        (optim.momentum(0.1), 5, "shuffled"),
        (optim.nesterov(optax.cosine_decay_schedule(0.1, 20)), 4, "with_replacement"),
    ],
    ids=["gd", "nag", "adam-schedule", "momentum-shuffled", "nesterov-schedule-with_replacement"],
)
def test_a_run_is_the_loop_that_one_would_write(
    classification: Any,
    by_hand: Any,
    agree: Any,
    key: Array,
    optimizer: Any,
    batch_size: int | None,
    sampling: Literal["shuffled", "with_replacement"],
) -> None:
    model, data, _ = classification
    samplers = {"shuffled": shuffled, "with_replacement": with_replacement}
    sampler = None if batch_size is None else samplers[sampling](len(data[0]), batch_size)
    steps = 12
    due = by_hand(model, optimizer, data, steps, key=key, sampler=sampler)
    result = fit(
        model, optimizer, data, steps=steps, batch_size=batch_size, sampling=sampling, key=key
    )
    agree(result.params, due.answers[-1], 1e-12)
    # Each entry is the loss that the step saw, before its update.
    np.testing.assert_allclose(result.history["loss"], due.losses, rtol=1e-12)
    assert set(result.history) == {"loss"}
    assert (result.steps, result.best_step) == (steps, None)
    assert result.seconds > 0
    assert result.compile_seconds > 0


def test_the_hand_derived_gradient_trains_like_the_automatic_one(
    classification: Any, agree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data, _ = classification
    auto = fit(model, optim.gd(0.5), data, steps=100, gradient="auto")

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the hand-derived run called automatic differentiation")

    for name in ("grad", "value_and_grad", "vjp"):
        monkeypatch.setattr(jax, name, refuse)
    hand = fit(model, optim.gd(0.5), data, steps=100)
    agree(hand.params, auto.params, 1e-10)
    agree(hand.history, auto.history, 1e-10)
    assert hand.history["loss"][-1] < hand.history["loss"][0] / 2


def test_gradient_names_which_of_the_two_is_used(classification: Any) -> None:
    model, data, _ = classification
    still = model._replace(
        value_and_grad=lambda p, b, k: (model.loss(p, b, k), jax.tree.map(jnp.zeros_like, p))
    )
    losses = {g: fit(still, optim.gd(0.5), data, steps=2, gradient=g) for g in ("hand", "auto")}
    assert np.ptp(losses["hand"].history["loss"]) == 0
    assert np.ptp(losses["auto"].history["loss"]) > 0.01


def test_the_key_alone_decides_about_a_run(classification: Any, same_bits: Any) -> None:
    model, data, _ = classification
    runs = [
        fit(model, optim.gd(0.0), data, steps=6, batch_size=4, key=key, params=params)
        for key, params in (
            (None, None),
            (jax.random.key(0), None),
            (jax.random.key(1), model.init(jax.random.key(5))),
            (jax.random.key(2), model.init(jax.random.key(5))),
        )
    ]
    same_bits((runs[0].params, runs[0].history), (runs[1].params, runs[1].history))
    losses = [run.history["loss"] for run in runs]
    # From the same params the rows differ, and in the second epoch from those in the first.
    assert not np.isclose(losses[2], losses[3]).all()
    assert not np.isclose(losses[2][:3], losses[2][3:]).all()


def test_looking_in_has_no_influence(
    classification: Any, same_bits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data, validation = classification
    run_in_chunks = loop.run_in_chunks
    reports: list[list[int]] = []

    def listening(advance: Any, run: Any, inputs: Any, steps: int, report: Any) -> Any:
        reports.append([])
        return run_in_chunks(
            advance, run, inputs, steps, lambda step, loss: reports[-1].append(step)
        )

    monkeypatch.setitem(fit.__globals__, "run_in_chunks", listening)
    results = []
    for seconds in (1e-9, 100.0):
        monkeypatch.setattr(loop, "CHUNK_SECONDS", seconds)
        results.append(
            fit(
                model, optim.nag(0.1), data, steps=150, batch_size=5, validation=validation,
                patience=100,
            )
        )  # fmt: skip
    assert reports == [list(range(1, 151)), [1, 11, 111, 150]]
    first, second = results
    same_bits(
        (first.params, first.history, first.state), (second.params, second.history, second.state)
    )
    assert first.best_step == second.best_step


def test_nothing_of_the_callers_is_donated(classification: Any, same_bits: Any) -> None:
    model, data, validation = classification
    rate, key = jnp.asarray(0.1), jax.random.key(3)
    params = model.init(key)
    own = (data, validation, params, rate, key)
    before = jax.tree.map(jnp.copy, own)
    runs = [
        fit(
            model, optim.nag(rate), data, steps=5, batch_size=4, key=key, params=params,
            validation=validation, patience=9,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((own, runs[0].params)))
    same_bits(own, before)
    same_bits((runs[0].params, runs[0].history), (runs[1].params, runs[1].history))


def test_one_run_is_one_program(
    classification: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 1e-9)
    model, data, validation = classification

    def programs(steps: int) -> list[str]:
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            fit(model, optim.nag(0.1), data, steps=steps, validation=validation)
        messages = [record.getMessage() for record in caplog.records]
        return sorted(m.split(" in ")[0] for m in messages if m.startswith("Finished XLA comp"))

    # Numbers of steps that no other test has: a shape that was seen is not compiled for again.
    programs(31)  # what JAX compiles once and for all
    few = programs(37)
    assert sum("advance" in name for name in few) == 1
    assert programs(83) == few


def test_data_may_be_lists_and_whole_numbers(agree: Any) -> None:
    x: Any = [[0, 1], [2, 3], [4, 6]]
    t: Any = [[1], [2], [3]]
    model = models.linear_regression(2)
    result = fit(model, optim.gd(0.01), (x, t), steps=5)
    due = fit(model, optim.gd(0.01), (np.array(x, float), np.array(t, float)), steps=5)
    agree(result.params, due.params, 1e-12)
    assert result.history["loss"][0] == pytest.approx((1 + 4 + 9) / 3)  # from zeros
