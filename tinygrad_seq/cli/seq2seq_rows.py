"""What ``tinygrad-seq gradcheck`` tries the recurrent encoder–decoder on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Generator
from tinygrad_seq.cli.rows import called, layer
from tinygrad_seq.models import Seq2Seq
from tinygrad_seq.models.recurrent import LAYERS as KINDS
from tinygrad_seq.ops.sample import Integers

SOURCE, TARGET = Integers((3, 2), 0, 4), Integers((3, 2), 0, 5)  # (T, B), (S, B)
LENGTHS = (2, 3)
#: its options, by the name of the row
OPTIONS: dict[str, dict[str, Any]] = {
    **{kind: {"kind": kind} for kind in KINDS},
    "2 layers, reversed": {"layers": 2, "reverse": True},
    "bidirectional": {"bidirectional": True},
    **{score: {"attention": score} for score in ("additive", "dot", "general", "concat")},
    "input feeding, reversed": {"attention": "general", "input_feeding": True, "reverse": True},
    "with everything": {"kind": "gru", "bidirectional": True, "attention": "concat",
                        "input_feeding": True, "dropout": 0.3},
}  # fmt: skip


def _forced(model: Seq2Seq, source: Tensor, target: Tensor) -> Any:
    logits, weights = model(source, target, LENGTHS, return_weights=True)
    return logits if weights is None else (logits, weights)


def _mixed(model: Seq2Seq, source: Tensor, target: Tensor) -> Tensor:
    """Told what is right, or what it said itself: no gradient flows through the choice."""
    return model.loss(source, target, LENGTHS, 0.5, Generator(0))


def _made(options: dict[str, Any]) -> partial[Seq2Seq]:
    return partial(Seq2Seq, 4, 5, **{"embedding": 2, "hidden": 2, "kind": "rnn", **options})


def _rows() -> Iterator[Any]:
    for label, options in OPTIONS.items():
        yield layer(f"Seq2Seq {label}", called(_made(options), _forced), SOURCE, TARGET)
    yield layer("Seq2Seq half told", called(_made({}), _mixed), SOURCE, TARGET)


SEQ2SEQ_ROWS = tuple(_rows())
