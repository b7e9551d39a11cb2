from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxnet import data


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_text_is_a_class_sorted_by_name(tmp_path: Path) -> None:
    dataset = data.csv(write(tmp_path, "a,b,kind\n1,2.5,pear\n-3,4e2,apple\n5,6,pear\n"))
    np.testing.assert_array_equal(dataset.x, [[1, 2.5], [-3, 400], [5, 6]])
    assert dataset.x.dtype == np.float64
    assert dataset.t.tolist() == [1, 0, 1]
    assert dataset.t.dtype == np.int32
    assert dataset.features == ("a", "b")
    assert dataset.classes == ("apple", "pear")


@pytest.mark.parametrize(
    ("targets", "t", "classes"),
    [
        (["10", "9", "-1", "9"], [2, 1, 0, 1], ("-1", "9", "10")),
        (["1", "01", "+2", "1"], [0, 0, 1, 0], ("1", "2")),
        (["true", "false", "true", "true"], [1, 0, 1, 1], ("false", "true")),
        (["10a", "9a", "10a", "9a"], [0, 1, 0, 1], ("10a", "9a")),
    ],
    ids=["whole", "spellings", "boolean", "text"],
)
def test_the_cells_of_the_target_make_it_a_classification(
    tmp_path: Path, targets: list[str], t: list[int], classes: tuple[str, ...]
) -> None:
    rows = "".join(f"{i},{cell}\n" for i, cell in enumerate(targets))
    dataset = data.csv(write(tmp_path, "x,y\n" + rows))
    assert dataset.t.tolist() == t
    assert dataset.classes == classes


def test_numbers_with_a_point_are_a_regression(tmp_path: Path) -> None:
    dataset = data.csv(write(tmp_path, "x,y\n1,2.5\n3,4\n"))
    np.testing.assert_array_equal(dataset.t, [[2.5], [4]])
    assert dataset.t.dtype == np.float64
    assert dataset.classes == ()


def test_the_task_overrules_the_cells(tmp_path: Path) -> None:
    whole = write(tmp_path, "x,y\n1,30\n3,4\n")
    regression = data.csv(whole, task="regression")
    np.testing.assert_array_equal(regression.t, [[30], [4]])
    assert regression.classes == ()
    mixed = write(tmp_path, "x,y\n1,2\n2,A\n3,10\n")
    assert data.csv(mixed, task="classification").classes == ("10", "2", "A")
    points = write(tmp_path, "x,y\n1,10.5\n3,4\n4,4.0\n")
    classification = data.csv(points, task="classification")
    assert classification.t.tolist() == [1, 0, 0]
    assert classification.classes == ("4.0", "10.5")


def test_the_target_may_be_any_column(tmp_path: Path) -> None:
    dataset = data.csv(write(tmp_path, "a,kind,b\n1,no,2\n3,yes,4\n"), "kind")
    np.testing.assert_array_equal(dataset.x, [[1, 2], [3, 4]])
    assert dataset.features == ("a", "b")
    assert dataset.t.tolist() == [0, 1]


