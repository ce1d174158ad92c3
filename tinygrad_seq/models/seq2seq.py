"""Many to many: an encoder reads a sequence, a decoder says another.

    k_1 … k_T, state = RNN(x_1 … x_T)        p(y | x) = Π_s p(y_s | y_1 … y_{s−1}, k_1 … k_T, state)

Without attention the last state is all that the decoder knows of the source (Sutskever, Vinyals and
Le 2014, arXiv:1409.3215); with it, every word it says looks at every k_t (Luong, Pham and Manning
2015, arXiv:1508.04025). Shapes as in ``attention_decoder``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_seq import nn, ops
from tinygrad_seq.autograd import Tensor, no_grad, tensor
from tinygrad_seq.backend import Generator, default_generator
from tinygrad_seq.data import step_mask
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.models.attention_decoder import Carried, Decoder, Memory
from tinygrad_seq.models.beam_search import beam_search
from tinygrad_seq.models.decoding import greedy
from tinygrad_seq.models.recurrent import State, recurrent
from tinygrad_seq.nn.lengths import check_lengths, reverse_padded


class Answers(NamedTuple):
    """What was said, on the host: tokens (S, B), padding after the end symbol; how many symbols
    stand before it, (B,); and the attention weights (B, S, T) if they were asked for."""

    tokens: np.ndarray
    lengths: np.ndarray
    weights: np.ndarray | None


class Encoder(nn.Module):
    """Reads a padded batch of sources, forwards, in reverse, or in both directions.

    In both directions each is H/2 wide, and side by side they make the states and outputs.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding: int,
        hidden: int,
        kind: str,
        layers: int,
        dropout: float,
        bidirectional: bool,
        reverse: bool,
        **where: Any,
    ):
        super().__init__()
        even = not bidirectional or hidden % 2 == 0
        expect(even, "Seq2Seq", "an even hidden size for two directions", hidden, ArgumentError)
        width = hidden // 2 if bidirectional else hidden
        self.embedding = nn.Embedding(vocabulary, embedding, **where)
        self.rnn = recurrent(
            kind, embedding, width, layers, dropout, bidirectional=bidirectional, **where
        )
        self.reverse = reverse

    def forward(self, source: Tensor, lengths: np.ndarray) -> tuple[Tensor, State]:
        """source (T, B) → k (T, B, H) in the order of the source, state (L, B, H)."""
        x = reverse_padded(source, lengths) if self.reverse else source
        keys, state = self.rnn(self.embedding(x), lengths=lengths)  # (T, B, H), (L·D, B, H/D)
        if self.reverse:
            keys = reverse_padded(keys, lengths)
        if self.rnn.bidirectional:
            state = tuple(map(_joined, state)) if isinstance(state, tuple) else _joined(state)
        return keys, state


def _joined(state: Tensor) -> Tensor:
    """(2L, B, H/2), a forward and a backward state by turns → (L, B, H), the two side by side."""
    joined: Tensor = ops.concatenate([state[0::2], state[1::2]], axis=2)
    return joined


