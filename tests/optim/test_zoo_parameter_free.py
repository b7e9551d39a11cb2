"""Rules that need no learning rate, against optax and against their papers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet.optim.dadaptation import dadapt_adamw, prodigy
from jaxnet.optim.parameter_free import cocob, dog, dowg

Leaves = list[np.ndarray]
Step = Callable[[Leaves, Leaves, int], Leaves]

START = {
    "scalar": jnp.asarray(0.7),
    "vector": jnp.linspace(-1.0, 2.0, 5),
    "matrix": jnp.linspace(-0.5, 0.5, 6).reshape(2, 3),
}


def valley(params: Any) -> Any:
    """A problem whose leaves are bound to one another."""
    x = params["vector"] * jnp.logspace(-1, 0.5, 5)
    y = params["matrix"] @ jnp.asarray([1.0, -2.0, 0.5]) - params["scalar"]
    return jnp.sum(x**2) + jnp.sum((y - 1) ** 4) + jnp.sin(params["scalar"] + x[0])


def check_tree(
    rule: Callable[..., Any],
    paper: Callable[..., Step],
    settings: list[dict[str, Any]],
    witness: Callable[..., Any] | None = None,
    tolerance: float = 1e-12,
) -> None:
    """200 steps of a rule by itself; its paper and optax answer to the same parameters.

    Errors are relative to the largest entry of the update over all leaves.
    """
    names = settings[0].keys()
    hypers = {name: jnp.asarray([s[name] for s in settings]) for name in names}

    @jax.jit
    @jax.vmap
    def run(hypers: dict[str, Any]) -> Any:
        ours = rule(**hypers)
        theirs = (witness or rule)(**hypers)

        def step(carry: Any, _: None) -> Any:
            x, state, their_state = carry
            g = jax.grad(valley)(x)
            u, state = ours.update(g, state, x)
            their_u, their_state = theirs.update(g, their_state, x)
            return (optax.apply_updates(x, u), state, their_state), (x, g, u, their_u)

        return jax.lax.scan(step, (START, ours.init(START), theirs.init(START)), None, 200)[1]

    xs, gs, us, their_us = (jax.tree.leaves(tree) for tree in jax.device_get(run(hypers)))
    for i, setting in enumerate(settings):
        step = paper([x[i, 0] for x in xs], **setting)
        for t in range(200):
            expected = step([g[i, t] for g in gs], [x[i, t] for x in xs], t + 1)
            atol = tolerance * max(np.abs(e).max() for e in expected)
            for u, theirs, e in zip(us, their_us, expected, strict=True):
                np.testing.assert_allclose(u[i, t], e, rtol=0, atol=atol)
                np.testing.assert_allclose(u[i, t], theirs[i, t], rtol=0, atol=atol)


def dot(a: Leaves, b: Leaves) -> float:
    return float(sum(np.sum(x * y) for x, y in zip(a, b, strict=True)))


def absolute(a: Leaves) -> float:
    return float(sum(np.sum(np.abs(x)) for x in a))


def paper_prodigy(
    x0: Leaves,
    b1: float,
    b2: float,
    b3: float,
    learning_rate: float,
    eps: float,
    estim_lr0: float,
    estim_lr_coef: float,
    weight_decay: float,
    safeguard_warmup: bool = False,
    use_bias_correction: bool = True,
) -> Step:
    """The paper's algorithm, whose sums have (1 - b3) for a factor and not 1 / d0."""
    m, v, s = ([np.zeros_like(x) for x in x0] for _ in range(3))
    r, d = 0.0, estim_lr0

    def step(g: Leaves, x: Leaves, t: int) -> Leaves:
        nonlocal r, d
        gamma = learning_rate
        if use_bias_correction:
            gamma *= np.sqrt(1 - b2**t) / (1 - b1**t)
        r = b3 * r + (1 - b3) * gamma * d**2 * dot(g, [a - b for a, b in zip(x0, x, strict=True)])
        for i, gi in enumerate(g):
            m[i] = b1 * m[i] + (1 - b1) * d * gi
            v[i] = b2 * v[i] + (1 - b2) * (d * gi) ** 2
            s[i] = b3 * s[i] + (1 - b3) * (1 if safeguard_warmup else gamma) * d**2 * gi
        old, d = d, max(d, estim_lr_coef * r / absolute(s))
        return [
            -gamma * old * (mi / (np.sqrt(vi) + d * eps) + weight_decay * xi)
            for mi, vi, xi in zip(m, v, x, strict=True)
        ]

    return step


