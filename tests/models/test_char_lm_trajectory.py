"""The main job beside PyTorch: the same weights, the same text, fifty steps, the same course."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.bptt import TruncatedBPTT
from tinygrad_seq.data import Streams
from tinygrad_seq.models import CharLM
from tinygrad_seq.nn import clip_grad_norm_
from tinygrad_seq.optim import Adam

V, E, H, B, K, STEPS, LR = 11, 6, 9, 3, 7, 50, 0.01
CLIP = {"rnn": 0.55, "lstm": 0.3, "gru": 0.4}


def streams():
    rng = np.random.default_rng(0)
    text = (np.cumsum(rng.integers(0, 3, STEPS * K * B + 1)) + rng.integers(0, 2)) % V
    return Streams.cut(text, B, K)


def ours(kind, layers, text):
    model = CharLM(V, E, H, kind, layers, dtype="float64")
    start = {name: p.numpy().copy() for name, p in model.state_dict().items()}
    optimizer = Adam(model.parameters(), lr=LR)
    losses, norms, state = [], [], None
    x, y = tg.tensor(text.inputs), tg.tensor(text.targets)
    for window in TruncatedBPTT(K, K).run(model.loss, x, y, state):
        losses.append(float(window.loss))
        norms.append(float(clip_grad_norm_(model.parameters(), CLIP[kind])))
        optimizer.step()
        optimizer.zero_grad()
    end = {name: p.numpy() for name, p in model.state_dict().items()}
    return start, losses, norms, end


def theirs(torch, kind, layers, start, text):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            layer = getattr(torch.nn, kind.upper())
            self.embedding = torch.nn.Embedding(V, E)
            self.rnn = layer(E, H, layers)
            self.head = torch.nn.Linear(H, V)

    model = Model().double()
    model.load_state_dict({name: torch.tensor(value) for name, value in start.items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    losses, norms, state = [], [], None
    for window in range(STEPS):
        at = slice(window * K, (window + 1) * K)
        h, state = model.rnn(model.embedding(torch.tensor(text.inputs[at])), state)
        state = tuple(s.detach() for s in state) if kind == "lstm" else state.detach()
        logits = model.head(h).reshape(-1, V)
        targets = torch.tensor(text.targets[at]).reshape(-1)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP[kind]).item())
        optimizer.step()
        losses.append(loss.item())
    return losses, norms, {n: p.detach().numpy() for n, p in model.named_parameters()}


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "layers"), [("rnn", 1), ("lstm", 1), ("gru", 1), ("gru", 2)])
def test_fifty_steps_of_training_follow_pytorch(torch, kind, layers):
    text = streams()
    start, losses, norms, end = ours(kind, layers, text)
    expected_losses, expected_norms, expected_end = theirs(torch, kind, layers, start, text)
    assert len(losses) == STEPS
    assert losses[-1] < 0.9 * losses[0]
    assert min(norms) < CLIP[kind] < max(norms)  # some steps are clipped, some are not
    np.testing.assert_allclose(losses, expected_losses, rtol=0, atol=1e-5)
    np.testing.assert_allclose(norms, expected_norms, rtol=0, atol=1e-5)
    for name, value in end.items():
        np.testing.assert_allclose(value, expected_end[name], rtol=0, atol=1e-5, err_msg=name)
