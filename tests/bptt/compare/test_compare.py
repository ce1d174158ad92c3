"""``bptt.compare`` beside right backward passes, and with functions that do not behave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tests.bptt.compare.by_hand import GRU, LSTM, RESET_FIRST, RNN, SOURCES, TAKE, made
from tinygrad_seq import nn
from tinygrad_seq.bptt import compare
from tinygrad_seq.bptt.compare.record import recorded
from tinygrad_seq.errors import ArgumentError, DTypeError, ShapeError

RELU = (" * (1 - run.h[t] ** 2)", " * (run.h[t] > 0)")
SIGMOID = ("(1 - run.h[t] ** 2)", "run.h[t] * (1 - run.h[t])")
#: (layer, options, its backward pass by hand)
RIGHT = [
    ("RNN", {}, made(RNN)),
    ("RNN", {"nonlinearity": "relu"}, made(RNN, RELU)),
    ("RNN", {"nonlinearity": "sigmoid", "single_bias": True}, made(RNN, SIGMOID)),
    ("LSTM", {}, made(LSTM)),
    ("LSTM", {"bias": False}, made(LSTM)),
    ("GRU", {}, made(GRU)),
    ("GRU", {"update": "take"}, made(GRU, *TAKE)),
    ("GRU", {"reset_after": False}, made(GRU, *RESET_FIRST, ('"dbhn": dbhn, ', ""))),
]
rnn = made(RNN)


def layer(kind="RNN", width=2, hidden=4, **options):
    return getattr(nn, kind)(width, hidden, dtype=np.float64, **options)


@pytest.fixture
def inputs():
    return tg.randn(4, 3, 2)


# ---------------------------------------------------------------------- what is right passes


@pytest.mark.parametrize(("kind", "options", "fn"), RIGHT)
@settings(max_examples=25)
@given(sizes=st.tuples(*[st.integers(1, n) for n in (4, 3, 3, 4)]), seed=st.integers(0, 2**32 - 1))
def test_right_backward_passes_agree(kind, options, fn, sizes, seed):
    steps, batch, width, hidden = sizes
    tg.manual_seed(seed)
    x = tg.randn(steps, batch, width)
    result = compare(fn, layer(kind, width, hidden, **options), x, seed=seed)
    assert result, str(result)
    assert max(e.error for e in result.errors.values()) < 1e-9


@pytest.mark.parametrize(("kind", "options", "fn"), RIGHT[::2])
def test_one_of_everything(kind, options, fn):
    result = compare(fn, layer(kind, 1, 1, **options), tg.randn(1, 1, 1))
    assert result, str(result)
    assert ["T = 1" in n or "B = 1" in n or "H = 1" in n for n in result.notes] == [True] * 3


@pytest.mark.parametrize("kind", SOURCES)
def test_cells_layouts_and_dtypes(kind, inputs):
    fn = made(SOURCES[kind])
    assert compare(fn, getattr(nn, kind + "Cell")(2, 4), inputs.numpy())
    assert compare(fn, getattr(nn, kind)(2, 4, batch_first=True), tg.randn(3, 4, 2))
    result = compare(fn, getattr(nn, kind)(2, 4, batch_first=True), tg.randn(3, 4, 2))
    assert (result.run.T, result.run.B) == (4, 3)


def test_devices(device):
    model = nn.LSTM(2, 4, device=device)
    result = compare(made(LSTM), model, tg.randn(4, 3, 2, device=device),
                     loss=lambda h, t: h.square().sum())  # fmt: skip
    assert result, str(result)


# ---------------------------------------------------------------------- the run that is handed over


@pytest.mark.parametrize(("kind", "options", "fn"), RIGHT)
def test_the_run_holds_what_its_names_say(kind, options, fn, inputs):
    model = layer(kind, **options)
    h0, c0 = np.full((3, 4), 0.1), np.full((3, 4), -0.2)
    initial = (h0, c0) if kind == "LSTM" else h0
    run = compare(fn, model, inputs, initial=initial).run
    state = tuple(tg.tensor(s[None]) for s in initial) if kind == "LSTM" else tg.tensor(h0[None])
    output, last = model(tg.tensor(inputs.numpy().astype(np.float64)), state)
    np.testing.assert_allclose(run.h[1:], output.detach().numpy(), rtol=1e-12)
    np.testing.assert_array_equal(run.h[0], h0)
    if kind == "LSTM":
        np.testing.assert_allclose(run.c[-1], last[1].detach().numpy()[0], rtol=1e-12)
        np.testing.assert_array_equal(run.c[0], c0)
    for k, gate in enumerate(run.gates):
        a = run.a[1:, :, 4 * k : 4 * k + 4]
        value = np.tanh(a) if gate in "gn" else 1 / (1 + np.exp(-a))
        np.testing.assert_allclose(getattr(run, gate)[1:], value, rtol=1e-12)
        assert not getattr(run, gate)[0].any()
    assert run.x.shape == (5, 3, 2)
    assert not run.x[0].any()
    assert not run.dh[0].any()
    assert "T 4, B 3, D 2, H 4" in repr(run)


def test_the_users_loss(inputs):
    weights = tg.tensor(np.arange(4.0))
    result = compare(rnn, layer(), inputs,
                     loss=lambda h, t: (h * weights).sum() * t if t > 2 else None)  # fmt: skip
    assert result
    expected = np.zeros((5, 3, 4))
    expected[3:] = np.arange(4.0) * np.array([3, 4])[:, None, None]
    np.testing.assert_allclose(result.run.dh, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", SOURCES)
def test_the_tape_is_the_gradient_of_the_layer(kind, inputs):
    """∂L/∂W as the user's own backward() leaves it in .grad."""
    model = layer(kind)
    states = 2 if kind == "LSTM" else 1
    initial = [tg.zeros(1, 3, 4, dtype=np.float64) for _ in range(states)]
    initial = tuple(initial) if states == 2 else initial[0]
    seen = {}

    def keeps(run):
        seen.update(made(SOURCES[kind])(run))
        return {"dx": np.zeros_like(run.x)}

    x = tg.tensor(inputs.numpy().astype(np.float64))
    run, unrolled = recorded(model, x, lambda h, t: h.square().sum() * t, initial, 0)
    tape = unrolled.truth(run.dh).suffix(4)
    output, _ = model(x, initial)
    sum((output[t].square().sum() * (t + 1) for t in range(4)), tg.tensor(0.0)).backward()
    for name, parameter in (("dWx", "weight_ih_l0"), ("dWh", "weight_hh_l0"), ("db", "bias_ih_l0")):
        grad = getattr(model, parameter).grad.numpy()
        np.testing.assert_allclose(tape[name], grad, rtol=1e-12, atol=1e-14)


