"""A trained model out of a checkpoint, ready to write or to translate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinygrad_seq.data import Vocabulary
from tinygrad_seq.errors import StateError, expect
from tinygrad_seq.train.config import TrainConfig
from tinygrad_seq.train.run import saved_task
from tinygrad_seq.train.task import Task
from tinygrad_seq.train.tasks import TASKS
from tinygrad_seq.train.tasks.text import TextTask
from tinygrad_seq.train.tasks.translation import Translation, TranslationConfig
from tinygrad_seq.train.translator import Languages, Translator


def saved_model(saved: dict[str, Any], device: str = "cpu") -> tuple[Any, Vocabulary]:
    """The model in a checkpoint, which can ``generate``, and its vocabulary.

    Raises StateError for that of a task whose model does not write text.
    """
    task, config = _expect_task(saved, "sample", TextTask, "whose model writes text")
    assert issubclass(task, TextTask)
    vocabulary = Vocabulary(saved["extra"]["vocabulary"])
    model = task.model_of(replace(config, device=device), vocabulary)
    model.load_state_dict(saved["model"])
    return model.eval(), vocabulary


def saved_translator(saved: dict[str, Any], op: str, device: str = "cpu") -> Translator:
    """The model in a checkpoint and its languages, for the command ``op``.

    Raises StateError for that of a task whose model does not translate.
    """
    _, config = _expect_task(saved, op, Translation, "whose model translates")
    assert isinstance(config, TranslationConfig)
    languages = Languages.from_dict(saved["extra"])
    model = replace(config, device=device).new_model(languages)
    model.load_state_dict(saved["model"])
    model.eval()
    return Translator(model, languages)


def _expect_task(
    saved: dict[str, Any], op: str, kind: Any, what: str
) -> tuple[type[Task], TrainConfig]:
    """Class and configuration of the task in a checkpoint, if it is one of a kind."""
    name, config = saved_task(saved)
    known = " or ".join(name for name, task in TASKS.items() if issubclass(task, kind))
    ok = issubclass(TASKS[name], kind)
    expect(ok, op, f"a run of {known}, {what}", f"one of {name}", StateError)
    return TASKS[name], config
