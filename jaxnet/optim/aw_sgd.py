"""Gradient descent that learns which examples to look at."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.rates import (
    Hyper,
    LearningRate,
    check_count,
    check_learning_rate,
    check_number,
    rate_at,
)
from jaxnet.optim.treewise import treewise
from jaxnet.optim.whole_tree import computed


class AwSgdState(NamedTuple):
    """State of `aw_sgd`: tau, and the probabilities q of the examples that it stands for."""

    step: Array
    learning_rate: Array
    tau: Array
    probabilities: Array


def aw_sgd(
    learning_rate: LearningRate,
    examples: int,
    sampler_rate: LearningRate = 0.1,
    uniform: Hyper = 0.1,
) -> optax.GradientTransformationExtraArgs:
    """Adaptive weighted stochastic gradient descent.

    The loss is a mean over n examples, f(x) = 1/n sum_i f_i(x). An example is drawn with a
    probability q_i that need not be 1/n, and its gradient is weighted so that its mean over draws
    remains the gradient of f:

        i ~ q,   d = grad f_i(x) / (n q_i),   E d = grad f(x)
        x := x - lr d

    q is learned too. It has a parameter tau_i per example and a share u of the uniform
    distribution, which bounds the weights by 1/u,

        q = (1 - u) pi + u/n,   pi = softmax(tau)

    The variance of d is E |d|^2 - |grad f|^2, of which only the first term depends on q, and

        d/dtau E |d|^2 = d/dtau sum_i |grad f_i|^2 / (n^2 q_i) = -E [|d|^2 d/dtau log q_i]

    so gradient descent on the variance, with the same draw, is

        tau := tau + eta |d|^2 d/dtau log q_i,
        d/dtau log q_i = (1 - u) pi_i / q_i (e_i - pi)

    Without the share, its mean stands still where q_i is proportional to |grad f_i|, the
    distribution of least variance. For a batch of draws, d and the step of tau are means over it.

    The draws are made outside: `train.fit(..., sampling="learned")` does, with `draw` of this
    module, and gives `update` the drawn rows and the squared norm |d|^2 of each. Without them
    only x moves.

    Args:
        learning_rate: lr, a number, an array or an optax schedule.
        examples: n.
        sampler_rate: eta, the same. The larger |d|^2, the smaller it has to be.
        uniform: u, in [0, 1]; 1 is uniform sampling. 0 lets weights grow without bound.

    Returns:
        An optax gradient transformation; its state holds two numbers per example, and no
        parameters.

    Raises:
        ValueError: A hyperparameter is out of range.

    Reference: Bouchard, Trouillon, Perez & Gaidon (2015).
    """
    check_count("aw_sgd", "examples", examples)
    check_learning_rate("aw_sgd", sampler_rate, "sampler_rate")
    check_number("aw_sgd", "uniform", uniform, lambda v: 0 <= v <= 1, "in [0, 1]")

    def init(step: Array, lr: Array, params: Any) -> AwSgdState:
        tau = jnp.zeros(examples, lr.dtype)
        return AwSgdState(step, lr, tau, _probabilities(tau, uniform))

    def step(
        grads: Any,
        state: AwSgdState,
        params: Any,
        lr: Array,
        *,
        rows: Array | None = None,
        squared_norms: Array | None = None,
        **extra: Any,
    ) -> tuple[Any, AwSgdState]:
        u = jax.tree.map(lambda g: -lr * g, computed(grads))
        tau = state.tau
        if rows is not None and squared_norms is not None:
            pi = jax.nn.softmax(tau)
            share = (1 - uniform) * pi[rows] / state.probabilities[rows]
            push = squared_norms.astype(tau.dtype) * share / rows.size
            eta = rate_at(sampler_rate, state.step)
            tau = tau + eta * (jnp.zeros_like(tau).at[rows].add(push) - jnp.sum(push) * pi)
        return u, state._replace(tau=tau, probabilities=_probabilities(tau, uniform))

    return treewise("aw_sgd", learning_rate, init, step)


def draw(state: Any, key: Array, batch_size: int) -> tuple[Array, Array]:
    """Draw examples from the distribution that `aw_sgd` has learned.

    Args:
        state: The state of `aw_sgd`, also inside `optax.chain` and the like.
        key: A key of `jax.random`.
        batch_size: How many to draw, with replacement.

    Returns:
        The rows (batch_size,) and their weights 1 / (n q_i) (batch_size,): the mean of the weighted
        gradients is an unbiased gradient of the mean loss.

    Raises:
        ValueError: There is no state of `aw_sgd` in the state.
    """
    q = sampling_probabilities(state)
    if q is None:
        raise ValueError("draw: the optimizer's state is not one of aw_sgd's")
    rows = jax.random.choice(key, q.size, (batch_size,), p=q)
    return rows, 1 / (q.size * q[rows])


def sampling_probabilities(state: Any) -> Array | None:
    """The probability of every example (n,) in a state of `aw_sgd`; None if there is none in it."""

    def learned(node: Any) -> bool:
        return isinstance(node, AwSgdState)

    nodes = [node for node in jax.tree.leaves(state, is_leaf=learned) if learned(node)]
    return nodes[0].probabilities if nodes else None


def _probabilities(tau: Array, uniform: Hyper) -> Array:
    q: Array = (1 - uniform) * jax.nn.softmax(tau) + uniform / tau.size
    return q
