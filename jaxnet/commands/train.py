"""`jaxnet train`: the same network trained once with every optimizer named."""

import argparse
import inspect
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnet import check, models, plot, saved
from jaxnet.arguments import positive_int
from jaxnet.commands.problem import Problem, initialisers, network_spec, read_problem
from jaxnet.extras import require
from jaxnet.files import replacing
from jaxnet.layers.layer import Params
from jaxnet.models import Batch, Model, classes_of
from jaxnet.optim.zoo import Entry, named
from jaxnet.train import FitResult, NonFiniteError, accuracy, fit

CHECKED_ROWS = 32
"""The gradient is compared with its witnesses on this many training rows."""


def train(options: argparse.Namespace) -> int:
    """Run `jaxnet train`; 0, or 1 if a run ended in a loss that is not finite."""
    console = require("rich.console", "command").Console()
    for module, extra in (("matplotlib.figure", "plot"), ("safetensors.numpy", "command")):
        require(module, extra)  # rather now than after the training
    rules = optimizers(options.optimizer, options.learning_rate)
    steps = positive_int("--steps", options.steps)
    problem = read_problem(options)
    spec = network_spec(options, problem)
    key = jax.random.key(options.seed)
    model = models.mlp(**spec, **initialisers(options.init))
    params = jax.jit(model.init)(key)

    _print_problem(console, problem, spec, params)
    x, t = problem.train
    _print_agreement(console, check.agreement(model, params, (x[:CHECKED_ROWS], t[:CHECKED_ROWS])))

    results: dict[str, FitResult] = {}
    failures: dict[str, str] = {}
    for name, rule in rules.items():
        try:
            results[name] = fit(
                model,
                rule,
                problem.train,
                steps=steps,
                batch_size=options.batch_size,
                key=key,
                params=params,
                validation=problem.test,
                gradient=options.gradient,
                clip_value=options.clip_value,
                clip_norm=options.clip_norm,
                title=name,
            )
        except NonFiniteError as error:
            results[name], failures[name] = error.result, str(error)
    _print_results(console, model, problem, results, failures)
    out = Path(options.out or Path("results") / problem.name)
    written = _write(out, problem, spec, results, failures)
    console.print(f"written to {out}: {', '.join(written)}")
    for name, message in failures.items():
        sys.stderr.write(f"jaxnet train: {name}: {message}\n")
    return 1 if failures else 0


DEFAULT_RATE = 0.01
"""The learning rate of rules that have no default of their own."""


def optimizers(names: list[str], rate: float | None) -> dict[str, Any]:
    """The rules by name, at this learning rate or at their own default."""
    for name in names:
        needs = named(name).needs
        if needs in ("residual_fn", "rows"):
            raise ValueError(f"{name} needs {needs}, which jaxnet train cannot give; use Python")
    if len(set(names)) < len(names):
        raise ValueError(f"--optimizer names one twice: {' '.join(names)}")
    return {name: named(name).make(_rate(named(name)) if rate is None else rate) for name in names}


def _rate(entry: Entry) -> Any:
    """The default of a rule's learning rate, or of what stands for it."""
    parameters = inspect.signature(entry.factory).parameters
    for name in ("learning_rate", "max_learning_rate"):
        default = parameters[name].default if name in parameters else inspect.Parameter.empty
        if default is not inspect.Parameter.empty and default is not None:
            return default
    return DEFAULT_RATE


def _print_problem(console: Any, problem: Problem, spec: dict[str, Any], params: Params) -> None:
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    classes, target = problem.dataset.classes, problem.dataset.target
    kind = f"{target} is one of {len(classes)} classes" if classes else f"{target} is a number"
    sizes = " -> ".join(map(str, spec["sizes"]))
    console.print(
        f"[bold]{problem.name}[/bold]: {len(problem.train[0])} training and "
        f"{len(problem.test[0])} test rows; {kind}; network {sizes}, {spec['activation']}, "
        f"{spec['loss']}, {count} parameters"
    )


def _print_agreement(console: Any, rows: tuple[check.Agreement, ...]) -> None:
    title = "the hand-derived gradient against two witnesses: relative error in float64"
    table = _table(title, "leaf", "shape", "jax.grad", "differences", "entries compared")
    for row in rows:
        table.add_row(
            row.leaf,
            str(row.shape),
            f"{row.hand_auto:.1e}",
            f"{row.hand_differences:.1e}",
            f"{row.compared} of {math.prod(row.shape)}",
        )
    console.print(table)


