"""The script about sequence to sequence runs from start to end, on a few lines."""

import sys

import pytest

from benchmarks import seq2seq
from tinygrad_seq.bench import read_results
from tinygrad_seq.models.seq2seq import Answers

LINES = [(f"{a}+{b}", str(a + b)) for a in range(5) for b in range(4)]
SMALL = {
    "dates": {
        "attention": {"hidden": 4, "attention": "dot"},
        "no attention": {"hidden": 4},
        "Transformer": {"kind": "transformer", "hidden": 4},
    },
    "addition": {"source reversed": {"hidden": 4, "reverse": True}, "not reversed": {"hidden": 4}},
}


def test_curves_map_and_figures(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(seq2seq, "MODELS", SMALL)
    monkeypatch.setattr(seq2seq, "LOADERS", {"dates": lambda: LINES, "addition": lambda: LINES})
    monkeypatch.setattr(seq2seq, "EXAMPLE", "1+2")
    files = {name: tmp_path / name for name in ("plot.svg", "map.svg", "figures.json")}
    monkeypatch.setattr(sys, "argv", ["seq2seq.py", "--epochs", "2", "--seeds", "2", "--plot",
                                      str(files["plot.svg"]), "--map", str(files["map.svg"]),
                                      "--json", str(files["figures.json"])])  # fmt: skip
    seq2seq.main()
    rows = read_results(files["figures.json"])["rows"]
    assert [(row["task"], row["model"]) for row in rows] == [
        (task, name) for task, models in SMALL.items() for name in models
    ]
    for row in rows:
        assert len(row["exact"]) == (2 if row["task"] == "addition" else 1)
        assert {len(run) for run in row["exact"]} == {3}
    text = files["plot.svg"].read_text()
    for words in ("epochs", "unseen sums without a mistake", "source reversed, mean of 2"):
        assert f"<!-- {words} -->" in text
    assert "<!-- attention weight -->" in files["map.svg"].read_text()
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "1+2" in lines  # above the blocks


def test_what_was_held_out_is_the_last_tenth_and_exact_means_exact():
    data = seq2seq.Translation.of(LINES)
    assert (len(data.train), len(data.unseen)) == (18, 2)
    assert "".join(data.source.decode(data.unseen[-1][0])) == "4+3"

    class Says:
        """A model that says the same to everything."""

        def __init__(self, answer):
            self.answer = answer

        def generate(self, source, lengths, length):
            column = data.target.encode(self.answer, eos=True)[:, None]
            tokens = column.repeat(source.shape[1], axis=1)
            return Answers(tokens, None, None)

    assert data.exact(Says("7")) == 0.5
    assert data.exact(Says("77")) == 0
