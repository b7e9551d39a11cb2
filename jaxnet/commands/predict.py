"""`jaxnet predict`: a trained model applied to the rows of a CSV file."""

import argparse
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnet import data, saved
from jaxnet.extras import require
from jaxnet.files import replacing
from jaxnet.layers import ACTIVATIONS


def predict(options: argparse.Namespace) -> int:
    """Run `jaxnet predict`; the status is always 0, as bad input raises."""
    polars = require("polars", "data")
    model = saved.load(options.model)
    file = Path(options.file)
    x = data.csv_features(file, model.features)
    predicted = model.predict(x)
    columns: dict[str, Any] = {}
    if model.classes:
        columns[f"predicted_{model.target}"] = predicted
        if model.spec.get("loss", "softmax_cross_entropy") == "softmax_cross_entropy":
            probabilities = np.asarray(ACTIVATIONS["softmax"].value(jnp.asarray(model.outputs(x))))
            names = [f"probability_{name}" for name in model.classes]
            columns |= dict(zip(names, probabilities.T, strict=True))
    else:
        suffixes = [""] if predicted.shape[1] == 1 else [f"_{i}" for i in range(predicted.shape[1])]
        names = [f"predicted_{model.target}{suffix}" for suffix in suffixes]
        columns |= dict(zip(names, predicted.astype(np.float32).T, strict=True))
    out = Path(options.out) if options.out else file.with_name(f"{file.stem}-predictions.csv")
    rows = polars.read_csv(file, infer_schema=False)  # as they stand, with the predictions added
    with replacing(out) as temporary:
        rows.with_columns(**columns).write_csv(temporary)
    sys.stdout.write(f"{len(predicted)} predictions written to {out}\n")
    return 0
