"""GPT: a Transformer that reads text from left to right and says what comes next.

    x = E[c_t] + P[t]        n times: x ← x + Attention(LN(x)), x ← x + MLP(LN(x))
    p(c_{t+1} | c_1 … c_t) = softmax(E·LN(x))

The architecture of GPT-2 (Radford et al. 2019, Language Models are Unsupervised Multitask
Learners), with its names of the parameters, so that published weights can be read.
Shapes: B sequences, T steps, V symbols, C the width, H heads of D = C/H each.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, no_grad, tensor
from tinygrad_seq.backend import Generator
from tinygrad_seq.errors import ArgumentError, DataError, OutOfRangeError, StateError, expect
from tinygrad_seq.models.decoding import sampler, stream
from tinygrad_seq.models.pretrained import (
    Folder,
    gpt2_names,
    read_config,
    read_tensors,
    read_weights,
)
from tinygrad_seq.nn import (
    Dropout,
    Embedding,
    KVCache,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    watch_attention,
)
from tinygrad_seq.nn.attention import Watchable, open_attention
from tinygrad_seq.nn.init import normal_, zeros_
from tinygrad_seq.nn.recurrent.noise import dropout_mask

#: the names by which configurations call the activation that this model has
TANH_GELU = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")
#: options of configurations that would make it another model, and what they have to be
PLAIN = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
         "add_cross_attention": False}  # fmt: skip


class CausalSelfAttention(Watchable):
    """Every step looks at itself and those before it."""

    def __init__(self, width: int, heads: int, dropout: float, bias: bool, **where: Any):
        super().__init__()
        self.c_attn = Linear(width, 3 * width, bias, **where)
        self.c_proj = Linear(width, width, bias, **where)
        self.dropout = Dropout(dropout)
        self.heads = heads

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """(B, T, C) → (B, T, C); with a cache x are the steps after those it holds."""
        batch, steps, width = x.shape
        heads = (batch, steps, 3, self.heads, width // self.heads)
        qkv = ops.reshape(self.c_attn(x), heads)  # (B, T, 3C) → (B, T, 3, H, D)
        qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))  # (B, T, 3, H, D) → (3, B, H, T, D)
        q, k, v = qkv[0], qkv[1], qkv[2]
        past, mask = 0, None
        if cache is not None:
            past = cache.length
            k, v = cache.extend(k, v)  # (B, H, past + T, D)
        openly = self.seen is not None
        if (past or openly) and steps > 1:  # without a past the op is causal by itself
            mask = tensor(np.tri(steps, past + steps, past, dtype=np.bool_), device=x.device)
        drop = dropout_mask(self.dropout.p, (*q.shape[:3], k.shape[2]), q, self.training)
        if self.seen is None:
            y = ops.attention(q, k, v, mask, drop, past == 0)  # (B, H, T, D)
        else:
            y, weights = open_attention(q, k, v, mask, drop)
            self.seen.append(weights)
        y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), x.shape)  # → (B, T, H, D) → (B, T, C)
        out: Tensor = self.dropout(self.c_proj(y))
        return out


class MLP(Module):
    """A net of one hidden layer, 4C wide, on each step by itself."""

    def __init__(self, width: int, dropout: float, bias: bool, **where: Any):
        super().__init__()
        self.c_fc = Linear(width, 4 * width, bias, **where)
        self.c_proj = Linear(4 * width, width, bias, **where)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        hidden = ops.gelu(self.c_fc(x), approximate="tanh")  # (B, T, 4C)
        out: Tensor = self.dropout(self.c_proj(hidden))
        return out


class Block(Module):
    """x ← x + Attention(LN(x)), then x ← x + MLP(LN(x))."""

    def __init__(
        self, width: int, heads: int, dropout: float, bias: bool, eps: float, **where: Any
    ):
        super().__init__()
        self.ln_1 = LayerNorm(width, eps, bias=bias, **where)
        self.attn = CausalSelfAttention(width, heads, dropout, bias, **where)
        self.ln_2 = LayerNorm(width, eps, bias=bias, **where)
        self.mlp = MLP(width, dropout, bias, **where)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        x = x + self.attn(self.ln_1(x), cache)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Context:
    """What a GPT has read: the symbols (B, t), and each layer's keys and values."""

    def __init__(self, layers: int):
        self.tokens: Tensor | None = None
        self.caches = [KVCache() for _ in range(layers)]

    @property
    def length(self) -> int:
        """How many symbols were read."""
        return 0 if self.tokens is None else self.tokens.shape[1]

    def select(self, rows: Any) -> None:
        """Let row i of the batch be what row ``rows[i]`` is."""
        for cache in self.caches:
            cache.select(rows)
        if self.tokens is not None:
            self.tokens = self.tokens[tensor(np.asarray(rows), device=self.tokens.device)]


