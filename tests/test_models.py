"""The models: gradients, what JAX's transformations make of them, and published examples."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from jax import Array

from jaxnet.layers import (
    ACTIVATIONS,
    Layer,
    batch_norm,
    chain,
    dense,
    dropconnect,
    dropout,
    residual,
)
from jaxnet.losses import LOSSES, Loss
from jaxnet.models import (
    Model,
    classes_of,
    from_layer,
    linear_regression,
    mlp,
    one_neuron,
    perceptron,
    polynomial_regression,
    softmax_regression,
    two_layer_net,
)

RANDOM = np.random.default_rng(10)
N = 5
X = RANDOM.normal(size=(N, 3))
CLASSES = RANDOM.integers(0, 3, N)
NUMBERS = RANDOM.uniform(size=(N, 2))


class Case(NamedTuple):
    model: Model
    t: np.ndarray
    training: bool = False


STOCHASTIC = from_layer(
    chain(
        dense(3, 4, bias=False),
        batch_norm(4, eps=0.1),
        dropout(0.3),
        residual(dropconnect(dense(4, 4, "tanh"), 0.4)),
        dense(4, 3),
    ),
    "softmax_cross_entropy",
    l2=0.01,
)

CASES = {
    "mlp": Case(mlp([3, 4, 3], l2=0.01, l1=0.02), CLASSES),
    "mlp_deep": Case(mlp([3, 4, 4, 2], "gelu", "huber", bias=False), NUMBERS),
    "mlp_hinge": Case(mlp([3, 4, 3], "softplus", "hinge"), CLASSES),
    "mlp_softmax": Case(mlp([3, 2], loss="squared_error", output="softmax"), NUMBERS),
    "one_neuron": Case(one_neuron(3, l2=0.1), NUMBERS[:, :1]),
    "perceptron": Case(perceptron(3, 2), NUMBERS),
    "linear_regression": Case(linear_regression(3, 2, l1=0.1), NUMBERS),
    "polynomial_regression": Case(polynomial_regression(3, 3, l2=0.1, l1=0.2), NUMBERS[:, :1]),
    "softmax_regression": Case(softmax_regression(3, 3), CLASSES),
    "two_layer_net": Case(two_layer_net(3, 4, 3, l2=0.05), CLASSES),
    "from_layer_trained": Case(STOCHASTIC, CLASSES, training=True),
    "from_layer_evaluated": Case(STOCHASTIC, CLASSES),
}


def key_of(case: Case) -> Array | None:
    # This generator is the quickest to compile.
    return jax.random.key(11, impl="unsafe_rbg") if case.training else None


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_right(
    name: str, check_gradient: Callable[..., None], random_params: Callable[..., Any]
) -> None:
    model, t, _ = case = CASES[name]
    check_gradient(
        lambda params, context: model.loss(params, context[0], context[1]),
        lambda params, context: model.value_and_grad(params, context[0], context[1])[1],
        random_params(model.init, 1),
        ((X, t), key_of(case)),
    )


@pytest.mark.usefixtures("without_autodiff")
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_needs_no_automatic_differentiation(
    name: str, random_params: Callable[..., Any]
) -> None:
    model, t, _ = case = CASES[name]
    params = random_params(model.init, 1)
    value, gradient = jax.eval_shape(model.value_and_grad, params, (X, t), key_of(case))
    assert value.shape == ()
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, params)


class ValueAndGradTest(chex.TestCase):  # type: ignore[misc]
    @pytest.fixture(autouse=True)
    def _helpers(
        self, agree: Callable[..., None], random_params: Callable[..., Any], jit: Callable[..., Any]
    ) -> None:
        self.agree, self.random_params, self.jit = agree, random_params, jit

    @chex.variants(with_jit=True, without_jit=True)  # type: ignore[untyped-decorator]
    @parameterized.named_parameters(  # type: ignore[untyped-decorator,no-untyped-call]
        *((name, *case) for name, case in CASES.items())
    )
    def test_compiled_or_not(self, model: Model, t: np.ndarray, training: bool) -> None:
        params = jax.tree.map(jnp.asarray, self.random_params(model.init, 1))
        arguments = params, (jnp.asarray(X), jnp.asarray(t)), key_of(Case(model, t, training))
        actual = self.variant(model.value_and_grad)(*arguments)
        expected = self.jit(jax.value_and_grad(model.loss))(*arguments)
        self.agree(actual, expected, 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_vmap_over_parameters_and_data_and_jvp(
    name: str,
    agree: Callable[..., None],
    random_params: Callable[..., Any],
    jit: Callable[..., Any],
) -> None:
    model, targets, _ = case = CASES[name]
    key = key_of(case)
    one, other = (random_params(model.init, seed) for seed in (1, 2))
    params = jax.tree.map(lambda *leaves: np.stack(leaves), one, other)
    batches = np.stack([X, -X]), np.stack([targets, targets[::-1]])
    h = 1e-4

    def value_and_grad(params: Any, batch: Any) -> tuple[Array, Any]:
        return model.value_and_grad(params, batch, key)

    def tangents(params: Any, batch: Any) -> Any:
        return jax.jvp(lambda p: value_and_grad(p, batch), (params,), (other,))

    @jit
    def mapped(params: Any, batches: Any) -> Any:
        return (
            jax.vmap(tangents, (0, None))(params, entry(batches, 0)),
            jax.vmap(value_and_grad, (None, 0))(entry(params, 0), batches),
        )

    (by_params, along), by_data = jax.device_get(mapped(params, batches))
    direct = jit(value_and_grad)
    for i in range(2):
        at = entry(params, i)
        agree(entry(by_params, i), direct(at, entry(batches, 0)), 1e-12, floor=1e-3)
        agree(entry(by_data, i), direct(one, entry(batches, i)), 1e-12, floor=1e-3)
        # A tangent is how value and gradient change in the direction of `other`.
        ahead, behind = (
            direct(jax.tree.map(lambda a, b, s=s: a + s * b, at, other), entry(batches, 0))
            for s in (h, -h)
        )
        differences = jax.tree.map(lambda a, b: (a - b) / (2 * h), ahead, behind)
        agree(entry(along, i), differences, 1e-5, floor=1e-2)


def entry(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)


# --- Published examples ---------------------------------------------------------------------------


def test_two_layer_net_has_the_gradient_of_the_cs231n_notes(
    agree: Callable[..., None], random_params: Callable[..., Any], jit: Callable[..., Any]
) -> None:
    """The notes' NumPy program for a two-layer net, with reg * sum of squares as the penalty."""
    reg = 0.05
    model = two_layer_net(3, 10, 3, l2=reg)
    params = random_params(model.init, 2)
    w1, b1, w2, b2 = (params[i][name] for i in (0, 1) for name in ("w", "b"))

    hidden = X @ w1 + b1
    a1 = np.maximum(0, hidden)
    scores = a1 @ w2 + b2
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    value = np.sum(-np.log(probs[range(N), CLASSES])) / N
    value += reg * (np.sum(w1 * w1) + np.sum(w2 * w2))

    dscores = probs.copy()
    dscores[range(N), CLASSES] -= 1
    dscores /= N
    dw2 = a1.T @ dscores + 2 * reg * w2
    db2 = np.sum(dscores, axis=0)
    dhidden = dscores @ w2.T
    dhidden[a1 <= 0] = 0
    dw1 = X.T @ dhidden + 2 * reg * w1
    db1 = np.sum(dhidden, axis=0)

    batch = (jnp.asarray(X), jnp.asarray(CLASSES))
    expected = (value, [{"w": dw1, "b": db1}, {"w": dw2, "b": db2}])
    agree(jit(model.value_and_grad)(params, batch), expected, 1e-12)


