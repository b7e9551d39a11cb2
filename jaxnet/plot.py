"""Pictures. Each function returns a matplotlib Figure; `save` writes it."""

import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

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
    figure = _figure(11 if with_accuracy else 6, title)
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
        _logarithmic(axes[0].yaxis)
    axes[0].set_ylabel("loss")
    if with_accuracy:
        axes[1].set_ylabel("accuracy")
        axes[1].set_ylim(-0.02, 1.02)
    for axis in axes:
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


Curve = ArrayLike | tuple[ArrayLike, ArrayLike]
"""Heights over 0, 1, 2, ..., or a pair (x, y)."""


def curves(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    title: str = "",
    x_label: str = "step",
    y_label: str = "loss",
    log_x: bool = False,
    log_y: bool = False,
    marks: Mapping[str, float] | None = None,
) -> "Figure":
    """Curves in panels side by side, on the same scales: a fault beside its cure.

    A name that is in several panels has the same colour in each. Infinity and NaN end a curve. One
    that lies on another is dashed, so that both are seen.

    Args:
        panels: Curves by their name, by the heading of the panel.
        title: Heading of the picture.
        x_label: What is across.
        y_label: What is up.
        log_x: Whether the horizontal scale is logarithmic.
        log_y: Whether the vertical scale is logarithmic.
        marks: Numbers across to mark in every panel, by what they are.

    Returns:
        The figure.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no panels.
    """
    figure, axes = _panels("curves", panels, title)
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    for axis, panel in zip(axes, panels.values(), strict=True):
        drawn: list[tuple[np.ndarray, np.ndarray]] = []
        for name, curve in panel.items():
            pair = curve if isinstance(curve, tuple) else (np.arange(np.size(curve)), curve)
            x, y = (np.asarray(part, float) for part in pair)
            y = np.where(np.isfinite(y), y, np.nan)
            covered = sum(np.array_equal(x, a) and _one_line(y, b) for a, b in drawn)
            i = names.index(name)
            axis.plot(
                x, y, color=f"C{i}", label=name, linewidth=1.2 + 1.8 * (1 - (i + 1) / len(names)),
                linestyle=("-", (0, (4, 4)), (0, (1.5, 3)))[min(covered, 2)],
            )  # fmt: skip
            drawn.append((x, y))
        for style, (name, at) in zip(cycle((":", "--", "-.")), (marks or {}).items(), strict=False):
            axis.axvline(at, color="0.3", linestyle=style, linewidth=1, label=name)
        axis.set_xlabel(x_label)
        if not log_x and all(np.all(x == np.rint(x)) for x, _ in drawn):
            axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        if len(names) > 1 or marks:
            axis.legend(fontsize="small")
    for axis in axes:  # after all of them are drawn, as they share the vertical scale
        if log_x:
            _logarithmic(axis.xaxis)
        if log_y:
            _logarithmic(axis.yaxis)
    axes[0].set_ylabel(y_label)
    return figure


def heat_map(
    panels: Mapping[str, ArrayLike],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    row_label: str = "",
    column_label: str = "",
    value_label: str = "",
) -> "Figure":
    """Tables of numbers as colours, on one scale, with the numbers in them.

    The scale is logarithmic if all of them are positive.

    Args:
        panels: Numbers (rows, columns) by the heading of the panel.
        rows: Names of the rows.
        columns: Names of the columns.
        title: Heading of the picture.
        row_label: What the rows are.
        column_label: What the columns are.
        value_label: What the numbers are.

    Returns:
        The figure.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no panels.
    """
    figure, axes = _panels("heat_map", panels, title)
    tables = [np.asarray(table, float) for table in panels.values()]
    low, high = min(map(np.nanmin, tables)), max(map(np.nanmax, tables))
    colors = require("matplotlib.colors", "plot")
    scale = colors.LogNorm(low, high) if low > 0 else colors.Normalize(low, high)
    for axis, table in zip(axes, tables, strict=True):
        image = axis.imshow(table, norm=scale, cmap="viridis_r", aspect="auto")
        axis.set_xticks(range(len(columns)), columns)
        axis.set_yticks(range(len(rows)), rows)
        axis.set_xlabel(column_label)
        for (i, j), number in np.ndenumerate(table):
            color = "white" if scale(number) > 0.55 else "black"
            axis.text(j, i, f"{number:.3g}", ha="center", va="center", color=color, fontsize=8)
    axes[0].set_ylabel(row_label)
    figure.colorbar(image, ax=axes, label=value_label)
    return figure


