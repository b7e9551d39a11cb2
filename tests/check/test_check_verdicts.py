"""The verdicts of the gradient doctor: what must be called wrong, and what must not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import check


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


X, T = draw(6, 3), draw(6, 2)
POINT = {"w": draw(3, 4), "b": draw(4), "u": draw(4, 4), "v": draw(4, 2)}


def loss(p: Any, x: Any, t: Any) -> Any:
    h = jnp.tanh(x @ p["w"] + p["b"]) @ p["u"]
    return jnp.mean((h @ p["v"] - t) ** 2)


def hand(p: Any, x: Any, t: Any) -> Any:
    a = np.tanh(x @ p["w"] + p["b"])
    h = a @ p["u"]
    dy = 2 * (h @ p["v"] - t) / t.size
    dh = dy @ p["v"].T
    dz = dh @ p["u"].T * (1 - a * a)
    return {"w": x.T @ dz, "b": dz.sum(0), "u": a.T @ dh, "v": h.T @ dy}


def one_entry(g: Any, leaf: str, change: Callable[[Any], Any]) -> Any:
    g = {name: np.array(a) for name, a in g.items()}
    g[leaf][1] = change(g[leaf][1])
    return g


MUTATIONS: dict[str, tuple[Callable[[Any], Any], str, set[str]]] = {
    "minus": (lambda g: {k: -a for k, a in g.items()}, "sign", {"w", "b", "u", "v"}),
    "twice": (lambda g: {k: 2 * a for k, a in g.items()}, "scale", {"w", "b", "u", "v"}),
    "times N": (lambda g: {k: 6 * a for k, a in g.items()}, "scale", {"w", "b", "u", "v"}),
    "over N": (lambda g: {k: a / 6 for k, a in g.items()}, "scale", {"w", "b", "u", "v"}),
    "transposed": (lambda g: g | {"u": g["u"].T}, "transpose", {"u"}),
    "entry zeroed": (lambda g: one_entry(g, "b", lambda a: 0 * a), "partial_entries", {"b"}),
    "entry 1 % off": (lambda g: one_entry(g, "b", lambda a: 1.01 * a), "partial_entries", {"b"}),
    "entry NaN": (lambda g: one_entry(g, "b", lambda a: np.nan), "nonfinite", {"b"}),
    "leaf zero": (lambda g: g | {"w": 0 * g["w"]}, "missing", {"w"}),
    "swapped": (lambda g: g | {"u": g["x"], "x": g["u"]}, "swapped", {"u", "x"}),
    "wrong shape": (lambda g: g | {"v": g["v"][:-1]}, "shape", {"v"}),
    "integers": (lambda g: g | {"w": (9 * g["w"]).astype(int)}, "mismatch", {"w"}),
    "constant added": (lambda g: g | {"v": g["v"] + 0.01}, "mismatch", {"v"}),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_are_found_in_their_leaves(name: str) -> None:
    mutate, code, leaves = MUTATIONS[name]
    point = POINT | ({"x": draw(4, 4) + 1} if name == "swapped" else {})

    def whole(p: Any, x: Any, t: Any) -> Any:
        return loss(p, x, t) + (jnp.sum(jnp.sin(p["x"])) if "x" in p else 0.0)

    def grad(p: Any, x: Any, t: Any) -> Any:
        return hand(p, x, t) | ({"x": np.cos(p["x"])} if "x" in p else {})

    assert check.gradient(whole, grad, point, X, T).ok
    report = check.gradient(whole, lambda *a: mutate(grad(*a)), point, X, T)
    assert report.findings[0].code == code, report
    assert {leaf for f in report.findings for leaf in f.leaves} == leaves, report


@pytest.mark.parametrize("size", [1e-8, 1e8])
def test_the_size_of_the_loss_changes_no_verdict(size: float) -> None:
    def scaled(p: Any, x: Any, t: Any) -> Any:
        return size * loss(p, x, t)

    def of(factor: float) -> Any:
        return lambda *a: jax.tree.map(lambda g: factor * size * g, hand(*a))

    assert check.gradient(scaled, of(1.0), POINT, X, T).ok
    assert not check.gradient(scaled, of(0.0), POINT, X, T).ok
    assert not check.gradient(scaled, of(1 + 1e-5), POINT, X, T).ok


def test_float32_is_judged_by_its_own_noise_whatever_the_size() -> None:
    x = np.random.default_rng(0).normal(size=100_352).astype(np.float32)
    small = int(np.argsort(np.abs(x))[300])  # a thousandth of the largest

    def squares(x: Any) -> Any:
        return jnp.sum(x**2)

    def off(x: Any) -> Any:
        g = (2 * np.asarray(x)).astype(np.float32)
        g[small] *= np.float32(1.01)
        return g

    right = check.gradient(squares, lambda x: (2 * x).astype(np.float32), x)
    assert right.ok, right
    assert any("float32" in note for note in right.notes)
    report = check.gradient(squares, off, x)
    assert report.findings[0].code == "partial_entries"
    assert report.data["leaves"][0]["place"] == (small,)


SCALED = {"w": 1e6 * draw(3, 4), "b": draw(4), "v": 1e-6 * draw(4, 2)}


def of_scaled(p: Any, x: Any, t: Any) -> Any:
    return jnp.mean((jnp.tanh(x @ p["w"] * 1e-6 + p["b"]) @ p["v"] * 1e6 - t) ** 2)


def of_scaled_by_hand(kind: Any, result: Any, factor: float = 1.0) -> Any:
    def grad(p: Any, x: Any, t: Any) -> Any:
        p, x, t = jax.tree.map(lambda a: np.asarray(a).astype(kind), (p, x, t))
        a = np.tanh(x @ p["w"] * kind(1e-6) + p["b"])
        dy = 2 * (a @ p["v"] * kind(1e6) - t) / t.size
        dz = dy @ p["v"].T * kind(1e6) * (1 - a * a)
        g = {"w": x.T @ dz * kind(1e-6), "b": dz.sum(0), "v": a.T @ dy * kind(1e6)}
        return {k: g.astype(result) * result(factor) for k, g in g.items()}

    return grad


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("result", [np.float32, np.float64])
def test_leaves_of_all_sizes(kind: Any, result: Any) -> None:
    right = check.gradient(of_scaled, of_scaled_by_hand(kind, result), SCALED, X, T)
    assert right.ok, right
    rounds = kind is np.float32 or result is np.float32
    assert any("float32" in note for note in right.notes) == rounds
    off = check.gradient(of_scaled, of_scaled_by_hand(kind, result, 1.001), SCALED, X, T)
    assert {leaf for f in off.findings for leaf in f.leaves} == {"w", "b", "v"}, off


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_gradients_that_vanish(kind: Any) -> None:
    x = draw(40, 5)
    t = x @ np.ones(5) + draw(40)
    best = np.linalg.lstsq(x, t, rcond=None)[0]

    def squares(p: Any, x: Any, t: Any) -> Any:
        return jnp.mean((x @ p["w"] - t) ** 2) + 0 * jnp.sum(p["idle"])

    def grad(p: Any, x: Any, t: Any) -> Any:
        w, x, t = (np.asarray(a).astype(kind) for a in (p["w"], x, t))
        return {"w": 2 * x.T @ (x @ w - t) / len(t), "idle": np.zeros(2)}

    point = {"w": best, "idle": np.ones(2)}
    right = check.gradient(squares, grad, point, x, t)
    assert right.ok, right
    idle = check.gradient(squares, lambda *a: grad(*a) | {"idle": np.ones(2)}, point, x, t)
    assert {leaf for f in idle.findings for leaf in f.leaves} == {"idle"}
    assert check.gradient(squares, lambda *a: {"w": grad(*a)["w"]}, point, x, t).ok


def relu_loss(np: Any) -> Any:
    return lambda p, x, t: np.mean((np.maximum(x @ p["w"] + p["b"], 0) @ p["v"] - t) ** 2)


def relu_by_hand(open_at_zero: bool) -> Any:
    def grad(p: Any, x: Any, t: Any) -> Any:
        z = x @ p["w"] + p["b"]
        h = np.maximum(z, 0)
        dy = 2 * (h @ p["v"] - t) / t.size
        dz = dy @ p["v"].T * ((z >= 0) if open_at_zero else (z > 0))
        return {"w": x.T @ dz, "b": dz.sum(0), "v": h.T @ dy}

    return grad


@pytest.mark.parametrize("open_at_zero", [True, False])
@pytest.mark.parametrize("module", [jnp, np])
def test_a_kink_is_said_and_not_called_wrong(module: Any, open_at_zero: bool) -> None:
    f, grad = relu_loss(module), relu_by_hand(open_at_zero)
    zero = {"w": np.zeros((3, 4)), "b": np.zeros(4), "v": np.zeros((4, 2))}
    assert check.gradient(f, grad, zero, X, T).ok
    kink = zero | {"v": draw(4, 2)}
    report = check.gradient(f, grad, kink, X, T)
    assert report.ok, report
    assert any("kink" in note and "w" in note for note in report.notes), report
    assert {x["leaf"]: x["verdict"] for x in report.data["leaves"]}["w"] == "kink"
    wrong = check.gradient(f, lambda *a: jax.tree.map(lambda g: 3 * g, grad(*a)), kink, X, T)
    assert not wrong.ok


def test_ties_and_values_that_are_no_slope_at_a_kink() -> None:
    def tie(w: Any) -> Any:
        return jnp.max(w) ** 2

    def first(w: Any) -> Any:
        return 2 * np.max(w) * (np.arange(3) == np.argmax(w))

    assert check.gradient(tie, first, np.array([1.0, 1.0, 0.5])).ok

    def absolute(w: Any) -> Any:
        return jnp.sum(jnp.abs(w))

    point = np.array([0.0, 1.0, -2.0])
    assert check.gradient(absolute, lambda w: np.where(w > 0, 1.0, -1.0), point).ok
    for at_zero in (50.0, np.nan):
        report = check.gradient(
            absolute, lambda w, z=at_zero: np.where(w == 0, z, np.sign(w)), point
        )
        assert not report.ok


@jax.custom_vjp
def sine(x: Any) -> Any:
    """A function with a wrong rule."""
    return jnp.sin(x)


sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, ct: (ct * x,))


def with_rule(w: Any) -> Any:
    return jnp.sum(sine(w))


def stopped(w: Any) -> Any:
    return jnp.sum(jax.lax.stop_gradient(w**2) * w)


@pytest.mark.parametrize(
    ("f", "grad", "ok", "said"),
    [
        (with_rule, np.cos, True, "jax.grad stands alone"),
        (with_rule, lambda w: 1 * w, True, "differences stand alone"),
        (with_rule, np.exp, False, "no two agree"),
        (stopped, lambda w: w**2, True, "differences stand alone"),
        (stopped, lambda w: 3 * w**2, False, "jax.grad stands alone"),
    ],
)
def test_which_of_three_witnesses_stands_alone(f: Any, grad: Any, ok: bool, said: str) -> None:
    report = check.gradient(f, lambda w: grad(np.asarray(w)), np.array([0.3, 1.0, -2.0]))
    assert report.ok == ok, report
    assert any(note.startswith(said) for note in report.notes), report


@pytest.mark.parametrize("part", ["loss", "loss in NumPy", "grad", "grad in JAX"])
def test_what_gives_other_numbers_every_time_is_named(part: str) -> None:
    rng = np.random.default_rng(0)

    def dropout(w: Any, here: bool) -> Any:
        return w * (rng.random(8) > 0.5) if here else w

    def f(w: Any) -> Any:
        module = np if part == "loss in NumPy" else jnp
        return module.sum(dropout(w, part.startswith("loss")) ** 2)

    def grad(w: Any) -> Any:
        doubled = 2 * jnp.asarray(w) if part == "grad in JAX" else 2 * w
        return dropout(doubled, part.startswith("grad"))

    report = check.gradient(f, grad, np.arange(1.0, 9.0))
    assert [f.code for f in report.findings] == ["mismatch"]
    said = f"{part.split()[0]} gives different numbers for the same input"
    assert said in report.findings[0].message


@pytest.mark.parametrize("kind", ["none", "float0", "zeros", "left out"])
def test_keys_integers_and_booleans_are_named_and_left_out(kind: str) -> None:
    def f(p: Any, x: Any, key: Any) -> Any:
        keep = jax.random.bernoulli(key, 0.5, x.shape)
        return jnp.mean((x * keep @ p["w"]) ** 2) * p["n"].sum()

    def grad(p: Any, x: Any, key: Any) -> Any:
        kept = x * jax.random.bernoulli(key, 0.5, x.shape)
        g = {"w": 2 * kept.T @ (kept @ p["w"]) / len(x) * p["n"].sum()}
        if kind == "left out":
            return g
        n = {"none": None, "float0": np.zeros(2, jax.dtypes.float0), "zeros": np.zeros(2)}[kind]
        return g | {"n": n, "key": None, "flag": None}

    params = {
        "w": draw(3), "n": np.array([1, 2]), "key": jax.random.key(1), "flag": np.array([True])
    }  # fmt: skip
    report = check.gradient(f, grad, params, X, jax.random.key(0))
    assert report.ok, report
    assert any("flag (bool), key (key<fry>), n (int64)" in note for note in report.notes), report


def test_batches_of_another_size_and_vmap() -> None:
    def f(w: Any, x: Any) -> Any:
        return jnp.mean((x @ w) ** 2)

    def right(w: Any, x: Any) -> Any:
        return 2 * x.T @ (x @ w) / len(x)

    def fixed(w: Any, x: Any) -> Any:
        return 2 * x.T @ (x @ w) / 6

    report = check.gradient(f, right, draw(3), X)
    said = "the gradient holds compiled by jax.jit, under jax.vmap, with 3 of the 6 rows"
    assert said in report.notes
    wrong = check.gradient(f, fixed, draw(3), X)
    assert [f.code for f in wrong.findings] == ["mismatch"]
    assert "wrong with 3 of the 6 rows" in wrong.findings[0].message
    reshaped = check.gradient(f, lambda w, x: right(w, x.reshape(6, 3)), draw(3), X)
    assert reshaped.ok
    assert any("grad does not run with 3 of the 6 rows" in note for note in reshaped.notes)


def many(p: Any) -> float:
    return float(np.sum(np.tanh(p["w"]) ** 2) + np.sum(p["b"] ** 2))


def of_many(p: Any) -> Any:
    h = np.tanh(p["w"])
    return {"w": 2 * h * (1 - h * h), "b": 2 * p["b"]}


def test_a_numpy_loss_of_many_parameters() -> None:
    point = {"w": draw(80, 60), "b": draw(3)}
    report = check.gradient(many, of_many, point)
    assert report.ok, report
    assert any("examined: 259 of the 4803 parameters" in note for note in report.notes)

    def mutated(change: Callable[[Any], Any]) -> Any:
        report = check.gradient(many, lambda p: change(of_many(p)), point)
        return [(f.code, f.leaves) for f in report.findings]

    def entry_off(g: Any) -> Any:
        g["w"][33, 33] *= 1.5
        return g

    assert mutated(lambda g: g | {"w": 2 * g["w"]}) == [("scale", ("w",))]
    assert mutated(entry_off) == [("mismatch", ("w",))]  # not among the sampled, seen all the same
    assert mutated(lambda g: g | {"w": g["w"].T}) == [("shape", ("w",))]
    assert mutated(lambda g: {"w": g["w"]}) == [("missing", ("b",))]


def test_relu_in_numpy_with_kinks_in_reach_of_the_step() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(200, 3)), rng.normal(size=(200, 2))
    point = {"w": rng.normal(size=(3, 8)), "b": rng.normal(size=8), "v": rng.normal(size=(8, 2))}
    f, grad = relu_loss(np), relu_by_hand(False)
    report = check.gradient(f, grad, point, x, t)
    assert report.ok, report
    assert max(leaf["detects"] for leaf in report.data["leaves"]) < 1e-5
    off = check.gradient(f, lambda *a: one_entry(grad(*a), "b", lambda g: 1.01 * g), point, x, t)
    assert [f.leaves for f in off.findings] == [("b",)]


def test_the_table_fits_a_terminal_and_ranks_the_wrong_leaves() -> None:
    def wrong(*a: Any) -> Any:
        g = hand(*a)
        return g | {"u": 1.1 * g["u"], "w": 7 * g["w"]}

    report = check.gradient(loss, wrong, POINT, X, T)
    text = str(report).partition("\n\n1. ")[0]
    assert max(map(len, text.splitlines())) <= 100
    assert [row[0] for row in report.rows] == ["w", "u", "b", "v"]
    first = report.data["leaves"][0]
    assert first["yours"] / first["autodiff"] == pytest.approx(7)
    assert first["differences"] == pytest.approx(first["autodiff"], rel=1e-6)


def test_messages_say_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"not finite in r: an infinite slope.*give other params"):
        check.gradient(
            lambda p: jnp.sum(jnp.sqrt(p["r"])) + p["s"],
            lambda p: p,
            {"r": np.zeros(2), "s": 1.0},
        )
    with pytest.raises(TypeError, match="complex numbers are in z"):
        check.gradient(lambda p: 0.0, lambda p: p, {"w": np.ones(2), "z": np.ones(2) + 1j})
    with pytest.raises(TypeError, match=r"has the type complex128; it must be real"):
        check.gradient(lambda w: jnp.sum(w**2), lambda w: 2 * w + 0j, np.ones(3))
    with pytest.raises(TypeError, match="params must hold floating-point numbers"):
        check.gradient(lambda p: 0.0, lambda p: p, {"key": jax.random.key(0)})


FILE = """
import numpy as np

def loss(w, x):
    return np.mean((x @ w) ** 2)

def grad(w, x):
    return {factor} * x.T @ (x @ w) / len(x)

def make(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=3), (rng.normal(size=(5, 3)),)
"""


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from jaxnet.cli import main

    file = tmp_path / "mine.py"
    for factor, status in (("2", 0), ("np.nan", 1)):
        file.write_text(FILE.format(factor=factor))
        assert main(["check", str(file), "--json", "--seed", "3"]) == status
        told = json.loads(capsys.readouterr().out)
        assert (told["ok"], told["seed"], told["file"]) == (not status, 3, str(file))
        assert [point["seed"] for point in told["points"]] == [0, 1, 2]
        assert told["leaves"][0]["shape"] == [3]
    assert told["findings"][0]["code"] == "nonfinite"
    assert told["leaves"][0]["yours"] is None


def test_progress_is_told() -> None:
    phases: list[str] = []
    check.gradient(
        lambda w: jnp.sum(w**2), lambda w: 2 * w, np.arange(1.0, 4.0), progress=phases.append
    )
    assert phases[0] == "tracing"
    assert len(phases) == 4
