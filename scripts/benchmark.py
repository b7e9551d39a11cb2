"""Speed and memory of jaxnet against the peers that a user would pick, as ratios.

    python scripts/benchmark.py [--rounds 15] [SECTION ...]

Sections: fit, mlp, layer_norm, cross_entropy, optimizers, torch, import; all of them by default.
Everything runs on whatever device JAX finds. The two sides of a row take turns, round after round;
the ratio is the median over the rounds of theirs / ours, so above 1 means that jaxnet is faster.
Machines differ and are noisy: the ratios are the result, the times only show their scale.
"""

import argparse
import importlib
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnet import models, optim
from jaxnet.layers import layer_norm
from jaxnet.losses import LOSSES
from jaxnet.train import fit

Timed = Callable[[], float]
"""Runs one side of a comparison once and returns its seconds."""


def compare(
    name: str,
    ours: Timed,
    theirs: Timed,
    rounds: int,
    note: str | Callable[[float], str] = "",
) -> None:
    """Let both sides take turns and print the medians and the ratio.

    The note may be made of our seconds.
    """
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(theirs / ours for ours, theirs in pairs)
    remark = note(a) if callable(note) else note
    print(f"  {name:58s} {a * 1e3:9.3f} {b * 1e3:9.3f} ms  {ratio:6.2f}  {remark}", flush=True)


def calls(function: Any, *arguments: Any, repeat: int = 1) -> Timed:
    """Time `repeat` calls of a compiled function."""

    def run() -> float:
        began = time.perf_counter()
        for _ in range(repeat):
            result = function(*arguments)
        jax.block_until_ready(result)  # type: ignore[no-untyped-call]
        return (time.perf_counter() - began) / repeat

    return run


def compiled(function: Any, *arguments: Any) -> tuple[Any, float]:
    """Compile a function; return it and the megabytes of temporary memory it takes."""
    program = jax.jit(function).lower(*arguments).compile()
    analysis = program.memory_analysis()
    return program, analysis.temp_size_in_bytes / 1e6 if analysis else float("nan")


def against(name: str, ours: Any, theirs: Any, arguments: tuple[Any, ...], rounds: int) -> None:
    """Compare two functions of the same arguments in time and in temporary memory."""
    (ours, our_mb), (theirs, their_mb) = compiled(ours, *arguments), compiled(theirs, *arguments)
    once = calls(ours, *arguments)()
    repeat = max(1, min(2000, int(0.02 / once)))
    note = f"temporary {our_mb:.2f} MB, theirs {their_mb:.2f} MB"
    compare(
        name, calls(ours, *arguments, repeat=repeat), calls(theirs, *arguments, repeat=repeat),
        rounds, note,
    )  # fmt: skip


def classification(sizes: Sequence[int], n: int) -> tuple[Array, Array]:
    """Random inputs and classes for a network of these sizes."""
    key_x, key_t = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (n, sizes[0]))
    return x, jax.random.randint(key_t, (n,), 0, sizes[-1])


def bench_fit(rounds: int) -> None:
    """`fit` against the shortest loop with the same arithmetic that one would write by hand."""
    print("fit against a hand-written lax.scan, a step")
    compare_fit((4, 16, 3), 150, None, 80_000, rounds)
    compare_fit((64, 32, 10), 1600, 32, 800, rounds)
    compare_fit((784, 512, 512, 10), 12_800, 128, 5, rounds)


def compare_fit(
    sizes: Sequence[int], n: int, batch_size: int | None, epochs: int, rounds: int
) -> None:
    """One row of `bench_fit`."""
    model, rule, data = models.mlp(sizes), optim.gd(0.01), classification(sizes, n)
    params, key = model.init(jax.random.key(1)), jax.random.key(2)
    steps = epochs * (1 if batch_size is None else n // batch_size)

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        value, grads = model.value_and_grad(params, batch)
        updates, state = rule.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), value

    def loop(params: Any, data: Any, key: Array) -> Any:
        x, t = data

        def epoch(carry: Any, key: Array) -> Any:
            if batch_size is None:
                return step(carry, data)
            order = jax.random.permutation(key, n).reshape(-1, batch_size)
            return jax.lax.scan(lambda c, rows: step(c, (x[rows], t[rows])), carry, order)

        return jax.lax.scan(epoch, (params, rule.init(params)), jax.random.split(key, epochs))

    by_hand, _ = compiled(loop, params, data, key)

    def ours() -> float:
        result = fit(
            model, rule, data, steps=steps, batch_size=batch_size, params=params, key=key,
            progress=False,
        )  # fmt: skip
        return result.seconds / steps

    def theirs() -> float:
        return calls(by_hand, params, data, key)() / steps

    compare(f"{list(sizes)}, batch {batch_size or 'all'}, {steps} steps", ours, theirs, rounds)


