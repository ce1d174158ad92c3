"""Packing against PyTorch, round trips, and what padding must never do."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=5)
BLOCKS = st.sampled_from([(), (2,), (2, 3)])
SORTED = {"enforce_sorted": False}


def ragged(lengths, block=(2,), extra=0, padding=np.nan, batch_first=False, dtype="float64"):
    """A padded batch on the host, ``extra`` steps longer than its longest sequence."""
    steps, batch = max(lengths) + extra, len(lengths)
    host = np.random.default_rng(0).standard_normal((steps, batch, *block)).astype(dtype)
    host[np.arange(steps)[:, None] >= np.array(lengths)] = padding
    return np.ascontiguousarray(host.swapaxes(0, 1)) if batch_first else host


def sequences_of(lengths, block=(2,)):
    """Sequences on the host."""
    host = ragged(lengths, block)
    return [host[:n, b] for b, n in enumerate(lengths)]


def leaf(host, device="cpu"):
    return tg.tensor(host, device=device, requires_grad=True)


def weights(shape, dtype="float64"):
    """An incoming gradient."""
    return np.asarray(np.random.default_rng(1).standard_normal(shape)).astype(dtype)


def same_packed(ours, theirs):
    for field in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        got, expected = getattr(ours, field), getattr(theirs, field)
        assert (got is None) == (expected is None), field
        if got is not None:
            host = got.numpy() if field == "data" else got
            np.testing.assert_array_equal(host, expected.detach().numpy(), field)


# ---------------------------------------------------------------------- PyTorch says the same


@pytest.mark.oracle
@given(LENGTHS, BLOCKS, st.integers(0, 2), st.booleans(), st.booleans())
def test_pack_padded_sequence(lengths, block, extra, batch_first, in_order):
    torch = pytest.importorskip("torch")
    lengths = sorted(lengths, reverse=True) if in_order else lengths
    host = ragged(lengths, block, extra, batch_first=batch_first)
    x, theirs_x = leaf(host), torch.tensor(host, requires_grad=True)
    options = {"batch_first": batch_first, "enforce_sorted": in_order}
    ours = nn.pack_padded_sequence(x, lengths, **options)
    theirs = torch.nn.utils.rnn.pack_padded_sequence(theirs_x, lengths, **options)
    same_packed(ours, theirs)
    assert ours.lengths.tolist() == lengths
    g = weights(ours.data.shape)
    ours.data.backward(tg.tensor(g))
    theirs.data.backward(torch.tensor(g))
    np.testing.assert_array_equal(x.grad.numpy(), theirs_x.grad.numpy())


@pytest.mark.oracle
@given(LENGTHS, BLOCKS, st.sampled_from([None, 0, 2]), st.booleans(), st.booleans())
def test_pad_packed_sequence(lengths, block, extra, batch_first, in_order):
    torch = pytest.importorskip("torch")
    lengths = sorted(lengths, reverse=True) if in_order else lengths
    sequences = sequences_of(lengths, block)
    ours = nn.pack_sequence([tg.tensor(s) for s in sequences], in_order)
    theirs = torch.nn.utils.rnn.pack_sequence([torch.tensor(s) for s in sequences], in_order)
    same_packed(ours, theirs)
    data, theirs_data = leaf(ours.data.data), theirs.data.clone().requires_grad_()
    options = {"batch_first": batch_first, "padding_value": -1.5,
               "total_length": None if extra is None else max(lengths) + extra}  # fmt: skip
    padded, found = nn.pad_packed_sequence(ours._replace(data=data), **options)
    theirs = type(theirs)(theirs_data, *theirs[1:])
    theirs_padded, theirs_found = torch.nn.utils.rnn.pad_packed_sequence(theirs, **options)
    np.testing.assert_array_equal(padded.numpy(), theirs_padded.detach().numpy())
    np.testing.assert_array_equal(found, theirs_found.numpy())
    g = weights(padded.shape)
    padded.backward(tg.tensor(g))
    theirs_padded.backward(torch.tensor(g))
    np.testing.assert_array_equal(data.grad.numpy(), theirs_data.grad.numpy())


@pytest.mark.oracle
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    BLOCKS,
    st.booleans(),
    st.sampled_from(["left", "right"]),
)
def test_pad_sequence_and_back(lengths, block, batch_first, side):
    torch = pytest.importorskip("torch")
    hosts = [weights((n, *block)) for n in lengths]
    ours, theirs = [leaf(h) for h in hosts], [torch.tensor(h, requires_grad=True) for h in hosts]
    padded = nn.pad_sequence(ours, batch_first, -2.5, side)
    theirs_padded = torch.nn.utils.rnn.pad_sequence(theirs, batch_first, -2.5, side)
    np.testing.assert_array_equal(padded.numpy(), theirs_padded.detach().numpy())
    g = weights(padded.shape)
    padded.backward(tg.tensor(g))
    theirs_padded.backward(torch.tensor(g))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
    if side == "right":
        back = nn.unpad_sequence(padded, lengths, batch_first)
        for a, h in zip(back, hosts, strict=True):
            np.testing.assert_array_equal(a.numpy(), h)


def test_the_documented_layout():
    """Step 0 of every sequence, the longest first, then step 1 of those that have one."""
    padded = tg.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    packed = nn.pack_padded_sequence(padded, [2, 1, 3], batch_first=True, enforce_sorted=False)
    assert packed.data.tolist() == [4, 1, 3, 5, 2, 6]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [2, 0, 1]
    assert packed.unsorted_indices.tolist() == [1, 2, 0]
    back, lengths = nn.pad_packed_sequence(packed, batch_first=True)
    assert back.tolist() == padded.tolist()
    assert back.dtype == np.int64  # labels can be packed as well
    assert lengths.tolist() == [2, 1, 3]


# ---------------------------------------------------------------------- there and back


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[2, 5, 1, 5], [5, 3, 3, 1], [4], [1, 1]])
def test_padded_packed_padded(lengths, batch_first, dtype, device):
    host = ragged(lengths, batch_first=batch_first, dtype=dtype)
    x = leaf(host, device)
    packed = nn.pack_padded_sequence(x, lengths, batch_first, **SORTED)
    assert str(packed.device).startswith(device)
    assert packed.dtype == dtype
    padded, found = nn.pad_packed_sequence(packed, batch_first, padding_value=np.nan)
    assert str(padded.device).startswith(device)
    assert padded.dtype == dtype
    assert found.tolist() == lengths
    np.testing.assert_array_equal(padded.numpy(), host)
    padded.backward(tg.tensor(np.ones_like(host), device=device))
    np.testing.assert_array_equal(x.grad.numpy(), np.isfinite(host))
    assert x.grad.dtype == dtype


@given(LENGTHS, BLOCKS)
def test_sequences_packed_and_unpacked(lengths, block):
    hosts = sequences_of(lengths, block)
    leaves = [leaf(h) for h in hosts]
    back = nn.unpack_sequence(nn.pack_sequence(leaves, enforce_sorted=False))
    total = tg.tensor(0.0, dtype="float64")
    for out, host in zip(back, hosts, strict=True):
        np.testing.assert_array_equal(out.numpy(), host)
        total = total + (out * out).sum()
    total.backward()
    for x, host in zip(leaves, hosts, strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), 2 * host)


@given(LENGTHS, BLOCKS)
def test_a_list_packs_as_the_batch_padded_of_it(lengths, block):
    tensors = [tg.tensor(h) for h in sequences_of(lengths, block)]
    direct = nn.pack_sequence(tensors, enforce_sorted=False)
    padded = nn.pad_sequence(tensors, padding_value=np.nan)
    around = nn.pack_padded_sequence(padded, lengths, enforce_sorted=False)
    for a, b in zip(direct, around, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("sort", [True, False])
def test_another_batch_is_packed_alike(sort, device):
    lengths = [4, 3, 1] if sort else [3, 1, 4]
    x = tg.tensor(ragged(lengths), device=device)
    packed = nn.pack_padded_sequence(x, lengths, enforce_sorted=sort)
    alike = packed.repack(x * 2)
    np.testing.assert_array_equal(alike.data.numpy(), 2 * packed.data.numpy())
    for mine, its in zip(alike[1:], packed[1:], strict=True):
        np.testing.assert_array_equal(mine, its)
    with pytest.raises(ShapeError, match=r"repack: expected a batch of shape \(4, 3, …\)"):
        packed.repack(x[:, :2])


# ---------------------------------------------------------------------- gradients, and padding


@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("batch_first", [False, True])
def test_padding_reaches_nothing(padding, batch_first, device):
    """Neither results nor gradients; and the gradient at padding is 0, not just small."""
    lengths = [2, 5, 3]
    host = ragged(lengths, extra=2, padding=padding, batch_first=batch_first)
    real = np.isfinite(host)
    x = leaf(host, device)
    packed = nn.pack_padded_sequence(x, lengths, batch_first, **SORTED)
    squares = packed._replace(data=packed.data * packed.data)
    padded, _ = nn.pad_packed_sequence(squares, batch_first, total_length=7)
    np.testing.assert_array_equal(padded.numpy()[real], host[real] ** 2)
    assert (padded.numpy()[~real] == 0).all()
    # NaN flows back into the padding of the result, as from a loss that looks at it.
    padded.backward(tg.tensor(np.where(real, 1.0, np.nan), device=device))
    np.testing.assert_array_equal(x.grad.numpy()[real], 2 * host[real])
    assert (x.grad.numpy()[~real] == 0).all()


def test_derivatives_of_both_orders():
    lengths = [2, 4, 1]
    x = leaf(ragged(lengths, padding=0.3))
    sequences = [leaf(s) for s in sequences_of(lengths)]

    def there_and_back(t):
        packed = nn.pack_padded_sequence(t * t, lengths, **SORTED)
        return nn.pad_packed_sequence(packed._replace(data=packed.data * packed.data))[0]

    def joined(*parts):
        packed = nn.pack_sequence([p * p for p in parts], **SORTED)
        return packed.data, nn.pad_sequence([p * p for p in parts])

    for check in (tg.gradcheck, tg.gradgradcheck):
        assert check(there_and_back, [x])
        assert check(joined, sequences)


def test_one_op_each_way():
    """However many sequences there are."""
    lengths = [5, 1, 4, 2] * 10
    x = leaf(ragged(lengths))
    packed = nn.pack_padded_sequence(x, lengths, **SORTED)
    assert packed.data._node.op is tg.ops.take_distinct
    assert packed.data._node.inputs == [x._node]
    padded, _ = nn.pad_packed_sequence(packed)
    assert padded._node.op is tg.ops.put_distinct
    assert padded._node.inputs == [packed.data._node]


def test_the_host_does_not_wait():
    lengths = [2, 5, 3]
    x = leaf(ragged(lengths), "strict")
    parts = [leaf(s, "strict") for s in sequences_of(lengths)]
    with count_syncs() as syncs:
        packed = nn.pack_padded_sequence(x, lengths, **SORTED)
        padded, _ = nn.pad_packed_sequence(packed)
        lists = nn.pack_sequence(parts, **SORTED).data.sum() + nn.pad_sequence(parts).sum()
        (padded.sum() + lists).backward()
    assert syncs.count == 0, syncs


# ---------------------------------------------------------------------- the packed batch itself


def test_its_fields():
    x = tg.tensor(ragged([3, 1]))
    packed = nn.pack_padded_sequence(x, [3, 1])
    data, batch_sizes, order, back = packed
    assert data is packed.data
    assert batch_sizes.tolist() == [2, 1, 1]
    assert order is back is None
    assert type(batch_sizes) is np.ndarray
    again = nn.PackedSequence(data * 2, [2, 1, 1])  # a layer between two others makes its own
    np.testing.assert_array_equal(nn.unpack_sequence(again)[1].numpy(), 2 * x.numpy()[:1, 1])
    one = nn.PackedSequence(data, batch_sizes, sorted_indices=[1, 0])
    other = nn.PackedSequence(data, batch_sizes, unsorted_indices=[1, 0])
    assert one.unsorted_indices.tolist() == other.sorted_indices.tolist() == [1, 0]
    assert one.lengths.tolist() == [1, 3]
    assert "batch_sizes=array([2, 1, 1])" in repr(packed)


def test_it_moves_and_changes_its_dtype():
    lengths = [2, 4, 3]
    x = leaf(ragged(lengths))
    packed = nn.pack_padded_sequence(x, lengths, **SORTED)
    assert packed.to("cpu") is packed
    assert packed.to(dtype="float64") is packed
    moved = packed.to("strict", "float32")
    assert str(moved.device) == "strict:0"
    assert moved.dtype == np.float32
    assert moved.sorted_indices.tolist() == packed.sorted_indices.tolist()
    padded, found = nn.pad_packed_sequence(moved)
    assert found.tolist() == lengths
    padded.sum().backward()
    assert str(x.grad.device) == "cpu"
    np.testing.assert_array_equal(x.grad.numpy(), np.isfinite(x.numpy()))


def test_it_can_be_copied():
    packed = nn.pack_padded_sequence(tg.tensor(ragged([1, 3])), [1, 3], **SORTED)
    twin = copy.deepcopy(packed)
    assert type(twin) is nn.PackedSequence
    np.testing.assert_array_equal(twin.data.numpy(), packed.data.numpy())
    assert twin.data is not packed.data
    assert twin.sorted_indices.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        (([2, 3],), ArgumentError, "batch_sizes ≥ 1 that never grow, got [2, 3]"),
        (([5, 0],), ArgumentError, "batch_sizes ≥ 1 that never grow, got [5, 0]"),
        (([],), ArgumentError, "batch_sizes ≥ 1"),
        (([2.5, 2.5],), DTypeError, "batch_sizes to be whole numbers"),
        (([3, 1],), ShapeError, "data of 4 steps, got (5, 2)"),
        (([3, 2], [0, 1]), ArgumentError, "sorted_indices to be a permutation of 0 … 2"),
        (([3, 2], [0, 1, 1]), ArgumentError, "sorted_indices to be a permutation of 0 … 2"),
        (([3, 2], None, [0, 3, 1]), ArgumentError, "unsorted_indices to be a permutation"),
        (([3, 2], [1, 2, 0], [1, 2, 0]), ArgumentError, "that undo sorted_indices"),
    ],
)
def test_fields_that_do_not_fit(fields, error, match):
    with pytest.raises(error) as caught:
        nn.PackedSequence(tg.zeros(5, 2), *fields)
    assert str(caught.value).startswith("PackedSequence: expected")
    assert match in str(caught.value)


# ---------------------------------------------------------------------- mistakes

X = tg.zeros(4, 3, 2)
PACKED = nn.pack_padded_sequence(X, [4, 2, 1])


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda: nn.pack_padded_sequence(X, [2, 4, 1]), ArgumentError,
         "lengths from the longest to the shortest, or enforce_sorted=False, got [2, 4, 1]"),
        (lambda: nn.pack_padded_sequence(X, [4, 2]), ShapeError, "lengths for 3 sequences"),
        (lambda: nn.pack_padded_sequence(X, [4, 2, 1, 1], True), OutOfRangeError, "in 1 … 3"),
        (lambda: nn.pack_padded_sequence(X, [5, 2, 1]), OutOfRangeError, "in 1 … 4, got 5"),
        (lambda: nn.pack_padded_sequence(X, [4, 2, 0]), OutOfRangeError, "in 1 … 4, got 0"),
        (lambda: nn.pack_padded_sequence(X, [4, 2, 0.5]), DTypeError, "whole numbers"),
        (lambda: nn.pack_padded_sequence(X[0, 0], [2]), ShapeError, "a batch of shape (T, B, …)"),
        (lambda: nn.pack_padded_sequence(X[0, 0], [2], True), ShapeError, "(B, T, …)"),
        (lambda: nn.pack_padded_sequence(X[:, :0], []), ShapeError, "at least one sequence"),
        (lambda: nn.pad_packed_sequence(PACKED, total_length=3), ArgumentError,
         "total_length ≥ 4, got 3"),
        (lambda: nn.pad_packed_sequence(X), ArgumentError, "a PackedSequence, got Tensor"),
        (lambda: nn.pack_sequence([]), ShapeError, "at least one sequence"),
        (lambda: nn.pack_sequence([X, X[:0]]), OutOfRangeError, "in 1 … 4, got 0"),
        (lambda: nn.pack_sequence([X[:2], X]), ArgumentError, "enforce_sorted=False"),
        (lambda: nn.pack_sequence([X, X[:, :2]]), ShapeError, "alike but for their lengths"),
        (lambda: nn.pad_sequence([X, tg.tensor(1.0)]), ShapeError, "alike but for their lengths"),
        (lambda: nn.pad_sequence([]), ShapeError, "at least one sequence"),
        (lambda: nn.pad_sequence([X], padding_side="top"), ArgumentError, "'right' or 'left'"),
        (lambda: nn.unpad_sequence(X, [4, 2, 5]), OutOfRangeError, "in 0 … 4, got 5"),
        (lambda: nn.unpad_sequence(X, [4, 2, -1]), OutOfRangeError, "in 0 … 4, got -1"),
        (lambda: nn.unpad_sequence(X, [4, 2]), ShapeError, "lengths for 3 sequences"),
        (lambda: nn.unpad_sequence(X[0, 0], [2]), ShapeError, "a batch (T, B, …)"),
    ],
)  # fmt: skip
def test_mistakes_are_named(act, error, match):
    with pytest.raises(error) as caught:
        act()
    assert match in str(caught.value)
    assert str(caught.value).split(":")[0].startswith(("pack_", "pad_", "unpad_"))
