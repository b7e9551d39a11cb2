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


def test_curves_share_their_scales_and_colours() -> None:
    panels: Any = {
        "fault": {"a": [1.0, np.inf, 3.0], "b": ([1, 10], [2.0, 4.0])},
        "cure": {"b": ([1, 10], [1.0, 0.5])},
    }
    figure = plot.curves(panels, x_label="epoch", log_x=True, log_y=True, marks={"limit": 5.0})
    left, right = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["fault", "cure"]
    assert left.get_ylim() == right.get_ylim()
    assert (left.get_xlabel(), left.get_ylabel()) == ("epoch", "loss")
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    by_name = [{line.get_label(): line for line in axes.get_lines()} for axes in figure.axes]
    assert [set(lines) for lines in by_name] == [{"a", "b", "limit"}, {"b", "limit"}]
    assert by_name[0]["b"].get_color() == by_name[1]["b"].get_color() != by_name[0]["a"].get_color()
    np.testing.assert_array_equal(by_name[0]["a"].get_ydata(), [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(by_name[0]["a"].get_xdata(), [0, 1, 2])


def test_a_curve_that_lies_on_another_is_dashed() -> None:
    a = np.array([1.0, 2.0, 3.0])
    figure = plot.curves({"": {"a": a, "b": 1.1 * a, "c": 1.001 * a, "d": a, "e": ([1, 2, 4], a)}})
    solid = [not line.is_dashed() for line in figure.axes[0].get_lines()]
    assert solid == [True, True, False, False, True]


@pytest.mark.parametrize(("low", "plain"), [(0.5, True), (0.01, False)])
def test_a_logarithmic_scale_of_less_than_a_decade_has_plain_numbers(
    low: float, plain: bool
) -> None:
    histories = {"a": {"loss": np.array([1.0, low])}}
    panels = {"wide": {"a": [1.0, 0.9]}, "narrow": {"a": [1.0, low]}}
    figures = [plot.training_curves(histories), plot.curves(panels, log_y=True)]
    for axes in (axes for figure in figures for axes in figure.axes):
        assert axes.get_yscale() == "log"
        assert (axes.yaxis.get_major_formatter()(0.7) == "0.7") is plain


def test_whole_numbers_across_are_marked_by_whole_numbers() -> None:
    whole, broken = (plot.curves({"": {"a": (x, x)}}) for x in (range(21), np.arange(21) + 0.1))
    assert all(float(tick).is_integer() for tick in whole.axes[0].get_xticks())
    assert not all(float(tick).is_integer() for tick in broken.axes[0].get_xticks())


def test_no_panels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^curves: at least one panel is due"):
        plot.curves({})


def test_a_heat_map_has_its_numbers_in_it() -> None:
    figure = plot.heat_map({"one": [[0.1, 0.01]], "two": [[0.5, 1.0]]}, ["r"], ["c", "d"])
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes[:2]]
    assert texts == [["0.1", "0.01"], ["0.5", "1"]]
    limits = {axes.images[0].get_clim() for axes in figure.axes[:2]}
    assert limits == {(0.01, 1.0)}  # one scale
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["c", "d"]


def test_the_scale_of_a_heat_map_is_linear_where_a_number_is_not_positive() -> None:
    for table, scale in (([[0.1, 1.0]], "LogNorm"), ([[0.0, 1.0]], "Normalize")):
        image = plot.heat_map({"": table}, ["r"], ["c", "d"]).axes[0].images[0]
        assert type(image.norm).__name__ == scale


def test_a_surface_shows_the_path(tmp_path: Path) -> None:
    x, y = np.linspace(-1, 1, 5), np.linspace(-2, 2, 4)
    heights = x**2 + y[:, None] ** 2
    path = np.array([[1.0, 1.0, 2.0], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0]])
    figure = plot.surface(x, y, heights, path, x_label="u", y_label="v")
    above, space = figure.axes[:2]
    drawn = lines(above)
    assert drawn["path of training"][:2] == ([1.0, 0.5, 0.0], [1.0, 0.5, 0.0])
    assert drawn["start"][:2] == ([1.0], [1.0])
    assert drawn["end"][:2] == ([0.0], [0.0])
    assert (space.get_xlabel(), space.get_ylabel()) == ("u", "v")
    plot.save(figure, tmp_path / "surface.png")


def test_basins_are_counted() -> None:
    x = np.linspace(-2, 2, 101)
    figure = plot.basins(x, (x**2 - 1) ** 2, [-1.5, -0.5, 0.5], [-1.0, -1.001, 1.0])
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["2 balls: -1.00", "1 ball: 1.00"]


def test_images_are_on_one_scale() -> None:
    figure = plot.images(np.arange(-3.0, 9.0).reshape(3, 2, 2), columns=2)
    shown = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(shown) == 3
    assert {image.get_clim() for image in shown} == {(-8.0, 8.0)}
