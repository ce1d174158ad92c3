"""The table of CuPy's names and keywords is what the installed CuPy has, and is read rightly."""

import inspect

import pytest

from tests.tools import make_cupy_api
from tinygrad_seq.backend import cupy_api


def test_the_table_is_that_of_the_installed_cupy():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    if cupy.__version__.split(".")[0] != cupy_api.table()["version"]:
        pytest.skip(f"the table is for CuPy {cupy_api.table()['version']}")
    made = make_cupy_api.make_table()
    differing = {
        f"{section}.{name}"
        for section in ("cupy", "cupy.linalg", "cupy.ndarray")
        for name in made[section].keys() | cupy_api.table()[section].keys()
        if made[section].get(name, 0) != cupy_api.table()[section].get(name, 0)
    }
    assert not differing, "run python tests/tools/make_cupy_api.py"
    assert make_cupy_api.TABLE.read_text() == make_cupy_api.render(made)


def test_every_entry_can_be_read():
    for section in ("cupy", "cupy.linalg", "cupy.ndarray"):
        names = cupy_api.table()[section]
        assert len(names) > 20
        for name in names:
            signature = cupy_api.signature(section, name)
            assert signature is None or isinstance(signature, inspect.Signature)


def test_known_entries():
    table = cupy_api.table()
    assert table["cupy"]["sum"] == "a, axis=, dtype=, out=, keepdims="
    assert table["cupy"]["tanh"] == "x, /, out=, *, casting=, dtype="
    assert table["cupy.ndarray"]["astype"] == "dtype, order=, copy="
    assert table["cupy.linalg"]["norm"] == "x, ord=, axis=, keepdims="
    assert table["cupy"]["pi"] is None
    assert cupy_api.offers("cupy", "add.at")
    assert not cupy_api.offers("cupy", "maximum.reduce")
    assert not cupy_api.offers("cupy", "errstate")


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "message"),
    [
        ("sum", (0,), {"axis": 0}, None),
        ("sum", (0,), {"where": 0}, "unexpected keyword argument 'where'"),
        ("sum", (), {}, "missing a required argument: 'a'"),
        ("tanh", (), {"x": 0}, "'x'"),
        ("tanh", (0, 1, "same_kind"), {}, "too many positional"),
        ("cumulative_sum", (0, 1), {}, "too many positional"),
        ("einsum", ("i,i", 0, 1), {"optimize": True}, None),
        ("can_cast", (0, 1), {"casting": "safe"}, None),
        ("promote_types", (0, 1), {"whatever": "NumPy says"}, None),
        ("pi", (), {}, "cannot be called"),
    ],
)
def test_calls_are_checked(name, args, kwargs, message):
    if message is None:
        cupy_api.check_call("cupy", name, args, kwargs)
        return
    with pytest.raises(TypeError, match=f"cupy.{name}.*{message}"):
        cupy_api.check_call("cupy", name, args, kwargs)
