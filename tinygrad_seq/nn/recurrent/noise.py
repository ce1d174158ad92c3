"""The masks of zoneout and of variational dropout.

All are drawn on the host from the default random stream, so that one seed gives the same masks on
every device, and hold for one call of the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import default_generator, device_of, transfer


def zoneout_mask(p: float, shape: tuple[int, ...], like: Any, training: bool) -> Any:
    """The share of the old state that each step and unit keeps; None where p is 0.

    While training 1 with probability p, else 0; in evaluation p, the mean of that, everywhere.
    shape (T, B, H) → an array of it, or of (1, 1, 1) in evaluation, beside ``like`` in its dtype.
    """
    if p == 0:
        return None
    drawn = default_generator().uniform(shape) < p if training else np.full((1, 1, 1), p)
    return _beside(like, drawn)


def dropout_mask(p: float, shape: tuple[int, ...], like: Any, training: bool) -> Any:
    """0 with probability p, else 1/(1 − p); None where nothing is to be dropped."""
    if p == 0 or not training:
        return None
    return _beside(like, (default_generator().uniform(shape) >= p) * (1 / (1 - p)))


def _beside(like: Any, host: np.ndarray) -> Any:
    array = like.data if isinstance(like, Tensor) else like
    return transfer(host.astype(array.dtype), device_of(array))