PRODIGY = [
    {
        "b1": 0.9,
        "b2": 0.999,
        "b3": 0.999**0.5,
        "learning_rate": 1.0,
        "eps": 1e-8,
        "estim_lr0": 1e-6,
        "estim_lr_coef": 1.0,
        "weight_decay": 0.0,
    },
    {
        "b1": 0.7,
        "b2": 0.95,
        "b3": 0.9,
        "learning_rate": 0.5,
        "eps": 1e-3,
        "estim_lr0": 1e-4,
        "estim_lr_coef": 0.5,
        "weight_decay": 1e-2,
    },
]


def with_betas(rule: Callable[..., Any]) -> Callable[..., Any]:
    def flat(b1: Any, b2: Any, b3: Any = None, **rest: Any) -> Any:
        return rule(betas=(b1, b2), **({} if b3 is None else {"beta3": b3}), **rest)

    return flat


def test_prodigy(prove: Any) -> None:
    # By itself d grows by factors of its rounding. Without the safeguard optax in float32 is off
    # by 5e-5 of our sums, which tests of 1e-5 would refuse.
    ours, witness = with_betas(prodigy), with_betas(optax.contrib.prodigy)
    static = {"safeguard_warmup": True}
    prove(ours, PRODIGY, witness=witness, static=static, free_tolerance=1e-5)


@pytest.mark.parametrize("correction", [False, True])
@pytest.mark.parametrize("safeguard", [False, True])
def test_prodigy_paper(safeguard: bool, correction: bool) -> None:
    options = {"safeguard_warmup": safeguard, "use_bias_correction": correction}
    witness = with_betas(optax.contrib.prodigy)
    check_tree(
        lambda **hypers: with_betas(prodigy)(**hypers, **options),
        lambda x0, **hypers: paper_prodigy(x0, **hypers, **options),
        PRODIGY,
        (lambda **hypers: witness(**hypers, safeguard_warmup=safeguard)) if correction else None,
        tolerance=1e-11,  # m and r are sums of both signs, and differ in order
    )


def test_prodigy_takes_the_root_of_b2_for_b3() -> None:
    x, g = jnp.asarray([1.0, 2.0]), jnp.asarray([0.3, -1.0])
    answers = []
    for b3 in (None, 0.81**0.5):
        rule = prodigy(betas=(0.9, 0.81), beta3=b3)
        state = rule.init(x)
        for k in range(3):
            u, state = rule.update(g, state, x + k)
        answers.append((u, state.d))
    assert answers[0][1] == answers[1][1]
    np.testing.assert_array_equal(answers[0][0], answers[1][0])


def paper_dadapt(
    x0: Leaves,
    b1: float,
    b2: float,
    learning_rate: float,
    eps: float,
    estim_lr0: float,
    weight_decay: float,
    use_bias_correction: bool = True,
) -> Step:
    m, v, s = ([np.zeros_like(x) for x in x0] for _ in range(3))
    r, d = 0.0, estim_lr0
    b3 = np.sqrt(b2)

    def step(g: Leaves, x: Leaves, t: int) -> Leaves:
        nonlocal r, d
        rate = d * learning_rate
        if use_bias_correction:
            rate *= np.sqrt(1 - b2**t) / (1 - b1**t)
        preconditioned = [si / (np.sqrt(vi) + eps) for si, vi in zip(s, v, strict=True)]
        r = b3 * r + (1 - b3) * rate * dot(g, preconditioned)
        for i, gi in enumerate(g):
            m[i] = b1 * m[i] + (1 - b1) * rate * gi
            v[i] = b2 * v[i] + (1 - b2) * gi * gi
            s[i] = b3 * s[i] + (1 - b3) * rate * gi
        d = max(d, r / ((1 - b3) * absolute(s)))
        return [
            -weight_decay * rate * xi - mi / (np.sqrt(vi) + eps)
            for mi, vi, xi in zip(m, v, x, strict=True)
        ]

    return step


