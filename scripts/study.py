"""What the studies share: numbers that are known, what a study gives, and how it is run.

A study is a script `study_NAME.py` with a function `run(quick) -> Study` and, at its end,
`study.main(run)`. Its docstring tells the problem, the fault and the cure; the first line is its
title. Run by itself it prints its numbers and what the doctors say and writes a folder:

    python scripts/study_NAME.py [--out FOLDER] [--quick]

with NAME.json, the list of its numbers, NAME-report.json, which holds all that is said of them, and
the pictures NAME-*.png. The status is 0 if every number is met, else 1. `python scripts/studies.py`
runs them all and makes a page of them.
"""

import argparse
import inspect
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxnet import models, plot, saved
from jaxnet.check import Report
from jaxnet.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Number(NamedTuple):
    """One thing that is known, and what was measured."""

    what: str
    known: str
    measured: str
    tolerance: str
    ok: bool


def near(what: str, known: float, measured: Any, tolerance: float) -> Number:
    """A number that must come out, up to an absolute tolerance."""
    known, tolerance, value = float(known), float(tolerance), float(measured)
    ok = abs(value - known) <= tolerance  # never for NaN
    shown = f"{value:.{significant(known, tolerance)}g}"
    return Number(what, f"{known:.12g}", shown, f"{tolerance:.2g}", ok)


def all_near(what: str, known: Any, measured: Any, tolerance: float) -> list[Number]:
    """An array of numbers that must come out; `what` has a {} for each index of an entry."""
    known, measured = np.asarray(known), np.asarray(measured)
    if known.shape != measured.shape:
        raise ValueError(f"{what}: shapes {known.shape} and {measured.shape} differ")
    return [near(what.format(*i), k, measured[i], tolerance) for i, k in np.ndenumerate(known)]


def close(what: str, known: float, measured: Any, relative: float) -> Number:
    """A number that must come out, up to a relative tolerance."""
    return near(what, known, measured, abs(known) * relative)


def at_most(what: str, limit: float, measured: Any) -> Number:
    """A number with an upper limit."""
    value = float(measured)
    return Number(what, f"<= {limit:.6g}", f"{value:.4g}", "", value <= limit)


def at_least(what: str, limit: float, measured: Any) -> Number:
    """A number with a lower limit."""
    value = float(measured)
    return Number(what, f">= {limit:.6g}", f"{value:.4g}", "", value >= limit)


def same(what: str, known: Any, measured: Any) -> Number:
    """Something that must be exactly this: counts, or the doctor's word for a fault."""
    known, measured = (np.asarray(v).tolist() for v in (known, measured))
    return Number(what, str(known), str(measured), "exact", known == measured)


def named(what: str, code: str, report: Report) -> Number:
    """The doctor's word for a fault, which must be its headline."""
    return same(f"the doctor on {what}", code, report.findings[0].code if report.findings else "ok")


def loss_of(model: models.Model) -> Callable[[Any, Any, Any], Any]:
    """A model's loss as the doctors take it, of parameters, inputs and targets."""
    return lambda params, x, t: model.loss(params, (x, t))


def stepped(params: Any, grads: Any, rate: float) -> Any:
    """The parameters after a step of plain gradient descent, in NumPy or in JAX."""
    return jax.tree.map(lambda p, g: p - rate * g, params, grads)


def descend(step: Callable[[Any], tuple[Any, Any]], start: Any, length: int) -> tuple[Any, Any]:
    """Repeat `value, record = step(value)` in one compiled program.

    Returns:
        The last value, and the records stacked, as NumPy's arrays.
    """

    def run(start: Any) -> Any:
        return jax.lax.scan(lambda value, _: step(value), start, length=length)

    return tuple(jax.device_get(jax.jit(run)(start)))


def descent(
    loss: Callable[[Any], Any], gradient: Callable[[Any], Any], start: Any, rate: float, steps: int
) -> tuple[Any, Any]:
    """Plain gradient descent in one compiled program.

    Returns:
        The last parameters, and the loss before every step.
    """
    return descend(lambda p: (stepped(p, gradient(p), rate), loss(p)), start, steps)


def significant(known: float, tolerance: float) -> int:
    """How many digits of a number matter: two more than the tolerance leaves."""
    if not (known and tolerance):
        return 12
    return min(max(4, 2 + math.ceil(math.log10(abs(known) / tolerance))), 15)


