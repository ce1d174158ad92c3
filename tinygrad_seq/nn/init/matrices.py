"""Weights with a structure: the identity, orthogonal matrices, sparse ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Generator, default_generator
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.init.filling import fill, finite, floating, is_number


def eye_(tensor: Tensor, scale: float = 1.0) -> Tensor:
    """``scale`` on the main diagonal of a matrix, 0 elsewhere."""
    expect(tensor.ndim == 2, "eye_", "a matrix", f"shape {tensor.shape}")
    finite("eye_", "scale", scale)
    rows, columns = tensor.shape
    return fill(tensor, scale * np.eye(rows, columns))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that hands its input channels on: 1 in the kernel's middle where out = in.

    tensor (out, in, *kernel) with one to three kernel axes; as many channels are handed on as
    there are on both sides. ``groups`` cuts the outputs into that many parts, each of which
    begins again at channel 0; a number that does not divide them raises ArgumentError.
    """
    op = "dirac_"
    ok = tensor.ndim in (3, 4, 5) and tensor.size > 0
    expect(ok, op, "a non-empty tensor of rank 3 to 5", f"shape {tensor.shape}")
    out = tensor.shape[0]
    ok = isinstance(groups, int) and groups > 0 and out % groups == 0
    expect(ok, op, f"groups that divide the {out} outputs", repr(groups), ArgumentError)
    kernel = np.zeros(tensor.shape)
    middle: Any = tuple(n // 2 for n in tensor.shape[2:])
    channels = np.arange(min(out // groups, tensor.shape[1]))
    for first in range(0, out, out // groups):
        kernel[first + channels, channels, *middle] = 1
    return fill(tensor, kernel)


def orthogonal_(tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """A random matrix with QᵀQ = gain²·I (or QQᵀ, if it is wider than high); rank 2 or more.

    Axes after the first are taken as one. Uniform over all such matrices: the QR factors of a
    normal matrix, signed so that R's diagonal is positive (Saxe et al. 2014, arXiv:1312.6120).
    """
    return _orthogonal_blocks("orthogonal_", tensor, 1, gain, generator)


def orthogonal_gates_(
    weight: Tensor, gates: int, gain: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Every gate's block of rows orthogonal by itself, as ``orthogonal_`` makes it.

    weight (gates·H, …): the weights of ``gates`` gates one below the other, as recurrent layers
    hold them (RNN 1, GRU 3, LSTM 4). Filled as one matrix, it would be the columns of all gates
    together that are orthogonal, and each block by itself would shrink vectors by about √gates.
    """
    op = "orthogonal_gates_"
    ok = isinstance(gates, int) and not isinstance(gates, bool) and gates > 0
    expect(ok, op, "gates, an integer ≥ 1", repr(gates), ArgumentError)
    return _orthogonal_blocks(op, weight, gates, gain, generator)


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, *, generator: Generator | None = None
) -> Tensor:
    """N(0, std²) but for ⌈sparsity·rows⌉ zeros in every column, at random places; a matrix.

    ``sparsity`` is the share of zeros, from 0 to 1 (Martens 2010, Deep learning via Hessian-free
    optimization).
    """
    op = "sparse_"
    floating(op, tensor)
    expect(tensor.ndim == 2, op, "a matrix", f"shape {tensor.shape}")
    ok = is_number(sparsity) and 0 <= sparsity <= 1
    expect(ok, op, "a sparsity from 0 to 1", repr(sparsity), ArgumentError)
    finite(op, "std", std, 0)
    stream = generator or default_generator()
    values = std * stream.normal(tensor.shape)
    # Sorting random numbers puts the rows of every column in an order of its own.
    order = np.argsort(stream.uniform(tensor.shape), axis=0)
    np.put_along_axis(values, order[: math.ceil(sparsity * tensor.shape[0])], 0, axis=0)
    return fill(tensor, values)


def _orthogonal_blocks(
    op: str, tensor: Tensor, blocks: int, gain: float, generator: Generator | None
) -> Tensor:
    """Cut the rows into ``blocks`` parts and make each of them orthogonal."""
    floating(op, tensor)
    expect(tensor.ndim >= 2, op, "a tensor of rank 2 or more", f"shape {tensor.shape}")
    finite(op, "gain", gain, 0)
    ok = tensor.shape[0] % blocks == 0
    expect(ok, op, f"a number of rows that {blocks} gates divide", f"shape {tensor.shape}")
    rows, columns = tensor.shape[0] // blocks, math.prod(tensor.shape[1:])
    stream = generator or default_generator()
    drawn = stream.normal((blocks, max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    signs = np.where(np.diagonal(r, axis1=1, axis2=2) < 0, -1.0, 1.0)
    q = q * signs[:, None, :]
    return fill(tensor, gain * (q.swapaxes(1, 2) if rows < columns else q).reshape(tensor.shape))
