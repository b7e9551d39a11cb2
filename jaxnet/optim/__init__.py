"""Optimizers written from their equations, as optax gradient transformations."""

from jaxnet.optim.adam import adam, adamw
from jaxnet.optim.gradient_descent import gd, momentum, nesterov, sgd
from jaxnet.optim.nag import nag
from jaxnet.optim.states import eval_params, learning_rate

__all__ = [
    "adam",
    "adamw",
    "eval_params",
    "gd",
    "learning_rate",
    "momentum",
    "nag",
    "nesterov",
    "sgd",
]
