"""Scaled dot-product attention as one op, which keeps none of its L × S scores."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_seq.backend import default_generator, device_of, is_array, transfer, xp_of
from tinygrad_seq.errors import ArgumentError, DeviceError, DTypeError, ShapeError, expect
from tinygrad_seq.kernels import kernel
from tinygrad_seq.ops.arithmetic import add, mul
from tinygrad_seq.ops.checks import kind_of
from tinygrad_seq.ops.choosing import where
from tinygrad_seq.ops.linalg import matmul
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Booleans, Integers, Sample, Uniform
from tinygrad_seq.ops.shaping import reshape, swapaxes
from tinygrad_seq.ops.softmax import softmax


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
    enable_gqa=False, generator=None,
):  # fmt: skip
    """softmax(scale · Q Kᵀ + mask) V, with PyTorch's arguments.

    A boolean ``attn_mask`` marks what takes part (True); a floating one is added to the scores. The
    masks of ``nn.MultiheadAttention`` mean the opposite: True is left out. A query that may look
    nowhere gets zeros, and gives zero gradients.

    query (…, L, E), key (…, S, E), value (…, S, E_v) → (…, L, E_v); the mask broadcasts to
    (…, L, S). is_causal: query i sees keys 0 … i; it excludes a mask. scale: 1/√E by default.
    dropout_p: each weight is dropped with this probability, in any mode, the mask drawn on the host
    from ``generator``. enable_gqa: query (…, H, L, E) may have a multiple of the H_k heads of
    key and value; query head h looks at head h // (H/H_k) (Ainslie et al. 2023, arXiv:2305.13245).
    Shapes that do not fit raise ShapeError. (Vaswani et al. 2017, arXiv:1706.03762.)
    """
    op = "scaled_dot_product_attention"
    for name, array in (("query", query), ("key", key), ("value", value)):
        rank = len(getattr(array, "shape", ()))
        expect(rank >= 2, op, f"{name} of shape (…, length, size)", getattr(array, "shape", "none"))
    expect(0 <= dropout_p < 1, op, "dropout_p in [0, 1)", dropout_p, ArgumentError)
    both = is_causal and attn_mask is not None
    expect(not both, op, "is_causal or attn_mask, not both", "both", ArgumentError)
    grouped = enable_gqa and query.shape[-3:-2] != key.shape[-3:-2]
    if grouped:
        query, key, value, attn_mask = _grouped(op, query, key, value, attn_mask)
    drop = _factors(dropout_p, query, key, value, generator) if dropout_p else None
    out = attention(query, key, value, attn_mask, drop, is_causal, scale)
    return reshape(out, (*out.shape[:-4], -1, *out.shape[-2:])) if grouped else out


def _grouped(op, query, key, value, mask):
    """Query heads in groups (…, H_k, H/H_k, L, E), each group beside its own key and value."""
    shapes = query.shape, key.shape, value.shape
    ok = all(len(s) >= 3 for s in shapes) and shapes[1][-3] == shapes[2][-3]
    ok = ok and shapes[1][-3] > 0 and shapes[0][-3] % shapes[1][-3] == 0
    expect(ok, op, "heads of query that are a multiple of those of key and value",
           [s[-3:-2] for s in shapes])  # fmt: skip
    few = shapes[1][-3]
    query = reshape(query, (*shapes[0][:-3], few, -1, *shapes[0][-2:]))
    key, value = (reshape(a, (*a.shape[:-2], 1, *a.shape[-2:])) for a in (key, value))
    if mask is not None and len(mask.shape) >= 3:
        heads = (few, -1) if mask.shape[-3] > 1 else (1, 1)
        mask = reshape(mask, (*mask.shape[:-3], *heads, *mask.shape[-2:]))
    return query, key, value, mask


def _factors(p, query, key, value, generator):
    """Dropout's factors of the weights: 0, or 1/(1 − p)."""
    lead = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    drawn = (generator or default_generator()).uniform((*lead, query.shape[-2], key.shape[-2]))
    array = getattr(query, "data", query) if not is_array(query) else query
    return transfer(((drawn >= p) / (1 - p)).astype(array.dtype), device_of(array))


def _composed(q, k, v, mask=None, drop=None, causal=False, scale=None):
    """What ``attention`` computes, in primitives."""
    s = mul(matmul(q, swapaxes(k, -1, -2)), _scale(q, scale))
    if mask is not None:
        s = where(mask, s, -math.inf) if mask.dtype == np.bool_ else add(s, mask)
    if causal:
        xp = xp_of(getattr(q, "data", q) if not is_array(q) else q)
        s = where(xp.tri(*s.shape[-2:], dtype=np.bool_), s, -math.inf)
    p = softmax(s)
    return matmul(p if drop is None else mul(p, drop), v)


def _scale(q, scale):
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


SHAPES = ((2, 4, 3), (2, 5, 3), (2, 5, 2))


