"""``tinygrad-seq bptt``: one screen, and every number on it."""

import re

import numpy as np
import pytest

from tests.bptt.test_ledger_latex import check
from tests.support.pages import read_table, rows
from tinygrad_seq.cli import main


@pytest.fixture
def run(capsys):
    """→ what a command prints."""

    def call(*arguments):
        assert main(["bptt", *map(str, arguments)]) == 0
        seen = capsys.readouterr()
        assert seen.err == ""
        return seen.out

    return call


def chain_rows(text):
    """t → (h_t, slope, ∂h_t/∂h_0) of the second block."""
    block = text.split("\n2. ")[1].split("\n3. ")[0]
    number = r"(-?[\d.]+(?:e[+-]\d+)?|0)"
    found = {}
    for line in block.split("\n"):
        cells = re.match(rf" +(\d+) +{number}(?: +{number})? +{number}(?:  |$)", line)
        if cells:
            found[int(cells[1])] = tuple(
                None if c is None else float(c) for c in cells.groups()[1:]
            )
    return found


def bars(text):
    block = text.split("\n2. ")[1].split("\n3. ")[0]
    return [
        re.search(r"(#*)\|(#*)$", line) for line in block.split("\n") if line.endswith(("|", "#"))
    ]


def test_one_screen(run):
    lines = run().rstrip("\n").split("\n")
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 45
    for number in "123":
        assert sum(line.startswith(f"{number}. ") for line in lines) == 1


def test_it_explodes_then_vanishes(run):
    """The founding numbers, and each row against the recurrence."""
    text = run()
    table = chain_rows(text)
    assert table[10][2] == 59049
    assert table[25][2] == pytest.approx(4.2e11, rel=0.01)
    assert table[50][2] == pytest.approx(4.3e-26, rel=0.01)
    h, product = 1e-12, 1.0
    for t in range(1, 51):
        h = np.tanh(3 * h)
        product *= 3 * (1 - h * h)
        if t in table:
            np.testing.assert_allclose(table[t], [h, 3 * (1 - h * h), product], rtol=1e-4)
    assert sorted(table) == [0, 10, 25, 50]
    assert "grows to 4e+11, then shrinks to 4e-26." in text
    start, ten, peak, end = ((len(m[1]), len(m[2])) for m in bars(text))
    assert start == (0, 0)
    assert ten[0] == peak[0] == 0 < ten[1] < peak[1]
    assert end[0] > end[1] == 0
    assert end[0] / peak[1] == pytest.approx(np.log10(4.3e-26) / -np.log10(4.2e11), rel=0.1)


@pytest.mark.parametrize(
    ("w", "words"),
    [
        ("0.2", "product of slopes 0.2·(1−h_t²) shrinks to 1e-35."),
        ("1", "keeps its size."),
        ("-2", "grows to 4e+11, then shrinks to"),
        ("1.5", "grows to "),
        ("0", "shrinks to 0."),
        ("1000", "then shrinks to 0."),
        ("1.05", "grows to "),
    ],
)
def test_other_weights(run, w, words):
    text = run("--w", w)
    assert words in " ".join(text.split())
    for t, (h, slope, product) in chain_rows(text).items():
        state, derivative = 1e-12, 1.0
        for _ in range(t):
            state = np.tanh(float(w) * state)
            derivative *= float(w) * (1 - state**2)
        np.testing.assert_allclose(h, state, rtol=1e-4)
        np.testing.assert_allclose(product, derivative, rtol=1e-4)
        assert (slope is None) == (t == 0)
    assert max(map(len, text.split("\n"))) <= 80


