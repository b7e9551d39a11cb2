"""The script that compares gradient checkers: each answers, and the README quotes jaxnet's."""

import importlib.util
from pathlib import Path
from typing import Any

import jax
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Any:
    path = ROOT / "scripts" / "gradient_checkers.py"
    spec = importlib.util.spec_from_file_location("gradient_checkers_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


README = (ROOT / "README.md").read_text()


def test_the_readme_quotes_the_table(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = script.faults()[:1]  # the others take as long and go the same way
    monkeypatch.setattr(script, "faults", lambda: first)
    out = tmp_path / "table.md"
    assert script.main(["--out", str(out)]) == 0
    header, _, row = (line.strip("| ").split(" | ") for line in out.read_text().splitlines())
    assert len(header) == len(row) == 5
    assert "AssertionError: ... VJP cotangent projection" in row[2]
    assert row[4].startswith("premature_average in a, b")
    for cell in (row[0], row[2], row[4]):
        assert cell in README


def test_a_small_leaf_hides_from_absolute_tolerances_only(script: Any) -> None:
    loss, grad, params, args = script.faults()[-1]
    with jax.enable_x64(True):
        assert script.ask_jax(loss, grad, params, *args) == "None: passed"
    answer = script.ask_jaxnet(loss, grad, params, *args)
    assert "0.w" in answer
    assert answer in README


def test_every_checker_passes_a_right_gradient(script: Any) -> None:
    _, _, params, args = script.faults()[0]
    question = script.neuron, jax.grad(script.neuron), params, *args
    with jax.enable_x64(True):
        assert script.ask_torch(*question) in ("True: passed", "not installed (pip install torch)")
        assert script.ask_jax(*question) == "None: passed"
        assert float(script.ask_scipy(*question).split()[0]) < 1e-7
        assert script.ask_jaxnet(*question) == ""


def test_without_torch_its_column_says_so(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(script.sys.modules, "torch", None)
    _, _, params, args = script.faults()[0]
    answer = script.ask_torch(script.neuron, script.averaged, params, *args)
    assert answer == "not installed (pip install torch)"
    assert script.version("torch.autograd.gradcheck") == "not installed"