def test_nothing_of_the_models_is_changed(inputs):
    model = layer()
    before = {n: p.numpy().copy() for n, p in model.named_parameters()}
    tg.manual_seed(5)
    drawn = tg.randn(3).numpy()
    tg.manual_seed(5)
    compare(rnn, model, inputs, loss=lambda h, t: h.sum())
    np.testing.assert_array_equal(tg.randn(3).numpy(), drawn)
    for name, p in model.named_parameters():
        assert p.grad is None
        np.testing.assert_array_equal(p.numpy(), before[name])


def test_the_same_seed_gives_the_same_run(inputs):
    model = layer()
    one, two, other = (compare(rnn, model, inputs, seed=s).run for s in (1, 1, 2))
    np.testing.assert_array_equal(one.dh, two.dh)
    assert not np.array_equal(one.dh, other.dh)
    assert one.h[0].any()  # at h_0 = 0 a mistake with it would not show


@pytest.mark.parametrize("kind", SOURCES)
def test_shorter_runs_are_parts_of_the_whole(kind, inputs):
    seen = []

    def keeps(run):
        seen.append(run)
        return {"dWx": np.zeros_like(run.Wx)}

    whole = compare(keeps, layer(kind), inputs).run
    lengths = {run.T for run in seen}
    assert lengths == {1, 4}  # the last step alone shows it
    for run in (whole.suffix(k) for k in (1, 2, 4)):
        first = 4 - run.T
        for name in ("h", "c") if kind == "LSTM" else ("h",):
            np.testing.assert_array_equal(getattr(run, name), getattr(whole, name)[first:])
        for name in ("x", "a", "dh", *run.gates):
            np.testing.assert_array_equal(getattr(run, name)[1:], getattr(whole, name)[first + 1 :])
            assert not getattr(run, name)[0].any()


# ---------------------------------------------------------------------- any subset, any detail


@pytest.mark.parametrize("kind", SOURCES)
def test_any_subset_may_be_returned(kind, inputs):
    fn = made(SOURCES[kind])
    for name in compare(fn, layer(kind), inputs).errors:
        assert list(compare(lambda run, n=name: {n: fn(run)[n]}, layer(kind), inputs).errors) == [
            name
        ]


DETAIL = [
    ("    for t",
     "    das, dhs, dcs = (np.zeros((run.T + 1, run.B, n * run.H)) for n in (4, 1, 1))\n    for t"),
    ("        dWx +=", "        das[t], dhs[t], dcs[t] = da, dh, dc\n        dWx +="),
    ('"dWx": dWx', '"da": das, "dh": dhs, "dc": dcs[1:], "dWx": dWx'),
]  # fmt: skip


