"""The training doctor: planted runs, its measurements, and what it says."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import check, layers, models, optim, train
from jaxnet.check.runs import lab, labels, model, probe as probes, starts, verdict
from jaxnet.check.runs.curvature import curvature, lanczos
from jaxnet.check.runs.history import program
from jaxnet.check.runs.look import look
from jaxnet.check.runs.probe import CLEAR, MANY, _beyond_chance, _relation_to_columns, probe
from jaxnet.check.runs.trial import trial
from jaxnet.check.runs.work import PER_OPERATION, work
from jaxnet.cli import main

from .planted_training import FAILURES, HEALTHY
from .planted_training.case import Case
from .planted_training.data import moons, scaled
from .planted_training.nets import classify, dense

SAMPLE = [*FAILURES[4::17], *HEALTHY[::12]]
"""All of them: python -m tests.check.planted_training."""


@pytest.mark.parametrize("case", SAMPLE, ids=[case.name for case in SAMPLE])
def test_planted_runs(case: Case) -> None:
    loss, params, batch, options = case.make()
    report = check.training(loss, params, batch, **options)
    got = None if report.ok else report.findings[0].code
    assert got == case.code or got in case.accept, report


def squares() -> tuple[Any, Any, Any]:
    """Linear regression of x^2 on 1, x and x^2."""
    x = jnp.arange(1.0, 6.0)

    def loss(w: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ w - t) ** 2)

    return loss, jnp.full(3, 0.5), (jnp.stack([x**0, x, x**2], axis=1), x**2)


def test_linear_regression_on_squared_features() -> None:
    loss, w, (x, t) = squares()
    report = check.training(loss, w, (x, t), learning_rate=0.01)
    assert [f.code for f in report.findings] == ["unscaled_inputs"]
    losses = report.data["losses"]
    np.testing.assert_allclose(losses[0], 25.45, rtol=1e-6)
    np.testing.assert_allclose([losses[10], losses[20]], [2.104e11, 1.782e21], rtol=1e-3)
    evidence = report.findings[0].evidence
    values = np.linalg.eigvalsh(2 / 5 * np.asarray(x).T @ np.asarray(x))
    np.testing.assert_allclose(evidence["lambda_max"], values[-1], rtol=1e-6)
    np.testing.assert_allclose(evidence["largest_stable_step"], 2 / values[-1], rtol=1e-6)
    np.testing.assert_allclose(evidence["condition_number"], values[-1] / values[0], rtol=1e-4)
    assert evidence["condition_number_standardised"] < evidence["condition_number"] / 20
    assert evidence["loss_standardised"] < 20
    assert "413.6" in str(report)


def test_the_curvature_is_that_of_the_dense_hessian() -> None:
    x, t = moons(60)
    params, loss = dense(0, 2, 30, 2), classify()
    flat, unflatten = jax.flatten_util.ravel_pytree(params)
    hessian = jax.hessian(lambda v: loss(unflatten(v), x, t))(flat)
    values = np.linalg.eigvalsh(np.asarray(hessian, np.float64))
    found = curvature(loss, params, x, t)
    assert flat.size > 60
    np.testing.assert_allclose(found.largest, values[-1], rtol=1e-3)
    np.testing.assert_allclose(found.smallest, values[0], rtol=1e-2)
    assert found.steps_to_converge(0.1) == pytest.approx(
        np.log(0.1) / np.log(1 - 0.1 * found.weakest)
    )


def test_the_predictions_and_the_units_are_found_inside_jit() -> None:
    x, t = scaled("iris")
    params = dense(0, 4, 8, 3)
    params[0]["b"] = jnp.where(jnp.arange(8) < 2, -100.0, 0.0)
    loss = jax.jit(classify(jax.nn.relu))
    whole = trial(loss, params, (x, t), None, 0.1, None, None, 10, None, True, None)
    seen = look(whole, whole.params)
    assert seen is not None
    z = jax.nn.relu(x @ params[0]["w"] + params[0]["b"]) @ params[1]["w"] + params[1]["b"]
    np.testing.assert_allclose(np.asarray(seen.predictions), z, rtol=1e-5, atol=1e-5)
    (units,) = seen.units
    assert (units.kind, units.units, units.dead) == ("relu", 8, 2 / 8)
    assert [layer.size > 0 for layer in seen.layers] == [True, True]


def test_the_line_of_a_nan_and_of_a_broadcast() -> None:
    def logs(w: Any, x: Any, t: Any) -> Any:
        return jnp.mean((jnp.log(x) @ w - t) ** 2)

    x = np.abs(np.random.default_rng(0).normal(size=(30, 3)))
    x[4, 1] = 0
    (finding,) = check.training(logs, jnp.ones(3), (x, x[:, 0]), learning_rate=0.1).findings
    assert finding.code == "nonfinite"
    assert "test_check_training.py" in str(finding.where)
    assert "(test_the_line_of_a_nan_and_of_a_broadcast.<locals>.logs)" in str(finding.where)

    def squared(w: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ w - t) ** 2)

    (finding,) = check.training(squared, jnp.ones((3, 1)), (x, x[:, 0]), learning_rate=0.1).findings
    assert finding.code == "label_mismatch"
    assert "locals>.squared" in str(finding.where)
    assert "(30, 1)" in finding.message


def test_a_healthy_run_says_its_figures_and_its_progress() -> None:
    x, t = moons(80)
    told: list[str] = []
    report = check.training(
        classify(), dense(0, 2, 8, 2), (x, t), learning_rate=0.5, steps=200, progress=told.append
    )
    assert report.ok, report
    assert {"lambda_max", "largest_stable_step", "condition_number", "explained"} <= set(
        report.data
    )
    assert any("training" in phase for phase in told)
    assert [len(units["each"]) for units in report.data["units"]] == [8]
    assert all(layer["output"] > 0 < layer["gradient"] for layer in report.data["layers"])
    assert len(report.data["layers"]) == 2
    np.testing.assert_allclose(report.data["columns"]["mean"], x.mean(axis=0), rtol=1e-5)
    said = str(report)
    assert "gradient descent, learning rate 0.5" in said
    assert "all 80 rows" in said
    assert "activation 1: 8 tanh" in said
    assert json.loads(json.dumps(report.to_dict()))["ok"]


def test_without_a_learning_rate_the_curvature_gives_one() -> None:
    loss, _, (x, t) = squares()
    x = (x - x.mean(axis=0)) / jnp.maximum(x.std(axis=0), 1) + (x.std(axis=0) == 0)
    assert check.training(loss, jnp.zeros(3), (x, (t - 11) / 9), steps=300).ok


def test_leaves_that_are_no_numbers_to_train_are_left_alone() -> None:
    x, t = moons(60)
    params = {"net": dense(0, 2, 8, 2), "depth": 3, "key": jax.random.key(0)}
    report = check.training(
        lambda p, x, t: classify()(p["net"], x, t), params, (x, t), learning_rate=0.5
    )
    assert report.ok, report


def test_assert_trains() -> None:
    loss, w, batch = squares()
    with pytest.raises(AssertionError, match="unscaled_inputs"):
        check.assert_trains(loss, w, batch, learning_rate=0.01)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"params": jnp.arange(3)}, TypeError, "must hold floating-point numbers"),
        ({"batch": (np.ones((5, 3)), np.ones(4))}, ValueError, "one row per example"),
        ({"batch": np.ones((5, 3))}, ValueError, "pair of inputs and targets"),
        ({"direction": lambda g: g}, ValueError, "needs a learning_rate"),
        ({"optimizer": "adam"}, TypeError, "optax gradient transformation"),
        ({"steps": 0}, ValueError, "positive integer"),
        ({"learning_rate": float("nan")}, ValueError, "must be a finite number"),
        ({"learning_rate": np.float32("nan")}, ValueError, "must be a finite number"),
        ({"learning_rate": jnp.inf * jnp.ones(())}, ValueError, "must be a finite number"),
        ({"learning_rate": "0.1"}, TypeError, "must be a finite number"),
        ({"learning_rate": 0.1, "optimizer": optax.adam(0.1)}, ValueError, "not both"),
        ({"batch_size": 6}, ValueError, "batch_size is 6, but there are 5 rows only"),
        (
            {"learning_rate": optax.cosine_decay_schedule(0.1, 9), "direction": lambda g: g},
            TypeError,
            "a direction needs a number",
        ),
        ({"loss": lambda w, x, t: x @ w - t}, ValueError, "must give one number"),
        ({"loss": lambda w, x, t: w["v"].sum()}, TypeError, "your loss raised TypeError: "),
        ({"loss": lambda w, x: w.sum()}, TypeError, "your loss raised TypeError: "),
        ({"loss": models.mlp([3, 1])}, TypeError, r"got a Model; pass lambda params, x, t"),
        ({"batch": ([[1.0, 2.0, 3.0]] * 5, [1.0] * 5)}, ValueError, r"with np\.array"),
        ({"batch": (np.ones((5, 3)), np.array(list("abcab")))}, TypeError, "must hold numbers"),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception], said: str) -> None:
    loss, w, batch = squares()
    with pytest.raises(error, match=said):
        check.training(**({"loss": loss, "params": w, "batch": batch} | change))


FILE = """
import jax.numpy as jnp

