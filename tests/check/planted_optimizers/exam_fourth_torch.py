"""Optimizers of PyTorch with wrong flags, set down before the doctor's own rules were read."""

from typing import Any

import torch

from .problem import Planted

LR, WD = 0.05, 0.02
PLANTED: list[Planted] = []
optim = torch.optim


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    given = {"learning_rate": LR, **hyper}
    PLANTED.append(Planted(f"fourth torch {name}", code, reference, given, rule, also))


def made(kind: Any, **flags: Any) -> Any:
    return lambda params: kind(params, lr=LR, **flags)


class AfterTheStep(optim.Adam):
    """Shrinks the parameters when the step is done."""

    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1 - LR * WD)


class Clips(optim.SGD):
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        return super().step(closure)


class HandAdam(optim.Optimizer):
    def __init__(self, params: Any, lr: float = LR, fault: str = "") -> None:
        super().__init__(params, {"lr": lr, "fault": fault})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            fault = group["fault"]
            for p in group["params"]:
                s, g = self.state[p], p.grad
                if not s:
                    s.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                t = s["t"] if fault == "from 0" else s["t"] + 1
                s["t"] += 1
                s["m"].mul_(0.9).add_(g, alpha=1.0 if fault == "trace" else 0.1)
                s["v"].mul_(0.999).addcmul_(g, g, value=0.001)
                if fault == "from 0" and t == 0:
                    t = 1
                below = s["v"].div(1 - 0.999**t).sqrt_().add_(1e-8)
                if fault == "rootless":
                    below = s["v"].div(1 - 0.999**t).add_(1e-8)
                p.addcdiv_(s["m"] / (1 - 0.9**t), below, value=-group["lr"])


plant(
    "sgd decays",
    "coupled_weight_decay",
    "nesterov",
    made(optim.SGD, momentum=0.9, nesterov=True, weight_decay=WD),
)
plant("sgd dampened", "dampening", "momentum", made(optim.SGD, momentum=0.9, dampening=0.5))
plant(
    "adamw of adam",
    "coupled_weight_decay",
    "adamw",
    made(optim.Adam, weight_decay=WD),
    weight_decay=WD,
)
plant("adamw after", "order", "adamw", made(AfterTheStep), weight_decay=WD)
plant("sgd clips", "mismatch", "gd", made(Clips))
plant("nadam for adam", "nesterov_point", "adam", made(optim.NAdam, momentum_decay=0.0), "mismatch")
plant("hand rootless", "sqrt_missing", "adam", made(HandAdam, fault="rootless"))
plant("hand trace", "dampening", "adam", made(HandAdam, fault="trace"))
plant("adamax betas", "betas_swapped", "adamax", made(optim.Adamax, betas=(0.999, 0.9)))
plant("adadelta maximizes", "sign", "adadelta", made(optim.Adadelta, maximize=True))
plant("rprop etas", "mismatch", "rprop", made(optim.Rprop, etas=(0.2, 1.2)), "betas_swapped")
plant("radam decays", "coupled_weight_decay", "radam", made(optim.RAdam, weight_decay=WD, eps=1e-8))
right_ones: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "sgd": ("nesterov", made(optim.SGD, momentum=0.9, nesterov=True), {}),
    "hand adam": ("adam", made(HandAdam), {}),
    "adadelta": ("adadelta", made(optim.Adadelta), {}),
    "adamax": ("adamax", made(optim.Adamax), {}),
    "adagrad": ("adagrad", made(optim.Adagrad, initial_accumulator_value=0.1, eps=1e-7), {}),
    "rmsprop": ("rmsprop", made(optim.RMSprop, momentum=0.9), {"decay": 0.99, "momentum": 0.9}),
    "rprop": ("rprop", made(optim.Rprop), {}),
    "adamw": ("adamw", made(optim.AdamW, weight_decay=WD), {"weight_decay": WD}),
}
for name, (reference, rule, hyper) in right_ones.items():
    plant(name, "", reference, rule, **hyper)
