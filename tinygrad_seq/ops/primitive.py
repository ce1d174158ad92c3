"""The primitive: a function on raw arrays with its derivative written beside it.

::

    @primitive(numpy=np.tanh, samples=[Sample((3, 4)), Sample(())])
    def tanh(x):
        \"\"\"Hyperbolic tangent, elementwise: out = tanh x, ∂out/∂x = 1 − out².\"\"\"
        return xp_of(x).tanh(x)

    tanh.vjp(x=lambda g, out: g - g * out * out)

Called with raw arrays a primitive just computes. Called with anything that has a ``__primitive__``
method (a Tensor) it hands itself over, as NumPy does with ``__array_ufunc__``; so ops never import
Tensor. A rule's parameters after ``g`` say what the tape must keep for it:

* an input or parameter of the function, by its name;
* ``<name>_shape``: only the shape of that input;
* ``out`` (or the output's name, for an op with several);
* a residual, a by-product of the forward that is no output (dropout's mask). It is a constant to
  higher derivatives: an op whose residuals depend on its inputs must name a ``composition``.

A rule must work on raw arrays and on Tensors alike: write it with operators and other ops, never
with ``xp``. It returns the gradient of the broadcast operands; the tape sums it back to the
input's shape.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import update_wrapper
from types import MethodType
from typing import Any, NoReturn

from tinygrad_seq.backend import beside, device_of, is_array, several_devices
from tinygrad_seq.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    OutOfRangeError,
    ShapeError,
    TinygradSeqError,
)
from tinygrad_seq.ops.plan import Plans, Rule
from tinygrad_seq.ops.sample import Bad, Sample

#: every primitive by name; tests, gradient checks, benchmarks and the op table read it
registry: dict[str, Primitive] = {}
#: the primitive that stands for a NumPy function
by_numpy: dict[Callable[..., Any], Primitive] = {}

_REQUIRED = inspect.Parameter.empty


def parameters(fn: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters (as ``inspect.signature`` gives them, far slower)."""
    code = fn.__code__
    return code.co_varnames[: code.co_argcount]


