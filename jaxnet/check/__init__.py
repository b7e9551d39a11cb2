"""Checks of gradients."""

from jaxnet.check.agreement import Agreement, agreement
from jaxnet.check.differences import central_differences

__all__ = ["Agreement", "agreement", "central_differences"]
