"""Optional dependencies: modules that are imported only by the functions that use them."""

from importlib import import_module
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which command installs it.

    Args:
        module: Name of the module, e.g. "polars" or "matplotlib.pyplot".
        extra: The extra of jaxnet that brings it, e.g. "data".

    Returns:
        The module.

    Raises:
        ImportError: The module is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"this function needs the module {module}, which is not installed; "
            f'install it with: pip install "jaxnet[{extra}]"'
        ) from error
