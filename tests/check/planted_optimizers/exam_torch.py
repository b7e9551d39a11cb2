"""Classes of torch.optim with a wrong flag, and subclasses of them."""

from typing import Any

import jax.numpy as jnp
import torch

from .problem import Planted

LR = 0.02
PLANTED: list[Planted] = []


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {"learning_rate": LR, **hyper}, rule, also))


def made(kind: Any, **flags: Any) -> Any:
    return lambda params: kind(params, lr=LR, **flags)


def torch_rate(t: Any) -> Any:
    """The rate of torch.optim.Adafactor as a schedule."""
    return jnp.minimum(LR, 1 / jnp.sqrt(t + 1.0))


optim = torch.optim
plant("exam torch nesterov off", "nesterov_point", "nesterov", made(optim.SGD, momentum=0.9))
plant("exam torch nesterov unasked", "nesterov_point", "momentum",
      made(optim.SGD, momentum=0.9, nesterov=True))  # fmt: skip
plant("exam torch dampened", "dampening", "momentum",
      made(optim.SGD, momentum=0.9, dampening=0.9))  # fmt: skip
plant("exam torch maximize", "sign", "adam", made(optim.Adam, maximize=True))
plant("exam torch betas", "betas_swapped", "adam", made(optim.Adam, betas=(0.999, 0.9)))
plant("exam torch adam l2", "coupled_weight_decay", "adam", made(optim.Adam, weight_decay=0.05))
plant("exam torch adamw", "decoupled_weight_decay", "adam", made(optim.AdamW))
plant("exam torch rmsprop alpha", "betas_swapped", "rmsprop", made(optim.RMSprop, alpha=0.1))
plant("exam torch rmsprop centred", "wrong_accumulator", "rmsprop",
      made(optim.RMSprop, alpha=0.9, centered=True))  # fmt: skip
plant("exam torch adagrad from 1", "initial_accumulator", "adagrad",
      made(optim.Adagrad, initial_accumulator_value=1.0))  # fmt: skip
plant("exam torch amsgrad", "wrong_accumulator", "adam", made(optim.Adam, amsgrad=True))
plant("exam torch nadam", "nesterov_point", "adam", made(optim.NAdam), "mismatch")
plant("exam torch momentum l2", "coupled_weight_decay", "momentum",
      made(optim.SGD, momentum=0.9, weight_decay=0.05))  # fmt: skip
plant("exam torch adamax of adam", "wrong_accumulator", "adam", made(optim.Adamax))
plant("exam torch adadelta decays", "coupled_weight_decay", "adadelta",
      made(optim.Adadelta, weight_decay=0.05))  # fmt: skip


class Forgets(optim.Adam):
    """The optimizer that is made anew in every epoch, which has one step."""

    def step(self, closure: Any = None) -> Any:
        self.state.clear()
        return super().step(closure)


class Twice(optim.SGD):
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        return super().step(closure)


class Adds(optim.SGD):
    """The gradients of former steps stay, for want of zero_grad."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                s = self.state[p]
                s["sum"] = s.get("sum", 0) + p.grad
                p.grad = s["sum"].clone()
        return super().step(closure)


class DecaysAfter(optim.Adam):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(1 - group["lr"] * 0.1)


class Lion(optim.Optimizer):
    def __init__(self, params: Any, lr: float = 1e-4, fault: str = "") -> None:
        super().__init__(params, {"lr": lr})
        self.fault = fault

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                g = p.grad
                if self.fault == "l2":
                    g = g + 0.1 * p
                elif self.fault == "first m":
                    m.lerp_(g, 0.01)
                c = m.lerp(g, 0.1)
                if self.fault != "l2":
                    p.mul_(1 - group["lr"] * 0.1)
                p.add_(c.sign(), alpha=-group["lr"])
                if self.fault != "first m":
                    m.lerp_(g, 0.01)


wd = {"weight_decay": 0.1}
plant("exam torch adam forgets", "state_reset", "adam", made(Forgets))
plant("exam torch sgd twice", "scale", "gd", made(Twice))
plant("exam torch sgd adds", "wrong_accumulator", "gd", made(Adds), "mismatch", "dampening")
plant("exam torch adamw after", "order", "adamw", made(DecaysAfter), **wd)
plant("exam torch lion", "", "lion", made(Lion), **wd)
plant("exam torch lion l2", "coupled_weight_decay", "lion", made(Lion, fault="l2"), **wd)
plant("exam torch lion first m", "order", "lion", made(Lion, fault="first m"), **wd)

plant("exam torch adamw right", "", "adamw", made(optim.AdamW, weight_decay=0.1), **wd)
plant("exam torch amsgrad right", "", "amsgrad", made(optim.Adam, amsgrad=True))
plant("exam torch nadam near", "", "nadam", made(optim.NAdam, momentum_decay=1e4))
plant("exam torch foreach", "", "adam", made(optim.Adam, foreach=True))
plant("exam torch adafactor", "", "adafactor", made(optim.Adafactor),
      learning_rate=torch_rate, min_dim_size_to_factor=1)  # fmt: skip
