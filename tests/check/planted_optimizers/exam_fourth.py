"""Rules as different people write them, set down before the doctor's own rules were read."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import optim

from .problem import Planted

LR, WD = 0.05, 0.02
PLANTED: list[Planted] = []
norm, root = np.linalg.norm, np.sqrt
Update = Callable[[Any, Any, dict[str, Any], int], Any]


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(
        Planted(f"fourth {name}", code, reference, {"learning_rate": LR, **hyper}, rule, also)
    )


def right(name: str, reference: str, rule: Any, **hyper: Any) -> None:
    plant(name, "", reference, rule, **hyper)


# --- Four ways to keep the parameters -----------------------------------------------------------


def named(update: Update, **start: float) -> Any:
    """A dict of arrays; every leaf has a dict of its own."""

    def init(params: Any) -> Any:
        slots = {k: {s: np.full_like(p, x) for s, x in start.items()} for k, p in params.items()}
        return {"step": 0, "slots": slots}

    def step(params: Any, grads: Any, state: Any) -> Any:
        t = state["step"] + 1
        slots = {k: dict(s) for k, s in state["slots"].items()}
        new = {k: update(params[k], grads[k], slots[k], t) for k in params}
        return new, {"step": t, "slots": slots}

    return init, step


def listed(update: Update, **start: float) -> Any:
    """A list of arrays and a list of the averages of each."""

    def init(params: Any) -> Any:
        return [[{s: np.full_like(p, x) for s, x in start.items()} for p in params], 0]

    def step(params: Any, grads: Any, state: Any) -> Any:
        slots, t = [dict(s) for s in state[0]], state[1] + 1
        return [update(*a, t) for a in zip(params, grads, slots, strict=True)], [slots, t]

    return init, step


def single(update: Update, **start: float) -> Any:
    """One array."""

    def init(w: np.ndarray) -> Any:
        return dict.fromkeys(start, 0.0) | {s: x + np.zeros(w.shape) for s, x in start.items()}, 0

    def step(w: np.ndarray, dw: np.ndarray, state: Any) -> Any:
        slots, t = dict(state[0]), state[1] + 1
        return update(w, dw, slots, t), (slots, t)

    return init, step


def traced(update: Update, **start: float) -> Any:
    """Any pytree, in JAX, compiled."""

    def init(params: Any) -> Any:
        slots = [
            {s: jnp.full_like(p, x) for s, x in start.items()} for p in jax.tree.leaves(params)
        ]
        return slots, jnp.zeros((), jnp.int32)

    @jax.jit
    def step(params: Any, grads: Any, state: Any) -> Any:
        slots, t = [dict(s) for s in state[0]], state[1] + 1
        leaves, kind = jax.tree.flatten(params)
        new = [
            update(p, g, s, t)
            for p, g, s in zip(leaves, jax.tree.leaves(grads), slots, strict=True)
        ]
        return jax.tree.unflatten(kind, new), (slots, t)

    return init, step


# --- Descent ------------------------------------------------------------------------------------


def accelerated(fault: str) -> Update:
    def update(y: Any, g: Any, s: Any, k: int) -> Any:
        t = s["t"].flat[0] if k > 1 and fault != "forgets" else 1.0
        if k == 1:
            s["x"] = y.copy()
        t_new = (1 + root(1 + 4 * t * t)) / 2
        if fault == "no four":
            t_new = (1 + root(1 + t * t)) / 2
        beta = (t - 1) / t_new
        if fault == "minus":
            beta = -beta
        x = y - LR * g
        start = x if fault == "forgets" else s["x"]
        s["x"], s["t"] = x, np.full_like(y, t_new)
        if fault == "k/(k+3)":
            beta = (k - 1) / (k + 2)
        return x + beta * (x - start)

    return update


plant("nag t without the four", "mismatch", "nag", named(accelerated("no four"), x=0, t=1))
plant("nag pulls back", "momentum_sign", "nag", listed(accelerated("minus"), x=0, t=1))
plant(
    "nag k over k+3",
    "mismatch",
    "nag",
    named(accelerated("k/(k+3)"), x=0, t=1),
    "wrong_accumulator",
)
plant(
    "nag forgets", "state_reset", "nag", named(accelerated("forgets"), x=0, t=1), "nesterov_point"
)
right("nag", "nag", single(accelerated(""), x=0, t=1))


def nag_by_velocity(y: Any, g: Any, s: Any, k: int) -> Any:
    t = s["t"]
    new = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
    beta = (t - 1) / new
    v = s["b"] * s["v"] - LR * g
    out = y - s["b"] * s["v"] + (1 + beta) * v
    s["t"], s["v"], s["b"] = new, v, beta
    return out


right("nag by its velocity", "nag", traced(nag_by_velocity, t=1, v=0, b=0))


def heavy(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        before = s["v"]
        s["v"] = 0.9 * s["v"] + g
        if fault == "late":
            return p - LR * before
        if fault == "half damped":
            s["v"] = 0.9 * before + 0.5 * g
        if fault == "only then":
            s["v"] = 0.9 * before + (g if t == 1 else 0.5 * g)
        if fault == "velocity twice":
            return p - LR * (g + s["v"])
        if fault == "old ahead":
            return p - LR * (g + 0.9 * before)
        return p - LR * s["v"]

    return update


plant("momentum one late", "order", "momentum", single(heavy("late"), v=0))
plant("momentum half damped", "dampening", "momentum", traced(heavy("half damped"), v=0), "scale")
plant("momentum torch's half", "dampening", "momentum", named(heavy("only then"), v=0))
plant(
    "nesterov adds the velocity whole",
    "nesterov_point",
    "nesterov",
    listed(heavy("velocity twice"), v=0),
)
plant(
    "nesterov of the old velocity",
    "nesterov_point",
    "nesterov",
    traced(heavy("old ahead"), v=0),
    "order",
)


def two_points(p: Any, g: Any, s: Any, t: int) -> Any:
    last = s["x"] if t > 1 else p
    s["x"] = p
    return p - LR * g + 0.9 * (p - last)


def bengio(p: Any, g: Any, s: Any, t: int) -> Any:
    v = s["v"]
    s["v"] = 0.9 * v - LR * g
    return p - 0.9 * v + 1.9 * s["v"]


right("momentum of two points", "momentum", listed(two_points, x=0))
right("nesterov of Bengio", "nesterov", traced(bengio, v=0))
right("momentum of Sutskever, as Nesterov's", "nesterov", single(bengio, v=0))


def schedule(t: Any) -> Any:
    return LR / (1 + 0.2 * t)


def inside(ahead: bool) -> Any:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        rate = LR / (1 + 0.2 * (t - 1))
        s["v"] = 0.9 * s["v"] - rate * g
        return p + (0.9 * s["v"] - rate * g if ahead else s["v"])

    return update


plant(
    "nesterov's rate inside",
    "lr_in_buffer",
    "nesterov",
    named(inside(True), v=0),
    learning_rate=schedule,
)
plant(
    "momentum's rate inside",
    "lr_in_buffer",
    "momentum",
    traced(inside(False), v=0),
    learning_rate=schedule,
)


def rated(shift: int) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["v"] = 0.9 * s["v"] + g
        return p - LR / (1 + 0.2 * (t - 1 + shift)) * s["v"]

    return update


plant(
    "momentum schedule ahead",
    "scale",
    "momentum",
    named(rated(1), v=0),
    "mismatch",
    "order",
    learning_rate=schedule,
)
right("momentum schedule", "momentum", named(rated(0), v=0), learning_rate=schedule)

plant("gd of the mean over 32", "scale", "gd", listed(lambda p, g, s, t: p - LR * g / 32))
plant("gd clipped by value", "mismatch", "gd", named(lambda p, g, s, t: p - LR * np.clip(g, -1, 1)))
plant(
    "gd shrinks",
    "coupled_weight_decay",
    "gd",
    single(lambda p, g, s, t: p - LR * (g + WD * p)),
    "decoupled_weight_decay",
)
plant("sign_sgd ascends", "sign", "sign_sgd", traced(lambda p, g, s, t: p + LR * jnp.sign(g)))
plant(
    "sign_sgd normalises",
    "mismatch",
    "sign_sgd",
    named(lambda p, g, s, t: p - LR * g / max(norm(g), 1e-12)),
    "wrong_accumulator",
)


def optimistic(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        old = s["g"] if t > 1 or fault == "zero" else g
        s["g"] = g
        return p - LR * (2 * g + old) if fault == "plus" else p - LR * (2 * g - old)

    return update


plant(
    "optimistic from zero",
    "initial_accumulator",
    "optimistic_gradient_descent",
    named(optimistic("zero"), g=0),
)
plant(
    "optimistic adds",
    "momentum_sign",
    "optimistic_gradient_descent",
    listed(optimistic("plus"), g=0),
)
right("optimistic", "optimistic_gradient_descent", single(optimistic(""), g=0))


# --- Sign rules ---------------------------------------------------------------------------------


def lion(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if fault in ("l2", "both"):
            g = g + WD * p
        m, xp = s["m"], np if isinstance(p, np.ndarray) else jnp
        s["m"] = 0.99 * m + 0.01 * g
        c = 0.9 * m + 0.1 * g
        if fault == "new":
            c = 0.9 * s["m"] + 0.1 * g
        if fault == "one beta":
            c = s["m"]
        decay = 0 if fault in ("l2", "both") else WD * p
        if fault == "unscaled":
            return p - LR * xp.sign(c) - decay
        if fault == "no sign":
            return p - LR * (c + decay)
        if fault == "rewritten":
            c = 0.9 / 0.99 * s["m"] + (1 - 0.9 / 0.99) * g
            c = c + (0.1 - 0.01 * 0.9 / 0.99 - (1 - 0.9 / 0.99)) * g
        return p - (-1 if fault == "both" else 1) * LR * (xp.sign(c) + decay)

    return update


decay = {"weight_decay": WD}
plant(
    "lion's decay in the gradient", "coupled_weight_decay", "lion", named(lion("l2"), m=0), **decay
)
plant("lion with the new m", "order", "lion", listed(lion("new"), m=0), **decay)
plant("lion unscaled", "weight_decay_unscaled", "lion", traced(lion("unscaled"), m=0), **decay)
plant("lion without a sign", "mismatch", "lion", single(lion("no sign"), m=0), **decay)
plant("lion l2 and up", "sign", "lion", named(lion("both"), m=0), "coupled_weight_decay", **decay)
plant(
    "lion is signum",
    "mismatch",
    "lion",
    named(lion("one beta"), m=0),
    "order",
    "betas_swapped",
    "wrong_accumulator",
    "scale",
    **decay,
)
right("lion of the new m", "lion", listed(lion("rewritten"), m=0), **decay)


def signum(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if fault == "forgets" and t % 5 == 0:
            s["m"] = 0 * g
        s["m"] = (-0.8 if fault == "minus" else 0.8) * s["m"] + 0.2 * g
        return p - LR * (np.sign(0.8 * s["m"] + 0.2 * g) if fault == "ahead" else np.sign(s["m"]))

    return update


plant("signum minus", "momentum_sign", "signum", named(signum("minus"), m=0), beta=0.8)
plant("signum looks ahead", "nesterov_point", "signum", listed(signum("ahead"), m=0), beta=0.8)
plant("signum forgets at times", "state_reset", "signum", named(signum("forgets"), m=0), beta=0.8)
right(
    "signum's velocity",
    "signum",
    optax.chain(optax.trace(0.8), optax.scale_by_sign(), optax.scale(-LR)),
    beta=0.8,
)


def rprop(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if t == 1:
            s["d"] = np.full_like(p, LR)
        turn = np.sign(g * s["g"])
        up, down = (0.5, 1.2) if fault == "swapped" else (1.2, 0.5)
        s["d"] = np.clip(s["d"] * np.choose((turn + 1).astype(int), [down, 1.0, up]), 1e-6, 50)
        moved = g if fault == "minus form" else np.where(turn < 0, 0, g)
        s["g"] = 0 * g if fault == "never kept" else moved
        return p - s["d"] * np.sign(moved)

    return update


plant(
    "rprop factors swapped",
    "betas_swapped",
    "rprop",
    named(rprop("swapped"), d=LR, g=0),
    "mismatch",
)
right("rprop goes on at a turn, as Rprop-", "rprop", listed(rprop("minus form"), d=LR, g=0))
plant("rprop keeps no gradient", "state_reset", "rprop", named(rprop("never kept"), d=LR, g=0))
right("rprop", "rprop", single(rprop(""), d=LR, g=0))


# --- Adaptive -----------------------------------------------------------------------------------


def adagrad(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        old = s["a"]
        s["a"] = 0.9 * old + 0.1 * g**2 if fault == "forgetting" else old + g**2
        if fault == "late":
            return p - LR * g / (old + 1e-7) ** 0.5
        if fault == "no root":
            return p - LR * g / (s["a"] + 1e-7)
        if fault == "abs":
            s["a"] = old + abs(g)
            return p - LR * g / (s["a"] + 1e-7)
        return p - LR * g / (s["a"] + 1e-7) ** 0.5

    return update


plant("adagrad late", "order", "adagrad", named(adagrad("late"), a=0.1))
plant("adagrad forgets", "wrong_accumulator", "adagrad", traced(adagrad("forgetting"), a=0.1))
plant("adagrad rootless", "sqrt_missing", "adagrad", single(adagrad("no root"), a=0.1))
plant(
    "adagrad of magnitudes",
    "wrong_accumulator",
    "adagrad",
    listed(adagrad("abs"), a=0.1),
    "sqrt_missing",
)
plant("adagrad from one", "initial_accumulator", "adagrad", listed(adagrad(""), a=1.0))
right("adagrad", "adagrad", listed(adagrad(""), a=0.1))


def adadelta(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if fault == "l2":
            g = g + WD * p
        s["g"] = 0.9 * s["g"] + 0.1 * g**2
        above = s["x"] + 1e-4
        rms = {"outside": s["x"] ** 0.5 + 1e-4, "no root": above}.get(fault, above**0.5)
        d = rms / ((s["g"] ** 0.5 + 1e-4) if fault == "outside" else (s["g"] + 1e-4) ** 0.5) * g
        s["x"] = 0.9 * s["x"] + 0.1 * (LR * d if fault == "rate" else d) ** 2
        return p - LR * d

    return update


eps = {"eps": 1e-4, "rho": 0.9}
plant(
    "adadelta eps outside",
    "eps_outside_sqrt",
    "adadelta",
    named(adadelta("outside"), g=0, x=0),
    **eps,
)
plant("adadelta one root", "sqrt_missing", "adadelta", traced(adadelta("no root"), g=0, x=0), **eps)
plant(
    "adadelta rate kept",
    "lr_in_buffer",
    "adadelta",
    listed(adadelta("rate"), g=0, x=0),
    "wrong_accumulator",
    **eps,
)
plant(
    "adadelta shrinks", "coupled_weight_decay", "adadelta", named(adadelta("l2"), g=0, x=0), **eps
)
right("adadelta", "adadelta", single(adadelta(""), g=0, x=0), **eps)


def rmsprop(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        s["v"] = s["v"] + g**2 if fault == "sum" else 0.95 * s["v"] + 0.05 * g**2
        s["m"] = 0.95 * s["m"] + 0.05 * g
        var = s["v"] - s["m"] ** 2
        if fault == "not squared":
            var = s["v"] - s["m"]
        if fault == "corrected":
            var = var / (1 - 0.95**t)
        below = abs(var + 1e-6) ** 0.5
        s["b"] = (0.1 if fault == "damped" else 1) * g / below + 0.9 * s["b"]
        return p - LR * (g / below + 0.9 * s["b"] if fault == "ahead" else s["b"])

    return update


centred = {"decay": 0.95, "eps": 1e-6, "centered": True, "momentum": 0.9}
three = {"v": 0.0, "m": 0.0, "b": 0.0}
plant("rmsprop sums", "wrong_accumulator", "rmsprop", named(rmsprop("sum"), **three), **centred)
plant(
    "rmsprop mean not squared",
    "wrong_accumulator",
    "rmsprop",
    listed(rmsprop("not squared"), **three),
    "mismatch",
    **centred,
)
plant(
    "rmsprop damped", "dampening", "rmsprop", traced(rmsprop("damped"), **three), "scale", **centred
)
plant("rmsprop ahead", "nesterov_point", "rmsprop", named(rmsprop("ahead"), **three), **centred)
right("rmsprop centred", "rmsprop", single(rmsprop(""), **three), **centred)


# --- Adam and its kin ---------------------------------------------------------------------------


def adam(
    fault: str = "", b1: float = 0.9, b2: float = 0.999, e: float = 1e-8, wd: float = 0.0
) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if fault == "l2":
            g = g + wd * p
        s["m"] = b1 * s["m"] + (1 - b1) * g
        if fault == "trace":
            s["m"] = b1 * s["m"] + b1 * g
        square = g * g
        if fault == "of m":
            square = s["m"] ** 2
        if fault == "abs":
            square = abs(g)
        s["v"] = b2 * s["v"] + (1 - b2) * square
        c1, c2 = 1 - b1**t, 1 - b2**t
        if fault == "m only":
            c2 = 1.0
        if fault == "power":
            c2 = 1 - b2 ** (t + 1)
        below = (s["v"] / c2) ** 0.5 + e
        if fault == "root of eps":
            below = (s["v"] / c2) ** 0.5 + e**0.5
        step = s["m"] / c1 / below
        if fault == "before":
            return (1 - LR * wd) * p - LR * step
        if fault == "after":
            return (1 - LR * wd) * (p - LR * step)
        if fault == "grows":
            return p - LR * (step - wd * p)
        if fault == "twice":
            return p - LR * (step + 2 * wd * p)
        if fault == "rate squared":
            return p - LR * (step + LR * wd * p)
        if fault == "signs":
            return p - LR * (step + wd * np.sign(p))
        return p - LR * (step if fault == "l2" else step + wd * p)

    return update


two = {"m": 0.0, "v": 0.0}
plant("adam m corrected alone", "no_bias_correction", "adam", named(adam("m only"), **two))
plant("adam v one ahead", "bias_correction_off_by_one", "adam", listed(adam("power"), **two))
plant("adam squares m", "wrong_accumulator", "adam", single(adam("of m"), **two))
plant("adam magnitudes", "wrong_accumulator", "adam", traced(adam("abs"), **two))
plant(
    "adam b1 a bit off", "mismatch", "adam", named(adam(b1=0.95), **two), "betas_swapped", "scale"
)
plant("adam large eps", "eps_placement", "adam", listed(adam(e=1e-3), **two), "mismatch", "scale")
plant(
    "adam root of eps",
    "eps_placement",
    "adam",
    named(adam("root of eps", e=1e-6), **two),
    "eps_outside_sqrt",
    "eps_inside_sqrt",
    "mismatch",
    eps=1e-6,
)
plant("adam trace of b1", "dampening", "adam", traced(adam("trace"), **two), "scale", "mismatch")
plant("adamw after the step", "order", "adamw", named(adam("after", wd=WD), **two), **decay)
plant("adamw grows", "sign", "adamw", traced(adam("grows", wd=WD), **two), **decay)
plant(
    "adamw twice the decay",
    "scale",
    "adamw",
    listed(adam("twice", wd=WD), **two),
    "mismatch",
    **decay,
)
plant(
    "adamw rate squared",
    "weight_decay_unscaled",
    "adamw",
    named(adam("rate squared", wd=WD), **two),
    "mismatch",
    "scale",
    **decay,
)
plant("adamw decays by signs", "mismatch", "adamw", named(adam("signs", wd=WD), **two), **decay)
plant("adamw of l2", "coupled_weight_decay", "adamw", single(adam("l2", wd=WD), **two), **decay)
right("adamw shrinks before", "adamw", listed(adam("before", wd=WD), **two), **decay)
right("adam in JAX", "adam", traced(adam(), **two))


def fast_adam(p: Any, g: Any, s: Any, t: int) -> Any:
    s["m"] += 0.1 * (g - s["m"])
    s["v"] += 0.001 * (g * g - s["v"])
    rate = LR * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return p - rate * s["m"] / (np.sqrt(s["v"]) + 1e-8 * np.sqrt(1 - 0.999**t))


def running_adam(p: Any, g: Any, s: Any, t: int) -> Any:
    """Moments that are kept corrected."""
    a, b = 0.1 / (1 - 0.9**t), 0.001 / (1 - 0.999**t)
    s["m"], s["v"] = (1 - a) * s["m"] + a * g, (1 - b) * s["v"] + b * g**2
    return p - LR * s["m"] / (np.sqrt(s["v"]) + 1e-8)


right("adam in its faster form", "adam", named(fast_adam, **two))
right("adam with corrected moments", "adam", listed(running_adam, **two))


def counted_by_leaf() -> Any:
    """t goes up for every parameter, as with self.t += 1 in the loop."""
    rule = adam()

    def init(params: Any) -> Any:
        return {"t": 0, "slots": {k: {s: np.zeros_like(p) for s in two} for k, p in params.items()}}

    def step(params: Any, grads: Any, state: Any) -> Any:
        t, new, slots = state["t"], {}, {k: dict(s) for k, s in state["slots"].items()}
        for k in params:
            t += 1
            new[k] = rule(params[k], grads[k], slots[k], t)
        return new, {"t": t, "slots": slots}

    return init, step


plant("adam counts leaves", "state_shared", "adam", counted_by_leaf(), "bias_correction_off_by_one")


def kin(fault: str, rule: str) -> Update:
    """Adamax, NAdam(W), AMSGrad, AdaBelief, Yogi, RAdam."""

    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        b1, b2, e = (0.99, 0.9, 1e-6) if fault == "swapped" else (0.9, 0.99, 1e-6)
        xp = np if isinstance(p, np.ndarray) else jnp
        if fault == "l2":
            g = g + WD * p
        old, m_old = s["v"], s["m"]
        m = s["m"] = b1 * s["m"] + (1 - b1) * g
        k = t + 1 if fault == "one ahead" else t
        c1, c2 = (1.0, 1.0) if fault == "raw" else (1 - b1**k, 1 - b2**k)
        decay = {"unscaled": WD * p / LR, "l2": 0, "none": 0}.get(fault, WD * p)
        if rule in ("adamax", "adamaxw"):
            s["v"] = xp.maximum(b2 * s["v"], abs(g) + e)
            if fault == "sum":
                s["v"] = b2 * old + abs(g) + e
            if fault == "no decay of u":
                s["v"] = xp.maximum(old, abs(g) + e)
            return p - LR * (m / c1 / s["v"] + (decay if rule == "adamaxw" else 0))
        square = g**2
        if rule == "adabelief":
            square = (g - (m_old if fault == "old mean" else m)) ** 2
        s["v"] = b2 * s["v"] + (1 - b2) * square + (e if rule == "adabelief" else 0)
        if rule == "adabelief" and fault == "eps at use":
            s["v"] = b2 * old + (1 - b2) * square
            return p - LR * m / c1 / (xp.sqrt(s["v"] / c2 + e) + e)
        if rule == "yogi":
            s["v"] = old - (1 - b2) * xp.sign(old - g**2) * g**2
            if fault == "plus":
                s["v"] = old + (1 - b2) * xp.sign(old - g**2) * g**2
            if fault == "adds":
                s["v"] = old + (1 - b2) * g**2
        ahead, v = m / c1, s["v"] / c2
        if rule == "nadamw":
            ahead = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
            if fault == "minus":
                ahead = -b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
            if fault == "plain":
                ahead = m / c1
        if rule == "amsgrad":
            v = s["max"] = xp.maximum(s["max"], v)
            if fault == "min":
                v = s["max"] = xp.where(
                    t == 1, old / 1 + s["v"] / c2, xp.minimum(s["max"], s["v"] / c2)
                )
        below = xp.sqrt(v + e) if fault == "inside" else xp.sqrt(v) + e
        if fault == "rootless":
            below = v + e
        return p - LR * (ahead / below + (decay if rule == "nadamw" else 0))

    return update


small = {"b1": 0.9, "b2": 0.99, "eps": 1e-6}
plant("adamax raw", "no_bias_correction", "adamax", named(kin("raw", "adamax"), **two), **small)
plant("adamax sums", "wrong_accumulator", "adamax", listed(kin("sum", "adamax"), **two), **small)
plant(
    "adamax never fades",
    "wrong_accumulator",
    "adamax",
    traced(kin("no decay of u", "adamax"), **two),
    "mismatch",
    **small,
)
plant(
    "adamaxw in the gradient",
    "coupled_weight_decay",
    "adamaxw",
    named(kin("l2", "adamaxw"), **two),
    **small,
    **decay,
)
plant(
    "adamaxw unscaled",
    "weight_decay_unscaled",
    "adamaxw",
    single(kin("unscaled", "adamaxw"), **two),
    **small,
    **decay,
)
plant(
    "adamaxw swapped",
    "betas_swapped",
    "adamaxw",
    named(kin("swapped", "adamaxw"), **two),
    **small,
    **decay,
)
plant(
    "adamaxw no decay",
    "mismatch",
    "adamaxw",
    traced(kin("none", "adamaxw"), **two),
    "scale",
    "decoupled_weight_decay",
    **small,
    **decay,
)
plant(
    "nadamw minus",
    "momentum_sign",
    "nadamw",
    named(kin("minus", "nadamw"), **two),
    **small,
    **decay,
)
plant(
    "nadamw plain",
    "nesterov_point",
    "nadamw",
    listed(kin("plain", "nadamw"), **two),
    **small,
    **decay,
)
plant(
    "nadamw in the gradient",
    "coupled_weight_decay",
    "nadamw",
    named(kin("l2", "nadamw"), **two),
    **small,
    **decay,
)
plant(
    "nadamw inside",
    "eps_inside_sqrt",
    "nadamw",
    traced(kin("inside", "nadamw"), **two),
    **small,
    **decay,
)
plant(
    "adabelief eps at use",
    "eps_placement",
    "adabelief",
    named(kin("eps at use", "adabelief"), **two),
    **small,
    eps_root=1e-6,
)
plant(
    "adabelief swapped",
    "betas_swapped",
    "adabelief",
    traced(kin("swapped", "adabelief"), **two),
    **small,
    eps_root=1e-6,
)
plant(
    "adabelief raw",
    "no_bias_correction",
    "adabelief",
    listed(kin("raw", "adabelief"), **two),
    **small,
    eps_root=1e-6,
)
plant(
    "adabelief of Adam's square",
    "wrong_accumulator",
    "adabelief",
    named(kin("", "adam"), **two),
    **small,
    eps_root=1e-6,
)
plant("yogi adds", "wrong_accumulator", "yogi", named(kin("adds", "yogi"), m=1e-6, v=1e-6), **small)
plant(
    "yogi inside", "eps_inside_sqrt", "yogi", listed(kin("inside", "yogi"), m=1e-6, v=1e-6), **small
)
plant(
    "yogi one ahead",
    "bias_correction_off_by_one",
    "yogi",
    traced(kin("one ahead", "yogi"), m=1e-6, v=1e-6),
    **small,
)
plant("yogi from 1", "initial_accumulator", "yogi", named(kin("", "yogi"), m=0, v=1), **small)
plant(
    "amsgrad least",
    "wrong_accumulator",
    "amsgrad",
    named(kin("min", "amsgrad"), m=0, v=0, max=0),
    **small,
)
plant(
    "amsgrad rootless",
    "sqrt_missing",
    "amsgrad",
    listed(kin("rootless", "amsgrad"), m=0, v=0, max=0),
    **small,
)
plant(
    "amsgrad without its max",
    "wrong_accumulator",
    "amsgrad",
    traced(kin("", "adam"), **two),
    "state_reset",
    **small,
)
right("adamax", "adamax", single(kin("", "adamax"), **two), **small)
right("adamaxw", "adamaxw", traced(kin("", "adamaxw"), **two), **small, **decay)
right("nadamw", "nadamw", listed(kin("", "nadamw"), **two), **small, **decay)
right("adabelief", "adabelief", traced(kin("", "adabelief"), **two), **small, eps_root=1e-6)
right("yogi", "yogi", named(kin("", "yogi"), m=1e-6, v=1e-6), **small)
right("amsgrad", "amsgrad", listed(kin("", "amsgrad"), m=0, v=0, max=0), **small)


def adan(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        b1, b2, b3 = (0.92, 0.98, 0.99) if fault == "swapped" else (0.98, 0.92, 0.99)
        d = 0 * g if t == 1 and fault != "zero" else g - s["g"]
        s["g"] = g
        s["m"] = b1 * s["m"] + (1 - b1) * g
        s["d"] = b2 * s["d"] + (1 - b2) * d
        s["n"] = b3 * s["n"] + (1 - b3) * (g - b2 * d if fault == "minus" else g + b2 * d) ** 2
        m, v, n = (s[k] / (1 - b**t) for k, b in (("m", b1), ("d", b2), ("n", b3)))
        if fault == "raw":
            m, v, n = s["m"], s["d"], s["n"]
        below = np.sqrt(n) + 1e-8 if fault == "outside" else np.sqrt(n + 1e-8) + 1e-8
        if fault == "proximal":
            return (p - LR * (m + b2 * v) / below) / (1 + LR * WD)
        return p - LR * ((m + b2 * v) / below + WD * p)

    return update


four = {"m": 0.0, "d": 0.0, "n": 0.0, "g": 0.0}
plant("adan swapped", "betas_swapped", "adan", named(adan("swapped"), **four), **decay)
plant("adan raw", "no_bias_correction", "adan", listed(adan("raw"), **four), **decay)
plant("adan from zero", "initial_accumulator", "adan", named(adan("zero"), **four), **decay)
plant(
    "adan minus",
    "momentum_sign",
    "adan",
    listed(adan("minus"), **four),
    "wrong_accumulator",
    **decay,
)
right("adan", "adan", named(adan(""), **four), **decay)


def ademamix(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        b1, b2, b3 = 0.9, 0.999, 0.9999
        s["m"] = b1 * s["m"] + (1 - b1) * g
        s["n"] = b3 * s["n"] + (1 - b3) * g
        s["v"] = b2 * s["v"] + (1 - b2) * g**2
        slow = s["n"] / (1 - b3**t) if fault == "corrected" else s["n"]
        above = s["m"] / (1 - b1**t) + 5 * slow
        if fault == "minus":
            above = s["m"] / (1 - b1**t) - 5 * slow
        if fault == "raw":
            return p - LR * (s["m"] + 5 * slow) / (s["v"] ** 0.5 + 1e-8)
        if fault == "no root":
            return p - LR * above / (s["v"] / (1 - b2**t) + 1e-8)
        return p - LR * above / ((s["v"] / (1 - b2**t)) ** 0.5 + 1e-8)

    return update


mixed = {"m": 0.0, "n": 0.0, "v": 0.0}
plant("ademamix raw", "no_bias_correction", "ademamix", named(ademamix("raw"), **mixed))
plant(
    "ademamix minus",
    "momentum_sign",
    "ademamix",
    traced(ademamix("minus"), **mixed),
    "sign",
    "scale",
    "mismatch",
)
plant("ademamix rootless", "sqrt_missing", "ademamix", listed(ademamix("no root"), **mixed))
right("ademamix", "ademamix", traced(ademamix(""), **mixed))


def adopt(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if t == 1:
            s["v"] = g**2
            return p
        v = s["v"]
        s["v"] = 0.9999 * v + 0.0001 * g**2
        if fault == "new v":
            v = s["v"]
        c = g / (np.sqrt(v) + 1e-6 if fault == "plus eps" else np.maximum(np.sqrt(v), 1e-6))
        bound = (t - 1 if fault != "clip ahead" else t) ** 0.25
        if fault != "free":
            c = np.clip(c, -bound, bound)
        s["m"] = 0.9 * s["m"] + (1.0 if fault == "trace" else 0.1) * c
        return p - LR * s["m"]

    return update


plant("adopt with the new v", "order", "adopt", named(adopt("new v"), **two))
plant(
    "adopt adds eps",
    "eps_placement",
    "adopt",
    listed(adopt("plus eps"), **two),
    "eps_outside_sqrt",
    "mismatch",
)
plant("adopt velocity", "dampening", "adopt", named(adopt("trace"), **two))
right("adopt", "adopt", listed(adopt(""), **two))


def acprop(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if fault == "new":
            s["m"] = 0.9 * s["m"] + 0.1 * g
            s["v"] = 0.99 * s["v"] + 0.01 * (g - s["m"]) ** 2 + 1e-8
            return p - LR * g / (np.sqrt(s["v"] / (1 - 0.99**t)) + 1e-8)
        k = t - 1 if fault != "one ahead" else t
        new = p - LR * (g / (np.sqrt(s["v"] / (1 - 0.99**k)) + 1e-8) if t > 1 else g)
        s["m"] = 0.9 * s["m"] + 0.1 * g
        s["v"] = 0.99 * s["v"] + 0.01 * (g - s["m"]) ** 2 + 1e-8
        return new

    return update


async_ = {"b1": 0.9, "b2": 0.99, "eps": 1e-8, "eps_root": 1e-8}
plant("acprop not late", "order", "acprop", named(acprop("new"), **two), **async_)
plant(
    "acprop one ahead",
    "bias_correction_off_by_one",
    "acprop",
    listed(acprop("one ahead"), **two),
    **async_,
)
right("acprop", "acprop", named(acprop(""), **two), **async_)


# --- By the length of a leaf --------------------------------------------------------------------


def lamb(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if fault == "l2":
            g = g + WD * p
        b1, b2 = (0.999, 0.9) if fault == "swapped" else (0.9, 0.999)
        s["m"], s["v"] = b1 * s["m"] + (1 - b1) * g, b2 * s["v"] + (1 - b2) * g**2
        c1, c2 = (1, 1) if fault == "raw" else (1 - b1**t, 1 - b2**t)
        below = root(s["v"] / c2 + 1e-6) if fault == "inside" else root(s["v"] / c2) + 1e-6
        u = s["m"] / c1 / below + (0 if fault == "l2" else WD * p)
        a, b = norm(p), norm(u)
        ratio = a / b if a > 0 and b > 0 else 1.0
        if fault == "upside down":
            ratio = 1 / ratio
        if fault == "squared":
            ratio = (a / b) ** 2 if a > 0 and b > 0 else 1.0
        if fault == "free":
            ratio = 1.0
        return p + LR * ratio * u if fault == "up" else p - LR * ratio * u

    return update


plant("lamb swapped", "betas_swapped", "lamb", named(lamb("swapped"), **two), **decay)
plant("lamb raw", "no_bias_correction", "lamb", listed(lamb("raw"), **two), **decay)
plant("lamb inside", "eps_inside_sqrt", "lamb", named(lamb("inside"), **two), **decay)
plant("lamb in the gradient", "coupled_weight_decay", "lamb", listed(lamb("l2"), **two), **decay)
plant("lamb up", "sign", "lamb", named(lamb("up"), **two), **decay)
plant("lamb upside down", "scale", "lamb", named(lamb("upside down"), **two), "mismatch", **decay)
right("lamb", "lamb", listed(lamb(""), **two), **decay)


def lars(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        u = g if fault == "decoupled" else g + WD * p
        a, b = norm(p), norm(u)
        trust = 0.01 * a / b if a > 0 and b > 0 else 1.0
        if fault == "minus":
            s["v"] = -0.9 * s["v"] + LR * trust * u
        elif fault == "ema":
            s["v"] = 0.9 * s["v"] + 0.1 * LR * trust * u
        elif fault == "ratio after":
            s["v"] = 0.9 * s["v"] + LR * u
            a, b = norm(p), norm(s["v"])
            return p - (0.01 * a / b if a > 0 and b > 0 else 1.0) * s["v"]
        else:
            s["v"] = 0.9 * s["v"] + LR * trust * u
        return p - s["v"] - (LR * WD * p if fault == "decoupled" else 0)

    return update


trust = {"trust_coefficient": 0.01}
plant("lars minus", "momentum_sign", "lars", named(lars("minus"), v=0), **trust, **decay)
plant("lars averages", "dampening", "lars", listed(lars("ema"), v=0), **trust, **decay)
plant(
    "lars decoupled",
    "decoupled_weight_decay",
    "lars",
    named(lars("decoupled"), v=0),
    **trust,
    **decay,
)
plant(
    "lars ratio of the velocity",
    "order",
    "lars",
    listed(lars("ratio after"), v=0),
    "mismatch",
    "wrong_accumulator",
    **trust,
    **decay,
)
right("lars", "lars", listed(lars(""), v=0), **trust, **decay)


def novograd(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        square = np.sum(g**2) if fault != "entries" else g**2
        s["v"] = square if t == 1 and fault != "zero" else 0.25 * s["v"] + 0.75 * square
        if fault == "always":
            s["v"] = square
        below = root(s["v"]) + 1e-6
        if fault == "rootless":
            below = s["v"] + 1e-6
        scaled = g / below + (0 if fault == "decoupled" else WD * p)
        s["m"] = 0.9 * s["m"] + (0.1 if fault == "average" else 1) * scaled
        return p - LR * s["m"] - (LR * WD * p if fault == "decoupled" else 0)

    return update


plant(
    "novograd from zero",
    "initial_accumulator",
    "novograd",
    named(novograd("zero"), m=0, v=0),
    **decay,
)
plant(
    "novograd rootless", "sqrt_missing", "novograd", listed(novograd("rootless"), m=0, v=0), **decay
)
plant(
    "novograd averages",
    "dampening",
    "novograd",
    named(novograd("average"), m=0, v=0),
    "scale",
    **decay,
)
plant(
    "novograd decoupled",
    "decoupled_weight_decay",
    "novograd",
    listed(novograd("decoupled"), m=0, v=0),
    **decay,
)
plant(
    "novograd forgets v",
    "state_reset",
    "novograd",
    named(novograd("always"), m=0, v=0),
    "wrong_accumulator",
    **decay,
)
plant(
    "novograd by entries",
    "wrong_accumulator",
    "novograd",
    named(novograd("entries"), m=0, v=0),
    **decay,
)
right("novograd", "novograd", listed(novograd(""), m=0, v=0), **decay)


def fromage(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        a, b = max(float(norm(p)), 1e-6), max(float(norm(g)), 1e-6)
        ratio = b / a if fault == "upside down" else a / b
        new = p - LR * ratio * g
        return new if fault == "grows" else new / root(1 + LR**2)

    return update


plant("fromage grows", "scale", "fromage", named(fromage("grows")), "mismatch")
right("fromage", "fromage", listed(fromage("")))


# --- Averaged, parameter-free -------------------------------------------------------------------


def madgrad(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if t == 1:
            s["x0"] = p.copy()
        rate = (LR + 1e-6) * root(t + 1 if fault == "one ahead" else t)
        s["s"] = s["s"] + rate * g
        s["v"] = s["v"] + rate * g**2
        below = np.sqrt(s["v"]) + 1e-6 if fault == "square root" else np.cbrt(s["v"]) + 1e-6
        if fault == "inside":
            below = np.cbrt(s["v"] + 1e-6)
        if fault == "no root":
            below = s["v"] + 1e-6
        z = s["x0"] - s["s"] / below
        return 0.1 * p + 0.9 * z if fault == "swapped" else 0.9 * p + 0.1 * z

    return update


dual = {"s": 0.0, "v": 0.0, "x0": 0.0}
plant(
    "madgrad square root",
    "sqrt_missing",
    "madgrad",
    named(madgrad("square root"), **dual),
    "mismatch",
    "wrong_accumulator",
)
plant(
    "madgrad inside",
    "eps_inside_sqrt",
    "madgrad",
    listed(madgrad("inside"), **dual),
    "eps_placement",
)
plant(
    "madgrad mixes the other way",
    "betas_swapped",
    "madgrad",
    named(madgrad("swapped"), **dual),
    "mismatch",
    "scale",
    "dampening",
)
right("madgrad", "madgrad", listed(madgrad(""), **dual))


def schedule_free(fault: str) -> Update:
    def update(y: Any, g: Any, s: Any, t: int) -> Any:
        if t == 1:
            s["x"] = s["z"] = y.copy()
        b2 = 0.99
        s["v"] = b2 * s["v"] + (1 - b2) * g**2
        d = g / (np.sqrt(s["v"] / (1 if fault == "raw" else 1 - b2**t)) + 1e-6)
        s["z"] = s["z"] + LR * d if fault == "up" else s["z"] - LR * d
        c = 0.1 if fault == "ema" else 1 / t
        s["x"] = (1 - c) * s["x"] + c * s["z"]
        b1 = 0.1 if fault == "swapped" else 0.9
        return (1 - b1) * s["z"] + b1 * s["x"]

    return update


free = {"x": 0.0, "z": 0.0, "v": 0.0}
sf = {"b1": 0.9, "b2": 0.99, "eps": 1e-6}
plant(
    "schedule free raw",
    "no_bias_correction",
    "schedule_free_adamw",
    named(schedule_free("raw"), **free),
    **sf,
)
plant("schedule free up", "sign", "schedule_free_adamw", listed(schedule_free("up"), **free), **sf)
plant(
    "schedule free averages evenly",
    "wrong_accumulator",
    "schedule_free_adamw",
    named(schedule_free("ema"), **free),
    **sf,
)
right("schedule free", "schedule_free_adamw", listed(schedule_free(""), **free), **sf)


def whole(fault: str, rule: str) -> Any:
    """DoG and DoWG, with norms over all leaves."""

    def init(params: Any) -> Any:
        size = root(sum(float((p**2).sum()) for p in params))
        return [p.copy() for p in params], 1e-6 * (1 + size) if rule == "dog" else 1e-2, 0.0

    def step(params: Any, grads: Any, state: Any) -> Any:
        start, r, total = state
        far = root(sum(((p - x) ** 2).sum() for p, x in zip(params, start, strict=True)))
        r = far if fault == "no maximum" and far > 0 else max(r, far)
        square = sum((g**2).sum() for g in grads)
        total = total + (square if rule == "dog" else r**2 * square)
        if fault == "average":
            total = 0.9 * state[2] + 0.1 * square
        rate = r / root(total + 1e-8) if rule == "dog" else r**2 / (root(total) + 1e-4)
        if fault == "rootless":
            rate = r**2 / (total + 1e-4)
        if fault == "outside":
            rate = r / (root(total) + 1e-3)
        return [p - rate * g for p, g in zip(params, grads, strict=True)], (start, r, total)

    return init, step


dog, dowg = {"learning_rate": 1.0}, {"learning_rate": 1.0, "init_estim_sq_dist": 1e-4}
plant("dog averages", "wrong_accumulator", "dog", whole("average", "dog"), **dog)
plant(
    "dog without a maximum",
    "wrong_accumulator",
    "dog",
    whole("no maximum", "dog"),
    "state_reset",
    "mismatch",
    **dog,
)
plant("dog eps outside", "eps_outside_sqrt", "dog", whole("outside", "dog"), **dog, eps=1e-3)
plant("dowg rootless", "sqrt_missing", "dowg", whole("rootless", "dowg"), **dowg)
right("dog", "dog", whole("", "dog"), **dog)
right("dowg", "dowg", whole("", "dowg"), **dowg)


def cocob(fault: str) -> Update:
    def update(p: Any, g: Any, s: Any, t: int) -> Any:
        if t == 1:
            s["x0"] = p.copy()
        s["L"] = np.maximum(s["L"], abs(g))
        s["G"] = s["G"] + (g**2 if fault == "squares" else abs(g))
        s["R"] = np.maximum(s["R"] - g * (p - s["x0"]), 0)
        s["th"] = s["th"] + g if fault == "up" else s["th"] - g
        bet = s["th"] / (s["L"] * np.maximum(s["G"] + s["L"], 100 * s["L"]))
        return (p if fault == "from here" else s["x0"]) + bet * (s["L"] + s["R"])

    return update


coins = {"L": 1e-8, "G": 0.0, "R": 0.0, "th": 0.0, "x0": 0.0}
plant("cocob up", "sign", "cocob", named(cocob("up"), **coins), learning_rate=1.0)
plant(
    "cocob from here",
    "wrong_accumulator",
    "cocob",
    listed(cocob("from here"), **coins),
    "mismatch",
    "order",
    learning_rate=1.0,
)
right("cocob", "cocob", listed(cocob(""), **coins), learning_rate=1.0)


def sm3(fault: str) -> Any:
    """A list of leaves, each with one accumulator an axis."""

    def init(params: Any) -> Any:
        least = 1.0 if fault == "from 1" else 0.0
        return [([np.full(n, least) for n in (p.shape or (1,))], np.zeros_like(p)) for p in params]

    def step(params: Any, grads: Any, state: Any) -> Any:
        new, kept = [], []
        for p, g, (mus, m) in zip(params, grads, state, strict=True):
            axes = range(max(g.ndim, 1))
            gg = g.reshape(g.shape or (1,))
            nu = mus[0].reshape([-1 if a == 0 else 1 for a in axes])
            for axis, mu in enumerate(mus):
                nu = np.minimum(nu, mu.reshape([-1 if a == axis else 1 for a in axes]))
            nu = nu + (abs(gg) if fault == "abs" else gg**2)
            pick = np.sum if fault == "sum" else np.max
            mus = [pick(nu, axis=tuple(b for b in axes if b != a)) for a in axes]
            below = root(nu) + 1e-6 if fault == "outside" else root(nu + 1e-6)
            d = (gg / below).reshape(g.shape)
            m = 0.9 * m + (d if fault == "trace" else 0.1 * d)
            new.append(p - LR * m)
            kept.append((mus, m))
        return new, kept

    return init, step


plant("sm3 outside", "eps_outside_sqrt", "sm3", sm3("outside"), eps=1e-6)
plant("sm3 from 1", "initial_accumulator", "sm3", sm3("from 1"), eps=1e-6)
plant("sm3 velocity", "dampening", "sm3", sm3("trace"), eps=1e-6)
plant("sm3 sums over rows", "wrong_accumulator", "sm3", sm3("sum"), eps=1e-6)
right("sm3", "sm3", sm3(""), eps=1e-6)


def shampoo(fault: str) -> Any:
    def power(h: Any, e: float) -> Any:
        w, q = np.linalg.eigh(h + 1e-4 * np.eye(len(h)))
        return (q * w**e) @ q.T

    def init(params: Any) -> Any:
        return {k: [np.zeros((n, n)) for n in (p.shape or (1,))] for k, p in params.items()}

    def step(params: Any, grads: Any, state: Any) -> Any:
        new, kept = {}, {}
        for k, p in params.items():
            g = grads[k].reshape(grads[k].shape or (1,))
            d, hs = g, []
            for axis, h in enumerate(state[k]):
                flat = np.moveaxis(g, axis, 0).reshape(g.shape[axis], -1)
                h = 0.9 * h + 0.1 * flat @ flat.T if fault == "average" else h + flat @ flat.T
                e = -1 / g.ndim if fault == "whole power" else -1 / (2 * g.ndim)
                d = np.moveaxis(np.tensordot(power(h, e), d, axes=(1, axis)), 0, axis)
                hs.append(h)
            new[k], kept[k] = p - LR * d.reshape(p.shape), hs
        return new, kept

    return init, step


plant("shampoo averages", "wrong_accumulator", "shampoo", shampoo("average"))
plant("shampoo power doubled", "sqrt_missing", "shampoo", shampoo("whole power"), "mismatch")
right("shampoo", "shampoo", shampoo(""))


plant(
    "soap decays in the gradient",
    "coupled_weight_decay",
    "soap",
    optax.chain(optax.add_decayed_weights(WD), optim.soap(LR, weight_decay=0.0)),
    **decay,
)


# --- Chains of optax ----------------------------------------------------------------------------

chain, down = optax.chain, optax.scale(-LR)
plant(
    "chain adamw decay last",
    "weight_decay_unscaled",
    "adamw",
    chain(optax.scale_by_adam(), down, optax.add_decayed_weights(-WD)),
    **decay,
)
plant("chain novograd lars", "mismatch", "novograd", optax.lars(LR), "scale", "wrong_accumulator")
plant(
    "chain lamb without trust",
    "mismatch",
    "lamb",
    optax.adamw(LR, eps=1e-6, weight_decay=WD),
    "scale",
    **decay,
)
plant(
    "chain trust before the decay",
    "decoupled_weight_decay",
    "lamb",
    chain(
        optax.scale_by_adam(eps=1e-6),
        optax.scale_by_trust_ratio(),
        optax.add_decayed_weights(WD),
        down,
    ),
    "order",
    **decay,
)
plant(
    "chain rmsprop of a trace",
    "order",
    "rmsprop",
    chain(optax.trace(0.9), optax.scale_by_rms(0.95, 1e-8), down),
    decay=0.95,
    momentum=0.9,
)
plant(
    "chain adam of an ema",
    "mismatch",
    "adam",
    chain(optax.ema(0.9), optax.adam(LR)),
    "order",
    "wrong_accumulator",
    "nesterov_point",
    "dampening",
)
plant("chain adam clipped", "mismatch", "adam", chain(optax.clip(0.05), optax.adam(LR)))
plant(
    "chain nesterov twice",
    "nesterov_point",
    "momentum",
    chain(optax.trace(0.9, nesterov=True), down),
)
plant(
    "chain lion as adamw",
    "mismatch",
    "lion",
    optax.adamw(LR, b2=0.99, weight_decay=WD),
    "wrong_accumulator",
    **decay,
)
plant(
    "chain yogi of adam",
    "wrong_accumulator",
    "yogi",
    optax.adam(LR, eps=1e-3),
    "initial_accumulator",
)
plant(
    "chain radam always",
    "mismatch",
    "radam",
    optax.adam(LR),
    "wrong_accumulator",
    "scale",
    "no_bias_correction",
)
plant("chain sm3 up", "sign", "sm3", chain(optax.scale_by_sm3(0.9, eps=1e-8), optax.scale(LR)))
plant(
    "chain adafactor is rms", "mismatch", "adafactor", optax.rmsprop(LR, 0.8), "wrong_accumulator"
)
plant(
    "chain ademamix swapped",
    "betas_swapped",
    "ademamix",
    optax.contrib.ademamix(LR, b1=0.999, b2=0.9),
)
plant("chain adopt doubled", "scale", "adopt", optax.contrib.adopt(2 * LR))
plant(
    "chain amsgrad corrected nothing",
    "no_bias_correction",
    "radam",
    optax.chain(optax.scale_by_radam(threshold=1e9), down),
    "mismatch",
    "wrong_accumulator",
)
right("chain sgd", "nesterov", chain(optax.trace(0.9, nesterov=True), down))
right(
    "chain adamw",
    "adamw",
    chain(optax.scale_by_adam(), optax.add_decayed_weights(WD), optax.scale_by_learning_rate(LR)),
    **decay,
)
right("chain ema", "momentum", chain(optax.ema(0.9, debias=False), optax.scale(-10 * LR)))
right("chain signum", "signum", chain(optax.ema(0.9, debias=True), optax.scale_by_sign(), down))
right(
    "chain lamb",
    "lamb",
    chain(
        optax.scale_by_adam(eps=1e-6),
        optax.add_decayed_weights(WD),
        optax.scale_by_trust_ratio(),
        down,
    ),
    **decay,
)
right(
    "chain rmsprop adam",
    "rmsprop",
    optax.adam(LR, b1=0.0, b2=0.9),
    bias_correction=True,
    eps_in_sqrt=False,
)
right("chain prodigy", "prodigy", optax.contrib.prodigy(1.0), learning_rate=1.0)


# --- Keras's own forms --------------------------------------------------------------------------


def keras_sgd(p: Any, g: Any, s: Any, t: int) -> Any:
    s["v"] = 0.9 * s["v"] - LR * g
    return p + 0.9 * s["v"] - LR * g


def keras_rmsprop(p: Any, g: Any, s: Any, t: int) -> Any:
    s["v"] = 0.9 * s["v"] + g * g * (1 - 0.9)
    s["b"] = 0.8 * s["b"] + LR * g * (s["v"] + 1e-7) ** -0.5
    return p - s["b"]


def keras_adam(p: Any, g: Any, s: Any, t: int) -> Any:
    rate = LR * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
    s["m"] = s["m"] + (g - s["m"]) * 0.1
    s["v"] = s["v"] + (g**2 - s["v"]) * 0.001
    return p - s["m"] * rate / (s["v"] ** 0.5 + 1e-4)


right("keras nesterov", "nesterov", named(keras_sgd, v=0))
right("keras rmsprop", "rmsprop", listed(keras_rmsprop, v=0, b=0), momentum=0.8, eps=1e-7)
right("keras adam", "adam", named(keras_adam, **two), eps=1e-4)
