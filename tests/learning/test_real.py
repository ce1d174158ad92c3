"""Real data: chorales, digits read row by row, characters of Shakespeare."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.learning.steps import descend, set_rate, skip_without
from tinygrad_seq import bptt, nn, optim
from tinygrad_seq.data import (
    Streams,
    Vocabulary,
    baselines,
    jsb_chorales,
    mnist,
    pad,
    split,
    tiny_shakespeare,
)
from tinygrad_seq.models import CharLM, FrameModel, RowClassifier
from tinygrad_seq.train import evaluate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(
    ("name", "kind", "hidden", "rate"),
    [
        ("tanh RNN 256", "rnn", 256, 0.005),
        ("LSTM 128", "lstm", 128, 0.01),
        ("GRU 128", "gru", 128, 0.01),
    ],
)
def test_chorales(name, kind, hidden, rate, reached):
    skip_without("jsb chorales")
    pytest.importorskip("scipy", reason="scipy, which reads the chorales, is not installed")
    tg.manual_seed(0)
    generator, chorales = tg.Generator(0), jsb_chorales()
    model, batch, epochs, patience = FrameModel(hidden=hidden, kind=kind), 16, 60, 10
    optimizer = optim.Adam(model.parameters(), lr=rate)

    def nll(rolls: list[np.ndarray]) -> tg.Tensor:
        """Nats per frame; every frame but the first of each chorale is predicted."""
        frames, lengths = pad(rolls)
        return model.nll(tg.tensor(frames), lengths) / float((lengths - 1).sum())

    best = (np.inf, np.inf, 0)
    for epoch in range(1, epochs + 1):
        set_rate(optimizer, rate * min(1, 2 - 2 * (epoch - 1) / epochs))  # second half: down to 0
        order = generator.permutation(len(chorales.train))
        for at in range(0, len(order), batch):
            loss = nll([chorales.train[i] for i in order[at : at + batch]])
            descend(optimizer, model, loss, clip=5.0)
        with tg.no_grad():
            best = min(best, (nll(chorales.validation).item(), nll(chorales.test).item(), epoch))
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
    model = RowClassifier(hidden=64)
    optimizer = optim.Adam(model.parameters(), lr=rate)
    (images, labels), (unseen, digits) = mnist(), mnist(train=False)

    def logits(pixels: np.ndarray) -> tg.Tensor:
        return model(tg.tensor(pixels.astype(np.float32) / np.float32(255)))

    for epoch in range(epochs):
        order = generator.permutation(len(images))
        for at in range(0, len(order), batch):
            chosen = order[at : at + batch]
            set_rate(optimizer, rate * (1 - (epoch + at / len(order)) / epochs))
            loss = tg.cross_entropy(logits(images[chosen]), tg.tensor(labels[chosen]))
            descend(optimizer, model, loss)

    with tg.no_grad():
        right = logits(unseen).numpy().argmax(axis=1) == digits
    percent = 100 * right.mean()
    reached("MNIST, row by row", "LSTM 64", percent, "≥ 97", "% right", f"{epochs} epochs")
    assert percent >= 97


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
