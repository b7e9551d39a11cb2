"""What four gradient checkers say about the same five wrong gradients.

    python scripts/gradient_checkers.py [--out FILE]

The checkers of PyTorch, JAX, SciPy and jaxnet get the same losses and the same hand-written
gradients, in float64 and at their defaults. Their words are shortened by "..."; SciPy gives one
number, the length of the error, and here beside it the one for the right gradient. --out writes
the table as Markdown. PyTorch is optional (pip install torch): without it its column says so.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize  # type: ignore[import-untyped]
from jax import test_util
from jax.flatten_util import ravel_pytree
from jax.nn import sigmoid, softmax

from jaxnet import check

Function = Callable[..., Any]


def neuron(p: Any, x: Any, t: Any) -> Any:
    """A sigmoid unit with the mean squared error."""
    return jnp.mean((t - sigmoid(x @ p["a"] + p["b"])) ** 2)


def averaged(p: Any, x: Any, t: Any) -> Any:
    """One neuron: three means over the batch multiplied, not the mean of the products."""
    y = sigmoid(x @ p["a"] + p["b"])
    delta = -2 * jnp.mean(t - y) * jnp.mean(y * (1 - y))
    return {"a": delta * jnp.mean(x, axis=0), "b": delta}


def slope_at_error(p: Any, x: Any, t: Any) -> Any:
    """One neuron for OR: the sigmoid's slope at the error e, e (1 - e), not y (1 - y)."""
    e = t - sigmoid(x @ p["a"] + p["b"])
    delta = -2 / len(t) * e * e * (1 - e)
    return {"a": delta @ x, "b": delta.sum()}


def classifier(p: Any, x: Any, t: Any) -> Any:
    """Softmax regression with the cross-entropy."""
    y = softmax(x @ p["w"] + p["b"])
    return -jnp.mean(jnp.sum(t * jnp.log(y), axis=1))


def diagonal_only(p: Any, x: Any, t: Any) -> Any:
    """Softmax regression: of the softmax's Jacobian only the diagonal, y (1 - y)."""
    y = softmax(x @ p["w"] + p["b"])
    delta = -t / y / len(t) * y * (1 - y)
    return {"w": x.T @ delta, "b": delta.sum(axis=0)}


def network(p: Any, x: Any, t: Any) -> Any:
    """Layers of sigmoid units with half the squared error, averaged over the batch."""
    a = x
    for layer in p:
        a = sigmoid(a @ layer["w"] + layer["b"])
    return jnp.mean(jnp.sum((a - t) ** 2, axis=1)) / 2


def backward(p: Any, x: Any, t: Any, turned: bool = False, last: int = 0) -> Any:
    """Send delta back through the network, transposed if `turned`, with slopes down to `last`."""
    a, grads = [x], []
    for layer in p:
        a.append(sigmoid(a[-1] @ layer["w"] + layer["b"]))
    delta = (a[-1] - t) / len(t) * a[-1] * (1 - a[-1])
    for i in reversed(range(len(p))):
        grads.append({"w": a[i].T @ delta, "b": delta.sum(axis=0)})
        slope = a[i] * (1 - a[i]) if i > last else 1
        delta = (delta.T if turned and i else delta) @ p[i]["w"].T * slope
    return grads[::-1]


def transposed(p: Any, x: Any, t: Any) -> Any:
    """A network of two layers: delta^T sent back, not delta; both fit 6 rows and 6 outputs."""
    return backward(p, x, t, turned=True)


def off_by_one(p: Any, x: Any, t: Any) -> Any:
    """A network of four layers, small weights: the loop leaves out the first layer's slope."""
    return backward(p, x, t, last=1)


def faults() -> list[tuple[Function, Function, Any, tuple[Any, ...]]]:
    """The losses, wrong gradients, parameters and data."""
    rng = np.random.default_rng(0)
    x, classes = rng.normal(size=(6, 4)), rng.integers(6, size=6)
    inputs = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])

    def layer(std: float, *shape: int) -> Any:
        return {"w": std * rng.normal(size=shape), "b": std * rng.normal(size=shape[1])}

    def unit(n: int) -> Any:
        return {"a": rng.uniform(size=n), "b": rng.uniform(size=())}

    one_hot = np.eye(6)[classes]
    deep = [layer(0.01, *shape) for shape in ((4, 5), (5, 5), (5, 5), (5, 6))]
    return [
        (neuron, averaged, unit(4), (x, classes % 2.0)),
        (neuron, slope_at_error, unit(2), (inputs, inputs.max(axis=1))),
        (classifier, diagonal_only, layer(1.0, 4, 6), (x, one_hot)),
        (network, transposed, [layer(1.0, 4, 5), layer(1.0, 5, 6)], (x, one_hot)),
        (network, off_by_one, deep, (x, one_hot)),
    ]


