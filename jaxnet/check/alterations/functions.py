"""The functions of one number that networks are made of, and how their derivatives go wrong.

A loss may call a function by its name or write it out; it is recognised by its values.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np


class Slip(NamedTuple):
    """A wrong derivative: f of the input, or of the output if `of_output`.

    code is wrong_point where the formula is right but taken at the wrong value.
    """

    said: str
    f: Callable[[Any], Any]
    of_output: bool = False
    code: str = "wrong_derivative"


class Function(NamedTuple):
    """A function with its derivative in terms of the input x, and of the output y if people do so.

    due says the derivative in words.
    """

    name: str
    value: Callable[[Any], Any]
    of_x: Callable[[Any], Any]
    of_y: Callable[[Any], Any] | None
    due: str
    slips: tuple[Slip, ...] = ()


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(np.asarray(x) >= 0, 1 / (1 + e), e / (1 + e))


def _erf(x: Any) -> Any:
    return np.asarray(jax.lax.erf(np.asarray(x, np.float64)))


def _digamma(x: Any) -> Any:
    return np.asarray(jax.lax.digamma(np.asarray(x, np.float64)))


def _gamma(x: Any) -> Any:
    return np.exp(np.asarray(jax.lax.lgamma(np.asarray(x, np.float64))))


def _bell(x: Any) -> Any:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _below(x: Any) -> Any:
    return (1 + _erf(x / np.sqrt(2))) / 2


_C = np.sqrt(2 / np.pi)


def _gelu_tanh_slope(x: Any) -> Any:
    t = np.tanh(_C * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * _C * (1 + 3 * 0.044715 * x**2)


def _silu_slope(x: Any) -> Any:
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def _at(said: str, f: Callable[[Any], Any], of_output: bool = False) -> Slip:
    return Slip(said, f, of_output, "wrong_point")


def _leaking(slope: float) -> Slip:
    return Slip(f"a slope of {slope:g} below 0", lambda x: np.where(x > 0, 1.0, slope))


def _monomial(p: float, f: float) -> Slip:
    return Slip(_said_monomial(p, f), lambda x: f * np.asarray(x, float) ** p)


def _said_monomial(p: float, f: float) -> str:
    """F x^p in words: "2 x", "x^3"."""
    power = "" if p == 0 else "x" if p == 1 else f"x^{p:g}"
    return " ".join(part for part in (f"{f:g}" if f != 1 or not power else "", power) if part)


_SIGMOID = Function(
    "the sigmoid",
    sigmoid,
    lambda x: sigmoid(x) * (1 - sigmoid(x)),
    lambda y: y * (1 - y),
    "s (1 - s) with s = sigmoid(x)",
    (
        _at("s (1 - s) at the input where the output s belongs", lambda x: x * (1 - x)),
        _at("sigmoid' at the output", lambda y: sigmoid(y) * (1 - sigmoid(y)), True),
        Slip("1 - s", lambda y: 1 - y, True),
        Slip("s", lambda y: y, True),
        Slip("1 - s^2, which is tanh's,", lambda y: 1 - y**2, True),
        Slip("s (1 + s)", lambda y: y * (1 + y), True),
        Slip("s^2", lambda y: y**2, True),
        Slip("(1 - s)^2", lambda y: (1 - y) ** 2, True),
        Slip("s^2 (1 - s)", lambda y: y**2 * (1 - y), True),
        Slip("s (1 - s)^2", lambda y: y * (1 - y) ** 2, True),
        Slip("exp(-x)", lambda x: np.exp(-x)),
        Slip("the normal density", _bell),
    ),
)

_TANH = Function(
    "tanh",
    np.tanh,
    lambda x: 1 - np.tanh(x) ** 2,
    lambda y: 1 - y**2,
    "1 - tanh(x)^2",
    (
        _at("1 - a^2 at the input where the output a belongs", lambda x: 1 - x**2),
        _at("tanh' at the output", lambda y: 1 - np.tanh(y) ** 2, True),
        Slip("1 - a", lambda y: 1 - y, True),
        Slip("1 + a^2", lambda y: 1 + y**2, True),
        Slip("a (1 - a), which is the sigmoid's,", lambda y: y * (1 - y), True),
        Slip("a", lambda y: y, True),
        Slip("a^2", lambda y: y**2, True),
        Slip("a^2 - 1", lambda y: y**2 - 1, True),
        Slip("(1 - a)^2", lambda y: (1 - y) ** 2, True),
        Slip("1 - |a|", lambda y: 1 - np.abs(y), True),
        Slip("1 - 2 a^2", lambda y: 1 - 2 * y**2, True),
    ),
)

_RELU = Function(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda x: (x > 0) * 1.0,
    lambda y: (y > 0) * 1.0,
    "1 where the input is positive, else 0",
    (
        *(_leaking(a) for a in (0.01, 0.1, 0.2, 0.05, 0.3)),
        Slip("1 below 0 and 0 above", lambda x: (x <= 0) * 1.0),
        Slip("the output for the slope", lambda y: y, True),
        Slip("the input for the slope", lambda x: x),
        Slip("the input's sign for the slope", np.sign),
    ),
)  # fmt: skip

_SOFTPLUS = Function(
    "softplus",
    lambda x: np.logaddexp(x, 0),
    sigmoid,
    lambda y: -np.expm1(-y),
    "sigmoid(x)",
    (
        _at("the sigmoid of the output", sigmoid, True),
        _at("the sigmoid of the sigmoid", lambda x: sigmoid(sigmoid(x))),
        Slip("s (1 - s), which is the sigmoid's derivative,", lambda x: sigmoid(x) * sigmoid(-x)),
        _at("sigmoid(-x), at the argument of the other sign,", lambda x: sigmoid(-x)),
        Slip("exp(x)", np.exp),
        Slip("tanh(x)", np.tanh),
        Slip("relu's mask", lambda x: (x > 0) * 1.0),
        Slip("exp(-y)", lambda y: np.exp(-y), True),
        Slip("1 / (1 + exp(x))", lambda x: sigmoid(-x)),
        Slip("1 - exp(y)", lambda y: -np.expm1(y), True),
    ),
)

_SILU = Function(
    "silu",
    lambda x: x * sigmoid(x),
    _silu_slope,
    None,
    "s + x s (1 - s) with s = sigmoid(x)",
    (
        Slip("sigmoid(x), without x s (1 - s),", sigmoid),
        Slip("x s (1 - s), without s,", lambda x: x * sigmoid(x) * sigmoid(-x)),
        Slip("s (1 - s), which is the sigmoid's,", lambda x: sigmoid(x) * sigmoid(-x)),
        Slip("s + s (1 - s)", lambda x: sigmoid(x) * (1 + sigmoid(-x))),
        Slip("s (1 + x)", lambda x: sigmoid(x) * (1 + x)),
        Slip("s + x (1 - s)", lambda x: sigmoid(x) + x * sigmoid(-x)),
        Slip("y + s", lambda x: x * sigmoid(x) + sigmoid(x)),
        Slip("relu's mask", lambda x: (x > 0) * 1.0),
        _at("silu' at the output", _silu_slope, True),
    ),
)


def _gelu(value: Any, slope: Any, other: Slip) -> Function:
    return Function(
        "gelu",
        value,
        slope,
        None,
        "Phi(x) + x phi(x), of the normal distribution",
        (
            Slip("Phi(x), without x phi(x),", _below),
            Slip("x phi(x), without Phi(x),", lambda x: x * _bell(x)),
            Slip("Phi(x) + phi(x), without the factor x,", lambda x: _below(x) + _bell(x)),
            Slip("Phi(x) - x phi(x)", lambda x: _below(x) - x * _bell(x)),
            Slip("phi(x)", _bell),
            Slip("x Phi(x)", lambda x: x * _below(x)),
            Slip("(1 + tanh) / 2 only", lambda x: 0.5 * (1 + np.tanh(_C * (x + 0.044715 * x**3)))),
            Slip(
                "its derivative without that of the inner polynomial",
                lambda x: (
                    0.5 * (1 + np.tanh(_C * (x + 0.044715 * x**3)))
                    + 0.5 * x * (1 - np.tanh(_C * (x + 0.044715 * x**3)) ** 2) * _C
                ),
            ),
            other,
            Slip("sigmoid(1.702 x)", lambda x: sigmoid(1.702 * x)),
            Slip("relu's mask", lambda x: (x > 0) * 1.0),
            _at("its derivative at the output", slope, True),
        ),
    )


def _leaky(slope: float) -> Function:
    return Function(
        f"leaky relu of slope {slope:g}",
        lambda x: np.where(x > 0, x, slope * x),
        lambda x: np.where(x > 0, 1.0, slope),
        lambda y: np.where(y > 0, 1.0, slope),
        f"1 where the input is positive, else {slope:g}",
        (
            Slip("relu's, 0 below 0,", lambda x: (x > 0) * 1.0),
            Slip("the slopes the other way round", lambda x: np.where(x > 0, slope, 1.0)),
            *(_leaking(a) for a in (0.01, 0.1, 0.2, 1 - slope) if a != slope),
            Slip("minus the slope below 0", lambda x: np.where(x > 0, 1.0, -slope)),
        ),
    )


FUNCTIONS: tuple[Function, ...] = (
    _SIGMOID,
    _TANH,
    _RELU,
    _SOFTPLUS,
    _SILU,
    _gelu(
        lambda x: x * _below(x),
        lambda x: _below(x) + x * _bell(x),
        Slip("the derivative of the tanh form", _gelu_tanh_slope),
    ),
    _gelu(
        lambda x: 0.5 * x * (1 + np.tanh(_C * (x + 0.044715 * x**3))),
        _gelu_tanh_slope,
        Slip("the derivative of the exact form", lambda x: _below(x) + x * _bell(x)),
    ),
    *(_leaky(a) for a in (0.01, 0.1, 0.2, 0.05, 0.3)),
    Function(
        "elu",
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))),
        lambda y: np.where(y > 0, 1.0, y + 1),
        "1 where the input is positive, else exp(x)",
        (
            Slip("relu's, 0 below 0,", lambda x: (x > 0) * 1.0),
            Slip("exp(x) - 1 below 0", lambda y: np.where(y > 0, 1.0, y), True),
            _at("exp at the output below 0", lambda y: np.where(y > 0, 1.0, np.exp(y)), True),
        ),
    ),
    Function(
        "the logarithm of the sigmoid",
        lambda x: -np.logaddexp(-x, 0),
        lambda x: sigmoid(-x),
        None,
        "1 - sigmoid(x)",
        (
            _at("sigmoid(x), at the argument of the other sign,", sigmoid),
            _at("1 - s with s the sigmoid of the sigmoid", lambda x: 1 - sigmoid(sigmoid(x))),
            Slip(
                "s (1 - s), the sigmoid's alone,",
                lambda x: sigmoid(x) * sigmoid(-x),
                code="dropped_derivative",
            ),
            Slip("1 / s", lambda x: 1 / sigmoid(x)),
            Slip("-s", lambda x: -sigmoid(x)),
        ),
    ),
    Function(
        "softplus(-x)",
        lambda x: np.logaddexp(-x, 0),
        lambda x: -sigmoid(-x),
        None,
        "-sigmoid(-x)",
        (
            _at("-sigmoid(x), at the argument of the other sign,", lambda x: -sigmoid(x)),
            Slip("sigmoid(-x), without the minus,", lambda x: sigmoid(-x)),
            Slip("-s (1 - s)", lambda x: -sigmoid(x) * sigmoid(-x)),
            _at("s - 1 with s the sigmoid of the sigmoid", lambda x: sigmoid(sigmoid(x)) - 1),
        ),
    ),
    Function(
        "exp",
        np.exp,
        np.exp,
        lambda y: y,
        "exp(x)",
        (_at("x for exp(x)", lambda x: x), _at("exp at the output", np.exp, True)),
    ),
    Function(
        "log",
        np.log,
        lambda x: 1 / x,
        None,
        "1/x",
        (
            _at("1/x at the output", lambda y: 1 / y, True),
            Slip("1 / x^2", lambda x: 1 / x**2),
            Slip("x", lambda x: x),
            Slip("1 / (1 + x)", lambda x: 1 / (1 + x)),
            Slip("-1/x", lambda x: -1 / x),
        ),
    ),
    Function(
        "sqrt",
        np.sqrt,
        lambda x: 0.5 / np.sqrt(x),
        lambda y: 0.5 / y,
        "1 / (2 sqrt(x))",
        (
            Slip("1 / sqrt(x), without the half,", lambda y: 1 / y, True),
            Slip("2 sqrt(x)", lambda y: 2 * y, True),
            Slip("sqrt(x) / 2", lambda y: 0.5 * y, True),
            Slip("sqrt(x)", lambda y: y, True),
            _at("1 / (2 x)", lambda x: 0.5 / x),
            Slip("-1 / (2 sqrt(x))", lambda y: -0.5 / y, True),
        ),
    ),
    Function(
        "1 / sqrt",
        lambda x: x**-0.5,
        lambda x: -0.5 * x**-1.5,
        lambda y: -0.5 * y**3,
        "-x^(-3/2) / 2",
        (
            Slip("-x^(-3/2), without the half,", lambda y: -(y**3), True),
            Slip("x^(-3/2) / 2, without the minus,", lambda y: 0.5 * y**3, True),
            Slip("-x^(-1/2) / 2", lambda y: -0.5 * y, True),
            Slip("-1 / (2 x)", lambda y: -0.5 * y**2, True),
            Slip("-1/x", lambda y: -(y**2), True),
        ),
    ),
    Function(
        "1/x",
        lambda x: 1 / x,
        lambda x: -1 / x**2,
        lambda y: -(y**2),
        "-1 / x^2",
        (
            Slip("1 / x^2, without the minus,", lambda y: y**2, True),
            Slip("-1/x", lambda y: -y, True),
            Slip("log(x)", lambda x: np.log(np.abs(x))),
        ),
    ),
    Function(
        "log(1 + x)",
        np.log1p,
        lambda x: 1 / (1 + x),
        None,
        "1 / (1 + x)",
        (Slip("1/x", lambda x: 1 / x), Slip("1 + x", lambda x: 1 + x)),
    ),
    Function(
        "log gamma",
        lambda x: np.asarray(jax.lax.lgamma(np.asarray(x, np.float64))),
        _digamma,
        None,
        "digamma(x)",
        (
            Slip("log(x)", np.log),
            Slip("log(x) - 1 / (2 x)", lambda x: np.log(x) - 0.5 / x),
            Slip("log(x - 1)", lambda x: np.log(x - 1)),
            Slip("log(x + 1)", lambda x: np.log(x + 1)),
            _at("digamma at x + 1", lambda x: _digamma(x + 1)),
            Slip("gamma'(x), without dividing by gamma(x),", lambda x: _gamma(x) * _digamma(x)),
        ),
    ),
    Function(
        "arctan",
        np.arctan,
        lambda x: 1 / (1 + x**2),
        lambda y: np.cos(y) ** 2,
        "1 / (1 + x^2)",
        (
            _at("1 / (1 + a^2) at the output a", lambda y: 1 / (1 + y**2), True),
            Slip("1 + x^2", lambda x: 1 + x**2),
            Slip("1 / (1 - x^2)", lambda x: 1 / (1 - x**2)),
            Slip("1 / sqrt(1 - x^2)", lambda x: 1 / np.sqrt(1 - x**2)),
            Slip("1 / cos(x)^2, tan's,", lambda x: 1 / np.cos(x) ** 2),
        ),
    ),
    Function(
        "log cosh",
        lambda x: np.logaddexp(x, -x) - np.log(2),
        np.tanh,
        None,
        "tanh(x)",
        (
            Slip("x", lambda x: x, code="wrong_loss"),  # squares
            Slip("the sign of x", np.sign, code="wrong_loss"),  # sizes
            Slip("1 - tanh(x)^2", lambda x: 1 - np.tanh(x) ** 2),
            Slip("1 / cosh(x)", lambda x: 1 / np.cosh(x)),
            Slip("sinh(x)", np.sinh),
        ),
    ),
    Function(
        "x / (1 + |x|)",
        lambda x: x / (1 + np.abs(x)),
        lambda x: 1 / (1 + np.abs(x)) ** 2,
        lambda y: (1 - np.abs(y)) ** 2,
        "1 / (1 + |x|)^2",
        (
            Slip("1 / (1 + |x|)", lambda x: 1 / (1 + np.abs(x))),
            Slip("1 / (1 + x)^2", lambda x: 1 / (1 + x) ** 2),
            Slip("sign(x) / (1 + |x|)^2", lambda x: np.sign(x) / (1 + np.abs(x)) ** 2),
            _at("1 / (1 + |a|)^2 at the output a", lambda y: 1 / (1 + np.abs(y)) ** 2, True),
        ),
    ),
    Function(
        "the size",
        np.abs,
        np.sign,
        None,
        "the sign of x",
        (
            Slip("x", lambda x: x),
            Slip("|x|", np.abs),
            Slip("1 above 0 and 0 below", lambda x: (x > 0) * 1.0),
        ),
    ),
    Function(
        "sin",
        np.sin,
        np.cos,
        None,
        "cos(x)",
        (
            Slip("-cos(x)", lambda x: -np.cos(x)),
            Slip("sin(x)", np.sin),
            _at("cos at the output", np.cos, True),
        ),
    ),
    Function(
        "cos",
        np.cos,
        lambda x: -np.sin(x),
        None,
        "-sin(x)",
        (
            Slip("sin(x), without the minus,", np.sin),
            Slip("cos(x)", np.cos),
            _at("-sin at the output", lambda y: -np.sin(y), True),
        ),
    ),
    Function("exp(x) - 1", np.expm1, np.exp, lambda y: y + 1, "exp(x)"),
    Function(
        "erf",
        _erf,
        lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2)),
        None,
        "2 exp(-x^2) / sqrt(pi)",
        (Slip("exp(-x^2)", lambda x: np.exp(-(x**2))),),
    ),
)
"""In the order in which they are tried."""


def power(n: float) -> Function:
    """x^n."""
    whole = (
        _monomial(p, f)
        for p, f in ((n - 1, 1), (n, n), (n, 1), (n, n - 1), (n - 2, n), (n - 1, n - 1))
        if (p, f) != (n - 1, n) and not (p == 0 and f == 1) and f != 0
    )
    # For an odd power |x| makes no difference.
    absolute = () if n % 2 else (Slip(f"{n:g} |x|^{n - 1:g}", lambda x: n * np.abs(x) ** (n - 1)),)
    return Function(
        f"the power {n:g}",
        lambda x: np.asarray(x, float) ** n,
        lambda x: n * np.asarray(x, float) ** (n - 1),
        None,
        _said_monomial(n - 1, n),
        (
            *whole,
            *absolute,
            Slip("the sign of x", np.sign),
            Slip(f"{n:g} sign(x)", lambda x: n * np.sign(x)),
            _at(
                f"{_said_monomial(n - 1, n)} at the power itself", lambda y: n * y ** (n - 1), True
            ),
        ),
    )


PIECEWISE = ("relu", "leaky", "elu", "the size")
"""Functions that look like a factor if all numbers have the same sign."""


def recognised(x: np.ndarray, y: np.ndarray) -> Function | None:
    """The function that takes every entry of x to that of y, if it is one of these."""
    if x.shape != y.shape or x.size == 0:
        return None
    few = slice(0, 3)
    one_sided = not (np.min(x) < 0 < np.max(x))
    with np.errstate(all="ignore"):
        for function in FUNCTIONS:
            if one_sided and function.name.startswith(PIECEWISE):
                continue
            if _close(function.value(x.ravel()[few]), y.ravel()[few]) and _close(
                function.value(x), y
            ):
                return function
    return None


def _close(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-11))
