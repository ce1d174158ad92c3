"""The masks of the attention layers, in which True is **left out**, brought together.

``ops.attention`` takes one mask, in which True takes part. Booleans stay booleans; as soon as one
of the masks is floating all are added up, with −∞ where a boolean one leaves out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.errors import DTypeError, expect


def padding_mask(op: str, mask: Any, batch: int, keys: int, like: Tensor) -> Any:
    """key_padding_mask (B, S), or (S,) for a batch of one, as (B, 1, 1, S)."""
    mask = _of_kind(op, "key_padding_mask", mask, like)
    ok = mask.shape == (batch, keys) or (batch == 1 and mask.shape == (keys,))
    expect(ok, op, f"key_padding_mask of shape {(batch, keys)}", mask.shape)
    return ops.reshape(mask, (batch, 1, 1, keys))


def score_mask(op: str, mask: Any, full: tuple[int, int, int, int], like: Tensor) -> Any:
    """attn_mask as something that broadcasts to the scores, (B, H, L, S)."""
    mask = _of_kind(op, "attn_mask", mask, like)
    batch, heads, steps, keys = full
    if mask.ndim == 3:
        wanted = (batch * heads, steps, keys)
        expect(mask.shape == wanted, op, f"attn_mask of shape {wanted}", mask.shape)
        return ops.reshape(mask, full)
    ok = mask.ndim in (2, 4) and mask.shape[-2:] == (steps, keys)
    ok = ok and all(n in (1, m) for n, m in zip(mask.shape[:-2], full, strict=False))
    expected = f"attn_mask of shape {full[2:]}, ({batch}·{heads}, {steps}, {keys}) or {full}"
    expect(ok, op, expected, mask.shape)
    return mask


def causal_mask(steps: int, keys: int, past: int, like: Tensor) -> Tensor:
    """True where a key comes after the query, of which the first is at position ``past``: (L, S),
    key j after query i where j > past + i."""
    return tensor(~np.tri(steps, keys, past, dtype=np.bool_), device=like.device)


def merged(masks: list[Any], like: Tensor) -> Any:
    """All masks in one, True where a query may look or floats to add; None if there are none."""
    if not masks:
        return None
    if all(m.dtype == np.bool_ for m in masks):
        out = masks[0]
        for mask in masks[1:]:
            out = out | mask
        return ~out
    floats = [_additive(m, like) for m in masks]
    total = floats[0]
    for mask in floats[1:]:
        total = total + mask
    return total


def _additive(mask: Any, like: Tensor) -> Any:
    if mask.dtype != np.bool_:
        return mask
    nothing = ops.full_like(like, 0, shape=mask.shape)
    return ops.masked_fill(nothing, mask, -math.inf)


def _of_kind(op: str, name: str, mask: Any, like: Tensor) -> Any:
    kind = getattr(mask, "dtype", None)
    ok = kind is not None and np.dtype(kind).kind in "bf"
    got = type(mask).__name__ if kind is None else kind
    expect(ok, op, f"a boolean or floating {name}", got, DTypeError)
    mask = mask if isinstance(mask, Tensor) else tensor(mask)
    return mask if mask.dtype == np.bool_ else mask.to(dtype=like.dtype)