def surface(
    x: ArrayLike,
    y: ArrayLike,
    heights: ArrayLike,
    path: ArrayLike,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    z_label: str = "loss",
) -> "Figure":
    """A function of two numbers, from above and in space, with the path of training on it.

    Args:
        x: (n,) numbers across.
        y: (m,) numbers up.
        heights: (m, n) values of the function.
        path: (k, 3) points x, y, height, in their order.
        title: Heading of the picture.
        x_label: What x is.
        y_label: What y is.
        z_label: What the heights are.

    Returns:
        The figure, with two panels.

    Raises:
        ImportError: matplotlib is not installed.
    """
    x, y, heights, path = (np.asarray(a, float) for a in (x, y, heights, path))
    figure = _figure(11, title)
    above = figure.add_subplot(1, 2, 1)
    space = figure.add_subplot(1, 2, 2, projection="3d")
    filled = above.contourf(x, y, heights, 30, cmap="viridis")
    figure.colorbar(filled, ax=above, label=z_label)
    space.plot_surface(*np.meshgrid(x, y), heights, cmap="viridis", alpha=0.8, linewidth=0)
    line: dict[str, Any] = {
        "color": "crimson",
        "linewidth": 2,
        "label": "path of training",
        "zorder": 5,
    }
    above.plot(path[:, 0], path[:, 1], **line)
    space.plot(path[:, 0], path[:, 1], path[:, 2] + 0.02 * np.ptp(heights), **line)
    for point, marker, name in ((path[0], "o", "start"), (path[-1], "*", "end")):
        above.plot(point[0], point[1], marker, color="crimson", mec="white", ms=12, label=name)
    above.legend()
    for axis in (above, space):
        axis.set_xlabel(x_label)
        axis.set_ylabel(y_label)
        axis.locator_params(axis="both", nbins=5)
    space.set_zlabel(z_label)
    for side in (space.xaxis, space.yaxis, space.zaxis):
        side.labelpad = 8
    space.set_box_aspect(None, zoom=0.85)
    return figure


def basins(
    x: ArrayLike, heights: ArrayLike, starts: ArrayLike, ends: ArrayLike, *, title: str = ""
) -> "Figure":
    """Balls on a curve: where each starts, coloured by the minimum in which it ends.

    Args:
        x: (n,) numbers across, in rising order.
        heights: (n,) values of the curve.
        starts: (k,) where the balls start.
        ends: (k,) where they end; ends that agree to a hundredth of the width are one minimum.
        title: Heading of the picture.

    Returns:
        The figure. The legend says how many balls each minimum gets.

    Raises:
        ImportError: matplotlib is not installed.
    """
    x, heights, starts, ends = (np.asarray(a, float) for a in (x, heights, starts, ends))
    figure = _figure(9, title)
    axis = figure.subplots()
    axis.plot(x, heights, color="0.6", zorder=1)
    order = np.argsort(ends)
    steps = np.diff(ends[order]) > 0.01 * np.ptp(x)
    groups = np.split(order, np.flatnonzero(steps) + 1)
    for i, group in enumerate(groups):
        bottom = float(ends[group].mean())
        share = f"{len(group)} {'ball' if len(group) == 1 else 'balls'}: {bottom:.2f}"
        at = np.interp(starts[group], x, heights)
        axis.plot(starts[group], at, "o", color=f"C{i % 10}", alpha=0.8, label=share)
        low = np.interp(bottom, x, heights)
        axis.plot(bottom, low, "v", color=f"C{i % 10}", mec="black", ms=12, zorder=4)
    axis.set_xlabel("x")
    axis.set_ylabel("f(x)")
    axis.legend(fontsize="small", ncols=2)
    return figure


def images(pictures: ArrayLike, *, columns: int, title: str = "") -> "Figure":
    """A grid of small pictures on one scale, such as what the units of a layer look for.

    Args:
        pictures: (k, height, width) numbers; blue is negative and red positive.
        columns: Pictures in a row of the grid.
        title: Heading of the picture.

    Returns:
        The figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    pictures = np.asarray(pictures, float)
    limit = np.abs(pictures).max()
    rows = -(-len(pictures) // columns)
    figure = _figure(columns, title, height=rows + 0.5)
    for axis in figure.subplots(rows, columns, squeeze=False).ravel():
        axis.set_axis_off()
    for axis, picture in zip(figure.axes, pictures, strict=False):
        axis.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit)
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
            label="2 / lambda_max at the start, the largest stable\n"
            f"step of plain gradient descent: {result.largest_stable_step:.2g}",
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


def _logarithmic(axis: Any) -> None:
    """Make an axis logarithmic; its numbers are plain if they span less than a decade."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    if high < 10 * low:
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")


def _one_line(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two curves are hardly to be told apart, in a picture with either scale."""
    return bool(np.allclose(a, b, rtol=0.02, atol=0, equal_nan=True))


def _figure(width: float, title: str, height: float = 4.4) -> "Figure":
    figure: Figure = require("matplotlib.figure", "plot").Figure(
        figsize=(width, height), layout="constrained"
    )
    if title:
        figure.suptitle(title)
    return figure


def _panels(who: str, panels: Mapping[str, Any], title: str) -> "tuple[Figure, list[Any]]":
    """A figure with a panel for each entry, under its heading."""
    if not panels:
        raise ValueError(f"{who}: at least one panel is due, got none")
    width = {1: 6.5, 2: 10.4}.get(len(panels), 4.2 * len(panels))
    figure = _figure(width, title)
    axes = list(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0])
    for axis, heading in zip(axes, panels, strict=True):
        axis.set_title(heading, fontsize="medium")
    return figure, axes
