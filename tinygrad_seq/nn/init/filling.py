"""What all initialisers share: their checks, and bringing what was drawn into the tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.backend import transfer
from tinygrad_seq.errors import ArgumentError, DTypeError, expect


def is_number(value: object) -> bool:
    """Whether ``value`` is a real number of Python or NumPy, and no bool."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def floating(op: str, tensor: Any) -> None:
    """Refuse anything but a tensor of floating numbers."""
    expect(isinstance(tensor, Tensor), op, "a tensor", type(tensor).__name__, ArgumentError)
    expect(tensor.dtype.kind == "f", op, "a floating tensor", tensor.dtype, DTypeError)


def finite(op: str, name: str, value: Any, least: float = -math.inf) -> None:
    """Refuse what is no finite number of at least ``least``."""
    ok = is_number(value) and math.isfinite(value) and value >= least
    bound = "" if least == -math.inf else f" ≥ {least:g}"
    expect(ok, op, f"a finite {name}{bound}", repr(value), ArgumentError)


def fill(tensor: Tensor, host: Any) -> Tensor:
    """Overwrite all of ``tensor`` with a host array of its shape; unknown to the tape."""
    with no_grad():
        return tensor.copy_(transfer(np.asarray(host, tensor.dtype), tensor.device))
