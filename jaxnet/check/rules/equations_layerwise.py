"""The rules that look at a leaf as a whole, by its norm or as a matrix, as equations."""

from typing import Any

import numpy as np

from jaxnet.check.rules.alteration import Equations, Options, State
from jaxnet.check.rules.averages import average, keep, root, squares, taken
from jaxnet.check.rules.equations_adam import looking_ahead, moments, ratio_of


def norm(x: Any, o: Options) -> Any:
    """The Euclidean norm, or what is taken for it."""
    if o("norm_squared"):
        return np.sum(x**2)
    if o("norm_sum"):
        return np.sum(np.abs(x))
    if o("norm_largest"):
        return np.max(np.abs(x))
    if o("norm_mean"):
        return np.sqrt(np.mean(x**2))
    return np.sqrt(np.sum(x**2))


def trust(above: Any, below: Any, o: Options, eps: Any = 0.0) -> Any:
    """Above / (below + eps), and 1 where a norm is 0."""
    if o("trust_absent"):
        return 1.0
    if not (above > 0 and below > 0) and not o("trust_unguarded"):
        return 0.0 if o("trust_zero") else 1.0
    if o("trust_inverse"):
        return below / above
    if o("trust_bounded"):
        return min(above / (below + eps), 1.0)
    if o("trust_bounded_10"):
        return min(above, 10.0) / (below + eps)
    if o("trust_rooted"):
        return np.sqrt(above / (below + eps))
    return above / (below + eps)


