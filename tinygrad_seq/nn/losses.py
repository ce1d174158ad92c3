"""Losses as modules; each is the op of the same name with its options held."""

from __future__ import annotations

from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.module import Module


class _Loss(Module):
    """A loss; reduction is ``"mean"``, ``"sum"`` or ``"none"``."""

    _reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, reduction: str):
        super().__init__()
        name = type(self).__name__
        ok = reduction in self._reductions
        expected = f"reduction to be one of {', '.join(self._reductions)}"
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


class KLDivLoss(_Loss):
    """Divergence of exp x from a target t: t·(ln t − x), x being log-probabilities.

    reduction: ``"batchmean"`` too, the sum over the size of the first axis. log_target: the target
    is ln t.
    """

    _reductions = (*_Loss._reductions, "batchmean")

    def __init__(self, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, x: Any, target: Any) -> Any:
        """Two of one shape → a number, or that shape."""
        return ops.kl_div(x, target, self.reduction, self.log_target)


class CTCLoss(_Loss):
    """Connectionist temporal classification: −ln of the probability of all ways to time the labels.

    blank: the symbol that says nothing. The mean is over sequences, each divided by how many labels
    it has. zero_infinity: a sequence too short for its labels counts 0, not ∞.
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False):
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        """(T, B, C), labels (B, S) or in a row (ΣS,), and lengths (B,) → a number, or (B,)."""
        return ops.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction,
            self.zero_infinity,
        )  # fmt: skip
