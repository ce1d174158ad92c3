"""The stand-in device behaves as CuPy 14 does where CuPy differs from NumPy.

What CuPy does is taken from its source, named in the tests as ``file: function``.
"""

import copy
import gc
import operator
import pickle
import weakref

import numpy as np
import pytest

from tinygrad_seq import backend
from tinygrad_seq.backend import Device, transfer
from tinygrad_seq.backend.strict import StrictArray, StrictDevice, count_syncs, xp

HOST = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def x():
    return transfer(HOST, Device("strict"))


def get(array):
    assert isinstance(array, StrictArray)
    return array.get()


# -- never a host array by accident ------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        np.float64,
        lambda x: np.array([x, x]),
        lambda x: np.asarray(x, dtype=np.float32),
        lambda x: np.testing.assert_array_equal(x, HOST),
        lambda x: np.ones(3).dot(x),
        memoryview,
    ],
)
def test_no_implicit_conversion(x, convert):
    """core.pyx: ndarray.__array__"""
    with pytest.raises(TypeError):
        convert(x)


def test_conversion_says_what_to_do_instead(x):
    with pytest.raises(TypeError, match=r"Please use `\.get\(\)`"):
        np.asarray(x)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, h: x + h,
        lambda x, h: h + x,
        lambda x, h: x @ h.T,
        lambda x, h: h.T @ x,
        lambda x, h: x == h,
        lambda x, h: h < x,
        lambda x, h: divmod(x, h),
        lambda x, h: np.add(x, h),
        lambda x, h: np.add(h, h, out=x),
        lambda x, h: np.add(x, x, out=h),
        lambda x, h: np.concatenate([x, h]),
        lambda x, h: xp.add(x, h),
        lambda x, h: xp.add(x, x, out=h),
        lambda x, h: xp.add(x, x, h),
        lambda x, h: xp.exp(h),
        lambda x, h: xp.sum(h),
        lambda x, h: xp.sum(x, axis=0, out=h[0]),
        lambda x, h: xp.stack([x, h]),
        lambda x, h: xp.where(x > 0, x, h),
        lambda x, h: xp.einsum("ij,ij", x, h),
        lambda x, h: xp.linalg.norm(h),
        lambda x, h: xp.take_along_axis(x, np.zeros((2, 1), int), 1),
        lambda x, h: x.dot(h.T),
        lambda x, h: x.__iadd__(h),
        lambda x, h: h.__iadd__(x),
        lambda x, h: x.__setitem__(0, h[0]),
        lambda x, h: x.__setitem__(x > 1, h[0]),
        lambda x, h: x.__setitem__(0, [1, 2, 3]),
        lambda x, h: x + h[:1, :1],
        lambda x, h: operator.add(x, [1, 2, 3]),
        lambda x, h: xp.maximum(x, [1, 2, 3]),
        lambda x, h: x + None,
        lambda x, h: x + "1",
    ],
)
def test_host_and_device_do_not_mix(x, mix):
    """_kernel.pyx: _preprocess_args; core.pyx: ndarray.__array_ufunc__"""
    with pytest.raises(TypeError):
        mix(x, HOST.copy())
    np.testing.assert_array_equal(get(x), HOST)


@pytest.mark.parametrize("number", [2, 2.0, True, np.float32(2), np.int64(2), np.float64(2)])
def test_numbers_mix_as_in_numpy(x, number):
    """_scalar.pyx: Python's numbers are weak, NumPy's are not"""
    for got, expected in [
        (x + number, HOST + number),
        (number - x, number - HOST),
        (x * number, HOST * number),
        (xp.maximum(x, number), np.maximum(HOST, number)),
        (operator.gt(x, number), operator.gt(HOST, number)),
        (operator.lt(number, x), operator.lt(number, HOST)),
    ]:
        np.testing.assert_array_equal(get(got), expected)
        assert got.dtype == expected.dtype


def test_numpy_functions_reach_cupys(x):
    """core.pyx: __array_ufunc__ and __array_function__ dispatch to the functions of cupy"""
    np.testing.assert_array_equal(get(np.tanh(x)), np.tanh(HOST))
    np.testing.assert_array_equal(get(np.mean(x, axis=1)), HOST.mean(axis=1))
    np.testing.assert_array_equal(get(np.concatenate([x, x])), np.concatenate([HOST, HOST]))
    assert get(np.linalg.norm(x)).shape == ()
    out = xp.empty_like(x)
    assert np.add(x, 1, out=out) is out


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.add.reduce(x),
        lambda x: np.add.outer(x, x),
        lambda x: np.spacing(x),
        lambda x: np.vecdot(x, x),
        lambda x: np.nan_to_num(x, sparse=True),
        lambda x: np.array2string(x, 3, bad=1),
        lambda x: np.sum(x, where=x),
        lambda x: np.insert(x, 0, 1),
        lambda x: np.linalg.vector_norm(x),
    ],
)
def test_numpy_functions_that_cupy_lacks_are_refused(x, call):
    with pytest.raises(TypeError):
        call(x)
    with pytest.raises(TypeError, match=r"no implementation found for 'numpy.insert'"):
        np.insert(x, 0, 1)


