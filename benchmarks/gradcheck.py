"""False alarms and misses of gradient checks: ours, and PyTorch's on the same functions.

    PYTHONPATH=. python benchmarks/gradcheck.py [--count 2000] [--jobs 2] [--json FILE]

Random functions are drawn by family, each built from ops that both libraries have. Half are right;
every check that fails one has raised a false alarm. In the other half the gradient that leaves one
step is corrupted, in the same way in both libraries, and changes the Jacobian by at least one part
in 10⁴ of its largest element; every check that passes one has missed it. Both checks run with
their defaults, in full and in fast mode. PyTorch is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_seq as tg
from tinygrad_seq.bench import environment, write_results
from tinygrad_seq.gradcheck import miss_probability
from tinygrad_seq.ops.primitive import Primitive

SIZE = 3
EYE = np.eye(SIZE, dtype=bool)
#: a corruption that changes the Jacobian by less, as a share of its largest element, is redrawn
NOTICEABLE = 1e-4


# ---------------------------------------------------------------------- ops that both have


class Ours:
    """The few functions that the two libraries call differently."""

    softmax = staticmethod(lambda a: tg.softmax(a, axis=-1))
    log_softmax = staticmethod(lambda a: tg.log_softmax(a, axis=-1))
    most = staticmethod(lambda a: tg.max(a, axis=0, keepdims=True))
    mean = staticmethod(lambda a: tg.mean(a, axis=1, keepdims=True))
    total = staticmethod(lambda a, axis: tg.sum(a, axis=axis, keepdims=True))
    join = staticmethod(lambda parts: tg.concatenate(parts))
    mask = staticmethod(lambda: EYE)
    ones = staticmethod(lambda like: np.ones((SIZE, SIZE), like.dtype))

    def __getattr__(self, name: str) -> Any:
        return getattr(tg, name)


class Theirs:
    """The same for PyTorch."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        self.softmax = partial(torch.softmax, dim=-1)
        self.log_softmax = partial(torch.log_softmax, dim=-1)
        self.most = lambda a: torch.max(a, dim=0, keepdim=True).values
        self.mean = partial(torch.mean, dim=1, keepdim=True)
        self.total = lambda a, axis: torch.sum(a, dim=axis, keepdim=True)
        self.join = torch.cat
        self.mask = lambda: torch.tensor(EYE)
        self.ones = lambda like: torch.ones(SIZE, SIZE, dtype=like.dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.torch, name)


def _recurrent(f: Any, a: Any, b: Any) -> Any:
    """h ← tanh(h·b + aₜ), all states."""
    h, states = a[:1], []
    for t in range(SIZE):
        h = f.tanh(h @ b + a[t : t + 1])
        states.append(h)
    return f.join(states)


def _gated(f: Any, a: Any, b: Any) -> Any:
    """c ← σ(z)·c + (1 − σ(z))·tanh z with z = aₜ + h·b, h = tanh c."""
    c, states = a[:1] * 0, []
    for t in range(SIZE):
        z = a[t : t + 1] + f.tanh(c) @ b
        gate = f.sigmoid(z)
        c = gate * c + (1 - gate) * f.tanh(z)
        states.append(c)
    return f.join(states)


