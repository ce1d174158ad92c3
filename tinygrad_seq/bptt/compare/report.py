"""What a comparison found, as data and as text of at most 80 columns."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

import numpy as np

from tinygrad_seq.bptt.compare.run import LAST, Run

Index = tuple[int, ...]


@dataclass(frozen=True)
class TensorError:
    """One returned gradient against the tape's. ``error``: the largest deviation as a share of the
    largest value; inf where the shape is wrong or a number is not finite."""

    shape: tuple[int, ...]
    ok: bool
    error: float
    #: where the deviation is largest, with both values; None where the shapes differ
    index: Index | None = None
    yours: float = float("nan")
    tape: float = float("nan")

    def __str__(self) -> str:
        if self.ok:
            return f"agrees  {self.error:.0e}"
        if self.index is None:
            return f"wrong shape {self.shape}"
        shown = f"at {list(self.index)}: yours {self.yours:.6g}, tape {self.tape:.6g}"
        return f"differs {self.error:.0e}  {shown}"


@dataclass(frozen=True)
class Comparison:
    """A backward pass by hand against the tape's. True if they agree; ``print`` tells the rest.

    The first wrong number on the way from T down to 1 is in ``tensor``, made in ``step``, and in
    the blocks of ``gates`` (() if all blocks are wrong, or the tensor has none); ``gate`` is the
    first of these. Within a step the order is dh, dc, da, db, dbhn, dWx, dWh, dx and, handed down
    at its end, dh0 and dc0; ``together`` are all that go wrong in that step. Gates come in the
    order of the way back: o, i, f, g and z, n, r.

    ``causes`` are the names of the likely mistakes and ``diagnosis`` says them in words; ``fit`` is
    how far the gradients that come of just these mistakes are from yours, as a share of their norm.
    ``alternatives``: (words, residual) of what else fits as well and of what comes next.
    ``diagnosis`` is None where nothing fits.
    """

    ok: bool
    run: Run = field(repr=False)
    errors: dict[str, TensorError]
    step: int | None = None
    tensor: str | None = None
    gates: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    diagnosis: str | None = None
    fit: float | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    #: why there is nothing to compare: what the function raised, or what it returned
    problem: str | None = None
    error: Exception | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    #: up to which residual a mistake counts as fitting
    tolerance: float = 1e-8

    def __bool__(self) -> bool:
        return self.ok

    @property
    def gate(self) -> str | None:
        """The first wrong gate, or None."""
        return self.gates[0] if self.gates else None

    def __str__(self) -> str:
        run = self.run
        verdict = "agrees with the tape" if self.ok else "differs from the tape"
        if self.problem is not None:
            verdict = "cannot be compared"
        elif not self.ok and all(e.ok for e in self.errors.values()):
            verdict = "agrees, but"
        sizes = ", ".join(f"{name}={getattr(run, name)}" for name in "TBDH")
        lines = [f"{run.kind} by hand ({sizes}): {verdict}"]
        lines += self._table()
        if self.problem is not None:
            lines += _wrapped(self.problem)
        if self.tensor is not None:
            lines += _wrapped(self._where())
        lines += self._why()
        for note in self.notes:
            lines += _wrapped(f"note: {note}")
        return "\n".join(lines)

    def _table(self) -> list[str]:
        return [f"  {name:<4}  {e}"[:80] for name, e in self.errors.items()]

    def _where(self) -> str:
        run, step = self.run, self.step or 1
        gates = f", {_gates(self.gates)}" if self.gates else ""
        if self.tensor in LAST and step != 1:
            gates = f": what is handed down to {(self.tensor or '')[1:2]}_{step - 1}"
        text = f"first wrong number: step {step}, {self.tensor}{gates}"
        text += f" (the way back goes from T = {run.T} to 1"
        if step < run.T:
            right = f"step {run.T}" if step == run.T - 1 else f"steps {run.T} to {step + 1}"
            verb = "is" if step == run.T - 1 else "are"
            text += f"; {right} alone {verb} right"
        text += ")"
        others = [name for name in self.together if name != self.tensor]
        return f"{text}; with it {', '.join(others)}" if others else text

    def _why(self) -> list[str]:
        if self.ok or self.problem is not None:
            return []
        if self.diagnosis is None:
            best = self.alternatives[0] if self.alternatives else None
            text = "likely mistake: none that is known gives these numbers"
            if best is not None:
                text += f"; the nearest leaves {best[1]:.1g} of them unexplained: {best[0]}"
            return _wrapped(text)
        told = "fault" if all(e.ok for e in self.errors.values()) else "likely mistake"
        lines = _wrapped(f"{told}: {self.diagnosis}")
        if self.fit is None:
            return lines
        close = f"to {self.fit:.0e}" if self.fit else "exactly"
        lines += _wrapped(f"made on purpose, it gives your numbers: fits {close}", "    ")
        for text, residual in self.alternatives:
            fits = residual <= self.tolerance
            how = "fits as well" if fits else f"next best, off by {residual:.2g}"
            lines += _wrapped(f"{how}: {text}", "    ")
        return lines


def tensor_error(got: np.ndarray, expected: np.ndarray, ok: bool) -> TensorError:
    """The worst deviation of two arrays."""
    if got.shape != expected.shape:
        return TensorError(got.shape, False, float("inf"))
    with np.errstate(invalid="ignore", over="ignore"):
        deviation = np.abs(got - expected)
    deviation = np.where(np.isfinite(deviation), deviation, np.inf)
    index = np.unravel_index(int(np.argmax(deviation)), got.shape)
    worst, scale = float(deviation[index]), float(np.max(np.abs(expected)))
    error = worst / scale if scale else (float("inf") if worst else 0.0)
    place = tuple(int(i) for i in index)
    return TensorError(got.shape, ok, error, place, float(got[index]), float(expected[index]))


def _gates(gates: tuple[str, ...]) -> str:
    return f"gate {gates[0]}" if len(gates) == 1 else f"gates {', '.join(gates)}"


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, 80, initial_indent=indent, subsequent_indent=indent + "  ")
