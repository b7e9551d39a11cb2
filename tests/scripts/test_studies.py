"""The studies in their quick forms, and the page that is made of them."""

import importlib.util
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


study = load("study")
studies = load("studies")  # which imports it


def test_every_study_is_on_the_page() -> None:
    assert {f"study_{name}" for name in studies.STUDIES} == {
        path.stem for path in SCRIPTS.glob("study_*.py")
    }


SHOWN = {
    "one_neuron": 3,
    "or_gate": 16,
    "two_layer_net": 22,
    "squared_features": 26,
    "digits_cg": 11,
    "two_matrices": 11,
    "mnist_backprop": 4,
    "iris_nesterov": 9,
    "nesterov_point": 5,
    "numerical_gradient": 7,
    "step_size": 30,
    "landscapes": 9,
    "xor_methods": 5,
}
"""How many numbers the quick form of a study shows, the doctors' words among them."""
WITHOUT_DOCTORS = {"iris_nesterov", "landscapes", "xor_methods"}


@pytest.mark.parametrize("name", studies.STUDIES)
def test_the_quick_form_meets_its_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = SCRIPTS / f"study_{name}.py"
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "argv", [str(script), "--quick", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:  # in this process, which has JAX loaded
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0, capsys.readouterr().out
    record = study.read(tmp_path, f"study_{name}")
    assert record["numbers"] == json.loads((tmp_path / f"study_{name}.json").read_text())
    assert record["quick"]
    assert len(record["numbers"]) == SHOWN[name]
    assert all(number["ok"] for number in record["numbers"])
    told = [doctor["ok"] for doctor in record["doctors"]]  # of a fault, and nothing of its cure
    assert told == ([] if name in WITHOUT_DOCTORS else [False, True])
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert pictures == sorted(picture["file"] for picture in record["pictures"])
    assert pictures
    assert str(SCRIPTS) not in json.dumps([doctor["text"] for doctor in record["doctors"]])


RECORD = {
    "name": "study_or_gate",
    "title": "A <title>",
    "text": "A paragraph.\n\n    y = a < b\n\nThe fault: it is wrong.",
    "quick": True,
    "ok": False,
    "seconds": 1.0,
    "jax": "0",
    "device": "cpu",
    "numbers": [
        {"what": "a & b", "known": "1", "measured": "2", "tolerance": "0.1", "ok": False},
        {"what": "c", "known": "1", "measured": "1", "tolerance": "0.1", "ok": True},
    ],
    "doctors": [
        {
            "shown": "it",
            "ok": False,
            "title": "wrong",
            "text": "all of it",
            "findings": [{"code": "sign", "message": "turned", "fix": "turn it"}],
        }
    ],
    "pictures": [{"file": "study_or_gate-1.png", "caption": "a picture"}],
}


def test_the_page_has_everything_and_needs_no_network() -> None:
    page = studies.page({"or_gate": RECORD})
    for part in ("A &lt;title&gt;", "<pre>    y = a &lt; b</pre>", "<b>The fault</b>: it",
                 "a &amp; b", "1 of 2 numbers met", "missed", "sign", "turned", "turn it",
                 "all of it",
                 'src="study_or_gate-1.png"'):  # fmt: skip
        assert part in page
    assert "http" not in page
    assert "<details open><summary>1 of 2" in page


def test_a_study_that_breaks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "__file__", str(tmp_path / "studies.py"))
    (tmp_path / "study_or_gate.py").write_text("raise ValueError('no data')")
    status, said = studies.run("or_gate", tmp_path, quick=True)
    assert status == 1
    assert "ValueError: no data" in said


def test_an_unknown_study_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        studies.main(["xor"])
    assert "no study is called xor; there are one_neuron" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "ok"),
    [
        (study.near("x", 1.0, 1.05, 0.1), True),
        (study.near("x", 1.0, 1.15, 0.1), False),
        (study.near("x", 1.0, float("nan"), 0.1), False),
        (study.close("x", -200.0, -201.0, 0.01), True),
        (study.close("x", -200.0, -203.0, 0.01), False),
        (study.at_most("x", 1.0, 1.0), True),
        (study.at_most("x", 1.0, float("nan")), False),
        (study.at_least("x", 1.0, 0.9), False),
        (study.same("x", [1, 2], (1, 2)), True),
        (study.same("x", "sign", "scale"), False),
    ],
)
def test_a_number_is_met_or_not(number: Any, ok: bool) -> None:
    assert number.ok is ok


@pytest.mark.parametrize(("limit", "status"), [("2.0", 0), ("0.5", 1)])
def test_the_status_tells_a_missed_number(limit: str, status: int, tmp_path: Path) -> None:
    script = tmp_path / "study_small.py"
    script.write_text(
        '"""A title.\n\nSome text.\n"""\nimport sys\n'
        f"sys.path.insert(0, {str(SCRIPTS)!r})\nimport study\n"
        "def run(quick):\n"
        f"    return study.Study([study.at_most('x', {limit}, 1.0)], {{}}, {{}})\n"
        "sys.exit(study.main(run))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), "--out", str(tmp_path)],
        capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "100"},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert ("missed" in done.stdout) is bool(status)
    record = study.read(tmp_path, "study_small")
    assert (record["title"], record["text"], record["ok"]) == ("A title.", "Some text.", not status)
