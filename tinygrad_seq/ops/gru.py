"""The gated recurrent unit over a whole sequence, as one op."""

from __future__ import annotations

from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError, expect
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.activations import sigmoid, tanh
from tinygrad_seq.ops.arithmetic import add, mul, sub
from tinygrad_seq.ops.indexing import getitem
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.recurrence import (
    at_step,
    check_eps,
    check_recurrent,
    columns,
    held,
    projected,
    rows,
)
from tinygrad_seq.ops.sample import Bad, Sample, Uniform
from tinygrad_seq.ops.shaping import concatenate, stack

UPDATES = ("keep", "take")


def _blocks(w, bias, gain):
    """Weight, bias and gain of the rows of r and z, and of those of n."""
    n = w.shape[0]
    cut = 2 * (n // 3)
    first = rows(w, 0, cut), rows(bias, 0, cut), rows(gain, 0, cut)
    return first, (rows(w, cut, n), rows(bias, cut, n), rows(gain, cut, n))


def gru_step(
    x, h, w_ih, w_hh, b_ih=None, b_hh=None, gain_ih=None, gain_hh=None, hold=None, drop=None,
    reset_after=True, update="keep", eps=1e-5,
):  # fmt: skip
    """One step in primitives: x (B, I), h (B, H), hold (B, H) → the next h, the gates (B, 3H)."""
    x_rz, x_n = _blocks(w_ih, b_ih, gain_ih)
    h_rz, h_n = _blocks(w_hh, b_hh, gain_hh)
    v = h if drop is None else mul(h, drop)
    r, z = columns(sigmoid(add(projected(x, x_rz, eps), projected(v, h_rz, eps))), 2)
    if reset_after:
        q = mul(r, projected(v, h_n, eps))
    else:
        q = projected(mul(r, v), h_n, eps)
    n = tanh(add(projected(x, x_n, eps), q))
    stay, go = (z, sub(1, z)) if update == "keep" else (sub(1, z), z)
    new = add(mul(go, n), mul(stay, h))
    return held(h, new, hold), concatenate([r, z, n], axis=1)


def gru_steps(
    x, h0, w_ih, w_hh, b_ih=None, b_hh=None, gain_ih=None, gain_hh=None, hold=None, drop=None,
    reset_after=True, update="keep", eps=1e-5,
):  # fmt: skip
    """What ``gru`` computes, in primitives: one step after the other."""
    h, hidden, gates = h0, [], []
    for t in range(x.shape[0]):
        h, gates_t = gru_step(getitem(x, t), h, w_ih, w_hh, b_ih, b_hh, gain_ih, gain_hh,
                              at_step(hold, t), drop, reset_after, update, eps)  # fmt: skip
        hidden.append(h)
        gates.append(gates_t)
    return stack(hidden), h, stack(gates)


SHAPES = ((3, 2, 3), (2, 4), (12, 3), (12, 4), (12,), (12,))


@primitive(
    samples=[
        Sample((4, 2, 3), (2, 5), (15, 3), (15, 5), (15,), (15,)),
        Sample((4, 2, 3), (2, 5), (15, 3), (15, 5)),
        Sample((3, 2, 3), (2, 4), (12, 3), (12, 4), None, (12,), update="take"),
        Sample((1, 1, 1), (1, 1), (3, 1), (3, 1), (3,), (3,)),
        Sample(*SHAPES, reset_after=False),
        Sample(*SHAPES, reset_after=False, update="take"),
        Sample(*SHAPES, (12,), (12,)),
        Sample(*SHAPES, (12,), (12,), None, Uniform((2, 4)), reset_after=False),
        Sample(*SHAPES, None, None, Uniform((3, 2, 4)), Uniform((2, 4))),
        Sample((3, 2, 3), (2, 4), (12, 3), (12, 4), (12,), None, (12,), (12,),
               Uniform((1, 2, 1)), Uniform((2, 4)), update="take"),
    ],
    bad=[
        Bad(ShapeError, "x of shape (T, B, 3)", (4, 3), (2, 5), (15, 3), (15, 5)),
        Bad(ShapeError, "x of shape (T, B, 3)", (4, 2, 6), (2, 5), (15, 3), (15, 5)),
        Bad(ShapeError, "at least one step", (0, 2, 3), (2, 5), (15, 3), (15, 5)),
        Bad(ShapeError, "at least one row", (4, 0, 3), (0, 5), (15, 3), (15, 5)),
        Bad(ShapeError, "h0 of shape (2, 5)", (4, 2, 3), (1, 5), (15, 3), (15, 5)),
        Bad(ShapeError, "w_hh of shape (3·H, H)", (4, 2, 3), (2, 5), (15, 3), (20, 5)),
        Bad(ShapeError, "w_ih of shape (15, I)", (4, 2, 3), (2, 5), (3, 15), (15, 5)),
        Bad(ShapeError, "b_ih of shape (15,)", (4, 2, 3), (2, 5), (15, 3), (15, 5), (5,)),
        Bad(ShapeError, "gain_ih of shape (12,)", *SHAPES, (4,)),
        Bad(ShapeError, "hold of shape (3, 2, 4)", *SHAPES, hold=Uniform((2, 4))),
        Bad(ShapeError, "drop of shape (2, 4)", *SHAPES, drop=Uniform((3, 2, 4))),
        Bad(DTypeError, "an array for h0", (4, 2, 3), None, (15, 3), (15, 5)),
        Bad(ArgumentError, "update to be one of keep, take", *SHAPES, update="forget"),
        Bad(ArgumentError, "eps ≥ 0", *SHAPES, eps=-1.0),
    ],
    bench=Sample((64, 32, 128), (32, 128), (384, 128), (384, 128), (384,), (384,)),
    nondiff=("hold", "drop"),
    outputs=("output", "h_n", "gates"),
    residuals=("candidates",),
    unused_as_none=True,
    composition=gru_steps,
)  # fmt: skip
def gru(
    x, h0, w_ih, w_hh, b_ih=None, b_hh=None, gain_ih=None, gain_hh=None, hold=None, drop=None,
    reset_after=True, update="keep", eps=1e-5,
):  # fmt: skip
    """Gated recurrent unit. For t = 1 … T, with the weights' rows in three blocks for r, z, n:

    r = σ(W_ir x_t + b_ir + W_hr h_{t−1} + b_hr), z = σ(W_iz x_t + b_iz + W_hz h_{t−1} + b_hz),
    n = tanh(W_in x_t + b_in + r⊙(W_hn h_{t−1} + b_hn)), h_t = (1 − z)⊙n + z⊙h_{t−1}.

    x (T, B, I), h0 (B, H), w_ih (3H, I), w_hh (3H, H), b_ih and b_hh (3H,) or None. → output, all
    h_t (T, B, H), h_n (B, H), the last, and all gates (T, B, 3H), after their nonlinearities.

    reset_after False: n = tanh(W_in x_t + b_in + W_hn (r⊙h_{t−1}) + b_hn) (Cho et al. 2014);
    True is PyTorch's and cuDNN's form. update "keep": z is the share of the old state, as above
    (Cho et al. 2014, PyTorch); "take": h_t = (1 − z)⊙h_{t−1} + z⊙n (Chung et al. 2014).

    gain_ih, gain_hh (3H,): gain_ih⊙LN(W_ih x_t) in place of W_ih x_t, and likewise for W_hh; LN,
    with ε = eps, once over the rows of r and z and once over those of n (Ba et al. 2016). hold:
    h_t, once computed, gives way to hold_t⊙h_{t−1} + (1 − hold_t)⊙h_t, of shape (T, B, H) or with
    1 in place of a size (Krueger et al. 2016). drop (B, H): h_{t−1}⊙drop in place of h_{t−1} in
    what W_hh is multiplied with (Gal and Ghahramani 2016). hold and drop get no gradient.

    Arrays that do not fit in shape, dtype or device raise, and so does an empty sequence or batch.
    """
    known = update in UPDATES
    expect(known, "gru", f"update to be one of {', '.join(UPDATES)}", repr(update), ArgumentError)
    check_eps("gru", eps)
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
    gains = {"gain_ih": (gain_ih, 3), "gain_hh": (gain_hh, 3)}
    check_recurrent("gru", 3, x, {"h0": h0}, weights, gains, {"hold": hold}, drop)
    return kernel("gru", x).forward(
        x, h0, w_ih, w_hh, b_ih, b_hh, reset_after, update,
        gain_ih=gain_ih, gain_hh=gain_hh, hold=hold, drop=drop, eps=eps,
    )  # fmt: skip


@gru.vjp_all
def _gru_rule(
    g, needs, x, h0, w_ih, w_hh, gain_ih, gain_hh, hold, drop, output, gates, candidates,
    reset_after, update, eps,
):  # fmt: skip
    return kernel("gru", x).backward(
        g, x, h0, w_ih, w_hh, output, gates, candidates, reset_after, update, needs[:8],
        gain_ih=gain_ih, gain_hh=gain_hh, hold=hold, drop=drop, eps=eps,
    )  # fmt: skip
