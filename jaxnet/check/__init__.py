"""Doctors: what is wrong with a gradient or a training run; and the numeric tools under them."""

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
from jaxnet.check.learning_rates import LearningRateRange, learning_rate_range
from jaxnet.check.optimizer import assert_optimizer, optimizer
from jaxnet.check.report import Finding, Report
from jaxnet.check.training import assert_trains, training
from jaxnet.check.vjp import assert_layer, assert_vjp, layer, vjp

__all__ = [
    "Agreement",
    "Estimate",
    "Finding",
    "HessianAgreement",
    "LearningRateRange",
    "Report",
    "agreement",
    "assert_gradient",
    "assert_layer",
    "assert_optimizer",
    "assert_trains",
    "assert_vjp",
    "central_differences",
    "directional_difference",
    "estimates",
    "finite_difference",
    "gradient",
    "hessian",
    "hessian_product",
    "kinks",
    "layer",
    "learning_rate_range",
    "optimizer",
    "training",
    "vjp",
]
