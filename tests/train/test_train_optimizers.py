"""`fit` with clipping, optax's rules, and layers that observe or draw."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from jaxnet import layers, models, optim
from jaxnet.layers import Statistics
from jaxnet.train import fit


def test_clipping_is_that_of_optax(
    classification: Any, by_hand: Any, agree: Any, key: Array
) -> None:
    model, data, _ = classification
    rule = optim.momentum(0.5)
    result = fit(model, rule, data, steps=5, key=key, clip_value=0.05, clip_norm=0.1)
    clipped = optax.chain(optax.clip(0.05), optax.clip_by_global_norm(0.1), rule)
    agree(result.params, by_hand(model, clipped, data, 5, key=key).params[-1], 1e-12)


def test_clipping_limits_what_the_optimizer_sees(classification: Any, key: Array) -> None:
    model, data, _ = classification
    start = model.init(key)

    def first_step(**options: Any) -> np.ndarray:
        params = fit(model, optim.gd(1.0), data, steps=1, params=start, **options).params
        moves = jax.tree.map(jnp.subtract, start, params)
        return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(moves)])

    gradient = first_step()
    limit = float(np.median(np.abs(gradient)))
    clipped = np.clip(gradient, -limit, limit)
    np.testing.assert_allclose(first_step(clip_value=limit), clipped, atol=1e-12)
    size = np.linalg.norm(clipped)
    # By value first: the norm of what is left is what the second limit looks at.
    np.testing.assert_allclose(
        first_step(clip_value=limit, clip_norm=float(size / 2)), clipped / 2, atol=1e-12
    )
    np.testing.assert_allclose(first_step(clip_norm=1e6), gradient, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [layers.chain(), layers.batch_norm(2)],
    ids=["plain", "masked"],
)
def test_rules_that_search_along_a_line_get_the_loss(layer: Any) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20, 2))
    t = x @ np.array([[2.0], [-3.0]]) + 1
    model = models.from_layer(layers.chain(layer, layers.dense(2, 1)), "squared_error")
    result = fit(model, optax.lbfgs(), (x, t), steps=12)
    assert result.history["loss"][-1] < 1e-3 * result.history["loss"][0]


DECAY = 0.8
STEPS = 6


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (optim.nag(0.1), {}),
        (optim.momentum(0.1), {"gradient": "auto", "clip_norm": 0.5, "clip_value": 0.2}),
        (optax.adamw(0.1, weight_decay=0.5), {}),
    ],
    ids=["nag", "clipped", "adamw"],
)
def test_running_statistics_are_observed_and_not_learned(
    agree: Any, optimizer: Any, options: dict[str, Any]
) -> None:
    """Batch normalisation of the inputs themselves: what it observes does not depend on learning.

    After k steps on the same rows the mean is (1 - decay^k) mean(x), the variance decay^k +
    (1 - decay^k) var(x).
    """
    rng = np.random.default_rng(5)
    x = rng.normal(2.0, 3.0, size=(10, 2))
    t = (np.arange(10) % 2)[:, None].astype(float)
    model = models.from_layer(
        layers.chain(layers.batch_norm(2, decay=DECAY), layers.dense(2, 1)), "squared_error"
    )
    result = fit(model, optimizer, (x, t), steps=STEPS, validation=(x, t), **options)
    share = 1 - DECAY**STEPS
    statistics = result.params[0]["statistics"]
    np.testing.assert_allclose(statistics.mean, share * x.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(
        statistics.variance, 1 - share + share * x.var(axis=0, ddof=1), rtol=1e-10
    )
    # The optimizer has no place for them.
    assert not any(
        isinstance(node, Statistics)
        for node in jax.tree.leaves(result.state, is_leaf=lambda node: isinstance(node, Statistics))
    )
    last = model.loss(result.params, (jnp.asarray(x), jnp.asarray(t)))
    assert result.history["validation_loss"][-1] == pytest.approx(float(last), rel=1e-12)

    # What is learned is learned as if the statistics were no parameters at all. In training the
    # output does not depend on them.
    def loss(learned: Any) -> Array:
        frozen = Statistics(jnp.zeros(2), jnp.ones(2))
        params = [learned[0] | {"statistics": frozen}, learned[1]]
        return model.loss(params, (jnp.asarray(x), jnp.asarray(t)), jax.random.key(0))

    key_start, *_ = jax.random.split(jax.random.key(0), 3)
    start = model.init(key_start)
    learned = [{k: v for k, v in start[0].items() if k != "statistics"}, start[1]]
    if options:
        optimizer = optax.chain(
            optax.clip(options["clip_value"]), optax.clip_by_global_norm(options["clip_norm"]),
            optimizer,
        )  # fmt: skip
    state = optimizer.init(learned)

    @jax.jit
    def step(learned: Any, state: Any) -> Any:
        updates, state = optimizer.update(jax.grad(loss)(learned), state, learned)
        return optax.apply_updates(learned, updates), state

    for _ in range(STEPS):
        learned, state = step(learned, state)
    answer = optim.eval_params(state, learned)
    agree([{k: result.params[0][k] for k in ("scale", "shift")}, result.params[1]], answer, 1e-10)


def test_dropout_draws_in_training_and_not_in_evaluation(
    classification: Any, by_hand: Any, agree: Any, key: Array
) -> None:
    _, data, validation = classification
    net = layers.chain(layers.dense(3, 8, "tanh"), layers.dropout(0.5), layers.dense(8, 2))
    model = models.from_layer(net, "softmax_cross_entropy")
    result = fit(model, optim.gd(0.3), data, steps=6, key=key, validation=validation)
    # The same masks, from the same keys.
    due = by_hand(model, optim.gd(0.3), data, 6, key=key)
    agree(result.params, due.params[-1], 1e-12)
    # Every step drops other units: at the same parameters its loss would differ.
    still = fit(model, optim.gd(0.0), data, steps=6, key=key, validation=validation).history
    assert len(np.unique(still["loss"])) == 6
    assert len(np.unique(still["validation_loss"])) == 1
    evaluated = model.loss(result.params, validation)
    assert result.history["validation_loss"][-1] == pytest.approx(float(evaluated), rel=1e-12)
