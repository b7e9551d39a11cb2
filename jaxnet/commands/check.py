"""`jaxnet check`: the gradient doctor on a file."""

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

from jaxnet.check import Report, gradient
from jaxnet.commands.user_file import loaded
from jaxnet.extras import require


def check(options: argparse.Namespace) -> int:
    """Run `jaxnet check`; the status is 1 if the gradient is wrong."""
    module = loaded(
        Path(options.file), ("loss", "grad", "make"),
        "loss(params, *args), grad(params, *args) and make(seed) -> (params, args)",
    )  # fmt: skip
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
