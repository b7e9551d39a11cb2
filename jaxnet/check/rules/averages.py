"""What rules are made of: averages, sums, their corrections, and roots with an eps.

Each piece asks the options for the alterations that it can have, so every rule that is written
with it has them.
"""

from typing import Any

import numpy as np

from jaxnet.check.rules.alteration import Options, State


def keep(s: State, name: str, new: Any, o: Options, start: Any = 0.0) -> Any:
    """Write a part of the state, and give the value that the update is made of."""
    first, old = name not in s, s.get(name, start)
    s[name] = new
    if o("old_guarded", name):
        return new if first else old
    return old + np.zeros_like(new) if o("old") or o("old", name) else new


def average(s: State, name: str, value: Any, b: Any, o: Options, start: Any = 0.0) -> Any:
    """Name := b name + (1 - b) value."""
    weight = o.get(f"weight:{name}", 1 - b)
    if o("undamped", name):
        weight = 1.0
    if o("weights_swapped", name):
        b, weight = weight, b
    if o("seeded", name) and name not in s:
        return keep(s, name, value, o, start)
    if o("seeded_zero_first", name) and name not in s:
        s[name] = value
        return value * 0.0 + value
    if o("total", name):
        b, weight = 1.0, 1.0
    if o("unkept", name):
        b = 0.0
    if o("negative", name):
        b = -b
    if o("negative_gradient", name):
        weight = -weight
    old = s.get(name, start)
    if o("added", name):
        return keep(s, name, old + weight * value, o, start)
    if o("kept_largest", name):
        return keep(s, name, np.maximum(b * old, value), o, start)
    if o("ever_largest", name):
        return keep(s, name, np.maximum(old, value), o, start)
    if o("by_sign", name):
        return keep(s, name, old - weight * np.sign(old - value) * value, o, start)
    if o("corrected_weight", name):
        # A running mean of all values so far.
        n = s["count_" + name] = s.get("count_" + name, 0) + 1
        return keep(s, name, old + (value - old) / n, o, start)
    return keep(s, name, b * old + weight * value, o, start)


def taken(mu: Any, seen: bool, o: Options) -> Any:
    """How much of the new value a velocity takes: all, or 1 - dampening."""
    if o("dampened") or (o("dampened_later") and seen):
        return 1 - mu
    return o.get("taken_later", 1.0) if seen else 1.0


def squares(
    s: State, name: str, g: Any, b: Any, o: Options, mean: Any = None, start: Any = 0.0
) -> Any:
    """Name := b name + (1 - b) g^2."""
    return average(s, name, square(name, g, o, mean), b, o, start)


def square(name: str, g: Any, o: Options, mean: Any = None) -> Any:
    """g^2, or what is taken for it."""
    if o("lr_inside", name):
        g = o.rate_now * g
    if o("absolute", name):
        return np.abs(g)
    if o("first_power", name):
        return g
    if o("norm", name):
        return np.sum(g**2)
    if o("mean_square", name):
        return np.mean(g**2)
    if o("largest_square", name):
        return np.max(g**2)
    if o("share_square", name):
        return o.square_of_all + np.zeros_like(g)
    if mean is not None and o("of_average", name):
        return mean**2
    if mean is not None and o("centred", name):
        return (g - mean) ** 2
    return g**2


def total(s: State, name: str, value: Any, o: Options, start: Any = 0.0) -> Any:
    """Name := name + value."""
    old = s.get(name, start)
    for decay in (0.9, 0.99, 0.999, 0.95):
        if o(f"decayed_{decay}", name):
            return keep(s, name, decay * old + (1 - decay) * value, o, start)
    if o("largest", name):
        return keep(s, name, np.maximum(old, value), o, start)
    if o("unkept", name):
        return keep(s, name, value, o, start)
    return keep(s, name, old + value, o, start)


def correction(b: Any, t: int, o: Options, name: str, other: Any = None) -> Any:
    """1 - b^t, what an average that started at 0 is divided by."""
    if o("uncorrected") or o("uncorrected", name):
        return 1.0
    if other is not None and o("corrections_swapped"):
        b = other
    if o("correction_late", name):
        t = t - 1
    if o("correction_early", name):
        t = t + 1
    if o("correction_guarded", name):
        t = max(t - 1, 1)
    if o("correction_skipped", name):
        return 1 - np.float64(b) ** (t - 1) if t > 1 else 1.0
    if o("correction_fixed", name):
        t = 1
    if o("correction_product", name):
        return 1 - b * t
    return 1 - np.float64(b) ** t


def corrected(
    s: State, name: str, value: Any, b: Any, t: int, o: Options, other: Any = None
) -> Any:
    """Value / (1 - b^t)."""
    c = correction(b, t, o, name, other)
    if o("correction_multiplied", name):
        return value * c
    if o("correction_kept") or o("correction_kept", name):
        s[name] = value / c
    return value / c


def root(v: Any, eps: Any, o: Options, inside: bool, eps_root: Any = 0.0, c: Any = 1.0) -> Any:
    """sqrt(v + eps), or sqrt(v) + eps, of a v that was divided by c."""
    if o("no_root"):
        return v + eps
    if o("no_root_no_eps"):
        return v
    if o("fourth_root"):
        return np.sqrt(np.sqrt(v)) + eps
    if o("eps_largest"):
        return np.maximum(np.sqrt(v), eps)
    if o("eps_largest_inside"):
        return np.sqrt(np.maximum(v, eps))
    if o("eps_absent"):
        return np.sqrt(v)
    if o("eps_absent_guarded"):
        return np.where(v > 0, np.sqrt(v), 1.0)
    if o("eps_both"):
        return np.sqrt(v + eps) + eps
    if o("eps_squared"):
        return np.sqrt(v + eps**2)
    if inside and o("eps_outside"):
        return np.sqrt(v) + eps
    if not inside and o("eps_inside"):
        return np.sqrt(v + eps_root + eps)
    if not inside and o("eps_inside_only"):
        return np.sqrt(v + eps)
    if c is not None and o("eps_inside_uncorrected"):
        return np.sqrt(v + eps / c)
    if c is not None and o("eps_hat"):
        return np.sqrt(v + eps_root) + eps / np.sqrt(c)
    if c is not None and o("eps_hat_wrong"):
        return np.sqrt(v + eps_root) + eps * np.sqrt(c)
    if inside:
        return np.sqrt(v + eps)
    return np.sqrt(v + eps_root) + eps


def quotient(above: Any, below: Any, eps: Any, o: Options) -> Any:
    """Above / below, with what people do to it."""
    if o("eps_after_quotient"):
        return above / (below - eps) + eps
    if o("eps_after_quotient_guarded"):
        bare = below - eps
        return above / np.where(bare > 0, bare, 1.0) + eps
    return above / below
