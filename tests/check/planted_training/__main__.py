"""The training doctor's score on all planted runs: `python -m tests.check.planted_training`."""

import sys
from collections import Counter

from jaxnet import check

from . import FAILURES, HEALTHY


def main() -> None:
    """Print every run that is judged wrongly, and the score by code."""
    found: Counter[str] = Counter()
    planted: Counter[str] = Counter()
    alarms = 0
    for case in [*FAILURES, *HEALTHY]:
        loss, params, batch, options = case.make()
        report = check.training(loss, params, batch, **options)
        got = None if report.ok else report.findings[0].code
        right = got == case.code or got in case.accept
        if case.code is None:
            alarms += not right
        else:
            planted[case.code] += 1
            found[case.code] += right
        if not right:
            sys.stdout.write(f"{case.name}: {case.code} was due, got {got}\n")
    for code, count in sorted(planted.items()):
        sys.stdout.write(f"{code} {found[code]}/{count}\n")
    sys.stdout.write(
        f"{found.total()} of {planted.total()} failures are named, {alarms} of {len(HEALTHY)} "
        "healthy runs get a false alarm\n"
    )


if __name__ == "__main__":
    main()
