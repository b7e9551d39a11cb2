"""The true gradient: `jax.grad` in float64, or extrapolated differences of a NumPy loss."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.check.differences import Scalar, estimates, line_slope, point_of
from jaxnet.check.witness import EPS, Sample, Subject, align, compiled, floats, nearby, with_floats

POINTS = 3
"""A cause must hold at this many points."""

MANY = 500
"""A NumPy loss of more parameters is differentiated at two points only."""

STEPS = (None, 3e-5, 1e-6)
"""Relative steps: the smaller ones are for entries beside a kink or a sharp bend."""

DIRECTIONS = 2
"""Random directions for every leaf along which `jax.grad` is confirmed by differences."""


class Truth(NamedTuple):
    """The loss at a point, its gradient and that one's own error, and where there are kinks."""

    value: float
    leaves: list[np.ndarray]
    error: list[np.ndarray]
    kink: list[np.ndarray]


class TruthAt(NamedTuple):
    """How to get the truth.

    at(params) is the truth there, at(params, args) that with other arguments; value(flat) is the
    loss alone, with all floating-point numbers of the parameters in one vector.
    """

    at: Callable[..., Truth]
    value: Callable[[np.ndarray], float]


def truth_of(s: Subject) -> TruthAt:
    """How to get the true gradient of a loss."""
    loss = s.own_loss
    leaves = [np.asarray(leaf) for leaf in floats(s.params)]
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def split(flat: Any) -> list[Any]:
        parts: Any = jnp.split(flat, ends) if isinstance(flat, jax.Array) else np.split(flat, ends)
        return [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]

    if s.closed is None:
        return TruthAt(
            lambda params, args=s.args: _by_differences(lambda p: loss(p, *args), params),
            lambda flat: s.loss(with_floats(s.params, split(flat))),
        )

    def of_flat(flat: Any, data: Any) -> Any:
        return loss(with_floats(s.params, split(flat)), *with_floats(s.args, data))

    # One vector in and one out: of many leaves, handing them over would take most of the time.
    program = compiled(jax.value_and_grad(of_flat))
    own_data = floats(s.args)

    def by_jax(params: Any, args: Any = None) -> Truth:
        flat = np.concatenate([np.ravel(leaf) for leaf in floats(params)])
        value, slope = program(flat, own_data if args is None else floats(args))
        arrays = split(np.asarray(slope, np.float64))
        exact = [np.zeros_like(a) for a in arrays]  # its rounding is measured with the user's
        return Truth(float(value), arrays, exact, [a > 0 for a in exact])

    return TruthAt(by_jax, lambda flat: float(program(flat, own_data)[0]))


def _by_differences(f: Callable[[Any], Any], params: Any) -> Truth:
    """All partial derivatives, each with the step that leaves the smallest error."""
    leaves = [np.asarray(leaf) for leaf in floats(params)]
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    value, error, kink = (np.array(part) for part in estimates(f, params, None, _all(leaves)))
    for step in STEPS[1:]:
        parts = np.split(np.abs(value), ends)
        size = np.concatenate([np.full(p.size, p.max(initial=0)) for p in parts])
        poor = np.flatnonzero((error > 1e-6 * size) & ~kink)
        if not poor.size:
            break
        again = estimates(f, params, step, poor)
        better = again.error < error[poor]
        for whole, part in zip((value, error, kink), again, strict=True):
            whole[poor[better]] = part[better]

    def shaped(vector: np.ndarray) -> list[np.ndarray]:
        return [
            part.reshape(leaf.shape)
            for part, leaf in zip(np.split(vector, ends), leaves, strict=True)
        ]

    return Truth(float(f(params)), shaped(value), shaped(error), shaped(kink))


def _all(leaves: list[np.ndarray]) -> np.ndarray:
    return np.arange(sum(leaf.size for leaf in leaves))


def sample(s: Subject, true: TruthAt) -> list[Sample]:
    """The true and the user's gradients at the given point and near it.

    Raises:
        ValueError: The loss or its gradient is not finite at the given point.
    """
    count = sum(np.size(leaf) for leaf in floats(s.params))
    points = POINTS if s.closed is not None or count <= MANY else 2
    samples: list[Sample] = []
    for seed in range(20):
        params = nearby(s.params, seed) if seed else s.params
        if s.closed is None and not np.isfinite(float(s.loss(params))):
            there = Truth(float(s.loss(params)), [], [], [])
        else:
            there = true.at(params)
        if not np.isfinite(there.value) or not all(np.isfinite(x).all() for x in there.leaves):
            if seed == 0:
                raise ValueError(_not_finite(s, there))
            continue
        given = given_at(s, params)
        samples.append(Sample(params, *there[:3], given, there.kink, seed))
        if len(samples) == points:
            break
    return samples


