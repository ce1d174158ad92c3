"""What the commands print on."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def console() -> Console:
    """Standard output. Text is printed as it is; colours and bars only on a terminal."""
    return Console(markup=False, highlight=False, emoji=False)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table with these headings; those in ``right`` hold numbers, which end at the right."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        options: dict[str, Any] = {"justify": "right"} if name in right else {"overflow": "fold"}
        made.add_column(name, **options)
    return made
