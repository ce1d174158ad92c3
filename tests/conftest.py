"""What every test can count on: one BLAS thread per worker, fresh random streams, devices."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before NumPy is imported, and without overruling anyone
    for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from functools import cache
from importlib.util import find_spec

import pytest
from hypothesis import settings

from tinygrad_seq.backend import as_device, default_device, manual_seed, set_default_device
from tinygrad_seq.errors import TinygradSeqError

# The same examples in every run, however slow the machine is.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@cache
def _why_no_gpu() -> str | None:
    """What keeps the tests marked ``gpu`` from running, or None."""
    try:
        as_device("cuda")
    except TinygradSeqError as error:
        return f"no GPU: {error}"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and _why_no_gpu():
        pytest.skip(_why_no_gpu() or "")
    if item.get_closest_marker("oracle") and find_spec("torch") is None:
        pytest.skip("the oracle, torch, is not installed")


@pytest.fixture(autouse=True)
def _fresh_state():
    """Every test starts from the same random stream and leaves the default device alone."""
    device = default_device()
    manual_seed(0)
    yield
    set_default_device(device)


@pytest.fixture(params=["cpu", "strict", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The name of each kind of device in turn; ``cuda`` where there is one."""
    return str(request.param)


@pytest.fixture
def torch():
    """PyTorch, for tests marked ``oracle``."""
    return pytest.importorskip("torch", reason="the oracle, torch, is not installed")
