"""What is done to the gradients before a rule sees them."""

from typing import Any

import numpy as np

from jaxnet.check.rules.problems import Leaves


def altered(o: Any, grads: Leaves, before: Leaves) -> tuple[Leaves, Leaves]:
    """The gradients that a rule gets, and what is to be remembered of these.

    Args:
        o: The options; of its numbers, clip_value bounds every entry, clip_leaf_norm the norm of
            every leaf, and clip_norm and clip_norm_eps that of all leaves together.
        grads: The gradients of this step.
        before: What was remembered in the step before, zeros at first.
    """
    if o("gradient_late"):
        return before, grads
    if o("gradient_summed"):
        total = [g + b for g, b in zip(grads, before, strict=True)]
        return total, total
    if o("gradient_centred"):
        return [g - g.mean() for g in grads], grads
    if o("gradient_normalised"):
        return [g / _positive(np.linalg.norm(g)) for g in grads], grads
    if o("gradient_sign"):
        return [np.sign(g) for g in grads], grads
    bound = o.get("clip_value", None)
    if bound is not None:
        return [np.clip(g, -bound, bound) for g in grads], grads
    bound = o.get("clip_leaf_norm", None)
    if bound is not None:
        return [g * min(1.0, bound / _positive(np.linalg.norm(g))) for g in grads], grads
    bound, more = o.get("clip_norm", None), 0.0
    if bound is None:
        bound, more = o.get("clip_norm_eps", None), 1e-6  # as torch.nn.utils.clip_grad_norm_ has it
    if bound is not None:
        norm = np.sqrt(sum((g**2).sum() for g in grads)) + more
        return [g * min(1.0, bound / _positive(norm)) for g in grads], grads
    return grads, grads


def _positive(norm: Any) -> float:
    return float(norm) if norm > 0 else 1.0
