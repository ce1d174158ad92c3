"""The ledger as a table: every number read back and compared with BPTT written by hand."""

from dataclasses import replace

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support.hand import STEPS as T
from tests.support.hand import WIDTH as H
from tests.support.hand import half, small
from tests.support.ledgers import NETS, Task, name_of
from tests.support.pages import read_table, row, rows
from tinygrad_seq import bptt, nn
from tinygrad_seq.bptt.ledger.forms import layers_of
from tinygrad_seq.errors import ArgumentError

FORMS = ["RNN"] * 3 + [""] * 1 + ["RNN", "LSTM", "", "", "", "", "GRU", "GRU", "", "GRU"]
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def share_rows(table, label, shape, steps, gates=""):
    """(T+1, *shape) numbers of "label [1,1]" … and their sums."""
    values, sums = np.full((steps + 1, *shape), np.nan), np.zeros(shape)
    for index in np.ndindex(*shape):
        words = [str(k + 1) for k in index]
        if gates:
            size = shape[0] // len(gates)
            words[0] = f"{gates[index[0] // size]}{index[0] % size + 1}"
        name = f"{label} [{','.join(words)}]"
        values[(slice(None), *index)] = row(table, name, steps)
        sums[index] = table[name]["Σ"]
    return values, sums


def test_every_number_of_an_rnn():
    ledger, found = small(nn.RNN, inputs=2)
    table = read_table(ledger.table(digits=12))
    for label, name, first, last in [
        ("a_t", "a", 1, T), ("h_t", "h", 0, T), ("∂L_t/∂h_t", "own", 1, T),
        ("W_hhᵀδ_{t+1}", "later", 0, T - 1), ("δ_t", "delta", 1, T),
    ]:  # fmt: skip
        got = rows(table, label, H, T)
        np.testing.assert_allclose(got[first : last + 1], found[name][first : last + 1], **EXACT)
        assert np.isnan(got[:first]).all()
        assert np.isnan(got[last + 1 :]).all()
    np.testing.assert_allclose(rows(table, "x_t", 2, T)[1:], ledger.inputs[1:, 0], **EXACT)
    np.testing.assert_allclose(row(table, "L_t", T)[1:], found["loss"][1:], **EXACT)
    assert table["L_t"]["Σ"] == pytest.approx(found["loss"].sum(), rel=1e-10)
    for label, share in {"∂L/∂W_xh": found["w_xh"], "∂L/∂W_hh": found["w_hh"],
                         "∂L/∂b": found["delta"]}.items():  # fmt: skip
        values, sums = share_rows(table, label, share.shape[1:], T)
        np.testing.assert_allclose(values[1:], share[1:], **EXACT)
        np.testing.assert_allclose(sums, share.sum(axis=0), **EXACT)
    assert len(table) == 2 + 2 + 2 + 1 + 2 + 2 + 2 + 4 + 4 + 2  # there is nothing else


def test_every_number_of_an_lstm():
    ledger, found = small(nn.LSTM)
    table = read_table(ledger.table(digits=12))
    names = {f"{k}_t": k for k in "ifgoch"} | {f"δ{k}_t": f"d{k}" for k in "cifgo"}
    for label, name in (names | {"∂L/∂h_t": "dh"}).items():
        got = rows(table, label, H, T)
        first = 0 if name in ("c", "h", "dc", "dh") else 1
        np.testing.assert_allclose(got[first:], found[name][first:], **EXACT)
    carried = rows(table, "(f⊙δc)_{t+1}", H, T)
    np.testing.assert_allclose(carried[:-1], found["f"][1:] * found["dc"][1:], **EXACT)
    highway = np.cumprod(found["f"][1:], axis=0)
    np.testing.assert_allclose(rows(table, "Πf_t", H, T)[1:], highway, **EXACT)
    for name, label in {"w_xh": "∂L/∂W_xh", "w_hh": "∂L/∂W_hh", "b": "∂L/∂b"}.items():
        share = found[name]
        values, sums = share_rows(table, label, share.shape[1:], T, "ifgo")
        np.testing.assert_allclose(values[1:], share[1:], **EXACT)
        np.testing.assert_allclose(sums, share.sum(axis=0), **EXACT)


def test_every_number_of_a_gru():
    ledger, found = small(nn.GRU)
    table = read_table(ledger.table(digits=12))
    names = {f"{k}_t": k for k in "rznqh"} | {f"δ{k}_t": f"d{k}" for k in "rznq"}
    for label, name in (names | {"∂L/∂h_t": "dh"}).items():
        first = 0 if name in ("h", "dh") else 1
        np.testing.assert_allclose(rows(table, label, H, T)[first:], found[name][first:], **EXACT)
    straight = rows(table, "(z⊙∂L/∂h)_{t+1}", H, T)
    np.testing.assert_allclose(straight[:-1], found["z"][1:] * found["dh"][1:], **EXACT)
    later = rows(table, "W_hhᵀδ′_{t+1}", H, T)
    np.testing.assert_allclose((later + straight)[:-1] + np.r_[[[0, 0]], found["h"][1:-1]],
                               found["dh"][:-1], **EXACT)  # fmt: skip
    values, _ = share_rows(table, "∂L/∂W_hh", (6, 2), T, "rzn")
    np.testing.assert_allclose(values[1:], found["w_hh"][1:], **EXACT)


def test_the_weights_stand_above():
    ledger, _ = small(nn.RNN)
    text = " ".join(ledger.table(digits=17).split())
    for name, symbol in {"weight_ih_l0": "W_xh", "weight_hh_l0": "W_hh", "bias_ih_l0": "b"}.items():
        words = text.split(f"{symbol} = ")[1].split("]]" if symbol != "b" else "]")[0]
        values = [float(v) for v in words.replace("[", "").replace("]", "").split(",")]
        np.testing.assert_array_equal(values, ledger.weights[name].ravel())


