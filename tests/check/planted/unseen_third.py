"""Twenty-one losses, and faults in their gradients, made before the doctor saw them.

Three losses are NumPy with loops. Each gradient takes `bug`, the name of the one mistake a person
made in it; without, it is right.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma, erf, gammaln, i0e, i1e

from .problem import Fault, Problem
from .unseen_more import bugged, draw, integers, np_sigmoid, np_softmax, to_numpy

# 1. Huber's regression: a NumPy loss, an example at a time.

DELTA = 0.8


def huber_loss(params: Any, x: Any, y: Any) -> Any:
    w, b = params["w"], params["b"]
    total = 0.0
    for xi, yi in zip(x, y, strict=True):
        r = float(np.dot(xi, w) + b - yi)
        if abs(r) <= DELTA:
            total += 0.5 * r**2
        else:
            total += DELTA * (abs(r) - 0.5 * DELTA)
    return total / len(y)


def huber_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"w": rng.normal(size=3), "b": np.asarray(rng.normal())}
    return params, (rng.normal(size=(10, 3)), 2 * rng.normal(size=10))


def huber_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    w, b = params["w"], params["b"]
    n = len(y)
    dw, db = np.zeros_like(w), 0.0
    for i in range(n - 1 if bug == "skips_last" else n):
        r = x[i] @ w + b - y[i]
        if bug == "target_minus_prediction":
            r = -r
        if abs(r) > DELTA and bug != "squared_error":
            r = DELTA if bug == "no_sign" else DELTA * np.sign(r)
        dw += r * x[i]
        db += r
    if bug == "sum":
        return {"w": dw, "b": np.asarray(db)}
    return {"w": dw / n, "b": np.asarray(db / n)}


HUBER = Problem(
    "huber_loop",
    huber_loss,
    huber_grad,
    huber_data,
    (
        Fault("partial_batch", bugged(huber_grad, "skips_last"), ("w", "b")),
        Fault("sign", bugged(huber_grad, "target_minus_prediction"), ("w", "b")),
        Fault("wrong_loss", bugged(huber_grad, "squared_error"), ("w", "b")),
        Fault("wrong_derivative", bugged(huber_grad, "no_sign"), ("w", "b")),
    ),
)


# 2. A Poisson regression with an exposure.


def poisson_loss(params: Any, x: Any, y: Any, exposure: Any) -> Any:
    eta = x @ params["beta"] + params["intercept"] + jnp.log(exposure)  # @poisson_eta
    rate = jnp.exp(eta)  # @poisson_rate
    return jnp.mean(rate - y * eta)


def poisson_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"beta": 0.4 * draw(rng, 3), "intercept": 0.4 * draw(rng)}
    exposure = jnp.asarray(rng.uniform(0.5, 4, size=12), jnp.float32)
    return params, (draw(rng, 12, 3), jnp.asarray(rng.poisson(2, size=12), jnp.float32), exposure)


def poisson_grad(params: Any, x: Any, y: Any, exposure: Any, bug: Any = None) -> Any:
    params, x, y, exposure = to_numpy((params, x, y, exposure))
    eta = x @ params["beta"] + params["intercept"]
    if bug != "no_exposure":
        eta = eta + np.log(exposure)
    residual = (eta if bug == "no_exp" else np.exp(eta)) - y
    if bug == "broadcast":
        residual = (np.exp(eta) - y[:, None]).mean(axis=0)
    dbeta = (residual[:, None] * x).mean(axis=0)
    if bug == "averages":
        dbeta = residual.mean() * x.mean(axis=0)
    return {"beta": dbeta, "intercept": residual.sum() if bug == "sum" else residual.mean()}


POISSON = Problem(
    "poisson_exposure",
    poisson_loss,
    poisson_grad,
    poisson_data,
    (
        Fault(
            "wrong_point",
            bugged(poisson_grad, "no_exposure"),
            ("beta", "intercept"),
            "poisson_rate",
            accept=("wrong_derivative",),
        ),
        Fault(
            "wrong_derivative",
            bugged(poisson_grad, "no_exp"),
            ("beta", "intercept"),
            "poisson_rate",
            accept=("wrong_loss", "wrong_point"),
        ),
        Fault(
            "premature_average",
            bugged(poisson_grad, "broadcast"),
            ("beta",),
            accept=("wrong_loss",),
        ),
        Fault("premature_average", bugged(poisson_grad, "averages"), ("beta",), "poisson_eta"),
        Fault("scale", bugged(poisson_grad, "sum"), ("intercept",)),
    ),
)


# 3. A gamma regression whose shape is learned, too.


class Gamma(NamedTuple):
    coef: Any
    log_shape: Any


def gamma_loss(params: Any, x: Any, y: Any) -> Any:
    eta = x @ params.coef
    shape = jnp.exp(params.log_shape)  # @gamma_shape
    normalizer = gammaln(shape) - shape * jnp.log(shape)  # @gamma_normalizer
    fit = shape * (eta + y * jnp.exp(-eta))  # @gamma_fit
    return jnp.mean(normalizer + fit - (shape - 1) * jnp.log(y))  # @gamma_log_y


def gamma_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    y = jnp.asarray(rng.gamma(2.0, 0.8, size=9) + 0.05, jnp.float32)
    return Gamma(0.5 * draw(rng, 3), jnp.asarray(0.6, jnp.float32)), (draw(rng, 9, 3), y)


def gamma_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    eta = x @ params.coef
    k = jnp.exp(params.log_shape)
    ratio = y * jnp.exp(-eta)
    coef = x.T @ (k * (1 - ratio)) / len(y)
    if bug == "exponential":
        coef = x.T @ (1 - ratio) / len(y)
    psi = jnp.log(k) - 1 / (2 * k) if bug == "digamma_series" else digamma(k)
    dk = psi - jnp.log(k) + jnp.mean(eta + ratio)
    if bug != "product_rule":
        dk = dk - 1
    if bug != "no_log_y":
        dk = dk - jnp.mean(jnp.log(y))
    return Gamma(coef, dk if bug == "no_exp" else dk * k)


GAMMA = Problem(
    "gamma_shape",
    gamma_loss,
    gamma_grad,
    gamma_data,
    (
        Fault("dropped_derivative", bugged(gamma_grad, "no_exp"), ("log_shape",), "gamma_shape"),
        Fault(
            "dropped_path",
            bugged(gamma_grad, "product_rule"),
            ("log_shape",),
            "gamma_normalizer",
            accept=("wrong_derivative",),
        ),
        Fault("dropped_path", bugged(gamma_grad, "no_log_y"), ("log_shape",), "gamma_log_y"),
        Fault(
            "dropped_derivative",
            bugged(gamma_grad, "exponential"),
            ("coef",),
            accept=("scale",),
        ),
        Fault(
            "wrong_derivative",
            bugged(gamma_grad, "digamma_series"),
            ("log_shape",),
            "gamma_normalizer",
        ),
    ),
)


# 4. A negative binomial regression, in float64 arrays.


def negbin_loss(params: Any, x: Any, y: Any) -> Any:
    mu = jnp.exp(x @ params["w"])
    r = jnp.exp(params["log_r"])
    count = gammaln(y + r) - gammaln(r) - gammaln(y + 1)  # @nb_count
    successes = r * jnp.log(r / (r + mu))  # @nb_successes
    failures = y * jnp.log(mu / (r + mu))  # @nb_failures
    return -jnp.mean(count + successes + failures)


def negbin_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"w": 0.5 * rng.normal(size=4), "log_r": np.asarray(0.3)}
    return params, (rng.normal(size=(10, 4)), rng.poisson(2.5, size=10).astype(np.float64))


def negbin_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    w, r = params["w"], np.exp(params["log_r"])
    dw, dr = np.zeros(len(w)), 0.0
    for xi, yi in zip(x, y, strict=True):
        mu = np.exp(xi @ w)
        if bug == "poisson":
            dw += (mu - yi) * xi
        else:
            dw += r * (mu - yi) / (r + mu) * xi
        dr -= float(digamma(yi + r))
        if bug != "no_gamma_of_r":
            dr += float(digamma(r))
        dr -= np.log(r / (r + mu))
        if bug != "no_product_rule":
            dr -= 1 - r / (r + mu)
        if bug != "failures_without_r":
            dr += yi / (r + mu)
    return {"w": dw / len(y), "log_r": dr * r / len(y)}


NEGBIN = Problem(
    "negative_binomial",
    negbin_loss,
    negbin_grad,
    negbin_data,
    (
        Fault(
            "wrong_loss",
            bugged(negbin_grad, "poisson"),
            ("w",),
            accept=("dropped_derivative", "wrong_derivative", "dropped_path"),
        ),
        Fault("dropped_path", bugged(negbin_grad, "no_gamma_of_r"), ("log_r",), "nb_count"),
        Fault(
            "dropped_path",
            bugged(negbin_grad, "no_product_rule"),
            ("log_r",),
            "nb_successes",
            accept=("wrong_derivative",),
        ),
        Fault("dropped_path", bugged(negbin_grad, "failures_without_r"), ("log_r",), "nb_failures"),
    ),
)


# 5. A von Mises regression of angles, the parameters in a list.


def vonmises_loss(params: Any, x: Any, angle: Any) -> Any:
    w, b, log_kappa = params
    center = 2 * jnp.arctan(x @ w + b)  # @vm_link
    kappa = jnp.exp(log_kappa)
    log_norm = jnp.log(i0e(kappa)) + kappa  # @vm_norm
    return jnp.mean(log_norm - kappa * jnp.cos(angle - center))


def vonmises_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    angle = jnp.asarray(rng.vonmises(0.5, 1.0, size=9), jnp.float32)
    return [draw(rng, 3), draw(rng), jnp.asarray(0.4, jnp.float32)], (draw(rng, 9, 3), angle)


def vonmises_grad(params: Any, x: Any, angle: Any, bug: Any = None) -> Any:
    w, b, log_kappa = params
    z = x @ w + b
    center = 2 * jnp.arctan(z)
    kappa = jnp.exp(log_kappa)
    dcenter = -kappa * jnp.sin(angle - center) / len(angle)
    if bug == "sine_sign":
        dcenter = -dcenter
    dz = dcenter * 2 / (1 + z**2)
    if bug == "no_link":
        dz = dcenter
    if bug == "no_two":
        dz = dcenter / (1 + z**2)
    if bug == "link_at_angle":
        dz = dcenter * 2 / (1 + center**2)
    bessel = i1e(kappa) / i0e(kappa)
    if bug == "no_quotient":
        bessel = i1e(kappa) * jnp.exp(kappa)
    dkappa = bessel - jnp.mean(jnp.cos(angle - center))
    return [x.T @ dz, jnp.sum(dz), dkappa * kappa]


VONMISES = Problem(
    "von_mises",
    vonmises_loss,
    vonmises_grad,
    vonmises_data,
    (
        Fault("sign", bugged(vonmises_grad, "sine_sign"), ("0", "1")),
        Fault("dropped_derivative", bugged(vonmises_grad, "no_link"), ("0", "1"), "vm_link"),
        Fault("scale", bugged(vonmises_grad, "no_two"), ("0", "1"), accept=("dropped_derivative",)),
        Fault("wrong_point", bugged(vonmises_grad, "link_at_angle"), ("0", "1"), "vm_link"),
        Fault(
            "wrong_derivative",
            bugged(vonmises_grad, "no_quotient"),
            ("2",),
            "vm_norm",
            accept=("dropped_derivative",),
        ),
    ),
)


# 6. A residual GELU block under the cross-entropy written with logsumexp.


def gelu_loss(params: Any, x: Any, y: Any) -> Any:
    h = x @ params["embed"]
    z = h @ params["w1"] + params["b1"]  # @gelu_hidden
    a = z * 0.5 * (1 + erf(z / jnp.sqrt(2.0)))  # @gelu
    logits = (h + a) @ params["out"]  # @gelu_residual
    picked = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return jnp.mean(jax.scipy.special.logsumexp(logits, axis=1) - picked)


def gelu_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "embed": draw(rng, 4, 5),
        "w1": draw(rng, 5, 5),
        "b1": draw(rng, 5),
        "out": draw(rng, 5, 3),
    }
    return params, (draw(rng, 8, 4), integers(rng, 3, 8))


def gelu_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    h = x @ params["embed"]
    z = h @ params["w1"] + params["b1"]
    cdf = 0.5 * (1 + erf(z / jnp.sqrt(2.0)))
    a = z * cdf
    r = h + a
    dlogits = (jax.nn.softmax(r @ params["out"]) - jax.nn.one_hot(y, 3)) / len(y)
    dr = dlogits @ params["out"].T
    pdf = jnp.exp(-(z**2) / 2) / jnp.sqrt(2 * jnp.pi)
    if bug == "cdf_only":
        slope = cdf
    elif bug == "unnormalized_density":
        slope = cdf + z * jnp.exp(-(z**2) / 2)
    else:
        slope = cdf + z * pdf
    dz = dr * slope
    back = params["w1"] if bug == "not_transposed" else params["w1"].T
    dh = dz @ back
    if bug != "no_skip":
        dh = dh + dr
    return {
        "embed": x.T @ dh,
        "w1": h.T @ dz,
        "b1": dz.mean(axis=0) if bug == "bias_mean" else dz.sum(axis=0),
        "out": (a if bug == "branch_only" else r).T @ dlogits,
    }


GELU = Problem(
    "residual_gelu",
    gelu_loss,
    gelu_grad,
    gelu_data,
    (
        Fault(
            "wrong_derivative",
            bugged(gelu_grad, "cdf_only"),
            ("embed", "w1", "b1"),
            "gelu",
            accept=("dropped_path",),
        ),
        Fault(
            "wrong_derivative",
            bugged(gelu_grad, "unnormalized_density"),
            ("embed", "w1", "b1"),
            "gelu",
        ),
        Fault("transpose", bugged(gelu_grad, "not_transposed"), ("embed",), "gelu_hidden"),
        Fault("dropped_path", bugged(gelu_grad, "no_skip"), ("embed",), "gelu_residual"),
        Fault(
            "wrong_point",
            bugged(gelu_grad, "branch_only"),
            ("out",),
            "gelu_residual",
            accept=("dropped_path", "wrong_derivative"),
        ),
    ),
)


# 7. A mean and a log variance from one ELU layer: a list of (weights, bias).


def heads_loss(params: Any, x: Any, y: Any) -> Any:
    (w0, b0), (w1, b1), (w2, b2) = params
    h = jax.nn.elu(x @ w0 + b0)  # @heads_elu
    mean = h @ w1 + b1
    log_var = h @ w2 + b2  # @heads_log_var
    return 0.5 * jnp.mean(log_var + (y - mean) ** 2 * jnp.exp(-log_var))  # @heads_nll


def heads_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = [(draw(rng, 3, 6), draw(rng, 6))]
    params += [(0.5 * draw(rng, 6), 0.5 * draw(rng)) for _ in range(2)]
    return params, (draw(rng, 9, 3), draw(rng, 9))


def heads_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    (w0, b0), (w1, b1), (w2, b2) = params
    z = x @ w0 + b0
    h = jnp.where(z > 0, z, jnp.exp(z) - 1)
    mean, log_var = h @ w1 + b1, h @ w2 + b2
    error = mean - y
    precision = jnp.exp(-log_var)
    dmean = error * precision / len(y)
    if bug == "plain_error":
        dmean = error / len(y)
    dlog_var = 0.5 * (1 - error**2 * precision) / len(y)
    if bug == "no_square":
        dlog_var = 0.5 * (1 - jnp.abs(error) * precision) / len(y)
    if bug == "no_half":
        dlog_var = (1 - error**2 * precision) / len(y)
    dh = jnp.outer(dmean, w1)
    if bug != "mean_head_only":
        dh = dh + jnp.outer(dlog_var, w2)
    slope = jnp.where(z > 0, 1.0, jnp.exp(z))
    if bug == "relu":
        slope = jnp.where(z > 0, 1.0, 0.0)
    if bug == "elu_at_output":
        slope = jnp.where(h > 0, 1.0, jnp.exp(h))
    dz = dh * slope
    first = (x.T @ dz, dz.sum(axis=0))
    return [first, (h.T @ dmean, dmean.sum()), (h.T @ dlog_var, dlog_var.sum())]


HEADS = Problem(
    "mean_and_variance_heads",
    heads_loss,
    heads_grad,
    heads_data,
    (
        Fault(
            "dropped_derivative",
            bugged(heads_grad, "plain_error"),
            ("0.0", "0.1", "1.0", "1.1"),
            "heads_nll",
            accept=("wrong_loss",),
        ),
        Fault(
            "wrong_derivative",
            bugged(heads_grad, "no_square"),
            ("0.0", "0.1", "2.0", "2.1"),
            "heads_nll",
        ),
        Fault(
            "scale",
            bugged(heads_grad, "no_half"),
            ("0.0", "0.1", "2.0", "2.1"),
            accept=("dropped_derivative", "double_counted", "wrong_derivative"),
        ),
        Fault(
            "dropped_path", bugged(heads_grad, "mean_head_only"), ("0.0", "0.1"), "heads_log_var"
        ),
        Fault("wrong_derivative", bugged(heads_grad, "relu"), ("0.0", "0.1"), "heads_elu"),
        Fault("wrong_point", bugged(heads_grad, "elu_at_output"), ("0.0", "0.1"), "heads_elu"),
    ),
)


# 8. A GRU under a scan, with its backward pass through time.


def gru_loss(params: Any, xs: Any, y: Any) -> Any:
    p = params

    def step(h: Any, x: Any) -> Any:
        z = jax.nn.sigmoid(x @ p["Wz"] + h @ p["Uz"])  # @gru_update_gate
        r = jax.nn.sigmoid(x @ p["Wr"] + h @ p["Ur"])
        c = jnp.tanh(x @ p["Wc"] + (r * h) @ p["Uc"])  # @gru_candidate
        h = (1 - z) * h + z * c
        return h, None

    h, _ = lax.scan(step, jnp.zeros((xs.shape[1], len(p["Uz"]))), xs)
    return jnp.mean((h @ p["out"] - y) ** 2)


def gru_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"W" + gate: 0.7 * draw(rng, 3, 4) for gate in "zrc"}
    params |= {"U" + gate: 0.7 * draw(rng, 4, 4) for gate in "zrc"}
    return params | {"out": draw(rng, 4)}, (draw(rng, 5, 6, 3), draw(rng, 6))


def gru_grad(params: Any, xs: Any, y: Any, bug: Any = None) -> Any:
    p, xs, y = to_numpy((params, xs, y))
    h = np.zeros((xs.shape[1], len(p["Uz"])), xs.dtype)
    cache = []
    for x in xs:
        z = np_sigmoid(x @ p["Wz"] + h @ p["Uz"])
        r = np_sigmoid(x @ p["Wr"] + h @ p["Ur"])
        c = np.tanh(x @ p["Wc"] + (r * h) @ p["Uc"])
        new = (1 - z) * h + z * c
        cache.append((x, h, z, r, c, new))
        h = new
    dout = 2 * (h @ p["out"] - y) / len(y)
    grads = {name: np.zeros_like(value) for name, value in p.items()}
    grads["out"] = h.T @ dout
    dh = np.outer(dout, p["out"])
    for x, h_prev, z, r, c, new in reversed(cache):
        dc = dh * z * (1 - c**2)
        dz = dh * (c - h_prev)
        if bug != "no_gate_slope":
            dz = dz * z * (1 - z)
        dgated = dc @ p["Uc"].T
        dr = dgated * h_prev * r * (1 - r)
        seen = new if bug == "new_state" else h_prev
        grads["Uz"] += seen.T @ dz
        grads["Ur"] += seen.T @ dr
        grads["Uc"] += (h_prev if bug == "ungated_state" else r * h_prev).T @ dc
        for name, d in (("Wz", dz), ("Wr", dr), ("Wc", dc)):
            grads[name] += x.T @ d
        dh = dh * (1 - z) + dz @ p["Uz"].T + dr @ p["Ur"].T
        if bug != "no_path_through_reset":
            dh = dh + dgated * r
        if bug == "last_step_only":
            break
    return grads


RECURRENT = ("Wz", "Wr", "Wc", "Uz", "Ur", "Uc")

GRU = Problem(
    "gru_scan",
    gru_loss,
    gru_grad,
    gru_data,
    (
        Fault(
            "dropped_derivative", bugged(gru_grad, "no_gate_slope"), RECURRENT, "gru_update_gate"
        ),
        Fault(
            "wrong_point",
            bugged(gru_grad, "new_state"),
            ("Uz", "Ur"),
            "gru_update_gate",
            accept=("wrong_derivative",),
        ),
        Fault(
            "wrong_point",
            bugged(gru_grad, "ungated_state"),
            ("Uc",),
            "gru_candidate",
            accept=("dropped_derivative", "wrong_derivative"),
        ),
        Fault(
            "dropped_path", bugged(gru_grad, "no_path_through_reset"), RECURRENT, "gru_candidate"
        ),
        Fault("dropped_path", bugged(gru_grad, "last_step_only"), RECURRENT),
    ),
)


# 9. A hidden Markov model: the forward recursion in logs, the gradient by expected counts.


def hmm_loss(params: Any, observed: Any) -> Any:
    start = jax.nn.log_softmax(params["start"])
    trans = jax.nn.log_softmax(params["trans"], axis=1)  # @hmm_trans
    emit = jax.nn.log_softmax(params["emit"], axis=1)  # @hmm_emit
    alpha = start + emit[:, observed[0]]
    for symbol in observed[1:]:
        alpha = jax.scipy.special.logsumexp(alpha[:, None] + trans, axis=0)  # @hmm_step
        alpha = alpha + emit[:, symbol]  # @hmm_observe
    return -jax.scipy.special.logsumexp(alpha)


def hmm_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"start": draw(rng, 3), "trans": draw(rng, 3, 3), "emit": draw(rng, 3, 4)}
    return params, (integers(rng, 4, 7),)


def hmm_grad(params: Any, observed: Any, bug: Any = None) -> Any:
    params, observed = to_numpy((params, observed))
    pi = np_softmax(params["start"][None])[0]
    A, B = np_softmax(params["trans"]), np_softmax(params["emit"])
    T, K = len(observed), len(pi)
    alpha, beta = np.zeros((T, K), pi.dtype), np.ones((T, K), pi.dtype)
    alpha[0] = pi * B[:, observed[0]]
    for t in range(1, T):
        alpha[t] = (alpha[t - 1] @ A) * B[:, observed[t]]
    for t in reversed(range(T - 1)):
        future = B[:, observed[t + 1]] * beta[t + 1]
        beta[t] = future @ A if bug == "backward_transposed" else A @ future
    likelihood = alpha[-1].sum()
    gamma = alpha * beta / likelihood
    moves = np.zeros_like(A)
    for t in range(T - 1):
        moves += np.outer(alpha[t], B[:, observed[t + 1]] * beta[t + 1]) * A / likelihood
    symbols = np.zeros_like(B)
    for t in range(T - 1 if bug == "last_symbol_unseen" else T):
        symbols[:, observed[t]] += gamma[t]
    dtrans = moves.sum(axis=1, keepdims=True) * A - moves
    if bug == "counts_only":
        dtrans = -moves
    if bug == "columns":
        dtrans = moves.sum(axis=0, keepdims=True) * A - moves
    dstart = gamma[0] - pi if bug == "start_sign" else pi - gamma[0]
    return {
        "start": dstart,
        "trans": dtrans,
        "emit": symbols.sum(axis=1, keepdims=True) * B - symbols,
    }


HMM = Problem(
    "hidden_markov",
    hmm_loss,
    hmm_grad,
    hmm_data,
    (
        Fault(
            "dropped_derivative",
            bugged(hmm_grad, "counts_only"),
            ("trans",),
            "hmm_trans",
            accept=("dropped_path", "wrong_derivative"),
        ),
        Fault("wrong_derivative", bugged(hmm_grad, "columns"), ("trans",), "hmm_trans"),
        Fault("sign", bugged(hmm_grad, "start_sign"), ("start",)),
        Fault("dropped_path", bugged(hmm_grad, "last_symbol_unseen"), ("emit",), "hmm_observe"),
        Fault(
            "transpose",
            bugged(hmm_grad, "backward_transposed"),
            ("start", "trans", "emit"),
            "hmm_step",
            accept=("wrong_derivative",),
        ),
    ),
)


# 10. A linear-chain conditional random field: (weights, transitions).


def crf_loss(params: Any, x: Any, tags: Any) -> Any:
    w, trans = params
    unary = x @ w
    gold = jnp.sum(unary[jnp.arange(len(tags)), tags])
    gold = gold + jnp.sum(trans[tags[:-1], tags[1:]])  # @crf_gold_moves
    alpha = unary[0]
    for t in range(1, len(tags)):
        alpha = unary[t] + jax.nn.logsumexp(alpha[:, None] + trans, axis=0)  # @crf_forward
    return jax.nn.logsumexp(alpha) - gold


def crf_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return (draw(rng, 4, 3), draw(rng, 3, 3)), (draw(rng, 6, 4), integers(rng, 3, 6))


def crf_grad(params: Any, x: Any, tags: Any, bug: Any = None) -> Any:
    (w, trans), x, tags = to_numpy((params, x, tags))
    T, K = len(tags), len(trans)
    node, edge = np.exp(x @ w), np.exp(trans)
    alpha, beta = np.zeros((T, K), w.dtype), np.ones((T, K), w.dtype)
    alpha[0] = node[0]
    for t in range(1, T):
        alpha[t] = node[t] * (alpha[t - 1] @ edge)
    for t in range(T - 2, -1, -1):
        beta[t] = edge @ (node[t + 1] * beta[t + 1])
    partition = alpha[-1].sum()
    unary = alpha * beta / partition
    pairs = np.zeros_like(trans)
    for t in range(T - 1):
        pair = alpha[t][:, None] * edge * (node[t + 1] * beta[t + 1])[None, :] / partition
        pairs += pair.T if bug == "pairs_transposed" else pair
    if bug == "products_of_marginals":
        pairs = sum(np.outer(unary[t], unary[t + 1]) for t in range(T - 1))
    if bug != "no_gold":
        unary[np.arange(T), tags] -= 1
        if bug == "gold_not_accumulated":
            pairs[tags[:-1], tags[1:]] -= 1
        else:
            for t in range(T - 1):
                pairs[tags[t], tags[t + 1]] -= 1
    return x.T @ unary, pairs


CRF = Problem(
    "chain_crf",
    crf_loss,
    crf_grad,
    crf_data,
    (
        Fault("dropped_path", bugged(crf_grad, "no_gold"), ("0", "1"), "crf_gold_moves"),
        Fault(
            "wrong_derivative",
            bugged(crf_grad, "products_of_marginals"),
            ("1",),
            "crf_forward",
        ),
        Fault(
            "transpose",
            bugged(crf_grad, "pairs_transposed"),
            ("1",),
            "crf_forward",
            accept=("wrong_derivative",),
        ),
        Fault(
            "wrong_derivative",
            bugged(crf_grad, "gold_not_accumulated"),
            ("1",),
            "crf_gold_moves",
            accept=("dropped_path",),
        ),
    ),
)


# 11. A variational autoencoder, the noise given.


def vae_loss(params: Any, x: Any, eps: Any) -> Any:
    enc, dec = params["enc"], params["dec"]
    h = jnp.tanh(x @ enc["hidden"])
    mu, log_var = h @ enc["mu"], h @ enc["log_var"]
    z = mu + eps * jnp.exp(0.5 * log_var)  # @vae_sample
    logits = z @ dec["w"] + dec["b"]
    recon = jnp.sum(jax.nn.softplus(logits) - x * logits, axis=1)  # @vae_recon
    kl = -0.5 * jnp.sum(1 + log_var - mu**2 - jnp.exp(log_var), axis=1)  # @vae_kl
    return jnp.mean(recon + kl)


def vae_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    enc = {"hidden": draw(rng, 6, 5), "mu": 0.5 * draw(rng, 5, 2), "log_var": 0.5 * draw(rng, 5, 2)}
    x = jnp.asarray(rng.integers(0, 2, size=(7, 6)), jnp.float32)
    return {"enc": enc, "dec": {"w": draw(rng, 2, 6), "b": draw(rng, 6)}}, (x, draw(rng, 7, 2))


def vae_grad(params: Any, x: Any, eps: Any, bug: Any = None) -> Any:
    enc, dec = params["enc"], params["dec"]
    n = x.shape[0]
    h = jnp.tanh(x @ enc["hidden"])
    mu, log_var = h @ enc["mu"], h @ enc["log_var"]
    std = jnp.exp(0.5 * log_var)
    z = mu + eps * std
    dlogits = (jax.nn.sigmoid(z @ dec["w"] + dec["b"]) - x) / n
    dz = dlogits @ dec["w"].T
    dmu = dz
    dlog_var = dz * eps * std * 0.5
    if bug == "no_half":
        dlog_var = dz * eps * std
    if bug == "noise_forgotten":
        dlog_var = dz * std * 0.5
    if bug == "sample_is_mean":
        dlog_var = jnp.zeros_like(log_var)
    if bug != "no_kl":
        dmu = dmu + mu / n
        slope = 0.5 * (jnp.exp(log_var) - 1)
        dlog_var = dlog_var + (-slope if bug == "kl_sign" else slope) / n
    dh = dmu @ enc["mu"].T + dlog_var @ enc["log_var"].T
    dhidden = dh * (1 - h**2)
    return {
        "enc": {"hidden": x.T @ dhidden, "mu": h.T @ dmu, "log_var": h.T @ dlog_var},
        "dec": {"w": z.T @ dlogits, "b": dlogits.sum(axis=0)},
    }


TO_LOG_VAR = ("enc.hidden", "enc.log_var")

VAE = Problem(
    "variational_autoencoder",
    vae_loss,
    vae_grad,
    vae_data,
    (
        Fault(
            "dropped_derivative",
            bugged(vae_grad, "no_half"),
            TO_LOG_VAR,
            "vae_sample",
            accept=("wrong_derivative", "scale"),
        ),
        Fault("dropped_derivative", bugged(vae_grad, "noise_forgotten"), TO_LOG_VAR, "vae_sample"),
        Fault("dropped_path", bugged(vae_grad, "sample_is_mean"), TO_LOG_VAR, "vae_sample"),
        Fault("dropped_path", bugged(vae_grad, "no_kl"), (*TO_LOG_VAR, "enc.mu"), "vae_kl"),
        Fault(
            "sign",
            bugged(vae_grad, "kl_sign"),
            TO_LOG_VAR,
            "vae_kl",
            accept=("wrong_derivative",),
        ),
    ),
)


# 12. A triplet loss of two towers: a NumPy loss with a loop.

MARGIN = 1.5


def triplet_loss(params: Any, anchors: Any, positives: Any, negatives: Any) -> Any:
    query, item = np.asarray(params["query"]), np.asarray(params["item"])
    losses = []
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        near = np.sum((a @ query - p @ item) ** 2)
        far = np.sum((a @ query - n @ item) ** 2)
        losses.append(max(0.0, float(near - far + MARGIN)))
    return np.mean(losses)


def triplet_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"query": 0.6 * rng.normal(size=(4, 2)), "item": 0.6 * rng.normal(size=(4, 2))}
    return params, tuple(rng.normal(size=(8, 4)) for _ in range(3))


def triplet_grad(params: Any, anchors: Any, positives: Any, negatives: Any, bug: Any = None) -> Any:
    query, item = params["query"], params["item"]
    grads = {"query": np.zeros_like(query), "item": np.zeros_like(item)}
    count = len(anchors)
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        near, far = a @ query - p @ item, a @ query - n @ item
        if near @ near - far @ far + MARGIN <= 0 and bug != "no_hinge":
            continue
        dquery = 2 * np.outer(a, near - far)
        ditem = 2 * np.outer(n, far) - 2 * np.outer(p, near)
        if bug == "no_negative":
            ditem = -2 * np.outer(p, near)
        if bug == "not_accumulated":
            grads = {"query": dquery, "item": ditem}
        else:
            grads["query"] += dquery
            grads["item"] += ditem
    if bug == "swapped":
        grads = {"query": grads["item"], "item": grads["query"]}
    return {name: grad / count for name, grad in grads.items()}


TRIPLET = Problem(
    "triplet_loop",
    triplet_loss,
    triplet_grad,
    triplet_data,
    (
        Fault(
            "wrong_loss",
            bugged(triplet_grad, "no_hinge"),
            ("query", "item"),
            accept=("wrong_derivative",),
        ),
        Fault("dropped_path", bugged(triplet_grad, "no_negative"), ("item",)),
        Fault("partial_batch", bugged(triplet_grad, "not_accumulated"), ("query", "item")),
        Fault("swapped", bugged(triplet_grad, "swapped"), ("query", "item")),
    ),
)


# 13. The symmetric contrastive loss of two towers, with a learned temperature.


def clip_loss(params: Any, x: Any, y: Any) -> Any:
    u, v = x @ params["image"], y @ params["text"]
    u = u / jnp.linalg.norm(u, axis=1, keepdims=True)  # @clip_unit_image
    v = v / jnp.linalg.norm(v, axis=1, keepdims=True)
    logits = jnp.exp(params["log_scale"]) * u @ v.T  # @clip_logits
    rows = jnp.diag(jax.nn.log_softmax(logits, axis=1))
    columns = jnp.diag(jax.nn.log_softmax(logits, axis=0))  # @clip_columns
    return -jnp.mean(rows + columns) / 2  # @clip_both


def clip_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"image": draw(rng, 4, 3), "text": draw(rng, 5, 3), "log_scale": jnp.float32(0.7)}
    return params, (draw(rng, 6, 4), draw(rng, 6, 5))


def clip_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    params, x, y = to_numpy((params, x, y))
    u, v = x @ params["image"], y @ params["text"]
    nu = np.linalg.norm(u, axis=1, keepdims=True)
    nv = np.linalg.norm(v, axis=1, keepdims=True)
    u, v = u / nu, v / nv
    scale = np.exp(params["log_scale"])
    cosine = u @ v.T
    n = len(x)
    rows = np_softmax(scale * cosine) - np.eye(n, dtype=u.dtype)
    columns = np_softmax(scale * cosine.T).T - np.eye(n, dtype=u.dtype)
    if bug == "columns_by_rows":
        columns = np_softmax(scale * cosine.T) - np.eye(n, dtype=u.dtype)
    dlogits = rows / (2 * n) if bug == "rows_only" else (rows + columns) / (2 * n)
    dscale = np.sum(dlogits * cosine)
    du = scale * dlogits @ v
    dv = scale * dlogits.T @ u
    if bug == "length_constant":
        du, dv = du / nu, dv / nv
    else:
        du = (du - u * np.sum(u * du, axis=1, keepdims=True)) / nu
        dv = (dv - v * np.sum(v * dv, axis=1, keepdims=True)) / nv
    if bug == "text_detached":
        dv = np.zeros_like(dv)
    dlog_scale = dscale if bug == "no_exp" else dscale * scale
    return {"image": x.T @ du, "text": y.T @ dv, "log_scale": dlog_scale}


CLIP = Problem(
    "symmetric_contrastive",
    clip_loss,
    clip_grad,
    clip_data,
    (
        Fault(
            "dropped_path",
            bugged(clip_grad, "rows_only"),
            ("image", "text", "log_scale"),
            "clip_both",
        ),
        Fault(
            "transpose",
            bugged(clip_grad, "columns_by_rows"),
            ("image", "text", "log_scale"),
            "clip_columns",
            accept=("wrong_derivative",),
        ),
        Fault(
            "dropped_path",
            bugged(clip_grad, "length_constant"),
            ("image", "text"),
            "clip_unit_image",
            accept=("wrong_derivative",),
        ),
        Fault("missing", bugged(clip_grad, "text_detached"), ("text",)),
        Fault(
            "dropped_derivative",
            bugged(clip_grad, "no_exp"),
            ("log_scale",),
            "clip_logits",
            accept=("scale",),
        ),
    ),
)


# 14. Token embeddings, RMS normalisation and a gated unit, as in a language model.


class Gated(NamedTuple):
    embed: Any
    gain: Any
    gate: Any
    up: Any
    down: Any


def gated_loss(params: Any, tokens: Any, targets: Any) -> Any:
    x = params.embed[tokens]  # @gated_lookup
    rms = jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-5)  # @gated_rms
    n = x / rms * params.gain  # @gated_norm
    gate = jax.nn.silu(n @ params.gate)  # @gated_silu
    up = n @ params.up  # @gated_up
    logp = jax.nn.log_softmax((gate * up) @ params.down)
    return -jnp.mean(jnp.sum(jax.nn.one_hot(targets, logp.shape[-1]) * logp, axis=-1))


def gated_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    gain = 1 + 0.3 * draw(rng, 4)
    params = Gated(draw(rng, 5, 4), gain, draw(rng, 4, 6), draw(rng, 4, 6), draw(rng, 6, 5))
    return params, (jnp.asarray([1, 3, 1, 0, 4, 3, 1]), integers(rng, 5, 7))


def gated_grad(params: Any, tokens: Any, targets: Any, bug: Any = None) -> Any:
    params, tokens, targets = to_numpy((params, tokens, targets))
    embed, gain, w_gate, w_up, w_down = params
    x = embed[tokens]
    rms = np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-5)
    unit = x / rms
    n = unit * gain
    a = n @ w_gate
    s = np_sigmoid(a)
    up = n @ w_up
    gate = a * s
    dlogits = np_softmax((gate * up) @ w_down)
    dlogits[np.arange(len(targets)), targets] -= 1
    dlogits /= len(targets)
    dproduct = dlogits @ w_down.T
    dup = dproduct * gate
    slope = s * (1 - s) if bug == "sigmoid_slope" else s * (1 + a * (1 - s))
    da = dproduct * up * slope
    dn = da @ w_gate.T
    if bug != "gate_only":
        dn = dn + dup @ w_up.T
    dgain = np.sum(dn * (x if bug == "gain_of_raw_input" else unit), axis=0)
    dunit = dn * gain
    dx = (dunit - unit * np.mean(dunit * unit, axis=1, keepdims=True)) / rms
    if bug == "rms_constant":
        dx = dunit / rms
    dembed = np.zeros_like(embed)
    if bug == "not_accumulated":
        dembed[tokens] += dx
    else:
        np.add.at(dembed, tokens, dx)
    return Gated(dembed, dgain, n.T @ da, n.T @ dup, (gate * up).T @ dlogits)


GATED = Problem(
    "rms_gated_unit",
    gated_loss,
    gated_grad,
    gated_data,
    (
        Fault(
            "wrong_derivative",
            bugged(gated_grad, "sigmoid_slope"),
            ("embed", "gain", "gate"),
            "gated_silu",
        ),
        Fault("dropped_path", bugged(gated_grad, "gate_only"), ("embed", "gain"), "gated_up"),
        Fault(
            "wrong_point",
            bugged(gated_grad, "gain_of_raw_input"),
            ("gain",),
            "gated_norm",
            accept=("wrong_derivative", "dropped_derivative"),
        ),
        Fault("dropped_path", bugged(gated_grad, "rms_constant"), ("embed",), "gated_rms"),
        Fault(
            "wrong_derivative",
            bugged(gated_grad, "not_accumulated"),
            ("embed",),
            "gated_lookup",
            accept=("dropped_path", "partial_batch"),
        ),
    ),
)


# 15. A one-dimensional convolution, batch normalisation, pooling and smoothed labels.

SMOOTH = 0.2


def conv_loss(params: Any, x: Any, y: Any) -> Any:
    c = lax.conv_general_dilated(x, params["kernel"], (1,), "VALID")  # @conv_conv
    mean = c.mean(axis=(0, 2), keepdims=True)
    var = c.var(axis=(0, 2), keepdims=True)
    normed = (c - mean) / jnp.sqrt(var + 1e-5)  # @conv_var
    a = params["gamma"][:, None] * normed + params["beta"][:, None]
    pooled = jnp.maximum(a, 0).mean(axis=2)  # @conv_pool
    logits = pooled @ params["w"] + params["b"]
    target = (1 - SMOOTH) * jax.nn.one_hot(y, 3) + SMOOTH / 3
    return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(logits), axis=1))


def conv_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "kernel": draw(rng, 4, 2, 3),
        "gamma": 1 + 0.3 * draw(rng, 4),
        "beta": 0.5 * draw(rng, 4),
        "w": draw(rng, 4, 3),
        "b": draw(rng, 3),
    }
    return params, (draw(rng, 6, 2, 8), integers(rng, 3, 6))


def conv_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    p, x, y = to_numpy((params, x, y))
    kernel, gamma, beta = p["kernel"], p["gamma"], p["beta"]
    n, width, length = len(x), kernel.shape[2], x.shape[2] - kernel.shape[2] + 1
    c = sum(
        np.einsum("oi,nit->not", kernel[:, :, k], x[:, :, k : k + length]) for k in range(width)
    )
    std = np.sqrt(c.var(axis=(0, 2), keepdims=True) + 1e-5)
    normed = (c - c.mean(axis=(0, 2), keepdims=True)) / std
    a = gamma[:, None] * normed + beta[:, None]
    pooled = np.maximum(a, 0).mean(axis=2)
    target = np.eye(3, dtype=x.dtype)[y]
    if bug != "hard_labels":
        target = (1 - SMOOTH) * target + np.float32(SMOOTH / 3)
    dlogits = (np_softmax(pooled @ p["w"] + p["b"]) - target) / n
    db = dlogits.sum(axis=0, keepdims=bug == "kept_dimension")
    dpooled = dlogits @ p["w"].T
    spread = np.repeat(dpooled[:, :, None], length, axis=2)
    if bug != "pool_sum":
        spread = spread / length
    da = spread * ((normed if bug == "mask_before_affine" else a) > 0)
    dnormed = da * gamma[:, None]
    dc = dnormed - dnormed.mean(axis=(0, 2), keepdims=True)
    if bug != "variance_constant":
        dc = dc - normed * (dnormed * normed).mean(axis=(0, 2), keepdims=True)
    dc = dc / std
    dkernel = np.zeros_like(kernel)
    for k in range(width):
        dkernel[:, :, k] = np.einsum("not,nit->oi", dc, x[:, :, k : k + length])
    if bug == "flipped":
        dkernel = dkernel[:, :, ::-1]
    return {
        "kernel": dkernel,
        "gamma": (da * normed).sum(axis=(0, 2)),
        "beta": da.sum(axis=(0, 2)),
        "w": pooled.T @ dlogits,
        "b": db,
    }


NORMALIZED = ("kernel", "gamma", "beta")

CONV = Problem(
    "convolution_batch_norm",
    conv_loss,
    conv_grad,
    conv_data,
    (
        Fault(
            "wrong_derivative",
            bugged(conv_grad, "flipped"),
            ("kernel",),
            "conv_conv",
            accept=("transpose",),
        ),
        Fault("dropped_path", bugged(conv_grad, "variance_constant"), ("kernel",), "conv_var"),
        Fault(
            "dropped_derivative",
            bugged(conv_grad, "pool_sum"),
            NORMALIZED,
            "conv_pool",
            accept=("scale",),
        ),
        Fault("wrong_point", bugged(conv_grad, "mask_before_affine"), NORMALIZED, "conv_pool"),
        Fault("wrong_loss", bugged(conv_grad, "hard_labels"), (*NORMALIZED, "w", "b")),
        Fault("shape", bugged(conv_grad, "kept_dimension"), ("b",)),
    ),
)


# 16. Causal self-attention that predicts the next token.


def causal_loss(params: Any, x: Any, targets: Any) -> Any:
    q, k, v = x @ params["q"], x @ params["k"], x @ params["v"]
    scores = q @ k.T / jnp.sqrt(q.shape[1])  # @causal_scores
    mask = jnp.tril(jnp.ones_like(scores))
    weights = jax.nn.softmax(jnp.where(mask > 0, scores, -1e9), axis=1)  # @causal_softmax
    logits = (weights @ v) @ params["o"]  # @causal_mix
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(targets)), targets])


def causal_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {name: draw(rng, 4, 4) for name in "qkvo"}
    return params, (draw(rng, 6, 4), integers(rng, 4, 6))


def causal_grad(params: Any, x: Any, targets: Any, bug: Any = None) -> Any:
    p, x, targets = to_numpy((params, x, targets))
    q, k, v = x @ p["q"], x @ p["k"], x @ p["v"]
    root = np.sqrt(q.shape[1]).astype(x.dtype)
    scores = q @ k.T / root
    if bug != "no_mask":
        scores[np.triu_indices(len(x), 1)] = -1e9
    weights = np_softmax(scores)
    mixed = weights @ v
    dlogits = np_softmax(mixed @ p["o"])
    dlogits[np.arange(len(x)), targets] -= 1
    dlogits /= len(x)
    dmixed = dlogits @ p["o"].T
    dweights = dmixed @ v.T
    dv = (weights if bug == "weights_not_transposed" else weights.T) @ dmixed
    inner = (dweights * weights).sum(axis=0 if bug == "wrong_axis" else 1, keepdims=True)
    dscores = weights * (dweights - inner)
    if bug == "diagonal_only":
        dscores = weights * (1 - weights) * dweights
    if bug != "no_root":
        dscores = dscores / root
    dq, dk = dscores @ k, dscores.T @ q
    if bug == "keys_for_queries":
        dq, dk = dscores.T @ q, dscores @ k
    return {"q": x.T @ dq, "k": x.T @ dk, "v": x.T @ dv, "o": mixed.T @ dlogits}


CAUSAL = Problem(
    "causal_attention",
    causal_loss,
    causal_grad,
    causal_data,
    (
        Fault(
            "dropped_derivative",
            bugged(causal_grad, "no_root"),
            ("q", "k"),
            "causal_scores",
            accept=("scale",),
        ),
        Fault(
            "wrong_derivative", bugged(causal_grad, "diagonal_only"), ("q", "k"), "causal_softmax"
        ),
        Fault("wrong_derivative", bugged(causal_grad, "wrong_axis"), ("q", "k"), "causal_softmax"),
        Fault("swapped", bugged(causal_grad, "keys_for_queries"), ("q", "k")),
        Fault("transpose", bugged(causal_grad, "weights_not_transposed"), ("v",), "causal_mix"),
        Fault(
            "wrong_loss",
            bugged(causal_grad, "no_mask"),
            ("q", "k", "v", "o"),
            accept=("wrong_point",),
        ),
    ),
)


# 17. Matrix factorisation with biases: a NumPy loss, a rating at a time.

LAMBDA = 0.15


def ratings_loss(params: Any, ratings: Any) -> Any:
    P, Q, user_bias, item_bias = params
    total = LAMBDA * (np.sum(np.square(P)) + np.sum(np.square(Q)))
    for user, item, rating in ratings:
        u, i = int(user), int(item)
        total += (rating - np.dot(P[u], Q[i]) - user_bias[u] - item_bias[i]) ** 2
    return total


def ratings_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(20)[:12]
    ratings = np.stack([pairs // 5, pairs % 5, rng.integers(1, 6, size=12)], axis=1)
    params = (rng.normal(size=(4, 2)), rng.normal(size=(5, 2)))
    return (*params, rng.normal(size=4), rng.normal(size=5)), (ratings.astype(np.float64),)


def ratings_grad(params: Any, ratings: Any, bug: Any = None) -> Any:
    P, Q, user_bias, item_bias = params
    dP, dQ = 2 * LAMBDA * P, 2 * LAMBDA * Q
    if bug == "one_lambda":
        dP, dQ = LAMBDA * P, LAMBDA * Q
    if bug == "lambda_at_each_rating":
        dP, dQ = np.zeros_like(P), np.zeros_like(Q)
    du, di = np.zeros_like(user_bias), np.zeros_like(item_bias)
    for user, item, rating in ratings:
        u, i = int(user), int(item)
        e = rating - P[u] @ Q[i] - user_bias[u] - item_bias[i]
        dP[u] -= 2 * e * Q[i]
        dQ[i] -= 2 * e * P[u]
        if bug == "lambda_at_each_rating":
            dP[u] += 2 * LAMBDA * P[u]
            dQ[i] += 2 * LAMBDA * Q[i]
        du[u] -= 2 * e
        if bug != "no_item_bias":
            di[i] -= 2 * e
    if bug == "items_after_users":
        P = P - 0.02 * dP
        dQ = 2 * LAMBDA * Q
        for user, item, rating in ratings:
            u, i = int(user), int(item)
            dQ[i] -= 2 * (rating - P[u] @ Q[i] - user_bias[u] - item_bias[i]) * P[u]
    return dP, dQ, du, di


RATINGS = Problem(
    "ratings_loop",
    ratings_loss,
    ratings_grad,
    ratings_data,
    (
        Fault("regularization", bugged(ratings_grad, "one_lambda"), ("0", "1")),
        Fault("regularization", bugged(ratings_grad, "lambda_at_each_rating"), ("0", "1")),
        Fault("missing", bugged(ratings_grad, "no_item_bias"), ("3",)),
        Fault("stale", bugged(ratings_grad, "items_after_users"), ("1",)),
    ),
)


# 18. Word vectors by skip-grams with negative samples.


def skipgram_loss(params: Any, words: Any, contexts: Any, negatives: Any) -> Any:
    center = params["center"][words]
    positive = jnp.sum(center * params["context"][contexts], axis=1)
    negative = jnp.einsum("nd,nkd->nk", center, params["context"][negatives])  # @skip_negative
    total = jax.nn.log_sigmoid(positive) + jnp.sum(jax.nn.log_sigmoid(-negative), axis=1)  # @skip
    return -jnp.mean(total)


def skipgram_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"center": draw(rng, 6, 3), "context": draw(rng, 6, 3)}
    return params, (integers(rng, 6, 9), integers(rng, 6, 9), integers(rng, 6, 9, 4))


def skipgram_grad(
    params: Any, words: Any, contexts: Any, negatives: Any, bug: Any = None
) -> dict[str, Any]:
    params, words, contexts, negatives = to_numpy((params, words, contexts, negatives))
    v, u = params["center"], params["context"]
    dv, du = np.zeros_like(v), np.zeros_like(u)
    for w, c, noise in zip(words, contexts, negatives, strict=True):
        g = np_sigmoid(u[c] @ v[w]) - 1
        dv[w] += g * u[c]
        du[c] += g * v[w]
        for k in noise[:1] if bug == "one_negative" else noise:
            g = np_sigmoid(u[k] @ v[w])
            if bug == "negatives_as_positives":
                g -= 1
            if bug != "negatives_spare_center":
                dv[w] += g * u[k]
            du[k] += g * v[w]
    dv, du = dv / len(words), du / len(words)
    return {"center": du, "context": dv} if bug == "swapped" else {"center": dv, "context": du}


BOTH = ("center", "context")

SKIPGRAM = Problem(
    "skipgram_negatives",
    skipgram_loss,
    skipgram_grad,
    skipgram_data,
    (
        Fault("swapped", bugged(skipgram_grad, "swapped"), BOTH),
        Fault(
            "wrong_derivative",
            bugged(skipgram_grad, "negatives_as_positives"),
            BOTH,
            "skip",
            accept=("wrong_loss", "sign", "wrong_point"),
        ),
        Fault(
            "dropped_path",
            bugged(skipgram_grad, "negatives_spare_center"),
            ("center",),
            "skip_negative",
        ),
        Fault(
            "partial_batch",
            bugged(skipgram_grad, "one_negative"),
            BOTH,
            accept=("dropped_path", "partial_entries"),
        ),
    ),
)


# 19. A differential equation by the midpoint rule, fitted at the end.

STEP = 0.3


def midpoint_loss(params: Any, start: Any, end: Any) -> Any:
    A, b = params
    y = start
    for _ in range(3):
        k = jnp.tanh(y @ A + b)  # @ode_stage
        mid = y + STEP / 2 * k  # @ode_mid
        y = y + STEP * jnp.tanh(mid @ A + b)  # @ode_step
    return jnp.mean(jnp.sum((y - end) ** 2, axis=1))


def midpoint_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return (draw(rng, 3, 3), draw(rng, 3)), (draw(rng, 5, 3), draw(rng, 5, 3))


def midpoint_grad(params: Any, start: Any, end: Any, bug: Any = None) -> Any:
    A, b = params
    y, tape = start, []
    for _ in range(3):
        k = jnp.tanh(y @ A + b)
        mid = y + STEP / 2 * k
        slope = jnp.tanh(mid @ A + b)
        tape.append((y, k, mid, slope))
        y = y + STEP * slope
    dA, db = jnp.zeros_like(A), jnp.zeros_like(b)
    dy = 2 * (y - end) / len(start)
    for y, k, mid, slope in reversed(tape):
        dslope = STEP * dy * (1 - slope**2)
        dA, db = dA + mid.T @ dslope, db + dslope.sum(axis=0)
        dmid = dslope @ A.T
        dk = STEP / 2 * dmid * (1 - k**2)
        if bug == "full_step_inside":
            dk = STEP * dmid * (1 - k**2)
        if bug == "no_inner_stage":
            dk = jnp.zeros_like(k)
        dA, db = dA + y.T @ dk, db + dk.sum(axis=0)
        if bug == "no_identity":
            dy = dmid + dk @ A.T
        elif bug == "no_memory":
            break
        else:
            dy = dy + dmid + dk @ A.T
    return dA, db


ODE = Problem(
    "midpoint_rule",
    midpoint_loss,
    midpoint_grad,
    midpoint_data,
    (
        Fault(
            "dropped_derivative",
            bugged(midpoint_grad, "full_step_inside"),
            ("0", "1"),
            "ode_mid",
            accept=("wrong_derivative", "scale", "double_counted"),
        ),
        Fault("dropped_path", bugged(midpoint_grad, "no_inner_stage"), ("0", "1"), "ode_stage"),
        Fault("dropped_path", bugged(midpoint_grad, "no_identity"), ("0", "1"), "ode_step"),
        Fault("dropped_path", bugged(midpoint_grad, "no_memory"), ("0", "1")),
    ),
)


# 20. A mixture of Gaussians on the line.


def mixture_loss(params: Any, x: Any) -> Any:
    weights, means, log_scales = params
    log_pi = weights - jax.nn.logsumexp(weights)  # @mixture_weights
    z = (x[:, None] - means) / jnp.exp(log_scales)
    log_density = -0.5 * z**2 - log_scales - 0.5 * jnp.log(2 * jnp.pi)  # @mixture_density
    return -jnp.sum(jax.nn.logsumexp(log_pi + log_density, axis=1))  # @mixture_sum


def mixture_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = (rng.normal(size=3), rng.normal(size=3), 0.3 * rng.normal(size=3))
    return params, (2 * rng.normal(size=11),)


def mixture_grad(params: Any, x: Any, bug: Any = None) -> Any:
    weights, means, log_scales = to_numpy(params)
    x = np.asarray(x)
    scale = np.exp(log_scales)
    z = (x[:, None] - means) / scale
    log_density = -0.5 * z**2 - log_scales
    pi = np.exp(weights) / np.exp(weights).sum()
    resp = np_softmax(log_density + np.log(pi))
    if bug == "equal_weights":
        resp = np_softmax(log_density)
    if bug == "hard":
        resp = np.eye(3)[resp.argmax(axis=1)]
    dweights = len(x) * pi - resp.sum(axis=0)
    if bug == "no_normalizer":
        dweights = -resp.sum(axis=0)
    dmeans = -(resp * z / scale).sum(axis=0)
    dscales = (resp * (1 - z**2)).sum(axis=0)
    if bug == "no_determinant":
        dscales = -(resp * z**2).sum(axis=0)
    return dweights, dmeans, dscales


MIXTURE = Problem(
    "gaussian_mixture",
    mixture_loss,
    mixture_grad,
    mixture_data,
    (
        Fault(
            "wrong_derivative",
            bugged(mixture_grad, "hard"),
            ("0", "1", "2"),
            "mixture_sum",
            accept=("wrong_loss",),
        ),
        Fault("dropped_path", bugged(mixture_grad, "no_normalizer"), ("0",), "mixture_weights"),
        Fault("dropped_path", bugged(mixture_grad, "no_determinant"), ("2",), "mixture_density"),
        Fault(
            "wrong_point",
            bugged(mixture_grad, "equal_weights"),
            ("0", "1", "2"),
            "mixture_sum",
            accept=("wrong_derivative", "wrong_loss"),
        ),
    ),
)


# 21. The focal loss of a leaky rectifier network.

FOCUS = 2.0


def focal_loss(params: Any, x: Any, y: Any) -> Any:
    z = x @ params["w1"] + params["b1"]
    h = jnp.where(z > 0, z, 0.1 * z)  # @focal_leaky
    p = jax.nn.sigmoid(h @ params["w2"])
    pt = jnp.where(y == 1, p, 1 - p)  # @focal_class
    return jnp.mean(-((1 - pt) ** FOCUS) * jnp.log(pt))  # @focal


def focal_data(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    params = {"w1": draw(rng, 4, 5), "b1": draw(rng, 5), "w2": 0.5 * draw(rng, 5)}
    return params, (draw(rng, 10, 4), integers(rng, 2, 10))


def focal_grad(params: Any, x: Any, y: Any, bug: Any = None) -> Any:
    params, x, y = to_numpy((params, x, y))
    z = x @ params["w1"] + params["b1"]
    h = np.where(z > 0, z, np.float32(0.1) * z)
    p = np_sigmoid(h @ params["w2"])
    pt = np.where(y == 1, p, 1 - p)
    dpt = FOCUS * (1 - pt) ** (FOCUS - 1) * np.log(pt) - (1 - pt) ** FOCUS / pt
    if bug == "modulator_constant":
        dpt = -((1 - pt) ** FOCUS) / pt
    if bug == "power_not_lowered":
        dpt = FOCUS * (1 - pt) ** FOCUS * np.log(pt) - (1 - pt) ** FOCUS / pt
    if bug == "cross_entropy":
        dpt = -1 / pt
    dp = np.where(y == 1, dpt, -dpt)
    if bug == "one_class":
        dp = dpt
    dlogit = dp * p * (1 - p) / len(y)
    dz = np.outer(dlogit, params["w2"]) * np.where(z > 0, 1, 0 if bug == "relu" else 0.1)
    dz = dz.astype(x.dtype)
    return {"w1": x.T @ dz, "b1": dz.sum(axis=0), "w2": h.T @ dlogit}


ALL = ("w1", "b1", "w2")

FOCAL = Problem(
    "focal_leaky",
    focal_loss,
    focal_grad,
    focal_data,
    (
        Fault("dropped_path", bugged(focal_grad, "modulator_constant"), ALL, "focal"),
        Fault("wrong_derivative", bugged(focal_grad, "power_not_lowered"), ALL, "focal"),
        Fault(
            "wrong_loss",
            bugged(focal_grad, "cross_entropy"),
            ALL,
            accept=("dropped_derivative", "dropped_path"),
        ),
        Fault(
            "sign",
            bugged(focal_grad, "one_class"),
            ALL,
            "focal_class",
            accept=("wrong_derivative", "dropped_derivative"),
        ),
        Fault("wrong_derivative", bugged(focal_grad, "relu"), ("w1", "b1"), "focal_leaky"),
    ),
)


PROBLEMS = [
    HUBER, POISSON, GAMMA, NEGBIN, VONMISES, GELU, HEADS, GRU, HMM, CRF, VAE, TRIPLET, CLIP, GATED,
    CONV, CAUSAL, RATINGS, SKIPGRAM, ODE, MIXTURE, FOCAL,
]  # fmt: skip
