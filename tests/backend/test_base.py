"""Devices: their names, the default, transfer, and the errors for devices one cannot have."""

import subprocess
import sys

import numpy as np
import pytest

from tinygrad_seq import backend, errors
from tinygrad_seq.backend import Device


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("cpu", Device("cpu")),
        ("cpu:0", Device("cpu")),
        ("strict", Device("strict", 0)),
        ("strict:1", Device("strict", 1)),
    ],
)
def test_a_name_is_read(name, device):
    assert backend.as_device(name) == device
    assert backend.as_device(device) is device


def test_a_device_prints_as_it_is_written():
    assert [str(Device("cpu")), str(Device("cuda")), str(Device("cuda", 1))] == [
        "cpu",
        "cuda:0",
        "cuda:1",
    ]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("tpu", errors.ArgumentError, "expected one of cpu, cuda, strict, got 'tpu'"),
        ("", errors.ArgumentError, "got ''"),
        ("cpu:x", errors.ArgumentError, "'cuda:1', got 'cpu:x'"),
        ("cpu:-1", errors.ArgumentError, "'cuda:1', got 'cpu:-1'"),
        ("strict:", errors.ArgumentError, "'cuda:1', got 'strict:'"),
        ("strict:1:2", errors.ArgumentError, "got 'strict:1:2'"),
        (3, errors.ArgumentError, "got 3"),
        ("cpu:1", errors.DeviceError, "below 1, got 'cpu:1'"),
        ("strict:2", errors.DeviceError, "below 2, got 'strict:2'"),
        (Device("strict", -1), errors.DeviceError, "got 'strict:-1'"),
    ],
)
def test_a_bad_name_is_refused(name, error, message):
    with pytest.raises(error, match=r"^device: ") as caught:
        backend.as_device(name)
    assert message in str(caught.value)


def test_the_default_device():
    assert backend.default_device() == backend.as_device(None) == Device("cpu")
    backend.set_default_device("strict:1")
    assert backend.default_device() == backend.as_device(None) == Device("strict", 1)
    with pytest.raises(errors.DeviceError):
        backend.set_default_device("strict:7")
    assert backend.default_device() == Device("strict", 1)


def test_transfer_there_and_back(device):
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    there = backend.transfer(host, backend.as_device(device))
    assert backend.device_of(there) == backend.as_device(device)
    assert backend.is_array(there)
    back = backend.to_host(there)
    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, host)
    assert back.dtype == host.dtype


def test_transfer_keeps_what_is_there_already(device):
    there = backend.transfer(np.ones(3), backend.as_device(device))
    assert backend.transfer(there, backend.as_device(device)) is there


def test_a_copy_on_a_device_is_a_copy():
    host = np.ones(3)
    there = backend.transfer(host, Device("strict"))
    host[:] = 2
    np.testing.assert_array_equal(backend.to_host(there), [1, 1, 1])
    other = backend.transfer(there, Device("strict", 1))
    assert backend.device_of(other) == Device("strict", 1)
    there += 1
    np.testing.assert_array_equal(backend.to_host(other), [1, 1, 1])


def test_the_namespace_follows_the_array(device):
    name = backend.as_device(device).type
    there = backend.transfer(np.ones(3), backend.as_device(device))
    assert backend.xp_of(there) is backend.get_backend(name).xp
    assert backend.xp_of(2.0, there) is backend.get_backend(name).xp
    assert backend.backend_of(there).name == name


def test_numbers_belong_to_numpy():
    assert backend.xp_of(1.0) is backend.xp_of(np.float32(1)) is np
    assert backend.device_of(np.float32(1)) == Device("cpu")
    assert not backend.is_array(1.0)
    assert not backend.is_array(np.float32(1))
    assert not backend.is_array([1.0])


def test_a_subclass_belongs_to_its_backend(tmp_path):
    mapped = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=(3,))
    assert backend.is_array(mapped)
    assert backend.xp_of(mapped) is np
    strict = backend.get_backend("strict")
    derived = type("Derived", (strict.array_type,), {})(np.ones(3))
    assert backend.backend_of(derived) is strict


def test_synchronize_and_memory(device):
    backend.synchronize(device)
    figures = backend.memory(device)
    assert figures.used is None or figures.used >= 0


def test_the_cpu_reports_its_memory():
    assert backend.memory().used > 1_000_000


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_cuda_without_cupy_names_the_extra():
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "from tinygrad_seq import backend, errors\n"
        "for _ in range(2):\n"
        "    try: backend.as_device('cuda')\n"
        "    except errors.MissingDependencyError as e: print(isinstance(e, ImportError), e)\n"
    )
    run = python(code)
    lines = run.stdout.splitlines()
    assert len(lines) == 2, run.stderr
    for line in lines:
        assert line.startswith("True device 'cuda' needs CuPy")
        assert "tinygrad-seq[cuda13]" in line


def test_a_broken_cupy_is_not_called_missing(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libnvrtc.so.13 was not found')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from tinygrad_seq import backend, errors\n"
        "try: backend.as_device('cuda')\n"
        "except errors.MissingDependencyError as e: print(e)\n"
    )
    assert "libnvrtc.so.13 was not found" in python(code).stdout


def test_cuda_without_a_driver_names_the_driver():
    cupy = pytest.importorskip("cupy")
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        pass
    else:
        pytest.skip("there is a GPU here")
    with pytest.raises(errors.DeviceError, match="NVIDIA driver") as caught:
        backend.as_device("cuda")
    assert "no GPU can be used" in str(caught.value)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.gpu
def test_cuda_memory_and_devices():
    cupy = pytest.importorskip("cupy")
    there = backend.transfer(np.ones(1000), backend.as_device("cuda"))
    figures = backend.memory("cuda")
    assert figures.used >= 8000
    assert figures.total >= figures.pool >= figures.used
    with pytest.raises(errors.DeviceError, match="below"):
        backend.as_device(f"cuda:{cupy.cuda.runtime.getDeviceCount()}")
    assert backend.device_of(there) == Device("cuda", 0)