LEARNING_RATE = {rate}
STEPS = 30

def loss(w, x, t):
    return jnp.mean((x @ w - t) ** 2)

def make(seed):
    x = jnp.linspace(-1.0, 1.0, 20)[:, None]
    return jnp.zeros(1), (x, 2 * x[:, 0])
"""


def test_the_command_on_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE.format(rate=0.5))
    assert main(["doctor", str(file)]) == 0
    assert "healthy" in capsys.readouterr().out
    file.write_text(FILE.format(rate=50.0))
    assert main(["doctor", str(file), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [f["code"] for f in said["findings"]] == ["step_too_large"]
    file.write_text("loss = None")
    assert main(["doctor", str(file)]) == 2
    assert "does not define make" in capsys.readouterr().err


def test_the_command_on_options(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", "iris", "--hidden", "8", "--steps", "60", "--optimizer", "gd"]
    assert main(["doctor", *options, "--learning-rate", "0.5", "--init", "glorot_uniform"]) == 0
    assert main(["doctor", *options, "--learning-rate", "1e-7", "--init", "glorot_uniform"]) == 1
    assert "step_too_small" in capsys.readouterr().out


def test_fit_asks_the_doctor_about_a_run_that_fails() -> None:
    x = jnp.arange(1.0, 6.0)[:, None]
    line = models.polynomial_regression(degree=2)
    with pytest.raises(train.NonFiniteError) as caught:
        train.fit(line, optim.gd(0.01), (x, x**2), steps=400, doctor=True)
    report = caught.value.report
    assert report is caught.value.result.report
    assert report.findings[0].code in ("step_too_large", "unscaled_inputs")
    assert str(report) in caught.value.__notes__
    model = models.mlp([2, 8, 2], loss="softmax_cross_entropy")
    with pytest.warns(RuntimeWarning, match="step_too_small"):
        result = train.fit(model, optax.sgd(1e-9), moons(60), steps=20, doctor=True)
    assert result.report.findings[0].code == "step_too_small"
    assert train.fit(model, optax.sgd(0.5), moons(60), steps=20, doctor=True).report is None


def large() -> tuple[Any, Any, Any]:
    """A network that is too large for many experiments, and classes drawn at random."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 200)).astype(np.float32)
    return classify(jax.nn.relu), dense(0, 200, 64, 10), (x, rng.integers(0, 10, 40))