def lars(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `lars`."""
    wd, mu = o.decay_inside, o.momentum
    u = g + wd * x
    outer = 0.0
    if wd and (o("decay_decoupled") or o("decay_unscaled") or o("decay_outside")):
        u, outer = g, lr * wd * x
        outer = wd * x if o("decay_unscaled") else outer
        wd = 0.0
    length = norm(u, o) if o.dialect == "optax" else norm(g, o) + wd * norm(x, o)
    if o("ratio_of_gradient"):
        length = norm(g, o)
    if o("decay_after_ratio"):
        length = norm(g, o)
    ratio = trust(norm(x, o), length, o, o.eps)
    scale = o.trust_coefficient * ratio if ratio != 1.0 or o("coefficient_always") else 1.0
    if o("coefficient_absent"):
        scale = ratio
    inside, outside = (lr, 1.0) if not o("lr_outside") else (1.0, lr)
    if o("lr_twice"):
        outside = lr
    weight = taken(mu, "v" in s, o)
    if o("momentum_negative"):
        mu = -mu
    if o("ratio_of_velocity"):
        v = keep(s, "v", mu * s.get("v", 0.0) + u, o)
        r = o.trust_coefficient * trust(norm(x, o), norm(v, o), o, o.eps)
        return -lr * r * v - outer
    v = keep(s, "v", mu * s.get("v", 0.0) + weight * inside * scale * u, o)
    ahead = not o.nesterov if o("point_plain") or o("point_ahead") else o.nesterov
    return -outside * (inside * scale * u + mu * v if ahead else v) - outer


def lamb(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `lamb`."""
    wd = o.decay_inside
    outer = 0.0
    if wd and o("decay_coupled"):
        g, wd = g + wd * x, 0.0
    if wd and (o("decay_outside") or o("decay_unscaled")):
        outer, wd = (wd * x if o("decay_unscaled") else lr * wd * x), 0.0
    m, v = moments(g, s, o, o.b1, o.b2)
    m_hat = looking_ahead(s, m, g, o.b1, t, o, False, o.b2)
    r = ratio_of(s, m_hat, v, t, o, o.b1, o.b2)
    u = r + wd * x
    below = norm(g, o) if o("ratio_of_gradient") else norm(r if o("decay_after_ratio") else u, o)
    return -lr * trust(norm(x, o), below, o) * u - outer


def novograd(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `novograd`."""
    wd = o.decay_inside
    outer = 0.0
    if wd and o("decay_coupled"):
        g, wd = g + wd * x, 0.0
    if wd and (o("decay_decoupled") or o("decay_unscaled")):
        outer, wd = (wd * x if o("decay_unscaled") else lr * wd * x), 0.0
    power = np.sum(g**2)
    if o("share_square", "v"):
        power = o.square_of_all
    if o("norm_absent"):
        power = g**2
    if o("norm_mean"):
        power = np.mean(g**2)
    if o("norm_no_square") or o("norm_averaged"):
        power = np.sqrt(np.sum(g**2))
    old = s.get("v", power)
    if o("start_zero"):
        old = s.get("v", 0.0)
    first = "v" not in s and not o("start_zero") and not o("start_twice")
    new = power if first else o.b2 * old + (1 - o.b2) * power
    if "v" not in s and o("start_average"):
        new = (1 - o.b2) * power
    if o("total", "v"):
        new = power if first else old + power
    if o("undamped", "v"):
        new = power if first else o.b2 * old + power
    used = keep(s, "v", new, o, start=power)
    below = root(used, o.eps, o, False, o.eps_root, c=None)
    scaled = g / (used + o.eps if o("norm_averaged") else below)
    weight = taken(o.b1, "m" in s, o)
    b1 = -o.b1 if o("momentum_negative") else o.b1
    decayed = scaled + wd * x
    if o("momentum_of_gradient"):
        raw = keep(s, "m", b1 * s.get("m", 0.0) + weight * g, o)
        return -lr * (raw / root(used, o.eps, o, False, o.eps_root, c=None) + wd * x)
    if o("corrected"):
        m = s["m"] = o.b1 * s.get("m", 0.0) + (1 - o.b1) * decayed
        return -lr * m / (1 - np.float64(o.b1) ** t)
    m = keep(s, "m", b1 * s.get("m", 0.0) + weight * decayed, o)
    return -lr * m - outer


def fromage(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `fromage`."""
    above, below = max(norm(x, o), o.min_norm), max(norm(g, o), o.min_norm)
    if o("norms_unbounded"):
        above, below = norm(x, o), norm(g, o)
    ratio = below / above if o("trust_inverse") else above / below
    if o("trust_absent"):
        ratio = 1.0
    shrink = np.sqrt(1 + lr**2)
    if o("shrink_absent"):
        shrink = 1.0
    if o("shrink_no_root") or o("no_root"):
        shrink = 1 + lr**2
    if o("shrink_no_square"):
        shrink = np.sqrt(1 + lr)
    if o("shrink_step_only"):
        return -lr * ratio * g / shrink
    if o("shrink_parameters_only"):
        return x / shrink - lr * ratio * g - x
    if o("shrink_multiplied"):
        return (x - lr * ratio * g) * shrink - x
    return (x - lr * ratio * g) / shrink - x


def muon(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `muon`; its decay is in here, as it differs for matrices and others."""
    if g.ndim != 2:
        m = average(s, "m", g, o.adam_b1, o)
        v = squares(s, "v", g, o.adam_b2, o)
        rate = o.get("adam_learning_rate", None) or lr
        m_hat = _ahead(m, g, o.adam_b1, t, o, True)
        v_hat = v / (1 - np.float64(o.adam_b2) ** t)
        below = root(v_hat, o.eps, o, False, o.adam_eps_root, c=None)
        return -rate * (m_hat / below + o.adam_weight_decay * x)
    wd = o.decay_inside
    outer = lr * wd * x
    if wd and o("decay_coupled"):
        g, outer = g + wd * x, 0.0
    if wd and o("decay_unscaled"):
        outer = wd * x
    if o("orthogonal_first"):
        z = _orthogonal(g, o)
        m = average(s, "m", z, o.beta, o)
        return -lr * _factor(x, o) * _ahead(m, z, o.beta, t, o, o.bias_correction) - outer
    m = average(s, "m", g, o.beta, o)
    m_hat = g if o("orthogonal_gradient") else _ahead(m, g, o.beta, t, o, o.bias_correction)
    if wd and o("decay_scaled"):
        outer = outer * _factor(x, o)
    return -lr * _factor(x, o) * _orthogonal(m_hat, o) - outer


def _ahead(m: Any, g: Any, b: Any, t: int, o: Options, corrected: bool) -> Any:
    nesterov = not o.nesterov if o("point_plain") or o("point_ahead") else o.nesterov
    if not corrected or o("uncorrected"):
        return b * m + (1 - b) * g if nesterov else m
    b = np.float64(b)
    if not nesterov:
        return m / (1 - b**t)
    later = 1 - b**t if o("same_correction") else 1 - b ** (t + 1)
    if o("lookahead_undamped"):
        return b * m / later + g / (1 - b**t)
    if o("lookahead_negative"):
        return b * m / later - (1 - b) * g / (1 - b**t)
    return b * m / later + (1 - b) * g / (1 - b**t)


def _orthogonal(x: Any, o: Options) -> Any:
    """About U V^T of a matrix U S V^T."""
    if x.shape[0] > x.shape[1] and not o("never_transposed"):
        return _orthogonal(x.T, o).T
    a, b, c = o.ns_coeffs
    if o("coefficients_swapped"):
        b, c = c, b
    length = np.sqrt(np.sum(x**2))
    if o("norm_spectral"):
        length = np.linalg.norm(x, 2)
    x = x if o("norm_absent") else x / (length + o.eps)
    for _ in range(o.ns_steps):
        gram = x @ x.T
        if o("gram_once"):
            x = a * x + (b * gram + c * gram) @ x
        else:
            x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def _factor(x: Any, o: Options) -> Any:
    rows, columns = x.shape
    if o.get("consistent_rms", None) is not None:
        return o.consistent_rms * np.sqrt(max(rows, columns))
    if o("factor_absent"):
        return 1.0
    if o("factor_turned"):
        return np.sqrt(max(1.0, rows / columns))
    if o("factor_no_root"):
        return max(1.0, columns / rows)
    if o("factor_moonlight"):
        return 0.2 * np.sqrt(max(rows, columns))
    if o("factor_unbounded"):
        return np.sqrt(columns / rows)
    return np.sqrt(max(1.0, columns / rows))


def shampoo(g: Any, x: Any, s: State, t: int, lr: Any, o: Options) -> Any:
    """The update of `shampoo`."""
    weight = 1.0 if o.decay == 1 else 1 - o.decay
    decay = o.decay
    for b in (0.9, 0.95, 0.99, 0.999):
        if o(f"decayed_{b}", "h"):
            decay, weight = b, 1 - b
    if o("unkept", "h"):
        decay = 0.0
    exponent = -1 / (2 * max(g.ndim, 1))
    for kind, other in (("half", -0.5), ("whole", -1.0), ("quarter", -0.25), ("eighth", -0.125)):
        if o(f"power_{kind}"):
            exponent = other
    if o("power_no_root"):
        exponent = 2 * exponent
    if o("power_positive"):
        exponent = -exponent
    eps = o.eps**2 if o("eps_squared") else 0.0 if o("eps_absent") else o.eps
    scaled = g
    for axis in range(g.ndim):
        if (o("side_absent:0") and axis == 0) or (o("side_absent:1") and axis == 1):
            continue
        rest = [a for a in range(g.ndim) if a != axis]
        product = np.tensordot(g, g, (rest, rest))
        h = decay * s.get(f"h{axis}", 0.0) + weight * product
        before = s.get(f"h{axis}", np.zeros_like(product))
        s[f"h{axis}"] = h
        used = before if o("old", "h") else h
        if (t - 1) % o.update_interval == 0 or f"root{axis}" not in s:
            s[f"root{axis}"] = _power(used, exponent, eps, o)
        scaled = np.moveaxis(np.tensordot(s[f"root{axis}"], scaled, (1, axis)), 0, axis)
    mu = o.momentum
    weight = taken(mu, "v" in s, o)
    if o("momentum_negative"):
        mu = -mu
    v = keep(s, "v", mu * s.get("v", 0.0) + weight * scaled, o)
    return -lr * v


def _power(h: Any, exponent: float, eps: float, o: Options) -> Any:
    values, vectors = np.linalg.eigh(h)
    values = np.maximum(values, 0)
    if o("eps_outside"):
        return (vectors * (values ** (-exponent) + eps) ** -1) @ vectors.T
    if o("eps_largest"):
        return (vectors * np.maximum(values, eps) ** exponent) @ vectors.T
    return (vectors * (values + eps) ** exponent) @ vectors.T


LAYERWISE = {
    "lars": Equations(lars, decay="inside"),
    "lamb": Equations(lamb, decay="inside"),
    "novograd": Equations(novograd, decay="inside"),
    "fromage": Equations(fromage),
    "muon": Equations(muon, decay="inside"),
    "shampoo": Equations(shampoo),
}
