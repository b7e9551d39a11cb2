"""AdaGrad, AdaDelta, RMSProp and the factored rules as equations."""

from typing import Any

import numpy as np

from jaxnet.check.rules.alteration import Equations, Options, State
from jaxnet.check.rules.averages import (
    average,
    keep,
    quotient,
    root,
    square,
    squares,
    taken,
    total,
)


def adagrad(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `adagrad`."""
    v = total(s, "v", square("v", g, o), o, start=o.initial_accumulator_value)
    below = root(v, o.eps, o, o.eps_in_sqrt, c=None)
    return -lr * quotient(g, np.where(below > 0, below, 1.0), o.eps, o)


def adadelta(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `adadelta`."""
    rho, eps = o.rho, o.eps
    old = s.get("d2", np.zeros_like(g))
    v = squares(s, "g2", g, rho, o)
    above, below = np.sqrt(old + eps), np.sqrt(v + eps)
    if o("eps_outside"):
        above, below = np.sqrt(old) + eps, np.sqrt(v) + eps
    if o("eps_outside_above"):
        above = np.sqrt(old) + eps
    if o("eps_outside_below"):
        below = np.sqrt(v) + eps
    if o("eps_below_only"):
        above = np.sqrt(old)
    if o("eps_above_only"):
        below = np.sqrt(v)
    if o("eps_squared"):
        above, below = np.sqrt(old + eps**2), np.sqrt(v + eps**2)
    if o("no_root"):
        above, below = old + eps, v + eps
    if o("no_root", "above"):
        above = old + eps
    if o("no_root", "below"):
        below = v + eps
    if o("numerator_absent"):
        above = 1.0
    if o("numerator_rate"):
        above = lr
    d = above / below * g
    kept = lr * d if o("lr_inside") else d
    if o("of_gradient", "d2"):
        kept = g
    if o("of_scaled_root", "d2"):
        kept = np.sqrt(np.abs(d))
    new = average(s, "d2", square("d2", kept, o), rho, o)
    if o("late_numerator"):
        return -lr * np.sqrt(new + eps) / below * g
    return -lr * d


def rmsprop(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `rmsprop`."""
    rho = o.decay
    c = 1 - np.float64(rho) ** t if o.bias_correction and not o("uncorrected") else 1.0
    v = squares(s, "v", g, rho, o, start=o.initial_scale) / c
    if o.centered:
        m = average(s, "m", g, rho, o) / c
        if not o("centre_absent"):
            v = v + m**2 if o("centre_negative") else np.maximum(v - m**2, 0)
    elif o("centred"):
        m = average(s, "m", g, rho, o)
        v = np.maximum(v - m**2, 0)
    below = root(v, o.eps, o, o.eps_in_sqrt, c=None)
    d = quotient(g, below, o.eps, o)
    mu = o.get("momentum", None)
    if mu is None:
        return -lr * d
    inside, outside = (1.0, lr) if o("lr_outside") else (lr, 1.0)
    if o("lr_twice"):
        outside = lr
    if o("momentum_first"):
        b = keep(s, "b", mu * s.get("b", 0.0) + g, o)
        v = s["v_of_b"] = rho * s.get("v_of_b", o.initial_scale) + (1 - rho) * b**2
        return -lr * b / root(v / c, o.eps, o, o.eps_in_sqrt, c=None)
    if o("momentum_of_gradient"):
        b = keep(s, "b", mu * s.get("b", 0.0) + g, o)
        return -lr * b / below
    weight = taken(mu, "b" in s, o)
    sign = -1.0 if o("momentum_negative") else 1.0
    b = keep(s, "b", sign * mu * s.get("b", 0.0) + weight * inside * d, o)
    ahead = not o.nesterov if o("point_plain") or o("point_ahead") else o.nesterov
    return -outside * (inside * d + mu * b if ahead else b)


def sm3(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `sm3`."""
    axes = range(g.ndim)
    rest = [tuple(b for b in axes if b != a) for a in axes]
    mus = s.get("mu", [np.zeros_like(g).max(axis=r, keepdims=True) for r in rest])
    least = np.max(np.broadcast_arrays(*mus), axis=0) if o("cover_largest") else _least(mus)
    if o("cover_sum"):
        least = sum(np.broadcast_arrays(*mus))
    if o("cover_first"):
        least = mus[0] + np.zeros_like(g)
    before = least
    nu = least + square("nu", g, o)
    if o("unkept", "nu"):
        nu = square("nu", g, o)
    if o("decayed", "nu"):
        nu = 0.9 * least + 0.1 * g**2
    s["mu"] = [
        nu.mean(axis=r, keepdims=True)
        if o("cover_mean")
        else nu.min(axis=r, keepdims=True)
        if o("cover_smallest")
        else nu.sum(axis=r, keepdims=True)
        if o("cover_total")
        else nu.max(axis=r, keepdims=True)
        for r in rest
    ]
    used = before if o("old", "nu") else nu
    below = root(used, o.eps, o, True, c=None)
    scaled = np.where(nu > 0, g / np.where(below > 0, below, 1.0), 0.0)
    m = average(s, "m", scaled, o.momentum, o)
    if o("momentum_absent"):
        return -lr * scaled
    return -lr * m


def _least(mus: Any) -> Any:
    least = mus[0]
    for mu in mus[1:]:
        least = np.minimum(least, mu)
    return least


def adafactor(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `adafactor`."""
    if o.get("learning_rate", None) is None:
        lr = min(0.01, 1 / np.sqrt(t))
    b = 1 - np.float64(t - o.decay_offset) ** -o.decay_rate
    for constant in (0.999, 0.99, 0.9):
        if o(f"constant_{constant}"):
            b = constant
    bare = o("eps_absent") or o("bounded_by_precision")
    power = square("v", g, o) + (0.0 if bare else o.eps)
    u = _scaled(g, s, b, power, o)
    rms = np.sqrt(np.mean(u**2))
    if o.clipping_threshold is not None and not o("clipping_absent"):
        bound = rms / o.clipping_threshold
        u = u / (min(1.0, bound) if o("clipping_wrong_side") else max(1.0, bound))
        if o("clipping_entries"):
            u = np.clip(u, -1.0, 1.0)
    u = lr * u
    if o.multiply_by_parameter_scale and not o("parameter_scale_absent"):
        size = np.sqrt(np.mean(x**2))
        if o("parameter_norm"):
            size = np.sqrt(np.sum(x**2))
        u = max(o.min_scale, size) * u
    mu = o.get("momentum", None)
    if mu is not None:
        u = average(s, "m", u, mu, o)
    return -u


def _scaled(g: Any, s: State, b: Any, power: Any, o: Options) -> Any:
    """G over the root of the factored average, or of the whole one."""
    floor = np.finfo(np.float64).eps if o("bounded_by_precision") else 0.0
    second, first = sorted(range(g.ndim), key=lambda a: g.shape[a])[-2:] if g.ndim > 1 else (0, 0)
    least = 1 if o("always_factored") else o.min_dim_size_to_factor
    if not o.factored or g.ndim < 2 or g.shape[second] < least:
        v = np.maximum(average(s, "v", power, b, o), floor**2)
        return g / (v if o("no_root") else np.sqrt(v))
    rows, columns = second, first
    r = average(s, "r", power.mean(axis=columns), b, o)
    c = average(s, "c", power.mean(axis=rows), b, o)
    row = np.expand_dims(r, columns)
    if not o("mean_absent"):
        mean = np.sum(row) if o("mean_sum") else np.mean(row, axis=rows, keepdims=True)
        row = row / np.maximum(mean, floor)
    v = np.maximum(row * np.expand_dims(c, rows), floor**2)
    return g / (v if o("no_root") else np.sqrt(v))


ADAPTIVE = {
    "adagrad": Equations(adagrad),
    "adadelta": Equations(adadelta),
    "rmsprop": Equations(rmsprop),
    "sm3": Equations(sm3),
    "adafactor": Equations(adafactor, decay="unscaled", decay_name="weight_decay_rate"),
}
