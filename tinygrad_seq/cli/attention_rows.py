"""What ``tinygrad-seq gradcheck`` tries attention, positions and the Transformer on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tinygrad_seq import nn, ops
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.cli.rows import called, layer
from tinygrad_seq.ops.sample import Booleans

X, MEMORY = (3, 2, 4), (2, 2, 4)  # (L, B, E), (S, B, E)
PADDING = np.array([[False, False, True], [True, True, True]])  # (B, L); nothing of the second
LATER = np.triu(np.ones((3, 3), np.bool_), 1)

#: options of nn.MultiheadAttention, by the name of the row
ATTENTION: dict[str, dict[str, Any]] = {
    "": {},
    "without bias": {"bias": False},
    "batch_first": {"batch_first": True},
    "dropout": {"dropout": 0.3},
    "extra keys": {"add_bias_kv": True, "add_zero_attn": True},
    "rotary": {"positions": nn.RotaryPositions(2)},
    "ALiBi": {"positions": nn.AlibiBias(2)},
}
#: what it is called with beside x, x, x
CALLS: dict[str, dict[str, Any]] = {
    "without weights": {"need_weights": False},
    "weights per head": {"average_attn_weights": False},
    "causal": {"is_causal": True},
    "causal without weights": {"is_causal": True, "need_weights": False},
}
#: options of the Transformer's layers
TRANSFORMER: dict[str, dict[str, Any]] = {
    "": {},
    "gelu, norm first": {"activation": "gelu", "norm_first": True},
    "without bias, batch_first": {"bias": False, "batch_first": True, "dropout": 0.0},
    "rotary": {"positions": nn.RotaryPositions(2), "activation": ops.tanh},
}


def _itself(attention: nn.Module, x: Tensor, **options: Any) -> Any:
    output, weights = attention(x, x, x, **options)
    return output if weights is None else (output, weights)


def _masked(attention: nn.Module, x: Tensor, bias: Tensor, weights: bool = True) -> Any:
    """Padding, and a mask that is added and has a gradient of its own."""
    padding = tensor(PADDING, device=x.device)
    output = attention(x, x, x, padding, weights, bias)
    return output if weights else output[0]


def _excluded(attention: nn.Module, x: Tensor, mask: Tensor) -> Any:
    padding = tensor(PADDING, device=x.device)
    return attention(x, x, x, padding, False, mask | tensor(LATER, device=x.device))[0]


def _in_steps(stack: nn.Module, x: Tensor, *memory: Tensor) -> Any:
    """Two steps, then one, through a cache."""
    if isinstance(stack, nn.MultiheadAttention):
        held = nn.KVCache()
        parts = [_itself(stack, p, need_weights=False, is_causal=True, cache=held)
                 for p in (x[:2], x[2:])]  # fmt: skip
    else:
        causal = {"tgt_is_causal" if memory else "is_causal": True}
        cache = stack.new_cache()
        parts = [stack(p, *memory, cache=cache, **causal) for p in (x[:2], x[2:])]
    return ops.concatenate(parts)


def _attention() -> Iterator[Any]:
    """The rows of nn.MultiheadAttention."""
    name, make = "nn.MultiheadAttention", partial(nn.MultiheadAttention, 4, 2)
    for label, options in ATTENTION.items():
        yield layer(f"{name} {label}".strip(), called(partial(make, **options), _itself), X)
    for label, how in CALLS.items():
        yield layer(f"{name} {label}", called(make, partial(_itself, **how)), X)
    across = partial(make, kdim=3, vdim=2)
    yield layer(f"{name} kdim, vdim", across, X, (2, 2, 3), (2, 2, 2))
    yield layer(f"{name} across", make, X, MEMORY, MEMORY)
    yield layer(f"{name} unbatched", called(make, _itself), (3, 4))
    for weights in (True, False):
        label = f"masks{'' if weights else ' without weights'}"
        yield layer(f"{name} {label}", called(make, partial(_masked, weights=weights)), X, (3, 3))
    yield layer(f"{name} boolean masks", called(make, _excluded), X, Booleans((3, 3), 0.3))
    yield layer(f"{name} in steps", called(make, _in_steps), X)


def _alignments() -> Iterator[Any]:
    """The rows of nn.AdditiveAttention and nn.LuongAttention."""
    kinds: dict[str, Any] = {"nn.AdditiveAttention": partial(nn.AdditiveAttention, 3, 3, 4)}
    for score in ("general", "dot", "concat"):
        label = "" if score == "general" else f" {score}"
        kinds[f"nn.LuongAttention{label}"] = partial(nn.LuongAttention, 3, 3, score)
    for name, make in kinds.items():
        yield layer(name, make, (2, 3), (3, 2, 3))
        padded = called(make, lambda a, q, k, v: a(q, k, v, tensor(PADDING, device=q.device)))
        yield layer(f"{name} padded", padded, (2, 2, 3), (3, 2, 3), (3, 2, 2))


def _transformer() -> Iterator[Any]:
    """The rows of the layers, of the stacks, and of the whole."""
    x, few = (3, 1, 4), (3, 1, 3)
    for label, options in TRANSFORMER.items():
        kind: Any
        for kind, inputs in (
            (nn.TransformerEncoderLayer, [x]),
            (nn.TransformerDecoderLayer, [x, x]),
        ):
            make = partial(kind, 4, 2, 2, **options)
            yield layer(f"nn.{kind.__name__} {label}".strip(), make, *inputs)
    for stack, one, inputs in (
        (nn.TransformerEncoder, nn.TransformerEncoderLayer, [few]),
        (nn.TransformerDecoder, nn.TransformerDecoderLayer, [few, few]),
    ):
        single, double = (partial(_stacked, stack, one, n) for n in (1, 2))
        yield layer(f"nn.{stack.__name__}", double, *inputs)
        yield layer(f"nn.{stack.__name__} in steps", called(single, _in_steps), *inputs)
    yield layer("nn.Transformer", partial(nn.Transformer, 3, 1, 1, 1, 1), (2, 1, 3), few)


def _stacked(kind: Any, one: Any, layers: int, **where: Any) -> nn.Module:
    """Layers as small as they can be, and a norm."""
    made: nn.Module = kind(one(3, 1, 1, **where), layers, nn.LayerNorm(3, **where))
    return made


POSITIONS = (
    layer("nn.SinusoidalPositions", lambda: nn.SinusoidalPositions(4), X, placed=False),
    layer("nn.LearnedPositions", partial(nn.LearnedPositions, 5, 4), X),
    layer("nn.RotaryPositions", lambda: nn.RotaryPositions(4), (2, 3, 4), placed=False),
    layer("nn.RotaryPositions halves", lambda: nn.RotaryPositions(4, interleaved=False), (2, 3, 4),
          placed=False),
    layer("nn.AlibiBias", called(lambda: nn.AlibiBias(2),
                                 lambda bias, q, k: q @ k.mT * 0.7 + bias(q, k)),
          (2, 3, 4), (2, 3, 4), placed=False),
)  # fmt: skip

ATTENTION_ROWS = (
    layer("nn.RMSNorm", lambda **where: nn.RMSNorm(4, **where), (3, 4)),
    layer("nn.RMSNorm two axes", lambda: nn.RMSNorm((3, 4), 0.1, False), (2, 3, 4), placed=False),
    *_attention(),
    *_alignments(),
    *_transformer(),
    *POSITIONS,
)
