"""Other formulas for a derivative: sums of a few of the terms that people write.

For a function of one number, y = f(x), dx = dy (c1 t1(x, y) + c2 t2(x, y)); for one of whole
vectors, such as softmax, dx = c1 t1(x, y, dy) + c2 t2(x, y, dy) + c3 t3(x, y, dy). The weights c
are fitted to the gradient given.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnet.check.alterations.alteration import Alteration
from jaxnet.check.alterations.places import Places, together
from jaxnet.check.alterations.slopes import Applied, applied_functions, with_slope
from jaxnet.check.alterations.vectors import VECTOR_TERMS, applied_vectors, jacobian_of
from jaxnet.check.replay import Local, Operation, Replay, Rule

NEGLIGIBLE = 1e-6
"""A weight that is rounding, next to the largest one."""


class Formula(NamedTuple):
    """What the derivative of a function may be made of.

    does is a sentence with a gap for the sum. terms has for each term the rules, by the numbers of
    the operations, that take it alone for the derivative. most is how many of them make a sum.
    """

    code: str
    does: str
    needs: str
    where: str
    terms: Mapping[str, Mapping[int, Local]]
    most: int

    def rules(self, weights: Mapping[str, float]) -> dict[int, Rule]:
        """The rules that take a sum of terms with these weights for the derivative."""
        first = next(iter(self.terms.values()))
        return {i: self._sum(i, weights) for i in first}

    def _sum(self, i: int, weights: Mapping[str, float]) -> Rule:
        some = next(iter(self.terms.values()))[i]

        def rule(op: Operation, replay: Replay, dy: Any) -> Any:
            made: dict[int, Any] = {
                n: 0.0 * np.asarray(ct) for n, ct in some(op, replay, dy).items()
            }
            for said, weight in weights.items():
                for n, ct in self.terms[said][i](op, replay, dy).items():
                    made[n] = made[n] + weight * ct
            return made

        return rule

    def altered(self, weights: Mapping[str, float]) -> Alteration:
        """The alteration that takes a sum of terms with these weights for the derivative."""
        largest = max(map(abs, weights.values()))
        kept = {
            said: float(f"{weight:.6g}")
            for said, weight in weights.items()
            if abs(weight) > NEGLIGIBLE * largest
        }
        does = self.does.format(_said(kept))
        return Alteration(self.code, self.where, self.rules(kept), does, self.needs, 7)


def _said(weights: Mapping[str, float]) -> str:
    """A sum in words: "2 x - f'"."""
    said = ""
    for term, weight in weights.items():
        sign = ("-" if weight < 0 else "") if not said else (" - " if weight < 0 else " + ")
        size = f"{abs(weight):g}"
        factor = "" if size == "1" and term != "1" else size if term == "1" else f"{size} "
        said += f"{sign}{factor}{'' if term == '1' else term}"
    return said


def formulas(replay: Replay) -> Iterator[Formula]:
    """The functions that a loss applies, and what their derivatives may be made of."""
    places = Places(replay)
    scalars = {(a.op.index, a.function.name): a for a in applied_functions(replay)}
    for ops, name in _groups(scalars):
        group = [scalars[op.index, name] for op in ops]
        f = group[0].function
        terms = {
            said: {a.op.index: with_slope(a, _terms(a)[said]) for a in group}
            for said in _terms(group[0])
        }
        at_head = group[0].y in replay.heads and name.startswith(("the power", "the size"))
        does = f"takes {{}} for the derivative of y = {name}, at x"
        code = "wrong_loss" if at_head else "wrong_derivative"
        yield Formula(code, does, f"its derivative, {f.due}", places.of(ops), terms, 2)
    vectors = {(a.op.index, a.function.name): a for a in applied_vectors(replay)}
    for ops, name in _groups(vectors):
        of_group = [vectors[op.index, name] for op in ops]
        terms = {
            said: {a.op.index: jacobian_of(a, dx) for a in of_group}
            for said, dx in VECTOR_TERMS[name].items()
        }
        does = f"sends {{}} back through {name}"
        needs = of_group[0].function.due
        yield Formula("wrong_derivative", does, needs, places.of(ops), terms, 3)


def _groups(found: Mapping[tuple[int, str], Any]) -> Iterator[tuple[Sequence[Operation], str]]:
    """Operations that apply the same function, together and one by one."""
    for ops in together(list({a.op.index: a.op for a in found.values()}.values())):
        for name in dict.fromkeys(name for index, name in found if index == ops[0].index):
            same = [op for op in ops if (op.index, name) in found]
            yield same, name
            if len(same) > 1:
                yield from (([op], name) for op in same)


def _terms(a: Applied) -> dict[str, Callable[[Any, Any], Any]]:
    """What a wrong formula for a derivative may be made of, (x, y) -> term."""
    f = a.function.of_x
    return {
        "1": lambda x, y: np.ones_like(x),
        "x": lambda x, y: x,
        "y": lambda x, y: y,
        "x^2": lambda x, y: x**2,
        "x y": lambda x, y: x * y,
        "y^2": lambda x, y: y**2,
        "y^3": lambda x, y: y**3,
        "|x|": lambda x, y: np.abs(x),
        "sign(x)": lambda x, y: np.sign(x),
        "(x > 0)": lambda x, y: (x > 0) * 1.0,
        "exp(-x^2)": lambda x, y: np.exp(-(x**2)),
        "f'": lambda x, y: f(x),
        "x f'": lambda x, y: x * f(x),
        "y f'": lambda x, y: y * f(x),
    }
