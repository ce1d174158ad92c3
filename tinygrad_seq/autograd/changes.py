"""Who changed what in place, and when.

Arrays are changed in place rarely and used all the time, so the change is what costs: it stamps the
memory the array lies in with the tape's clock. A node that saved arrays looks at their stamps only
if anything at all was changed after the node was made. Views share their memory's stamp.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

from tinygrad_seq.backend import Array, is_array, owner

#: the tape's clock: numbers the places on the tape, and stamps changes. It runs downwards, so that
#: the youngest has the smallest number: that is what a heap gives first.
tick = itertools.count(-1, -1).__next__

#: when anything was last changed
last_change = [0]

# id of the array that owns the memory → (weak reference to it, when it was last changed)
_stamps: dict[int, tuple[weakref.ref[Any], int]] = {}


def stamp_change(array: Array) -> None:
    """Note that ``array`` is being changed in place now."""
    block = owner(array)
    key = id(block)
    known = _stamps.get(key)
    ref = known[0] if known else weakref.ref(block, lambda _: _stamps.pop(key, None))
    last_change[0] = now = tick()
    _stamps[key] = (ref, now)


def changed_since(value: Any, when: int) -> bool:
    """Whether ``value``, an array or a list of them, was changed in place after ``when``."""
    if isinstance(value, list):
        return any(changed_since(v, when) for v in value)
    if not is_array(value):
        return False
    _, last = _stamps.get(id(owner(value)), (None, 0))
    return last < when
