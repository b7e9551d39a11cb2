"""`jaxnet check`: the doctors on a file, the one of gradients or the one of optimizers."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from jaxnet.check import Report, gradient, optimizer
from jaxnet.commands.user_file import errors_in, loaded, made, needed
from jaxnet.extras import require

GRADIENT = ("loss", "grad", "make")
OPTIMIZER = ("init", "step", "REFERENCE", "HYPER")


def check(options: argparse.Namespace) -> int:
    """Run `jaxnet check`; the status is 1 if the gradient or the optimizer is wrong.

    Raises:
        ValueError: The file lacks something, or raises an error; with --json that is printed too.
    """
    path = Path(options.file)
    try:
        report = _examined(path, options.seed)
    except (ValueError, OSError) as error:
        if options.json:
            whole = {"file": options.file, "seed": options.seed, "ok": None, "error": str(error)}
            sys.stdout.write(json.dumps(whole, indent=2) + "\n")
        raise
    if options.json:
        whole = {"file": options.file, "seed": options.seed, **report.to_dict()}
        sys.stdout.write(json.dumps(whole, indent=2) + "\n")
    else:
        require("rich.console", "command").Console().print(report)
    return 0 if report.ok else 1


def _examined(path: Path, seed: int) -> Report:
    """The report; while it is made, a terminal shows what is being done."""
    module = loaded(path)
    if not sys.stderr.isatty():
        return _report(module, path, seed, None)
    console = require("rich.console", "command").Console(stderr=True)
    with console.status("starting") as status:
        return _report(module, path, seed, status.update)


def _report(
    module: ModuleType, path: Path, seed: int, progress: Callable[[str], None] | None
) -> Report:
    if hasattr(module, "init") and hasattr(module, "step"):
        needed(
            module, path, OPTIMIZER,
            "init(params) -> state, step(params, grads, state) -> (params, state), REFERENCE, the "
            'name of the rule that it should be, such as "adam", and HYPER, a dict of its '
            "hyperparameters",
        )  # fmt: skip
        with errors_in(path):
            rule = module.init, module.step
            return optimizer(rule, module.REFERENCE, progress=progress, **module.HYPER)
    needed(
        module, path, GRADIENT,
        "loss(params, *args), grad(params, *args) and make(seed) -> (params, args)",
    )  # fmt: skip
    params, args = made(module, path, seed)
    with errors_in(path):
        return gradient(module.loss, module.grad, params, *args, progress=progress)