DADAPT = [
    {k: v for k, v in setting.items() if k not in ("b3", "estim_lr_coef")} for setting in PRODIGY
]


def test_dadapt_adamw(prove: Any) -> None:
    ours, witness = with_betas(dadapt_adamw), with_betas(optax.contrib.dadapt_adamw)
    prove(ours, DADAPT, witness=witness, tolerance=1e-12, free_tolerance=1e-5)


@pytest.mark.parametrize("correction", [False, True])
def test_dadapt_adamw_paper(correction: bool) -> None:
    options = {"use_bias_correction": correction}
    check_tree(
        lambda **hypers: with_betas(dadapt_adamw)(**hypers, **options),
        lambda x0, **hypers: paper_dadapt(x0, **hypers, **options),
        DADAPT,
    )


@pytest.mark.parametrize("kind", ["heuristic", "distance", "learning_rate"])
def test_dog(prove: Any, kind: str) -> None:
    def paper(x0: Leaves, a: float, learning_rate: float, eps: float, weight_decay: float) -> Step:
        r = {
            "distance": a,
            "heuristic": a * (1 + np.sqrt(dot(x0, x0))),
            "learning_rate": 0.0,
        }[kind]
        total = 0.0

        def step(g: Leaves, x: Leaves, t: int) -> Leaves:
            nonlocal r, total
            g = [gi + weight_decay * xi for gi, xi in zip(g, x, strict=True)]
            way = [xi - x0i for xi, x0i in zip(x, x0, strict=True)]
            r = max(r, np.sqrt(dot(way, way)))
            total += dot(g, g)
            eta = a if kind == "learning_rate" and t == 1 else r / np.sqrt(total + eps)
            return [-learning_rate * eta * gi for gi in g]

        return step

    settings = [
        {"a": 1e-6, "learning_rate": 1.0, "eps": 1e-8, "weight_decay": 0.0},
        {"a": 1e-2, "learning_rate": 0.5, "eps": 1e-2, "weight_decay": 1e-2},
    ]

    def of(rule: Callable[..., Any]) -> Callable[..., Any]:
        return lambda a, **hypers: rule(init_step=(kind, a), **hypers)

    if kind == "heuristic":
        prove(of(dog), settings, witness=of(optax.contrib.dog))
    check_tree(of(dog), paper, settings, of(optax.contrib.dog))


def test_dog_moves_after_a_first_gradient_of_zero() -> None:
    x = jnp.asarray([1.0, -2.0])
    moved = []
    for factory in (dog, optax.contrib.dog):
        rule = factory(init_step=("learning_rate", 0.1))
        state = rule.init(x)
        _, state = rule.update(jnp.zeros(2), state, x)
        u, _ = rule.update(x, state, x)
        moved.append(u)
    np.testing.assert_allclose(moved[0], -0.1 * x, rtol=1e-15)
    assert not moved[1].any()


