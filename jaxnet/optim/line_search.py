"""A line search for the strong Wolfe conditions."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxnet.optim.rates import Hyper

ValueAndGrad: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""The loss and its gradient at a vector of parameters."""


class Trial(NamedTuple):
    """A point of phi(a) = f(x + a d): a, phi(a), phi'(a)."""

    step: Array
    value: Array
    slope: Array


class Searched(NamedTuple):
    """What a line search found: the step a, and the loss and its gradient at x + a d.

    success says whether the step meets the conditions. If not, it is the best one that was tried;
    it is 0 where none was lower than the start. evaluations counts the points at which the loss
    and its gradient were taken.
    """

    step: Array
    value: Array
    grad: Array
    success: Array
    evaluations: Array


class Bracket(NamedTuple):
    """State of the search: the best point, the other end of the interval, and the next trial."""

    low: Trial
    high: Trial
    bracketed: Array
    modified: Array
    width: Array
    last_width: Array
    least: Array
    most: Array
    limit: Array
    step: Array
    grad: Array
    success: Array
    failed: Array
    evaluations: Array


def line_search(
    value_and_grad: ValueAndGrad,
    x: Array,
    d: Array,
    value: Array,
    grad: Array,
    first: ArrayLike = 1.0,
    *,
    c1: Hyper = 1e-4,
    c2: Hyper = 0.9,
    max_evaluations: int = 20,
) -> Searched:
    """Find a step along d that meets the strong Wolfe conditions.

    With phi(a) = f(x + a d), the step a is such that

        phi(a) <= phi(0) + c1 a phi'(0)
        |phi'(a)| <= c2 |phi'(0)|

    The search keeps an interval that holds such steps, and tries the minimizers of cubics and
    parabolas through its ends. Until a step with a sufficient decrease and phi' >= 0 is seen it
    looks at psi(a) = phi(a) - phi(0) - c1 a phi'(0) in place of phi.

    Differs from: the paper stops at any trial whose value is not finite; here such a step is a
    limit, and a tenth of the way to it is tried. Where phi(a) and phi(0) differ by no more than
    rounding, the first condition says nothing; Hager & Zhang's |phi'(a)| <= (1 - 2 c1) |phi'(0)|
    then stands in for it.

    Args:
        value_and_grad: x -> f(x) and its gradient.
        x: Where the line begins, a vector.
        d: Its direction, in which f should decrease.
        value: f(x).
        grad: The gradient of f at x.
        first: The first step to try, positive.
        c1: Share of the decrease foreseen by the slope that is due.
        c2: Share of the slope that may be left.
        max_evaluations: Points to try at most.

    Returns:
        The step, with the loss and the gradient there.

    References: More & Thuente (1994); for the conditions, Nocedal & Wright (2006), 3.1; for
    rounding, Hager & Zhang (2005).
    """
    zero = jnp.zeros([], x.dtype)
    start = Trial(zero, value.astype(x.dtype), grad @ d)
    rounding = 10 * np.finfo(x.dtype).eps * jnp.abs(start.value)

    def psi(t: Trial) -> Trial:
        foreseen = c1 * start.slope
        return Trial(t.step, t.value - t.step * foreseen, t.slope - foreseen)

    def meets_conditions(t: Trial) -> Array:
        flat = jnp.abs(t.slope) <= c2 * jnp.abs(start.slope)
        lower = t.value <= start.value + c1 * t.step * start.slope
        flatter = jnp.abs(t.slope) <= (1 - 2 * c1) * jnp.abs(start.slope)
        same = jnp.abs(t.value - start.value) <= rounding
        met: Array = flat & (lower | (same & flatter))
        return met

    def evaluate(b: Bracket) -> Bracket:
        f, g = value_and_grad(x + b.step * d)
        new = Trial(b.step, f.astype(x.dtype), g @ d)
        success = meets_conditions(new)
        finite = jnp.isfinite(new.value) & jnp.isfinite(new.slope)
        lower = new.value <= start.value + c1 * new.step * start.slope
        modified = b.modified & ~(lower & (new.slope >= 0))
        after = narrowed(
            b._replace(modified=modified), new, psi, modified & ~lower & (new.value <= b.low.value)
        )
        outside = b._replace(limit=b.step, step=b.low.step + 0.1 * (b.step - b.low.step))
        after = Bracket(*jax.tree.map(lambda y, n: jnp.where(finite, y, n), after, outside))
        after = after._replace(
            low=_choose(success, new, after.low),
            success=success,
            evaluations=b.evaluations + 1,
        )
        is_best = after.low.step == new.step
        stuck = (after.step == after.low.step) | (after.step == new.step)
        return after._replace(grad=jnp.where(is_best, g, b.grad), failed=stuck & ~success)

    def going(b: Bracket) -> Array:
        return ~b.success & ~b.failed & (b.evaluations < max_evaluations)

    first = jnp.asarray(first, x.dtype)
    infinite = jnp.full_like(zero, jnp.inf)
    no = jnp.zeros([], bool)
    b = Bracket(
        low=start,
        high=start,
        bracketed=no,
        modified=~no,
        width=infinite,
        last_width=infinite,
        least=zero,
        most=5 * first,
        limit=infinite,
        step=first,
        grad=grad,
        success=no,
        failed=~(start.slope < 0),
        evaluations=jnp.zeros([], jnp.int32),
    )
    b = jax.lax.while_loop(going, evaluate, b)
    return Searched(b.low.step, b.low.value, b.grad, b.success, b.evaluations)


