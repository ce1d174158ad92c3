"""Where in a sequence a step stands: what attention, which sees a set, has to be told.

``SinusoidalPositions`` and ``LearnedPositions`` are added to the vectors that enter a model.
``RotaryPositions`` and ``AlibiBias`` act inside attention, on queries and keys and on the scores;
``nn.MultiheadAttention`` takes either as ``positions=``. In all four, ``offset`` is the number of
steps that came before the first one given, as in decoding step by step.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, tensor, zeros
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, OutOfRangeError, expect
from tinygrad_seq.nn.init import normal_
from tinygrad_seq.nn.linear import check_size
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.parameter import Parameter


def _rates(width: int, base: float) -> np.ndarray:
    """base^(−2i/width) for i = 0, 1 … ⌈width/2⌉ − 1: radians per step of each pair."""
    return base ** (-np.arange(0, width, 2) / width)


def _angles(start: int, stop: int, width: int, base: float) -> np.ndarray:
    """position · rate, (stop − start, ⌈width/2⌉)."""
    return np.arange(start, stop)[:, None] * _rates(width, base)


def _check_base(op: str, base: Any) -> None:
    ok = isinstance(base, (int, float)) and base > 0 and math.isfinite(base)
    expect(ok, op, "a finite base > 0", repr(base), ArgumentError)


def _check_offset(op: str, offset: Any) -> None:
    ok = isinstance(offset, int) and offset >= 0
    expect(ok, op, "an integer offset ≥ 0", repr(offset), OutOfRangeError)


class _Tables(Module):
    """Constants of each position, made on the host when first asked for and kept per device and
    dtype; no part of the state."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[tuple[str, str], tuple[Tensor, ...]] = {}

    def _made(self, steps: int) -> tuple[np.ndarray, ...]:
        """The tables of positions 0 … steps − 1, in float64."""
        raise NotImplementedError

    def _tables(self, x: Tensor, start: int, stop: int) -> list[Tensor]:
        """Positions start … stop − 1 of the tables, beside x in its dtype."""
        place = str(x.device), str(x.dtype)
        held = self._held.get(place)
        if held is None or held[0].shape[0] < stop:
            made = self._made(max(stop, 2 * held[0].shape[0] if held else 0))
            held = tuple(tensor(t, dtype=x.dtype, device=x.device) for t in made)
            self._held[place] = held
        return [t[start:stop] for t in held]


def _steps(op: str, x: Any, width: int, batch_first: bool) -> int:
    """How many steps x (L, B, width), (B, L, width) or (L, width) has."""
    shape: Any = getattr(x, "shape", ())
    ok = len(shape) in (2, 3) and shape[-1] == width
    lead = "B, L" if batch_first else "L, B"
    expect(ok, op, f"x of shape ({lead}, {width}) or (L, {width})", shape)
    return int(shape[-2] if batch_first or len(shape) == 2 else shape[0])


def _along(table: Tensor, x: Any, batch_first: bool) -> Tensor:
    """A table (L, width), shaped to be added to x."""
    aligned = batch_first or x.ndim == 2
    return table if aligned else table.expand_dims(1)


