"""`jaxnet predict`, called in this process on a model that was not trained for it."""

import csv
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxnet import data, models, saved
from jaxnet.cli import main

X = np.random.default_rng(0).normal(3.0, 2.0, size=(8, 2))
SPEC: dict[str, Any] = {"sizes": [2, 4, 3], "activation": "tanh"}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> saved.SavedModel:
    """A model in m.safetensors, with the rows of X in rows.csv, its columns turned round."""
    monkeypatch.chdir(tmp_path)
    model = saved.SavedModel(
        spec=SPEC,
        params=models.mlp(**SPEC).init(jax.random.key(2)),
        inputs=data.standardizer(X),
        targets=None,
        features=("a", "b"),
        target="kind",
        classes=("x", "y", "z"),
    )
    saved.save("m.safetensors", model)
    Path("rows.csv").write_text("b,note,a\n" + "".join(f"{b!r},n,{a!r}\n" for a, b in X.tolist()))
    return model


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def test_every_row_stays_and_gets_its_class_with_the_probabilities(
    model: saved.SavedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "m.safetensors", "rows.csv"]) == 0
    before, rows = table("rows.csv"), table("rows-predictions.csv")
    assert [{k: row[k] for k in ("b", "note", "a")} for row in rows] == before
    predicted = [row["predicted_kind"] for row in rows]
    assert predicted == model.predict(X).tolist()
    assert len(set(predicted)) > 1
    e = np.exp(model.outputs(X))
    probabilities = [[float(row[f"probability_{name}"]) for name in "xyz"] for row in rows]
    np.testing.assert_allclose(probabilities, e / e.sum(axis=1, keepdims=True), rtol=1e-6)
    assert capsys.readouterr().out == "8 predictions written to rows-predictions.csv\n"


def test_several_numbers_a_row_have_a_column_each(model: saved.SavedModel) -> None:
    several = saved.SavedModel(
        spec=SPEC, params=model.params, inputs=None, targets=None, features=("a", "b"),
        target="y", classes=(),
    )  # fmt: skip
    saved.save("several.safetensors", several)
    assert main(["predict", "several.safetensors", "rows.csv", "--out", "out.csv"]) == 0
    rows = table("out.csv")
    numbers = [[float(row[f"predicted_y_{i}"]) for i in range(3)] for row in rows]
    np.testing.assert_allclose(numbers, several.predict(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["m.safetensors", "short.csv"], "there is no column 'b'"),
        (["m.safetensors", "missing.csv"], "missing.csv"),
        (["missing.safetensors", "rows.csv"], "no model file at missing.safetensors"),
        (["rows.csv", "rows.csv"], "rows.csv is not a safetensors file"),
        (["m.safetensors", "text.csv"], "'four'"),
    ],
)
@pytest.mark.usefixtures("model")
def test_bad_input_is_one_line_and_status_2(
    files: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("short.csv").write_text("a,c\n1,2\n")
    Path("text.csv").write_text("a,b\n1,2\n3,four\n")
    assert main(["predict", *files]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("jaxnet predict: ")
    assert message in line
    assert not list(Path().glob("*-predictions.csv"))
