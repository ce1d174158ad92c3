"""What ``tinygrad-seq gradcheck`` tries the models made of attention on."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.cli.rows import called, layer
from tinygrad_seq.models import BERT, GPT, TransformerSeq2Seq, ViT
from tinygrad_seq.ops.sample import Integers, Uniform

TEXT = Integers((2, 3), 0, 5)  # (B, T)
SEGMENTS = Integers((2, 3), 0, 2)  # (B, T)
SOURCE, TARGET = Integers((3, 2), 0, 5), Integers((3, 2), 0, 5)  # (S, B), (T, B)
PRESENT = np.array([[1, 1, 0], [1, 1, 1]])  # (B, T): one symbol of padding
IMAGES = Uniform((2, 1, 4, 4))  # (N, K, H, W)

small_gpt = partial(GPT, 5, context=3, layers=1, heads=2, width=4)
small_vit = partial(ViT, 4, 2, 3, width=4, layers=1, heads=2, feedforward=3)
small_bert = partial(BERT, 5, 3, width=4, layers=1, heads=2, feedforward=3)
small_pair = partial(TransformerSeq2Seq, 5, 5, width=4, heads=2, layers=1, feedforward=3)


def _in_pieces(model: GPT, tokens: Tensor) -> Tensor:
    """With the keys and values of the first step kept."""
    _, context = model.read(tokens[:, :1])
    return model(tokens[:, 1:], context)


def _pooled(model: BERT, tokens: Tensor, segments: Tensor) -> Any:
    hidden = model(tokens, PRESENT, segments)
    return hidden, model.pooled(hidden)


def _loss(model: TransformerSeq2Seq, source: Tensor, target: Tensor) -> Tensor:
    return model.loss(source, target, (2, 3), 0.1)


def _told(model: TransformerSeq2Seq, source: Tensor, target: Tensor) -> Tensor:
    """Step by step, with the keys and values kept."""
    state = model.read(source)
    _, state = model.step(target[0], state)
    return model.step(target[1], state)[0]


TRANSFORMER_ROWS = (
    layer("GPT", small_gpt, TEXT),
    layer("GPT dropout, no bias, head of its own",
          partial(small_gpt, dropout=0.3, bias=False, tied=False), TEXT),
    layer("GPT in pieces", called(small_gpt, _in_pieces), TEXT),
    layer("ViT", partial(small_vit, dropout=0.3), IMAGES),
    layer("BERT", called(partial(small_bert, dropout=0.3), _pooled), TEXT, SEGMENTS),
    layer("TransformerSeq2Seq padded, norm first", called(
        partial(small_pair, tied=False, norm_first=True), _loss), SOURCE, TARGET),
    layer("TransformerSeq2Seq step by step", called(
        partial(small_pair, dropout=0.0, shared=True, activation="gelu"), _told), SOURCE, TARGET),
)  # fmt: skip
