"""Long short-term memory over a whole sequence, as one op."""

from __future__ import annotations

from tinygrad_seq.errors import DTypeError, ShapeError
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.activations import sigmoid, tanh
from tinygrad_seq.ops.arithmetic import add, mul
from tinygrad_seq.ops.indexing import getitem
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.rnn import check_recurrent, preactivation
from tinygrad_seq.ops.sample import Bad, Sample
from tinygrad_seq.ops.shaping import stack


def lstm_step(x, h, c, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step in primitives: x (B, I), h and c (B, H) → the next h, c."""
    a = preactivation(x, h, w_ih, w_hh, b_ih, b_hh)
    n = h.shape[1]
    a_i, a_f, a_g, a_o = (getitem(a, (slice(None), slice(k * n, (k + 1) * n))) for k in range(4))
    c = add(mul(sigmoid(a_f), c), mul(sigmoid(a_i), tanh(a_g)))
    return mul(sigmoid(a_o), tanh(c)), c


def lstm_steps(x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None):
    """What ``lstm`` computes, in primitives: one step after the other."""
    h, c, hidden = h0, c0, []
    for t in range(x.shape[0]):
        h, c = lstm_step(getitem(x, t), h, c, w_ih, w_hh, b_ih, b_hh)
        hidden.append(h)
    return stack(hidden), h, c


@primitive(
    samples=[
        Sample((4, 2, 3), (2, 5), (2, 5), (20, 3), (20, 5), (20,), (20,)),
        Sample((4, 2, 3), (2, 5), (2, 5), (20, 3), (20, 5)),
        Sample((3, 2, 3), (2, 4), (2, 4), (16, 3), (16, 4), None, (16,)),
        Sample((1, 1, 1), (1, 1), (1, 1), (4, 1), (4, 1), (4,), (4,)),
    ],
    bad=[
        Bad(ShapeError, "x of shape (T, B, 32)", (5, 33), (2, 5), (2, 5), (20, 32), (20, 5)),
        Bad(ShapeError, "x of shape (T, B, 3)", (4, 2, 6), (2, 5), (2, 5), (20, 3), (20, 5)),
        Bad(ShapeError, "at least one step", (0, 2, 3), (2, 5), (2, 5), (20, 3), (20, 5)),
        Bad(ShapeError, "at least one row", (4, 0, 3), (0, 5), (0, 5), (20, 3), (20, 5)),
        Bad(ShapeError, "h0 of shape (2, 5)", (4, 2, 3), (1, 5), (2, 5), (20, 3), (20, 5)),
        Bad(ShapeError, "c0 of shape (2, 5)", (4, 2, 3), (2, 5), (2, 4), (20, 3), (20, 5)),
        Bad(ShapeError, "w_hh of shape (4·H, H)", (4, 2, 3), (2, 5), (2, 5), (20, 3), (5, 5)),
        Bad(ShapeError, "w_ih of shape (20, I)", (4, 2, 3), (2, 5), (2, 5), (3, 20), (20, 5)),
        Bad(ShapeError, "b_ih of shape (20,)", (4, 2, 3), (2, 5), (2, 5), (20, 3), (20, 5), (5,)),
        Bad(DTypeError, "an array for c0", (4, 2, 3), (2, 5), None, (20, 3), (20, 5)),
    ],
    bench=Sample((64, 32, 128), (32, 128), (32, 128), (512, 128), (512, 128), (512,), (512,)),
    outputs=("output", "h_n", "c_n"),
    residuals=("gates", "cells"),
    composition=lstm_steps,
)  # fmt: skip
def lstm(x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None):
    """Long short-term memory. With a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh, for t = 1 … T:

    i, f, o = σ(a_i), σ(a_f), σ(a_o), g = tanh(a_g), c_t = f⊙c_{t−1} + i⊙g, h_t = o⊙tanh c_t.

    x (T, B, I), h0 and c0 (B, H), w_ih (4H, I), w_hh (4H, H), b_ih and b_hh (4H,) or None; their
    rows are in the order i, f, g, o. → output, all h_t (T, B, H), and the last h_n and c_n (B, H).
    Arrays that do not fit in shape, dtype or device raise, and so does an empty sequence or batch.
    (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 for the forget gate.)
    """
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
    check_recurrent("lstm", 4, x, {"h0": h0, "c0": c0}, weights)
    return kernel("lstm", x).forward(x, h0, c0, w_ih, w_hh, b_ih, b_hh)


@lstm.vjp_all
def _lstm_rule(g, needs, x, h0, c0, w_ih, w_hh, output, gates, cells):
    return kernel("lstm", x).backward(*g, x, h0, c0, w_ih, w_hh, output, gates, cells, needs)
