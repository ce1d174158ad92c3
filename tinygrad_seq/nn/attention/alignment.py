"""Attention of recurrent encoder–decoders: one score for each query and key, from a small net."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.attention.masks import padding_mask
from tinygrad_seq.nn.linear import Linear, check_size
from tinygrad_seq.nn.module import Module


class _Alignment(Module):
    """Scores of queries and keys, softmax along the keys, weighted mean of the values."""

    def __init__(self, query_size: int, key_size: int, batch_first: bool):
        super().__init__()
        for name, size in {"query_size": query_size, "key_size": key_size}.items():
            check_size(type(self).__name__, name, size)
        self.query_size = query_size
        self.key_size = key_size
        self.batch_first = batch_first

    def prepare(self, keys: Any) -> Any:
        """What of the scores depends on the keys alone, keys first: to be computed once, where the
        queries come one at a time, and handed to each call as ``prepared``."""
        raise NotImplementedError

    def _scores(self, query: Any, prepared: Any) -> Any:
        """query (B, L, ·), prepared (B, S, ·) → (B, L, S)."""
        raise NotImplementedError

    def forward(
        self,
        query: Any,
        keys: Any,
        values: Any = None,
        key_padding_mask: Any = None,
        prepared: Any = None,
    ) -> tuple[Tensor, Tensor]:
        """→ context and weights; the class says what goes in and what comes out."""
        values = keys if values is None else values
        self._check(query, keys, values)
        prepared = self.prepare(keys) if prepared is None else prepared
        single = query.ndim == 2
        q = ops.expand_dims(query, 1) if single else self._turned(query)
        scores = self._scores(q, self._turned(prepared))
        if key_padding_mask is not None:
            batch, _, length = scores.shape
            mask = padding_mask(type(self).__name__, key_padding_mask, batch, length, scores)[:, 0]
            boolean = mask.dtype == np.bool_
            scores = ops.masked_fill(scores, mask, -math.inf) if boolean else scores + mask
        weights = ops.softmax(scores)
        context = weights @ self._turned(values)  # (B, L, S) (B, S, V) → (B, L, V)
        if single:
            return context[:, 0], weights[:, 0]
        return self._turned(context), weights

    def _turned(self, x: Any) -> Any:
        """Batch first as the user's tensors, or the other way round."""
        return x if self.batch_first else ops.swapaxes(x, 0, 1)

    def _check(self, query: Any, keys: Any, values: Any) -> None:
        op, batch = type(self).__name__, 0 if self.batch_first else 1
        shapes: list[Any] = [getattr(x, "shape", ()) for x in (query, keys, values)]
        q, k, v = shapes
        lead = "B, {}" if self.batch_first else "{}, B"
        expect(len(k) == 3 and k[2] == self.key_size, op,
               f"keys of shape ({lead.format('S')}, {self.key_size})", k)  # fmt: skip
        ok = len(q) in (2, 3) and q[-1] == self.query_size and q[batch * (len(q) - 2)] == k[batch]
        expect(ok, op, f"query of shape ({k[batch]}, {self.query_size}) or "
               f"({lead.format('L')}, {self.query_size}), B = {k[batch]}", q)  # fmt: skip
        expect(len(v) == 3 and v[:2] == k[:2], op, "as many values as keys", (k, v))


def _one_hidden_layer(layer: Any, query: Any, prepared: Any) -> Any:
    """vᵀ tanh(W_q q_i + W_k k_j), (B, L, S), where ``prepared`` is W_k k_j."""
    q = ops.expand_dims(layer.query_proj(query), 2)  # (B, L, 1, hidden)
    k = ops.expand_dims(prepared, 1)  # (B, 1, S, hidden)
    return layer.score(ops.tanh(q + k))[..., 0]


