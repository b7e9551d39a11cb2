"""AdaGrad, AdaDelta, RMSProp and factored rules, as people write them."""

from typing import Any

import numpy as np
import optax

from .problem import Planted, entry_by_entry, zeros

LR = 0.02
PLANTED: list[Planted] = []


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {"learning_rate": LR, **hyper}, rule, also))


def adagrad(change: str = "", start: float = 0.1, eps: float = 1e-7) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        old = s["v"].copy()
        if change == "ema":
            s["v"] = 0.9 * s["v"] + 0.1 * g * g
        elif change == "abs":
            s["v"] += np.abs(g)
        else:
            s["v"] += g * g
        v = old if change == "old" else s["v"]
        below = np.sqrt(v) + eps if change == "outside" else np.sqrt(v + eps)
        if change == "no root":
            below = v + eps
        if change == "reset":
            s["v"] = np.full_like(p, start)
        return p + LR * g / below if change == "sign" else p - LR * g / below

    return entry_by_entry(lambda p: {"v": np.full_like(p, start)}, update)


plant("adagrad", "", "adagrad", adagrad())
plant("adagrad of torch's form", "", "adagrad", adagrad("outside"))
plant("adagrad of torch", "", "adagrad", adagrad("outside", 0.0, 1e-10))
plant("adagrad from 0", "initial_accumulator", "adagrad", adagrad(start=0.0))
plant("adagrad from 1", "initial_accumulator", "adagrad", adagrad(start=1.0))
plant("adagrad average", "wrong_accumulator", "adagrad", adagrad("ema"))
plant("adagrad absolute", "wrong_accumulator", "adagrad", adagrad("abs"))
plant("adagrad old sum", "order", "adagrad", adagrad("old"))
plant("adagrad without root", "sqrt_missing", "adagrad", adagrad("no root"))
plant("adagrad climbs", "sign", "adagrad", adagrad("sign"))
plant("adagrad forgets", "state_reset", "adagrad", adagrad("reset"))
plant("adagrad asked outside", "eps_inside_sqrt", "adagrad", adagrad(), eps_in_sqrt=False)
plant("adagrad asked inside", "eps_outside_sqrt", "adagrad", adagrad("outside"), eps_in_sqrt=True)


def adadelta(change: str = "", lr: float = 0.5) -> Any:
    rho, eps = 0.9, 1e-6

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["g"] = rho * s["g"] + (1 - rho) * g**2
        if change == "outside":
            d = (np.sqrt(s["d"]) + eps) / (np.sqrt(s["g"]) + eps) * g
        elif change == "no root":
            d = (s["d"] + eps) / (s["g"] + eps) * g
        else:
            d = np.sqrt(s["d"] + eps) / np.sqrt(s["g"] + eps) * g
        kept = {"rate": lr * d, "gradient": g}.get(change, d)
        s["d"] = rho * s["d"] + (1 - rho) * kept**2
        if change == "sum":
            s["d"] = s["d"] + rho * kept**2
        if change == "first":
            d = np.sqrt(s["d"] + eps) / np.sqrt(s["g"] + eps) * g
        return p - (1.0 if change == "no rate" else lr) * d

    return entry_by_entry(zeros("g", "d"), update)


plant("adadelta", "", "adadelta", adadelta(), learning_rate=0.5)
plant("adadelta outside", "eps_outside_sqrt", "adadelta", adadelta("outside"), learning_rate=0.5)
plant("adadelta rate inside", "lr_in_buffer", "adadelta", adadelta("rate"), learning_rate=0.5)
plant(
    "adadelta of gradients",
    "wrong_accumulator",
    "adadelta",
    adadelta("gradient"),
    learning_rate=0.5,
)
plant("adadelta d first", "order", "adadelta", adadelta("first"), learning_rate=0.5)
plant("adadelta without root", "sqrt_missing", "adadelta", adadelta("no root"), learning_rate=0.5)
plant("adadelta without rate", "scale", "adadelta", adadelta("no rate"), learning_rate=0.5)
plant("adadelta of optax climbs", "sign", "adadelta", optax.adadelta(), learning_rate=1.0)


def rmsprop(change: str = "", eps: float = 1e-8, rho: float = 0.9, start: float = 0.0) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        old = s["v"].copy()
        s["v"] = rho * s["v"] + (1 - rho) * g**2
        if change == "sum":
            s["v"] = old + g**2
        if change == "undamped":
            s["v"] = rho * old + g**2
        if change == "swapped":
            s["v"] = (1 - rho) * old + rho * g**2
        if change == "first power":
            s["v"] = rho * old + (1 - rho) * np.abs(g)
        v = old if change == "old" else s["v"]
        if change == "reset":
            s["v"] = np.zeros_like(p)
        if change == "no root":
            return p - LR * g / (v + eps)
        if change == "outside":
            return p - LR * g / (np.sqrt(v) + eps)
        if change == "max":
            return p - LR * g / np.maximum(np.sqrt(v), eps)
        return p - LR * g / np.sqrt(v + eps)

    return entry_by_entry(lambda p: {"v": np.full_like(p, start)}, update)


