"""A Python file of the user, as a module."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


def loaded(path: Path, names: Sequence[str], needs: str) -> ModuleType:
    """Run the user's file, with its folder in reach of its imports.

    Args:
        path: The file.
        names: What it must define.
        needs: The same in words.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no Python file, or does not define a name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise ValueError(f"{path} does not define {', '.join(missing)}; it needs {needs}")
    return module
