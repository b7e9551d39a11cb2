"""How many of the planted optimizers get their right name.

python -m tests.check.planted_optimizers.score [WORD ...]  runs those whose name or rule has a word.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence

import jax

from jaxnet import check

from .problem import Planted


def planted() -> list[Planted]:
    """All of them; those of PyTorch only where it is installed."""
    with jax.enable_x64(True):
        from . import (
            adam,
            adaptive,
            exam_fourth,
            exam_jax,
            exam_numpy,
            exam_second,
            gradient_descent,
            later,
            layerwise,
        )

        found = [
            *gradient_descent.PLANTED,
            *adaptive.PLANTED,
            *adam.PLANTED,
            *layerwise.PLANTED,
            *later.PLANTED,
            *exam_numpy.PLANTED,
            *exam_jax.PLANTED,
            *exam_second.PLANTED,
            *exam_fourth.PLANTED,
        ]
        try:
            from . import exam_fourth_torch, exam_torch, of_torch
        except ImportError:
            return found
        return found + of_torch.PLANTED + exam_torch.PLANTED + exam_fourth_torch.PLANTED


def headline(p: Planted) -> str:
    """The first code that the doctor tells, or "" where it finds the rule right."""
    report = check.optimizer(p.rule, p.reference, **p.hyper)
    return report.findings[0].code if report.findings else ""


def main(words: Sequence[str]) -> None:
    """Run them and print those that get another name."""
    chosen = [
        p for p in planted() if not words or any(w in (*p.name.split(), p.reference) for w in words)
    ]
    right, near, alarms, slowest = 0, 0, 0, (0.0, "")
    of, found = Counter[str](), Counter[str]()
    for p in chosen:
        start = time.perf_counter()
        try:
            said = headline(p)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        slowest = max(slowest, (time.perf_counter() - start, p.name))
        of[p.code] += 1
        found[p.code] += said == p.code
        right += p.code != "" and said == p.code
        near += p.code != "" and said in p.also
        alarms += p.code == "" and said != ""
        if said != p.code:
            print(f"{p.name} ({p.reference}): {said or 'right'}, not {p.code or 'right'}")
    print(", ".join(f"{code or 'right'} {found[code]}/{n}" for code, n in sorted(of.items())))
    faults = sum(p.code != "" for p in chosen)
    print(
        f"{right} of {faults} faults have their name, {near} another that fits; {alarms} false "
        f"alarms on {len(chosen) - faults} right rules; the slowest is {slowest[1]}, "
        f"{slowest[0]:.1f} s"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
