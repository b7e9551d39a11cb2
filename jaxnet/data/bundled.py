"""The small datasets that come with scikit-learn: nothing is downloaded."""

from collections.abc import Callable

import numpy as np

from jaxnet.data.dataset import Dataset
from jaxnet.extras import require


def iris() -> Dataset:
    """Load iris: 150 flowers of 3 species, 4 lengths in centimetres.

    Returns:
        Classification with x of shape (150, 4).

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Fisher, "The use of multiple measurements in taxonomic problems", 1936.
    """
    return _classification("load_iris", "species")


def digits() -> Dataset:
    """Load digits: 1797 handwritten digits, images of 8x8 pixels with values 0 to 16.

    Returns:
        Classification into 10 classes with x of shape (1797, 64), the pixels row by row.

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """
    return _classification("load_digits", "digit")


def wine() -> Dataset:
    """Load wine: 178 wines of 3 growers, 13 chemical measurements.

    Returns:
        Classification with x of shape (178, 13).

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Aeberhard and Forina, "Wine", UCI, 1992.
    """
    return _classification("load_wine", "cultivar")


def breast_cancer() -> Dataset:
    """Load breast cancer: 569 tumours, malignant (0) or benign (1), 30 measurements.

    Returns:
        Classification with x of shape (569, 30).

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Wolberg, Mangasarian, Street and Street, "Breast Cancer Wisconsin (Diagnostic)",
    UCI, 1993.
    """
    return _classification("load_breast_cancer", "diagnosis")


def diabetes() -> Dataset:
    """Load diabetes: 442 patients, 10 measurements, the progression of the disease in a year.

    The columns of x are already centred and scaled, each to a sum of squares of 1.

    Returns:
        Regression with x of shape (442, 10) and t of shape (442, 1).

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Efron, Hastie, Johnstone and Tibshirani, "Least Angle Regression", 2004.
    """
    loaded = require("sklearn.datasets", "data").load_diabetes()
    return Dataset(
        x=loaded.data,
        t=loaded.target[:, None],
        features=tuple(str(name) for name in loaded.feature_names),
        classes=(),
        target="progression",
    )


def _classification(loader: str, target: str) -> Dataset:
    loaded = getattr(require("sklearn.datasets", "data"), loader)()
    return Dataset(
        x=loaded.data,
        t=loaded.target.astype(np.int32),
        features=tuple(str(name) for name in loaded.feature_names),
        classes=tuple(str(name) for name in loaded.target_names),
        target=target,
    )


BUNDLED: dict[str, Callable[[], Dataset]] = {
    "iris": iris,
    "digits": digits,
    "wine": wine,
    "breast_cancer": breast_cancer,
    "diabetes": diabetes,
}
