"""The same recurrent layers and training step in PyTorch, on the same GPU, if PyTorch is there.

    python -m gpu.rival FOLDER                     → FOLDER/gpu-torch.json

In float32 proper: TF32 is switched off, as it is in CuPy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu.times import FULL
from tinygrad_seq.bench import environment, time_call, write_results


def layer(kind: str) -> Callable[[], None]:
    """Forward and backward of a recurrent layer, of the size of the op's bench sample."""
    import torch

    made = getattr(torch.nn, kind.upper())(128, 128).cuda()
    x = torch.randn(64, 32, 128, device="cuda", requires_grad=True)
    g = torch.randn(64, 32, 128, device="cuda")

    def both() -> None:
        made.zero_grad()
        x.grad = None
        made(x)[0].backward(g)

    return both


def training_step(kind: str) -> Callable[[], float]:
    """As ``gpu.times.training_step``."""
    import torch

    sizes = FULL.model
    n, width, hidden = sizes["vocabulary"], sizes["embedding"], sizes["hidden"]
    shape = (sizes["steps"], sizes["batch"])
    embedding = torch.nn.Embedding(n, width).cuda()
    rnn = getattr(torch.nn, kind.upper())(width, hidden).cuda()
    head = torch.nn.Linear(hidden, n).cuda()
    parameters = [p for part in (embedding, rnn, head) for p in part.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    x, y = (torch.randint(n, shape, device="cuda") for _ in range(2))

    def step() -> float:
        logits = head(rnn(embedding(x))[0])
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, n), y.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    return step


def main(folder: Path) -> None:
    """Time them."""
    if find_spec("torch") is None:
        print("  PyTorch is not installed")
        return
    import torch

    if not torch.cuda.is_available():
        print("  PyTorch finds no GPU")
        return
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def time_it(call: Callable[[], object]) -> dict[str, Any]:
        # PyTorch and CuPy both queue on CUDA's default stream, so our clock serves both.
        return asdict(time_call(call, "cuda", **FULL.options))

    rows: list[dict[str, Any]] = []
    for kind in ("lstm", "gru", "rnn"):
        rows.append({"what": "forward and backward", "name": kind, "torch": time_it(layer(kind))})
        rows.append({"what": "training step", "name": kind, "torch": time_it(training_step(kind))})
        about = {**environment(), "cudnn": torch.backends.cudnn.version()}
        write_results(folder / "gpu-torch.json", "gpu-torch", about, rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
