"""The doctor for pull-backs: right ones, wrong ones, `jax.custom_vjp` rules and layers."""

import functools
import re
import typing
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxnet import check, layers
from jaxnet.layers import ACTIVATIONS, Layer, chain, dense, residual

RANDOM = np.random.default_rng(0)
X, W, B = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(3, 4)), RANDOM.normal(size=4)


def affine(x: Any, w: Any, b: Any) -> Any:
    z = x @ w + b
    return jnp.tanh(z)


def affine_vjp(x: Any, w: Any, b: Any, dy: Any, slope: Any = lambda z, a: 1 - a**2) -> Any:
    """The pull-back of `affine` by hand."""
    z = x @ w + b
    dz = dy * slope(z, np.tanh(z))
    return dz @ w.T, x.T @ dz, dz.sum(axis=0)


def two(x: Any, w: Any) -> Any:
    return {
        "u": jnp.sin(x) @ w,
        "v": jnp.exp(x).sum(axis=1),
    }


def two_vjp(x: Any, w: Any, dy: Any) -> Any:
    du, dv = dy["u"], dy["v"]
    return du @ w.T * np.cos(x) + dv[:, None] * np.exp(x), np.sin(x).T @ du


def attention(x: Any) -> Any:
    return jax.nn.softmax(x)


def attention_vjp(x: Any, dy: Any) -> Any:
    s = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    return s * (dy - (dy * s).sum(axis=1, keepdims=True))


LABELS = np.array([0, 2, 1, 0, 1])


def cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(5), labels])


def cross_entropy_vjp(logits: Any, labels: Any, dy: Any) -> Any:
    return dy * (jax.nn.softmax(logits) - jax.nn.one_hot(labels, 3)) / 5


def numpy_affine(x: Any, w: Any, b: Any) -> Any:
    return np.tanh(np.asarray(x) @ w + b)


def in_place(x: Any, dy: Any) -> Any:
    dy[x <= 0] = 0  # writes into what it was given
    return dy


def with_forward(x: Any, w: Any, b: Any) -> Any:
    return affine(x, w, b), lambda dy: affine_vjp(x, w, b, dy)


@pytest.mark.parametrize(
    ("f", "f_vjp", "args"),
    [
        pytest.param(affine, affine_vjp, (X, W, B), id="several arguments"),
        pytest.param(affine, with_forward, (X, W, B), id="y and a pull-back"),
        pytest.param(affine, partial(jax.vjp, affine), (X, W, B), id="jax.vjp"),
        pytest.param(numpy_affine, affine_vjp, (X, W, B), id="in NumPy"),
        pytest.param(lambda *a: affine(*a), lambda *a: affine_vjp(*a), (X, W, B), id="no names"),
        pytest.param(affine, affine_vjp, (jnp.asarray(X), W, B), id="arrays of JAX"),
        pytest.param(two, two_vjp, (X, W), id="a tree of outputs"),
        pytest.param(attention, attention_vjp, (X,), id="a bare cotangent"),
        pytest.param(attention, lambda x, dy: (attention_vjp(x, dy),), (X,), id="softmax"),
        pytest.param(jnp.tanh, lambda x, dy: dy * (1 - np.tanh(x) ** 2), (X,), id="elementwise"),
        pytest.param(cross_entropy, cross_entropy_vjp, (X, LABELS), id="integers left out"),
        pytest.param(
            cross_entropy,
            lambda *a: (cross_entropy_vjp(*a), None),
            (X, LABELS),
            id="None for integers",
        ),
        pytest.param(
            lambda x, key, mode: getattr(jnp, mode)(x + jax.random.normal(key, x.shape)),
            lambda x, key, mode, dy: dy * jnp.cos(x + jax.random.normal(key, x.shape)),
            (X, jax.random.key(0, impl="unsafe_rbg"), "sin"),
            id="a key and a word",
        ),
        pytest.param(
            lambda p, n: (p["w"] ** n, n),
            lambda p, n, dy: ({"w": dy[0] * n * p["w"] ** (n - 1)}, None),
            ({"w": X}, 3),
            id="an integer output",
        ),
        pytest.param(lambda x: jnp.maximum(x, 0), in_place, (X,), id="dy changed in place"),
        pytest.param(lambda p: p[0] @ p[1], lambda p, dy: [dy @ p[1].T, p[0].T @ dy], ([X, W],),
                     id="a list, bare"),
    ],
)  # fmt: skip
def test_silence_on_right_pull_backs(f: Any, f_vjp: Any, args: Any) -> None:
    report = check.vjp(f, f_vjp, *args)
    assert report.ok, report
    check.assert_vjp(f, f_vjp, *args)


