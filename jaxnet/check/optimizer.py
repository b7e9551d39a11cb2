"""The optimizer doctor: what is wrong with a hand-written optimizer."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxnet.check.report import Finding, Report
from jaxnet.check.rules.alteration import Equations, run
from jaxnet.check.rules.case import Alteration, Case
from jaxnet.check.rules.comparison import HALF_SINGLE, LOOSE, RELATIVE, SINGLE, Gap, by_leaf, gap
from jaxnet.check.rules.diagnosis import Found, dialect, search
from jaxnet.check.rules.dialects import equals
from jaxnet.check.rules.equations import EQUATIONS
from jaxnet.check.rules.problems import closed_problem, problems, varied_problem
from jaxnet.check.rules.reference import Reference
from jaxnet.check.rules.subject import Subject, subject

LENGTH = 1e-3
"""From here a factor on the step is told as such; below, something else is wrong."""


def optimizer(
    rule: Any,
    reference: str = "adam",
    *,
    progress: Callable[[str], None] | None = None,
    **hyper: Any,
) -> Report:
    """Say whether a hand-written optimizer is the rule it should be; if not, what is wrong.

    The rule runs on recorded gradients in float64: random ones, of very different scales, tiny
    ones (where eps counts), with zeros, and a long run. Its parameters must be, step by step, those
    of the zoo's rule with the same hyperparameters, up to rounding (a rule that computes in
    float32 gets more of that). If they are not, the rule's equations are altered, one thing at a
    time and then two, until an alteration goes the same path on all problems: it names the fault.

    A rule that another library has just so (torch.optim.RMSprop with eps outside of the root, the
    eps of Keras's Adam, ...) is right; a note says whose it is.

    Args:
        rule: An optax transformation; a pair (init, step) with init(params) -> state and
            step(params, grads, state) -> (params, state), in NumPy or JAX, for a dict, a list or
            one array; or a class of torch.optim (or a function from parameters to its instance).
            A rule that needs more takes it by name: value, value_fn, grad_fn.
        reference: The rule that it should be, a name of `optim.ZOO`, or "sgd" with the arguments
            of `optim.sgd`.
        progress: Called with what is being done, at the start of each part.
        **hyper: The hyperparameters of the reference as the rule has them, learning_rate among
            them; what is left out has the zoo's default.

    Returns:
        A report; `report.ok` says whether the rule is right, `report.to_dict()` has the numbers.

    Raises:
        TypeError: rule is none of the forms above, or a pair that takes or returns what it
            should in another order.
        ValueError: There is no such reference, it lacks a hyperparameter or cannot run on recorded
            gradients, or the rule fails on every form of parameters.
    """
    tell = progress or (lambda phase: None)
    with jax.enable_x64(True), np.errstate(all="ignore"):
        tell("reading the rule")
        due = Reference(reference, hyper)
        given = {k: v for k, v in due.hyper.items() if v is not None}
        mine = subject(rule, given, due.given, due.shapes, due.closed)
        case = _case(due, mine, tell)
        return _told(case, mine, tell)


def assert_optimizer(rule: Any, reference: str = "adam", **hyper: Any) -> None:
    """Raise an AssertionError with the report of `optimizer` if the rule is not right."""
    report = optimizer(rule, reference, **hyper)
    if not report.ok:
        raise AssertionError(str(report))


def _case(due: Reference, mine: Subject, tell: Callable[[str], None]) -> Case:
    """Run both rules on all problems."""
    made = closed_problem(mine.shapes) if due.closed else problems(mine.shapes, due.eps)
    tell("running the rule that is due")
    right = [due.path(p, mine.shapes) for p in made]
    tell("running your rule")
    paths = [mine.path(p) for p in made]
    single = mine.unit > 1e-10
    tolerance = LOOSE.get(due.entry.name, RELATIVE)
    return Case(
        reference=due,
        equations=_equations(due, mine),
        problems=made,
        paths=paths,
        due=right,
        leaves=list(mine.shapes),
        sizes=[int(np.prod(shape)) for shape in mine.shapes.values()],
        tolerance=max(tolerance, SINGLE if single else 0.0),
        unit=mine.unit,
    )


def _equations(due: Reference, mine: Subject) -> Equations:
    """The reference as equations: written ones if they follow it, else the rule itself."""
    return EQUATIONS.get(due.entry.name) or due.equations(mine.shapes)


def _told(case: Case, mine: Subject, tell: Callable[[str], None]) -> Report:
    name = case.reference.entry.name
    gaps = [gap(p, d, case.tolerance, case.unit) for p, d in zip(case.paths, case.due, strict=True)]
    notes = [f"run on {mine.form}"]
    if not any(g.any for g in gaps):
        title = f"the rule is {name}, on all {len(gaps)} problems"
        notes += [f"equals {other}" for other in equals(case.reference)]
        return _report(case, gaps, title, [], [*notes, *_under_a_schedule(case, mine)])
    again = mine.path(case.problems[0])
    if not np.allclose(again, case.paths[0], rtol=1e-5, equal_nan=True):
        return _report(case, gaps, f"the rule is not {name}", [_outside(case)], notes)
    otherwise = mine.otherwise(case.problems[0], case.due[0], True)
    if otherwise:
        raise TypeError(otherwise)
    tell("comparing with other libraries")
    worst = max(float(g.relative[g.wrong].max(initial=0)) for g in gaps)
    other = dialect(case) if name in EQUATIONS else None
    if other is None and name in EQUATIONS and worst >= HALF_SINGLE:
        # torch.optim.NAdam keeps a product in float32 whatever its parameters are.
        other = dialect(case._replace(tolerance=max(case.tolerance, 1e-6)))
    if other is not None:
        title = f"the rule equals {other.name}, a dialect of {name}"
        note = f"equals {other.name}: {other.difference}. That is no fault; jaxnet's {name} differs"
        return _report(case, gaps, title, [], [note, *notes])
    tell("searching for the cause")
    found = search(case, tell, small=worst < HALF_SINGLE)
    if worst < HALF_SINGLE and found.alteration is None:
        title = f"the rule is {name}, up to {worst:.1e} on {len(gaps)} problems"
        note = "a factor in it is computed in float32: the paths agree to five digits, not to nine"
        return _report(case, gaps, title, [], [note, *notes])
    if found.alteration is None:
        otherwise = mine.otherwise(case.problems[0], case.due[0], False)
        if otherwise:
            raise TypeError(otherwise)
    findings = _findings(case, gaps, found)
    if found.base is not None:
        notes.append(f"otherwise the rule is that of {found.base.name}: {found.base.difference}")
    notes += _another_rate(case, findings[0])
    if not found.complete:
        notes.append("the search has a limit: not all pairs of alterations were tried")
    title = (
        f"the rule is not {name}: it parts on {sum(g.any for g in gaps)} of {len(gaps)} problems"
    )
    return _report(case, gaps, title, findings, notes)


def _under_a_schedule(case: Case, mine: Subject) -> list[str]:
    """A note, if the rule is right at a constant learning rate only."""
    due = case.reference
    if not mine.varied or "learning_rate" not in due.floats or due.closed:
        return []
    problem = varied_problem(mine.shapes)
    path, right = mine.path(problem), due.path(problem, mine.shapes)
    if not gap(path, right, case.tolerance, case.unit).any:
        return []
    inside = run(case.equations, case.options(Alteration(("lr_inside",))), problem)
    where = ""
    if not gap(path, inside, case.tolerance, case.unit).any:
        where = " (lr_in_buffer): the learning rate is inside of the velocity"
    return [
        f"at a constant learning rate; when it changes, the rule is not {due.entry.name}{where}"
    ]


def _another_rate(case: Case, finding: Finding) -> list[str]:
    """A note, if the right rule with another learning rate goes the same path.

    An average in Adam that takes g whole makes every step 1 / (1 - b1) times as long, and so does
    a larger rate: no path can tell the two apart.
    """
    rate = case.reference.hyper.get("learning_rate")
    if finding.code in ("scale", "sign") or not isinstance(rate, float):
        return []
    mine, due = case.paths[0], case.due[0]
    factor = _one_factor(mine[1] - mine[0], due[1] - due[0])
    if factor is None or factor <= 0 or abs(factor - 1) < LENGTH:
        return []
    other = Alteration((), {"learning_rate": float(f"{rate * factor:.6g}")})
    if any(case.wrong_leaves(k, case.run(other, k)).any() for k in range(len(case.problems))):
        return []
    same = f"the same path is that of the right rule with learning_rate = {rate * factor:.6g}"
    return [f"{same}, {factor:.6g} times what was given: look at the rate, too"]


def _outside(case: Case) -> Finding:
    """The same start and the same gradients led elsewhere the second time."""
    return Finding(
        "state_shared",
        tuple(case.leaves),
        "The same start and the same gradients lead elsewhere when the rule is run again: it keeps "
        "something outside of its state, in an object, a global or a default argument, or it "
        "draws random numbers.",
        "Make all that is remembered in init(params), and hand it on in the state.",
    )


def _findings(case: Case, gaps: list[Gap], found: Found) -> list[Finding]:
    leaves = case.leaves
    wrong = np.any([by_leaf(g.wrong, case.sizes) for g in gaps], axis=0)
    k = next(i for i, g in enumerate(gaps) if g.any)
    rows = gaps[k].wrong.any(axis=1)
    first = int(rows.argmax())
    evidence = {
        "first_step": float(first),
        "relative_error": float(min(gaps[k].relative[gaps[k].wrong].max(), 1e300)),
    }
    still = all((path == path[0]).all() for path in case.paths)
    # Two alterations that stop a rule explain nothing.
    if found.alteration is None or (still and len(found.alteration.named) > 1):
        apart = tuple(leaf for leaf, off in zip(leaves, wrong, strict=True) if off)
        return [_mismatch(case, k, first, evidence, apart)]
    names = tuple(leaves[i] for i in found.leaves)
    return [
        Finding(n.code, names, n.message, n.fix, {**evidence, **found.alteration.evidence})
        for n in found.alteration.named
    ]


def _mismatch(
    case: Case, k: int, first: int, evidence: dict[str, float], leaves: tuple[str, ...]
) -> Finding:
    """None of the known faults: what can be said of the first step that is wrong."""
    mine = np.diff(case.paths[k], axis=0)
    due = np.diff(case.due[k], axis=0)
    if not mine.any() and due.any():
        return Finding(
            "scale",
            leaves,
            "The parameters never move: every step is 0.",
            "Return the new parameters, not those that came in.",
            {**evidence, "factor": 0.0},
        )
    factors = [_one_factor(m, d) for m, d in zip(mine, due, strict=True)]
    known = [c for c in factors if c is not None]
    if len(known) == len(factors) and {round(c, 5) for c in known} == {1.0, -1.0}:
        return Finding(
            "sign",
            leaves,
            f"{sum(c < 0 for c in known)} of {len(known)} steps go the other way. The update is "
            "subtracted, x := x - lr d.",
            "Turn the sign of the update in the branch that has it wrong.",
            {**evidence, "factor": -1.0},
        )
    uneven = _leaf_factors(case, mine, due)
    if uneven:
        said = ", ".join(f"{c:.4g} in {leaf}" for leaf, c in uneven.items())
        return Finding(
            "scale",
            leaves,
            f"Every leaf's step has the right direction and another length: {said} times what is "
            "due. The rule's length is the same in all leaves.",
            "Leave out what depends on the leaf, such as its size.",
            {**evidence, "factor": next(iter(uneven.values()))},
        )
    if len(known) == len(factors) and max(abs(c - 1) for c in known) > LENGTH:
        return Finding(
            "scale",
            leaves,
            f"Every step has the right direction and another length: {known[0]:.6g} times what is "
            f"due at first, {known[-1]:.6g} times at the end. The factor depends on the step "
            "alone.",
            "Look for a schedule, or a correction, that the rule does not have.",
            {**evidence, "factor": known[0], "last_factor": known[-1]},
        )
    if not np.isfinite(case.paths[k][first]).all():
        return Finding(
            "mismatch",
            leaves,
            f"The parameters are not finite from step {first} of "
            f'"{case.problems[k].name}" on: something is divided by 0, or overflows.',
            "Keep denominators from 0 with the rule's eps.",
            {"first_step": float(first)},
        )
    move, wanted = mine[first - 1], due[first - 1]
    sizes = float(np.linalg.norm(move)), float(np.linalg.norm(wanted))
    said = f"the step there is {sizes[0]:.4g} long, {sizes[1]:.4g} is due"
    if min(sizes) > 0:
        cosine, length = float(move @ wanted) / sizes[0] / sizes[1], sizes[0] / sizes[1]
        said = (
            f"the step there is {length:.4g} times as long as due, the cosine between the two is "
            f"{cosine:.4g}"
        )
        evidence = {**evidence, "length": length, "cosine": cosine}
    return Finding(
        "mismatch",
        leaves,
        f'The rule parts from {case.reference.entry.name} in step {first} of "'
        f'{case.problems[k].name}", and no known fault explains it: {said}.',
        f"Compare with the equations, line by line: jaxnet zoo {case.reference.entry.name}.",
        evidence,
    )


def _leaf_factors(case: Case, mine: np.ndarray, due: np.ndarray) -> dict[str, float]:
    """The factor of each leaf's steps, if each has one that never changes; else nothing."""
    ends = np.cumsum(case.sizes)[:-1]
    parts = zip(case.leaves, np.split(mine, ends, axis=1), np.split(due, ends, axis=1), strict=True)
    found = {leaf: _one_factor(m.ravel(), d.ravel()) for leaf, m, d in parts}
    factors = {leaf: c for leaf, c in found.items() if c}
    told = len(factors) == len(found) and max(abs(c - 1) for c in factors.values()) > LENGTH
    return factors if told else {}


def _one_factor(mine: np.ndarray, due: np.ndarray) -> float | None:
    some = np.abs(due) > 1e-3 * np.abs(due).max(initial=0)
    if not some.any() or not np.isfinite(mine).all():
        return None
    ratios = mine[some] / due[some]
    c = float(np.median(ratios))
    return c if np.allclose(mine, c * due, rtol=1e-5, atol=1e-5 * np.abs(mine).max()) else None


def _report(
    case: Case, gaps: list[Gap], title: str, findings: list[Finding], notes: list[str]
) -> Report:
    rows, data = [], []
    for problem, g in zip(case.problems, gaps, strict=True):
        steps = len(problem.grads)
        worst = float(np.minimum(g.relative[1:].max(initial=0), 1e300))
        bad = g.wrong.any(axis=1)
        first = int(bad.argmax()) if bad.any() else None
        if bad.any():
            worst = float(np.minimum(g.relative[g.wrong].max(initial=0), 1e300))
        verdict = "as due" if first is None else "parts"
        rows.append(
            (
                problem.name,
                str(steps),
                f"{worst:.1e}" if worst < 1e6 else "> 1e+06",
                "-" if first is None else str(first),
                verdict,
            )
        )
        data.append(
            {"name": problem.name, "steps": steps, "relative_error": worst, "first_step": first}
        )
    if case.unit > 1e-10:
        notes = [*notes, "the rule computes in single precision: small faults are not seen"]
    return Report(
        title=title,
        header=("problem", "steps", "rel. difference", "first step", "verdict"),
        rows=tuple(rows),
        findings=tuple(findings),
        notes=tuple(notes),
        data={"reference": case.reference.entry.name, "problems": data},
    )
