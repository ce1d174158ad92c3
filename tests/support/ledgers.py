"""What the tests of the ledger share: nets, losses, and the recurrence once more in primitives."""

from collections.abc import Sequence

import numpy as np

import tinygrad_seq as tg
from tinygrad_seq import bptt, nn
from tinygrad_seq.ops.gru import gru_step
from tinygrad_seq.ops.lstm import lstm_step
from tinygrad_seq.ops.rnn import rnn_step

T, B, I, H = 4, 2, 3, 3
STEPS = {nn.RNN: rnn_step, nn.LSTM: lstm_step, nn.GRU: gru_step}

#: (class, how many layers, options), one for everything that changes the computation
NETS: list[tuple[type, int, dict]] = [
    (nn.RNN, 1, {}),
    (nn.RNN, 1, {"nonlinearity": "sigmoid", "single_bias": True}),
    (nn.RNN, 1, {"nonlinearity": "relu", "bias": False}),
    (nn.RNN, 2, {"layer_norm": True}),
    (nn.RNN, 3, {"residual": True}),
    (nn.LSTM, 1, {}),
    (nn.LSTM, 1, {"peephole": True, "layer_norm": True}),
    (nn.LSTM, 1, {"proj_size": 2, "learned_state": True}),
    (nn.LSTM, 2, {"proj_size": 2, "forget_bias": 1.0}),
    (nn.LSTM, 2, {"peephole": True, "residual": True}),
    (nn.GRU, 1, {}),
    (nn.GRU, 1, {"reset_after": False, "learned_state": True}),
    (nn.GRU, 1, {"update": "take", "layer_norm": True}),
    (nn.GRU, 2, {"reset_after": False, "update": "take", "residual": True}),
]


def name_of(net: tuple[type, int, dict]) -> str:
    """A readable name for a test."""
    return "-".join([net[0].__name__, str(net[1]), *net[2]])


class Task:
    """A layer, a sequence, and a loss with a read-out of its own at every step but the second."""

    def __init__(self, net, dtype=np.float64, device="cpu", steps=T):
        kind, layers, options = net
        tg.manual_seed(3)
        self.layer = kind(I, H, layers, dtype=dtype, device=device, **options)
        for p in self.layer.parameters():
            with tg.no_grad():
                p.add_(tg.randn(*p.shape, dtype=dtype, device=device), alpha=0.4)
        self.x = tg.randn(steps, B, I, dtype=dtype, device=device)
        self.width = options.get("proj_size") or H
        self.read = nn.Linear(self.width, 2, dtype=dtype, device=device)
        learned = options.get("learned_state")
        state = [tg.randn(layers, B, w, dtype=dtype, device=device) for w in self.widths()]
        self.initial = None if learned else state[0] if len(state) == 1 else tuple(state)

    def widths(self) -> Sequence[int]:
        return (self.width, H) if isinstance(self.layer, nn.LSTM) else (self.width,)

    def loss(self, h, t):
        return None if t == 2 else (self.read(h) - 0.1 * t).square().sum()

    def ledger(self):
        read, loss = self.read, self.loss
        return bptt.ledger(self.layer, self.x, loss, initial=self.initial, params={"read.weight":
                           read.weight, "read.bias": read.bias})  # fmt: skip

    def start(self) -> dict[str, tg.Tensor]:
        """The initial state by name, in the order of a ledger."""
        state = self.initial
        if state is None:
            learned = [p for n, p in self.layer.named_parameters() if n.startswith("initial")]
            state = tuple(tg.stack([p.detach()] * B, axis=1) for p in learned)
        parts = state if isinstance(state, tuple) else (state,)
        many = self.layer.num_layers > 1
        return {
            name + (f"_l{k}" if many else ""): part[k].detach()
            for name, part in zip("hc", parts, strict=False)
            for k in range(self.layer.num_layers)
        }

    def step(self, t, state, changes=None):
        """Step t in primitives, each tensor of the state changed as soon as it is there → the state
        after it and the layer's output."""
        many, after = self.layer.num_layers > 1, {}
        x = self.x[t - 1]
        for k in range(self.layer.num_layers):
            suffix = f"_l{k}" if many else ""
            names = [n + suffix for n in "hc" if n + suffix in state]
            options = {n: getattr(self.layer, n) for n in ("nonlinearity", "reset_after", "update")
                       if hasattr(self.layer, n)}  # fmt: skip
            weights = self.layer._weights(f"_l{k}")
            result = STEPS[type(self.layer)](x, *(state[n] for n in names), **weights, **options)
            result = result[: len(names)] if isinstance(result, tuple) else (result,)
            for name, value in zip(names, result, strict=True):
                change = (changes or {}).get((name, t))
                after[name] = value if change is None else value + change
            h = after[names[0]]
            x = x + h if self.layer.residual and k else h
        return {name: after[name] for name in state}, x

    def losses(self, changes):
        """All L_s (T,) with changes (name, t) → array added to states of the run."""
        state = {
            n: h if changes.get((n, 0)) is None else h + changes[n, 0]
            for n, h in self.start().items()
        }
        values = []
        for t in range(1, self.x.shape[0] + 1):
            state, output = self.step(t, state, changes)
            value = self.loss(output, t)
            values.append(tg.zeros((), dtype=self.x.dtype) if value is None else value)
        return tg.stack(values)
