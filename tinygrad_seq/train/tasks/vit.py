"""Handwritten digits, read as a sequence of patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.models import ViT
from tinygrad_seq.nn import Module
from tinygrad_seq.optim import AdamW, Optimizer
from tinygrad_seq.train.config import TransformerConfig, option
from tinygrad_seq.train.tasks.digits import CLASSES, Digits


@dataclass(frozen=True, kw_only=True)
class ViTConfig(TransformerConfig):
    """Options of a vision Transformer."""

    patch: int = option(7, "Pixels along a side of a patch; it divides 28.", "P")
    batch: int = option(100, "Images side by side.")
    width: int = 64
    steps: int = 1650

    def __post_init__(self) -> None:
        """Raises ArgumentError, naming the option, for a value out of range."""
        super().__post_init__()
        self._at_least_one("patch")


class Patches(Digits):
    """Handwritten digits (MNIST), read as patches.

    A Transformer reads them; the class comes from a token of its own. One in twelve training images
    is held out for looking.
    """

    name = "vit"
    Config = ViTConfig
    trial = "attend {} --image 7"

    def describe_steps(self) -> str:
        """How an image is read."""
        side, patch = self._train[0].shape[1], self.config.patch
        return f"read as {(side // patch) ** 2} patches of {patch} x {patch}"

    def describe_model(self) -> str:
        c = self.config
        return f"ViT, {c.layers} layers of {c.heads} heads, width {c.width}"

    def new_model(self) -> ViT:
        c, side = self.config, self._train[0].shape[1]
        return ViT(side, c.patch, CLASSES, width=c.width, layers=c.layers, heads=c.heads,
                   dropout=c.dropout, device=c.device)  # fmt: skip

    def optimizer(self, model: Module) -> Optimizer:
        """AdamW, which lets only the matrices of linear layers decay."""
        matrices = [p for p in model.parameters() if p.ndim == 2]
        others = [p for p in model.parameters() if p.ndim != 2]
        decay = self.config.weight_decay
        groups = [{"params": matrices, "weight_decay": decay},
                  {"params": others, "weight_decay": 0.0}]  # fmt: skip
        return AdamW(groups, lr=self.config.lr)

    def loss(self, model: Any, images: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = model.loss(images, labels)
        return loss
