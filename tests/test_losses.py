"""The losses and penalties: gradients, edges, known counterparts and refused shapes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics
from jax import Array

from jaxnet import losses
from jaxnet.layers import Statistics
from jaxnet.losses import LOSSES, Loss

RANDOM = np.random.default_rng(9)
N, K = 6, 4
CLASSES = RANDOM.integers(0, K, N)
ONE_HOT = np.eye(K)[CLASSES]
SOFT = RANDOM.dirichlet(np.ones(K), N)
NUMBERS = RANDOM.normal(size=(N, K))
BITS = RANDOM.integers(0, 2, N)
SIGNS = RANDOM.choice([-1.0, 1.0], (N, K))
Y = RANDOM.normal(scale=1.5, size=(N, K))
Y1 = Y[:, :1]


class Case(NamedTuple):
    name: str
    y: np.ndarray
    t: np.ndarray
    options: dict[str, Any] = {}  # noqa: RUF012


CASES = {
    **{
        f"softmax_cross_entropy {kind}, smoothing {smoothing}": Case(
            "softmax_cross_entropy", Y, t, {"label_smoothing": smoothing} if smoothing else {}
        )
        for kind, t in {"classes": CLASSES, "one-hot": ONE_HOT, "soft": SOFT}.items()
        for smoothing in (0, 0.1)
    },
    "softmax_cross_entropy rows that do not sum to 1": Case("softmax_cross_entropy", Y, NUMBERS),
    "softmax_cross_entropy small classes": Case("softmax_cross_entropy", Y, CLASSES.astype("u1")),
    "softmax_cross_entropy more classes than its type counts": Case(
        "softmax_cross_entropy", RANDOM.normal(size=(2, 300)), np.array([3, 255], np.uint8)
    ),
    "softmax_cross_entropy one column": Case("softmax_cross_entropy", Y1, 3 * Y1 - 0.5),
    **{
        f"sigmoid_cross_entropy {kind}, smoothing {smoothing}": Case(
            "sigmoid_cross_entropy", y, t, {"label_smoothing": smoothing} if smoothing else {}
        )
        for kind, y, t in (
            ("classes", Y, CLASSES),
            ("bits", Y1, BITS),
            ("numbers", Y, SOFT),
        )
        for smoothing in (0, 0.1)
    },
    "squared_error": Case("squared_error", Y, NUMBERS),
    "half_squared_error": Case("half_squared_error", Y, NUMBERS),
    "absolute_error": Case("absolute_error", Y, NUMBERS),
    "huber": Case("huber", Y, NUMBERS),
    "huber small delta": Case("huber", Y, NUMBERS, {"delta": 0.3}),
    "huber large delta": Case("huber", Y, NUMBERS, {"delta": 2.5}),
    "hinge classes": Case("hinge", Y, CLASSES),
    "hinge bits": Case("hinge", Y1, BITS),
    "hinge signs": Case("hinge", Y, SIGNS),
    "hinge integer signs": Case("hinge", Y, SIGNS.astype(int)),
    "squared_error one row": Case("squared_error", Y[:1], NUMBERS[:1]),
    "softmax_cross_entropy one row": Case("softmax_cross_entropy", Y[:1], CLASSES[:1]),
    "hinge one by one": Case("hinge", 0.1 * Y1[:1], SIGNS[:1, :1]),
}
PARAMS = [pytest.param(case, id=name) for name, case in CASES.items()]


def test_every_loss_is_in_the_table() -> None:
    assert {case.name for case in CASES.values()} == set(LOSSES)


@pytest.mark.parametrize("case", PARAMS)
def test_the_gradient_is_right(case: Case, check_gradient: Callable[..., None]) -> None:
    loss = losses.loss(case.name, **case.options)
    check_gradient(loss.value, loss.gradient, case.y, case.t)


@pytest.mark.usefixtures("without_autodiff")
@pytest.mark.parametrize("case", PARAMS)
def test_the_gradient_needs_no_automatic_differentiation(case: Case) -> None:
    loss = losses.loss(case.name, **case.options)
    gradient = jax.eval_shape(loss.gradient, case.y, case.t)
    assert (gradient.shape, gradient.dtype) == (case.y.shape, case.y.dtype)


# --- Against the same losses elsewhere ------------------------------------------------------------

SMOOTHED = optax.smooth_labels(jnp.asarray(ONE_HOT), 0.1)
COUNTERPARTS: list[tuple[Case, Any]] = [
    (
        Case("softmax_cross_entropy", Y, CLASSES),
        optax.softmax_cross_entropy_with_integer_labels(Y, CLASSES),
    ),
    (Case("softmax_cross_entropy", Y, SOFT), optax.softmax_cross_entropy(Y, SOFT)),
    (
        Case("softmax_cross_entropy", Y, CLASSES, {"label_smoothing": 0.1}),
        optax.softmax_cross_entropy(Y, SMOOTHED),
    ),
    (
        Case("softmax_cross_entropy", Y, ONE_HOT, {"label_smoothing": 0.1}),
        optax.softmax_cross_entropy(Y, SMOOTHED),
    ),
    (Case("sigmoid_cross_entropy", Y, SOFT), optax.sigmoid_binary_cross_entropy(Y, SOFT)),
    (Case("sigmoid_cross_entropy", Y, CLASSES), optax.sigmoid_binary_cross_entropy(Y, ONE_HOT)),
    (
        Case("sigmoid_cross_entropy", Y1, BITS),
        optax.sigmoid_binary_cross_entropy(Y1, BITS[:, None]),
    ),
    (
        Case("sigmoid_cross_entropy", Y, ONE_HOT, {"label_smoothing": 0.1}),
        optax.sigmoid_binary_cross_entropy(Y, 0.9 * ONE_HOT + 0.05),
    ),
    (Case("squared_error", Y, NUMBERS), optax.squared_error(Y, NUMBERS)),
    (Case("half_squared_error", Y, NUMBERS), optax.l2_loss(Y, NUMBERS)),
    (Case("absolute_error", Y, NUMBERS), np.abs(Y - NUMBERS)),
    (Case("huber", Y, NUMBERS), optax.huber_loss(Y, NUMBERS)),
    (Case("huber", Y, NUMBERS, {"delta": 0.3}), optax.huber_loss(Y, NUMBERS, delta=0.3)),
    (Case("hinge", Y, SIGNS), optax.hinge_loss(Y, SIGNS)),
    (Case("hinge", Y, CLASSES), optax.hinge_loss(Y, 2 * ONE_HOT - 1)),
    (Case("hinge", Y1, BITS), optax.hinge_loss(Y1, 2 * BITS[:, None] - 1)),
]


@pytest.mark.parametrize(("case", "costs"), COUNTERPARTS, ids=lambda v: getattr(v, "name", ""))
def test_the_value_is_that_of_optax(case: Case, costs: Any) -> None:
    value = losses.loss(case.name, **case.options).value(case.y, case.t)  # type: ignore[arg-type]
    assert value.shape == ()
    np.testing.assert_allclose(value, np.sum(costs) / N, rtol=1e-12)


def test_the_cross_entropies_are_those_of_scikit_learn() -> None:
    softmax = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
    sigmoid = 1 / (1 + np.exp(-Y1[:, 0]))
    y, y1, classes, bits = (jnp.asarray(array) for array in (Y, Y1, CLASSES, BITS))
    np.testing.assert_allclose(
        losses.softmax_cross_entropy(y, classes),
        sklearn.metrics.log_loss(CLASSES, softmax, labels=range(K)),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        losses.sigmoid_cross_entropy(y1, bits),
        sklearn.metrics.log_loss(BITS, sigmoid, labels=[0, 1]),
        rtol=1e-12,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("t", [CLASSES, SOFT], ids=["classes", "soft"])
def test_the_rows_of_the_softmax_gradient_sum_to_zero(t: np.ndarray, smoothing: float) -> None:
    gradient = losses.softmax_cross_entropy_gradient(jnp.asarray(Y), jnp.asarray(t), smoothing)
    assert np.abs(gradient).max() > 0.01
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-16)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_the_label_smoothing_may_be_an_array(
    name: str, smoothing: float, agree: Callable[..., None]
) -> None:
    def both(smoothing: Any) -> list[Array]:
        loss = losses.loss(name, label_smoothing=smoothing)
        return [f(jnp.asarray(Y), jnp.asarray(CLASSES)) for f in (loss.value, loss.gradient)]

    agree(both(jnp.asarray(smoothing)), both(smoothing), 1e-14)


# --- Where exp overflows, and at kinks ------------------------------------------------------------

# The loss's one row y, its targets, its value and its gradient there.
BIG = 1e4
EDGES: list[tuple[Case, float, list[float]]] = [
    (Case("softmax_cross_entropy", np.array([[BIG, 0, -BIG]]), np.array([0])), 0, [0, 0, 0]),
    (Case("softmax_cross_entropy", np.array([[BIG, 0, -BIG]]), np.array([2])), 2 * BIG, [1, 0, -1]),
    (
        Case("softmax_cross_entropy", np.array([[BIG, 0, -BIG]]), np.array([[0, 0, 1.0]])),
        2 * BIG,
        [1, 0, -1],
    ),
    (Case("softmax_cross_entropy", np.zeros((1, 2)), np.array([1])), np.log(2), [0.5, -0.5]),
    (
        Case("softmax_cross_entropy", np.full((1, 2), BIG), np.array([[0.5, 0.5]])),
        np.log(2),
        [0, 0],
    ),
    (
        Case("sigmoid_cross_entropy", np.array([[BIG, -BIG, 0]]), np.array([[1, 0, 1.0]])),
        np.log(2),
        [0, 0, -0.5],
    ),
    (
        Case("sigmoid_cross_entropy", np.array([[BIG, -BIG, 0]]), np.array([[0, 1, 0.0]])),
        2 * BIG + np.log(2),
        [1, -1, 0.5],
    ),
    (Case("sigmoid_cross_entropy", np.array([[-BIG]]), np.array([1])), BIG, [-1]),
    (
        Case("squared_error", np.array([[BIG, -BIG, 0]]), np.zeros((1, 3))),
        2 * BIG**2,
        [2 * BIG, -2 * BIG, 0],
    ),
    (
        Case("half_squared_error", np.array([[BIG, -BIG, 0]]), np.zeros((1, 3))),
        BIG**2,
        [BIG, -BIG, 0],
    ),
    (Case("absolute_error", np.array([[BIG, -BIG, 0]]), np.zeros((1, 3))), 2 * BIG, [1, -1, 0]),
    (
        Case("huber", np.array([[BIG, -BIG, 0, 0.5]]), np.zeros((1, 4)), {"delta": 0.5}),
        BIG - 0.25 + 0.125,
        [0.5, -0.5, 0, 0.5],
    ),
    (  # 1 - t y is 0 in the last column: there the gradient is 0
        Case("hinge", np.array([[BIG, -BIG, 0, 1]]), np.array([[1, 1, 1, 1.0]])),
        BIG + 2,
        [0, -1, -1, 0],
    ),
    (Case("hinge", np.array([[BIG, -BIG]]), np.array([1])), 2 * BIG + 2, [1, -1]),
]


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    ("case", "value", "gradient"), EDGES, ids=[f"{e[0].name}{i}" for i, e in enumerate(EDGES)]
)
def test_the_edges_have_their_known_values(
    case: Case, value: float, gradient: list[float], dtype: Any, jit: Callable[..., Any]
) -> None:
    loss = losses.loss(case.name, **case.options)

    @jit
    def all_at_once(y: Array, t: Array) -> Any:
        return loss.value(y, t), loss.gradient(y, t), jax.grad(loss.value)(y, t)

    y = case.y.astype(dtype)
    t = case.t.astype(dtype) if case.t.dtype == np.float64 else case.t
    arrays = jax.device_get(all_at_once(y, t))
    assert all(array.dtype == dtype for array in arrays)
    actual, hand, automatic = (array.astype(np.float64) for array in arrays)
    rtol = 2e-2 if dtype == jnp.bfloat16 else 1e-6
    np.testing.assert_allclose(actual, value, rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(hand, [gradient], rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(hand, automatic, rtol=rtol, atol=1e-6)


# --- Penalties ------------------------------------------------------------------------------------

PENALTIES = {
    "l2": (losses.l2_penalty, losses.l2_penalty_gradient),
    "l1": (losses.l1_penalty, losses.l1_penalty_gradient),
}


def network() -> list[Any]:
    """Parameters of which only the two "w" are weights."""
    w = RANDOM.uniform(0.1, 1.0, (3, 2)) * RANDOM.choice([-1.0, 1.0], (3, 2))
    ones = np.ones(2)
    return [
        {"w": w, "b": ones},
        {},
        {"scale": ones, "shift": ones, "statistics": Statistics(ones, ones)},  # type: ignore[arg-type]
        [{"w": -0.5 * w[:2]}],
    ]


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_of_a_penalty_is_right(name: str, check_gradient: Callable[..., None]) -> None:
    value, gradient = PENALTIES[name]
    check_gradient(lambda p, _: value(p, 0.3), lambda p, _: gradient(p, 0.3), network())


@pytest.mark.usefixtures("without_autodiff")
@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_touches_weights_alone(name: str) -> None:
    value, gradient = PENALTIES[name]
    params = network()
    weights = [params[0]["w"], params[3][0]["w"]]
    power = {"l1": 1, "l2": 2}[name]
    expected = sum(np.sum(np.abs(w) ** power) for w in weights)
    np.testing.assert_allclose(value(params, 0.3), 0.3 * expected, rtol=1e-14)
    for (path, leaf), p in zip(
        jax.tree.leaves_with_path(gradient(params, 0.3)), jax.tree.leaves(params), strict=True
    ):
        slope = 2 * p if power == 2 else np.sign(p)
        is_weight = jax.tree_util.keystr(path).endswith("['w']")
        np.testing.assert_allclose(leaf, 0.3 * slope if is_weight else 0 * p, rtol=1e-14)


def test_the_l1_gradient_of_a_zero_weight_is_zero() -> None:
    gradient = losses.l1_penalty_gradient({"w": jnp.asarray([0.0, -2.0])}, 0.5)
    np.testing.assert_array_equal(gradient["w"], [0, -0.5])


@pytest.mark.parametrize("name", PENALTIES)
def test_parameters_without_weights_have_no_penalty(name: str) -> None:
    value, gradient = PENALTIES[name]
    assert float(value([{"b": jnp.ones(2)}, {}], 0.3)) == 0
    np.testing.assert_array_equal(gradient([{"b": jnp.ones(2)}], 0.3)[0]["b"], [0, 0])


# --- Looking a loss up, and what is refused -------------------------------------------------------


def test_a_loss_is_found_by_name_with_its_options_and_threshold() -> None:
    assert losses.loss("huber") is LOSSES["huber"]
    own = Loss(lambda y, t: jnp.sum(y), lambda y, t: jnp.ones_like(y), 0.25)
    assert losses.loss(own) is own
    smoothed = losses.loss("softmax_cross_entropy", label_smoothing=0.2)
    assert smoothed.threshold == LOSSES["softmax_cross_entropy"].threshold == 0
    y, t = jnp.asarray(Y), jnp.asarray(CLASSES)
    np.testing.assert_array_equal(
        smoothed.value(y, t), losses.softmax_cross_entropy(y, t, label_smoothing=0.2)
    )
    with_options = losses.loss(LOSSES["huber"], delta=0.5)
    np.testing.assert_array_equal(with_options.value(y, 0 * y), losses.huber(y, 0 * y, 0.5))


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown loss 'mse'; expected one of .*squared_error"):
        losses.loss("mse")


def test_an_option_that_a_loss_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'delta'"):
        losses.loss("squared_error", delta=1.0).value(jnp.asarray(Y), jnp.asarray(NUMBERS))


def functions_of(names: list[str]) -> list[Any]:
    return [
        pytest.param(function, id=f"{name} {part}")
        for name in names
        for part, function in zip(("value", "gradient"), LOSSES[name][:2], strict=True)
    ]


REGRESSIONS = ["squared_error", "half_squared_error", "absolute_error", "huber"]
CLASSIFICATIONS = ["softmax_cross_entropy", "sigmoid_cross_entropy", "hinge"]


@pytest.mark.parametrize("function", functions_of(REGRESSIONS))
@pytest.mark.parametrize("shape", [(N,), (N, 1), (1, K), (K,), (), (N + 1, K)])
def test_targets_that_would_only_broadcast_are_refused(
    shape: tuple[int, ...], function: Callable[[Array, Array], Array]
) -> None:
    with pytest.raises(ValueError, match=r"y has shape \(6, 4\), so the targets must have that"):
        function(jnp.asarray(Y), jnp.zeros(shape))


@pytest.mark.parametrize("function", functions_of(REGRESSIONS))
def test_flat_targets_of_a_single_output_are_refused(
    function: Callable[[Array, Array], Array],
) -> None:
    with pytest.raises(ValueError, match=r"\(6, 1\), .* got \(6,\); .* t\[:, None\]"):
        function(jnp.asarray(Y1), jnp.zeros(N))


@pytest.mark.parametrize("function", functions_of(CLASSIFICATIONS))
@pytest.mark.parametrize(
    "t",
    [
        np.zeros(N),  # classes must be integers
        np.zeros((N, 1), int),
        np.zeros((1, K)),
        np.zeros(N + 1, int),
        np.zeros((), int),
        np.zeros((N, K + 1)),
    ],
    ids=str,
)
def test_targets_that_are_neither_classes_nor_numbers_for_every_output_are_refused(
    t: np.ndarray, function: Callable[[Array, Array], Array]
) -> None:
    message = r"y has shape \(6, 4\); targets must be integer classes of shape \(6,\) or numbers"
    with pytest.raises(ValueError, match=message):
        function(jnp.asarray(Y), jnp.asarray(t))


@pytest.mark.parametrize("function", functions_of(REGRESSIONS + CLASSIFICATIONS))
@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 3)])
def test_outputs_that_are_no_rows_are_refused(
    shape: tuple[int, ...], function: Callable[[Array, Array], Array]
) -> None:
    y = jnp.zeros(shape)
    with pytest.raises(ValueError, match=r"must be \(n, k\) with at least one row, got \("):
        function(y, y)
