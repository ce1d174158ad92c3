"""Rows of a table chosen by integers."""

from __future__ import annotations

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, expect
from tinygrad_seq.ops.checks import expect_integers, expect_range
from tinygrad_seq.ops.choosing import masked_fill
from tinygrad_seq.ops.indexing import array_getitem
from tinygrad_seq.ops.primitive import primitive
from tinygrad_seq.ops.sample import Bad, Integers, Sample, Uniform


def _check(op, index, rows, padding_idx):
    expect_integers(op, "indices", index)
    expect_range(op, "indices", index, 0, rows)
    ok = padding_idx is None or -rows <= padding_idx < rows
    expect(ok, op, f"padding_idx in [{-rows}, {rows})", padding_idx, ArgumentError)


@primitive(
    samples=[
        Sample(Integers((2, 3), 0, 5), (5, 4)),
        Sample(Integers((), 0, 5), (5, 4)),
        # No padding among the indices: its missing gradient is a choice, not a derivative.
        Sample(Integers((6,), 0, 2), (3, 4), 2),
        Sample(Integers((2, 3), 0, 2), (3, 4), padding_idx=-1),
    ],
    bad=[
        Bad(OutOfRangeError, "indices in [0, 5), got 5", Integers((2, 3), 5, 6), (5, 4)),
        Bad(OutOfRangeError, "indices in [0, 5), got -1", Integers((3,), -1, 0), (5, 4)),
        Bad(DTypeError, "indices of an integer dtype", Uniform((3,), 0, 4), (5, 4)),
        Bad(ShapeError, "weight of shape (rows, width)", Integers((3,), 0, 5), (5,)),
        Bad(ArgumentError, "padding_idx", Integers((3,), 0, 5), (5, 4), 5),
    ],
    nondiff=("index",),
    bench=Sample(Integers((64, 32), 0, 10000), (10000, 128)),
    analytic=True,
)
def embedding(index, weight, padding_idx=None):
    """Rows of a table: out[…, :] = weight[index[…], :].

    index: integers of any shape in [0, rows); weight (rows, width) → index.shape + (width,).
    padding_idx: a row that gets no gradient. ∂L/∂weight[r] = Σ of g over the places where r was
    chosen. Indices out of range raise on every device, at the price of one wait for a GPU.
    """
    expect(weight.ndim == 2, "embedding", "weight of shape (rows, width)", weight.shape)
    _check("embedding", index, weight.shape[0], padding_idx)
    return weight[index]


@primitive(
    samples=[
        Sample((2, 3, 4), Integers((2, 3), 0, 5), 5),
        Sample((6, 4), Integers((6,), 0, 3), 3, 1),
        Sample((4,), Integers((), 0, 5), 5),
    ],
    bad=[
        Bad(ShapeError, "x of shape (2, 3, width)", (2, 4), Integers((2, 3), 0, 5), 5),
        Bad(OutOfRangeError, "indices in [0, 5), got 7", (3, 4), Integers((3,), 7, 8), 5),
    ],
    nondiff=("index",),
    bench=Sample((64, 32, 128), Integers((64, 32), 0, 10000), 10000),
    analytic=True,
)
def add_rows(x, index, rows, padding_idx=None):
    """A table of zeros (rows, width) with x[…, :] added to row index[…]: ``embedding`` transposed.

    x: index.shape + (width,). Row ``padding_idx`` stays 0.
    """
    _check("add_rows", index, rows, padding_idx)
    ok = x.shape[:-1] == index.shape and x.ndim
    expect(ok, "add_rows", f"x of shape {(*index.shape, 'width')}".replace("'", ""), x.shape)
    xp, width = xp_of(x), x.shape[-1]
    out = xp.zeros((rows, width), x.dtype)
    # NumPy adds single numbers at flat positions five times as fast as rows.
    positions = index.reshape(-1, 1).astype(xp.int64) * width + xp.arange(width)
    xp.add.at(out.reshape(-1), positions.reshape(-1), x.reshape(-1))
    if padding_idx is not None:
        out[padding_idx] = 0
    return out


def _add_rows_rule(g, index, rows, padding_idx):
    chosen = array_getitem(g, index)
    if padding_idx is None:
        return chosen
    return masked_fill(chosen, (index == padding_idx % rows)[..., None], 0)


embedding.vjp(
    weight=lambda g, index, weight_shape, padding_idx: add_rows(
        g, index, weight_shape[0], padding_idx
    )
)
add_rows.vjp(x=_add_rows_rule)
