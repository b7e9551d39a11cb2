"""Layers as pure functions, each with its backward pass derived by hand under its forward."""

from jaxnet.layers.activations import ACTIVATIONS, Activation, activation, elementwise
from jaxnet.layers.batch_norm import batch_norm
from jaxnet.layers.combine import chain, residual, with_custom_vjp
from jaxnet.layers.dense import dense
from jaxnet.layers.dropout import dropconnect, dropout
from jaxnet.layers.initializers import INITIALIZERS, Initializer, initial, normal, uniform, zeros
from jaxnet.layers.layer import Layer, Statistics
from jaxnet.layers.layer_norm import layer_norm
from jaxnet.layers.leaves import is_weight
from jaxnet.layers.powers import powers

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "Activation",
    "Initializer",
    "Layer",
    "Statistics",
    "activation",
    "batch_norm",
    "chain",
    "dense",
    "dropconnect",
    "dropout",
    "elementwise",
    "initial",
    "is_weight",
    "layer_norm",
    "normal",
    "powers",
    "residual",
    "uniform",
    "with_custom_vjp",
    "zeros",
]
