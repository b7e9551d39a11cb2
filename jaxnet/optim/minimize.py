"""Minimize a function to a tolerance, in one compiled program."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.conjugate_gradient import conjugate_gradient
from jaxnet.optim.descent import DescentState, check_count, flat
from jaxnet.optim.quasi_newton import bfgs, lbfgs
from jaxnet.optim.rates import check_nonnegative

METHODS: dict[str, Callable[..., optax.GradientTransformationExtraArgs]] = {
    "bfgs": bfgs,
    "conjugate_gradient": conjugate_gradient,
    "lbfgs": lbfgs,
}

MESSAGES = (
    "Every entry of the gradient is within the tolerance.",
    "The number of steps is used up.",
    "No lower point was found: the tolerance is finer than the precision.",
    "The loss or its gradient is not finite.",
)

Options: TypeAlias = tuple[tuple[str, Any], ...]


class Minimum(NamedTuple):
    """Result of `minimize`, in the field names of SciPy's OptimizeResult.

    x is the solution, fun the loss there and jac its gradient; nit counts steps, nfev and njev
    evaluations of the loss and of its gradient. status is an index into MESSAGES.
    """

    x: Any
    fun: Array
    jac: Any
    nit: Array
    nfev: Array
    njev: Array
    status: Array

    @property
    def success(self) -> Array:
        """Whether the tolerance is met."""
        return self.status == 0

    @property
    def message(self) -> str:
        """Why it stopped, in words; not inside a compiled function."""
        return MESSAGES[int(self.status)]


class Progress(NamedTuple):
    """Where the loop stands."""

    x: Any
    value: Array
    grad: Any
    state: Any
    nit: Array
    evaluations: Array
    status: Array


def minimize(
    fun: Callable[[Any], Array],
    x0: Any,
    method: str | optax.GradientTransformation = "bfgs",
    *,
    tolerance: float = 1e-5,
    max_steps: int = 10_000,
    **options: Any,
) -> Minimum:
    """Minimize a function of a tree of parameters.

    Steps are taken until no entry of the gradient is larger than the tolerance, max_steps are
    done, a line search finds nothing lower, or the loss or its gradient is not finite. The whole
    run is one compiled program; a second call with the same function and method reuses it.

    Args:
        fun: The loss, a function of the parameters that JAX can differentiate. A function that is
            defined anew for every call is compiled anew.
        x0: Where to start, any tree of arrays.
        method: "bfgs", "conjugate_gradient" or "lbfgs", or any optax gradient transformation.
        tolerance: The largest entry of the gradient that is taken for 0.
        max_steps: Steps to do at most.
        **options: Arguments of a method that is given by its name, such as memory_size.

    Returns:
        The result; its x is the last point at which the gradient was taken, also for rules that
        look ahead or average. Evaluations inside the `update` of a transformation from elsewhere
        are not counted.

    Raises:
        ValueError: The method is unknown, or an argument is out of range.
    """
    check_nonnegative("minimize", "tolerance", tolerance)
    check_count("minimize", "max_steps", max_steps)
    if isinstance(method, str):
        if method not in METHODS:
            raise ValueError(
                f"minimize: method must be one of {', '.join(METHODS)} or an optax gradient "
                f"transformation, got {method!r}"
            )
    elif options:
        raise ValueError(
            f"minimize: {', '.join(options)} are for methods given by their name; "
            "give them to the transformation itself"
        )
    x0 = jax.tree.map(_inexact, x0)
    settings: Options = tuple(sorted(options.items()))
    result: Minimum = _minimize(fun, method, settings, x0, tolerance, max_steps)
    return result


@partial(jax.jit, static_argnums=(0, 1, 2))
def _minimize(
    fun: Callable[[Any], Array],
    method: str | optax.GradientTransformation,
    options: Options,
    x0: Any,
    tolerance: Array,
    max_steps: Array,
) -> Minimum:
    optimizer = METHODS[method](**dict(options)) if isinstance(method, str) else method
    optimizer = optax.with_extra_args_support(optimizer)
    value_and_grad = jax.value_and_grad(fun)

    def status(value: Array, grad: Any, nit: Array, state: Any) -> Array:
        g = flat(grad)
        finite = jnp.isfinite(value) & jnp.isfinite(g).all()
        done = jnp.max(jnp.abs(g), initial=0) <= tolerance
        stalled = state.stalled if isinstance(state, DescentState) else False
        # -1 while it goes on; the first that holds is the reason to stop.
        reasons = [~finite, done, stalled, nit >= max_steps]
        return jnp.select(reasons, [jnp.asarray(code) for code in (3, 0, 2, 1)], -1)

    def going(p: Progress) -> Array:
        return p.status < 0

    def step(p: Progress) -> Progress:
        updates, state = optimizer.update(
            p.grad, p.state, p.x, value=p.value, grad=p.grad, value_fn=fun
        )
        x = optax.apply_updates(p.x, updates)
        if isinstance(state, DescentState):
            value, grad = state.value, state.grad
            evaluations = 1 + state.evaluations
        else:
            value, grad = value_and_grad(x)
            evaluations = p.evaluations + 1
        value, nit = value.astype(p.value.dtype), p.nit + 1
        return Progress(x, value, grad, state, nit, evaluations, status(value, grad, nit, state))

    value, grad = value_and_grad(x0)
    state = optimizer.init(x0)
    zero = jnp.zeros([], jnp.int32)
    first = Progress(x0, value, grad, state, zero, zero + 1, status(value, grad, zero, state))
    p = jax.lax.while_loop(going, step, first)
    return Minimum(p.x, p.value, p.grad, p.nit, p.evaluations, p.evaluations, p.status)


def _inexact(leaf: Any) -> Array:
    """A leaf as an array of floating-point numbers of a fixed type: 1 as 1.0."""
    leaf = jnp.asarray(leaf)
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.asarray(leaf, leaf.dtype if floating else jnp.result_type(float))
