"""Minimize a function to a tolerance, in one compiled program."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnet.optim.annealing import AnnealingState
from jaxnet.optim.descent import Counts, DescentState, flat, pick
from jaxnet.optim.levenberg_marquardt import MarquardtState
from jaxnet.optim.rates import check_count, check_nonnegative
from jaxnet.optim.states import eval_params
from jaxnet.optim.zoo import named

Searching = DescentState | MarquardtState
"""States of the methods that search for a lower point, and say what that took."""

MESSAGES = (
    "The gradient is within the tolerance.",
    "The number of steps is used up.",
    "No lower point was found: the tolerance is finer than the precision.",
    "The loss or its gradient is not finite.",
    "The sum of squares can fall no further, up to rounding.",
)


class Minimum(NamedTuple):
    """Result of `minimize`, in the field names of SciPy's OptimizeResult.

    x is the solution, fun the loss there and jac its gradient. nit counts steps, nfev and njev
    evaluations of the loss and of its gradient (or Jacobian), nhev products with its Hessian.
    status is an index into MESSAGES. Simulated annealing looks at no gradient: its jac is None.
    """

    x: Any
    fun: Array
    jac: Any
    nit: Array
    nfev: Array
    njev: Array
    nhev: Array
    status: Array

    @property
    def success(self) -> Array:
        """Whether it ended at a minimum: the tolerance is met, or nothing lower can be computed."""
        return (self.status == 0) | (self.status == 4)

    @property
    def message(self) -> str:
        """Why it stopped, in words; not inside a compiled function."""
        return MESSAGES[int(self.status)]


class Progress(NamedTuple):
    """Where the loop stands; evaluations are its own, not those inside the method."""

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

    Steps are taken until the gradient is within the tolerance, max_steps are done, a search finds
    nothing lower, or the loss or its gradient is not finite. The whole run is
    one compiled program; a second call with the same function and method reuses it, also with
    other numbers among the options.

    Args:
        fun: The loss, a function of the parameters that JAX can differentiate; for
            "levenberg_marquardt" the residuals r(x), of which 1/2 r^T r is the loss. A function
            that is defined anew for every call is compiled anew.
        x0: Where to start, any tree of arrays.
        method: The name of a rule in `ZOO`, or any optax gradient transformation.
        tolerance: The largest entry of the gradient that is taken for 0, where the rule takes the
            gradient; for "levenberg_marquardt", the largest cosine between the residuals and a
            column of their Jacobian, which does not depend on units.
        max_steps: Steps to do at most.
        **options: Arguments of a rule that is given by its name, such as memory_size=5 of "lbfgs",
            learning_rate=0.01 of "adam", or the key of "simulated_annealing".

    Returns:
        The result. If the tolerance is not met, its x is the rule's answer, `eval_params`, which
        for rules that look ahead, average or remember the best is not the last point. Only the
        rules with a search count the evaluations inside them.

    Raises:
        ValueError: The method is unknown, an argument is out of range, or the function does not
            give what the method needs.
        TypeError: An option is none of the method's.
    """
    check_nonnegative("minimize", "tolerance", tolerance)
    check_count("minimize", "max_steps", max_steps)
    if isinstance(method, str):
        named(method).factory(**options)  # refuses what it can see, before numbers are traced
    elif options:
        raise ValueError(
            f"minimize: {', '.join(options)}: options are for methods given by their name; "
            "give them to the transformation itself"
        )
    x0 = jax.tree.map(_inexact, x0)
    traced = {k: v for k, v in options.items() if isinstance(v, float | Array)}
    static = tuple(sorted((k, v) for k, v in options.items() if k not in traced))
    result: Minimum = _minimize(fun, method, static, traced, x0, tolerance, max_steps)
    return result


