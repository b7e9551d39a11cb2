"""`jaxnet train`, called in this process."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxnet import data, saved
from jaxnet.cli import main


@pytest.fixture(autouse=True)
def as_at_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """In float32, in 80 columns, and in a folder of its own."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    with jax.enable_x64(False):
        yield


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def written(folder: Path) -> list[str]:
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    return sorted(path.name for path in folder.iterdir())


def row_of(table: str, first: str) -> list[str]:
    """The cells of the row of a printed table that begins with a word."""
    (row,) = [line.split() for line in table.splitlines() if line.split()[:1] == [first]]
    return row


def test_without_arguments_it_trains_on_iris_with_gd_and_nag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--steps", "60"]) == 0
    out = tmp_path / "results" / "iris"
    assert written(out) == ["curves.png", "gd.safetensors", "history.csv", "nag.safetensors"]

    shown, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, shown.splitlines())) <= 80
    assert "iris: 120 training and 30 test rows" in shown
    assert "4 -> 16 -> 3" in " ".join(shown.split())
    for leaf, shape, size in (("0.b", "(16,)", 16), ("0.w", "(4, 16)", 64),
                              ("1.b", "(3,)", 3), ("1.w", "(16, 3)", 48)):  # fmt: skip
        cells = row_of(shown, leaf)
        assert " ".join(cells[1:-5]) == shape
        assert float(cells[-5]) <= 1e-12
        assert float(cells[-4]) <= 1e-7
        assert cells[-3:] == [str(size), "of", str(size)]

    rows = history(out)
    assert [(row["optimizer"], int(row["step"])) for row in rows] == [
        (name, step) for name in ("gd", "nag") for step in range(61)
    ]
    assert list(rows[0])[:3] == ["optimizer", "step", "train_loss"]
    assert set(list(rows[0])[3:]) == {"test_loss", "test_accuracy", "train_accuracy"}
    # The first step has seen a loss and nothing is evaluated yet; after the last it is the other
    # way round.
    assert [bool(rows[0][k]) for k in ("train_loss", "test_loss")] == [True, False]
    assert [bool(rows[60][k]) for k in ("train_loss", "test_loss")] == [False, True]
    assert float(rows[0]["train_loss"]) == float(rows[61]["train_loss"])  # from the same start

    train, test = data.split(data.iris(), 0.2, seed=0)
    for name, last in (("gd", rows[60]), ("nag", rows[121])):
        cells = row_of(shown, name)
        model = saved.load(out / f"{name}.safetensors")
        assert cells[1] == "60"
        assert float(cells[3]) == pytest.approx(float(last["test_loss"]), abs=1e-3)
        for cell, column, part in ((4, "train_accuracy", train), (5, "test_accuracy", test)):
            names = np.array(part.classes)[part.t]
            right = np.mean(model.predict(part.x) == names)
            assert float(last[column]) == pytest.approx(right, abs=1e-6)
            assert float(cells[cell]) == pytest.approx(right, abs=1e-3)
    assert float(rows[121]["test_loss"]) < float(rows[60]["test_loss"])


def test_every_option_of_network_and_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    kinds = np.arange(40) % 2
    x = rng.normal(size=(40, 2)) + 4 * kinds[:, None] + 100
    rows = [f"{a},{k},{b}" for (a, b), k in zip(x, np.array(["no", "yes"])[kinds], strict=True)]
    (tmp_path / "flowers.csv").write_text("\n".join(["a,kind,b", *rows]))
    command = (
        "train --data flowers.csv --target kind --test-fraction 0.25 --raw --hidden 3 2 "
        "--activation tanh --loss half_squared_error --no-bias --init he_normal --l2 0.001 "
        "--optimizer nesterov --learning-rate 0.1 --steps 7 --batch-size 10 --seed 3 "
        "--gradient auto --clip-norm 0.5 --out new/folder"
    )
    assert main(command.split(" ")) == 0
    out = tmp_path / "new" / "folder"
    assert written(out) == ["curves.png", "history.csv", "nesterov.safetensors"]
    shown = capsys.readouterr().out
    assert "flowers: 30 training and 10 test rows" in shown
    assert "2 -> 3 -> 2 -> 2, tanh" in " ".join(shown.split())
    model = saved.load(out / "nesterov.safetensors")
    assert model.spec == {
        "sizes": [2, 3, 2, 2], "activation": "tanh", "loss": "half_squared_error",
        "output": "sigmoid", "bias": False, "l2": 0.001,
    }  # fmt: skip
    assert (model.features, model.target, model.classes) == (("a", "b"), "kind", ("no", "yes"))
    assert model.inputs is None
    assert [set(layer) for layer in model.params] == [{"w"}] * 3
    # Evaluated once an epoch of three batches, and at the end.
    assert [row["step"] for row in history(out) if row["test_loss"]] == ["3", "6", "7"]


