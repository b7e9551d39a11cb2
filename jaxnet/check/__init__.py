"""Checks of gradients."""

from jaxnet.check.agreement import Agreement, agreement
from jaxnet.check.differences import (
    Estimate,
    central_differences,
    directional_difference,
    estimates,
    finite_difference,
    kinks,
)

__all__ = [
    "Agreement",
    "Estimate",
    "agreement",
    "central_differences",
    "directional_difference",
    "estimates",
    "finite_difference",
    "kinks",
]
