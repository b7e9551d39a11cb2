"""Nesterov's accelerated gradient with the t_k sequence."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.rates import LearningRate, check_learning_rate, rate_at, times


class NagState(NamedTuple):
    """State of `nag`: step number, last learning rate, t_k, and the last plain iterate x_{k-1}."""

    step: Array
    learning_rate: Array
    t: Array
    x: Any

    def eval_params(self, params: Any) -> Any:
        """The point to evaluate: the plain iterate, not the look-ahead point."""
        return self.x


def nag(learning_rate: LearningRate) -> optax.GradientTransformation:
    """Nesterov's accelerated gradient. From y_1 = x_0 and t_1 = 1, for k = 1, 2, ...

        x_k     = y_k - lr g(y_k)
        t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2
        y_{k+1} = x_k + (t_k - 1) / t_{k+1} (x_k - x_{k-1})

    The gradient is due at the look-ahead point y, so `params` are y throughout: take the gradient
    at `params` as with any other rule, and evaluate at `optim.eval_params(state, params)`, which
    is x_k. (Taking it at x_k instead is a common fault, and turns the method into gradient
    descent with a growing momentum, which is less stable.)

    For a convex loss with an L-Lipschitz gradient and lr <= 1/L, f(x_k) - f* <=
    2 |x_0 - x*|^2 / (lr (k + 1)^2), where gradient descent has 1/k.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.

    Returns:
        An optax gradient transformation whose `update` needs `params`; its state holds x, one
        times the parameters.

    Raises:
        ValueError: The learning rate is negative or not finite, or `update` got no params.

    References: Nesterov (1983); in this form Beck & Teboulle (2009), without the proximal step.
    """
    check_learning_rate("nag", learning_rate)

    def init(params: Any) -> NagState:
        step = jnp.zeros([], jnp.int32)
        lr = rate_at(learning_rate, step)
        # A copy: params and state may both be donated to a compiled step.
        return NagState(step, lr, jnp.ones_like(lr), jax.tree.map(jnp.array, params))

    def update(grads: Any, state: NagState, params: Any = None) -> tuple[Any, NagState]:
        if params is None:
            raise ValueError("nag: update needs the parameters: update(grads, state, params)")
        lr = rate_at(learning_rate, state.step)
        x = jax.tree.map(lambda y, g: y - times(lr, g), params, grads)
        t = (1 + jnp.sqrt(1 + 4 * state.t**2)) / 2
        beta = (state.t - 1) / t
        y = jax.tree.map(lambda new, old: new + times(beta, new - old), x, state.x)
        updates = jax.tree.map(jnp.subtract, y, params)
        return updates, NagState(optax.safe_increment(state.step), lr, t, x)

    return optax.GradientTransformation(init, update)
