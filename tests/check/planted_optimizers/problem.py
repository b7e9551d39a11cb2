"""How planted optimizers are written down."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Planted(NamedTuple):
    """An optimizer with a fault, or a right one: its code is then "" .

    also has codes that would be as right a word for the fault.
    """

    name: str
    code: str
    reference: str
    hyper: Mapping[str, Any]
    rule: Any
    also: tuple[str, ...] = ()


def entry_by_entry(
    start: Callable[[np.ndarray], dict[str, Any]],
    update: Callable[[np.ndarray, np.ndarray, dict[str, Any], int], np.ndarray],
) -> tuple[Any, Any]:
    """A pair for a dict of arrays: update(p, g, s, t) gives the new p and writes into s."""

    def init(params: Any) -> Any:
        return {"t": 0, "leaf": {k: start(p) for k, p in params.items()}}

    def step(params: Any, grads: Any, state: Any) -> Any:
        t = state["t"] + 1
        new = {k: update(params[k], grads[k], state["leaf"][k], t) for k in params}
        return new, {"t": t, "leaf": state["leaf"]}

    return init, step


def zeros(*names: str) -> Callable[[np.ndarray], dict[str, Any]]:
    return lambda p: {name: np.zeros_like(p) for name in names}
