"""Finding the op that made a NaN."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd.modes import Listener, modes, switched
from tinygrad_seq.autograd.tape import Extras, Output, Traced
from tinygrad_seq.backend import is_array, xp_of
from tinygrad_seq.errors import AnomalyError

_PACKAGE = os.path.dirname(os.path.dirname(ops.__file__))


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise AnomalyError where an op first makes a NaN or an infinity, forward or backward.

    The message names the op and the line of your code that called it. Slow: every result is
    looked at, and every call remembers where it came from.
    """
    with switched("listeners", (*modes.listeners, _Watcher())):
        yield


class _Watcher(Listener):
    def recorded(self, op: Any, values: Sequence[Any], results: Sequence[Any]) -> None:
        place = results[0]._node
        line = _user_line()
        if place is not None:
            node = place.parent if isinstance(place, Output) else place
            node.extras = node.extras or Extras()
            node.extras.trace = line
        for name, result in zip(op.outputs, results, strict=True):
            kind = _not_finite(result.data)
            if kind and not any(_not_finite(v) for v in values):
                raise AnomalyError(f"{op.name}: {kind} in {name}, from finite inputs\n{line}")

    def differentiated(self, node: Any, given: Sequence[Any]) -> None:
        for i, g in zip(node.plan.inputs, given, strict=False):
            kind = None if g is None else _not_finite(g.data if isinstance(g, Traced) else g)
            if kind:
                where = node.extras.trace if node.extras is not None else None
                raise AnomalyError(
                    f"{node.op.name}: {kind} in the gradient of {node.op.params[i]}\n"
                    + (where or "  recorded outside detect_anomaly(), so the line is not known")
                )


def _not_finite(value: Any) -> str | None:
    """'NaN' or 'infinity' if an array holds one."""
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(_not_finite, value)), None)
    if not is_array(value) or value.dtype.kind not in "fc":
        return None
    xp = xp_of(value)
    if bool(xp.isfinite(value).all()):
        return None
    return "NaN" if bool(xp.isnan(value).any()) else "infinity"


def _user_line() -> str:
    """The innermost line of the call stack that is not in this package."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith((_PACKAGE, "<recorder")):
            return (
                f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}'
            )
    return "  called from inside the package"
