"""Einstein summation.

The derivative of an einsum is an einsum: by one operand, it is the gradient multiplied with the
other operands, with that operand's labels as the result. Two cases need help. A label that only
this operand has was summed away, so its gradient is repeated along it: multiply with ones. A label
that the operand has twice took its diagonal, so its gradient lies on the diagonal: name the second
occurrence anew and multiply with the identity matrix.
"""

from __future__ import annotations

from string import ascii_letters

import numpy as np

from tinygrad_seq.backend import xp_of
from tinygrad_seq.errors import ArgumentError, ShapeError, expect
from tinygrad_seq.ops.casting import full_like
from tinygrad_seq.ops.indexing import tril, triu
from tinygrad_seq.ops.primitive import by_numpy, primitive
from tinygrad_seq.ops.sample import Bad, Sample


def einsum(subscripts, *operands):
    """Einstein summation: ``einsum("bij,bjk->bik", x, y)`` sums products over the labels that the
    result lacks.

    All of NumPy's notation as text: repeated labels take diagonals (``"ii->i"``, ``"ii"`` is the
    trace), ``...`` stands for axes that broadcast, and without ``->`` the result has the labels
    that occur once, in alphabetical order. Labels as lists of integers raise ArgumentError.
    """
    expect(isinstance(subscripts, str), "einsum", "subscripts as text, then the operands",
           type(subscripts).__name__, ArgumentError)  # fmt: skip
    return einsum_of(list(operands), subscripts)


by_numpy[np.einsum] = einsum  # type: ignore[assignment]


@primitive(
    name="einsum",
    samples=[
        Sample([(3, 4), (4, 5)], "ij,jk->ik"),
        Sample([(3, 4), (4, 5)], "ij,jk"),
        Sample([(3, 4)], "ij->ji"),
        Sample([(3, 4)], "ij->j"),
        Sample([(3, 3)], "ii"),
        Sample([(3, 3, 4)], "iij->ji"),
        Sample([(2, 3, 4), (4, 5)], "...i,ij->...j"),
        Sample([(2, 3, 4), (3, 1), (4,)], "...a,...b,a->...b"),
        Sample([(2, 3), (2, 3), (2,)], "bi,bi,b"),
        Sample([(3,), (4,)], "i,j->ji"),
        Sample([(3, 4), (3, 1)], "ij,ij->ij"),
    ],
    bad=[
        Bad(ShapeError, "2 operands", [(3, 4)], "ij,jk->ik"),
        Bad(ShapeError, "'ijk' for 3 axes", [(3, 4)], "ijk->i"),
        Bad(ShapeError, "label 'j'", [(3, 4), (5, 2)], "ij,jk->ik"),
        Bad(ShapeError, "label 'i'", [(3, 1)], "ii->i"),
        Bad(ArgumentError, "labels of the operands, each once", [(3, 4)], "ij->k"),
        Bad(ArgumentError, "labels of the operands, each once", [(3, 4)], "ij->ii"),
        Bad(ArgumentError, "letters", [(3, 4)], "i1->i"),
        Bad(ArgumentError, "'...' in the result", [(3, 4)], "...i->i"),
        Bad(ArgumentError, "at least one operand", [], ""),
    ],
    sequence=True,
    bench=Sample([(64, 128, 64), (64, 128, 64)], "bqd,bkd->bqk"),
    analytic=True,
)
def einsum_of(operands, subscripts):
    """Einstein summation of a list of arrays; see ``einsum``."""
    terms, result = parse(subscripts, [x.shape for x in operands])
    out = xp_of(*operands).einsum(f"{','.join(terms)}->{result}", *operands, optimize=True)
    return out.copy() if len(operands) == 1 else out  # NumPy may give a view


@einsum_of.vjp_all
def _einsum_rule(g, operands, operands_shape, subscripts):
    terms, result = parse(subscripts, operands_shape)
    return [
        _by_operand(g, k, operands, operands_shape, terms, result) for k in range(len(operands))
    ]


def _by_operand(g, k, operands, shapes, terms, result):
    """The gradient of one operand, of its shape up to broadcasting."""
    factors = [g, *operands[:k], *operands[k + 1 :]]
    labels = [result, *terms[:k], *terms[k + 1 :]]
    known, goal = set("".join(labels)), ""
    spare = (c for c in ascii_letters if c not in known and c not in terms[k])
    for label, size in zip(terms[k], shapes[k], strict=True):
        if label in goal:  # on the diagonal
            twin = next(spare)
            factors.append(triu(tril(full_like(g, 1, shape=(size, size)))))
            labels.append(label + twin)
            label = twin
        elif label not in known:  # summed away
            factors.append(full_like(g, 1, shape=(size,)))
            labels.append(label)
        goal += label
    return einsum_of(factors, f"{','.join(labels)}->{goal}")


def parse(subscripts, shapes):
    """→ the labels of each operand and of the result, one letter per axis.

    ``...`` is replaced by spare letters, aligned at the right as broadcasting does. Everything
    that does not fit the shapes raises.
    """
    expect(shapes, "einsum", "at least one operand", "none", ArgumentError)
    text = subscripts.replace(" ", "")
    inputs, arrow, result = text.partition("->")
    terms = inputs.split(",")
    letters = text.replace("...", "").replace("->", "").replace(",", "")
    ok = all(c in ascii_letters for c in letters) and "," not in result
    expect(ok, "einsum", "letters, ',', '...' and one '->'", repr(subscripts), ArgumentError)
    expect(len(terms) == len(shapes), "einsum", f"{len(terms)} operands", len(shapes))
    rank = max(_hidden(term, shape) for term, shape in zip(terms, shapes, strict=True))
    spare = [c for c in ascii_letters if c not in letters][:rank]
    expect(len(spare) == rank, "einsum", "at most 52 labels", repr(subscripts), ArgumentError)
    full = [
        term.replace("...", "".join(spare[rank - _hidden(term, shape) :]))
        for term, shape in zip(terms, shapes, strict=True)
    ]
    _check_sizes(full, shapes)
    if not arrow:
        once = sorted(c for c in set(letters) if letters.count(c) == 1)
        return full, "".join(spare + once)
    expect("..." in result or not rank, "einsum", "'...' in the result", repr(result),
           ArgumentError)  # fmt: skip
    result = result.replace("...", "".join(spare))
    ok = len(set(result)) == len(result) and set(result) <= set("".join(full))
    expect(ok, "einsum", "a result of labels of the operands, each once", repr(subscripts),
           ArgumentError)  # fmt: skip
    return full, result


def _hidden(term, shape):
    """How many axes of an operand the ``...`` in its term stands for."""
    hidden = len(shape) - len(term.replace("...", ""))
    ok = hidden >= 0 if "..." in term else hidden == 0
    expect(ok, "einsum", f"{term!r} for {len(term.replace('...', ''))} axes", f"shape {shape}")
    return hidden


def _check_sizes(terms, shapes):
    """A label must have one size everywhere, or be broadcast from 1 between operands."""
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        own = dict(zip(term, shape, strict=True))
        for label, n in zip(term, shape, strict=True):
            known = sizes.get(label, 1)
            ok = own[label] == n and (known == n or 1 in (known, n))
            got = f"{known if own[label] == n else own[label]} and {n}"
            expect(ok, "einsum", f"one size for label {label!r}", got)
        sizes |= {label: n for label, n in own.items() if n != 1}
