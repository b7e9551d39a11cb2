"""A run of every rule can be written to a file and gone on with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxnet.optim import ZOO, Entry

RATE = 0.01


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


@pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))
def test_a_run_goes_on_from_a_file_as_if_it_had_not_stopped(
    entry: Entry, one_step: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "run.safetensors"
    params = {"layers": [{"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "b": jnp.zeros(3)}]}
    rule = entry.make(RATE)
    step = jax.jit(partial(one_step, rule))
    run = params, rule.init(params)
    for i in range(4):
        if i == 2:
            save(file, run)
        run = step(*run)

    # As in a new process: what is not in the file is not there.
    rule = entry.make(RATE)
    zeros = jax.tree.map(jnp.zeros_like, params)
    step = jax.jit(partial(one_step, rule))
    again = load(file, (zeros, rule.init(zeros)))
    for _ in range(2):
        again = step(*again)
    structures: Any = jax.tree.structure(again), jax.tree.structure(run)
    assert structures[0] == structures[1]
    assert bits(again) == bits(run)
