"""Adam and its kin as equations."""

from typing import Any

import numpy as np

from jaxnet.check.rules.alteration import Equations, Options, State
from jaxnet.check.rules.averages import (
    average,
    corrected,
    correction,
    keep,
    quotient,
    root,
    square,
    squares,
)


def looking_ahead(
    s: State, m: Any, g: Any, b1: Any, t: int, o: Options, nesterov: bool, b2: Any = None
) -> Any:
    """m^ of Adam, or of Nadam with a constant momentum."""
    if o("point_plain") or o("point_ahead"):
        nesterov = not nesterov
    if not nesterov:
        return corrected(s, "m", m, b1, t, o, b2)
    later, now = correction(b1, t + 1, o, "m", b2), correction(b1, t, o, "m", b2)
    if o("same_correction"):
        later = now
    if o("later_correction"):
        now = later
    if o("point_old"):
        m = s.get("m_before", 0.0)
    s["m_before"] = m
    if o("lookahead_undamped"):
        return b1 * m / later + g / now
    if o("lookahead_negative"):
        return b1 * m / later - (1 - b1) * g / now
    if o("point_twice"):
        return b1 * (b1 * m / later + (1 - b1) * g / now) + (1 - b1) * g / now
    return b1 * m / later + (1 - b1) * g / now


def ratio_of(s: State, m_hat: Any, v: Any, t: int, o: Options, b1: Any, b2: Any) -> Any:
    """m^ / (sqrt(v^ + eps_root) + eps)."""
    c = correction(b2, t, o, "v", b1)
    v_hat = corrected(s, "v", v, b2, t, o, b1)
    if o("correction_of_root"):
        v_hat = v / c**2
    below = root(v_hat, o.eps, o, False, o.get("eps_root", 0.0), c=1 - np.float64(b2) ** t)
    return quotient(m_hat, below, o.eps, o)


def moments(g: Any, s: State, o: Options, b1: Any, b2: Any) -> tuple[Any, Any]:
    """M and v of Adam."""
    if o("one_buffer"):
        both = b1 * s.get("m", np.zeros_like(g)) + (1 - b1) * g
        both = b2 * both + (1 - b2) * g**2
        s["m"] = both
        return both, both
    m = average(s, "m", g, b1, o)
    v = squares(s, "v", g, b2, o, mean=m)
    return m, v


