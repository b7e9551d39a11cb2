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
from jaxnet.check.rules.dialects import Dialect, equals
from jaxnet.check.rules.equations import EQUATIONS
from jaxnet.check.rules.forms import Order
from jaxnet.check.rules.mismatch import LENGTH, Parting, mismatch, one_factor
from jaxnet.check.rules.pairs import EXCHANGED, ORDERS
from jaxnet.check.rules.problems import closed_problem, problems, varied_problem
from jaxnet.check.rules.reference import Reference
from jaxnet.check.rules.subject import Subject, subject


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
        hyper = {k: v for k, v in due.hyper.items() if v is not None}
        mine = subject(rule, hyper, due.given, due.shapes, due.closed)
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
    gaps = [gap(p, d, case.tolerance, case.unit) for p, d in zip(case.paths, case.due, strict=True)]
    notes = [f"run on {mine.form}"]
    if not any(g.any for g in gaps):
        return _right(case, mine, gaps, notes)
    again = mine.path(case.problems[0])
    if not np.allclose(again, case.paths[0], rtol=1e-5, equal_nan=True):
        title = f"the rule is not {case.reference.entry.name}"
        return _report(case, gaps, title, [_outside(case)], notes)
    _called_as_due(case, mine, ORDERS)
    tell("comparing with other libraries")
    worst = max(float(g.relative[g.wrong].max(initial=0)) for g in gaps)
    other = _dialect(case, worst)
    if other is not None:
        return _of_another_library(case, gaps, other, notes)
    tell("searching for the cause")
    found = search(case, tell, small=worst < HALF_SINGLE)
    if found.alteration is None and worst < HALF_SINGLE:
        return _right_in_single(case, gaps, worst, notes)
    if found.alteration is None:
        _called_as_due(case, mine, EXCHANGED)
    return _wrong(case, gaps, found, notes)


def _called_as_due(case: Case, mine: Subject, orders: tuple[Order, ...]) -> None:
    """A TypeError if the rule is right once it is called in one of these orders."""
    otherwise = mine.otherwise(case.problems[0], case.due[0], orders)
    if otherwise:
        raise TypeError(otherwise)


def _dialect(case: Case, worst: float) -> Dialect | None:
    """The dialect of another library that the rule is."""
    if case.reference.entry.name not in EQUATIONS:
        return None
    other = dialect(case)
    if other is None and worst >= HALF_SINGLE:
        # torch.optim.NAdam keeps a product in float32 whatever its parameters are.
        other = dialect(case._replace(tolerance=max(case.tolerance, 1e-6)))
    return other


def _right(case: Case, mine: Subject, gaps: list[Gap], notes: list[str]) -> Report:
    due = case.reference
    title = f"the rule is {due.entry.name}, on all {len(gaps)} problems"
    same = [f"equals {other}" for other in equals(due.entry.name, due.hyper)]
    return _report(case, gaps, title, [], [*notes, *same, *_under_a_schedule(case, mine)])


def _right_in_single(case: Case, gaps: list[Gap], worst: float, notes: list[str]) -> Report:
    title = f"the rule is {case.reference.entry.name}, up to {worst:.1e} on {len(gaps)} problems"
    note = "a factor in it is computed in float32: the paths agree to five digits, not to nine"
    return _report(case, gaps, title, [], [note, *notes])


def _of_another_library(case: Case, gaps: list[Gap], other: Dialect, notes: list[str]) -> Report:
    name = case.reference.entry.name
    title = f"the rule equals {other.name}, a dialect of {name}"
    note = f"equals {other.name}: {other.difference}. That is no fault; jaxnet's {name} differs"
    return _report(case, gaps, title, [], [note, *notes])


def _wrong(case: Case, gaps: list[Gap], found: Found, notes: list[str]) -> Report:
    findings = _findings(case, gaps, found)
    if found.base is not None:
        notes = [
            *notes,
            f"otherwise the rule is that of {found.base.name}: {found.base.difference}",
        ]
    notes = [*notes, *_another_rate(case, findings[0])]
    if not found.complete:
        notes = [*notes, "the search has a limit: not all pairs of alterations were tried"]
    parts = f"it parts on {sum(g.any for g in gaps)} of {len(gaps)} problems"
    return _report(
        case, gaps, f"the rule is not {case.reference.entry.name}: {parts}", findings, notes
    )


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
    factor = one_factor(mine[1] - mine[0], due[1] - due[0])
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
    first = int(gaps[k].wrong.any(axis=1).argmax())
    evidence = {
        "first_step": float(first),
        "relative_error": float(min(gaps[k].relative[gaps[k].wrong].max(), 1e300)),
    }
    still = all((path == path[0]).all() for path in case.paths)
    # Two alterations that stop a rule explain nothing.
    if found.alteration is None or (still and len(found.alteration.named) > 1):
        apart = tuple(leaf for leaf, off in zip(leaves, wrong, strict=True) if off)
        return [mismatch(Parting(case, k, first, evidence, apart))]
    names = tuple(leaves[i] for i in found.leaves)
    return [
        Finding(n.code, names, n.message, n.fix, {**evidence, **found.alteration.evidence})
        for n in found.alteration.named
    ]


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
