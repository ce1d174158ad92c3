"""Gradient flow: how much of the gradient of a loss is left so many steps before it.

For a loss L = Σ_s L_s, L_s what comes in through step s, and a lag k::

    flow(k) = mean over s and the sequences of the batch of ‖∂L_s/∂h_{s−k}‖₂

Flat means that what happened long ago can still be learned from, falling that it fades, rising that
it blows up (Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio, arXiv:1211.5063).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, enable_grad, grad, no_grad
from tinygrad_seq.errors import ArgumentError, GraphError, expect
from tinygrad_seq.nn.recurrent.layout import Layout
from tinygrad_seq.nn.recurrent.stack import Stack

NOISE = ("dropout", "zoneout", "input_dropout", "recurrent_dropout")


def gradient_flow(
    layer: Any, loss: Callable[[], Tensor], *, rows: int | None = None
) -> dict[str, np.ndarray]:
    """The gradient's norm by lag, for each tensor of a recurrent layer's state.

    layer: an ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` in one direction. loss: a function without
    arguments that calls the layer once, on T steps of a batch, and returns a scalar. rows: of how
    many sequences of the batch, from the first; all by default.

    → ``"h"``, and for an LSTM ``"c"``: (T + 1,) floats on the host, entry k that of lag k, all
    layers side by side. Lag 0 is the gradient that the loss gives to step s itself, by its output
    (h_s of the top layer) or, if s = T, by the last state. At lag k ≥ 1 stands the derivative by
    the h, or the c, that step s − k hands on to the step after it, the other one held. h_0 and
    c_0, where the layer started, count as well. The mean is over those pairs of a step s ≥ k and a
    sequence where there is a gradient at lag 0; where there is no such pair it is 0.

    The gradients are exact. Those of all L_s go back together, one step of the layer at a time, so
    that T² / 2 steps are run for each sequence. Nothing of the caller's changes: no ``.grad``, and
    no random number is drawn.

    Raises ArgumentError where the layer is not one of those, is not called just once, would drop at
    random (use ``layer.eval()``), or where ``loss`` looks at the last state of sequences that
    differ in length; GraphError if the loss does not depend on the layer.
    """
    _check_layer(layer)
    expect(rows is None or rows >= 1, "gradient_flow", "rows ≥ 1 or None", rows, ArgumentError)
    call = _observe(layer, loss)
    with no_grad():
        return _Walk(layer, call, rows).flow()


def _check_layer(layer: Any) -> None:
    expected = "an nn.RNN, nn.LSTM or nn.GRU in one direction"
    got = type(layer).__name__
    if isinstance(layer, Stack) and layer.bidirectional:
        got = f"a bidirectional {got}"
    ok = isinstance(layer, Stack) and not layer.bidirectional
    expect(ok, "gradient_flow", expected, got, ArgumentError)
    noisy = [name for name in NOISE if np.any(getattr(layer, name, 0.0))] if layer.training else []
    expected = "a layer that drops nothing at random: layer.eval()"
    expect(not noisy, "gradient_flow", expected, ", ".join(noisy), ArgumentError)


class _Call(NamedTuple):
    """What went into the layer, time first, and the gradients of the loss by what came out."""

    x: Tensor
    state: Any
    by_output: Tensor | None
    #: for each tensor of the last state; None where the loss does not look at it
    by_last: Sequence[Tensor | None]


def _observe(layer: Any, loss: Callable[[], Tensor]) -> _Call:
    """Call ``loss`` with the layer cut off from what comes after it."""
    calls: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def cut(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        output, last, *inner = out
        many = isinstance(last, tuple)
        outs = (output, *last) if many else (output, last)
        refused = any(not isinstance(t, Tensor) or t.ndim != 3 for t in outs)
        expected, got = "a padded batch, (T, B, ·), to enter the layer", type(output).__name__
        expect(not refused, "gradient_flow", expected, getattr(output, "shape", got), ArgumentError)
        leaves = [t.detach().requires_grad_() for t in outs]
        calls.append((*_arguments(*args, **kwargs), leaves))
        return leaves[0], tuple(leaves[1:]) if many else leaves[1], *inner

    with enable_grad(), layer.register_forward_hook(cut, with_kwargs=True):
        value = loss()
    got = f"{len(calls)} calls"
    expect(len(calls) == 1, "gradient_flow", "loss to call the layer once", got, ArgumentError)
    ((x, state, lengths, leaves),) = calls
    found = (None,) if value._node is None else grad(value, leaves, allow_unused=True)
    if all(g is None for g in found):
        raise GraphError("gradient_flow: the loss does not depend on the layer")
    by_output, *by_last = found
    ragged = lengths is not None and any(g is not None for g in by_last)
    expected = "no lengths where the loss looks at the last state"
    expect(not ragged, "gradient_flow", expected, "lengths", ArgumentError)
    if layer.batch_first:
        x = ops.swapaxes(x, 0, 1)
        by_output = None if by_output is None else ops.swapaxes(by_output, 0, 1)
    return _Call(x.detach(), state, by_output, by_last)


def _arguments(x: Any, state: Any = None, lengths: Any = None, **_: Any) -> tuple[Any, Any, Any]:
    return x, state, lengths


# What a layer holds at one time: for each layer of the stack h, or h and c, (B, ·).
State = list[list[Tensor]]


class _Walk:
    """A layer on its way back through time, from the losses of all steps at once."""

    def __init__(self, layer: Any, call: _Call, rows: int | None):
        self.layer = layer
        self.x = call.x[:, :rows]  # (T, B, I)
        self.steps, self.batch, _ = self.x.shape
        layout = Layout("gradient_flow", call.x, None, layer.input_size, batch_first=False)
        begin = layer._starts(layout, call.state)
        #: the state before each step, and after the last
        self.states: list[State] = [[[h.detach()[:rows] for h in unit] for unit in begin]]
        for t in range(self.steps):
            output, state = self._step(self.x[t : t + 1], self.states[t])
            self.states.append(state)
        #: the gradients by each output (B, ·), and by the last state
        self.by_output = [ops.full_like(output, 0)] * self.steps
        if call.by_output is not None:
            self.by_output = [call.by_output[t, :rows] for t in range(self.steps)]
        self.by_last = _zeros(self.states[-1])
        for n, g in enumerate(call.by_last):
            for k, unit in enumerate(self.by_last):
                unit[n] = unit[n] if g is None else g[k, :rows]

    def flow(self) -> dict[str, np.ndarray]:
        """The mean norms by lag."""
        names = [name[0] for name in self.layer._states]
        norms = np.zeros((len(names), self.steps + 1, self.steps, self.batch))  # lag, s − 1, row
        # What has come back to the state after step t from the losses of steps t + 1 … T, one
        # behind the other along the batch.
        carried = [[h[:0] for h in unit] for unit in self.by_last]
        for t in range(self.steps, 0, -1):
            own = self.by_last if t == self.steps else _zeros(self.by_last)
            h, *rest = own[-1]
            norms[:, 0, t - 1] = _norms([*own[:-1], [h + self.by_output[t - 1], *rest]])
            carried = self._back(t, own, carried)
            arrived = _norms(carried).reshape(len(names), -1, self.batch)  # of L_t … L_T
            for s in range(t, self.steps + 1):
                norms[:, s - t + 1, s - 1] = arrived[:, s - t]
        given = norms[:, 0].sum(axis=0) > 0  # (T, B)
        return {name: _means(part, given) for name, part in zip(names, norms, strict=True)}

    def _step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x (1, B, I) → the output (B, ·) and the state after it."""
        output, runs = self.layer._through(x, state, None)
        return output[0], [list(run.last) for run in runs]

    def _back(self, t: int, own: State, carried: State) -> State:
        """From the gradients by the state after step t to those by the state before it, with those
        of L_t in front. Each loss has rows of the batch to itself, so one pass serves all."""
        copies = len(carried[0][0]) // self.batch + 1
        x = _tiled(self.x[t - 1 : t], copies, axis=1)
        before = [[_tiled(h, copies).requires_grad_() for h in unit] for unit in self.states[t - 1]]
        with enable_grad():
            output, after = self._step(x, before)
        first = self.by_output[t - 1]
        others = ops.full_like(first, 0, shape=((copies - 1) * self.batch, first.shape[1]))
        coming = [ops.concatenate([a, b]) for a, b in zip(_flat(own), _flat(carried), strict=True)]
        outs = [output, *_flat(after)]
        found = iter(grad(outs, _flat(before), [ops.concatenate([first, others]), *coming]))
        return [[next(found) for _ in unit] for unit in before]


def _flat(state: State) -> list[Tensor]:
    return [h for unit in state for h in unit]


def _zeros(state: State) -> State:
    return [[ops.full_like(h, 0) for h in unit] for unit in state]


def _tiled(value: Tensor, copies: int, axis: int = 0) -> Tensor:
    return ops.concatenate([value] * copies, axis=axis)


def _norms(state: State) -> np.ndarray:
    """For each tensor of the state the norm of every row over all layers: (names, rows)."""
    squares = [sum(ops.sum(h * h, axis=-1) for h in parts) for parts in zip(*state, strict=True)]
    return np.stack([np.sqrt(square.numpy().astype(np.float64)) for square in squares])


def _means(norms: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The mean at each lag over the steps that lie so far from the start: (T + 1, T, B) → (T + 1,).

    given (T, B): which pairs of a step and a row count.
    """
    means = np.zeros(len(norms))
    for lag, part in enumerate(norms):
        since = max(lag - 1, 0)
        counted = part[since:][given[since:]]
        means[lag] = counted.mean() if counted.size else 0.0
    return means
