"""The house rules hold: imports run one way, ``xp`` speaks CuPy's dialect, importing is cheap."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_seq
from tests.support import architecture

PACKAGE = Path(tinygrad_seq.__file__).parent
CHECKS = [
    architecture.upward_imports,
    architecture.import_cycles,
    architecture.strayed_imports,
    architecture.foreign_names,
]
UNWANTED = {"cupy", "typer", "rich", "matplotlib", "safetensors", "numba"}


@pytest.mark.parametrize("check", CHECKS)
def test_the_package_keeps_the_rule(check):
    assert check(PACKAGE) == []


def test_the_checks_see_the_whole_package():
    imports = architecture.imports_of(PACKAGE)
    assert len({who for who, _, _ in imports}) > 20
    assert ("tinygrad_seq.backend.cupy", "cupy") in {(who, what) for who, _, what in imports}


def plant(folder, **files):
    """A package of the given files: ``ops__x="import y"`` is ``ops/x.py``."""
    for name in ("", "autograd", "backend", "gradcheck", "nn", "ops", "viz"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text("")
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("ops__tanh", "from tinygrad_seq.autograd import Tensor"),
        ("ops__tanh", "import tinygrad_seq.nn"),
        ("ops__tanh", "from tinygrad_seq import nn"),
        ("ops__tanh", "from ..nn import Linear"),
        ("ops__tanh", "def f():\n    from tinygrad_seq.nn import Linear"),
        ("ops__tanh", "import importlib\nimportlib.import_module('tinygrad_seq.nn')"),
        ("ops__tanh", "import tinygrad_seq as tg"),
        ("nn__linear", "from tinygrad_seq.gradcheck import gradcheck"),
        ("viz__plots", "from tinygrad_seq.backend import to_host"),
        ("nn__linear", "from tinygrad_seq.viz import plot"),
        ("errors", "if not TYPE_CHECKING:\n    import tinygrad_seq.ops"),
    ],
)
def test_an_upward_import_is_found(tmp_path, file, text):
    found = architecture.upward_imports(plant(tmp_path, **{file: text}))
    assert len(found) == 1, found
    assert found[0].startswith("tinygrad_seq." + file.replace("__", "."))


@pytest.mark.parametrize(
    "text",
    [
        "from tinygrad_seq.backend import xp_of",
        "if TYPE_CHECKING:\n    from tinygrad_seq.autograd import Tensor",
        "import typing\nif typing.TYPE_CHECKING:\n    import tinygrad_seq.nn",
        "from tinygrad_seq.ops import sample",
    ],
)
def test_a_downward_import_is_allowed(tmp_path, text):
    assert architecture.upward_imports(plant(tmp_path, ops__tanh=text)) == []


def test_a_cycle_is_found(tmp_path):
    inside = "def f():\n    from tinygrad_seq.ops.a import g"
    files = {"ops__a": "import tinygrad_seq.ops.b", "ops__b": inside}
    (found,) = architecture.import_cycles(plant(tmp_path, **files))
    assert "tinygrad_seq.ops.a → tinygrad_seq.ops.b" in found
    assert architecture.import_cycles(plant(tmp_path, ops__b="")) == []


@pytest.mark.parametrize(
    ("file", "text", "allowed"),
    [
        ("ops__tanh", "import cupy", False),
        ("ops__tanh", "def f():\n    from cupyx import scatter_add", False),
        ("kernels__numpy__lstm", "import cupy", False),
        ("kernels__reference__lstm", "import numba", False),
        ("backend__numpy", "import cupy.cuda", False),
        ("backend__cupy", "import cupy", True),
        ("kernels__cupy__lstm", "import cupy", True),
        ("kernels__numpy__lstm", "import numba", True),
    ],
)
def test_a_stray_library_is_found(tmp_path, file, text, allowed):
    found = architecture.strayed_imports(plant(tmp_path, **{file: text}))
    assert (found == []) is allowed


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("xp.errstate(all='ignore')", "CuPy 14 has no errstate"),
        ("xp.asnumpy(x)", "NumPy 2 has no asnumpy"),
        ("xp.exp(x, where=m)", "CuPy 14 has no where= in exp"),
        ("xp.sum(x, axis=0, initial=0)", "CuPy 14 has no initial= in sum"),
        ("xp_of(x).sum(x, where=m)", "CuPy 14 has no where= in sum"),
        ("backend.xp_of(x).vecdot(x, x)", "CuPy 14 has no vecdot"),
        ("xp.linalg.vector_norm(x)", "CuPy 14 has no linalg.vector_norm"),
        ("xp.linalg.svd(x, hermitian=True)", "CuPy 14 has no hermitian= in linalg.svd"),
        ("xp.maximum.reduce(x)", "CuPy 14 has no maximum.reduce"),
        ("f(xp.maximum.accumulate)", "CuPy 14 has no maximum.accumulate"),
        ("xp.take(x, i, mode='wrap')", "CuPy 14 has no mode= in take"),
        ("xp.asarray(x, blocking=True)", "NumPy 2 has no blocking= in asarray"),
        ("xp.reshape(x, newshape=s)", "NumPy 2 has no newshape= in reshape"),
        ("xp.linalg.norm(x, axis=0, keepdims=True)", None),
        ("xp.concatenate([x, y], axis=0, out=z)", None),
        ("xp.einsum('ij->i', x, optimize=True)", None),
        ("xp.add.at(x, i, 1.0)", None),
        ("xp.finfo(xp.float32).eps + xp.pi", None),
        ("xp.empty_like(x, dtype=xp.float32, shape=s)", None),
    ],
)
def test_a_name_that_one_library_lacks_is_found(tmp_path, text, fault):
    found = architecture.foreign_names(plant(tmp_path, ops__x=f"def f(x):\n    return {text}"))
    assert found == ([f"ops/x.py:2 {fault}"] if fault else [])


def fresh(code):
    """What a fresh interpreter prints for ``code``, read as JSON."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's threads wait in a loop meanwhile
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=PACKAGE.parent, env=environment,
    )  # fmt: skip
    return json.loads(run.stdout)


def test_import_brings_only_numpy():
    loaded = set(fresh("import tinygrad_seq, sys, json; print(json.dumps(list(sys.modules)))"))
    assert "tinygrad_seq" in loaded
    assert not UNWANTED & loaded


def test_import_is_cheap():
    """At most 100 ms over NumPy, in processor time, which other processes disturb least."""
    code = (
        "from time import process_time as now\nimport numpy, json\nstart = now()\n"
        "import tinygrad_seq\nprint(json.dumps(now() - start))"
    )
    fresh(code)  # the first run may have to compile
    assert statistics.median(fresh(code) for _ in range(7)) < 0.1