Doctors = Mapping[str, tuple[str, Callable[[], Report]]]
"""By what the doctor is shown: the word that it must say, and how it is asked."""


class Study(NamedTuple):
    """What a study gives.

    `numbers` is the table. `doctors` has, by what the doctor is shown, the word that it must say
    and how it is asked, from the first fault to the last cure; a quick study asks about these two
    alone. `pictures` has each figure by its caption; `models` has trained models to keep, by their
    name.
    """

    numbers: Sequence[Number]
    doctors: Doctors
    pictures: Mapping[str, "Figure"]
    models: Mapping[str, saved.SavedModel] = {}


def main(
    run: Callable[[bool], Study], *, double: bool = True, arguments: Sequence[str] | None = None
) -> int:
    """Run a study as its command line says.

    Args:
        run: The study; it is told whether to be quick.
        double: Whether it computes in float64.
        arguments: The words of the command line; None takes them from the process.

    Returns:
        The exit status.
    """
    source = Path(inspect.getfile(run))
    name, text = source.stem, inspect.getdoc(inspect.getmodule(run)) or ""
    title = text.partition("\n")[0]
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--out", default="results/studies", help="(default: results/studies)")
    parser.add_argument("--quick", action="store_true", help="a shorter form, in seconds")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    with jax.enable_x64(double):
        result = run(options.quick)
        doctors = list(result.doctors.items())
        asked = [*doctors[:1], *doctors[-1:]] if options.quick else doctors
        reports = {shown: (code, ask()) for shown, (code, ask) in asked}
    seconds = time.perf_counter() - began
    words = [named(shown, *said) for shown, said in reports.items()]
    numbers = [*words, *result.numbers]
    ok = all(number.ok for number in numbers)
    out = Path(options.out)
    files = [f"{name}-{i}.png" for i in range(1, 1 + len(result.pictures))]
    for file, figure in zip(files, result.pictures.values(), strict=True):
        plot.save(figure, out / file)
    for model, kept in result.models.items():
        saved.save(out / f"{name}-{model}.safetensors", kept)
    record = {
        "name": name,
        "title": title,
        "text": text.partition("\n")[2].strip(),
        "quick": options.quick,
        "ok": ok,
        "seconds": seconds,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "doctors": [
            {"shown": shown, "text": short(str(report), source), **report.to_dict()}
            for shown, (_, report) in reports.items()
        ],
        "pictures": [
            {"file": file, "caption": caption}
            for file, caption in zip(files, result.pictures, strict=True)
        ],
    }
    held = ([number._asdict() for number in numbers], record)
    for written, data in zip(files_of(out, name), held, strict=True):
        with replacing(written) as temporary:
            temporary.write_text(json.dumps(data, indent=1))
    show(Console(), read(out, name))
    return 0 if ok else 1


def files_of(out: Path, name: str) -> tuple[Path, Path]:
    """The file of a study's numbers, and that of what is said of them."""
    return out / f"{name}.json", out / f"{name}-report.json"


def read(out: Path, name: str) -> dict[str, Any]:
    """What a study wrote: its report, with the numbers in it."""
    numbers, report = (json.loads(file.read_text()) for file in files_of(out, name))
    return {**report, "numbers": numbers}


def short(text: str, source: Path) -> str:
    """A doctor's text with the study's file named without its folder."""
    return text.replace(f"{source.parent}/", "")


def show(console: Console, record: dict[str, Any]) -> None:
    """Print what the doctors say, and the table of numbers."""
    console.print(f"[bold]{record['title']}[/bold]\n")
    for said in record["doctors"]:
        console.print(f"the doctor is shown {said['shown']}:", style="bold")
        for finding in said["findings"] or [{"code": "ok", "message": said["title"]}]:
            console.print(f"  {finding['code']}: {finding['message']}", markup=False)
    table = Table("", "known", "measured", "tolerance", "", box=None, header_style="dim")
    for number in record["numbers"]:
        *cells, ok = number.values()
        table.add_row(*cells, "[green]ok[/green]" if ok else "[red]missed[/red]")
    console.print(table)
    files = ", ".join(picture["file"] for picture in record["pictures"])
    console.print(f"{record['seconds']:.1f} s; pictures: {files}")