@primitive(
    samples=[
        Sample((4, 3), (5, 3), (5, 2)),
        Sample((2, 3, 4, 3), (2, 1, 5, 3), (5, 2)),
        Sample(*SHAPES, Booleans((4, 5), 0.6)),
        Sample(*SHAPES, (2, 1, 5)),
        Sample(*SHAPES, causal=True),
        Sample((2, 5, 3), (2, 4, 3), (2, 4, 3), None, Uniform((2, 5, 4)), True, 0.3),
        Sample(*SHAPES, np.zeros((4, 1), np.bool_)),
    ],
    bad=[
        Bad(ShapeError, "k of shape (…, S, 3)", (4, 3), (5, 4), (5, 2)),
        Bad(ShapeError, "v of shape (…, 5, E)", (4, 3), (5, 3), (4, 2)),
        Bad(ShapeError, "q, k and v of rank 2 or more", (3,), (5, 3), (5, 2)),
        Bad(ShapeError, "axes before the last two that broadcast", (3, 4, 3), (2, 5, 3), (5, 2)),
        Bad(ShapeError, "a mask that broadcasts to (2, 4, 5)", *SHAPES, Booleans((3, 5))),
        Bad(ShapeError, "drop of shape (2, 4, 5)", *SHAPES, None, Uniform((4, 5))),
        Bad(ShapeError, "at least one key", (4, 3), (0, 3), (0, 2)),
        Bad(DTypeError, "a boolean or floating mask", *SHAPES, Integers((4, 5), 0, 2)),
        Bad(DTypeError, "drop of dtype float64", *SHAPES, None, Integers((2, 4, 5), 0, 2)),
        Bad(DTypeError, "one floating dtype", Integers((4, 3), 0, 5), (5, 3), (5, 2)),
        Bad(ArgumentError, "a finite scale", *SHAPES, scale=math.nan),
    ],
    bench=Sample((32, 512, 64), (32, 512, 64), (32, 512, 64)),
    nondiff=("drop", "scale"),
    residuals=("log_total",),
    composition=_composed,
)
def attention(q, k, v, mask=None, drop=None, causal=False, scale=None):
    """out = (softmax(scale · q kᵀ + mask) ⊙ drop) v, the softmax along the keys.

    q (…, L, E), k (…, S, E), v (…, S, E_v) → (…, L, E_v); what stands before broadcasts. mask
    broadcasts to (…, L, S): True where a query may look, or floats to add; causal: query i sees
    keys 0 … i. drop (…, L, S): dropout's factors, no gradient. scale: 1/√E by default. The scores
    are computed again for the gradient, and a row without any key gives zeros. (Vaswani et al.
    2017.)
    """
    _check_attention(q, k, v, mask, drop)
    scale = _scale(q, scale)
    expect(math.isfinite(scale), "attention", "a finite scale", scale, ArgumentError)
    return kernel("attention", q).forward(q, k, v, mask, drop, causal, scale)


def _check_attention(q, k, v, mask, drop):
    op = "attention"
    arrays = {"q": q, "k": k, "v": v, "mask": mask, "drop": drop}
    arrays = {n: a for n, a in arrays.items() if a is not None or n in "qkv"}
    for name, array in arrays.items():
        expect(is_array(array), op, f"an array for {name}", type(array).__name__, DTypeError)
    devices = sorted({str(device_of(a)) for a in arrays.values()})
    expect(len(devices) == 1, op, "all arrays on one device", ", ".join(devices), DeviceError)
    dtypes = sorted({str(a.dtype) for a in (q, k, v)})
    ok = len(dtypes) == 1 and q.dtype.kind == "f"
    expect(ok, op, "q, k and v of one floating dtype", ", ".join(dtypes), DTypeError)
    ok = min(len(a.shape) for a in (q, k, v)) >= 2
    expect(ok, op, "q, k and v of rank 2 or more", (q.shape, k.shape, v.shape))
    expect(k.shape[-1] == q.shape[-1], op, f"k of shape (…, S, {q.shape[-1]})", k.shape)
    expect(v.shape[-2] == k.shape[-2], op, f"v of shape (…, {k.shape[-2]}, E)", v.shape)
    expect(k.shape[-2] > 0, op, "at least one key", k.shape)
    try:
        lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError:
        got = (q.shape, k.shape, v.shape)
        expect(False, op, "axes before the last two that broadcast", got)
    full = (*lead, q.shape[-2], k.shape[-2])
    if drop is not None:
        ok = drop.dtype == q.dtype
        expect(ok, op, f"drop of dtype {q.dtype}", kind_of(drop), DTypeError)
        expect(drop.shape == full, op, f"drop of shape {full}", drop.shape)
    if mask is not None:
        ok = mask.dtype == np.bool_ or mask.dtype == q.dtype
        expect(ok, op, f"a boolean or floating mask ({q.dtype})", kind_of(mask), DTypeError)
        tail = full[len(full) - len(mask.shape) :]
        ok = len(mask.shape) <= len(full) and all(
            n in (1, m) for n, m in zip(mask.shape, tail, strict=True)
        )
        expect(ok, op, f"a mask that broadcasts to {full}", mask.shape)


@attention.vjp_all
def _attention_rule(g, needs, q, k, v, mask, drop, causal, scale, out, log_total):
    backward = kernel("attention", q).backward
    return backward(g, q, k, v, mask, drop, causal, _scale(q, scale), out, log_total, needs[:4])
