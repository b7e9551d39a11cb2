"""CSV files as columns of text cells, with the line of the file for every cell that is wrong.

polars parses the file, and every cell stays text until it is asked for as a number, so that a
wrong cell can be shown as it was written. polars does not keep line numbers: to name a line, the
text is walked once more with the standard library's csv module, only after something was found.
"""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnet.extras import require

if TYPE_CHECKING:
    import polars


class Cells(NamedTuple):
    """The cells of a CSV file.

    Attributes:
        path: The file.
        text: Its text, every kind of line end turned into a newline.
        columns: For each name in the header, in order, the column's cells as text without the
            blanks around it; null where a cell is empty.
    """

    path: Path
    text: str
    columns: "dict[str, polars.Series]"


def read_cells(path: str | PathLike[str]) -> Cells:
    """Read a CSV file whose first line holds the columns' names.

    Fields are separated by commas and may be quoted by ". The text is UTF-8, with or without a
    byte order mark; lines end as on any system; empty lines at the end are ignored.

    Args:
        path: The file.

    Returns:
        The cells, with at least one row.

    Raises:
        ImportError: polars is not installed.
        FileNotFoundError: There is no such file.
        ValueError: The path is a folder, or the file is not text, has a faulty header, a row with
            too many or too few fields, or no rows.
    """
    polars = require("polars", "data")
    path = Path(path)
    text = _read_text(path)
    if not text:
        raise ValueError(f"{path}: the file is empty; expected a header and rows")
    if text.startswith("\n"):
        raise ValueError(f"{path}: line 1 is blank; expected the names of the columns")
    try:
        frame = polars.read_csv(text.encode(), has_header=False, infer_schema=False)
    except polars.exceptions.PolarsError as error:
        _check_records(path, text)
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from error
    # polars fills up a short row with nulls, so that a short row has one in the last column.
    if frame[:, -1].null_count():
        _check_records(path, text)
    frame = frame.select(polars.all().str.strip_chars().replace({"": None}))
    names = _check_names(path, frame.row(0))
    if frame.height == 1:
        raise ValueError(f"{path}: there are no rows under the header")
    return Cells(path, text, dict(zip(names, frame[1:].get_columns(), strict=True)))


def column(cells: Cells, name: str) -> "tuple[polars.Series, polars.Series]":
    """Take a column in which no value is missing.

    Args:
        cells: The cells of the file.
        name: The column's name.

    Returns:
        The cells as text, and as float64 with null where the text is no number.

    Raises:
        ValueError: A cell is empty or holds NaN, an infinity or a number beyond float64; the
            message names its line and column.
    """
    polars = require("polars", "data")
    texts = cells.columns[name]
    values = texts.cast(polars.Float64, strict=False)
    # A null in `values` stands for text, which is present: whether it is welcome is not known here.
    missing = texts.is_null() | ~values.is_finite().fill_null(True)
    if missing.any():
        row = missing.arg_true()[0]
        cell = "the cell is empty" if texts[row] is None else f"{texts[row]!r} is not finite"
        raise ValueError(f"{place(cells, row, name)}: {cell}; fill in a value or remove the row")
    return texts, values


def numbers(cells: Cells, name: str) -> NDArray[np.float64]:
    """Take a column of numbers.

    Args:
        cells: The cells of the file.
        name: The column's name.

    Returns:
        The numbers, of shape (n,).

    Raises:
        ValueError: A cell is not a finite number; the message names its line and column.
    """
    texts, values = column(cells, name)
    if values.null_count():
        row = values.is_null().arg_true()[0]
        raise ValueError(
            f"{place(cells, row, name)}: {texts[row]!r} is text where a number is expected; "
            "replace it by a number or remove the column"
        )
    array: NDArray[np.float64] = values.to_numpy()
    return array


def place(cells: Cells, row: int, name: str) -> str:
    """Say where a cell is, as a person sees it in the file.

    Args:
        cells: The cells of the file.
        row: Number of the row, 0 for the first one under the header.
        name: The column's name.

    Returns:
        "file: line 7, column 'name'"; the header is on line 1.
    """
    line, _ = next(islice(_records(cells.path, cells.text), row + 1, None))
    return f"{cells.path}: line {line}, column {name!r}"


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the path of a CSV file")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; give the path of a CSV file")
    try:
        # Text mode turns every kind of line end into "\n".
        return path.read_text(encoding="utf-8-sig").rstrip("\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: line {line} is not UTF-8 text; save the file as UTF-8"
        ) from error


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Walk over the records, each with the line it begins on: a quoted field may hold a newline."""
    reader = csv.reader(io.StringIO(text), strict=True)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}: line {line}: a quoted value is faulty ({error})") from error


def _check_records(path: Path, text: str) -> None:
    records = _records(path, text)
    _, header = next(records)
    for line, fields in records:
        if not fields:
            raise ValueError(f"{path}: line {line} is blank; remove it")
        if len(fields) != len(header):
            raise ValueError(
                f"{path}: line {line}: {len(fields)} fields found; "
                f"expected {len(header)}, as in the header on line 1"
            )


def _check_names(path: Path, header: tuple[Any, ...]) -> list[str]:
    names: list[str] = []
    for number, name in enumerate(header, start=1):
        if name is None:
            raise ValueError(f"{path}: line 1: column {number} has no name; give it one")
        if name in names:
            raise ValueError(
                f"{path}: line 1: columns {names.index(name) + 1} and {number} are both called "
                f"{name!r}; rename one of them"
            )
        names.append(name)
    return names
