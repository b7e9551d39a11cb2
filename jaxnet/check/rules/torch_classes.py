"""Classes of torch.optim: their arguments, and how they are run."""

import inspect
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnet.check.rules.forms import Broken, Ran, Stepper, row
from jaxnet.check.rules.problems import Problem

TORCH_NAMES = {
    "learning_rate": ("lr", "learning_rate"),
    "b1": ("b1", "beta1"),
    "b2": ("b2", "beta2"),
    "decay": ("alpha", "decay", "rho"),
    "momentum": ("momentum", "mu"),
    "weight_decay": ("weight_decay", "wd"),
    "eps": ("eps", "epsilon"),
    "rho": ("rho", "alpha", "decay"),
    "max_learning_rate": ("max_lr", "max_learning_rate", "lr"),
}
"""How classes of torch.optim call what the zoo calls otherwise."""

TORCH_NUMBERS = ("learning_rate", "momentum", "b1", "b2", "decay", "rho", "eps", "weight_decay")
"""Hyperparameters that a class of torch must know if they are asked for."""


def of_torch(rule: Any, hyper: Mapping[str, Any], asked: Mapping[str, Any]) -> Stepper:
    """How an optimizer of torch is run.

    Args:
        rule: A class, or a function from parameters to an optimizer.
        hyper: The hyperparameters, for a class that is to be constructed.
        asked: Those that the user gave. A class of torch must know them; one of the user's own
            may have them written into it.
    """
    torch = sys.modules["torch"]
    given, lost = _torch_arguments(rule, hyper, asked) if isinstance(rule, type) else ({}, [])
    words = f"; {', '.join(lost)} not handed on, it has no such argument" if lost else ""
    schedule = hyper.get("learning_rate")

    def call(problem: Problem) -> Ran:
        params = [torch.nn.Parameter(torch.tensor(x)) for x in problem.start]
        optimizer = rule(params, **given)
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(
                f"rule gives {type(optimizer).__name__}, which is no optimizer of torch; if it "
                "makes an optax transformation, call it first: optax.adam(0.01), not optax.adam"
            )
        rates = [group.get("lr") for group in optimizer.param_groups]
        path = [row([p.detach().numpy().copy() for p in params])]
        for t in range(1, len(problem.grads) + 1):
            xs = [p.detach().numpy().copy() for p in params]
            for p, g in zip(params, problem.gradient(t, xs), strict=True):
                p.grad = torch.tensor(g)
            if callable(schedule):
                for group in optimizer.param_groups:
                    group["lr"] = float(schedule(t - 1))
            elif problem.rates:
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * problem.rate(t)
            _stepped(optimizer)
            path.append(row([p.detach().numpy().copy() for p in params]))
        return Ran(np.array(path), np.float64, "PyTorch")

    return Stepper(call, varied=not callable(schedule), words=words)


def _stepped(optimizer: Any) -> None:
    try:
        optimizer.step()
    except RuntimeError as error:
        if "requires grad" in str(error):
            raise Broken(
                "step changes parameters in place while torch records their gradient: write "
                "@torch.no_grad() above def step, or change p.data"
            ) from error
        raise


def _torch_arguments(
    rule: type, hyper: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The hyperparameters as the class's constructor calls them, and those that it lacks."""
    names = inspect.signature(rule).parameters
    given: dict[str, Any] = {}
    for name, value in hyper.items():
        if value is None or callable(value):
            continue
        for candidate in TORCH_NAMES.get(name, (name,)):
            if candidate in names and candidate not in given:
                given[candidate] = value
                break
    taken = {name for name in hyper if any(n in given for n in TORCH_NAMES.get(name, (name,)))}
    if "betas" in names and "b1" in hyper and "b2" in hyper:
        given["betas"] = (hyper["b1"], hyper["b2"])
        taken |= {"b1", "b2"}
    lost = [k for k in asked if k in TORCH_NUMBERS and k not in taken and asked[k]]
    if lost and rule.__module__.startswith("torch."):
        raise ValueError(
            f"{rule.__name__} has no argument for {', '.join(lost)}: it has {', '.join(names)}. "
            f"Make it yourself, rule=lambda params: torch.optim.{rule.__name__}(params, ...), or "
            "leave the hyperparameter out"
        )
    return given, lost
