"""The simple recurrent net over a whole sequence, as one op."""

from __future__ import annotations

from tinygrad_seq.backend import Array, device_of, is_array
from tinygrad_seq.errors import ArgumentError, DeviceError, DTypeError, ShapeError, expect
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.activations import relu, sigmoid, tanh
from tinygrad_seq.ops.arithmetic import add
from tinygrad_seq.ops.indexing import getitem
from tinygrad_seq.ops.linalg import matmul
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Sample
from tinygrad_seq.ops.shaping import stack, swapaxes

NONLINEARITIES = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}


def preactivation(x, h, w_ih, w_hh, b_ih=None, b_hh=None):
    """W_ih x + b_ih + W_hh h + b_hh for one step: x (B, I), h (B, H) → (B, G·H)."""
    a = add(matmul(x, swapaxes(w_ih, 0, 1)), matmul(h, swapaxes(w_hh, 0, 1)))
    for bias in (b_ih, b_hh):
        a = a if bias is None else add(a, bias)
    return a


def rnn_step(x, h, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    """One step in primitives: x (B, I), h (B, H) → the next h."""
    return NONLINEARITIES[nonlinearity](preactivation(x, h, w_ih, w_hh, b_ih, b_hh))


def rnn_steps(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    """What ``rnn`` computes, in primitives: one step after the other."""
    h, hidden = h0, []
    for t in range(x.shape[0]):
        h = rnn_step(getitem(x, t), h, w_ih, w_hh, b_ih, b_hh, nonlinearity)
        hidden.append(h)
    return stack(hidden), h


def check_recurrent(
    op: str, gates: int, x: Array, states: dict[str, Array], weights: dict[str, Array]
) -> None:
    """Refuse what a recurrent op cannot take: kind, device, dtype, then every shape in turn.

    ``states`` and ``weights`` map names to arrays; the weights' rows are ``gates`` blocks of H.
    """
    arrays = {"x": x} | states | {n: w for n, w in weights.items() if w is not None}
    for name, array in arrays.items():
        expect(is_array(array), op, f"an array for {name}", type(array).__name__, DTypeError)
    rest = list(arrays.values())[1:]
    if any(device_of(a) != device_of(x) for a in rest):
        devices = ", ".join(sorted({str(device_of(a)) for a in arrays.values()}))
        expect(False, op, "all arrays on one device", devices, DeviceError)
    if x.dtype.kind != "f" or any(a.dtype != x.dtype for a in rest):
        dtypes = ", ".join(sorted({str(a.dtype) for a in arrays.values()}))
        expect(False, op, "all arrays in one floating dtype", dtypes, DTypeError)
    w_ih, w_hh = weights["w_ih"], weights["w_hh"]
    rows = "H" if gates == 1 else f"{gates}·H"
    ok = w_hh.ndim == 2 and w_hh.shape[0] == gates * w_hh.shape[1] > 0
    expect(ok, op, f"w_hh of shape ({rows}, H)", w_hh.shape)
    n, hidden = w_hh.shape
    ok = w_ih.ndim == 2 and w_ih.shape[0] == n
    expect(ok, op, f"w_ih of shape ({n}, I)", w_ih.shape)
    for name in ("b_ih", "b_hh"):
        bias = weights[name]
        expect(bias is None or bias.shape == (n,), op, f"{name} of shape ({n},)",
               None if bias is None else bias.shape)  # fmt: skip
    ok = x.ndim == 3 and x.shape[2] == w_ih.shape[1]
    expect(ok, op, f"x of shape (T, B, {w_ih.shape[1]})", x.shape)
    steps, batch, _ = x.shape
    expect(steps > 0, op, "at least one step in x of shape (T, B, I)", x.shape)
    expect(batch > 0, op, "at least one row in x of shape (T, B, I)", x.shape)
    for name, state in states.items():
        expect(state.shape == (batch, hidden), op, f"{name} of shape ({batch}, {hidden})",
               state.shape)  # fmt: skip


@primitive(
    samples=[
        Sample((4, 2, 3), (2, 5), (5, 3), (5, 5), (5,), (5,)),
        Sample((4, 2, 3), (2, 5), (5, 3), (5, 5)),
        Sample((3, 2, 3), (2, 4), (4, 3), (4, 4), (4,), None, nonlinearity="sigmoid"),
        Sample((3, 2, 3), (2, 4), (4, 3), (4, 4), (4,), (4,), nonlinearity="relu"),
        Sample((1, 1, 1), (1, 1), (1, 1), (1, 1), (1,), (1,)),
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
        Bad(DTypeError, "an array for h0", (4, 2, 3), None, (5, 3), (5, 5)),
        Bad(ArgumentError, "one of tanh, relu, sigmoid", (4, 2, 3), (2, 5), (5, 3), (5, 5),
            nonlinearity="softplus"),
    ],
    bench=Sample((64, 32, 128), (32, 128), (128, 128), (128, 128), (128,), (128,)),
    outputs=("output", "h_n"),
    composition=rnn_steps,
)  # fmt: skip
def rnn(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    """Simple recurrent net: h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh) for t = 1 … T.

    x (T, B, I), h0 (B, H), w_ih (H, I), w_hh (H, H), b_ih and b_hh (H,) or None; φ is "tanh",
    "relu" or "sigmoid". → output, all h_t (T, B, H), and h_n (B, H), the last. Arrays that do not
    fit in shape, dtype or device raise, and so does an empty sequence or batch. (Elman 1990.)
    """
    known = nonlinearity in NONLINEARITIES
    one_of = f"one of {', '.join(NONLINEARITIES)}"
    expect(known, "rnn", f"nonlinearity to be {one_of}", repr(nonlinearity), ArgumentError)
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
    check_recurrent("rnn", 1, x, {"h0": h0}, weights)
    return kernel("rnn", x).forward(x, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity)


@rnn.vjp_all
def _rnn_rule(g, needs, x, h0, w_ih, w_hh, output, nonlinearity):
    backward = kernel("rnn", x).backward
    return backward(*g, x, h0, w_ih, w_hh, output, nonlinearity, needs[:6])
