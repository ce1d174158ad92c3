"""A batch of sequences of several lengths gives what each of them gives by itself.

By ``lengths`` and packed, with padding that would spoil everything it reached.
"""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.backend import manual_seed
from tinygrad_seq.backend.strict import count_syncs
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError

INPUTS, HIDDEN = 3, 4
LENGTHS = [2, 5, 1, 5, 3]
STACKS = [(1, False), (1, True), (3, False), (2, True)]
PLAIN = [("RNN", {}), ("LSTM", {}), ("GRU", {})]
# Everything that draws no random numbers; zoneout draws none in evaluation.
VARIANTS = [
    *PLAIN,
    ("RNN", {"nonlinearity": "relu", "bias": False}),
    ("RNN", {"nonlinearity": "relu", "zoneout": 0.3}),
    ("RNN", {"layer_norm": True, "learned_state": True, "zoneout": 0.3}),
    ("LSTM", {"proj_size": 2}),
    ("LSTM", {"peephole": True, "layer_norm": True, "zoneout": (0.1, 0.4), "single_bias": True}),
    ("LSTM", {"learned_state": True, "forget_bias": 1.0}),
    ("GRU", {"reset_after": False, "update": "take", "single_bias": True}),
    ("GRU", {"layer_norm": True, "learned_state": True, "zoneout": 0.2}),
]


def build(kind, options, layers=1, both=False, dtype="float64", device="cpu"):
    """A layer whose every parameter matters, those that start from 0 too."""
    manual_seed(3)
    options = {"num_layers": layers, "bidirectional": both, "dtype": dtype, "device": device,
               **options}  # fmt: skip
    layer = getattr(nn, kind)(INPUTS, HIDDEN, **options)
    for name, parameter in layer.named_parameters():
        if name.startswith(("gain", "bias_c", "initial")):
            nn.init.uniform_(parameter, 0.5, 1.5)
    return layer.eval()