@pytest.mark.parametrize("first", [False, True])
def test_dowg(prove: Any, first: bool) -> None:
    def paper(
        x0: Leaves,
        learning_rate: float,
        eps: float,
        weight_decay: float,
        init_estim_sq_dist: float | None = None,
    ) -> Step:
        r2 = eps if init_estim_sq_dist is None else init_estim_sq_dist
        v = 0.0

        def step(g: Leaves, x: Leaves, t: int) -> Leaves:
            nonlocal r2, v
            g = [gi + weight_decay * xi for gi, xi in zip(g, x, strict=True)]
            way = [xi - x0i for xi, x0i in zip(x, x0, strict=True)]
            r2 = max(r2, dot(way, way))
            v += r2 * dot(g, g)
            return [-learning_rate * r2 / (np.sqrt(v) + eps) * gi for gi in g]

        return step

    settings = [
        {"learning_rate": 1.0, "eps": 1e-4, "weight_decay": 0.0},
        {"learning_rate": 0.5, "eps": 1e-2, "weight_decay": 1e-2},
    ]
    if first:
        settings = [
            s | {"init_estim_sq_dist": a} for s, a in zip(settings, (1e-6, 1e-3), strict=True)
        ]
    if not first:  # by itself the rule overshoots here, and the runs part
        prove(dowg, settings, witness=optax.contrib.dowg, free_tolerance=None)
    check_tree(dowg, paper, settings, optax.contrib.dowg)


def test_cocob(prove: Any) -> None:
    def paper(
        x0: np.ndarray, learning_rate: float, alpha: float, eps: float, weight_decay: float
    ) -> Callable[..., np.ndarray]:
        largest = np.full_like(x0, eps)
        total, reward, theta = (np.zeros_like(x0) for _ in range(3))

        def step(g: np.ndarray, x: np.ndarray, t: int) -> np.ndarray:
            nonlocal largest, total, reward, theta
            g = learning_rate * (g + weight_decay * x)
            largest = np.maximum(largest, np.abs(g))
            total = total + np.abs(g)
            reward = np.maximum(reward - g * (x - x0), 0)
            theta = theta - g
            fraction = theta / (largest * np.maximum(total + largest, alpha * largest))
            update: np.ndarray = x0 + fraction * (largest + reward) - x
            return update

        return step

    settings = [
        {"learning_rate": 1.0, "alpha": 100.0, "eps": 1e-8, "weight_decay": 0.0},
        {"learning_rate": 0.5, "alpha": 20.0, "eps": 1e-2, "weight_decay": 1e-2},
    ]
    # The update is a difference of parameters, x0 + ... - x, much smaller than they are.
    prove(
        cocob, settings, witness=optax.contrib.cocob, numpy=paper, tolerance=1e-11, optimized=True
    )


@pytest.mark.parametrize(
    ("rule", "witness"),
    [(dog, optax.contrib.dog), (dowg, optax.contrib.dowg), (cocob, optax.contrib.cocob)],
)
def test_a_mask_says_what_decays(rule: Any, witness: Any) -> None:
    x = {"w": jnp.asarray([1.0, -2.0]), "b": jnp.asarray([3.0])}
    g = {"w": jnp.asarray([0.5, 0.1]), "b": jnp.asarray([-0.2])}

    def updates(factory: Any, mask: Any) -> Any:
        made = factory(weight_decay=0.5, mask=mask)
        return made.update(g, made.init(x), x)[0]

    for mask in ({"w": True, "b": False}, lambda tree: {"w": False, "b": True}):
        ours, theirs = updates(rule, mask), updates(witness, mask)
        for name in x:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12)


RULES: list[Callable[[], Any]] = [
    prodigy,
    dadapt_adamw,
    dog,
    lambda: dog(init_step=("learning_rate", 1e-3)),
    dowg,
    cocob,
]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("rule", RULES)
def test_zero_gradients_and_odd_leaves(rule: Callable[[], Any], dtype: Any) -> None:
    x = {"scalar": jnp.ones([], dtype), "none": jnp.ones((0,), dtype), "some": jnp.ones(3, dtype)}
    zero = jax.tree.map(jnp.zeros_like, x)
    made = rule()
    update = jax.jit(made.update)
    state = made.init(x)
    types = jax.tree.map(lambda a: (a.dtype, a.weak_type), state)
    for g in (zero, zero, x, zero):
        u, state = update(g, state, x)
        assert jax.tree.map(lambda a: a.dtype, u) == jax.tree.map(lambda a: a.dtype, x)
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((u, state)))
    assert jax.tree.map(lambda a: (a.dtype, a.weak_type), state) == types
    assert made.update({}, made.init({}), {})[0] == {}


