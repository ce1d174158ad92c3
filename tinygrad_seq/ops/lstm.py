"""Long short-term memory over a whole sequence, as one op."""

from __future__ import annotations

from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError, expect
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.activations import sigmoid, tanh
from tinygrad_seq.ops.arithmetic import add, mul
from tinygrad_seq.ops.indexing import getitem
from tinygrad_seq.ops.layer_norm import layer_norm
from tinygrad_seq.ops.linalg import linear
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.recurrence import (
    at_step,
    check_eps,
    check_recurrent,
    columns,
    held,
    projected,
)
from tinygrad_seq.ops.sample import Bad, Sample, Uniform
from tinygrad_seq.ops.shaping import concatenate, stack


def lstm_step(
    x, h, c, w_ih, w_hh, b_ih=None, b_hh=None, w_hr=None, peephole=None, gain_ih=None,
    gain_hh=None, gain_c=None, b_c=None, hold=None, hold_c=None, drop=None, eps=1e-5,
):  # fmt: skip
    """One step in primitives: x (B, I), h and c (B, H), hold and hold_c (B, H)
    → the next h and c, and the gates (B, 4H)."""
    entering = h if drop is None else mul(h, drop)
    from_x = projected(x, (w_ih, b_ih, gain_ih), eps)
    from_h = projected(entering, (w_hh, b_hh, gain_hh), eps)
    a_i, a_f, a_g, a_o = columns(add(from_x, from_h), 4)
    if peephole is not None:
        p_i, p_o, p_f = columns(peephole, 3)
        a_i, a_f = add(a_i, mul(p_i, c)), add(a_f, mul(p_f, c))
    i, f, g = sigmoid(a_i), sigmoid(a_f), tanh(a_g)
    c_new = add(mul(f, c), mul(i, g))
    o = sigmoid(a_o if peephole is None else add(a_o, mul(p_o, c_new)))
    seen = c_new if gain_c is None else layer_norm(c_new, c_new.shape[1], gain_c, b_c, eps)
    h_new = mul(o, tanh(seen))
    h_new = h_new if w_hr is None else linear(h_new, w_hr)
    gates = concatenate([i, f, g, o], axis=1)
    return held(h, h_new, hold), held(c, c_new, hold_c), gates


def lstm_steps(
    x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None, w_hr=None, peephole=None, gain_ih=None,
    gain_hh=None, gain_c=None, b_c=None, hold=None, hold_c=None, drop=None, eps=1e-5,
):  # fmt: skip
    """What ``lstm`` computes, in primitives: one step after the other."""
    h, c = h0, c0
    hidden, cells, gates = [], [], []
    for t in range(x.shape[0]):
        h, c, gates_t = lstm_step(
            getitem(x, t), h, c, w_ih, w_hh, b_ih, b_hh, w_hr, peephole, gain_ih, gain_hh, gain_c,
            b_c, at_step(hold, t), at_step(hold_c, t), drop, eps,
        )  # fmt: skip
        hidden.append(h)
        cells.append(c)
        gates.append(gates_t)
    return stack(hidden), h, c, stack(cells), stack(gates)


SHAPES = ((3, 2, 3), (2, 4), (2, 4), (16, 3), (16, 4), (16,), (16,))


