"""The `jaxnet` command: its arguments. The work is done in `jaxnet.commands`.

Nothing here imports JAX, so that `jaxnet --help` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence

import jaxnet

EXPECTED_ERRORS = (ValueError, OSError, ImportError)
"""What bad input raises; its message is all that a person at the command needs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The words after `jaxnet`; None takes them from the command line.

    Returns:
        The exit status: 0, 1 if a training run fails or a gradient is wrong, 2 for bad input.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "train":
            from jaxnet.commands.train import train

            return train(options)
        if options.command == "check":
            from jaxnet.commands.check import check

            return check(options)
        if options.command == "doctor":
            from jaxnet.commands.doctor import doctor

            return doctor(options)
        if options.command == "zoo":
            from jaxnet.commands.zoo import zoo

            return zoo(options)
        from jaxnet.commands.predict import predict

        return predict(options)
    except EXPECTED_ERRORS as error:
        sys.stderr.write(f"jaxnet {options.command}: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxnet",
        description="Train neural networks whose gradients are derived by hand, and use them.",
    )
    parser.add_argument("--version", action="version", version=f"jaxnet {jaxnet.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands.add_parser(
        "train",
        help="train a network with one optimizer or several and compare them",
        description=(
            "Train a multilayer perceptron once with every optimizer named, from the same start. "
            "Without arguments: Iris with gradient descent (gd) and Nesterov's accelerated "
            "gradient (nag). Prints how far the hand-derived gradient agrees with jax.grad and "
            "with differences, then a table; writes the curves as a picture, the history as CSV "
            "and the trained models as safetensors."
        ),
        epilog="example: jaxnet train --data flowers.csv --target species --optimizer nag",
    ))  # fmt: skip
    _add_predict(commands.add_parser(
        "predict",
        help="apply a trained model to the rows of a CSV file",
        description=(
            "Apply a model that `jaxnet train` wrote to the rows of a CSV file and write the "
            "predictions as CSV. The file needs a column for each of the model's inputs; others "
            "stay as they are. For classes the probabilities are written too, where the model's "
            "loss is a softmax cross-entropy."
        ),
    ))  # fmt: skip
    check = commands.add_parser(
        "check",
        help="say what is wrong with a hand-written gradient or optimizer",
        description="Compare the gradient in a Python file with the true one. The file, in JAX or "
        "NumPy, defines loss(params, *args), grad(params, *args) and make(seed) -> (params, args). "
        "Or compare the optimizer in it with a rule of the zoo: it then defines init(params), "
        "step(params, grads, state) -> (params, state), REFERENCE, the rule's name, and HYPER, a "
        "dict of its hyperparameters. It is run. The status is 1 if there is a fault.",
    )
    check.add_argument("file", help="the Python file")
    check.add_argument("--seed", type=int, default=0, help="what make is called with (default: 0)")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    _add_doctor(commands.add_parser(
        "doctor",
        help="say why a training run fails, and what to change",
        description=(
            "Make a training run and say why it fails, if it does. The run is that of a Python "
            "file, which defines loss(params, x, t) and make(seed) -> (params, (x, t)), and if it "
            "likes predict(params, x), direction(grads), LEARNING_RATE, OPTIMIZER, STEPS, "
            "BATCH_SIZE, SHUFFLE and VALIDATION, which --optimizer, --learning-rate, --steps and "
            "--batch-size override; without a file, that of `jaxnet train` with the "
            "same options. The status is 1 if the run fails."
        ),
        epilog="example: jaxnet doctor --data iris --hidden 16 --optimizer gd --learning-rate 100",
    ))  # fmt: skip
    zoo = commands.add_parser(
        "zoo",
        help="list the optimizers, or print one with its equations",
        description="List every optimizer of jaxnet with its source and what it is proved against, "
        "or print one with its equations and arguments.",
    )
    zoo.add_argument("name", nargs="?", help="of one optimizer")
    return parser


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", help="the Python file")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    _add_problem(parser)
    run = _add_run(parser, default=["gd"])
    run.add_argument("--seed", type=int, default=0, help="of the split and the start (default: 0)")
    parser.set_defaults(optimizer=None, steps=None)  # what is given overrides the file


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_problem(parser)
    run = _add_run(parser, default=["gd", "nag"])
    run.add_argument(
        "--seed", type=int, default=0, help="of the split, the start and the batches (default: 0)"
    )
    run.add_argument(
        "--gradient",
        choices=["hand", "auto"],
        default="hand",
        help="hand-derived (default), or jax.grad",
    )
    run.add_argument("--clip-value", type=float, help="largest size of a gradient's entry")
    run.add_argument("--clip-norm", type=float, help="largest global norm of a gradient")
    run.add_argument(
        "--out", metavar="FOLDER", help="where results go (default: results/ and the data's name)"
    )


def _add_problem(parser: argparse.ArgumentParser) -> None:
    """The data and the network."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        default="iris",
        metavar="NAME|FILE.csv|FOLDER",
        help="iris (default), digits, wine, breast_cancer or diabetes; a CSV file with a header; "
        "or a folder with the four MNIST IDX files",
    )
    data.add_argument("--target", help="the CSV column to predict (default: the last one)")
    data.add_argument(
        "--task",
        choices=["classification", "regression"],
        help="what the CSV target is (default: numbers with a decimal point are a regression, "
        "whole numbers and text are classes)",
    )
    data.add_argument(
        "--test-fraction", type=float, default=0.2, help="share of test rows (default: 0.2)"
    )
    data.add_argument(
        "--raw",
        action="store_true",
        help="use the inputs as they are, not standardised (pixels of MNIST always are)",
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--hidden",
        type=int,
        nargs="*",
        default=[16],
        metavar="N",
        help="widths of the hidden layers (default: 16)",
    )
    network.add_argument(
        "--activation", default="softplus", help="of the hidden layers (default: softplus)"
    )
    network.add_argument(
        "--loss",
        help="(default: softmax_cross_entropy for classes, squared_error for numbers; for classes, "
        "squared_error, half_squared_error, absolute_error and huber put a sigmoid on the outputs)",
    )
    network.add_argument("--no-bias", action="store_true", help="layers without biases")
    network.add_argument(
        "--init",
        default="0.1",
        metavar="NAME|S",
        help="initialiser of weights and biases: S for N(0, S^2), or a name such as "
        "glorot_uniform or he_normal with biases 0 (default: 0.1)",
    )
    network.add_argument(
        "--l2", type=float, default=0.0, help="penalty on the sum of squared weights (default: 0)"
    )


def _add_run(parser: argparse.ArgumentParser, default: list[str]) -> argparse._ArgumentGroup:
    """How it is trained."""
    run = parser.add_argument_group("run")
    run.add_argument(
        "--optimizer",
        nargs="+",
        default=default,
        metavar="NAME",
        help="rules that `jaxnet zoo` lists, such as adam; each gets a run of its own (default: "
        f"{' '.join(default)})",
    )
    run.add_argument(
        "--learning-rate",
        type=float,
        help="step size (default: the rule's own default, which some have, else 0.01)",
    )
    run.add_argument("--steps", type=int, default=350, help="number of steps (default: 350)")
    run.add_argument(
        "--batch-size", type=int, help="rows a step, in a new order every epoch (default: all)"
    )
    return run


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a .safetensors file of `jaxnet train`")
    parser.add_argument("file", metavar="FILE.csv", help="the rows to predict for")
    parser.add_argument(
        "--out", metavar="OUT.csv", help="where to write; default: FILE-predictions.csv beside it"
    )


if __name__ == "__main__":
    sys.exit(main())
