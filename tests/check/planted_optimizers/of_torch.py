"""Classes of torch.optim: its own, and ones as people write them."""

from typing import Any

import torch

from .problem import Planted

LR = 0.01
PLANTED: list[Planted] = []


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {"learning_rate": LR, **hyper}, rule, also))


class Sgd(torch.optim.Optimizer):
    """Momentum, with a fault."""

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0.9, fault: str = ""
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.fault = fault
        self.shared: dict[Any, Any] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = (
                    self.shared.setdefault(p.shape, {}) if self.fault == "shared" else self.state[p]
                )
                if not state or self.fault == "reset":
                    state["v"] = torch.zeros_like(p)
                v = state["v"]
                v.mul_(-group["momentum"] if self.fault == "minus" else group["momentum"])
                if self.fault == "average":
                    v.add_(p.grad, alpha=1 - group["momentum"])
                else:
                    v.add_(p.grad)
                if self.fault == "nesterov":
                    p.sub_(group["lr"] * (p.grad + group["momentum"] * v))
                else:
                    p.add_(v, alpha=group["lr"] if self.fault == "sign" else -group["lr"])


def sgd(fault: str) -> Any:
    return lambda params: Sgd(params, lr=LR, fault=fault)


plant("torch class momentum", "", "momentum", Sgd)
plant("torch class momentum average", "dampening", "momentum", sgd("average"))
plant("torch class momentum minus", "momentum_sign", "momentum", sgd("minus"))
plant("torch class momentum climbs", "sign", "momentum", sgd("sign"))
plant("torch class momentum forgets", "state_reset", "momentum", sgd("reset"))
plant("torch class momentum shared", "state_shared", "momentum", sgd("shared"))
plant("torch class nesterov", "nesterov_point", "momentum", sgd("nesterov"))


class Adam(torch.optim.Optimizer):
    """Adam, with a fault."""

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, fault: str = "",
    ) -> None:  # fmt: skip
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )
        self.fault, self.t = fault, 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["t"] += 1
                self.t += 1
                t = self.t if self.fault == "counter" else state["t"]
                g = p.grad
                if self.fault == "coupled":
                    g = g + group["weight_decay"] * p
                elif self.fault == "unscaled":
                    p.mul_(1 - group["weight_decay"])
                else:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                state["m"].mul_(b1).add_(g, alpha=1 - b1)
                state["v"].mul_(b2).addcmul_(g, g, value=1 - b2)
                v = state["v"] if self.fault == "raw" else state["v"] / (1 - b2**t)
                root = (
                    (v + group["eps"]).sqrt() if self.fault == "inside" else v.sqrt() + group["eps"]
                )
                p.addcdiv_(state["m"] / (1 - b1**t), root, value=-group["lr"])


def adam(fault: str, wd: float = 0.0) -> Any:
    return lambda params: Adam(params, lr=LR, weight_decay=wd, fault=fault)


wd = {"weight_decay": 0.1}
plant("torch class adam", "", "adam", Adam)
plant("torch class adam inside", "eps_inside_sqrt", "adam", adam("inside"))
plant("torch class adam raw", "no_bias_correction", "adam", adam("raw"))
plant("torch class adam counter", "state_shared", "adam", adam("counter"))
plant("torch class adamw", "", "adamw", Adam, **wd)
plant("torch class adamw coupled", "coupled_weight_decay", "adamw", adam("coupled", 0.1), **wd)
plant("torch class adamw unscaled", "weight_decay_unscaled", "adamw", adam("unscaled", 0.1), **wd)

plant("torch SGD", "", "momentum", torch.optim.SGD, momentum=0.9)
plant(
    "torch SGD nesterov",
    "",
    "nesterov",
    lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9, nesterov=True),
)
plant("torch SGD plain", "", "gd", torch.optim.SGD)
plant("torch Adam", "", "adam", torch.optim.Adam)
plant("torch AdamW", "", "adamw", torch.optim.AdamW, **wd)
plant("torch Adam for adamw", "coupled_weight_decay", "adamw", torch.optim.Adam, **wd)
plant("torch Adagrad", "", "adagrad", torch.optim.Adagrad)
plant("torch Adadelta", "", "adadelta", torch.optim.Adadelta)
plant("torch RMSprop", "", "rmsprop", torch.optim.RMSprop)
plant("torch RMSprop default", "", "rmsprop", lambda p: torch.optim.RMSprop(p, lr=LR))
plant("torch RMSprop momentum", "", "rmsprop", torch.optim.RMSprop, momentum=0.9)
plant("torch RMSprop centred", "", "rmsprop", torch.optim.RMSprop, centered=True, eps=1e-3)
plant("torch Adamax", "", "adamax", torch.optim.Adamax)
plant("torch NAdam", "", "nadam", torch.optim.NAdam)
plant("torch RAdam", "", "radam", torch.optim.RAdam)
plant("torch amsgrad", "", "amsgrad", lambda p: torch.optim.Adam(p, lr=LR, amsgrad=True))
plant("torch Rprop", "", "rprop", torch.optim.Rprop)
plant(
    "torch adagrad asked inside",
    "eps_outside_sqrt",
    "adagrad",
    torch.optim.Adagrad,
    eps=1e-3,
    eps_in_sqrt=True,
)