Step = Callable[..., Any]
SMOOTH: dict[str, Step] = {
    "tanh": lambda f, a, b: f.tanh(a),
    "sigmoid": lambda f, a, b: f.sigmoid(a),
    "exp": lambda f, a, b: f.exp(f.tanh(a)),
    "log": lambda f, a, b: f.log(1 + a * a),
    "sqrt": lambda f, a, b: f.sqrt(0.1 + a * a),
    "square": lambda f, a, b: a * a,
    "softmax": lambda f, a, b: f.softmax(a),
    "log softmax": lambda f, a, b: f.log_softmax(a),
    "add": lambda f, a, b: a + b,
    "mul": lambda f, a, b: a * b,
    "div": lambda f, a, b: a / (1 + b * b),
    "matmul": lambda f, a, b: a @ b,
    "transpose": lambda f, a, b: a.T,
    "rolled": lambda f, a, b: a[[2, 0, 1]],
    "select": lambda f, a, b: f.where(f.mask(), a, b),
}
#: what a family adds to the smooth functions; drawn as often as all of these together
EXTRA: dict[str, dict[str, Step]] = {
    "smooth": SMOOTH,
    "kinks": {
        "relu": lambda f, a, b: f.relu(a),
        "abs": lambda f, a, b: f.abs(a),
        "max": lambda f, a, b: a - f.most(a),
        "where": lambda f, a, b: f.where(a > b, a, b),
        "maximum": lambda f, a, b: f.maximum(a, b),
        "clip": lambda f, a, b: f.clip(a, -1.0, 1.0),
    },
    "flat, saturated": {
        "dead relu": lambda f, a, b: f.relu(a - 50),
        "saturated tanh": lambda f, a, b: f.tanh(100 * a),
        "saturated sigmoid": lambda f, a, b: f.sigmoid(100 * a),
        "sharp softmax": lambda f, a, b: f.softmax(30 * a),
        "constant": lambda f, a, b: a * 0 + 1,
        "detached": lambda f, a, b: a * b.detach(),
    },
    "scales": {
        "up": lambda f, a, b: 1e4 * a,
        "far up": lambda f, a, b: 1e8 * a,
        "down": lambda f, a, b: 1e-4 * a,
        "far down": lambda f, a, b: 1e-8 * a,
        "shifted": lambda f, a, b: a + 100,
        "normalised": lambda f, a, b: a / f.sqrt(1e-20 + f.total(a * a, 1)),
    },
    "broadcasting, sums": {
        "row": lambda f, a, b: a + b[:1],
        "column": lambda f, a, b: a * b[:, :1],
        "sum": lambda f, a, b: a + f.total(b, 0),
        "sums": lambda f, a, b: f.total(a, 1) * f.total(b, 0),
        "centred": lambda f, a, b: a - f.mean(a),
        "scalar": lambda f, a, b: a * f.total(f.total(b, 0), 1),
    },
    "recurrent": {"rnn": _recurrent, "gated": _gated},
}
FAMILIES = (*EXTRA, "float32")


# ---------------------------------------------------------------------- functions


@dataclass(frozen=True)
class Function:
    """Steps on a growing list of 3×3 values; the last value and a sum of the one before it."""

    family: str
    steps: tuple[tuple[str, int, int], ...]
    inputs: tuple[np.ndarray, np.ndarray]
    #: which step's gradient is corrupted, and how; None for a right function
    at: int | None = None
    how: str = ""

    def run(self, f: Any, corrupt: Callable[[str, Any], Any], x: Any, y: Any) -> Any:
        """The function in the library behind ``f``."""
        values = [x, y * f.ones(y)]
        for k, (name, i, j) in enumerate(self.steps):
            step = STEPS[name]
            value = step(f, values[i % len(values)], values[j % len(values)])
            values.append(corrupt(self.how, value) if k == self.at else value)
        return values[-1], f.tanh(values[-2]).sum()

    def ours(self, x: Any, y: Any) -> Any:
        """The function on our Tensors."""
        return self.run(Ours(), _corrupt_ours, x, y)

    def right(self) -> Function:
        """The same without its corruption."""
        return replace(self, at=None)


STEPS: dict[str, Step] = {name: step for steps in EXTRA.values() for name, step in steps.items()}


