"""Soft thresholding, the proximal step of the L1 norm."""

from tinygrad_seq.backend import xp_of
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Sample, Uniform


@primitive(samples=[Sample((3, 4)), Sample((2, 3), Uniform((3,), 0.1, 0.5))])
def shrink(x, t=0.5):
    """out = sign(x)·max(|x| − t, 0): x moved towards 0 by t, elementwise; t ≥ 0 broadcasts.

    ∂out/∂x = 1 and ∂out/∂t = −sign(x) where |x| > t, else 0. It has kinks at ±t.
    """
    xp = xp_of(x)
    return xp.sign(x) * xp.maximum(abs(x) - t, 0)


# out is 0 exactly where nothing flows; its sign is that of x elsewhere.
shrink.vjp(
    x=lambda g, out: g * (out != 0),
    t=lambda g, out: g * ((out < 0) * 1.0 - (out > 0) * 1.0),
)
