import json
import sys

import pytest

from jaxnet.extras import require


def test_an_installed_module_is_returned() -> None:
    assert require("json", "data") is json


def test_a_missing_module_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'matplotlib.*pip install "jaxnet\[plot\]"'):
        require("matplotlib", "plot")
