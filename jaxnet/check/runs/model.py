"""Models that cannot do what is asked of them, and parameters that do not take part."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet.check.report import Finding
from jaxnet.check.runs.columns import standardised
from jaxnet.check.runs.history import runner
from jaxnet.check.runs.lab import Lab
from jaxnet.check.runs.look import INPUTS, PARAMS, look
from jaxnet.check.runs.probe import as_rows, as_targets, class_numbers
from jaxnet.check.runs.rewrite import bias_shapes, biased, unstopped
from jaxnet.check.runs.trial import Loss


def detached(lab: Lab) -> Finding | None:
    """Parameters that no gradient reaches, where that hurts."""
    seen = lab.elsewhere
    if seen is None:
        return None
    reached = seen.reached()
    cut = tuple(name for name, ok in zip(lab.trial.names, reached, strict=True) if not ok)
    frozen = tuple(name for name in _frozen(lab) if name not in cut)
    now = lab.explained(lab.base)
    evidence = {"leaves": float(len(cut) + len(frozen)), "explained": now}
    fix = "Take stop_gradient, rounding or argmax off their way to the loss, or use them in it."
    if cut and not any(reached):
        return _cut(cut, "the loss cannot learn at all", fix, evidence)
    if frozen and lab.trial.optax_rule and now >= 0.1:
        lab.notes.append(
            f"the optimizer leaves {', '.join(frozen)} as they are, although a gradient arrives "
            "there; if that is not meant, give it all parameters"
        )
    elif frozen and -0.5 < now < 0.9:
        best = lab.counted(
            lab.reference(), lab.trial.params, lab.trial.x, lab.trial.t, steps=lab.steps
        )
        e = lab.explained(best)
        if e > now + 0.2:
            evidence["explained_if_trained"] = e
            return Finding(
                "detached", frozen,
                f"The rule never changes {', '.join(frozen)}, although a gradient arrives there; "
                f"trained with the others the model explains {100 * e:.0f} %, now "
                f"{max(0, 100 * now):.0f} %.",
                "Give all parameters to the optimizer.", evidence,
            )  # fmt: skip
    if cut:
        loss = unstopped(lab.trial.loss)
        mended = lab.counted(
            runner(lab.trial, loss), lab.trial.params, lab.trial.x, lab.trial.t, steps=lab.steps
        )
        e = lab.explained(mended)
        evidence["explained_without_stop"] = e
        rest_now, rest_then = 1 - now, 1 - e
        if e > now + 0.1 or (rest_then < 0.4 * rest_now and rest_now > 0.05):
            said = f"with the gradient let through the run explains {100 * e:.0f} %"
            return _cut(cut, f"{said}, now {max(0, 100 * now):.0f} %", fix, evidence)
        used = _used(lab)
        idle = tuple(name for name in cut if name not in used)
        if now < 0.3:
            return _cut(idle or cut, f"the run explains {max(0, 100 * now):.0f} %", fix, evidence)
    return None


def _frozen(lab: Lab) -> list[str]:
    """The leaves that the rule never changes, although their gradient is like that of others."""
    before, after = (jax.tree.leaves(p) for p in (lab.trial.params, lab.base.params))
    slopes = [float(np.abs(g).max(initial=0)) for g in jax.tree.leaves(lab.start[1])]
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    if all(same):
        return []
    moved = max(g for g, s in zip(slopes, same, strict=True) if not s)
    return [
        name
        for name, g, s in zip(lab.trial.names, slopes, same, strict=True)
        if s and g > 1e-3 * moved > 0
    ]


def _used(lab: Lab) -> set[str]:
    """The leaves that change the loss at all."""
    seen, used = lab.elsewhere, set()
    assert seen is not None
    inputs = {i for op in seen.replay.operations for i in op.inputs}
    for name, number in zip(lab.trial.names, seen.replay.parameters, strict=True):
        if number in inputs:
            used.add(name)
    return used


def _cut(leaves: tuple[str, ...], said: str, fix: str, evidence: dict[str, float]) -> Finding:
    message = f"No gradient reaches {', '.join(leaves)}: {said}."
    return Finding("detached", leaves, message, fix, evidence)


def constant_output(lab: Lab) -> Finding | None:
    """Predictions that do not depend on the inputs, whatever the parameters are."""
    seen, ideal = lab.elsewhere, lab.ideal
    if seen is None:
        return None
    places = (lab.trial.params, lab.anywhere(1), lab.anywhere(2))
    losses = [float(lab.value_and_grad(p, lab.trial.x, lab.trial.t)[0]) for p in places]
    same = np.isfinite(losses).all() and np.ptp(losses) <= 1e-6 * abs(losses[0])
    if same or (ideal is not None and not ideal.moves):
        return Finding(
            "constant_output", (),
            "The loss is the same whatever the network gives: its outputs are made constant on the "
            "way to the loss (a softmax over an axis of length 1, say).",
            "Use a sigmoid for a single output, or a softmax over the classes.",
            {"loss": losses[0]},
        )  # fmt: skip
    # Inputs far from zero drive every unit into saturation: that is their scale's doing.
    x = standardised(lab.trial.x) if lab.inputs is not None else lab.trial.x
    z, other = (_predictions(lab, lab.anywhere(seed, 4.0), x) for seed in (1, 2))
    if z is None or other is None or len(z) < 2:
        return None
    rows = as_rows(lab.trial.x)
    if rows is None or not (rows.std(axis=0) > 0).any():
        return None
    spread = max(float(np.ptp(a, axis=0).max(initial=0)) for a in (z, other))
    size = max(float(np.abs(a).max(initial=0)) for a in (z, other))
    if spread > 1e-7 * max(size, 1e-30):
        return None
    return Finding(
        "constant_output", (),
        "The predictions are the same for every row, whatever the parameters are: nothing of the "
        "inputs reaches them.", "See what the inputs are multiplied with or reduced over.",
        {"spread": spread, "size": size},
    )  # fmt: skip


def ends_constant(lab: Lab) -> Finding | None:
    """Predictions that have become the same for every row."""
    z = _predictions(lab, lab.base.params)
    if z is None or len(z) < 3 or lab.explained(lab.base) > 0.05 or not np.isfinite(z).all():
        return None
    targets = as_targets(lab.trial.t)
    if targets is None or np.ptp(z, axis=0).max() > 1e-3 * max(np.abs(z).max(), 1e-30):
        return None
    return Finding(
        "constant_output", (),
        "At the end the predictions are the same for every row: the network ignores its inputs.",
        "See what stands between the inputs and the output.", {"spread": float(np.ptp(z))},
    )  # fmt: skip


def penalised(lab: Lab) -> Finding | None:
    """Terms of the parameters alone that hold the predictions where they say nothing."""
    trial, here = lab.trial, lab.here
    if here is None or not lab.has_penalty or not lab.affordable(lab.steps):
        return None
    penalty = here.penalty()
    free = replace(trial, loss=lambda p, x, t: trial.loss(p, x, t) - penalty(p))
    course = runner(free)(trial.params, trial.x, trial.t, steps=lab.steps)
    now, e = lab.explained(lab.base), lab.explained(course, penalised=False)
    if e < max(0, now) + 0.3:
        return None
    return Finding(
        "constant_output", (),
        "The penalty on the parameters holds the predictions near a constant: without it the same "
        f"run explains {100 * e:.0f} % of what there is to learn instead of "
        f"{max(0, 100 * now):.0f} %.",
        "Make the penalty smaller.", {"explained": now, "explained_without_penalty": e},
    )  # fmt: skip


def _predictions(lab: Lab, params: Any, x: Any = None) -> np.ndarray | None:
    """The predictions of some rows."""
    if lab.trial.predict is not None:
        z = np.asarray(lab.trial.predict(params, lab.trial.x if x is None else x), np.float64)
        return z.reshape(len(z), -1) if z.ndim and len(z) == lab.trial.rows else None
    seen = look(lab.trial, params, x=x)
    if seen is None or seen.predictions is None:
        return None
    z = np.asarray(seen.predictions, np.float64)
    return z.reshape(len(z), -1)


def is_affine(lab: Lab) -> bool:
    """Whether the predictions are an affine function of the inputs: midpoints go to midpoints."""
    trial = lab.trial
    if as_rows(trial.x) is None or not jnp.issubdtype(
        jax.tree.leaves(trial.x)[0].dtype, jnp.inexact
    ):
        return False
    params = lab.anywhere(1)
    order = np.random.default_rng(0).permutation(trial.rows)

    def at(x: Any) -> np.ndarray | None:
        seen = look(trial, params, x=x)
        return None if seen is None else seen.predictions

    x = jax.tree.leaves(trial.x)[0]
    z, other = at(trial.x), at(jax.tree.map(lambda a: a[order], trial.x))
    middle = at(jax.tree.map(lambda a: (a + a[order]) / 2, trial.x))
    if z is None or other is None or middle is None:
        return False
    bend = np.abs(middle - (z + other) / 2).max()
    return bool(x.size and bend <= 1e-3 * np.ptp(z, axis=0).max())


def linear_model(lab: Lab) -> Finding | None:
    """A linear model of something that a nonlinear one fits much better."""
    p = lab.probe
    if p is None or p.nonlinear > 0.6 * p.linear or p.linear - p.nonlinear < 0.2:
        return None
    if p.classes and p.nonlinear > 0.35 * p.linear and p.linear - p.nonlinear < 0.35:
        return None  # whole rows are counted, which is coarse
    if not is_affine(lab):
        return None
    wrong = _wrong(lab)
    if wrong is not None and wrong < max(1.5 * p.nonlinear, 0.5 * p.linear):
        return None
    return Finding(
        "linear_model", (),
        "The predictions are an affine function of the inputs, whatever the parameters are. On "
        f"these data a linear fit errs {p.linear:.2f} times as much as a constant, a smooth "
        f"nonlinear one {p.nonlinear:.2f} times.",
        "Put a nonlinear activation between the layers, or add a hidden layer.",
        {"linear_error": p.linear, "nonlinear_error": p.nonlinear},
    )  # fmt: skip


def _wrong(lab: Lab) -> float | None:
    """The share of misclassified rows, against always naming the most frequent class."""
    classes, z = class_numbers(lab.trial.t), _predictions(lab, lab.base.params)
    seen = lab.here
    if classes is None or z is None or seen is None:
        return None
    classes = classes[seen.rows] if len(z) == len(seen.rows) else classes
    if z.shape[1] == classes.max() + 1:
        said = z.argmax(axis=1)
    elif z.shape[1] == 1 and classes.max() == 1:
        cut = np.sort(z[:, 0])[int((classes == 0).sum()) - 1]
        said = (z[:, 0] > cut).astype(int)
    else:
        return None
    constant = 1 - np.bincount(classes).max() / len(classes)
    return float((said != classes).mean() / constant)


def missing_bias(lab: Lab) -> Finding | None:
    """A model that a bias would serve much better."""
    trial = lab.trial
    shapes = absent_biases(lab)
    if not shapes or not lab.affordable(6 * 400):
        return None
    loss, start = _with_biases(lab, shapes)
    run = runner(trial.with_rule(optax.adam(0.05), 0.05).longer(400), loss)
    best = {}
    for on in (0.0, 1.0):
        ends = [
            lab.counted(run, start, (trial.x, on), trial.t, scale, held_out=None)
            for scale in (0.2, 1, 4)
        ]
        best[on] = max((lab.explained(c), c.end) for c in ends)
    own = (lab.explained(lab.base), lab.base.end)  # without a bias, too
    (without, loss_without), (with_bias, loss_with) = max(best[0.0], own), best[1.0]
    rest, gain = 1 - without, with_bias - without
    if gain < 0.04 or 1 - with_bias > 0.6 * rest or with_bias < 0.2:
        return None
    return Finding(
        "missing_bias", (),
        "The model has no bias where it needs one: trained long, its loss ends at "
        f"{loss_without:.4g}, with a bias added to every product of its weights at "
        f"{loss_with:.4g}.",
        "Add a bias to the layers, or a column of ones to the inputs.",
        {"loss": loss_without, "loss_with_bias": loss_with},
    )  # fmt: skip


def bias_for_the_mean(lab: Lab) -> Finding | None:
    """Targets far from zero and a model without a bias: the same run with biases."""
    trial, shapes = lab.trial, absent_biases(lab)
    if not shapes or not trial.plain or trial.learning_rate is None:
        return None
    if not lab.affordable(lab.steps):
        return None
    loss, start = _with_biases(lab, shapes)
    # The trial's own rule, where it is mended already, takes the leaves of the model alone.
    rule = optax.sgd(trial.learning_rate)
    run = runner(trial.with_rule(rule, trial.learning_rate), loss)
    course = lab.counted(run, start, (trial.x, 1.0), trial.t, steps=lab.steps, held_out=None)
    now, then = lab.explained(lab.base), lab.explained(course)
    if then < max(0, now) + 0.25:
        return None
    return Finding(
        "missing_bias", (),
        "The model has no bias, and the mean of the targets is far from 0: with a bias added to "
        f"every product of its weights the same {lab.steps} steps end at {course.end:.4g} instead "
        f"of {lab.base.end:.4g}.",
        "Add a bias to the layers, or a column of ones to the inputs.",
        {"loss": lab.base.end, "loss_with_bias": course.end},
    )  # fmt: skip


def absent_biases(lab: Lab) -> list[tuple[int, ...]]:
    """The shapes of the biases that the model lacks; none if its inputs bring a column of ones."""
    trial, rows = lab.trial, as_rows(lab.trial.x)
    if rows is None or ((rows.std(axis=0) == 0) & (rows[0] != 0)).any():
        return []
    shapes = bias_shapes(trial.loss, trial.params, trial.x, trial.t)
    return [] if len(shapes) > 20 or _has_biases(lab) else shapes


def _with_biases(lab: Lab, shapes: list[tuple[int, ...]]) -> tuple[Loss, Any]:
    """The loss and its parameters with biases; the inputs bring a switch for them: (x, 0 or 1)."""
    both = biased(lab.trial.loss)

    def loss(p: Any, x: Any, t: Any) -> Any:
        params, biases = p
        return both((params, [x[1] * b for b in biases]), x[0], t)

    return loss, (lab.trial.params, [jnp.zeros(shape) for shape in shapes])


def _has_biases(lab: Lab) -> bool:
    """Whether something that depends on the parameters alone is added once for every product."""
    seen = lab.here
    if seen is None:
        return False
    added = sum(
        sorted(seen.depends[i] for i in op.inputs) == [PARAMS, PARAMS | INPUTS]
        for op in seen.replay.operations
        if op.name in ("add", "sub")
    )
    return bool(seen.layers) and added >= len(seen.layers)
