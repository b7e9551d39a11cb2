"""`jaxnet check`: the doctors on a file, the one of gradients or the one of optimizers."""

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from jaxnet.check import Report, gradient, optimizer
from jaxnet.extras import require

GRADIENT = ("loss", "grad", "make")
OPTIMIZER = ("init", "step", "REFERENCE", "HYPER")


def check(options: argparse.Namespace) -> int:
    """Run `jaxnet check`; the status is 1 if the gradient or the optimizer is wrong."""
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
    if not sys.stderr.isatty():
        return _report(module, seed, None)
    console = require("rich.console", "command").Console(stderr=True)
    with console.status("starting") as status:
        return _report(module, seed, status.update)


def _report(module: ModuleType, seed: int, progress: Callable[[str], None] | None) -> Report:
    if _has(module, OPTIMIZER):
        rule = module.init, module.step
        return optimizer(rule, module.REFERENCE, progress=progress, **module.HYPER)
    params, args = module.make(seed)
    return gradient(module.loss, module.grad, params, *args, progress=progress)


def _has(module: ModuleType, names: tuple[str, ...]) -> bool:
    return all(hasattr(module, name) for name in names)


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
    if _has(module, OPTIMIZER) or _has(module, GRADIENT):
        return module
    if hasattr(module, "init") and hasattr(module, "step"):
        missing = [name for name in OPTIMIZER if not hasattr(module, name)]
        raise ValueError(
            f"{path} does not define {', '.join(missing)}; an optimizer needs init(params) -> "
            "state, step(params, grads, state) -> (params, state), REFERENCE, the name of the "
            'rule it should be, such as "adam", and HYPER, a dict of its hyperparameters'
        )
    missing = [name for name in GRADIENT if not hasattr(module, name)]
    if missing:
        raise ValueError(
            f"{path} does not define {', '.join(missing)}; it needs loss(params, *args), "
            "grad(params, *args) and make(seed) -> (params, args)"
        )
    return module
