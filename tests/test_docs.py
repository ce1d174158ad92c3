"""What the documentation shows is what happens."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import tinygrad_seq
from tinygrad_seq.ops.primitive import registry

ROOT = Path(__file__).parent.parent
# These import what may not be installed.
ELSEWHERE = ("tinygrad_seq.backend.cupy", "tinygrad_seq.kernels.cupy", "tinygrad_seq.__main__")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(tinygrad_seq.__path__, "tinygrad_seq.")
    if not module.name.startswith(ELSEWHERE)
]


def test_docstring_examples():
    tried = 0
    for name in ["tinygrad_seq", *MODULES]:
        failed, count = doctest.testmod(importlib.import_module(name), verbose=False)
        assert not failed, name
        tried += count
    assert tried >= 6  # those of the package and of errors.expect


@pytest.mark.parametrize("page", ["README.md"])
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """In order, in one namespace, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    namespace: dict[str, object] = {}
    before = dict(registry)
    try:
        for block in blocks:
            exec(compile(block, page, "exec"), namespace)
    finally:  # an op that a page declares is no op of the package
        registry.clear()
        registry.update(before)


def test_the_folders_that_architecture_names_exist():
    named = re.findall(r"^  (\w+)/ ", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    held = {p.parent.name for p in (ROOT / "tinygrad_seq").glob("*/__init__.py")}
    assert held == set(named)
