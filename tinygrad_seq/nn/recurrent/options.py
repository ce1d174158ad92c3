"""The options of recurrent layers and cells: what each may be, and what does not go together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.ops.gru import UPDATES
from tinygrad_seq.ops.rnn import NONLINEARITIES


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _size_or_0(value: Any) -> bool:
    return _size(value) or (value is not False and value == 0)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and math.isfinite(value)


def _rate(value: Any) -> bool:
    return _number(value) and 0 <= value < 1


def _rate_or_pair(value: Any) -> bool:
    return _rate(value) or (isinstance(value, tuple) and len(value) == 2 and all(map(_rate, value)))


Test = Callable[[Any], bool]
SIZE = (_size, "an integer ≥ 1")
FLAG = (_flag, "True or False")
RATE = (_rate, "a number in [0, 1)")


def _one_of(names: Any) -> tuple[Test, str]:
    return (lambda value: isinstance(value, str) and value in names), f"one of {', '.join(names)}"


#: option → its default, whether a value is one, and what is expected of it
OPTIONS: dict[str, tuple[Any, Test, str]] = {
    "input_size": (None, *SIZE),
    "hidden_size": (None, *SIZE),
    "num_layers": (1, *SIZE),
    "nonlinearity": ("tanh", *_one_of(NONLINEARITIES)),
    "bias": (True, *FLAG),
    "batch_first": (False, *FLAG),
    "dropout": (0.0, *RATE),
    "bidirectional": (False, *FLAG),
    "proj_size": (0, _size_or_0, "an integer ≥ 0"),
    "single_bias": (False, *FLAG),
    "forget_bias": (None, lambda v: v is None or _number(v), "a finite number or None"),
    "zoneout": (0.0, *RATE),
    "input_dropout": (0.0, *RATE),
    "recurrent_dropout": (0.0, *RATE),
    "layer_norm": (False, *FLAG),
    "peephole": (False, *FLAG),
    "reset_after": (True, *FLAG),
    "update": ("keep", *_one_of(UPDATES)),
    "learned_state": (False, *FLAG),
    "residual": (False, *FLAG),
}

#: zoneout of what has two states
PAIR = (_rate_or_pair, "a number in [0, 1) or a pair of them, for h and for c")


def check_options(kind: str, options: Mapping[str, Any], states: int) -> None:
    """Refuse with ArgumentError an option out of its range, and options that exclude each other.

    states: how many tensors the state has, 2 for an LSTM.
    """
    for name, value in options.items():
        _, test, expected = OPTIONS[name]
        if name == "zoneout" and states == 2:
            test, expected = PAIR
        expect(test(value), kind, f"{name} to be {expected}", repr(value), ArgumentError)

    def given(name: str) -> bool:
        return name in options and options[name] != OPTIONS[name][0]

    # option, what it needs, whether that is there, what there is instead
    needs = [
        ("dropout", "num_layers ≥ 2, since it acts between layers", "num_layers", "num_layers=1"),
        ("residual", "num_layers ≥ 2, since it adds a layer's input from the second layer on",
         "num_layers", "num_layers=1"),
        ("single_bias", "bias=True, since it says which bias to keep", "bias", "bias=False"),
        ("forget_bias", "bias=True, since it is where the forget gate's bias starts", "bias",
         "bias=False"),
    ]  # fmt: skip
    for name, wanted, other, instead in needs:
        there = given(other) if other == "num_layers" else not given(other)
        ok = there or not given(name)
        expect(ok, kind, f"{name} only with {wanted}", instead, ArgumentError)
    fits = options.get("proj_size", 0) < options["hidden_size"]
    expected = f"proj_size below hidden_size={options['hidden_size']}, to which it narrows h"
    expect(fits, kind, expected, options.get("proj_size"), ArgumentError)
