"""Rules in NumPy, each written on its own: on a dict, a list or one array, in place or not."""

from typing import Any

import numpy as np

from .problem import Planted

LR = 0.03
PLANTED: list[Planted] = []
norm = np.linalg.norm


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {"learning_rate": LR, **hyper}, rule, also))


# Gradient descent and momentum.


def ascent(params: Any, grads: Any, state: Any) -> Any:
    for p, g in zip(params, grads, strict=True):
        p += LR * g
    return params, state


plant("exam gd climbs", "sign", "gd", (lambda p: None, ascent))


def averaged(params: Any, grads: Any, state: Any) -> Any:
    return {k: params[k] - LR / 32 * grads[k] for k in params}, state


plant("exam gd batch twice", "scale", "gd", (lambda p: None, averaged))


def decaying(params: Any, grads: Any, n: Any) -> Any:
    return [p - LR * (g + 0.02 * p) for p, g in zip(params, grads, strict=True)], n + 1


plant("exam gd with l2", "coupled_weight_decay", "gd", (lambda p: 0, decaying),
      "decoupled_weight_decay")  # fmt: skip


class Velocity:
    """Momentum whose velocity is a list."""

    def __init__(self, mu: float, fault: str = "") -> None:
        self.mu, self.fault = mu, fault

    def init(self, params: Any) -> Any:
        return [np.zeros(p.shape) for p in params]

    def step(self, params: Any, grads: Any, vel: Any) -> Any:
        out, kept = [], []
        for x, g, v in zip(params, grads, vel, strict=True):
            if self.fault == "plus":
                v = self.mu * v + LR * g
                x = x + v
            elif self.fault == "dampened":
                v = self.mu * v + (1 - self.mu) * g if np.any(v) else g
                x = x - LR * v
            elif self.fault == "old":
                x, v = x - LR * v, self.mu * v + g
            elif self.fault == "new zeros":
                x, v = x - LR * (self.mu * v + g), np.zeros_like(v)
            elif self.fault == "brakes":
                v = g - self.mu * v
                x = x - LR * v
            elif self.fault == "lr twice":
                v = self.mu * v + LR * g
                x = x - LR * v
            out.append(x)
            kept.append(v)
        return out, kept

    def pair(self) -> Any:
        return self.init, self.step


plant("exam momentum plus", "sign", "momentum", Velocity(0.9, "plus").pair())
plant("exam momentum dampened", "dampening", "momentum", Velocity(0.9, "dampened").pair())
plant("exam momentum old velocity", "order", "momentum", Velocity(0.9, "old").pair())
plant("exam momentum forgets", "state_reset", "momentum", Velocity(0.9, "new zeros").pair())
plant("exam momentum brakes", "momentum_sign", "momentum", Velocity(0.9, "brakes").pair())
plant("exam momentum lr twice", "lr_in_buffer", "momentum", Velocity(0.9, "lr twice").pair(),
      "scale")  # fmt: skip
plant("exam momentum 1 - mu", "betas_swapped", "momentum", (
    lambda p: {k: 0.0 * a for k, a in p.items()},
    lambda p, g, s: (
        {k: p[k] - LR * (0.2 * s[k] + g[k]) for k in p}, {k: 0.2 * s[k] + g[k] for k in p}
    ),
), "scale", "mismatch", momentum=0.8)  # fmt: skip


def rate(t: Any) -> Any:
    return 0.05 * 0.9**t


def scheduled(x: Any, g: Any, state: Any) -> Any:
    v, t = state
    v = 0.9 * v - 0.05 * 0.9**t * g
    return x + v, (v, t + 1)


plant("exam momentum under a schedule", "lr_in_buffer", "momentum",
      (lambda x: (0 * x, 0), scheduled), learning_rate=rate)  # fmt: skip


def nesterov(form: str) -> Any:
    def init(params: Any) -> Any:
        return {k: np.zeros_like(v) for k, v in params.items()}

    def step(w: Any, dw: Any, v: Any) -> Any:
        for k in w:
            if form == "previous lost":
                v[k] = 0.9 * v[k] - LR * dw[k]
                v_prev = v[k]
                w[k] = w[k] - 0.9 * v_prev + 1.9 * v[k]
            elif form == "old":
                old = v[k]
                v[k] = 0.9 * v[k] + dw[k]
                w[k] = w[k] - LR * (dw[k] + 0.9 * old)
            elif form == "bengio":
                old = v[k].copy()
                v[k] = 0.9 * v[k] - LR * dw[k]
                w[k] = w[k] - 0.9 * old + 1.9 * v[k]
            elif form == "twice":
                v[k] = 0.9 * v[k] + dw[k]
                w[k] = w[k] - LR * (0.9 * (0.9 * v[k] + dw[k]) + dw[k])
        return w, v

    return init, step


plant("exam nesterov previous lost", "nesterov_point", "nesterov", nesterov("previous lost"))
plant("exam nesterov old", "nesterov_point", "nesterov", nesterov("old"), "order")
plant("exam nesterov twice", "nesterov_point", "nesterov", nesterov("twice"))
plant("exam nesterov bengio", "", "nesterov", nesterov("bengio"))


