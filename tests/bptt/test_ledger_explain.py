"""The chain rule of a step: what is printed is worked out again, and compared with BPTT by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support import hand
from tests.support.hand import STEPS as T
from tests.support.hand import half, small
from tests.support.ledgers import NETS, Task, name_of
from tests.support.pages import equations, joined, vectors
from tinygrad_seq import bptt, nn
from tinygrad_seq.errors import ArgumentError, GraphError

CLOSE = {"rtol": 2e-3, "atol": 1e-8}


def near(got, expected, **more):
    np.testing.assert_allclose(got, expected, **{**CLOSE, **more})


def credits(text):
    """(s, t) → C[s, t]."""
    lines = (re.match(r"  [Cλ]\[(\d+),(\d+)\] = .* = ", line) for line in joined(text))
    return {
        (int(m[1]), int(m[2])): vectors(m.string)[-1] for m in lines if m is not None
    }  # fmt: skip


@pytest.mark.parametrize("t", range(T + 1))
def test_every_number_of_an_rnn(t):
    ledger, found = small(nn.RNN)
    text = ledger.explain(t)
    w_hh = ledger.weights["weight_hh_l0"]
    got = equations(text)
    for made, result in got.values():
        if made is not None:
            near(made, result, rtol=5e-3, atol=1e-4)
    near(got[f"∂L/∂h_{t}"][1], found["total"][t])
    if t:
        near(got[f"h_{t}"][1], found["h"][t])
        near(got[f"a_{t}"][1], found["a"][t])
        near(got[f"δ_{t}"][1], found["delta"][t])
        assert got[f"δ_{t}"][0] is not None
    expected = {(s, t): hand.rnn_credit(found, w_hh, s, t) for s in range(max(t, 1), T + 1)}
    seen = credits(text)
    assert seen.keys() == expected.keys()
    for key, credit in expected.items():
        near(seen[key], credit)
    if t < T:
        (total,) = [vectors(line)[0] for line in joined(text) if line.startswith("  their sum")]
        near(total, found["total"][t])


def test_first_last_and_before():
    """What is not there is not spoken of."""
    ledger, _ = small(nn.RNN)
    before, first, middle, last = (ledger.explain(t) for t in (0, 1, 2, T))
    assert before.startswith("Before the first of 4 steps: the initial state\n")
    assert "∂L/∂h_0 = W_hhᵀδ_1\n" in before
    for word in ("δ_0", "x_0", "L_0", "adds to the gradient", "h_0 = tanh"):
        assert word not in before
    assert first.startswith("Step 1 of 4, the first: RNN\n")
    assert middle.startswith("Step 2 of 4: RNN\n")
    assert "Step 2 answers for L_2, L_3, L_4\n" in middle
    assert "∂L/∂h_2 = ∂L_2/∂h_2 + W_hhᵀδ_3\n" in middle
    assert "C[4,2] = C[4,4] J_4 J_3 = " in middle
    assert "∂L/∂W_hh (weight_hh_l0): δ_2 h_1ᵀ =" in middle
    assert last.startswith("Step 4 of 4, the last: RNN\n")
    assert "nothing comes after the last step\n  ∂L/∂h_4 = ∂L_4/∂h_4\n" in last
    for word in ("δ_5", "J_5", "their sum", "C[s,"):
        assert word not in last


def test_a_start_at_zero():
    net, x = nn.RNN(1, 2, dtype=np.float64), tg.randn(3, 1, 1, dtype=np.float64)
    ledger = bptt.ledger(net, x, half)
    said = "h_0 = 0, so the first step adds nothing"
    assert said in ledger.explain(1)
    assert said not in ledger.explain(2)
    assert said not in small(nn.RNN)[0].explain(1)


def test_steps_without_a_loss():
    """The loss is that of the third step alone."""
    net, x = nn.RNN(1, 2, dtype=np.float64), tg.randn(4, 1, 1, dtype=np.float64)
    ledger = bptt.ledger(net, x, lambda h, t: half(h, t) if t == 3 else None)
    text = ledger.explain(1)
    assert "Step 1 answers for L_3\n" in text
    assert list(credits(text)) == [(3, 1)]
    assert "their sum" not in text
    assert "No loss comes after step 4: nothing to answer for" in ledger.explain(4)


@pytest.mark.parametrize("t", [0, 1, 2, T])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_numbers_of_gated_nets(kind, t):
    ledger, found = small(kind)
    got = equations(ledger.explain(t))
    for left, (made, result) in got.items():
        if made is not None:
            near(made, result, rtol=1e-2, atol=3e-4, err_msg=left)
    near(got[f"∂L/∂h_{t}"][1], found["dh"][t])
    names = {"c": "δc"} if kind is nn.LSTM else {}
    if t:
        names |= {k: f"δ{k}" for k in ("ifgo" if kind is nn.LSTM else "rznq")}
    for name, symbol in names.items():
        near(got[f"{symbol}_{t}"][1], found[f"d{name}"][t])
    assert len([left for left in got if left.startswith("δ")]) == len(names)


@pytest.mark.parametrize("net", NETS, ids=name_of)
def test_every_net_and_step(net):
    """Nothing is wider than a page, and the steps' shares are those of the ledger."""
    ledger = Task(net).ledger()
    for t in range(5):
        text = ledger.explain(t)
        assert max(map(len, text.split("\n"))) <= 80
        lines = joined(text)
        start = next((k for k, line in enumerate(lines) if "adds to the gradient" in line), None)
        if start is None:
            assert t == 0
            continue
        blocks = "\n".join(lines[start + 1 :])
        for name, share in ledger.shares.items():
            if share[t].size > 36 or not (t or share[0].any()):
                continue
            (block,) = re.findall(rf"^  ∂L/∂(?=[^:]*\b{re.escape(name)}\b).*?(?=^  ∂|\Z)", blocks,
                                  re.DOTALL | re.MULTILINE)  # fmt: skip
            near(np.concatenate(vectors(block)), share[t].ravel(), rtol=2e-3)


