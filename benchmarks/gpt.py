"""GPT on tiny Shakespeare in nanoGPT's configuration for a CPU, beside the same model in PyTorch.

    PYTHONPATH=. TINYGRAD_SEQ_DATA=… python benchmarks/gpt.py [--rates 0.001 0.002] [--rounds 7]

Trains 4 layers of 4 heads, width 128, context 64, with batches of 12 sequences, once with each of
the peak learning rates (nanoGPT's is 0.001), and measures the loss on all of the held-out tenth,
and how nanoGPT's estimate of it, the mean of 20 batches, scatters; then lets one step of training
of both libraries take turns, one thread each. Seconds are the processor's. All is written to
``benchmarks/results/gpt.json``. PyTorch is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import tinygrad_seq as tg
from tinygrad_seq import nn, optim
from tinygrad_seq.bench import compare_processes, environment, serve, write_results
from tinygrad_seq.data import Vocabulary, split, tiny_shakespeare
from tinygrad_seq.models.gpt import GPT

RESULTS = Path(__file__).resolve().parent / "results/gpt.json"
GOAL = 1.88  # nats per character: nanoGPT's README, after 2000 iterations on a CPU
BATCH, CONTEXT, LAYERS, HEADS, WIDTH = 12, 64, 4, 4, 128
WARMUP, DECAY, BETAS, CLIP = 100, 0.1, (0.9, 0.99), 1.0

#: (inputs, targets, learning rate) → loss
Step = Callable[[np.ndarray, np.ndarray, float], float]


def rate_at(step: int, steps: int, peak: float) -> float:
    """The learning rate of a step: up in a line, down in half a cosine to a tenth."""
    if step < WARMUP:
        return peak * (step + 1) / (WARMUP + 1)
    share = (step - WARMUP) / max(1, steps - WARMUP)
    return peak * (0.1 + 0.9 * (1 + math.cos(math.pi * share)) / 2)


def batch(tokens: np.ndarray, generator: tg.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of the text that begin anywhere: inputs and targets (B, T)."""
    starts = generator.integers(0, len(tokens) - CONTEXT, (BATCH, 1))
    places = starts + np.arange(CONTEXT + 1)
    return tokens[places[:, :-1]], tokens[places[:, 1:]]


def made(vocabulary: int, seed: int = 0) -> GPT:
    """The model as it starts."""
    tg.manual_seed(seed)
    return GPT(vocabulary, CONTEXT, LAYERS, HEADS, WIDTH, bias=False)


def ours(model: GPT) -> Step:
    """A step of training with tinygrad_seq."""
    optimizer = optim.AdamW(model.param_groups(DECAY), betas=BETAS)

    def step(x: np.ndarray, y: np.ndarray, rate: float) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = model.loss(tg.tensor(x), tg.tensor(y))
        loss.backward()
        nn.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        return loss.item()

    return step


def theirs(model: GPT) -> tuple[Step, dict[str, Any]]:
    """A step of training with PyTorch from the same start, and the weights that it changes.

    Attention is PyTorch's fused one, the optimiser its fastest for a CPU.
    """
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    weights = {n: torch.tensor(p.numpy(), requires_grad=True) for n, p in model.named_parameters()}
    matrices = [w for w in weights.values() if w.ndim > 1]
    others = [w for w in weights.values() if w.ndim == 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=BETAS, fused=True)

    def norm(x: Any, name: str) -> Any:
        return functional.layer_norm(x, (WIDTH,), weights[f"{name}.weight"])

    def logits(tokens: Any) -> Any:
        x = weights["wte.weight"][tokens] + weights["wpe.weight"][: tokens.shape[1]]
        for i in range(LAYERS):
            qkv = norm(x, f"h.{i}.ln_1") @ weights[f"h.{i}.attn.c_attn.weight"].T
            parts = qkv.unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # (3, B, H, T, D)
            y = functional.scaled_dot_product_attention(*parts, is_causal=True)
            x = x + y.transpose(1, 2).flatten(2) @ weights[f"h.{i}.attn.c_proj.weight"].T
            hidden = norm(x, f"h.{i}.ln_2") @ weights[f"h.{i}.mlp.c_fc.weight"].T
            hidden = functional.gelu(hidden, approximate="tanh")
            x = x + hidden @ weights[f"h.{i}.mlp.c_proj.weight"].T
        return norm(x, "ln_f") @ weights["wte.weight"].T

    def step(x: np.ndarray, y: np.ndarray, rate: float) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        found = logits(torch.from_numpy(x)).flatten(0, 1)
        loss = functional.cross_entropy(found, torch.from_numpy(y).flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), CLIP)
        optimizer.step()
        return float(loss.detach())

    return step, weights


