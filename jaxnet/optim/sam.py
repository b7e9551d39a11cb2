"""Sharpness-aware minimisation around any rule."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.rates import Hyper, check_nonnegative
from jaxnet.optim.transformation import transformation
from jaxnet.optim.whole_tree import computed, global_norm, like, quotient


class SamState(NamedTuple):
    """State of `sam`: the number of steps done, and the state of the rule inside."""

    step: Array
    inner: Any


def sam(
    optimizer: optax.GradientTransformation, rho: Hyper = 0.05, adaptive: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Sharpness-aware minimisation: any rule, with the gradient from where the loss is worse.

    With g the gradient at x and norms over all leaves,

        e = rho g / |g|
        x := what `optimizer` makes of x and the gradient at x + e

    or, with `adaptive`, where |x| is taken entry by entry,

        e = rho x^2 g / | |x| g |

    e is 0 where the norm is.

    One call of `update` is one step. It needs the second gradient, and so takes one of optax's
    extra arguments: `grad_fn`, params -> grads, or `value_fn`, params -> loss, which it
    differentiates; `grad_fn` counts if both are there. They have to see the batch that g is from.

        updates, state = rule.update(grads, state, params, value_fn=value_fn)

    `params` thus never leave x: what reads them between two calls, or keeps statistics of them,
    sees no perturbed ones, and every call counts as a step of a schedule.

    Differs from: optax.contrib.sam makes one step of two calls, between which `params` are x + e,
    or one of one call if it is opaque, with a `grad_fn` of two arguments; its rule for e may be
    any, and be done several times. It divides by 0 where g = 0. Others add 1e-12 to the norm.

    Args:
        optimizer: The rule to make the step with.
        rho: How far to look, not negative. The adaptive form wants about ten times more.
        adaptive: Whether the entries of e are scaled with those of x.

    Returns:
        An optax gradient transformation whose `update` needs `grad_fn` or `value_fn`; its state is
        that of `optimizer`.

    Raises:
        ValueError: A hyperparameter is out of range, or `update` got neither function.

    References: Foret, Kleiner, Mobahi & Neyshabur (2021); for the adaptive form Kwon, Kim, Park &
    Choi (2021).
    """
    check_nonnegative("sam", "rho", rho)
    inner = optax.with_extra_args_support(optimizer)

    def init(params: Any) -> SamState:
        return SamState(jnp.zeros([], jnp.int32), inner.init(params))

    def update(
        grads: Any,
        state: SamState,
        params: Any,
        *,
        grad_fn: Callable[[Any], Any] | None = None,
        value_fn: Callable[[Any], Array] | None = None,
        **extra: Any,
    ) -> tuple[Any, SamState]:
        if grad_fn is None:
            if value_fn is None:
                raise ValueError(
                    "sam: update needs the gradient or the loss as a function of the parameters: "
                    "update(grads, state, params, grad_fn=...) or (..., value_fn=...)"
                )
            grad_fn = jax.grad(value_fn)
        g, x = computed(grads), computed(params)
        e = _perturbation(g, x, rho, adaptive)
        worse = like(jax.tree.map(jnp.add, x, e), params)
        updates, inner_state = inner.update(
            grad_fn(worse), state.inner, params, value_fn=value_fn, **extra
        )
        return updates, SamState(optax.safe_increment(state.step), inner_state)

    return transformation("sam", init, update)


def _perturbation(g: Any, x: Any, rho: Hyper, adaptive: bool) -> Any:
    """The e of `sam`."""
    if adaptive:
        scaled = jax.tree.map(lambda g, x: jnp.abs(x) * g, g, x)
        way = jax.tree.map(lambda s, x: jnp.abs(x) * s, scaled, x)
        length = global_norm(scaled)
    else:
        way, length = g, global_norm(g)
    factor = quotient(rho, length)
    return jax.tree.map(lambda w: factor * w, way)
