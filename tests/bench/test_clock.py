"""``time_call`` on a clock and a device that only count."""

import pytest

from tinygrad_seq.backend import get_backend
from tinygrad_seq.bench import Timing, clock, time_call
from tinygrad_seq.errors import ArgumentError, DeviceError


class World:
    """Time that passes only when the function is called or the device is waited for."""

    def __init__(self, cost, first=0.0):
        self.now, self.cost, self.first = 0.0, cost, first
        self.calls, self.queued, self.waits = 0, 0.0, 0

    def __call__(self):
        self.calls += 1
        self.queued += self.first if self.calls == 1 else self.cost

    def wait(self, device):
        self.waits += 1
        self.now, self.queued = self.now + self.queued, 0.0


@pytest.fixture
def world(monkeypatch):
    """A world whose device, the CPU, computes only when it is waited for."""

    def make(*args, own_clock=False):
        made = World(*args)
        backend = get_backend("cpu")
        monkeypatch.setattr(backend, "synchronize", made.wait, raising=False)
        monkeypatch.setattr(clock.time, "perf_counter", lambda: made.now)
        if own_clock:
            monkeypatch.setattr(backend, "clock", lambda device: lambda: 0.5, raising=False)
        return made

    return make


@pytest.mark.parametrize("cost", [3e-7, 1e-4, 0.25])
def test_the_time_of_a_call_is_found_at_every_scale(cost, world):
    timing = time_call(world(cost))
    assert timing.seconds == pytest.approx(cost)
    assert timing.low == pytest.approx(timing.high)
    assert timing.spread == pytest.approx(0, abs=1e-9)
    assert timing.device_seconds is None


def test_short_calls_are_made_many_times_and_long_ones_once(world):
    short = time_call(world(1e-6), min_seconds=0.01)
    assert 10_000 <= short.calls <= 13_000
    assert time_call(world(0.5), max_seconds=2.0).calls == 1


def test_few_measurements_are_made_where_time_is_short(world):
    assert time_call(world(0.5), repeats=9, max_seconds=2.0).repeats == 4
    assert time_call(world(5.0), repeats=9, max_seconds=2.0).repeats == 1
    assert time_call(world(1e-3), repeats=9).repeats == 9


def test_the_first_calls_do_not_count(world):
    assert time_call(world(0.1, 60.0), max_seconds=9).seconds == pytest.approx(0.1)
    assert time_call(world(0.1, 60.0), warmup=0, max_seconds=300).calls == 1


def test_the_device_is_waited_for_before_and_after_each_measurement(world):
    made = world(0.1)
    timing = time_call(made, repeats=5, max_seconds=10)
    assert made.waits == 2 * (5 + 1)
    assert timing.seconds == pytest.approx(0.1)


def test_the_device_says_its_own_time(world):
    timing = time_call(world(1e-3, own_clock=True), min_seconds=0.01)
    assert timing.device_seconds == pytest.approx(0.5 / timing.calls)


def test_bad_arguments_are_refused():
    with pytest.raises(ArgumentError, match="repeats ≥ 1"):
        time_call(lambda: None, repeats=0)
    with pytest.raises(ArgumentError, match="min_seconds > 0"):
        time_call(lambda: None, min_seconds=0)
    with pytest.raises(DeviceError, match="index below 1"):
        time_call(lambda: None, "cpu:7")


def test_spread():
    assert Timing(2.0, 1.5, 2.5, None, 3, 1).spread == 0.25
