"""RNN, LSTM and GRU against PyTorch's, in hundreds of random configurations."""

from dataclasses import dataclass, fields

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn

COUNT = 240
KINDS = ("RNN", "LSTM", "GRU")


@dataclass(frozen=True)
class Configuration:
    """One way to build a layer, and one to call it."""

    kind: str
    layers: int
    bidirectional: bool
    bias: bool
    batch_first: bool
    projected: bool
    relu: bool
    way: str  # "plain", "unbatched", "packed", "sorted": packed in order, or "lengths"
    given_state: bool
    sizes: tuple[int, int, int, int]  # T, B, I, H

    @property
    def options(self):
        """What both libraries' layers are built with."""
        made = {"num_layers": self.layers, "bidirectional": self.bidirectional, "bias": self.bias,
                "batch_first": self.batch_first}  # fmt: skip
        if self.kind == "RNN" and self.relu:
            made["nonlinearity"] = "relu"
        if self.kind == "LSTM" and self.projected and self.sizes[3] > 1:
            made["proj_size"] = 1 + (self.sizes[3] - 1) // 2
        return made


def drawn(seed):
    """The configuration of a seed; kinds take turns, all else is random."""
    rng = np.random.default_rng(seed)
    flags = [bool(b) for b in rng.integers(0, 2, 6)]
    ways = ("plain", "unbatched", "packed", "sorted", "lengths")
    sizes = tuple(int(n) for n in rng.integers(1, 18, 4))
    return Configuration(KINDS[seed % 3], int(rng.integers(1, 4)), *flags[:5],
                         ways[rng.integers(len(ways))], flags[5], sizes)  # fmt: skip


CONFIGURATIONS = [drawn(seed) for seed in range(COUNT)]


def flat(result):
    """Output and states of a layer in one list."""
    output, state = result
    return [output, *(state if isinstance(state, tuple) else [state])]


def call(library, layer, way, x, lengths, states, batch_first):
    """The layer's outputs and last states, padded again where they were packed."""
    state = tuple(states) if len(states) == 2 else states[0] if states else None
    if way in ("plain", "unbatched"):
        return flat(layer(x, state))
    if way == "lengths" and library is nn:
        return flat(layer(x, state, lengths))
    packing = library if library is nn else library.utils.rnn
    order = {"batch_first": batch_first, "enforce_sorted": way == "sorted"}
    packed = packing.pack_padded_sequence(x, lengths, **order)
    output, *last = flat(layer(packed, state))
    steps = x.shape[1 if batch_first else 0]
    padded, _ = packing.pad_packed_sequence(output, batch_first, total_length=steps)
    return [padded, *last]


def everything(library, make, layer, c, arrays, lengths):
    """Outputs, last states, and the gradients of input, states and parameters, as arrays."""
    x, *states = (make(a) for a in arrays)
    outs = call(library, layer, c.way, x, lengths, states, c.batch_first)
    rng = np.random.default_rng(0)
    weights = [make(rng.standard_normal(tuple(o.shape)).astype(arrays[0].dtype)) for o in outs]
    sum((o * w.detach()).sum() for o, w in zip(outs, weights, strict=True)).backward()
    grads = [v.grad for v in (x, *states, *layer.parameters())]
    return [v.detach().numpy() for v in (*outs, *grads)]


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("seed", range(COUNT))
def test_equals_pytorch(seed, torch):
    """float64 to 1e-10 and float32 to 2e-5 of the largest element of each array, or of 1."""
    c = CONFIGURATIONS[seed]
    steps, batch, inputs, hidden = c.sizes
    rng = np.random.default_rng(seed)
    oracle = getattr(torch.nn, c.kind)(inputs, hidden, dtype=torch.float64, **c.options)
    layer = getattr(nn, c.kind)(inputs, hidden, dtype=np.float64, **c.options)
    layer.load_state_dict({k: v.numpy() for k, v in oracle.state_dict().items()})
    lead = (steps,) if c.way == "unbatched" else (batch, steps) if c.batch_first else (steps, batch)
    rows = c.layers * (1 + c.bidirectional)
    widths = [c.options.get("proj_size", hidden), *[hidden] * (c.kind == "LSTM")]
    shapes = [(rows, width) if c.way == "unbatched" else (rows, batch, width) for width in widths]
    arrays = [rng.standard_normal((*lead, inputs))]
    arrays += [rng.standard_normal(shape) for shape in shapes] if c.given_state else []
    lengths = rng.integers(1, steps + 1, batch)
    if c.way == "sorted":
        lengths = np.sort(lengths)[::-1].copy()
    for dtype, bound in ((np.float64, 1e-10), (np.float32, 2e-5)):
        cast = [a.astype(dtype) for a in arrays]
        layer.to(dtype=dtype).zero_grad()
        oracle.to(getattr(torch, np.dtype(dtype).name)).zero_grad()
        ours = everything(nn, lambda a: tg.tensor(a, requires_grad=True), layer, c, cast, lengths)
        theirs = everything(torch.nn, lambda a: torch.tensor(a, requires_grad=True), oracle, c,
                            cast, torch.tensor(lengths))  # fmt: skip
        assert len(ours) == len(theirs) == 2 * len(cast) * c.given_state + (
            len(widths) + 2) * (not c.given_state) + len([*layer.parameters()])  # fmt: skip
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=bound * max(1, np.abs(b).max()))


def test_the_configurations_are_many_and_of_every_sort():
    assert len(set(CONFIGURATIONS)) >= 200
    for field in fields(Configuration)[:-1]:
        found = {getattr(c, field.name) for c in CONFIGURATIONS}
        assert len(found) == {"kind": 3, "layers": 3, "way": 5}.get(field.name, 2), field.name
    for place in range(4):
        assert {c.sizes[place] for c in CONFIGURATIONS} == set(range(1, 18))
    assert sum("proj_size" in c.options for c in CONFIGURATIONS) >= 20
