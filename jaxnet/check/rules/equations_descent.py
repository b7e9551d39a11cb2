"""Gradient descent, momentum and the rules that go by signs, as equations."""

from typing import Any

import numpy as np

from jaxnet.check.rules.alteration import Equations, Options, State
from jaxnet.check.rules.averages import average, keep, taken


def gd(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of gradient descent."""
    return -lr * g


def velocity(g: Any, s: State, lr: Any, o: Options, nesterov: bool) -> Any:
    """The update of momentum, mu v + g, and of Nesterov's."""
    mu, old = o.momentum, s.get("v", g if o("seeded", "v") else np.zeros_like(g))
    inside = lr if o("lr_inside") or o("lr_twice") else 1.0
    outside = 1.0 if o("lr_inside") else lr
    weight = taken(mu, "v" in s, o)
    if o("momentum_negative"):
        mu = -mu
    if o("dampened_corrected"):
        s["v"] = mu * old + (1 - mu) * g
        s["power"] = s.get("power", 1.0) * mu
        m = s["v"] / (1 - s["power"])
        return -lr * ((1 - mu) * g + mu * m if nesterov else m)
    v = keep(s, "v", mu * old + inside * weight * g, o)
    ahead = nesterov
    if o("point_plain") or o("point_ahead"):
        ahead = not nesterov
    if not ahead:
        if o("point_late"):
            return -outside * mu * old
        return -outside * v
    if o("point_whole"):
        return -outside * (inside * weight * g + v)
    if o("point_velocity"):
        return -outside * (1 + mu) * v
    if o("point_twice"):
        return -outside * (g * inside + mu * (inside * g + mu * v))
    if o("point_old"):
        return -outside * (v + mu * old)
    if o("point_back"):
        return -outside * (v - mu * old)
    if o("point_only_ahead"):
        return -outside * mu * v
    if o("lookahead_negative"):
        return -outside * (inside * g - mu * v)
    if o("lookahead_minus_old"):
        return -outside * (v + mu * (v + old))
    if o("lookahead_dampened"):
        return -outside * ((1 - mu) * inside * g + mu * v)
    if o("lookahead_whole"):
        return -outside * (inside * g + mu * v)
    return -outside * (inside * weight * g + mu * v)


def momentum(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `momentum`."""
    return velocity(g, s, lr, o, nesterov=False)


def nesterov(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `nesterov`."""
    return velocity(g, s, lr, o, nesterov=True)


def nag(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `nag`: x is the look-ahead point y."""
    last = s.get("x", x)
    t_k = s.get("t", 1.0)
    t_next = (1 + np.sqrt(1 + 4 * t_k**2)) / 2
    if o("t_formula_no_root"):
        t_next = t_k + 1
    if o("t_formula_4"):
        t_next = (1 + np.sqrt(1 + t_k**2)) / 2
    beta = (t_k - 1) / t_next
    if o("t_late"):
        before = s.get("t_before", None)
        beta = 0.0 if before is None else (before - 1) / t_k
        s["t_before"] = t_k
    if o("t_early"):
        beta = (t_next - 1) / ((1 + np.sqrt(1 + 4 * t_next**2)) / 2)
    if o("t_over_itself"):
        beta = (t_k - 1) / t_k
    for k, constant in enumerate((0.9, 0.5, 0.99, 0.95)):
        if o("t_constant", str(k)):
            beta = constant
    if o("t_simple"):
        beta = (t - 1) / (t + 2)
    if o("t_simple_early"):
        beta = t / (t + 3)
    if o("momentum_negative"):
        beta = -beta
    s["t"] = t_next
    if o("point_plain") or o("point_plain_late"):
        # x holds the plain iterate: the gradient is not that of the look-ahead point.
        if o("point_plain_late"):
            beta = (t_next - 1) / ((1 + np.sqrt(1 + 4 * t_next**2)) / 2) if "x" in s else 0.0
        s["x"] = x
        return beta * (x - last) - lr * g
    new = x - lr * g
    s["x"] = new
    if o("point_of_lookaheads"):
        ahead = s.get("y", x)
        s["y"] = x
        return new + beta * (x - ahead) - x
    if o("point_mixed"):
        ahead = s.get("y", x)
        s["y"] = x
        return new + beta * (new - ahead) - x
    if o("point_from_x"):
        return beta * (new - last) + (last - x)
    return new + beta * (new - last) - x


def optimistic_gd(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `optimistic_gradient_descent`."""
    first = np.zeros_like(g) if o("start_zero") else g
    last = s.get("g", first)
    if o("unkept", "g") and "g" in s:
        last = np.zeros_like(g)
    s["g"] = g
    sign = -1.0 if o("momentum_negative") else 1.0
    if o("optimism_absent"):
        return -lr * o.alpha * g
    if o("optimism_alone"):
        return -lr * (o.alpha * g - o.beta * last)
    return -lr * ((o.alpha + sign * o.beta) * g - sign * o.beta * last)


def polyak(gs: Any, xs: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `polyak_sgd`."""
    square = sum((g**2).sum() for g in gs)
    below = np.sqrt(square) if o("no_square") else square
    gap = o.value - o.f_min
    if o("gap_absent"):
        gap = o.value
    if o.variant == "sps+":
        gap = max(gap, 0.0)
    if o("share"):
        return [-_polyak_rate(gap, (g**2).sum(), o) * g for g in gs]
    return [-_polyak_rate(gap, below, o) * g for g in gs]


def _polyak_rate(gap: Any, square: Any, o: Options) -> Any:
    rate = gap / (square + o.eps) if square + o.eps > 0 else 0.0
    if not o("bound_absent"):
        rate = (
            max(rate, o.max_learning_rate) if o("bound_below") else min(rate, o.max_learning_rate)
        )
    return o.get("scaling", 1.0) * rate


def sign_sgd(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `sign_sgd`."""
    return -lr * signed(g, o)


def signed(g: Any, o: Options) -> Any:
    """sign(g), or what is taken for it."""
    if o("sign_missing"):
        return g
    if o("sign_binary"):
        return np.where(g > 0, 1.0, -1.0)
    if o("sign_binary_up"):
        return np.where(g >= 0, 1.0, -1.0)
    return np.sign(g)


def signum(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `signum`."""
    if o("sign_first"):
        return -lr * average(s, "m", np.sign(g), o.beta, o)
    if o("sign_twice"):
        return -lr * np.sign(average(s, "m", np.sign(g), o.beta, o))
    m = average(s, "m", g, o.beta, o)
    if o("lookahead"):
        m = o.beta * m + (1 - o.beta) * g
    return -lr * signed(m, o)


def lion(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `lion`."""
    old = s.get("m", np.zeros_like(g))
    if o("seeded", "m") and "m" not in s:
        old = g
    if o("one_average"):
        m = average(s, "m", g, o.b2, o)
        return -lr * signed(m, o)
    if o("keeps_mixed"):
        m = average(s, "m", g, o.b1, o)
        return -lr * signed(m, o)
    new = o.b2 * old + (1 - o.b2) * g
    b1 = -o.b1 if o("momentum_negative") else o.b1
    weight = 1.0 if o("undamped", "c") else 1 - o.b1
    c = b1 * (new if o("late_mix") else old) + weight * g
    s["m"] = c if o("keeps_mix") else new
    if o("keeps_mix_of_c"):
        s["m"] = o.b2 * c + (1 - o.b2) * g
    return -lr * signed(c, o)


def rprop(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `rprop`."""
    size, last = s.get("size", np.full_like(g, lr)), s.get("g", np.zeros_like(g))
    agree = np.sign(g) * np.sign(last)
    up, down = o.eta_plus, o.eta_minus
    if o("factors_swapped"):
        up, down = down, up
    factor = np.where(agree > 0, up, np.where(agree < 0, down, 1.0))
    if o("factor_at_zero"):
        factor = np.where(agree > 0, up, down)
    if o("factor_up_at_zero"):
        factor = np.where(agree >= 0, up, down)
    size = size * factor
    if not o("bounds_absent"):
        low = o.min_step_size if not o("bound_low_absent") else 0.0
        high = o.max_step_size if not o("bound_high_absent") else np.inf
        size = np.clip(size, low, high)
    used = s.get("size", np.full_like(g, lr)) if o("old", "size") else size
    s["size"] = size
    moved = np.where(agree < 0, 0.0, g)
    if o("kept_whole"):
        s["g"] = g
    else:
        s["g"] = moved
    if o("moves_on"):
        s["g"] = g
        moved = g
    if o("moves_but_forgets"):
        moved = g
    if o("magnitude"):
        return -used * moved
    u = -used * np.sign(moved)
    if o("undone"):
        u = np.where(agree < 0, -s.get("u", np.zeros_like(g)), u)
    if o("late_move"):
        u, s["u"] = np.where(agree < 0, 0.0, s.get("u", np.zeros_like(g))), u
        return u
    s["u"] = u
    return u


DESCENT = {
    "gd": Equations(gd),
    "noisy_sgd": Equations(gd),
    "momentum": Equations(momentum),
    "nesterov": Equations(nesterov),
    "nag": Equations(nag),
    "optimistic_gradient_descent": Equations(optimistic_gd),
    "polyak_sgd": Equations(polyak, tree=True),
    "sign_sgd": Equations(sign_sgd),
    "signum": Equations(signum),
    "lion": Equations(lion, decay="decoupled"),
    "rprop": Equations(rprop),
}
