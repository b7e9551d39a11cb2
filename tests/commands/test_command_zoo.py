"""`jaxnet zoo`."""

import pytest

from jaxnet.cli import main
from jaxnet.optim import ZOO


def test_the_table_names_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo"]) == 0
    words = capsys.readouterr().out.replace("\n", " ").split()
    assert f"{len(ZOO)}" in words
    assert {"gd", "adam", "muon", "lbfgs"} <= set(words)


def test_one_rule_is_printed_with_its_equations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "adam"]) == 0
    out = capsys.readouterr().out
    assert "m := b1 m + (1 - b1) g" in out
    assert "Kingma & Ba" in out
    assert "Proved against optax and NumPy" in out


def test_an_unknown_rule_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "adan2"]) == 2
    assert "did you mean adan" in capsys.readouterr().err
