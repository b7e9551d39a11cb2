"""`jaxnet check`: the gradient doctor on a file."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

from jaxnet.check import Report, gradient
from jaxnet.extras import require


def check(options: argparse.Namespace) -> int:
    """Run `jaxnet check`; the status is 1 if the gradient is wrong."""
    module = _loaded(Path(options.file))
    report = _examined(module, options.seed)
    if options.json:
        whole = {"file": options.file, "seed": options.seed, **report.to_dict()}
        sys.stdout.write(json.dumps(whole, indent=2) + "\n")
    else:
        require("rich.console", "command").Console().print(report)
    return 0 if report.ok else 1


def _examined(module: ModuleType, seed: int) -> Report:
    """The report; while it is made, a terminal shows what is being done."""
    params, args = module.make(seed)
    if not sys.stderr.isatty():
        return gradient(module.loss, module.grad, params, *args)
    console = require("rich.console", "command").Console(stderr=True)
    with console.status("starting") as status:
        return gradient(module.loss, module.grad, params, *args, progress=status.update)


def _loaded(path: Path) -> ModuleType:
    """The user's file as a module, with its folder in reach of its imports."""
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
    missing = [name for name in ("loss", "grad", "make") if not hasattr(module, name)]
    if missing:
        raise ValueError(
            f"{path} does not define {', '.join(missing)}; it needs loss(params, *args), "
            "grad(params, *args) and make(seed) -> (params, args)"
        )
    return module