def held_out_loss(model: GPT, tokens: np.ndarray, rows: int = 32) -> float:
    """Mean loss over the text cut into pieces of CONTEXT + 1, each begun from nothing."""
    pieces = (len(tokens) - 1) // CONTEXT
    inputs = tokens[: pieces * CONTEXT].reshape(pieces, CONTEXT)
    targets = tokens[1 : pieces * CONTEXT + 1].reshape(pieces, CONTEXT)
    total = 0.0
    with tg.no_grad():
        for at in range(0, pieces, rows):
            x, y = inputs[at : at + rows], targets[at : at + rows]
            total += model.loss(tg.tensor(x), tg.tensor(y)).item() * len(x)
    return total / pieces


def estimate(model: GPT, tokens: np.ndarray, generator: tg.Generator) -> float:
    """nanoGPT's measure: the mean loss of 20 batches that begin anywhere."""
    with tg.no_grad():
        losses = [model.loss(*map(tg.tensor, batch(tokens, generator))).item() for _ in range(20)]
    return sum(losses) / len(losses)


def train(library: str, rate: float, steps: int, seed: int = 0, every: int = 250) -> dict[str, Any]:
    """Train; → the loss at the end and on the way, and the processor's seconds for the steps."""
    text = tiny_shakespeare()
    vocabulary = Vocabulary.of(text)
    tokens, unseen = split(vocabulary.encode(text))
    model, generator = made(len(vocabulary), seed), tg.Generator(seed)
    step, weights = (ours(model), {}) if library == "tinygrad_seq" else theirs(model)
    seconds, log = 0.0, []
    for i in range(steps):
        x, y = batch(tokens, generator)
        start = time.process_time()
        loss = step(x, y, rate_at(i, steps, rate))
        seconds += time.process_time() - start
        if (i + 1) % every == 0 or i + 1 == steps:
            model.load_state_dict({n: w.detach().numpy() for n, w in weights.items()}
                                  or model.state_dict())  # fmt: skip
            validation = held_out_loss(model, unseen)
            log.append({"step": i + 1, "training": loss, "validation": validation,
                        "seconds": seconds})  # fmt: skip
            print(f"{library} at {rate:g}, step {i + 1}: validation {validation:.4f}, "
                  f"{seconds:.0f} s", flush=True)  # fmt: skip
    draws = tg.Generator(seed + 1)
    estimates = [estimate(model, unseen, draws) for _ in range(10)]
    return {"library": library, "rate": rate, "loss": log[-1]["validation"], "seconds": seconds,
            "estimates": estimates, "log": log}  # fmt: skip


def worker(library: str) -> None:
    """A contestant: one step of training on random tokens."""
    model, generator = made(65), tg.Generator(0)
    step = ours(model) if library == "tinygrad_seq" else theirs(model)[0]
    x, y = batch(generator.integers(0, 65, (10_000,)), generator)
    serve(lambda: step(x, y, 1e-3), repeat=5, clock=time.process_time)


def main() -> None:
    """Train, compare, write, print; exit with 1 if the goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 2e-3], metavar="LR",
                        help="peaks of the learning rate, one run each")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the batches")
    parser.add_argument("--rounds", type=int, default=7, help="turns that each library takes")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the figures")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker)
    names = ["tinygrad_seq", *(["torch"] if find_spec("torch") else [])]
    runs = [(name, rate) for rate in options.rates for name in names]
    with threadpool_limits(1):
        rows: list[dict[str, Any]] = [train(*run, options.iterations, options.seed) for run in runs]
    commands = {name: [sys.executable, __file__, "--worker", name] for name in names}
    table = compare_processes(commands, base=names[-1], rounds=options.rounds, threads=1)
    for row in rows:
        print(
            f"{row['library']:14} at {row['rate']:g}: loss {row['loss']:.4f} in "
            f"{row['seconds']:.0f} s; 20 batches: {np.mean(row['estimates']):.3f} ± "
            f"{np.std(row['estimates']):.3f}"
        )
    steps = {name: asdict(table[name]) for name in names}
    for name, step in steps.items():
        print(f"{name:14} a step {step['seconds'] * 1e3:.1f} ms, {step['ratio']:.2f} × the last's")
    write_results(options.json, "gpt", environment(), rows, iterations=options.iterations,
                  seed=options.seed, steps=steps)  # fmt: skip
    best = min(row["loss"] for row in rows if row["library"] == "tinygrad_seq")
    print(f"goal: {GOAL} after 2000 iterations; best {best:.4f}")
    sys.exit(0 if best <= GOAL else 1)


if __name__ == "__main__":
    main()
