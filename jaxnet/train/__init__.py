"""Training: one run as one compiled program."""

from jaxnet.train.accuracy import accuracy
from jaxnet.train.fit import fit
from jaxnet.train.result import FitResult, NonFiniteError

__all__ = ["FitResult", "NonFiniteError", "accuracy", "fit"]
