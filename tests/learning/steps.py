"""The few lines that every training loop here shares."""

from __future__ import annotations

import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, optim
from tinygrad_seq.data import locate


def descend(optimizer: optim.Adam, model: nn.Module, loss: tg.Tensor, clip: float = 1.0) -> float:
    """One step down the gradient of ``loss``, clipped to a norm of ``clip``; → the loss."""
    optimizer.zero_grad()
    loss.backward()
    nn.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.item()


def set_rate(optimizer: optim.Adam, rate: float) -> None:
    """The learning rate of the next step."""
    optimizer.param_groups[0]["lr"] = rate


def skip_without(*names: str) -> None:
    """Skip the test unless these data files are on this machine: it must not download them."""
    missing = [name for name in names if locate(name) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)} (set TINYGRAD_SEQ_DATA)")
