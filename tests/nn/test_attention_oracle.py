"""MultiheadAttention and the Transformer's layers against PyTorch's, in random configurations."""

from dataclasses import dataclass, fields

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn

COUNT = 264
KINDS = ("MultiheadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer", "Transformer")


@dataclass(frozen=True)
class Configuration:
    """One way to build a layer, and one to call it."""

    kind: str
    heads: int
    head_dim: int
    steps: int
    keys: int
    batch: int
    bias: bool
    batch_first: bool
    unbatched: bool
    norm_first: bool
    gelu: bool
    other_widths: bool
    bias_kv: bool
    zero_attn: bool
    weights: str  # "none", "mean", "each"
    mask: str  # "none", "boolean", "added", "causal", "per head": boolean
    padding: str  # "none", "boolean", "added"
    seed: int

    @property
    def width(self):
        return self.heads * self.head_dim

    @property
    def options(self):
        """What both libraries' layers are built with."""
        made = {"batch_first": self.batch_first, "bias": self.bias, "dropout": 0.0}
        if self.kind == "MultiheadAttention":
            made |= {"embed_dim": self.width, "num_heads": self.heads}
            made |= {"kdim": 5, "vdim": 3} if self.other_widths else {}
            made |= {"add_bias_kv": self.bias_kv, "add_zero_attn": self.zero_attn}
            return made
        made |= {"d_model": self.width, "nhead": self.heads, "dim_feedforward": 7}
        made |= {"norm_first": self.norm_first, "activation": "gelu" if self.gelu else "relu"}
        made |= {"layer_norm_eps": 1e-3 if self.gelu else 1e-5}
        if self.kind == "Transformer":
            made |= {"num_encoder_layers": 2, "num_decoder_layers": 1}
        return made


def drawn(seed):
    """The configuration of a seed; kinds take turns, all else is random."""
    rng = np.random.default_rng(seed)
    sizes = [int(rng.integers(low, high)) for low, high in ((1, 5), (3, 7), (1, 8), (1, 8), (1, 5))]
    flags = [bool(b) for b in rng.integers(0, 2, 8)]
    words = [str(rng.choice(words)) for words in (
        ("none", "mean", "each"), ("none", "boolean", "added", "causal", "per head"),
        ("none", "boolean", "added"))]  # fmt: skip
    return Configuration(KINDS[seed % 4], *sizes, *flags, *words, seed)


CONFIGURATIONS = [drawn(seed) for seed in range(COUNT)]


class Masks:
    """The masks of a configuration, as arrays, in which every query sees some key.

    PyTorch gives NaN where none is seen; that is tested by itself.
    """

    def __init__(self, c, rng, dtype):
        self.c, self.rng, self.dtype = c, rng, dtype

    def scores(self, steps, keys):
        c = self.c
        if c.mask == "none":
            return None
        shape = (1 if c.unbatched else c.batch, c.heads, steps, keys)
        shape = (shape[0] * shape[1], *shape[2:]) if c.mask == "per head" else shape[2:]
        if c.mask == "added":
            return self.rng.standard_normal(shape).astype(self.dtype)
        out = self.rng.random(shape) < 0.4
        if c.mask == "causal":
            out = ~np.tri(steps, keys, dtype=bool)
        out[..., 0] = False
        return out

    def padding(self, keys):
        c = self.c
        shape = (keys,) if c.unbatched else (c.batch, keys)
        if c.padding == "none":
            return None
        if c.padding == "added":
            return self.rng.standard_normal(shape).astype(self.dtype)
        out = self.rng.random(shape) < 0.4
        out[..., 0] = False
        return out


