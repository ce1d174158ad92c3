"""Reading the folders in which weights are published: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import StateError, expect
from tinygrad_seq.nn.serialization import load

Folder = str | os.PathLike[str]
#: the dtypes in which weights are used as they are
FLOATS = ("float32", "float64")
#: matrices that GPT-2's files hold transposed, (in, out)
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
#: constant masks that are in some of them
MASKS = re.compile(r"h\.\d+\.attn\.(masked_)?bias")


def read_config(folder: Folder, *needed: str) -> dict[str, Any]:
    """The options in ``folder/config.json``.

    Raises StateError if it is missing, is no JSON object, or lacks one of those ``needed``.
    """
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StateError(f"cannot read '{path}': {error.strerror}") from error
    except ValueError as error:
        raise StateError(f"'{path}' is no JSON: {error}") from error
    expect(isinstance(config, dict), str(path), "a JSON object", type(config).__name__, StateError)
    missing = [name for name in needed if name not in config]
    expect(not missing, str(path), "all that the model needs", f"no {missing}", StateError)
    return dict(config)


def read_weights(folder: Folder, device: Any = None) -> dict[str, Tensor]:
    """The tensors in ``folder/model.safetensors``; half precision becomes float32."""
    return read_tensors(Path(folder) / "model.safetensors", device)


def read_tensors(path: str | os.PathLike[str], device: Any = None) -> dict[str, Tensor]:
    """The tensors in a safetensors file; half precision becomes float32.

    Raises StateError for a file that is missing, cut off, corrupt, or holds more than tensors.
    """
    state = load(path, device)
    plain = all(isinstance(value, Tensor) for value in state.values())
    expect(plain, str(path), "a flat file of tensors", "nested ones", StateError)
    half = {n for n, t in state.items() if t.dtype.kind == "f" and t.dtype.name not in FLOATS}
    return {n: t.to(dtype="float32") if n in half else t for n, t in state.items()}


def without_prefix(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The same with ``prefix`` cut off every name that begins with it."""
    return {name.removeprefix(prefix): value for name, value in state.items()}


def gpt2_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """GPT-2's weights, as published or as ``models.GPT`` saves them, as the latter.

    Without ``transformer.`` in front, without masks, matrices (out, in), and ``lm_head.weight``
    only where it is not the table of embeddings. Raises StateError for what is no such model.
    """
    found = without_prefix(state, "transformer.")
    found = {name: value for name, value in found.items() if not MASKS.fullmatch(name)}
    for name in ("wte.weight", "wpe.weight", "h.0.attn.c_attn.weight"):
        ok = name in found and found[name].ndim == 2
        expect(ok, "GPT", f"a matrix '{name}' among the weights", list(found)[:3], StateError)
    table, width = found["wte.weight"], found["wte.weight"].shape[1]
    if found["h.0.attn.c_attn.weight"].shape == (width, 3 * width):
        turned = {n for n in found if n.endswith(TRANSPOSED) and found[n].ndim == 2}
        found = {n: t.transpose() if n in turned else t for n, t in found.items()}
    head = found.get("lm_head.weight", table)
    if head is table or np.array_equal(head.numpy(), table.numpy()):
        found.pop("lm_head.weight", None)
    return found
