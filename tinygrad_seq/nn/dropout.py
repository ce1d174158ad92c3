"""Dropout."""

from __future__ import annotations

from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.module import Module


class Dropout(Module):
    """While training, each element is 0 with probability p, and 1/(1 − p) times itself otherwise.

    So the expected value stays. In evaluation it does nothing. (Srivastava et al. 2014.)
    """

    def __init__(self, p: float = 0.5):
        super().__init__()
        ok = isinstance(p, (int, float)) and 0 <= p < 1
        expect(ok, "Dropout", "a probability p in [0, 1)", repr(p), ArgumentError)
        self.p = p

    def forward(self, x: Any) -> Any:
        """Any shape → the same shape."""
        return ops.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
