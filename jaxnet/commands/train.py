"""`jaxnet train`: the same network trained once with every optimizer named."""

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnet import check, data, models, optim, plot, saved
from jaxnet.data import Dataset, Standardizer
from jaxnet.extras import require
from jaxnet.files import replacing
from jaxnet.layers import INITIALIZERS, normal
from jaxnet.layers.layer import Params
from jaxnet.models import Batch, Model
from jaxnet.train import FitResult, NonFiniteError, accuracy, fit

OPTIMIZERS = {
    "gd": optim.gd,
    "momentum": optim.momentum,
    "nesterov": optim.nesterov,
    "nag": optim.nag,
}
CHECKED_ROWS = 32
"""The gradient is compared with its witnesses on this many training rows."""


@dataclass(frozen=True)
class Problem:
    """The data as the network sees them, and what is needed to undo that."""

    name: str
    target: str
    train: Batch
    test: Batch
    dataset: Dataset  # the training part, for its names
    inputs: Standardizer | None
    targets: Standardizer | None


def train(options: argparse.Namespace) -> int:
    """Run `jaxnet train`; 0, or 1 if a run ended in a loss that is not finite."""
    console = require("rich.console", "command").Console()
    for module, extra in (("matplotlib.figure", "plot"), ("safetensors.numpy", "command")):
        require(module, extra)  # rather now than after the training
    factories = _optimizers(options.optimizer)
    problem = _problem(options)
    spec = _spec(options, problem)
    key = jax.random.key(options.seed)
    model = models.mlp(**spec, **_initialisers(options.init))
    params = jax.jit(model.init)(key)

    _print_problem(console, problem, spec, params)
    x, t = problem.train
    _print_agreement(console, check.agreement(model, params, (x[:CHECKED_ROWS], t[:CHECKED_ROWS])))

    results: dict[str, FitResult] = {}
    failures: dict[str, str] = {}
    for name, factory in factories.items():
        try:
            results[name] = fit(
                model,
                factory(options.learning_rate),
                problem.train,
                steps=options.steps,
                batch_size=options.batch_size,
                key=key,
                params=params,
                validation=problem.test,
                gradient=options.gradient,
                clip_norm=options.clip_norm,
                title=name,
            )
        except NonFiniteError as error:
            results[name], failures[name] = error.result, str(error)
    _print_table(console, model, problem, results, failures)
    out = Path(options.out or Path("results") / problem.name)
    _write(out, problem, spec, results, failures)
    console.print(f"written to {out}: " + ", ".join(sorted(p.name for p in out.iterdir())))
    for name, message in failures.items():
        sys.stderr.write(f"jaxnet train: {name}: {message}\n")
    return 1 if failures else 0


def _optimizers(names: list[str]) -> dict[str, Any]:
    unknown = [name for name in names if name not in OPTIMIZERS]
    if unknown:
        raise ValueError(
            f"unknown optimizer {', '.join(unknown)}; expected one of {', '.join(OPTIMIZERS)}"
        )
    return {name: OPTIMIZERS[name] for name in names}


def _problem(options: argparse.Namespace) -> Problem:
    name, target, ready = options.data, "target", options.raw
    if options.data in data.BUNDLED:
        dataset = data.BUNDLED[options.data]()
        train, test = data.split(dataset, options.test_fraction, seed=options.seed)
    elif Path(options.data).is_dir():
        train, test = data.mnist(options.data)
        name, target, ready = "mnist", "digit", True  # pixels are in [0, 1] already
    elif Path(options.data).suffix.lower() == ".csv":
        dataset = data.csv(options.data, target=options.target, task=options.task)
        name, target = Path(options.data).stem, options.target or "target"
        train, test = data.split(dataset, options.test_fraction, seed=options.seed)
    else:
        raise ValueError(
            f"--data {options.data}: expected one of {', '.join(data.BUNDLED)}, a CSV file "
            "(FILE.csv), or a folder that exists with the MNIST files"
        )
    inputs = None if ready else data.standardizer(train.x)
    targets = None if train.classes else data.standardizer(train.t)
    encode = _encoding(options, train)

    def seen(part: Dataset) -> Batch:
        x = part.x if inputs is None else inputs(part.x)
        t = encode(part.t) if targets is None else targets(part.t)
        return jax.numpy.asarray(x, dtype=float), jax.numpy.asarray(t)

    return Problem(name, target, seen(train), seen(test), train, inputs, targets)


def _is_error_loss(loss: str | None) -> bool:
    """Whether a loss compares numbers, so that classes must become one-hot rows for it."""
    return loss is not None and (loss.endswith("_error") or loss == "huber")