class Foreign:
    """A class that handles arrays by itself, as a Tensor does."""

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        return ufunc.__name__

    def __radd__(self, other):
        return "radd"


class Last(Foreign):
    __array_ufunc__ = None


def test_operators_give_way_to_classes_that_handle_arrays(x):
    """core.pyx: _should_use_rop (NEP 13)"""
    assert x + Foreign() == "add"
    assert x - Foreign() == "subtract"
    assert x + Last() == "radd"
    assert x.__sub__(Last()) is NotImplemented


# -- names and keywords ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["errstate", "vecdot", "spacing", "random", "fromregex", "_core"])
def test_names_that_cupy_lacks_are_refused(name):
    with pytest.raises(AttributeError, match=name):
        getattr(xp, name)


@pytest.mark.parametrize("name", ["r_", "mgrid", "RawKernel", "asfarray"])
def test_names_without_a_stand_in_are_refused(name):
    with pytest.raises(AttributeError, match="no stand-in"):
        getattr(xp, name)


@pytest.mark.parametrize("name", ["ctypes", "itemset", "newbyteorder", "setflags", "foo"])
def test_attributes_that_cupy_lacks_are_refused(x, name):
    with pytest.raises(AttributeError, match=name):
        getattr(x, name)
    with pytest.raises(AttributeError):
        setattr(x, name, 1)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: xp.exp(x, where=x > 0), "cupy.exp.*'where'"),
        (lambda x: xp.sum(x, initial=0), "cupy.sum.*'initial'"),
        (lambda x: xp.take(x, x, mode="clip"), "cupy.take.*'mode'"),
        (lambda x: x.sum(where=True), "cupy.ndarray.sum.*'where'"),
        (lambda x: x.astype("f8", casting="safe"), "cupy.ndarray.astype.*'casting'"),
        (lambda x: x.item(0), "cupy.ndarray.item.*too many"),
        (lambda x: xp.linalg.svd(x, hermitian=True), "cupy.linalg.svd.*'hermitian'"),
        (lambda x: xp.sum(), "cupy.sum.*required argument: 'a'"),
        (lambda x: xp.einsum("ij->i", x, order="C"), "cupy.einsum.*'order'"),
    ],
)
def test_keywords_that_cupy_lacks_are_refused(x, call, match):
    with pytest.raises(TypeError, match=match):
        call(x)


def test_ufunc_methods(x):
    """_kernel.pyx: ufunc.reduce and the others work for a few functions only"""
    np.testing.assert_array_equal(get(xp.add.reduce(x, axis=1)), HOST.sum(1))
    np.testing.assert_array_equal(get(xp.multiply.accumulate(x)), np.multiply.accumulate(HOST))
    for method in ("maximum.reduce", "logaddexp.accumulate", "multiply.at"):
        name, _, part = method.partition(".")
        with pytest.raises(NotImplementedError, match=method):
            getattr(getattr(xp, name), part)


def test_constants_and_types():
    assert (xp.pi, xp.inf, xp.newaxis) == (np.pi, np.inf, None)
    assert xp.float32 is np.float32
    assert xp.finfo(xp.float32).eps == np.finfo(np.float32).eps
    assert xp.ndarray is StrictArray


@pytest.mark.parametrize("value", [[1, 2], 3.0, (1,), None])
def test_functions_of_arrays_want_arrays(value):
    """sumprod.py: sum, and most others call a method of their first argument"""
    with pytest.raises(TypeError, match="expected device arrays"):
        xp.sum(value)


def test_joining_wants_arrays_only(x):
    with pytest.raises(TypeError, match=r"expected device arrays, got .*float"):
        xp.stack([x[0, 0], 1.0])


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reduce",
    [
        lambda x: x.sum(),
        lambda x: xp.max(x),
        lambda x: x.argmax(),
        lambda x: x[1, 2],
        lambda x: x[0] @ x[0],
        lambda x: xp.linalg.norm(x),
        lambda x: xp.allclose(x, x),
        lambda x: xp.array_equal(x, x),
        lambda x: xp.count_nonzero(x),
        lambda x: xp.exp(2.0),
        lambda x: xp.asarray(3),
        lambda x: (x > 0).all(),
    ],
)
def test_results_are_arrays_never_scalars(x, reduce):
    with count_syncs() as syncs:
        result = reduce(x)
    assert isinstance(result, StrictArray)
    assert result.shape == ()
    assert syncs.count == 0


