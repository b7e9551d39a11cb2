"""What goes wrong in the course of a sound run: the order of the rows, and overfitting."""

import numpy as np

from jaxnet.check.report import Finding
from jaxnet.check.runs.lab import Lab


def batch_order(lab: Lab) -> Finding | None:
    """Minibatches in the order of the data, where a random order does better."""
    trial = lab.trial
    if trial.batch_size is None or trial.shuffle or trial.batch_size >= trial.rows:
        return None
    now, new = lab.explained(lab.base), lab.explained(lab.course(shuffle=True))
    if new < now + 0.1 or (1 - new > 0.7 * (1 - now) and now > 0.8 * new):
        return None
    shuffled = lab.course(shuffle=True)
    return Finding(
        "batch_order", (),
        "With its minibatches in the order of the rows the run ends at a loss of "
        f"{lab.base.end:.4g}; with the rows shuffled in every epoch at {shuffled.end:.4g}.",
        "Shuffle the rows in every epoch.",
        {"loss": lab.base.end, "loss_shuffled": shuffled.end},
    )  # fmt: skip


def overfitting(lab: Lab) -> Finding | None:
    """A validation loss that has turned, while the training loss goes on falling."""
    held_out, train = lab.base.held_out, lab.base.whole
    if lab.trial.validation is None or len(held_out) < 3:
        return None
    if not (np.isfinite(held_out).all() and np.isfinite(train).all()):
        return None
    last = max(1, len(held_out) // 10)
    end, low, at = float(np.median(held_out[-last:])), float(held_out.min()), int(held_out.argmin())
    fell = train[at] - train[-1]
    top = train[0]
    if lab.ideal is not None:
        top = min(top, lab.ideal.constant + lab.penalty(lab.base.params))
    gap, drop = end - train[-1], top - train[-1]
    if end < 1.2 * low + 1e-12 or low < 0 or fell <= 0:
        return None
    if end - low < 0.1 * abs(drop) or gap < 0.15 * abs(drop) or train[-1] > 0.7 * low:
        return None
    step = int(lab.base.at[at])
    return Finding(
        "overfitting", (),
        f"The validation loss was lowest, {low:.4g}, after {step} of {lab.steps} steps and rises "
        f"to {end:.4g}, while the training loss falls on to {train[-1]:.4g}.",
        f"Stop after about {step} steps, use more data, a smaller network or a penalty.",
        {"lowest": low, "at_step": float(step), "end": end, "training_loss": float(train[-1])},
    )  # fmt: skip