@pytest.mark.parametrize(
    ("net", "form"), list(zip(NETS, FORMS, strict=True)), ids=map(name_of, NETS)
)
def test_the_books_equations_where_they_hold(net, form):
    """And only there: each with what it must give, tried on the numbers."""
    ledger = Task(net).ledger()
    layers = layers_of(ledger)
    assert [layer.form for layer in layers] == [form] * net[1]
    assert all(layer.holds(ledger) for layer in layers)


@pytest.mark.parametrize("net", [NETS[0], NETS[5], NETS[10], NETS[11]], ids=name_of)
@pytest.mark.parametrize("wrong", ["weight_ih_l0", "weight_hh_l0", "bias_hh_l0", "credit", "share"])
def test_other_numbers_are_not_taken_for_the_books(net, wrong):
    ledger = Task(net).ledger()
    if wrong == "credit":
        carried = ledger.carried.copy()
        carried[3, 3] *= 1 + 1e-6
        false = replace(ledger, carried=carried)
    elif wrong == "share":
        share = ledger.shares["weight_hh_l0"].copy()
        share[2, 0, 0] += 1e-6
        false = replace(ledger, shares={**ledger.shares, "weight_hh_l0": share})
    else:
        weights = {**ledger.weights, wrong: ledger.weights[wrong] * (1 + 1e-6)}
        false = replace(ledger, weights=weights)
    assert [layer.form for layer in layers_of(false)] == [""]


@pytest.mark.parametrize("net", NETS, ids=name_of)
@pytest.mark.parametrize("digits", [1, 4, 17])
def test_it_fits_a_page(net, digits):
    lines = Task(net).ledger().table(digits).split("\n")
    assert max(map(len, lines)) <= 80
    assert not any(line != line.rstrip() for line in lines)


def test_blocks_of_steps():
    """Seven steps do not fit beside each other; nothing is lost."""
    ledger, found = small(nn.RNN, steps=7)
    text = ledger.table()
    assert text.count("forward →") == 2
    table = read_table(text)
    np.testing.assert_allclose(rows(table, "h_t", H, 7), found["h"], atol=5e-4)
    np.testing.assert_allclose(rows(table, "δ_t", H, 7)[1:], found["delta"][1:], atol=5e-4)


def test_what_is_too_much_is_left_out_and_said_to_be():
    ledger, found = small(nn.RNN, hidden=11, steps=60)
    text = ledger.table()
    table = read_table(text)
    assert "… 4 more of h_t" in text
    assert "h_t [6]" in table
    assert "h_t [7]" not in table
    assert "h_t [11]" in table
    assert "… 86 more of ∂L/∂W_hh" in text
    (said,) = [line for line in text.split("\n") if "are left out; to_csv" in line]
    first, last = (int(word) for word in said.replace("=", " ").split() if word.isdigit())
    shown = [t for t in range(61) if f"t = {t}" in table["h_t [11]"]]
    assert shown == [t for t in range(61) if not first <= t <= last]
    assert shown[-1] == 60
    np.testing.assert_allclose(row(table, "h_t [11]", 60)[shown], found["h"][shown, 10], atol=5e-4)
    assert text.count("\n") < 500


def test_rows_of_the_batch():
    tg.manual_seed(0)
    net, x = nn.RNN(1, 2, dtype=np.float64), tg.randn(2, 6, 1, dtype=np.float64)
    ledger = bptt.ledger(net, x, half)
    text = ledger.table()
    parts = text.split("forward → (row ")
    assert len(parts) == 5
    assert "… rows 5 to 6 of the batch are left out" in text
    for b, part in enumerate(parts[1:]):
        head = "                     t = 0     t = 1     t = 2         Σ\n"
        heads = next(line for line in text.split("\n") if "t = 0" in line)
        assert head.split() == heads.split()
        got = rows(read_table(f"{heads}\n{part}"), "h_t", 2, 2)
        np.testing.assert_allclose(got, ledger.states["h"][:, b], atol=5e-4)


def test_a_cell_of_the_users():
    """The chain h_t = tanh(w h + u x): no form of the books, but all that holds for every cell."""
    w = tg.tensor(np.array(0.7), requires_grad=True)
    x = np.array([0.5, -0.25, 1.0])
    ledger = bptt.ledger(lambda x, h: tg.tanh(w * h + x), tg.tensor(x), lambda h, t: h,
                         initial=tg.tensor(np.array(0.3)), params={"w": w})  # fmt: skip
    table = read_table(ledger.table(10))
    h = [0.3]
    for v in x:
        h.append(np.tanh(0.7 * h[-1] + v))
    np.testing.assert_allclose(row(table, "h_t", 3), h, rtol=1e-9)
    slopes = [0.7 * (1 - v**2) for v in h]
    later = [slopes[1] * (1 + slopes[2] * (1 + slopes[3])), slopes[2] * (1 + slopes[3]), slopes[3]]
    np.testing.assert_allclose(row(table, "from the next step to h_t", 3)[:3], later, rtol=1e-8)
    np.testing.assert_allclose(row(table, "∂L/∂h_t", 3)[1:], np.array([*later[1:], 0]) + 1,
                               rtol=1e-8)  # fmt: skip
    assert table["∂L/∂w"]["Σ"] == pytest.approx(ledger.grad["w"].item(), rel=1e-9)
    assert "with w = 0.7" in ledger.table()


@pytest.mark.parametrize("digits", [0, 18, 2.0, True, "4", None])
def test_digits(digits):
    ledger, _ = small(nn.RNN, steps=1)
    with pytest.raises(ArgumentError, match="table: expected digits from 1 to 17"):
        ledger.table(digits)
