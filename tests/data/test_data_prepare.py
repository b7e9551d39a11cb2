import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from jaxnet import data
from jaxnet.data import Dataset


def classification(labels: list[int]) -> Dataset:
    """A dataset whose rows can be told apart by their only feature."""
    t = np.array(labels, dtype=np.int32)
    classes = tuple(f"class {k}" for k in range(max(labels, default=0) + 1))
    return Dataset(np.arange(len(t), dtype=np.float32)[:, None], t, ("row",), classes)


def regression(n: int) -> Dataset:
    x = np.arange(n, dtype=np.float64)[:, None]
    return Dataset(x, -x, ("row",), ())


@settings(deadline=None)  # the first example also waits for the import of scikit-learn
@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=4),
    fraction=st.floats(0.2, 0.8),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stratified_split_keeps_every_row_once_and_the_proportions(
    counts: list[int], fraction: float, seed: int
) -> None:
    # As many rows again in each class as there are classes leave room for one in each part.
    counts = [count + 5 * len(counts) for count in counts]
    dataset = classification(np.repeat(np.arange(len(counts)), counts).tolist())
    train, test = data.split(dataset, fraction, seed=seed)
    rows = np.concatenate([train.x, test.x])[:, 0]
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(rows)))
    for part, share in ((train, 1 - fraction), (test, fraction)):
        np.testing.assert_array_equal(dataset.t[part.x[:, 0].astype(int)], part.t)
        assert part.x.dtype == np.float32
        assert part.t.dtype == np.int32
        assert part._replace(x=dataset.x, t=dataset.t) == dataset
        # The size of a part is rounded up or down, and so is each class's share of it.
        for k, count in enumerate(counts):
            assert abs((part.t == k).sum() - share * count) <= 2
    assert len(test.x) == np.ceil(fraction * sum(counts))


@settings(deadline=None)  # the first example also waits for the import of scikit-learn
@given(n=st.integers(2, 50), seed=st.integers(0, 2**32 - 1))
def test_a_plain_split_keeps_every_row_once(n: int, seed: int) -> None:
    train, test = data.split(regression(n), seed=seed)
    rows = np.concatenate([train.x, test.x])
    np.testing.assert_array_equal(np.sort(rows, axis=0), regression(n).x)
    np.testing.assert_array_equal(np.concatenate([train.t, test.t]), -rows)
    assert len(test.x) == np.ceil(n / 4)


def test_the_seed_decides_the_split() -> None:
    train, test = data.split(regression(100), seed=1)
    again, _ = data.split(regression(100), seed=1)
    other, _ = data.split(regression(100), seed=2)
    np.testing.assert_array_equal(train.x, again.x)
    assert not np.array_equal(np.sort(train.x), np.sort(other.x))
    assert not np.array_equal(test.x, np.sort(test.x, axis=0))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, np.nan])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=rf"test_fraction is {fraction}; .*between 0 and 1"):
        data.split(regression(10), fraction, seed=0)


@pytest.mark.parametrize("seed", [None, 1.0, "1"])
def test_the_seed_is_an_integer(seed: Any) -> None:
    with pytest.raises(TypeError, match=r"seed is .*; expected an integer"):
        data.split(regression(10), seed=seed)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_the_seed_is_in_range(seed: int) -> None:
    with pytest.raises(ValueError, match=rf"seed is {seed}; expected an integer from 0 to"):
        data.split(regression(10), seed=seed)


def test_a_class_of_one_row_is_named() -> None:
    with pytest.raises(ValueError, match=r"class 'class 2' has a single row"):
        data.split(classification([0, 0, 0, 1, 1, 1, 2, 1, 0]), seed=0)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (regression(0), r"0 rows .* 0 for training and 0 for the test; expected at least 1 in"),
        (regression(1), r"1 rows .* 0 for training and 1 for the test; expected at least 1 in"),
        (classification([]), r"0 rows .* expected at least 1 in each"),
        (
            classification([0, 0, 1, 1, 2, 2]),
            r"6 rows .* 4 for training and 2 for the test; expected at least 3 in each, one for",
        ),
    ],
)
def test_too_few_rows_are_refused(dataset: Dataset, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.split(dataset, seed=0)


def test_a_class_without_rows_does_not_count() -> None:
    train, test = data.split(classification([0, 0, 2, 2]), 0.5, seed=0)
    assert sorted(train.t) == sorted(test.t) == [0, 2]


def test_without_scikit_learn_the_command_to_install_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(ImportError, match=r'sklearn.*pip install "jaxnet\[data\]"'):
        data.split(regression(10), seed=0)


matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6),
    elements=st.floats(-1e6, 1e6),
)


