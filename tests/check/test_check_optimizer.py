"""The optimizer doctor on planted faults, on right rules, and on input of every kind."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

from jaxnet import check, optim
from jaxnet.check.rules.alteration import run
from jaxnet.check.rules.case import Alteration, Case
from jaxnet.check.rules.comparison import RELATIVE, gap
from jaxnet.check.rules.equations import EQUATIONS
from jaxnet.check.rules.problems import MIXED, problems
from jaxnet.check.rules.reference import Reference

from .planted_optimizers.problem import Planted
from .planted_optimizers.score import headline, planted

README = Path(__file__).parents[2] / "README.md"
ALL = planted()
FAULTS = [p for p in ALL if p.code]
RIGHT = [p for p in ALL if not p.code]


def named(p: Planted) -> str:
    return p.name


@pytest.mark.parametrize("p", FAULTS[::60], ids=named)
def test_planted_faults_are_named(p: Planted) -> None:
    assert headline(p) in (p.code, *p.also)


@pytest.mark.parametrize("p", RIGHT[::30], ids=named)
def test_right_rules_pass(p: Planted) -> None:
    assert headline(p) == ""


def test_there_are_faults_of_every_code_and_rule() -> None:
    assert len(FAULTS) >= 80
    assert len(RIGHT) >= 30
    codes = {p.code for p in FAULTS}
    assert codes == {
        "sign", "scale", "no_bias_correction", "bias_correction_off_by_one", "eps_inside_sqrt",
        "eps_outside_sqrt", "eps_placement", "sqrt_missing", "coupled_weight_decay",
        "decoupled_weight_decay", "weight_decay_unscaled", "nesterov_point", "dampening",
        "lr_in_buffer", "betas_swapped", "momentum_sign", "state_reset", "state_shared",
        "wrong_accumulator", "initial_accumulator", "order", "mismatch",
    }  # fmt: skip
    section = README.read_text().partition("## The optimizer doctor")[2].partition("\n## ")[0]
    assert {code for code in codes if f"`{code}`" not in section} == set()
    assert set(EQUATIONS) <= {p.reference for p in ALL}


# Without noise noisy_sgd is gd, and drawing it without a compiler takes long.
@pytest.mark.parametrize("name", [name for name in EQUATIONS if name != "noisy_sgd"])
def test_the_equations_are_the_rules(name: str) -> None:
    # What is altered must be the rule of the zoo to begin with; with every kind of decay on.
    hyper: dict[str, Any] = {}
    arguments = optim.ZOO[name].factory.__code__.co_varnames
    for argument, value in (
        ("learning_rate", 0.01), ("weight_decay", 0.1), ("weight_decay_rate", 0.01),
    ):  # fmt: skip
        if argument in arguments:
            hyper[argument] = value
    with jax.enable_x64(True), jax.disable_jit():
        due = Reference(name, hyper)
        for problem in [p.cut(4) for p in problems(MIXED, due.eps)[::2]]:
            right = due.path(problem, MIXED)
            sizes = [int(np.prod(shape)) for shape in MIXED.values()]
            case = Case(
                due,
                EQUATIONS[name],
                [problem],
                [right],
                [right],
                list(MIXED),
                sizes,
                RELATIVE,
                1e-16,
            )
            path = run(EQUATIONS[name], case.options(Alteration()), problem)
            assert not gap(path, right, RELATIVE, 1.2e-16).any


def init(params: Any) -> Any:
    return {k: np.zeros_like(p) for k, p in params.items()}


def step(params: Any, grads: Any, state: Any) -> Any:
    v = {k: 0.9 * state[k] + 0.1 * grads[k] for k in params}
    return {k: params[k] - 0.05 * v[k] for k in params}, v


def test_a_report_has_a_row_a_problem_and_is_data() -> None:
    report = check.optimizer((init, step), "momentum", learning_rate=0.05)
    assert not report.ok
    assert "dampening in bias, kernel, other, wide" in str(report)
    assert len(report.rows) == 5
    data = json.loads(json.dumps(report.to_dict()))
    assert data["reference"] == "momentum"
    assert data["problems"][0]["first_step"] == 1
    assert data["findings"][0]["code"] == "dampening"
    with pytest.raises(AssertionError, match=r"1\. dampening"):
        check.assert_optimizer((init, step), "momentum", learning_rate=0.05)
    check.assert_optimizer((init, step), "momentum", learning_rate=0.005)


def test_a_dialect_is_named() -> None:
    report = check.optimizer(optax.rmsprop(0.1, eps_in_sqrt=False), "rmsprop", learning_rate=0.1)
    assert report.ok
    assert any("equals torch.optim.RMSprop" in note for note in report.notes)


def test_a_fault_in_some_leaves_names_them() -> None:
    def only_matrices(params: Any) -> Any:
        return {k: p.ndim == 2 for k, p in params.items()}

    rule = optax.adamw(0.01, weight_decay=0.1, mask=only_matrices)
    report = check.optimizer(rule, "adamw", learning_rate=0.01, weight_decay=0.1)
    assert [finding.leaves for finding in report.findings] == [("bias",)]


def test_two_faults_are_both_named() -> None:
    def two(params: Any, grads: Any, state: Any) -> Any:
        v = {k: 0.9 * state[k] + 0.1 * grads[k] for k in params}
        return {k: params[k] - 0.05 * (grads[k] - 0.9 * v[k]) for k in params}, v

    report = check.optimizer((init, two), "nesterov", learning_rate=0.05)
    assert {finding.code for finding in report.findings} == {"momentum_sign", "dampening"}


@pytest.mark.parametrize(
    ("rule", "reference", "hyper", "message"),
    [
        ((init, step), "adamm", {}, "did you mean adam"),
        ((init, step), "adam", {}, "adam needs learning_rate"),
        ((init, step), "adam", {"learning_rate": 0.1, "wd": 1.0}, "no hyperparameter wd"),
        ((init, step), "momentum", {"lr": 0.1}, r"\(did you mean learning_rate\?\)"),
        ((init, step), "adam", {"betas": (0.9, 0.99)}, r"\(did you mean b1 and b2\?\)"),
        ((init, step), "rmsprop", {"rho": 0.9}, r"\(did you mean decay\?\)"),
        ((init, step), "adadelta", {"decay": 0.9}, r"\(did you mean rho\?\)"),
        (optax.adam, "adam", {}, r'check.optimizer\(rule, "adam", learning_rate=0.01\)'),
        ((init, step), "aw_sgd", {"learning_rate": 0.1, "examples": 8}, "which examples to draw"),
        ((init, step), "noisy_sgd", {"learning_rate": 0.1}, "eta=0.0"),
        ((init, lambda p, g, s: p["nothing"]), "gd", {"learning_rate": 0.1}, "KeyError: 'nothing'"),
        ((init, lambda p, g, s: p), "gd", {"learning_rate": 0.1}, r"must return \(params, state\)"),
        ((init, lambda p, g, s: None), "gd", {"learning_rate": 0.1}, "step returned None and left"),
    ],
)
def test_errors_say_what_to_do(
    rule: Any, reference: str, hyper: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check.optimizer(rule, reference, **hyper)


@pytest.mark.parametrize(
    ("turned", "words"),
    [
        (lambda g, p, s: step(p, g, s), r"step\(grads, params, state\) -> \(params, state\)"),
        (lambda s, p, g: step(p, g, s), r"step\(state, params, grads\) -> \(params, state\)"),
        (lambda p, g, s: step(p, g, s)[::-1], r"step\(params, grads, state\) -> \(state, params\)"),
    ],
)
def test_a_rule_that_is_called_otherwise_is_a_type_error(turned: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        check.optimizer((init, turned), "momentum", learning_rate=0.005)


def velocity(params: Any, grads: Any, state: Any) -> Any:
    v = {k: 0.9 * state[k] + grads[k] for k in params}
    return {k: params[k] - 0.1 * v[k] for k in params}, v


class Keeps:
    """A rule that remembers in itself, and not in its state."""

    def __init__(self) -> None:
        self.v: Any = None

    def init(self, params: Any) -> Any:
        return ()

    def step(self, params: Any, grads: Any, state: Any) -> Any:
        new, self.v = velocity(params, grads, self.v or init(params))
        return new, state


def updates(params: Any, grads: Any, state: Any) -> Any:
    v = velocity(params, grads, state)[1]
    return {k: -0.1 * v[k] for k in params}, v


def damped(params: Any, grads: Any, state: Any) -> Any:
    v = {k: 0.9 * state[k] + 0.7 * grads[k] if state else grads[k] for k in params}
    return {k: params[k] - 0.1 * v[k] for k in params}, v


def forgets(params: Any, grads: Any, state: Any) -> Any:
    v, t = state
    new, v = velocity(params, grads, v if t % 4 else init(params))
    return new, (v, t + 1)


@pytest.mark.parametrize(
    ("rule", "code", "words"),
    [
        (Keeps(), "state_shared", "outside of its state"),
        ((init, updates), "mismatch", "step returns the update"),
        ((init, lambda p, g, s: (p, s)), "scale", "never move"),
        ((lambda p: {}, damped), "dampening", "takes 0.7 g"),
        ((lambda p: (init(p), 0), forgets), "state_reset", "every 4 steps"),
        (optax.chain(optax.clip_by_global_norm(0.7), optax.sgd(0.1, 0.9)), "mismatch", "clipped"),
        ((init, lambda p, g, s: ({k: x / 0 for k, x in p.items()}, s)), "mismatch", "not finite"),
    ],
)
def test_any_rule_can_have_these_faults(rule: Any, code: str, words: str) -> None:
    report = check.optimizer(rule, "momentum", learning_rate=0.1)
    assert [finding.code for finding in report.findings] == [code]
    assert words in report.findings[0].message
    assert "nan" not in str(report)


@pytest.mark.parametrize(("shift", "words"), [(1, "ahead"), (-1, "behind")])
def test_a_schedule_of_another_step_is_told(shift: int, words: str) -> None:
    def schedule(t: Any) -> Any:
        return 0.1 / (1 + t)

    rule = optax.sgd(lambda t: schedule(jax.numpy.maximum(t + shift, 0)), momentum=0.9)
    report = check.optimizer(rule, "momentum", learning_rate=schedule)
    assert report.findings[0].code == "scale"
    assert f"one step {words}" in report.findings[0].message


def test_a_fault_on_top_of_a_dialect_is_named() -> None:
    rule = optax.chain(
        optax.add_decayed_weights(0.03), optax.rmsprop(0.1, eps_in_sqrt=False, momentum=0.9)
    )
    report = check.optimizer(rule, "rmsprop", learning_rate=0.1, momentum=0.9)
    assert report.findings[0].code == "coupled_weight_decay"
    assert any("torch.optim.RMSprop" in note for note in report.notes)


def test_names_of_ones_own_are_found() -> None:
    def mine(params: Any, grads: Any, state: Any) -> Any:
        return {k: params[k] - 0.1 * grads[k] for k in ("W1", "b1")}, state

    report = check.optimizer((lambda params: 0, mine), "gd", learning_rate=0.1)
    assert report.ok
    assert "run on a dict of W1, b1, of NumPy" in report.notes


def test_a_slower_rate_that_looks_dampened_is_told() -> None:
    report = check.optimizer((init, velocity), "momentum", learning_rate=1.0)
    assert report.findings[0].code == "dampening"
    assert any("learning_rate = 0.1" in note for note in report.notes)


def adam_like(rate: float, weight: float, decay: float = 0.0) -> Any:
    """Adam, whose average m takes `weight` times the gradient."""

    def begin(params: Any) -> Any:
        return init(params), init(params), 0

    def one(params: Any, grads: Any, state: Any) -> Any:
        m, v, t = state
        t, m = t + 1, {k: 0.9 * m[k] + weight * grads[k] for k in params}
        v = {k: 0.999 * v[k] + 0.001 * grads[k] ** 2 for k in params}
        new = {}
        for k, p in params.items():
            d = m[k] / (1 - 0.9**t) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
            new[k] = p - rate * (d + decay * p)
        return new, (m, v, t)

    return begin, one


def test_a_larger_rate_that_looks_like_a_sum_is_told() -> None:
    # In Adam both make every step ten times as long; with a decay beside the step they differ.
    note = "the right rule with learning_rate = 0.01, 10 times what was given"
    report = check.optimizer(adam_like(0.01, 0.1), "adam", learning_rate=0.001)
    assert any(note in said for said in report.notes)
    rule = adam_like(0.001, 1.0, decay=0.1)
    report = check.optimizer(rule, "adamw", learning_rate=0.001, weight_decay=0.1)
    assert report.findings[0].code == "dampening"
    assert not any("the right rule with" in said for said in report.notes)


def maximum(params: Any, grads: Any, state: Any) -> Any:
    """Adamax, whose maximum lacks the absolute value."""
    m, u, t = state
    t, m = t + 1, {k: 0.9 * m[k] + 0.1 * grads[k] for k in params}
    u = {k: np.maximum(0.999 * u[k], grads[k]) for k in params}
    rate = 0.002 / (1 - 0.9**t)
    return {k: p - rate * m[k] / (u[k] + 1e-8) for k, p in params.items()}, (m, u, t)


def signs(b1: float, b2: float, late: bool) -> Any:
    """Lion, with the mix of the m after it was updated if `late`."""

    def one(params: Any, grads: Any, m: Any) -> Any:
        new = {k: b2 * m[k] + (1 - b2) * grads[k] for k in params}
        c = new if late else {k: b1 * m[k] + (1 - b1) * grads[k] for k in params}
        return {k: p - 0.01 * np.sign(c[k]) for k, p in params.items()}, new

    return init, one


@pytest.mark.parametrize(
    ("rule", "reference", "words"),
    [
        ((adam_like(0, 0)[0], maximum), "adamax", "Take the absolute value"),
        (signs(0.99, 0.9, late=False), "lion", "b2 to the average m that is kept"),
        (signs(0.9, 0.99, late=True), "lion", "The step is the sign of m itself"),
    ],
)
def test_a_fault_is_told_in_the_words_of_its_rule(rule: Any, reference: str, words: str) -> None:
    hyper: dict[str, Any] = {"learning_rate": 0.002}
    if reference == "lion":
        hyper = {"learning_rate": 0.01, "weight_decay": 0.0}
    report = check.optimizer(rule, reference, **hyper)
    assert words in report.findings[0].message + report.findings[0].fix
    assert "square" not in str(report).lower()


def test_leaves_are_plain_strings() -> None:
    report = check.optimizer((init, lambda p, g, s: (p, s)), "gd", learning_rate=0.1)
    assert [type(leaf) for leaf in report.findings[0].leaves] == [str] * 4


def test_a_pair_in_jax_is_said_to_be_one() -> None:
    def mine(params: Any, grads: Any, state: Any) -> Any:
        return jax.tree.map(lambda p, g: jax.numpy.subtract(p, 0.1 * g), params, grads), state

    report = check.optimizer((lambda params: 0, mine), "gd", learning_rate=0.1)
    assert report.notes[0].endswith("of JAX")
    assert "equals torch.optim.SGD and keras.optimizers.SGD" in report.notes


def test_an_argument_that_a_class_of_torch_lacks_is_an_error() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="SGD has no argument for b1"):
        check.optimizer(torch.optim.SGD, "adam", learning_rate=0.1, b1=0.9)


def test_what_is_no_rule_is_a_type_error() -> None:
    for rule, words in (
        (3, "pair"),
        (step, r"rule is one function, step: pass a pair, \(init, step\)"),
        (jax.jit(step), "rule is one function, step"),
        (Keeps().step, "rule is one function, step"),
        (optax.adam, r"rule is the function adam of optax: call it, optax.adam\(...\)"),
    ):
        with pytest.raises(TypeError, match=words):
            check.optimizer(rule, "adam", learning_rate=0.1)


def test_torch_is_told_what_to_pass_and_to_write() -> None:
    torch = pytest.importorskip("torch")
    made = torch.optim.SGD([torch.zeros(3, requires_grad=True)], lr=0.1)
    with pytest.raises(TypeError, match=r"an instance of SGD, .* pass the class, SGD, or"):
        check.optimizer(made, "gd", learning_rate=0.1)

    class Recorded(torch.optim.SGD):  # type: ignore[misc, name-defined]
        def step(self, closure: Any = None) -> None:
            for p in self.param_groups[0]["params"]:
                p -= 0.1 * p.grad

    class Wrong(torch.optim.SGD):  # type: ignore[misc, name-defined]
        def step(self, closure: Any = None) -> None:
            raise KeyError("rate")

    with pytest.raises(ValueError, match=r"@torch.no_grad\(\) above def step"):
        check.optimizer(Recorded, "gd", learning_rate=0.1)
    with pytest.raises(ValueError, match="must change every p in place"):
        check.optimizer(Wrong, "gd", learning_rate=0.1)


FILE = """
import numpy as np

REFERENCE = "momentum"
HYPER = {{"learning_rate": {rate}}}

def init(params):
    return {{k: np.zeros_like(p) for k, p in params.items()}}

def step(params, grads, state):
    v = {{k: 0.9 * state[k] + grads[k] for k in params}}
    return {{k: params[k] - 0.1 * v[k] for k in params}}, v
"""


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from jaxnet.cli import main

    file = tmp_path / "mine.py"
    file.write_text(FILE.format(rate=0.1))
    assert main(["check", str(file)]) == 0
    file.write_text(FILE.format(rate=0.05))
    assert main(["check", str(file), "--json"]) == 1
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :])["findings"][0]["code"] == "scale"
    file.write_text("def init(): 0\ndef step(): 0\n")
    assert main(["check", str(file)]) == 2
    assert "does not define REFERENCE, HYPER" in capsys.readouterr().err


def test_a_rate_in_float32_is_no_fault() -> None:
    report = check.optimizer(optax.adam(0.1), "adam", learning_rate=np.float32(0.1))
    assert report.ok
    assert any("float32" in note for note in report.notes)