def test_the_gradient_is_that_of_the_errors_sent_back_by_hand(
    agree: Callable[..., None], random_params: Callable[..., Any], jit: Callable[..., Any]
) -> None:
    """Sigmoid units under logits: e2 = y~ - y, e1 = (e2 w2^T) * a1 (1 - a1), dw = a^T e / n.

    The output's error has no factor sigma', because sigmoid and cross-entropy cancel it; with the
    squared error it stays.
    """
    y = NUMBERS.round()
    for loss, output in (("sigmoid_cross_entropy", "identity"), ("half_squared_error", "sigmoid")):
        model = mlp([3, 4, 2], "sigmoid", loss, output=output)
        params = random_params(model.init, 3)
        (w1, b1), (w2, b2) = ((layer["w"], layer["b"]) for layer in params)
        a1 = 1 / (1 + np.exp(-(X @ w1 + b1)))
        estimate = 1 / (1 + np.exp(-(a1 @ w2 + b2)))
        e2 = estimate - y
        if output == "sigmoid":
            e2 = e2 * estimate * (1 - estimate)
        e1 = (e2 @ w2.T) * a1 * (1 - a1)
        expected = [
            {"w": X.T @ e1 / N, "b": e1.mean(axis=0)},
            {"w": a1.T @ e2 / N, "b": e2.mean(axis=0)},
        ]
        batch = (jnp.asarray(X), jnp.asarray(y))
        agree(jit(model.value_and_grad)(params, batch)[1], expected, 1e-12)


