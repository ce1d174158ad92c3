"""A recurrent decoder that may look back at what an encoder has read.

Luong, Pham and Manning 2015, arXiv:1508.04025. Shapes: S target steps, T source steps, B sequences,
L layers, V symbols; embeddings are E wide, states H.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_seq import nn, ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.models.recurrent import State, recurrent

LUONG = ("dot", "general", "concat")


class Memory(NamedTuple):
    """What was read: keys (T, B, H), the encoder's outputs in the order of the source; what of the
    scores depends on them alone, (T, B, ·); padding (B, T), true where a key stands for nothing, or
    None."""

    keys: Tensor
    prepared: Tensor | None
    padding: Tensor | None


class Carried(NamedTuple):
    """What goes from step to step: the recurrent state (L, B, H), and the last h̃ (1, B, H)."""

    state: State
    fed: Tensor


class Decoder(nn.Module):
    """Logits of the next symbol after each that it is told. For s = 1 … S::

        h_s = RNN([E[y_{s−1}]; h̃_{s−1}], h_{s−1})       h̃_{s−1} only with input feeding
        a_s = softmax_t score(h_s, k_t)                 how much it looks at source step t
        h̃_s = tanh(W_c [Σ_t a_st k_t; h_s])             without attention h̃_s = h_s
        p(y_s | y_1 … y_{s−1}, source) = softmax(W h̃_s + b)

    attention: None, ``"additive"``, or Luong's ``"dot"``, ``"general"`` or ``"concat"``. Without
    input feeding nothing waits for a word to be said, so all steps run as one recurrent op and look
    at the source at once.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding: int,
        hidden: int,
        kind: str,
        layers: int,
        dropout: float,
        attention: str | None,
        input_feeding: bool,
        **where: Any,
    ):
        super().__init__()
        told = embedding + hidden if input_feeding else embedding
        self.embedding = nn.Embedding(vocabulary, embedding, **where)
        self.rnn = recurrent(kind, told, hidden, layers, dropout, **where)
        self.attention = attention_of(attention, hidden, **where)
        self.combine: Any = None
        if self.attention is not None:
            self.combine = nn.Linear(2 * hidden, hidden, bias=False, **where)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, vocabulary, **where)
        self.input_feeding = input_feeding

    def forward(
        self, told: Tensor, memory: Memory, carried: Carried
    ) -> tuple[Tensor, Carried, Tensor | None]:
        """told (S, B) → logits (S, B, V), what to carry on, weights (B, S, T) or None."""
        x = self.embedding(told)  # (S, B, E)
        if self.input_feeding:
            h, carried, weights = self._step_by_step(x, memory, carried)
        else:
            h, carried, weights = self._at_once(x, memory, carried)
        return self.head(self.dropout(h)), carried, weights  # (S, B, V)

    def remember(self, keys: Tensor, padding: Tensor | None) -> Memory:
        """keys (T, B, H), padding (B, T) → what ``forward`` looks at."""
        prepared = None if self.attention is None else self.attention.prepare(keys)
        return Memory(keys, prepared, padding)

    def _step_by_step(self, x: Tensor, memory: Memory, carried: Carried) -> Any:
        said, looks = [], []
        for step in range(x.shape[0]):
            fed = ops.concatenate([x[step : step + 1], carried.fed], axis=2)  # (1, B, E + H)
            h, carried, weights = self._at_once(fed, memory, carried)
            said.append(h)
            looks.append(weights)
        return ops.concatenate(said), carried, ops.concatenate(looks, axis=1)

    def _at_once(self, x: Tensor, memory: Memory, carried: Carried) -> Any:
        """x (S, B, ·) → h̃ (S, B, H), what to carry on, weights (B, S, T) or None."""
        h, state = self.rnn(x, carried.state)  # (S, B, H)
        weights = None
        if self.attention is not None:
            found = {"key_padding_mask": memory.padding, "prepared": memory.prepared}
            context, weights = self.attention(h, memory.keys, **found)  # (S, B, H), (B, S, T)
            h = ops.tanh(self.combine(ops.concatenate([context, h], axis=2)))  # (S, B, H)
        return h, Carried(state, h[-1:]), weights


def attention_of(name: str | None, hidden: int, **where: Any) -> Any:
    """The layer of a name, for queries and keys that are H wide; None for None."""
    if name is None:
        return None
    if name == "additive":
        return nn.AdditiveAttention(hidden, hidden, hidden, **where)
    known = f"attention None, 'additive' or one of {', '.join(LUONG)}"
    expect(name in LUONG, "Seq2Seq", known, repr(name), ArgumentError)
    return nn.LuongAttention(hidden, hidden, name, **where)
