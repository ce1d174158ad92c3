"""Measuring a model on what it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinygrad_seq.autograd import no_grad, tensor
from tinygrad_seq.data import Streams
from tinygrad_seq.errors import DataError
from tinygrad_seq.models import CharLM
from tinygrad_seq.nn import Module


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within the block the model is in evaluation mode and nothing is recorded."""
    training = model.training
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        model.train(training)


def evaluate(model: CharLM, tokens: np.ndarray, streams: int = 1, window: int = 512) -> float:
    """Mean cross-entropy of a language model in nats per character, its state carried on.

    With one stream every character but the first is predicted from all that came before it. More
    streams are faster: each is a piece of the text that starts from a state of zeros.
    """
    if len(tokens) < 2:
        raise DataError(f"the validation text needs 2 characters or more, got {len(tokens)}")
    streams = min(streams, len(tokens) - 1)
    text = Streams.cut(tokens, streams, 1)
    device = model.head.weight.device
    total, state = 0.0, None
    with evaluating(model):
        for start in range(0, len(text.inputs), window):
            x, y = (part[start : start + window] for part in (text.inputs, text.targets))
            loss, state = model.loss(tensor(x, device=device), tensor(y, device=device), state)
            total += loss.item() * x.size
    return total / text.inputs.size
