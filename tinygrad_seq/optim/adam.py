"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_seq.backend import Array, xp_of
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.optim.optimizer import Group, Optimizer, Params, flags, in_range


class Adam(Optimizer):
    """Adam: steps of about ``lr``, whatever the size of the gradient.

    ::

        g ← g + weight_decay·p                  (−g to maximise)
        m ← β₁·m + (1 − β₁)·g
        v ← β₂·v + (1 − β₂)·g²
        p ← p − lr · m̂ / (√v̂ + ε),             m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)

    Kingma and Ba 2015, arXiv:1412.6980, algorithm 1. amsgrad: the largest v so far takes v's place
    (Reddi et al. 2018). eps_inside: ε stands under the root, beside the uncorrected average:
    p ← p − lr · √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/√(v + ε). That damps small gradients far more: with the
    default ε, the first step for g = 1e-6 is 3.16e-4·lr in place of 0.990·lr.
    """

    kept = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    #: whether weight decay shrinks the parameter directly instead of going through the averages
    decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        maximize: bool = False,
        eps_inside: bool = False,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                   "amsgrad": amsgrad, "maximize": maximize,
                   "eps_inside": eps_inside}  # fmt: skip
        super().__init__(params, options)

    def check(self, options: Group) -> None:
        """lr, eps, weight_decay ≥ 0; two betas in [0, 1)."""
        name = type(self).__name__
        for option in ("lr", "eps", "weight_decay"):
            in_range(name, options, option, 0)
        betas = options["betas"]
        ok = isinstance(betas, (tuple, list)) and len(betas) == 2
        expect(ok, name, "a pair of betas", repr(betas), ArgumentError)
        for i in range(2):
            in_range(name, {f"betas[{i}]": betas[i]}, f"betas[{i}]", 0, 1)
        flags(name, options, "amsgrad", "maximize", "eps_inside")

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Group) -> None:
        """One step for one parameter.

        Bias correction is a matter of numbers, not arrays: with r = √(1 − β₂ᵗ),
        m̂/(√v̂ + ε) = r/(1 − β₁ᵗ) · m/(√v + ε·r).
        """
        xp, s = xp_of(p), self.scratch(p)
        lr, (b1, b2), eps = group["lr"], group["betas"], group["eps"]
        step = state["step"] = state.get("step", 0) + 1
        if self.decoupled and group["weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        g = self.decayed(p, g, group, 0 if self.decoupled else group["weight_decay"])

        m = self.buffer(state, "exp_avg", p)
        xp.subtract(g, m, out=s)
        s *= 1 - b1
        m += s

        v = self.buffer(state, "exp_avg_sq", p)
        v *= b2
        xp.multiply(g, g, out=s)
        s *= 1 - b2
        v += s
        if group["amsgrad"]:
            largest = self.buffer(state, "max_exp_avg_sq", p)
            xp.maximum(largest, v, out=largest)
            v = largest

        root = math.sqrt(1 - b2**step)
        if group["eps_inside"]:
            xp.add(v, eps, out=s)
            xp.sqrt(s, out=s)
        else:
            xp.sqrt(v, out=s)
            s += eps * root
        xp.divide(m, s, out=s)
        s *= lr * root / (1 - b1**step)
        p -= s


class AdamW(Adam):
    """Adam with decoupled weight decay: p ← (1 − lr·weight_decay)·p, then Adam's step.

    Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        maximize: bool = False,
        eps_inside: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize, eps_inside)
