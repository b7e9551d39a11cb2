import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxnet import data, models, saved
from jaxnet.saved import SavedModel

X = np.random.default_rng(0).normal(3.0, 5.0, size=(6, 2))
SPEC = {
    "sizes": [2, 4, 3], "activation": "tanh", "loss": "softmax_cross_entropy",
    "output": "identity", "bias": True, "l2": 0.5,
}  # fmt: skip


def model_file(**changes: Any) -> SavedModel:
    spec = SPEC | changes.pop("spec", {})
    fields: dict[str, Any] = {
        "spec": spec,
        "params": models.mlp(**spec).init(jax.random.key(1)),
        "inputs": data.standardizer(X),
        "targets": None,
        "features": ("a", "b"),
        "target": "kind",
        "classes": ("x", "y", "z"),
    }
    return SavedModel(**(fields | changes))


REGRESSION: dict[str, Any] = {
    "spec": {"sizes": [2, 4, 2], "loss": "squared_error"},
    "targets": data.Standardizer(np.array([10.0, 20.0]), np.array([2.0, 3.0])),
    "classes": (),
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        REGRESSION,
        {"inputs": None, "spec": {"bias": False, "sizes": [2, 3]}},
    ],
    ids=["classes", "regression", "plain"],
)
def test_a_model_comes_back_to_the_last_bit(
    changes: dict[str, Any], tmp_path: Path, agree: Any
) -> None:
    before = model_file(**changes)
    saved.save(tmp_path / "m.safetensors", before)
    after = saved.load(tmp_path / "m.safetensors")
    agree(after.params, before.params, 0.0)
    for scale in ("inputs", "targets"):
        mine, due = getattr(after, scale), getattr(before, scale)
        assert (mine is None) == (due is None)
        if due is not None:
            np.testing.assert_array_equal(mine.mean, due.mean, strict=True)
            np.testing.assert_array_equal(mine.std, due.std, strict=True)
    for field in ("spec", "features", "target", "classes"):
        assert getattr(after, field) == getattr(before, field)
    np.testing.assert_array_equal(after.predict(X), before.predict(X))


def test_float32_stays_float32(tmp_path: Path) -> None:
    model = model_file()
    single = jax.tree.map(lambda leaf: leaf.astype(np.float32), model.params)
    saved.save(tmp_path / "m", dataclasses.replace(model, params=single))
    loaded = saved.load(tmp_path / "m").params
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {np.dtype(np.float32)}


def network(model: SavedModel, x: np.ndarray) -> np.ndarray:
    """The network in NumPy."""
    first, second = model.params
    hidden = np.tanh(x @ np.asarray(first["w"]) + np.asarray(first["b"]))
    return np.asarray(hidden @ np.asarray(second["w"]) + np.asarray(second["b"]))


def test_predictions_are_for_raw_inputs_and_name_the_classes() -> None:
    model = model_file()
    y = network(model, (X - X.mean(axis=0)) / X.std(axis=0))
    np.testing.assert_allclose(model.outputs(X), y, rtol=1e-12)
    names = model.predict(X)
    assert names.tolist() == ["xyz"[i] for i in y.argmax(axis=1)]
    assert len(set(names)) > 1


def test_a_regression_predicts_in_the_units_of_its_targets() -> None:
    model = model_file(**REGRESSION, inputs=None)
    due = network(model, X) * [2.0, 3.0] + [10.0, 20.0]
    np.testing.assert_allclose(model.predict(X), due, rtol=1e-12)
    np.testing.assert_allclose(model.outputs(X), due, rtol=1e-12)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no model file at .*m\.safetensors$"):
        saved.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"\xff" * 100])
def test_another_file_is_not_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"m is not a safetensors file: "):
        saved.load(path)


@pytest.mark.parametrize(
    ("metadata", "got"),
    [
        (None, "None"),
        ({"format": "pt"}, "None"),
        ({"jaxnet": json.dumps({"format": "jaxnet-model-9"})}, "'jaxnet-model-9'"),
    ],
)
def test_tensors_of_another_program_are_refused(
    metadata: dict[str, str] | None, got: str, tmp_path: Path
) -> None:
    save_file({"w": np.ones(2)}, tmp_path / "m", metadata=metadata)
    with pytest.raises(ValueError, match=rf"holds no jaxnet model: .*'jaxnet-model-1', got {got}"):
        saved.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        ({"params.0.w": np.ones((4, 2))}, r"0\.w must have shape \(2, 4\), got shape \(4, 2\)"),
        ({"params.1.b": None}, r"parameter 1\.b must have shape \(3,\), got nothing"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    replacement: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m"
    saved.save(path, model_file())
    tensors = {k: v for k, v in (load_file(path) | replacement).items() if v is not None}
    described = {
        "format": saved.FORMAT, "spec": SPEC, "features": ["a", "b"], "target": "t", "classes": [],
    }  # fmt: skip
    save_file(tensors, path, metadata={"jaxnet": json.dumps(described)})
    with pytest.raises(ValueError, match=message):
        saved.load(path)