def _print_results(
    console: Any,
    model: Model,
    problem: Problem,
    results: dict[str, FitResult],
    failures: dict[str, str],
) -> None:
    if problem.dataset.classes:
        measure, constant = "accuracy", "always naming the most frequent class"
        guess = float(np.bincount(np.asarray(classes_of(problem.train[1]))).max())
        guess /= len(problem.train[1])
    else:
        measure, constant, guess = "R^2", "always naming the mean", 0.0
    title = "results" if problem.targets is None else "results (losses of standardised targets)"
    headings = ["steps", "train\nloss", "test\nloss", f"train\n{measure}", f"test\n{measure}"]
    table = _table(title, "optimizer", *headings, "seconds")
    for name, result in results.items():
        batches = (problem.train, problem.test)
        losses = [f"{float(jax.jit(model.loss)(result.params, b)):.4g}" for b in batches]
        scores = [f"{_score(model, result.params, b):.3g}" for b in batches]
        label = f"{name} (failed)" if name in failures else name
        table.add_row(label, str(result.steps), *losses, *scores, f"{result.seconds:.2f}")
    console.print(table)
    for name, result in results.items():
        if name not in failures and _score(model, result.params, problem.train) <= guess:
            console.print(
                f"[yellow]{name} learned nothing[/yellow]: no better than {constant}. Try another "
                "--learning-rate (smaller if the loss rose), more --steps, or standardised inputs."
            )


def _table(title: str, first: str, *others: str) -> Any:
    """A table that fits 80 columns: the first column of words, the others of numbers."""
    box = require("rich.box", "command").SIMPLE_HEAD
    table = require("rich.table", "command").Table(
        title=title, title_justify="left", box=box, pad_edge=False
    )
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _score(model: Model, params: Params, batch: Batch) -> float:
    """Accuracy of a classifier; R^2, the explained share of the variance, of a regression."""
    if model.classify is not None:
        return float(jax.jit(partial(accuracy, model))(params, batch))
    y = np.asarray(jax.jit(model.apply)(params, batch[0]))
    if not np.isfinite(y).all():
        return float("nan")
    return float(require("sklearn.metrics", "data").r2_score(np.asarray(batch[1]), y))


def _write(
    out: Path,
    problem: Problem,
    spec: dict[str, Any],
    results: dict[str, FitResult],
    failures: dict[str, str],
) -> list[str]:
    """Write the picture, the history and the models; return the files' names."""
    title = f"{problem.name}: {'-'.join(map(str, spec['sizes']))}, {spec['activation']}"
    if failures:
        title += f" ({', '.join(failures)} failed)"
    histories = {name: result.history for name, result in results.items()}
    figure = plot.training_curves(histories, title=title, held_out="test")
    plot.save(figure, out / "curves.png")
    _write_history(out / "history.csv", results)
    names = {name: f"{name}-last-finite" if name in failures else name for name in results}
    for name, result in results.items():
        model = saved.SavedModel(
            spec=spec,
            params=result.params,
            inputs=problem.inputs,
            targets=problem.targets,
            features=problem.dataset.features,
            target=problem.dataset.target,
            classes=problem.dataset.classes,
        )
        saved.save(out / f"{names[name]}.safetensors", model)
    return ["curves.png", "history.csv", *(f"{name}.safetensors" for name in names.values())]


def _write_history(path: Path, results: dict[str, FitResult]) -> None:
    """One row for every run and number of steps done; empty where nothing was measured."""
    polars = require("polars", "data")
    frames = []
    for name, result in results.items():
        history = dict(result.history)
        losses = history.pop("loss")
        seen = polars.DataFrame({"step": np.arange(len(losses)), "train_loss": losses})
        measured = polars.DataFrame(
            {k.replace("validation", "test"): v for k, v in history.items()}
        )
        rows = seen.join(measured, on="step", how="full", coalesce=True).sort("step")
        frames.append(rows.select(polars.lit(name).alias("optimizer"), polars.all()))
    with replacing(path) as temporary:
        polars.concat(frames).write_csv(temporary)