def test_the_published_numbers_of_a_two_two_two_net_come_out(
    key: Array, jit: Callable[..., Any]
) -> None:
    """Mazur's (2015) "A step by step backpropagation example", to all digits that it prints."""
    model = mlp(
        [2, 2, 2],
        "sigmoid",
        "half_squared_error",
        output="sigmoid",
        w_init=[np.array([[0.15, 0.25], [0.20, 0.30]]), np.array([[0.40, 0.50], [0.45, 0.55]])],
        b_init=[np.full(2, 0.35), np.full(2, 0.60)],
    )
    params = model.init(key)
    batch = (jnp.asarray([[0.05, 0.10]]), jnp.asarray([[0.01, 0.99]]))
    outputs = model.apply(params, batch[0])
    np.testing.assert_allclose(outputs, [[0.75136507, 0.772928465]], atol=5e-9)
    value, gradient = jit(model.value_and_grad)(params, batch)
    np.testing.assert_allclose(value, 0.298371109, atol=5e-10)
    w1, w2 = (p["w"] - 0.5 * g["w"] for p, g in zip(params, gradient, strict=True))
    np.testing.assert_allclose(w1, [[0.149780716, 0.24975114], [0.19956143, 0.29950229]], atol=5e-9)
    np.testing.assert_allclose(
        w2, [[0.35891648, 0.511301270], [0.408666186, 0.561370121]], atol=5e-9
    )


# --- What the constructors build ------------------------------------------------------------------


def shapes(model: Model, key: Array) -> Any:
    return jax.tree.map(lambda leaf: leaf.shape, jax.eval_shape(model.init, key))


def test_the_parameters_have_the_documented_structure(key: Array) -> None:
    weights_and_biases = [{"w": (4, 16), "b": (16,)}, {"w": (16, 3), "b": (3,)}]
    assert shapes(mlp([4, 16, 3]), key) == weights_and_biases
    assert shapes(two_layer_net(4, 16, 3), key) == weights_and_biases
    assert shapes(mlp([4, 16, 3], bias=False), key) == [{"w": (4, 16)}, {"w": (16, 3)}]
    assert shapes(one_neuron(4), key) == [{"w": (4, 1), "b": (1,)}]
    assert shapes(perceptron(4, 2), key) == [{"w": (4, 2)}]
    assert shapes(linear_regression(4), key) == [{"w": (4, 1), "b": (1,)}]
    assert shapes(softmax_regression(4, 3), key) == [{"w": (4, 3), "b": (3,)}]
    assert shapes(polynomial_regression(3, 2), key) == [{}, {"w": (6, 1), "b": (1,)}]


@pytest.mark.parametrize(
    "model", [linear_regression(4), softmax_regression(4, 3), polynomial_regression(2)]
)
def test_the_convex_models_start_from_zeros(model: Model, key: Array) -> None:
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(model.init(key)))


def test_two_layer_net_starts_from_small_weights(key: Array) -> None:
    first, second = two_layer_net(40, 40, 40).init(key)
    for layer in (first, second):
        assert float(layer["w"].std()) == pytest.approx(1e-4, rel=0.1)
        assert not np.any(layer["b"])


def test_initialisers_may_be_given_for_all_layers_or_one_each(key: Array) -> None:
    given = [np.ones((3, 2)), np.full((2, 1), 2.0)]
    for w_init in (given, tuple(given)):
        params = mlp([3, 2, 1], loss="squared_error", w_init=w_init, b_init=[np.ones(2), "zeros"])
        (w1, b1), (w2, b2) = ((layer["w"], layer["b"]) for layer in params.init(key))
        for actual, expected in zip(
            (w1, b1, w2, b2), (given[0], [1, 1], given[1], [0]), strict=True
        ):
            np.testing.assert_array_equal(actual, expected)
    for layer in mlp([3, 2, 1], loss="squared_error", w_init="zeros", b_init="uniform").init(key):
        assert not np.any(layer["w"])
        assert np.all(layer["b"] > 0)