def _encoding(options: argparse.Namespace, train: Dataset) -> Any:
    if train.classes and _is_error_loss(options.loss):
        return lambda t: data.one_hot(t, len(train.classes))
    return lambda t: t


def _spec(options: argparse.Namespace, problem: Problem) -> dict[str, Any]:
    """The arguments of `models.mlp`."""
    classes = problem.dataset.classes
    loss = options.loss or ("softmax_cross_entropy" if classes else "squared_error")
    if not classes and not _is_error_loss(loss):
        raise ValueError(
            f"--loss {loss} is for classes, but {problem.target} of {problem.name} is a number; "
            "use squared_error, half_squared_error, absolute_error or huber"
        )
    n_out = len(classes) or problem.train[1].shape[1]
    return {
        "sizes": [problem.train[0].shape[1], *options.hidden, n_out],
        "activation": options.activation,
        "loss": loss,
        "output": "sigmoid" if classes and _is_error_loss(loss) else "identity",
        "bias": not options.no_bias,
        "l2": options.l2,
    }


def _initialisers(spec: str) -> dict[str, Any]:
    if spec in INITIALIZERS:
        return {"w_init": spec}
    try:
        std = float(spec)
    except ValueError:
        raise ValueError(
            f"--init {spec}: expected a number S for N(0, S^2), or one of {', '.join(INITIALIZERS)}"
        ) from None
    return {"w_init": normal(std), "b_init": normal(std)}


def _print_problem(console: Any, problem: Problem, spec: dict[str, Any], params: Params) -> None:
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    sizes = " -> ".join(map(str, spec["sizes"]))
    console.print(
        f"[bold]{problem.name}[/bold]: {len(problem.train[0])} training and "
        f"{len(problem.test[0])} test rows; network {sizes}, {spec['activation']}, "
        f"{spec['loss']}, {count} parameters"
    )


def _print_agreement(console: Any, rows: tuple[check.Agreement, ...]) -> None:
    table = require("rich.table", "command").Table(
        title="the hand-derived gradient against two witnesses (relative error, float64)"
    )
    table.add_column("leaf")
    table.add_column("shape")
    table.add_column("jax.grad", justify="right")
    table.add_column("differences", justify="right")
    table.add_column("entries compared", justify="right")
    for row in rows:
        size = int(np.prod(row.shape))
        table.add_row(
            row.leaf,
            str(row.shape),
            f"{row.hand_auto:.1e}",
            f"{row.hand_differences:.1e}",
            f"{row.compared} of {size}",
        )
    console.print(table)


def _print_table(
    console: Any,
    model: Model,
    problem: Problem,
    results: dict[str, FitResult],
    failures: dict[str, str],
) -> None:
    measure = "accuracy" if problem.dataset.classes else "R2"
    table = require("rich.table", "command").Table(
        title="training" if problem.targets is None else "training (losses of standardised targets)"
    )
    for heading in ("optimizer", "steps", "train loss", "test loss", f"train {measure}",
                    f"test {measure}", "seconds", "compiling"):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "optimizer" else "right")
    for name, result in results.items():
        batches = (problem.train, problem.test)
        losses = [f"{float(jax.jit(model.loss)(result.params, b)):.4g}" for b in batches]
        scores = [f"{_score(model, result.params, b):.3f}" for b in batches]
        label = f"{name} (failed)" if name in failures else name
        table.add_row(
            label, str(result.steps), *losses, *scores,
            f"{result.seconds:.2f}", f"{result.compile_seconds:.2f}",
        )  # fmt: skip
    console.print(table)


def _score(model: Model, params: Params, batch: Batch) -> float:
    """Accuracy of a classifier; R^2, the explained share of the variance, of a regression."""
    if model.classify is not None:
        return float(jax.jit(partial(accuracy, model))(params, batch))
    r2_score = require("sklearn.metrics", "data").r2_score
    return float(r2_score(np.asarray(batch[1]), np.asarray(jax.jit(model.apply)(params, batch[0]))))


def _write(
    out: Path,
    problem: Problem,
    spec: dict[str, Any],
    results: dict[str, FitResult],
    failures: dict[str, str],
) -> None:
    title = problem.name + ("" if not failures else f" ({', '.join(failures)} failed)")
    figure = plot.training_curves({n: r.history for n, r in results.items()}, title=title)
    plot.save(figure, out / "curves.png")
    _write_history(out / "history.csv", results)
    for name, result in results.items():
        model = saved.SavedModel(
            spec=spec,
            params=result.params,
            inputs=problem.inputs,
            targets=problem.targets,
            features=problem.dataset.features,
            target=problem.target,
            classes=problem.dataset.classes,
        )
        saved.save(out / f"{name}.safetensors", model)


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
