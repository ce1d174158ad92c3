"""How much memory backpropagation through time takes, and how the ways of saving it compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn import GRU, LSTM, RNN

Layer = RNN | LSTM | GRU


class Held(NamedTuple):
    """What one way of going back through time keeps: bytes that were predicted, and measured.

    ``steps`` is how many steps are kept at once with all that was computed in them, ``states`` how
    many states at the borders of pieces are kept besides. ``measured`` is None where it was not.
    """

    way: str
    steps: int
    states: int
    predicted: int
    measured: int | None

    @property
    def error(self) -> float | None:
        """(predicted − measured)/measured."""
        return None if not self.measured else self.predicted / self.measured - 1


class MemoryModel(NamedTuple):
    """The bytes that three ways of going back through T steps keep; printed, a table."""

    model: str
    sizes: str
    full: Held
    checkpointed: Held
    truncated: Held

    @property
    def ways(self) -> tuple[Held, ...]:
        """The three in the order of the table."""
        return self.full, self.checkpointed, self.truncated

    def __str__(self) -> str:
        import textwrap

        lines = [*textwrap.wrap(self.model, 78, subsequent_indent="    "), self.sizes]
        lines += ["kept for the way back, at its fullest; inputs and weights aside", ""]
        row = "{:<26} {:>7} {:>7}  {:>9}  {:>9}  {:>7}".format
        lines.append(row("", "steps", "states", "predicted", "measured", "error"))
        for way in self.ways:
            measured = "-" if way.measured is None else readable(way.measured)
            error = "-" if way.error is None else f"{round(100 * way.error, 1) + 0.0:+.1f} %"
            held = way.way, way.steps, way.states, readable(way.predicted), measured, error
            lines.append(row(*held))
        return "\n".join(lines)


def memory_model(
    model: Layer,
    T: int,
    B: int,
    *,
    k2: int | None = None,
    measure: bool = True,
) -> MemoryModel:
    """How many bytes backpropagation through time keeps for T steps of B rows, three ways.

    What a step computes must be there when the way back comes to it. Per step and row, for H units
    and P = proj_size or H, a layer keeps so many numbers::

        RNN    H            h
        LSTM   P + 5H       h, c, and the gates i, f, g, o
        GRU    5H           h, the gates r, z, n, and W_hn h + b_hn

    With W the sum over the layers, S that of the sizes of all states, and b bytes per number (4 in
    float32)::

        full             b·B·(T·W + 2S)                   all steps; the first and the last state
        √T checkpointing b·B·(k·W + (n + 1)·S)            one piece of k = ⌈√T⌉ steps, computed
                         n = ⌈T/k⌉                        again, and the states between pieces
        truncated        b·B·(k2·W + 2S)                  one window, whatever T

    Checkpointing (``tg.checkpoint`` over each piece) gives the same gradient for one more run
    forward (Chen et al. 2016, arXiv:1604.06174; for recurrent nets Gruslys et al. 2016,
    arXiv:1606.03401). Truncation gives another one, see ``ledger(...).truncated``.

    Layers upon each other, and options, add what they make: residual a sum between two layers, P;
    while training dropout between layers a mask and a product, 2P; input_dropout a product as wide
    as the input; zoneout a mask as wide as each state that it holds. An RNN with zoneout needs φ(a)
    besides h, H more.

    * model: nn.RNN, nn.LSTM or nn.GRU in one direction; its weights and ``.grad`` stay as they are.
    * k2: the window of truncation (with k1 = k2), by default 20, or T if that is less.
    * measure: also run all three, for a loss Σ h_t, and count: NumPy's memory as ``tracemalloc``
      sees it, what is there at the fullest moment less what was there before. Memory that was given
      back but is kept for later does not count; nor do inputs, weights and their gradients, or what
      a single op needs while it runs. On the CPU only; ``measured`` is None elsewhere.

    → a ``MemoryModel``. Raises ArgumentError for another model, a bidirectional one, or sizes that
    are no integers ≥ 1.
    """
    known = isinstance(model, (RNN, LSTM, GRU))
    kinds, got = "nn.RNN, nn.LSTM or nn.GRU", type(model).__name__
    expect(known, "memory_model", kinds, got, ArgumentError)
    expected = "one direction: the reverse cannot be cut into pieces"
    expect(not model.bidirectional, "memory_model", expected, "bidirectional=True", ArgumentError)
    window = min(T, 20) if k2 is None and _size(T) else k2
    for name, value in {"T": T, "B": B, "k2": window}.items():
        got = repr(value)
        expect(_size(value), "memory_model", f"{name} to be an integer ≥ 1", got, ArgumentError)
    window = min(int(window or 1), T)
    piece = math.isqrt(T - 1) + 1  # ⌈√T⌉
    pieces = -(-T // piece)
    dtype = model.weight_ih_l0.dtype
    of_step, of_state = kept_per_step(model), sum(model._widths()) * model.num_layers
    found: Sequence[int | None] = [None] * 3
    if measure and model.weight_ih_l0.device.type == "cpu":
        from tinygrad_seq.bptt.measured import measured

        found = measured(model, T, B, piece, window)
    ways = [
        ("full", T, 2),
        (f"√T checkpointing, k = {piece}", piece, pieces + 1),
        (f"truncated, k1 = k2 = {window}", window, 2),
    ]
    held = [
        Held(way, steps, states, dtype.itemsize * B * (steps * of_step + states * of_state), got)
        for (way, steps, states), got in zip(ways, found, strict=True)
    ]
    sizes = f"T = {T}, B = {B}, {dtype}: {of_step} numbers for each step of a row"
    return MemoryModel(f"{type(model).__name__}({model.extra_repr()})", sizes, *held)


def kept_per_step(model: Layer) -> int:
    """W: how many numbers all layers keep of one step of one row."""
    output, hidden = model._widths()[0], model.hidden_size
    of_layer = {RNN: output, LSTM: output + 5 * hidden, GRU: 5 * hidden}
    total = model.num_layers * next(w for kind, w in of_layer.items() if isinstance(model, kind))
    thinned = model.training and (model.dropout or model.input_dropout)
    if model.residual and not thinned:  # or else the next layer keeps a product of the sum
        total += output * max(0, model.num_layers - 2)
    rates = model.zoneout if isinstance(model.zoneout, tuple) else (model.zoneout,) * 2
    zoned = [width for rate, width in zip(rates, model._widths(), strict=False) if rate]
    if zoned and isinstance(model, RNN):
        total += model.num_layers * hidden
    if model.training:
        total += model.num_layers * sum(zoned)
        above = output * (model.num_layers - 1)
        total += above * (bool(model.dropout) + bool(thinned))
        total += model.input_size * bool(model.input_dropout)
    return total


def readable(count: int) -> str:
    """Bytes in the unit that suits them: 1 kB is 1000 bytes."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.3g} {unit}"


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
