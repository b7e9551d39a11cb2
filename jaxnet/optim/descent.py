"""The shape of the methods that search along a line: a direction, a step, a memory."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.line_search import ValueAndGrad, line_search
from jaxnet.optim.rates import Hyper, check_count, check_number
from jaxnet.optim.transformation import transformation
from jaxnet.optim.whole_tree import computed


class Counts(NamedTuple):
    """Evaluations so far: of the loss, of its gradient, and products with its Hessian."""

    nfev: Array
    njev: Array
    nhev: Array


class Direction(NamedTuple):
    """The direction d, the memory, and how many products with the Hessian it took."""

    d: Array
    memory: Any
    products: int | Array = 0


class DescentState(NamedTuple):
    """State of a method that searches along a line.

    step is the number of steps done, learning_rate the step length a that the last search found.
    value and grad are the loss and its gradient at the point that the last step led to, so that
    `optax.value_and_grad_from_state` need not compute them again; value is infinite before the
    first step. evaluations counts what searches and directions took. stalled says that the last
    search found no lower point even along -g, failed that it found none. decrease is the last
    step's, and memory the rule's own.
    """

    step: Array
    learning_rate: Array
    value: Array
    grad: Any
    evaluations: Counts
    stalled: Array
    failed: Array
    decrease: Array
    memory: Any


def descent(
    rule: str,
    init: Callable[[Array], Any],
    direction: Callable[[Any, Array, Array, ValueAndGrad], Direction],
    remember: Callable[[Any, Array, Array, Array, Array], Any],
    *,
    unit_step: Literal["always", "later", "never"],
    c1: Hyper,
    c2: Hyper,
    max_evaluations: int,
) -> optax.GradientTransformationExtraArgs:
    """Make an optimizer of a rule for the direction d of a line: x := x + a d.

    The parameters are computed as one vector, half precision in float32. Where 1 is the natural
    length of d, the first trial step of a search is a = 1; else it is
    min(1, 1.01 * 2 (f_{k-1} - f_k) / -phi'(0)), the minimizer of the parabola that falls as far as
    the last step did, and 1/|d| at the start, so that x moves by a length of 1. Where d does not
    descend, or the last search found nothing, the memory is emptied and d is -g, from 1/|g|.

    Args:
        rule: The rule's name, for messages.
        init: x -> the empty memory.
        direction: (memory, x, g, value_and_grad) -> the direction d with the memory.
        remember: (memory, g, d, s, y) -> the memory after a step from the gradient g along d,
            with s = a d and y the change of the gradient.
        unit_step: Whether 1 is the natural length of d: "always", "later" than the first step, as
            the memory is empty there, or "never".
        c1: The search's first constant.
        c2: The search's second constant.
        max_evaluations: Points that a search may try.

    Returns:
        An optax gradient transformation whose `update` needs `params`, `value` and `value_fn`.

    Raises:
        ValueError: A constant is out of range.
    """
    check_wolfe(rule, c1, c2, max_evaluations)

    def init_tree(params: Any) -> DescentState:
        x = flat(params)
        return DescentState(
            step=jnp.zeros([], jnp.int32),
            learning_rate=jnp.zeros([], jnp.result_type(float)),
            value=jnp.full([], jnp.inf, x.dtype),
            grad=jax.tree.map(jnp.zeros_like, params),
            evaluations=Counts(*jnp.zeros(3, jnp.int32)),
            stalled=jnp.zeros([], bool),
            failed=jnp.zeros([], bool),
            decrease=jnp.zeros([], x.dtype),
            memory=init(x),
        )

    def update(
        grads: Any,
        state: DescentState,
        params: Any,
        *,
        value: Any = None,
        value_fn: Callable[[Any], Array] | None = None,
        **extra: Any,
    ) -> tuple[Any, DescentState]:
        if value is None or value_fn is None:
            raise ValueError(f"{rule}: update needs the loss: value=value, value_fn=value_fn")
        x, g = flat(params), flat(grads).astype(flat(params).dtype)
        f = jnp.asarray(value, x.dtype)

        def value_and_grad(x: Array) -> tuple[Array, Array]:
            value, grads = jax.value_and_grad(value_fn)(unflat(x, params))
            return value, flat(grads).astype(x.dtype)

        empty = init(x)
        d, memory, products = direction(state.memory, x, g, value_and_grad)
        steepest = state.failed | ~((g @ d < 0) & jnp.isfinite(d).all())
        fresh = steepest | ((state.step == 0) & (unit_step != "always"))
        d = jnp.where(steepest, -g, d)
        memory = pick(steepest, empty, memory)
        foreseen = 1.01 * 2 * state.decrease / -(g @ d)
        usable = (foreseen > 0) & (unit_step == "never")
        later = jnp.where(usable, jnp.minimum(1, foreseen), 1)
        found = line_search(
            value_and_grad,
            x,
            d,
            f,
            g,
            jnp.where(fresh, 1 / jnp.linalg.norm(d), later),
            c1=c1,
            c2=c2,
            max_evaluations=max_evaluations,
        )
        # A step that rounding swallows is none.
        moved = (found.step > 0) & (x + found.step * d != x).any()
        s, y = found.step * d, found.grad - g
        n = state.evaluations
        new_state = DescentState(
            step=optax.safe_increment(state.step),
            learning_rate=found.step.astype(state.learning_rate.dtype),
            value=found.value,
            grad=unflat(found.grad, params),
            evaluations=Counts(
                n.nfev + found.evaluations, n.njev + found.evaluations, n.nhev + products
            ),
            stalled=~moved & fresh,
            failed=~moved,
            decrease=f - found.value,
            memory=pick(moved, remember(memory, g, d, s, y), empty),
        )
        return unflat(jnp.where(moved, s, 0), params), new_state

    return transformation(rule, init_tree, update)


def flat(tree: Any) -> Array:
    """The leaves of a tree as one vector, in the widest type that they are computed in."""
    leaves = [computed(leaf).ravel() for leaf in jax.tree.leaves(tree)]
    return jnp.concatenate(leaves) if leaves else jnp.zeros(0)


def unflat(x: Array, like: Any) -> Any:
    """The tree in the structure, shapes and types of `like` of which x is the vector."""
    leaves, structure = jax.tree.flatten(like)
    ends = [0]
    for leaf in leaves:
        ends.append(ends[-1] + jnp.size(leaf))
    parts = [
        x[ends[i] : ends[i + 1]].reshape(jnp.shape(leaf)).astype(jnp.result_type(leaf))
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, parts)


def pick(yes: Array, a: Any, b: Any) -> Any:
    """One of two trees."""
    return jax.tree.map(lambda x, y: jnp.where(yes, x, y), a, b)


def check_wolfe(rule: str, c1: Hyper, c2: Hyper, max_evaluations: int) -> None:
    """Refuse constants of the line search that are Python numbers out of range."""
    for name, value in (("c1", c1), ("c2", c2)):
        check_number(rule, name, value, lambda v: 0 < v < 1, "in (0, 1)")
    numbers = isinstance(c1, int | float) and isinstance(c2, int | float)
    if numbers and not c1 < c2:
        raise ValueError(f"{rule}: c1 must be less than c2, got c1={c1!r} and c2={c2!r}")
    check_count(rule, "max_evaluations", max_evaluations)
