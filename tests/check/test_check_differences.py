import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet.check import (
    Estimate,
    central_differences,
    directional_difference,
    estimates,
    finite_difference,
    kinks,
)
from jaxnet.check.differences import METHODS

POINT = np.array([-1.5, 0.0, 0.3, 2.0])

FUNCTIONS: list[tuple[Callable[[Array], Array], Callable[[np.ndarray], np.ndarray]]] = [
    (lambda v: jnp.sum(v**3 - 2 * v), lambda v: 3 * v**2 - 2),
    (lambda v: jnp.sum(v[:-1] * v[1:]), lambda v: np.append(v[1:], 0) + np.append(0, v[:-1])),
    (lambda v: jnp.sum(jnp.exp(v / 10)), lambda v: np.exp(v / 10) / 10),
    (lambda v: jnp.sum(jnp.sin(v)), np.cos),
]

TOLERANCE = {"central": 1e-9, "richardson": 1e-11, "complex_step": 1e-14}


def in_numpy(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same function of NumPy arrays only: it cannot be traced."""

    def call(tree: Any) -> Any:
        leaves = jax.tree.leaves(tree)
        assert all(isinstance(leaf, np.ndarray) for leaf in leaves), "not NumPy"
        return function(tree)

    return call


def same_structure(a: Any, b: Any) -> bool:
    structures: Any = jax.tree.structure(a), jax.tree.structure(b)
    return bool(structures[0] == structures[1])


def rosenbrock(v: Any) -> Any:
    """As one writes it first: a loop, and numbers taken one by one."""
    total = 0.0
    for i in range(len(v) - 1):
        total = total + 100 * (v[i + 1] - v[i] ** 2) ** 2 + (1 - v[i]) ** 2
    return total


def rosenbrock_gradient(v: np.ndarray) -> np.ndarray:
    gradient = np.zeros_like(v)
    for i in range(len(v) - 1):
        gradient[i] += -400 * v[i] * (v[i + 1] - v[i] ** 2) - 2 * (1 - v[i])
        gradient[i + 1] += 200 * (v[i + 1] - v[i] ** 2)
    return gradient


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrap", [lambda f: f, in_numpy], ids=["jax", "numpy"])
def test_the_methods_agree_with_the_derivative(method: str, wrap: Any) -> None:
    scale = np.abs(rosenbrock_gradient(POINT)).max()
    numeric = finite_difference(wrap(rosenbrock), POINT, method)
    assert type(numeric) is np.ndarray
    assert numeric.dtype == np.float64
    error = np.abs(numeric - rosenbrock_gradient(POINT)).max()
    assert error <= TOLERANCE[method] * scale


def test_the_complex_step_is_right_to_the_last_digits() -> None:
    def f(tree: Any) -> Any:
        z = jnp.tanh(tree["w"] @ jnp.array([0.3, -1.2, 0.7]) + tree["b"])
        return jnp.sum(jnp.exp(z) / (1 + z**2)) + jnp.log(jnp.sum(jnp.cosh(z)))

    random = np.random.default_rng(0)
    x = {"b": random.normal(size=4), "w": random.normal(size=(4, 3))}
    numeric = finite_difference(f, x, "complex_step")
    for name, exact in jax.grad(f)(x).items():
        np.testing.assert_allclose(numeric[name], exact, rtol=0, atol=1e-14)


def test_trees_keep_their_structure_and_other_leaves_have_no_gradient() -> None:
    x = {
        "list": [jnp.full((2, 1, 3), 2.0, jnp.float32), 3.0],
        "empty": np.zeros((0, 4)),
        "half": jnp.ones(2, jnp.bfloat16),
        "count": 3,
        "labels": np.array([0, 2, 1]),
        "key": jax.random.key(1),
        "nothing": None,
    }

    def f(tree: Any) -> Any:
        a, b = tree["list"]
        assert a.dtype == tree["half"].dtype == tree["empty"].dtype == np.float64
        for _ in range(tree["count"]):  # still a number of Python
            a = a * a
        noise = jax.random.normal(tree["key"], tree["labels"].shape, np.float64)
        return jnp.sum(a) + b**2 + jnp.sum(tree["half"]) + 0 * jnp.sum(noise) + tree["empty"].sum()

    gradient = finite_difference(f, x)
    assert same_structure(gradient, {**x, "count": None, "labels": None, "key": None})
    np.testing.assert_allclose(gradient["list"][0], np.full((2, 1, 3), 8 * 2.0**7), rtol=1e-10)
    assert gradient["list"][1].shape == ()
    np.testing.assert_allclose(gradient["list"][1], 6, rtol=1e-9)
    np.testing.assert_allclose(gradient["half"], np.ones(2), rtol=1e-8)
    assert gradient["empty"].shape == (0, 4)


@pytest.mark.parametrize("x", [2.0, np.float32(2), np.array(2.0), jnp.asarray(2.0)])
def test_scalars(x: Any) -> None:
    for f in (lambda v: v**3, lambda v: math.pow(v, 3)):  # only the first can be traced
        gradient = finite_difference(f, x)
        assert gradient.shape == ()
        assert gradient == pytest.approx(12, rel=1e-11)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("x", [np.zeros(0), {"a": np.zeros((3, 0)), "b": []}, [], {}])
def test_without_entries(x: Any, method: str) -> None:
    for f in (lambda tree: jnp.zeros(()), in_numpy(lambda tree: 0)):
        gradient = finite_difference(f, x, method)
        assert same_structure(gradient, x)
        assert all(leaf.size == 0 for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("method", METHODS)
def test_leaves_of_any_scale(method: str) -> None:
    random = np.random.default_rng(3)
    sizes = {"small": 1e-6, "one": 1.0, "large": 1e6}
    x = {name: size * random.normal(size=5) for name, size in sizes.items()}
    for leaf in x.values():
        leaf[2] = 0.0  # takes the leaf's scale

    def f(tree: Any) -> Any:
        return sum(jnp.sum(jnp.sin(tree[name] / size)) for name, size in sizes.items())

    gradient = finite_difference(f, x, method)
    for name, size in sizes.items():
        np.testing.assert_allclose(
            gradient[name] * size, np.cos(x[name] / size), rtol=0, atol=10 * TOLERANCE[method]
        )


def test_a_leaf_of_zeros_has_the_scale_of_one() -> None:
    numeric = finite_difference(in_numpy(lambda v: float(np.sum(np.exp(v)))), np.zeros(3))
    np.testing.assert_allclose(numeric, np.ones(3), rtol=1e-11)


def test_numpy_functions_get_arrays_of_their_own() -> None:
    x = {"a": np.array([1.0, 2.0]), "b": np.array(3.0)}
    kept = {name: leaf.copy() for name, leaf in x.items()}

    def f(tree: Any) -> float:
        tree["a"][0] **= 2
        tree["a"] *= tree["b"]
        tree["b"][...] = 0
        return float(tree.pop("a").sum())

    gradient = finite_difference(f, x)
    np.testing.assert_allclose(gradient["a"], [6, 3], rtol=1e-10)
    np.testing.assert_allclose(gradient["b"], 3, rtol=1e-10)
    for name, leaf in kept.items():
        np.testing.assert_array_equal(x[name], leaf)


@pytest.mark.parametrize(("method", "values"), [("central", 2), ("richardson", 6)])
def test_numpy_functions_are_called_no_more_than_needed(method: str, values: int) -> None:
    calls = []

    def f(v: np.ndarray) -> float:
        calls.append(float(v.sum()))  # not of a tracer
        return calls[-1]

    finite_difference(f, np.ones((2, 3)), method)
    assert len(calls) == 6 * values + 1
    calls.clear()
    directional_difference(f, np.ones((2, 3)), np.ones((2, 3)))
    assert len(calls) == 7


def test_entries_are_counted_through_the_leaves() -> None:
    x = [np.arange(3.0), 7, np.ones((2, 2))]
    chosen = finite_difference(
        lambda tree: jnp.sum(tree[0] ** 2) + 5 * tree[2][1, 0], x, entries=[5, 1, 5, 0]
    )
    np.testing.assert_allclose(chosen, [5, 2, 5, 0], atol=1e-10)
    assert finite_difference(lambda tree: jnp.sum(tree[0]), x, entries=[]).shape == (0,)


def test_more_entries_than_one_batch_holds() -> None:
    x = np.linspace(-1, 1, 333).reshape(3, 111)
    numeric = finite_difference(lambda v: jnp.sum(jnp.exp(v)), x, "central")
    np.testing.assert_allclose(numeric, np.exp(x), rtol=1e-7)


def test_what_f_ignores_has_a_derivative_of_exactly_zero() -> None:
    x = {"used": np.random.default_rng(0).normal(size=(9, 11)), "unused": np.ones(70)}

    def f(tree: Any) -> Any:
        return jnp.sum(jnp.tanh(tree["used"]) ** 2)

    for method in METHODS:
        assert not finite_difference(f, x, method)["unused"].any()
    flat = jnp.asarray(np.concatenate([x["used"].reshape(-1), x["unused"]]))
    assert not central_differences(lambda v: jnp.sum(jnp.tanh(v[:99]) ** 2), flat)[99:].any()


def test_x64_turned_off_makes_no_difference() -> None:
    with jax.enable_x64(False):
        for f in (lambda v: jnp.sum(v**2), in_numpy(lambda v: jnp.sum(jnp.asarray(v) ** 2))):
            numeric = finite_difference(f, jnp.array([0.1, 0.2]))
            exact = 2 * np.array([0.1, 0.2], np.float32).astype(np.float64)
            np.testing.assert_allclose(numeric, exact, rtol=1e-11)
        assert jnp.asarray(0.5).dtype == np.float32


def test_a_function_that_returns_float32_gets_a_longer_step() -> None:
    x = np.array([0.5, -2.0])
    for method, tolerance in (("central", 1e-3), ("richardson", 1e-4)):
        numeric = finite_difference(lambda v: jnp.sum(jnp.sin(v)).astype(jnp.float32), x, method)
        np.testing.assert_allclose(numeric, np.cos(x), rtol=0, atol=tolerance)


def test_a_larger_step_is_taken_when_it_is_given() -> None:
    numeric = finite_difference(lambda v: jnp.sum(v**3), np.array([2.0]), "central", step=0.1)
    np.testing.assert_allclose(numeric, 3 * 2.0**2 + 0.2**2, rtol=1e-12)
    numeric = finite_difference(lambda v: jnp.sum(v**5), np.array([2.0]), step=0.1)
    np.testing.assert_allclose(numeric, 5 * 2.0**4, rtol=1e-12)  # no remainder to order h^4


@pytest.mark.parametrize("method", ["central", "richardson"])
def test_where_f_is_not_finite_its_derivative_is_nan(method: str) -> None:
    numeric = finite_difference(lambda v: jnp.sum(jnp.log(v)), np.array([1.0, 1e-9]), method)
    np.testing.assert_allclose(numeric, [1.0, np.nan], rtol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "forward"}, ValueError, "method must be one of central, .*'forward'"),
        ({"x": np.arange(3)}, TypeError, "x must have a floating-point leaf, got int64"),
        ({"x": {"a": 1j}}, TypeError, "leaf a is complex128"),
        ({"x": [np.array([1.0, np.nan])]}, ValueError, "leaf 0 is not finite"),
        ({"f": lambda v: v}, ValueError, r"f must return a scalar, got shape \(4,\)"),
        ({"f": in_numpy(lambda v: v)}, ValueError, r"f must return a scalar, got shape \(4,\)"),
        ({"f": lambda v: (v[0], v[1])}, TypeError, "f must return a number, got tuple"),
        ({"f": in_numpy(lambda v: "one")}, TypeError, "f must return a number, got <U3"),
        ({"f": lambda v: v[0] + 1j}, ValueError, "f must return a real number, got complex128"),
        ({"step": 0.0}, ValueError, "step must be a number above 1.8e-15, .*got 0.0"),
        ({"step": 1e-20, "method": "central"}, ValueError, "step must be a number above"),
        ({"step": -1.0, "method": "complex_step"}, ValueError, "step must be a number above 0"),
        ({"entries": [0, 4]}, ValueError, "entries must be from 0 to 3, got 4"),
        ({"entries": [-1]}, ValueError, "entries must be from 0 to 3, got -1"),
        ({"entries": [0.5]}, ValueError, "entries must be a vector of integers, got float64"),
        ({"entries": 1}, ValueError, r"entries must be a vector of integers, .* shape \(\)"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^finite_difference: {message}"):
        finite_difference(**{"f": jnp.sum, "x": POINT, **arguments})


def test_what_goes_wrong_in_f_is_told_as_it_is() -> None:
    with pytest.raises(KeyError, match="'w'"):
        finite_difference(lambda tree: tree["w"], {"v": 1.0})


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda v: jnp.sum(jnp.abs(v)), "f returns float64 for complex numbers"),
        (in_numpy(lambda v: np.abs(v).max()), "f returns float64 for complex numbers"),
        (in_numpy(lambda v: np.linalg.norm(v)), "f returns float64 for complex numbers"),
        (lambda v: jnp.sum(jax.scipy.special.erf(v)), r"f does not take complex .*TypeError"),
        (in_numpy(lambda v: np.floor(v).sum()), r"f does not take complex .*TypeError"),
        (in_numpy(lambda v: np.sum(v, dtype=float)), "f drops the imaginary part"),
        (lambda v: jnp.sum(v) + jnp.sum(jnp.abs(v)), "f is not analytic"),
        (in_numpy(lambda v: np.vdot(v, v)), "f is not analytic"),
        (lambda v: jnp.sum(jax.nn.softplus(v)), "f is not analytic"),  # wrong in JAX 0.10
    ],
)
def test_functions_that_are_not_analytic_are_named(f: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^finite_difference: {message}.*'richardson'"):
        finite_difference(f, POINT + 0.1, "complex_step")


def test_branches_on_the_real_part_are_analytic() -> None:
    def f(v: np.ndarray) -> Any:
        return sum(x**2 if x.real > 0 else -3 * x for x in v) + np.max(v)

    numeric = finite_difference(f, POINT[[0, 2, 3]], "complex_step")
    np.testing.assert_allclose(numeric, [-3, 0.6, 5], rtol=1e-14)


def test_only_the_chosen_entries_need_be_analytic() -> None:
    numeric = finite_difference(
        lambda v: v[0] ** 2 + jnp.abs(v[1]), np.ones(2), "complex_step", entries=[0, 0]
    )
    np.testing.assert_allclose(numeric, [2, 2], rtol=1e-14)


SMOOTH: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "network": lambda x, a: jnp.sum(jnp.tanh(a @ x) ** 2),
    "logsumexp": lambda x, a: jax.nn.logsumexp(a @ x),
    "waves": lambda x, a: jnp.sum(jnp.sin(10 * (a @ x))),
    "even": lambda x, a: jnp.sum(jnp.cos(30 * x)),
    "quadratic": lambda x, a: x @ a.T @ a @ x,
    "linear": lambda x, a: jnp.sum(a @ x),
    "large": lambda x, a: jnp.sum(jnp.exp(x)) + 1e4,
    "rational": lambda x, a: jnp.sum(1 / (1 + (a @ x) ** 2)),
    "product": lambda x, a: jnp.prod(1 + x),
    "huber": lambda x, a: jnp.sum(jnp.where(jnp.abs(x) < 1, x**2 / 2, jnp.abs(x) - 0.5)),
    "rounded": lambda x, a: jnp.sum(jnp.tanh(x.astype(jnp.float32))).astype(float),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_error_is_nearly_always_below_what_is_told(name: str) -> None:
    random = np.random.default_rng(5)
    a, x = random.normal(size=(4, 30)) / 5, random.normal(size=30)

    def f(v: Any) -> Any:
        return SMOOTH[name](v, a)

    found = estimates(f, x)
    exact = jax.jit(jax.grad(f))(x)
    ratios = np.abs(found.value - exact) / found.error
    assert np.mean(ratios <= 1) >= 0.95
    assert ratios.max() <= 3
    rounded = name == "rounded"  # to float32, which the type of the result does not tell
    assert found.error.max() <= (3e-2 if rounded else 1e-7) * max(1.0, np.abs(exact).max())
    assert found.kink.sum() <= (3 if rounded else 0)


def test_trees_and_entries() -> None:
    x = {"a": np.array([[1.0, 0.0]]), "n": 2}
    found = estimates(lambda tree: jnp.sum(jnp.abs(tree["a"])), x)
    assert isinstance(found, Estimate)
    assert all(part["n"] is None and part["a"].shape == (1, 2) for part in found)
    np.testing.assert_array_equal(found.kink["a"], [[False, True]])
    chosen = estimates(lambda tree: jnp.sum(jnp.abs(tree["a"])), x, entries=[1])
    assert all(part.shape == (1,) for part in chosen)
    assert chosen.kink.all()


@pytest.mark.parametrize("distance", [0.0, 0.01, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8])
def test_near_a_kink_the_error_reaches_to_the_slope(distance: float) -> None:
    step = 1e-3
    found = estimates(lambda v: jax.nn.relu(v[0] - 1 - distance * step), np.ones(1), step=step)
    assert abs(found.value[0] - 0.0) <= found.error[0]
    assert found.error[0] <= 1.5
    assert found.kink[0] == (distance <= 0.01)


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda v: jnp.sum(jnp.abs(v)), [0.0, 1.0, -2.0, 1e-5], [True, False, False, True]),
        (lambda v: jnp.sum(jnp.abs(v)), [0.0, 0.0, 0.0], [True, True, True]),
        (lambda v: jnp.sum(jax.nn.relu(v)), [0.0, 0.5], [True, False]),
        (lambda v: jnp.sum(jax.nn.relu(v) + 50 * v**2), [0.0, 0.5], [True, False]),
        (jnp.max, [3.0, 1.0, 3.0], [True, False, True]),
        (jnp.max, [3.0, 1.0, 2.0], [False, False, False]),
        (lambda v: jnp.sum(jnp.where(v < 1, v**2 / 2, v - 0.5)), [1.0, 0.2], [False, False]),
        (lambda v: jnp.sum(jnp.abs(v) ** 1.5), [0.0, 1.0], [False, False]),
        (lambda v: jnp.sum(v**2), [0.0, 0.0], [False, False]),
        (lambda v: jnp.sum(jnp.cos(30 * v)), [0.0, 1.0], [False, False]),
        (lambda v: jnp.sum(v) + 1e3, [0.0, 0.1], [False, False]),
    ],
    ids=[
        "abs",
        "all",
        "relu",
        "bent",
        "tie",
        "max",
        "huber",
        "power",
        "square",
        "even",
        "line",
    ],
)
def test_of_functions_that_are_known(f: Any, x: list[float], expected: Any) -> None:
    for function in (f, in_numpy(f)):
        np.testing.assert_array_equal(kinks(function, np.array(x)), expected)


def test_leaves_of_small_scale_have_kinks_too() -> None:
    x = {"a": np.array([0.0, 1e-6]), "b": np.array([0.0, 1e6])}
    found = kinks(lambda t: 1e6 * jnp.sum(jnp.abs(t["a"])) + 1e-6 * jnp.sum(jnp.abs(t["b"])), x)
    np.testing.assert_array_equal(found["a"], [True, False])
    np.testing.assert_array_equal(found["b"], [True, False])


def test_the_error_at_a_kink_reaches_to_both_slopes() -> None:
    found = estimates(lambda v: jnp.sum(jax.nn.relu(v)), np.zeros(2))
    np.testing.assert_allclose(found.value, [0.5, 0.5])
    np.testing.assert_allclose(found.error, [0.5, 0.5])


def test_it_is_the_product_of_gradient_and_direction() -> None:
    random = np.random.default_rng(7)
    x = {"a": random.normal(size=(2, 3)), "b": 1e-6 * random.normal(size=4), "n": np.arange(2)}
    d = {"a": random.normal(size=(2, 3)), "b": 1e-7 * random.normal(size=4), "n": None}

    def f(tree: Any) -> Any:
        return np.prod(1 + np.sin(tree["a"])) + np.sum(np.exp(1e6 * tree["b"]))

    exact = np.prod(1 + np.sin(x["a"])) * np.sum(np.cos(x["a"]) / (1 + np.sin(x["a"])) * d["a"])
    exact += np.sum(1e6 * np.exp(1e6 * x["b"]) * d["b"])
    for function in (f, lambda tree: _in_jax(tree)):
        found = directional_difference(function, x, d)
        assert all(np.shape(part) == () for part in found)
        assert abs(found.value - exact) <= found.error <= 1e-9
        assert not found.kink


def test_the_direction_may_be_zero_or_of_any_length() -> None:
    for f in (lambda v: jnp.sum(v**3), in_numpy(lambda v: np.sum(v**3))):
        for length in (0.0, 1e-9, 1.0, 1e9):
            found = directional_difference(f, POINT, length * np.array([1, 0, -2, 1]))
            exact = length * (3 * POINT**2) @ [1, 0, -2, 1]
            np.testing.assert_allclose(found.value, exact, rtol=1e-10)


def test_a_kink_that_no_entry_has_alone() -> None:
    def f(v: Any) -> Any:
        return jnp.abs(v[0] - v[1]) * jnp.array(2.0)

    assert directional_difference(f, np.ones(2), np.array([1.0, -1.0])).kink
    along = directional_difference(f, np.ones(2), np.ones(2))
    assert (along.value, along.kink) == (0.0, False)


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        ({"b": np.ones(2)}, "direction must have the structure of x"),
        ({"a": np.ones(3)}, r"for leaf a it is \(3,\) in place of \(2,\)"),
        ({"a": None}, "direction has None for leaf a"),
    ],
)
def test_a_direction_that_does_not_fit_is_refused(direction: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^directional_difference: .*{message}"):
        directional_difference(lambda tree: jnp.sum(tree["a"]), {"a": np.ones(2)}, direction)


def _in_jax(tree: Any) -> Any:
    return jnp.prod(1 + jnp.sin(tree["a"])) + jnp.sum(jnp.exp(1e6 * tree["b"]))


@pytest.mark.parametrize(("f", "derivative"), FUNCTIONS, ids=["cubic", "products", "exp", "sin"])
def test_derivatives_that_are_known(
    f: Callable[[Array], Array], derivative: Callable[[np.ndarray], np.ndarray]
) -> None:
    numeric = central_differences(f, jnp.asarray(POINT))
    np.testing.assert_allclose(numeric, derivative(POINT), rtol=1e-9, atol=1e-9)


def test_the_step_grows_with_the_entry() -> None:
    # With a step of 1e-3 rounding would leave 1e-3 relative error.
    numeric = central_differences(lambda v: jnp.sum(v**2), jnp.asarray([1e6, -1e6]))
    np.testing.assert_allclose(numeric, [2e6, -2e6], rtol=1e-9)


def test_polynomials_to_the_fourth_degree_have_no_remainder() -> None:
    point = jnp.asarray([0.5, 3.0])
    numeric = central_differences(lambda v: jnp.sum(v**4), point, step=0.1)
    np.testing.assert_allclose(numeric, 4 * point**3, rtol=1e-12)


def test_entries_are_chosen_by_number() -> None:
    f, derivative = FUNCTIONS[0]
    numeric = central_differences(f, jnp.asarray(POINT), np.array([3, 0]))
    np.testing.assert_allclose(numeric, derivative(POINT)[[3, 0]], rtol=1e-9)


def test_inside_a_compiled_program() -> None:
    f, derivative = FUNCTIONS[2]
    numeric = jax.jit(lambda v: central_differences(f, v))(jnp.asarray(POINT))
    np.testing.assert_allclose(numeric, derivative(POINT), rtol=1e-9)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32])
def test_fewer_digits_than_float64_are_refused(dtype: type) -> None:
    with pytest.raises(TypeError, match=r"^central_differences: x must be float64, got"):
        central_differences(jnp.sum, jnp.ones(2, dtype))
