"""Where a derivative can be corrupted: a rule of an op, or the whole gradient of an input.

A mistake in a rule is made by putting a wrong rule in its place for the length of a ``with`` block.
A mistake in the whole gradient is made where it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.autograd.modes import Listener, modes, switched
from tinygrad_seq.gradcheck.corruptions import Call, Change
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.ops.plan import Rule
from tinygrad_seq.ops.primitive import Primitive


@dataclass(frozen=True)
class Site:
    """A gradient that can be made wrong: of input ``target`` of ``op``, or of variable ``target``
    of the function where ``op`` is None."""

    op: Primitive | None
    #: the input's name; a member of a list of arrays, or a variable, by its number
    target: str | int
    name: str

    def corrupt(self, subject: Subject, change: Change, made: list[bool]) -> Any:
        """A ``with`` block in which this gradient is wrong. ``made`` collects, for every time it is
        asked for, whether the mistake could be made at all."""

        def change_or_not(call: Call) -> Any:
            wrong = change(call)
            made.append(wrong is not None)
            return call.answer if wrong is None else wrong

        if self.op is None:
            return _arriving(subject, int(self.target), change_or_not)
        return _ruling(self.op, self.target, change_or_not)


def sites_of(subject: Subject) -> list[Site]:
    """The gradient of every variable, and every rule that leads to it, each op's once."""
    seen = _Rules()
    with switched("listeners", (*modes.listeners, seen)), subject.record(subject.point):
        pass
    whole = [Site(None, k, v.name) for k, v in enumerate(subject.variables)]
    return [*whole, *rule_sites(seen.found)]


def rule_sites(found: Sequence[tuple[Primitive, str]]) -> list[Site]:
    """A site for each (op, input); two for a list of arrays: its first members."""
    sites = []
    for op, name in found:
        if op.sequence and name == op.params[0]:
            sites += [Site(op, i, f"{op.name} by {name}[{i}]") for i in (0, 1)]
        else:
            sites.append(Site(op, name, f"{op.name} by {name}"))
    return sites


class _Rules(Listener):
    """Collects which op was differentiated by which input."""

    def __init__(self) -> None:
        self._found: dict[tuple[Primitive, str], None] = {}

    def recorded(self, op: Any, values: Sequence[Any], results: Sequence[Any]) -> None:
        place = next((r._node for r in results if r._node is not None), None)
        node = getattr(place, "parent", place)  # an output of an op with several
        if node is not None:
            for i in node.plan.inputs:
                self._found[op, op.params[i]] = None

    @property
    def found(self) -> list[tuple[Primitive, str]]:
        return list(self._found)


@contextmanager
def _arriving(subject: Subject, k: int, change: Callable[[Call], Any]) -> Iterator[None]:
    variable = subject.variables[k]

    def hook(g: Tensor) -> Tensor:
        def rule(g: Any, saved: Any) -> Any:
            return data

        data = g.data
        return Tensor(change(Call(rule, None, (), None, lambda g, saved: ())))

    variable.hooks.append(hook)
    try:
        yield
    finally:
        variable.hooks.remove(hook)


@contextmanager
def _ruling(op: Primitive, target: str | int, change: Callable[[Call], Any]) -> Iterator[None]:
    """``op`` with another rule. The plans that hold the right one are made anew."""
    rules, joint = dict(op.rules), op.joint
    op.plans.clear()
    if joint is not None:
        op.joint = _joint(op, joint, target, change)
    else:
        op.rules[str(target)] = _separate(op, str(target), change)
    try:
        yield
    finally:
        op.rules.update(rules)
        op.joint = joint
        op.plans.clear()


def _separate(op: Primitive, name: str, change: Callable[[Call], Any]) -> Rule:
    """A rule of its own, which is given what the other rules need as well."""
    right = op.rules[name]
    rest = [rule for other, rule in op.rules.items() if other != name]
    wants = dict.fromkeys([*right.wants, *(w for r in rest for w in r.wants), f"{name}_shape"])
    order = list(wants)

    def picked(rule: Rule, saved: Sequence[Any]) -> list[Any]:
        return [saved[order.index(want)] for want in rule.wants]

    def others(g: Any, saved: Sequence[Any]) -> list[Any]:
        return [rule.fn(g, *picked(rule, saved)) for rule in rest]

    def wrong(g: Any, *saved: Any) -> Any:
        rule = lambda g, saved: right.fn(g, *picked(right, saved))
        return change(Call(rule, g, saved, tuple(saved[-1]), others))

    order.remove(f"{name}_shape")  # last, where ``wrong`` looks for it
    order.append(f"{name}_shape")
    return Rule(wrong, tuple(order))


def _joint(op: Primitive, right: Rule, target: str | int, change: Callable[[Call], Any]) -> Rule:
    """A joint rule that is wrong in one of its answers."""
    which = target if isinstance(target, int) else op.differentiable.index(target)

    def one(g: Any, saved: Sequence[Any]) -> Any:
        return right.fn(g, *saved)[which]

    def others(g: Any, saved: Sequence[Any]) -> list[Any]:
        answers = right.fn(g, *saved)
        return [a for i, a in enumerate(answers) if i != which]

    def wrong(g: Any, *saved: Any) -> Any:
        answers = list(right.fn(g, *saved))
        if which < len(answers) and answers[which] is not None:
            answers[which] = change(Call(one, g, saved, None, others))
        return answers

    return Rule(wrong, right.wants)