class AdditiveAttention(_Alignment):
    """Attention whose scores come from a net of one hidden layer::

        score_ij = vᵀ tanh(W_q q_i + W_k k_j)
        α_i      = softmax score_i               along the keys
        context_i = Σ_j α_ij values_j

    (Bahdanau, Cho and Bengio 2015, arXiv:1409.0473.)

    **Called** as ``context, weights = layer(query, keys, values=None, key_padding_mask=None)``.
    With B sequences of S keys, time first, or B first if ``batch_first``:

    * query (B, query_size), one step, or (L, B, query_size); keys (S, B, key_size); values
      (S, B, V), the keys by default;
    * key_padding_mask (B, S): True at keys that are **left out**, or floats to add to the scores;
      where all keys of a sequence are, context and weights are 0;
    * context (B, V) or (L, B, V), as the query is; weights (B, S) or (B, L, S);
    * prepared: what ``layer.prepare(keys)`` gave, W_k k_j, which need not be computed again for
      every query.

    **Parameters**: ``query_proj.weight`` (hidden_size, query_size), ``key_proj.weight``
    (hidden_size, key_size) and ``score.weight`` (1, hidden_size), initialised as ``nn.Linear``'s.
    What does not fit raises ShapeError.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        hidden_size: int,
        batch_first: bool = False,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__(query_size, key_size, batch_first)
        check_size("AdditiveAttention", "hidden_size", hidden_size)
        self.hidden_size = hidden_size
        self.query_proj = Linear(query_size, hidden_size, False, device, dtype)
        self.key_proj = Linear(key_size, hidden_size, False, device, dtype)
        self.score = Linear(hidden_size, 1, False, device, dtype)

    def prepare(self, keys: Any) -> Any:
        """W_k k_j: (S, B, key_size) → (S, B, hidden_size)."""
        return self.key_proj(keys)

    def _scores(self, query: Any, prepared: Any) -> Any:
        return _one_hidden_layer(self, query, prepared)


class LuongAttention(_Alignment):
    """Attention with one of three scores (Luong, Pham and Manning 2015, arXiv:1508.04025)::

        dot       q_iᵀ k_j                  query_size = key_size
        general   q_iᵀ W k_j
        concat    vᵀ tanh(W [q_i; k_j])

    then, as in ``AdditiveAttention``, softmax along the keys and the weighted mean of the values.
    It is **called** in the same way, with the same shapes and the same mask.

    **Parameters**: none for dot; ``weight`` (query_size, key_size) for general;
    ``query_proj.weight`` (hidden_size, query_size) and ``key_proj.weight`` (hidden_size, key_size),
    the two halves of W, and ``score.weight`` (1, hidden_size) for concat, with hidden_size =
    query_size unless given; all initialised as ``nn.Linear``'s. Raises ArgumentError for another
    score, and for dot with sizes that differ.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        score: str = "general",
        hidden_size: int | None = None,
        batch_first: bool = False,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__(query_size, key_size, batch_first)
        op, kinds = "LuongAttention", ("dot", "general", "concat")
        expect(score in kinds, op, f"score to be one of {kinds}", repr(score), ArgumentError)
        ok = score != "dot" or query_size == key_size
        expect(ok, op, "query_size = key_size for dot", (query_size, key_size), ArgumentError)
        ok = hidden_size is None or score == "concat"
        expect(ok, op, "hidden_size with concat only", score, ArgumentError)
        self.kind = score
        hidden = query_size if hidden_size is None else hidden_size
        check_size(op, "hidden_size", hidden)
        if score == "general":
            drawn = Linear(key_size, query_size, False, device, dtype)
            self.weight = drawn.weight
        if score == "concat":
            self.query_proj = Linear(query_size, hidden, False, device, dtype)
            self.key_proj = Linear(key_size, hidden, False, device, dtype)
            self.score = Linear(hidden, 1, False, device, dtype)

    def prepare(self, keys: Any) -> Any:
        """k_j, W k_j or its half of W [q_i; k_j]: (S, B, key_size) → (S, B, ·)."""
        if self.kind == "dot":
            return keys
        return ops.linear(keys, self.weight) if self.kind == "general" else self.key_proj(keys)

    def _scores(self, query: Any, prepared: Any) -> Any:
        if self.kind != "concat":
            return query @ ops.swapaxes(prepared, -1, -2)
        return _one_hidden_layer(self, query, prepared)

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.key_size}, score={self.kind!r}"