def test_questions_about_arrays_have_host_answers(x):
    assert xp.result_type(x, xp.float64) == np.float64
    assert xp.result_type(x, 1.0) == np.float32
    assert (xp.ndim(x), xp.size(x), xp.shape(x)) == (2, 6, (2, 3))
    assert xp.iscomplexobj(x) is False
    assert xp.shares_memory(x, x[1:])
    assert (x.shape, x.ndim, x.size, x.nbytes, len(x)) == ((2, 3), 2, 6, 24, 2)


def test_multiple_results_come_as_plain_tuples(x):
    for results in (xp.linalg.svd(x), xp.unique(x, return_counts=True), xp.modf(x), divmod(x, 2)):
        assert type(results) is tuple
        assert all(isinstance(result, StrictArray) for result in results)
    assert type(xp.split(x, 3, axis=1)) is list


def test_nothing_warns(x):
    assert np.isinf(get(1 / x)[0, 0])
    assert np.isnan(get(xp.log(-x))[1, 2])
    assert np.isinf(get(xp.exp(x * 1000))[1, 2])


@pytest.mark.parametrize("dtype", [object, np.longdouble, "U3", "M8[s]", np.clongdouble])
def test_dtypes_that_a_gpu_lacks_are_refused(dtype):
    """_dtype.pyx: get_dtype"""
    with pytest.raises(ValueError, match="Unsupported dtype"):
        xp.asarray(np.zeros(2, dtype))


# -- views, in-place, out= ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[1:],
        lambda x: x[:, ::-1],
        lambda x: x[..., None],
        lambda x: x.reshape(3, 2),
        lambda x: xp.reshape(x, (6,)),
        lambda x: x.T,
        lambda x: xp.swapaxes(x, 0, 1),
        lambda x: x.ravel(),
        lambda x: x.view(),
        lambda x: x.squeeze(),
        lambda x: xp.split(x, 3, axis=1)[1],
        lambda x: xp.asarray(x),
        lambda x: next(iter(x)),
        lambda x: x.real,
    ],
)
def test_views_are_views(x, view):
    before = get(x)
    part = view(x)
    part += 1
    assert xp.shares_memory(part, x)
    assert get(x).sum() == before.sum() + part.size


@pytest.mark.parametrize(
    "copied",
    [
        lambda x: x[xp.asarray([0, 1])],
        lambda x: x[xp.asarray(1)],
        lambda x: x[x >= 0],
        lambda x: x.copy(),
        lambda x: x.flatten(),
        lambda x: xp.array(x),
        lambda x: x.astype(np.float32),
        copy.copy,
        copy.deepcopy,
        lambda x: pickle.loads(pickle.dumps(x)),
    ],
)
def test_copies_are_copies(x, copied):
    part = copied(x)
    part += 1
    np.testing.assert_array_equal(get(x), HOST)


def test_in_place_and_out(x):
    same = x
    same += 1
    same *= 2.0
    same -= x * 0
    assert same is x
    np.testing.assert_array_equal(get(x), (HOST + 1) * 2)
    assert xp.exp(x, out=x) is x
    assert xp.multiply(x, 0, x) is x
    total = xp.empty(3, np.float32)
    assert xp.sum(x, axis=0, out=total) is total
    assert xp.matmul(x, x.T, out=xp.empty((2, 2), np.float32)).shape == (2, 2)
    assert x.astype(np.float32, copy=False) is x
    assert xp.ascontiguousarray(x) is x
    with pytest.raises(TypeError):
        x //= np.float64(2) * xp.ones(3, np.complex128)


def test_the_shape_can_be_set(x):
    rows = x[1:]
    x.shape = (3, 2)
    np.testing.assert_array_equal(get(x), HOST.reshape(3, 2))
    assert xp.shares_memory(x, rows)
    with pytest.raises(AttributeError):
        x.T.shape = (6,)


def test_a_host_array_is_copied_to_the_device():
    host = HOST.copy()
    arrays = [xp.asarray(host, blocking=True), xp.array(host), xp.asarray([*host])]
    host[:] = -1
    for array in arrays:
        np.testing.assert_array_equal(get(array), HOST)
    with pytest.raises(ValueError, match="copy"):
        xp.asarray(host, copy=False)