def test_steps_of_ones_own(inputs):
    assert compare(made(LSTM, *DETAIL), layer("LSTM"), inputs)
    wrong = made(LSTM, *DETAIL, ("dh = run.dh[t] + dh_next", "dh = run.dh[t]"))
    result = compare(wrong, layer("LSTM"), inputs)
    assert (result.step, result.tensor, result.causes) == (3, "dh", ("carry_not_used",))
    wrong = made(LSTM, *DETAIL, (" + dc_next\n", "\n"))
    result = compare(wrong, layer("LSTM"), inputs)
    assert (result.step, result.tensor, result.causes) == (3, "dc", ("carry_c_not_used",))
    wrong = made(LSTM, *DETAIL, ("df * f * (1 - f)", "df * f"))
    result = compare(wrong, layer("LSTM"), inputs)
    assert (result.step, result.tensor, result.gate) == (4, "da", "f")


def test_rows_for_the_steps_alone_do():
    rows = made(RNN, ('"dx": dx', '"dx": dx[1:]'))
    assert compare(rows, layer(), tg.randn(4, 3, 2))


# ---------------------------------------------------------------------- what does not behave


def test_an_exception_is_told_with_its_line(inputs):
    def fails(run):
        return {"dWx": run.x @ run.h}

    result = compare(fails, layer(), inputs)
    assert not result
    assert isinstance(result.error, ValueError)
    assert "raised ValueError" in result.problem
    assert 'return {"dWx": run.x @ run.h}' in result.problem
    assert "cannot be compared" in str(result)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (None, "returned nothing"),
        ([1, 2], "returned a list"),
        ({}, "holds none of"),
        ({"dwx": np.zeros((4, 2))}, "holds none of"),
        ({"dWx": [[1, 2], [3]]}, "dWx is no array"),
        ({"dWx": np.zeros((4, 2), complex)}, "dtype complex128"),
        ({"dWx": np.array("none")}, "dtype <U4"),
    ],
)
def test_no_gradients(returned, told, inputs):
    result = compare(lambda run: returned, layer(), inputs)
    assert not result
    assert told in result.problem
    assert told in str(result)


def test_an_unknown_key_is_named(inputs):
    result = compare(lambda run: rnn(run) | {"dwx": 1, "hidden": 2}, layer(), inputs)
    assert result  # the others agree
    assert "did you mean 'dWx'?" in result.notes[0]
    assert "known are" in result.notes[1]


def test_nan_is_told(inputs):
    def divides(run):
        found = rnn(run)
        found["dWh"][1, 2] = np.nan
        return found

    result = compare(divides, layer(), inputs)
    assert (result.step, result.tensor, result.causes) == (4, "dWh", ("not_finite",))
    assert result.errors["dWh"].index == (1, 2)
    assert np.isnan(result.errors["dWh"].yours)


def test_huge_numbers_are_no_trouble(inputs):
    result = compare(lambda run: {n: 1e300 * v for n, v in rnn(run).items()}, layer(), inputs)
    assert (result.step, result.tensor) == (4, "db")
    assert result.causes == ("factor:1e+300",)


def test_another_shape_in_shorter_runs_is_left_aside(inputs):
    """They cannot serve as a second set of numbers then; the whole run still can."""

    def odd(run):
        found = rnn(run)
        return found | {"dWx": found["dWx"][:0] if run.T < 4 else 2 * found["dWx"]}

    result = compare(odd, layer(), inputs)
    assert not result
    assert result.causes == ("counted_twice",)


def test_float32_is_told_and_compared_to_what_it_can_hold(inputs):
    def single(run):
        return {name: value.astype(np.float32) for name, value in rnn(run).items()}

    result = compare(single, layer(), inputs)
    assert result
    assert "float32" in result.notes[0]
    wrong = made(RNN, ("dh = run.dh[t] + down", "dh = run.dh[t]"))
    result = compare(
        lambda run: {n: v.astype("f4") for n, v in wrong(run).items()}, layer(), inputs
    )
    assert (result.step, result.causes) == (3, ("carry_not_used",))


def test_integers_are_told(inputs):
    result = compare(lambda run: {"db": rnn(run)["db"].astype(int)}, layer(), inputs)
    assert not result
    assert "integers" in result.notes[0]