def bench_mlp(rounds: int) -> None:
    """The hand-derived gradient of whole networks against `jax.grad` of the same loss."""
    print("hand-derived gradient of an mlp against jax.grad of its loss")
    for sizes, activation, n in (
        ((64, 32, 10), "tanh", 32),
        ((784, 512, 512, 10), "relu", 128),
        ((784, 512, 512, 10), "gelu", 128),
        ((256, 256, 256, 256, 10), "softplus", 1024),
    ):
        model = models.mlp(sizes, activation, l2=1e-4)
        arguments = (model.init(jax.random.key(0)), classification(sizes, n))
        name = f"{list(sizes)} {activation}, batch {n}"
        against(name, model.value_and_grad, jax.value_and_grad(model.loss), arguments, rounds)


def bench_layer_norm(rounds: int) -> None:
    """Layer normalisation, output and gradients, against `jax.vjp` of the same forward pass."""
    print("layer normalisation (4096, 1024), output and gradients")
    layer = layer_norm(1024)
    params = layer.init(jax.random.key(0))
    x, dy = jax.random.normal(jax.random.key(1), (2, 4096, 1024))

    def hand(params: Any, x: Array, dy: Array) -> Any:
        y, residuals = layer.forward(params, x)
        return y, layer.backward(params, residuals, dy)

    def auto(params: Any, x: Array, dy: Array) -> Any:
        y, pullback = jax.vjp(lambda p, x: layer.forward(p, x)[0], params, x)
        return y, pullback(dy)

    against("jax.vjp of our forward", hand, auto, (params, x, dy), rounds)


def bench_cross_entropy(rounds: int) -> None:
    """Softmax cross-entropy with its gradient against `jax.grad` of the forms people write."""
    print("softmax cross-entropy and its gradient, logits (4096, 10000)")
    loss = LOSSES["softmax_cross_entropy"]
    y = jax.random.normal(jax.random.key(0), (4096, 10_000))
    t = jax.random.randint(jax.random.key(1), (4096,), 0, 10_000)

    def hand(y: Array, t: Array) -> Any:
        return loss.value(y, t), loss.gradient(y, t)

    def log_softmax(y: Array, t: Array) -> Array:
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=-1))

    def one_hot(y: Array, t: Array) -> Array:
        return jnp.mean(optax.softmax_cross_entropy(y, jax.nn.one_hot(t, y.shape[-1])))

    def integer_labels(y: Array, t: Array) -> Array:
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(y, t))

    for name, theirs in (
        ("jax.grad of the entry of jax.nn.log_softmax", log_softmax),
        ("jax.grad of optax.softmax_cross_entropy on one-hot labels", one_hot),
        ("jax.grad of optax's form with integer labels", integer_labels),
        ("jax.grad of our own value", loss.value),
    ):
        against(name, hand, jax.value_and_grad(theirs), (y, t), rounds)


