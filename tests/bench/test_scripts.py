"""The benchmark scripts run from start to end, with next to no time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_seq.bench import read_results
from tinygrad_seq.ops.primitive import registry

SMALL = ["--threads", "1", "--steps", "3", "--batch", "2", "--input", "4", "--hidden", "4"]
ROOT = Path(__file__).resolve().parents[2]


def run(*command, **variables):
    given = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, **variables}
    return subprocess.run(command, capture_output=True, text=True, env=given, check=False)


@pytest.fixture(scope="module")
def dry(tmp_path_factory):
    """A dry run of the GPU script → its output and its folder."""
    folder = tmp_path_factory.mktemp("results")
    script = str(ROOT / "benchmarks/gpu.sh")
    done = run(script, "--dry-run", str(folder), TEST_SECONDS="1", BENCH_SECONDS="60")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, folder


def test_gpu_script_says_that_a_dry_run_is_one(dry):
    text, folder = dry
    record = read_results(folder / "gpu.json")
    assert record["device"] == "strict:0"
    assert record["dry_run"] is True
    assert "DRY RUN" in text
    assert f"written: {folder}/gpu.json" in text


def test_gpu_script_times_every_op_with_a_bench_sample(dry):
    record = read_results(dry[1] / "gpu.json")
    assert record["failed"] == {}
    timed = {row["name"] for row in record["rows"] if row["what"] == "forward"}
    assert timed == {name for name, op in registry.items() if op.bench is not None}
    whats = {row["what"] for row in record["rows"]}
    assert whats == {"forward", "forward and backward", "training step", "transfer"}
    for row in record["rows"]:
        assert row["device"]["seconds"] > 0
    assert record["environment"]["packages"]["numpy"]
    assert "commit" in record["environment"]


def test_gpu_script_runs_tests_until_the_time_is_spent(dry):
    text, folder = dry
    found = read_results(folder / "gpu.json")["tests"]
    assert found["finished"]
    assert found["failed"] == found["errors"] == 0, found["failures"]
    assert found["passed"] + found["left_out"] > 300
    assert "tests passed: " in text or "NO TEST RAN" in text
    assert (folder / "gpu-tests.txt").stat().st_size > 0


def test_gpu_script_prints_80_columns(dry):
    table = dry[0].split("DRY RUN")[1].splitlines()[1:-2]
    assert len(table) > 50
    assert max(map(len, table)) <= 80


def test_gpu_script_without_a_gpu_says_so_in_one_line(tmp_path):
    nowhere = {"CUDA_VISIBLE_DEVICES": ""}
    done = run(str(ROOT / "benchmarks/gpu.sh"), str(tmp_path), **nowhere)
    assert done.returncode == 1
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("gpu.sh: no GPU can be used")
    assert list(tmp_path.iterdir()) == []


def test_gpu_script_refuses_an_unknown_option():
    done = run(str(ROOT / "benchmarks/gpu.sh"), "--what")
    assert done.returncode == 2
    assert "--dry-run" in done.stdout


@pytest.mark.parametrize(
    ("script", "arguments", "kind"),
    [
        ("tape.py", ["--ops", "20", "--depths", "10", "100"], "tape"),
        ("import_time.py", [], "import"),
        ("recurrent.py", ["--layers", "gru", "rnn", *SMALL, "--clock", "cpu"], "recurrent"),
    ],
)
def test_cpu_benchmarks(script, arguments, kind, tmp_path):
    path = tmp_path / "out.json"
    call = [str(ROOT / "benchmarks" / script), "--rounds", "1", "--json", str(path), *arguments]
    done = run(sys.executable, *call)
    assert done.returncode == 0, done.stderr
    record = read_results(path)
    assert record["kind"] == kind
    assert record["rows"]
    assert "goal" in done.stdout or len(record["rows"]) == 1
    assert json.loads(path.read_text())["environment"]["source"]
