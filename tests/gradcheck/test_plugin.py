"""The pytest plugin, in runs of pytest of its own."""

import os
import re
from pathlib import Path

import pytest

import tinygrad_seq as tg
from tinygrad_seq.backend import default_generator

pytest_plugins = ["pytester"]

HEAD = """
import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.ops.primitive import Primitive

right = Primitive(lambda x: np.tanh(x), name="right").vjp(x=lambda g, out: g * (1 - out * out))
wrong = Primitive(lambda x: np.tanh(x), name="wrong").vjp(x=lambda g, out: g * (1 - out))
"""


@pytest.fixture
def run(pytester):
    """Run pytest on a test file's text; → its result."""

    def go(text, *arguments):
        pytester.makepyfile(test_it=HEAD + text)
        plain = ("-p", "tinygrad_seq.gradcheck.plugin", "--strict-markers", "-W", "error")
        # Where the package is installed, pytest would rewrite its asserts, and it is imported.
        plain = (*plain, "--assert=plain")
        return pytester.runpytest_inprocess(*plain, "-p", "no:cacheprovider", *arguments)

    return go


def test_a_right_derivative_passes_and_a_wrong_one_fails_with_the_report(run):
    result = run("""
@pytest.mark.gradcheck
def test_right():
    return right, tg.randn(3)

@pytest.mark.gradcheck
def test_wrong():
    return wrong, tg.randn(3)
""")
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "gradcheck: wrong (full, float64, 9 derivatives)" in text
    assert re.search(r"worst: d out\[\d\] / d x\[\d\]", text)
    assert "reproduce: pytest test_it.py::test_wrong --gradcheck-seed 0" in text
    assert "Traceback" not in text
    assert "plugin.py" not in text
    shown = text[text.index("gradcheck: wrong") : text.index("reproduce: pytest")]
    assert len(shown.splitlines()) <= 13, shown  # the report, and nothing else


def test_several_pairs_are_all_checked(run):
    result = run("""
@pytest.mark.gradcheck
def test_several():
    yield right, tg.randn(3)
    yield wrong, tg.randn(2)
    yield wrong, tg.randn(4)

class TestMethods:
    @pytest.mark.gradcheck
    @pytest.mark.parametrize("n", [1, 2])
    def test_of_a_class(self, n):
        yield right, tg.randn(n)

@pytest.mark.gradcheck
def test_none():
    yield from ()
""")
    result.assert_outcomes(passed=2, failed=2)
    text = result.stdout.str()
    assert "pair 1 of 3" not in text
    assert text.index("pair 2 of 3") < text.index("4 derivatives")
    assert text.index("pair 3 of 3") < text.index("16 derivatives")
    assert "several to be yielded, got nothing" in text


@pytest.mark.parametrize(
    ("mark", "body", "passes"),
    [
        ("(order=1)", "return second, tg.randn(3)", True),
        ("(order=2)", "return second, tg.randn(3)", False),
        ("(fast=True)", "return wrong, tg.randn(3)", False),
        ("(rtol=10.0, atol=10.0, create_graph=False)", "return wrong, tg.randn(3)", True),
        ("", "return tg.relu, np.array([0.0, 1.0])", False),
        ("(allow=('kink',))", "return tg.relu, np.array([0.0, 1.0])", True),
        ("(device='strict')", "return on_strict, (tg.randn(2), np.ones(2), 3)", True),
        ("(device='strict')", "return tg.nn.Linear(2, 2), tg.randn(2)", True),
        ("", "return on_strict, (tg.randn(2), np.ones(2), 3)", False),
        ("", "return right", False),
        ("", "pass", False),
    ],
)
def test_options_do_what_they_say(run, mark, body, passes):
    before = tg.default_device()
    result = run(f"""
flat = lambda g, x: g * (1 - np.tanh(x.data if isinstance(x, tg.Tensor) else x) ** 2)
second = Primitive(lambda x: np.tanh(x), name="second").vjp(x=flat)

def on_strict(x, y, n):
    assert {{x.device.type, y.device.type}} == {{"strict"}}
    return x * y * n

@pytest.mark.gradcheck{mark}
def test_it():
    {body}
""")
    result.assert_outcomes(passed=int(passes), failed=int(not passes))
    assert tg.default_device() == before


def test_the_second_order_is_named(run):
    result = run("""
flat = lambda g, x: g * (1 - np.tanh(x.data if isinstance(x, tg.Tensor) else x) ** 2)
second = Primitive(lambda x: np.tanh(x), name="second").vjp(x=flat)

@pytest.mark.gradcheck(order=2)
def test_it():
    return second, tg.randn(3)
""")
    assert "gradgradcheck: wrong" in result.stdout.str()


SEEDED = """
@pytest.mark.gradcheck(fast=True)
def test_seeded(gradcheck_rng):
    print("numbers", tg.randn(1).item(), gradcheck_rng.random())
    return wrong, tg.randn(3)
"""


def numbers(result):
    return re.search("numbers (.*)", result.stdout.str()).group(1)


