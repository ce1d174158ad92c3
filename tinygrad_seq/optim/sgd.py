"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from tinygrad_seq.backend import Array, xp_of
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.optim.optimizer import Group, Optimizer, Params, flags, in_range


class SGD(Optimizer):
    """Gradient descent with momentum μ and dampening τ.

    ::

        g ← g + weight_decay·p                  (−g to maximise)
        b ← μ·b + (1 − τ)·g                     (b ← g the first time)
        p ← p − lr·b                            (lr·(g + μ·b) with Nesterov)

    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", in
    PyTorch's form, where lr stands outside the momentum.
    """

    kept = ("momentum_buffer",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ):
        options = {"lr": lr, "momentum": momentum, "dampening": dampening,
                   "weight_decay": weight_decay, "nesterov": nesterov,
                   "maximize": maximize}  # fmt: skip
        super().__init__(params, options)

    def check(self, options: Group) -> None:
        """lr, momentum, weight_decay ≥ 0; Nesterov needs momentum and no dampening."""
        for name in ("lr", "momentum", "weight_decay"):
            in_range("SGD", options, name, 0)
        in_range("SGD", options, "dampening", float("-inf"))
        flags("SGD", options, "nesterov", "maximize")
        ok = not options["nesterov"] or (options["momentum"] > 0 and options["dampening"] == 0)
        got = f"momentum {options['momentum']}, dampening {options['dampening']}"
        expect(ok, "SGD", "momentum > 0 and dampening 0 with nesterov", got, ArgumentError)

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Group) -> None:
        """One step for one parameter."""
        xp, scratch = xp_of(p), self.scratch(p)
        g = self.decayed(p, g, group, group["weight_decay"])
        momentum = group["momentum"]
        if momentum:
            first = "momentum_buffer" not in state
            b = self.buffer(state, "momentum_buffer", p)
            if first:
                b[...] = g
            else:
                b *= momentum
                xp.multiply(g, 1 - group["dampening"], out=scratch)
                b += scratch
            if group["nesterov"]:
                xp.multiply(b, momentum, out=scratch)
                scratch += g
                g = scratch
            else:
                g = b
        xp.multiply(g, group["lr"], out=scratch)
        p -= scratch
