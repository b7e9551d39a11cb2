"""Errors that nothing explains, by their line; and what can be said of losses in NumPy."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import check

RNG = np.random.default_rng(5)
X, T = RNG.normal(size=(5, 3)), RNG.normal(size=5)
POINT = {"w": RNG.normal(size=(3, 4)), "v": RNG.normal(size=4)}
TWO = POINT | {"v": RNG.normal(size=(4, 2))}


def loss(p: Any, x: Any, t: Any) -> Any:
    h = jnp.tanh(x @ p["w"])
    y = h @ p["v"]
    return jnp.mean(jnp.exp(0.3 * (y - t)) * (y - t))  # where the error enters


def hand(p: Any, x: Any, t: Any, *, wrong: bool = False) -> Any:
    h = np.tanh(x @ p["w"])
    e = h @ p["v"] - t
    dy = np.exp(0.3 * e) * (1 + 0.3 * e) / t.size
    dy = np.sin(7 * e + t) if wrong else dy
    dh = dy @ p["v"].T if t.ndim > 1 else np.outer(dy, p["v"])
    return {"w": x.T @ (dh * (1 - h**2)), "v": h.T @ dy}


@pytest.mark.parametrize(("outputs", "code"), [(1, "wrong_loss"), (2, "wrong_derivative")])
def test_an_error_that_nothing_explains_has_its_line(outputs: int, code: str) -> None:
    """Row by row for one output; for several by what its path can do to the parameters."""
    p, t = (POINT, T) if outputs == 1 else (TWO, np.stack([T, T**2], axis=1))
    assert check.gradient(loss, hand, p, X, t).ok
    report = check.gradient(loss, lambda *a: hand(*a, wrong=True), p, X, t)
    (finding,) = report.findings
    assert (finding.code, finding.leaves) == (code, ("v", "w"))
    line = loss.__code__.co_firstlineno + 3
    assert f"test_check_located.py:{line}:" in str(finding.where)


def test_an_error_of_one_leaf_alone_has_no_line() -> None:
    def noisy(*a: Any) -> Any:
        g = hand(*a)
        return g | {"w": g["w"] * (1 + 0.1 * np.arange(12).reshape(3, 4) ** 0.5)}

    (finding,) = check.gradient(loss, noisy, POINT, X, T).findings
    assert (finding.code, finding.leaves, finding.where) == ("mismatch", ("w",), None)


def loop_loss(p: Any, x: Any, t: Any) -> Any:
    total = 0.0
    for row, target in zip(x, t, strict=True):
        total += float((np.tanh(row @ p["w"]) @ p["v"] - target) ** 2)
    return total / len(x)


def loop_grad(
    p: Any,
    x: Any,
    t: Any,
    *,
    rows: slice = slice(None),
    penalty: float = 0.0,
    rate: float = 0.0,
) -> Any:
    h = np.tanh(x @ p["w"])
    dy = 2 * (h @ p["v"] - t) / len(x)
    dv = h[rows].T @ dy[rows]
    if rate:
        dy = 2 * (h @ (p["v"] - rate * dv) - t) / len(x)
    dw = x[rows].T @ (np.outer(dy, p["v"] - rate * dv) * (1 - h**2))[rows]
    uses = np.arange(1, len(dw) + 1)[:, None]
    return {"w": dw + penalty * uses * p["w"], "v": dv}


def test_a_part_of_the_batch_in_numpy() -> None:
    assert check.gradient(loop_loss, loop_grad, POINT, X, T).ok
    for rows, said in ((slice(4), "rows 0 to 3 of the 5"), (slice(2, 3), "row 2 of the 5")):
        report = check.gradient(loop_loss, lambda *a, r=rows: loop_grad(*a, rows=r), POINT, X, T)
        assert [f.code for f in report.findings] == ["partial_batch"]
        assert said in report.findings[0].message


def test_parameters_that_moved_and_penalties_at_each_use_in_numpy() -> None:
    stale = check.gradient(loop_loss, lambda *a: loop_grad(*a, rate=0.1), POINT, X, T)
    (finding,) = stale.findings
    assert (finding.code, finding.leaves) == ("stale", ("w",))
    np.testing.assert_allclose(finding.evidence["step"], 0.1, rtol=1e-4)
    report = check.gradient(loop_loss, lambda *a: loop_grad(*a, penalty=0.1), POINT, X, T)
    (finding,) = report.findings
    assert (finding.code, finding.leaves) == ("regularization", ("w",))
    np.testing.assert_allclose([finding.evidence[k] for k in ("smallest", "largest")], [0.1, 0.3])
