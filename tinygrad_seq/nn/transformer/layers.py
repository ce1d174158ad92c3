"""One layer of a Transformer's encoder, one of its decoder.

Both are made of blocks x ← x + dropout(f(x)), where f is attention or a net of one hidden layer.
A LayerNorm comes after each block, or with ``norm_first`` before each f.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor
from tinygrad_seq.backend import Device
from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.nn.attention import MultiheadAttention
from tinygrad_seq.nn.dropout import Dropout
from tinygrad_seq.nn.linear import Linear
from tinygrad_seq.nn.module import Module
from tinygrad_seq.nn.normalization import LayerNorm
from tinygrad_seq.nn.positions import AlibiBias, RotaryPositions
from tinygrad_seq.nn.transformer.cache import LayerCache

Activation = str | Callable[[Any], Any]
_ACTIVATIONS = {"relu": ops.relu, "gelu": ops.gelu}


class _Layer(Module):
    """What both layers have: the net, and the way a block is run."""

    linear1: Linear
    linear2: Linear
    dropout: Dropout
    norm_first: bool

    def _activate(self, activation: Activation) -> None:
        known = callable(activation) or activation in _ACTIVATIONS
        expect(known, type(self).__name__, "activation 'relu', 'gelu' or a function",
               repr(activation), ArgumentError)  # fmt: skip
        self.activation: Any = activation if callable(activation) else _ACTIVATIONS[activation]

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _block(self, x: Any, norm: Module, dropout: Module, f: Callable[[Any], Any]) -> Any:
        if self.norm_first:
            return x + dropout(f(norm(x)))
        return norm(x + dropout(f(x)))

    def extra_repr(self) -> str:
        return f"norm_first={self.norm_first}"


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a net on each step by itself::

        x ← LN_1(x + drop(SelfAttention(x)))      norm_first: x ← x + drop(SelfAttention(LN_1(x)))
        x ← LN_2(x + drop(FF(x)))                             x ← x + drop(FF(LN_2(x)))
        FF(x) = W_2 drop(φ(W_1 x + b_1)) + b_2    W_1 has dim_feedforward rows

    (Vaswani et al. 2017, arXiv:1706.03762; norm first: Xiong et al. 2020, arXiv:2002.04745.)

    **Called** as ``layer(src, src_mask=None, src_key_padding_mask=None, is_causal=False)``: src
    (L, B, d_model), or (B, L, d_model) if ``batch_first``, or (L, d_model) → the same shape. The
    masks are those of ``nn.MultiheadAttention``, **True is left out**. cache: a ``LayerCache``; src
    is then the new steps only.

    **Parameters**, as PyTorch's: ``self_attn.…``, ``linear1.…``, ``linear2.…``, ``norm1.…``,
    ``norm2.…``; ``bias=False`` leaves out the biases of all.

    **Options**: dropout: of each drop above and of the attention weights, while training.
    activation: φ, "relu", "gelu" (by erf) or a function. positions, not PyTorch's:
    ``RotaryPositions(d_model // nhead)`` or ``AlibiBias(nhead)``, for the self-attention.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = None,
        *,
        positions: RotaryPositions | AlibiBias | None = None,
    ):
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, positions=positions, **where
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self._activate(activation)

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """(L, B, d_model) → (L, B, d_model), or as the class says."""
        own = None if cache is None else cache.own

        def look(x: Any) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask,
                                  is_causal=is_causal, cache=own)[0]  # fmt: skip

        x = self._block(src, self.norm1, self.dropout1, look)
        out: Tensor = self._block(x, self.norm2, self.dropout2, self._feed_forward)
        return out


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output, then a net on each step by itself::

        x ← LN_1(x + drop(SelfAttention(x)))
        x ← LN_2(x + drop(Attention(x, memory, memory)))        queries from x
        x ← LN_3(x + drop(FF(x)))

    and with ``norm_first`` x ← x + drop(f(LN(x))) in each, as in ``TransformerEncoderLayer``, which
    says what FF and the options are. (Vaswani et al. 2017, arXiv:1706.03762.)

    **Called** as ``layer(tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
    memory_key_padding_mask=None, tgt_is_causal=False, memory_is_causal=False)``: tgt
    (L, B, d_model), memory (S, B, d_model), with B first if ``batch_first``, or both without B →
    the shape of tgt. In boolean masks **True is left out**. The layer looks ahead unless a mask or
    ``tgt_is_causal`` forbids it. cache: a ``LayerCache``; tgt is then the new steps only, memory
    that of the first call.

    **Parameters**, as PyTorch's: ``self_attn.…``, ``multihead_attn.…``, ``linear1.…``,
    ``linear2.…``, ``norm1.…``, ``norm2.…``, ``norm3.…``.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = None,
        *,
        positions: RotaryPositions | AlibiBias | None = None,
    ):
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, positions=positions, **where
        )
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **where
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self._activate(activation)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """(L, B, d_model) and (S, B, d_model) → (L, B, d_model), or as the class says."""
        own, held = (None, None) if cache is None else cache

        def look(x: Any) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask,
                                  is_causal=tgt_is_causal, cache=own)[0]  # fmt: skip

        def look_across(x: Any) -> Any:
            return self.multihead_attn(x, memory, memory, memory_key_padding_mask, False,
                                       memory_mask, is_causal=memory_is_causal,
                                       cache=held)[0]  # fmt: skip

        x = self._block(tgt, self.norm1, self.dropout1, look)
        x = self._block(x, self.norm2, self.dropout2, look_across)
        out: Tensor = self._block(x, self.norm3, self.dropout3, self._feed_forward)
        return out