def narrowed(b: Bracket, new: Trial, psi: Callable[[Trial], Trial], use_psi: Array) -> Bracket:
    """The bracket with a new trial in it, and the next step to try."""

    def seen(t: Trial) -> Trial:
        return _choose(use_psi, psi(t), t)

    # The interval of More & Thuente: `low` is the best point so far, its slope points to `high`.
    best, trial = seen(b.low), seen(new)
    higher = trial.value > best.value
    turned = trial.slope * best.slope < 0
    step = proposed(best, seen(b.high), trial, higher, turned, b)
    bracketed = b.bracketed | higher | turned
    high = _choose(higher, new, _choose(turned, b.low, b.high))
    low = _choose(higher, b.low, new)
    width = jnp.abs(high.step - low.step)
    # Two steps have to cut the interval to two thirds, or it is halved.
    halve = bracketed & (width >= 0.66 * b.last_width)
    step = jnp.where(halve, low.step + 0.5 * (high.step - low.step), step)
    ends = jnp.minimum(low.step, high.step), jnp.maximum(low.step, high.step)
    beyond = step + 1.1 * (step - low.step), step + 4 * (step - low.step)
    least = jnp.where(bracketed, ends[0], beyond[0])
    most = jnp.where(bracketed, ends[1], beyond[1])
    step = jnp.minimum(step, jnp.where(bracketed, b.limit, 0.5 * (new.step + b.limit)))
    tiny = most - least <= 4 * np.finfo(step.dtype).eps * most
    out = (step <= least) | (step >= most)
    return b._replace(
        low=low,
        high=high,
        bracketed=bracketed,
        width=jnp.where(bracketed, width, b.width),
        last_width=jnp.where(bracketed, b.width, b.last_width),
        least=least,
        most=most,
        step=jnp.where(bracketed & (tiny | out), low.step, step),
    )


def proposed(
    low: Trial, high: Trial, new: Trial, higher: Array, turned: Array, b: Bracket
) -> Array:
    """The next step to try, by the four cases of More & Thuente, section 4."""
    nearer_low = new.step < low.step
    cubic_low, parabola = cubic(low, new), quadratic(low, new)
    cubic_new, line = cubic(new, low), secant(new, low)
    end = jnp.where(nearer_low, b.least, b.most)

    def nearer(origin: Array, a: Array, other: Array) -> Array:
        return jnp.where(jnp.abs(a - origin) < jnp.abs(other - origin), a, other)

    def farther(origin: Array, a: Array, other: Array) -> Array:
        return jnp.where(jnp.abs(a - origin) > jnp.abs(other - origin), a, other)

    # 1: higher than the best: a minimizer lies between, and nearer to the best.
    middle = cubic_low + (parabola - cubic_low) / 2
    is_near = jnp.abs(cubic_low - low.step) < jnp.abs(parabola - low.step)
    step1 = jnp.where(is_near, cubic_low, middle)
    # 2: lower, and the slope has turned: a minimizer lies between.
    step2 = farther(new.step, cubic_new, line)
    # 3: lower, the slope has not turned but is flatter: go on, if the cubic has a minimum there.
    ahead = (cubic_new - new.step) * (new.step - low.step) > 0
    cubic_ahead = jnp.where(ahead, cubic_new, end)
    inside = nearer(new.step, cubic_ahead, line)
    bound = new.step + 0.66 * (high.step - new.step)
    inside = jnp.where(nearer_low, jnp.maximum(bound, inside), jnp.minimum(bound, inside))
    outside = jnp.clip(farther(new.step, cubic_ahead, line), b.least, b.most)
    step3 = jnp.where(b.bracketed, inside, outside)
    # 4: lower, and as steep or steeper: towards the other end, or as far as is allowed.
    step4 = jnp.where(b.bracketed, cubic(new, high), end)

    flatter = jnp.abs(new.slope) < jnp.abs(low.slope)
    return jnp.select([higher, turned, flatter], [step1, step2, step3], step4)


def cubic(p: Trial, q: Trial) -> Array:
    """The minimizer of the cubic with the values and slopes of p and q; p where it has none."""
    h = q.step - p.step
    theta = 3 * (p.value - q.value) / h + p.slope + q.slope
    scale = jnp.maximum(jnp.abs(theta), jnp.maximum(jnp.abs(p.slope), jnp.abs(q.slope)))
    root = (theta / scale) ** 2 - (p.slope / scale) * (q.slope / scale)
    gamma = jnp.sign(h) * scale * jnp.sqrt(jnp.maximum(root, 0))
    r = (gamma - p.slope + theta) / (2 * gamma - p.slope + q.slope)
    return p.step + jnp.where(root > 0, r, 0) * h


def quadratic(p: Trial, q: Trial) -> Array:
    """The minimizer of the parabola with the values of p and q and the slope of p."""
    h = q.step - p.step
    return p.step + p.slope / ((p.value - q.value) / h + p.slope) / 2 * h


def secant(p: Trial, q: Trial) -> Array:
    """Where the line through the slopes of p and q is 0."""
    return p.step + p.slope / (p.slope - q.slope) * (q.step - p.step)


def _choose(yes: Array, a: Trial, b: Trial) -> Trial:
    return Trial(*(jnp.where(yes, x, y) for x, y in zip(a, b, strict=True)))
