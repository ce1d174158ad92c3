"""The ledger as LaTeX: balanced, in symbols that TeX knows, and with the right numbers.

There is no TeX here: what matplotlib's own reader of formulas understands is read by it.
"""

import re

import numpy as np
import pytest

from tests.support.hand import STEPS as T
from tests.support.hand import small
from tests.support.ledgers import NETS, Task, name_of
from tinygrad_seq import nn
from tinygrad_seq.bptt.ledger.symbols import tex, tex_array, tex_number
from tinygrad_seq.errors import ArgumentError

READ = {r"\vdots"}


def arrays(text):
    """The matrices in a text, by rows; dots are NaN."""
    found = []
    for body in re.findall(r"\\begin\{bmatrix\} (.*?) \\end\{bmatrix\}", text):
        rows = [[value(v) for v in row.split(" & ")] for row in body.split(r" \\ ")]
        found.append(np.array(rows))
    return found


def value(word):
    if "dots" in word:
        return np.nan
    return float(re.sub(r" \\times 10\^\{(-?\d+)\}", r"e\1", word))


def check(text):
    """Comments and align* blocks; braces, environments and alignment marks are in order; every
    formula is one that a reader of TeX understands."""
    mathtext = pytest.importorskip("matplotlib.mathtext").MathTextParser("agg")
    lines = [line for line in text.split("\n") if not line.startswith("%")]
    blocks = re.findall(r"\\begin\{align\*\}\n(.*?)\n\\end\{align\*\}", "\n".join(lines), re.DOTALL)
    framed = "\n".join(f"\\begin{{align*}}\n{block}\n\\end{{align*}}" for block in blocks)
    assert framed == "\n".join(lines)
    formulas = set()
    for block in blocks:
        for line in block.split(" \\\\\n"):
            assert line.count("{") == line.count("}")
            assert line.count(r"\begin{bmatrix}") == line.count(r"\end{bmatrix}")
            assert not re.search("[^ -~]", line), line  # plain TeX, nothing that needs a font
            bare = re.sub(r"\\begin\{bmatrix\}.*?\\end\{bmatrix\}", "M", line)
            assert bare.count("&") == 1
            assert "\\\\" not in bare
            # Which number it is makes no difference to the reader, and it is slow.
            bare = re.sub(r"\d+", "1", bare.replace(r"\times 10^{-", r"\times 10^{"))
            formulas.add(bare.replace("&", "").replace(r"\mathrel{+}", "+"))
    for formula in formulas - READ:
        mathtext.parse(f"${formula}$")
        READ.add(formula)
    return blocks


def test_every_number_of_an_rnn():
    ledger, found = small(nn.RNN)
    for t in range(1, T + 1):
        forward, chain, backward, shares = check(ledger.latex(t))
        a, h = arrays(forward)
        np.testing.assert_allclose([a[:, 0], h[:, 0]], [found["a"][t], found["h"][t]], rtol=1e-3)
        rows = arrays(chain)
        assert [row.shape for row in rows] == [(1, 2)] * (T - t + 1)
        np.testing.assert_allclose(sum(rows)[0], found["total"][t], rtol=5e-3)
        *_, delta = arrays(backward)
        np.testing.assert_allclose(delta[:, 0], found["delta"][t], rtol=1e-3)
        xh, hh, b = arrays(shares)
        np.testing.assert_allclose(xh, found["w_xh"][t], rtol=1e-3)
        np.testing.assert_allclose(hh, found["w_hh"][t], rtol=1e-3)
        np.testing.assert_allclose(b[:, 0], found["delta"][t], rtol=1e-3)