def drawn(rng: np.random.Generator, family: str) -> Function:
    """A right function of a family."""
    base = family if family in EXTRA else str(rng.choice(list(EXTRA)))
    extra = list(EXTRA[base])
    names = [str(rng.choice(extra if rng.random() < 0.5 else list(SMOOTH)))
             for _ in range(rng.integers(1, 7))]  # fmt: skip
    if not set(names) & set(extra):
        names[rng.integers(len(names))] = str(rng.choice(extra))
    picks = rng.integers(0, 10, (len(names), 2)).tolist()
    shape = [(SIZE, SIZE), (1, SIZE), (SIZE, 1), ()][rng.integers(4)]
    scale = 10.0 ** rng.integers(-6, 7) if base == "scales" else 1.0
    x, y = (scale * rng.uniform(-1.5, 1.5, s) for s in ((SIZE, SIZE), shape))
    if base == "kinks" and rng.random() < 0.5:  # ties, and zeros: on the kink itself
        x, y = np.round(x), np.round(y)
    kind = np.float32 if family == "float32" else np.float64
    steps = tuple((name, i, j) for name, (i, j) in zip(names, picks, strict=True))
    return Function(family, steps, (x.astype(kind), np.asarray(y).astype(kind)))


# ---------------------------------------------------------------------- corruptions


_DROPPED = np.ones((SIZE, SIZE))
_DROPPED[-1, -1] = 0
_WAVE = 1.075 + 0.025 * np.cos(np.arange(SIZE * SIZE)).reshape(SIZE, SIZE)
_FIRST = np.arange(SIZE)[:, None] == np.zeros((1, SIZE))
#: what the gradient is multiplied by
FACTORS: dict[str, Any] = {
    "sign": -1.0, "scale 1.1": 1.1, "scale 1.01": 1.01, "scale 1.001": 1.001, "half": 0.5,
    "twice": 2.0, "zero": 0.0, "element dropped": _DROPPED, "stale save": _WAVE,
    "batch not summed": _FIRST.astype(float),
}  # fmt: skip
MOVES: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda g: g.T,
    "shifted": lambda g: g[[2, 0, 1]],
    "turned around": lambda g: g[[2, 1, 0]],
    "constant added": lambda g: g + 0.01,
}
CORRUPTIONS = (*FACTORS, *MOVES)


def _wrong(how: str, g: Any, like: Callable[[Any], Any]) -> Any:
    return MOVES[how](g) if how in MOVES else g * like(FACTORS[how])


def _on_arrays(how: str, g: Any) -> Any:
    return _wrong(how, g, lambda factor: np.asarray(factor, g.dtype))


def _copied(x: Any) -> Any:
    return x.copy()


#: ops that hand their input on, and its gradient corrupted
_WRONG: dict[str, Primitive] = {}


def _corrupt_ours(how: str, value: Any) -> Any:
    if how not in _WRONG:

        def rule(g: Any) -> Any:
            return _on_arrays(how, g)

        _WRONG[how] = Primitive(_copied, name=how.replace(" ", "_").replace(".", "_")).vjp(x=rule)
    return _WRONG[how](value)


def torch_corruption() -> Callable[[str, Any], Any]:
    """The same for PyTorch: an autograd.Function that hands its input on."""
    import torch

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: Any, how: str) -> Any:
            ctx.how = how
            return value.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return _wrong(ctx.how, g, lambda factor: torch.tensor(factor, dtype=g.dtype)), None

    return lambda how, value: Wrong.apply(value, how)


def jacobian(function: Function) -> np.ndarray:
    """What our tape says, a row for each element of the outputs."""
    xs = [tg.tensor(a.astype(np.float64), requires_grad=True) for a in function.inputs]
    rows = []
    for out in function.ours(*xs):
        flat = tg.reshape(out, (-1,))
        for i in range(flat.shape[0]):
            gs: Sequence[Any] = [None] * len(xs)
            if flat.requires_grad:
                gs = tg.grad(flat[i], xs, retain_graph=True, allow_unused=True)
            parts = [np.zeros(x.size) if g is None else g.numpy().ravel()
                     for g, x in zip(gs, xs, strict=True)]  # fmt: skip
            rows.append(np.concatenate(parts))
    return np.array(rows)


def corrupted(rng: np.random.Generator, family: str) -> Function:
    """A function of a family with a corruption that can be noticed."""
    least = 0.1 if family == "float32" else NOTICEABLE
    while True:
        right = drawn(rng, family)
        wrong = replace(right, at=int(rng.integers(len(right.steps))),
                        how=str(rng.choice(CORRUPTIONS)))  # fmt: skip
        with np.errstate(all="ignore"):
            a, b = jacobian(right), jacobian(wrong)
        if np.isfinite(a).all() and _noticeable(a, b, wrong, least):
            return wrong


