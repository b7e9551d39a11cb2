"""What other libraries and the papers do differently, and what is no fault for that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Dialect:
    """A rule of another library.

    Attributes:
        name: Whose it is.
        difference: How it differs from the zoo's, in a few words.
        hyper: Hyperparameters of the zoo's rule that make it so. One that the user gave is a
            request, and the dialect no answer to it.
        on: Alterations that make it so.
    """

    name: str
    difference: str
    hyper: Mapping[str, Any] = field(default_factory=dict)
    on: tuple[str, ...] = ()


_KERAS_EPS = "eps is added before the bias correction"
_KERAS_ADAM = Dialect("keras.optimizers.Adam", _KERAS_EPS, on=("eps_hat",))
_KERAS_DEFAULT_EPS = {"eps": 1e-7}
_AUTHORS = "no bias correction, as the authors' code has by default"

DIALECTS: dict[str, tuple[Dialect, ...]] = {
    "adagrad": (
        Dialect("torch.optim.Adagrad", "eps outside the root", {"eps_in_sqrt": False}),
        Dialect(
            "torch.optim.Adagrad",
            "eps outside the root, and sums that start at 0",
            {"eps_in_sqrt": False, "initial_accumulator_value": 0.0},
        ),
        Dialect(
            "torch.optim.Adagrad",
            "eps = 1e-10 outside the root, and sums that start at 0",
            {"eps_in_sqrt": False, "initial_accumulator_value": 0.0, "eps": 1e-10},
        ),
    ),
    "adadelta": (
        Dialect(
            "keras.optimizers.Adadelta at its defaults", "rho = 0.95 and eps = 1e-7",
            {"rho": 0.95, **_KERAS_DEFAULT_EPS},
        ),
    ),
    "rmsprop": (
        Dialect("keras.optimizers.RMSprop at its defaults", "eps = 1e-7", _KERAS_DEFAULT_EPS),
        Dialect("torch.optim.RMSprop", "eps outside the root", {"eps_in_sqrt": False}),
        Dialect(
            "torch.optim.RMSprop",
            "eps outside the root, and the learning rate outside the momentum",
            {"eps_in_sqrt": False},
            ("lr_outside",),
        ),
        Dialect(
            "torch.optim.RMSprop at its defaults",
            "a decay of 0.99 and eps outside the root",
            {"eps_in_sqrt": False, "decay": 0.99},
        ),
    ),
    "adam": (
        _KERAS_ADAM,
        Dialect(
            "keras.optimizers.Adam at its defaults",
            f"{_KERAS_EPS}, and is 1e-7", _KERAS_DEFAULT_EPS, ("eps_hat",),
        ),
    ),
    "adamw": (
        Dialect("keras.optimizers.AdamW", _KERAS_EPS, on=("eps_hat",)),
        Dialect(
            "torch.optim.AdamW at its defaults", "a decay of 0.01", {"weight_decay": 0.01}
        ),
    ),
    "adamax": (Dialect("keras.optimizers.Adamax", "eps added to the maximum", on=("eps_below",)),),
    "nadam": (
        Dialect("torch.optim.NAdam", "a momentum that grows", {"momentum_decay": 0.004}),
        Dialect("keras.optimizers.Nadam", "a momentum that grows", {"momentum_decay": 1.0}),
    ),
    "nadamw": (
        Dialect("torch.optim.NAdam", "a momentum that grows", {"momentum_decay": 0.004}),
        Dialect("keras.optimizers.Nadam", "a momentum that grows", {"momentum_decay": 1.0}),
    ),
    "amsgrad": (
        Dialect(
            "torch.optim.Adam(amsgrad=True)", "the maximum of the raw v", {"max_of": "raw"}
        ),
        Dialect(
            "keras.optimizers.Adam(amsgrad=True)",
            "the maximum of the raw v, and eps before the bias correction",
            {"max_of": "raw"},
            ("eps_hat",),
        ),
    ),
    "radam": (
        Dialect("torch.optim.RAdam", "eps before the bias correction", {"correct_eps": True}),
        Dialect("the paper of Liu et al. (2020)", "a threshold of 4", {"threshold": 4.0}),
    ),
    "yogi": (
        Dialect(
            "the paper of Zaheer et al. (2018)", "no bias correction", {"bias_correction": False}
        ),
    ),
    "lars": (
        Dialect(
            "the paper of You et al. (2017)",
            "the sum of the norms in the ratio",
            {"dialect": "paper"},
        ),
    ),
    "muon": (
        Dialect("torch.optim.Muon", "no bias correction", {"bias_correction": False}),
    ),
    "prodigy": (Dialect("prodigyopt.Prodigy", _AUTHORS, {"use_bias_correction": False}),),
    "dadapt_adamw": (
        Dialect("dadaptation.DAdaptAdam", _AUTHORS, {"use_bias_correction": False}),
    ),
    "adopt": (
        Dialect("the first paper of ADOPT (2024)", "no clipping", {"use_clipping": False}),
    ),
    "optimistic_adam": (
        Dialect(
            "the paper of Daskalakis et al. (2018)",
            "no Nesterov momentum, and a first step of 2 lr r",
            {"nesterov": False},
            ("start_zero",),
        ),
        Dialect("optax's optimistic_adam", "no Nesterov momentum", {"nesterov": False}),
    ),
    "adafactor": (
        Dialect(
            "torch.optim.Adafactor's factors", "every matrix is factored",
            {"min_dim_size_to_factor": 1},
        ),
        Dialect(
            "torch.optim.Adafactor", "no eps in the squares, bounds on V instead",
            on=("bounded_by_precision",),
        ),
        Dialect(
            "torch.optim.Adafactor", "every matrix is factored, and V is bounded in place of eps",
            {"min_dim_size_to_factor": 1}, ("bounded_by_precision",),
        ),
    ),
    "rprop": (Dialect("Rprop- of Igel & Huesken (2000)", "no step is left out", on=("moves_on",)),),
}  # fmt: skip


_TORCH_SGD = "torch.optim.SGD and, at a constant learning rate, keras.optimizers.SGD"

EQUALS: dict[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    "gd": (("torch.optim.SGD and keras.optimizers.SGD", {}),),
    "momentum": ((_TORCH_SGD, {}),),
    "nesterov": ((f"{_TORCH_SGD}, with nesterov=True", {}),),
    "adagrad": (
        ("keras.optimizers.Adagrad", {"eps_in_sqrt": True}),
        ("torch.optim.Adagrad", {"eps_in_sqrt": False}),
    ),
    "adadelta": (("torch.optim.Adadelta and keras.optimizers.Adadelta", {}),),
    "rmsprop": (
        (
            "keras.optimizers.RMSprop",
            {"eps_in_sqrt": True, "bias_correction": False, "nesterov": False},
        ),
        (
            "torch.optim.RMSprop",
            {"eps_in_sqrt": False, "bias_correction": False, "nesterov": False},
        ),
    ),
    "rprop": (("torch.optim.Rprop", {}),),
    "adam": (("torch.optim.Adam", {"eps_root": 0.0}),),
    "adamw": (("torch.optim.AdamW", {"eps_root": 0.0}),),
    "adamax": (("torch.optim.Adamax", {}),),
    "lion": (("keras.optimizers.Lion", {}),),
}  # fmt: skip
"""Whose rule the zoo's is, and the hyperparameters with which it is."""


def equals(name: str, hyper: Mapping[str, Any]) -> list[str]:
    """Whose rule a rule of the zoo is, too, with these hyperparameters."""
    return [
        whose
        for whose, needs in EQUALS.get(name, ())
        if all(hyper.get(k) == value for k, value in needs.items())
    ]