def changed(k: int, how: Callable[..., Any]) -> Callable[..., Any]:
    """`affine_vjp` with the k-th cotangent changed: how(cotangent, x, w, b, dy)."""

    def wrong(x: Any, w: Any, b: Any, dy: Any) -> Any:
        cotangents = list(affine_vjp(x, w, b, dy))
        cotangents[k] = how(cotangents[k], x, w, b, dy)
        return tuple(cotangents)

    return wrong


ALL = ("b", "w", "x")
TANH = "return jnp.tanh(z)"
PRODUCT = "z = x @ w + b"
AFFINE_FAULTS: dict[str, tuple[Any, str, tuple[str, ...], str | None]] = {
    "slope forgotten": (
        partial(affine_vjp, slope=lambda z, a: 1), "dropped_derivative", ALL, TANH
    ),
    "slope without the square": (
        partial(affine_vjp, slope=lambda z, a: 1 - a), "wrong_derivative", ALL, TANH
    ),
    "slope at the output": (
        partial(affine_vjp, slope=lambda z, a: 1 - np.tanh(a) ** 2), "wrong_point", ALL, TANH
    ),
    "sign": (changed(0, lambda dx, *a: -dx), "sign", ("x",), PRODUCT),
    "mean for sum": (changed(2, lambda db, *a: db / 5), "scale", ("b",), None),
    "transposed": (changed(1, lambda dw, *a: dw.T), "transpose", ("w",), None),
    "not summed": (
        changed(2, lambda db, x, w, b, dy: dy * (1 - np.tanh(x @ w + b) ** 2)),
        "shape", ("b",), None,
    ),
    "None": (changed(1, lambda *a: None), "missing", ("w",), None),
    "NaN": (changed(1, lambda dw, *a: dw * np.nan), "nonfinite", ("w",), None),
    "penalty": (changed(1, lambda dw, x, w, b, dy: dw + 0.1 * w), "regularization", ("w",), None),
    "cotangent forgotten": (
        lambda x, w, b, dy: affine_vjp(x, w, b, np.ones((5, 4))), "dropped_derivative", ALL, TANH
    ),
    "cotangent forgotten once": (
        changed(1, lambda dw, x, w, b, dy: x.T @ (1 - np.tanh(x @ w + b) ** 2)),
        "dropped_derivative", ("w",), TANH,
    ),
    "constant added": (changed(2, lambda db, *a: db + 1), "mismatch", ("b",), None),
    "cotangent squared": (
        lambda x, w, b, dy: affine_vjp(x, w, b, dy**2), "mismatch", ALL, None
    ),
    "size of the cotangent": (
        lambda x, w, b, dy: affine_vjp(x, w, b, abs(dy)), "mismatch", ALL, None
    ),
    "clipped": (
        changed(0, lambda dx, *a: np.clip(dx, -0.1, 0.1)), "mismatch", ("x",), None
    ),
}  # fmt: skip


SAID = {
    "cotangent forgotten": ("does not use its cotangent", "at_zero", 1.0, 1.0),
    "constant added": ("adds something that does not depend on the cotangent", "at_zero", 0.1, 1),
    "cotangent squared": ("twice dy gives 4 times", "factor", 4 - 1e-9, 4 + 1e-9),
    "size of the cotangent": (r"not pull\(a\) \+ pull\(b\)", "relative_error", 0.1, 2),
    "clipped": (r"not pull\(a\) \+ pull\(b\)", "relative_error", 0.1, 2),
}
"""Words of the message, the name of the evidence, and between which numbers it lies."""


@pytest.mark.parametrize("fault", AFFINE_FAULTS)
def test_wrong_pull_backs_are_named(fault: str) -> None:
    f_vjp, code, leaves, line = AFFINE_FAULTS[fault]
    report = check.vjp(affine, f_vjp, X, W, B)
    (finding,) = report.findings
    assert (finding.code, tuple(sorted(finding.leaves))) == (code, leaves), report
    assert ("-->" in str(report)) == (finding.where is not None)
    assert "check/vjp.py" not in str(report)
    if line is not None:
        assert f"| {line}" in str(report), report
    marked = {row[0] for row in report.rows if row[-1] == code or row[-1].startswith("wrong")}
    assert marked == set(leaves)
    assert report.title == f"the VJP is wrong in {len(leaves)} of 3 leaves"
    if fault in SAID:
        words, number, low, high = SAID[fault]
        assert re.search(words, finding.message)
        assert low <= finding.evidence[number] <= high