def test_a_lost_run_is_never_healthy_however_little_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lab, "OF_ALL_RUNS", 0.0)
    loss, params, batch = large()
    report = check.training(loss, params, batch, learning_rate=300.0, steps=20)
    assert report.findings[0].code in ("step_too_large", "exploding_gradient"), report
    assert "not all suspects" in str(report)
    monkeypatch.setattr(verdict, "SUSPECTS", verdict.SUSPECTS[-1:])
    report = check.training(loss, params, batch, learning_rate=300.0, steps=20)
    assert report.findings[0].code == "step_too_large"
    assert "Set the learning rate to" in report.findings[0].fix


def test_a_run_that_learns_nothing_is_not_called_healthy() -> None:
    x = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    t = np.random.default_rng(1).normal(size=30).astype(np.float32)

    def loss(w: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ w - t) ** 2)

    report = check.training(loss, jnp.zeros(2), (x, t), learning_rate=0.1)
    assert report.title == "the run learns little, and no fault was found", report


def test_work_is_counted_in_loops_and_calls() -> None:
    w, x = jnp.ones((6, 6)), jnp.ones((5, 6))

    def twice(w: Any, x: Any, t: Any) -> Any:
        return jax.lax.scan(lambda h, _: (jax.jit(jnp.matmul)(h, w), None), x, length=2)[0]

    assert work(twice, w, x, None) == 2 * (2 * 5 * 6 * 6 + PER_OPERATION)


