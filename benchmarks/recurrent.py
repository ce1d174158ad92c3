"""The recurrent layers' forward and backward pass against PyTorch's and JAX's, on the CPU.

    PYTHONPATH=. python benchmarks/recurrent.py [--layers rnn lstm gru] [--threads 1 2]
                                                [--rounds 9] [--clock wall|cpu] [--json FILE]

Our fast kernels, our readable ones, PyTorch, and JAX (a compiled ``lax.scan``, the inputs projected
before it), each in a process of its own with as many threads as the others, taking turns. The
figure to quote is the ratio of medians. PyTorch and JAX are left out where they are not installed.
On a machine that is busy otherwise, --threads 1 --clock cpu gives the time that a process had a
core for, which is steadier; with more threads it would count their waiting.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bench import compare_processes, environment, serve, write_results

GOAL = 1.5
LAYERS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SIZES = {"steps": 64, "batch": 32, "input": 128, "hidden": 128}


def ours(options: argparse.Namespace, readable: bool) -> Callable[[], None]:
    """One forward and backward pass of our layer, with its fast or its reference kernels."""
    tg.manual_seed(0)
    layer = getattr(nn, LAYERS[options.layers[0]])(options.input, options.hidden)
    x = tg.randn(options.steps, options.batch, options.input)
    g = tg.ones(options.steps, options.batch, options.hidden)

    def once() -> None:
        with tg.reference_kernels() if readable else nullcontext():
            layer.zero_grad()
            output, _ = layer(x)
            output.backward(g)

    return once


def theirs(options: argparse.Namespace) -> Callable[[], None]:
    """One forward and backward pass of PyTorch's layer."""
    import torch

    torch.set_num_threads(options.threads[0])
    torch.manual_seed(0)
    layer = getattr(torch.nn, LAYERS[options.layers[0]])(options.input, options.hidden)
    x = torch.randn(options.steps, options.batch, options.input)
    g = torch.ones(options.steps, options.batch, options.hidden)

    def once() -> None:
        layer.zero_grad()
        output, _ = layer(x)
        output.backward(g)

    return once


def jaxs(options: argparse.Namespace) -> Callable[[], None]:
    """One forward and backward pass in JAX, compiled as a whole.

    JAX takes as many threads as there are cores to run on, so it is given no more cores than that.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads[0]])
    import jax
    from jax import numpy as jnp

    gates = {"rnn": 1, "lstm": 4, "gru": 3}[options.layers[0]]
    width, bound = options.hidden, options.hidden**-0.5
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 6))

    def drawn(*shape: int) -> Any:
        return jax.random.uniform(next(keys), shape, minval=-bound, maxval=bound)

    # inputs on the left, so no matrix is transposed in the loop
    weights = (drawn(options.input, gates * width), drawn(width, gates * width),
               drawn(gates * width), drawn(gates * width))  # fmt: skip
    x = jax.random.normal(next(keys), (options.steps, options.batch, options.input))
    start = jnp.zeros((options.batch, width))

    def loss(weights: Any) -> Any:
        """The sum of all outputs: its gradient by them is 1, as for the others."""
        w_ih, w_hh, b_ih, b_hh = weights
        step = STEPS[options.layers[0]]
        state = (start, start) if options.layers[0] == "lstm" else start
        return jax.lax.scan(lambda s, a: step(jax, s, a, w_hh, b_hh), state, x @ w_ih + b_ih)[
            1
        ].sum()

    run = jax.jit(jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(run(weights))


def _rnn(jax: Any, h: Any, a: Any, w: Any, b: Any) -> tuple[Any, Any]:
    h = jax.numpy.tanh(a + h @ w + b)
    return h, h


def _lstm(jax: Any, state: Any, a: Any, w: Any, b: Any) -> tuple[Any, Any]:
    h, c = state
    i, f, g, o = jax.numpy.split(a + h @ w + b, 4, axis=-1)
    sigmoid = jax.nn.sigmoid
    c = sigmoid(f) * c + sigmoid(i) * jax.numpy.tanh(g)
    h = sigmoid(o) * jax.numpy.tanh(c)
    return (h, c), h


def _gru(jax: Any, h: Any, a: Any, w: Any, b: Any) -> tuple[Any, Any]:
    (ar, az, an), (hr, hz, hn) = (jax.numpy.split(v, 3, axis=-1) for v in (a, h @ w + b))
    r, z = jax.nn.sigmoid(ar + hr), jax.nn.sigmoid(az + hz)
    h = (1 - z) * jax.numpy.tanh(an + r * hn) + z * h
    return h, h


STEPS = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}


def contest(layer: str, threads: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each contestant; ratios are against PyTorch where it is there."""
    names = ["numpy", "reference", *(rival for rival in ("jax", "torch") if find_spec(rival))]
    shared = [f"--layers={layer}", f"--threads={threads}", f"--clock={options.clock}"]
    shared += [f"--{size}={getattr(options, size)}" for size in SIZES]
    commands = {name: [sys.executable, __file__, "--worker", name, *shared] for name in names}
    table = compare_processes(commands, base=names[-1], rounds=options.rounds, threads=threads)
    return [{"layer": layer, "kernels": name, "threads": threads, **asdict(s)}
            for name, s in table.items()]  # fmt: skip


def main() -> None:
    """Run the contests and report them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9, help="turns that each contestant takes")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    for name, size in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        rivals = {"torch": theirs, "jax": jaxs}
        mine = partial(ours, readable=options.worker == "reference")
        serve(rivals.get(options.worker, mine)(options), clock=CLOCKS[options.clock])
    else:
        report(options)


def report(options: argparse.Namespace) -> None:
    """One table for all layers and numbers of threads."""
    sizes = {name: getattr(options, name) for name in SIZES}
    print("Forward and backward, float32,", ", ".join(f"{k} {v}" for k, v in sizes.items()))
    rows: list[dict[str, Any]] = []
    for layer in options.layers:
        for threads in options.threads:
            made = contest(layer, threads, options)
            for row in made:
                against = f"{row['ratio']:8.2f} × PyTorch" if find_spec("torch") else ""
                start = f"{layer:5}{threads} threads  {row['kernels']:10}"
                print(f"{start}{row['seconds'] * 1e3:9.2f} ms{against}", flush=True)
            rows += made
    if find_spec("torch"):
        worst = max(row["ratio"] for row in rows if row["kernels"] == "numpy")
        print(f"goal: at most {GOAL} × PyTorch: {'met' if worst <= GOAL else 'missed'}")
    if options.json:
        write_results(
            options.json, "recurrent", environment(), rows, sizes=sizes, clock=options.clock
        )


if __name__ == "__main__":
    main()
