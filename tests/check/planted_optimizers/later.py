"""Optimizers that were written after the doctor, to see what it makes of ones it does not know."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import optim

from .layerwise import cocob, dog, lamb, muon, novograd, wd
from .problem import Planted, entry_by_entry, zeros

LR, WD = 0.02, 0.05
PLANTED: list[Planted] = []
norm = np.linalg.norm


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {"learning_rate": LR, **hyper}, rule, also))


def adam_like(change: str) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        gm = g + WD * p if change == "decay in m" else g
        before = s["m"]
        s["m"] = 0.9 * s["m"] + 0.1 * gm
        s["v"] = 0.999 * s["v"] + 0.001 * g * g
        mh, vh = s["m"] / (1 - 0.9**t), s["v"] / (1 - 0.999**t)
        if change == "inside before":
            return p - LR * mh / np.sqrt((s["v"] + 1e-8) / (1 - 0.999**t))
        if change == "nadam old":
            mh = 0.9 * before / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
        if change == "shared root":
            vh = np.mean(vh)
        return p - LR * mh / (np.sqrt(vh) + 1e-8)

    return entry_by_entry(zeros("m", "v"), update)


plant("later adam inside before", "eps_inside_sqrt", "adam", adam_like("inside before"))
plant(
    "later adamw decay in m",
    "coupled_weight_decay",
    "adamw",
    adam_like("decay in m"),
    weight_decay=WD,
)
plant("later nadam old", "nesterov_point", "nadam", adam_like("nadam old"), "order")
plant("later adam mean of v", "wrong_accumulator", "adam", adam_like("shared root"), "state_shared")


def list_init(params: Any) -> Any:
    return [[np.zeros_like(p), np.zeros_like(p)] for p in params] + [0]


def list_step(params: Any, grads: Any, state: Any) -> Any:
    state[-1] += 1
    t = state[-1]
    for p, g, (m, v) in zip(params, grads, state, strict=False):
        m[...] = 0.9 * m + 0.1 * g
        v[...] = 0.999 * v + 0.001 * g**2
        p -= LR * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        p *= 1 - LR * WD
    return params, state


plant("later adamw on a list", "order", "adamw", (list_init, list_step), weight_decay=WD)


def rms(change: str) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if change == "lerp":
            s["v"] += 0.1 * (g * g - s["v"])
            return p - LR * g * (s["v"] + 1e-8) ** -0.5
        s["v"] = 0.9 * s["v"] + 0.1 * np.abs(g)
        return p - LR * g / (s["v"] + 1e-8)

    return entry_by_entry(zeros("v"), update)


plant("later rmsprop of |g|", "wrong_accumulator", "rmsprop", rms(""), "sqrt_missing")
plant("later rmsprop", "", "rmsprop", rms("lerp"))


def by_shape(params: Any, grads: Any, state: Any) -> Any:
    new = {}
    for k, g in grads.items():
        state[g.shape] = state.get(g.shape, 0.1) + g**2
        new[k] = params[k] - LR * g / np.sqrt(state[g.shape] + 1e-7)
    return new, state


plant("later adagrad by shape", "state_shared", "adagrad", (lambda p: {}, by_shape))


def adagrad_mean(p: Any, g: Any, s: Any, t: int) -> Any:
    s["v"] = s["v"] + np.mean(g**2)
    return p - LR * g / np.sqrt(s["v"] + 0.1 + 1e-7)


plant(
    "later adagrad mean", "wrong_accumulator", "adagrad", entry_by_entry(zeros("v"), adagrad_mean)
)


def adadelta(change: str) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["g"] = 0.9 * s["g"] + 0.1 * g**2
        above = s["d"] if change == "no eps above" else s["d"] + 1e-6
        d = np.sqrt(above) / np.sqrt(s["g"] + 1e-6) * g
        if change == "weights":
            s["d"] = 0.1 * s["d"] + 0.9 * d**2
        else:
            s["d"] = 0.9 * s["d"] + 0.1 * d**2
        return p - LR * d

    return entry_by_entry(zeros("g", "d"), update)


plant("later adadelta weights of d", "betas_swapped", "adadelta", adadelta("weights"), "mismatch")
plant("later adadelta no eps above", "eps_placement", "adadelta", adadelta("no eps above"))


def adamax_old(p: Any, g: Any, s: Any, t: int) -> Any:
    s["m"] = 0.9 * s["m"] + 0.1 * g
    u = s["u"]
    s["u"] = np.maximum(0.999 * u, np.abs(g) + 1e-8)
    return p - LR / (1 - 0.9**t) * s["m"] / np.where(t == 1, s["u"], u)


plant(
    "later adamax old u", "order", "adamax", entry_by_entry(zeros("m", "u"), adamax_old), "mismatch"
)


plant(
    "later lamb unscaled",
    "weight_decay_unscaled",
    "lamb",
    lamb("unscaled"),
    **wd,
)
plant(
    "later lamb ratio of g",
    "mismatch",
    "lamb",
    lamb("of gradient"),
    "wrong_accumulator",
    **wd,
)


plant(
    "later novograd entries",
    "wrong_accumulator",
    "novograd",
    novograd("entries"),
    **wd,
)


def without(rule: Any, part: str) -> Any:
    """A rule whose state forgets one part."""
    rule = optax.with_extra_args_support(rule)

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        u, state = rule.update(grads, state, params, **extra)
        return u, state._replace(**{part: getattr(rule.init(params), part)})

    return optax.GradientTransformationExtraArgs(rule.init, update)


plant(
    "later prodigy forgets d",
    "state_reset",
    "prodigy",
    without(optim.prodigy(1.0), "d"),
    learning_rate=1.0,
)
plant(
    "later prodigy forgets r",
    "state_reset",
    "prodigy",
    without(optim.prodigy(1.0), "r"),
    learning_rate=1.0,
)
plant(
    "later nag forgets x",
    "state_reset",
    "nag",
    without(optim.nag(LR), "x"),
    "nesterov_point",
    "order",
)
plant(
    "later dowg forgets v", "state_reset", "dowg", without(optim.dowg(1.0), "v"), learning_rate=1.0
)
plant(
    "later dadapt forgets m",
    "state_reset",
    "dadapt_adamw",
    without(optim.dadapt_adamw(1.0), "m"),
    learning_rate=1.0,
)
plant(
    "later schedule-free forgets v",
    "state_reset",
    "schedule_free_adamw",
    without(optim.schedule_free_adamw(LR), "v"),
)


plant(
    "later dog squared distance",
    "wrong_accumulator",
    "dog",
    dog("squared"),
    "sqrt_missing",
    learning_rate=1.0,
)


plant(
    "later cocob reward sign",
    "wrong_accumulator",
    "cocob",
    cocob("reward"),
    "sign",
    "mismatch",
    learning_rate=1.0,
)


plant("later muon coupled", "coupled_weight_decay", "muon", muon("coupled"), **wd)
plant("later muon orthogonal first", "order", "muon", muon("first"), **wd)
plant(
    "later ademamix betas",
    "betas_swapped",
    "ademamix",
    optax.contrib.ademamix(LR, b1=0.999, b2=0.9),
)
plant(
    "later adopt forgets m",
    "state_reset",
    "adopt",
    optax.chain(optax.contrib.adopt(LR, b1=0.0)),
    "mismatch",
)


def signum_one(params: Any, grads: Any, m: Any) -> Any:
    new = []
    for p, g in zip(params, grads, strict=True):
        m = 0.9 * m + 0.1 * g
        new.append(p - LR * np.sign(m))
    return new, m


plant(
    "later signum one buffer", "state_shared", "signum", (lambda p: np.zeros_like(p[0]), signum_one)
)


def normalised(params: Any, grads: Any, state: Any) -> Any:
    size = np.sqrt(sum((g**2).sum() for g in grads.values()))
    return {k: params[k] - LR * grads[k] / size for k in params}, state


def per_size(params: Any, grads: Any, state: Any) -> Any:
    return {k: params[k] - LR * grads[k] / grads[k].size for k in params}, state


plant("later gd normalised", "scale", "gd", (lambda p: None, normalised), "mismatch")
plant("later gd over size", "scale", "gd", (lambda p: None, per_size))
plant("later adam eps_root", "eps_inside_sqrt", "adam", optax.adam(LR, eps=0.0, eps_root=1e-8))
plant(
    "later adamw of parts",
    "weight_decay_unscaled",
    "adamw",
    optax.chain(optax.scale_by_adam(), optax.scale(-LR), optax.add_decayed_weights(WD)),
    "sign",
    weight_decay=WD,
)


def single_init(params: Any) -> Any:
    z = {k: jnp.zeros(p.shape, jnp.float32) for k, p in params.items()}
    return z, z


def single_step(params: Any, grads: Any, state: Any) -> Any:
    m, v = state
    f = jnp.float32
    g = {k: jnp.asarray(x, f) for k, x in grads.items()}
    m = {k: f(0.9) * m[k] + f(0.1) * g[k] for k in g}
    v = {k: f(0.999) * v[k] + f(0.001) * g[k] ** 2 for k in g}
    new = {k: jnp.asarray(params[k], f) - f(LR) * m[k] / (jnp.sqrt(v[k]) + f(1e-8)) for k in g}
    return new, (m, v)


plant("later adam single raw", "no_bias_correction", "adam", (single_init, single_step))


def nag_t(params: Any, grads: Any, state: Any) -> Any:
    t = state["t"]
    later = (1 + np.sqrt(1 + t * t)) / 2
    x = {k: params[k] - LR * grads[k] for k in params}
    return {k: x[k] + (t - 1) / later * (x[k] - state["x"][k]) for k in x}, {"t": later, "x": x}


plant("later nag t", "mismatch", "nag", (lambda p: {"t": 1.0, "x": p}, nag_t))
for name, rule in {
    "nadam": optax.nadam(LR),
    "lion": optax.lion(LR),
    "madgrad": optax.contrib.madgrad(LR),
    "sm3": optax.sm3(LR),
    "lamb": optax.lamb(LR),
    "lars": optax.lars(LR),
    "novograd": optax.novograd(LR),
    "fromage": optax.fromage(LR),
    "adabelief": optax.adabelief(LR),
    "yogi": optax.yogi(LR),
    "radam": optax.radam(LR),
    "ademamix": optax.contrib.ademamix(LR),
    "adopt": optax.contrib.adopt(LR),
    "amsgrad": optax.amsgrad(LR),
    "signum": optax.signum(LR),
    "adadelta": optax.adadelta(LR),
    "schedule_free_sgd": optax.contrib.schedule_free_sgd(LR),
    "muon": optax.contrib.muon(LR),
    "adamax": optax.adamax(LR),
    "adagrad": optax.adagrad(LR),
}.items():
    plant(f"later {name} of optax", "", name, rule)
PLANTED.append(Planted("later adafactor of optax", "", "adafactor",
                       {"learning_rate": LR, "min_dim_size_to_factor": 2},
                       optax.adafactor(LR, min_dim_size_to_factor=2)))  # fmt: skip
for name in ("sophia", "soap", "levenberg_marquardt", "bfgs", "newton_cg", "simulated_annealing"):
    hyper: dict[str, Any] = {} if optim.ZOO[name].takes == "none" else {"learning_rate": LR}
    if name in ("simulated_annealing", "sophia"):
        hyper["key"] = jax.random.key(3)
    PLANTED.append(Planted(f"later {name}", "", name, hyper, optim.ZOO[name].factory(**hyper)))
plant(
    "later noisy",
    "",
    "noisy_sgd",
    optim.noisy_sgd(LR, key=jax.random.key(3)),
    key=jax.random.key(3),
)
