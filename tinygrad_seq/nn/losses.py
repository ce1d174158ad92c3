"""Losses as modules; each is the op of the same name with its options held."""

from __future__ import annotations

from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.module import Module

_REDUCTIONS = ("mean", "sum", "none")


class _Loss(Module):
    """A loss; reduction is ``"mean"``, ``"sum"`` or ``"none"``."""

    def __init__(self, reduction: str):
        super().__init__()
        name = type(self).__name__
        ok = reduction in _REDUCTIONS
        expected = f"reduction to be one of {', '.join(_REDUCTIONS)}"
        expect(ok, name, expected, repr(reduction), ArgumentError)
        self.reduction = reduction


class MSELoss(_Loss):
    """Squared error: (x − target)², averaged, summed or neither."""

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction)

    def forward(self, x: Any, target: Any) -> Any:
        """Two of one shape → a number, or that shape."""
        return ops.mse_loss(x, target, self.reduction)


class NLLLoss(_Loss):
    """Negative log likelihood: −weight_y·x_y for log-probabilities x and label y.

    weight (C,): what each class counts, a buffer. Labels ``ignore_index`` do not count. The mean
    divides by the sum of the weights that counted.
    """

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, x: Any, target: Any) -> Any:
        """(N, C, …) and (N, …), or (C,) and () → a number, or the target's shape."""
        return ops.nll_loss(x, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(_Loss):
    """Cross entropy, in nats, of softmax(x) with labels or probabilities: −Σ_c q_c ln softmax(x)_c.

    Classes are on axis 1, as in PyTorch. weight, ignore_index and reduction as in ``NLLLoss``;
    label_smoothing: the share of q spread evenly over all classes.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(reduction)
        ok = isinstance(label_smoothing, (int, float)) and 0 <= label_smoothing <= 1
        expected = "label_smoothing in [0, 1]"
        expect(ok, "CrossEntropyLoss", expected, repr(label_smoothing), ArgumentError)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, x: Any, target: Any) -> Any:
        """(N, C, …) and (N, …) or (N, C, …), or (C,) and () → a number, or (N, …)."""
        return ops.cross_entropy(
            x, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class BCEWithLogitsLoss(_Loss):
    """Cross entropy of yes-or-no answers from their logits.

    weight: what each element counts; pos_weight: what a yes counts against a no; both buffers,
    broadcast to x's shape.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ):
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, x: Any, target: Any) -> Any:
        """Two of one shape → a number, or that shape."""
        return ops.binary_cross_entropy_with_logits(
            x, target, self.weight, self.reduction, self.pos_weight
        )
