import sys

import numpy as np
import pytest

from jaxnet import data


@pytest.mark.parametrize(
    ("name", "shape", "counts"),
    [
        ("iris", (150, 4), [50, 50, 50]),
        ("digits", (1797, 64), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
        ("wine", (178, 13), [59, 71, 48]),
        ("breast_cancer", (569, 30), [212, 357]),
    ],
)
def test_classifications_have_their_known_sizes(
    name: str, shape: tuple[int, int], counts: list[int]
) -> None:
    dataset = data.BUNDLED[name]()
    assert dataset.x.shape == shape
    assert np.issubdtype(dataset.x.dtype, np.floating)
    assert dataset.t.dtype == np.int32
    assert np.bincount(dataset.t).tolist() == counts
    assert len(dataset.features) == shape[1]
    assert len(dataset.classes) == len(counts)
    assert all(type(text) is str for text in dataset.features + dataset.classes)


def test_diabetes_is_a_regression() -> None:
    dataset = data.diabetes()
    assert dataset.x.shape == (442, 10)
    assert dataset.t.shape == (442, 1)
    assert dataset.t.dtype == np.float64
    assert (dataset.t[0, 0], dataset.t.min(), dataset.t.max()) == (151, 25, 346)
    assert dataset.features[:3] == ("age", "sex", "bmi")
    assert dataset.classes == ()


def test_names_stand_for_their_columns_and_classes() -> None:
    iris = data.iris()
    assert iris.features[0] == "sepal length (cm)"
    assert iris.classes == ("setosa", "versicolor", "virginica")
    np.testing.assert_array_equal(iris.x[0], [5.1, 3.5, 1.4, 0.2])
    assert data.breast_cancer().classes == ("malignant", "benign")


def test_digits_keep_their_pixel_values() -> None:
    x = data.digits().x
    assert (x.min(), x.max()) == (0, 16)


def test_every_name_leads_to_the_function_of_that_name() -> None:
    assert {name: load.__name__ for name, load in data.BUNDLED.items()} == {
        name: name for name in ("iris", "digits", "wine", "breast_cancer", "diabetes")
    }


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_without_scikit_learn_the_command_to_install_it_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'sklearn.*pip install "jaxnet\[data\]"'):
        data.BUNDLED[name]()
