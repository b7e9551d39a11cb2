"""Steps that are too long, too short, or uphill."""

import jax
import numpy as np

from jaxnet.check.report import Finding
from jaxnet.check.runs import nonfinite
from jaxnet.check.runs.lab import LARGER, SMALLER, Lab


def uphill(lab: Lab) -> Finding | None:
    """Updates that go up the gradient, or a loss whose sign is wrong."""
    ideal, trial = lab.ideal, lab.trial
    if ideal is not None and ideal.moves and ideal.negated:
        value, last = lab.start[0], lab.base.whole[np.isfinite(lab.base.whole)][-1]
        return Finding(
            "ascent", (),
            f"The loss falls, from {value:.4g} to {last:.4g} in {len(lab.base.losses)} "
            "steps, and the better the predictions the higher it is: its sign is wrong.",
            "Minimise the negative of this loss.", {"first_loss": value, "last_loss": last},
        )  # fmt: skip
    moved = lab.course(steps=1)
    grads = jax.tree.leaves(lab.first_gradient)
    along, total, length = {}, 0.0, 0.0
    for name, g, a, b in zip(
        trial.names, grads, jax.tree.leaves(trial.params), jax.tree.leaves(moved.params),
        strict=True,
    ):  # fmt: skip
        g, step = (np.asarray(v, np.float64).ravel() for v in (g, b - np.asarray(a)))
        size = np.linalg.norm(g) * np.linalg.norm(step)
        along[name] = float(g @ step / size) if size > 0 and np.isfinite(size) else 0.0
        total, length = total + float(g @ step), length + float(size)
    wrong = tuple(name for name, cosine in along.items() if cosine > 0.3)
    if not wrong or length == 0:
        return None
    now, other = lab.explained(lab.base), lab.explained(lab.course(scale=-1.0))
    falls = lab.base.end < lab.start[0] and now > 0.5
    if falls or (total > 0 and other < now - 0.05):
        return None
    fix = "Subtract the gradient: params - learning_rate * gradient."
    known = trial.learning_rate
    if known is not None and known < 0 and (trial.plain or trial.optax_rule):
        fix = f"The learning rate, {known:g}, is negative: give {-known:g}."
    return Finding(
        "ascent", wrong,
        f"The first update goes up the gradient in {', '.join(wrong)} (cosine "
        f"{max(along.values()):.3f}): the loss goes from {lab.start[0]:.4g} to "
        f"{lab.base.whole[-1]:.4g}.",
        fix, {"cosine": max(along.values()), "slope": total},
    )  # fmt: skip


def unmoved(lab: Lab) -> Finding | None:
    """A rule that changes no parameter, although there is a gradient."""
    before, after = (jax.tree.leaves(p) for p in (lab.trial.params, lab.base.params))
    slope = max(float(np.abs(g).max(initial=0)) for g in jax.tree.leaves(lab.start[1]))
    same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    if not same or not np.isfinite(slope) or slope == 0:
        return None
    known, stable = lab.trial.learning_rate, lab.curvature.largest_stable_step
    evidence = {"largest_gradient": slope, "largest_stable_step": stable}
    if known is not None:
        evidence["learning_rate"] = known
    to = f" to {stable / 2:.3g}, say" if lab.trial.plain and np.isfinite(stable) else ""
    return Finding(
        "step_too_small", (),
        f"After {len(lab.base.losses)} steps every parameter is what it was, although the gradient "
        f"has entries up to {slope:.3g}: the step is 0, or lost in rounding.",
        f"Set the learning rate{to}, and give the parameters to the optimizer.", evidence,
    )  # fmt: skip


def too_large(lab: Lab) -> Finding | None:
    """A run that a smaller step saves."""
    now = lab.explained(lab.base)
    e, scale = lab.best(SMALLER)
    if e < now + 0.25:
        return None
    c, trial = lab.curvature, lab.trial
    evidence = {"lambda_max": c.largest, "largest_stable_step": c.largest_stable_step}
    said = ""
    if trial.plain and trial.learning_rate is not None:
        evidence["learning_rate"] = trial.learning_rate
        if trial.learning_rate > c.largest_stable_step:
            said = (
                f" The largest curvature at the start is {c.largest:.4g}, so steps above "
                f"{c.largest_stable_step:.3g} diverge; the step is {trial.learning_rate:g}."
            )
    repaired = lab.course(scale=scale)
    return Finding(
        "step_too_large", (),
        f"The loss goes from {lab.start[0]:.4g} to {lab.base.whole[-1]:.4g} in "
        f"{len(lab.base.losses)} steps; with a step {scale:g} times as large the run ends at "
        f"{repaired.end:.4g}.{said}",
        set_to(lab, scale),
        evidence | {"loss": lab.base.end, "loss_smaller_step": repaired.end, "multiple": scale},
    )  # fmt: skip