def test_the_activations_stand_between_the_layers_and_the_output_at_the_end(key: Array) -> None:
    model = mlp([3, 4, 4, 2], "tanh", "squared_error", output="softplus", b_init="uniform")
    params = model.init(key)
    a = X
    for layer in params[:-1]:
        a = np.tanh(a @ layer["w"] + layer["b"])
    expected = np.log1p(np.exp(a @ params[-1]["w"] + params[-1]["b"]))
    np.testing.assert_allclose(model.apply(params, jnp.asarray(X)), expected, rtol=1e-12)


def test_named_and_own_activations_and_losses_are_the_same(key: Array) -> None:
    named = mlp([3, 2, 2], "tanh", "huber")
    own = mlp([3, 2, 2], ACTIVATIONS["tanh"], LOSSES["huber"])
    params, batch = named.init(key), (jnp.asarray(X), jnp.asarray(NUMBERS))
    np.testing.assert_array_equal(named.loss(params, batch), own.loss(params, batch))


def test_a_coefficient_may_be_an_array(
    agree: Callable[..., None], random_params: Callable[..., Any]
) -> None:
    batch = (jnp.asarray(X), jnp.asarray(CLASSES))
    params = random_params(softmax_regression(3, 3).init, 4)
    numbers, arrays = (
        softmax_regression(3, 3, l2=make(0.2), l1=make(0.1)).value_and_grad(params, batch)
        for make in (float, jnp.asarray)
    )
    agree(arrays, numbers, 1e-14)


def test_the_value_is_the_loss_and_the_penalties(key: Array) -> None:
    params = [{"w": jnp.asarray([[1.0, -2.0]]), "b": jnp.asarray([5.0, 5.0])}]
    batch = (jnp.zeros((1, 1)), jnp.asarray([[5.0, 4.0]]))
    model = mlp([1, 2], loss="squared_error", l2=0.1, l1=0.01)
    assert float(model.loss(params, batch)) == pytest.approx(1 + 0.1 * 5 + 0.01 * 3, rel=1e-15)
    assert float(model.value_and_grad(params, batch)[0]) == float(model.loss(params, batch))


# --- Classes and statistics -----------------------------------------------------------------------


def test_the_largest_of_several_columns_decides_and_the_threshold_of_one() -> None:
    y = jnp.asarray([[0.1, 0.7, 0.2], [-1.0, -2.0, -3.0]])
    assert classes_of(y).tolist() == [1, 0]
    assert classes_of(jnp.asarray([[0.4], [0.5], [0.6]])).tolist() == [0, 0, 1]
    assert classes_of(jnp.asarray([[-0.1], [0.1]]), 0.0).tolist() == [0, 1]
    assert classes_of(jnp.asarray([2, 0])).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("model", "threshold"),
    [
        (mlp([1, 1], loss="sigmoid_cross_entropy"), 0.0),
        (mlp([1, 1], loss="hinge"), 0.0),
        (one_neuron(1), 0.5),
        (perceptron(1), 0.5),
        (mlp([1, 1], loss="huber", output="sigmoid"), 0.5),
        (from_layer(dense(1, 1), "squared_error", threshold=3.0), 3.0),
        (from_layer(chain(dense(1, 1)), LOSSES["hinge"], threshold=-1.0), -1.0),
        (linear_regression(1), None),
        (polynomial_regression(2), None),
        (mlp([1, 1], loss="squared_error"), None),
    ],
)
def test_a_model_classifies_where_its_outputs_are_scores(
    model: Model, threshold: float | None, key: Array
) -> None:
    if threshold is None:
        assert model.classify is None
        return
    assert model.classify is not None
    x = jnp.linspace(-8, 8, 40)[:, None]
    params = jax.tree.map(jnp.ones_like, model.init(key))
    classes = model.classify(params, x)
    y = np.asarray(model.apply(params, x))[:, 0]
    np.testing.assert_array_equal(classes, y > threshold)
    assert set(classes.tolist()) == {0, 1}


