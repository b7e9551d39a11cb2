"""What an alteration of a replay does to the gradient, without running it all the way back.

Let u be a direction in the space of the parameters and x_i' the derivative of the value x_i of a
replay along it. If an alteration changes the cotangent of x_i by d_i, and all operations before
that keep their rules, it changes the gradient g by

    <u, g_altered - g> = sum_i <x_i', d_i>,

as right rules are the transposes of the derivatives. So a few directions, followed forwards once,
tell of every alteration in a few inner products whether it can come to the user's gradient.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.replay import Backward, Replay, Rule, change, rerun

STEP = 1e-6
"""The step of the central differences; the directions are in units of a leaf's largest entry."""

DIRECTIONS = 3
"""For each group of leaves."""

LARGEST = 3e7
"""Numbers that the derivatives of all values may take up."""


class Screen(NamedTuple):
    """Directions u with the derivatives of all values along them.

    Groups of leaves have directions of their own: group[j] is that of direction j, and
    directions[k] the entries of all of them in leaf k, an array (directions, size).
    """

    replay: Replay
    group: np.ndarray
    directions: list[np.ndarray]
    tangents: dict[int, np.ndarray]

    def along(self, gradient: Sequence[Any]) -> np.ndarray:
        """The inner products of a gradient, leaf by leaf, with all directions."""
        total = np.zeros(len(self.group))
        for u, g in zip(self.directions, gradient, strict=True):
            if g is not None and np.size(g) == u.shape[1]:
                total += u @ np.nan_to_num(np.ravel(g))
        return total

    def effect(self, rules: Mapping[int, Rule], base: Backward) -> np.ndarray:
        """What other rules change of those products, on top of a backward pass.

        Raises:
            ValueError: A rule gives an array of the wrong shape.
        """
        total = np.zeros(len(self.group))
        for i, d in change(self.replay, rules, base, stop=min(rules)).items():
            if np.shape(d) != np.shape(self.replay.values[i]):
                raise ValueError(f"cotangent of shape {np.shape(d)}")
            if i in self.tangents:
                total += self.tangents[i] @ np.ravel(d)
        return total


def screen(replay: Replay, groups: Sequence[Sequence[int]]) -> Screen:
    """Lay out directions for groups of leaves, and follow them through a replay.

    Args:
        replay: The loss as it ran.
        groups: The numbers of the leaves of each group.
    """
    size = sum(np.size(value) for value in replay.values)
    each = DIRECTIONS if size * DIRECTIONS * len(groups) <= LARGEST else 1
    groups = _fewer(groups, max(2, int(LARGEST / (size * each))))
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(len(groups)), each)
    numbers = replay.parameters
    directions = [np.zeros((len(group), np.size(replay.values[i]))) for i in numbers]
    for g, leaves in enumerate(groups):
        for k in leaves:
            x = np.asarray(replay.values[numbers[k]])
            scale = float(np.abs(x).max(initial=0)) or 1.0
            directions[k][g * each : (g + 1) * each] = scale * rng.standard_normal((each, x.size))
    along = [[u[j] for u in directions] for j in range(len(group))]
    return Screen(replay, group, directions, tangents(replay, along))


def _fewer(groups: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """The same leaves in at most so many groups; the first one stays by itself."""
    first, *rest = (list(g) for g in groups)
    if len(rest) < most:
        return [first, *rest]
    merged: list[list[int]] = [[] for _ in range(most - 1)]
    for n, g in enumerate(rest):
        merged[n % (most - 1)] += g
    return [first, *merged]


def tangents(replay: Replay, directions: Sequence[Sequence[np.ndarray]]) -> dict[int, np.ndarray]:
    """The derivatives of all values along directions, arrays (directions, size).

    Args:
        replay: The loss as it ran.
        directions: The entries of each direction in the parameters, leaf by leaf.
    """
    found: dict[int, np.ndarray] = {}
    for j, direction in enumerate(directions):
        for i, t in _tangent(replay, direction).items():
            found.setdefault(i, np.zeros((len(directions), np.size(t))))[j] = np.ravel(t)
    return found


def _tangent(replay: Replay, direction: Sequence[np.ndarray]) -> dict[int, Any]:
    """The derivatives of all values along a direction, by central differences."""

    def moved(sign: float) -> dict[int, Any]:
        with np.errstate(all="ignore"):
            return rerun(
                replay,
                {
                    i: replay.values[i] + sign * STEP * u.reshape(np.shape(replay.values[i]))
                    for i, u in zip(replay.parameters, direction, strict=True)
                    if u.any()
                },
            )

    ahead, behind = moved(1.0), moved(-1.0)
    with np.errstate(all="ignore"):
        return {
            i: np.nan_to_num((np.asarray(ahead[i]) - np.asarray(behind[i])) / (2 * STEP))
            for i in ahead
            if np.issubdtype(np.asarray(ahead[i]).dtype, np.floating)
        }
