"""Sequence to sequence: what attention is worth for dates, and a reversed source for sums.

    PYTHONPATH=. TINYGRAD_SEQ_DATA=… python benchmarks/seq2seq.py [--task dates|addition]
        [--epochs N] [--seeds N] [--plot FILE] [--map FILE] [--json FILE]

Trains GRU encoders and decoders side by side, for dates a Transformer too, and reports the share of
the last tenth of the lines, which they have not seen, that they answer without any mistake. Dates
are learned once. When a model sees how to carry is a matter of luck, so sums are learned from
several seeds; ``--plot`` draws their shares after every epoch and the means of these into one
picture. ``--map`` draws what was looked at while a date was written, which is printed too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_seq as tg
from tinygrad_seq import nn, optim
from tinygrad_seq.bench import environment, write_results
from tinygrad_seq.data import SymbolVocabulary, addition, collate, dates, pair_batches
from tinygrad_seq.data.pairs import Pair
from tinygrad_seq.models import Seq2Seq, TransformerSeq2Seq
from tinygrad_seq.viz.attention import attention_blocks, plot_attention

Model = Seq2Seq | TransformerSeq2Seq
#: task → model → its options
MODELS: dict[str, dict[str, dict[str, Any]]] = {
    "dates": {
        "attention": {"hidden": 64, "bidirectional": True, "attention": "general"},
        "no attention": {"hidden": 64, "bidirectional": True},
        "Transformer": {"kind": "transformer", "hidden": 64},
    },
    "addition": {
        "source reversed": {"hidden": 128, "reverse": True},
        "not reversed": {"hidden": 128},
    },
}
LOADERS = {"dates": dates, "addition": addition}
EPOCHS = {"dates": 3, "addition": 5}
RATES = {"dates": 0.005, "addition": 0.01}
EXAMPLE = "september 27, 1994"


@dataclass
class Translation:
    """Pairs of texts as tokens, character by character; the last tenth is held out."""

    source: SymbolVocabulary
    target: SymbolVocabulary
    train: list[Pair]
    unseen: list[Pair]

    @classmethod
    def of(cls, texts: Sequence[tuple[str, str]]) -> Translation:
        """Vocabularies and tokens of pairs (asked, answered)."""
        source, target = (SymbolVocabulary.of(side) for side in zip(*texts, strict=True))
        pairs: list[Pair] = [(source.encode(asked), target.encode(said)) for asked, said in texts]
        cut = len(pairs) - len(pairs) // 10
        return cls(source, target, pairs[:cut], pairs[cut:])

    def model(self, **options: Any) -> Model:
        """A model that reads and writes these symbols."""
        sizes = (len(self.source), len(self.target))
        if options.get("kind") == "transformer":
            width = options["hidden"]
            return TransformerSeq2Seq(*sizes, width, 4, 1, dropout=0.0, norm_first=True)
        return Seq2Seq(*sizes, **{"embedding": 16, "kind": "gru", **options})

    def exact(self, model: Model, batch: int = 500) -> float:
        """The share of what was held out that the model answers without any mistake."""
        right = 0
        for block in (self.unseen[i : i + batch] for i in range(0, len(self.unseen), batch)):
            both = collate(block).map(tg.tensor)
            said = model.generate(both.source, both.source_lengths, length=12).tokens
            expected = [self.target.decode(target) for _, target in block]
            right += sum(map(list.__eq__, self.target.decode_batch(said), expected))
        return right / len(self.unseen)

    def look(self, model: Model, text: str) -> tuple[str, np.ndarray]:
        """What the model says to a text, and where it looked (S, T), the end symbol left out."""
        source = tg.tensor(self.source.encode(text)[:, None])
        answer = model.generate(source, length=12, return_weights=True)
        said = "".join(self.target.decode(answer.tokens[:, 0]))
        if answer.weights is None:
            raise ValueError("a model without attention has no map")
        return said, answer.weights[0, : len(said)]


def train(
    model: Model,
    data: Translation,
    epochs: int,
    rate: float = 0.005,
    batch: int = 128,
) -> Iterator[float]:
    """Adam, its rate falling to 0 in a straight line; → after every epoch the mean loss in it."""
    generator, optimizer = tg.Generator(0), optim.Adam(model.parameters(), lr=rate)
    step, steps = 0, epochs * -(-len(data.train) // batch)
    for _ in range(epochs):
        losses = []
        for both in pair_batches(data.train, batch, generator, pool=1):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            tokens = both.map(tg.tensor)
            loss = model.loss(tokens.source, tokens.target_out, tokens.source_lengths)
            optimizer.zero_grad()
            loss.backward()
            nn.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
            step += 1
        yield float(np.mean(losses))


def course(model: Model, data: Translation, task: str, name: str, epochs: int) -> list[float]:
    """Train, and report the share of exact answers before the first and after every epoch."""
    shares = [data.exact(model)]
    for epoch, loss in enumerate(train(model, data, epochs, RATES[task]), start=1):
        shares.append(data.exact(model))
        print(f"{task}, {name}: epoch {epoch}, loss {loss:.4f}, exact {shares[-1]:.2%}", flush=True)
    return shares


def show(data: Translation, model: Model, path: Path | None) -> None:
    """The attention map of the example, on the screen and if there is a path as a picture."""
    said, weights = data.look(model, EXAMPLE)
    print(attention_blocks(weights, EXAMPLE, said))
    if path is not None:
        plot_attention(weights, EXAMPLE, said, path, "What is read while a date is written")


def plot(curves: dict[str, list[list[float]]], path: Path) -> None:
    """Draw the shares of exact answers after every epoch: for each model a thin line for each seed
    and a thick one for their mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    # Okabe and Ito's colours; lines and marks differ as well.
    styles = (("#0072B2", "-", "o"), ("#D55E00", "--", "s"))
    for (name, runs), (color, line, marker) in zip(curves.items(), styles, strict=True):
        for run in runs:
            axes.plot(range(len(run)), run, color=color, linestyle=line, linewidth=1, alpha=0.4)
        label = f"{name}, mean of {len(runs)}"
        axes.plot(range(len(runs[0])), np.mean(runs, axis=0), color=color, linestyle=line,
                  marker=marker, linewidth=3, label=label)  # fmt: skip
    axes.set_title("Sums of two numbers below 1000")
    axes.set_xlabel("epochs", fontsize="large")
    axes.set_ylabel("unseen sums without a mistake", fontsize="large")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="large")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train every model and report it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=LOADERS, help="only this one")
    parser.add_argument("--epochs", type=int, help="3 for dates, 5 for sums, unless given")
    parser.add_argument("--seeds", type=int, default=3, help="how often sums are learned")
    parser.add_argument("--plot", type=Path, help="draw the curves of the sums into this file")
    parser.add_argument("--map", type=Path, help="draw the attention map of a date into this file")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    rows = []
    for task in [options.task] if options.task else LOADERS:
        data, epochs = Translation.of(LOADERS[task]()), options.epochs or EPOCHS[task]
        curves: dict[str, list[list[float]]] = {name: [] for name in MODELS[task]}
        for seed in range(options.seeds if task == "addition" else 1):
            for name, chosen in MODELS[task].items():
                tg.manual_seed(seed)
                model = data.model(**chosen)
                curves[name].append(course(model, data, task, name, epochs))
                if chosen.get("attention"):
                    show(data, model, options.map)
        rows += [{"task": task, "model": name, "exact": runs} for name, runs in curves.items()]
        if options.plot and task == "addition":
            plot(curves, options.plot)
    if options.json:
        write_results(options.json, "seq2seq", environment(), rows)


if __name__ == "__main__":
    main()
