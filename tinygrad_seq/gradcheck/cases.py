"""Pairs of a function and its inputs, as tests and commands are handed them, and where they run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import (
    Device,
    as_device,
    default_device,
    default_generator,
    is_array,
    manual_seed,
    set_default_device,
    transfer,
)
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.check import gradcheck
from tinygrad_seq.gradcheck.report import Report
from tinygrad_seq.gradcheck.second import gradgradcheck

#: a function and its inputs
Case = tuple[Callable[..., Any], Any]


def cases_of(result: Any, who: str = "gradcheck") -> list[Case]:
    """What ``who`` returned or yielded, as a list of (function, inputs)."""
    several = inspect.isgenerator(result) or isinstance(result, list)
    cases: list[Any] = list(result) if several else [result]
    for case in cases or [None]:
        ok = isinstance(case, tuple) and len(case) == 2 and callable(case[0])
        got = "nothing" if case is None else f"{type(case).__name__}: {case!r:.60}"
        expect(ok, who, "(fn, inputs) to be returned, or several to be yielded", got, ArgumentError)
    return cases


def check(fn: Callable[..., Any], inputs: Any, order: int = 1, **options: Any) -> Report:
    """The gradient's report; with ``order`` 2 and if that passes, the second derivative's."""
    expect(order in (1, 2), "gradcheck", "order 1 or 2", order, ArgumentError)
    report = gradcheck(fn, inputs, raise_exception=False, **options)
    if report and order == 2:
        report = gradgradcheck(fn, inputs, raise_exception=False, **options)
    return report


def placed(inputs: Any, device: Device) -> Any:
    """``inputs`` with the arrays, Tensors and real numbers among them on ``device``."""

    def move(x: Any) -> Any:
        if isinstance(x, (float, np.floating)):
            x = np.asarray(x)
        data = x.data if isinstance(x, Tensor) else x
        if not is_array(data):
            return x
        moved = transfer(data, device)
        return x if moved is data else Tensor(moved)

    return [move(x) for x in inputs] if isinstance(inputs, (tuple, list)) else move(inputs)


@contextmanager
def surroundings(seed: int, device: str | None = None) -> Iterator[Device]:
    """``device`` (None: the default one) as the default, random streams fresh from ``seed``;
    afterwards both are as they were."""
    place = as_device(device)
    before, state = default_device(), default_generator().get_state()
    set_default_device(place)
    try:
        manual_seed(seed)
        yield place
    finally:
        set_default_device(before)
        default_generator().set_state(state)
