"""Run a recurrent model step by step and write everything down."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, enable_grad, grad
from tinygrad_seq.bptt.ledger.gates import highways, pascanu
from tinygrad_seq.bptt.ledger.models import Model, host, model_of, weights_of
from tinygrad_seq.bptt.ledger.record import Ledger
from tinygrad_seq.bptt.ledger.steps import Part, Segment, Steps
from tinygrad_seq.errors import ArgumentError, DTypeError, GraphError, expect
from tinygrad_seq.gradcheck.references import (
    buffers_of,
    generators_of,
    modules_of,
    named_parameters,
)
from tinygrad_seq.gradcheck.replay import Replay

Loss = Callable[[Tensor, int], Tensor | None]


def run(model: Any, inputs: Any, loss: Loss, initial: Any, params: Any) -> Ledger:
    """What ``ledger`` does; its arguments are explained there."""
    expect(callable(loss), "ledger", "a function loss(h, t)", type(loss).__name__, ArgumentError)
    modules = _modules(model, loss)
    leaves = _parameters(model, modules, params)
    with enable_grad():
        known = model_of(model, inputs, initial)
        with _same_start(modules):
            found = _ordinary(known, loss, leaves)
        with _same_start(modules):
            steps, losses = _recorded(known, loss, leaves)
    carried, credit = _credit(steps)
    shares = _shares(steps, carried, losses)
    _expect_sum(shares, found)
    states, gates = _states(steps), _gates(steps)
    return Ledger(
        kind=known.kind,
        nonlinearity=getattr(model, "nonlinearity", None) if known.kind == "RNN" else None,
        inputs=_inputs(known, steps),
        states=states,
        gates=gates,
        losses=losses,
        credit=credit,
        carried=carried,
        shares=shares,
        grad=found,
        weights={name: host(p) for name, p in leaves.items()},
        bound=pascanu(model, known.kind, len(losses)),
        highway=highways(gates) if known.kind == "LSTM" else None,
        _steps=steps,
    )


# ---------------------------------------------------------------------- what takes part


def _modules(model: Any, loss: Any) -> dict[str, Any]:
    """All modules that take part, under distinct names; the model's has none."""
    found = _named(model)
    for name, module in _named(loss).items():
        known = any(module is other for other in found.values())
        if not known:
            found[name if name not in found else f"loss.{name}".rstrip(".")] = module
    return found


def _named(fn: Any) -> dict[str, Any]:
    """The modules that a function refers to, by the names it uses; "" is for what is one itself."""
    found = modules_of(fn)
    if set(found) == {""} and inspect.isfunction(fn):
        closure = inspect.getclosurevars(fn)
        names = {**closure.globals, **closure.nonlocals}
        found = {next((n for n, v in names.items() if v is found[""]), ""): found[""]}
    return found


def _parameters(model: Any, modules: dict[str, Any], params: Any) -> dict[str, Tensor]:
    """Every parameter that requires grad, once, by name; the model's first."""
    own = weights_of(model)
    seen = {id(p) for p in own.values()}
    leaves = dict(own)
    for name, p in named_parameters(modules, params):
        if id(p) not in seen:
            seen.add(id(p))
            leaves[_free(name, leaves)] = p
    return {name: p for name, p in leaves.items() if p.requires_grad}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a prefix if another parameter has it already."""
    while name in taken:
        name = f"loss.{name}"
    return name


@contextmanager
def _same_start(modules: dict[str, Any]) -> Iterator[None]:
    """A run that starts from the random streams and buffers as they are, and leaves them so."""
    with Replay(generators_of(modules), buffers_of(modules)).run():
        yield


# ---------------------------------------------------------------------- the two runs


def _ordinary(model: Model, loss: Loss, leaves: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """parameter → ∂L/∂θ by one backward pass through a run as users run it."""
    values = [_loss_at(loss, h, t) for t, h in enumerate(model.outputs(), 1)]
    terms = [value for value in values if value is not None]
    found = {name: np.zeros(p.shape, p.dtype) for name, p in leaves.items()}
    live = [term for term in terms if term.requires_grad]
    if live and leaves:
        got = grad(live, list(leaves.values()), retain_graph=True, allow_unused=True)
        found |= {n: host(g) for n, g in zip(leaves, got, strict=True) if g is not None}
    return found


def _recorded(model: Model, loss: Loss, leaves: Mapping[str, Tensor]) -> tuple[Steps, np.ndarray]:
    """The same run, each step on a tape of its own → the steps, and L_t (T+1,)."""
    initial = model.initial()
    history = model.history()
    state: Sequence[Tensor] = initial
    segments: list[Segment] = []
    values = [0.0]
    for t in range(1, len(model.x) + 1):
        before = [_leaf(h) for h in state]
        step = model.step(t, before)
        # An ordinary run may round otherwise; a net that explodes would not forgive that later.
        state = step.after if history is None else history[t - 1]
        seen = [_leaf(h) for h in state]
        value = _loss_at(loss, model.seen(seen), t)
        gates = {name: host(gate) for name, gate in step.gates.items()}
        segments.append(Segment(before, step.after, seen, value, gates))
        values.append(0.0 if value is None else float(value.item()))
    parts = _parts(model, segments[-1].after)
    steps = Steps(parts, initial, segments, leaves)
    return steps, np.array(values, steps.dtype)


def _leaf(tensor: Tensor) -> Tensor:
    real = tensor.dtype.kind == "f"
    expect(real, "ledger", "a state of real numbers", tensor.dtype, DTypeError)
    return Tensor(tensor.data).requires_grad_()


def _loss_at(loss: Loss, h: Tensor, t: int) -> Tensor | None:
    value = loss(h, t)
    if value is None:
        return None
    scalar = isinstance(value, Tensor) and value.size == 1
    got = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
    expected = f"a scalar Tensor or None from loss(h, {t})"
    expect(scalar, "ledger", expected, got, ArgumentError)
    return value


def _parts(model: Model, state: Sequence[Tensor]) -> list[Part]:
    """The names and shapes of the state's tensors, whose rows must be as many."""
    names = model.names(len(state))
    parts = [Part(name, h.shape) for name, h in zip(names, state, strict=True)]
    shapes = [part.shape for part in parts]
    ok = all(len(shape) <= 2 and 0 not in shape for shape in shapes)
    ok = ok and len({part.rows for part in parts}) == 1
    expect(ok, "ledger", "states of shape (B, H), (H,) or ()", shapes)
    return parts


