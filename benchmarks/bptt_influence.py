"""Influence balancing: where truncated backpropagation through time goes the wrong way.

    PYTHONPATH=. python benchmarks/bptt_influence.py [--iterations 3000] [--plot FILE] [--json FILE]

23 units in a row feed each other, s_{t+1} = A s_t + θ u, with A = ½ on the diagonal and just above
it, and u = 1 for the first 10 units, −1 for the other 13. The loss is ½ (s¹ − 1)². What θ adds to
the near units raises s¹ after a few steps, what it adds to the far ones lowers it much later, and
in the end by more: ds¹/dθ → 2·10 − 2·13 = −6. A gradient that looks back a few steps has the wrong
sign, and the loss grows; with 100 steps, or with RTRL's exact gradient, it goes to zero. The set-up
is that of Tallec and Ollivier, Unbiased Online Recurrent Optimization, arXiv:1702.05043, section 4,
with θ_0 = ½ and s_0 = 1; one step of gradient descent after each step of the recurrence.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_seq as tg
from tinygrad_seq import bptt, optim
from tinygrad_seq.bench import environment, write_results

UNITS, POSITIVE, LONGEST = 23, 10, 128
#: method → learning rate
METHODS: dict[str, float] = {
    "TBPTT, k = 1": 1e-4,
    "TBPTT, k = 10": 1e-4,
    "TBPTT, k = 100": 1e-4,
    "RTRL": 1e-4,
    "UORO": 1e-5,
}


class Balance:
    """The recurrence and its loss. Being linear, n steps of it are one product:

    s_n = Aⁿ s_0 + (1 + A + … + Aⁿ⁻¹) u θ
    """

    def __init__(self) -> None:
        row = np.eye(UNITS) / 2 + np.eye(UNITS, k=1) / 2
        signs = np.where(np.arange(UNITS) < POSITIVE, 1.0, -1.0)
        powers, sums = [np.eye(UNITS)], [np.zeros(UNITS)]
        for _ in range(LONGEST):
            sums.append(row @ sums[-1] + signs)
            powers.append(row @ powers[-1])
        self.powers = tg.tensor(np.stack(powers))  # (n, 23, 23): Aⁿ
        self.sums = tg.tensor(np.stack(sums))  # (n, 23): (1 + … + Aⁿ⁻¹) u
        self.first_powers = self.powers[:, 0].copy()  # (n, 23): what s¹ takes of s_0 in n steps
        self.first_sums = self.sums[:, 0].copy()  # (n,)
        self.theta = tg.tensor(np.full(1, 0.5), requires_grad=True)
        self.start = tg.tensor(np.ones(UNITS))

    def step(self, x: Any, y: Any, state: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        """As many steps as x has: → their mean loss, the state after them."""
        n = len(x)
        first = self.first_powers[1 : n + 1] @ state + self.first_sums[1 : n + 1] * self.theta
        after = self.powers[n] @ state + self.sums[n] * self.theta
        return (first - 1).square().mean() / 2, after


def losses(method: str, iterations: int, seed: int = 0) -> Iterator[float]:
    """The loss of each step, θ moving after it."""
    tg.manual_seed(seed)
    balance = Balance()
    optimizer = optim.SGD([balance.theta], lr=METHODS[method])
    nothing = np.broadcast_to(np.zeros(1), (iterations, 1))
    given = (balance.step, nothing, nothing)
    windows: Iterator[bptt.Window]
    if method == "RTRL":
        windows = bptt.rtrl(*given, [balance.theta], balance.start)
    elif method == "UORO":
        windows = bptt.uoro(*given, [balance.theta], balance.start)
    else:
        windows = bptt.TruncatedBPTT(1, int(method.split()[-1])).run(*given, balance.start)
    for window in windows:
        optimizer.step()
        optimizer.zero_grad()
        yield window.loss.item()


def plot(curves: dict[str, list[float]], path: Path) -> None:
    """The losses, on a logarithmic axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.semilogy(np.maximum(curve, 1e-16), label=name, linewidth=1)
    axes.set(title=f"Influence balancing, {UNITS} units", xlabel="step", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run every method and report it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--plot", type=Path, help="draw the losses into this file")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    curves, rows = {}, []
    print(f"{'':16}{'learning rate':>14}{'first loss':>12}{'last loss':>12}")
    for method, rate in METHODS.items():
        curves[method] = list(losses(method, options.iterations))
        first, last = curves[method][0], curves[method][-1]
        print(f"{method:16}{rate:14.0e}{first:12.2g}{last:12.2g}")
        rows.append({"method": method, "learning_rate": rate, "first": first, "last": last})
    if options.plot:
        plot(curves, options.plot)
    if options.json:
        write_results(options.json, "influence", environment(), rows, iterations=options.iterations)


if __name__ == "__main__":
    main()
