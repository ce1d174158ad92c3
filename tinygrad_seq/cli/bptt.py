"""``tinygrad-seq bptt``: backpropagation through time on one screen, with every number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from tinygrad_seq import nn, ops
from tinygrad_seq.autograd import no_grad, randn, tensor
from tinygrad_seq.backend import manual_seed
from tinygrad_seq.bptt import ledger
from tinygrad_seq.bptt.ledger.writing import WIDTH, number
from tinygrad_seq.cli.console import console
from tinygrad_seq.errors import ArgumentError, expect

if TYPE_CHECKING:
    from tinygrad_seq.bptt.ledger.record import Ledger

PICTURES = (".png", ".svg", ".pdf")
MODELS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
# A ledger takes T² / 2 backward passes: it is for what can be read.
MOST_UNITS, MOST_STEPS, LARGEST_W = 64, 100, 1000
#: the toy chain: its start, its input, its length
START, INPUT, CHAIN = 1e-12, -0.5, 50
BAR = 26


def bptt(
    model: Annotated[str, typer.Option(metavar="rnn|lstm|gru", help="The net.")] = "rnn",
    hidden: Annotated[int, typer.Option(help="The units of the net.")] = 2,
    steps: Annotated[int, typer.Option(help="The steps of time it runs for.")] = 4,
    w: Annotated[float, typer.Option(help="The weight of the one-unit chain.")] = 3.0,
    seed: Annotated[int, typer.Option(help="What weights and inputs are drawn from.")] = 0,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw the net's ledger, too: PNG, SVG or PDF."),
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print the net's ledger as LaTeX.")
    ] = False,
) -> None:
    """Show backpropagation through time at work, with every number.

    The ledger of a small net; a gradient that explodes, then vanishes; what truncation loses.
    """
    _check(model, hidden, steps, w)
    if plot is not None:
        ok = Path(plot).suffix.lower() in PICTURES
        expect(ok, "--plot", f"a file that ends in {', '.join(PICTURES)}", plot, ArgumentError)
    record = _run(model, hidden, steps, seed)
    screen = console()
    if plot is not None:
        record.plot(plot)
    if latex:
        text = record.latex()
    else:
        text = "\n".join([*_ledger(record), "", *_chain(w), "", *_truncation(record)])
    screen.print(text, soft_wrap=True)
    if plot is not None:
        screen.print(f"{'% ' if latex else ''}picture: {plot}", soft_wrap=True)


def _check(model: str, hidden: int, steps: int, w: float) -> None:
    expect(model in MODELS, "model", "rnn, lstm or gru", model, ArgumentError)
    for name, value, most in (("hidden", hidden, MOST_UNITS), ("steps", steps, MOST_STEPS)):
        expected = f"a whole number from 1 to {most}"
        expect(1 <= value <= most, name, expected, value, ArgumentError)
    expected = f"a number from {-LARGEST_W} to {LARGEST_W}"
    expect(abs(w) <= LARGEST_W, "w", expected, f"{w:g}", ArgumentError)


def _run(model: str, hidden: int, steps: int, seed: int) -> Ledger:
    """The ledger of a net with one input, and L_t = ½‖h_t‖² at every step; its weights and inputs
    have one decimal, so that all can be done again on paper."""
    manual_seed(seed)
    net = MODELS[model](1, hidden, single_bias=True, dtype=np.float64)
    with no_grad():
        for p in net.parameters():
            p.copy_(np.round(p.numpy(), 1))
        x = tensor(np.round(randn(steps, 1, 1, dtype=np.float64).numpy(), 1))
    return ledger(net, x, lambda h, t: 0.5 * ops.sum(ops.square(h)))


# ---------------------------------------------------------------------- the three blocks


def _ledger(record: Ledger) -> list[str]:
    said = (
        "1. THE LEDGER. The loss of step t is L_t = ½‖h_t‖². Read → for what the net computes, "
        "then ← for what each step is to blame for; Σ is the sum of the shares."
    )
    return [*wrap(said, WIDTH), record.table()]


def _chain(w: float) -> Iterator[str]:
    """h_t = tanh(w·h_{t−1} + 2·x_t + 1), a cell of the user's, and ∂h_t/∂h_0 = C[t, 0]."""
    x = tensor(np.full(CHAIN, INPUT))
    start = tensor(np.array(START))
    record = ledger(lambda x, h: ops.tanh(w * h + (2 * x + 1)), x, lambda h, t: h, initial=start)
    h, slope = record.states["h"][:, 0, 0], record.jacobians[:, 0, 0, 0]
    product = record.credit["h"][:, 0, 0, 0]
    product[0] = 1.0
    peak = int(np.abs(product).argmax())
    rule = f"h_t = tanh({w:g}·h_{{t−1}} + 2·x_t + 1)"
    words = f"∂h_t/∂h_0 = product of slopes {w:g}·(1−h_t²) {_story(product, peak)}"
    yield from wrap(f"2. EXPLODING, VANISHING. In {rule} with x_t = -½, {words}", WIDTH)
    yield "     t         h_t       slope   ∂h_t/∂h_0   powers of ten below | above 1"
    logs = [math.log10(abs(p)) if p else -math.inf for p in product.tolist()]
    for t in sorted({0, 10, peak or 25, CHAIN}):
        cells = [number(float(v), 5) for v in (h[t], slope[t], product[t])]
        cells[1] = cells[1] if t else ""
        yield (f"{t:6}" + "".join(f"{cell:>12}" for cell in cells) + f"   {_bar(logs, t)}").rstrip()