plant("rmsprop", "", "rmsprop", rmsprop())
plant("rmsprop of torch's form", "", "rmsprop", rmsprop("outside"))
plant("rmsprop sum", "wrong_accumulator", "rmsprop", rmsprop("sum"))
plant("rmsprop undamped", "wrong_accumulator", "rmsprop", rmsprop("undamped"))
plant("rmsprop absolute", "wrong_accumulator", "rmsprop", rmsprop("first power"))
plant("rmsprop weights", "betas_swapped", "rmsprop", rmsprop("swapped"))
plant("rmsprop old", "order", "rmsprop", rmsprop("old"))
plant("rmsprop without root", "sqrt_missing", "rmsprop", rmsprop("no root"))
plant("rmsprop maximum", "eps_placement", "rmsprop", rmsprop("max"))
plant("rmsprop from 1", "initial_accumulator", "rmsprop", rmsprop(start=1.0))
plant("rmsprop forgets", "state_reset", "rmsprop", rmsprop("reset"))
plant("rmsprop other eps", "mismatch", "rmsprop", rmsprop(eps=1e-4))
plant("rmsprop other decay", "mismatch", "rmsprop", rmsprop(rho=0.99))
plant("rmsprop asked outside", "eps_inside_sqrt", "rmsprop", rmsprop(), eps_in_sqrt=False)
plant("rmsprop of optax", "", "rmsprop", optax.rmsprop(LR, momentum=0.9), momentum=0.9)
plant(
    "rmsprop centred",
    "",
    "rmsprop",
    optax.rmsprop(LR, centered=True, eps=1e-3),
    centered=True,
    eps=1e-3,
)
plant(
    "rmsprop not centred",
    "wrong_accumulator",
    "rmsprop",
    optax.rmsprop(LR, eps=1e-3),
    "mismatch",
    centered=True,
    eps=1e-3,
)


def rmsprop_momentum(change: str) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["v"] = 0.9 * s["v"] + 0.1 * g**2
        d = g / np.sqrt(s["v"] + 1e-8)
        weight = 0.1 if change == "average" else 1.0
        sign = -1.0 if change == "minus" else 1.0
        if change == "rate twice":
            d = LR * d
        s["b"] = sign * 0.9 * s["b"] + weight * d
        return p - LR * s["b"]

    return entry_by_entry(zeros("v", "b"), update)


plant("rmsprop momentum outside", "", "rmsprop", rmsprop_momentum(""), momentum=0.9)
plant("rmsprop momentum average", "dampening", "rmsprop", rmsprop_momentum("average"), momentum=0.9)
plant("rmsprop momentum minus", "momentum_sign", "rmsprop", rmsprop_momentum("minus"), momentum=0.9)
plant(
    "rmsprop rate twice",
    "lr_in_buffer",
    "rmsprop",
    rmsprop_momentum("rate twice"),
    "scale",
    momentum=0.9,
)


def sm3(change: str = "") -> Any:
    def start(p: Any) -> Any:
        mus = [np.zeros([n if a == b else 1 for b in range(p.ndim)]) for a, n in enumerate(p.shape)]
        return {"mu": mus, "m": np.zeros_like(p)}

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        nu = s["mu"][0] + 0 * g
        for mu in s["mu"][1:]:
            nu = np.maximum(nu, mu) if change == "max" else np.minimum(nu, mu)
        nu = nu + g**2
        for a in range(p.ndim):
            rest = tuple(b for b in range(p.ndim) if b != a)
            s["mu"][a] = nu.max(axis=rest, keepdims=True)
        below = nu + 1e-8 if change == "no root" else np.sqrt(nu + 1e-8)
        if change == "undamped":
            s["m"] = 0.9 * s["m"] + g / below
        else:
            s["m"] = 0.9 * s["m"] + 0.1 * g / below
        return p - LR * s["m"]

    return entry_by_entry(start, update)


plant("sm3", "", "sm3", sm3())
plant("sm3 largest cover", "wrong_accumulator", "sm3", sm3("max"))
plant("sm3 without root", "sqrt_missing", "sm3", sm3("no root"))
plant("sm3 undamped", "dampening", "sm3", sm3("undamped"), "scale")


def adafactor(change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        b = 1 - (t + (change == "early")) ** -0.8
        sq = g**2 + 1e-30
        if p.ndim == 2:
            s["r"] = b * s.get("r", 0) + (1 - b) * sq.mean(axis=1)
            s["c"] = b * s.get("c", 0) + (1 - b) * sq.mean(axis=0)
            v = np.outer(s["r"], s["c"]) / s["r"].mean()
        else:
            v = s["v"] = b * s.get("v", 0) + (1 - b) * sq
        u = g / (v if change == "no root" else np.sqrt(v))
        u = u / max(1.0, np.sqrt(np.mean(u**2)))
        scale = 1.0 if change == "no scale" else max(1e-3, np.sqrt(np.mean(p**2)))
        decay = LR * 0.01 * p if change == "scaled" else 0.01 * p
        return p - LR * scale * u - decay

    return entry_by_entry(lambda p: {}, update)


hyper = {"min_dim_size_to_factor": 2, "weight_decay_rate": 0.01}
plant("adafactor", "", "adafactor", adafactor(), **hyper)
plant("adafactor no scale", "scale", "adafactor", adafactor("no scale"), "mismatch", **hyper)
plant("adafactor without root", "sqrt_missing", "adafactor", adafactor("no root"), **hyper)
plant(
    "adafactor counts from 2",
    "bias_correction_off_by_one",
    "adafactor",
    adafactor("early"),
    **hyper,
)
plant(
    "adafactor decay times rate",
    "decoupled_weight_decay",
    "adafactor",
    adafactor("scaled"),
    "mismatch",
    **hyper,
)
