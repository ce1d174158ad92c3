"""The chorales: as published, and a small file of the same form."""

import io
import sys
from itertools import chain

import numpy as np
import pytest

from tinygrad_seq.data import jsb_chorales
from tinygrad_seq.errors import MissingDependencyError


def test_the_chorales_as_published(real_data):
    pytest.importorskip("scipy")
    found = jsb_chorales()
    parts = (found.train, found.validation, found.test)
    assert tuple(map(len, parts)) == (229, 76, 77)
    for roll in chain(*parts):
        assert roll.dtype == np.float32
        assert roll.shape[1] == 88
        assert set(np.unique(roll)) == {0, 1}
    together = np.concatenate(found.train)
    assert 3.5 < together.sum(axis=1).mean() < 4  # four voices, some of them in unison
    assert max(map(len, found.train)) == 129


def test_a_small_file_is_read_alike(planted):
    scipy_io = pytest.importorskip("scipy.io")
    rng = np.random.default_rng(0)
    sizes = {"traindata": [3, 5, 5], "validdata": [2], "testdata": [4, 1]}
    rolls = {k: [rng.integers(0, 2, (n, 88)) for n in v] for k, v in sizes.items()}
    file = io.BytesIO()
    scipy_io.savemat(file, {k: cells(v) for k, v in rolls.items()})
    planted("jsb chorales", file.getvalue())
    found = jsb_chorales()
    for part, key in ((found.train, "traindata"), (found.validation, "validdata"),
                      (found.test, "testdata")):  # fmt: skip
        assert [roll.shape for roll in part] == [(n, 88) for n in sizes[key]]
        for roll, wanted in zip(part, rolls[key], strict=True):
            assert roll.dtype == np.float32
            assert roll.flags.c_contiguous
            assert (roll == wanted).all()


def cells(arrays):
    """A MATLAB cell array, 1 × n."""
    row = np.empty((1, len(arrays)), object)
    row[0, :] = arrays
    return row


def test_without_scipy_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingDependencyError, match=r"tinygrad-seq\[data\] for scipy"):
        jsb_chorales()
