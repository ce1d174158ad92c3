"""What CuPy offers: its names and keywords, from the committed table ``cupy_api.json``.

The table lets the stand-in device and the test suite hold code to CuPy's dialect of NumPy on
machines that have no CuPy. ``tests/tools/make_cupy_api.py`` writes it.
"""

from __future__ import annotations

import inspect
import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table() -> dict[str, Any]:
    """The sections ``cupy``, ``cupy.linalg`` and ``cupy.ndarray``: name → parameters or None."""
    text = files("tinygrad_seq.backend").joinpath("cupy_api.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def offers(section: str, name: str) -> bool:
    """Whether CuPy has ``name``; ufunc methods are written ``"add.at"``."""
    return name in table()[section]


@cache
def signature(section: str, name: str) -> inspect.Signature | None:
    """How ``name`` is called, or None for a constant, a type or an attribute."""
    text = table()[section][name]
    return None if text is None else _parse(text)


def check_call(section: str, name: str, args: Any, kwargs: dict[str, Any]) -> None:
    """Raise TypeError, naming the function, for arguments that CuPy's would refuse."""
    expected = signature(section, name)
    if expected is None:
        raise TypeError(f"{section}.{name} cannot be called")
    try:
        expected.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{section}.{name}({table()[section][name]}): {error}") from None


def _parse(text: str) -> inspect.Signature:
    """Read ``"a, axis=, /, *, dtype="``: Python's own notation without the defaults."""
    parts = text.split(", ") if text else []
    usual = inspect.Parameter.POSITIONAL_OR_KEYWORD
    kind: Any = inspect.Parameter.POSITIONAL_ONLY if "/" in parts else usual
    parameters = []
    for part in parts:
        name = part.strip("*=/")
        if part == "/":
            kind = usual
        elif part.startswith("**"):
            parameters.append(inspect.Parameter(name, inspect.Parameter.VAR_KEYWORD))
        elif part.startswith("*"):
            kind = inspect.Parameter.KEYWORD_ONLY
            if name:
                parameters.append(inspect.Parameter(name, inspect.Parameter.VAR_POSITIONAL))
        else:
            default = None if part.endswith("=") else inspect.Parameter.empty
            parameters.append(inspect.Parameter(name, kind, default=default))
    return inspect.Signature(parameters)
