"""Arguments that `fit` refuses, and what it says about them."""

from typing import Any

import jax
import numpy as np
import pytest

from jaxnet import data, models, optim
from jaxnet.train import fit

X = np.arange(12.0).reshape(6, 2)
T = np.array([0, 1, 2, 0, 1, 2])
NUMBERS = X[:, :1]
CLASSIFIER = models.mlp([2, 3])
REGRESSION = models.mlp([2, 1], loss="squared_error")


def refused(error: type[Exception], message: str, model: Any = CLASSIFIER, **options: Any) -> None:
    arguments: dict[str, Any] = {"data": (X, T), "steps": 2} | options
    with pytest.raises(error, match=message):
        fit(model, optim.gd(0.1), **arguments)


def with_value(value: float, row: int, column: int) -> np.ndarray:
    x = X.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "^fit: steps must be a positive integer, got 0$"),
        ({"steps": -1}, "^fit: steps must be a positive integer, got -1$"),
        ({"steps": 1.5}, r"^fit: steps must be a positive integer, got 1\.5$"),
        ({"steps": None}, "^fit: steps must be a positive integer, got None$"),
        ({"evaluate_every": 0}, "^fit: evaluate_every must be a positive integer, got 0$"),
        ({"patience": 0, "validation": (X, T)}, "^fit: patience must be a positive integer, got 0"),
        ({"patience": 2}, r"^fit: patience watches .*; give validation=\(x, t\)$"),
        ({"batch_size": 7}, "^fit: batch_size must be 1 to 6, the rows of data, got 7$"),
        ({"batch_size": 0}, "^fit: batch_size must be a positive integer, got 0$"),
        ({"batch_size": True}, "^fit: batch_size must be a positive integer, got True$"),
        ({"batch_size": 2.0}, r"^fit: batch_size must be a positive integer, got 2\.0$"),
        ({"gradient": "numeric"}, '^fit: gradient must be "hand" or "auto", got \'numeric\'$'),
        ({"sampling": "random"}, r"^fit: sampling must be one of \['shuffled', .*got 'random'$"),
        ({"clip_value": 0.0}, r"^fit: clip_value must be positive, got 0\.0$"),
        ({"clip_norm": -1.0}, r"^fit: clip_norm must be positive, got -1\.0$"),
        ({"clip_norm": float("nan")}, "^fit: clip_norm must be positive, got nan$"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    refused(ValueError, message, **options)


@pytest.mark.parametrize("name", ["data", "validation"])
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((X, T, T), r": a pair \(x, t\) is due, got tuple of length 3$"),
        (X, r": a pair \(x, t\) is due, got ndarray of length 6$"),
        ((X, T[:5]), r": x and t need the same number of rows, .* \(6, 2\) and \(5,\)$"),
        ((X[:0], T[:0]), r": x and t need the same number of rows, at least one; "),
        ((X, np.int32(1)), r": x and t need the same number of rows, .* and \(\)$"),
        (
            (with_value(np.nan, 4, 1), T),
            r" x holds 1 value\(s\) that are not finite in float64, .* row 4, column 1: nan; ",
        ),
        (
            (with_value(-np.inf, 0, 1), T),
            r" x holds 1 value\(s\) that are not finite .* row 0, column 1: -inf; ",
        ),
        ((X, T + 1), r": the model has 3 output\(s\), so classes must be 0 to 2; t holds 1 to 3$"),
        ((X, T - 1), r": .* classes must be 0 to 2; t holds -1 to 1$"),
        ((X[:, :1], T), r" does not fit the model: .*\(6, 1\).*2 features"),
    ],
)
def test_data_that_cannot_be_learned_from(name: str, batch: Any, message: str) -> None:
    refused(ValueError, f"^{name}{message}", **{name: batch})


def test_several_bad_values_are_counted() -> None:
    x = with_value(np.nan, 2, 0)
    x[5] = np.inf
    refused(ValueError, r"^data x holds 3 value\(s\) .*row 2, column 0", data=(x, T))


def test_bad_targets_are_named_too() -> None:
    t = NUMBERS.copy()
    t[3, 0] = np.nan
    refused(ValueError, "^data t holds 1 .*row 3, column 0", REGRESSION, data=(X, t))


@pytest.mark.parametrize("part", [0, 1])
def test_strings_are_not_numbers(part: int) -> None:
    batch: list[Any] = [X, T]
    batch[part] = np.full(batch[part].shape, "a")
    refused(
        TypeError, f"^data {'xt'[part]}: an array of numbers is due, got the type <U1$", data=batch
    )


def test_targets_of_another_shape_are_not_broadcast() -> None:
    refused(
        ValueError,
        r"^data does not fit the model: .*\(6, 1\).*\(6,\)",
        REGRESSION,
        data=(X, NUMBERS[:, 0]),
    )
    refused(ValueError, "^data does not fit the model: ", REGRESSION, data=(NUMBERS.T, NUMBERS.T))


def test_a_single_output_has_two_classes() -> None:
    model = models.mlp([2, 1], loss="sigmoid_cross_entropy")
    refused(ValueError, r"has 1 output\(s\), so classes must be 0 to 1; t holds 0 to 2$", model)
    fit(model, optim.gd(0.1), (X, T % 2), steps=1)


def test_an_optimizer_and_a_key_are_what_they_are_called() -> None:
    rule: Any = optim.gd
    with pytest.raises(TypeError, match=r"^fit: optimizer must be an optax gradient transf"):
        fit(CLASSIFIER, rule, (X, T), steps=1)
    refused(TypeError, r"^fit: key must be a JAX key, such as jax\.random\.key\(3\), got 3$", key=3)


def test_data_sets_are_not_pairs() -> None:
    refused(ValueError, r"^data: .*; pass \(data\.x, data\.t\)$", data=data.Dataset(X, T, (), ()))


def test_numbers_that_float32_cannot_hold_are_named() -> None:
    with jax.enable_x64(False):
        refused(ValueError, r"not finite in float32, .*row 1, column 0: 1e\+300; .*rescale",
                data=(with_value(1e300, 1, 0), T))  # fmt: skip


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (models.mlp([3, 3]).init(jax.random.key(0)), r"0\.w must have shape \(2, 3\), got"),
        (models.mlp([2, 3], bias=False).init(jax.random.key(0)), "the model has the structure "),
        ([], "the model has the structure "),
    ],
)  # fmt: skip
def test_params_of_another_model_are_refused(params: Any, message: str) -> None:
    refused(ValueError, f"^params: {message}", params=params)


def test_params_may_be_whole_numbers_from_numpy() -> None:
    """They are learned as floating-point numbers and not truncated back after every step."""
    params = [{"w": np.zeros((2, 3), int), "b": np.zeros(3, int)}]
    result = fit(CLASSIFIER, optim.gd(0.01), (X, T), steps=3, params=params)
    assert result.history["loss"][-1] < result.history["loss"][0]
    assert not any(np.issubdtype(p.dtype, np.integer) for p in jax.tree.leaves(result.params))


def test_a_batch_may_be_all_of_the_data() -> None:
    size: Any = np.int64(6)
    result = fit(CLASSIFIER, optim.gd(0.1), (X, T), steps=2, batch_size=size)
    # The same rows in another order.
    due = fit(CLASSIFIER, optim.gd(0.1), (X, T), steps=2)
    np.testing.assert_allclose(result.history["loss"], due.history["loss"], rtol=1e-12)
