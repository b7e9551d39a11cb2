"""Adam and its kin, as people write them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from .problem import Planted, entry_by_entry, zeros

LR, B1, B2, EPS, WD = 0.01, 0.9, 0.999, 1e-8, 0.1
PLANTED: list[Planted] = []


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {"learning_rate": LR, **hyper}, rule, also))


def adam(change: str = "", lr: float = LR, b1: float = B1, b2: float = B2, eps: float = EPS) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if change in ("t from 0", "guarded"):
            t = max(t - 1, 1) if change == "guarded" else t - 1
        if change == "t from 2":
            t += 1
        if change == "coupled":
            g = g + WD * p
        old_m, old_v = s["m"], s["v"]
        s["m"] = b1 * s["m"] + (1 - b1) * g
        s["v"] = b2 * s["v"] + (1 - b2) * g * g
        if change == "m undamped":
            s["m"] = b1 * old_m + g
        if change == "v undamped":
            s["v"] = b2 * old_v + g * g
        if change == "v absolute":
            s["v"] = b2 * old_v + (1 - b2) * np.abs(g)
        if change == "v of m":
            s["v"] = b2 * old_v + (1 - b2) * s["m"] ** 2
        if change == "v sum":
            s["v"] = old_v + g * g
        if change == "minus":
            s["m"] = -b1 * old_m + (1 - b1) * g
        m, v = s["m"], s["v"]
        if change == "old":
            m, v = old_m, old_v
        if change == "old v":
            v = old_v
        if change == "reset m":
            s["m"] = np.zeros_like(p)
        if change == "reset v":
            s["v"] = np.zeros_like(p)
        mh, vh = m / (1 - b1**t), v / (1 - b2**t)
        if change == "stored":
            s["m"], s["v"] = mh, vh
        if change == "none":
            mh, vh = m, v
        if change == "m raw":
            mh = m
        if change == "v raw":
            vh = v
        if change == "crossed":
            mh, vh = m / (1 - b2**t), v / (1 - b1**t)
        d = mh / (np.sqrt(vh) + eps)
        if change == "inside":
            d = mh / np.sqrt(vh + eps)
        if change == "max":
            d = mh / np.maximum(np.sqrt(vh), eps)
        if change == "no eps":
            d = mh / np.sqrt(vh)
        if change == "no root":
            d = mh / (vh + eps)
        if change == "keras":
            d = np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
        if change == "fused":
            c = np.sqrt(1 - b2**t)
            d = c / (1 - b1**t) * m / (np.sqrt(v) + eps * c)
        new = p - lr * d
        if change == "climb":
            new = p + lr * d
        if change in ("decay", "nadamw"):
            new = p - lr * (d + WD * p)
        if change == "decay unscaled":
            new = p - lr * d - WD * p
        if change == "decay after":
            new = new - lr * WD * new
        if change == "decay first":
            new = (1 - lr * WD) * p - lr * d
        if change == "decay grows":
            new = p - lr * (d - WD * p)
        if change == "decay climbs":
            new = p + lr * d - lr * WD * p
        if change == "decay double":
            new = p - lr * (d + 2 * WD * p)
        return new

    return entry_by_entry(zeros("m", "v"), update)


plant("adam", "", "adam", adam())
plant("adam fused", "", "adam", adam("fused"))
plant("adam of Keras", "", "adam", adam("keras"))
for change, code, *also in (
    ("climb", "sign"),
    ("none", "no_bias_correction"),
    ("m raw", "no_bias_correction"),
    ("v raw", "no_bias_correction"),
    ("t from 0", "bias_correction_off_by_one"),
    ("guarded", "bias_correction_off_by_one"),
    ("t from 2", "bias_correction_off_by_one"),
    ("inside", "eps_inside_sqrt"),
    ("max", "eps_placement"),
    ("no eps", "eps_placement"),
    ("no root", "sqrt_missing"),
    ("m undamped", "dampening", "scale", "wrong_accumulator"),
    ("v undamped", "wrong_accumulator"),
    ("v absolute", "wrong_accumulator"),
    ("v of m", "wrong_accumulator"),
    ("v sum", "wrong_accumulator"),
    ("minus", "momentum_sign"),
    ("old", "order"),
    ("old v", "order"),
    ("reset m", "state_reset"),
    ("reset v", "state_reset"),
    ("stored", "wrong_accumulator"),
    ("crossed", "betas_swapped"),
):
    plant(f"adam {change}", code, "adam", adam(change), *also)
plant("adam betas", "betas_swapped", "adam", adam(b1=B2, b2=B1))
plant("adam three times", "scale", "adam", adam(lr=3 * LR))
plant("adam other eps", "mismatch", "adam", adam(eps=1e-5))
plant("adam other b2", "mismatch", "adam", adam(b2=0.99))
plant("adam climbs without correction", "sign", "adam", adam("none", lr=-LR), "no_bias_correction")


def fresh(params: Any, grads: Any, state: Any) -> Any:
    init, step = adam()
    return step(params, grads, init(params))


plant("adam made anew", "state_reset", "adam", (adam()[0], fresh))


def stuck(params: Any, grads: Any, state: Any) -> Any:
    new, _ = adam()[1](params, grads, {**state, "t": 0})
    return new, state


plant("adam counter stays", "state_reset", "adam", (adam()[0], stuck), "bias_correction_off_by_one")


def per_leaf_counter(params: Any, grads: Any, state: Any) -> Any:
    m, v, t = state["m"], state["v"], state["t"]
    new = {}
    for k in params:
        t += 1
        m[k] = B1 * m[k] + (1 - B1) * grads[k]
        v[k] = B2 * v[k] + (1 - B2) * grads[k] ** 2
        mh, vh = m[k] / (1 - B1**t), v[k] / (1 - B2**t)
        new[k] = params[k] - LR * mh / (np.sqrt(vh) + EPS)
    return new, {"m": m, "v": v, "t": t}


def both_zero(params: Any) -> Any:
    return {
        "m": {k: np.zeros_like(p) for k, p in params.items()},
        "v": {k: np.zeros_like(p) for k, p in params.items()},
        "t": 0,
    }


plant("adam counter per leaf", "state_shared", "adam", (both_zero, per_leaf_counter))


def alias_init(params: Any) -> Any:
    buffers = {k: np.zeros_like(p) for k, p in params.items()}
    return {"m": buffers, "v": buffers, "t": 0}


def alias_step(params: Any, grads: Any, state: Any) -> Any:
    state["t"] += 1
    t = state["t"]
    for k, p in params.items():
        m, v, g = state["m"][k], state["v"][k], grads[k]
        m *= B1
        m += (1 - B1) * g
        v *= B2
        v += (1 - B2) * g * g
        p -= LR * (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS)
    return params, state


plant("adam m is v", "state_shared", "adam", (alias_init, alias_step))
plant("adam in place", "", "adam", (both_zero, alias_step))


def one_moment_init(params: Any) -> Any:
    shape = next(iter(params.values())).shape
    return {"m": np.zeros(shape), "v": np.zeros(shape), "t": 0}


def one_moment_step(params: Any, grads: Any, state: Any) -> Any:
    t = state["t"] + 1
    m, v, new = state["m"], state["v"], {}
    for k in params:
        m = B1 * m + (1 - B1) * grads[k]
        v = B2 * v + (1 - B2) * grads[k] ** 2
        new[k] = params[k] - LR * (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS)
    return new, {"m": m, "v": v, "t": t}


plant("adam one moment", "state_shared", "adam", (one_moment_init, one_moment_step))


def by_shape_step(params: Any, grads: Any, state: Any) -> Any:
    """The second moments are kept by shape."""
    t, new = state["t"] + 1, {}
    for k, g in grads.items():
        state["m"][k] = B1 * state["m"].get(k, 0.0) + (1 - B1) * g
        state["v"][g.shape] = B2 * state["v"].get(g.shape, 0.0) + (1 - B2) * g**2
        m, v = state["m"][k] / (1 - B1**t), state["v"][g.shape] / (1 - B2**t)
        new[k] = params[k] - LR * m / (np.sqrt(v) + EPS)
    return new, {**state, "t": t}


plant(
    "adam second moment by shape",
    "state_shared",
    "adam",
    (lambda p: {"m": {}, "v": {}, "t": 0}, by_shape_step),
)


class JaxState:
    pass


def jax_init(params: Any) -> Any:
    z = jax.tree.map(jnp.zeros_like, params)
    return z, z, 0


@jax.jit
def jax_step(params: Any, grads: Any, state: Any) -> Any:
    m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: m + (1 - B1) * (g - m), m, grads)
    v = jax.tree.map(lambda v, g: v + (1 - B2) * (g * g - v), v, grads)
    rate = LR * jnp.sqrt(1 - B2**t) / (1 - B1**t)
    eps = EPS * jnp.sqrt(1 - B2**t)
    new = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + eps), params, m, v)
    return new, (m, v, t)


plant("adam jitted with eps-hat", "", "adam", (jax_init, jax_step))


def single_step(params: Any, grads: Any, state: Any) -> Any:
    m, v, t = state
    t = t + 1
    params, grads, m, v = (
        jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree) for tree in (params, grads, m, v)
    )
    m = jax.tree.map(lambda m, g: jnp.float32(B1) * m + jnp.float32(1 - B1) * g, m, grads)
    v = jax.tree.map(lambda v, g: jnp.float32(B2) * v + jnp.float32(1 - B2) * g * g, v, grads)

    def move(p: Any, m: Any, v: Any) -> Any:
        mh, vh = m / jnp.float32(1 - B1**t), v / jnp.float32(1 - B2**t)
        return p - jnp.float32(LR) * mh / (jnp.sqrt(vh) + jnp.float32(EPS))

    return jax.tree.map(move, params, m, v), (m, v, t)


plant("adam in float32", "", "adam", (jax_init, single_step))


def flat_init(params: Any) -> Any:
    flat, _ = ravel_pytree(params)
    return np.zeros(flat.size), np.zeros(flat.size), 0


def flat_step(params: Any, grads: Any, state: Any) -> Any:
    m, v, t = state
    x, back = ravel_pytree(params)
    g, _ = ravel_pytree(grads)
    t += 1
    m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
    return back(x - LR * m / (1 - B1**t) / (jnp.sqrt(v / (1 - B2**t)) + EPS)), (m, v, t)


plant("adam flattened", "", "adam", (flat_init, flat_step))


def array_step(p: Any, g: Any, s: Any) -> Any:
    t = s["t"] + 1
    m, v = B1 * s["m"] + (1 - B1) * g, B2 * s["v"] + (1 - B2) * g**2
    return p - LR * m / (1 - B1**t) / (np.sqrt(v / (1 - B2**t)) + EPS), {"m": m, "v": v, "t": t}


plant("adam for one array", "", "adam", (lambda p: {"m": 0 * p, "v": 0 * p, "t": 0}, array_step))
plant("adam of optax", "", "adam", optax.adam(LR))
plant(
    "adam by parts",
    "",
    "adam",
    optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(LR)),
)
plant("adam by parts climbs", "sign", "adam", optax.chain(optax.scale_by_adam(), optax.scale(LR)))
plant(
    "adam without bias correction of optax",
    "no_bias_correction",
    "adam",
    optax.chain(optax.amsgrad(LR, bias_correction_mu=False, bias_correction_nu=False)),
    "wrong_accumulator",
    "mismatch",
)
plant("adam is nadam", "nesterov_point", "adam", optax.nadam(LR))
plant("adam is adabelief", "wrong_accumulator", "adam", optax.adabelief(LR, eps=1e-8, eps_root=0.0))

# AdamW.
wd = {"weight_decay": WD}
plant("adamw", "", "adamw", adam("decay"), **wd)
plant("adamw shrinks first", "", "adamw", adam("decay first"), **wd)
plant("adamw of optax", "", "adamw", optax.adamw(LR, weight_decay=WD), **wd)
plant("adamw coupled", "coupled_weight_decay", "adamw", adam("coupled"), **wd)
plant(
    "adamw coupled of optax",
    "coupled_weight_decay",
    "adamw",
    optax.chain(optax.add_decayed_weights(WD), optax.adam(LR)),
    **wd,
)
plant("adamw unscaled", "weight_decay_unscaled", "adamw", adam("decay unscaled"), **wd)
plant(
    "adamw unscaled of optax",
    "weight_decay_unscaled",
    "adamw",
    optax.chain(optax.adam(LR), optax.add_decayed_weights(-WD)),
    **wd,
)
plant("adamw after", "order", "adamw", adam("decay after"), **wd)
plant("adamw grows", "sign", "adamw", adam("decay grows"), **wd)
plant("adamw climbs", "sign", "adamw", adam("decay climbs"), **wd)
plant("adamw twice the decay", "scale", "adamw", adam("decay double"), **wd)
plant("adamw without decay", "mismatch", "adamw", adam(), **wd)
plant("adamw betas", "betas_swapped", "adamw", optax.adamw(LR, b1=B2, b2=B1, weight_decay=WD), **wd)


def adamax(change: str = "", wd: float = 0.0) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if change == "coupled":
            g = g + WD * p
        s["m"] = B1 * s["m"] + (1 - B1) * g
        size = np.abs(g) + EPS
        s["u"] = {
            "sum": B2 * s["u"] + size,
            "undecayed": np.maximum(s["u"], size),
            "square": np.maximum(B2 * s["u"], g**2 + EPS),
            "average": B2 * s["u"] + (1 - B2) * size,
        }.get(change, np.maximum(B2 * s["u"], size))
        c = 1 if change == "raw" else 1 - B1**t
        return p - LR / c * s["m"] / s["u"] - LR * wd * p

    return entry_by_entry(zeros("m", "u"), update)


plant("adamax", "", "adamax", adamax())
plant("adamax raw", "no_bias_correction", "adamax", adamax("raw"))
plant("adamax sum", "wrong_accumulator", "adamax", adamax("sum"))
plant("adamax average", "wrong_accumulator", "adamax", adamax("average"))
plant("adamax square", "wrong_accumulator", "adamax", adamax("square"))
plant("adamax undecayed", "wrong_accumulator", "adamax", adamax("undecayed"))
plant("adamaxw", "", "adamaxw", adamax(wd=WD), **wd)
plant("adamaxw coupled", "coupled_weight_decay", "adamaxw", adamax("coupled"), **wd)


def nadam(change: str = "", wd: float = 0.0) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if change == "coupled":
            g = g + WD * p
        s["m"] = B1 * s["m"] + (1 - B1) * g
        s["v"] = B2 * s["v"] + (1 - B2) * g**2
        later = 1 - B1 ** (t if change == "same t" else t + 1)
        mh = B1 * s["m"] / later + (1 - B1) * g / (1 - B1**t)
        if change == "no look-ahead":
            mh = s["m"] / (1 - B1**t)
        if change == "whole gradient":
            mh = B1 * s["m"] / later + g / (1 - B1**t)
        if change == "raw":
            mh = B1 * s["m"] + (1 - B1) * g
        vh = s["v"] / (1 - B2**t)
        below = np.sqrt(vh + EPS) if change == "inside" else np.sqrt(vh) + EPS
        return p - LR * mh / below - (wd * p if change == "unscaled" else LR * wd * p)

    return entry_by_entry(zeros("m", "v"), update)


plant("nadam", "", "nadam", nadam())
plant("nadam no look-ahead", "nesterov_point", "nadam", nadam("no look-ahead"))
plant("nadam same t", "bias_correction_off_by_one", "nadam", nadam("same t"))
plant(
    "nadam whole gradient",
    "dampening",
    "nadam",
    nadam("whole gradient"),
    "nesterov_point",
    "mismatch",
)
plant("nadam inside", "eps_inside_sqrt", "nadam", nadam("inside"))
plant("nadam raw", "no_bias_correction", "nadam", nadam("raw"))
plant("nadamw", "", "nadamw", nadam(wd=WD), **wd)
plant("nadamw coupled", "coupled_weight_decay", "nadamw", nadam("coupled"), **wd)
plant("nadamw unscaled", "weight_decay_unscaled", "nadamw", nadam("unscaled", WD), **wd)


def amsgrad(change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["m"] = B1 * s["m"] + (1 - B1) * g
        s["v"] = B2 * s["v"] + (1 - B2) * g**2
        vh = s["v"] / (1 - B2**t)
        s["x"] = np.maximum(s["x"], vh)
        used = s["x"]
        if change == "torch":
            s["x2"] = np.maximum(s["x2"], s["v"])
            used = s["x2"] / (1 - B2**t)
        if change == "adam":
            used = vh
        if change == "m raw":
            return p - LR * s["m"] / (np.sqrt(used) + EPS)
        if change == "no root":
            return p - LR * s["m"] / (1 - B1**t) / (used + EPS)
        if change == "reset":
            s["x"] = np.zeros_like(p)
        if change == "inside":
            return p - LR * s["m"] / (1 - B1**t) / np.sqrt(used + EPS)
        return p - LR * s["m"] / (1 - B1**t) / (np.sqrt(used) + EPS)

    return entry_by_entry(zeros("m", "v", "x", "x2"), update)


plant("amsgrad", "", "amsgrad", amsgrad())
plant("amsgrad of torch", "", "amsgrad", amsgrad("torch"))
plant("amsgrad is adam", "wrong_accumulator", "amsgrad", amsgrad("adam"))
plant("amsgrad m raw", "no_bias_correction", "amsgrad", amsgrad("m raw"))
plant("amsgrad no root", "sqrt_missing", "amsgrad", amsgrad("no root"))
plant(
    "amsgrad forgets the largest", "state_reset", "amsgrad", amsgrad("reset"), "wrong_accumulator"
)
plant("amsgrad inside", "eps_inside_sqrt", "amsgrad", amsgrad("inside"))


def radam(change: str = "") -> Any:
    inf = 2 / (1 - B2) - 1

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["m"] = B1 * s["m"] + (1 - B1) * g
        s["v"] = B2 * s["v"] + (1 - B2) * g**2
        mh = s["m"] / (1 - B1**t)
        rho = inf - 2 * t * B2**t / (1 - B2**t)
        if rho < 5:
            return p - LR * (s["m"] if change == "raw warm-up" else mh)
        r = np.sqrt((rho - 4) * (rho - 2) * inf / ((inf - 4) * (inf - 2) * rho))
        if change == "raw":
            return p - LR * r * s["m"] / (np.sqrt(s["v"]) + EPS)
        if change == "torch":
            return p - LR * r * mh * np.sqrt(1 - B2**t) / (np.sqrt(s["v"]) + EPS)
        vh = s["v"] / (1 - B2**t)
        d = mh / (vh + EPS) if change == "no root" else mh / (np.sqrt(vh) + EPS)
        return p + LR * r * d if change == "sign" else p - LR * r * d

    return entry_by_entry(zeros("m", "v"), update)


plant("radam", "", "radam", radam())
plant("radam of torch", "", "radam", radam("torch"))
plant("radam raw", "no_bias_correction", "radam", radam("raw"), "mismatch")
plant("radam raw warm-up", "no_bias_correction", "radam", radam("raw warm-up"))
plant("radam no root", "sqrt_missing", "radam", radam("no root"))
plant("radam climbs late", "sign", "radam", radam("sign"), "mismatch")


def adabelief(change: str = "", eps: float = 1e-16) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        old = s["m"]
        s["m"] = B1 * s["m"] + (1 - B1) * g
        centre = old if change == "old" else s["m"]
        square = g**2 if change == "adam" else (g - centre) ** 2
        s["s"] = B2 * s["s"] + (1 - B2) * square + (0.0 if change == "at use" else eps)
        mh, sh = s["m"] / (1 - B1**t), s["s"] / (1 - B2**t)
        if change == "raw":
            mh, sh = s["m"], s["s"]
        if change == "at use":
            sh = sh + eps
        return p - LR * mh / (np.sqrt(sh) + eps)

    return entry_by_entry(zeros("m", "s"), update)


plant("adabelief", "", "adabelief", adabelief())
plant("adabelief old centre", "order", "adabelief", adabelief("old"))
plant("adabelief is adam", "wrong_accumulator", "adabelief", adabelief("adam"))
plant("adabelief raw", "no_bias_correction", "adabelief", adabelief("raw"))
plant(
    "adabelief eps at use",
    "eps_placement",
    "adabelief",
    adabelief("at use", 1e-8),
    eps=1e-8,
    eps_root=1e-8,
)
plant("acprop of optax", "order", "acprop", optax.contrib.acprop(LR), "mismatch")


def yogi(change: str = "") -> Any:
    a, eps = 1e-6, 1e-3

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["m"] = B1 * s["m"] + (1 - B1) * g
        sq = g**2
        if change == "adam":
            s["v"] = B2 * s["v"] + (1 - B2) * sq
        elif change == "minus":
            s["v"] = s["v"] + (1 - B2) * np.sign(s["v"] - sq) * sq
        else:
            s["v"] = s["v"] - (1 - B2) * np.sign(s["v"] - sq) * sq
        return p - LR * s["m"] / (1 - B1**t) / (np.sqrt(s["v"] / (1 - B2**t)) + eps)

    start = 0.0 if change == "zero" else a
    return entry_by_entry(
        lambda p: {"m": np.full_like(p, start), "v": np.full_like(p, start)}, update
    )


plant("yogi", "", "yogi", yogi())
plant("yogi from 0", "initial_accumulator", "yogi", yogi("zero"))
plant("yogi is adam", "wrong_accumulator", "yogi", yogi("adam"))
plant("yogi minus", "wrong_accumulator", "yogi", yogi("minus"), "sign", "mismatch")


def adan(change: str = "") -> Any:
    b1, b2, b3, eps = 0.98, 0.92, 0.99, 1e-8

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        d = g - s["g"] if t > 1 else 0 * g
        s["g"] = 0 * g if change == "forgets" else g
        s["m"] = b1 * s["m"] + (1 - b1) * g
        s["v"] = b2 * s["v"] + (1 - b2) * d
        s["n"] = b3 * s["n"] + (1 - b3) * (g + b2 * d) ** 2
        mh, vh, nh = s["m"] / (1 - b1**t), s["v"] / (1 - b2**t), s["n"] / (1 - b3**t)
        if change == "raw":
            mh, vh, nh = s["m"], s["v"], s["n"]
        sign = -1 if change == "minus" else 1
        return p - LR * (mh + sign * b2 * vh) / (np.sqrt(nh + eps) + eps)

    return entry_by_entry(zeros("g", "m", "v", "n"), update)


plant("adan", "", "adan", adan())
plant("adan raw", "no_bias_correction", "adan", adan("raw"))
plant("adan forgets", "state_reset", "adan", adan("forgets"))
plant("adan minus", "momentum_sign", "adan", adan("minus"), "mismatch")
plant("adan of optax", "mismatch", "adan", optax.adan(LR), "wrong_accumulator")


def ademamix(change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["a"] = B1 * s["a"] + (1 - B1) * g
        s["b"] = 0.9999 * s["b"] + (1 - 0.9999) * g
        s["v"] = B2 * s["v"] + (1 - B2) * g**2
        slow = s["b"] / (1 - 0.9999**t) if change == "slow" else s["b"]
        fast = s["a"] if change == "raw" else s["a"] / (1 - B1**t)
        return p - LR * (fast + 5 * slow) / (np.sqrt(s["v"] / (1 - B2**t)) + EPS)

    return entry_by_entry(zeros("a", "b", "v"), update)


plant("ademamix", "", "ademamix", ademamix())
plant("ademamix slow corrected", "wrong_accumulator", "ademamix", ademamix("slow"), "mismatch")
plant("ademamix raw", "no_bias_correction", "ademamix", ademamix("raw"))


def adopt(change: str = "") -> Any:
    b1, b2, eps = 0.9, 0.9999, 1e-6

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if t == 1:
            s["v"] = g**2
            return p
        if change == "new":
            s["v"] = b2 * s["v"] + (1 - b2) * g**2
        bound = (t - 1) ** 0.25
        below = np.sqrt(s["v"]) + eps if change == "added" else np.maximum(np.sqrt(s["v"]), eps)
        if change == "no root":
            below = np.maximum(s["v"], eps)
        c = np.clip(g / below, -bound, bound)
        s["m"] = b1 * s["m"] + (1 - b1) * c
        if change != "new":
            s["v"] = b2 * s["v"] + (1 - b2) * g**2
        return p - LR * s["m"]

    return entry_by_entry(zeros("m", "v"), update)


plant("adopt", "", "adopt", adopt())
plant("adopt new v", "order", "adopt", adopt("new"))
plant("adopt eps added", "eps_placement", "adopt", adopt("added"))
plant("adopt no root", "sqrt_missing", "adopt", adopt("no root"))
plant("optimistic_adam", "", "optimistic_adam", optax.optimistic_adam_v2(LR, alpha=1.0, beta=1.0))
