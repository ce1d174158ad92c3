"""A million steps need no more memory than a thousand, and each of them no more time."""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.bptt import TruncatedBPTT

ROOT = Path(__file__).resolve().parents[2]
STATUS = Path("/proc/self/status")
SHORT, LONG = 1_000, 1_000_000


def training(steps):
    """TBPTT(20, 40) of a small net, weights moving after each window of the iterator."""
    tg.manual_seed(0)
    layer = nn.RNN(1, 4)
    x = np.broadcast_to(np.ones((1, 1, 1), np.float32), (steps, 1, 1))  # takes no memory

    def step(x, y, state):
        output, state = layer(tg.tensor(x), state)
        return output.square().mean(), state

    for window in TruncatedBPTT(20, 40).run(step, x, x):
        with tg.no_grad():
            for p in layer.parameters():
                p.add_(p.grad, alpha=-0.01)
        layer.zero_grad()
        yield window


def test_nothing_is_left_of_a_window():
    """Once the garbage is collected, what is held is what was held hundreds of windows before."""

    def held(windows):
        for _ in islice(windows, 200):
            pass
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    windows = training(LONG)
    next(windows)
    tracemalloc.start()
    before = held(windows)
    growth = (held(windows) - before) / 200
    tracemalloc.stop()
    assert growth < 50  # bytes a window; the smallest array takes more than 100


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not STATUS.exists(), reason="peak memory is read from /proc")
def test_a_million_steps_are_as_cheap_as_a_thousand():
    """Peak memory within 5 % and throughput within 10 % of short runs, early and late."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False,
                          env=environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["peak"] < 1.05 * found["peak of short runs"], found
    ratios = found["ratios"]
    half = len(ratios) // 2
    assert half == 100
    for part in (ratios, ratios[:half], ratios[half:]):
        assert 1 / 1.1 < statistics.median(part) < 1.1


def measure():
    """Peak memory of short runs and then of the long one, in kB; and seconds of a thousand steps of
    it against those of a short run, taken in turns so that both see the machine in one state."""

    def timed(windows, count):
        start = time.perf_counter()
        assert sum(1 for _ in islice(windows, count)) == count
        return time.perf_counter() - start

    chunk = SHORT // 20  # windows
    for _ in range(20):
        timed(training(SHORT), chunk)
    found = {"peak of short runs": peak(), "ratios": []}
    windows = training(LONG)
    for _ in range(LONG // SHORT // 5):
        timed(windows, 4 * chunk)
        found["ratios"].append(timed(windows, chunk) / timed(training(SHORT), chunk))
    assert next(windows, None) is None
    return found | {"peak": peak()}


def peak():
    """The most memory this process has had at once, in kB."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()))
