"""Optimizers written from their equations, as optax gradient transformations.

What holds for all of them: `update` needs the parameters, `update(grads, state, params)`, which are
real floating-point arrays. Hyperparameters may be arrays, also traced ones, so that `jax.vmap`
runs over them; what is no number is a TypeError, a plain number out of range a ValueError.
"""

from jaxnet.optim.adagrad import adadelta, adagrad, rmsprop
from jaxnet.optim.adam import adam, adamax, adamaxw, adamw, nadam, nadamw
from jaxnet.optim.adam_centered import acprop, adabelief
from jaxnet.optim.adam_safeguards import amsgrad, radam
from jaxnet.optim.adam_variants import adan, ademamix, adopt, yogi
from jaxnet.optim.annealing import simulated_annealing
from jaxnet.optim.averaging import madgrad, schedule_free_adamw, schedule_free_sgd
from jaxnet.optim.aw_sgd import aw_sgd, sampling_probabilities
from jaxnet.optim.conjugate_gradient import conjugate_gradient
from jaxnet.optim.dadaptation import dadapt_adamw, prodigy
from jaxnet.optim.factored import adafactor, sm3
from jaxnet.optim.gradient_descent import gd, momentum, nesterov, sgd
from jaxnet.optim.layerwise import fromage, lamb, lars, novograd
from jaxnet.optim.levenberg_marquardt import levenberg_marquardt
from jaxnet.optim.minimize import minimize
from jaxnet.optim.muon import muon
from jaxnet.optim.nag import nag
from jaxnet.optim.newton_cg import newton_cg
from jaxnet.optim.optimistic import optimistic_adam, optimistic_gradient_descent
from jaxnet.optim.parameter_free import cocob, dog, dowg
from jaxnet.optim.quasi_newton import bfgs, lbfgs
from jaxnet.optim.sam import sam
from jaxnet.optim.shampoo import shampoo, soap
from jaxnet.optim.sign import lion, rprop, sign_sgd, signum
from jaxnet.optim.sophia import hutchinson, sophia
from jaxnet.optim.states import eval_params, learning_rate
from jaxnet.optim.stochastic import noisy_sgd, polyak_sgd
from jaxnet.optim.zoo import ZOO, Entry

__all__ = [
    "ZOO",
    "Entry",
    "acprop",
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adan",
    "ademamix",
    "adopt",
    "amsgrad",
    "aw_sgd",
    "bfgs",
    "cocob",
    "conjugate_gradient",
    "dadapt_adamw",
    "dog",
    "dowg",
    "eval_params",
    "fromage",
    "gd",
    "hutchinson",
    "lamb",
    "lars",
    "lbfgs",
    "learning_rate",
    "levenberg_marquardt",
    "lion",
    "madgrad",
    "minimize",
    "momentum",
    "muon",
    "nadam",
    "nadamw",
    "nag",
    "nesterov",
    "newton_cg",
    "noisy_sgd",
    "novograd",
    "optimistic_adam",
    "optimistic_gradient_descent",
    "polyak_sgd",
    "prodigy",
    "radam",
    "rmsprop",
    "rprop",
    "sam",
    "sampling_probabilities",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
    "shampoo",
    "sign_sgd",
    "signum",
    "simulated_annealing",
    "sm3",
    "soap",
    "sophia",
    "yogi",
]
