"""Faults written after those of the exam were looked into: NumPy, one leaf at a time."""

from typing import Any

import numpy as np

from .exam_numpy import leafwise, one, two
from .problem import Planted

LR, WD = 0.02, 0.04
PLANTED: list[Planted] = []
norm, root = np.linalg.norm, np.sqrt


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(
        Planted(f"second {name}", code, reference, {"learning_rate": LR, **hyper}, rule, also)
    )


def velocity(fault: str) -> Any:
    def update(p: Any, g: Any, v: Any, t: int) -> Any:
        if fault == "counted twice" and t == 1:
            v = g
        if fault == "averaged":
            v = 0.9 * v + 0.1 * g
            return p - LR * (0.1 * g + 0.9 * v), v
        v = (-0.9 if fault == "minus" else 0.9) * v + g
        if fault == "ahead of itself":
            return p - LR * (v + 0.9 * v), v
        return p - LR * (g - 0.9 * v if fault == "back" else g + 0.9 * v), v

    return leafwise(one, update)


plant("nesterov averaged", "dampening", "nesterov", velocity("averaged"))
plant("nesterov minus", "momentum_sign", "nesterov", velocity("minus"))
plant("nesterov back", "momentum_sign", "nesterov", velocity("back"))
plant("nesterov twice at first", "initial_accumulator", "nesterov", velocity("counted twice"))
plant("nesterov of the velocity", "nesterov_point", "nesterov", velocity("ahead of itself"))


def rmsprop(fault: str) -> Any:
    def update(p: Any, g: Any, v: Any, t: int) -> Any:
        old, gg = v, g + WD * p if fault == "decays" else g
        v = 0.9 * v + 0.1 * gg**2
        used = old if fault == "late" else v
        if fault == "no eps":
            return p - LR * g / np.where(v > 0, root(v), 1), v
        if fault == "normal":
            return p - LR * g / root(v.mean() + 1e-8), v
        return p - LR * gg / root(used + 1e-8), v

    return leafwise(lambda p: (np.full_like(p, fault == "from 1"),), update)


plant("rmsprop late", "order", "rmsprop", rmsprop("late"))
plant("rmsprop decays", "coupled_weight_decay", "rmsprop", rmsprop("decays"))
plant("rmsprop no eps", "eps_placement", "rmsprop", rmsprop("no eps"))
plant("rmsprop mean over the leaf", "wrong_accumulator", "rmsprop", rmsprop("normal"))
plant("rmsprop from 1", "initial_accumulator", "rmsprop", rmsprop("from 1"))


