"""Classification accuracy."""

import jax.numpy as jnp
from jax import Array

from jaxnet.layers.layer import Params
from jaxnet.models import Batch, Model, classes_of


def accuracy(model: Model, params: Params, data: Batch) -> Array:
    """The fraction of rows whose class the model names, in [0, 1].

    Args:
        model: A classifier.
        params: Its parameters.
        data: (x, t), t classes (n,), one-hot rows (n, k), or (n, 1) numbers that are largest for
            class 1.

    Returns:
        A scalar.

    Raises:
        ValueError: The model's outputs are not class scores.
    """
    if model.classify is None:
        raise ValueError(
            "accuracy: the outputs of this model are numbers, not class scores; use a "
            'cross-entropy or hinge loss, or output="sigmoid" or "softmax"'
        )
    x, t = data
    return jnp.mean(model.classify(params, jnp.asarray(x)) == classes_of(jnp.asarray(t)))
