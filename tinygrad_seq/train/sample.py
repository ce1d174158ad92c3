"""A trained model out of a checkpoint, ready to write or to translate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinygrad_seq.data import Vocabulary
from tinygrad_seq.errors import StateError, expect
from tinygrad_seq.models import ViT
from tinygrad_seq.train.config import TrainConfig
from tinygrad_seq.train.run import saved_task
from tinygrad_seq.train.task import Task
from tinygrad_seq.train.tasks import TASKS, Patches
from tinygrad_seq.train.tasks.text import TextTask
from tinygrad_seq.train.tasks.translation import Translation
from tinygrad_seq.train.tasks.translation_config import TranslationConfig
from tinygrad_seq.train.translator import Languages, Translator


def saved_model(saved: dict[str, Any], device: str = "cpu") -> tuple[Any, Vocabulary]:
    """The model in a checkpoint, which can ``generate``, and its vocabulary.

    Raises StateError for that of a task whose model does not write text.
    """
    task, config = expect_task(saved, "sample", TextTask, "whose model writes text")
    assert issubclass(task, TextTask)
    vocabulary = Vocabulary(saved["extra"]["vocabulary"])
    model = task.model_of(replace(config, device=device), vocabulary)
    model.load_state_dict(saved["model"])
    return model.eval(), vocabulary


def saved_translator(saved: dict[str, Any], op: str, device: str = "cpu") -> Translator:
    """The model in a checkpoint and its languages, for the command ``op``.

    Raises StateError for that of a task whose model does not translate.
    """
    _, config = expect_task(saved, op, Translation, "whose model translates")
    assert isinstance(config, TranslationConfig)
    languages = Languages.from_dict(saved["extra"])
    model = replace(config, device=device).new_model(languages)
    model.load_state_dict(saved["model"])
    model.eval()
    return Translator(model, languages)


def saved_digits(saved: dict[str, Any], op: str, device: str = "cpu") -> tuple[Patches, ViT]:
    """The task of reading digits as patches with its images, and the model in a checkpoint.

    Raises StateError for that of another task, DataError where the images cannot be had.
    """
    _, config = expect_task(saved, op, Patches, "whose model reads patches")
    task = Patches(replace(config, device=device))
    model = task.new_model()
    model.load_state_dict(saved["model"])
    model.eval()
    return task, model


def expect_task(
    saved: dict[str, Any], op: str, kind: Any, what: str
) -> tuple[type[Task], TrainConfig]:
    """Class and configuration of the task in a checkpoint.

    Raises StateError, for the command ``op``, unless it is one of a kind, ``what`` says which.
    """
    name, config = saved_task(saved)
    known = " or ".join(name for name, task in TASKS.items() if issubclass(task, kind))
    ok = issubclass(TASKS[name], kind)
    expect(ok, op, f"a run of {known}, {what}", f"one of {name}", StateError)
    return TASKS[name], config
