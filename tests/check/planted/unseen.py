"""Fifteen losses, and faults in their gradients, made before the doctor was tried on them.

Each gradient takes `slips`, the mistakes a person made in it; without any, it is right. In a
gradient with two faults either may be the headline.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma, gammaln, logsumexp

from .problem import Fault, Problem


def draw(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def slip(grad: Callable[..., Any], *slips: str) -> Callable[..., Any]:
    def wrong(params: Any, *args: Any) -> Any:
        return grad(params, *args, slips=slips)

    wrong.__name__ = "_".join([grad.__name__, *slips])
    return wrong


def arrays(tree: Any) -> Any:
    return jax.tree_util.tree_map(np.asarray, tree)


def logistic(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def softmax_rows(a: Any) -> Any:
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# 1. A negative binomial regression with exposures and a ridge on the weights.

RIDGE = 0.3


def negbin_loss(params: Any, x: Any, exposure: Any, y: Any) -> Any:
    r = jnp.exp(params["log_r"])  # @negbin_r
    mu = jnp.exp(x @ params["w"] + params["b"] + jnp.log(exposure))  # @negbin_link
    log_binomial = gammaln(y + r) - gammaln(r) - gammaln(y + 1)  # @negbin_binomial
    log_failures = r * jnp.log(r / (r + mu))
    log_successes = y * jnp.log(mu / (r + mu))
    nll = -(log_binomial + log_failures + log_successes)
    return jnp.mean(nll) + 0.5 * RIDGE * jnp.sum(params["w"] ** 2)


def negbin_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {"w": 0.5 * draw(rng, 3), "b": draw(rng), "log_r": 0.8 + 0.15 * draw(rng)}
    exposure = jnp.asarray(rng.uniform(0.4, 3.0, size=10), jnp.float32)
    y = jnp.asarray(rng.poisson(3.0, size=10), jnp.float32)
    return params, (draw(rng, 10, 3), exposure, y)


def negbin_grad(params: Any, x: Any, exposure: Any, y: Any, slips: Any = ()) -> Any:
    p, (x, exposure, y) = arrays(params), arrays((x, exposure, y))
    if "last_minibatch" in slips:
        x, exposure, y = x[6:], exposure[6:], y[6:]
    w, b, r = p["w"], p["b"], np.exp(p["log_r"])
    eta = x @ w + b
    if "no_exposure" not in slips:
        eta = eta + np.log(exposure)
    mu = np.exp(eta)
    delta = r * (mu - y) / (r + mu)
    if "poisson" in slips:
        delta = mu - y
    dr = np.log(r / (r + mu)) + 1 - r / (r + mu) - y / (r + mu)
    if "no_gammas" not in slips:
        dr = dr + np.asarray(digamma(y + r) - digamma(r))
    dr = -np.mean(dr)
    ridge = RIDGE
    if "ridge_halved" in slips:
        ridge = 0.5 * RIDGE
    if "no_ridge" in slips:
        ridge = 0.0
    grad_b = delta.mean()
    if "b_sign" in slips:
        grad_b = -grad_b
    grad_log_r = dr if "wrt_r" in slips else dr * r
    return {"w": x.T @ delta / len(y) + ridge * w, "b": grad_b, "log_r": grad_log_r}


NEGBIN = Problem(
    "negative_binomial",
    negbin_loss,
    negbin_grad,
    negbin_data,
    (
        Fault("wrong_loss", slip(negbin_grad, "poisson"), ("w", "b")),
        Fault(
            "wrong_loss",
            slip(negbin_grad, "no_exposure"),
            ("w", "b", "log_r"),
            line="negbin_link",
            accept=("wrong_point",),
        ),
        Fault("dropped_path", slip(negbin_grad, "no_gammas"), ("log_r",), line="negbin_binomial"),
        Fault("dropped_derivative", slip(negbin_grad, "wrt_r"), ("log_r",), line="negbin_r"),
        Fault("regularization", slip(negbin_grad, "no_ridge"), ("w",)),
        Fault("partial_batch", slip(negbin_grad, "last_minibatch"), ("w", "b", "log_r")),
        Fault(
            "regularization",
            slip(negbin_grad, "ridge_halved", "b_sign"),
            ("w", "b"),
            also=("sign",),
            accept=("sign",),
        ),
    ),
)


# 2. The marginal likelihood of a Gaussian process, a length scale for each input.


def gp_kernel(a: Any, b: Any, params: Any) -> Any:
    scaled = (a - b) / jnp.exp(params["log_scale"])
    return jnp.exp(2 * params["log_amplitude"] - 0.5 * jnp.sum(scaled**2))  # @gp_kernel


def gp_loss(params: Any, x: Any, y: Any) -> Any:
    pairs = jax.vmap(jax.vmap(gp_kernel, (None, 0, None)), (0, None, None))
    noise = jnp.exp(2 * params["log_noise"])
    covariance = pairs(x, x, params) + noise * jnp.eye(len(y))
    chol = jnp.linalg.cholesky(covariance)
    residual = y - params["mean"]
    alpha = jax.scipy.linalg.cho_solve((chol, True), residual)
    fit = 0.5 * residual @ alpha
    log_det = jnp.sum(jnp.log(jnp.diag(chol)))  # @gp_log_det
    return fit + log_det + 0.5 * len(y) * jnp.log(2 * jnp.pi)


def gp_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "log_scale": 0.4 * draw(rng, 2) + 0.3,
        "log_amplitude": 0.3 * draw(rng) + 0.2,
        "log_noise": 0.2 * draw(rng) - 0.6,
        "mean": draw(rng),
    }
    return params, (draw(rng, 7, 2), draw(rng, 7))


def gp_grad(params: Any, x: Any, y: Any, slips: Any = ()) -> Any:
    p, x, y = arrays(params), np.asarray(x), np.asarray(y)
    scale, noise = np.exp(p["log_scale"]), np.exp(2 * p["log_noise"])
    squares = (x[:, None, :] - x[None, :, :]) ** 2 / scale**2
    k = np.exp(2 * p["log_amplitude"]) * np.exp(-0.5 * squares.sum(-1))
    total = k + noise * np.eye(len(y))
    inverse = np.linalg.inv(total)
    alpha = inverse @ (y - p["mean"])
    dk = 0.5 * (inverse - np.outer(alpha, alpha))
    if "no_log_det" in slips:
        dk = -0.5 * np.outer(alpha, alpha)
    if "ascent" in slips:
        dk = -dk
    if "symmetric_formula" in slips:  # 2 A - diag(A), then summed over all entries
        dk = 2 * dk - np.diag(np.diag(dk))
    grad_scale = np.einsum("ij,ij,ijd->d", dk, k, squares)
    if "through_distance" in slips:  # dk/d distance times d distance/d scale: 0/0 at i = j
        distance = np.sqrt(squares.sum(-1))
        with np.errstate(invalid="ignore"):
            slope = (-distance * k)[:, :, None] * (-squares / distance[:, :, None])
        grad_scale = np.einsum("ij,ijd->d", dk, slope)
    grad_amplitude = 2 * np.sum(dk * (total if "with_noise" in slips else k))
    grad_noise = 2 * noise * np.trace(dk)
    if "noise_without_two" in slips:
        grad_noise = noise * np.trace(dk)
    return {
        "log_scale": grad_scale,
        "log_amplitude": grad_amplitude,
        "log_noise": grad_noise,
        "mean": -alpha.sum(),
    }


def differences(loss: Any, params: Any, args: Any, step: float, kind: str) -> Any:
    value = jax.jit(loss)
    leaves, tree = jax.tree_util.tree_flatten(params)
    grads = []
    for i, leaf in enumerate(leaves):
        grad = np.zeros(np.shape(leaf))
        for index in np.ndindex(np.shape(leaf)):

            def at(h: float, i: int = i, leaf: Any = leaf, index: Any = index) -> float:
                moved = np.array(leaf)
                moved[index] += h
                return float(
                    value(jax.tree.unflatten(tree, [*leaves[:i], moved, *leaves[i + 1 :]]), *args)
                )

            if kind == "central":
                grad[index] = (at(step) - at(-step)) / (2 * step)
            elif kind == "forward":
                grad[index] = (at(step) - at(0.0)) / step
            else:  # forward, and divided as if it were central
                grad[index] = (at(step) - at(0.0)) / (2 * step)
        grads.append(grad)
    return jax.tree.unflatten(tree, grads)


def gp_big_step(params: Any, x: Any, y: Any) -> Any:
    return differences(gp_loss, params, (x, y), 0.5, "forward")


GP = Problem(
    "gaussian_process",
    gp_loss,
    gp_grad,
    gp_data,
    (
        Fault(
            "dropped_path",
            slip(gp_grad, "no_log_det"),
            ("log_scale", "log_amplitude", "log_noise"),
            line="gp_log_det",
        ),
        Fault("sign", slip(gp_grad, "ascent"), ("log_scale", "log_amplitude", "log_noise")),
        Fault(
            "scale",
            slip(gp_grad, "noise_without_two"),
            ("log_noise",),
            accept=("dropped_derivative",),
        ),
        Fault("nonfinite", slip(gp_grad, "through_distance"), ("log_scale",)),
        Fault(
            "wrong_point",
            slip(gp_grad, "with_noise"),
            ("log_amplitude",),
            line="gp_kernel",
            accept=("wrong_derivative",),
        ),
        Fault(
            "double_counted",
            slip(gp_grad, "symmetric_formula"),
            ("log_scale", "log_amplitude"),
            accept=("wrong_derivative",),
        ),
        Fault("numeric_step", gp_big_step, ("log_scale", "log_amplitude", "log_noise", "mean")),
    ),
)


# 3. A Kalman filter over several series at once, by scan; the gradient by sensitivities.


def kalman_loss(params: Any, series: Any) -> Any:
    a = params["a"]
    q = jnp.exp(params["log_q"])
    r = jnp.exp(params["log_r"])

    def step(carry: Any, y: Any) -> Any:
        m, p = carry
        m_ahead = a * m
        p_ahead = a**2 * p + q  # @kalman_variance_ahead
        s = p_ahead + r
        v = y - m_ahead
        gain = p_ahead / s  # @kalman_gain
        nll = 0.5 * (jnp.log(2 * jnp.pi * s) + v**2 / s)
        return (m_ahead + gain * v, (1 - gain) * p_ahead), nll

    start = (params["m0"], jnp.ones_like(params["m0"]))
    _, nlls = lax.scan(step, start, series)
    return jnp.sum(jnp.mean(nlls, axis=1))


def kalman_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "a": 0.8 + 0.1 * draw(rng),
        "log_q": 0.4 * draw(rng),
        "log_r": 0.4 * draw(rng),
        "m0": draw(rng, 3),
    }
    return params, (2 * draw(rng, 6, 3),)


def kalman_grad(params: Any, series: Any, slips: Any = ()) -> Any:
    theta, series = arrays(params), np.asarray(series)
    a, q, r = theta["a"], np.exp(theta["log_q"]), np.exp(theta["log_r"])
    n = series.shape[1]
    grads = {}
    for name in ("a", "log_q", "log_r", "m0"):
        m, p = theta["m0"], np.ones(n)
        dm, dp = np.full(n, 1.0 if name == "m0" else 0.0), np.zeros(n)
        total = np.zeros(n)
        for y in series:
            m_ahead, p_ahead = a * m, a**2 * p + q
            dm_ahead, dp_ahead = a * dm, a**2 * dp
            if name == "a":
                dm_ahead = dm_ahead + m
                dp_ahead = dp_ahead + (a if "square_without_two" in slips else 2 * a) * p
            if name == "log_q":
                dp_ahead = dp_ahead + q
            s, ds = p_ahead + r, dp_ahead + (r if name == "log_r" else 0.0)
            v, dv = y - m_ahead, -dm_ahead
            gain = p_ahead / s
            dgain = dp_ahead / s - p_ahead * ds / s**2
            if "gain_constant" in slips:
                dgain = np.zeros(n)
            total += 0.5 * ds / s + v * dv / s - 0.5 * v**2 * ds / s**2
            m, p = m_ahead + gain * v, (1 - gain) * p_ahead
            dm, dp = dm_ahead + dgain * v + gain * dv, (1 - gain) * dp_ahead - dgain * p_ahead
            if "not_carried" in slips:
                dm, dp = np.zeros(n), np.zeros(n)
        if "summed" not in slips:
            total = total / n
        per_series = name == "m0" and "m0_summed" not in slips
        grads[name] = total if per_series else total.sum()
    return grads


def kalman_one_after_another(params: Any, series: Any) -> Any:
    params, grads = dict(params), {}
    for name in ("a", "log_q", "log_r", "m0"):
        grads[name] = kalman_grad(params, series)[name]
        params[name] = params[name] - 0.1 * grads[name]
    return grads


KALMAN = Problem(
    "kalman_filter",
    kalman_loss,
    kalman_grad,
    kalman_data,
    (
        Fault(
            "dropped_path",
            slip(kalman_grad, "gain_constant"),
            ("a", "log_q", "log_r"),
            line="kalman_gain",
        ),
        Fault("dropped_path", slip(kalman_grad, "not_carried"), ("a", "log_q", "log_r", "m0")),
        Fault("shape", slip(kalman_grad, "m0_summed"), ("m0",)),
        Fault(
            "wrong_derivative",
            slip(kalman_grad, "square_without_two"),
            ("a",),
            line="kalman_variance_ahead",
            accept=("dropped_path",),
        ),
        Fault("scale", slip(kalman_grad, "summed"), ("a", "log_q", "log_r", "m0")),
        Fault("stale", kalman_one_after_another, ("log_q", "log_r", "m0")),
    ),
)


# 4. A gated recurrent unit that reads short sequences, with Huber's loss at the end.


def gate(p: Any, x: Any, h: Any) -> Any:
    return x @ p["w"] + h @ p["u"] + p["b"]  # @gru_gate


def gru_loss(params: Any, sequences: Any, y: Any) -> Any:
    h = jnp.zeros((sequences.shape[1], len(params["out"]["w"])))
    for x in sequences:
        z = jax.nn.sigmoid(gate(params["z"], x, h))  # @gru_update
        r = jax.nn.sigmoid(gate(params["r"], x, h))
        n = jnp.tanh(gate(params["n"], x, r * h))  # @gru_candidate
        h = (1 - z) * h + z * n  # @gru_mix
    error = jnp.abs(h @ params["out"]["w"] + params["out"]["b"] - y)
    return jnp.mean(jnp.where(error < 1, 0.5 * error**2, error - 0.5))


def gru_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    cell = {name: {"w": draw(rng, 2, 3), "u": draw(rng, 3, 3), "b": draw(rng, 3)} for name in "zrn"}
    out = {"w": draw(rng, 3), "b": draw(rng)}
    return {**cell, "out": out}, (draw(rng, 4, 6, 2), 2 * draw(rng, 6))


def gru_grad(params: Any, sequences: Any, y: Any, slips: Any = ()) -> Any:
    p, xs, y = arrays(params), np.asarray(sequences), np.asarray(y)
    h = np.zeros((xs.shape[1], len(p["out"]["w"])))
    steps = []
    for x in xs:
        z = logistic(x @ p["z"]["w"] + h @ p["z"]["u"] + p["z"]["b"])
        r = logistic(x @ p["r"]["w"] + h @ p["r"]["u"] + p["r"]["b"])
        n = np.tanh(x @ p["n"]["w"] + (r * h) @ p["n"]["u"] + p["n"]["b"])
        steps.append((x, h, z, r, n))
        h = (1 - z) * h + z * n
    delta = h @ p["out"]["w"] + p["out"]["b"] - y
    if "squared" not in slips:
        delta = np.clip(delta, -1, 1)
    delta = delta / len(y)
    grads = {k: {name: np.zeros_like(v) for name, v in p[k].items()} for k in p}
    grads["out"] = {"w": h.T @ delta, "b": delta.sum()}
    dh = np.outer(delta, p["out"]["w"])
    for x, h, z, r, n in reversed(steps):
        da = {}
        da["n"] = dh * z if "no_tanh_slope" in slips else dh * z * (1 - n**2)
        s = logistic(z) if "slope_at_gate" in slips else z
        da["z"] = dh * (n - h) * s * (1 - s)
        drh = da["n"] @ p["n"]["u"].T
        da["r"] = drh * h * r * (1 - r)
        for k in da:
            fed = r * h if k == "n" and "state_not_reset" not in slips else h
            grads[k]["w"] += x.T @ da[k]
            grads[k]["u"] += fed.T @ da[k]
            grads[k]["b"] += da[k].sum(0)
        kept = 0 if "kept_state_lost" in slips else dh * (1 - z)
        dh = kept + drh * r + da["z"] @ p["z"]["u"].T + da["r"] @ p["r"]["u"].T
    if "gates_swapped" in slips:
        grads["z"], grads["r"] = grads["r"], grads["z"]
    if "no_out_bias" in slips:
        grads["out"]["b"] = np.zeros_like(grads["out"]["b"])
    return grads


Z, R, N = (tuple(f"{k}.{name}" for name in ("w", "u", "b")) for k in "zrn")

GRU = Problem(
    "gated_recurrent_unit",
    gru_loss,
    gru_grad,
    gru_data,
    (
        Fault("dropped_path", slip(gru_grad, "kept_state_lost"), Z + R + N, line="gru_mix"),
        Fault("wrong_point", slip(gru_grad, "slope_at_gate"), Z + R + N, line="gru_update"),
        Fault("wrong_loss", slip(gru_grad, "squared"), (*Z, *R, *N, "out.w", "out.b")),
        Fault("wrong_point", slip(gru_grad, "state_not_reset"), ("n.u",), line="gru_gate"),
        Fault("swapped", slip(gru_grad, "gates_swapped"), Z + R),
        Fault(
            "dropped_derivative",
            slip(gru_grad, "no_tanh_slope", "no_out_bias"),
            (*Z, *R, *N, "out.b"),
            line="gru_candidate",
            also=("missing",),
            accept=("missing",),
        ),
    ),
)


# 5. A strided convolution in one dimension, max pooling, and a softmax with smoothed labels.

STRIDE, SMOOTHING, LEAK = 2, 0.15, 0.1


def conv_one(params: Any, x: Any, label: Any) -> Any:
    layout = ("NWC", "WIO", "NWC")
    w, stride = params["kernel"], (STRIDE,)
    maps = lax.conv_general_dilated(x[None], w, stride, "VALID", None, None, layout)  # @conv_conv
    maps = jax.nn.leaky_relu(maps[0] + params["offset"], LEAK)  # @conv_leaky
    pooled = jnp.max(maps.reshape(-1, 2, maps.shape[-1]), axis=1)  # @conv_pool
    logits = pooled.reshape(-1) @ params["w"] + params["b"]  # @conv_flatten
    classes = len(logits)
    target = (1 - SMOOTHING) * jax.nn.one_hot(label, classes) + SMOOTHING / classes
    return -jnp.sum(target * jax.nn.log_softmax(logits))


def conv_loss(params: Any, xs: Any, labels: Any) -> Any:
    return jnp.mean(jax.vmap(conv_one, (None, 0, 0))(params, xs, labels))


def conv_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "kernel": draw(rng, 3, 2, 4),
        "offset": draw(rng, 4),
        "w": draw(rng, 12, 3),
        "b": draw(rng, 3),
    }
    return params, (draw(rng, 7, 13, 2), jnp.asarray(rng.integers(0, 3, size=7), jnp.int32))


def conv_grad(params: Any, xs: Any, labels: Any, slips: Any = ()) -> Any:
    p, xs, labels = arrays(params), np.asarray(xs), np.asarray(labels)
    n, width, filters = len(xs), 6, p["kernel"].shape[2]
    maps = np.zeros((n, width, filters))
    for t in range(width):
        window = xs[:, STRIDE * t : STRIDE * t + 3]
        maps[:, t] = np.einsum("nkc,kcf->nf", window, p["kernel"]) + p["offset"]
    active = np.where(maps > 0, maps, LEAK * maps)
    grouped = active.reshape(n, 3, 2, filters)
    flat = grouped.max(2).reshape(n, -1)
    target = np.eye(3)[labels]
    if "hard_labels" not in slips:
        target = (1 - SMOOTHING) * target + SMOOTHING / 3
    delta = (softmax_rows(flat @ p["w"] + p["b"]) - target) / n
    dflat = delta @ p["w"].T
    if "channels_first" in slips:
        dpooled = dflat.reshape(n, filters, 3).transpose(0, 2, 1)
    else:
        dpooled = dflat.reshape(n, 3, filters)
    chosen = (grouped == grouped.max(2, keepdims=True)) * 1.0
    if "mean_pool" in slips:
        chosen = np.full_like(chosen, 0.5)
    dactive = (chosen * dpooled[:, :, None, :]).reshape(n, width, filters)
    if "slope_at_error" in slips:
        dmaps = np.where(dactive > 0, dactive, LEAK * dactive)
    elif "no_slope" in slips:
        dmaps = dactive
    else:
        dmaps = np.where(maps > 0, dactive, LEAK * dactive)
    grad_kernel = np.zeros_like(p["kernel"])
    for t in range(width):
        first = t if "no_stride" in slips else STRIDE * t
        grad_kernel += np.einsum("nkc,nf->kcf", xs[:, first : first + 3], dmaps[:, t])
    if "kernel_flipped" in slips:
        grad_kernel = grad_kernel[::-1]
    grad_b = delta.sum(0)
    if "b_not_averaged" in slips:
        grad_b = n * grad_b
    grad_offset = dmaps.sum((0, 1))
    return {"kernel": grad_kernel, "offset": grad_offset, "w": flat.T @ delta, "b": grad_b}


CONV = Problem(
    "convolution",
    conv_loss,
    conv_grad,
    conv_data,
    (
        Fault("wrong_loss", slip(conv_grad, "hard_labels"), ("kernel", "offset", "w", "b")),
        Fault(
            "wrong_derivative", slip(conv_grad, "mean_pool"), ("kernel", "offset"), line="conv_pool"
        ),
        Fault(
            "wrong_derivative",
            slip(conv_grad, "no_stride"),
            ("kernel",),
            line="conv_conv",
            accept=("wrong_point",),
        ),
        Fault(
            "transpose",
            slip(conv_grad, "kernel_flipped"),
            ("kernel",),
            accept=("wrong_derivative",),
        ),
        Fault(
            "wrong_point",
            slip(conv_grad, "slope_at_error"),
            ("kernel", "offset"),
            line="conv_leaky",
        ),
        Fault(
            "transpose",
            slip(conv_grad, "channels_first"),
            ("kernel", "offset"),
            line="conv_flatten",
        ),
        Fault(
            "dropped_derivative",
            slip(conv_grad, "no_slope", "b_not_averaged"),
            ("kernel", "offset", "b"),
            line="conv_leaky",
            also=("scale",),
            accept=("scale",),
        ),
    ),
)


# 6. Causal two-head attention with a residual; each output's error is divided by its spread.

SPREAD = np.array([0.5, 1.5, 2.0, 0.8])


def attention(params: Any, x: Any) -> Any:
    q = jnp.einsum("td,dhe->hte", x, params["wq"])
    k = jnp.einsum("td,dhe->hte", x, params["wk"])
    v = jnp.einsum("td,dhe->hte", x, params["wv"])
    scores = jnp.einsum("hte,hse->hts", q, k)  # @attn_scores
    scores = scores / jnp.sqrt(q.shape[-1])
    causal = jnp.tril(jnp.ones((len(x), len(x)), bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -1e9), axis=-1)  # @attn_softmax
    heads = jnp.einsum("hts,hse->hte", weights, v)
    return x + jnp.einsum("hte,hed->td", heads, params["wo"])  # @attn_output


def attention_loss(params: Any, x: Any, y: Any) -> Any:
    error = (jax.vmap(attention, (None, 0))(params, x) - y) / SPREAD  # @attn_spread
    return jnp.mean(error**2)


def attention_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {name: draw(rng, 4, 2, 3) for name in ("wq", "wk", "wv")}
    return {**params, "wo": draw(rng, 2, 3, 4)}, (draw(rng, 3, 5, 4), draw(rng, 3, 5, 4))


def attention_grad(params: Any, x: Any, y: Any, slips: Any = ()) -> Any:
    p, x, y = arrays(params), np.asarray(x), np.asarray(y)
    q, k, v = (np.einsum("ntd,dhe->nhte", x, p[name]) for name in ("wq", "wk", "wv"))
    root = np.sqrt(q.shape[-1])
    scores = np.einsum("nhte,nhse->nhts", q, k) / root
    if "no_mask" not in slips:
        scores = np.where(np.tri(x.shape[1], dtype=bool), scores, -np.inf)
    a = softmax_rows(scores)
    heads = a @ v
    out = x + np.einsum("nhte,hed->ntd", heads, p["wo"])
    delta = 2 * (out - y) / (SPREAD if "spread_once" in slips else SPREAD**2) / y.size
    dwo = np.einsum("nhte,ntd->hed", heads, delta)
    if "mean_heads" in slips:
        dwo = np.einsum("hte,td->hed", heads.mean(0), delta.sum(0))
    dheads = np.einsum("ntd,hed->nhte", delta, p["wo"])
    dv = a.transpose(0, 1, 3, 2) @ dheads
    da = dheads @ v.transpose(0, 1, 3, 2)
    ds = a * (da - np.sum(a * da, axis=-1, keepdims=True))
    if "diagonal" in slips:
        ds = a * (1 - a) * da
    ds = ds / root
    dq = ds @ k
    dk = (ds if "keys_not_transposed" in slips else ds.transpose(0, 1, 3, 2)) @ q
    dwq, dwk, dwv = (np.einsum("ntd,nhte->dhe", x, d) for d in (dq, dk, dv))
    if "swapped" in slips:
        dwq, dwk = dwk, dwq
    if "last_head" in slips:
        for d in (dwq, dwk, dwv):
            d[:, 0] = 0
        dwo[0] = 0
    return {"wq": dwq, "wk": dwk, "wv": dwv, "wo": dwo}


ATTENTION = Problem(
    "two_head_attention",
    attention_loss,
    attention_grad,
    attention_data,
    (
        Fault(
            "dropped_path",
            slip(attention_grad, "diagonal"),
            ("wq", "wk"),
            line="attn_softmax",
            accept=("wrong_derivative",),
        ),
        Fault(
            "dropped_derivative",
            slip(attention_grad, "spread_once"),
            ("wq", "wk", "wv", "wo"),
            line="attn_spread",
            accept=("scale",),
        ),
        Fault(
            "transpose",
            slip(attention_grad, "keys_not_transposed"),
            ("wk",),
            line="attn_scores",
            accept=("wrong_derivative",),
        ),
        Fault("swapped", slip(attention_grad, "swapped"), ("wq", "wk")),
        Fault("partial_entries", slip(attention_grad, "last_head"), ("wq", "wk", "wv", "wo")),
        Fault(
            "wrong_loss",
            slip(attention_grad, "no_mask"),
            ("wq", "wk", "wv", "wo"),
            line="attn_softmax",
            accept=("wrong_point",),
        ),
        Fault(
            "premature_average",
            slip(attention_grad, "mean_heads"),
            ("wo",),
            line="attn_output",
        ),
    ),
)


# 7. Residual blocks with root-mean-square norm and dropout masks, for a quantile.

KEEP, QUANTILE = 0.7, 0.8


def rms_norm(x: Any, gain: Any) -> Any:
    size = jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-5)
    return gain * x / size  # @residual_norm


def residual_loss(params: Any, x: Any, masks: Any, y: Any) -> Any:
    *blocks, head = params
    for block, mask in zip(blocks, masks, strict=True):
        normed = rms_norm(x, block["g"])
        hidden = jax.nn.silu(normed @ block["w1"] + block["b1"])  # @residual_silu
        hidden = hidden * mask / KEEP  # @residual_dropout
        x = x + hidden @ block["w2"] + block["b2"]  # @residual_add
    error = y - (x @ head["w"] + head["b"])
    return jnp.mean(jnp.maximum(QUANTILE * error, (QUANTILE - 1) * error))  # @residual_pinball


def residual_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params: list[Any] = [
        {
            "g": draw(rng, 4),
            "w1": draw(rng, 4, 5),
            "b1": draw(rng, 5),
            "w2": 0.5 * draw(rng, 5, 4),
            "b2": draw(rng, 4),
        }
        for _ in range(2)
    ]
    params.append({"w": draw(rng, 4), "b": draw(rng)})
    masks = jnp.asarray(rng.uniform(size=(2, 8, 5)) < KEEP, jnp.float32)
    return params, (draw(rng, 8, 4), masks, 2 * draw(rng, 8))


def residual_grad(params: Any, x: Any, masks: Any, y: Any, slips: Any = ()) -> Any:
    (*blocks, head), x, masks, y = arrays(params), np.asarray(x), np.asarray(masks), np.asarray(y)
    tape = []
    for block, mask in zip(blocks, masks, strict=True):
        size = np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-5)
        unit = x / size
        a = (unit * block["g"]) @ block["w1"] + block["b1"]
        hidden = a * logistic(a) * mask / KEEP
        tape.append((size, unit, a, hidden))
        x = x + hidden @ block["w2"] + block["b2"]
    error = y - (x @ head["w"] + head["b"])
    tau = 1 - QUANTILE if "other_quantile" in slips else QUANTILE
    delta = np.where(error > 0, -tau, 1 - tau) / len(y)
    grads: list[Any] = [{"w": x.T @ delta, "b": delta.sum()}]
    dx = np.outer(delta, head["w"])
    for i in (1, 0):
        block, (size, unit, a, hidden) = blocks[i], tape[i]
        grad = {"w2": hidden.T @ dx, "b2": dx if "b2_not_summed" in slips else dx.sum(0)}
        mask = masks[0] if "first_mask" in slips else masks[i]
        dhidden = (dx @ block["w2"].T) * mask
        if "no_keep" not in slips:
            dhidden = dhidden / KEEP
        s = logistic(a)
        slope = s + a * s * (1 - s)
        if "sigmoid_slope" in slips:
            slope = s * (1 - s)
        if "divided_by_mask" in slips:
            with np.errstate(invalid="ignore"):
                slope = s + (hidden * KEEP / masks[i]) * (1 - s)
        da = dhidden * slope
        dnormed = da @ block["w1"].T
        grad["w1"], grad["b1"] = (unit * block["g"]).T @ da, da.sum(0)
        grad["g"] = np.sum(dnormed * unit, axis=0)
        dunit = dnormed * block["g"]
        through = (dunit - unit * np.mean(dunit * unit, axis=1, keepdims=True)) / size
        if "size_constant" in slips:
            through = dunit / size
        dx = (2 * dx if "skip_twice" in slips else dx) + through
        grads.insert(0, grad)
    return grads


BLOCK0 = ("0.g", "0.w1", "0.b1", "0.w2", "0.b2")

RESIDUAL = Problem(
    "residual_quantile",
    residual_loss,
    residual_grad,
    residual_data,
    (
        Fault("dropped_path", slip(residual_grad, "size_constant"), BLOCK0, line="residual_norm"),
        Fault("double_counted", slip(residual_grad, "skip_twice"), BLOCK0, line="residual_add"),
        Fault(
            "wrong_point",
            slip(residual_grad, "first_mask"),
            (*BLOCK0, "1.g", "1.w1", "1.b1"),
            line="residual_dropout",
        ),
        Fault(
            "wrong_derivative",
            slip(residual_grad, "sigmoid_slope"),
            (*BLOCK0, "1.g", "1.w1", "1.b1"),
            line="residual_silu",
        ),
        Fault(
            "wrong_loss",
            slip(residual_grad, "other_quantile"),
            (*BLOCK0, "1.g", "1.w1", "1.b1", "1.w2", "1.b2", "2.w", "2.b"),
            line="residual_pinball",
            accept=("wrong_derivative",),
        ),
        Fault(
            "nonfinite",
            slip(residual_grad, "divided_by_mask"),
            (*BLOCK0, "1.g", "1.w1", "1.b1"),
        ),
        Fault(
            "dropped_derivative",
            slip(residual_grad, "no_keep", "b2_not_summed"),
            (*BLOCK0, "1.g", "1.w1", "1.b1", "1.b2"),
            line="residual_dropout",
            also=("shape",),
            accept=("shape",),
        ),
    ),
)


# 8. Skip-gram with negative samples; the contexts are padded with word 0.

PAD = 0


def skipgram_one(v: Any, contexts: Any, valid: Any, negatives: Any) -> Any:
    positive = jax.nn.log_sigmoid(contexts @ v)
    negative = jax.nn.log_sigmoid(-(negatives @ v))  # @skipgram_negative
    return -jnp.sum(positive * valid) - jnp.sum(negative)  # @skipgram_mask


def skipgram_loss(params: Any, centers: Any, contexts: Any, negatives: Any) -> Any:
    inner, outer = params
    v = inner[centers]  # @skipgram_centers
    valid = (contexts != PAD).astype(v.dtype)
    terms = jax.vmap(skipgram_one)(v, outer[contexts], valid, outer[negatives])
    return jnp.mean(terms)


def skipgram_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    centers = rng.integers(1, 7, size=9)
    contexts = rng.integers(1, 7, size=(9, 3))
    contexts[rng.permutation(9)[:4], 2] = PAD
    negatives = rng.integers(0, 7, size=(9, 4))
    negatives[0, 0] = PAD
    words = tuple(jnp.asarray(a, jnp.int32) for a in (centers, contexts, negatives))
    return (draw(rng, 7, 4), draw(rng, 7, 4)), words


def skipgram_grad(params: Any, centers: Any, contexts: Any, negatives: Any, slips: Any = ()) -> Any:
    inner, outer = arrays(params)
    centers, contexts, negatives = arrays((centers, contexts, negatives))
    n = len(centers)
    grad_inner, grad_outer = np.zeros_like(inner), np.zeros_like(outer)
    rows = np.zeros((n, inner.shape[1]))
    for i in range(n):
        v = inner[centers[i]]
        for word in contexts[i]:
            if word == PAD and "pads_count" not in slips:
                continue
            coefficient = logistic(outer[word] @ v) - 1
            rows[i] += coefficient * outer[word] / n
            grad_outer[word] += coefficient * v / n
        for word in negatives[i]:
            coefficient = logistic(outer[word] @ v)
            if "negative_sign" in slips:
                coefficient = -coefficient
            rows[i] += coefficient * outer[word] / n
            grad_outer[word] += coefficient * v / n
    if "repeated_rows_lost" in slips:
        grad_inner[centers] += rows
    else:
        np.add.at(grad_inner, centers, rows)
    if "pad_row_cleared" in slips:
        grad_outer[PAD] = 0
    if "swapped" in slips:
        return grad_outer, grad_inner
    return grad_inner, grad_outer


def skipgram_inner_first(params: Any, centers: Any, contexts: Any, negatives: Any) -> Any:
    inner, outer = params
    grad_inner, _ = skipgram_grad((inner, outer), centers, contexts, negatives)
    inner = inner - 0.5 * grad_inner
    _, grad_outer = skipgram_grad((inner, outer), centers, contexts, negatives)
    return grad_inner, grad_outer


SKIPGRAM = Problem(
    "skip_gram",
    skipgram_loss,
    skipgram_grad,
    skipgram_data,
    (
        Fault(
            "dropped_path",
            slip(skipgram_grad, "repeated_rows_lost"),
            ("0",),
            line="skipgram_centers",
            accept=("partial_batch", "wrong_derivative"),
        ),
        Fault(
            "sign",
            slip(skipgram_grad, "negative_sign"),
            ("0", "1"),
            line="skipgram_negative",
            accept=("wrong_derivative",),
        ),
        Fault(
            "dropped_derivative",
            slip(skipgram_grad, "pads_count"),
            ("0", "1"),
            line="skipgram_mask",
            accept=("wrong_loss",),
        ),
        Fault("stale", skipgram_inner_first, ("1",)),
        Fault("swapped", slip(skipgram_grad, "swapped"), ("0", "1")),
        Fault("partial_entries", slip(skipgram_grad, "pad_row_cleared"), ("1",)),
    ),
)


# 9. InfoNCE in both directions, on the unit sphere, with a temperature that is learnt.


def on_sphere(z: Any) -> Any:
    return z / jnp.linalg.norm(z, axis=1, keepdims=True)  # @nce_norm


def nce_loss(params: Any, images: Any, texts: Any) -> Any:
    image_vectors = images @ params["image"]  # @nce_image
    a, b = on_sphere(image_vectors), on_sphere(texts @ params["text"])
    logits = a @ b.T  # @nce_logits
    logits = logits / jnp.exp(params["log_temperature"])  # @nce_temperature
    pairs = jnp.arange(len(a))
    rows = -jnp.mean(jax.nn.log_softmax(logits, axis=1)[pairs, pairs])
    columns = -jnp.mean(jax.nn.log_softmax(logits, axis=0)[pairs, pairs])  # @nce_columns
    return (rows + columns) / 2


def nce_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "image": draw(rng, 4, 3),
        "text": draw(rng, 5, 3),
        "log_temperature": 0.2 * draw(rng) - 0.7,
    }
    return params, (draw(rng, 6, 4), draw(rng, 6, 5))


def nce_grad(params: Any, images: Any, texts: Any, slips: Any = ()) -> Any:
    p, images, texts = arrays(params), np.asarray(images), np.asarray(texts)
    n, temperature = len(images), np.exp(p["log_temperature"])
    raw = {"image": images @ p["image"], "text": texts @ p["text"]}
    norm = {k: np.linalg.norm(v, axis=1, keepdims=True) for k, v in raw.items()}
    a, b = raw["image"] / norm["image"], raw["text"] / norm["text"]
    logits = a @ b.T / temperature
    dlogits = (softmax_rows(logits) - np.eye(n)) / (2 * n)
    if "rows_only" not in slips:
        dlogits = dlogits + (softmax_rows(logits.T).T - np.eye(n)) / (2 * n)
    if "not_halved" in slips:
        dlogits = 2 * dlogits
    dcosine = dlogits if "no_temperature" in slips else dlogits / temperature
    dunit = {"image": dcosine @ b, "text": dcosine.T @ a}
    if "text_not_transposed" in slips:
        dunit["text"] = dcosine @ a
    draw_ = {}
    for k, unit in (("image", a), ("text", b)):
        inner = np.sum(dunit[k] * unit, axis=1, keepdims=True)
        draw_[k] = (dunit[k] - unit * inner) / norm[k]
        if "norm_constant" in slips:
            draw_[k] = dunit[k] / norm[k]
        if "no_norm" in slips:
            draw_[k] = dunit[k]
    grad_image = images.T @ draw_["image"]
    if "mean_image" in slips:
        grad_image = np.outer(images.mean(0), draw_["image"].sum(0))
    grad_temperature = -np.sum(dlogits * logits)
    if "temperature_sign" in slips:
        grad_temperature = -grad_temperature
    return {
        "image": grad_image,
        "text": texts.T @ draw_["text"],
        "log_temperature": grad_temperature,
    }


NCE = Problem(
    "info_nce",
    nce_loss,
    nce_grad,
    nce_data,
    (
        Fault("scale", slip(nce_grad, "not_halved"), ("image", "text", "log_temperature")),
        Fault("dropped_derivative", slip(nce_grad, "no_norm"), ("image", "text"), line="nce_norm"),
        Fault(
            "dropped_path",
            slip(nce_grad, "rows_only"),
            ("image", "text", "log_temperature"),
            line="nce_columns",
        ),
        Fault(
            "dropped_derivative",
            slip(nce_grad, "no_temperature"),
            ("image", "text"),
            line="nce_temperature",
        ),
        Fault("premature_average", slip(nce_grad, "mean_image"), ("image",), line="nce_image"),
        Fault("transpose", slip(nce_grad, "text_not_transposed"), ("text",), line="nce_logits"),
        Fault(
            "dropped_path",
            slip(nce_grad, "norm_constant", "temperature_sign"),
            ("image", "text", "log_temperature"),
            line="nce_norm",
            also=("sign",),
            accept=("sign",),
        ),
    ),
)


# 10. The evidence bound of a variational autoencoder, with the noise given.


def vae_loss(params: Any, x: Any, noise: Any) -> Any:
    encoder, decoder = params["encoder"], params["decoder"]
    h = jnp.tanh(x @ encoder["w"] + encoder["b"])  # @vae_encode
    mean = h @ encoder["mean_w"] + encoder["mean_b"]
    logvar = h @ encoder["logvar_w"] + encoder["logvar_b"]
    z = mean + jnp.exp(0.5 * logvar) * noise  # @vae_sample
    g = jnp.tanh(z @ decoder["w1"] + decoder["b1"])  # @vae_decode
    logits = g @ decoder["w2"] + decoder["b2"]
    reconstruction = jnp.sum(jax.nn.softplus(logits) - x * logits, axis=1)  # @vae_entropy
    kl = -0.5 * jnp.sum(1 + logvar - mean**2 - jnp.exp(logvar), axis=1)  # @vae_kl
    return jnp.mean(reconstruction + kl)


def vae_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    encoder = {
        "w": draw(rng, 6, 5),
        "b": draw(rng, 5),
        "mean_w": 0.4 * draw(rng, 5, 2),
        "mean_b": draw(rng, 2),
        "logvar_w": 0.7 * draw(rng, 5, 2),
        "logvar_b": 0.4 * draw(rng, 2),
    }
    decoder = {
        "w1": draw(rng, 2, 5),
        "b1": draw(rng, 5),
        "w2": draw(rng, 5, 6),
        "b2": draw(rng, 6),
    }
    x = jnp.asarray(rng.uniform(size=(7, 6)), jnp.float32)
    return {"encoder": encoder, "decoder": decoder}, (x, draw(rng, 7, 2))


def vae_grad(params: Any, x: Any, noise: Any, slips: Any = ()) -> Any:
    p, x, noise = arrays(params), np.asarray(x), np.asarray(noise)
    e, d, n = p["encoder"], p["decoder"], len(x)
    h = np.tanh(x @ e["w"] + e["b"])
    mean, logvar = h @ e["mean_w"] + e["mean_b"], h @ e["logvar_w"] + e["logvar_b"]
    std = np.exp(logvar / 2)
    a = (mean + std * noise) @ d["w1"] + d["b1"]
    g = np.tanh(a)
    output = logistic(g @ d["w2"] + d["b2"])
    delta = (output - x) / n
    if "slope_again" in slips:
        delta = delta * output * (1 - output)
    da = (delta @ d["w2"].T) * (1 - (a if "slope_at_sum" in slips else g) ** 2)
    dz = da @ d["w1"].T
    dmean = dz + mean / n
    dlogvar_kl = 0.5 * (np.exp(logvar) - 1) / n
    if "variance_kl_sign" in slips:
        dlogvar_kl = -dlogvar_kl
    dlogvar = 0.5 * dz * noise * std
    if "no_half" in slips:
        dlogvar = dz * noise * std
    if "noise_path_lost" in slips:
        dlogvar = np.zeros_like(dz)
    dlogvar = dlogvar + dlogvar_kl
    dh = dmean @ e["mean_w"].T + dlogvar @ e["logvar_w"].T
    dsum = dh if "no_encoder_slope" in slips else dh * (1 - h**2)
    grad_b2 = delta.sum(0)
    if "b2_not_averaged" in slips:
        grad_b2 = n * grad_b2
    return {
        "encoder": {
            "w": x.T @ dsum,
            "b": dsum.sum(0),
            "mean_w": h.T @ dmean,
            "mean_b": dmean.sum(0),
            "logvar_w": h.T @ dlogvar,
            "logvar_b": dlogvar.sum(0),
        },
        "decoder": {
            "w1": (mean + std * noise).T @ da,
            "b1": da.sum(0),
            "w2": g.T @ delta,
            "b2": grad_b2,
        },
    }


ENCODER_BODY = ("encoder.w", "encoder.b")
ENCODER_MEAN = ("encoder.mean_w", "encoder.mean_b")
ENCODER_LOGVAR = ("encoder.logvar_w", "encoder.logvar_b")
ENCODER = ENCODER_BODY + ENCODER_MEAN + ENCODER_LOGVAR

VAE = Problem(
    "variational_autoencoder",
    vae_loss,
    vae_grad,
    vae_data,
    (
        Fault(
            "dropped_path",
            slip(vae_grad, "noise_path_lost"),
            ENCODER_BODY + ENCODER_LOGVAR,
            line="vae_sample",
        ),
        Fault(
            "dropped_derivative",
            slip(vae_grad, "no_half"),
            ENCODER_BODY + ENCODER_LOGVAR,
            line="vae_sample",
            accept=("wrong_derivative", "double_counted"),
        ),
        Fault(
            "sign",
            slip(vae_grad, "variance_kl_sign"),
            ENCODER_BODY + ENCODER_LOGVAR,
            line="vae_kl",
            accept=("wrong_derivative",),
        ),
        Fault(
            "double_counted",
            slip(vae_grad, "slope_again"),
            (*ENCODER, "decoder.w1", "decoder.b1", "decoder.w2", "decoder.b2"),
            line="vae_entropy",
            accept=("wrong_loss", "wrong_derivative"),
        ),
        Fault(
            "wrong_point",
            slip(vae_grad, "slope_at_sum"),
            (*ENCODER, "decoder.w1", "decoder.b1"),
            line="vae_decode",
        ),
        Fault(
            "dropped_derivative",
            slip(vae_grad, "no_encoder_slope", "b2_not_averaged"),
            (*ENCODER_BODY, "decoder.b2"),
            line="vae_encode",
            also=("scale",),
            accept=("scale",),
        ),
    ),
)


# 11. A mixture density network.


def mdn_loss(params: Any, x: Any, y: Any) -> Any:
    def head(name: str, h: Any) -> Any:
        w, b = params[name]
        return h @ w + b

    h = jnp.tanh(head("hidden", x))  # @mdn_hidden
    log_prior = jax.nn.log_softmax(head("prior", h))
    sigma = jnp.exp(head("log_sigma", h))
    z = (y[:, None] - head("mu", h)) / sigma  # @mdn_standard
    log_density = -0.5 * z**2 - jnp.log(sigma) - 0.5 * jnp.log(2 * jnp.pi)  # @mdn_density
    return -jnp.mean(logsumexp(log_prior + log_density, axis=1))  # @mdn_mixture


def mdn_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "hidden": (draw(rng, 2, 4), draw(rng, 4)),
        "prior": (draw(rng, 4, 3), draw(rng, 3)),
        "mu": (draw(rng, 4, 3), draw(rng, 3)),
        "log_sigma": (0.3 * draw(rng, 4, 3), 0.3 * draw(rng, 3)),
    }
    return params, (draw(rng, 8, 2), draw(rng, 8))


def mdn_grad(params: Any, x: Any, y: Any, slips: Any = ()) -> Any:
    p, x, y = arrays(params), np.asarray(x), np.asarray(y)
    if "first_example" in slips:
        x, y = x[:1], y[:1]
    h = np.tanh(x @ p["hidden"][0] + p["hidden"][1])
    prior = softmax_rows(h @ p["prior"][0] + p["prior"][1])
    mu = h @ p["mu"][0] + p["mu"][1]
    sigma = np.exp(h @ p["log_sigma"][0] + p["log_sigma"][1])
    z = (y[:, None] - mu) / sigma
    joint = prior * np.exp(-0.5 * z**2) / sigma
    share = joint / joint.sum(1, keepdims=True)
    if "winner_takes_all" in slips:
        share = (share == share.max(1, keepdims=True)) * 1.0
    weight = prior if "prior_for_share" in slips else share
    delta = {
        "prior": prior - share,
        "mu": -weight * z / sigma,
        "log_sigma": weight * (1 - z**2),
    }
    if "one_sigma" in slips:
        delta["mu"] = -weight * z
    if "no_log_sigma" in slips:
        delta["log_sigma"] = -weight * z**2
    delta = {k: v / len(y) for k, v in delta.items()}
    dh = sum(v @ p[k][0].T for k, v in delta.items())
    dsum = dh * (1 - h**2)
    if "slope_twice" in slips:
        dsum = dsum * (1 - h**2)
    grads = {k: (h.T @ v, v.sum(0)) for k, v in delta.items()}
    if "sigma_forgotten" in slips:
        grads["log_sigma"] = tuple(np.zeros_like(v) for v in p["log_sigma"])
    return {**grads, "hidden": (x.T @ dsum, dsum.sum(0))}


def both(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}.{i}" for name in names for i in (0, 1))


MDN = Problem(
    "mixture_density",
    mdn_loss,
    mdn_grad,
    mdn_data,
    (
        Fault(
            "wrong_point",
            slip(mdn_grad, "prior_for_share"),
            both("hidden", "mu", "log_sigma"),
            line="mdn_mixture",
            accept=("wrong_derivative",),
        ),
        Fault(
            "dropped_derivative",
            slip(mdn_grad, "one_sigma"),
            both("hidden", "mu"),
            line="mdn_standard",
        ),
        Fault(
            "dropped_path",
            slip(mdn_grad, "no_log_sigma"),
            both("hidden", "log_sigma"),
            line="mdn_density",
        ),
        Fault("missing", slip(mdn_grad, "sigma_forgotten"), both("log_sigma")),
        Fault(
            "wrong_derivative",
            slip(mdn_grad, "winner_takes_all"),
            both("hidden", "prior", "mu", "log_sigma"),
            line="mdn_mixture",
            accept=("wrong_loss",),
        ),
        Fault("double_counted", slip(mdn_grad, "slope_twice"), both("hidden"), line="mdn_hidden"),
        Fault(
            "partial_batch",
            slip(mdn_grad, "first_example"),
            both("hidden", "prior", "mu", "log_sigma"),
        ),
    ),
)


# 12. A graph convolution with a focal loss on the labelled nodes, and decay of its first weights.

GAMMA, DECAY = 2.0, 0.05


def propagate(adjacency: Any, h: Any) -> Any:
    linked = adjacency + jnp.eye(len(adjacency))
    averaging = linked / linked.sum(1, keepdims=True)
    return averaging @ h  # @graph_propagate


def graph_loss(params: Any, adjacency: Any, x: Any, labels: Any, labelled: Any) -> Any:
    first, second = params
    hidden = propagate(adjacency, x @ first["w"]) + first["b"]
    hidden = jax.nn.relu(hidden)  # @graph_relu
    logits = propagate(adjacency, hidden @ second["w"]) + second["b"]
    p = jax.nn.softmax(logits)[jnp.arange(len(x)), labels]
    focal = -((1 - p) ** GAMMA) * jnp.log(p)  # @graph_focal
    decay = DECAY * jnp.sum(first["w"] ** 2)
    return jnp.sum(labelled * focal) / jnp.sum(labelled) + decay


def graph_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = [
        {"w": draw(rng, 4, 6), "b": 0.5 * draw(rng, 6)},
        {"w": draw(rng, 6, 3), "b": draw(rng, 3)},
    ]
    upper = np.triu(rng.uniform(size=(9, 9)) < 0.35, 1)
    upper[:4, 8] = True
    adjacency = jnp.asarray(upper | upper.T, jnp.float32)
    labels = jnp.asarray(rng.integers(0, 3, size=9), jnp.int32)
    labelled = jnp.asarray(rng.permutation(9) < 6, jnp.float32)
    return params, (adjacency, draw(rng, 9, 4), labels, labelled)


def graph_grad(
    params: Any, adjacency: Any, x: Any, labels: Any, labelled: Any, slips: Any = ()
) -> Any:
    (first, second), adjacency, x = arrays(params), np.asarray(adjacency), np.asarray(x)
    labels, labelled = np.asarray(labels), np.asarray(labelled)
    a = adjacency + np.eye(len(x))
    a = a / a.sum(1, keepdims=True)
    back = a if "not_transposed" in slips else a.T
    raw = x @ first["w"]
    summed = a @ raw + first["b"]
    hidden = np.maximum(summed, 0)
    probabilities = softmax_rows(a @ hidden @ second["w"] + second["b"])
    truth = np.eye(3)[labels]
    p = np.sum(probabilities * truth, axis=1)
    dp = GAMMA * (1 - p) ** (GAMMA - 1) * np.log(p) - (1 - p) ** GAMMA / p
    if "weight_constant" in slips:
        dp = -((1 - p) ** GAMMA) / p
    if "cross_entropy" in slips:
        dp = -1 / p
    delta = (labelled * dp * p)[:, None] * (truth - probabilities) / labelled.sum()
    spread = delta if "no_propagation" in slips else back @ delta
    grad_w1 = hidden.T @ (delta if "no_propagation" in slips else a.T @ delta)
    dhidden = spread @ second["w"].T
    if "mask_before_neighbours" in slips:
        dsummed = dhidden * (raw > 0)
    elif "no_relu" in slips:
        dsummed = dhidden
    else:
        dsummed = dhidden * (summed > 0)
    decay = DECAY if "decay_halved" in slips else 2 * DECAY
    grad_b0 = dsummed.sum(0)
    if "bias_decays" in slips:
        grad_b0 = grad_b0 + 2 * DECAY * first["b"]
    grad_w0 = x.T @ (back @ dsummed) + decay * first["w"]
    return [{"w": grad_w0, "b": grad_b0}, {"w": grad_w1, "b": delta.sum(0)}]


GRAPH = Problem(
    "graph_convolution",
    graph_loss,
    graph_grad,
    graph_data,
    (
        Fault(
            "dropped_derivative",
            slip(graph_grad, "no_propagation"),
            ("0.w", "0.b", "1.w"),
            line="graph_propagate",
        ),
        Fault(
            "transpose", slip(graph_grad, "not_transposed"), ("0.w", "0.b"), line="graph_propagate"
        ),
        Fault(
            "wrong_point",
            slip(graph_grad, "mask_before_neighbours"),
            ("0.w", "0.b"),
            line="graph_relu",
        ),
        Fault(
            "dropped_path",
            slip(graph_grad, "weight_constant"),
            ("0.w", "0.b", "1.w", "1.b"),
            line="graph_focal",
        ),
        Fault("wrong_loss", slip(graph_grad, "cross_entropy"), ("0.w", "0.b", "1.w", "1.b")),
        Fault("regularization", slip(graph_grad, "bias_decays"), ("0.b",)),
        Fault(
            "dropped_derivative",
            slip(graph_grad, "no_relu", "decay_halved"),
            ("0.w", "0.b"),
            line="graph_relu",
            also=("regularization",),
            accept=("regularization",),
        ),
    ),
)


# 13. A hidden Markov model by the forward algorithm; the gradient from expected counts.


def hmm_loss(params: Any, sequences: Any) -> Any:
    start = jax.nn.log_softmax(params["start"])
    move = jax.nn.log_softmax(params["move"], axis=1)  # @hmm_move
    emit = jax.nn.log_softmax(params["emit"], axis=1)

    def step(alpha: Any, symbol: Any) -> Any:
        arrived = logsumexp(alpha[:, None] + move, axis=0)
        return arrived + emit[:, symbol], None

    def log_likelihood(symbols: Any) -> Any:
        first = start + emit[:, symbols[0]]  # @hmm_first
        alpha, _ = lax.scan(step, first, symbols[1:])
        return logsumexp(alpha)

    return -jnp.mean(jax.vmap(log_likelihood)(sequences))


def hmm_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {"start": draw(rng, 3), "move": draw(rng, 3, 3), "emit": draw(rng, 3, 4)}
    return params, (jnp.asarray(rng.integers(0, 4, size=(4, 5)), jnp.int32),)


def hmm_grad(params: Any, sequences: Any, slips: Any = ()) -> Any:
    p, sequences = arrays(params), np.asarray(sequences)
    if "last_sequence" in slips:
        sequences = sequences[-1:]
    pi, a, b = (softmax_rows(p[k]) for k in ("start", "move", "emit"))
    starts, moves, emits = np.zeros_like(pi), np.zeros_like(a), np.zeros_like(b)
    for o in sequences:
        alpha, beta = [pi * b[:, o[0]]], [np.ones_like(pi)]
        for s in o[1:]:
            alpha.append((alpha[-1] @ a) * b[:, s])
        for s in o[:0:-1]:
            beta.insert(0, a @ (b[:, s] * beta[0]))
        likelihood = alpha[-1].sum()
        posterior = [f * g / likelihood for f, g in zip(alpha, beta, strict=True)]
        starts += posterior[0]
        for t, s in enumerate(o):
            emits[:, s] += posterior[t]
            if t > 0:
                moves += np.outer(alpha[t - 1], b[:, s] * beta[t]) * a / likelihood
        if "first_symbol_twice" in slips:
            emits[:, o[0]] += posterior[0]
    n = len(sequences)
    grad_start = -(starts - n * pi) / n
    grad_move = -(moves - moves.sum(1, keepdims=True) * a) / n
    if "wrong_axis" in slips:
        grad_move = -(moves - moves.sum(0) * a) / n
    if "transposed" in slips:
        grad_move = grad_move.T
    grad_emit = -(emits - emits.sum(1, keepdims=True) * b) / n
    if "no_start" in slips:
        grad_start = np.zeros_like(pi)
    if "emit_not_averaged" in slips:
        grad_emit = n * grad_emit
    return {"start": grad_start, "move": grad_move, "emit": grad_emit}


def hmm_forward_over_two_steps(params: Any, sequences: Any) -> Any:
    return differences(hmm_loss, params, (sequences,), 1e-3, "halved")


HMM = Problem(
    "hidden_markov",
    hmm_loss,
    hmm_grad,
    hmm_data,
    (
        Fault("transpose", slip(hmm_grad, "transposed"), ("move",)),
        Fault("partial_batch", slip(hmm_grad, "last_sequence"), ("start", "move", "emit")),
        Fault("double_counted", slip(hmm_grad, "first_symbol_twice"), ("emit",), line="hmm_first"),
        Fault("wrong_derivative", slip(hmm_grad, "wrong_axis"), ("move",), line="hmm_move"),
        Fault(
            "numeric_step",
            hmm_forward_over_two_steps,
            ("start", "move", "emit"),
            accept=("scale",),
        ),
        Fault(
            "missing",
            slip(hmm_grad, "no_start", "emit_not_averaged"),
            ("start", "emit"),
            also=("scale",),
            accept=("scale",),
        ),
    ),
)


# 14. A neural differential equation by Euler's steps, with a soft Dice loss.

STEPS, DT = 4, 0.25


def ode_loss(params: Any, x: Any, y: Any) -> Any:
    w, b = params["field"]
    v, c = params["head"]

    def euler(h: Any, _: Any) -> Any:
        field = jnp.tanh(h @ w + b)  # @ode_field
        return h + DT * field, None  # @ode_euler

    h, _ = lax.scan(euler, x, None, length=STEPS)
    p = jax.nn.sigmoid(h @ v + c)  # @ode_sigmoid
    return 1 - (2 * jnp.sum(p * y) + 1) / (jnp.sum(p) + jnp.sum(y) + 1)  # @ode_dice


def ode_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {"field": (draw(rng, 3, 3), draw(rng, 3)), "head": (draw(rng, 3), draw(rng))}
    return params, (draw(rng, 10, 3), jnp.asarray(rng.permutation(10) < 4, jnp.float32))


def ode_grad(params: Any, x: Any, y: Any, slips: Any = ()) -> Any:
    p, x, y = arrays(params), np.asarray(x), np.asarray(y)
    (w, b), (v, c) = p["field"], p["head"]
    states, slopes = [x], []
    for _ in range(STEPS):
        field = np.tanh(states[-1] @ w + b)
        slopes.append(1 - (states[-1] if "slope_at_state" in slips else field) ** 2)
        states.append(states[-1] + DT * field)
    h = states[-1]
    out = logistic(h @ v + c)
    overlap, total = 2 * np.sum(out * y) + 1, out.sum() + y.sum() + 1
    dout = -2 * y / total
    if "denominator_constant" not in slips:
        dout = dout + overlap / total**2
    delta = dout if "no_sigmoid_slope" in slips else dout * out * (1 - out)
    grad_v, grad_c = h.T @ delta, delta.sum()
    dh = np.outer(delta, v)
    grad_w, grad_b = np.zeros_like(w), np.zeros_like(b)
    for t in reversed(range(STEPS)):
        da = dh * slopes[t]
        if "no_dt" not in slips:
            da = DT * da
        if "overwritten" in slips:
            grad_w, grad_b = states[t].T @ da, da.sum(0)
        else:
            grad_w, grad_b = grad_w + states[t].T @ da, grad_b + da.sum(0)
        through = da @ (w if "weights_not_transposed" in slips else w.T)
        dh = through if "state_lost" in slips else dh + through
    return {"field": (grad_w, grad_b), "head": (grad_v, grad_c)}


def ode_tiny_step(params: Any, x: Any, y: Any) -> Any:
    return differences(ode_loss, params, (x, y), 3e-15, "central")


FIELD, HEAD = both("field"), both("head")

ODE = Problem(
    "neural_ode",
    ode_loss,
    ode_grad,
    ode_data,
    (
        Fault("dropped_path", slip(ode_grad, "overwritten"), FIELD, line="ode_field"),
        Fault("dropped_derivative", slip(ode_grad, "no_dt"), FIELD, line="ode_euler"),
        Fault(
            "dropped_path", slip(ode_grad, "denominator_constant"), FIELD + HEAD, line="ode_dice"
        ),
        Fault("wrong_point", slip(ode_grad, "slope_at_state"), FIELD, line="ode_field"),
        Fault("transpose", slip(ode_grad, "weights_not_transposed"), FIELD, line="ode_field"),
        # In single precision this step moves nothing, and the quotients are 0.
        Fault("numeric_step", ode_tiny_step, FIELD + HEAD, accept=("missing",)),
        Fault(
            "dropped_derivative",
            slip(ode_grad, "no_sigmoid_slope", "state_lost"),
            FIELD + HEAD,
            line="ode_sigmoid",
            also=("dropped_path",),
            accept=("dropped_path",),
        ),
    ),
)


# 15. An actor and a critic on one body: policy gradient, baseline, entropy bonus.

VALUE_COST, BONUS = 0.5, 0.6


def policy_loss(params: Any, states: Any, actions: Any, returns: Any) -> Any:
    h = jax.nn.softplus(states @ params["body"]["w"] + params["body"]["b"])  # @policy_body
    logits = h @ params["policy"]["w"] + params["policy"]["b"]  # @policy_logits
    value = h @ params["value"]["w"] + params["value"]["b"]
    log_p = jax.nn.log_softmax(logits)
    advantage = lax.stop_gradient(returns - value)  # @policy_advantage
    chosen = jnp.take_along_axis(log_p, actions[:, None], axis=1)[:, 0]
    actor = -jnp.mean(chosen * advantage)
    critic = jnp.mean((returns - value) ** 2)
    entropy = -jnp.mean(jnp.sum(jnp.exp(log_p) * log_p, axis=1))  # @policy_entropy
    return actor + VALUE_COST * critic - BONUS * entropy  # @policy_total


def policy_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "body": {"w": draw(rng, 4, 5), "b": draw(rng, 5)},
        "policy": {"w": draw(rng, 5, 3), "b": draw(rng, 3)},
        "value": {"w": draw(rng, 5), "b": draw(rng)},
    }
    actions = jnp.asarray(rng.integers(0, 3, size=8), jnp.int32)
    return params, (draw(rng, 8, 4), actions, 2 * draw(rng, 8))


def policy_grad(params: Any, states: Any, actions: Any, returns: Any, slips: Any = ()) -> Any:
    p, states = arrays(params), np.asarray(states)
    actions, returns, n = np.asarray(actions), np.asarray(returns), len(actions)
    s = states @ p["body"]["w"] + p["body"]["b"]
    h = np.log1p(np.exp(s))
    probabilities = softmax_rows(h @ p["policy"]["w"] + p["policy"]["b"])
    log_p = np.log(probabilities)
    value = h @ p["value"]["w"] + p["value"]["b"]
    advantage = returns - value
    taken = np.eye(3)[actions]
    dlogits = advantage[:, None] * (probabilities - taken) / n
    entropy = -np.sum(probabilities * log_p, axis=1, keepdims=True)
    dentropy = -probabilities * (log_p + entropy) / n
    if "entropy_diagonal" in slips:
        dentropy = -probabilities * (log_p + 1) / n
    dlogits = dlogits + BONUS * dentropy if "bonus_sign" in slips else dlogits - BONUS * dentropy
    dvalue = -2 * VALUE_COST * (returns - value) / n
    if "through_advantage" in slips:
        dvalue = dvalue + np.sum(taken * log_p, axis=1) / n
    if "ascent" in slips:
        dlogits, dvalue = -dlogits, -dvalue
    dh = dlogits @ p["policy"]["w"].T + np.outer(dvalue, p["value"]["w"])
    if "slope_at_output" in slips:
        ds = dh * logistic(h)
    elif "no_slope" in slips:
        ds = dh
    else:
        ds = dh * logistic(s)
    grad_policy_w = h.T @ dlogits
    if "mean_features" in slips:
        grad_policy_w = np.outer(h.mean(0), dlogits.sum(0))
    grad_value_b = dvalue if "value_b_not_summed" in slips else dvalue.sum()
    return {
        "body": {"w": states.T @ ds, "b": ds.sum(0)},
        "policy": {"w": grad_policy_w, "b": dlogits.sum(0)},
        "value": {"w": h.T @ dvalue, "b": grad_value_b},
    }


BODY, POLICY, VALUE = (tuple(f"{k}.{i}" for i in "wb") for k in ("body", "policy", "value"))

ACTOR_CRITIC = Problem(
    "actor_critic",
    policy_loss,
    policy_grad,
    policy_data,
    (
        Fault(
            "wrong_loss",
            slip(policy_grad, "through_advantage"),
            BODY + VALUE,
            line="policy_advantage",
            accept=("wrong_derivative",),
        ),
        Fault(
            "dropped_path",
            slip(policy_grad, "entropy_diagonal"),
            BODY + POLICY,
            line="policy_entropy",
            accept=("wrong_derivative",),
        ),
        Fault(
            "sign",
            slip(policy_grad, "bonus_sign"),
            BODY + POLICY,
            line="policy_total",
            accept=("wrong_loss", "wrong_derivative"),
        ),
        Fault("sign", slip(policy_grad, "ascent"), BODY + POLICY + VALUE),
        Fault("wrong_point", slip(policy_grad, "slope_at_output"), BODY, line="policy_body"),
        Fault(
            "premature_average",
            slip(policy_grad, "mean_features"),
            ("policy.w",),
            line="policy_logits",
        ),
        Fault(
            "dropped_derivative",
            slip(policy_grad, "no_slope", "value_b_not_summed"),
            (*BODY, "value.b"),
            line="policy_body",
            also=("shape",),
            accept=("shape",),
        ),
    ),
)


PROBLEMS = (
    NEGBIN,
    GP,
    KALMAN,
    GRU,
    CONV,
    ATTENTION,
    RESIDUAL,
    SKIPGRAM,
    NCE,
    VAE,
    MDN,
    GRAPH,
    HMM,
    ODE,
    ACTOR_CRITIC,
)
