"""The simple recurrent net over a whole sequence, as one op."""

from __future__ import annotations

from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError, expect
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.activations import relu, sigmoid, tanh
from tinygrad_seq.ops.arithmetic import add, mul
from tinygrad_seq.ops.indexing import getitem
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.recurrence import at_step, check_eps, check_recurrent, held, projected
from tinygrad_seq.ops.sample import Bad, Booleans, Sample, Uniform
from tinygrad_seq.ops.shaping import stack

NONLINEARITIES = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}


def rnn_step(
    x, h, w_ih, w_hh, b_ih=None, b_hh=None, gain_ih=None, gain_hh=None, hold=None, drop=None,
    nonlinearity="tanh", eps=1e-5,
):  # fmt: skip
    """One step in primitives: x (B, I), h (B, H), hold (B, H) → the next h."""
    entering = h if drop is None else mul(h, drop)
    from_x = projected(x, (w_ih, b_ih, gain_ih), eps)
    from_h = projected(entering, (w_hh, b_hh, gain_hh), eps)
    return held(h, NONLINEARITIES[nonlinearity](add(from_x, from_h)), hold)


def rnn_steps(
    x, h0, w_ih, w_hh, b_ih=None, b_hh=None, gain_ih=None, gain_hh=None, hold=None, drop=None,
    nonlinearity="tanh", eps=1e-5,
):  # fmt: skip
    """What ``rnn`` computes, in primitives: one step after the other."""
    h, hidden = h0, []
    for t in range(x.shape[0]):
        h = rnn_step(getitem(x, t), h, w_ih, w_hh, b_ih, b_hh, gain_ih, gain_hh, at_step(hold, t),
                     drop, nonlinearity, eps)  # fmt: skip
        hidden.append(h)
    return stack(hidden), h