def test_optax_cannot_start_from_a_zero_gradient() -> None:
    x = jnp.ones(2)
    for ours, theirs in (
        (prodigy(), optax.contrib.prodigy()),
        (dadapt_adamw(), optax.contrib.dadapt_adamw()),
    ):
        assert np.isfinite(ours.update(jnp.zeros(2), ours.init(x), x)[1].d)
        assert np.isnan(theirs.update(jnp.zeros(2), theirs.init(x), x)[1].estim_lr)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: prodigy(-1.0), "prodigy: learning_rate must be a finite number >= 0, got -1.0"),
        (lambda: prodigy(betas=(1.0, 0.9)), r"prodigy: betas\[0\] must be in \[0, 1\), got 1.0"),
        (lambda: prodigy(betas=(0.9, 2.0)), r"prodigy: betas\[1\] must be in \[0, 1\), got 2.0"),
        (lambda: prodigy(beta3=1.0), r"prodigy: beta3 must be in \[0, 1\), got 1.0"),
        (lambda: prodigy(eps=-1.0), "prodigy: eps must be a finite number >= 0, got -1.0"),
        (lambda: prodigy(estim_lr0=0.0), "prodigy: estim_lr0 must be a finite number > 0, got 0.0"),
        (lambda: prodigy(estim_lr_coef=-1.0), "prodigy: estim_lr_coef must be a finite number"),
        (lambda: prodigy(weight_decay=-1.0), "prodigy: weight_decay must be a finite number"),
        (lambda: dadapt_adamw(estim_lr0=-1.0), "dadapt_adamw: estim_lr0 must be .* > 0, got -1.0"),
        (lambda: dadapt_adamw(betas=(0.9, 1.0)), r"dadapt_adamw: betas\[1\] must be in \[0, 1\)"),
        (
            lambda: dog(init_step=("guess", 1.0)),  # type: ignore[arg-type]
            r"dog: init_step\[0\] must be 'distance' or 'learning_rate' or .*, got 'guess'",
        ),
        (lambda: dog(init_step=("distance", 0.0)), r"dog: init_step\[1\] must be .* > 0"),
        (lambda: dog(eps=-1.0), "dog: eps must be a finite number >= 0, got -1.0"),
        (lambda: dog(weight_decay=-1.0), "dog: weight_decay must be a finite number >= 0"),
        (lambda: dowg(eps=0.0), "dowg: eps must be a finite number > 0, got 0.0"),
        (lambda: dowg(init_estim_sq_dist=0.0), "dowg: init_estim_sq_dist must be .* > 0, got 0.0"),
        (lambda: cocob(alpha=0.0), "cocob: alpha must be a finite number > 0, got 0.0"),
        (lambda: cocob(eps=0.0), "cocob: eps must be a finite number > 0, got 0.0"),
        (lambda: cocob(weight_decay=-1.0), "cocob: weight_decay must be a finite number >= 0"),
        (lambda: _without_params(prodigy()), "prodigy: update needs the parameters"),
        (lambda: _without_params(dadapt_adamw()), "dadapt_adamw: update needs the parameters"),
        (lambda: _without_params(dog()), "dog: update needs the parameters"),
        (lambda: _without_params(dowg()), "dowg: update needs the parameters"),
        (lambda: _without_params(cocob()), "cocob: update needs the parameters"),
    ],
)
def test_errors(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def _without_params(rule: Any) -> Any:
    x = jnp.ones(2)
    return rule.update(x, rule.init(x))