@given(matrices)
def test_the_standardizer_can_be_inverted(x: NDArray[np.float64]) -> None:
    scale = data.standardizer(x)
    assert (scale.std > 0).all()
    np.testing.assert_allclose(scale(x) * scale.std + scale.mean, x, rtol=1e-9, atol=1e-9)


@given(matrices)
def test_standardized_columns_have_mean_0_and_deviation_1(x: NDArray[np.float64]) -> None:
    # Rounded to whole numbers, so that a column is either constant or clearly not.
    x = np.round(x)
    y = data.standardizer(x)(x)
    constant = np.ptp(x, axis=0) == 0
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(y.std(axis=0), np.where(constant, 0, 1), atol=1e-8)


def test_the_standardizer_by_hand() -> None:
    x = np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]])
    scale = data.standardizer(x)
    np.testing.assert_allclose(scale.mean, [3, 20])
    np.testing.assert_allclose(scale.std, [np.sqrt(8 / 3), np.sqrt(200)])
    np.testing.assert_allclose(data.standardizer(x, ddof=1).std, [2, np.sqrt(300)])
    np.testing.assert_allclose(scale([[3.0, 20.0 + np.sqrt(200)]]), [[0, 1]], atol=1e-15)


@given(value=st.floats(-1e6, 1e6), n=st.integers(1, 20))
def test_a_constant_column_becomes_exactly_0(value: float, n: int) -> None:
    x = np.full((n, 1), value)
    scale = data.standardizer(x)
    assert scale.std == [1]
    assert (scale(x) == 0).all()


def test_differences_too_small_to_be_squared_are_left_alone() -> None:
    x = np.array([[0.0], [1e-200]])
    scale = data.standardizer(x)
    assert scale.std == [1]
    assert np.isfinite(scale(x)).all()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float16", "float16"), ("float32", "float32"), ("float64", "float64"), ("int32", "float64")],
)
def test_the_float_type_is_kept(dtype: str, expected: str) -> None:
    x = np.array([[1, 2], [3, 5]], dtype=dtype)
    scale = data.standardizer(x)
    assert scale.mean.dtype == scale.std.dtype == np.float64
    assert scale(x).dtype == expected
    np.testing.assert_array_equal(scale(x), [[-1, -1], [1, 1]])


def test_the_training_part_alone_is_fitted_to() -> None:
    scale = data.standardizer([[0.0], [2.0]])
    np.testing.assert_array_equal(scale([[4.0]]), [[3.0]])


def test_another_number_of_columns_is_refused() -> None:
    scale = data.standardizer([[0.0, 1.0], [2.0, 3.0]])
    with pytest.raises(ValueError, match=r"x has 3 columns; expected 2"):
        scale(np.zeros((4, 3)))
    # One column would be broadcast silently.
    with pytest.raises(ValueError, match=r"x has 1 columns; expected 2"):
        scale(np.zeros((4, 1)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    x = np.zeros((3, 2))
    scale = data.standardizer(x)
    x[2, 1] = value
    with pytest.raises(ValueError, match=rf"x\[2, 1\] is {value}; expected finite"):
        scale(x)
    with pytest.raises(ValueError, match=rf"x\[2, 1\] is {value}; expected finite"):
        data.standardizer(x)


@pytest.mark.parametrize(
    ("x", "ddof", "message"),
    [
        (np.zeros(3), 0, r"x has shape \(3,\); expected \(n, d\)"),
        (np.zeros((0, 3)), 0, r"x has 0 rows; expected at least 1"),
        (np.zeros((1, 3)), 1, r"x has 1 rows; expected at least 2"),
        (np.zeros((5, 3)), 2, r"ddof is 2; expected 0 \(population\) or 1 \(sample\)"),
    ],
)
def test_a_standardizer_needs_a_matrix(x: NDArray[np.float64], ddof: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.standardizer(x, ddof=ddof)
