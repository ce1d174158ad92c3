"""Embedding: a vector for each symbol."""

from __future__ import annotations

from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, no_grad, zeros
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import OutOfRangeError, expect
from tinygrad_seq.nn.init import normal_
from tinygrad_seq.nn.linear import check_size
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.parameter import Parameter


class Embedding(Module):
    """Rows of a table, looked up by integers: out[…, :] = weight[indices[…]].

    indices: integers of any shape; out: indices.shape + (embedding_dim,); weight:
    (num_embeddings, embedding_dim), standard normal at first. padding_idx: a symbol whose row
    starts at zero and gets no gradient; may be negative to count from the end.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        sizes = {"num_embeddings": num_embeddings, "embedding_dim": embedding_dim}
        for name, size in sizes.items():
            check_size("Embedding", name, size)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = _row(padding_idx, num_embeddings)
        shape = (num_embeddings, embedding_dim)
        self.weight = Parameter(zeros(shape, device=device, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """An embedding whose table is ``embeddings`` (memory shared), not learned if ``freeze``."""
        table = Parameter(embeddings, requires_grad=not freeze)
        shape = table.shape
        expect(table.ndim == 2, "Embedding", "embeddings of shape (symbols, width)", shape)
        made = cls.__new__(cls)
        Module.__init__(made)
        made.num_embeddings, made.embedding_dim = shape
        made.padding_idx = _row(padding_idx, shape[0])
        made.weight = table
        return made

    def reset_parameters(self) -> None:
        """Draw a new table."""
        normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, indices: Any) -> Tensor:
        """(…) integers → (…, embedding_dim)."""
        out: Tensor = ops.embedding(indices, self.weight, self.padding_idx)
        return out

    def extra_repr(self) -> str:
        pad = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{pad}"


def _row(index: int | None, rows: int) -> int | None:
    if index is None:
        return None
    ok = isinstance(index, int) and -rows <= index < rows
    expect(ok, "Embedding", f"padding_idx in [{-rows}, {rows})", repr(index), OutOfRangeError)
    return index % rows
