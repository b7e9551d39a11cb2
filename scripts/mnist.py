"""MNIST with sigmoid units and a quadratic cost, by the hand-derived gradient.

A [784, 30, 10] network, sigmoid everywhere, cost 1/2 |a - y|^2 averaged over minibatches of 10,
weights and biases from N(0, 1), step 3.0 (Nielsen, Neural Networks and Deep Learning, 2015).

    python scripts/mnist.py FOLDER [--epochs 10] [--seed 1]

FOLDER holds the four IDX files, gzipped or not; JAXNET_MNIST may name it instead.

About one start in six (seed 0 is one) leaves an output unit saturated for good and ends near 85 %:
the quadratic cost has hardly any gradient there, one reason why the cross-entropy took its place.
"""

import argparse
import os
import sys

import jax

from jaxnet import data, models, optim
from jaxnet.layers import normal
from jaxnet.train import FitResult, fit


def train(folder: str, epochs: int, seed: int = 1, progress: bool | None = None) -> FitResult:
    """Train and return the run; its history has the test accuracy after every epoch."""
    train_part, test_part = data.mnist(folder)
    model = models.mlp(
        [784, 30, 10],
        "sigmoid",
        "half_squared_error",
        output="sigmoid",
        w_init=normal(),
        b_init=normal(),
    )
    batch_size = 10
    return fit(
        model,
        optim.gd(3.0),
        (train_part.x, data.one_hot(train_part.t, 10)),
        steps=epochs * (len(train_part.x) // batch_size),
        batch_size=batch_size,
        key=jax.random.key(seed),
        validation=(test_part.x, data.one_hot(test_part.t, 10)),
        progress=progress,
        title="mnist",
    )


def main() -> int:
    """Read the arguments, train, and print the accuracy after every epoch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder",
        nargs="?",
        default=os.environ.get("JAXNET_MNIST"),
        help="with the four IDX files (default: what JAXNET_MNIST names)",
    )
    parser.add_argument("--epochs", type=int, default=10, help="(default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    options = parser.parse_args()
    if options.folder is None:
        parser.error("name the folder with the MNIST files, or set JAXNET_MNIST")
    try:
        result = train(options.folder, options.epochs, options.seed)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print("epoch  test accuracy  test loss")
    rows = zip(
        result.history["validation_accuracy"], result.history["validation_loss"], strict=True
    )
    for epoch, (accuracy, loss) in enumerate(rows, start=1):
        print(f"{epoch:5d}  {accuracy:13.4f}  {loss:9.4f}")
    print(f"{result.steps} steps: {result.seconds:.1f} s, compiling {result.compile_seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
