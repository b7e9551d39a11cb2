"""A small problem, and training written out as a Python loop to hold `fit` against."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet import models, optim
from jaxnet.data.batches import Sampler
from jaxnet.models import Batch, Model
from jaxnet.train import loop

N = 13  # rows; no batch size that is used divides it


FAST: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
}
"""For programs that run for moments: it takes half the time to compile them."""


@pytest.fixture(scope="session", autouse=True)
def compile_fast() -> Iterator[None]:
    """Let the loop of `fit` compile with little optimization."""
    full = jax.stages.Lowered.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            jax.stages.Lowered, "compile", lambda lowered: full(lowered, compiler_options=FAST)
        )
        yield


class Problem(NamedTuple):
    model: Model
    data: Batch
    validation: Batch


@pytest.fixture(scope="session")
def classification() -> Problem:
    """Two classes that overlap, so that nothing is learned to perfection."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2 * N, 3))
    t = (x[:, 0] + x[:, 1] ** 2 + rng.normal(size=2 * N) > 0.5).astype(np.int32)
    first, second = (
        (jnp.asarray(x[part]), jnp.asarray(t[part])) for part in (slice(N), slice(N, None))
    )
    return Problem(models.mlp([3, 4, 2], "tanh"), first, second)


class Visited(NamedTuple):
    """A run by hand: the parameters and points to evaluate, the start first; the batches' loss."""

    params: list[Any]
    answers: list[Any]
    losses: list[float]


def train_by_hand(
    model: Model,
    optimizer: optax.GradientTransformation,
    data: Batch,
    steps: int,
    *,
    key: Array,
    params: Any = None,
    sampler: Sampler | None = None,
    gradient: Literal["hand", "auto"] = "auto",
) -> Visited:
    """Training with nothing from `jaxnet.train`: one call of Python after another.

    The keys are those of `fit`: of the start, of the rows, and of the steps.
    """
    key_start, key_rows, key_steps = jax.random.split(key, 3)
    value_and_grad = model.value_and_grad if gradient == "hand" else jax.value_and_grad(model.loss)

    @partial(jax.jit, compiler_options=FAST)
    def step(params: Any, state: Any, batch: Batch, key: Array) -> Any:
        value, grads = value_and_grad(params, batch, key)
        updates, state = optimizer.update(grads, state, params)
        return value, optax.apply_updates(params, updates), state

    params = jax.jit(model.init)(key_start) if params is None else params
    state = optimizer.init(params)
    if sampler is not None:
        rows_state, sample = sampler.init(key_rows), jax.jit(sampler.sample)
    visited = Visited([params], [params], [])
    for k in range(steps):
        rows = jnp.arange(len(data[0]))
        if sampler is not None:
            rows, _, rows_state = sample(rows_state, k, None)
        value, params, state = step(
            params, state, (data[0][rows], data[1][rows]), jax.random.fold_in(key_steps, k)
        )
        visited.params.append(params)
        visited.answers.append(optim.eval_params(state, params))
        visited.losses.append(float(value))
    return visited


@pytest.fixture(scope="session")
def by_hand() -> Callable[..., Visited]:
    """`by_hand(model, optimizer, data, steps, key=...)`: see `train_by_hand`."""
    return train_by_hand


@pytest.fixture(params=[1e-9, 100.0], ids=["one_step_a_chunk", "growing_chunks"])
def chunk_seconds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """How often Python looks in: after every step, or after 1, 11, 111, ... steps."""
    seconds: float = request.param
    monkeypatch.setattr(loop, "CHUNK_SECONDS", seconds)
    return seconds


@pytest.fixture(scope="session")
def same_bits() -> Callable[[Any, Any], None]:
    """`same_bits(a, b)` fails unless two trees are equal to the last bit, NaN equal to NaN."""

    def check(a: Any, b: Any) -> None:
        assert jax.tree.structure(a) == jax.tree.structure(b)  # type: ignore[operator]
        for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            if jnp.issubdtype(left.dtype, jax.dtypes.prng_key):
                left, right = jax.random.key_data(left), jax.random.key_data(right)
            np.testing.assert_array_equal(np.asarray(left), np.asarray(right), strict=True)

    return check