# ---------------------------------------------------------------------- what follows


def _credit(steps: Steps) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """λ (T+1, T+1, B, S) and, for each tensor of the state, C (T+1, T+1, B, H)."""
    times = len(steps.segments) + 1
    carried = np.zeros((times, times, *steps.shape), steps.dtype)
    total = np.zeros_like(carried)
    for s in range(1, times):
        carried[s, s] = steps.loss_gradient(s)
        if not carried[s, s].any():
            continue
        for t in range(s, 0, -1):
            carried[s, t - 1], total[s, t] = steps.back(t, carried[s, t])
        total[s, 0] = carried[s, 0]
    ends = np.cumsum([part.width for part in steps.parts])[:-1]
    pieces = np.split(total, ends, axis=3)
    return carried, {part.name: piece for part, piece in zip(steps.parts, pieces, strict=True)}


def _shares(steps: Steps, carried: np.ndarray, losses: np.ndarray) -> dict[str, np.ndarray]:
    """parameter → what each step adds to its gradient (T+1, *θ.shape)."""
    each = [steps.share(carried, range(t, len(losses)), t) for t in range(len(losses))]
    return {name: np.stack([share[name] for share in each]) for name in steps.parameters}


def _expect_sum(shares: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> None:
    """The steps' shares must be the ordinary gradient: a rule that mistakes one step for another,
    or a loss that looks at more than its own step, shows here."""
    for name, share in shares.items():
        if not np.isfinite(share).all() or not np.isfinite(found[name]).all():
            continue  # a net that has exploded beyond all numbers has no gradient to compare
        size = np.abs(share).sum(axis=0).max(initial=0.0)
        error = np.abs(share.sum(axis=0) - found[name]).max(initial=0.0)
        tolerance = 4096 * float(np.finfo(share.dtype).eps) * size
        if error > tolerance:
            raise GraphError(
                f"ledger: expected the shares of {name} to sum to its gradient within "
                f"{tolerance:.3g}, got a difference of {error:.3g}: a derivative is wrong, or the "
                "model or loss takes another path when it is run step by step"
            )


def _states(steps: Steps) -> dict[str, np.ndarray]:
    """name → the state at t (T+1, B, H)."""
    states = {}
    for k, part in enumerate(steps.parts):
        first = part.matrix(host(steps.initial[k])) if steps.initial else None
        rest = [part.matrix(host(segment.seen[k])) for segment in steps.segments]
        first = np.zeros_like(rest[0]) if first is None else first
        states[part.name] = np.stack([first, *rest]).astype(steps.dtype)
    return states


def _gates(steps: Steps) -> dict[str, np.ndarray]:
    """name → the gate at t (T+1, B, H), 0 at t = 0."""
    names = steps.segments[0].gates
    return {
        name: np.stack([np.zeros_like(names[name]), *(s.gates[name] for s in steps.segments)])
        for name in names
    }


def _inputs(model: Model, steps: Steps) -> np.ndarray:
    """x_t (T+1, B, D), 0 at t = 0."""
    x = host(model.x)
    rows = steps.shape[0]
    per_row = x.ndim > 1 and x.shape[1] == rows
    x = x.reshape(len(x), rows if per_row else 1, -1).astype(steps.dtype)
    x = np.broadcast_to(x, (len(x), rows, x.shape[2]))
    return np.concatenate([np.zeros_like(x[:1]), x])
