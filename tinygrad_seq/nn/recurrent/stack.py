"""Recurrent layers upon each other, in one direction or both: the loop every kind shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.lengths import last, reverse_padded
from tinygrad_seq.nn.recurrent.layout import Layout
from tinygrad_seq.nn.recurrent.noise import dropout_mask
from tinygrad_seq.nn.recurrent.unit import Inner, Run, Unit


def turned(x: Any, lengths: np.ndarray | None) -> Any:
    """x (T, B, ·) with time running backwards, each row from its own last step."""
    return ops.flip(x, 0) if lengths is None else reverse_padded(x, lengths)


class Stack(Unit):
    """num_layers layers of one or two units each; the states of all are numbered layer by layer,
    forward before reverse."""

    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool
    input_dropout: float
    learned_state: bool
    residual: bool

    def forward(
        self, x: Any, state: Any = None, lengths: Any = None, *, return_inner: bool = False
    ) -> Any:
        """→ output, the last states, and with ``return_inner`` what was inside; see the class."""
        self._refuse_window()
        expected = "return_inner=False, since nothing is inside but what output shows"
        expect(self._gates > 1 or not return_inner, type(self).__name__, expected, return_inner,
               ArgumentError)  # fmt: skip
        layout = Layout(type(self).__name__, x, lengths, self.input_size, self.batch_first)
        starts = self._starts(layout, state)
        output, runs = self._through(layout.x, starts, layout.lengths)
        ends = [layout.state_out(parts) for parts in zip(*(r.last for r in runs), strict=True)]
        result = layout.out(output), ends[0] if len(ends) == 1 else tuple(ends)
        if not return_inner:
            return result
        return *result, [self._shown(k, run.inner, layout) for k, run in enumerate(runs)]

    # ------------------------------------------------------------------ the units

    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _units(self) -> Iterator[tuple[str, int]]:
        for layer in range(self.num_layers):
            wide = len(self._directions()) * self._widths()[0]
            for direction in self._directions():
                yield f"_l{layer}{direction}", wide if layer else self.input_size

    def _all_shapes(self) -> Iterator[tuple[str, tuple[int, ...] | None]]:
        yield from super()._all_shapes()
        count = self.num_layers * len(self._directions())
        for name, width in zip(self._states, self._widths(), strict=True):
            yield f"initial_{name[0]}", (count, width) if self.learned_state else None

    # ------------------------------------------------------------------ the loop

    def _through(
        self, x: Tensor, starts: Sequence[Sequence[Tensor]], lengths: np.ndarray | None
    ) -> tuple[Tensor, list[Run]]:
        """x (T, B, I), and what each unit starts from → output (T, B, ·), the units' runs."""
        runs: list[Run] = []
        for layer in range(self.num_layers):
            entering = self._thinned(x, layer)
            for direction in self._directions():
                begin, suffix = starts[len(runs)], f"_l{layer}{direction}"
                if direction:
                    runs.append(self._backwards(entering, begin, suffix, lengths))
                else:
                    runs.append(self._forwards(entering, begin, suffix, lengths))
            made = [run.output for run in runs[-len(self._directions()) :]]
            output = made[0] if len(made) == 1 else ops.concatenate(made, axis=2)
            x = ops.add(x, output) if self.residual and layer else output
        return x, runs

    def _forwards(
        self, x: Tensor, begin: Sequence[Tensor], suffix: str, lengths: np.ndarray | None
    ) -> Run:
        run = self._run(x, begin, suffix)
        if lengths is None:
            return run
        histories = (run.output, run.inner.cells)[: len(begin)]
        return run._replace(last=[last(h, lengths) for h in histories])  # type: ignore[arg-type]

    def _backwards(
        self, x: Tensor, begin: Sequence[Tensor], suffix: str, lengths: np.ndarray | None
    ) -> Run:
        run = self._forwards(turned(x, lengths), begin, suffix, lengths)
        return run._replace(output=turned(run.output, lengths))

    def _thinned(self, x: Tensor, layer: int) -> Tensor:
        """What of x enters a layer while dropout is at work."""
        if layer:
            x = ops.dropout(x, self.dropout, self.training)
        mask = dropout_mask(self.input_dropout, x.shape[1:], x, self.training)
        return x if mask is None else ops.mul(x, mask)

    # ------------------------------------------------------------------ states and what is inside

    def _starts(self, layout: Layout, state: Any) -> list[list[Tensor]]:
        """For each unit the states (B, ·) that it starts from."""
        x, widths = layout.x, self._widths()
        count = self.num_layers * len(self._directions())
        if state is None and not self.learned_state:
            return [[ops.full_like(x, 0, shape=(x.shape[1], w)) for w in widths]] * count
        if state is None:
            learned = [getattr(self, f"initial_{name[0]}") for name in self._states]
            shapes = [(count, x.shape[1], width) for width in widths]
            whole = [
                ops.broadcast_to(ops.expand_dims(h, 1), shape)
                for h, shape in zip(learned, shapes, strict=True)
            ]
        else:
            named = zip(self._states, self._as_tuple(state), widths, strict=True)
            whole = [layout.state_in(name, given, count, width) for name, given, width in named]
        return [[h[k] for h in whole] for k in range(count)]

    def _as_tuple(self, state: Any) -> tuple[Any, ...]:
        """The state the user gave as a tuple: of one for an RNN or GRU, of two for an LSTM."""
        if len(self._states) == 1:
            return (state,)
        names = ", ".join(self._states)
        ok = isinstance(state, (tuple, list)) and len(state) == len(self._states)
        expected, got = f"state to be a pair ({names})", type(state).__name__
        expect(ok, type(self).__name__, expected, got, ArgumentError)
        return tuple(state)

    def _shown(self, unit: int, inner: Inner, layout: Layout) -> Inner:
        """What was inside a unit, in the user's layout and order of time."""
        back = self.bidirectional and unit % 2
        parts = (turned(v, layout.lengths) if v is not None and back else v for v in inner)
        return Inner(*(None if v is None else layout.out(v) for v in parts))

    def _refuse_window(self) -> None:
        if self.bidirectional and modes.window is not None:
            start, stop, steps = modes.window
            expected = "one direction where a sequence is run in parts: the reverse begins at its "
            got = f"bidirectional=True on steps {start} … {stop - 1} of {steps}"
            expect(False, type(self).__name__, expected + "end, which a part lacks", got,
                   ArgumentError)  # fmt: skip
