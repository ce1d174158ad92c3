"""A pytest plugin: after the moment TEST_DEADLINE, seconds since 1970, tests are left out."""

from __future__ import annotations

import os
import time

import pytest

LEFT_OUT = "left out: the time for tests is spent"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what would start too late."""
    if time.time() > float(os.environ.get("TEST_DEADLINE", "inf")):
        pytest.skip(LEFT_OUT)
