"""One run of a recurrent layer as plain NumPy arrays, in the textbook's time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

#: what a step's own rows are called; the rows at t = 0 hold nothing, but for the states
TIMED = ("x", "h", "c", "a", "i", "f", "g", "o", "r", "z", "n", "hn", "dh")
STATES = ("h", "c")
#: the blocks of H rows in the weights, in PyTorch's order, and the order of the way back
GATES = {"RNN": "", "LSTM": "ifgo", "GRU": "rzn"}
WAY_BACK = {"RNN": "", "LSTM": "oifg", "GRU": "znr"}


class Run(SimpleNamespace):
    """What a hand-written backward pass is given: one run, as float64 arrays.

    t = 0 is before the first step; every array below with T+1 rows is indexed by t itself, and
    where nothing exists at t = 0 there are zeros.

    * ``kind`` "RNN", "LSTM" or "GRU"; the sizes ``T``, ``B``, ``D``, ``H``
    * ``x`` (T+1, B, D); ``h``, and ``c`` of an LSTM, (T+1, B, H), row 0 the initial state
    * ``i``, ``f``, ``g``, ``o`` of an LSTM or ``r``, ``z``, ``n`` of a GRU, (T+1, B, H)
    * ``a`` (T+1, B, G·H): what went into the nonlinearities, G blocks side by side: G is 1 of an
      RNN, 4 of an LSTM (i, f, g, o), 3 of a GRU (r, z, n)
    * ``Wx`` (G·H, D), ``Wh`` (G·H, H), ``b`` (G·H,), in PyTorch's orientation: a_t = x_t Wxᵀ +
      h_{t−1} Whᵀ + b with one row per sequence. ``b`` is the sum of PyTorch's two biases
    * of a GRU also ``reset_after`` and ``update``, its options, and where the reset comes after
      W_hn: ``hn`` (T+1, B, H) = W_hn h_{t−1} + b_hn, and ``bhn`` (H,), which ``b`` leaves out;
      of an RNN ``nonlinearity``
    * ``dh`` (T+1, B, H): ∂L_t/∂h_t, what flows into h_t from the loss of step t alone
    """

    def __repr__(self) -> str:
        sizes = ", ".join(f"{n} {getattr(self, n)}" for n in "TBDH")
        lines = [f"{self.kind}: {sizes}"]
        lines += [f"  {name:<4} {array.shape}" for name, array in self.arrays().items()]
        return "\n".join(lines)

    @property
    def gates(self) -> str:
        """The names of the blocks in the weights, one letter each; none of an RNN."""
        return GATES[self.kind]

    @property
    def blocks(self) -> int:
        """G: how many blocks of H rows the weights have."""
        return max(len(self.gates), 1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by its name."""
        return {name: v for name, v in vars(self).items() if isinstance(v, np.ndarray)}

    def copy(self, writeable: bool = True) -> Run:
        """The same run in fresh arrays."""
        fresh: dict[str, Any] = dict(vars(self))
        for name, array in self.arrays().items():
            fresh[name] = array.copy()
            fresh[name].setflags(write=writeable)
        return Run(**fresh)

    def suffix(self, steps: int) -> Run:
        """The last ``steps`` steps as a run of their own: it starts from the state before them."""
        short = self.copy()
        short.T = steps
        for name in TIMED:
            array = getattr(short, name, None)
            if array is not None:
                array = array[self.T - steps :].copy()
                if name not in STATES:
                    array[0] = 0
                setattr(short, name, array)
        return short

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of everything that a backward pass may return."""
        rows, over = self.blocks * self.H, (self.T + 1, self.B)
        shapes: dict[str, tuple[int, ...]] = {
            "dh": (*over, self.H), "dc": (*over, self.H), "da": (*over, rows), "db": (rows,),
            "dbhn": (self.H,), "dWx": (rows, self.D), "dWh": (rows, self.H), "dx": (*over, self.D),
            "dh0": (self.B, self.H), "dc0": (self.B, self.H),
        }  # fmt: skip
        if self.kind != "LSTM":
            del shapes["dc"], shapes["dc0"]
        if not hasattr(self, "bhn"):
            del shapes["dbhn"]
        return shapes


#: what has a row for each step
BY_STEP = ("dh", "dc", "da", "dx")
#: what has a block for each gate, and along which axis
BLOCKED = {"da": -1, "db": 0, "dWx": 0, "dWh": 0}
#: what step 1 hands down at the end
LAST = ("dh0", "dc0")


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    """‖got − expected‖ as a share of the larger of the two; inf where got is not finite."""
    if got.shape != expected.shape or not np.isfinite(got).all():
        return float("inf")
    largest = max(np.max(np.abs(got), initial=0), np.max(np.abs(expected), initial=0))
    if not largest:
        return 0.0
    got, expected = got / largest, expected / largest  # their squares must not overflow
    longer = max(np.linalg.norm(got), np.linalg.norm(expected))
    return float(np.linalg.norm(got - expected) / longer)