def look_ahead(y: Any, g: Any, state: Any) -> Any:
    """Sutskever's: the gradient is that of theta + mu v, which is what is handed out."""
    theta, v = state
    v = 0.9 * v - LR * g
    theta = theta + v
    return theta + 0.9 * v, (theta, v)


plant("exam nesterov look ahead", "", "nesterov", (lambda x: (x.copy(), 0 * x), look_ahead))


def fista(sign: float, first: float = 1.0) -> Any:
    def step(y: Any, g: Any, state: Any) -> Any:
        x_old, t = state
        x = [a - LR * b for a, b in zip(y, g, strict=True)]
        t_next = 0.5 + 0.5 * np.sqrt(1 + 4 * t * t)
        y = [a + sign * (t - 1) / t_next * (a - b) for a, b in zip(x, x_old, strict=True)]
        return y, (x, t_next)

    return lambda params: ([np.copy(p) for p in params], first), step


plant("exam nag", "", "nag", fista(1))
plant("exam nag backwards", "momentum_sign", "nag", fista(-1))


def nag_without_memory(y: Any, g: Any, state: Any) -> Any:
    _, t = state
    x = y - LR * g
    t_next = (1 + np.sqrt(1 + 4 * t**2)) / 2
    return x + (t - 1) / t_next * (x - y), (x, t_next)


plant("exam nag from y", "nesterov_point", "nag", (lambda x: (x, 1.0), nag_without_memory),
      "state_reset", "wrong_accumulator")  # fmt: skip


def polyak(x: Any, g: Any, old: Any) -> Any:
    new = {k: x[k] - LR * g[k] + 0.9 * (x[k] - old[k]) for k in x}
    return new, x


plant("exam momentum polyak", "", "momentum", (lambda x: x, polyak))

# AdaGrad, AdaDelta, RMSProp, Rprop.


def adagrad(fault: str, a0: float = 0.1) -> Any:
    def init(params: Any) -> Any:
        return [np.full(p.shape, a0) for p in params]

    def step(params: Any, grads: Any, cache: Any) -> Any:
        total = sum(float((g * g).sum()) for g in grads)
        for i, (w, g) in enumerate(zip(params, grads, strict=True)):
            if fault == "average":
                cache[i] = 0.9 * cache[i] + 0.1 * g * g
            elif fault == "now":
                cache[i] = g * g
            elif fault == "tree":
                cache[i] += total
            elif fault == "before":
                w -= LR * g / np.sqrt(cache[i] + 1e-7)
            elif fault == "root kept":
                cache[i] = np.sqrt(cache[i] ** 2 + g * g)
                w -= LR * g / np.sqrt(cache[i] ** 2 + 1e-7)
                continue
            elif fault == "sums":
                cache[i] = cache[i] + g
                w -= LR * g / (np.abs(cache[i]) + 1e-7)
                continue
            if fault not in ("average", "now", "tree"):
                cache[i] += g * g
            if fault == "no root":
                w -= LR * g / (cache[i] + 1e-7)
            elif fault != "before":
                w -= LR * g / np.sqrt(cache[i] + 1e-7)
        return params, cache

    return init, step


plant("exam adagrad no root", "sqrt_missing", "adagrad", adagrad("no root"))
plant("exam adagrad average", "wrong_accumulator", "adagrad", adagrad("average"))
plant("exam adagrad now", "state_reset", "adagrad", adagrad("now"), "wrong_accumulator")
plant("exam adagrad of the tree", "state_shared", "adagrad", adagrad("tree"), "wrong_accumulator")
plant("exam adagrad before", "order", "adagrad", adagrad("before"))
plant("exam adagrad from 0", "initial_accumulator", "adagrad", adagrad("", 0.0))
plant("exam adagrad from 1", "initial_accumulator", "adagrad", adagrad("", 1.0))
plant("exam adagrad sums", "wrong_accumulator", "adagrad", adagrad("sums", 0.1))
plant("exam adagrad root kept", "", "adagrad", adagrad("root kept", np.sqrt(0.1)))


def adadelta(fault: str) -> Any:
    def init(params: Any) -> Any:
        return {k: {"eg": np.zeros_like(p), "ex": np.zeros_like(p)} for k, p in params.items()}

    def step(params: Any, grads: Any, state: Any) -> Any:
        new = dict(params)
        for k, g in grads.items():
            s = state[k]
            s["eg"] = 0.9 * s["eg"] + 0.1 * g**2
            rms_x, rms_g = np.sqrt(s["ex"] + 1e-6), np.sqrt(s["eg"] + 1e-6)
            dx = -rms_x / rms_g * g
            if fault == "rate inside":
                dx = 0.5 * dx
                s["ex"] = 0.9 * s["ex"] + 0.1 * dx**2
                new[k] = params[k] + dx
                continue
            if fault == "no root above":
                dx = -(s["ex"] + 1e-6) / rms_g * g
            if fault == "gradient kept":
                s["ex"] = 0.9 * s["ex"] + 0.1 * g**2
            elif fault != "never kept":
                s["ex"] = 0.9 * s["ex"] + 0.1 * dx**2
            new[k] = params[k] + 0.5 * dx
        return new, state

    return init, step


