"""What ``tinygrad-seq gradcheck`` tries each model on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_seq import nn
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.cli.layers import LENGTHS
from tinygrad_seq.cli.rows import layer
from tinygrad_seq.cli.seq2seq_rows import SEQ2SEQ_ROWS
from tinygrad_seq.cli.transformer_rows import TRANSFORMER_ROWS
from tinygrad_seq.models import CharLM, FrameModel, Reader, RowClassifier, Tagger, arrangements
from tinygrad_seq.models.recurrent import LAYERS as KINDS
from tinygrad_seq.ops.sample import Integers, Uniform

X = (3, 2, 2)  # (T, B, I)
TOKENS = Integers((5, 2), 0, 5)  # (T, B)
FRAMES = Uniform((3, 2, 4))  # (T, B, K)
SMALL: dict[str, Any] = {"hidden": 3}


class _Asked(nn.Module):
    """A model that is asked something other than its plain output: ``how(model, *inputs)``."""

    def __init__(self, make: Callable[..., nn.Module], how: Callable[..., Any], **where: Any):
        super().__init__()
        self.model = make(**where)
        self.how = how

    def forward(self, *inputs: Tensor) -> Any:
        return self.how(self.model, *inputs)


def _asked(make: Callable[..., nn.Module], how: Callable[..., Any]) -> Callable[..., nn.Module]:
    return partial(_Asked, make, how)


def _padded(model: nn.Module, x: Tensor) -> Tensor:
    return model(x, lengths=LENGTHS)


def _nll(model: FrameModel, frames: Tensor) -> Tensor:
    return model.nll(frames, np.array([2, 3]))


def _free(model: Any, x: Tensor) -> Tensor:
    return model.free(x, 3)


MODELS = (
    *(layer(f"CharLM {kind}", partial(CharLM, 5, 3, 4, kind), TOKENS) for kind in KINDS),
    layer("CharLM 2 layers", partial(CharLM, 5, 2, 3, layers=2, dropout=0.3), TOKENS),
    *(layer(f"Reader {kind}", partial(Reader, 2, 1, 3, kind), X) for kind in KINDS),
    layer("Reader padded", _asked(partial(Reader, 2, 1, **SMALL), _padded), X),
    layer("RowClassifier", partial(RowClassifier, 2, 3, **SMALL), (2, 3, 2)),
    *(layer(f"Tagger {kind}", partial(Tagger, 2, 3, 3, kind), X) for kind in KINDS),
    layer("Tagger bidirectional, padded",
           _asked(partial(Tagger, 2, 3, bidirectional=True, **SMALL), _padded), X),
    layer("FrameModel", _asked(partial(FrameModel, 4, **SMALL), _nll), FRAMES),
    layer("arrangements.OneToOne", partial(arrangements.OneToOne, 2, 3, 3), (2, 2)),
    layer("arrangements.OneToMany",
           _asked(partial(arrangements.OneToMany, 2, 3, 3), lambda model, x: model(x, 3)), (2, 2)),
    layer("arrangements.ManyToOne", partial(arrangements.ManyToOne, 2, 3, 3), X),
    layer("arrangements.ManyToMany", partial(arrangements.ManyToMany, 2, 3, 3), X, (2, 2, 3)),
    layer("arrangements.ManyToMany free",
           _asked(partial(arrangements.ManyToMany, 2, 3, 3), _free), X),
    layer("arrangements.Aligned", partial(arrangements.Aligned, 2, 3, 3), X),
    *SEQ2SEQ_ROWS,
    *TRANSFORMER_ROWS,
)  # fmt: skip
