"""What every rule of the zoo promises, whatever its equations."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array
from safetensors.numpy import load_file, save_file

from jaxnet.optim import ZOO, Entry, gd

RATE = 0.01


every_entry = pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))


def mixed_params(dtype: Any = np.float64) -> Any:
    """Nested, with a matrix, a vector, a scalar and an empty leaf."""
    tree = {
        "layers": [{"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "b": jnp.zeros(3)}],
        "scale": jnp.asarray(0.5),
        "empty": jnp.zeros((0, 2)),
    }
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def make(entry: Entry, learning_rate: Any = RATE) -> optax.GradientTransformationExtraArgs:
    return optax.with_extra_args_support(entry.make(learning_rate))


def kinds(tree: Any) -> list[Any]:
    return [
        (leaf.shape, leaf.dtype, leaf.weak_type) for leaf in map(jax.typeof, jax.tree.leaves(tree))
    ]


def is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def save(path: Path, tree: Any) -> None:
    """The leaves under their paths; a random key as its numbers."""
    leaves = {jax.tree_util.keystr(at): leaf for at, leaf in jax.tree.leaves_with_path(tree)}
    data = {at: jax.random.key_data(x) if is_key(x) else x for at, x in leaves.items()}
    save_file({at: np.asarray(x) for at, x in data.items()}, path)


def load(path: Path, like: Any) -> Any:
    """What `save` wrote, in the structure of `like`."""
    data = load_file(path)

    def restored(at: Any, leaf: Any) -> Any:
        saved = jnp.asarray(data[jax.tree_util.keystr(at)])
        return jax.random.wrap_key_data(saved) if is_key(leaf) else saved

    return jax.tree.map_with_path(restored, like)


def bits(tree: Any) -> dict[str, tuple[Any, bytes]]:
    """The type and the bytes of every leaf."""
    return {
        jax.tree_util.keystr(at): (
            jax.typeof(x),
            np.asarray(jax.random.key_data(x) if is_key(x) else x).tobytes(),
        )
        for at, x in jax.tree.leaves_with_path(tree)
    }


def finite(tree: Any) -> bool:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)


@every_entry
def test_a_step_keeps_the_kinds_of_state_and_parameters_and_a_run_goes_on_from_a_file(
    entry: Entry, one_step: Any, tmp_path: Path
) -> None:
    # The second step then finds its program compiled, and scan and cond accept the rule.
    rate, params = jnp.asarray(RATE), mixed_params()
    rule, file = make(entry, rate), tmp_path / "run.safetensors"
    state = rule.init(params)
    run = jax.tree.map(jnp.array, params), state

    def program(rule: Any, run: Any) -> Any:
        """A step of the rule, to be compiled."""
        return jax.jit(partial(one_step, rule), donate_argnums=(0, 1)).lower(*run)

    lowered = program(rule, run)
    step = lowered.compile()
    expected = kinds(state), kinds(params), jax.tree.structure(state)
    for i in range(4):
        if i == 2:
            save(file, run)
        run = step(*run)  # params and fresh state share no buffer
        donated, state = run
        assert (kinds(state), kinds(donated), jax.tree.structure(state)) == expected
        assert finite(donated)
    assert not rate.is_deleted()
    moved = jax.tree.map(lambda new, old: bool((new != old).any()), donated, params)
    assert moved == jax.tree.map(lambda leaf: leaf.size > 0, params)

    # As in a new process: what is not in the file is not there.
    rule, zeros = make(entry, rate), jax.tree.map(jnp.zeros_like, params)
    again = load(file, (zeros, rule.init(zeros)))
    # Their programs are the same, so that this one need not be compiled.
    assert program(rule, again).as_text() == lowered.as_text()
    for _ in range(2):
        again = step(*again)
    structures: Any = jax.tree.structure(again), jax.tree.structure(run)
    assert structures[0] == structures[1]
    assert bits(again) == bits(run)


@every_entry
def test_other_types_stay_and_zero_gradients_are_harmless(
    entry: Entry, bowl: Any, one_step: Any
) -> None:
    rule, gradient = make(entry), jax.grad(bowl)

    def iterates(params: Any) -> Any:
        def step(carry: Any, factor: Array) -> Any:
            slopes = gradient(carry[0])
            grads = jax.tree.map(lambda g: factor.astype(g.dtype) * g, slopes)
            params, state = one_step(rule, *carry, grads)
            return (params, state), params

        return jax.lax.scan(step, (params, rule.init(params)), jnp.asarray([0.0, 0.0, 1.0]))[1]

    types = jnp.float32, jnp.bfloat16, jnp.float16
    starts = {dtype.dtype.name: mixed_params(dtype) for dtype in types}
    runs = jax.jit(lambda starts: {name: iterates(x) for name, x in starts.items()})(starts)
    for name, params in starts.items():
        still, moved = (jax.tree.map(lambda leaf, i=i: leaf[i], runs[name]) for i in (1, 2))
        assert kinds(moved) == kinds(still) == kinds(params)
        assert finite(still), name


@every_entry
def test_an_empty_tree_is_fine(entry: Entry, one_step: Any) -> None:
    rule = make(entry)
    updates, _ = one_step(rule, {}, rule.init({}))
    assert updates == {}


@every_entry
def test_complex_parameters_are_refused(entry: Entry) -> None:
    params = {"layers": [{"real": jnp.ones(2), "turning": jnp.ones(2, complex)}]}
    with pytest.raises(TypeError, match=rf"^{entry.name}: .*complex") as error:
        make(entry).init(params)
    assert "turning" in str(error.value)


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


@every_entry
def test_every_float_may_be_swept_and_a_constant_schedule_is_the_number(
    entry: Entry, arguments: Callable[[Entry], Any], one_step: Any, agree: Any
) -> None:
    # As leaves of a tree, for the floats in tuples such as betas.
    given = all_arguments(entry, arguments(entry) | {"optimizer": RATE})
    leaves, structure = jax.tree.flatten(given)
    floats = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, float)}
    assert floats
    params = mixed_params()

    def moved(chosen: dict[int, Any], **rate: Any) -> Any:
        """Five steps with some of the arguments."""
        filled = [chosen.get(i, leaf) for i, leaf in enumerate(leaves)]
        kwargs = jax.tree.unflatten(structure, filled) | rate
        if "optimizer" in kwargs:
            kwargs["optimizer"] = gd(kwargs["optimizer"])
        rule = optax.with_extra_args_support(entry.factory(**kwargs))

        def step(carry: Any, _: None) -> Any:
            return one_step(rule, *carry), None

        return jax.lax.scan(step, (params, rule.init(params)), length=5)[0][0]

    def schedule(step: Array) -> Array:
        """Constant in the five steps that are made, from step 0 on."""
        return jnp.where((step >= 0) & (step < 5), RATE, jnp.nan)

    @jax.jit
    def runs(lanes: dict[int, Array]) -> Any:
        ends = {"numbers": moved({}), "swept": jax.vmap(moved)(lanes)}
        if entry.takes == "schedule":
            rates = {"learning_rate", "optimizer"} & given.keys()
            assert rates
            ends["schedule"] = moved({}, **dict.fromkeys(rates, schedule))
        return ends

    lanes = {i: jnp.asarray([0.9 * leaf, leaf]) for i, leaf in floats.items()}
    ends = jax.device_get(runs(lanes))
    ends["swept"] = jax.tree.map(lambda leaf: leaf[1], ends["swept"])
    for name, end in ends.items():
        agree(end, ends["numbers"], 1e-12, what=name)