half = {"learning_rate": 0.5}
plant("exam adadelta", "", "adadelta", adadelta(""), **half)
plant("exam adadelta rate inside", "lr_in_buffer", "adadelta", adadelta("rate inside"), **half)
plant("exam adadelta no root above", "sqrt_missing", "adadelta", adadelta("no root above"), **half)
plant("exam adadelta keeps g", "wrong_accumulator", "adadelta", adadelta("gradient kept"), **half)
plant("exam adadelta never kept", "state_reset", "adadelta", adadelta("never kept"),
      "wrong_accumulator", **half)  # fmt: skip


def rmsprop(fault: str) -> Any:
    def init(params: Any) -> Any:
        return {name: {k: 0 * p for k, p in params.items()} for name in ("sq", "avg", "buf")}

    def step(params: Any, grads: Any, s: Any) -> Any:
        out = {}
        for k in params:
            p, g = params[k], grads[k]
            d = 0.1 if fault == "swapped" else 0.9
            s["sq"][k] = d * s["sq"][k] + (1 - d) * g * g
            s["avg"][k] = 0.9 * s["avg"][k] + 0.1 * g
            if fault == "no root":
                u = g / (s["sq"][k] + 1e-8)
            elif fault == "centred":
                u = g / np.sqrt(s["sq"][k] - s["avg"][k] ** 2 + 1e-8)
            elif fault == "eps":
                u = g / np.sqrt(s["sq"][k]) + 1e-8 if np.all(s["sq"][k] > 0) else 0 * g
            else:
                u = g / np.sqrt(s["sq"][k] + 1e-8)
            if fault == "averaged":
                s["buf"][k] = u = 0.9 * s["buf"][k] + 0.1 * u
            elif fault == "trace":
                s["buf"][k] = u = 0.9 * s["buf"][k] + u
            elif fault == "of gradient":
                s["buf"][k] = 0.9 * s["buf"][k] + g
                u = s["buf"][k] / np.sqrt(s["sq"][k] + 1e-8)
            elif fault == "nesterov":
                s["buf"][k] = 0.9 * s["buf"][k] + u
                u = u + 0.9 * s["buf"][k]
            out[k] = p - LR * u
        return out, s

    return init, step


plant("exam rmsprop swapped", "betas_swapped", "rmsprop", rmsprop("swapped"))
plant("exam rmsprop no root", "sqrt_missing", "rmsprop", rmsprop("no root"))
plant("exam rmsprop centred", "", "rmsprop", rmsprop("centred"), centered=True)
plant("exam rmsprop centred unasked", "wrong_accumulator", "rmsprop", rmsprop("centred"))
plant("exam rmsprop not centred", "wrong_accumulator", "rmsprop", rmsprop(""), centered=True)
plant("exam rmsprop averaged", "dampening", "rmsprop", rmsprop("averaged"), momentum=0.9)
plant("exam rmsprop trace", "", "rmsprop", rmsprop("trace"), momentum=0.9)
plant("exam rmsprop of gradient", "order", "rmsprop", rmsprop("of gradient"),
      "wrong_accumulator", momentum=0.9)  # fmt: skip
plant("exam rmsprop no momentum", "state_reset", "rmsprop", rmsprop(""), "wrong_accumulator",
      momentum=0.9)  # fmt: skip
plant("exam rmsprop nesterov", "nesterov_point", "rmsprop", rmsprop("nesterov"), momentum=0.9)


def rprop(fault: str) -> Any:
    def init(params: Any) -> Any:
        first = 0.1 if fault == "first" else LR
        return [(np.full_like(p, first), np.zeros_like(p)) for p in params]

    def step(params: Any, grads: Any, state: Any) -> Any:
        new, kept = [], []
        for p, g, (size, before) in zip(params, grads, state, strict=True):
            change = np.sign(g * before)
            factor = np.where(change > 0, 1.2, np.where(change < 0, 0.5, 1.0))
            if fault == "swapped":
                factor = np.where(change > 0, 0.5, np.where(change < 0, 1.2, 1.0))
            size = np.clip(size * factor, 1e-6, 50)
            g = np.where(change < 0, 0, g)
            new.append(p + size * np.sign(g) * (1 if fault == "climbs" else -1))
            kept.append((size, 0 * g if fault == "forgets" else g))
        return new, kept

    return init, step


plant("exam rprop", "", "rprop", rprop(""))
plant("exam rprop first", "initial_accumulator", "rprop", rprop("first"), "scale")
plant("exam rprop climbs", "sign", "rprop", rprop("climbs"))
plant("exam rprop forgets", "state_reset", "rprop", rprop("forgets"))
plant("exam rprop swapped", "betas_swapped", "rprop", rprop("swapped"), "mismatch", "sign", "order")