@primitive(
    samples=[
        Sample((4, 2, 3), (2, 5), (2, 5), (20, 3), (20, 5), (20,), (20,)),
        Sample((4, 2, 3), (2, 5), (2, 5), (20, 3), (20, 5)),
        Sample((3, 2, 3), (2, 4), (2, 4), (16, 3), (16, 4), None, (16,)),
        Sample((1, 1, 1), (1, 1), (1, 1), (4, 1), (4, 1), (4,), (4,)),
        Sample((3, 2, 3), (2, 2), (2, 4), (16, 3), (16, 2), (16,), (16,), (2, 4)),
        Sample(*SHAPES, None, (12,)),
        Sample(*SHAPES, None, None, (16,), (16,), (4,), (4,)),
        Sample(*SHAPES, hold=Uniform((3, 2, 4)), hold_c=Uniform((3, 2, 4)), drop=Uniform((2, 4))),
        Sample((3, 2, 3), (2, 2), (2, 4), (16, 3), (16, 2), (16,), None, (2, 4), (12,), (16,),
               (16,), (4,), None, Uniform((3, 1, 2)), Uniform((1, 2, 1)), Uniform((2, 2))),
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
        Bad(ShapeError, "w_hr of shape (P, H)", *SHAPES, (4,)),
        Bad(ShapeError, "w_hh of shape (20, 2)", *SHAPES, (2, 5)),
        Bad(ShapeError, "h0 of shape (2, 2)", (3, 2, 3), (2, 4), (2, 4), (16, 3), (16, 2), None,
            None, (2, 4)),
        Bad(ShapeError, "peephole of shape (12,)", *SHAPES, None, (16,)),
        Bad(ShapeError, "gain_c of shape (4,)", *SHAPES, None, None, None, None, (16,)),
        Bad(ShapeError, "hold_c of shape (3, 2, 4)", *SHAPES, hold_c=Uniform((3, 2, 2))),
        Bad(ArgumentError, "gain_c where there is b_c", *SHAPES, b_c=Uniform((4,))),
        Bad(ArgumentError, "eps ≥ 0", *SHAPES, eps=-1.0),
    ],
    bench=Sample((64, 32, 128), (32, 128), (32, 128), (512, 128), (512, 128), (512,), (512,)),
    nondiff=("hold", "hold_c", "drop"),
    outputs=("output", "h_n", "c_n", "cells", "gates"),
    unused_as_none=True,
    composition=lstm_steps,
)  # fmt: skip
def lstm(
    x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None, w_hr=None, peephole=None, gain_ih=None,
    gain_hh=None, gain_c=None, b_c=None, hold=None, hold_c=None, drop=None, eps=1e-5,
):  # fmt: skip
    """Long short-term memory. With a_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh, for t = 1 … T:

    i, f, o = σ(a_i), σ(a_f), σ(a_o), g = tanh(a_g), c_t = f⊙c_{t−1} + i⊙g, h_t = o⊙tanh c_t.

    x (T, B, I), h0 and c0 (B, H), w_ih (4H, I), w_hh (4H, H), b_ih and b_hh (4H,) or None; their
    rows are in the order i, f, g, o. → output, all h_t (T, B, H), the last h_n and c_n (B, H), all
    cells c_t (T, B, H), and all gates (T, B, 4H), after their nonlinearities, in the same order.
    (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 for the forget gate.)

    w_hr (P, H): h_t = W_hr (o⊙tanh c_t), so that h0, h_n and output are P wide and w_hh is (4H, P)
    (Sak, Senior and Beaufays 2014). peephole (3H,), its blocks p_i, p_o, p_f: p_i⊙c_{t−1},
    p_f⊙c_{t−1} and p_o⊙c_t join a_i, a_f and a_o (Gers and Schmidhuber 2000). gain_ih, gain_hh
    (4H,): gain_ih⊙LN(W_ih x_t) in place of W_ih x_t, and likewise for W_hh; gain_c, b_c (H,):
    tanh(gain_c⊙LN(c_t) + b_c) in place of tanh c_t, LN with ε = eps (Ba et al. 2016). hold, hold_c:
    h_t and c_t, once computed, give way to hold⊙old + (1 − hold)⊙new, of shape (T, B, H) or with 1
    in place of a size (Krueger et al. 2016). drop (B, H): h_{t−1}⊙drop in place of h_{t−1} in
    W_hh h_{t−1} (Gal and Ghahramani 2016).
    hold, hold_c and drop get no gradient.

    Arrays that do not fit in shape, dtype or device raise, and so does an empty sequence or batch.
    """
    check_eps("lstm", eps)
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
    vectors = {"peephole": (peephole, 3), "gain_ih": (gain_ih, 4), "gain_hh": (gain_hh, 4),
               "gain_c": (gain_c, 1), "b_c": (b_c, 1)}  # fmt: skip
    check_recurrent("lstm", 4, x, {"h0": h0, "c0": c0}, weights, vectors,
                    {"hold": hold, "hold_c": hold_c}, drop, w_hr)  # fmt: skip
    ok = b_c is None or gain_c is not None
    expect(ok, "lstm", "gain_c where there is b_c", "None", ArgumentError)
    return kernel("lstm", x).forward(
        x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr=w_hr, peephole=peephole, gain_ih=gain_ih,
        gain_hh=gain_hh, gain_c=gain_c, b_c=b_c, hold=hold, hold_c=hold_c, drop=drop, eps=eps,
    )  # fmt: skip


@lstm.vjp_all
def _lstm_rule(
    g, needs, x, h0, c0, w_ih, w_hh, w_hr, peephole, gain_ih, gain_hh, gain_c, b_c, hold, hold_c,
    drop, output, cells, gates, eps,
):  # fmt: skip
    return kernel("lstm", x).backward(
        g, x, h0, c0, w_ih, w_hh, output, cells, gates, needs[:13], w_hr=w_hr, peephole=peephole,
        gain_ih=gain_ih, gain_hh=gain_hh, gain_c=gain_c, b_c=b_c, hold=hold, hold_c=hold_c,
        drop=drop, eps=eps,
    )  # fmt: skip
