"""The learning-rate range test, and its picture."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import check, plot

X = np.linspace(-1, 1, 40)[:, None]
T = 3 * X[:, 0]


def loss(w: Any, x: Any, t: Any) -> Any:
    """The mean square of x w - t: its curvature is 2 mean(x^2)."""
    return jnp.mean((x @ w - t) ** 2)


def test_the_losses_are_those_of_the_steps() -> None:
    found = check.learning_rate_range(loss, jnp.zeros(1), (X, T), start=1e-4, end=100.0, steps=60)
    curvature = 2 * np.mean(X**2)
    w, expected = 0.0, []
    for rate in found.learning_rates:
        expected.append(curvature / 2 * (w - 3) ** 2)
        w -= rate * curvature * (w - 3)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.largest_stable_step, 2 / curvature, rtol=1e-6)
    assert found.ended == "diverged"
    assert set(found.suggestions) == {"steepest", "valley", "minimum"}
    assert all(1e-3 < rate < 2 / curvature for rate in found.suggestions.values())


def test_how_it_ended_is_told_apart() -> None:
    short = check.learning_rate_range(loss, jnp.zeros(1), (X, T), end=1e-6, steps=20)
    assert (short.ended, short.suggestions) == ("not enough data", {})
    stable = check.learning_rate_range(loss, jnp.zeros(1), (X, T), start=1e-3, end=1.0, steps=20)
    assert stable.ended == "reached the end"
    lost = check.learning_rate_range(
        loss, jnp.zeros(1), (X, T), start=1.0, end=1e30, steps=50, optimizer=optax.adam,
        batch_size=8,
    )  # fmt: skip
    assert lost.ended == "diverged"
    assert lost.largest_stable_step == pytest.approx(1 / np.mean(X**2), rel=1e-5)
    assert np.isfinite(lost.losses).all()


def test_it_says_what_the_suggestions_are() -> None:
    found = check.learning_rate_range(loss, jnp.zeros(1), (X, T), end=100.0, steps=40)
    said = str(found)
    for name, rate in found.suggestions.items():
        assert f"{name:<9} {rate:<9.3g}" in said
    assert "the largest stable step of plain gradient descent" in said
    assert "the loss rose in the end" in said


def test_the_parameters_stay_as_they_are() -> None:
    w = jnp.zeros(1)
    check.learning_rate_range(loss, w, (X, T), steps=10)
    assert float(w[0]) == 0


def test_bad_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="0 < start < end"):
        check.learning_rate_range(loss, jnp.zeros(1), (X, T), start=1.0, end=0.1)
    with pytest.raises(ValueError, match="steps must be"):
        check.learning_rate_range(loss, jnp.zeros(1), (X, T), steps=3)


def test_the_picture_marks_the_suggestions() -> None:
    found = check.learning_rate_range(loss, jnp.zeros(1), (X, T), end=100.0, steps=40)
    (axis,) = plot.learning_rate_range(found, title="a line").axes
    labels = axis.get_legend_handles_labels()[1]
    names = [label.split(":")[0] for label in labels]
    assert names[:-1] == ["loss", "average", "steepest", "valley", "minimum"]
    assert names[-1].startswith("2 / lambda_max at the start, the largest stable")
    assert axis.get_xscale() == "log"
    assert axis.get_title() == "a line"


def test_what_the_range_test_cannot_begin_with() -> None:
    wrong: tuple[Any, ...] = ("adam", optax.adam(0.1))
    for optimizer in wrong:
        with pytest.raises(TypeError, match=r"such as optax\.adam without its brackets"):
            check.learning_rate_range(loss, jnp.zeros(1), (X, T), optimizer=optimizer)
    with pytest.raises(ValueError, match="not finite at the start"):
        check.learning_rate_range(lambda w, x, t: jnp.log(-1.0) + w.sum(), jnp.zeros(1), (X, T))
