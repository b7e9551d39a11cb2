"""The mistakes that people make in a backward pass, as altered reverse rules of a replay.

An alteration gives some operations of a replay another rule than their own. If the gradient that
comes out is the user's, the alteration is what the user did.
"""

from jaxnet.check.alterations.alteration import Alteration, weighted
from jaxnet.check.alterations.catalogue import alterations

__all__ = ["Alteration", "alterations", "weighted"]