def test_a_regression_is_measured_by_its_explained_variance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).uniform(5.0, 9.0, size=(60, 2))
    y = 1000 + 20 * x[:, 0] - 30 * x[:, 1]
    rows = [f"{a},{b},{t}" for (a, b), t in zip(x, y, strict=True)]
    (tmp_path / "prices.csv").write_text("\n".join(["a,b,price", *rows]))
    command = ["train", "--data", "prices.csv", "--hidden", "--steps", "200", "--out", "out"]
    assert main([*command, "--learning-rate", "0.05", "--optimizer", "momentum"]) == 0
    shown = capsys.readouterr().out
    assert "R^2" in shown
    assert float(row_of(shown, "momentum")[4]) == pytest.approx(1.0, abs=1e-3)
    # In the units of the file, although it was trained on standardised prices.
    model = saved.load(tmp_path / "out" / "momentum.safetensors")
    np.testing.assert_allclose(model.predict(x)[:, 0], y, atol=1.0)
    assert (model.target, model.classes) == ("price", ())
    assert "test_accuracy" not in history(tmp_path / "out")[0]

    (tmp_path / "rows.csv").write_text("b,other,a\n6,x,5\n7,y,8\n")
    assert main(["predict", "out/momentum.safetensors", "rows.csv", "--out", "p/prices.csv"]) == 0
    with (tmp_path / "p" / "prices.csv").open() as file:
        predicted = list(csv.DictReader(file))
    assert [row["a"] for row in predicted] == ["5", "8"]
    assert [float(row["predicted_price"]) for row in predicted] == pytest.approx([920, 950], abs=1)


def test_a_folder_of_mnist_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, n in (("train", 20), ("t10k", 10)):
        images = rng.integers(0, 256, size=(n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    command = (
        "train --data . --hidden --loss sigmoid_cross_entropy --optimizer gd --steps 30 "
        "--learning-rate 0.02 --out out"
    )
    assert main(command.split(" ")) == 0
    losses = [float(row["train_loss"]) for row in history(tmp_path / "out") if row["train_loss"]]
    assert losses[-1] < losses[0]
    model = saved.load(tmp_path / "out" / "gd.safetensors")
    assert model.inputs is None  # pixels are in [0, 1] already
    assert (model.target, len(model.features), model.classes[9]) == ("digit", 784, "9")


def test_bundled_data_under_the_hinge_loss() -> None:
    command = "train --data wine --loss hinge --optimizer nag --hidden --steps 80"
    assert main([*command.split(" "), "--learning-rate", "0.05"]) == 0
    assert float(history(Path("results/wine"))[-1]["test_accuracy"]) > 0.85


def test_a_run_that_diverges_does_not_cost_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    # Gradient descent is stable up to 2 / L, accelerated only up to about 4 / (3 L).
    command = "train --data diabetes --hidden --steps 200 --learning-rate 0.2 --optimizer nag gd"
    assert main(command.split(" ")) == 1
    out = Path("results/diabetes")
    assert written(out) == [
        "curves.png", "gd.safetensors", "history.csv", "nag-last-finite.safetensors",
    ]  # fmt: skip
    shown, err = capsys.readouterr()
    assert err.startswith("jaxnet train: nag: the loss became inf at step ")
    assert len(err.splitlines()) == 1
    assert "(failed)" in shown
    assert float(row_of(shown, "gd")[4]) > 0.4
    rows = history(out)
    assert rows[-1]["optimizer"] == "gd"
    assert rows[-1]["step"] == "200"
    # The failed run's file holds the last parameters with a finite loss.
    x = data.diabetes().x
    assert np.isfinite(saved.load(out / "nag-last-finite.safetensors").predict(x)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--data flowers", r"--data flowers: expected one of iris, digits, .*\(FILE\.csv\)"),
        ("--data missing.csv", r"missing\.csv"),
        ("--optimizer gd adan2", "no optimizer called 'adan2'; did you mean adan or"),
        ("--optimizer aw_sgd", "aw_sgd needs rows, which jaxnet train cannot give; use Python"),
        ("--optimizer gd nag gd", "--optimizer names one twice: gd nag gd"),
        ("--steps 0", "--steps must be a positive integer, got 0"),
        ("--activation softpluss", "softpluss"),
        ("--loss mse", "unknown loss 'mse'"),
        ("--data diabetes --loss hinge", "--loss hinge is for classes, but .* is a number"),
        ("--init big", "--init big: expected a number S"),
        ("--hidden 0", "n_out must be a positive integer, got 0"),
        ("--test-fraction 1", "test_fraction is 1.0; expected a number between 0 and 1"),
        ("--seed -1", "seed is -1"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("jaxnet train: ")
    assert re.search(message, line)
    assert not Path("results").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["fit"], ["train", "--steps", "many"], ["train", "--gradient", "numeric"]]
)
def test_unknown_words_are_answered_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: jaxnet" in capsys.readouterr().err