# Adam and what came of it, on one array and on dicts.


class Adam:
    """One class with the state inside, the way of many a lecture."""

    def __init__(self, fault: str = "", wd: float = 0.0) -> None:
        self.fault, self.wd = fault, wd

    def init(self, params: Any) -> Any:
        m = {k: np.zeros_like(p) for k, p in params.items()}
        if self.fault == "one buffer":
            return {"m": m, "v": m, "t": 0}
        return {"m": m, "v": {k: np.zeros_like(p) for k, p in params.items()}, "t": 0}

    def step(self, params: Any, grads: Any, s: Any) -> Any:
        fault, b1, b2, eps, new = self.fault, 0.9, 0.999, 1e-8, {}
        if fault != "t stays":
            s["t"] += 1
        for k in params:
            if fault == "counts leaves":
                s["t"] += 1
            t = s["t"] + (fault in ("one late", "t stays"))
            p, g, m, v = params[k], grads[k], s["m"][k], s["v"][k]
            if fault == "l2":
                g = g + self.wd * p
            m *= b1
            m += (1 - b1) * g
            v *= b2
            v += (1 - b2) * (np.abs(g) if fault == "absolute" else g**2)
            if fault == "square of m":
                v += (1 - b2) * (m**2 - g**2)
            mh, vh = m / (1 - b1**t), v / (1 - b2**t)
            if fault == "v raw":
                vh = v
            elif fault == "m raw":
                mh = m
            elif fault == "bracket":
                new[k] = p - LR * (mh / np.where(vh > 0, np.sqrt(vh), 1) + eps)
                continue
            elif fault == "factor b":
                mh, vh = m / (1 - b1), v / (1 - b2)
            elif fault == "times t":
                mh, vh = m / (1 - b1 * t), v / (1 - b2 * t)
            elif fault == "root of g":
                mh = g
            elif fault == "exchanged":
                mh, vh = m / (1 - b2**t), v / (1 - b1**t)
            d = mh / (np.sqrt(vh) + eps)
            if fault == "grows":
                new[k] = p + LR * self.wd * p - LR * d
            elif fault == "after":
                q = p - LR * d
                new[k] = q - LR * self.wd * q
            elif fault == "step decays":
                new[k] = p - LR * d * (1 + self.wd)
            elif fault == "wd":
                new[k] = (1 - self.wd) * p - LR * d
            else:
                new[k] = p - LR * d - (0.0 if fault == "l2" else LR * self.wd * p)
        return new, s

    def pair(self) -> Any:
        return self.init, self.step


plant("exam adam in place", "", "adam", Adam().pair())
plant("exam adam one late", "bias_correction_off_by_one", "adam", Adam("one late").pair())
plant("exam adam t stays", "state_reset", "adam", Adam("t stays").pair(), "no_bias_correction",
      "bias_correction_off_by_one")  # fmt: skip
plant("exam adam counts leaves", "state_shared", "adam", Adam("counts leaves").pair())
plant("exam adam one buffer", "state_shared", "adam", Adam("one buffer").pair())
plant("exam adam absolute", "wrong_accumulator", "adam", Adam("absolute").pair())
plant("exam adam square of m", "wrong_accumulator", "adam", Adam("square of m").pair(), "order")
plant("exam adam v raw", "no_bias_correction", "adam", Adam("v raw").pair())
plant("exam adam m raw", "no_bias_correction", "adam", Adam("m raw").pair())
plant("exam adam bracket", "eps_placement", "adam", Adam("bracket").pair())
plant("exam adam factor b", "no_bias_correction", "adam", Adam("factor b").pair(),
      "bias_correction_off_by_one", "state_reset")  # fmt: skip
plant("exam adam no m", "wrong_accumulator", "adam", Adam("root of g").pair(), "state_reset")
plant("exam adam exchanged", "betas_swapped", "adam", Adam("exchanged").pair(),
      "bias_correction_off_by_one")  # fmt: skip
plant("exam adam decays", "decoupled_weight_decay", "adam", Adam(wd=0.1).pair())
plant("exam adam with l2", "coupled_weight_decay", "adam", Adam("l2", 0.1).pair())
w = {"weight_decay": 0.1}
plant("exam adamw grows", "sign", "adamw", Adam("grows", 0.1).pair(), "mismatch", **w)
plant("exam adamw after", "order", "adamw", Adam("after", 0.1).pair(), **w)
plant("exam adamw wd", "weight_decay_unscaled", "adamw", Adam("wd", 0.1).pair(), **w)
plant("exam adamw", "", "adamw", Adam(wd=0.1).pair(), **w)


def leafwise(start: Any, update: Any) -> Any:
    """A rule for a list: update(p, g, *state, t) gives the new p and state."""

    def init(params: Any) -> Any:
        return [start(p) for p in params], 0

    def step(params: Any, grads: Any, state: Any) -> Any:
        kept, t = state
        both = [update(p, g, *s, t + 1) for p, g, s in zip(params, grads, kept, strict=True)]
        return [b[0] for b in both], ([b[1:] for b in both], t + 1)

    return init, step


