"""Module: parameters, buffers and other modules, gathered under names.

A module's attributes are what they seem: plain attributes. Those that are a ``Parameter`` or a
``Module`` are found by looking at them, in the order in which they were first assigned; a buffer is
an attribute whose name was registered. There is no second place that could disagree.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad
from tinygrad_seq.autograd.changes import stamp_change
from tinygrad_seq.backend import Device, as_device
from tinygrad_seq.errors import ArgumentError, DTypeError, ModuleError, expect
from tinygrad_seq.nn.hooks import Hook, Hooks, RemovableHandle, hang
from tinygrad_seq.nn.loading import Incompatible, load_into
from tinygrad_seq.nn.parameter import Parameter

M = TypeVar("M", bound="Module")


class Module:
    """Base of all layers and models. A subclass assigns its parts and defines ``forward``.

    ::

        class Affine(nn.Module):
            def __init__(self, n: int):
                super().__init__()
                self.scale = nn.Parameter(tg.ones(n))
                self.shift = nn.Parameter(tg.zeros(n))

            def forward(self, x):
                return x * self.scale + self.shift
    """

    forward: Callable[..., Any]

    def __init__(self) -> None:
        #: buffer name → whether state_dict holds it
        self._buffers: dict[str, bool] = {}
        self._pre_hooks: Hooks = {}
        self._hooks: Hooks = {}
        self.training = True

    # ------------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__.get(name)
        if isinstance(value, (Parameter, Module)):
            if "_buffers" not in self.__dict__:
                kind = "Parameter" if isinstance(value, Parameter) else "Module"
                raise ModuleError(
                    f"{type(self).__name__}: call super().__init__() before assigning a {kind} "
                    f"to {name!r}"
                )
            self._buffers.pop(name, None)
        elif held is not None and value is not None:
            wanted: type | None = None
            if isinstance(held, (Parameter, Module)):
                wanted = Parameter if isinstance(held, Parameter) else Module
            elif name in self.__dict__.get("_buffers", ()):
                wanted = Tensor
            ok = wanted is None or isinstance(value, wanted)
            expected = "" if wanted is None else f"a {wanted.__name__} or None for {name!r}"
            expect(ok, type(self).__name__, expected, type(value).__name__, ArgumentError)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._buffers.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        """Reached only where an attribute is missing: say so, and what may have been meant."""
        kind = type(self).__name__
        if name == "forward":
            raise ModuleError(f"{kind} has no forward; define forward(self, ...) in the class")
        if "_buffers" not in self.__dict__ and not name.startswith("__"):
            raise ModuleError(
                f"{kind} has no attribute {name!r}; was super().__init__() called in its __init__?"
            )
        near = [] if name.startswith("_") else _close(name, dir(self))
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModuleError(f"{kind} has no attribute {name!r}{hint}")

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Add a parameter, or with None a place where one could be (a bias that is left out)."""
        self._check_name("register_parameter", name)
        ok = parameter is None or isinstance(parameter, Parameter)
        got = type(parameter).__name__
        expect(ok, "register_parameter", f"a Parameter or None for {name!r}", got, ArgumentError)
        setattr(self, name, parameter)

    def register_buffer(self, name: str, value: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the module but not learned, such as a running mean.

        It moves with ``to``; ``state_dict`` holds it if ``persistent``.
        """
        self._check_name("register_buffer", name)
        ok = value is None or (isinstance(value, Tensor) and not isinstance(value, Parameter))
        got = type(value).__name__
        expect(ok, "register_buffer", f"a Tensor or None for {name!r}", got, ArgumentError)
        setattr(self, name, value)
        self._buffers[name] = persistent

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name that need not be an identifier, such as ``"0"``."""
        self._check_name("register_module", name)
        ok = module is None or isinstance(module, Module)
        got = type(module).__name__
        expect(ok, "register_module", f"a Module or None for {name!r}", got, ArgumentError)
        setattr(self, name, module)

    def _check_name(self, op: str, name: str) -> None:
        if "_buffers" not in self.__dict__:
            raise ModuleError(f"{type(self).__name__}: call super().__init__() before {op}")
        ok = isinstance(name, str) and name and "." not in name
        expect(ok, op, "a name without a dot", repr(name), ArgumentError)
        taken = name not in self.__dict__ and hasattr(type(self), name)
        held = self.__dict__.get(name)
        taken = taken or not (held is None or isinstance(held, (Tensor, Module)))
        expect(not taken, op, "a free name", f"{name!r}, which is an attribute", ArgumentError)

    # ------------------------------------------------------------------ what is inside

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside, each once, with their names."""
        seen: set[int] = set()
        for name, value in list(vars(self).items()):
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules directly inside, each once."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all inside, at any depth, each once, with dotted names."""
        return self._tree(prefix, set())

    def modules(self) -> Iterator[Module]:
        """This module and all inside, at any depth, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with dotted names; one that is shared comes once, under its first name."""
        return _once(self._tensors(_own_parameters, prefix, recurse))

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once: what an optimiser is given."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """The buffers with dotted names, each once."""
        return _once(self._tensors(_own_buffers, prefix, recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def _tree(self, path: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        """This module and those inside, parents first; all occurrences if ``seen`` is None."""
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield path, self
        for name, value in list(vars(self).items()):
            if isinstance(value, Module):
                yield from value._tree(_join(path, name), seen)

    def _tensors(
        self, own: Callable[[Module], Any], prefix: str, recurse: bool
    ) -> Iterator[tuple[str, Any]]:
        for path, module in self._tree(prefix, None) if recurse else [(prefix, self)]:
            for name, value in own(module):
                yield _join(path, name), value

    # ------------------------------------------------------------------ saving and loading

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """All parameters and persistent buffers by dotted name, detached, sharing memory."""
        return {name: t.detach() for name, t in self._state(prefix)}

    def _state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        return self._tensors(_own_state, prefix, recurse=True)

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Incompatible:
        """Copy values into the parameters and buffers; nothing changes unless everything fits.

        state: name → Tensor or array of the parameter's shape; device and dtype are converted.
        strict: refuse names that are missing or not known. → the names passed over otherwise.

        Raises StateError (names, kinds) or ShapeError (only shapes), listing every problem.
        """
        return load_into(dict(self._state()), state, strict, type(self).__name__)

    # ------------------------------------------------------------------ changing all of it

    def train(self: M, mode: bool = True) -> M:
        """Switch to training: dropout drops, statistics are gathered. → the module itself."""
        expect(isinstance(mode, bool), "train", "True or False", repr(mode), ArgumentError)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Switch to evaluation. → the module itself."""
        return self.train(False)

    def to(self: M, device: str | Device | None = None, dtype: Any = None) -> M:
        """Move everything to ``device`` and convert what is floating to ``dtype``, in place.

        Parameters stay the same objects, so an optimiser that holds them stays valid, and their
        gradients move with them.
        """
        where = None if device is None else as_device(device)
        kind = None if dtype is None else np.dtype(dtype)
        expect(kind is None or kind.kind in "fc", "to", "a floating dtype", kind, DTypeError)
        with no_grad():
            for tensor in itertools.chain(self.parameters(), self.buffers()):
                _move(tensor, where, kind)
        return self

    def requires_grad_(self: M, value: bool = True) -> M:
        """Set whether the parameters get gradients (False: frozen). → the module itself."""
        for parameter in self.parameters():
            parameter.requires_grad = value
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` fill them with zeros."""
        for parameter in self.parameters():
            grad = parameter.grad
            if grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    with no_grad():
                        grad.detach().zero_()

    def apply(self: M, fn: Callable[[Module], object]) -> M:
        """Call ``fn`` on every module inside, then on this one. → the module itself."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ------------------------------------------------------------------ calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``forward``, between the hooks."""
        if not self._pre_hooks and not self._hooks:
            return self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._pre_hooks.values()):
            changed = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if changed is not None and with_kwargs:
                args, kwargs = changed
            elif changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        out = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._hooks.values()):
            changed = hook(self, args, kwargs, out) if with_kwargs else hook(self, args, out)
            out = out if changed is None else changed
        return out

    def register_forward_pre_hook(self, hook: Hook, with_kwargs: bool = False) -> RemovableHandle:
        """Call ``hook(module, args)`` before each forward; what it returns takes args' place.

        with_kwargs: call ``hook(module, args, kwargs)``, which returns None or (args, kwargs).
        """
        return hang(self._pre_hooks, hook, with_kwargs)

    def register_forward_hook(self, hook: Hook, with_kwargs: bool = False) -> RemovableHandle:
        """Call ``hook(module, args, out)`` after each forward; what it returns takes out's place.

        with_kwargs: call ``hook(module, args, kwargs, out)``.
        """
        return hang(self._hooks, hook, with_kwargs)

    # ------------------------------------------------------------------ as text

    def extra_repr(self) -> str:
        """What stands between the brackets of the repr, before the submodules."""
        return ""

    def __repr__(self) -> str:
        lines = [self.extra_repr()] if self.extra_repr() else []
        parts = [(n, m) for n, m in vars(self).items() if isinstance(m, Module)]
        if not parts:
            return f"{type(self).__name__}({', '.join(lines)})"
        lines += [f"({name}): {module!r}" for name, module in parts]
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"


def _close(name: str, names: list[str]) -> list[str]:
    import difflib  # seldom needed, and not for free

    return difflib.get_close_matches(name, names, 1)


def _own_parameters(module: Module) -> list[tuple[str, Parameter]]:
    return [(n, v) for n, v in vars(module).items() if isinstance(v, Parameter)]


def _own_buffers(module: Module) -> list[tuple[str, Tensor]]:
    held = vars(module)
    return [(n, held[n]) for n in module._buffers if held[n] is not None]


def _own_state(module: Module) -> list[tuple[str, Tensor]]:
    kept = [(n, b) for n, b in _own_buffers(module) if module._buffers[n]]
    return [*_own_parameters(module), *kept]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _once(named: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _move(tensor: Tensor, device: Device | None, dtype: Any) -> None:
    """Put a tensor's array, and its gradient's, elsewhere. The tensor stays the same object."""
    kind = dtype if tensor.dtype.kind in "fc" else None
    grad = tensor.grad
    stamp_change(tensor.data)
    tensor.data = Tensor(tensor.data).to(device, kind).data
    if tensor._node is not None:
        tensor._node.dtype = tensor.dtype  # what arrives there is converted to it
    if grad is not None:
        tensor.grad = Tensor(grad.data).to(device, kind)