def test_all_steps():
    """The rules, the steps from the last to the first, and the sums."""
    ledger, found = small(nn.RNN)
    rules, *steps, _, hidden, bias = check(ledger.latex())
    assert r"\delta_{t} &= \frac{\partial L}{\partial h_{t}} \odot (1-h_{t}^{2})" in rules
    assert (
        r"\frac{\partial L}{\partial W_{hh}} &= \sum_{t=1}^{T} \delta_{t} h_{t-1}^{\top}" in rules
    )
    assert len(steps) == T
    for t, block in zip(range(T, 0, -1), steps, strict=True):
        np.testing.assert_allclose(arrays(block)[-1][:, 0], found["delta"][t], rtol=1e-3)
    *terms, total = arrays(hidden)
    np.testing.assert_allclose(terms, found["w_hh"][1:], rtol=1e-3)
    np.testing.assert_allclose(total, found["w_hh"].sum(axis=0), rtol=1e-3)
    np.testing.assert_allclose(arrays(bias)[-1][:, 0], found["delta"].sum(axis=0), rtol=1e-3)


@pytest.mark.parametrize("net", NETS, ids=name_of)
def test_every_net(net):
    ledger = Task(net).ledger()
    texts = [ledger.latex(), *(ledger.latex(t) for t in range(T + 1))]
    for text in texts:
        assert text.startswith("% needs \\usepackage{amsmath}\n% row 1 of the 2 rows")
        assert check(text)


def test_long_sums_and_vectors_are_cut():
    ledger, found = small(nn.RNN, hidden=9, steps=12)
    text = ledger.latex()
    check(text)
    (bias,) = re.findall(
        r"\\sum_\{t=1\}\^\{12\} \\delta_\{t\} \\\\\n(.*?)\\end\{align", text, re.DOTALL
    )
    assert r" + \cdots + " in bias
    total = arrays(bias)[-1][:, 0]
    assert np.isnan(total[-2])
    expected = found["delta"].sum(axis=0)
    np.testing.assert_allclose(total[[0, 1, 2, 3, 5]], expected[[0, 1, 2, 3, 8]], rtol=1e-3)
    assert r"&\vdots" in ledger.latex(1)
    check(ledger.latex(1))


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("δ_[t]", r"\delta_{7}"),
        ("δi_[t+1]", r"\delta_{8}^{i}"),
        ("δ′¹_[t]", r"\delta_{7}^{\prime (1)}"),
        ("h²_[t-1]ᵀ", r"{h_{6}^{(2)}}^{\top}"),
        ("(1−h_[t]²)", r"(1-h_{7}^{2})"),
        ("(1−h¹_[t]²)", r"(1-{h_{7}^{(1)}}^{2})"),
        ("W_hh¹ᵀδ¹_[t+1]", r"{W_{hh}^{(1)}}^{\top}\delta_{8}^{(1)}"),
        ("∂L_[t]/∂h_[t]", r"\frac{\partial L_{7}}{\partial h_{7}}"),
        ("(r_[t]⊙h_[t-1])ᵀ", r"(r_{7} \odot h_{6})^{\top}"),
        ("(1−tanh²c_[t])", r"(1-\tanh^{2} c_{7})"),
        ("σ(a_[t])", r"\sigma(a_{7})"),
        ("[h_[t]>0]", r"[h_{7} > 0]"),
        ("s1_[t]", r"\mathrm{s1}_{7}"),
        ("from above to h_[t]", r"\text{from above to }h_{7}"),
    ],
)
def test_symbols(symbol, expected):
    assert tex(symbol, 7) == expected


def test_numbers():
    assert tex_number(-1.25e-7) == r"-1.250 \times 10^{-7}"
    assert tex_number(float("nan")) == r"\mathrm{NaN}"
    assert tex_number(float("-inf")) == r"-\infty"
    assert tex_array(np.array([-0.5])) == "(-0.5000)"
    assert tex_array(np.array([-0.5]), alone=True) == "-0.5000"
    assert tex_array(np.array([[1.0, 2.0]])) == r"\begin{bmatrix} 1.000 & 2.000 \end{bmatrix}"


@pytest.mark.parametrize("t", [-1, T + 1, 1.0, "2", False])
def test_there_is_no_such_step(t):
    with pytest.raises(ArgumentError, match="latex: expected a step t from 0 to 4, or None"):
        small(nn.RNN)[0].latex(t)
