"""Rules that average iterates, and rules without a learning rate, as equations."""

from typing import Any

import numpy as np

from jaxnet.check.rules.alteration import Equations, Options, State
from jaxnet.check.rules.averages import correction, root, square, squares


def schedule_free(g: Any, y: Any, s: State, t: int, lr: Any, o: Options, squared: bool) -> Any:
    """The update of the schedule-free rules."""
    wd = o.decay_inside
    z = s.get("z", y)
    if o.get("warmup_steps", None):
        lr = lr * min(1.0, t / o.warmup_steps)
    outer, last = 0.0, 0.0
    if wd and o("decay_coupled"):
        g, wd = g + wd * y, 0.0
    elif wd and o("decay_decoupled"):
        last, wd = lr * wd * y, 0.0
    elif wd and (o("decay_of_z") or o("decay_plain")):
        outer, wd = (lr * wd * z if o("decay_of_z") else wd * y), 0.0
    largest = s["largest"] = max(s.get("largest", 0.0), lr)
    w = largest**o.weight_lr_power
    if o("weights_equal"):
        w = 1.0
    weights = s["weights"] = s.get("weights", 0.0) + w
    c = w / weights if weights > 0 else 0.0
    if o("average_late"):
        c = w / (weights + w)
    if o("average_fixed"):
        c = 1 - o.b1
    d = g
    if squared:
        v = squares(s, "v", g, o.b2, o)
        c2 = correction(o.b2, t, o, "v")
        d = g / root(v / c2, o.eps, o, False, 0.0, c=1 - np.float64(o.b2) ** t)
    b1 = 1 - o.b1 if o("mix_swapped") else o.b1
    stored = o("x_stored") or o("point_plain")
    x = s.get("x", y) if stored else (y - (1 - b1) * z) / b1
    new = z - lr * (d + wd * y) - outer
    if o("step_from_y"):
        new = y - lr * (d + wd * y) - outer
    if o("momentum_negative"):
        new = z + lr * d
    s["z"] = new
    used = z if o("old", "z") else new
    x = c * x + (1 - c) * used if o("average_swapped") else (1 - c) * x + c * used
    s["x"] = x
    if o("point_plain"):
        return x - y
    if o("point_of_z"):
        return new - y
    return (1 - b1) * new + b1 * x - y - last