@pytest.mark.parametrize(
    ("name", "wrong", "cause"),
    [
        ("dWx", lambda v, run: v.T, "shape_transposed"),
        ("db", lambda v, run: v.sum(), "shape_summed_over_all"),
        ("dh0", lambda v, run: v.sum(axis=0), "shape_summed_over_batch"),
        ("dx", lambda v, run: v.swapaxes(0, 1), "shape_batch_first"),
        ("dx", lambda v, run: v[1], "shape_one_step"),
        ("dWx", lambda v, run: v[:-1], None),
        ("dWx", lambda v, run: v.T + 1, None),
    ],
)
def test_a_wrong_shape_is_told(name, wrong, cause, inputs):
    def shaped(run):
        found = rnn(run)
        return found | {name: wrong(found[name], run)}

    result = compare(shaped, layer(), inputs)
    assert not result
    assert (result.step, result.tensor) == (1 if name == "dh0" else 4, name)
    assert result.causes == ((cause,) if cause else ())
    assert f"{name} has shape" in result.notes[0]
    assert "wrong shape" in str(result)


def test_an_axis_of_one_too_many_is_let_pass(inputs):
    result = compare(lambda run: {"db": rnn(run)["db"][None]}, layer(), inputs)
    assert result
    assert "was read as (4,)" in result.notes[0]


def test_changing_the_run_in_place_is_told(inputs):
    """The numbers are right, yet a second use of run.dh would not be."""
    fn = made(RNN, ("dh = run.dh[t] + down", "dh = run.dh[t]; dh += down"))
    result = compare(fn, layer(), inputs)
    assert not result
    assert all(e.ok for e in result.errors.values())
    assert result.causes == ("changes_the_run",)
    assert "run.dh in place" in result.diagnosis
    assert "agrees, but" in str(result)
    wrong = made(RNN, ("        dh =", "        run.h[t] *= 0.5\n        dh ="))
    result = compare(wrong, layer(), inputs)
    assert (result.step, result.causes) == (4, ("changes_the_run",))


def test_the_line_that_changes_the_run_is_told(inputs):
    def changes(run):
        run.x[2] = 0
        return {"dWx": np.zeros_like(run.Wx)}

    result = compare(changes, layer(), inputs)
    assert "run.x[2] = 0" in " ".join([*result.notes, str(result.diagnosis)])


def test_keeping_something_between_calls_is_told(inputs):
    total = np.zeros(4)

    def keeps(run):
        nonlocal total
        total = total + rnn(run)["db"]
        return {"db": total}

    result = compare(keeps, layer(), inputs)
    assert not result
    assert result.causes == ("keeps_something",)


def test_a_function_for_one_length_only(inputs):
    """It cannot be asked about shorter runs; the mistake that fits says where it is."""
    wrong = made(RNN, ("dh = run.dh[t] + down", "dh = run.dh[t]"))

    def four(run):
        if run.T != 4:
            raise RuntimeError("four steps, please")
        return wrong(run)

    result = compare(four, layer(), inputs)
    assert result.causes == ("carry_not_used",)
    assert (result.step, result.tensor) == (3, "db")
    assert "four steps, please" in " ".join(result.notes)


# ---------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"my_backward": 3}, ArgumentError, "my_backward to be callable"),
        ({"model": lambda x: x}, ArgumentError, "model to be an nn.RNN"),
        ({"model": nn.LSTM(2, 4, num_layers=2)}, ArgumentError, "num_layers=1"),
        ({"model": nn.GRU(2, 4, bidirectional=True)}, ArgumentError, "bidirectional=False"),
        ({"model": nn.LSTM(2, 4, peephole=True)}, ArgumentError, "peephole=False"),
        ({"model": nn.LSTMCell(2, 4, peephole=True)}, ArgumentError, "peephole=False"),
        ({"model": nn.RNN(2, 4, zoneout=0.1)}, ArgumentError, "zoneout=0.0"),
        ({"inputs": np.zeros((4, 3, 5))}, ShapeError, "(T, B, 2)"),
        ({"inputs": np.zeros((4, 2))}, ShapeError, "(T, B, D)"),
        ({"inputs": np.zeros((0, 3, 2))}, ShapeError, "(T, B, D)"),
        ({"inputs": np.full((4, 3, 2), np.nan)}, ArgumentError, "finite"),
        ({"inputs": np.zeros((4, 3, 2), complex)}, DTypeError, "real"),
        ({"initial": np.zeros((2, 4))}, ShapeError, "h0 of shape"),
        ({"model": nn.LSTM(2, 4), "initial": np.zeros((3, 4))}, ArgumentError, "pair"),
        ({"loss": lambda h, t: None}, ArgumentError, "a loss at one step"),
        ({"loss": lambda h, t: h}, ArgumentError, "scalar"),
        ({"loss": 3}, ArgumentError, "loss to be callable"),
        ({"rtol": 0.0}, ArgumentError, "rtol > 0"),
    ],
)
def test_bad_arguments(change, error, told, inputs):
    arguments = {"my_backward": rnn, "model": nn.RNN(2, 4), "inputs": inputs} | change
    with pytest.raises(error) as caught:
        compare(**arguments)
    assert told in str(caught.value)
