"""ViT: an image as a sequence of patches, read by a Transformer's encoder.

    x_0 = class token,  x_i = E·patch_i        x ← x + positions        x ← LN(encoder(x))
    logits = W·x_0 + b

(Dosovitskiy et al. 2021, An Image Is Worth 16x16 Words, arXiv:2010.11929.) Shapes: N images, K
channels, G × G patches of P × P pixels, C the width.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, no_grad, zeros
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn import (
    Dropout,
    LayerNorm,
    LearnedPositions,
    Linear,
    Module,
    Parameter,
    TransformerEncoder,
    TransformerEncoderLayer,
    watch_attention,
)
from tinygrad_seq.nn.init import normal_, xavier_uniform_, zeros_
from tinygrad_seq.nn.linear import check_size


class ViT(Module):
    """Logits of classes for square images.

    image_size, patch_size: in pixels, the second a divisor of the first. channels: K. width,
    layers, heads, feedforward (by default 4·width): the encoder's, which has its norms first.
    dropout: on the patches and in the encoder. The head reads the class token after the last norm.

    Matrices start Xavier uniform, biases from 0, class token and positions from N(0, 0.02²).
    """

    def __init__(
        self,
        image_size: int = 28,
        patch_size: int = 7,
        classes: int = 10,
        channels: int = 1,
        width: int = 64,
        layers: int = 4,
        heads: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        sizes = {"image_size": image_size, "patch_size": patch_size, "channels": channels}
        for name, size in sizes.items():
            check_size("ViT", name, size)
        ok = image_size % patch_size == 0
        expected = f"a patch_size that divides {image_size}"
        expect(ok, "ViT", expected, patch_size, ArgumentError)
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.image_size, self.patch_size, self.channels = image_size, patch_size, channels
        self.grid = image_size // patch_size
        self.patch = Linear(channels * patch_size**2, width, **where)
        self.class_token = Parameter(zeros((1, 1, width), **where))
        self.positions = LearnedPositions(1 + self.grid**2, width, batch_first=True, **where)
        self.dropout = Dropout(dropout)
        layer = TransformerEncoderLayer(width, heads, feedforward or 4 * width, dropout, "gelu",
                                        batch_first=True, norm_first=True, **where)  # fmt: skip
        self.encoder = TransformerEncoder(layer, layers, LayerNorm(width, **where))
        self.head = Linear(width, classes, **where)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for name, parameter in self.named_parameters():
            if name in ("class_token", "positions.weight"):
                normal_(parameter, std=0.02)
            elif parameter.ndim == 2:
                xavier_uniform_(parameter)
            elif name.endswith("bias"):
                zeros_(parameter)

    def patches(self, images: Tensor) -> Tensor:
        """(N, K, G·P, G·P), or (N, G·P, G·P) for one channel → (N, G·G, K·P·P), row by row."""
        k, size, p, g = self.channels, self.image_size, self.patch_size, self.grid
        shape: Any = getattr(images, "shape", ())
        ok = shape[1:] in ((k, size, size), *([(size, size)] if k == 1 else [])) and shape[0] > 0
        expect(ok, "ViT", f"images of shape (N, {k}, {size}, {size})", shape)
        x = ops.reshape(images, (-1, k, g, p, g, p))  # (N, K, G·P, G·P) → (N, K, G, P, G, P)
        x = ops.transpose(x, (0, 2, 4, 1, 3, 5))  # (N, K, G, P, G, P) → (N, G, G, K, P, P)
        out: Tensor = ops.reshape(x, (-1, g * g, k * p * p))  # → (N, G·G, K·P·P)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """images (N, K, H, W), or (N, H, W) for one channel, floating → logits (N, classes)."""
        x = self.patch(self.patches(images))  # (N, G·G, C)
        first = ops.broadcast_to(self.class_token, (x.shape[0], 1, x.shape[2]))  # (N, 1, C)
        x = self.positions(ops.concatenate([first, x], axis=1))  # (N, 1 + G·G, C)
        x = self.encoder(self.dropout(x))  # (N, 1 + G·G, C)
        out: Tensor = self.head(x[:, 0])  # (N, C) → (N, classes)
        return out

    def loss(self, images: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy against ``labels`` (N,), in nats per image."""
        logits = self(images)
        loss: Tensor = ops.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        return loss

    def attention_maps(self, images: Tensor) -> np.ndarray:
        """How much each token looks at each: the weights (layers, N, heads, 1 + G·G, 1 + G·G), on
        the host. Token 0 is the class token, the others are the patches, row by row."""
        with no_grad(), watch_attention(self) as seen:
            self(images)
        return np.stack([weights.numpy() for (weights,) in seen.values()])
