"""Thirteen lines of backpropagation, and the size of the step.

XOR with a third input that is always 1, four rows, no biases, sigma twice, H hidden units, from 2
rand - 1 of NumPy's legacy generator seeded 1, all rows in each of 60,000 iterations:

    l1 = sigma(X s0),  l2 = sigma(l1 s1),  d2 = (l2 - y) l2 (1 - l2),  d1 = d2 s1^T * l1 (1 - l1)
    s1 -= alpha l1^T d2,   s0 -= alpha X^T d1

The fault: the wrong alpha. At 0.001 nothing is learned in 60,000 iterations. At 100 the network
loses a row and stays there, at 1000 all sigmas are saturated, their slopes 0, and the error is 1/2
for good. In between lies a factor of a thousand that works, and more hidden units make it narrower
above.

The table below is met digit by digit where descent is calm. For H = 4 and alpha = 100 it agrees to
1e-8, and for H = 32 and alpha = 10 only to 1 %: the first iterations amplify the rounding of a sum
in another order. How often each weight turned back says how rough the way was.

The cure: alpha where the error falls fastest and the weights do not yet swing, here 1 to 10.
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study

from jaxnet import check, plot

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])
ALPHAS = (0.001, 0.01, 0.1, 1, 10, 100, 1000)
STARTS = {4: "0.496410031903", 32: "0.496439922501"}
ERRORS = {
    4: """0.495164025493 0.493596043188 0.491606358559 0.489100166544 0.485977857846
          0.457431074442 0.359097202563 0.239358137159 0.143070659013 0.0985964298089
          0.0428880170001 0.0240989942285 0.0181106521468 0.0149876162722 0.0130144905381
          0.00858452565325 0.00578945986251 0.00462917677677 0.00395876528027 0.00351012256786
          0.00312938876301 0.00214459557985 0.00172397549956 0.00147821451229 0.00131274062834
          0.125476983855 0.125330333528 0.125267728765 0.12523107366 0.125206352756
          0.5 0.5 0.5 0.5 0.5""",
    32: """0.491049468129 0.484976307027 0.477830678793 0.46903846539 0.458029258565
           0.356379061648 0.146939845465 0.0880156127416 0.065147819275 0.0529658087026
           0.0305404908386 0.0190638725334 0.0147643907296 0.0123892429905 0.0108421669738
           0.00736052234249 0.00497251705039 0.00396863978159 0.00338641021983 0.00299625684932
           0.00224922117381 0.00153852153014 0.00123717718456 0.00106119569132 0.000942641990774
           0.5 0.5 0.5 0.5 0.5
           0.5 0.5 0.5 0.5 0.5""",
}
"""Mean |l2 - y| at iterations 10k to 50k, a line an alpha, as they were printed."""
TURNS = {
    0.001: ("0 0 0 0 0 0 0 0 1 0 1 1", "1 1 0 1"),
    0.01: ("1 1 0 0 2 0 0 2 4 2 1 1", "2 1 0 1"),
    0.1: ("1 1 0 0 2 0 0 2 4 2 1 1", "2 1 0 1"),
    1: ("1 1 0 0 2 0 0 2 4 2 1 1", "2 1 0 1"),
    10: ("7 19 2 6 7 2 0 22 19 26 9 17", "22 15 4 15"),
    100: ("8 7 3 2 13 8 2 4 16 13 12 8", "13 11 12 10"),
    1000: ("3 2 4 1 1 2 2 1 6 6 4 1", "7 7 7 3"),
}
"""How often the update of each weight of synapse_0 and of synapse_1 changed its sign, H = 4."""


def drawn(*shapes: tuple[int, int]) -> tuple[Any, ...]:
    """Weights as the tutorial draws them."""
    draw = np.random.RandomState(1)
    return tuple(2 * draw.random_sample(shape) - 1 for shape in shapes)


def thirteen_lines(weights: Any, alpha: Any) -> tuple[Any, Any, Any]:
    """One iteration: the weights after it, the updates, and the mean error before it."""
    s0, s1 = weights
    l1 = jax.nn.sigmoid(X @ s0)
    l2 = jax.nn.sigmoid(l1 @ s1)
    d2 = (l2 - Y) * l2 * (1 - l2)
    d1 = (d2 @ s1.T) * l1 * (1 - l1)
    updates = X.T @ d1, l1.T @ d2
    after = jax.tree.map(lambda s, u: s - alpha * u, weights, updates)
    return after, updates, jnp.abs(l2 - Y).mean()


@partial(jax.jit, static_argnums=(1, 2))
@partial(jax.vmap, in_axes=(0, None, None))
def table(alpha: Any, hidden: int, chunks: int) -> tuple[Any, Any]:
    """The error every 10,000 iterations, and how often each update changed its sign."""

    def one(carry: Any, i: Any) -> tuple[Any, Any]:
        weights, ups, turns = carry
        weights, updates, error = thirteen_lines(weights, alpha)
        before, ups = ups, jax.tree.map(lambda u: u > 0, updates)
        turns = jax.tree.map(lambda n, a, b: n + ((a != b) & (i > 0)), turns, before, ups)
        return (weights, ups, turns), error

    def chunk(carry: Any, k: Any) -> tuple[Any, Any]:
        carry, errors = jax.lax.scan(one, carry, k * 10_000 + jnp.arange(10_000))
        return carry, errors[0]

    start = drawn((3, hidden), (hidden, 1))
    ups, turns = (jax.tree.map(lambda s, t=t: jnp.zeros(s.shape, t), start) for t in (bool, int))
    (_, _, turns), errors = jax.lax.scan(chunk, (start, ups, turns), jnp.arange(chunks))
    return errors, turns


def loss(weights: Any, x: Any, y: Any) -> Any:
    """The loss whose gradient the thirteen lines go down."""
    return ((jax.nn.sigmoid(jax.nn.sigmoid(x @ weights[0]) @ weights[1]) - y) ** 2).sum() / 2


def printed(what: str, known: str, measured: Any, hidden: int, alpha: float) -> study.Number:
    """A number of the table against its printed digits, or as near as it can be."""
    if alpha >= 100:
        return study.near(what, float(known), measured, 1e-8)
    if (hidden, alpha) == (32, 10):
        return study.close(what, float(known), measured, 1e-2)
    return study.same(what, known, f"{measured:.12g}")


def run(quick: bool) -> study.Study:
    """Both tables, all step sizes of each in one program."""
    chunks = 2 if quick else 6
    numbers, errors = [], {}
    for hidden, known in ERRORS.items():
        measured, turns = jax.device_get(table(jnp.array(ALPHAS), hidden, chunks))
        errors[f"{hidden} hidden units"] = measured
        rows = np.array(known.split()).reshape(len(ALPHAS), 5)
        for alpha, known_row, row in zip(ALPHAS, rows, measured, strict=True):
            for k, digits in enumerate([STARTS[hidden], *known_row][:chunks]):
                what = f"H = {hidden}, alpha = {alpha:g}, iteration {10_000 * k:,}"
                numbers.append(printed(what, digits, row[k], hidden, alpha))
        if hidden == 4 and not quick:
            for i, (alpha, said) in enumerate(TURNS.items()):
                for k, counts in enumerate(said):
                    counted = " ".join(map(str, turns[k][i].ravel()))
                    what = f"turns of synapse_{k}, alpha = {alpha:g}"
                    numbers.append(study.same(what, counts, counted))
    doctors = {}
    for alpha, code in ((0.001, "step_too_small"), (1, "ok"), (1000, "step_too_large")):
        shown = f"H = 4, alpha = {alpha:g}"
        doctors[shown] = check.training(
            loss, drawn((3, 4), (4, 1)), (X, Y), learning_rate=alpha, steps=10_000
        )
        numbers.append(study.named(shown, code, doctors[shown]))
    figure = plot.heat_map(
        errors, [f"{alpha:g}" for alpha in ALPHAS], [f"{k}0k" if k else "0" for k in range(chunks)],
        title="XOR", row_label="alpha", column_label="iteration", value_label="mean |l2 - y|",
    )  # fmt: skip
    return study.Study(numbers, doctors, {"Step size against training time.": figure})


if __name__ == "__main__":
    sys.exit(study.main(run))
