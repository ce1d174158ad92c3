"""The derivatives of one step of a recurrence, with the state before it held constant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, enable_grad, grad
from tinygrad_seq.backend import Array, xp_of
from tinygrad_seq.bptt.state import detach_state, rebuilt, tensors_of
from tinygrad_seq.bptt.window import LongSequence
from tinygrad_seq.errors import ArgumentError, expect


class LocalStep:
    """s_t = F(x_t, s_{t−1}, θ) and L_t, and products with their derivatives.

    States and parameters appear as vectors: all their tensors flattened, one after another.
    """

    def __init__(self, sequence: LongSequence, t: int, state: Any, parameters: Sequence[Tensor]):
        before = tensors_of(state, sequence.op)
        self.before = [Tensor(tensor.data).requires_grad_() for tensor in before]
        self.parameters = parameters
        self.like = parameters[0].data
        with enable_grad():
            loss, after = sequence.run(t, t + 1, rebuilt(state, self.before))
            flat = [ops.reshape(s, (-1,)) for s in tensors_of(after, sequence.op)]
            self.after = ops.concatenate(flat) if flat else Tensor(self.zeros((0,)))
        self.size_before = size_of(before)
        self.size = self.after.size
        self.columns = size_of(parameters)
        self.device = parameters[0].device
        self._loss = loss
        self.loss = loss.detach()
        self.state = detach_state(after)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        """Zeros beside the parameters."""
        return xp_of(self.like).zeros(shape, self.like.dtype)

    def gradient_of_loss(self) -> tuple[Array, Array]:
        """∂L_t/∂s_{t−1} and ∂L_t/∂θ, what came before held constant."""
        return self._back(self._loss, None)

    def back(self, v: Array) -> tuple[Array, Array]:
        """vᵀ ∂F/∂s_{t−1} and vᵀ ∂F/∂θ."""
        return self._back(self.after, v)

    def forth(self, tangent: Array) -> Array:
        """(∂F/∂s_{t−1}) · tangent.

        vᵀ ∂F/∂s_{t−1} is linear in v: its own derivative, applied to the tangent, is the product.
        """
        v = Tensor(self.zeros((self.size,))).requires_grad_()
        if not self.after.requires_grad or not self.before:
            return v.data
        found = grad(self.after, self.before, v, create_graph=True, allow_unused=True)
        tangents = parted(tangent, self.before)
        pairs = [(g, d) for g, d in zip(found, tangents, strict=True) if g is not None]
        pairs = [(g, d) for g, d in pairs if g.requires_grad]
        if not pairs:
            return v.data
        (product,) = grad([g for g, _ in pairs], [v], [d for _, d in pairs], allow_unused=True)
        return v.data if product is None else product.data

    def _back(self, output: Tensor, v: Array | None) -> tuple[Array, Array]:
        wanted = [*self.before, *self.parameters]
        found = grad(output, wanted, v, retain_graph=True, allow_unused=True)
        n = len(self.before)
        return self._joined(found[:n], wanted[:n]), self._joined(found[n:], wanted[n:])

    def _joined(self, found: Sequence[Tensor | None], wanted: Sequence[Tensor]) -> Array:
        """Gradients as one vector, zeros where there is none."""
        parts = [
            self.zeros((w.size,)) if g is None else g.data.reshape(-1)
            for g, w in zip(found, wanted, strict=True)
        ]
        return xp_of(self.like).concatenate(parts) if parts else self.zeros((0,))


def size_of(tensors: Iterable[Tensor]) -> int:
    """How many numbers there are in all."""
    return sum(tensor.size for tensor in tensors)


def parted(vector: Array, tensors: Iterable[Tensor]) -> list[Array]:
    """A vector cut into parts of the tensors' sizes, each in its tensor's shape."""
    parts, start = [], 0
    for tensor in tensors:
        parts.append(vector[start : start + tensor.size].reshape(tensor.shape))
        start += tensor.size
    return parts


def add_to_grads(parameters: Sequence[Tensor], gradient: Array) -> None:
    """Add a gradient, given as a vector, to ``.grad`` of the parameters."""
    for parameter, part in zip(parameters, parted(gradient, parameters), strict=True):
        held = parameter.grad
        parameter.grad = Tensor(part if held is None else held.data + part)


def expect_parameters(op: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list. Raises ArgumentError unless they are leaves that require grad."""
    given = list(parameters)
    ok = given and all(isinstance(p, Tensor) and p.is_leaf and p.requires_grad for p in given)
    expect(ok, op, "parameters that require grad, one or more", _kinds(given), ArgumentError)
    return given


def _kinds(given: Sequence[Any]) -> str:
    wrong = [
        f"requires_grad={p.requires_grad}" if isinstance(p, Tensor) else type(p).__name__
        for p in given
    ]
    return ", ".join(wrong) or "none"
