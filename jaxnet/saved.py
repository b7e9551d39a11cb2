"""Trained models in files: safetensors with all that is needed to use them again."""

import json
import os
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxnet import models
from jaxnet.data import Standardizer
from jaxnet.extras import require
from jaxnet.files import replacing
from jaxnet.layers.layer import Params
from jaxnet.layers.leaves import named_leaves
from jaxnet.models import Model

FORMAT = "jaxnet-model-1"


@dataclass(frozen=True)
class SavedModel:
    """A trained multilayer perceptron with the scales and names of its data.

    Attributes:
        spec: The arguments of `jaxnet.models.mlp` by name, as plain numbers, strings and lists.
        params: The parameters.
        inputs: What standardises the inputs; None if they are used as they are.
        targets: What standardised the targets of a regression; None if nothing did.
        features: Names of the inputs, in their order.
        target: Name of what is predicted.
        classes: Names of the classes; empty for a regression.
    """

    spec: dict[str, Any]
    params: Params
    inputs: Standardizer | None
    targets: Standardizer | None
    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...]

    @property
    def model(self) -> Model:
        """The model as functions."""
        return models.mlp(**self.spec)

    def outputs(self, x: ArrayLike) -> np.ndarray:
        """The network's outputs (n, n_out) for raw inputs (n, n_in), in the targets' own units."""
        y = np.asarray(jax.jit(self.model.apply)(self.params, self._scaled(x)))
        if self.targets is not None:
            y = y * self.targets.std + self.targets.mean
        return np.asarray(y)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Class names (n,) for raw inputs (n, n_in), or the outputs (n, n_out) of a regression."""
        if not self.classes:
            return self.outputs(x)
        classify = self.model.classify
        if classify is None:
            raise ValueError(f"this model has classes but no class scores; its spec: {self.spec}")
        names: np.ndarray = np.array(self.classes)[
            np.asarray(jax.jit(classify)(self.params, self._scaled(x)))
        ]
        return names

    def _scaled(self, x: ArrayLike) -> Array:
        x = np.asarray(x)
        return jax.numpy.asarray(x if self.inputs is None else self.inputs(x))


def save(path: str | os.PathLike[str], saved: SavedModel) -> None:
    """Write a model to a safetensors file.

    The tensors are the parameters under their paths ("0.w", "0.b", ...) and the scales; the rest
    is JSON in the file's metadata. Nothing in it is code.

    Raises:
        ImportError: safetensors is not installed.
    """
    safetensors = require("safetensors.numpy", "command")
    tensors = {
        f"params.{name}": np.asarray(leaf) for name, leaf in named_leaves(saved.params).items()
    }
    for part, scale in (("inputs", saved.inputs), ("targets", saved.targets)):
        if scale is not None:
            tensors |= {f"{part}.mean": scale.mean, f"{part}.std": scale.std}
    described = {
        "format": FORMAT,
        "spec": saved.spec,
        "features": saved.features,
        "target": saved.target,
        "classes": saved.classes,
    }
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        safetensors.save_file(tensors, temporary, metadata={"jaxnet": json.dumps(described)})


def load(path: str | os.PathLike[str]) -> SavedModel:
    """Read a model that `save` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not such a model, or its tensors do not fit its description.
        ImportError: safetensors is not installed.
    """
    safetensors = require("safetensors", "command")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no model file at {os.fspath(path)}")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is not a safetensors file: {error}") from None
    described = json.loads(metadata.get("jaxnet", "{}"))
    if described.get("format") != FORMAT:
        raise ValueError(
            f"{os.fspath(path)} holds no jaxnet model: its metadata must say {FORMAT!r}, "
            f"got {described.get('format')!r}"
        )
    spec = described["spec"]
    structure = jax.eval_shape(models.mlp(**spec).init, jax.random.key(0))
    leaves = []
    for name, due in named_leaves(structure).items():
        tensor = tensors.get(f"params.{name}")
        if tensor is None or tensor.shape != due.shape:
            got = "nothing" if tensor is None else f"shape {tensor.shape}"
            raise ValueError(
                f"{os.fspath(path)}: parameter {name} must have shape {due.shape}, got {got}"
            )
        leaves.append(jax.numpy.asarray(tensor))
    return SavedModel(
        spec=spec,
        params=jax.tree.unflatten(jax.tree.structure(structure), leaves),
        inputs=_scale(tensors, "inputs"),
        targets=_scale(tensors, "targets"),
        features=tuple(described["features"]),
        target=described["target"],
        classes=tuple(described["classes"]),
    )


def _scale(tensors: dict[str, np.ndarray], part: str) -> Standardizer | None:
    if f"{part}.mean" not in tensors:
        return None
    return Standardizer(tensors[f"{part}.mean"], tensors[f"{part}.std"])
