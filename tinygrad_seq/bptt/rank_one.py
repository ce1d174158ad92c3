"""A forward gradient at the price of a backward one: the influence as a random outer product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Array, Generator, default_generator, transfer, xp_of
from tinygrad_seq.bptt.influence import OnlineWindow
from tinygrad_seq.bptt.local import LocalStep, add_to_grads, expect_parameters, size_of
from tinygrad_seq.bptt.state import detach_state, tensors_of
from tinygrad_seq.bptt.window import LongSequence, Step
from tinygrad_seq.errors import ArgumentError, expect


def uoro(
    step: Step,
    inputs: Any,
    targets: Any,
    parameters: Iterable[Tensor],
    state: Any = None,
    *,
    influence: tuple[Array, Array] | None = None,
    generator: Generator | None = None,
    eps: float = 1e-7,
) -> Iterator[OnlineWindow]:
    """Unbiased online recurrent optimisation: RTRL with an influence of rank one.

    The influence ∂s_t/∂θ is estimated by s̃_t θ̃_tᵀ, two vectors in place of a matrix. With
    s_t = F(x_t, s_{t−1}, θ) and ν a vector of random signs, drawn anew at each step,

        dL_t/dθ ≈ (∂L_t/∂s_{t−1} · s̃) θ̃ + ∂L_t/∂θ
        s̃ ← ρ0 (∂F/∂s_{t−1}) s̃ + ρ1 ν,    θ̃ ← θ̃/ρ0 + (νᵀ ∂F/∂θ)/ρ1
        ρ0 = √((‖θ̃‖ + ε) / (‖(∂F/∂s_{t−1}) s̃‖ + ε)),    ρ1 = √((‖νᵀ ∂F/∂θ‖ + ε) / (‖ν‖ + ε))

    E[ν νᵀ] = 1 and E[ν] = 0 make the mean of s̃ θ̃ᵀ the influence, and the mean of the gradient
    that of ``rtrl``, whatever ρ0 and ρ1; these keep the variance small by giving the two factors of
    each product the same norm. A step costs about three backward passes, in time and in memory.

    Parameters, state and what is handed out are those of ``rtrl``; the influence is (s̃, θ̃).
    generator: where the signs come from. eps: ε. Raises what ``rtrl`` raises, and ArgumentError
    unless ε > 0. Source: Tallec and Ollivier, Unbiased Online Recurrent Optimization, 2017,
    arXiv:1702.05043.
    """
    expect(eps > 0, "uoro", "eps > 0", eps, ArgumentError)
    sequence = LongSequence.of("uoro", step, inputs, targets)
    chosen = expect_parameters("uoro", parameters)
    sizes = size_of(tensors_of(state, "uoro")), size_of(chosen)
    if influence is None:
        zeros, dtype = xp_of(chosen[0].data).zeros, chosen[0].dtype
        influence = zeros(sizes[0], dtype), zeros(sizes[1], dtype)
    got = tuple(len(part) for part in influence)
    expect(got == sizes, "uoro", f"influence of two vectors of sizes {sizes}", got)
    signs = generator or default_generator()
    return _uoro(sequence, chosen, detach_state(state), influence, signs, eps)


def _uoro(
    sequence: LongSequence,
    parameters: list[Tensor],
    state: Any,
    influence: tuple[Array, Array],
    generator: Generator,
    eps: float,
) -> Iterator[OnlineWindow]:
    s, th = influence  # s̃ and θ̃
    for t in range(sequence.steps):
        local = LocalStep(sequence, t, state, parameters)
        by_state, by_parameters = local.gradient_of_loss()
        add_to_grads(parameters, (by_state @ s) * th + by_parameters)

        nu = _signs(generator, local)
        pushed = local.forth(s)
        _, pulled = local.back(nu)
        rho0, rho1 = _ratio(th, pushed, eps), _ratio(pulled, nu, eps)
        s, th = rho0 * pushed + rho1 * nu, th / rho0 + pulled / rho1
        state = local.state
        yield OnlineWindow(t, t + 1, local.loss, state, t, (s, th), boundary=state)


def _signs(generator: Generator, local: LocalStep) -> Array:
    """ν: −1 and 1, each as likely as the other."""
    signs = 2 * generator.integers(0, 2, (local.size,)) - 1
    return transfer(signs.astype(local.like.dtype), local.device)


def _ratio(a: Array, b: Array, eps: float) -> Array:
    """√((‖a‖ + ε) / (‖b‖ + ε)), a number on the device."""
    norm = xp_of(a).linalg.norm
    return xp_of(a).sqrt((norm(a) + eps) / (norm(b) + eps))
