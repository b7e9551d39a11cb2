"""All rules of the zoo that are written as equations with alterations."""

from jaxnet.check.rules.equations_adam import ADAM
from jaxnet.check.rules.equations_adaptive import ADAPTIVE
from jaxnet.check.rules.equations_averaging import AVERAGING
from jaxnet.check.rules.equations_descent import DESCENT
from jaxnet.check.rules.equations_layerwise import LAYERWISE

EQUATIONS = {**DESCENT, **ADAPTIVE, **ADAM, **LAYERWISE, **AVERAGING}
