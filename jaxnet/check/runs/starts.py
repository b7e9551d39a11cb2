"""Initial parameters from which a run gets nowhere."""

import jax
import numpy as np

from jaxnet.check.report import Finding
from jaxnet.check.runs.lab import LARGER, SMALLER, Lab, usual

FIX = "Draw weights from N(0, 2 / (n_in + n_out)) (Glorot; for ReLU N(0, 2 / n_in)), biases 0."


def symptom(lab: Lab) -> Finding | None:
    """What is strange about the start: the most specific of what can be."""
    for suspect in (_symmetric, _one_sided, _saturated, _dead, _depth, _weights):
        found = suspect(lab)
        if found is not None:
            return found
    return None


def redrawing_helps(lab: Lab) -> Finding | None:
    """A strange start, and a run that works from another."""
    found = symptom(lab)
    if found is None:
        return None
    now, new = lab.explained(lab.base), _redrawn(lab, (1.0,))
    if new < max(0, now) + (0.15 if found.code != "bad_init" else 0.05):
        return None
    return _confirmed(found, lab, now, new)


def exploding(lab: Lab) -> Finding | None:
    """Values and gradients that grow so much from layer to layer that no step is right."""
    found = symptom(lab)
    return found if found is not None and found.code == "exploding_gradient" else None


def redrawing_helps_all_steps(lab: Lab) -> Finding | None:
    """A start without strange marks that no step size saves, but another start does."""
    best, _ = lab.best((1.0, *SMALLER, *LARGER))
    new = _redrawn(lab, (1.0, 10.0, 0.1))
    if new < max(0, best) + 0.2:
        return None
    far = lab.explained(lab.base) > 0.1
    said = "stops early" if far else "gets nowhere"
    found = (
        symptom(lab)
        or died(lab)
        or Finding(
            "bad_init", tuple(lab.trial.names), f"The run {said} from these parameters.", FIX
        )
    )
    return _confirmed(found, lab, lab.explained(lab.base), new)


def unconfirmed(lab: Lab) -> Finding | None:
    """A strange start that no other start of the same model mends either (a deep sigmoid net)."""
    found = symptom(lab)
    strong = ("vanishing_gradient", "exploding_gradient", "saturated_units", "dead_units")
    return found if found is not None and found.code in (*strong, "symmetric_init") else None


def _redrawn(lab: Lab, scales: tuple[float, ...]) -> float:
    return max(lab.best(scales, start=f"redrawn {seed}")[0] for seed in (1, 2))


def _confirmed(found: Finding, lab: Lab, now: float, new: float) -> Finding:
    evidence = {**found.evidence, "explained": now, "explained_from_other_start": new}
    end = (
        f" With weights drawn anew the same run explains {100 * new:.0f} % of what there is to "
        f"learn instead of {max(0, 100 * now):.0f} %."
    )
    return Finding(found.code, found.leaves, found.message + end, found.fix, evidence, found.where)


def _symmetric(lab: Lab) -> Finding | None:
    """Units that start alike and stay alike."""
    leaves = []
    end = jax.tree.leaves(lab.course(steps=min(20, lab.steps)).params)
    grads = jax.tree.leaves(lab.start[1])
    for name, a, b, g in zip(
        lab.trial.names, jax.tree.leaves(lab.trial.params), end, grads, strict=True
    ):
        a, b, g = (np.asarray(v, np.float64) for v in (a, b, g))
        if a.ndim == 2 and any(
            _alike(a, axis) and _alike(b, axis) and _alike(g, axis) for axis in (0, 1)
        ):
            leaves.append(name)
    if not leaves:
        return None
    return Finding(
        "symmetric_init", tuple(leaves),
        f"All units of {', '.join(leaves)} start alike, get the same gradient and stay alike: the "
        "layer is worth a single unit.",
        "Draw the weights at random.", {"leaves": float(len(leaves))},
    )  # fmt: skip


def _alike(a: np.ndarray, axis: int) -> bool:
    """Whether nearly all slices along an axis are the same."""
    slices = np.moveaxis(a, axis, 0)
    if len(slices) < 2 or not np.isfinite(a).all():
        return False
    same = np.abs(slices - np.median(slices, axis=0)).reshape(len(slices), -1).max(axis=1)
    return bool((same <= 1e-5 * np.abs(a).max() + 1e-30).mean() > 0.9)


def _one_sided(lab: Lab) -> Finding | None:
    """Weights of one sign, as of rand() without its shift, that drive units into saturation."""
    seen = lab.here
    if seen is None or not any(u.kind != "relu" and u.saturated > 0.5 for u in seen.units):
        return None
    odd = tuple(
        name
        for name, leaf in zip(lab.trial.names, jax.tree.leaves(lab.trial.params), strict=True)
        if leaf.ndim > 1 and leaf.size >= 12 and abs(np.sign(np.asarray(leaf)).mean()) > 0.95
    )
    if not odd:
        return None
    saturated = max(u.saturated for u in seen.units)
    return Finding(
        "bad_init", odd,
        f"All weights of {', '.join(odd)} start with one sign, so that what comes in adds up: "
        f"{100 * saturated:.0f} % of the outputs of a layer are saturated.",
        f"Draw them around 0: uniform on (-eps, eps), not (0, eps). {FIX}",
        {"saturated_fraction": saturated},
    )  # fmt: skip


