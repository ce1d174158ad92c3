"""Each op in PyTorch's words: a function of the op's own parameters, arrays as torch tensors.

``LACKS`` names the ops that PyTorch cannot vouch for, each with the reason. A new op belongs into
one or the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

LACKS = {
    "ctc_loss": "its gradient there is right through log_softmax only; see test_ctc.py",
    "attention": "against scaled_dot_product_attention in test_attention.py",
    "drop": "its mask comes from another stream of random numbers; see test_dropout.py",
    "to_device": "it computes nothing, and has one device here",
    "full_like": "no gradient flows through it, and its twin is NumPy's",
    "gru": "against torch.nn.GRU in test_recurrence.py",
    "rnn": "against torch.nn.RNN in test_recurrence.py",
    "lstm": "against torch.nn.LSTM in test_recurrence.py",
}


def table(torch: Any) -> dict[str, Callable[..., Any]]:
    """Op name → PyTorch."""
    return {
        **elementwise(torch),
        **reductions(torch),
        **shaping(torch),
        **indexing(torch),
        **products_and_losses(torch),
    }


def elementwise(torch: Any) -> dict[str, Callable[..., Any]]:
    f = torch.nn.functional

    def tensor(a: Any, like: Any) -> Any:
        return a if isinstance(a, torch.Tensor) else torch.as_tensor(a, dtype=like.dtype)

    plain = ["neg", "abs", "sign", "sqrt", "square", "exp", "expm1", "log", "log1p", "sin", "cos",
             "tanh", "sigmoid", "relu", "erf", "isnan", "isinf", "isfinite", "bitwise_and",
             "bitwise_or", "bitwise_xor"]  # fmt: skip
    compared = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le",
                "greater": "gt", "greater_equal": "ge"}  # fmt: skip
    return {
        **{name: getattr(torch, name) for name in plain},
        **{name: getattr(torch, theirs) for name, theirs in compared.items()},
        "invert": torch.bitwise_not,
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "pow": lambda a, b: a**b,
        "maximum": lambda a, b: torch.maximum(a, tensor(b, a)),
        "minimum": lambda a, b: torch.minimum(a, tensor(b, a)),
        "clip": torch.clamp,
        "where": lambda c, a, b: torch.where(c, tensor(a, b), tensor(b, a)),
        "masked_fill": lambda x, mask, value: x.masked_fill(mask, value),
        "leaky_relu": f.leaky_relu,
        "elu": f.elu,
        "gelu": lambda x, approximate: f.gelu(x, approximate=approximate),
        "silu": f.silu,
        "softplus": lambda x, beta: f.softplus(x, beta, threshold=40),
        "softsign": f.softsign,
        "identity": lambda x: x,
        "copy": torch.clone,
        "astype": lambda x, dtype: x.to(getattr(torch, np.dtype(dtype).name)),
    }


def reductions(torch: Any) -> dict[str, Callable[..., Any]]:
    def dims(x: Any, axis: Any) -> tuple[int, ...]:
        axis = tuple(range(x.ndim)) if axis is None else axis
        return axis if isinstance(axis, tuple) else (axis,)

    def prod(x: Any, axis: Any, keepdims: bool) -> Any:
        shape = list(x.shape)
        for d in sorted((a % x.ndim for a in dims(x, axis)), reverse=True):
            x = x.prod(d, keepdim=True)
            shape[d] = 0
        return x if keepdims else x.reshape([n for n in shape if n])

    def norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
        kind = 2 if ord in (None, "fro") else ord
        return torch.linalg.vector_norm(x, kind, dims(x, axis), keepdim=keepdims)

    def cumsum(x: Any, axis: Any) -> Any:
        return x.reshape(-1).cumsum(0) if axis is None else x.cumsum(axis)

    return {
        "sum": lambda x, axis, keep: torch.sum(x, dims(x, axis), keepdim=keep),
        "mean": lambda x, axis, keep: torch.mean(x, dims(x, axis), keepdim=keep),
        "var": lambda x, axis, ddof, keep: torch.var(
            x, dims(x, axis), correction=ddof, keepdim=keep
        ),
        "std": lambda x, axis, ddof, keep: torch.std(
            x, dims(x, axis), correction=ddof, keepdim=keep
        ),
        "max": lambda x, axis, keep: torch.amax(x, dims(x, axis), keepdim=keep),
        "min": lambda x, axis, keep: torch.amin(x, dims(x, axis), keepdim=keep),
        "argmax": lambda x, axis, keep: torch.argmax(x, axis, keepdim=keep),
        "argmin": lambda x, axis, keep: torch.argmin(x, axis, keepdim=keep),
        "all": lambda x, axis, keep: torch.all(x, axis, keepdim=keep),
        "any": lambda x, axis, keep: torch.any(x, axis, keepdim=keep),
        "logsumexp": lambda x, axis, keep: torch.logsumexp(x, dims(x, axis), keepdim=keep),
        "prod": prod,
        "norm": norm,
        "cumsum": cumsum,
    }


def shaping(torch: Any) -> dict[str, Callable[..., Any]]:
    def expand_dims(x: Any, axis: Any) -> Any:
        axes = axis if isinstance(axis, tuple) else (axis,)
        for a in sorted(a % (x.ndim + len(axes)) for a in axes):
            x = x.unsqueeze(a)
        return x

    def pad(x: Any, pad_width: Any, mode: str, value: float) -> Any:
        pairs = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
        return torch.nn.functional.pad(x, [n for p in pairs[::-1] for n in p], mode, value)

    def flip(x: Any, axis: Any) -> Any:
        every = tuple(range(x.ndim)) if axis is None else axis
        return torch.flip(x, every if isinstance(every, tuple) else (every,))

    def repeat(x: Any, repeats: Any, axis: Any) -> Any:
        repeats = torch.tensor(repeats) if isinstance(repeats, list) else repeats
        return torch.repeat_interleave(x, repeats, axis)

    return {
        "reshape": lambda x, shape: x.reshape(shape),
        "broadcast_to": torch.broadcast_to,
        "transpose": lambda x, axes: x.permute(axes or tuple(range(x.ndim))[::-1]),
        "swapaxes": torch.swapaxes,
        "squeeze": lambda x, axis: x.squeeze() if axis is None else x.squeeze(axis),
        "expand_dims": expand_dims,
        "concatenate": torch.cat,
        "stack": torch.stack,
        "flip": flip,
        "roll": torch.roll,
        "pad": pad,
        "tile": lambda x, reps: torch.tile(x, reps if isinstance(reps, tuple) else (reps,)),
        "repeat": repeat,
        "tril": torch.tril,
        "triu": torch.triu,
    }


def indexing(torch: Any) -> dict[str, Callable[..., Any]]:
    """By way of flat positions, which NumPy finds."""

    def positions(index: Any, shape: Any) -> Any:
        host = tuple(map(numpy, index)) if isinstance(index, tuple) else numpy(index)
        found = np.arange(math.prod(shape)).reshape(tuple(shape))[host]
        return torch.from_numpy(np.array(found))

    def numpy(i: Any) -> Any:
        return i.numpy() if isinstance(i, torch.Tensor) else i

    def getitem(x: Any, index: Any) -> Any:
        return x.reshape(-1)[positions(index, x.shape)]

    def add(x: Any, index: Any, source: Any) -> Any:
        at = positions(index, x.shape)
        source = torch.as_tensor(source, dtype=x.dtype).broadcast_to(at.shape)
        return x.reshape(-1).index_add(0, at.reshape(-1), source.reshape(-1)).reshape(x.shape)

    def add_rows(x: Any, index: Any, rows: int, padding_idx: Any) -> Any:
        zeros = torch.zeros(rows, x.shape[-1], dtype=x.dtype)
        out = zeros.index_add(0, index.reshape(-1), x.reshape(-1, x.shape[-1]))
        keep = torch.arange(rows) != (-1 if padding_idx is None else padding_idx % rows)
        return out * keep[:, None]

    def take_distinct(x: Any, places: Any, axes: int) -> Any:
        return x.flatten(0, axes - 1)[places]

    def put_distinct(x: Any, places: Any, shape: Any, fill: float) -> Any:
        out = torch.full((math.prod(shape), *x.shape[places.ndim :]), fill, dtype=x.dtype)
        rows = x.reshape(-1, *out.shape[1:])
        return out.index_copy(0, places.reshape(-1), rows).reshape(*shape, *out.shape[1:])

    return {
        "basic_getitem": getitem,
        "array_getitem": getitem,
        "scatter": lambda x, index, shape: add(torch.zeros(shape, dtype=x.dtype), index, x),
        "index_add": add,
        "take_along_axis": lambda x, i, axis: torch.take_along_dim(x, i % x.shape[axis], axis),
        "take_distinct": take_distinct,
        "put_distinct": put_distinct,
        "embedding": lambda i, w, pad: torch.nn.functional.embedding(i, w, pad),
        "add_rows": add_rows,
    }


def products_and_losses(torch: Any) -> dict[str, Callable[..., Any]]:
    f = torch.nn.functional

    def layer_norm(x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
        return f.layer_norm(x, [shape] if isinstance(shape, int) else shape, weight, bias, eps)

    def kl_div(x: Any, t: Any, reduction: str, log_target: bool) -> Any:
        if reduction == "mean":  # of which PyTorch warns
            return f.kl_div(x, t, reduction="none", log_target=log_target).mean()
        return f.kl_div(x, t, reduction=reduction, log_target=log_target)

    return {
        "matmul": torch.matmul,
        "linear": f.linear,
        "outer": lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)),
        "einsum": lambda operands, subscripts: torch.einsum(subscripts, *operands),
        "softmax": lambda x, axis: f.softmax(x, axis),
        "log_softmax": lambda x, axis: f.log_softmax(x, axis),
        "cross_entropy": lambda x, t, w, ignore, reduction, smoothing: f.cross_entropy(
            x, t, w, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing
        ),
        "nll_loss": lambda x, t, w, ignore, reduction: f.nll_loss(
            x, t, w, ignore_index=ignore, reduction=reduction
        ),
        "kl_div": kl_div,
        "mse_loss": lambda x, t, reduction: f.mse_loss(x, t, reduction=reduction),
        "binary_cross_entropy_with_logits": lambda x, t, w, reduction, p: (
            f.binary_cross_entropy_with_logits(x, t, w, reduction=reduction, pos_weight=p)
        ),
        "layer_norm": layer_norm,
    }
