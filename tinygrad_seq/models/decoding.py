"""Writing with a model, symbol by symbol: the likeliest, drawn by chance, or the best of a search.

Whatever predicts the next symbol can write. All it has to offer is a function

    step(tokens (B,), state) → logits or log-probabilities (B, V), state

which reads one more symbol in each row. A state is None, a Tensor, a tuple, list or dict of states,
or an object with ``select(rows)`` that reorders itself in place, as caches of keys and values do.
Gradients are not recorded.

Choices are made on the host, and chances drawn from a ``Generator``, so that a seed gives the same
text on every device. Every function takes these options:

* start (B,): the symbols read first, ``<bos>`` or the last of a prompt; a Tensor says which device.
* length: how many symbols to write at most.
* eos: the symbol that ends a row, which is written; from there on the row is ``pad`` (by default
  eos again). None: no symbol ends a row.
* forbidden: symbols never written, as ``<bos>``; pad is one wherever it is another than eos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, no_grad, tensor
from tinygrad_seq.backend import Generator, default_generator
from tinygrad_seq.errors import ArgumentError, DTypeError, OutOfRangeError, expect

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


def greedy(
    step: Step,
    start: Any,
    state: Any = None,
    *,
    length: int,
    eos: int | None = None,
    pad: int | None = None,
    forbidden: Sequence[int] = (),
) -> np.ndarray:
    """Always the likeliest symbol, of equals the first: tokens (T, B), T ≤ length."""
    writer = Writer(step, start, length, eos, pad, forbidden)
    return _together(writer.write(state, lambda logits: logits.argmax(axis=1)), writer.batch)


def sample(
    step: Step,
    start: Any,
    state: Any = None,
    *,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos: int | None = None,
    pad: int | None = None,
    forbidden: Sequence[int] = (),
    generator: Generator | None = None,
) -> np.ndarray:
    """Symbols drawn from softmax(logits / temperature): tokens (T, B), T ≤ length.

    temperature: below 1 bolder, 0 as ``greedy``. top_k: only the k likeliest symbols count (Fan,
    Lewis and Dauphin 2018, arXiv:1805.04833). top_p: only the fewest likeliest whose probabilities,
    after the other two options, sum to p (Holtzman et al. 2019, arXiv:1904.09751). One number is
    drawn for each row and step, in rows that have ended too.
    """
    writer = Writer(step, start, length, eos, pad, forbidden)
    choose = sampler(temperature, top_k, top_p, generator)
    return _together(writer.write(state, choose), writer.batch)


def stream(
    step: Step,
    start: Any,
    state: Any = None,
    *,
    length: int,
    choose: Callable[[np.ndarray], np.ndarray],
    eos: int | None = None,
    pad: int | None = None,
    forbidden: Sequence[int] = (),
) -> Iterator[np.ndarray]:
    """The symbols (B,) of each step as they come. choose: logits (B, V) → (B,), as ``sampler``."""
    return Writer(step, start, length, eos, pad, forbidden).write(state, choose)


def _together(written: Iterator[np.ndarray], batch: int) -> np.ndarray:
    steps = list(written)
    return np.stack(steps) if steps else np.zeros((0, batch), np.int64)


class Writer:
    """What all ways of writing share: the symbols read, the end of rows, what must not be said."""

    def __init__(
        self,
        step: Step,
        start: Any,
        length: int,
        eos: int | None,
        pad: int | None,
        forbidden: Sequence[int],
    ):
        expect(length >= 0, "decode", "length ≥ 0", length, ArgumentError)
        self.start = start if isinstance(start, Tensor) else tensor(np.asarray(start))
        kind, shape = self.start.dtype.kind, self.start.shape
        expect(kind in "iu", "decode", "a start of integers", self.start.dtype, DTypeError)
        expect(len(shape) == 1 and shape[0] > 0, "decode", "a start of shape (B,)", shape)
        ok = pad is None or eos is not None
        expect(ok, "decode", "an eos where there is a pad", "None", ArgumentError)
        self.step, self.length, self.batch, self.eos = step, length, shape[0], eos
        self.pad = -1 if eos is None else eos if pad is None else pad  # −1 is never written
        never = [*forbidden] if self.pad in (-1, eos) else [*forbidden, self.pad]
        expect(eos not in never, "decode", "an eos that is not forbidden", eos, ArgumentError)
        self.never = np.array(never, np.int64)

    def write(self, state: Any, choose: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
        """The symbols (B,) of one step after the other, until all rows have ended."""
        tokens, ended = self.start, np.zeros(self.batch, bool)
        for _ in range(self.length):
            logits, state = self.logits(tokens, state)
            chosen = choose(logits)
            written = np.where(ended, self.pad, chosen) if self.eos is not None else chosen
            yield written
            if self.eos is not None:
                chosen = np.where(ended, self.eos, chosen)  # a model may not know the padding
                ended |= chosen == self.eos
                if ended.all():
                    return
            tokens = self.read(chosen)

    def read(self, tokens: np.ndarray) -> Tensor:
        """Symbols for the model to read, beside those that it read first."""
        return tensor(tokens.astype(self.start.dtype), device=self.start.device)

    def logits(self, tokens: Tensor, state: Any) -> tuple[np.ndarray, Any]:
        """Read tokens (B,) → logits (B, V) on the host, −∞ for what must not be said; the state."""
        with no_grad():
            found, state = self.step(tokens, state)
        logits = found.numpy().astype(np.float64)  # a copy
        rows, symbols = len(tokens), logits.shape[-1] if logits.ndim else 0
        ok = logits.ndim == 2 and len(logits) == rows and symbols
        expect(ok, "decode", f"step to give logits ({rows}, V)", logits.shape)
        named = [*self.never.tolist(), *([] if self.eos is None else [self.eos])]
        wrong = [i for i in named if not 0 <= i < symbols]
        expect(not wrong, "decode", f"eos, pad and forbidden in [0, {symbols})", wrong,
               OutOfRangeError)  # fmt: skip
        logits[:, self.never] = -np.inf
        top = logits.max(axis=1)
        ok = np.isfinite(top).all()
        expect(ok, "decode", "in each row a finite logit of a symbol that is not forbidden, and no "
               "NaN", top[~np.isfinite(top)][:1], ArgumentError)  # fmt: skip
        return logits, state


# ---------------------------------------------------------------------- chance


def sampler(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """A function that draws a symbol (B,) from each row of logits (B, V); see ``sample``."""
    ok = temperature >= 0 and np.isfinite(temperature)
    expect(ok, "sample", "temperature ≥ 0", temperature, ArgumentError)
    expect(top_k is None or top_k >= 1, "sample", "top_k ≥ 1", top_k, ArgumentError)
    expect(top_p is None or 0 < top_p <= 1, "sample", "top_p in (0, 1]", top_p, ArgumentError)
    chance = generator or default_generator()

    def choose(logits: np.ndarray) -> np.ndarray:
        u = chance.uniform((len(logits),))
        if temperature == 0:
            return np.asarray(logits.argmax(axis=1))
        return _drawn(probabilities(logits, temperature, top_k, top_p), u)

    return choose


def probabilities(
    logits: np.ndarray,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> np.ndarray:
    """What ``sample`` draws from: (B, V), each row summing to 1. temperature > 0."""
    with np.errstate(over="ignore"):  # a tiny temperature: e^−∞
        p = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    if top_k is not None and top_k < p.shape[1]:
        p = _kept(p, logits, [top_k] * len(p))
    p /= p.sum(axis=1, keepdims=True)
    if top_p is not None and top_p < 1:
        falling = np.sort(p, axis=1)[:, ::-1]
        lacking = falling.cumsum(axis=1) - falling < top_p  # before it there is not enough
        p = _kept(p, p, lacking.sum(axis=1).tolist())
        p /= p.sum(axis=1, keepdims=True)
    return p


def _kept(p: np.ndarray, by: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """p (B, V), 0 but for the first places of each row of ``by``, as many as ``counts`` says."""
    out = np.zeros_like(p)
    for b, count in enumerate(counts):
        places = _first(by[b], count)
        out[b, places] = p[b, places]
    return out


def best(rows: np.ndarray, k: int) -> np.ndarray:
    """The places (B, k) of the k largest numbers of each row, falling, of equals the first."""
    return np.stack([_first(row, k) for row in rows])


def _first(row: np.ndarray, k: int) -> np.ndarray:
    places = np.flatnonzero(row >= np.partition(row, -k)[-k])
    return places[np.argsort(-row[places], kind="stable")[:k]]


def _drawn(p: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Invert the cumulative sums of the rows of p (B, V) at u (B,) in [0, 1)."""
    edges = p.cumsum(axis=1)
    at = (u * edges[:, -1])[:, np.newaxis]  # u < 1, and the product is rounded below the end
    return np.asarray((edges <= at).sum(axis=1))
