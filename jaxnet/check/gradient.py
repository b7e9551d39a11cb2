"""The gradient doctor: what is wrong with a gradient, and on which line."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxnet.check.causes import Cause, diagnose
from jaxnet.check.differences import estimates
from jaxnet.check.report import Finding, Report
from jaxnet.check.witness import Sample, Subject, align, floats, nearby, subject, with_floats

POINTS = 3
"""A cause must hold at this many points."""

RIGHT = 1e-6
"""Relative error up to which a float64 gradient counts as right."""


def gradient(loss: Callable[..., Any], grad: Callable[..., Any], params: Any, *args: Any) -> Report:
    """Say whether a hand-written gradient is right; if not, what is wrong, and where.

    The true gradient is `jax.grad` in float64, confirmed by differences along random directions;
    for a loss in NumPy it is extrapolated central differences. Gradients are compared at the point
    given and at points near it, so a cause that is told holds at all of them. For a loss that
    JAX can trace, the search for the cause replays its backward pass with one rule altered at a
    time, which leads to the line.

    Args:
        loss: loss(params, *args), a scalar; in JAX or in NumPy.
        grad: grad(params, *args), the gradient to examine: a tree like params.
        params: Where to look, any tree of arrays; best generic ones, not all zero.
        *args: What loss and grad take besides, such as the data. Arrays of floating-point numbers
            are given to both in float64.

    Returns:
        A report; `report.ok` says whether the gradient is right.

    Raises:
        TypeError: params hold no floating-point numbers, or grad gives other leaves than params.
        ValueError: loss does not give a finite scalar there.
    """
    with jax.enable_x64(True):
        s = subject(loss, grad, params, args)
        samples = sample(s)
        return _report(s, samples)


def assert_gradient(
    loss: Callable[..., Any], grad: Callable[..., Any], params: Any, *args: Any
) -> None:
    """Raise an AssertionError with the report of `gradient` if the gradient is not right."""
    report = gradient(loss, grad, params, *args)
    if not report.ok:
        raise AssertionError(f"\n{report}")


def sample(s: Subject) -> list[Sample]:
    """The true and the user's gradients at the given point and near it."""
    samples: list[Sample] = []
    true = _true_gradient(s)
    for seed in range(20):
        params = s.params if seed == 0 else nearby(s.params, seed)
        value, leaves, error = true(params)
        if not np.isfinite(value) or not all(np.isfinite(leaf).all() for leaf in leaves):
            if seed == 0:
                raise ValueError(
                    f"check.gradient: the loss is {value} here and its gradient "
                    "not finite; give other params"
                )
            continue
        given = [_array(leaf) for leaf in align(s.grad(params), params)]
        samples.append(Sample(params, float(value), leaves, error, given))
        if len(samples) == POINTS:
            break
    return samples


def _array(leaf: Any) -> np.ndarray | None:
    return None if leaf is None else np.asarray(leaf, np.float64)


def _true_gradient(s: Subject) -> Callable[[Any], tuple[float, list[np.ndarray], list[float]]]:
    """(params) -> the loss, its gradient leaf by leaf, and the gradient's own error."""
    if s.closed is None:

        def by_differences(params: Any) -> tuple[float, list[np.ndarray], list[float]]:
            found = estimates(s.loss, params)
            values = [np.asarray(v) for v in jax.tree.leaves(found.value)]
            errors = [float(np.max(e, initial=0)) for e in jax.tree.leaves(found.error)]
            return float(s.loss(params)), values, errors

        return by_differences

    def loss(moving: list[Any], params: Any) -> Any:
        return s.loss(with_floats(params, moving))

    compiled = jax.jit(jax.value_and_grad(loss))

    def by_jax(params: Any) -> tuple[float, list[np.ndarray], list[float]]:
        value, leaves = compiled(floats(params), params)
        arrays = [np.asarray(leaf) for leaf in leaves]
        eps = float(np.finfo(float).eps)
        largest = max((float(np.abs(a).max(initial=0)) for a in arrays), default=0.0)
        return float(value), arrays, [eps * largest for _ in arrays]

    return by_jax


def tolerance(s: Subject, samples: list[Sample], leaf: int) -> float:
    """The error of a leaf, in its own units, up to which it counts as right."""
    size = max(float(np.abs(sample.true[leaf]).max(initial=0)) for sample in samples)
    noise = max(sample.error[leaf] for sample in samples)
    rounding = 0.0 if s.rounding < 1e-12 else 300 * s.rounding
    return max((RIGHT + rounding) * size, 1e3 * noise * (1 if s.rounding < 1e-12 else 1e6))


def _report(s: Subject, samples: list[Sample]) -> Report:
    limits = [tolerance(s, samples, k) for k in range(len(s.names))]
    wrong = [k for k in range(len(s.names)) if is_wrong(samples, k, limits[k])]
    causes = diagnose(s, samples, wrong, limits) if wrong else []
    findings = tuple(_finding(s, cause) for cause in causes)
    verdict = (
        f"the gradient is right in all {len(s.names)} leaves"
        if not wrong
        else f"the gradient is wrong in {len(wrong)} of {len(s.names)} leaves"
    )
    rows = tuple(_row(s, samples, k, limits[k], causes) for k in range(len(s.names)))
    return Report(
        title=verdict,
        header=("leaf", "shape", "relative error", "detects above", "verdict"),
        rows=rows,
        findings=findings,
        notes=(*s.notes, _witness_note(s)),
    )


def _witness_note(s: Subject) -> str:
    if s.closed is None:
        return "compared with extrapolated central differences, as JAX cannot trace the loss"
    return f"compared with jax.grad in float64 at {POINTS} points"


def is_wrong(samples: list[Sample], k: int, limit: float) -> bool:
    """Whether a leaf is missing, of a wrong shape, not finite or too far off."""
    return any(
        given is None
        or given.shape != true.shape
        or not np.isfinite(given).all()
        or float(np.abs(given - true).max(initial=0)) > limit
        for given, true in ((sample.given[k], sample.true[k]) for sample in samples)
    )


def _row(
    s: Subject, samples: list[Sample], k: int, limit: float, causes: list[Cause]
) -> tuple[str, ...]:
    true, given = samples[0].true[k], samples[0].given[k]
    size = float(np.abs(true).max(initial=0))
    error = "-"
    if given is not None and given.shape == true.shape:
        error = f"{float(np.abs(given - true).max(initial=0)) / (size or 1):.1e}"
    codes = [cause.code for cause in causes if k in cause.leaves]
    verdict = ", ".join(dict.fromkeys(codes)) or "right"
    return s.names[k], str(true.shape), error, f"{limit / (size or 1):.1e}", verdict


def _finding(s: Subject, cause: Cause) -> Finding:
    return Finding(
        code=cause.code,
        leaves=tuple(s.names[k] for k in cause.leaves),
        message=cause.message,
        fix=cause.fix,
        evidence=dict(cause.evidence),
        where=cause.where,
    )