def _saturated(lab: Lab) -> Finding | None:
    seen = lab.here
    if seen is None:
        return None
    bad = [u for u in seen.units if u.kind != "relu" and u.saturated > 0.5]
    if not bad:
        return None
    u = max(bad, key=lambda u: u.saturated)
    return Finding(
        "saturated_units", (),
        f"{100 * u.saturated:.0f} % of the outputs of {u.units} {u.kind} units are saturated at "
        "the start: the slope there is below a twentieth of the largest, and little gradient "
        "passes.", f"Make weights or inputs smaller. {FIX}",
        {"saturated_fraction": u.saturated}, u.where,
    )  # fmt: skip


def _dead(lab: Lab) -> Finding | None:
    seen = lab.here
    bad = [] if seen is None else [u for u in seen.units if u.dead > 0.6]
    if not bad:
        return None
    u = max(bad, key=lambda u: u.dead)
    if u.output and u.dead == 1:
        return Finding(
            "constant_output", (),
            "The outputs go through a ReLU and are 0 for every row at the start: no gradient comes "
            "back.", f"Take the ReLU off the output. {FIX}", {"dead_fraction": u.dead}, u.where,
        )  # fmt: skip
    return Finding(
        "dead_units", (),
        f"{100 * u.dead:.0f} % of {u.units} ReLU units are 0 for every row at the start: no "
        "gradient reaches their weights.",
        f"Start with biases at 0 or slightly above, or use leaky_relu. {FIX}",
        {"dead_fraction": u.dead}, u.where,
    )  # fmt: skip


DIED = 0.2
"""Units of a layer that have died during a run, above which that may be what holds it back."""


def died(lab: Lab) -> Finding | None:
    """ReLU units that were alive at the start and are 0 for every row at the end."""
    if lab.here is None or lab.there is None or not np.isfinite(lab.base.end):
        return None
    pairs = zip(lab.here.units, lab.there.units, strict=False)
    bad = [(before, after) for before, after in pairs
           if before.kind == after.kind == "relu" and after.dead > before.dead + DIED]  # fmt: skip
    if not bad:
        return None
    before, after = max(bad, key=lambda pair: pair[1].dead)
    return Finding(
        "dead_units", (),
        f"{100 * before.dead:.0f} % of {after.units} ReLU units are 0 for every row at the start, "
        f"and {100 * after.dead:.0f} % at the end: they die during the run, and no gradient "
        "reaches their weights any more.",
        "Try a smaller step, leaky_relu, or smaller initial weights.",
        {"dead_fraction_at_start": before.dead, "dead_fraction": after.dead}, after.where,
    )  # fmt: skip


def _depth(lab: Lab) -> Finding | None:
    """Gradients that shrink or grow from layer to layer."""
    seen = lab.here
    layers = () if seen is None else seen.layers
    slopes = [layer.gradient for layer in layers]
    if len(slopes) < 4 or not all(np.isfinite(slopes)) or slopes[-1] == 0:
        return None
    ratio = slopes[0] / max(slopes)
    grown = max(layer.size for layer in layers) / max(layers[0].size, 1e-300)
    evidence = {"gradient_ratio": ratio, "size_ratio": grown, "layers": float(len(slopes))}
    worst = min(range(len(slopes)), key=lambda i: slopes[i])
    if min(slopes) < 1e-4 * max(slopes) and worst < len(slopes) // 2 and grown < 100:
        return Finding(
            "vanishing_gradient", (),
            f"The gradient shrinks from {max(slopes):.3g} to {min(slopes):.3g} on its way back "
            f"through {len(slopes)} products: the first layers do not learn.",
            f"Use ReLU, residual connections, normalisation or fewer layers. {FIX}", evidence,
            layers[worst].where,
        )  # fmt: skip
    if slopes[0] > 100 * slopes[-1] or grown > 1000:
        return Finding(
            "exploding_gradient", (),
            f"Through {len(slopes)} products the values grow {grown:.3g} times, and the gradient "
            f"on its way back {slopes[0] / slopes[-1]:.3g} times.",
            f"Clip the gradient's norm (optax.clip_by_global_norm), or start smaller. {FIX}",
            evidence, layers[0].where,
        )  # fmt: skip
    return None


def _weights(lab: Lab) -> Finding | None:
    """Weights of an unusual size, or all of one sign."""
    odd = []
    for name, leaf in zip(lab.trial.names, jax.tree.leaves(lab.trial.params), strict=True):
        a = np.asarray(leaf, np.float64)
        if a.ndim < 2 or a.size < 4:
            continue
        size = float(np.sqrt(np.mean(a**2))) / usual(a.shape)
        centre = float(abs(a.mean()) / max(a.std(), 1e-300))
        if not 0.03 < size < 4 or (centre > 1 and a.size >= 12):
            odd.append((name, size, centre))
    if not odd:
        return None
    each = ", ".join(
        f"{name} with {size:.3g} times the usual size and its mean {centre:.3g} standard "
        "deviations from 0"
        for name, size, centre in odd
    )
    # The numbers of the leaf that is the furthest from the usual.
    _, size, centre = max(odd, key=lambda o: abs(np.log(max(o[1], 1e-300))) + o[2])
    return Finding(
        "bad_init", tuple(name for name, *_ in odd), f"Weights start oddly: {each}.", FIX,
        {"size": size, "centre": centre},
    )  # fmt: skip
