"""What a run measures on the way, early stopping, and the accuracy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet import models, optim
from jaxnet.data.batches import shuffled
from jaxnet.train import accuracy, fit


@pytest.mark.parametrize(
    ("options", "recorded"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),  # every step is an epoch
        ({"evaluate_every": 3}, [3, 6, 8]),
        ({"batch_size": 5}, [2, 4, 6, 8]),  # two batches of 5 in 13 rows
    ],
    ids=["default", "every_3", "every_epoch"],
)
def test_the_history_is_what_one_would_measure(
    classification: Any, by_hand: Any, key: Array, options: dict[str, Any], recorded: list[int]
) -> None:
    model, data, validation = classification
    sampler = shuffled(len(data[0]), options["batch_size"]) if "batch_size" in options else None
    due = by_hand(model, optim.nag(0.3), data, 8, key=key, sampler=sampler)
    result = fit(model, optim.nag(0.3), data, steps=8, key=key, validation=validation, **options)
    assert result.history["step"].tolist() == recorded

    def share_right(params: Any, part: Any) -> Array:
        return jnp.mean(model.apply(params, part[0]).argmax(axis=1) == part[1])

    assert set(result.history) == {
        "loss", "step", "validation_loss", "validation_accuracy", "train_accuracy",
    }  # fmt: skip
    # At nag's points to evaluate, whose losses are not those at its params.
    answers = [due.answers[step] for step in recorded]
    for name, expected, tolerance in (
        ("validation_loss", [model.loss(p, validation) for p in answers], 1e-12),
        ("validation_accuracy", [share_right(p, validation) for p in answers], 1e-6),
        ("train_accuracy", [share_right(p, data) for p in answers], 1e-6),
    ):
        np.testing.assert_allclose(result.history[name], np.array(expected), rtol=tolerance)
    elsewhere = model.loss(due.params[8], validation)
    assert not np.isclose(result.history["validation_loss"][-1], elsewhere, rtol=1e-3)


def test_a_regression_has_no_accuracies() -> None:
    x = np.linspace(-1, 1, 6)[:, None]
    result = fit(
        models.linear_regression(1), optim.gd(0.1), (x, 2 * x), steps=3, validation=(x, 2 * x)
    )
    assert set(result.history) == {"loss", "step", "validation_loss"}
    # With the same data in both, an evaluation after a step is the loss that the next one sees.
    np.testing.assert_allclose(result.history["validation_loss"][:-1], result.history["loss"][1:])


def stopped_by_hand(losses: np.ndarray, patience: int) -> tuple[int, int]:
    """The number of evaluations done and, from 0, the best one."""
    best = 0
    for i, loss in enumerate(losses):
        if loss < losses[best]:
            best = i
        elif i - best == patience:
            return i + 1, best
    return len(losses), best


@pytest.fixture(scope="module")
def noisy_run() -> tuple[dict[str, Any], Any]:
    """Small batches and a large step: the validation loss goes down, and up and down again."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(24, 2))
    t = x @ np.array([[1.0], [-1.0]]) + 0.5 * rng.normal(size=(24, 1))
    arguments = {
        "model": models.linear_regression(2),
        "optimizer": optim.nag(0.05),
        "data": (x[:12], t[:12]),
        "validation": (x[12:], t[12:]),
        "steps": 61,
        "batch_size": 4,
        "evaluate_every": 2,
    }
    return arguments, fit(**arguments)


@pytest.mark.parametrize("patience", [1, 2, 4, 100])
def test_early_stopping_gives_back_the_best(noisy_run: Any, patience: int) -> None:
    arguments, full = noisy_run
    losses = full.history["validation_loss"]
    evaluations, best = stopped_by_hand(losses, patience)
    result = fit(**arguments, patience=patience)
    assert result.steps == full.history["step"][evaluations - 1]
    assert result.best_step == full.history["step"][best]
    np.testing.assert_allclose(result.history["validation_loss"], losses[:evaluations], rtol=1e-12)
    np.testing.assert_allclose(result.history["loss"], full.history["loss"][: result.steps])
    best_loss = arguments["model"].loss(result.params, arguments["validation"])
    assert best_loss == pytest.approx(losses[:evaluations].min(), rel=1e-12)


def test_the_cases_of_early_stopping_differ(noisy_run: Any) -> None:
    """That the test above stops early and late, before and after the best, and not at all."""
    losses = noisy_run[1].history["validation_loss"]
    cases = [stopped_by_hand(losses, patience) for patience in (1, 2, 4, 100)]
    assert len(set(cases)) >= 3
    evaluations, best = cases[-1]
    assert (evaluations, best < evaluations - 1) == (len(losses), True)
    assert cases[0][0] < 10
    assert noisy_run[1].best_step is None


def test_without_patience_the_last_parameters_come_back(noisy_run: Any) -> None:
    arguments, full = noisy_run
    last = arguments["model"].loss(full.params, arguments["validation"])
    assert last == pytest.approx(full.history["validation_loss"][-1], rel=1e-12)
    assert last > full.history["validation_loss"].min()


CLASSES = [0, 1, 2, 1]
SCORES = [[3.0, 1.0, 2.0], [0.0, 1.0, 0.5], [1.0, 2.0, 0.0], [-2.0, -1.0, -3.0]]  # names 0 1 1 1


@pytest.mark.parametrize(
    ("loss", "scores", "targets", "due"),
    [
        ("softmax_cross_entropy", SCORES, np.array(CLASSES), 0.75),
        ("softmax_cross_entropy", SCORES, np.eye(3)[CLASSES], 0.75),
        ("sigmoid_cross_entropy", [[-1.0], [2.0], [0.1], [-0.1]], np.array([0, 1, 0, 0]), 0.75),
        ("sigmoid_cross_entropy", [[-1.0], [2.0]], np.array([[1.0], [1.0]]), 0.5),
        ("hinge", [[-1.0], [2.0], [3.0]], np.array([[-1.0], [1.0], [-1.0]]), 2 / 3),
    ],
    ids=["classes", "one_hot", "one_output", "one_column", "signs"],
)
def test_accuracy_is_the_share_of_rows_named_right(
    loss: str, scores: Any, targets: np.ndarray, due: float
) -> None:
    n = len(scores[0])
    model = models.mlp([n, n], loss=loss, w_init=np.eye(n))
    params = model.init(jax.random.key(0))  # the identity, so that inputs are scores
    measured = accuracy(model, params, (jnp.asarray(scores), jnp.asarray(targets)))
    assert float(measured) == pytest.approx(due)


def test_accuracy_of_a_regression_is_refused() -> None:
    model = models.linear_regression(1)
    with pytest.raises(ValueError, match=r"^accuracy: .*numbers, not class scores"):
        accuracy(model, model.init(jax.random.key(0)), (jnp.ones((2, 1)), jnp.ones((2, 1))))
