"""``tinygrad-seq ops``: the table of every op."""

from __future__ import annotations

import textwrap

from tinygrad_seq.cli.console import console
from tinygrad_seq.ops import Primitive, registry

COLUMNS = "{:<34} {:<24} {}"


def ops() -> None:
    """List every op: its formula, its NumPy twin, and how often it can be differentiated."""
    screen = console()
    screen.print(COLUMNS.format("op", "NumPy", "orders"))
    for name, op in sorted(registry.items()):
        screen.print(COLUMNS.format(name, twin(op), orders(op)))
        screen.print(_indented(formula(op)))
        if op.differentiable:
            screen.print(_indented(f"gradient for {', '.join(op.differentiable)}"))
    screen.print(
        f"\n{len(registry)} ops. orders: 'any' by the op's own rule; 'any*' from the second on by "
        "way of\nits composition in other ops."
    )


def _indented(text: str) -> str:
    return textwrap.fill(text, 76, initial_indent="    ", subsequent_indent="    ")


def formula(op: Primitive) -> str:
    """The first paragraph line of the docstring: what the op is."""
    return (op.__doc__ or "").strip().split("\n")[0]


def twin(op: Primitive) -> str:
    """The NumPy function that the op mirrors."""
    return "-" if op.numpy is None else f"np.{op.numpy.__name__}"


def orders(op: Primitive) -> str:
    """How often the op can be differentiated, and by what."""
    if not op.differentiable:
        return "-"
    return "any" if op.composition is None else "any*"
