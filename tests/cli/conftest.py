"""What processes started by these tests need."""

import os
from pathlib import Path

import pytest

import tinygrad_seq


@pytest.fixture(scope="session")
def environment():
    """Variables for a process of its own, which finds the package wherever it is started."""
    root = str(Path(tinygrad_seq.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "Agg"}
