"""Every layer's hand-derived backward pass against `jax.grad` and differences of its forward."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax import Array

import jaxnet
from jaxnet.layers import (
    ACTIVATIONS,
    Layer,
    batch_norm,
    chain,
    dense,
    dropconnect,
    dropout,
    layer_norm,
    powers,
    residual,
)


class Case(NamedTuple):
    layer: Layer
    shape: tuple[int, ...]  # of x
    seed: int = 0  # other than 0 where those numbers come too near a kink


POWERS_AND_NORMS = chain(
    powers(2),
    dense(4, 3, "silu", bias=False),
    batch_norm(3, eps=0.1),
    residual(chain(dense(3, 3, "gelu"), layer_norm(3, eps=0.1), dropout(0.25))),
)

NESTED = residual(
    chain(
        dropconnect(chain(dense(3, 4, "tanh"), batch_norm(4, eps=0.1), dense(4, 3)), 0.3),
        residual(residual(dense(3, 3, "softmax"))),
    )
)

EVALUATED = {
    **{f"dense {name}": Case(dense(3, 4, name), (5, 3), seed=1) for name in ACTIVATIONS},
    # A layer without biases is the same with all activations.
    **{
        f"dense {name} no bias": Case(dense(4, 3, name, bias=False), (2, 4))
        for name in ("gelu", "softmax")
    },
    "batch_norm": Case(batch_norm(3), (5, 3)),
    "layer_norm": Case(layer_norm(5), (4, 5)),
    "powers": Case(powers(4), (3, 2)),
    "chain": Case(chain(dense(3, 4, "tanh"), dense(4, 2)), (5, 3)),
    "chain of none": Case(chain(), (2, 3)),
    "residual": Case(residual(dense(3, 3, "sigmoid")), (4, 3)),
    # Shapes at the edge of what is allowed.
    "dense one row": Case(dense(3, 2, "tanh"), (1, 3)),
    "dense one by one": Case(dense(1, 1, "tanh"), (1, 1)),
    "dense without rows": Case(dense(3, 2, "softmax"), (3,)),
    "dense more axes": Case(dense(3, 2, "tanh"), (2, 1, 4, 3)),
    "layer_norm one row": Case(layer_norm(4), (1, 4)),
    "layer_norm without rows": Case(layer_norm(4), (4,)),
    "layer_norm more axes": Case(layer_norm(3), (2, 4, 3)),
    "batch_norm one row": Case(batch_norm(3), (1, 3)),
    "batch_norm more axes": Case(batch_norm(2), (2, 3, 2)),
    "powers of one": Case(powers(1), (1, 1)),
}

TRAINED = {
    "dropout": Case(dropout(0.4), (4, 5)),
    "dropout nothing": Case(dropout(0.0), (2, 3)),
    "dropconnect": Case(dropconnect(dense(4, 3, "tanh"), 0.4), (5, 4)),
    "dropconnect no bias": Case(dropconnect(dense(4, 3, bias=False), 0.4), (5, 4)),
    "dropconnect one row": Case(dropconnect(dense(4, 3), 0.4), (4,)),
    "batch_norm": Case(batch_norm(3), (5, 3)),
    "batch_norm more axes": Case(batch_norm(2, eps=0.1), (2, 3, 2)),
    "batch_norm one feature": Case(batch_norm(1), (6, 1)),
    "residual": Case(residual(chain(dense(3, 3, "gelu_tanh"), dropout(0.5))), (4, 3)),
    "powers and norms": Case(POWERS_AND_NORMS, (6, 2)),
    "nested": Case(NESTED, (6, 3)),
}

ALL = [pytest.param(case, False, id=name) for name, case in EVALUATED.items()]
ALL += [pytest.param(case, False, id=f"{name}, evaluated") for name, case in TRAINED.items()]
ALL += [pytest.param(case, True, id=f"{name}, trained") for name, case in TRAINED.items()]


def layer_at(
    case: Case, training: bool, random_params: Callable[..., Any]
) -> tuple[tuple[Any, Any], tuple[Any, Array | None]]:
    """A point (params, x) and its context, the cotangent dy and the layer's key."""
    random = np.random.default_rng(case.seed)
    params, x = random_params(case.layer.init, case.seed), random.normal(size=case.shape)
    # This generator is the quickest to compile.
    key = jax.random.key(case.seed, impl="unsafe_rbg") if training else None
    y = jax.eval_shape(lambda p, x: case.layer.forward(p, x, key)[0], params, x)
    return (params, x), (random.normal(size=y.shape), key)


def functions(layer: Layer) -> tuple[Callable[..., Array], Callable[..., Any]]:
    """The scalar sum(y * dy), whose gradient backward(dy) is, and that gradient."""

    def value(point: tuple[Any, Array], context: tuple[Array, Array | None]) -> Array:
        (params, x), (dy, key) = point, context
        return jnp.sum(layer.forward(params, x, key)[0] * dy)

    def hand(point: tuple[Any, Array], context: tuple[Array, Array | None]) -> Any:
        (params, x), (dy, key) = point, context
        return layer.backward(params, layer.forward(params, x, key)[1], dy)

    return value, hand


@pytest.mark.parametrize(("case", "training"), ALL)
def test_the_gradient_is_right(
    case: Case,
    training: bool,
    check_gradient: Callable[..., None],
    random_params: Callable[..., Any],
) -> None:
    point, context = layer_at(case, training, random_params)
    check_gradient(*functions(case.layer), point, context)


