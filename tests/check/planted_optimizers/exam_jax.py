"""Chains of optax with a piece that is wrong, and rules in JAX."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .problem import Planted

LR = 0.02
PLANTED: list[Planted] = []


def plant(name: str, code: str, reference: str, rule: Any, *also: str, **hyper: Any) -> None:
    PLANTED.append(Planted(name, code, reference, {"learning_rate": LR, **hyper}, rule, also))


down = optax.scale(-LR)
wd = {"weight_decay": 0.1}
plant("exam chain adam climbs", "sign", "adam",
      optax.chain(optax.scale_by_adam(), optax.scale(LR)))  # fmt: skip
plant("exam chain adam swapped", "betas_swapped", "adam", optax.adam(LR, b1=0.999, b2=0.9))
plant("exam chain adamw before", "coupled_weight_decay", "adamw",
      optax.chain(optax.add_decayed_weights(0.1), optax.adam(LR)), **wd)  # fmt: skip
plant("exam chain adamw unscaled", "weight_decay_unscaled", "adamw",
      optax.chain(optax.adam(LR), optax.add_decayed_weights(-0.1)), **wd)  # fmt: skip
plant("exam chain adamw grows", "sign", "adamw",
      optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(-0.1), down),
      "mismatch", **wd)  # fmt: skip
plant("exam chain nesterov plain", "nesterov_point", "nesterov",
      optax.chain(optax.trace(0.9), down))  # fmt: skip
plant("exam chain momentum ema", "dampening", "momentum",
      optax.chain(optax.ema(0.9), down), "wrong_accumulator")  # fmt: skip
plant("exam chain rmsprop trace first", "order", "rmsprop",
      optax.chain(optax.trace(0.9), optax.scale_by_rms(), down), momentum=0.9)  # fmt: skip
plant("exam chain adagrad from 0", "initial_accumulator", "adagrad",
      optax.adagrad(LR, initial_accumulator_value=0.0))  # fmt: skip
plant("exam chain momentum minus", "momentum_sign", "momentum", optax.sgd(LR, momentum=-0.9))
plant("exam chain adam small", "scale", "adam", optax.adam(LR / 10))
plant("exam chain adam belief", "wrong_accumulator", "adam",
      optax.chain(optax.scale_by_belief(), down))  # fmt: skip
plant("exam chain adam amsgrad", "wrong_accumulator", "adam", optax.amsgrad(LR))
plant("exam chain adam nadam", "nesterov_point", "adam", optax.nadam(LR))
plant("exam chain nadam adam", "nesterov_point", "nadam", optax.adam(LR))
plant("exam chain adam rms", "wrong_accumulator", "adam", optax.rmsprop(LR, 0.999), "state_reset",
      "no_bias_correction")  # fmt: skip
plant("exam chain lion swapped", "betas_swapped", "lion",
      optax.lion(LR, b1=0.99, b2=0.9, weight_decay=0.1), **wd)  # fmt: skip
plant("exam chain yogi from 0", "initial_accumulator", "yogi",
      optax.chain(optax.scale_by_yogi(initial_accumulator_value=0.0), down))  # fmt: skip
plant("exam chain gd clipped", "mismatch", "gd", optax.chain(optax.clip(0.1), optax.sgd(LR)))
plant("exam chain gd every second", "mismatch", "gd",
      optax.MultiSteps(optax.sgd(LR), 2).gradient_transformation(), "scale",
      "wrong_accumulator", "order")  # fmt: skip
plant("exam chain adam clipped norm", "mismatch", "adam",
      optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LR)))  # fmt: skip


def falling(t: Any) -> Any:
    return LR / (1 + t)


plant("exam chain momentum schedule", "lr_in_buffer", "momentum",
      optax.chain(optax.scale_by_learning_rate(falling), optax.trace(0.9)),
      learning_rate=falling)  # fmt: skip
plant("exam chain rmsprop rms outside", "", "rmsprop",
      optax.chain(optax.scale_by_rms(eps_in_sqrt=False), down))  # fmt: skip
plant("exam chain radam threshold", "", "radam", optax.radam(LR, threshold=4.0))
plant("exam chain lamb no decay", "mismatch", "lamb", optax.lamb(LR, weight_decay=0.0),
      "weight_decay_unscaled", "decoupled_weight_decay", "coupled_weight_decay", **wd)  # fmt: skip
plant("exam chain novograd small b2", "betas_swapped", "novograd", optax.novograd(LR, 0.25, 0.9),
      "scale", "mismatch")  # fmt: skip
plant("exam chain adamax adam", "wrong_accumulator", "adamax", optax.adam(LR))
plant("exam chain adabelief adam", "wrong_accumulator", "adabelief", optax.adam(LR))
plant("exam chain radam adam", "mismatch", "radam", optax.adam(LR), "scale", "wrong_accumulator",
      "no_bias_correction")  # fmt: skip

plant("exam chain adam", "", "adam", optax.inject_hyperparams(optax.adam)(LR))
plant("exam chain adam schedule", "", "adam",
      optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(lambda t: -LR)))  # fmt: skip
plant("exam chain ema", "", "momentum",
      optax.chain(optax.ema(0.9, debias=False), optax.scale(-10 * LR)))  # fmt: skip
plant("exam chain adam of rmsprop", "", "adam",
      optax.rmsprop(LR, 0.999, eps_in_sqrt=False, bias_correction=True), b1=0.0)  # fmt: skip
plant("exam chain lars", "", "lars", optax.lars(LR, weight_decay=0.1), **wd)
plant("exam chain prodigy", "", "prodigy", optax.contrib.prodigy(1.0), learning_rate=1.0)
plant("exam chain schedule free", "", "schedule_free_adamw",
      optax.contrib.schedule_free_adamw(LR, weight_decay=0.1), **wd)  # fmt: skip
plant("exam chain ademamix", "", "ademamix", optax.contrib.ademamix(LR))


class State(NamedTuple):
    count: Any
    m: Any
    v: Any


def adam_tree(fault: str) -> Any:
    b1, b2 = 0.9, 0.999

    def init(params: Any) -> State:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return State(jnp.zeros([], jnp.int32), zeros, zeros)

    @jax.jit
    def step(params: Any, grads: Any, state: State) -> Any:
        t = state.count + 1
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.m, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.v, grads)
        seen = state.m if fault == "old m" else m
        c1 = 1 - b1 ** (state.count if fault == "from 0" else t)
        c1 = jnp.where(c1 == 0, 1, c1)
        c2 = 1 - b2**t

        def move(p: Any, m: Any, v: Any, g: Any) -> Any:
            if fault == "eps in v":
                return p - LR * (m / c1) / (jnp.sqrt((v + 1e-8) / c2))
            if fault == "eps outside twice":
                return p - LR * (m / c1) / (jnp.sqrt(v / c2 + 1e-8) + 1e-8)
            if fault == "maximum":
                return p - LR * (m / c1) / jnp.maximum(jnp.sqrt(v / c2), 1e-8)
            if fault == "no root":
                return p - LR * (m / c1) / (v / c2 + 1e-8)
            if fault == "leaf":
                return p - LR * (m / c1) / (jnp.sqrt(jnp.max(v) / c2) + 1e-8)
            return p - LR * (m / c1) / (jnp.sqrt(v / c2) + 1e-8)

        new = jax.tree.map(move, params, seen, v, grads)
        if fault == "v lost":
            return new, State(t, m, state.v)
        if fault == "m lost":
            return new, State(t, state.m, v)
        if fault == "state lost":
            return new, State(t, state.m, state.v)
        if fault == "t lost":
            return new, State(state.count, m, v)
        return new, State(t, m, v)

    return init, step


plant("exam jax adam", "", "adam", adam_tree(""))
plant("exam jax adam old m", "order", "adam", adam_tree("old m"))
plant("exam jax adam m from 0", "bias_correction_off_by_one", "adam", adam_tree("from 0"))
plant("exam jax adam eps in v", "eps_inside_sqrt", "adam", adam_tree("eps in v"), "eps_placement")
plant("exam jax adam eps twice", "eps_inside_sqrt", "adam", adam_tree("eps outside twice"),
      "eps_placement")  # fmt: skip
plant("exam jax adam no root", "sqrt_missing", "adam", adam_tree("no root"))
plant("exam jax adam max of the leaf", "wrong_accumulator", "adam", adam_tree("leaf"),
      "state_shared", "mismatch")  # fmt: skip
plant("exam jax adam v lost", "state_reset", "adam", adam_tree("v lost"))
plant("exam jax adam m lost", "state_reset", "adam", adam_tree("m lost"))
plant("exam jax adam state lost", "state_reset", "adam", adam_tree("state lost"))
plant("exam jax adam t lost", "state_reset", "adam", adam_tree("t lost"), "no_bias_correction",
      "bias_correction_off_by_one")  # fmt: skip
plant("exam jax adam eps maximum", "eps_placement", "adam", adam_tree("maximum"))


def nadam(fault: str) -> Any:
    def init(params: Any) -> Any:
        return [(jnp.zeros_like(p), jnp.zeros_like(p)) for p in params], 0

    def step(params: Any, grads: Any, state: Any) -> Any:
        t, new, kept = state[1] + 1, [], []
        for p, g, (m, v) in zip(params, grads, state[0], strict=True):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
            if fault == "same power":
                ahead = (0.9 * m + 0.1 * g) / (1 - 0.9**t)
            if fault == "whole g":
                ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + g / (1 - 0.9**t)
            new.append(p - LR * ahead / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8))
            kept.append((m, v))
        return new, (kept, t)

    return init, step


plant("exam jax nadam", "", "nadam", nadam(""))
plant("exam jax nadam same power", "bias_correction_off_by_one", "nadam", nadam("same power"))
plant("exam jax nadam whole g", "dampening", "nadam", nadam("whole g"), "nesterov_point", "scale",
      "mismatch")  # fmt: skip


def radam(fault: str) -> Any:
    def init(x: Any) -> Any:
        return jnp.zeros_like(x), jnp.zeros_like(x), 0

    def step(x: Any, g: Any, state: Any) -> Any:
        m, v, t = state[0], state[1], state[2] + 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        top = 2 / (1 - 0.999) - 1
        rho = top - 2 * t * 0.999**t / (1 - 0.999**t)
        mh = m / (1 - 0.9**t)
        if rho < 5:
            return x - LR * (m if fault == "m raw" else mh), (m, v, t)
        r = ((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho)) ** 0.5
        if fault == "r squared":
            r = r * r
        vh = v if fault == "v raw" else v / (1 - 0.999**t)
        return x - LR * r * mh / (vh**0.5 + 1e-8), (m, v, t)

    return init, step


plant("exam jax radam", "", "radam", radam(""))
plant("exam jax radam r squared", "sqrt_missing", "radam", radam("r squared"))
plant("exam jax radam v raw", "no_bias_correction", "radam", radam("v raw"))
plant("exam jax radam m raw", "no_bias_correction", "radam", radam("m raw"))


def single(params: Any, grads: Any, state: Any) -> Any:
    v = jax.tree.map(lambda v, g: (0.9 * v + g).astype(jnp.float32), state, grads)
    return jax.tree.map(lambda p, v: (p - LR * v).astype(jnp.float32), params, v), v


plant("exam jax momentum single", "", "momentum",
      (lambda p: jax.tree.map(lambda a: jnp.zeros(a.shape, jnp.float32), p), single))  # fmt: skip


def optimistic(fault: str) -> Any:
    def step(x: Any, g: Any, before: Any) -> Any:
        before = g if before is None else before
        if fault == "plus":
            return x - LR * (2 * g + before), g
        return x - LR * (2 * g - before), (before if fault == "kept" else g)

    return lambda x: None, step


plant("exam jax optimistic", "", "optimistic_gradient_descent", optimistic(""))
plant("exam jax optimistic plus", "momentum_sign", "optimistic_gradient_descent",
      optimistic("plus"), "sign")  # fmt: skip


def adopt(fault: str) -> Any:
    def init(x: Any) -> Any:
        return jnp.zeros_like(x), jnp.zeros_like(x), 0

    def step(x: Any, g: Any, state: Any) -> Any:
        m, v, k = state
        if k == 0 and fault != "moves at once":
            return x, (m, g * g, 1)
        new_v = 0.9999 * v + 0.0001 * g * g
        c = g / jnp.maximum(jnp.sqrt(new_v if fault == "new v" else v), 1e-6)
        c = jnp.clip(c, -(max(k, 1) ** 0.25), max(k, 1) ** 0.25)
        m = 0.9 * m + 0.1 * c
        return x - LR * m, (m, new_v, k + 1)

    return init, step


plant("exam jax adopt", "", "adopt", adopt(""))
plant("exam jax adopt new v", "order", "adopt", adopt("new v"))
plant("exam jax adopt from 0", "initial_accumulator", "adopt", adopt("moves at once"), "order",
      "mismatch")  # fmt: skip
