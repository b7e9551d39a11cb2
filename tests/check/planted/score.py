"""The gradient doctor's score on the planted faults: python -m tests.check.planted [--seeds N].

Prints every fault that is not named, or of which the leaves or the line are not found, the right
gradients that are called wrong, and the score by code. It takes many minutes.
"""

import argparse
import inspect
import multiprocessing
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jaxnet import check

from . import PROBLEMS
from .problem import Fault, Problem


class Outcome(NamedTuple):
    """What the doctor said of one fault.

    said is its headline, line whether the finding that names the fault points at the right line;
    None where none is due.
    """

    fault: str
    code: str
    said: str
    named: bool
    leaves: bool
    line: bool | None


def outcome(problem: Problem, fault: Fault) -> Outcome:
    """Ask the doctor about one fault."""
    params, args = problem.make(0)
    findings = check.gradient(problem.loss, fault.grad, params, *args).findings
    said = [f"{f.code} {Path(f.where or '').name}" for f in findings]
    codes = (fault.code, *fault.accept)
    # The line of the finding that names the fault, or else of the headline.
    naming = [f for code in codes for f in findings if f.code == code][:1] or findings[:1]
    numbers = [n for f in naming for n in re.findall(r":(\d+):\d+", f.where or "")]
    return Outcome(
        f"{problem.name}: {fault.grad.__name__}",
        fault.code,
        said[0] if said else "silent",
        bool(findings) and findings[0].code in codes,
        {leaf for finding in findings for leaf in finding.leaves} == set(fault.leaves),
        None if fault.line is None else any(_is_line(problem, fault.line, int(n)) for n in numbers),
    )


def _is_line(problem: Problem, tag: str, number: int) -> bool:
    """Whether the line of this number in the problem's file ends with the tag."""
    source = Path(inspect.getsourcefile(problem.make) or "").read_text().split("\n")
    return re.search(rf"# @{tag}$", source[number - 1]) is not None


def of_problem(number: int, seeds: int) -> tuple[list[str], list[Outcome]]:
    """The false alarms on the right gradient of a problem, and the outcomes of its faults."""
    problem = PROBLEMS[number]
    alarms = []
    for seed in range(seeds):
        params, args = problem.make(seed)
        report = check.gradient(problem.loss, problem.grad, params, *args)
        alarms += [f"{problem.name}, seed {seed}: {f.code}" for f in report.findings]
    return alarms, [outcome(problem, fault) for fault in problem.faults]


def main() -> None:
    """Print the score."""
    parser = argparse.ArgumentParser(description="the gradient doctor's score on planted faults")
    parser.add_argument("--seeds", type=int, default=1, help="points for each right gradient")
    seeds = parser.parse_args().seeds
    alarms: list[str] = []
    outcomes: list[Outcome] = []
    with multiprocessing.get_context("spawn").Pool() as pool:
        for more, found in pool.imap(partial(of_problem, seeds=seeds), range(len(PROBLEMS))):
            alarms += more
            outcomes += found
            for o in found:
                missed = [n for n in ("named", "leaves", "line") if getattr(o, n) is False]
                if missed:
                    print(f"{o.fault}: {o.code} due, said {o.said}; not {missed}", flush=True)
    named = Counter(o.code for o in outcomes if o.named)
    lines = [o.line for o in outcomes if o.line is not None]
    print(f"false alarms in {seeds * len(PROBLEMS)} right gradients: {alarms or 'none'}")
    print(
        f"codes {named.total()}/{len(outcomes)}, leaves {sum(o.leaves for o in outcomes)}/", end=""
    )
    print(f"{len(outcomes)}, lines {sum(lines)}/{len(lines)}")
    for code, count in sorted(Counter(o.code for o in outcomes).items()):
        print(f"{code} {named[code]}/{count}")
