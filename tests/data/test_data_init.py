import subprocess
import sys


def test_importing_the_package_leaves_the_optional_dependencies_alone() -> None:
    program = (
        "import sys, jaxnet.data\n"
        "print([name for name in ('sklearn', 'polars', 'matplotlib') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
