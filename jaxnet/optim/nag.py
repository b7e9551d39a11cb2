"""Nesterov's accelerated gradient with the t_k sequence, and its restarts."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.optim.rates import LearningRate, check_choice, times
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import computed, copied, dot


class NagState(NamedTuple):
    """State of `nag`.

    The number of steps done, the last learning rate, t_k, and the last plain iterate x_{k-1}.
    """

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
    learning_rate: LearningRate, restart: Literal["function", "gradient"] | None = None
) -> optax.GradientTransformationExtraArgs:
    """Nesterov's accelerated gradient.

    From y_1 = x_0 and t_1 = 1, for k = 1, 2, ...

        x_k     = y_k - lr g(y_k)
        t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2
        y_{k+1} = x_k + (t_k - 1) / t_{k+1} (x_k - x_{k-1})

    The gradient is due at the look-ahead point y, so `params` are y throughout: take the gradient
    at `params` as with any other rule, and evaluate at `optim.eval_params(state, params)`, which
    is x_k. (Taking it at x_k instead is a common fault, and turns the method into gradient
    descent with a growing momentum, which is less damped.)

    Along a direction of curvature c, with a = lr c and a constant momentum b, an error e obeys

        e_{k+1} = (1 - a) ((1 + b) e_k - b e_{k-1})      stable for a < 2 (1 + b) / (1 + 2 b)
        e_{k+1} = (1 + b - a) e_k - b e_{k-1}            with the gradient at x_k: a < 2 (1 + b)

    that is, up to 4/3 and up to 4 as b goes to 1. Oscillations shrink by sqrt(b (1 - a)) a step,
    with the fault only by sqrt(b).

    For a convex loss with an L-Lipschitz gradient and lr <= 1/L, f(x_k) - f* <=
    2 |x_0 - x*|^2 / (lr (k + 1)^2), where gradient descent has 1/k.

    On a strongly convex loss t_k soon is too large, and the iterates swing about the minimum. With
    restart the method begins anew at x_k, which is t_{k+1} = 1 and y_{k+1} = x_k, when

        "gradient":   g(y_k) . (x_k - x_{k-1}) > 0
        "function":   f(y_k) > f(y_{k-1})

    Differs from: the paper's function scheme compares f(x_k) with f(x_{k-1}), which takes an
    evaluation more; "function" here compares the losses at the look-ahead points y, where the
    gradients are taken.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        restart: None, "gradient", or "function", for which `update` needs as `value` the loss at
            `params`, which is f(y_k).

    Returns:
        An optax gradient transformation; its state holds x, one times the parameters.

    Raises:
        ValueError: A hyperparameter is out of range, the restart is unknown, or `update` got no
            value where it needs one.

    References: Nesterov (1983); in this form Beck & Teboulle (2009), without the proximal step;
    restarts O'Donoghue & Candes (2015).
    """
    check_choice("nag", "restart", restart, (None, "function", "gradient"))

    def init(step: Array, lr: Array, params: Any) -> NagState | NagValueState:
        state = NagState(step, lr, jnp.ones_like(lr), copied(params))
        # No loss is above the one before the first.
        return NagValueState(*state, jnp.full_like(lr, jnp.inf)) if restart == "function" else state

    def step(
        grads: Any,
        state: Any,
        params: Any,
        lr: Array,
        *,
        value: ArrayLike | None = None,
        **extra: Any,
    ) -> tuple[Any, NagState | NagValueState]:
        if restart == "function" and value is None:
            raise ValueError(
                'nag: update with restart="function" needs the loss: update(..., value=loss)'
            )
        g, y, x_old = computed(grads), computed(params), computed(state.x)
        x = jax.tree.map(lambda y, g: y - times(lr, g), y, g)
        moved = jax.tree.map(jnp.subtract, x, x_old)
        t = (1 + jnp.sqrt(1 + 4 * state.t**2)) / 2
        beta = (state.t - 1) / t
        if restart is not None:
            uphill = dot(g, moved) > 0 if restart == "gradient" else value > state.value
            t, beta = jnp.where(uphill, 1, t), jnp.where(uphill, 0, beta)
        u = jax.tree.map(lambda x, d, y: x + times(beta, d) - y, x, moved, y)
        new = state._replace(t=t, x=x)
        return u, new._replace(value=value) if restart == "function" else new

    return treewise("nag", learning_rate, init, step)