def test_arrays_can_be_referred_to_weakly_but_not_hashed(x):
    reference = weakref.ref(x[0])
    gc.collect()
    assert reference() is None
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)


# -- indexing ----------------------------------------------------------------------------------

MASK = np.array([True, False])
KEYS = {
    "row": 1,
    "negative": (-1, -2),
    "slices": (slice(None, None, -1), slice(1, None)),
    "newaxis": (None, Ellipsis, 0),
    "list": [1, 0, 1],
    "host array": np.array([1, 1]),
    "tuple with list": (slice(None), [2, 0]),
    "pairs": (np.array([0, 1]), np.array([2, 2])),
    "grid": (np.array([[0], [1]]), np.array([0, 2])),
    "after ellipsis": (Ellipsis, np.array([2, -1])),
    "mask": MASK,
    "mask and slice": (MASK, slice(1, None)),
    "mask and integers": (np.array([True, True]), np.array([0, 2])),
    "full mask": HOST > 1,
    "true": True,
    "empty": [],
    "all": (),
    "numpy integer": np.int64(1),
}
each_key = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


def on_device(key):
    parts = key if isinstance(key, tuple) else (key,)
    moved = tuple(xp.asarray(k) if isinstance(k, np.ndarray) else k for k in parts)
    return moved if isinstance(key, tuple) else moved[0]


@each_key
@pytest.mark.parametrize("place", [on_device, lambda key: key], ids=["device", "host"])
def test_indexing_agrees_with_numpy(x, key, place):
    """_routines_indexing.pyx: _prepare_slice_list takes lists and host arrays to the device"""
    np.testing.assert_array_equal(get(x[place(key)]), HOST[key])
    expected = HOST.copy()
    expected[key] = -1
    x[place(key)] = -1
    np.testing.assert_array_equal(get(x), expected)
    expected[key] = HOST[key] * 2
    x[place(key)] = xp.asarray(HOST[key] * 2)
    np.testing.assert_array_equal(get(x), expected)


@pytest.mark.parametrize(
    ("key", "wrapped"),
    [
        ([2, -3], [0, 1]),
        ((slice(None), [3, -4]), (slice(None), [0, 2])),
        (([5, -1], [4, 7]), ([1, 1], [1, 1])),
        ((Ellipsis, [9]), (Ellipsis, [0])),
        ((None, [2, -3]), (None, [0, 1])),
    ],
)
def test_index_arrays_wrap_around(x, key, wrapped):
    """_routines_indexing.pyx: _take_kernel_core, _prepare_array_indexing"""
    np.testing.assert_array_equal(get(x[key]), HOST[wrapped])
    x[key] = -1
    assert (get(x)[wrapped] == -1).all()


def test_taking_wraps_around(x):
    index = xp.asarray([[7], [-5]])
    np.testing.assert_array_equal(get(x.take(index, 1))[:, :, 0], HOST[:, [1, 1]])
    np.testing.assert_array_equal(get(xp.take(x, index)), HOST.ravel()[[[1], [1]]])
    np.testing.assert_array_equal(get(xp.take_along_axis(x, index, 1)), HOST[:, 1:2])


@pytest.mark.parametrize("key", [2, (0, 3), (0, 0, 0), xp.asarray([0.5]), "a"])
def test_bad_indices_are_refused(x, key):
    with pytest.raises(IndexError):
        x[key]


def test_an_array_is_no_index_by_itself(x):
    """cupy.ndarray has no __index__"""
    for use in (range, [1, 2].__getitem__, lambda i: x[i:]):
        with pytest.raises(TypeError):
            use(xp.asarray(1))


def test_scattering_adds_up_duplicates(x):
    index = xp.asarray([0, 0, 3])  # 3 wraps around
    xp.add.at(x, (index % 2, 0), 1.0)
    x.scatter_add((0, index), xp.asarray([1.0, 1.0, 1.0]))
    expected = HOST.copy()
    np.add.at(expected, ([0, 0, 1], 0), 1.0)
    np.add.at(expected, (0, [0, 0, 0]), 1.0)
    np.testing.assert_array_equal(get(x), expected)


def test_scattering_takes_only_what_atomics_take():
    """_routines_indexing.pyx: _scatter_op_single"""
    for dtype in (np.int32, np.uint64, np.float16, np.float64):
        xp.add.at(xp.zeros(2, dtype), xp.asarray([0, 0]), 1)
    for dtype in (np.int64, np.int8, np.complex64, np.bool_):
        with pytest.raises(TypeError, match="does not support"):
            xp.add.at(xp.zeros(2, dtype), xp.asarray([0, 0]), 1)


