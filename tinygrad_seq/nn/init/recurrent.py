"""Starting values for whole recurrent layers: what keeps a state, or a gradient, over many steps.

Each takes an RNN, GRU or LSTM (or one of their cells) of any number of layers and directions, sets
the parameters it speaks of in every one of them, and leaves the others as they are.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import numpy as np

from tinygrad_seq.autograd import no_grad
from tinygrad_seq.backend import Generator, default_generator, transfer
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.init.distributions import normal_, zeros_
from tinygrad_seq.nn.init.filling import finite
from tinygrad_seq.nn.init.matrices import eye_, orthogonal_gates_
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.parameter import Parameter

M = TypeVar("M", bound=Module)

#: what a layer is, by the number of blocks of hidden_size rows in its weights
_KINDS = {1: "RNN", 3: "GRU", 4: "LSTM"}
#: weight_hh (a cell), weight_hh_l0, weight_hh_l1_reverse …
_NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh)((?:_l\d+)?(?:_reverse)?)")


def irnn_(
    layer: M, std: float = 0.001, scale: float = 1.0, *, generator: Generator | None = None
) -> M:
    """An RNN of ReLUs that starts out by adding up: W_hh = scale·I, W_ih ~ N(0, std²), biases 0.

    While its units are positive, the gradient through T steps is scaleᵀ: with 1 it neither vanishes
    nor explodes (Le, Jaitly and Hinton 2015, arXiv:1504.00941). Other layers, and an RNN with
    another nonlinearity, raise ArgumentError.
    """
    op = "irnn_"
    _, stack = _parts(op, layer, "RNN")
    nonlinearity = getattr(layer, "nonlinearity", None)
    expect(nonlinearity == "relu", op, "an RNN with nonlinearity='relu'", repr(nonlinearity),
           ArgumentError)  # fmt: skip
    finite(op, "std", std, 0)
    finite(op, "scale", scale)
    for part in stack:
        eye_(part["weight_hh"], scale)
        normal_(part["weight_ih"], 0, std, generator=generator)
        for name in part.keys() & {"bias_ih", "bias_hh"}:
            zeros_(part[name])
    return layer


def orthogonal_recurrent_(layer: M, gain: float = 1.0, *, generator: Generator | None = None) -> M:
    """Every gate's block of every W_hh orthogonal by itself: see ``orthogonal_gates_``."""
    op = "orthogonal_recurrent_"
    gates, stack = _parts(op, layer, "RNN", "GRU", "LSTM")
    finite(op, "gain", gain, 0)
    for part in stack:
        orthogonal_gates_(part["weight_hh"], gates, gain, generator=generator)
    return layer


def forget_bias_(layer: M, value: float = 1.0) -> M:
    """The forget gates of an LSTM start with this bias: f = σ(value) where nothing else speaks.

    A large one lets the cell remember from the start (Gers, Schmidhuber and Cummins 2000;
    Jozefowicz, Zaremba and Sutskever 2015 recommend 1). It is set in bias_ih; in bias_hh, if there
    is one, the same rows become 0, for the two are added. Other layers, and an LSTM without biases,
    raise ArgumentError.
    """
    _, stack = _parts("forget_bias_", layer, "LSTM", biased=True)
    finite("forget_bias_", "value", value)
    for part in stack:
        _set_bias(part, 1, np.full(_hidden(layer), value))
    return layer


def chrono_(layer: M, t_max: float, *, generator: Generator | None = None) -> M:
    """Gates that start out remembering for 1 to t_max steps, each unit for another time.

    With u ~ U[1, t_max − 1] drawn for every unit (Tallec and Ollivier 2018, arXiv:1804.11188)

        LSTM   b_f = log u, b_i = −b_f     so f = u/(1 + u) and i = 1 − f
        GRU    b_z = log u                 −log u where z is what is taken (``update="take"``)

    and the state decays by e within about u steps: 1/(−log f) = u + ½ − O(1/u). The rows are set in
    bias_ih and become 0 in bias_hh, if there is one. t_max is the longest dependency to be learned,
    in steps, ≥ 2. An RNN, and a layer without biases, raise ArgumentError.
    """
    op = "chrono_"
    gates, stack = _parts(op, layer, "LSTM", "GRU", biased=True)
    finite(op, "t_max", t_max, 2)
    stream = generator or default_generator()
    takes = getattr(layer, "update", "keep") == "take"
    for part in stack:
        log_u = np.log(1 + (t_max - 2) * stream.uniform((_hidden(layer),)))
        _set_bias(part, 1, -log_u if takes else log_u)  # f of i, f, g, o and z of r, z, n
        if _KINDS[gates] == "LSTM":
            _set_bias(part, 0, -log_u)
    return layer


def _parts(
    op: str, layer: Any, *kinds: str, biased: bool = False
) -> tuple[int, list[dict[str, Parameter]]]:
    """→ how many gates ``layer`` has, and its parameters by their plain names, one dict for every
    layer and direction in it."""
    wanted = f"a layer that is {' or '.join(kinds)}"
    expect(isinstance(layer, Module), op, wanted, type(layer).__name__, ArgumentError)
    parts: dict[str, dict[str, Parameter]] = {}
    for name, parameter in layer.named_parameters(recurse=False):
        if match := _NAME.fullmatch(name):
            parts.setdefault(match[2], {})[match[1]] = parameter
    rows = {p["weight_hh"].shape[0] for p in parts.values() if "weight_hh" in p}
    gates = rows.pop() // _hidden(layer) if len(rows) == 1 and _hidden(layer) else 0
    expect(_KINDS.get(gates) in kinds, op, wanted, type(layer).__name__, ArgumentError)
    ok = not biased or all("bias_ih" in part for part in parts.values())
    expect(ok, op, "a layer with biases", f"{layer!r}", ArgumentError)
    return gates, list(parts.values())


def _hidden(layer: Any) -> int:
    size: int = getattr(layer, "hidden_size", 0)
    return size


def _set_bias(part: dict[str, Parameter], gate: int, values: np.ndarray) -> None:
    """Make ``values`` the bias of one gate: in bias_ih, with 0 in bias_hh."""
    bias, rows = part["bias_ih"], slice(gate * len(values), (gate + 1) * len(values))
    with no_grad():
        bias[rows] = transfer(values.astype(bias.dtype), bias.device)
        if "bias_hh" in part:
            part["bias_hh"][rows] = 0
