"""A Python file of the user: as a module, and what it raises in a line."""

import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any


def loaded(path: Path) -> ModuleType:
    """Run the user's file, with its folder in reach of its imports.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no Python file, or raises an error.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with errors_in(path):
            spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def needed(module: ModuleType, path: Path, names: Sequence[str], needs: str) -> None:
    """Complain if the user's file does not define all names; needs says them in words."""
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise ValueError(f"{path} does not define {', '.join(missing)}; it needs {needs}")


def made(
    module: ModuleType, path: Path, seed: int, fix: str = "`return params, (x,)` for one"
) -> tuple[Any, Sequence[Any]]:
    """What the file's make gives: the parameters, and the other arguments as a tuple."""
    with errors_in(path):
        answer = module.make(seed)
    pair = isinstance(answer, tuple | list) and len(answer) == 2
    if not pair or not isinstance(answer[1], tuple | list):
        raise ValueError(
            f"{path}: make(seed) must give (params, arguments) with a tuple of arguments, got "
            f"{_kind(answer)}; write {fix}"
        )
    params, arguments = answer
    return params, arguments


def _kind(answer: Any) -> str:
    """The type of a value, and those in a pair."""
    if isinstance(answer, tuple | list) and len(answer) == 2:
        return f"({', '.join(type(part).__name__ for part in answer)})"
    return type(answer).__name__


@contextmanager
def errors_in(path: Path) -> Iterator[None]:
    """What is raised inside the user's file becomes a ValueError of one line with the place."""
    try:
        yield
    except SyntaxError as error:
        raise ValueError(f"SyntaxError in {error.filename}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if Path(f.filename).resolve() == path.resolve()]
        if own:
            place = f"{path.name}:{own[-1].lineno} ({own[-1].name})"
            raise ValueError(f"{type(error).__name__} at {place}: {error}") from error
        if isinstance(error, TypeError):  # what the doctors say of functions of another kind
            raise ValueError(str(error)) from error
        raise