def blocks(f: Function, *matrices: np.ndarray) -> Iterator[tuple[list[np.ndarray], Any, Any]]:
    """The parts of Jacobians that belong to one output and one input → (parts, output, input)."""
    outs = [o.numpy() for o in f.ours(*map(tg.tensor, f.inputs))]
    row = 0
    for out in outs:
        column = 0
        for x in f.inputs:
            place = np.s_[row : row + out.size, column : column + x.size]
            yield [m[place] for m in matrices], out, x
            column += x.size
        row += out.size


def _scale(x: np.ndarray) -> np.ndarray:
    """What counts as 1 for each element of an input."""
    size = np.abs(x).ravel().astype(np.float64)
    scale = np.maximum(size, np.median(size))
    return np.where(scale > 0, scale, 1.0)


def _noticeable(a: np.ndarray, b: np.ndarray, function: Function, least: float) -> bool:
    """Whether any output's derivatives by any input change enough: by ``least`` of the largest, and
    by ten times what a check must leave to rounding (10⁴ rounding errors of the output); and not
    only where the Jacobian is rounding itself."""
    lost = 1e-12 * np.abs(a).max(initial=0.0)
    for (right, wrong), out, x in blocks(function, a, b):
        change = np.abs(wrong - right)
        rounding = 10 * 1e4 * np.finfo(x.dtype).eps * np.abs(out).max() / _scale(x)
        least_here = max(least * np.abs(right).max(initial=0.0), lost)
        if (change > np.maximum(least_here, rounding)).any():
            return True
    return False


def stated(function: Function) -> float:
    """An upper bound of the chance that our fast mode misses a corrupted function's error."""
    chance = 1.0
    tolerances = (1e-3, 1e-2) if function.family == "float32" else (1e-7, 1e-5)
    with np.errstate(all="ignore"):
        a, b = jacobian(function.right()), jacobian(function)
    for (right, wrong), out, x in blocks(function, a, b):
        norm = np.linalg.norm(wrong * _scale(x))
        error = np.linalg.norm((wrong - right) * _scale(x))
        # the projection's allowance for rounding has the weights' magnitude, 3/2 at most
        rounding = 1.5 * 1e4 * np.finfo(x.dtype).eps * np.linalg.norm(out)
        if norm and np.isfinite(norm):
            odds = miss_probability(error / norm, *tolerances, rounding=rounding / norm)
            chance = min(chance, odds)
    return chance


def function(kind: str, i: int, seed: int = 0) -> Function:
    """Number ``i`` of the functions of a kind, "right" or "wrong"; the families take turns."""
    rng = np.random.default_rng([seed, kind == "wrong", i])
    return (drawn if kind == "right" else corrupted)(rng, FAMILIES[i % len(FAMILIES)])


# ---------------------------------------------------------------------- checks


def our_verdict(function: Function, fast: bool) -> str:
    """What our check says, with its defaults."""
    report = tg.gradcheck(function.ours, function.inputs, fast=fast, raise_exception=False,
                          promote=function.family != "float32")  # fmt: skip
    return report.verdict


