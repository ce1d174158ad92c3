"""tg.save and tg.load."""

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, optim
from tinygrad_seq.errors import StateError
from tinygrad_seq.nn import serialization


def same(a, b):
    """Whether two states hold the same, arrays and tensors compared by bits."""
    if isinstance(a, (tg.Tensor, np.ndarray)):
        a, b = np.asarray(getattr(a, "data", a)), b.numpy()
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def test_a_whole_training_state_comes_back(path):
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    optimiser = optim.Adam(model.parameters())
    for p in model.parameters():
        p.grad = tg.ones(p.shape)
    optimiser.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimiser.state_dict(),
        "random": tg.default_generator().get_state(),  # integers of 128 bits
        "step": 7,
        "loss": 0.1 + 0.2,
        "odd": [float("inf"), float("nan"), -0.0, None, True, "ö/𝄞", {}, [], (1, (2,))],
        "deep": {" ": {"a.b": [tg.arange(3), {"x": np.float32(0.1)}]}},
    }
    tg.save(path, state)
    loaded = tg.load(path)
    betas = loaded["optimizer"]["param_groups"][0].pop("betas")
    assert betas == [0.9, 0.999]
    state["optimizer"]["param_groups"][0].pop("betas")
    state["odd"][-1] = [1, [2]]
    state["deep"][" "]["a.b"][1]["x"] = float(np.float32(0.1))
    assert same(state, loaded)
    tg.default_generator().set_state(loaded["random"])


@pytest.mark.parametrize(
    "dtype",
    [
        "float64",
        "float32",
        "float16",
        "int64",
        "int32",
        "int8",
        "uint8",
        "bool",
        "complex64",
        ">f4",
    ],
)
def test_every_dtype_and_shape(path, dtype):
    rng = np.random.default_rng(0)
    shapes = [(), (0, 3), (2, 3, 4)]
    state = {str(s): np.asarray(rng.uniform(0, 9, s)).astype(dtype) for s in shapes}
    state["columns"] = np.asfortranarray(rng.uniform(0, 9, (3, 4))).astype(dtype)
    state["strided"] = rng.uniform(0, 9, (6, 4)).astype(dtype)[::2, ::-1]
    tg.save(path, state)
    loaded = tg.load(path)
    for name, value in state.items():
        np.testing.assert_array_equal(loaded[name].numpy(), value)
        assert loaded[name].dtype == np.dtype(dtype).newbyteorder("=")
        assert loaded[name].shape == value.shape
    loaded["columns"].fill_(0)  # what was loaded can be written to


def test_to_and_from_devices(path, device):
    model = nn.Linear(3, 2).to(device)
    tg.save(path, {"nested": model.state_dict()})
    loaded = tg.load(path, device=device)["nested"]
    assert all(str(t.device).startswith(device) for t in loaded.values())
    assert str(tg.load(path)["nested"]["bias"].device) == "cpu"
    tg.set_default_device(device)
    assert str(tg.load(path)["nested"]["bias"].device).startswith(device)
    np.testing.assert_array_equal(loaded["weight"].numpy(), model.weight.numpy())


@pytest.mark.oracle
def test_a_pytorch_file_loads_into_our_model_and_the_reverse(torch, path):
    from safetensors.torch import load_file, save_file

    def build(nn, dtype):
        return nn.ModuleDict(
            {
                "embed": nn.Embedding(7, 4, dtype=dtype),
                "rnn": nn.LSTM(4, 5, dtype=dtype),
                "head": nn.Sequential(nn.LayerNorm(5, dtype=dtype), nn.Linear(5, 7, dtype=dtype)),
            }
        )

    theirs, ours = build(torch.nn, torch.float64), build(nn, "float64")
    save_file(theirs.state_dict(), path)
    assert ours.load_state_dict(tg.load(path)) == ([], [])
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].numpy(), value.numpy())
    with tg.no_grad():
        for p in ours.parameters():
            p.mul_(2)
    tg.save(path, ours.state_dict())
    theirs.load_state_dict(load_file(path))
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].numpy(), value.numpy())


@pytest.mark.oracle
def test_half_precision_from_pytorch(torch, path):
    from safetensors.torch import save_file

    values = torch.tensor([[1.0, -2.5e-3, 3e38], [float("inf"), -0.0, 1e-40]])
    save_file({"b": values.bfloat16(), "h": values.half(), "s": torch.tensor(1.5).bfloat16()}, path)
    loaded = tg.load(path)
    np.testing.assert_array_equal(loaded["b"].numpy(), values.bfloat16().float().numpy())
    assert loaded["b"].dtype == np.float32
    assert loaded["s"].item() == 1.5
    assert loaded["h"].dtype == np.float16
    np.testing.assert_array_equal(loaded["h"].numpy(), values.half().numpy())
    save_file({"f": torch.ones(2).to(torch.float8_e4m3fn)}, path)
    with pytest.raises(StateError, match="tensor 'f' has dtype F8_E4M3, which NumPy lacks"):
        tg.load(path)