@pytest.mark.parametrize(
    ("ignored", "leaves", "line"),
    [("u", ("w", "x"), '"u": jnp.sin(x) @ w,'), ("v", ("x",), '"v": jnp.exp(x).sum(axis=1),')],
)
def test_a_cotangent_that_is_left_out(ignored: str, leaves: Any, line: str) -> None:
    def wrong(x: Any, w: Any, dy: Any) -> Any:
        return two_vjp(x, w, dy | {ignored: 0 * dy[ignored]})

    report = check.vjp(two, wrong, X, W)
    (finding,) = report.findings
    assert (finding.code, tuple(sorted(finding.leaves))) == ("dropped_path", leaves), report
    assert f"| {line}" in str(report), report


def test_a_cotangent_of_an_argument_that_is_returned() -> None:
    def f(x: Any, w: Any) -> Any:
        return x, x @ w

    report = check.vjp(f, lambda x, w, dy: (dy[1] @ w.T, x.T @ dy[1]), X, W)
    (finding,) = report.findings
    assert (finding.code, finding.leaves) == ("dropped_path", ("x",)), report
    assert (finding.message, finding.where) == (
        "The pull-back does not use the cotangent of the output 0.", None
    )  # fmt: skip


def test_other_faults_are_told_beside_one_of_linearity() -> None:
    def wrong(x: Any, w: Any, b: Any, dy: Any) -> Any:
        dx, dw, db = affine_vjp(x, w, b, dy)
        return -dx, dw, db + 1

    report = check.vjp(affine, wrong, X, W, B)
    assert [(f.code, f.leaves) for f in report.findings] == [("mismatch", ("b",)), ("sign", ("x",))]
    with pytest.raises(AssertionError, match="adds something"):
        check.assert_vjp(affine, wrong, X, W, B)


def test_softmax_and_a_factor_of_the_batch() -> None:
    def diagonal(x: Any, dy: Any) -> Any:
        s = jax.nn.softmax(x)
        return dy * s * (1 - s)

    (finding,) = check.vjp(attention, diagonal, X).findings
    assert (finding.code, finding.leaves) == ("wrong_derivative", ("x",))
    report = check.vjp(cross_entropy, lambda *a: 5 * cross_entropy_vjp(*a), X, LABELS)
    assert (report.findings[0].code, report.findings[0].leaves) == ("scale", ("logits",))
    assert "the 5 rows of the batch" in report.findings[0].message
    assert "held fixed: labels" in report.notes


def test_an_output_that_is_an_argument_has_no_line() -> None:
    report = check.vjp(lambda x: x, lambda x, dy: np.ones_like(x), X)
    (finding,) = report.findings
    assert (finding.code, finding.where) == ("dropped_derivative", None)


def test_float32_stays_float32_for_a_pull_back_that_takes_no_other() -> None:
    def only32(x: Any, dy: Any, sign: float = 1) -> Any:
        x, dy = np.asarray(x), np.asarray(dy)
        assert x.dtype == np.float32
        return np.asarray(sign * dy * np.cos(x), np.float32)

    x = X.astype(np.float32)
    assert check.vjp(jnp.sin, only32, x).ok
    (finding,) = check.vjp(jnp.sin, partial(only32, sign=-1), x).findings
    assert finding.code == "sign"


# Rules of jax.custom_vjp.


def rule(factor: float = 1, forward_factor: float = 1) -> Any:
    """x^n as a function with a rule of its own; n is not differentiated."""

    @partial(jax.custom_vjp, nondiff_argnums=(1,))
    def power(x: Any, n: float, count: Any) -> Any:
        y = x**n
        return y, count + 1

    def forward(x: Any, n: float, count: Any) -> Any:
        return (forward_factor * x**n, count + 1), x

    def backward(n: float, x: Any, dy: Any) -> Any:
        return dy[0] * factor * n * x ** (n - 1), None

    power.defvjp(forward, backward)
    return power


POSITIVE = np.abs(X) + 0.5


@pytest.mark.parametrize("wrap", [lambda f: f, partial(jax.jit, static_argnums=1)])
def test_rules_of_custom_vjp(wrap: Any) -> None:
    right = wrap(rule())
    report = check.vjp(right, right, POSITIVE, 2.5, 7)
    assert report.ok, report
    assert [row[0] for row in report.rows] == ["x"]
    assert report.notes[-1] == "held fixed: n, count"
    wrong = wrap(rule(factor=-1))
    (finding,) = check.vjp(wrong, wrong, POSITIVE, 2.5, 7).findings
    assert (finding.code, finding.leaves) == ("sign", ("x",))


