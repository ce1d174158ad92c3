"""Tests of this package run from its own folder; a run of anything above it passes it by."""

from pathlib import Path

HERE = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--planted", action="store_true", help="run the test that must fail, too")


def pytest_ignore_collect(collection_path, config):
    if config.rootpath != HERE:
        return True
    planted = config.getoption("--planted", default=False)
    return True if collection_path.name == "test_planted.py" and not planted else None