def torch_verdict(function: Function, fast: bool) -> str:
    """What PyTorch's says: pass, fail, or error."""
    import torch

    given = tuple(torch.tensor(a, requires_grad=True) for a in function.inputs)
    f, corrupt = Theirs(), torch_corruption()
    fn = lambda x, y: function.run(f, corrupt, x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that float32 is too coarse, which is the point
        try:
            right = torch.autograd.gradcheck(fn, given, raise_exception=False, fast_mode=fast)
        except Exception:
            return "error"
    return "pass" if right else "fail"


OURS = "tinygrad_seq"
CHECKERS: dict[str, Callable[[Function, bool], str]] = {
    OURS: our_verdict,
    "PyTorch": torch_verdict,
}


def judged(kind: str, checkers: Sequence[str], seed: int, i: int) -> list[tuple[str, ...]]:
    """(checker, family, mode, verdict) of one function, for each checker and mode."""
    one = function(kind, i, seed)
    found = [
        (name, one.family, "fast" if fast else "full", CHECKERS[name](one, fast))
        for name in checkers
        for fast in (False, True)
    ]
    bound = [("stated", one.family, "fast", str(stated(one)))] if kind == "wrong" else []
    return found + bound


def rows_of(kind: str, found: Iterable[tuple[str, ...]]) -> list[dict[str, Any]]:
    """A row for each checker, family and mode, with its verdicts."""
    counts: dict[tuple[str, ...], Counter[str]] = {}
    odds: dict[str, float] = {}
    for checker, family, mode, verdict in found:
        if checker == "stated":
            odds[family] = odds.get(family, 0.0) + float(verdict)
        else:
            counts.setdefault((checker, family, mode), Counter())[verdict] += 1
    rows = [
        {"functions": kind, "checker": checker, "family": family, "mode": mode,
         "count": sum(c.values()), "verdicts": dict(c)}
        for (checker, family, mode), c in counts.items()
    ]  # fmt: skip
    for row in rows:  # how many misses fast mode may have, by what is stated of it
        if (row["checker"], row["mode"]) == (OURS, "fast") and odds:
            row["stated_misses"] = odds[row["family"]]
    return rows


def bad(row: dict[str, Any]) -> int:
    """False alarms of a row, or misses."""
    verdicts = row["verdicts"]
    if row["functions"] == "wrong":
        return int(verdicts.get("pass", 0))
    harmless = ("pass", "kink", "too noisy")  # ours says which; PyTorch's fails
    return int(sum(n for verdict, n in verdicts.items() if verdict not in harmless))


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: false alarms and misses by family, a column for each check."""
    checks = list(dict.fromkeys((r["checker"], r["mode"]) for r in rows))
    heads = [f"{checker} {mode}" for checker, mode in checks]
    lines = []
    for kind, title in (("right", "right functions: false alarms"),
                        ("wrong", "corrupted functions: misses")):  # fmt: skip
        own = [r for r in rows if r["functions"] == kind]
        families = list(dict.fromkeys(r["family"] for r in own))
        if not own:
            continue
        lines += [f"| {title} | functions | {' | '.join(heads)} |",
                  "|---|--:|" + "--:|" * len(heads)]  # fmt: skip
        totals, every = Counter[tuple[str, str]](), 0
        for family in families:
            here = {(r["checker"], r["mode"]): r for r in own if r["family"] == family}
            count = next(iter(here.values()))["count"]
            every += count
            cells = []
            for check in checks:
                totals[check] += bad(here[check])
                cells.append(str(bad(here[check])))
            lines.append(f"| {family} | {count} | {' | '.join(cells)} |")
        cells = [str(totals[check]) for check in checks]
        lines += [f"| **all** | {every} | {' | '.join(cells)} |", ""]
    return lines


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="functions of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    checkers = [name for name in CHECKERS if name == OURS or find_spec("torch")]
    rows = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for kind in ("right", "wrong"):
            one = partial(judged, kind, checkers, options.seed)
            found = pool.map(one, range(options.count), chunksize=20)
            rows += rows_of(kind, chain.from_iterable(found))
    print("\n".join(table(rows)))
    for kind in ("right", "wrong"):
        total: Counter[str] = Counter()
        for row in rows:
            if (row["functions"], row["checker"]) == (kind, OURS):
                total.update(row["verdicts"])
        print(f"ours, {kind}: {', '.join(f'{n} {v}' for v, n in total.most_common())}")
    bound = sum(row.get("stated_misses", 0.0) for row in rows)
    print(f"ours, wrong, fast: at most {bound:.2f} misses expected")
    if options.json:
        write_results(options.json, "gradcheck", environment(), rows, seed=options.seed)


if __name__ == "__main__":
    main()
