"""Twenty-one losses, and faults in their gradients, made before the doctor saw them.

Two losses are NumPy with loops. Each gradient takes `bug`, the name of the one mistake a person
made in it; without, it is right.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .problem import Fault, Problem
from .unseen_more import bugged, draw, integers, np_sigmoid, np_softmax, to_numpy

# 1. Log-cosh regression with a weight for each observation.


def logcosh_loss(params: Any, x: Any, y: Any, weight: Any) -> Any:
    residual = x @ params["w"] + params["b"] - y  # @logcosh_residual
    return jnp.sum(weight * jnp.log(jnp.cosh(residual))) / jnp.sum(weight)  # @logcosh_mean


def logcosh_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    weight = jnp.asarray(rng.uniform(0.3, 2, size=10), jnp.float32)
    return {"w": draw(rng, 3), "b": draw(rng)}, (draw(rng, 10, 3), draw(rng, 10), weight)


def logcosh_grad(params: Any, x: Any, y: Any, weight: Any, bug: Any = None) -> Any:
    params, x, y, weight = to_numpy((params, x, y, weight))
    prediction = x @ params["w"] + params["b"]
    slope = np.tanh(prediction - y)
    if bug == "prediction_in_tanh":
        slope = np.tanh(prediction)
    if bug == "residual_itself":
        slope = prediction - y
    if bug == "unweighted":
        dr = slope / weight.sum()
    elif bug == "mean_over_n":
        dr = weight * slope / len(y)
    else:
        dr = weight * slope / weight.sum()
    return {"w": x.T @ dr, "b": -dr.sum() if bug == "minus_bias" else dr.sum()}


LOGCOSH = Problem(
    "weighted_logcosh",
    logcosh_loss,
    logcosh_grad,
    logcosh_data,
    (
        Fault("scale", bugged(logcosh_grad, "mean_over_n"), ("b", "w")),
        Fault("dropped_derivative", bugged(logcosh_grad, "unweighted"), ("b", "w"), "logcosh_mean"),
        Fault(
            "wrong_point",
            bugged(logcosh_grad, "prediction_in_tanh"),
            ("b", "w"),
            "logcosh_residual",
        ),
        Fault(
            "wrong_loss",
            bugged(logcosh_grad, "residual_itself"),
            ("b", "w"),
            accept=("wrong_derivative", "dropped_derivative"),
        ),
        Fault("sign", bugged(logcosh_grad, "minus_bias"), ("b",)),
    ),
)


# 2. The Michaelis-Menten curve: a NumPy loss, an observation at a time.


def enzyme_loss(params: Any, substrate: Any, rate: Any) -> Any:
    total = 0.0
    for s, v in zip(substrate, rate, strict=True):
        predicted = params["vmax"] * s / (params["km"] + s)
        total += (v - predicted) ** 2
    return total / len(rate)


def enzyme_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"vmax": np.array(rng.uniform(1, 3)), "km": np.array(rng.uniform(0.5, 2))}
    return params, (rng.uniform(0.2, 5, size=8), rng.uniform(0.2, 3, size=8))


def enzyme_grad(params: Any, substrate: Any, rate: Any, bug: Any = None) -> Any:
    vmax, km = params["vmax"], params["km"]
    n = len(rate)
    dvmax = dkm = 0.0
    for i in range(n - 1 if bug == "off_by_one" else n):
        s = substrate[i]
        saturation = s / (km + s)
        error = vmax * saturation - rate[i]
        dvmax += 2 * error * saturation / n
        slope = vmax * s / (km + s) ** 2
        dkm -= 2 * error * (-slope if bug == "quotient_sign" else slope) / n
    if bug == "central_difference":
        h = 0.5
        up = enzyme_loss({"vmax": vmax, "km": km + h}, substrate, rate)
        down = enzyme_loss({"vmax": vmax, "km": km - h}, substrate, rate)
        dkm = (up - down) / (2 * h)
        up = enzyme_loss({"vmax": vmax + h, "km": km}, substrate, rate)
        down = enzyme_loss({"vmax": vmax - h, "km": km}, substrate, rate)
        dvmax = (up - down) / (2 * h)
    if bug == "returned_in_wrong_order":
        dvmax, dkm = dkm, dvmax
    return {"vmax": np.array(dvmax), "km": np.array(dkm)}


ENZYME = Problem(
    "michaelis_menten",
    enzyme_loss,
    enzyme_grad,
    enzyme_data,
    (
        Fault("partial_batch", bugged(enzyme_grad, "off_by_one"), ("km", "vmax")),
        Fault("sign", bugged(enzyme_grad, "quotient_sign"), ("km",)),
        Fault("swapped", bugged(enzyme_grad, "returned_in_wrong_order"), ("km", "vmax")),
        # The loss is quadratic in vmax, so a central difference is right there at any step.
        Fault("numeric_step", bugged(enzyme_grad, "central_difference"), ("km",)),
    ),
)


# 3. A two-layer network with weight decay: a NumPy loss, an example at a time.

DECAY = 0.05


def net_loss(params: Any, x: Any, y: Any) -> Any:
    w1, b1, w2, b2 = params
    total = 0.0
    for xi, yi in zip(x, y, strict=True):
        h = np.tanh(xi @ w1 + b1)
        out = h @ w2 + b2
        total += 0.5 * np.sum((out - yi) ** 2)
    return total / len(x) + 0.5 * DECAY * (np.sum(w1**2) + np.sum(w2**2))


def net_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = [rng.normal(size=s) for s in [(4, 4), (4,), (4, 2), (2,)]]
    return params, (rng.normal(size=(7, 4)), rng.normal(size=(7, 2)))


def net_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    w1, b1, w2, b2 = params
    dw1, db1, dw2, db2 = (np.zeros_like(p) for p in params)
    for xi, yi in zip(x, y, strict=True):
        h = np.tanh(xi @ w1 + b1)
        delta2 = h @ w2 + b2 - yi
        delta1 = (1 - h**2) * (w2 @ delta2)
        dw2 += np.outer(h, delta2)
        db2 += delta2
        dw1 += np.outer(delta1, xi) if bug == "outer_order" else np.outer(xi, delta1)
        db1 += delta1
    n = len(x)
    decay = {"decay_over_n": DECAY / n, "decay_subtracted": -DECAY}.get(bug, DECAY)
    if bug == "first_layer_stale":
        return net_stale(params, x, y)
    if bug == "bias_keeps_zero":
        db1 = np.zeros_like(b1)
    if bug == "outer_order":
        return [dw1 / n + decay * w1.T, db1 / n, dw2 / n + decay * w2, db2 / n]
    return [dw1 / n + decay * w1, db1 / n, dw2 / n + decay * w2, db2 / n]


def net_stale(params: Any, x: Any, y: Any) -> Any:
    """The second layer is updated, then the first is differentiated with the new weights."""
    w1, b1, w2, b2 = params
    _, _, dw2, db2 = net_grad(params, x, y)
    dw1, db1, _, _ = net_grad([w1, b1, w2 - 0.1 * dw2, b2 - 0.1 * db2], x, y)
    return [dw1, db1, dw2, db2]


NET = Problem(
    "numpy_network",
    net_loss,
    net_grad,
    net_data,
    (
        Fault("transpose", bugged(net_grad, "outer_order"), ("0",)),
        Fault("regularization", bugged(net_grad, "decay_over_n"), ("0", "2")),
        Fault("regularization", bugged(net_grad, "decay_subtracted"), ("0", "2")),
        Fault("stale", bugged(net_grad, "first_layer_stale"), ("0", "1")),
        Fault("missing", bugged(net_grad, "bias_keeps_zero"), ("1",)),
    ),
)


# 4. Softmax regression with smoothed labels.

SMOOTHING = 0.2


class Dense(NamedTuple):
    kernel: Any
    bias: Any


def smooth_loss(params: Any, x: Any, labels: Any) -> Any:
    logp = jax.nn.log_softmax(x @ params.kernel + params.bias)  # @smooth_logp
    k = logp.shape[1]
    picked = jnp.take_along_axis(logp, labels[:, None], axis=1)[:, 0]
    uniform = jnp.sum(logp, axis=1) / k  # @smooth_uniform
    return -jnp.mean((1 - SMOOTHING) * picked + SMOOTHING * uniform)  # @smooth_mix


def smooth_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return Dense(draw(rng, 5, 4), draw(rng, 4)), (draw(rng, 9, 5), integers(rng, 4, 9))


def smooth_grad(params: Any, x: Any, labels: Any, bug: Any = None) -> Any:
    params, x, labels = to_numpy((params, x, labels))
    z = x @ params.kernel + params.bias
    n, k = z.shape
    hot = np.eye(k)[labels]
    target = (1 - SMOOTHING) * hot + SMOOTHING / k
    if bug == "hard_targets":
        target = hot
    p = np_softmax(z.T).T if bug == "softmax_over_batch" else np_softmax(z)
    dz = (p - target) / n
    if bug == "jacobian_diagonal":
        dz = (p - 1) * target / n
    keep = bug == "bias_keeps_axis"
    return Dense(x.T @ dz, dz.sum(axis=0, keepdims=keep))


DENSE = ("bias", "kernel")
SMOOTH = Problem(
    "label_smoothing",
    smooth_loss,
    smooth_grad,
    smooth_data,
    (
        Fault("wrong_loss", bugged(smooth_grad, "hard_targets"), DENSE),
        Fault(
            "wrong_derivative",
            bugged(smooth_grad, "softmax_over_batch"),
            DENSE,
            "smooth_logp",
        ),
        Fault(
            "dropped_path",
            bugged(smooth_grad, "jacobian_diagonal"),
            DENSE,
            "smooth_logp",
            accept=("wrong_derivative",),
        ),
        Fault("shape", bugged(smooth_grad, "bias_keeps_axis"), ("bias",)),
    ),
)


# 5. Many labels at once: the stable cross-entropy of logits, positives weighted.


def labels_loss(params: Any, x: Any, y: Any, positive: Any) -> Any:
    z = x @ params["w"] + params["b"]
    factor = 1 + (positive - 1) * y
    soft = jnp.log1p(jnp.exp(-jnp.abs(z))) + jnp.maximum(-z, 0)  # @labels_soft
    return jnp.mean((1 - y) * z + factor * soft)  # @labels_mix


def labels_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    y = jnp.asarray(rng.permutation(24).reshape(8, 3) % 2, jnp.float32)
    positive = jnp.asarray(rng.uniform(2, 5, size=3), jnp.float32)
    return {"w": draw(rng, 4, 3), "b": draw(rng, 3)}, (draw(rng, 8, 4), y, positive)


def labels_grad(params: Any, x: Any, y: Any, positive: Any, bug: Any = None) -> Any:
    params, x, y, positive = to_numpy((params, x, y, positive))
    z = x @ params["w"] + params["b"]
    p = np_sigmoid(z)
    if bug == "sigmoid_twice":
        p = np_sigmoid(p)
    factor = 1 + (positive - 1) * y
    if bug == "plain":
        factor = np.ones_like(y)
    dz = (1 - y) - factor * (1 - p)
    if bug == "max_forgotten":
        dz = (1 - y) - factor * np.sign(z) * np_sigmoid(-np.abs(z))
    if bug == "absolute_value_forgotten":
        dz = (1 - y) - factor * (np_sigmoid(-np.abs(z)) + (z < 0))
    dz /= len(y) if bug == "mean_over_examples" else y.size
    return {"w": x.T @ dz, "b": dz.sum(axis=0)}


LABELS = Problem(
    "weighted_multilabel",
    labels_loss,
    labels_grad,
    labels_data,
    (
        Fault("scale", bugged(labels_grad, "mean_over_examples"), ("b", "w")),
        Fault(
            "dropped_derivative",
            bugged(labels_grad, "plain"),
            ("b", "w"),
            "labels_mix",
            accept=("wrong_loss",),
        ),
        Fault("wrong_point", bugged(labels_grad, "sigmoid_twice"), ("b", "w"), "labels_soft"),
        Fault("dropped_path", bugged(labels_grad, "max_forgotten"), ("b", "w"), "labels_soft"),
        Fault(
            "dropped_derivative",
            bugged(labels_grad, "absolute_value_forgotten"),
            ("b", "w"),
            "labels_soft",
            accept=("wrong_derivative", "sign"),
        ),
    ),
)


# 6. Distillation: the labels, and a teacher's logits at a temperature.

TEMPERATURE, HARD = 3.0, 0.3


def distil_loss(params: Any, x: Any, teacher: Any, labels: Any) -> Any:
    w, b = params
    logits = x @ w + b
    hard = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])  # @distil_hard
    soft_targets = jax.nn.softmax(teacher / TEMPERATURE)
    log_student = jax.nn.log_softmax(logits / TEMPERATURE)  # @distil_student
    divergence = jnp.sum(soft_targets * (jnp.log(soft_targets) - log_student), axis=1)
    soft = TEMPERATURE**2 * jnp.mean(divergence)  # @distil_square
    return HARD * hard + (1 - HARD) * soft  # @distil_mix


def distil_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    args = draw(rng, 8, 4), 2 * draw(rng, 8, 3), integers(rng, 3, 8)
    return (draw(rng, 4, 3), draw(rng, 3)), args


def distil_grad(params: Any, x: Any, teacher: Any, labels: Any, bug: Any = None) -> Any:
    w, b = to_numpy(params)
    x, teacher, labels = to_numpy((x, teacher, labels))
    logits = x @ w + b
    n = len(x)
    hard = np_softmax(logits)
    hard[np.arange(n), labels] -= 1
    student = np_softmax(logits if bug == "student_at_one" else logits / TEMPERATURE)
    soft = TEMPERATURE * (student - np_softmax(teacher / TEMPERATURE))
    if bug == "temperature_once":
        soft *= TEMPERATURE
    if bug == "square_forgotten":
        soft /= TEMPERATURE**2
    dlogits = (HARD * hard + (1 - HARD) * soft) / n
    if bug == "hard_unmixed":
        dlogits = (hard + (1 - HARD) * soft) / n
    if bug == "soft_only":
        dlogits = (1 - HARD) * soft / n
    return x.T @ dlogits, dlogits.sum(axis=0)


PAIR = ("0", "1")
DISTIL = Problem(
    "distillation",
    distil_loss,
    distil_grad,
    distil_data,
    (
        Fault(
            "dropped_derivative",
            bugged(distil_grad, "temperature_once"),
            PAIR,
            "distil_student",
        ),
        Fault("dropped_derivative", bugged(distil_grad, "square_forgotten"), PAIR, "distil_square"),
        Fault("wrong_point", bugged(distil_grad, "student_at_one"), PAIR, "distil_student"),
        Fault("dropped_derivative", bugged(distil_grad, "hard_unmixed"), PAIR, "distil_mix"),
        Fault("dropped_path", bugged(distil_grad, "soft_only"), PAIR),
    ),
)


# 7. A deep network of ELUs with a skip, its layers in a list.


def elu_loss(params: Any, x: Any, y: Any) -> Any:
    h = x
    for i, layer in enumerate(params[:-1]):
        z = h @ layer["w"] + layer["b"]  # @elu_affine
        a = jnp.where(z > 0, z, jnp.expm1(z))  # @elu_elu
        h = h + a if i > 0 else a  # @elu_skip
    out = h @ params[-1]["w"] + params[-1]["b"]
    return 0.5 * jnp.mean(jnp.sum((out - y) ** 2, axis=1))


def elu_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    sizes = [(3, 5), (5, 5), (5, 5), (5, 2)]
    params = [{"w": draw(rng, m, n) / np.sqrt(m), "b": draw(rng, n)} for m, n in sizes]
    return params, (draw(rng, 8, 3), draw(rng, 8, 2))


def elu_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    params, x, y = to_numpy((params, x, y))
    hs, zs = [x], []
    for i, layer in enumerate(params[:-1]):
        zs.append(hs[-1] @ layer["w"] + layer["b"])
        a = np.where(zs[-1] > 0, zs[-1], np.exp(zs[-1]) - 1)
        hs.append(hs[-1] + a if i > 0 else a)
    d = (hs[-1] @ params[-1]["w"] + params[-1]["b"] - y) / len(x)
    grads = [{"w": hs[-1].T @ d, "b": d.sum(axis=0)}]
    d = d @ params[-1]["w"].T
    for i in reversed(range(len(zs))):
        slope = np.where(zs[i] > 0, 1, np.exp(zs[i]))
        if bug == "relu":
            slope = (zs[i] > 0) * 1.0
        if bug == "exp_of_output":
            slope = np.where(zs[i] > 0, 1, np.exp(np.expm1(np.minimum(zs[i], 0))))
        if bug == "first_without_slope" and i == 0:
            slope = np.ones_like(zs[i])
        dz = d * slope
        h_in = hs[i + 1] if bug == "output_for_input" and i > 0 else hs[i]
        db = dz.mean(axis=0) if bug == "bias_mean" else dz.sum(axis=0)
        grads.insert(0, {"w": h_in.T @ dz, "b": db})
        skip = d if i > 0 and bug != "no_skip" else 0
        d = dz @ params[i]["w"].T + skip
    return grads


ELU = Problem(
    "elu_with_skips",
    elu_loss,
    elu_grad,
    elu_data,
    (
        Fault(
            "dropped_path",
            bugged(elu_grad, "no_skip"),
            ("0.b", "0.w", "1.b", "1.w"),
            "elu_skip",
        ),
        Fault(
            "wrong_derivative",
            bugged(elu_grad, "relu"),
            ("0.b", "0.w", "1.b", "1.w", "2.b", "2.w"),
            "elu_elu",
            accept=("dropped_path",),
        ),
        Fault(
            "wrong_point",
            bugged(elu_grad, "exp_of_output"),
            ("0.b", "0.w", "1.b", "1.w", "2.b", "2.w"),
            "elu_elu",
        ),
        Fault(
            "dropped_derivative",
            bugged(elu_grad, "first_without_slope"),
            ("0.b", "0.w"),
            "elu_elu",
        ),
        Fault(
            "wrong_point",
            bugged(elu_grad, "output_for_input"),
            ("1.w", "2.w"),
            "elu_affine",
        ),
        Fault("scale", bugged(elu_grad, "bias_mean"), ("0.b", "1.b", "2.b")),
    ),
)


# 8. A network of sines.

OMEGA = 3.0


def siren_loss(params: Any, x: Any, y: Any) -> Any:
    z = x @ params["first"]["w"] + params["first"]["b"]
    h = jnp.sin(OMEGA * z)  # @siren_sin
    out = h @ params["last"]["w"] + params["last"]["b"]
    return jnp.mean((out - y) ** 2)  # @siren_mean


def siren_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "first": {"w": draw(rng, 2, 6), "b": draw(rng, 6)},
        "last": {"w": draw(rng, 6, 3), "b": draw(rng, 3)},
    }
    return params, (draw(rng, 7, 2), draw(rng, 7, 3))


def siren_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    params, x, y = to_numpy((params, x, y))
    first, last = params["first"], params["last"]
    z = x @ first["w"] + first["b"]
    h = np.sin(OMEGA * z)
    dout = 2 * (h @ last["w"] + last["b"] - y)
    dout /= len(y) if bug == "mean_over_rows" else y.size
    dh = dout @ last["w"].T
    if bug == "no_frequency":
        dz = dh * np.cos(OMEGA * z)
    elif bug == "cosine_of_output":
        dz = dh * OMEGA * np.cos(h)
    elif bug == "cosine_without_frequency":
        dz = dh * OMEGA * np.cos(z)
    elif bug == "minus_cosine":
        dz = -dh * OMEGA * np.cos(OMEGA * z)
    else:
        dz = dh * OMEGA * np.cos(OMEGA * z)
    return {
        "first": {"w": x.T @ dz, "b": dz.sum(0)},
        "last": {"w": h.T @ dout, "b": dout.sum(0)},
    }


FIRST = ("first.b", "first.w")
SIREN = Problem(
    "sines",
    siren_loss,
    siren_grad,
    siren_data,
    (
        Fault(
            "dropped_derivative",
            bugged(siren_grad, "no_frequency"),
            FIRST,
            "siren_sin",
            accept=("scale",),
        ),
        Fault("wrong_point", bugged(siren_grad, "cosine_of_output"), FIRST, "siren_sin"),
        Fault("wrong_point", bugged(siren_grad, "cosine_without_frequency"), FIRST, "siren_sin"),
        Fault("sign", bugged(siren_grad, "minus_cosine"), FIRST),
        Fault("scale", bugged(siren_grad, "mean_over_rows"), (*FIRST, "last.b", "last.w")),
    ),
)


# 9. A simple recurrent network over sequences of several lengths, its state held after the end.


def masked_loss(params: Any, x: Any, mask: Any, y: Any) -> Any:
    def step(h: Any, inputs: Any) -> Any:
        xt, mt = inputs
        new = jnp.tanh(xt @ params["wx"] + h @ params["wh"] + params["b"])  # @masked_tanh
        h = mt[:, None] * new + (1 - mt[:, None]) * h  # @masked_hold
        return h, None

    h0 = jnp.zeros((x.shape[1], params["wh"].shape[0]), x.dtype)
    h, _ = lax.scan(step, h0, (x, mask))
    return jnp.mean((h @ params["out"] - y) ** 2)


def masked_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "wx": draw(rng, 3, 4),
        "wh": draw(rng, 4, 4) / 2,
        "b": draw(rng, 4),
        "out": draw(rng, 4),
    }
    lengths = np.array([5, 3, 4, 2, 3, 5])
    mask = jnp.asarray(np.arange(5)[:, None] < lengths, jnp.float32)
    return params, (draw(rng, 5, 6, 3), mask, draw(rng, 6))


def masked_grad(params: Any, x: Any, mask: Any, y: Any, bug: Any = None) -> Any:
    p, x, mask, y = to_numpy((params, x, mask, y))
    hs, news = [np.zeros((len(y), len(p["b"])))], []
    for xt, mt in zip(x, mask, strict=True):
        news.append(np.tanh(xt @ p["wx"] + hs[-1] @ p["wh"] + p["b"]))
        hs.append(mt[:, None] * news[-1] + (1 - mt[:, None]) * hs[-1])
    error = 2 * (hs[-1] @ p["out"] - y) / len(y)
    grads = {k: np.zeros_like(v) for k, v in p.items()}
    grads["out"] = hs[-1].T @ error
    dh = np.outer(error, p["out"])
    for t in reversed(range(len(x))):
        m = mask[t][:, None]
        dnew = dh if bug == "mask_forgotten" else m * dh
        dz = dnew * (1 - news[t] ** 2)
        grads["wx"] += x[t].T @ dz
        grads["wh"] += (hs[t + 1] if bug == "state_after" else hs[t]).T @ dz
        grads["b"] += dz.sum(axis=0)
        held = 0 if bug == "not_held" else (1 - m) * dh
        dh = dz @ (p["wh"] if bug == "not_transposed" else p["wh"].T) + held
        if bug == "one_step":
            break
    return grads


CELL = ("b", "wh", "wx")
MASKED = Problem(
    "masked_recurrence",
    masked_loss,
    masked_grad,
    masked_data,
    (
        Fault("dropped_path", bugged(masked_grad, "not_held"), CELL, "masked_hold"),
        Fault("dropped_derivative", bugged(masked_grad, "mask_forgotten"), CELL, "masked_hold"),
        Fault("wrong_point", bugged(masked_grad, "state_after"), ("wh",), "masked_tanh"),
        Fault("transpose", bugged(masked_grad, "not_transposed"), CELL, "masked_tanh"),
        Fault("dropped_path", bugged(masked_grad, "one_step"), CELL),
    ),
)


# 10. A minimal gated unit that names a class at each step.


def mgu_loss(p: Any, x: Any, labels: Any) -> Any:
    def step(h: Any, xt: Any) -> Any:
        f = jax.nn.sigmoid(xt @ p["wf"] + h @ p["uf"])  # @mgu_gate
        c = jnp.tanh(xt @ p["wc"] + (f * h) @ p["uc"])  # @mgu_candidate
        h = (1 - f) * h + f * c  # @mgu_state
        return h, h

    _, hs = lax.scan(step, jnp.zeros(p["uf"].shape[0], x.dtype), x)
    logp = jax.nn.log_softmax(hs @ p["v"])
    return -jnp.mean(logp[jnp.arange(len(labels)), labels])


def mgu_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    shapes = {"wf": (3, 4), "uf": (4, 4), "wc": (3, 4), "uc": (4, 4), "v": (4, 3)}
    params = {k: draw(rng, *s) for k, s in shapes.items()}
    return params, (draw(rng, 6, 3), integers(rng, 3, 6))


def mgu_grad(params: Any, x: Any, labels: Any, bug: Any = None) -> Any:
    p, x, labels = to_numpy((params, x, labels))
    hs, fs, cs = [np.zeros(4)], [], []
    for xt in x:
        f = np_sigmoid(xt @ p["wf"] + hs[-1] @ p["uf"])
        c = np.tanh(xt @ p["wc"] + (f * hs[-1]) @ p["uc"])
        hs.append((1 - f) * hs[-1] + f * c)
        fs.append(f)
        cs.append(c)
    g = {k: np.zeros_like(v) for k, v in p.items()}
    carry = np.zeros(4)
    for t in reversed(range(len(x))):
        prob = np_softmax((hs[t + 1] @ p["v"])[None])[0]
        prob[labels[t]] -= 1
        prob /= len(x)
        g["v"] += np.outer(hs[t + 1], prob)
        dh = p["v"] @ prob + carry
        h, f, c = hs[t], fs[t], cs[t]
        dc = dh * f * (1 - c**2)
        inner = p["uc"] @ dc
        df = dh * (c + h if bug == "plus_previous" else c - h)
        if bug != "gate_of_candidate":
            df = df + inner * h
        df = df * (f if bug == "half_of_sigmoid" else f * (1 - f))
        g["wf"] += np.outer(x[t], df)
        g["uf"] += np.outer(h, df)
        g["wc"] += np.outer(x[t], dc)
        g["uc"] += np.outer(h if bug == "ungated_state" else f * h, dc)
        carry = dh * (1 - f) + p["uf"] @ df + inner * (1 if bug == "ungated_carry" else f)
    return g


GATES = ("uc", "uf", "wc", "wf")
MGU = Problem(
    "minimal_gated_unit",
    mgu_loss,
    mgu_grad,
    mgu_data,
    (
        Fault("dropped_path", bugged(mgu_grad, "gate_of_candidate"), GATES, "mgu_candidate"),
        Fault("sign", bugged(mgu_grad, "plus_previous"), GATES, "mgu_state"),
        Fault(
            "wrong_derivative",
            bugged(mgu_grad, "half_of_sigmoid"),
            GATES,
            "mgu_gate",
            accept=("dropped_derivative",),
        ),
        Fault("wrong_point", bugged(mgu_grad, "ungated_state"), ("uc",), "mgu_candidate"),
        Fault("dropped_derivative", bugged(mgu_grad, "ungated_carry"), GATES, "mgu_candidate"),
    ),
)


# 11. A convolution that keeps the size, a leaky ReLU, average pooling, and a linear head.

LEAK = 0.1


def pooled_loss(params: Any, images: Any, y: Any) -> Any:
    z = lax.conv_general_dilated(  # @pooled_conv
        images, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    z = z + params["bias"]
    a = jnp.where(z > 0, z, LEAK * z)  # @pooled_leaky
    n, h, w, c = a.shape
    pooled = a.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))  # @pooled_mean
    out = pooled.reshape(n, -1) @ params["head"]
    return 0.5 * jnp.mean((out - y) ** 2)


def pooled_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"kernel": draw(rng, 3, 3, 2, 3), "bias": draw(rng, 3), "head": draw(rng, 12)}
    return params, (draw(rng, 5, 4, 4, 2), draw(rng, 5))


def pooled_grad(params: Any, images: Any, y: Any, bug: Any = None) -> Any:
    p, images, y = to_numpy((params, images, y))
    n, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    z = np.zeros((n, height, width, 3)) + p["bias"]
    for i in range(3):
        for j in range(3):
            z += padded[:, i : i + height, j : j + width] @ p["kernel"][i, j]
    a = np.where(z > 0, z, LEAK * z)
    pooled = a.reshape(n, 2, 2, 2, 2, 3).mean(axis=(2, 4)).reshape(n, -1)
    error = (pooled @ p["head"] - y) / n
    dpooled = np.outer(error, p["head"]).reshape(n, 2, 2, 3)
    da = dpooled.repeat(2, axis=1).repeat(2, axis=2)
    if bug != "pool_undivided":
        da = da / 4
    dz = da * np.where(z > 0, 1, 0 if bug == "dead_side" else LEAK)
    dkernel = np.zeros_like(p["kernel"])
    for i in range(3):
        for j in range(3):
            window = padded[:, i : i + height, j : j + width]
            dkernel[i, j] = np.einsum("nhwc,nhwd->cd", window, dz)
    if bug == "flipped":
        dkernel = dkernel[::-1, ::-1]
    if bug == "no_padding":
        dkernel[0], dkernel[-1], dkernel[:, 0], dkernel[:, -1] = 0, 0, 0, 0
    dbias = dz.sum(axis=(0, 1, 2))
    if bug == "bias_mean_of_pixels":
        dbias = dz.mean(axis=(1, 2)).sum(axis=0)
    return {"kernel": dkernel, "bias": dbias, "head": pooled.T @ error}


POOLED = Problem(
    "average_pooling",
    pooled_loss,
    pooled_grad,
    pooled_data,
    (
        Fault(
            "dropped_derivative",
            bugged(pooled_grad, "pool_undivided"),
            ("bias", "kernel"),
            "pooled_mean",
            accept=("scale",),
        ),
        Fault(
            "wrong_derivative",
            bugged(pooled_grad, "dead_side"),
            ("bias", "kernel"),
            "pooled_leaky",
            accept=("dropped_path",),
        ),
        Fault(
            "transpose",
            bugged(pooled_grad, "flipped"),
            ("kernel",),
            accept=("wrong_derivative",),
        ),
        Fault("partial_entries", bugged(pooled_grad, "no_padding"), ("kernel",)),
        Fault("scale", bugged(pooled_grad, "bias_mean_of_pixels"), ("bias",)),
    ),
)


# 12. Additive attention of one query over the states of an encoder.


def additive_loss(params: Any, states: Any, query: Any, y: Any) -> Any:
    u = jnp.tanh(states @ params["keys"] + (query @ params["queries"])[:, None])  # @additive_tanh
    scores = u @ params["v"]
    weights = jax.nn.softmax(scores, axis=1)  # @additive_softmax
    context = jnp.einsum("nt,ntd->nd", weights, states)  # @additive_context
    return jnp.mean(jnp.sum((context @ params["out"] - y) ** 2, axis=1))


def additive_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    shapes = {"keys": (3, 3), "queries": (3, 3), "v": (3,), "out": (3, 2)}
    params = {k: draw(rng, *s) for k, s in shapes.items()}
    return params, (draw(rng, 6, 5, 3), draw(rng, 6, 3), draw(rng, 6, 2))


def additive_grad(params: Any, states: Any, query: Any, y: Any, bug: Any = None) -> Any:
    p, states, query, y = to_numpy((params, states, query, y))
    g = {k: np.zeros_like(v) for k, v in p.items()}
    n = len(y)
    for h, q, target in zip(states, query, y, strict=True):
        u = np.tanh(h @ p["keys"] + q @ p["queries"])
        a = np_softmax((u @ p["v"])[None])[0]
        context = a @ h
        dout = 2 * (context @ p["out"] - target) / n
        g["out"] += np.outer(context, dout)
        da = h @ (p["out"] @ dout)
        ds = a * (da - a @ da)
        if bug == "softmax_diagonal":
            ds = a * (1 - a) * da
        if bug == "softmax_mean":
            ds = a * (da - da.mean())
        g["v"] += u.T @ ds
        du = np.outer(ds, p["v"]) * (1 - u**2)
        if bug == "tanh_forgotten":
            du = np.outer(ds, p["v"])
        g["keys"] += h.T @ du
        dq = du[-1] if bug == "query_last_step" else du.sum(axis=0)
        g["queries"] += np.outer(q, dq)
    if bug == "swapped":
        g["keys"], g["queries"] = g["queries"], g["keys"]
    return g


ADDITIVE = Problem(
    "additive_attention",
    additive_loss,
    additive_grad,
    additive_data,
    (
        Fault(
            "dropped_path",
            bugged(additive_grad, "softmax_diagonal"),
            ("keys", "queries", "v"),
            "additive_softmax",
            accept=("wrong_derivative",),
        ),
        Fault(
            "wrong_derivative",
            bugged(additive_grad, "softmax_mean"),
            ("keys", "queries", "v"),
            "additive_softmax",
            accept=("wrong_point",),
        ),
        Fault(
            "dropped_derivative",
            bugged(additive_grad, "tanh_forgotten"),
            ("keys", "queries"),
            "additive_tanh",
        ),
        Fault(
            "dropped_path",
            bugged(additive_grad, "query_last_step"),
            ("queries",),
            "additive_tanh",
            accept=("wrong_derivative",),
        ),
        Fault("swapped", bugged(additive_grad, "swapped"), ("keys", "queries")),
    ),
)


# 13. Normalisation by groups of channels, before a logistic output.


def group_loss(params: Any, x: Any, y: Any) -> Any:
    z = x @ params["w"]
    groups = z.reshape(len(z), 2, 4)
    centred = groups - groups.mean(axis=2, keepdims=True)  # @group_mean
    variance = jnp.mean(centred**2, axis=2, keepdims=True)  # @group_variance
    normal = (centred / jnp.sqrt(variance + 1e-3)).reshape(z.shape)  # @group_divide
    h = jnp.maximum(params["gain"] * normal + params["shift"], 0)  # @group_relu
    logit = h @ params["out"]
    return jnp.mean(jax.nn.softplus(logit) - y * logit)


def group_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"w": draw(rng, 5, 8), "gain": 1 + draw(rng, 8) / 2, "shift": draw(rng, 8)}
    y = jnp.asarray(np.arange(9) % 2, jnp.float32)
    return {**params, "out": draw(rng, 8)}, (draw(rng, 9, 5), y)


def group_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    p, x, y = to_numpy((params, x, y))
    n = len(y)
    z = x @ p["w"]
    groups = z.reshape(n, 2, 4)
    centred = groups - groups.mean(axis=2, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=2, keepdims=True) + 1e-3)
    normal = (centred / std).reshape(z.shape)
    pre = p["gain"] * normal + p["shift"]
    h = np.maximum(pre, 0)
    dlogit = (np_sigmoid(h @ p["out"]) - y) / n
    dpre = np.outer(dlogit, p["out"]) * ((normal if bug == "relu_of_normal" else pre) > 0)
    dnormal = (dpre if bug == "gain_forgotten" else dpre * p["gain"]).reshape(groups.shape)
    unit = normal.reshape(groups.shape)
    dgroups = dnormal.copy()
    if bug != "mean_constant":
        dgroups -= dnormal.mean(axis=2, keepdims=True)
    if bug != "variance_constant":
        dgroups -= unit * (dnormal * unit).mean(axis=2, keepdims=True)
    dgroups /= std**2 if bug == "variance_for_std" else std
    dz = dgroups.reshape(z.shape)
    dgain = (dpre * (z if bug == "raw_in_gain" else normal)).sum(axis=0)
    return {"w": x.T @ dz, "gain": dgain, "shift": dpre.sum(axis=0), "out": h.T @ dlogit}


GROUP = Problem(
    "group_normalisation",
    group_loss,
    group_grad,
    group_data,
    (
        Fault("dropped_path", bugged(group_grad, "mean_constant"), ("w",), "group_mean"),
        Fault(
            "dropped_path",
            bugged(group_grad, "variance_constant"),
            ("w",),
            accept=("wrong_derivative",),
        ),
        Fault(
            "dropped_derivative",
            bugged(group_grad, "gain_forgotten"),
            ("w",),
            "group_relu",
        ),
        Fault(
            "wrong_derivative",
            bugged(group_grad, "variance_for_std"),
            ("w",),
            "group_divide",
            accept=("wrong_point", "double_counted"),
        ),
        Fault("wrong_point", bugged(group_grad, "raw_in_gain"), ("gain",), "group_relu"),
        Fault(
            "wrong_point",
            bugged(group_grad, "relu_of_normal"),
            ("gain", "shift", "w"),
            "group_relu",
        ),
    ),
)


# 14. Translations in a knowledge graph, with a margin.


def transe_loss(params: Any, triples: Any, corrupted: Any) -> Any:
    entity, relation = params["entity"], params["relation"]
    head, rel, tail = entity[triples[:, 0]], relation[triples[:, 1]], entity[triples[:, 2]]
    good = jnp.sqrt(jnp.sum((head + rel - tail) ** 2, axis=1))  # @transe_good
    bad = jnp.sqrt(jnp.sum((head + rel - entity[corrupted]) ** 2, axis=1))  # @transe_bad
    return jnp.mean(jnp.maximum(0, 1 + good - bad))  # @transe_hinge


def transe_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    heads = rng.permutation(8)
    triples = np.stack([heads, rng.integers(0, 3, 8), (heads + 1 + rng.integers(0, 3, 8)) % 8], 1)
    corrupted = (heads + 4 + rng.integers(0, 3, 8)) % 8
    params = {"entity": draw(rng, 8, 3), "relation": draw(rng, 3, 3)}
    return params, (jnp.asarray(triples, jnp.int32), jnp.asarray(corrupted, jnp.int32))


def transe_grad(params: Any, triples: Any, corrupted: Any, bug: Any = None) -> Any:
    p, triples, corrupted = to_numpy((params, triples, corrupted))
    entity, relation = p["entity"], p["relation"]
    dentity, drelation = np.zeros_like(entity), np.zeros_like(relation)
    n = len(triples)
    for (h, r, t), c in zip(triples, corrupted, strict=True):
        good = entity[h] + relation[r] - entity[t]
        bad = entity[h] + relation[r] - entity[c]
        near, far = np.sqrt(good @ good), np.sqrt(bad @ bad)
        if bug != "always_active" and 1 + near - far <= 0:
            continue
        dgood, dbad = good / near / n, bad / far / n
        if bug == "squared_distance":
            dgood, dbad = 2 * good / n, 2 * bad / n
        dentity[h] += dgood - dbad
        dentity[t] -= dgood
        if bug != "corrupted_fixed":
            dentity[c] += dbad
        drelation[r] += dgood if bug == "relation_once" else dgood - dbad
    return {"entity": dentity, "relation": drelation}


GRAPH = ("entity", "relation")
TRANSE = Problem(
    "translations",
    transe_loss,
    transe_grad,
    transe_data,
    (
        Fault(
            "dropped_derivative",
            bugged(transe_grad, "always_active"),
            GRAPH,
            "transe_hinge",
            accept=("wrong_derivative",),
        ),
        Fault(
            "dropped_derivative",
            bugged(transe_grad, "squared_distance"),
            GRAPH,
            "transe_good",
            accept=("wrong_derivative",),
        ),
        Fault("dropped_path", bugged(transe_grad, "corrupted_fixed"), ("entity",), "transe_bad"),
        Fault("dropped_path", bugged(transe_grad, "relation_once"), ("relation",), "transe_bad"),
    ),
)


# 15. Bayesian personalised ranking, users and items in a tuple of factors.

SHRINK = 0.1


def ranking_loss(params: Any, users: Any, liked: Any, other: Any) -> Any:
    p, q, bias = params
    match = jnp.sum(p[users] * (q[liked] - q[other]), axis=1)  # @rank_match
    score = match + bias[liked] - bias[other]
    fit = -jnp.mean(jax.nn.log_sigmoid(score))  # @rank_sigmoid
    return fit + SHRINK * (jnp.sum(p**2) + jnp.sum(q**2))  # @rank_shrink


def ranking_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    liked = rng.integers(0, 5, 10)
    other = (liked + 1 + rng.integers(0, 4, 10)) % 5
    args = integers(rng, 4, 10), jnp.asarray(liked, jnp.int32), jnp.asarray(other, jnp.int32)
    return (draw(rng, 4, 3), draw(rng, 5, 3), draw(rng, 5)), args


def ranking_grad(params: Any, users: Any, liked: Any, other: Any, bug: Any = None) -> Any:
    p, q, bias = to_numpy(params)
    users, liked, other = to_numpy((users, liked, other))
    dp, dq, dbias = np.zeros_like(p), np.zeros_like(q), np.zeros_like(bias)
    n = len(users)
    for u, i, j in zip(users, liked, other, strict=True):
        score = p[u] @ (q[i] - q[j]) + bias[i] - bias[j]
        e = -np_sigmoid(score if bug == "sigmoid_of_score" else -score) / n
        dp[u] += e * (q[i] if bug == "liked_only" else q[i] - q[j])
        dq[i] += e * p[u]
        if bug == "other_pushed_up":
            dq[j] += e * p[u]
        else:
            dq[j] -= e * p[u]
        dbias[i] += e
        dbias[j] -= e
    if bug == "shrink_half":
        dp, dq = dp + SHRINK * p, dq + SHRINK * q
    elif bug == "shrink_users_only":
        dp = dp + 2 * SHRINK * p
    else:
        dp, dq = dp + 2 * SHRINK * p, dq + 2 * SHRINK * q
    return dp, dq, dbias


RANKING = Problem(
    "personalised_ranking",
    ranking_loss,
    ranking_grad,
    ranking_data,
    (
        Fault(
            "wrong_derivative",
            bugged(ranking_grad, "sigmoid_of_score"),
            ("0", "1", "2"),
            "rank_sigmoid",
            accept=("wrong_point", "sign"),
        ),
        Fault(
            "wrong_point",
            bugged(ranking_grad, "liked_only"),
            ("0",),
            "rank_match",
            accept=("dropped_path",),
        ),
        Fault("sign", bugged(ranking_grad, "other_pushed_up"), ("1",), "rank_match"),
        Fault("regularization", bugged(ranking_grad, "shrink_half"), ("0", "1"), "rank_shrink"),
        Fault("regularization", bugged(ranking_grad, "shrink_users_only"), ("1",), "rank_shrink"),
    ),
)


# 16. Laplace noise whose scale depends on the inputs.


class Laplace(NamedTuple):
    location: Any
    scale: Any


def laplace_loss(params: Any, x: Any, y: Any) -> Any:
    location = x @ params.location
    b = jnp.exp(x @ params.scale)  # @laplace_exp
    return jnp.mean(jnp.abs(y - location) / b + jnp.log(2 * b))  # @laplace_density


def laplace_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return Laplace(draw(rng, 3), draw(rng, 3) / 2), (draw(rng, 12, 3), draw(rng, 12))


def laplace_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    params, x, y = to_numpy((params, x, y))
    n = len(y)
    r = y - x @ params.location
    b = np.exp(x @ params.scale)
    dlocation = -np.sign(r) / b
    if bug == "sign_forgotten":
        dlocation = -1 / b
    if bug == "residual_for_sign":
        dlocation = -r / b
    if bug == "unscaled":
        dlocation = -np.sign(r)
    deta = 1 - np.abs(r) / b
    if bug == "no_normaliser":
        deta = -np.abs(r) / b
    if bug == "scale_not_log":
        deta = 1 / b - np.abs(r) / b**2
    return Laplace(x.T @ dlocation / n, x.T @ deta / n)


LAPLACE = Problem(
    "laplace_noise",
    laplace_loss,
    laplace_grad,
    laplace_data,
    (
        Fault(
            "dropped_derivative",
            bugged(laplace_grad, "sign_forgotten"),
            ("location",),
            "laplace_density",
        ),
        Fault(
            "wrong_derivative",
            bugged(laplace_grad, "residual_for_sign"),
            ("location",),
            "laplace_density",
        ),
        Fault(
            "dropped_derivative", bugged(laplace_grad, "unscaled"), ("location",), "laplace_density"
        ),
        Fault("dropped_path", bugged(laplace_grad, "no_normaliser"), ("scale",), "laplace_density"),
        Fault(
            "dropped_derivative", bugged(laplace_grad, "scale_not_log"), ("scale",), "laplace_exp"
        ),
    ),
)


# 17. Survival times of a Weibull law, some of them censored.


def weibull_loss(params: Any, x: Any, time: Any, event: Any) -> Any:
    shape = jnp.exp(params["log_shape"])  # @weibull_shape
    log_rate = shape * (jnp.log(time) - x @ params["beta"])  # @weibull_rate
    log_hazard = params["log_shape"] + log_rate - jnp.log(time)
    return -jnp.mean(event * log_hazard - jnp.exp(log_rate))  # @weibull_likelihood


def weibull_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    time = jnp.asarray(rng.uniform(0.2, 3, size=10), jnp.float32)
    event = jnp.asarray(np.arange(10) % 3 > 0, jnp.float32)
    params = {"beta": draw(rng, 3) / 2, "log_shape": draw(rng) / 2}
    return params, (draw(rng, 10, 3) / 2, time, event)


def weibull_grad(params: Any, x: Any, time: Any, event: Any, bug: Any = None) -> Any:
    p, x, time, event = to_numpy((params, x, time, event))
    n = len(time)
    shape = np.exp(p["log_shape"])
    gap = np.log(time) - x @ p["beta"]
    cumulative = np.exp(shape * gap)
    drate = -(event - cumulative) / n
    dshape = drate @ (np.log(time) if bug == "beta_forgotten" else gap)
    if bug != "no_chain":
        dshape = dshape * shape
    if bug != "log_shape_once":
        dshape = dshape - event.mean()
    return {"beta": -shape * (drate @ x), "log_shape": dshape}


WEIBULL = Problem(
    "weibull_survival",
    weibull_loss,
    weibull_grad,
    weibull_data,
    (
        Fault("dropped_path", bugged(weibull_grad, "log_shape_once"), ("log_shape",)),
        Fault(
            "dropped_derivative",
            bugged(weibull_grad, "no_chain"),
            ("log_shape",),
            "weibull_shape",
        ),
        Fault(
            "wrong_point", bugged(weibull_grad, "beta_forgotten"), ("log_shape",), "weibull_rate"
        ),
    ),
)


# 18. Multinomial choice among the alternatives that are offered.


def choice_loss(beta: Any, features: Any, offered: Any, counts: Any) -> Any:
    utility = jnp.where(offered, features @ beta, -1e9)  # @choice_offered
    logp = jax.nn.log_softmax(utility, axis=1)  # @choice_softmax
    return -jnp.sum(counts * logp) / jnp.sum(counts)  # @choice_mean


def choice_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    offered = np.ones((7, 4), bool)
    offered[np.arange(5), rng.integers(0, 4, 5)] = False
    counts = rng.integers(1, 6, size=(7, 4)) * offered
    return draw(rng, 3), (
        draw(rng, 7, 4, 3),
        jnp.asarray(offered),
        jnp.asarray(counts, jnp.float32),
    )


def choice_grad(beta: Any, features: Any, offered: Any, counts: Any, bug: Any = None) -> Any:
    beta, features, offered, counts = to_numpy((beta, features, offered, counts))
    p = np_softmax(np.where(offered, features @ beta, -1e9))
    totals = counts.sum(axis=1, keepdims=True)
    dutility = p * totals - counts
    if bug == "one_trial":
        dutility = p - counts
    if bug == "log_of_zero":
        with np.errstate(divide="ignore", invalid="ignore"):
            dutility = -p * (counts / p) + p * (p * (counts / p)).sum(axis=1, keepdims=True)
    dbeta = np.einsum("nj,njd->d", dutility, features)
    if bug == "ascent":
        dbeta = -dbeta
    if bug == "per_person":
        return dbeta / len(counts)
    return dbeta / counts.sum()


CHOICE = Problem(
    "multinomial_choice",
    choice_loss,
    choice_grad,
    choice_data,
    (
        Fault("sign", bugged(choice_grad, "ascent"), ("",)),
        Fault("scale", bugged(choice_grad, "per_person"), ("",)),
        Fault(
            "dropped_derivative",
            bugged(choice_grad, "one_trial"),
            ("",),
            "choice_softmax",
            accept=("wrong_derivative", "dropped_path", "wrong_loss"),
        ),
        Fault("nonfinite", bugged(choice_grad, "log_of_zero"), ("",)),
    ),
)


# 19. Supervised contrastive learning on a sphere.

TAU = 0.5


def supcon_loss(params: Any, x: Any, labels: Any) -> Any:
    raw = x @ params["w"] + params["b"]
    z = raw / jnp.linalg.norm(raw, axis=1, keepdims=True)  # @supcon_norm
    similarity = z @ z.T / TAU  # @supcon_similarity
    others = 1 - jnp.eye(len(x))
    exps = others * jnp.exp(similarity)  # @supcon_total
    log_total = jnp.log(jnp.sum(exps, axis=1, keepdims=True))
    same = others * (labels[:, None] == labels[None])
    per_anchor = jnp.sum(same * (similarity - log_total), axis=1) / jnp.sum(same, axis=1)
    return -jnp.mean(per_anchor)


def supcon_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    labels = jnp.asarray(rng.permutation(np.array([0, 0, 0, 1, 1, 2, 2, 2])), jnp.int32)
    return {"w": draw(rng, 4, 3), "b": draw(rng, 3)}, (draw(rng, 8, 4), labels)


def supcon_grad(params: Any, x: Any, labels: Any, bug: Any = None) -> Any:
    p, x, labels = to_numpy((params, x, labels))
    raw = x @ p["w"] + p["b"]
    length = np.sqrt((raw**2).sum(axis=1, keepdims=True))
    z = raw / length
    n = len(x)
    others = 1 - np.eye(n)
    e = np.exp(z @ z.T / TAU) * (1 if bug == "itself_in_total" else others)
    same = others * (labels[:, None] == labels[None])
    ds = (e / e.sum(axis=1, keepdims=True) - same / same.sum(axis=1, keepdims=True)) / n
    both = ds if bug == "anchors_only" else ds + ds.T
    dz = both @ z
    if bug != "no_temperature":
        dz = dz / TAU
    d_raw = (dz - z * (dz * z).sum(axis=1, keepdims=True)) / length
    if bug == "no_projection":
        d_raw = dz / length
    if bug == "length_kept":
        d_raw = dz - z * (dz * z).sum(axis=1, keepdims=True)
    return {"w": x.T @ d_raw, "b": d_raw.sum(axis=0)}


SUPCON = Problem(
    "supervised_contrastive",
    supcon_loss,
    supcon_grad,
    supcon_data,
    (
        Fault("dropped_path", bugged(supcon_grad, "anchors_only"), ("b", "w"), "supcon_similarity"),
        Fault(
            "scale",
            bugged(supcon_grad, "no_temperature"),
            ("b", "w"),
            accept=("dropped_derivative",),
        ),
        Fault("dropped_path", bugged(supcon_grad, "no_projection"), ("b", "w"), "supcon_norm"),
        Fault("dropped_derivative", bugged(supcon_grad, "length_kept"), ("b", "w"), "supcon_norm"),
        Fault(
            "dropped_derivative",
            bugged(supcon_grad, "itself_in_total"),
            ("b", "w"),
            "supcon_total",
            accept=("wrong_derivative", "wrong_point"),
        ),
    ),
)


# 20. A sparse autoencoder: the mean activation of each unit is drawn to RHO.

RHO, SPARSITY = 0.1, 0.3


def sparse_loss(theta: Any, x: Any) -> Any:
    (w1, b1), (w2, b2) = theta
    a = jax.nn.sigmoid(x @ w1 + b1)  # @sparse_sigmoid
    out = a @ w2 + b2
    rho = jnp.mean(a, axis=0)  # @sparse_mean
    kl = RHO * jnp.log(RHO / rho) + (1 - RHO) * jnp.log((1 - RHO) / (1 - rho))  # @sparse_kl
    return 0.5 * jnp.sum((out - x) ** 2) / len(x) + SPARSITY * jnp.sum(kl)  # @sparse_sum


def sparse_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    theta = [(draw(rng, 5, 3), draw(rng, 3)), (draw(rng, 3, 5), draw(rng, 5))]
    return theta, (draw(rng, 8, 5),)


def sparse_grad(theta: Any, x: Any, bug: Any = None) -> Any:
    theta, x = to_numpy((theta, x))
    (w1, b1), (w2, b2) = theta
    m = len(x)
    a = np_sigmoid(x @ w1 + b1)
    error = a @ w2 + b2 - x
    rho = a.mean(axis=0)
    if bug == "activation_for_mean":
        rho = a
    penalty = SPARSITY * (-RHO / rho + (1 - RHO) / (1 - rho))
    if bug == "second_term_sign":
        penalty = SPARSITY * (-RHO / rho - (1 - RHO) / (1 - rho))
    if bug == "no_beta":
        penalty = penalty / SPARSITY
    da = error @ w2.T + (0 if bug == "no_sparsity" else penalty)
    delta = da * a * (1 - a)
    if bug == "penalty_after_sigmoid":
        delta = (error @ w2.T) * a * (1 - a) + penalty
    return [(x.T @ delta / m, delta.sum(0) / m), (a.T @ error / m, error.sum(0) / m)]


CODE = ("0.0", "0.1")
SPARSE = Problem(
    "sparse_autoencoder",
    sparse_loss,
    sparse_grad,
    sparse_data,
    (
        Fault("dropped_path", bugged(sparse_grad, "no_sparsity"), CODE),
        Fault(
            "sign",
            bugged(sparse_grad, "second_term_sign"),
            CODE,
            "sparse_kl",
            accept=("wrong_derivative",),
        ),
        Fault("dropped_derivative", bugged(sparse_grad, "no_beta"), CODE, "sparse_sum"),
        Fault("wrong_point", bugged(sparse_grad, "activation_for_mean"), CODE, "sparse_kl"),
        Fault(
            "dropped_derivative",
            bugged(sparse_grad, "penalty_after_sigmoid"),
            CODE,
            "sparse_sigmoid",
        ),
    ),
)


# 21. A mixture of linear experts with a softmax gate.

SIGMA = 0.7


def experts_loss(params: Any, x: Any, y: Any) -> Any:
    log_gate = jax.nn.log_softmax(x @ params["gate"])  # @experts_gate
    error = y[:, None] - x @ params["expert"]
    joint = log_gate - 0.5 * (error / SIGMA) ** 2  # @experts_joint
    return -jnp.mean(jax.scipy.special.logsumexp(joint, axis=1))  # @experts_sum


def experts_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return {"gate": draw(rng, 4, 3), "expert": draw(rng, 4, 3)}, (draw(rng, 9, 4), draw(rng, 9))


def experts_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    p, x, y = to_numpy((params, x, y))
    n = len(y)
    gate = np_softmax(x @ p["gate"])
    error = y[:, None] - x @ p["expert"]
    r = gate * np.exp(-0.5 * (error / SIGMA) ** 2)
    r /= r.sum(axis=1, keepdims=True)
    if bug == "gate_for_responsibility":
        r = gate
    if bug == "hard_assignment":
        r = np.eye(3)[r.argmax(axis=1)]
    dgate = (gate - r) / n
    if bug == "gate_normaliser":
        dgate = -r / n
    derror = r * error / SIGMA**2 / n
    if bug == "sigma_once":
        derror = derror * SIGMA
    if bug == "swapped":
        return {"gate": -x.T @ derror, "expert": x.T @ dgate}
    return {"gate": x.T @ dgate, "expert": -x.T @ derror}


EXPERTS = Problem(
    "mixture_of_experts",
    experts_loss,
    experts_grad,
    experts_data,
    (
        Fault("swapped", bugged(experts_grad, "swapped"), ("expert", "gate")),
        Fault(
            "scale",
            bugged(experts_grad, "sigma_once"),
            ("expert",),
            accept=("dropped_derivative",),
        ),
        Fault(
            "dropped_path",
            bugged(experts_grad, "gate_normaliser"),
            ("gate",),
            "experts_gate",
            accept=("wrong_derivative",),
        ),
        Fault(
            "wrong_derivative",
            bugged(experts_grad, "hard_assignment"),
            ("expert", "gate"),
            "experts_sum",
            accept=("wrong_point",),
        ),
        Fault(
            "wrong_point",
            bugged(experts_grad, "gate_for_responsibility"),
            ("expert", "gate"),
            "experts_sum",
            accept=("wrong_derivative",),
        ),
    ),
)


PROBLEMS = [
    LOGCOSH, ENZYME, NET, SMOOTH, LABELS, DISTIL, ELU, SIREN, MASKED, MGU, POOLED, ADDITIVE,
    GROUP, TRANSE, RANKING, LAPLACE, WEIBULL, CHOICE, SUPCON, SPARSE, EXPERTS,
]  # fmt: skip
