"""What the tape says: the gradients of a run, step by step, from the engine alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, enable_grad, grad
from tinygrad_seq.bptt.compare.run import BY_STEP
from tinygrad_seq.errors import GraphError
from tinygrad_seq.ops.gru import gru_step
from tinygrad_seq.ops.lstm import lstm_step
from tinygrad_seq.ops.rnn import rnn_step


@dataclass(frozen=True)
class Truth:
    """``steps`` maps a tensor's name to what each step t adds to it, (T+1, …); of ``dh0`` and
    ``dc0``, to what arrives at h_t and c_t from the steps after t."""

    steps: dict[str, np.ndarray]

    def suffix(self, count: int) -> dict[str, np.ndarray]:
        """The gradients of the last ``count`` steps as a run of their own."""
        found = {}
        for name, rows in self.steps.items():
            own = rows[len(rows) - count :]
            if name in ("dh0", "dc0"):
                found[name] = rows[len(rows) - 1 - count]
            elif name in BY_STEP:
                found[name] = np.concatenate([np.zeros_like(rows[:1]), own])
            else:
                found[name] = own.sum(axis=0)
        return found


class Unrolled:
    """A run on the tape in which each step has weights of its own, equal in value.

    So ∂L/∂(weights of step t) is what step t adds to the gradient. x_t is lengthened by a one-hot
    code of the row and Wx by a zero column for each row: the gradient by those columns is
    ∂L/∂a_t, row by row.
    """

    def __init__(self, kind: str, options: dict[str, Any], x: np.ndarray,
                 states: Sequence[np.ndarray], weights: dict[str, np.ndarray]):  # fmt: skip
        self.kind, self.options, self.x, self.weights = kind, options, x, weights
        self.first = [_leaf(s) for s in states]
        #: of each step: its own weights, x_t, the states it starts from and those it leads to
        self.leaves: list[dict[str, Tensor]] = []
        self.entering: list[Sequence[Tensor]] = []
        self.after: list[Sequence[Tensor]] = []
        self.gates: list[np.ndarray] = []
        state: Sequence[Tensor] = self.first
        with enable_grad():
            for x_t in x:
                state = self._step(x_t, [ops.identity(s) for s in state])

    def _step(self, x_t: np.ndarray, entering: Sequence[Tensor]) -> Sequence[Tensor]:
        batch = len(x_t)
        columns = np.zeros((len(self.weights["Wx"]), batch))
        values = self.weights | {
            "Wx": np.concatenate([self.weights["Wx"], columns], axis=1),
            "x": np.concatenate([x_t, np.eye(batch)], axis=1),
        }
        own = {name: _leaf(value) for name, value in values.items()}
        after, gates = _stepped(self.kind, self.options, own, entering)
        self.leaves.append(own)
        self.entering.append(entering)
        self.after.append(after)
        if gates is not None:
            self.gates.append(gates.numpy())
        return after

    def states(self, k: int) -> np.ndarray:
        """h (k = 0) or c (k = 1) at t = 0 … T, (T+1, B, H)."""
        return np.stack([self.first[k].data, *(after[k].data for after in self.after)])

    def truth(self, dh: np.ndarray) -> Truth:
        """The gradients of L = Σ_t dh_t · h_t, step by step, checked against the fused op."""
        names = list(self.leaves[0])
        states = len(self.first)
        wanted = [leaf for own in self.leaves for leaf in own.values()]
        wanted += [s for group in (self.entering, self.after) for step in group for s in step]
        outputs = [after[0] for after in self.after]
        found = [
            np.zeros(w.shape) if g is None else g.numpy()
            for g, w in zip(grad(outputs, wanted, [Tensor(d) for d in dh[1:]], allow_unused=True),
                            wanted, strict=True)
        ]  # fmt: skip
        steps = len(self.leaves)
        split = iter(found)
        own = [{name: next(split) for name in names} for _ in range(steps)]
        carried = [[next(split) for _ in range(states)] for _ in range(steps)]
        total = [[next(split) for _ in range(states)] for _ in range(steps)]
        truth = Truth(self._named(own, carried, total))
        self._check(truth, dh)
        return truth

    def _named(self, own: list[dict[str, np.ndarray]], carried: list[list[np.ndarray]],
               total: list[list[np.ndarray]]) -> dict[str, np.ndarray]:  # fmt: skip
        width = self.x.shape[2]

        def timed(rows: Sequence[np.ndarray]) -> np.ndarray:
            return np.stack([np.zeros_like(rows[0]), *rows])

        made = {
            "dx": timed([step["x"][:, :width] for step in own]),
            "dWx": timed([step["Wx"][:, :width] for step in own]),
            "da": timed([step["Wx"][:, width:].T for step in own]),
            "dWh": timed([step["Wh"] for step in own]),
            "db": timed([step["b"] for step in own]),
        }
        if "bhn" in self.weights:
            made["dbhn"] = timed([step["bhn"] for step in own])
        for k, name in enumerate("hc"[: len(self.first)]):
            made[f"d{name}"] = timed([step[k] for step in total])
            last = np.zeros_like(total[0][k])
            made[f"d{name}0"] = np.stack([*(step[k] for step in carried), last])
        return made

    def _check(self, truth: Truth, dh: np.ndarray) -> None:
        """Raise GraphError unless the steps sum to what the layer's own op gives."""
        leaves = {name: _leaf(value) for name, value in (self.weights | {"x": self.x}).items()}
        first = [_leaf(s.data) for s in self.first]
        with enable_grad():
            b_hh = _inner_bias(leaves.get("bhn"))
            x, wx, wh, b = (leaves[name] for name in ("x", "Wx", "Wh", "b"))
            op = {"RNN": ops.rnn, "LSTM": ops.lstm, "GRU": ops.gru}[self.kind]
            output = op(x, *first, wx, wh, b, b_hh, **self.options)[0]
        found = grad(output, [*leaves.values(), *first], Tensor(dh[1:]), allow_unused=True)
        names = [*(f"d{name}" for name in leaves), "dh0", "dc0"]
        whole = truth.suffix(len(self.leaves))
        for name, g in zip(names, found, strict=False):
            summed = whole[name][1:] if name == "dx" else whole[name]
            scale = max(float(np.abs(summed).max(initial=0)), 1e-300)
            if g is not None and np.abs(g.numpy() - summed).max(initial=0) > 1e-9 * scale:
                raise GraphError(f"compare: the steps' shares of {name} do not sum to its gradient")


def _leaf(value: np.ndarray) -> Tensor:
    return Tensor(np.array(value)).requires_grad_()


def _inner_bias(bhn: Tensor | None) -> Tensor | None:
    """b_hh with nothing but the bias inside the reset."""
    return None if bhn is None else ops.pad(bhn, ((2 * bhn.shape[0], 0),))


def _stepped(
    kind: str, options: dict[str, Any], own: dict[str, Tensor], entering: Sequence[Tensor]
) -> tuple[Sequence[Tensor], Tensor | None]:
    """One step in primitives → the states after it, and the gates."""
    x, wx, wh, b = (own[name] for name in ("x", "Wx", "Wh", "b"))
    h = entering[0]
    if kind == "RNN":
        return [rnn_step(x, h, wx, wh, b, **options)], None
    if kind == "LSTM":
        h, c, gates = lstm_step(x, h, entering[1], wx, wh, b)
        return [h, c], gates
    h, gates = gru_step(x, h, wx, wh, b, _inner_bias(own.get("bhn")), **options)
    return [h], gates
