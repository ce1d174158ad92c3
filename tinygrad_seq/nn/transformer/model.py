"""nn.Transformer: an encoder and a decoder that looks at its output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.autograd.creation import default_dtype
from tinygrad_seq.backend import Device, as_device
from tinygrad_seq.errors import expect
from tinygrad_seq.nn.init import xavier_uniform_
from tinygrad_seq.nn.linear import check_size
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.normalization import LayerNorm
from tinygrad_seq.nn.transformer.layers import (
    Activation,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from tinygrad_seq.nn.transformer.stacks import TransformerDecoder, TransformerEncoder


class Transformer(Module):
    """Encoder and decoder, y = decoder(tgt, encoder(src)), each a stack of layers and a LayerNorm
    (Vaswani et al. 2017, arXiv:1706.03762). Embeddings, positions and the map to symbols are the
    model's around it; ``nn.SinusoidalPositions`` and its like tell the steps apart.

    **Called** as ``model(src, tgt, src_mask=None, tgt_mask=None, memory_mask=None,
    src_key_padding_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None,
    src_is_causal=False, tgt_is_causal=False, memory_is_causal=False)``: src (S, B, d_model), tgt
    (L, B, d_model), with B first if ``batch_first``, or both without B → the shape of tgt. In
    boolean masks **True is left out**, as in ``nn.MultiheadAttention``; tgt looks ahead unless
    ``tgt_is_causal`` or a mask forbids it. Decoding step by step: ``model.encoder(src)`` once, then
    ``model.decoder(step, memory, tgt_is_causal=True, cache=model.decoder.new_cache())``.

    **Parameters**, as PyTorch's: ``encoder.layers.0.…``, ``encoder.norm.…``,
    ``decoder.layers.0.…``, ``decoder.norm.…``; matrices start Xavier uniform.

    **Options**: those of ``TransformerEncoderLayer``, and custom_encoder, custom_decoder: modules
    that are called as those they replace.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = None,
    ):
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
                   batch_first, norm_first, bias)  # fmt: skip

        def norm() -> Module:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **where)

        if custom_encoder is None:
            encoder_layer = TransformerEncoderLayer(*options, **where)
            custom_encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norm())
        if custom_decoder is None:
            decoder_layer = TransformerDecoderLayer(*options, **where)
            custom_decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm())
        self.encoder = custom_encoder
        self.decoder = custom_decoder
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every matrix anew, Xavier uniform."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                xavier_uniform_(parameter)

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: str | Device | None = None, dtype: Any = None
    ) -> Tensor:
        """An additive mask (sz, sz) with which each step sees itself and those before: −∞ above the
        diagonal, 0 elsewhere."""
        check_size("generate_square_subsequent_mask", "sz", sz)
        mask = np.triu(np.full((sz, sz), -math.inf, dtype or default_dtype()), 1)
        return tensor(mask, device=as_device(device))

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = False,
        tgt_is_causal: bool | None = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """(S, B, d_model) and (L, B, d_model) → (L, B, d_model), or as the class says."""
        for name, x in {"src": src, "tgt": tgt}.items():
            shape: Any = getattr(x, "shape", ())
            ok = len(shape) in (2, 3) and shape[-1] == self.d_model
            expect(ok, "Transformer", f"{name} of shape (…, {self.d_model})", shape)
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        out: Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )
        return out
