"""Rules of Adam's shape with other moments against optax and against their papers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim.adam_centered import acprop, adabelief
from jaxnet.optim.adam_variants import adan, ademamix, adopt, yogi

Step = Callable[[np.ndarray, np.ndarray, int], Any]

# These rules divide small numbers by small ones near a minimum, which amplifies rounding: the
# paths of two runs part although every step agrees, so that only single steps are compared.
FREE = None


def adabelief_paper(
    x: np.ndarray,
    learning_rate: float,
    b1: float,
    b2: float,
    eps: float,
    eps_root: float,
    nesterov: bool = False,
) -> Step:
    m, s = np.zeros_like(x), np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m, s
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * np.square(g - m) + eps_root
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        return -learning_rate * m_hat / (np.sqrt(s / (1 - b2**t)) + eps)

    return step


# Small steps: the two output biases have opposite gradients, so that in longer steps, where their
# average changes sign, the whole leaf nearly cancels, and float32 shows it.
BELIEF = [
    {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-16, "eps_root": 1e-16},
    {"learning_rate": 3e-3, "b1": 0.5, "b2": 0.9, "eps": 1e-3, "eps_root": 1e-4},
]


@pytest.mark.parametrize("nesterov", [False, True])
def test_adabelief(prove: Any, nesterov: bool) -> None:
    prove(
        adabelief,
        BELIEF,
        witness=optax.adabelief,
        numpy=adabelief_paper,
        static={"nesterov": nesterov},
        # The denominator is a difference, g - m, that nears 0 with the gradient.
        tolerance=1e-10,
        free_tolerance=FREE,
    )


def yogi_paper(
    x: np.ndarray,
    learning_rate: float,
    b1: float,
    b2: float,
    eps: float,
    initial_accumulator_value: float = 1e-6,
    bias_correction: bool = True,
) -> Step:
    v = np.full_like(x, initial_accumulator_value)
    m = v if bias_correction else np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m, v
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * np.sign(v - g * g) * g * g
        c1, c2 = (1 - b1**t, 1 - b2**t) if bias_correction else (1, 1)
        return -learning_rate * (m / c1) / (np.sqrt(v / c2) + eps)

    return step


YOGI = [
    {"learning_rate": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-3},
    {"learning_rate": 3e-2, "b1": 0.5, "b2": 0.9, "eps": 1e-2},
]


def test_yogi(prove: Any) -> None:
    prove(yogi, YOGI, witness=optax.yogi, numpy=yogi_paper, free_tolerance=FREE)


def test_yogi_of_the_paper(prove: Any) -> None:
    settings = [
        s | {"initial_accumulator_value": a} for s, a in zip(YOGI, (1e-6, 1e-2), strict=True)
    ]
    prove(yogi, settings, numpy=yogi_paper, static={"bias_correction": False})


def adan_paper(
    x: np.ndarray,
    learning_rate: float,
    b1: float,
    b2: float,
    b3: float,
    eps: float,
    eps_root: float,
    weight_decay: float,
    factor: float | None = None,
) -> Step:
    """factor is that of the change of the gradient, b2; optax 0.2.8 has 1 - b2."""
    m, v, n, last = (np.zeros_like(x) for _ in range(4))
    factor = b2 if factor is None else factor

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m, v, n, last
        d = g - last if t > 1 else np.zeros_like(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * d
        n = b3 * n + (1 - b3) * np.square(g + factor * d)
        last = g
        direction = m / (1 - b1**t) + factor * v / (1 - b2**t)
        root = np.sqrt(n / (1 - b3**t) + eps_root)
        return -learning_rate * (direction / (root + eps) + weight_decay * x)

    return step


ADAN = [
    {"learning_rate": 1e-2, "b1": 0.98, "b2": 0.92, "b3": 0.99}
    | {"eps": 1e-8, "eps_root": 1e-8, "weight_decay": 0.0},
    {"learning_rate": 3e-2, "b1": 0.6, "b2": 0.7, "b3": 0.9}
    | {"eps": 1e-3, "eps_root": 1e-4, "weight_decay": 0.2},
]


def test_adan(prove: Any) -> None:
    prove(adan, ADAN, numpy=adan_paper)


def updates(rule: optax.GradientTransformation, gradients: np.ndarray) -> np.ndarray:
    """What a rule answers to a row of gradients, at the parameters 1."""
    x = jnp.ones(gradients.shape[1])

    def step(state: Any, g: jax.Array) -> Any:
        u, state = rule.update(g, state, x)
        return state, u

    return np.asarray(jax.lax.scan(step, rule.init(x), jnp.asarray(gradients))[1])


def written(paper: Step, gradients: np.ndarray) -> np.ndarray:
    """The same of a rule in NumPy."""
    x = np.ones(gradients.shape[1])
    return np.stack([paper(g, x, t) for t, g in enumerate(gradients, 1)])


GRADIENTS = np.random.default_rng(0).normal(size=(20, 4))


@pytest.mark.parametrize("setting", ADAN)
def test_adan_is_not_that_of_optax(setting: dict[str, float]) -> None:
    ours, theirs = (updates(rule(**setting), GRADIENTS) for rule in (adan, optax.adan))
    x = np.ones(4)
    right = written(adan_paper(x, **setting), GRADIENTS)
    wrong = written(adan_paper(x, factor=1 - setting["b2"], **setting), GRADIENTS)
    np.testing.assert_allclose(ours, right, rtol=1e-12)
    np.testing.assert_allclose(theirs, wrong, rtol=1e-12)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
    assert (np.abs(ours[1:] - theirs[1:]).max(axis=1) > 0.03 * setting["learning_rate"]).all()


def ademamix_paper(
    x: np.ndarray,
    learning_rate: float,
    b1: float,
    b2: float,
    b3: float,
    alpha: float,
    eps: float,
    eps_root: float,
    weight_decay: float,
    warmup_steps: int = 0,
) -> Step:
    fast, slow, v = (np.zeros_like(x) for _ in range(3))

    def warm(t: int) -> tuple[float, float]:
        if t >= warmup_steps:
            return b3, alpha
        w = t / warmup_steps
        log_b3 = np.log(b1) * np.log(b3) / ((1 - w) * np.log(b3) + w * np.log(b1))
        return float(np.exp(log_b3)), alpha * w

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal fast, slow, v
        b3_t, alpha_t = warm(t)
        fast = b1 * fast + (1 - b1) * g
        slow = b3_t * slow + (1 - b3_t) * g
        v = b2 * v + (1 - b2) * g * g
        root = np.sqrt(v / (1 - b2**t) + eps_root)
        direction = (fast / (1 - b1**t) + alpha_t * slow) / (root + eps)
        return -learning_rate * (direction + weight_decay * x)

    return step


# Small steps, as for BELIEF.
ADEMAMIX = [
    {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.999, "b3": 0.9999, "alpha": 5.0}
    | {"eps": 1e-8, "eps_root": 0.0, "weight_decay": 0.0},
    {"learning_rate": 3e-3, "b1": 0.5, "b2": 0.9, "b3": 0.99, "alpha": 2.0}
    | {"eps": 1e-3, "eps_root": 1e-4, "weight_decay": 0.02},
]


def test_ademamix(prove: Any) -> None:
    # 1 - b3 loses four digits, and where m1 and m2 oppose each other some more go.
    prove(ademamix, ADEMAMIX, numpy=ademamix_paper, tolerance=1e-11)


@pytest.mark.parametrize("setting", ADEMAMIX)
def test_ademamix_is_that_of_optax(setting: dict[str, Any]) -> None:
    ours, theirs = (updates(f(**setting), GRADIENTS) for f in (ademamix, optax.contrib.ademamix))
    np.testing.assert_allclose(ours, theirs, rtol=1e-11)


def test_ademamix_warms_up_as_the_paper_has_it(prove: Any) -> None:
    # b3_t is near 1 and comes from logarithms near 0: 1 - b3_t loses four digits.
    static = {"warmup_steps": 120}
    prove(ademamix, ADEMAMIX, numpy=ademamix_paper, static=static, tolerance=1e-10)


def test_ademamix_takes_schedules() -> None:
    def b3(step: Any) -> Any:
        return 0.99 - 0.01 * step

    def alpha(step: Any) -> Any:
        return 1.0 + step

    ours, theirs = (
        updates(rule(0.1, b3=b3, alpha=alpha), GRADIENTS)
        for rule in (ademamix, optax.contrib.ademamix)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def adopt_paper(
    x: np.ndarray,
    learning_rate: float,
    b1: float,
    b2: float,
    eps: float,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Any = None,
) -> Step:
    m, v = np.zeros_like(x), np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m, v
        if t == 1:
            v = g * g
            return np.zeros_like(g)
        c = g / np.maximum(np.sqrt(v), eps)
        if use_clipping:
            bound = (t - 1) ** 0.25 if clip_value_fn is None else clip_value_fn(np.float64(t - 1))
            c = np.clip(c, -bound, bound)
        m = b1 * m + (1 - b1) * c
        v = b2 * v + (1 - b2) * g * g
        return -learning_rate * (b1 * m + (1 - b1) * c if nesterov else m)

    return step


@pytest.mark.parametrize(
    "static",
    [
        {},
        {"nesterov": True, "clip_value_fn": lambda k: 0.1 * k},
        {"use_clipping": False},
    ],
)
def test_adopt(prove: Any, static: dict[str, Any]) -> None:
    settings = [
        {"learning_rate": 1e-2, "b1": 0.9, "b2": 0.9999, "eps": 1e-6},
        {"learning_rate": 3e-2, "b1": 0.5, "b2": 0.9, "eps": 1e-2},
    ]
    prove(
        adopt,
        settings,
        witness=optax.contrib.adopt,
        numpy=adopt_paper,
        static=static,
        free_tolerance=FREE,
    )


def acprop_paper(
    x: np.ndarray,
    learning_rate: float,
    b1: float,
    b2: float,
    eps: float,
    eps_root: float,
    weight_decay: float,
    optax_version: bool = False,
) -> Step:
    """optax 0.2.8 takes the deviation from the m before, and divides the first step by 1 + eps."""
    m, s = np.zeros_like(x), np.zeros_like(x)

    def step(g: np.ndarray, x: np.ndarray, t: int) -> Any:
        nonlocal m, s
        if t == 1:
            direction = g / (1 + eps) if optax_version else g
        else:
            direction = g / (np.sqrt(s / (1 - b2 ** (t - 1))) + eps)
        old, m = m, b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * np.square(g - (old if optax_version else m)) + eps_root
        return -learning_rate * (direction + weight_decay * x)

    return step


ACPROP = [s | {"weight_decay": wd} for s, wd in zip(BELIEF, (0.0, 0.2), strict=True)]


def test_acprop(prove: Any) -> None:
    # The denominator is a difference, g - m, that nears 0 with the gradient.
    prove(acprop, ACPROP, numpy=acprop_paper, tolerance=1e-10)


@pytest.mark.parametrize("setting", ACPROP)
def test_acprop_is_not_that_of_optax(setting: dict[str, Any]) -> None:
    theirs = updates(optax.contrib.acprop(**setting), GRADIENTS)
    ours = updates(acprop(**setting), GRADIENTS)
    x = np.ones(4)
    right = written(acprop_paper(x, **setting), GRADIENTS)
    wrong = written(acprop_paper(x, optax_version=True, **setting), GRADIENTS)
    np.testing.assert_allclose(ours, right, rtol=1e-12)
    np.testing.assert_allclose(theirs, wrong, rtol=1e-12)
    assert (np.abs(ours[1:] - theirs[1:]).max(axis=1) > 0.03 * setting["learning_rate"]).all()


RULES = [adabelief, yogi, adan, ademamix, adopt, acprop]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", -1.0), ("b1", 1.0), ("b2", -0.1), ("eps", -1e-8)]
)
def test_a_number_out_of_range(rule: Callable[..., Any], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{rule.__name__}: {name} .*got {value!r}"):
        rule(**{"learning_rate": 0.1, name: value})


@pytest.mark.parametrize(
    ("rule", "name", "value"),
    [
        (adabelief, "eps_root", -1.0),
        (yogi, "initial_accumulator_value", -1.0),
        (adan, "b3", 1.0),
        (adan, "weight_decay", -1.0),
        (ademamix, "b3", 1.5),
        (ademamix, "alpha", -1.0),
        (ademamix, "warmup_steps", -1),
        (acprop, "weight_decay", -1.0),
    ],
)
def test_another_argument_out_of_range(rule: Callable[..., Any], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{rule.__name__}: {name} .*got {value!r}"):
        rule(0.1, **{name: value})


def test_a_warm_up_needs_decays_above_0() -> None:
    with pytest.raises(ValueError, match="ademamix: b1 must be above 0 for a warm-up"):
        ademamix(0.1, b1=0.0, warmup_steps=10)
