"""A training run, and what is wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A run: make() -> (loss, params, (x, t), options of check.training).

    code is what the doctor should say first, None if the run is healthy; accept are codes as right
    as that, where a person could say either.
    """

    code: str | None
    make: Callable[[], tuple[Any, Any, tuple[Any, Any], dict[str, Any]]]
    accept: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.make.__name__


class Cases(list[Case]):
    """Runs, registered as they are written."""

    def add(self, code: str | None, *accept: str) -> Callable[[Any], Any]:
        """Register a function as the make of a case."""

        def register(make: Any) -> Any:
            self.append(Case(code, make, accept))
            return make

        return register