@pytest.mark.parametrize("end", [jax.nn.relu, jax.nn.sigmoid])
def test_outputs_that_cannot_reach_the_targets(end: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2)).astype(np.float32)
    t = 2 * x[:, 0] + 0.3

    def loss(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((end(x @ p["w"] + p["b"]) - t) ** 2)

    params = {"w": jnp.asarray([0.1, 0.1]), "b": jnp.zeros(())}
    report = check.training(loss, params, (x, t), learning_rate=0.1)
    assert [f.code for f in report.findings] == ["label_mismatch"], report
    assert "cannot reach" in report.findings[0].message
    low, high = (0, np.inf) if end is jax.nn.relu else (0, 1)
    nearest = np.mean((np.clip(t, low, high) - t) ** 2)
    assert report.data["lowest_loss"] == pytest.approx(nearest, rel=0.02)
    positive = check.training(loss, params, (x, np.clip(t, 0.05, 0.95)), learning_rate=0.1)
    assert "label_mismatch" not in [f.code for f in positive.findings], positive


def test_a_rule_that_moves_nothing_and_layers_that_are_frozen() -> None:
    x, t = moons(60)
    params = dense(0, 2, 8, 2)
    (finding,) = check.training(classify(), params, (x, t), learning_rate=0.0, steps=20).findings
    assert finding.code == "step_too_small"
    rule = optax.multi_transform(
        {"train": optax.adam(0.1), "leave": optax.set_to_zero()},
        [{"w": "leave", "b": "leave"}, {"w": "train", "b": "train"}],
    )
    report = check.training(classify(), params, (x, t), optimizer=rule)
    assert report.ok, report
    assert "leaves 0.b, 0.w as they are" in str(report)


def test_the_figures_of_every_report() -> None:
    loss, w, (x, t) = squares()
    report = check.training(
        loss, w, (x, t), learning_rate=1e-3, steps=10, validation=(x[:2], t[:2])
    )
    values = np.linalg.eigvalsh(2 / 5 * np.asarray(x).T @ np.asarray(x))
    data = report.data
    np.testing.assert_allclose(data["lambda_max"], values[-1], rtol=1e-5)
    np.testing.assert_allclose(data["lambda_min"], values[0], rtol=1e-2)
    np.testing.assert_allclose(data["step_over_largest_stable"], 1e-3 * values[-1] / 2, rtol=1e-5)
    np.testing.assert_allclose(data["steps_to_converge"], np.log(0.1) / np.log1p(-1e-3 * values[0]),
                               rtol=1e-2)  # fmt: skip
    np.testing.assert_allclose(data["largest_std_(column_2)"], np.asarray(x)[:, 2].std(), rtol=1e-5)
    assert np.isfinite(data["validation_loss"])


def test_a_single_array_has_a_name() -> None:
    loss, w, batch = squares()
    (finding,) = check.training(
        loss, w, batch, learning_rate=1e-3, direction=lambda g: g, steps=10
    ).findings
    assert finding.code == "ascent"
    assert "in params (cosine" in finding.message


def test_the_commands_options_override_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE.format(rate=50.0))
    assert main(["doctor", str(file), "--json", "--learning-rate", "0.5", "--steps", "40"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 40
    assert main(["doctor", str(file), "--json", "--optimizer", "none"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is None
    assert "none" in said["error"]


def test_fit_gives_the_doctor_a_key_and_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    net = layers.chain(layers.dense(2, 8), layers.dropout(0.5), layers.dense(8, 2))
    model = models.from_layer(net, "softmax_cross_entropy")
    with pytest.raises(train.NonFiniteError) as caught:
        train.fit(model, optax.sgd(1e25), moons(60), steps=20, doctor=True)
    assert "examined as in training" in caught.value.__notes__[-1]

    def broken(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("by the doctor")

    monkeypatch.setattr(check, "training", broken)
    x = jnp.arange(1.0, 6.0)[:, None]
    line = models.polynomial_regression(degree=2)
    with pytest.raises(train.NonFiniteError) as caught:
        train.fit(line, optim.gd(0.01), (x, x**2), steps=400, doctor=True)
    assert "ZeroDivisionError: by the doctor" in caught.value.__notes__[-1]


def test_functions_that_are_not_in_jax_and_other_widths() -> None:
    loss, w, (x, t) = squares()
    numpy_loss = lambda w, x, t: float(np.asarray(w).sum())  # noqa: E731
    with pytest.raises(TypeError, match=r"check\.training: loss must be written in JAX"):
        check.training(numpy_loss, w, (x, t))
    with pytest.raises(TypeError, match=r"check\.training: direction must be written in JAX"):
        check.training(loss, w, (x, t), learning_rate=0.1, direction=lambda g: -np.asarray(g))
    with pytest.raises(ValueError, match="validation has rows of shapes"):
        check.training(loss, w, (x, t), validation=(x[:, :2], t))
    with pytest.raises(TypeError, match="learning_rate_range: loss must be written in JAX"):
        check.learning_rate_range(numpy_loss, w, (x, t))
    with pytest.raises(ValueError, match=r"^learning_rate_range: \(x, t\) must be arrays"):
        check.learning_rate_range(loss, w, (x, t[:2]))


def test_what_else_is_wrong_comes_after_the_headline() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    options: dict[str, Any] = {"learning_rate": 1e-5, "direction": lambda g: g, "steps": 50}
    report = check.training(_squared, jnp.zeros(2), (x, x[:, 0] - x[:, 1]), **options)
    assert [f.code for f in report.findings] == ["ascent", "step_too_small"], report
    assert report.findings[1].message.startswith("With ascent mended: ")
    assert report.title == "the run fails: ascent and step_too_small"


def _squared(w: Any, x: Any, t: Any) -> Any:
    return jnp.mean((x @ w - t) ** 2)


def test_a_schedule_is_a_learning_rate() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    rate = optax.exponential_decay(0.2, 50, 0.5)
    report = check.training(_squared, jnp.zeros(2), (x, x[:, 0]), learning_rate=rate)
    assert report.ok, report
    assert "gradient descent, learning rate by a schedule" in str(report)


def _log_probabilities(logp: Any, t: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(logp, t[:, None], axis=1))


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda z, t: _log_probabilities(jax.nn.log_softmax(jax.nn.softmax(z)), t), "twice"),
        (
            lambda z, t: optax.sigmoid_binary_cross_entropy(jax.nn.sigmoid(z[:, 0]), t > 0).mean(),
            "squashed twice: a sigmoid",
        ),
        (lambda z, t: _log_probabilities(jax.nn.log_softmax(z, axis=0), t), "over axis 0, the 150"),
        (lambda z, t: jnp.mean(z**2), "never uses the targets"),
        (lambda z, t: _log_probabilities(jax.nn.log_softmax(jax.nn.log_softmax(z)), t), None),
    ],
)
def test_what_the_loss_does_to_the_predictions(end: Any, said: str | None) -> None:
    x, t = scaled("iris")
    params = {"w": 0.1 * jnp.ones((4, 3)) * jnp.arange(3), "b": jnp.zeros(3)}
    report = check.training(
        lambda p, x, t: end(x @ p["w"] + p["b"], t), params, (x, t), learning_rate=0.5, steps=60
    )
    if said is None:
        assert report.ok, report
    else:
        assert report.findings[0].code == "label_mismatch", report
        assert said in report.findings[0].message


def test_part_of_the_rows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxnet.check.runs.look.LARGEST", 0.0)
    x = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    report = check.training(_squared, jnp.zeros((2, 1)), (x, x[:, 0]), learning_rate=0.1, steps=20)
    assert "(300, 1) and the targets (300,) are broadcast to (300, 300)" in str(report)
    assert "those of 256 rows, drawn at random out of 300" in str(report)


def test_a_weak_relation_is_told_from_none_and_no_order_of_rows_matters() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 3))
    t = 0.15 * x[:, 0] + rng.normal(size=2000)
    weak, none = probe(x, t), probe(x, rng.permutation(t))
    assert weak is not None
    assert none is not None
    assert weak.relation > 2 * CLEAR
    assert none.relation < CLEAR
    x, t = scaled("iris")
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(x))
        found = probe(x[order], t[order])
        assert found is not None
        assert found.linear < 0.2


