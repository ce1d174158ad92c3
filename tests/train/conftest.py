"""Every task at a size that trains in a moment."""

import pytest

from tests.support import tasks
from tinygrad_seq.train import TASKS


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make a task of a name by its options over the tiny ones."""
    tasks.use(monkeypatch)
    (tmp_path / "text.txt").write_text(tasks.TEXT)

    def task(name, **options):
        text = {"text": str(tmp_path / "text.txt")} if name in ("char-lm", "gpt") else {}
        kind = TASKS[name]
        return kind(kind.Config(**{**tasks.TINY[name], **text, **options}))

    return task