class Primitive:
    """A differentiable function: forward, derivative, and all that is known about it."""

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        name: str | None = None,
        numpy: Callable[..., Any] | None = None,
        samples: Iterable[Sample] = (),
        bad: Iterable[Bad] = (),
        bench: Sample | None = None,
        nondiff: Sequence[str] = (),
        outputs: Sequence[str] = ("out",),
        residuals: Sequence[str] = (),
        unused_as_none: bool = False,
        sequence: bool = False,
        composition: Callable[..., Any] | None = None,
        view: bool = False,
        analytic: bool = False,
    ):
        update_wrapper(self, forward)
        self.__name__ = self.name = name or forward.__name__.rstrip("_")
        self.forward = forward
        self.numpy = numpy
        self.samples = tuple(samples)
        self.bad = tuple(bad)
        self.bench = bench
        self.outputs = tuple(outputs)
        self.residuals = tuple(residuals)
        self.unused_as_none = unused_as_none
        self.sequence = sequence
        self.composition = composition
        self.view = view
        self.analytic = analytic
        #: one output, nothing beside it: what most ops are, and the tape's short way
        self.simple = not (len(self.outputs) > 1 or residuals or sequence or composition)

        self.params = parameters(forward)
        defaults = forward.__defaults__ or ()
        self.defaults = (*[_REQUIRED] * (len(self.params) - len(defaults)), *defaults)
        self.arity = len(self.params)
        self.nondiff = frozenset(nondiff)
        unknown = self.nondiff - set(self.params)
        if unknown:
            raise ArgumentError(f"{self.name}: nondiff names no parameter: {sorted(unknown)}")
        self.rules: dict[str, Rule] = {}
        self.joint: Rule | None = None
        #: the inputs that a gradient can reach
        self.differentiable: tuple[str, ...] = ()
        #: what a rule may ask for
        self.names = (*self.params, *self.outputs, *self.residuals)
        self.plans = Plans(self)

    # ------------------------------------------------------------------ declaring derivatives

    def vjp(self, **rules: Callable[..., Any]) -> Primitive:
        """Give the derivative for inputs, each ``lambda g, <what it needs>: gradient``."""
        for name, fn in rules.items():
            if name not in self.params:
                raise ArgumentError(f"{self.name}: vjp for {name!r}, which is no parameter")
            self.rules[name] = Rule(fn, self._wants(fn))
        self.differentiable = tuple(p for p in self.params if p in self.rules)
        self.plans.clear()
        return self

    def vjp_all(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Give one derivative for all inputs at once; it returns their gradients in order.

        The inputs are the parameters without a default, and those that default to None, less
        ``nondiff``. A joint rule may also ask for ``needs``: a bool for each parameter.
        Usable as a decorator.
        """
        self.joint = Rule(fn, self._wants(fn))
        self.differentiable = tuple(
            p
            for p, default in zip(self.params, self.defaults, strict=True)
            if p not in self.nondiff and (default is _REQUIRED or default is None)
        )
        self.plans.clear()
        return fn

    def _wants(self, fn: Callable[..., Any]) -> tuple[str, ...]:
        wants = parameters(fn)
        if not wants or wants[0] != "g":
            raise ArgumentError(f"{self.name}: a rule's first parameter must be g, got {wants}")
        for want in wants[1:]:
            if not {want, want.removesuffix("_shape")} & {*self.names, "needs"}:
                raise ArgumentError(
                    f"{self.name}: a rule asks for {want!r}; "
                    f"there are {', '.join(self.names)} and <name>_shape"
                )
        return wants[1:]

    # ------------------------------------------------------------------ calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, or hand over to the first argument that has ``__primitive__``."""
        for arg in args:
            handler = getattr(arg, "__primitive__", None)
            if handler is not None:
                return handler(self, args, kwargs)
        if kwargs or self.sequence:
            for arg in self._hidden(args, kwargs):
                handler = getattr(arg, "__primitive__", None)
                if handler is not None:
                    return handler(self, args, kwargs)
        values = self.bind(args, kwargs)
        try:
            with beside(*values) if several_devices else nullcontext():
                out = self.forward(*values)
        except Exception as error:
            self.fail(error, values)
        if self.residuals:
            n = len(self.outputs)
            return out[0] if n == 1 else out[:n]
        return out

    def _hidden(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterable[Any]:
        """Arguments that are not plainly positional."""
        for value in (*args, *kwargs.values()):
            if isinstance(value, (list, tuple)):
                yield from value
            else:
                yield value

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[Any]:
        """All parameters in order, defaults filled in."""
        given = len(args)
        if given == self.arity and not kwargs:
            return args
        if given > self.arity:
            raise ArgumentError(f"{self.name}: expected {self.arity} arguments, got {given}")
        values = [*args, *self.defaults[given:]]
        for key, value in kwargs.items():
            if key not in self.params:
                raise ArgumentError(
                    f"{self.name}: no parameter {key!r}; there are {', '.join(self.params)}"
                )
            position = self.params.index(key)
            if position < given:
                raise ArgumentError(f"{self.name}: {key!r} was given twice")
            values[position] = value
        for name, value in zip(self.params, values, strict=True):
            if value is _REQUIRED:
                raise ArgumentError(f"{self.name}: missing argument {name!r}")
        return values

    def fail(self, error: Exception, values: Sequence[Any]) -> NoReturn:
        """Raise one clear error of ours for what the array library complained about."""
        ours = self._explain(error, values)
        if ours is error:
            raise error
        raise ours from error

    def _explain(self, error: Exception, values: Sequence[Any]) -> Exception:
        if isinstance(error, TinygradSeqError):
            return error
        if self.sequence and isinstance(values[0], (list, tuple)) and not values[0]:
            return ShapeError(f"{self.name}: expected at least one array, got an empty list")
        required = [v for v, d in zip(values, self.defaults, strict=True) if d is _REQUIRED]
        if isinstance(error, AttributeError) and not all(map(is_array, required)):
            got = ", ".join(type(v).__name__ for v in required)  # a list, say, is no array
            return DTypeError(f"{self.name}: expected tensors or arrays, got {got}")
        return cannot_take(self.name, list(self._hidden(values, {})), error)

    # ------------------------------------------------------------------ as a method, as text

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """In a class body a primitive is a method whose first argument is the instance."""
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<op {self.name}{inspect.signature(self.forward)}>"


def cannot_take(name: str, values: Sequence[Any], error: Exception) -> Exception:
    """The error of ours for what an array library complained about in a call of ``name``."""
    if isinstance(error, TinygradSeqError):
        return error
    arrays = [v for v in values if is_array(v)]
    devices = {str(device_of(a)) for a in arrays}
    if len(devices) > 1:
        found = ", ".join(sorted(devices))
        return DeviceError(f"{name}: expected all arrays on one device, got {found}")
    what = ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays) or "no arrays"
    kinds = {IndexError: OutOfRangeError, ValueError: ShapeError, TypeError: DTypeError}
    for kind, ours in kinds.items():
        if isinstance(error, kind):
            return ours(f"{name}: cannot take {what}: {error}")
    return error


def primitive(**declaration: Any) -> Callable[[Callable[..., Any]], Primitive]:
    """Declare a primitive; see this module's docstring and ``Primitive.__init__``.

    numpy: the NumPy function it mirrors. samples, bad, bench: what it is tried on. nondiff:
    parameters without a gradient (indices, masks). outputs, residuals: names, where the forward
    returns a tuple. unused_as_none: a rule gets None, not zeros, as the gradient of one of several
    outputs that nobody used. sequence: the first parameter is a list of arrays. composition: the
    same computation in other primitives, for an op whose rule is right to first order only. view:
    the output shares the input's memory. analytic: complex-step differentiation applies.
    """

    def declare(forward: Callable[..., Any]) -> Primitive:
        op = Primitive(forward, **declaration)
        if op.name in registry:
            raise ArgumentError(f"primitive: there is an op {op.name!r} already")
        registry[op.name] = op
        if op.numpy is not None:
            by_numpy[op.numpy] = op
        return op

    return declare
