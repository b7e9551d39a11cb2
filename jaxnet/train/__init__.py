"""Training: one run as one compiled program."""

from jaxnet.train.accuracy import accuracy
from jaxnet.train.fit import FitResult, NonFiniteError, fit

__all__ = ["FitResult", "NonFiniteError", "accuracy", "fit"]
