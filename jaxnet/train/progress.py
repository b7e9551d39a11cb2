"""Progress of a run: a bar on a terminal, a few plain lines elsewhere."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jaxnet.extras import require

Report = Callable[[int, float], None]
"""Tells the number of finished steps and the latest loss."""


@contextmanager
def progress(total: int, title: str, show: bool | None) -> Iterator[Report]:
    """Show how far a run is, with its rate, the time left and the latest loss, on stderr.

    Args:
        total: Number of steps.
        title: What is running.
        show: True for a bar on a terminal and a line every tenth of the way elsewhere, False for
            nothing, None for a bar if stderr is a terminal and rich is installed.

    Yields:
        A function to call with the number of finished steps and the latest loss.

    Raises:
        ImportError: `show` is True, stderr is a terminal, and rich is not installed.
    """
    terminal = sys.stderr.isatty()
    if show is None:
        show = terminal and importlib.util.find_spec("rich") is not None
    if not show:
        yield lambda step, loss: None
    elif terminal:
        with _bar(total, title) as report:
            yield report
    else:
        yield _lines(total, title)


@contextmanager
def _bar(total: int, title: str) -> Iterator[Report]:
    rich_progress = require("rich.progress", "command")
    console = require("rich.console", "command").Console(stderr=True)
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("{task.fields[loss]}"),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("left"),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, loss="")
        yield lambda step, loss: bar.update(task, completed=step, loss=f"loss {loss:.4g}")


def _lines(total: int, title: str) -> Report:
    tenth = 0

    def report(step: int, loss: float) -> None:
        nonlocal tenth
        if step * 10 // total > tenth:
            tenth = step * 10 // total
            sys.stderr.write(f"{title}: step {step} of {total}, loss {loss:.4g}\n")

    return report
