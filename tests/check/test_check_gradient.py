"""The gradient doctor on planted faults, on right gradients, and on input of every kind."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import check, models

from .planted import PROBLEMS
from .planted.problem import Fault, Problem
from .planted.score import outcome

THIRD = PROBLEMS[::3]
"""`python -m tests.check.planted` tries them all, at several points."""


@pytest.mark.parametrize("problem", THIRD, ids=[p.name for p in THIRD])
def test_silence_on_right_gradients(problem: Problem) -> None:
    params, args = problem.make(1)
    report = check.gradient(problem.loss, problem.grad, params, *args)
    assert report.ok, report


def some_faults() -> Iterator[Any]:
    """Some of the faults, from all problems; `python -m tests.check.planted` tries them all."""
    faults = [(problem, fault) for problem in PROBLEMS for fault in problem.faults]
    for problem, fault in faults[::24]:
        yield pytest.param(problem, fault, id=f"{problem.name}-{fault.grad.__name__}")


@pytest.mark.parametrize(("problem", "fault"), list(some_faults()))
def test_planted_faults_are_named(problem: Problem, fault: Fault) -> None:
    found = outcome(problem, fault)
    assert found.named, found
    assert found.leaves, found
    assert found.line is not False, found


def loss(p: Any, x: Any, t: Any) -> Any:
    h = jax.nn.sigmoid(x @ p["w"] + p["b"])
    y = h @ p["v"]  # the output
    return jnp.mean((y - t) ** 2) + 0.1 * jnp.sum(p["v"] ** 2)


def gradient(p: Any, x: Any, t: Any, **slip: Any) -> Any:
    """The gradient of `loss` by hand, with a slip."""
    h = 1 / (1 + np.exp(-(x @ p["w"] + p["b"])))
    dy = slip.get("scale", 2.0) * (h @ p["v"] - t) / t.size
    dz = dy @ p["v"].T * (1 if "drop" in slip else h * (1 - h))
    return {
        "w": x.T @ dz,
        "b": dz if "unsummed" in slip else dz.sum(axis=0),
        "v": h.T @ dy + slip.get("penalty", 0.2) * p["v"],
    }


def point(dtype: Any = np.float64) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    p = {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4), "v": rng.normal(size=(4, 2))}
    data = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    return jax.tree.map(lambda a: a.astype(dtype), (p, *data))  # type: ignore[no-any-return]


def numpy_loss(p: Any, x: Any, t: Any) -> Any:
    total = 0.0
    for row, target in zip(x, t, strict=True):
        h = 1 / (1 + np.exp(-(row @ p["w"] + p["b"])))
        total += float(np.mean((h @ p["v"] - target) ** 2))
    return total / len(x) + 0.1 * float(np.sum(p["v"] ** 2))


@pytest.mark.parametrize("f", [loss, numpy_loss])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_of_jax_and_numpy(f: Any, dtype: Any) -> None:
    p, x, t = point(dtype)
    assert check.gradient(f, gradient, p, x, t).ok
    report = check.gradient(f, lambda *a: gradient(*a, penalty=0.1), p, x, t)
    (finding,) = report.findings
    assert (finding.code, finding.leaves) == ("regularization", ("v",))
    if f is loss:
        np.testing.assert_allclose([finding.evidence[k] for k in ("found", "due")], [0.05, 0.1])


def test_the_line_and_the_report() -> None:
    p, x, t = point()
    report = check.gradient(loss, lambda *a: gradient(*a, drop=True), p, x, t)
    (finding,) = report.findings
    assert (finding.code, finding.leaves) == ("dropped_derivative", ("b", "w"))
    line = loss.__code__.co_firstlineno + 1
    assert re.fullmatch(rf".*test_check_gradient\.py:{line}:\d+ \(loss\)", str(finding.where))
    text = str(report)
    for part in ("wrong in 2 of 3 leaves", 'h = jax.nn.sigmoid(x @ p["w"] + p["b"])', "^", "fix:"):
        assert part in text
    assert "<table>" in report._repr_html_()
    assert "dropped_derivative" in report._repr_html_()


def test_shapes_missing_leaves_and_values_that_are_not_finite() -> None:
    p, x, t = point()
    unsummed = check.gradient(loss, lambda *a: gradient(*a, unsummed=True), p, x, t)
    assert [(f.code, f.leaves) for f in unsummed.findings] == [("shape", ("b",))]
    partial = check.gradient(loss, lambda *a: {"w": gradient(*a)["w"]}, p, x, t)
    assert {f.code for f in partial.findings} == {"missing"}
    nans = check.gradient(loss, lambda *a: gradient(*a) | {"b": np.full(4, np.nan)}, p, x, t)
    assert [(f.code, f.leaves) for f in nans.findings] == [("nonfinite", ("b",))]


@pytest.mark.parametrize("size", [1e-8, 1e8])
def test_small_and_large_losses_are_judged_alike(size: float) -> None:
    p, x, t = point()

    def scaled(p: Any, x: Any, t: Any) -> Any:
        return size * loss(p, x, t)

    def scaled_gradient(p: Any, x: Any, t: Any) -> Any:
        return jax.tree.map(lambda g: size * g, gradient(p, x, t))

    assert check.gradient(scaled, scaled_gradient, p, x, t).ok
    zero = check.gradient(scaled, lambda p, x, t: jax.tree.map(np.zeros_like, p), p, x, t)
    assert {f.code for f in zero.findings} == {"missing"}


def test_a_right_float32_gradient_of_many_entries_is_right() -> None:
    x = np.random.default_rng(0).normal(size=100_352).astype(np.float32)
    right = check.gradient(lambda x: jnp.sum(x**2), lambda x: (2 * x).astype(np.float32), x)
    assert right.ok, right

    def one_percent_off(x: Any) -> Any:
        g = 2 * np.asarray(x)
        g[7] *= 1.01
        return g

    report = check.gradient(lambda x: jnp.sum(x**2), one_percent_off, x)
    assert report.findings[0].code == "partial_entries"


def test_leaves_that_do_not_matter_and_leaves_that_are_no_numbers() -> None:
    p = {"used": jnp.ones(3), "idle": jnp.ones(2), "steps": jnp.arange(2), "scalar": 1.5}

    def f(p: Any) -> Any:
        return jnp.sum(p["used"] ** 3) * p["scalar"]

    def g(p: Any) -> Any:
        return {
            "used": 3 * p["used"] ** 2 * p["scalar"],
            "idle": jnp.zeros(2),
            "steps": p["steps"],
            "scalar": jnp.sum(p["used"] ** 3),
        }

    report = check.gradient(f, g, p)
    assert report.ok, report
    assert any("steps" in note for note in report.notes)


def test_models_of_jaxnet_are_right() -> None:
    model = models.mlp([3, 5, 2], "gelu", l2=0.01)
    x, t = np.random.default_rng(0).normal(size=(6, 3)), np.arange(6) % 2
    params = model.init(jax.random.key(0))
    check.assert_gradient(
        lambda p, x, t: model.loss(p, (x, t)),
        lambda p, x, t: model.value_and_grad(p, (x, t))[1],
        params,
        x,
        t,
    )


def test_messages() -> None:
    p, x, t = point()
    with pytest.raises(AssertionError, match=r"(?s)scale.*3 times the true one"):
        check.assert_gradient(lambda w: jnp.sum(w**2), lambda w: 6 * w, np.arange(1.0, 4.0))
    with pytest.raises(TypeError, match=r"it looks like \(value, gradient\)"):
        check.gradient(loss, lambda *a: (1.0, gradient(*a)), p, x, t)
    with pytest.raises(TypeError, match="params must hold floating-point numbers"):
        check.gradient(lambda n: jnp.sum(n), lambda n: n, jnp.arange(3))
    with pytest.raises(ValueError, match=r"got an array of shape \(3,\); return its sum"):
        check.gradient(lambda w: w**2, lambda w: 2 * w, np.ones(3))
    with pytest.raises(ValueError, match=r"got None; has it no return"):
        check.gradient(lambda w: None, lambda w: 2 * w, np.ones(3))
    with pytest.raises(TypeError, match="loss and grad must be functions, got float and function"):
        check.gradient(3.0, lambda w: w, np.ones(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="leaves 'b', 'v', 'w', got dict with 'b', 'v', 'x'"):
        check.gradient(loss, lambda *a: {"b": p["b"], "v": p["v"], "x": p["w"]}, p, x, t)
    with pytest.raises(TypeError, match="got tuple with '0', '1', '2'"):
        check.gradient(loss, lambda *a: tuple(gradient(*a).values()), p, x, t)
    with pytest.raises(ValueError, match="the loss is nan here"):
        check.gradient(lambda w: jnp.sum(jnp.log(w)), lambda w: 1 / w, -np.ones(3))


def test_arrays_that_are_written_into_are_told_and_stay_as_they_were() -> None:
    def changing(w: Any, x: Any) -> Any:
        x -= 1.0
        return w

    w, x = np.arange(1.0, 4.0), np.ones(3)
    report = check.gradient(lambda w, x: float(w @ w) / 2, changing, w, x)
    assert not report.ok
    assert "changes argument 0 in place" in report.findings[0].message
    assert (x == 1).all()


def test_relations_of_one_array() -> None:
    w = np.asarray([0.3, -1.2, 2.0])
    turned = check.gradient(lambda w: jnp.sum(w**3), lambda w: (3 * w**2)[::-1], w)
    assert [f.code for f in turned.findings] == ["transpose"]
    assert "1. transpose in params" in str(turned)
    assert turned.findings[0].leaves == ("",)
    # A penalty that is written in a loop is not recognised in the loss, but by its sign.
    looped = check.gradient(
        lambda w: jnp.sum(jnp.sin(w)) + 0.1 * sum(w[k] * w[k] for k in range(3)), np.cos, w
    )
    (finding,) = looped.findings
    assert (finding.code, finding.evidence["found"]) == ("regularization", 0.0)
    assert finding.evidence["due"] == pytest.approx(0.1)
    assert "Add 0.2 times the parameters" in finding.fix


FILE = """
import {np} as np

