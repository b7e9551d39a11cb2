"""Why a gradient is wrong: relations to the true one first, then the replay of the loss."""

from jaxnet.check.causes.cause import Cause
from jaxnet.check.causes.diagnosis import diagnose

__all__ = ["Cause", "diagnose"]
