import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.check import HessianAgreement, hessian, hessian_product

POINT = np.array([-1.2, 0.4, 1.0, 0.0, 0.7])
V = np.array([0.5, -1.0, 0.0, 2.0, 0.3])


def rosenbrock(v: Any) -> Any:
    return (100 * (v[1:] - v[:-1] ** 2) ** 2 + (1 - v[:-1]) ** 2).sum()


def rosenbrock_loop(v: np.ndarray) -> float:
    """The same, which JAX cannot trace."""
    pairs = itertools.pairwise(v)
    return float(sum(100 * float(b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairs))


def rosenbrock_gradient(v: np.ndarray) -> np.ndarray:
    gradient = np.zeros_like(v)
    gradient[:-1] = -400 * v[:-1] * (v[1:] - v[:-1] ** 2) - 2 * (1 - v[:-1])
    gradient[1:] += 200 * (v[1:] - v[:-1] ** 2)
    return gradient


def rosenbrock_hessian(v: np.ndarray) -> np.ndarray:
    diagonal = np.zeros_like(v)
    diagonal[:-1] = -400 * (v[1:] - 3 * v[:-1] ** 2) + 2
    diagonal[1:] += 200
    beside = -400 * v[:-1]
    h: np.ndarray = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    return h


WITNESSES: dict[str, tuple[Any, Any, float]] = {  # f, its gradient, how precise they are
    "autodiff": (rosenbrock, None, 1e-14),
    "of gradients": (rosenbrock_loop, rosenbrock_gradient, 1e-10),
    "of values": (rosenbrock_loop, None, 1e-8),
}

witnesses = pytest.mark.parametrize(
    ("f", "grad", "precision"), WITNESSES.values(), ids=list(WITNESSES)
)


@witnesses
def test_a_right_hessian_agrees(f: Any, grad: Any, precision: float) -> None:
    found = hessian(f, rosenbrock_hessian, POINT, grad)
    assert isinstance(found, HessianAgreement)
    assert found.error <= 1e-14
    assert found.uncertainty <= precision
    assert (found.uncertainty == 0) == (f is rosenbrock)
    assert found.symmetric
    assert found.hand == pytest.approx(found.reference, rel=precision, abs=1000 * precision)


@witnesses
@pytest.mark.parametrize(("i", "j"), [(0, 0), (1, 2), (4, 1)])
@pytest.mark.parametrize("fault", [1e-3, -30.0])
def test_a_wrong_entry_is_named(
    f: Any, grad: Any, precision: float, i: int, j: int, fault: float
) -> None:
    def hand(v: np.ndarray) -> np.ndarray:
        h = rosenbrock_hessian(v)
        h[i, j] += fault
        return h

    found = hessian(f, hand, POINT, grad)
    size = np.abs(rosenbrock_hessian(POINT)).max()
    assert found.error == pytest.approx(abs(fault) / size, rel=0.05)
    assert found.error > 20 * found.uncertainty
    assert found.worst == f"[{i}, {j}]"
    assert found.symmetric == (i == j)
    assert found.hand - found.reference == pytest.approx(fault, rel=0.05)


def test_a_hessian_may_be_wrong_and_symmetric() -> None:
    found = hessian(rosenbrock, lambda v: 2 * rosenbrock_hessian(v), POINT)
    assert found.symmetric
    assert found.error == pytest.approx(0.5)


@witnesses
def test_a_right_product_agrees(f: Any, grad: Any, precision: float) -> None:
    found = hessian_product(f, lambda x, v: rosenbrock_hessian(x) @ v, POINT, V, grad)
    assert found.error <= 1e-14
    assert found.uncertainty <= precision
    assert found.symmetric


@witnesses
def test_a_wrong_product_is_named(f: Any, grad: Any, precision: float) -> None:
    def hand(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        product: np.ndarray = rosenbrock_hessian(x) @ v
        product[2] += 0.1 * v[1]
        return product

    found = hessian_product(f, hand, POINT, V, grad)
    assert found.worst == "[2]"
    assert not found.symmetric
    assert found.hand - found.reference == pytest.approx(-0.1, rel=1e-3)
    assert found.error > 20 * found.uncertainty


def tree_loss(x: Any) -> Any:
    hidden = jnp.tanh(x["w"] @ jnp.array([1.0, -0.5]) + x["b"])
    return jnp.sum(hidden**2) * jnp.exp(x["scale"][0]) + jnp.sum(x["small"] ** 2) * 1e12


TREE = {
    "w": np.array([[0.3, -0.2], [1.1, 0.4], [0.0, -0.9]]),
    "b": np.array([0.1, 0.0, -0.3]),
    "scale": [0.7],
    "small": np.array([1e-6, 2e-6]),
    "count": np.array([1, 2]),
    "empty": np.zeros((0, 2)),
}


def tree_product(x: Any, v: Any) -> Any:
    """d/dt of the gradient of `tree_loss`, by hand."""
    inputs = np.array([1.0, -0.5])
    h, dz = np.tanh(x["w"] @ inputs + x["b"]), v["w"] @ inputs + v["b"]
    s, ds = np.exp(x["scale"][0]), v["scale"][0]
    slope = 2 * h * (1 - h**2)
    dslope = (2 - 6 * h**2) * (1 - h**2) * dz
    b = s * (dslope + slope * ds)
    return {
        "b": b,
        "w": np.outer(b, inputs),
        "scale": [s * (slope @ dz + np.sum(h**2) * ds)],
        "small": 2e12 * v["small"],
        "count": None,
        "empty": v["empty"],
    }


def direction(seed: int = 1) -> Any:
    random = np.random.default_rng(seed)
    v = jax.tree.map(lambda leaf: random.normal(size=np.shape(leaf)), TREE)
    v["small"] *= 1e-6
    return v


def test_products_of_trees_are_compared_leaf_by_leaf() -> None:
    def loss(x: Any) -> float:
        return float(np.asarray(tree_loss(jax.tree.map(np.asarray, x))))

    for f in (tree_loss, loss):
        right = hessian_product(f, tree_product, TREE, direction())
        assert right.error <= 1e-13
        assert right.uncertainty <= 1e-7
        assert right.symmetric

    def wrong(x: Any, v: Any) -> Any:
        product = tree_product(x, v)
        product["w"] = product["w"].copy()
        product["w"][2, 1] *= 1.01  # a millionth of the leaf `small`
        return product

    for f in (tree_loss, loss):
        found = hessian_product(f, wrong, TREE, direction())
        assert found.worst == "w[2, 1]"
        assert found.hand / found.reference == pytest.approx(1.01, rel=1e-4)
        assert found.error > 1e-5
        assert not found.symmetric


@pytest.mark.parametrize("x", [2.0, np.array(2.0), np.float32(2.0)])
def test_scalars(x: Any) -> None:
    for f in (lambda v: v**3, lambda v: float(v) ** 3):
        right = hessian(f, lambda v: 6 * v, x)
        assert right.error <= 1e-14
        assert right[2:4] == (True, "")
        assert hessian(f, lambda v: 3 * v, x).error == pytest.approx(0.5)
        assert hessian_product(f, lambda v, d: 6 * v * d, x, -1.0).error <= 1e-14


def test_arrays_of_any_shape_may_return_their_shape_twice() -> None:
    x = np.arange(6.0).reshape(2, 1, 3)

    def square(v: Array) -> Array:
        return jnp.sum(v) ** 2

    for twos in (np.full((6, 6), 2.0), np.full(x.shape * 2, 2.0)):
        found = hessian(square, lambda v, twos=twos: twos, x)  # type: ignore[misc]
        assert found.error <= 1e-15
        assert found.worst == "[0, 0, 0, 0, 0, 0]"


def test_without_entries_there_is_nothing_to_compare() -> None:
    nothing = HessianAgreement(0.0, 0.0, True, "", 0.0, 0.0)
    for f in (jnp.sum, lambda v: float(v.sum())):
        assert hessian(f, lambda v: np.zeros((0, 0)), np.zeros(0)) == nothing
        assert hessian(f, lambda v: np.zeros((0, 0)), np.zeros(0), lambda v: v) == nothing
        assert hessian_product(f, lambda x, v: v, np.zeros(0), np.zeros(0)) == nothing


def test_linear_functions_have_no_second_derivatives() -> None:
    def zeros(v: np.ndarray) -> np.ndarray:
        return np.zeros((v.size, v.size))

    for f in (jnp.sum, lambda v: float(v.sum())):
        assert hessian(f, zeros, POINT).error == 0
        assert hessian_product(f, lambda x, v: 0 * v, POINT, V).error == 0
        assert hessian_product(f, lambda x, v: 0 * v, POINT, 0 * V).error == 0
        assert hessian(f, lambda v: zeros(v) + 1e-6, POINT).error > 0.9


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_points_of_any_scale(scale: float) -> None:
    def f(v: np.ndarray) -> float:
        return rosenbrock_loop(v / scale)

    found = hessian(f, lambda v: rosenbrock_hessian(v / scale) / scale**2, scale * POINT)
    assert found.error <= 1e-14
    assert found.uncertainty <= 1e-8
    wrong = hessian(f, lambda v: 1.001 * rosenbrock_hessian(v / scale) / scale**2, scale * POINT)
    assert wrong.error == pytest.approx(1e-3, rel=1e-2)


def test_what_jax_can_trace_but_not_differentiate_is_left_to_differences() -> None:
    def f(v: Array) -> Array:  # a loop whose length is not known has no reverse mode
        def body(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            return carry[0] + 1, carry[1] + jnp.sum(v**3)

        return jax.lax.while_loop(lambda c: c[0] < 2, body, (jnp.zeros(()), jnp.zeros(())))[1]

    found = hessian(f, lambda v: np.diag(12 * v), POINT)
    assert found.error <= 1e-14
    assert 0 < found.uncertainty <= 1e-8
    assert hessian(f, lambda v: np.diag(12.1 * v), POINT).error > 1e-3
    assert hessian_product(f, lambda x, v: 12 * x * v, POINT, V).error <= 1e-14


def test_x64_turned_off_makes_no_difference() -> None:
    with jax.enable_x64(False):
        x = jnp.asarray(POINT)
        assert x.dtype == np.float32
        found = hessian(rosenbrock, lambda v: rosenbrock_hessian(np.asarray(v)), x)
        assert found.error <= 1e-14
        assert jnp.asarray(0.5).dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_agrees_with_nothing(value: float) -> None:
    def hand(v: np.ndarray) -> np.ndarray:
        h = rosenbrock_hessian(v)
        h[3, 3] = value
        return h

    found = hessian(rosenbrock, hand, POINT)
    assert (found.error, found.worst) == (np.inf, "[3, 3]")
    both = hessian(lambda v: jnp.sum(v) * value, lambda v: np.full((5, 5), value), POINT)
    assert both.error == np.inf


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^hessian: x must be one array, got dict; hessian_prod"):
        hessian(rosenbrock, rosenbrock_hessian, {"a": POINT})
    with pytest.raises(TypeError, match=r"^hessian: x must have a floating-point leaf, got int"):
        hessian(rosenbrock, rosenbrock_hessian, np.arange(3))
    with pytest.raises(ValueError, match=r"^hessian: hand must return shape \(5, 5\) .* got \(5,"):
        hessian(rosenbrock, rosenbrock_gradient, POINT)
    with pytest.raises(ValueError, match=r"^hessian: grad must have the shapes of x.*\(5, 5\)"):
        hessian(rosenbrock_loop, rosenbrock_hessian, POINT, rosenbrock_hessian)
    with pytest.raises(ValueError, match=r"^hessian: f must return a scalar"):
        hessian(rosenbrock_gradient, rosenbrock_hessian, POINT)
    with pytest.raises(ValueError, match=r"^hessian_product: v must have the shapes of x"):
        hessian_product(rosenbrock, lambda x, v: v, POINT, V[:-1])
    with pytest.raises(ValueError, match=r"^hessian_product: hand must have the shapes of x"):
        hessian_product(rosenbrock, lambda x, v: v[:-1], POINT, V)
    with pytest.raises(ValueError, match=r"^hessian_product: hand must have the structure of x"):
        hessian_product(tree_loss, lambda x, v: v["w"], TREE, direction())