def test_only_a_model_that_observes_has_observe(key: Array) -> None:
    assert STOCHASTIC.observe is not None
    params = STOCHASTIC.init(key)
    x = jnp.asarray(X)
    observed = STOCHASTIC.observe(params, x, key)
    statistics = observed[1]["statistics"]
    np.testing.assert_allclose(statistics.mean, 0.01 * (x @ params[0]["w"]).mean(axis=0))
    assert observed[0]["w"] is params[0]["w"]
    for plain in (mlp([3, 4, 2]), from_layer(dropconnect(dense(3, 2), 0.5), "huber")):
        assert plain.observe is None


def test_a_key_trains_and_none_evaluates(key: Array) -> None:
    model = from_layer(dropout(0.5), "squared_error")
    x = jnp.ones((8, 4))
    assert float(model.loss({}, (x, x))) == 0
    assert float(model.loss({}, (x, x), key)) == 4  # each entry is 0 or 2
    np.testing.assert_array_equal(model.apply({}, x), x)
    assert set(np.unique(model.apply({}, x, key))) == {0, 2}


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[], [3]])
def test_too_few_sizes_are_refused(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"mlp: sizes must name inputs and outputs at least, got"):
        mlp(sizes)


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_a_loss_of_logits_over_probabilities_is_refused(output: str, loss: str) -> None:
    with pytest.raises(ValueError, match="mlp: the cross-entropies take logits and apply"):
        mlp([3, 2], loss=loss, output=output)
    with pytest.raises(ValueError, match="take logits"):  # found by what they are, not by name
        mlp([3, 2], loss=LOSSES[loss], output=ACTIVATIONS[output])
    with pytest.raises(ValueError, match="take logits"):
        one_neuron(3, loss=loss)


@pytest.mark.parametrize("name", ["w_init", "b_init"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_of_initialisers_of_another_length_is_refused(name: str, count: int) -> None:
    options: dict[str, Any] = {name: ["zeros"] * count}
    with pytest.raises(ValueError, match=f"mlp: {name} lists {count} initialisers for 2 layers"):
        mlp([3, 4, 2], **options)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mlp([3, 2], loss="mse"), "unknown loss 'mse'"),
        (lambda: from_layer(dense(3, 2), "l2"), "unknown loss 'l2'"),
        (lambda: mlp([3, 2, 2], "rleu"), "unknown activation 'rleu'"),
        (lambda: mlp([3, 2], "relu", output="logits"), "unknown activation 'logits'"),
        (lambda: mlp([3, 2], w_init="he").init(jax.random.key(0)), "unknown initialiser 'he'"),
        (lambda: mlp([3, 0]), "dense: n_out must be a positive integer"),
        (lambda: polynomial_regression(0), "powers: degree must be a positive integer"),
    ],
)
def test_unknown_names_and_sizes_are_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_batch_of_another_width_or_without_rows_is_refused(key: Array) -> None:
    model = mlp([3, 2], loss="squared_error")
    params = model.init(key)
    for function in (model.loss, model.value_and_grad):
        with pytest.raises(ValueError, match=r"dense\(3, 2\): x has shape \(5, 2\)"):
            function(params, (jnp.ones((5, 2)), jnp.ones((5, 2))))
        with pytest.raises(ValueError, match="at least one row"):
            function(params, (jnp.ones((0, 3)), jnp.ones((0, 2))))
        with pytest.raises(ValueError, match="targets must have that shape"):
            function(params, (jnp.ones((5, 3)), jnp.ones(5)))


def test_a_bias_whose_gradient_is_not_summed_over_the_batch_is_noticed() -> None:
    forgetful = Layer(
        lambda key: {"b": jnp.zeros(2)},
        lambda params, x, key=None: (x + params["b"], None),
        lambda params, residuals, dy: ({"b": dy}, dy),
    )
    batch = (jnp.ones((5, 2)), jnp.ones((5, 2)))
    with pytest.raises(AssertionError, match="shape"):
        from_layer(forgetful, "squared_error").value_and_grad({"b": jnp.zeros(2)}, batch)


def test_an_own_loss_is_used_as_it_is(key: Array) -> None:
    own = Loss(lambda y, t: jnp.sum(y * t), lambda y, t: t, threshold=0.0)
    model = from_layer(dense(3, 2, w_init="zeros"), own)
    x, t = jnp.asarray(X), jnp.asarray(NUMBERS)
    gradient = model.value_and_grad(model.init(key), (x, t))[1]
    np.testing.assert_allclose(gradient["w"], x.T @ t, rtol=1e-12)
    assert model.classify is not None
