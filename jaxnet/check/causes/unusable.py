"""Gradients that cannot be compared at all: missing, of another shape, not finite."""

from collections.abc import Iterator

import numpy as np

from jaxnet.check.causes.cause import Cause, said_name
from jaxnet.check.witness import Sample, Subject


def unusable(s: Subject, samples: list[Sample], wrong: list[int]) -> Iterator[Cause]:
    """The causes that are plain without a comparison."""
    for k in wrong:
        name = said_name(s, k)
        given, true = samples[0].given[k], samples[0].true[k]
        if given is None:
            yield Cause(
                "missing",
                (k,),
                f"The gradient has no leaf {name}; the loss depends on it.",
                f"Return a gradient for {name}, of shape {true.shape}.",
            )
        elif given.shape != true.shape:
            yield _of_shape(name, k, given, true)
        elif not all(np.isfinite(np.asarray(x.given[k])).all() for x in samples):
            bad = ~np.isfinite(given)
            yield Cause(
                "nonfinite",
                (k,),
                f"The gradient of {name} is infinite or NaN in {int(bad.sum())} of {bad.size} "
                "entries; the true one is finite.",
                "Look for a division by 0, a logarithm or root at 0, or an overflow of exp.",
                {"entries": float(bad.sum())},
            )


def _of_shape(name: str, k: int, given: np.ndarray, true: np.ndarray) -> Cause:
    said = f"The gradient of {name} has shape {given.shape}; {name} has {true.shape}."
    if (
        given.size == true.size
        and given.ndim == true.ndim
        and np.allclose(given.T, true, rtol=1e-4)
    ):
        return Cause("transpose", (k,), f"{said} It is transposed.", "Return its transpose.")
    if given.ndim > true.ndim:
        extra = tuple(range(given.ndim - true.ndim))
        if given.shape[len(extra) :] == true.shape and np.allclose(
            given.sum(extra), true, rtol=1e-4, atol=1e-6 * np.abs(true).max(initial=0)
        ):
            return Cause(
                "shape",
                (k,),
                f"{said} It is not summed over the batch: its sum over the first axis is right.",
                f"Sum it over the first axis, of {given.shape[0]} rows: every row adds to {name}.",
                {"rows": float(given.shape[0])},
            )
    return Cause("shape", (k,), said, f"Return an array of shape {true.shape}.")