def schedule_free_sgd(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `schedule_free_sgd`."""
    return schedule_free(g, x, s, t, lr, o, squared=False)


def schedule_free_adamw(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `schedule_free_adamw`."""
    return schedule_free(g, x, s, t, lr, o, squared=True)


def madgrad(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `madgrad`."""
    x0 = s.get("x0", np.zeros_like(x) if o("start_zero") else x)
    s["x0"] = x0
    rate = (lr + o.eps) * np.sqrt(t)
    if o("rate_no_eps"):
        rate = lr * np.sqrt(t)
    if o("rate_constant"):
        rate = lr + o.eps
    if o("no_root"):
        rate = (lr + o.eps) * t
    before_s, before_v = s.get("s", np.zeros_like(g)), s.get("v", np.zeros_like(g))
    new = before_s + rate * g
    v = before_v + (g**2 if o("square_unweighted") else rate * square("v", g, o))
    if o("rate_squared"):
        v = before_v + rate**2 * g**2
    if o("unkept", "s"):
        new = rate * g
    if o("unkept", "v"):
        v = rate * g**2
    for b in (0.9, 0.99, 0.999):
        if o(f"decayed_{b}", "v"):
            v = b * before_v + (1 - b) * rate * g**2
    s["s"], s["v"] = new, v
    used_s, used_v = (before_s if o("old", "s") else new), (before_v if o("old", "v") else v)
    below = np.cbrt(used_v) + o.eps
    if o("square_root"):
        below = np.sqrt(used_v) + o.eps
    if o("eps_inside"):
        below = np.cbrt(used_v + o.eps)
    if o("eps_absent"):
        below = np.cbrt(used_v)
    if o("eps_largest"):
        below = np.maximum(np.cbrt(used_v), o.eps)
    if o("no_root_at_all"):
        below = used_v + o.eps
    z = (x if o("from_current") else x0) - used_s / below
    mu = o.momentum
    if o("momentum_absent"):
        return z - x
    if o("mix_swapped"):
        return (1 - mu) * x + mu * z - x
    return mu * x + (1 - mu) * z - x


def dog(gs: Any, xs: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `dog`."""
    x0 = s.setdefault("x0", xs)
    kind, a = o.init_step
    sizes = np.sqrt(sum((x**2).sum() for x in x0))
    first = {"distance": a, "heuristic": a * (1 + sizes), "learning_rate": 0.0}[kind]
    if o("start_absolute"):
        first = a
    if o("start_size"):
        first = a * sizes
    away = sum(((x - y) ** 2).sum() for x, y in zip(xs, x0, strict=True))
    distance = away if o("distance_squared") else np.sqrt(away)
    old_r = s.get("r", first)
    r = max(old_r, distance)
    if o("unkept", "r"):
        r = distance if distance > 0 else first
    if o("summed", "r"):
        r = old_r + distance
    power = sum((g**2).sum() for g in gs)
    if o("norm_no_square"):
        power = np.sqrt(power)
    old = s.get("G", 0.0)
    G = power if o("unkept", "G") else old + power
    for b in (0.9, 0.99, 0.999):
        if o(f"decayed_{b}", "G"):
            G = b * old + (1 - b) * power
    s["r"], s["G"] = r, G
    used = (old if old > 0 else power) if o("old", "G") else G
    if o("old_raw", "G"):
        used = old
    eta = (old_r if o("old", "r") else r) / root(used, o.eps, o, True, c=None)
    if kind == "learning_rate" and r == 0:
        eta = a
    if o("each_leaf"):
        return _dog_leaves(gs, xs, x0, s, lr, o)
    return [-lr * eta * g for g in gs]


def _dog_leaves(gs: Any, xs: Any, x0: Any, s: State, lr: Any, o: Options) -> Any:
    us = []
    for i, (g, x, y) in enumerate(zip(gs, xs, x0, strict=True)):
        first = o.init_step[1] * (1 + np.sqrt((y**2).sum()))
        r = s[f"r{i}"] = max(s.get(f"r{i}", first), np.sqrt(((x - y) ** 2).sum()))
        G = s[f"G{i}"] = s.get(f"G{i}", 0.0) + (g**2).sum()
        us.append(-lr * r / np.sqrt(G + o.eps) * g)
    return us


def dowg(gs: Any, xs: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `dowg`."""
    x0 = s.setdefault("x0", xs)
    first = o.eps if o.get("init_estim_sq_dist", None) is None else o.init_estim_sq_dist
    away = sum(((x - y) ** 2).sum() for x, y in zip(xs, x0, strict=True))
    if o("distance_no_square"):
        away = np.sqrt(away)
    r2 = max(s.get("r2", first), away)
    if o("unkept", "r2"):
        r2 = away if away > 0 else first
    power = sum((g**2).sum() for g in gs)
    old = s.get("v", 0.0)
    added = power if o("square_unweighted") else r2 * power
    v = added if o("unkept", "v") else old + added
    s["r2"], s["v"] = r2, v
    used = (old if old > 0 else v) if o("old", "v") else v
    if o("old_raw", "v"):
        used = old
    above = np.sqrt(r2) if o("numerator_rooted") else r2
    eta = above / root(used, o.eps, o, False, c=None)
    return [-lr * eta * g for g in gs]


def cocob(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `cocob`."""
    x0 = s["x0"] = s.get("x0", x)
    g = lr * g
    zero = np.zeros_like(g)
    old = {k: s.get(k, zero + (o.eps if k == "L" else 0.0)) for k in ("L", "G", "R", "theta")}
    L = np.maximum(old["L"], np.abs(g))
    G = old["G"] + (g**2 if o("squared", "G") else np.abs(g))
    gain = g * (x - x0)
    R = old["R"] + gain if o("reward_negative") else old["R"] - gain
    if not o("reward_unbounded"):
        R = np.maximum(R, 0)
    theta = old["theta"] + g if o("bet_negative") else old["theta"] - g
    if o("unkept", "L"):
        L = np.abs(g) + o.eps
    if o("unkept", "theta"):
        theta = -g
    if o("unkept", "R"):
        R = np.maximum(-gain, 0)
    if o("unkept", "G"):
        G = np.abs(g)
    new = {"L": L, "G": G, "R": R, "theta": theta}
    s.update(new)
    used = {k: old[k] if o("old", k) else new[k] for k in new}
    L, G, R, theta = (used[k] for k in ("L", "G", "R", "theta"))
    below = G + L if o("alpha_absent") else np.maximum(G + L, o.alpha * L)
    if o("alpha_of_sum"):
        below = np.maximum(G, o.alpha * L)
    wealth = R if o("start_zero") else L + R
    bet = theta / below * wealth if o("below_once") else theta / (L * below) * wealth
    return (x if o("from_current") else x0) + bet - x


def prodigy(gs: Any, xs: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `prodigy`."""
    b1, b2 = (np.float64(b) for b in (o.betas[::-1] if o("betas_swapped") else o.betas))
    b3 = np.sqrt(o.betas[1]) if o.get("beta3", None) is None else o.beta3
    if o("b3_not_rooted"):
        b3 = b2
    d0, n = o.estim_lr0, range(len(gs))
    x0, d = s.setdefault("x0", xs), s.get("d", d0)
    rate = d * lr * _corrections(b1, b2, t, o)
    in_s = d if o.safeguard_warmup else rate
    way = sum((g * (y - x)).sum() for g, x, y in zip(gs, xs, x0, strict=True))
    if o("way_negative"):
        way = -way
    scale = d**2 / d0 if o("rate_no_correction") else d / d0 * rate
    r = b3 * s.get("r", 0.0) + scale * way
    zeros = [np.zeros_like(g) for g in gs]
    old = {k: s.get(k, zeros) for k in "smv"}
    w = 1.0 if o("undamped", "m") else 1 - b1
    w2 = 1.0 if o("undamped", "v") else 1 - b2
    ss = [b3 * old["s"][i] + d / d0 * in_s * gs[i] for i in n]
    ms = [b1 * old["m"][i] + w * (1.0 if o("moment_plain") else d) * gs[i] for i in n]
    d2 = d if o("square_of_d_missing") else d**2
    d2 = 1.0 if o("moment_plain") or o("second_plain") else d2
    vs = [b2 * old["v"][i] + w2 * d2 * square("v", gs[i], o) for i in n]
    size = sum(np.abs(x).sum() for x in ss)
    if o("size_l2"):
        size = np.sqrt(sum((x**2).sum() for x in ss))
    found = o.estim_lr_coef * r / size if size > 0 else 0.0
    new = found if o("largest_absent") else max(d, found)
    s.update(d=new, r=r, s=ss, m=ms, v=vs)
    if o("rate_new"):
        rate = new * lr * _corrections(b1, b2, t, o)
    used = {k: old[k] if o("old", k) else {"m": ms, "v": vs}[k] for k in "mv"}
    eps = o.eps if o("eps_unscaled") else o.eps * (d if o("d_old") else new)
    wd = o.decay_inside
    outer = wd if wd and o("decay_unscaled") else rate * wd
    if wd and o("decay_rate_plain"):
        outer = lr * wd
    return [
        -rate * used["m"][i] / root(used["v"][i], eps, o, False, c=None) - outer * xs[i] for i in n
    ]


def dadapt(gs: Any, xs: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `dadapt_adamw`."""
    b1, b2 = (np.float64(b) for b in (o.betas[::-1] if o("betas_swapped") else o.betas))
    b3, n = (b2 if o("b3_not_rooted") else np.sqrt(o.betas[1])), range(len(gs))
    d = s.get("d", o.estim_lr0)
    rate = d * lr * _corrections(b1, b2, t, o)
    zeros = [np.zeros_like(g) for g in gs]
    old = {k: s.get(k, zeros) for k in "smv"}
    w = 1.0 if o("undamped", "m") else 1 - b1
    w2 = 1.0 if o("undamped", "v") else 1 - b2
    ss = [b3 * old["s"][i] + (1 - b3) * rate * gs[i] for i in n]
    ms = [b1 * old["m"][i] + w * rate * gs[i] for i in n]
    vs = [b2 * old["v"][i] + w2 * square("v", gs[i], o) for i in n]
    in_way = (ss if o("new_s") else old["s"]), (vs if o("new_v") else old["v"])
    way = sum((g * (a / (np.sqrt(b) + o.eps))).sum() for g, a, b in zip(gs, *in_way, strict=True))
    if o("way_negative"):
        way = -way
    r = b3 * s.get("r", 0.0) + (1 - b3) * rate * way
    size = (1 - b3) * sum(np.abs(x).sum() for x in ss)
    if o("size_undamped"):
        size = sum(np.abs(x).sum() for x in ss)
    found = r / size if size > 0 else 0.0
    if o("size_multiplied"):
        found = r / (1 - b3) * sum(np.abs(x).sum() for x in ss)
    new = found if o("largest_absent") else max(d, found)
    s.update(d=new, r=r, s=ss, m=ms, v=vs)
    used = {k: old[k] if o("old", k) else {"m": ms, "v": vs}[k] for k in "mv"}
    wd = o.decay_inside
    outer = rate * wd
    if wd and o("decay_unscaled"):
        outer = wd
    if wd and o("decay_rate_plain"):
        outer = lr * wd
    return [-used["m"][i] / root(used["v"][i], o.eps, o, False, c=None) - outer * xs[i] for i in n]


def _corrections(b1: Any, b2: Any, t: int, o: Options) -> Any:
    if not o.use_bias_correction:
        return 1.0
    return np.sqrt(correction(b2, t, o, "v")) / correction(b1, t, o, "m")


AVERAGING = {
    "schedule_free_sgd": Equations(schedule_free_sgd, decay="inside"),
    "schedule_free_adamw": Equations(schedule_free_adamw, decay="inside"),
    "madgrad": Equations(madgrad, decay="coupled"),
    "dog": Equations(dog, tree=True, decay="coupled"),
    "dowg": Equations(dowg, tree=True, decay="coupled"),
    "cocob": Equations(cocob, decay="coupled"),
    "prodigy": Equations(prodigy, tree=True, decay="inside"),
    "dadapt_adamw": Equations(dadapt, tree=True, decay="inside"),
}
