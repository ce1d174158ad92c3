"""The plan of a derivative: what the tape keeps of a call, and how the rules are called later.

Which inputs need a gradient differs from call to call, but takes few forms. For each there is one
plan, made once: two lambdas written out in full, since looping over argument lists anew for every
node would cost as much as the arithmetic on small arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_seq.errors import GraphError

if TYPE_CHECKING:
    from tinygrad_seq.ops.primitive import Primitive


class Rule(NamedTuple):
    """One derivative and, in its own order, the names of what it wants to be given."""

    fn: Callable[..., Any]
    wants: tuple[str, ...]


class Plan(NamedTuple):
    """What to save and how to differentiate, once it is known which inputs need a gradient."""

    op: Primitive
    #: the inputs that need a gradient, by position
    inputs: tuple[int, ...]
    #: the names of what is saved; ``<name>_shape`` stands for a shape only
    saved: tuple[str, ...]
    #: (parameters, outputs, residuals) → the tuple of what is saved
    save: Callable[..., tuple[Any, ...]]
    #: (g, saved) → the gradients of ``inputs``, or of each member of a list of arrays
    differentiate: Callable[[Any, Sequence[Any]], Sequence[Any]]


class Plans(dict[int, "Plan | None"]):
    """The plans of an op: bit i of the key is set if input i needs a gradient.

    None for an op that no gradient flows through. An input without a rule raises.
    """

    def __init__(self, op: Primitive):
        super().__init__()
        self.op = op

    def __missing__(self, needs: int) -> Plan | None:
        self[needs] = plan = make_plan(self.op, needs)
        return plan


def make_plan(op: Primitive, needs: int) -> Plan | None:
    """The plan for the inputs whose bits are set in ``needs``."""
    if not op.differentiable:
        return None
    inputs = tuple(i for i in range(op.arity) if needs >> i & 1)
    for i in inputs:
        if op.params[i] not in op.differentiable:
            raise GraphError(f"{op.name}: there is no gradient for {op.params[i]!r}; detach() it")
    rules = [op.joint] if op.joint else [op.rules[op.params[i]] for i in inputs]
    wanted = dict.fromkeys(want for rule in rules for want in rule.wants if want != "needs")
    saved = tuple(wanted)

    names = (*op.params, *op.outputs, *op.residuals)
    picks = [w if w in names else f"_shape({w.removesuffix('_shape')})" for w in saved]
    save = eval(f"lambda {', '.join(names)}: {_tuple(picks)}", {"_shape": _shape})

    place = {want: f"saved[{i}]" for i, want in enumerate(saved)} | {"needs": "needs"}
    scope: dict[str, Any] = {"needs": tuple(bool(needs >> i & 1) for i in range(op.arity))}
    calls = []
    for k, rule in enumerate(rules):
        scope[f"rule{k}"] = rule.fn
        calls.append(f"rule{k}({', '.join(['g', *(place[w] for w in rule.wants)])})")
    if op.joint is None:
        body = _tuple(calls)
    elif op.sequence:
        body = calls[0]
    else:  # the joint rule answers for every differentiable input; keep what is needed
        answers = [op.differentiable.index(op.params[i]) for i in inputs]
        scope["keep"] = lambda given: [given[i] for i in answers]
        body = f"keep({calls[0]})"
    return Plan(op, inputs, saved, save, eval(f"lambda g, saved: {body}", scope))


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)},)" if items else "()"


def _shape(value: Any) -> Any:
    """The shape of an array (``()`` of a number), or of each member of a list."""
    return [v.shape for v in value] if isinstance(value, list) else getattr(value, "shape", ())