def _not_finite(s: Subject, there: Truth) -> str:
    if not np.isfinite(there.value):
        return (
            f"check.gradient: the loss is {there.value} here, so there is nothing to compare; "
            "give params where it is finite (a logarithm, a root or a division of 0 or "
            "of a negative number, or an exp that overflows, is the usual cause)"
        )
    names = [
        name or "params"
        for name, leaf in zip(s.names, there.leaves, strict=True)
        if not np.isfinite(leaf).all()
    ]
    return (
        f"check.gradient: the loss is {there.value:.6g} here, but its true gradient is not finite "
        f"in {', '.join(names)}: an infinite slope (a root, a norm or a logarithm at 0), or 0 "
        "times infinity behind a where; give other params, or change the loss there"
    )


def given_at(s: Subject, params: Any) -> list[np.ndarray | None]:
    """The user's gradient, leaf by leaf; None where a leaf is missing."""
    leaves = align(s.grad(params), params)
    return [_array(name, leaf) for name, leaf in zip(s.names, leaves, strict=True)]


def _array(name: str, leaf: Any) -> np.ndarray | None:
    if leaf is None:
        return None
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    if dtype == jax.dtypes.float0 or not _real(dtype):
        raise TypeError(
            f"check.gradient: the gradient of {name or 'params'} has the type {dtype}; "
            "it must be real numbers"
        )
    return np.asarray(leaf, np.float64)


def _real(dtype: Any) -> bool:
    real = (np.floating, np.integer, np.bool_)
    return any(jax.numpy.issubdtype(dtype, kind) for kind in real)


class Slope(NamedTuple):
    """What three witnesses say of the slope of the loss along a direction.

    error is that of the differences, size the slope's typical one, along such a direction, and
    allowed what rounding may do to the other two.
    """

    hand: float
    autodiff: float
    differences: float
    error: float
    size: float
    allowed: float
    kink: bool


class Lines:
    """Differences along lines through a point."""

    def __init__(self, sample: Sample, true: TruthAt, eps: float) -> None:
        """Go through a point; eps is the precision of the loss."""
        self._point = point_of("check.gradient", sample.params)
        self._f = Scalar(true.value, False, eps, sample.value)
        ends = np.cumsum([0, *(leaf.size for leaf in sample.true)])
        self._sample, self._ends = sample, ends

    def partial(self, k: int, entry: int) -> float:
        """The partial derivative with respect to an entry of a leaf, counted row by row."""
        direction = np.zeros(self._ends[-1])
        direction[self._ends[k] + entry] = 1.0
        return self._best(direction)[0]

    def slopes(self, k: int, allowed: np.ndarray) -> list[Slope]:
        """The slopes along random directions of a leaf."""
        true, given = self._sample.true[k].ravel(), self._sample.given[k]
        own = slice(self._ends[k], self._ends[k + 1])
        found = []
        for seed in range(DIRECTIONS if true.size else 0):
            direction = np.zeros(self._ends[-1])
            d = np.random.default_rng(seed).standard_normal(true.size) * self._point.scale[own]
            direction[own] = d
            value, error, kink = self._best(direction, float(np.linalg.norm(true * d)))
            usable = given is not None and given.size == true.size
            found.append(
                Slope(
                    hand=float(np.asarray(given).ravel() @ d) if usable else np.nan,
                    autodiff=float(true @ d),
                    differences=value,
                    error=error,
                    size=float(np.linalg.norm(true * d)),
                    allowed=3 * float(np.linalg.norm(allowed.ravel() * d)),
                    kink=kink,
                )
            )
        return found

    def _best(self, direction: np.ndarray, size: float = 0.0) -> tuple[float, float, bool]:
        """Slope, error and kink with the step that leaves the smallest error."""
        best = (0.0, np.inf, False)
        for step in STEPS:
            found = line_slope("check.gradient", self._f, self._point, direction, step)
            value, error, kink = float(found.value), float(found.error), bool(found.kink)
            if error < best[1]:
                best = value, error, kink
            if kink or error <= 1e-6 * max(size, abs(value)):
                break
        return best


def loss_precision(program: str) -> float:
    """The coarsest precision in which a traced loss computes, given float64."""
    eps = {"f32": 2.0**-23, "bf16": 2.0**-7, "f16": 2.0**-10}
    return max((e for name, e in eps.items() if f":{name}[" in program), default=EPS)
