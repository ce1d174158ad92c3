"""``MODULE:FUNCTION``: code of the user's own, found, called and blamed."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, TinygradSeqError, expect
from tinygrad_seq.gradcheck.cases import Case, cases_of
from tinygrad_seq.gradcheck.suite import call_of
from tinygrad_seq.ops.primitive import Primitive

Shape = tuple[int, ...]
_HERE = str(Path(__file__).parents[1]) + os.sep


def shape_of(text: str) -> Shape:
    """``"3,4"`` → (3, 4); ``"()"`` → ()."""
    inside = text.strip().removeprefix("(").removesuffix(")").strip(", ")
    sizes = re.split(r"\s*,\s*", inside) if inside else []
    ok = all(size.isdecimal() for size in sizes) and (sizes or "(" in text)
    expect(ok, "--shape", "sizes such as 3,4, or () for a number", repr(text), ArgumentError)
    return tuple(map(int, sizes))


@contextmanager
def blaming(who: str) -> Iterator[None]:
    """What code of the user's raises becomes one line: who, what, and where."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit, MemoryError):
        raise
    except BaseException as error:  # SystemExit too: a script that ends itself
        where = _place_of(error)
        if where is None and isinstance(error, TinygradSeqError):
            raise  # said by the check itself
        at = f" ({where})" if where else ""
        raise ArgumentError(f"{who} raised {type(error).__name__}: {error}{at}") from error


def _place_of(error: BaseException) -> str | None:
    """The innermost line of the user's own, as ``file.py, line 3``."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}, line {error.lineno}"
    libraries = (_HERE, os.path.dirname(np.__file__) + os.sep, os.path.dirname(os.__file__), "<")
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith(libraries)]
    return f"{Path(theirs[-1].filename).name}, line {theirs[-1].lineno}" if theirs else None


@contextmanager
def found(target: str) -> Iterator[Any]:
    """What ``MODULE:FUNCTION`` names; while it is in use, its folder can be imported from."""
    module, _, name = target.rpartition(":")
    ok = module and all(part.isidentifier() for part in name.split("."))
    expect(ok, "gradcheck", "MODULE:FUNCTION", repr(target), ArgumentError)
    path = list(sys.path)
    try:
        yield _named(_module(module), module, name)
    finally:
        sys.path[:] = path


def _module(name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    if name.endswith(".py") or os.sep in name:
        file = Path(name).resolve()
        expect(file.is_file(), "gradcheck", "a Python file", f"{name}, which does not exist",
               ArgumentError)  # fmt: skip
        sys.path.insert(0, str(file.parent))
        free = file.stem if file.stem not in sys.modules else f"{file.stem}_{abs(hash(str(file)))}"
        spec = importlib.util.spec_from_file_location(free, file)
        expect(spec and spec.loader, "gradcheck", "a file whose name ends in .py", name,
               ArgumentError)  # fmt: skip
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        with blaming(name):
            spec.loader.exec_module(module)
        return module
    with blaming(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # it is there, but what it imports is not
    raise ArgumentError(
        f"gradcheck: expected a module that can be imported from here, or the path of a .py file, "
        f"got {name!r}"
    )


def _named(module: ModuleType, shown: str, name: str) -> Any:
    """``name`` in the module, which may be dotted."""
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            near = difflib.get_close_matches(part, [n for n in vars(value) if n[:2] != "__"], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ArgumentError(f"gradcheck: there is no {part!r} in {shown}{hint}")
        value = getattr(value, part)
    expect(callable(value), "gradcheck", "a function, a module or its class",
           f"{name}, which is {type(value).__name__}", ArgumentError)  # fmt: skip
    return value


def cases(value: Any, who: str, shapes: Sequence[Shape], seed: int) -> list[Case]:
    """What to check: (fn, inputs), from ``shapes`` or as the user's function gives them.

    A class is made first, without arguments. With shapes, each argument is standard normal, from
    ``seed``. Without, an op is checked on the samples that it declares, and any other function
    is called, and must return (fn, inputs) or yield several.
    """
    if inspect.isclass(value):
        required = _required(value)
        expect(not required, who, "a class that can be made without arguments; else write a "
               "function that returns (fn, inputs)", f"one that needs {', '.join(required)}",
               ArgumentError)  # fmt: skip
        with blaming(who):
            value = value()
        expect(callable(value), who, "objects that can be called", f"a {type(value).__name__}",
               ArgumentError)  # fmt: skip
    if shapes:
        return [(value, _drawn(value, who, shapes, seed))]
    if isinstance(value, Primitive) and value.samples:
        calls = [call_of(value, sample, seed=seed) for sample in value.samples]
        return [(call.fn, call.inputs) for call in calls if call.inputs]
    required = _required(value)
    if required or hasattr(value, "forward"):
        needs = ", ".join(required) or "its input"
        raise ArgumentError(
            f"{who}: expected --shape for each of: {needs} (or a function without parameters that "
            "returns (fn, inputs)), got none"
        )
    with blaming(who):
        result = value()
        result = list(result) if inspect.isgenerator(result) else result
    return cases_of(result, who)


def _parameters(value: Any) -> list[inspect.Parameter]:
    """The positional parameters of a function, a module's ``forward`` or a class."""
    called = value if inspect.isclass(value) else getattr(value, "forward", value)
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):  # compiled, and without a signature
        return []
    return [p for p in parameters if p.kind is not p.KEYWORD_ONLY]


def _required(value: Any) -> list[str]:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in _parameters(value) if p.default is p.empty and p.kind not in variable]


def _drawn(value: Any, who: str, shapes: Sequence[Shape], seed: int) -> list[Tensor]:
    """A standard normal Tensor for each shape, if there are as many as the function takes."""
    parameters = [p for p in _parameters(value) if p.kind is not p.VAR_KEYWORD]
    if parameters and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        least, most = len(_required(value)), len(parameters)
        names = ", ".join(p.name for p in parameters)
        expect(least <= len(shapes) <= most, who, f"--shape for each of: {names}",
               len(shapes), ArgumentError)  # fmt: skip
    rng = np.random.default_rng(seed)
    return [Tensor(np.asarray(rng.standard_normal(shape))) for shape in shapes]
