"""Every snippet of the README runs, and prints what the README says it prints."""

import math
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
SEPARATOR = "== next snippet =="


def test_snippets_print_what_the_readme_says() -> None:
    # One new process, as for a reader who pastes one snippet after the other.
    blocks = BLOCK.findall(README.read_text())
    assert len(blocks) > 5
    program = f"\nprint({SEPARATOR!r})\n".join(code for code, _ in blocks)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    printed = run.stdout.split(f"{SEPARATOR}\n")
    for (code, said), got in zip(blocks, printed, strict=True):
        assert says_the_same(got, said), f"{code}\nprinted\n{got}\nbut the README says\n{said}"


def says_the_same(got: str, said: str) -> bool:
    """Whether two texts agree word for word, and in numbers to 2 %: machines differ."""
    number = r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?"
    same_words = re.sub(number, "#", got).split() == re.sub(number, "#", said).split()
    numbers = zip(re.findall(number, got), re.findall(number, said), strict=False)
    return same_words and all(math.isclose(float(a), float(b), rel_tol=0.02) for a, b in numbers)
