"""What the package as a whole promises: light imports, documented names, one version."""

import subprocess
import sys
import tomllib
from importlib import import_module
from inspect import getdoc, isclass, isroutine
from pathlib import Path

import pytest

import jaxnet
from jaxnet.cli import main

PUBLIC = ["jaxnet", *(f"jaxnet.{name}" for name in jaxnet.__all__)]
OPTIONAL = ["matplotlib", "sklearn", "polars", "rich", "safetensors"]


def loaded(program: str, names: list[str]) -> list[str]:
    """Which of the modules a program loads, in an interpreter of its own."""
    ask = f"import sys; print(*[n for n in {names} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{ask}"], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\n")[-2].split()


def test_importing_every_part_loads_no_optional_dependency() -> None:
    program = "import jaxnet\n" + "\n".join(f"jaxnet.{name}" for name in jaxnet.__all__)
    seen = loaded(program, [*OPTIONAL, *PUBLIC])
    assert seen == PUBLIC  # every part, and none of the others


@pytest.mark.parametrize(
    "program",
    ["import jaxnet", "import jaxnet.cli\ntry: jaxnet.cli.main(['--help'])\nexcept SystemExit: 0"],
)
def test_the_package_and_its_help_do_not_wait_for_jax(program: str) -> None:
    assert loaded(program, ["jax", "numpy", "optax", "jaxnet"]) == ["jaxnet"]


def test_the_command_is_a_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jaxnet.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert "train" in done.stdout
    assert "predict" in done.stdout


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_there_and_says_what_it_is(package: str) -> None:
    module = import_module(package)
    assert getdoc(module)
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", None) == package]
    names = getattr(module, "__all__", [n for n in own if not n.startswith("_")])
    assert len(set(names)) == len(names) > 0
    for name in names:
        value = getattr(module, name)
        # Tables and type aliases are data: their text stands below them in the source.
        if isclass(value) or isroutine(value):
            assert value.__doc__, f"{package}.{name}"


def test_an_unknown_part_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'jaxnet' has no attribute 'optimizers'"):
        jaxnet.optimizers  # noqa: B018
    assert set(jaxnet.__all__) <= set(dir(jaxnet))


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    project = Path(__file__).parents[1] / "pyproject.toml"
    assert jaxnet.__version__ == tomllib.loads(project.read_text())["project"]["version"]
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"jaxnet {jaxnet.__version__}\n"