@pytest.mark.parametrize(
    ("case", "training"),
    [
        pytest.param(Case(layer_norm(1), (3, 1)), False, id="layer_norm of one feature"),
        pytest.param(Case(batch_norm(2), (1, 2)), True, id="batch_norm of one row"),
        pytest.param(Case(dense(3, 1, "softmax"), (2, 3)), False, id="softmax of one unit"),
    ],
)
def test_the_gradient_is_right_where_the_output_is_constant(
    case: Case,
    training: bool,
    check_gradient: Callable[..., None],
    random_params: Callable[..., Any],
) -> None:
    point, context = layer_at(case, training, random_params)
    check_gradient(*functions(case.layer), point, context, floor=1.0)  # dx is 0 but for rounding


Spec = tuple[Any, ...]
"""A layer in words, which a failing example can print: what it is and its arguments."""

RATES = st.sampled_from([0.0, 0.3, 0.7])
NAMES = st.sampled_from(sorted(ACTIVATIONS))
DENSE = st.tuples(st.just("dense"), NAMES, st.integers(1, 4), st.booleans())
PLAIN = st.one_of(
    DENSE,
    st.tuples(st.just("dropout"), RATES),
    st.tuples(st.sampled_from(["batch_norm", "layer_norm", "powers"])),
)
STACKS = st.recursive(
    st.lists(PLAIN, max_size=3).map(lambda specs: ("chain", *specs)),
    lambda inner: st.one_of(
        st.tuples(st.just("residual"), inner),
        st.tuples(st.just("dropconnect"), inner, RATES),
        st.lists(st.one_of(PLAIN, inner), min_size=1, max_size=3).map(
            lambda specs: ("chain", *specs)
        ),
    ),
    max_leaves=4,
)


def build(spec: Spec, width: int) -> tuple[Layer, int]:
    """The layer that the spec describes for inputs of a width, and the width of its output."""
    # 1e-2 keeps the normalisations from raising rounding errors to the size of a gradient.
    match spec:
        case ("dense", name, n_out, bias):
            return dense(width, n_out, name, bias=bias), n_out
        case ("dropout", rate):
            return dropout(rate), width
        case ("batch_norm",):
            return batch_norm(width, eps=1e-2), width
        case ("layer_norm",):
            return layer_norm(width, eps=1e-2), width
        case ("powers",):
            return powers(2), 2 * width
        case ("residual", inner):
            layer, n_out = build(inner, width)
            return residual(chain(layer, dense(n_out, width))), width
        case ("dropconnect", inner, rate):
            layer, n_out = build(inner, width)
            return dropconnect(layer, rate), n_out
        case ("chain", *specs):
            layers = []
            for inner in specs:
                layer, width = build(inner, width)
                layers.append(layer)
            return chain(*layers), width
    raise AssertionError(spec)


@hypothesis.settings(deadline=None, max_examples=20, derandomize=True)
@hypothesis.given(
    spec=STACKS,
    width=st.integers(1, 4),
    rows=st.integers(1, 5),
    seed=st.integers(0, 99),
    training=st.booleans(),
)
def test_the_gradient_of_a_random_stack_is_right(
    agree: Callable[..., None],
    random_params: Callable[..., Any],
    jit: Callable[..., Any],
    spec: Spec,
    width: int,
    rows: int,
    seed: int,
    training: bool,
) -> None:
    layer = build(spec, width)[0]
    point, context = layer_at(Case(layer, (rows, width), seed), training, random_params)
    value, hand = functions(layer)
    gradients = jit(lambda p, c: (hand(p, c), jax.grad(value)(p, c)))
    actual, expected = jax.device_get(gradients(point, context))
    # Where a stack cancels a gradient (a bias before a batch_norm), only rounding is left of it:
    # it is held against the size of the others.
    largest = max(np.abs(leaf).max(initial=0.0) for leaf in jax.tree.leaves(expected))
    agree(actual, expected, 1e-12, floor=0.1 * largest)


@pytest.mark.usefixtures("without_autodiff")
@pytest.mark.parametrize(("case", "training"), ALL)
def test_the_gradient_needs_no_automatic_differentiation(
    case: Case, training: bool, random_params: Callable[..., Any]
) -> None:
    point, context = layer_at(case, training, random_params)
    _, hand = functions(case.layer)
    gradient = jax.eval_shape(hand, point, context)  # runs all of the Python and compiles nothing
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, point)


@pytest.mark.usefixtures("without_autodiff")
@pytest.mark.parametrize("name", ["grad", "value_and_grad", "vjp", "jvp", "jacrev", "jacfwd"])
def test_automatic_differentiation_would_be_noticed(name: str) -> None:
    cheating = Layer(
        lambda key: {},
        lambda params, x, key=None: (x, x),
        lambda params, x, dy: ({}, getattr(jax, name)(jnp.sum)(x)),
    )
    with pytest.raises(AssertionError, match="automatic differentiation was called"):
        cheating.backward({}, jnp.ones(2), jnp.ones(2))


def test_no_source_names_automatic_differentiation() -> None:
    folder = Path(jaxnet.__file__).parent
    sources = [*sorted((folder / "layers").glob("*.py")), folder / "losses.py"]
    assert len(sources) > 10  # the glob found them
    names = r"\b(grad|value_and_grad|vjp|jvp|linearize|linear_transpose|jacrev|jacfwd|jacobian"
    pattern = re.compile(names + r"|hessian|custom_jvp|custom_vjp|custom_gradient)\b")
    found = {
        (source.name, line.strip())
        for source in sources
        for line in source.read_text().splitlines()
        if pattern.search(line.split("#")[0])
    }
    # with_custom_vjp passes a hand-derived gradient on to JAX; its own lines are the exception.
    assert {name for name, _ in found} == {"combine.py"}
    code = {line for _, line in found if "`" not in line}
    assert code == {"@jax.custom_vjp"}, code
