"""nn.MultiheadAttention."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, zeros
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.attention.cache import KVCache
from tinygrad_seq.nn.attention.masks import causal_mask, merged, padding_mask, score_mask
from tinygrad_seq.nn.attention.watch import Watchable, open_attention
from tinygrad_seq.nn.init import xavier_normal_, xavier_uniform_, zeros_
from tinygrad_seq.nn.linear import Linear, check_size
from tinygrad_seq.nn.parameter import Parameter
from tinygrad_seq.nn.positions import AlibiBias, RotaryPositions
from tinygrad_seq.nn.recurrent.noise import dropout_mask


class Heads(NamedTuple):
    """Queries (B, H, L, D), keys and values (B, H, S, D), and how many steps came before."""

    q: Tensor
    k: Tensor
    v: Tensor
    past: int


class MultiheadAttention(Watchable):
    """Attention by several heads at once. **A boolean mask is True where a key is left out** (in
    ``ops.scaled_dot_product_attention`` it is True where a key takes part); a floating one is added
    to the scores. With H = num_heads, D = embed_dim/H and each head's own D rows of the weights::

        q, k, v = W_q·query + b_q, W_k·key + b_k, W_v·value + b_v
        head_h  = softmax(q_h k_hᵀ/√D + masks) v_h           the softmax along the keys
        output  = W_o·[head_1 … head_H] + b_o

    (Vaswani et al. 2017, arXiv:1706.03762.) A query that may look nowhere gets zeros from every
    head (PyTorch gives NaN), so its output is b_o, and gives zero gradients.

    **Called** as ``output, weights = layer(query, key, value)``, with

    * query (L, B, embed_dim), key (S, B, kdim), value (S, B, vdim), output (L, B, embed_dim), or
      with B first if ``batch_first``, or all without B;
    * key_padding_mask (B, S), or (S,) without B: keys that are left out, whoever asks;
    * attn_mask (L, S), or (B·H, L, S) for each head, or anything that broadcasts to (B, H, L, S)
      with four axes;
    * is_causal=True: query i sees keys 0 … i only, in addition to any mask;
    * need_weights=False: weights are None, and the scores are never held all at once
      (``nn.watch_attention`` sees them even so);
    * weights (B, L, S), the mean over the heads, or (B, H, L, S) with average_attn_weights=False;
      without B if there is none; as dropout left them;
    * cache, a ``KVCache``: key and value are the new steps, those it holds come before them and
      count in S; with ``is_causal`` the first query stands right after the steps held before.

    **Parameters**, as PyTorch's: ``in_proj_weight`` (3·embed_dim, embed_dim), W_q, W_k and W_v
    upon each other, or ``q_proj_weight`` (embed_dim, embed_dim), ``k_proj_weight`` (embed_dim,
    kdim) and ``v_proj_weight`` (embed_dim, vdim) where kdim or vdim differ from embed_dim, all
    Xavier uniform; ``in_proj_bias`` (3·embed_dim,), from 0; ``out_proj.weight`` (embed_dim,
    embed_dim), from U(−1/√embed_dim, 1/√embed_dim), and ``out_proj.bias``, from 0.

    **Options**: dropout, the probability with which each weight is dropped while training. bias:
    whether the biases are there. add_bias_kv: one more key and value, learned, ``bias_k`` and
    ``bias_v`` (1, 1, embed_dim), Xavier normal. add_zero_attn: one more key and value of zeros;
    these two are seen whatever the masks. positions, not PyTorch's: ``RotaryPositions(D)``, which
    turns queries and keys, or ``AlibiBias(H)``, which is added to the scores.

    **Raises** ShapeError for what does not fit, ArgumentError for a width that the heads do not
    divide and for options out of range.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | Device | None = None,
        dtype: Any = None,
        *,
        positions: RotaryPositions | AlibiBias | None = None,
    ):
        super().__init__()
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout = dropout
        self.positions = positions
        self._check_options()
        self.head_dim = embed_dim // num_heads
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        whole = self.kdim == self.vdim == embed_dim
        for name, shape in {
            "in_proj_weight": (3 * embed_dim, embed_dim) if whole else None,
            "q_proj_weight": None if whole else (embed_dim, embed_dim),
            "k_proj_weight": None if whole else (embed_dim, self.kdim),
            "v_proj_weight": None if whole else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }.items():
            made = Parameter(zeros(shape, device=device, dtype=dtype)) if shape else None
            self.register_parameter(name, made)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; biases are 0."""
        self.out_proj.reset_parameters()
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                xavier_uniform_(getattr(self, name))
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                xavier_normal_(bias)

    def _check_options(self) -> None:
        op = "MultiheadAttention"
        for name in ("embed_dim", "num_heads", "kdim", "vdim"):
            check_size(op, name, getattr(self, name))
        width, heads, p, where = self.embed_dim, self.num_heads, self.dropout, self.positions
        expect(width % heads == 0, op, f"an embed_dim that {heads} heads divide", width,
               ArgumentError)  # fmt: skip
        ok = isinstance(p, (int, float)) and 0 <= p < 1
        expect(ok, op, "a probability dropout in [0, 1)", repr(p), ArgumentError)
        known = isinstance(where, (RotaryPositions, AlibiBias)) or where is None
        expect(known, op, "positions to be RotaryPositions or AlibiBias", where, ArgumentError)
        if isinstance(where, RotaryPositions):
            expect(where.head_dim == width // heads, op, f"RotaryPositions({width // heads})",
                   where, ArgumentError)  # fmt: skip
        if isinstance(where, AlibiBias):
            expect(where.num_heads == heads, op, f"AlibiBias({heads})", where, ArgumentError)

    # ------------------------------------------------------------------ running

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        cache: KVCache | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """→ output, and the weights or None; the class says what goes in and what comes out."""
        self._check_inputs(query, key, value)
        masks = key_padding_mask, attn_mask, is_causal
        batched = query.ndim == 3
        if not batched:
            axis = 0 if self.batch_first else 1
            one = {id(x): ops.expand_dims(x, axis) for x in (query, key, value)}
            query, key, value = (one[id(x)] for x in (query, key, value))
        out, weights = self._attend(query, key, value, masks, cache, need_weights)
        weights = weights if need_weights else None
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if batched:
            return out, weights
        return ops.squeeze(out, axis), None if weights is None else weights[0]

    def _attend(
        self, query: Any, key: Any, value: Any, masks: Any, cache: KVCache | None, wanted: bool
    ) -> tuple[Any, Any]:
        """→ output, and if wanted the weights of each head (B, H, L, S)."""
        heads = self._project(query, key, value, cache)
        padding, scores, causal = masks
        openly = wanted or self.seen is not None
        # The op's own way needs no mask, but puts the first query beside the first key.
        simple = causal and not (openly or heads.past or self._extra_keys)
        mask = self._mask(heads, padding, scores, causal and not simple)
        q, k, v = self._with_extra_keys(heads)
        drop = dropout_mask(self.dropout, (*q.shape[:3], k.shape[2]), q, self.training)
        weights = None
        if openly:
            out, weights = open_attention(q, k, v, mask, drop)
            if self.seen is not None:
                self.seen.append(weights)
        else:
            out = ops.attention(q, k, v, mask, drop, simple)
        order = (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3)
        side_by_side = ops.reshape(ops.transpose(out, order), query.shape)
        return self.out_proj(side_by_side), weights

    def _check_inputs(self, query: Any, key: Any, value: Any) -> None:
        op = "MultiheadAttention"
        shapes: list[Any] = [getattr(x, "shape", ()) for x in (query, key, value)]
        widths = {"query": self.embed_dim, "key": self.kdim, "value": self.vdim}
        lead = "B, L" if self.batch_first else "L, B"
        for (name, width), shape in zip(widths.items(), shapes, strict=True):
            ok = len(shape) in (2, 3) and shape[-1] == width
            expect(ok, op, f"{name} of shape ({lead}, {width}) or (L, {width})", shape)
        expect(len({len(s) for s in shapes}) == 1, op, "all with a batch or none", shapes)
        expect(shapes[1][:-1] == shapes[2][:-1], op, "as many values as keys", shapes[1:])
        if len(shapes[0]) == 3:
            batch = [s[0 if self.batch_first else 1] for s in shapes]
            expect(len(set(batch)) == 1, op, "batches of one size", shapes)

    def _project(self, query: Any, key: Any, value: Any, cache: KVCache | None) -> Heads:
        """All heads' queries, keys and values, those of earlier steps in front."""
        held = cache is not None and cache.fixed and cache.keys is not None
        if query is key and key is value and self.in_proj_weight is not None and not held:
            together = ops.linear(query, self.in_proj_weight, self.in_proj_bias)
            q, k, v = (self._split(x) for x in ops.split(together, 3, -1))
        else:
            w_q, w_k, w_v = self._weights()
            q = self._split(ops.linear(query, *w_q))
            if not held:
                k, v = self._split(ops.linear(key, *w_k)), self._split(ops.linear(value, *w_v))
        past = 0 if cache is None or cache.fixed else cache.length
        if held:
            k, v = cache.keys, cache.values  # type: ignore[union-attr]
        if isinstance(self.positions, RotaryPositions):
            q, k = self.positions(q, past), self.positions(k, past)
        if cache is not None and not held:
            k, v = cache.extend(k, v)
        ok = self.positions is None or k.shape[2] == past + q.shape[2]
        expect(ok, "MultiheadAttention", "as many keys as queries, as positions are given", (
            f"{q.shape[2]} queries and {k.shape[2]} keys"))  # fmt: skip
        return Heads(q, k, v, past)

    def _split(self, x: Any) -> Any:
        """(L, B, H·D) or (B, L, H·D) → (B, H, L, D)."""
        x = ops.reshape(x, (*x.shape[:2], self.num_heads, self.head_dim))
        return ops.transpose(x, (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _weights(self) -> list[tuple[Any, Any]]:
        """Weight and bias of queries, of keys and of values."""
        if self.in_proj_weight is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        else:
            weights = ops.split(self.in_proj_weight, 3)
        biases = [None] * 3 if self.in_proj_bias is None else ops.split(self.in_proj_bias, 3)
        return list(zip(weights, biases, strict=True))

    # ------------------------------------------------------------------ masks, extra keys

    @property
    def _extra_keys(self) -> int:
        return (self.bias_k is not None) + self.add_zero_attn

    def _mask(self, heads: Heads, padding: Any, scores: Any, causal: bool) -> Any:
        """All masks in one, as ``ops.attention`` takes it, or None."""
        op, q, (batch, _, keys, _) = "MultiheadAttention", heads.q, heads.k.shape
        steps = q.shape[2]
        masks = []
        if padding is not None:
            masks.append(padding_mask(op, padding, batch, keys, q))
        if scores is not None:
            masks.append(score_mask(op, scores, (batch, self.num_heads, steps, keys), q))
        if causal and keys > heads.past + 1:
            masks.append(causal_mask(steps, keys, heads.past, q))
        if isinstance(self.positions, AlibiBias):
            masks.append(self.positions(q, heads.k))
        mask = merged(masks, q)
        if mask is None or not self._extra_keys:
            return mask
        width = ((0, 0),) * (mask.ndim - 1) + ((0, self._extra_keys),)
        return ops.pad(mask, width, constant_values=mask.dtype == np.bool_)

    def _with_extra_keys(self, heads: Heads) -> tuple[Any, ...]:
        q, k, v, _ = heads
        batch, width = k.shape[0], (1, self.num_heads, 1, self.head_dim)
        shape = (batch, *width[1:])
        ks, vs = [k], [v]
        if self.bias_k is not None:
            for bias, parts in ((self.bias_k, ks), (self.bias_v, vs)):
                parts.append(ops.broadcast_to(ops.reshape(bias, width), shape))
        if self.add_zero_attn:
            nothing = ops.full_like(k, 0, shape=shape)
            ks.append(nothing)
            vs.append(nothing)
        return q, *(p[0] if len(p) == 1 else ops.concatenate(p, axis=2) for p in (ks, vs))

    def extra_repr(self) -> str:
        parts = [f"{self.embed_dim}, {self.num_heads}"]
        plain = {"dropout": 0.0, "add_zero_attn": False, "batch_first": False,
                 "kdim": self.embed_dim, "vdim": self.embed_dim}  # fmt: skip
        parts += [f"{n}={getattr(self, n)}" for n, v in plain.items() if getattr(self, n) != v]
        parts += ["bias=False"] if self.in_proj_bias is None else []
        parts += ["add_bias_kv=True"] if self.bias_k is not None else []
        return ", ".join(parts)