class SinusoidalPositions(_Tables):
    """Adds waves of d_model/2 frequencies, a fixed vector for each position p::

        y_p = x_p + e_p      e_p[2i] = sin(p·base^(−2i/d_model))
                             e_p[2i + 1] = cos(p·base^(−2i/d_model))

    x: (L, B, d_model), or (B, L, d_model) if ``batch_first``, or (L, d_model); y: the same. Any
    length will do. (Vaswani et al. 2017, arXiv:1706.03762.)
    """

    def __init__(self, d_model: int, batch_first: bool = False, base: float = 10000.0):
        super().__init__()
        check_size("SinusoidalPositions", "d_model", d_model)
        _check_base("SinusoidalPositions", base)
        self.d_model = d_model
        self.batch_first = batch_first
        self.base = base

    def _made(self, steps: int) -> tuple[np.ndarray, ...]:
        angles = _angles(0, steps, self.d_model, self.base)
        table = np.empty((steps, self.d_model))
        table[:, 0::2] = np.sin(angles)
        table[:, 1::2] = np.cos(angles[:, : self.d_model // 2])
        return (table,)

    def forward(self, x: Any, offset: int = 0) -> Tensor:
        """x plus the vectors of positions offset, offset + 1 …"""
        op = "SinusoidalPositions"
        steps = _steps(op, x, self.d_model, self.batch_first)
        _check_offset(op, offset)
        (table,) = self._tables(x, offset, offset + steps)
        out: Tensor = x + _along(table, x, self.batch_first)
        return out

    def extra_repr(self) -> str:
        return f"{self.d_model}, batch_first={self.batch_first}, base={self.base}"


class LearnedPositions(Module):
    """Adds a learned vector for each position: y_p = x_p + weight[p].

    x: (L, B, d_model), or (B, L, d_model) if ``batch_first``, or (L, d_model); y: the same; weight:
    (max_len, d_model), from N(0, 0.02²). A position at or beyond ``max_len`` raises
    OutOfRangeError. (Gehring et al. 2017, arXiv:1705.03122; the spread is that of Radford et al.
    2018.)
    """

    def __init__(
        self,
        max_len: int,
        d_model: int,
        batch_first: bool = False,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        for name, size in {"max_len": max_len, "d_model": d_model}.items():
            check_size("LearnedPositions", name, size)
        self.max_len = max_len
        self.d_model = d_model
        self.batch_first = batch_first
        self.weight = Parameter(zeros((max_len, d_model), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new vectors."""
        normal_(self.weight, std=0.02)

    def forward(self, x: Any, offset: int = 0) -> Tensor:
        """x plus the vectors of positions offset, offset + 1 …"""
        op = "LearnedPositions"
        steps = _steps(op, x, self.d_model, self.batch_first)
        _check_offset(op, offset)
        stop = offset + steps
        expect(stop <= self.max_len, op, f"positions below {self.max_len}", stop - 1,
               OutOfRangeError)  # fmt: skip
        out: Tensor = x + _along(self.weight[offset:stop], x, self.batch_first)
        return out

    def extra_repr(self) -> str:
        return f"{self.max_len}, {self.d_model}, batch_first={self.batch_first}"


class RotaryPositions(_Tables):
    """Turns each pair of a query's or key's elements by an angle that grows with the position p::

        θ = p·base^(−2i/head_dim)
        y_p[2i]     = x_p[2i]·cos θ − x_p[2i + 1]·sin θ
        y_p[2i + 1] = x_p[2i]·sin θ + x_p[2i + 1]·cos θ

    so that the product of a query at p and a key at q depends on their vectors and on p − q only.
    x: (…, L, head_dim); y: the same; head_dim even. interleaved=False: the pairs are i and
    i + head_dim/2 instead, as many published weights have them. (Su et al. 2021,
    arXiv:2104.09864.)
    """

    def __init__(self, head_dim: int, base: float = 10000.0, interleaved: bool = True):
        super().__init__()
        op = "RotaryPositions"
        check_size(op, "head_dim", head_dim)
        expect(head_dim % 2 == 0, op, "an even head_dim", head_dim, ArgumentError)
        _check_base(op, base)
        self.head_dim = head_dim
        self.base = base
        self.interleaved = interleaved

    def _made(self, steps: int) -> tuple[np.ndarray, ...]:
        angles = _angles(0, steps, self.head_dim, self.base)
        return np.cos(angles), np.sin(angles)

    def forward(self, x: Any, offset: int = 0) -> Tensor:
        """x turned as it must be at positions offset, offset + 1 …"""
        shape: Any = getattr(x, "shape", ())
        ok = len(shape) >= 2 and shape[-1] == self.head_dim
        expect(ok, "RotaryPositions", f"x of shape (…, L, {self.head_dim})", shape)
        _check_offset("RotaryPositions", offset)
        cos, sin = self._tables(x, offset, offset + shape[-2])
        pairs = (-1, 2) if self.interleaved else (2, -1)
        axis = -1 if self.interleaved else -2
        both = ops.reshape(x, (*shape[:-1], *pairs))  # (…, L, head_dim/2, 2) or with 2 before
        a, b = (both[..., 0], both[..., 1]) if axis == -1 else (both[..., 0, :], both[..., 1, :])
        turned = ops.stack([a * cos - b * sin, a * sin + b * cos], axis=axis)
        out: Tensor = ops.reshape(turned, shape)
        return out

    def extra_repr(self) -> str:
        return f"{self.head_dim}, base={self.base}, interleaved={self.interleaved}"


def alibi_slopes(num_heads: int) -> np.ndarray:
    """The slope of each head: 2^(−8/n), 2^(−16/n) … 2^(−8) for n heads, n a power of 2.

    For any other number, those of the next lower power of 2, then every other one of the next
    higher, as Press et al. published them.
    """
    power = 2 ** (num_heads.bit_length() - 1)
    slopes = 2.0 ** (-8 / power * np.arange(1, power + 1))
    between = 2.0 ** (-4 / power * np.arange(1, 2 * power + 1, 2))
    return np.concatenate([slopes, between[: num_heads - power]])


class AlibiBias(Module):
    """What attention with linear biases adds to the scores: −slope_h·|i − j| for the query at
    position i, the key at j and head h, with the slopes of ``alibi_slopes``.

    **Called** with query (…, L, D) and key (…, S, D), of which only the sizes, the dtype and the
    device matter; → (num_heads, L, S), to be used as an additive ``attn_mask``. The queries stand
    at the last L of the S positions, so S − L steps came before. (Press, Smith and Lewis 2022,
    arXiv:2108.12409, where attention is causal and j ≤ i.)
    """

    def __init__(self, num_heads: int):
        super().__init__()
        check_size("AlibiBias", "num_heads", num_heads)
        self.num_heads = num_heads

    def forward(self, query: Any, key: Any) -> Tensor:
        """(…, L, D) and (…, S, D) → (num_heads, L, S)."""
        lengths: Any = [getattr(x, "shape", ())[-2:-1] for x in (query, key)]
        ok = all(lengths) and lengths[0] <= lengths[1]
        expect(ok, "AlibiBias", "query (…, L, D) and key (…, S, D) with L ≤ S", lengths)
        (steps,), (keys,) = lengths
        apart = np.abs(np.arange(keys - steps, keys)[:, None] - np.arange(keys))
        bias = -alibi_slopes(self.num_heads)[:, None, None] * apart
        return tensor(bias, dtype=query.dtype, device=query.device)

    def extra_repr(self) -> str:
        return f"{self.num_heads}"