def test_the_seed_seeds_everything_and_is_said(run):
    before = default_generator().get_state()
    first, same, other = (run(SEEDED, *a) for a in ([], ["--gradcheck-seed=0"],
                                                    ["--gradcheck-seed", "7"]))  # fmt: skip
    assert numbers(first) == numbers(same) != numbers(other)
    assert "gradcheck: --gradcheck-seed 7" in other.stdout.str()
    assert "gradcheck: --gradcheck-seed" not in first.stdout.str()  # nobody asked
    assert "reproduce: pytest test_it.py::test_seeded --gradcheck-seed 7" in other.stdout.str()
    assert "seed 7, direction" in other.stdout.str()
    assert default_generator().get_state() == before


@pytest.mark.parametrize("seed", ["-1", "x", "0.5"])
def test_a_seed_that_is_none_is_a_usage_error(run, seed):
    result = run("", f"--gradcheck-seed={seed}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--gradcheck-seed" in result.stderr.str()


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("oder=2", "has no option 'oder'; did you mean 'order'?"),
        ("raise_exception=False", "has no option 'raise_exception'"),
        ("order=3", "takes order=1 or 2, got 3"),
        ("'strict'", "takes options by name, got 'strict'"),
        ("device='tpu'", "takes the name of a device: device: expected one of cpu, cuda, strict"),
    ],
)
def test_a_mark_that_is_wrong_is_an_error_of_one_line(run, mark, words):
    result = run(f"""
@pytest.mark.gradcheck({mark})
def test_it():
    return right, tg.randn(3)
""")
    result.assert_outcomes(errors=1)
    assert f"test_it.py::test_it: the gradcheck mark {words}" in result.stdout.str()
    assert "plugin.py" not in result.stdout.str()


def test_unittest_would_drop_the_pair(run):
    result = run("""
import unittest

class TestIt(unittest.TestCase):
    @pytest.mark.gradcheck
    def test_it(self):
        return right, tg.randn(3)
""")
    result.assert_outcomes(errors=1)
    assert "needs a function or a method of a plain class" in result.stdout.str()


def test_hypothesis_examples_are_checked_and_shown(run):
    result = run("""
from hypothesis import Phase, given, settings
from tinygrad_seq.gradcheck import strategies as some

FEW = settings(max_examples=5, derandomize=True, database=None, phases=[Phase.generate])

@FEW
@pytest.mark.gradcheck
@given(some.tensors())
def test_right(x):
    return right, x

@pytest.mark.gradcheck
@FEW
@given(x=some.tensors((2,), layouts=("contiguous",)))
def test_wrong(x):
    yield right, x
    yield wrong, x
""")
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "pair 2 of 2" in text
    assert "During handling" not in text
    assert re.search(r"test_wrong\(\s+x=tensor\(\[", text)  # hypothesis' own words


def test_a_device_that_is_not_there_is_a_skip(run):
    result = run("""
@pytest.mark.gradcheck(device="cuda:99")
def test_it():
    return right, tg.randn(3)
""")
    result.assert_outcomes(skipped=1)


def test_an_error_of_the_function_is_shown_as_such(run):
    result = run("""
def broken(x):
    raise RuntimeError("my own words")

@pytest.mark.gradcheck
def test_it():
    return broken, tg.randn(3)
""")
    result.assert_outcomes(failed=1)
    assert "RuntimeError: my own words" in result.stdout.str()
    assert "plugin.py" not in result.stdout.str()


def test_unmarked_tests_and_generators_are_left_alone(run):
    result = run("""
def test_plain():
    pass

def test_generator():
    yield 1

def test_marker_is_known(request):
    assert any(line.startswith("gradcheck(") for line in request.config.getini("markers"))
""")
    outcomes = result.parseoutcomes()
    assert outcomes.pop("passed", 0) + outcomes.pop("errors", 0) >= 1
    assert "gradcheck: " not in result.stdout.str()


def test_as_an_entry_point_it_loads_no_engine(pytester, monkeypatch):
    """Whoever has the package installed pays nothing for it in tests of other things."""
    installed = pytester.mkdir("installed-1.dist-info")
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "[pytest11]\ntinygrad_seq.gradcheck.plugin = _tinygrad_seq_pytest\n"
    )
    root = Path(tg.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(pytester.path), str(root)]))
    pytester.makepyfile(
        test_other="""
        import sys

        def test_other(request):
            assert request.config.pluginmanager.has_plugin("tinygrad_seq.gradcheck.plugin")
            assert not {"numpy", "tinygrad_seq"} & set(sys.modules)
        """,
        test_marked="""
        import pytest

        @pytest.mark.gradcheck(fast=True)
        def test_marked(gradcheck_rng):
            import tinygrad_seq as tg
            return tg.tanh, gradcheck_rng.standard_normal(3)
        """,
    )
    alone = ("-p", "no:hypothesispytest", "-p", "no:cacheprovider", "--strict-markers")
    twice = ("-p", "tinygrad_seq.gradcheck.plugin")  # naming it as well does no harm
    for more in ((), twice):
        done = pytester.runpytest_subprocess(*alone, *more, "test_other.py", "test_marked.py")
        done.assert_outcomes(passed=2)