def test_loading_runs_no_code(path, tmp_path):
    """A pickle in the place of a state is refused, not run."""
    import pickle

    class Evil:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(StateError):
        tg.load(path)
    assert not (tmp_path / "ran").exists()


def good(path):
    tg.save(path, {"w": np.arange(100.0), "n": 1})
    return path.read_bytes()


def with_header(data, change):
    """The file with its header changed by ``change``."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    change(header)
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + data[8 + size :]


def retree(text):
    return lambda header: header["__metadata__"].update(tinygrad_seq=text)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda data: b"", "no intact safetensors file"),
        (lambda data: data[:5], "no intact safetensors file"),
        (lambda data: data[:60], "no intact safetensors file"),
        (lambda data: data[:-1], "no intact safetensors file"),
        (lambda data: data + b"x", "no intact safetensors file"),
        (lambda data: b"\xff" * 8 + data[8:], "no intact safetensors file"),
        (lambda data: data[:8] + b"[" + data[9:], "no intact safetensors file"),
        (lambda data: with_header(data, retree("{")), "no intact safetensors file"),
        (lambda data: with_header(data, retree("[]")), "no intact safetensors file"),
        (lambda data: with_header(data, retree("[" * 100_000)), "no intact safetensors file"),
        (lambda data: with_header(data, retree('{"version": 1}')), "no intact safetensors file"),
        (lambda data: with_header(data, retree('{"version": 1, "state": {"$tensor": "v"}}')),
         "no intact safetensors file: 'v'"),
        (lambda data: with_header(data, retree('{"version": 1, "state": {"$tensor": [1]}}')),
         "no intact safetensors file"),
        (lambda data: with_header(data, retree('{"version": 2, "state": {}}')), "version 1, got 2"),
    ],
)  # fmt: skip
def test_a_corrupt_file_is_named(path, damage, match):
    path.write_bytes(damage(good(path)))
    with pytest.raises(StateError, match=match) as caught:
        tg.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StateError, match="cannot read '.*none.safetensors': No such file"):
        tg.load(tmp_path / "none.safetensors")
    with pytest.raises(StateError, match="Is a directory"):
        tg.load(tmp_path)
    with pytest.raises(StateError, match="cannot write '.*a.safetensors': No such file"):
        tg.save(tmp_path / "none" / "a.safetensors", {"x": 1})


@pytest.mark.parametrize("moment", ["open", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_on_the_way_leaves_the_old_file(path, monkeypatch, moment, error):
    before = good(path)

    def fail(*_):
        raise error

    if moment == "open":
        monkeypatch.setattr(serialization, "open", fail, raising=False)
    else:
        monkeypatch.setattr(os, moment, fail)
    expected = StateError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        tg.save(path, {"n": 2})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("state", "match"),
    [
        ([1], "save: expected a dict, got list"),
        ({"a": {"b": {1}}}, "'a/b', got set"),
        ({"a": [object()]}, "'a/0', got object"),
        ({"a": 1j}, "'a', got complex"),
        ({"": 1}, "at the top, got ''"),
        ({1: 2}, "non-empty string keys without '/' at the top, got 1"),
        ({"a": {"b/c": 1}}, "without '/' in 'a', got 'b/c'"),
        ({"a": {"$tensor": 1}}, "got '\\$tensor'"),
        ({"__metadata__": np.ones(1)}, "got '__metadata__'"),
        ({"a": {"z": np.ones(1, "complex128")}}, "'a/z', got complex128"),
        ({"z": np.array(["x"])}, "'z', got <U1"),
    ],
)
def test_what_cannot_be_saved_changes_nothing(path, state, match):
    before = good(path)
    with pytest.raises(StateError, match=match):
        tg.save(path, state)
    assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
@pytest.mark.parametrize("moment", ["os.fsync", "os.replace", "safetensors.numpy.save"])
def test_a_kill_on_the_way_leaves_the_old_file(path, moment):
    before = good(path)
    home, _, name = moment.rpartition(".")
    code = (
        f"import os, signal, numpy, {home}\nimport tinygrad_seq as tg\n"
        f"{home}.{name} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"tg.save({str(path)!r}, {{'w': numpy.ones(1000)}})\n"
    )
    root = str(Path(tg.__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
