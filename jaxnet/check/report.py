"""What a doctor says: findings, and the report that holds them."""

import html
import linecache
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jaxnet.extras import require


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        code: Which fault it is, one word out of the doctor's list.
        leaves: The leaves that it concerns, named as
            `jax.tree_util.keystr(path, simple=True, separator=".")` does.
        evidence: The numbers behind it.
        where: The place in the user's own source, "file.py:12:7 (loss)", or None.
        message: What is the case and what is due, in a sentence or two.
        fix: What to do.
    """

    code: str
    leaves: tuple[str, ...]
    message: str
    fix: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    where: str | None = None


@dataclass(frozen=True)
class Report:
    """What a doctor found.

    `str(report)` is plain text; a terminal that prints it with rich gets colour, a notebook HTML.

    Attributes:
        title: What was examined, and the verdict.
        header: The headings of the table.
        rows: Its rows, in words; the first column names the row.
        findings: The faults, the most specific first; empty if there are none.
        notes: What the verdict rests on, and what could have been missed.
        data: The table's numbers and whatever else a program may want to read.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """The report as lists, dicts, strings and numbers that JSON can hold.

        It has ok, title, findings (each with code, leaves, message, fix, evidence, where), notes
        and what is in data. Numbers that are not finite are None, as JSON has none.
        """
        whole = {
            "ok": self.ok,
            "title": self.title,
            "findings": [asdict(finding) for finding in self.findings],
            "notes": self.notes,
            **self.data,
        }
        plain: dict[str, Any] = _plain(whole)
        return plain

    def __str__(self) -> str:
        parts = [self.title, _table(self.header, self.rows)]
        parts += [_finding(i + 1, f) for i, f in enumerate(self.findings)]
        parts += [f"note: {note}" for note in self.notes]
        return "\n\n".join(part for part in parts if part)

    def __rich__(self) -> Any:
        """The report in colour, for rich."""
        text, console = require("rich.text", "command"), require("rich.console", "command")
        table = require("rich.table", "command").Table(
            box=require("rich.box", "command").SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
        )
        for i, heading in enumerate(self.header):
            table.add_column(heading, overflow="fold", justify="left" if i == 0 else "right")
        for row in self.rows:
            table.add_row(*(text.Text(cell) for cell in row))
        style = "bold green" if self.ok else "bold red"
        parts = [text.Text(self.title, style=style), table]
        for i, finding in enumerate(self.findings):
            first, _, rest = _finding(i + 1, finding).partition("\n")
            parts.append(text.Text.assemble((first, "bold red"), "\n", rest, "\n"))
        parts += [text.Text(f"note: {note}", style="dim") for note in self.notes]
        return console.Group(*parts)

    def _repr_html_(self) -> str:
        """The report in a notebook."""
        cells = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        heads = "".join(f"<th>{html.escape(heading)}</th>" for heading in self.header)
        color = "green" if self.ok else "firebrick"
        parts = [
            f'<p style="color:{color}"><b>{html.escape(self.title)}</b></p>',
            f"<table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table>",
        ]
        parts += [
            f"<pre>{html.escape(_finding(i + 1, f))}</pre>" for i, f in enumerate(self.findings)
        ]
        parts += [f"<p><small>{html.escape(note)}</small></p>" for note in self.notes]
        return "<div>" + "".join(parts) + "</div>"


def _plain(x: Any) -> Any:
    """Tuples as lists, and None for numbers that are not finite."""
    if isinstance(x, Mapping):
        return {key: _plain(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(item) for item in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def _table(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    """A table in plain text, the first column flush left and the others flush right."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: tuple[str, ...]) -> str:
        padded = [
            c.rjust(w) if i else c.ljust(w)
            for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(header), rule, *map(line, rows)])


def _finding(number: int, finding: Finding) -> str:
    """A finding in plain text: its code and leaves, what is the case, the line, what to do."""
    names = ", ".join(leaf or "params" for leaf in finding.leaves)
    leaves = f" in {names}" if names else ""
    lines = [f"{number}. {finding.code}{leaves}", f"   {finding.message}"]
    lines += [f"   {line}" for line in quoted(finding.where)]
    if finding.evidence:
        numbers = (f"{name} = {value:.6g}" for name, value in finding.evidence.items())
        lines.append(f"   evidence: {', '.join(numbers)}")
    lines.append(f"   fix: {finding.fix}")
    return "\n".join(lines)


def quoted(where: str | None) -> list[str]:
    """The place, the line of source there and a pointer under its column, as compilers show it."""
    match = re.fullmatch(r"(.+):(\d+):(\d+)( \(.*\))?", where or "")
    if where is None or match is None:
        return [] if where is None else [f"--> {where}"]
    source = linecache.getline(match[1], int(match[2])).rstrip()
    if not source:
        return [f"--> {where}"]
    indent = len(source) - len(source.lstrip())
    pointer = " " * max(0, int(match[3]) - indent)
    margin = " " * len(match[2])
    return [
        f"--> {where}",
        f"{margin} |",
        f"{match[2]} | {source.lstrip()}",
        f"{margin} | {pointer}^",
    ]
