"""What the GPU script says about its tests."""

import importlib
import sys
from pathlib import Path

import pytest

XML = """<testsuites><testsuite>
<testcase classname="a" name="t1" time="1.5"/>
<testcase classname="a" name="t2" time="0.5"><failure message="x"/></testcase>
<testcase classname="a" name="t3"><skipped message="left out: the time for tests is spent"/>
</testcase>
<testcase classname="a" name="t4"><skipped message="no torch"/></testcase>
<testcase classname="" name="tests.cli"><error message="collection failure"/></testcase>
<testcase classname="a" name="t5"><error message="failed on setup"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    yield importlib.import_module("gpu.report")
    for name in [n for n in sys.modules if n.split(".")[0] == "gpu"]:
        del sys.modules[name]


def given(folder, xml=XML, status="1"):
    path = folder / "gpu-tests.xml"
    path.write_text(xml)
    if status:
        path.with_suffix(".status").write_text(status + "\n")
    return path


def test_each_outcome_is_counted_as_what_it_is(report, tmp_path):
    found = report.tests_summary(given(tmp_path))
    assert [found[key] for key in report.OUTCOMES] == [1, 1, 1, 1, 1, 1]
    assert found["test_seconds"] == 2.0
    assert found["failures"] == ["failed: a::t2", "uncollected: tests.cli", "errors: a::t5"]
    assert report.verdict(found).startswith("TESTS FAILED: 1 passed, 1 failed, 1 errors")


def test_a_run_that_was_cut_off_is_no_success(report, tmp_path):
    passed = '<testsuite><testcase classname="a" name="t"/></testsuite>'
    verdicts = {
        status: report.verdict(report.tests_summary(given(tmp_path, passed, status)))
        for status in ("0", "2", "-9")
    }
    assert verdicts["0"].startswith("tests passed: 1 passed")
    assert verdicts["2"].startswith("TESTS DID NOT FINISH")
    assert verdicts["-9"].startswith("TESTS DID NOT FINISH")
    (tmp_path / "gpu-tests.status").unlink()
    assert "killed" in report.verdict(report.tests_summary(given(tmp_path, passed, "")))
    assert "no report" in report.verdict(report.tests_summary(tmp_path / "nowhere.xml"))
    nothing = report.tests_summary(given(tmp_path, "<testsuite/>", "0"))
    assert report.verdict(nothing).startswith("NO TEST RAN")


def test_durations_take_nine_places(report):
    shown = {s: report.duration(s) for s in (3.2e-7, 1.5e-5, 0.0123, 4.5, None)}
    assert all(len(text) == 9 for text in shown.values())
    assert [text.strip() for text in shown.values()] == [
        "0.3 µs",
        "15.0 µs",
        "12.3 ms",
        "4.5 s",
        "",
    ]