def test_a_rule_whose_forward_pass_computes_something_else() -> None:
    wrong = rule(forward_factor=1.5)
    report = check.vjp(wrong, wrong, POSITIVE, 2.5, 7)
    (finding,) = report.findings
    assert (finding.code, finding.leaves) == ("wrong_loss", ())
    np.testing.assert_allclose(finding.evidence["relative_error"], 0.5)
    assert report.title == "the VJP is right, but its forward pass is not"
    assert "| y = x**n" in str(report)


def test_a_decorator_under_the_rule_belongs_to_the_function() -> None:
    def halved(f: Any) -> Any:
        return functools.wraps(f)(lambda x: f(x) / 2)

    @jax.custom_vjp
    @halved
    def f(x: Any) -> Any:
        return jnp.sin(x)

    f.defvjp(lambda x: (jnp.sin(x) / 2, x), lambda x, dy: (dy * jnp.cos(x) / 2,))
    assert check.vjp(f, f, X).ok


def test_the_report_says_that_a_rule_inside_f_is_trusted() -> None:
    power = rule(factor=-1)
    f = jax.jit(lambda x: power(x, 2.5, 7)[0] + 1)
    report = check.vjp(f, partial(jax.vjp, f), POSITIVE)
    assert "f calls a jax.custom_vjp function, whose rule the true gradient trusts" in report.notes


def test_a_layer_as_a_custom_vjp() -> None:
    f = layers.with_custom_vjp(dense(3, 4, "tanh"))
    params = {"w": W, "b": B}
    report = check.vjp(affine_layer(), partial(jax.vjp, f), params, X)
    assert report.ok, report
    assert [row[0] for row in report.rows] == ["params.b", "params.w", "x"]


def affine_layer() -> Any:
    return lambda params, x: affine(x, params["w"], params["b"])


# Input that cannot be examined.


