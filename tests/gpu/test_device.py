"""What a device is for: training, moving, saving, waiting, measuring, refusing to mix."""

import time

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support.agreement import agree, host
from tinygrad_seq import nn, optim
from tinygrad_seq.backend import Device, as_device, get_backend, to_host, transfer
from tinygrad_seq.bench import time_call, transfer_times
from tinygrad_seq.bptt import TruncatedBPTT
from tinygrad_seq.errors import DeviceError, OutOfRangeError
from tinygrad_seq.models import CharLM

PROSE = b"the quick brown fox jumps over the lazy dog; " * 40


def train(device, dtype, kind="lstm", windows=12):
    """Train a character model → the loss of every window, and the weights at the end."""
    tg.manual_seed(0)
    symbols, tokens = np.unique(np.frombuffer(PROSE, np.uint8), return_inverse=True)
    model = CharLM(len(symbols), 8, 24, kind, device=device, dtype=np.dtype(dtype))
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    length, batch = 10 * windows, 4
    used = tokens[: length * batch + 1]
    inputs, targets = (
        tg.tensor(part.reshape(batch, length).T.copy(), device=device)
        for part in (used[:-1], used[1:])
    )
    losses = []
    for window in TruncatedBPTT(10, 10).run(model.loss, inputs, targets):
        nn.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(window.loss.item())
    return losses, model


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_training_goes_the_same_way_on_both(kind, dtype, tolerance, there):
    losses, model = train(there, dtype, kind)
    expected, cpu = train("cpu", dtype, kind)
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    assert losses[-1] < losses[0] - 0.1
    for (name, p), q in zip(model.named_parameters(), cpu.parameters(), strict=True):
        agree(p, q, name, 10 * tolerance)


def test_a_state_saved_there_loads_on_the_cpu_and_the_reverse(there, tmp_path):
    pytest.importorskip("safetensors")
    _, model = train(there, "float32", windows=2)
    tg.save(tmp_path / "there.safetensors", model.state_dict())
    loaded = tg.load(tmp_path / "there.safetensors", device="cpu")
    for name, value in model.state_dict().items():
        assert str(loaded[name].device) == "cpu"
        np.testing.assert_array_equal(host(loaded[name]), host(value))
    back = tg.load(tmp_path / "there.safetensors", device=there)
    assert all(str(t.device).startswith(there) for t in back.values())
    cpu = CharLM(model.embedding.num_embeddings, 8, 24)
    cpu.load_state_dict(model.state_dict())
    for p, q in zip(cpu.parameters(), model.parameters(), strict=True):
        assert str(p.device) == "cpu"
        np.testing.assert_array_equal(host(p), host(q))


def test_optimiser_state_follows_its_parameters(there):
    layer = nn.Linear(3, 2)
    optimizer = optim.Adam(layer.parameters(), lr=0.1)
    for device in ("cpu", there, "cpu"):
        layer.to(device)
        layer(tg.tensor(np.ones((4, 3), np.float32), device=device)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(np.isfinite(host(p)).all() for p in layer.parameters())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(), (0, 3), (3, 4)])
def test_moving_there_and_back_changes_nothing(shape, dtype, there):
    x = (np.random.default_rng(0).standard_normal(shape) * 3).astype(dtype)
    moved = tg.tensor(x).to(there)
    assert (str(moved.device), moved.dtype, moved.shape) == (f"{there}:0", x.dtype, shape)
    back = moved.to("cpu")
    np.testing.assert_array_equal(back.numpy(), x)
    if x.ndim == 2:
        np.testing.assert_array_equal(host(tg.tensor(x.T).to(there)), x.T)
        np.testing.assert_array_equal(host(moved[:, ::-1]), x[:, ::-1])


def test_a_gradient_comes_back_to_where_its_tensor_lives(there):
    x = tg.tensor(np.ones(3, np.float32), requires_grad=True)
    (x.to(there) * 2.0).to("cpu").sum().backward()
    assert str(x.grad.device) == "cpu"
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 2, np.float32))


