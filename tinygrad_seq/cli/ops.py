"""``tinygrad-seq ops``: the table of every op."""

from __future__ import annotations

import textwrap

from tinygrad_seq.cli.console import console
from tinygrad_seq.ops import Primitive, registry

COLUMNS = "{:<26} {:<20} {:<24} {}"


def ops() -> None:
    """List every op: its formula, its NumPy twin, and how often it can be differentiated."""
    screen = console()
    screen.print(COLUMNS.format("op", "NumPy", "gradient for", "orders"))
    for name, op in sorted(registry.items()):
        inputs = " ".join(op.differentiable) or "-"
        screen.print(COLUMNS.format(name, twin(op), inputs, orders(op)))
        screen.print(
            textwrap.fill(formula(op), 76, initial_indent="    ", subsequent_indent="    ")
        )
    screen.print(
        f"\n{len(registry)} ops. orders: 'any' by the op's own rule; 'any*' from the second on by "
        "way of\nits composition in other ops."
    )


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
