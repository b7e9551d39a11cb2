"""Every float that a rule takes may be a traced array, so that a sweep is one program."""

import inspect
from collections.abc import Callable
from typing import Any, get_args

import jax
import jax.numpy as jnp
import pytest
from jax import Array

from jaxnet.optim import ZOO, Entry

OPTIONAL = {
    "adam_learning_rate": 0.02,
    "beta3": 0.9,
    "consistent_rms": 0.2,
    "init_estim_sq_dist": 0.1,
    "momentum": 0.5,
    "momentum_decay": 0.004,
    "shampoo_beta": 0.9,
    "weight_decay": 0.1,
    "weight_decay_rate": 0.1,
}
"""In the place of None."""


def all_arguments(entry: Entry, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a factory, with every float that it can take, and none of them 0."""

    def value(p: inspect.Parameter) -> Any:
        if p.name in given:
            return given[p.name]
        if float not in get_args(p.annotation):
            return p.default
        return OPTIONAL[p.name] if p.default is None else p.default or 0.1

    parameters = inspect.signature(entry.factory).parameters.values()
    return {p.name: value(p) for p in parameters}


@pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))
def test_every_float_may_be_traced(
    entry: Entry,
    arguments: Callable[[Entry], dict[str, Any]],
    one_step: Callable[..., Any],
    agree: Callable[..., None],
) -> None:
    # As leaves of a tree, for the floats in tuples such as betas.
    leaves, structure = jax.tree.flatten(all_arguments(entry, arguments(entry)))
    floats = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, float)}
    assert floats
    params = {"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "b": jnp.zeros(3)}

    def moved(floats: dict[int, Any]) -> Any:
        chosen = [floats.get(i, leaf) for i, leaf in enumerate(leaves)]
        rule = entry.factory(**jax.tree.unflatten(structure, chosen))

        def step(carry: Any, _: None) -> Any:
            return one_step(rule, *carry), None

        return jax.lax.scan(step, (params, rule.init(params)), length=2)[0][0]

    @jax.jit
    def both(traced: dict[int, Array]) -> Any:
        return moved(traced), moved(floats)

    traced, numbers = jax.device_get(both(floats))
    agree(traced, numbers, 1e-12)