@partial(jax.jit, static_argnums=(0, 1, 2))
def _minimize(
    fun: Callable[[Any], Array],
    method: str | optax.GradientTransformation,
    static: tuple[tuple[str, Any], ...],
    traced: dict[str, Any],
    x0: Any,
    tolerance: Array,
    max_steps: Array,
) -> Minimum:
    needs = ""
    if isinstance(method, str):
        needs = named(method).needs
        method = named(method).factory(**dict(static), **traced)
    optimizer = optax.with_extra_args_support(method)
    least_squares = needs == "residual_fn"
    loss = _half_square(fun) if least_squares else fun
    _check_output(fun, x0, vector=least_squares)
    state = optimizer.init(x0)
    blind = isinstance(state, AnnealingState)  # looks at no gradient
    value_and_grad = (lambda x: (loss(x), x0)) if blind else jax.value_and_grad(loss)
    extra = {"value_fn": loss}
    if needs in ("grad_fn", "residual_fn"):
        extra[needs] = fun if least_squares else jax.grad(loss)

    def status(value: Array, grad: Any, nit: Array, state: Any) -> Array:
        g = flat(grad)
        finite = (jnp.isfinite(value) & jnp.isfinite(g).all()) | blind
        size = jnp.max(jnp.abs(g), initial=0)
        if blind:
            size = jnp.inf * jnp.ones_like(size)
        stalled = converged = jnp.zeros([], bool)
        if isinstance(state, Searching):
            stalled = state.stalled
        if isinstance(state, MarquardtState):
            size, converged = state.cosine, state.converged
        # -1 while it goes on; the first that holds is the reason to stop.
        reasons = [~finite, size <= tolerance, converged, stalled, nit >= max_steps]
        return jnp.select(reasons, list(map(jnp.int32, (3, 0, 4, 2, 1))), -1)

    def going(p: Progress) -> Array:
        return p.status < 0

    def step(p: Progress) -> Progress:
        updates, state = optimizer.update(p.grad, p.state, p.x, value=p.value, grad=p.grad, **extra)
        x = optax.apply_updates(p.x, updates)
        if isinstance(state, DescentState):  # its search has been there
            value, grad, evaluations = state.value, state.grad, p.evaluations
        else:
            value, grad = value_and_grad(x)
            evaluations = p.evaluations + 1
        value, nit = value.astype(p.value.dtype), p.nit + 1
        return Progress(x, value, grad, state, nit, evaluations, status(value, grad, nit, state))

    value, grad = value_and_grad(x0)
    zero = jnp.zeros([], jnp.int32)
    first = Progress(x0, value, grad, state, zero, zero + 1, status(value, grad, zero, state))
    found = _minimum(jax.lax.while_loop(going, step, first), value_and_grad)
    return found._replace(jac=None, njev=zero) if blind else found


def _minimum(p: Progress, value_and_grad: Any) -> Minimum:
    """The result: where the tolerance is met, or else the rule's answer."""
    x, value, grad, evaluations = p.x, p.value, p.grad, p.evaluations
    answer = eval_params(p.state, p.x)
    if answer is not p.x:
        x = pick(p.status == 0, p.x, answer)
        value, grad = value_and_grad(x)
        evaluations = evaluations + 1
    inside = Counts(*jnp.zeros(3, jnp.int32))
    if isinstance(p.state, Searching):
        inside = p.state.evaluations
    return Minimum(
        x=x,
        fun=value,
        jac=grad,
        nit=p.nit,
        nfev=evaluations + inside.nfev,
        njev=evaluations + inside.njev,
        nhev=inside.nhev,
        status=p.status,
    )


def _half_square(residual_fn: Callable[[Any], Any]) -> Callable[[Any], Array]:
    def loss(x: Any) -> Array:
        r = flat(residual_fn(x))
        return 0.5 * (r @ r)

    return loss


def _check_output(fun: Callable[[Any], Any], x0: Any, *, vector: bool) -> None:
    """Refuse a function whose result is not of the kind that the method minimizes."""
    shapes = [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(fun, x0))]
    if vector and shapes == [()]:
        raise ValueError("minimize: the method needs residuals, but fun gives a single number")
    if not vector and shapes != [()]:
        raise ValueError(
            f"minimize: fun must give one number, got shapes {shapes}; "
            'residuals are taken by method="levenberg_marquardt", given by its name'
        )


def _inexact(leaf: Any) -> Array:
    """A leaf as an array of floating-point numbers of a fixed type: 1 as 1.0."""
    leaf = jnp.asarray(leaf)
    inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
    return jnp.asarray(leaf, leaf.dtype if inexact else jnp.result_type(float))
