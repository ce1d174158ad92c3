"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

from tinygrad_seq.errors import ArgumentError, OutOfRangeError, expect
from tinygrad_seq.nn.module import Module

L = TypeVar("L", bound="_Numbered")


class _Numbered(Module):
    """A list of modules whose names are their numbers."""

    def __init__(self, modules: Iterable[Module] = ()):
        super().__init__()
        self.extend(modules)

    def _held(self) -> dict[str, Module]:
        return {n: m for n, m in vars(self).items() if isinstance(m, Module)}

    def _replace(self, modules: list[Module]) -> None:
        for name in self._held():
            delattr(self, name)
        for i, module in enumerate(modules):
            self.register_module(str(i), module)

    def _number(self, index: int, length: int) -> int:
        kind, i = type(self).__name__, operator.index(index)
        expect(-length <= i < length, kind, f"an index below {length}", i, OutOfRangeError)
        return i % length

    def _check(self, module: Any) -> Module:
        ok = isinstance(module, Module)
        expect(ok, type(self).__name__, "a Module", type(module).__name__, ArgumentError)
        return module

    def __len__(self) -> int:
        return len(self._held())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._held().values())

    def __getitem__(self: L, index: Any) -> Any:
        """A module, or for a slice a container of the same kind that shares them."""
        held = list(self)
        if isinstance(index, slice):
            part = type(self).__new__(type(self))
            _Numbered.__init__(part, held[index])
            return part
        return held[self._number(index, len(held))]

    def __setitem__(self, index: int, module: Module) -> None:
        names = list(self._held())
        self.register_module(names[self._number(index, len(names))], self._check(module))

    def __delitem__(self, index: int | slice) -> None:
        held = list(self)
        del held[index if isinstance(index, slice) else self._number(index, len(held))]
        self._replace(held)

    def append(self: L, module: Module) -> L:
        """Add a module at the end. → the container itself."""
        return self.extend([module])

    def extend(self: L, modules: Iterable[Module]) -> L:
        """Add modules at the end. → the container itself."""
        start = len(self)
        for i, module in enumerate([self._check(m) for m in modules], start):
            self.register_module(str(i), module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a module before position ``index``, as ``list.insert`` does."""
        held = list(self)
        held.insert(operator.index(index), self._check(module))
        self._replace(held)

    def pop(self, index: int = -1) -> Module:
        """Take a module out and return it."""
        module: Module = self[index]
        del self[index]
        return module


class Sequential(_Numbered):
    """Modules called one after the other, each on what the one before returned.

    ``Sequential(a, b)`` names them by number, ``Sequential({"first": a, "then": b})`` as it says.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]):
        named = len(modules) == 1 and isinstance(modules[0], Mapping)
        super().__init__(() if named else modules)  # type: ignore[arg-type]
        if named:
            for name, module in modules[0].items():
                self.register_module(name, self._check(module))

    def forward(self, x: Any) -> Any:
        """Run ``x`` through all modules in order."""
        for module in self:
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules; what to do with them is up to who holds it, so it cannot be called."""

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        return self.extend(other)


class ModuleDict(Module):
    """Modules under names of one's own, in the order they were added."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()):
        super().__init__()
        self.update(modules)

    def _held(self) -> dict[str, Module]:
        return {n: m for n, m in vars(self).items() if isinstance(m, Module)}

    def __len__(self) -> int:
        return len(self._held())

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __contains__(self, name: object) -> bool:
        return name in self._held()

    def __getitem__(self, name: str) -> Module:
        held = self._held()
        expect(name in held, "ModuleDict", f"one of {list(held)}", repr(name), OutOfRangeError)
        return held[name]

    def __setitem__(self, name: str, module: Module) -> None:
        ok = isinstance(module, Module)
        expect(ok, "ModuleDict", f"a Module for {name!r}", type(module).__name__, ArgumentError)
        self.register_module(name, module)

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._held().keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._held().values()

    def items(self) -> ItemsView[str, Module]:
        """Names with modules."""
        return self._held().items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules."""
        for name, module in dict(modules).items():
            self[name] = module

    def pop(self, name: str) -> Module:
        """Take a module out and return it."""
        module = self[name]
        del self[name]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for name in self._held():
            del self[name]
