"""kernels/dispatch.py: the backend's own kernel, else the reference."""

import threading
from types import ModuleType

import numpy as np
import pytest

from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.kernels import dispatch, kernel, reference_kernels


@pytest.fixture
def rival(monkeypatch):
    """A NumPy kernel named ``pair``, and its reference, that exist only for one test."""
    modules = {
        f"tinygrad_seq.kernels.{folder}.pair": ModuleType(f"tinygrad_seq.kernels.{folder}.pair")
        for folder in ("reference", "numpy")
    }
    monkeypatch.setattr(dispatch, "find_spec", modules.get)
    monkeypatch.setattr(dispatch, "import_module", modules.__getitem__)
    dispatch._find.cache_clear()
    yield
    dispatch._find.cache_clear()


def folder_of(module):
    return module.__name__.split(".")[-2]


def test_the_backends_own_kernel_comes_first(rival):
    assert folder_of(kernel("pair", np.ones(2))) == "numpy"


def test_reference_kernels_forces_the_readable_one_and_nests(rival):
    x = np.ones(2)
    with reference_kernels():
        with reference_kernels():
            assert folder_of(kernel("pair", x)) == "reference"
        assert folder_of(kernel("pair", x)) == "reference"
    assert folder_of(kernel("pair", x)) == "numpy"


def test_the_switch_is_undone_after_an_error(rival):
    with pytest.raises(KeyError), reference_kernels():
        raise KeyError
    assert folder_of(kernel("pair", np.ones(2))) == "numpy"


def test_the_switch_belongs_to_one_thread(rival):
    seen = []
    with reference_kernels():
        thread = threading.Thread(target=lambda: seen.append(kernel("pair", np.ones(2))))
        thread.start()
        thread.join()
    assert folder_of(seen[0]) == "numpy"


def test_a_backend_without_rivals_runs_the_reference(rival):
    from tinygrad_seq.backend import as_device, transfer

    x = transfer(np.ones(2), as_device("strict"))
    assert folder_of(kernel("pair", x)) == "reference"


def test_an_unknown_kernel_is_named():
    with pytest.raises(ArgumentError, match="kernel: .*'no_such'"):
        kernel("no_such", np.ones(2))
