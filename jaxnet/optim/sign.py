"""Rules that go by signs alone: the gradient's size has no say in the size of the step."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.optim.leafwise import Accumulator, Mask, leafwise, zeros_of
from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_decay,
    check_nonnegative,
    check_number,
)


class RpropLeaf(NamedTuple):
    """One leaf's state of `rprop`: the step sizes, and the previous gradient where it counts."""

    size: Array
    g: Array


def sign_sgd(learning_rate: LearningRate) -> optax.GradientTransformationExtraArgs:
    """Sign descent: a step of lr in every coordinate.

        x := x - lr sign(g)

    with sign(0) = 0.

    Differs from: nothing; it is `optax.sign_sgd(lr)`.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.

    Returns:
        An optax gradient transformation without state.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Bernstein, Wang, Azizzadenesheli & Anandkumar (2018), Algorithm 1.
    """

    def step(g: Array, s: tuple[()], x: Array, lr: Array, t: Array) -> tuple[Array, tuple[()]]:
        return -lr * jnp.sign(g), ()

    return leafwise("sign_sgd", learning_rate, lambda x: (), step)


def signum(learning_rate: LearningRate, beta: Hyper = 0.9) -> optax.GradientTransformationExtraArgs:
    """Sign descent with momentum.

    From m = 0,

        m := beta m + (1 - beta) g
        x := x - lr sign(m)

    Differs from: nothing; it is `optax.signum(lr, beta)`. The velocity m := beta m + g has the same
    signs.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        beta: Decay of the average of the gradient, in [0, 1).

    Returns:
        An optax gradient transformation; its state holds m, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Bernstein, Wang, Azizzadenesheli & Anandkumar (2018), Algorithm 2.
    """
    check_decay("signum", "beta", beta)

    def step(g: Array, s: Accumulator, x: Array, lr: Array, t: Array) -> tuple[Array, Accumulator]:
        m = beta * s.v + (1 - beta) * g
        return -lr * jnp.sign(m), Accumulator(m)

    return leafwise("signum", learning_rate, zeros_of(Accumulator), step)


def lion(
    learning_rate: LearningRate,
    b1: Hyper = 0.9,
    b2: Hyper = 0.99,
    weight_decay: Hyper = 1e-3,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """Lion: the sign of one average of the gradient, while a slower one is kept.

    From m = 0,

        c  = b1 m + (1 - b1) g
        x := x - lr (sign(c) + wd x)
        m := b2 m + (1 - b2) g

    Differs from: the paper's program has no default for wd, its code has 0; 1e-3 is optax's.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        b1: The share of m in the step, in [0, 1).
        b2: Decay of the average m of the gradient, in [0, 1).
        weight_decay: wd, not negative.
        mask: Which leaves decay: a tree of bools, or a function from the parameters to one.

    Returns:
        An optax gradient transformation; its state holds m, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Chen et al. (2023), Algorithm 2.
    """
    check_decay("lion", "b1", b1)
    check_decay("lion", "b2", b2)

    def step(g: Array, s: Accumulator, x: Array, lr: Array, t: Array) -> tuple[Array, Accumulator]:
        c = b1 * s.v + (1 - b1) * g
        return -lr * jnp.sign(c), Accumulator(b2 * s.v + (1 - b2) * g)

    return leafwise(
        "lion", learning_rate, zeros_of(Accumulator), step, weight_decay=weight_decay, mask=mask
    )


def rprop(
    learning_rate: ArrayLike,
    eta_minus: Hyper = 0.5,
    eta_plus: Hyper = 1.2,
    min_step_size: Hyper = 1e-6,
    max_step_size: Hyper = 50.0,
) -> optax.GradientTransformationExtraArgs:
    """Resilient propagation, in the form iRprop-: every coordinate finds its own step size.

    From D = lr and p = 0,

        D := min(max(D eta, D_min), D_max),  eta = eta_plus   where g p > 0
                                                   eta_minus  where g p < 0
                                                   1          where g p = 0
        p := 0 where g p < 0 (with the old p), g elsewhere
        x := x - D sign(p)

    A coordinate whose gradient changed its sign stays for one step, with a shorter D. The rule
    needs the gradient of the whole data: from batch to batch signs change by themselves.

    Differs from: optax's `rprop` answers with the previous step's move, so it starts with 0 and is
    one step late throughout. PyTorch's `Rprop` is this one. The rule of 1993 took the last move
    back where the sign changed.

    Args:
        learning_rate: lr, the first step size, a number or an array. There is no schedule: the
            rule sets its step sizes by itself.
        eta_minus: The factor of a step size whose gradient changed its sign, in (0, 1).
        eta_plus: The factor of one whose gradient kept it, more than 1.
        min_step_size: D_min, not negative.
        max_step_size: D_max, not less than D_min.

    Returns:
        An optax gradient transformation; its state holds D and p, two times the parameters.

    Raises:
        TypeError: The learning rate is a schedule.
        ValueError: A hyperparameter is out of range.

    References: Riedmiller & Braun (1993); in this form Igel & Huesken (2000).
    """
    if callable(learning_rate):
        raise TypeError("rprop: learning_rate is the first step size, and cannot be a schedule")
    check_number("rprop", "eta_minus", eta_minus, lambda v: 0 < v < 1, "in (0, 1)")
    check_number("rprop", "eta_plus", eta_plus, lambda v: 1 < v < math.inf, "a finite number > 1")
    check_nonnegative("rprop", "min_step_size", min_step_size)
    check_nonnegative("rprop", "max_step_size", max_step_size)
    if isinstance(min_step_size, int | float):
        wanted = f"at least min_step_size = {min_step_size!r}"
        check_number("rprop", "max_step_size", max_step_size, lambda v: v >= min_step_size, wanted)

    def init(x: Array) -> RpropLeaf:
        return RpropLeaf(jnp.full_like(x, learning_rate), jnp.zeros_like(x))

    def step(g: Array, s: RpropLeaf, x: Array, lr: Array, t: Array) -> tuple[Array, RpropLeaf]:
        agree = jnp.sign(g) * jnp.sign(s.g)  # the product itself may underflow
        longer, shorter, kept = (
            jnp.clip(s.size * eta, min_step_size, max_step_size)
            for eta in (eta_plus, eta_minus, 1.0)
        )
        size = jnp.where(agree > 0, longer, jnp.where(agree < 0, shorter, kept))
        g = jnp.where(agree < 0, 0, g)
        return -size * jnp.sign(g), RpropLeaf(size, g)

    return leafwise("rprop", learning_rate, init, step)
