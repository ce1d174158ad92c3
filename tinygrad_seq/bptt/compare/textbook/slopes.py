"""The derivatives of the nonlinearities, and what is written in their place by mistake."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.textbook.pick import Pick


def sigma(a: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * a)))


def slope(run: Run, pick: Pick, t: int, gate: str, kind: str) -> Any:
    """φ′ at step t of one gate (or of h, of an RNN) by its value v = φ(a): 1 − v² of tanh,
    v(1 − v) of σ, 1 where v > 0 of relu."""
    formula, values = FORMULAS[kind], getattr(run, gate)
    block = max(run.gates.find(gate), 0) * run.H
    a = run.a[t][:, block : block + run.H]
    right = formula(values[t])
    wrong = OTHERS[kind](values[t], a)
    wrong["forgotten"] = np.ones_like(right)
    wrong["is_value"] = values[t]
    wrong["step_before"] = formula(values[t - 1])
    wrong["step_after"] = formula(values[t + 1]) if t < run.T else right
    if kind != "relu":
        wrong["twice"] = right**2
    if not run.gates:  # of a gate the sign is among what goes wrong side by side
        wrong["sign"] = -right
    named = {f"slope_{kind}_{name}": value for name, value in wrong.items()}
    named |= {f"slope_{kind}_of_{other}:{gate}": value for other, value in _others(run, t, gate)}
    if kind != "tanh" or not run.gates:
        return pick(right, gate if run.gates else "", **named)
    # The one tanh among the gates: to make a mistake in all of them is to make it there.
    named = {f"{name.partition(':')[0]}:{gate}": value for name, value in named.items()}
    return pick(right, **named)


def _others(run: Run, t: int, gate: str) -> list[tuple[str, np.ndarray]]:
    """The slopes of the other gates, each by its name."""
    kinds = {g: "tanh" if g in "gn" else "sigma" for g in run.gates if g != gate}
    return [(g, FORMULAS[kind](getattr(run, g)[t])) for g, kind in kinds.items()]


def _tanh_not(v: np.ndarray, a: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "not_squared": 1 - v,
        "as_sigma": v * (1 - v),
        "at_a": 1 - a * a,
        "of_value": 1 - np.tanh(v) ** 2,
        "without_1": v * v,
        "plus": 1 + v * v,
    }


def _sigma_not(v: np.ndarray, a: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "not_times_v": 1 - v,
        "as_tanh": 1 - v * v,
        "at_a": a * (1 - a),
        "of_value": sigma(v) * (1 - sigma(v)),
        "squared": v * (1 - v * v),
        "plus": v * (1 + v),
    }


def _relu_not(v: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
    return {"as_tanh": 1 - v * v}


FORMULAS: dict[str, Any] = {
    "tanh": lambda v: 1 - v * v,
    "sigma": lambda v: v * (1 - v),
    "relu": lambda v: 1.0 * (v > 0),
}
OTHERS = {"tanh": _tanh_not, "sigma": _sigma_not, "relu": _relu_not}
