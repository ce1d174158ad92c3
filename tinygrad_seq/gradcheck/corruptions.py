"""The mistakes that people make in a derivative, each as a change to a right one.

A corruption is a function of a ``Call``, one evaluation of a right rule, that gives the wrong
gradient, or None where the mistake cannot be made: nothing to transpose, no axis broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_seq.backend import is_array, xp_of
from tinygrad_seq.errors import ArgumentError, expect

Array = Any


@dataclass(frozen=True)
class Call:
    """A rule about to answer: what came back from the output, what was saved, for which input."""

    #: (g, saved) → the right gradient
    rule: Callable[[Any, Sequence[Any]], Array]
    #: the gradient of the output; None where it is not known, a tuple for several outputs
    g: Any
    saved: Sequence[Any]
    #: the shape of the input, which may have been broadcast
    shape: tuple[int, ...] | None
    #: (g, saved) → the right gradients of the op's other inputs
    others: Callable[[Any, Sequence[Any]], Sequence[Array]]

    @property
    def answer(self) -> Array:
        """The right gradient."""
        return self.rule(self.g, self.saved)


Change = Callable[[Call], "Array | None"]


@dataclass(frozen=True)
class Corruption:
    """One kind of mistake. ``harmless`` says when it changes nothing."""

    name: str
    change: Change
    harmless: str


def scaled(factor: float) -> Change:
    """The gradient times ``factor``."""
    return lambda call: call.answer * factor


def _set_one(value: Callable[[Any], Any], place: int) -> Change:
    def change(call: Call) -> Array | None:
        a = call.answer
        if a.size < 2:
            return None
        flat = a.reshape(-1).copy()
        flat[place] = value(flat[place])
        return flat.reshape(a.shape)

    return change


def _transposed(call: Call) -> Array | None:
    a = call.answer
    return a.swapaxes(-1, -2).reshape(a.shape) if a.ndim > 1 and min(a.shape[-2:]) > 1 else None


def _shifted(call: Call) -> Array | None:
    a = call.answer
    return xp_of(a).roll(a, 1) if a.size > 1 else None


def _flipped(call: Call) -> Array | None:
    a = call.answer
    axis = next((i for i, n in enumerate(a.shape) if n > 1), None)
    return None if axis is None else xp_of(a).flip(a, axis)


def _constant_added(call: Call) -> Array:
    a = call.answer
    size = abs(a).max() if a.size else 0.0
    return a + 0.01 * (size + (size == 0))


def _through_half(call: Call) -> Array:
    a = call.answer
    return a.astype("float16").astype(a.dtype)


def _handed_on(call: Call) -> Array | None:
    g = call.g
    return g if is_array(g) and g.shape == call.answer.shape else None


def _first_row(call: Call) -> Array | None:
    """The batch is not summed over: only its first row's gradient counts."""
    gs = [g for g in (call.g if isinstance(call.g, list) else [call.g]) if g is not None]
    if not gs or not all(g.ndim and g.shape[0] > 1 for g in gs):
        return None
    return call.rule(_mapped(_only_first, call.g), call.saved)


def _batch_mean(call: Call) -> Array | None:
    g = call.g[0] if isinstance(call.g, list) else call.g
    if g is None or not g.ndim or g.shape[0] < 2:
        return None
    return call.answer / g.shape[0]


def _only_first(g: Array) -> Array:
    out = xp_of(g).zeros_like(g)
    out[:1] = g[:1]
    return out


def _broadcast_axes(call: Call, a: Array) -> tuple[int, ...]:
    """The axes of ``a`` that the tape will sum over, since the input was broadcast along them."""
    shape = a.shape if call.shape is None else call.shape
    extra = a.ndim - len(shape)
    return tuple(
        i for i in range(a.ndim) if a.shape[i] > 1 and (i < extra or shape[i - extra] == 1)
    )


def _first_copy(call: Call) -> Array | None:
    a = call.answer
    axes = _broadcast_axes(call, a)
    if not axes:
        return None
    first = tuple(slice(0, 1) if i in axes else slice(None) for i in range(a.ndim))
    out = xp_of(a).zeros_like(a)
    out[first] = a[first]
    return out