def loss(w, x):
    return np.mean((x @ w) ** 2)

def grad(w, x):
    return {factor} * x.T @ (x @ w) / len(x)

def make(seed):
    import numpy
    rng = numpy.random.default_rng(seed)
    return rng.normal(size=3), (rng.normal(size=(5, 3)),)
"""


@pytest.mark.parametrize("np", ["numpy", "jax.numpy"])
def test_the_command(np: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from jaxnet.cli import main

    file = tmp_path / "mine.py"
    file.write_text(FILE.format(np=np, factor=2))
    assert main(["check", str(file)]) == 0
    file.write_text(FILE.format(np=np, factor=1))
    assert main(["check", str(file)]) == 1
    assert "scale" in capsys.readouterr().out
    file.write_text("loss = 1")
    assert main(["check", str(file)]) == 2
    assert "does not define grad, make" in capsys.readouterr().err
    right = FILE.format(np=np, factor=2)
    file.write_text(right.replace("grad(w, x):", "grad(w, x):\n    assert len(x) == 4"))
    assert main(["check", str(file), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is None
    assert answer["error"].startswith("AssertionError at mine.py:8 (grad)")
    file.write_text(right.replace("5, 3)),)", "5, 3)))"))
    assert main(["check", str(file)]) == 2
    assert "make(seed) must give (params, arguments)" in capsys.readouterr().err
