"""AdaGrad, AdaDelta and RMSProp against optax and against their papers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim.adagrad import adadelta, adagrad, rmsprop
from jaxnet.optim.adam import adam

Step = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def adagrad_paper(
    x: np.ndarray,
    learning_rate: float,
    initial_accumulator_value: float,
    eps: float,
    eps_in_sqrt: bool = True,
) -> Step:
    v = np.full_like(x, initial_accumulator_value)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal v
        v = v + g * g
        return -learning_rate * g / (np.sqrt(v + eps) if eps_in_sqrt else np.sqrt(v) + eps)

    return step


def rmsprop_paper(
    x: np.ndarray,
    learning_rate: float,
    decay: float,
    eps: float,
    initial_scale: float,
    momentum: float | None = None,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Step:
    v, m, b = np.full_like(x, initial_scale), np.zeros_like(x), np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal v, m, b
        v = decay * v + (1 - decay) * g * g
        m = decay * m + (1 - decay) * g
        total = 1 - decay**t if bias_correction else 1.0
        variance = np.maximum(v / total - (m / total) ** 2, 0) if centered else v / total
        root = np.sqrt(variance + eps) if eps_in_sqrt else np.sqrt(variance) + eps
        d = learning_rate * g / root
        if momentum is None:
            return -d
        b = momentum * b + d
        return -(d + momentum * b) if nesterov else -b

    return step


ADAGRAD = [
    {"learning_rate": 1e-2, "initial_accumulator_value": 0.1, "eps": 1e-7},
    {"learning_rate": 3e-2, "initial_accumulator_value": 0.5, "eps": 1e-3},
]


def test_adagrad(prove: Any) -> None:
    prove(adagrad, ADAGRAD, witness=optax.adagrad, numpy=adagrad_paper, free_tolerance=1e-6)


def test_adagrad_with_eps_outside_the_root(prove: Any) -> None:
    torch = {"learning_rate": 1e-2, "initial_accumulator_value": 0.0, "eps": 1e-10}
    settings = [*ADAGRAD, torch]
    prove(adagrad, settings, numpy=adagrad_paper, static={"eps_in_sqrt": False})


def test_adadelta(prove: Any) -> None:
    def paper(x: np.ndarray, learning_rate: float, rho: float, eps: float) -> Step:
        g2, d2 = np.zeros_like(x), np.zeros_like(x)

        def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
            nonlocal g2, d2
            g2 = rho * g2 + (1 - rho) * g * g
            d = -np.sqrt(d2 + eps) / np.sqrt(g2 + eps) * g
            d2 = rho * d2 + (1 - rho) * d * d
            return learning_rate * d

        return step

    settings = [
        {"learning_rate": 1.0, "rho": 0.9, "eps": 1e-6},
        {"learning_rate": 0.5, "rho": 0.7, "eps": 1e-3},
    ]
    prove(adadelta, settings, witness=optax.adadelta, numpy=paper, free_tolerance=1e-6)


def test_adadelta_goes_down_by_default_where_optax_climbs() -> None:
    x, g = jnp.ones(3), jnp.asarray([1.0, -2.0, 3.0])
    ours = adadelta()
    u, _ = ours.update(g, ours.init(x), x)
    theirs = optax.adadelta()
    climbing, _ = theirs.update(g, theirs.init(x), x)
    assert (u * g < 0).all()
    np.testing.assert_allclose(u, -climbing, rtol=1e-12)


RMSPROP = [
    {"learning_rate": 1e-2, "decay": 0.9, "eps": 1e-8, "initial_scale": 0.0},
    {"learning_rate": 3e-3, "decay": 0.7, "eps": 1e-3, "initial_scale": 1.0},
]


def test_rmsprop(prove: Any) -> None:
    # Near a minimum the step is lr times a sign, which amplifies rounding: runs part.
    prove(rmsprop, RMSPROP, witness=optax.rmsprop, numpy=rmsprop_paper, free_tolerance=None)


def test_rmsprop_with_eps_outside_bias_correction_and_momentum(prove: Any) -> None:
    prove(
        rmsprop,
        [{**RMSPROP[0], "momentum": 0.9}, {**RMSPROP[1], "momentum": 0.5}],
        witness=optax.rmsprop,
        numpy=rmsprop_paper,
        static={"eps_in_sqrt": False, "bias_correction": True},
        free_tolerance=1e-2,
    )


@pytest.mark.parametrize(
    ("dialect", "eps"),
    [({}, [1e-3, 1e-2]), ({"eps_in_sqrt": False, "nesterov": True}, [0.3, 1.0])],
)
def test_rmsprop_centred(prove: Any, dialect: dict[str, bool], eps: list[float]) -> None:
    # A gradient that hardly changes has a variance that is all cancellation, and float32 needs an
    # eps for that; so do the last digits in float64. With eps outside the root optax has NaN.
    settings = [
        {"learning_rate": 1e-3, "decay": 0.9, "initial_scale": 0.0, "momentum": 0.9},
        {"learning_rate": 3e-3, "decay": 0.7, "initial_scale": 1.0, "momentum": 0.5},
    ]
    static = {"centered": True, **dialect}
    prove(
        rmsprop,
        [{**setting, "eps": e} for setting, e in zip(settings, eps, strict=True)],
        witness=None if dialect else optax.rmsprop,
        numpy=rmsprop_paper,
        static=static,
        tolerance=1e-9,
        free_tolerance=1e-6,
    )


def test_rmsprop_centred_with_bias_correction_has_no_negative_variance() -> None:
    # The first variance is g^2 - g^2: below 0 by rounding for some gradients, where optax has NaN.
    g = jnp.linspace(-1e3, 1e3, 501)
    settings: dict[str, Any] = {"centered": True, "bias_correction": True, "eps_in_sqrt": False}
    theirs = optax.rmsprop(1e-3, eps=1e-2, **settings)
    ours = rmsprop(1e-3, eps=1e-2, **settings)

    @jax.jit
    def run(g: jax.Array) -> Any:
        def step(state: Any, _: None) -> Any:
            (a, first), (b, second) = (
                rule.update(g, s, g) for rule, s in zip((ours, theirs), state, strict=True)
            )
            return (first, second), (a, b)

        return jax.lax.scan(step, (ours.init(g), theirs.init(g)), None, 50)[1]

    mine, optaxs = run(g)
    assert jnp.isfinite(mine).all()
    assert jnp.isnan(optaxs).any()


def test_rmsprop_with_bias_correction_is_adam_without_its_first_average(prove: Any) -> None:
    def as_adam(learning_rate: Any, decay: Any, eps: Any, **static: bool) -> Any:
        return adam(learning_rate, 0.0, decay, eps)

    settings = [
        {"learning_rate": 1e-3, "decay": 0.9, "eps": 1e-8},
        {"learning_rate": 1e-2, "decay": 0.99, "eps": 1e-3},
    ]
    static = {"eps_in_sqrt": False, "bias_correction": True}
    prove(rmsprop, settings, witness=as_adam, static=static, free_tolerance=1e-2)


def test_state_holds_what_a_variant_uses() -> None:
    def arrays(rule: optax.GradientTransformationExtraArgs) -> int:
        return len(jax.tree.leaves(rule.init(jnp.ones(3)))) - 2  # step and learning rate

    assert [arrays(f(0.1)) for f in (adagrad, adadelta, rmsprop)] == [1, 2, 1]
    assert arrays(rmsprop(0.1, centered=True, momentum=0.0)) == 3


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("eps_in_sqrt", [True, False])
def test_zero_gradients_do_not_move(dtype: Any, eps_in_sqrt: bool) -> None:
    x = jnp.ones(3, dtype)
    rules = [
        adagrad(0.1, 0.0, 0.0, eps_in_sqrt),
        adadelta(),
        rmsprop(0.1, centered=True, eps_in_sqrt=eps_in_sqrt),
    ]
    for rule in rules:
        u, _ = rule.update(jnp.zeros_like(x), rule.init(x), x)
        assert u.dtype == dtype
        assert (u == 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: adagrad(-1.0), "adagrad: learning_rate must be a finite number >= 0, got -1.0"),
        (lambda: adagrad(0.1, -1), "adagrad: initial_accumulator_value must be a finite number"),
        (lambda: adagrad(0.1, eps=-1), "adagrad: eps must be a finite number >= 0, got -1"),
        (lambda: adadelta(rho=1.0), r"adadelta: rho must be in \[0, 1\), got 1.0"),
        (lambda: adadelta(eps=-1), "adadelta: eps must be"),
        (lambda: rmsprop(0.1, 1.0), r"rmsprop: decay must be in \[0, 1\), got 1.0"),
        (lambda: rmsprop(0.1, eps=-1), "rmsprop: eps must be"),
        (lambda: rmsprop(0.1, initial_scale=-1), "rmsprop: initial_scale must be"),
        (lambda: rmsprop(0.1, momentum=1.5), "rmsprop: momentum must be"),
    ],
)
def test_messages(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