def test_a_regression_may_have_a_constant_target(tmp_path: Path) -> None:
    dataset = data.csv(write(tmp_path, "x,y\n1,0.5\n2,0.5\n"))
    np.testing.assert_array_equal(dataset.t, [[0.5], [0.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,u\n3,,v\n", r"table\.csv: line 3, column 'b': the cell is empty"),
        ("a,b,y\n1,2,u\nNaN,4,v\n", r"line 3, column 'a': 'NaN' is not finite"),
        ("a,b,y\n1,-inf,u\n3,4,v\n", r"line 2, column 'b': '-inf' is not finite"),
        ("a,b,y\n1,1e999,u\n3,4,v\n", r"line 2, column 'b': '1e999' is not finite"),
        ("a,b,y\n1,2,u\n3,tall,v\n", r"line 3, column 'b': 'tall' is text where a number"),
        ("a,b,y\n1,2,u\n3,true,v\n", r"line 3, column 'b': 'true' is text where a number"),
        ("a,b,y\n1,2,u\n3,NA,v\n", r"line 3, column 'b': 'NA' is text where a number"),
        ('a,b,y\n1,2,u\n3,"4,5",v\n', r"line 3, column 'b': '4,5' is text where a number"),
        ("a,b,y\n1,2,u\n3,4,\n", r"line 3, column 'y': the cell is empty"),
        ("a,b,y\n1,2,nan\n3,4,v\n", r"line 2, column 'y': 'nan' is not finite"),
        ("a,b,y\n1,2,1.5\n3,4,2.5\n5,6,?\n", r"line 4, column 'y': '\?' is text in a column that"),
        ("a,b,y\n1,2,u\n3,4,u\n", r"column 'y' holds only the class 'u'; expected at least two"),
        ("y\nu\nv\n", r"'y' is the only column; expected feature columns"),
        ("a;y\n1;u\n2;v\n", r"'a;y' is the only column; .*separated by commas"),
        ("a,b,y\n1,2,u\n3,4\n", r"line 3: 2 fields found; expected 3"),
        ('a,b,y\n1,2,"u\nv"\n3,x,w\n', r"line 4, column 'b': 'x' is text"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        data.csv(write(tmp_path, text))


def test_text_cannot_be_a_regression(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y\n1,2\n3,high\n")
    with pytest.raises(ValueError, match=r"line 3, column 'y': 'high' is text where a number"):
        data.csv(path, task="regression")


def test_an_unknown_target_lists_the_columns_and_suggests_one(tmp_path: Path) -> None:
    path = write(tmp_path, "height,width,species\n1,2,u\n3,4,v\n")
    with pytest.raises(
        ValueError, match=r"'specis' \(did you mean 'species'\?\).*'height', 'width', 'species'"
    ):
        data.csv(path, "specis")
    with pytest.raises(ValueError, match=r"no column 'zzz'; the columns are 'height'"):
        data.csv(path, "zzz")


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y\n1,u\n2,v\n")
    with pytest.raises(ValueError, match=r"task is 'clustering'; expected 'classification'"):
        data.csv(path, task="clustering")  # type: ignore[arg-type]


@settings(deadline=None)  # the first example also waits for the import of polars
@given(
    rows=st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    )
)
def test_every_float_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]]
) -> None:
    lines = [",".join(repr(value) for value in row) for row in rows]
    path = write(tmp_path_factory.mktemp("floats"), "\n".join(["a,b", *lines]))
    np.testing.assert_array_equal(data.csv_features(path, ["a", "b"]), rows)


def test_features_are_read_in_the_order_asked_for_and_others_ignored(tmp_path: Path) -> None:
    path = write(tmp_path, "note,b,a\nfirst,1,2\n,3,4\n")
    x = data.csv_features(path, ("a", "b"))
    np.testing.assert_array_equal(x, [[2, 1], [4, 3]])
    assert x.dtype == np.float64


def test_an_ignored_column_may_end_in_empty_cells(tmp_path: Path) -> None:
    x = data.csv_features(write(tmp_path, "a,note\n1,\n2,x\n3,\n"), ["a"])
    np.testing.assert_array_equal(x, [[1], [2], [3]])


def test_all_missing_features_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path, "width,c\n1,2\n")
    with pytest.raises(ValueError, match=r"2 of the 3 columns.*'widht', 'depth'; .*'width', 'c'$"):
        data.csv_features(path, ["widht", "c", "depth"])
    with pytest.raises(ValueError, match=r"no column 'widht' \(did you mean 'width'\?\)"):
        data.csv_features(path, ["widht", "c"])
    with pytest.raises(ValueError, match=r"20 of the 20.*'x9' and 10 more; the columns"):
        data.csv_features(path, [f"x{i}" for i in range(20)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,x\n", r"line 3, column 'b': 'x' is text"),
        ("a,b\n1,2\n,4\n", r"line 3, column 'a': the cell is empty"),
        ("a,b\n", r"no rows"),
    ],
)
def test_wrong_cells_of_features_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.csv_features(write(tmp_path, text), ["a", "b"])


def test_no_features_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"features is empty"):
        data.csv_features(write(tmp_path, "a\n1\n"), [])
