"""Rules that need no learning rate: distance over gradients, and coin betting."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.leafwise import Mask, leafwise, spread, with_decay
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_choice,
    check_nonnegative,
    check_positive,
)
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import computed, copied, dot, global_norm


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


class CocobLeaf(NamedTuple):
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
        weight_decay: wd of an L2 term, g := g + wd x before all else; None for none.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation; its state holds x0, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Ivgi, Hinder & Carmon (2023).
    """
    kind, a = init_step
    check_choice("dog", "init_step[0]", kind, ("distance", "learning_rate", "heuristic"))
    check_positive("dog", "init_step[1]", a)
    check_nonnegative("dog", "eps", eps)
    if weight_decay is not None:
        check_nonnegative("dog", "weight_decay", weight_decay)

    def init(step: Array, lr: Array, params: Any) -> DogState:
        r0 = {
            "distance": a,
            "heuristic": a * (1 + global_norm(computed(params))),
            "learning_rate": 0.0,
        }[kind]
        return DogState(
            step, lr, r=jnp.array(r0, lr.dtype), G=jnp.zeros_like(lr), x0=copied(params)
        )

    def step(
        grads: Any, state: DogState, params: Any, lr: Array, **extra: Any
    ) -> tuple[Any, DogState]:
        g = _with_l2(grads, params, weight_decay, mask)
        r = jnp.maximum(state.r, global_norm(_way(params, state.x0)))
        G = state.G + dot(g, g)
        eta = r / jnp.sqrt(G + eps)
        if kind == "learning_rate":
            eta = jnp.where(r == 0, a, eta)
        u = jax.tree.map(lambda g: -lr * eta * g, g)
        return u, state._replace(r=r, G=G)

    return treewise("dog", learning_rate, init, step)


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
        init_estim_sq_dist: The first r^2, positive; None for eps.
        eps: Keeps the denominator from 0.
        weight_decay: wd of an L2 term, g := g + wd x before all else; None for none.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation; its state holds x0, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Khaled, Mishchenko & Jin (2023).
    """
    first = eps if init_estim_sq_dist is None else init_estim_sq_dist
    check_positive("dowg", "eps" if init_estim_sq_dist is None else "init_estim_sq_dist", first)
    check_nonnegative("dowg", "eps", eps)
    if weight_decay is not None:
        check_nonnegative("dowg", "weight_decay", weight_decay)

    def init(step: Array, lr: Array, params: Any) -> DowgState:
        return DowgState(
            step, lr, r2=jnp.array(first, lr.dtype), v=jnp.zeros_like(lr), x0=copied(params)
        )

    def step(
        grads: Any, state: DowgState, params: Any, lr: Array, **extra: Any
    ) -> tuple[Any, DowgState]:
        g = _with_l2(grads, params, weight_decay, mask)
        way = _way(params, state.x0)
        r2 = jnp.maximum(state.r2, dot(way, way))
        v = state.v + r2 * dot(g, g)
        eta = r2 / (jnp.sqrt(v) + eps)
        u = jax.tree.map(lambda g: -lr * eta * g, g)
        return u, state._replace(r2=r2, v=v)

    return treewise("dowg", learning_rate, init, step)


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
        alpha: Bounds the first bets, positive; the first step has the size 1 / alpha.
        eps: The first L, positive.
        weight_decay: wd of an L2 term, g := g + wd x before all else.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation; its state holds x0, L, G, R and theta, five times the
        parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Orabona & Tommasi (2017), Algorithm 2.
    """
    check_positive("cocob", "alpha", alpha)
    check_positive("cocob", "eps", eps)
    check_nonnegative("cocob", "weight_decay", weight_decay)

    def init(x: Array) -> CocobLeaf:
        # A buffer of its own each: params and state may both be donated to a compiled step.
        G, R, theta = (jnp.zeros_like(x) for _ in range(3))
        return CocobLeaf(x0=jnp.array(x), L=jnp.full_like(x, eps), G=G, R=R, theta=theta)

    def step(
        g: Array, s: CocobLeaf, x: Array, lr: Array, t: Array, decays: bool
    ) -> tuple[Array, CocobLeaf]:
        g = lr * with_decay(g, weight_decay if decays else 0.0, x)
        L = jnp.maximum(s.L, jnp.abs(g))
        G = s.G + jnp.abs(g)
        R = jnp.maximum(s.R - g * (x - s.x0), 0)
        theta = s.theta - g
        x_new = s.x0 + theta / (L * jnp.maximum(G + L, alpha * L)) * (L + R)
        return x_new - x, CocobLeaf(s.x0, L, G, R, theta)

    return leafwise("cocob", learning_rate, init, step, masks=(mask,))


def _way(x: Any, x0: Any) -> Any:
    """The difference x - x0."""
    return jax.tree.map(jnp.subtract, computed(x), computed(x0))


def _with_l2(grads: Any, params: Any, weight_decay: Hyper | None, mask: Mask) -> Any:
    """The gradient, with wd x added on the leaves that decay."""
    g, x = computed(grads), computed(params)
    if weight_decay is None:
        return g
    decays = spread(mask, params)
    return jax.tree.map(
        lambda g, x, yes: with_decay(g, weight_decay if yes else 0.0, x), g, x, decays
    )
