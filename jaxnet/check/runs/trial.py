"""What is to be diagnosed: a loss, its data, and the rule that moves the parameters."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet.arguments import positive_int
from jaxnet.check.witness import is_float, named
from jaxnet.models import Model
from jaxnet.optim import learning_rate

Loss = Callable[[Any, Any, Any], Any]
"""loss(params, x, t) -> scalar."""

_OF_A_MODEL = "lambda params, x, t: model.loss(params, (x, t))"

LARGEST = 2.5e8
"""Parameters times rows beyond which part of the rows is used."""


@dataclass(frozen=True)
class Trial:
    """A training run as the user described it.

    params holds the floating-point leaves alone (None where others stood); loss puts the others
    back. learning_rate is None if an optimizer brings its own.
    """

    loss: Loss
    params: Any
    x: Any
    t: Any
    predict: Callable[[Any, Any], Any] | None
    rule: optax.GradientTransformationExtraArgs
    learning_rate: float | None
    steps: int
    batch_size: int | None
    shuffle: bool
    validation: tuple[Any, Any] | None
    plain: bool  # gradient descent, so that curvature says which steps are stable
    optax_rule: bool  # the user's optimizer, which may leave parameters alone on purpose
    schedule: bool  # the learning rate is a function of the step

    @property
    def names(self) -> list[str]:
        """The names of the leaves; "params" if they are a single array."""
        return [name or "params" for name, _ in named(self.params)]

    @property
    def rows(self) -> int:
        """How many examples there are."""
        return int(np.shape(jax.tree.leaves(self.x)[0])[0])

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    @property
    def rule_name(self) -> str:
        """What moves the parameters, in words."""
        rate = "" if self.learning_rate is None else f", learning rate {self.learning_rate:.6g}"
        if self.schedule:
            rate = ", learning rate by a schedule"
        if self.plain:
            return f"gradient descent{rate}"
        if not self.optax_rule:
            return f"the direction given{rate}"
        state = self.rule.init(self.params)
        known = learning_rate(state)
        if known is not None and not rate:
            rate = f", learning rate {float(known):.6g}"
        kinds = ", ".join(dict.fromkeys(_states(state))) or "no state"
        return f"the optimizer given ({kinds}){rate}"

    def with_rule(self, rule: Any, learning_rate: float) -> "Trial":
        """The same run with another rule."""
        return replace(self, rule=optax.with_extra_args_support(rule), learning_rate=learning_rate)

    def in_reach(self) -> "Trial":
        """The same on fewer rows, drawn at random, if a step on all of them takes long."""
        least = max(128, self.batch_size or 0)
        most = max(least, int(LARGEST / self.size))
        if self.rows <= most:
            return self
        rows = np.sort(np.random.default_rng(0).permutation(self.rows)[:most])
        x, t = jax.tree.map(lambda a: a[rows], (self.x, self.t))
        return replace(self, x=x, t=t)

    def longer(self, steps: int) -> "Trial":
        """The same run of this many steps, on full batches."""
        return replace(self, steps=steps, batch_size=None)


def trial(
    loss: Loss,
    params: Any,
    batch: tuple[Any, Any],
    predict: Callable[[Any, Any], Any] | None,
    learning_rate: Any,
    optimizer: Any,
    direction: Callable[[Any], Any] | None,
    steps: int,
    batch_size: int | None,
    shuffle: bool,
    validation: tuple[Any, Any] | None,
    who: str = "check.training",
) -> Trial:
    """Check the arguments of `check.training`, or of `who`, and put them together."""
    if isinstance(loss, Model):
        raise TypeError(f"{who}: loss must be a function, got a Model; pass {_OF_A_MODEL}")
    x, t = _batch(f"{who}: (x, t)", batch)
    params = jax.tree.map(lambda leaf: leaf if hasattr(leaf, "dtype") else np.asarray(leaf), params)
    kept = jax.tree.map(lambda leaf: None if is_float(leaf) else leaf, params)
    trained = jax.tree.map(lambda leaf: jnp.asarray(leaf) if is_float(leaf) else None, params)
    if not jax.tree.leaves(trained):
        raise TypeError(
            f"{who}: params must hold floating-point numbers, got "
            f"{[str(leaf.dtype) for leaf in jax.tree.leaves(params)]}"
        )
    learning_rate = _rate(who, learning_rate)
    if optimizer is not None and direction is not None:
        raise ValueError(f"{who}: give an optimizer or a direction, not both")
    if direction is not None and learning_rate is None:
        raise ValueError(
            f"{who}: a direction needs a learning_rate; the step is "
            "params + learning_rate * direction(grads)"
        )
    if direction is not None and callable(learning_rate):
        raise TypeError(
            f"{who}: a direction needs a number as learning_rate, got the schedule "
            f"{learning_rate!r}; without a direction, schedules work"
        )
    if batch_size is not None:
        batch_size = positive_int(f"{who}: batch_size", batch_size)
        if batch_size > _rows(x):
            raise ValueError(
                f"{who}: batch_size is {batch_size}, but there are {_rows(x)} rows only; give at "
                "most that, or None for all of them"
            )
    whole = Trial(
        loss=lambda p, x, t: loss(_merged(p, kept), x, t),
        params=trained,
        x=x,
        t=t,
        predict=predict and (lambda p, x: predict(_merged(p, kept), x)),
        rule=optax.with_extra_args_support(_rule(who, learning_rate, optimizer, direction)),
        learning_rate=None if callable(learning_rate) else learning_rate,
        steps=positive_int(f"{who}: steps", steps),
        batch_size=batch_size,
        shuffle=shuffle,
        validation=None if validation is None else _batch(f"{who}: validation", validation),
        plain=optimizer is None and direction is None,
        optax_rule=optimizer is not None,
        schedule=callable(learning_rate),
    )
    with _in_jax(who, "loss"), _raised_by(who, "loss"):
        out = jax.eval_shape(whole.loss, trained, x, t)
    if direction is not None:
        with _in_jax(who, "direction"):
            jax.eval_shape(direction, trained)
    if getattr(out, "shape", None) != ():
        raise ValueError(f"{who}: loss must give one number, got {out}; return its sum or mean")
    if whole.validation is not None:
        _same_width(f"{who}: validation", whole.validation, (x, t))
    return whole


@contextmanager
def _in_jax(who: str, name: str) -> Iterator[None]:
    """A function that JAX cannot trace is a TypeError that names it."""
    try:
        yield
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
        raise TypeError(
            f"{who}: {name} must be written in JAX, so that it can be traced: use jax.numpy for "
            f"numpy, and jax.lax.cond or jnp.where for if ({str(error).splitlines()[0]})"
        ) from error


@contextmanager
def _raised_by(who: str, name: str) -> Iterator[None]:
    """What the user's function raises, told as such; the type of the error stays."""
    try:
        yield
    except jax.errors.JAXTypeError:
        raise  # told by `_in_jax`
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, NameError) as error:
        kind = type(error).__name__
        kept = TypeError if isinstance(error, TypeError) else ValueError
        told = kept(f"{who}: your {name} raised {kind}: {error}")
        raise told.with_traceback(error.__traceback__) from error


