"""Optimizers written from their equations, as optax gradient transformations."""

from jaxnet.optim.gradient_descent import gd, momentum, nesterov
from jaxnet.optim.nag import nag
from jaxnet.optim.states import eval_params, learning_rate

__all__ = ["eval_params", "gd", "learning_rate", "momentum", "nag", "nesterov"]