def _mean_of_copies(call: Call) -> Array | None:
    a = call.answer
    count = 1
    for axis in _broadcast_axes(call, a):
        count *= a.shape[axis]
    return a / count if count > 1 else None


def _stale(call: Call) -> Array | None:
    """The rule answers from values near those it should have saved: 5 to 10 % off."""
    if not any(_is_real(v) for value in call.saved for v in _members(value)):
        return None
    return call.rule(call.g, [_mapped(_aged, value) for value in call.saved])


def _aged(value: Any) -> Any:
    if not _is_real(value):
        return value
    xp = xp_of(value)
    waves = xp.cos(xp.arange(value.size, dtype=value.dtype)).reshape(value.shape)
    return (value * (1.075 + 0.025 * waves)).astype(value.dtype)


def _swapped(call: Call) -> Array | None:
    shape = call.answer.shape
    return next((o for o in call.others(call.g, call.saved) if o is not None and o.shape == shape),
                None)  # fmt: skip


def _is_real(value: Any) -> bool:
    return is_array(value) and value.dtype.kind == "f"


def _members(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _mapped(fn: Callable[[Any], Any], value: Any) -> Any:
    """``fn`` on an array or on each array of a list; the rest as it is."""
    if isinstance(value, list):
        return [_mapped(fn, v) for v in value]
    return fn(value) if is_array(value) else value


_ZERO = "the derivative is zero"
_EQUAL = "the gradient's elements are equal, or zero"

#: δ of the corruptions ``scale 1 + δ``
SCALES = (1e-1, 1e-2, 1e-3, 1e-4)

CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption("other sign", scaled(-1.0), _ZERO),
    *(Corruption(f"scale 1 + {d:.0e}", scaled(1 + d), _ZERO) for d in SCALES),
    Corruption("factor 2 missing", scaled(0.5), _ZERO),
    Corruption("counted twice", scaled(2.0), _ZERO),
    Corruption("zero", scaled(0.0), _ZERO),
    Corruption("element dropped", _set_one(lambda v: 0 * v, -1), "that element is zero"),
    Corruption("element negated", _set_one(lambda v: -v, 0), "that element is zero"),
    Corruption("element NaN", _set_one(lambda v: v * float("nan"), 0), ""),
    Corruption("transposed", _transposed, "the gradient is symmetric"),
    Corruption("shifted by one", _shifted, _EQUAL),
    Corruption("turned around", _flipped, _EQUAL),
    Corruption("constant added", _constant_added, ""),
    Corruption("through float16", _through_half, "its numbers fit in float16"),
    Corruption("chain rule missing", _handed_on, "it is the incoming gradient"),
    Corruption("stale save", _stale, "only signs, order or shape of what was saved matter"),
    Corruption("other argument's", _swapped, "both arguments have the same gradient"),
    Corruption("broadcast not summed", _first_copy, _ZERO),
    Corruption("broadcast averaged", _mean_of_copies, _ZERO),
    Corruption("batch not summed", _first_row, "no other row has a gradient"),
    Corruption("batch averaged", _batch_mean, _ZERO),
)


def chosen(wanted: Sequence[str | Corruption] | None, scales: Sequence[float]) -> list[Corruption]:
    """The corruptions of these names (default: all), the scales being 1 + δ for δ in ``scales``.

    A ``Corruption`` of one's own counts too. Raises ArgumentError for an unknown name.
    """
    rest = [c for c in CORRUPTIONS if not c.name.startswith("scale ")]
    own = [Corruption(f"scale 1 + {d:.0e}", scaled(1 + d), _ZERO) for d in scales]
    table = {c.name: c for c in (rest[0], *own, *rest[1:])}
    found = []
    for item in table if wanted is None else wanted:
        known = isinstance(item, Corruption) or item in table
        expect(known, "mutation_audit", f"one of {', '.join(table)}", repr(item), ArgumentError)
        found.append(item if isinstance(item, Corruption) else table[item])
    return found
