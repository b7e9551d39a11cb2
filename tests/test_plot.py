from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxnet import plot

CLASSIFIER = {
    "loss": np.array([2.0, 1.0, 0.5, 0.25]),
    "step": np.array([2, 4]),
    "validation_loss": np.array([1.5, 0.75]),
    "validation_accuracy": np.array([0.4, 0.8]),
    "train_accuracy": np.array([0.5, 0.9]),
}
TRAINING_ALONE = {"loss": np.array([3.0, 2.0])}


def lines(axes: Any) -> dict[str, tuple[list[float], list[float], str]]:
    """Of every line by its label: x, y and style."""
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()), line.get_linestyle())
        for line in axes.get_lines()
    }


def test_a_classifier_has_its_losses_and_its_accuracies() -> None:
    figure = plot.training_curves(
        {"a": CLASSIFIER, "b": TRAINING_ALONE}, title="both", held_out="test"
    )
    losses, accuracies = figure.axes
    assert lines(losses) == {
        "a, train": ([0, 1, 2, 3], [2.0, 1.0, 0.5, 0.25], "-"),
        "a, test": ([2, 4], [1.5, 0.75], "--"),
        "b, train": ([0, 1], [3.0, 2.0], "-"),
    }
    assert lines(accuracies) == {
        "a, train": ([2, 4], [0.5, 0.9], "-"),
        "a, test": ([2, 4], [0.4, 0.8], "--"),
    }
    colours = {line.get_label(): line.get_color() for line in losses.get_lines()}
    assert colours["a, train"] == colours["a, test"] != colours["b, train"]
    assert (losses.get_ylabel(), accuracies.get_ylabel()) == ("loss", "accuracy")
    assert [axes.get_xlabel() for axes in figure.axes] == ["step", "step"]
    assert losses.get_yscale() == "log"
    assert accuracies.get_yscale() == "linear"
    assert all(axes.get_legend() for axes in figure.axes)
    assert figure.get_suptitle() == "both"


def test_without_accuracies_there_is_one_panel() -> None:
    figure = plot.training_curves({"a": TRAINING_ALONE})
    assert len(figure.axes) == 1
    assert figure.get_suptitle() == ""


def test_what_is_held_out_is_called_validation_as_in_the_history() -> None:
    figure = plot.training_curves({"a": CLASSIFIER})
    assert [set(lines(axes)) for axes in figure.axes] == [{"a, train", "a, validation"}] * 2


@pytest.mark.parametrize(
    ("loss", "scale"),
    [
        ([1.0, 0.0], "linear"),
        ([1.0, -2.0], "linear"),
        ([1.0, np.nan], "log"),  # a run that diverged
        ([1.0, np.inf], "log"),
        ([np.nan], "log"),
    ],
)
def test_the_scale_is_logarithmic_where_it_can_be(
    loss: list[float], scale: str, tmp_path: Path
) -> None:
    figure = plot.training_curves({"a": {"loss": np.array(loss)}, "b": TRAINING_ALONE})
    assert figure.axes[0].get_yscale() == scale
    plot.save(figure, tmp_path / "a.png")  # and it can be drawn


def test_a_figure_is_saved_in_the_format_of_its_name(tmp_path: Path) -> None:
    figure = plot.training_curves({"a": CLASSIFIER})
    plot.save(figure, tmp_path / "new" / "a.png")
    plot.save(figure, str(tmp_path / "a.svg"))
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "<svg" in (tmp_path / "a.svg").read_text()


def test_no_histories_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^training_curves: at least one history is due"):
        plot.training_curves({})