def adam(fault: str, reference: str) -> Any:
    def update(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        b1, b2 = (0.999, 0.9) if fault == "swapped" else (0.9, 0.999)
        if fault == "m from g" and t == 1:
            m = g
        old = v
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        if fault == "sum":
            m = m + 0.9 * g
        if fault == "variance":
            v = b2 * old + (1 - b2) * (g - m) ** 2
        k = t + 1 if fault == "early" else t
        c1, c2 = 1 - b1**k, 1 - b2**k
        if fault == "raw":
            c1 = c2 = 1.0
        ahead = m / c1
        if reference == "nadam":
            ahead = b1 * m / (1 - b1 ** (k + 1)) + (1 - b1) * g / c1
            if fault == "raw":
                ahead = b1 * m + (1 - b1) * g
        below = root(v / c2) + 1e-8
        if fault == "inside":
            below = root(v / c2 + 1e-8)
        elif fault == "no root":
            below = v / c2 + 1e-8
        elif fault == "bracket":
            below = root(v) / c2 + 1e-8
        elif fault == "cube":
            below = np.cbrt(v / c2) + 1e-8
        d = ahead / below
        if reference == "lamb":
            d = m / c1 / (below + 1e-6 - 1e-8) + WD * p
            ratio = norm(p) / norm(d) if norm(p) > 0 and norm(d) > 0 else 1.0
            if fault == "largest":
                ratio = min(ratio, 1.0)
            return p - LR * ratio * d, m, v
        return p - LR * d, m, v

    return leafwise(two, update)


plant("adam m from g", "initial_accumulator", "adam", adam("m from g", "adam"))
plant("adam m a sum", "dampening", "adam", adam("sum", "adam"), "wrong_accumulator", "mismatch")
plant("adam variance", "wrong_accumulator", "adam", adam("variance", "adam"))
plant("adam bracket of the root", "mismatch", "adam", adam("bracket", "adam"), "order",
      "bias_correction_off_by_one", "sqrt_missing")  # fmt: skip
plant("adam cube root", "mismatch", "adam", adam("cube", "adam"), "sqrt_missing",
      "wrong_accumulator")  # fmt: skip
plant("nadam early", "bias_correction_off_by_one", "nadam", adam("early", "nadam"))
plant("nadam raw", "no_bias_correction", "nadam", adam("raw", "nadam"))
plant("nadam inside", "eps_inside_sqrt", "nadam", adam("inside", "nadam"))
plant("nadam swapped", "betas_swapped", "nadam", adam("swapped", "nadam"))
plant("nadam no root", "sqrt_missing", "nadam", adam("no root", "nadam"))
lamb = {"weight_decay": WD}
plant("lamb early", "bias_correction_off_by_one", "lamb", adam("early", "lamb"), **lamb)
plant("lamb swapped", "betas_swapped", "lamb", adam("swapped", "lamb"), **lamb)
plant("lamb variance", "wrong_accumulator", "lamb", adam("variance", "lamb"), **lamb)
plant("lamb no root", "sqrt_missing", "lamb", adam("no root", "lamb"), **lamb)
plant("lamb bounded", "mismatch", "lamb", adam("largest", "lamb"), "scale", **lamb)
plant("lamb m from g", "initial_accumulator", "lamb", adam("m from g", "lamb"), **lamb)


def adamax(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, u: Any, t: int) -> Any:
        b1, b2 = (0.999, 0.9) if fault == "swapped" else (0.9, 0.999)
        m = b1 * m + (1 - b1) * g
        u = np.maximum(b2 * u, np.abs(g) + 1e-8)
        if fault == "forgets":
            u = np.abs(g) + 1e-8
        if fault == "of the leaf":
            u = np.full_like(u, u.max())
        return p - LR / (1 - b1**t) * m / u, m, u

    return leafwise(two, update)


plant("adamax swapped", "betas_swapped", "adamax", adamax("swapped"))
plant("adamax forgets", "state_reset", "adamax", adamax("forgets"), "wrong_accumulator")
plant("adamax of the leaf", "wrong_accumulator", "adamax", adamax("of the leaf"), "mismatch")


def yogi(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        m = 0.9 * m + 0.1 * g
        v = v - 0.001 * np.sign(v - g**2) * g**2
        mh, vh = m / (1 - 0.9**t), v / (1 - 0.999**t)
        if fault == "v raw":
            vh = v
        below = vh + 1e-3 if fault == "no root" else root(vh) + 1e-3
        if fault == "inside":
            below = root(vh + 1e-3)
        return p + (LR if fault == "climbs" else -LR) * mh / below, m, v

    return leafwise(lambda p: (np.full_like(p, 1e-6), np.full_like(p, 1e-6)), update)


plant("yogi v raw", "no_bias_correction", "yogi", yogi("v raw"))
plant("yogi no root", "sqrt_missing", "yogi", yogi("no root"))
plant("yogi inside", "eps_inside_sqrt", "yogi", yogi("inside"))
plant("yogi climbs", "sign", "yogi", yogi("climbs"))


def novograd(fault: str) -> Any:
    def init(params: Any) -> Any:
        return {k: (0 * p, None) for k, p in params.items()} | {"all": None}

    def step(params: Any, grads: Any, s: Any) -> Any:
        new, kept = {}, {}
        whole = sum(np.sum(g**2) for g in grads.values())
        for k, p in params.items():
            g, (m, v) = grads[k], s[k]
            if fault == "coupled":
                g = g + 0.01 * p
            square = whole if fault == "tree" else np.sum(g**2)
            old = v
            v = square if v is None else 0.25 * v + 0.75 * square
            used = v if old is None or fault != "late" else old
            u = g / (root(used + 1e-6) if fault == "inside" else root(used) + 1e-6)
            m = 0.9 * m + u + (0 if fault == "coupled" else 0.01 * p)
            new[k], kept[k] = p - LR * m, (m, v)
        return new, kept

    return init, step


small = {"weight_decay": 0.01}
plant("novograd coupled", "coupled_weight_decay", "novograd", novograd("coupled"), **small)
plant("novograd tree", "state_shared", "novograd", novograd("tree"), "wrong_accumulator", **small)
plant("novograd late", "order", "novograd", novograd("late"), **small)
plant("novograd inside", "eps_inside_sqrt", "novograd", novograd("inside"), **small)


def lars(fault: str) -> Any:
    def update(p: Any, g: Any, v: Any, t: int) -> Any:
        u = g + 0.01 * p
        n = np.sum(np.abs(u)) if fault == "l1" else norm(u)
        r = 0.001 * norm(p) / n if norm(p) > 0 and n > 0 else 1.0
        v = (-0.9 if fault == "minus" else 0.9) * v + LR * r * u
        return p - (LR * r * u + 0.9 * v if fault == "ahead" else v), v

    return leafwise(one, update)


plant("lars minus", "momentum_sign", "lars", lars("minus"), **small)
plant("lars ahead", "nesterov_point", "lars", lars("ahead"), **small)
plant("lars l1", "wrong_accumulator", "lars", lars("l1"), "mismatch", **small)


def madgrad(fault: str) -> Any:
    def update(p: Any, g: Any, x0: Any, s: Any, v: Any, t: int) -> Any:
        lam = (LR + 1e-6) * root(t - 1 if fault == "late" else t)
        old = s
        s, v = s + lam * g, v + lam * (np.abs(g) if fault == "absolute" else g**2)
        z = x0 - (old if fault == "old s" else s) / (np.cbrt(v) + 1e-6)
        return 0.9 * p + 0.1 * z, x0, s, v

    return leafwise(lambda p: (0 * p if fault == "from 0" else p.copy(), 0 * p, 0 * p), update)


plant("madgrad late", "bias_correction_off_by_one", "madgrad", madgrad("late"), "order",
      "scale")  # fmt: skip
plant("madgrad absolute", "wrong_accumulator", "madgrad", madgrad("absolute"))
plant("madgrad old s", "order", "madgrad", madgrad("old s"))
plant("madgrad from 0", "initial_accumulator", "madgrad", madgrad("from 0"))


def signum(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, t: int) -> Any:
        old = m
        m = 0.1 * m + 0.9 * g if fault == "swapped" else 0.9 * m + 0.1 * g
        u = np.sign(old if fault == "old" else m)
        if fault == "decays":
            u = u + WD * p
        return p - LR * u, m

    return leafwise(one, update)


plant("signum swapped", "betas_swapped", "signum", signum("swapped"))
plant("signum old", "order", "signum", signum("old"))
plant("signum decays", "decoupled_weight_decay", "signum", signum("decays"))


def sm3(fault: str) -> Any:
    def init(params: Any) -> Any:
        first = 0.1 if fault == "from 0.1" else 0.0
        return {k: ([np.full(n, first) for n in p.shape], 0 * p) for k, p in params.items()}

    def step(params: Any, grads: Any, state: Any) -> Any:
        new, kept = {}, {}
        for k, p in params.items():
            g, (mu, m) = grads[k], state[k]
            axes = range(p.ndim)
            wide = [mu[i].reshape([-1 if j == i else 1 for j in axes]) for i in axes]
            least = wide[0] if p.ndim == 1 else np.minimum(*np.broadcast_arrays(*wide))
            nu = least + g * g
            mu = [nu.max(axis=tuple(j for j in axes if j != i)) for i in axes]
            if fault == "no momentum":
                new[k] = p - LR * g / root(nu + 1e-8)
            else:
                m = 0.9 * m + 0.1 * g / root(nu + 1e-8)
                new[k] = p - LR * m
            kept[k] = (mu, m)
        return new, kept

    return init, step


plant("sm3 from 0.1", "initial_accumulator", "sm3", sm3("from 0.1"))
plant("sm3 no momentum", "state_reset", "sm3", sm3("no momentum"), "wrong_accumulator", "scale")
plant("sm3", "", "sm3", sm3(""))


def muon(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        if p.ndim != 2:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
            return p - LR * ahead / (root(v / (1 - 0.999**t)) + 1e-8), m, v
        w = 1.0 if fault == "trace" else 0.05
        m = 0.95 * m + w * g
        x = 0.95 * m / (1 - 0.95 ** (t + 1)) + 0.05 * g / (1 - 0.95**t)
        x = x / (norm(x) + 1e-8)
        for _ in range(4 if fault == "four" else 5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        return p - LR * max(1, p.shape[1] / p.shape[0]) ** 0.5 * x, m, v

    return leafwise(two, update)


plant("muon trace", "dampening", "muon", muon("trace"))
plant("muon four", "mismatch", "muon", muon("four"))


def schedule_free(fault: str) -> Any:
    def update(y: Any, g: Any, x: Any, z: Any, v: Any, t: int) -> Any:
        v = 0.999 * v + 0.001 * g * g
        vh = v if fault == "raw" else v / (1 - 0.999**t)
        below = vh + 1e-8 if fault == "no root" else root(vh) + 1e-8
        wd = WD if fault == "unscaled" else LR * WD
        z = z - LR * g / below - wd * y
        x = x + (z - x) / t
        return 0.1 * z + 0.9 * x, x, z, v

    return leafwise(lambda p: (p.copy(), p.copy(), 0 * p), update)


plant("schedule free adamw", "", "schedule_free_adamw", schedule_free(""), **lamb)
plant("schedule free adamw raw", "no_bias_correction", "schedule_free_adamw",
      schedule_free("raw"), **lamb)  # fmt: skip
plant("schedule free adamw no root", "sqrt_missing", "schedule_free_adamw",
      schedule_free("no root"), **lamb)  # fmt: skip
plant("schedule free adamw unscaled", "weight_decay_unscaled", "schedule_free_adamw",
      schedule_free("unscaled"), **lamb)  # fmt: skip
