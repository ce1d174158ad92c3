"""Graphs as DOT and as pictures."""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, DataError, MissingDependencyError
from tinygrad_seq.viz.graph import draw_graph, to_dot

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|->|[\w.]+|[{}\[\]=;,])')


class Dot:
    """A reader of the part of DOT's grammar that is written: statements, attributes, clusters."""

    def __init__(self, text):
        self.nodes, self.edges, self.clusters = {}, [], {}
        self.tokens, at = [], 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            assert match, f"no token at {text[at : at + 30]!r}"
            self.tokens.append(match[1])
            at = match.end()
        assert self.take() == "digraph"
        self.take()
        self.block(None)
        assert not self.tokens

    def take(self):
        return self.tokens.pop(0)

    def block(self, cluster):
        assert self.take() == "{"
        while self.tokens[0] != "}":
            word = self.take()
            if word == "subgraph":
                name = self.take()
                self.clusters[name] = {"nodes": []}
                self.block(name)
            elif self.tokens[0] == "=":
                self.take()
                self.clusters[cluster][word] = self.value()
            elif word in ("graph", "node", "edge"):
                self.attributes()
            elif self.tokens[0] == "->":
                self.take()
                self.edges.append((word, self.take(), self.attributes()))
            else:
                self.nodes[word] = self.attributes()
                if cluster:
                    self.clusters[cluster]["nodes"].append(word)
        self.take()

    def attributes(self):
        found = {}
        assert self.take() == "["
        while self.tokens[0] != "]":
            name = self.take()
            assert self.take() == "="
            found[name] = self.value()
        self.take()
        return found

    def value(self):
        text = self.take()
        if text.startswith('"'):
            return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text[1:-1])
        return text


def leaf(*shape):
    return tg.ones(shape, requires_grad=True)


def cell_loss(steps=5):
    cell, head = nn.LSTMCell(2, 3, dtype=np.float64), nn.Linear(3, 4, dtype=np.float64)
    state = total = None
    for _ in range(steps):
        state = cell(tg.randn(2, 2, dtype=np.float64), state)
        loss = tg.cross_entropy(head(state[0]), tg.tensor(np.array([0, 1])))
        total = loss if total is None else total + loss
    return total, {"cell": cell, "head": head}


def labels(dot):
    return {name: node["label"].split("\n") for name, node in dot.nodes.items()}


def test_a_loop_is_drawn_once_with_its_times_and_a_way_back():
    dot = Dot(to_dot(tg.graph(*cell_loss(), gradients=True)))
    (frame,) = dot.clusters.values()
    assert frame["label"] == "× 5"
    named = labels(dot)
    inside = sorted(named[n][0] for n in frame["nodes"])
    assert inside == ["add", "cross_entropy", "linear", "lstm", "reshape", "reshape"]
    (lstm,) = [n for n, lines in named.items() if lines[0] == "lstm"]
    back = {
        label["label"] for a, b, label in dot.edges if a == lstm and "of t − 1" in label["label"]
    }
    assert back == {"h_n\nof t − 1", "c_n\nof t − 1"}
    assert all(e["style"] == "dashed" for _, _, e in dot.edges if "of t − 1" in e["label"])
    outside = {lines[0] for n, lines in named.items() if n not in frame["nodes"]}
    assert outside == {"cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh",
                       "head.weight", "head.bias"}  # fmt: skip


def test_nodes_say_shape_dtype_and_gradient():
    x = tg.tensor(np.array([[3.0, 4.0]]), requires_grad=True)
    dot = Dot(to_dot(tg.graph((x * x).sum(), {"x": x}, gradients=True)))
    assert list(labels(dot).values()) == [
        ["x", "(1, 2) float64", "|grad| 10"],
        ["mul", "(1, 2) float64", "|grad| 1.41"],
        ["sum", "() float64", "|grad| 1"],
    ]
    shapes = [node["shape"] for node in dot.nodes.values()]
    assert shapes == ["ellipse", "box", "box"]
    assert [e["label"] for _, _, e in dot.edges] == ["a", "b", ""]


def test_a_folded_node_shows_its_first_and_its_last_gradient():
    w = tg.tensor(np.array(2.0), requires_grad=True)
    h = tg.tensor(np.array(1.0), requires_grad=True)
    y = h
    for _ in range(4):
        y = y * w
    dot = Dot(to_dot(tg.graph(y, {"w": w, "h": h}, gradients=True)))
    assert ["mul", "() float64", "|grad| 8 … 1"] in labels(dot).values()
    times = {e["label"] for _, _, e in dot.edges}
    assert times == {"a\nt = 1", "b", "a\nof t − 1"}