def test_equal_targets_are_not_told_apart_by_their_row() -> None:
    rng = np.random.default_rng(0)
    t = np.where(rng.random(400) < 0.05, rng.normal(size=400), 0.5)
    found = probe(np.arange(400.0)[:, None], t)
    assert found is not None
    assert found.relation < CLEAR


def test_rows_of_the_permutation_test_are_drawn_from_all() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(MANY + 1000, 1)), rng.normal(size=(MANY + 1000, 1))
    t[MANY:] = x[MANY:]  # what relates them stands at the end
    assert _relation_to_columns(x, t, 0) > CLEAR


def test_nothing_is_clear_where_every_order_takes_as_much() -> None:
    t = np.random.default_rng(0).normal(size=(200, 1))
    assert _beyond_chance(np.square, t) == 0.0


def test_softmax_regression_is_compared_on_all_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter((0.3, 0.2, 0.1))
    monkeypatch.setattr(probes, "_logistic_error", lambda split: next(errors))
    angle = np.arange(120) * 0.3
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x *= 1 + np.arange(120)[:, None] % 2
    found = probe(x, np.arange(120) % 2)  # a ring around another
    assert found is not None
    np.testing.assert_allclose(found.linear, 0.2)


def test_runs_of_other_models_and_rows_count_as_experiments() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2)).astype(np.float32)
    whole = trial(
        _squared, jnp.zeros(2), (x, x[:, 0] + 30), None, 0.1, None, None, 20, None, True, None
    )
    for suspect in (model.bias_for_the_mean, labels._generalises):
        rich = lab.Lab(whole, lambda phase: None, whole.rows)
        _ = rich.base
        spent = rich.spent
        suspect(rich)
        assert rich.spent == spent + 20 * rich.work_of_a_step
        poor = lab.Lab(whole, lambda phase: None, whole.rows, budget=0.0)
        assert not suspect(poor)
        assert poor.cut_short