def too_small(lab: Lab) -> Finding | None:
    """A run that hardly moves, and goes far with a larger step."""
    now = lab.explained(lab.base)
    if lab.shortened > 1:  # what the steps that were left out would add
        now = max(now, lab.explained(lab.course(scale=lab.shortened)))
    e, scale = lab.best(LARGER)
    first, end = lab.base.whole[0], lab.base.end
    moved = (first - end) / max(abs(first), 1e-300)
    hardly = now < 0.15 or moved < 0.05
    if not hardly or e < now + 0.2:
        weak = now < 0.02 and abs(moved) < 0.03 and e > 0.08 and e > 5 * abs(now)
        if not weak:
            return None
    c, trial = lab.curvature, lab.trial
    evidence = {"lambda_max": c.largest, "largest_stable_step": c.largest_stable_step}
    said = ""
    if trial.plain and trial.learning_rate is not None:
        evidence["learning_rate"] = trial.learning_rate
        said = (
            f" The step is {trial.learning_rate:g}; steps up to {c.largest_stable_step:.3g} would "
            "be stable at the start."
        )
        if trial.learning_rate * scale > c.largest_stable_step:
            said += f" The step of {trial.learning_rate * scale:.3g} was tried, and goes well."
    repaired = lab.course(scale=scale)
    return Finding(
        "step_too_small", (),
        f"In {len(lab.base.losses)} steps the loss goes from {first:.4g} to {end:.4g} only; with a "
        f"step {scale:g} times as large it ends at {repaired.end:.4g}.{said}",
        f"{set_to(lab, scale)} Or train longer.",
        evidence | {"loss": end, "loss_larger_step": repaired.end, "multiple": scale},
    )  # fmt: skip


def unexplained(lab: Lab) -> Finding | None:
    """The last resort: a loss that was lost or rose, for which no repair was found."""
    base, trial, first = lab.base, lab.trial, lab.start[0]
    lost = not np.isfinite(base.end)
    if not lost and base.end <= first + 0.05 * abs(first):
        return None
    end = f"is lost after {len(base.losses)} steps" if lost else f"rises to {base.end:.4g}"
    evidence = {"first_loss": first, "loss": base.end}
    falling = next((s for s in SMALLER if lab.course(scale=s).end < first), None)
    stable = lab.curvature.largest_stable_step
    unstable = trial.plain and trial.learning_rate is not None and trial.learning_rate > stable
    if lost and falling is None and not unstable:
        return nonfinite.told(lab, len(base.losses), base.params)
    scale = 0.1 if falling is None else falling
    if falling is None and unstable:
        scale = stable / 2 / (trial.learning_rate or 1.0)
    if falling is None:
        said = "no smaller step that was tried makes it fall"
    else:
        evidence["loss_smaller_step"] = lab.course(scale=falling).end
        said = f"with {rate(lab, falling)} it falls to {evidence['loss_smaller_step']:.4g}"
    if unstable:
        evidence["largest_stable_step"] = stable
        said += f", and steps above {stable:.3g} are not stable at the start"
    return Finding(
        "step_too_large", (),
        f"The loss starts at {first:.4g} and {end}; {said}. No single repair makes the run "
        "succeed, so this is the likeliest cause, not a proved one.",
        set_to(lab, scale), evidence,
    )  # fmt: skip


def rate(lab: Lab, scale: float) -> str:
    """The user's step times `scale`, in words: the learning rate where it is known."""
    known = lab.trial.learning_rate
    return f"a step {scale:g} times as large" if known is None else f"a step of {known * scale:.3g}"


def set_to(lab: Lab, scale: float) -> str:
    """What to set the learning rate to."""
    known = lab.trial.learning_rate
    if known is None:
        return f"Multiply the learning rate by {scale:g}."
    return f"Set the learning rate to {known * scale:.3g}, {scale:.3g} times what it is."
