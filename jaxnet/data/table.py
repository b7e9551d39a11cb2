"""Datasets from CSV files."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from jaxnet.data.cells import Cells, column, numbers, place, read_cells
from jaxnet.data.dataset import Dataset

if TYPE_CHECKING:
    import polars

Task = Literal["classification", "regression"]


def csv(
    path: str | PathLike[str], target: str | None = None, *, task: Task | None = None
) -> Dataset:
    """Read a CSV file: one column is the target, all the others are features.

    Unless `task` says otherwise, the target's cells decide: if all of them are whole numbers
    (written without a point) or none is a number (text, true and false), they are classes; if all
    are numbers, it is a regression. A target of whole numbers that is a quantity therefore needs
    task="regression".

    The classes are sorted, by value if they are numbers and by name if not, and numbered from 0.
    The first line holds the columns' names. Blanks around a cell do not count.

    Args:
        path: The file.
        target: Name of the column to predict; the last column if None.
        task: "classification" or "regression", to overrule what the cells say.

    Returns:
        x in float64; t of shape (n,) for classification and (n, 1) for regression.

    Raises:
        ImportError: polars is not installed.
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be used as it is; the message names the line and the column.
    """
    if task not in (None, "classification", "regression"):
        raise ValueError(f"task is {task!r}; expected 'classification', 'regression' or None")
    cells = read_cells(path)
    names = tuple(cells.columns)
    if target is None:
        target = names[-1]
    if target not in names:
        raise ValueError(f"{cells.path}: {_unknown(target, names)}")
    features = tuple(name for name in names if name != target)
    if not features:
        raise ValueError(
            f"{cells.path}: {target!r} is the only column; expected feature columns as well, "
            "separated by commas"
        )
    t, classes = _targets(cells, target, task)
    return Dataset(_matrix(cells, features), t, features, classes, target)


def csv_features(path: str | PathLike[str], features: Sequence[str]) -> NDArray[np.float64]:
    """Read the inputs for a prediction from a CSV file.

    Args:
        path: The file; its columns may stand in any order, and others are ignored.
        features: Names of the columns to read, in the order wanted: those of the training data.

    Returns:
        x of shape (n, len(features)).

    Raises:
        ImportError: polars is not installed.
        FileNotFoundError: There is no such file.
        ValueError: `features` is empty or names a column that the file does not have, or the file
            cannot be used as it is; the message names the line and the column.
    """
    if not features:
        raise ValueError("features is empty; name at least one column")
    cells = read_cells(path)
    missing = [name for name in features if name not in cells.columns]
    if len(missing) == 1:
        raise ValueError(f"{cells.path}: {_unknown(missing[0], cells.columns)}")
    if missing:
        raise ValueError(
            f"{cells.path}: {len(missing)} of the {len(features)} columns that are needed are not "
            f"there: {_listed(missing)}; the columns are {_listed(cells.columns)}"
        )
    return _matrix(cells, features)


def _matrix(cells: Cells, features: Sequence[str]) -> NDArray[np.float64]:
    return np.column_stack([numbers(cells, name) for name in features])


def _targets(cells: Cells, target: str, task: Task | None) -> tuple[NDArray[Any], tuple[str, ...]]:
    if task == "regression":
        return numbers(cells, target)[:, None], ()
    texts, values = column(cells, target)
    n_text = values.null_count()
    whole = texts.str.contains("^[+-]?[0-9]+$").all()
    if task is None and 0 < n_text < len(values):
        row = values.is_null().arg_true()[0]
        raise ValueError(
            f"{place(cells, row, target)}: {texts[row]!r} is text in a column that also holds "
            'numbers; replace it by a number, or pass task="classification"'
        )
    if task is None and n_text == 0 and not whole:
        return values.to_numpy()[:, None], ()
    t, classes = _labels(texts, str if n_text else int if whole else float)
    if len(classes) == 1:
        raise ValueError(
            f"{cells.path}: column {target!r} holds only the class {classes[0]!r}; "
            "expected at least two classes"
        )
    return t, classes


def _labels(
    texts: "polars.Series", value: Callable[[str], Any]
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Sort and number the classes; texts of the same value, such as 1 and 01, are one class."""
    distinct, inverse = np.unique(texts.to_numpy(), return_inverse=True)
    values = [value(text) for text in distinct]
    classes = sorted(set(values))
    number = {known: k for k, known in enumerate(classes)}
    t = np.array([number[known] for known in values], dtype=np.int32)[inverse]
    return t, tuple(str(known) for known in classes)


def _unknown(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"there is no column {name!r}{hint}; the columns are {_listed(names)}"


def _listed(names: Iterable[str], most: int = 10) -> str:
    quoted = [repr(name) for name in names]
    rest = f" and {len(quoted) - most} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + rest
