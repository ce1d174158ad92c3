"""The loss of a language model on a text it was not trained on."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.autograd import no_grad, tensor
from tinygrad_seq.data import Streams
from tinygrad_seq.errors import DataError
from tinygrad_seq.models import CharLM


def evaluate(model: CharLM, tokens: np.ndarray, streams: int = 1, window: int = 512) -> float:
    """Mean cross-entropy in nats per character, the state carried through the whole text.

    With one stream every character but the first is predicted from all that came before it. More
    streams are faster: each is a piece of the text that starts from a state of zeros.
    """
    if len(tokens) < 2:
        raise DataError(f"the validation text needs 2 characters or more, got {len(tokens)}")
    streams = min(streams, len(tokens) - 1)
    text = Streams.cut(tokens, streams, 1)
    device = model.head.weight.device
    total, state, training = 0.0, None, model.training
    model.eval()
    with no_grad():
        for start in range(0, len(text.inputs), window):
            x, y = (part[start : start + window] for part in (text.inputs, text.targets))
            loss, state = model.loss(tensor(x, device=device), tensor(y, device=device), state)
            total += loss.item() * x.size
    model.train(training)
    return total / text.inputs.size