def test_a_model_without_a_bias_is_told_so() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    report = check.training(_squared, jnp.zeros(2), (x, x[:, 0] + 30), learning_rate=0.1)
    assert [f.code for f in report.findings] == ["missing_bias"], report


def test_the_programs_of_a_large_model_fit_into_four_gradients() -> None:
    params, x = dense(0, 200, 900, 900, 10), np.zeros((2000, 200), np.float32)
    loss, t = classify(jax.nn.relu), np.zeros(2000, int)
    whole = trial(loss, params, (x, t), None, None, optax.adam(1e-3), None, 100, None, True, None)
    run = whole.in_reach()
    data = (run.params, run.x, run.t)

    def size(function: Any, *args: Any) -> int:
        memory = jax.jit(function).lower(*args).compile().memory_analysis()
        parts = ("temp_size_in_bytes", "argument_size_in_bytes", "output_size_in_bytes")
        return sum(getattr(memory, part) for part in parts)

    one = size(jax.value_and_grad(run.loss), *data)
    assert size(program(run, run.loss), *data, None, 1.0, 5, None) < 4 * one
    start = np.zeros(run.size, np.float32)
    assert size(partial(lanczos, run.loss, 16, False), *data, start) < 4 * one


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_a_penalty_is_taken_apart_from_the_loss(strength: float) -> None:
    x, t = scaled("iris")

    def loss(p: Any, x: Any, t: Any) -> Any:
        penalty = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p))
        return classify()(p, x, t) + strength * penalty

    params = dense(0, 4, 8, 3)
    report = check.training(loss, params, (x, t), learning_rate=0.05, steps=150)
    assert "terms of the parameters alone" in str(report)
    assert report.data["lowest_loss"] == pytest.approx(0, abs=1e-3)
    assert report.data["constant_loss"] == pytest.approx(np.log(3), rel=1e-3)
    if strength < 1:
        assert report.ok, report
    else:
        assert "penalty" in report.findings[0].fix, report


