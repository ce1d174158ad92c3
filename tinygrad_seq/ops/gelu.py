"""The Gaussian error linear unit."""

from __future__ import annotations

from tinygrad_seq.errors import ArgumentError, DTypeError, expect
from tinygrad_seq.kernels import kernel
from tinygrad_seq.kernels.reference.gelu import SQRT_HALF, C, D
from tinygrad_seq.ops.activations import tanh
from tinygrad_seq.ops.arithmetic import add, mul
from tinygrad_seq.ops.checks import expect_floats
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Integers, Sample
from tinygrad_seq.ops.special import erf


def _composed(x, approximate="none"):
    """What ``gelu`` computes, in primitives."""
    if approximate == "none":
        inside = erf(mul(SQRT_HALF, x))
    else:
        inside = tanh(mul(C, mul(x, add(1, mul(D, mul(x, x))))))
    return mul(mul(0.5, x), add(1, inside))


@primitive(
    samples=[
        Sample((3, 4)),
        Sample(()),
        Sample((3, 4), approximate="tanh"),
        Sample((), approximate="tanh"),
    ],
    bad=[
        Bad(ArgumentError, "none", (3, 4), approximate="erf"),
        Bad(DTypeError, "floating", Integers((3,), 0, 3)),
    ],
    bench=Sample((1024, 1024)),
    nondiff=("approximate",),
    composition=_composed,
)
def gelu(x, approximate="none"):
    """Gaussian error linear unit: out = x·Φ(x), Φ the standard normal distribution function.

    approximate: ``"none"``, Φ(x) = (1 + erf(x/√2))/2, ∂out/∂x = Φ(x) + x·e^(−x²/2)/√(2π);
    ``"tanh"``, Φ(x) ≈ (1 + t)/2 with t = tanh(√(2/π)·(x + 0.044715 x³)).
    """
    expect_floats("gelu", "x", x)
    known = approximate in ("none", "tanh")
    expect(known, "gelu", "approximate 'none' or 'tanh'", repr(approximate), ArgumentError)
    return kernel("gelu", x).forward(x, approximate)


@gelu.vjp_all
def _gelu_rule(g, x, approximate):
    return (kernel("gelu", x).backward(g, x, approximate),)
