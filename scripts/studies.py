"""Run all studies and make one page of them.

    python scripts/studies.py [--out FOLDER] [--quick] [--jobs 2] [NAME ...]

Each study is a process of its own. FOLDER/index.html has, for each, the problem, what the doctors
say of the fault, the cure, the pictures and the table of numbers; it needs no network. The status
is 0 if every number of every study is met, else 1. NAME, such as or_gate, runs that study only, and
the page then has it with those that were run before.
"""

import argparse
import html
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from study import files_of, read

from jaxnet.files import replacing

STUDIES = {
    "one_neuron": "1",
    "or_gate": "2",
    "two_layer_net": "3",
    "squared_features": "4",
    "digits_cg": "5",
    "two_matrices": "6",
    "mnist_backprop": "7",
    "iris_nesterov": "8a",
    "nesterov_point": "8b",
    "numerical_gradient": "9a",
    "step_size": "9b",
    "landscapes": "9c",
    "xor_methods": "9d",
}
"""Names and numbers; the eighth and the ninth are told in parts."""

STYLE = """
body { font: 16px/1.5 Georgia, serif; color: #222; background: #faf9f6; margin: 0 auto;
  max-width: 62rem; padding: 1rem 1.5rem 6rem }
h1, h2, h3, summary, th, nav, figcaption, .code { font-family: system-ui, sans-serif }
h1 { font-size: 2.2rem; margin-bottom: 0 }
h2 { margin-top: 5rem; border-top: 3px solid #222; padding-top: .6rem }
h2 small { color: #888; font-weight: normal }
nav { columns: 2; margin: 2rem 0 } nav a { display: block; color: inherit; padding: .15rem 0 }
pre { background: #f0eee8; padding: .7rem 1rem; overflow-x: auto; font-size: .85rem }
figure { margin: 1.5rem 0 } img { max-width: 100%; border: 1px solid #ddd; background: white }
figcaption { color: #555; font-size: .9rem }
.doctor { border-left: 5px solid #b3261e; background: #fff; padding: .5rem 1rem; margin: 1rem 0 }
.doctor.ok { border-color: #2e7d32 } .code { font-weight: bold } .shown { color: #666 }
table { border-collapse: collapse; font-size: .9rem; width: 100% }
td, th { padding: .2rem .6rem; border-bottom: 1px solid #e4e1d8; text-align: right }
td:first-child, th:first-child { text-align: left } td { font-variant-numeric: tabular-nums }
summary { cursor: pointer; margin: .5rem 0; color: #555 }
.met { color: #2e7d32 } .missed { color: #b3261e; font-weight: bold }
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the studies, print how they went, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--out", default="results/studies", help="(default: results/studies)")
    parser.add_argument("--quick", action="store_true", help="shorter forms, in seconds each")
    parser.add_argument("--jobs", type=int, default=2, help="studies at a time (default: 2)")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(STUDIES)
    if unknown:
        parser.error(f"no study is called {min(unknown)}; there are {', '.join(STUDIES)}")
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    out, names = Path(options.out), options.names or list(STUDIES)
    console, failed = Console(), False
    with Progress(console=console) as progress, ThreadPoolExecutor(options.jobs) as pool:
        task = progress.add_task("studies", total=len(names))
        runs = {pool.submit(run, name, out, options.quick): name for name in names}
        for finished in as_completed(runs):
            status, said = finished.result()
            failed |= status != 0
            progress.console.print(said, markup=False)
            progress.advance(task)
    ran = [name for name in STUDIES if is_written(out, name)]
    records = {name: read(out, f"study_{name}") for name in ran}
    with replacing(out / "index.html") as temporary:
        temporary.write_text(page(records))
    console.print(f"the page: {out / 'index.html'}")
    return int(failed)


def run(name: str, out: Path, quick: bool) -> tuple[int, str]:
    """Run one study in a process of its own: its status, and a line about it."""
    for file in files_of(out, f"study_{name}"):
        file.unlink(missing_ok=True)
    script = Path(__file__).with_name(f"study_{name}.py")
    command = [sys.executable, str(script), "--out", str(out), *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not is_written(out, name):
        return done.returncode or 1, f"{name}: failed\n{done.stdout}{done.stderr}"
    found = read(out, f"study_{name}")
    missed = [number["what"] for number in found["numbers"] if not number["ok"]]
    said = f"{name}: {tally(found)}, {found['seconds']:.0f} s"
    return done.returncode, "\n  missed: ".join([said, *missed])


def is_written(out: Path, name: str) -> bool:
    """Whether a study has left its numbers and its report."""
    return all(file.exists() for file in files_of(out, f"study_{name}"))


def tally(record: dict[str, Any]) -> str:
    """How many numbers were met."""
    met = sum(number["ok"] for number in record["numbers"])
    return f"{met} of {len(record['numbers'])} numbers met"


def page(records: dict[str, dict[str, Any]]) -> str:
    """The page of all studies that were run."""
    links = "".join(
        f'<a href="#{name}">{STUDIES[name]} &nbsp;{html.escape(r["title"])} '
        f'<span class="{"met" if r["ok"] else "missed"}">{tally(r)}</span></a>'
        for name, r in records.items()
    )
    first = next(iter(records.values()), {"jax": "", "device": ""})
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>jaxnet: the studies</title><style>{STYLE}</style>"
        "<h1>The studies</h1><p>Nine small learning problems that people brought to a forum, a "
        "course or a report: what went wrong, what the doctors say, the cure, and the numbers that "
        "are known. A red bar marks what a doctor says of a fault, a green one what it "
        f"finds right.</p><nav>{links}</nav>"
        + "".join(section(name, record) for name, record in records.items())
        + f"<p class=shown>JAX {first['jax']} on {html.escape(first['device'])}</p></html>\n"
    )


def section(name: str, record: dict[str, Any]) -> str:
    """One study."""
    quick = ", quick form" if record["quick"] else ""
    pictures = "".join(
        f'<figure><img src="{p["file"]}" alt="{html.escape(p["caption"])}">'
        f"<figcaption>{html.escape(p['caption'])}</figcaption></figure>"
        for p in record["pictures"]
    )
    doctors = "".join(map(doctor, record["doctors"]))
    heading = "<h3>What the doctors say</h3>" if doctors else ""
    return (
        f'<section id="{name}"><h2>{STUDIES[name]} &nbsp;{html.escape(record["title"])} '
        f"<small>{record['seconds']:.0f} s{quick}</small></h2>{prose(record['text'])}"
        f"{heading}{doctors}{pictures}{table(record)}</section>"
    )


def prose(text: str) -> str:
    """A docstring as paragraphs; what is indented stays as it is."""
    parts = []
    for part in text.split("\n\n"):
        said = html.escape(part)
        if part.startswith("    "):
            parts.append(f"<pre>{said}</pre>")
        else:
            said = re.sub(r"^(The (?:\w+ )?(?:faults?|cure))\b", r"<b>\1</b>", said)
            parts.append(f"<p>{said}</p>")
    return "".join(parts)


def doctor(said: dict[str, Any]) -> str:
    """What a doctor says: its findings, and the whole report to unfold."""
    findings = "".join(
        f"<p><span class=code>{f['code']}</span> {html.escape(f['message'])} "
        f"<i>{html.escape(f['fix'])}</i></p>"
        for f in said["findings"]
    )
    return (
        f'<div class="doctor{" ok" if said["ok"] else ""}">'
        f"<div class=shown>Shown {html.escape(said['shown'])}:</div>"
        f"{findings or '<p>' + html.escape(said['title']) + '</p>'}"
        f"<details><summary>the whole report</summary><pre>{html.escape(said['text'])}</pre>"
        "</details></div>"
    )


def table(record: dict[str, Any]) -> str:
    """The numbers: open if they are few or one is missed."""
    rows = []
    for number in record["numbers"]:
        cells = (number[k] for k in ("what", "known", "measured", "tolerance"))
        verdict = '<td class="met">met' if number["ok"] else '<td class="missed">missed'
        rows.append(f"<tr>{''.join(f'<td>{html.escape(c)}' for c in cells)}{verdict}")
    unfolded = " open" if len(rows) <= 24 or not record["ok"] else ""
    return (
        f"<details{unfolded}><summary>{tally(record)}</summary><table>"
        f"<tr><th><th>known<th>measured<th>tolerance<th>{''.join(rows)}</table></details>"
    )


if __name__ == "__main__":
    sys.exit(main())
