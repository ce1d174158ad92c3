"""A layer and a sequence become a run: plain arrays, and the same run on the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_seq import nn
from tinygrad_seq.autograd import Tensor, enable_grad, grad
from tinygrad_seq.backend import is_array, to_host, transfer
from tinygrad_seq.bptt.compare.run import GATES, Run
from tinygrad_seq.bptt.compare.truth import Unrolled
from tinygrad_seq.errors import ArgumentError, DTypeError, expect
from tinygrad_seq.nn.recurrent.unit import Unit

Loss = Callable[[Tensor, int], Tensor | None]

KINDS: list[tuple[str, Any]] = [
    ("RNN", (nn.RNN, nn.RNNCell)),
    ("LSTM", (nn.LSTM, nn.LSTMCell)),
    ("GRU", (nn.GRU, nn.GRUCell)),
]
#: what these options must be, or the layer is not the one that the textbook derives
PLAIN = {
    "num_layers": 1, "bidirectional": False, "proj_size": 0, "layer_norm": False,
    "peephole": False, "zoneout": 0.0, "input_dropout": 0.0, "recurrent_dropout": 0.0,
}  # fmt: skip


def recorded(model: Any, inputs: Any, loss: Loss | None, initial: Any, seed: int
             ) -> tuple[Run, Unrolled]:  # fmt: skip
    """Run the model and keep everything. Raises ShapeError, DTypeError or ArgumentError for what
    does not fit."""
    kind = next((name for name, classes in KINDS if isinstance(model, classes)), "")
    expected = "model to be an nn.RNN, nn.LSTM or nn.GRU, or a cell of theirs"
    expect(kind, "compare", expected, type(model).__name__, ArgumentError)
    for name, plain in PLAIN.items():
        value = getattr(model, name, plain)
        ok = value == plain if isinstance(value, (int, float)) else False
        expect(ok, "compare", f"a model with {name}={plain}", "another", ArgumentError)
    rng = np.random.default_rng(seed)
    x = _host("inputs", inputs)
    expect(x.ndim == 3 and x.size > 0, "compare", "inputs of shape (T, B, D)", x.shape)
    x = x.swapaxes(0, 1) if getattr(model, "batch_first", False) else x
    width, hidden = model.input_size, model.hidden_size
    expect(x.shape[2] == width, "compare", f"inputs of shape (T, B, {width})", x.shape)
    states = _states(kind, initial, (x.shape[1], hidden), rng)
    names = {"RNN": ["nonlinearity"], "LSTM": [], "GRU": ["reset_after", "update"]}[kind]
    options = {name: getattr(model, name) for name in names}
    unrolled = Unrolled(kind, options, x, states, _weights(kind, model))
    run = _run(unrolled)
    if loss is None:
        run.dh[1:] = rng.standard_normal(run.dh[1:].shape)
    else:
        _differentiate(loss, run, next(model.parameters()))
    return run, unrolled


def _host(name: str, value: Any) -> np.ndarray:
    """A tensor or array as a float64 array of its own."""
    data = value.data if isinstance(value, Tensor) else value
    data = to_host(data) if is_array(data) else np.asarray(data)
    expect(data.dtype.kind in "fiub", "compare", f"{name} of real numbers", data.dtype, DTypeError)
    expect(np.isfinite(data).all(), "compare", f"{name} to be finite", "NaN or infinity",
           ArgumentError)  # fmt: skip
    return data.astype(np.float64)


def _states(kind: str, initial: Any, shape: tuple[int, int], rng: Any) -> list[np.ndarray]:
    """The initial h, and c of an LSTM, each (B, H)."""
    names = ["h0", "c0"] if kind == "LSTM" else ["h0"]
    if initial is None:
        return [rng.uniform(-0.8, 0.8, shape) for _ in names]
    given = [initial] if kind != "LSTM" else initial
    ok = isinstance(given, (tuple, list)) and len(given) == len(names)
    expect(ok, "compare", "initial to be a pair (h0, c0)", type(initial).__name__, ArgumentError)
    states = []
    for name, value in zip(names, given, strict=True):
        state = _host(name, value)
        ok = state.shape in (shape, (1, *shape))
        expect(ok, "compare", f"{name} of shape {(1, *shape)} or {shape}", state.shape)
        states.append(state.reshape(shape))
    return states


def _weights(kind: str, model: Unit) -> dict[str, np.ndarray]:
    """Wx, Wh and b as the textbook has them, one bias; of a GRU the one inside the reset too."""
    suffix = "_l0" if hasattr(model, "weight_ih_l0") else ""

    def value(name: str) -> np.ndarray:
        found = getattr(model, name + suffix)
        return np.zeros(len(wx)) if found is None else _host(name, found)

    wx, wh = (_host(n, getattr(model, n + suffix)) for n in ("weight_ih", "weight_hh"))
    b, b_hh = value("bias_ih"), value("bias_hh")
    if kind == "GRU" and model.reset_after:
        inside = b_hh[2 * wh.shape[1] :].copy()
        b_hh[2 * wh.shape[1] :] = 0
        return {"Wx": wx, "Wh": wh, "b": b + b_hh, "bhn": inside}
    return {"Wx": wx, "Wh": wh, "b": b + b_hh}


def _run(unrolled: Unrolled) -> Run:
    """The arrays of a run, without its losses."""
    kind, weights, x = unrolled.kind, unrolled.weights, unrolled.x
    steps, batch, width = x.shape
    h = unrolled.states(0)
    hidden = h.shape[2]
    run = Run(kind=kind, T=steps, B=batch, D=width, H=hidden, **unrolled.options)
    run.x, run.h = _after_zero(x), h
    if kind == "LSTM":
        run.c = unrolled.states(1)
    for k, name in enumerate(GATES[kind]):
        columns = slice(k * hidden, (k + 1) * hidden)
        setattr(run, name, _after_zero(np.stack([g[:, columns] for g in unrolled.gates])))
    a = x @ weights["Wx"].T + weights["b"]
    own = len(a.T) - hidden if kind == "GRU" else len(a.T)
    a[..., :own] += h[:-1] @ weights["Wh"][:own].T
    if kind == "GRU":
        a[..., own:] += _into_n(run, weights)
    run.a = _after_zero(a)
    for name, value in weights.items():
        setattr(run, name, value)
    run.dh = np.zeros_like(h)
    return run


def _into_n(run: Run, weights: dict[str, np.ndarray]) -> np.ndarray:
    """What the state adds to a_n of a GRU, (T, B, H); keeps W_hn h_{t−1} + b_hn in the run."""
    w, before, r = weights["Wh"][2 * run.H :], run.h[:-1], run.r[1:]
    if not run.reset_after:
        return np.asarray((r * before) @ w.T)
    run.hn = _after_zero(before @ w.T + weights["bhn"])
    return np.asarray(r * run.hn[1:])


def _after_zero(rows: np.ndarray) -> np.ndarray:
    """(T, …) → (T+1, …), with zeros at t = 0."""
    return np.concatenate([np.zeros_like(rows[:1]), rows])


def _differentiate(loss: Loss, run: Run, like: Tensor) -> None:
    """Set ``run.dh`` to ∂L_t/∂h_t of the user's losses, in the dtype and on the device of the
    model."""
    expect(callable(loss), "compare", "loss to be callable", type(loss).__name__, ArgumentError)
    found = 0
    for t in range(1, run.T + 1):
        h = Tensor(transfer(run.h[t].astype(like.dtype), like.device)).requires_grad_()
        with enable_grad():
            value = loss(h, t)
        if value is None:
            continue
        ok = isinstance(value, Tensor) and value.size == 1
        expect(ok, "compare", f"loss(h, {t}) to be a scalar Tensor or None", type(value).__name__,
               ArgumentError)  # fmt: skip
        found += 1
        (g,) = grad(value, [h], allow_unused=True) if value.requires_grad else (None,)
        if g is not None:
            run.dh[t] = _host("∂L/∂h", g)
    expect(found, "compare", "a loss at one step or more", "None at every step", ArgumentError)
