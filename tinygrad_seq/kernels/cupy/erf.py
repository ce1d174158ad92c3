"""The error function from CUDA's mathematics library, in one pass."""

from __future__ import annotations

import cupy

from tinygrad_seq.backend import Array

erf: Array = cupy.ElementwiseKernel("T x", "T y", "y = erf(x)", "tinygrad_seq_erf")
