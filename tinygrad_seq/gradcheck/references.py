"""What a function refers to: the names of its arguments, its modules, what they hold.

Modules are known by what they can do (``named_parameters``), so that the check needs no layers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, expect


def argument_names(fn: Callable[..., Any], count: int) -> list[str]:
    """The names of a function's first positional parameters, or ``input0`` … without them."""
    names: list[str] = []
    try:
        for p in inspect.signature(getattr(fn, "forward", fn)).parameters.values():
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
                names.append(p.name)
    except (TypeError, ValueError):
        pass
    return [names[i] if i < len(names) else f"input{i}" for i in range(count)]


def with_arguments(fn: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """``fn``, a function of ``*args``, known to ``argument_names`` by these names."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(name, kind) for name in names]
    fn.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return fn


def _is_module(value: Any) -> bool:
    return not inspect.isclass(value) and callable(getattr(value, "named_parameters", None))


def modules_of(fn: Any) -> dict[str, Any]:
    """The modules that a function is, belongs to, or refers to, by the name it uses."""
    fn = inspect.unwrap(fn)
    if _is_module(fn):
        return {"": fn}
    if isinstance(fn, functools.partial):
        return modules_of(fn.func)
    if _is_module(getattr(fn, "__self__", None)):
        return {"": fn.__self__}
    if not inspect.isfunction(fn):
        return {}
    known = inspect.getclosurevars(fn)
    named = {**known.globals, **known.nonlocals}
    found = {n: v for n, v in named.items() if _is_module(v)}
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def named_parameters(modules: dict[str, Any], params: Any) -> Iterator[tuple[str, Tensor]]:
    """Each parameter once, under its first name."""
    given: list[tuple[str, Any]] = []
    if _is_module(params):
        given += list(params.named_parameters())
    elif isinstance(params, Mapping):
        given += list(params.items())
    elif params is not None:
        many = list(params)
        given += [p if isinstance(p, tuple) else (f"param{i}", p) for i, p in enumerate(many)]
    for prefix, module in modules.items():
        dotted = f"{prefix}." if prefix else ""
        given += [(dotted + name, p) for name, p in module.named_parameters()]
    seen: set[int] = set()
    for name, p in given:
        expect(isinstance(p, Tensor), "gradcheck", "params to be Tensors", type(p), ArgumentError)
        if id(p) not in seen:
            seen.add(id(p))
            yield name, p


def buffers_of(modules: dict[str, Any]) -> Iterator[Tensor]:
    for module in modules.values():
        for _, buffer in getattr(module, "named_buffers", tuple)():
            yield buffer


def generators_of(modules: dict[str, Any]) -> Iterator[Generator]:
    for module in modules.values():
        for part in getattr(module, "modules", tuple)():
            yield from (v for v in vars(part).values() if isinstance(v, Generator))
