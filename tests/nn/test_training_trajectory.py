"""A character LSTM trained for 50 steps stays on PyTorch's path from the same weights."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, optim

TEXT = "the quick brown fox jumps over the lazy dog; pack my box with five dozen liquor jugs. " * 8
STEPS, WINDOW, BATCH, MAX_NORM = 50, 12, 4, 0.3


def char_lstm(nn, symbols, **options):
    """Embedding → LSTM → Linear, in the library ``nn``."""
    return nn.ModuleDict(
        {
            "embed": nn.Embedding(symbols, 6, **options),
            "rnn": nn.LSTM(6, 10, **options),
            "head": nn.Linear(10, symbols, **options),
        }
    )


def windows():
    """Indices of inputs and targets, (T, B) each, so that every row goes on where it was."""
    symbols = sorted(set(TEXT))
    text = np.array([symbols.index(c) for c in TEXT])
    rows = np.resize(text, (BATCH, STEPS * WINDOW + 1)).T
    for start in range(0, STEPS * WINDOW, WINDOW):
        yield rows[start : start + WINDOW], rows[start + 1 : start + WINDOW + 1]


def train_ours(model, device):
    """Truncated backpropagation through time; → the losses and the norms before clipping."""
    optimiser = optim.Adam(model.parameters(), lr=0.01)
    loss_of = nn.CrossEntropyLoss()
    state, losses, norms = None, [], []
    for inputs, targets in windows():
        x, y = tg.tensor(inputs, device=device), tg.tensor(targets, device=device)
        hidden, (h, c) = model["rnn"](model["embed"](x), state)
        state = (h.detach(), c.detach())
        logits = model["head"](hidden)
        loss = loss_of(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        norms.append(nn.clip_grad_norm_(model.parameters(), MAX_NORM).item())
        optimiser.step()
        losses.append(loss.item())
    return losses, norms


def clip_exactly(torch, parameters):
    """PyTorch's clipping without the 1e-6 that it adds to the norm."""
    grads = [p.grad for p in parameters]
    norm = torch.linalg.vector_norm(torch.cat([g.flatten() for g in grads]))
    for g in grads:
        g.mul_(min(1.0, MAX_NORM / norm.item()))
    return norm


def train_theirs(torch, model, clip):
    """The same in PyTorch."""
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    loss_of = torch.nn.CrossEntropyLoss()
    state, losses, norms = None, [], []
    for inputs, targets in windows():
        hidden, (h, c) = model["rnn"](model["embed"](torch.tensor(inputs)), state)
        state = (h.detach(), c.detach())
        logits = model["head"](hidden)
        loss = loss_of(logits.flatten(0, 1), torch.tensor(targets).flatten())
        optimiser.zero_grad()
        loss.backward()
        norms.append(clip(list(model.parameters())).item())
        optimiser.step()
        losses.append(loss.item())
    return losses, norms


@pytest.mark.oracle
@pytest.mark.parametrize(("exact", "tolerance"), [(True, 1e-9), (False, 1e-5)])
def test_fifty_steps_equal_pytorchs(torch, device, exact, tolerance):
    symbols = len(set(TEXT))
    theirs = char_lstm(torch.nn, symbols, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for p in theirs.parameters():
        torch.nn.init.uniform_(p, -0.5, 0.5, generator=generator)
    ours = char_lstm(nn, symbols, dtype="float64", device=device)
    ours.load_state_dict({n: p.numpy().copy() for n, p in theirs.state_dict().items()})

    def builtin(parameters):
        return torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM)

    clip = (lambda parameters: clip_exactly(torch, parameters)) if exact else builtin
    losses, norms = train_ours(ours, device)
    expected, expected_norms = train_theirs(torch, theirs, clip)
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    np.testing.assert_allclose(norms, expected_norms, rtol=tolerance)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(
            ours.state_dict()[name].numpy(), value.numpy(), rtol=tolerance, atol=tolerance
        )
    assert max(norms) > MAX_NORM  # some steps were clipped
    assert losses[-1] < losses[0] - 0.3  # and it learned
