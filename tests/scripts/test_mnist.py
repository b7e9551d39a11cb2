"""The MNIST script on a part of MNIST, for those who have it."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxnet import data

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
def test_an_epoch_on_a_sixth_of_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FOLDER is not None
    train, test = data.mnist(FOLDER)
    part = train._replace(x=train.x[:10_000], t=train.t[:10_000])
    script = load_script()
    monkeypatch.setattr(script.data, "mnist", lambda folder: (part, test))
    with jax.enable_x64(False):
        result = script.train(FOLDER, epochs=1, seed=1)
    assert result.steps == 1000
    assert len(result.history["validation_accuracy"]) == 1
    assert result.history["validation_accuracy"][-1] > 0.8