@primitive(
    samples=[
        Sample((4, 2, 3), (2, 5), (5, 3), (5, 5), (5,), (5,)),
        Sample((4, 2, 3), (2, 5), (5, 3), (5, 5)),
        Sample((3, 2, 3), (2, 4), (4, 3), (4, 4), (4,), None, nonlinearity="sigmoid"),
        Sample((3, 2, 3), (2, 4), (4, 3), (4, 4), (4,), (4,), nonlinearity="relu"),
        Sample((1, 1, 1), (1, 1), (1, 1), (1, 1), (1,), (1,)),
        Sample((3, 2, 3), (2, 4), (4, 3), (4, 4), (4,), (4,), (4,), (4,)),
        Sample((3, 2, 3), (2, 4), (4, 3), (4, 4), (4,), (4,), None, None,
               Uniform((3, 2, 4)), Uniform((2, 4))),
        Sample((3, 2, 3), (2, 4), (4, 3), (4, 4), None, (4,), (4,), (4,),
               Uniform((1, 2, 1)), Uniform((2, 4)), nonlinearity="sigmoid"),
    ],
    bad=[
        Bad(ShapeError, "x of shape (T, B, 3)", (4, 3), (2, 5), (5, 3), (5, 5)),
        Bad(ShapeError, "x of shape (T, B, 3)", (4, 2, 6), (2, 5), (5, 3), (5, 5)),
        Bad(ShapeError, "at least one step", (0, 2, 3), (2, 5), (5, 3), (5, 5)),
        Bad(ShapeError, "at least one row", (4, 0, 3), (0, 5), (5, 3), (5, 5)),
        Bad(ShapeError, "h0 of shape (2, 5)", (4, 2, 3), (1, 5), (5, 3), (5, 5)),
        Bad(ShapeError, "w_hh of shape (H, H)", (4, 2, 3), (2, 5), (5, 3), (4, 5)),
        Bad(ShapeError, "w_ih of shape (5, I)", (4, 2, 3), (2, 5), (3, 5), (5, 5)),
        Bad(ShapeError, "b_hh of shape (5,)", (4, 2, 3), (2, 5), (5, 3), (5, 5), (5,), (1,)),
        Bad(ShapeError, "gain_hh of shape (5,)", (4, 2, 3), (2, 5), (5, 3), (5, 5),
            gain_hh=Uniform((4,))),
        Bad(ShapeError, "hold of shape (4, 2, 5)", (4, 2, 3), (2, 5), (5, 3), (5, 5),
            hold=Uniform((4, 5))),
        Bad(ShapeError, "drop of shape (2, 5)", (4, 2, 3), (2, 5), (5, 3), (5, 5),
            drop=Uniform((1, 5))),
        Bad(DTypeError, "one floating dtype", (4, 2, 3), (2, 5), (5, 3), (5, 5),
            drop=Booleans((2, 5))),
        Bad(DTypeError, "an array for h0", (4, 2, 3), None, (5, 3), (5, 5)),
        Bad(ArgumentError, "one of tanh, relu, sigmoid", (4, 2, 3), (2, 5), (5, 3), (5, 5),
            nonlinearity="softplus"),
        Bad(ArgumentError, "eps ≥ 0", (4, 2, 3), (2, 5), (5, 3), (5, 5), eps=-1.0),
    ],
    bench=Sample((64, 32, 128), (32, 128), (128, 128), (128, 128), (128,), (128,)),
    nondiff=("hold", "drop"),
    outputs=("output", "h_n"),
    residuals=("activations",),
    unused_as_none=True,
    composition=rnn_steps,
)  # fmt: skip
def rnn(
    x, h0, w_ih, w_hh, b_ih=None, b_hh=None, gain_ih=None, gain_hh=None, hold=None, drop=None,
    nonlinearity="tanh", eps=1e-5,
):  # fmt: skip
    """Simple recurrent net: h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh) for t = 1 … T.

    x (T, B, I), h0 (B, H), w_ih (H, I), w_hh (H, H), b_ih and b_hh (H,) or None; φ is "tanh",
    "relu" or "sigmoid". → output, all h_t (T, B, H), and h_n (B, H), the last. (Elman 1990.)

    gain_ih, gain_hh (H,): gain_ih ⊙ LN(W_ih x_t) in place of W_ih x_t, and likewise for W_hh, LN
    with ε = eps (Ba et al. 2016). hold: h_t = hold_t ⊙ h_{t−1} + (1 − hold_t) ⊙ φ(…), of shape
    (T, B, H) or with 1 in place of a size (Krueger et al. 2016). drop (B, H): h_{t−1} ⊙ drop in
    place of h_{t−1} in W_hh h_{t−1} (Gal and Ghahramani 2016). hold and drop get no gradient.

    Arrays that do not fit in shape, dtype or device raise, and so does an empty sequence or batch.
    """
    known = nonlinearity in NONLINEARITIES
    one_of = f"one of {', '.join(NONLINEARITIES)}"
    expect(known, "rnn", f"nonlinearity to be {one_of}", repr(nonlinearity), ArgumentError)
    check_eps("rnn", eps)
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
    gains = {"gain_ih": (gain_ih, 1), "gain_hh": (gain_hh, 1)}
    check_recurrent("rnn", 1, x, {"h0": h0}, weights, gains, {"hold": hold}, drop)
    return kernel("rnn", x).forward(
        x, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity,
        gain_ih=gain_ih, gain_hh=gain_hh, hold=hold, drop=drop, eps=eps,
    )  # fmt: skip


@rnn.vjp_all
def _rnn_rule(
    g, needs, x, h0, w_ih, w_hh, gain_ih, gain_hh, hold, drop, output, activations, nonlinearity,
    eps,
):  # fmt: skip
    return kernel("rnn", x).backward(
        g, x, h0, w_ih, w_hh, output, activations, nonlinearity, needs[:8],
        gain_ih=gain_ih, gain_hh=gain_hh, hold=hold, drop=drop, eps=eps,
    )  # fmt: skip