class Seq2Seq(nn.Module):
    """Turns one sequence of symbols into another.

    source_vocabulary, target_vocabulary: how many symbols there are. embedding, hidden: the sizes E
    and H. kind: ``"rnn"`` (tanh), ``"lstm"`` or ``"gru"``, for encoder and decoder. layers: L, of
    each. dropout: on what each layer hands up.
    attention: None, ``"additive"``, ``"dot"``, ``"general"`` or ``"concat"``.
    input_feeding: whether each step is also told what the one before it made of its attention.
    reverse: whether the encoder reads the source, and only that, from its end: then the first
    symbols of source and target are close in time. bidirectional: whether it reads both ways.
    pad, bos, eos: symbols of the target: what fills up a batch, what the decoder is told first, and
    what it says last. It never says pad or bos.

    Raises ArgumentError for options that do not fit together.
    """

    #: on which axis of each tensor of the state that ``read`` gives the rows of the batch are
    BATCH_AXIS = ((1, 1, 0), 1)

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        embedding: int = 64,
        hidden: int = 256,
        kind: str = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        attention: str | None = None,
        input_feeding: bool = False,
        reverse: bool = False,
        bidirectional: bool = False,
        pad: int = 0,
        bos: int = 1,
        eos: int = 2,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        distinct = len({pad, bos, eos}) == 3 and all(
            0 <= symbol < target_vocabulary for symbol in (pad, bos, eos)
        )
        expected = f"pad, bos and eos to be three symbols of {target_vocabulary}"
        expect(distinct, "Seq2Seq", expected, (pad, bos, eos), ArgumentError)
        expected = "attention where there is input feeding: what it saw is fed"
        expect(attention or not input_feeding, "Seq2Seq", expected, attention, ArgumentError)
        where = {"device": device, "dtype": dtype}
        shared = (embedding, hidden, kind, layers, dropout)
        self.encoder = Encoder(source_vocabulary, *shared, bidirectional, reverse, **where)
        self.decoder = Decoder(target_vocabulary, *shared, attention, input_feeding, **where)
        never = np.isin(np.arange(target_vocabulary), (pad, bos))
        self.register_buffer("never", tensor(never, device=device), persistent=False)
        self.pad, self.bos, self.eos = pad, bos, eos

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_lengths: Any = None,
        teacher_forcing: float = 1.0,
        generator: Generator | None = None,
        return_weights: bool = False,
    ) -> Any:
        """Logits (S, B, V) of every symbol of the target; with ``return_weights`` a pair of them
        and the attention weights (B, S, T), or None without attention.

        source (T, B) and target (S, B), which ends with eos: integers. source_lengths (B,): how
        many steps of each source are real; all if None. Padding is never read and never looked at.

        The decoder is told bos, then at each step the target's symbol of the step before with
        probability ``teacher_forcing``, else the likeliest by its own logits; the coins are tossed
        for each step and row, from ``generator``. 1: it is always told the target, and what it says
        matters to nothing. 0: only bos and its own words; the target gives but the number of steps.
        Gradients flow through states and attention, not through the choice of a word. The module
        ``teacher_forcing`` has schedules of the share.
        """
        wanted = "teacher_forcing in [0, 1]"
        expect(0 <= teacher_forcing <= 1, "Seq2Seq", wanted, teacher_forcing, ArgumentError)
        _expect_tokens("source", source)
        _expect_tokens("target", target, source.shape[1])
        memory, carried = self.read(source, source_lengths)
        first = ops.full_like(target[:1], self.bos)
        told = ops.concatenate([first, target[:-1]])  # (S, B)
        if teacher_forcing == 1:
            logits, _, weights = self.decoder(told, memory, carried)
        else:
            coins = (generator or default_generator()).uniform(told.shape)
            right = tensor(coins < teacher_forcing, device=told.device)
            logits, weights = self._mixed(told, right, memory, carried)
        return (logits, weights) if return_weights else logits

    def _mixed(self, told: Tensor, right: Tensor, memory: Memory, carried: Carried) -> Any:
        """Step by step, told what is right where ``right`` (S, B) says so."""
        said: list[Tensor] = []
        looks, word = [], told[:1]  # (1, B)
        for step in range(told.shape[0]):
            if step:
                best = self._best(said[-1])
                word = ops.where(right[step : step + 1], told[step : step + 1], best)
            logits, carried, weights = self.decoder(word, memory, carried)
            said.append(logits)
            looks.append(weights)
        weights = None if looks[0] is None else ops.concatenate(looks, axis=1)
        return ops.concatenate(said), weights

    def _best(self, logits: Tensor) -> Tensor:
        """(…, V) → (…) the likeliest symbols of those that it may say."""
        best: Tensor = ops.argmax(ops.where(self.never, -math.inf, logits.detach()), axis=-1)
        return best

    def loss(
        self,
        source: Tensor,
        target: Tensor,
        source_lengths: Any = None,
        teacher_forcing: float = 1.0,
        generator: Generator | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Mean cross-entropy in nats per symbol of the target, padding left out; as ``forward``."""
        logits = self(source, target, source_lengths, teacher_forcing, generator)
        flat = logits.reshape(-1, logits.shape[-1])  # (S·B, V)
        loss: Tensor = ops.cross_entropy(
            flat, target.reshape(-1), ignore_index=self.pad, label_smoothing=label_smoothing
        )
        return loss

    # ------------------------------------------------------------------ saying

    def read(self, source: Tensor, source_lengths: Any = None) -> tuple[Memory, Carried]:
        """source (T, B) → the state in which ``step`` begins: what the decoder may look at, and
        what it carries. ``BATCH_AXIS`` says where in it the rows are."""
        _expect_tokens("source", source)
        steps, batch = source.shape
        lengths = np.full(batch, steps) if source_lengths is None else source_lengths
        lengths = check_lengths("Seq2Seq", lengths, steps, batch)
        keys, state = self.encoder(source, lengths)  # (T, B, H)
        padding = None
        if lengths.min() < steps:
            padding = tensor(~step_mask(lengths, steps).T, device=source.device)  # (B, T)
        fed = ops.full_like(keys[:1], 0)  # (1, B, H)
        return self.decoder.remember(keys, padding), Carried(state, fed)

    def step(
        self, tokens: Tensor, state: tuple[Memory, Carried]
    ) -> tuple[Tensor, tuple[Memory, Carried]]:
        """Be told one more symbol (B,) → logits (B, V) of the next, state: what the functions of
        ``decoding`` and ``beam_search`` call."""
        memory, carried = state
        logits, carried, _ = self.decoder(tokens[None], memory, carried)  # (1, B, V)
        return logits[0], (memory, carried)

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
        was said, or with more than one of ``beams`` the best that ``beam_search`` finds."""
        expect(length >= 1, "generate", "length ≥ 1", length, ArgumentError)
        expect(beams >= 1, "generate", "beams ≥ 1", beams, ArgumentError)
        with no_grad():
            state = self.read(source, source_lengths)
            start = ops.full_like(source[0], self.bos)  # (B,)
            ends: dict[str, Any] = {
                "length": length, "eos": self.eos, "pad": self.pad, "forbidden": [self.bos]
            }  # fmt: skip
            if beams == 1:
                said = greedy(self.step, start, state, **ends)  # (S, B)
            else:
                search: dict[str, Any] = {
                    "beams": beams,
                    "alpha": alpha,
                    "batch_axis": self.BATCH_AXIS,
                }
                said = beam_search(self.step, start, state, **search, **ends).tokens[:, :, 0]
            weights = None
            if return_weights and self.decoder.attention is not None:
                heard = tensor(said, device=source.device)
                weights = self(source, heard, source_lengths, return_weights=True)[1].numpy()
        return Answers(said, ((said != self.pad) & (said != self.eos)).sum(0), weights)


def _expect_tokens(name: str, tokens: Any, batch: int | None = None) -> None:
    shape = getattr(tokens, "shape", type(tokens).__name__)
    ok = isinstance(shape, tuple) and len(shape) == 2 and min(shape) > 0
    ok = ok and batch in (None, shape[1])
    expect(ok, "Seq2Seq", f"{name} of shape (steps, {batch or 'B'})", shape)
