"""Nesterov's accelerated gradient with the t_k sequence, and its restarts."""

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.optim.leafwise import check_params, computed
from jaxnet.optim.rates import LearningRate, check_learning_rate, rate_at, times

Restart = Literal["function", "gradient"] | None


class NagState(NamedTuple):
    """State of `nag`: step number, last learning rate, t_k, and the last plain iterate x_{k-1}."""

    step: Array
    learning_rate: Array
    t: Array
    x: Any

    def eval_params(self, params: Any) -> Any:
        """The point to evaluate: the plain iterate, not the look-ahead point."""
        return self.x


class NagValueState(NamedTuple):
    """State of `nag` with restart="function": that of `nag`, and the last step's loss."""

    step: Array
    learning_rate: Array
    t: Array
    x: Any
    value: Array

    def eval_params(self, params: Any) -> Any:
        """The point to evaluate: the plain iterate, not the look-ahead point."""
        return self.x


def nag(
    learning_rate: LearningRate, restart: Restart = None
) -> optax.GradientTransformationExtraArgs:
    """Nesterov's accelerated gradient.

    From y_1 = x_0 and t_1 = 1, for k = 1, 2, ...

        x_k     = y_k - lr g(y_k)
        t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2
        y_{k+1} = x_k + (t_k - 1) / t_{k+1} (x_k - x_{k-1})

    The gradient is due at the look-ahead point y, so `params` are y throughout: take the gradient
    at `params` as with any other rule, and evaluate at `optim.eval_params(state, params)`, which
    is x_k. (Taking it at x_k instead is a common fault, and turns the method into gradient
    descent with a growing momentum, which is less stable.)

    For a convex loss with an L-Lipschitz gradient and lr <= 1/L, f(x_k) - f* <=
    2 |x_0 - x*|^2 / (lr (k + 1)^2), where gradient descent has 1/k.

    On a strongly convex loss t_k soon is too large, and the iterates swing about the minimum. With
    restart the method begins anew at x_k, which is t_{k+1} = 1 and y_{k+1} = x_k, when

        "gradient":   g(y_k) . (x_k - x_{k-1}) > 0
        "function":   f(y_k) > f(y_{k-1})

    Differs from: the paper's function scheme compares f(x_k) with f(x_{k-1}), which takes an
    evaluation more; this one compares the losses where the gradients are taken.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        restart: None, "gradient", or "function", for which `update` needs the loss as `value`.

    Returns:
        An optax gradient transformation whose `update` needs `params`; its state holds x, one
        times the parameters.

    Raises:
        ValueError: The learning rate is negative or not finite, the restart is unknown, or
            `update` got no params, or no value where it needs one.

    References: Nesterov (1983); in this form Beck & Teboulle (2009), without the proximal step;
    restarts O'Donoghue & Candes (2015).
    """
    check_learning_rate("nag", learning_rate)
    _check_restart(restart)

    def init(params: Any) -> NagState | NagValueState:
        step = jnp.zeros([], jnp.int32)
        lr = rate_at(learning_rate, step)
        # A copy: params and state may both be donated to a compiled step.
        state = NagState(step, lr, jnp.ones_like(lr), jax.tree.map(jnp.array, params))
        # No loss is above the one before the first.
        return NagValueState(*state, jnp.full_like(lr, jnp.inf)) if restart == "function" else state

    def update(
        grads: Any,
        state: Any,
        params: Any = None,
        *,
        value: ArrayLike | None = None,
        **extra: Any,
    ) -> tuple[Any, NagState | NagValueState]:
        check_params("nag", params)
        if restart == "function" and value is None:
            raise ValueError(
                'nag: update with restart="function" needs the loss: update(..., value=loss)'
            )
        lr = rate_at(learning_rate, state.step)
        g, y, x_old = (jax.tree.map(computed, tree) for tree in (grads, params, state.x))
        x = jax.tree.map(lambda y, g: y - times(lr, g), y, g)
        t = (1 + jnp.sqrt(1 + 4 * state.t**2)) / 2
        beta = (state.t - 1) / t
        if restart is not None:
            uphill = _inner(g, x, x_old) > 0 if restart == "gradient" else value > state.value
            t, beta = jnp.where(uphill, 1, t), jnp.where(uphill, 0, beta)
        moved = jax.tree.map(lambda new, old: new + times(beta, new - old), x, x_old)
        updates = jax.tree.map(lambda a, b, p: (a - b).astype(_dtype(p)), moved, y, params)
        x = jax.tree.map(lambda a, p: a.astype(_dtype(p)), x, params)
        new = NagState(optax.safe_increment(state.step), lr, t, x)
        if restart == "function":
            return updates, NagValueState(*new, jnp.asarray(value, lr.dtype))
        return updates, new

    return optax.GradientTransformationExtraArgs(init, update)


def _inner(g: Any, x: Any, x_old: Any) -> Array:
    """G . (x - x_old), over all leaves."""
    parts = jax.tree.map(lambda g, a, b: jnp.sum(g * (a - b)), g, x, x_old)
    return sum(jax.tree.leaves(parts), jnp.zeros([]))


def _dtype(x: ArrayLike) -> Any:
    return jnp.asarray(x).dtype


def _check_restart(restart: Any) -> None:
    choices = get_args(get_args(Restart)[0])
    if restart is not None and restart not in choices:
        raise ValueError(
            f"nag: restart must be None or {' or '.join(map(repr, choices))}, got {restart!r}"
        )