RULES: tuple[tuple[Any, Any, dict[str, Any]], ...] = (
    (optim.sgd, optax.sgd, {"learning_rate": 1e-2}),
    (optim.sgd, optax.sgd, {"learning_rate": 1e-2, "momentum": 0.9}),
    (optim.sgd, optax.sgd, {"learning_rate": 1e-2, "momentum": 0.9, "nesterov": True}),
    (optim.lion, optax.lion, {"learning_rate": 1e-3}),
    (optim.adagrad, optax.adagrad, {"learning_rate": 1e-2}),
    (optim.rmsprop, optax.rmsprop, {"learning_rate": 1e-2}),
    (optim.adam, optax.adam, {"learning_rate": 1e-2}),
    (optim.adamw, optax.adamw, {"learning_rate": 1e-2}),
    (optim.nadam, optax.nadam, {"learning_rate": 1e-2}),
    (optim.amsgrad, optax.amsgrad, {"learning_rate": 1e-2}),
    (optim.radam, optax.radam, {"learning_rate": 1e-2}),
    (optim.adabelief, optax.adabelief, {"learning_rate": 1e-3}),
    (optim.adopt, optax.contrib.adopt, {"learning_rate": 1e-2}),
    (optim.lars, optax.lars, {"learning_rate": 1e-2}),
    (optim.lamb, optax.lamb, {"learning_rate": 1e-2}),
    (optim.novograd, optax.novograd, {"learning_rate": 1e-3}),
    (optim.adafactor, optax.adafactor, {"learning_rate": 1e-2}),
    (optim.sm3, optax.sm3, {"learning_rate": 1e-1}),
    (optim.schedule_free_adamw, optax.contrib.schedule_free_adamw, {"learning_rate": 2.5e-3}),
    (optim.madgrad, optax.contrib.madgrad, {"learning_rate": 1e-2}),
    (optim.prodigy, optax.contrib.prodigy, {"learning_rate": 1.0}),
    (optim.muon, optax.contrib.muon, {"learning_rate": 3e-3}),
)
"""Our rules with optax's and the settings, the first of their proofs; the rest is at defaults."""


def transformer(key: Array, width: int = 320, blocks: int = 6, vocabulary: int = 8192) -> Any:
    """Random leaves of the shapes in a decoder: 10 million numbers in 75 leaves."""

    def dense(n_in: int, n_out: int) -> dict[str, tuple[int, ...]]:
        return {"w": (n_in, n_out), "b": (n_out,)}

    norm = {"scale": (width,), "bias": (width,)}
    block = {
        "norm1": norm,
        "queries_keys_values": dense(width, 3 * width),
        "attended": dense(width, width),
        "norm2": norm,
        "up": dense(width, 4 * width),
        "down": dense(4 * width, width),
    }
    tree = {"embedding": (vocabulary, width), "blocks": [block] * blocks, "norm": norm}
    shapes, structure = jax.tree.flatten(tree, is_leaf=lambda node: isinstance(node, tuple))
    keys = jax.random.split(key, len(shapes))
    leaves = [jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]
    return jax.tree.unflatten(structure, leaves)


def again(function: Any, carry: Any, *arguments: Any) -> tuple[Timed, float]:
    """Time one `carry = function(carry, *arguments)` a call; also the seconds to compile it.

    The carry is donated, so every call starts from what the last one left.
    """
    began = time.perf_counter()
    step = jax.jit(function, donate_argnums=0, keep_unused=True)
    program = step.lower(carry, *arguments).compile()
    seconds = time.perf_counter() - began
    carry = jax.tree.map(jnp.array, carry)  # its leaves may be others' as well, or one another

    def run() -> float:
        nonlocal carry
        began = time.perf_counter()
        carry = jax.block_until_ready(program(carry, *arguments))  # type: ignore[no-untyped-call]
        return time.perf_counter() - began

    return run, seconds


def bench_optimizers(rounds: int) -> None:
    """A step of our rules against optax's: from given gradients to new parameters and state."""
    params, grads = (transformer(jax.random.key(i)) for i in range(2))
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    print(f"a step of a rule, update and apply, {size / 4e6:.1f} million parameters")
    passes = (
        again(lambda x, y: jax.tree.map(jnp.copy, y), params, params)[0],
        again(lambda x: jax.tree.map(jnp.negative, x), params)[0],
    )
    copied, in_place = (2e-9 * size / statistics.median(one() for _ in range(20)) for one in passes)
    print(f"  the memory: a copy {copied:.1f} GB/s, x := -x in place {in_place:.1f} GB/s")
    for ours, theirs, settings in RULES:
        compare_steps(ours, theirs, settings, (params, grads), in_place, rounds)