def test_a_parameter_that_scales_the_errors_is_no_penalty() -> None:
    def loss(p: Any, x: Any, t: Any) -> Any:
        log_variance = 2 * p["s"]
        errors = jnp.mean((x @ p["w"] - t) ** 2)
        return jnp.exp(-log_variance) * errors + log_variance + jnp.sum(p["w"] ** 2)

    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    params = {"w": jnp.ones(2), "s": jnp.ones(())}
    whole = trial(loss, params, (x, x[:, 0]), None, 0.1, None, None, 10, None, True, None)
    seen = look(whole, whole.params)
    assert seen is not None
    assert not seen.penalties


def test_units_that_die_during_the_run_are_told() -> None:
    x, t = scaled("iris")

    def down(grads: Any) -> Any:
        return jax.tree.map(
            lambda g: -jnp.ones_like(g) if g.ndim == 1 else jnp.zeros_like(g), grads
        )

    params, loss = dense(0, 4, 8, 3), classify(jax.nn.relu)
    for steps, dead in ((1, False), (20, True)):
        whole = trial(loss, params, (x, t), None, 0.1 if steps == 1 else 1.0, None, down, steps,
                      None, True, None)  # fmt: skip
        found = starts.died(lab.Lab(whole, lambda phase: None, whole.rows))
        assert (found is not None) == dead
        if found is not None:
            assert found.code == "dead_units"
            assert "and 100 % at the end" in found.message
            assert "smaller step" in found.fix


def test_what_is_wrong_with_the_data_and_the_rate_is_said() -> None:
    loss, w, (x, t) = squares()
    constant = x.at[:, 0].set(jnp.nan)
    (finding,) = check.training(loss, w, (constant, t), learning_rate=1e-4, steps=5).findings
    assert "in column 0 (" in finding.message
    assert "divided by its standard deviation" in finding.fix
    (finding, *_) = check.training(loss, w, (x, t), learning_rate=-1e-3, steps=5).findings
    assert finding.fix == "The learning rate, -0.001, is negative: give 0.001."


def test_the_command_tells_of_names_in_lower_case_and_of_a_wrong_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE.format(rate=0.5).replace("LEARNING_RATE", "learning_rate"))
    assert main(["doctor", str(file)]) == 0
    assert "learning_rate is not read; write LEARNING_RATE" in capsys.readouterr().err
    file.write_text(FILE.format(rate=0.5).replace("return jnp.zeros(1), (x", "return x, 1, (x"))
    assert main(["doctor", str(file)]) == 2
    assert "write `return params, (x, t)`" in capsys.readouterr().err
