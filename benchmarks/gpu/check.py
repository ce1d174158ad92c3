"""Is there a GPU to work with? One line, and exit status 1 if not."""

from __future__ import annotations

import importlib.util
import sys

MODULES = ("numpy", "pytest", "hypothesis")


def main(device: str) -> int:
    """Make a small array on the device and compute with it."""
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        print(f"gpu.sh: {sys.executable} lacks {', '.join(missing)}")
        return 1
    import tinygrad_seq as tg

    try:
        two = (tg.ones(2, device=device) @ tg.ones(2, device=device)).item()
    except Exception as error:  # a broken driver shows in many ways
        said = " ".join(str(error).split())
        print(f"gpu.sh: no GPU can be used: {type(error).__name__}: {said}")
        return 1
    if two != 2:
        print(f"gpu.sh: no GPU can be used: it says that 1·1 + 1·1 is {two}")
        return 1
    print(f"device: {tg.ones(1, device=device).device}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
