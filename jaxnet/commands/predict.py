"""`jaxnet predict`: a trained model applied to the rows of a CSV file."""

import argparse
import sys
from pathlib import Path
from typing import Any

from jaxnet import data, saved
from jaxnet.extras import require
from jaxnet.files import replacing


def predict(options: argparse.Namespace) -> int:
    """Run `jaxnet predict`; the status is always 0, as bad input raises."""
    polars = require("polars", "data")
    model = saved.load(options.model)
    file = Path(options.file)
    predicted = model.predict(data.csv_features(file, model.features))
    columns: dict[str, Any] = {"row": range(1, len(predicted) + 1)}
    if model.classes:
        columns[f"predicted_{model.target}"] = predicted
    else:
        names = [model.target] if predicted.shape[1] == 1 else [
            f"{model.target}_{i}" for i in range(predicted.shape[1])
        ]  # fmt: skip
        columns |= {f"predicted_{n}": predicted[:, i] for i, n in enumerate(names)}
    out = Path(options.out) if options.out else file.with_name(f"{file.stem}-predictions.csv")
    with replacing(out) as temporary:
        polars.DataFrame(columns).write_csv(temporary)
    sys.stdout.write(f"{len(predicted)} predictions written to {out}\n")
    return 0
