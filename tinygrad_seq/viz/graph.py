"""The computation graph as a picture: DOT, the language of Graphviz, and what ``dot`` makes of it.

A node shows op, shape, dtype and, where it is known, the norm of its gradient. Parameters are
orange, other leaves blue. Time steps that repeat each other are folded (see folding.py): a dashed
frame says how many there are, and a dashed arrow goes from a step to the one after it. Of a folded
node the gradient norms of its first and its last step are shown.

    from tinygrad_seq.viz.graph import draw_graph

    draw_graph(tg.graph(loss, model, gradients=True), "graph.svg")
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_seq.errors import ArgumentError, DataError, MissingDependencyError, expect
from tinygrad_seq.viz.folding import Folding

TEXTS, PICTURES = (".dot", ".gv"), (".svg", ".png", ".pdf")
# Fills light enough for black letters, of Okabe and Ito's hues.
_FILLS = {"op": "#FFFFFF", "parameter": "#F9DCC4", "input": "#CFE6F5"}
_SHAPES = {"op": "box", "parameter": "box", "input": "ellipse"}
_BACK = "#0072B2"


def draw_graph(graph: Any, path: str | Path, *, fold: bool = True, title: str = "") -> None:
    """Write the graph to ``path``: ``.dot`` or ``.gv`` as DOT, ``.svg``, ``.png`` or ``.pdf`` as a
    picture, which takes the program ``dot`` of Graphviz.

    graph: what ``tg.graph`` gave. fold: draw time steps that repeat each other once. title: above
    the picture. Raises ArgumentError for another suffix, MissingDependencyError without ``dot``,
    DataError where it fails.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    known = ", ".join((*TEXTS, *PICTURES))
    ok = suffix in (*TEXTS, *PICTURES)
    expect(ok, "draw_graph", f"a file that ends in {known}", str(path), ArgumentError)
    program = shutil.which("dot")
    if suffix in PICTURES and program is None:
        raise MissingDependencyError(
            f"a graph as {suffix[1:].upper()} needs the program dot of Graphviz (apt install "
            "graphviz, brew install graphviz); a file that ends in .dot needs nothing"
        )
    text = to_dot(graph, fold=fold, title=title).encode("utf-8", "replace")
    if program is None or suffix in TEXTS:
        file.write_bytes(text)
        return
    command = [program, f"-T{suffix[1:]}"]
    run = subprocess.run(command, input=text, capture_output=True, check=False)
    if run.returncode:
        raise DataError(f"draw_graph: dot failed: {run.stderr.decode('utf-8', 'replace').strip()}")
    file.write_bytes(run.stdout)


def to_dot(graph: Any, *, fold: bool = True, title: str = "") -> str:
    """The graph in DOT. Arguments as of ``draw_graph``.

    Arrows run as the values do. Written at them is which output they come from and which argument
    they become, where there are several; "of t − 1" where that is the step before's; and the time
    of what only some steps of a loop take or give, the first being t = 1.
    """
    folding = Folding(graph.nodes, fold)
    boxes = _boxes(folding)
    lines = [
        "digraph computation {",
        '  graph [fontname="Helvetica" labelloc="t" ranksep="0.35" nodesep="0.3"'
        + (f" label={_quoted(title)}]" if title else "]"),
        '  node [fontname="Helvetica" fontsize="11" style="filled,rounded" margin="0.12,0.06"]',
        '  edge [fontname="Helvetica" fontsize="9" color="#555555" arrowsize="0.7"]',
    ]
    arrows = _arrows(folding, boxes)
    used = {(arrow.source, arrow.output) for arrow in arrows}
    ends = set(graph.outputs)
    for loop, steps in [(None, []), *enumerate(folding.loops)]:
        inside = [box for box in boxes.values() if box.loop == loop]
        if loop is not None:
            lines += [f"  subgraph cluster_{loop} {{",
                      f'    label="× {len(steps)}" labeljust="l" style="dashed,rounded" '
                      f'color="{_BACK}" fontcolor="{_BACK}"']  # fmt: skip
        for box in inside:
            lines.append(f"    {_node(graph.nodes, box, used, bool(ends & set(box.members)))}")
        lines += ["  }"] if loop is not None else []
    lines += [f"  {_edge(graph.nodes, boxes, arrow)}" for arrow in arrows]
    return "\n".join([*lines, "}", ""])


@dataclass
class _Box:
    """What is drawn as one: a node, or one op of all steps of a loop."""

    number: int
    loop: int | None = None
    members: list[int] = field(default_factory=list)
    steps: set[int] = field(default_factory=set)


@dataclass
class _Arrow:
    """What is drawn as one arrow, and the steps at both ends of all that it stands for."""

    source: int
    output: int
    target: int
    argument: str
    back: int
    times: set[tuple[int | None, int | None]] = field(default_factory=set)


