"""What the form of a recurrence says: a bound for an RNN, the direct path of an LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_seq.bptt.ledger.models import host

#: max |φ′|
SLOPES = {"tanh": 1.0, "sigmoid": 0.25, "relu": 1.0}


def pascanu(model: Any, kind: str, times: int) -> np.ndarray | None:
    """‖W_hh‖₂ · max|φ′| at each t (T+1,), 0 at t = 0: no ‖∂h_t/∂h_{t−1}‖₂ is larger.

    Only for a plain RNN of one layer; None for what is more (Pascanu, Mikolov and Bengio 2013).
    """
    changed = ("layer_norm", "zoneout")
    plain = kind == "RNN" and getattr(model, "num_layers", 1) == 1
    if not plain or any(getattr(model, name) for name in changed):
        return None
    w_hh = host(model.weight_hh_l0 if hasattr(model, "num_layers") else model.weight_hh)
    bound = np.full(times, np.linalg.norm(w_hh, 2) * SLOPES[model.nonlinearity], w_hh.dtype)
    bound[0] = 0
    return bound


def highways(gates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """name of a cell → Π_{j=k+1…t} f_j at [t, k] (T+1, T+1, B, H), 0 for t < k."""
    found = {}
    for name, f in gates.items():
        if name[0] == "f":
            path = np.zeros((len(f), *f.shape), f.dtype)
            for t in range(len(f)):
                path[t, :t] = path[t - 1, :t] * f[t]
                path[t, t] = 1
            found["c" + name[1:]] = path
    return found
