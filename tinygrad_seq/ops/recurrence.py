"""What the recurrent ops share: the steps' projections in primitives, and the checks."""

from __future__ import annotations

from tinygrad_seq.backend import Array, device_of, is_array
from tinygrad_seq.errors import ArgumentError, DeviceError, DTypeError, expect
from tinygrad_seq.ops.arithmetic import add, mul, sub
from tinygrad_seq.ops.indexing import getitem
from tinygrad_seq.ops.layer_norm import layer_norm
from tinygrad_seq.ops.linalg import linear


def projected(v, weights, eps=1e-5):
    """W v + b, or gain ⊙ LN(W v) + b: v (B, n), weights = (W (m, n), b, gain) → (B, m)."""
    w, bias, gain = weights
    if gain is None:
        return linear(v, w, bias)
    return layer_norm(linear(v, w), w.shape[0], gain, bias, eps)


def held(old, new, hold):
    """hold ⊙ old + (1 − hold) ⊙ new: zoneout, which keeps a share of the old state."""
    return new if hold is None else add(mul(hold, old), mul(sub(1, hold), new))


def at_step(values, t):
    """The values of step t; those of the only step there is, where one stands for all."""
    return None if values is None else getitem(values, t if values.shape[0] > 1 else 0)


def rows(value, start, stop):
    """Rows of a weight, a bias or a gain that may be None."""
    return None if value is None else getitem(value, slice(start, stop))


def columns(value, count):
    """(B, n) in ``count`` pieces side by side."""
    width = value.shape[-1] // count
    return [getitem(value, (..., slice(k * width, (k + 1) * width))) for k in range(count)]


def check_recurrent(
    op: str,
    gates: int,
    x: Array,
    states: dict[str, Array],
    weights: dict[str, Array],
    vectors: dict[str, tuple[Array, int]],
    holds: dict[str, Array],
    drop: Array | None,
    w_hr: Array | None = None,
) -> None:
    """Refuse what a recurrent op cannot take: kind, device, dtype, then every shape in turn.

    ``states``, ``weights`` and ``holds`` map names to arrays; the weights' rows are ``gates``
    blocks of H. ``vectors`` maps the names of gains and the like to an array and its length in H.
    """
    vectors = {"b_ih": (weights["b_ih"], gates), "b_hh": (weights["b_hh"], gates)} | vectors
    needed = {"x": x, "w_ih": weights["w_ih"], "w_hh": weights["w_hh"]} | states
    optional = {name: array for name, (array, _) in vectors.items()} | holds
    optional |= {"w_hr": w_hr, "drop": drop}
    arrays = needed | {name: array for name, array in optional.items() if array is not None}
    for name, array in arrays.items():
        expect(is_array(array), op, f"an array for {name}", type(array).__name__, DTypeError)
    if any(device_of(a) != device_of(x) for a in arrays.values()):
        devices = ", ".join(sorted({str(device_of(a)) for a in arrays.values()}))
        expect(False, op, "all arrays on one device", devices, DeviceError)
    if x.dtype.kind != "f" or any(a.dtype != x.dtype for a in arrays.values()):
        dtypes = ", ".join(sorted({str(a.dtype) for a in arrays.values()}))
        expect(False, op, "all arrays in one floating dtype", dtypes, DTypeError)
    hidden, width = _weight_shapes(op, gates, weights["w_ih"], weights["w_hh"], w_hr)
    inputs = weights["w_ih"].shape[1]
    ok = x.ndim == 3 and x.shape[2] == inputs
    expect(ok, op, f"x of shape (T, B, {inputs})", x.shape)
    steps, batch, _ = x.shape
    expect(steps > 0, op, "at least one step in x of shape (T, B, I)", x.shape)
    expect(batch > 0, op, "at least one row in x of shape (T, B, I)", x.shape)
    shapes: dict[str, tuple[int, ...]]
    shapes = {name: (blocks * hidden,) for name, (_, blocks) in vectors.items()}
    shapes |= {name: (batch, hidden if name == "c0" else width) for name in states}
    shapes["drop"] = (batch, width)
    for name, wanted in shapes.items():
        if name in arrays:
            found = arrays[name].shape
            expect(found == wanted, op, f"{name} of shape {wanted}", found)
    for name in holds:
        if name in arrays:
            full = (steps, batch, hidden if name == "hold_c" else width)
            found = arrays[name].shape
            ok = len(found) == 3 and all(n in (1, m) for n, m in zip(found, full, strict=True))
            expect(ok, op, f"{name} of shape {full}, or 1 in place of a size", found)


def _weight_shapes(op: str, gates: int, w_ih: Array, w_hh: Array, w_hr: Array | None
                   ) -> tuple[int, int]:  # fmt: skip
    """→ H, and the width of h, which is H unless it is projected."""
    rows = "H" if gates == 1 else f"{gates}·H"
    if w_hr is None:
        ok = w_hh.ndim == 2 and w_hh.shape[0] == gates * w_hh.shape[1] > 0
        expect(ok, op, f"w_hh of shape ({rows}, H)", w_hh.shape)
    else:
        ok = w_hr.ndim == 2 and w_hr.size > 0
        expect(ok, op, "w_hr of shape (P, H)", w_hr.shape)
        wanted = (gates * w_hr.shape[1], w_hr.shape[0])
        expect(w_hh.shape == wanted, op, f"w_hh of shape {wanted}", w_hh.shape)
    n = w_hh.shape[0]
    ok = w_ih.ndim == 2 and w_ih.shape[0] == n
    expect(ok, op, f"w_ih of shape ({n}, I)", w_ih.shape)
    return n // gates, w_hh.shape[1]


def check_eps(op: str, eps: float) -> None:
    """Refuse an ε that is negative or no number."""
    expect(eps >= 0, op, "eps ≥ 0", eps, ArgumentError)
