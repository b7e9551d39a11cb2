"""Layerwise, averaging, matrix and parameter-free rules, as people write them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import optim

from .problem import Planted, entry_by_entry, zeros

LR, WD = 0.02, 0.1
PLANTED: list[Planted] = []
norm = np.linalg.norm


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {"learning_rate": LR, **hyper}, rule, also))


def lars(change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        u = g if change == "decoupled" else g + WD * p
        w, n = norm(p), norm(u)
        if change == "squared":
            w, n = w**2, n**2
        ratio = 0.001 * w / n if w > 0 and n > 0 else 1.0
        if change == "no coefficient" and w > 0 and n > 0:
            ratio = w / n
        if change == "no ratio":
            ratio = 1.0
        if change == "rate twice":
            s["v"] = 0.9 * s["v"] + LR * ratio * u
            return p - LR * s["v"]
        weight = 0.1 if change == "average" else 1.0
        sign = -1 if change == "minus" else 1
        s["v"] = sign * 0.9 * s["v"] + weight * LR * ratio * u
        return p - s["v"] - (LR * WD * p if change == "decoupled" else 0)

    return entry_by_entry(zeros("v"), update)


wd = {"weight_decay": WD}
plant("lars", "", "lars", lars(), **wd)
plant("lars decoupled", "decoupled_weight_decay", "lars", lars("decoupled"), **wd)
plant("lars average", "dampening", "lars", lars("average"), **wd)
plant("lars minus", "momentum_sign", "lars", lars("minus"), **wd)
plant("lars no coefficient", "scale", "lars", lars("no coefficient"), **wd)
plant("lars rate twice", "lr_in_buffer", "lars", lars("rate twice"), "scale", **wd)


def lamb(change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if change == "coupled":
            g = g + WD * p
        s["m"] = 0.9 * s["m"] + 0.1 * g
        s["v"] = 0.999 * s["v"] + 0.001 * g**2
        mh, vh = s["m"] / (1 - 0.9**t), s["v"] / (1 - 0.999**t)
        if change == "raw":
            mh, vh = s["m"], s["v"]
        r = mh / (np.sqrt(vh) + 1e-6)
        if change == "inside":
            r = mh / np.sqrt(vh + 1e-6)
        u = r if change == "coupled" else r + WD * p
        w, n = norm(p), norm(u)
        if change == "of gradient":
            n = norm(g)
        if change == "unscaled":
            u = r
            n = norm(u)
        ratio = w / n if w > 0 and n > 0 else 1.0
        if change == "unscaled":
            return p - LR * ratio * u - WD * p
        if change == "inverse" and w > 0 and n > 0:
            ratio = n / w
        if change == "no ratio":
            ratio = 1.0
        return p + LR * ratio * u if change == "sign" else p - LR * ratio * u

    return entry_by_entry(zeros("m", "v"), update)


plant("lamb", "", "lamb", lamb(), **wd)
plant("lamb coupled", "coupled_weight_decay", "lamb", lamb("coupled"), **wd)
plant("lamb raw", "no_bias_correction", "lamb", lamb("raw"), **wd)
plant("lamb inside", "eps_inside_sqrt", "lamb", lamb("inside"), **wd)
plant("lamb climbs", "sign", "lamb", lamb("sign"), **wd)
plant("lamb no ratio", "scale", "lamb", lamb("no ratio"), "mismatch", **wd)


def novograd(change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        n = g**2 if change == "entries" else np.sum(g**2)
        if change == "zero":
            s["v"] = 0.25 * s["v"] + 0.75 * n
        else:
            s["v"] = n if t == 1 else 0.25 * s["v"] + 0.75 * n
        below = s["v"] + 1e-6 if change == "no root" else np.sqrt(s["v"]) + 1e-6
        u = g / below if change == "decoupled" else g / below + WD * p
        s["m"] = 0.9 * s["m"] + (0.1 if change == "average" else 1.0) * u
        return p - LR * s["m"] - (LR * WD * p if change == "decoupled" else 0)

    return entry_by_entry(lambda p: {"m": np.zeros_like(p), "v": 0.0}, update)


plant("novograd", "", "novograd", novograd(), **wd)
plant("novograd from 0", "initial_accumulator", "novograd", novograd("zero"), **wd)
plant("novograd average", "dampening", "novograd", novograd("average"), **wd)
plant("novograd no root", "sqrt_missing", "novograd", novograd("no root"), **wd)
plant("novograd decoupled", "decoupled_weight_decay", "novograd", novograd("decoupled"), **wd)


def fromage(change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        ratio = np.maximum(norm(p), 1e-6) / np.maximum(norm(g), 1e-6)
        shrink = 1 + LR**2 if change == "no root" else np.sqrt(1 + LR**2)
        sign = -1 if change == "sign" else 1
        return (p - sign * LR * ratio * g) / shrink

    return entry_by_entry(zeros(), update)


plant("fromage", "", "fromage", fromage())
plant("fromage climbs", "sign", "fromage", fromage("sign"))
plant("fromage no root", "sqrt_missing", "fromage", fromage("no root"))


def muon(change: str = "") -> Any:
    def orthogonal(x: Any) -> Any:
        if x.shape[0] > x.shape[1]:
            return orthogonal(x.T).T
        x = x / (norm(x) + 1e-8)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        b = 0.95 if p.ndim == 2 else 0.9
        if p.ndim == 2 and change == "coupled":
            g = g + WD * p
        if p.ndim == 2 and change == "first":
            g = orthogonal(g)
        s["m"] = b * s["m"] + (1 - b) * g
        mh = b * s["m"] / (1 - b ** (t + 1)) + (1 - b) * g / (1 - b**t)
        if change == "no look-ahead":
            mh = s["m"] / (1 - b**t)
        if p.ndim == 2:
            if change == "author":
                mh = b * s["m"] + (1 - b) * g
            factor = np.sqrt(max(1, p.shape[1] / p.shape[0]))
            if change == "no factor":
                factor = 1.0
            decay = {"unscaled": WD, "coupled": 0.0}.get(change, LR * WD) * p
            return p - LR * factor * (mh if change == "first" else orthogonal(mh)) - decay
        s["v"] = 0.999 * s["v"] + 0.001 * g**2
        return p - LR * mh / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)

    return entry_by_entry(zeros("m", "v"), update)


plant("muon", "", "muon", muon(), **wd)
plant("muon of its author", "", "muon", muon("author"), **wd)
plant("muon no look-ahead", "nesterov_point", "muon", muon("no look-ahead"), **wd)
plant("muon unscaled", "weight_decay_unscaled", "muon", muon("unscaled"), **wd)
plant("muon no factor", "scale", "muon", muon("no factor"), **wd)


def shampoo(change: str = "") -> Any:
    def power(h: Any, e: float) -> Any:
        w, q = np.linalg.eigh(h)
        return q @ np.diag(np.maximum(w, 1e-30) ** e) @ q.T

    def start(p: Any) -> Any:
        return {"l": 1e-4 * np.eye(p.shape[0]), "r": 1e-4 * np.eye(p.shape[-1])}

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if p.ndim == 1:
            s["l"] += np.outer(g, g)
            return p - LR * power(s["l"], -0.5) @ g
        if change == "reset":
            s.update(start(p))
        s["l"] += g @ g.T
        s["r"] += g.T @ g
        e = -0.5 if change == "half" else -0.25
        return p - LR * power(s["l"], e) @ g @ power(s["r"], e)

    return entry_by_entry(start, update)


plant("shampoo", "", "shampoo", shampoo())
plant("shampoo half power", "sqrt_missing", "shampoo", shampoo("half"), "mismatch")
plant("shampoo forgets", "state_reset", "shampoo", shampoo("reset"))


def schedule_free(change: str = "", adam: bool = False) -> Any:
    def update(y: Any, g: Any, s: Any, t: int) -> Any:
        if adam:
            s["v"] = 0.999 * s["v"] + 0.001 * g**2
            vh = s["v"] if change == "raw" else s["v"] / (1 - 0.999**t)
            g = g / (vh + 1e-8) if change == "no root" else g / (np.sqrt(vh) + 1e-8)
        z = s["z"] - LR * g
        s["z"] = z
        c = 1 / (t + 1) if change == "late" else 1 / t
        s["x"] = (1 - c) * s["x"] + c * z
        if change == "returns x":
            return s["x"]
        b = 0.1 if change == "swapped" else 0.9
        return (1 - b) * z + b * s["x"]

    return entry_by_entry(lambda p: {"z": p.copy(), "x": p.copy(), "v": np.zeros_like(p)}, update)


SF, SFA = "schedule_free_sgd", "schedule_free_adamw"
plant("schedule-free", "", SF, schedule_free())
plant("schedule-free weights", "betas_swapped", SF, schedule_free("swapped"))
plant("schedule-free returns x", "nesterov_point", SF, schedule_free("returns x"), "mismatch")
plant("schedule-free adam", "", SFA, schedule_free(adam=True))
plant("schedule-free adam raw", "no_bias_correction", SFA, schedule_free("raw", True))
plant("schedule-free adam no root", "sqrt_missing", SFA, schedule_free("no root", True))


def madgrad(change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if change == "decoupled":
            pass
        else:
            g = g + WD * p
        rate = (LR + 1e-6) * np.sqrt(t - 1 if change == "from 0" else t)
        s["s"] += rate * g
        s["v"] += rate * g**2
        if change == "no root":
            z = s["x0"] - s["s"] / (s["v"] + 1e-6)
        else:
            z = s["x0"] - s["s"] / (np.cbrt(s["v"]) + 1e-6)
        new = 0.1 * p + 0.9 * z if change == "swapped" else 0.9 * p + 0.1 * z
        return new - LR * WD * p if change == "decoupled" else new

    return entry_by_entry(
        lambda p: {"x0": p.copy(), "s": np.zeros_like(p), "v": np.zeros_like(p)}, update
    )


plant("madgrad", "", "madgrad", madgrad(), **wd)
plant(
    "madgrad from 0", "bias_correction_off_by_one", "madgrad", madgrad("from 0"), "mismatch", **wd
)
plant("madgrad weights", "betas_swapped", "madgrad", madgrad("swapped"), **wd)
plant("madgrad decoupled", "decoupled_weight_decay", "madgrad", madgrad("decoupled"), **wd)
plant("madgrad no root", "sqrt_missing", "madgrad", madgrad("no root"), **wd)


def dog(change: str = "") -> Any:
    def init(params: Any) -> Any:
        size = np.sqrt(sum((p**2).sum() for p in params.values()))
        x0 = {k: p.copy() for k, p in params.items()}
        return {"x0": x0, "r": 1e-6 * (1 + size), "G": 0.0}

    def step(params: Any, grads: Any, s: Any) -> Any:
        far = np.sqrt(sum(((params[k] - s["x0"][k]) ** 2).sum() for k in params))
        r = max(s["r"], far**2 if change == "squared" else far)
        n = sum((g**2).sum() for g in grads.values())
        G = n if change == "reset" else s["G"] + n
        below = G + 1e-8 if change == "no root" else np.sqrt(G + 1e-8)
        if change == "outside":
            below = np.sqrt(G) + 1e-8
        sign = 1 if change == "sign" else -1
        return {k: params[k] + sign * r / below * grads[k] for k in params}, {**s, "r": r, "G": G}

    return init, step


for change, code in (
    ("", ""),
    ("reset", "state_reset"),
    ("no root", "sqrt_missing"),
    ("sign", "sign"),
    ("outside", "eps_outside_sqrt"),
):
    plant(f"dog {change}", code, "dog", dog(change), learning_rate=1.0)


def cocob(change: str = "") -> Any:
    def start(p: Any) -> Any:
        z = np.zeros_like
        return {"x0": p.copy(), "L": z(p) + 1e-8, "G": z(p), "R": z(p), "t": z(p)}

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["L"] = np.maximum(s["L"], np.abs(g))
        s["G"] = s["G"] + np.abs(g)
        gain = g * (p - s["x0"])
        s["R"] = np.maximum(s["R"] + gain if change == "reward" else s["R"] - gain, 0)
        s["t"] = s["t"] + g if change == "sign" else s["t"] - g
        bet = s["t"] / (s["L"] * np.maximum(s["G"] + s["L"], 100 * s["L"])) * (s["L"] + s["R"])
        return (p if change == "current" else s["x0"]) + bet

    return entry_by_entry(start, update)


plant("cocob", "", "cocob", cocob(), learning_rate=1.0)
plant("cocob climbs", "sign", "cocob", cocob("sign"), "momentum_sign", learning_rate=1.0)
plant(
    "cocob from the current point",
    "mismatch",
    "cocob",
    cocob("current"),
    "wrong_accumulator",
    learning_rate=1.0,
)
plant("dowg", "", "dowg", optax.contrib.dowg(1.0), learning_rate=1.0)
plant("dowg doubled", "scale", "dowg", optax.contrib.dowg(2.0), learning_rate=1.0)
plant("prodigy", "", "prodigy", optax.contrib.prodigy(1.0), learning_rate=1.0)
plant(
    "prodigy betas",
    "betas_swapped",
    "prodigy",
    optax.contrib.prodigy(1.0, betas=(0.999, 0.9), beta3=0.999**0.5),
    learning_rate=1.0,
)
plant("dadapt", "", "dadapt_adamw", optax.contrib.dadapt_adamw(1.0), learning_rate=1.0)
plant(
    "dadapt climbs",
    "sign",
    "dadapt_adamw",
    optax.chain(optax.contrib.dadapt_adamw(1.0), optax.scale(-1.0)),
    learning_rate=1.0,
)


# Rules that are not written as equations: what surrounds them.
def altered(rule: Any, change: str) -> Any:
    rule = optax.with_extra_args_support(rule)

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        if change == "reset":
            state = rule.init(params)
        u, state = rule.update(grads, state, params, **extra)
        factor = {"sign": -1.0, "half": 0.5}.get(change, 1.0)
        return jax.tree.map(lambda x: factor * x, u), state

    return optax.GradientTransformationExtraArgs(rule.init, update)


plant("soap", "", "soap", optim.soap(LR))
plant("soap climbs", "sign", "soap", altered(optim.soap(LR), "sign"))
plant("soap half", "scale", "soap", altered(optim.soap(LR), "half"))
for name, made, code, change in (
    ("lbfgs", optim.lbfgs(), "", ""),
    ("lbfgs", optim.lbfgs(), "sign", "sign"),
    ("lbfgs", optim.lbfgs(), "state_reset", "reset"),
    ("conjugate_gradient", optim.conjugate_gradient(), "scale", "half"),
    ("newton_cg", optim.newton_cg(), "sign", "sign"),
):
    PLANTED.append(Planted(f"{name} {change}", code, name, {}, altered(made, change)))


def sam(params: Any, grads: Any, state: Any, grad_fn: Any) -> Any:
    size = jnp.sqrt(sum(jnp.sum(g**2) for g in grads.values()))
    ahead = {k: params[k] + 0.05 * grads[k] / size for k in params}
    slopes = grad_fn(ahead)
    return {k: params[k] - LR * slopes[k] for k in params}, state


def not_sam(params: Any, grads: Any, state: Any, grad_fn: Any) -> Any:
    size = jnp.sqrt(sum(jnp.sum(g**2) for g in grads.values()))
    ahead = {k: params[k] + 0.05 * grads[k] / size for k in params}
    slopes = grad_fn(ahead)
    return {k: params[k] + LR * slopes[k] for k in params}, state


plant("sam", "", "sam", (lambda p: None, sam))
plant("sam climbs", "sign", "sam", (lambda p: None, not_sam))
