"""Sophia: a clipped Newton step with a running estimate of the Hessian's diagonal."""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import Mask, spread, with_decay
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_choice,
    check_count,
    check_decay,
    check_nonnegative,
    check_positive,
)
from jaxnet.optim.transformation import transformation
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import computed, zeros


class SophiaState(NamedTuple):
    """State of `sophia`.

    The number of steps done, the last learning rate, the average m of the gradient, the average h
    of the Hessian's diagonal, and the state of what estimates it.
    """

    step: Array
    learning_rate: Array
    m: Any
    h: Any
    estimator: Any


class HutchinsonState(NamedTuple):
    """The random key of the next estimate."""

    key: Array


def sophia(
    learning_rate: LearningRate,
    b1: Hyper = 0.965,
    b2: Hyper = 0.99,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 1e-4,
    weight_decay_mask: Mask = None,
    gamma: Hyper = 0.01,
    clip_threshold: Hyper | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: optax.GradientTransformation | None = None,
    key: Array | None = None,
    dialect: Literal["optax", "paper"] = "optax",
) -> optax.GradientTransformationExtraArgs:
    """Sophia.

    From m = h = 0, for t = 1, 2, ..., with d an estimate of the Hessian's diagonal at x,

        h := b2 h + (1 - b2) d,  in the steps t = 1, k + 1, 2k + 1, ...
        m := b1 m + (1 - b1) g
        x := x - lr wd x
        x := x - lr clip(m / max(gamma h, eps), rho)

    where clip bounds every entry to [-rho, rho]. The estimate costs a product of the Hessian and
    a vector, about two gradients, in every k-th step.

    Differs from: in optax, and by default here, m / (1 - b1^t) is in the place of m, and h is
    refreshed after it was used; h is 0 in the first step, which therefore goes by the sign of m.
    `dialect="paper"` is what is written above. The paper's eps is 1e-12, and its signs in the
    estimate are Gaussian numbers.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: Decay of the average of the gradient, in [0, 1).
        b2: Decay of the average of the diagonal, in [0, 1).
        eps: Keeps the denominator from 0, and takes the place of negative curvature.
        weight_decay: wd, not negative.
        weight_decay_mask: Which leaves decay: a tree of bools, or a function from the parameters
            to one.
        gamma: Which part of the diagonal divides, not negative; larger values clip less.
        clip_threshold: rho, positive; None for no clipping.
        update_interval: k, the steps from one estimate to the next.
        hessian_diagonal_fn: A gradient transformation whose update gives d in the place of the
            gradient; it is passed what `update` is passed. None for `hutchinson(key)`.
        key: The random key of `hutchinson`.
        dialect: "optax" or "paper", as above.

    Returns:
        An optax gradient transformation whose `update` needs what the estimate needs, see
        `hutchinson`; its state holds m and h, two times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range, or the dialect is unknown.

    Reference: Liu, Li, Hall, Liang & Ma (2023), Algorithm 3.
    """
    check_decay("sophia", "b1", b1)
    check_decay("sophia", "b2", b2)
    check_nonnegative("sophia", "eps", eps)
    check_nonnegative("sophia", "weight_decay", weight_decay)
    check_nonnegative("sophia", "gamma", gamma)
    if clip_threshold is not None:
        check_positive("sophia", "clip_threshold", clip_threshold)
    check_count("sophia", "update_interval", update_interval)
    check_choice("sophia", "dialect", dialect, ("optax", "paper"))
    estimator = optax.with_extra_args_support(hessian_diagonal_fn or hutchinson(key))

    def init(step: Array, lr: Array, params: Any) -> SophiaState:
        return SophiaState(step, lr, zeros(params), zeros(params), estimator.init(params))

    def step(
        grads: Any, state: SophiaState, params: Any, lr: Array, **extra: Any
    ) -> tuple[Any, SophiaState]:
        def refreshed(h: Any, memory: Any) -> tuple[Any, Any]:
            d, memory = estimator.update(grads, memory, params, **extra)
            return jax.tree.map(partial(_average, b2), h, computed(d)), memory

        def kept(h: Any, memory: Any) -> tuple[Any, Any]:
            return h, memory

        due = state.step % update_interval == 0
        h, memory = jax.lax.cond(due, refreshed, kept, state.h, state.estimator)
        m = jax.tree.map(partial(_average, b1), state.m, computed(grads))

        def leaf(m: Array, h: Array, x: Array, decays: bool) -> Array:
            if dialect == "optax":
                m = m / (1 - b1 ** (state.step + 1).astype(m.dtype))
            u = m / jnp.maximum(gamma * h, eps)
            if clip_threshold is not None:
                u = jnp.clip(u, -clip_threshold, clip_threshold)
            return -lr * with_decay(u, weight_decay if decays else 0.0, x)

        used = state.h if dialect == "optax" else h
        u = jax.tree.map(leaf, m, used, computed(params), spread(weight_decay_mask, params))
        return u, state._replace(m=m, h=h, estimator=memory)

    return treewise("sophia", learning_rate, init, step)


def hutchinson(key: Array | None = None) -> optax.GradientTransformationExtraArgs:
    """Hutchinson's estimate of the diagonal of the Hessian H: d = s * (H s), s random signs.

    It is unbiased, E d_i = H_ii, and exact if H is diagonal. It can stand in the place of optax's
    estimator, and draws the same signs.

    Its `update` needs the loss or its gradient as a function of the parameters: `grad_fn`, or else
    `value_fn` or `obj_fn`, which are differentiated.

    Args:
        key: A random key; `jax.random.key(0)` if none is given.

    Returns:
        An optax gradient transformation; its state holds the key, and no parameters.

    Raises:
        ValueError: `update` got no function.

    Reference: Hutchinson (1990).
    """

    def init(params: Any) -> HutchinsonState:
        # A copy: the state may be donated, and the key is the caller's.
        return HutchinsonState(jax.random.key(0) if key is None else jnp.array(key))

    def update(
        grads: Any,
        state: HutchinsonState,
        params: Any,
        *,
        obj_fn: Any = None,
        value_fn: Any = None,
        grad_fn: Any = None,
        **extra: Any,
    ) -> tuple[Any, HutchinsonState]:
        loss = value_fn if obj_fn is None else obj_fn
        if loss is None and grad_fn is None:
            raise ValueError(
                "sophia: update needs grad_fn, value_fn or obj_fn, for its estimate of the Hessian"
            )
        if not jax.tree.leaves(params):
            return params, state
        key, drawn = jax.random.split(state.key)
        signs = optax.tree.random_like(drawn, params, jax.random.rademacher, dtype=jnp.float32)
        signs = jax.tree.map(lambda s, x: s.astype(x.dtype), signs, params)
        product = jax.jvp(grad_fn or jax.grad(loss), (params,), (signs,))[1]
        return jax.tree.map(jnp.multiply, signs, product), HutchinsonState(key)

    return transformation("hutchinson", init, update)


def _average(b: Hyper, old: Array, new: Array) -> Array:
    return (b * old + (1 - b) * new).astype(old.dtype)