class GPT(Module):
    """Logits of the next symbol for every position of texts.

    vocabulary: V. context: the most symbols it can look back on. layers, heads, width: how many
    blocks, heads in each, and C. dropout: on embeddings, attention weights and what each block
    adds. bias: whether linear layers and norms have one. tied: whether the head is the table of
    embeddings; else it is a matrix of its own, ``lm_head.weight``. eps: the norms' ε.

    Matrices start from N(0, 0.02²); those that write into x, two in each block, from
    N(0, 0.02²/(2·layers)), so that x does not grow with depth.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int = 1024,
        layers: int = 12,
        heads: int = 12,
        width: int = 768,
        dropout: float = 0.0,
        bias: bool = True,
        tied: bool = True,
        eps: float = 1e-5,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        expect(layers >= 1, "GPT", "layers ≥ 1", layers, ArgumentError)
        ok = heads >= 1 and width % heads == 0
        expect(ok, "GPT", f"a width that {heads} heads divide", width, ArgumentError)
        where = {"device": device, "dtype": dtype}
        self.wte = Embedding(vocabulary, width, **where)
        self.wpe = Embedding(context, width, **where)
        self.dropout = Dropout(dropout)
        self.h = ModuleList(Block(width, heads, dropout, bias, eps, **where) for _ in range(layers))
        self.ln_f = LayerNorm(width, eps, bias=bias, **where)
        head = None if tied else Linear(width, vocabulary, bias=False, **where)
        self.register_module("lm_head", head)
        self.context = context
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                writes = name.endswith("c_proj.weight")
                normal_(parameter, std=0.02 / math.sqrt(2 * len(self.h)) if writes else 0.02)
            elif name.endswith("bias"):
                zeros_(parameter)

    def forward(self, tokens: Tensor, context: Context | None = None) -> Tensor:
        """tokens (B, T) → logits (B, T, V). context: what was read before; the tokens go in."""
        return self._head(self._features(tokens, context))

    def _features(self, tokens: Tensor, context: Context | None = None) -> Tensor:
        """tokens (B, T) → what the head reads (B, T, C)."""
        shape: Any = getattr(tokens, "shape", ())
        expect(len(shape) == 2 and min(shape) > 0, "GPT", "tokens of shape (B, T)", shape)
        past = 0 if context is None else context.length
        caches = [None] * len(self.h) if context is None else context.caches
        last = past + shape[1]
        expect(last <= self.context, "GPT", f"at most {self.context} steps", last, OutOfRangeError)
        x = self.dropout(self.wte(tokens) + self.wpe.weight[past:last])  # (B, T, C) + (T, C)
        for block, cache in zip(self.h, caches, strict=True):
            x = block(x, cache)
        if context is not None:
            held = context.tokens
            context.tokens = tokens if held is None else ops.concatenate([held, tokens], axis=1)
        out: Tensor = self.ln_f(x)
        return out

    def _head(self, x: Tensor) -> Tensor:
        """(…, C) → (…, V)."""
        table = self.wte if self.lm_head is None else self.lm_head
        out: Tensor = ops.linear(x, table.weight)
        return out

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy against ``targets`` (B, T), in nats per symbol, −100 left out."""
        logits = self(tokens)
        flat = ops.reshape(logits, (-1, logits.shape[-1]))  # (B, T, V) → (B·T, V)
        loss: Tensor = ops.cross_entropy(flat, ops.reshape(targets, -1))  # (B, T) → (B·T,)
        return loss

    def attention_maps(self, tokens: Tensor) -> np.ndarray:
        """How much each step of tokens (B, T) looks at each: the weights (N, B, H, T, T) of the N
        layers, on the host. Row t is what is used to say what comes after symbol t."""
        with no_grad(), watch_attention(self) as seen:
            self._features(tokens)
        return np.stack([weights.numpy() for (weights,) in seen.values()])

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Groups for an optimiser: only matrices decay, not biases and the scales of norms."""
        matrices = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        return [{"params": matrices, "weight_decay": weight_decay},
                {"params": others, "weight_decay": 0.0}]  # fmt: skip

    # ------------------------------------------------------------------ writing

    def read(self, tokens: Tensor, context: Context | None = None) -> tuple[Tensor, Context]:
        """tokens (B, T) → logits (B, V) of what comes after the last, and what was read so far.

        With a context only the new tokens are computed. When there are more than the model can look
        back on, the first are forgotten; positions being absolute, the others are then read again.
        """
        context = Context(len(self.h)) if context is None else context
        if context.length + tokens.shape[1] > self.context:
            if context.tokens is not None:
                tokens = ops.concatenate([context.tokens, tokens], axis=1)
            tokens, context = tokens[:, -self.context :], Context(len(self.h))
        return self._head(self._features(tokens, context)[:, -1]), context

    def step(self, tokens: Tensor, context: Context | None = None) -> tuple[Tensor, Context]:
        """One more symbol in each row (B,) → logits (B, V), and what was read: for ``decoding``."""
        return self.read(tokens[:, None], context)  # (B, 1)

    def generate(
        self, prompt: np.ndarray, length: int, temperature: float = 1.0,
        top_k: int | None = None, top_p: float | None = None, eos: int | None = None,
        generator: Generator | None = None,
    ) -> Iterator[int]:  # fmt: skip
        """Read ``prompt`` (T,), then write up to ``length`` symbols, each fed back in as the next
        input, and stop after ``eos``.

        The options are those of ``decoding.sample``; temperature 0 takes the likeliest symbol.
        ArgumentError for options out of range, DataError for an empty prompt.
        """
        expect(len(prompt) > 0, "generate", "a prompt of one token or more", "none", DataError)
        prompt, device = np.asarray(prompt)[-self.context :], self.wte.weight.device
        choose, context = sampler(temperature, top_k, top_p, generator), None
        start = tensor(prompt[-1:], device=device)  # (1,)
        if len(prompt) > 1:
            with no_grad():
                before = tensor(prompt[np.newaxis, :-1], device=device)  # (1, T − 1)
                context = self.read(before)[1]
        written = stream(self.step, start, context, length=length, choose=choose, eos=eos)
        return (int(symbol[0]) for symbol in written)

    # ------------------------------------------------------------------ published weights

    @classmethod
    def from_pretrained(cls, folder: Folder, device: Any = None, dtype: Any = None) -> GPT:
        """A model from a folder with GPT-2's ``config.json`` and ``model.safetensors``.

        Raises StateError for files that are missing, corrupt, or describe another model.
        """
        config = read_config(folder, "n_head")
        gelu = config.get("activation_function", "gelu_new")
        expect(gelu in TANH_GELU, "GPT", f"activation_function in {TANH_GELU}", gelu, StateError)
        for name, plain in PLAIN.items():
            given = config.get(name, plain)
            expect(given == plain, "GPT", f"{name} = {plain}", given, StateError)
        eps = config.get("layer_norm_epsilon", 1e-5)
        state = read_weights(folder, device)
        return cls._from_state(state, config["n_head"], eps, device, dtype)

    @classmethod
    def from_safetensors(
        cls,
        path: str | os.PathLike[str],
        heads: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> GPT:
        """A model from a safetensors file with GPT-2's names, ``h.0.attn.c_attn.weight`` …, or
        those with ``transformer.`` in front, or from what ``tg.save`` wrote of such a model.

        Sizes are read off the shapes. heads: width/64 by default, as in all of GPT-2's models.
        Raises StateError or ShapeError for a file that does not hold all of such a model.
        """
        return cls._from_state(read_tensors(path, device), heads, 1e-5, device, dtype)

    @classmethod
    def _from_state(
        cls, state: Mapping[str, Tensor], heads: int | None, eps: float, device: Any, dtype: Any
    ) -> GPT:
        state = gpt2_names(state)
        table, positions = state["wte.weight"], state["wpe.weight"]
        (vocabulary, width), context = table.shape, positions.shape[0]
        layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("h."))
        made = cls(vocabulary, context, layers, heads or max(1, width // 64), width,
                   bias="ln_f.bias" in state, tied="lm_head.weight" not in state, eps=eps,
                   device=device, dtype=dtype or table.dtype)  # fmt: skip
        made.load_state_dict(state)
        return made.eval()
