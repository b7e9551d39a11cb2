from typing import Any

import jax
import numpy as np
import pytest

from jaxnet import data


def test_the_same_key_gives_the_same_numbers() -> None:
    first = data.two_gaussians(jax.random.key(3), 20, 4)
    again = data.two_gaussians(jax.random.key(3), 20, 4)
    other = data.two_gaussians(jax.random.key(4), 20, 4)
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.t, again.t)
    assert not np.array_equal(first.x, other.x)


def test_two_gaussians_are_numpy_arrays_that_can_be_written_to() -> None:
    dataset = data.two_gaussians(jax.random.key(0), 10, 3)
    assert type(dataset.x) is np.ndarray
    assert type(dataset.t) is np.ndarray
    assert dataset.x.shape == (10, 3)
    assert dataset.t.shape == (10,)
    assert dataset.t.dtype == np.int32
    assert dataset.features == ("x1", "x2", "x3")
    assert dataset.classes == ("0", "1")
    assert dataset.x.flags.writeable


@pytest.mark.parametrize(
    ("options", "means", "stds"),
    [
        ({}, [[-1, -1], [1, 1]], [[0.5, 0.5], [1, 1]]),
        (
            {"means": (0.0, np.array([3.0, -2.0])), "stds": (np.array([0.1, 2.0]), 4)},
            [[0, 0], [3, -2]],
            [[0.1, 2], [4, 4]],
        ),
    ],
)
def test_each_class_has_its_mean_and_deviation(
    options: dict[str, Any], means: list[list[float]], stds: list[list[float]]
) -> None:
    n = 40_000
    dataset = data.two_gaussians(jax.random.key(1), n, 2, **options)
    # Five standard errors of each estimate, with about n / 2 rows in each class.
    assert abs(dataset.t.mean() - 0.5) < 5 * 0.5 / np.sqrt(n)
    for k in (0, 1):
        rows = dataset.x[dataset.t == k]
        std = np.array(stds[k])
        assert (abs(rows.mean(axis=0) - means[k]) < 5 * std / np.sqrt(n / 2)).all()
        assert (abs(rows.std(axis=0) - std) < 5 * std / np.sqrt(n)).all()
        assert abs(np.corrcoef(rows.T)[0, 1]) < 5 / np.sqrt(n / 2)


@pytest.mark.parametrize(
    ("n", "m", "options", "message"),
    [
        (0, 2, {}, r"n = 0 examples of m = 2 features; expected at least 1"),
        (5, 0, {}, r"n = 5 examples of m = 0 features; expected at least 1"),
        (5, 2, {"means": ([1.0, 2.0, 3.0], 0)}, r"means\[0\] has shape \(3,\).*scalar or \(2,\)"),
        (5, 2, {"means": (0, np.nan)}, r"means\[1\] is nan; expected finite"),
        (5, 2, {"means": (0, 1, 2)}, r"means has 3 entries; expected 2"),
        (5, 2, {"stds": (1, [[1.0]])}, r"stds\[1\] has shape \(1, 1\)"),
        (5, 2, {"stds": (1, [1.0, 0.0])}, r"stds are .*expected positive"),
        (5, 2, {"stds": (-1, 1)}, r"stds are .*expected positive"),
    ],
)
def test_two_gaussians_say_what_is_wrong(
    n: int, m: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        data.two_gaussians(jax.random.key(0), n, m, **options)


def test_truth_tables_hold_the_values_of_the_functions() -> None:
    functions = {"or": np.logical_or, "and": np.logical_and, "xor": np.logical_xor}
    for name in ("or", "and", "xor"):
        table = data.truth_table(name)
        np.testing.assert_array_equal(table.x, [[0, 0], [0, 1], [1, 0], [1, 1]])
        np.testing.assert_array_equal(table.t, functions[name](table.x[:, 0], table.x[:, 1]))
        assert table.x.dtype == np.float64
        assert table.t.dtype == np.int32
        assert table.features == ("x1", "x2")
        assert table.classes == ("0", "1")


def test_an_unknown_truth_table_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'nand'; expected one of or, and, xor"):
        data.truth_table("nand")  # type: ignore[arg-type]
