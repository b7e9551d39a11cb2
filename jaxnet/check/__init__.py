"""Doctors: what is wrong with a gradient, and where; and the numeric tools under them."""

from jaxnet.check.agreement import Agreement, agreement
from jaxnet.check.differences import (
    Estimate,
    central_differences,
    directional_difference,
    estimates,
    finite_difference,
    kinks,
)
from jaxnet.check.gradient import assert_gradient, gradient
from jaxnet.check.hessians import HessianAgreement, hessian, hessian_product
from jaxnet.check.report import Finding, Report

__all__ = [
    "Agreement",
    "Estimate",
    "Finding",
    "HessianAgreement",
    "Report",
    "agreement",
    "assert_gradient",
    "central_differences",
    "directional_difference",
    "estimates",
    "finite_difference",
    "gradient",
    "hessian",
    "hessian_product",
    "kinks",
]
