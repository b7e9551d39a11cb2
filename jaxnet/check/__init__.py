"""Checks of gradients and Hessians."""

from jaxnet.check.agreement import Agreement, agreement
from jaxnet.check.differences import (
    Estimate,
    central_differences,
    directional_difference,
    estimates,
    finite_difference,
    kinks,
)
from jaxnet.check.hessians import HessianAgreement, hessian, hessian_product

__all__ = [
    "Agreement",
    "Estimate",
    "HessianAgreement",
    "agreement",
    "central_differences",
    "directional_difference",
    "estimates",
    "finite_difference",
    "hessian",
    "hessian_product",
    "kinks",
]
