"""`jaxnet zoo`: the table of optimizers, or one of them with its equations."""

import argparse
import inspect

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


def _print_all(console: object) -> None:
    table = require("rich.table", "command").Table(
        title=f"{len(ZOO)} optimizers",
        title_justify="left",
        box=require("rich.box", "command").SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("name", no_wrap=True)
    for heading in ("family", "year", "state", "needs", "citation", "proved against"):
        table.add_column(heading, overflow="fold")
    for entry in ZOO.values():
        table.add_row(
            entry.name,
            entry.family,
            str(entry.year),
            entry.state,
            entry.needs,
            entry.citation,
            entry.proof,
        )
    console.print(table)  # type: ignore[attr-defined]


def _print_one(console: object, entry: Entry) -> None:
    parameters = inspect.signature(entry.factory).parameters.values()
    given = (p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters)
    signature = f"({', '.join(given)})"
    document = inspect.getdoc(entry.factory)
    text = f"{entry.name}{signature}\n\n{document}\n\nProved against {entry.proof}."
    console.print(text, markup=False, highlight=False, soft_wrap=True)  # type: ignore[attr-defined]