def test_unfolded_every_node_is_drawn():
    g = tg.graph(*cell_loss())
    dot = Dot(to_dot(g, fold=False))
    assert not dot.clusters
    assert len(dot.nodes) == len(g.nodes)
    assert len(dot.edges) == sum(len(node.inputs) for node in g.nodes)


def test_what_leaves_a_loop_says_when():
    w, h, hs = tg.ones(3, requires_grad=True), tg.ones(3, requires_grad=True), []
    for _ in range(5):
        h = tg.tanh(h * w)
        hs.append(h)
    dot = Dot(to_dot(tg.graph(tg.stack(hs).sum() + tg.exp(h).sum() + tg.sin(hs[1]).sum())))
    named = {n: lines[0] for n, lines in labels(dot).items()}
    leaving = {(named[b], e["label"]) for a, b, e in dot.edges if named[a] == "tanh"}
    assert leaving == {
        ("stack", "all t"),
        ("exp", "t = 5"),
        ("sin", "t = 2"),
        ("mul", "a\nof t − 1"),
    }


def test_a_loop_that_reads_another_from_its_end():
    h, W, V, hs = tg.ones((2, 3), requires_grad=True), leaf(3, 3), leaf(3, 3), []
    for _ in range(5):
        h = tg.tanh(h @ W)
        hs.append(h)
    for past in reversed(hs):
        h = tg.sin(h @ V) + past
    dot = Dot(to_dot(tg.graph(h.sum())))
    assert sorted(frame["label"] for frame in dot.clusters.values()) == ["× 5", "× 5"]
    named = {n: lines[0] for n, lines in labels(dot).items()}
    words = {(named[a], named[b], e["label"].split("\n")[-1]) for a, b, e in dot.edges}
    assert ("tanh", "add", "last t first") in words
    assert ("tanh", "matmul", "to t = 1") in words


@given(st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_any_name_and_title_is_quoted(name, title):
    x = tg.ones(2, requires_grad=True)
    dot = Dot(to_dot(tg.graph(tg.exp(x), {name: x}), title=title))
    (first, *_) = dot.nodes.values()
    # what would end the line is a blank in a label
    assert first["label"].rsplit("\n", 1)[0] == " ".join(name.split("\n"))


def test_thousands_of_nodes():
    x = y = tg.ones(2, requires_grad=True)
    for _ in range(3000):
        y = tg.sin(y * x)
    g = tg.graph(y)
    assert len(Dot(to_dot(g)).nodes) == 3
    assert to_dot(g, fold=False).count("->") == 9000


def test_dot_is_written_without_the_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    g = tg.graph(*cell_loss())
    draw_graph(g, tmp_path / "a.dot", title="cells")
    assert (tmp_path / "a.dot").read_text(encoding="utf-8") == to_dot(g, title="cells")
    with pytest.raises(MissingDependencyError, match="dot of Graphviz"):
        draw_graph(g, tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()


def stand_in(folder, monkeypatch, script):
    """A program called dot, and a path on which there is no other."""
    (folder / "dot").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin{os.pathsep}/usr/bin")


def test_the_program_gets_the_text_and_the_format(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, 'echo "$@"; cat')
    g = tg.graph(*cell_loss())
    draw_graph(g, tmp_path / "a.PNG", fold=False)
    assert (tmp_path / "a.PNG").read_text(encoding="utf-8") == "-Tpng\n" + to_dot(g, fold=False)


def test_a_program_that_fails_is_reported(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "echo no fonts >&2; exit 3")
    with pytest.raises(DataError, match="dot failed: no fonts"):
        draw_graph(tg.graph(*cell_loss()), tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"\.dot, \.gv, \.svg"):
        draw_graph(tg.graph(*cell_loss()), tmp_path / "a.jpeg")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("fold", [True, False])
def test_graphviz_understands_it(tmp_path, fold):
    g = tg.graph(*cell_loss(), gradients=True)
    draw_graph(g, tmp_path / "a.svg", fold=fold, title='a "title" \\ <b>')
    root = ElementTree.fromstring(Path(tmp_path / "a.svg").read_bytes())
    words = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert 'a "title" \\ <b>' in words
    assert ("× 5" in words) == fold
    assert words.count("lstm") == (1 if fold else 5)
    text = to_dot(g, fold=fold).encode()
    run = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, check=True)
    drawn = [line.split()[1] for line in run.stdout.decode().split("\n") if line[:5] == "node "]
    assert sorted(drawn) == sorted(Dot(text.decode()).nodes)
