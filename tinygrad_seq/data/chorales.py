"""Chorales by Bach as piano rolls: which of 88 keys sound in each frame."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_seq.data.fetch import fetch
from tinygrad_seq.errors import MissingDependencyError

KEYS = 88


@dataclass(frozen=True)
class Chorales:
    """Three lists of piano rolls, each (T, 88) float32 of zeros and ones; column 0 is A0."""

    train: list[np.ndarray]
    validation: list[np.ndarray]
    test: list[np.ndarray]


def jsb_chorales() -> Chorales:
    """382 four-part chorales in frames of a quarter note, divided 229 / 76 / 77 as published.

    Predicting frame t + 1 from frames 0 … t, each key on or off by itself, gives the customary
    negative log-likelihood in nats per frame. Source: Boulanger-Lewandowski, Bengio and Vincent,
    Modeling Temporal Dependencies in High-Dimensional Sequences (2012).

    Raises what ``fetch`` raises, and MissingDependencyError where scipy is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingDependencyError(
            "jsb chorales: the file is MATLAB's; install tinygrad-seq[data] for scipy, to read it"
        ) from error
    parts = loadmat(io.BytesIO(fetch("jsb chorales")))
    return Chorales(*(_rolls(parts[name]) for name in ("traindata", "validdata", "testdata")))


def _rolls(cells: Any) -> list[np.ndarray]:
    """A MATLAB cell array of rolls as a list."""
    return [np.ascontiguousarray(roll, dtype=np.float32) for roll in cells[0]]