def adam(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `adam` and `adamw`."""
    m, v = moments(g, s, o, o.b1, o.b2)
    if o("lr_inside"):
        m = s["rated"] = o.b1 * s.get("rated", 0.0) + (1 - o.b1) * lr * g
        lr = 1.0
    if o.decay_due and o("decay_in_m"):
        m = s["decayed"] = o.b1 * s.get("decayed", 0.0) + (1 - o.b1) * (g + o.decay_due * x)
    if o("largest_v"):
        v = s["largest"] = np.maximum(s.get("largest", 0.0), v)
    m_hat = looking_ahead(s, m, g, o.b1, t, o, False, o.b2)
    if o("momentum_absent"):
        m_hat = g
    if o.decay_due and o("decay_in_quotient"):
        m_hat = m_hat + o.decay_due * x
    return -lr * ratio_of(s, m_hat, v, t, o, o.b1, o.b2)


def adamax(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `adamax` and `adamaxw`."""
    m = average(s, "m", g, o.b1, o)
    old, size = s.get("u", np.zeros_like(g)), np.abs(g)
    if o("squared", "u"):
        size = g**2
    if o("first_power", "u"):
        size = g
    decayed = o.b2 * old
    if o("largest_undecayed", "u"):
        decayed = old
    if o("largest_decayed_both", "u"):
        size = (1 - o.b2) * size
    below = 0.0
    if o("eps_below"):
        below, inner = o.eps, 0.0
    elif o("eps_absent"):
        inner = 0.0
    else:
        inner = o.eps
    u = np.maximum(decayed, size + inner)
    if o("eps_at_old"):
        u = np.maximum(decayed + o.eps, size)
    if o("eps_largest"):
        u = np.maximum(np.maximum(decayed, size), o.eps)
    if o("smallest", "u"):
        u = np.minimum(decayed, size + inner)
    if o("averaged", "u"):
        u = o.b2 * old + (1 - o.b2) * (size + inner)
    if o("averaged_square", "u"):
        u = o.b2 * old + (1 - o.b2) * g**2
    if o("summed", "u"):
        u = o.b2 * old + size + inner
    used = keep(s, "u", u, o)
    if o("second_correction"):
        used = used / correction(o.b2, t, o, "u", o.b1)
    if o("rooted", "u"):
        used = np.sqrt(used)
    return -lr * looking_ahead(s, m, g, o.b1, t, o, False, o.b2) / (used + below)


def nadam(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `nadam` and `nadamw`."""
    m, v = moments(g, s, o, o.b1, o.b2)
    psi = o.get("momentum_decay", None)
    if psi is None:
        m_hat = looking_ahead(s, m, g, o.b1, t, o, True, o.b2)
    else:
        mu, later = (o.b1 * (1 - 0.96 ** (psi * k) / 2) for k in (t, t + 1))
        p = s["product"] = s.get("product", 1.0) * mu
        m_hat = later * m / (1 - p * later) + (1 - mu) * g / (1 - p)
    return -lr * ratio_of(s, m_hat, v, t, o, o.b1, o.b2)


def amsgrad(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `amsgrad`."""
    m, v = moments(g, s, o, o.b1, o.b2)
    m_hat = corrected(s, "m", m, o.b1, t, o, o.b2) if o.bias_correction_mu else m
    c = correction(o.b2, t, o, "v", o.b1) if o.bias_correction_nu else 1.0
    old = s.get("v_max", np.zeros_like(g))
    raw = o.max_of == "raw"
    if o("largest_absent"):
        v_hat = v / c
    elif o("smallest", "v_max"):
        v_hat = keep(s, "v_max", np.minimum(s.get("v_max", np.inf), v / c), o)
    elif o("largest_of_square"):
        v_hat = keep(s, "v_max", np.maximum(old, g**2), o)
    elif o("largest_kept_in_v"):
        v_hat = s["v"] = np.maximum(s.get("before", 0.0), v)
        s["before"] = v_hat
        v_hat = v_hat / c
    elif o("largest_uncorrected"):
        v_hat = keep(s, "v_max", np.maximum(old, v), o)
    elif raw != o("largest_raw"):
        v_hat = keep(s, "v_max", np.maximum(old, v), o) / c
    else:
        v_hat = keep(s, "v_max", np.maximum(old, v / c), o)
    below = root(v_hat, o.eps, o, False, o.eps_root, c=1 - np.float64(o.b2) ** t)
    return -lr * quotient(m_hat, below, o.eps, o)


def radam(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `radam`."""
    m, v = moments(g, s, o, o.b1, o.b2)
    b2 = np.float64(o.b2)
    c = correction(b2, t, o, "v", o.b1)
    rho_inf = 2 / (1 - b2) - 1
    power = b2**t
    rho = rho_inf - 2 * t * power / (1 - power)
    r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
    if o("rectifier_inverse"):
        r = 1 / r
    if o("rectifier_squared"):
        r = r**2
    if o("rectifier_absent"):
        r = 1.0
    m_hat = looking_ahead(s, m, g, o.b1, t, o, o.nesterov, o.b2)
    rectified = rho > o.threshold if o("threshold_strict") else rho >= o.threshold
    if o("always_rectified"):
        rectified = True
    if o("never_rectified"):
        rectified = False
    if not rectified:
        if o("warmup_absent"):
            return np.zeros_like(g)
        if o("warmup_uncorrected"):
            return -lr * m
        if o("warmup_gradient"):
            return -lr * g
        return -lr * m_hat
    eps = o.eps / np.sqrt(c) if o.correct_eps else o.eps
    hat = corrected(s, "v", v, o.b2, t, o, o.b1)
    if o("correction_of_root"):
        hat = v / c**2
    if o("rectified_uncorrected"):
        hat, m_hat = v, m
    below = root(hat, eps, o, False, o.eps_root, c=1 - power)
    return -lr * r * quotient(m_hat, below, o.eps, o)


def adabelief(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `adabelief`."""
    before = s.get("m", np.zeros_like(g))
    m = average(s, "m", g, o.b1, o)
    v = _belief(g, s, m, before, o)
    m_hat = looking_ahead(s, m, g, o.b1, t, o, o.nesterov, o.b2)
    v_hat = corrected(s, "s", v, o.b2, t, o, o.b1)
    if o("eps_at_use"):
        v_hat = v_hat + o.eps_root
    return -lr * quotient(m_hat, root(v_hat, o.eps, o, False, 0.0, c=None), o.eps, o)


def _belief(g: Any, s: State, m: Any, before: Any, o: Options) -> Any:
    """S := b2 s + (1 - b2) (g - m)^2 + eps_root."""
    deviation = g - (before if o("centre_old") else m)
    if o("plain_square"):
        deviation = g
    if o("centre_average_square"):
        deviation = m
    eps = 0.0 if o("eps_root_absent") or o("eps_at_use") else o.eps_root
    if o("eps_in_average"):
        return average(s, "s", square("s", deviation, o) + eps, o.b2, o)
    old = s.get("s", 0.0)
    new = average(s, "s", square("s", deviation, o), o.b2, o) + eps
    if o("old", "s"):
        s["s"] = s["s"] + eps
        return old + np.zeros_like(g)
    if not o("eps_not_kept"):
        s["s"] = new
    return new


def acprop(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `acprop`."""
    first = "s" not in s
    c = correction(o.b2, t - 1, o, "s", o.b1) if t > 1 else 1.0
    c = correction(o.b2, t, o, "s", o.b1) if o("correction_now") else c
    old = s.get("s", np.zeros_like(g))
    before = s.get("m", np.zeros_like(g))
    m = average(s, "m", g, o.b1, o)
    new = _belief(g, s, m, before, o)
    above = m if o("momentum_present") else g
    if o("new_s"):
        c = 1 - np.float64(o.b2) ** t
        return -lr * above / (np.sqrt(new / c) + o.eps)
    if first:
        if o("first_absent"):
            return np.zeros_like(g)
        return -lr * above / (1 + o.eps) if o("first_eps") else -lr * above
    return -lr * quotient(above, root(old / c, o.eps, o, False, 0.0, c=None), o.eps, o)


def yogi(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `yogi`."""
    start = o.initial_accumulator_value
    start_m = start if o.bias_correction else 0.0
    if o("start_m_zero"):
        start_m = 0.0
    if o("start_v_zero") or o("start_zero"):
        start = 0.0
        start_m = 0.0 if o("start_zero") else start_m
    if o("start_square") and "v" not in s:
        start = g**2
    m = average(s, "m", g, o.b1, o, start=start_m)
    old, power = s.get("v", start + np.zeros_like(g)), square("v", g, o)
    change = (1 - o.b2) * np.sign(old - power) * power
    if o("additive_negative"):
        change = -change
    if o("sign_absent"):
        change = (1 - o.b2) * (old - power)
    if o("difference_kept"):
        change = (1 - o.b2) * np.sign(old - power) * np.abs(old - power)
    if o("squared_twice"):
        change = (1 - o.b2) * np.sign(old - power**2) * power**2
    if o("undamped", "v"):
        change = change / (1 - o.b2)
    if o("compared_with_gradient"):
        change = (1 - o.b2) * np.sign(old - g) * power
    if o("added", "v"):
        change = -(1 - o.b2) * power
    if o("total", "v"):
        change = -power
    v = keep(s, "v", old - change, o)
    if not o.bias_correction:
        return -lr * quotient(m, root(v, o.eps, o, False, 0.0, c=None), o.eps, o)
    return -lr * ratio_of(s, corrected(s, "m", m, o.b1, t, o, o.b2), v, t, o, o.b1, o.b2)


def adan(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `adan`."""
    last = s.get("g", np.zeros_like(g) if o("start_zero") else g)
    if o("unkept", "g") and "g" in s:
        last = np.zeros_like(g)
    s["g"] = g
    d = last - g if o("momentum_negative") else g - last
    weight = 1 - o.b2 if o("one_minus") or o("one_minus_inner") else o.b2
    outer = 1 - o.b2 if o("one_minus") or o("one_minus_outer") else o.b2
    m = average(s, "m", g, o.b1, o)
    v = average(s, "v", d, o.b2, o)
    inner = g if o("plain_square") else g + weight * d
    if o("undamped_difference"):
        inner = g + d
    n = squares(s, "n", inner, o.b3, o, mean=m)
    m_hat = corrected(s, "m", m, o.b1, t, o, o.b2)
    v_hat = corrected(s, "v", v, o.b2, t, o, o.b1)
    if o("point_plain"):
        outer = 0.0
    if o("undamped_velocity"):
        outer = 1.0
    c = correction(o.b3, t, o, "n", o.b2)
    below = root(n / c, o.eps, o, False, o.eps_root, c=1 - np.float64(o.b3) ** t)
    return -lr * quotient(m_hat + outer * v_hat, below, o.eps, o)


def ademamix(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `ademamix`."""
    b3, alpha = o.b3, o.alpha
    b3 = b3(t - 1) if callable(b3) else b3
    alpha = alpha(t - 1) if callable(alpha) else alpha
    if o.warmup_steps:
        w = min(t / o.warmup_steps, 1)
        low, high = np.log(o.b1), np.log(b3)
        b3, alpha = np.exp(low * high / ((1 - w) * high + w * low)), w * alpha
    m1 = average(s, "m1", g, o.b1, o)
    m2 = average(s, "m2", g, b3, o)
    v = squares(s, "v", g, o.b2, o, mean=m1)
    slow = m2 / (1 - np.float64(b3) ** t) if o("slow_corrected") else m2
    if o("both_corrected"):
        slow = m2 / correction(o.b1, t, o, "m1", o.b2)
    m_hat = corrected(s, "m1", m1, o.b1, t, o, o.b2) + (0.0 if o("slow_absent") else alpha * slow)
    return -lr * ratio_of(s, m_hat, v, t, o, o.b1, o.b2)


def adopt(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `adopt`."""
    old = s.get("v", None)
    k = t - 1 + (1 if o("clip_early") else 0)
    if old is None:
        s["v"] = g**2 if not o("start_zero") else np.zeros_like(g)
        if o("start_moves"):
            old = s["v"]
        else:
            return np.zeros_like(g)
    start = s["v"]
    new = squares(s, "v", g, o.b2, o, mean=s.get("m", 0.0), start=start)
    used = new if o("new_v") else old
    if o("no_root"):
        below = np.maximum(used, o.eps)
    elif o("eps_added"):
        below = np.sqrt(used) + o.eps
    elif o("eps_added_inside"):
        below = np.sqrt(used + o.eps)
    elif o("eps_inside"):
        below = np.sqrt(np.maximum(used, o.eps))
    elif o("eps_absent"):
        below = np.sqrt(used)
    else:
        below = np.maximum(np.sqrt(used), o.eps)
    c = g / below
    if o.use_clipping and not o("clipping_absent"):
        bound = 1.0 if o("clip_constant") else np.asarray(o.clip_value_fn(np.float64(k)))
        c = np.clip(c, -bound, bound)
    m = average(s, "m", c, o.b1, o)
    if o("momentum_first"):
        m = average(s, "m_raw", g, o.b1, o) / below
    ahead = not o.nesterov if o("point_ahead") or o("point_plain") else o.nesterov
    if o("corrected"):
        m = m / (1 - np.float64(o.b1) ** (t - 1))
    return -lr * (o.b1 * m + (1 - o.b1) * c if ahead else m)


def optimistic_adam(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `optimistic_adam`."""
    m, v = moments(g, s, o, o.b1, o.b2)
    m_hat = looking_ahead(s, m, g, o.b1, t, o, o.nesterov, o.b2)
    r = ratio_of(s, m_hat, v, t, o, o.b1, o.b2)
    last = s.get("r", np.zeros_like(r) if o("start_zero") else r)
    s["r"] = r
    beta = -o.beta if o("momentum_negative") else o.beta
    if o("optimism_absent"):
        return -lr * o.alpha * r
    if o("optimism_alone"):
        return -lr * (o.alpha * r - beta * last)
    return -lr * ((o.alpha + beta) * r - beta * last)


ADAM = {
    "adam": Equations(adam),
    "adamw": Equations(adam, decay="decoupled"),
    "adamax": Equations(adamax),
    "adamaxw": Equations(adamax, decay="decoupled"),
    "nadam": Equations(nadam),
    "nadamw": Equations(nadam, decay="decoupled"),
    "amsgrad": Equations(amsgrad),
    "radam": Equations(radam),
    "adabelief": Equations(adabelief),
    "acprop": Equations(acprop, decay="decoupled"),
    "yogi": Equations(yogi),
    "adan": Equations(adan, decay="decoupled"),
    "ademamix": Equations(ademamix, decay="decoupled"),
    "adopt": Equations(adopt),
    "optimistic_adam": Equations(optimistic_adam),
}
