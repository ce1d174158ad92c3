"""Ops ready to be timed: the arrays of a declared sample on a device, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad, tensor
from tinygrad_seq.backend import Array, Device, as_device, get_backend, transfer
from tinygrad_seq.bench.clock import Timing, time_call
from tinygrad_seq.ops.primitive import Primitive
from tinygrad_seq.ops.sample import Sample


@dataclass(frozen=True)
class Case:
    """One call of an op on a device: ``forward()`` and ``both()`` can be run again and again."""

    op: Primitive
    values: Sequence[Any]  # by position; a list for an op on a list of arrays
    leaves: Sequence[Tensor]  # those among them that a gradient can reach
    device: Device

    def forward(self) -> Any:
        """Compute without the tape."""
        with no_grad():
            return self.op(*self.values)

    def outputs(self) -> list[Tensor]:
        """Compute with the tape; → the outputs that a gradient can start from."""
        out = self.op(*self.values)
        outs = out if isinstance(out, tuple) else (out,)
        return [o for o in outs if o.requires_grad]

    def both(self, weight: Array) -> None:
        """Compute, and differentiate the first output weighted by ``weight``."""
        for leaf in self.leaves:
            leaf.grad = None
        self.outputs()[0].backward(weight)

    def weight(self, seed: int = 1) -> Array | None:
        """Random numbers to weight the first output with; None where there is no gradient."""
        if not self.leaves:
            return None
        outs = self.outputs()
        if not outs:
            return None
        rng = np.random.default_rng(seed)
        drawn = np.asarray(rng.standard_normal(outs[0].shape)).astype(outs[0].dtype)
        return transfer(drawn, outs[0].device)


def case_of(
    op: Primitive,
    sample: Sample,
    device: str | Device = "cpu",
    dtype: Any = np.float32,
    seed: int = 0,
) -> Case:
    """``sample`` drawn in ``dtype`` and put on ``device``: the same numbers on every device."""
    where = as_device(device)
    drawn, keywords = sample.draw(seed, dtype)
    values = list(op.bind(drawn, keywords))
    leaves: list[Tensor] = []

    def place(name: str, value: Any) -> Any:
        if isinstance(value, list) and op.sequence and name == op.params[0]:
            return [place(name, v) for v in value]
        if not isinstance(value, np.ndarray):
            return value
        floating = value.dtype.kind == "f" and name in op.differentiable
        placed = tensor(value, device=where, requires_grad=floating)
        leaves.extend([placed] if floating else [])
        return placed

    placed = [place(name, value) for name, value in zip(op.params, values, strict=True)]
    return Case(op, placed, leaves, where)


def time_case(case: Case, **options: Any) -> tuple[Timing, Timing | None]:
    """The time of forward, and of forward and backward together (None: no gradient).

    The options are those of ``time_call``.
    """
    forward = time_call(case.forward, case.device, **options)
    weight = case.weight()
    if weight is None:
        return forward, None
    return forward, time_call(lambda: case.both(weight), case.device, **options)


def transfer_times(device: str | Device, size: int, **options: Any) -> dict[str, Timing]:
    """How long ``size`` bytes of float32 take ``"to device"`` and ``"to host"``.

    The options are those of ``time_call``.
    """
    where = as_device(device)
    backend = get_backend(where.type)
    host = np.random.default_rng(0).standard_normal(size // 4, np.float32)
    there = backend.from_host(host, where)
    return {
        "to device": time_call(lambda: backend.from_host(host, where), where, **options),
        "to host": time_call(lambda: backend.to_host(there), where, **options),
    }