def test_two_ways_that_do_not_meet():
    """A ledger whose numbers do not belong together is an error, not a page."""
    ledger, _ = small(nn.RNN)
    carried = ledger.carried.copy()
    carried[3, 1] *= 1 + 1e-6
    with pytest.raises(GraphError, match=r"expected C\[3,1\] to be what the ledger holds"):
        replace(ledger, carried=carried).explain(1)
    credit = {"h": ledger.credit["h"].copy()}
    credit["h"][4, 2] *= 1.001
    with pytest.raises(GraphError, match=r"∂L/∂h_2 = .* does not hold"):
        replace(ledger, credit=credit).explain(2)
    shares = {**ledger.shares, "bias_ih_l0": ledger.shares["bias_ih_l0"] + 1e-6}
    assert "δ_2" not in replace(ledger, shares=shares).explain(2)  # the books' rules do not hold


def test_long_chains_are_cut_in_the_middle():
    ledger, found = small(nn.RNN, steps=20)
    text = ledger.explain(3)
    assert "… 11 more …" in text
    assert "C[20,3] = C[20,20] J_20 … J_4 = " in text
    seen = credits(text)
    assert sorted(s for s, _ in seen) == [3, 4, 5, 6, 7, 8, 20]
    near(seen[20, 3], hand.rnn_credit(found, ledger.weights["weight_hh_l0"], 20, 3))
    assert max(map(len, text.split("\n"))) <= 80


def test_wide_states_are_cut_in_the_middle():
    ledger, _ = small(nn.RNN, hidden=30)
    text = ledger.explain(2)
    assert ", …, " in text
    assert "J_3 = " not in text
    assert max(map(len, text.split("\n"))) <= 80
    assert text.count("\n") < 80


@pytest.mark.parametrize("t", [-1, T + 1, 1.0, "2", None, True])
def test_there_is_no_such_step(t):
    ledger, _ = small(nn.RNN)
    with pytest.raises(ArgumentError, match="explain: expected a step t from 0 to 4"):
        ledger.explain(t)


def test_the_jacobian_is_printed():
    ledger, _ = small(nn.RNN)
    text = ledger.explain(1)
    rows = vectors(text[text.index("  J_2 = ") : text.index("  singular")])
    near(np.stack(rows), ledger.jacobians[2, 0])
    (line,) = [line for line in text.split("\n") if "singular values of J_2" in line]
    near(vectors(line)[0], ledger.singular_values[2, 0])
    assert float(line.split("none is above ")[1]) == pytest.approx(ledger.bound[2], rel=1e-3)


def test_a_net_that_exploded():
    """What is beyond all numbers is said, without a warning; nothing is checked against it."""
    net = nn.RNN(1, 2, nonlinearity="relu", bias=False, dtype=np.float64)
    with tg.no_grad():
        net.weight_hh_l0.copy_(np.eye(2) * 1e60)
        net.weight_ih_l0.fill_(1)
    with np.errstate(all="ignore"):
        ledger = bptt.ledger(net, tg.ones(7, 1, 1, dtype=np.float64), half)
        _ = ledger.jacobians
    assert "inf" in ledger.table()
    for t in range(8):
        assert f"Step {t} of 7" in ledger.explain(t) or t == 0
        assert ledger.latex(t)
    assert r"\infty" in ledger.latex()


def test_rows_of_the_batch():
    """Two of them one after the other, each with its own numbers; the rest is spoken of."""
    tg.manual_seed(0)
    net, x = nn.RNN(1, 2, dtype=np.float64), tg.randn(2, 4, 1, dtype=np.float64)
    ledger = bptt.ledger(net, x, half)
    _, *parts = ledger.explain(1).split("\nRow ")
    assert [part.split("\n")[0] for part in parts] == ["1 of 4 of the batch", "2 of 4 of the batch"]
    for b, part in enumerate(parts):
        near(equations(part)["h_1"][1], ledger.states["h"][1, b])
        near(equations(part)["∂L/∂h_1"][1], ledger.delta()[1, b])
    assert "… rows 3 to 4 of the batch go the same way" in parts[-1]
    assert "adds to the gradient, summed over the 4 rows" in parts[-1]
