"""Layers of one kind upon each other: a Transformer's encoder and its decoder."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tinygrad_seq.autograd import Tensor
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.containers import ModuleList
from tinygrad_seq.nn.linear import check_size
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.transformer.cache import LayerCache, TransformerCache


class _LayerStack(Module):
    """num_layers copies of a layer, and a norm after the last."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None):
        super().__init__()
        op = type(self).__name__
        ok = isinstance(layer, Module)
        expect(ok, op, "a layer to copy", type(layer).__name__, ArgumentError)
        check_size(op, "num_layers", num_layers)
        self.layers = ModuleList(deepcopy(layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.register_module("norm", norm)

    def new_cache(self) -> TransformerCache:
        """An empty cache of as many layers."""
        return TransformerCache(self.num_layers)

    def _through(self, x: Any, cache: TransformerCache | None, *others: Any) -> Tensor:
        caches: list[LayerCache | None] = [None] * self.num_layers
        if cache is not None:
            caches = [*cache.layers]
        count, op = len(caches), type(self).__name__
        ok = count == self.num_layers
        expect(ok, op, f"a cache of {self.num_layers} layers", count, ArgumentError)
        for layer, held in zip(self.layers, caches, strict=True):
            x = layer(x, *others) if held is None else layer(x, *others, cache=held)
        out: Tensor = x if self.norm is None else self.norm(x)
        return out


class TransformerEncoder(_LayerStack):
    """num_layers copies of an encoder layer, each with parameters of its own: y = norm(layer_n(…
    layer_1(src))). They start equal; draw anew what should not.

    **Called** as ``encoder(src, mask=None, src_key_padding_mask=None, is_causal=False)``; shapes
    and masks are those of ``TransformerEncoderLayer``, and every layer gets the same.
    **Parameters**, as PyTorch's: ``layers.0.…``, ``layers.1.…`` and ``norm.…``.

    With ``is_causal`` each step sees only those before, and the stack is a decoder-only model: with
    cache=, a ``TransformerCache`` from ``new_cache()``, src is the new steps only.
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = False,
        cache: TransformerCache | None = None,
    ) -> Tensor:
        """(L, B, d_model) → (L, B, d_model), or as the layers say."""
        return self._through(src, cache, mask, src_key_padding_mask, bool(is_causal))


class TransformerDecoder(_LayerStack):
    """num_layers copies of a decoder layer, each with parameters of its own, all looking at the
    same memory: y = norm(layer_n(… layer_1(tgt, memory) …, memory)). They start equal; draw anew
    what should not.

    **Called** as ``decoder(tgt, memory, tgt_mask=None, memory_mask=None,
    tgt_key_padding_mask=None, memory_key_padding_mask=None, tgt_is_causal=False,
    memory_is_causal=False)``; shapes and masks are those of ``TransformerDecoderLayer``.
    **Parameters**, as PyTorch's: ``layers.0.…``, ``layers.1.…`` and ``norm.…``. With cache=, a
    ``TransformerCache`` from ``new_cache()``, tgt is the new steps only.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = False,
        memory_is_causal: bool = False,
        cache: TransformerCache | None = None,
    ) -> Tensor:
        """(L, B, d_model) and (S, B, d_model) → (L, B, d_model), or as the layers say."""
        return self._through(
            tgt,
            cache,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            bool(tgt_is_causal),
            memory_is_causal,
        )
