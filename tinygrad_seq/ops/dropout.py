"""Dropout: activations left out at random while training."""

from __future__ import annotations

from tinygrad_seq.backend import default_generator, device_of, transfer
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Sample


def dropout(x, p=0.5, training=True, generator=None):
    """Each element 0 with probability p, else x/(1 − p), so that the mean stays what it is.

    p in [0, 1). Without ``training``, or with p = 0, x itself. The mask is drawn on the host from
    ``generator`` (default: ``default_generator()``), so every device leaves out the same elements.
    (Srivastava et al. 2014)
    """
    _expect_probability("dropout", p)
    return drop(x, p, generator) if training and p else x


def _expect_probability(op, p):
    expect(0 <= p < 1, op, "p in [0, 1)", p, ArgumentError)


@primitive(
    samples=[Sample((3, 4), 0.5), Sample((40,), 0.1)],
    bad=[Bad(ArgumentError, "p in [0, 1)", (3, 4), 1.0), Bad(ArgumentError, "p in", (3,), -0.1)],
    nondiff=("generator",),
    residuals=("mask",),
    bench=Sample((1024, 1024), 0.5),
)
def drop(x, p, generator=None):
    """What ``dropout`` does while training: out = x·mask, mask 0 or 1/(1 − p)."""
    _expect_probability("drop", p)
    kept = (generator or default_generator()).uniform(x.shape) >= p
    mask = transfer(kept, device_of(x)).astype(x.dtype) * (1 / (1 - p))
    return x * mask, mask


drop.vjp(x=lambda g, mask: g * mask)