def _same_width(name: str, given: Any, expected: Any) -> None:
    """Complain if one batch has rows of another shape than the other."""
    shapes = [[np.shape(a)[1:] for a in jax.tree.leaves(batch)] for batch in (given, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{name} has rows of shapes {shapes[0]}, the training data {shapes[1]}")


def _states(state: Any) -> list[str]:
    """The names of the states that an optimizer keeps, which tell what it is."""
    names = [type(state).__name__] if hasattr(state, "_fields") else []
    if isinstance(state, tuple | list | dict):
        for part in state.values() if isinstance(state, dict) else state:
            names += _states(part)
    return [name for name in names if name != "EmptyState"]


def _merged(trained: Any, kept: Any) -> Any:
    return jax.tree.map(
        lambda a, b: b if a is None else a, trained, kept, is_leaf=lambda leaf: leaf is None
    )


def _rows(x: Any) -> int:
    return int(np.shape(jax.tree.leaves(x)[0])[0])


def _batch(name: str, batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ValueError(f"{name} must be a pair of inputs and targets")
    for part in batch:
        _numbers(name, part)
    x, t = (jax.tree.map(jnp.asarray, part) for part in batch)
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves((x, t))}
    if len(counts) != 1 or counts <= {(), (0,)}:
        raise ValueError(
            f"{name} must be arrays with one row per example, got shapes "
            f"{[np.shape(leaf) for leaf in jax.tree.leaves((x, t))]}"
        )
    return x, t


def _numbers(name: str, part: Any) -> None:
    """Complain of text, and of lists of numbers, which are trees of scalars to JAX."""
    for leaf in jax.tree.leaves(part):
        dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
        if getattr(dtype, "kind", "") in ("U", "S", "O"):
            raise TypeError(
                f"{name} must hold numbers, got {dtype}; number classes that are text, for "
                "instance with np.unique(t, return_inverse=True)[1]"
            )
        if np.ndim(leaf) == 0 and isinstance(part, list | tuple):
            raise ValueError(
                f"{name} must be arrays with one row per example, got a {type(part).__name__} of "
                "numbers; make it an array with np.array"
            )


def _rate(who: str, learning_rate: Any) -> Any:
    """A learning rate as a float; None and schedules, which are functions, as they are."""
    if learning_rate is None or callable(learning_rate):
        return learning_rate
    number = not isinstance(learning_rate, bool | str) and np.ndim(learning_rate) == 0
    try:
        rate = float(learning_rate) if number else None
    except (TypeError, ValueError):
        rate = None
    if rate is None or not np.isfinite(rate):
        error = TypeError if rate is None else ValueError
        raise error(
            f"{who}: learning_rate must be a finite number, a schedule (step -> number) or None, "
            f"got {learning_rate!r}"
        )
    return rate


def _rule(who: str, learning_rate: Any, optimizer: Any, direction: Any) -> Any:
    """The rule that gives the update from the gradient."""
    if direction is not None:
        return optax.stateless(
            lambda grads, params: jax.tree.map(lambda d: learning_rate * d, direction(grads))
        )
    if optimizer is None:
        return optax.sgd(1.0 if learning_rate is None else learning_rate)
    if hasattr(optimizer, "init") and learning_rate is not None:
        raise ValueError(
            f"{who}: give a learning_rate or an optimizer that has its own, not both; a function "
            "such as optax.adam, without its brackets, can be given with a learning_rate"
        )
    if not hasattr(optimizer, "init") and callable(optimizer) and learning_rate is not None:
        optimizer = optimizer(learning_rate)
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            f"{who}: optimizer must be an optax gradient transformation, such as "
            f"jaxnet.optim.adam(0.01), got {optimizer!r}"
        )
    return optimizer
