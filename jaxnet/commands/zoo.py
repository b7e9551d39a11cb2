"""`jaxnet zoo`: the table of optimizers, or one of them with its equations."""

import argparse
import inspect
from typing import Any

from jaxnet.extras import require
from jaxnet.optim import ZOO, Entry
from jaxnet.optim.zoo import named


def zoo(options: argparse.Namespace) -> int:
    """Run `jaxnet zoo`; the status is always 0, as an unknown name raises."""
    console = require("rich.console", "command").Console()
    if options.name is None:
        _print_all(console)
        return 0
    _print_one(console, named(options.name))
    return 0


def _print_all(console: Any) -> None:
    headings = ["name", "state", "needs", "source", "proved against"]
    if console.width < 100:  # no room for the last, which `jaxnet zoo NAME` tells too
        headings.pop()
    table = require("rich.table", "command").Table(
        *headings,
        box=require("rich.box", "command").SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.columns[0].no_wrap = True
    table.columns[1].max_width = 12
    for family in dict.fromkeys(entry.family for entry in ZOO.values()):
        table.add_row(f"[bold]{family}")
        for entry in ZOO.values():
            if entry.family == family:
                row = entry.name, entry.state, entry.needs, entry.citation, entry.proof
                table.add_row(*row[: len(headings)])
        table.add_row()
    console.print(table)
    console.print(
        f"{len(ZOO)} optimizers; the state is in multiples of the parameters.\n"
        "jaxnet zoo NAME prints the equations, arguments and proof of one.",
        highlight=False,
    )


def _print_one(console: Any, entry: Entry) -> None:
    parameters = inspect.signature(entry.factory).parameters.values()
    given = (p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters)
    signature = f"({', '.join(given)})"
    document = inspect.getdoc(entry.factory)
    text = f"{entry.name}{signature}\n\n{document}\n\nProved against {entry.proof}."
    console.print(text, markup=False, highlight=False, soft_wrap=True)
