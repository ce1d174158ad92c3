"""A character language model: embedding, recurrent layers, linear read-out.

    x_t = E[c_t]        h_t = RNN(x_t, h_{t−1})        p(c_{t+1} | c_1 … c_t) = softmax(W h_t + b)

Source: Graves, Generating Sequences With Recurrent Neural Networks, arXiv:1308.0850.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, no_grad, tensor
from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, DataError, expect
from tinygrad_seq.models.decoding import sampler
from tinygrad_seq.models.recurrent import State, recurrent
from tinygrad_seq.nn import Dropout, Embedding, Linear, Module


class CharLM(Module):
    """Logits of the next character for every position of a text.

    vocabulary: V, the number of characters. kind: ``"rnn"`` (tanh), ``"lstm"`` or ``"gru"``.
    embedding, hidden: the sizes E and H. dropout: on what each of the ``layers`` hands up.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding: int = 64,
        hidden: int = 256,
        kind: str = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        where = {"device": device, "dtype": dtype}
        self.embedding = Embedding(vocabulary, embedding, **where)
        self.rnn = recurrent(kind, embedding, hidden, layers, dropout, **where)
        self.dropout = Dropout(dropout)
        self.head = Linear(hidden, vocabulary, **where)

    def forward(self, tokens: Tensor, state: State = None) -> tuple[Tensor, State]:
        """tokens (T, B), state of before (None: zeros) → logits (T, B, V), state of after."""
        x = self.embedding(tokens)  # (T, B, E)
        h, state = self.rnn(x, state)  # (T, B, H)
        return self.head(self.dropout(h)), state  # (T, B, V)

    def loss(self, tokens: Tensor, targets: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Mean cross-entropy against ``targets`` (T, B), in nats per character, and the state."""
        logits, state = self(tokens, state)
        flat = logits.reshape(-1, logits.shape[-1])  # (T·B, V)
        return ops.cross_entropy(flat, targets.reshape(-1)), state

    def generate(
        self,
        prompt: np.ndarray,
        length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: Generator | None = None,
    ) -> Iterator[int]:
        """Read ``prompt``, then write ``length`` tokens, each fed back in as the next input.

        A token is drawn from softmax(logits / temperature); the options are those of
        ``decoding.sample``. Raises ArgumentError for one out of range, DataError for an empty
        prompt.
        """
        expect(length >= 0, "generate", "length ≥ 0", length, ArgumentError)
        expect(len(prompt) > 0, "generate", "a prompt of one token or more", "none", DataError)
        return self._write(prompt, length, sampler(temperature, top_k, top_p, generator))

    def _write(
        self, prompt: np.ndarray, length: int, choose: Callable[[np.ndarray], np.ndarray]
    ) -> Iterator[int]:
        logits, state = self._read(prompt, None)
        for _ in range(length):
            token = int(choose(logits[np.newaxis])[0])
            yield token
            logits, state = self._read(np.array([token]), state)

    def _read(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """One stream on: → the logits after the last token, on the host (V,), and the state."""
        with no_grad():
            column = tensor(tokens[:, None], device=self.head.weight.device)  # (T, 1)
            logits, state = self(column, state)
        return logits[-1, 0].numpy(), state
