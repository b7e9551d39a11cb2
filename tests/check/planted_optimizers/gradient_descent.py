"""Gradient descent, momentum, Nesterov's and signs, as people write them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .problem import Planted, entry_by_entry, zeros

LR = 0.05
lr = {"learning_rate": LR}
PLANTED: list[Planted] = []


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {**lr, **hyper}, rule, also))


def stateless(update: Any) -> Any:
    def step(params: Any, grads: Any, state: Any) -> Any:
        return {k: update(params[k], grads[k]) for k in params}, state

    return (lambda params: None), step


def buffered(update: Any) -> Any:
    """update(p, g, v) -> p, v."""

    def init(params: Any) -> Any:
        return jax.tree.map(lambda p: 0 * p, params)

    def step(params: Any, grads: Any, state: Any) -> Any:
        out = {k: update(params[k], grads[k], state[k]) for k in params}
        return {k: o[0] for k, o in out.items()}, {k: o[1] for k, o in out.items()}

    return init, step


# Gradient descent.
plant("gd climbs", "sign", "gd", stateless(lambda p, g: p + LR * g))
plant("gd half rate", "scale", "gd", stateless(lambda p, g: p - LR * g / 2))
plant("gd rate squared", "scale", "gd", stateless(lambda p, g: p - LR * LR * g))
plant("gd plain", "", "gd", stateless(lambda p, g: p - LR * g))


def in_place_init(params: Any) -> Any:
    return {}


def in_place_step(params: Any, grads: Any, state: Any) -> Any:
    for p, g in zip(params, grads, strict=True):
        p -= LR * g
    return params, state


plant("gd on a list in place", "", "gd", (in_place_init, in_place_step))


# Momentum.
def ema(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v + (1 - 0.9) * g
    return p - LR * v, v


plant("momentum as an average", "dampening", "momentum", buffered(ema))


def minus(p: Any, g: Any, v: Any) -> Any:
    v = g - 0.9 * v
    return p - LR * v, v


plant("momentum subtracted", "momentum_sign", "momentum", buffered(minus))


def minus_sutskever(p: Any, g: Any, v: Any) -> Any:
    v = -0.9 * v - LR * g
    return p + v, v


plant("momentum subtracted, rate inside", "momentum_sign", "momentum", buffered(minus_sutskever))


def up(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v + LR * g
    return p + v, v


plant("momentum climbs", "sign", "momentum", buffered(up))


def twice(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v + LR * g
    return p - LR * v, v


plant("momentum with the rate twice", "lr_in_buffer", "momentum", buffered(twice), "scale")


def stale(p: Any, g: Any, v: Any) -> Any:
    return p - LR * v, 0.9 * v + g


plant("momentum steps first", "order", "momentum", buffered(stale))


def forgotten(params: Any, grads: Any, state: Any) -> Any:
    v = {k: 0.9 * state[k] + grads[k] for k in params}
    return {k: params[k] - LR * v[k] for k in params}, state


plant(
    "momentum state not returned",
    "state_reset",
    "momentum",
    (lambda params: {k: np.zeros_like(p) for k, p in params.items()}, forgotten),
)


def one_velocity_init(params: Any) -> Any:
    return np.zeros_like(params[0])


def one_velocity_step(params: Any, grads: Any, v: Any) -> Any:
    new = []
    for p, g in zip(params, grads, strict=True):
        v = 0.9 * v + g
        new.append(p - LR * v)
    return new, v


plant("momentum one velocity", "state_shared", "momentum", (one_velocity_init, one_velocity_step))


def polyak(p: Any, g: Any, last: Any) -> Any:
    return p - LR * g + 0.9 * (p - last), p


def polyak_init(params: Any) -> Any:
    return {k: p.copy() for k, p in params.items()}


plant("momentum in Polyak's form", "", "momentum", (polyak_init, buffered(polyak)[1]))


def sutskever(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v - LR * g
    return p + v, v


plant("momentum with the rate inside", "", "momentum", buffered(sutskever))


def averaged(p: Any, g: Any, m: Any) -> Any:
    m = 0.9 * m + 0.1 * g
    return p - LR / 0.1 * m, m


plant("momentum as a scaled average", "", "momentum", buffered(averaged))


def torch_dampening(params: Any, grads: Any, state: Any) -> Any:
    new, buffers = {}, {}
    for k, g in grads.items():
        buf = state.get(k)
        buf = g.copy() if buf is None else 0.9 * buf + (1 - 0.5) * g
        buffers[k] = buf
        new[k] = params[k] - LR * buf
    return new, buffers


plant(
    "momentum with dampening",
    "dampening",
    "momentum",
    (lambda params: {}, torch_dampening),
)


def schedule(step: Any) -> Any:
    return 0.05 / (1 + 0.3 * step)


plant(
    "momentum, a schedule inside the trace",
    "lr_in_buffer",
    "momentum",
    optax.chain(optax.scale_by_learning_rate(schedule), optax.trace(0.9)),
    learning_rate=schedule,
)
plant(
    "momentum, a schedule outside",
    "",
    "momentum",
    optax.sgd(schedule, momentum=0.9),
    learning_rate=schedule,
)
plant(
    "momentum with a weight decay of its own",
    "coupled_weight_decay",
    "momentum",
    optax.chain(optax.add_decayed_weights(0.01), optax.sgd(LR, momentum=0.9)),
    "mismatch",
)


# Nesterov's momentum.
def heavy_ball(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v + g
    return p - LR * v, v


plant("nesterov is plain momentum", "nesterov_point", "nesterov", buffered(heavy_ball))


def look_old(p: Any, g: Any, v: Any) -> Any:
    new = 0.9 * v - LR * g
    return p + 0.9 * v + new, new


plant(
    "nesterov looks ahead with the old velocity", "nesterov_point", "nesterov", buffered(look_old)
)


def only_ahead(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v + g
    return p - LR * 0.9 * v, v


plant("nesterov without the gradient", "nesterov_point", "nesterov", buffered(only_ahead))


def v_twice(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v - LR * g
    return p + v + 0.9 * v, v


plant("nesterov with v for g", "nesterov_point", "nesterov", buffered(v_twice))


def nesterov_minus(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v + g
    return p - LR * (g - 0.9 * v), v


plant("nesterov with a minus", "momentum_sign", "nesterov", buffered(nesterov_minus))


def nesterov_ema(p: Any, g: Any, v: Any) -> Any:
    v = 0.9 * v + 0.1 * g
    return p - LR * (0.1 * g + 0.9 * v), v


plant("nesterov of an average", "dampening", "nesterov", buffered(nesterov_ema))


def bengio(p: Any, g: Any, v: Any) -> Any:
    old = v
    v = 0.9 * v - LR * g
    return p - 0.9 * old + 1.9 * v, v


plant("nesterov in Bengio's form", "", "nesterov", buffered(bengio))
plant("nesterov of optax", "", "nesterov", optax.sgd(LR, 0.9, nesterov=True))
plant("nesterov where momentum is due", "nesterov_point", "momentum", buffered(bengio))


def cs231n_wrong(p: Any, g: Any, v: Any) -> Any:
    old = v
    v = 0.9 * v - LR * g
    return p + 0.9 * old + 1.9 * v, v


plant(
    "nesterov in Bengio's form with a plus",
    "momentum_sign",
    "nesterov",
    buffered(cs231n_wrong),
    "nesterov_point",
    "mismatch",
)


# Nesterov's accelerated gradient.
def nag_init(params: Any) -> Any:
    return {"t": 1.0, "last": {k: p.copy() for k, p in params.items()}}


def fista(params: Any, grads: Any, state: Any) -> Any:
    t = state["t"]
    t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
    x = {k: params[k] - LR * grads[k] for k in params}
    y = {k: x[k] + (t - 1) / t_new * (x[k] - state["last"][k]) for k in params}
    return y, {"t": t_new, "last": x}


plant("nag in FISTA's form", "", "nag", (nag_init, fista))


def nag_at_p(params: Any, grads: Any, state: Any) -> Any:
    """The gradient is that of p_k, not of q."""
    t = state["t"]
    t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
    new = {}
    for k, p in params.items():
        q = p + (t - 1) / t_new * (p - state["last"][k])
        new[k] = q - LR * grads[k]
    return new, {"t": t_new, "last": params}


plant("nag with the gradient at p", "nesterov_point", "nag", (nag_init, nag_at_p))


def nag_t_forgotten(params: Any, grads: Any, state: Any) -> Any:
    y, new = fista(params, grads, state)
    return y, {**new, "t": 1.0}


plant("nag whose t stays 1", "state_reset", "nag", (nag_init, nag_t_forgotten), "nesterov_point")


def nag_minus(params: Any, grads: Any, state: Any) -> Any:
    t = state["t"]
    t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
    x = {k: params[k] - LR * grads[k] for k in params}
    y = {k: x[k] - (t - 1) / t_new * (x[k] - state["last"][k]) for k in params}
    return y, {"t": t_new, "last": x}


plant("nag goes back", "momentum_sign", "nag", (nag_init, nag_minus))


def nag_from_y(params: Any, grads: Any, state: Any) -> Any:
    t = state["t"]
    t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
    x = {k: params[k] - LR * grads[k] for k in params}
    y = {k: x[k] + (t - 1) / t_new * (x[k] - state["last"][k]) for k in params}
    return y, {"t": t_new, "last": params}


plant("nag differences look-ahead points", "nesterov_point", "nag", (nag_init, nag_from_y))


def nag_shared(params: Any, grads: Any, state: Any) -> Any:
    """t is moved on once for every leaf."""
    t, x, y = state["t"], {}, {}
    for k in params:
        t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
        x[k] = params[k] - LR * grads[k]
        y[k] = x[k] + (t - 1) / t_new * (x[k] - state["last"][k])
        t = t_new
    return y, {"t": t, "last": x}


plant("nag moves t on for every leaf", "state_shared", "nag", (nag_init, nag_shared))


def nag_velocity(params: Any, grads: Any, state: Any) -> Any:
    t = state["t"]
    t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
    beta, before = (t - 1) / t_new, state["beta"]
    y, v = {}, {}
    for k in params:
        v[k] = before * state["v"][k] - LR * grads[k]
        y[k] = params[k] - before * state["v"][k] + (1 + beta) * v[k]
    return y, {"t": t_new, "beta": beta, "v": v}


plant(
    "nag as a velocity",
    "",
    "nag",
    (
        lambda params: {
            "t": 1.0,
            "beta": 0.0,
            "v": {k: np.zeros_like(p) for k, p in params.items()},
        },
        nag_velocity,
    ),
)


# Optimistic gradient descent.
def optimistic(a: float, b: float, first: bool) -> Any:
    def init(params: Any) -> Any:
        return None if first else {k: np.zeros_like(p) for k, p in params.items()}

    def step(params: Any, grads: Any, last: Any) -> Any:
        last = grads if last is None else last
        return {k: params[k] - LR * (a * grads[k] + b * last[k]) for k in params}, grads

    return init, step


OGD = "optimistic_gradient_descent"
plant("optimistic", "", OGD, optimistic(2.0, -1.0, True))
plant("optimistic from 0", "initial_accumulator", OGD, optimistic(2.0, -1.0, False))
plant("optimistic with a plus", "momentum_sign", OGD, optimistic(2.0, 1.0, True), "mismatch")
plant("optimistic climbs", "sign", OGD, optimistic(-2.0, 1.0, True))


# Signs.
plant("sign_sgd climbs", "sign", "sign_sgd", stateless(lambda p, g: p + LR * np.sign(g)))
plant("sign_sgd right", "", "sign_sgd", stateless(lambda p, g: p - LR * ((g > 0) * 1.0 - (g < 0))))
plant("sign_sgd doubled", "scale", "sign_sgd", stateless(lambda p, g: p - 2 * LR * np.sign(g)))


def signum_first(p: Any, g: Any, m: Any) -> Any:
    m = 0.9 * m + 0.1 * np.sign(g)
    return p - LR * m, m


plant("signum averages signs", "order", "signum", buffered(signum_first))


def signum_stale(p: Any, g: Any, m: Any) -> Any:
    return p - LR * np.sign(m), 0.9 * m + 0.1 * g


plant("signum steps first", "order", "signum", buffered(signum_stale))


def signum_trace(p: Any, g: Any, m: Any) -> Any:
    m = 0.9 * m + g
    return p - LR * jnp.sign(m), m


plant("signum of a velocity", "", "signum", buffered(signum_trace))


def signum_swapped(p: Any, g: Any, m: Any) -> Any:
    m = 0.1 * m + 0.9 * g
    return p - LR * np.sign(m), m


plant("signum with weights exchanged", "betas_swapped", "signum", buffered(signum_swapped))


def lion(b1: float, b2: float, wd: float, change: str = "") -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        m = s["m"]
        if change == "late":
            m = b2 * m + (1 - b2) * g
        c = b1 * m + (1 - b1) * g
        s["m"] = m if change == "late" else b2 * m + (1 - b2) * g
        if change == "keeps b1":
            s["m"] = c
        decay = {"unscaled": wd * p, "absent": 0.0}.get(change, LR * wd * p)
        if change == "grows":
            decay = -decay
        return p - LR * np.sign(c) - decay

    return entry_by_entry(zeros("m"), update)


wd = {"weight_decay": 0.1}
plant("lion", "", "lion", lion(0.9, 0.99, 0.1), **wd)
plant("lion betas", "betas_swapped", "lion", lion(0.99, 0.9, 0.1), **wd)
plant("lion updates first", "order", "lion", lion(0.9, 0.99, 0.1, "late"), **wd)
plant(
    "lion decay unscaled", "weight_decay_unscaled", "lion", lion(0.9, 0.99, 0.1, "unscaled"), **wd
)
plant("lion decay grows", "sign", "lion", lion(0.9, 0.99, 0.1, "grows"), **wd)
plant("lion keeps c", "wrong_accumulator", "lion", lion(0.9, 0.99, 0.1, "keeps b1"), **wd)


def lion_new(p: Any, g: Any, m: Any) -> Any:
    m = 0.99 * m + 0.01 * g
    mix = 0.9 / 0.99
    return (1 - LR * 0.1) * p - LR * np.sign(mix * m + (1 - mix) * g), m


plant("lion from the new average", "", "lion", buffered(lion_new), **wd)


def rprop(change: str = "") -> Any:
    def start(p: Any) -> Any:
        return {"d": np.full_like(p, LR), "g": np.zeros_like(p)}

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s_ = s["g"] * g
        up, down = (0.5, 1.2) if change == "swapped" else (1.2, 0.5)
        old = s["d"]
        s["d"] = np.clip(np.where(s_ > 0, old * up, np.where(s_ < 0, old * down, old)), 1e-6, 50)
        g = np.where(s_ < 0, 0.0, g)
        s["g"] = g
        if change == "reset":
            s["g"] = np.zeros_like(g)
        d = old if change == "old" else s["d"]
        return p + d * np.sign(g) if change == "sign" else p - d * np.sign(g)

    return entry_by_entry(start, update)


plant("rprop", "", "rprop", rprop())
plant("rprop factors", "betas_swapped", "rprop", rprop("swapped"), "mismatch")
plant("rprop old step", "order", "rprop", rprop("old"))
plant("rprop climbs", "sign", "rprop", rprop("sign"))
plant("rprop forgets", "state_reset", "rprop", rprop("reset"))
plant("rprop of optax", "order", "rprop", optax.rprop(LR))
plant(
    "polyak_sgd doubled",
    "scale",
    "polyak_sgd",
    optax.polyak_sgd(2.0, scaling=1.0),
    max_learning_rate=1.0,
)
PLANTED[-1] = PLANTED[-1]._replace(hyper={"max_learning_rate": 1.0})


def polyak_no_min(params: Any, grads: Any, state: Any, value: float) -> Any:
    square = sum((g**2).sum() for g in grads.values())
    a = min((value - 0.5) / square, 1.0)
    return {k: params[k] - a * grads[k] for k in params}, state


def polyak_norm(params: Any, grads: Any, state: Any, value: float) -> Any:
    norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
    a = min(value / norm, 1.0)
    return {k: params[k] - a * grads[k] for k in params}, state


PLANTED += [
    Planted("polyak_sgd right", "", "polyak_sgd", {"f_min": 0.5}, (lambda p: None, polyak_no_min)),
    Planted(
        "polyak_sgd norm",
        "mismatch",
        "polyak_sgd",
        {},
        (lambda p: None, polyak_norm),
        ("sqrt_missing", "wrong_accumulator"),
    ),
]
