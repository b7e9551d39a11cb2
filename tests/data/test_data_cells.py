import sys
from pathlib import Path

import pytest

from jaxnet.data.cells import numbers, place, read_cells


def write(folder: Path, content: bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content)
    return path


def columns(path: Path) -> dict[str, list[str | None]]:
    return {name: column.to_list() for name, column in read_cells(path).columns.items()}


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x\n2,y\n",
        b"a,b\n1,x\n2,y",
        b"a,b\n1,x\n2,y\n\n\n",
        b"a,b\r\n1,x\r\n2,y\r\n\r\n",
        b"a,b\r1,x\r2,y\r",
        b"\xef\xbb\xbfa,b\n1,x\n2,y\n",
        b'"a","b"\r\n"1","x"\r\n"2","y"\r\n',
        b" a , b\n 1,x \n2\t,y\n",
    ],
    ids=["plain", "no-end", "blank-end", "crlf", "cr", "bom", "quoted", "spaces"],
)
def test_the_same_table_in_every_spelling(tmp_path: Path, content: bytes) -> None:
    assert columns(write(tmp_path, content)) == {"a": ["1", "2"], "b": ["x", "y"]}


def test_quoted_fields_hold_separators_quotes_and_newlines(tmp_path: Path) -> None:
    path = write(tmp_path, b'"a, ""b""",c\r\n"1\r\n2","x,y"\r\n')
    assert columns(path) == {'a, "b"': ["1\n2"], "c": ["x,y"]}


def test_empty_cells_are_null(tmp_path: Path) -> None:
    path = write(tmp_path, b'a,b\n,""\n" ",\t\n')
    assert columns(path) == {"a": [None, None], "b": [None, None]}


def test_names_may_be_any_text(tmp_path: Path) -> None:
    path = write(tmp_path, "größe,#a,1\n1,2,3\n".encode())
    assert list(columns(path)) == ["größe", "#a", "1"]


def test_a_place_counts_the_lines_of_the_file_and_not_the_rows(tmp_path: Path) -> None:
    path = write(tmp_path, b'"a\nb",c\n1,"x\r\ny\nz"\n2,w\n')
    cells = read_cells(path)
    assert place(cells, 0, "c") == f"{path}: line 3, column 'c'"
    assert place(cells, 1, "c") == f"{path}: line 6, column 'c'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"table\.csv: the file is empty"),
        (b"\n\n", r"the file is empty"),
        (b"\na,b\n1,2\n", r"line 1 is blank; expected the names"),
        (b"a,b\n", r"no rows under the header"),
        (b"a,,c\n1,2,3\n", r"line 1: column 2 has no name"),
        (b"a,b,a\n1,2,3\n", r"line 1: columns 1 and 3 are both called 'a'"),
        (b"a,b\n1,2\n3,4,5\n", r"line 3: 3 fields found; expected 2"),
        (b"a,b\n1,2\n3\n4,5\n", r"line 3: 1 fields found; expected 2"),
        (b"a\n1\n2,3\n", r"line 3: 2 fields found; expected 1"),
        (b"a,b,c\n1,2\n", r"line 2: 2 fields found; expected 3"),
        (b'a,b\n"1\n2",3\n4\n', r"line 4: 1 fields found; expected 2"),
        (b'\xef\xbb\xbf"a,b",c\n1,2\n3\n', r"line 3: 1 fields found; expected 2"),
        (b"a,b\r\n1,2\r\n\r\n3,4\r\n", r"line 3 is blank; remove it"),
        (b"a\n1\n\n3\n", r"line 3 is blank; remove it"),
        (b'a,b\n1,2\n3,"4\n5,6\n', r"line 3: a quoted value is faulty"),
        (b'a,b\n1,2\n3,"4"5\n', r"line 3: a quoted value is faulty"),
        (b"a,b\n1,2\n3,\xe9\n", r"line 3 is not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_a_faulty_file_is_refused_with_the_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_cells(write(tmp_path, content))


def test_a_fault_far_down_a_long_file_is_found(tmp_path: Path) -> None:
    rows = b"1,2\n" * 50_000
    with pytest.raises(ValueError, match=r"line 50002: 3 fields found"):
        read_cells(write(tmp_path, b"a,b\n" + rows + b"1,2,3\n" + rows))
    with pytest.raises(ValueError, match=r"line 50002, column 'b': 'x' is text"):
        numbers(read_cells(write(tmp_path, b"a,b\n" + rows + b"1,x\n" + rows)), "b")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.csv: there is no such file"):
        read_cells(tmp_path / "absent.csv")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a folder; give the path of a CSV file"):
        read_cells(str(tmp_path))


def test_without_polars_the_command_to_install_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r'polars.*pip install "jaxnet\[data\]"'):
        read_cells(write(tmp_path, b"a\n1\n"))