@pytest.mark.parametrize(
    ("f", "f_vjp", "args", "error", "message"),
    [
        (jnp.sin, lambda: 1, (X,), TypeError, r"must take the arguments of f \(x\) and the cotan"),
        (jnp.sin, 3, (X,), TypeError, "must take the arguments of f"),
        (jnp.sin, lambda x: x, (X,), TypeError, r"must give a pair \(y, pull\).*got .*\(5, 3\)"),
        (
            affine, lambda x, w, b, dy: (x, w), (X, W, B),
            TypeError, "a tuple of 3 cotangents, for x, w, b .*, got a tuple of 2",
        ),
        (affine, lambda x, w, b, dy: x, (X, W, B), TypeError, r"got ndarray of shape \(5, 3\)"),
        (
            lambda p: p["w"] ** 2, lambda p, dy: {"v": dy}, ({"w": W},),
            TypeError, r"the cotangent of p must be a tree like p, .*\['w'\], got \['v'\]",
        ),
        (
            jnp.sin, lambda x: (jnp.ones(2), lambda dy: dy), (X,),
            TypeError, r"like f's, of shape \(5, 3\), got \(2,\)",
        ),
        (lambda x: x > 0, lambda x, dy: x, (X,), TypeError, "real floating.* got .*bool"),
        (lambda x: x * 1j, lambda x, dy: x, (X,), TypeError, "real floating.* got .*complex"),
        (jnp.sin, lambda x, dy: x, (3,), TypeError, r"arguments must hold floating.*\['int'\]"),
        (jnp.log, lambda x, dy: dy / x, (X,), ValueError, "output of f is not finite"),
    ],
)  # fmt: skip
def test_input_that_cannot_be_examined(
    f: Any, f_vjp: Any, args: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        check.vjp(f, f_vjp, *args)


# Layers.

LAYERS: dict[Any, tuple[Layer, int]] = {
    layers.dense: (chain(*(residual(dense(3, 3, name)) for name in ACTIVATIONS)), 3),
    layers.chain: (chain(dense(3, 4, "tanh"), dense(4, 2, bias=False)), 3),
    layers.residual: (residual(chain(dense(3, 4, "softplus"), dense(4, 3))), 3),
    layers.batch_norm: (layers.batch_norm(3), 3),
    layers.layer_norm: (layers.layer_norm(4), 4),
    layers.powers: (layers.powers(3), 2),
    layers.dropout: (layers.dropout(0.4), 3),
    layers.dropconnect: (layers.dropconnect(dense(3, 4, "tanh"), 0.4), 3),
}
TRAINED = (layers.batch_norm, layers.dropout, layers.dropconnect)
BY_KEY = [(make, False) for make in LAYERS] + [(make, True) for make in TRAINED]


def test_all_layers_are_examined() -> None:
    functions = {name: getattr(layers, name) for name in layers.__all__ if name.islower()}
    made = {f for f in functions.values() if typing.get_type_hints(f).get("return") is Layer}
    assert made == set(LAYERS)


@pytest.mark.parametrize(
    ("make", "training"), BY_KEY, ids=[f"{m.__name__}{'-trained' * t}" for m, t in BY_KEY]
)
def test_every_layer_is_right(make: Any, training: bool, random_params: Callable[..., Any]) -> None:
    layer, width = LAYERS[make]
    x = np.random.default_rng(1).normal(size=(5, width))
    key = jax.random.key(0, impl="unsafe_rbg") if training else None  # the quickest to compile
    report = check.layer(layer, random_params(layer.init, 0), x, key)
    assert report.ok, report
    assert report.rows[-1][0] == "x"


def by_hand(**slip: Any) -> Layer:
    """A square affine layer with tanh and, in training, dropout of the half; with a slip."""

    def init(key: Array) -> Any:
        return {"w": jax.random.normal(key, (3, 3)), "b": jnp.zeros(3)}

    def forward(params: Any, x: Any, key: Any = None) -> Any:
        z = x @ params["w"] + params["b"]
        a = jnp.tanh(z)
        if key is None:
            return a, (x, a, 1.0)
        mask = 2.0 * jax.random.bernoulli(key, 0.5, a.shape)
        return a * mask, (x, a, mask)

    def backward(params: Any, residuals: Any, dy: Any) -> Any:
        x, a, mask = residuals
        da = dy if "mask" in slip else dy * mask
        dz = da * (1 - (jnp.tanh(a) if "slope" in slip else a) ** 2)
        dw = (x if "x" in slip else x.T) @ dz
        db = dz if "unsummed" in slip else dz.sum(axis=0)
        return {"w": dw, "b": db}, dz @ (params["w"] if "w" in slip else params["w"].T)

    return Layer(init, forward, backward)


LAYER_FAULTS = {
    "x": ("transpose", ("params.w",), 'z = x @ params["w"] + params["b"]'),
    "w": ("transpose", ("x",), 'z = x @ params["w"] + params["b"]'),
    "unsummed": ("shape", ("params.b",), None),
    "slope": ("wrong_point", ("params.b", "params.w", "x"), "a = jnp.tanh(z)"),
    "mask": ("dropped_derivative", ("params.b", "params.w", "x"), "return a * mask, (x, a, mask)"),
}
KEY = jax.random.key(0, impl="unsafe_rbg")


@pytest.mark.parametrize("slip", LAYER_FAULTS)
def test_wrong_layers_are_named(slip: str) -> None:
    code, leaves, line = LAYER_FAULTS[slip]
    params = {"w": RANDOM.normal(size=(3, 3)), "b": B[:3]}
    key = KEY if slip == "mask" else None
    report = check.layer(by_hand(**{slip: True}), params, X[:3], key)
    (finding,) = report.findings
    assert (finding.code, tuple(sorted(finding.leaves))) == (code, leaves), report
    if line is not None:
        assert re.search(r"test_check_vjp\.py:\d+:\d+ \(by_hand.*forward\)", str(finding.where))
        assert f"| {line}" in str(report), report


def test_the_layer_itself_is_right_and_errors_say_so() -> None:
    params = {"w": W[:, :3], "b": B[:3]}
    check.assert_layer(by_hand(), params, X, KEY)
    with pytest.raises(AssertionError, match=r"wrong_point in params\.b, params\.w, x"):
        check.assert_layer(by_hand(slope=True), params, X)
    with pytest.raises(TypeError, match=r"layer must be a jaxnet\.layers\.Layer, got function"):
        check.layer(affine, params, X)  # type: ignore[arg-type]
    only_dx: Any = lambda params, residuals, dy: dy  # noqa: E731
    alone = by_hand()._replace(backward=only_dx)
    with pytest.raises(TypeError, match="a tuple of 2 cotangents, for params, x"):
        check.layer(alone, params, X)
