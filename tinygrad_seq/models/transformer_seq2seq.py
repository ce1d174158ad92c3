"""Many to many by attention alone: a Transformer's encoder reads a sequence, its decoder says
another.

    memory = encoder(√C·E_s[x] + P)    p(y | x) = Π_t softmax(W·decoder(√C·E_t[y] + P, memory)_t)

(Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762.) Shapes: B pairs side by side, a
source of S and a target of T steps, V symbols, C the width.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq import nn, ops
from tinygrad_seq.autograd import Tensor, no_grad, tensor
from tinygrad_seq.data import step_mask
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.models.beam_search import beam_search
from tinygrad_seq.models.decoding import greedy
from tinygrad_seq.models.seq2seq import Answers
from tinygrad_seq.nn.init import normal_, xavier_uniform_, zeros_
from tinygrad_seq.nn.lengths import check_lengths


class Reading(NamedTuple):
    """What the decoder knows: the source as it was read (S, B, C), where it is padding (B, S) or
    None, and the keys and values of all that was said."""

    memory: Tensor
    padding: Tensor | None
    cache: nn.TransformerCache


class TransformerSeq2Seq(nn.Module):
    """Turns one sequence of symbols into another; a ``Seq2Seq`` without recurrence.

    source_vocabulary, target_vocabulary: how many symbols there are. width, heads, layers,
    feedforward (by default 4·width), dropout, activation, norm_first: as in ``nn.Transformer``;
    layers counts those of the encoder, and of the decoder. Positions are sinusoidal.
    tied: the head is the target's table of embeddings, its bias apart. shared: source and target
    have one table, so one vocabulary.
    pad, bos, eos: symbols of the target: what fills up a batch, what the decoder is told first, and
    what it says last. It never says pad or bos.

    Matrices start Xavier uniform, tables from N(0, 1/width), biases from 0. Raises ArgumentError
    for options that do not fit together.
    """

    #: on which axis of each part of the state that ``read`` gives the rows of the batch are
    BATCH_AXIS = (1, 0, 0)

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        width: int = 128,
        heads: int = 4,
        layers: int = 2,
        feedforward: int | None = None,
        dropout: float = 0.1,
        activation: Any = "relu",
        norm_first: bool = False,
        tied: bool = True,
        shared: bool = False,
        pad: int = 0,
        bos: int = 1,
        eos: int = 2,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        op, symbols = "TransformerSeq2Seq", {pad, bos, eos}
        ok = len(symbols) == 3 and all(0 <= s < target_vocabulary for s in symbols)
        expected = f"pad, bos and eos to be three symbols of {target_vocabulary}"
        expect(ok, op, expected, (pad, bos, eos), ArgumentError)
        both = source_vocabulary, target_vocabulary
        expect(not shared or both[0] == both[1], op, "one vocabulary to share", both, ArgumentError)
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.target_table = nn.Embedding(target_vocabulary, width, **where)
        table = self.target_table if shared else nn.Embedding(source_vocabulary, width, **where)
        self.source_table = table
        self.positions = nn.SinusoidalPositions(width)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Transformer(
            width, heads, layers, layers, feedforward or 4 * width, dropout, activation,
            norm_first=norm_first, **where,
        )  # fmt: skip
        self.head = nn.Linear(width, target_vocabulary, **where)
        if tied:
            self.head.weight = self.target_table.weight
        self.width, self.pad, self.bos, self.eos = width, pad, bos, eos
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        tables = {id(self.source_table.weight), id(self.target_table.weight)}
        for name, parameter in self.named_parameters():
            if id(parameter) in tables:
                normal_(parameter, std=1 / math.sqrt(self.width))
            elif parameter.ndim > 1:
                xavier_uniform_(parameter)
            elif name.endswith("bias"):
                zeros_(parameter)

    def forward(self, source: Tensor, target: Tensor, source_lengths: Any = None) -> Tensor:
        """Logits (T, B, V) of every symbol of the target, each told those before it.

        source (S, B) and target (T, B), which ends with eos: integers. source_lengths (B,): how
        many steps of each source are real; all if None. Padding is never looked at.
        """
        _expect_tokens("target", target, _expect_tokens("source", source))
        first = ops.full_like(target[:1], self.bos)  # (1, B)
        told = ops.concatenate([first, target[:-1]])  # (T, B)
        memory, padding, _ = self.read(source, source_lengths)
        seen = self.transformer.decoder(self._enter(self.target_table, told), memory,
                                        memory_key_padding_mask=padding,
                                        tgt_is_causal=True)  # fmt: skip
        logits: Tensor = self.head(seen)  # (T, B, C) → (T, B, V)
        return logits

    def _enter(self, table: nn.Embedding, tokens: Tensor, past: int = 0) -> Any:
        """tokens (T, B) that ``past`` others came before → vectors (T, B, C)."""
        return self.dropout(self.positions(table(tokens) * math.sqrt(self.width), past))

    def loss(
        self,
        source: Tensor,
        target: Tensor,
        source_lengths: Any = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Mean cross-entropy in nats per symbol of the target, padding left out; as ``forward``."""
        logits = self(source, target, source_lengths)
        flat = logits.reshape(-1, logits.shape[-1])  # (T, B, V) → (T·B, V)
        labels = target.reshape(-1)  # (T, B) → (T·B,)
        loss: Tensor = ops.cross_entropy(
            flat, labels, ignore_index=self.pad, label_smoothing=label_smoothing
        )
        return loss

    def attention_maps(self, source: Tensor, target: Tensor, source_lengths: Any = None) -> Any:
        """How much the decoder looks at each step of the source while it says the target, as
        ``forward``: the weights (N, B, H, T, S) of its N layers of H heads, on the host."""
        with no_grad(), nn.watch_attention(self.transformer.decoder) as seen:
            self(source, target, source_lengths)
        across = [found for name, found in seen.items() if name.endswith("multihead_attn")]
        return np.stack([weights.numpy() for (weights,) in across])

    # ------------------------------------------------------------------ saying

    def read(self, source: Tensor, source_lengths: Any = None) -> Reading:
        """source (S, B) → the state in which ``step`` begins. ``BATCH_AXIS`` says where in it the
        rows are."""
        batch, steps = _expect_tokens("source", source), source.shape[0]
        lengths = np.full(batch, steps) if source_lengths is None else source_lengths
        lengths = check_lengths("TransformerSeq2Seq", lengths, steps, batch)
        padding = None
        if lengths.min() < steps:
            padding = tensor(~step_mask(lengths, steps).T, device=source.device)  # (B, S)
        x = self._enter(self.source_table, source)  # (S, B, C)
        memory = self.transformer.encoder(x, src_key_padding_mask=padding)  # (S, B, C)
        return Reading(memory, padding, self.transformer.decoder.new_cache())

    def step(self, tokens: Tensor, state: Reading) -> tuple[Tensor, Reading]:
        """Be told one more symbol (B,) → logits (B, V) of the next, state: what the functions of
        ``decoding`` and ``beam_search`` call."""
        memory, padding, cache = state
        x = self._enter(self.target_table, tokens[None], cache.length)  # (1, B, C)
        seen = self.transformer.decoder(x, memory, memory_key_padding_mask=padding,
                                        tgt_is_causal=True, cache=cache)  # fmt: skip
        return self.head(seen[0]), state  # (B, V)

    def generate(
        self,
        source: Tensor,
        source_lengths: Any = None,
        length: int = 100,
        beams: int = 1,
        alpha: float = 0.6,
        return_weights: bool = False,
    ) -> Answers:
        """Say up to ``length`` symbols, the end symbol among them: the likeliest after each that
        was said, or with more than one of ``beams`` the best that ``beam_search`` finds. The
        weights of the answers are the mean over layers and heads of ``attention_maps``."""
        expect(length >= 1, "generate", "length ≥ 1", length, ArgumentError)
        expect(beams >= 1, "generate", "beams ≥ 1", beams, ArgumentError)
        ends: dict[str, Any] = {"length": length, "eos": self.eos, "pad": self.pad,
                                "forbidden": [self.bos]}  # fmt: skip
        with no_grad():
            state = self.read(source, source_lengths)
            start = ops.full_like(source[0], self.bos)  # (B,)
            if beams == 1:
                said = greedy(self.step, start, state, **ends)  # (T, B)
            else:
                found = beam_search(self.step, start, state, beams=beams, alpha=alpha,
                                    batch_axis=self.BATCH_AXIS, **ends)  # fmt: skip
                said = found.tokens[:, :, 0]
        weights = None
        if return_weights:
            heard = tensor(said, device=source.device)
            weights = self.attention_maps(source, heard, source_lengths).mean(axis=(0, 2))
        return Answers(said, ((said != self.pad) & (said != self.eos)).sum(0), weights)


def _expect_tokens(name: str, tokens: Any, batch: int | None = None) -> int:
    """How many rows there are."""
    shape: Any = getattr(tokens, "shape", ())
    ok = len(shape) == 2 and min(shape) > 0 and batch in (None, shape[1])
    expect(ok, "TransformerSeq2Seq", f"{name} of shape (steps, {batch or 'B'})", shape)
    return int(shape[1])