def called_with(c, rng, dtype):
    """The arrays a layer is called with, and its masks by PyTorch's names."""
    masks = Masks(c, rng, dtype)

    def x(steps, width):
        lead = (steps,) if c.unbatched else (
            (c.batch, steps) if c.batch_first else (steps, c.batch))  # fmt: skip
        return rng.standard_normal((*lead, width)).astype(dtype)

    if c.kind == "MultiheadAttention":
        widths = (5, 3) if c.other_widths else (c.width, c.width)
        arrays = [x(c.steps, c.width), *(x(c.keys, w) for w in widths)]
        named = {"key_padding_mask": masks.padding(c.keys),
                 "attn_mask": masks.scores(c.steps, c.keys)}  # fmt: skip
    elif c.kind == "TransformerEncoderLayer":
        arrays = [x(c.steps, c.width)]
        named = {"src_mask": masks.scores(c.steps, c.steps),
                 "src_key_padding_mask": masks.padding(c.steps)}  # fmt: skip
    else:
        first = (c.keys, c.steps) if c.kind == "Transformer" else (c.steps, c.keys)
        arrays = [x(n, c.width) for n in first]
        named = {"tgt_mask": masks.scores(c.steps, c.steps),
                 "memory_mask": masks.scores(c.steps, c.keys),
                 "tgt_key_padding_mask": masks.padding(c.steps),
                 "memory_key_padding_mask": masks.padding(c.keys)}  # fmt: skip
        if c.kind == "Transformer":
            named["src_key_padding_mask"] = masks.padding(c.keys)
            named["src_mask"] = masks.scores(c.keys, c.keys)
    return arrays, named


def everything(make, layer, c, arrays, named):
    """Outputs, and the gradients of inputs and parameters, as arrays."""
    inputs = [make(a) for a in arrays]
    masks = {k: None if m is None else make(m).detach() for k, m in named.items()}
    if c.kind == "MultiheadAttention":
        how = {"need_weights": c.weights != "none", "average_attn_weights": c.weights == "mean"}
        outs = [o for o in layer(*inputs, **masks, **how) if o is not None]
    else:
        outs = [layer(*inputs, **masks)]
    rng = np.random.default_rng(0)
    factors = [make(rng.standard_normal(tuple(o.shape)).astype(arrays[0].dtype)) for o in outs]
    sum((o * w.detach()).sum() for o, w in zip(outs, factors, strict=True)).backward()
    grads = [v.grad for v in (*inputs, *layer.parameters())]
    return len(outs), [v.detach().numpy() for v in (*outs, *grads)]


def differentiable(library, array):
    leaf = library.tensor(array)
    return leaf.requires_grad_(array.dtype != bool)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.filterwarnings("ignore:Support for mismatched")
@pytest.mark.parametrize("seed", range(COUNT))
def test_equals_pytorch(seed, torch):
    """float64 to 1e-10 and float32 to 2e-5 of the largest element of each array, or of 1."""
    c = CONFIGURATIONS[seed]
    oracle = getattr(torch.nn, c.kind)(dtype=torch.float64, **c.options)
    layer = getattr(nn, c.kind)(dtype=np.float64, **c.options)
    rng = np.random.default_rng(seed)
    # Around where training starts: so float32 is not asked for more digits than it has.
    state = {k: v.numpy() + 0.2 * rng.standard_normal(v.shape)
             for k, v in layer.state_dict().items()}  # fmt: skip
    assert list(oracle.state_dict()) == list(state)
    oracle.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    layer.load_state_dict(state)
    for dtype, bound in ((np.float64, 1e-10), (np.float32, 2e-5)):
        arrays, named = called_with(c, np.random.default_rng(seed), dtype)
        layer.to(dtype=dtype).zero_grad()
        oracle.to(getattr(torch, np.dtype(dtype).name)).zero_grad()
        count, ours = everything(lambda a: differentiable(tg, a), layer, c, arrays, named)
        _, theirs = everything(lambda a: differentiable(torch, a), oracle, c, arrays, named)
        assert len(ours) == len(theirs) == count + len(arrays) + len(state)
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=bound * max(1, np.abs(b).max()))


def test_the_configurations_are_many_and_of_every_sort():
    assert len(set(CONFIGURATIONS)) == COUNT >= 200
    counts = {"kind": 4, "heads": 4, "head_dim": 4, "steps": 7, "keys": 7, "batch": 4,
              "weights": 3, "mask": 5, "padding": 3}  # fmt: skip
    for kind in KINDS:
        of_kind = [c for c in CONFIGURATIONS if c.kind == kind]
        assert len(of_kind) >= 60
        for field in fields(Configuration)[1:-1]:
            found = {getattr(c, field.name) for c in of_kind}
            assert len(found) == counts.get(field.name, 2), (kind, field.name)
