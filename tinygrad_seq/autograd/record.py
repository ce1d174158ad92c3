"""Recording: compute an op on tensors and put it on the tape.

This is what every op on a Tensor goes through, so for each op it is written out in full, once, from
a template: with the parameters by name, no argument list is looped over and none is built anew.
For ``mul(a, b)`` the template gives::

    def mul(a, b):
        needs, places = 0, []
        if isinstance(a, Traced):
            if a._node is not None:
                needs += 1
                places.append(a._node)
            a = a.data
        ...                                     # the same for b, with 2
        try:
            out = forward(a, b)
        except Exception as error:
            op.fail(error, [a, b])
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_seq.autograd.changes import tick
from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.autograd.tape import Node, Output, Place, Traced, WideNode
from tinygrad_seq.backend import array_types, as_array, beside, several_devices
from tinygrad_seq.ops.primitive import Primitive


class _Recorders(dict[Primitive, Callable[..., Any]]):
    """The function that records each op; it takes all of the op's parameters by position."""

    def __missing__(self, op: Primitive) -> Callable[..., Any]:
        self[op] = made = _compile(op)
        return made


recorders = _Recorders()


def record(op: Primitive, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute ``op`` and, if a gradient could be asked for, put it on the tape."""
    if kwargs or len(args) != op.arity:
        args = op.bind(args, kwargs)
    return recorders[op](*args)


_UNWRAP = """
    if isinstance({name}, Traced):
        _place = {name}._node
        if _place is not None:
            _needs += {bit}
            _places.append(_place)
        {name} = {name}.data
"""

_UNWRAP_LIST = """
    _places = [m._node if isinstance(m, Traced) else None for m in {name}]
    _needs = int(any([p is not None for p in _places]))
    {name} = [m.data if isinstance(m, Traced) else m for m in {name}]
"""

_FORWARD = """
    try:
        if _several_devices:
            with _beside({names}):
                _out = _forward({names})
        else:
            _out = _forward({names})
    except Exception as _error:
        _op.fail(_error, [{names}])
"""

# The end for an op with one output and nothing beside it: what _put and the constructors do, all
# written out, since calling them takes a sixth of what a small op costs.
_PUT_SIMPLE = """
    _watch = _modes.watch if _needs else 0
    if _watch == 2:
        return _put(_op, _out, ({names},), _places, _needs)
    _result = _new(Traced.result_class)
    _result.data = _out = _out if type(_out) in _array_types else _asarray(_out)
    _plan = _plans[_needs] if _watch else None
    if _plan is None:
        _result._node = None
    else:
        _result._node = _node = _new(_Node)
        _node.number = _tick()
        _node.shape = _out.shape
        _node.dtype = _out.dtype
        _node.extras = None
        _node.plan = _plan
        _node.inputs = _places
        _node.saved = _plan.save({names}, _out)
    return _result
"""

_PUT = """
    return _put(_op, _out, ({names},), _places, _needs)
"""


def _compile(op: Primitive) -> Callable[..., Any]:
    names = ", ".join(op.params)
    source = f"def {op.name}({names}):\n    _needs, _places = 0, []"
    for i, name in enumerate(op.params):
        template = _UNWRAP_LIST if op.sequence and i == 0 else _UNWRAP
        source += template.format(name=name, bit=1 << i)
    source += (_FORWARD + (_PUT_SIMPLE if op.simple else _PUT)).format(names=names)
    scope = {
        "Traced": Traced,
        "_Node": Node,
        "_array_types": array_types,
        "_asarray": np.asarray,
        "_beside": beside,
        "_forward": op.forward,
        "_modes": modes,
        "_new": object.__new__,
        "_op": op,
        "_plans": op.plans,
        "_put": _put,
        "_several_devices": several_devices,
        "_tick": tick,
    }
    exec(compile(source, f"<recorder of {op.name}>", "exec"), scope)
    return scope[op.name]  # type: ignore[return-value]


def _put(
    op: Primitive, out: Any, values: Sequence[Any], places: Sequence[Place | None], needs: int
) -> Any:
    """Wrap what ``op`` computed, with a node if a gradient could be asked for."""
    width = len(op.outputs)
    parts = [*out] if op.residuals or width > 1 else [out]
    outs = [as_array(o) for o in parts[:width]]
    nodes: list[Place | None] = [None] * width
    plan = op.plans[needs] if needs and modes.grad_enabled else None
    if plan is not None:
        saved = plan.save(*values, *outs, *parts[width:])
        if op.composition is not None:  # higher derivatives start again from the inputs
            saved += tuple(values)
        if width == 1:
            nodes = [Node(outs[0], plan, places, saved)]
        else:
            wide = WideNode(outs[0], plan, places, saved)
            wide.outs = [(o.shape, o.dtype) for o in outs]
            nodes = [Output(o, wide, i) for i, o in enumerate(outs)]
    results = []
    for data, node in zip(outs, nodes, strict=True):
        result = object.__new__(Traced.result_class)
        result.data, result._node = data, node
        results.append(result)
    for listener in modes.listeners:
        listener.recorded(op, values, results)
    return results[0] if width == 1 else tuple(results)
