"""Simulated annealing, which needs no gradient."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.rates import LearningRate, check_learning_rate, rate_at, times
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import copied

COOLING = optax.exponential_decay(1.0, transition_steps=1, decay_rate=0.999)
"""From a temperature of 1, down by a factor of e in a thousand steps."""


class AnnealingState(NamedTuple):
    """State of `simulated_annealing`.

    learning_rate and temperature are those of the last step, best the lowest point so far, with
    its loss best_value, which is infinite before the first step, and key the key of the next step.
    """

    step: Array
    learning_rate: Array
    temperature: Array
    best: Any
    best_value: Array
    key: Array

    def eval_params(self, params: Any) -> Any:
        """The lowest point so far."""
        return self.best


def simulated_annealing(
    learning_rate: LearningRate,
    temperature: LearningRate = COOLING,
    *,
    key: Array,
) -> optax.GradientTransformationExtraArgs:
    """Simulated annealing with normal proposals and Metropolis's rule.

    At step k, with the temperature T_k and independent n ~ N(0, 1) for every entry,

        x' = x + lr n
        x := x'  if f(x') <= f(x), or else with probability exp(-(f(x') - f(x)) / T_k)

    Geometric cooling, T_k = T_0 a^k, is `optax.exponential_decay(T_0, 1, a)`. T_0 should be of the
    size of the rises in f that are to be crossed, and T_k fall well below the differences that
    matter; a constant temperature samples from a density proportional to exp(-f(x) / T). A
    proposal whose f is not a number is never taken.

    Differs from: SciPy's dual_annealing is another method, with heavy-tailed proposals and a local
    search.

    Args:
        learning_rate: lr, the standard deviation of a proposal in every entry: a number, an array
            or an optax schedule.
        temperature: T, a number, an array or a schedule; by default 0.999^k.
        key: A key of `jax.random`. The same key gives the same run.

    Returns:
        An optax gradient transformation whose `update` needs `value` and `value_fn` and looks at no
        gradient; its state holds the lowest point, once the parameters, which `eval_params` gives.

    Raises:
        ValueError: A hyperparameter is out of range.

    References: Metropolis et al. (1953); Kirkpatrick, Gelatt & Vecchi (1983).
    """
    check_learning_rate("simulated_annealing", temperature, "temperature")

    def init(step: Array, lr: Array, params: Any) -> AnnealingState:
        return AnnealingState(
            step,
            lr,
            temperature=rate_at(temperature, step),
            best=copied(params),
            best_value=jnp.full_like(lr, jnp.inf),
            key=jnp.copy(key),  # the state may be donated to a compiled step
        )

    def step(
        grads: Any,
        state: AnnealingState,
        params: Any,
        lr: Array,
        *,
        value: Any = None,
        value_fn: Callable[[Any], Array] | None = None,
        **extra: Any,
    ) -> tuple[Any, AnnealingState]:
        if value is None or value_fn is None:
            raise ValueError(
                "simulated_annealing: update needs the loss: value=value, value_fn=value_fn"
            )
        t = rate_at(temperature, state.step)
        next_key, key_proposal, key_acceptance = jax.random.split(state.key, 3)
        # Measured where the parameters come to lie, rounded to their type.
        move = _move(key_proposal, lr, params)
        proposal = optax.apply_updates(params, move)
        f, f_new = (jnp.asarray(v, state.best_value.dtype) for v in (value, value_fn(proposal)))
        rise = f_new - jnp.where(jnp.isnan(f), jnp.inf, f)
        chance = jax.random.uniform(key_acceptance, dtype=rise.dtype)
        accepted = (rise <= 0) | (chance < jnp.exp(-rise / t))
        best, best_value = _lower(params, f, state.best, state.best_value)
        best, best_value = _lower(proposal, f_new, best, best_value)
        u = jax.tree.map(lambda u: jnp.where(accepted, u, 0), move)
        return u, state._replace(temperature=t, best=best, best_value=best_value, key=next_key)

    return treewise("simulated_annealing", learning_rate, init, step)


def _move(key: Array, lr: Array, params: Any) -> Any:
    """The move lr n, in the type of every leaf."""
    leaves, structure = jax.tree.flatten(params)
    steps = [
        times(lr, jax.random.normal(jax.random.fold_in(key, i), jnp.shape(x), jnp.result_type(x)))
        for i, x in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, steps)


def _lower(x: Any, f: Array, best: Any, best_value: Array) -> tuple[Any, Array]:
    """The lower of two points."""
    lower = f < best_value
    return (
        jax.tree.map(lambda new, old: jnp.where(lower, new, old), x, best),
        jnp.where(lower, f, best_value),
    )