def test_mixing_devices_names_both(there):
    x, y = tg.tensor(np.ones((2, 3))), tg.tensor(np.ones((2, 3)), device=there)
    tries = [
        lambda: x + y,
        lambda: y * x,
        lambda: x @ y.T,
        lambda: tg.where(x > 0, y, x),
        lambda: tg.concatenate([x, y]),
        lambda: nn.Linear(3, 2, dtype=np.float64)(y),
        lambda: nn.LSTM(3, 2, dtype=np.float64)(y[None]),
        lambda: tg.mse_loss(y, x),
    ]
    for attempt in tries:
        with pytest.raises(DeviceError, match="on one device") as caught:
            attempt()
        assert "cpu" in str(caught.value)
        assert f"{there}:0" in str(caught.value)


def test_a_device_that_is_not_there(there):
    count = get_backend(there).device_count()
    with pytest.raises(DeviceError, match=f"below {count}"):
        tg.zeros(2, device=f"{there}:{count}")


def test_indices_out_of_range_raise_there_too(there):
    x = tg.tensor(np.ones((5, 2), np.float32), device=there)
    for index in (7, [0, 9], np.array([-6])):
        with pytest.raises(OutOfRangeError):
            x[index]
    with pytest.raises(OutOfRangeError):
        nn.Embedding(5, 2, device=there)(tg.tensor(np.array([5]), device=there))


def test_changing_in_place_there_is_noticed(there):
    x = tg.tensor(np.ones(3, np.float32), device=there, requires_grad=True)
    y = tg.exp(x)
    with tg.no_grad():
        y[1:].zero_()
    with pytest.raises(tg.errors.GraphError, match="changed in place"):
        y.sum().backward()


def test_timing_on_the_device(there):
    x = tg.tensor(np.ones((64, 64), np.float32), device=there)
    timing = time_call(lambda: x @ x, there, repeats=3, min_seconds=1e-3)
    assert 0 < timing.low <= timing.seconds <= timing.high
    assert (timing.device_seconds is not None) == (there == "cuda")
    if timing.device_seconds is not None:
        assert 0 < timing.device_seconds < 1.5 * timing.high
    ways = transfer_times(there, 4096, repeats=3, min_seconds=1e-3)
    assert all(t.seconds > 0 for t in ways.values())


@pytest.mark.gpu
def test_clock_and_synchronize_wait_for_the_gpu():
    """By its own clock twice the work takes about twice the time, and the host waits for it."""
    x = tg.tensor(np.ones((2048, 2048), np.float32), device="cuda")

    def products(n):
        for _ in range(n):
            x @ x

    one, two = (
        time_call(lambda n=n: products(n), "cuda", repeats=7, min_seconds=0.02) for n in (10, 20)
    )
    assert 1.6 < two.device_seconds / one.device_seconds < 2.5
    start = time.perf_counter()
    products(10)
    tg.synchronize("cuda")
    assert time.perf_counter() - start > 0.5 * one.device_seconds


@pytest.mark.gpu
def test_memory_figures():
    before = tg.memory("cuda")
    held = tg.zeros(1 << 20, dtype=np.float32, device="cuda")
    after = tg.memory("cuda")
    assert after.used - before.used >= held.data.nbytes
    assert after.used <= after.pool <= after.total
    del held
    assert tg.memory("cuda").used < after.used


@pytest.mark.gpu
def test_the_gpu_says_what_it_is():
    told = get_backend("cuda").describe(as_device("cuda"))
    assert told["name"]
    assert told["memory"] == pytest.approx(tg.memory("cuda").total, rel=0.05)


def test_transfer_keeps_what_is_there_already(there):
    x = transfer(np.ones(3), as_device(there))
    assert transfer(x, Device(there)) is x
    assert transfer(x, Device("cpu")) is not x
    np.testing.assert_array_equal(to_host(x), np.ones(3))
