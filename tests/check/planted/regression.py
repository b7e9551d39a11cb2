"""Regressions: linear, polynomial, ridge, Poisson, Huber, quantiles, a neuron, a power law."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Fault, Problem


def draw(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


# Linear regression with several outputs: the mean is over examples and outputs.


def linear_loss(params: Any, x: Any, y: Any) -> Any:
    prediction = x @ params["w"] + params["b"]  # @linear_product
    error = prediction - y
    return jnp.mean(error**2)  # @linear_square


def linear_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return {"w": draw(rng, 4, 3), "b": draw(rng, 3)}, (draw(rng, 7, 4), draw(rng, 7, 3))


def linear_grad(params: Any, x: Any, y: Any) -> Any:
    delta = 2 * (x @ params["w"] + params["b"] - y) / y.size
    return {"w": x.T @ delta, "b": delta.sum(0)}


def linear_mean_over_examples_only(params: Any, x: Any, y: Any) -> Any:
    delta = 2 * (x @ params["w"] + params["b"] - y) / len(x)
    return {"w": x.T @ delta, "b": delta.sum(0)}


def linear_without_two(params: Any, x: Any, y: Any) -> Any:
    delta = (x @ params["w"] + params["b"] - y) / y.size
    return {"w": x.T @ delta, "b": delta.sum(0)}


def linear_target_minus_prediction(params: Any, x: Any, y: Any) -> Any:
    delta = 2 * (y - (x @ params["w"] + params["b"])) / y.size
    return {"w": x.T @ delta, "b": delta.sum(0)}


def linear_bias_not_summed(params: Any, x: Any, y: Any) -> Any:
    delta = 2 * (x @ params["w"] + params["b"] - y) / y.size
    return {"w": x.T @ delta, "b": delta}


def linear_absolute_error(params: Any, x: Any, y: Any) -> Any:
    delta = jnp.sign(x @ params["w"] + params["b"] - y) / y.size
    return {"w": x.T @ delta, "b": delta.sum(0)}


def linear_means_multiplied(params: Any, x: Any, y: Any) -> Any:
    error = x @ params["w"] + params["b"] - y
    mean_error = 2 * error.mean(0) / y.shape[1]
    return {"w": jnp.outer(x.mean(0), mean_error), "b": mean_error}


def linear_reshaped(params: Any, x: Any, y: Any) -> Any:
    w = params["w"]
    delta = 2 * (x @ w + params["b"] - y) / y.size
    return {"w": (delta.T @ x).reshape(w.shape), "b": delta.sum(0)}


def linear_last_example(params: Any, x: Any, y: Any) -> Any:
    w, b = params["w"], params["b"]
    for i in range(len(x)):
        delta = 2 * (x[i] @ w + b - y[i]) / y.shape[1]
        grad_w = jnp.outer(x[i], delta)
        grad_b = delta
    return {"w": grad_w, "b": grad_b}


def linear_updating_on_the_way(params: Any, x: Any, y: Any) -> Any:
    w, b = params["w"], params["b"]
    delta = 2 * (x @ w + b - y) / y.size
    grad_w = x.T @ delta
    w = w - 0.1 * grad_w
    delta = 2 * (x @ w + b - y) / y.size
    grad_b = delta.sum(0)
    return {"w": grad_w, "b": grad_b}


# A polynomial in one variable: params is the array of its coefficients, the loss a sum.


def polynomial_loss(coefficients: Any, x: Any, y: Any) -> Any:
    powers = x[:, None] ** jnp.arange(len(coefficients))
    value = powers @ coefficients
    return 0.5 * jnp.sum((value - y) ** 2)  # @polynomial_square


def polynomial_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return draw(rng, 4), (draw(rng, 7), draw(rng, 7))


def polynomial_grad(coefficients: Any, x: Any, y: Any) -> Any:
    c, x, y = np.asarray(coefficients), np.asarray(x), np.asarray(y)
    grad = np.zeros_like(c)
    error = sum(c[k] * x**k for k in range(len(c))) - y
    for k in range(len(c)):
        grad[k] = np.sum(error * x**k)
    return grad


def polynomial_without_constant(coefficients: Any, x: Any, y: Any) -> Any:
    c, x, y = np.asarray(coefficients), np.asarray(x), np.asarray(y)
    grad = np.zeros_like(c)
    error = sum(c[k] * x**k for k in range(len(c))) - y
    for k in range(1, len(c)):
        grad[k] = np.sum(error * x**k)
    return grad


def polynomial_mean_for_sum(coefficients: Any, x: Any, y: Any) -> Any:
    c, x, y = np.asarray(coefficients), np.asarray(x), np.asarray(y)
    grad = np.zeros_like(c)
    error = sum(c[k] * x**k for k in range(len(c))) - y
    for k in range(len(c)):
        grad[k] = np.mean(error * x**k)
    return grad


def polynomial_squared_error(coefficients: Any, x: Any, y: Any) -> Any:
    c, x, y = np.asarray(coefficients), np.asarray(x), np.asarray(y)
    grad = np.zeros_like(c)
    squared = (sum(c[k] * x**k for k in range(len(c))) - y) ** 2
    for k in range(len(c)):
        grad[k] = np.sum(squared * x**k)
    return grad


def polynomial_slope_in_x(coefficients: Any, x: Any, y: Any) -> Any:
    c, x, y = np.asarray(coefficients), np.asarray(x), np.asarray(y)
    grad = np.zeros_like(c)
    error = sum(c[k] * x**k for k in range(len(c))) - y
    for k in range(1, len(c)):
        grad[k] = np.sum(error * k * x ** (k - 1))
    return grad


def polynomial_one_sided_step(coefficients: Any, x: Any, y: Any) -> Any:
    def value(c: Any) -> Any:
        return 0.5 * np.sum((sum(c[k] * x**k for k in range(len(c))) - y) ** 2)

    c, x, y = np.array(coefficients), np.asarray(x), np.asarray(y)
    grad = np.zeros_like(c)
    step = 1.0
    for k in range(len(c)):
        moved = c.copy()
        moved[k] += step
        grad[k] = (value(moved) - value(c)) / step
    return grad


# Ridge regression: the penalty is not averaged and spares the bias; residual = target - prediction.


def ridge_loss(params: Any, x: Any, y: Any, strength: Any) -> Any:
    predicted = jnp.einsum("nd,d->n", x, params["weight"]) + params["bias"]
    residual = y - predicted
    fit = jnp.mean(residual**2)
    penalty = strength * jnp.sum(params["weight"] ** 2)  # @ridge_penalty
    return fit + penalty


def ridge_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {"weight": draw(rng, 5), "bias": draw(rng)}
    return params, (draw(rng, 8, 5), draw(rng, 8), 0.3)


def ridge_grad(params: Any, x: Any, y: Any, strength: Any) -> Any:
    weight, bias = params["weight"], params["bias"]
    residual = y - x @ weight - bias
    return {
        "weight": -2 * x.T @ residual / len(y) + 2 * strength * weight,
        "bias": -2 * residual.mean(),
    }


def ridge_without_penalty(params: Any, x: Any, y: Any, strength: Any) -> Any:
    weight, bias = params["weight"], params["bias"]
    residual = y - x @ weight - bias
    return {"weight": -2 * x.T @ residual / len(y), "bias": -2 * residual.mean()}


def ridge_half_penalty(params: Any, x: Any, y: Any, strength: Any) -> Any:
    weight, bias = params["weight"], params["bias"]
    residual = y - x @ weight - bias
    return {
        "weight": -2 * x.T @ residual / len(y) + strength * weight,
        "bias": -2 * residual.mean(),
    }


def ridge_averaged_penalty(params: Any, x: Any, y: Any, strength: Any) -> Any:
    weight, bias = params["weight"], params["bias"]
    residual = y - x @ weight - bias
    return {
        "weight": (-2 * x.T @ residual + 2 * strength * weight) / len(y),
        "bias": -2 * residual.mean(),
    }


def ridge_penalty_on_bias(params: Any, x: Any, y: Any, strength: Any) -> Any:
    weight, bias = params["weight"], params["bias"]
    residual = y - x @ weight - bias
    return {
        "weight": -2 * x.T @ residual / len(y) + 2 * strength * weight,
        "bias": -2 * residual.mean() + 2 * strength * bias,
    }


def ridge_bias_without_minus(params: Any, x: Any, y: Any, strength: Any) -> Any:
    weight, bias = params["weight"], params["bias"]
    residual = y - x @ weight - bias
    return {
        "weight": -2 * x.T @ residual / len(y) + 2 * strength * weight,
        "bias": 2 * residual.mean(),
    }


def ridge_first_half(params: Any, x: Any, y: Any, strength: Any) -> Any:
    weight, bias = params["weight"], params["bias"]
    half = len(y) // 2
    x, y = x[:half], y[:half]
    residual = y - x @ weight - bias
    return {
        "weight": -2 * x.T @ residual / half + 2 * strength * weight,
        "bias": -2 * residual.mean(),
    }


def ridge_looking_ahead(params: Any, x: Any, y: Any, strength: Any) -> Any:
    weight, bias = params["weight"], params["bias"]
    for _ in range(2):
        residual = y - x @ weight - bias
        grad_weight = -2 * x.T @ residual / len(y) + 2 * strength * weight
        grad_bias = -2 * residual.mean()
        weight = weight - 0.05 * grad_weight
        bias = bias - 0.05 * grad_bias
    return {"weight": grad_weight, "bias": grad_bias}


# Poisson regression with an intercept for each group; groups occur more than once.


def poisson_loss(params: Any, x: Any, group: Any, counts: Any) -> Any:
    weights, intercepts = params
    log_rate = x @ weights + intercepts[group]  # @poisson_gather
    rate = jnp.exp(log_rate)  # @poisson_exp
    return jnp.mean(rate - counts * jnp.log(rate))  # @poisson_likelihood


def poisson_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = (0.5 * draw(rng, 3), 0.5 * draw(rng, 4))
    group = jnp.asarray(rng.permutation([0, 0, 0, 1, 2, 2, 3, 3, 3]), jnp.int32)
    counts = jnp.asarray(rng.poisson(2.0, size=9), jnp.float32)
    return params, (draw(rng, 9, 3), group, counts)


def poisson_grad(params: Any, x: Any, group: Any, counts: Any) -> Any:
    weights, intercepts = params
    delta = (jnp.exp(x @ weights + intercepts[group]) - counts) / len(counts)
    return x.T @ delta, jnp.zeros_like(intercepts).at[group].add(delta)


def poisson_rate_not_differentiated(params: Any, x: Any, group: Any, counts: Any) -> Any:
    weights, intercepts = params
    rate = jnp.exp(x @ weights + intercepts[group])
    delta = (1 - counts / rate) / len(counts)
    return x.T @ delta, jnp.zeros_like(intercepts).at[group].add(delta)


def poisson_log_not_differentiated(params: Any, x: Any, group: Any, counts: Any) -> Any:
    weights, intercepts = params
    rate = jnp.exp(x @ weights + intercepts[group])
    delta = (1 - counts) * rate / len(counts)
    return x.T @ delta, jnp.zeros_like(intercepts).at[group].add(delta)


def poisson_without_rate(params: Any, x: Any, group: Any, counts: Any) -> Any:
    _, intercepts = params
    delta = -counts / len(counts)
    return x.T @ delta, jnp.zeros_like(intercepts).at[group].add(delta)


def poisson_overwriting(params: Any, x: Any, group: Any, counts: Any) -> Any:
    weights, intercepts = (np.asarray(leaf) for leaf in params)
    x, group, counts = np.asarray(x), np.asarray(group), np.asarray(counts)
    delta = (np.exp(x @ weights + intercepts[group]) - counts) / len(counts)
    grad_intercepts = np.zeros_like(intercepts)
    grad_intercepts[group] += delta
    return x.T @ delta, grad_intercepts


def poisson_squared_error(params: Any, x: Any, group: Any, counts: Any) -> Any:
    weights, intercepts = params
    rate = jnp.exp(x @ weights + intercepts[group])
    delta = 2 * (rate - counts) * rate / len(counts)
    return x.T @ delta, jnp.zeros_like(intercepts).at[group].add(delta)


def poisson_fixed_intercepts(params: Any, x: Any, group: Any, counts: Any) -> Any:
    weights, intercepts = params
    delta = (jnp.exp(x @ weights + intercepts[group]) - counts) / len(counts)
    return x.T @ delta, jnp.zeros_like(intercepts)


# Huber's loss: a square in the middle, straight outside.


def huber_loss(params: Any, x: Any, y: Any, width: Any) -> Any:
    error = y - (x @ params["slope"] + params["intercept"])
    inside = jnp.abs(error) <= width  # @huber_inside
    square = 0.5 * error**2
    line = width * (jnp.abs(error) - 0.5 * width)  # @huber_line
    return jnp.mean(jnp.where(inside, square, line))  # @huber_where


def huber_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params, x = {"slope": draw(rng, 3), "intercept": draw(rng)}, draw(rng, 9, 3)
    # Three targets far above the line, two far below, four near it.
    far = rng.uniform(1, 3, size=5) * [1, 1, 1, -1, -1]
    error = rng.permutation(np.concatenate([far, rng.uniform(-0.6, 0.6, size=4)]))
    y = x @ params["slope"] + params["intercept"] + jnp.asarray(error, jnp.float32)
    return params, (x, y, 0.7)


def huber_grad(params: Any, x: Any, y: Any, width: Any) -> Any:
    error = y - (x @ params["slope"] + params["intercept"])
    delta = jnp.where(jnp.abs(error) <= width, -error, -width * jnp.sign(error)) / len(y)
    return {"slope": x.T @ delta, "intercept": delta.sum()}


def huber_square_everywhere(params: Any, x: Any, y: Any, width: Any) -> Any:
    error = y - (x @ params["slope"] + params["intercept"])
    delta = -error / len(y)
    return {"slope": x.T @ delta, "intercept": delta.sum()}


def huber_without_sign(params: Any, x: Any, y: Any, width: Any) -> Any:
    error = y - (x @ params["slope"] + params["intercept"])
    delta = jnp.where(jnp.abs(error) <= width, -error, -width) / len(y)
    return {"slope": x.T @ delta, "intercept": delta.sum()}


def huber_without_width(params: Any, x: Any, y: Any, width: Any) -> Any:
    error = y - (x @ params["slope"] + params["intercept"])
    delta = jnp.where(jnp.abs(error) <= width, -error, -jnp.sign(error)) / len(y)
    return {"slope": x.T @ delta, "intercept": delta.sum()}


def huber_condition_without_abs(params: Any, x: Any, y: Any, width: Any) -> Any:
    error = y - (x @ params["slope"] + params["intercept"])
    delta = jnp.where(error <= width, -error, -width * jnp.sign(error)) / len(y)
    return {"slope": x.T @ delta, "intercept": delta.sum()}


# Several quantiles at once, each a line of its own, by vmap over the quantiles; summed over them.


def pinball(level: Any, weight: Any, bias: Any, x: Any, y: Any) -> Any:
    error = y - (x @ weight + bias)
    return jnp.mean(jnp.maximum(level * error, (level - 1) * error))  # @quantile_maximum


def quantile_loss(params: Any, x: Any, y: Any, levels: Any) -> Any:
    weights, biases = params
    per_level = jax.vmap(pinball, in_axes=(0, 0, 0, None, None))
    return jnp.sum(per_level(levels, weights, biases, x, y))


def quantile_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    levels = jnp.asarray([0.2, 0.45, 0.9], jnp.float32)
    return [draw(rng, 3, 4), draw(rng, 3)], (draw(rng, 8, 4), draw(rng, 8), levels)


def quantile_grad(params: Any, x: Any, y: Any, levels: Any) -> Any:
    weights, biases = params
    errors = y - (weights @ x.T + biases[:, None])
    delta = -jnp.where(errors > 0, levels[:, None], levels[:, None] - 1) / len(y)
    return [delta @ x, delta.sum(1)]


def quantile_without_minus(params: Any, x: Any, y: Any, levels: Any) -> Any:
    weights, biases = params
    errors = y - (weights @ x.T + biases[:, None])
    delta = jnp.where(errors > 0, levels[:, None], levels[:, None] - 1) / len(y)
    return [delta @ x, delta.sum(1)]


def quantile_sides_exchanged(params: Any, x: Any, y: Any, levels: Any) -> Any:
    weights, biases = params
    errors = y - (weights @ x.T + biases[:, None])
    delta = -jnp.where(errors > 0, levels[:, None] - 1, levels[:, None]) / len(y)
    return [delta @ x, delta.sum(1)]


def quantile_side_of_prediction(params: Any, x: Any, y: Any, levels: Any) -> Any:
    weights, biases = params
    predictions = weights @ x.T + biases[:, None]
    delta = -jnp.where(predictions > 0, levels[:, None], levels[:, None] - 1) / len(y)
    return [delta @ x, delta.sum(1)]


def quantile_last_level_skipped(params: Any, x: Any, y: Any, levels: Any) -> Any:
    weights, biases, x, y = (np.asarray(leaf) for leaf in (*params, x, y))
    grad_weights, grad_biases = np.zeros_like(weights), np.zeros_like(biases)
    for q in range(len(levels) - 1):
        level = float(levels[q])
        error = y - (x @ weights[q] + biases[q])
        delta = -np.where(error > 0, level, level - 1) / len(y)
        grad_weights[q] = delta @ x
        grad_biases[q] = delta.sum()
    return [grad_weights, grad_biases]


def quantile_mean_over_levels(params: Any, x: Any, y: Any, levels: Any) -> Any:
    weights, biases = params
    errors = y - (weights @ x.T + biases[:, None])
    delta = -jnp.where(errors > 0, levels[:, None], levels[:, None] - 1) / errors.size
    return [delta @ x, delta.sum(1)]


# One sigmoid neuron under squared error.


@jax.jit
def fire(drive: Any) -> Any:
    return 1 / (1 + jnp.exp(-drive))  # @neuron_sigmoid


def neuron_loss(params: Any, x: Any, y: Any) -> Any:
    drive = x @ params["weights"] - params["threshold"]
    output = fire(drive)
    error = y - output
    return jnp.mean(error**2)  # @neuron_square


def neuron_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {"weights": draw(rng, 3), "threshold": draw(rng)}
    y = jnp.asarray(rng.uniform(size=7), jnp.float32)
    return params, (draw(rng, 7, 3), y)


def neuron_grad(params: Any, x: Any, y: Any) -> Any:
    output = 1 / (1 + jnp.exp(params["threshold"] - x @ params["weights"]))
    delta = -2 * (y - output) * output * (1 - output) / len(y)
    return {"weights": x.T @ delta, "threshold": -delta.sum()}


def neuron_update_direction(params: Any, x: Any, y: Any) -> Any:
    output = 1 / (1 + jnp.exp(params["threshold"] - x @ params["weights"]))
    delta = 2 * (y - output) * output * (1 - output) / len(y)
    return {"weights": x.T @ delta, "threshold": -delta.sum()}


def neuron_threshold_as_bias(params: Any, x: Any, y: Any) -> Any:
    output = 1 / (1 + jnp.exp(params["threshold"] - x @ params["weights"]))
    delta = -2 * (y - output) * output * (1 - output) / len(y)
    return {"weights": x.T @ delta, "threshold": delta.sum()}


def neuron_sigmoid_of_output(params: Any, x: Any, y: Any) -> Any:
    output = 1 / (1 + jnp.exp(params["threshold"] - x @ params["weights"]))
    again = 1 / (1 + jnp.exp(-output))
    delta = -2 * (y - output) * again * (1 - again) / len(y)
    return {"weights": x.T @ delta, "threshold": -delta.sum()}


def neuron_slope_at_error(params: Any, x: Any, y: Any) -> Any:
    output = 1 / (1 + jnp.exp(params["threshold"] - x @ params["weights"]))
    error = y - output
    delta = -2 * error * error * (1 - error) / len(y)
    return {"weights": x.T @ delta, "threshold": -delta.sum()}


def neuron_without_slope(params: Any, x: Any, y: Any) -> Any:
    output = 1 / (1 + jnp.exp(params["threshold"] - x @ params["weights"]))
    delta = -2 * (y - output) / len(y)
    return {"weights": x.T @ delta, "threshold": -delta.sum()}


def neuron_cross_entropy(params: Any, x: Any, y: Any) -> Any:
    output = 1 / (1 + jnp.exp(params["threshold"] - x @ params["weights"]))
    delta = (output - y) / len(y)
    return {"weights": x.T @ delta, "threshold": -delta.sum()}


def neuron_tanh_slope(params: Any, x: Any, y: Any) -> Any:
    output = 1 / (1 + jnp.exp(params["threshold"] - x @ params["weights"]))
    delta = -2 * (y - output) * (1 - output**2) / len(y)
    return {"weights": x.T @ delta, "threshold": -delta.sum()}


def neuron_example_by_example(params: Any, x: Any, y: Any) -> Any:
    weights, threshold = params["weights"], params["threshold"]
    grad_weights, grad_threshold = jnp.zeros_like(weights), jnp.zeros_like(threshold)
    for xi, yi in zip(x, y, strict=True):
        output = 1 / (1 + jnp.exp(threshold - weights @ xi))
        delta = -2 * (yi - output) * output * (1 - output)
        grad_weights += delta * xi / len(y)
        grad_threshold += -delta / len(y)
        weights = weights - 0.5 * delta * xi
        threshold = threshold + 0.5 * delta
    return {"weights": grad_weights, "threshold": grad_threshold}


def neuron_tiny_step(params: Any, x: Any, y: Any) -> Any:
    def value(weights: Any, threshold: Any) -> Any:
        return np.mean((y - 1 / (1 + np.exp(threshold - x @ weights))) ** 2)

    weights = np.asarray(params["weights"], np.float64)
    threshold = np.float64(params["threshold"])
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    step = 1e-15
    start = value(weights, threshold)
    grad = np.zeros_like(params["weights"])
    for i in range(len(weights)):
        moved = weights.copy()
        moved[i] += step
        grad[i] = (value(moved, threshold) - start) / step
    slope = (value(weights, threshold + step) - start) / step
    return {"weights": grad, "threshold": jnp.asarray(slope, params["threshold"].dtype)}


# A power law for each of three organs of animals of mass x, one of them not yet born (mass 0).


def power_loss(params: Any, mass: Any, y: Any) -> Any:
    power = mass[:, None] ** params["exponent"]  # @power_power
    error = params["factor"] * power - y  # @power_factor
    return jnp.mean(error**2)


def power_data(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    params = {
        "factor": jnp.asarray(rng.uniform(0.5, 2, size=3), jnp.float32),
        "exponent": jnp.asarray(rng.uniform(0.4, 1.8, size=3), jnp.float32),
    }
    mass = rng.uniform(0.3, 3, size=8)
    mass[rng.integers(8)] = 0
    return params, (jnp.asarray(mass, jnp.float32), 1 + draw(rng, 8, 3))


def power_grad(params: Any, mass: Any, y: Any) -> Any:
    factor, exponent = params["factor"], params["exponent"]
    power = mass[:, None] ** exponent
    log = jnp.where(mass > 0, jnp.log(jnp.where(mass > 0, mass, 1)), 0)[:, None]
    delta = 2 * (factor * power - y) / y.size
    return {
        "factor": (delta * power).sum(0),
        "exponent": (delta * factor * power * log).sum(0),
    }


def power_log_of_zero(params: Any, mass: Any, y: Any) -> Any:
    factor, exponent = params["factor"], params["exponent"]
    power = mass[:, None] ** exponent
    delta = 2 * (factor * power - y) / y.size
    return {
        "factor": (delta * power).sum(0),
        "exponent": (delta * factor * power * jnp.log(mass)[:, None]).sum(0),
    }


def power_leaves_exchanged(params: Any, mass: Any, y: Any) -> Any:
    factor, exponent = params["factor"], params["exponent"]
    power = mass[:, None] ** exponent
    log = jnp.where(mass > 0, jnp.log(jnp.where(mass > 0, mass, 1)), 0)[:, None]
    delta = 2 * (factor * power - y) / y.size
    first = (delta * factor * power * log).sum(0)
    second = (delta * power).sum(0)
    return {"factor": first, "exponent": second}


def power_rule_for_base(params: Any, mass: Any, y: Any) -> Any:
    factor, exponent = params["factor"], params["exponent"]
    base = jnp.where(mass > 0, mass, 1)[:, None]
    alive = (mass > 0)[:, None]
    power = mass[:, None] ** exponent
    delta = 2 * (factor * power - y) / y.size
    slope = jnp.where(alive, exponent * base ** (exponent - 1), 0)
    return {
        "factor": (delta * power).sum(0),
        "exponent": (delta * factor * slope).sum(0),
    }


def power_without_log(params: Any, mass: Any, y: Any) -> Any:
    factor, exponent = params["factor"], params["exponent"]
    power = mass[:, None] ** exponent
    delta = 2 * (factor * power - y) / y.size
    return {
        "factor": (delta * power).sum(0),
        "exponent": (delta * factor * power).sum(0),
    }


def power_without_factor(params: Any, mass: Any, y: Any) -> Any:
    factor, exponent = params["factor"], params["exponent"]
    power = mass[:, None] ** exponent
    log = jnp.where(mass > 0, jnp.log(jnp.where(mass > 0, mass, 1)), 0)[:, None]
    delta = 2 * (factor * power - y) / y.size
    return {
        "factor": (delta * power).sum(0),
        "exponent": (delta * power * log).sum(0),
    }


PROBLEMS = (
    Problem(
        "linear",
        linear_loss,
        linear_grad,
        linear_data,
        (
            Fault("scale", linear_mean_over_examples_only, ("b", "w")),
            Fault("scale", linear_without_two, ("b", "w")),
            Fault("sign", linear_target_minus_prediction, ("b", "w")),
            Fault("shape", linear_bias_not_summed, ("b",)),
            Fault("wrong_loss", linear_absolute_error, ("b", "w"), "linear_square"),
            Fault("premature_average", linear_means_multiplied, ("w",), "linear_product"),
            Fault("transpose", linear_reshaped, ("w",), "linear_product"),
            Fault("partial_batch", linear_last_example, ("b", "w")),
            Fault("stale", linear_updating_on_the_way, ("b",)),
        ),
    ),
    Problem(
        "polynomial",
        polynomial_loss,
        polynomial_grad,
        polynomial_data,
        (
            Fault("partial_entries", polynomial_without_constant, ("",)),
            Fault("scale", polynomial_mean_for_sum, ("",)),
            Fault("wrong_loss", polynomial_squared_error, ("",), "polynomial_square"),
            Fault("mismatch", polynomial_slope_in_x, ("",), accept=("wrong_derivative",)),
            Fault("numeric_step", polynomial_one_sided_step, ("",)),
        ),
    ),
    Problem(
        "ridge",
        ridge_loss,
        ridge_grad,
        ridge_data,
        (
            Fault("regularization", ridge_without_penalty, ("weight",), "ridge_penalty"),
            Fault("regularization", ridge_half_penalty, ("weight",), "ridge_penalty"),
            Fault("regularization", ridge_averaged_penalty, ("weight",), "ridge_penalty"),
            Fault("regularization", ridge_penalty_on_bias, ("bias",), "ridge_penalty"),
            Fault("sign", ridge_bias_without_minus, ("bias",)),
            Fault("partial_batch", ridge_first_half, ("bias", "weight")),
            Fault("stale", ridge_looking_ahead, ("bias", "weight")),
        ),
    ),
    Problem(
        "poisson",
        poisson_loss,
        poisson_grad,
        poisson_data,
        (
            Fault("dropped_derivative", poisson_rate_not_differentiated, ("0", "1"), "poisson_exp"),
            Fault(
                "dropped_derivative",
                poisson_log_not_differentiated,
                ("0", "1"),
                "poisson_likelihood",
            ),
            Fault("dropped_path", poisson_without_rate, ("0", "1"), "poisson_likelihood"),
            Fault("partial_entries", poisson_overwriting, ("1",), "poisson_gather"),
            Fault("wrong_loss", poisson_squared_error, ("0", "1"), "poisson_likelihood"),
            Fault("missing", poisson_fixed_intercepts, ("1",)),
        ),
    ),
    Problem(
        "huber",
        huber_loss,
        huber_grad,
        huber_data,
        (
            Fault("wrong_loss", huber_square_everywhere, ("intercept", "slope"), "huber_where"),
            Fault(
                "dropped_derivative",
                huber_without_sign,
                ("intercept", "slope"),
                "huber_line",
                accept=("wrong_derivative",),
            ),
            Fault(
                "dropped_derivative",
                huber_without_width,
                ("intercept", "slope"),
                "huber_line",
                accept=("wrong_derivative",),
            ),
            Fault(
                "wrong_point",
                huber_condition_without_abs,
                ("intercept", "slope"),
                "huber_inside",
                accept=("wrong_derivative", "wrong_loss"),
            ),
        ),
    ),
    Problem(
        "quantile",
        quantile_loss,
        quantile_grad,
        quantile_data,
        (
            Fault("sign", quantile_without_minus, ("0", "1")),
            Fault("wrong_derivative", quantile_sides_exchanged, ("0", "1"), "quantile_maximum"),
            Fault("wrong_point", quantile_side_of_prediction, ("0", "1"), "quantile_maximum"),
            Fault("partial_entries", quantile_last_level_skipped, ("0", "1")),
            Fault("scale", quantile_mean_over_levels, ("0", "1")),
        ),
    ),
    Problem(
        "neuron",
        neuron_loss,
        neuron_grad,
        neuron_data,
        (
            Fault("sign", neuron_update_direction, ("threshold", "weights")),
            Fault("sign", neuron_threshold_as_bias, ("threshold",)),
            Fault(
                "wrong_point", neuron_sigmoid_of_output, ("threshold", "weights"), "neuron_sigmoid"
            ),
            Fault("wrong_point", neuron_slope_at_error, ("threshold", "weights"), "neuron_sigmoid"),
            Fault(
                "dropped_derivative",
                neuron_without_slope,
                ("threshold", "weights"),
                "neuron_sigmoid",
            ),
            Fault("wrong_loss", neuron_cross_entropy, ("threshold", "weights"), "neuron_square"),
            Fault(
                "wrong_derivative", neuron_tanh_slope, ("threshold", "weights"), "neuron_sigmoid"
            ),
            Fault("stale", neuron_example_by_example, ("threshold", "weights")),
            Fault("numeric_step", neuron_tiny_step, ("threshold", "weights")),
        ),
    ),
    Problem(
        "power",
        power_loss,
        power_grad,
        power_data,
        (
            Fault("nonfinite", power_log_of_zero, ("exponent",), "power_power"),
            Fault("swapped", power_leaves_exchanged, ("exponent", "factor")),
            Fault("wrong_derivative", power_rule_for_base, ("exponent",), "power_power"),
            Fault("dropped_derivative", power_without_log, ("exponent",), "power_power"),
            Fault("dropped_derivative", power_without_factor, ("exponent",), "power_factor"),
        ),
    ),
)
