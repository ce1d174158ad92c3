"""MNIST: handwritten digits."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.data.fetch import fetch
from tinygrad_seq.errors import DataError, expect

_UNSIGNED_BYTE = 8


def mnist(train: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) uint8, 0 background to 255 ink, and labels (N,) int64; N 60,000 or 10,000.

    Raises what ``fetch`` raises. Source: LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning
    Applied to Document Recognition (1998).
    """
    part = "training" if train else "test"
    images = read_idx(fetch(f"mnist {part} images"), f"mnist {part} images")
    labels = read_idx(fetch(f"mnist {part} labels"), f"mnist {part} labels")
    return images, labels.astype(np.int64)


def read_idx(contents: bytes, name: str = "IDX") -> np.ndarray:
    """An IDX file of unsigned bytes as an array of its shape.

    The format: two zero bytes, the type (8 for unsigned bytes), the rank, each length as a
    big-endian 32-bit integer, the elements in row-major order. Raises DataError if the contents
    are not that; ``name`` is for its message.
    """
    head = contents[:4]
    ok = len(head) == 4 and head[:3] == bytes((0, 0, _UNSIGNED_BYTE))
    expect(ok, name, "an IDX file of unsigned bytes", f"one that begins {head!r}", DataError)
    start = 4 + 4 * head[3]
    expect(len(contents) >= start, name, f"{start} bytes of head", len(contents), DataError)
    shape = tuple(np.frombuffer(contents[4:start], ">u4").tolist())
    size = len(contents) - start
    expect(size == np.prod(shape, dtype=int), name, f"elements for {shape}", size, DataError)
    return np.frombuffer(contents, np.uint8, offset=start).reshape(shape).copy()
