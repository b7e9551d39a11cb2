"""Rules that need no learning rate: distance over gradients, and coin betting."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import Mask, check_params, leafwise
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_learning_rate,
    check_nonnegative,
    rate_at,
)
from jaxnet.optim.whole_tree import check_positive, computed_tree, dot, like, norm, with_l2

FIRST_STEPS = ("distance", "learning_rate", "heuristic")
"""What `dog` takes its first step from."""


class DogState(NamedTuple):
    """State of `dog`.

    The number of steps done, the last learning rate (the factor, without r / sqrt(G)), the largest
    distance r from the starting point x0, and the sum G of the squared norms of the gradients.
    """

    step: Array
    learning_rate: Array
    r: Array
    G: Array
    x0: Any


class DowgState(NamedTuple):
    """State of `dowg`.

    The number of steps done, the last learning rate (the factor, without r^2 / sqrt(v)), the
    square r2 of the largest distance from the starting point x0, and the weighted sum v.
    """

    step: Array
    learning_rate: Array
    r2: Array
    v: Array
    x0: Any


class CocobState(NamedTuple):
    """One leaf's state of `cocob`, in the paper's letters; x0 is the starting point."""

    x0: Array
    L: Array
    G: Array
    R: Array
    theta: Array


def dog(
    learning_rate: LearningRate = 1.0,
    init_step: tuple[Literal["distance", "learning_rate", "heuristic"], Hyper] = (
        "heuristic",
        1e-6,
    ),
    eps: Hyper = 1e-8,
    weight_decay: Hyper | None = None,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """DoG: the step is the distance from the start over the root of the sum of squared gradients.

    From G = 0 and r = r0, with norms over all leaves,

        r := max(r, |x - x0|)
        G := G + |g|^2
        x := x - lr r / sqrt(G + eps) g

    init_step = ("heuristic", a) lets r0 = a (1 + |x0|), as in the paper, ("distance", a) lets
    r0 = a, and ("learning_rate", a) lets r0 = 0 and has a for r / sqrt(G + eps) while r = 0.

    The authors evaluate an average of the iterates; `params` are the last one.

    Differs from: optax with "learning_rate" takes a at the first step only, and never moves if
    the gradient is 0 at that step.

    Args:
        learning_rate: lr, a factor on the step: a number, an array or an optax schedule.
        init_step: What the first step is made of, and a number a, small and positive.
        eps: Keeps the denominator from 0.
        weight_decay: wd of an L2 term, g := g + wd x before all else; None is none.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation whose `update` needs `params`; its state holds x0, one
        times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range, or `update` got no params.

    Reference: Ivgi, Hinder & Carmon (2023).
    """
    kind, a = init_step
    if kind not in FIRST_STEPS:
        choices = ", ".join(map(repr, FIRST_STEPS))
        raise ValueError(f"dog: init_step must be one of {choices} and a number, got {kind!r}")
    check_positive("dog", f"init_step {kind!r}", a)
    _check("dog", learning_rate, eps, weight_decay)

    def init(params: Any) -> DogState:
        step = jnp.zeros([], jnp.int32)
        lr = rate_at(learning_rate, step)
        r0 = {
            "distance": a,
            "heuristic": a * (1 + norm(computed_tree(params))),
            "learning_rate": 0.0,
        }[kind]
        # A copy: params and state may both be donated to a compiled step.
        x0 = jax.tree.map(jnp.array, params)
        return DogState(step, lr, r=jnp.asarray(r0, lr.dtype), G=jnp.zeros_like(lr), x0=x0)

    def update(
        grads: Any, state: DogState, params: Any = None, **extra: Any
    ) -> tuple[Any, DogState]:
        check_params("dog", params)
        lr = rate_at(learning_rate, state.step)
        g = with_l2(grads, params, weight_decay, mask)

        r = jnp.maximum(state.r, norm(_way(params, state.x0)))
        G = state.G + dot(g, g)
        eta = r / jnp.sqrt(G + eps)
        if kind == "learning_rate":
            eta = jnp.where(r == 0, a, eta)
        u = jax.tree.map(lambda g: -lr * eta * g, g)
        new = DogState(optax.safe_increment(state.step), lr, r=r, G=G, x0=state.x0)
        return like(u, params), like(new, state)

    return optax.GradientTransformationExtraArgs(init, update)


def dowg(
    learning_rate: LearningRate = 1.0,
    init_estim_sq_dist: Hyper | None = None,
    eps: Hyper = 1e-4,
    weight_decay: Hyper | None = None,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """DoWG: distance over gradients that are weighted with the distance.

    From v = 0 and r^2 = `init_estim_sq_dist`, with norms over all leaves,

        r^2 := max(r^2, |x - x0|^2)
        v   := v + r^2 |g|^2
        x   := x - lr r^2 / (sqrt(v) + eps) g

    Differs from: the paper has no eps and starts from a small r. optax has the eps, as here, and
    starts r^2 from it unless told otherwise.

    Args:
        learning_rate: lr, a factor on the step: a number, an array or an optax schedule.
        init_estim_sq_dist: The first r^2, positive; None is eps.
        eps: Keeps the denominator from 0.
        weight_decay: wd of an L2 term, g := g + wd x before all else; None is none.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation whose `update` needs `params`; its state holds x0, one
        times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range, or `update` got no params.

    Reference: Khaled, Mishchenko & Jin (2023).
    """
    first = eps if init_estim_sq_dist is None else init_estim_sq_dist
    check_positive("dowg", "eps" if init_estim_sq_dist is None else "init_estim_sq_dist", first)
    _check("dowg", learning_rate, eps, weight_decay)

    def init(params: Any) -> DowgState:
        step = jnp.zeros([], jnp.int32)
        lr = rate_at(learning_rate, step)
        # A copy: params and state may both be donated to a compiled step.
        x0 = jax.tree.map(jnp.array, params)
        return DowgState(step, lr, r2=jnp.asarray(first, lr.dtype), v=jnp.zeros_like(lr), x0=x0)

    def update(
        grads: Any, state: DowgState, params: Any = None, **extra: Any
    ) -> tuple[Any, DowgState]:
        check_params("dowg", params)
        lr = rate_at(learning_rate, state.step)
        g = with_l2(grads, params, weight_decay, mask)

        way = _way(params, state.x0)
        r2 = jnp.maximum(state.r2, dot(way, way))
        v = state.v + r2 * dot(g, g)
        eta = r2 / (jnp.sqrt(v) + eps)
        u = jax.tree.map(lambda g: -lr * eta * g, g)
        new = DowgState(optax.safe_increment(state.step), lr, r2=r2, v=v, x0=state.x0)
        return like(u, params), like(new, state)

    return optax.GradientTransformationExtraArgs(init, update)


def cocob(
    learning_rate: LearningRate = 1.0,
    alpha: Hyper = 100.0,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """COCOB-Backprop: every entry bets on the sign of its next gradient.

    From L = eps and G = R = theta = 0, with g := lr g,

        L     := max(L, |g|)
        G     := G + |g|
        R     := max(R - g (x - x0), 0)
        theta := theta - g
        x     := x0 + theta / (L max(G + L, alpha L)) (L + R)

    L is the largest gradient seen, G the sum of all, R the reward of the bets so far.

    Differs from: the paper has no lr, which scales the gradients and so matters only through eps;
    optax has it in the same place.

    Args:
        learning_rate: lr, a factor on the gradient: a number, an array or an optax schedule.
        alpha: Bounds the first bets; the first step has the size 1 / alpha.
        eps: The first L, positive.
        weight_decay: wd of an L2 term, g := g + wd x before all else.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation whose `update` needs `params`; its state holds x0, L, G,
        R and theta, five times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range, or `update` got no params.

    Reference: Orabona & Tommasi (2017), Algorithm 2.
    """
    check_positive("cocob", "alpha", alpha)
    check_positive("cocob", "eps", eps)
    check_nonnegative("cocob", "weight_decay", weight_decay)

    def init(x: Array) -> CocobState:
        # A buffer of its own each: params and state may both be donated to a compiled step.
        G, R, theta = (jnp.zeros_like(x) for _ in range(3))
        return CocobState(x0=jnp.array(x), L=jnp.full_like(x, eps), G=G, R=R, theta=theta)

    def step(g: Array, s: CocobState, x: Array, lr: Array, t: Array) -> tuple[Array, CocobState]:
        g = lr * g
        L = jnp.maximum(s.L, jnp.abs(g))
        G = s.G + jnp.abs(g)
        R = jnp.maximum(s.R - g * (x - s.x0), 0)
        theta = s.theta - g
        x_new = s.x0 + theta / (L * jnp.maximum(G + L, alpha * L)) * (L + R)
        return x_new - x, CocobState(s.x0, L, G, R, theta)

    rule = leafwise("cocob", learning_rate, init, step)

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        check_params("cocob", params)
        updates, state = rule.update(with_l2(grads, params, weight_decay, mask), state, params)
        return updates, state

    return optax.GradientTransformationExtraArgs(rule.init, update)


def _way(x: Any, x0: Any) -> Any:
    """X - x0."""
    return jax.tree.map(jnp.subtract, computed_tree(x), computed_tree(x0))


def _check(rule: str, learning_rate: LearningRate, eps: Hyper, weight_decay: Hyper | None) -> None:
    """Refuse hyperparameters that are Python numbers out of range."""
    check_learning_rate(rule, learning_rate)
    check_nonnegative(rule, "eps", eps)
    check_nonnegative(rule, "weight_decay", weight_decay)
