"""How the name of a fault is written down."""

from typing import NamedTuple


class Named(NamedTuple):
    """The name of a fault."""

    code: str
    message: str
    fix: str
