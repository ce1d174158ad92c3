"""Checks of the source itself: which way imports run, and whether ``xp`` speaks CuPy's dialect.

Every check takes the folder of a package and returns what is wrong as a list of lines, so that
each can itself be tested on a package with a planted fault.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.backend import cupy_api

ROOT = "tinygrad_seq"
# Who may import whom: only what stands in a line above. Neighbours may not know each other.
# "" is the package itself (``import tinygrad_seq as tg``), which collects the lines above it.
LAYERS = [
    ["errors"], ["backend"], ["kernels"], ["ops"], ["autograd"], ["gradcheck", "nn"], ["viz"],
    ["optim", "bptt", "data"], [""], ["models"], ["train"], ["bench"], ["cli"], ["__main__"],
]  # fmt: skip
ONLY = {"viz": {"errors"}}  # it takes plain arrays and records
# Libraries that are imported in their own corner only.
CORNERS = {
    "cupy": ("backend/cupy.py", "kernels/cupy/"),
    "cupyx": ("backend/cupy.py", "kernels/cupy/"),
    "numba": ("kernels/numpy/", "kernels/cupy/"),
}
UFUNC_KEYWORDS = {"axes", "axis", "casting", "dtype", "keepdims", "order", "out", "subok", "where"}
TYPE_CHECKING = {"TYPE_CHECKING", "typing.TYPE_CHECKING"}

Import = tuple[str, int, str]  # who, on which line, imports what


def imports_of(package: Path) -> list[Import]:
    """All imports of a package, those inside functions too, those for type checkers not."""
    modules = {_module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    found = []
    for name, path in modules.items():
        for node in _walk(ast.parse(path.read_text())):
            for target in _targets(node, name, path.name == "__init__.py"):
                found.append((name, node.lineno, _resolve(target, modules)))
    return found


def upward_imports(package: Path) -> list[str]:
    """Imports that run up the list of layers, or across it."""
    wrong = []
    for who, line, what in imports_of(package):
        if what.split(".")[0] != ROOT:
            continue
        user, used = _layer_of(who), _layer_of(what)
        if user == used:
            continue
        allowed = ONLY.get(user, {n for layer in LAYERS[: _rank(user)] for n in layer})
        if used not in allowed:
            wrong.append(f"{who}:{line} imports {what}")
    return wrong


def import_cycles(package: Path) -> list[str]:
    """A cycle among the modules, if there is one."""
    graph: dict[str, set[str]] = {}
    for who, _, what in imports_of(package):
        if what.split(".")[0] == ROOT and what != who:
            graph.setdefault(who, set()).add(what)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" → ".join(reversed(error.args[1]))]
    return []


def strayed_imports(package: Path) -> list[str]:
    """Imports of CuPy or Numba outside their corners."""
    wrong = []
    for who, line, what in imports_of(package):
        homes = CORNERS.get(what.split(".")[0])
        place = who.removeprefix(ROOT).strip(".").replace(".", "/")
        if homes and not any(f"{place}.py" == h or f"{place}/".startswith(h) for h in homes):
            wrong.append(f"{who}:{line} imports {what}")
    return wrong


def foreign_names(package: Path) -> list[str]:
    """Uses of ``xp.name`` and ``xp.name(keyword=…)`` that NumPy 2 or CuPy 14 does not have."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            call = node if isinstance(node, ast.Call) else None
            name = _xp_chain(call.func if call else node)
            if name:
                keywords = [k.arg for k in call.keywords if k.arg] if call else []
                at = f"{path.relative_to(package)}:{node.lineno}"
                wrong += [f"{at} {fault}" for fault in _faults(name, keywords)]
    return sorted(set(wrong))


def _walk(tree: ast.AST) -> Iterator[Any]:
    """Every node but those in the body of ``if TYPE_CHECKING:``."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        for_checkers = isinstance(tree, ast.If) and ast.unparse(tree.test) in TYPE_CHECKING
        if not (for_checkers and child in tree.body):
            yield from _walk(child)


def _targets(node: ast.AST, module: str, is_package: bool) -> list[str]:
    """What one statement imports, as absolute dotted names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = module.split(".")
        up = node.level - is_package if node.level else 0
        start = ".".join(base[: len(base) - up]) + "." if node.level else ""
        origin = (start + (node.module or "")).strip(".")
        return [f"{origin}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        first = node.args[0] if node.args else None
        return [first.value] if isinstance(first, ast.Constant) else []
    return []


def _resolve(target: str, modules: dict[str, Path]) -> str:
    """The module that an imported name lives in: the name itself, or what it is taken from."""
    while target.split(".")[0] == ROOT and target not in modules and "." in target:
        target = target.rpartition(".")[0]
    return target


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join([ROOT, *(p for p in parts if p != "__init__")])


def _layer_of(module: str) -> str:
    return [*module.split("."), ""][1]


def _rank(layer: str) -> int:
    for rank, names in enumerate(LAYERS):
        if layer in names:
            return rank
    raise ValueError(f"{layer!r} has no place in LAYERS: decide which layers it may import")


def _xp_chain(node: ast.AST) -> str:
    """``"linalg.norm"`` for ``xp.linalg.norm`` or ``xp_of(a).linalg.norm``, else ``""``."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Call):
        node = node.func
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
        return ".".join(parts) if name == "xp_of" else ""
    return ".".join(parts) if isinstance(node, ast.Name) and node.id == "xp" else ""


def _faults(name: str, keywords: list[str]) -> list[str]:
    """What NumPy and CuPy lack of one use of a name."""
    faults = [f"CuPy 14 has no {fault}" for fault in _cupy_lacks(name, keywords)]
    return faults + [f"NumPy 2 has no {fault}" for fault in _numpy_lacks(name, keywords)]


def _cupy_lacks(name: str, keywords: list[str]) -> list[str]:
    section, short = "cupy", name
    if name.split(".")[0] == "linalg":
        section, short = "cupy.linalg", name.partition(".")[2]
        if not short:  # xp.linalg itself, on the way to its function
            return []
    first = short.split(".")[0]
    if cupy_api.offers(section, first) and cupy_api.signature(section, first) is None:
        return []  # a constant or a type; what hangs on it is NumPy's
    if not cupy_api.offers(section, short):
        return [name]
    return _lacking(name, keywords, cupy_api.signature(section, short))


def _numpy_lacks(name: str, keywords: list[str]) -> list[str]:
    try:
        function = attrgetter(name)(np)
    except AttributeError:
        return [name]
    if isinstance(function, np.ufunc):
        return [f"{k}= in {name}" for k in keywords if k not in UFUNC_KEYWORDS]
    try:
        return _lacking(name, keywords, inspect.signature(function))
    except (TypeError, ValueError):  # compiled, and without a signature of its own
        doc = inspect.getdoc(function) or ""
        return [f"{k}= in {name}" for k in keywords if f"{k}" not in doc]


def _lacking(name: str, keywords: list[str], signature: inspect.Signature | None) -> list[str]:
    parameters = signature.parameters.values() if signature else []
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return []
    known = {p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY}
    return [f"{keyword}= in {name}" for keyword in keywords if keyword not in known]
