"""What every test can rely on: float64 on, and helpers to compare trees leaf by leaf.

The helpers are fixtures because test modules cannot import one another (pytest's importlib mode).
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

# The tests compile hundreds of programs that run once, on a few numbers: compiling is nearly all of
# their time. Splitting a program to compile its parts in parallel takes more of it than one part.
# To be set before JAX starts.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    + " --xla_cpu_parallel_codegen_split_count=1"
)
# NumPy's and SciPy's matrices are too small for threads, which would only wait for one another.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxnet.check import central_differences
from jaxnet.layers import Statistics

jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]

AUTODIFF = ("grad", "value_and_grad", "vjp", "jvp", "linearize", "jacrev", "jacfwd")
"""What JAX offers to differentiate a function with."""

jit_fast = partial(
    jax.jit,
    compiler_options={"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False},
)
"""`jax.jit` for what runs once, on a few numbers: it takes half the time to compile."""


@pytest.fixture
def key() -> Array:
    """The key that a test draws from; it is the same in every run."""
    return jax.random.key(20)


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """`agree(actual, expected, tolerance, floor=0, what="")`: see `assert_trees_agree`."""
    return assert_trees_agree


@pytest.fixture(scope="session")
def check_gradient() -> Callable[..., None]:
    """`check_gradient(value, hand, point, context=None, floor=0)`: see `assert_gradient_right`."""
    return assert_gradient_right


@pytest.fixture(scope="session")
def random_params() -> Callable[[Callable[[Array], Any], int], Any]:
    """`random_params(init, seed)`: see `draw_params`."""
    return draw_params


@pytest.fixture(scope="session")
def jit() -> Callable[..., Any]:
    """`jit(function)`: see `jit_fast`."""
    return jit_fast


@pytest.fixture
def without_autodiff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every way to differentiate a function raise."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("automatic differentiation was called")

    for name in AUTODIFF:
        monkeypatch.setattr(jax, name, refuse)


def draw_params(init: Callable[[Array], Any], seed: int) -> Any:
    """Random numbers in the structure of a layer's or a model's parameters; variances in [0.5, 1).

    No leaf is left at zero or one, where a wrong gradient could hide. NumPy draws them, because
    `init` would have JAX compile a program for every shape.
    """
    random = np.random.default_rng(seed)

    def draw(leaf: Any) -> Any:
        if isinstance(leaf, Statistics):
            mean, variance = (random.uniform(low, 1.0, leaf.mean.shape) for low in (-1.0, 0.5))
            return Statistics(mean, variance)  # type: ignore[arg-type]
        return random.uniform(-1.0, 1.0, leaf.shape)

    shapes = jax.eval_shape(init, jax.random.key(0))
    return jax.tree.map(draw, shapes, is_leaf=lambda node: isinstance(node, Statistics))


def assert_trees_agree(
    actual: Any, expected: Any, tolerance: float, floor: float = 0.0, what: str = ""
) -> None:
    """Fail unless max |a - b| <= tolerance max(|a|, |b|, floor) in every leaf, and name the leaf.

    The maxima are over the leaf, so that a small leaf cannot hide behind a large one. `floor` is
    for leaves that are zero but for rounding. NaN and infinity agree with nothing, not even with
    themselves.
    """
    structures: Any = jax.tree.structure(actual), jax.tree.structure(expected)
    assert structures[0] == structures[1], f"{what}: structures differ: {structures}"
    for (path, a), b in zip(
        jax.tree.leaves_with_path(actual), jax.tree.leaves(expected), strict=True
    ):
        leaf = f"{what} leaf {jax.tree_util.keystr(path) or '(the tree itself)'}"
        shapes = np.shape(a), np.shape(b)
        assert shapes[0] == shapes[1], f"{leaf}: shapes differ: {shapes}"
        a, b = np.asarray(a).astype(np.float64), np.asarray(b).astype(np.float64)
        assert np.isfinite(a).all(), f"{leaf}: not finite: {a}"
        assert np.isfinite(b).all(), f"{leaf}: not finite (expected): {b}"
        scale = max(np.abs(a).max(initial=floor), np.abs(b).max(initial=floor))
        error = np.abs(a - b).max(initial=0.0)
        assert error <= tolerance * scale, (
            f"{leaf}: differs by {error / scale:.2e} of its scale, more than {tolerance:.0e}:\n"
            f"{a}\n{b}"
        )


def assert_gradient_right(
    value: Callable[[Any, Any], Array],
    hand: Callable[[Any, Any], Any],
    point: Any,
    context: Any = None,
    *,
    floor: float = 0.0,
) -> None:
    """Fail unless a hand-derived gradient is right in float64, float32 and bfloat16.

    - float64: equal to `jax.grad` to 1e-12 and to central differences to 1e-7.
    - float32: equal to `jax.grad` to 1e-5.
    - bfloat16: equal to the one in float64 to 5e-2.

    In each it has the structure, the shapes and the types of the point, and the value its type.
    Everything is computed in one program, because compiling is what takes the time.

    Args:
        value: `value(point, context)` -> scalar.
        hand: `hand(point, context)` -> its gradient with respect to `point`.
        point: Where to compare; a pytree of floating-point arrays, away from kinks.
        context: What else the functions need; it takes the point's type where it is floating.
        floor: As in `assert_trees_agree`.
    """
    # Every type can hold the point exactly, so that all look at the same place.
    point, context = _cast(_cast((point, context), jnp.bfloat16), jnp.float64)

    @jit_fast
    def witnesses(point: Any, context: Any) -> Any:
        doubles, singles, halves = (
            _cast((point, context), dtype) for dtype in (jnp.float64, jnp.float32, jnp.bfloat16)
        )
        values = value(*doubles), value(*singles), value(*halves)
        hands = hand(*doubles), hand(*singles), hand(*halves)
        autos = jax.grad(value)(*doubles), jax.grad(value)(*singles)
        flat, unflatten = ravel_pytree(point)
        numeric = central_differences(lambda v: value(unflatten(v), context), flat)
        return values, hands, autos, unflatten(numeric)

    values, hands, autos, numeric = jax.device_get(witnesses(point, context))
    for dtype, v, gradient in zip(
        (jnp.float64, jnp.float32, jnp.bfloat16), values, hands, strict=True
    ):
        assert v.dtype == dtype, f"the value is {v.dtype} for {dtype.__name__}"
        wrong = {leaf.dtype for leaf in jax.tree.leaves(gradient)} - {np.dtype(dtype)}
        assert not wrong, f"the gradient has {wrong} for {dtype.__name__}"
    assert_trees_agree(hands[0], autos[0], 1e-12, floor, "float64, hand and jax.grad:")
    assert_trees_agree(hands[0], numeric, 1e-7, floor, "float64, hand and differences:")
    assert_trees_agree(hands[1], autos[1], 1e-5, floor, "float32, hand and jax.grad:")
    assert_trees_agree(hands[2], hands[0], 5e-2, floor, "bfloat16 and float64:")


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree
    )
