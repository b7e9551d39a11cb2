"""The MNIST script for one epoch, for those who have it."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import jax
import pytest

FOLDER = os.environ.get("JAXNET_MNIST")
SCRIPT = Path(__file__).parents[2] / "scripts" / "mnist.py"


def load_script() -> Any:
    spec = importlib.util.spec_from_file_location("mnist_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(FOLDER is None, reason="JAXNET_MNIST names no folder with the MNIST files")
def test_one_epoch_of_mnist() -> None:
    assert FOLDER is not None
    with jax.enable_x64(False):
        result = load_script().train(FOLDER, epochs=1)
    assert result.steps == 6000
    assert len(result.history["validation_accuracy"]) == 1
    assert result.history["validation_accuracy"][-1] > 0.85