def _story(product: np.ndarray, peak: int) -> str:
    """What the chain's derivative does."""
    sizes = np.abs(product)
    end, most = number(float(sizes[-1]), 1), number(float(sizes[peak]), 1)
    if np.allclose(sizes, 1):
        return "keeps its size."
    if peak == 0:
        return f"shrinks to {end}."
    if peak == CHAIN:
        return f"grows to {end}."
    return f"grows to {most}, then shrinks to {end}."


def _bar(logs: list[float], t: int) -> str:
    """From 10⁰ to the right where it is larger than 1, to the left where it is smaller."""
    seen = [v for v in logs if math.isfinite(v)]
    low, high = min(0.0, *seen), max(0.0, *seen)
    if not math.isfinite(logs[t]):
        return "0"
    scale = BAR / ((high - low) or 1.0)
    zero, end = round(-low * scale), round((logs[t] - low) * scale)
    left, right = min(zero, end), max(zero, end)
    cells = [" "] * left + ["#"] * (right - left)
    cells[zero:zero] = ["|"]
    return "".join(cells).rstrip()


def _truncation(record: Ledger) -> Iterator[str]:
    """What windows of 1, 2 … T steps keep of the ledger above."""
    steps = record.steps
    pictured = steps <= 6
    yield from wrap(
        "3. TRUNCATION. In 1, carry each loss back through k steps only: the ∂L_s/∂h_t that are "
        "lost (·) change the gradient g in length and direction.",
        WIDTH,
    )
    head = " k  ∂L_s/∂h_t kept   |g_k|/|g|   cosine(g_k, g)"
    yield head + "   ∂L_1 ∂L_2 … by h_1 h_2 …" * pictured
    every = np.tril(np.ones((steps + 1, steps + 1), bool))[1:, 1:]
    for k in _windows(steps):
        cut = record.truncated(1, k)
        mask = cut.mask[1:, 1:] & every
        rows = [mask[s, : s + 1] for s in range(steps)]
        picture = " ".join("".join("■" if kept else "·" for kept in row) for row in rows)
        kept = f"{mask.sum()} of {every.sum()}"
        line = f"{k:2}{kept:>16}{cut.norm_ratio:>12.4f}{cut.cosine:>17.4f}"
        yield f"{line}   {picture}" if pictured else line


def _windows(steps: int) -> list[int]:
    """All of few, else 1, 2, 4, 8 … and all."""
    if steps <= 6:
        return list(range(1, steps + 1))
    return [*(2**n for n in range(7) if 2**n < steps), steps]
