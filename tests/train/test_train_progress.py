import io
import sys

import numpy as np
import pytest

from jaxnet import models, optim
from jaxnet.train import fit
from jaxnet.train.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(show: bool | None) -> None:
    x = np.ones((2, 1))
    fit(models.linear_regression(1), optim.gd(0.1), (x, x), steps=3, progress=show, title="mine")


def test_a_run_shows_lines_elsewhere_than_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    run(True)
    written = capsys.readouterr()
    assert written.out == ""
    # From w = b = 0 at x = t = 1 the error is 1, 0.6, 0.36.
    assert written.err.splitlines()[-1] == "mine: step 3 of 3, loss 0.1296"


@pytest.mark.parametrize("show", [None, False])
def test_it_is_silent_unless_asked(show: bool | None, capsys: pytest.CaptureFixture[str]) -> None:
    run(show)
    written = capsys.readouterr()
    assert written.out + written.err == ""


def test_there_is_a_line_every_tenth_of_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(200, "mine", True) as report:
        for step in range(1, 201):
            report(step, 1 / step)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert (lines[0], lines[-1]) == (
        "mine: step 20 of 200, loss 0.05",
        "mine: step 200 of 200, loss 0.005",
    )


@pytest.mark.parametrize("show", [True, None])
def test_there_is_a_bar_on_a_terminal(show: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with progress(20, "mine", show) as report:
        report(5, float("nan"))
        report(20, 0.125)
    shown = terminal.getvalue()
    assert "mine" in shown
    assert "20/20" in shown
    assert "loss 0.125" in shown


def test_on_a_terminal_without_rich_there_is_nothing_unless_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with progress(20, "mine", None) as report:
        report(20, 0.5)
    assert terminal.getvalue() == ""
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ImportError, match=r"jaxnet\[command\]"), progress(20, "mine", True):
        pass
