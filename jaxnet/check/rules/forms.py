"""How a rule is run: what it is handed, and what is read from what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxnet.check.rules.problems import Leaves, Problem, bowl


class Broken(Exception):
    """The rule cannot be run on parameters of this form."""


def told(error: Exception) -> str:
    """An error in words; of the doctor's own only the words."""
    if isinstance(error, Broken):
        return str(error)
    return f"{type(error).__name__}: {error}"


class Order(NamedTuple):
    """An order in which a step may take its arguments: in words, and as places of the due ones."""

    words: str
    places: tuple[int, int, int]


Otherwise = Callable[[Problem, np.ndarray, tuple[Order, ...]], str]
"""(problem, path due, orders) -> what to say of a rule that goes that path if it is called so."""


def no_other(problem: Problem, due: np.ndarray, orders: tuple[Order, ...]) -> str:
    """There is no other way to call it."""
    return ""


class Ran(NamedTuple):
    """What a rule did: its path, and the type and the library that it computed in."""

    path: np.ndarray
    dtype: Any
    library: str


@dataclass(frozen=True)
class Stepper:
    """A function from a problem to what the rule does on it."""

    call: Callable[[Problem], Ran]
    varied: bool = False
    words: str = ""
    otherwise: Otherwise = no_other

    def __call__(self, problem: Problem) -> Ran:
        """Run the rule."""
        with np.errstate(all="ignore"):
            return self.call(problem)


@dataclass(frozen=True)
class Form:
    """How leaves are handed to the rule, and taken back."""

    kind: str
    shapes: Mapping[str, tuple[int, ...]]

    def tree(self, leaves: list[Any]) -> Any:
        """The leaves as the rule takes them."""
        if self.kind == "dict":
            return dict(zip(self.shapes, leaves, strict=True))
        return list(leaves) if self.kind == "list" else leaves[0]

    def leaves(self, tree: Any) -> list[Any]:
        """The leaves of what the rule returned; an error if it is of another form."""
        if self.kind == "array":
            found = [tree]
        elif self.kind == "list":
            if not isinstance(tree, list | tuple):
                raise Broken(f"step returned params of type {type(tree).__name__}, not a list")
            found = list(tree)
        else:
            if not isinstance(tree, Mapping) or set(tree) != set(self.shapes):
                raise Broken("step returned params that are no dict with the keys given")
            found = [tree[name] for name in self.shapes]
        wanted = list(self.shapes.values())
        shapes = [np.shape(leaf) for leaf in found]
        if shapes != wanted:
            raise Broken(f"step returned params of the shapes {shapes}, given were {wanted}")
        return found


def extra_of(problem: Problem, t: int, xs: Leaves, form: Form) -> dict[str, Any]:
    """What rules may ask for besides gradients: the loss, and functions of the parameters."""
    extra: dict[str, Any] = {"value": problem.value(t, xs)}
    if problem.closed:
        extra |= {
            "value_fn": lambda p: _value(form.leaves(p)),
            "grad_fn": lambda p: form.tree(
                [a * x - b for a, x, b in zip(*bowl(form.leaves(p)), strict=True)]
            ),
            "residual_fn": lambda p: [
                (a * x - b) / a**0.5 for a, x, b in zip(*bowl(form.leaves(p)), strict=True)
            ],
        }
    return extra


def _value(leaves: list[Any]) -> Any:
    terms = [jnp.sum(a * x**2 / 2 - b * x) for a, x, b in zip(*bowl(leaves), strict=True)]
    return sum(terms) + 50.0


def row(leaves: list[Any]) -> np.ndarray:
    """All entries of all leaves, in float64."""
    return np.concatenate([np.ravel(np.array(x, np.float64)) for x in leaves])
