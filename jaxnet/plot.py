"""Pictures. Each function returns a matplotlib Figure; `save` writes it."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jaxnet.extras import require
from jaxnet.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxnet.check.learning_rates import LearningRateRange

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


def learning_rate_range(result: "LearningRateRange", *, title: str = "") -> "Figure":
    """The loss over the learning rate, with the suggestions and the largest stable step marked.

    Args:
        result: Of `check.learning_rate_range`.
        title: Heading of the picture.

    Returns:
        A figure with one panel; the losses as measured are drawn thin, their average thick.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure: Figure = require("matplotlib.figure", "plot").Figure(
        figsize=(7, 4.2), layout="constrained"
    )
    axis = figure.subplots()
    axis.plot(result.learning_rates, result.losses, color="0.7", linewidth=1, label="loss")
    axis.plot(result.learning_rates, result.smoothed, color="C0", linewidth=2, label="average")
    for i, (name, rate) in enumerate(result.suggestions.items()):
        at = float(np.interp(np.log(rate), np.log(result.learning_rates), result.smoothed))
        axis.plot(rate, at, "os^"[i], color=f"C{i + 1}", markersize=8, label=f"{name}: {rate:.2g}")
    shown = len(result.learning_rates) and result.learning_rates[0] < result.largest_stable_step
    if shown and result.largest_stable_step < 10 * result.learning_rates[-1]:
        axis.axvline(
            result.largest_stable_step, color="0.3", linestyle=":",
            label=f"2 / lambda_max at the start: {result.largest_stable_step:.2g}",
        )  # fmt: skip
    if len(result.smoothed):
        low, first = float(result.smoothed.min()), float(result.smoothed[0])
        room = max(first - low, 1e-3 * abs(first))
        axis.set_ylim(low - 0.1 * room, first + 0.6 * room)
    axis.set_xscale("log")
    axis.set_xlabel("learning rate")
    axis.set_ylabel("loss")
    axis.grid(alpha=0.3)
    axis.legend()
    axis.set_title(title or f"learning-rate range test ({result.ended})")
    return figure


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Write a figure to a file; its ending (.png, .svg, .pdf) names the format."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