def test_the_ledger_and_its_truncation(run):
    """The printed weights and inputs are all it takes to do everything again."""
    text = run("--steps", 5, "--seed", 3)
    numbers = {
        name: np.array(eval(re.search(rf"{name} = (\[+.*?\]+)(?:;|\n)", text)[1]))
        for name in ("W_xh", "W_hh", "b")
    }
    table = read_table(text.split("\n2. ")[0])
    x = rows(table, "x_t", 1, 5)[1:]
    h, states = np.zeros(2), [np.zeros(2)]
    for x_t in x:
        h = np.tanh(numbers["W_xh"] @ x_t + numbers["W_hh"] @ h + numbers["b"])
        states.append(h)
    np.testing.assert_allclose(rows(table, "h_t", 2, 5), states, rtol=1e-3)
    grads = []
    for k in range(1, 6):
        total = [np.zeros((2, 1)), np.zeros((2, 2)), np.zeros(2)]
        for s in range(1, 6):
            credit = states[s]
            for t in range(s, max(s - k, 0), -1):
                delta = credit * (1 - states[t] ** 2)
                total[0] += np.outer(delta, x[t - 1])
                total[1] += np.outer(delta, states[t - 1])
                total[2] += delta
                credit = delta @ numbers["W_hh"]
        grads.append(np.concatenate([part.ravel() for part in total]))
    full = grads[-1]
    printed = re.findall(r"^ *(\d+) +(\d+) of 15 +([\d.]+) +(-?[\d.]+)   (.*)$", text, re.MULTILINE)
    assert [int(line[0]) for line in printed] == [1, 2, 3, 4, 5]
    for k, (g, line) in enumerate(zip(grads, printed, strict=True), 1):
        assert int(line[1]) == sum(min(k, s) for s in range(1, 6)) == line[4].count("■")
        assert line[4].count("■") + line[4].count("·") == 15
        ratio = np.linalg.norm(g) / np.linalg.norm(full)
        assert float(line[2]) == pytest.approx(ratio, abs=6e-5)
        cosine = g @ full / np.linalg.norm(g) / np.linalg.norm(full)
        assert float(line[3]) == pytest.approx(cosine, abs=6e-5)
    assert printed[0][4] == "■ ·■ ··■ ···■ ····■"


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_other_models(run, model):
    text = run("--model", model, "--hidden", 3, "--steps", 9)
    assert f"\n{model.upper()}" in text
    assert max(map(len, text.split("\n"))) <= 80
    assert re.findall(r"^ *(\d+) +\d+ of 45", text, re.MULTILINE) == ["1", "2", "4", "8", "9"]
    assert text != run("--model", model, "--hidden", 3, "--steps", 9, "--seed", 1)


def test_latex(run):
    blocks = check(run("--latex", "--model", "lstm", "--steps", 2).rstrip("\n"))
    assert len(blocks) == 1 + 2 + 3


@pytest.mark.parametrize("ending", ["png", "svg", "PDF"])
def test_plot(run, tmp_path, ending):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"a.{ending}"
    assert run("--plot", path, "--steps", 2).endswith(f"\npicture: {path}\n")
    start = {"png": b"\x89PNG", "svg": b"<?xml", "PDF": b"%PDF"}[ending]
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--model transformer", "model: expected rnn, lstm or gru, got transformer"),
        ("--hidden 0", "hidden: expected a whole number from 1 to 64, got 0"),
        ("--hidden 65", "hidden: expected a whole number from 1 to 64, got 65"),
        ("--hidden two", "--hidden"),
        ("--steps 0", "steps: expected a whole number from 1 to 100, got 0"),
        ("--steps 101", "got 101"),
        ("--w nan", "w: expected a number from -1000 to 1000, got nan"),
        ("--w 1e9", "got 1e+09"),
        ("--w much", "--w"),
        ("--seed -1", "an integer ≥ 0, got -1"),
        ("--plot out.gif", "--plot: expected a file that ends in .png, .svg, .pdf, got out.gif"),
        ("--plot no/out.png", "No such file or directory: no/out.png"),
        ("--latex=maybe", "--latex"),
        ("surplus", "surplus"),
        ("--loss 2", "--loss"),
    ],
)
def test_mistakes(arguments, words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["bptt", *arguments.split()]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith("error: ")
    assert words in seen.err
    assert seen.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
