"""A trained character model out of a checkpoint, ready to write."""

from __future__ import annotations

from typing import Any

from tinygrad_seq.data import Vocabulary
from tinygrad_seq.errors import StateError, expect
from tinygrad_seq.models import CharLM
from tinygrad_seq.train.run import saved_task
from tinygrad_seq.train.tasks.char_lm import CharConfig, CharTask, char_model


def saved_model(saved: dict[str, Any], device: str = "cpu") -> tuple[CharLM, Vocabulary]:
    """The model in a checkpoint and its vocabulary. Raises StateError for that of another task."""
    name, config = saved_task(saved)
    expected = f"a run of {CharTask.name}, whose model writes text"
    expect(isinstance(config, CharConfig), "sample", expected, f"one of {name}", StateError)
    assert isinstance(config, CharConfig)
    vocabulary = Vocabulary(saved["extra"]["vocabulary"])
    model = char_model(config, vocabulary, device)
    model.load_state_dict(saved["model"])
    return model.eval(), vocabulary
