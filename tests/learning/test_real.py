"""Real data: chorales, digits read row by row, characters of Shakespeare."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.learning.steps import Reader, descend, set_rate, skip_without
from tinygrad_seq import bptt, nn, optim
from tinygrad_seq.data import (
    Streams,
    Vocabulary,
    baselines,
    jsb_chorales,
    mnist,
    pad,
    split,
    step_mask,
    tiny_shakespeare,
)
from tinygrad_seq.models import CharLM
from tinygrad_seq.train import evaluate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(
    ("name", "layer", "rate"),
    [
        ("tanh RNN 256", lambda: nn.RNN(88, 256), 0.005),
        ("LSTM 128", lambda: nn.LSTM(88, 128), 0.01),
        ("GRU 128", lambda: nn.GRU(88, 128), 0.01),
    ],
)
def test_chorales(name, layer, rate, reached):
    skip_without("jsb chorales")
    pytest.importorskip("scipy", reason="scipy, which reads the chorales, is not installed")
    tg.manual_seed(0)
    generator, chorales, batch, epochs = tg.Generator(0), jsb_chorales(), 16, 60
    model = Reader(layer(), 88)
    optimizer = optim.Adam(model.parameters(), lr=rate)

    def loss(rolls: list[np.ndarray]) -> tuple[tg.Tensor, int]:
        """−log p of every frame but the first, all keys of it, summed; and how many they are."""
        (x, lengths), (y, _) = pad([r[:-1] for r in rolls]), pad([r[1:] for r in rolls])
        real = tg.tensor(step_mask(lengths)[:, :, np.newaxis].astype(np.float32))
        logits = model(tg.tensor(x))
        total = tg.binary_cross_entropy_with_logits(logits, tg.tensor(y), real, reduction="sum")
        return total, int(lengths.sum())

    def nll(rolls: list[np.ndarray]) -> float:
        with tg.no_grad():
            total, frames = loss(rolls)
        return total.item() / frames

    best, patience = (np.inf, np.inf, 0), 10
    for epoch in range(1, epochs + 1):
        set_rate(optimizer, rate * (1 - (epoch - 1) / epochs))
        order = generator.permutation(len(chorales.train))
        for at in range(0, len(order), batch):
            total, frames = loss([chorales.train[i] for i in order[at : at + batch]])
            descend(optimizer, model, total / frames, clip=5.0)
        best = min(best, (nll(chorales.validation), nll(chorales.test), epoch))
        if epoch - best[2] >= patience:
            break

    _, found, at = best
    reached("JSB chorales", name, found, "≤ 8.9", "nats per frame", f"{at} epochs")
    assert found <= 8.9


def test_lstm_reads_digits_row_by_row(reached):
    skip_without(*(f"mnist {part} {what}" for part in ("training", "test")
                   for what in ("images", "labels")))  # fmt: skip
    tg.manual_seed(0)
    generator, rate, batch, epochs = tg.Generator(0), 0.01, 64, 2
    model = Reader(nn.LSTM(28, 64), 10, last=True)
    optimizer = optim.Adam(model.parameters(), lr=rate)

    def rows(images: np.ndarray) -> np.ndarray:
        """(N, 28, 28) bytes → (28, N, 28), time-major, in [0, 1]."""
        return images.swapaxes(0, 1).astype(np.float32) / np.float32(255)

    (images, labels), (unseen, digits) = mnist(), mnist(train=False)
    x = rows(images)
    for epoch in range(epochs):
        order = generator.permutation(len(images))
        for at in range(0, len(order), batch):
            chosen = order[at : at + batch]
            set_rate(optimizer, rate * (1 - (epoch + at / len(order)) / epochs))
            logits = model(tg.tensor(x[:, chosen]))
            descend(optimizer, model, tg.cross_entropy(logits, tg.tensor(labels[chosen])))

    with tg.no_grad():
        guesses = model(tg.tensor(rows(unseen))).numpy().argmax(axis=1)
    accuracy = (guesses == digits).mean()
    reached("MNIST, row by row", "LSTM 64", 100 * accuracy, "≥ 97", "% right", f"{epochs} epochs")
    assert accuracy >= 0.97


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_characters_of_shakespeare(kind, reached):
    skip_without("tiny shakespeare")
    tg.manual_seed(0)
    text = tiny_shakespeare()
    vocabulary = Vocabulary.of(text)
    train, unseen = split(vocabulary.encode(text))
    trigram = baselines(train, unseen, len(vocabulary), [(3, 0.1)])[0].loss
    assert trigram == pytest.approx(2.046, abs=5e-4)

    model = CharLM(len(vocabulary), embedding=64, hidden=128, kind=kind)
    rate, batch, window, steps = 0.01, 32, 64, 400
    optimizer = optim.Adam(model.parameters(), lr=rate)
    streams = Streams.cut(train, batch, window).map(tg.tensor)
    engine = bptt.TruncatedBPTT(window, window)
    for step, _ in enumerate(engine.run(model.loss, streams.inputs, streams.targets), start=1):
        nn.clip_grad_norm_(model.parameters(), 0.5)
        set_rate(optimizer, rate * (1 - (step - 1) / steps))
        optimizer.step()
        optimizer.zero_grad()
        if step == steps:
            break

    loss = evaluate(model, unseen)
    reached("tiny Shakespeare", f"{kind} 128", loss, f"< {trigram:.3f}", "nats per character",
            f"{steps} windows of {batch} × {window}")  # fmt: skip
    assert loss < trigram
