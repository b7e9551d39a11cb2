"""Recorded problems: where an optimizer starts, and which gradients it is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Leaves = list[np.ndarray]

MIXED = {"bias": (3,), "kernel": (4, 3), "other": (4, 3), "wide": (2, 5)}
"""Leaves of different shapes, and two of the same: states that are shared show on those."""

NEARLY_SQUARE = {**MIXED, "wide": (2, 3)}
"""For rules that go by eigenvectors: of the products of a wide leaf many are alike."""

SAME = {"kernel": (4, 3), "other": (4, 3)}
"""For rules that can take leaves of one shape only."""

MATRIX = {"x": (4, 3)}
VECTOR = {"x": (6,)}
"""For rules that take one array only."""


@dataclass(frozen=True)
class Problem:
    """A start and, for every step, a gradient that does not depend on what the rule does.

    Attributes:
        name: What it is there to show.
        start: The first parameters.
        grads: The gradients, step by step; of a closed problem only their number counts.
        values: A loss for every step, for rules that ask for one.
        rates: A factor on the learning rate for every step; all 1 but for rules whose learning
            rate can be changed from outside.
        closed: Whether the gradients are those of a quadratic at the rule's own parameters.
    """

    name: str
    start: Leaves
    grads: list[Leaves]
    values: list[float] = field(default_factory=list)
    rates: tuple[float, ...] = ()
    closed: bool = False

    def cut(self, steps: int) -> "Problem":
        """The first steps of it."""
        return Problem(
            self.name,
            self.start,
            self.grads[:steps],
            self.values[:steps],
            self.rates[:steps],
            self.closed,
        )

    def leaf(self, i: int) -> "Problem":
        """The same for one leaf."""
        grads = [[leaves[i]] for leaves in self.grads]
        return Problem(self.name, [self.start[i]], grads, self.values, self.rates, self.closed)

    def gradient(self, t: int, xs: Leaves) -> Leaves:
        """The gradient of step t = 1, 2, ... at the parameters."""
        if not self.closed:
            return self.grads[t - 1]
        return [a * x - b for a, x, b in zip(*bowl(xs), strict=True)]

    def value(self, t: int, xs: Leaves) -> float:
        """The loss that goes with it."""
        if not self.closed:
            return self.values[t - 1]
        terms = (a * x**2 / 2 - b * x for a, x, b in zip(*bowl(xs), strict=True))
        return float(sum(term.sum() for term in terms)) + CONSTANT

    def rate(self, t: int) -> float:
        """The factor on the learning rate of step t."""
        return self.rates[t - 1] if self.rates else 1.0


CONSTANT = 50.0
"""What the closed problem's quadratic is lifted by: its least value is above 0."""


def bowl(xs: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Curvatures a, places x and slopes b of the closed problem, a x^2 / 2 - b x in every entry."""
    sizes = [np.arange(x.size, dtype=np.float64).reshape(x.shape) for x in xs]
    return [1 + s / 8 for s in sizes], xs, [1 + np.cos(s) for s in sizes]


def problems(shapes: Mapping[str, tuple[int, ...]], eps: float) -> list[Problem]:
    """The problems, the shortest first.

    Args:
        shapes: Of the leaves.
        eps: What keeps the reference's denominators from 0: some gradients must be as small.
    """
    rng = np.random.default_rng(20)
    n = len(shapes)
    made = [
        _drawn(rng, "random gradients", shapes, 12, [1.0] * n, 1.0),
        _drawn(rng, "different scales", shapes, 40, [1e-3, 1.0, 30.0, 0.1][:n], 10.0, drift=0.9),
    ]
    small = [eps, eps**0.5, 10 * eps, 0.1 * eps**0.5] if eps else [1e-6, 1e-3, 1e-5, 1e-4]
    small = [max(s, 1e-15) for s in small]
    made.append(_drawn(rng, "tiny gradients", shapes, 24, small[:n], 1.0))
    sparse = _drawn(rng, "zero gradients", shapes, 30, [1.0] * n, 1.0)
    for leaves in sparse.grads:
        for g in leaves:
            g *= rng.random(g.shape) < 0.4
            g.flat[0] = 0.0
    sparse.start[0][...] = 0.0
    made.append(sparse)
    made.append(_drawn(rng, "a long run", shapes, 100, [1.0, 0.3, 2.0, 0.5][:n], 1.0, drift=0.3))
    return made


def varied_problem(shapes: Mapping[str, tuple[int, ...]]) -> Problem:
    """Random gradients while the learning rate changes from step to step."""
    rng = np.random.default_rng(22)
    plain = _drawn(rng, "a varied learning rate", shapes, 12, [1.0] * len(shapes), 1.0)
    rates = tuple(float(r) for r in rng.choice([0.2, 0.5, 1.0, 2.0], 12))
    return Problem(plain.name, plain.start, plain.grads, plain.values, rates)


def closed_problem(shapes: Mapping[str, tuple[int, ...]]) -> list[Problem]:
    """For rules that evaluate the loss themselves: a quadratic of the parameters."""
    rng = np.random.default_rng(21)
    start = [rng.normal(size=shape) for shape in shapes.values()]
    return [Problem("a quadratic", start, [start] * 8, [0.0] * 8, closed=True)]


def _drawn(
    rng: np.random.Generator,
    name: str,
    shapes: Mapping[str, tuple[int, ...]],
    steps: int,
    scales: list[float],
    size: float,
    drift: float = 0.0,
) -> Problem:
    """Normal gradients of a scale for every leaf; with a drift they are alike from step to step."""
    start = [size * rng.normal(size=shape) for shape in shapes.values()]
    before = [rng.normal(size=shape) for shape in shapes.values()]
    grads = []
    for _ in range(steps):
        fresh = [rng.normal(size=x.shape) for x in start]
        before = [
            drift * old + (1 - drift**2) ** 0.5 * new
            for old, new in zip(before, fresh, strict=True)
        ]
        grads.append([scale * g for scale, g in zip(scales, before, strict=True)])
    values = [float(v) for v in rng.uniform(0.5, 20.0, steps)]
    return Problem(name, start, grads, values)
