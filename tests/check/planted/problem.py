"""A loss, its gradient by hand, and gradients of it that people get wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """A wrong gradient.

    code is what the doctor should say first, leaves what is wrong, as
    jax.tree_util.keystr(path, simple=True, separator=".") names it. line is the tag of the line of
    the loss that the fault belongs to, which ends there in a comment "# @tag"; None if the fault
    lies in no operation of the loss (a sign, a batch). also are the codes of further faults in the
    same gradient; accept are codes as right as `code`, where a person could say either.
    """

    code: str
    grad: Callable[..., Any]
    leaves: tuple[str, ...]
    line: str | None = None
    also: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A loss with its right gradient by hand, and wrong ones.

    loss(params, *args) -> scalar, in JAX; grad(params, *args); make(seed) -> (params, args).
    """

    name: str
    loss: Callable[..., Any]
    grad: Callable[..., Any]
    make: Callable[[int], tuple[Any, tuple[Any, ...]]]
    faults: tuple[Fault, ...]
