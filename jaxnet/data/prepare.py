"""From a dataset to what a network is trained and tested on: splitting and standardising."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxnet.data.dataset import Dataset
from jaxnet.extras import require


def split(dataset: Dataset, test_fraction: float = 0.25, *, seed: int) -> tuple[Dataset, Dataset]:
    """Split the rows at random into a training part and a test part.

    For classification the split is stratified: each class has the same share of both parts, up to
    rounding. The test part has ceil(test_fraction * n) rows.

    Args:
        dataset: The dataset.
        test_fraction: The share of rows in the test part, between 0 and 1.
        seed: Seed of the shuffling; the same seed gives the same split.

    Returns:
        The training part and the test part; together they hold every row exactly once.

    Raises:
        ImportError: scikit-learn is not installed.
        TypeError: The seed is not an integer.
        ValueError: The fraction is not between 0 and 1, the seed is not in 0..2^32 - 1, a class
            has a single member, or a part would have fewer rows than there are classes.
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction is {test_fraction}; expected a number between 0 and 1")
    # scikit-learn would take None as a call for its global, unseeded generator.
    if not isinstance(seed, int | np.integer):
        raise TypeError(f"seed is {seed!r}; expected an integer")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; expected an integer from 0 to 2^32 - 1")
    n = len(dataset.x)
    _check_sizes(dataset, n, math.ceil(test_fraction * n))
    train, test = require("sklearn.model_selection", "data").train_test_split(
        np.arange(n),
        test_size=test_fraction,
        random_state=seed,
        stratify=dataset.t if dataset.classes else None,
    )
    return (
        dataset._replace(x=dataset.x[train], t=dataset.t[train]),
        dataset._replace(x=dataset.x[test], t=dataset.t[test]),
    )


class Standardizer(NamedTuple):
    """The affine map of each column to mean 0 and standard deviation 1: (x - mean) / std.

    Attributes:
        mean: Mean of each column, of shape (d,).
        std: Standard deviation of each column, of shape (d,).
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def __call__(self, x: ArrayLike) -> NDArray[np.floating[Any]]:
        """Standardise the columns of x.

        Args:
            x: Finite numbers of shape (n, d).

        Returns:
            (x - mean) / std, in the float type of x; float64 for integers.

        Raises:
            ValueError: x has another number of columns or holds a number that is not finite.
        """
        array = _matrix(x)
        if array.shape[1] != len(self.mean):
            raise ValueError(
                f"x has {array.shape[1]} columns; "
                f"expected {len(self.mean)}, as in the data the standardizer was fitted to"
            )
        standardized: NDArray[np.floating[Any]] = ((array - self.mean) / self.std).astype(
            array.dtype, copy=False
        )
        return standardized


def standardizer(x: ArrayLike, *, ddof: int = 0) -> Standardizer:
    """Fit a standardizer to the training inputs.

    mean = sum_i x_i / n and std = sqrt(sum_i (x_i - mean)^2 / (n - ddof)), column by column. The
    test inputs are then mapped with the training part's mean and std:

        scale = standardizer(train.x)
        x, x_test = scale(train.x), scale(test.x)

    A constant column gets its value as the mean and 1 as the std, so that it becomes 0.

    Args:
        x: Finite numbers of shape (n, d).
        ddof: 0 for the standard deviation of the population, 1 for that of a sample.

    Returns:
        The standardizer, in float64.

    Raises:
        ValueError: x is not a matrix of finite numbers, ddof is neither 0 nor 1, or there are no
            more than ddof rows.
    """
    array = _matrix(x).astype(np.float64)
    if ddof not in (0, 1):
        raise ValueError(f"ddof is {ddof}; expected 0 (population) or 1 (sample)")
    if len(array) <= ddof:
        raise ValueError(f"x has {len(array)} rows; expected at least {ddof + 1}")
    # Compared by value: rounding can give a constant column a mean that is slightly off, and with
    # it a tiny standard deviation instead of 0.
    constant = (array == array[0]).all(axis=0)
    std = array.std(axis=0, ddof=ddof)
    return Standardizer(
        mean=np.where(constant, array[0], array.mean(axis=0)),
        # Differences too small to be squared can give 0 in a column that is not constant.
        std=np.where(constant | (std == 0), 1.0, std),
    )


def _matrix(x: ArrayLike) -> NDArray[np.floating[Any]]:
    array = np.asarray(x)
    if array.ndim != 2:
        raise ValueError(f"x has shape {array.shape}; expected (n, d)")
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    finite = np.isfinite(array)
    if not finite.all():
        i, j = np.argwhere(~finite)[0]
        raise ValueError(f"x[{i}, {j}] is {array[i, j]}; expected finite numbers")
    return array


def _check_sizes(dataset: Dataset, n: int, n_test: int) -> None:
    least, reason = 1, ""
    if dataset.classes and n:
        present, counts = np.unique(dataset.t, return_counts=True)
        least, reason = len(present), ", one for each class"
        if counts.min() == 1:
            name = dataset.classes[present[counts.argmin()]]
            raise ValueError(
                f"class {name!r} has a single row; expected at least 2, one for each part: "
                "add rows of that class or leave it out; a target that is a quantity is no class: "
                'read it with task="regression" (--task regression)'
            )
    if min(n_test, n - n_test) < least:
        raise ValueError(
            f"{n} rows would be split into {n - n_test} for training and {n_test} for the test; "
            f"expected at least {least} in each{reason}: add rows or change test_fraction"
        )
