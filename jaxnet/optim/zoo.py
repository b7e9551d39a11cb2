"""All optimizers of the library in one table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import optax

from jaxnet.optim.adam import adam, adamw
from jaxnet.optim.gradient_descent import gd, momentum, nesterov
from jaxnet.optim.nag import nag

Need = Literal["value", "value_fn", "grad_fn", "key"]


@dataclass(frozen=True)
class Entry:
    """What there is to know of one rule.

    Attributes:
        name: Its name in `jaxnet.optim`.
        factory: The function of that name; its docstring has the equations.
        family: The kind of rule.
        year: Of the publication.
        citation: Authors and year.
        state: Size of its state in multiples of the parameters.
        proof: What it is proved against at every step, and to which tolerance.
        needs: What `update` needs beyond gradients, state and parameters ("value", "value_fn",
            "grad_fn"), or the factory beyond numbers ("key").
        make: The rule at a learning rate, everything else at its defaults.
    """

    name: str
    factory: Callable[..., optax.GradientTransformation]
    family: str
    year: int
    citation: str
    state: str
    proof: str
    needs: tuple[Need, ...] = ()
    make: Callable[[Any], optax.GradientTransformation] | None = None