def compare_steps(
    ours: Any,
    theirs: Any,
    settings: dict[str, Any],
    trees: tuple[Any, Any],
    in_place: float,
    rounds: int,
) -> None:
    """One row of `bench_optimizers`."""
    params, grads = trees
    our_rule, their_rule = ours(**settings), theirs(**settings)

    def step(rule: Any) -> tuple[Timed, float]:
        def function(carry: Any, grads: Any) -> Any:
            params, state = carry
            updates, state = rule.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        return again(function, (params, rule.init(params)), grads)

    # What has to move: gradients are read, parameters and state read and written.
    state = jax.eval_shape(our_rule.init, params)
    read, written = (
        1e-9 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
        for tree in ((params, grads, state), (params, state))
    )
    (our_step, our_seconds), (their_step, their_seconds) = step(our_rule), step(their_rule)

    def note(seconds: float) -> str:
        speed = f"{(read + written) / seconds:.1f} of {in_place:.1f} GB/s"
        return f"{speed}, compiled in {our_seconds:.2f} s, theirs {their_seconds:.2f} s"

    our_step(), their_step()
    name = " ".join([ours.__name__, *(f"{k}={v}" for k, v in settings.items())])
    # Short steps take more turns, not longer ones: what disturbs one side then disturbs both.
    turns = max(1, min(5, int(0.02 / our_step())))
    compare(name, our_step, their_step, rounds * turns, note)


def bench_torch(rounds: int) -> None:
    """`fit` against the same training in eager PyTorch."""
    print("fit against eager PyTorch, [784, 512, 512, 10], batch 128, a step")
    if importlib.util.find_spec("torch") is None:
        print("  torch is not installed: left out")
        return
    torch: Any = importlib.import_module("torch")

    sizes, n, batch_size = (784, 512, 512, 10), 12_800, 128
    model, (x, t) = models.mlp(sizes), classification(sizes, n)
    params = model.init(jax.random.key(0))
    steps = n // batch_size
    device = "cuda" if torch.cuda.is_available() and jax.default_backend() == "gpu" else "cpu"
    torch_x = torch.tensor(np.asarray(x), device=device)
    torch_t = torch.tensor(np.asarray(t), device=device).long()
    layers: list[Any] = []
    for n_in, n_out in pairwise(sizes):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1]).to(device)
    rule = torch.optim.SGD(net.parameters(), lr=0.01)

    def ours() -> float:
        result = fit(
            model, optim.gd(0.01), (x, t), steps=steps, batch_size=batch_size, params=params,
            progress=False,
        )  # fmt: skip
        return result.seconds / result.steps

    def epoch(batches: Any) -> float:
        began = time.perf_counter()
        losses = []
        for x_rows, t_rows in batches:
            rule.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x_rows), t_rows)
            loss.backward()
            rule.step()
            losses.append(loss.detach())
        torch.stack(losses).cpu()
        return (time.perf_counter() - began) / steps

    def indexed() -> float:
        order = torch.randperm(n, device=device).split(batch_size)
        return epoch((torch_x[rows], torch_t[rows]) for rows in order)

    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch_x, torch_t), batch_size, shuffle=True
    )
    version = f"torch {torch.__version__}"
    compare(f"{version}, tensors indexed by torch.randperm", ours, indexed, rounds)
    compare(f"{version}, torch.utils.data.DataLoader", ours, lambda: epoch(loader), rounds)


def bench_import(rounds: int) -> None:
    """What `import jaxnet` with all that training uses adds to `import jax, optax`."""
    print("import, seconds in a new process")

    def seconds(modules: str) -> float:
        clock = "time.perf_counter()"
        code = f"import time; t = {clock}; import {modules}; print({clock} - t)"
        return float(subprocess.check_output([sys.executable, "-c", code]))

    base = "jax, optax"
    for modules in ("jaxnet", "jaxnet.train, jaxnet.optim, jaxnet.data"):
        added = [seconds(f"{base}, {modules}") - seconds(base) for _ in range(min(rounds, 7))]
        print(f"  {modules} adds {statistics.median(added):.3f} s to {base}", flush=True)


SECTIONS: dict[str, Callable[[int], None]] = {
    "fit": bench_fit,
    "mlp": bench_mlp,
    "layer_norm": bench_layer_norm,
    "cross_entropy": bench_cross_entropy,
    "optimizers": bench_optimizers,
    "torch": bench_torch,
    "import": bench_import,
}


def main() -> int:
    """Run the sections that are named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    unknown = [s for s in options.sections if s not in SECTIONS]
    if unknown:
        parser.error(f"unknown section {', '.join(unknown)}; expected {', '.join(SECTIONS)}")
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, optax {optax.__version__}")
    print(f"  {'':58s} {'ours':>9s} {'theirs':>9s}     {'ratio':>6s}")
    for section in options.sections or SECTIONS:
        SECTIONS[section](options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
