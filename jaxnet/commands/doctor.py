"""`jaxnet doctor`: the training doctor on a file, or on a network as `jaxnet train` makes it."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import jax

from jaxnet import models
from jaxnet.check import Report, training
from jaxnet.commands.problem import initialisers, network_spec, read_problem
from jaxnet.commands.train import optimizers
from jaxnet.commands.user_file import errors_in, loaded, made, needed
from jaxnet.extras import require

STEPS = 350
"""Steps without --steps and without a file, as `jaxnet train` makes."""

SETTINGS = {
    "predict": "predict", "LEARNING_RATE": "learning_rate", "OPTIMIZER": "optimizer",
    "direction": "direction", "STEPS": "steps", "BATCH_SIZE": "batch_size", "SHUFFLE": "shuffle",
    "VALIDATION": "validation",
}  # fmt: skip
"""What a file may define besides, and which argument of `check.training` it is."""


def doctor(options: argparse.Namespace) -> int:
    """Run `jaxnet doctor`; the status is 1 if a run fails.

    Raises:
        ValueError: Bad options, or a file that lacks something or raises an error; with --json
            that is printed too.
    """
    try:
        runs = _of_file(options) if options.file else _of_options(options)
        with errors_in(Path(options.file or "")):
            reports = {name: _examined(*run) for name, run in runs.items()}
    except (ValueError, OSError) as error:
        if options.json:
            sys.stdout.write(json.dumps({"ok": None, "error": str(error)}, indent=2) + "\n")
        raise
    if options.json:
        whole = {name: report.to_dict() for name, report in reports.items()}
        said = whole.get(options.file, whole)
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
    else:
        console = require("rich.console", "command").Console()
        for name, report in reports.items():
            console.print(f"[bold]{name}[/bold]")
            console.print(report)
    return 0 if all(report.ok for report in reports.values()) else 1


def _of_file(options: argparse.Namespace) -> dict[str, Any]:
    """The run that the user's file describes."""
    path = Path(options.file)
    module = loaded(path)
    needs = "loss(params, x, t) and make(seed) -> (params, (x, t))"
    needed(module, path, ("loss", "make"), needs)
    params, batch = made(module, path, options.seed, "`return params, (x, t)`")
    for name in SETTINGS:
        if name.isupper() and not hasattr(module, name) and _is_setting(module, name.lower()):
            sys.stderr.write(f"{path}: {name.lower()} is not read; write {name}\n")
    settings = {
        argument: getattr(module, name)
        for name, argument in SETTINGS.items()
        if hasattr(module, name)
    }
    given = {"steps": options.steps, "batch_size": options.batch_size}
    settings |= {name: value for name, value in given.items() if value is not None}
    if options.optimizer:
        rest = {k: v for k, v in settings.items() if k not in ("direction", "learning_rate")}
        rules = optimizers(options.optimizer, options.learning_rate)
        return {
            f"{options.file}, {name}": (module.loss, params, batch, rest | {"optimizer": rule})
            for name, rule in rules.items()
        }
    if options.learning_rate is not None:
        if hasattr(settings.get("optimizer"), "update"):
            raise ValueError(
                f"--learning-rate cannot change the OPTIMIZER of {path}; give --optimizer as well"
            )
        settings["learning_rate"] = options.learning_rate
    return {options.file: (module.loss, params, batch, settings)}


def _is_setting(module: Any, name: str) -> bool:
    """Whether a file defines a value of this name, not a function such as random.shuffle."""
    return hasattr(module, name) and not callable(getattr(module, name))


def _of_options(options: argparse.Namespace) -> dict[str, Any]:
    """The runs that `jaxnet train` would make."""
    problem = read_problem(options)
    model = models.mlp(**network_spec(options, problem), **initialisers(options.init))
    params = jax.jit(model.init)(jax.random.key(options.seed))

    def loss(params: Any, x: Any, t: Any) -> Any:
        return model.loss(params, (x, t))

    settings = {
        "predict": model.apply,
        "steps": STEPS if options.steps is None else options.steps,
        "batch_size": options.batch_size,
        "validation": problem.test,
    }
    rules = optimizers(options.optimizer or ["gd"], options.learning_rate)
    return {
        f"{problem.name}, {name}": (loss, params, problem.train, settings | {"optimizer": rule})
        for name, rule in rules.items()
    }


def _examined(loss: Any, params: Any, batch: Any, settings: dict[str, Any]) -> Report:
    """The report; while it is made, a terminal shows what is being done."""
    if not sys.stderr.isatty():
        return training(loss, params, batch, **settings)
    console = require("rich.console", "command").Console(stderr=True)
    with console.status("starting") as status:
        return training(loss, params, batch, **settings, progress=status.update)
