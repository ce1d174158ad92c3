"""What the recurrent kernels share: the projections into a step, and the way back through them.

A step's inputs arrive as y = W v + b, or with layer normalisation as

    y = γ ⊙ LN(W v) + b,    LN(u) = (u − mean u)/√(var u + ε)

where v is x_t or h_{t−1}. The bias b is the shift of the normalisation too. (Ba et al. 2016)
In arrays the batch comes first, so a vector W v of the formulas reads ``v @ W.T`` here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_seq.backend import Array, xp_of


def logistic(a: Array) -> Array:
    """σ(a) = 1/(1 + e⁻ᵃ) = (1 + tanh(a/2))/2. The form with tanh overflows nowhere."""
    return 0.5 * xp_of(a).tanh(0.5 * a) + 0.5


def normalised(u: Array, eps: float) -> tuple[Array, Array]:
    """LN(u) along the last axis, and 1/√(var u + ε)."""
    d = u - u.mean(axis=-1, keepdims=True)
    rate = 1 / xp_of(u).sqrt((d * d).mean(axis=-1, keepdims=True) + eps)
    return d * rate, rate


def through_norm(g: Array, u: Array, gain: Array, eps: float) -> Array:
    """δu from g = δ(γ ⊙ LN(u)): (d − mean d − û·mean(d·û))/√(var u + ε) with d = g ⊙ γ."""
    u_hat, rate = normalised(u, eps)
    d = g * gain
    mean, share = (v.mean(axis=-1, keepdims=True) for v in (d, d * u_hat))
    return rate * (d - mean - u_hat * share)


def project(v: Array, w: Array, bias: Array | None, gain: Array | None, eps: float) -> Array:
    """y as this module's docstring has it: v (…, n), w (m, n) → (…, m)."""
    y = v @ w.T
    y = y if gain is None else gain * normalised(y, eps)[0]
    return y if bias is None else y + bias


def project_back(dy: Array, v: Array, w: Array, gain: Array | None, eps: float) -> Array:
    """δ(W v) from δy. W v is computed again rather than kept."""
    return dy if gain is None else through_norm(dy, v @ w.T, gain, eps)


def weight_gradients(
    dy: Array, v: Array, w: Array, gain: Array | None, eps: float, needs: Sequence[bool]
) -> list[Array | None]:
    """δW = Σ_t δ(W v)_t v_tᵀ,  δb = Σ_t δy_t,  δγ = Σ_t δy_t ⊙ LN(W v)_t, for dy and v (T, B, …).

    One set of weights serves all steps, so its gradient is the sum of what the steps say (and of
    what the rows of the batch say). → [δW, δb, δγ], None where not needed.
    """
    need_w, need_bias, need_gain = needs
    xp, over_steps_and_rows = xp_of(v), ((0, 1), (0, 1))
    du = project_back(dy, v, w, gain, eps) if need_w else None
    return [
        xp.tensordot(du, v, axes=over_steps_and_rows) if need_w else None,
        dy.sum(axis=(0, 1)) if need_bias else None,
        (dy * normalised(v @ w.T, eps)[0]).sum(axis=(0, 1)) if need_gain else None,
    ]


def held(old: Array, new: Array, hold: Array | None) -> Array:
    """hold ⊙ old + (1 − hold) ⊙ new: zoneout, which keeps a share of the old state."""
    return new if hold is None else hold * old + (1 - hold) * new


def at_step(values: Array | None, t: int) -> Array | None:
    """The values of step t; those of the only step there is, where one stands for all."""
    return None if values is None else values[t if len(values) > 1 else 0]


def times(a: Array, factors: Array | None) -> Array:
    """a ⊙ factors, or a where there are none."""
    return a if factors is None else a * factors


def before(h0: Array, output: Array) -> Array:
    """h_0 … h_{T−1}: what each step began with."""
    return xp_of(h0).concatenate([h0[None], output[:-1]])


def zeros_for_none(g: Array | None, like: Array) -> Array:
    """A gradient, of zeros where nobody asked for one."""
    return xp_of(like).zeros_like(like) if g is None else g


def any_given(options: Mapping[str, Any]) -> bool:
    """Whether any option but ε is in use."""
    return any(value is not None for name, value in options.items() if name != "eps")
