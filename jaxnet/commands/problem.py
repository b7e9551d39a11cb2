"""What `jaxnet train` is to learn: its data as the network sees them, and the network for them."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from jaxnet import data
from jaxnet.data import Dataset, Standardizer
from jaxnet.layers import INITIALIZERS, normal
from jaxnet.models import Batch


@dataclass(frozen=True)
class Problem:
    """The data as the network sees them, and what is needed to undo that."""

    name: str
    train: Batch
    test: Batch
    dataset: Dataset  # the training part, for its names
    inputs: Standardizer | None
    targets: Standardizer | None


def read_problem(options: argparse.Namespace) -> Problem:
    """Read, split and standardise the data that the options name."""
    name, ready = options.data, options.raw
    if options.data in data.BUNDLED:
        dataset = data.BUNDLED[options.data]()
        train, test = data.split(dataset, options.test_fraction, seed=options.seed)
    elif Path(options.data).is_dir():
        train, test = data.mnist(options.data)
        name, ready = "mnist", True  # pixels are in [0, 1] already
    elif Path(options.data).suffix.lower() == ".csv":
        dataset = data.csv(options.data, target=options.target, task=options.task)
        name = Path(options.data).stem
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

    return Problem(name, seen(train), seen(test), train, inputs, targets)


def _is_error_loss(loss: str | None) -> bool:
    """Whether a loss compares numbers, so that classes must become one-hot rows for it."""
    return loss is not None and (loss.endswith("_error") or loss == "huber")


def _encoding(options: argparse.Namespace, train: Dataset) -> Any:
    if train.classes and _is_error_loss(options.loss):
        return lambda t: data.one_hot(t, len(train.classes))
    return lambda t: t


def network_spec(options: argparse.Namespace, problem: Problem) -> dict[str, Any]:
    """The arguments of `models.mlp`."""
    classes = problem.dataset.classes
    loss = options.loss or ("softmax_cross_entropy" if classes else "squared_error")
    if not classes and not _is_error_loss(loss):
        raise ValueError(
            f"--loss {loss} is for classes, but {problem.dataset.target} of {problem.name} is a "
            "number; use squared_error, half_squared_error, absolute_error or huber"
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


def initialisers(spec: str) -> dict[str, Any]:
    """The initialisers of `models.mlp` that `--init` names."""
    if spec in INITIALIZERS:
        return {"w_init": spec}
    try:
        std = float(spec)
    except ValueError:
        raise ValueError(
            f"--init {spec}: expected a number S for N(0, S^2), or one of {', '.join(INITIALIZERS)}"
        ) from None
    return {"w_init": normal(std), "b_init": normal(std)}