# -- waiting for the device --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait", "count"),
    [
        (lambda x: float(x[0, 0]), 1),
        (lambda x: int(x.sum()), 1),
        (lambda x: complex(x[0, 0]), 1),
        (lambda x: bool(x[0, 1]), 1),
        (lambda x: 1 if x.any() else 0, 1),
        (lambda x: x[0, 1].item(), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: x.tobytes(), 1),
        (lambda x: x.get(), 1),
        (lambda x: xp.asnumpy(x), 1),
        (lambda x: backend.to_host(x), 1),
        (lambda x: (repr(x), str(x), f"{x[0, 0]:.1f}"), 3),
        (lambda x: x[x > 1], 1),
        (lambda x: x.__setitem__(x > 1, 0), 1),
        (lambda x: x[np.array([True, False])], 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: xp.nonzero(x), 1),
        (lambda x: xp.where(x > 1), 1),
        (lambda x: xp.argwhere(x), 1),
        (lambda x: xp.unique(x), 1),
        (lambda x: xp.bincount(x.ravel().astype(int)), 1),
        (lambda x: xp.compress(x[0] > 0, x, axis=1), 1),
        (lambda x: xp.array_equal(x, x, equal_nan=True), 1),
        (lambda x: [float(v) for v in x[0]], 3),
        (lambda x: sorted(x[0]), 2),
        (lambda x: pickle.dumps(x), 1),
        (lambda x: xp.where(x > 1, x, 0), 0),
        (lambda x: x[xp.asarray([0, 1])], 0),
        (lambda x: [row + 1 for row in x], 0),
        (lambda x: xp.array_equal(x, x), 0),
        (lambda x: x.sum().reshape(1) + x.max(), 0),
        (lambda x: xp.asarray([1, 2, 3]), 0),
        (lambda x: x.copy(), 0),
        (lambda x: len(x), 0),
    ],
)
def test_waits_are_counted(x, wait, count):
    with count_syncs() as syncs:
        wait(x)
    assert syncs.count == count, syncs
    assert len(syncs.causes) == count


def test_counts_nest_and_end(x):
    with count_syncs() as outer:
        float(x.sum())
        with count_syncs() as inner:
            x.get()
    x.get()
    assert (outer.causes, inner.causes) == (["float()", "get"], ["get"])
    with pytest.raises(ZeroDivisionError), count_syncs() as broken:
        _ = 1 // 0
    x.get()
    assert broken.count == 0


# -- two devices -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, y: x + y,
        lambda x, y: y + x,
        lambda x, y: x @ y.T,
        lambda x, y: xp.concatenate([x, y]),
        lambda x, y: xp.exp(x, out=y),
        lambda x, y: x.__setitem__(0, y[0]),
        lambda x, y: x[y.astype(int)],
        lambda x, y: x.__iadd__(y),
    ],
)
def test_arrays_of_two_devices_do_not_mix(x, mix):
    """core.pyx: _check_peer_access, on a machine where devices do not see each other"""
    other = transfer(HOST, Device("strict", 1))
    with pytest.raises(ValueError, match="different from the current device"):
        mix(x, other)
    np.testing.assert_array_equal(get(x), HOST)


def test_work_is_done_on_the_current_device(x):
    strict, second = backend.get_backend("strict"), Device("strict", 1)
    other = transfer(HOST, second)
    with pytest.raises(ValueError, match="different from the current device"):
        other + 1
    with strict.on(second):
        for made in (other + 1, xp.zeros(3), xp.asarray(HOST), other.sum(), other[[0]], x.copy()):
            assert backend.device_of(made) == second
        with StrictDevice(0):
            assert backend.device_of(xp.zeros(3)) == Device("strict", 0)
        assert backend.device_of(xp.zeros(3)) == second
    assert backend.device_of(xp.zeros(3)) == Device("strict", 0)
    for view in (other.T, other[0], copy.deepcopy(other), pickle.loads(pickle.dumps(other))):
        assert backend.device_of(view) == second
    np.testing.assert_array_equal(get(transfer(other, Device("strict", 0))), HOST)


def test_an_empty_shape_counts_as_none_given(x):
    """``_creation/basic.py: full_like`` and its kin cannot make a 0-d array of a larger one."""
    assert xp.full_like(x, 1, shape=()).shape == (2, 3)
    assert xp.zeros_like(x, shape=(4,)).shape == (4,)


def test_swapaxes_of_an_axis_that_is_not_there_is_no_index_error(x):
    """``_core/_routines_manipulation.pyx: _ndarray_swapaxes``"""
    with pytest.raises(ValueError, match="Axis out of range") as caught:
        x.swapaxes(0, 2)
    assert not isinstance(caught.value, IndexError)
