"""BERT: a Transformer's encoder that reads text in both directions.

    x = LN(E[c_t] + P[t] + S[s_t])        n times: x ← LN(x + Attention(x)), x ← LN(x + MLP(x))

(Devlin et al. 2019, BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding, arXiv:1810.04805.) Weights published for Hugging Face's ``BertModel`` can be read.
Shapes: B texts of T symbols, C the width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tinygrad_seq import ops
from tinygrad_seq.autograd import Tensor, tensor
from tinygrad_seq.errors import OutOfRangeError, StateError, expect
from tinygrad_seq.models.pretrained import Folder, read_config, read_weights, without_prefix
from tinygrad_seq.nn import (
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    MultiheadAttention,
)
from tinygrad_seq.nn.init import normal_, zeros_

#: parts of published names, and of the names here; q, k and v are put together besides
NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "types",
    "embeddings.LayerNorm": "norm",
    "encoder.layer.": "layers.",
    "attention.output.dense": "attention.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
    "pooler.dense": "pooler",
}
#: what else is in some files: heads of the pre-training, and constants
IGNORED = re.compile(r"cls\..*|embeddings\.(position|token_type)_ids")
NEEDED = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
          "intermediate_size", "max_position_embeddings", "type_vocab_size")  # fmt: skip


class Layer(Module):
    """x ← LN(x + Attention(x)), then x ← LN(x + W_2·gelu(W_1·x + b_1) + b_2)."""

    def __init__(
        self, width: int, heads: int, feedforward: int, dropout: float, eps: float, **where: Any
    ):
        super().__init__()
        self.attention = MultiheadAttention(width, heads, dropout, batch_first=True, **where)
        self.norm1 = LayerNorm(width, eps, **where)
        self.linear1 = Linear(width, feedforward, **where)
        self.linear2 = Linear(feedforward, width, **where)
        self.norm2 = LayerNorm(width, eps, **where)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """(B, T, C), True (B, T) at padding → (B, T, C)."""
        seen, _ = self.attention(x, x, x, padding, need_weights=False)
        x = self.norm1(x + self.dropout(seen))
        hidden = ops.gelu(self.linear1(x))  # (B, T, feedforward)
        out: Tensor = self.norm2(x + self.dropout(self.linear2(hidden)))
        return out


class BERT(Module):
    """A vector for each symbol of a text, made of all the others.

    vocabulary: how many symbols. context: the longest text. types: how many kinds of segments.
    width, layers, heads, feedforward (by default 4·width): the encoder's, with norms after each
    block and gelu by erf. dropout: on embeddings, attention weights and what each block adds.
    pooler: whether there are weights for ``pooled``. eps: the norms' ε.

    **Called** as ``model(input_ids, attention_mask=None, token_type_ids=None)``, all (B, T): the
    symbols; 1 or True where there is one, 0 at padding; the segment of each, 0 by default. → the
    last hidden state (B, T, C), of which what stands at padding means nothing.

    Matrices and tables start from N(0, 0.02²), biases from 0.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int = 512,
        types: int = 2,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        feedforward: int | None = None,
        dropout: float = 0.1,
        pooler: bool = True,
        eps: float = 1e-12,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.words = Embedding(vocabulary, width, **where)
        self.positions = Embedding(context, width, **where)
        self.types = Embedding(types, width, **where)
        self.norm = LayerNorm(width, eps, **where)
        self.dropout = Dropout(dropout)
        sizes = (width, heads, feedforward or 4 * width, dropout, eps)
        self.layers = ModuleList(Layer(*sizes, **where) for _ in range(layers))
        self.register_module("pooler", Linear(width, width, **where) if pooler else None)
        self.context = context
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                zeros_(parameter)

    def forward(
        self, input_ids: Tensor, attention_mask: Any = None, token_type_ids: Any = None
    ) -> Tensor:
        """(B, T) integers → the last hidden state (B, T, C); the class says more."""
        shape: Any = getattr(input_ids, "shape", ())
        expect(len(shape) == 2 and min(shape) > 0, "BERT", "input_ids of shape (B, T)", shape)
        steps = shape[1]
        expect(steps <= self.context, "BERT", f"at most {self.context} steps", steps,
               OutOfRangeError)  # fmt: skip
        for name, other in {"attention_mask": attention_mask,
                            "token_type_ids": token_type_ids}.items():  # fmt: skip
            got = shape if other is None else getattr(other, "shape", type(other).__name__)
            expect(got == shape, "BERT", f"{name} of shape {shape}", got)
        kinds = ops.full_like(input_ids, 0) if token_type_ids is None else token_type_ids
        x = self.words(input_ids) + self.types(kinds)  # (B, T, C)
        x = self.dropout(self.norm(x + self.positions.weight[:steps]))  # (B, T, C) + (T, C)
        padding = None
        if attention_mask is not None:
            padding = tensor(attention_mask, device=x.device) == 0  # (B, T), True is left out
        for layer in self.layers:
            x = layer(x, padding)
        return x

    def pooled(self, hidden: Tensor) -> Tensor:
        """The last hidden state (B, T, C) → tanh(W·x_0 + b) of each text's first symbol (B, C).

        Raises StateError if the model has no pooler.
        """
        expect(self.pooler is not None, "BERT", "a model with a pooler", "one without", StateError)
        out: Tensor = ops.tanh(self.pooler(hidden[:, 0]))  # (B, T, C) → (B, C)
        return out

    @classmethod
    def from_pretrained(cls, folder: Folder, device: Any = None, dtype: Any = None) -> BERT:
        """A model from a folder with Hugging Face's ``config.json`` and ``model.safetensors``.

        Names may have ``bert.`` in front, and norms ``gamma`` and ``beta`` as in old files; heads
        of the pre-training are passed over. Raises StateError for files that are missing or
        corrupt, or that describe a model that this one is not.
        """
        config = read_config(folder, *NEEDED)
        for option, known in {"hidden_act": "gelu", "position_embedding_type": "absolute"}.items():
            got = config.get(option, known)
            expect(got == known, "BERT", f"{option} {known!r}", repr(got), StateError)
        state = own_names(read_weights(folder, device))
        expect("words.weight" in state, "BERT", "BERT's weights", list(state)[:3], StateError)
        made = cls(
            config["vocab_size"], config["max_position_embeddings"], config["type_vocab_size"],
            config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"],
            config["intermediate_size"], config.get("hidden_dropout_prob", 0.1),
            "pooler.weight" in state, config.get("layer_norm_eps", 1e-12), device,
            dtype or state["words.weight"].dtype,
        )  # fmt: skip
        for layer in made.layers:
            layer.attention.dropout = config.get("attention_probs_dropout_prob", 0.1)
        made.load_state_dict(state)
        return made.eval()


def own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face's weights of a BERT by the names that they have here."""
    found: dict[str, Tensor] = {}
    for name, value in without_prefix(state, "bert.").items():
        if IGNORED.fullmatch(name):
            continue
        name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
        name = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        found[name] = value
    for kind in ("weight", "bias"):
        for query in [n for n in found if n.endswith(f"attention.self.query.{kind}")]:
            parts = [query.replace("query", part) for part in ("query", "key", "value")]
            if all(part in found for part in parts):
                whole = query.replace("self.query.", "in_proj_")
                found[whole] = ops.concatenate([found.pop(part) for part in parts])  # (3C, C)
    return found
