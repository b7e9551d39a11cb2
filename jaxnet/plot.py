"""Pictures. Each function returns a matplotlib Figure; `save` writes it."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jaxnet.extras import require
from jaxnet.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

History = Mapping[str, np.ndarray]
"""The `history` of a `train.FitResult`."""


def training_curves(
    histories: Mapping[str, History], *, title: str = "", held_out: str = "validation"
) -> "Figure":
    """Loss, and accuracy where it was measured, over the steps, for one run or several.

    Args:
        histories: Histories by the name of the run. Training is drawn thin, validation dashed.
        title: Heading of the picture.
        held_out: What the legend calls the validation data.

    Returns:
        A figure with one panel for the loss (logarithmic unless a loss is negative or zero) and,
        if any run is a classifier with validation data, one for the accuracy.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no histories.
    """
    if not histories:
        raise ValueError("training_curves: at least one history is due, got none")
    with_accuracy = any("train_accuracy" in h for h in histories.values())
    figure: Figure = require("matplotlib.figure", "plot").Figure(
        figsize=(11 if with_accuracy else 6, 4.2), layout="constrained"
    )
    axes = figure.subplots(1, 2 if with_accuracy else 1, squeeze=False)[0]
    for i, (name, history) in enumerate(histories.items()):
        train = {"color": f"C{i}", "label": f"{name}, train", "alpha": 0.7, "linewidth": 1}
        dashed = {"color": f"C{i}", "label": f"{name}, {held_out}", "linestyle": "--", "zorder": 3}
        axes[0].plot(np.arange(len(history["loss"])), history["loss"], **train)
        if "validation_loss" in history:
            axes[0].plot(history["step"], history["validation_loss"], **dashed)
        if "train_accuracy" in history:
            axes[1].plot(history["step"], history["train_accuracy"], **train)
            axes[1].plot(history["step"], history["validation_accuracy"], **dashed)
    losses = [h[k] for h in histories.values() for k in ("loss", "validation_loss") if k in h]
    if all(np.nanmin(loss, initial=np.inf) > 0 for loss in losses):
        axes[0].set_yscale("log")
    axes[0].set_ylabel("loss")
    if with_accuracy:
        axes[1].set_ylabel("accuracy")
        axes[1].set_ylim(-0.02, 1.02)
    for axis in axes:
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        axis.legend()
    if title:
        figure.suptitle(title)
    return figure


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Write a figure to a file; its ending (.png, .svg, .pdf) names the format."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