def draw(layer, lengths, steps, given=True, padding=np.nan, dtype="float64"):
    """A padded batch (steps, B, INPUTS), and a state for every unit, on the host."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((steps, len(lengths), INPUTS)).astype(dtype)
    x[np.arange(steps)[:, None] >= np.array(lengths)] = padding
    rows = layer.num_layers * (1 + layer.bidirectional)
    widths = [getattr(layer, "proj_size", 0) or HIDDEN, HIDDEN][: 1 + isinstance(layer, nn.LSTM)]
    states = [rng.standard_normal((rows, len(lengths), w)).astype(dtype) for w in widths]
    return x, states if given else []


def call(layer, x, states, lengths=None, **options):
    """→ output, the last states; and what was inside, if asked for."""
    state = tuple(states) if len(states) == 2 else states[0] if states else None
    output, last, *inner = layer(x, state, lengths, **options)
    return output, *(last if isinstance(last, tuple) else (last,)), *inner


def weigh(parts, seed=7):
    """A number that every element of every part matters to, on its own."""
    rng = np.random.default_rng(seed)
    drawn = [np.asarray(rng.standard_normal(p.shape)).astype(p.dtype) for p in parts]
    return sum((p * tg.tensor(w, device=p.device)).sum() for p, w in zip(parts, drawn, strict=True))


def leaves_of(arrays, device="cpu"):
    return [tg.tensor(a, device=device, requires_grad=True) for a in arrays]


def one_by_one(layer, x, states, lengths, steps):
    """Each sequence by itself, without padding → outputs padded with 0 and last states, and the
    gradients of x, the states and the parameters where every element matters as in ``weigh``."""
    layer.zero_grad()
    leaves = leaves_of([x, *states])
    x, *states = leaves
    runs = [
        call(layer, x[:n, b : b + 1], [s[:, b : b + 1] for s in states])
        for b, n in enumerate(lengths)
    ]
    outputs, *lasts = zip(*runs, strict=True)
    padded = [tg.pad(o, ((0, steps - o.shape[0]), (0, 0), (0, 0))) for o in outputs]
    parts = [tg.concatenate(row, axis=1) for row in (padded, *lasts)]
    weigh(parts).backward()
    return parts, [t.grad for t in (*leaves, *layer.parameters())]


def together(layer, x, states, lengths, way, device="cpu"):
    """The same as ``one_by_one`` from one padded batch, in each of the ways to say so."""
    layer.zero_grad()
    leaves = leaves_of([x, *states], device)
    x, *states = leaves
    if way == "lengths":
        parts = call(layer, x, states, lengths)
    else:
        packed = nn.pack_padded_sequence(x, lengths, enforce_sorted=way == "sorted")
        output, *lasts = call(layer, packed, states)
        assert isinstance(output, nn.PackedSequence)
        for mine, its in zip(output[1:], packed[1:], strict=True):
            np.testing.assert_array_equal(mine, its)
        parts = [nn.pad_packed_sequence(output, total_length=x.shape[0])[0], *lasts]
    weigh(parts).backward()
    return parts, [t.grad for t in (*leaves, *layer.parameters())]


def same(got, expected, tolerance=1e-12):
    for which, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert (a is None) == (b is None), which
        if a is None:
            continue
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=tolerance, err_msg=str(which))


def check(layer, lengths, steps, way="lengths", given=True, padding=np.nan):
    x, states = draw(layer, lengths, steps, given, padding)
    clean, _ = draw(layer, lengths, steps, given, 0)
    expected, expected_grads = one_by_one(layer, clean, states, lengths, steps)
    parts, grads = together(layer, x, states, lengths, way)
    same(parts, expected)
    same(grads, expected_grads)
    is_padding = np.arange(steps)[:, None] >= np.array(lengths)
    assert is_padding.any() or steps == min(lengths)
    assert (parts[0].numpy()[is_padding] == 0).all()
    assert (grads[0].numpy()[is_padding] == 0).all()


# ---------------------------------------------------------------------- each by itself


@pytest.mark.parametrize(("layers", "both"), STACKS)
@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_as_each_by_itself(kind, options, layers, both):
    layer = build(kind, {**options, "residual": layers == 3}, layers, both)
    check(layer, LENGTHS, 7, given="learned_state" not in options)


@pytest.mark.parametrize("way", ["packed", "sorted"])
@pytest.mark.parametrize(("layers", "both"), STACKS)
@pytest.mark.parametrize(("kind", "options"), PLAIN)
def test_packed(kind, options, layers, both, way):
    lengths = sorted(LENGTHS, reverse=True) if way == "sorted" else LENGTHS
    check(build(kind, options, layers, both), lengths, 6, way)


@pytest.mark.parametrize("padding", [np.inf, -np.inf, 1e308, 0.0])
@pytest.mark.parametrize(("kind", "options"), PLAIN)
def test_whatever_padding_holds(kind, options, padding):
    check(build(kind, options, 2, True), LENGTHS, 6, padding=padding)


@given(
    st.sampled_from(PLAIN),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["lengths", "packed"]),
)
def test_any_lengths(which, lengths, extra, both, given, way):
    check(build(*which, 2, both), lengths, max(lengths) + extra, way, given)


@pytest.mark.parametrize("way", ["lengths", "packed"])
def test_padding_that_would_blow_up(way):
    """States that grow with every step overflow in long padding; the real ones do not."""
    layer = nn.RNN(INPUTS, 2, nonlinearity="relu", dtype="float64")
    with tg.no_grad():
        layer.weight_hh_l0.copy_(tg.tensor(np.full((2, 2), 8.0)))
        layer.weight_ih_l0.copy_(tg.tensor(np.ones((2, INPUTS))))
        layer.bias_ih_l0.fill_(1.0)
        layer.bias_hh_l0.fill_(0.5)
    for lengths, steps in (([2, 1], 900), ([900, 1], 900)):
        x = np.full((steps, 2, INPUTS), -1.0)  # the real steps stay at 0
        x[:, 1] = np.nan
        x[0, 1] = 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expected, expected_grads = one_by_one(layer, x, [], lengths, steps)
            parts, grads = together(layer, x, [], lengths, way)
        same(parts, expected, 1e-9)
        same(grads, expected_grads, 1e-9)


def test_steps_that_no_sequence_has_are_not_run(monkeypatch):
    """They cost nothing, and their output is 0 all the same."""
    layer, run, seen = build("GRU", {}, 2, True), nn.GRU._run, []

    def watched(self, x, *rest):
        seen.append(x.shape[0])
        return run(self, x, *rest)

    monkeypatch.setattr(nn.GRU, "_run", watched)
    output, _ = layer(tg.zeros(50, 2, INPUTS, dtype="float64"), None, [3, 2])
    assert seen == [3] * 4
    assert output.shape == (50, 2, 2 * HIDDEN)


def test_the_order_of_the_batch_makes_no_difference():
    layer = build("LSTM", {}, 2, True)
    x, states = draw(layer, LENGTHS, 6)
    parts, grads = together(layer, x, states, LENGTHS, "packed")
    order = np.array([3, 0, 4, 2, 1])
    x, states = x[:, order], [s[:, order] for s in states]
    mixed = [LENGTHS[b] for b in order]
    with tg.no_grad():
        got = call(layer, tg.tensor(x), [tg.tensor(s) for s in states], mixed)
    same(got, [p.detach()[:, order] for p in parts])
    assert len(grads) > 3


# ---------------------------------------------------------------------- layouts, and what is inside


@pytest.mark.parametrize(("kind", "options"), PLAIN)
def test_batch_first(kind, options):
    layer = build(kind, {**options, "batch_first": True}, 2, True)
    twin = build(kind, options, 2, True)
    x, states = draw(layer, LENGTHS, 6)
    output, *lasts = call(layer, tg.tensor(x.swapaxes(0, 1)), [*map(tg.tensor, states)], LENGTHS)
    expected, *expected_lasts = call(twin, tg.tensor(x), [*map(tg.tensor, states)], LENGTHS)
    same([output, *lasts], [expected.swapaxes(0, 1), *expected_lasts], 0)
    packed = nn.pack_padded_sequence(tg.tensor(x), LENGTHS, enforce_sorted=False)
    same([call(layer, packed, [])[0].data], [call(twin, packed, [])[0].data], 0)


@pytest.mark.parametrize("way", ["lengths", "packed"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_what_is_inside(kind, way):
    """Cells and gates are those of each sequence by itself, and 0 at padding."""
    layer = build(kind, {}, 2, True)
    x, states = draw(layer, LENGTHS, 6)
    states = [*map(tg.tensor, states)]
    if way == "lengths":
        *_, c_n, inner = call(layer, tg.tensor(x), states, LENGTHS, return_inner=True)
    else:
        packed = nn.pack_padded_sequence(tg.tensor(x), LENGTHS, enforce_sorted=False)
        *_, c_n, inner = call(layer, packed, states, return_inner=True)
        inner = [
            [v if v is None else nn.pad_packed_sequence(v, total_length=6)[0] for v in unit]
            for unit in inner
        ]
    assert len(inner) == 4
    if kind == "LSTM":  # the last cells: a reverse direction ends at step 0
        ends = np.stack([v.numpy()[np.array(LENGTHS) - 1, range(5)] for v, _ in inner[::2]])
        np.testing.assert_array_equal(ends, c_n.numpy()[::2])
        starts = np.stack([v.numpy()[0] for v, _ in inner[1::2]])
        np.testing.assert_array_equal(starts, c_n.numpy()[1::2])
    for b, n in enumerate(LENGTHS):
        row = [s[:, b : b + 1] for s in states]
        *_, alone = call(layer, tg.tensor(x[:n, b : b + 1]), row, return_inner=True)
        for unit, its in zip(inner, alone, strict=True):
            for v, w in zip(unit, its, strict=True):
                assert (v is None) == (w is None)
                if v is not None:
                    np.testing.assert_allclose(v.numpy()[:n, b], w.numpy()[:, 0], atol=1e-12)
                    assert (v.numpy()[n:, b] == 0).all()


# ---------------------------------------------------------------------- derivatives and devices


@pytest.mark.parametrize(("kind", "options"), PLAIN)
def test_derivatives(kind, options):
    """By finite differences, x at padding included."""
    layer = build(kind, options, 1, True)
    x, states = draw(layer, [2, 3, 1], 4, padding=0.5)

    def outputs(x, *states):
        return call(layer, x, states, [2, 3, 1])

    assert tg.gradcheck(outputs, leaves_of([x, *states]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", ["lengths", "packed"])
@pytest.mark.parametrize(("kind", "options"), PLAIN)
def test_devices_and_dtypes(kind, options, way, dtype, device):
    layer = build(kind, options, 2, True, dtype)
    x, states = draw(layer, LENGTHS, 6, dtype=dtype)
    expected, expected_grads = together(layer, x, states, LENGTHS, way)
    there = build(kind, options, 2, True, dtype, device)
    parts, grads = together(there, x, states, LENGTHS, way, device)
    for t in (*parts, *grads):
        assert str(t.device).startswith(device)
        assert t.dtype == dtype
    same(parts, expected, 1e-5 if dtype == "float32" else 1e-12)
    same(grads, expected_grads, 1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("way", ["lengths", "packed"])
def test_the_host_does_not_wait(way):
    layer = build("GRU", {}, 2, True, device="strict")
    x, states = draw(layer, LENGTHS, 6)
    with count_syncs() as plain:
        weigh(call(layer, *(lambda x, *s: (x, s))(*leaves_of([x, *states], "strict")))).backward()
    with count_syncs() as syncs:
        together(layer, x, states, LENGTHS, way, "strict")
    assert syncs.count == plain.count, syncs


def test_random_masks_are_for_sequences_not_for_padding():
    """While training too no NaN gets out, and what is dropped is drawn anew for each call."""
    noise = {"dropout": 0.3, "zoneout": 0.2, "input_dropout": 0.2, "recurrent_dropout": 0.2}
    for kind, _ in PLAIN:
        layer = build(kind, noise, 2, True).train()
        x, states = draw(layer, LENGTHS, 6)
        parts, grads = together(layer, x, states, LENGTHS, "lengths")
        again, _ = together(layer, x, states, LENGTHS, "lengths")
        assert all(np.isfinite(t.numpy()).all() for t in (*parts, *grads))
        assert not np.array_equal(parts[0].numpy(), again[0].numpy())
        is_padding = np.arange(6)[:, None] >= np.array(LENGTHS)
        assert (parts[0].numpy()[is_padding] == 0).all()
        assert (grads[0].numpy()[is_padding] == 0).all()


# ---------------------------------------------------------------------- mistakes

X = tg.zeros(4, 3, INPUTS)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    ("x", "lengths", "error", "match"),
    [
        (X, [4, 2], ShapeError, "lengths for 3 sequences, got 2 lengths"),
        (X, [4, 2, 0], OutOfRangeError, "lengths in 1 … 4, got 0"),
        (X, [4, 2, 5], OutOfRangeError, "lengths in 1 … 4, got 5"),
        (X, [4, 2, 1.5], DTypeError, "lengths to be whole numbers"),
        (X[:, 0], [4], ShapeError, "lengths only where x has a batch"),
        (nn.pack_padded_sequence(X, [4, 2, 1]), [4, 2, 1], ArgumentError, "a PackedSequence"),
        (nn.pack_padded_sequence(X[..., :2], [4, 2, 1]), None, ShapeError, "x of shape (T, B, 3)"),
        (nn.pack_padded_sequence(X[..., 0], [4, 2, 1]), None, ShapeError, "x of shape (T, B, 3)"),
    ],
)
def test_mistakes_are_named(kind, x, lengths, error, match):
    layer = getattr(nn, kind)(INPUTS, HIDDEN)
    with pytest.raises(error) as caught:
        layer(x, None, lengths)
    assert str(caught.value).startswith(f"{kind}: expected ")
    assert match in str(caught.value)
