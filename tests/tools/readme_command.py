"""Print a command as README.md prints it: ``readme_command.py README.md test``.

A command is a fenced block that follows the comment ``<!-- command: NAME -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def readme_command(text: str, name: str) -> str:
    """The one block marked with ``name``; anything but exactly one is an error."""
    marked = rf"^<!-- command: {re.escape(name)} -->\s*\n```\w*\n(.*?)\n```$"
    found = re.findall(marked, text, flags=re.MULTILINE | re.DOTALL)
    if len(found) != 1:
        raise SystemExit(f"expected one block marked 'command: {name}', found {len(found)}")
    return str(found[0])


if __name__ == "__main__":
    print(readme_command(Path(sys.argv[1]).read_text(), sys.argv[2]))