def ask_torch(loss: Function, grad: Function, params: Any, *args: Any) -> str:
    """What gradcheck says of a Function whose backward gives the gradient by hand."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        return "not installed (pip install torch)"
    leaves, tree = jax.tree.flatten(params)

    class Loss(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, *leaves: Any) -> Any:
            ctx.save_for_backward(*leaves)
            p = jax.tree.unflatten(tree, [leaf.numpy() for leaf in leaves])
            return torch.tensor(np.array(loss(p, *args)))

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            p = jax.tree.unflatten(tree, [leaf.numpy() for leaf in ctx.saved_tensors])
            return tuple(dy * torch.tensor(np.array(g)) for g in jax.tree.leaves(grad(p, *args)))

    try:
        tensors = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
        return f"{torch.autograd.gradcheck(Loss.apply, tensors)}: passed"
    except RuntimeError as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]} ..."


def ask_jax(loss: Function, grad: Function, params: Any, *args: Any) -> str:
    """What check_grads says of a custom_vjp with the gradient by hand."""

    def pull(p: Any, dy: Any) -> Any:
        return (jax.tree.map(lambda g: dy * g, grad(p, *args)),)

    f = jax.custom_vjp(lambda p: loss(p, *args))
    f.defvjp(lambda p: (loss(p, *args), p), pull)
    ask: Any = test_util.check_grads
    try:
        return f"{ask(f, (params,), order=1, modes=('rev',))}: passed"
    except AssertionError as error:
        _, what, *_, actual, desired = map(str.strip, str(error).strip().splitlines())
        return f"AssertionError: ... {what} ... {actual} {desired}"


def ask_scipy(loss: Function, grad: Function, params: Any, *args: Any) -> str:
    """What check_grad gives for the gradient by hand, and for the right one."""
    x, tree = ravel_pytree(params)
    value = jax.jit(lambda x: loss(tree(x), *args))
    flat = jax.jit(lambda x: ravel_pytree(grad(tree(x), *args))[0])
    error, right = (scipy.optimize.check_grad(value, g, x) for g in (flat, jax.grad(value)))
    return f"{error:.1e} (the right gradient: {right:.1e})"


def ask_jaxnet(loss: Function, grad: Function, params: Any, *args: Any) -> str:
    """What the doctor finds, and the line of the loss."""
    findings = check.gradient(loss, grad, params, *args).findings
    said = []
    for finding in findings:
        first, _, rest = finding.message.partition(". ")
        where = f" --> {Path(finding.where).name}" if finding.where else ""
        said.append(
            f"{finding.code} in {', '.join(finding.leaves)}: {first}{' ...' if rest else ''}{where}"
        )
    return " ".join(said)


CHECKERS: dict[str, Callable[..., str]] = {
    "torch.autograd.gradcheck": ask_torch,
    "jax.test_util.check_grads": ask_jax,
    "scipy.optimize.check_grad": ask_scipy,
    "jaxnet.check.gradient": ask_jaxnet,
}


def version(checker: str) -> str:
    """The version of the package that a checker is in."""
    try:
        return str(importlib.import_module(checker.partition(".")[0]).__version__)
    except ImportError:
        return "not installed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask all checkers about all faults and print their answers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", metavar="FILE", help="write the table as Markdown, too")
    options = parser.parse_args(arguments)
    rows = [["the gradient", *(f"`{name}`, {version(name)}" for name in CHECKERS)], ["---"] * 5]
    print("\n".join(rows[0][1:]))
    with jax.enable_x64(True):
        for loss, grad, params, args in faults():
            rows.append([grad.__doc__ or ""])
            print(f"\n{grad.__doc__}")
            for name, ask in CHECKERS.items():
                began = time.perf_counter()
                rows[-1].append(ask(loss, grad, params, *args))
                seconds = time.perf_counter() - began
                print(f"  {name:26s} {seconds:5.2f} s  {rows[-1][-1]}", flush=True)
    if options.out:
        Path(options.out).write_text("".join(f"| {' | '.join(row)} |\n" for row in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
