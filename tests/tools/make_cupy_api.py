"""Write ``tinygrad_seq/backend/cupy_api.json``: the names and keywords that CuPy offers.

CuPy imports without a GPU, so its own signatures can be read anywhere. Run this after a CuPy
upgrade; a test compares the committed table with the CuPy that is installed.

Each section maps a name to its parameters in Python's own notation, defaults left out
(``"a, axis=, /, *, dtype="``), or to null where the name is not called: a constant, a type.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

TABLE = Path(__file__).parents[2] / "tinygrad_seq" / "backend" / "cupy_api.json"

# The keywords behind a ``**kwargs``, read in CuPy's source.
HIDDEN = {
    "einsum": "*operands, dtype=, optimize=",
    "meshgrid": "*xi, indexing=, sparse=, copy=",
    "pad": "array, pad_width, mode=, *, constant_values=, end_values=, stat_length=, reflect_type=",
}
# Accepted by name only; CuPy's documentation says that they are not supported.
IGNORED = {"subok"}
IGNORED_OF = {"astype": {"casting"}}


def parameters_of(signature: inspect.Signature, name: str) -> str:
    """A signature without annotations, defaults and unsupported parameters."""
    dropped = IGNORED | IGNORED_OF.get(name, set())
    shown, kinds = [], [p.kind for p in signature.parameters.values()]
    for p in signature.parameters.values():
        if p.name in dropped or p.name == "self":
            continue
        if p.kind is not p.POSITIONAL_ONLY and p.POSITIONAL_ONLY in kinds and "/" not in shown:
            shown.append("/")
        if p.kind is p.KEYWORD_ONLY and p.VAR_POSITIONAL not in kinds and "*" not in shown:
            shown.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        shown.append(star + p.name + ("" if p.default is p.empty else "="))
    if kinds and all(kind is inspect.Parameter.POSITIONAL_ONLY for kind in kinds) and shown:
        shown.append("/")
    return ", ".join(shown)


def from_doc(doc: str | None, name: str) -> str | None:
    """The parameters in the signature line that Cython writes at the top of a docstring."""
    line = re.match(r"[\w.]+\((.*)\)(?: -> [\w.]+)?$", (doc or "").strip().split("\n")[0])
    if line is None:
        return None
    shown = []
    for part in filter(None, re.split(r", (?![^(]*\))", line[1])):
        if part in ("*", "/"):
            shown.append(part)
            continue
        default = "=" if "=" in part else ""
        parameter = part.split("=")[0].split()[-1] + default  # drop a C type before the name
        if parameter.rstrip("=") not in IGNORED | IGNORED_OF.get(name, set()) | {"self"}:
            shown.append(parameter)
    return ", ".join(shown)


def ufunc_entries(name: str, ufunc: Any) -> dict[str, str]:
    """A ufunc and those of its methods that work for it; CuPy implements few."""
    keywords = re.search(r"\\\*, (.*)\)", ufunc.__doc__.split("\n")[0])
    assert keywords, name
    inputs = ", ".join(["x"] if ufunc.nin == 1 else [f"x{i + 1}" for i in range(ufunc.nin)])
    extra = "".join(f", {key}=" for key in re.findall(r"(\w+)=", keywords[1]))
    outputs = ["out="] if ufunc.nout == 1 else [f"out{i + 1}=" for i in range(ufunc.nout)]
    outs = f", /, {outputs[0]}, *" if ufunc.nout == 1 else f", {', '.join(outputs)}, /, *, out="
    entries = {name: inputs + outs + extra}
    for method, args in {"at": (0, 1), "reduce": (), "accumulate": (), "reduceat": ([0],)}.items():
        function = getattr(ufunc, method)
        try:
            function(_Recorder(), *args)
        except NotImplementedError:
            continue
        parameters = from_doc(function.__doc__, method)
        assert parameters, (name, method)
        entries[f"{name}.{method}"] = parameters
    return entries


class _Recorder:
    """Takes the place of an array to learn whether a ufunc method is implemented."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def section_of(namespace: Any) -> dict[str, str | None]:
    """Every public name of a module or class and what it takes."""
    import cupy

    section: dict[str, str | None] = {}
    for name in sorted(n for n in dir(namespace) if not n.startswith("_")):
        value = getattr(namespace, name)
        if isinstance(value, ModuleType) or name == "annotations":
            continue
        if isinstance(value, cupy.ufunc):
            section.update(ufunc_entries(name, value))
        elif callable(value) and value is getattr(np, name, None):
            section[name] = None if isinstance(value, type) else "*args, **kwargs"  # NumPy's own
        elif name in HIDDEN:
            section[name] = HIDDEN[name]
        elif isinstance(value, type) or not callable(value):
            section[name] = None
        else:
            try:
                section[name] = parameters_of(inspect.signature(value), name)
            except (TypeError, ValueError):
                section[name] = from_doc(value.__doc__, name)
    return section


def make_table() -> dict[str, Any]:
    """The whole table for the CuPy that is installed."""
    import cupy

    major = cupy.__version__.split(".")[0]
    sections = {"cupy": cupy, "cupy.linalg": cupy.linalg, "cupy.ndarray": cupy.ndarray}
    return {"version": major, **{key: section_of(value) for key, value in sections.items()}}


def render(table: dict[str, Any]) -> str:
    """The table as JSON with one name per line, so that a diff reads well."""
    return json.dumps(table, indent=0, sort_keys=True) + "\n"


if __name__ == "__main__":
    TABLE.write_text(render(make_table()))
    sys.stdout.write(f"{TABLE}: {TABLE.stat().st_size} bytes\n")
