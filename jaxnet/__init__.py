"""jaxnet: neural networks as pure functions, with every gradient derived by hand and proved.

The parts load on first use: `import jaxnet` is light, and so is `jaxnet --help`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnet import check, data, layers, losses, models, optim, plot, saved, train

__version__ = "0.1.0"

__all__ = ["check", "data", "layers", "losses", "models", "optim", "plot", "saved", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"jaxnet.{name}")
    raise AttributeError(f"module 'jaxnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