def two(p: Any) -> Any:
    return np.zeros_like(p), np.zeros_like(p)


def one(p: Any) -> Any:
    return (np.zeros_like(p),)


def adam_sums(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
    m, v = 0.9 * m + g, 0.999 * v + g * g
    m_hat, v_hat = 0.1 * m / (1 - 0.9**t), 0.001 * v / (1 - 0.999**t)
    return p - LR * m_hat / (v_hat**0.5 + 1e-8), m, v


plant("exam adam of sums", "", "adam", leafwise(two, adam_sums))


def adam_keras(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
    alpha = LR * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    m += (g - m) * 0.1
    v += (g * g - v) * 0.001
    return p - alpha * m / (np.sqrt(v) + 1e-8), m, v


plant("exam adam of keras", "", "adam", leafwise(two, adam_keras))


def adamax(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, u: Any, t: int) -> Any:
        m = 0.9 * m + 0.1 * g
        if fault == "average":
            u = 0.999 * u + 0.001 * np.abs(g)
        elif fault == "squares":
            u = np.maximum(0.999 * u, g * g + 1e-8)
        elif fault == "no decay":
            u = np.maximum(u, np.abs(g) + 1e-8)
        else:
            u = np.maximum(0.999 * u, np.abs(g) + 1e-8)
        a = LR if fault == "raw" else LR / (1 - 0.9**t)
        return p - a * m / (u + 1e-8 if fault == "average" else u), m, u

    return leafwise(two, update)


plant("exam adamax average", "wrong_accumulator", "adamax", adamax("average"))
plant("exam adamax squares", "sqrt_missing", "adamax", adamax("squares"), "wrong_accumulator")
plant("exam adamax no decay", "wrong_accumulator", "adamax", adamax("no decay"), "mismatch")
plant("exam adamax raw", "no_bias_correction", "adamax", adamax("raw"))


def amsgrad(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, v: Any, top: Any, t: int) -> Any:
        m = 0.9 * m + 0.1 * g
        v_new = 0.999 * v + 0.001 * g * g
        m_hat, v_hat = m / (1 - 0.9**t), v_new / (1 - 0.999**t)
        if fault == "fed back":
            v_new = np.maximum(v, v_new)
            return p - LR * m_hat / (np.sqrt(v_new / (1 - 0.999**t)) + 1e-8), m, v_new, top
        if fault == "no max":
            return p - LR * m_hat / (np.sqrt(v_hat) + 1e-8), m, v_new, top
        if fault == "of gradient":
            top = np.maximum(top, g * g)
        elif fault == "torch":
            top = np.maximum(top, v_new)
            return p - LR * m_hat / (np.sqrt(top / (1 - 0.999**t)) + 1e-8), m, v_new, top
        else:
            top = np.maximum(top, v_hat)
        return p - LR * m_hat / (np.sqrt(top) + 1e-8), m, v_new, top

    return leafwise(lambda p: (*two(p), np.zeros_like(p)), update)


plant("exam amsgrad fed back", "wrong_accumulator", "amsgrad", amsgrad("fed back"))
plant("exam amsgrad no max", "wrong_accumulator", "amsgrad", amsgrad("no max"))
plant("exam amsgrad of gradient", "wrong_accumulator", "amsgrad", amsgrad("of gradient"))
plant("exam amsgrad of torch", "", "amsgrad", amsgrad("torch"))


def belief(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, s: Any, t: int) -> Any:
        old = m
        m = 0.9 * m + 0.1 * g
        away = g - (old if fault == "old mean" else m)
        if fault == "squares":
            away = g
        s = 0.999 * s + 0.001 * away**2 + (0 if fault == "eps at use" else 1e-8)
        s_hat = s / (1 - 0.999**t) + (1e-8 if fault == "eps at use" else 0)
        return p - LR * m / (1 - 0.9**t) / (np.sqrt(s_hat) + 1e-8), m, s

    return leafwise(two, update)


e = {"eps": 1e-8, "eps_root": 1e-8}
plant("exam adabelief", "", "adabelief", belief(""), **e)
plant("exam adabelief old mean", "order", "adabelief", belief("old mean"), "wrong_accumulator", **e)
plant("exam adabelief squares", "wrong_accumulator", "adabelief", belief("squares"), **e)
plant("exam adabelief eps at use", "eps_placement", "adabelief", belief("eps at use"), **e)


def yogi(fault: str) -> Any:
    first = 0.0 if fault == "from 0" else 1e-6

    def update(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        m = 0.9 * m + 0.1 * g
        if fault == "average":
            v = v - 0.001 * (v - g * g)
        else:
            v = np.where(v > g * g, v - 0.001 * g * g, np.where(v < g * g, v + 0.001 * g * g, v))
        return p - LR * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-3), m, v

    return leafwise(lambda p: (np.full_like(p, first), np.full_like(p, first)), update)


plant("exam yogi", "", "yogi", yogi(""))
plant("exam yogi average", "wrong_accumulator", "yogi", yogi("average"))
plant("exam yogi from 0", "initial_accumulator", "yogi", yogi("from 0"))


def lion(fault: str) -> Any:
    b1, b2, wd = 0.9, 0.99, 0.1

    def update(p: Any, g: Any, m: Any, t: int) -> Any:
        if fault == "one beta":
            m = b1 * m + (1 - b1) * g
            return p - LR * (np.sign(m) + wd * p), m
        if fault == "rewritten":
            m = b2 * m + (1 - b2) * g
            return p - LR * (np.sign(b1 / b2 * m + (1 - b1 / b2) * g) + wd * p), m
        if fault == "new m":
            m = b2 * m + (1 - b2) * g
            return p - LR * (np.sign(b1 * m + (1 - b1) * g) + wd * p), m
        if fault == "c kept":
            m = b1 * m + (1 - b1) * g
            u = np.sign(m)
            m = b2 * m + (1 - b2) * g
            return p - LR * (u + wd * p), m
        if fault == "swapped":
            return p - LR * (np.sign(b2 * m + (1 - b2) * g) + wd * p), b1 * m + (1 - b1) * g
        u = np.sign(b1 * m + (1 - b1) * g)
        return p - LR * u - wd * p, b2 * m + (1 - b2) * g

    return leafwise(one, update)


plant("exam lion rewritten", "", "lion", lion("rewritten"), **w)
plant("exam lion one beta", "wrong_accumulator", "lion", lion("one beta"), "order",
      "betas_swapped", **w)  # fmt: skip
plant("exam lion new m", "order", "lion", lion("new m"), **w)
plant("exam lion c kept", "wrong_accumulator", "lion", lion("c kept"), "order", **w)
plant("exam lion swapped", "betas_swapped", "lion", lion("swapped"), **w)
plant("exam lion wd", "weight_decay_unscaled", "lion", lion("wd"), **w)


def signs(p: Any, g: Any, m: Any, t: int) -> Any:
    m = 0.9 * m + 0.1 * np.sign(g)
    return p - LR * np.sign(m), m


def signs_of_trace(p: Any, g: Any, m: Any, t: int) -> Any:
    m = 0.9 * m + g
    return p - LR * np.sign(m), m


def no_sign(p: Any, g: Any, m: Any, t: int) -> Any:
    m = 0.9 * m + 0.1 * g
    return p - LR * m, m


plant("exam signum of signs", "order", "signum", leafwise(one, signs), "wrong_accumulator")
plant("exam signum no sign", "mismatch", "signum", leafwise(one, no_sign), "wrong_accumulator",
      "sign")  # fmt: skip
plant("exam signum of a trace", "", "signum", leafwise(one, signs_of_trace))


# Rules with norms.


def lars(fault: str) -> Any:
    def update(p: Any, g: Any, v: Any, t: int) -> Any:
        u = g if fault == "outside" else g + 0.01 * p
        ratio = 0.001 * norm(p) / norm(u) if norm(p) > 0 and norm(u) > 0 else 1.0
        if fault == "squares" and norm(u) > 0:
            ratio = 0.001 * np.sum(p**2) / np.sum(u**2)
        if fault == "averaged":
            v = 0.9 * v + 0.1 * LR * ratio * u
        elif fault == "of v":
            v = 0.9 * v + LR * u
            above, below = norm(p), norm(v)
            return p - (0.001 * above / below if above * below > 0 else 1.0) * v, v
        else:
            v = 0.9 * v + LR * ratio * u
        if fault == "outside":
            return p - v - LR * 0.01 * p, v
        return p - v, v

    return leafwise(one, update)


small = {"weight_decay": 0.01}
plant("exam lars squares", "sqrt_missing", "lars", lars("squares"), **small)
plant("exam lars averaged", "dampening", "lars", lars("averaged"), **small)
plant("exam lars outside", "decoupled_weight_decay", "lars", lars("outside"), **small)
plant("exam lars of v", "order", "lars", lars("of v"), "mismatch", **small)


def lamb(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        if fault == "l2":
            g = g + 0.05 * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        r = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6)
        if fault == "raw":
            r = m / (np.sqrt(v) + 1e-6)
        u = r if fault == "l2" else r + 0.05 * p
        ratio = norm(p) / norm(u) if norm(p) > 0 and norm(u) > 0 else 1.0
        if fault == "upside down":
            ratio = 1 / ratio
        return p - LR * ratio * u, m, v

    return leafwise(two, update)


five = {"weight_decay": 0.05}
plant("exam lamb", "", "lamb", lamb(""), **five)
plant("exam lamb l2", "coupled_weight_decay", "lamb", lamb("l2"), **five)
plant("exam lamb raw", "no_bias_correction", "lamb", lamb("raw"), **five)
plant("exam lamb upside down", "mismatch", "lamb", lamb("upside down"), "scale", **five)


def novograd(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        square = g**2 if fault == "entries" else np.sum(g**2)
        if fault == "norm":
            square = norm(g)
        v = square if t == 1 and fault != "from 0" else 0.25 * v + 0.75 * square
        u = g / (v + 1e-6) if fault in ("norm", "no root") else g / (np.sqrt(v) + 1e-6)
        if fault == "averaged":
            m = 0.9 * m + 0.1 * (u + 0.01 * p)
        elif fault == "outside":
            m = 0.9 * m + u
            return p - LR * m - LR * 0.01 * p, m, v
        else:
            m = 0.9 * m + u + 0.01 * p
        return p - LR * m, m, v

    return leafwise(lambda p: (0 * p, 0.0), update)


plant("exam novograd", "", "novograd", novograd(""), **small)
plant("exam novograd entries", "wrong_accumulator", "novograd", novograd("entries"), **small)
plant("exam novograd from 0", "initial_accumulator", "novograd", novograd("from 0"), **small)
plant("exam novograd norm", "wrong_accumulator", "novograd", novograd("norm"), **small)
plant("exam novograd no root", "sqrt_missing", "novograd", novograd("no root"), **small)
plant("exam novograd averaged", "dampening", "novograd", novograd("averaged"), **small)
plant("exam novograd outside", "decoupled_weight_decay", "novograd", novograd("outside"), **small)


def adafactor(fault: str) -> Any:
    def init(params: Any) -> Any:
        return {
            k: [np.zeros(p.shape[0]), np.zeros(p.shape[1])] if p.ndim == 2 else [np.zeros(p.shape)]
            for k, p in params.items()
        } | {"t": 0}

    def step(params: Any, grads: Any, s: Any) -> Any:
        s["t"] += 1
        new, t = {}, s["t"]
        b = 1 - (t + (fault == "one late")) ** -0.8
        for k, p in params.items():
            g, sq = grads[k], grads[k] ** 2 + 1e-30
            if p.ndim == 2:
                s[k][0] = b * s[k][0] + (1 - b) * sq.mean(1)
                s[k][1] = b * s[k][1] + (1 - b) * sq.mean(0)
                below = s[k][0].sum() if fault == "sum" else s[k][0].mean()
                v = np.outer(s[k][0], s[k][1]) / below
            else:
                s[k][0] = v = b * s[k][0] + (1 - b) * sq
            u = g / v if fault == "no root" else g / np.sqrt(v)
            if fault != "no clip":
                u = u / max(1.0, np.sqrt(np.mean(u**2)))
            new[k] = p - LR * max(1e-3, np.sqrt(np.mean(p**2))) * u
            if fault == "no scale":
                new[k] = p - LR * u
        return new, s

    return init, step


factors = {"min_dim_size_to_factor": 1}
plant("exam adafactor", "", "adafactor", adafactor(""), **factors)
plant("exam adafactor one late", "bias_correction_off_by_one", "adafactor", adafactor("one late"),
      **factors)  # fmt: skip
plant("exam adafactor no root", "sqrt_missing", "adafactor", adafactor("no root"), **factors)
plant("exam adafactor no clip", "mismatch", "adafactor", adafactor("no clip"), "scale", **factors)
plant("exam adafactor no scale", "scale", "adafactor", adafactor("no scale"), "mismatch",
      **factors)  # fmt: skip


def madgrad(fault: str) -> Any:
    def update(p: Any, g: Any, x0: Any, s: Any, v: Any, t: int) -> Any:
        if fault != "shrinks":
            g = g + 0.01 * p
        lam = (LR + 1e-6) * np.sqrt(t)
        s, v = s + lam * g, v + lam * g**2
        root = np.sqrt(v) if fault == "square root" else np.cbrt(v)
        z = (p if fault == "from here" else x0) - s / (root + 1e-6)
        mu = 0.1 if fault == "swapped" else 0.9
        x = mu * p + (1 - mu) * z
        return x - LR * 0.01 * p if fault == "shrinks" else x, x0, s, v

    return leafwise(lambda p: (p.copy(), 0 * p, 0 * p), update)


plant("exam madgrad", "", "madgrad", madgrad(""), **small)
plant("exam madgrad swapped", "betas_swapped", "madgrad", madgrad("swapped"), **small)
plant("exam madgrad shrinks", "decoupled_weight_decay", "madgrad", madgrad("shrinks"), **small)
plant("exam madgrad from here", "wrong_accumulator", "madgrad", madgrad("from here"), "order",
      "state_reset", "mismatch", **small)  # fmt: skip


def schedule_free(fault: str) -> Any:
    def update(y: Any, g: Any, x: Any, z: Any, t: int) -> Any:
        z = z - LR * g
        c = 1 / (t + 1) if fault == "one late" else 1 / t
        x = (1 - c) * x + c * z
        b = 0.1 if fault == "swapped" else 0.9
        y = (1 - b) * z + b * x
        return (x if fault == "at x" else y), x, z

    return leafwise(lambda p: (p.copy(), p.copy()), update)


plant("exam schedule free", "", "schedule_free_sgd", schedule_free(""))
plant("exam schedule free swapped", "betas_swapped", "schedule_free_sgd", schedule_free("swapped"))
plant("exam schedule free at x", "nesterov_point", "schedule_free_sgd", schedule_free("at x"),
      "order", "wrong_accumulator")  # fmt: skip
plant("exam schedule free one late", "bias_correction_off_by_one", "schedule_free_sgd",
      schedule_free("one late"), "initial_accumulator", "order")  # fmt: skip


def dog(fault: str) -> Any:
    def init(params: Any) -> Any:
        flat = np.concatenate([p.ravel() for p in params])
        return [p.copy() for p in params], 1e-6 * (1 + norm(flat)), 0.0

    def step(params: Any, grads: Any, state: Any) -> Any:
        x0, r, total = state
        away = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(params, x0, strict=True)))
        r = away if fault == "now" and away > 0 else max(r, away)
        square = sum(np.sum(g**2) for g in grads)
        total = 0.9 * total + 0.1 * square if fault == "average" else total + square
        root = total + 1e-8 if fault == "no root" else np.sqrt(total + 1e-8)
        return [p - r / root * g for p, g in zip(params, grads, strict=True)], (x0, r, total)

    return init, step


unit = {"learning_rate": 1.0}
plant("exam dog", "", "dog", dog(""), **unit)
plant("exam dog average", "wrong_accumulator", "dog", dog("average"), **unit)
plant("exam dog no root", "sqrt_missing", "dog", dog("no root"), **unit)


def adan(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, v: Any, n: Any, before: Any, t: int) -> Any:
        d = g - before if t > 1 or fault == "from 0" else 0 * g
        if fault == "no difference":
            d = 0 * g
        m, v = 0.98 * m + 0.02 * g, 0.92 * v + 0.08 * d
        n = 0.99 * n + 0.01 * (g + (0.92 if fault != "bare" else 0.0) * d) ** 2
        mh, vh, nh = m / (1 - 0.98**t), v / (1 - 0.92**t), n / (1 - 0.99**t)
        if fault == "raw":
            mh, vh, nh = m, v, n
        return p - LR * (mh + 0.92 * vh) / (np.sqrt(nh + 1e-8) + 1e-8), m, v, n, g

    return leafwise(lambda p: (*two(p), *two(p)), update)


plant("exam adan", "", "adan", adan(""))
plant("exam adan no difference", "state_reset", "adan", adan("no difference"), "wrong_accumulator")
plant("exam adan from 0", "initial_accumulator", "adan", adan("from 0"))
plant("exam adan bare", "wrong_accumulator", "adan", adan("bare"))
plant("exam adan raw", "no_bias_correction", "adan", adan("raw"))


def sm3(fault: str) -> Any:
    def init(params: Any) -> Any:
        return [([np.zeros(n) for n in p.shape], np.zeros_like(p)) for p in params]

    def step(params: Any, grads: Any, state: Any) -> Any:
        new, kept = [], []
        for p, g, (mu, m) in zip(params, grads, state, strict=True):
            axes = range(p.ndim)
            wide = [mu[i].reshape([-1 if j == i else 1 for j in axes]) for i in axes]
            nu = g * g
            if p.ndim:
                low = wide[0]
                for other in wide[1:]:
                    low = np.minimum(low, other)
                nu = nu + low
            pool = np.sum if fault == "sum" else np.max
            mu = [pool(nu, axis=tuple(j for j in axes if j != i)) for i in axes]
            below = nu + 1e-8 if fault == "no root" else np.sqrt(nu + 1e-8)
            m = 0.9 * m + (1.0 if fault == "trace" else 0.1) * g / below
            new.append(p - LR * m)
            kept.append((mu, m))
        return new, kept

    return init, step


plant("exam sm3", "", "sm3", sm3(""))
plant("exam sm3 sum", "wrong_accumulator", "sm3", sm3("sum"))
plant("exam sm3 no root", "sqrt_missing", "sm3", sm3("no root"))
plant("exam sm3 trace", "dampening", "sm3", sm3("trace"), "scale")


def muon(fault: str) -> Any:
    def update(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        if p.ndim != 2:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
            return p - LR * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v
        m = 0.95 * m + 0.05 * g
        x = 0.95 * m / (1 - 0.95 ** (t + 1)) + 0.05 * g / (1 - 0.95**t)
        if fault == "plain":
            x = m / (1 - 0.95**t)
        x = x / (norm(x) + 1e-8)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        factor = max(1, p.shape[1] / p.shape[0]) ** 0.5
        if fault == "no factor":
            factor = 1.0
        q = p - LR * factor * x
        return q - (0.01 if fault == "wd" else 0.01 * LR) * p, m, v

    return leafwise(two, update)


plant("exam muon", "", "muon", muon(""), **small)
plant("exam muon plain", "nesterov_point", "muon", muon("plain"), **small)
plant("exam muon no factor", "scale", "muon", muon("no factor"), "mismatch", **small)
plant("exam muon wd", "weight_decay_unscaled", "muon", muon("wd"), **small)