def _boxes(folding: Folding) -> dict[int, _Box]:
    """The boxes by number, in the order of their first nodes."""
    boxes: dict[Any, _Box] = {}
    for i in range(len(folding.nodes)):
        role = folding.roles.get(i)
        box = boxes.setdefault(i if role is None else role[:2], _Box(len(boxes)))
        box.members.append(i)
        if role is not None:
            box.loop = role.loop
            box.steps.add(role.step)
    return {box.number: box for box in boxes.values()}


def _arrows(folding: Folding, boxes: dict[int, _Box]) -> list[_Arrow]:
    box_of = {i: box.number for box in boxes.values() for i in box.members}
    arrows: dict[Any, _Arrow] = {}
    for target, node in enumerate(folding.nodes):
        there = folding.roles.get(target)
        for given in node.inputs:
            here = folding.roles.get(given.node)
            inside = here is not None and there is not None and here.loop == there.loop
            back = there.step - here.step if inside and here and there else 0
            folded = boxes[box_of[target]].loop is None and here is not None
            # all steps to one list
            name = _plain(given.argument) if folded else given.argument
            key = (box_of[given.node], given.output, box_of[target], name, back)
            arrow = arrows.setdefault(key, _Arrow(*key))
            arrow.times.add((here and here.step, there and there.step))
    return list(arrows.values())


def _node(nodes: Sequence[Any], box: _Box, used: set[tuple[int, int]], end: bool) -> str:
    node = nodes[box.members[0]]
    heading = f"{node.op}: {node.name}" if node.op and node.name else node.op or node.name
    lines = [heading or "input", *_outputs(node, box.number, used)]
    norms = [nodes[i].grad_norm for i in box.members]
    if norms[0] is not None and norms[-1] is not None:
        several = f"{norms[0]:.3g} … {norms[-1]:.3g}" if len(norms) > 1 else f"{norms[0]:.3g}"
        lines.append(f"|grad| {several}")
    width = ' penwidth="2"' if end else ""
    return (f"n{box.number} [label={_quoted(*lines)} shape={_SHAPES[node.kind]} "
            f'fillcolor="{_FILLS[node.kind]}"{width}]')  # fmt: skip


def _outputs(node: Any, number: int, used: set[tuple[int, int]]) -> Iterator[str]:
    """Shape and dtype; of several outputs those that something was made from, by their names."""
    parts = list(zip(node.outputs, node.shapes, node.dtypes, strict=True))
    for i, (name, shape, dtype) in enumerate(parts):
        if len(parts) == 1:
            yield f"{shape} {dtype}"
        elif (number, i) in used:
            yield f"{name} {shape} {dtype}"


def _edge(nodes: Sequence[Any], boxes: dict[int, _Box], arrow: _Arrow) -> str:
    source, target = boxes[arrow.source], boxes[arrow.target]
    giver, taker = nodes[source.members[0]], nodes[target.members[-1]]
    ends = []
    if len(giver.outputs) > 1:
        ends.append(giver.outputs[arrow.output])
    if "[" in arrow.argument or len({_plain(i.argument) for i in taker.inputs}) > 1:
        ends.append(arrow.argument)
    words, style = [" → ".join(ends)] if ends else [], ""
    if arrow.back:
        words.append(f"of t − {arrow.back}")
        style = f' style="dashed" color="{_BACK}" fontcolor="{_BACK}" constraint="false"'
    words += _times(arrow, source, target)
    label = f"label={_quoted(*words)}" if words else 'label=""'
    return f"n{source.number} -> n{target.number} [{label}{style}]"


def _plain(argument: str) -> str:
    """The name of an argument, without the number in a list."""
    return argument.split("[")[0]


def _times(arrow: _Arrow, source: _Box, target: _Box) -> Iterator[str]:
    """When an arrow is there, if not in all steps."""
    since = {here for here, _ in arrow.times if here is not None}
    until = {there for _, there in arrow.times if there is not None}
    if source.loop is not None and source.loop == target.loop:
        if until != {r for r in target.steps if r - arrow.back in source.steps}:
            yield _moments(until)
    elif source.loop is None:
        if until != target.steps:
            yield _moments(until)
    elif target.loop is None:
        yield "all t" if since == source.steps else _moments(since)
    else:
        if since != source.steps:
            yield _moments(since)
        if until != target.steps:
            yield f"to {_moments(until)}"
        if len(since) > 1 and len({sum(filter(None, pair)) for pair in arrow.times}) == 1:
            yield "last t first"


def _moments(steps: set[int]) -> str:
    """Steps in words, the first being t = 1."""
    first, last = min(steps) + 1, max(steps) + 1
    if first == last:
        return f"t = {first}"
    return f"t = {first} … {last}" if len(steps) == last - first + 1 else f"{len(steps)} times"


def _quoted(*lines: str) -> str:
    """A string of DOT, its lines below each other."""
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\n".join(" ".join(line.split("\n")) for line in escaped) + '"'
