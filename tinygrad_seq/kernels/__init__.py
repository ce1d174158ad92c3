"""Kernels: raw arrays in, raw arrays out, one readable twin for every fast one."""

from tinygrad_seq.kernels.dispatch import kernel, reference_kernels

__all__ = ["kernel", "reference_kernels"]
