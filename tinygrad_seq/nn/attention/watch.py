"""Watching attention: the weights of all layers of a model, as they are computed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.nn.module import Module


class Watchable(Module):
    """Attention whose weights can be watched. Those of each call are put into ``seen``, a list,
    while somebody watches; else that is None, and weights need not be held."""

    seen: list[Tensor] | None = None


@contextmanager
def watch_attention(model: Module) -> Iterator[dict[str, list[Tensor]]]:
    """Keep the weights of every layer of attention in ``model``::

        with nn.watch_attention(model) as seen:
            model(x)
        seen["encoder.layers.0.self_attn"]  # a list: (B, H, L, S) for each time it was called

    Layers are in the order of ``named_modules``: every ``MultiheadAttention``, and what a GPT has
    of its own. Inside the block they compute op by op, which holds all scores at once. Weights are
    as dropout leaves them, and may be differentiated unless gradients are off.
    """
    layers = {n: m for n, m in model.named_modules() if isinstance(m, Watchable)}
    before = {name: layer.seen for name, layer in layers.items()}
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    for name, layer in layers.items():
        layer.seen = found[name]
    try:
        yield found
    finally:
        for name, layer in layers.items():
            layer.seen = before[name]


def open_attention(q: Any, k: Any, v: Any, mask: Any, drop: Any) -> tuple[Any, Any]:
    """What ``ops.attention`` computes, op by op, and the weights beside it: q (B, H, L, D),
    k (B, H, S, D), v (B, H, S, E); mask: True takes part, or floats to add; drop: factors."""
    scores = q @ ops.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]))
    if mask is not None:
        boolean = mask.dtype == np.bool_
        scores = ops.where(mask, scores, -math.inf) if boolean else scores + mask
    weights = ops.softmax(scores)
    weights = weights if drop is None else weights * drop
    return weights @ v, weights
